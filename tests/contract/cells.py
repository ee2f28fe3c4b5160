"""Code cells: run in order, short, safe to run, and silent about the machine they ran on."""

from __future__ import annotations

import re

from book_source import code_cells, tags
from nbformat import NotebookNode

from contract.limits import CODE_CELLS, COLAB_CELLS, MAX_CELL_LINES, SHOWN_LINES

FORBIDDEN_CODE = (
    (r"\bnp\.random\.(?!default_rng\b|Generator\b)\w+", "legacy random numbers: use default_rng"),
    (r"\bRandomState\b", "legacy random numbers: use default_rng"),
    (r"(?<!\.)\brandom\.\w+\(", "the random module: use np.random.default_rng(seed)"),
    (r"\bdefault_rng\(\s*\)", "an unseeded generator"),
    (r";[ \t]*$", "a trailing ';', which nbval ignores: end with plt.show() or _ = ..."),
    (r"""["'](?:/\w|~/|[A-Za-z]:[\\/])""", "an absolute path"),
    (r"#\s*NBVAL_", "an nbval comment: use a cell tag"),
)
COLAB_OPENING = "# In Colab this gets the book and its package; elsewhere it does nothing."
INSTALL = re.compile(
    r"\b(?:pip3?|conda|mamba|apt|apt-get)\s+install\b|^\s*(?:!|%pip|%conda)", re.MULTILINE
)
ABSOLUTE_PATH = re.compile(r"(?:^|[\s\"'(<])(?:/[\w.+-]+){2,}/[\w.+-]+", re.MULTILINE)


def has_picture(cell: NotebookNode) -> bool:
    return any(
        kind.startswith("image/")
        for out in cell.get("outputs", ())
        for kind in out.get("data", ())
    )


def printed(cell: NotebookNode) -> str:
    """What the cell's outputs show as text."""
    shown = [
        out.get("text", "") or out.get("data", {}).get("text/plain", "")
        for out in cell.get("outputs", ())
    ]
    return "\n".join(shown)


def check_execution(notebook: NotebookNode) -> list[str]:
    """Every cell was run, in order, from a fresh kernel: nbval passes an unexecuted cell."""
    found, counts = [], []
    for number, cell in code_cells(notebook):
        counts.append(cell.get("execution_count"))
        if counts[-1] is None:
            found.append(f"cell {number}: not executed")
        if "outputs" not in cell:
            found.append(f"cell {number}: no outputs field")
    if None not in counts and counts != list(range(1, len(counts) + 1)):
        found.append(f"execution counts are {counts}: restart the kernel and run all")
    return found


def check_outputs(notebook: NotebookNode) -> list[str]:
    """No warning, no error, no path of somebody's machine in the outputs."""
    found = []
    for number, cell in code_cells(notebook):
        for out in cell.get("outputs", ()):
            if out.get("name") == "stderr":
                found.append(f"cell {number}: writes to stderr: {out.text.strip()[:60]!r}")
            if out.output_type == "error" and "raises-exception" not in tags(cell):
                found.append(f"cell {number}: ends in an error: {out.ename}")
        if path := ABSOLUTE_PATH.search(printed(cell)):
            found.append(f"cell {number}: prints an absolute path {path.group().strip()!r}")
    return found


def check_code(notebook: NotebookNode) -> list[str]:
    """Cells are short and compile; no legacy randomness, no absolute path, no suppression."""
    found = []
    for number, cell in code_cells(notebook):
        length = count_lines(cell)
        if length > MAX_CELL_LINES:
            found.append(f"cell {number}: {length} lines, at most {MAX_CELL_LINES}")
        if length == 0:
            found.append(f"cell {number}: empty")
        try:
            compile(cell.source, f"cell {number}", "exec")
        except SyntaxError as error:
            found.append(f"cell {number}: does not compile: {error.msg}")
        for pattern, message in FORBIDDEN_CODE:
            if re.search(pattern, cell.source, re.MULTILINE):
                found.append(f"cell {number}: {message}")
    return found


def count_lines(cell: NotebookNode) -> int:
    return sum(bool(line.strip()) for line in cell.source.splitlines())


def check_installs(notebook: NotebookNode) -> list[str]:
    """No cell installs anything, unless it is one of the few tagged colab."""
    found, colab = [], 0
    for number, cell in enumerate(notebook.cells, start=1):
        colab += "colab" in tags(cell)
        if "colab" in tags(cell):
            if not cell.source.startswith(COLAB_OPENING):
                found.append(f"cell {number}: tagged colab, but not the cell of tools/colab.py")
        elif INSTALL.search(cell.source):
            found.append(f"cell {number}: an install command or a shell escape")
    if colab > COLAB_CELLS:
        found.append(f"{colab} cells tagged colab, at most {COLAB_CELLS}")
    return found


def check_length(notebook: NotebookNode) -> list[str]:
    """How many code cells there are, and that those which the page does not fold are short."""
    aside = {"exercise", "solution", "explorer", "colab"}
    own = [(number, cell) for number, cell in code_cells(notebook) if not tags(cell) & aside]
    found = []
    low, high = CODE_CELLS
    if not low <= len(own) <= high:
        found.append(f"{len(own)} code cells outside exercises, not {low} to {high}")
    for number, cell in own:
        folded = tags(cell) & {"hide-input", "hide-cell"}
        if not folded and (length := count_lines(cell)) > SHOWN_LINES:
            found.append(
                f"cell {number}: shows {length} lines, at most {SHOWN_LINES}: fold it (hide-input)"
                " and leave the lines that are the idea in a cell of their own"
            )
    return found
