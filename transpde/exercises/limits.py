"""Checkers for the chapter on ranks at infinite depth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import linalg

from transpde.attention import Softmax
from transpde.checks import Array
from transpde.exercises.judge import Answer, judged
from transpde.measures import Gaussian
from transpde.theory import limit_covariance

__all__ = ["limit", "plane_limit"]


def limit(answer: Answer) -> str:
    """Check `answer(X, Q)`: the limit of the covariance for K = -Q and V = I, any rank."""
    problems = []
    for seed, d, r, k in ((1, 3, 3, 1), (2, 4, 4, 2), (3, 4, 2, 1), (4, 3, 1, 2)):
        rng = np.random.default_rng(seed)
        problems.append((rng.normal(size=(d, r)), rng.normal(size=(k, d))))
    for (X, Q), mix in zip(problems[:2], ([2.0], [0.3, -1.1]), strict=True):
        nothing_new = np.array(mix) @ Q
        problems.append((X, np.vstack([Q, nothing_new])))

    def solution(X: Array, Q: Array) -> Array:
        start = Gaussian(np.zeros(len(X)), factor=X)
        return np.asarray(limit_covariance(Softmax(Q, -Q, np.eye(len(X))), start))

    def kernel(Q: Array) -> Array:
        return np.asarray(linalg.null_space(Q))

    def through(X: Array, Q: Array, inverse: Callable[[Array], Array]) -> Array:
        N = kernel(Q)
        return N @ inverse(N.T @ np.linalg.pinv(X @ X.T) @ N) @ N.T

    hints: dict[str, Callable[..., Array]] = {
        "this is the covariance at the start: what the queries see is forgotten.": (
            lambda X, Q: X @ X.T
        ),
        "only the part with QX z = 0 stays: you kept what is lost.": (
            lambda X, Q: X @ X.T - solution(X, Q)
        ),
        "this projects the covariance on ker Q; project on the kernel of QX, inside the factor.": (
            lambda X, Q: (P := kernel(Q) @ kernel(Q).T) @ X @ X.T @ P
        ),
        "the start is missing: this is the projector on ker Q.": (
            lambda X, Q: kernel(Q) @ kernel(Q).T
        ),
        "the inverse of the precision on ker Q is missing.": (
            lambda X, Q: through(X, Q, lambda P: P)
        ),
        "right for an invertible covariance; a thin factor needs the kernel of QX.": (
            lambda X, Q: through(X, Q, np.linalg.pinv)
        ),
        "count the singular values that are not zero: rows of Q may be dependent.": _by_rows,
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: X Pi X' with Pi the projector on the kernel of QX."


def _by_rows(X: Array, Q: Array) -> Array:
    """Return the limit as if QX had as many singular values as Q has rows, none of them zero."""
    Z = np.linalg.svd(Q @ X)[2][len(Q) :].T
    return np.asarray(X @ Z @ Z.T @ X.T)


def _planar(Sigma: Array) -> tuple[float, float, float]:
    """Return the variance seen, the slope of the regression on it, and the variance given it."""
    a, b, c = float(Sigma[0, 0]), float(Sigma[0, 1]), float(Sigma[1, 1])
    return a, b / a, c - b * b / a


def _left_over(Sigma: Array, power: float) -> float:
    """Return what V leaves beyond the variance given the query; `power` is v/w."""
    a, rho, _ = _planar(Sigma)
    r = max(rho, 1.0)
    return float(a * (r * r - 1) * ((r - 1) / (r + 1)) ** power)


def plane_limit(answer: Answer) -> str:
    """Check `answer(Sigma, v, w)`: what V = [[v, w], [w, v]] leaves of Sigma for Q = (1 0)."""
    problems = [
        (np.array([[a, b], [b, c]]), np.array(v), np.array(w))
        for a, b, c, v, w in (
            (1.0, 2.0, 5.0, 2.0, 1.9),
            (0.5, 0.8, 2.0, 1.0, 0.4),
            (2.0, 1.0, 3.0, 1.5, 0.6),
            (1.2, -2.1, 4.5, 2.5, 1.0),
        )
    ]

    def solution(Sigma: Array, v: Array, w: Array) -> Array:
        return np.asarray(_planar(Sigma)[2] + _left_over(Sigma, float(v / w)))

    def one_case(Sigma: Array, v: Array, w: Array) -> Array:
        a, rho, delta = _planar(Sigma)
        return np.asarray(delta + a * (rho**2 - 1) * abs((rho - 1) / (rho + 1)) ** float(v / w))

    hints: dict[str, Callable[..., Array]] = {
        "this is the variance at the start: what the query sees is forgotten.": (
            lambda Sigma, v, w: np.asarray(Sigma[1, 1])
        ),
        "this is the limit for V = I; a steep start keeps more.": (
            lambda Sigma, v, w: np.asarray(_planar(Sigma)[2])
        ),
        "only a slope above one leaves more: the formula has two cases.": one_case,
        "the exponent is v/w, not w/v.": (
            lambda Sigma, v, w: np.asarray(_planar(Sigma)[2] + _left_over(Sigma, float(w / v)))
        ),
        "what stays given the query is missing: add it to what V leaves.": (
            lambda Sigma, v, w: np.asarray(_left_over(Sigma, float(v / w)))
        ),
        "the variance seen is missing in what V leaves.": (
            lambda Sigma, v, w: np.asarray(
                _planar(Sigma)[2] + _left_over(Sigma, float(v / w)) / Sigma[0, 0]
            )
        ),
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: the variance given the query, and for a steep start what V leaves."
