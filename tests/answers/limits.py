"""Right and wrong answers to the exercises on ranks at infinite depth."""

import numpy as np
from scipy import linalg

from transpde.exercises import limits as check


def limit(X, Q):
    Z = linalg.null_space(Q @ X)
    return X @ Z @ Z.T @ X.T


def precision(X, Q, power):
    N = linalg.null_space(Q)
    P = N.T @ np.linalg.pinv(X @ X.T) @ N
    return N @ (np.linalg.pinv(P) if power < 0 else P) @ N.T


def projected(X, Q):
    N = linalg.null_space(Q)
    return N @ N.T @ X @ X.T @ N @ N.T


def by_rows(X, Q):
    Z = np.linalg.svd(Q @ X)[2][len(Q) :].T
    return X @ Z @ Z.T @ X.T


def left_over(Sigma, v, w, seen=None, power=1):
    a, b = Sigma[0]
    if b <= a:
        return 0.0
    exponent = (v / w) ** power
    return (seen or a) * (b / a + 1) ** (1 - exponent) * (b / a - 1) ** (1 + exponent)


def given(Sigma):
    return 1 / np.linalg.inv(Sigma)[1, 1]


def without_cases(Sigma, v, w):
    a, rho = Sigma[0, 0], Sigma[0, 1] / Sigma[0, 0]
    return given(Sigma) + a * (rho**2 - 1) * np.abs((rho - 1) / (rho + 1)) ** (v / w)


RIGHT = {
    check.limit: limit,
    check.plane_limit: lambda S, v, w: given(S) + left_over(S, v, w),
}

WRONG = [
    (check.limit, lambda X, Q: X @ X.T, "what the queries see is forgotten"),
    (check.limit, lambda X, Q: X @ X.T - limit(X, Q), "you kept what is lost"),
    (check.limit, projected, "inside the factor"),
    (check.limit, lambda X, Q: linalg.null_space(Q) @ linalg.null_space(Q).T, "start is missing"),
    (check.limit, lambda X, Q: precision(X, Q, 1), "the inverse of the precision"),
    (check.limit, lambda X, Q: precision(X, Q, -1), "right for an invertible covariance"),
    (check.limit, by_rows, "count the singular values"),
    (check.limit, lambda X, Q: X, "the shape must be|the largest error"),
    (check.plane_limit, lambda S, v, w: S[1, 1], "what the query sees is forgotten"),
    (check.plane_limit, lambda S, v, w: given(S), "a steep start keeps more"),
    (check.plane_limit, without_cases, "the formula has two cases"),
    (check.plane_limit, lambda S, v, w: given(S) + left_over(S, v, w, power=-1), "not w/v"),
    (check.plane_limit, left_over, "what stays given the query is missing"),
    (
        check.plane_limit,
        lambda S, v, w: given(S) + left_over(S, v, w, seen=1.0),
        "the variance seen is missing",
    ),
    (check.plane_limit, lambda S, v, w: -given(S), "the largest error"),
]
