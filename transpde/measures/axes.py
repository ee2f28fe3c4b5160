r"""Principal axes of covariances whose columns differ in length by any factor.

A covariance is $\sum_j e^{s_j} y_j y_j^\top$ with columns of order one. After a long flow the
lengths $e^{s_j/2}$ may differ by more than a float holds: then only columns at right angles, each
with a scale of its own, keep the digits of the short ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from transpde.checks import Array
from transpde.measures.products import inner, product

__all__ = [
    "at_right_angles",
    "common_motion",
    "common_motion_along",
    "far_from_orthogonal",
    "graded_motion",
    "graded_motion_along",
    "lengths",
    "nearly_singular",
    "orthonormal_columns",
    "principal_axes",
    "ratio",
    "shares_of",
]

SWEEPS = 30  # rounds of Jacobi rotations; they converge quadratically, and a few are enough
RIGHT_ANGLE = 1e-14
EPSILON = np.finfo(float).eps
SHORT = 1e-6  # a direction so much shorter than the longest needs a scale of its own
APART = 2.0  # the ratio of squared lengths from which columns are kept apart
OBLIQUE, DISORDER = 0.9, 5.0  # a cosine, a difference of log scales: more is no longer in axes
UNSEEN = -1500.0  # log of a share of the trace that no float can show
LEAST_SUM = 0.5  # of shares of which the largest is one


def ratio(a: ArrayLike, b: ArrayLike) -> Any:
    """Return a / b, and 0 where b is 0: a point mass neither moves its shape nor grows."""
    return np.divide(a, np.where(b == 0, 1.0, b))


def shares_of(logs: Array) -> Array:
    """Return e^logs over their sum along the last axis, 0 where there is none."""
    most = np.maximum.reduce(logs, axis=-1, keepdims=True)
    most[most == -np.inf] = 0.0
    shares = np.exp(logs - most)
    shares /= np.maximum(np.add.reduce(shares, axis=-1, keepdims=True), LEAST_SUM)
    return shares


def lengths(vectors: Array, axis: int = -2) -> Array:
    """Return the lengths of columns, or along an axis; no square overflows or underflows."""
    largest = np.maximum.reduce(np.abs(vectors), axis=axis, keepdims=True)
    squares = np.add.reduce(ratio(vectors, largest) ** 2, axis=axis, keepdims=True)
    return np.asarray((largest * np.sqrt(squares)).squeeze(axis))


def orthonormal_columns(factor: Array, log_scales: Array) -> tuple[Array, Array]:
    """Return `principal_axes`, with log scales of NaN where a factor is not finite."""
    known = np.isfinite(factor).all(axis=(-2, -1)), np.isfinite(log_scales).all(axis=-1)
    finite = np.logical_and(*known)[..., None]
    X = np.where(finite[..., None], factor, 0.0)
    Y, s = principal_axes(X, np.where(finite, log_scales, 0.0))
    return Y, np.where(finite, s, np.nan)


def principal_axes(factor: Array, log_scales: Array) -> tuple[Array, Array]:
    """Return orthonormal columns (..., d, r) and their log scales (..., r), the longest first.

    A column of length zero is returned as zero, and so is one that rounding has left of parallel
    columns. Where all columns have one scale and lengths alike, no more than d are returned.
    """
    one_scale = (log_scales == log_scales[..., :1]).all()
    Y, s = _of_length_one(factor, log_scales)
    largest = s.max(axis=-1, keepdims=True)
    alike = (s > largest + 2 * np.log(SHORT)) | (Y == 0).all(axis=-2)
    if not (one_scale and alike.all()):
        return _jacobi(Y, s)
    U, sizes, _ = np.linalg.svd(Y * np.exp((s - largest) / 2)[..., None, :], full_matrices=False)
    sizes = np.where(sizes > Y.shape[-2] * EPSILON * sizes[..., :1], sizes, 0.0)
    return _of_length_one(U * sizes[..., None, :], largest + np.zeros_like(sizes))


def _of_length_one(factor: Array, log_scales: Array) -> tuple[Array, Array]:
    """Return the columns over their lengths, and the scales with the lengths."""
    sizes = lengths(factor)
    sizes = np.where(sizes > 0, sizes, 1.0)
    return factor / sizes[..., None, :], log_scales + 2 * np.log(sizes)


def _jacobi(Y: Array, s: Array) -> tuple[Array, Array]:
    """Turn the columns among each other until all are at right angles (one-sided Jacobi)."""
    r = s.shape[-1]
    for _ in range(SWEEPS):
        order = np.argsort(-s, axis=-1, kind="stable")
        s = np.take_along_axis(s, order, axis=-1)
        Y = np.take_along_axis(Y, order[..., None, :], axis=-1)
        cosines = np.triu(Y.mT @ Y, 1)
        if (np.abs(cosines) <= RIGHT_ANGLE).all():
            break
        Y = Y.copy()
        for i in range(r):
            for j in range(i + 1, r):
                _rotate(Y, s, i, j)
        Y, s = _of_length_one(Y, s)
    return Y, s


def _rotate(Y: Array, s: Array, i: int, j: int) -> None:
    r"""Turn columns i and j in their plane, in place, to be at right angles.

    With $\rho = e^{(s_j - s_i)/2}$ the columns are, up to one scale, $y_i$ and $\rho y_j$. The
    tangent t of the angle is of the order of $\rho$, and $t/\rho$ is found without a division.
    """
    first, second = Y[..., i].copy(), Y[..., j].copy()
    rho = np.exp((s[..., j] - s[..., i]) / 2)
    c, slope, b = _turn(first, second, rho)
    Y[..., i] = c * (first + slope * rho[..., None] ** 2 * second)
    rest = c * (second - slope * first)
    nothing = (rest**2).sum(axis=-1) <= (len(rest.T) * EPSILON) ** 2 * b  # they were parallel
    Y[..., j] = np.where(nothing[..., None], 0.0, rest)


def _turn(first: Array, second: Array, rho: Array) -> tuple[Array, Array, Array]:
    """Return cosine and tangent over rho of the angle of `_rotate`, and the second's square."""
    pairs = (first, first), (second, second), (first, second)
    a, b, g = (np.add.reduce(u * v, axis=-1) for u, v in pairs)
    gap = a - rho**2 * b
    slope = ratio(2 * g, gap + np.copysign(np.hypot(gap, 2 * rho * g), gap))
    return (1 / np.hypot(1.0, slope * rho))[..., None], slope[..., None], b


def at_right_angles(X: Array, s: Array) -> Array:
    """Return two columns (..., d, 2) of their log scales (..., 2) turned to be at right angles."""
    first, second, rho = X[..., 0], X[..., 1], np.exp((s[..., 1] - s[..., 0]) / 2)
    c, slope, _ = _turn(first, second, rho)
    found = np.empty_like(X)
    found[..., 0] = c * (first + slope * rho[..., None] ** 2 * second)
    found[..., 1] = c * (second - slope * first)
    return found


def _well_conditioned(X: Array) -> bool:
    """Return whether each of a stack is far from singular, by a test without singular values.

    The squares of the singular values, over their sum, all exceed (10 SHORT)^2 where the Gram
    matrix has a Cholesky factor after that is taken off.
    """
    gram = product(X.mT, X)
    diagonal = np.einsum("...ii->...i", gram)
    diagonal -= (10 * SHORT) ** 2 * diagonal.sum(axis=-1, keepdims=True)
    try:
        np.linalg.cholesky(gram)
    except np.linalg.LinAlgError:
        return False
    return True


def nearly_singular(X: Array) -> Array:
    """Return which of a stack of factors hold a direction that is getting lost in the others."""
    pairs = X.ndim > 2 and X.shape[-1] == 2
    if not pairs and _well_conditioned(X):
        return np.zeros(X.shape[:-2], dtype=bool)
    if X.ndim == 2:
        return _holds_short_direction(X)
    # No share of the squares of singular values is less than their product, as none exceeds one.
    gram = product(X.mT, X)
    shares = ratio(gram, np.trace(gram, axis1=-2, axis2=-1)[..., None, None])
    if pairs:
        least = shares[..., 0, 0] * shares[..., 1, 1] - shares[..., 0, 1] ** 2
    else:
        with np.errstate(invalid="ignore"):
            least = np.linalg.det(shares)
    doubtful = ~(least > (10 * SHORT) ** 2)
    found = np.zeros(X.shape[:-2], dtype=bool)
    if doubtful.any():
        found[doubtful] = _holds_short_direction(X[doubtful])
    return found


def _holds_short_direction(X: Array) -> Array:
    """Return what `nearly_singular` does, by singular values."""
    finite = np.where(np.isfinite(X).all(axis=(-2, -1), keepdims=True), X, 0.0)
    columns = lengths(finite)
    short = (columns > 0) & (columns < SHORT * columns.max(axis=-1, keepdims=True))
    sizes = np.linalg.svd(finite, compute_uv=False)
    share = ratio(sizes, sizes[..., :1])
    lost = (share > X.shape[-2] * EPSILON) & (share < SHORT)
    return np.asarray(short.any(axis=-1) | lost.any(axis=-1))


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
    if s.shape[-1] > 1:
        BY = BY - product(Y, _apartness(Y, s, BY))
    square = (Y * Y).sum(axis=-2)
    b = (Y * BY).sum(axis=-2) / np.where(square == 0, 1.0, square)
    return (BY - b[..., None, :] * Y) * _awake(s)[..., None, :], 2 * b


def _motion_of_pair(Y: Array, s: Array, BY: Array) -> tuple[Array, Array]:
    """Return `graded_motion` of a stack of two columns, entry by entry."""
    W, squares = product(Y.mT, BY), np.add.reduce(Y * Y, axis=-2)
    own, gram = np.diagonal(W, axis1=-2, axis2=-1), np.add.reduce(Y[..., 0] * Y[..., 1], axis=-1)
    speed = np.sqrt(np.add.reduce(W * W, axis=(-2, -1)))
    H = W[..., 0, 1] + W[..., 1, 0] + (speed - own[..., 0] - own[..., 1]) * gram
    u = s[..., 0] - s[..., 1]
    apart = np.abs(u)
    q = np.exp(-apart)
    H *= (1 - q) / (1 + (APART - 2) * q + q * q)
    short, M = u < 0, np.empty_like(s)  # what each column loses of the other
    q *= -H
    M[..., 0], M[..., 1] = np.where(short, H, q), np.where(short, q, H)
    squares += squares == 0
    b = (own - gram[..., None] * M) / squares
    turning = BY - M[..., None, :] * Y[..., ::-1]
    turning -= b[..., None, :] * Y
    if not np.maximum.reduce(apart, axis=None) <= -100 - UNSEEN:
        turning *= _awake(s)[..., None, :]
    b *= 2
    return turning, b


def _awake(s: Array) -> Array:
    """Return 0 for columns too short to be seen beside the longest, often the fastest of all."""
    depth = s - s.max(axis=-1, keepdims=True)
    return np.clip((depth - UNSEEN) / 100, 0.0, 1.0)


def _apartness(Y: Array, s: Array, BY: Array) -> Array:
    """Return the matrix M of `graded_motion`."""
    H, u = _leaning(Y, BY)[0], s[..., :, None] - s[..., None, :]
    q = np.exp(-np.abs(u))
    return H * np.where(u > 0, 1.0, -q) * ((1 - q) / (1 + (APART - 2) * q + q**2))


def _leaning(Y: Array, BY: Array) -> tuple[Array, Array, Array, Array]:
    """Return H, which M weighs, W = Y^T BY, Y^T Y and what multiplies it in H."""
    Yt = Y.mT
    W, gram = product(Yt, BY), product(Yt, Y)
    growth = np.diagonal(W, axis1=-2, axis2=-1)
    # The last terms take angles back to right ones, as fast as anything moves, while the lengths
    # change: any symmetric H leaves the covariance alone.
    speed = np.sqrt((W**2).sum(axis=(-2, -1)))[..., None, None]
    back = speed - growth[..., :, None] - growth[..., None, :]
    return W + W.mT + back * gram, W, gram, back


def graded_motion_along(
    Y: Array, s: Array, BY: Array, by: tuple[Array, Array], dBY: Array
) -> tuple[Array, Array]:
    """Return the derivatives of `graded_motion` in N directions `by` of Y and s."""
    Y, BY, (dY, ds) = Y[..., None, :, :], BY[..., None, :, :], by
    awake = _awake(s)[..., None, None, :]
    if s.shape[-1] > 1:
        H, W, gram, back = _leaning(Y, BY)
        dW = dY.mT @ BY + Y.mT @ dBY
        growth = np.diagonal(dW, axis1=-2, axis2=-1)
        speed = np.sqrt((W**2).sum(axis=(-2, -1), keepdims=True))
        dspeed = (W * dW).sum(axis=(-2, -1), keepdims=True) / np.where(speed == 0, 1.0, speed)
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
