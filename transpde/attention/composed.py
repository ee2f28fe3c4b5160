"""Attentions made of heads: several at once, or one behind a causal mask."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from transpde.attention.base import Attention
from transpde.attention.heads import Head, at_rows
from transpde.attention.normalised import Sinkhorn
from transpde.checks import Array, case_axes, finite_array, points_of, same_size
from transpde.fields import Field, VelocityField, quick
from transpde.kernels import Evaluation, TokenSum, matrix_product, token_mean
from transpde.measures import Gaussian, Grid, Measure, Particles

__all__ = ["Masked", "MultiHead"]


@dataclass(frozen=True, eq=False)
class MultiHead(Attention):
    r"""Several heads at once: their fields add.

    Args:
        heads: a sequence of at least one attention, all of one dimension.

    Raises:
        ValueError: no head, heads of several dimensions.
        TypeError: something that is not an attention.

    Source: `vaswani2017attention`.

    Example:
        >>> import numpy as np, transpde as tp
        >>> head = tp.Softmax(query=np.eye(2), key=np.eye(2), value=np.eye(2))
        >>> tp.MultiHead([head, head]).matrix(tp.Particles([[0.0, 1.0]])).shape
        (2, 1, 1)
    """

    heads: tuple[Attention, ...]

    def __init__(self, heads: Sequence[Attention]) -> None:
        if not isinstance(heads, Sequence) or not heads:
            raise ValueError(
                f"heads: must be a sequence of at least one attention; got {heads!r}."
            )
        for i, head in enumerate(heads):
            if not isinstance(head, Attention):
                raise TypeError(f"heads: must be attentions; got {type(head).__name__} at {i}.")
            same_size(f"heads[{i}]", head.dimension, "heads[0]", heads[0].dimension, "dimension")
        object.__setattr__(self, "heads", tuple(heads))

    @property
    def dimension(self) -> int:
        """The dimension d of the tokens."""
        return self.heads[0].dimension

    def field(self, measure: Measure, how: Evaluation) -> VelocityField:
        """Return the sum of the fields of the heads."""
        fields: list[Any] = [head.field(measure, how) for head in self.heads]
        return functools.reduce(operator.add, fields)

    def _check_kind(self, measure: Measure) -> None:
        for head in self.heads:
            head._check_kind(measure)

    def _matrix(self, measure: Particles) -> Array:
        return np.array([head._matrix(measure) for head in self.heads])

    def select(self, stack: tuple[int, ...], index: Array) -> MultiHead:
        """Return the heads of the chosen cases of a stack."""
        return MultiHead([head.select(stack, index) for head in self.heads])


@dataclass(frozen=True, eq=False)
class Masked(Attention):
    r"""A head behind a causal mask: a target at position s sees the tokens at $\tau\le s$.

    The head acts on the measure conditioned to $[0, s]$; tokens at one position see each other.
    The field is `field(x, positions)`, and positions do not move.

    Args:
        head: a softmax, L2, sigmoid, linear or unnormalised head.

    Raises:
        TypeError: another attention; a measure that is not Particles.
        ValueError: particles without positions; a position at or before which there is no mass.

    Source: `vaswani2017attention`; as a measure over positions `castin2025unified`.

    Example:
        >>> import numpy as np, transpde as tp
        >>> tokens = tp.Particles([[1.0], [3.0]], positions=[0.0, 1.0])
        >>> tp.Masked(tp.Softmax([[0.0]], [[0.0]], [[1.0]])).matrix(tokens)
        array([[1. , 0. ],
               [0.5, 0.5]])
    """

    head: Head

    def __post_init__(self) -> None:
        if not isinstance(self.head, Head) or isinstance(self.head, Sinkhorn):
            raise TypeError(
                "head: must be a Softmax, L2, Sigmoid, Linear or Unnormalized head; "
                f"got {type(self.head).__name__}."
            )

    @property
    def dimension(self) -> int:
        """The dimension d of the tokens."""
        return self.head.dimension

    def field(self, measure: Measure, how: Evaluation) -> VelocityField:
        """Return the field of the tokens behind the mask, without a check."""
        return measure.field_of(self, how)

    def _token_field(self, measure: Particles, how: Evaluation) -> VelocityField:
        return MaskedField(self.head, measure, self.head.token_sum(measure, how), how)

    def _matrix(self, measure: Particles) -> Array:
        targets: Any = measure.positions
        order = (reachable(targets, measure), targets)
        return self.head.token_sum(measure).matrix(measure.points, order)

    def _check_kind(self, measure: Measure) -> None:
        self.head.matches(measure.stack)
        measure.check_for(self)

    def _check_tokens(self, measure: Particles) -> None:
        if measure.positions is None:
            raise ValueError(
                "measure: a masked attention needs tokens with positions; got none. "
                "Give them: Particles(points, weights, positions)."
            )

    def _check_gaussian(self, measure: Gaussian) -> None:
        raise TypeError(_NO_POSITIONS.format(kind="Gaussian"))

    def _check_grid(self, measure: Grid) -> None:
        raise TypeError(_NO_POSITIONS.format(kind="Grid"))

    def select(self, stack: tuple[int, ...], index: Array) -> Masked:
        """Return the masked head of the chosen cases of a stack."""
        head = self.head.select(stack, index)
        return self if head is self.head else Masked(head)


_NO_POSITIONS = (
    "measure: a masked attention acts on tokens with positions; got {kind}. "
    "Sample it first, and give the tokens positions."
)


@dataclass(frozen=True, eq=False)
class MaskedField(Field):
    """The field that a head behind a causal mask makes of tokens with positions."""

    head: Head
    measure: Particles
    sums: TokenSum
    how: Evaluation

    @quick
    def __call__(self, x: Any, positions: Any = None) -> Array:
        """Return the velocities at `x` (..., n, d) or (d,), with a position for each point."""
        points, stack = points_of("x", x, "the attention", self.head.dimension), self.measure.stack
        if positions is None:
            raise ValueError(
                "positions: a masked field is field(x, positions), a position for each point; "
                "got none."
            )
        s = finite_array("positions", positions, "...")
        if not stack:
            targets, count = s.ravel(), points.size // points.shape[-1]
            same_size("positions", len(targets), "x", count, "length")
        else:
            targets = s.reshape(-1) if s.ndim == 0 else s
            count = 1 if points.ndim == 1 else points.shape[-2]
            same_size("positions", targets.shape[-1], "x", count, "length")
            targets = case_axes("positions", targets, 1, "the measure", stack)
        return at_rows(lambda rows: self.values(rows, targets), points, stack)

    def values(self, x: Array, positions: Array | None = None) -> Array:
        """Return the velocities at points (..., n, d) with positions (..., n)."""
        order: Any = (reachable(positions, self.measure), self.measure.positions)
        means = token_mean(self.sums, x, self.measure.points, order, self.how)
        return matrix_product(means, self.head.value)


def reachable(targets: Any, measure: Particles) -> Array:
    """Return the positions of targets (..., m) if there is mass at or before each, or raise."""
    places: Any = measure.positions
    places = np.where(measure.weights > 0, places, np.inf)
    first = np.minimum.reduce(places, axis=-1, keepdims=True)
    early = targets < first
    if early.any():
        where = tuple(np.argwhere(early)[0])
        raise ValueError(
            "positions: there must be mass at or before each position; got "
            f"{targets[where]}, and the first token of positive weight is at "
            f"{np.broadcast_to(first, targets.shape)[where]}."
        )
    return np.asarray(targets)
