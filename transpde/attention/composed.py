"""Heads behind a causal mask, with or without a discount of what is far back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from transpde.attention.base import Attention, MeasureField, MultiHead, at_rows
from transpde.attention.heads import Head
from transpde.attention.normalised import L2, Sinkhorn, Softmax
from transpde.checks import (
    Array,
    brief,
    case_axes,
    finite_array,
    flag,
    kind_of,
    non_negative_number,
    points_of,
    same_size,
)
from transpde.fields import VelocityField, in_range
from transpde.kernels import EXACT, Evaluation, SoftmaxSum, TokenSum, matrix_product, token_mean
from transpde.measures import Measure, Particles

__all__ = ["Masked"]

# The discount times the span of the positions: its exponential is a weight of a token, or, where
# only quotients of weights count, it is added to the scores, whose last digits it takes.
STEEPEST, STEEPEST_SCORE = 600.0, 1e5


@dataclass(frozen=True, eq=False, repr=False)
class Masked(Attention):
    r"""Heads behind a causal mask: a target at position s sees the tokens at $\tau\le s$.

    A head acts on the measure conditioned to $[0, s]$; tokens at one position see each other.
    The field is `field(x, positions)`, and positions do not move. A discount $\lambda$ subtracts
    $\lambda(s - \tau)$ from the score of a token at $\tau$ (ALiBi). Up to a term of the target
    alone, which conditioning removes, that is the weight $e^{\lambda\tau}$ of the token.

    Args:
        head: a softmax, L2, sigmoid, linear or unnormalised head, or a `MultiHead` of these: heads
            add up behind a mask as they do without one.
        discount: $\lambda\ge0$ in units of the positions.
        strict: see the tokens at $\tau < s$ only; where there are none the field is zero, so the
            first token rests.

    Raises:
        TypeError: another attention; a measure that is not Particles.
        ValueError: a negative discount, or one that is more than 600 over the span of the
            positions, 1e5 for softmax and L2 heads; particles without positions; a position at
            or before which there is no mass, unless strict.

    Source: `vaswani2017attention`; as a measure over positions `castin2025unified`; the discount
    `press2022train`.

    Example:
        >>> import numpy as np, transpde as tp
        >>> tokens = tp.Particles([[1.0], [3.0]], positions=[0.0, 1.0])
        >>> tp.Masked(tp.Softmax([[0.0]], [[0.0]], [[1.0]])).matrix(tokens)
        array([[1. , 0. ],
               [0.5, 0.5]])
    """

    head: Head | MultiHead
    discount: float = 0.0
    strict: bool = False

    _tokens_only = (
        "measure: a masked attention acts on tokens with positions; got {kind}. "
        "Sample it first, and give the tokens positions."
    )

    def __post_init__(self) -> None:
        _check_maskable(self.head)
        object.__setattr__(self, "discount", non_negative_number("discount", self.discount))
        object.__setattr__(self, "strict", flag("strict", self.strict))

    def __repr__(self) -> str:
        """Return the head, and discount and order where they are not the plain ones."""
        return brief(
            self,
            {"head": self.head, "discount": self.discount or None, "strict": self.strict or None},
        )

    @property
    def plain(self) -> bool:
        """Whether the mask alone acts: no discount, and tokens see themselves."""
        return not (self.discount or self.strict)

    def check_plain(self, name: str) -> None:
        """Raise `ValueError` if there is a discount, or tokens do not see themselves."""
        if not self.plain:
            raise ValueError(
                f"{name}: must have no discount and no strict order; got "
                f"discount={self.discount}, strict={self.strict}."
            )

    @cached_property
    def _sum(self) -> MultiHead | None:
        """The sum of masked heads that masked heads of a sum are; None for one head."""
        if not isinstance(self.head, MultiHead):
            return None
        heads: Any = self.head.heads
        return MultiHead([Masked(head, self.discount, self.strict) for head in heads])

    @property
    def dimension(self) -> int:
        """The dimension d of the tokens."""
        return self.head.dimension

    def field(self, measure: Measure, how: Evaluation) -> VelocityField:
        """Return the field of the tokens behind the mask, without a check."""
        if self._sum is not None:
            return self._sum.field(measure, how)
        return measure.field_of(self, how)

    def _token_field(self, measure: Particles, how: Evaluation) -> VelocityField:
        head: Any = self.head
        return MaskedField(head, measure, self._sums(measure, how), how, self.strict)

    def _sums(self, measure: Particles, how: Evaluation = EXACT) -> TokenSum:
        """Return the sums over the tokens, with weights times e^(discount position)."""
        head: Any = self.head
        if not self.discount:
            return head.token_sum(measure, how)
        places: Any = measure.positions
        exponents = self.discount * (places - np.maximum.reduce(places, axis=-1, keepdims=True))
        if self._normalised:  # the logarithms of the weights have any range
            sums: SoftmaxSum = head.token_sum(measure, how)
            return replace(sums, bias=sums.bias + exponents)
        w = measure.weights * np.exp(exponents)
        w = w / np.add.reduce(w, axis=-1, keepdims=True)
        return head.token_sum(Particles.trusted(measure.points, w, places, measure.space), how)

    @property
    def _normalised(self) -> bool:
        """Whether only quotients of the weights count, not the weights themselves."""
        heads = self.head.heads if isinstance(self.head, MultiHead) else (self.head,)
        return all(isinstance(head, L2 | Softmax) for head in heads)

    def _matrix(self, measure: Particles) -> Array:
        if self._sum is not None:
            return self._sum._matrix(measure)
        seen, resting = seen_from(measure.positions, measure, self.strict)
        order: Any = (seen, measure.positions)
        found = self._sums(measure).matrix(measure.points, order)
        return found if resting is None else np.where(resting[..., None], 0.0, found)

    def _check_kind(self, measure: Measure) -> None:
        if self._sum is not None:
            self._sum._check_kind(measure)
            return
        head: Any = self.head
        head.matches(measure.stack)
        measure.check_for(self)

    def _check_tokens(self, measure: Particles) -> None:
        if measure.positions is None:
            raise ValueError(
                "measure: a masked attention needs tokens with positions; got none. "
                "Give them: Particles(points, weights, positions)."
            )
        span = float(np.ptp(measure.positions, axis=-1).max())
        steepest = STEEPEST_SCORE if self._normalised else STEEPEST
        if self.discount * span > steepest:
            raise ValueError(
                f"discount: must be at most {steepest / span:.4g}, {steepest:g} over the span of "
                f"the positions; got {self.discount}. Positions j/n make a discount one over the "
                "whole sequence."
            )

    def select(self, stack: tuple[int, ...], index: Array) -> Masked:
        """Return the masked head of the chosen cases of a stack."""
        head = self.head.select(stack, index)
        return self if head is self.head else Masked(head, self.discount, self.strict)


def _check_maskable(head: Any) -> None:
    """Raise `TypeError` unless each of the heads has a field behind a mask."""
    heads = head.heads if isinstance(head, MultiHead) else (head,)
    for one in heads:
        if isinstance(one, MultiHead):
            _check_maskable(one)
        elif not isinstance(one, Head) or isinstance(one, Sinkhorn):
            raise TypeError(
                "head: must be a Softmax, L2, Sigmoid, Linear or Unnormalized head, or a "
                f"MultiHead of these; got {kind_of(one)}. A feed-forward part is added after the "
                "mask: Masked(head) + field."
            )


@dataclass(frozen=True, eq=False, repr=False)
class MaskedField(MeasureField):
    """The field that a head behind a causal mask makes of tokens with positions."""

    head: Head
    measure: Particles
    sums: TokenSum
    how: Evaluation
    strict: bool = False

    @in_range
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
        seen, resting = seen_from(positions, self.measure, self.strict)
        order: Any = (seen, self.measure.positions)
        means = token_mean(self.sums, x, self.measure.points, order, self.how)
        found = matrix_product(means, self.head.value)
        return found if resting is None else np.where(resting[..., None], 0.0, found)


def seen_from(targets: Any, measure: Particles, strict: bool) -> tuple[Array, Array | None]:
    """Return up to which positions targets (..., m) see, and which of them see nothing.

    Strictly before a number is at or before the float below it. Those who see nothing get the
    first token, so that no sum is empty; the caller puts zeros there.
    """
    if not strict:
        return reachable(targets, measure), None
    first = _first(measure)
    below = np.nextafter(targets, -np.inf)
    resting = below < first
    return np.where(resting, first, below), resting


def _first(measure: Particles) -> Array:
    """Return the position of the first token of positive weight, shape (..., 1)."""
    places: Any = measure.positions
    places = np.where(measure.weights > 0, places, np.inf)
    return np.asarray(np.minimum.reduce(places, axis=-1, keepdims=True))


def reachable(targets: Any, measure: Particles) -> Array:
    """Return the positions of targets (..., m) if there is mass at or before each, or raise."""
    first = _first(measure)
    early = targets < first
    if early.any():
        where = tuple(np.argwhere(early)[0])
        raise ValueError(
            "positions: there must be mass at or before each position; got "
            f"{targets[where]}, and the first token of positive weight is at "
            f"{np.broadcast_to(first, targets.shape)[where]}."
        )
    return np.asarray(targets)
