"""Covariances of the plane in their cone, and over their trace in the unit disc."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator

from transpde.checks import Array, finite_array, positive_number, same_size
from transpde.disc import cone_coordinates, disc_coordinates
from transpde.plotting.styles import GREY, INK, SEQUENCE, axes_3d, axes_on, last_finite

__all__ = ["plot_cone", "plot_disc"]

CIRCLE = np.linspace(0.0, 2 * np.pi, 181)


def plot_cone(
    covariances: Any,
    *,
    values: Any = None,
    height: float | None = None,
    ax: Axes | None = None,
    cmap: str = SEQUENCE,
    **lines: Any,
) -> Axes:
    r"""Draw covariances of the plane along time inside the cone $v \ge \sqrt{u^2 + w^2}$.

    Args:
        covariances: one path (T, 2, 2), or several (T, ..., 2, 2); NaN after an end.
        values: a number for each path, for its colour; the initial w by default.
        height: of the cone drawn; by default the largest v.
        ax: three-dimensional axes to draw on.
        cmap: the colour map.
        **lines: passed to `Axes3D.plot`.

    Raises:
        ValueError: matrices that are not covariances of the plane, axes that are not 3-D.

    Example:
        >>> ax = plot_cone(path.covariances)  # doctest: +SKIP
    """
    paths, numbers = _paths("covariances", cone_coordinates(covariances), values)
    axes: Any = axes_3d(ax)
    top = np.nanmax(paths[..., 2]) if height is None else positive_number("height", height)
    _draw_cone(axes, float(top))
    style = {"linewidth": 0.9, "alpha": 0.9} | lines
    colours = _colours(numbers, cmap)
    for path, colour in zip(np.swapaxes(paths, 0, 1), colours, strict=True):
        axes.plot(*path.T, **{"color": colour} | style)
    ends = np.swapaxes(paths, 0, 1)[np.arange(len(colours)), last_finite(paths[..., 2].T)]
    axes.scatter(*ends.T, c=colours, s=9, depthshade=False, linewidths=0)
    return axes


def _draw_cone(ax: Any, top: float) -> None:
    """Draw the translucent wall, its rim, and the names of the axes."""
    # Turned a little: facets of equal depth would be sorted by rounding.
    v, angle = np.meshgrid(np.linspace(0.0, top, 2), CIRCLE[::3] + 0.01)
    ax.plot_surface(
        v * np.cos(angle), v * np.sin(angle), v, color="0.75", alpha=0.22, linewidth=0, shade=False
    )
    ax.plot(top * np.cos(CIRCLE), top * np.sin(CIRCLE), top, color=GREY, linewidth=0.7)
    ax.set_xlabel(r"$u = \Sigma_{11} - \Sigma_{22}$")
    ax.set_ylabel(r"$w = 2\,\Sigma_{12}$")
    ax.set_zlabel(r"$v = \mathrm{tr}\,\Sigma$")
    ax.set(xlim=(-top, top), ylim=(-top, top), zlim=(0.0, top))
    ax.set_box_aspect((2, 2, 1.6), zoom=1.15)
    ax.view_init(elev=18, azim=-60)
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.set_pane_color((1.0, 1.0, 1.0, 0.0))
        axis.set_major_locator(MaxNLocator(3))
    ax.grid(False)


def plot_disc(
    directions: Any,
    *,
    values: Any = None,
    ax: Axes | None = None,
    cmap: str = SEQUENCE,
    annotate: bool = True,
    size: float = 6.0,
    **lines: Any,
) -> Axes:
    r"""Draw $\Sigma/\operatorname{tr}\Sigma$ along time in the unit disc.

    The axes are $u = \Sigma_{11} - \Sigma_{22}$ and $w = 2\Sigma_{12}$, over the trace. The circle
    holds the matrices of rank one, the centre the isotropic ones. Each path ends in a dot.
    The collections carry the numbers: `figure.colorbar(ax.collections[0])`.

    Args:
        directions: one path (T, 2, 2), or several (T, ..., 2, 2), of any trace; NaN after an end.
        values: a number for each path, for its colour; the initial w by default.
        ax: axes to draw on.
        cmap: the colour map.
        annotate: name the circle and the centre.
        size: of the dots, in points squared.
        **lines: passed to `LineCollection`.

    Raises:
        ValueError: matrices that are not covariances of the plane.

    Example:
        >>> ax = plot_disc(path.directions)  # doctest: +SKIP
    """
    paths, numbers = _paths("directions", disc_coordinates(directions), values)
    ax = axes_on(ax)
    ax.add_patch(Circle((0, 0), 1.0, fill=False, edgecolor="black", linewidth=0.7, zorder=2))
    curves = np.swapaxes(paths, 0, 1)
    style: dict[str, Any] = {"cmap": cmap, "linewidths": 0.6, "zorder": 1}
    rays = LineCollection(list(curves), **style | lines)
    rays.set_array(numbers)
    ax.add_collection(rays)
    ends = curves[np.arange(len(curves)), last_finite(curves[..., 0])]
    ax.scatter(ends[:, 0], ends[:, 1], c=numbers, cmap=cmap, s=size, linewidths=0, zorder=3)
    disc_frame(ax, annotate)
    return ax


def disc_frame(ax: Axes, annotate: bool) -> None:
    """Equal axes without a box, three ticks a side, the circle and the centre named."""
    ax.set_aspect("equal", adjustable="box")
    ax.set(xlim=(-1.09, 1.09), ylim=(-1.09, 1.09), xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    ax.spines[:].set_visible(False)
    ax.tick_params(labelsize="small", length=2.5, color=GREY)
    ax.set_xlabel(r"$u = (\Sigma_{11} - \Sigma_{22})/\mathrm{tr}\,\Sigma$")
    ax.set_ylabel(r"$w = 2\,\Sigma_{12}/\mathrm{tr}\,\Sigma$")
    if annotate:
        ax.text(-0.78, 0.78, "rank one", rotation=45, ha="center", va="center", fontsize="small")
        ax.plot(0, 0, "+", color=INK, markersize=6, markeredgewidth=0.8, zorder=4)
        ax.annotate(
            "isotropic", (0, 0), (4, 4), textcoords="offset points", fontsize="small", zorder=4
        )


def _paths(name: str, coordinates: Array, values: Any) -> tuple[Array, Array]:
    """Return paths (T, B, k) and one number each: the given one, or the initial w."""
    if coordinates.ndim < 2:
        raise ValueError(f"{name}: must have shape (T, ..., 2, 2); got a single matrix.")
    paths = coordinates.reshape(len(coordinates), -1, coordinates.shape[-1])
    if values is None:
        return paths, paths[0, :, 1]
    numbers = finite_array("values", np.ravel(values), "B")
    same_size("values", len(numbers), name, paths.shape[1], "number of paths")
    return paths, numbers


def _colours(numbers: Array, cmap: str) -> Array:
    spread = np.ptp(numbers)
    place = (numbers - numbers.min()) / spread if spread else np.full(len(numbers), 0.5)
    return np.asarray(plt.get_cmap(cmap)(place))
