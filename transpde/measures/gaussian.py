r"""Gaussian measures: a mean, and a covariance of any rank held by its factor.

The factor has a scale for each column, so that no number overflows when the covariance does, and
its motion is such that the covariance stays positive semidefinite without any projection.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from transpde.checks import (
    Array,
    covariance_matrix,
    finite_array,
    frozen,
    generator,
    of_kind,
    positive_integer,
    same_size,
    single_case,
)
from transpde.fields import AffineField, VelocityField, quiet
from transpde.measures.axes import lengths, nearly_singular, orthonormal_columns, ratio, shares_of
from transpde.measures.base import Measure
from transpde.measures.coordinates import Moves, joined, moved_by, split
from transpde.measures.motion import (
    common_motion,
    common_motion_along,
    far_from_orthogonal,
    graded_motion,
    graded_motion_along,
)
from transpde.measures.particles import Particles
from transpde.measures.products import arranged, inner

__all__ = ["Gaussian"]

LARGEST_SCALE = 1400.0  # half of it is near the logarithm of the largest number
LARGEST_RULE = 10_000_000  # points of a quadrature rule


@dataclass(frozen=True, eq=False, repr=False)
class Gaussian(Measure):
    r"""Gaussian $N(m, \Sigma)$ with $\Sigma = \sum_j e^{s_j} x_j x_j^\top$, of any rank.

    The factor keeps the covariance positive semidefinite and its rank at most r without any
    projection. Each column $x_j$ has a scale of its own, so that a covariance may be far larger
    or smaller than a float, or both at once in two directions.

    Args:
        mean: m, shape (..., d); leading axes make a stack of Gaussians.
        factor: X, shape (..., d, r), any r >= 1, with the columns $x_j$. By keyword only, because
            a matrix in this place could as well be the covariance, which `from_covariance` takes.
        log_scale: one s for all columns, shape (...); 0 when left out. By keyword only.

    Raises:
        ValueError: entries that are not finite, shapes that do not match.
        TypeError: a matrix given by position, or no factor.

    Attributes:
        log_scales: the $s_j$, shape (..., r).

    Example:
        >>> import transpde as tp
        >>> tp.Gaussian(mean=[0.0, 0.0], factor=[[1.0], [2.0]]).covariance
        array([[1., 2.],
               [2., 4.]])
    """

    can_be_thin = True

    mean: Array
    factor: Array
    log_scales: Array
    in_axes: bool  # the columns are, nearly, orthonormal: principal axes

    def __init__(
        self, mean: ArrayLike, *unnamed: Any, factor: ArrayLike | None = None, log_scale: Any = 0.0
    ) -> None:
        if unnamed or factor is None:
            raise TypeError(
                "factor: must be given by its name, as a matrix alone could be a covariance; got "
                f"{'an argument without a name' if unnamed else 'none'}. Write Gaussian(mean, "
                "factor=X) for the covariance XX^T, or Gaussian.from_covariance(mean, S) for S."
            )
        m = finite_array("mean", mean, "... d")
        X = finite_array("factor", factor, "... d r")
        s = finite_array("log_scale", log_scale, "...")
        same_size("factor", X.shape[-2], "mean", m.shape[-1], "number of rows")
        try:
            stack = np.broadcast_shapes(m.shape[:-1], X.shape[:-2], s.shape)
        except ValueError as error:
            raise ValueError(
                "factor: its leading axes must match those of mean and log_scale; got "
                f"{X.shape[:-2]}, {m.shape[:-1]} and {s.shape}."
            ) from error
        self._set(
            np.broadcast_to(m, stack + m.shape[-1:]),
            np.broadcast_to(X, stack + X.shape[-2:]),
            np.broadcast_to(s[..., None], (*stack, X.shape[-1])),
            in_axes=False,
        )

    def _set(self, mean: Array, factor: Array, log_scales: Array, in_axes: bool) -> None:
        for name, array in (("mean", mean), ("factor", factor), ("log_scales", log_scales)):
            object.__setattr__(self, name, frozen(np.asarray(array)[...]))
        object.__setattr__(self, "in_axes", in_axes)

    @classmethod
    def trusted(
        cls, mean: Array, factor: Array, log_scales: Array, in_axes: bool = False
    ) -> Gaussian:
        """Make a Gaussian from arrays that are already checked (inside a solver step)."""
        gaussian = object.__new__(cls)
        gaussian._set(mean, factor, log_scales, in_axes)
        return gaussian

    @classmethod
    @quiet
    def from_covariance(cls, mean: ArrayLike, covariance: ArrayLike) -> Gaussian:
        r"""Return the Gaussian of given mean (..., d) and covariance (..., d, d).

        The factor has as many columns as the largest rank in the stack: eigenvalues under
        $d \cdot 2^{-52}$ of the largest count as zero.

        Raises:
            ValueError: a covariance that is not symmetric positive semidefinite.
        """
        Sigma = covariance_matrix("covariance", covariance)
        size = np.abs(Sigma).max(axis=(-2, -1), keepdims=True)
        values, vectors = np.linalg.eigh(ratio(Sigma, size))
        floor = Sigma.shape[-1] * np.finfo(float).eps * values[..., -1:]
        kept = np.where(values > floor, values, 0.0)
        rank = max(1, int((kept > 0).sum(axis=-1).max()))
        factor = np.sqrt(size) * (vectors * np.sqrt(kept)[..., None, :])[..., -rank:]
        return cls(mean, factor=factor)

    @classmethod
    def from_particles(cls, particles: Particles) -> Gaussian:
        r"""Return the Gaussian with the mean and the covariance of tokens; of a stack, each case.

        The factor has the columns $\sqrt{w_i}(x_i - m)$ where these are no more than d, else the
        eigenvectors of the covariance.

        Args:
            particles: n tokens, or a stack of clouds.

        Raises:
            TypeError: another kind of measure.

        Example:
            >>> import transpde as tp
            >>> tp.Gaussian.from_particles(tp.Particles([[0.0], [2.0]])).covariance
            array([[1.]])
        """
        of_kind("particles", particles, Particles, "Particles")
        mean, roots = particles.mean, np.sqrt(particles.weights)
        factor = (particles.points - mean[..., None, :]).mT * roots[..., None, :]
        if factor.shape[-1] <= factor.shape[-2]:
            return cls(mean, factor=factor)
        size = np.abs(factor).max(axis=(-2, -1), keepdims=True)
        U, sizes, _ = np.linalg.svd(ratio(factor, size), full_matrices=False)
        return cls(mean, factor=size * U * sizes[..., None, :])

    @property
    def stack(self) -> tuple[int, ...]:  # type: ignore[override]
        """Leading axes of the stack, () for one Gaussian."""
        return self.mean.shape[:-1]

    @property
    def dimension(self) -> int:
        """The dimension d of the space."""
        return int(self.mean.shape[-1])

    @property
    def scaled_factor(self) -> Array:
        r"""The factor with its scales, $\Sigma = XX^\top$, shape (..., d, r); inf if too large."""
        # In two steps where the scale alone is no number: the product may be one.
        steps = 1 + (np.abs(self.log_scales) > LARGEST_SCALE)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            scales = np.exp(self.log_scales / (2 * steps))[..., None, :]
            factor = self.factor * scales
            return np.where(steps[..., None, :] > 1, factor * scales, factor)

    @property
    @quiet
    def covariance(self) -> Array:
        """The covariance, shape (..., d, d); `OverflowError` where a float cannot hold it."""
        with np.errstate(over="ignore", invalid="ignore"):
            X = self.scaled_factor
            Sigma = X @ X.mT
        if not np.isfinite(Sigma[np.isfinite(self.pack()).all(axis=-1)]).all():
            raise OverflowError(
                "covariance: larger than a floating point number holds; "
                "use `direction` (covariance over trace) and `log_size` (log of the trace)."
            )
        return Sigma

    @property
    @quiet
    def direction(self) -> Array:
        """The covariance over its trace, shape (..., d, d); zero for a point mass."""
        X = self._at_trace_one(self.factor)
        return X @ X.mT

    @property
    @quiet
    def log_size(self) -> Array:
        """The logarithm of the trace of the covariance, shape (...)."""
        logs = self._logs()
        most = np.maximum.reduce(logs, axis=-1, keepdims=True)
        shares = np.exp(logs - np.where(most == -np.inf, 0.0, most))
        with np.errstate(divide="ignore"):
            sums = np.log(np.add.reduce(shares, axis=-1))
        return np.asarray(sums + most[..., 0])

    def _logs(self) -> Array:
        """Return the logarithms of the squared lengths of the columns, -inf for a length of 0."""
        with np.errstate(divide="ignore"):
            return np.asarray(self.log_scales + 2 * np.log(lengths(self.factor)))

    def _at_trace_one(self, columns: Array) -> Array:
        """Return columns that scale like the factor as they are where the trace is one."""
        sizes, parts = lengths(self.factor), np.sqrt(shares_of(self._logs()))
        return np.asarray(ratio(columns, sizes[..., None, :]) * parts[..., None, :])

    @quiet
    def normalised(self) -> Gaussian:
        """Return the same Gaussian with a factor of Frobenius norm 1 and at most d columns.

        All columns have one scale. A zero factor is kept.
        """
        X, size = self._at_trace_one(self.factor), self.log_size
        size = np.where(np.isneginf(size), 0.0, size)
        if X.shape[-1] > self.dimension:
            finite = np.isfinite(X).all(axis=(-2, -1), keepdims=True)
            U, sizes, _ = np.linalg.svd(np.where(finite, X, 0.0), full_matrices=False)
            X = np.where(finite, U * sizes[..., None, :], np.nan)
        return Gaussian.trusted(self.mean, X, np.repeat(size[..., None], X.shape[-1], axis=-1))

    @quiet
    def principal(self) -> Gaussian:
        """Return the same Gaussian in its principal axes: orthonormal columns, the longest first.

        A column of length zero is zero. With a scale for each axis a covariance of any shape keeps
        its digits, and so do its products with the matrices of an attention.
        """
        known = np.isfinite(self.mean).all(axis=-1, keepdims=True)
        Y, s = orthonormal_columns(self.factor, np.where(known, self.log_scales, np.nan))
        return Gaussian.trusted(self.mean, Y, s, in_axes=True)

    @quiet
    def prepared(self) -> Gaussian:
        """Return the same Gaussian as a flow begins with it: in its principal axes if thin."""
        s = self.log_scales
        one_scale = (s == s[..., :1]) | ~np.isfinite(self.pack()).all(axis=-1, keepdims=True)
        unit = self.normalised()
        thin = not one_scale.all() or unit.needs_principal_axes().any()
        return self.principal() if thin else unit

    def marked(self, in_axes: bool) -> Gaussian:
        """Return the same Gaussian, known to be in its principal axes or not known to be."""
        gaussian = object.__new__(Gaussian)
        vars(gaussian).update(vars(self), in_axes=in_axes)
        return gaussian

    def __getitem__(self, case: Any) -> Gaussian:
        """Return the chosen case, or cases, of a stack."""
        if not self.stack:
            raise TypeError("a single Gaussian has no cases to choose from.")
        if np.size(self.log_scales[case]) == 0:
            raise ValueError("case: must choose at least one case of the stack; got none.")
        return Gaussian.trusted(
            self.mean[case], self.factor[case], self.log_scales[case], self.in_axes
        )

    def select(self, index: Array) -> Gaussian:
        """Return the chosen cases of a stack, counted along the flattened stack."""
        return self[np.unravel_index(index, self.stack)] if self.stack else self

    def field_of(self, head: Any, how: Any) -> VelocityField:
        """Return the affine field that a head makes of a Gaussian, without a check."""
        return head._affine_field(self)

    def check_for(self, head: Any) -> None:
        """Raise unless a head has a field for this Gaussian."""
        head._check_gaussian(self)

    @quiet
    def sample(self, n: int, seed: int | np.random.Generator) -> Particles:
        """Return `n` independent draws as particles of equal weight."""
        single_case("sample", "a single Gaussian", self.stack)
        n = positive_integer("n", n)
        X = self.scaled_factor
        return Particles(self.mean + generator("seed", seed).normal(size=(n, X.shape[1])) @ X.T)

    @quiet
    def quadrature(self, nodes: int) -> Particles:
        """Return the tensor Gauss-Hermite rule of `nodes` points an axis as weighted particles.

        It has nodes**r points for a factor of r columns and integrates polynomials up to degree
        2 * nodes - 1 in each of the r coordinates exactly.
        """
        single_case("quadrature", "a single Gaussian", self.stack)
        X = self.scaled_factor
        r = X.shape[1]
        if positive_integer("nodes", nodes) ** r > LARGEST_RULE or nodes > 300:
            raise ValueError(
                f"nodes: must be at most 300, with at most {LARGEST_RULE} points in all; "
                f"got {nodes} to the power of {r}. Sample the measure instead: sample(n, seed)."
            )
        z, w = special.roots_hermitenorm(nodes)
        grid = np.stack(np.meshgrid(*[z] * r, indexing="ij"), axis=-1).reshape(-1, r)
        weights = np.prod(np.meshgrid(*[w / w.sum()] * r, indexing="ij"), axis=0).ravel()
        return Particles(self.mean + grid @ X.T, weights / weights.sum())

    def pack(self) -> Array:
        """Return (m, X, s) as one vector a case, shape (..., d + d r + r)."""
        return joined(self.mean, self.factor, self.log_scales)

    def arranged(self, states: Array) -> Array:
        """Return states (b, ...) in the order in memory in which they are stepped fastest."""
        return arranged(states, *self.factor.shape[-2:])

    def unpack(self, state: Array) -> Gaussian:
        """Return Gaussians of the same dimension and number of factor columns."""
        shape = self.factor.shape[-2:]
        mean, factor, log_scales = parts = split(arranged(state, *shape), *shape)
        for array in parts:
            array.flags.writeable = False
        gaussian = object.__new__(Gaussian)
        vars(gaussian).update(mean=mean, factor=factor, log_scales=log_scales, in_axes=False)
        return gaussian

    def advect(self, field: VelocityField) -> Array:
        r"""Return $(\dot m, \dot X, \dot s)$ as one vector a case.

        The mean has $\dot m = Bm + c$; `common_motion` and `graded_motion` say how the growth of
        the factor goes into s, so that no number overflows when the covariance does.
        """
        mean_velocity, BX = _affine(field).moves(self.mean, self.factor)
        motion = graded_motion if self.in_axes else common_motion
        return joined(mean_velocity, *motion(self.factor, self.log_scales, BX))

    def mover(self, attention: Any, how: Any) -> Callable[[Array], Array] | None:
        """Return the map from coordinates to what `advect` gives: no field is made in between."""
        moves: Moves | None = attention.of_gaussians(self.in_axes)
        return moves and moved_by(moves, self.in_axes, *self.factor.shape[-2:])

    def derivatives(
        self, field: VelocityField, velocity: Array
    ) -> tuple[Array, Array, Array] | None:
        """Return the derivatives of the velocity, of `growth` and of `turning` by coordinates.

        Shapes (..., N, N), a row a coordinate, (..., N) and (..., N); None if the field has none.
        """
        along, (d, r) = _affine(field).along(), self.factor.shape[-2:]
        if along is None or _affine(field).motion is None:
            return None
        by = np.eye(d + d * r + r)
        dm, dX, ds = by[:, :d], by[:, d:-r].reshape(-1, d, r), by[:, -r:]
        drift, dBX = along(dm, dX, ds)
        X, s, BX = self.factor, self.log_scales, _affine(field).moves(self.mean, self.factor)[1]
        if self.in_axes:
            turning, growth = graded_motion_along(X, s, BX, (dX, ds), dBX)
            shares = shares_of(np.where(X.any(axis=-2), s, -np.inf))[..., None, :]
            rates = velocity[..., None, -r:]
            tilt = ds - (shares * ds).sum(axis=-1, keepdims=True)
            size = (shares * (growth + tilt * rates)).sum(axis=-1)
        else:
            turning, growth = common_motion_along(X, BX, (dX, ds), dBX)
            size = growth[..., -1]
        flat = turning.reshape(*turning.shape[:-2], -1)
        columns, speed = velocity[..., None, d:-r], self.turning(velocity)[..., None]
        turn = ratio((columns * flat).sum(axis=-1), speed)
        stack = flat.shape[:-1]
        whole = [np.broadcast_to(a, (*stack, a.shape[-1])) for a in (drift, flat, growth)]
        return np.concatenate(whole, axis=-1), size, turn

    def tolerance_scale(self, most: float) -> Array | float:
        """Return by what the tolerance of each coordinate may exceed that of the largest.

        A short column matters to the covariance by its length only; but however short it is, its
        tolerance is no larger than `most` times that of the longest.
        """
        if not self.in_axes:
            return 1.0
        s = self.log_scales
        short = np.exp(np.minimum((s.max(axis=-1, keepdims=True) - s) / 2, np.log(most)))
        columns = np.broadcast_to(short[..., None, :], self.factor.shape)
        parts = [np.ones(self.mean.shape), columns.reshape(*self.stack, -1), short]
        return np.concatenate(parts, axis=-1)

    def needs_principal_axes(self) -> Array:
        """Return which cases are better continued from `principal`, shape (...)."""
        if self.factor.shape[-1] == 1:
            return np.zeros(self.stack, dtype=bool)
        if self.in_axes:
            return far_from_orthogonal(self.factor, self.log_scales)
        return nearly_singular(self.factor)

    def push(self, field: VelocityField, step: float) -> Gaussian:
        """Return the exact push-forward by the affine map x -> x + step * field(x)."""
        mean_velocity, BX = _affine(field).moves(self.mean, self.factor)
        pushed = Gaussian.trusted(
            self.mean + step * mean_velocity, self.factor + step * BX, self.log_scales
        )
        return pushed.prepared()

    def rate(self, velocity: Array) -> Array:
        """Return the relative speed of the factor."""
        d, r = self.factor.shape[-2:]
        turning = velocity[..., d:-r].reshape(self.factor.shape)
        speeds = np.hypot(ratio(lengths(turning), lengths(self.factor)), velocity[..., -r:] / 2)
        return lengths(np.sqrt(shares_of(self._logs())) * speeds, axis=-1)

    def turning(self, velocity: Array) -> Array:
        """Return the speed of the columns, whose lengths stay about one."""
        columns = velocity[..., self.factor.shape[-2] : -self.factor.shape[-1]]
        return np.asarray(np.sqrt(inner(columns, columns)))

    def growth(self, velocity: Array) -> Array:
        """Return d log tr(covariance) / dt, shape (...)."""
        if not self.in_axes:
            return velocity[..., -1]  # all columns have one
        # In axes a column is of length one, or zero.
        logs = np.where(self.factor.any(axis=-2), self.log_scales, -np.inf)
        return (shares_of(logs) * velocity[..., -self.factor.shape[-1] :]).sum(axis=-1)

    def relative_speed(self, velocity: Array) -> Array:
        """Return the norm of the covariance's derivative over its norm, shape (...)."""
        d, r = self.factor.shape[-2:]
        turning = velocity[..., d:-r].reshape(self.factor.shape)
        X = self._at_trace_one(self.factor)
        BX = self._at_trace_one(turning + velocity[..., None, -r:] / 2 * self.factor)
        rate = BX @ X.mT
        rate, Sigma = rate + rate.mT, X @ X.mT
        speed, size = (lengths(M.reshape(*self.stack, -1), axis=-1) for M in (rate, Sigma))
        return np.asarray(ratio(speed, size))


def _affine(field: VelocityField) -> AffineField:
    if not isinstance(field, AffineField):
        raise TypeError(
            "advect: only an affine field keeps a Gaussian Gaussian; "
            f"got {type(field).__name__}. Sample the measure first: measure.sample(n, seed)."
        )
    return field
