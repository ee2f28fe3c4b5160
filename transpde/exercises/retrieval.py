"""Checkers for the chapter on lost in the middle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import iv

from transpde.checks import Array
from transpde.exercises.judge import Answer, judged
from transpde.theory import retrieval

__all__ = ["recency_depth", "second_derivative"]

ORDERS = np.arange(1, 21)


def recency_depth(answer: Answer) -> str:
    """Check `answer(beta, discount, words)`: the critical time of a softmax head."""
    problems = [
        (np.array(b), np.array(d), np.array(w))
        for b, d, w in ((1, 1, 8), (2.5, 0.4, 4), (0.3, 5, 32))
    ]

    def found(
        power: int, slope: Callable[[float], float], shares: float = 1.0
    ) -> Callable[..., Array]:
        """The critical time with gains over I_0 to a power, and what stands for the slope."""

        def critical(beta: Array, discount: Array, words: Array) -> Array:
            a = retrieval.gain(float(beta), ORDERS) / iv(0, float(beta)) ** power
            w = retrieval.codeword_weights(int(words), ORDERS) ** shares
            return np.asarray(2 * slope(float(discount)) * (w @ a) / (w @ a**2))

        return critical

    def ends(discount: float) -> float:
        return float(-np.expm1(-discount))

    hints: dict[str, Callable[..., Array]] = {
        "these are the gains of unnormalised attention: divide them by a Bessel function.": (
            found(0, ends)
        ),
        "the factor goes the other way: smaller gains need more depth.": found(-1, ends),
        "the slope enters through 1 - e^-slope, which stays below one.": (
            found(1, lambda discount: discount)
        ),
        "one half of the right one: see the factor two of the first coefficients.": (
            found(1, lambda discount: ends(discount) / 2)
        ),
        "the code words weigh the orders, too: where are they?": found(1, ends, 0.0),
    }
    wrong = judged(answer, problems, found(1, ends), hints)
    return wrong or "Right: I_0(beta) times as deep as unnormalised attention."


def second_derivative(answer: Answer) -> str:
    """Check `answer(beta, n)`: the second derivative at depth 0 for two tokens."""
    problems = [(np.array(b), np.array(n)) for b, n in ((1.0, 1), (0.4, 2), (2.0, 3))]

    def series(first: int, power: int, sign: int = -1, least: int = -80) -> Callable[..., Array]:
        def total(beta: Array, n: Array) -> Array:
            m = np.arange(least, 81)
            both = iv(np.abs(m), float(beta)) * iv(np.abs(n + m), float(beta))
            return np.asarray(sign * n * (m**first * (n + m) ** power * both).sum())

        return total

    def solution(beta: Array, n: Array) -> Array:
        return np.asarray(retrieval.second_gain(float(beta), int(n)))

    def squared(beta: Array, n: Array) -> Array:
        return np.asarray(retrieval.gain(float(beta), int(n)) ** 2)

    hints: dict[str, Callable[..., Array]] = {
        "this is the square of the gain; of two tokens the first one rests.": squared,
        "the square of the gain is added: (W^2) vanishes for two tokens.": (
            lambda beta, n: solution(beta, n) + squared(beta, n)
        ),
        "the sign: each derivative of a power brings a minus.": series(1, 2, sign=1),
        "the sum is over all integers, negative ones too.": series(1, 2, least=1),
        "the power n + m comes down once more: it enters squared.": series(1, 1),
        "this is half of it, the coefficient of the square of the depth.": (
            lambda beta, n: solution(beta, n) / 2
        ),
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: negative for the first order at beta = 1, positive for the second."
