"""Whole flows side by side with what users would write: `make bench`.

Ours and the peer run by turns in one process, at the same tolerances and recorded times, on one
thread; a ratio is the peer's median over ours, an error the largest difference of the results.
Parameters and starts are seeded. A peer that would take too long runs on a drawn sample of the
cases, stated in the table, and its time is that of the sample times the cases over the sample.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

import numpy as np
from attention import by_turns, record
from flow_peers import attended, covariance, factor, tokens

import transpde as tp
from transpde.ensembles import random_gaussians, random_head, random_tokens
from transpde.figures import limit_ranks as ranks
from transpde.stepping.equation import Equation

RECORDS = 129
REPLICAS, OF_THEM = 1000, 12
RUNS_OF_EACH = 2  # of 100 runs of a panel of the histograms that the peer does
IMPORTS = 9


def compared(ours, peer, floor, against, share=1.0, difference=None):
    """Return a row of the table; `ours` and `peer` return arrays to compare."""
    (mine, theirs), (found, other) = by_turns(ours, peer)
    off = difference or (lambda a, b: float(np.abs(a - b).max()))
    return {
        "peer": against,
        "ours_seconds": mine,
        "peer_seconds": theirs / share,
        "ratio": theirs / share / mine,
        "floor": floor,
        "difference": off(found, other),
        "peer_share": share,
    }


def flow_of_tokens(n, floor):
    """Tokens of the plane to t = 3."""
    start = random_tokens(n, 2, seed=0)
    head = tp.Softmax(*random_head(2, seed=0, value="spectral"))
    times = np.linspace(0.0, 3.0, RECORDS)
    return compared(
        lambda: tp.flow(start, head, times, rtol=1e-8, atol=1e-10).points,
        lambda: tokens(start.points, head, times, 1e-8, 1e-10),
        floor,
        "solve_ivp DOP853",
    )


def flow_of_a_gaussian(d, seed):
    """One covariance, V = I, to t = 2 or to 0.99 of its blow-up time, which is known."""
    start = random_gaussians(d, seed=100 + seed)
    head = tp.Softmax(*random_head(d, seed=seed, value="identity"))
    A, X = head.key.T @ head.query, start.factor
    growth = np.linalg.eigvalsh(X.T @ (A + A.T) @ X)[-1]
    end = min(2.0, 0.99 / max(growth, 1e-300))
    times = np.linspace(0.0, end, RECORDS)
    row = compared(
        lambda: tp.flow(start, head, times, rtol=1e-10, atol=1e-12).covariances,
        lambda: covariance(start.covariance, head, times, 1e-10, 1e-12),
        0.3,
        "solve_ivp DOP853",
        difference=lambda a, b: float(np.abs(a - b).max() / np.abs(b).max()),
    )
    return row | {"end": end}


def stack_on_the_sphere(points):
    """Return the replicas as one measure. The one place that needs stacks of particles."""
    return tp.Particles(points, space=tp.Sphere())


def replicas():
    """1,000 replicas of 32 tokens on the sphere to t = 10."""
    x = np.random.default_rng(0).normal(size=(REPLICAS, 32, 3))
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    eye, times = np.eye(3), np.array([0.0, 10.0])
    head = tp.Softmax(eye, 2 * eye, eye)
    try:
        stack = stack_on_the_sphere(x)
    except (AttributeError, TypeError, ValueError) as error:
        return {"peer": "solve_ivp DOP853, one by one", "floor": 8, "not_yet": str(error)}
    chosen = np.random.default_rng(1).choice(REPLICAS, OF_THEM, replace=False)
    return compared(
        lambda: tp.flow(stack, head, times, rtol=1e-6, atol=1e-8).final.points,
        lambda: np.array([tokens(x[i], head, times, 1e-6, 1e-8, sphere=True)[-1] for i in chosen]),
        8,
        "solve_ivp DOP853, one by one",
        share=OF_THEM / REPLICAS,
        difference=lambda a, b: float(np.abs(a[chosen] - b).max()),
    )


def parameters_in_time():
    """50 Gaussians with a callable of time, against the same stack with constant parameters."""
    stack = random_gaussians(3, seed=0, cases=50)
    head = tp.Softmax(*random_head(3, seed=0, key="opposite", value="identity", cases=50))
    return compared(
        lambda: tp.flow(stack, lambda t: head, time=1.0, rtol=1e-8).covariances,
        lambda: tp.flow(stack, head, time=1.0, rtol=1e-8).covariances,
        0.5,
        "ours without the callable",
    )


def histogram_panels():
    """Return Q, V and factors of the 600 runs of `histograms_trad`, three a panel."""
    return [
        ranks.script_pairs("histograms_trad", value, d)
        for value in ranks.VALUES
        for d in ranks.DIMENSIONS
    ]


def histograms():
    """The ranks of 600 limits, ours from the columns that Q sees, against LSODA case by case."""
    panels = histogram_panels()
    chosen = np.random.default_rng(0).choice(ranks.RUNS, RUNS_OF_EACH, replace=False)

    def ours():
        problems = [ranks.kernel_split("Softmax", *panel) for panel in panels]
        return np.array([ranks.decide(problem).ranks for problem in problems])

    def peer():
        heads = [(ranks.attention("Softmax", Q, V), X) for Q, V, X in panels]
        return np.array([[by_lsoda(head, X, i) for i in chosen] for head, X in heads])

    return compared(
        ours,
        peer,
        10,
        "LSODA, one by one",
        share=RUNS_OF_EACH / ranks.RUNS,
        difference=lambda a, b: int((a[:, chosen] != b).sum()),
    ) | {"difference_of": "ranks that differ"}


def by_lsoda(heads, X, i):
    """Return the rank of one limit, judged at the second horizon if undecided at the first."""
    head = tp.Softmax(heads.query[i], heads.key[i], heads.value[i])
    for times in (ranks.TIMES[:5], ranks.TIMES):
        Y = factor(X[i], head, times, 1e-10, 1e-14)
        values = np.linalg.eigvalsh(Y @ np.swapaxes(Y, 1, 2))[:, None, ::-1]
        last = ranks.verdicts(np.log(np.maximum(values, 1e-300)))[-1]
        if last.decided[0]:
            break
    return int(last.rank[0])


TIMES_OVER = 500  # evaluations a run


def one_right_hand_side():
    """attention(measure)(points) of 10 tokens against its sum in bare numpy."""
    start, drawn = random_tokens(10, 2, seed=0), random_head(2, seed=0)
    head, A = tp.Softmax(*drawn), drawn.key.T @ drawn.query

    def again(task):
        return lambda: [task() for _ in range(TIMES_OVER)][-1]

    return compared(
        again(lambda: head(start)(start.points)),
        again(lambda: attended(start.points, A, drawn.value)),
        1 / 15,
        "numpy",
        share=1.0,
    ) | {"evaluations": TIMES_OVER}


def evaluations(task):
    """Return how often a flow evaluates a right-hand side."""
    plain, calls = Equation.derivative, []

    def counted(*given, **named):
        calls.append(1)
        return plain(*given, **named)

    Equation.derivative = counted
    try:
        task()
    finally:
        Equation.derivative = plain
    return len(calls)


def within_a_flow():
    """The time of a flow of 10 tokens over its right-hand sides, against the sum in numpy."""
    start, drawn = random_tokens(10, 2, seed=0), random_head(2, seed=0, value="spectral")
    times, A = np.array([0.0, 3.0]), drawn.key.T @ drawn.query
    calls = evaluations(lambda: tp.flow(start, tp.Softmax(*drawn), times, rtol=1e-8))
    row = compared(
        lambda: tp.flow(start, tp.Softmax(*drawn), times, rtol=1e-8).final.points,
        lambda: [attended(start.points, A, drawn.value) for _ in range(calls)][-1],
        1 / 15,
        "numpy",
        difference=lambda a, b: None,
    )
    return row | {"evaluations": calls}


def imports():
    """`import transpde` in fresh processes, against what it needs of scipy."""

    def seconds(what):
        program = f"import time; s = time.perf_counter(); import {what}; "
        program += "print(time.perf_counter() - s)"
        run = [sys.executable, "-c", program]
        return float(subprocess.run(run, capture_output=True, text=True, check=True).stdout)

    packages = ("transpde", "scipy.integrate, scipy.special")
    turns = [[seconds(what) for what in packages] for _ in range(IMPORTS + 1)][1:]
    mine, theirs = (statistics.median(one) for one in zip(*turns, strict=True))
    return {
        "peer": "import scipy.integrate, scipy.special",
        "ours_seconds": mine,
        "peer_seconds": theirs,
        "ratio": theirs / mine,
        "floor": 1 / 1.3,
        "difference": None,
    }


CASES = {
    "10 tokens, d = 2, t = 3": lambda: flow_of_tokens(10, 0.5),
    "30 tokens, d = 2, t = 3": lambda: flow_of_tokens(30, 0.5),
    "300 tokens, d = 2, t = 3": lambda: flow_of_tokens(300, 1.2),
    "one Gaussian, d = 2": lambda: flow_of_a_gaussian(2, 0),
    "one Gaussian, d = 5": lambda: flow_of_a_gaussian(5, 2),
    "one Gaussian, d = 16": lambda: flow_of_a_gaussian(16, 0),
    "1,000 replicas on the sphere": replicas,
    "50 Gaussians, callable of time": parameters_in_time,
    "600 runs of histograms_trad": histograms,
    "one right-hand side, 10 tokens": one_right_hand_side,
    "within a flow, 10 tokens": within_a_flow,
    "import": imports,
}


def table(found):
    """Return the Markdown table of what was found."""
    made = found["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in made["versions"].items() if v and k != "torch")
    lines = [
        "# Whole flows, side by side",
        "",
        f"`make bench` on {made['date']}: {made['processor']}, one thread,",
        f"Python {made['python']}, {versions}.",
        "Float64. Seconds are medians of at least five runs by turns, at the same tolerances.",
        "The difference is the largest between the two results; of a Gaussian, over the largest",
        "entry of its covariances. Where the peer runs on a share of the cases, its time is",
        "extrapolated from them. Of the histograms only ranks are compared: ours flow the columns",
        "that Q sees, at the tolerance of the figure, where LSODA has 1e-10.",
        "",
        "| case | against | ours | peer | ratio | at least | reached | difference |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [_line(name, row) for name, row in found["cases"].items()]
    return "\n".join(lines) + "\n"


def _line(name, row):
    at_least = f"{row['floor']:.3g}x"
    if "not_yet" in row:
        return f"| {name} | {row['peer']} | not yet |  |  | {at_least} | not measured |  |"
    share, off = row.get("peer_share", 1), row["difference"]
    reached = "yes" if row["ratio"] >= row["floor"] else "**no**"
    if "difference_of" in row:
        difference = f"{off} {row['difference_of']}"
    else:
        difference = "" if off is None else f"{off:.1e}"
    against = row["peer"] + (f", {share:.2g} of it" if share < 1 else "")
    return (
        f"| {name} | {against} | {row['ours_seconds']:.3g} s | {row['peer_seconds']:.3g} s | "
        f"{row['ratio']:.3g}x | {at_least} | {reached} | {difference} |"
    )


if __name__ == "__main__":
    record(__doc__, CASES, table, 1)
