"""Products of few tokens with a matrix, and their softmax means, in as few calls as possible."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transpde.checks import Array
from transpde.kernels.blocks import slices

__all__ = [
    "LIGHTEST",
    "exponentials",
    "matrix_product",
    "softmax_map",
    "softmax_maps",
    "with_ones",
]

LOG2E = np.log2(np.e)  # powers of two are a quarter cheaper than those of e
# A sum of weighted exponentials that large has lost no term that counts, if no weight is smaller.
TINY, LIGHTEST = 1e-60, 1e-30


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


def softmax_map(query: Array, key: Array, value: Array, bias: Array) -> Callable[[Array], Array]:
    """Return the map from tokens (n, d) of one cloud to value times their means, (n, d).

    In the calls that cost least: of ten tokens a sum is as quick as five calls. The bias (n, 1) is
    finite.
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


def softmax_maps(
    query: Array, key: Array, value: Array, weights: Array, few: int
) -> Callable[[Array], Array]:
    """Return the map from tokens (b, n, d) of a stack to value times their means, (b, n, d).

    It is quickest where one coordinate of all tokens lies after the other in memory.

    Args:
        query: (k, d) or (b, k, d).
        key: (k, d) or (b, k, d).
        value: (d, d) or (b, d, d).
        weights: of the tokens, (b, n), none below `LIGHTEST`.
        few: how many clouds are summed at once, so that their scores stay in a cache.
    """
    (b, n), (k, d) = weights.shape, query.shape[-2:]
    parts = key, LOG2E * query, value
    stack = np.broadcast_shapes(*(part.shape[:-2] for part in parts))
    maps = np.concatenate([np.broadcast_to(part, stack + part.shape[-2:]) for part in parts], -2)
    # Held from call to call: to be given fresh memory takes as long as to fill it.
    mapped, sums = (np.empty((m + 1, b, n)).swapaxes(0, 1) for m in (2 * k + d, d))
    keys, queries, columns = mapped[:, :k], mapped[:, k : 2 * k], mapped[:, 2 * k :]
    uneven = bool((weights != weights[:, :1]).any())
    columns[:, -1] = weights if uneven else 1.0  # equal ones leave the means as they are
    memory, clouds = np.empty((min(few, b), n, n)), slices(0, b, few)
    tiles = [
        (keys[one].mT, queries[one], columns[one], memory[: one.stop - one.start], sums[one])
        for one in clouds
    ]
    sharp = [False] * len(tiles)  # whose scores were too large to do without a shift

    def fill(i: int) -> None:
        left, right, values, scores, found = tiles[i]
        np.matmul(left, right, scores)
        if sharp[i]:
            scores -= np.maximum.reduce(scores, axis=1, keepdims=True)
        np.exp2(scores, scores)
        np.matmul(values, scores, found)

    def velocities(x: Array) -> Array:
        _of_rows(maps, x.mT, mapped[:, :-1])
        if uneven:
            columns[:, :-1] *= weights[:, None]
        for i in range(len(tiles)):
            fill(i)
        if not _in_range(sums):
            for i, (*_, found) in enumerate(tiles):
                if not (sharp[i] or _in_range(found)):
                    sharp[i] = True
                    fill(i)
        return (sums[:, :-1] / sums[:, -1:]).mT

    return velocities


def _in_range(sums: Array) -> bool:
    """Return whether sums (b, d + 1, n), the totals last, have lost no term that counts."""
    return bool(sums[:, -1].min() > TINY and sums.max() < 1 / TINY and sums.min() > -1 / TINY)


def _of_rows(matrix: Array, rows: Array, out: Array) -> None:
    """Put matrices (k, d) or (b, k, d) times rows (b, d, n) into `out`, (b, k, n)."""
    if matrix.ndim == 2:  # one product for all
        rows, out = (planes.swapaxes(0, 1).reshape(planes.shape[1], -1) for planes in (rows, out))
    np.matmul(matrix, rows, out=out)


def exponentials(scores: Array) -> Array:
    """Put the exponentials of columns in place of them, each over its largest; return sums."""
    # The largest score of a target becomes 0: no overflow, and no column of zeros.
    scores -= np.maximum.reduce(scores, axis=-2, keepdims=True)
    np.exp(scores, out=scores)
    return np.asarray(np.add.reduce(scores, axis=-2, keepdims=True))
