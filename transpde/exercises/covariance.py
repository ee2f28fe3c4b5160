"""Checkers for the chapter on covariance dynamics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transpde.attention import Sinkhorn
from transpde.checks import Array
from transpde.exercises.judge import Answer, judged
from transpde.fields import AffineField
from transpde.measures import Gaussian

__all__ = ["explosion_with_decay", "pole", "sinkhorn_linear"]


def _root(matrix: Array) -> Array:
    values, U = np.linalg.eigh(matrix)
    return (U * np.sqrt(np.maximum(values, 0.0))) @ U.T


def _sinkhorn(V: Array, A: Array, X: Array, core: Array) -> Array:
    return V @ X @ core @ X.T @ A


def _sinkhorn_problems() -> list[tuple[Array, ...]]:
    """Return A, V, X and epsilon; the last problem has one key and more columns than rows."""
    problems: list[tuple[Array, ...]] = []
    for seed, rank in ((1, 3), (2, 3), (3, 2)):
        rng = np.random.default_rng(seed)
        A, V, X = rng.normal(size=(3, 3, 3))
        problems.append((A, V, X[:, :rank], np.asarray(0.4 + rng.random())))
    thin = np.outer([1.0, -0.5, 0.3], [0.4, 1.0, -0.8])  # one key: no inverse of A
    wide = np.array([[1.0, 0.2, -0.5, 0.3], [0.0, 0.8, 0.4, -0.6], [0.7, -0.3, 0.9, 0.1]])
    problems.append((thin, problems[0][1], wide, np.asarray(0.7)))
    return problems


def sinkhorn_linear(answer: Answer) -> str:
    """Check `answer(A, V, X, epsilon)`: the linear part B of a Sinkhorn head's field."""
    problems = _sinkhorn_problems()

    def solution(A: Array, V: Array, X: Array, epsilon: Array) -> Array:
        head = Sinkhorn(A, np.eye(3), V, float(epsilon))
        field = head(Gaussian(np.zeros(3), factor=X))
        return field.linear if isinstance(field, AffineField) else np.full((3, 3), np.nan)

    def core(G: Array, epsilon: Array, factor: float = 4.0) -> Array:
        eye = np.eye(len(G))
        return 2 * np.linalg.inv(_root(epsilon**2 * eye + factor * G @ G.T) + epsilon * eye)

    hints: dict[str, Callable[..., Array]] = {
        "this is the softmax head: the core S is missing.": (
            lambda A, V, X, e: _sinkhorn(V, A, X, np.eye(X.shape[1]))
        ),
        "this is softmax with its scores over epsilon: right for small X only.": (
            lambda A, V, X, e: _sinkhorn(V, A, X, np.eye(X.shape[1]) / e)
        ),
        "the order in the core matters: it holds G times its transpose, G = X'AX.": (
            lambda A, V, X, e: _sinkhorn(V, A, X, core((X.T @ A @ X).T, e))
        ),
        "the factor 4 before GG' is missing.": (
            lambda A, V, X, e: _sinkhorn(V, A, X, core(X.T @ A @ X, e, 1.0))
        ),
        "the factor 2 of the core is missing.": (
            lambda A, V, X, e: _sinkhorn(V, A, X, core(X.T @ A @ X, e)) / 2
        ),
        "epsilon is not 1 here.": (
            lambda A, V, X, e: _sinkhorn(V, A, X, core(X.T @ A @ X, np.asarray(1.0)))
        ),
        "the value matrix is missing.": (
            lambda A, V, X, e: _sinkhorn(np.eye(3), A, X, core(X.T @ A @ X, e))
        ),
        "the root of the core is that of a matrix, not of its entries.": (
            lambda A, V, X, e: _sinkhorn(V, A, X, _entrywise(X.T @ A @ X, e))
        ),
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: B = V X S X' A with the core S of Sinkhorn."


def _entrywise(G: Array, epsilon: Array) -> Array:
    eye = np.eye(len(G))
    return 2 * np.linalg.inv(np.sqrt(np.abs(epsilon**2 * eye + 4 * G @ G.T)) + epsilon * eye)


def pole(answer: Answer) -> str:
    """Check `answer(A)`: the pole (u, w) in the disc, of softmax with V = I in the plane."""
    rng = np.random.default_rng(7)
    problems = [(A,) for A in rng.normal(size=(4, 2, 2))]
    problems += [(np.array([[1.0, 0.7], [-0.2, 2.0]]),), (np.array([[-1.0, 2.0], [0.0, 0.25]]),)]

    def of(M: Array) -> Array:
        return np.array([M[0, 0] - M[1, 1], M[0, 1] + M[1, 0]]) / (M[0, 0] + M[1, 1])

    hints: dict[str, Callable[..., Array]] = {
        "this is A + A' itself over its trace: take its adjugate.": lambda A: of(A + A.T),
        "the pole is where the symmetric part decides: A alone is not symmetric.": (
            lambda A: np.array([A[1, 1] - A[0, 0], -2 * A[0, 1]]) / np.trace(A)
        ),
        "w is twice the mixed entry: a factor 2 is lost.": (
            lambda A: -of(A + A.T) * np.array([1.0, 0.5])
        ),
        "divide by the trace, as the disc does.": (lambda A: -of(A + A.T) * np.trace(A + A.T)),
        "only the first coordinate has the right sign: the adjugate changes the mixed entry's.": (
            lambda A: of(A + A.T) * np.array([-1.0, 1.0])
        ),
        "only the second coordinate has the right sign: the adjugate swaps the diagonal.": (
            lambda A: of(A + A.T) * np.array([1.0, -1.0])
        ),
    }
    wrong = judged(answer, problems, lambda A: -of(A + A.T), hints)
    return wrong or "Right: the adjugate of A + A' over its trace, in the coordinates of the disc."


def explosion_with_decay(answer: Answer) -> str:
    """Check `answer(X, A, omega)`: the blow-up time of softmax, V = I, W = -omega I."""
    rng = np.random.default_rng(9)
    problems = []
    for number, (X, A) in enumerate(rng.normal(size=(6, 2, 3, 3))):
        level = np.linalg.eigvalsh(X.T @ (A + A.T) @ X)[-1]
        share = (0.3, 0.9, 1.2)[number % 3]
        problems.append((X[:, : 3 - number % 2], A, np.asarray(share * abs(level) / 2)))
    problems.append((np.eye(2), -np.eye(2), np.asarray(0.5)))

    def rate(X: Array, A: Array) -> float:
        return float(np.linalg.eigvalsh(X.T @ (A + A.T) @ X)[-1])

    def time(level: float, decay: float, before: float = 1.0) -> Array:
        if level <= decay or level <= 0:
            return np.asarray(np.inf)
        return np.asarray(-before * np.log1p(-decay / level) / decay)

    hints: dict[str, Callable[..., Array]] = {
        "this is the time without decay: the feed-forward part is missing.": (
            lambda X, A, w: np.asarray(1 / rate(X, A) if rate(X, A) > 0 else np.inf)
        ),
        "this is the time without decay, and it is negative where nothing explodes.": (
            lambda X, A, w: np.asarray(1 / rate(X, A))
        ),
        "the covariance decays at twice the rate of the tokens: 2 omega, not omega.": (
            lambda X, A, w: time(rate(X, A), w)
        ),
        "the threshold is right, the time is not: divide by 2 omega.": (
            lambda X, A, w: time(rate(X, A), 2 * w, 2.0)
        ),
        "both A and its transpose drive the covariance.": (
            lambda X, A, w: time(rate(X, A) / 2, 2 * w)
        ),
        "the start is missing.": lambda X, A, w: time(rate(np.eye(len(A)), A), 2 * w),
        "a part that pulls in delays the explosion: the sign of omega is wrong.": (
            lambda X, A, w: time(rate(X, A), -2 * w) if rate(X, A) > 0 else np.asarray(np.inf)
        ),
    }
    wrong = judged(answer, problems, lambda X, A, w: time(rate(X, A), 2 * float(w)), hints)
    return wrong or "Right: -log(1 - 2 omega/lambda)/(2 omega) above the threshold, else inf."
