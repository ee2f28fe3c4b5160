r"""Distances on the line, from quantile functions that are linear over each piece of mass.

Masses decide however small they are: far out, or with a large order. Levels are therefore measured
from the nearer end of [0, 1], each to within rounding of itself, and two levels of two measures
are one level if they differ by no more than rounding of the masses below or above them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from transpde.checks import Array

__all__ = ["ROUNDING", "Pieces", "line_distance", "mean_of_order"]

ROUNDING = 8  # units in the last place of a level within which two levels are one


@dataclass(frozen=True, eq=False)
class Pieces:
    """Pieces of mass on the line, from left to right, without any of mass zero.

    Attributes:
        masses: (n,), with sum one.
        low: where each piece begins, (n,).
        high: where it ends, (n,); its mass is spread evenly between.
    """

    masses: Array
    low: Array
    high: Array

    @classmethod
    def of(cls, masses: Array, low: Array, high: Array) -> Pieces:
        """Sort pieces, and leave out those without mass."""
        kept = np.flatnonzero(masses > 0)
        order = kept[np.argsort(low[kept], kind="stable")]
        masses = masses[order]
        return cls(masses / math.fsum(masses), low[order], high[order])


def line_distance(mu: Pieces, nu: Pieces, p: float) -> float:
    """Return the Wasserstein distance of two measures on the line."""
    steps = _steps(mu.masses, nu.masses)
    start, end = (
        _at(mu, steps.first, a) - _at(nu, steps.second, b)
        for a, b in zip(steps.first_shares, steps.second_shares, strict=True)
    )
    sizes = np.maximum(np.abs(start), np.abs(end))
    return mean_of_order(sizes, steps.widths * _mean_power(start, end, sizes, p), p)


def mean_of_order(values: Array, weights: Array, p: float) -> float:
    """Return (sum of weights values^p)^(1/p); no power over- or underflows."""
    terms = weights ** (1 / p) * values
    scale = terms.max()
    return float(scale * ((terms / scale) ** p).sum() ** (1 / p)) if scale > 0 else 0.0


class _Steps(NamedTuple):
    """The steps between the levels of two measures: which piece of each, from where to where."""

    first: Array
    second: Array
    widths: Array
    first_shares: tuple[Array, Array]
    second_shares: tuple[Array, Array]


def _at(pieces: Pieces, index: Array, share: Array) -> Array:
    """Return places in pieces: at their ends to the bit."""
    low, high = pieces.low[index], pieces.high[index]
    return np.where(share < 1, low + share * (high - low), high)


@dataclass(frozen=True, eq=False)
class _Levels:
    """Levels between pieces of mass, from 0 to 1: the mass below each and above it, (n + 1,)."""

    below: Array
    above: Array

    @classmethod
    def of(cls, masses: Array) -> _Levels:
        below, above = _running_sums(masses), _running_sums(masses[::-1])[::-1]
        return cls(np.append(0.0, below), np.append(above, 0.0))

    @property
    def keys(self) -> Array:
        """Whole numbers that rise with the levels, by one a unit in the last place of each."""
        half = np.array(0.5).view(np.int64)
        low, high = self.below.view(np.int64), self.above.view(np.int64)
        return np.where(self.below <= 0.5, low, 2 * half - high)

    def __getitem__(self, index: Any) -> _Levels:
        """Return the chosen levels."""
        return _Levels(self.below[index], self.above[index])

    def since(self, other: _Levels) -> Array:
        """Return the masses between others and these levels, which are no lower."""
        low, high = self.below - other.below, other.above - self.above
        return np.maximum(np.where(self.below <= other.above, low, high), 0.0)


def _running_sums(masses: Array) -> Array:
    """Return the sums of the first 1, 2, ... masses, each to within rounding of itself."""
    n = len(masses)
    width = math.isqrt(n - 1) + 1
    rows = np.zeros((width, width))
    rows.ravel()[:n] = masses
    total, rest = np.zeros((2, width))
    sums, rests = np.empty((2, width, width))
    for j in range(width):
        total, error = _exact_sum(total, rows[:, j])
        rest = rest + error
        sums[:, j], rests[:, j] = total, rest
    before, little = 0.0, 0.0
    for row, other in zip(sums, rests, strict=True):
        last, more = row[-1], other[-1]
        row[...], error = _exact_sum(before, row)
        other += error + little
        before, error = _exact_sum(before, last)
        little += more + error
    return (sums + rests).ravel()[:n]


def _exact_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """Return the rounded sum of two numbers, and what rounding has taken from it."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _steps(a: Array, b: Array) -> _Steps:
    """Return the steps between the levels of two measures with pieces of masses a and b."""
    A, B = _Levels.of(a), _Levels.of(b)
    twin, alone = _twins(A.keys[1:], B.keys[1:])
    keys = B.keys[1:]
    keys[twin[twin >= 0]] = A.keys[1:][twin >= 0]
    own = np.flatnonzero(alone)
    keys = np.concatenate([A.keys[1:], np.maximum.accumulate(keys)[own]])
    order = np.argsort(keys, kind="stable")
    # Which measures each level is of, and how many levels of each are before it.
    of_a = order < len(a)
    of_b = np.concatenate([twin >= 0, np.ones(len(own), dtype=bool)])[order]
    first, second = (np.cumsum(of) - of for of in (of_a, of_b))
    ends = _Levels(
        np.append(A.below[1:], B.below[own + 1])[order],
        np.append(A.above[1:], B.above[own + 1])[order],
    )
    starts = _Levels(np.append(0.0, ends.below[:-1]), np.append(1.0, ends.above[:-1]))
    after_a, after_b = (np.append(True, of[:-1]) for of in (of_a, of_b))
    widths = np.where(of_b & after_b, b[second], ends.since(starts))
    widths = np.where(of_a & after_a, a[first], widths)

    def shares(levels: _Levels, masses: Array, index: Array, after: Array, of: Array) -> Any:
        low, high = (x.since(levels[index]) / masses[index] for x in (starts, ends))
        return np.where(after, 0.0, np.minimum(low, 1.0)), np.where(of, 1.0, np.minimum(high, 1.0))

    parts = shares(A, a, first, after_a, of_a), shares(B, b, second, after_b, of_b)
    return _Steps(first, second, widths, *parts)


def _twins(A: Array, B: Array) -> tuple[Array, Array]:
    """Return for each level of A that of B which it is, or -1, and which of B are no level of A.

    Two levels are one if each is the nearest to the other, within rounding.
    """
    near = _nearest(A, B)
    twin = np.where(
        (_nearest(B, A)[near] == np.arange(len(A))) & (np.abs(B[near] - A) <= ROUNDING), near, -1
    )
    twin[-1] = len(B) - 1
    alone = np.ones(len(B), dtype=bool)
    alone[twin[twin >= 0]] = False
    return twin, alone


def _nearest(keys: Array, others: Array) -> Array:
    """Return the index of the nearest of others to each key; both increase."""
    right = np.minimum(np.searchsorted(others, keys), len(others) - 1)
    left = np.maximum(right - 1, 0)
    return np.where(np.abs(keys - others[left]) < np.abs(others[right] - keys), left, right)


def _mean_power(start: Array, end: Array, sizes: Array, p: float) -> Array:
    """Return the means of |g|^p over steps on which g runs along a line, for sizes of one.

    The sizes are the larger of the absolute values at both ends.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        rest = np.minimum(np.abs(start), np.abs(end)) / sizes
        fall = np.abs(end - start) / sizes
        same = -np.expm1((p + 1) * np.log1p(-np.minimum(fall, 1.0))) / ((p + 1) * fall)
        cross = (1 + rest ** (p + 1)) / ((p + 1) * (1 + rest))
    return np.where((sizes == 0) | (fall == 0), 1.0, np.where(fall > 1, cross, same))
