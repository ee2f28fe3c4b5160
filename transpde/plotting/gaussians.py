r"""Gaussians of the plane as ellipses.

The ellipse of level l is $\{|X^{-1}(x - m)| = \ell\}$; of rank one a segment, of rank zero a dot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from transpde.checks import Array, finite_array, positive_integer, positive_number, same_size
from transpde.flow import Trajectory
from transpde.measures import Gaussian
from transpde.plotting.styles import INK, SEQUENCE, axes_on, in_the_plane, plane_axes

__all__ = ["plot_ellipse", "plot_ellipses"]

CIRCLE = np.linspace(0.0, 2 * np.pi, 181)


def plot_ellipse(
    gaussian: Gaussian,
    *,
    levels: Sequence[float] = (2.0,),
    ax: Axes | None = None,
    color: Any = INK,
    fill: float = 0.0,
    **lines: Any,
) -> Axes:
    r"""Draw the ellipses $\{|X^{-1}(x - m)| = \ell\}$ of a Gaussian of the plane.

    A Gaussian of rank one is the segment $m \pm \ell X$, a point mass a dot.

    Args:
        gaussian: a single one, in dimension 2.
        levels: the numbers l, in standard deviations.
        ax: axes to draw on.
        color: of outline and filling.
        fill: opacity of the filling, 0 for none.
        **lines: passed to `Axes.plot`.

    Raises:
        ValueError: another dimension, a stack, a level that is not positive.

    Example:
        >>> ax = plot_ellipse(tp.Gaussian([0.0, 0.0], [[2.0, 0.0], [0.0, 1.0]]))  # doctest: +SKIP
    """
    in_the_plane("gaussian", gaussian)
    if gaussian.stack:
        raise ValueError(
            f"gaussian: must be a single one; got a stack of shape {gaussian.stack}. "
            "Use plot_ellipses, or choose a case: gaussian[0]."
        )
    ax = axes_on(ax)
    for level in finite_array("levels", levels, "n"):
        x, y = outline(gaussian, positive_number("levels", level)).T
        marker = "." if len(x) == 1 else None
        ax.plot(x, y, **{"color": color, "linewidth": 1.2, "marker": marker} | lines)
        if fill:
            ax.fill(x, y, color=color, alpha=fill, linewidth=0)
    plane_axes(ax)
    return ax


def plot_ellipses(
    gaussians: Gaussian | Trajectory | Sequence[Gaussian],
    *,
    level: float = 2.0,
    values: Any = None,
    shown: int | None = None,
    ax: Axes | None = None,
    cmap: str = SEQUENCE,
    **lines: Any,
) -> Axes:
    """Draw the ellipses of several Gaussians of the plane, coloured by a number.

    The collection of lines carries the numbers: `figure.colorbar(ax.collections[-1])`.

    Args:
        gaussians: a stack, a sequence, or the trajectory of one Gaussian; NaN cases are left out.
        level: of the ellipses, in standard deviations.
        values: a number for each; by default the times of a trajectory, else 0, 1, 2, ...
        shown: draw only so many, evenly chosen from first to last.
        ax: axes to draw on.
        cmap: the colour map.
        **lines: passed to `LineCollection`.

    Raises:
        ValueError: another dimension, the trajectory of a stack, a wrong number of values.

    Example:
        >>> ax = plot_ellipses(tp.flow(gaussian, attention, 1.0), shown=9)  # doctest: +SKIP
    """
    cases, numbers = cases_of(gaussians)
    if values is not None:
        numbers = finite_array("values", values, "n")
        same_size("values", len(numbers), "gaussians", len(cases), "length")
    alive = [i for i, case in enumerate(cases) if np.isfinite(case.pack()).all()]
    if shown is not None and positive_integer("shown", shown) < len(alive):
        alive = [alive[j] for j in np.linspace(0, len(alive) - 1, shown).round().astype(int)]
    ax = axes_on(ax)
    outlines = [outline(cases[i], positive_number("level", level)) for i in alive]
    style: dict[str, Any] = {"cmap": cmap, "linewidths": 1.2}
    ellipses = LineCollection(outlines, **style | lines)
    ellipses.set_array(np.asarray(numbers)[alive])
    ax.add_collection(ellipses)
    dots = np.array([line[0] for line in outlines if len(line) == 1])
    if len(dots):
        ax.plot(*dots.T, ".", color=INK, markersize=4)
    plane_axes(ax)
    ax.autoscale_view()
    return ax


def cases_of(gaussians: Any) -> tuple[list[Gaussian], Array]:
    """Return single Gaussians of the plane, and a number for each."""
    if isinstance(gaussians, Trajectory):
        in_the_plane("gaussians", gaussians.final)
        if gaussians.final.stack:
            raise ValueError(
                "gaussians: must be the trajectory of one Gaussian; got that of a stack of shape "
                f"{gaussians.final.stack}. Draw a time of it: path[i], or all by plot_disc."
            )
        return [gaussians[i] for i in range(len(gaussians))], gaussians.times
    cases = gaussians if isinstance(gaussians, Sequence) else [gaussians]
    for case in cases:
        in_the_plane("gaussians", case)
    singles = [c[i] if c.stack else c for c in cases for i in np.ndindex(c.stack)]
    return singles, np.arange(len(singles), dtype=float)


def outline(gaussian: Gaussian, level: float) -> Array:
    """Return the points of an ellipse (181, 2); a segment (2, 2) of rank one, a dot (1, 2)."""
    with np.errstate(over="ignore", invalid="ignore"):
        axes = gaussian.principal()
        sizes = np.exp(axes.log_scales / 2) * (axes.factor != 0).any(axis=0)
        half = level * axes.factor * sizes
    if not np.isfinite(half).all():
        raise ValueError("gaussian: too large to be drawn; draw its direction instead: plot_disc.")
    rank = int((sizes > 1e-8 * sizes[0]).sum())
    if rank == 0:
        return gaussian.mean[None, :]
    if rank == 1:
        end = half[:, 0] * np.sign(half[np.abs(half[:, 0]).argmax(), 0])
        return gaussian.mean + np.outer([-1.0, 1.0], end)
    # The symmetric root of the covariance: axes have signs, and those of a circle are any.
    root = half @ axes.factor.T
    return gaussian.mean + np.stack([np.cos(CIRCLE), np.sin(CIRCLE)], axis=1) @ root
