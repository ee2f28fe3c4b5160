"""``{chapter-graph}``: which chapter needs which, drawn from what the chapters declare.

Two drawings, of which CSS shows the one that fits, and the same in words. A chapter stands to the
right of and below the one it needs. The colours are those of the page, dark or light.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import chapters as book

LINE, PADDING, GAP = 19, 7, 8  # of the drawing, in its own units
SIZES = {"wide": (700, 34, 64), "narrow": (296, 13, 32)}  # width, indent, letters a line

Place = tuple[int, int, int, list[str]]  # left, top, height, lines


def places(chapters: Sequence[book.Chapter], size: tuple[int, int, int]) -> dict[str, Place]:
    """Where each chapter stands, from the top down."""
    _, indent, letters = size
    needs = book.graph(chapters)
    level, titles = book.levels(needs), {c.page: f"{c.number}  {c.title}" for c in chapters}
    found, top = {}, 2
    for page in book.branches(needs):
        lines = textwrap.wrap(titles[page], letters - level[page])
        height = LINE * len(lines) + 2 * PADDING
        found[page] = (2 + indent * level[page], top, height, lines)
        top += height + GAP
    return found


def drawing(chapters: Sequence[book.Chapter], kind: str, links: dict[str, str]) -> str:
    """The graph as SVG, each chapter a link."""
    size = SIZES[kind]
    at = places(chapters, size)
    edges = [
        elbow(at[one], at[page])
        for page, needed in book.reduced(book.graph(chapters)).items()
        for one in needed
    ]
    times = {c.page: f"{c.reading} min" if kind == "wide" else "" for c in chapters}
    boxes = [box(place, size[0], links[page], times[page]) for page, place in at.items()]
    bottom = max(top + height for _, top, height, _ in at.values()) + 2
    return (
        f'<svg class="chapter-graph {kind}" viewBox="0 0 {size[0]} {bottom}" role="group" '
        f'aria-label="{escape(alt(chapters))}">\n' + "\n".join([*edges, *boxes]) + "\n</svg>"
    )


def elbow(parent: Place, child: Place) -> str:
    """The line from below a chapter to the side of one that needs it."""
    x, y = parent[0] + 7, parent[1] + parent[2]
    return f'<path d="M{x} {y}V{child[1] + child[2] // 2}H{child[0]}"/>'


def box(place: Place, width: int, link: str, time: str) -> str:
    """A chapter: its frame, its title and how long it takes to read."""
    left, top, height, lines = place
    right = width - 2
    rows = [
        f'<text x="{left + 9}" y="{top + PADDING + LINE * n + 14}">{escape(line)}</text>'
        for n, line in enumerate(lines)
    ]
    if time:
        rows.append(f'<text x="{right - 9}" y="{top + PADDING + 14}" class="time">{time}</text>')
    frame = f'<rect x="{left}" y="{top}" width="{right - left}" height="{height}" rx="5"/>'
    return f'<a href="{escape(link)}">{frame}{"".join(rows)}</a>'


def alt(chapters: Sequence[book.Chapter]) -> str:
    """What the drawing shows, in a sentence."""
    needs = book.graph(chapters)
    roots = [c.title for c in chapters if not c.prerequisites]
    depth = max(book.levels(needs).values()) + 1
    return (
        f"Dependencies of {len(chapters)} chapters: all go back to {', '.join(roots)}; "
        f"the longest chain has {depth} chapters. The list below says the same in words."
    )


class ChapterGraph(SphinxDirective):
    """``{chapter-graph}``, without arguments."""

    def run(self) -> list[nodes.Node]:
        chapters = book.load(Path(self.env.srcdir))
        if found := book.problems(book.graph(chapters)):
            raise self.error("; ".join(found))
        for chapter in chapters:
            self.env.note_dependency(f"{chapter.page}.ipynb")
        uri = self.env.app.builder.get_relative_uri
        links = {c.page: uri(self.env.docname, c.page) for c in chapters}
        svgs = "\n".join(drawing(chapters, kind, links) for kind in SIZES)
        return [nodes.raw("", svgs, format="html"), self._words(chapters)]

    def _words(self, chapters: Sequence[book.Chapter]) -> nodes.bullet_list:
        listed = nodes.bullet_list(bullet="-")
        for chapter in chapters:
            line = nodes.paragraph("", "", self._link(chapter.page))
            line += nodes.Text(" needs " if chapter.prerequisites else " needs no other chapter")
            for place, page in enumerate(chapter.prerequisites):
                line += nodes.Text(" and " if place else "")
                line += self._link(page)
            line += nodes.Text(".")
            listed += nodes.list_item("", line)
        return listed

    def _link(self, page: str) -> addnodes.pending_xref:
        return link(page, self.env.docname)


def link(page: str, here: str) -> addnodes.pending_xref:
    """A link to a page by its own title."""
    return addnodes.pending_xref(
        "",
        nodes.inline("", page),
        refdomain="std",
        reftype="doc",
        reftarget=f"/{page}",
        refexplicit=False,
        refdoc=here,
        refwarn=True,
    )


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("chapter-graph", ChapterGraph)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
