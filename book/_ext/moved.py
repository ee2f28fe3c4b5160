"""Old addresses that lead on: for each page of ``book/moved.yml`` a small page is written.

It holds the old labels, each with a link to the page where it now stands. A script follows the
link of the label in the address, without one that of the first page; without scripts the reader
finds the links. Equations are ``equation-LABEL`` in addresses.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from sphinx.application import Sphinx

import book_source as source

EQUATION = "equation-"  # what Sphinx puts before the label of an equation


def moved(root: Path) -> dict[str, list[str]]:
    """The old pages, each with those that hold its parts."""
    path = root / "book" / "moved.yml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}


def places(root: Path, page: str) -> dict[str, str]:
    """Of each label that the parts of an old page hold: the page where it stands."""
    found = {}
    for part in moved(root)[page]:
        path = source.page_path(root, part)
        if path is None:
            raise ValueError(f"moved.yml: {page} leads to {part}, which is no page")
        found |= dict.fromkeys(sorted(source.labels(source.read(path))), part)
    return found


def anchor(label: str) -> str:
    """The label as it stands in an address."""
    return f"{EQUATION}{label}" if label.startswith("eq-") else label


def pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """What Sphinx writes: a page, what its template is given, and the template."""
    root, uri = Path(app.srcdir), app.builder.get_relative_uri
    for page, parts in moved(root).items():
        titles = [(uri(page, part), app.env.titles[part].astext()) for part in parts]
        labels = [
            (anchor(label), f"{uri(page, part)}#{anchor(label)}")
            for label, part in places(root, page).items()
        ]
        yield page, {"first": titles[0][0], "parts": titles, "labels": labels}, "moved.html"


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-collect-pages", pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
