"""The table of contents names every page once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from book_source import page_path, toc_entries


def toc_problems(root: Path) -> list[str]:
    """Entries without a file, files twice, and notebooks that no reader would find."""
    entries = toc_entries(root)
    found = [] if entries else ["_toc.yml is missing or lists nothing"]
    found += [f"_toc.yml: {page} has no file" for page in entries if not page_path(root, page)]
    found += [f"_toc.yml: {page} twice" for page, n in Counter(entries).items() if n > 1]
    for path in sorted((root / "book").rglob("*.ipynb")):
        page = path.relative_to(root).with_suffix("").as_posix()
        hidden = any(part.startswith((".", "_")) for part in path.relative_to(root).parts)
        if page not in entries and not hidden:
            found.append(f"{page}.ipynb is not in _toc.yml")
    return found


def chapters(root: Path) -> list[Path]:
    """The notebooks of the table of contents, in order."""
    paths = (page_path(root, page) for page in toc_entries(root))
    return [path for path in paths if path is not None and path.suffix == ".ipynb"]
