"""The chapters of the book as they describe themselves: order, prerequisites and times.

Order and part stand in ``_toc.yml``; the rest in the box "Before you start" of each notebook: its
prerequisites are the chapters that it links to. Knows nothing of Sphinx.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import book_source as source

PHRASES = {
    "an hour and a half": 5400,
    "an hour": 3600,
    "half an hour": 1800,
    "half a minute": 30,
    "a quarter of a minute": 15,
    "a minute": 60,
}
WORDS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]
UNITS = {"second": 1, "minute": 60, "hour": 3600}


@dataclass(frozen=True)
class Chapter:
    """A notebook of the table of contents.

    `reading` and `with_proofs` are minutes, `running` is in seconds; `prerequisites` are pages.
    """

    page: str
    title: str
    part: str
    number: int
    prerequisites: tuple[str, ...]
    reading: int
    with_proofs: int
    running: int


def seconds(text: str, unit: str) -> int:
    """A duration in the words of a box; `unit` is meant where a number stands alone."""
    for phrase, value in PHRASES.items():
        if phrase in text:
            return value
    number = "|".join([r"\d+", *WORDS])
    found = re.search(rf"\b({number})\b(?: (second|minute|hour))?", text)
    if found is None:
        raise ValueError(f"no duration in {text!r}: say it like '40 minutes' or 'half a minute'")
    amount = int(found[1]) if found[1].isdigit() else WORDS.index(found[1])
    return amount * UNITS[found[2] or unit]


def box(text: str) -> dict[str, str]:
    """The entries of the box: prerequisites, reading time, running time."""
    boxes = source.directives(text, "admonition")
    found = next((box for box in boxes if box.argument == "Before you start"), None)
    if found is None:
        raise ValueError("no box '{admonition} Before you start'")
    return {name.lower(): said for name, said in source.definitions(found.body).items()}


def described(page: str, text: str, part: str, number: int) -> Chapter:
    """The chapter that a page's markdown describes; an error names the page."""
    try:
        return _described(page, text, part, number)
    except ValueError as error:
        raise ValueError(f"{page}: {error}") from None


def _described(page: str, text: str, part: str, number: int) -> Chapter:
    entries = box(text)
    titles = [section.title for section in source.sections(text) if section.level == 1]
    if not titles:
        raise ValueError("no title")
    for name in ("Prerequisites", "Reading time", "Running time"):
        if name.lower() not in entries:
            raise ValueError(f"no '{name}' in the box 'Before you start'")
    short, *long = entries["reading time"].split(",")
    folder = posixpath.dirname(page)
    files = [link.partition("#")[0] for link in source.links(entries["prerequisites"])]
    needed = [
        source.page_name(posixpath.normpath(f"{folder}/{file}"))
        for file in files
        if file and ":" not in file
    ]
    minutes = [seconds(words, "minute") // 60 for words in [short, *long[:1]]]
    return Chapter(
        page=page,
        title=titles[0],
        part=part,
        number=number,
        prerequisites=tuple(dict.fromkeys(needed)),
        reading=minutes[0],
        with_proofs=minutes[-1],
        running=seconds(entries["running time"], "second"),
    )


@cache
def load(root: Path) -> tuple[Chapter, ...]:
    """Every notebook of the table of contents, in its order."""
    found, number = [], 0
    for part in source.contents(root)["parts"]:
        for entry in part["chapters"]:
            number += bool(part.get("numbered"))
            page = source.page_name(entry["file"])
            path = root / f"{page}.ipynb"
            if path.is_file():
                text = source.page_text(source.read(path))
                found.append(described(page, text, part["caption"], number))
    return tuple(found)


# --- the graph ----------------------------------------------------------------------------------

Graph = Mapping[str, tuple[str, ...]]  # a page and the pages that it needs


def graph(chapters: Iterable[Chapter]) -> dict[str, tuple[str, ...]]:
    """What each page needs, as declared."""
    return {chapter.page: chapter.prerequisites for chapter in chapters}


def problems(needs: Graph) -> list[str]:
    """Prerequisites that are no chapter, or do not come before: none means no cycle either."""
    order = list(needs)
    found = []
    for page, needed in needs.items():
        found += [f"{page} needs {one}, which is no chapter" for one in needed if one not in needs]
        later = [one for one in needed if one in needs and order.index(one) >= order.index(page)]
        found += [f"{page} needs {one}, which does not come before it" for one in later]
    return found


def ancestors(needs: Graph, page: str) -> set[str]:
    """All that a page needs, directly or not."""
    return set(needs[page]).union(*(ancestors(needs, one) for one in needs[page]))


def reduced(needs: Graph) -> dict[str, tuple[str, ...]]:
    """The graph without the arrows that others imply."""
    return {
        page: tuple(
            one
            for one in needed
            if not any(one in ancestors(needs, other) for other in needed if other != one)
        )
        for page, needed in needs.items()
    }


def levels(needs: Graph) -> dict[str, int]:
    """How many chapters deep each page stands: 0 where it needs none."""
    found: dict[str, int] = {}
    for page, needed in needs.items():
        found[page] = max((found[one] + 1 for one in needed), default=0)
    return found


def branches(needs: Graph) -> list[str]:
    """The pages, each as soon as possible after the last of what it needs: a tree, read aloud."""
    parents: dict[str, str | None] = {}

    def below(parent: str | None) -> list[str]:
        own = [page for page, over in parents.items() if over == parent]
        return [one for page in own for one in (page, *below(page))]

    for page, needed in reduced(needs).items():
        parents[page] = max(needed, key=below(None).index, default=None)
    return below(None)
