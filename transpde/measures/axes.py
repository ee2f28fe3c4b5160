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
from transpde.measures.products import product

__all__ = [
    "at_right_angles",
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
