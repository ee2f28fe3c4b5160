r"""Probability measures on R^d, and how a velocity field moves them.

A measure has coordinates: `pack` writes them in one vector, `unpack` reads them back, and
`advect(field)` is their time derivative when every point of the measure follows the field.
`push(field, step)` applies one residual layer $x \mapsto x + h\,\Gamma(x)$ exactly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy import special

from transpde.axes import common_motion, graded_motion, leaning, principal_axes, thin
from transpde.checks import (
    Array,
    covariance_matrix,
    finite_array,
    frozen,
    generator,
    positive_integer,
    probability_weights,
    same_size,
)
from transpde.fields import AffineField, VelocityField

__all__ = ["Gaussian", "Measure", "Particles"]

LARGEST_RULE = 10_000_000  # points of a quadrature rule


class Measure(ABC):
    """A probability measure with coordinates that a velocity field can move."""

    stack: tuple[int, ...] = ()

    @property
    @abstractmethod
    def dimension(self) -> int:
        """The dimension d of the space."""

    @abstractmethod
    def pack(self) -> Array:
        """Return the coordinates as an array (..., N), leading axes those of the stack."""

    @abstractmethod
    def unpack(self, state: Array) -> Self:
        """Return the measure of the same kind with coordinates `state`."""

    @abstractmethod
    def advect(self, field: VelocityField) -> Array:
        """Return the time derivative of the coordinates under a velocity field."""

    @abstractmethod
    def push(self, field: VelocityField, step: float) -> Self:
        """Return the push-forward by x -> x + step * field(x)."""

    def prepared(self) -> Self:
        """Return the same measure with the coordinates that a flow begins with."""
        return self

    def slack(self, most: float) -> Array | float:
        """Return by what the tolerance of each coordinate may exceed that of the largest."""
        return 1.0

    def crooked(self) -> Array:
        """Return which cases of a stack are better continued from `principal`, shape (...)."""
        return np.zeros(self.stack, dtype=bool)

    def principal(self) -> Self:
        """Return the same measure with coordinates that stand apart."""
        return self

    def marked(self, in_axes: bool) -> Self:
        """Return the same measure, known to come from `principal` or not."""
        return self

    @abstractmethod
    def rate(self, field: VelocityField, velocity: Array) -> Array:
        """Return the relative speed of the coordinates, which sets the first time scale of `flow`.

        `velocity` is `advect(field)`, so that none computes it twice.
        """

    @abstractmethod
    def growth(self, field: VelocityField, velocity: Array) -> Array:
        """Return the growth d log(size) / dt that is infinite at a blow-up."""

    @abstractmethod
    def relative_speed(self, field: VelocityField, velocity: Array) -> Array:
        """Return the speed relative to the size, for the test of a stationary state."""


@dataclass(frozen=True, eq=False)
class Particles(Measure):
    r"""Weighted tokens $\mu = \sum_i w_i \delta_{x_i}$, with positions for masked attention.

    Args:
        points: tokens, shape (n, d), one a row.
        weights: shape (n,), non-negative with sum one; 1/n each when left out.
        positions: shape (n,), the place of each token in its sequence; they do not move. Equal
            positions share a level. None when left out.

    Raises:
        ValueError: entries that are not finite, wrong shapes, weights that are not a probability.

    Example:
        >>> import transpde as tp
        >>> tp.Particles([[0.0, 0.0], [2.0, 4.0]]).mean
        array([1., 2.])
    """

    points: Array
    weights: Array
    positions: Array | None

    def __init__(self, points: Any, weights: Any = None, positions: Any = None) -> None:
        x = finite_array("points", points, "n d")
        n = x.shape[0]
        w = np.full(n, 1.0 / n) if weights is None else probability_weights("weights", weights, n)
        s = None if positions is None else finite_array("positions", positions, "n")
        if s is not None:
            same_size("positions", len(s), "points", n, "length")
        self._set(x, frozen(w), s)

    def _set(self, points: Array, weights: Array, positions: Array | None) -> None:
        object.__setattr__(self, "points", frozen(points[...]))
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "positions", positions)

    def at(self, points: Array) -> Particles:
        """Return particles of the same weights and positions at other points, without a check."""
        # The solver may pass NaN when a step fails, and then shortens the step.
        particles = object.__new__(Particles)
        particles._set(points, self.weights, self.positions)
        return particles

    @property
    def origin(self) -> Array:
        """A point (d,) near the tokens that a causal mask hides from none of them.

        It is the mean, or with positions the first token.
        """
        return self.mean if self.positions is None else self.points[np.argmin(self.positions)]

    def velocities(self, field: VelocityField) -> Array:
        """Return the velocities of the tokens, shape (n, d)."""
        return field(self.points) if self.positions is None else field(self.points, self.positions)

    @property
    def dimension(self) -> int:
        """The dimension d of the space."""
        return int(self.points.shape[1])

    @property
    def mean(self) -> Array:
        """The mean, shape (d,)."""
        return self.weights @ self.points

    @property
    def covariance(self) -> Array:
        """The covariance, shape (d, d)."""
        centred = self.points - self.mean
        return (centred.T * self.weights) @ centred

    def sample(self, n: int, seed: int | np.random.Generator) -> Particles:
        """Return `n` independent draws as particles of equal weight."""
        n = positive_integer("n", n)
        chosen = generator("seed", seed).choice(len(self.points), size=n, p=self.weights)
        positions = None if self.positions is None else self.positions[chosen]
        return Particles(self.points[chosen], positions=positions)

    def pack(self) -> Array:
        """Return the points as one vector."""
        return self.points.ravel()

    def unpack(self, state: Array) -> Particles:
        """Return particles of the same weights and positions at the points in `state`."""
        return self.at(state.reshape(self.points.shape))

    def advect(self, field: VelocityField) -> Array:
        """Return the velocities of the points as one vector."""
        return self.velocities(field).ravel()

    def push(self, field: VelocityField, step: float) -> Particles:
        """Return the particles after x -> x + step * field(x)."""
        return self.at(self.points + step * self.velocities(field))

    def rate(self, field: VelocityField, velocity: Array) -> Array:
        """Return the root mean square speed over the root mean square size."""
        return np.asarray(_ratio(np.linalg.norm(velocity), np.linalg.norm(self.points)))

    def growth(self, field: VelocityField, velocity: Array) -> Array:
        """Return d log(sum of |x|^2) / dt."""
        x = self.points.ravel()
        return np.asarray(_ratio(2 * x @ velocity, x @ x))

    def relative_speed(self, field: VelocityField, velocity: Array) -> Array:
        """Return the root mean square speed over the root mean square size."""
        return self.rate(field, velocity)


@dataclass(frozen=True, eq=False)
class Gaussian(Measure):
    r"""Gaussian $N(m, \Sigma)$ with $\Sigma = \sum_j e^{s_j} x_j x_j^\top$, of any rank.

    The factor keeps the covariance positive semidefinite and its rank at most r without any
    projection. Each column $x_j$ has a scale of its own, so that a covariance may be far larger
    or smaller than a float, or both at once in two directions.

    Args:
        mean: m, shape (..., d); leading axes make a stack of Gaussians.
        factor: X, shape (..., d, r), any r >= 1, with the columns $x_j$.
        log_scale: one s for all columns, shape (...); 0 when left out.

    Attributes:
        log_scales: the $s_j$, shape (..., r).

    Raises:
        ValueError: entries that are not finite, shapes that do not match.

    Example:
        >>> import transpde as tp
        >>> tp.Gaussian(mean=[0.0, 0.0], factor=[[1.0], [2.0]]).covariance
        array([[1., 2.],
               [2., 4.]])
    """

    mean: Array
    factor: Array
    log_scales: Array
    in_axes: bool  # the columns are, nearly, orthonormal: principal axes

    def __init__(self, mean: Any, factor: Any, log_scale: Any = 0.0) -> None:
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
    def from_covariance(cls, mean: Any, covariance: Any) -> Gaussian:
        r"""Return the Gaussian of given mean (..., d) and covariance (..., d, d).

        The factor has as many columns as the largest rank in the stack: eigenvalues under
        $d \cdot 2^{-52}$ of the largest count as zero.

        Raises:
            ValueError: a covariance that is not symmetric positive semidefinite.
        """
        Sigma = covariance_matrix("covariance", covariance)
        size = np.abs(Sigma).max(axis=(-2, -1), keepdims=True)
        values, vectors = np.linalg.eigh(_ratio(Sigma, size))
        floor = Sigma.shape[-1] * np.finfo(float).eps * values[..., -1:]
        kept = np.where(values > floor, values, 0.0)
        rank = max(1, int((kept > 0).sum(axis=-1).max()))
        factor = np.sqrt(size) * (vectors * np.sqrt(kept)[..., None, :])[..., -rank:]
        return cls(mean, factor)

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
        with np.errstate(over="ignore", invalid="ignore"):
            return self.factor * np.exp(self.log_scales / 2)[..., None, :]

    @property
    def covariance(self) -> Array:
        """The covariance, shape (..., d, d); `OverflowError` where a float cannot hold it."""
        with np.errstate(over="ignore", invalid="ignore"):
            X = self.scaled_factor
            Sigma = X @ np.swapaxes(X, -2, -1)
        if not np.isfinite(Sigma[np.isfinite(self.pack()).all(axis=-1)]).all():
            raise OverflowError(
                "covariance: larger than a floating point number holds; "
                "use `direction` (covariance over trace) and `log_size` (log of the trace)."
            )
        return Sigma

    @property
    def direction(self) -> Array:
        """The covariance over its trace, shape (..., d, d); zero for a point mass."""
        X = self._unit_factor()
        return X @ np.swapaxes(X, -2, -1)

    @property
    def log_size(self) -> Array:
        """The logarithm of the trace of the covariance, shape (...)."""
        columns = self.log_scales + 2 * _logs(_lengths(self.factor))
        return np.asarray(special.logsumexp(columns, axis=-1))

    def _unit_factor(self) -> Array:
        """Return the factor, scales included, over the root of the trace."""
        lengths, size = _lengths(self.factor), self.log_size
        size = np.where(np.isneginf(size), 0.0, size)
        logs = self.log_scales / 2 + _logs(lengths) - size[..., None] / 2
        return _ratio(self.factor, lengths[..., None, :]) * np.exp(logs)[..., None, :]

    def normalised(self) -> Gaussian:
        """Return the same Gaussian with a factor of Frobenius norm 1 and at most d columns.

        A zero factor is kept.
        """
        size = self.log_size
        size = np.where(np.isneginf(size), 0.0, size)
        X = self._unit_factor()
        if X.shape[-1] > self.dimension:
            finite = np.isfinite(X).all(axis=(-2, -1), keepdims=True)
            U, lengths, _ = np.linalg.svd(np.where(finite, X, 0.0), full_matrices=False)
            X = np.where(finite, U * lengths[..., None, :], np.nan)
        return Gaussian.trusted(self.mean, X, np.repeat(size[..., None], X.shape[-1], axis=-1))

    def principal(self) -> Gaussian:
        """Return the same Gaussian in its principal axes: orthonormal columns, the longest first.

        A column of length zero is zero. With a scale for each axis a covariance of any shape keeps
        its digits, and so do its products with the matrices of an attention.
        """
        finite = np.asarray(np.isfinite(self.pack()).all(axis=-1))
        X = np.where(finite[..., None, None], self.factor, 0.0)
        s = np.where(finite[..., None], self.log_scales, 0.0)
        Y, logs = principal_axes(X, s)
        return Gaussian.trusted(
            self.mean, Y, np.where(finite[..., None], logs, np.nan), in_axes=True
        )

    def prepared(self) -> Gaussian:
        """Return the same Gaussian as a flow begins with it: in its principal axes if thin."""
        s = self.log_scales
        one_scale = (s == s[..., :1]) | ~np.isfinite(self.pack()).all(axis=-1, keepdims=True)
        unit = self.normalised()
        return unit if one_scale.all() and not unit.crooked().any() else self.principal()

    def marked(self, in_axes: bool) -> Gaussian:
        """Return the same Gaussian, known to be in its principal axes or not known to be."""
        return Gaussian.trusted(self.mean, self.factor, self.log_scales, in_axes)

    def __getitem__(self, case: Any) -> Gaussian:
        """Return the chosen case, or cases, of a stack."""
        if not self.stack:
            raise TypeError("a single Gaussian has no cases to choose from.")
        if np.size(self.log_scales[case]) == 0:
            raise ValueError("case: must choose at least one case of the stack; got none.")
        return Gaussian.trusted(
            self.mean[case], self.factor[case], self.log_scales[case], self.in_axes
        )

    def _single(self, task: str) -> None:
        if self.stack:
            raise ValueError(
                f"{task} needs a single Gaussian; got a stack of shape {self.stack}. "
                "Choose a case first: measure[0]."
            )

    def sample(self, n: int, seed: int | np.random.Generator) -> Particles:
        """Return `n` independent draws as particles of equal weight."""
        self._single("sample")
        n = positive_integer("n", n)
        X = self.scaled_factor
        return Particles(self.mean + generator("seed", seed).normal(size=(n, X.shape[1])) @ X.T)

    def quadrature(self, nodes: int) -> Particles:
        """Return the tensor Gauss-Hermite rule of `nodes` points an axis as weighted particles.

        It has nodes**r points for a factor of r columns and integrates polynomials up to degree
        2 * nodes - 1 in each of the r coordinates exactly.
        """
        self._single("quadrature")
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
        factor = self.factor.reshape(*self.stack, -1)
        return np.concatenate([self.mean, factor, self.log_scales], axis=-1)

    def unpack(self, state: Array) -> Gaussian:
        """Return Gaussians of the same dimension and number of factor columns."""
        d, r = self.factor.shape[-2:]
        factor = state[..., d : d + d * r].reshape(*state.shape[:-1], d, r)
        return Gaussian.trusted(state[..., :d], factor, state[..., -r:])

    def advect(self, field: VelocityField) -> Array:
        r"""Return $(\dot m, \dot X, \dot s)$ as one vector a case.

        The mean has $\dot m = Bm + c$; `common_motion` and `graded_motion` say how the growth of
        the factor goes into s, so that no number overflows when the covariance does.
        """
        mean_velocity, BX = _affine(field).moves(self.mean, self.factor)
        motion = graded_motion if self.in_axes else common_motion
        turning, growth = motion(self.factor, self.log_scales, BX)
        flat = turning.reshape(*turning.shape[:-2], -1)
        return np.concatenate([mean_velocity, flat, growth], axis=-1)

    def slack(self, most: float) -> Array | float:
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

    def crooked(self) -> Array:
        """Return which cases are better continued from `principal`, shape (...)."""
        if self.factor.shape[-1] == 1:
            return np.zeros(self.stack, dtype=bool)
        if self.in_axes:
            return leaning(self.factor, self.log_scales)
        return thin(self.factor)

    def push(self, field: VelocityField, step: float) -> Gaussian:
        """Return the exact push-forward by the affine map x -> x + step * field(x)."""
        mean_velocity, BX = _affine(field).moves(self.mean, self.factor)
        pushed = Gaussian.trusted(
            self.mean + step * mean_velocity, self.factor + step * BX, self.log_scales
        )
        return pushed.prepared()

    def _shares(self) -> Array:
        """Return the share of each column in the trace, shape (..., r)."""
        depth = self.log_scales - self.log_scales.max(axis=-1, keepdims=True)
        lengths = 1.0 if self.in_axes else _lengths(self.factor)
        shares = np.exp(depth) * lengths**2
        return np.asarray(_ratio(shares, shares.sum(axis=-1, keepdims=True)))

    def rate(self, field: VelocityField, velocity: Array) -> Array:
        """Return the relative speed of the factor."""
        d, r = self.factor.shape[-2:]
        turning = velocity[..., d:-r].reshape(self.factor.shape)
        speeds = np.hypot(_ratio(_lengths(turning), _lengths(self.factor)), velocity[..., -r:] / 2)
        return _lengths((np.sqrt(self._shares()) * speeds)[..., None])[..., 0]

    def growth(self, field: VelocityField, velocity: Array) -> Array:
        """Return d log tr(covariance) / dt, shape (...)."""
        if not self.in_axes:
            return velocity[..., -1]  # all columns have one
        return (self._shares() * velocity[..., -self.factor.shape[-1] :]).sum(axis=-1)

    def relative_speed(self, field: VelocityField, velocity: Array) -> Array:
        """Return the norm of the covariance's derivative over its norm, shape (...)."""
        X = self._unit_factor()
        scales = _ratio(_lengths(X), _lengths(self.factor))
        BX = _affine(field).moves(self.mean, self.factor)[1] * scales[..., None, :]
        rate = BX @ np.swapaxes(X, -2, -1)
        return _ratio(_norm(rate + np.swapaxes(rate, -2, -1)), _norm(self.direction))


def _affine(field: VelocityField) -> AffineField:
    if not isinstance(field, AffineField):
        raise TypeError(
            "advect: only an affine field keeps a Gaussian Gaussian; "
            f"got {type(field).__name__}. Sample the measure first: measure.sample(n, seed)."
        )
    return field


def _norm(matrix: Array) -> Array:
    """Return the Frobenius norms of a stack of matrices; no square overflows or underflows."""
    largest = np.abs(matrix).max(axis=(-2, -1))
    scaled = _ratio(matrix, largest[..., None, None])
    return largest * np.sqrt((scaled**2).sum(axis=(-2, -1)))


def _logs(lengths: Array) -> Array:
    """Return the logarithms, -inf for a length of zero."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(lengths))


def _lengths(factor: Array) -> Array:
    """Return the lengths of the columns; no square overflows or underflows."""
    largest = np.abs(factor).max(axis=-2)
    scaled = _ratio(factor, largest[..., None, :])
    return np.asarray(largest * np.sqrt((scaled**2).sum(axis=-2)))


def _ratio(a: Any, b: Any) -> Any:
    """Return a / b, and 0 where b is 0: a point mass neither moves its shape nor grows."""
    return np.divide(a, np.where(b == 0, 1.0, b))
