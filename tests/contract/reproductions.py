"""Pages that reproduce a peer's figures."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from book_source import (
    FIGURE_OF_SCRIPT,
    Piece,
    code_cells,
    is_literal,
    markdown,
    pieces,
    sections,
    text_of,
)
from claims import VERDICTS
from nbformat import NotebookNode

from contract.cells import has_picture, printed
from contract.limits import MIN_EVIDENCE


def reproduced(notebook: NotebookNode) -> dict[str, list[Piece]]:
    """The sections of a reproduction page, each with the name that its first line gives."""
    found: dict[str, list[Piece]] = {}
    current: list[Piece] = []
    for piece in pieces(notebook):
        if not isinstance(piece.content, str):
            current.append(piece)
            continue
        for part in sections(piece.content):
            if 1 <= part.level <= 2:  # a heading of the same level or above begins another section
                current = []
                name = FIGURE_OF_SCRIPT.match(part.body.lstrip())
                if name and part.level == 2:
                    found[name[1]] = current
            if part.source.strip():
                current.append(Piece(piece.cell, part.source, piece.gate))
    return found


def check_reproductions(notebook: NotebookNode) -> list[str]:
    """Each figure has its picture, the peer's numbers, a verdict, evidence and its command."""
    figures = reproduced(notebook)
    found = [] if figures else ["no section begins 'Figure `name` of the authors' script `...`'"]
    text = "\n".join(text_of(part, is_literal) for _, part in markdown(notebook))
    sources = "\n".join(printed(cell) for _, cell in code_cells(notebook))
    if "not known whether" not in text + sources:
        found.append("it must say that it is not known whether the printed figures came from it")
    if not any("peer.yml" in cell.source for _, cell in code_cells(notebook)):
        found.append("no cell reads peer.yml, which holds the peer's numbers")
    for name, section in figures.items():
        found += [f"`{name}`: {problem}" for problem in _reproduction_problems(name, section)]
    return found


def _prose(section: list[Piece]) -> str:
    texts = (part.content for part in section if not isinstance(part.content, NotebookNode))
    return "\n".join(text_of(text, is_literal) for text in texts)


def _verdicts(section: list[Piece]) -> list[str]:
    """The verdicts that the section states."""
    return re.findall(rf"\*\*Verdict: ({'|'.join(VERDICTS)})\.\*\*", _prose(section))


def _reproduction_problems(name: str, section: list[Piece]) -> list[str]:
    prose = _prose(section)
    cells = [part.content for part in section if isinstance(part.content, NotebookNode)]
    pictures = [cell for cell in cells if has_picture(cell)]
    evidence = [cell for cell in cells if not has_picture(cell) and printed(cell).strip()]
    found = []
    if not _verdicts(section):
        found.append(f"no line '**Verdict: ...**' with one of {', '.join(VERDICTS)}")
    if f"`python -m transpde.figures --only {name}`" not in prose:
        found.append(f"no command `python -m transpde.figures --only {name}`")
    if not any(f'"{name}"' in cell.source for cell in pictures):
        found.append("no cell draws it by its name")
    if len(evidence) < MIN_EVIDENCE:
        found.append(f"{len(evidence)} cells that print evidence, at least {MIN_EVIDENCE}")
    return found


def verdict_problems(
    rows: list[dict[str, Any]], names: set[str], pages: dict[str, NotebookNode]
) -> list[str]:
    """Where the ledger departs from the list of the peer's figures, or from a figure's page."""
    counts = Counter(row["figure"] for row in rows if row.get("figure"))
    held = {row["figure"]: row for row in rows if row.get("figure")}
    sections_of = {page: reproduced(notebook) for page, notebook in pages.items()}
    shown = {name for found in sections_of.values() for name in found}
    found = [f"`{name}` has {counts[name]} rows in the ledger" for name in names - held.keys()]
    found += [f"`{name}` has {n} rows in the ledger" for name, n in counts.items() if n > 1]
    found += [f"`{name}` is not in peer.yml" for name in (held.keys() | shown) - names]
    found += [f"`{name}` is on no page" for name in held.keys() - shown]
    for page, figures in sections_of.items():
        for name in figures.keys() & held.keys():
            problems = _row_problems(held[name], page, figures[name])
            found += [f"`{name}`: {problem}" for problem in problems]
    return found


def _row_problems(row: dict[str, Any], page: str, section: list[Piece]) -> list[str]:
    """Where a row departs from the section on its figure."""
    found = []
    if row["chapter"] != page:
        found.append(f"on {page}, in the ledger on {row['chapter']}")
    if _verdicts(section) != [row["verdict"]]:
        found.append(f"{row['verdict']} in the ledger, {_verdicts(section)} on {page}")
    cells = [part.content for part in section if isinstance(part.content, NotebookNode)]
    settings = [cell.metadata.get("mystnb", {}) for cell in cells]
    if row["anchor"] not in [setting.get("figure", {}).get("name") for setting in settings]:
        found.append(f"no picture of its section is named {row['anchor']}")
    printed_there = set(re.findall(r"\d+", "\n".join(map(printed, cells))))
    for number in re.findall(r"\b\d{2,}\b", row["statement"].partition(" Tolerance:")[0]):
        if number not in printed_there:
            found.append(f"{number} of the ledger is printed by no cell of its section")
    return found
