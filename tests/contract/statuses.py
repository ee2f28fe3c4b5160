"""A row of the ledger says no more, and nothing else, than the page that it points to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from book_source import all_blocks, code_cells, page_path, page_text, read
from nbformat import NotebookNode

from contract.cells import printed
from contract.statements import PROVABLE, SOLUTION

SEEN_ONLY = ("illustrated", "open")


def status_problems(rows: list[dict[str, Any]], root: Path) -> list[str]:
    """Rows whose status, source or numbers are not those of the page, and unsaid proofs."""
    found = []
    proved: dict[tuple[str, str], bool] = {}
    for page in dict.fromkeys(row["chapter"] for row in rows):
        path = page_path(root, page)
        if path is None:
            continue
        notebook = read(path)
        own = proofs(notebook)
        proved |= {(page, label): holds for label, holds in own.items()}
        for row in (row for row in rows if row["chapter"] == page):
            problems = [*_status(row, own), *_content(row, notebook)]
            found += [f"{row['id']}: {problem}" for problem in problems]
    said = {(r["chapter"], r["anchor"]) for r in rows if r["status"] in ("proved", "verified")}
    unsaid = sorted(label for place, holds in proved.items() if holds for label in {place} - said)
    return found + [f"{label} has a proof on {page}, none in the ledger" for page, label in unsaid]


def proofs(notebook: NotebookNode) -> dict[str, bool]:
    """Of each statement that can be proved, whether a proof of its own follows it.

    A corollary may be argued in the text: it counts as proved.
    """
    found, pending = {}, []
    for piece, block, inside in all_blocks(notebook):
        label = block.options.get("label", "")
        if piece.gate or any(outer.name in SOLUTION for outer in inside):
            continue
        if block.name in PROVABLE:
            pending.append(label)
        elif block.name == "prf:proof" and pending:
            found[pending.pop()] = True
        elif block.name == "prf:corollary":
            found[label] = True
    return found | dict.fromkeys(pending, False)


def _status(row: dict[str, Any], proved: dict[str, bool]) -> list[str]:
    found = []
    if row["status"] == "proved" and not proved.get(row["anchor"]):
        found.append(f"'proved', but {row['chapter']} holds no proof of {row['anchor']}")
    if "observed" in row["statement"] and row["status"] not in SEEN_ONLY:
        found.append(f"{row['status']!r}, but it says 'observed'")
    return found


def _content(row: dict[str, Any], notebook: NotebookNode) -> list[str]:
    """Whether the page cites the source of the row, and gives the numbers of its statement."""
    found = []
    text = page_text(notebook)
    if row.get("source") and not re.search(rf"{{cite\S*}}`[^`]*\b{row['source']}\b", text):
        found.append(f"{row['chapter']} does not cite {row['source']}")
    cells = [cell for _, cell in code_cells(notebook)]
    shown = [text, *(cell.source + printed(cell) for cell in cells)]
    shown += [str(cell.metadata.get("mystnb", "")) for cell in cells]
    given = {number.replace(",", "") for number in _numbers("\n".join(shown))}
    statement = re.sub(r"\$[^$]*\$", "", row["statement"].partition(" Tolerance")[0])
    for number in _numbers(statement):
        if number.replace(",", "") not in given:
            found.append(f"{number} is not on {row['chapter']}")
    return found


def _numbers(text: str) -> list[str]:
    """The integers of two digits and more."""
    return re.findall(r"(?<![\w.,])\d[\d,]*\d(?![\d.]*\d)", text)
