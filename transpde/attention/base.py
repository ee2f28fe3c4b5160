"""What every attention is: a map from a measure to a velocity field."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from transpde.checks import Array, same_size
from transpde.fields import AffineField, VelocityField
from transpde.kernels import EXACT, Evaluation, evaluation
from transpde.measures import Gaussian, Grid, Measure, Particles

__all__ = ["Attention", "WithFeedForward"]


class Attention(ABC):
    """A map from a measure to a velocity field: `attention(measure)(x)`."""

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
        if not isinstance(measure, Particles | Gaussian | Grid):
            raise TypeError(
                f"measure: must be Particles, a Gaussian or a Grid; got {type(measure).__name__}."
            )
        same_size("measure", measure.dimension, "the attention", self.dimension, "dimension")
        if isinstance(measure, Gaussian):
            return self._affine_field(measure)
        if isinstance(measure, Grid):
            return self._grid_field(measure)
        return self._token_field(measure, how)

    def matrix(self, measure: Particles) -> Array:
        r"""Return the attention matrix P, shape (n, n): row i holds what token i takes of each.

        The velocity of token i is $V\sum_j P_{ij} x_j$. Rows sum to one for normalised attentions.

        Raises:
            TypeError: a measure that is not Particles.
            ValueError: a measure of another dimension than the parameters.
        """
        if not isinstance(measure, Particles):
            raise TypeError(
                f"matrix: needs Particles; got {type(measure).__name__}. "
                "Sample the measure first: measure.sample(n, seed)."
            )
        same_size("measure", measure.dimension, "the attention", self.dimension, "dimension")
        return self._matrix(measure)

    @property
    @abstractmethod
    def dimension(self) -> int:
        """The dimension d of the tokens."""

    @abstractmethod
    def _token_field(self, measure: Particles, how: Evaluation) -> VelocityField: ...

    @abstractmethod
    def _affine_field(self, measure: Gaussian) -> AffineField: ...

    def _grid_field(self, measure: Grid) -> VelocityField:
        """Return the field of a density on a grid: that of tokens at the centres of its cells."""
        return self._token_field(measure.particles, EXACT)

    @abstractmethod
    def _matrix(self, measure: Particles) -> Array: ...

    @abstractmethod
    def select(self, stack: tuple[int, ...], index: Array) -> Attention:
        """Return the attention of the chosen cases of a stack."""

    def warmed(self) -> Attention:
        """Return an equal attention that may remember what speeds up its next call."""
        return self

    def __add__(self, other: AffineField) -> Attention:
        """Return the attention followed by an affine feed-forward term: the fields add."""
        if not isinstance(other, AffineField):
            return NotImplemented
        return WithFeedForward(self, other)

    __radd__ = __add__


@dataclass(frozen=True, eq=False)
class WithFeedForward(Attention):
    r"""An attention with an affine feed-forward part, $\Gamma_\mu(x) + Wx + b$."""

    attention: Attention
    feed_forward: AffineField

    def __post_init__(self) -> None:
        size = self.feed_forward.linear.shape[-1]
        same_size("feed_forward", size, "the attention", self.dimension, "dimension")

    @property
    def dimension(self) -> int:
        """The dimension d of the tokens."""
        return self.attention.dimension

    def _token_field(self, measure: Particles | Grid, how: Evaluation) -> VelocityField:
        self._check_stack(())
        field = self.attention(measure, *how)

        def total(x: Any, positions: Any = None) -> Array:
            return field(x, positions) + self.feed_forward(x)

        return total

    def _grid_field(self, measure: Grid) -> VelocityField:
        return self._token_field(measure, EXACT)

    def _affine_field(self, measure: Gaussian) -> AffineField:
        self._check_stack(measure.stack)
        total: AffineField = self.attention._affine_field(measure) + self.feed_forward
        return total

    def _check_stack(self, stack: tuple[int, ...]) -> None:
        axes = self.feed_forward.stack
        if axes and axes != stack:
            raise ValueError(
                f"feed_forward: its leading axes must match those of the measure, {stack}; "
                f"got {axes}."
            )

    def _matrix(self, measure: Particles) -> Array:
        return self.attention.matrix(measure)

    def select(self, stack: tuple[int, ...], index: Array) -> WithFeedForward:
        """Return the chosen cases of a stack."""
        return WithFeedForward(
            self.attention.select(stack, index), self.feed_forward.select(stack, index)
        )

    def warmed(self) -> WithFeedForward:
        """Return an equal attention that may remember what speeds up its next call."""
        return WithFeedForward(self.attention.warmed(), self.feed_forward)
