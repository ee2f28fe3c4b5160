"""Why and when the cases of a stack end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from transpde.checks import Array
from transpde.measures import Measure
from transpde.stepping.equation import Cases, State
from transpde.stepping.options import Options

__all__ = ["Ends"]

# A blow-up: 1/growth, the time left, is this small relative to the time gone, and the growth has
# risen a hundred thousandfold while the time hardly moved. Exponential growth never does that.
BLOWUP_TAIL = 1e-13
BLOWUP_RISE, BLOWUP_PAUSE = 1e5, 1e-5
LATEST = 1e100  # first time scales by which a flow to infinity should have found its end
LARGEST = 1e150  # a coordinate whose square still is a number
# Steady growth. A power: over two decades of time, in windows in which it doubles, no power is
# farther than so much from their mean. A rate: likewise over so many windows of so many e-folds of
# the size, wide enough for what turns while it grows.
DOUBLINGS, SAME_POWER = 7, 2e-3
E_FOLDS, WIDE, SAME_RATE = 4, 12.0, 1e-2
# Or, where rounding takes so much of the motion that it soon will hide it, over narrower ones.
NARROW, VERY_SAME, HIDING = 4.0, 1e-3, 1e-10
# A limit that is approached at a power of time: in so many windows, in which time grows so many
# times, the way relative to the size falls by shares of the one before that are at most so large,
# and alike, the least this part of the largest; and all that would so be left is short.
FALLS, LONGER, SHORTER, ALIKE, NEAR = 4, 4.0, 0.8, 0.6, 3e-4
HIDDEN = 1e10  # first time scales after which rounding hides how slowly a limit is approached
SLOWEST = 0.02  # a power that small is no growth
# The growth of a covariance is lost in rounding: so little is left of the sum that drives it.
# (A covariance that converges does not grow.)
UNRESOLVED, GROWN, EPSILON = 2e-13, 4.0, np.finfo(float).eps


class Ends:
    """The ends of all cases.

    Attributes:
        stop: why each case ended, "time" until it has.
        end: when.
        final: the coordinates there.
        power: p of a size that grows like t^p, NaN elsewhere.
        rate: r of a size that grows like e^(r t), NaN elsewhere.
    """

    def __init__(self, measure: Measure, options: Options, horizon: float, z: Array) -> None:
        self.stationary, self.how, self.horizon = options.stationary, options.how, horizon
        self.to_a_limit = options.stationary is not None and bool(np.isinf(horizon))
        count = len(z)
        self.final, self.end = z[:, :-1].copy(), np.zeros(count)
        self.stop = np.full(count, "time", dtype="<U10")
        self.noise = np.zeros(count)  # rounding of the motion, relative to it
        self.power, self.rate = np.full((2, count), np.nan)
        self.mark = np.zeros((2, count))  # a time not long ago, and the growth then
        sizes = np.broadcast_to(np.reshape(measure.log_size, -1), count)
        self.first_size = sizes
        self.doublings = Windows(DOUBLINGS, sizes)
        self.wide, self.narrow = Windows(E_FOLDS, sizes), Windows(E_FOLDS, sizes)
        self.ways, self.way = Windows(FALLS, np.zeros(count)), np.zeros(count)

    def close(self, rows: Array, why: str, end: Array | float, states: Array) -> None:
        """Write down the end of some cases."""
        self.stop[rows], self.end[rows], self.final[rows] = why, end, states

    def begin_anew(self, rows: Array, now: Array) -> None:
        """Let no window of some cases reach across a jump of the parameters, which is now."""
        for windows in (self.doublings, self.wide, self.narrow, self.ways):
            windows.marks[:, :, rows] = np.nan
            windows.marks[0, :, rows] = now[:, None]

    def found(self, state: State, goal: Array) -> Iterator[tuple[Array, str, Array]]:
        """Give which of the cases end here, why, and when.

        Before a jump of the parameters, at the time `goal`, no state is final.
        """
        open_ = np.ones(len(goal), dtype=bool)
        for some, why, end in self._reasons(state, goal >= self.horizon):
            if some.any() and (some & open_).any():
                yield some & open_, why, end
                open_ &= ~some

    def _reasons(self, state: State, last: Array) -> Iterator[tuple[Array, str, Array]]:
        growth, now, rows = state.growth, state.now, state.cases.rows
        if state.cases.any_clocked:  # what grows so fast that it may explode is on the clock
            tail = np.divide(1.0, growth, out=np.full(len(rows), np.inf), where=growth > 0)
            yield self._exploding(rows, now, growth, tail), "blow-up", now + tail
        if self.stationary is not None:
            speed = np.reshape(state.measure.relative_speed(state.velocity), -1)
            yield last & (speed * (1 + now) <= self.stationary), "stationary", now
            if self.to_a_limit:
                yield last & self._settling(state), "stationary", now
        if np.isinf(self.horizon):
            yield last & self._growing(state.measure, rows, now), "growth", now
        if state.measure.can_be_thin and state.cases.attention is not None:
            yield self._unresolved(state.cases, state.measure), "undecided", now
        yield self._out_of_range(state), "undecided", now

    def _exploding(self, rows: Array, now: Array, growth: Array, tail: Array) -> Array:
        since, grew = self.mark[:, rows]
        moved = now > since * (1 + BLOWUP_PAUSE)
        self.mark[:, rows] = np.where(moved, [now, growth], [since, grew])
        return ~moved & (tail < BLOWUP_TAIL * now) & (growth > BLOWUP_RISE * grew)

    def _settling(self, state: State) -> Array:
        """Return which cases approach a limit at a power of time, too slowly to be waited for."""
        rows, now, unit = state.cases.rows, state.now, state.cases.unit
        # The way of the step, not its speed: a state just found may be off its slow motion.
        self.way[rows] += np.reshape(state.measure.relative_speed(state.moved), -1)
        over = now >= LONGER * self.ways.times(rows)
        ways = -np.diff(self.ways.end(rows, over, now, self.way[rows]).marks[1][:, rows], axis=0)
        with np.errstate(all="ignore"):
            shares = ways[:-1] / ways[1:]
            share, power = shares.max(axis=0), shares.min(axis=0) >= ALIKE * shares.max(axis=0)
            left = ways[0] * share / (1 - share)
            rest: Any = now * LONGER ** (np.log(self.stationary / left) / np.log(share))
        found = over & power & (share <= SHORTER) & (left <= NEAR) & (rest > HIDDEN * unit)
        return np.asarray(found)

    def _growing(self, measure: Any, rows: Array, now: Array) -> Array:
        """Return which cases grow at a steady power or rate, and write it down."""
        size = np.reshape(measure.log_size, -1)
        with np.errstate(divide="ignore", invalid="ignore"):
            over = now >= 2 * self.doublings.times(rows)
            power = self.doublings.end(rows, over, now, size).steady(np.log, SAME_POWER)[0]
            rate = np.full(len(rows), np.nan)
            for windows, width, same, counts in (
                (self.narrow, NARROW, VERY_SAME, self.noise[rows] > HIDING),
                (self.wide, WIDE, SAME_RATE, True),
            ):
                over = ~(np.abs(size - windows.sizes(rows)) < width)  # the first after a jump, too
                found = windows.end(rows, over, now, size).steady(np.asarray, same)[1]
                rate = np.where(counts & np.isfinite(found), found, rate)
        power[np.abs(power) < SLOWEST] = np.nan
        rate[np.isfinite(power)] = np.nan
        self.power[rows], self.rate[rows] = power, rate
        return np.asarray(np.isfinite(power) | np.isfinite(rate))

    def _unresolved(self, cases: Cases, measure: Any) -> Array:
        """Return where a covariance has grown so thin that rounding hides what drives it."""
        none = np.zeros(len(cases.rows), dtype=bool)
        grown = np.reshape(measure.log_size, -1) - self.first_size[cases.rows]
        if not (grown > GROWN).any():
            return none
        attention: Any = cases.attention
        motion = getattr(attention.field(measure, self.how), "motion", None)
        if motion is None:
            return none
        left = np.broadcast_to(motion.left(), len(none))
        self.noise[cases.rows] = EPSILON / np.maximum(left, EPSILON)
        return np.asarray((grown > GROWN) & (left < UNRESOLVED))

    def _out_of_range(self, state: State) -> Array:
        large = ~(np.abs(state.z[:, :-1]).max(axis=1) < LARGEST)
        late = state.now > LATEST * state.cases.unit
        return large | late if np.isinf(self.horizon) else large


class Windows:
    """The times and log sizes at which windows of each case ended, the last first.

    Args:
        count: how many windows.
        sizes: the log sizes (B,) at time 0.
    """

    def __init__(self, count: int, sizes: Array) -> None:
        self.marks = np.stack([np.zeros(len(sizes)), sizes])[:, None].repeat(count + 1, axis=1)

    def times(self, rows: Array) -> Array:
        """Return when the last windows of cases ended."""
        return np.asarray(self.marks[0, 0, rows])

    def sizes(self, rows: Array) -> Array:
        """Return the log sizes at which the last windows of cases ended."""
        return np.asarray(self.marks[1, 0, rows])

    def end(self, rows: Array, over: Array, now: Array, size: Array) -> Windows:
        """End the windows of those of cases `rows` that are `over`."""
        some = rows[over]
        self.marks[:, 1:, some] = self.marks[:, :-1, some]
        self.marks[:, 0, some] = now[over], size[over]
        self.over, self.some = over, some
        return self

    def steady(self, clock: Callable[[Array], Array], agree: float) -> Array:
        """Return the slopes (2, b) of log sizes by a clock, of the last window and their mean.

        They are NaN where no window has ended now, and where the slopes are not steady: some is
        farther from their mean than `agree` of it.
        """
        times, sizes = self.marks[:, :, self.some]
        slopes = np.diff(sizes, axis=0) / np.diff(clock(times), axis=0)
        mean = slopes.mean(axis=0)
        steady = (np.abs(slopes - mean) <= agree * np.abs(mean)).all(axis=0)
        found = np.full((2, len(self.over)), np.nan)
        found[:, self.over] = np.where(steady, [slopes[0], mean], np.nan)
        return found
