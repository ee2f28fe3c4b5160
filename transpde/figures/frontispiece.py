r"""Gaussians as ellipses along depth: `frontispiece`.

Two problems of the scripts, softmax with V = I, their two coordinates exchanged. The same five
starts stand in the middle. To the left $K = -Q$ with a single row q: each ellipse flattens to a
segment, and all segments have one direction, orthogonal to q. To the right
$A + A^\top \succ 0$: each ellipse grows without bound in finite time, in a direction of its own.
Both by the closed form $\Sigma(t) = (\Sigma_0^{-1} - t(A + A^\top))^{-1}$.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

import transpde as tp
from transpde import theory
from transpde.checks import Array
from transpde.disc import axis_angles, symmetric_coordinates, unit_trace_matrices
from transpde.figures import recipes
from transpde.records import FigureData

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SIZE", "data", "draw", "sides", "starts"]

SIZE = (9.6, 3.5)
ROWS, COLUMNS = 5, 7
ECCENTRICITY = 0.62  # of the starts: their distance from the centre of the disc
DEPTHS = np.concatenate([[0.0], np.geomspace(0.5, 250.0, COLUMNS - 1)])
SHARES = 1 - np.geomspace(1.0, 0.06, COLUMNS)  # of the time to the blow-up


def data(name: str) -> FigureData:
    """Compute the covariances of both sides, shape (columns, rows, 2, 2) each."""
    flat, wild = sides().values()
    left, right = recipes.softmax(flat), recipes.softmax(wild)
    ends, clustered, blown = [], [], []
    for S in starts():
        gaussian = tp.Gaussian.from_covariance(np.zeros(2), S)
        end = theory.blowup_time(right, gaussian)
        ends.append(end)
        clustered.append([theory.closed_form_covariance(left, gaussian, t) for t in DEPTHS])
        blown.append([theory.closed_form_covariance(right, gaussian, s * end) for s in SHARES])
    paths = [np.swapaxes(np.array(side), 0, 1) for side in (clustered, blown)]
    q = flat.query[0]
    return FigureData(
        arrays={"clustering": paths[0], "blow_up": paths[1], "blowup_times": np.array(ends)},
        numbers={
            "direction": np.degrees(np.arctan2(q[0], -q[1])) % 180,
            "clustering_directions": axis_angles(symmetric_coordinates(paths[0][-1])),
            "blow_up_directions": axis_angles(symmetric_coordinates(paths[1][-1])),
            "blow_up_trace_max": np.trace(paths[1][-1], axis1=1, axis2=2).max(),
        },
        parameters={"query_left": flat.query, "query": wild.query, "key": wild.key},
        seed=wild.seed,
        scheme={"method": "closed form"},
        horizon=f"left t = {DEPTHS[-1]:g}, right {SHARES[-1]:g} of the blow-up time of each row",
    )


def starts() -> Array:
    """Return the covariances in the middle, shape (5, 2, 2)."""
    angles = 2 * np.pi * (np.arange(ROWS) + 0.4) / ROWS
    points = ECCENTRICITY * np.stack([np.cos(angles), np.sin(angles)], -1)
    return unit_trace_matrices(points)


def sides() -> dict[str, recipes.Recipe]:
    """Return the problems to the left and to the right."""
    return {
        "clustering": _exchanged(recipes.line()),
        "blow_up": _exchanged(recipes.explosion()),
    }


def _exchanged(recipe: recipes.Recipe) -> recipes.Recipe:
    """Return the same problem with its two coordinates exchanged."""
    return replace(recipe, query=recipe.query[:, ::-1], key=recipe.key[:, ::-1])


def draw(name: str, data: FigureData, figure: Figure) -> None:
    """Draw the starts in the middle, clustering to the left and blow-up to the right."""
    ax = figure.add_subplot()
    blown = data.arrays["blow_up"]
    _side(ax, data.arrays["clustering"], -1.75 * np.arange(COLUMNS))
    widths = 2 * np.sqrt(blown[..., 0, 0].max(axis=1))  # of the widest ellipse of each column
    gaps = (widths[1:] + widths[:-1]) / 2 * np.linspace(1.0, 0.62, COLUMNS - 1) + 0.25
    _side(ax, blown, np.append(0.0, np.cumsum(gaps)))
    top = 1.9
    ax.text(0.0, top, "start", ha="center")
    ax.text(-6.0, top, "←  clustering: all flatten to one line", ha="center")
    ax.text(9.0, top, "blow-up: each in its own direction, in finite time  →", ha="center")
    ax.set_aspect("equal", adjustable="box")
    ax.set(xticks=[], yticks=[], xlabel="←  depth $t$  →", ylabel="")
    ax.spines[:].set_visible(False)


def _side(ax: Any, covariances: Array, places: Array) -> None:
    """Draw ellipses of one standard deviation, a column a depth, coloured along depth."""
    from matplotlib import colormaps

    from transpde.plotting import plot_ellipse

    for column in reversed(range(COLUMNS)):  # the large ones below
        colour = colormaps["viridis"](0.88 * column / (COLUMNS - 1))
        for row in range(ROWS):
            mean = [places[column], -2.2 * row]
            gaussian = tp.Gaussian.from_covariance(mean, covariances[column, row])
            look: dict[str, Any] = {"color": colour, "fill": 0.25, "linewidth": 1.2}
            plot_ellipse(gaussian, levels=[1.0], ax=ax, **look)
