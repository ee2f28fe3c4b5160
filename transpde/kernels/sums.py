r"""Exact sums over tokens, tile by tile.

A `TokenSum` holds what an attention needs of n tokens: for a target x it weighs token j by
$P(x, j)$, a function of the score $(Mx - z)\cdot k_j$. Scores are computed in tiles of targets and
tokens, so that memory stays linear in n. With an order, a target sees only the tokens at or before
its own position.

Small clouds are summed at once, and a stack of them a few cases at a time; the arrays below then
have the leading axes of the stack. Large clouds of a stack are summed one after another.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from scipy.special import logsumexp

from transpde.checks import Array, Unchanging
from transpde.fields import by_case
from transpde.kernels.blocks import (
    MOST_THREADS,
    CausalOrder,
    in_threads,
    narrow_blas,
    row_tiles,
    slices,
)
from transpde.kernels.products import LOG2E, exponentials, matrix_product, with_ones

__all__ = ["Order", "PointwiseSum", "SoftmaxSum", "TokenSum", "clouds_at_once"]

# The positions of the targets (..., m) and of the tokens (..., n).
Order = tuple[Array, Array]
SMALL = 1 << 15  # pairs of a cloud, or of cases together, that are summed at once
MOST_TOKENS = 1 << 20  # of which a copy is made at once
MANY = 1 << 20  # pairs of a stack whose logs are summed at once
TILE = 65536  # scores of a tile: they fill half of a second-level cache
NARROWEST = 256  # tokens of a tile: threads that call for less wait for each other
PAIR, TILED = 8.0, 1.2  # nanoseconds of a pair that is summed at once, and in tiles
LARGE = 400.0  # a power of two whose sums are far inside the range of numbers
# Entries of a product up to which `matmul` keeps the interpreter, however long it takes, so that
# threads wait for each other; `dot` never keeps it.
KEPT = 500
MOST_POWER = 1000  # of two by which a column is divided: a float, as is its inverse
LOST = 1e-200  # a sum that small, relative to its bound, may have lost terms


@dataclass(frozen=True, eq=False, repr=False)
class TokenSum(Unchanging, ABC):
    """Weighted sums over n tokens: query M (..., k, d), shift z (..., k), keys (..., n, k).

    No shift is a shift of zero.
    """

    query: Array
    shift: Array | None
    keys: Array
    beside: ClassVar[str]  # the name of the numbers (..., n) that tokens have beside their keys

    def matrix(self, x: Array, order: Order | None = None) -> Array:
        """Return the weights P(x_i, j) of targets x (..., m, d), shape (..., m, n)."""
        weights, total = self._columns(x, _hidden(order))
        return (weights if total is None else weights / total).mT

    def mean(self, x: Array, values: Array, order: Order | None = None) -> Array:
        """Return the sums of P(x_i, j) values_j, shape (..., m, d), for values (..., n, d)."""
        m, (*stack, n, d) = x.shape[-2], values.shape
        if at_once(m, values.shape):
            return self._at_once(x, values, order)
        if not stack:
            some = self.carried
            if not some.all():
                carrying, order = self.carrying(order)
                return carrying.mean(x, values[some], order)
            return self._tiled(x, values, order)
        sums = np.empty((math.prod(stack), m, d))
        if m * n > SMALL // 2:
            for i, case in enumerate(self.cases(x, values, order)):
                sums[i] = case.sums.mean(case.x, case.values, case.order)
        else:
            fill = partial(_fill, self.flattened(x, values, order), sums)
            groups = slices(0, len(sums), -(-len(sums) // MOST_THREADS))
            in_threads(fill, groups, PAIR * m * n * len(sums))
        return sums.reshape(*stack, m, d)

    @property
    @abstractmethod
    def carried(self) -> Array:
        """Which tokens carry weight, shape (..., n)."""

    def only(self, some: Array | slice) -> Self:
        """Return the same of one cloud with some tokens alone, or in another order."""
        beside = {self.beside: getattr(self, self.beside)[some]}
        return replace(self, keys=self.keys[some], **beside)

    def carrying(self, order: Order | None) -> tuple[Self, Order | None]:
        """Return the same of one cloud without the tokens that have no weight."""
        some = self.carried
        if some.all():
            return self, order
        return self.only(some), None if order is None else (order[0], order[1][some])

    def flattened(self, x: Array, values: Array, order: Order | None) -> Cases:
        """Return what a mean wants with the axes of the stack as one, even where all share it."""
        flat = partial(by_case, stack=values.shape[:-2])
        sums = self.mapped(flat)
        order = None if order is None else (flat(order[0], 1), flat(order[1], 1))
        return Cases(sums, flat(x, 2), flat(values, 2), order)

    def cases(self, x: Array, values: Array, order: Order | None) -> Iterator[Cases]:
        """Give what the mean of each case of a stack wants, counted along the flattened stack."""
        whole = self.flattened(x, values, order)
        return (whole[i] for i in range(len(whole.values)))

    def mapped(self, change: Callable[[Array, int], Array]) -> Self:
        """Return the same with each array changed; the number is that of its axes in one case."""
        beside = {self.beside: change(getattr(self, self.beside), 1)}
        shift = None if self.shift is None else change(self.shift, 1)
        query, keys = change(self.query, 2), change(self.keys, 2)
        return replace(self, query=query, shift=shift, keys=keys, **beside)

    @abstractmethod
    def _columns(
        self, x: Array, hidden: Array | None, out: Array | None = None
    ) -> tuple[Array, Array | None]:
        """Return weights, shape (..., n, m), a column a target, and what divides each column."""

    def _at_once(
        self, x: Array, values: Array, order: Order | None, out: Array | None = None
    ) -> Array:
        weights, total = self._columns(x, _hidden(order), out)
        sums = values.mT @ weights
        if total is not None:
            sums /= total
        return sums.mT

    def _by_few(self, x: Array, values: Array, order: Order | None, sums: Array) -> None:
        """Put in the means of many clouds of a stack, a few at a time."""
        for some, tile in _tiles_of_cases(x, values):
            few = Cases(self, x, values, order)[some]
            sums[some] = few.sums._at_once(few.x, few.values, few.order, tile)

    def _tiled(self, x: Array, values: Array, order: Order | None) -> Array:
        seen = (
            CausalOrder.all(len(x), len(self.keys))
            if order is None
            else CausalOrder.at_or_before(*order)
        )
        # No product of a small weight and a small value underflows where their sum does not.
        sizes = [np.maximum(column.max(), -column.min()) for column in values.T]
        exponents = np.clip(np.frexp(sizes)[1], -MOST_POWER, MOST_POWER)
        values = np.multiply(values.T, np.ldexp(1.0, -exponents)[:, None], order="C").T
        sums = np.empty((len(x), values.shape[1]))
        sums[seen.targets] = self._exact(x[seen.targets], values[seen.tokens], seen)
        return np.ldexp(sums, exponents)

    def exponential(self) -> tuple[Array, bool] | None:
        """Return b (n,) and whether rows are normalised, where P is exp(score + b_j); or None."""
        return None

    def queries(self, x: Array) -> Array:
        """Return Mx - z at points (..., d)."""
        found = matrix_product(x, self.query)
        if self.shift is None:
            return found
        return found - (self.shift if found.ndim == 1 else self.shift[..., None, :])

    def scores(self, x: Array) -> Array:
        """Return the scores of targets x (m, d), shape (m, n)."""
        return self.queries(x) @ self.keys.mT

    @abstractmethod
    def _exact(self, x: Array, values: Array, seen: CausalOrder) -> Array:
        """Return the sums for targets and values in the order of `seen`."""


def clouds_at_once(n: int) -> int:
    """Return of how many clouds of n tokens the sums fit in a cache."""
    return SMALL // n**2


def at_once(m: int, shape: tuple[int, ...]) -> bool:
    """Return whether the sums for m targets of values of this shape (..., n, d) fit in a cache."""
    return m * math.prod(shape[:-1]) <= SMALL


@dataclass(frozen=True, eq=False)
class Cases:
    """Sums with targets, values and an order: of one case, or of several along a first axis."""

    sums: Any
    x: Array
    values: Array
    order: Order | None

    def __getitem__(self, chosen: Any) -> Cases:
        """Return the chosen case, or a slice of the cases."""
        order = None if self.order is None else (self.order[0][chosen], self.order[1][chosen])
        sums = self.sums.mapped(lambda array, own: array[chosen])
        return Cases(sums, self.x[chosen], self.values[chosen], order)


def _fill(whole: Cases, sums: Array, group: slice) -> None:
    """Put in the means of a group of cases."""
    case = whole[group]
    case.sums._by_few(case.x, case.values, case.order, sums[group])


def _tiles_of_cases(x: Array, values: Array) -> Iterator[tuple[slice, Array]]:
    """Give slices of a few clouds, each with the same memory for their scores (few, n, m)."""
    m, n = x.shape[-2], values.shape[-2]
    tile = np.empty((SMALL // (m * n), n, m))
    for some in slices(0, len(x), len(tile)):
        yield some, tile[: some.stop - some.start]


def _hidden(order: Order | None) -> Array | None:
    """Return which tokens stand after which targets, shape (..., n, m)."""
    return None if order is None else order[1][..., :, None] > order[0][..., None, :]


def _tile_sums(
    left: Array, right: Array, columns: Array, seen: CausalOrder, weigh: Callable[[Array], None]
) -> Array:
    """Return the sums (m, c) over the tokens that each target sees of weight times column.

    The weights of a tile are `weigh`, in place, of the scores `left @ right`; hidden tokens have
    the score -inf.
    """
    sums, one_by_one = np.zeros((len(left), len(columns))), len(columns) <= 4 and not narrow_blas()
    across = np.ascontiguousarray(columns.T)

    def fill(rows: slice) -> None:
        counts, queries, found = seen.counts[rows], left[rows], sums[rows]
        tile = np.empty((len(counts), max(TILE // len(counts), NARROWEST)))
        for some in slices(0, int(counts[-1]), tile.shape[1]):
            scores = np.matmul(queries, right[:, some], out=tile[:, : some.stop - some.start])
            if counts[0] < some.stop:
                scores[np.arange(some.start, some.stop) >= counts[:, None]] = -np.inf
            weigh(scores)
            if one_by_one and found.size > KEPT:
                found += np.matmul(scores, columns[:, some, None])[..., 0].T
            elif one_by_one:
                found += np.stack([scores.dot(column[some]) for column in columns], axis=1)
            else:
                found += scores.dot(across[some])

    work = TILED * len(left) * right.shape[1]
    in_threads(fill, row_tiles(len(left), work), work)
    return sums


def _powers_of_two(scores: Array) -> None:
    np.exp2(scores, out=scores)


@dataclass(frozen=True, eq=False, repr=False)
class SoftmaxSum(TokenSum):
    """Weights exp(score + bias_j), divided by their sum over the tokens that a target sees."""

    bias: Array
    beside = "bias"

    @property
    def carried(self) -> Array:
        """Which tokens carry weight, shape (..., n)."""
        return np.asarray(self.bias > -np.inf)

    def exponential(self) -> tuple[Array, bool]:
        """Return the biases, and that rows are normalised."""
        return self.bias, True

    def log_sums(self, targets: Array) -> Array:
        """Return log of the sums of exp(score + bias) at targets that are given as queries."""
        seen = CausalOrder.all(len(targets), len(self.keys))
        sums, bound = self._below_bound(targets, np.empty((len(self.keys), 0)), seen)
        with np.errstate(divide="ignore"):
            logs = np.log(sums[:, 0]) + bound
        for row in np.flatnonzero(~(sums[:, 0] > LOST)):
            logs[row] = logsumexp(self.keys @ targets[row] + self.bias)
        return np.asarray(logs)

    def log_totals(self, x: Array, stack: tuple[int, ...]) -> Array:
        """Return log of the sums of exp(score + bias) at points x (..., m, d), (*stack, m)."""
        n, m = self.keys.shape[-2], x.shape[-2]
        if m * n > SMALL or math.prod(stack) * m * n > MANY:
            cases = self.cases(x, np.broadcast_to(self.bias[..., None], (*stack, n, 1)), None)
            each = ((case.sums.carrying(None)[0], case.x) for case in cases)
            logs = [sums.log_sums(sums.queries(points)) for sums, points in each]
            return np.reshape(logs, (*stack, m))
        scores = np.matmul(self.keys, self.queries(x).mT) + self.bias[..., :, None]
        np.copyto(scores, -np.inf, where=(self.bias == -np.inf)[..., :, None])
        top = np.maximum.reduce(scores, axis=-2, keepdims=True)
        logs = np.log(np.exp(scores - top).sum(axis=-2)) + top[..., 0, :]
        return np.broadcast_to(logs, (*stack, m))

    def _by_few(self, x: Array, values: Array, order: Order | None, sums: Array) -> None:
        """Put in the means of many clouds of a stack, a few at a time."""
        if order is not None or not self.carried.all():
            super()._by_few(x, values, order, sums)
            return
        left = np.concatenate([self.keys, LOG2E * self.bias[..., None]], axis=-1)
        right, columns = with_ones(LOG2E * self.queries(x)), with_ones(values)
        longest = np.vecdot(left, left).max() * np.vecdot(right.mT, right.mT).max()
        for some, scores in _tiles_of_cases(x, values):
            np.matmul(left[some], right[some], out=scores)
            if longest < LARGE**2 or (scores.min() > -LARGE and scores.max() < LARGE):
                np.exp2(scores, out=scores)  # so small that no largest one needs to come off
                found = columns[some] @ scores
                np.divide(found[:, :-1], found[:, -1:], out=sums[some].mT)
            else:
                few = Cases(self, x, values, None)[some]
                sums[some] = few.sums._at_once(few.x, few.values, None, scores)

    def _exact(self, x: Array, values: Array, seen: CausalOrder) -> Array:
        targets = self.queries(x)
        sums, _ = self._below_bound(targets, values, seen)
        lost = ~((sums[:, -1] > LOST) & np.isfinite(sums).all(axis=1))
        with np.errstate(divide="ignore", invalid="ignore"):
            means = sums[:, :-1] / sums[:, -1:]
        if lost.any():
            self._recompute(np.flatnonzero(lost), x, values, seen, means)
        return means

    def _below_bound(
        self, targets: Array, values: Array, seen: CausalOrder
    ) -> tuple[Array, Array]:
        """Return sums of exp(score + bias - bound) times values and one, and each row's bound."""
        # A bound on the scores of a row, from the box that its tokens fill, is known before any
        # score and comes off in the matrix product: no pass over a tile but exp and the sums.
        keys, bias = self.keys[seen.tokens], self.bias[seen.tokens]
        sums = np.zeros((len(targets), values.shape[1] + 1))
        with np.errstate(over="ignore", invalid="ignore"):
            corners = [targets * seen.running(choose, keys) for choose in (np.maximum, np.minimum)]
            bound = np.maximum(*corners).sum(axis=1) + seen.running(np.maximum, bias)
            left = LOG2E * np.column_stack([targets, np.ones(len(targets)), -bound])
            for some in slices(0, len(keys), MOST_TOKENS):
                right = np.ones((keys.shape[1] + 2, len(keys[some])))
                right[:-2], right[-2] = keys[some].T, bias[some]
                columns = with_ones(values[some])
                sums += _tile_sums(left, right, columns, seen.part(some), _powers_of_two)
        return sums, bound

    def _recompute(
        self, lost: Array, x: Array, values: Array, seen: CausalOrder, means: Array
    ) -> None:
        """Put in the rows whose sum has lost terms below its bound, from their own largest."""
        ordered = self.only(seen.tokens)
        for some in slices(0, len(lost), max(1, TILE // len(values))):
            rows = lost[some]
            hidden = np.arange(len(values))[:, None] >= seen.counts[rows]
            weights, total = ordered._columns(x[rows], hidden)
            means[rows] = (values.T @ weights / total).T

    def _columns(
        self, x: Array, hidden: Array | None, out: Array | None = None
    ) -> tuple[Array, Array]:
        scores = np.matmul(self.keys, self.queries(x).mT, out=out)
        scores += self.bias[..., :, None]
        if hidden is not None:
            np.copyto(scores, -np.inf, where=hidden)
        if np.minimum.reduce(self.bias, axis=None) == -np.inf:  # also where a score is infinite
            np.copyto(scores, -np.inf, where=(self.bias == -np.inf)[..., :, None])
        return scores, exponentials(scores)


@dataclass(frozen=True, eq=False, repr=False)
class PointwiseSum(TokenSum):
    """Weights w_j function(score), with w the weights of the tokens that a target sees."""

    weights: Array
    function: Callable[[Array], Array]
    beside = "weights"

    @property
    def carried(self) -> Array:
        """Which tokens carry weight, shape (..., n)."""
        return self.weights > 0

    def exponential(self) -> tuple[Array, bool] | None:
        """Return the logarithms of the weights and False where the function is exp, else None."""
        with np.errstate(divide="ignore"):
            return (np.log(self.weights), False) if self.function is np.exp else None

    def _exact(self, x: Array, values: Array, seen: CausalOrder) -> Array:
        w = self.weights[seen.tokens]

        def weigh(scores: Array) -> None:
            hidden = scores == -np.inf
            scores[...] = self.function(scores)
            scores[hidden] = 0.0

        with np.errstate(over="ignore", invalid="ignore"):
            targets = self.queries(x)
            columns = np.ascontiguousarray(w * values.T)
            keys = np.ascontiguousarray(self.keys[seen.tokens].T)
            sums = _tile_sums(targets, keys, columns, seen, weigh)
        return sums if seen.whole else sums / np.cumsum(w)[seen.counts - 1, None]

    def _columns(
        self, x: Array, hidden: Array | None, out: Array | None = None
    ) -> tuple[Array, Array | None]:
        w = self.weights[..., :, None]
        with np.errstate(over="ignore", invalid="ignore"):
            columns = self.function(np.matmul(self.keys, self.queries(x).mT, out=out)) * w
        if np.minimum.reduce(self.weights, axis=None) == 0:  # also where the function is infinite
            np.copyto(columns, 0.0, where=w == 0)
        if hidden is None:
            return columns, None
        np.copyto(columns, 0.0, where=hidden)
        return columns, np.where(hidden, 0.0, w).sum(axis=-2, keepdims=True)
