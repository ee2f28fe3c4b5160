"""The template of a chapter runs as it is, and lacks nothing but what its author has to write."""

import os
import re
import subprocess
import sys
from pathlib import Path

import contract
import nbclient
import nbformat
import pytest
from book_source import sections
from loading import load_tool
from nbformat.v4 import new_code_cell, new_markdown_cell

BOOK = Path(__file__).resolve().parent.parent / "book"


@pytest.fixture(scope="module")
def template():
    return load_tool("new_chapter").chapter("sample", "A sample")


def test_it_says_what_is_to_be_written(template):
    unwritten = {
        "words of prose",
        "code cells outside",
        "not executed",
        "first picture",
        "no picture",
        "left to write",
    }
    problems = contract.notebook_problems(template)
    assert [p for p in problems if not any(known in p for known in unwritten)] == []
    assert any("words of prose" in problem for problem in problems)
    left = "\n".join(problem for problem in problems if "left to write" in problem)
    assert "TODO minutes, TODO with the proofs." in left
    assert "TODO: the finding." in left
    assert "TODO: what the picture shows" in left


def test_written_out_it_keeps_the_contract(template):
    cells = list(template.cells)
    cells[4:4] = [new_markdown_cell("Words " * 1600)]
    cells[6:6] = [new_code_cell(f"print({k})") for k in range(8)]
    written = template.copy()
    written.cells = cells
    text = re.sub(r"\bTODO\b", "Written", nbformat.writes(written))
    written = nbformat.reads(text, as_version=4)
    # With the back end of the unit tests a kernel would show no picture.
    kernel = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"}
    place = {"metadata": {"path": str(BOOK / "gaussian")}}
    nbclient.NotebookClient(written, resources=place).execute(env=kernel)
    assert contract.notebook_problems(written) == []
    [left] = contract.check_answers(written)  # the checker is the author's
    assert "'ex-sample-computation' has no solution that its checker calls right" in left


def test_it_passes_the_lint(template, tmp_path):
    page = tmp_path / "sample.ipynb"
    nbformat.write(template, page)
    settings = ["--config", str(BOOK / "ruff.toml"), str(page)]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run([sys.executable, "-m", "ruff", *command, *settings],
                              capture_output=True, text=True)  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_place_to_write_is_marked(template):
    """What the author finds by searching for TODO is in every section."""
    text = "\n".join(cell.source for cell in template.cells if cell.cell_type == "markdown")
    parts = [part for part in sections(text) if part.level == 2]
    assert [part.title for part in parts if "TODO" not in part.body] == []
