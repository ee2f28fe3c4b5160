"""Sums over the tokens of a tensor grid of the plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transpde.checks import Array, Unchanging
from transpde.kernels.blocks import slices
from transpde.kernels.sums import TokenSum

__all__ = ["PlaneSum"]

WIDTH = 1 << 17  # entries of a tile
LOST = 1e-250  # a sum so small, relative to its largest possible term, may have lost terms


@dataclass(frozen=True, eq=False, repr=False)
class PlaneSum(Unchanging):
    r"""Sums over the tokens y of a tensor grid of the plane.

    A weight $e^{\langle\xi, y\rangle + b(y)}$ has a factor for each axis: a target needs
    $n_1 + n_2$ exponentials instead of $n_1 n_2$, and matrix products do the rest, to rounding.
    Other weights are summed one by one.

    Args:
        weights: the sum over the tokens of the grid, the last axis fastest.
        key: K with keys K y, up to a shift that normalisation cancels.
        places: the coordinates of the tokens along each axis, increasing.
    """

    weights: TokenSum
    key: Array
    places: tuple[Array, Array]

    def mean(self, x: Array) -> Array:
        """Return the sums of P(x_i, y) y, shape (m, 2), for targets x (m, 2)."""
        tokens = np.stack(np.meshgrid(*self.places, indexing="ij"), axis=-1).reshape(-1, 2)
        known = self.weights.exponential()
        if known is None:
            return self.weights.mean(x, tokens)
        bias, normalised = known
        top, shape = bias.max(), [len(y) for y in self.places]
        mass, places = _carrying(np.exp(bias - top).reshape(shape), self.places)
        tilts = self.weights.queries(x) @ self.key
        sums = np.empty(x.shape)
        for tile in slices(0, len(x), max(1, WIDTH // sum(shape))):
            size, total, moment = _moments(mass, places, tilts[tile])
            kept = total > LOST
            if normalised:
                sums[tile] = moment / np.where(kept, total, 1.0)[:, None]
            else:  # in two steps: the product may be a number where the exponential is none
                half = np.exp((top + size) / 2)[:, None]
                sums[tile] = moment * half * half
            if not kept.all():
                lost = np.arange(len(x))[tile][~kept]
                sums[lost] = self.weights.mean(x[lost], tokens)
        return sums


def _carrying(mass: Array, places: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
    """Return masses and coordinates without the border of rows and columns that have no mass."""
    parts = []
    for axis in (0, 1):
        filled = np.flatnonzero(mass.any(axis=1 - axis))
        parts.append(slice(filled[0], filled[-1] + 1))
    return mass[parts[0], parts[1]], (places[0][parts[0]], places[1][parts[1]])


def _moments(mass: Array, places: tuple[Array, Array], tilts: Array) -> tuple[Array, Array, Array]:
    """Return (s, S0, S1): the sums of weight and of weight times y are e^s S0 and e^s S1."""
    middle = [(y[0] + y[-1]) / 2 for y in places]
    near = [y - c for y, c in zip(places, middle, strict=True)]
    reach = np.abs(tilts) * [y[-1] for y in near]
    first, second = (
        np.exp(np.multiply.outer(tilts[:, a], near[a]) - reach[:, a, None]) for a in (0, 1)
    )
    rows, columns = first * (second @ mass.T), second * (first @ mass)
    total = rows.sum(axis=1)
    moment = np.stack([rows @ near[0], columns @ near[1]], axis=1)
    return reach.sum(axis=1) + tilts @ middle, total, moment + np.outer(total, middle)
