r"""The rank of the limit of a covariance, read from a trajectory by a model of decay.

No finite time shows a limit. What a trajectory shows is how each eigenvalue of the covariance
moves over the last decades of depth: its slope $p = -d\log\lambda/d\log t$. An eigenvalue that
tends to a positive number as 1/t has a slope that falls to 0, tenfold a decade; one that vanishes
as 1/t has a slope that tends to 1, and one that vanishes faster has a larger slope. Slopes that
are neither, or that move the other way, decide nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from transpde.checks import (
    Array,
    Unchanging,
    frozen,
    increasing_times,
    positive_number,
    real_array,
)
from transpde.fields import quiet
from transpde.measures import Gaussian
from transpde.trajectories import Trajectory

__all__ = ["LimitRank", "decay_slopes", "decide_decay", "decide_rank"]


@dataclass(frozen=True, eq=False, repr=False)
class LimitRank(Unchanging):
    """The rank of the limit of a covariance, as far as the decay of its eigenvalues decides it.

    Attributes:
        rank: the number of eigenvalues that stay, -1 where undecided.
        decided: whether each eigenvalue either stays or vanishes.
        at_least: the number of eigenvalues that stay.
        at_most: the number of eigenvalues that are not known to vanish.
        stays: which eigenvalues tend to a positive number (..., d), the largest first.
        vanishes: which tend to zero (..., d).
        slopes: mean slope of each over the two windows before the end (2, ..., d); NaN for an
            eigenvalue that is zero, and after a case's own end.
        log_eigenvalues: logarithms at the three depths between them (3, ..., d).
        depths: these three depths (3,).

    For a stack the first four are arrays of its shape, else scalars.
    """

    rank: Any
    decided: Any
    at_least: Any
    at_most: Any
    stays: Array
    vanishes: Array
    slopes: Array
    log_eigenvalues: Array
    depths: Array


@quiet
def decide_rank(
    path: Trajectory[Gaussian], *, window: float = 10.0, slack: float = 0.1, noise: float = 1e-6
) -> LimitRank:
    r"""Decide the rank of the limit of a covariance from the decay of its eigenvalues.

    With slopes $p = -\Delta\log\lambda/\Delta\log t$ over the last two windows of depth, each a
    factor of `window`, an eigenvalue

    - *stays* if $|p| \le$ `slack` on each recorded part of the last window, and the mean slope has
      at least halved in size since the window before: a limit that is approached as 1/t divides it
      by `window`, and of $\lambda$ at least the part $1 - p$ then remains;
    - *vanishes* if $p \ge 1 -$ `slack` on each part, and the mean slope has not fallen further
      below 1 since the window before. Exponential decay has growing slopes and vanishes, too. An
      eigenvalue that is zero at all three depths has vanished.

    A case is decided if each of its eigenvalues is. This is a model, not a proof. It tells a
    positive limit from a decay as 1/t or faster, also where all eigenvalues vanish. Slower decays,
    as $t^{-1/2}$ or $1/\log t$, growth, and eigenvalues that still cross are undecided.

    A decided rank can be wrong, because what begins later is not seen:

    - a decay that begins after the end looks like a limit: with nothing else going on, if its time
      scale is more than 1/`noise` times the end; hidden under another change that is just dying
      out, already if it is ten times the end;
    - a limit looks like a decay if the eigenvalue is still far above it: after a decay as 1/t, if
      the limit is less than `noise` times the last value; after a faster decay, whose slopes fall
      from above 1, already if it is half the last value.

    Args:
        path: a trajectory of a Gaussian or of a stack of them. Record geometric times, such as
            `numpy.append(0, numpy.geomspace(1, 1e6, 25))`.
        window: the factor in depth between the three depths compared, more than 1.
        slack: how far a slope may be from 0 or below 1, less than 1/2.
        noise: changes of a slope below this are not looked at: well above the flow's `rtol`.

    Raises:
        TypeError: a trajectory of particles or of a grid.
        ValueError: a window, slack or noise out of range; fewer than three recorded times that lie
            about a factor of `window` apart.

    Source: ours (reproduction of the rank histograms).

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde.spectra import decide_rank
        >>> Q, times = np.array([[1.0, 0.0]]), np.append(0.0, np.geomspace(1.0, 1e6, 13))
        >>> start = tp.Gaussian.from_covariance([0.0, 0.0], [[1.0, 2.0], [2.0, 5.0]])
        >>> found = decide_rank(tp.flow(start, tp.Softmax(Q, -Q, np.eye(2)), times))
        >>> found.rank, np.round(found.slopes[-1], 3)
        (1, array([0., 1.]))
    """
    if not isinstance(path, Trajectory) or not isinstance(path.final, Gaussian):
        raise TypeError(
            "path: must be the trajectory of a Gaussian or of a stack of them; "
            f"got {type(getattr(path, 'final', path)).__name__}."
        )
    axes = path.final.unpack(path.states).principal()
    point = (axes.factor == 0).all(axis=-2) & ~np.isnan(axes.log_scales)
    logs = np.where(point, -np.inf, axes.log_scales)
    missing = path.final.dimension - logs.shape[-1]
    if missing > 0:
        logs = np.concatenate([logs, np.full((*logs.shape[:-1], missing), -np.inf)], axis=-1)
    return decide_decay(path.times, logs, window=window, slack=slack, noise=noise)


@quiet
def decide_decay(
    times: ArrayLike,
    log_eigenvalues: ArrayLike,
    *,
    window: float = 10.0,
    slack: float = 0.1,
    noise: float = 1e-6,
) -> LimitRank:
    """Decide which eigenvalues stay and which vanish; the rules are those of `decide_rank`.

    Args:
        times: increasing times (T,), the first 0.
        log_eigenvalues: their logarithms (T, ..., d), the largest first; -inf for zero, NaN after
            a case's own end.
        window: the factor in depth between the three depths compared, more than 1.
        slack: how far a slope may be from 0 or below 1, less than 1/2.
        noise: changes of a slope below this are not looked at.

    Raises:
        ValueError: arguments out of range, shapes that do not match; fewer than three times that
            lie about a factor of `window` apart.

    Source: ours (reproduction of the rank histograms).

    Example:
        >>> import numpy as np
        >>> from transpde.spectra import decide_decay
        >>> times = np.append(0.0, np.geomspace(1.0, 1e6, 13))
        >>> logs = np.log(np.stack([1 + 1 / (1 + times), 1 / (1 + times)], axis=-1))
        >>> decide_decay(times, logs).rank
        1
    """
    times = increasing_times("times", times)
    logs = real_array("log_eigenvalues", log_eigenvalues)
    if logs.ndim < 2 or len(logs) != len(times):
        raise ValueError(
            f"log_eigenvalues: must have shape ({len(times)}, ..., d), a row for each time; "
            f"got {logs.shape}."
        )
    slack, noise = positive_number("slack", slack), positive_number("noise", noise)
    if slack >= 0.5:
        raise ValueError(f"slack: must be less than 1/2; got {slack}.")
    chosen = _three_depths(times, window)
    means, late = decay_slopes(times[chosen], logs[chosen]), slice(chosen[1], None)
    last = decay_slopes(times[late], logs[late])
    gone = np.isneginf(logs[chosen]).all(axis=0)
    settled = np.abs(means[1]) <= np.maximum(np.abs(means[0]) / 2, noise)
    stays = (np.abs(last) <= slack).all(axis=0) & settled
    steep = 1 - means[1] <= np.maximum(1 - means[0], noise)
    vanishes = ((last >= 1 - slack).all(axis=0) & steep) | gone
    return _result(stays, vanishes, means, times[chosen], logs[chosen])


def _three_depths(times: Array, window: float) -> list[int]:
    """Return the places of the last time and of those about one and two windows before it."""
    if not positive_number("window", window) > 1:
        raise ValueError(f"window: must be more than 1; got {window}.")
    later = times[1:]
    targets = np.log(later[-1]) - np.log(window) * np.array([2, 1])
    places = [1 + int(np.abs(np.log(later) - target).argmin()) for target in targets]
    near = np.abs(np.log(times[places]) - targets) <= np.log(window) / 4
    if not near.all():
        raise ValueError(
            f"path: needs recorded times near its last one, {times[-1]:.6g}, over {window:g} and "
            f"over {window**2:g}. Record geometric times: numpy.append(0, numpy.geomspace(...))."
        )
    return [*places, len(times) - 1]


def decay_slopes(times: Array, logs: Array) -> Array:
    """Return -d log(eigenvalue) / d log(t) between times; NaN for an eigenvalue of zero."""
    with np.errstate(invalid="ignore"):
        steps = np.diff(np.log(times)).reshape(-1, *[1] * (logs.ndim - 1))
        return np.where(np.isfinite(logs[1:]), -np.diff(logs, axis=0) / steps, np.nan)


def _result(stays: Array, vanishes: Array, slopes: Array, depths: Array, logs: Array) -> LimitRank:
    at_least, at_most = stays.sum(axis=-1), (~vanishes).sum(axis=-1)
    decided = at_least == at_most
    rank = np.where(decided, at_least, -1)
    counts = [rank, decided, at_least, at_most]
    shaped = [frozen(x) if np.ndim(x) else np.asarray(x).item() for x in counts]
    return LimitRank(*shaped, *map(frozen, (stays, vanishes, slopes, logs, depths)))
