"""The solvers of `scipy.integrate`, one a case: a route of its own to the same flows."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import integrate, optimize

from transpde.checks import Array
from transpde.stepping.equation import Cases, Equation
from transpde.stepping.run import Run

__all__ = ["METHODS", "Independent"]

METHODS = ("RK45", "RK23", "Radau", "BDF", "LSODA")


class Independent(Run):
    """One integration, with all cases on the clock; its parameters have no jumps."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        if len(self.schedule.jumps):
            raise ValueError(
                "method: parameters with jumps are stepped by 'DOP853' or 'Rodas5P'; "
                f"got {self.options.method!r}."
            )
        how, count = self.options.how, len(self.z)
        self.equation = Equation(self.measure, self.schedule, how, self.horizon, count)

    def to_the_end(self) -> Independent:
        """Step each case until it has ended."""
        finite = np.isfinite(self.z).all(axis=1)
        self.ends.stop[~finite] = "undecided"
        alive = np.flatnonzero(finite)
        for done, case in enumerate(alive):
            self._run(np.array([case]))
            if self.progress is not None:
                self.progress((done + 1) / len(alive))
        return self

    def _cases(self, row: Array, graded: bool) -> Cases:
        return self.equation.cases(row, graded, np.ones(1, dtype=bool))

    def _run(self, row: Array) -> None:
        cases = self._cases(row, self.measure.in_axes)
        self.equation.find_units(cases, self.z[row])
        cases = self._cases(row, self.measure.in_axes)
        if self._rests(cases):
            return
        solver, due = self._solver(cases, self.z[row[0]], None), 1
        for _ in range(self.options.budget):
            before = solver.y[None].copy()
            try:
                solver.step()
            except (ValueError, np.linalg.LinAlgError):  # a matrix of scipy's is out of range
                break
            if solver.status == "failed":
                break
            z = solver.y[None]
            due = self._record(cases, solver, due)
            if self._ended(cases, z, (z - before)[:, :-1]):
                return
            measure = cases.at(z[:, :-1])
            if np.any(measure.needs_principal_axes()):
                z[0, :-1] = measure.principal().pack().ravel()
                cases = self._cases(row, True)
                step = getattr(solver, "h_abs", solver.step_size)
                solver = self._solver(cases, z[0], step)
        now = solver.y[-1:] * cases.unit
        self.ends.close(row, "undecided", now, solver.y[None, :-1])

    def _rests(self, cases: Cases) -> bool:
        """End at once what never moves; return whether it does not.

        A point mass at rest has no growth, and one beside it has: no solver that takes differences
        can know how the pace of its clock changes.
        """
        row, z = cases.rows, self.z[cases.rows]
        rests = self.schedule.constant and not self.equation.derivative(z, cases)[:, :-1].any()
        if rests:
            last, why = (0.0, "stationary") if np.isinf(self.horizon) else (self.horizon, "time")
            self.records[:, row] = z[:, :-1]
            self.ends.close(row, why, last, z[:, :-1])
        return rests

    def _solver(self, cases: Cases, z: Array, first_step: float | None) -> Any:
        kind = getattr(integrate, self.options.method)
        return kind(
            lambda _, y: self.equation.derivative(y[None], cases)[0],
            0.0,
            z,
            np.inf,
            rtol=max(self.options.rtol, 1e-13),
            atol=self.options.atol,
            first_step=first_step,
        )

    def _record(self, cases: Cases, solver: Any, due: int) -> int:
        """Write down every requested time that the last step passed; return the next one."""
        row, now = int(cases.rows[0]), solver.y[-1] * cases.unit[0]
        if self.times is None:
            if row == 0:
                self.steps.append((float(now), solver.y[:-1].copy()))
            return due
        passed = int(np.searchsorted(self.times, now, side="right"))
        if passed <= due:
            return due
        path: Any = solver.dense_output()
        for j in range(due, passed):
            target = self.times[j] / cases.unit[0]
            place = optimize.brentq(
                lambda s, target=target: path(s)[-1] - target, solver.t_old, solver.t,
                xtol=1e-15, rtol=1e-15,
            ) if path(solver.t)[-1] > target else solver.t  # fmt: skip
            self.records[j, row] = path(place)[:-1]
        return passed

    def _ended(self, cases: Cases, z: Array, moved: Array) -> bool:
        now = z[:, -1] * cases.unit
        if now[0] >= self.horizon:
            end = np.array([self.horizon])
            self.ends.close(cases.rows, "time", end, self.records[-1, cases.rows])
            return True
        slope = self.equation.derivative(z, cases)
        state = self.equation.state(cases, z, slope, now, moved)
        for _, why, end in self.ends.found(state, np.full(1, self.horizon)):
            self.ends.close(cases.rows, why, end, z[:, :-1])
            return True
        return False
