r"""One step of DOP853 for a stack of equations, each case with a step size of its own.

Source of the method: `hairer1993solving`; its coefficients are read from `scipy.integrate.DOP853`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.integrate import DOP853

from transpde.checks import Array
from transpde.stepping.dense import Polynomial

__all__ = ["Explicit"]

Derivative = Callable[[Array], Array]

STAGES = DOP853.n_stages
WEIGHTS = [DOP853.A[s, :s] for s in range(STAGES)] + [DOP853.B]
EXTRA = list(zip(range(STAGES + 1, STAGES + 4), DOP853.A_EXTRA, strict=True))
ERRORS = np.stack([DOP853.E5, DOP853.E3])
STABLE = 6.1  # the step times the largest rate at the border of stability


class Explicit:
    """A method of order 8 with error estimates of orders 5 and 3 and an interpolant of order 7.

    Args:
        derivative: states (b, M) -> their derivatives (b, M).
        z: states (b, M), whose order in memory all that is made of them takes.
        slope: the derivatives there.
        h: steps (b,).
    """

    order = 8

    def __init__(self, derivative: Derivative, z: Array, slope: Array, h: Array) -> None:
        self.derivative, self.z, self.h = derivative, z, h[:, None]
        self.by_rows = z.flags.c_contiguous
        self.flat = np.empty((STAGES + 4, z.size))
        self.K = self._states(self.flat)
        self.K[0] = slope
        for s in range(1, STAGES):
            self.last = self._point(s, WEIGHTS[s])
            self.K[s] = derivative(self.last)
        self.new = self._point(STAGES, WEIGHTS[STAGES])
        self.slope = self.K[STAGES] = derivative(self.new)

    def _states(self, flat: Array) -> Array:
        """Return numbers (..., b M) as states (..., b, M) that lie in memory as z does."""
        b, M = self.z.shape
        if self.by_rows:
            return flat.reshape(*flat.shape[:-1], b, M)
        return flat.reshape(*flat.shape[:-1], M, b).mT

    def _point(self, s: int, weights: Array) -> Array:
        moved = weights.dot(self.flat[:s])
        moved = moved.reshape(self.z.shape) if self.by_rows else self._states(moved)
        moved *= self.h
        moved += self.z
        return moved

    def error(self, scale: Array) -> Array:
        """Return the largest error of each case over the scale (b, M) of its coordinates."""
        errors = self._states(ERRORS.dot(self.flat[: STAGES + 1]))
        errors /= scale
        errors *= errors
        e5, e3 = errors
        e3 *= 0.01
        e3 += e5
        size = np.sqrt(e3, out=e3)
        size[size == 0] = 1.0
        e5 /= size
        return np.asarray(self.h[:, 0] * np.maximum.reduce(e5, axis=1))

    def stiffness(self) -> Array:
        """Return the step times a rate of each case over its border of stability, (b,).

        Without the last coordinate, the time: late on a clock its growth would hide all else.
        """
        rise = np.linalg.norm((self.slope - self.K[STAGES - 1])[:, :-1], axis=1)
        run = np.linalg.norm((self.new - self.last)[:, :-1], axis=1)
        return self.h[:, 0] * np.divide(rise, run, out=np.zeros_like(run), where=run > 0) / STABLE

    def interpolant(self) -> Any:
        """Return the polynomial on the step."""
        for s, weights in EXTRA:
            self.K[s] = self.derivative(self._point(s, weights[:s]))
        change, h = self.new - self.z, self.h
        parts = self._states(np.empty((7, self.z.size)))
        parts[0] = change
        parts[1] = h * self.K[0] - change
        parts[2] = 2 * change - h * (self.slope + self.K[0])
        np.multiply(h, self._states(DOP853.D.dot(self.flat)), out=parts[3:])
        return Polynomial(self.z, parts, "x1x1x1x")
