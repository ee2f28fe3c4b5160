r"""The equation of a stack of measures, and the clock of each case.

At first a case runs in its own time, $\theta = t/t_0$, with $t_0$ its first time scale. Where it
has run for long, or its size begins to grow fast beside the time gone, it goes over to the clock
$d\tau = (1/T + 1/(t_0 + t) + g^+)\,dt$, where g is the growth of its size,
$g = d\log\operatorname{tr}\Sigma/dt$. While nothing grows that clock runs with the logarithm of
time, as the algebraic decay of attention wants it. A size at most grows like $e^\tau$, so a finite
blow-up time t* is reached only as $\tau \to \infty$: it is a number that the solver computes to
its tolerance, not the moment at which a norm passes a threshold. What turns while it explodes may
grow and shrink in turns: there the clock keeps a small share of the speed, else it would stand
still to within rounding. The time of a case is one more coordinate of it.

A stiff case has a clock that asks nothing of its motion, $d\tau = dt/(t_0 + t)$, and that clock is
its last coordinate: what a large rate leaves of a step would else disturb the clock, and with it
all the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from transpde.attention import Attention
from transpde.checks import Array
from transpde.kernels import Evaluation
from transpde.measures import Measure
from transpde.schedules import Schedule

__all__ = ["Cases", "Equation", "State"]

TURN = 1e-3  # share of the relative speed over which the clock changes between two scales
NUDGE = 6e-6  # a difference of two sides is most exact at the third root of the rounding
LONG = 10.0  # times the first time scale, from which the clock runs with the logarithm of time
FAST = 10.0  # growth over the time gone, from which the clock runs with the logarithm of size


class State(NamedTuple):
    """Some cases as they are, and how they move.

    Attributes:
        cases: which.
        measure: their measures.
        z: their coordinates and times, or clocks, (b, N + 1).
        moved: how far the last step took the coordinates, of the axes of `measure`; None where no
            limit is looked for.
        velocity: their derivatives in time, of the same axes.
        growth: that of the sizes, (b,).
        now: the times, (b,).
    """

    cases: Cases
    measure: Any
    z: Array
    moved: Any
    velocity: Array
    growth: Array
    now: Array


@dataclass
class Cases:
    """Some cases of a stack that are stepped alike.

    Attributes:
        rows: which cases, counted along the flattened stack, (b,).
        measure: measures of their kind.
        single: whether they are one measure without a stack.
        graded: whether their coordinates are a scale for each principal axis.
        unit: the time scale of each, (b,).
        clocked: which run on the clock, (b,).
        attention: theirs, where it does not depend on time.
        how: how their sums over tokens are evaluated, with a memory of their own.
        stiff: whether they are stiff.
        repeated: the same several times.
    """

    rows: Array
    measure: Any
    single: bool
    graded: bool
    unit: Array
    clocked: Array
    attention: Attention | None
    how: Evaluation
    stiff: bool = False
    repeated: Cases | None = None

    def __post_init__(self) -> None:
        self.any_clocked, self.all_clocked = bool(self.clocked.any()), bool(self.clocked.all())
        self.units = self.unit[:, None]
        self.logged = self.clocked if self.stiff else np.zeros_like(self.clocked)

    @cached_property
    def mover(self) -> Callable[[Array], Array] | None:
        """The map from coordinates to their time derivatives, where there is one."""
        if self.attention is None or not (self.single or self.measure.stack):
            return None  # or one measure stands for several
        known = self.measure.marked(True) if self.graded else self.measure
        found: Callable[[Array], Array] | None = known.mover(self.attention, self.how)
        return found

    def at(self, states: Array) -> Any:
        """Return the measures with coordinates (b, N)."""
        found = self.measure.unpack(states[0] if self.single else states)
        return found.marked(True) if self.graded else found

    def theta(self, z: Array) -> Array:
        """Return the times (b,) of states (b, N + 1) over the time scales."""
        last = z[:, -1]
        return np.where(self.logged, np.expm1(last), last) if self.stiff else last

    def last(self, times: Array, some: Any = slice(None)) -> Array:
        """Return the last coordinates of cases, all or `some` of them, at given times."""
        theta = times / self.unit[some]
        return np.where(self.logged[some], np.log1p(theta), theta) if self.stiff else theta

    def stretch(self, z: Array) -> Array:
        """Return by how much theta changes with the last coordinate, (b, 1)."""
        return np.where(self.logged[:, None], np.exp(z[:, -1:]), 1.0)


class Equation:
    r"""The derivative of the coordinates and times of a stack.

    Args:
        measure: the start.
        schedule: the parameters.
        how: how sums over tokens are evaluated.
        horizon: the last time, or inf.
        count: the number of cases B.
    """

    def __init__(
        self, measure: Measure, schedule: Schedule, how: Evaluation, horizon: float, count: int
    ) -> None:
        self.measure, self.schedule, self.how = measure, schedule, how
        self.horizon, self.unit = horizon, np.ones(count)
        # Between jumps a step sees the limits from inside.
        self.since, self.until = np.zeros(count), np.full(count, horizon)

    def cases(self, rows: Array, graded: bool, clocked: Array, stiff: bool = False) -> Cases:
        """Return some cases, which may stand in `rows` several times."""
        single = not self.measure.stack and len(rows) == 1
        measure, attention = self.measure.select(rows), None
        if self.schedule.constant:
            attention = self.schedule(0.0).select(self.measure.stack, rows)
        unit, how = self.unit[rows], self.how.remembering()
        return Cases(rows, measure, single, graded, unit, clocked, attention, how, stiff)

    def repeated(self, cases: Cases, times: int) -> Cases:
        """Return some cases several times, one after another; they are made once."""
        if cases.repeated is None:
            which = np.tile(np.arange(len(cases.rows)), times)
            rows, clocked = cases.rows[which], cases.clocked[which]
            cases.repeated = self.cases(rows, cases.graded, clocked, cases.stiff)
        return cases.repeated

    def find_units(self, cases: Cases, z: Array) -> None:
        """Set the first time scale of each case, in which its time is counted.

        Raises:
            ValueError: a velocity that is not finite.
        """
        measure = cases.at(z[:, :-1])
        velocity = self.velocity(z, cases)
        given = velocity.reshape(measure.stack + velocity.shape[-1:])
        rate = 1 / self.horizon + np.reshape(measure.rate(given), -1)
        if not (np.isfinite(velocity).all() and np.isfinite(rate).all()):
            raise ValueError(
                "measure: too large for this attention: its first velocity, or the square of it, "
                "is not finite. Rescale the tokens, and query or key inversely; a field that is "
                "added must be finite at the tokens."
            )
        self.unit[cases.rows] = 1 / np.where(rate > 0, rate, 1.0)

    def derivative(self, z: Array, cases: Cases) -> Array:
        """Return the derivatives (b, N + 1) of coordinates and times, by the clock of each."""
        out, growth, turning = self._in_time(z, cases)
        if cases.stiff:
            out[:, :-1] *= cases.stretch(z)
        elif cases.any_clocked:
            out /= self._pace(z[:, -1], growth, turning, cases)[0][:, None]
        return out

    def state(self, cases: Cases, z: Array, slope: Array, now: Array, moved: Any) -> State:
        """Return how cases move that a step has `moved`, and whose states have slopes."""
        measure = cases.at(z[:, :-1])
        pace = slope[:, -1:] * cases.units
        velocity = slope[:, :-1] / (pace * cases.stretch(z) if cases.stiff else pace)
        if not measure.stack:
            velocity, moved = velocity[0], None if moved is None else moved[0]
        growth = np.reshape(measure.growth(velocity), -1)
        return State(cases, measure, z, moved, velocity, growth, now)

    def jacobian(self, z: Array, slope: Array, cases: Cases) -> Array:
        """Return the derivatives (b, N + 1, N + 1) of `derivative`, whose value is `slope`.

        The pace of a clock bends where the growth changes its sign, more sharply than differences
        could see: the pace is derived.
        """
        if cases.stiff:
            return self._stiff_jacobian(z, slope, cases)
        pace = 1 / slope[:, -1]
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            values = slope * pace[:, None]
            J, growths, turnings = self._by_coordinates(z, values, cases)
            if cases.any_clocked:
                velocity = values[:, :-1] / cases.unit[:, None]
                growth, turning = self._growth(cases.at(z[:, :-1]), velocity, cases)
                change = self._pace_change(z[:, -1], growth, turning, growths, turnings, cases)
                J = (J - slope[..., None] * change[:, None, :]) / pace[:, None, None]
        return J

    def _stiff_jacobian(self, z: Array, slope: Array, cases: Cases) -> Array:
        stretch = cases.stretch(z)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            values = np.column_stack([slope[:, :-1] / stretch, slope[:, -1]])
            J = self._by_coordinates(z, values, cases)[0]
            J[:, :-1] *= stretch[..., None]
            J[:, :-1, -1] += np.where(cases.logged[:, None], slope[:, :-1], 0.0)
        return J

    def _by_coordinates(self, z: Array, values: Array, cases: Cases) -> tuple[Array, Array, Array]:
        """Return the derivatives of what `_in_time` returns, exactly or else by differences."""
        found = self._derived(z, values, cases)
        if found is None or not np.isfinite(found[0]).all():
            return self._differences(z, cases)
        return found

    def _derived(self, z: Array, values: Array, cases: Cases) -> tuple[Array, Array, Array] | None:
        """Return the derivatives of what `_in_time` returns, exactly, where the measure can."""
        if cases.attention is None:
            return None
        measure, unit = cases.at(z[:, :-1]), cases.units
        velocity = values[:, :-1] / unit
        field = cases.attention.field(measure, cases.how)
        found = measure.derivatives(field, velocity if measure.stack else velocity[0])
        if found is None:
            return None
        b, M = z.shape
        J, growths, turnings = np.zeros((b, M, M)), np.zeros((b, M)), np.zeros((b, M))
        J[:, :-1, :-1] = found[0].reshape(b, M - 1, M - 1).mT * unit[:, None]
        growths[:, :-1], turnings[:, :-1] = (unit * a.reshape(b, -1) for a in found[1:])
        return J, growths, turnings

    def _differences(self, z: Array, cases: Cases) -> tuple[Array, Array, Array]:
        """Return the derivatives of what `_in_time` returns, by differences of order two."""
        b, M = z.shape
        steps = NUDGE * np.maximum(np.abs(z), 1.0)
        shifts = steps[:, :, None] * np.eye(M)
        near = np.stack([z[:, None] + shifts, z[:, None] - shifts], axis=1)
        many = np.repeat(np.arange(b), 2 * M)
        clocked = cases.clocked[many]
        around = self.cases(cases.rows[many], cases.graded, clocked, cases.stiff)
        rises = [a.reshape(b, 2, M, -1) for a in self._in_time(near.reshape(-1, M), around)]
        slopes, growths, turnings = ((a[:, 0] - a[:, 1]) / (2 * steps[..., None]) for a in rises)
        return slopes.mT, growths[..., 0], turnings[..., 0]

    def _in_time(self, z: Array, cases: Cases) -> tuple[Array, Array, Array]:
        """Return derivatives (b, N + 1), growth and turning (b,) by the own time of each case."""
        # In the order in memory of the states; of one case there is none, and `empty` is quicker.
        out = np.empty(z.shape) if len(z) == 1 else np.empty_like(z)
        velocity = self.velocity(z, cases)
        np.multiply(velocity, cases.units, out=out[:, :-1])
        out[:, -1] = 1.0
        if cases.stiff or not cases.any_clocked:
            return out, cases.unit, cases.unit
        return out, *self._growth(cases.at(z[:, :-1]), velocity, cases)

    def _growth(self, measure: Any, velocity: Array, cases: Cases) -> tuple[Array, Array]:
        """Return growth and turning (b,) by the own time of each case."""
        given = velocity.reshape(measure.stack + velocity.shape[-1:])
        growth, turning = measure.growth(given), measure.turning(given)
        return np.reshape(growth, -1) * cases.unit, np.reshape(turning, -1) * cases.unit

    def velocity(self, z: Array, cases: Cases) -> Array:
        """Return the derivatives (b, N), of a single case (N,), of the coordinates in time."""
        states = z[:, :-1]
        if cases.mover is not None:
            return cases.mover(states[0] if cases.single else states)
        measure = cases.at(states)
        if cases.attention is None:
            return self._case_by_time(measure, cases.theta(z), cases)
        velocity: Array = measure.advect(cases.attention.field(measure, cases.how))
        return velocity

    def _case_by_time(self, measure: Any, theta: Array, cases: Cases) -> Array:
        """Return the velocities where parameters depend on time: at once for equal times."""
        rows = cases.rows
        times = np.clip(theta * cases.unit, self.since[rows], self.until[rows])
        velocity = np.full(measure.pack().shape, np.nan)  # of a step that has left the floats
        if not measure.stack:
            if np.isnan(times[0]):
                return velocity[None]
            attention = self.schedule(float(times[0]))
            attention.check(measure)
            return measure.advect(attention.field(measure, cases.how))[None]
        for time in np.unique(times[np.isfinite(times)]):
            some = np.flatnonzero(times == time)
            attention = self.schedule(float(time)).select(self.measure.stack, rows[some])
            part = measure if len(some) == len(times) else measure[some]
            attention.check(part)
            velocity[some] = part.advect(attention.field(part, cases.how))
        return velocity

    def _pace(
        self, theta: Array, growth: Array, turning: Array, cases: Cases
    ) -> tuple[Array, Array, Array]:
        """Return d(clock) / d(theta) of each case, 1 for one without a clock, and its parts."""
        # Not the positive part of the growth but a smooth function above it: the steps of a
        # solver of high order live on derivatives. What turns fast grows and shrinks in turns,
        # and no clock can follow that from one time scale to the other.
        base = 1 / (1 + np.maximum(theta, 0.0))
        size = np.hypot(growth, np.hypot(base, TURN * turning))
        value = cases.unit / self.horizon + base + (growth + size) / 2
        return value if cases.all_clocked else np.where(cases.clocked, value, 1.0), base, size

    def _pace_change(self, theta: Array, growth: Array, turning: Array, *changes: Any) -> Array:
        """Return the derivatives of the pace (b, N + 1) from those of growth and turning."""
        growths, turnings, cases = changes
        _, base, size = self._pace(theta, growth, turning, cases)
        by_growth, by_turning = (1 + growth / size) / 2, TURN**2 * turning / (2 * size)
        change = np.asarray(by_growth[:, None] * growths + by_turning[:, None] * turnings)
        change[:, -1] -= np.where(theta > 0, (1 + base / (2 * size)) * base**2, 0.0)
        change[~cases.clocked] = 0.0
        return change
