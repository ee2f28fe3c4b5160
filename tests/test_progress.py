"""The progress bar shows the part of the work that is done, and nothing where none is asked."""

import sys

import pytest

from transpde import progress


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
