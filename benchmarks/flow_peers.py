"""What users would write instead of a flow: plain numpy right-hand sides in `solve_ivp`."""

from __future__ import annotations

import numpy as np
from scipy.integrate import solve_ivp


def attended(x, A, V):
    """Return the softmax velocities of tokens x (n, d) with equal weights."""
    scores = x @ A.T @ x.T
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return (weights / weights.sum(axis=1, keepdims=True)) @ x @ V.T


def tokens(x, head, times, rtol, atol, sphere=False):
    """Return tokens (T, n, d) at the times, by DOP853."""
    A, V = head.key.T @ head.query, head.value

    def speed(_, flat):
        x = flat.reshape(-1, len(V))
        v = attended(x, A, V)
        return (v - (v * x).sum(axis=1, keepdims=True) * x if sphere else v).ravel()

    return _solved(speed, x, times, rtol, atol)


def covariance(Sigma, head, times, rtol, atol):
    """Return covariances (T, d, d) under softmax at the times, by DOP853."""
    A, V = head.key.T @ head.query, head.value

    def speed(_, flat):
        S = flat.reshape(A.shape)
        B = V @ S @ A @ S
        return (B + B.T).ravel()

    return _solved(speed, Sigma, times, rtol, atol)


def factor(X, head, times, rtol, atol):
    """Return factors (T, d, r) of covariances under softmax at the times, by LSODA."""
    A, V = head.key.T @ head.query, head.value

    def speed(_, flat):
        X = flat.reshape(len(V), -1)
        return (V @ (X @ (X.T @ (A @ X)))).ravel()

    return _solved(speed, X, times, rtol, atol, method="LSODA")


def _solved(speed, start, times, rtol, atol, method="DOP853"):
    span = (0.0, times[-1])
    done = solve_ivp(speed, span, start.ravel(), method, t_eval=times, rtol=rtol, atol=atol)
    if not done.success:
        raise RuntimeError(done.message)
    return done.y.T.reshape(len(times), *start.shape)
