"""Stacks of layers beside their flow, and errors of many cases."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from transpde.checks import Array, finite_array, same_size
from transpde.flow import Trajectory
from transpde.measures import Particles
from transpde.plotting.flows import plot_flow, plot_particles
from transpde.plotting.results import plot_convergence
from transpde.plotting.styles import GREY, STYLES, axes_on, of_kind

__all__ = ["plot_layers", "plot_spread"]

MANY_LAYERS = 32  # beyond, dots at every layer would hide the paths


def plot_layers(
    stack: Trajectory,
    flow: Trajectory | None = None,
    *,
    ax: Axes | None = None,
    color: Any = STYLES["Softmax"]["color"],
) -> Axes:
    """Draw tokens of the plane through residual layers: broken lines, a dot a layer up to 32.

    Args:
        stack: from `layers`, of particles in dimension 2.
        flow: the flow of the same tokens, drawn in grey underneath.
        ax: axes to draw on.
        color: of the lines and dots.

    Raises:
        TypeError: trajectories of other measures.
        ValueError: another dimension, a flow of other tokens.

    Example:
        >>> ax = plot_layers(tp.layers(tokens, attention, 8, 0.1))  # doctest: +SKIP
    """
    end = of_kind("stack.final", of_kind("stack", stack, Trajectory).final, Particles)
    same_size("stack", end.dimension, "the plane", 2, "dimension")
    ax = axes_on(ax)
    if flow is not None:
        tokens = of_kind("flow.final", of_kind("flow", flow, Trajectory).final, Particles)
        same_size("flow", len(tokens.points), "stack", len(end.points), "number of tokens")
        plot_flow(flow, ax=ax, color=GREY)
    layers = len(stack) - 1
    dots = 4.0 * min(1.0, 8 / layers) ** 0.5 if layers <= MANY_LAYERS else 0.0
    style: dict[str, Any] = {"color": color, "marker": ".", "linewidth": 0.8, "markersize": dots}
    ax.plot(*np.moveaxis(stack.points, -1, 0), **style)
    return plot_particles(end, ax=ax, color=color, size=14)


def plot_spread(
    x: Any,
    errors: Any,
    *,
    order: float | None = None,
    label: str = "error",
    ax: Axes | None = None,
    **lines: Any,
) -> Axes:
    """Draw errors of many cases in log-log: a dot each, and their root mean squares as a line.

    Args:
        x: positive numbers (N,).
        errors: positive numbers (cases, N), such as one row a seed.
        order: the expected slope, drawn as a triangle under the line.
        label: what the errors are of, for the legend, where the fitted order of the line stands.
        ax: axes to draw on.
        **lines: passed to `Axes.loglog` for the line.

    Raises:
        ValueError: numbers that are not positive, shapes that do not match.

    Example:
        >>> ax = plot_spread(depths, errors, order=-0.5)  # doctest: +SKIP
    """
    table: Array = finite_array("errors", errors, "cases N")
    if table.min() <= 0:
        raise ValueError(f"errors: must be positive; got {table.min()}.")
    same_size("errors", table.shape[1], "x", len(np.ravel(x)), "number of columns")
    ax = axes_on(ax)
    ax.plot(x, table.T, ".", color=GREY, alpha=0.6, markersize=3, zorder=1)
    rms = np.sqrt((table**2).mean(axis=0))
    return plot_convergence(x, rms, order=order, label=label, ax=ax, **lines)
