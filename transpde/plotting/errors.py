"""Errors, their orders and the slopes expected; the poles that limit an interpolation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Polygon
from matplotlib.ticker import FixedLocator, NullLocator
from numpy.typing import ArrayLike

from transpde.checks import (
    Array,
    finite_number,
    mapping,
    of_kind,
    plain_array,
    positive_array,
    positive_number,
    same_size,
)
from transpde.checks import function as a_function
from transpde.convergence import bernstein_parameter, complex_points, fitted_order
from transpde.plotting.styles import (
    GREY,
    INK,
    SIGNED,
    STYLES,
    axes_on,
    drawing,
    each,
    note,
    seed_rows,
)

__all__ = ["plot_convergence", "plot_poles", "plot_rates", "plot_samples", "plot_slopes"]

MESH = (121, 161)  # points up and across: even numbers of cells, so that poles on axes stand out


@drawing()
def plot_convergence(
    x: ArrayLike,
    errors: ArrayLike,
    *,
    order: float | None = None,
    label: str = "error",
    ax: Axes | None = None,
    **lines: Any,
) -> Axes:
    """Draw errors against x in log-log, with the fitted order in the legend.

    Args:
        x: positive numbers (N,), such as steps or numbers of tokens.
        errors: positive numbers (N,).
        order: the expected slope, drawn as a triangle under the data.
        label: what the errors are of, for the legend.
        ax: axes to draw on.
        **lines: passed to `Axes.loglog`; for an attention, `**attention_style(attention)`.

    Raises:
        ValueError: numbers that are not positive, unequal lengths.

    Example:
        >>> ax = plot_convergence(steps, errors, order=1.0)  # doctest: +SKIP
    """
    slope = fitted_order(x, errors)
    x, errors = positive_array("x", x), positive_array("errors", errors)
    ax = axes_on(ax)
    style = {"color": STYLES["Softmax"]["color"], "marker": "o", "markersize": 4, "linewidth": 1.2}
    label = f"{lines.pop('label', label)}: order {slope:.2f}".replace("-", "−")
    ax.loglog(x, errors, label=label, **style | lines)
    ax.margins(0.1)
    if order is not None:
        slope_triangle(ax, x, errors, order)
    ax.legend(frameon=False)
    return ax


def slope_triangle(ax: Axes, x: ArrayLike, errors: ArrayLike, order: float) -> None:
    """Draw a right triangle of slope `order` under the middle of the data, its sides named."""
    across, up = np.log(np.ravel(x)), np.log(np.ravel(errors))
    ranked, width = np.argsort(across, kind="stable"), float(np.ptp(across))
    left, right = across.min() + 0.55 * width, across.min() + 0.8 * width
    # The hypotenuse passes a factor of 2 below the data that it and its names stand under.
    near = across[(left - 0.15 * width < across) & (across < right + 0.1 * width)]
    at = np.append(near, [left, right])
    under = np.interp(at, across[ranked], up[ranked]) - order * (at - left)
    left, right, start = np.exp(left), np.exp(right), 0.5 * np.exp(under.min())
    end = start * (right / left) ** order
    corner = (right, start) if order > 0 else (left, end)
    triangle = [(left, start), (right, end), corner]
    ax.add_patch(Polygon(triangle, fill=False, edgecolor=GREY, linewidth=0.9, gid="slope"))
    side, away, align = (right, 4, "left") if order > 0 else (left, -4, "right")
    beside, below = (side, np.sqrt(start * end)), (np.sqrt(left * right), corner[1])
    note(ax, f"{order:g}".replace("-", "−"), beside, (away, 0), ha=align, va="center")
    note(ax, "1", below, (0, -4), ha="center", va="top")


@drawing()
def plot_samples(
    x: ArrayLike,
    samples: ArrayLike,
    *,
    order: float | None = None,
    label: str = "root mean square",
    ax: Axes | None = None,
    **lines: Any,
) -> Axes:
    """Draw errors of several seeds against x as pale dots, and their root mean square as a line.

    Args:
        x: positive numbers (N,), such as numbers of tokens or layers.
        samples: positive errors, shape (S, N), a row a seed or a case.
        order: the expected slope, drawn as a triangle under the dots. Without it, the legend gives
            the fitted order of the line, which is not the mean of those of the seeds.
        label: what the errors are of, for the legend.
        ax: axes to draw on.
        **lines: passed to `Axes.loglog` for the line; for an attention,
            `**attention_style(attention)`.

    Raises:
        ValueError: numbers that are not positive, shapes that do not agree.

    Example:
        >>> ax = plot_samples([10, 20], [[0.3, 0.2], [0.2, 0.1]])  # doctest: +SKIP
    """
    numbers = positive_array("x", x)
    errors = _positive_rows("samples", samples, numbers)
    ax, style = axes_on(ax), {"color": INK} | lines
    dots: dict[str, Any] = {"alpha": 0.4, "markersize": 6, "markeredgewidth": 0, "zorder": 1}
    ax.plot(x, errors.T, ".", color=style["color"], label="_seeds", **dots)
    plot_convergence(x, np.sqrt((errors**2).mean(axis=0)), label=label, ax=ax, **style)
    if order is not None:
        ax.lines[-1].set_label(style.get("label", label))
        ax.legend(frameon=False)
        slope_triangle(ax, x, errors.min(axis=0), order)
    return ax


def _positive_rows(name: str, samples: Any, x: Array) -> Array:
    return positive_array(name, seed_rows(name, samples, x), "S N")


@drawing(errors=mapping)
def plot_rates(
    x: ArrayLike,
    errors: dict[str, Any],
    *,
    order: float | None = None,
    ax: Axes | None = None,
    title: str = "",
    ylabel: str = "",
) -> Axes:
    """Draw errors of several families against x: dots for seeds, a line of root mean squares.

    Args:
        x: positive numbers (N,), such as numbers of tokens; the ticks of the axis.
        errors: positive errors (S, N) by name, a row a seed; colours from dark to light.
        order: the expected slope, drawn as a triangle under all families; without it, the legend
            gives the fitted orders of the lines.
        ax: axes to draw on.
        title: of the axes.
        ylabel: what the errors are.

    Raises:
        ValueError: numbers that are not positive, shapes that do not agree.

    Example:
        >>> ax = plot_rates([10, 20], {"d = 1": [[0.3, 0.2], [0.2, 0.1]]})  # doctest: +SKIP
    """
    numbers = positive_array("x", x)
    each("errors", errors, lambda name, rows: _positive_rows(name, rows, numbers))
    ax = axes_on(ax)
    colors = plt.get_cmap("viridis")(np.linspace(0, 0.85, len(errors)))
    for color, (name, samples) in zip(colors, errors.items(), strict=True):
        plot_samples(x, samples, label=name, ax=ax, color=color)
        if order is not None:
            ax.lines[-1].set_label(name)
    if order is not None:
        slope_triangle(ax, x, np.vstack(list(errors.values())).min(axis=0), order)
    ax.xaxis.set_major_locator(FixedLocator(list(np.ravel(x))))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter("{x:.0f}")
    ax.set(title=title, xlabel="number of tokens $n$", ylabel=ylabel)
    ax.legend(frameon=False, fontsize="small", ncols=2 if len(errors) > 3 else 1)
    return ax


@drawing()
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
    for slope, interval in slopes.items():
        finite_number("slopes", slope)
        name = f"slopes[{slope!r}]"
        three = [positive_number(name, one) for one in of_kind(name, interval, (tuple, list))]
        if len(three) != 3 or not three[0] < three[1]:
            raise ValueError(
                f"{name}: must have 0 < left < right and a positive value; got {interval}."
            )
        left, right, start = three
        end = start * (right / left) ** slope
        ax.plot([left, right], [start, end], color=GREY, linewidth=1.0, label="_slope")
        middle = (np.sqrt(left * right), np.sqrt(start * end))
        note(ax, f"{slope:g}", middle, (-7, 3), ha="center", color="0.4")
    return ax


@drawing(function=a_function)
def plot_poles(
    function: Callable[[Array], Any],
    poles: ArrayLike,
    *,
    width: float = 1.5,
    height: float = 1.0,
    ax: Axes | None = None,
) -> Axes:
    r"""Draw $\log_{10}|f|$ in the complex plane, the poles of f and the ellipse they leave.

    The ellipse has foci -1 and 1 and passes through the nearest pole: inside it f is analytic.

    Args:
        function: takes complex numbers of any shape.
        poles: complex numbers (N,), at least one.
        width: half of the rectangle's, at least 1.
        height: half of the rectangle's.
        ax: axes to draw on; the colours are `ax.collections[0]`.

    Raises:
        ValueError: no pole, a rectangle without the interval, sizes that are not positive.

    Example:
        >>> ax = plot_poles(lambda z: 1 / (1 + z**2), [1j, -1j])  # doctest: +SKIP
    """
    poles = np.ravel(complex_points("poles", poles))
    if positive_number("width", width) < 1:
        raise ValueError(f"width: must be at least 1, to show [-1, 1]; got {width}.")
    positive_number("height", height)
    ax = axes_on(ax)
    y, x = (np.linspace(-s, s, n + 1) for s, n in zip((height, width), MESH, strict=True))
    with np.errstate(divide="ignore"):
        z = x + 1j * y[:, None]
        found = plain_array("function", function(z), "iufc")
        same_size("function", found.size, "its argument", z.size, "number of values")
        size = np.log10(np.abs(found)).reshape(z.shape)
    levels = np.linspace(-1, 1, 21)
    ax.contourf(x, y, np.clip(size, -0.99, 0.99), levels=levels, cmap=f"{SIGNED}_r")
    rho = bernstein_parameter(poles).min()
    angle = np.linspace(0, 2 * np.pi, 241)
    edge = (rho * np.exp(1j * angle) + np.exp(-1j * angle) / rho) / 2
    ax.plot(edge.real, edge.imag, "--", color=INK, linewidth=1.2, label="_ellipse")
    ax.plot([-1, 1], [0, 0], color=INK, linewidth=2.6, solid_capstyle="round", label="_interval")
    shown = poles[(np.abs(poles.real) < width) & (np.abs(poles.imag) < height)]
    look: dict[str, Any] = {"color": INK, "markeredgecolor": "white", "markersize": 7}
    ax.plot(shown.real, shown.imag, "o", label="_poles", **look)
    ax.set(xlabel="real part", ylabel="imaginary part", aspect="equal")
    return ax
