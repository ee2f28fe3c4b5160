"""Sums over the tokens of a tensor grid of the plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transpde.checks import Array, Unchanging
from transpde.kernels.sums import TokenSum

__all__ = ["PlaneSum"]

WIDTH = 1 << 17  # entries of a tile
LOST = 1e-250  # a sum so small, relative to its largest possible term, may have lost terms


@dataclass(frozen=True, eq=False)
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
        mass = np.exp(bias - top).reshape(shape)
        tilts = self.weights.queries(x) @ self.key
        sums = np.empty(x.shape)
        rows = max(1, WIDTH // sum(shape))
        for start in range(0, len(x), rows):
            tile = slice(start, start + rows)
            size, total, moment = self._moments(mass, tilts[tile])
            kept = total > LOST
            scale = 1 / np.where(kept, total, 1.0) if normalised else np.exp(top + size)
            sums[tile] = moment * scale[:, None]
            if not kept.all():
                lost = np.arange(len(x))[tile][~kept]
                sums[lost] = self.weights.mean(x[lost], tokens)
        return sums

    def _moments(self, mass: Array, tilts: Array) -> tuple[Array, Array, Array]:
        """Return (s, S0, S1): the sums of weight and of weight times y are e^s S0 and e^s S1."""
        middle = [(y[0] + y[-1]) / 2 for y in self.places]
        near = [y - c for y, c in zip(self.places, middle, strict=True)]
        reach = np.abs(tilts) * [y[-1] for y in near]
        first, second = (
            np.exp(np.multiply.outer(tilts[:, a], near[a]) - reach[:, a, None]) for a in (0, 1)
        )
        rows, columns = first * (second @ mass.T), second * (first @ mass)
        total = rows.sum(axis=1)
        moment = np.stack([rows @ near[0], columns @ near[1]], axis=1)
        return reach.sum(axis=1) + tilts @ middle, total, moment + np.outer(total, middle)
