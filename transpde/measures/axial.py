r"""Measures on a sphere that are symmetric about an axis.

Such a measure is a law of one number, the height $u = \langle x, e\rangle$ on the axis, and its
coordinate is $q = \operatorname{artanh} u = \log\tan(\eta/2)$, with $\eta$ the angle to the pole
$-e$. Both poles are at infinity then, and a field of attention is smooth there: what is left near
a pole is known with all its digits however near it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln

from transpde.checks import (
    LEAST,
    Array,
    entries,
    finite_array,
    frozen,
    generator,
    number,
    open_share,
    positive_integer,
    probability_weights,
    same_size,
)
from transpde.fields import VelocityField, evaluated, quiet
from transpde.measures.base import CUT_OFF, SphereLaw, density_values, unit_mass
from transpde.measures.particles import Particles

__all__ = ["Axial"]

NODES = 16  # Gauss-Legendre nodes of an octave of distance to the pole
BULK = 4  # panels of the half around the other pole
FLAT = 64  # the dimension up to which the panels at the equator need no splitting


@dataclass(frozen=True, eq=False, repr=False)
class Axial(SphereLaw):
    r"""A law on the sphere $S^{d-1}$ symmetric about the axis $e = (1, 0, \dots, 0)$.

    Mass $m_i$ is spread evenly over the points at angle $\eta_i$ to the pole $-e$, at height
    $u = -\cos\eta_i$; for d = 2 half of it on each side. It is a law of its own, not a cloud: the
    sums over directions are exact. It moves under `Softmax` and `Unnormalized` heads with
    $K^\top Q = \beta I$ and $V = vI$, and sums of these; `layers` moves it, too.

    Args:
        angles: the angles to the pole -e, shape (n,), between 0 and pi, without these.
        masses: shape (n,), non-negative with sum one.
        dimension: d, at least 2.

    Raises:
        ValueError: angles that are not inside of (0, pi), masses that are not a probability or not
            as many as angles, a dimension below two.

    Source: ours (chapter on quantitative clustering).

    Example:
        >>> import numpy as np, transpde as tp
        >>> measure = tp.Axial(angles=[np.pi / 2, np.pi / 3], masses=[0.5, 0.5], dimension=3)
        >>> measure.mean.round(6)
        array([-0.25,  0.  ,  0.  ])
    """

    coordinates: Array  # q, shape (n,)
    masses: Array

    def __init__(self, angles: Any, masses: Any, dimension: int) -> None:
        eta = entries(
            "angles", angles, "n", "between 0 and pi, without these",
            lambda x: (x >= LEAST) & (x < np.pi),
            advice="Mass at a pole is mass very near it: give it an angle such as 1e-300.",
        )  # fmt: skip
        m = probability_weights("masses", masses, len(eta), "angles", "n")
        self._set(_of_angles(eta), m, sphere_dimension(dimension))

    def _set(self, coordinates: Array, masses: Array, dimension: int) -> None:
        vars(self).update(
            coordinates=frozen(coordinates[...]), masses=frozen(masses), _dimension=dimension
        )

    def __repr__(self) -> str:
        """Return the number of nodes and the dimension."""
        return f"Axial({len(self.masses)} nodes on the sphere of dimension {self.dimension - 1})"

    @classmethod
    @quiet
    def from_density(
        cls, function: Callable[[Array], Any], dimension: int, depth: float = 1e-12
    ) -> Axial:
        r"""Return a law with a density, by Gauss nodes on panels graded towards the pole -e.

        Each octave of distance to that pole, down to `depth`, has 16 nodes: what leaves it late
        is seen for as long as $\log(1/\text{depth})$ times its time scale. Beyond d = 64 the
        panels about the equator, where the sphere has its mass, are finer.

        Args:
            function: the density with respect to the uniform law, so 1 for the uniform law; a
                function of angles (n,) to the pole -e with values (n,). It may be infinite at
                the pole, if the integral is not.
            dimension: d, at least 2.
            depth: the angle to which the panels are graded, below one.

        Raises:
            ValueError: a negative density, an integral that is not one to within 1e-6, a
                dimension below two, a depth that is not between 0 and 1.

        Example:
            >>> import numpy as np, transpde as tp
            >>> tilted = tp.Axial.from_density(lambda eta: 1 - 0.5 * np.cos(eta), dimension=2)
            >>> round(float(tilted.mean[0]), 12)
            0.25
        """
        d = sphere_dimension(dimension)
        eta, widths = _graded(open_share("depth", depth), d)
        values = density_values(function, eta, "its angles")
        if values.min() < 0:
            at = eta[values.argmin()]
            raise ValueError(
                f"function: a density must be non-negative; got {values.min()} at angle {at:.6g}."
            )
        log_area = np.log(np.pi) / 2 + gammaln((d - 1) / 2) - gammaln(d / 2)
        masses = values * widths * np.exp((d - 2) * np.log(np.sin(eta)) - log_area)
        advice = (
            "Divide the density by it; one that is steep at the pole may also need a smaller "
            "depth, and one that is steep elsewhere nodes and masses of your own: "
            "Axial(angles, masses, dimension)."
        )
        what = "its integral over the uniform law"
        unit_mass("function", what, masses.sum(), CUT_OFF, advice)
        law = object.__new__(cls)
        law._set(_of_angles(eta), masses / masses.sum(), d)
        return law

    # --- the measure -------------------------------------------------------------------------

    @property
    def dimension(self) -> int:
        """The dimension d of the space around the sphere."""
        return int(vars(self)["_dimension"])

    @property
    def angles(self) -> Array:
        """The angles to the pole -e, shape (n,)."""
        nearer = 2 * np.arctan(np.exp(-np.abs(self.coordinates)))  # to the nearer pole
        return np.where(self.coordinates > 0, np.pi - nearer, nearer)

    @property
    def heights(self) -> Array:
        """The heights u on the axis, shape (n,)."""
        return np.asarray(np.tanh(self.coordinates))

    @property
    def widths(self) -> Array:
        r"""The distances $\sqrt{1 - u^2}$ to the axis, shape (n,), with all digits near a pole."""
        small = np.exp(-np.abs(self.coordinates))
        return np.asarray(2 * small / (1 + small**2))

    @property
    @quiet
    def mean(self) -> Array:
        """The mean, shape (d,)."""
        mean = np.zeros(self.dimension)
        mean[0] = self.masses @ self.heights
        return mean

    @property
    @quiet
    def covariance(self) -> Array:
        """The covariance, shape (d, d)."""
        d, u = self.dimension, self.heights
        across = self.masses @ self.widths**2 / (d - 1)
        return np.diag([self.masses @ (u - self.masses @ u) ** 2, *[across] * (d - 1)])

    @quiet
    def distance_to_dirac(self, point: Any, p: float = 2) -> float:
        r"""Return $W_p(\mu, \delta_x)$ for a pole x, in the distance $|x-y|$ of the tokens.

        It is $(\int|x - y|^p\,d\mu(y))^{1/p}$, with all digits however small it is.

        Args:
            point: x, a pole (1, 0, ..., 0) or (-1, 0, ..., 0).
            p: at least 1.

        Raises:
            ValueError: a point off the sphere or away from the axis; p below one.

        Example:
            >>> import numpy as np, transpde as tp
            >>> measure = tp.Axial([np.pi / 2], [1.0], dimension=3)
            >>> round(measure.distance_to_dirac([1.0, 0.0, 0.0]) ** 2, 12)
            2.0
        """
        x, p = finite_array("point", point, "d"), order_of("p", p)
        same_size("point", len(x), "the measure", self.dimension, "dimension")
        self.space.check("point", x[None])
        if np.abs(x[1:]).max() > 1e-8:
            raise ValueError(
                f"point: must be a pole, (1, 0, ..., 0) or its negative; got {x.tolist()!r}. "
                "For another one take draws: wasserstein(measure.sample(n, seed), ...)."
            )
        q = self.coordinates if x[0] > 0 else -self.coordinates
        logs = np.log(2) - np.logaddexp(0, 2 * q) / 2  # |x - y| = 2 / sqrt(1 + e^(2q))
        some = self.masses > 0
        terms = np.log(self.masses[some]) + p * logs[some]
        return float(np.exp(np.logaddexp.reduce(terms) / p))

    @quiet
    def sample(self, n: int, seed: int | np.random.Generator) -> Particles:
        """Return `n` independent draws as particles of equal weight on the sphere."""
        n, rng = positive_integer("n", n), generator("seed", seed)
        chosen = rng.choice(len(self.masses), size=n, p=self.masses / self.masses.sum())
        around = rng.normal(size=(n, self.dimension - 1))
        around /= np.linalg.norm(around, axis=1, keepdims=True)
        points = np.column_stack([self.heights[chosen], self.widths[chosen, None] * around])
        return Particles(self.space.retract(points), space=self.space)

    def field_of(self, head: Any, how: Any) -> VelocityField:
        """Return the field that a head makes of a symmetric law, without a check."""
        return head._axial_field(self)

    def check_for(self, head: Any) -> None:
        """Raise unless a head has a field for a symmetric law."""
        head._check_axial(self)

    # --- its coordinates, and how a field moves them -----------------------------------------

    def pack(self) -> Array:
        """Return the coordinates q as one vector."""
        return self.coordinates

    def unpack(self, state: Array) -> Axial:
        """Return the law of the same masses at the coordinates in `state`, without a check."""
        law = object.__new__(Axial)
        law._set(state, self.masses, self.dimension)
        return law

    @property
    def meridian(self) -> Array:
        """A point (n, d) of each node, in the plane of the first two axes."""
        points = np.zeros((len(self.masses), self.dimension))
        points[:, 0], points[:, 1] = self.heights, self.widths
        return points

    def advect(self, field: VelocityField) -> Array:
        """Return the derivatives of the coordinates q under a symmetric velocity field."""
        rates = getattr(field, "rates", None)
        if rates is not None:
            return np.asarray(rates())
        values = evaluated(field, self.meridian, None)
        return values[:, 0] - self.heights * values[:, 1] / self.widths

    def push(self, field: VelocityField, step: float) -> Axial:
        """Return the law after a step along the tangential field, put back on the sphere."""
        u, s, rates = self.heights, self.widths, step * self.advect(field)
        along = u + s**2 * rates
        with np.errstate(divide="ignore"):  # a step that ends on the axis
            log_across = np.log(s) + np.log(np.abs(1 - u * rates))
            q = np.log(np.abs(along) + np.hypot(along, np.exp(log_across))) - log_across
        return self.unpack(np.copysign(q, along))

    def rate(self, velocity: Array) -> Array:
        """Return the root mean square speed."""
        return np.sqrt(np.asarray(self.masses @ (velocity * self.widths) ** 2))


def sphere_dimension(dimension: Any) -> int:
    """Return the dimension d of the space around a sphere, or raise `ValueError`."""
    return positive_integer("dimension", dimension, 2)


def order_of(name: str, p: Any) -> float:
    """Return the order of a Wasserstein distance, or raise `ValueError`."""
    return number(name, p, "a finite number of at least 1", lambda x: 1 <= x < np.inf)


def _of_angles(eta: Array) -> Array:
    return np.log(np.tan(eta / 2))


def _graded(depth: float, dimension: int) -> tuple[Array, Array]:
    """Return Gauss nodes and weights on (0, pi): octaves from `depth`, and four panels beyond.

    In high dimension the mass is within about 1/sqrt(d) of the equator, so panels there are split.
    """
    octaves = int(np.ceil(np.log2(np.pi / 2 / depth)))
    parts = int(np.ceil(np.sqrt(dimension / FLAT)))
    graded = np.pi / 2 * 2.0 ** -np.arange(octaves, 0, -1)
    octave = np.linspace(np.pi / 4, np.pi / 2, parts + 1)[1:]
    bulk = np.linspace(np.pi / 2, np.pi, BULK * parts + 1)[1:]
    edges = np.concatenate([[0.0], graded, octave, bulk])
    return panels(edges, NODES)


def panels(edges: Array, count: int) -> tuple[Array, Array]:
    """Return Gauss-Legendre nodes and weights, `count` of them between any two edges."""
    z, w = np.polynomial.legendre.leggauss(count)
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (1 + z)).ravel(), (half * w).ravel()
