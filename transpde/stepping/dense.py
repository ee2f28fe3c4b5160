r"""Polynomials on a step, read case by case at places or at times.

Both methods state theirs as $z + \sum_i c_i(x)\,p_i$ with $c_i$ the product of the first i of
factors that are each x or 1 - x, x from 0 to 1 on the step.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.polynomial import polynomial

from transpde.checks import Array

__all__ = ["Polynomial"]

ROUNDS = 60  # of Newton's method between brackets, at most


class Polynomial:
    """The polynomials of a stack on one step.

    Args:
        start: states (b, M) at x = 0.
        parts: the p_i, shape (m, b, M).
        factors: "x" or "1" (for 1 - x) for each part.
    """

    def __init__(self, start: Array, parts: Array, factors: str) -> None:
        self.start, self.parts, self.factors = start, parts, factors

    def at(self, rows: Array, x: Array) -> Array:
        """Return the states (p, M) of cases `rows` (p,) at places x (p,)."""
        weights, rest = np.empty((len(self.factors), len(x))), 1 - x
        power: Any = 1.0
        for weight, kind in zip(weights, self.factors, strict=True):
            power = np.multiply(power, x if kind == "x" else rest, out=weight)
        if len(self.start) == 1 or (rows == rows[0]).all():
            return self.start[rows[0]] + weights.T @ self.parts[:, rows[0]]
        return self.start[rows] + np.einsum("mp,mpk->pk", weights, self.parts[:, rows])

    def at_times(self, rows: Array, times: Array) -> Array:
        """Return the states of cases `rows` where their last coordinate, increasing, is a time."""
        return self.at(rows, self.places(rows, times))

    def places(self, rows: Array, times: Array) -> Array:
        """Return x at which the last coordinate is a time, by Newton between brackets."""
        powers = self.parts[:, rows, -1].T @ _in_powers(self.factors)
        powers[:, 0] += self.start[rows, -1] - times
        slopes = powers[:, 1:] * np.arange(1, powers.shape[1])
        low, high = np.zeros_like(times), np.ones_like(times)
        x: Array = np.clip(-powers[:, 0] / powers[:, 1:].sum(axis=1), 0.0, 1.0)
        for _ in range(ROUNDS):
            value, slope = _horner(powers, x), _horner(slopes, x)
            low, high = np.where(value < 0, x, low), np.where(value < 0, high, x)
            with np.errstate(divide="ignore", invalid="ignore"):
                new: Array = x - value / slope
            inside = (new >= low) & (new <= high)
            new = np.where(inside, new, (low + high) / 2)
            done = np.abs(new - x) <= 4e-16
            x = new
            if done.all():
                break
        return x


@cache
def _in_powers(factors: str) -> Array:
    """Return the products of the factors as polynomials, a row of coefficients each."""
    one: Array = np.ones(1)
    rows = []
    for kind in factors:
        one = polynomial.polymul(one, [0.0, 1.0] if kind == "x" else [1.0, -1.0])
        rows.append(np.pad(one, (0, len(factors) + 1 - len(one))))
    return np.array(rows)


def _horner(powers: Array, x: Array) -> Array:
    value: Array = powers[:, -1]
    for column in powers.T[-2::-1]:
        value = value * x + column
    return value
