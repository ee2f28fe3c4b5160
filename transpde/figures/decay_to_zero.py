r"""Covariances that tend to zero, under softmax, L2, two heads and Sinkhorn.

Figures `trad_neg_def_V`, `L2_neg_def_V`, `MH_neg_def_V`, `sink_convergence`.
The problem: $K = -Q$ of full rank, $V \succ 0$. Then 0 is the only limit, and it is approached
like $1/t$: $t\,\Sigma(t)$ tends to one matrix, the same from every start. So the scripts' end
points say where their tolerance stops them; here the flow runs to a stated horizon and its
direction is drawn beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from transpde.checks import Array
from transpde.figures import drawing, recipes
from transpde.figures.covariance_paths import Paths, by_arc_length, clock_ticks, planar_paths
from transpde.records import FigureData

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SIZE", "data", "draw"]

SIZE = (8.4, 4.3)
END = 27.0  # of the clock
TOLERANCE = 1e-5  # of the scripts: they stop where the derivative is smaller
ATTENTIONS: dict[str, Any] = {
    "trad_neg_def_V": recipes.softmax,
    "L2_neg_def_V": recipes.l2,
    "MH_neg_def_V": lambda recipe: recipes.multi_head(recipe, 2),
    "sink_convergence": recipes.sinkhorn,
}


def data(name: str) -> FigureData:
    """Compute the paths of all starts and the shape that they share at the end."""
    recipe = recipes.zero()
    paths = planar_paths(ATTENTIONS[name](recipe), recipe.starts, clock_ticks(END))
    numbers = _numbers(paths)
    if name == "L2_neg_def_V":
        attention = recipes.l2(recipe, consistent=True)
        other = _numbers(planar_paths(attention, recipe.starts, np.array([0.0, END])))
        numbers["consistent_scaling_size_times_t"] = other["size_times_t_max"]
        numbers["consistent_scaling_direction"] = other["direction"]
    return recipe.figure(
        arrays={
            "covariances": paths.resampled(32).astype(np.float32),
            "points": by_arc_length(paths.points, 24).astype(np.float32),
            "values": paths.points[0, :, 1],
        },
        numbers=numbers,
        horizon=paths.reach,
    )


def _numbers(paths: Paths) -> dict[str, Any]:
    """Return the key numbers of a flow to zero."""
    sizes = paths.norms * paths.times[-1]
    return {
        "starts": len(sizes),
        "largest_trace": np.exp(paths.log_sizes[-1]).max(),
        # In the end |S| is Z / (t + c), the derivative Z / (t + c)^2: it meets the tolerance at
        # |S| like this. Z is read off without the c, which t |S| shows for long.
        "size_at_tolerance": np.sqrt(TOLERANCE * (paths.norms / -paths.growth).mean()),
        "size_times_t_min": sizes.min(),
        "size_times_t_max": sizes.max(),
        "direction": np.median(paths.angles),
        "direction_spread": np.ptp(paths.angles),
        "eigenvalue_ratio": np.median(paths.eigenvalue_ratios),
    }


def draw(name: str, data: FigureData, figure: Figure) -> None:
    """Draw the paths in the cone, and beside it their directions in the disc."""
    grid = figure.add_gridspec(1, 3, width_ratios=(1.0, 0.08, 1.0))
    left, right = figure.add_subplot(grid[0], projection="3d"), figure.add_subplot(grid[2])
    arrays = data.arrays
    drawing.cone(left, arrays["covariances"], arrays["values"], azim=-30, height=1.0, size=0)
    drawing.disc(right, arrays["points"], arrays["values"], linewidths=0.7, size=0)
    end: Array = arrays["points"][-1].mean(axis=0)
    drawing.mark(right, end, "$\\Sigma/\\mathrm{tr}\\,\\Sigma$\nas $t \\to \\infty$")
    drawing.colorbar(right, arrays["values"], "$w$ at the start")
