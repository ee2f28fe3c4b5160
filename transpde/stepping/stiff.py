"""Steps of stiff cases: which method takes them, and what one step tells of the next."""

from __future__ import annotations

from typing import Any

import numpy as np

from transpde.checks import Array
from transpde.stepping.equation import Cases, Equation
from transpde.stepping.implicit import Implicit
from transpde.stepping.options import Options
from transpde.stepping.radau import MIDDLE, STAGES, Radau, farther

__all__ = ["Stiff"]

LOOSE = 1e-2  # of what the orders of a method and of its error estimate have between them


class Stiff:
    """The stiff method of a stack, with the stages of the last steps.

    Args:
        equation: the equation of all cases.
        options: how to step.
        shape: that of the states of all cases, (B, M).
        ends_alone: whether only the ends of steps matter, and so not their polynomials.
    """

    def __init__(
        self, equation: Equation, options: Options, shape: tuple[int, int], ends_alone: bool
    ) -> None:
        self.equation, self.radau = equation, options.method == "auto"
        self.shape, self.last = shape, np.zeros(shape[0])  # steps, 0 where none foretells
        self.moved: Any = None
        # The estimate has order 7, the method 13: its error is far smaller.
        loose = LOOSE * options.rtol ** (-(STAGES - 1) / (2 * STAGES))
        self.tolerance = max(1.0, loose) if self.radau and ends_alone else 1.0

    def step(self, cases: Cases, z: Array, slope: Array, h: Array, scale: Array) -> Any:
        """Return a step of some cases; see `Radau`."""
        equation, rows = self.equation, cases.rows

        def derivative(points: Array) -> Array:
            return equation.derivative(points, cases)

        if not self.radau:
            return Implicit(derivative, z, slope, h, equation.jacobian(z, slope, cases))
        if self.moved is None:
            self.moved = np.zeros((STAGES, *self.shape))
        repeated = equation.repeated(cases, STAGES)
        foretold = farther(self.moved[:, rows], h / self.last[rows])
        middle = z + foretold[MIDDLE]
        J = equation.jacobian(middle, derivative(middle), cases)

        def stages(points: Array) -> Array:
            return equation.derivative(points, repeated)

        return Radau(derivative, stages, z, slope, h, J, scale, foretold)

    def keep(self, rows: Array, good: Array, step: Any) -> None:
        """Remember the stages of good steps."""
        if self.radau:
            self.moved[:, rows[good]] = step.moved[:, good]
            self.last[rows[good]] = step.h[good, 0]

    def forget(self, rows: Array) -> None:
        """Let no polynomial go on where coordinates, clocks or parameters have changed."""
        self.last[rows] = 0.0
