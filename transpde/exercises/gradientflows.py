"""Checkers for the chapter on gradient flows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from transpde.checks import Array
from transpde.energy import interaction_dissipation
from transpde.exercises.judge import Answer, judged
from transpde.measures import Particles

__all__ = ["blowup_bounds", "descent_matrix", "dissipation"]


def _symmetric(rng: np.random.Generator, d: int) -> Array:
    R = rng.normal(size=(d, d))
    return (R + R.T) / 2


def dissipation(answer: Answer) -> str:
    """Check `answer(x, w, A)`: the rate of the interaction energy along softmax with V = A."""
    problems = []
    for seed, n, d in ((1, 5, 2), (2, 4, 3), (3, 6, 1)):
        rng = np.random.default_rng(seed)
        w = rng.random(n) + 0.2
        problems.append((0.7 * rng.normal(size=(n, d)), w / w.sum(), _symmetric(rng, d)))

    def terms(x: Array, w: Array, A: Array) -> tuple[Array, Array]:
        K = np.exp(x @ A @ x.T)
        return K @ w, K @ (w[:, None] * x)

    def rate(power: int, V: Callable[[Array], Array], uniform: bool = False) -> Callable[..., Any]:
        def value(x: Array, w: Array, A: Array) -> Any:
            w = np.full(len(w), 1 / len(w)) if uniform else w
            Z, pull = terms(x, w, A)
            return w @ (((pull @ V(A)) ** 2).sum(axis=1) * Z**power)

        return value

    hints: dict[str, Callable[..., Any]] = {
        "the mobility is missing: multiply |Gamma|^2 by Z.": rate(-2, lambda A: A),
        "this is the rate of unnormalised attention: divide the sum by Z once.": (
            rate(0, lambda A: A)
        ),
        "multiply |Gamma|^2 by Z, do not divide by it.": rate(-3, lambda A: A),
        "the value matrix A is missing in the velocity.": rate(-1, lambda A: np.eye(len(A))),
        "the tokens have weights, in both sums.": rate(-1, lambda A: A, uniform=True),
        "half of the energy is in its formula already; its rate has no factor 1/2.": (
            lambda x, w, A: rate(-1, lambda A: A)(x, w, A) / 2
        ),
        "for V = A the energy rises: the sign is wrong.": (
            lambda x, w, A: -rate(-1, lambda A: A)(x, w, A)
        ),
    }
    wrong = judged(
        answer, problems, lambda x, w, A: interaction_dissipation(Particles(x, w), A), hints
    )
    return wrong or "Right: the sum of w Z |Gamma|^2 over the tokens."


def descent_matrix(answer: Answer) -> str:
    """Check `answer(A, M, Sigma)`: B of the descent of the twisted energy, field x -> Bx."""
    problems = []
    for seed, d in ((1, 3), (2, 2)):
        rng = np.random.default_rng(seed)
        R, X = rng.normal(size=(2, d, d))
        problems.append((_symmetric(rng, d), R @ R.T + np.eye(d), X @ X.T))
    hints: dict[str, Callable[..., Any]] = {
        "descent follows minus the gradient.": lambda A, M, S: -M @ A @ S @ A,
        "this is G itself: the velocity is minus M times the gradient of x'Gx.": (
            lambda A, M, S: -A @ S @ A / 2
        ),
        "the mobility M is missing.": lambda A, M, S: A @ S @ A,
        "M multiplies from the left: a velocity is M times a gradient.": (
            lambda A, M, S: A @ S @ A @ M
        ),
        "the gradient is multiplied by M, not by its inverse.": (
            lambda A, M, S: np.linalg.inv(M) @ A @ S @ A
        ),
        "if dE = tr(G dSigma) the first variation is x'Gx, and its gradient 2Gx.": (
            lambda A, M, S: M @ A @ S @ A / 2
        ),
        "the covariance stands between the two A.": lambda A, M, S: M @ A @ A @ S,
        "a factor 2 too many: dE = -1/2 tr(A Sigma A dSigma).": lambda A, M, S: 2 * M @ A @ S @ A,
    }
    wrong = judged(answer, problems, lambda A, M, S: M @ A @ S @ A, hints)
    return wrong or "Right: B = M A Sigma A, the softmax field of value M A."


def blowup_bounds(answer: Answer) -> str:
    """Check `answer(X, A)`: the lower and the upper bound of the blow-up time for V = A."""
    problems = []
    for seed, d, r in ((1, 3, 3), (2, 2, 2), (3, 3, 1)):
        rng = np.random.default_rng(seed)
        problems.append((rng.normal(size=(d, r)), _symmetric(rng, d)))

    def bounds(X: Array, A: Array) -> Array:
        low = 1 / (2 * np.linalg.norm(A, 2) ** 2 * np.linalg.norm(X, 2) ** 2)
        return np.array([low, (X**2).sum() / (2 * ((X.T @ A @ X) ** 2).sum())])

    def changed(low: float = 1.0, high: float = 1.0) -> Callable[..., Any]:
        return lambda X, A: bounds(X, A) * (low, high)

    hints: dict[str, Callable[..., Any]] = {
        "the lower bound comes first.": lambda X, A: bounds(X, A)[::-1],
        "both bounds lack a factor 1/2.": changed(2, 2),
        "the lower bound lacks a factor 1/2.": changed(low=2),
        "the upper bound lacks a factor 1/2.": changed(high=2),
        "the norm of A is squared in the lower bound.": (
            lambda X, A: bounds(X, A) * (np.linalg.norm(A, 2), 1)
        ),
        "below stands the norm of the covariance, the square of that of X.": (
            lambda X, A: bounds(X, A) * (np.linalg.norm(X, 2), 1)
        ),
        "the norms of the lower bound are spectral, not Frobenius.": (
            lambda X, A: np.array(
                [1 / (2 * (A**2).sum() * np.linalg.norm(X @ X.T)), bounds(X, A)[1]]
            )
        ),
        "the upper bound has the trace of the covariance above.": (
            lambda X, A: bounds(X, A) * (1, np.linalg.norm(X, 2) ** 2 / (X**2).sum())
        ),
        "the norm of X'AX below is that of Frobenius.": (
            lambda X, A: np.array(
                [bounds(X, A)[0], (X**2).sum() / (2 * np.linalg.norm(X.T @ A @ X, 2) ** 2)]
            )
        ),
    }
    wrong = judged(answer, problems, bounds, hints)
    return wrong or "Right: 1/(2 |A|^2 |Sigma|) and tr Sigma/(2 |X'AX|_F^2)."
