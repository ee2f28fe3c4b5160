"""Random heads, run to their end: what is decided, how well and at what price, against LSODA.

For each dimension, attention and seed a random Gaussian runs under a random head with `time=inf`
(or `--time 5.0`), one by one and as one stack; the reference is LSODA at rtol 1e-10 on the
projected equation (`random_heads_reference.py`). The means are zero, where linear attention is
softmax. Run `python benchmarks/random_heads.py --seeds 10 --out FILE.json`; `--reference` alone
says what LSODA makes of the problems.
"""

from __future__ import annotations

import argparse
import collections
import json
import time
from pathlib import Path

import numpy as np
from random_heads_reference import Problem, Run

import transpde as tp
from transpde.ensembles import case_seed, random_gaussians, random_head, random_matrix

DIMENSIONS = (2, 3, 5, 8)
DECIDED = ("blow-up", "stationary", "growth", "time")
KINDS = ("softmax", "l2", "sinkhorn", "linear", "multihead", "affine")


def drawn(kind, d, seed):
    """Return the start, the attention and the reference's problem."""
    start = random_gaussians(d, seed=100 + seed)
    heads = [random_head(d, seed=seed)]
    W = np.zeros((d, d))
    if kind == "multihead":
        heads = [random_head(d, seed=case_seed(seed, h)) for h in range(2)]
        attention = tp.MultiHead([tp.Softmax(*head) for head in heads])
    elif kind == "affine":
        W = random_matrix(d, d, seed=seed)
        attention = tp.Softmax(*heads[0]) + tp.AffineField(W, np.zeros(d))
    else:
        named = {"softmax": tp.Softmax, "l2": tp.L2, "linear": tp.Linear}
        make = named.get(kind, lambda *head: tp.Sinkhorn(*head, epsilon=1.0))
        attention = make(*heads[0])
    return start, attention, Problem(kind, start.factor, heads, W)


def ours(start, attention, end):
    """Return stop, blow-up time and CPU seconds; an error is an end of its own."""
    begun = time.process_time()
    try:
        path = tp.flow(start, attention, time=end)
        stop, blowup = path.stop, path.blowup_time
    except (RuntimeError, ValueError, OverflowError) as error:
        stop, blowup = f"error: {str(error)[:60]}", np.inf
    return stop, blowup, time.process_time() - begun


def row(kind, d, seed, end, cpu, with_ours):
    """Return what became of one case."""
    start, attention, problem = drawn(kind, d, seed)
    with np.errstate(all="ignore"):
        run = Run(problem, horizon=end, cpu=cpu)
    found = {
        "kind": kind,
        "d": d,
        "seed": seed,
        "reference": run.stop,
        "reference_blowup": run.blowup_time,
        "reference_rate": run.rate,
        "reference_time": run.time,
        "reference_log_size": run.log_size,
        "reference_seconds": run.seconds,
        "reference_steps": run.steps,
    }
    if with_ours:
        found["stop"], found["blowup"], found["seconds"] = ours(start, attention, end)
    return found


def as_stack(kind, d, seeds, end):
    """Return stops, blow-up times and CPU seconds of one flow of all seeds, or the error."""
    starts, attentions, problems = zip(*[drawn(kind, d, s) for s in range(seeds)], strict=True)
    heads = zip(*[problem.heads for problem in problems], strict=True)
    stacked = [[np.array(part) for part in zip(*head, strict=True)] for head in heads]
    if kind == "affine":
        linear = np.array([problem.linear for problem in problems])
        attention = tp.Softmax(*stacked[0]) + tp.AffineField(linear, np.zeros((seeds, d)))
    elif kind == "multihead":
        attention = tp.MultiHead([tp.Softmax(*head) for head in stacked])
    else:
        more = {"epsilon": 1.0} if kind == "sinkhorn" else {}
        attention = type(attentions[0])(*stacked[0], **more)
    factors = np.array([start.factor for start in starts])
    return ours(tp.Gaussian(np.zeros((seeds, d)), factor=factors), attention, end)


def summary(rows):
    """Return a line for one dimension and attention."""
    counts = collections.Counter(found["reference"] for found in rows)
    line = f"{rows[0]['kind']:9s} d={rows[0]['d']} LSODA {dict(counts)}"
    if "stop" not in rows[0]:
        return line
    made = collections.Counter(found["stop"] for found in rows)
    share = sum(found["stop"] in DECIDED for found in rows) / len(rows)
    both = [f for f in rows if np.isfinite(f["blowup"]) and np.isfinite(f["reference_blowup"])]
    off = [abs(f["blowup"] / f["reference_blowup"] - 1) for f in both]
    slow = sum(f["seconds"] for f in rows) / sum(f["reference_seconds"] for f in rows)
    return (
        f"{line} ours {dict(made)}, decided {share:.0%}, blow-up times off by "
        f"{max(off, default=0):.1e}, CPU {slow:.2g} times LSODA's, "
        f"longest {max(f['seconds'] for f in rows):.2g} s"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--dimensions", type=int, nargs="*", default=DIMENSIONS)
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=KINDS)
    parser.add_argument("--time", type=float, default=np.inf)
    parser.add_argument("--cpu", type=float, default=2.0, help="most seconds of LSODA a case")
    parser.add_argument("--reference", action="store_true", help="LSODA alone")
    parser.add_argument("--stacks", action="store_true", help="and each hundred as one stack")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    everything = []
    for d in given.dimensions:
        for kind in given.kinds:
            rows = [
                row(kind, d, seed, given.time, given.cpu, not given.reference)
                for seed in range(given.seeds)
            ]
            everything += rows
            print(summary(rows), flush=True)
            if given.stacks:
                stop, _, seconds = as_stack(kind, d, given.seeds, given.time)
                counts = dict(collections.Counter(np.ravel(stop).tolist()))
                print(f"  as a stack: {counts}, {seconds:.2g} s", flush=True)
            if given.out:
                given.out.write_text(json.dumps(everything, indent=1) + "\n")


if __name__ == "__main__":
    main()
