r"""Sums of weights that are a smooth function of the score, interpolated on both sides.

$f(t\cdot y)$ is interpolated from Chebyshev nodes in t and in y, each in a box of at most three
dimensions. A sum over tokens is then carried by the nodes among the keys, an exact sum over these
gives it at the nodes among the targets, and a polynomial at the targets. The function is evaluated
between nodes only. How many of them it needs follows from the Chebyshev series that it has on the
scores which occur: no pole need be known.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np

from transpde.checks import Array
from transpde.kernels.blocks import box
from transpde.kernels.nodes import (
    InBox,
    Nodes,
    at_targets,
    coefficients_of,
    from_values,
    places_of,
    polynomials,
    tensor_sums,
)
from transpde.kernels.sums import PointwiseSum

__all__ = ["BothSides", "both_sides", "doubly_interpolated_sums", "series_length"]

WINDOWS = 17  # of the scores, on which the series are taken
FIRST, LONGEST = 32, 512  # terms of a series

Function = Callable[[Array], Array]


class BothSides(NamedTuple):
    """How many Chebyshev nodes the boxes of the targets and of the keys have."""

    targets: Nodes
    keys: Nodes

    @property
    def pairs(self) -> int:
        """How often the function is evaluated."""
        return self.targets.total * self.keys.total

    def times(self, factor: float) -> BothSides:
        """Return more nodes along each axis that has several."""
        return BothSides(self.targets.times(factor), self.keys.times(factor))


def both_sides(t: Array, y: Array, function: Function, tol: float) -> BothSides | None:
    """Return the nodes that a function of t.y wants; None where none will do."""
    (ct, ht), (cy, hy) = box(t), box(y)
    corners = [(ct + i * ht) * (cy + j * hy) for i, j in product((-1, 1), repeat=2)]
    low, high = np.min(corners, axis=0).sum(), np.max(corners, axis=0).sum()
    counts = []
    for halves in (ht * (np.abs(cy) + hy), hy * (np.abs(ct) + ht)):
        along = [series_length(function, low, high, float(half), tol) for half in halves]
        if None in along:
            return None
        counts.append(Nodes(tuple(int(p or 1) for p in along)))
    return BothSides(*counts)


def series_length(
    function: Function, low: float, high: float, half: float, tol: float
) -> int | None:
    """Return how many Chebyshev nodes a function wants on each window [c - half, c + half].

    The windows lie in [low, high], and the rest of the series is at most half of tol, relative to
    the largest value. None where `LONGEST` nodes are too few, as for a function with a corner.
    """
    if half == 0:
        return 1
    centres = np.linspace(min(low + half, high), max(high - half, low), WINDOWS)
    p = FIRST
    while p <= LONGEST:
        values = function(centres + half * places_of(p)[:, None])
        if not np.isfinite(values).all():
            return None
        rest = np.cumsum(np.abs(from_values(p) @ values).max(axis=1)[::-1])[::-1]
        small = 2 * rest <= tol * np.abs(values).max()
        if small[3 * p // 4]:
            return max(int(small.argmax()), 1)
        p *= 2
    return None


def doubly_interpolated_sums(
    t: Array, y: Array, columns: Array, function: Function, nodes: BothSides
) -> Array:
    """Return the sums (m, c) of columns (c, n) times function(t.y), for targets t and keys y."""
    keys, targets, c = InBox.of(y), InBox.of(t), len(columns)

    def fill(some: slice, here: Array, factors: list[Array]) -> None:
        here[...] = columns[:, some]
        for u, factor in zip(keys.units(some), factors, strict=True):
            polynomials(u, len(factor), factor)

    carried = tensor_sums(len(y), c, nodes.keys.counts, fill)
    for axis, p in enumerate(nodes.keys.counts, start=1):
        carried = np.moveaxis(np.tensordot(from_values(p), carried, axes=(0, axis)), 0, axis)
    places = _grid(keys, nodes.keys)
    between = PointwiseSum(np.eye(t.shape[1]), None, places, np.ones(len(places)), function)
    found = between.mean(_grid(targets, nodes.targets), carried.reshape(c, -1).T)
    coefficients = coefficients_of(found.T.reshape(c, *nodes.targets.counts))
    result = np.empty((len(t), c))

    def put(rows: slice, values: Array) -> None:
        result[rows] = values.T

    at_targets(targets, coefficients, put)
    return result


def _grid(inside: InBox, nodes: Nodes) -> Array:
    """Return the nodes of a box as points, the last axis fastest."""
    places = [places_of(p) for p in nodes.counts]
    units = np.stack(np.meshgrid(*places, indexing="ij"), axis=-1)
    return inside.centre + inside.half * units.reshape(-1, len(places))
