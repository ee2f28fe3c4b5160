"""The book's addresses that others may link to, kept in tests/addresses.txt: none may disappear.

    python tools/addresses.py          add the new ones
    python tools/addresses.py --drop   forget, too, those that are gone: links from outside break

Pages, labels of statements, figures, equations and sections, rows of the ledger, names of the
interface and terms of the glossary. A section without a label promises nothing.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "tests" / "addresses.txt"
sys.path.insert(0, str(ROOT / "book" / "_ext"))

import book_source as source  # noqa: E402
import claims  # noqa: E402
import moved  # noqa: E402


def addresses(root: Path = ROOT) -> set[str]:
    """Every address that the sources promise."""
    found = set()
    for page in source.toc_entries(root):
        path = source.page_path(root, page)
        if path is not None:
            found.add(page)
            found |= {f"{page}#{label}" for label in source.labels(source.read(path))}
    book = root / "book"
    found |= {f"book/claims#claim-{row['id']}" for row in claims.load(book / "claims.yml")}
    for page in sorted(book.glob("api*.md")):
        found |= {f"book/{page.stem}#{name}" for name in source.documented(read(page))}
    terms = source.glossary(read(book / "glossary.md"))
    for page in moved.moved(root):  # it leads on: an old label counts while a new page has it
        held = {f"{page}#{label}" for label in moved.places(root, page)}
        found |= {page} | held.intersection(kept())
    return found | {f"book/glossary#term-{slug(term)}" for term in terms}


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def slug(term: str) -> str:
    return re.sub(r"[^\w]+", "-", term).strip("-")


def kept() -> list[str]:
    return read(KEPT).split() if KEPT.is_file() else []


def main(arguments: list[str]) -> None:
    now, before = addresses(), set(kept())
    gone = before - now
    lines = sorted(now if arguments == ["--drop"] else now | before)
    KEPT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{KEPT.name}: {len(lines)} addresses, {len(now - before)} new")
    for address in sorted(gone):
        print(f"{'dropped' if arguments else 'gone, kept in the file'}: {address}")


if __name__ == "__main__":
    main(sys.argv[1:])
