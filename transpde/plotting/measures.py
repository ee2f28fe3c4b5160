r"""Measures of the line and of the plane: tokens as dots, densities, Gaussians as ellipses.

The ellipse of level l is $\{|X^{-1}(x - m)| = \ell\}$; of rank one a segment, of rank zero a dot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from transpde.checks import (
    Array,
    finite_array,
    of_kind,
    positive_array,
    positive_integer,
    positive_number,
    same_size,
)
from transpde.measures import Gaussian, Grid, Particles
from transpde.plotting.solid import drawable, in_space, token_axes
from transpde.plotting.styles import (
    AMOUNT,
    GREY,
    INK,
    SEQUENCE,
    axes_on,
    coloured_lines,
    drawing,
    each,
    in_the_plane,
    one_cloud,
    one_each,
    one_space,
    plane_axes,
    row_of_axes,
)
from transpde.trajectories import Trajectory

__all__ = ["plot_density", "plot_ellipse", "plot_ellipses", "plot_histograms", "plot_particles"]

BARS = "#4477AA"
LEVEL = 2.0  # of ellipses, in standard deviations
CIRCLE = np.linspace(0.0, 2 * np.pi, 181)


@drawing()
def plot_particles(
    particles: Particles,
    *,
    ax: Axes | None = None,
    color: Any = INK,
    size: float = 16.0,
    **marks: Any,
) -> Axes:
    """Draw tokens of the line, the plane or space as dots of area proportional to their weight.

    Tokens on a sphere of space are drawn with the sphere, as a net of circles.

    Args:
        particles: in dimension 1, 2 or 3.
        ax: axes to draw on; three-dimensional ones in dimension 3.
        color: one colour, or one value a token.
        size: the area of a token of average weight, in points squared.
        **marks: passed to `Axes.scatter`.

    Raises:
        ValueError: a dimension above 3 (project the tokens first), a stack, axes of the plane for
            tokens of space.

    Example:
        >>> ax = plot_particles(tp.Particles([[0.0, 0.0], [1.0, 2.0]]))  # doctest: +SKIP
    """
    x, d = one_cloud("particles", particles).points, particles.dimension
    drawable("particles", d)
    areas = positive_number("size", size) * len(x) * particles.weights
    ax = token_axes(ax, d, particles.space)
    where = x.T if d > 1 else (x[:, 0], np.zeros(len(x)))
    sizes: Any = {"s": areas}  # not by place: the third place is that of the third coordinate
    ax.scatter(*where, **sizes | {"c": color, "linewidths": 0, "zorder": 3} | marks)
    if d == 1:
        ax.axhline(0.0, color=GREY, linewidth=0.6, zorder=1)
        ax.yaxis.set_visible(False)
        ax.spines["left"].set_visible(False)
        return ax
    in_space(ax, d)
    return ax


@drawing()
def plot_density(
    grid: Grid, *, ax: Axes | None = None, color: Any = INK, fill: float = 0.2, **artist: Any
) -> Axes:
    """Draw a density on a grid: the average over each cell, as it is computed.

    On the line it is a stepped curve over its shadow. In the plane each cell has the colour of its
    average; the mesh carries the numbers: `figure.colorbar(ax.collections[-1])`.

    Args:
        grid: on the line or in the plane.
        ax: axes to draw on.
        color: on the line, of curve and shadow.
        fill: on the line, the opacity of the shadow, 0 for none.
        **artist: passed to `Axes.stairs` on the line, to `Axes.pcolormesh` in the plane.

    Raises:
        TypeError: a measure that is not a `Grid`.

    Example:
        >>> ax = plot_density(tp.Grid([0.0, 1.0, 3.0], [0.5, 0.25]))  # doctest: +SKIP
    """
    of_kind("grid", grid, Grid)
    ax = axes_on(ax)
    if grid.dimension == 1:
        if fill:
            ax.stairs(grid.density, grid.edges[0], fill=True, color=color, alpha=fill, linewidth=0)
        ax.stairs(grid.density, grid.edges[0], **{"color": color, "linewidth": 1.2} | artist)
        return ax
    # Columns of the mesh run along the first axis. Rasterised, a page of many cells stays light.
    style: dict[str, Any] = {"cmap": AMOUNT, "vmin": 0.0, "rasterized": True}
    ax.pcolormesh(*grid.edges, grid.density.T, **style | artist)
    plane_axes(ax, box=True)
    return ax


@drawing()
def plot_histograms(clouds: Sequence[Particles], density: Grid, edges: ArrayLike) -> Any:
    """Draw tokens of the line as histograms, each beside the density that they stand for.

    Args:
        clouds: particles on the line.
        density: a grid on the line, drawn as a curve in each panel.
        edges: of the bars, increasing.

    Raises:
        TypeError: clouds that are not `Particles`, a density that is not a `Grid`.
        ValueError: another dimension, a stack of clouds, clouds on a sphere.

    Example:
        >>> axes = plot_histograms([tokens], grid, np.linspace(-1, 1, 21))  # doctest: +SKIP
    """
    of_kind("density", density, Grid)
    same_size("density", density.dimension, "the line", 1, "dimension")
    each("clouds", clouds, one_cloud)
    bars = finite_array("edges", edges, "n")
    if len(bars) < 2 or (np.diff(bars) <= 0).any():
        raise ValueError(f"edges: must increase, with at least two entries; got {edges!r}.")
    axes = row_of_axes(len(clouds), 2.8, 2.8, sharey=True)
    for ax, cloud in zip(axes, clouds, strict=True):
        same_size("clouds", cloud.dimension, "the line", 1, "dimension")
        one_space("clouds", cloud.space, "density", density.space)
        ax.hist(
            cloud.points[:, 0], bars, weights=cloud.weights, density=True, color=BARS, alpha=0.6
        )
        plot_density(density, ax=ax, fill=0)
        ax.set(title=f"$n = {len(cloud.points)}$", xlabel="token")
    axes[0].set_ylabel("density")
    return axes


@drawing()
def plot_ellipse(
    gaussian: Gaussian,
    *,
    levels: Sequence[float] = (LEVEL,),
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
        >>> ax = plot_ellipse(tp.Gaussian([0, 0], factor=[[2, 0], [0, 1]]))  # doctest: +SKIP
    """
    in_the_plane("gaussian", gaussian)
    if gaussian.stack:
        raise ValueError(
            f"gaussian: must be a single one; got a stack of shape {gaussian.stack}. "
            "Use plot_ellipses, or choose a case: gaussian[0]."
        )
    ax = axes_on(ax)
    for level in positive_array("levels", levels):
        x, y = outline(gaussian, level).T
        marker = "." if len(x) == 1 else None
        ax.plot(x, y, **{"color": color, "linewidth": 1.2, "marker": marker} | lines)
        if fill:
            ax.fill(x, y, color=color, alpha=fill, linewidth=0)
    plane_axes(ax)
    return ax


@drawing()
def plot_ellipses(
    gaussians: Gaussian | Trajectory | Sequence[Gaussian],
    *,
    values: ArrayLike | None = None,
    shown: int | None = None,
    ax: Axes | None = None,
    cmap: str = SEQUENCE,
    **lines: Any,
) -> Axes:
    """Draw ellipses of two standard deviations of Gaussians, coloured by a number.

    The collection of lines carries the numbers: `figure.colorbar(ax.collections[-1])`.

    Args:
        gaussians: a stack, a sequence, or the trajectory of one Gaussian; NaN cases are left out.
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
    numbers = one_each(numbers if values is None else values, "gaussians", len(cases))
    alive = [i for i, case in enumerate(cases) if np.isfinite(case.pack()).all()]
    if shown is not None and positive_integer("shown", shown) < len(alive):
        alive = [alive[j] for j in np.linspace(0, len(alive) - 1, shown).round().astype(int)]
    ax = axes_on(ax)
    outlines = [outline(cases[i], LEVEL) for i in alive]
    coloured_lines(ax, outlines, numbers[alive], **{"cmap": cmap, "linewidths": 1.2} | lines)
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
    cases = [gaussians] if isinstance(gaussians, Gaussian) else gaussians
    each("gaussians", cases, in_the_plane)
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
