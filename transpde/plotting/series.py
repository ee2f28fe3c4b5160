"""Several series of numbers against one quantity."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from transpde.checks import Array, finite_array, same_size
from transpde.plotting.results import plot_convergence
from transpde.plotting.styles import GREY, INK, axes_on

__all__ = ["plot_samples", "plot_series"]


def plot_series(
    x: Any,
    series: dict[str, Any],
    *,
    styles: dict[str, tuple[Any, str]] | None = None,
    ax: Axes | None = None,
    log: str = "",
    xlabel: str = "",
    ylabel: str = "",
) -> Axes:
    """Draw named series against x, with a legend of those whose name does not start with "_".

    Args:
        x: shape (N,).
        series: values by name, shape (N,), or (N, m) for m lines of one look; a pair (x, values)
            has an x of its own.
        styles: colour and format, such as ("black", "o-"), by name; a black line when left out.
        ax: axes to draw on.
        log: the axes of logarithmic scale, "", "x", "y" or "xy".
        xlabel: what x is.
        ylabel: what the values are.

    Raises:
        ValueError: lengths that differ, entries that are not finite, styles of unknown names,
            another `log`.

    Example:
        >>> ax = plot_series([1, 2], {"data": [3.0, 4.0]}, log="y")  # doctest: +SKIP
    """
    if log not in ("", "x", "y", "xy"):
        raise ValueError(f"log: must be '', 'x', 'y' or 'xy'; got {log!r}.")
    if unknown := sorted(set(styles or {}) - set(series)):
        raise ValueError(f"styles: must have names of series, {list(series)}; got {unknown}.")
    ax = axes_on(ax)
    for name, values in series.items():
        color, form = (styles or {}).get(name, (INK, "-"))
        for i, column in enumerate(_columns(name, *(values if _is_pair(values) else (x, values)))):
            label = name if i == 0 else f"_{name}"
            ax.plot(*column, form, color=color, markersize=4.5, linewidth=1.0, label=label)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.set_xscale("log" if "x" in log else "linear")
    ax.set_yscale("log" if "y" in log else "linear")
    if not all(name.startswith("_") for name in series):
        ax.legend(frameon=False)
    return ax


def _is_pair(values: Any) -> bool:
    return isinstance(values, tuple) and len(values) == 2


def _columns(name: str, x: Any, values: Any) -> list[tuple[Array, Array]]:
    x, y = finite_array("x", x, "N"), np.asarray(values)
    y = finite_array(f"series[{name!r}]", y[:, None] if y.ndim == 1 else y, "N m")
    same_size(f"series[{name!r}]", len(y), "x", len(x), "length")
    return [(x, column) for column in y.T]


def plot_samples(
    x: Any,
    samples: Any,
    *,
    order: float | None = None,
    label: str = "error",
    ax: Axes | None = None,
    color: Any = INK,
) -> Axes:
    """Draw errors of several seeds against x as dots, and their root mean square with its order.

    Args:
        x: positive numbers (N,), such as numbers of tokens.
        samples: positive errors, shape (S, N), a row a seed.
        order: the expected slope, drawn as a triangle under the line.
        label: what the errors are of, for the legend.
        ax: axes to draw on.
        color: of the line.

    Raises:
        ValueError: numbers that are not positive, shapes that do not agree.

    Example:
        >>> ax = plot_samples([10, 20], [[0.3, 0.2], [0.2, 0.1]])  # doctest: +SKIP
    """
    errors = finite_array("samples", samples, "S N")
    ax = plot_series(x, {"_seeds": errors.T}, styles={"_seeds": (GREY, ".")}, ax=ax)
    average = np.sqrt((errors**2).mean(axis=0))
    return plot_convergence(x, average, order=order, label=label, ax=ax, color=color)
