r"""Softmax with V = I and a feed-forward part: a matrix Riccati equation in closed form.

With $C = A + A^\top$ the covariance obeys $\dot\Sigma = \Sigma C\Sigma + W\Sigma + \Sigma W^\top$,
and for a factor $X_0$ of any rank
$$\Sigma(t) = e^{Wt}X_0\big(I - X_0^\top N(t)X_0\big)^{-1}X_0^\top e^{W^\top t}, \qquad
N(t) = \int_0^t e^{W^\top s}Ce^{Ws}\,ds.$$
(Put $X = e^{Wt}Y$: the equation of Y has no W, and $e^{W^\top t}Ce^{Wt}$ in place of C.) For
$\Sigma_0 \succ 0$ it is the affine law $\dot P = -PW - W^\top P - C$ of $P = \Sigma^{-1}$.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from transpde.checks import Array
from transpde.theory.head_sums import top

__all__ = ["blowup", "covariance"]

MOST = 2_000  # steps before a case is given up as undecided
LONGEST, DEEPEST = 100_000, 60  # steps of a covariance, and halvings of its depth, at most
STEEP = 100.0  # condition number up to which a step keeps its digits


def covariance(X: Array, C: Array, W: Array, t: float) -> Array:
    """Return the covariance at time t, before its blow-up; NaN where it takes too many steps.

    Where $e^{Wt}$ grows, the formula is a small difference of large matrices: so it is applied to
    steps, each from the covariance reached and as long as it keeps the digits.
    """
    rate = float(np.linalg.norm(W, 2)) + float(np.linalg.norm(C, 2) * np.linalg.norm(X, 2) ** 2)
    depth = int(np.clip(np.ceil(np.log2(max(rate * t, 1.0))), 0, DEEPEST))
    moves = [_transported(C, W, t / 2**depth)]
    Y, left, level = X, 2**depth, 0
    for _ in range(LONGEST):
        if not left or not np.isfinite(Y).all():
            return Y @ Y.T
        level = min(level + 1, left.bit_length() - 1)
        while len(moves) <= level:
            moves.append(_twice(*moves[-1]))
        while level and not _keeps_digits(moves[level], Y):
            level -= 1
        Phi, N = moves[level]
        Y, left = _factor(Phi @ Y, Y.T @ N @ Y), left - 2**level
    return np.full(C.shape, np.nan)


def _keeps_digits(move: tuple[Array, Array], Y: Array) -> bool:
    """Return whether a step from a factor is well conditioned."""
    Phi, N = move
    gained = Y.T @ N @ Y
    if not (np.isfinite(gained).all() and np.isfinite(Phi).all()):
        return False
    values = np.abs(1 - np.linalg.eigvalsh(gained))
    return bool(values.max() <= STEEP * values.min())


def blowup(X: Array, C: Array, W: Array, horizon: float = np.inf) -> float | None:
    """Return the blow-up time, inf if there is none before the horizon, None if undecided.

    It goes from time to time by steps on which the covariance provably stays finite, each a
    restart from the covariance reached. Close to the blow-up these become Newton's steps.
    """
    if top(C) <= 0 or not X.any():
        return np.inf
    size, steepest = float(np.linalg.norm(W, 2)), float(np.linalg.norm(C, 2))
    future = _future_gain(C, W)
    Y, t = X, 0.0
    for _ in range(MOST):
        if future is not None and np.linalg.eigvalsh(Y.T @ future @ Y)[-1] < 1:
            return np.inf
        rate = max(np.linalg.eigvalsh(Y.T @ C @ Y)[-1], 0.0)
        step = _safe_step(rate, steepest * float(np.linalg.norm(Y, 2)) ** 2, size)
        if step <= 1e-10 * t or (rate > 0 and 1 / rate <= 1e-9 * t):
            return t + 1 / rate if rate > 0 else None
        if t + step >= horizon:
            return np.inf
        Phi, N = _transported(C, W, step)
        Y, t = _factor(Phi @ Y, Y.T @ N @ Y), t + step
        if not 1e-150 < np.abs(Y).max() < 1e150:
            return None
    return None


def _safe_step(rate: float, bound: float, size: float) -> float:
    r"""Return a step on which the integral of $Y^\top e^{W^\top s}Ce^{Ws}Y$ stays below I.

    Its integrand is at most `bound` $e^{2\|W\|s}$, and at most `rate` plus `bound` times
    $e^{2\|W\|s} - 1$, whose integral up to $h \le 1/(2\|W\|)$ is at most $2\|W\|h^2$.
    """
    first = np.log1p(2 * size / bound) / (2 * size)
    curved = 8 * size * bound
    second = min(2 / (rate + np.sqrt(rate**2 + curved)), 1 / (2 * size))
    # A blow-up may be just there, as on the line: to step on it would lose it.
    return (1 - 1e-6) * float(max(first, second))


def _factor(Z: Array, gained: Array) -> Array:
    """Return a factor of Z (I - gained)^{-1} Z^T."""
    values, U = np.linalg.eigh(np.eye(len(gained)) - gained)
    return (Z @ U) / np.sqrt(np.maximum(values, np.finfo(float).tiny))


def _future_gain(C: Array, W: Array) -> Array | None:
    """Return the integral over all time with the positive part of C, None if it diverges."""
    if np.linalg.eigvals(W).real.max() >= 0:
        return None
    values, U = np.linalg.eigh(C)
    return linalg.solve_continuous_lyapunov(W.T, -(U * np.maximum(values, 0.0)) @ U.T)


def _transported(C: Array, W: Array, t: float) -> tuple[Array, Array]:
    """Return e^{Wt} and N(t), by Van Loan's block exponential on a short time and doubling."""
    d = len(W)
    doublings = max(0, int(np.ceil(np.log2(max(float(np.linalg.norm(W, 2)) * t, 1e-300)))))
    blocks = np.block([[-W.T, C], [np.zeros((d, d)), W]])
    exponential = linalg.expm(blocks * (t / 2**doublings))
    Phi = exponential[d:, d:]
    N = Phi.T @ exponential[:d, d:]
    for _ in range(doublings):
        Phi, N = _twice(Phi, N)
    return Phi, (N + N.T) / 2


def _twice(Phi: Array, N: Array) -> tuple[Array, Array]:
    """Return e^{Wt} and N at twice the time."""
    with np.errstate(over="ignore", invalid="ignore"):
        N = N + Phi.T @ N @ Phi
        return Phi @ Phi, (N + N.T) / 2
