"""The heads of a published model beside their Gaussian twins."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter

from transpde.checks import of_kind
from transpde.models import Survey
from transpde.plotting.styles import GREY, STYLES, axes_on, drawing
from transpde.theory import real

__all__ = ["plot_heads"]

HEADS, TWINS = STYLES["Softmax"]["color"], STYLES["L2"]["color"]


@drawing(survey=lambda name, value: of_kind(name, value, Survey))
def plot_heads(survey: Any, *, ax: Axes | None = None) -> Axes:
    r"""Draw how nearly affine each head is, and its Gaussian twin, against the spread of scores.

    Verticals stand at $\tfrac12\sqrt{2\log n}$ and $\sqrt{2\log n}$, between which n Gaussian
    tokens stop to act as their limit. Shares below -1 stand at -1.

    Args:
        survey: of a model on a text, see `transpde.models.survey`.
        ax: axes to draw on.

    Raises:
        TypeError: no survey.

    Example:
        >>> from transpde import models
        >>> ax = plot_heads(models.survey(model, model(ids)))  # doctest: +SKIP
    """
    ax = axes_on(ax)
    spreads = survey.spread.ravel()
    for shares, color, mark, name in (
        (survey.twin_share, TWINS, "x", "Gaussian twins"),
        (survey.share, HEADS, "o", "heads"),
    ):
        ax.plot(spreads, shares.ravel().clip(-1), mark, color=color, markersize=4, label=name)
    names = r"$\frac{1}{2}\sqrt{2\log n}$", r"$\sqrt{2\log n}$"
    edges = zip(real.freezing_spreads(survey.tokens), (":", "--"), names, strict=True)
    for edge, line, name in edges:
        ax.axvline(edge, color=GREY, linestyle=line, linewidth=1.0, zorder=0, label=name)
    ax.axhline(0, color=GREY, linewidth=0.5, zorder=0)
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.set(xlabel=r"spread $\sigma$ of the scores", ylabel="affine share", ylim=(-1.05, 1.05))
    ax.legend(frameon=False, loc="lower left")
    return ax
