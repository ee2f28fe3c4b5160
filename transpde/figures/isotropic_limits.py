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
    return recipe.figure(
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
            **recipes.spread_of("trace", traces),
            "eigenvalue_ratio": paths.eigenvalue_ratios.max(),
        }
        | _of_scaling(name, recipe, paths, lines),
        horizon=f"{paths.reach}: the limits",
        rtol=TIGHT,
    )


def _of_scaling(name: str, recipe: recipes.Recipe, paths: Paths, lines: Array) -> dict[str, Any]:
    """Return by what the limits of L2 change where keys are scaled as scores are."""
    if name != "L2_mixed_3d":
        return {}
    other = planar_paths(recipes.l2(recipe, consistent=True), recipe.starts, np.array([0.0, END]))
    places = np.abs(other.angles[:, None] - lines).argmin(axis=1)
    return {
        **recipes.scaling_change(paths.covariances[-1], other.covariances[-1]),
        "consistent_scaling_on_each_line": np.bincount(places, minlength=2),
    }


def draw(name: str, data: FigureData, figure: Figure) -> None:
    """Draw the paths in the cone, and the two lines that hold their limits."""
    top = float(1.05 * data.arrays["values"].max())
    ax = drawing.limits_in_cone(figure, data, azim=-88, height=top, size=7.0, away=5.0)
    for degrees in data.arrays["directions"]:
        drawing.rank_one_line(ax, float(degrees), top)
