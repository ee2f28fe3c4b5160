"""Densities on a grid: a stepped curve on the line, coloured cells in the plane."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from transpde.measures import Grid
from transpde.plotting.styles import AMOUNT, INK, axes_on, of_kind, plane_axes

__all__ = ["plot_density"]


def plot_density(
    grid: Grid,
    *,
    ax: Axes | None = None,
    color: Any = INK,
    fill: float = 0.2,
    cmap: str = AMOUNT,
    **artist: Any,
) -> Axes:
    """Draw a density on a grid: the average over each cell, as it is computed.

    On the line it is a stepped curve over its shadow. In the plane each cell has the colour of its
    average; the mesh carries the numbers: `figure.colorbar(ax.collections[-1])`.

    Args:
        grid: on the line or in the plane.
        ax: axes to draw on.
        color: on the line, of curve and shadow.
        fill: on the line, the opacity of the shadow, 0 for none.
        cmap: in the plane, the colour map.
        **artist: passed to `Axes.stairs` on the line, to `Axes.pcolormesh` in the plane.

    Raises:
        TypeError: a measure that is not a `Grid`.

    Example:
        >>> ax = plot_density(tp.Grid([0.0, 1.0, 3.0], [0.5, 0.25]))  # doctest: +SKIP
    """
    of_kind("grid", grid, Grid)
    ax = axes_on(ax)
    if grid.dimension == 1:
        if fill:
            ax.stairs(grid.density, grid.edges[0], fill=True, color=color, alpha=fill, linewidth=0)
        ax.stairs(grid.density, grid.edges[0], **{"color": color, "linewidth": 1.2} | artist)
        return ax
    # Columns of the mesh run along the first axis. Rasterised, a page of many cells stays light.
    style: dict[str, Any] = {"cmap": cmap, "vmin": 0.0, "rasterized": True}
    ax.pcolormesh(*grid.edges, grid.density.T, **style | artist)
    plane_axes(ax, box=True)
    return ax
