"""Random samples: clouds on the line beside a density, errors and paths of many seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from transpde.checks import Array, finite_array, same_size
from transpde.measures import Grid, Particles
from transpde.plotting.densities import plot_density
from transpde.plotting.results import fitted_order, slope_triangle
from transpde.plotting.series import plot_samples, plot_seeds
from transpde.plotting.styles import axes_on, of_kind

__all__ = ["SeedOrder", "plot_histograms", "plot_medians", "plot_rates", "seed_order"]

BARS = "#4477AA"


class SeedOrder(NamedTuple):
    """A fitted order with its spread: the mean over seeds and its standard error."""

    mean: float
    error: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} +- {self.error:.2f}"

    def near(self, order: float, margin: float = 0.0) -> bool:
        """Return whether an order lies within three standard errors and a margin."""
        return abs(self.mean - order) <= 3 * self.error + margin


def seed_order(x: Any, samples: Any) -> SeedOrder:
    """Return the mean over seeds of the fitted orders, with its standard error.

    Args:
        x: positive numbers (N,), such as numbers of tokens.
        samples: positive errors (S, N), a row a seed; at least two seeds.

    Raises:
        ValueError: one seed, numbers that are not positive, shapes that do not agree.

    Example:
        >>> from transpde.plotting import seed_order
        >>> order = seed_order([1, 2, 4], [[4.0, 2.0, 1.0], [8.0, 4.0, 2.0]])
        >>> str(order), order.near(-1.0, margin=1e-9)
        ('-1.00 +- 0.00', True)
    """
    errors = finite_array("samples", samples, "S N")
    if len(errors) < 2:
        raise ValueError(f"samples: must have at least two seeds; got {len(errors)}.")
    orders = np.array([fitted_order(x, row) for row in errors])
    return SeedOrder(float(orders.mean()), float(orders.std(ddof=1) / np.sqrt(len(orders))))


def plot_rates(
    x: Any,
    errors: dict[str, Any],
    *,
    order: float | None = None,
    ax: Axes | None = None,
    title: str = "",
    xlabel: str = "number of tokens $n$",
    ylabel: str = "",
) -> Axes:
    """Draw errors of several families against x: dots for seeds, a line of root mean squares.

    Args:
        x: positive numbers (N,), such as numbers of tokens; the ticks of the axis.
        errors: positive errors (S, N) by name, a row a seed; colours from dark to light.
        order: the expected slope, drawn as a triangle under all families.
        ax: axes to draw on.
        title: of the axes.
        xlabel: what x is.
        ylabel: what the errors are.

    Raises:
        ValueError: numbers that are not positive, shapes that do not agree.

    Example:
        >>> ax = plot_rates([10, 20], {"d = 1": [[0.3, 0.2], [0.2, 0.1]]})  # doctest: +SKIP
    """
    ax = axes_on(ax)
    colors = plt.get_cmap("viridis")(np.linspace(0, 0.85, len(errors)))
    for color, (name, samples) in zip(colors, errors.items(), strict=True):
        plot_samples(x, samples, label=name, ax=ax, color=color)
    if order is not None:
        slope_triangle(ax, x, np.vstack(list(errors.values())).min(axis=0), order)
    ax.xaxis.set_major_locator(FixedLocator(list(np.ravel(x))))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter("{x:.0f}")
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    ax.legend(frameon=False, fontsize="small", ncols=2 if len(errors) > 3 else 1)
    return ax


def plot_medians(
    x: Any, samples: dict[str, Any], *, colors: Sequence[Any], ax: Axes | None = None
) -> Axes:
    """Draw paths of several families against x: thin lines for seeds, a thick one their median.

    Args:
        x: shape (N,).
        samples: values (S, N) by name, a row a seed.
        colors: one a family.
        ax: axes to draw on.

    Raises:
        ValueError: shapes that do not agree, entries that are not finite.

    Example:
        >>> ax = plot_medians([0, 1], {"a": [[0, 1], [0, 2]]}, colors=["k"])  # doctest: +SKIP
    """
    t: Array = finite_array("x", x, "N")
    same_size("colors", len(colors), "samples", len(samples), "length")
    ax = axes_on(ax)
    for color, (name, values) in zip(colors, samples.items(), strict=True):
        plot_seeds(ax, t, f"samples[{name!r}]", values, color=color, label=name)
    ax.legend(frameon=False)
    return ax


def plot_histograms(
    clouds: Sequence[Particles], density: Grid, edges: Any, *, axes: Any = None
) -> Any:
    """Draw tokens of the line as histograms, each beside the density that they stand for.

    Args:
        clouds: particles on the line.
        density: a grid on the line, drawn as a curve in each panel.
        edges: of the bars, increasing.
        axes: a row of axes, one a cloud.

    Raises:
        TypeError: clouds that are not `Particles`, a density that is not a `Grid`.
        ValueError: another dimension.

    Example:
        >>> axes = plot_histograms([tokens], grid, np.linspace(-1, 1, 21))  # doctest: +SKIP
    """
    of_kind("density", density, Grid)
    if axes is None:
        size: dict[str, Any] = {"figsize": (2.8 * len(clouds), 2.8), "layout": "constrained"}
        axes = plt.subplots(1, len(clouds), sharey=True, squeeze=False, **size)[1][0]
    for ax, cloud in zip(axes, clouds, strict=True):
        same_size("clouds", of_kind("clouds", cloud, Particles).dimension, "the line", 1,
                  "dimension")  # fmt: skip
        ax.hist(
            cloud.points[:, 0], edges, weights=cloud.weights, density=True, color=BARS, alpha=0.6
        )
        plot_density(density, ax=ax, fill=0)
        ax.set(title=f"$n = {len(cloud.points)}$", xlabel="token")
    axes[0].set_ylabel("density")
    return axes
