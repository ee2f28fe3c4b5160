r"""Exact sums over tokens, tile by tile.

A `TokenSum` holds what an attention needs of n tokens: for a target x it weighs token j by
$P(x, j)$, a function of the score $(Mx - z)\cdot k_j$. Scores are computed in tiles of targets and
tokens, so that memory stays linear in n. With an order, a target sees only the tokens at or before
its own position.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import logsumexp

from transpde.checks import Array
from transpde.kernels.blocks import Seen, in_threads, narrow_blas, row_tiles, slices

__all__ = ["Order", "PointwiseSum", "SoftmaxSum", "TokenSum"]

Order = tuple[Array, Array]  # the positions of the targets (m,) and of the tokens (n,)
TILE = 65536  # scores of a tile: they fill half of a second-level cache
LOG2E = np.log2(np.e)  # powers of two are a quarter cheaper than those of e
LOST = 1e-200  # a sum that small, relative to its bound, may have lost terms


@dataclass(frozen=True, eq=False)
class TokenSum(ABC):
    """Weighted sums over n tokens: query M (k, d), shift z (k,), keys (n, k)."""

    query: Array
    shift: Array
    keys: Array

    def matrix(self, x: Array, order: Order | None = None) -> Array:
        """Return the weights P(x_i, j) of targets x (m, d), shape (m, n)."""
        return self._rows(x, None if order is None else order[0][:, None] < order[1])

    def mean(self, x: Array, values: Array, order: Order | None = None) -> Array:
        """Return the sums of P(x_i, j) values_j, shape (m, d), for values (n, d)."""
        seen = Seen.all(len(x), len(self.keys)) if order is None else Seen.at_or_before(*order)
        sums = np.empty((len(x), values.shape[1]))
        sums[seen.targets] = self._exact(x[seen.targets], values[seen.tokens], seen)
        return sums

    def exponential(self) -> tuple[Array, bool] | None:
        """Return b (n,) and whether rows are normalised, where P is exp(score + b_j); or None."""
        return None

    def _scores(self, x: Array) -> Array:
        return (x @ self.query.T - self.shift) @ self.keys.T

    @abstractmethod
    def _exact(self, x: Array, values: Array, seen: Seen) -> Array:
        """Return the sums for targets and values in the order of `seen`."""

    @abstractmethod
    def _rows(self, x: Array, hidden: Array | None) -> Array:
        """Return the rows of P for targets x, hidden tokens (m, n) left out."""


def _tile_sums(
    left: Array, right: Array, columns: Array, seen: Seen, weigh: Callable[[Array], None]
) -> Array:
    """Return the sums (m, c) over the tokens that each target sees of weight times column.

    The weights of a tile are `weigh`, in place, of the scores `left @ right`; hidden tokens have
    the score -inf.
    """
    sums, one_by_one = np.zeros((len(left), len(columns))), len(columns) <= 4 and not narrow_blas()
    across = np.ascontiguousarray(columns.T)

    def fill(rows: slice) -> None:
        counts, queries, found = seen.counts[rows], left[rows], sums[rows]
        tile = np.empty((len(counts), TILE // len(counts)))
        for some in slices(0, int(counts[-1]), tile.shape[1]):
            scores = tile[:, : some.stop - some.start]
            np.matmul(queries, right[:, some], out=scores)
            if counts[0] < some.stop:
                scores[np.arange(some.start, some.stop) >= counts[:, None]] = -np.inf
            weigh(scores)
            if one_by_one:
                for c, column in enumerate(columns):
                    found[:, c] += scores @ column[some]
            else:
                found += scores @ across[some]

    in_threads(fill, row_tiles(len(left)), len(left) * right.shape[1])
    return sums


def _powers_of_two(scores: Array) -> None:
    np.exp2(scores, out=scores)


@dataclass(frozen=True, eq=False)
class SoftmaxSum(TokenSum):
    """Weights exp(score + bias_j), divided by their sum over the tokens that a target sees."""

    bias: Array

    def mean(self, x: Array, values: Array, order: Order | None = None) -> Array:
        """Return the means of the values under the weights, shape (m, d), for values (n, d)."""
        held, order = self.held(order)
        if held is self:
            return super().mean(x, values, order)
        return held.mean(x, values[self.bias > -np.inf], order)

    def held(self, order: Order | None) -> tuple[SoftmaxSum, Order | None]:
        """Return the same without the tokens that have no weight."""
        some = self.bias > -np.inf
        if some.all():
            return self, order
        order = None if order is None else (order[0], order[1][some])
        return replace(self, keys=self.keys[some], bias=self.bias[some]), order

    def exponential(self) -> tuple[Array, bool]:
        """Return the biases, and that rows are normalised."""
        return self.bias, True

    def log_sums(self, targets: Array) -> Array:
        """Return log of the sums of exp(score + bias) at targets that are given as queries."""
        seen = Seen.all(len(targets), len(self.keys))
        sums, bound = self._below_bound(targets, np.ones((1, len(self.keys))), seen)
        with np.errstate(divide="ignore"):
            logs = np.log(sums[:, 0]) + bound
        for row in np.flatnonzero(~(sums[:, 0] > LOST)):
            logs[row] = logsumexp(self.keys @ targets[row] + self.bias)
        return np.asarray(logs)

    def _exact(self, x: Array, values: Array, seen: Seen) -> Array:
        targets = x @ self.query.T - self.shift
        columns = np.vstack([values.T, np.ones(len(values))])
        sums, _ = self._below_bound(targets, columns, seen)
        lost = ~((sums[:, -1] > LOST) & np.isfinite(sums).all(axis=1))
        with np.errstate(divide="ignore", invalid="ignore"):
            means = sums[:, :-1] / sums[:, -1:]
        if lost.any():
            self._recompute(np.flatnonzero(lost), x, values, seen, means)
        return means

    def _below_bound(self, targets: Array, columns: Array, seen: Seen) -> tuple[Array, Array]:
        """Return sums of exp(score + bias - bound) times columns, and the bound of each row."""
        # A bound on the scores of a row, from the box that its tokens fill, is known before any
        # score and comes off in the matrix product: no pass over a tile but exp and the sums.
        keys, bias = self.keys[seen.tokens], self.bias[seen.tokens]
        with np.errstate(over="ignore", invalid="ignore"):
            corners = [targets * seen.running(choose, keys) for choose in (np.maximum, np.minimum)]
            bound = np.maximum(*corners).sum(axis=1) + seen.running(np.maximum, bias)
            left = LOG2E * np.column_stack([targets, np.ones(len(targets)), -bound])
            right = np.vstack([keys.T, bias, np.ones(len(keys))])
            return _tile_sums(left, right, columns, seen, _powers_of_two), bound

    def _recompute(self, lost: Array, x: Array, values: Array, seen: Seen, means: Array) -> None:
        """Put in the rows whose sum has lost terms below its bound, from their own largest."""
        ordered = replace(self, keys=self.keys[seen.tokens], bias=self.bias[seen.tokens])
        size = max(1, TILE // len(values))
        for start in range(0, len(lost), size):
            rows = lost[start : start + size]
            hidden = np.arange(len(values)) >= seen.counts[rows, None]
            means[rows] = ordered._rows(x[rows], hidden) @ values

    def _rows(self, x: Array, hidden: Array | None) -> Array:
        scores = self._scores(x)
        scores += self.bias
        if hidden is not None:
            scores[hidden] = -np.inf
        # The largest score of a row becomes 0: no overflow, and no row of zeros.
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        return scores


@dataclass(frozen=True, eq=False)
class PointwiseSum(TokenSum):
    """Weights w_j function(score), with w the weights of the tokens that a target sees."""

    weights: Array
    function: Callable[[Array], Array]

    def exponential(self) -> tuple[Array, bool] | None:
        """Return the logarithms of the weights and False where the function is exp, else None."""
        with np.errstate(divide="ignore"):
            return (np.log(self.weights), False) if self.function is np.exp else None

    def _exact(self, x: Array, values: Array, seen: Seen) -> Array:
        w = self.weights[seen.tokens]

        def weigh(scores: Array) -> None:
            hidden = scores == -np.inf
            scores[...] = self.function(scores)
            scores[hidden] = 0.0

        with np.errstate(over="ignore", invalid="ignore"):
            targets = x @ self.query.T - self.shift
            columns = np.ascontiguousarray(w * values.T)
            keys = np.ascontiguousarray(self.keys[seen.tokens].T)
            sums = _tile_sums(targets, keys, columns, seen, weigh)
        return sums if seen.whole else sums / np.cumsum(w)[seen.counts - 1, None]

    def _rows(self, x: Array, hidden: Array | None) -> Array:
        with np.errstate(over="ignore"):
            rows = self.function(self._scores(x)) * self.weights
        if hidden is not None:
            rows[hidden] = 0.0
            rows /= np.where(hidden, 0.0, self.weights).sum(axis=1, keepdims=True)
        return rows
