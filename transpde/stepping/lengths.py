"""Tolerances, and how long steps are: the first, and the next by the errors of the last ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transpde.checks import Array
from transpde.stepping.equation import Cases
from transpde.stepping.options import Options

__all__ = ["first_lengths", "next_lengths", "tolerances"]

SAFETY, SHRINK, GROW = 0.9, 0.2, 10.0
LEAST_ERROR = 1e-10  # smaller ones are rounding
SHORTEST = 1e-6  # relative tolerance of the shortest columns of a covariance


def tolerances(cases: Cases, z: Array, new: Array, options: Options) -> Array:
    """Return the tolerance of each coordinate (b, M) of steps from z to `new`."""
    scale = np.maximum(np.abs(z), np.abs(new))
    scale *= options.rtol
    scale += options.atol
    if cases.graded:
        most = max(1.0, SHORTEST / options.rtol)
        scale[:, :-1] *= cases.at(z[:, :-1]).tolerance_scale(most).reshape(len(z), -1)
    return scale


def first_lengths(
    derivative: Callable[[Array], Array], z: Array, slope: Array, scale: Array, order: int
) -> Array:
    """Return steps (b,) that an Euler step finds safe (Hairer, Norsett, Wanner, section II.4)."""
    size, speed = (np.abs(a / scale).max(axis=1) for a in (z, slope))
    h = 0.01 * size / np.maximum(speed, 1e-300)
    bend = derivative(z + h[:, None] * slope) - slope
    bend = np.abs(bend / scale).max(axis=1) / h
    bend = np.where(np.isfinite(bend), bend, np.inf)
    second = (0.01 / np.maximum(np.maximum(speed, bend), 1e-15)) ** (1 / order)
    return np.asarray(np.maximum(np.minimum(100 * h, second), 1e-12))


def next_lengths(
    h: Array, wanted: Array, last: Array, error: Array, good: Array, order: int
) -> tuple[Array, Array]:
    """Return the lengths of the next steps, and steps and errors of the last good ones.

    Args:
        h: the steps (b,) that were tried.
        wanted: those that would have been, had none to land on a time.
        last: steps and errors of the last good ones, (2, b).
        error: over the tolerance, (b,).
        good: which steps are good.
        order: of the method.
    """
    error = np.maximum(error, LEAST_ERROR)
    factor = SAFETY * error ** (-1 / order)
    # Errors that have risen from one step to the next will go on to: Gustafsson's predictive
    # controller, where it is the more careful.
    trend = h / last[0] * (last[1] / error) ** (1 / order)
    np.multiply(factor, np.minimum(trend, 1.0), out=factor, where=good)
    longer = h * np.minimum(np.maximum(factor, SHRINK), np.where(good, GROW, 1.0))
    # A step cut short to land on a time says nothing against the longer one wanted.
    np.maximum(longer, wanted, out=longer, where=good & (h < wanted))
    return longer, np.where(good, [h, error], last)
