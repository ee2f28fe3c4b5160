"""Checkers for the chapter on training at infinite depth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transpde.checks import Array
from transpde.exercises.judge import Answer, judged

__all__ = ["crossover", "first_step", "variance"]


def variance(answer: Answer) -> str:
    """Check `answer(v, sigma, L, H)`: the variance of a scalar token that starts at one."""
    cases = (
        (0.5, 1.0, 1, 1),
        (0.6, 0.9, 3, 2),
        (-0.4, 0.5, 8, 1),
        (0.0, 1.3, 5, 7),
        (1.0, 0.2, 2, 3),
    )
    problems = [tuple(np.array(x) for x in case) for case in cases]

    def solution(v: Array, sigma: Array, L: Array, H: Array) -> Array:
        square = (1 + v / L) ** 2
        return np.asarray((square + sigma**2 / (L**2 * H)) ** L - square**L)

    hints: dict[str, Callable[..., Array]] = {
        "this is the second moment: take away the square of the mean.": (
            lambda v, s, L, H: ((1 + v / L) ** 2 + s**2 / (L**2 * H)) ** L
        ),
        "that is the leading order for large L and H; the exact variance is asked for.": (
            lambda v, s, L, H: np.exp(2 * v) * s**2 / (L * H)
        ),
        "that is the leading order for many heads; layers multiply, so expand nothing.": (
            lambda v, s, L, H: s**2 * (1 + v / L) ** (2 * L - 2) / (L * H)
        ),
        "a layer averages H heads: the variance of its factor has H once, L twice.": (
            lambda v, s, L, H: ((1 + v / L) ** 2 + s**2 / (L * H)) ** L - (1 + v / L) ** (2 * L)
        ),
        "the heads of a layer are averaged: there is a factor 1/H.": (
            lambda v, s, L, H: ((1 + v / L) ** 2 + s**2 / L**2) ** L - (1 + v / L) ** (2 * L)
        ),
        "this is the standard deviation: give the variance.": (
            lambda v, s, L, H: np.sqrt(solution(v, s, L, H))
        ),
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: one layer of one head has the variance of its value."


def first_step(answer: Answer) -> str:
    """Check `answer(G, d, rate, epsilon)`: how far the first step of block AdamW goes."""
    cases = ((1.0, 2, 0.05, 0.01), (0.2, 3, 0.1, 0.5), (5.0, 1, 1.0, 1.0), (1e-6, 2, 0.1, 0.01))
    problems = [tuple(np.array(x) for x in case) for case in cases]

    def solution(G: Array, d: Array, rate: Array, epsilon: Array) -> Array:
        return np.asarray(rate * G / (G / d + epsilon))

    hints: dict[str, Callable[..., Array]] = {
        "v is the mean of the squares of d^2 entries, not their sum.": (
            lambda G, d, rate, e: rate * G / (G + e)
        ),
        "the block has d^2 entries, so the root of their mean square is G / d.": (
            lambda G, d, rate, e: rate * G / (G / np.sqrt(d) + e)
        ),
        "the memories are corrected: after one step m is the gradient itself.": (
            lambda G, d, rate, e: rate * 0.1 * G / (np.sqrt(0.001) * G / d + e)
        ),
        "that is the length for epsilon = 0; a small gradient moves less.": (
            lambda G, d, rate, e: rate * d + 0 * G
        ),
        "this is the update of a plain gradient step.": lambda G, d, rate, e: rate * G,
        "epsilon stands beside the root, not under it.": (
            lambda G, d, rate, e: rate * G / np.sqrt(G**2 / d**2 + e)
        ),
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: at most rate times d, and rate G / epsilon for small gradients."


def crossover(answer: Answer) -> str:
    """Check `answer(b, c, H)`: the depth at which bias and noise of a network are equal."""
    cases = ((0.2056, 1.13326, 4.0), (1.0, 1.0, 1.0), (0.5, 2.0, 64.0), (2.0, 0.3, 10.0))
    problems = [tuple(np.array(x) for x in case) for case in cases]

    def solution(b: Array, c: Array, H: Array) -> Array:
        return np.asarray(b**2 * H / c)

    hints: dict[str, Callable[..., Array]] = {
        "c is the mean square of the noise already: square b alone.": (
            lambda b, c, H: b**2 * H / c**2
        ),
        "both terms of the mean square error: b enters squared.": lambda b, c, H: b * H / c,
        "more heads make less noise, so the crossing moves to greater depth.": (
            lambda b, c, H: b**2 / (c * H)
        ),
        "one power of L is left after division, not its square root.": (
            lambda b, c, H: np.sqrt(b**2 * H / c)
        ),
        "below this depth the bias rules, above it the noise: you have the inverse.": (
            lambda b, c, H: c / (b**2 * H)
        ),
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: for few heads this depth is below one layer, so noise rules."
