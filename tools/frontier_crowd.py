"""Train few heads to be those of a teacher: python tools/frontier_crowd.py [FOLDER]

Where minimisation stalls, for several numbers of heads and both scalings of the loss; how stalls
divide; how long a crowd stays near one; the runaway. Writes crowd.npz and crowd.json to
book/frontier/data, or another folder; the chapter reads them and makes some again. Some two
minutes on one core.
"""

import numpy as np

from transpde.crowd import (
    Crowd,
    Regression,
    descend,
    find_stall,
    find_stalls,
    split_head,
)
from transpde.records import FigureData

WIDTHS = {1: 20, 2: 20, 3: 20, 4: 20, 5: 20, 8: 8}  # heads: seeds
FIRST_SEED, SUCCESS, SMALL = 100, 1e-8, 1e-19  # losses over that of no heads
SIZE, FINER, DIVISIONS = 1e-2, 1e-12, 4
ESCAPES = [(8, 1e-2), (8, 1e-4), (8, 1e-6), (16, 1e-2), (16, 1e-4), (16, 1e-6), (16, 1e-8)]
RUNAWAY = 18  # the seed, less the first one


def problem():
    """Sequences, the teacher, and the loss."""
    rng = np.random.default_rng(0)
    tokens = rng.normal(size=(24, 5, 2))
    teacher = Crowd(rng.normal(size=(3, 2, 2)), rng.normal(size=(3, 2, 2)))
    return Regression.taught(tokens, teacher), teacher


TASK, TEACHER = problem()
SCALE = TASK.loss(Crowd(np.zeros((1, 2, 2)), np.zeros((1, 2, 2))))  # of no heads


def width(count, seeds, scale=SCALE):
    """Stalls from random starts."""
    return find_stalls(TASK, count, range(FIRST_SEED, FIRST_SEED + seeds), scale=scale)


def divided(stall, times=DIVISIONS):
    """The losses and the least eigenvalues of a stall that divides until it fits."""
    losses, eigenvalues = [stall.loss / SCALE], []
    for _ in range(times):
        split = split_head(TASK, stall.crowd, SIZE)
        if losses[-1] < SMALL or split is None:
            break
        eigenvalues.append(split.eigenvalue)
        stall = find_stall(TASK, split.crowd, scale=SCALE, tolerance=FINER)
        losses.append(stall.loss / SCALE)
    return losses, eigenvalues, stall


def near(stall, heads, delta):
    """Heads near a stall of one, their mean on it."""
    away = np.random.default_rng(0).normal(size=(heads, 8))
    away -= away.mean(axis=0)
    still = Crowd(np.zeros((heads, 2, 2)), np.zeros((heads, 2, 2)))
    return still.moved(stall.crowd.parameters() + delta * away)


def escape(stall, heads, delta):
    """The descent of a crowd from a stall until half of its loss."""
    return descend(TASK, near(stall, heads, delta), 1.0, 3000, below=stall.loss / 2)


def runaway():
    """The run whose heads have no limit, and four divisions of it."""
    stall = find_stalls(TASK, 3, [FIRST_SEED + RUNAWAY])[0]
    return stall, divided(stall)[0]


def split_rows(stalls):
    """Of each finite value of the loss of a stall: the losses as it divides."""
    rows = {}
    for stall in stalls:
        key = f"{stall.loss / SCALE:.5f}"
        if stall.finished and not stall.runaway and stall.loss > SUCCESS * SCALE:
            rows.setdefault(key, []).append(divided(stall))
    return {
        key: {
            "losses": found[0][0], "eigenvalues": found[0][1],
            "worst": max(one[0][-1] for one in found), "runs": len(found),
            "divisions": max(len(one[1]) for one in found),
        }
        for key, found in sorted(rows.items())
    }  # fmt: skip


def data(name="crowd"):
    """All runs."""
    arrays, numbers, stalls = {}, {}, []
    for count, seeds in WIDTHS.items():
        for label, scale in (("scaled", SCALE), ("plain", 1.0)):
            found = width(count, seeds, scale)
            arrays[f"loss, {count}, {label}"] = np.array([one.loss / SCALE for one in found])
            arrays[f"away, {count}, {label}"] = np.array([one.runaway for one in found])
            arrays[f"ended, {count}, {label}"] = np.array([one.finished for one in found])
            stalls += [one for one in found if count < 4]
        print("heads", count, flush=True)
    numbers["divisions"] = split_rows(stalls)
    print("divisions", flush=True)
    one = width(1, 1)[0]
    for heads, delta in ESCAPES:
        path = escape(one, heads, delta)
        numbers[f"escape, {heads}, {delta:g}"] = {
            "steps": len(path.times) - 1, "finished": path.finished
        }  # fmt: skip
        if heads == 8:
            arrays[f"escape, {delta:g}"] = path.losses / SCALE
    print("escapes", flush=True)
    stall, losses = runaway()
    arrays["runaway"] = stall.crowd.parameters()
    numbers["runaway"] = {
        "losses": losses, "message": stall.message, "size": stall.crowd.size,
        "finished": stall.finished, "runaway": stall.runaway,
    }  # fmt: skip
    parameters = {
        "widths": list(WIDTHS.items()), "size": SIZE, "finer": FINER, "escapes": ESCAPES,
        "runaway": RUNAWAY, "first_seed": FIRST_SEED,
    }  # fmt: skip
    return FigureData(arrays, numbers, parameters, FIRST_SEED, {"scheme": "BFGS"}, "not needed")


if __name__ == "__main__":
    from stored_runs import keep

    keep("crowd", "Heads as particles.", data)
