"""CPU time of the reproduced figures against the scripts' own recipe, run here and now.

    python benchmarks/figures_cpu.py [--blocks line,zero,explosion,histogram] [--out FILE.json]

The recipe is implemented again from its description (`book/peer.yml`): forward Euler on the
covariance, negative eigenvalues set to 1e-14 after each step, stop where the norm of the velocity
is below one tolerance or the trace above another; one trajectory at a time, as in the scripts, all
iterates kept. The numbers of Euler steps are compared with those that the scripts make. Times are
CPU times of one process with one thread, so that a busy machine matters little. The total is
extrapolated: the scripts' seconds in all, where they were measured, times the ratio of the seconds
of the blocks here and there.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import argparse
import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transpde import figures
from transpde.figures import limit_ranks, recipes

FLOOR = 1e-14

# CPU seconds of the scripts in all, without drawing, on the machine of `book/peer.yml`.
SCRIPT_SECONDS = {"2d_plots.py": 948.0, "histograms.py": 287.0}

Velocity = Callable[[np.ndarray], np.ndarray]
Trajectory = tuple[Velocity, np.ndarray, float]  # velocity, start, step


@dataclass(frozen=True)
class Block:
    """One loop of a script: its trajectories, and the figures of ours that it answers."""

    figures: tuple[str, ...]
    script_steps: int
    script_seconds: float
    trajectories: Callable[[], list[Trajectory]]
    low: float
    high: float
    most: int


def softmax_velocity(Q: np.ndarray, K: np.ndarray, V: np.ndarray) -> Velocity:
    """V S A S and its transpose, with A = K^T Q / sqrt(d)."""

    def velocity(S: np.ndarray) -> np.ndarray:
        A = K.T @ Q / np.sqrt(len(S))
        rate = V @ S @ A @ S
        return rate + rate.T

    return velocity


def l2_velocity(Q: np.ndarray, K: np.ndarray, V: np.ndarray) -> Velocity:
    """2 V S (I + 2 K^T K S)^{-1} A S and its transpose, with A = K^T Q / sqrt(d)."""

    def velocity(S: np.ndarray) -> np.ndarray:
        A = K.T @ Q / np.sqrt(len(S))
        inverse = np.linalg.inv(np.eye(len(S)) + 2 * K.T @ K @ S)
        rate = 2 * V @ S @ inverse @ A @ S
        return rate + rate.T

    return velocity


def projected_euler(trajectory: Trajectory, block: Block) -> tuple[int, str]:
    """Make the steps of one trajectory; return how many, and why it ended."""
    velocity, S, step = trajectory
    iterates = []
    for count in range(1, block.most + 1):
        iterates.append(S)
        rate = velocity(S)
        values, vectors = np.linalg.eigh(S + step * rate)
        values[values < 0] = FLOOR
        S = vectors @ np.diag(values) @ vectors.T
        if np.linalg.norm(rate) < block.low:
            return count, "converged"
        if np.trace(S) > block.high:
            return count, "diverged"
    return block.most, "unfinished"


def plane(recipe: recipes.Recipe, step: float) -> list[Trajectory]:
    """The starts of a grid, all with one softmax velocity."""
    velocity = softmax_velocity(recipe.query, recipe.key, recipe.value)
    return [(velocity, S, step) for S in recipe.starts]


def histogram_rows() -> list[Trajectory]:
    """The starts for L2 and V = I: all of them converge, so none is drawn twice."""
    rows = []
    for d, step in ((3, 0.09), (4, 0.06), (5, 0.02)):
        Q, V, X = limit_ranks.script_pairs("histograms_L2", "identity", d)
        rows += [(l2_velocity(q, -q, v), x @ x.T, step) for q, v, x in zip(Q, V, X, strict=True)]
    return rows


BLOCKS = {
    "line": Block(
        ("trad_rank_1",), 17_140, 0.28, lambda: plane(recipes.line(), 0.5), 1e-4, 1e3, 50_000
    ),
    "explosion": Block(
        ("trad_explosion",), 135_061, 2.2, lambda: plane(recipes.explosion(), 0.01), 1e-4, 1e3,
        50_000,
    ),
    "zero": Block(
        ("trad_neg_def_V",), 541_477, 8.4, lambda: plane(recipes.zero(), 0.3), 1e-5, 1e3, 50_000
    ),
    # Half of one figure of ours: no ratio of its own.
    "histogram": Block((), 798_446, 21.7, histogram_rows, 1e-4, 1e3, 60_000),
}  # fmt: skip


def measured(name: str, block: Block) -> dict:
    """Time one block of the recipe and the figures of ours that answer it."""
    begun = time.process_time()
    ends = [projected_euler(trajectory, block) for trajectory in block.trajectories()]
    spent = time.process_time() - begun
    steps = sum(count for count, _ in ends)
    ours = {figure: our_seconds(figure) for figure in block.figures if figure in figures.names()}
    return {
        "block": name,
        "trajectories": len(ends),
        "steps": steps,
        "script_steps": block.script_steps,
        "ends": {
            why: sum(end == why for _, end in ends)
            for why in ("converged", "diverged", "unfinished")
        },
        "seconds": round(spent, 3),
        "script_seconds": block.script_seconds,
        "microseconds_a_step": round(1e6 * spent / steps, 2),
        "ours": ours,
        "ratio": round(spent / sum(ours.values()), 1) if ours else None,
    }


def our_seconds(figure: str) -> float:
    """CPU seconds of the data of one of our figures, the second time of two."""
    for _ in range(2):
        begun = time.process_time()
        figures.data(figure)
        spent = time.process_time() - begun
    return round(spent, 3)


def total(rows: list[dict]) -> dict:
    """The scripts' seconds, at the speed of this machine, against those of all our figures."""
    speed = sum(row["seconds"] for row in rows) / sum(row["script_seconds"] for row in rows)
    recipe = speed * sum(SCRIPT_SECONDS.values())
    # Those that a script draws: the frontispiece is ours alone.
    names = [figure for figure in figures.names() if figure != "frontispiece"]
    ours = {figure: our_seconds(figure) for figure in names}
    return {
        "recipe_seconds_measured_elsewhere": sum(SCRIPT_SECONDS.values()),
        "seconds_here_over_there": round(speed, 3),
        "recipe_seconds_extrapolated": round(recipe, 1),
        "ours": ours,
        "ours_seconds": round(sum(ours.values()), 2),
        "figures": len(ours),
        "ratio": round(recipe / sum(ours.values()), 1),
    }


def main() -> None:
    """Run the blocks, print a line for each, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", default=",".join(BLOCKS), help="which, separated by commas")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    given = parser.parse_args()
    rows = []
    for name in given.blocks.split(","):
        row = measured(name, BLOCKS[name])
        rows.append(row)
        print(
            f"{name:10} {row['trajectories']:5} trajectories {row['steps']:8} steps "
            f"(scripts {row['script_steps']}) {row['seconds']:8.2f} s "
            f"{row['microseconds_a_step']:6.1f} us a step; ours {row['ours']} ratio {row['ratio']}"
        )
    results = {
        "blocks": rows,
        "total": total(rows),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
    }
    end = results["total"]
    print(
        f"all {end['figures']} figures: ours {end['ours_seconds']} s; the recipe, extrapolated, "
        f"{end['recipe_seconds_extrapolated']} s (both scripts): ratio {end['ratio']}"
    )
    given.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
