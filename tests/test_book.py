"""The book keeps its contract: every chapter, the table of contents and the claim ledger."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import contract
import pytest

CHAPTERS = contract.chapters(contract.ROOT)
LEDGER = contract.ROOT / "book" / "claims.yml"


def listed(problems: list[str]) -> str:
    return "\n  " + "\n  ".join(problems)


def test_table_of_contents() -> None:
    problems = contract.toc_problems(contract.ROOT)
    assert not problems, listed(problems)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapter(path: Path) -> None:
    problems = contract.problems(path)
    assert not problems, listed(problems)


def test_size_of_all_notebooks() -> None:
    size = sum(path.stat().st_size for path in CHAPTERS)
    assert size <= contract.MAX_BOOK_BYTES, f"{size} bytes of notebooks"


def test_anchors_are_unique() -> None:
    """A label stands once in the book: Sphinx keeps the last of two, and links go astray."""
    pages = [contract.page_path(contract.ROOT, p) for p in contract.toc_entries(contract.ROOT)]
    books = [contract.read(path) for path in pages if path]
    names = Counter(name for book in books for name in contract.labels(book))
    assert not [name for name, count in names.items() if count > 1]


def test_ledger() -> None:
    """The ledger may be missing only while the book has no chapter."""
    if not LEDGER.is_file():
        assert not CHAPTERS, "book/claims.yml is missing"
        return
    problems = contract.ledger_problems(contract.claims.load(LEDGER), contract.ROOT)
    assert not problems, listed(problems)


def test_ledger_is_complete() -> None:
    rows = contract.claims.load(LEDGER) if LEDGER.is_file() else []
    problems = contract.missing_rows(rows, contract.ROOT)
    assert not problems, listed(problems)
