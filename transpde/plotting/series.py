"""Several series of numbers against one quantity."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from transpde.checks import Array, finite_array, same_size
from transpde.plotting.results import plot_convergence, slope_triangle
from transpde.plotting.styles import GREY, INK, axes_on

__all__ = ["plot_samples", "plot_series", "plot_slopes"]


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
    **lines: Any,
) -> Axes:
    """Draw errors of several seeds against x as pale dots, and their root mean square as a line.

    Args:
        x: positive numbers (N,), such as numbers of tokens or layers.
        samples: positive errors, shape (S, N), a row a seed or a case.
        order: the expected slope, drawn as a triangle under the dots.
        label: what the errors are of, for the legend, where the fitted order of the line stands.
        ax: axes to draw on.
        **lines: passed to `Axes.loglog` for the line; for an attention,
            `**attention_style(attention)`.

    Raises:
        ValueError: numbers that are not positive, shapes that do not agree.

    Example:
        >>> ax = plot_samples([10, 20], [[0.3, 0.2], [0.2, 0.1]])  # doctest: +SKIP
    """
    errors = finite_array("samples", samples, "S N")
    if errors.min() <= 0:
        raise ValueError(f"samples: must be positive; got {errors.min()}.")
    same_size("samples", errors.shape[1], "x", len(np.ravel(x)), "number of columns")
    ax, style = axes_on(ax), {"color": INK} | lines
    dots: dict[str, Any] = {"alpha": 0.4, "markersize": 6, "markeredgewidth": 0, "zorder": 1}
    ax.plot(x, errors.T, ".", color=style["color"], label="_seeds", **dots)
    plot_convergence(x, np.sqrt((errors**2).mean(axis=0)), label=label, ax=ax, **style)
    if order is not None:
        slope_triangle(ax, x, errors.min(axis=0), order)
    return ax


def plot_slopes(ax: Axes, slopes: dict[float, tuple[float, float, float]]) -> Axes:
    """Draw grey lines of given slopes on logarithmic axes, each with its slope beside it.

    Args:
        ax: axes with data on logarithmic scales.
        slopes: (left, right, value at the left) by slope, all positive.

    Raises:
        ValueError: an interval without length, numbers that are not positive.

    Example:
        >>> ax = plot_slopes(ax, {2: (10, 100, 1e-3)})  # doctest: +SKIP
    """
    for slope, (left, right, start) in slopes.items():
        if not (0 < left < right and start > 0):
            raise ValueError(
                f"slopes: must have 0 < left < right and a positive value; got {slopes[slope]}."
            )
        end = start * (right / left) ** slope
        ax.plot([left, right], [start, end], color=GREY, linewidth=1.0, label="_slope")
        middle = (np.sqrt(left * right), np.sqrt(start * end))
        ax.annotate(
            f"{slope:g}",
            middle,
            (-7, 3),
            textcoords="offset points",
            ha="center",
            fontsize="small",
            color="0.4",
        )
    return ax


def plot_seeds(ax: Axes, x: Array, name: str, values: Any, **style: Any) -> None:
    """Draw a thin line a seed, and a thick one with the style for their median."""
    rows = finite_array(name, values, "S N")
    same_size(name, rows.shape[1], "x", len(x), "number of columns")
    ax.plot(x, rows.T, color=style["color"], linewidth=0.5, alpha=0.45, label="_seeds")
    ax.plot(x, np.median(rows, axis=0), **{"linewidth": 2.2} | style)
