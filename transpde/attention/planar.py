r"""Responses of Gaussians of two columns in closed form, by Cayley and Hamilton.

For a covariance $\Sigma = YD^2Y^\top$ of two orthogonal columns each entry is a quotient of sums
in which nothing cancels, however long and thin the Gaussian is; what does, a determinant, is a
product of two of keys and queries. Far from the limits of floats, and for keys of at most two
rows; `within` says where.

Source: ours.
"""

from __future__ import annotations

import numpy as np

from transpde.checks import Array
from transpde.measures.axes import at_right_angles
from transpde.measures.products import product

__all__ = ["l2_weights", "orthogonal", "sinkhorn_core", "within"]

LARGEST_LOG, LARGEST = 100.0, 1e15  # log scales, and products of columns with keys and queries


def orthogonal(X: Array, s: Array) -> tuple[Array, Array] | None:
    """Return two columns at right angles of the same covariance; None unless two of a scale."""
    if X.shape[-1] != 2 or not (s[..., 0] == s[..., 1]).all():
        return None
    return at_right_angles(X), s


def within(s: Array, *products: Array) -> bool:
    """Return whether two columns with these log scales have responses in closed form."""
    if s.shape[-1] != 2 or products[0].shape[-2] > 2:
        return False
    return _most(s) < LARGEST_LOG and max(map(_most, products)) < LARGEST


def _most(array: Array) -> float:
    return float(np.maximum.reduce(np.abs(array), axis=None))


def l2_weights(N: Array, s: Array) -> Array:
    r"""Return $CN^\top$ with $C = 2(D^{-2} + 2N^\top N)^{-1}$, shape (..., 2, k).

    Args:
        N: keys of the columns, (..., k, 2).
        s: log scales of the columns, (..., 2).
    """
    twice = 2 * np.exp(s)
    weights = twice[..., None] * N.mT
    total = 1 + np.add.reduce(twice * np.add.reduce(N * N, axis=-2), axis=-1)
    if N.shape[-2] == 2:
        area = _determinant(N)
        common = twice[..., 0] * twice[..., 1] * area
        total = total + common * area
        weights += common[..., None, None] * _adjugate(N)
    return np.asarray(weights / total[..., None, None])


def sinkhorn_core(N: Array, M: Array, s: Array, epsilon: float) -> Array:
    r"""Return $C = 2D[(\varepsilon^2 + 4GG^\top)^{1/2} + \varepsilon]^{-1}D$, $G = DN^\top MD$.

    Args:
        N: keys of the columns, (..., k, 2).
        M: queries of the columns, (..., k, 2).
        s: log scales of the columns, (..., 2).
        epsilon: the regularisation.
    """
    squares, Z = np.exp(s), product(N.mT, M)
    both = squares[..., 0] * squares[..., 1]
    # W = epsilon^2 + 4 GG^T, the square of a matrix R = (W + root) / tau, whose trace is tau.
    W = 4 * squares * np.add.reduce(squares[..., None, :] * Z * Z, axis=-1)
    square = epsilon**2 + W[..., 0] + W[..., 1]
    area = 4 * both * _determinant(N) * _determinant(M) if N.shape[-2] == 2 else 0.0
    root = np.sqrt(epsilon**2 * square + area**2)
    tau = np.sqrt(epsilon**2 + square + 2 * root)
    below = root + epsilon * tau + epsilon**2
    own = (epsilon**2 + W + root[..., None]) / tau[..., None] + epsilon
    mixed = -8 * both * np.add.reduce(squares * Z[..., 0, :] * Z[..., 1, :], axis=-1) / tau
    C = np.empty_like(Z)
    C[..., 0, 0], C[..., 1, 1] = (
        2 * squares[..., 0] * own[..., 1],
        2 * squares[..., 1] * own[..., 0],
    )
    C[..., 0, 1] = C[..., 1, 0] = mixed
    return C / below[..., None, None]


def _determinant(M: Array) -> Array:
    return np.asarray(M[..., 0, 0] * M[..., 1, 1] - M[..., 0, 1] * M[..., 1, 0])


def _adjugate(M: Array) -> Array:
    found = np.empty_like(M)
    found[..., 0, 0], found[..., 1, 1] = M[..., 1, 1], M[..., 0, 0]
    found[..., 0, 1], found[..., 1, 0] = -M[..., 0, 1], -M[..., 1, 0]
    return found
