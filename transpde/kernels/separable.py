r"""A separable expansion of $e^{t\cdot y}$, written out or in two halves.

$e^{t\cdot y} = e^{|t|^2/2}\,e^{-|t - y|^2/2}\,e^{|y|^2/2}$ once t and y are scaled to boxes of one
size. The Gaussian in the middle is a product over axes, each with a short eigenfunction expansion
on its interval, found on Chebyshev nodes. The factors at the sides cancel in a softmax, and
Sinkhorn's potentials absorb them.

A term is a product of one function an axis, kept where the product of their sizes matters. In two
halves, the axes are dealt to two groups, each with products $g_a$ and $h_b$ of its own: with both
sorted by size, each $h_b$ goes with the first few $g_a$. The sums
$\sum_jw_jg_a(y_j)h_b(y_j)v_j$ over tokens are then matrix products, and so are the sums over the
terms at a target: no term is written out, and each costs as many multiply-adds as the values have
columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from transpde.checks import Array
from transpde.kernels.blocks import across, box, slices
from transpde.kernels.nodes import from_values, places_of, polynomials

__all__ = ["Expansion", "Functions", "Halves", "Scaled", "Sweep", "expansion", "halves", "scaled"]

AHEAD = 2048  # points at which the functions of the axes are evaluated at once
STEPS, SHORTEST = 8, 16  # of products of the second half that go with as many of the first
MOST_TERMS = 1500  # of an expansion that is written out
LARGEST_RADIUS = 12.0  # half the side of a box for which the expansion is worth its terms
MOST_AXES = 8  # along which more than one function matters


@dataclass(frozen=True, eq=False)
class Scaled:
    """Targets t (m, d) and keys y (n, d) in boxes of one size, centred at zero.

    Their products are the scores up to a number a target and `bias`, a number a key.
    """

    t: Array
    y: Array
    radii: Array
    bias: Array


def scaled(t: Array, y: Array) -> Scaled:
    """Return targets and keys that stand in one box."""
    (middle, a), (shift, b) = box(t), box(y)
    bias = y @ middle
    flat = (a == 0) | (b == 0)
    ratio = np.sqrt(np.where(flat, 1.0, b) / np.where(flat, 1.0, a))
    t, y = across(t, middle), across(y, shift)
    t *= np.where(flat, 0.0, ratio)[:, None]
    y *= np.where(flat, 0.0, 1 / ratio)[:, None]
    return Scaled(t.T, y.T, np.sqrt(a * b), bias)


@dataclass(frozen=True, eq=False)
class Functions:
    """Functions of each axis of a box, whose products sum to the Gaussian of a difference."""

    radii: Array
    tables: list[Array]  # Chebyshev coefficients (p, r) of the functions of each axis
    sizes: list[Array]  # their relative eigenvalues (r,), which decrease

    @classmethod
    def of(cls, radii: Array, tol: float) -> Functions | None:
        """Return them for a box of such half-sides; None where it is too large."""
        flat = 2 * radii**2 < tol / 10  # there the Gaussian is one
        if not (radii.max(initial=0.0) <= LARGEST_RADIUS and (~flat).sum() <= MOST_AXES):
            return None
        one = np.ones(1), np.ones((1, 1))
        known = {float(r): _eigenfunctions(float(r), tol) for r in np.unique(radii[~flat])}
        pairs = [one if small else known[float(r)] for r, small in zip(radii, flat, strict=True)]
        return cls(radii, [table for _, table in pairs], [sizes for sizes, _ in pairs])

    @cached_property
    def wide(self) -> list[int]:
        """The axes with several functions, the longest first."""
        order = np.argsort(-self.radii, kind="stable")
        return [int(a) for a in order if len(self.sizes[a]) > 1]

    def along(self, points: Array) -> list[Array]:
        """Return the functions of each axis at points (n, d), shapes (r, n)."""
        wide = self.wide
        found = [np.ones((1, len(points)))] * len(self.tables)
        units = points[:, wide] / self.radii[wide]
        rows = polynomials(units.T, max(map(len, self.tables)))
        for k, a in enumerate(wide):
            found[a] = self.tables[a].T @ rows[: len(self.tables[a]), k]
        return found


class Group(NamedTuple):
    """Products of one function for each of some axes, the largest first."""

    axes: list[int]
    levels: list[tuple[Array, Array]]  # which product over the axes before, and which function
    sizes: Array

    @classmethod
    def of(cls, functions: Functions, axes: list[int], least: float) -> Group:
        """Return the products over these axes whose sizes are larger than `least`."""
        sizes, levels = np.ones(1), []
        for a in axes:
            grid = np.multiply.outer(sizes, functions.sizes[a])
            before, own = np.nonzero(grid > least)
            sizes = grid[before, own]
            levels.append((before, own))
        order = np.argsort(-sizes, kind="stable")
        if levels:
            before, own = levels[-1]
            levels[-1] = before[order], own[order]
        return cls(axes, levels, sizes[order])

    def at(self, along: list[Array]) -> Array:
        """Return the products, shape (r, n), from the functions of each axis."""
        if not self.axes:
            return np.ones((1, along[0].shape[1]))
        found = along[self.axes[0]][self.levels[0][1]]
        for a, (before, own) in zip(self.axes[1:], self.levels[1:], strict=True):
            found = found[before]
            found *= along[a][own]
        return found


@dataclass(frozen=True, eq=False)
class Expansion:
    """The terms of an expansion, written out."""

    functions: Functions
    group: Group

    def __len__(self) -> int:
        """Return the number of terms."""
        return len(self.group.sizes)

    def at(self, points: Array) -> Array:
        """Return the terms at points (n, d), shape (r, n)."""
        return self.group.at(self.functions.along(points))


@dataclass(frozen=True, eq=False)
class Halves:
    """The terms of an expansion as pairs: step q of the second half goes with the first few."""

    functions: Functions
    first: Group
    second: Group
    steps: list[tuple[slice, int]]  # products of the second half, and how many of the first

    def __len__(self) -> int:
        """Return the number of terms."""
        return sum((some.stop - some.start) * count for some, count in self.steps)

    def empty(self, columns: int) -> list[Array]:
        """Return the sums over no token, of so many columns."""
        return [np.zeros(((s.stop - s.start) * columns, count)) for s, count in self.steps]

    def add(self, sums: list[Array], along: list[Array], columns: Array) -> None:
        """Add to sums those of the columns (c, n) of n tokens, from the functions there."""
        first, second = self.first.at(along), self.second.at(along)
        for total, (some, count) in zip(sums, self.steps, strict=True):
            total += (second[some, None] * columns).reshape(len(total), -1) @ first[:count].T

    def read(self, sums: list[Array], along: list[Array]) -> Array:
        """Return the sums of the terms at n targets, shape (c, n), from the functions there."""
        first, second = self.first.at(along), self.second.at(along)
        found: Any = 0.0
        for total, (some, count) in zip(sums, self.steps, strict=True):
            part = (total @ first[:count]).reshape(some.stop - some.start, -1, second.shape[1])
            part *= second[some, None]
            found = found + part.sum(axis=0)
        return np.asarray(found)


class Sweep:
    """The functions of the axes at one slice of points after another, found for many at a time."""

    def __init__(self, functions: Functions, points: Array) -> None:
        self.functions, self.points = functions, points
        self.start, self.along = 0, functions.along(points[:AHEAD])

    def __getitem__(self, rows: slice) -> list[Array]:
        """Return the functions of each axis at a slice of the points, shapes (r, n)."""
        if rows.start < self.start or rows.stop > self.start + self.along[0].shape[1]:
            self.start = rows.start
            self.along = self.functions.along(self.points[rows.start : rows.start + AHEAD])
        here = slice(rows.start - self.start, rows.stop - self.start)
        return [functions[:, here] for functions in self.along]


def expansion(radii: Array, tol: float, most: int = MOST_TERMS) -> Expansion | None:
    """Return the expansion of exp(-|t - y|^2 / 2) on a box of such half-sides, written out.

    Its largest error is of the order of `tol`. None where it needs more than `most` terms.
    """
    found = halves(radii, tol)
    if found is None or len(found) > 2 * most:  # they come in steps
        return None
    group = Group.of(found.functions, found.functions.wide, _least(found.functions, tol))
    return None if len(group.sizes) > most else Expansion(found.functions, group)


def halves(radii: Array, tol: float) -> Halves | None:
    """Return that expansion in two halves; None for a box too large, or with too many axes."""
    functions = Functions.of(radii, tol)
    if functions is None:
        return None
    axes: tuple[list[int], list[int]] = ([], [])
    counts = [1, 1]
    least = _least(functions, tol)
    for a in functions.wide:
        k = int(counts[1] < counts[0])
        axes[k].append(a)
        counts[k] *= len(functions.sizes[a])
    groups = [Group.of(functions, some, least) for some in axes]
    second, first = sorted(groups, key=lambda group: len(group.sizes))
    parts = slices(0, len(second.sizes), max(SHORTEST, -(-len(second.sizes) // STEPS)))
    counted = [int((first.sizes * second.sizes[part.start] > least).sum()) for part in parts]
    return Halves(functions, first, second, list(zip(parts, counted, strict=True)))


def _least(functions: Functions, tol: float) -> float:
    """Return the size up to which terms are dropped: they are more where there are more axes."""
    return tol / 10 / 2.0 ** max(0, len(functions.wide) - 4)


def _eigenfunctions(radius: float, tol: float) -> tuple[Array, Array]:
    """Return relative eigenvalues and Chebyshev coefficients (p, r) of functions on an axis.

    The functions carry the square roots of their eigenvalues: the sum of their products is the
    Gaussian on [-radius, radius].
    """
    p = 12 + int(8 * radius) + int(-np.log10(tol))
    u = places_of(p)
    sizes, vectors = np.linalg.eigh(np.exp(-((radius * (u[:, None] - u)) ** 2) / 2))
    sizes, vectors = np.maximum(sizes[::-1], 0.0), vectors[:, ::-1]
    kept = sizes > 1e-3 * tol * sizes[0]
    return sizes[kept] / sizes[0], from_values(p) @ (vectors[:, kept] * np.sqrt(sizes[kept]))
