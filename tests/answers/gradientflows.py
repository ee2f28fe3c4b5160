"""Right and wrong answers to the exercises on gradient flows."""

import numpy as np

from transpde.exercises import gradientflows as check


def rate(x, w, A, power=-1, value=None):
    K = np.exp(x @ A @ x.T)
    Z, pull = K @ w, K @ (w[:, None] * x) @ (A if value is None else value)
    return w @ ((pull**2).sum(axis=1) * Z**power)


def bounds(X, A):
    low = 1 / (2 * np.linalg.norm(A, 2) ** 2 * np.linalg.norm(X @ X.T, 2))
    return [low, np.trace(X @ X.T) / (2 * np.linalg.norm(X.T @ A @ X) ** 2)]


RIGHT = {
    check.dissipation: rate,
    check.descent_matrix: lambda A, M, Sigma: M @ A @ Sigma @ A,
    check.blowup_bounds: bounds,
}

WRONG = [
    (check.dissipation, lambda x, w, A: rate(x, w, A, -2), "the mobility is missing"),
    (check.dissipation, lambda x, w, A: rate(x, w, A, 0), "rate of unnormalised attention"),
    (check.dissipation, lambda x, w, A: rate(x, w, A, -3), "do not divide by it"),
    (
        check.dissipation,
        lambda x, w, A: rate(x, w, A, value=np.eye(len(A))),
        "the value matrix A is missing",
    ),
    (
        check.dissipation,
        lambda x, w, A: rate(x, np.full(len(w), 1 / len(w)), A),
        "the tokens have weights",
    ),
    (check.dissipation, lambda x, w, A: rate(x, w, A) / 2, "no factor 1/2"),
    (check.dissipation, lambda x, w, A: -rate(x, w, A), "the sign is wrong"),
    (check.dissipation, lambda x, w, A: 0.0, "the largest error of an entry"),
    (check.descent_matrix, lambda A, M, S: -M @ A @ S @ A, "minus the gradient"),
    (check.descent_matrix, lambda A, M, S: -A @ S @ A / 2, "this is G itself"),
    (check.descent_matrix, lambda A, M, S: A @ S @ A, "the mobility M is missing"),
    (check.descent_matrix, lambda A, M, S: A @ S @ A @ M, "M multiplies from the left"),
    (check.descent_matrix, lambda A, M, S: np.linalg.solve(M, A @ S @ A), "not by its inverse"),
    (check.descent_matrix, lambda A, M, S: M @ A @ S @ A / 2, "its gradient 2Gx"),
    (check.descent_matrix, lambda A, M, S: M @ A @ A @ S, "between the two A"),
    (check.descent_matrix, lambda A, M, S: 2 * M @ A @ S @ A, "a factor 2 too many"),
    (check.descent_matrix, lambda A, M, S: A[0], r"the shape must be \(3, 3\)"),
    (check.blowup_bounds, lambda X, A: bounds(X, A)[::-1], "the lower bound comes first"),
    (check.blowup_bounds, lambda X, A: 2 * np.array(bounds(X, A)), "both bounds lack"),
    (
        check.blowup_bounds,
        lambda X, A: np.multiply(bounds(X, A), (2, 1)),
        "the lower bound lacks",
    ),
    (
        check.blowup_bounds,
        lambda X, A: np.multiply(bounds(X, A), (1, 2)),
        "the upper bound lacks",
    ),
    (
        check.blowup_bounds,
        lambda X, A: np.multiply(bounds(X, A), (np.linalg.norm(A, 2), 1)),
        "the norm of A is squared",
    ),
    (
        check.blowup_bounds,
        lambda X, A: np.multiply(bounds(X, A), (np.linalg.norm(X, 2), 1)),
        "the norm of the covariance",
    ),
    (
        check.blowup_bounds,
        lambda X, A: [
            1 / (2 * np.linalg.norm(A) ** 2 * np.linalg.norm(X @ X.T)), bounds(X, A)[1]
        ],
        "spectral, not Frobenius",
    ),
    (
        check.blowup_bounds,
        lambda X, A: [
            bounds(X, A)[0], np.linalg.norm(X, 2) ** 2 / (2 * np.linalg.norm(X.T @ A @ X) ** 2)
        ],
        "the trace of the covariance",
    ),
    (
        check.blowup_bounds,
        lambda X, A: [
            bounds(X, A)[0], np.trace(X @ X.T) / (2 * np.linalg.norm(X.T @ A @ X, 2) ** 2)
        ],
        "that of Frobenius",
    ),
    (check.blowup_bounds, lambda X, A: bounds(X, A)[0], r"the shape must be \(2,\)"),
]  # fmt: skip
