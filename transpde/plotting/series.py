"""Series of numbers against one quantity, of seeds and of attentions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from transpde.checks import (
    Array,
    finite_array,
    mapping,
    of_kind,
    positive_array,
    real_array,
    same_size,
)
from transpde.plotting.styles import (
    GREY,
    INK,
    axes_on,
    color_of,
    drawing,
    each,
    seed_rows,
    style_of,
)

__all__ = [
    "plot_agreement",
    "plot_attention_curves",
    "plot_comparison",
    "plot_growth",
    "plot_medians",
    "plot_series",
]


@drawing()
def plot_series(
    x: ArrayLike,
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
    _check_log(log)
    drawn = each("series", series, lambda name, values: _columns(name, x, values))
    if styles:
        each("styles", styles, lambda name, look: _check_look(name, look, 2))
    if unknown := sorted(set(styles or {}) - set(series)):
        raise ValueError(f"styles: must have names of series, {list(series)}; got {unknown}.")
    ax = axes_on(ax)
    for name, columns in drawn.items():
        color, form = (styles or {}).get(name, (INK, "-"))
        for i, column in enumerate(columns):
            label = name if i == 0 else f"_{name}"
            ax.plot(*column, form, color=color, markersize=4.5, linewidth=1.0, label=label)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.set_xscale("log" if "x" in log else "linear")
    ax.set_yscale("log" if "y" in log else "linear")
    if not all(name.startswith("_") for name in series):
        ax.legend(frameon=False)
    return ax


def _columns(name: str, x: Any, values: Any) -> list[tuple[Array, Array]]:
    """Return x and y of each line of a series, which may be a pair (x, values)."""
    own = isinstance(values, tuple) and len(values) == 2
    place = finite_array(name, values[0], "N") if own else finite_array("x", x, "N")
    y = finite_array(name, values[1] if own else values, "...")
    if y.ndim not in (1, 2):
        raise ValueError(f"{name}: must have shape (N) or (N, m); got shape {y.shape}.")
    same_size(name, len(y), "x", len(place), "length")
    return [(place, column) for column in y.reshape(len(y), -1).T]


def _check_log(log: Any) -> None:
    if not isinstance(log, str) or log not in ("", "x", "y", "xy"):
        raise ValueError(f"log: must be '', 'x', 'y' or 'xy'; got {log!r}.")


def _check_look(name: str, look: Any, count: int) -> None:
    """Raise unless a look is a colour, and as many texts as are wanted, for line and marks."""
    rest = look[1:] if isinstance(look, tuple | list) and len(look) == count else None
    if rest is None or not all(isinstance(one, str) for one in rest):
        wanted = ("a colour and a format", "a colour, a line style and a marker")[count - 2]
        raise ValueError(f"{name}: must be {wanted}; got {look!r}.")
    color_of(name, look[0])


@drawing(lines=mapping, points=mapping)
def plot_comparison(
    x: ArrayLike,
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
    _check_log(log)
    for argument, values in (("lines", lines), ("points", points)):
        if values:
            each(argument, values, lambda name, one: _columns(name, x, one))
    if bare := sorted({*lines, *points} - set(looks)):
        raise ValueError(f"looks: must have a look for every name; none for {bare}.")
    each("looks", looks, lambda name, look: _check_look(name, look, 3))
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


@drawing()
def plot_attention_curves(
    curves: dict[Any, tuple[Any, Any]],
    *,
    ax: Axes | None = None,
    xlabel: str = "depth $t$",
    ylabel: str = "",
    **lines: Any,
) -> Axes:
    """Draw curves of several attentions, each in its look; of several, with a legend.

    Args:
        curves: x and y by attention, its class or the name of its class; x of shape (T,) or
            (T, B), y of shape (T,) or (T, B). NaN ends a curve.
        ax: axes to draw on.
        xlabel: what x is.
        ylabel: what y is.
        **lines: passed to `Axes.plot`.

    Raises:
        ValueError: an attention without a style, lengths that differ.

    Example:
        >>> ax = plot_attention_curves({"L2": ([0, 1], [1.0, 2.0])})  # doctest: +SKIP
    """
    each("curves", curves, _pair)
    ax = axes_on(ax)
    for attention, (x, y) in curves.items():
        look: dict[str, Any] = style_of("curves", attention) | {"linewidth": 1.0} | lines
        depth, values = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        drawn = ax.plot(depth, values, **look)
        for line in drawn[1:]:
            line.set_label(f"_{look['label']}")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if len(curves) > 1:
        ax.legend(frameon=False)
    return ax


def _pair(name: str, curve: Any) -> None:
    """Raise unless a curve is a pair of x and y, of one length; NaN may be in it."""
    if not isinstance(curve, tuple | list) or len(curve) != 2:
        raise ValueError(f"{name}: must be a pair (x, y); got {curve!r}.")
    x, y = (real_array(f"{axis} of {name}", one) for axis, one in zip("xy", curve, strict=True))
    for axis, one in (("x", x), ("y", y)):
        if one.ndim not in (1, 2):
            raise ValueError(f"{axis} of {name}: must have one or two axes; got {one.ndim}.")
    same_size(f"y of {name}", len(y), "x", len(x), "length")


@drawing()
def plot_growth(times: ArrayLike, ratios: dict[Any, Any], *, ax: Axes | None = None) -> Axes:
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
    t = finite_array("times", times, "N")
    drawn = each("ratios", ratios, lambda name, values: seed_rows(name, values, t, "times"))
    styles = {attention: style_of("ratios", attention) for attention in ratios}
    ax = axes_on(ax)
    for attention, rows in drawn.items():
        plot_seeds(ax, t, rows, **styles[attention])
    ax.set(xlabel="depth $t$", ylabel="distance, relative to depth 0")
    ax.legend(frameon=False)
    return ax


@drawing(samples=mapping)
def plot_medians(
    x: ArrayLike, samples: dict[str, Any], *, colors: Sequence[Any], ax: Axes | None = None
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
    drawn = each("samples", samples, lambda name, values: seed_rows(name, values, t))
    each("colors", colors, color_of)
    same_size("colors", len(colors), "samples", len(samples), "length")
    ax = axes_on(ax)
    for color, (name, rows) in zip(colors, drawn.items(), strict=True):
        plot_seeds(ax, t, rows, color=color, label=name)
    ax.legend(frameon=False)
    return ax


def plot_seeds(ax: Axes, x: Array, rows: Array, **style: Any) -> None:
    """Draw a thin line a seed, and a thick one with the style for their median."""
    ax.plot(x, rows.T, color=style["color"], linewidth=0.5, alpha=0.45, label="_seeds")
    ax.plot(x, np.median(rows, axis=0), **{"linewidth": 2.2} | style)


@drawing()
def plot_agreement(
    expected: Sequence[Any],
    found: Sequence[Any],
    *,
    ax: Axes | None = None,
    xlabel: str = "expected",
    ylabel: str = "found",
) -> Axes:
    """Draw numbers found against those expected, a colour a group, beside the diagonal.

    Args:
        expected: positive numbers, an array for each group.
        found: the same, as many in each group.
        ax: axes to draw on.
        xlabel: what is expected.
        ylabel: what is found.

    Raises:
        ValueError: no group, numbers of groups or of entries that differ, entries that are not
            finite and positive.

    Example:
        >>> ax = plot_agreement([[1.0, 2.0]], [[1.0, 2.1]])  # doctest: +SKIP
    """
    groups = each("expected", expected, positive_array).values()
    of_kind("found", found, (list, tuple), "a list")
    same_size("found", len(found), "expected", len(expected), "length")
    others = each("found", found, positive_array).values()
    pairs, ax = list(zip(groups, others, strict=True)), axes_on(ax)
    for group, other in pairs:
        same_size("found", len(other), "expected", len(group), "length")
    ends = [min(x.min() for x, _ in pairs), max(x.max() for x, _ in pairs)]
    ax.loglog(ends, ends, color=GREY, linewidth=1.0)
    for x, y in pairs:
        ax.loglog(x, y, ".", markersize=4)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    return ax
