"""Steps of stiff cases: which they are, which method takes them, and how one step begins the next.

An explicit step of order 8 is limited by a large rate long before it is unstable: a fast mode that
follows a slow motion costs it all but its lowest order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from transpde.checks import Array
from transpde.kernels.blocks import one_blas_thread
from transpde.stepping.equation import Cases, Equation
from transpde.stepping.explicit import STABLE
from transpde.stepping.implicit import Implicit
from transpde.stepping.options import Options
from transpde.stepping.radau import FARTHEST, MIDDLE, STAGES, Radau, farther

__all__ = ["Stiff", "limited_by_rate"]

# A step times the largest rate, over its border of stability, from which the rate limits it; and
# from which it does if the motion itself is so many times slower.
AT_BORDER, WELL_INSIDE, SLOWER = 0.4, 0.1, 30.0

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
        # The estimate of Radau filters out the error of a mode that follows a force in time.
        self.radau = options.method == "auto" and equation.schedule.constant
        self.equation = equation
        self.shape, self.last = shape, np.zeros(shape[0])  # steps, 0 where none foretells
        self.moved: Any = None
        # The estimate has order 7, the method 13: its error is far smaller.
        loose = LOOSE * options.rtol ** (-(STAGES - 1) / (2 * STAGES))
        self.tolerance = max(1.0, loose) if self.radau and ends_alone else 1.0

    @one_blas_thread()
    def step(self, cases: Cases, z: Array, slope: Array, h: Array, scale: Array) -> Any:
        """Return a step of some cases; see `Radau`. Its matrices are small: threads only wait."""
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

    def longest(self, rows: Array) -> Array:
        """Return how long the next steps may be for the last ones to foretell their stages."""
        last = self.last[rows]
        return np.where(last > 0, FARTHEST * last, np.inf)

    def keep(self, rows: Array, good: Array, step: Any) -> None:
        """Remember the stages of good steps."""
        if self.radau:
            self.moved[:, rows[good]] = step.moved[:, good]
            self.last[rows[good]] = step.h[good, 0]

    def forget(self, rows: Array) -> None:
        """Let no polynomial go on where coordinates, clocks or parameters have changed."""
        self.last[rows] = 0.0


def limited_by_rate(step: Any, good: Array, derived: bool) -> Array:
    """Return which good explicit steps a rate limits that has no part in the motion.

    Args:
        step: the steps, see `Explicit`.
        good: which of them count.
        derived: whether the equation has an exact derivative; by differences a stiff step costs
            so much that only a step at the border of stability is worth it.
    """
    share = step.stiffness()[good]
    if not derived:
        return np.asarray(share > AT_BORDER)
    motion, place = (np.linalg.norm(a[good, :-1], axis=1) for a in (step.slope, step.new))
    hidden = share * STABLE * place > SLOWER * step.h[good, 0] * motion
    return np.asarray((share > AT_BORDER) | ((share > WELL_INSIDE) & hidden))
