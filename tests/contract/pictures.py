"""Stored outputs: figures are vectors, and no script runs in them but the package's own."""

from __future__ import annotations

import re

from book_source import code_cells
from nbformat import NotebookNode

from transpde.widgets import page as explorers

SCRIPT = re.compile(r"<script|<foreignObject|\son[a-z]+\s*=|javascript:", re.IGNORECASE)
DATA = re.compile(r'<script type="application/json">[^<]*</script>')


def check_pictures(notebook: NotebookNode) -> list[str]:
    """Figures are vectors; no picture and no explorer runs a script that is not the package's."""
    found = []
    for number, cell in code_cells(notebook):
        for out in cell.get("outputs", ()):
            shown = out.get("data", {})
            if "image/png" in shown and "text/html" not in shown:
                found.append(f"cell {number}: a figure in pixels: run the notebook again")
            texts = (shown.get(kind, "") for kind in ("text/html", "image/svg+xml"))
            if any(SCRIPT.search(without_own_scripts(text)) for text in texts):
                found.append(f"cell {number}: an output with a script that is not the package's")
    return found


def without_own_scripts(text: str) -> str:
    """A page without the data and the script of an explorer."""
    page = text.replace(f"<script>{explorers.SCRIPT}</script>", "", 1)
    return DATA.sub("", page, count=1)
