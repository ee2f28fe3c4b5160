"""What every attention is, a map from a measure to a velocity field, and sums of attentions."""

from __future__ import annotations

import functools
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from transpde.checks import Array, Unchanging, brief, kind_of, of_kind, points_of, same_size
from transpde.fields import (
    AffineField,
    CalledField,
    Field,
    VelocityField,
    added,
    evaluated,
    in_range,
    out_of_range,
    silent,
)
from transpde.kernels import Evaluation, evaluation
from transpde.measures import Measure, Particles
from transpde.measures.coordinates import Moves

__all__ = ["Attention", "MeasureField", "MultiHead", "WithFeedForward", "at_rows", "match_stack"]


class Attention(Unchanging, ABC):
    """A map from a measure to a velocity field: `attention(measure)(x)`."""

    # Whether its time is a clock on which nothing explodes: a flow then needs no other.
    steady: ClassVar[bool] = False

    def __call__(
        self, measure: Measure, method: str = "auto", tol: float = 1e-10
    ) -> VelocityField:
        """Return the velocity field on all of space that the measure creates.

        Args:
            measure: Particles, a Gaussian, a Grid, a Circle or an Axial.
            method: how sums over Particles are evaluated. "exact": one by one, in time n m for m
                targets. "interpolated", in time n + m: softmax, L2, unnormalised and sigmoid sums
                in at most three dimensions from Chebyshev nodes; softmax and L2 sums in more
                dimensions, softmax and L2 behind a mask with or without a discount, and Sinkhorn
                by a separable expansion. Each call is checked on exact sums and falls back to
                them. "auto": whichever costs less, exact for fewer than 512 tokens, or 2048
                behind a mask and from four dimensions on.
            tol: the largest error of a method that is not exact, relative to the largest sum
                before `value` multiplies it, measured from zero and, of means (softmax, L2,
                Sinkhorn), also from the middle of the tokens.

        Raises:
            TypeError: a kind of measure for which this attention has no field.
            ValueError: a measure of another dimension than the parameters, an unknown method, a
                tolerance that is not positive.
        """
        how = evaluation(method, tol)
        with np.errstate(all="ignore"):  # what overflows is found where the field is evaluated
            self.check(measure)
            field = self.field(measure, how)
        return field.sealed() if isinstance(field, Unchanging) else field

    def check(self, measure: Measure) -> None:
        """Raise unless this attention has a field for the measure; no field is evaluated.

        Raises:
            TypeError: something that is no measure, a kind of measure that has no field here.
            ValueError: a measure of another dimension than the parameters, leading axes that do
                not match, a masked attention and tokens without positions.
        """
        of_kind("measure", measure, Measure, "Particles, a Gaussian or a Grid")
        same_size("measure", measure.dimension, "the attention", self.dimension, "dimension")
        self._check_kind(measure)

    @abstractmethod
    def field(self, measure: Measure, how: Evaluation) -> VelocityField:
        """Return the velocity field of a measure that `check` has passed, without a check."""

    def among(self, tokens: Particles, how: Evaluation) -> Callable[[Array], Array]:
        """Return the map from places (..., n, d) of tokens to their velocities, without a check.

        It is what a flow evaluates most, of the tokens that `tokens` are elsewhere.
        """

        def velocities(x: Array) -> Array:
            return evaluated(self.field(tokens.at(x), how), x, tokens.positions)

        return velocities

    def of_gaussians(self, in_axes: bool) -> Moves | None:
        """Return the map from Gaussians to the velocities that their fields give themselves.

        From mean, factor and log scales to the velocities of mean and factor, without a check: it
        is what a flow evaluates most. None where the field itself is as quick.

        Args:
            in_axes: whether the columns of the factors are principal axes.
        """
        return None

    @abstractmethod
    def _check_kind(self, measure: Measure) -> None:
        """Raise unless the kind of the measure and its stack fit."""

    def _check_tokens(self, measure: Any) -> None:
        """Accept any tokens."""

    _tokens_only = ""  # why an attention acts on no Gaussian and no Grid

    def _check_gaussian(self, measure: Any) -> None:
        raise TypeError(self._tokens_only.format(kind="a Gaussian"))

    def _check_grid(self, measure: Any) -> None:
        raise TypeError(self._tokens_only.format(kind="a Grid"))

    def _check_circle(self, measure: Measure) -> None:
        raise TypeError(_NO_DENSITY.format(kind=type(self).__name__, measure="a Circle"))

    def _check_axial(self, measure: Measure) -> None:
        raise TypeError(_NO_DENSITY.format(kind=type(self).__name__, measure="an Axial"))

    @silent
    def matrix(self, measure: Particles) -> Array:
        r"""Return the attention matrix P, (..., n, n): row i holds what token i takes of each.

        The velocity of token i is $V\sum_j P_{ij} x_j$. Heads come first, (h, ..., n, n). Rows
        sum to one for normalised attentions.

        Raises:
            TypeError: a measure that is not Particles.
            ValueError: a measure of another dimension than the parameters.
            OverflowError: an entry that no float holds.
        """
        if not isinstance(measure, Particles):
            raise TypeError(
                f"matrix: needs Particles; got {type(measure).__name__}. "
                "Sample the measure first: measure.sample(n, seed)."
            )
        self.check(measure)
        found = self._matrix(measure)
        rows = np.isfinite(found).all(axis=-1) | (measure.weights == 0)
        if not rows.all() and np.isfinite(measure.points).all():
            raise out_of_range("matrix: an entry")
        return found

    @property
    @abstractmethod
    def dimension(self) -> int:
        """The dimension d of the tokens."""

    @abstractmethod
    def _matrix(self, measure: Particles) -> Array: ...

    @abstractmethod
    def select(self, stack: tuple[int, ...], index: Array) -> Attention:
        """Return the attention of the chosen cases of a stack."""

    __array_ufunc__ = None  # an array is no summand: numpy would add to each of its entries

    def __add__(self, other: Attention | VelocityField) -> Attention:
        """Return the attention whose field is the sum of both.

        With another attention that is a `MultiHead`, with a velocity field an attention with a
        feed-forward part.

        Raises:
            TypeError: neither an attention nor a velocity field.
            ValueError: another dimension.

        Example:
            >>> import transpde as tp
            >>> one, two = (tp.Softmax([[1.0]], [[1.0]], [[v]]) for v in (1.0, 2.0))
            >>> len((one + two + one).heads)
            3
        """
        if isinstance(other, Attention):
            same_size("other", other.dimension, "the attention", self.dimension, "dimension")
            return MultiHead([*_summands(self), *_summands(other)])
        if isinstance(other, type) or not callable(other):
            raise TypeError(
                f"other: must be an attention or a velocity field; got {kind_of(other)}. A matrix "
                "W is the field AffineField(W); several heads are added by MultiHead(heads)."
            )
        return WithFeedForward(self, other)

    __radd__ = __add__


class MeasureField(Field):
    """A field that an attention makes of a measure."""

    measure: Any

    @in_range
    def __call__(self, x: Any, positions: Any = None) -> Array:
        """Return the velocities at `x`, of shape (..., n, d) or (d,), whatever the positions."""
        points = points_of("x", x, "the attention", self.measure.dimension)
        return at_rows(self.values, points, self.measure.stack)

    def known(self) -> bool:
        """Return whether no case of the measure is NaN, after its own end."""
        return bool(np.isfinite(self.measure.pack()).all())


def at_rows(values: Callable[[Array], Array], x: Array, stack: tuple[int, ...]) -> Array:
    """Return values at points of any shape: of one cloud as rows, of a stack with its axes."""
    if not stack:
        return values(x.reshape(-1, x.shape[-1])).reshape(x.shape)
    if x.ndim > 2 and x.shape[:-2] != stack:
        raise ValueError(
            f"x: its leading axes must match those of the measure, {stack}; got {x.shape[:-2]}."
        )
    return values(x[None, :])[..., 0, :] if x.ndim == 1 else values(x)


def match_stack(name: str, axes: tuple[int, ...], stack: tuple[int, ...]) -> None:
    """Raise `ValueError` unless leading axes are none, or those of a stack or of length one."""
    fits = len(axes) == len(stack) and all(a in (1, b) for a, b in zip(axes, stack, strict=True))
    if axes and not fits:
        raise ValueError(
            f"{name}: its leading axes must match those of the measure, {stack}; got {axes}."
        )


def added_moves(parts: Sequence[Moves | None]) -> Moves | None:
    """Return the sum of maps from Gaussians to their velocities, None unless all are known."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None

    def moves(*gaussian: Array) -> tuple[Array, Array]:
        return functools.reduce(added, [part(*gaussian) for part in known])

    return moves


_NO_DENSITY = (
    "measure: {kind} attention has no field of {measure}; Softmax and Unnormalized heads and sums "
    "of these have. Take tokens of it first: measure.sample(n, seed)."
)


def _summands(attention: Attention) -> tuple[Attention, ...]:
    return attention.heads if isinstance(attention, MultiHead) else (attention,)


@dataclass(frozen=True, eq=False, repr=False)
class MultiHead(Attention):
    r"""Several heads at once: their fields add. `head + head` makes one, too.

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
            of_kind(f"heads[{i}]", head, Attention, "an attention")
            same_size(f"heads[{i}]", head.dimension, "heads[0]", heads[0].dimension, "dimension")
        object.__setattr__(self, "heads", tuple(heads))

    def __repr__(self) -> str:
        """Return the kinds of the heads and the dimension."""
        return brief(self, {"heads": self.heads, "dimension": self.dimension})

    @property
    def dimension(self) -> int:
        """The dimension d of the tokens."""
        return self.heads[0].dimension

    def field(self, measure: Measure, how: Evaluation) -> VelocityField:
        """Return the sum of the fields of the heads."""
        fields: list[Any] = [head.field(measure, how) for head in self.heads]
        return functools.reduce(operator.add, fields)

    def among(self, tokens: Particles, how: Evaluation) -> Callable[[Array], Array]:
        """Return the sum of the maps of the heads."""
        parts = [head.among(tokens, how) for head in self.heads]
        return lambda x: functools.reduce(np.add, [part(x) for part in parts])

    def of_gaussians(self, in_axes: bool) -> Moves | None:
        """Return the sum of the maps of the heads."""
        return added_moves([head.of_gaussians(in_axes) for head in self.heads])

    def _check_kind(self, measure: Measure) -> None:
        for head in self.heads:
            head._check_kind(measure)

    def _matrix(self, measure: Particles) -> Array:
        matrices = [head._matrix(measure) for head in self.heads]
        axes = len(measure.stack) + 2  # a sum of heads inside of this one has an axis of its own
        return np.concatenate([P.reshape(-1, *P.shape[P.ndim - axes :]) for P in matrices])

    def select(self, stack: tuple[int, ...], index: Array) -> MultiHead:
        """Return the heads of the chosen cases of a stack."""
        return MultiHead([head.select(stack, index) for head in self.heads])


@dataclass(frozen=True, eq=False, repr=False)
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

    def of_gaussians(self, in_axes: bool) -> Moves | None:
        """Return the sum of both maps."""
        term: Any = self._term
        own = self.attention.of_gaussians(in_axes)
        return added_moves([own, lambda m, X, s: term.moves(m, X)])

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

    _check_grid = _check_circle = _check_tokens

    def _matrix(self, measure: Particles) -> Array:
        return self.attention._matrix(measure)

    def select(self, stack: tuple[int, ...], index: Array) -> WithFeedForward:
        """Return the chosen cases of a stack."""
        part = self.feed_forward
        if isinstance(part, AffineField):
            part = part.select(stack, index)
        return WithFeedForward(self.attention.select(stack, index), part)
