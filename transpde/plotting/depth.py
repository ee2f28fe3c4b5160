"""Stacks of layers beside their flow."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from transpde.checks import same_size
from transpde.flow import Trajectory
from transpde.measures import Particles
from transpde.plotting.flows import plot_flow, plot_particles
from transpde.plotting.styles import GREY, STYLES, axes_on, of_kind

__all__ = ["plot_layers"]

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
