r"""Stepping a density on a grid: finite volumes of second order in space and in time.

Heun's method is a mean of Euler steps, and an Euler step of at most 1/(2 r), r the largest rate at
which a cell is emptied, keeps the density non-negative: so does every step. The attention is
evaluated twice a step, at the middles of the faces. Test tokens take the same steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from transpde.checks import Array
from transpde.fields import VelocityField
from transpde.kernels import EXACT
from transpde.measures import FaceVelocities, Grid, Particles
from transpde.stepping.run import Run

__all__ = ["METHOD", "FiniteVolumes"]

METHOD = "SSPRK2"
COURANT, LARGEST_COURANT = 0.45, 0.5  # the steps aimed at, and those that keep positivity
MAX_STEPS = 100_000
FEWEST_STEPS = 64  # with parameters in time, which may change while tokens are at rest
HELD_BACK = 1e-6  # the most mass that the outer faces may hold back


class FiniteVolumes(Run):
    """One integration of a grid, or of one with test tokens.

    A step ends at each time to record and at each jump of the parameters; of the options, the
    tolerance of a stationary state alone has a part.

    Source: `gottlieb2001strong`.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        if self.times is None:
            raise ValueError(
                "time: must be finite for a Grid; got inf. A density on fixed cells has no "
                "blow-up or growth to end in: pass a last time, and `stationary` (1e-6, say) to "
                "end before it where the density comes to rest."
            )
        # Of a grid with test tokens, both parts.
        self.grid: Grid = getattr(self.measure, "measure", self.measure)
        self.tokens: Particles | None = getattr(self.measure, "tokens", None)
        self.stop, self.time, self.held_back, self.taken = "time", 0.0, 0.0, 0

    def to_the_end(self) -> FiniteVolumes:
        """Step until the last time, or until the density is stationary."""
        jumps = self.schedule.jumps
        for j in range(1, len(self.times)):
            inside = (jumps > self.times[j - 1]) & (jumps < self.times[j])
            for stop in [*jumps[inside], self.times[j]]:
                self._step_to(float(stop))
            if self.time == self.times[j]:
                self.records[j, 0] = self._state()
        self.ends.close(np.zeros(1, dtype=int), self.stop, self.time, self._state())
        return self

    def _state(self) -> Array:
        state = self.grid.pack()
        return state if self.tokens is None else np.append(state, self.tokens.pack())

    def _step_to(self, stop: float) -> None:
        """Step until a time to record or a jump, or until the density is stationary."""
        # Up to a jump the parameters are those before it.
        self.latest = np.nextafter(stop, 0.0) if stop in self.schedule.jumps else stop
        while self.time < stop and self.stop == "time":
            self._step(stop)
            if self.progress is not None:
                self.progress(self.time / self.horizon)
            last = not (self.schedule.jumps > self.time).any()
            if last and self.time < self.horizon and self._is_stationary():
                self.stop = "stationary"

    def _field(self, grid: Grid, time: float) -> VelocityField:
        return self.schedule(time).field(grid, EXACT)

    def _velocities(self, grid: Grid, field: VelocityField, time: float) -> FaceVelocities:
        velocities = grid.face_velocities(field)
        if not all(np.isfinite(u).all() for u in velocities):
            raise RuntimeError(
                f"flow: at time {time:.6g} the velocity is not a finite number everywhere between "
                "the edges. Narrow `edges`, or make query or key smaller."
            )
        return velocities

    def _step(self, until: float) -> None:
        """Take one step of Heun's method, no longer than up to the time `until`."""
        t, grid = self.time, self.grid
        field = self._field(grid, t)
        u = self._velocities(grid, field, t)
        fewest = 1 if self.schedule.constant else FEWEST_STEPS
        count = float(
            np.ceil((until - t) * max(grid.outflow_rate(u) / COURANT, fewest / self.horizon))
        )
        self._check_count(count)
        while True:
            h = (until - t) / count
            middle = grid.unpack(grid.density + h * grid.transport(u))
            later = self._field(middle, min(t + h, self.latest))
            v = self._velocities(middle, later, t + h)
            if h * middle.outflow_rate(v) <= LARGEST_COURANT:
                break
            count *= 2  # the flow has grown so fast within the step that it would overdraw a cell
            self._check_count(count)
        self.grid = grid.unpack((grid.density + middle.density + h * middle.transport(v)) / 2)
        if self.tokens is not None:
            self.tokens = _heun(self.tokens, field, later, h)
        self.time, self.taken = until if count == 1 else t + h, self.taken + 1
        self.held_back += h * (grid.held_back(u) + middle.held_back(v)) / 2
        self._check_edges()

    def _check_count(self, count: float) -> None:
        if not self.taken + count <= MAX_STEPS:
            raise RuntimeError(
                f"flow: more than {MAX_STEPS} steps are needed from time {self.time:.6g}, so fast "
                "is the flow somewhere on the grid. Narrow `edges`, take wider cells or a shorter "
                "`time`."
            )

    def _check_edges(self) -> None:
        if self.held_back > HELD_BACK:
            raise RuntimeError(
                f"flow: the density reaches the edges at time {self.time:.6g}: the outermost cells"
                f" hold a mass of {self.grid.outermost:.3g}, and {self.held_back:.3g} would have "
                f"left (at most {HELD_BACK:.0e} may). Widen `edges`, or end before that `time`."
            )

    def _is_stationary(self) -> bool:
        if self.options.stationary is None:
            return False
        speed = self.grid.speed_over_size(self._field(self.grid, self.time))
        return bool(speed * (1 + self.time) <= self.options.stationary)


def _heun(tokens: Particles, field: VelocityField, later: VelocityField, h: float) -> Particles:
    """Return test tokens after the step of Heun's method that the density takes."""
    first = tokens.velocities(field)
    second = tokens.at(tokens.points + h * first).velocities(later)
    return tokens.at(tokens.points + h * (first + second) / 2)
