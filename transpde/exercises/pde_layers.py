"""Checkers for the chapter on layers and the Transformer PDE."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transpde.attention import Softmax
from transpde.checks import Array
from transpde.exercises.judge import Answer, judged
from transpde.flow import layers
from transpde.measures import Particles

__all__ = ["depth_bound", "merging_step", "residual_layer"]


def _mean(X: Array, w: Array | float, scores: Array) -> Array:
    p = w * np.exp(scores)
    return np.asarray(p / p.sum(axis=1, keepdims=True) @ X)


def _one_by_one(X: Array, w: Array, Q: Array, K: Array, V: Array, h: Array) -> Array:
    moved = X.copy()
    for i in range(len(X)):
        moved[i] += h * V @ _mean(moved, w, moved @ Q.T @ K @ moved.T)[i]
    return moved


SLIPS_IN_A_LAYER: dict[str, Callable[..., Array]] = {
    "nothing moves: add h times the velocity to X.": lambda X, w, Q, K, V, h: X,
    "the weights of the tokens are missing: a heavy token counts more.": (
        lambda X, w, Q, K, V, h: X + h * _mean(X, 1.0, X @ Q.T @ K @ X.T) @ V.T
    ),
    "the residual term is missing: a layer adds to X.": (
        lambda X, w, Q, K, V, h: h * _mean(X, w, X @ Q.T @ K @ X.T) @ V.T
    ),
    "the step h is missing.": (lambda X, w, Q, K, V, h: X + _mean(X, w, X @ Q.T @ K @ X.T) @ V.T),
    "tokens are rows: the value acts from the right by its transpose.": (
        lambda X, w, Q, K, V, h: X + h * _mean(X, w, X @ Q.T @ K @ X.T) @ V
    ),
    "queries and keys are exchanged: row i holds the scores of query i.": (
        lambda X, w, Q, K, V, h: X + h * _mean(X, w, X @ K.T @ Q @ X.T) @ V.T
    ),
    "the value matrix is missing.": (
        lambda X, w, Q, K, V, h: X + h * _mean(X, w, X @ Q.T @ K @ X.T)
    ),
    "all tokens move at once: do not use moved tokens in the same layer.": _one_by_one,
    "the weights of a row must sum to one: divide by their sum.": (
        lambda X, w, Q, K, V, h: X + h * (w * np.exp(X @ Q.T @ K @ X.T)) @ X @ V.T
    ),
    "no factor 1/sqrt(k) is hidden here: see the conventions.": (
        lambda X, w, Q, K, V, h: X + h * _mean(X, w, X @ Q.T @ K @ X.T / np.sqrt(len(K))) @ V.T
    ),
}


def residual_layer(answer: Answer) -> str:
    """Check `answer(X, w, Q, K, V, h)`: weighted tokens after one softmax layer."""
    problems = []
    for seed, n, k in ((1, 5, 2), (2, 4, 3), (3, 6, 1)):
        rng = np.random.default_rng(seed)
        Q, K = rng.normal(size=(2, k, 3))
        X, w = rng.normal(size=(n, 3)), rng.dirichlet(np.ones(n))
        problems.append((X, w, Q, K, rng.normal(size=(3, 3)), np.asarray(0.3)))

    def layer(X: Array, w: Array, Q: Array, K: Array, V: Array, h: Array) -> Array:
        return layers(Particles(X, w), Softmax(Q, K, V), 1, float(h)).final.points

    wrong = judged(answer, problems, layer, SLIPS_IN_A_LAYER)
    return wrong or "Right: weighted, normalised, and all tokens at once."


def depth_bound(answer: Answer) -> str:
    """Check `answer(v, a, R0, T, L)`: the error bound of L softmax layers of fixed weights."""
    numbers = ((1.0, 0.5, 1.0, 0.5, 8), (0.7, 0.2, 1.3, 1.0, 20), (1.2, 0.1, 0.5, 0.8, 5))
    cases = [tuple(map(np.asarray, case)) for case in numbers]

    def bound(v: Array, rest: Array, R: Array, T: Array, L: Array) -> Array:
        return np.asarray(T / (2 * L) * v * R * np.expm1(v * (1 + rest) * T))

    def right(v: Array, a: Array, R0: Array, T: Array, L: Array) -> Array:
        return bound(v, 2 * a * (R0 * np.exp(v * T)) ** 2, R0 * np.exp(v * T), T, L)

    hints: dict[str, Callable[..., Array]] = {
        "this is T/(2L) alone: the speed and the growth of errors are missing.": (
            lambda v, a, R0, T, L: T / (2 * L)
        ),
        "tokens leave the ball they start in: use the radius R of the theorem.": (
            lambda v, a, R0, T, L: bound(v, 2 * a * R0**2, R0, T, L)
        ),
        "the Lipschitz constant too is taken on the large ball.": (
            lambda v, a, R0, T, L: bound(v, 2 * a * R0**2, R0 * np.exp(v * T), T, L)
        ),
        "the speed too is taken on the large ball.": (
            lambda v, a, R0, T, L: right(v, a, R0, T, L) * np.exp(-v * T)
        ),
        "a factor 1/2 is missing: it comes from integrating over one step.": (
            lambda v, a, R0, T, L: 2 * right(v, a, R0, T, L)
        ),
        "subtract 1 from the exponential: without depth there is no error.": (
            lambda v, a, R0, T, L: right(v, a, R0, T, L) + T / (2 * L) * v * R0 * np.exp(v * T)
        ),
        "the 2 before the norm of A is missing: queries move and keys move.": (
            lambda v, a, R0, T, L: bound(
                v, a * R0**2 * np.exp(2 * v * T), R0 * np.exp(v * T), T, L
            )
        ),
        "the radius stands squared in the Lipschitz constant.": (
            lambda v, a, R0, T, L: bound(v, 2 * a * R0 * np.exp(v * T), R0 * np.exp(v * T), T, L)
        ),
        "the error falls with the number of layers.": (
            lambda v, a, R0, T, L: right(v, a, R0, T, L) * L**2
        ),
    }
    wrong = judged(answer, cases, right, hints)
    return wrong or "Right: speed and Lipschitz constant on the ball of radius R0 exp(vT)."


def merging_step(answer: Answer) -> str:
    """Check `answer(c, A)`: the step at which a layer with V = -I merges the tokens c and -c."""
    rng = np.random.default_rng(4)
    cases = []
    for d in (1, 2, 3):
        c, A = 0.5 * rng.normal(size=d), rng.normal(size=(d, d))
        cases += [(c, A * np.sign(c @ A @ c)), (c, -A * np.sign(c @ A @ c))]
    cases += [(np.array([1.0, 2.0]), np.array([[0.0, 1.0], [-1.0, 0.0]]))]

    def step(score: float) -> Array:
        return np.asarray(1 / np.tanh(score) if score > 0 else np.inf)

    hints: dict[str, Callable[..., Array]] = {
        "this is the limit of a large score: at a finite one the mean is nearer to zero.": (
            lambda c, A: np.asarray(1.0)
        ),
        "a step is positive: without a positive score nothing merges, return inf.": (
            lambda c, A: 1 / np.tanh(c @ A @ c)
        ),
        "the two scores are plus and minus the same number: the mean is c times tanh.": (
            lambda c, A: step(c @ A @ c / 2)
        ),
        "that is the tanh of the difference of the scores, s - (-s); half of it belongs there.": (
            lambda c, A: step(2 * c @ A @ c)
        ),
        "the weights are normalised: tanh of the score, not the score itself.": (
            lambda c, A: np.asarray(1 / (c @ A @ c) if c @ A @ c > 0 else np.inf)
        ),
        "this is the factor of the mean; the step is one over it.": (
            lambda c, A: np.tanh(c @ A @ c) if c @ A @ c > 0 else np.asarray(np.inf)
        ),
        "the sign of the score is exchanged.": lambda c, A: step(-c @ A @ c),
        "the score is c'Ac, not the norm of A times that of c squared.": (
            lambda c, A: step(np.linalg.norm(A, 2) * c @ c)
        ),
    }
    wrong = judged(answer, cases, lambda c, A: step(c @ A @ c), hints)
    return wrong or "Right: one over tanh(c'Ac) where the score is positive."
