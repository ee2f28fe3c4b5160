"""Checkers for the chapter on clusters of tokens."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import softmax

from transpde.checks import Array
from transpde.exercises.judge import Answer, judged

__all__ = ["coordinate", "frame"]


def frame(answer: Answer) -> str:
    """Check `answer(z, Q, K, t)`: velocities of the tokens e^(-t) x under softmax, V = I."""
    problems = []
    for seed, n, k, t in ((1, 4, 2, 0.3), (2, 5, 1, 0.7), (3, 3, 2, 1.0)):
        rng = np.random.default_rng(seed)
        Q, K = rng.normal(size=(2, k, 2))
        problems.append((rng.normal(size=(n, 2)), Q, K, np.array(t)))

    def scores(z: Array, Q: Array, K: Array) -> Array:
        return np.asarray((z @ Q.T) @ (z @ K.T).T)

    def mean(z: Array, scores: Array) -> Array:
        return np.asarray(softmax(scores, axis=1) @ z)

    def solution(z: Array, Q: Array, K: Array, t: Array) -> Array:
        return mean(z, np.exp(2 * t) * scores(z, Q, K)) - z

    hints: dict[str, Callable[..., Array]] = {
        "the velocity is not zero: each token moves towards a mean of the tokens.": (
            lambda z, Q, K, t: np.zeros_like(z)
        ),
        "the frame moves, too: subtract z.": lambda z, Q, K, t: solution(z, Q, K, t) + z,
        "query and key carry e^t each: the scores carry its square.": (
            lambda z, Q, K, t: mean(z, np.exp(t) * scores(z, Q, K)) - z
        ),
        "the scores are those of the tokens x, not of z.": (
            lambda z, Q, K, t: mean(z, scores(z, Q, K)) - z
        ),
        "query and key are exchanged: row i holds the weights with which token i attends.": (
            lambda z, Q, K, t: solution(z, K, Q, t)
        ),
        "the weights of each token must sum to one.": (
            lambda z, Q, K, t: np.exp(np.exp(2 * t) * scores(z, Q, K)) @ z - z
        ),
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: the softmax mean at scores e^(2t) <Qz, Kz>, less z."


def _scaled(vector: Array) -> Array:
    """Return the vector over its largest entry in absolute value."""
    return np.asarray(vector / vector[np.abs(vector).argmax()])


def coordinate(answer: Answer) -> str:
    """Check `answer(V)`: the left eigenvector of the largest eigenvalue, largest entry one."""
    problems = []
    for seed, values in ((1, [0.4, 1.0]), (2, [-1.5, 0.8, 0.3]), (3, [0.2, -0.4, 1.2, -2.0])):
        W = np.random.default_rng(seed).normal(size=(len(values), len(values)))
        problems.append((W @ np.diag(values) @ np.linalg.inv(W),))

    def eigenvectors(V: Array) -> tuple[Array, Array]:
        values, vectors = np.linalg.eig(V)
        return values.real, vectors.real

    def solution(V: Array) -> Array:
        values, vectors = eigenvectors(V.T)
        return _scaled(vectors[:, values.argmax()])

    def right(V: Array) -> Array:
        values, vectors = eigenvectors(V)
        return _scaled(vectors[:, values.argmax()])

    def largest(V: Array) -> Array:
        values, vectors = eigenvectors(V.T)
        return _scaled(vectors[:, np.abs(values).argmax()])

    def unit(V: Array) -> Array:
        psi = solution(V)
        return np.asarray(psi / np.linalg.norm(psi))

    hints: dict[str, Callable[..., Array]] = {
        "this is the right eigenvector; the coordinate is read with that of V'.": right,
        "take the largest eigenvalue, with its sign, not the largest absolute value.": largest,
        "the vector is right, its scale is not: the largest entry must be 1.": unit,
        "the largest entry in absolute value is -1: change the sign.": lambda V: -solution(V),
        "this is a row of V, no eigenvector.": lambda V: V[0],
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: the eigenvector of V' for the largest eigenvalue of V."
