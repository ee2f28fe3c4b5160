r"""A stack of stiff flows by the Rosenbrock method Rodas5P, each case with steps of its own.

The equation is $\dot z = f(z)$, and the clock of each case is $\theta = \log(1 + t/t_0)$ with its
own first time scale $t_0$: algebraic decay is exponential on it. Rodas5P (eight stages, order
five, L-stable) solves one linear system a stage, all with one matrix, and its error estimate is
the last stage. Source of the coefficients: `steinebach2023rodas5p`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from transpde.checks import Array

__all__ = ["Stiff", "integrate"]

GAMMA = 0.21193756319429014
PLACES = (0.0, 0.6358126895828704, 0.4095798393397535, 0.9769306725060716,
          0.4288403609558664, 1.0, 1.0, 1.0)  # fmt: skip
SLOPES = (GAMMA, -0.42387512638858027, -0.3384627126235924, 1.8046452872882734,
          2.325825639765069, 0.0, 0.0, 0.0)  # fmt: skip
SIXTH = (-7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256,
         0.030198172008377946)  # fmt: skip
STAGES = (
    (),
    (3.0,),
    (2.849394379747939, 0.45842242204463923),
    (-6.954028509809101, 2.489845061869568, -10.358996098473584),
    (2.8029986275628964, 0.5072464736228206, -0.3988312541770524, -0.04721187230404641),
    SIXTH,
    (*SIXTH, 1.0),
    (*SIXTH, 1.0, 1.0),
)
MIXED = (
    (),
    (-14.155112264123755,),
    (-17.97296035885952, -2.859693295451294),
    (147.12150275711716, -1.41221402718213, 71.68940251302358),
    (165.43517024871676, -0.4592823456491126, 42.90938336958603, -5.961986721573306),
    (24.854864614690072, -3.0009227002832186, 47.4931110020768, 5.5814197821558125,
     -0.6610691825249471),
    (30.91273214028599, -3.1208243349937974, 77.79954646070892, 34.28646028294783,
     -19.097331116725623, -28.087943162872662),
    (37.80277123390563, -3.2571969029072276, 112.26918849496327, 66.9347231244047,
     -40.06618937091002, -54.66780262877968, -9.48861652309627),
)  # fmt: skip
FIRST_STEP, SHRINK, GROW, SAFETY = 1e-3, 0.2, 5.0, 0.9
MOST = 20_000  # steps


@dataclass(frozen=True)
class Stiff:
    """A stack of equations.

    Attributes:
        velocity: f(states (B, ...), cases (B,)), of the shape of the states.
        jacobian: its derivative (B, n, n), n the number of coordinates of a case.
        error: error(difference, states, new states): its size relative to what matters, (B,).
    """

    velocity: Callable[[Array, Array], Array]
    jacobian: Callable[[Array, Array], Array]
    error: Callable[[Array, Array, Array], Array]


def integrate(problem: Stiff, start: Array, times: Array, rtol: float) -> Array:
    """Return the states (T, B, ...) at times (T,), the first that of the start.

    Args:
        problem: the equations.
        start: states (B, ...).
        times: increasing; the first is that of the start.
        rtol: the tolerance for `problem.error` on each step.

    Raises:
        RuntimeError: too many steps.
    """
    run = _Run(problem, start, times, rtol)
    for _ in range(MOST):
        running = np.flatnonzero(run.next < len(times))
        if not len(running):
            return run.records
        run.step(running)
    raise RuntimeError(f"flow: no end after {MOST} steps, {len(running)} cases still running.")


class _Run:
    """One integration: clocks, steps and records of all cases."""

    def __init__(self, problem: Stiff, start: Array, times: Array, rtol: float) -> None:
        self.problem, self.rtol, cases = problem, rtol, len(start)
        self.states = np.array(start, dtype=np.float64)
        self.records = np.empty((len(times), *start.shape))
        self.records[0] = start
        flat = problem.velocity(self.states, np.arange(cases)).reshape(cases, -1)
        speed = np.linalg.norm(flat, axis=1) / np.linalg.norm(start.reshape(cases, -1), axis=1)
        # A flow that goes on has the time gone as its scale.
        self.unit = 1 / np.maximum(speed, 1 / times[0] if times[0] > 0 else 1e-300)
        self.marks = np.log1p((times - times[0]) / self.unit[:, None])
        self.clock, self.size = np.zeros(cases), np.full(cases, FIRST_STEP)
        self.next = np.ones(cases, dtype=int)

    def step(self, cases: Array) -> None:
        """Try one step of the cases."""
        problem, states = self.problem, self.states[cases]
        left = self.marks[cases, self.next[cases]] - self.clock[cases]
        wanted = self.size[cases]
        landing = wanted >= 0.999 * left
        h = np.where(landing, left, np.minimum(wanted, left / 2))
        new, last = self._stages(states, cases, h)
        with np.errstate(invalid="ignore", over="ignore"):
            error = problem.error(last, states, new) / self.rtol
        error = np.where(np.isfinite(error), error, 1e10)
        good = error <= 1
        factor = np.clip(SAFETY * np.maximum(error, 1e-10) ** -0.2, SHRINK, GROW)
        # A step cut short to land on a record says nothing against the longer one wanted.
        proposed = np.where(good & (h < wanted), np.maximum(wanted, h * factor), h * factor)
        self.size[cases] = proposed
        self.states[cases[good]] = new[good]
        self.clock[cases[good]] += h[good]
        self._record(cases[good & landing])

    def _record(self, cases: Array) -> None:
        if len(cases):
            self.records[self.next[cases], cases] = self.states[cases]
            self.clock[cases] = self.marks[cases, self.next[cases]]
            self.next[cases] += 1

    def _stages(self, states: Array, cases: Array, h: Array) -> tuple[Array, Array]:
        """Return the new states and the last stage, which estimates the error."""
        problem, shape = self.problem, states.shape
        z, h = states.reshape(len(states), -1), h[:, None]
        pace = (self.unit[cases] * np.exp(self.clock[cases]))[:, None]
        J = problem.jacobian(states, cases) * pace[..., None]
        inverse = np.linalg.inv(np.eye(z.shape[1]) / (GAMMA * h)[..., None] - J)
        stages: list[Array] = []
        with np.errstate(invalid="ignore", over="ignore"):
            for i in range(8):
                u = z + sum(a * k for a, k in zip(STAGES[i], stages, strict=True))
                velocity = problem.velocity(u.reshape(shape), cases).reshape(z.shape)
                velocity = velocity * (pace * np.exp(PLACES[i] * h))
                if i == 0:
                    along = velocity  # d(pace)/d(clock) is the pace itself
                mixed = sum((c / h * k for c, k in zip(MIXED[i], stages, strict=True)), 0.0)
                right = velocity + mixed + SLOPES[i] * h * along
                stages.append((inverse @ right[..., None])[..., 0])
        return (u + stages[7]).reshape(shape), stages[7].reshape(shape)
