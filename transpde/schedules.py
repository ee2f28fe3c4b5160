"""Parameters in time, made once: an attention for each time, and the times of jumps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from transpde.attention import Attention
from transpde.checks import Array, Unchanging, finite_array, frozen, of_kind
from transpde.measures import Measure

__all__ = ["Schedule", "checked_attention"]


class Schedule(Unchanging):
    r"""Parameters in time: $t \mapsto$ attention, continuous but for declared jumps.

    A flow is stepped to each jump exactly, and between two jumps it sees the limits from inside.

    Args:
        attention: an attention, for all times; a callable t -> attention; or a sequence of one
            attention more than there are jumps, each constant up to the next jump.
        jumps: increasing positive times (k,) at which the parameters jump.

    Raises:
        TypeError: something that is not an attention, a callable or a sequence of attentions.
        ValueError: jumps that are not positive and increasing; a sequence of another length.

    Source: ours (chapter on layers).

    Example:
        >>> import transpde as tp
        >>> grow, shrink = (tp.Softmax([[0.0]], [[0.0]], [[v]]) for v in (1.0, -1.0))
        >>> schedule = tp.Schedule([grow, shrink], jumps=[0.5])
        >>> path = tp.flow(tp.Particles([[1.0]]), schedule, time=1.0)
        >>> path.final.points.round(9)
        array([[1.]])
    """

    def __init__(self, attention: Any, jumps: Any = ()) -> None:
        empty = isinstance(jumps, Sequence) and not len(jumps)
        self.jumps = frozen(np.zeros(0)) if empty else _checked_jumps(jumps)
        self.constant = isinstance(attention, Attention)
        self._at: Callable[[float], Any] = _lookup(attention, self.jumps)

    @classmethod
    def of(cls, attention: Any) -> Schedule:
        """Return the schedule itself, or that of an attention or a callable."""
        if isinstance(attention, Sequence):  # without jumps it says nothing
            checked_attention(attention)
        return attention if isinstance(attention, Schedule) else cls(attention)

    def __call__(self, time: float) -> Attention:
        """Return the attention at a time; at a jump the one after it."""
        return checked_attention(self._at(time))

    def check(self, measure: Measure, horizon: float) -> None:
        """Raise where the attention at the start, or after a jump, does not fit the measure."""
        for time in (0.0, *self.jumps[self.jumps <= horizon]):
            self(float(time)).check(measure)

    def shifted(self, since: float) -> Schedule:
        """Return the schedule that begins at the time `since`."""
        if self.constant:
            return self
        later = self.jumps[self.jumps > since] - since
        return Schedule(partial(_later, self, since), later if len(later) else ())

    def select(self, stack: tuple[int, ...], index: Any) -> Schedule:
        """Return the schedule of the chosen cases, counted along the flattened stack."""
        if self.constant:
            return Schedule(self(0.0).select(stack, index))
        jumps = self.jumps if len(self.jumps) else ()
        return Schedule(partial(_selected, self, stack, index), jumps)


# Functions with names, for pickle: what a path remembers travels between processes.


def _later(schedule: Schedule, since: float, t: float) -> Attention:
    return schedule(since + t)


def _selected(schedule: Schedule, stack: tuple[int, ...], index: Any, t: float) -> Attention:
    return schedule(t).select(stack, index)


def _constant(attention: Attention, t: float) -> Attention:
    return attention


def _piece(pieces: list[Attention], jumps: Array, t: float) -> Attention:
    return pieces[int(np.searchsorted(jumps, t, side="right"))]


def _lookup(attention: Any, jumps: Array) -> Callable[[float], Any]:
    if isinstance(attention, Attention):
        if len(jumps):
            raise ValueError(
                f"jumps: one attention has none; got {len(jumps)}. Give a sequence of attentions."
            )
        return partial(_constant, attention)
    if isinstance(attention, Sequence) and not isinstance(attention, str):
        pieces = [checked_attention(one) for one in attention]
        if len(pieces) != len(jumps) + 1:
            raise ValueError(
                "attention: a sequence must hold one attention more than there are jumps, "
                f"{len(jumps) + 1}; got {len(pieces)}."
            )
        return partial(_piece, pieces, jumps)
    # A field is callable too, but of points: it is refused by its type, not called with a time.
    # A class would be made an attention by a call with a time; it is refused, too.
    if isinstance(attention, type) or not callable(attention) or hasattr(attention, "linear"):
        checked_attention(attention)
    return attention


def checked_attention(value: Any) -> Attention:
    """Return an attention, or raise `TypeError`."""
    wanted = "an attention, a Schedule or a callable t -> attention"
    return of_kind("attention", value, Attention, wanted)


def _checked_jumps(jumps: Any) -> Array:
    times = finite_array("jumps", jumps, "k")
    if times[0] <= 0 or (np.diff(times) <= 0).any():
        raise ValueError(f"jumps: must be positive and strictly increasing; got {jumps!r}.")
    return times
