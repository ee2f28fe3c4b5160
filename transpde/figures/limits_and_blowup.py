r"""Limits and blow-up side by side: `trad_both_V`, `L2_both` and `MH_both`.

The problem: $A + A^\top$ indefinite and $V$ with eigenvalues of both signs, the larger one
positive. Under softmax a start either tends to a matrix of rank one, or blows up: a curve of the
disc separates the two. Under L2 none blows up: some limits are large, which a threshold on the
trace takes for divergence. The script's multi-head run has one head, which is softmax; with
two heads every start decays to zero. Both are drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from transpde.figures import drawing, recipes
from transpde.figures.covariance_paths import Paths, by_arc_length, clock_ticks, planar_paths
from transpde.figures.isotropic_limits import isotropic_angles
from transpde.records import FigureData

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SIZE", "data", "draw"]

SIZE = (5.6, 4.7)
WIDE = (9.0, 4.6)  # of two panels
END = 60.0  # of the clock
ROUGH = 1e-9  # where only sizes are told
ATTENTIONS: dict[str, Any] = {
    "trad_both_V": recipes.softmax,
    "L2_both": recipes.l2,
    "MH_both": lambda recipe: recipes.multi_head(recipe, 1),
}


def data(name: str) -> FigureData:
    """Compute the paths of all starts to limits or blow-up."""
    recipe = recipes.both()
    places, count = clock_ticks(END), 18 if name == "MH_both" else 30
    paths = planar_paths(ATTENTIONS[name](recipe), recipe.starts, places)
    arrays = {"points": drawing.pack(by_arc_length(paths.points, count))}
    numbers = _numbers(recipe, paths)
    if name == "L2_both":
        numbers |= _of_scaling(recipe, paths)
    if name == "MH_both":
        two = planar_paths(recipes.multi_head(recipe, 2), recipe.starts, places, rtol=ROUGH)
        arrays["points_two_heads"] = drawing.pack(by_arc_length(two.points, count))
        numbers |= {
            "two_heads_blown_up": int(two.blown.sum()),
            "two_heads_largest_trace": np.exp(two.log_sizes[-1]).max(),
            "two_heads_horizon": two.times[-1].min(),
        }
    settled = paths.times[-1][~paths.blown].min()
    return recipe.figure(
        arrays=arrays | {"ends": paths.points[-1].astype(np.float32)},
        numbers=numbers,
        horizon=f"limits at t >= {settled:.3g}; blow-up times to their pole",
    )


def _numbers(recipe: recipes.Recipe, paths: Paths) -> dict[str, Any]:
    """Return the key numbers of a flow that converges or blows up."""
    blown = paths.blown
    traces = np.exp(paths.log_sizes[-1][~blown])
    line = isotropic_angles(recipe.key.T @ recipe.query)[1]
    numbers = {
        "starts": len(blown),
        "converged": int((~blown).sum()),
        "blown_up": int(blown.sum()),
        "limit_direction": line,
        "degrees_off_the_line": np.abs(paths.angles[~blown] - line).max(),
        **recipes.spread_of("trace", traces),
        "limits_above_trace_1000": int((traces > 1e3).sum()),
    }
    if blown.any():
        times = paths.blowup_times[blown]
        numbers |= {
            "blowup_direction": np.median(paths.angles[blown]),
            "blowup_direction_spread": np.ptp(paths.angles[blown]),
            "blowup_time_min": times.min(),
            "blowup_time_max": times.max(),
        }
    return numbers


def _of_scaling(recipe: recipes.Recipe, paths: Paths) -> dict[str, Any]:
    """Return by what the limits of L2 change where keys are scaled as scores are."""
    attention, ends = recipes.l2(recipe, consistent=True), np.array([0.0, END])
    other = planar_paths(attention, recipe.starts, ends, rtol=ROUGH)
    return {
        **recipes.scaling_change(paths.covariances[-1], other.covariances[-1]),
        "consistent_scaling_blown_up": int(other.blown.sum()),
    }


def draw(name: str, data: FigureData, figure: Figure) -> None:
    """Draw the disc; for heads also that of two."""
    panels = {"as in the script: one head": "points", "two heads": "points_two_heads"}
    drawn = {text: key for text, key in panels.items() if key in data.arrays}
    if len(drawn) > 1:
        figure.figure.set_size_inches(WIDE)  # the whole, where this is a part of a figure
    for place, (title, key) in enumerate(drawn.items(), 1):
        ax = figure.add_subplot(1, len(drawn), place)
        points = drawing.unpack(data.arrays[key])
        drawing.disc(ax, points, points[0, :, 1], size=8.0)
        if len(drawn) > 1:
            ax.set_title(title, fontsize="medium")
        if key == "points":
            _marks(ax, data)
    drawing.colorbar(ax, points[0, :, 1], "$w$ at the start", [-0.8, 0, 0.8])


def _marks(ax: Any, data: FigureData) -> None:
    """Name the limit on the circle, and the direction of the blow-up if there is one."""
    places = {"limits": ("limit_direction", (0.82, -0.72))}
    if data.numbers["blown_up"]:
        places["blow-up"] = ("blowup_direction", (-0.92, 0.74))
    for text, (number, place) in places.items():
        end = drawing.on_rim(float(data.numbers[number]))
        side = "right" if place[0] < 0 else "left"
        drawing.mark(ax, end, text, place, ha=side)
