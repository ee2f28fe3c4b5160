"""How to step."""

from __future__ import annotations

from typing import NamedTuple

from transpde.kernels import EXACT, Evaluation

__all__ = ["Options"]


class Options(NamedTuple):
    """A method, its tolerances, that of a stationary state, and a budget of steps.

    `how` sums over tokens are evaluated.
    """

    method: str
    rtol: float
    atol: float
    stationary: float | None
    budget: int = 100_000
    how: Evaluation = EXACT
