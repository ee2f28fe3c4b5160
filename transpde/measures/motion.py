r"""How the columns of a Gaussian's factor move: with one scale for all, or in principal axes.

The covariance moves by $\dot\Sigma = B\Sigma + \Sigma B^\top$, which leaves its columns free to
turn among themselves. In principal axes they turn so that they stay at right angles, and the
growth of each goes into a scale of its own.
"""

from __future__ import annotations

import numpy as np

from transpde.checks import Array
from transpde.measures.products import inner, product

__all__ = [
    "common_motion",
    "common_motion_along",
    "far_from_orthogonal",
    "graded_motion",
    "graded_motion_along",
]

APART = 2.0  # the ratio of squared lengths from which columns are kept apart
OBLIQUE, DISORDER = 0.9, 5.0  # a cosine, a difference of log scales: more is no longer in axes
UNSEEN = -1500.0  # log of a share of the trace that no float can show


def far_from_orthogonal(Y: Array, s: Array) -> Array:
    """Return which of a stack of factors have lost their principal axes or the order of these."""
    if s.shape[-1] == 2 and s.ndim > 1:
        u = s[..., 0] - s[..., 1]
        cosines = np.abs(np.add.reduce(Y[..., 0] * Y[..., 1], axis=-1))
        return (~(cosines < OBLIQUE) & (np.abs(u) < -UNSEEN)) | (u < -DISORDER)
    visible = s > s.max(axis=-1, keepdims=True) + UNSEEN
    cosines = np.abs(product(Y.mT, Y)) * (visible[..., None, :] & visible[..., :, None])
    apart = (np.triu(cosines, 1) < OBLIQUE).all(axis=(-2, -1))
    return np.asarray(~apart | (np.diff(s, axis=-1) > DISORDER).any(axis=-1))


def common_motion(X: Array, s: Array, BX: Array) -> tuple[Array, Array]:
    r"""Return $\dot X = BX - bX$ and $\dot s_j = 2b$ with $b = \langle X, BX\rangle/\|X\|_F^2$.

    All columns keep one scale, and the norm of the factor is kept.
    """
    growth = np.empty(s.shape)
    if X.ndim == 2:
        x = X.ravel()
        b = x.dot(BX.ravel()) / (x.dot(x) or 1.0)
        growth.fill(2 * b)
        return BX - b * X, growth
    x, bx = X.reshape(*X.shape[:-2], -1), BX.reshape(*X.shape[:-2], -1)
    square = inner(x, x)
    b = (inner(x, bx) / (square + (square == 0)))[..., None]
    growth[...] = 2 * b
    return BX - b[..., None] * X, growth


def common_motion_along(
    X: Array, BX: Array, by: tuple[Array, Array], dBX: Array
) -> tuple[Array, Array]:
    """Return the derivatives of `common_motion` in N directions `by` of X and s."""
    X, BX, dX = X[..., None, :, :], BX[..., None, :, :], by[0]

    def inner(a: Array, b: Array) -> Array:
        return np.asarray((a * b).sum(axis=(-2, -1), keepdims=True))

    square = inner(X, X)
    square = np.where(square == 0, 1.0, square)
    b = inner(X, BX) / square
    db = (inner(dX, BX) + inner(X, dBX) - 2 * b * inner(X, dX)) / square
    growth = np.broadcast_to(2 * db[..., 0], (*db.shape[:-2], X.shape[-1]))
    return dBX - db * X - b * dX, growth


def graded_motion(Y: Array, s: Array, BY: Array) -> tuple[Array, Array]:
    r"""Return $\dot y_j = By_j - \sum_i y_i M_{ij} - b_j y_j$ and $\dot s_j = 2b_j$.

    The length of each column is kept, and its growth $b_j$ along itself goes into its scale. With
    the lengths $D_j = e^{s_j/2}$ the true columns are $y_jD_j$, and M turns them by the matrix
    $\Omega_{ij} = -M_{ij}D_j/D_i$. It is antisymmetric: the covariance moves as without it. Where
    $D_i \gg D_j$, M takes from column j just what would lean it on column i; where the lengths
    are alike, so that principal axes may turn at any speed, M is near zero.
    """
    if s.shape[-1] == 2 and s.ndim > 1:
        return _motion_of_pair(Y, s, BY)
    awake = _awake(s)[..., None, :]
    if s.shape[-1] > 1:
        BY = BY - product(Y, _apartness(Y, s, BY, awake))
    square = (Y * Y).sum(axis=-2)
    b = (Y * BY).sum(axis=-2) / np.where(square == 0, 1.0, square)
    return (BY - b[..., None, :] * Y) * awake, 2 * b


def _motion_of_pair(Y: Array, s: Array, BY: Array) -> tuple[Array, Array]:
    """Return `graded_motion` of a stack of two columns, entry by entry."""
    W, squares = product(Y.mT, BY), np.add.reduce(Y * Y, axis=-2)
    own, gram = np.diagonal(W, axis1=-2, axis2=-1), np.add.reduce(Y[..., 0] * Y[..., 1], axis=-1)
    u = s[..., 0] - s[..., 1]
    apart = np.abs(u)
    asleep = not np.maximum.reduce(apart, axis=None) <= -100 - UNSEEN
    seen = W * _awake(s)[..., None, :] if asleep else W
    speed = np.sqrt(np.add.reduce(seen * seen, axis=(-2, -1)))
    H = W[..., 0, 1] + W[..., 1, 0] + (speed - own[..., 0] - own[..., 1]) * gram
    q = np.exp(-apart)
    H *= (1 - q) / (1 + (APART - 2) * q + q * q)
    short, M = u < 0, np.empty_like(s)  # what each column loses of the other
    q *= -H
    M[..., 0], M[..., 1] = np.where(short, H, q), np.where(short, q, H)
    squares += squares == 0
    b = (own - gram[..., None] * M) / squares
    turning = BY - M[..., None, :] * Y[..., ::-1]
    turning -= b[..., None, :] * Y
    if asleep:
        turning *= _awake(s)[..., None, :]
    b *= 2
    return turning, b


def _awake(s: Array) -> Array:
    """Return 0 for columns too short to be seen beside the longest, often the fastest of all."""
    depth = s - s.max(axis=-1, keepdims=True)
    return np.clip((depth - UNSEEN) / 100, 0.0, 1.0)


def _apartness(Y: Array, s: Array, BY: Array, awake: Array) -> Array:
    """Return the matrix M of `graded_motion`."""
    H, u = _leaning(Y, BY, awake)[0], s[..., :, None] - s[..., None, :]
    q = np.exp(-np.abs(u))
    return H * np.where(u > 0, 1.0, -q) * ((1 - q) / (1 + (APART - 2) * q + q**2))


def _leaning(Y: Array, BY: Array, awake: Array) -> tuple[Array, ...]:
    """Return H, which M weighs, W = Y^T BY, Y^T Y, what multiplies it in H, and the speed in it.

    `awake` is that of the columns, (..., 1, r).
    """
    Yt = Y.mT
    W, gram = product(Yt, BY), product(Yt, Y)
    growth = np.diagonal(W, axis1=-2, axis2=-1)
    # The last terms take angles back to right ones, as fast as anything moves that is seen, while
    # the lengths change: any symmetric H leaves the covariance alone.
    speed = np.sqrt(((W * awake) ** 2).sum(axis=(-2, -1)))[..., None, None]
    back = speed - growth[..., :, None] - growth[..., None, :]
    return W + W.mT + back * gram, W, gram, back, speed


def graded_motion_along(
    Y: Array, s: Array, BY: Array, by: tuple[Array, Array], dBY: Array
) -> tuple[Array, Array]:
    """Return the derivatives of `graded_motion` in N directions `by` of Y and s."""
    Y, BY, (dY, ds) = Y[..., None, :, :], BY[..., None, :, :], by
    awake = _awake(s)[..., None, None, :]
    if s.shape[-1] > 1:
        H, W, gram, back, speed = _leaning(Y, BY, awake)
        dW = dY.mT @ BY + Y.mT @ dBY
        growth = np.diagonal(dW, axis1=-2, axis2=-1)
        dspeed = (W * awake**2 * dW).sum(axis=(-2, -1), keepdims=True)
        dspeed /= np.where(speed == 0, 1.0, speed)
        dback = dspeed - growth[..., :, None] - growth[..., None, :]
        dgram = dY.mT @ Y
        dH = dW + dW.mT + dback * gram + back * (dgram + dgram.mT)
        u = (s[..., :, None] - s[..., None, :])[..., None, :, :]
        q = np.exp(-np.abs(u))
        part, more = 1 + (APART - 2) * q + q**2, APART - 2 + 2 * q  # and its derivative by q
        f = np.where(u > 0, 1.0, -q) * (1 - q) / part
        by_q = np.where(u > 0, -part - (1 - q) * more, (2 * q - 1) * part + q * (1 - q) * more)
        by_u = np.where(u > 0, -q, q) * by_q / part**2
        M, dM = H * f, dH * f + H * by_u * (ds[..., :, None] - ds[..., None, :])
        BY, dBY = BY - Y @ M, dBY - dY @ M - Y @ dM
    square = (Y * Y).sum(axis=-2)
    square = np.where(square == 0, 1.0, square)
    b = (Y * BY).sum(axis=-2) / square
    db = ((dY * BY + Y * dBY).sum(axis=-2) - 2 * b * (Y * dY).sum(axis=-2)) / square
    # How fast a column falls asleep is left out: it is then far too short to be seen.
    return (dBY - db[..., None, :] * Y - b[..., None, :] * dY) * awake, 2 * db
