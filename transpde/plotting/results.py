"""Attention matrices, and errors with their orders."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Polygon
from matplotlib.ticker import MaxNLocator

from transpde.checks import finite_array, same_size
from transpde.convergence import fitted_order, positive_array
from transpde.plotting.styles import AMOUNT, GREY, SIGNED, STYLES, axes_on

__all__ = ["plot_attention_matrix", "plot_convergence"]


def plot_attention_matrix(
    matrix: Any, *, ax: Axes | None = None, colorbar: bool = False, cmap: str | None = None
) -> Axes:
    """Draw an attention matrix: row i holds what token i takes from each token j.

    Args:
        matrix: shape (n, n), from `attention.matrix(measure)`.
        ax: axes to draw on.
        colorbar: add a scale beside the image.
        cmap: a colour map; one for amounts, or a diverging one where entries are negative.

    Raises:
        ValueError: an array of another shape.

    Example:
        >>> ax = plot_attention_matrix(attention.matrix(tokens), colorbar=True)  # doctest: +SKIP
    """
    matrix = np.asarray(matrix)
    if matrix.ndim == 3:
        raise ValueError(
            f"matrix: must have shape (n, n); got shape {matrix.shape}. "
            "Choose a head first: matrix[0]."
        )
    P = finite_array("matrix", matrix, "n n")
    same_size("matrix", P.shape[1], "its rows", P.shape[0], "number of columns")
    ax = axes_on(ax)
    low, high = float(P.min()), float(np.abs(P).max())
    image = ax.imshow(
        P,
        cmap=cmap or (AMOUNT if low >= 0 else SIGNED),
        vmin=0.0 if low >= 0 else -high,
        vmax=high,
        interpolation="nearest",
    )
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(6, integer=True))
    ax.set(xlabel="key token $j$", ylabel="query token $i$")
    if colorbar:
        ax.figure.colorbar(image, ax=ax, fraction=0.046, pad=0.04).outline.set_visible(False)
    return ax


def plot_convergence(
    x: Any,
    errors: Any,
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


def slope_triangle(ax: Axes, x: Any, errors: Any, order: float) -> None:
    """Draw a right triangle of slope `order` under the middle of the data, its sides named."""
    x, errors = np.log(np.ravel(x)), np.log(np.ravel(errors))
    ranked, width = np.argsort(x), float(np.ptp(x))
    left, right = x.min() + 0.55 * width, x.min() + 0.8 * width
    # The hypotenuse passes a factor of 2 below the data that it and its names stand under.
    near = x[(left - 0.15 * width < x) & (x < right + 0.1 * width)]
    at = np.append(near, [left, right])
    under = np.interp(at, x[ranked], errors[ranked]) - order * (at - left)
    left, right, start = np.exp(left), np.exp(right), 0.5 * np.exp(under.min())
    end = start * (right / left) ** order
    corner = (right, start) if order > 0 else (left, end)
    triangle = [(left, start), (right, end), corner]
    ax.add_patch(Polygon(triangle, fill=False, edgecolor=GREY, linewidth=0.9, gid="slope"))
    side, away, align = (right, 4, "left") if order > 0 else (left, -4, "right")
    ax.annotate(
        f"{order:g}".replace("-", "−"),
        (side, np.sqrt(start * end)),
        (away, 0),
        textcoords="offset points",
        ha=align,
        va="center",
        fontsize="small",
    )
    ax.annotate(
        "1",
        (np.sqrt(left * right), corner[1]),
        (0, -4),
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize="small",
    )
