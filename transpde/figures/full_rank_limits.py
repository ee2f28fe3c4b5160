r"""Covariances that tend to a plane: `MH_rank_1`.

The problem: two heads, $K = -Q$ with a single row $q$, $V = I$. A head owns a row of Q, so the
second head of the script has none: its field is zero, and the flow is that of the first,
$B = -e_1 e_1^\top\Sigma q q^\top$. It conserves $\Sigma_{22}$, and tends to the plane
$(\Sigma q)_1 = 0$. With $z = (\Sigma_0 q)_2$ the limit has
$(\Sigma q)_2 = q_2 z^2 / (q^\top\Sigma_0 q)$: a matrix of full rank (ours: along
$ds = (\Sigma q)_1\,dt$ the flow of $\Sigma q$ is linear).

With two real heads the limits are others: where both heads have the row q they are those of
softmax, of rank one; with two different rows, here, they are zero. Both are among the numbers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from transpde import theory
from transpde.checks import Array
from transpde.figures import drawing, recipes
from transpde.figures.covariance_paths import clock_ticks, planar_paths
from transpde.records import FigureData

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SIZE", "data", "draw", "limits"]

SIZE = (5.6, 4.7)
END = 5.5  # of the clock


def limits(starts: Array, q: Array) -> Array:
    """Return the limits of covariances (n, 2, 2) under the first head alone."""
    z, b = starts[:, 1] @ q, starts[:, 1, 1]
    c = (q[1] * z**2 / (starts @ q @ q) - q[1] * b) / q[0]
    rows = [np.stack([-c * q[1] / q[0], c], axis=-1), np.stack([c, b], axis=-1)]
    return np.stack(rows, axis=-2)


def data(name: str) -> FigureData:
    """Compute the paths of all starts, their limits, and what two real heads do."""
    recipe = recipes.line()
    q, S0 = recipe.query[0], recipe.starts
    paths = planar_paths(recipes.multi_head(recipe, 2), S0, clock_ticks(END))
    ends = limits(S0, q)
    traces = np.trace(ends, axis1=1, axis2=2)
    return recipe.figure(
        arrays={
            "covariances": paths.resampled(24, ends).astype(np.float32),
            "values": traces,
        },
        numbers={
            "starts": len(ends),
            **recipes.spread_of("norm", np.linalg.norm(ends, axis=(1, 2))),
            "smallest_eigenvalue_min": np.linalg.eigvalsh(ends)[:, 0].min(),
            "smallest_eigenvalue_max": np.linalg.eigvalsh(ends)[:, 0].max(),
            "off_the_plane": np.abs((ends @ q)[:, 0]).max(),
            "distance_at_horizon": np.abs(paths.covariances[-1] - ends).max(),
            "drift_of_22": np.abs(paths.covariances[..., 1, 1] - S0[:, 1, 1]).max(),
        }
        | _two_real_heads(recipe),
        horizon=f"limits; paths to t = {paths.times[-1].min():.3g} at least",
        also="; limits in closed form",
        heads=2,
    )


def _two_real_heads(recipe: recipes.Recipe) -> dict[str, Any]:
    """Return where the starts go when the second head has a row: q again, or the next draw."""
    q = recipe.query
    next_row = np.random.RandomState(recipe.seed).normal(size=(2, 2))[1:]
    next_row /= np.linalg.norm(next_row)
    same, other = (np.concatenate([q, row]) for row in (q, next_row))
    attention = recipes.multi_head(replace(recipe, query=same, key=-same), 2)
    to_line = planar_paths(attention, recipe.starts, np.array([0.0, 12.0]))
    wanted = theory.limit_covariance(recipes.softmax(recipe), recipe.gaussians)
    attention = recipes.multi_head(replace(recipe, query=other, key=-other), 2)
    to_zero = planar_paths(attention, recipe.starts, np.array([0.0, 24.0]))
    return {
        "same_rows_distance_from_softmax_limits": np.abs(to_line.covariances[-1] - wanted).max(),
        "same_rows_eigenvalue_ratio": to_line.eigenvalue_ratios.max(),
        "other_rows_largest_trace": np.exp(to_zero.log_sizes[-1]).max(),
        "other_rows_horizon": to_zero.times[-1].min(),
    }


def draw(name: str, data: FigureData, figure: Figure) -> None:
    """Draw the paths in the cone, and the sheet of the plane that holds their limits."""
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection

    ax = drawing.limits_in_cone(figure, data, azim=-62, height=1.0)
    q = data.parameters["query"][0]
    edge = -2 * np.arctan(q[0] / q[1])  # where the plane leaves the cone, beside w = 0, u < 0
    rim = [[np.cos(angle), np.sin(angle), 1.0] for angle in (np.pi, edge)]
    sheet = Poly3DCollection([[[0.0, 0.0, 0.0], *rim]], facecolor="0.4", alpha=0.25)
    sheet.set_edgecolor("black")
    sheet.set_linewidth(0.8)
    ax.add_collection3d(sheet)
