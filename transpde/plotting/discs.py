r"""Several attentions side by side: covariances in discs, and numbers along depth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from transpde.checks import Array, finite_array, same_size, symmetric_matrix
from transpde.plotting.covariances import plot_disc
from transpde.plotting.styles import GREY, attention_style, axes_on

__all__ = [
    "plot_agreement",
    "plot_arc",
    "plot_attention_curves",
    "plot_discs",
]


def plot_discs(
    panels: dict[str, Any],
    *,
    axes: Iterable[Axes] | None = None,
    arcs: dict[str, Any] | None = None,
    **style: Any,
) -> list[Axes]:
    r"""Draw directions of covariances in one disc each, with titles.

    Args:
        panels: paths (T, ..., 2, 2) by title, as `plot_disc` takes them.
        axes: one for each panel; a new row of them by default, with one name for the axis w.
        arcs: symmetric matrices C by title, whose directions $u^\top Cu > 0$ are marked.
        **style: passed to `plot_disc`.

    Raises:
        ValueError: no panel, a number of axes that is not that of the panels, an arc without a
            panel; what `plot_disc` and `plot_arc` raise.

    Example:
        >>> axes = plot_discs({"softmax": path.directions})  # doctest: +SKIP
    """
    if not panels:
        raise ValueError("panels: must hold at least one path; got none.")
    stray = [title for title in arcs or {} if title not in panels]
    if stray:
        raise ValueError(f"arcs: each must have the title of a panel; got {stray[0]!r}.")
    drawn = _row(len(panels)) if axes is None else list(axes)
    same_size("axes", len(drawn), "panels", len(panels), "length")
    options: dict[str, Any] = {"annotate": False, "linewidths": 1.1, "size": 14.0}
    for ax, (title, directions) in zip(drawn, panels.items(), strict=True):
        plot_disc(directions, ax=ax, **options | style)
        ax.set_title(title)
        if title in (arcs or {}):
            plot_arc((arcs or {})[title], ax=ax)
    if axes is None:
        for ax in drawn[1:]:
            ax.set_ylabel("")
    return drawn


def _row(count: int) -> list[Axes]:
    _, axes = plt.subplots(
        1, count, figsize=(3.2 * count, 3.5), layout="constrained", squeeze=False
    )
    return list(axes[0])


def plot_arc(matrix: Any, *, ax: Axes | None = None) -> Axes:
    r"""Mark beside the circle of a disc the directions u with $u^\top Cu > 0$.

    The matrix $uu^\top$ of $u = (\cos\alpha, \sin\alpha)$ is the point of angle $2\alpha$.

    Args:
        matrix: C, symmetric, (2, 2).
        ax: axes of a disc.

    Raises:
        ValueError: a matrix that is not symmetric, or of another size.

    Example:
        >>> ax = plot_arc([[1.0, 0.0], [0.0, -1.0]])  # doctest: +SKIP
    """
    C = symmetric_matrix("matrix", matrix)
    same_size("matrix", len(C), "the plane", 2, "dimension")
    ax = axes_on(ax)
    angle = np.linspace(0.0, 2 * np.pi, 1441)
    u, w = np.cos(angle), np.sin(angle)
    form = C[0, 0] + C[1, 1] + (C[0, 0] - C[1, 1]) * u + 2 * C[0, 1] * w
    arc = 1.045 * np.where(form > 0, [u, w], np.nan)
    ax.plot(*arc, color=GREY, linewidth=3.5, solid_capstyle="butt")
    return ax


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
    ax = axes_on(ax)
    for attention, (x, y) in curves.items():
        look: dict[str, Any] = attention_style(attention) | {"linewidth": 1.0} | lines
        depth, values = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        same_size(f"y of {look['label']}", len(values), "x", len(depth), "length")
        drawn = ax.plot(depth, values, **look)
        for line in drawn[1:]:
            line.set_label(f"_{look['label']}")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if len(curves) > 1:
        ax.legend(frameon=False)
    return ax


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
    same_size("found", len(found), "expected", len(expected), "length")
    if not len(expected):
        raise ValueError("expected: must hold at least one group; got none.")
    pairs = [
        (_positive("expected", x), _positive("found", y))
        for x, y in zip(expected, found, strict=True)
    ]
    for x, y in pairs:
        same_size("found", len(y), "expected", len(x), "length")
    ax = axes_on(ax)
    ends = [min(x.min() for x, _ in pairs), max(x.max() for x, _ in pairs)]
    ax.loglog(ends, ends, color=GREY, linewidth=1.0)
    for x, y in pairs:
        ax.loglog(x, y, ".", markersize=4)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    return ax


def _positive(name: str, values: Any) -> Array:
    array = finite_array(name, values, "N")
    if array.min() <= 0:
        raise ValueError(
            f"{name}: must be positive on logarithmic axes; got {array.min():.6g}. "
            "Leave such entries out."
        )
    return array
