"""Covariances of the plane in their cone, and over their trace in the unit disc."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from transpde.checks import (
    Array,
    finite_array,
    mapping,
    of_kind,
    positive_number,
    same_size,
    symmetric_matrix,
)
from transpde.disc import cone_coordinates, disc_places, plane_coordinates
from transpde.measures import Gaussian
from transpde.plotting.styles import (
    GREY,
    INK,
    SEQUENCE,
    SHARED,
    SIGNED,
    axes_3d,
    axes_on,
    coloured_lines,
    drawing,
    each,
    last_finite,
    note,
    one_each,
    row_of_axes,
)

__all__ = [
    "plot_arc",
    "plot_cone",
    "plot_disc",
    "plot_disc_map",
    "plot_discs",
    "plot_limit_lines",
    "plot_starts",
]

CIRCLE = np.linspace(0.0, 2 * np.pi, 181)


@drawing()
def plot_cone(
    covariances: ArrayLike,
    *,
    values: ArrayLike | None = None,
    height: float | None = None,
    ax: Axes | None = None,
    **lines: Any,
) -> Axes:
    r"""Draw covariances of the plane along time inside the cone $v \ge \sqrt{u^2 + w^2}$.

    Args:
        covariances: one path (T, 2, 2), or several (T, ..., 2, 2); NaN after an end.
        values: a number for each path, for its colour; the initial w by default.
        height: of the cone drawn; by default the largest v.
        ax: three-dimensional axes to draw on.
        **lines: passed to `Axes3D.plot`.

    Raises:
        ValueError: matrices that are not covariances of the plane, axes that are not 3-D.

    Example:
        >>> ax = plot_cone(path.covariances)  # doctest: +SKIP
    """
    paths, numbers = _paths("covariances", plane_coordinates("covariances", covariances), values)
    axes: Any = axes_3d(ax)
    top = np.nanmax(paths[..., 2]) if height is None else positive_number("height", height)
    _draw_cone(axes, float(top))
    curves, colours = np.swapaxes(paths, 0, 1), _colours(numbers)
    for path, colour in zip(curves, colours, strict=True):
        axes.plot(*path.T, **{"color": colour, "linewidth": 0.9, "alpha": 0.9} | lines)
    ends = curves[np.arange(len(curves)), last_finite(curves[..., 2])]
    axes.scatter(*ends.T, c=colours, s=9, depthshade=False, linewidths=0)
    return axes


@drawing()
def plot_limit_lines(
    panels: dict[str, Any], direction: ArrayLike, *, height: float | None = None, **lines: Any
) -> Array:
    r"""Draw covariances in their cone, panel by panel, and the line $s\,uu^\top$ in black.

    Paths are coloured by their trace at the end of the first panel: one colour, one start.

    Args:
        panels: several paths (T, B, 2, 2) by title, with the same B.
        direction: u, shape (2,).
        height: of the cones; by default the largest trace of each panel.
        **lines: passed to `plot_cone`.

    Returns:
        The axes.

    Raises:
        ValueError: a direction of another shape or of length zero, and what `plot_cone` raises.

    Example:
        >>> axes = plot_limit_lines({"softmax": path.covariances}, [0.9, -0.4])  # doctest: +SKIP
    """
    u = finite_array("direction", direction, "d")
    same_size("direction", len(u), "the plane", 2, "dimension")
    positive_number("direction's length", float(np.linalg.norm(u)))
    each("panels", panels, _plane_paths)
    solid = {"projection": "3d"}
    axes = row_of_axes(len(panels), 4.5, 4.2, subplot_kw=solid, layout=None)
    first = cone_coordinates(next(iter(panels.values())))
    traces = first[-1, ..., 2]
    for ax, (title, S) in zip(axes, panels.items(), strict=True):
        plot_cone(S, ax=ax, **{"values": traces.ravel(), "height": height} | lines)
        ray = np.outer(u, u) / (u @ u) * ax.get_zlim()[1]
        ax.plot(*cone_coordinates(np.stack([0 * ray, ray])).T, color="black", linewidth=2.0)
        ax.set_box_aspect((2, 2, 1.6), zoom=0.95)  # panels side by side keep their labels
        ax.view_init(elev=18, azim=-130)
        ax.set_title(title, y=0.96)
    return np.asarray(axes)


def _draw_cone(ax: Any, top: float) -> None:
    """Draw the translucent wall, its rim, and the names of the axes."""
    # Turned a little: facets of equal depth would be sorted by rounding.
    v, angle = np.meshgrid(np.linspace(0.0, top, 2), CIRCLE[::3] + 0.01)
    ax.plot_surface(
        v * np.cos(angle), v * np.sin(angle), v, color="0.75", alpha=0.22, linewidth=0, shade=False
    )
    ax.plot(top * np.cos(CIRCLE), top * np.sin(CIRCLE), top, color=GREY, linewidth=0.7)
    ax.set_xlabel(r"$u = \Sigma_{11} - \Sigma_{22}$")
    ax.set_ylabel(r"$w = 2\,\Sigma_{12}$")
    ax.set_zlabel(r"$v = \mathrm{tr}\,\Sigma$")
    ax.set(xlim=(-top, top), ylim=(-top, top), zlim=(0.0, top))
    ax.set_box_aspect((2, 2, 1.6), zoom=1.15)
    ax.view_init(elev=18, azim=-60)
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.set_pane_color((1.0, 1.0, 1.0, 0.0))
        axis.set_major_locator(MaxNLocator(3))
    ax.grid(False)


@drawing()
def plot_disc(
    directions: Any,
    *,
    values: ArrayLike | None = None,
    ax: Axes | None = None,
    cmap: str = SEQUENCE,
    annotate: bool = True,
    size: float = 6.0,
    **lines: Any,
) -> Axes:
    r"""Draw $\Sigma/\operatorname{tr}\Sigma$ along time in the unit disc.

    The axes are $u = \Sigma_{11} - \Sigma_{22}$ and $w = 2\Sigma_{12}$, over the trace. The circle
    holds the matrices of rank one, the centre the isotropic ones. Each path ends in a dot.
    The collections carry the numbers: `figure.colorbar(ax.collections[0])`.

    Args:
        directions: one path (T, 2, 2), or several (T, ..., 2, 2), of any trace; NaN after an end.
        values: a number for each path, for its colour; the initial w by default.
        ax: axes to draw on.
        cmap: the colour map.
        annotate: name the circle and the centre.
        size: of the dots, in points squared.
        **lines: passed to `LineCollection`.

    Raises:
        ValueError: matrices that are not covariances of the plane.

    Example:
        >>> ax = plot_disc(path.directions)  # doctest: +SKIP
    """
    paths, numbers = _paths("directions", disc_places("directions", directions), values)
    ax = axes_on(ax)
    ax.add_patch(Circle((0, 0), 1.0, fill=False, edgecolor="black", linewidth=0.7, zorder=2))
    curves = np.swapaxes(paths, 0, 1)
    coloured_lines(ax, curves, numbers, **{"cmap": cmap, "linewidths": 0.6, "zorder": 1} | lines)
    ends = curves[np.arange(len(curves)), last_finite(curves[..., 0])]
    ax.scatter(ends[:, 0], ends[:, 1], c=numbers, cmap=cmap, s=size, linewidths=0, zorder=3)
    disc_frame(ax, annotate)
    return ax


@drawing(arcs=mapping)
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
    each("panels", panels, _plane_paths)
    if arcs:
        each("arcs", arcs, _plane_form)
    if axes is not None:
        each("axes", axes.tolist() if isinstance(axes, np.ndarray) else axes, SHARED["ax"])
    drawn = row_of_axes(len(panels), 3.2, 3.5) if axes is None else list(axes)
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


@drawing()
def plot_arc(matrix: ArrayLike, *, ax: Axes | None = None) -> Axes:
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
    C = _plane_form("matrix", matrix)
    ax = axes_on(ax)
    angle = np.linspace(0.0, 2 * np.pi, 1441)
    u, w = np.cos(angle), np.sin(angle)
    form = C[0, 0] + C[1, 1] + (C[0, 0] - C[1, 1]) * u + 2 * C[0, 1] * w
    arc = 1.045 * np.where(form > 0, [u, w], np.nan)
    ax.plot(*arc, color=GREY, linewidth=3.5, solid_capstyle="butt")
    return ax


@drawing()
def plot_disc_map(
    covariances: ArrayLike,
    values: ArrayLike,
    *,
    limit: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    r"""Colour the disc by a number of each direction, with a line where it is zero.

    Colours are symmetric about zero. `figure.colorbar(ax.collections[0])` names them.

    Args:
        covariances: a grid (R, S, 2, 2), such as that of `disc_covariances`.
        values: shape (R, S).
        limit: the number at the ends of the colour scale; by default the largest modulus.
        ax: axes to draw on.

    Raises:
        ValueError: matrices that are not covariances of the plane, shapes that do not agree,
            entries that are not finite.

    Example:
        >>> ax = plot_disc_map(disc_covariances(9, 36), values)  # doctest: +SKIP
    """
    uw = disc_places("covariances", finite_array("covariances", covariances, "R S 2 2"))
    z = finite_array("values", values, "R S")
    for axis, name in enumerate(("rings", "rays")):
        same_size("values", z.shape[axis], "covariances", uw.shape[axis], f"number of {name}")
    high = float(np.abs(z).max()) if limit is None else positive_number("limit", limit)
    ax = axes_on(ax)
    u, w = uw[..., 0], uw[..., 1]
    look: dict[str, Any] = {"cmap": SIGNED, "shading": "gouraud", "rasterized": True}
    ax.pcolormesh(u, w, z, vmin=-high, vmax=high, **look)
    if z.min() < 0 < z.max():
        ax.contour(u, w, z, levels=[0.0], colors=INK, linewidths=1.2)
    ax.plot(np.cos(CIRCLE), np.sin(CIRCLE), color=INK, linewidth=0.8)
    disc_frame(ax, annotate=False)
    return ax


@drawing()
def plot_starts(
    starts: Gaussian,
    values: ArrayLike,
    *,
    stars: ArrayLike | None = None,
    squares: ArrayLike | None = None,
    boundary: Any = None,
    label: str = "",
    ax: Axes | None = None,
    **points: Any,
) -> Axes:
    r"""Draw a number for each start in the disc of covariances over their traces.

    Args:
        starts: a stack of Gaussians of the plane.
        values: a number for each.
        stars: directions u (k, 2) whose $uu^\top$ are marked by stars on the circle.
        squares: the same, by squares.
        boundary: covariances (T, 2, 2) along a curve, drawn in black.
        label: what the values are, on a colour bar; none without a label.
        ax: axes to draw on.
        **points: passed to `plot_disc`.

    Raises:
        ValueError: what `plot_disc` raises.

    Example:
        >>> ax = plot_starts(disc_gaussians(9), range(45))  # doctest: +SKIP
    """
    cases = disc_places("starts", of_kind("starts", starts, Gaussian).covariance).size // 2
    numbers = one_each(finite_array("values", values, "... N").ravel(), "starts", cases)
    marks = [
        (_directions(name, given), look)
        for name, given, look in (("stars", stars, ("*", 13)), ("squares", squares, ("s", 6)))
    ]
    curve = None if boundary is None else disc_places("boundary", boundary)
    style: dict[str, Any] = {"size": 12.0, "annotate": False} | points
    ax = plot_disc(starts.covariance[None], values=numbers, ax=ax, **style)
    if label:
        plt.colorbar(ax.collections[-1], ax=ax, label=label, shrink=0.8)
    if curve is not None:
        ax.plot(*curve.T, color=INK, linewidth=1.6, zorder=4)
    for ends, (marker, size) in marks:
        if not len(ends):
            continue  # a line without points would still have a box, at the corner of the figure
        ax.plot(*ends.T, marker, color=INK, markersize=size, zorder=5, clip_on=False)
    return ax


def _directions(name: str, given: Any) -> Array:
    """Return the places (k, 2) on the circle of directions u (k, 2); none for None."""
    if given is None:
        return np.empty((0, 2))
    u = finite_array(name, given, "k d")
    same_size(name, u.shape[-1], "the plane", 2, "dimension")
    return disc_places(name, u[:, :, None] * u[:, None, :])


def disc_frame(ax: Axes, annotate: bool) -> None:
    """Equal axes without a box, three ticks a side, the circle and the centre named."""
    ax.set_aspect("equal", adjustable="box")
    ax.set(xlim=(-1.09, 1.09), ylim=(-1.09, 1.09), xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    ax.spines[:].set_visible(False)
    ax.tick_params(labelsize="small", length=2.5, color=GREY)
    ax.set_xlabel(r"$u = (\Sigma_{11} - \Sigma_{22})/\mathrm{tr}\,\Sigma$")
    ax.set_ylabel(r"$w = 2\,\Sigma_{12}/\mathrm{tr}\,\Sigma$")
    if annotate:
        ax.text(-0.78, 0.78, "rank one", rotation=45, ha="center", va="center", fontsize="small")
        ax.plot(0, 0, "+", color=INK, markersize=6, markeredgewidth=0.8, zorder=4)
        note(ax, "isotropic", (0, 0), (4, 4), zorder=4)


def _plane_paths(name: str, value: Any) -> None:
    """Raise unless a value is one path or several of covariances of the plane."""
    if plane_coordinates(name, value).ndim < 2:
        raise ValueError(f"{name}: must have shape (T, ..., 2, 2); got a single matrix.")


def _plane_form(name: str, value: Any) -> Array:
    """Return a symmetric matrix (2, 2), or raise."""
    C = symmetric_matrix(name, value, "d d")
    same_size(name, len(C), "the plane", 2, "dimension")
    return C


def _paths(name: str, coordinates: Array, values: Any) -> tuple[Array, Array]:
    """Return paths (T, B, k) and one number each: the given one, or the initial w."""
    if coordinates.ndim < 2:
        raise ValueError(f"{name}: must have shape (T, ..., 2, 2); got a single matrix.")
    paths = coordinates.reshape(len(coordinates), -1, coordinates.shape[-1])
    if values is None:
        return paths, paths[0, :, 1]
    numbers = finite_array("values", values, "... N").ravel()
    return paths, one_each(numbers, name, paths.shape[1], "number of paths")


def _colours(numbers: Array) -> Array:
    spread = np.ptp(numbers)
    place = (numbers - numbers.min()) / spread if spread else np.full(len(numbers), 0.5)
    return np.asarray(plt.get_cmap(SEQUENCE)(place))
