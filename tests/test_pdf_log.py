"""The reader of TeX's log finds what a reader of the page would see, and nothing else."""

import pytest
from loading import load_tool


@pytest.fixture(scope="module")
def problems():
    return load_tool("pdf_log").problems


@pytest.mark.parametrize(
    "line",
    [
        "LaTeX Warning: Reference `thm-lost' on page 3 undefined on input line 7.",
        "Missing character: There is no \u2211 in font DejaVu Sans Mono!",
        "! LaTeX Error: File `picture.png' not found.",
        "Overfull \\hbox (20.5pt too wide) in paragraph at lines 1--2",
        # TeX breaks its lines after 79 characters.
        "LaTeX Warning: Reference `" + "a" * 52 + "\nb' on page 3 undefined on input line 7.",
    ],
)
def test_it_complains(problems, line):
    assert len(problems(f"before\n{line}\nafter\n")) == 1


def test_what_nobody_sees_passes(problems):
    log = "Overfull \\hbox (3.0pt too wide) in paragraph\nUnderfull \\hbox (badness 10000)\n"
    assert problems(log) == []
