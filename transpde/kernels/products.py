"""Products of few tokens with a matrix, and their softmax means, in as few calls as possible."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transpde.checks import Array

__all__ = ["exponentials", "matrix_product", "softmax_map", "softmax_mean", "with_ones"]


def matrix_product(x: Array, matrix: Array) -> Array:
    """Return the products of points (..., n, d) with matrices (..., k, d), shape (..., n, k)."""
    if x.ndim == matrix.ndim == 2:
        return x.dot(matrix.T)  # of small ones quicker than a matmul
    if matrix.ndim == 2:  # one product for all
        return (x.reshape(-1, x.shape[-1]) @ matrix.T).reshape(*x.shape[:-1], len(matrix))
    return x @ matrix.mT


def with_ones(vectors: Array) -> Array:
    """Return vectors (..., n, d) and a one, each a column: shape (..., d + 1, n)."""
    *stack, n, d = vectors.shape
    columns = np.empty(
        (*stack, d + 1, n)
    )  # in one piece: a product of small ones is twice as quick
    columns[..., :-1, :], columns[..., -1, :] = vectors.mT, 1.0
    return columns


def softmax_mean(keys: Array, queries: Array, bias: Array, values: Array) -> Array:
    """Return the means (..., m, d) of values (..., n, d) by weights exp(query . key + bias).

    Args:
        keys: (..., n, k).
        queries: (..., m, k).
        bias: (..., n, 1), finite.
        values: (..., n, d).
    """
    product = np.dot if values.ndim == 2 else np.matmul
    scores = product(keys, queries.mT)
    scores += bias
    total = exponentials(scores)
    sums = product(values.mT, scores)
    sums /= total
    return np.asarray(sums.mT)


def softmax_map(query: Array, key: Array, value: Array, bias: Array) -> Callable[[Array], Array]:
    """Return the map from tokens (n, d) of one cloud to value times their means, (n, d).

    The same operations as in `softmax_mean`, in the calls that cost least: of ten tokens a sum is
    as quick as five calls. The bias (n, 1) is finite.
    """
    query, key, value = query.T, key.T, value.T

    def velocities(x: Array) -> Array:
        scores: Array = x.dot(key).dot(x.dot(query).T)
        scores += bias
        scores -= np.maximum.reduce(scores, axis=0)
        np.exp(scores, out=scores)
        sums: Array = x.T.dot(scores)
        sums /= np.add.reduce(scores, axis=0)
        return sums.T.dot(value)

    return velocities


def exponentials(scores: Array) -> Array:
    """Put the exponentials of columns in place of them, each over its largest; return sums."""
    # The largest score of a target becomes 0: no overflow, and no column of zeros.
    scores -= np.maximum.reduce(scores, axis=-2, keepdims=True)
    np.exp(scores, out=scores)
    return np.asarray(np.add.reduce(scores, axis=-2, keepdims=True))
