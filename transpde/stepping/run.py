"""What every way of stepping begins with, and what `flow` reads from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from transpde.checks import Array
from transpde.schedules import Schedule
from transpde.stepping.ends import Ends
from transpde.stepping.options import Options

__all__ = ["Run"]


class Run:
    """One integration, of one measure or of a stack.

    Args:
        measure: the start; cases with NaN coordinates are left alone.
        schedule: the parameters.
        times: times to record, the first 0 and the last the horizon; None: the steps themselves.
        horizon: the time at which every case ends at the latest, or inf.
        options: how to step.
        progress: called now and then with the part of the work that is done; None for silence.

    Attributes:
        z: coordinates and time of each case, (B, N + 1).
        records: coordinates at the times, (T, B, N), NaN until they are reached.
        steps: the steps of a first case, kept where no times are given.
        ends: why and when each case has ended.
    """

    def __init__(
        self,
        measure: Any,
        schedule: Schedule,
        times: Array | None,
        horizon: float,
        options: Options,
        progress: Callable[[float], Any] | None = None,
    ) -> None:
        self.measure, self.schedule, self.options = measure.prepared(), schedule, options
        self.times: Any = times
        self.horizon, self.progress = horizon, progress
        start = self.measure.pack().reshape(int(np.prod(measure.stack)), -1)
        self.z = np.column_stack([start, np.zeros(len(start))])
        self.records = np.full((1 if times is None else len(times), *start.shape), np.nan)
        self.records[0] = start
        self.steps = [(0.0, start[0])]
        self.ends = Ends(self.measure, options, horizon, self.z)
