"""Checkers for the chapter on one token and its context."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transpde.checks import Array
from transpde.exercises.judge import Answer, judged
from transpde.theory.context import sharp_context_order
from transpde.theory.real import tilted_mean_covariance

__all__ = ["sharpness", "tokens_needed"]


def tokens_needed(answer: Answer) -> str:
    """Check `answer(A, S, x, r)`: how many draws bring the root mean square at x down to r."""
    rng, half = np.random.default_rng(0), 0.5 * np.eye(2)
    spread = np.diag([0.5, 1.5])
    problems: list[tuple[Array, ...]] = [(half, spread, np.full(2, 0.5**0.5), np.array(0.1))]
    for d in (1, 3):
        X, A = 0.6 * rng.normal(size=(2, d, d))
        problems.append((A, X @ X.T + np.eye(d), rng.normal(size=d), np.array(0.05)))

    def needed(square: float, r: Array) -> Array:
        return np.asarray(np.ceil(square / r**2))

    def solution(A: Array, S: Array, x: Array, r: Array) -> Array:
        return needed(float(np.trace(tilted_mean_covariance(S, A @ x))), r)

    def spreads(A: Array, S: Array, x: Array) -> tuple[float, float, float]:
        u = A @ x
        return float(u @ S @ u), float(np.trace(S)), float((S @ u) @ (S @ u))

    def slip(found: Callable[[float, float, float], float]) -> Callable[..., Array]:
        return lambda A, S, x, r: needed(found(*spreads(A, S, x)), r)

    hints: dict[str, Callable[..., Array]] = {
        "the price of the tilt is missing: weights multiply the variance by an exponential.": (
            slip(lambda s, trace, mean: trace + mean)
        ),
        "the exponent is twice half the spread of the scores: weights enter squared.": (
            slip(lambda s, trace, mean: np.exp(s / 2) * (trace + mean))
        ),
        "the kernel has two terms: the tilted draws have a mean, too.": (
            slip(lambda s, trace, mean: np.exp(s) * trace)
        ),
        "the error falls like the root of n: the square of r stands below.": (
            lambda A, S, x, r: np.ceil(np.trace(tilted_mean_covariance(S, A @ x)) / r)
        ),
        "the token asks with u = Ax, not with x.": (
            lambda A, S, x, r: needed(float(np.trace(tilted_mean_covariance(S, x))), r)
        ),
        "round up: a number of draws is whole.": (
            lambda A, S, x, r: np.asarray(np.trace(tilted_mean_covariance(S, A @ x)) / r**2)
        ),
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: 297 draws for the token of the first table, and the price is e^s."


def sharpness(answer: Answer) -> str:
    """Check `answer(rate, d)`: the power of n in the inverse temperature that leaves a rate."""
    problems = [(np.array(r), np.array(d)) for r, d in ((1 / 3, 6), (0.4, 3), (0.5, 8), (0.3, 5))]

    def part(rate: Array, d: Array) -> float:
        flat, last = sharp_context_order(0.0, int(d)), sharp_context_order(1.0, int(d))
        return (float(rate) + flat) / (flat - last)

    def solution(rate: Array, d: Array) -> Array:
        return np.asarray(2 * part(rate, d) / d)

    hints: dict[str, Callable[..., Array]] = {
        "this is gamma; beta is n to the 2 gamma / d.": lambda r, d: np.asarray(part(r, d)),
        "that is the rate of the mean square: its root falls half as fast.": (
            lambda r, d: (1 - r) / (d / 2 - 1)
        ),
        "the constant is of order d/2 - 1 in beta, not d/2: the tokens near 0 are short.": (
            lambda r, d: 2 * (1 - 2 * r) / d
        ),
        "the constant has the power d/2 - 1 of beta: divide by it.": (
            lambda r, d: (1 - 2 * r) * (d / 2 - 1)
        ),
        "attention becomes sharper with n: the power is positive.": lambda r, d: -solution(r, d),
    }
    wrong = judged(answer, problems, solution, hints)
    return (
        wrong or "Right: 1/6 for the rate 1/3 in dimension six, half of the power 1/3 at the end."
    )
