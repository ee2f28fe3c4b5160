"""Sums over tokens side by side with what users would pick instead: `make bench`.

Each row of the table runs ours and the peer by turns in one process, on the same tokens and as
many threads, and reports medians, their ratio, the error of both against sums in extended
precision, and the floor that the project sets itself. Tokens are uniform in a ball and seeded.
A peer that takes over 30 s a run is run once, or on a stated share of its rows, paths or steps.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import numpy as np
import threadpoolctl

import transpde as tp

THREADS = 2
ROUNDS = 5
LONG = 30.0  # seconds from which a peer runs once
WHILE, MOST_ROUNDS = 6.0, 51  # seconds for which short runs go on, at most so often
SAMPLE = 48  # targets of the reference in extended precision


def ball(n, d, radius=3.0, seed=0):
    """Tokens uniform in a ball, shape (n, d)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    return radius * x / np.linalg.norm(x, axis=1, keepdims=True) * rng.random((n, 1)) ** (1 / d)


def torch():
    """Return torch with its threads set, or None where it is not installed."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(THREADS)
    return torch


def torch_attention(x, causal=False, rows=None, slope=0.0):
    """Return the softmax means by torch's fused attention in double precision.

    A discount is a score linear in the position of the token, one more entry of queries and keys.
    Values get one, too: torch falls back to a matrix of scores where the sizes differ.
    """
    t = torch()
    n, d = x.shape
    places = slope * np.arange(n)
    parts = [x, x, x]
    if slope:
        parts = [np.column_stack([x, more]) for more in (np.ones(n), places, np.zeros(n))]
    queries, keys, values = (t.from_numpy(np.array(part))[None, None] for part in parts)
    attend = t.nn.functional.scaled_dot_product_attention
    with t.no_grad():
        found = attend(queries[:, :, :rows], keys, values, scale=1.0, is_causal=causal)
    return found[0, 0, :, :d].numpy()


def torch_sums(x, kind, rows, tile=256):
    """Return the sums (1/n) sum_j f(x_i.x_j) x_j of the first rows by torch, a tile at a time."""
    t = torch()
    weigh = {"unnormalised": t.exp_, "sigmoid": t.sigmoid_}[kind]
    tokens = t.from_numpy(np.array(x))
    with t.no_grad():
        parts = [
            weigh(tokens[i : min(i + tile, rows)] @ tokens.T) @ tokens
            for i in range(0, rows, tile)
        ]
        return (t.cat(parts) / len(x)).numpy()


def reference(x, rows, causal=False, slope=0.0, kind="softmax"):
    """Return the sums of a kind in extended precision at some rows."""
    y = x.astype(np.longdouble)
    means = []
    for i in rows:
        seen = y[: i + 1] if causal else y
        scores = seen @ y[i] + slope * np.arange(len(seen))
        if kind == "softmax":
            w = np.exp(scores - scores.max())
            means.append((w / w.sum()) @ seen)
        else:
            w = np.exp(scores) if kind == "unnormalised" else 1 / (1 + np.exp(-scores))
            means.append(w @ seen / len(seen))
    return np.array(means, dtype=float)


def relative_error(found, exact):
    """Return the largest distance relative to the largest exact value."""
    return float(np.linalg.norm(found - exact, axis=1).max() / np.linalg.norm(exact, axis=1).max())


def by_turns(ours, peer):
    """Return wall seconds (ours, peer): medians of runs by turns, and the two last results.

    Short runs go on for a while: on a shared machine medians of few of them vary by a quarter.
    """
    times, results = ([], []), [None, None]
    turn = 0
    while turn < ROUNDS or (turn < MOST_ROUNDS and sum(map(sum, times)) < WHILE):
        for k, task in enumerate((ours, peer)):
            if task is None or (k == 1 and turn and times[1][0] > LONG):
                continue
            start = time.perf_counter()
            results[k] = task()
            times[k].append(time.perf_counter() - start)
        turn += 1
    return [statistics.median(one) if one else None for one in times], results


KINDS = {"softmax": tp.Softmax, "unnormalised": tp.Unnormalized, "sigmoid": tp.Sigmoid}


def velocities(
    n,
    d,
    floor,
    method="auto",
    causal=False,
    radius=3.0,
    tol=1e-10,
    share=1.0,
    discount=0.0,
    kind="softmax",
):
    """One velocity of all tokens, Q = K = V = I, against torch; a discount is over them all."""
    x, eye = ball(n, d, radius), np.eye(d)
    positions = np.arange(n) / n if causal else None
    tokens = tp.Particles(x, positions=positions)
    head = KINDS[kind](eye, eye, eye)
    attention = tp.Masked(head, discount) if causal else head

    def ours():
        return tokens.velocities(attention(tokens, method=method, tol=tol))

    count = int(share * n)

    def by_torch():
        if kind == "softmax":
            return torch_attention(x, causal, None if share == 1 else count, discount / n)
        return torch_sums(x, kind, count)

    (mine, theirs), (found, other) = by_turns(ours, None if torch() is None else by_torch)
    chosen = np.random.default_rng(1).integers(count, size=SAMPLE)
    exact = reference(x, chosen, causal, discount / n, kind)
    name = "torch is_causal" if causal else "torch" if kind == "softmax" else "torch, tiles"
    # Sums without normalisation are of all sizes, and few of those drawn among the largest.
    largest = np.linalg.norm(exact if kind == "softmax" else found, axis=1).max()
    errors = [
        float(np.linalg.norm(one[chosen] - exact, axis=1).max() / largest)
        for one in (found, other)
        if one is not None
    ]
    return {
        "peer": name,
        "ours_seconds": mine,
        "peer_seconds": theirs and theirs / share,
        "ratio": theirs and theirs / share / mine,
        "floor": floor,
        "ours_error": errors[0],
        "peer_error": len(errors) > 1 and errors[1],
        "peer_share": share,
    }


def highest(which="VmHWM"):
    """Return the peak memory of this process in MiB, on Linux; with VmRSS what it has now.

    Not `getrusage`'s: a process starts with that of the one that made it.
    """
    with open("/proc/self/status") as lines:
        [held] = [line for line in lines if line.startswith(which)]
    return int(held.split()[1]) / 1024


def one_million():
    """A velocity of a million tokens of the plane, and the memory above them."""
    program = """
import json, sys, time
sys.path.insert(0, "benchmarks")
import numpy as np, transpde as tp
from attention import ball, highest, reference, relative_error
x, eye = ball(1_000_000, 2), np.eye(2)
tokens, head = tp.Particles(x), tp.Softmax(eye, eye, eye)
before = highest()
times = []
for _ in range(5):
    start = time.perf_counter()
    v = tokens.velocities(head(tokens))
    times.append(time.perf_counter() - start)
above = highest() - before
rows = np.random.default_rng(1).integers(len(x), size=16)
print(json.dumps([sorted(times)[2], above, relative_error(v[rows], reference(x, rows))]))
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    seconds, memory, error = json.loads(run.stdout)
    return {
        "peer": None,
        "ours_seconds": seconds,
        "most_seconds": 1.0,
        "mebibytes": memory,
        "most_mebibytes": 300,
        "ours_error": error,
    }


def ten_million():
    """A velocity of ten million tokens of the plane, its memory, and its time over a tenth's.

    The memory is that above what the process has when the tokens are made.
    """
    program = """
import json, sys, time
sys.path.insert(0, "benchmarks")
import numpy as np, transpde as tp
from attention import ball, highest, reference, relative_error
eye = np.eye(2)
head, medians = tp.Softmax(eye, eye, eye), []
for n, rounds in ((1_000_000, 5), (10_000_000, 3)):
    tokens = tp.Particles(ball(n, 2))
    before, times = highest("VmRSS"), []
    for _ in range(rounds):
        start = time.perf_counter()
        v = tokens.velocities(head(tokens))
        times.append(time.perf_counter() - start)
    medians.append(sorted(times)[rounds // 2])
above = highest() - before
rows = np.random.default_rng(1).integers(n, size=4)
error = relative_error(v[rows], reference(tokens.points, rows))
print(json.dumps([*medians, above, error]))
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    tenth, seconds, memory, error = json.loads(run.stdout)
    return {
        "peer": None,
        "ours_seconds": seconds,
        "times_a_tenth": seconds / tenth,
        "most_times_a_tenth": 13,
        "mebibytes": memory,
        "most_mebibytes": 3072,
        "ours_error": error,
    }


def sinkhorn_small():
    """The plan of 3,000 tokens of the plane to 1e-10, against POT in the logarithmic domain."""
    import ot

    n = 3000
    x, eye = ball(n, 2), np.eye(2)
    tokens, w = tp.Particles(x), np.full(n, 1 / n)
    head = tp.Sinkhorn(eye, eye, eye)

    def ours():
        return tokens.velocities(head(tokens))

    def peer(method=ot.bregman.sinkhorn_log):
        cost = -(x @ x.T)
        plan = method(w, w, cost, 1.0, numItermax=10_000, stopThr=1e-10 / n**0.5)
        return n * plan @ x

    (mine, theirs), (found, other) = by_turns(ours, peer)
    # Not in the logarithmic domain POT is faster, where nothing underflows.
    (_, plain), _ = by_turns(ours, lambda: peer(ot.bregman.sinkhorn_knopp))
    return {
        "peer": "POT sinkhorn_log",
        "ours_seconds": mine,
        "peer_seconds": theirs,
        "ratio": theirs / mine,
        "floor": 40,
        "difference": relative_error(found, other),
        "plain_seconds": plain,
    }


def sinkhorn_large(radius):
    """Sinkhorn velocities of 100,000 tokens of the plane."""
    n = 100_000
    x, eye = ball(n, 2, radius), np.eye(2)
    tokens, head = tp.Particles(x), tp.Sinkhorn(eye, eye, eye)
    (mine, _), (found, _) = by_turns(lambda: tokens.velocities(head(tokens)), None)
    # Both marginals are one, so that the velocities have the tokens' own mean.
    return {
        "peer": None,
        "ours_seconds": mine,
        "most_seconds": 1.5,
        "error_of_mean": float(np.abs(found.mean(axis=0) - x.mean(axis=0)).max()),
    }


class ByTorch(tp.Softmax):
    """Softmax with Q = K = I whose means over tokens come from torch."""

    calls = 0

    def _token_field(self, measure, how):
        def field(x, positions=None):
            ByTorch.calls += 1
            return torch_attention(x) @ self.value.T

        return field


def whole_flow(value):
    """A flow of 30,000 tokens to t = 3, against torch's attention in the same integrator."""
    x, eye = ball(30_000, 2), np.eye(2)

    def end(kind):
        path = tp.flow(tp.Particles(x), kind(eye, eye, value * eye), [0.0, 3.0], rtol=1e-6)
        return path.final.points

    ByTorch.calls = 0
    peer = (lambda: end(ByTorch)) if torch() else None
    (mine, theirs), (found, other) = by_turns(lambda: end(tp.Softmax), peer)
    return {
        "peer": "torch, same integrator",
        "ours_seconds": mine,
        "peer_seconds": theirs,
        "ratio": theirs and theirs / mine,
        "floor": 20,
        "difference": other is not None and relative_error(found, other),
        "peer_calls": ByTorch.calls,
    }


def covariance_paths():
    """1,200 covariances to t = 500 in one call, against projected forward Euler, one by one."""
    cases, horizon, sample, step = 1200, 500.0, 4, 0.01
    rng = np.random.default_rng(0)
    Q, G = rng.normal(size=(2, 2)), rng.normal(size=(2, 2))
    V = G.T @ G / np.linalg.norm(G.T @ G, 2)
    Q = Q / np.linalg.norm(Q, 2)
    H = rng.normal(size=(cases, 2, 2))
    S0 = H @ np.swapaxes(H, 1, 2)
    S0 /= np.trace(S0, axis1=1, axis2=2)[:, None, None]
    A = -Q.T @ Q
    stack = tp.Gaussian.from_covariance(np.zeros((cases, 2)), S0)

    def ours():
        path = tp.flow(stack, tp.Softmax(Q, -Q, V), [0.0, horizon], rtol=1e-10)
        return path.final.covariance

    def euler():
        ends = []
        for S in S0[:sample]:
            for _ in range(int(horizon / step)):
                B = V @ S @ A @ S
                S = S + step * (B + B.T)
                w, U = np.linalg.eigh(S)
                S = (U * np.maximum(w, 1e-14)) @ U.T
            ends.append(S)
        return np.array(ends)

    (mine, theirs), (found, other) = by_turns(ours, euler)
    exact = by_lsoda(S0[:16], V, A, horizon)
    size = np.abs(exact).max(axis=(1, 2))
    errors = [
        float((np.abs(x - exact[: len(x)]).max(axis=(1, 2)) / size[: len(x)]).max())
        for x in (found[:16], other)
    ]
    return {
        "peer": "forward Euler with projection",
        "ours_seconds": mine,
        "peer_seconds": theirs * cases / sample,
        "ratio": theirs * cases / sample / mine,
        "floor": 400,
        "ours_error": errors[0],
        "peer_error": errors[1],
        "peer_share": sample / cases,
    }


def by_lsoda(starts, V, A, horizon):
    """Return covariances at the horizon by LSODA at its tightest, path by path."""
    from scipy.integrate import solve_ivp

    def speed(_, flat):
        S = flat.reshape(2, 2)
        B = V @ S @ A @ S
        return (B + B.T).ravel()

    ends = [
        solve_ivp(speed, (0, horizon), S.ravel(), method="LSODA", rtol=1e-13, atol=1e-18).y[:, -1]
        for S in starts
    ]
    return np.array(ends).reshape(-1, 2, 2)


CASES = {
    "softmax, exact, n = 1e4, d = 2": lambda: velocities(10_000, 2, 1.25, "exact"),
    "masked, exact, n = 1e4, d = 2": lambda: velocities(10_000, 2, 1.3, "exact", causal=True),
    "softmax, 1e-10, n = 1e4, d = 1": lambda: velocities(10_000, 1, 15),
    "softmax, 1e-10, n = 1e4, d = 2": lambda: velocities(10_000, 2, 8),
    "softmax, 1e-10, n = 3e4, d = 2": lambda: velocities(30_000, 2, 25),
    "softmax, 1e-10, n = 1e5, d = 2": lambda: velocities(100_000, 2, 80),
    "softmax, 1e-10, n = 1e5, d = 3": lambda: velocities(100_000, 3, 12),
    "softmax, 1e-6, n = 1e5, d = 4, R = 1": lambda: velocities(
        100_000, 4, 5, radius=1.0, tol=1e-6
    ),
    "softmax, 1e-4, n = 1e5, d = 5, R = 1": lambda: velocities(
        100_000, 5, 3, radius=1.0, tol=1e-4
    ),
    "softmax, 1e-10, n = 1e6, d = 2": one_million,
    "softmax, 1e-10, n = 1e7, d = 2": ten_million,
    **{
        f"{kind}, 1e-8, n = 1e5, d = 2": lambda kind=kind: velocities(
            100_000, 2, 20, kind=kind, tol=1e-8, share=0.02
        )
        for kind in ("unnormalised", "sigmoid")
    },
    "masked, 1e-10, n = 3e4, d = 2": lambda: velocities(30_000, 2, 4, causal=True),
    "masked with discount, 1e-8, n = 3e4, d = 2": lambda: velocities(
        30_000, 2, 4, causal=True, tol=1e-8, discount=100.0
    ),
    "Sinkhorn, n = 3000, d = 2, R = 3": sinkhorn_small,
    "Sinkhorn, n = 1e5, d = 2, R = 1": lambda: sinkhorn_large(1.0),
    "Sinkhorn, n = 1e5, d = 2, R = 2": lambda: sinkhorn_large(2.0),
    "1,200 covariances to t = 500": covariance_paths,
    "flow, n = 3e4, d = 2, V = -0.5 I": lambda: whole_flow(-0.5),
    "flow, n = 3e4, d = 2, V = 0.2 I": lambda: whole_flow(0.2),
}


def machine(peers=()):
    """Return what a reader needs to judge the times, with versions of peers, too."""
    versions = {}
    for package in ("numpy", "scipy", "POT", "torch", "transpde", *peers):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    with open("/proc/cpuinfo") as lines:
        model = [line for line in lines if line.startswith("model name")]
    return {
        "date": datetime.date.today().isoformat(),
        "processor": model[0].split(":")[1].strip() if model else platform.processor(),
        "threads": THREADS,
        "python": platform.python_version(),
        "versions": versions,
    }


def reached(row):
    """Return whether a row keeps what the project sets itself."""
    kept = [row["ratio"] >= row["floor"]] if row.get("ratio") else []
    for figure in ("seconds", "mebibytes", "times_a_tenth"):
        if f"most_{figure}" in row:
            found = row["ours_seconds" if figure == "seconds" else figure]
            kept.append(found <= row[f"most_{figure}"])
    return all(kept) if kept else None


def table(found):
    """Return the Markdown table of what was found."""
    made = found["machine"]
    versions = ", ".join(f"{k} {v or '(not there)'}" for k, v in made["versions"].items())
    lines = [
        "# Sums over tokens, side by side",
        "",
        f"`make bench` on {made['date']}: {made['processor']}, {made['threads']} threads,",
        f"Python {made['python']}, {versions}.",
        "Float64. Seconds are medians of runs by turns.",
        "An error is relative to the largest sum, against extended precision at drawn rows; of",
        "covariances, against LSODA; of Sinkhorn without a peer, that of the mean velocity.",
        "POT's iteration is the one in logarithms, which never overflows; where no score does,",
        "its plain one is faster.",
        "",
        *case_rows(found["cases"]),
    ]
    return "\n".join(lines) + "\n"


def case_rows(cases):
    """Return the lines of the Markdown table of the cases, its head first."""
    lines = [
        "| case | against | ours | peer | ratio | at least | reached | our error | peer's error |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in cases.items():
        at_least = f"{row['floor']}x" if "floor" in row else "at most "
        if "most_seconds" in row:
            at_least += f"{row['most_seconds']} s"
        if "most_times_a_tenth" in row:
            at_least += f"{row['most_times_a_tenth']} times 1e6 ({row['times_a_tenth']:.1f} taken)"
        if "most_mebibytes" in row:
            at_least += f", {row['most_mebibytes']} MiB ({row['mebibytes']:.0f} taken)"
        error = row.get("ours_error", row.get("difference", row.get("error_of_mean")))
        cells = [
            name,
            (row["peer"] or "no peer fits")
            + (f" (plain: {row['plain_seconds']:.3g} s)" if "plain_seconds" in row else "")
            + (f", {share:.2g} of it" if (share := row.get("peer_share", 1)) < 1 else ""),
            f"{row['ours_seconds']:.3g} s",
            f"{row['peer_seconds']:.3g} s" if row.get("peer_seconds") else "not measured",
            f"{row['ratio']:.3g}x" if row.get("ratio") else "",
            at_least,
            {True: "yes", False: "**no**", None: "not measured"}[reached(row)],
            f"{error:.1e}" + " (between the two)" * ("difference" in row),
            f"{row['peer_error']:.1e}" if row.get("peer_error") else "",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def record(description, cases, table, threads, peers=()):
    """Run the cases that the command line chooses on so many processors; store what it finds."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument(
        "--skip", default=[], nargs="*", help="cases whose name holds one of these"
    )
    parser.add_argument("--out", type=Path, help="write a JSON file here, and a table beside it")
    given = parser.parse_args()
    rows = {}
    with threadpoolctl.threadpool_limits(threads, user_api="blas"):
        for name, case in cases.items():
            if given.only in name and not any(part in name for part in given.skip):
                row = rows[name] = case()
                shown = {k: f"{v:.3g}" if isinstance(v, float) else v for k, v in row.items()}
                print(f"{name}: {shown}", flush=True)
    if given.out:
        found = {"machine": machine(peers) | {"threads": threads}, "cases": rows}
        given.out.write_text(json.dumps(found, indent=1) + "\n")
        given.out.with_suffix(".md").write_text(table(found))


if __name__ == "__main__":
    record(__doc__, CASES, table, THREADS)
