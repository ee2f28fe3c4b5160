"""A function of one complex variable near the interval [-1, 1], with its poles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from transpde.checks import Array, positive_number
from transpde.convergence import bernstein_parameter
from transpde.plotting.styles import INK, SIGNED, axes_on

__all__ = ["plot_poles"]

POLE = "#D55E00"
MESH = (121, 161)  # points up and across: even numbers of cells, so that poles on axes stand out


def plot_poles(
    function: Callable[[Array], Any],
    poles: Any,
    *,
    width: float = 1.5,
    height: float = 1.0,
    ax: Axes | None = None,
) -> Axes:
    r"""Draw $\log_{10}|f|$ in the complex plane, the poles of f and the ellipse they leave.

    The ellipse has foci -1 and 1 and passes through the nearest pole: inside it f is analytic.

    Args:
        function: takes complex numbers of any shape.
        poles: complex numbers (N,), at least one.
        width: half of the rectangle's, at least 1.
        height: half of the rectangle's.
        ax: axes to draw on; the colours are `ax.collections[0]`.

    Raises:
        ValueError: no pole, a rectangle without the interval, sizes that are not positive.

    Example:
        >>> ax = plot_poles(lambda z: 1 / (1 + z**2), [1j, -1j])  # doctest: +SKIP
    """
    poles = np.ravel(np.asarray(poles, dtype=complex))
    if not poles.size:
        raise ValueError("poles: must hold at least one; got none.")
    if positive_number("width", width) < 1:
        raise ValueError(f"width: must be at least 1, to show [-1, 1]; got {width}.")
    positive_number("height", height)
    ax = axes_on(ax)
    y, x = (np.linspace(-s, s, n + 1) for s, n in zip((height, width), MESH, strict=True))
    with np.errstate(divide="ignore"):
        size = np.log10(np.abs(function(x + 1j * y[:, None])))
    levels = np.linspace(-1, 1, 21)
    ax.contourf(x, y, np.clip(size, -0.99, 0.99), levels=levels, cmap=f"{SIGNED}_r")
    rho = bernstein_parameter(poles).min()
    angle = np.linspace(0, 2 * np.pi, 241)
    edge = (rho * np.exp(1j * angle) + np.exp(-1j * angle) / rho) / 2
    ax.plot(edge.real, edge.imag, "--", color=INK, linewidth=1.2, label="_ellipse")
    ax.plot([-1, 1], [0, 0], color=INK, linewidth=2.6, solid_capstyle="round", label="_interval")
    shown = poles[(np.abs(poles.real) < width) & (np.abs(poles.imag) < height)]
    look: dict[str, Any] = {"color": POLE, "markeredgecolor": "white", "markersize": 7}
    ax.plot(shown.real, shown.imag, "o", label="_poles", **look)
    ax.set(xlabel="real part", ylabel="imaginary part", aspect="equal")
    return ax
