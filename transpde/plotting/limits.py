r"""Limits of covariances: lines in the cone, maps of starts in the disc, decay of eigenvalues."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from transpde.checks import Array, finite_array, positive_integer, positive_number, same_size
from transpde.measures import Gaussian
from transpde.plotting.covariances import (
    cone_coordinates,
    covariances_at,
    disc_coordinates,
    plot_cone,
    plot_disc,
)
from transpde.plotting.styles import GREY, INK, STYLES, axes_on

__all__ = ["disc_gaussians", "plot_decay", "plot_limit_lines", "plot_starts"]

STAYS, VANISHES = STYLES["Softmax"]["color"], STYLES["L2"]["color"]


def disc_gaussians(side: int, *, inside: float = 0.97) -> Gaussian:
    r"""Return the centred Gaussians of trace one whose $(u, w)$ lie on a square grid in the disc.

    Args:
        side: points of the grid along each axis, from -1 to 1.
        inside: the radius up to which they are kept.

    Raises:
        ValueError: a side that is not an integer >= 1, a radius that is not positive or more than
            1, no point of the grid within the radius.

    Example:
        >>> from transpde.plotting import disc_gaussians
        >>> disc_gaussians(9).stack
        (45,)
    """
    axis = np.linspace(-1.0, 1.0, positive_integer("side", side))
    if positive_number("inside", inside) > 1:
        raise ValueError(f"inside: must be at most 1, the radius of the disc; got {inside}.")
    u, w = (grid.ravel() for grid in np.meshgrid(axis, axis))
    u, w = u[u**2 + w**2 < inside**2], w[u**2 + w**2 < inside**2]
    if not u.size:
        raise ValueError(
            f"side: no point of the grid lies in the disc; got {side}. Take 3 or more."
        )
    S = covariances_at(np.stack([u, w], axis=-1))
    return Gaussian.from_covariance(np.zeros((len(S), 2)), S)


def plot_limit_lines(
    panels: dict[str, Any],
    direction: Any,
    *,
    height: float | None = None,
    axes: Any = None,
    **lines: Any,
) -> Array:
    r"""Draw covariances in their cone, panel by panel, and the line $s\,uu^\top$ in black.

    Paths are coloured by their trace at the end of the first panel: one colour, one start.

    Args:
        panels: several paths (T, B, 2, 2) by title, with the same B.
        direction: u, shape (2,).
        height: of the cones; by default the largest trace of each panel.
        axes: a three-dimensional one for each panel.
        **lines: passed to `plot_cone`.

    Returns:
        The axes.

    Raises:
        ValueError: a direction of another shape or of length zero, and what `plot_cone` raises.

    Example:
        >>> axes = plot_limit_lines({"softmax": path.covariances}, [0.9, -0.4])  # doctest: +SKIP
    """
    u = finite_array("direction", direction, "d")
    same_size("direction", len(u), "the plane", 2, "dimension")
    positive_number("direction's length", float(np.linalg.norm(u)))
    if axes is None:
        size, ratio = (4.5 * len(panels), 4.2), {"projection": "3d"}
        axes = plt.subplots(1, len(panels), figsize=size, subplot_kw=ratio, squeeze=False)[1][0]
    traces = np.trace(np.asarray(next(iter(panels.values())))[-1], axis1=-2, axis2=-1)
    for ax, (title, S) in zip(axes, panels.items(), strict=True):
        plot_cone(S, ax=ax, **{"values": traces.ravel(), "height": height} | lines)
        ray = np.outer(u, u) / (u @ u) * ax.get_zlim()[1]
        ax.plot(*cone_coordinates(np.stack([0 * ray, ray])).T, color="black", linewidth=2.0)
        ax.set_box_aspect((2, 2, 1.6), zoom=0.95)  # panels side by side keep their labels
        ax.view_init(elev=18, azim=-130)
        ax.set_title(title, y=0.96)
    return np.asarray(axes)


def plot_starts(
    starts: Gaussian,
    values: Any,
    *,
    stars: Any = None,
    squares: Any = None,
    boundary: Any = None,
    label: str = "",
    ax: Axes | None = None,
    **points: Any,
) -> Axes:
    r"""Draw a number for each start in the disc of covariances over their traces.

    Args:
        starts: a stack of Gaussians of the plane.
        values: a number for each.
        stars: directions u (k, 2) whose $uu^\top$ are marked by stars on the circle.
        squares: the same, by squares.
        boundary: covariances (T, 2, 2) along a curve, drawn in black.
        label: what the values are, on a colour bar; none without a label.
        ax: axes to draw on.
        **points: passed to `plot_disc`.

    Raises:
        ValueError: what `plot_disc` raises.

    Example:
        >>> ax = plot_starts(disc_gaussians(9), range(45))  # doctest: +SKIP
    """
    style: dict[str, Any] = {"size": 12.0, "annotate": False} | points
    ax = plot_disc(starts.covariance[None], values=values, ax=ax, **style)
    if label:
        plt.colorbar(ax.collections[-1], ax=ax, label=label, shrink=0.8)
    if boundary is not None:
        ax.plot(*disc_coordinates(boundary).T, color=INK, linewidth=1.6, zorder=4)
    for directions, marker, size in ((stars, "*", 13), (squares, "s", 6)):
        if directions is not None:
            u = finite_array("directions", directions, "k d")
            ends = disc_coordinates(u[:, :, None] * u[:, None, :])
            ax.plot(*ends.T, marker, color=INK, markersize=size, zorder=5, clip_on=False)
    return ax


def plot_decay(times: Any, eigenvalues: Any, stays: Any, *, axes: Any = None) -> Array:
    r"""Draw eigenvalues along depth, and beside them their slopes $-d\log\lambda/d\log t$.

    Args:
        times: positive depths (T,).
        eigenvalues: positive, shape (T, d).
        stays: which tend to a positive number (d,): blue; the others are orange.
        axes: two axes to draw on.

    Returns:
        The two axes.

    Raises:
        ValueError: lengths that differ, entries that are not positive.

    Example:
        >>> axes = plot_decay(times, eigenvalues, found.stays)  # doctest: +SKIP
    """
    t, values = finite_array("times", times, "T"), finite_array("eigenvalues", eigenvalues, "T d")
    same_size("eigenvalues", len(values), "times", len(t), "length")
    same_size("stays", len(stays), "eigenvalues", values.shape[1], "number of columns")
    if min(t.min(), values.min()) <= 0:
        raise ValueError("times, eigenvalues: must be positive.")
    if axes is None:
        axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")[1]
    left, right = (axes_on(ax) for ax in axes)
    slopes = -np.diff(np.log(values), axis=0) / np.diff(np.log(t))[:, None]
    middle = np.sqrt(t[1:] * t[:-1])
    for i, stay in enumerate(stays):
        look: dict[str, Any] = {"color": STAYS if stay else VANISHES, "linewidth": 1.4}
        look["linestyle"] = "-" if stay else "--"
        left.loglog(t, values[:, i], **look)
        right.semilogx(middle, slopes[:, i], **look)
    for level in (0.0, 1.0):
        right.axhline(level, color=GREY, linewidth=0.8, zorder=0)
    left.set(xlabel="depth $t$", ylabel="eigenvalue")
    right.set(xlabel="depth $t$", ylabel=r"slope $-d\log\lambda\,/\,d\log t$")
    return np.array([left, right])
