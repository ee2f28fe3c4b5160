"""The one cell of a page that gets the book and its package in Colab, and does nothing elsewhere.

    python tools/colab.py book/PART/NAME.ipynb ...     # puts it first where it is missing

Stored outputs stay as they are: the cell has none, and the counts of the others go up by one.
"""

import sys
from pathlib import Path

import nbformat
import yaml
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

SOURCE = """# In Colab this gets the book and its package; elsewhere it does nothing.
import sys

if "google.colab" in sys.modules:
    shell = get_ipython()
    shell.run_line_magic("cd", "-q /content")
    address = "{address}"
    shell.system(f"git clone -q --depth 1 {{address}} book")
{install}    shell.run_line_magic("cd", "-q book/{folder}")"""
INSTALL = """    shell.run_line_magic("pip", "install -q ./book[plot,widgets,ensembles]")
"""
MODELS = "book/real"  # pages that read published weights
INSTALL_MODELS = """    shell.run_line_magic(
        "pip", "install -q ./book[plot,widgets,ensembles,models]"
    )
    shell.system("python book/tools/weights.py")
"""


def source(path: Path) -> str:
    """The cell's text for a page at a path from the root; the address is that of _config.yml."""
    config = (Path(__file__).parent.parent / "_config.yml").read_text(encoding="utf-8")
    address = yaml.safe_load(config)["repository"]["url"]
    folder = path.parent.as_posix()
    install = INSTALL_MODELS if folder == MODELS else INSTALL
    return SOURCE.format(address=address, folder=folder, install=install)


def cell(path: Path, count: int | None = None) -> NotebookNode:
    """The cell, off the page of the book, in the place of the first."""
    tags = {"tags": ["colab", "remove-cell"]}
    return new_code_cell(source(path), metadata=tags, execution_count=count, id="colab")


def put(path: Path) -> bool:
    """Put the cell before the first code cell of a notebook that was run; say whether it was."""
    notebook = nbformat.read(path, as_version=4)
    code = [one for one in notebook.cells if one.cell_type == "code"]
    if "colab" in code[0].metadata.get("tags", ()):
        return False
    for one in code:
        one.execution_count += 1
        for out in one.outputs:
            if "execution_count" in out:
                out.execution_count = one.execution_count
    notebook.cells.insert(notebook.cells.index(code[0]), cell(path, count=1))
    nbformat.write(notebook, path)
    return True


if __name__ == "__main__":
    for given in sys.argv[1:]:
        print(given, "has it now" if put(Path(given)) else "had it")
