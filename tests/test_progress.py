"""The progress bar shows the part of the work that is done, and nothing where none is asked."""

import sys

import numpy as np
import pytest

import transpde as tp
from transpde import progress
from transpde.stepping import SCHEMES, Options


def test_a_share_is_shown_in_per_cent_and_parts_are_counted(capsys):
    with progress.bar(True, "flow") as show:
        show(0.25)
        show(1.0)
    assert "flow: 100%" in capsys.readouterr().err
    with progress.bar(True, "sweep", total=4) as show:
        for done in range(1, 5):
            show(done / 4)
    assert "4/4" in capsys.readouterr().err


def test_without_a_bar_nothing_is_shown_and_nothing_needed(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with progress.bar(False, "flow") as show:
        show(0.5)
    assert capsys.readouterr() == ("", "")
    with pytest.raises(ImportError, match=r"pip install transpde\[ensembles\]"):
        progress.bar(True, "flow").__enter__()


@pytest.mark.parametrize("method", ["auto", "Rodas5P", "RK45"])
def test_a_stack_shows_the_share_over_all_its_cases(method):
    """Cases of very different speed, one of which explodes early: it counts as done."""
    start = tp.Gaussian(np.zeros((4, 1)), factor=np.array([3.0, 1.0, 0.5, 1e-3])[:, None, None])
    attention = tp.Schedule(tp.Softmax([[1.0]], [[1.0]], [[1.0]]))  # explosions: 1 / (2 variance)
    options, times, shown = Options(method, 1e-8, 1e-10, None), np.array([0.0, 1.0]), []
    run = SCHEMES["coordinates"][method](start, attention, times, 1.0, options, shown.append)
    run.to_the_end()
    assert list(run.ends.stop) == ["blow-up", "blow-up", "time", "time"]
    assert shown == sorted(shown)
    assert 0 < shown[0] < 1
    assert shown[-1] == 1.0
    assert max(np.diff([0.0, *shown])) <= 0.5  # no case waits for another to be seen


def test_the_share_is_the_mean_over_the_cases():
    start = tp.Gaussian(np.zeros((2, 1)), factor=[[[1.0]], [[0.1]]])
    attention = tp.Schedule(tp.Softmax([[1.0]], [[1.0]], [[1.0]]))
    options, times = Options("auto", 1e-8, 1e-10, None), np.array([0.0, 2.0])
    run = SCHEMES["coordinates"]["auto"](start, attention, times, 2.0, options)
    shares = []
    run.progress = lambda share: shares.append((
        share, np.where(run.running, np.minimum(run.z[:, -1] * run.equation.unit / 2, 1), 1.0)
    ))  # fmt: skip
    run.to_the_end()
    assert all(share == pytest.approx(each.mean()) for share, each in shares)
    assert any(each.min() < each.max() == 1 for _, each in shares)
    assert any(0 < each.min() < each.max() < 1 for _, each in shares)
