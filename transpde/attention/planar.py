r"""Responses of Gaussians of one or two columns in closed form, by Cayley and Hamilton.

For a covariance $\Sigma = YD^2Y^\top$ they are quotients of sums of terms that no size or thinness
of the Gaussian makes cancel. They need no decomposition, and so serve thousands at once. `within`
says where they hold: far from the limits of floats, of two columns for keys of at most two rows.

Source: ours.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from transpde.checks import Array
from transpde.measures.axes import at_right_angles
from transpde.measures.products import product

__all__ = [
    "L2_LOG",
    "SINKHORN_LOG",
    "apart",
    "l2_weights",
    "orthogonal",
    "sinkhorn_weights",
    "within",
]

# Log scales, and products of columns with keys and queries, whose powers are floats.
L2_LOG, SINKHORN_LOG, LARGEST = 250.0, 120.0, 1e10
LEANING = 1e-4  # the square of the sine of an angle between columns that lean on each other


def orthogonal(X: Array, s: Array) -> tuple[Array, Array] | None:
    """Return two columns at right angles of the same covariance; None for others than two."""
    if X.shape[-1] != 2 or not _most(s[..., 1] - s[..., 0]) < SINKHORN_LOG:
        return None
    return at_right_angles(X, s), s


def apart(X: Array, s: Array) -> Array | None:
    """Return columns of the same covariance that do not lean on each other, None if not known.

    Differences of two nearly parallel ones would drown in rounding what the short direction does.
    """
    if X.shape[-1] != 2:
        return X
    first, second = X[..., 0], X[..., 1]
    pairs = (first, first), (second, second), (first, second)
    a, b, g = (np.add.reduce(u * v, axis=-1) for u, v in pairs)
    area = a * b
    if np.logical_and.reduce(area - g * g >= LEANING * area, axis=None):
        return X
    turned = orthogonal(X, s)
    return None if turned is None else turned[0]


def within(s: Array, largest: float, *products: Array) -> bool:
    """Return whether one column, or two, with log scales up to `largest` have a closed form."""
    columns, rows = s.shape[-1], products[0].shape[-2]
    if columns > 2 or (columns == 2 and rows > 2):
        return False
    return _most(s) < largest and max(map(_most, products)) < LARGEST


def _most(array: Array) -> float:
    return float(np.maximum.reduce(np.abs(array), axis=None))


def l2_weights(N: Array, s: Array) -> Array:
    r"""Return $CN^\top$ with $C = 2(D^{-2} + 2N^\top N)^{-1}$, shape (..., r, k).

    Args:
        N: keys of the columns, (..., k, r).
        s: log scales of the columns, (..., r).
    """
    twice = 2 * np.exp(s)
    weights = twice[..., None] * N.mT
    total = 1 + np.add.reduce(twice * np.add.reduce(N * N, axis=-2), axis=-1)
    if N.shape[-2:] == (2, 2):
        area = _determinant(N)
        common = twice[..., 0] * twice[..., 1] * area
        total = total + common * area
        weights += common[..., None, None] * _adjugate(N)
    return np.asarray(weights / total[..., None, None])


def sinkhorn_weights(N: Array, M: Array, s: Array, epsilon: float) -> Array:
    r"""Return $CN^\top$, shape (..., r, k).

    Here $C = 2D[(\varepsilon^2 + 4GG^\top)^{1/2} + \varepsilon]^{-1}D$ and $G = DN^\top MD$.

    Args:
        N: keys of the columns, (..., k, r).
        M: queries of the columns, (..., k, r).
        s: log scales of the columns, (..., r).
        epsilon: the regularisation.
    """
    # R = (epsilon^2 + 4 GG^T)^(1/2) is (R^2 + root) / tau with root = det R and tau = tr R. The
    # inverse of R + epsilon is its adjugate over `below`.
    squares, Z = np.exp(s), product(N.mT, M)
    size = 4 * np.add.reduce(squares[..., None, :] * Z * Z, axis=-1)
    size = np.add.reduce(squares * size, axis=-1)  # 4 |G|^2
    square, full = epsilon**2, N.shape[-2:] == (2, 2)
    area: Any = 0.0
    if full:
        both = squares[..., 0] * squares[..., 1]
        area = 4 * both * _determinant(N) * _determinant(M)  # 4 det G
    root = np.sqrt(square * (square + size) + area**2)
    tau = np.sqrt(2 * square + size + 2 * root)
    below = root + epsilon * tau + square
    own = 2 * ((square + root) / tau + epsilon) / below
    weights = (own[..., None] * squares)[..., None] * N.mT
    if full:
        common = 8 * both * _determinant(N) / (tau * below)
        moment = product(M * squares[..., None, :], M.mT)
        weights += common[..., None, None] * product(_adjugate(N), _adjugate(moment))
    return np.asarray(weights)


def _determinant(M: Array) -> Array:
    return np.asarray(M[..., 0, 0] * M[..., 1, 1] - M[..., 0, 1] * M[..., 1, 0])


def _adjugate(M: Array) -> Array:
    found = np.empty_like(M)
    found[..., 0, 0], found[..., 1, 1] = M[..., 1, 1], M[..., 0, 0]
    found[..., 0, 1], found[..., 1, 0] = -M[..., 0, 1], -M[..., 1, 0]
    return found
