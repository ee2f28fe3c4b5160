"""Checkers for the chapter on layers that infer."""

from __future__ import annotations

from collections.abc import Callable
from math import comb

import numpy as np

from transpde.checks import Array
from transpde.exercises.judge import Answer, judged

__all__ = ["gain", "growth", "slip"]


def gain(answer: Answer) -> str:
    """Check `answer(rho, p)`: the vector a for which h(f) is the sum of a f."""
    rng = np.random.default_rng(0)
    problems = [(rng.dirichlet(np.ones(k)), rng.uniform(0.1, 0.9, size=k)) for k in (2, 3, 6)]

    def solution(rho: Array, p: Array) -> Array:
        mean = rho @ p
        return np.asarray(rho * (p - mean) / (mean * (1 - mean)))

    hints: dict[str, Callable[..., Array]] = {
        "this is Bayes' step; h divides by the variance of a symbol, 0 or 1.": (
            lambda rho, p: np.asarray(rho * (p - rho @ p) / (rho @ p))
        ),
        "divide by the mean of p and by one less it.": lambda rho, p: rho * (p - rho @ p),
        "a mean is a sum over states with the weights of the belief.": (
            lambda rho, p: (p - rho @ p) / (rho @ p * (1 - rho @ p))
        ),
        "a covariance has two parts: subtract the product of the means.": (
            lambda rho, p: np.asarray(rho * p / (rho @ p * (1 - rho @ p)))
        ),
        "the sign: a symbol that a state makes likely speaks for it.": (
            lambda rho, p: -solution(rho, p)
        ),
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: its entries sum to zero, so layers keep the mass of beliefs."


def growth(answer: Answer) -> str:
    """Check `answer(means)`: how much a slip of the prior has grown in the signed form."""
    rng = np.random.default_rng(1)
    problems = [(rng.uniform(0.1, 0.9, size=n),) for n in (1, 3, 8)]

    def solution(means: Array) -> Array:
        return np.asarray(np.prod(1 / (2 * means)))

    hints: dict[str, Callable[..., Array]] = {
        "a slip stays, and k is what a position adds: multiply 1 + k.": (
            lambda means: np.prod((1 - 2 * means) / (2 * means))
        ),
        "slips of several positions compound; do not add them.": (
            lambda means: 1 + np.sum((1 - 2 * means) / (2 * means))
        ),
        "an even chance, one half, must leave a slip as it is.": lambda means: np.prod(1 / means),
        "unlikely symbols make slips grow, not fall.": lambda means: np.prod(2 * means),
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: sixteen symbols of probability 1/20 turn 1e-16 into one."


def slip(answer: Answer) -> str:
    """Check `answer(T, layers)`: the slip of mass at T after some layers that are not centred."""
    problems = [
        (np.array(T), np.array(layers)) for T, layers in ((1, 1), (5, 1), (5, 2), (9, 3), (40, 10))
    ]

    def solution(T: Array, layers: Array) -> Array:
        return np.asarray((-1.0) ** layers * comb(int(T) - 1, int(layers)))

    hints: dict[str, Callable[..., Array]] = {
        "the sign changes from layer to layer.": lambda T, layers: np.abs(solution(T, layers)),
        "position 0 holds the prior and has no slip.": (
            lambda T, layers: np.asarray((-1.0) ** layers * comb(int(T), int(layers)))
        ),
        "a layer sums over earlier positions; it does not multiply by their number.": (
            lambda T, layers: np.asarray((-1.0) ** layers * (float(T) - 1) ** layers)
        ),
        "the sign changes from layer to layer, and position 0 has no slip.": (
            lambda T, layers: np.asarray(float(comb(int(T), int(layers))))
        ),
        "this is the slip after one layer.": lambda T, layers: np.asarray(-(float(T) - 1)),
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: ten layers enlarge a slip at position 40 more than 600 million times."
