"""Attentions made of heads: several at once, or one behind a causal mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from transpde.attention.base import Attention
from transpde.attention.heads import Head
from transpde.attention.normalised import Sinkhorn
from transpde.checks import Array, finite_array, points_of, same_size
from transpde.fields import AffineField, VelocityField
from transpde.kernels import EXACT, Evaluation, token_mean
from transpde.measures import Gaussian, Grid, Particles

__all__ = ["Masked", "MultiHead", "OnSphere", "on_sphere"]


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

    def _token_field(self, measure: Particles | Grid, how: Evaluation) -> VelocityField:
        fields = [head(measure, *how) for head in self.heads]

        def total(x: Any, positions: Any = None) -> Array:
            return np.sum([field(x, positions) for field in fields], axis=0)

        return total

    def _grid_field(self, measure: Grid) -> VelocityField:
        return self._token_field(measure, EXACT)

    def _affine_field(self, measure: Gaussian) -> AffineField:
        first, *others = (head._affine_field(measure) for head in self.heads)
        for other in others:
            first = first + other
        return first

    def _matrix(self, measure: Particles) -> Array:
        return np.array([head.matrix(measure) for head in self.heads])

    def select(self, stack: tuple[int, ...], index: Array) -> MultiHead:
        """Return the heads of the chosen cases of a stack."""
        return MultiHead([head.select(stack, index) for head in self.heads])

    def warmed(self) -> MultiHead:
        """Return equal heads that may remember what speeds up their next call."""
        return MultiHead([head.warmed() for head in self.heads])


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

    def _token_field(self, measure: Particles, how: Evaluation) -> VelocityField:
        weights, tokens = self.head.token_sum(measure), self._positions(measure)

        def field(x: Any, positions: Any = None) -> Array:
            points = points_of("x", x, "the attention", self.dimension)
            rows = points.reshape(-1, self.dimension)
            targets = self._targets(positions, rows, measure)
            sums = token_mean(weights, rows, measure.points, (targets, tokens), how)
            return (sums @ self.head.value.T).reshape(points.shape)

        return field

    def _matrix(self, measure: Particles) -> Array:
        tokens = self._positions(measure)
        targets = self._targets(tokens, measure.points, measure)
        return self.head.token_sum(measure).matrix(measure.points, (targets, tokens))

    def _positions(self, measure: Particles) -> Array:
        if measure.positions is None:
            raise ValueError(
                "measure: a masked attention needs tokens with positions; got none. "
                "Give them: Particles(points, weights, positions)."
            )
        return measure.positions

    def _targets(self, positions: Any, rows: Array, measure: Particles) -> Array:
        """Return the checked positions of the targets, one a row."""
        if positions is None:
            raise ValueError(
                "positions: a masked field is field(x, positions), a position for each point; "
                "got none."
            )
        targets = np.ravel(finite_array("positions", positions, "..."))
        same_size("positions", len(targets), "x", len(rows), "length")
        carrying = self._positions(measure)[measure.weights > 0].min()
        if targets.min() < carrying:
            raise ValueError(
                f"positions: there must be mass at or before each position; got {targets.min()}, "
                f"and the first token of positive weight is at {carrying}."
            )
        return targets

    def _affine_field(self, measure: Gaussian) -> AffineField:
        raise TypeError(
            "measure: a masked attention acts on tokens with positions; got Gaussian. "
            "Sample it first, and give the tokens positions."
        )

    def _grid_field(self, measure: Grid) -> VelocityField:
        raise TypeError(
            "measure: a masked attention acts on tokens with positions; got Grid. "
            "Sample it first, and give the tokens positions."
        )

    def select(self, stack: tuple[int, ...], index: Array) -> Masked:
        """Return itself: a masked attention has no stacks."""
        return self


@dataclass(frozen=True, eq=False)
class OnSphere(Attention):
    r"""An attention on the unit sphere: $\Gamma(x) - \langle\Gamma(x), x\rangle x$.

    Tokens and targets are put back to norm one first.
    """

    attention: Attention

    @property
    def dimension(self) -> int:
        """The dimension d of the tokens."""
        return self.attention.dimension

    def _token_field(self, measure: Particles, how: Evaluation) -> VelocityField:
        flat = self.attention(on_sphere(measure), *how)

        def field(x: Any, positions: Any = None) -> Array:
            unit = _unit(points_of("x", x, "the attention", self.dimension))
            v = flat(unit, positions)
            return v - (v * unit).sum(axis=-1, keepdims=True) * unit

        return field

    def _affine_field(self, measure: Gaussian) -> AffineField:
        raise TypeError("measure: must be Particles on the sphere; got Gaussian.")

    def _matrix(self, measure: Particles) -> Array:
        return self.attention.matrix(on_sphere(measure))

    def select(self, stack: tuple[int, ...], index: Array) -> OnSphere:
        """Return itself: the sphere has no stacks."""
        return self

    def warmed(self) -> OnSphere:
        """Return an equal attention that may remember what speeds up its next call."""
        return OnSphere(self.attention.warmed())


def on_sphere(measure: Particles) -> Particles:
    """Return the particles with every token divided by its norm."""
    return measure.at(_unit(measure.points))


def _unit(points: Array) -> Array:
    return points / np.linalg.norm(points, axis=-1, keepdims=True)
