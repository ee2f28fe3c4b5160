"""Growth of distances along depth, and what is measured against what is proved."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from transpde.checks import finite_array
from transpde.plotting.series import plot_seeds, plot_series
from transpde.plotting.styles import attention_style, axes_on

__all__ = ["plot_comparison", "plot_growth"]


def plot_growth(times: Any, ratios: dict[Any, Any], *, ax: Axes | None = None) -> Axes:
    """Draw ratios of distances along depth: a thin line a seed, a thick one for their median.

    Args:
        times: depths (N,).
        ratios: by attention, its class or the name of its class; shape (S, N), a row a seed.
        ax: axes to draw on.

    Raises:
        ValueError: an attention without a style, entries that are not finite, lengths that
            differ.

    Example:
        >>> ax = plot_growth([0, 1], {"Softmax": [[1.0, 2.0], [1.0, 1.5]]})  # doctest: +SKIP
    """
    ax, t = axes_on(ax), finite_array("times", times, "N")
    for attention, values in ratios.items():
        style = attention_style(attention)
        plot_seeds(ax, t, f"ratios of {style['label']}", values, **style)
    ax.set(xlabel="depth $t$", ylabel="distance, relative to depth 0")
    ax.legend(frameon=False)
    return ax


def plot_comparison(
    x: Any,
    lines: dict[str, Any],
    points: dict[str, Any],
    *,
    looks: dict[str, tuple[Any, str, str]],
    ax: Axes | None = None,
    log: str = "y",
    xlabel: str = "",
    ylabel: str = "",
) -> Axes:
    """Draw what is proved as lines and what is measured as marks of the same colour.

    Args:
        x: shape (N,).
        lines: values by name, shape (N,), or a pair (x, values).
        points: the same; a name that is also one of lines has one entry in the legend, with both.
        looks: colour, line style and marker by name.
        ax: axes to draw on.
        log: the axes of logarithmic scale, "", "x", "y" or "xy".
        xlabel: what x is.
        ylabel: what the values are.

    Raises:
        ValueError: a name without a look, and what `plot_series` raises.

    Example:
        >>> look = {"field": ("black", "-", "o")}
        >>> ax = plot_comparison([1, 2], {"field": [1, 2]}, {}, looks=look)  # doctest: +SKIP
    """
    if bare := sorted({*lines, *points} - set(looks)):
        raise ValueError(f"looks: must have a look for every name; none for {bare}.")
    marks = {f"_{name}" if name in lines else name: name for name in points}
    series = {**lines, **{key: points[name] for key, name in marks.items()}}
    styles = {name: (looks[name][0], looks[name][1]) for name in lines}
    styles |= {key: (looks[name][0], looks[name][2]) for key, name in marks.items()}
    ax = plot_series(x, series, styles=styles, ax=ax, log=log, xlabel=xlabel, ylabel=ylabel)
    drawn = {artist.get_label(): artist for artist in ax.lines}
    handles, names = ax.get_legend_handles_labels()
    both = [
        (handle, drawn[f"_{name}"]) if f"_{name}" in drawn else handle
        for handle, name in zip(handles, names, strict=True)
    ]
    ax.legend(both, names, frameon=False)
    return ax
