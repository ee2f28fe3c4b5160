"""Checkers for the chapter on seventy-two heads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transpde.checks import Array
from transpde.exercises.judge import Answer, judged
from transpde.theory import real

__all__ = ["lifted_value", "noise", "sink"]


def _framed(block: Array, column: Array, row: Array, corner: float = 0.0) -> Array:
    """Return the matrix with one more column, row and corner."""
    return np.block([[block, column[:, None]], [row[None, :], np.full((1, 1), corner)]])


def lifted_value(answer: Answer) -> str:
    """Check `answer(W_O, W_v, b_v)`: the value matrix of a head with biases on lifted tokens."""
    problems = []
    for seed, d, k in ((1, 4, 2), (2, 5, 3)):
        rng = np.random.default_rng(seed)
        problems.append((rng.normal(size=(d, k)), rng.normal(size=(k, d)), rng.normal(size=k)))

    def nothing(O: Array) -> Array:
        return np.zeros(len(O))

    hints: dict[str, Callable[..., Array]] = {
        "the bias of the values goes through the output matrix: b_v is lost.": (
            lambda O, W, b: _framed(O @ W, nothing(O), nothing(O))
        ),
        "the bias belongs to the last column, which meets the 1 of each token.": (
            lambda O, W, b: _framed(O @ W, nothing(O), O @ b)
        ),
        "the last coordinate may not move: its row is zero, corner included.": (
            lambda O, W, b: _framed(O @ W, O @ b, nothing(O), 1.0)
        ),
        "the lifted matrix has one row more, which is zero.": (
            lambda O, W, b: np.column_stack([O @ W, O @ b])
        ),
        "this is the value matrix without the output matrix.": (
            lambda O, W, b: np.column_stack([W, b])
        ),
    }
    wrong = judged(answer, problems, lambda O, W, b: _framed(O @ W, O @ b, nothing(O)), hints)
    return wrong or "Right: W_O W_v beside W_O b_v, above a row of zeros."


def noise(answer: Answer) -> str:
    """Check `answer(sigma, n)`: the standard deviation of a tilted mean on the line."""
    problems = [(np.asarray(s), np.asarray(n)) for s, n in ((0.5, 100), (1.2, 1000), (1.5, 4000))]

    def right(s: Array, n: Array) -> Array:
        return np.sqrt(real.tilted_mean_covariance([[1.0]], [float(s)])[0, 0] / n)

    hints: dict[str, Callable[..., Array]] = {
        "this is the variance: take its root.": lambda s, n: right(s, n) ** 2,
        "this is the deviation of one draw: n tokens divide it by the root of n.": (
            lambda s, n: right(s, n) * np.sqrt(n)
        ),
        "the root of exp(sigma^2) is exp(sigma^2 / 2).": (
            lambda s, n: right(s, n) * np.exp(s**2 / 2)
        ),
        "the weights depend on the tokens: the second term of the covariance is missing.": (
            lambda s, n: right(s, n) / np.sqrt(1 + s**2)
        ),
        "the factor exp(sigma^2) is missing: few tokens carry the weight.": (
            lambda s, n: np.sqrt((1 + s**2) / n)
        ),
    }
    wrong = judged(answer, problems, right, hints)
    return wrong or "Right: exp(sigma^2 / 2) times the root of (1 + sigma^2) / n."


def sink(answer: Answer) -> str:
    """Check `answer(share, y0, m, S)`: the covariance of tokens with a sink."""
    problems = []
    for seed, share in ((1, 0.3), (2, 0.6), (3, 0.85)):
        rng = np.random.default_rng(seed)
        y, m, X = rng.normal(size=3), rng.normal(size=3), rng.normal(size=(3, 3))
        problems.append((np.asarray(share), y, m, X @ X.T))

    def between(y: Array, m: Array) -> Array:
        return np.outer(y - m, y - m)

    hints: dict[str, Callable[..., Array]] = {
        "the sink lies apart from the mean of the others: that adds a direction.": (
            lambda p, y, m, S: (1 - p) * S
        ),
        "two points with masses p and 1 - p have the variance p (1 - p), not p.": (
            lambda p, y, m, S: (1 - p) * S + p * between(y, m)
        ),
        "the others carry the mass 1 - p only.": (
            lambda p, y, m, S: S + p * (1 - p) * between(y, m)
        ),
        "the masses are exchanged: the sink is one point, and has no covariance.": (
            lambda p, y, m, S: p * S + p * (1 - p) * between(y, m)
        ),
        "the distance is that of the sink to the mean of the others, not to zero.": (
            lambda p, y, m, S: (1 - p) * S + p * (1 - p) * np.outer(y, y)
        ),
    }
    wrong = judged(answer, problems, _sink, hints)
    return wrong or "Right: the covariance within, and that between the sink and the others."


def _sink(share: Array, y: Array, m: Array, S: Array) -> Array:
    return real.sink_covariance(float(share), y, m, S)
