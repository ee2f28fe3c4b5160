r"""Numbers over the disc of the directions $\Sigma/\operatorname{tr}\Sigma$ of the plane."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from transpde.checks import finite_array, positive_number, same_size
from transpde.disc import disc_coordinates
from transpde.plotting.covariances import disc_frame
from transpde.plotting.styles import INK, SIGNED, axes_on

__all__ = ["plot_disc_map"]


def plot_disc_map(
    covariances: Any,
    values: Any,
    *,
    limit: float | None = None,
    ax: Axes | None = None,
    cmap: str = SIGNED,
) -> Axes:
    r"""Colour the disc by a number of each direction, with a line where it is zero.

    Colours are symmetric about zero. `figure.colorbar(ax.collections[0])` names them.

    Args:
        covariances: a grid (R, S, 2, 2), such as that of `disc_covariances`.
        values: shape (R, S).
        limit: the number at the ends of the colour scale; by default the largest modulus.
        ax: axes to draw on.
        cmap: the colour map.

    Raises:
        ValueError: matrices that are not covariances of the plane, shapes that do not agree,
            entries that are not finite.

    Example:
        >>> ax = plot_disc_map(disc_covariances(9, 36), values)  # doctest: +SKIP
    """
    uw = disc_coordinates(finite_array("covariances", covariances, "R S 2 2"))
    z = finite_array("values", values, "R S")
    for axis, name in enumerate(("rings", "rays")):
        same_size("values", z.shape[axis], "covariances", uw.shape[axis], f"number of {name}")
    high = float(np.abs(z).max()) if limit is None else positive_number("limit", limit)
    ax = axes_on(ax)
    u, w = uw[..., 0], uw[..., 1]
    ax.pcolormesh(u, w, z, cmap=cmap, vmin=-high, vmax=high, shading="gouraud", rasterized=True)
    if z.min() < 0 < z.max():
        ax.contour(u, w, z, levels=[0.0], colors=INK, linewidths=1.2)
    circle = np.linspace(0, 2 * np.pi, 181)
    ax.plot(np.cos(circle), np.sin(circle), color=INK, linewidth=0.8)
    disc_frame(ax, annotate=False)
    return ax
