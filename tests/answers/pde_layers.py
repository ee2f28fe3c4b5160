"""Right and wrong answers to the exercises on layers and the Transformer PDE."""

import numpy as np

from transpde.exercises import pde_layers as check


def mean(X, p):
    return p / p.sum(axis=1, keepdims=True) @ X


def kernel(X, w, Q, K):
    return w * np.exp(X @ Q.T @ K @ X.T)


def in_turn(X, w, Q, K, V, h):
    for i in range(len(X)):
        X[i] = X[i] + h * mean(X, kernel(X, w, Q, K))[i] @ V.T
    return X


def bound(v, a, R0, T, L):
    R = R0 * np.exp(v * T)
    return T / (2 * L) * v * R * np.expm1(v * (1 + 2 * a * R**2) * T)


def score(c, A):
    return c @ A @ c


def unguarded(c, A):
    with np.errstate(divide="ignore"):
        return 1 / np.tanh(score(c, A))


RIGHT = {
    check.residual_layer: lambda X, w, Q, K, V, h: X + h * mean(X, kernel(X, w, Q, K)) @ V.T,
    check.depth_bound: bound,
    check.merging_step: lambda c, A: 1 / np.tanh(score(c, A)) if score(c, A) > 0 else np.inf,
}

WRONG = [
    (check.residual_layer, lambda X, w, Q, K, V, h: X, "nothing moves"),
    (
        check.residual_layer,
        lambda X, w, Q, K, V, h: X + h * mean(X, kernel(X, 1, Q, K)) @ V.T,
        "the weights of the tokens are missing",
    ),
    (
        check.residual_layer,
        lambda X, w, Q, K, V, h: h * mean(X, kernel(X, w, Q, K)) @ V.T,
        "the residual term is missing",
    ),
    (
        check.residual_layer,
        lambda X, w, Q, K, V, h: X + mean(X, kernel(X, w, Q, K)) @ V.T,
        "the step h is missing",
    ),
    (
        check.residual_layer,
        lambda X, w, Q, K, V, h: X + h * mean(X, kernel(X, w, Q, K)) @ V,
        "from the right by its transpose",
    ),
    (
        check.residual_layer,
        lambda X, w, Q, K, V, h: X + h * mean(X, kernel(X, w, K, Q)) @ V.T,
        "queries and keys are exchanged",
    ),
    (
        check.residual_layer,
        lambda X, w, Q, K, V, h: X + h * mean(X, kernel(X, w, Q, K)),
        "the value matrix is missing",
    ),
    (check.residual_layer, in_turn, "all tokens move at once"),
    (
        check.residual_layer,
        lambda X, w, Q, K, V, h: X + h * kernel(X, w, Q, K) @ X @ V.T,
        "must sum to one",
    ),
    (
        check.residual_layer,
        lambda X, w, Q, K, V, h: X + h * mean(X, kernel(X, w, Q / np.sqrt(len(Q)), K)) @ V.T,
        "no factor 1/sqrt",
    ),
    (
        check.residual_layer,
        lambda X, w, Q, K, V, h: X - h * mean(X, kernel(X, w, Q, K)) @ V.T,
        "the largest error of an entry",
    ),
    (check.depth_bound, lambda v, a, R0, T, L: T / (2 * L), "missing"),
    (
        check.depth_bound,
        lambda v, a, R0, T, L: T / (2 * L) * v * R0 * np.expm1(v * (1 + 2 * a * R0**2) * T),
        "tokens leave the ball",
    ),
    (
        check.depth_bound,
        lambda v, a, R0, T, L: (
            T / (2 * L) * v * R0 * np.exp(v * T) * np.expm1(v * (1 + 2 * a * R0**2) * T)
        ),
        "the Lipschitz constant too",
    ),
    (
        check.depth_bound,
        lambda v, a, R0, T, L: bound(v, a, R0, T, L) / np.exp(v * T),
        "the speed too",
    ),
    (check.depth_bound, lambda *p: 2 * bound(*p), "a factor 1/2 is missing"),
    (
        check.depth_bound,
        lambda v, a, R0, T, L: (
            T / (2 * L) * v * (R := R0 * np.exp(v * T)) * np.exp(v * (1 + 2 * a * R**2) * T)
        ),
        "subtract 1",
    ),
    (
        check.depth_bound,
        lambda v, a, R0, T, L: bound(v, a / 2, R0, T, L),
        "queries move and keys move",
    ),
    (
        check.depth_bound,
        lambda v, a, R0, T, L: bound(v, a / (R0 * np.exp(v * T)), R0, T, L),
        "squared",
    ),
    (check.depth_bound, lambda v, a, R0, T, L: bound(v, a, R0, T, 1 / L), "falls with"),
    (check.merging_step, lambda c, A: 1.0, "limit of a large score"),
    (check.merging_step, unguarded, "a step is positive"),
    (
        check.merging_step,
        lambda c, A: 1 / np.tanh(c @ (A + A.T) @ c) if score(c, A) > 0 else np.inf,
        "half of it belongs there",
    ),
    (
        check.merging_step,
        lambda c, A: 1 / np.tanh(score(c, A) / 2) if score(c, A) > 0 else np.inf,
        "plus and minus the same number",
    ),
    (
        check.merging_step,
        lambda c, A: 1 / score(c, A) if score(c, A) > 0 else np.inf,
        "not the score itself",
    ),
    (
        check.merging_step,
        lambda c, A: np.tanh(score(c, A)) if score(c, A) > 0 else np.inf,
        "one over it",
    ),
    (
        check.merging_step,
        lambda c, A: 1 / np.tanh(-score(c, A)) if score(c, A) < 0 else np.inf,
        "the sign of the score",
    ),
    (
        check.merging_step,
        lambda c, A: 1 / np.tanh(np.linalg.norm(A, 2) * c @ c),
        "not the norm of A",
    ),
]
