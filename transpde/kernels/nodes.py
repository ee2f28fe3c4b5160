r"""Sums of exponentials by interpolation from Chebyshev nodes, in at most three dimensions.

On the nodes of a box around the targets, $Z(t) = \sum_j e^{t\cdot y_j + b_j}$ and
$N(t) = \sum_j e^{t\cdot y_j + b_j} v_j$ need one exponential a token, node and *axis*: the rest
are matrix products. Their quotient has poles off the real axis, and Z alone ranges over many
powers of ten. Both are therefore divided by the exponential of a quadratic fitted to log Z,
interpolated, and divided by each other: the factor cancels. For Gaussian data log Z is a
quadratic. Where N itself is wanted, the factor comes back at the targets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.polynomial import chebyshev

from transpde.checks import Array
from transpde.kernels.blocks import across, box, chunks, in_threads, slices

__all__ = [
    "InBox",
    "Nodes",
    "at_targets",
    "coefficients_of",
    "from_values",
    "interpolated_means",
    "interpolated_sums",
    "means_and_divisors",
    "nodes_needed",
    "places_of",
    "polynomials",
    "tensor_sums",
]

SHORTEST = 5000  # of a chunk
WIDTH = 2560  # tokens, or targets, of a tile
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
    return means_and_divisors(t, y, bias, values, nodes)[0]


def means_and_divisors(
    t: Array, y: Array, bias: Array, values: Array, nodes: Nodes
) -> tuple[Array, Array]:
    """Return the interpolated means (m, c), and what each is divided by, shape (m,).

    What is divided has an error of one size over the whole box: the quotient is worst where the
    divisor is least.
    """
    sums = _SumsAtNodes.of(t, y, bias, values, nodes)
    result, divisors = np.empty((len(t), values.shape[1])), np.empty(len(t))

    def put(rows: slice, found: Array) -> None:
        result[rows], divisors[rows] = (found[:-1] / found[-1]).T, found[-1]

    at_targets(sums.targets, sums.coefficients, put)
    return result, divisors


def interpolated_sums(
    t: Array, y: Array, bias: Array, values: Array, heights: Array, nodes: Nodes
) -> Array:
    """Return the sums (m, c) of values (n, c) times exp(t.y + bias + height of the target)."""
    sums = _SumsAtNodes.of(t, y, bias, values, nodes)
    result, middle = np.empty((len(t), values.shape[1])), box(y)[0]

    def put(rows: slice, found: Array) -> None:
        level = heights[rows] + (t[rows] - sums.targets.centre) @ middle + sums.top
        level += _monomials(sums.targets.units(rows).T) @ sums.quadratic
        result[rows] = (found[:-1] * np.exp(level)).T

    at_targets(sums.targets, sums.coefficients, put)
    return result


class InBox(NamedTuple):
    """Points (n, d) with the middle and the half-sides of the box around them."""

    points: Array
    centre: Array
    half: Array

    @classmethod
    def of(cls, points: Array) -> InBox:
        """Return points in the box around them."""
        return cls(points, *box(points))

    @property
    def scale(self) -> Array:
        """The half-sides, one where the box is flat."""
        return np.where(self.half > 0, self.half, 1.0)

    def units(self, rows: slice) -> Array:
        """Return a slice of the points in [-1, 1]^d, shape (d, width)."""
        units = across(self.points[rows], self.centre)
        units /= self.scale[:, None]
        return units


class _SumsAtNodes(NamedTuple):
    """Sums over tokens at the nodes, divided by the exponential of a quadratic.

    The sums of values come first and those of the weights last. They want, besides the quadratic,
    a factor exp((t - centre).middle + top), with the middle of the keys.
    """

    coefficients: Array  # (c + 1, p1, ..., pd), Chebyshev
    targets: InBox
    top: float
    quadratic: Array

    @classmethod
    def of(cls, t: Array, y: Array, bias: Array, values: Array, nodes: Nodes) -> _SumsAtNodes:
        targets = InBox.of(t)
        bias = bias + y @ targets.centre
        top = float(bias.max())

        def weigh(some: slice, columns: Array) -> None:
            weights = np.exp(bias[some] - top, out=columns[-1])
            np.multiply(weights, values[some].T, out=columns[:-1])

        places, c = [places_of(p) for p in nodes.counts], values.shape[1] + 1
        sums, logs = _node_sums(places, targets.scale, InBox.of(y), weigh, c)
        with np.errstate(divide="ignore"):
            tilt, quadratic = _quadratic(places, np.log(sums[-1]) + logs)
        return cls(coefficients_of(sums * np.exp(logs - tilt)), targets, top, quadratic)


def _node_sums(
    places: list[Array], scale: Array, y: InBox, weigh: Callable[[slice, Array], None], c: int
) -> tuple[Array, Array]:
    """Return S (c, p1, ..., pd) and L (p1, ..., pd): the sums at the nodes are S times exp(L)."""
    nodes = [u * side for u, side in zip(places, scale, strict=True)]
    lows = [np.abs(u)[:, None] * reach for u, reach in zip(nodes, y.half, strict=True)]

    def fill(some: slice, columns: Array, factors: list[Array]) -> None:
        weigh(some, columns)
        keys = across(y.points[some], y.centre)
        for u, low, along, factor in zip(nodes, lows, keys, factors, strict=True):
            np.multiply.outer(u, along, out=factor)
            factor -= low
            np.exp(factor, out=factor)

    logs = np.asarray(sum(np.ix_(*[low[:, 0] for low in lows])) + 0.0)
    return tensor_sums(len(y.points), c, [len(u) for u in places], fill), logs


def tensor_sums(
    n: int, c: int, counts: Sequence[int], fill: Callable[[slice, Array, list[Array]], None]
) -> Array:
    """Return the sums (c, p1, ..., pd) over n tokens of c columns times a factor for each axis.

    Args:
        n: how many tokens.
        c: how many columns.
        counts: p1, ..., pd.
        fill: called with a slice of the tokens, an array (c, width) and one (p, width) for each
            axis, it puts in the columns and the factors of these tokens.
    """

    def part(chunk: slice) -> Array:
        total = np.zeros((int(np.prod(counts[:-1])), c * counts[-1]))
        room, last = [np.empty((p, WIDTH)) for p in (c, *counts)], np.empty((c, counts[-1], WIDTH))
        for one in slices(chunk.start, chunk.stop, WIDTH):
            width = one.stop - one.start
            columns, *factors = (array[:, :width] for array in room)
            fill(one, columns, factors)
            if len(factors) == 1:
                total[0] += (columns @ factors[0].T).ravel()
                continue
            np.multiply(columns[:, None], factors[-1], out=last[:, :, :width])
            total += _products(factors[:-1]) @ last.reshape(-1, WIDTH)[:, :width].T
        return total

    parts = in_threads(part, chunks(n, SHORTEST), n * _cost(counts, c))
    total = np.sum(parts, axis=0).reshape(*counts[:-1], c, counts[-1])
    return np.moveaxis(total, -2, 0)


def _cost(counts: Sequence[int], c: int) -> float:
    """Return the time of c sums over the nodes for a token, in nanoseconds."""
    return c * float(np.prod(counts)) / 8 + 2 * sum(counts)


def _products(factors: Sequence[Array]) -> Array:
    """Return the products over axes, (p1 p2 ..., width), a row each choice of nodes."""
    rows, *others = factors
    for factor in others:
        rows = (rows[:, None, :] * factor).reshape(-1, factor.shape[-1])
    return rows


def _quadratic(places: list[Array], heights: Array) -> tuple[Array, Array]:
    """Return the quadratic nearest to the heights at the nodes: there, and its coefficients."""
    grid = np.stack(np.meshgrid(*places, indexing="ij"), axis=-1).reshape(heights.size, -1)
    basis = _monomials(grid)
    fitted = np.linalg.lstsq(basis.T @ basis, basis.T @ heights.ravel(), rcond=1e-12)[0]
    return np.asarray(basis @ fitted).reshape(heights.shape), fitted


def _monomials(points: Array) -> Array:
    """Return one, the coordinates of points (n, d) and their products by two, a row a point."""
    d = points.shape[1]
    pairs = [points[:, a] * points[:, b] for a in range(d) for b in range(a, d)]
    return np.column_stack([np.ones(len(points)), points, *pairs])


def coefficients_of(values: Array) -> Array:
    """Return the Chebyshev coefficients (c, p1, ..., pd) of values at the nodes."""
    for axis, p in enumerate(values.shape[1:], start=1):
        values = np.moveaxis(np.tensordot(from_values(p), values, axes=(1, axis)), 0, axis)
    return values


def at_targets(targets: InBox, coefficients: Array, put: Callable[[slice, Array], None]) -> None:
    """Call `put` with slices of the targets and the functions on their box there, (c, width)."""
    c, *counts = coefficients.shape
    table = np.moveaxis(coefficients, -1, 1).reshape(c * counts[-1], -1)
    n = len(targets.points)

    def fill(chunk: slice) -> None:
        room, inner = np.empty((max(counts), len(counts), WIDTH)), np.empty((len(table), WIDTH))
        for rows in slices(chunk.start, chunk.stop, WIDTH):
            width = rows.stop - rows.start
            along = polynomials(targets.units(rows), max(counts), room[:, :, :width])
            factors = [along[:p, a] for a, p in enumerate(counts)]
            if len(factors) == 1:
                put(rows, coefficients @ factors[0])
            else:
                np.matmul(table, _products(factors[:-1]), out=inner[:, :width])
                sums = inner.reshape(c, counts[-1], WIDTH)[:, :, :width]
                put(rows, np.einsum("cpm,pm->cm", sums, factors[-1]))

    in_threads(fill, chunks(n, SHORTEST), n * _cost(counts, c))


def polynomials(u: Array, count: int, rows: Array | None = None) -> Array:
    """Return the Chebyshev polynomials of degree below `count` at points u, a row each."""
    rows = np.empty((count, *np.shape(u))) if rows is None else rows
    rows[:2] = np.stack([np.ones_like(u), u])[:count]
    m = 1
    while m + 1 < count:  # T_{m+j} = 2 T_m T_j - T_{m-j}: few operations, on many rows
        more = min(m, count - m - 1)
        new = rows[m + 1 : m + 1 + more]
        np.multiply(2 * rows[m], rows[1 : 1 + more], out=new)
        new -= rows[m - more : m][::-1]
        m += more
    return rows
