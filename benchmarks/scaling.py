"""Time and memory of one velocity of n tokens, against n: the second part of `make bench`.

Tokens are uniform in a ball of radius 3 and seeded, Q = K = V = I, tolerance 1e-10. Ours and the
peer run by turns; each time is a median. A peer that would take over 30 s runs on a stated share
of its rows. Memory is the peak of a process above what it holds before the velocity.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import threadpoolctl
from attention import THREADS, ball, by_turns, highest, machine, torch, torch_attention

import transpde as tp

SIZES = [1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000]
SHARE_ABOVE = 30_000  # tokens above which the peer takes that many rows at most


def tokens_and_attention(case, n):
    """Return the tokens and what evaluates all their velocities, for a case of the series."""
    d = case["d"]
    x, eye = ball(n, d, case.get("radius", 3.0)), np.eye(d)
    kind, causal = (
        tp.Sinkhorn if case["kind"] == "Sinkhorn" else tp.Softmax,
        "masked" in case["kind"],
    )
    tokens = tp.Particles(x, positions=np.arange(n) / n if causal else None)
    head = kind(eye, eye, eye)
    attention = tp.Masked(head) if causal else head
    return tokens, lambda: tokens.velocities(attention(tokens, method=case["method"]))


def naive(x):
    """Softmax means with the whole matrix of weights in memory, as one would write them first."""
    scores = x @ x.T
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return (weights / weights.sum(axis=1, keepdims=True)) @ x


SERIES = {
    "softmax, exact, d = 2": {"kind": "softmax", "d": 2, "method": "exact", "to": 30_000},
    "softmax, d = 1": {"kind": "softmax", "d": 1, "method": "auto", "to": 1_000_000},
    "softmax, d = 2": {"kind": "softmax", "d": 2, "method": "auto", "to": 1_000_000},
    "softmax, d = 3": {"kind": "softmax", "d": 3, "method": "auto", "to": 300_000},
    "masked, d = 2": {"kind": "masked", "d": 2, "method": "auto", "to": 1_000_000},
    "Sinkhorn, d = 2, R = 2": {
        "kind": "Sinkhorn", "d": 2, "method": "auto", "to": 100_000, "radius": 2.0
    },
}  # fmt: skip


def time_series(most):
    """Return seconds against n: ours of each series, and the peer's of softmax and masked."""
    found = {name: [] for name in SERIES} | {"torch, d = 2": [], "torch is_causal, d = 2": []}
    for n in (n for n in SIZES if n <= most):
        for name, case in SERIES.items():
            if n > case["to"]:
                continue
            _, ours = tokens_and_attention(case, n)
            other = {
                "softmax, d = 2": "torch, d = 2",
                "masked, d = 2": "torch is_causal, d = 2",
            }.get(name)
            share = min(1.0, SHARE_ABOVE**2 / n**2) if other == "torch, d = 2" else 1.0
            with_peer = other and torch() and n <= (100_000 if share < 1 else SHARE_ABOVE)
            peer = None
            if with_peer:
                rows = None if share == 1 else int(share * n)
                peer = partial(torch_attention, ball(n, 2), "masked" in name, rows)
            (mine, theirs), _ = by_turns(ours, peer)
            found[name].append([n, mine])
            if with_peer:
                found[other].append([n, theirs / share])
            print(n, name, f"{mine:.3g} s", theirs and f"{theirs / share:.3g} s", flush=True)
    return found


def peak(name, n):
    """Return the peak memory of one velocity above the tokens in MiB, in a process of its own."""
    run = subprocess.run(
        [sys.executable, __file__, "--peak", name, "--most", str(n)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(run.stdout)


def own_peak(name, n):
    """Return the peak memory of one velocity above the tokens in MiB, in this process."""
    if name == "whole matrix":
        x = ball(n, 2)
        once, task = partial(naive, ball(100, 2)), partial(naive, x)
    else:
        _, once = tokens_and_attention(SERIES[name], 100)
        _, task = tokens_and_attention(SERIES[name], n)
    once()
    before = highest()
    task()
    return highest() - before


def memory_series(most):
    """Return MiB against n."""
    names = ["softmax, exact, d = 2", "softmax, d = 2", "masked, d = 2", "Sinkhorn, d = 2, R = 2"]
    found = {}
    for name in [*names, "whole matrix"]:
        to = 10_000 if name == "whole matrix" else SERIES[name]["to"]
        found[name] = [[n, peak(name, n)] for n in SIZES if 3_000 <= n <= min(to, most)]
        print(name, found[name], flush=True)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=SIZES[-1], help="the largest n")
    parser.add_argument("--peak", help="print the peak memory of this series at the largest n")
    parser.add_argument("--out", type=Path, help="write a JSON file here")
    given = parser.parse_args()
    with threadpoolctl.threadpool_limits(THREADS, user_api="blas"):
        if given.peak:
            print(own_peak(given.peak, given.most))
            return
        found = {"seconds": time_series(given.most), "mebibytes": memory_series(given.most)}
    if given.out:
        given.out.write_text(json.dumps({"machine": machine(), **found}, indent=1) + "\n")


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    main()
