"""Sums over tokens: the only place that knows about memory and speed."""

from __future__ import annotations

import numpy as np

from transpde.checks import Array

__all__ = ["softmax_matrix", "softmax_mean"]

# Scores of one tile of target rows fit in the second-level cache of common processors.
TILE_ENTRIES = 1 << 17


def softmax_matrix(queries: Array, keys: Array, bias: Array) -> Array:
    """Return the row-stochastic matrix exp(q_i . k_j + b_j) / sum_j, shape (m, n)."""
    scores = _weights(queries, keys, bias)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores


def softmax_mean(queries: Array, keys: Array, bias: Array, values: Array) -> Array:
    """Return the means of `values` (n, d) with weights exp(q_i . k_j + b_j), shape (m, d).

    Rows are taken tile by tile, so that memory stays linear in the number of tokens.
    """
    m, n = len(queries), len(keys)
    rows = max(1, TILE_ENTRIES // n)
    means = np.empty((m, values.shape[1]))
    for start in range(0, m, rows):
        tile = slice(start, start + rows)
        weights = _weights(queries[tile], keys, bias)
        means[tile] = (weights @ values) / weights.sum(axis=1, keepdims=True)
    return means


def _weights(queries: Array, keys: Array, bias: Array) -> Array:
    # The largest score of a row becomes 0: no overflow, and no row of zeros.
    scores = queries @ keys.T
    scores += bias
    scores -= scores.max(axis=1, keepdims=True)
    return np.exp(scores, out=scores)
