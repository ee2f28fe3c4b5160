r"""Softmax means by interpolation from Chebyshev nodes, for targets in at most three dimensions.

On the nodes of a box around the targets, $Z(t) = \sum_j e^{t\cdot y_j + b_j}$ and
$N(t) = \sum_j e^{t\cdot y_j + b_j} v_j$ need one exponential a token, node and *axis*: the rest
are matrix products. Their quotient has poles off the real axis, and Z alone ranges over many
powers of ten. Both are therefore divided by the exponential of a quadratic fitted to log Z,
interpolated, and divided by each other: the factor cancels. For Gaussian data log Z is a
quadratic.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.polynomial import chebyshev

from transpde.checks import Array
from transpde.kernels.blocks import box, in_threads

__all__ = [
    "Nodes",
    "from_values",
    "interpolated_means",
    "nodes_needed",
    "places_of",
    "polynomials",
]

CHUNKS = 8  # of tokens, added in order: the result does not depend on the number of threads
WIDTH = 1024  # tokens, or targets, of a tile
LARGEST_EXPONENT = 300.0


class Nodes(NamedTuple):
    """How many Chebyshev nodes each axis of the box of the targets has."""

    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        """The number of nodes in the box."""
        return int(np.prod(self.counts))

    def times(self, factor: float) -> Nodes:
        """Return more nodes along each axis that has several."""
        return Nodes(tuple(int(factor * p) if p > 1 else 1 for p in self.counts))


def nodes_needed(t: Array, y: Array, tol: float) -> Nodes | None:
    """Return the nodes that targets and tokens of such ranges want; None where none will do."""
    sizes = box(t)[1] * box(y)[1]
    if not sizes.sum() < LARGEST_EXPONENT:
        return None
    return Nodes(tuple(_along(float(size), tol) for size in sizes))


def _along(size: float, tol: float) -> int:
    """Return how many terms the Chebyshev series of exp(size * u) on [-1, 1] needs, and two."""
    if size < tol:
        return 1
    term, k = 1.0, 0
    while term > tol or k < size / 2:
        k += 1
        term *= size / (2 * k)
    return k + 2


def places_of(p: int) -> Array:
    """Return the p Chebyshev nodes of [-1, 1]."""
    return np.asarray(np.cos(np.pi * (np.arange(p) + 0.5) / p))


def from_values(p: int) -> Array:
    """Return the matrix (p, p) from values at the nodes to Chebyshev coefficients."""
    inverse = chebyshev.chebvander(places_of(p), p - 1).T * 2 / p
    inverse[0] /= 2
    return np.asarray(inverse)


def interpolated_means(t: Array, y: Array, bias: Array, values: Array, nodes: Nodes) -> Array:
    """Return the means (m, c) of values (n, c) under exp(t.y + bias).

    Args:
        t: targets, shape (m, d), d at most 3.
        y: keys, shape (n, d).
        bias: shape (n,).
        values: shape (n, c).
        nodes: how many along each axis.
    """
    centre, half = box(t)
    scale = np.where(half > 0, half, 1.0)
    bias = bias + y @ centre
    y = (y - box(y)[0]) * scale  # the middle of the keys gives a factor that cancels
    weights = np.exp(bias - bias.max())
    columns = np.vstack([weights * values.T, weights])
    places = [places_of(p) for p in nodes.counts]
    sums, logs = _node_sums(places, y, columns)
    with np.errstate(divide="ignore"):
        tilt = _quadratic(places, np.log(sums[-1]) + logs)
    return _quotients((t - centre) / scale, _coefficients(sums * np.exp(logs - tilt)))


def _node_sums(places: list[Array], y: Array, columns: Array) -> tuple[Array, Array]:
    """Return S (c, p1, ..., pd) and L (p1, ..., pd): the sums at the nodes are S times exp(L)."""
    reach = box(y)[1]
    chunks = np.array_split(np.arange(len(y)), CHUNKS)

    def part(chunk: Array) -> Array:
        total = np.zeros((_size(places[:-1]), len(columns) * len(places[-1])))
        for start in range(0, len(chunk), WIDTH):
            one = slice(chunk[start], chunk[min(start + WIDTH, len(chunk)) - 1] + 1)
            factors = [
                np.exp(np.multiply.outer(u, y[one, a]) - np.abs(u)[:, None] * reach[a])
                for a, u in enumerate(places)
            ]
            last = (columns[:, None, one] * factors[-1]).reshape(-1, factors[-1].shape[-1])
            total += _products(factors[:-1], last.shape[-1]) @ last.T
        return total

    work = len(y) * _size(places) * len(columns) // 4
    parts = in_threads(part, [chunk for chunk in chunks if len(chunk)], work)
    shape = [len(u) for u in places]
    total = np.sum(parts, axis=0).reshape(*shape[:-1], len(columns), shape[-1])
    logs = [np.abs(u) * r for u, r in zip(places, reach, strict=True)]
    return np.moveaxis(total, -2, 0), np.asarray(sum(np.ix_(*logs)) + 0.0)


def _size(places: list[Array]) -> int:
    return int(np.prod([len(u) for u in places], dtype=int))


def _products(factors: list[Array], width: int) -> Array:
    """Return the products over axes, (p1 p2 ..., width), a row each choice of nodes."""
    rows = np.ones((1, width))
    for factor in factors:
        rows = (rows[:, None, :] * factor).reshape(-1, width)
    return rows


def _quadratic(places: list[Array], heights: Array) -> Array:
    """Return at the nodes the quadratic nearest to the heights there."""
    grid = np.stack(np.meshgrid(*places, indexing="ij"), axis=-1).reshape(heights.size, -1)
    d = grid.shape[1]
    pairs = [grid[:, a] * grid[:, b] for a in range(d) for b in range(a, d)]
    basis = np.column_stack([np.ones(len(grid)), grid, *pairs])
    fitted = np.linalg.lstsq(basis.T @ basis, basis.T @ heights.ravel(), rcond=1e-12)[0]
    return np.asarray(basis @ fitted).reshape(heights.shape)


def _coefficients(values: Array) -> Array:
    """Return the Chebyshev coefficients (c, p1, ..., pd) of values at the nodes."""
    for axis, p in enumerate(values.shape[1:], start=1):
        values = np.moveaxis(np.tensordot(from_values(p), values, axes=(1, axis)), 0, axis)
    return values


def _quotients(u: Array, coefficients: Array) -> Array:
    """Return the first interpolated functions over the last one, at points u of [-1, 1]^d."""
    c, *counts = coefficients.shape
    table = np.moveaxis(coefficients, -1, 1).reshape(c * counts[-1], -1).T
    table = np.ascontiguousarray(table)
    result = np.empty((len(u), c - 1))

    def fill(rows: slice) -> None:
        along = [polynomials(u[rows, a], p) for a, p in enumerate(counts)]
        first = _products(along[:-1], u[rows].shape[0])
        inner = (first.T @ table).reshape(-1, c, counts[-1])
        found = np.einsum("mcp,pm->mc", inner, along[-1])
        result[rows] = found[:, :-1] / found[:, -1:]

    tiles = [slice(s, min(s + WIDTH, len(u))) for s in range(0, len(u), WIDTH)]
    in_threads(fill, tiles, len(u) * table.size // 4)
    return result


def polynomials(u: Array, count: int) -> Array:
    """Return the Chebyshev polynomials of degree below `count` at points u, shape (count, m)."""
    rows = np.empty((count, len(u)))
    rows[0] = 1.0
    if count > 1:
        rows[1] = u
    for k in range(2, count):
        np.multiply(u, rows[k - 1], out=rows[k])
        rows[k] *= 2
        rows[k] -= rows[k - 2]
    return rows
