"""``{reading-path}``: a way through the book, with the time it takes.

Each line of the body is ``how: page``, the page without its folder ``book``. How long the three
ways to read take stands in the page's box "Before you start": `skim` takes a quarter of its
reading time, `read` that time, `proofs` the longer one. The last row adds up. A page that is
read, not skimmed, must come after all that it needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import chapters as book
from chapter_graph import link

WAYS = {
    "skim": "the question, the pictures, the summary",
    "read": "the text, proofs left folded",
    "proofs": "the text and the proofs",
}
SPACE = "\N{NO-BREAK SPACE}"
SKIMMED = 4  # a page is skimmed in this part of its reading time

Step = tuple[str, book.Chapter]


def steps(lines: Iterable[str], chapters: Sequence[book.Chapter]) -> list[Step]:
    """The steps that the lines name; `ValueError` for an unknown way or page, or a wrong order."""
    known = {chapter.page: chapter for chapter in chapters}
    found: list[Step] = []
    for line in filter(None, map(str.strip, lines)):
        how, _, name = line.partition(":")
        page = f"book/{name.strip()}"
        if how not in WAYS or page not in known:
            raise ValueError(f"{line!r}: write 'how: page', how one of {', '.join(WAYS)}")
        missing = set(known[page].prerequisites) - {chapter.page for _, chapter in found}
        if how != "skim" and missing:
            raise ValueError(f"{line!r}: {', '.join(sorted(missing))} must come before")
        found.append((how, known[page]))
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


class ReadingPath(SphinxDirective):
    """``{reading-path}`` with a line a step."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        try:
            path = steps(self.content, book.load(Path(self.env.srcdir)))
        except ValueError as error:
            raise self.error(str(error)) from error
        rows: list[list[str | nodes.Node]] = [
            [
                nodes.paragraph("", "", link(chapter.page, self.env.docname)),
                WAYS[how],
                spoken(minutes((how, chapter))),
                running(chapter.running),
            ]
            for how, chapter in path
        ]
        total = spoken(sum(map(minutes, path)))
        machine = running(sum(chapter.running for _, chapter in path))
        rows.append([nodes.paragraph("", "", nodes.strong("", "in all")), "", total, machine])
        head, widths = ["Chapter", "Read", "To read", "To run"], [44, 32, 12, 12]
        if len({how for how, _ in path}) == 1:  # the text above says how
            for cells in (head, widths, *rows):
                del cells[1]
        return [table(head, rows, widths)]


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
    app.add_directive("reading-path", ReadingPath)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
