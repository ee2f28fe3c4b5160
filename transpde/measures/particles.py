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

from transpde.checks import (
    Array,
    finite_array,
    frozen,
    generator,
    positive_integer,
    probability_weights,
    same_size,
)
from transpde.fields import VelocityField
from transpde.measures.axes import ratio

__all__ = ["Measure", "Particles"]


class Measure(ABC):
    """A probability measure with coordinates that a velocity field can move."""

    stack: tuple[int, ...] = ()  # leading axes of a stack of measures
    in_axes: bool = False  # its coordinates are known to come from `principal`

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

    def turning(self, field: VelocityField, velocity: Array) -> Array:
        """Return about how fast the shape changes, which steadies the clock of `flow`."""
        return self.rate(field, velocity)

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
        return np.asarray(ratio(np.linalg.norm(velocity), np.linalg.norm(self.points)))

    def growth(self, field: VelocityField, velocity: Array) -> Array:
        """Return d log(sum of |x|^2) / dt."""
        x = self.points.ravel()
        return np.asarray(ratio(2 * x @ velocity, x @ x))

    def relative_speed(self, field: VelocityField, velocity: Array) -> Array:
        """Return the root mean square speed over the root mean square size."""
        return self.rate(field, velocity)
