"""Measures along depth: flows, stacks of layers, paths of tokens and their convex hulls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from numpy.typing import ArrayLike
from scipy.spatial import ConvexHull, QhullError

from transpde.checks import finite_array, mapping, of_kind, same_size
from transpde.measures import Gaussian, Particles
from transpde.plotting.measures import plot_ellipse, plot_ellipses, plot_particles
from transpde.plotting.solid import drawable, in_space, token_axes
from transpde.plotting.styles import (
    GREY,
    INK,
    SEQUENCE,
    STYLES,
    axes_on,
    coloured_lines,
    drawing,
    each,
    last_finite,
    one_each,
    one_path,
    one_space,
    plane_axes,
    style_of,
)
from transpde.trajectories import Trajectory

__all__ = ["plot_flow", "plot_hulls", "plot_layers", "plot_paths", "plot_snapshots"]

MANY_LAYERS = 32  # beyond, dots at every layer would hide the paths


@drawing()
def plot_flow(
    trajectory: Trajectory, *, ax: Axes | None = None, color: Any = INK, shown: int = 9
) -> Axes:
    """Draw a measure along depth.

    Tokens: their paths, thin and grey, with open dots at the start and full dots at the end; on
    the line against depth, on a sphere of space with the sphere. A Gaussian of the plane: ellipses
    coloured by depth, and the path of its mean.

    Args:
        trajectory: of particles in dimension 1, 2 or 3, or of one Gaussian in dimension 2.
        ax: axes to draw on; three-dimensional ones in dimension 3.
        color: of the tokens at the end, or of the mean's path.
        shown: the number of ellipses, from start to end.

    Raises:
        ValueError: another dimension (project tokens of more than 3 first), the trajectory of a
            stack.

    Example:
        >>> ax = plot_flow(tp.flow(tokens, attention, 1.0))  # doctest: +SKIP
    """
    one_path("trajectory", trajectory)
    end = of_kind("trajectory.final", trajectory.final, (Particles, Gaussian))
    drawable("trajectory", end.dimension)
    ax = axes_on(ax) if isinstance(end, Gaussian) else token_axes(ax, end.dimension, end.space)
    if isinstance(trajectory.final, Gaussian):
        plot_ellipses(trajectory, shown=shown, ax=ax)
        ax.plot(*trajectory.means.T, color=color, linewidth=0.8)
        ax.plot(*trajectory.means[0], "o", color=color, fillstyle="none", markersize=4)
        return ax
    paths = np.swapaxes(trajectory.points, 0, 1)
    if paths.shape[2] == 1:
        times = np.broadcast_to(trajectory.times[:, None], paths.shape)
        paths = np.concatenate([times, paths], axis=2)
        ax.set_xlabel("depth $t$")
    elif paths.shape[2] == 2:
        plane_axes(ax)
    if paths.shape[2] == 3:
        for path in paths:
            ax.plot(*path.T, color=GREY, linewidth=0.6, alpha=0.8)
    else:
        ax.add_collection(LineCollection(list(paths), colors=GREY, linewidths=0.6, alpha=0.8))
    ends = paths[np.arange(len(paths)), last_finite(paths[..., -1])]
    _draw_ends(ax, paths[:, 0], ends, color, linewidth=0.7, zorder=2)
    if paths.shape[2] == 3:
        in_space(ax, 3)
    return ax


def _draw_ends(
    ax: Axes, starts: Any, ends: Any, color: Any, *, linewidth: float, zorder: float
) -> None:
    """Draw a ring at each start and a dot at each end."""
    rings: dict[str, Any] = {"facecolors": "white", "edgecolors": GREY, "linewidths": linewidth}
    ax.scatter(*starts.T, **{"s": 14, "zorder": zorder} | rings)
    ax.scatter(*ends.T, **{"s": 14, "color": color, "linewidths": 0, "zorder": zorder + 1})


@drawing(clouds=mapping, ellipses=mapping)
def plot_snapshots(
    clouds: dict[str, Trajectory], ellipses: dict[str, Trajectory], *, styles: dict[str, Any]
) -> Any:
    """Draw tokens and the ellipses of Gaussians at each recorded time, a row of panels a name.

    Args:
        clouds: flows of particles in the plane, by name.
        ellipses: flows of one Gaussian, with the same names and times.
        styles: the attention of each name, for its colour.

    Returns:
        The axes, shape (names, times), on a new figure.

    Raises:
        ValueError: names or times that do not agree, the trajectory of a stack.

    Example:
        >>> axes = plot_snapshots(clouds, ellipses, styles=heads)  # doctest: +SKIP
    """
    each("clouds", clouds, _path_of(Particles))
    each("ellipses", ellipses, _path_of(Gaussian))
    if list(clouds) != list(ellipses):
        raise ValueError(
            f"ellipses: must have the names of clouds, {list(clouds)}; got {list(ellipses)}."
        )
    for name, cloud in clouds.items():
        if not np.array_equal(cloud.times, ellipses[name].times):
            raise ValueError(f"ellipses: the times of {name!r} must be those of its cloud.")
    if bare := [name for name in clouds if name not in styles]:
        raise ValueError(f"styles: must have an attention for every name; none for {bare}.")
    colors = {name: style_of("styles", styles[name])["color"] for name in clouds}
    columns = max(len(path) for path in clouds.values())
    figure = plt.figure(figsize=(2.6 * columns, 2.1 * len(clouds)), layout="constrained")
    axes = figure.subplots(len(clouds), columns, sharex=True, sharey=True, squeeze=False)
    for row, (name, cloud) in zip(axes, clouds.items(), strict=True):
        for j, ax in enumerate(row):
            plot_particles(cloud[j], ax=ax, size=3.0, color=colors[name])
            plot_ellipse(ellipses[name][j], ax=ax, color="black")
            ax.set_title(f"{name}, depth {cloud.times[j]:g}", fontsize="medium")
    return axes


def _path_of(kind: type) -> Callable[[str, Any], None]:
    """Return the check that a value is the trajectory of one measure of a kind."""
    return lambda name, path: of_kind(f"{name}.final", one_path(name, path).final, kind)


@drawing()
def plot_paths(
    paths: Any, *, ax: Axes | None = None, color: Any = INK, ends: bool = True, **lines: Any
) -> Axes:
    """Draw paths of tokens of the plane or of space, a ring at each start and a dot at each end.

    Args:
        paths: shape (T, n, 2) or (T, n, 3), such as `trajectory.points` or a rescaled copy of it.
        ax: axes to draw on; three-dimensional ones for paths in space.
        color: of the paths and of their ends.
        ends: draw the rings and the dots.
        **lines: passed to `Axes.plot`.

    Raises:
        ValueError: an array of another shape, entries that are not finite.

    Example:
        >>> ax = plot_paths(np.exp(-path.times)[:, None, None] * path.points)  # doctest: +SKIP
    """
    points = finite_array("paths", paths, "T n d")
    d = points.shape[-1]
    drawable("paths", d, (2, 3))
    ax = token_axes(ax, d)
    for path in np.swapaxes(points, 0, 1):
        ax.plot(*path.T, **{"color": color, "linewidth": 1.0, "zorder": 2} | lines)
    if ends:
        _draw_ends(ax, points[0], points[-1], color, linewidth=0.8, zorder=3)
    in_space(ax, d, box=True)
    return ax


@drawing()
def plot_layers(
    stack: Trajectory, flow: Trajectory | None = None, *, ax: Axes | None = None
) -> Axes:
    """Draw tokens of the plane or of space through residual layers: a dot a layer up to 32.

    Args:
        stack: from `layers`, of particles in dimension 2 or 3.
        flow: the flow of the same tokens, drawn in grey underneath.
        ax: axes to draw on; three-dimensional ones in dimension 3.

    Raises:
        TypeError: trajectories of other measures.
        ValueError: another dimension, several cases, a flow of other tokens or in another space.

    Example:
        >>> ax = plot_layers(tp.layers(tokens, attention, 8, 0.1))  # doctest: +SKIP
    """
    end = of_kind("stack.final", one_path("stack", stack).final, Particles)
    drawable("stack", end.dimension, (2, 3))
    ax = token_axes(ax, end.dimension, end.space)
    if flow is not None:
        tokens = of_kind("flow.final", one_path("flow", flow).final, Particles)
        one_space("flow", tokens.space, "stack", end.space)
        same_size("flow", len(tokens.points), "stack", len(end.points), "number of tokens")
        plot_flow(flow, ax=ax, color=GREY)
    layers, color = len(stack) - 1, STYLES["Softmax"]["color"]
    dots = 4.0 * min(1.0, 8 / layers) ** 0.5 if layers <= MANY_LAYERS else 0.0
    style: dict[str, Any] = {"color": color, "marker": ".", "linewidth": 0.8, "markersize": dots}
    for path in np.swapaxes(stack.points, 0, 1):
        ax.plot(*path.T, **style)
    return plot_particles(end, ax=ax, color=color, size=14)


@drawing()
def plot_hulls(
    paths: Any,
    *,
    values: ArrayLike | None = None,
    label: str = "",
    ax: Axes | None = None,
    **lines: Any,
) -> Axes:
    """Draw the outlines of the convex hulls of tokens of the plane, one for each time.

    Args:
        paths: shape (T, n, 2), such as `trajectory.points`; tokens of a time not on one line.
        values: a number for each time, for its colour; by default 0, 1, 2, ...
        label: what the values are, on a colour bar; none without a label.
        ax: axes to draw on.
        **lines: passed to `LineCollection`.

    Raises:
        ValueError: an array of another shape, entries that are not finite, tokens on one line
            within rounding, a wrong number of values.

    Example:
        >>> ax = plot_hulls(path.points, values=path.times)  # doctest: +SKIP
    """
    points = finite_array("paths", paths, "T n d")
    drawable("paths", points.shape[-1], (2,))
    numbers = one_each(np.arange(len(points)) if values is None else values, "paths", len(points))
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
    style: dict[str, Any] = {"cmap": SEQUENCE, "linewidths": 1.0, "zorder": 1}
    hulls = coloured_lines(ax, outlines, numbers, **style | lines)
    if label:
        plt.colorbar(hulls, ax=ax, label=label, shrink=0.8)
    ax.autoscale_view()
    ax.set_aspect("equal")
    ax.set(xlabel="$x_1$", ylabel="$x_2$")
    return ax
