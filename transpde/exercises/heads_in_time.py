"""Checkers for the chapter on heads that change in time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transpde.checks import Array
from transpde.exercises.judge import Answer, judged
from transpde.theory import head_descent

__all__ = ["climb", "shares"]


def climb(answer: Answer) -> str:
    """Check `answer(a, b, start)`: three energies: first, lowest on the way, in the limit."""
    cases = ((2.0, 1.0, 0.3), (2.0, 1.0, 1.2), (1.5, 0.4, 0.1), (0.5, 0.05, 0.2), (3.0, 2.5, 0.7))
    problems = [tuple(map(np.array, case)) for case in cases]

    def energies(a: Array, b: Array, start: Array, end: float | None = None) -> Array:
        valley = head_descent.opposed_valley(float(a), float(b))
        stop = np.pi / 2 if end is None else end
        low = stop if valley is None else max(valley, float(start))
        return np.asarray(head_descent.opposed_energy(float(a), float(b), [start, low, stop]))

    def always_down(a: Array, b: Array, start: Array) -> Array:
        valley = head_descent.opposed_valley(float(a), float(b))
        return energies(a, b, start, np.pi / 2 if valley is None else valley)

    def valley_everywhere(a: Array, b: Array, start: Array) -> Array:
        c = np.array([np.cos(2 * start), -np.log(a / b) / (a + b), -1.0])
        return np.asarray((np.exp(a * c) + np.exp(-b * c)) / 4)

    def single_angle(a: Array, b: Array, start: Array) -> Array:
        return np.append((np.exp(a * np.cos(start)) + np.exp(-b * np.cos(start))) / 4,
                         energies(a, b, start)[1:])  # fmt: skip

    def unbounded(a: Array, b: Array, start: Array) -> Array:
        low = np.clip(-np.log(a / b) / (a + b), -1, 1)
        return np.asarray(
            [energies(a, b, start)[0], (np.exp(a * low) + np.exp(-b * low)) / 4,
             energies(a, b, start)[2]])  # fmt: skip

    hints: dict[str, Callable[..., Array]] = {
        "there are two halves: one of the pairs, one of the mean over the heads.": (
            lambda *given: 2 * energies(*given)
        ),
        "the averaged token does not stop in the valley: it goes on to pi/2.": always_down,
        "the token passes the valley only if it starts before it, and if there is one.": (
            valley_everywhere
        ),
        "a token that starts beyond the valley does not return to it.": unbounded,
        "the score of a token with itself is a cos 2 theta.": single_angle,
    }
    wrong = judged(answer, problems, energies, hints)
    return wrong or "Right: down to the valley, where there is one ahead, and up to the crest."


def shares(answer: Answer) -> str:
    """Check `answer(logs)`: the weights of the heads under the harmonic mobility, from log Z."""
    cases = ([0.3, -1.0, 2.0], [1000.0, 1001.0, 999.5, 1000.2], [-800.0, -799.0], [0.5])
    problems = [(np.array(case),) for case in cases]

    def solution(logs: Array) -> Array:
        Z = np.exp(logs - logs.min())
        return Z * (1 / Z).mean() / len(logs)

    def arithmetic(logs: Array) -> Array:
        Z = np.exp(logs - logs.max())
        return Z / Z.sum()

    hints: dict[str, Callable[..., Array]] = {
        "this is the arithmetic mean of the Z: the harmonic one is one over the mean of 1/Z.": (
            arithmetic
        ),
        "the energy is a mean over the heads: a factor 1/H is missing.": (
            lambda logs: solution(logs) * len(logs)
        ),
        "a head pulls with its Z, not with one over it.": lambda logs: arithmetic(-logs),
        "1/b is the mean of the 1/Z, not their sum.": lambda logs: solution(logs) * len(logs) ** 2,
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: only differences of the logs have been exponentiated."
