r"""Covariances that tend to a line of rank one matrices: `trad_rank_1` and `L2_rank_1`.

The problem: $K = -Q$ with a single row $q$, $V = I$. For softmax and L2 alike $\Sigma$ tends to
$pp^\top/(p^\top\Sigma_0^{-1}p)$ with $p \perp q$, the variance along $q$ vanishing like $1/t$. The
scripts stop on the way, at a tolerance; here each path ends in its limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from transpde import theory
from transpde.checks import Array
from transpde.figures import drawing, recipes
from transpde.figures.covariance_paths import clock_ticks, planar_paths
from transpde.records import FigureData

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SIZE", "data", "draw"]

SIZE = (5.6, 4.7)
END = 12.0  # of the clock
ATTENTIONS: dict[str, Any] = {"trad_rank_1": recipes.softmax, "L2_rank_1": recipes.l2}


def data(name: str) -> FigureData:
    """Compute the paths of all starts and their exact limits."""
    recipe = recipes.line()
    attention = ATTENTIONS[name](recipe)
    paths = planar_paths(attention, recipe.starts, clock_ticks(END))
    # K = -Q up to a factor, and V = I: the limits of L2 are those of softmax.
    limits = np.asarray(theory.limit_covariance(recipes.softmax(recipe), recipe.gaussians))
    traces = np.trace(limits, axis1=1, axis2=2)
    q = recipe.query[0]
    return recipe.figure(
        arrays={
            "covariances": paths.resampled(32, limits).astype(np.float32),
            "values": traces,
        },
        numbers={
            "starts": len(traces),
            **recipes.spread_of("trace", traces),
            "direction": np.degrees(np.arctan2(q[0], -q[1])) % 180,
            # Of order 1/t: the variance along q that is left, times the time.
            "left_along_q_times_t": _left(paths.covariances[-1], q) * paths.times[-1].max(),
            "distance_at_horizon": np.abs(paths.covariances[-1] - limits).max(),
        }
        | _of_scaling(name, recipe, limits),
        horizon=f"limits; paths to t = {paths.times[-1].min():.3g} at least",
        also="; limits in closed form",
    )


def _left(covariances: Array, q: Array) -> float:
    """Return the largest variance along q."""
    return float((covariances @ q @ q).max())


def _of_scaling(name: str, recipe: recipes.Recipe, limits: Array) -> dict[str, Any]:
    """Return by what the limits of L2 change with its scaling: not at all."""
    if name != "L2_rank_1":
        return {}
    other = theory.limit_covariance(recipes.l2(recipe, consistent=True), recipe.gaussians)
    return {"consistent_scaling_change": np.abs(other - limits).max()}


def draw(name: str, data: FigureData, figure: Figure) -> None:
    """Draw the paths in the cone, and the line that holds their limits."""
    ax = drawing.limits_in_cone(figure, data, azim=-80, height=1.0, away=4.0)
    drawing.rank_one_line(ax, data.numbers["direction"], 1.0)
