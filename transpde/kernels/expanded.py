r"""Softmax means by the separable expansion in two halves: of all tokens, and behind a mask."""

from __future__ import annotations

import numpy as np

from transpde.checks import Array
from transpde.kernels.blocks import CausalOrder, chunks, in_threads, slices
from transpde.kernels.separable import AHEAD, Halves, Sweep, scaled

__all__ = ["causal_means", "cost", "means_and_shares"]

BLOCK = 128  # tokens whose sums among each other are exact behind a mask
TILE, WIDEST = 1 << 18, 1024  # entries of a tile, and points
# Nanoseconds of a multiply-add of the matrix products, and of an entry of what they multiply.
PRODUCT, ENTRY = 0.07, 1.0


def cost(terms: Halves, columns: int) -> float:
    """Return how long sums of so many columns take, in nanoseconds a token or target."""
    tables = sum(table.size for table in terms.functions.tables)
    return PRODUCT * (len(terms) * columns + tables) + ENTRY * _entries(terms, columns)


def _entries(terms: Halves, columns: int) -> int:
    """Return how many numbers a point has in a tile."""
    return len(terms.first.sizes) + 2 * columns * len(terms.second.sizes)


def means_and_shares(
    t: Array, y: Array, bias: Array, values: Array, terms: Halves
) -> tuple[Array, Array]:
    """Return the means (m, c) of values (n, c) under exp(t.y + bias), for t (m, d) and y (n, d).

    With them the share (m,) of all weights that reaches each target: the error of the expansion
    is relative to the weights, so that the mean is worst where the share is least.
    """
    unit = scaled(t, y)
    height = (unit.y**2).sum(axis=1) / 2 + bias + unit.bias
    weights = np.exp(height - height.max())
    columns = np.vstack([weights * values.T, weights])
    time, width = cost(terms, len(columns)), TILE // _entries(terms, len(columns))
    width = min(max(width, BLOCK), WIDEST)

    def total(chunk: slice) -> list[Array]:
        sums, along = terms.empty(len(columns)), Sweep(terms.functions, unit.y[chunk])
        here = columns[:, chunk]
        for some in slices(0, here.shape[1], width):
            terms.add(sums, along[some], here[:, some])
        return sums

    parts = in_threads(total, chunks(len(y), AHEAD), len(y) * time)
    sums = [np.sum(step, axis=0) for step in zip(*parts, strict=True)]
    found = np.empty((len(columns), len(t)))

    def fill(chunk: slice) -> None:
        along, here = Sweep(terms.functions, unit.t[chunk]), found[:, chunk]
        for some in slices(0, here.shape[1], width):
            here[:, some] = terms.read(sums, along[some])

    in_threads(fill, chunks(len(t), AHEAD), len(t) * time)
    return (found[:-1] / found[-1]).T, found[-1] / weights.sum()


def causal_means(
    t: Array, y: Array, bias: Array, values: Array, order: tuple[Array, Array], terms: Halves
) -> tuple[Array, Array]:
    """Return means under exp(t.y + bias) over the tokens at or before each target, and shares.

    Blocks of tokens before the target's own come by the expansion, its own block exactly: the
    share is what reaches the target over the weights of the blocks before. What has been summed
    is kept relative to the largest weight so far, and shrinks where a larger one follows: the
    bias may range over any number of powers of ten, as with a steep discount.
    """
    seen = CausalOrder.at_or_before(*order)
    unit = scaled(t[seen.targets], y[seen.tokens])
    bias = bias[seen.tokens] + unit.bias
    height = (unit.y**2).sum(axis=1) / 2 + bias
    top = np.maximum.accumulate(height)
    last = top[seen.counts - 1]  # the largest among those that a target sees
    columns = np.vstack([values[seen.tokens].T, np.ones(len(y))])
    near = np.column_stack([unit.t, np.ones(len(t)), (unit.t**2).sum(axis=1) / -2 - last])
    keys = np.column_stack([unit.y, bias, np.ones(len(y))])
    at_targets, at_keys = (Sweep(terms.functions, points) for points in (unit.t, unit.y))
    state, reached = terms.empty(len(columns)), -np.inf
    sums, shares, behind = np.empty((len(columns), len(t))), np.full(len(t), np.inf), 0.0
    ends = np.searchsorted(seen.counts, np.arange(0, len(y) + BLOCK, BLOCK), side="right")
    for b, start in enumerate(range(0, len(y), BLOCK)):
        block = slice(start, min(start + BLOCK, len(y)))
        for rows in slices(int(ends[b]), int(ends[b + 1]), BLOCK):
            scores = keys[block] @ near[rows].T
            hidden = np.arange(block.start, block.stop)[:, None] >= seen.counts[rows]
            np.copyto(scores, -np.inf, where=hidden)
            np.exp(scores, out=scores)
            sums[:, rows] = columns[:, block] @ scores
            if b:
                scale = np.exp(reached - last[rows])
                sums[:, rows] += scale * terms.read(state, at_targets[rows])
                shares[rows] = sums[-1, rows] / (scale * behind)
        before, reached = reached, top[block.stop - 1]
        if before < reached:
            behind *= np.exp(before - reached)
            for total in state:
                total *= np.exp(before - reached)
        weights = np.exp(height[block] - reached)
        behind += weights.sum()
        terms.add(state, at_keys[block], columns[:, block] * weights)
    means, divisors = np.empty((len(t), values.shape[1])), np.empty(len(t))
    means[seen.targets], divisors[seen.targets] = (sums[:-1] / sums[-1]).T, shares
    return means, divisors
