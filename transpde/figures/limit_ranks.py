r"""Histograms of the ranks of limits: the scripts' `histograms_trad` and `histograms_L2`.

The problem: K = -Q with a normal Q of $\lfloor d/2\rfloor$ rows, V = I or $V = G^\top G$, one
normal factor of the first covariance for each of 100 pairs (Q, V), in dimensions 3, 4 and 5. With
that shape of Q the limit has rank $d - \lfloor d/2\rfloor = \lceil d/2\rceil$ whatever the rest.

What the scripts' pictures show: 2 x 3 bar charts, rows V identity and V random, of the number of
eigenvalues above .1 where projected Euler steps stop; most bars lie below $\lceil d/2\rceil$. A
run that does not converge is repeated with another start, and ranks above $\lceil d/2\rceil$ are
put aside. Here every pair has one start, the first draw, and every run is reported: the rank is
decided by the decay of the eigenvalues along the exact flow, or it is called undecided.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import transpde as tp
from transpde.checks import Array, positive_integer
from transpde.figures.kernel_split import KernelSplit, split
from transpde.records import FigureData
from transpde.spectra import decide_decay

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "SIZE",
    "Outcome",
    "attention",
    "data",
    "decide",
    "draw",
    "kernel_split",
    "random_pairs",
    "script_pairs",
]

SIZE = (7.4, 4.4)
KINDS = {"histograms_trad": "Softmax", "histograms_L2": "L2"}
VALUE_SEEDS = {"histograms_trad": 26, "histograms_L2": 27}
VALUES, DIMENSIONS, RUNS = ("identity", "random"), (3, 4, 5), 100
RTOL = 1e-7
HORIZONS = (1e6, 1e8)  # a run is judged at the second if it is undecided at the first
TIMES = np.array([0.0, 1e4, 1e5, 10**5.5, 1e6, 1e7, 10**7.5, 1e8])
THRESHOLD = 0.1  # of the scripts

# How many of 100 runs the scripts' rule gives each rank, from 0 on: a row for each value and
# dimension. `book/peer.yml` says where they are from.
SCRIPT_COUNTS = {
    "histograms_trad": [
        [[3, 48, 49], [11, 47, 42], [0, 5, 54, 41]],
        [[4, 64, 31], [21, 68, 11], [0, 25, 64, 11]],
    ],
    "histograms_L2": [
        [[0, 32, 68], [0, 31, 69], [0, 0, 46, 54]],
        [[0, 50, 50], [4, 64, 32], [0, 22, 68, 10]],
    ],
}


def script_pairs(name: str, value: str, dimension: int) -> tuple[Array, Array, Array]:
    """Return the scripts' Q (100, m, d), V (100, d, d) and factors X (100, d, d) of the starts.

    Args:
        name: of the figure.
        value: "identity" or "random".
        dimension: 3, 4 or 5.
    """
    place = DIMENSIONS.index(dimension)
    Q = _draws(40, [(RUNS, d // 2, d) for d in DIMENSIONS])[place]
    G = _draws(VALUE_SEEDS[name], [(RUNS, d, d) for d in DIMENSIONS])[place]
    X = _draws(41, [(RUNS, dimension, dimension)])[0]
    V = np.swapaxes(G, 1, 2) @ G
    return Q, V if value == "random" else np.broadcast_to(np.eye(dimension), V.shape), X


def _draws(seed: int, shapes: list[tuple[int, ...]]) -> list[Array]:
    """Return normal arrays one after the other from the scripts' generator."""
    draws = np.random.RandomState(seed)  # no other draws these numbers
    return [draws.normal(size=shape) for shape in shapes]


def random_pairs(dimension: int, rows: int, runs: int, seed: int) -> tuple[Array, Array, Array]:
    """Return Q, V = G^T G and X as in the scripts, for any dimension and number of rows of Q."""
    d, draws = positive_integer("dimension", dimension), np.random.default_rng(seed)
    Q, G, X = (draws.normal(size=(runs, n, d)) for n in (positive_integer("rows", rows), d, d))
    return Q, np.swapaxes(G, 1, 2) @ G, X


def attention(kind: str, Q: Array, V: Array) -> tp.Softmax | tp.L2:
    """Return the attention as the scripts scale it: A = -Q^T Q / sqrt(d), and K^T K = Q^T Q."""
    d = Q.shape[-1]
    if kind == "Softmax":
        return tp.Softmax(Q / d**0.25, -Q / d**0.25, V)
    return tp.L2(Q / d**0.5, -Q, V)


def kernel_split(kind: str, Q: Array, V: Array, X: Array) -> KernelSplit:
    """Return the same problem, split along the kernel of Q."""
    return split(attention(kind, Q, V), X)


# --- ranks ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of each run of a stack.

    Attributes:
        ranks: of the limits (B,), -1 where undecided.
        at_least, at_most: bounds by the model (B,), equal where it decides.
        horizons: the depth to which each run goes (B,).
        columns: Z at that depth (B, d, m).
        log_eigenvalues: of the covariances there (B, d), the largest first.
    """

    ranks: Array
    at_least: Array
    at_most: Array
    horizons: Array
    columns: Array
    log_eigenvalues: Array


def decide(problem: KernelSplit, rtol: float = RTOL) -> Outcome:
    """Judge every case at the first horizon at which the decay of its eigenvalues decides."""
    path = problem.flow(TIMES, rtol)
    logs = problem.log_eigenvalues(path)
    early, late = verdicts(logs)
    decided, cases = np.asarray(early.decided), np.arange(len(problem.seen))
    end = np.where(decided, 4, 7)
    return Outcome(
        ranks=np.where(decided, early.rank, late.rank),
        at_least=np.where(decided, early.at_least, late.at_least),
        at_most=np.where(decided, early.at_most, late.at_most),
        horizons=TIMES[end],
        columns=path[end, cases],
        log_eigenvalues=logs[end, cases],
    )


def verdicts(logs: Array) -> list[Any]:
    """Return the verdicts at the horizons that log eigenvalues (T, B, d) at `TIMES` reach."""
    # The slopes need no time zero, which those at the second horizon do not have.
    return [
        decide_decay(np.append(0.0, TIMES[seen]), np.insert(logs[seen], 0, 0.0, axis=0))
        for seen in (slice(1, 5), slice(4, 8))
        if seen.stop <= len(logs)
    ]


def data(name: str) -> FigureData:
    """Decide the ranks of all limits of a figure."""
    pairs = [script_pairs(name, value, d) for value in VALUES for d in DIMENSIONS]
    problems = [kernel_split(KINDS[name], *pair) for pair in pairs]
    outcomes = _outcomes(KINDS[name], pairs)
    ranks = np.array([outcome.ranks for outcome in outcomes]).reshape(2, 3, RUNS)
    logs = np.full((6, RUNS, max(DIMENSIONS)), np.nan)
    for row, outcome in zip(logs, outcomes, strict=True):
        row[:, : outcome.log_eigenvalues.shape[1]] = outcome.log_eigenvalues
    return FigureData(
        arrays={
            "ranks": ranks.astype(np.int8),
            "horizons": np.array([o.horizons for o in outcomes]).reshape(2, 3, RUNS),
            "script_counts": _script_counts(name),
            "log_eigenvalues": logs.reshape(2, 3, RUNS, -1).astype(np.float32),
        },
        numbers=_numbers(outcomes, problems),
        parameters={"dimensions": DIMENSIONS, "rows of Q": [d // 2 for d in DIMENSIONS]},
        seed=40,
        scheme={"method": "DOP853, or Radau IIA, on the columns that Q sees", "rtol": RTOL},
        horizon="1e6; 1e8 while undecided",
    )


def _outcomes(kind: str, pairs: list[tuple[Array, Array, Array]]) -> list[Outcome]:
    """Return what becomes of each stack: those of both values of a dimension flow together."""
    found = []
    for first, second in zip(pairs[:3], pairs[3:], strict=True):
        Q, V, X = map(np.concatenate, zip(first, second, strict=True))
        found.append(decide(kernel_split(kind, Q, V, X)))
    return [
        Outcome(**{name: array[half] for name, array in vars(outcome).items()})
        for half in (slice(RUNS), slice(RUNS, None))
        for outcome in found
    ]


def _script_counts(name: str) -> Array:
    """Return how many runs of the script have rank 0, 1, ..., 5, shape (2, 3, 6)."""
    counts = np.zeros((2, 3, max(DIMENSIONS) + 1), dtype=int)
    for i, row in enumerate(SCRIPT_COUNTS[name]):
        for j, held in enumerate(row):
            counts[i, j, : len(held)] = held
    return counts


def _numbers(outcomes: list[Outcome], problems: list[KernelSplit]) -> dict[str, Any]:
    """Return the key numbers of the figure."""
    ranks = [outcome.ranks for outcome in outcomes]
    bounds = [(o.at_least[o.ranks < 0], o.at_most[o.ranks < 0]) for o in outcomes]
    errors, rises = [], []
    for problem, outcome in zip(problems, outcomes, strict=True):
        ends, starts = (problem.covariances(Z) for Z in (outcome.columns, problem.seen))
        rises.append(_energy(problem, ends) / _energy(problem, starts))
        limits = problem.covariances(0 * problem.seen)
        errors.append(np.abs(ends - limits).max(axis=(1, 2)) / np.abs(limits).max(axis=(1, 2)))
    return {
        "runs": sum(map(len, ranks)),
        "predicted": [d - d // 2 for d in DIMENSIONS],
        "counts": [
            [[int((r == k).sum()) for k in range(6)] for r in ranks[i : i + 3]] for i in (0, 3)
        ],
        "undecided": [[int((r < 0).sum()) for r in ranks[i : i + 3]] for i in (0, 3)],
        "undecided_at_first": [int((o.horizons > HORIZONS[0]).sum()) for o in outcomes],
        "undecided_bounds": [
            [int(low.min()), int(high.max())] if len(low) else [0, 5] for low, high in bounds
        ],
        "distance_from_closed_limit": [float(error.max()) for error in errors[:3]],
        "limits_changed_by_value": [int((error > 0.1).sum()) for error in errors[3:]],
        "lyapunov_rises": int((np.array(rises) > 1).sum()),
        "closed_limits_above_threshold": [_above(p) for p in problems[:3]],
        "smallest_that_stays": float(np.exp(min(_kept(o).min() for o in outcomes))),
    }


def _energy(problem: KernelSplit, covariances: Array) -> Array:
    r"""Return $\operatorname{tr}(V^{-1}\Sigma)$, which does not increase."""
    solved = np.linalg.solve(problem.attention.value, covariances)
    return np.trace(solved, axis1=-2, axis2=-1)


def _above(problem: KernelSplit) -> list[int]:
    """Return how many limits for V = I have 0, 1, ... eigenvalues above the scripts' threshold."""
    sizes = np.linalg.svd(problem.free, compute_uv=False) ** 2
    return np.bincount((sizes > THRESHOLD).sum(axis=1), minlength=6).tolist()


def _kept(outcome: Outcome) -> Array:
    """Return the log of the smallest eigenvalue that stays, of each decided run."""
    rows = np.flatnonzero(outcome.ranks > 0)
    return outcome.log_eigenvalues[rows, outcome.ranks[rows] - 1]


# --- drawing -------------------------------------------------------------------------------------


def draw(name: str, data: FigureData, figure: Figure) -> None:
    """Draw our counts beside those of the scripts, a panel for each value and dimension."""
    from matplotlib.patches import Patch

    from transpde.plotting import attention_style

    color = attention_style(KINDS[name])["color"]
    axes = figure.subplots(2, 3, sharey=True)
    for row, ranks in zip(range(2), data.arrays["ranks"], strict=True):
        for column, d in enumerate(DIMENSIONS):
            ax, script = axes[row, column], data.arrays["script_counts"][row, column]
            _panel(ax, ranks[column], script, d, color)
            if column == 0:
                ax.set_ylabel(("$V = I$" if row == 0 else "$V = G^\\top G$") + "\nruns of 100")
            if row == 0:
                ax.set_title(f"$d = {d}$")
            else:
                ax.set_xlabel("rank of the limit")
    handles = [
        Patch(facecolor=color, edgecolor=color, label="exact flow"),
        Patch(facecolor="white", edgecolor=color, hatch="////", label="exact flow, undecided"),
        Patch(facecolor="#C8C8C8", edgecolor="#6E6E6E", label="the script's rule"),
        Patch(facecolor="#FFF3C4", label="$d - $rank $Q$"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)


def _panel(ax: Axes, ranks: Array, script: Array, d: int, color: str) -> None:
    """Draw the bars of one value and dimension."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.axvspan(d - d // 2 - 0.5, d - d // 2 + 0.5, color="#FFF3C4", zorder=0)
    places, width = np.arange(d + 1), 0.4
    ours = [int((ranks == rank).sum()) for rank in places]
    theirs = script[: d + 1].tolist()
    grey: dict[str, Any] = {"color": "#C8C8C8", "edgecolor": "#6E6E6E", "linewidth": 0.6}
    undecided = [int((ranks < 0).sum())]
    groups = [
        ax.bar(places - width / 2, ours, width, color=color),
        ax.bar(places + width / 2, theirs, width, **grey),
        ax.bar([d + 1], undecided, width, color="white", edgecolor=color, hatch="////"),
    ]
    for bars, counts in zip(groups, (ours, theirs, undecided), strict=True):
        labels = [str(count) if count else "" for count in counts]
        ax.bar_label(bars, labels, fontsize="x-small", padding=1)
    ax.set_xticks([*places, d + 1], [*map(str, places), "?"])
    ax.set_yticks([0, 50, 100])
    ax.set_ylim(0, 116)
