r"""The disc of the softmax blow-up: figure `trad_explosion` of the authors' scripts.

The problem: softmax attention with $V = I$ and $A + A^\top \succ 0$, $A = K^\top Q/\sqrt 2$, so
that every covariance of full rank blows up, at
$t^* = 1/\lambda_{\max}(\Sigma_0^{1/2}(A + A^\top)\Sigma_0^{1/2})$. The starts: trace one, on a
regular grid of the unit disc with coordinates $u = \Sigma_{11} - \Sigma_{22}$,
$w = 2\Sigma_{12}$.

What the script's picture shows: the unit disc of $\Sigma/\operatorname{tr}\Sigma$ with a thin
black circle, the rank one matrices; straight rays, coloured by the initial w, that leave a white
source at about (.75, -.5), the normalised inverse of $A + A^\top$, and end in dots on the circle.
Its limits are taken where the trace passes 1000, by Euler steps through the blow-up; here they are
those of the exact flow, and so are the times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import transpde as tp
from transpde.checks import Array
from transpde.figures.record import FigureData

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SIZE", "data", "draw", "parameters", "starts"]

SIZE = (5.6, 4.7)
SEED = 33
GRID = 40
RTOL, ATOL = 1e-10, 1e-12
KEPT = [0, 4, 8, 12, 16, 20, 32]  # the recorded times that are stored for the drawing


def parameters() -> tuple[Array, Array]:
    """Return query and key as drawn by the script: normal, until A + A^T is positive definite."""
    # The script's own generator: no other draws these numbers.
    draws = np.random.RandomState(SEED)
    while True:
        Q, K = draws.normal(size=(2, 2)), draws.normal(size=(2, 2))
        A = K.T @ Q
        if np.linalg.eigvalsh(A + A.T)[0] > 0:
            return Q, K


def starts() -> Array:
    """Return the covariances of trace one on the grid inside the disc, shape (1184, 2, 2)."""
    side = np.linspace(-1.0, 1.0, GRID)
    points = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
    return _matrices(points[(points**2).sum(axis=1) < 1.0])


def _matrices(points: Array) -> Array:
    """Return the covariances of trace one at points (..., 2) of the disc."""
    u, w = points[..., 0], points[..., 1]
    rows = [np.stack([1 + u, w], axis=-1), np.stack([w, 1 - u], axis=-1)]
    return np.stack(rows, axis=-2) / 2


def _points(directions: Array) -> Array:
    """Return the places (..., 2) of matrices of trace one in the disc."""
    u = directions[..., 0, 0] - directions[..., 1, 1]
    return np.stack([u, 2 * directions[..., 0, 1]], axis=-1)


def data() -> FigureData:
    """Compute blow-up times, limit directions and paths of all starts."""
    Q, K = parameters()
    query, key = Q / 2**0.25, K / 2**0.25
    gaussians = tp.Gaussian.from_covariance(np.zeros(2), starts())
    blowup = tp.flow(gaussians, tp.Softmax(query, key, np.eye(2)), np.inf, rtol=RTOL, atol=ATOL)
    final = blowup.final
    # V = t* I runs each case at its own speed: all blow up at time 1, and share their times.
    value = blowup.blowup_time[:, None, None] * np.eye(2)
    times = np.concatenate([[0.0], 1 - np.geomspace(1.0, 1e-6, 33)[1:]])
    path = tp.flow(gaussians, tp.Softmax(query, key, value), times, rtol=RTOL, atol=ATOL)
    paths, ends = _points(path.directions), _points(final.direction)
    M = key.T @ query
    source = _points(np.linalg.inv(M + M.T) / np.trace(np.linalg.inv(M + M.T)))
    return FigureData(
        arrays={
            "times": times[KEPT],
            "paths": paths[KEPT].astype(np.float32),
            "ends": ends.astype(np.float32),
            "blowup_times": blowup.blowup_time,
            "source": source,
        },
        numbers=_numbers(gaussians, M, blowup, paths, ends)
        | {"source": source, "distance_from_lines": _distance_from_lines(paths, source)},
        parameters={"query": Q, "key": K, "A": M, "value": np.eye(2), "grid": [GRID, GRID]},
        seed=SEED,
        scheme={"method": "DOP853", "rtol": RTOL, "atol": ATOL},
        horizon="to blow-up; paths on the scale t / t*, to 1 - 1e-6",
    )


def _numbers(
    gaussians: tp.Gaussian, A: Array, blowup: Any, paths: Array, ends: Array
) -> dict[str, Any]:
    """Return the key numbers of the figure."""
    X, found = gaussians.factor, blowup.blowup_time
    exact = 1 / np.linalg.eigvalsh(np.swapaxes(X, -2, -1) @ (A + A.T) @ X)[:, -1]
    angles = np.degrees(np.arctan2(ends[:, 1], ends[:, 0])) / 2 % 180
    return {
        "starts": len(found),
        "blown_up": int((blowup.stop == "blow-up").sum()),
        "blowup_time_min": found.min(),
        "blowup_time_median": np.median(found),
        "blowup_time_max": found.max(),
        "blowup_time_error": np.abs(found / exact - 1).max(),
        "limit_angles_by_10_degrees": np.histogram(angles, np.arange(0, 181, 10))[0],
        "limit_distance_from_circle": np.abs(np.linalg.norm(ends, axis=1) - 1).max(),
        "last_point_distance_from_limit": np.linalg.norm(paths[-1] - ends, axis=1).max(),
    }


def _distance_from_lines(paths: Array, source: Array) -> float:
    """Return how far a path strays at most from the line through its start and the source."""
    line, away = paths[0] - source, paths - source
    cross = away[..., 0] * line[:, 1] - away[..., 1] * line[:, 0]
    return float((np.abs(cross) / np.linalg.norm(line, axis=1)).max())


def draw(data: FigureData, figure: Figure) -> None:
    """Draw the disc: rays from the source to the limits on the circle."""
    from transpde.plotting import plot_disc

    ax = figure.add_subplot()
    points = np.concatenate([data.arrays["paths"], data.arrays["ends"][None]]).astype(float)
    # Stored in single precision, a limit may lie outside the circle by the last digit.
    points /= np.maximum(1.0, np.linalg.norm(points, axis=-1, keepdims=True))
    # The short rays last: what is seen at a place then has the colour of a start near it.
    points = points[:, np.argsort(-np.linalg.norm(points[-1] - points[0], axis=1))]
    directions, w = _matrices(points), points[0, :, 1]
    plot_disc(directions, values=w, ax=ax, annotate=False, linewidths=0.4, size=6.0)
    ax.text(-0.77, 0.77, "rank one", rotation=45, ha="center", va="center", fontsize="small")
    u, w = data.arrays["source"]
    ax.plot(u, w, "o", markersize=5, color="white", markeredgecolor="black", zorder=5)
    ax.annotate(
        "source: $(A + A^{\\!\\top})^{-1}$\nover its trace",
        (u, w),
        (0.8, -0.83),
        va="top",
        fontsize="small",
        arrowprops={"arrowstyle": "-", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3},
        annotation_clip=False,
        zorder=5,
    )
    bar = figure.colorbar(
        ax.collections[0], cax=ax.inset_axes((1.06, 0.3, 0.02, 0.5)), ticks=[-0.8, 0, 0.8]
    )
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize="small", length=0)
    bar.set_label("$w$ at the start", labelpad=-4)
