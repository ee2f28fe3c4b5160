r"""Densities on a grid of one or two dimensions, and the conservative transport of their mass.

A cell loses what its faces let out: $\dot\rho_i = -(F_{i+1/2} - F_{i-1/2})/h_i$ along each axis,
with upwind fluxes $F = u^+\rho^L + u^-\rho^R$ of a density that is linear in each cell. The slopes
are limited such that the values at the faces lie between the averages of the cells around, so no
face takes from a cell more than it has, if the step is short. No mass passes the outer faces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike

from transpde.checks import (
    Array,
    finite_array,
    frozen,
    generator,
    non_negative_array,
    of_kind,
    positive_integer,
    same_size,
    single_case,
)
from transpde.fields import VelocityField, evaluated, quiet, silent
from transpde.measures.base import CUT_OFF, MASS_TOLERANCE, Measure, density_values, unit_mass
from transpde.measures.gaussian import Gaussian
from transpde.measures.particles import Particles

__all__ = ["FaceVelocities", "Grid"]

# The velocities normal to the faces, one array an axis: of shape (n1 + 1,) on the line, of shapes
# (n1 + 1, n2) and (n1, n2 + 1) in the plane.
FaceVelocities = tuple[Array, ...]

NODES = 8  # Gauss-Legendre nodes of a cell along each axis
SHORTEST = -600.0  # log of a variance whose density is still a number: far below any cell


@dataclass(frozen=True, eq=False, repr=False)
class Grid(Measure):
    r"""A density on the cells of a grid, $\mu = \sum_i \rho_i\,1_{C_i}(x)\,dx$, for d = 1 or 2.

    To an attention it is a cloud of weighted tokens at the centres of the cells; that is the
    density to second order in the size of the cells. In the plane the field costs matrix products
    where weights are exponentials of scores, and a sum over all pairs for `Sigmoid`; `Sinkhorn`
    iterates on the matrix of all pairs of cells.

    No mass passes the outer faces, and `flow` raises when they hold back more than 1e-6. Attention
    may weigh tails so much that edges matter before: near a blow-up, compare two boxes.

    Args:
        edges: for each axis the edges of its cells, increasing, of any spacing; a plain array
            for d = 1.
        density: averages over the cells, shape (n1,) or (n1, n2), non-negative; the total mass
            must be one to within 1e-9.

    Raises:
        ValueError: entries that are not finite, edges that do not increase, other than one or two
            axes, shapes that do not match, a negative density, a mass other than one.

    Source: `leveque2002finite`; the limit at smooth hills after `colella2008limiter`.

    Example:
        >>> import transpde as tp
        >>> grid = tp.Grid(edges=[0.0, 1.0, 3.0], density=[0.5, 0.25])
        >>> grid.mean, grid.masses
        (array([1.25]), array([0.5, 0.5]))
    """

    edges: tuple[Array, ...]
    density: Array
    scheme = "finite volumes"
    stackable = False

    @quiet
    def __init__(self, edges: ArrayLike, density: ArrayLike) -> None:
        axes = _checked_edges(edges)
        shape = " ".join(f"n{i + 1}" for i in range(len(axes)))
        rho = non_negative_array("density", density, shape)
        for i, axis in enumerate(axes):
            same_size("density", rho.shape[i], "the cells of edges", len(axis) - 1, f"axis {i}")
        self._set(axes, rho)
        what = "its mass, the sum of density times size of cell,"
        unit_mass("density", what, self.masses.sum(), MASS_TOLERANCE, "Divide by it first.")

    def _set(self, edges: tuple[Array, ...], density: Array) -> None:
        vars(self).update(edges=edges, density=frozen(density[...]))

    def __repr__(self) -> str:
        """Return the number of cells and the ends."""
        ends = " x ".join(f"[{axis[0]:g}, {axis[-1]:g}]" for axis in self.edges)
        return f"Grid(density {self.density.shape} on {ends})"

    @classmethod
    @quiet
    def from_density(cls, edges: ArrayLike, function: Callable[[Array], Any]) -> Grid:
        """Return the averages of a density over the cells, by Gauss-Legendre quadrature.

        The rule has 8 nodes a cell along each axis. The mass inside the edges must be one to
        within 1e-6; the averages are then divided by it.

        Args:
            edges: as for `Grid`.
            function: the density, a function of points (n, d) with values (n,).

        Raises:
            ValueError: as for `Grid`; a mass inside the edges that is not one.

        Example:
            >>> import numpy as np, transpde as tp
            >>> tp.Grid.from_density(np.linspace(0.0, 1.0, 3), lambda x: 2 * x[:, 0]).density
            array([0.5, 1.5])
        """
        axes = _checked_edges(edges)
        z, w = np.polynomial.legendre.leggauss(NODES)
        nodes = [(_centres(e)[:, None] + np.diff(e)[:, None] * z / 2).ravel() for e in axes]
        values = density_values(function, _points(nodes), "its points")
        averages = values.reshape([len(x) for x in nodes])
        for i, axis in enumerate(axes):
            shape = (*averages.shape[:i], len(axis) - 1, NODES, *averages.shape[i + 1 :])
            averages = np.tensordot(averages.reshape(shape), w / 2, axes=(i + 1, 0))
        mass = float((averages * _volumes(axes)).sum())
        advice = "Widen or refine the edges, or divide the density by its mass."
        unit_mass("function", "its mass inside the edges", mass, CUT_OFF, advice)
        return cls(axes, averages / mass)

    @classmethod
    @quiet
    def from_gaussian(cls, edges: ArrayLike, gaussian: Gaussian) -> Grid:
        """Return the averages of the density of a Gaussian over the cells.

        Args:
            edges: as for `Grid`; at most 1e-6 of the mass may lie outside.
            gaussian: a single one, of full rank.

        Raises:
            ValueError: a stack, a Gaussian of lower rank or of another dimension, edges that are
                too narrow or cells that are too coarse for it.
            TypeError: a measure that is not a Gaussian.

        Example:
            >>> import numpy as np, transpde as tp
            >>> edges = np.linspace(-6.0, 6.0, 121)
            >>> grid = tp.Grid.from_gaussian(edges, tp.Gaussian([0.0], factor=[[1.0]]))
            >>> round(float(grid.density.max()), 4)
            0.3983
        """
        axes = _checked_edges(edges)
        of_kind("gaussian", gaussian, Gaussian, "a Gaussian")
        same_size("gaussian", gaussian.dimension, "edges", len(axes), "dimension")
        single_case("gaussian: a grid", "a single one", gaussian.stack)
        principal = gaussian.principal()
        rank = int((principal.factor != 0).any(axis=0).sum())
        if rank < len(axes):
            raise ValueError(
                "gaussian: must have a density, so a covariance of full rank; "
                f"got rank {rank} in dimension {len(axes)}."
            )
        logs = np.maximum(principal.log_scales, SHORTEST)
        log_scale = (np.log(2 * np.pi) + logs).sum() / 2
        whiten = principal.factor * np.exp(-logs / 2)

        def density(x: Array) -> Array:
            z = (x - gaussian.mean) @ whiten
            return np.asarray(np.exp(-(z**2).sum(axis=1) / 2 - log_scale))

        return cls.from_density(axes, density)

    # --- the measure -------------------------------------------------------------------------

    @property
    def dimension(self) -> int:
        """The dimension d of the space, 1 or 2."""
        return len(self.edges)

    @property
    def centres(self) -> tuple[Array, ...]:
        """For each axis the centres of its cells."""
        return tuple(_centres(e) for e in self.edges)

    @property
    @silent
    def masses(self) -> Array:
        """The mass of each cell, of the shape of the density."""
        return self.density * _volumes(self.edges)

    @property
    def particles(self) -> Particles:
        """Weighted tokens at the centres of the cells, one a cell, the last axis fastest."""
        return Particles.trusted(_points(self.centres), self.masses.ravel())

    @property
    @quiet
    def mean(self) -> Array:
        """The mean, shape (d,)."""
        return self.particles.mean

    @property
    @quiet
    def log_size(self) -> Array:
        """The logarithm of the mean of |x|^2."""
        return self.particles.log_size

    @property
    @quiet
    def covariance(self) -> Array:
        """The covariance, shape (d, d), with that of the uniform measure in each cell."""
        square_widths = _points([np.diff(e) ** 2 for e in self.edges])
        return self.particles.covariance + np.diag(self.masses.ravel() @ square_widths / 12)

    @quiet
    def sample(self, n: int, seed: int | np.random.Generator) -> Particles:
        """Return `n` independent draws as particles of equal weight, uniform inside the cells."""
        n, rng = positive_integer("n", n), generator("seed", seed)
        masses = self.masses.ravel()
        chosen = rng.choice(masses.size, size=n, p=masses / masses.sum())
        widths = _points([np.diff(e) for e in self.edges])[chosen]
        inside = rng.uniform(-0.5, 0.5, size=widths.shape)
        return Particles(_points(self.centres)[chosen] + widths * inside)

    def field_of(self, head: Any, how: Any) -> VelocityField:
        """Return the field that a head makes of a density on a grid, without a check."""
        return head._grid_field(self)

    def check_for(self, head: Any) -> None:
        """Raise unless a head has a field for a density on a grid."""
        head._check_grid(self)

    # --- its coordinates, and how a field moves them -----------------------------------------

    def pack(self) -> Array:
        """Return the averages over the cells as one vector."""
        return self.density.ravel()

    def unpack(self, state: Array) -> Grid:
        """Return the grid of the same cells with the averages in `state`, without a check."""
        grid = object.__new__(Grid)
        grid._set(self.edges, state.reshape(self.density.shape))
        return grid

    def face_velocities(self, field: VelocityField) -> FaceVelocities:
        """Return the velocities normal to the faces, at the middle of each, one array an axis."""
        normal = []
        for axis in range(self.dimension):
            places = list(self.centres)
            places[axis] = self.edges[axis]
            shape = [len(x) for x in places]
            normal.append(evaluated(field, _points(places), None)[:, axis].reshape(shape))
        return tuple(normal)

    def transport(self, velocities: FaceVelocities) -> Array:
        """Return the time derivative of the density, given the velocities at the faces."""
        change = np.zeros(self.density.shape)
        for axis, u in enumerate(velocities):
            fluxes = _upwind(_last(self.density, axis), _last(u, axis), self.edges[axis])
            change -= _last(np.diff(fluxes) / np.diff(self.edges[axis]), axis)
        return change

    def outflow_rate(self, velocities: FaceVelocities) -> float:
        """Return the rate r such that steps up to 1/(2 r) keep the density non-negative.

        It is the largest, over the cells with mass, of the sum over the axes of the faster of the
        two outward speeds over the width of the cell.
        """
        rate = np.zeros(self.density.shape)
        for axis, u in enumerate(velocities):
            inner = _last(u, axis).copy()
            inner[..., [0, -1]] = 0.0  # nothing passes the outer faces
            outward = np.maximum(inner[..., 1:], -inner[..., :-1])
            rate += _last(np.maximum(outward, 0.0) / np.diff(self.edges[axis]), axis)
        return float(np.where(self.density > 0, rate, 0.0).max())

    def held_back(self, velocities: FaceVelocities) -> float:
        """Return the mass per time that would pass the outer faces if they were open."""
        total = 0.0
        for axis, u in enumerate(velocities):
            ends = _last(self.masses, axis)[..., [0, -1]] / np.diff(self.edges[axis])[[0, -1]]
            outward = _last(u, axis)[..., [0, -1]] * np.array([-1.0, 1.0])
            total += float((np.maximum(outward, 0.0) * ends).sum())
        return total

    @property
    def outermost(self) -> float:
        """The mass in the outermost cells."""
        outer = np.ones(self.density.shape, dtype=bool)
        outer[(slice(1, -1),) * self.dimension] = False
        return float(self.masses[outer].sum())

    def advect(self, field: VelocityField) -> Array:
        """Return the time derivative of the averages under a velocity field, as one vector."""
        return self.transport(self.face_velocities(field)).ravel()

    def push(self, field: VelocityField, step: float) -> NoReturn:
        """Raise `TypeError`: a residual layer does not map cells to cells."""
        raise TypeError(
            "measure: a residual layer does not send a Grid to a Grid. Use `flow`, or apply the "
            "layers to its tokens, grid.particles, or to draws of it, grid.sample(n, seed)."
        )

    def growth(self, velocity: Array) -> Array:
        """Return d log(integral of |x|^2) / dt."""
        squares = (_points(self.centres) ** 2).sum(axis=1)
        cells = _volumes(self.edges).ravel()
        return np.asarray((squares * cells) @ velocity / ((squares * cells) @ self.pack()))

    def speed_over_size(self, field: VelocityField) -> float:
        """Return the root mean square speed over the root mean square size."""
        tokens = self.particles
        square = tokens.weights @ tokens.points**2
        velocities = evaluated(field, tokens.points, None)
        return float(np.sqrt((tokens.weights @ velocities**2).sum() / square.sum()))


def _checked_edges(edges: Any) -> tuple[Array, ...]:
    """Return the edges of each axis, or raise `ValueError`."""
    plain = np.ndim(edges[0]) == 0 if isinstance(edges, list | tuple) and edges else (
        not isinstance(edges, list | tuple) and np.ndim(edges) < 2
    )  # fmt: skip
    axes = [edges] if plain else list(edges)
    if not 1 <= len(axes) <= 2:
        raise ValueError(f"edges: must have one or two axes; got {len(axes)}.")
    checked = []
    for i, axis in enumerate(axes):
        name = "edges" if plain else f"edges[{i}]"
        e = finite_array(name, axis, "n")
        if len(e) < 2 or (np.diff(e) <= 0).any():
            raise ValueError(
                f"{name}: must be strictly increasing with at least two entries; got {axis!r}."
            )
        checked.append(e)
    return tuple(checked)


def _centres(edges: Array) -> Array:
    return (edges[:-1] + edges[1:]) / 2


def _volumes(edges: tuple[Array, ...]) -> Array:
    """Return the sizes of the cells, of the shape of the density."""
    widths = [np.diff(e) for e in edges]
    return widths[0] if len(widths) == 1 else np.multiply.outer(*widths)


def _points(places: Any) -> Array:
    """Return the points of a tensor grid, shape (n, d), the last axis fastest."""
    return np.stack(np.meshgrid(*places, indexing="ij"), axis=-1).reshape(-1, len(places))


def _last(values: Array, axis: int) -> Array:
    """Return a view with the axis exchanged with the last one; its own inverse."""
    return np.swapaxes(values, axis, -1)


def _upwind(density: Array, u: Array, edges: Array) -> Array:
    """Return the fluxes through the faces along the last axis; zero at the two outer ones."""
    rise = _rise(density, edges)
    left, right = (density + rise)[..., :-1], (density - rise)[..., 1:]
    inner = u[..., 1:-1]
    fluxes = np.zeros(u.shape)
    fluxes[..., 1:-1] = np.maximum(inner, 0.0) * left + np.minimum(inner, 0.0) * right
    return fluxes


def _rise(density: Array, edges: Array) -> Array:
    """Return how much the density rises from the centre of each cell to its upper face.

    The slope is the central one, exact for parabolas, limited such that the values at the faces
    lie between the averages of the cell and of its neighbours; or, where the density bends the
    same way in the cell and in both neighbours, a smooth hill or valley, only such that they are
    not negative. A hill that the first limit flattens would cost the second order.
    """
    gaps, steps = np.diff(_centres(edges)), np.diff(density)
    before, after = steps[..., :-1], steps[..., 1:]
    ratio = gaps[1:] / gaps[:-1]
    half = (before * ratio + after / ratio) / (gaps[:-1] + gaps[1:]) * np.diff(edges)[1:-1] / 2
    bound = np.where(
        np.sign(before) == np.sign(after), np.minimum(np.abs(before), np.abs(after)), 0.0
    )
    bend = np.sign(np.diff(steps / gaps))
    smooth = np.zeros(bend.shape, dtype=bool)
    smooth[..., 1:-1] = (bend[..., :-2] == bend[..., 1:-1]) & (bend[..., 1:-1] == bend[..., 2:])
    bound = np.where(smooth, density[..., 1:-1], bound)
    rise = np.zeros(density.shape)
    rise[..., 1:-1] = np.clip(half, -bound, bound)
    return rise
