"""Stepping a stack of measures through time, each case with a step, a clock and an end of its own.

The explicit method is DOP853; where a case turns out to be stiff, Radau IIA of order 13 or, if
asked for, Rodas5P. All advance all cases that are stepped alike at once; an ended case leaves
them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from transpde.checks import Array
from transpde.kernels.blocks import slices
from transpde.stepping.equation import FAST, LONG, Cases, Equation, State
from transpde.stepping.explicit import Explicit
from transpde.stepping.lengths import first_lengths, next_lengths, tolerances
from transpde.stepping.run import Run
from transpde.stepping.stiff import Stiff, limited_by_rate

__all__ = ["Integration"]

# Of a clock or of the time gone: rounding stops a case that needs less. Beside the logarithm of a
# time, which goes on in the steps of the others, it may be shorter.
SHORTEST_STEP, SHORTEST_OF_LOG = 1e-15, 1e-17
FIRST_DOUBT = 20  # steps before a case is asked whether it is stiff
MEMORY, SURE = 0.05, 0.6  # one over the steps of a mean; the share of them that tells a stiff case
LARGEST_STIFF = 200  # coordinates of a case for which a matrix of all derivatives is worth it
GROUP = 50_000  # numbers of the states of cases that are stepped at once: they fill a cache
RESERVE = 64  # times as much memory as states that are stepped at once take
AT_ONCE = 1 << 20  # numbers of the records that are written at once
NOISIEST = 1e-3  # what rounding may take from a step; more could hide any motion


class Integration(Run):
    """One integration: the cases still running, and what is recorded of all of them."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        count = len(self.z)
        self.next_record = np.ones(count, dtype=int)
        self.running = np.asarray(np.isfinite(self.z).all(axis=1))
        if not self.running.any():
            raise ValueError(
                "measure: no case has finite coordinates; nothing flows. Choose cases that have, "
                "such as those of a path before their end."
            )
        self.graded = np.full(count, self.measure.in_axes)
        self.stiff = np.full(count, self.options.method == "Rodas5P")
        self.clocked = np.zeros(count, dtype=bool)
        self.taken, self.doubt = np.zeros(count, dtype=int), np.zeros(count)
        how = self.options.how
        self.equation = Equation(self.measure, self.schedule, how, self.horizon, count)
        self.goal = np.full(count, self.horizon)
        self.slope, self.h = np.zeros_like(self.z), np.ones(count)
        ends_alone = self.times is None and not len(self.schedule.jumps)
        self.method = Stiff(self.equation, self.options, self.z.shape, ends_alone)
        # The last steps and their errors; before the first a short one, which foretells nothing.
        self.last = np.array([np.full(count, 1e-300), np.ones(count)])
        # Freed memory goes back to the system, and is slow to get anew, unless it is small beside
        # the largest piece freed so far: a large one is freed first, unused.
        np.empty(RESERVE * min(self.z.size, GROUP))
        self.ends.stop[~self.running] = "undecided"
        # Where parameters depend on time, cases that share it share an evaluation.
        self.together = not self.schedule.constant
        self._begin()

    # --- the start -------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Find the first time scale of each case, its first slope and its first step."""
        rows, equation = np.flatnonzero(self.running), self.equation
        self._enter_segment(rows, 0.0)
        for cases in self._alike(rows):
            equation.find_units(cases, self.z[cases.rows])
        if self.together:
            equation.unit[rows] = equation.unit[rows].min()
        self._slopes_at(rows)
        self._close_without_step(rows)
        rows = np.flatnonzero(self.running)
        for cases in self._alike(rows):
            z, slope = self.z[cases.rows], self.slope[cases.rows]
            derivative = partial(equation.derivative, cases=cases)
            scale, order = self._scale(cases, z, z), 5 if cases.stiff else 8
            self.h[cases.rows] = first_lengths(derivative, z, slope, scale, order)
        self._changed = True

    def _close_without_step(self, rows: Array) -> None:
        """End at once what never moves, without a last time and under constant parameters."""
        if np.isinf(self.horizon) and self.schedule.constant:
            still = rows[(self.slope[rows, :-1] == 0).all(axis=1)]
            self._close(still, "stationary", np.zeros(len(still)), self.z[still, :-1])

    # --- cases that are stepped alike ------------------------------------------------------------

    def _alike(self, rows: Array) -> Iterator[Cases]:
        """Sort cases by method and by kind of coordinates, into groups."""
        kinds = 2 * self.stiff[rows] + self.graded[rows]
        for kind in range(4):
            some = rows[kinds == kind]
            if len(some):
                for group in self._groups(some):
                    yield self.equation.cases(group, bool(kind % 2), self.clocked[group], kind > 1)

    def _groups(self, rows: Array) -> list[Array]:
        """Return cases in groups that fit in a cache, together where they share a time."""
        most = max(1, GROUP // self.z.shape[1])
        if self.together or len(rows) <= most:
            return [rows]
        return np.array_split(rows, -(-len(rows) // most))

    def _part(self, cases: Cases, rows: Array) -> Cases:
        """Return those of some cases that stand in `rows`."""
        if len(rows) == len(cases.rows):
            return cases
        return self.equation.cases(rows, cases.graded, self.clocked[rows], cases.stiff)

    def _slopes_at(self, rows: Array) -> None:
        """Evaluate the slopes of cases whose coordinates, clock or parameters have changed."""
        self.method.forget(rows)
        for cases in self._alike(rows):
            self.slope[cases.rows] = self.equation.derivative(self.z[cases.rows], cases)

    def _scale(self, cases: Cases, z: Array, new: Array) -> Array:
        """Return the tolerance of each coordinate."""
        scale = tolerances(cases, z, new, self.options)
        noise = self.ends.noise[cases.rows]
        if noise.any():  # no step is held to digits that rounding takes from the motion
            motion = np.abs(self.slope[cases.rows])
            if cases.graded:  # what is seen of it
                motion[:, :-1] /= cases.at(z[:, :-1]).tolerance_scale(np.inf).reshape(len(z), -1)
            motion = self.h[cases.rows] * motion.max(axis=1)
            scale += np.minimum(noise * motion, NOISIEST)[:, None]
        return scale

    # --- stepping --------------------------------------------------------------------------------

    def to_the_end(self) -> Integration:
        """Step until every case has ended."""
        while self.running.any():
            if self._changed:
                self._kinds = list(self._alike(np.flatnonzero(self.running)))
                self._changed = False
            for cases in self._kinds:
                self._step(cases)
            if self.progress is not None:
                self.progress(self._share_done())
        return self

    def _share_done(self) -> float:
        """Return the part of the work that is done, from 0 to 1, for a progress bar."""
        shares = np.minimum(self._now(np.arange(len(self.z))) / self.horizon, 1.0)
        return float(np.where(self.running, shares, 1.0).mean())

    def _now(self, rows: Array) -> Array:
        """Return the times of cases."""
        last = self.z[rows, -1]
        theta = np.where(self.clocked[rows] & self.stiff[rows], np.expm1(last), last)
        return np.asarray(theta * self.equation.unit[rows])

    def _step(self, cases: Cases) -> None:
        """Try one step of cases that are stepped alike, each of its own length."""
        rows = cases.rows
        z, slope = self.z[rows], self.slope[rows]
        h, landing = self._lengths(cases, z)
        step: Any
        if cases.stiff:
            step = self.method.step(cases, z, slope, h, self._scale(cases, z, z))
            loose = self.method.tolerance
        else:
            z = cases.measure.arranged(z)
            derivative = partial(self.equation.derivative, cases=cases)
            step, loose = Explicit(derivative, z, slope, h), 1.0
        error = step.error(self._scale(cases, z, step.new) * loose)
        usable = np.isfinite(error) & np.isfinite(step.slope).all(axis=1)
        error = np.where(usable, error, np.inf)
        if self.together:
            error = np.where(cases.clocked, error, error[~cases.clocked].max(initial=0.0))
        good = error <= 1
        if cases.stiff:
            self.method.keep(rows, good, step)
        self.h[rows], self.last[:, rows] = next_lengths(
            h, self.h[rows], self.last[:, rows], error, good, step.order
        )
        if cases.stiff:
            self.h[rows] = np.minimum(self.h[rows], self.method.longest(rows))
        self.taken[rows] += 1
        if good.any():
            self._accept(cases, step, good, landing)
        self._give_up(rows)

    def _lengths(self, cases: Cases, z: Array) -> tuple[Array, Array]:
        """Return the steps of cases, and which of them end at the next jump or last time."""
        rows = cases.rows
        h = self.h[rows]
        if self.together:
            h = np.where(cases.clocked, h, h[~cases.clocked].min(initial=np.inf))
        left = cases.last(self._stops(cases)) - z[:, -1]
        if cases.any_clocked:
            left[cases.clocked & ~cases.logged] = np.inf
        landing = 1.05 * h >= left
        return np.where(landing, left, np.minimum(h, np.maximum(left / 2, 0.5 * h))), landing

    def _stops(self, cases: Cases) -> Array:
        """Return the next times at which steps end: jumps, the last time, and those to record.

        The last ones only under Rodas5P, whose polynomial loses what follows a force in time.
        """
        goal = self.goal[cases.rows]
        if self.times is None or not cases.stiff or self.method.radau:
            return goal
        due = np.minimum(self.next_record[cases.rows], len(self.times) - 1)
        return np.minimum(goal, self.times[due])

    def _accept(self, cases: Cases, step: Any, good: Array, landing: Array) -> None:
        """Move on the cases whose step is good: records, ends, jumps, coordinates, clocks."""
        rows, new, unit = cases.rows, step.new, cases.unit
        goal, landed, all_good = self.goal[rows], good & landing, good.all()
        now = cases.theta(new) * unit
        if landed.any():
            stops = self._stops(cases)
            new[landed, -1] = cases.last(stops[landed], landed)
            now = np.where(landed, stops, now)
        self._record(cases, step, good, now)
        some = rows if all_good else rows[good]
        self.z[some], self.slope[some] = new[good], step.slope[good]
        stepped = good
        arrived = good & (now >= goal)
        if arrived.any() and goal[arrived].min() < self.horizon:
            jumped = self._jump(cases, step, arrived)
            now, arrived = np.where(jumped, goal, now), arrived & ~jumped
        if arrived.any():
            late = rows[arrived]
            self._close(late, "time", np.full(len(late), self.horizon), self.records[-1, late])
            good = good & ~arrived
            some = rows[good]
        if len(some):
            part = self._part(cases, some)
            moved = (step.new - step.z)[good, :-1] if self.ends.to_a_limit else None
            state = self.equation.state(part, self.z[some], self.slope[some], now[good], moved)
            for ended, why, end in self.ends.found(state, self.goal[some]):
                self._close(some[ended], why, end[ended], state.z[ended, :-1])
            self._change_clocks(state)
            self._change_coordinates(state)
        self._doubt(cases, step, stepped)  # last: until here the cases are as they were stepped

    def _record(self, cases: Cases, step: Any, good: Array, now: Array) -> None:
        """Write down every requested time that the last step passed."""
        if self.times is None:
            if good[0] and cases.rows[0] == 0:
                self.steps.append((float(now[0]), step.new[0, :-1].copy()))
            return
        due = self.next_record[cases.rows]
        # Records beyond a jump belong to the parameters after it.
        passed = self.times.searchsorted(np.minimum(now, self.goal[cases.rows]), side="right")
        counts = np.maximum(passed - due, 0) * good
        if not counts.any():
            return
        which = np.arange(len(due)).repeat(counts)
        j = np.arange(len(which)) + (due + counts - counts.cumsum()).repeat(counts)
        targets = cases.last(self.times[j], which)
        self.next_record[cases.rows] = due + counts
        if counts.max() == 1 and (targets == step.new[which, -1]).all():  # the ends of the steps
            self.records[j, cases.rows[which]] = step.new[which, :-1]
            return
        polynomial = step.interpolant()
        if cases.any_clocked:
            x = polynomial.places(which, targets)
        else:
            start = step.z[:, -1]
            x = (targets - start[which]) / (step.new[:, -1] - start)[which]
            x = np.minimum(np.maximum(x, 0.0), 1.0)
        # Some at a time: a step may pass all records, which then would be held twice.
        for some in slices(0, len(which), max(1, AT_ONCE // step.z.shape[1])):
            states = polynomial.at(which[some], x[some])
            self.records[j[some], cases.rows[which[some]]] = states[:, :-1]

    # --- jumps of the parameters -----------------------------------------------------------------

    def _enter_segment(self, rows: Array, since: Array | float) -> None:
        """Set the next time that cases must not step across, and between which times they are."""
        jumps = self.schedule.jumps[self.schedule.jumps < self.horizon]
        stops = np.append(jumps, self.horizon)
        self.goal[rows] = stops[np.searchsorted(jumps, since, side="right")]
        inside = np.nextafter(self.goal[rows], 0.0)
        self.equation.since[rows] = since
        self.equation.until[rows] = np.where(self.goal[rows] < self.horizon, inside, self.horizon)

    def _jump(self, cases: Cases, step: Any, arrived: Array) -> Array:
        """Put cases that passed a jump on it; return which did, of those that arrived."""
        rows = cases.rows
        here = arrived & (self.goal[rows] < self.horizon)
        over = here & cases.clocked & ~cases.logged
        if over.any():
            some = np.flatnonzero(over)
            targets = cases.last(self.goal[rows[some]], some)
            self.z[rows[some]] = step.interpolant().at_times(some, targets)
            self.z[rows[some], -1] = targets
            if self.times is None and rows[some[0]] == 0:
                self.steps[-1] = (float(self.goal[0]), self.z[0, :-1].copy())
        self.ends.begin_anew(rows[here], self.goal[rows[here]])
        self._enter_segment(rows[here], self.goal[rows[here]])
        self._slopes_at(rows[here])
        return here

    # --- ends ------------------------------------------------------------------------------------

    def _give_up(self, rows: Array) -> None:
        """End as undecided what has spent its budget, or needs steps that rounding hides."""
        stiff, clock = self.stiff[rows], np.abs(self.z[rows, -1])
        least = np.where(stiff, SHORTEST_OF_LOG * clock, SHORTEST_STEP * np.maximum(1.0, clock))
        spent = self.h[rows] < least
        spent |= self.taken[rows] >= self.options.budget
        if spent.any():
            some = rows[spent & self.running[rows]]
            self._close(some, "undecided", self._now(some), self.z[some, :-1])

    def _close(self, rows: Array, why: str, end: Array, states: Array) -> None:
        if len(rows):
            self.ends.close(rows, why, end, states)
            self.running[rows] = False
            self._changed = True

    # --- changes of coordinates, clocks and methods ----------------------------------------------

    def _change_coordinates(self, state: State) -> None:
        """Give measures whose coordinates no longer stand apart their principal axes."""
        rows, measure = state.cases.rows, state.measure
        needed = np.reshape(measure.needs_principal_axes(), -1) & self.running[rows]
        if needed.any():
            some = rows[needed]
            chosen = measure[needed] if measure.stack else measure
            self.z[some, :-1] = chosen.principal().pack().reshape(len(some), -1)
            self.graded[some] = True
            self._slopes_at(some)
            self._changed = True

    def _change_clocks(self, state: State) -> None:
        """Let cases that have run for long, or begin to grow fast, go over to the clock."""
        cases, rows, theta = state.cases, state.cases.rows, state.z[:, -1]
        if cases.all_clocked or getattr(cases.attention, "steady", False):
            return
        over = state.growth * cases.unit * theta > FAST
        # Clocks of their own part cases that share times, so a stack in time waits for a growth.
        if not (self.together and len(self.running) > 1):
            over |= theta > LONG
        over &= ~cases.clocked & self.running[rows]
        if over.any():
            some = rows[over]
            self.clocked[some] = True
            if cases.stiff:
                self._to_log(some)
            else:
                self._slopes_at(some)
                self.h[some] /= np.maximum(self.slope[some, -1], 1e-300)
            self._changed = True

    def _doubt(self, cases: Cases, step: Any, good: Array) -> None:
        """Go over to the stiff method where a large rate limits most steps."""
        rows = cases.rows[good]
        if (
            self.options.method != "auto"
            or self.stiff[rows[0]]
            or self.z.shape[1] > LARGEST_STIFF
            or self.taken[rows].max() < FIRST_DOUBT
        ):
            return
        limited = limited_by_rate(step, good, self.measure.can_be_thin)
        self.doubt[rows] += MEMORY * (limited - self.doubt[rows])
        over = rows[(self.doubt[rows] > SURE) & self.running[rows]]
        if len(over):
            self.stiff[over] = True
            self._to_log(over[self.clocked[over]])
            self._changed = True

    def _to_log(self, rows: Array) -> None:
        """Give stiff cases the logarithm of time as their clock."""
        stretch = 1 + self.z[rows, -1]
        self.h[rows] *= self.slope[rows, -1] / stretch
        self.z[rows, -1] = np.log(stretch)
        self._slopes_at(rows)
