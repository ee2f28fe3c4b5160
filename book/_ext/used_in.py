"""Under each entry of the interface: the chapters, claims and reproduced figures that use it.

Read from the sources: which public names the code cells of a notebook and the modules of a figure
mention, through whatever import, and which rows of the ledger give as their function.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

import book_source as source
import chapters as book
import claims
from chapter_graph import link

INTERFACE = ("api.md", "api_training.md", "api_plotting.md")
FIGURES = "transpde.figures"


class Uses(NamedTuple):
    """Where one public name is used: chapters, anchors of claims, pages of reproduced figures."""

    pages: tuple[str, ...]
    claims: tuple[str, ...]
    figures: tuple[str, ...]


def documented(root: Path) -> list[str]:
    """The functions and classes that the pages of the interface list."""
    pages = [root / "book" / name for name in INTERFACE]
    return [name for page in pages for name in source.documented(page.read_text(encoding="utf-8"))]


@cache
def uses(root: Path) -> dict[str, Uses]:
    """Where each documented name is used."""
    names = documented(root)
    by_object = {id(resolved(name)): name for name in names}

    def known(used: Iterable[str]) -> set[str]:
        return {by_object.get(id(resolved(part)), "") for one in used for part in prefixes(one)}

    pages = {chapter.page: known(page_names(root, chapter.page)) for chapter in book.load(root)}
    figures = {page: known(used) for page, used in figure_names(root)}
    order = list(pages)  # of the book, not of the ledger
    rows = claims.load(root / "book" / "claims.yml")
    rows.sort(key=lambda row: order.index(row["chapter"]) if row["chapter"] in order else -1)
    held = [(row["anchor"], known([row["function"]])) for row in rows if row.get("function")]
    return {
        name: Uses(
            tuple(page for page, used in pages.items() if name in used),
            tuple(dict.fromkeys(anchor for anchor, used in held if name in used)),
            tuple(page for page, used in figures.items() if name in used),
        )
        for name in names
    }


def prefixes(name: str) -> Iterator[str]:
    """The name itself, then what it is a member of: `transpde.Gaussian.from_covariance` counts."""
    parts = name.split(".") if name.startswith("transpde") else []
    for length in range(len(parts), 1, -1):
        yield ".".join(parts[:length])


@cache
def resolved(name: str) -> Any:
    """What a dotted name stands for: a module or what is found in one; None if it is neither."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:]:
            found = getattr(found, part, None)
        return found
    return None


# --- reading code -------------------------------------------------------------------------------


def code_names(tree: ast.AST, alias: dict[str, str]) -> set[str]:
    """The dotted names that the code mentions, each with what its import stands for."""
    found = set()
    for node in ast.walk(tree):
        first, *rest = dotted(node).split(".")
        if first in alias:
            found.add(".".join([alias[first], *rest]))
    return found


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """The names that imports bind, with the dotted names they stand for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                yield one.asname or one.name, one.name
        elif isinstance(node, ast.ImportFrom):
            for one in node.names:
                yield one.asname or one.name, f"{node.module}.{one.name}"


def dotted(node: ast.AST) -> str:
    """`a.b.c` where the node is that, else an empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


def page_names(root: Path, page: str) -> set[str]:
    """What the code cells of a notebook mention."""
    cells = source.code_cells(source.read(root / f"{page}.ipynb"))
    tree = ast.parse("\n".join(cell.source for _, cell in cells))
    return code_names(tree, dict(imported(tree)))


def reached(start: str) -> set[str]:
    """What a function of the figures mentions, and the functions of figures that it calls."""
    pending, seen, found = [start], set(), set()
    while pending:
        module, _, name = (one := pending.pop()).rpartition(".")
        if one in seen or not module.startswith(f"{FIGURES}.") or not is_module(module):
            continue
        seen.add(one)
        tree = parsed(module)
        node = next((n for n in tree.body if getattr(n, "name", None) == name), None)
        names = code_names(node, dict(imported(tree))) if node else set()
        local = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} if node else set()
        pending += [*names, *(f"{module}.{one}" for one in local)]
        found |= names
    return found


@cache
def parsed(module: str) -> ast.Module:
    path = importlib.import_module(module).__file__ or ""
    return ast.parse(Path(path).read_text(encoding="utf-8"))


def is_module(name: str) -> bool:
    return isinstance(resolved(name), ModuleType)


def figure_names(root: Path) -> Iterator[tuple[str, set[str]]]:
    """Each page of reproduced figures, with what the functions behind its figures mention."""
    table = importlib.import_module(FIGURES).FIGURES
    for chapter in book.load(root):
        text = source.page_text(source.read(root / f"{chapter.page}.ipynb"))
        names = source.FIGURE_OF_SCRIPT.findall(text)
        families = {table[name][0] for name in names if name in table}
        used = [reached(f"{FIGURES}.{one}.{do}") for one in families for do in ("data", "draw")]
        if used:
            yield chapter.page, set().union(*used)


# --- the interface page -------------------------------------------------------------------------


def add_uses(app: Sphinx, domain: str, kind: str, content: addnodes.desc_content) -> None:
    """Append to an entry the places that use it."""
    identifiers = content.parent[0].get("ids") if domain == "py" else None
    found = uses(Path(app.srcdir)).get(identifiers[0]) if identifiers else None
    if found is None:
        return
    here = app.env.docname
    lines = {
        "Chapters": [link(page, here) for page in found.pages],
        "Claims": [claims.anchor_link(target=anchor, refdoc=here) for anchor in found.claims],
        "Figures of the scripts": [link(page, here) for page in found.figures],
    }
    content += [listed(title, links) for title, links in lines.items() if links]


def listed(title: str, links: Iterable[nodes.Node]) -> nodes.paragraph:
    """A line of links after a title."""
    line = nodes.paragraph("", "", nodes.strong("", f"{title}: "), classes=["used-in"])
    for place, one in enumerate(links):
        line += [nodes.Text(", "), one] if place else [one]
    return line


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("object-description-transform", add_uses)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
