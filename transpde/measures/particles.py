"""Weighted tokens, or a stack of such clouds, in a space that they keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from transpde.checks import (
    Array,
    brief,
    case_axes,
    finite_array,
    frozen,
    generator,
    positive_integer,
    probability_weights,
    same_size,
    single_case,
)
from transpde.fields import VelocityField, evaluated, quiet
from transpde.measures.axes import lengths, ratio
from transpde.measures.base import Measure
from transpde.spaces import EUCLIDEAN, Space

__all__ = ["Particles"]

TINY = 1e-280  # a square that may have lost terms
MANY = 4096  # coordinates of a stack whose order in memory matters
SHORT = 4  # coordinates of a vector up to which it is quicker to copy them one by one


def _relative_roots(weights: Array) -> Array | None:
    """Return the roots of weights over the largest one; None where all are alike."""
    if (weights == weights.flat[0]).all():
        return None
    return np.asarray(np.sqrt(weights / weights.max(axis=-1, keepdims=True)))


def _in_planes(x: Array) -> Array:
    """Return points (b, n, d), if many, with one coordinate of all after the other in memory.

    Many thin arrays are slow: so their axes should not be the innermost ones.
    """
    if x.ndim != 3 or x.size <= MANY:
        return x
    return np.ascontiguousarray(x.transpose(2, 0, 1)).transpose(1, 2, 0)


def _in_rows(v: Array) -> Array:
    """Return vectors (..., n, d), if short, with the coordinates of each next to each other."""
    if v.strides[-1] == v.itemsize or v.shape[-1] > SHORT:
        return v
    return np.stack([v[..., j] for j in range(v.shape[-1])], axis=-1)


def _in_range(squares: Array) -> bool:
    """Return whether sums of squares have neither over- nor underflowed."""
    return bool(squares.min() > TINY and squares.max() < np.inf)


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Particles(Measure):
    r"""Weighted tokens $\mu = \sum_i w_i \delta_{x_i}$, with positions for masked attention.

    Args:
        points: tokens, shape (..., n, d), one a row; leading axes make a stack of clouds.
        weights: shape (n,) or (..., n), non-negative with sum one; 1/n each when left out.
        positions: shape (n,) or (..., n), the place of each token in its sequence; they do not
            move. Equal positions share a level. None when left out.
        space: `Euclidean()` or a `Sphere`: tokens lie in it, and flows and layers keep them in it.

    Raises:
        ValueError: entries that are not finite, wrong shapes, weights that are not a probability,
            tokens outside their space.
        TypeError: a space that is none.

    Example:
        >>> import transpde as tp
        >>> tp.Particles([[0.0, 0.0], [2.0, 4.0]]).mean
        array([1., 2.])
    """

    points: Array
    weights: Array
    positions: Array | None
    space: Space
    log_weights: Array  # -inf for a weight of zero
    _roots: Array | None

    def __init__(
        self,
        points: ArrayLike,
        weights: ArrayLike | None = None,
        positions: ArrayLike | None = None,
        space: Space = EUCLIDEAN,
    ) -> None:
        x = finite_array("points", points, "... n d")
        stack, n = x.shape[:-2], x.shape[-2]
        w = np.full(n, 1.0 / n) if weights is None else probability_weights("weights", weights, n)
        s = None if positions is None else finite_array("positions", positions, "... n")
        if s is not None:
            same_size("positions", s.shape[-1], "points", n, "length")
            s = case_axes("positions", s, 1, "points", stack)
        if not isinstance(space, Space):
            raise TypeError(
                f"space: must be Euclidean() or a Sphere(...); got {type(space).__name__}."
            )
        space.check("points", x)
        self._set(x, case_axes("weights", w, 1, "points", stack), s, space)

    def _set(self, points: Array, weights: Array, positions: Array | None, space: Space) -> None:
        with np.errstate(divide="ignore"):
            logs = np.log(weights)
        vars(self).update(
            points=frozen(points[...]),
            weights=frozen(weights),
            positions=None if positions is None else frozen(positions),
            space=space,
            log_weights=frozen(logs),
            _roots=_relative_roots(weights),
        )

    def __repr__(self) -> str:
        """Return the shapes and the space."""
        parts: dict[str, Any] = {"points": self.points, "positions": self.positions}
        if (self.weights != self.weights.flat[0]).any():
            parts["weights"] = self.weights
        return brief(self, parts | {"space": self.space})

    @classmethod
    def trusted(
        cls,
        points: Array,
        weights: Array,
        positions: Array | None = None,
        space: Space = EUCLIDEAN,
    ) -> Particles:
        """Make particles from arrays that are already checked."""
        particles = object.__new__(cls)
        particles._set(points, weights, positions, space)
        return particles

    def at(self, points: Array) -> Particles:
        """Return particles of the same weights, positions and space elsewhere, without a check."""
        # The solver may pass NaN when a step fails, and then shortens the step.
        particles = object.__new__(Particles)
        known = vars(particles)
        known.update(vars(self))
        known["points"] = points = points[...]
        points.flags.writeable = False
        return particles

    def __getitem__(self, case: Any) -> Particles:
        """Return the chosen case, or cases, of a stack."""
        if not self.stack:
            raise TypeError("a single cloud has no cases to choose from.")
        w = self.weights[case]
        if w.size == 0:
            raise ValueError("case: must choose at least one case of the stack; got none.")
        s = None if self.positions is None else self.positions[case]
        return Particles.trusted(self.points[case], w, s, self.space)

    def select(self, index: Array) -> Particles:
        """Return the chosen cases of a stack, counted along the flattened stack."""
        if not self.stack:
            return self
        where = np.unravel_index(index, self.stack)
        return self[where]

    @property
    def stack(self) -> tuple[int, ...]:  # type: ignore[override]
        """Leading axes of the stack, () for one cloud."""
        return self.points.shape[:-2]

    @property
    def dimension(self) -> int:
        """The dimension d of the space."""
        return self.points.shape[-1]

    @property
    def origin(self) -> Array:
        """A point (..., d) near the tokens that a causal mask hides from none of them.

        It is the mean, or with positions the first token that carries weight.
        """
        if self.positions is None:
            return self.mean
        first = np.argmin(np.where(self.weights > 0, self.positions, np.inf), axis=-1)
        return np.take_along_axis(self.points, first[..., None, None], axis=-2)[..., 0, :]

    @property
    @quiet
    def mean(self) -> Array:
        """The mean, shape (..., d)."""
        return (self.weights[..., None, :] @ self.points)[..., 0, :]

    @property
    @quiet
    def log_size(self) -> Array:
        """The logarithm of the mean of |x|^2, shape (...)."""
        with np.errstate(all="ignore"):
            square = (self.weights * (self.points**2).sum(axis=-1)).sum(axis=-1)
            if _in_range(square):
                return np.log(square)
            x = np.where(self.weights[..., None] > 0, self.points, 0.0)
            sizes = np.sqrt(self.weights) * lengths(x, axis=-1)
            return np.asarray(2 * np.log(lengths(sizes, axis=-1)))

    @property
    @quiet
    def covariance(self) -> Array:
        """The covariance, shape (..., d, d); `OverflowError` where a float cannot hold it."""
        x = np.where(self.weights[..., None] > 0, self.points, 0.0)
        with np.errstate(over="ignore", invalid="ignore"):
            centred = x - (self.weights[..., None, :] @ x)
            Sigma = (centred.mT * self.weights[..., None, :]) @ centred
        if not np.isfinite(Sigma[np.isfinite(x).all(axis=(-2, -1))]).all():
            raise OverflowError(
                "covariance: larger than a floating point number holds; divide the tokens by a "
                "number first."
            )
        return Sigma

    @quiet
    def sample(self, n: int, seed: int | np.random.Generator) -> Particles:
        """Return `n` independent draws as particles of equal weight."""
        single_case("sample", "a single cloud", self.stack)
        n = positive_integer("n", n)
        chosen = generator("seed", seed).choice(len(self.points), size=n, p=self.weights)
        positions = None if self.positions is None else self.positions[chosen]
        return Particles(self.points[chosen], positions=positions, space=self.space)

    # --- which field an attention makes of them ----------------------------------------------

    def field_of(self, head: Any, how: Any) -> VelocityField:
        """Return the field that a head makes of tokens, without a check."""
        return head._token_field(self, how)

    def check_for(self, head: Any) -> None:
        """Raise unless a head has a field for these tokens."""
        head._check_tokens(self)

    # --- coordinates, and how a field moves them ---------------------------------------------

    def velocities(self, field: VelocityField) -> Array:
        """Return the velocities of the tokens in their space, shape (..., n, d)."""
        return self.space.tangent(self.points, evaluated(field, self.points, self.positions))

    def pack(self) -> Array:
        """Return the points as one vector a case, shape (..., n d)."""
        return self._flat(self.points)

    def unpack(self, state: Array) -> Particles:
        """Return particles of the same weights and positions at the points in `state`.

        The points are put back in the space. Axes of `state` before those of the stack, such as
        one of times, become axes of a larger stack.
        """
        points = state.reshape(*state.shape[:-1], *self.points.shape[-2:])
        there = self.at(self.space.retract(_in_planes(points)))
        if points.ndim == self.points.ndim:
            return there
        w, s, n = self.weights, self.positions, points.shape[:-1]
        return Particles.trusted(
            there.points,
            np.broadcast_to(w, n),
            None if s is None else np.broadcast_to(s, n),
            self.space,
        )

    def _flat(self, values: Array) -> Array:
        return values.reshape(*values.shape[:-2], -1)

    def advect(self, field: VelocityField) -> Array:
        """Return the velocities of the points as one vector a case."""
        return self._flat(self.velocities(field))

    def mover(self, attention: Any, how: Any) -> Callable[[Array], Array]:
        """Return the map from points to their velocities, a vector a case."""
        velocities, cloud, space = attention.among(self, how), self.points.shape[-2:], self.space

        def moved(state: Array) -> Array:
            x = state.reshape(*state.shape[:-1], *cloud)
            x = space.retract(_in_planes(x))
            return _in_rows(space.tangent(x, velocities(x))).reshape(state.shape)

        return moved

    def push(self, field: VelocityField, step: float) -> Particles:
        """Return the particles after x -> x + step * field(x), put back in their space."""
        return self.at(self.space.retract(self.points + step * self.velocities(field)))

    def rate(self, velocity: Array) -> Array:
        """Return the root mean square speed over the root mean square size, shape (...)."""
        x, velocity = self._by_weight(self.pack()), self._by_weight(velocity)
        with np.errstate(all="ignore"):
            sizes = np.linalg.norm(velocity, axis=-1), np.linalg.norm(x, axis=-1)
        if not all(_in_range(size**2) for size in sizes):
            sizes = lengths(velocity, axis=-1), lengths(x, axis=-1)
        return np.asarray(ratio(*sizes))

    def growth(self, velocity: Array) -> Array:
        """Return d log(mean of |x|^2) / dt, shape (...)."""
        x, velocity = self._by_weight(self.pack()), self._by_weight(velocity)
        square = np.einsum("...i,...i->...", x, x)
        if not _in_range(square):
            size = np.abs(x).max(axis=-1, keepdims=True)
            x, velocity = ratio(x, size), ratio(velocity, size)
            square = np.einsum("...i,...i->...", x, x)
        return np.asarray(ratio(2 * np.einsum("...i,...i->...", velocity, x), square))

    def _by_weight(self, vectors: Array) -> Array:
        """Return vectors (..., n d) times the roots of the weights over the largest one."""
        roots = self._roots
        if roots is None:
            return vectors
        some = vectors.reshape(*vectors.shape[:-1], roots.shape[-1], -1)
        some = np.where(roots[..., None] > 0, some, 0.0)  # what has no mass may be at infinity
        return self._flat(some * roots[..., None])
