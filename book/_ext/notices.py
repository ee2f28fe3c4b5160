"""``{notices}``: what others made and this site carries, with versions and licences.

``book/notices.yml`` says which files come from which package; version, licence and its text are
read from what is installed. A file of the built site that neither the book nor a row holds is a
warning, so that nothing of others goes unnamed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatch
from html import escape
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from reading_paths import table

logger = logging.getLogger(__name__)

Row = dict[str, Any]


def load(root: Path) -> list[Row]:
    """The rows, each with `title`, `version`, `licence` and `text` as installed."""
    rows = yaml.safe_load((root / "book" / "notices.yml").read_text(encoding="utf-8"))
    installed = {"npm": browser_package, "python": python_package}
    return [
        {"title": row.get("name", row.get("python")), **installed[kind](root, row[kind]), **row}
        for row in rows
        for kind in row.keys() & installed.keys()
    ]


def python_package(root: Path, name: str) -> Row:
    """Version, licence and its text of an installed distribution."""
    package = metadata.distribution(name)
    about = package.metadata
    licence = about.get("License-Expression") or about.get("License") or classified(package)
    texts = [f.read_text() for f in package.files or () if "licen" in f.name.lower()]
    first = licence.strip().splitlines()[0].removesuffix(" License") if licence.strip() else ""
    return {"version": package.version, "licence": first, "text": (texts or [""])[0]}


def classified(package: metadata.Distribution) -> str:
    """The licence as the last word of a classifier: 'OSI Approved :: MIT License'."""
    found = package.metadata.get_all("Classifier") or []
    return next((line.split(" :: ")[-1] for line in found if line.startswith("License")), "")


def browser_package(root: Path, name: str) -> Row:
    """Version and licence of a package of the npm lock, and the text where it is installed."""
    entry = locked(root)[f"node_modules/{name}"]
    text = root / "node_modules" / name / "LICENSE"
    return {
        "version": entry["version"],
        "licence": entry["license"],
        "text": text.read_text(encoding="utf-8") if text.is_file() else "",
    }


def locked(root: Path) -> dict[str, Row]:
    """The packages of the npm lock by their place."""
    lock = json.loads((root / "package-lock.json").read_text(encoding="utf-8"))
    return {place: entry for place, entry in lock["packages"].items() if place}


def browser_packages(root: Path) -> list[str]:
    """'name version (licence)' of every package behind the browser code."""
    found = {
        f"{place.rpartition('node_modules/')[2]} {entry['version']} "
        f"({entry.get('license', 'licence not stated in the lock')})"
        for place, entry in locked(root).items()
    }
    return sorted(found, key=str.lower)


def unnamed(site: Path, own: Path, rows: list[Row]) -> Iterator[str]:
    """Files among the static ones of a site that are neither the book's nor in a row."""
    patterns = [pattern for row in rows for pattern in row["files"]]
    for path in sorted(p for p in site.rglob("*") if p.is_file()):
        name = path.relative_to(site).as_posix()
        ours = (own / name).is_file() and not name.startswith("vendor/")
        if not ours and not any(fnmatch(name, pattern) for pattern in patterns):
            yield name


class Notices(SphinxDirective):
    """``{notices}``: a table, the packages behind the widgets, and the licence texts."""

    def run(self) -> list[nodes.Node]:
        root = Path(self.env.srcdir)
        rows = load(root)
        cells = [(r["title"], r["version"], r["licence"], r["use"]) for r in rows]
        head = ("Name", "Version", "Licence", "What it does here")
        folds = [fold("Packages behind the widgets", "\n".join(browser_packages(root)))]
        folds += [fold(f"Licence of {row['title']}", row["text"]) for row in rows if row["text"]]
        return [
            table(head, cells, (24, 12, 20, 44)),
            nodes.raw("", "\n".join(folds), format="html"),
        ]


def fold(title: str, text: str) -> str:
    """A text under its title, closed at first."""
    return (
        f'<details class="notice"><summary>{escape(title)}</summary>'
        f"<pre>{escape(text.strip())}</pre></details>"
    )


def check_site(app: Sphinx, exception: Exception | None) -> None:
    """Warn about files of others that no row names, once the site is written."""
    site = Path(app.outdir) / "_static"
    if exception is None and app.builder.format == "html" and site.is_dir():
        root = Path(app.srcdir)
        for name in unnamed(site, root / "book" / "_static", load(root)):
            logger.warning("_static/%s: from whom? Name it in book/notices.yml", name)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("notices", Notices)
    app.connect("build-finished", check_site)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
