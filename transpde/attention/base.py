"""What every attention is: a map from a measure to a velocity field."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from transpde.checks import Array, Unchanging, same_size
from transpde.fields import AffineField, CalledField, Field, VelocityField, quick, quiet
from transpde.kernels import Evaluation, evaluation
from transpde.measures import Measure, Particles

__all__ = ["Attention", "WithFeedForward"]


class Attention(Unchanging, ABC):
    """A map from a measure to a velocity field: `attention(measure)(x)`."""

    @quick
    def __call__(
        self, measure: Measure, method: str = "auto", tol: float = 1e-10
    ) -> VelocityField:
        """Return the velocity field on all of space that the measure creates.

        Args:
            measure: Particles, a Gaussian or a Grid.
            method: how sums over Particles are evaluated. "exact": one by one, in time n m for m
                targets. "interpolated": softmax, L2, Sinkhorn and masked softmax sums in at most
                three dimensions from Chebyshev nodes or a separable expansion, in time n + m;
                each call is checked on exact sums and falls back to them. "auto": whichever is
                faster, exact for fewer than 2048 tokens.
            tol: the largest error of a method that is not exact, relative to the largest sum,
                measured from zero and from the middle of the tokens.

        Raises:
            TypeError: a kind of measure for which this attention has no field.
            ValueError: a measure of another dimension than the parameters, an unknown method, a
                tolerance that is not positive.
        """
        how = evaluation(method, tol)
        self.check(measure)
        return self.field(measure, how)

    def check(self, measure: Measure) -> None:
        """Raise unless this attention has a field for the measure; no field is evaluated.

        Raises:
            TypeError: something that is no measure, a kind of measure that has no field here.
            ValueError: a measure of another dimension than the parameters, leading axes that do
                not match, a masked attention and tokens without positions.
        """
        if not isinstance(measure, Measure):
            raise TypeError(
                f"measure: must be Particles, a Gaussian or a Grid; got {type(measure).__name__}."
            )
        same_size("measure", measure.dimension, "the attention", self.dimension, "dimension")
        self._check_kind(measure)

    @abstractmethod
    def field(self, measure: Measure, how: Evaluation) -> VelocityField:
        """Return the velocity field of a measure that `check` has passed, without a check."""

    @abstractmethod
    def _check_kind(self, measure: Measure) -> None:
        """Raise unless the kind of the measure and its stack fit."""

    @quiet
    def matrix(self, measure: Particles) -> Array:
        r"""Return the attention matrix P, (..., n, n): row i holds what token i takes of each.

        The velocity of token i is $V\sum_j P_{ij} x_j$. Heads come first, (h, ..., n, n). Rows
        sum to one for normalised attentions.

        Raises:
            TypeError: a measure that is not Particles.
            ValueError: a measure of another dimension than the parameters.
        """
        if not isinstance(measure, Particles):
            raise TypeError(
                f"matrix: needs Particles; got {type(measure).__name__}. "
                "Sample the measure first: measure.sample(n, seed)."
            )
        self.check(measure)
        return self._matrix(measure)

    @property
    @abstractmethod
    def dimension(self) -> int:
        """The dimension d of the tokens."""

    @abstractmethod
    def _matrix(self, measure: Particles) -> Array: ...

    @abstractmethod
    def select(self, stack: tuple[int, ...], index: Array) -> Attention:
        """Return the attention of the chosen cases of a stack."""

    def __add__(self, other: Any) -> Attention:
        """Return the attention followed by a feed-forward term: the fields add."""
        if isinstance(other, Attention | type) or not callable(other):
            return NotImplemented
        return WithFeedForward(self, other)

    __radd__ = __add__


@dataclass(frozen=True, eq=False)
class WithFeedForward(Attention):
    r"""An attention with a feed-forward part, $\Gamma_\mu(x) + f(x)$.

    The part is an `AffineField`, or any function of points (..., n, d) with as many velocities.
    """

    attention: Attention
    feed_forward: Any

    def __post_init__(self) -> None:
        if isinstance(self.feed_forward, AffineField):
            size = self.feed_forward.linear.shape[-1]
            same_size("feed_forward", size, "the attention", self.dimension, "dimension")

    @cached_property
    def _term(self) -> Field:
        term = self.feed_forward
        return term if isinstance(term, Field) else CalledField(term, self.dimension)

    @property
    def dimension(self) -> int:
        """The dimension d of the tokens."""
        return self.attention.dimension

    def field(self, measure: Measure, how: Evaluation) -> VelocityField:
        """Return the sum of both fields."""
        return self.attention.field(measure, how) + self._term  # type: ignore[operator]

    def _check_kind(self, measure: Measure) -> None:
        self.attention._check_kind(measure)
        measure.check_for(self)

    def _check_tokens(self, measure: Measure) -> None:
        axes = self.feed_forward.stack if isinstance(self.feed_forward, AffineField) else ()
        if axes and axes != measure.stack:
            raise ValueError(
                "feed_forward: its leading axes must match those of the measure, "
                f"{measure.stack}; got {axes}."
            )

    def _check_gaussian(self, measure: Measure) -> None:
        self._check_tokens(measure)
        if not isinstance(self.feed_forward, AffineField):
            raise TypeError(
                "measure: only an affine feed-forward part keeps a Gaussian Gaussian; got "
                f"{type(self.feed_forward).__name__}. Give an AffineField, or sample the measure "
                "first: measure.sample(n, seed)."
            )

    def _check_grid(self, measure: Measure) -> None:
        self._check_tokens(measure)

    def _matrix(self, measure: Particles) -> Array:
        return self.attention._matrix(measure)

    def select(self, stack: tuple[int, ...], index: Array) -> WithFeedForward:
        """Return the chosen cases of a stack."""
        part = self.feed_forward
        if isinstance(part, AffineField):
            part = part.select(stack, index)
        return WithFeedForward(self.attention.select(stack, index), part)
