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


def reference_velocity(kind, Q, K, V, points, weights, x, digits=50):
    """The velocity of a softmax or L2 head at one point, from its definition."""
    with mpmath.workdps(digits):
        Q, K, V = (mpmath.matrix(M.tolist()) for M in (Q, K, V))
        query = Q * mpmath.matrix(x.tolist())
        total, moment = mpmath.mpf(0), mpmath.zeros(len(x), 1)
        for y, weight in zip(points, weights, strict=True):
            y = mpmath.matrix(y.tolist())
            key = K * y
            score = sum(query[i] * key[i] for i in range(len(key)))
            if kind == "l2":
                score = -sum((query[i] - key[i]) ** 2 for i in range(len(key)))
            w = mpmath.mpf(float(weight)) * mpmath.exp(score)
            total, moment = total + w, moment + w * y
        velocity = V * moment / total
        return np.array([float(entry) for entry in velocity])
