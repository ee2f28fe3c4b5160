"""Right and wrong answers to the exercises on covariance dynamics."""

import numpy as np

from transpde.exercises import covariance as check


def root(matrix):
    values, U = np.linalg.eigh(matrix)
    return (U * np.sqrt(values)) @ U.T


def core(G, epsilon, factor=4.0):
    eye = np.eye(len(G))
    return 2 * np.linalg.inv(root(epsilon**2 * eye + factor * G @ G.T) + epsilon * eye)


def linear(A, V, X, S):
    return V @ X @ S @ X.T @ A


def disc(M):
    return np.array([M[0, 0] - M[1, 1], 2 * M[0, 1]]) / np.trace(M)


def adjugate(M):
    return np.array([[M[1, 1], -M[0, 1]], [-M[1, 0], M[0, 0]]])


def level(X, A):
    return np.linalg.eigvalsh(X.T @ (A + A.T) @ X)[-1]


def time(top, decay):
    return -np.log(1 - decay / top) / decay if top > max(decay, 0) else np.inf


RIGHT = {
    check.sinkhorn_linear: lambda A, V, X, e: linear(A, V, X, core(X.T @ A @ X, e)),
    check.pole: lambda A: disc(adjugate(A + A.T)),
    check.explosion_with_decay: lambda X, A, w: time(level(X, A), 2 * w),
}

WRONG = [
    (check.sinkhorn_linear, lambda A, V, X, e: V @ X @ X.T @ A, "the core S is missing"),
    (check.sinkhorn_linear, lambda A, V, X, e: V @ X @ X.T @ A / e, "right for small X only"),
    (
        check.sinkhorn_linear,
        lambda A, V, X, e: linear(A, V, X, core(X.T @ A.T @ X, e)),
        "the order in the core",
    ),
    (
        check.sinkhorn_linear,
        lambda A, V, X, e: linear(A, V, X, core(X.T @ A @ X, e, 1.0)),
        "the factor 4",
    ),
    (
        check.sinkhorn_linear,
        lambda A, V, X, e: linear(A, V, X, core(X.T @ A @ X, e) / 2),
        "the factor 2 of the core",
    ),
    (
        check.sinkhorn_linear,
        lambda A, V, X, e: linear(A, V, X, core(X.T @ A @ X, 1.0)),
        "epsilon is not 1",
    ),
    (
        check.sinkhorn_linear,
        lambda A, V, X, e: X @ core(X.T @ A @ X, e) @ X.T @ A,
        "the value matrix is missing",
    ),
    (
        check.sinkhorn_linear,
        lambda A, V, X, e: linear(
            A,
            V,
            X,
            2
            * np.linalg.inv(
                np.sqrt(np.abs(e**2 * np.eye(X.shape[1]) + 4 * (X.T @ A @ X) @ (X.T @ A @ X).T))
                + e * np.eye(X.shape[1])
            ),
        ),
        "of a matrix, not of its entries",
    ),
    (
        check.sinkhorn_linear,  # S from SG = M: true where G has an inverse
        lambda A, V, X, e: linear(A, V, X, core(X.T @ A @ X, e)) + 0 * np.linalg.inv(A),
        "LinAlgError|largest error",
    ),
    (check.sinkhorn_linear, lambda A, V, X, e: None, "returned nothing"),
    (check.pole, lambda A: disc(A + A.T), "take its adjugate"),
    (check.pole, lambda A: disc(adjugate(A)), "A alone is not symmetric"),
    (check.pole, lambda A: disc(adjugate(A + A.T)) * [1, 0.5], "a factor 2 is lost"),
    (
        check.pole,
        lambda A: disc(adjugate(A + A.T)) * np.trace(A + A.T),
        "divide by the trace",
    ),
    (check.pole, lambda A: disc(A + A.T) * [-1, 1], "changes the mixed entry"),
    (check.pole, lambda A: disc(A + A.T) * [1, -1], "swaps the diagonal"),
    (check.pole, lambda A: adjugate(A + A.T), r"the shape must be \(2,\)"),
    (
        check.explosion_with_decay,
        lambda X, A, w: 1 / level(X, A) if level(X, A) > 0 else np.inf,
        "the feed-forward part is missing",
    ),
    (check.explosion_with_decay, lambda X, A, w: 1 / level(X, A), "it is negative where nothing"),
    (check.explosion_with_decay, lambda X, A, w: time(level(X, A), w), "2 omega, not omega"),
    (
        check.explosion_with_decay,
        lambda X, A, w: 2 * time(level(X, A), 2 * w),
        "divide by 2 omega",
    ),
    (
        check.explosion_with_decay,
        lambda X, A, w: time(level(X, A) / 2, 2 * w),
        "both A and its transpose",
    ),
    (
        check.explosion_with_decay,
        lambda X, A, w: time(level(np.eye(len(A)), A), 2 * w),
        "the start is missing",
    ),
    (
        check.explosion_with_decay,
        lambda X, A, w: time(level(X, A), -2 * w),
        "the sign of omega is wrong",
    ),
    (check.explosion_with_decay, lambda X, A, w: np.nan, "returned nan"),
]
