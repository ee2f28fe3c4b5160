"""The stored runs of heads as particles: what they must show, and some of them made again."""

import numpy as np
import pytest
from loading import ROOT, load_tool

from transpde.crowd import find_stalls
from transpde.records import load
from transpde.theory import crowd as theory

runs = load_tool("frontier_crowd")
STORED = load("crowd", ROOT / "book" / "frontier" / "data")
KINDS = ("scaled", "plain")
KNOWN = {
    1: [0.09327, 0.50907], 2: [0.03742, 0.04553, 0.04636, 0.04771],
    3: [0.01496, 0.01518, 0.02243, 0.02282, 0.04227],
}  # fmt: skip


def ends(count, kind="scaled"):
    return STORED.arrays[f"loss, {count}, {kind}"]


def test_few_heads_stall_and_one_more_than_the_teacher_has_never_does():
    for kind in KINDS:
        assert (ends(1, kind) > 1e-2).all()
        assert (ends(2, kind) > 1e-2).all()
        assert 8 <= (ends(3, kind) < runs.SUCCESS).sum() <= 16
        for count in (4, 5):
            assert len(ends(count, kind)) == 20
            assert (ends(count, kind) < runs.SUCCESS).sum() >= 19
        assert (ends(8, kind) < runs.SUCCESS).all()


def test_the_losses_of_stalls_are_the_few_that_are_known():
    for count, values in KNOWN.items():
        for kind in KINDS:
            end, away = ends(count, kind), STORED.arrays[f"away, {count}, {kind}"]
            stuck = end[(end >= runs.SUCCESS) & ~away]
            assert np.abs(stuck[:, None] - values).min(axis=1).max() < 6e-6
        both = np.concatenate([ends(count, kind) for kind in KINDS])
        assert np.abs(both - np.array(values)[:, None]).min(axis=1).max() < 6e-6
        assert STORED.arrays[f"ended, {count}, scaled"].sum() >= 19


def test_runs_end_again_where_the_stored_ones_did():
    """At one of the known losses: which one may depend on the release of SciPy."""
    for count, seeds in ((1, 3), (2, 3), (3, 3), (4, 2)):
        again = np.array([one.loss for one in runs.width(count, seeds)]) / runs.SCALE
        known = np.append(KNOWN.get(count, []), 0.0 if count > 2 else [])
        assert np.abs(again[:, None] - known).min(axis=1).max() < 6e-6


def test_every_finite_stall_divides_and_reaches_the_teacher():
    rows = STORED.numbers["divisions"]
    assert len(rows) == 11
    for key, row in rows.items():
        assert max(row["eigenvalues"]) < -1e-2  # a finite stall without is a failure
        assert row["worst"] < runs.SMALL
        assert row["divisions"] == (
            2 if key in ("0.09327", "0.50907", "0.02243", "0.02282") else 1
        )
        assert (np.diff(row["losses"]) < 0).all()
    losses, eigenvalues, stall = runs.divided(runs.width(1, 1)[0])
    assert losses[:2] == pytest.approx(rows["0.09327"]["losses"][:2], rel=1e-8)
    assert eigenvalues == pytest.approx(rows["0.09327"]["eigenvalues"], rel=1e-6)
    assert losses[2] < runs.SMALL
    assert sorted(stall.crowd.masses) == [0.25, 0.25, 0.5]


def test_each_decade_costs_what_is_predicted():
    one = runs.width(1, 1)[0]
    lam = np.linalg.eigvalsh(runs.TASK.hessian(one.crowd))[0, 0]
    decade = theory.escape_time(lam, step=1.0)
    wanted = {8: [273, 512, 747], 16: [272, 505, 739, 974]}
    for heads in (8, 16):
        found = {d: STORED.numbers[f"escape, {m}, {d:g}"] for m, d in runs.ESCAPES if m == heads}
        assert all(row["finished"] for row in found.values())
        steps = np.array([row["steps"] for row in found.values()])
        assert np.abs(steps - wanted[heads]).max() <= 3
        assert np.abs(np.diff(steps) / 2 / decade - 1).max() < 0.04
    again = len(runs.escape(one, 8, 1e-4).times) - 1
    assert abs(again - STORED.numbers["escape, 8, 0.0001"]["steps"]) <= 1


def test_one_run_escapes_to_infinity_and_is_reported():
    run, u = STORED.numbers["runaway"], STORED.arrays["runaway"]
    assert run["runaway"]
    assert not run["finished"]
    assert run["losses"][0] == pytest.approx(0.0113, abs=5e-4)
    assert run["losses"][-1] > 1e-3  # four divisions do not cure it
    gaps = [np.abs(u[i, :4] - u[j, :4]).max() for i, j in ((0, 1), (0, 2), (1, 2))]
    i, j = ((0, 1), (0, 2), (1, 2))[int(np.argmin(gaps))]
    assert min(gaps) < 1e-2
    assert np.abs(u[i, 4:]).max() > 1e3
    assert np.abs(u[i, 4:] + u[j, 4:]).max() < 1e-2 * np.abs(u[i, 4:]).max()
    for kind in KINDS:
        away = STORED.arrays[f"away, 3, {kind}"]
        assert np.flatnonzero(away).tolist() == [runs.RUNAWAY]
    again = find_stalls(runs.TASK, 3, [118], iterations=400)[0]
    assert again.runaway
    assert not again.finished
    assert again.loss / runs.SCALE < 0.02
