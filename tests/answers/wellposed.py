"""Right and wrong answers to the exercises on well-posedness."""

import numpy as np
from scipy.special import gammaln

from transpde.exercises import wellposed as check


def norms(M):
    return np.linalg.norm(M, 2, axis=(-2, -1))


def product(Q, K):
    return norms(np.swapaxes(K, -2, -1) @ Q)


def table(v, a):
    return np.array([(v * a).sum(), (v * (1 + 2 * a) * np.exp(2 * a)).sum()])


def heads(Q, K, V, R):
    return table(norms(V), product(Q, K) * R**2)


def radius(Q, K, V, R0, t, factor=2, power=2):
    left = 1 - factor * norms(V) * product(Q, K) * R0**power * t
    return R0 / np.sqrt(left) if left > 0 else np.inf


def apart(Q, K, V, R0, t):
    return radius(Q, K, norms(Q) * norms(K) / product(Q, K) * V, R0, t)


def bound(E, Lam, D):
    k = np.arange(500)
    return np.exp(E + k * np.log(Lam) - gammaln(k + 1)) * D


def last(large):
    return np.flatnonzero(large)[-1] + 1 if large.any() else 0


RIGHT = {
    check.constants: heads,
    check.radius: radius,
    check.iterations: lambda E, Lam, D, tol: last(bound(E, Lam, D) > tol),
}

WRONG = [
    (check.constants, lambda Q, K, V, R: heads(Q, K, V, R)[::-1], "the other way round"),
    (
        check.constants,
        lambda Q, K, V, R: table(norms(V), norms(Q) * norms(K) * R**2),
        "form A first",
    ),
    (
        check.constants,
        lambda Q, K, V, R: table(norms(V), product(Q, K) * R),
        "the radius enters squared",
    ),
    (
        check.constants,
        lambda Q, K, V, R: table(norms(V).sum(), product(Q, K).sum() * R**2),
        "add entries, not norms",
    ),
    (check.constants, lambda Q, K, V, R: heads(Q[:1], K[:1], V[:1], R), "the first head alone"),
    (
        check.constants,
        lambda Q, K, V, R: np.max(
            [table(v, a * R**2) for v, a in zip(norms(V), product(Q, K), strict=True)], axis=0
        ),
        "not the largest",
    ),
    (
        check.constants,
        lambda Q, K, V, R: table(
            np.linalg.norm(V, axis=(1, 2)),
            np.linalg.norm(np.swapaxes(K, 1, 2) @ Q, axis=(1, 2)) * R**2,
        ),
        "not Frobenius norms",
    ),
    (
        check.constants,
        lambda Q, K, V, R: table(np.ones(len(V)), product(Q, K) * R**2),
        "the value matrix multiplies",
    ),
    (check.constants, lambda Q, K, V, R: heads(Q, K, V, R)[0], r"the shape must be \(2,\)"),
    (check.radius, lambda Q, K, V, R0, t: R0 * np.exp(norms(V) * t), "a normalised head"),
    (
        check.radius,
        lambda Q, K, V, R0, t: R0 / np.sqrt(np.abs(1 - 2 * norms(V) * product(Q, K) * R0**2 * t)),
        "return np.inf",
    ),
    (check.radius, apart, "form A first"),
    (check.radius, lambda *z: radius(*z, factor=1), "a factor 2 is missing"),
    (check.radius, lambda *z: radius(*z, power=1), "inverse square"),
    (check.radius, lambda *z: radius(*z) ** 2 / z[3], "take the root"),
    (
        check.radius,
        lambda Q, K, V, R0, t: 1 / (2 * norms(V) * product(Q, K) * R0**2),
        "the guaranteed time, not the radius",
    ),
    (
        check.iterations,
        lambda E, Lam, D, tol: last(np.exp(E) * D * 0.5 ** np.arange(500) > tol),
        "a contraction by one half",
    ),
    (
        check.iterations,
        lambda E, Lam, D, tol: last(bound(0, Lam, D) > tol),
        "the factor e\\^E is missing",
    ),
    (
        check.iterations,
        lambda E, Lam, D, tol: np.argmax(bound(E, Lam, D) <= tol),
        "may rise again",
    ),
    (check.iterations, lambda E, Lam, D, tol: last(bound(E, Lam, D) > tol) - 1, "one too few"),
    (
        check.iterations,
        lambda E, Lam, D, tol: last(bound(E, Lam, 1) > tol),
        "D of the first two curves",
    ),
    (
        check.iterations,
        lambda E, Lam, D, tol: last(bound(E, Lam, D) / (np.arange(500) + 1) > tol),
        "that of k \\+ 1",
    ),
]
