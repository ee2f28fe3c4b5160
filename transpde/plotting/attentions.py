"""Attentions: their matrices and velocity fields, several on the same tokens side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from numpy.typing import ArrayLike

from transpde.attention import Attention, Masked
from transpde.checks import (
    Array,
    finite_array,
    finite_number,
    function,
    mapping,
    of_kind,
    positive_integer,
    positive_number,
    same_shape,
    square_matrix,
)
from transpde.measures import Particles
from transpde.plotting.measures import plot_particles
from transpde.plotting.paths import plot_flow
from transpde.plotting.styles import (
    AMOUNT,
    GREY,
    INK,
    SIGNED,
    attention_style,
    axes_on,
    drawing,
    each,
    one_cloud,
    one_path,
    one_space,
    plane_axes,
)
from transpde.trajectories import Trajectory

__all__ = [
    "plot_attention_fields",
    "plot_attention_flows",
    "plot_attention_matrices",
    "plot_attention_matrix",
    "plot_field",
]

PANEL = 2.1  # inches a panel, wide and high
# Light where slow, and never so dark that the arrows drown.
SPEED = LinearSegmentedColormap.from_list("speed", plt.get_cmap("YlGnBu")(np.linspace(0, 0.68)))


@drawing()
def plot_attention_matrix(
    matrix: ArrayLike, *, ax: Axes | None = None, colorbar: bool = False, cmap: str | None = None
) -> Axes:
    """Draw an attention matrix: row i holds what token i takes from each token j, from 1 to n.

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
    P = square_matrix("matrix", matrix, "... n n")
    if P.ndim > 2:
        raise ValueError(
            f"matrix: must have shape (n, n); got shape {P.shape}. Choose a head first: matrix[0]."
        )
    ax = axes_on(ax)
    low, high, n = float(P.min()), float(np.abs(P).max()), len(P)
    image = ax.imshow(
        P,
        cmap=cmap or (AMOUNT if low >= 0 else SIGNED),
        vmin=0.0 if low >= 0 else -high,
        vmax=high,
        interpolation="none",
        extent=(0.5, n + 0.5, n + 0.5, 0.5),
    )
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    ticks = np.unique(np.linspace(1, n, 4).round())
    ax.set(xticks=ticks, yticks=ticks, xlabel="key token $j$", ylabel="query token $i$")
    if colorbar:
        ax.figure.colorbar(image, ax=ax, fraction=0.046, pad=0.04).outline.set_visible(False)
    return ax


@drawing(field=function)
def plot_field(
    field: Callable[[Array], Array],
    *,
    xlim: tuple[float, float] = (-2.0, 2.0),
    ylim: tuple[float, float] = (-2.0, 2.0),
    count: int = 13,
    ax: Axes | None = None,
    color: Any = GREY,
    **arrows: Any,
) -> Axes:
    """Draw a velocity field of the plane as arrows on a coarse grid.

    Args:
        field: a function from points (n, 2) to velocities (n, 2), such as `attention(measure)`.
        xlim: the ends of the grid in the first coordinate.
        ylim: the ends of the grid in the second coordinate.
        count: arrows along each axis.
        ax: axes to draw on.
        color: of the arrows.
        **arrows: passed to `Axes.quiver`.

    Raises:
        ValueError: a field that does not return one plane velocity a point, empty limits.

    Example:
        >>> ax = plot_field(tp.AffineField([[0.0, 1.0], [-1.0, 0.0]]))  # doctest: +SKIP
    """
    n, ends = positive_integer("count", count), (("xlim", xlim), ("ylim", ylim))
    sides = [np.linspace(*_ends(name, limits), n) for name, limits in ends]
    points = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2)
    velocity = finite_array("field", field(points), "...")
    same_shape("field's velocities", velocity.shape, "the points", points.shape)
    ax = axes_on(ax)
    style = {"angles": "xy", "pivot": "mid", "width": 0.0035, "zorder": 1, "color": color}
    ax.quiver(*points.T, *velocity.T, **style | arrows)
    plane_axes(ax)
    return ax


@drawing()
def plot_attention_matrices(
    attentions: Mapping[str, Attention],
    tokens: Particles,
    *,
    limit: float | None = None,
    columns: int = 4,
) -> Any:
    """Draw the attention matrices of several attentions on the same tokens, on one colour scale.

    Of several heads the mean of their matrices is drawn.

    Args:
        attentions: by name, the title of a panel.
        tokens: those at which all are evaluated; with positions where one is masked.
        limit: the entry at the end of the colour scale; larger ones share its colour. By default
            the largest absolute entry.
        columns: panels a row.

    Returns:
        The axes of the panels, in order, on a new figure.

    Raises:
        ValueError: no attention, a limit that is not positive, a stack of clouds.

    Example:
        >>> axes = plot_attention_matrices({"softmax": head}, tokens)  # doctest: +SKIP
    """
    one_cloud("tokens", tokens)
    each("attentions", attentions, _an_attention)
    matrices = {name: _one_matrix(head.matrix(tokens)) for name, head in attentions.items()}
    figure, axes = _panels("attentions", list(matrices), columns)
    largest = max(float(np.abs(P).max()) for P in matrices.values())
    high = largest if limit is None else positive_number("limit", limit)
    signed = any(P.min() < 0 for P in matrices.values())
    for ax, P in zip(axes, matrices.values(), strict=True):
        plot_attention_matrix(P, ax=ax, cmap=SIGNED if signed else AMOUNT)
        ax.images[0].set_clim(-high if signed else 0.0, high)
        _outer_labels(ax)
    least = min(float(P.min()) for P in matrices.values())
    extend = "both" if least < -high else "max" if largest > high else "neither"
    bar = _scale(figure, axes, axes[0].images[0], extend)
    bar.ax.set_ylim(max(least, -high) if signed else 0.0, high)  # the part that is drawn
    return axes


@drawing(position=finite_number)
def plot_attention_fields(
    attentions: Mapping[str, Attention],
    tokens: Particles,
    *,
    position: float | None = None,
    limit: float | None = None,
    xlim: tuple[float, float] = (-2.0, 2.0),
    ylim: tuple[float, float] = (-2.0, 2.0),
    count: int = 11,
    columns: int = 4,
) -> Any:
    """Draw the velocity fields of several attentions: arrows for direction, colour for speed.

    Args:
        attentions: by name, the title of a panel.
        tokens: those that create the fields, in the plane; drawn as dots.
        position: where a masked field is taken; later tokens are then open dots.
        limit: the speed at the end of the colour scale, by default the largest.
        xlim: the ends of the picture in the first coordinate.
        ylim: the ends of the picture in the second coordinate.
        count: arrows along each axis.
        columns: panels a row.

    Returns:
        The axes of the panels, in order, on a new figure.

    Raises:
        ValueError: no attention, a limit that is not positive, a masked attention without
            `position`, a stack of clouds.

    Example:
        >>> axes = plot_attention_fields({"softmax": head}, tokens)  # doctest: +SKIP
    """
    one_cloud("tokens", tokens)
    each("attentions", attentions, _an_attention)
    side = [np.linspace(*_ends(name, ends), 61) for name, ends in (("xlim", xlim), ("ylim", ylim))]
    fields = {name: _field(head, tokens, position) for name, head in attentions.items()}
    figure, axes = _panels("attentions", list(fields), columns)
    points = np.stack(np.meshgrid(*side), axis=-1)
    speeds = [_speed(field(points.reshape(-1, 2))).reshape(61, 61) for field in fields.values()]
    largest = max(float(speed.max()) for speed in speeds)
    high = largest if limit is None else positive_number("limit", limit)
    for ax, (name, field), speed in zip(axes, fields.items(), speeds, strict=True):
        ax.pcolormesh(
            *side, speed, cmap=SPEED, vmin=0.0, vmax=high, shading="gouraud", rasterized=True
        )
        plot_field(_unit(field), xlim=xlim, ylim=ylim, count=count, ax=ax, color=INK, width=0.006)
        _dots(ax, tokens, position if isinstance(attentions[name], Masked) else None)
        ax.set(xlim=xlim, ylim=ylim)
    _scale(figure, axes, axes[0].collections[0], "max" if largest > high else "neither", "speed")
    return axes


@drawing(trajectories=mapping)
def plot_attention_flows(
    trajectories: Mapping[str, Trajectory],
    attentions: Mapping[str, Attention],
    *,
    columns: int = 4,
) -> Any:
    """Draw the flows of the same tokens under several attentions, on common axes.

    Args:
        trajectories: flows of particles in the plane, by name, the title of a panel.
        attentions: the attention of each name, for its colour.
        columns: panels a row.

    Returns:
        The axes of the panels, in order, on a new figure.

    Raises:
        ValueError: no trajectory, a name without an attention, trajectories of stacks or in
            several spaces.

    Example:
        >>> axes = plot_attention_flows({"softmax": path}, {"softmax": head})  # doctest: +SKIP
    """
    if missing := [name for name in trajectories if name not in attentions]:
        raise ValueError(f"attentions: must hold every name of trajectories; {missing} missing.")
    each("trajectories", trajectories, one_path)
    each("attentions", attentions, _an_attention)
    _, axes = _panels("trajectories", list(trajectories), columns)
    first = next(iter(trajectories.values())).final.space
    for ax, (name, path) in zip(axes, trajectories.items(), strict=True):
        one_space("trajectories", path.final.space, "the first", first)
        plot_flow(path, ax=ax, color=attention_style(attentions[name])["color"])
    return axes


def _ends(name: str, limits: Any) -> tuple[float, float]:
    """Return the two ends of an axis, low before high."""
    ends = finite_array(name, limits, "2")
    if len(ends) != 2 or not ends[0] < ends[1]:
        raise ValueError(f"{name}: must be (low, high) with low < high; got {limits!r}.")
    return float(ends[0]), float(ends[1])


def _an_attention(name: str, value: Any) -> None:
    of_kind(name, value, Attention)


def _panels(argument: str, names: list[str], columns: int) -> tuple[Any, Any]:
    """Return a new figure and its axes, one a name, with common axes and titles."""
    if not names:
        raise ValueError(f"{argument}: must hold at least one entry; got none.")
    width = min(columns, len(names))
    rows = -(-len(names) // width)
    figure = plt.figure(figsize=(PANEL * width + 0.6, (PANEL + 0.15) * rows), layout="constrained")
    grid = figure.subplots(rows, width, sharex=True, sharey=True, squeeze=False)
    for ax in grid.ravel()[len(names) :]:
        ax.set_axis_off()
    axes = grid.ravel()[: len(names)]
    for ax, name in zip(axes, names, strict=True):
        ax.set_title(name, fontsize="medium")
    return figure, axes


def _scale(figure: Any, axes: Any, drawn: Any, extend: str, label: str = "") -> Any:
    """Return the one colour scale of all panels, pointed where larger numbers share a colour."""
    bar = figure.colorbar(drawn, ax=list(axes), extend=extend, shrink=0.8, aspect=30, label=label)
    bar.outline.set_visible(False)
    return bar


def _outer_labels(ax: Any) -> None:
    place = ax.get_subplotspec()
    if not place.is_last_row():
        ax.set_xlabel("")
    if not place.is_first_col():
        ax.set_ylabel("")


def _one_matrix(matrix: Array) -> Array:
    return matrix.mean(axis=0) if matrix.ndim == 3 else matrix


def _field(head: Attention, tokens: Particles, position: float | None) -> Callable[[Array], Array]:
    """Return the field on points alone, a masked one at one position."""
    field = head(tokens)
    if not isinstance(head, Masked):
        return field
    if position is None:
        raise ValueError("position: a masked field needs one; say at which it is to be drawn.")
    return lambda x: field(x, np.full(len(x), float(position)))


def _speed(velocity: Array) -> Array:
    return np.asarray(np.linalg.norm(velocity, axis=-1))


def _unit(field: Callable[[Array], Array]) -> Callable[[Array], Array]:
    def direction(x: Array) -> Array:
        velocity = field(x)
        return velocity / np.maximum(_speed(velocity), 1e-300)[:, None]

    return direction


def _dots(ax: Any, tokens: Particles, position: float | None) -> None:
    """Draw the tokens, those after a position as open dots."""
    if position is None or tokens.positions is None:
        plot_particles(tokens, ax=ax, color="white", edgecolors=INK, linewidths=0.9)
        return
    seen = tokens.positions <= position
    faces = np.where(seen[:, None], (1.0, 1.0, 1.0, 1.0), (0.0, 0.0, 0.0, 0.0))
    edges = np.where(seen[:, None], (0.13, 0.13, 0.13, 1.0), (0.55, 0.55, 0.55, 1.0))
    plot_particles(tokens, ax=ax, color=faces, edgecolors=edges, linewidths=0.9)
