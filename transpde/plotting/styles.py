"""The colours of the book, and the axes that drawings stand on."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np
from matplotlib import colormaps
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, is_color_like

from transpde.attention import Attention, WithFeedForward
from transpde.checks import (
    Array,
    finite_array,
    finite_number,
    flag,
    mapping,
    non_negative_number,
    number,
    of_kind,
    positive_integer,
    positive_number,
    same_size,
    text,
)
from transpde.measures import Gaussian, Particles
from transpde.trajectories import Trajectory

__all__ = ["STYLES", "attention_style"]

# One colour and one line style an attention, in all chapters. The hues are those of Okabe and Ito,
# the light ones darkened: each has a contrast of at least 3 : 1 with a white page and, as a dark
# page shows it, with that; any two differ on both under every common colour blindness. The line
# styles tell them apart without any colour.
STYLES: dict[str, dict[str, Any]] = {
    "Softmax": {"color": "#0072B2", "linestyle": "-", "label": "softmax"},
    "L2": {"color": "#D55E00", "linestyle": "--", "label": "L2"},
    "Sinkhorn": {"color": "#10A572", "linestyle": "-.", "label": "Sinkhorn"},
    "Sigmoid": {"color": "#BE6AA3", "linestyle": ":", "label": "sigmoid"},
    "Linear": {"color": "#563C0A", "linestyle": (0, (7, 2)), "label": "linear"},
    "Unnormalized": {
        "color": "#15436A",
        "linestyle": (0, (3, 1, 1, 1, 1, 1)),
        "label": "unnormalised",
    },
    "MultiHead": {"color": "#000000", "linestyle": (0, (9, 2, 2, 2)), "label": "multi-head"},
    "Masked": {"color": "#595959", "linestyle": (0, (2, 2)), "label": "masked"},
}
INK = "#222222"  # outlines and marks, and an attention that has no look of its own
GREY = "#8C8C8C"  # what should step back: paths, arrows, reference slopes
SEQUENCE = "viridis"  # along time or a number
AMOUNT = "cividis"  # a matrix of non-negative entries
SIGNED = "PuOr"  # a matrix with entries of both signs


def attention_style(attention: Any) -> dict[str, Any]:
    """Return the colour, line style and label of an attention, ready for `ax.plot`.

    One that `STYLES` does not list is dotted in ink, under its own name.

    Args:
        attention: an attention, its class or the name of a class in `STYLES`.

    Raises:
        ValueError: another name.

    Example:
        >>> from transpde.plotting import attention_style
        >>> attention_style("Softmax")["color"]
        '#0072B2'
    """
    return style_of("attention", attention)


def style_of(argument: str, attention: Any) -> dict[str, Any]:
    """Return what `attention_style` does, for an argument of that name."""
    if isinstance(attention, WithFeedForward):
        return style_of(argument, attention.attention)
    if isinstance(attention, Attention):
        attention = type(attention)
    is_attention = isinstance(attention, type) and issubclass(attention, Attention)
    name = attention.__name__ if is_attention else attention
    if not is_attention and not (isinstance(attention, str) and attention in STYLES):
        raise ValueError(
            f"{argument}: must be one of {', '.join(STYLES)}, or an attention; got {attention!r}."
        )
    return dict(STYLES.get(name, {"color": INK, "linestyle": (0, (1, 2)), "label": name.lower()}))


# --- the arguments that drawings share -----------------------------------------------------------

P = ParamSpec("P")
R = TypeVar("R")


def drawing(**kinds: Callable[[str, Any], Any]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Check, before anything is drawn, the arguments that drawings share, each by its name.

    Args:
        **kinds: checks of other arguments, or in place of those of `SHARED`. What stands at its
            default is not looked at.
    """
    checks = SHARED | kinds

    def decorated(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def checked(*given: P.args, **options: P.kwargs) -> R:
            for name, value in signature.bind(*given, **options).arguments.items():
                known = signature.parameters[name]
                if name in checks and known.kind not in REST and value is not known.default:
                    checks[name](name, value)
            return function(*given, **options)

        return checked

    return decorated


def color_of(name: str, value: Any) -> None:
    """Raise unless a value is a colour, or a number or colour for each of several things."""
    if is_color_like(value):
        return
    if isinstance(value, str | bytes) or value is None:
        raise ValueError(f"{name}: must be a colour of matplotlib; got {value!r}.")
    if isinstance(value, list | tuple) and value and all(is_color_like(one) for one in value):
        return
    finite_array(name, value, "... n")


def _colour_map(name: str, value: Any) -> None:
    if not isinstance(value, Colormap) and not (isinstance(value, str) and value in colormaps):
        raise ValueError(f"{name}: must be a colour map of matplotlib; got {value!r}.")


def _share(name: str, value: Any) -> None:
    number(name, value, "a number from 0 to 1", lambda x: 0 <= x <= 1)


def _axes(name: str, value: Any) -> None:
    of_kind(name, value, Axes, "axes of matplotlib")


REST = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
SHARED: dict[str, Callable[[str, Any], Any]] = (
    {"ax": _axes, "color": color_of, "cmap": _colour_map, "fill": _share, "order": finite_number}
    | dict.fromkeys(("annotate", "colorbar", "ends"), flag)
    | dict.fromkeys(("bins", "columns", "count", "shown"), positive_integer)
    | dict.fromkeys(("height", "limit", "width"), positive_number)
    | {"size": non_negative_number}
    | dict.fromkeys(("label", "title", "xlabel", "ylabel"), text)
    | dict.fromkeys(
        ("attentions", "curves", "looks", "panels", "ratios", "series", "slopes", "styles"),
        mapping,
    )
)


def each(name: str, values: Any, check: Callable[[str, Any], Any]) -> dict[Any, Any]:
    """Return what a check makes of each entry of a mapping or a sequence; one at least."""
    if not isinstance(values, dict):
        values = dict(enumerate(of_kind(name, values, (list, tuple), "a list")))
    if not values:
        raise ValueError(f"{name}: must hold at least one entry; got none.")
    return {key: check(f"{name}[{key!r}]", value) for key, value in values.items()}


def axes_on(ax: Axes | None) -> Axes:
    """Return the axes to draw on, without the two spines that carry no scale."""
    ax = plt.gca() if ax is None else ax
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def row_of_axes(count: int, width: float, height: float, **options: Any) -> list[Any]:
    """Return a new row of axes, with the width of each and their height in inches."""
    options = {"figsize": (width * count, height), "layout": "constrained"} | options
    return list(plt.subplots(1, count, squeeze=False, **options)[1][0])


def coloured_lines(ax: Axes, curves: Any, numbers: Array, **style: Any) -> LineCollection:
    """Draw curves (N, T, 2), each in the colour of its number."""
    lines = LineCollection(list(curves), **style)
    lines.set_array(numbers)
    ax.add_collection(lines)
    return lines


def note(ax: Axes, text: str, place: Any, away: tuple[float, float], **style: Any) -> None:
    """Write a small text at a distance from a place, in points."""
    look: dict[str, Any] = {"textcoords": "offset points", "fontsize": "small"}
    ax.annotate(text, place, away, **look | style)


def one_each(values: Any, name: str, count: int, what: str = "length") -> Array:
    """Return the numbers `values`, after a check that there is one for each."""
    numbers = finite_array("values", values, "N")
    same_size("values", len(numbers), name, count, what)
    return numbers


def seed_rows(name: str, values: Any, x: Array, x_name: str = "x") -> Array:
    """Return values (S, N), a row a seed, after a check that they are as many as x."""
    rows = finite_array(name, values, "S N")
    same_size(name, rows.shape[1], x_name, len(x), "number of columns")
    return rows


def plane_axes(ax: Axes, *, box: bool = False) -> None:
    """Give the axes of the plane one scale, and their names where they have none.

    With `box`, and where panels share both axes, the box changes and not the limits. Of panels
    that share axes only the outer ones carry names.
    """
    groups = ax.get_shared_x_axes(), ax.get_shared_y_axes()
    shared = [len(group.get_siblings(ax)) > 1 for group in groups]
    ax.set_aspect("equal", adjustable="box" if box or all(shared) else "datalim")
    place = ax.get_subplotspec()
    below, left = place is None or place.is_last_row(), place is None or place.is_first_col()
    if not ax.get_xlabel() and (below or not shared[0]):
        ax.set_xlabel("$x_1$")
    if not ax.get_ylabel() and (left or not shared[1]):
        ax.set_ylabel("$x_2$")


def axes_3d(ax: Any) -> Any:
    """Return the three-dimensional axes to draw on."""
    if ax is None:
        current = plt.gcf().axes
        ax = plt.gca() if current else plt.gcf().add_subplot(projection="3d")
    if getattr(ax, "name", "") != "3d":
        raise ValueError(
            f"ax: must be three-dimensional; got {type(ax).__name__}. "
            'Make it by figure.add_subplot(projection="3d").'
        )
    return ax


def one_cloud(name: str, value: Any) -> Any:
    """Return `value`, or raise unless it is `Particles`, and no stack of clouds."""
    cloud = of_kind(name, value, Particles)
    if cloud.stack:
        raise ValueError(
            f"{name}: must be a single cloud; got a stack of shape {cloud.stack}. "
            f"Choose a case: {name}[0]."
        )
    return cloud


def one_path(name: str, value: Any) -> Any:
    """Return `value`, or raise unless it is the trajectory of one measure."""
    path = of_kind(name, value, Trajectory)
    if path.final.stack:
        raise ValueError(
            f"{name}: must be the trajectory of one measure; got that of a stack of shape "
            f"{path.final.stack}. Choose a case: {name}.case(0)."
        )
    return path


def one_space(name: str, space: Any, other_name: str, other: Any) -> None:
    """Raise `ValueError` unless two measures drawn together are in one space."""
    if space != other:
        raise ValueError(f"{name}: must be in the space of {other_name}, {other}; got {space}.")


def in_the_plane(name: str, gaussian: Any) -> None:
    """Raise unless `gaussian` is a Gaussian, or a stack of them, in dimension 2."""
    same_size(name, of_kind(name, gaussian, Gaussian).dimension, "the plane", 2, "dimension")


def last_finite(values: Array) -> Array:
    """Return the index of the last finite entry of each row."""
    alive = np.isfinite(values)
    return values.shape[1] - 1 - alive[:, ::-1].argmax(axis=1)
