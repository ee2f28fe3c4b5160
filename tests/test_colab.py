"""Every notebook begins with the cell that serves Colab: it does what it should, there alone."""

import sys
import tomllib
import types
from pathlib import Path

import contract
import nbformat
import pytest
from loading import load_tool


@pytest.fixture(scope="module")
def colab():
    return load_tool("colab")


PAGES = sorted(
    path.relative_to(contract.ROOT)
    for path in (contract.ROOT / "book").rglob("*.ipynb")
    if ".ipynb_checkpoints" not in path.parts
)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_notebook_begins_with_it(colab, page):
    notebook = nbformat.read(contract.ROOT / page, as_version=4)
    first, *others = (cell for cell in notebook.cells if cell.cell_type == "code")
    assert first.source == colab.source(page)
    assert contract.tags(first) == {"colab", "remove-cell"}
    assert not first.outputs
    assert not any("colab" in contract.tags(cell) for cell in others)


class Shell:
    """What the cell asks of IPython."""

    def __init__(self):
        self.asked = []

    def run_line_magic(self, name, line):
        self.asked.append(f"%{name} {line}")

    def system(self, line):
        self.asked.append(f"!{line}")


def run(colab, shell, page="book/part/page.ipynb"):
    source = colab.source(Path(page))
    exec(compile(source, "colab", "exec"), {"get_ipython": lambda: shell})
    return shell.asked


def test_elsewhere_it_does_nothing(colab):
    assert "google.colab" not in sys.modules
    assert run(colab, Shell()) == []


def test_in_colab_it_gets_the_book_and_stands_in_its_folder(colab, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    asked = run(colab, Shell())
    assert asked[1].startswith("!git clone -q --depth 1 https://github.com/")
    assert asked[1].endswith(" book")
    assert asked[2] == "%pip install -q ./book[plot,widgets,ensembles]"
    assert asked[3] == "%cd -q book/book/part"


def test_in_colab_the_part_on_a_real_model_gets_its_weights(colab, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    asked = run(colab, Shell(), "book/real/heads.ipynb")
    assert asked[0] == "%cd -q /content"
    assert asked[2] == "%pip install -q ./book[plot,widgets,ensembles,models]"
    # From the folder that holds the clone, with the package that was just installed.
    assert asked[3:] == ["!python book/tools/weights.py", "%cd -q book/book/real"]
    assert (contract.ROOT / "tools" / "weights.py").is_file()
    extras = tomllib.loads((contract.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "models" in extras["project"]["optional-dependencies"]


def test_pages_that_read_a_model_are_those_that_get_weights(colab):
    for page in PAGES:
        text = (contract.ROOT / page).read_text(encoding="utf-8")
        assert ("models.read(" in text) == ("tools/weights.py" in colab.source(page)), page


def test_it_is_put_once_and_leaves_outputs_alone(colab, tmp_path):
    page = contract.ROOT / "book" / "pde" / "zoo.ipynb"
    notebook = nbformat.read(page, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if "colab" not in contract.tags(cell)]
    for number, cell in contract.code_cells(notebook):
        cell.execution_count -= 1
        assert number
    copy = tmp_path / "zoo.ipynb"
    nbformat.write(notebook, copy)
    assert colab.put(copy)
    assert not colab.put(copy)
    again = nbformat.read(copy, as_version=4)
    stored = nbformat.read(page, as_version=4)
    pairs = zip(contract.code_cells(again), contract.code_cells(stored), strict=True)
    for (_, one), (_, other) in pairs:
        assert one.execution_count == other.execution_count
        assert [o.get("text") for o in one.outputs] == [o.get("text") for o in other.outputs]
