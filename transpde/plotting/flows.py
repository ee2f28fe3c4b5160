"""Tokens, velocity fields and measures along depth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from transpde.checks import Array, finite_array, positive_integer, positive_number
from transpde.flow import Trajectory
from transpde.measures import Gaussian, Particles
from transpde.plotting.gaussians import plot_ellipse, plot_ellipses
from transpde.plotting.styles import (
    GREY,
    INK,
    SEQUENCE,
    attention_style,
    axes_on,
    last_finite,
    of_kind,
    plane_axes,
)

__all__ = ["plot_field", "plot_flow", "plot_particles", "plot_snapshots"]


def plot_particles(
    particles: Particles,
    *,
    ax: Axes | None = None,
    color: Any = INK,
    size: float = 16.0,
    **marks: Any,
) -> Axes:
    """Draw tokens of the plane, or of the line, as dots of area proportional to their weight.

    Args:
        particles: in dimension 1 or 2.
        ax: axes to draw on.
        color: one colour, or one value a token.
        size: the area of a token of average weight, in points squared.
        **marks: passed to `Axes.scatter`.

    Raises:
        ValueError: another dimension.

    Example:
        >>> ax = plot_particles(tp.Particles([[0.0, 0.0], [1.0, 2.0]]))  # doctest: +SKIP
    """
    x = of_kind("particles", particles, Particles).points
    if x.shape[1] > 2:
        raise ValueError(f"particles: must have dimension 1 or 2; got {x.shape[1]}.")
    ax = axes_on(ax)
    heights = x[:, 1] if x.shape[1] == 2 else np.zeros(len(x))
    areas = positive_number("size", size) * len(x) * particles.weights
    ax.scatter(x[:, 0], heights, s=areas, **{"c": color, "linewidths": 0, "zorder": 3} | marks)
    if x.shape[1] == 1:
        ax.axhline(0.0, color=GREY, linewidth=0.6, zorder=1)
        ax.yaxis.set_visible(False)
        ax.spines["left"].set_visible(False)
        return ax
    plane_axes(ax)
    return ax


def plot_flow(
    trajectory: Trajectory,
    *,
    ax: Axes | None = None,
    color: Any = INK,
    shown: int = 9,
    cmap: str = SEQUENCE,
) -> Axes:
    """Draw a measure along depth.

    Tokens: their paths, thin and grey, with open dots at the start and full dots at the end; on
    the line against depth. A Gaussian of the plane: ellipses coloured by depth, and the path of
    its mean.

    Args:
        trajectory: of particles in dimension 1 or 2, or of one Gaussian in dimension 2.
        ax: axes to draw on.
        color: of the tokens at the end, or of the mean's path.
        shown: the number of ellipses, from start to end.
        cmap: the colour map of the ellipses.

    Raises:
        ValueError: another dimension, the trajectory of a stack.

    Example:
        >>> ax = plot_flow(tp.flow(tokens, attention, 1.0))  # doctest: +SKIP
    """
    of_kind("trajectory", trajectory, Trajectory)
    ax = axes_on(ax)
    if isinstance(trajectory.final, Gaussian):
        plot_ellipses(trajectory, shown=shown, ax=ax, cmap=cmap)
        ax.plot(*trajectory.means.T, color=color, linewidth=0.8)
        ax.plot(*trajectory.means[0], "o", color=color, fillstyle="none", markersize=4)
        return ax
    paths = np.swapaxes(trajectory.points, 0, 1)
    if paths.shape[2] > 2:
        raise ValueError(f"trajectory: must have dimension 1 or 2; got {paths.shape[2]}.")
    if paths.shape[2] == 1:
        times = np.broadcast_to(trajectory.times[:, None], paths.shape)
        paths = np.concatenate([times, paths], axis=2)
        ax.set_xlabel("depth $t$")
    else:
        plane_axes(ax)
    ax.add_collection(LineCollection(list(paths), colors=GREY, linewidths=0.6, alpha=0.8))
    rings: dict[str, Any] = {
        "facecolors": "white",
        "edgecolors": GREY,
        "linewidths": 0.7,
        "zorder": 2,
    }
    ax.scatter(paths[:, 0, 0], paths[:, 0, 1], s=14, **rings)
    ends = paths[np.arange(len(paths)), last_finite(paths[..., -1])]
    ax.scatter(ends[:, 0], ends[:, 1], s=14, color=color, linewidths=0, zorder=3)
    return ax


def plot_field(
    field: Callable[[Array], Array],
    *,
    xlim: tuple[float, float] = (-2.0, 2.0),
    ylim: tuple[float, float] = (-2.0, 2.0),
    count: int = 13,
    ax: Axes | None = None,
    color: Any = GREY,
    **arrows: Any,
) -> Axes:
    """Draw a velocity field of the plane as arrows on a coarse grid.

    Args:
        field: a function from points (n, 2) to velocities (n, 2), such as `attention(measure)`.
        xlim: the ends of the grid in the first coordinate.
        ylim: the ends of the grid in the second coordinate.
        count: arrows along each axis.
        ax: axes to draw on.
        color: of the arrows.
        **arrows: passed to `Axes.quiver`.

    Raises:
        ValueError: a field that does not return one plane velocity a point, empty limits.

    Example:
        >>> ax = plot_field(tp.AffineField([[0.0, 1.0], [-1.0, 0.0]]))  # doctest: +SKIP
    """
    sides = []
    for name, limits in (("xlim", xlim), ("ylim", ylim)):
        low, high = np.ravel(finite_array(name, limits, "2"))
        if not low < high:
            raise ValueError(f"{name}: must be (low, high) with low < high; got {limits!r}.")
        sides.append(np.linspace(low, high, positive_integer("count", count)))
    points = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2)
    velocity = np.asarray(field(points))
    if velocity.shape != points.shape:
        raise ValueError(
            f"field: must return one velocity a point, shape {points.shape}; "
            f"got shape {velocity.shape}."
        )
    ax = axes_on(ax)
    style = {"angles": "xy", "pivot": "mid", "width": 0.0035, "zorder": 1, "color": color}
    ax.quiver(*points.T, *velocity.T, **style | arrows)
    plane_axes(ax)
    return ax


def plot_snapshots(
    clouds: dict[str, Trajectory],
    ellipses: dict[str, Trajectory],
    *,
    styles: dict[str, Any],
    size: float = 3.0,
) -> Any:
    """Draw tokens and the ellipses of Gaussians at each recorded time, a row of panels a name.

    Args:
        clouds: flows of particles in the plane, by name.
        ellipses: flows of one Gaussian, with the same names and times.
        styles: the attention of each name, for its colour.
        size: the area of a token, in points squared.

    Returns:
        The axes, shape (names, times), on a new figure.

    Raises:
        ValueError: names or times that do not agree.

    Example:
        >>> axes = plot_snapshots(clouds, ellipses, styles=heads)  # doctest: +SKIP
    """
    if list(clouds) != list(ellipses):
        raise ValueError(
            f"ellipses: must have the names of clouds, {list(clouds)}; got {list(ellipses)}."
        )
    for name, cloud in clouds.items():
        if not np.array_equal(cloud.times, ellipses[name].times):
            raise ValueError(f"ellipses: the times of {name!r} must be those of its cloud.")
    columns = max(len(path) for path in clouds.values())
    size_in_inches = (2.6 * columns, 2.1 * len(clouds))
    figure = plt.figure(figsize=size_in_inches, layout="constrained")
    axes = figure.subplots(len(clouds), columns, sharex=True, sharey=True, squeeze=False)
    for row, (name, cloud) in zip(axes, clouds.items(), strict=True):
        for j, ax in enumerate(row):
            plot_particles(
                cloud[j], ax=ax, size=size, color=attention_style(styles[name])["color"]
            )
            plot_ellipse(ellipses[name][j], ax=ax, color="black")
            ax.set_title(f"{name}, depth {cloud.times[j]:g}", fontsize="medium")
    return axes
