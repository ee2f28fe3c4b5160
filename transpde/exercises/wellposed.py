"""Checkers for the chapter on well-posedness."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import gammaln

from transpde.checks import Array
from transpde.exercises.judge import Answer, judged

__all__ = ["constants", "iterations", "radius"]


def _norms(stack: Array) -> Array:
    return np.asarray(np.linalg.norm(stack, 2, axis=(-2, -1)))


def _products(Q: Array, K: Array) -> Array:
    """Return the norms of A = K^T Q, head by head."""
    return _norms(np.swapaxes(K, -2, -1) @ Q)


def _table(v: Array, a: Array) -> Array:
    """Return both entries of the table, summed over heads."""
    return np.array([(v * a).sum(), (v * (1 + 2 * a) * np.exp(2 * a)).sum()])


def _heads() -> list[tuple[Array, ...]]:
    """Return stacks of heads and a radius; keys as wide as tokens in the first problem only."""
    problems: list[tuple[Array, ...]] = []
    for seed, (h, k, R) in enumerate(((2, 3, 0.7), (3, 2, 0.5), (2, 4, 1.3))):
        rng = np.random.default_rng([2, seed])
        Q, K = 0.6 * rng.normal(size=(2, h, k, 3))
        problems.append((Q, K, rng.normal(size=(h, 3, 3)), np.array(R)))
    return problems


def constants(answer: Answer) -> str:
    """Check `answer(Q, K, V, R)`: both Lipschitz constants of stacked softmax heads on B_R."""

    def right(Q: Array, K: Array, V: Array, R: Array) -> Array:
        return _table(_norms(V), _products(Q, K) * R**2)

    def frobenius(Q: Array, K: Array, V: Array, R: Array) -> Array:
        A = np.swapaxes(K, -2, -1) @ Q
        norms = [np.linalg.norm(M, axis=(-2, -1)) for M in (V, A)]
        return _table(norms[0], norms[1] * R**2)

    def shared(Q: Array, K: Array, V: Array, R: Array) -> Array:
        return _table(_norms(V).sum(), _products(Q, K).sum() * R**2)

    hints: dict[str, Callable[..., Array]] = {
        "the two constants are the other way round: first in the token, then in the measure.": (
            lambda Q, K, V, R: right(Q, K, V, R)[::-1]
        ),
        "the norm of a product is not the product of norms: form A first.": (
            lambda Q, K, V, R: _table(_norms(V), _norms(Q) * _norms(K) * R**2)
        ),
        "scores are of size |A| R^2: the radius enters squared.": (
            lambda Q, K, V, R: _table(_norms(V), _products(Q, K) * R)
        ),
        "each head has an exponential of its own: add entries, not norms.": shared,
        "this is the first head alone; add all heads.": (
            lambda Q, K, V, R: right(Q[:1], K[:1], V[:1], R)
        ),
        "fields add, so that constants add: take the sum over heads, not the largest.": (
            lambda Q, K, V, R: np.max(
                [right(Q[i : i + 1], K[i : i + 1], V[i : i + 1], R) for i in range(len(Q))], axis=0
            )
        ),
        "take spectral norms, not Frobenius norms.": frobenius,
        "the value matrix multiplies the velocity, and so the constants.": (
            lambda Q, K, V, R: _table(np.ones(len(V)), _products(Q, K) * R**2)
        ),
    }
    wrong = judged(answer, _heads(), right, hints)
    return wrong or "Right: one product of query and key a head, and a sum over heads."


def _balls() -> list[tuple[Array, ...]]:
    """Return one head, a radius and a depth, before and after the guarantee ends."""
    problems: list[tuple[Array, ...]] = []
    for seed, (R, share) in enumerate(((0.8, 0.6), (1.7, 0.3), (1.2, 1.5))):
        rng = np.random.default_rng([3, seed])
        Q, K = rng.normal(size=(2, 2, 3))
        V = rng.normal(size=(3, 3))
        t = share / (2 * _norms(V) * _products(Q, K) * R**2)
        problems.append((Q, K, V, np.array(R), t))
    return problems


def radius(answer: Answer) -> str:
    """Check `answer(Q, K, V, R0, t)`: the bound on the support under linear attention."""

    def power(Q: Array, K: Array, V: Array, R0: Array, t: Array, *rest: float) -> Array:
        factor, exponent = rest
        left = 1 - factor * _norms(V) * _products(Q, K) * R0**exponent * t
        return np.asarray(R0 / np.sqrt(left) if left > 0 else np.inf)

    def unguarded(Q: Array, K: Array, V: Array, R0: Array, t: Array) -> Array:
        left = 1 - 2 * _norms(V) * _products(Q, K) * R0**2 * t
        return np.asarray(R0 / np.sqrt(np.abs(left)))

    def of_factors(Q: Array, K: Array, V: Array, R0: Array, t: Array) -> Array:
        left = 1 - 2 * _norms(V) * _norms(Q) * _norms(K) * R0**2 * t
        return np.asarray(R0 / np.sqrt(left) if left > 0 else np.inf)

    hints: dict[str, Callable[..., Array]] = {
        "that is the bound of a normalised head: here the speed grows like r^3.": (
            lambda Q, K, V, R0, t: R0 * np.exp(_norms(V) * t)
        ),
        "after the guaranteed time there is no bound: return np.inf.": unguarded,
        "a factor 2 is missing: the derivative of r^(-2) is -2 r^(-3).": (
            lambda Q, K, V, R0, t: power(Q, K, V, R0, t, 1.0, 2.0)
        ),
        "the guaranteed time falls like the inverse square of the radius at the start.": (
            lambda Q, K, V, R0, t: power(Q, K, V, R0, t, 2.0, 1.0)
        ),
        "take the root: the equation gives r^(-2), not 1/r.": (
            lambda Q, K, V, R0, t: power(Q, K, V, R0, t, 2.0, 2.0) ** 2 / R0
        ),
        "the norm of a product is not the product of norms: form A first.": of_factors,
        "this is the guaranteed time, not the radius.": (
            lambda Q, K, V, R0, t: 1 / (2 * _norms(V) * _products(Q, K) * R0**2)
        ),
    }

    def right(Q: Array, K: Array, V: Array, R0: Array, t: Array) -> Array:
        return power(Q, K, V, R0, t, 2.0, 2.0)

    wrong = judged(answer, _balls(), right, hints)
    return wrong or "Right: the solution of r' = c r^3, and infinity after its end."


def _logs(E: Array, Lam: Array, D: Array, late: int = 0) -> Array:
    """Return the logarithms of the bound for k = 0, 1, 2, ...; (k + late)! divides."""
    # From k = 3 Lam + E + |log(tol / D)| on it is below tol: no such logarithm exceeds 1500.
    k = np.arange(int(3 * Lam + E) + 1500)
    return np.asarray(E + k * np.log(Lam) - gammaln(k + 1 + late) + np.log(D))


def _after(large: Array) -> Array:
    """Return the first index after the last True."""
    return np.asarray(np.flatnonzero(large)[-1] + 1 if large.any() else 0)


def iterations(answer: Answer) -> str:
    """Check `answer(E, Lam, D, tol)`: from which k on the factorial bound is below tol."""
    problems = [
        tuple(map(np.array, numbers))
        for numbers in ((0.5, 3.0, 0.2, 1e-8), (1.0, 12.0, 1e-6, 1e-4), (0.1, 0.4, 1e-3, 1e-2))
    ]
    k = np.arange(1000)
    hints: dict[str, Callable[..., Array]] = {
        "this is the rate of a contraction by one half; the theorem has a factorial.": (
            lambda E, Lam, D, tol: _after(E + np.log(D) + k * np.log(0.5) > np.log(tol))
        ),
        "the factor e^E is missing.": (
            lambda E, Lam, D, tol: _after(_logs(np.zeros(()), Lam, D) > np.log(tol))
        ),
        "the bound may rise again: look for the last k at which it is too large.": (
            lambda E, Lam, D, tol: np.asarray(np.argmax(_logs(E, Lam, D) <= np.log(tol)))
        ),
        "one too few: this is the last k at which the bound is too large.": (
            lambda E, Lam, D, tol: _after(_logs(E, Lam, D) > np.log(tol)) - 1
        ),
        "the distance D of the first two curves is missing.": (
            lambda E, Lam, D, tol: _after(_logs(E, Lam, np.ones(())) > np.log(tol))
        ),
        "the factorial of k divides; you have that of k + 1.": (
            lambda E, Lam, D, tol: _after(_logs(E, Lam, D, late=1) > np.log(tol))
        ),
    }
    wrong = judged(
        answer,
        problems,
        lambda E, Lam, D, tol: _after(_logs(E, Lam, D) > np.log(tol)),
        hints,
    )
    return wrong or "Right: one more than the last k at which the bound is too large."
