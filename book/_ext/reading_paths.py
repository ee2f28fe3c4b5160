"""``{reading-ways}``: the ways through the book in one table, with the time that each takes.

Each line of the body is ``name | how: pages | how: pages``, the pages without the folder ``book``
and with a space between them; ``reproduction`` and ``real`` stand for all of the part on figures
and of that on a real Transformer, and ``chapters`` for all others. How long the three ways to read
take stands in a page's box "Before you start": `skim` takes a quarter of its reading time, `read`
that time, `proofs` the longer one. A page that is read, not skimmed, needs all its prerequisites
on the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import chapters as book
from chapter_graph import link

WAYS = ("skim", "read", "proofs")
SPACE = "\N{NO-BREAK SPACE}"
PARTS = {
    "reproduction": "Reproduction",
    "frontier": "Frontier",
    "real": "A real Transformer",
}
SKIMMED = 4  # a page is skimmed in this part of its reading time

Step = tuple[str, book.Chapter]


def steps(line: str, chapters: Sequence[book.Chapter]) -> tuple[str, list[Step]]:
    """The name of a way and its steps, in the order of the book.

    Raises `ValueError` for an unknown manner or page, and where a prerequisite is missing.
    """
    name, *parts = map(str.strip, line.split("|"))
    found: dict[str, Step] = {}
    for part in parts:
        how, _, names = part.partition(":")
        if how not in WAYS:
            raise ValueError(f"{part!r}: write 'how: pages', how one of {', '.join(WAYS)}")
        for chapter in named(names.split(), chapters):
            found[chapter.page] = how, chapter
    way = [found[chapter.page] for chapter in chapters if chapter.page in found]
    for how, chapter in way:
        missing = set(chapter.prerequisites) - found.keys()
        if how != "skim" and missing:
            raise ValueError(f"{name}: {chapter.page} needs {', '.join(sorted(missing))}")
    return name, way


def named(names: Iterable[str], chapters: Sequence[book.Chapter]) -> list[book.Chapter]:
    """The pages of these names; `ValueError` for one that is none."""
    found = []
    for name in names:
        if name == "chapters":
            pages = [chapter for chapter in chapters if chapter.part not in PARTS.values()]
        elif name in PARTS:
            pages = [chapter for chapter in chapters if chapter.part == PARTS[name]]
        else:
            pages = [chapter for chapter in chapters if chapter.page == f"book/{name}"]
        if not pages:
            raise ValueError(f"{name!r} is no page of the book: write 'how: pages'")
        found += pages
    return found


def minutes(step: Step) -> float:
    """How long a step takes to read."""
    how, chapter = step
    if how == "skim":
        return chapter.reading / SKIMMED
    return chapter.reading if how == "read" else chapter.with_proofs


def spoken(time: float) -> str:
    """Minutes as a reader says them, to five minutes from one hour on."""
    if time < 60:
        return f"{round(time)}{SPACE}min"
    hours, rest = divmod(5 * round(time / 5), 60)
    return f"{hours}{SPACE}h {rest}{SPACE}min" if rest else f"{hours}{SPACE}h"


class ReadingWays(SphinxDirective):
    """``{reading-ways}`` with a line a way."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        chapters = book.load(Path(self.env.srcdir))
        try:
            ways = [steps(line, chapters) for line in filter(str.strip, self.content)]
        except ValueError as error:
            raise self.error(str(error)) from error
        manners = [{chapter.page: how for how, chapter in way} for _, way in ways]
        rows: list[list[str | nodes.Node]] = [
            [
                nodes.paragraph("", "", link(chapter.page, self.env.docname)),
                *(manner.get(chapter.page, "") for manner in manners),
            ]
            for chapter in chapters
        ]
        reading = [spoken(sum(map(minutes, way))) for _, way in ways]
        cells = [running(sum(chapter.running for _, chapter in way)) for _, way in ways]
        for label, times in (("To read", reading), ("To run the cells", cells)):
            rows.append([strong(label), *map(strong, times)])
        widths = [34, *[11] * len(ways)]
        made = table(["Page", *(name for name, _ in ways)], rows, widths)
        made["classes"].append("reading-ways")
        return [made]


def strong(text: str) -> nodes.paragraph:
    return nodes.paragraph("", "", nodes.strong("", text))


def running(time: int) -> str:
    """Seconds of a machine, as minutes from one minute on."""
    return f"{time}{SPACE}s" if time < 60 else f"{round(time / 60)}{SPACE}min"


def table(
    head: Sequence[str], rows: Iterable[Sequence[str | nodes.Node]], widths: Sequence[int]
) -> nodes.table:
    """A table of words and nodes."""
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=width) for width in widths]
    group += nodes.thead("", row(head))
    group += nodes.tbody("", *map(row, rows))
    return nodes.table("", group)


def row(cells: Iterable[str | nodes.Node]) -> nodes.row:
    filled = (nodes.paragraph("", cell) if isinstance(cell, str) else cell for cell in cells)
    return nodes.row("", *(nodes.entry("", cell) for cell in filled))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("reading-ways", ReadingWays)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
