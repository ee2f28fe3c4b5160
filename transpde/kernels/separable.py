r"""A separable expansion of $e^{t\cdot y}$ for few dimensions, and causal sums by it.

$e^{t\cdot y} = e^{|t|^2/2}\,e^{-|t - y|^2/2}\,e^{|y|^2/2}$ once t and y are scaled to boxes of one
size. The Gaussian in the middle is a product over axes, each with a short eigenfunction expansion
on its interval, found on Chebyshev nodes. The factors at the sides cancel in a softmax, and
Sinkhorn's potentials absorb them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transpde.checks import Array
from transpde.kernels.blocks import CausalOrder, box
from transpde.kernels.nodes import from_values, places_of, polynomials

__all__ = ["Expansion", "Scaled", "causal_means", "expansion", "scaled"]

BLOCK = 256  # tokens whose sums among each other are exact
AHEAD = 4096  # points at which the functions of the axes are evaluated at once
MOST_TERMS = 1500
LARGEST_RADIUS = 12.0  # half the side of a box for which the expansion is worth its terms


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
    t, y = (t - middle) * np.where(flat, 0.0, ratio), (y - shift) * np.where(flat, 0.0, 1 / ratio)
    return Scaled(t, y, np.sqrt(a * b), bias)


@dataclass(frozen=True, eq=False)
class Expansion:
    """Functions whose products sum to the Gaussian of a difference, on a box."""

    radii: Array
    tables: list[Array]  # Chebyshev coefficients (p, r) of the functions of each axis
    kept: Array  # (r, d): which function of each axis has a part in each term

    def __len__(self) -> int:
        """Return the number of terms."""
        return len(self.kept)

    def along(self, points: Array) -> list[Array]:
        """Return the functions of each axis at points (n, d), shapes (r, n)."""
        units = [x / r if r > 0 else 0.0 * x for x, r in zip(points.T, self.radii, strict=True)]
        pairs = zip(units, self.tables, strict=True)
        return [table.T @ polynomials(u, len(table)) for u, table in pairs]

    def products(self, along: list[Array]) -> Array:
        """Return the terms, shape (r, n), from the functions of each axis."""
        terms = along[0][self.kept[:, 0]]
        for a, functions in enumerate(along[1:], start=1):
            terms *= functions[self.kept[:, a]]
        return terms


class _Sweep:
    """The terms at one slice of points after another, with the functions of many at a time."""

    def __init__(self, terms: Expansion, points: Array) -> None:
        self.terms, self.points = terms, points
        self.start, self.along = 0, terms.along(points[:AHEAD])

    def __getitem__(self, rows: slice) -> Array:
        """Return the terms at a slice of the points, shape (r, n)."""
        if rows.stop > self.start + self.along[0].shape[1]:
            self.start = rows.start
            self.along = self.terms.along(self.points[rows.start : rows.start + AHEAD])
        here = slice(rows.start - self.start, rows.stop - self.start)
        return self.terms.products([functions[:, here] for functions in self.along])


def expansion(radii: Array, tol: float, most: int = MOST_TERMS) -> Expansion | None:
    """Return the expansion of exp(-|t - y|^2 / 2) on a box of such half-sides, at most 3 of them.

    Its largest error is of the order of `tol`. None where it needs more than `most` terms.
    """
    if not radii.max(initial=0.0) <= LARGEST_RADIUS:
        return None
    axes = [_eigenfunctions(float(radius), tol) for radius in radii]
    kept = _kept([sizes for sizes, _ in axes], tol)
    return None if len(kept) > most else Expansion(radii, [table for _, table in axes], kept)


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


def _kept(sizes: list[Array], tol: float) -> Array:
    """Return the choices of one function an axis whose product matters, shape (r, d)."""
    grid = np.meshgrid(*[np.arange(len(s)) for s in sizes], indexing="ij")
    index = np.stack([axis.ravel() for axis in grid], axis=-1)
    product = np.prod([s[index[:, a]] for a, s in enumerate(sizes)], axis=0)
    return index[product > tol / 10]


def causal_means(
    t: Array, y: Array, bias: Array, values: Array, order: tuple[Array, Array], tol: float
) -> tuple[Array, Array] | None:
    """Return means under exp(t.y + bias) over the tokens at or before each target's position.

    With them the share (m,) of the weights of those tokens that reaches each target: the error of
    the expansion is relative to the weights, so that the mean is worst where the share is least.
    Blocks of tokens before the target's own come by the expansion, its own block exactly.
    None where the expansion has too many terms to be worth it, or the sums lose their sign.
    """
    seen = CausalOrder.at_or_before(*order)
    unit = scaled(t[seen.targets], y[seen.tokens])
    terms = expansion(unit.radii, tol, min(MOST_TERMS, len(y) // 16))
    if terms is None:
        return None
    height = (unit.y**2).sum(axis=1) / 2 + bias[seen.tokens] + unit.bias
    weights = np.exp(height - height.max())
    columns = weights[:, None] * np.column_stack([values[seen.tokens], np.ones(len(values))])
    near = np.column_stack([unit.t, np.ones(len(t)), (unit.t**2).sum(axis=1) / -2])
    keys = np.column_stack([unit.y, (unit.y**2).sum(axis=1) / -2, np.ones(len(y))])
    at_targets, at_keys = _Sweep(terms, unit.t), _Sweep(terms, unit.y)
    state, sums = np.zeros((len(terms), columns.shape[1])), np.empty((len(t), columns.shape[1]))
    ends = np.searchsorted(seen.counts, np.arange(0, len(y) + BLOCK, BLOCK), side="right")
    for b, start in enumerate(range(0, len(y), BLOCK)):
        block = slice(start, min(start + BLOCK, len(y)))
        for first in range(ends[b], ends[b + 1], BLOCK):
            rows = slice(first, min(first + BLOCK, ends[b + 1]))
            gaussian = np.exp(near[rows] @ keys[block].T)
            gaussian[np.arange(block.start, block.stop) >= seen.counts[rows, None]] = 0.0
            sums[rows] = at_targets[rows].T @ state + gaussian @ columns[block]
        state += at_keys[block] @ columns[block]
    means, shares = np.empty((len(t), values.shape[1])), np.empty(len(t))
    with np.errstate(all="ignore"):
        means[seen.targets] = sums[:, :-1] / sums[:, -1:]
        shares[seen.targets] = sums[:, -1] / np.cumsum(weights)[seen.counts - 1]
    return (means, shares) if np.isfinite(means).all() else None
