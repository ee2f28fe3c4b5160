"""Exact solutions and references that share no code with the package."""

from __future__ import annotations

import mpmath
import numpy as np


def orthogonal(rng, d):
    """A Haar-random orthogonal matrix."""
    Q, R = np.linalg.qr(rng.normal(size=(d, d)))
    return Q * np.sign(np.diag(R))


def head_parameters(rng, d, k=None, size=1.0):
    """Random Q, K (k, d) and V (d, d), each of spectral norm `size`."""
    k = d if k is None else k
    matrices = [rng.normal(size=shape) for shape in ((k, d), (k, d), (d, d))]
    return [size * M / np.linalg.norm(M, 2) for M in matrices]


def identity_value_covariance(X, A, t):
    """Softmax with V = I: Sigma(t) = X (I - t X^T (A + A^T) X)^{-1} X^T, for any rank."""
    G = X.T @ (A + A.T) @ X
    return X @ np.linalg.inv(np.eye(len(G)) - t * G) @ X.T


def identity_value_blowup_time(X, A):
    """Softmax with V = I: 1 / lambda_max(X^T (A + A^T) X), or inf."""
    top = np.linalg.eigvalsh(np.swapaxes(X, -2, -1) @ (A + A.T) @ X)[..., -1]
    return np.where(top > 0, 1 / np.where(top > 0, top, 1.0), np.inf)


def l2_variance_one_dimension(s0, k, q, v, t):
    """L2 in d = 1: the root s of -1/s + 2 k^2 log s = constant + 4 v a t, a = k q."""
    with mpmath.workdps(40):
        s0, k, a = mpmath.mpf(s0), mpmath.mpf(k), mpmath.mpf(k) * mpmath.mpf(q)
        level = -1 / s0 + 2 * k**2 * mpmath.log(s0) + 4 * mpmath.mpf(v) * a * mpmath.mpf(t)
        root = mpmath.findroot(lambda y: -mpmath.exp(-y) + 2 * k**2 * y - level, mpmath.log(s0))
        return float(mpmath.exp(root))


# --- velocities from their definition, in many digits --------------------------------------------


def _rows(matrix):
    return [[mpmath.mpf(float(entry)) for entry in row] for row in np.atleast_2d(matrix)]


def _apply(matrix, vector):
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def _dot(a, b):
    return sum(u * v for u, v in zip(a, b, strict=True))


def reference_velocity(
    kind, parameters, points, weights, x, *, epsilon=1.0, bias=0.0, weigh=None, digits=30
):
    """The velocity of one head at one point x, in `digits` digits, from its definition.

    A kind that is none of ours needs `weigh`, the weight of a score; it does not divide.
    """
    with mpmath.workdps(digits):
        Q, K, V = (_rows(M) for M in parameters)
        y, w = _rows(points), [mpmath.mpf(float(weight)) for weight in weights]
        q, k = _apply(Q, _rows(x)[0]), [_apply(K, token) for token in y]
        score = [_dot(q, key) for key in k]
        if kind == "l2":
            score = [-sum((a - b) ** 2 for a, b in zip(q, key, strict=True)) for key in k]
        if kind == "sinkhorn":
            g = _sinkhorn_potential(Q, k, y, w, mpmath.mpf(epsilon))
            score = [s / mpmath.mpf(epsilon) + gj for s, gj in zip(score, g, strict=True)]
        weigh = weigh or {
            "sigmoid": lambda s: 1 / (1 + mpmath.exp(-s - mpmath.mpf(bias))),
            "linear": lambda s: s,
        }.get(kind, mpmath.exp)
        mass = [wj * weigh(s) for wj, s in zip(w, score, strict=True)]
        total = sum(mass) if kind in ("softmax", "l2", "sinkhorn") else mpmath.mpf(1)
        mean = [sum(m * token[a] for m, token in zip(mass, y, strict=True)) / total
                for a in range(len(y[0]))]  # fmt: skip
        return np.array([float(entry) for entry in _apply(V, mean)])


def _sinkhorn_potential(Q, keys, tokens, w, epsilon):
    """Plain Sinkhorn iteration in many digits, until nothing moves in the 25th."""
    kernel = [[mpmath.exp(_dot(_apply(Q, x), k) / epsilon) for k in keys] for x in tokens]
    v = [mpmath.mpf(1)] * len(w)
    for _ in range(5000):
        u = [1 / _dot(row, [a * b for a, b in zip(w, v, strict=True)]) for row in kernel]
        uw = [a * b for a, b in zip(u, w, strict=True)]
        new = [1 / _dot([row[j] for row in kernel], uw) for j in range(len(w))]
        moved = max(abs(a / b - 1) for a, b in zip(new, v, strict=True))
        v = new
        if moved < mpmath.mpf(10) ** -25:
            return [mpmath.log(entry) for entry in v]
    raise RuntimeError("the reference iteration did not converge")
