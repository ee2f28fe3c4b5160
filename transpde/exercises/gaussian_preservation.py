"""Checkers for the chapter on Gaussian preservation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transpde.attention import L2, Softmax
from transpde.checks import Array
from transpde.exercises.judge import Answer, judged
from transpde.measures import Gaussian

__all__ = ["blowup_time", "l2_linear", "softmax_linear"]

Problem = tuple[Array, Array, Array, Array]


def _problems() -> list[Problem]:
    """Return Q, K, V and Sigma: nothing symmetric by accident, then k < d and a singular Sigma."""
    problems = []
    for seed, k, rank in ((1, 3, 3), (2, 3, 3), (3, 2, 2)):
        rng = np.random.default_rng(seed)
        Q, K = rng.normal(size=(2, k, 3))
        V, X = rng.normal(size=(3, 3)), rng.normal(size=(3, rank))
        problems.append((Q, K, V, X @ X.T))
    return problems


def _linear_part(head: type[Softmax | L2], problem: Problem) -> Array:
    Q, K, V, Sigma = problem
    field = head(Q, K, V)._affine_field(Gaussian.from_covariance(np.zeros(3), Sigma))
    return field.linear


def softmax_linear(answer: Answer) -> str:
    """Check `answer(Q, K, V, Sigma)`: the linear part B of a softmax head's field."""
    hints: dict[str, Callable[..., Array]] = {
        "the field is not zero: start from the tilted mean.": lambda Q, K, V, S: 0 * V,
        "A and its transpose are exchanged: A is key-transpose times query.": (
            lambda Q, K, V, S: V @ S @ Q.T @ K
        ),
        "the covariance stands between V and A, not before V.": lambda Q, K, V, S: S @ V @ K.T @ Q,
        "the value matrix is missing.": lambda Q, K, V, S: S @ K.T @ Q,
        "the covariance is missing: the weights act through it.": lambda Q, K, V, S: V @ K.T @ Q,
        "this is the transpose of B.": lambda Q, K, V, S: (V @ S @ K.T @ Q).T,
        "the sign is wrong.": lambda Q, K, V, S: -V @ S @ K.T @ Q,
        "no factor 1/sqrt(k) is hidden here: see the conventions.": (
            lambda Q, K, V, S: V @ S @ K.T @ Q / np.sqrt(len(K))
        ),
    }
    wrong = judged(answer, _problems(), lambda *p: _linear_part(Softmax, p), hints)
    return wrong or "Right: the linear part is V Sigma A."


def l2_linear(answer: Answer) -> str:
    """Check `answer(Q, K, V, Sigma)`: the linear part B of an L2 head's field."""
    eye, inv = np.eye(3), np.linalg.inv

    def damped(K: Array, S: Array, factor: float) -> Array:
        return inv(eye + factor * S @ K.T @ K) @ S

    hints: dict[str, Callable[..., Array]] = {
        "this is the softmax head; the term |Ky|^2 narrows the tilted Gaussian.": (
            lambda Q, K, V, S: V @ S @ K.T @ Q
        ),
        "a factor 2 is missing: -|Qx - Ky|^2 holds twice the score of softmax.": (
            lambda Q, K, V, S: V @ damped(K, S, 2) @ K.T @ Q
        ),
        "inside the inverse the factor 2 is missing.": (
            lambda Q, K, V, S: 2 * V @ damped(K, S, 1) @ K.T @ Q
        ),
        "key-transpose times key is needed, not key times key-transpose.": (
            lambda Q, K, V, S: 2 * V @ damped(K.T, S, 2) @ K.T @ Q if len(K) == 3 else np.nan * V
        ),
        "the inverse is missing.": (
            lambda Q, K, V, S: 2 * V @ (eye + 2 * S @ K.T @ K) @ S @ K.T @ Q
        ),
        "the inverse stands on the wrong side of Sigma: they do not commute.": (
            lambda Q, K, V, S: 2 * V @ S @ inv(eye + 2 * S @ K.T @ K) @ K.T @ Q
        ),
    }
    wrong = judged(answer, _problems(), lambda *p: _linear_part(L2, p), hints)
    return wrong or "Right: the linear part is 2 V (I + 2 Sigma K'K)^(-1) Sigma A."


def blowup_time(answer: Answer) -> str:
    """Check `answer(X, A)`: the blow-up time of softmax with V = I, inf where there is none."""
    rng = np.random.default_rng(5)
    cases = [(rng.normal(size=(3, r)), rng.normal(size=(3, 3))) for r in (3, 2, 1)]
    cases += [(X, -A @ A.T) for X, A in cases]
    cases += [(np.eye(3), np.diag([-4.5, 0.5, 1.0])), (np.eye(2), np.diag([-1.0, -2.0]))]

    def spectrum(X: Array, A: Array) -> Array:
        return np.linalg.eigvalsh(X.T @ (A + A.T) @ X)

    def guarded(number: float) -> Array:
        return np.asarray(1 / number if number > 0 else np.inf)

    hints: dict[str, Callable[..., Array]] = {
        "nothing blows up when the largest eigenvalue is not positive: return inf.": (
            lambda X, A: 1 / spectrum(X, A)[-1]
        ),
        "the start is missing: the time depends on the factor X as well as on A.": (
            lambda X, A: guarded(np.linalg.eigvalsh(A + A.T)[-1])
        ),
        "the start is missing, and so is the case without an explosion.": (
            lambda X, A: 1 / np.linalg.eigvalsh(A + A.T)[-1]
        ),
        "both A and its transpose drive the covariance: a factor 2 is lost.": (
            lambda X, A: guarded(spectrum(X, A)[-1] / 2)
        ),
        "take the largest eigenvalue, not the largest modulus.": (
            lambda X, A: guarded(np.abs(spectrum(X, A)).max() * np.sign(spectrum(X, A)[-1]))
        ),
        "one positive eigenvalue is enough: the trace does not decide.": (
            lambda X, A: guarded(spectrum(X, A)[-1] * (spectrum(X, A).sum() > 0))
        ),
        "the time is one over the eigenvalue.": lambda X, A: spectrum(X, A)[-1],
        "where nothing blows up the time is inf.": (
            lambda X, A: np.where(spectrum(X, A)[-1] > 0, guarded(spectrum(X, A)[-1]), 0.0)
        ),
    }
    wrong = judged(answer, cases, lambda X, A: guarded(spectrum(X, A)[-1]), hints)
    return wrong or "Right: one over the largest eigenvalue of X'(A + A')X where it is positive."
