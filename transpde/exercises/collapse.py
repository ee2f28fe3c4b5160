"""Checkers for the chapter on collapse and what prevents it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from transpde.attention import MultiHead, Softmax
from transpde.checks import Array
from transpde.exercises.judge import Answer, judged
from transpde.measures import Gaussian, Particles

__all__ = ["near_consensus", "output_distance"]


def output_distance(answer: Answer) -> str:
    """Check `answer(delta)`: how far two tokens of the line are apart after one head."""
    problems = [(np.array(delta),) for delta in (0.1, 0.5, 1.0, 2.0, 3.0)]

    def solution(delta: Array) -> Array:
        pair = Particles([[-float(delta) / 2], [float(delta) / 2]])
        head = Softmax(*np.ones((3, 1, 1)))
        return np.ptp(head(pair)(pair.points))

    hints: dict[str, Callable[..., Array]] = {
        "right to leading order only: keep the logistic function.": lambda d: d**3 / 4,
        "there is no skip connection: the tokens themselves are not added.": (
            lambda d: d + d * np.tanh(d**2 / 4)
        ),
        "the scores are plus and minus delta^2/4, their difference is delta^2/2.": (
            lambda d: d * np.tanh(d**2 / 2)
        ),
        "this is the total variation of the two rows: they average tokens delta apart.": (
            lambda d: np.tanh(d**2 / 4)
        ),
        "this is how far one output is from zero; there are two.": (
            lambda d: d * np.tanh(d**2 / 4) / 2
        ),
        "the tokens are at plus and minus delta/2, not delta.": (lambda d: 2 * d * np.tanh(d**2)),
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: delta tanh(delta^2/4), of third order; the bound is reached."


def near_consensus(answer: Answer) -> str:
    """Check `answer(A, V, x)`: the matrix that moves differences of tokens near consensus."""
    problems = []
    for seed, (heads, d, n) in enumerate(((1, 2, 5), (2, 3, 4), (3, 2, 6))):
        rng = np.random.default_rng(seed)
        A, V = rng.normal(size=(2, heads, d, d))
        problems.append((A, V, rng.normal(size=(n, d)) + 1.0))

    def solution(A: Array, V: Array, x: Array) -> Array:
        heads = [Softmax(a, np.eye(len(a)), v) for a, v in zip(A, V, strict=True)]
        field: Any = MultiHead(heads)(Gaussian.from_particles(Particles(x)))
        return np.asarray(field.linear)

    def around(A: Array, V: Array, S: Array) -> Array:
        return np.asarray((V @ S @ A).sum(axis=0))

    hints: dict[str, Callable[..., Array]] = {
        "take the covariance about the mean: a shift of all tokens must change nothing.": (
            lambda A, V, x: around(A, V, x.T @ x / len(x))
        ),
        "divide by n, not by n - 1: the weights of the tokens sum to one.": (
            lambda A, V, x: around(A, V, np.cov(x.T))
        ),
        "divide by n: the weights of the tokens sum to one.": (
            lambda A, V, x: len(x) * around(A, V, np.cov(x.T, bias=True))
        ),
        "V stands on the left and A on the right of the covariance.": (
            lambda A, V, x: around(V, A, np.cov(x.T, bias=True))
        ),
        "A enters as it is: you took its transpose.": (
            lambda A, V, x: around(A.mT, V, np.cov(x.T, bias=True))
        ),
        "heads add: sum over them, do not average.": (
            lambda A, V, x: around(A, V, np.cov(x.T, bias=True)) / len(A)
        ),
        "there is no skip connection: the identity is not added.": (
            lambda A, V, x: np.eye(x.shape[1]) + around(A, V, np.cov(x.T, bias=True))
        ),
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: the sum of V Sigma A, the linear part of the field on the Gaussian."
