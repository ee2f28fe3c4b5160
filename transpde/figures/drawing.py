"""What the drawings of the families share: the cone, the disc, marks and colour bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from transpde.checks import Array
from transpde.disc import symmetric_coordinates, unit_trace_matrices
from transpde.records import FigureData

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["colorbar", "cone", "disc", "mark", "pack", "rank_one_line", "unpack"]

SEQUENCE = "viridis"
UNIT = 32767  # of points that are stored as 16 bit integers


def pack(points: Array) -> Array:
    """Return points of the disc as 16 bit integers, in units of 1/32767."""
    return np.round(np.clip(points, -1, 1) * UNIT).astype(np.int16)


def unpack(packed: Array) -> Array:
    """Return the points of the disc that `pack` stored."""
    return packed / UNIT


def cone(
    ax: Any,
    covariances: Array,
    values: Array,
    *,
    azim: float,
    height: float,
    size: float = 10.0,
    away: float = 0.0,
) -> None:
    """Draw covariances (T, n, 2, 2) in the cone, seen from `azim`, with a dot at each end.

    The numbers of the vertical axis stand `away` points further from it.
    """
    from transpde.plotting import plot_cone

    # Single precision may leave the cone by its last digit.
    ax.computed_zorder = False  # wall, paths, predicted lines and dots, in that order
    plot_cone(_inside(covariances), values=values, height=height, ax=ax, linewidth=0.7, alpha=0.75)
    ax.view_init(elev=18, azim=azim)
    dots = ax.collections[-1]
    dots.set_sizes([size])
    dots.set_zorder(9)
    ax.collections[0].set_zorder(0)
    ax.tick_params(labelsize="small", pad=-2)
    ax.tick_params(axis="z", pad=away - 2)
    for axis, pad in ((ax.xaxis, -4), (ax.yaxis, -4), (ax.zaxis, away - 4)):
        axis.labelpad = pad


def _inside(covariances: Array) -> Array:
    """Return covariances with points moved onto the wall of the cone where they are outside."""
    uwv = symmetric_coordinates(np.array(covariances, dtype=float))
    size = uwv[..., 2]
    points = uwv[..., :2] / np.where(size > 0, size, 1.0)[..., None]
    points /= np.maximum(1.0, np.linalg.norm(points, axis=-1, keepdims=True))
    return size[..., None, None] * unit_trace_matrices(points)


def limits_in_cone(figure: Figure, data: FigureData, **look: Any) -> Any:
    """Draw paths in a cone of their own, coloured by the traces of their limits; return it."""
    ax, traces = figure.add_subplot(projection="3d"), data.arrays["values"]
    cone(ax, data.arrays["covariances"], traces, **look)
    colorbar(ax, traces, r"$\mathrm{tr}\,\Sigma$ in the limit")
    return ax


def on_rim(degrees: float) -> Array:
    """Return the place in the disc, (2,), of a matrix of rank one along this direction."""
    angle = np.radians(2 * degrees)
    return np.array([np.cos(angle), np.sin(angle)])


def rank_one_line(ax: Any, degrees: float, height: float, **style: Any) -> None:
    """Draw the rank one matrices of one direction: a line on the wall of the cone."""
    ends = np.outer([0.0, height], [*on_rim(degrees), 1.0])
    look: dict[str, Any] = {"color": "black", "linewidth": 1.4, "zorder": 6}
    ax.plot(*ends.T, **look | style)


def disc(ax: Axes, points: Array, values: Array, **style: Any) -> None:
    """Draw paths of points (T, n, 2) in the disc, coloured by a number each."""
    from transpde.plotting import plot_disc

    points = np.array(points, dtype=float)
    # Stored in fewer digits, a limit may lie outside the circle by the last one.
    points /= np.maximum(1.0, np.linalg.norm(points, axis=-1, keepdims=True))
    look: dict[str, Any] = {"linewidths": 0.4, "size": 6.0, "annotate": False}
    plot_disc(unit_trace_matrices(points), values=values, ax=ax, **look | style)
    ax.text(0.77, 0.77, "rank one", rotation=-45, ha="center", va="center", fontsize="small")


def mark(
    ax: Axes, point: Array, text: str, place: tuple[float, float] = (0.8, -0.83), **style: Any
) -> None:
    """Mark a point of the disc by a white dot, and name it from `place`."""
    u, w = float(point[0]), float(point[1])
    ax.plot(u, w, "o", markersize=5, color="white", markeredgecolor="black", zorder=5)
    line = {"arrowstyle": "-", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3}
    look: dict[str, Any] = {"va": "top", "fontsize": "small", "annotation_clip": False}
    ax.annotate(text, (u, w), place, arrowprops=line, zorder=5, **look | style)


def colorbar(ax: Any, values: Array, label: str, ticks: Any = None) -> None:
    """Draw a thin colour bar of the values beside axes of either kind."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    scale = ScalarMappable(Normalize(np.min(values), np.max(values)), SEQUENCE)
    if getattr(ax, "name", "") == "3d":
        bar = ax.figure.colorbar(scale, ax=ax, shrink=0.5, aspect=28, pad=0.09, ticks=ticks)
    else:
        bar = ax.figure.colorbar(scale, cax=ax.inset_axes((1.06, 0.3, 0.02, 0.5)), ticks=ticks)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize="small", length=0)
    bar.set_label(label)
