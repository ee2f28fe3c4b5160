"""Convergence: orders fitted to errors, and the rate that poles leave to interpolation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from transpde.checks import Array, listing, plain_array, positive_array, same_size
from transpde.fields import quiet

__all__ = ["SeedOrder", "bernstein_parameter", "fitted_order", "seed_order"]


@quiet
def fitted_order(x: ArrayLike, errors: ArrayLike) -> float:
    r"""Return the slope of $\log e$ against $\log x$ by least squares.

    Args:
        x: positive numbers (N,), not all equal, such as steps or numbers of tokens.
        errors: positive numbers (N,).

    Raises:
        ValueError: fewer than two distinct x, numbers that are not positive, unequal lengths.

    Example:
        >>> from transpde.convergence import fitted_order
        >>> fitted_order([0.1, 0.2, 0.4], [0.01, 0.04, 0.16])
        2.0
    """
    x, errors = positive_array("x", x), positive_array("errors", errors)
    same_size("errors", len(errors), "x", len(x), "length")
    if np.ptp(x) == 0:
        raise ValueError(f"x: must hold at least two distinct numbers; got {x}.")
    s = np.log(x) - np.log(x).mean()
    return float(s @ np.log(errors) / (s @ s))


class SeedOrder(NamedTuple):
    """A fitted order with its spread: the mean over seeds and its standard error."""

    mean: float
    error: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} +- {self.error:.2f}"

    def near(self, order: float, margin: float = 0.0) -> bool:
        """Return whether an order lies within three standard errors and a margin."""
        return abs(self.mean - order) <= 3 * self.error + margin


@quiet
def seed_order(x: ArrayLike, samples: ArrayLike) -> SeedOrder:
    """Return the mean over seeds of the fitted orders, with its standard error.

    Args:
        x: positive numbers (N,), such as numbers of tokens.
        samples: positive errors (S, N), a row a seed; at least two seeds.

    Raises:
        ValueError: one seed, numbers that are not positive, shapes that do not agree.

    Example:
        >>> from transpde.convergence import seed_order
        >>> order = seed_order([1, 2, 4], [[4.0, 2.0, 1.0], [8.0, 4.0, 2.0]])
        >>> str(order), order.near(-1.0, margin=1e-9)
        ('-1.00 +- 0.00', True)
    """
    errors = positive_array("samples", samples, "S N")
    if len(errors) < 2:
        raise ValueError(f"samples: must have at least two seeds; got {len(errors)}.")
    orders = np.array([fitted_order(x, row) for row in errors])
    return SeedOrder(float(orders.mean()), float(orders.std(ddof=1) / np.sqrt(len(orders))))


@quiet
def bernstein_parameter(points: ArrayLike) -> Array:
    r"""Return $\rho\ge1$ of the ellipse with foci -1 and 1 through each point.

    $\rho = |z + \sqrt{z^2-1}|$ for the root that makes it largest, the sum of the half-axes: a
    polynomial interpolated at p Chebyshev nodes has an error of order $\rho^{-p}$ when the
    function is analytic inside the ellipse, and no better when it has a pole on it.

    Args:
        points: complex numbers, of any shape.

    Raises:
        ValueError: entries that are not finite.

    Source: `trefethen2013approximation`.

    Example:
        >>> from transpde.convergence import bernstein_parameter
        >>> float(bernstein_parameter(0.75j))
        2.0
    """
    z = complex_points("points", points)
    root = np.sqrt(z - 1) * np.sqrt(z + 1)  # of z, at infinity: no cut off [-1, 1]
    return np.asarray(np.abs(z + root))


def complex_points(name: str, value: ArrayLike) -> Array:
    """Return finite complex numbers, at least one, or raise `ValueError`."""
    z = plain_array(name, value, "iufc").astype(complex)
    if not z.size:
        raise ValueError(f"{name}: must hold at least one; got none.")
    if not np.isfinite(z).all():
        raise ValueError(f"{name}: every entry must be finite; got {z}.")
    return z


__dir__ = listing(__all__)
