"""Checkers for the chapter on quantitative clustering."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transpde.checks import Array
from transpde.exercises.judge import Answer, judged

__all__ = ["irrelevant", "reached"]


def reached(answer: Answer) -> str:
    """Check `answer(r, w)`: when the distance of a Poisson kernel to its cluster is w."""
    cases = ((0.3, 0.1), (0.6, 0.4), (0.1, 1e-3), (0.5, 0.7))
    problems = [tuple(map(np.array, case)) for case in cases]

    def time(r: Array, square: Array) -> Array:
        """When the mean is one less half a square."""
        return np.asarray(np.log((r**-2 - 1) / ((1 - square / 2) ** -2 - 1)))

    def solution(r: Array, w: Array) -> Array:
        return time(r, w**2)

    hints: dict[str, Callable[..., Array]] = {
        "this is the slope alone: the start shifts the time.": (
            lambda r, w: np.asarray(-2 * np.log(w))
        ),
        "1 - r is half of the square of the distance, not of the distance.": time,
        "W_2^2 is twice 1 - r: a factor two is missing.": lambda r, w: time(r, 2 * w**2),
        "the exponential of the mean is e^(-t), that of its root e^(-t/2).": (
            lambda r, w: 2 * solution(r, w)
        ),
        "time runs the other way: a larger mean comes later.": lambda r, w: -solution(r, w),
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: a mean of .3 needs the time 6.911 to come within a tenth."


def irrelevant(answer: Answer) -> str:
    """Check `answer(d, p)`: up to which inverse temperature the antipode does not matter."""
    cases = ((10, 2.0), (3, 1.0), (2, 2.0), (6, 1.5), (40, 1.0))
    problems = [tuple(map(np.array, case)) for case in cases]

    def edge(d: Array, p: Array) -> Array:
        return np.asarray(np.log((d - 1) / p) / 2)

    def solution(d: Array, p: Array) -> Array:
        return np.maximum(edge(d, p), 0)

    hints: dict[str, Callable[..., Array]] = {
        "both sides hold an exponential: e^beta against e^(-beta) gives half of the logarithm.": (
            lambda d, p: 2 * edge(d, p)
        ),
        "the logarithm is to be halved, as both sides hold an exponential.": (
            lambda d, p: 2 * solution(d, p)
        ),
        "where the antipode rules at beta = 0 there is no such beta: return 0.": edge,
        "a ball of radius eps on the sphere has mass eps^(d-1), not eps^d.": (
            lambda d, p: np.maximum(np.log(d / p) / 2, 0)
        ),
        "the order p of the distance divides the rate of the mass.": (
            lambda d, p: np.maximum(np.log(d - 1.0) / 2, 0)
        ),
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: the cluster's own rate rules in high dimension, for small beta."
