r"""Covariances that grow without bound, under softmax, two heads, L2 and Sinkhorn.

Figures `trad_explosion`, `MH_explosion`, `L2_divergence`, `sink_divergence`.
The problem: $V = I$ and $A + A^\top \succ 0$. Under softmax every covariance of full rank blows
up, at $t^* = 1/\lambda_{\max}(\Sigma_0^{1/2}(A + A^\top)\Sigma_0^{1/2})$, along a straight ray
of the disc that leaves the normalised inverse of $A + A^\top$. Two heads blow up too, in one of
two directions. L2 and Sinkhorn grow exponentially: under L2 all directions tend to one, the top
eigenvector of $K^{-1}Q$, long after the scripts' threshold on the trace; under Sinkhorn
$\Sigma/\operatorname{tr}\Sigma$ freezes.

The script's limits are taken where the trace passes a threshold, by Euler steps that go through
the blow-up; here they are those of the exact flow, and so are the times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import transpde as tp
from transpde.checks import Array
from transpde.disc import axis_angles, symmetric_coordinates
from transpde.figures import drawing, recipes
from transpde.figures.covariance_paths import RTOL, Paths, by_arc_length, clock_ticks, planar_paths
from transpde.figures.isotropic_limits import isotropic_angles
from transpde.records import FigureData

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SIZE", "data", "draw"]

SIZE = (5.6, 4.7)
TIGHT, ATOL, EARLY_RTOL = 1e-10, 1e-12, 1e-8
DRAWN = {"L2_divergence": 3}  # every third path, where all of them would be a grey net
INSIDE = 0.98  # of the disc: a ratio of eigenvalues of one per cent
RTOLS = {"MH_explosion": 1e-12}  # where the direction of the limit is told to 1e-8
ENDS = {"MH_explosion": 60.0, "L2_divergence": 110.0, "sink_divergence": 36.0}  # of the clock
ATTENTIONS: dict[str, Any] = {
    "MH_explosion": lambda recipe: recipes.multi_head(recipe, 2),
    "L2_divergence": recipes.l2,
    "sink_divergence": recipes.sinkhorn,
}
# Of the time to the blow-up; what is left of it falls by equal factors, in the end to 1e-6.
SHARES = np.concatenate([[0.0], 1 - np.geomspace(1.0, 1e-6, 33)[[4, 8, 12, 16, 20, 32]]])


def data(name: str) -> FigureData:
    """Compute the paths of all starts, and their blow-up times or late directions."""
    if name == "trad_explosion":
        return _straight_rays()
    recipe = recipes.explosion()
    attention, end, rtol = ATTENTIONS[name](recipe), ENDS[name], RTOLS.get(name, RTOL)
    paths = planar_paths(attention, recipe.starts, clock_ticks(end), rtol=rtol)
    numbers: dict[str, Any] = {
        "MH_explosion": _of_heads,
        "L2_divergence": _of_l2,
        "sink_divergence": _of_sinkhorn,
    }
    arrays = {
        "points": drawing.pack(by_arc_length(paths.points, 18)),
        "ends": paths.points[-1].astype(np.float32),
    }
    if name == "MH_explosion":
        arrays["blowup_times"] = paths.blowup_times
    return recipe.figure(
        arrays=arrays,
        numbers={"starts": len(recipe.starts)} | numbers[name](recipe, attention, paths),
        horizon="to blow-up" if name == "MH_explosion" else paths.reach,
        rtol=rtol,
    )


def _straight_rays() -> FigureData:
    """Compute blow-up times and limits; the paths drawn are those of the closed form."""
    recipe = recipes.explosion()
    attention, gaussians = recipes.softmax(recipe), recipe.gaussians
    blowup = tp.flow(gaussians, attention, np.inf, rtol=TIGHT, atol=ATOL)
    ends = symmetric_coordinates(blowup.final.direction)[..., :2]
    M = attention.key.T @ attention.query
    paths = _closed_form(recipe.starts, M, SHARES[:, None] * blowup.blowup_time)
    pole = np.linalg.inv(M + M.T)
    source = symmetric_coordinates(pole / np.trace(pole))[:2]
    computed = planar_paths(attention, recipe.starts, np.linspace(0.0, 20.0, 9))
    return FigureData(
        arrays={
            "times": SHARES,
            "paths": paths.astype(np.float32),
            "ends": ends.astype(np.float32),
            "blowup_times": blowup.blowup_time,
            "source": source,
        },
        numbers=_numbers(gaussians, M, blowup, paths, ends)
        | {"source": source, "distance_from_lines": _distance_from_lines(computed.points, source)},
        parameters={"query": recipe.query, "key": recipe.key, "A": M, "value": recipe.value},
        seed=recipe.seed,
        scheme={"method": "DOP853", "rtol": TIGHT, "atol": ATOL},
        horizon="to blow-up; paths on the scale t / t*, to 1 - 1e-6",
    )


def _numbers(
    gaussians: tp.Gaussian, A: Array, blowup: Any, paths: Array, ends: Array
) -> dict[str, Any]:
    """Return the key numbers of the figure."""
    X, found = gaussians.factor, blowup.blowup_time
    exact = 1 / np.linalg.eigvalsh(np.swapaxes(X, -2, -1) @ (A + A.T) @ X)[:, -1]
    return {
        "starts": len(found),
        "blown_up": int((blowup.stop == "blow-up").sum()),
        "blowup_time_min": found.min(),
        "blowup_time_median": np.median(found),
        "blowup_time_max": found.max(),
        "blowup_time_error": np.abs(found / exact - 1).max(),
        "limit_angles_by_10_degrees": _by_10_degrees(axis_angles(ends)),
        "limit_distance_from_circle": np.abs(np.linalg.norm(ends, axis=1) - 1).max(),
        "last_point_distance_from_limit": np.linalg.norm(paths[-1] - ends, axis=1).max(),
    }


def _distance_from_lines(paths: Array, source: Array) -> float:
    """Return how far a path strays at most from the line through its start and the source."""
    line, away = paths[0] - source, paths - source
    cross = away[..., 0] * line[:, 1] - away[..., 1] * line[:, 0]
    return float((np.abs(cross) / np.linalg.norm(line, axis=1)).max())


def _closed_form(starts: Array, A: Array, times: Array) -> Array:
    """Return the places in the disc (T, n, 2) at times (T, n), for softmax and V = I."""
    # (S^-1 - t M)^-1 is S - t det(S) adj(M) up to a factor: no inverse near the blow-up.
    M = A + A.T
    adjugate = np.trace(M) * np.eye(2) - M
    S = starts - (times * np.linalg.det(starts))[..., None, None] * adjugate
    return symmetric_coordinates(S / np.trace(S, axis1=-2, axis2=-1)[..., None, None])[..., :2]


def _by_10_degrees(angles: Array) -> Array:
    return np.histogram(angles, np.arange(0, 181, 10))[0]


def head_directions(attention: Any) -> Array:
    r"""Return the angles in degrees that rank one matrices keep under two heads and V = I.

    Row h of B is $x_h\,x^\top A_h$ on $xx^\top$, so x is kept where one entry is zero or
    $x^\top(A_1 - A_2)x = 0$.
    """
    first, second = (head.key.T @ head.query for head in attention.heads)
    return np.concatenate([[0.0, 90.0], isotropic_angles(first - second)])


def _of_heads(recipe: recipes.Recipe, attention: tp.MultiHead, paths: Paths) -> dict[str, Any]:
    """Return the key numbers of the blow-up under two heads."""
    times, kept = paths.blowup_times, head_directions(attention)
    gaps = np.abs((paths.angles[:, None] - kept + 90) % 180 - 90)
    return {
        "blown_up": int(paths.blown.sum()),
        "blowup_time_min": times.min(),
        "blowup_time_median": np.median(times),
        "blowup_time_max": times.max(),
        "limit_directions": kept,
        "in_each_direction": np.bincount(gaps.argmin(axis=1), minlength=len(kept)),
        "degrees_off_the_directions": gaps.min(axis=1).max(),
    }


def _of_l2(recipe: recipes.Recipe, attention: tp.L2, paths: Paths) -> dict[str, Any]:
    """Return the key numbers of the growth under L2, and what the scaling changes."""
    rates, axes = np.linalg.eig(np.linalg.solve(attention.key, attention.query))
    top = axes[:, rates.real.argmax()].real
    direction = np.degrees(np.arctan2(top[1], top[0])) % 180
    other = recipes.l2(recipe, consistent=True)
    early, changed = (
        tp.flow(recipe.gaussians, one, [0.0, 8.0, 40.0], rtol=EARLY_RTOL)
        for one in (attention, other)
    )
    angles = axis_angles(symmetric_coordinates(early.directions[-1]))
    low, middle, high = np.percentile(angles, [5, 50, 95])
    return {
        "limit_direction": direction,
        "rate": 2 * rates.real.max(),
        "rate_at_horizon": np.median(paths.growth),
        "within_1_degree_at_horizon": int((np.abs(paths.angles - direction) < 1).sum()),
        "direction_at_40_median": middle,
        "direction_at_40_from": low,
        "direction_at_40_to": high,
        "mean_trace_at_8": np.exp(early.log_sizes[1]).mean(),
        "consistent_scaling_mean_trace_at_8": np.exp(changed.log_sizes[1]).mean(),
        **recipes.scaling_change(early.covariances[1], changed.covariances[1]),
    }


def _of_sinkhorn(recipe: recipes.Recipe, attention: tp.Sinkhorn, paths: Paths) -> dict[str, Any]:
    """Return the key numbers of the growth under Sinkhorn attention."""
    halfway = np.abs(paths.times - paths.times[-1] / 2).argmin(axis=0)
    late = paths.points[halfway, np.arange(len(halfway))]
    moved = np.linalg.norm(paths.points[-1] - late, axis=1)
    return {
        "trace_min_at_horizon": np.exp(paths.log_sizes[-1].min()),
        "rate_at_horizon_min": paths.growth.min(),
        "rate_at_horizon_max": paths.growth.max(),
        "limit_angles_by_10_degrees": _by_10_degrees(paths.angles),
        "eigenvalue_ratio_median": np.median(paths.eigenvalue_ratios),
        "eigenvalue_ratio_max": paths.eigenvalue_ratios.max(),
        "inside_the_disc": int((paths.eigenvalue_ratios > 0.01).sum()),
        "moved_in_the_second_half": moved.max(),
    }


def draw(name: str, data: FigureData, figure: Figure) -> None:
    """Draw the disc: paths from the starts to their limits on the circle."""
    ax = figure.add_subplot()
    if name == "trad_explosion":
        paths, ends = data.arrays["paths"], data.arrays["ends"][None]
        points = np.concatenate([paths, ends]).astype(float)
    else:
        points = drawing.unpack(data.arrays["points"])
    points = points[:, :: DRAWN.get(name, 1)]
    # The short paths last: what is seen at a place then has the colour of a start near it.
    longest_first = np.argsort(-np.linalg.norm(points[-1] - points[0], axis=1), kind="stable")
    points = points[:, longest_first]
    drawing.disc(ax, points, points[0, :, 1])
    _marks(name, ax, data)
    drawing.colorbar(ax, points[0, :, 1], "$w$ at the start", [-0.8, 0, 0.8])


def _marks(name: str, ax: Any, data: FigureData) -> None:
    """Mark the source of the rays, the directions in the limit, or the limits of rank two."""
    if name == "trad_explosion":
        text = "source: $(A + A^{\\!\\top})^{-1}$\nover its trace"
        drawing.mark(ax, data.arrays["source"], text)
    if name == "sink_divergence":
        ends = data.arrays["ends"]
        inside = ends[np.linalg.norm(ends, axis=1) < INSIDE]
        ax.plot(*inside.T, "o", markersize=4, color="white", markeredgecolor="black", zorder=5)
    places = {146.7: (0.28, -1.02), 90.0: (-1.2, 0.42), 167.3: (0.98, -0.62)}
    for degrees, place in places.items():
        kept = np.atleast_1d(
            data.numbers.get("limit_directions", data.numbers.get("limit_direction", []))
        )
        if np.any(np.abs(kept - degrees) < 0.1):
            drawing.mark(ax, drawing.on_rim(degrees), "limit", place)
