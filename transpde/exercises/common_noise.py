"""Checkers for the chapter on synchronisation by noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transpde.checks import Array
from transpde.exercises.judge import Answer, judged

__all__ = ["edge", "mode"]


def mode(answer: Answer) -> str:
    """Check `answer(k, d)`: the exponent of the activation He_k over the root of k!."""
    cases = ((3, 3), (3, 5), (3, 8), (0, 4), (1, 9), (2, 6), (5, 2))
    problems = [(np.array(k), np.array(d)) for k, d in cases]

    def solution(k: Array, d: Array) -> Array:
        return np.asarray(((d - 3) * k - (d - 1)) / 2)

    hints: dict[str, Callable[..., Array]] = {
        "this is the exponent of the mean energy, twice as large and more.": (
            lambda k, d: (d - 1) * k - (d - 3)
        ),
        "d - 3 stands with the slope and d - 1 with the value at one, not the other way.": (
            lambda k, d: np.asarray(((d - 1) * k - (d - 3)) / 2)
        ),
        "this is twice the exponent: the drift of a logarithm has a half.": (
            lambda k, d: 2 * solution(k, d)
        ),
        "the sign: a constant activation synchronises.": lambda k, d: -solution(k, d),
        "inputs have variance one here: the slope of the kernel is k, not k / d.": (
            lambda k, d: np.asarray(((d - 3) * k / d - (d - 1)) / 2)
        ),
        "the drift of the angle is not yet that of its logarithm.": (
            lambda k, d: np.asarray((d - 2) * (k - 1) / 2)
        ),
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: -1, 1 and 4 for the cubic mode in d = 3, 5 and 8."


def edge(answer: Answer) -> str:
    """Check `answer(d, v)`: the largest s^2 for which random features synchronise."""
    cases = ((8, 0.0), (5, 0.7), (4, 2.0), (3, 0.5), (2, 0.0), (20, 1.0))
    problems = [(np.array(d), np.array(v)) for d, v in cases]

    def beyond(found: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
        return lambda d, v: np.asarray(found(d, v) if d > 3 else np.inf)

    solution = beyond(lambda d, v: (d - 1 + 2 * v) / (d - 3))
    hints: dict[str, Callable[..., Array]] = {
        "attention helps: it shifts the edge.": beyond(lambda d, v: (d - 1) / (d - 3)),
        "that is the edge of the mean energy, not of pairs.": (
            beyond(lambda d, v: (d - 3) / (d - 1))
        ),
        "the exponent has a half before the bracket, and v has none.": (
            beyond(lambda d, v: (d - 1 + v) / (d - 3))
        ),
        "attraction is v > 0 and makes the exponent smaller.": (
            beyond(lambda d, v: (d - 1 - 2 * v) / (d - 3))
        ),
        "this is s: give its square.": beyond(lambda d, v: ((d - 1 + 2 * v) / (d - 3)) ** 0.5),
        "in dimensions two and three there is no edge.": (
            lambda d, v: np.asarray((d - 1 + 2 * v) / (d - 3) if d != 3 else np.inf)
        ),
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: 1.4 in dimension eight without attention, and none below four."
