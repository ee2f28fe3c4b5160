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

    def normalised(self) -> Self:
        """Return the same measure with coordinates of order one where that is free."""
        return self

    @abstractmethod
    def push(self, field: VelocityField, step: float) -> Self:
        """Return the push-forward by x -> x + step * field(x)."""

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
    r"""Gaussian $N(m, \Sigma)$ with $\Sigma = e^{s} X X^\top$, of any rank.

    The factor keeps the covariance positive semidefinite and its rank at most r without any
    projection; the scale s lets a covariance be far larger or smaller than a float.

    Args:
        mean: m, shape (..., d); leading axes make a stack of Gaussians.
        factor: X, shape (..., d, r), any r >= 1.
        log_scale: s, shape (...); 0 when left out.

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
    log_scale: Array

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
            np.broadcast_to(s, stack),
        )

    def _set(self, mean: Array, factor: Array, log_scale: Array) -> None:
        for name, array in (("mean", mean), ("factor", factor), ("log_scale", log_scale)):
            object.__setattr__(self, name, frozen(np.asarray(array)[...]))

    @classmethod
    def trusted(cls, mean: Array, factor: Array, log_scale: Array) -> Gaussian:
        """Make a Gaussian from arrays that are already checked (inside a solver step)."""
        gaussian = object.__new__(cls)
        gaussian._set(mean, factor, log_scale)
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
    def covariance(self) -> Array:
        """The covariance, shape (..., d, d); `OverflowError` where a float cannot hold it."""
        with np.errstate(over="ignore", invalid="ignore"):
            X = self.factor * np.exp(self.log_scale / 2)[..., None, None]
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
        X = self.normalised().factor
        return X @ np.swapaxes(X, -2, -1)

    @property
    def log_size(self) -> Array:
        """The logarithm of the trace of the covariance, shape (...)."""
        unit = self.normalised()
        empty = (unit.factor == 0).all(axis=(-2, -1))
        return np.where(empty, -np.inf, unit.log_scale)

    def _square_norm(self) -> Array:
        return (self.factor**2).sum(axis=(-2, -1))

    def normalised(self) -> Gaussian:
        """Return the same Gaussian with a factor of Frobenius norm 1 (a zero factor is kept)."""
        largest = np.abs(self.factor).max(axis=(-2, -1))  # first, so that no square overflows
        X = _ratio(self.factor, largest[..., None, None])
        norm = np.sqrt((X**2).sum(axis=(-2, -1)))
        X = _ratio(X, norm[..., None, None])
        logs = np.log(np.where(largest == 0, 1.0, largest)) + np.log(
            np.where(norm == 0, 1.0, norm)
        )
        return Gaussian.trusted(self.mean, X, self.log_scale + 2 * logs)

    def __getitem__(self, case: Any) -> Gaussian:
        """Return the chosen case, or cases, of a stack."""
        if not self.stack:
            raise TypeError("a single Gaussian has no cases to choose from.")
        if np.size(self.log_scale[case]) == 0:
            raise ValueError("case: must choose at least one case of the stack; got none.")
        return Gaussian.trusted(self.mean[case], self.factor[case], self.log_scale[case])

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
        X = self.factor * np.exp(self.log_scale / 2)
        return Particles(self.mean + generator("seed", seed).normal(size=(n, X.shape[1])) @ X.T)

    def quadrature(self, nodes: int) -> Particles:
        """Return the tensor Gauss-Hermite rule of `nodes` points an axis as weighted particles.

        It has nodes**r points for a factor of r columns and integrates polynomials up to degree
        2 * nodes - 1 in each of the r coordinates exactly.
        """
        self._single("quadrature")
        X = self.factor * np.exp(self.log_scale / 2)
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
        """Return (m, X, s) as one vector a case, shape (..., d + d r + 1)."""
        factor = self.factor.reshape(*self.stack, -1)
        return np.concatenate([self.mean, factor, self.log_scale[..., None]], axis=-1)

    def unpack(self, state: Array) -> Gaussian:
        """Return Gaussians of the same dimension and number of factor columns."""
        d, r = self.factor.shape[-2:]
        factor = state[..., d : d + d * r].reshape(*state.shape[:-1], d, r)
        return Gaussian.trusted(state[..., :d], factor, state[..., -1])

    def advect(self, field: VelocityField) -> Array:
        r"""Return $(\dot m, \dot X, \dot s) = (Bm + c,\; BX - bX,\; 2b)$ as one vector a case.

        The number $b = \langle X, BX\rangle/\|X\|_F^2$ sends all growth into s: the norm of the
        factor is kept, so that neither overflows when the covariance does.
        """
        mean_velocity, BX = _affine(field).moves(self.mean, self.factor)
        b = self._radial(BX)
        dX = BX - b[..., None, None] * self.factor
        parts = [mean_velocity, dX.reshape(*dX.shape[:-2], -1), 2 * b[..., None]]
        return np.concatenate(parts, axis=-1)

    def _radial(self, BX: Array) -> Array:
        inner = (self.factor * BX).sum(axis=(-2, -1))
        return _ratio(inner, self._square_norm())

    def push(self, field: VelocityField, step: float) -> Gaussian:
        """Return the exact push-forward by the affine map x -> x + step * field(x)."""
        mean_velocity, BX = _affine(field).moves(self.mean, self.factor)
        return Gaussian.trusted(
            self.mean + step * mean_velocity, self.factor + step * BX, self.log_scale
        )

    def rate(self, field: VelocityField, velocity: Array) -> Array:
        """Return the relative speed of the factor, the ratio of Frobenius norms of BX and X."""
        size, d = _norm(self.factor), self.dimension
        turning = velocity[..., d:-1].reshape(self.factor.shape)
        return np.hypot(_ratio(_norm(turning), size), velocity[..., -1] / 2)

    def growth(self, field: VelocityField, velocity: Array) -> Array:
        """Return d log tr(covariance) / dt, shape (...)."""
        return velocity[..., -1]

    def relative_speed(self, field: VelocityField, velocity: Array) -> Array:
        """Return the norm of the covariance's derivative over its norm, shape (...)."""
        unit = self.normalised()
        X, BX = unit.factor, _affine(field).moves(self.mean, self.factor)[1]
        BX = _ratio(BX, _norm(self.factor)[..., None, None])
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


def _ratio(a: Any, b: Any) -> Any:
    """Return a / b, and 0 where b is 0: a point mass neither moves its shape nor grows."""
    return np.divide(a, np.where(b == 0, 1.0, b))
