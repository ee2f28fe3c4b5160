"""Pages that reproduce a peer's figures."""

from __future__ import annotations

import re

from book_source import Piece, code_cells, is_literal, markdown, pieces, sections, text_of
from nbformat import NotebookNode

from contract.cells import has_picture, printed
from contract.limits import MIN_EVIDENCE, VERDICTS


def reproduced(notebook: NotebookNode) -> dict[str, list[Piece]]:
    """The sections of a reproduction page: those headed by the name of a figure, as code."""
    found: dict[str, list[Piece]] = {}
    current: list[Piece] = []
    for piece in pieces(notebook):
        if not isinstance(piece.content, str):
            current.append(piece)
            continue
        for part in sections(piece.content):
            if 1 <= part.level <= 2:  # a heading of the same level or above begins another section
                current = []
                name = re.fullmatch(r"`(\w+)`", part.title)
                if name and part.level == 2:
                    found[name[1]] = current
            if part.source.strip():
                current.append(Piece(piece.cell, part.source, piece.gate))
    return found


def check_reproductions(notebook: NotebookNode) -> list[str]:
    """Each figure has its picture, the peer's numbers, a verdict, evidence and its command."""
    figures = reproduced(notebook)
    found = [] if figures else ["no section '## `figure_name`': a reproduction page has one each"]
    text = "\n".join(text_of(part, is_literal) for _, part in markdown(notebook))
    sources = "\n".join(printed(cell) for _, cell in code_cells(notebook))
    if "not known whether" not in text + sources:
        found.append("it must say that it is not known whether the printed figures came from it")
    if not any("peer.yml" in cell.source for _, cell in code_cells(notebook)):
        found.append("no cell reads peer.yml, which holds the peer's numbers")
    for name, section in figures.items():
        found += [f"`{name}`: {problem}" for problem in _reproduction_problems(name, section)]
    return found


def _reproduction_problems(name: str, section: list[Piece]) -> list[str]:
    prose = "\n".join(
        text_of(part.content, is_literal)
        for part in section
        if not isinstance(part.content, NotebookNode)
    )
    cells = [part.content for part in section if isinstance(part.content, NotebookNode)]
    pictures = [cell for cell in cells if has_picture(cell)]
    evidence = [cell for cell in cells if not has_picture(cell) and printed(cell).strip()]
    found = []
    if not re.search(rf"\*\*Verdict: (?:{'|'.join(VERDICTS)})\b", prose):
        found.append(f"no line '**Verdict: ...**' with one of {', '.join(VERDICTS)}")
    if f"`python -m transpde.figures --only {name}`" not in prose:
        found.append(f"no command `python -m transpde.figures --only {name}`")
    if not any(f'"{name}"' in cell.source for cell in pictures):
        found.append("no cell draws it by its name")
    if len(evidence) < MIN_EVIDENCE:
        found.append(f"{len(evidence)} cells that print evidence, at least {MIN_EVIDENCE}")
    return found
