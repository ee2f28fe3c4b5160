"""Convex hulls of clouds of tokens along depth."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from scipy.spatial import ConvexHull, QhullError

from transpde.checks import finite_array, same_size
from transpde.plotting.styles import SEQUENCE, axes_on

__all__ = ["plot_hulls"]


def plot_hulls(
    paths: Any,
    *,
    values: Any = None,
    label: str = "",
    ax: Axes | None = None,
    cmap: str = SEQUENCE,
    **lines: Any,
) -> Axes:
    """Draw the outlines of the convex hulls of tokens of the plane, one for each time.

    Args:
        paths: shape (T, n, 2), such as `trajectory.points`; tokens of a time not on one line.
        values: a number for each time, for its colour; by default 0, 1, 2, ...
        label: what the values are, on a colour bar; none without a label.
        ax: axes to draw on.
        cmap: the colour map.
        **lines: passed to `LineCollection`.

    Raises:
        ValueError: an array of another shape, entries that are not finite, tokens on one line
            within rounding, a wrong number of values.

    Example:
        >>> ax = plot_hulls(path.points, values=path.times)  # doctest: +SKIP
    """
    points = finite_array("paths", paths, "T n d")
    same_size("paths", points.shape[-1], "the plane", 2, "dimension")
    numbers = np.arange(float(len(points)))
    if values is not None:
        numbers = finite_array("values", values, "T")
        same_size("values", len(numbers), "paths", len(points), "length")
    flat = [i for i, cloud in enumerate(points) if np.linalg.matrix_rank(cloud - cloud[0]) < 2]
    if flat:
        raise ValueError(
            f"paths: the tokens of each time must span the plane; those of time {flat[0]} lie on "
            "one line."
        )
    try:
        corners = [ConvexHull(cloud).vertices for cloud in points]
    except QhullError as error:
        raise ValueError("paths: the tokens of a time lie on one line within rounding.") from error
    outlines = [cloud[np.append(at, at[0])] for cloud, at in zip(points, corners, strict=True)]
    ax = axes_on(ax)
    style: dict[str, Any] = {"cmap": cmap, "linewidths": 1.0, "zorder": 1}
    hulls = LineCollection(outlines, **style | lines)
    hulls.set_array(numbers)
    ax.add_collection(hulls)
    if label:
        plt.colorbar(hulls, ax=ax, label=label, shrink=0.8)
    ax.autoscale_view()
    ax.set_aspect("equal")
    ax.set(xlabel="$x_1$", ylabel="$x_2$")
    return ax
