r"""Covariances that tend to two lines of rank one matrices: `trad_mixed_3d` and `L2_mixed_3d`.

The problem: $A + A^\top$ indefinite, V with eigenvalues of both signs. Every start of the grid
tends to a rank one matrix $cxx^\top$ with $x^\top Ax = 0$, on one of two lines; from each start
softmax and L2 choose the same one, at different places. (In the scripts the softmax paths are
overwritten by those of L2, so both files show L2.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from transpde import disc
from transpde.checks import Array
from transpde.figures import drawing, recipes
from transpde.figures.covariance_paths import Paths, clock_ticks, planar_paths
from transpde.records import FigureData

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SIZE", "data", "draw", "isotropic_angles"]

SIZE = (5.6, 4.7)
END, TIGHT = 45.0, 1e-12  # of the clock; the directions of limits are told to 1e-8
ATTENTIONS: dict[str, Any] = {"trad_mixed_3d": recipes.softmax, "L2_mixed_3d": recipes.l2}


def isotropic_angles(A: Array) -> Array:
    """Return the angles in degrees of the two lines x with x^T A x = 0, smaller first."""
    u = disc.isotropic_directions(A)
    return np.sort(np.degrees(np.arctan2(u[:, 1], u[:, 0])) % 180)


def data(name: str) -> FigureData:
    """Compute the paths of all starts to their limits."""
    recipe = recipes.two_lines()
    paths = planar_paths(ATTENTIONS[name](recipe), recipe.starts, clock_ticks(END), rtol=TIGHT)
    lines = isotropic_angles(recipe.key.T @ recipe.query)
    gaps = np.abs(paths.angles[:, None] - lines)
    traces = np.exp(paths.log_sizes[-1])
    return FigureData(
        arrays={
            "covariances": paths.resampled(24).astype(np.float32),
            "values": traces,
            "directions": lines,
        },
        numbers={
            "starts": len(traces),
            "directions": lines,
            "on_each_line": np.bincount(gaps.argmin(axis=1), minlength=2),
            "degrees_off_the_lines": gaps.min(axis=1).max(),
            "trace_min": traces.min(),
            "trace_max": traces.max(),
            "trace_mean": traces.mean(),
            "eigenvalue_ratio": paths.eigenvalue_ratios.max(),
        }
        | _of_scaling(name, recipe, paths),
        parameters={"query": recipe.query, "key": recipe.key, "value": recipe.value},
        seed=recipe.seed,
        scheme={"method": "DOP853 on the clock of the field", "rtol": TIGHT},
        horizon=f"t from {paths.times[-1].min():.3g} to {paths.times[-1].max():.3g}: the limits",
    )


def _of_scaling(name: str, recipe: recipes.Recipe, paths: Paths) -> dict[str, Any]:
    """Return by what the limits of L2 change where keys are scaled as scores are."""
    if name != "L2_mixed_3d":
        return {}
    other = planar_paths(recipes.l2(recipe, consistent=True), recipe.starts, np.array([0.0, END]))
    S, T = paths.covariances[-1], other.covariances[-1]
    change = np.linalg.norm(T - S, axis=(1, 2)) / np.linalg.norm(S, axis=(1, 2))
    lines = isotropic_angles(recipe.key.T @ recipe.query)
    places = np.abs(other.angles[:, None] - lines).argmin(axis=1)
    return {
        "consistent_scaling_change_median": np.median(change),
        "consistent_scaling_change_max": change.max(),
        "consistent_scaling_on_each_line": np.bincount(places, minlength=2),
    }


def draw(name: str, data: FigureData, figure: Figure) -> None:
    """Draw the paths in the cone, and the two lines that hold their limits."""
    ax = figure.add_subplot(projection="3d")
    S, traces = data.arrays["covariances"], data.arrays["values"]
    top = float(1.05 * traces.max())
    drawing.cone(ax, S, traces, azim=-88, height=top, size=7.0, away=5.0)
    for degrees in data.arrays["directions"]:
        drawing.rank_one_line(ax, float(degrees), top)
    drawing.colorbar(ax, traces, r"$\mathrm{tr}\,\Sigma$ in the limit")
