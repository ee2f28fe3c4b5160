r"""The flow of heads $\dot u_i = -\nabla F'_\nu(u_i)$, and gradient descent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.integrate import LSODA

from transpde.checks import (
    Array,
    Unchanging,
    increasing_times,
    non_negative_number,
    of_kind,
    positive_integer,
    positive_number,
)
from transpde.crowd.heads import Crowd, matrices
from transpde.crowd.regression import Regression
from transpde.fields import silent

__all__ = ["CrowdPath", "descend", "head_flow"]

REACHED = "The loss that was wanted is reached."


@dataclass(frozen=True, repr=False, eq=False)
class CrowdPath(Unchanging):
    """Heads at some times. Made by `head_flow` and `descend`.

    Args:
        times: shape (T,), those that were reached.
        parameters: the heads at these times, shape (T, m, 2 d^2).
        losses: F, shape (T,).
        final: the crowd at the last time.
        finished: whether the last time, or the loss that was wanted, was reached.
        message: what ended the run.
    """

    times: Array
    parameters: Array
    losses: Array
    final: Crowd
    finished: bool
    message: str

    @property
    def scores(self) -> Array:
        """The score matrices, shape (T, m, d, d)."""
        return matrices(self.parameters, self.final.dimension)[0]

    @property
    def values(self) -> Array:
        """The value matrices, shape (T, m, d, d)."""
        return matrices(self.parameters, self.final.dimension)[1]


@silent
def head_flow(
    task: Regression,
    crowd: Crowd,
    times: Any,
    *,
    rtol: float = 1e-8,
    atol: float = 1e-10,
    budget: int = 200_000,
) -> CrowdPath:
    r"""Integrate $\dot u_i = -\nabla F'_\nu(u_i)$, the Wasserstein gradient flow of F.

    A run that cannot go on (a budget that is spent, heads out of range, steps too small) returns
    the times that it reached, and says so in `finished` and `message`.

    Args:
        task: the loss.
        crowd: the heads at time 0; masses stay.
        times: increasing, the first 0, shape (T,).
        rtol: relative tolerance of a step.
        atol: absolute tolerance of a step.
        budget: how many gradients to compute at most.

    Raises:
        TypeError: no regression, no crowd.
        ValueError: times that do not increase from 0, a number out of range, another dimension.
        OverflowError: the gradient at the start is out of range.

    Source: `petit2026global` for the flow; integrated by SciPy's LSODA.

    Example:
        >>> import numpy as np
        >>> from transpde.crowd import Regression, head_flow, random_crowd
        >>> X = np.random.default_rng(0).normal(size=(4, 5, 2))
        >>> teacher = random_crowd(3, 2, seed=1)
        >>> task = Regression.taught(X, teacher)
        >>> path = head_flow(task, random_crowd(1, 2, seed=2), [0.0, 1.0])
        >>> path.finished, bool(path.losses[1] < path.losses[0])
        (True, True)
    """
    checked(task, crowd)
    times, start = increasing_times("times", times), crowd.parameters()
    most, limits = positive_integer("budget", budget), {
        "rtol": positive_number("rtol", rtol), "atol": positive_number("atol", atol)
    }  # fmt: skip
    task.gradient(crowd)

    def speed(_: float, u: Array) -> Array:
        return -task.gradient(crowd.moved(u.reshape(start.shape))).ravel()

    solver = LSODA(speed, 0.0, start.ravel(), times[-1], **limits)
    found, message = [start], ""
    try:
        while solver.status == "running" and solver.nfev < most:
            message = solver.step() or ""
            if solver.status == "failed":
                break
            between = solver.dense_output()
            while len(found) < len(times) and times[len(found)] <= solver.t:
                found.append(between(times[len(found)]).reshape(start.shape))
    except (OverflowError, ValueError) as error:
        message = str(error)
    if len(found) == len(times):
        message = "The last time is reached."
    elif not message:
        message = f"The budget of {most} gradients is spent at time {solver.t:.6g}."
    losses = [task.loss(crowd.moved(u)) for u in found]
    return _path(crowd, times[: len(found)], found, losses, len(found) == len(times), message)


@silent
def descend(
    task: Regression,
    crowd: Crowd,
    step: float,
    steps: int,
    *,
    below: float = 0.0,
) -> CrowdPath:
    r"""Take steps $u_i\leftarrow u_i - h\nabla F'_\nu(u_i)$ until F is small enough.

    With equal masses 1 / m this is gradient descent with the rate h m: time is that of the flow.
    A run that leaves the range of numbers returns the steps before, and says so.

    Args:
        task: the loss.
        crowd: the heads at the start.
        step: h.
        steps: how many at most.
        below: the value of F that is wanted; 0 means all steps.

    Raises:
        TypeError: no regression, no crowd.
        ValueError: a number out of range, another dimension.
        OverflowError: the gradient at the start is out of range.

    Source: ours.

    Example:
        >>> import numpy as np
        >>> from transpde.crowd import Regression, descend, random_crowd
        >>> X = np.random.default_rng(0).normal(size=(4, 5, 2))
        >>> teacher = random_crowd(3, 2, seed=1)
        >>> task = Regression.taught(X, teacher)
        >>> descend(task, random_crowd(4, 2, seed=2), 1.0, 3).losses.shape
        (4,)
    """
    checked(task, crowd)
    h, most = positive_number("step", step), positive_integer("steps", steps)
    wanted = non_negative_number("below", below)
    task.gradient(crowd)
    found, losses = [crowd.parameters()], [task.loss(crowd)]
    message, finished, here = f"All {most} steps are taken.", wanted == 0, crowd
    goal = wanted or -np.inf
    while len(found) <= most and losses[-1] > goal:
        try:
            here = here.moved(found[-1] - h * task.gradient(here))
            losses.append(task.loss(here))
        except (OverflowError, ValueError) as error:
            message, finished = str(error), False
            break
        found.append(here.parameters())
    if losses[-1] <= goal:
        message, finished = REACHED, True
    return _path(crowd, h * np.arange(len(found)), found, losses, finished, message)


def checked(task: Any, crowd: Any) -> None:
    of_kind("task", task, Regression, "a Regression")
    task._checked(crowd)


def _path(
    crowd: Crowd, times: Array, found: Any, losses: Any, finished: bool, message: str
) -> CrowdPath:
    final = crowd.moved(found[-1])
    return CrowdPath(times, np.array(found), np.array(losses), final, finished, message).sealed()
