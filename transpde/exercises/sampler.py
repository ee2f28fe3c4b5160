"""Checkers for the chapter on attention as a sampler."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transpde.checks import Array
from transpde.exercises.judge import Answer, judged
from transpde.theory import sampling

__all__ = ["largest_step", "pair_radius"]

CASES = ((1.0, 0.1), (1.0, 0.5), (2.0, 0.2), (0.4, 1.9), (3.0, 0.3))


def pair_radius(answer: Answer) -> str:
    """Check `answer(a, T, beta)`: the square of the radius of two tokens at rest."""
    problems = [
        (np.array(a), np.array(T), np.array(b))
        for (a, T), b in zip(CASES, (1.0, 0.5, 1.0, 2.0, 0.7), strict=True)
    ]

    def solution(a: Array, T: Array, beta: Array) -> Array:
        return np.asarray(beta * T * np.log((2 - a * T) / (a * T)))

    hints: dict[str, Callable[..., Array]] = {
        "this is r: give its square.": lambda a, T, b: np.asarray(solution(a, T, b) ** 0.5),
        "this is the square of the distance of the two, not of the radius.": (
            lambda a, T, b: 4 * solution(a, T, b)
        ),
        "twice too large: artanh x is half of a logarithm.": lambda a, T, b: 2 * solution(a, T, b),
        "the temperature scales all squares of lengths.": (
            lambda a, T, b: solution(a, T, np.array(1.0))
        ),
        "the tanh is 1 - aT, not aT.": (
            lambda a, T, b: np.asarray(b * T * np.log((1 + a * T) / (1 - a * T)))
        ),
        "this is the variance of a Gaussian at rest; two tokens are not one.": (
            lambda a, T, b: np.asarray(b / a * (1 - (a * T) ** 2))
        ),
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: 0.294 for a = beta = 1 and T = 0.1."


def largest_step(answer: Answer) -> str:
    """Check `answer(a, T)`: the step below which two tokens at rest are stable."""
    cases = (*CASES, (1.0, 0.8), (1.0, 0.58), (1.0, 0.6))
    problems = [(np.array(a), np.array(T)) for a, T in cases]

    def part(which: str) -> Callable[..., Array]:
        return lambda a, T: np.asarray(getattr(sampling.stable_steps(float(a), float(T)), which))

    def solution(a: Array, T: Array) -> Array:
        return np.asarray(min(sampling.stable_steps(float(a), float(T))))

    hints: dict[str, Callable[..., Array]] = {
        "the distance of the two is not all: their centre moves, too.": part("distance"),
        "the centre is not all: look at the distance for short times.": part("centre"),
        "moving the centre changes the weights, too.": (
            lambda a, T: np.minimum(part("distance")(a, T), 4 / a)
        ),
        "scores of a moved centre hold y^2 / kappa: divide the second term by kappa.": (
            lambda a, T: np.minimum(
                part("distance")(a, T), 4 / (a + (1 + a * T) * (4 / part("centre")(a, T) - a))
            )
        ),
        "half of it: a factor of minus one is still stable.": lambda a, T: solution(a, T) / 2,
        "of both conditions the stricter one counts.": (
            lambda a, T: np.asarray(max(sampling.stable_steps(float(a), float(T))))
        ),
        "this is the condition of monotone variances of a Gaussian.": (
            lambda a, T: 16 * T / (1 + 17 * a * T)
        ),
        "this is the condition of gradient descent.": lambda a, T: np.asarray(2 / a + 0 * T),
        "this is the condition of the mean of a Gaussian.": lambda a, T: 2 * (1 + a * T) / a,
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: the distance decides up to aT = 0.590, the centre beyond."
