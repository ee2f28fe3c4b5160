"""Differential equations followed to their end, or an error: never the state where one stalled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

__all__ = ["followed"]


def followed(
    name: str,
    slope: Callable[..., Any],
    span: tuple[float, float],
    start: Any,
    advice: str = "Take a shorter time or smaller values.",
    **options: Any,
) -> Any:
    """Return what `scipy.integrate.solve_ivp` finds, by DOP853 if not said otherwise.

    Args:
        name: of the computation, for the error.
        slope: times and states (N,) -> derivatives (N,).
        span: the first and the last time.
        start: the first state, (N,).
        advice: what the error recommends.
        options: further arguments of `solve_ivp`.

    Raises:
        OverflowError: the last time is not reached, or a state there is not finite.
    """
    last, reached = span[0], False
    with np.errstate(all="ignore"):
        # Of a slope that is no number the solver would look for a first step for ever.
        if np.isfinite(slope(span[0], np.asarray(start, dtype=float))).all():
            found = solve_ivp(slope, span, start, **{"method": "DOP853"} | options)
            reached = found.success and np.isfinite(found.y).all()
            last = found.t[-1] if len(found.t) else last
    if not reached:
        raise OverflowError(
            f"{name}: could not be followed to {span[1]:.4g}, only to {last:.4g}. {advice}"
        )
    return found
