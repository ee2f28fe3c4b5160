"""Paths of tokens that are given as an array."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from transpde.checks import finite_array, same_size
from transpde.plotting.styles import GREY, INK, axes_on, plane_axes

__all__ = ["plot_paths"]


def plot_paths(
    paths: Any,
    *,
    ax: Axes | None = None,
    color: Any = INK,
    ends: bool = True,
    **lines: Any,
) -> Axes:
    """Draw paths of tokens in the plane, with a ring at each start and a dot at each end.

    Args:
        paths: shape (T, n, 2), such as `trajectory.points` or a rescaled copy of it.
        ax: axes to draw on.
        color: of the paths and of their ends.
        ends: draw the rings and the dots.
        **lines: passed to `Axes.plot`.

    Raises:
        ValueError: an array of another shape, entries that are not finite.

    Example:
        >>> ax = plot_paths(np.exp(-path.times)[:, None, None] * path.points)  # doctest: +SKIP
    """
    points = finite_array("paths", paths, "T n d")
    same_size("paths", points.shape[-1], "the plane", 2, "dimension")
    ax = axes_on(ax)
    for path in np.swapaxes(points, 0, 1):
        ax.plot(*path.T, **{"color": color, "linewidth": 1.0, "zorder": 2} | lines)
    if ends:
        rings: dict[str, Any] = {"facecolors": "white", "linewidths": 0.8, "zorder": 3}
        ax.scatter(points[0, :, 0], points[0, :, 1], s=14, edgecolors=GREY, **rings)
        ax.scatter(points[-1, :, 0], points[-1, :, 1], s=14, color=color, linewidths=0, zorder=4)
    plane_axes(ax, box=True)
    return ax
