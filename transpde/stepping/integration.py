r"""Stepping a stack of measures through time with the solvers of `scipy.integrate`.

Each case runs on its own clock, $d\tau = (1/T + 1/(t_0 + t) + g^+)\,dt$, where g is the growth of
its size, $g = d\log\operatorname{tr}\Sigma/dt$, and t_0 its first time scale. While nothing grows
the clock runs with the logarithm of time, as the algebraic decay of attention wants it. A size at
most grows like $e^\tau$, so a finite blow-up time t* is reached only as $\tau \to \infty$: it is a
number that the solver computes to its tolerance, not the moment at which a norm passes a
threshold. What turns while it explodes may grow and shrink in turns: there the clock keeps a
small share of the speed, else it would stand still to within rounding. The physical time of a case
is one more coordinate of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import integrate, sparse

from transpde.attention import Attention
from transpde.checks import Array
from transpde.fields import VelocityField
from transpde.kernels import EXACT, Evaluation
from transpde.measures import Measure

__all__ = ["METHODS", "AttentionInTime", "Integration", "Options"]

AttentionInTime = Attention | Callable[[float], Attention]

METHODS = ("DOP853", "RK45", "RK23", "Radau", "BDF", "LSODA")
# A blow-up: 1/growth, the time left, is this small relative to the time gone, and the growth has
# risen a hundred thousandfold while the time hardly moved. Exponential growth never does that.
BLOWUP_TAIL = 1e-13
BLOWUP_RISE, BLOWUP_PAUSE = 1e5, 1e-5
TURN = 1e-3  # share of the relative speed over which the clock changes between two scales
MAX_STEPS, MAX_STEPS_TO_INFINITY = 100_000, 5_000
LATEST = 1e100  # first time scales by which a flow to infinity should have met its end
# The growth of a covariance is lost in rounding: so little is left of the sum that drives it, and
# its log size has grown by so much. (A covariance that converges does not grow.)
UNRESOLVED, GROWN = 2e-15, 15.0
SHORTEST = 1e-6  # relative tolerance of the shortest columns of a covariance
LARGEST = 1e150  # a coordinate whose square still is a number


@dataclass(frozen=True)
class Options:
    """How to step: a method of scipy, its tolerances, the tolerance of a stationary state.

    `how` sums over tokens are evaluated.
    """

    method: str
    rtol: float
    atol: float
    stationary: float | None
    how: Evaluation = EXACT


class _MaxNormDOP853(integrate.DOP853):  # type: ignore[misc]
    """DOP853 with the error of each coordinate held to the tolerance, ended cases left out.

    scipy takes a root mean square over all coordinates, which would let one case of a stack of B
    exceed the tolerance by a factor of sqrt(B).
    """

    running: Array
    slack: Callable[[Array], Any]

    def _estimate_error_norm(self, K: Array, h: float, scale: Array) -> float:
        scale = scale * self.slack(self.y)
        e5 = (K.T @ self.E5 / scale) ** 2
        e3 = (K.T @ self.E3 / scale) ** 2
        size = np.sqrt(e5 + 0.01 * e3)
        error = np.abs(h) * np.divide(e5, size, out=np.zeros_like(e5), where=size != 0)
        largest = error.reshape(self.running.size, -1)[self.running].max()
        return float(largest) if np.isfinite(largest) else np.inf  # a NaN is no success


def _block_structure(method: str, cases: int, size: int) -> dict[str, Any]:
    """Return the option that tells an implicit method that cases do not act on each other."""
    if cases == 1 or method not in ("Radau", "BDF", "LSODA"):
        return {}
    if method == "LSODA":
        return {"lband": size - 1, "uband": size - 1}
    return {"jac_sparsity": sparse.kron(sparse.eye(cases), np.ones((size, size)))}


class Integration:
    """One integration: the cases still running, and what is recorded of all of them.

    Args:
        measure: the start; cases with NaN coordinates are left alone.
        attention: an attention or a callable of time.
        times: times to record, the first 0 and the last the horizon; None: the solver's own.
        horizon: the time at which every case ends at the latest, or inf.
        options: how to step.
        progress: called after each step with the part of the work that is done.
    """

    def __init__(
        self,
        measure: Measure,
        attention: AttentionInTime,
        times: Array | None,
        horizon: float,
        options: Options,
        progress: Callable[[float], Any] = lambda share: None,
    ) -> None:
        self.progress = progress
        self.measure, self.options = measure.prepared(), options
        self.graded = self.measure.in_axes
        # What an attention remembers lives as long as this integration: a run repeats to the bit.
        self.attention = attention.warmed() if isinstance(attention, Attention) else attention
        self.times, self.horizon = times, horizon
        start = self.measure.pack().reshape(int(np.prod(measure.stack)), -1)
        self.records = np.full((1 if times is None else len(times), *start.shape), np.nan)
        self.records[0] = start
        self.steps = [(0.0, start[0])]  # the solver's own steps, kept when no times are given
        self.next_record = np.ones(len(start), dtype=int)
        self.end = np.zeros(len(start))
        self.stop = np.full(len(start), "time", dtype="<U10")
        self.final = start.copy()
        self.index = np.flatnonzero(np.isfinite(start).all(axis=1))  # the cases the solver holds
        self.running = np.ones(len(self.index), dtype=bool)  # which of those have not ended
        self._choose()
        # The clock counts physical time in units of each case's first relative time scale.
        self.unit = np.ones(len(start))
        held = start[self.index]
        if not len(held):
            raise ValueError("measure: no case has finite coordinates; nothing flows.")
        whole, field, velocity, _ = self._speed_and_growth(held, np.zeros(len(held)))
        rate = 1 / horizon + np.broadcast_to(whole.rate(field, velocity), len(held))
        if not (np.isfinite(velocity).all() and np.isfinite(rate).all()):
            raise ValueError(
                "measure: too large for this attention: its first velocity is not finite. "
                "Rescale the tokens, and query or key inversely."
            )
        if (rate == 0).any():
            raise ValueError(
                "time: must be finite here; got inf, and a measure whose shape does not change, "
                "to within floating point numbers, has no certain end."
            )
        self.unit[self.index] = 1 / rate
        self.solver = self._solver(np.column_stack([held, np.zeros(len(held))]), None)
        self.mark = np.zeros((2, len(start)))  # a time not long ago, and the growth then

    # --- the right-hand side -----------------------------------------------------------------

    def _field(self, state: Array, clock: Array) -> tuple[Measure, VelocityField]:
        """Return the measure of the cases that the solver holds, and its velocity field."""
        held = self._held(state)
        if not self.measure.stack:
            time = float(clock[0] * self.unit[0])
            now = self.attention if isinstance(self.attention, Attention) else self.attention(time)
            return held, now(held, *self.options.how)
        return held, self.chosen(held, *self.options.how)

    def _held(self, state: Array) -> Any:
        """Return the measure of the cases that the solver holds, a row of coordinates each."""
        return self.measure.unpack(state if self.measure.stack else state[0]).marked(self.graded)

    def _speed_and_growth(self, state: Array, clock: Array) -> tuple[Any, Any, Array, Array]:
        """Return the held measure, its field, its velocity and its growth, a row a case."""
        held, field = self._field(state, clock)
        velocity = held.advect(field)
        growth = np.broadcast_to(held.growth(field, velocity), len(state))
        return held, field, velocity.reshape(len(state), -1), growth

    def _derivative(self, _: float, flat: Array) -> Array:
        z = flat.reshape(len(self.index), -1)
        held, field, velocity, growth = self._speed_and_growth(z[:, :-1], z[:, -1])
        unit = self.unit[self.index]
        # Not the positive part of the growth but a smooth function above it: the steps of a
        # solver of high order live on derivatives. What turns fast grows and shrinks in turns,
        # and no clock can follow that from one time scale to the other.
        base = 1 / (unit * (1 + np.maximum(z[:, -1], 0.0)))
        width = np.hypot(base, TURN * held.turning(field, velocity))
        rate = 1 / self.horizon + base + (growth + np.hypot(growth, width)) / 2
        return (np.column_stack([velocity, 1 / unit]) / rate[:, None]).ravel()

    def _choose(self) -> None:
        """Pick the parameters of the cases that the solver holds."""
        if self.measure.stack and isinstance(self.attention, Attention):
            self.chosen = self.attention.select(self.measure.stack, self.index)

    def _solver(self, z: Array, first_step: float | None) -> Any:
        name = self.options.method
        kind = _MaxNormDOP853 if name == "DOP853" else getattr(integrate, name)
        # The other methods take a root mean square: this share of the tolerance bounds each case.
        share = 1.0 if name == "DOP853" else np.sqrt(len(z))
        solver = kind(
            self._derivative,
            0.0,
            z.ravel(),
            np.inf,
            rtol=max(self.options.rtol / share, 1e-13),
            atol=self.options.atol / share,
            first_step=first_step,
            **_block_structure(name, *z.shape),
        )
        solver.running, solver.slack = self.running, self._slack
        return solver

    def _slack(self, flat: Array) -> Any:
        """Return by what the tolerance of each coordinate may exceed that of the largest."""
        z = flat.reshape(len(self.index), -1)
        slack = self._held(z[:, :-1]).slack(max(1.0, SHORTEST / self.options.rtol))
        if np.ndim(slack) == 0:
            return slack
        return np.column_stack([np.reshape(slack, (len(z), -1)), np.ones(len(z))]).ravel()

    # --- stepping ----------------------------------------------------------------------------

    def to_the_end(self) -> Integration:
        """Step until every case has ended."""
        most = MAX_STEPS if np.isfinite(self.horizon) else MAX_STEPS_TO_INFINITY
        for _ in range(most):
            message = self.solver.step()
            if self.solver.status == "failed":
                raise RuntimeError(f"flow: the solver failed {self._where()}: {message}")
            self._check_range()
            self._record()
            self._find_ends()
            self.progress(self._share_done())
            if not self.running.any():
                return self
            if self._straighten() or self.running.mean() <= 0.5:
                self._restart()
        raise RuntimeError(
            f"flow: no end after {most} steps {self._where()}. "
            'Give a shorter `time`, a looser `rtol`, or method="Radau" for a stiff flow.'
        )

    def _check_range(self) -> None:
        if np.isinf(self.horizon) and (self._states()[self.running, -1] > LATEST).any():
            raise RuntimeError(
                "flow: time=inf, but no end is near: give a finite `time`, or `stationary`."
            )
        large = self.running & ~(np.abs(self._states()) < LARGEST).all(axis=1)
        if large.any():
            time, case = self._now()[large].min(), self.index[large][0]
            raise RuntimeError(
                f"flow: case {case} leaves the range of floating point numbers at time {time:.6g}."
                " Shorten `time`. If it is a mean that grows: the covariance under softmax, L2 or "
                "Sinkhorn attention does not depend on it, so start from mean zero."
            )

    def _share_done(self) -> float:
        """Return the part of the work that is done, from 0 to 1, for a progress bar."""
        ended = len(self.end) - self.running.sum()
        return float(ended + (self._now() / self.horizon)[self.running].sum()) / len(self.end)

    def _where(self) -> str:
        return f"at time {self._now()[self.running].min():.6g}"

    def _now(self) -> Array:
        """Return the physical time of each case that the solver holds."""
        return self._states()[:, -1] * self.unit[self.index]

    def _states(self) -> Array:
        return self.solver.y.reshape(len(self.index), -1)

    def _record(self) -> None:
        """Write down every requested time that the last step passed."""
        now = self._now()
        if self.times is None:
            self.steps.append((float(now[0]), self._states()[0, :-1].copy()))
            return
        due, passed = self.next_record[self.index], np.searchsorted(self.times, now, side="right")
        wanted = [
            (row, j)
            for row in np.flatnonzero(self.running & (passed > due))
            for j in range(due[row], passed[row])
        ]
        if wanted:
            rows, js = np.array(wanted).T
            targets = self.times[js] / self.unit[self.index[rows]]
            step = _StepPolynomial(self.solver, len(self.index))
            self.records[js, self.index[rows]] = step.at_clock(rows, targets)
            self.next_record[self.index] = np.maximum(due, passed)

    def _find_ends(self) -> None:
        z, now = self._states(), self._now()
        held, field, velocity, growth = self._speed_and_growth(z[:, :-1], z[:, -1])
        tail = np.divide(1.0, growth, out=np.full(len(now), np.inf), where=growth > 0)
        self._check_resolution(held, field, now)
        on_time = self.running & (now >= self.horizon)
        blown = self.running & ~on_time & self._exploding(now, growth, tail)
        still = np.zeros_like(blown)
        if self.options.stationary is not None:
            slow = held.relative_speed(field, velocity) * (1 + now) <= self.options.stationary
            still = self.running & ~on_time & ~blown & slow
        self._close(on_time, "time", np.full_like(now, self.horizon), self.records[-1, self.index])
        self._close(blown, "blow-up", now + tail, z[:, :-1])
        self._close(still, "stationary", now, z[:, :-1])
        self.running &= ~(on_time | blown | still)

    def _check_resolution(self, held: Any, field: VelocityField, now: Array) -> None:
        """Raise where a covariance has grown so thin that rounding hides what drives it."""
        motion = getattr(field, "motion", None)
        if motion is None:
            return
        start: Any = self.measure
        left = np.broadcast_to(motion.left(), len(now))
        grown = held.log_size - np.reshape(start.log_size, -1)[self.index] > GROWN
        lost = self.running & grown & (left < UNRESOLVED)
        if lost.any():
            raise RuntimeError(
                f"flow: from time {now[lost].min():.6g} the covariance of case "
                f"{self.index[lost][0]} is so large and thin, along a direction in which the "
                "attention vanishes, that rounding hides how it goes on. End before that `time`."
            )

    def _exploding(self, now: Array, growth: Array, tail: Array) -> Array:
        since, grew = self.mark[:, self.index]
        moved = now > since * (1 + BLOWUP_PAUSE)
        self.mark[:, self.index] = np.where(moved, [now, growth], [since, grew])
        return ~moved & (tail < BLOWUP_TAIL * now) & (growth > BLOWUP_RISE * grew)

    def _close(self, rows: Array, why: str, end: Array, state: Array) -> None:
        cases = self.index[rows]
        self.stop[cases], self.end[cases], self.final[cases] = why, end[rows], state[rows]

    def _next_step(self) -> float | None:
        """Return the step that a new solver should try first: what the old one would try next."""
        step: float | None = getattr(self.solver, "h_abs", self.solver.step_size)
        return step

    def _straighten(self) -> bool:
        """Give measures whose coordinates no longer stand apart others that do; say if any had."""
        z = self._states()
        held = self._held(z[:, :-1])
        crooked = self.running & held.crooked()
        if not crooked.any():
            return False
        if not self.graded:  # from now on every case has a scale for each axis
            self.graded, crooked = True, np.ones_like(crooked)
        chosen = held[crooked] if held.stack else held
        z[crooked, :-1] = chosen.principal().pack()
        return True

    def _restart(self) -> None:
        """Begin a new solver with the cases that still run."""
        z = self._states()[self.running]
        self.index = self.index[self.running]
        self.running = np.ones(len(self.index), dtype=bool)
        self._choose()
        self.solver = self._solver(z, self._next_step())


class _StepPolynomial:
    """The solver's interpolant on its last step, evaluated case by case.

    It is a polynomial of degree at most 7 in the solver's variable for DOP853: eight Chebyshev
    points hold it exactly, and the barycentric formula reads it back anywhere.
    """

    NODES = (1 - np.cos(np.pi * np.arange(8) / 7)) / 2
    SIGNS = np.array([0.5, -1, 1, -1, 1, -1, 1, -0.5])

    def __init__(self, solver: Any, cases: int) -> None:
        values = solver.dense_output()(solver.t_old + self.NODES * (solver.t - solver.t_old))
        values[:, -1] = solver.y
        self.values = values.reshape(cases, -1, 8)

    def _weights(self, x: Array) -> Array:
        """Return the barycentric weights (len(x), 8) at positions x in [0, 1] of the step."""
        gap = x[:, None] - self.NODES
        exact = gap == 0
        weights = self.SIGNS / np.where(exact, 1.0, gap)
        weights = np.where(exact.any(axis=1, keepdims=True), exact, weights)
        return weights / weights.sum(axis=1, keepdims=True)

    def at_clock(self, rows: Array, targets: Array) -> Array:
        """Return the coordinates of the cases `rows` where their clocks show `targets`."""
        clocks = self.values[rows, -1]
        low, high = np.zeros(len(rows)), np.ones(len(rows))
        for _ in range(52):  # bisection: a clock is increasing, and 2**-52 is the last digit
            middle = (low + high) / 2
            late = (self._weights(middle) * clocks).sum(axis=1) >= targets
            low, high = np.where(late, low, middle), np.where(late, middle, high)
        weights = self._weights((low + high) / 2)
        return np.einsum("cnk,ck->cn", self.values[rows, :-1], weights)
