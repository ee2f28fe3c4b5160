"""Checkers for the chapter on low temperature."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import ive

from transpde.checks import Array
from transpde.exercises.judge import Answer, judged
from transpde.theory import low_temperature, one_cluster

__all__ = ["fastest", "slopes"]


def slopes(answer: Answer) -> str:
    """Check `answer(v, a)`: the times of best concentration and of escape over log(beta)."""
    cases = (((1.5, 1.0), (0.3, 1.0)), ((1.0, 0.5), (0.1, 1.0)), ((1.0, 0.8), (0.5, 1.2)),
             ((2.0, 0.9), (0.2, 3.0)))  # fmt: skip
    problems = [(np.array(v), np.array(a)) for v, a in cases]

    def solution(v: Array, a: Array) -> Array:
        return np.array(low_temperature.concentration_times(v, a))

    def window_alone(v: Array, a: Array) -> Array:
        best, escape = solution(v, a)
        return np.array([best, escape - best])

    def with_gap_over(factor: Callable[[Array, Array], float]) -> Callable[[Array, Array], Array]:
        def found(v: Array, a: Array) -> Array:
            best = factor(v, a) / (2 * (v[1] * a[1] - v[0] * a[0]))
            return np.array([best, best + 0.5 / (v[0] - v[1])])

        return found

    hints: dict[str, Callable[..., Array]] = {
        "the second number is the window after the best time: add the best time.": window_alone,
        "half is missing: the spread, and not its square, is to fall to the root of 1/beta.": (
            lambda v, a: 2 * solution(v, a)
        ),
        "the clock of a token near e_2 runs at 1/a_2, so a_2 stands over the gap g.": (
            with_gap_over(lambda v, a: 1.0)
        ),
        "tokens gather at e_2: the clock there is 1/a_2, not 1/a_1.": (
            with_gap_over(lambda v, a: float(a[0]))
        ),
        "the escape goes at v_1 - v_2, where the scores have no part.": (
            lambda v, a: np.array(
                [solution(v, a)[0], solution(v, a)[0] + a[1] / (2 * (v[1] * a[1] - v[0] * a[0]))]
            )
        ),
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: one logarithm for the spread, another one for the mean."


def fastest(answer: Answer) -> str:
    """Check `answer(beta, d)`: which degree grows fastest on the sphere of R^d for V = I."""
    cases = ((10.0, 2), (50.0, 2), (50.0, 10), (7.0, 3), (200.0, 6), (1000.0, 30))
    problems = [(np.array(beta), np.array(d)) for beta, d in cases]

    def solution(beta: Array, d: Array) -> int:
        return low_temperature.fastest_degree(float(beta), int(d))

    def largest(rate: Callable[[Array, Array, Array], Array]) -> Callable[[Array, Array], int]:
        n = np.arange(1, 200)
        return lambda beta, d: int(n[np.argmax(rate(beta, d, n))])

    def quotient(beta: Array, d: Array, n: Array) -> Array:
        return one_cluster.mode_rates(float(beta), int(d), n) / (n * (n + d - 2))

    hints: dict[str, Callable[..., float]] = {
        "this is the degree on the circle, the root of two beta: take the largest rate for d.": (
            lambda beta, d: np.round(np.sqrt(2 * beta))
        ),
        "the rates of the heat equation grow for ever: keep the quotient of Bessel functions.": (
            largest(lambda beta, d, n: n * (n + d - 2) / beta)
        ),
        "the Laplacian of degree l is l(l + d - 2), not l^2: they differ beyond the circle.": (
            largest(lambda beta, d, n: n**2 * quotient(beta, d, n))
        ),
        "argmax returns a place: degrees begin at one.": lambda beta, d: solution(beta, d) - 1,
        "the orders of the Bessel functions are l + d/2 - 1 and d/2 - 1.": (
            largest(lambda beta, d, n: n * (n + d - 2) * ive(n, beta) / ive(0, beta))
        ),
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: the harmonics that are as wide as the kernel grow fastest."
