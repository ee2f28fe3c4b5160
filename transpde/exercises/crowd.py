"""Checkers for the chapter on heads as particles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transpde.checks import Array
from transpde.exercises.judge import Answer, judged

__all__ = ["escape", "sleeping", "split"]


def sleeping(answer: Answer) -> str:
    """Check `answer(rho, X)`: the first variation at A = 0, of residuals at tokens (B, n, d)."""
    rng = np.random.default_rng(0)
    shapes = ((2, 3, 2), (1, 4, 3), (3, 1, 2), (2, 2, 1))
    problems = [(rng.normal(size=shape), rng.normal(size=shape)) for shape in shapes]

    def solution(rho: Array, X: Array) -> Array:
        return np.asarray(rho.sum(axis=1).T @ X.mean(axis=1))

    hints: dict[str, Callable[..., Array]] = {
        "the residual comes first: g has its entries along the rows.": (
            lambda rho, X: solution(rho, X).T
        ),
        "at A = 0 a query sees the mean of all tokens, not itself.": (
            lambda rho, X: np.einsum("bni,bnj->ij", rho, X)
        ),
        "the mean of the tokens, not their sum.": lambda rho, X: solution(rho, X) * X.shape[1],
        "sum the residuals over tokens: they carry the 1 / (B n) already.": (
            lambda rho, X: solution(rho, X) / rho.shape[1]
        ),
        "sum over sequences, each with its own mean.": (
            lambda rho, X: np.outer(rho.sum(axis=(0, 1)), X.mean(axis=(0, 1)))
        ),
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: residuals against the means of the tokens."


def split(answer: Answer) -> str:
    """Check `answer(a, b)`: the least eigenvalue of the matrix [[a, b], [b, 0]]."""
    problems = [tuple(map(np.array, p)) for p in ((2.0, 1.0), (5.0, 0.1), (-1.0, 2.0), (3.0, 0.0))]

    def solution(a: Array, b: Array) -> Array:
        return np.asarray((a - np.sqrt(a**2 + 4 * b**2)) / 2)

    hints: dict[str, Callable[..., Array]] = {
        "that is the larger of the two.": lambda a, b: (a + np.sqrt(a**2 + 4 * b**2)) / 2,
        "the discriminant of t^2 - a t - b^2 has 4 b^2.": (
            lambda a, b: (a - np.sqrt(a**2 + b**2)) / 2
        ),
        "divide by two.": lambda a, b: 2 * solution(a, b),
        "the determinant is -b^2: the discriminant is a sum.": (
            lambda a, b: (a - np.sqrt(np.maximum(a**2 - 4 * b**2, 0))) / 2
        ),
        "that is its value for small b only.": lambda a, b: -(b**2) / a,
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: negative as soon as b is not zero, however large a is."


def escape(answer: Answer) -> str:
    """Check `answer(eigenvalue, step, delta)`: steps from the distance delta to one."""
    cases = ((-0.02, 1.0, 1e-2), (-0.5, 0.1, 1e-6), (-0.02, 10.0, 1e-4), (-0.3, 1.0, 0.1))
    problems = [tuple(map(np.array, case)) for case in cases]

    def solution(lam: Array, h: Array, delta: Array) -> Array:
        return np.asarray(np.log(1 / delta) / np.log1p(-h * lam))

    hints: dict[str, Callable[..., Array]] = {
        "that is time in the flow: a step multiplies by 1 + h|lambda|.": (
            lambda lam, h, delta: np.log(1 / delta) / -lam
        ),
        "that is the flow's time over h: a step is not an exponential.": (
            lambda lam, h, delta: np.log(1 / delta) / (-h * lam)
        ),
        "the eigenvalue is negative: take its modulus.": (
            lambda lam, h, delta: np.log(1 / delta) / np.log1p(h * lam)
        ),
        "natural logarithms in both places, or the same base.": (
            lambda lam, h, delta: np.log10(1 / delta) / np.log1p(-h * lam)
        ),
        "it grows from delta to one: the quotient is 1 / delta.": (
            lambda lam, h, delta: np.log(delta) / np.log1p(-h * lam)
        ),
        "the number is real: do not round it.": (
            lambda lam, h, delta: np.ceil(solution(lam, h, delta))
        ),
        "do not forget the step.": lambda lam, h, delta: np.log(1 / delta) / np.log1p(-lam),
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: a closer start is paid by a logarithm only."
