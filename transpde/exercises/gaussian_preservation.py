"""Checkers for the chapter on Gaussian preservation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from transpde.attention import L2, Softmax
from transpde.checks import Array
from transpde.measures import Gaussian

__all__ = ["blowup_time", "l2_linear", "softmax_linear"]

Answer = Callable[..., Any]


def _problem(seed: int) -> tuple[Array, Array, Array, Array]:
    """Return Q, K, V and a positive definite covariance, none of them symmetric by accident."""
    rng = np.random.default_rng(seed)
    Q, K, V, X = rng.normal(size=(4, 3, 3))
    return Q, K, V, X @ X.T


def _tried(answer: Answer, *arguments: Any) -> tuple[Array | None, str]:
    """Return the answer as an array, or None and the reason why there is none."""
    try:
        value = answer(*(np.array(a) for a in arguments))
    except Exception as error:  # whatever the reader's function does is told, never raised
        return None, f"Not yet: your function raised {type(error).__name__}: {error}."
    try:
        numbers = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        return None, f"Not yet: your function returned {type(value).__name__}, not numbers."
    if np.isnan(numbers).any():
        return None, "Not yet: your function returned nan, which is not a number."
    return numbers, ""


def _judge(answer: Answer, arguments: Any, right: Array, slips: dict[str, Array]) -> str | None:
    """Return a sentence if the answer is wrong; known slips are named."""
    got, reason = _tried(answer, *arguments)
    if got is None:
        return reason
    if got.shape != right.shape:
        return f"Not yet: the shape must be {right.shape}; yours is {got.shape}."
    tolerance = 1e-8 * max(1.0, float(np.abs(right[np.isfinite(right)]).max(initial=0.0)))
    if np.allclose(got, right, rtol=1e-8, atol=tolerance):
        return None
    for hint, slip in slips.items():
        if np.allclose(got, slip, rtol=1e-8, atol=tolerance):
            return f"Not yet: {hint}"
    return f"Not yet: the largest error of an entry is {np.max(np.abs(got - right)):.3g}."


def softmax_linear(answer: Answer) -> str:
    """Check `answer(Q, K, V, Sigma)`: the linear part B of a softmax head's field."""
    for seed in (1, 2):
        Q, K, V, Sigma = _problem(seed)
        A = K.T @ Q
        gaussian = Gaussian.from_covariance(np.zeros(3), Sigma)
        right = Softmax(Q, K, V)(gaussian).linear  # type: ignore[attr-defined]
        slips = {
            "the field is not zero: start from the tilted mean.": np.zeros((3, 3)),
            "A and its transpose are exchanged: A is key-transpose times query.": V @ Sigma @ A.T,
            "the covariance stands between V and A, not before V.": Sigma @ V @ A,
            "the value matrix is missing.": Sigma @ A,
            "the covariance is missing: the weights act through it.": V @ A,
        }
        wrong = _judge(answer, (Q, K, V, Sigma), right, slips)
        if wrong:
            return wrong
    return "Right: the linear part is V Sigma A."


def l2_linear(answer: Answer) -> str:
    """Check `answer(Q, K, V, Sigma)`: the linear part B of an L2 head's field."""
    for seed in (3, 4):
        Q, K, V, Sigma = _problem(seed)
        A, eye = K.T @ Q, np.eye(3)
        gaussian = Gaussian.from_covariance(np.zeros(3), Sigma)
        right = L2(Q, K, V)(gaussian).linear  # type: ignore[attr-defined]
        damped = np.linalg.inv(eye + 2 * Sigma @ K.T @ K) @ Sigma @ A
        slips = {
            "this is the softmax head; the term |Ky|^2 narrows the tilted Gaussian.": V
            @ Sigma
            @ A,
            "a factor 2 is missing: -|Qx - Ky|^2 holds twice the score of softmax.": V @ damped,
            "inside the inverse the factor 2 is missing.": 2
            * V
            @ np.linalg.inv(eye + Sigma @ K.T @ K)
            @ Sigma
            @ A,
            "key-transpose times key is needed, not key times key-transpose.": 2
            * V
            @ np.linalg.inv(eye + 2 * Sigma @ K @ K.T)
            @ Sigma
            @ A,
            "the inverse is missing.": 2 * V @ (eye + 2 * Sigma @ K.T @ K) @ Sigma @ A,
        }
        wrong = _judge(answer, (Q, K, V, Sigma), right, slips)
        if wrong:
            return wrong
    return "Right: the linear part is 2 V (I + 2 Sigma K'K)^(-1) Sigma A."


def blowup_time(answer: Answer) -> str:
    """Check `answer(X, A)`: the blow-up time of softmax with V = I, inf where there is none."""
    rng = np.random.default_rng(5)
    cases = [(rng.normal(size=(3, r)), rng.normal(size=(3, 3))) for r in (3, 2, 1)]
    cases += [(X, -A @ A.T) for X, A in cases]
    for X, A in cases:
        G = X.T @ (A + A.T) @ X
        top, rank = np.linalg.eigvalsh(G)[-1], X.shape[1]
        right = np.asarray(1 / top if top > 0 else np.inf)
        flat = np.linalg.eigvalsh(A + A.T)[-1]
        half = np.linalg.eigvalsh(X.T @ A @ X + X.T @ A.T @ X)[-1] / 2
        modulus = np.abs(np.linalg.eigvalsh(G)).max()
        slips = {
            "nothing blows up when the largest eigenvalue is not positive: return inf.": 1 / top,
            "the start is missing: the time depends on the factor X as well as on A.": 1 / flat,
            "both A and its transpose drive the covariance: a factor 2 is lost.": 1 / half,
            "take the largest eigenvalue, not the largest modulus.": 1 / modulus,
        }
        wrong = _judge(answer, (X, A), right, {k: np.asarray(v) for k, v in slips.items()})
        if wrong:
            return f"{wrong} (rank {rank}, largest eigenvalue {top:.3g})"
    return "Right: one over the largest eigenvalue of X'(A + A')X where it is positive."
