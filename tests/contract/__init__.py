"""The chapter contract and the claim ledger's hold on the repository, as plain functions.

Each check takes a notebook and returns its problems as sentences that name the cell; none knows
pytest. ``test_book.py`` applies them to the book, and a test for each one shows that it bites.

A *cell number* in a message counts from 1, markdown cells included, as an editor shows them.
"""

from __future__ import annotations

from pathlib import Path

import claims
from book_source import ROOT, Block, code_cells, labels, page_path, pieces, read, tags, toc_entries
from nbformat import NotebookNode

from contract.cells import (
    check_code,
    check_execution,
    check_installs,
    check_length,
    check_outputs,
    has_picture,
    printed,
)
from contract.contents import chapters, toc_problems
from contract.figures import DIGEST, check_explorers, check_figures, check_tags
from contract.ledger import ledger_problems, missing_rows
from contract.limits import MAX_BOOK_BYTES, MAX_NOTEBOOK_BYTES
from contract.pictures import check_pictures
from contract.prose import (
    check_kind,
    check_prose,
    check_sections,
    check_summary,
    check_title,
    check_words,
    check_written,
    kind_of,
)
from contract.reproductions import check_reproductions, reproduced, verdict_problems
from contract.statements import check_answers, check_exercises, check_statements, exercises

# What tests ask for under this one name.
__all__ = [
    "DIGEST",
    "MAX_BOOK_BYTES",
    "MAX_NOTEBOOK_BYTES",
    "ROOT",
    "Block",
    "chapters",
    "check_answers",
    "claims",
    "code_cells",
    "exercises",
    "has_picture",
    "labels",
    "ledger_problems",
    "missing_rows",
    "notebook_problems",
    "page_path",
    "pieces",
    "printed",
    "problems",
    "read",
    "reproduced",
    "tags",
    "toc_entries",
    "toc_problems",
    "verdict_problems",
]

ALWAYS = (
    check_kind,
    check_title,
    check_execution,
    check_outputs,
    check_code,
    check_installs,
    check_tags,
    check_figures,
    check_explorers,
    check_pictures,
    check_prose,
    check_written,
    check_statements,
)
APPENDIX_ONLY = (check_sections, check_words, check_summary)
CHAPTER_ONLY = (*APPENDIX_ONLY, check_length, check_exercises)
REPRODUCTION_ONLY = (check_reproductions,)
OWN = {"appendix": APPENDIX_ONLY, "reproduction": REPRODUCTION_ONLY}


def notebook_problems(notebook: NotebookNode) -> list[str]:
    """All problems of a notebook, by the contract of its kind."""
    checks = ALWAYS + OWN.get(kind_of(notebook), CHAPTER_ONLY)
    return [problem for check in checks for problem in check(notebook)]


def problems(path: Path) -> list[str]:
    """All problems of a notebook file."""
    size = path.stat().st_size
    found = notebook_problems(read(path))
    if size > MAX_NOTEBOOK_BYTES:
        found.append(f"{size} bytes, at most {MAX_NOTEBOOK_BYTES}")
    return found
