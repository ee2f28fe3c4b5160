"""Settings, title, sections and words of a page."""

from __future__ import annotations

import re
from typing import Any

from book_source import (
    code_cells,
    count_words,
    headings,
    is_aside,
    is_literal,
    markdown,
    pieces,
    plain,
    sections,
    text_of,
)
from nbformat import NotebookNode

from contract.cells import has_picture
from contract.figures import alt_text
from contract.limits import (
    HEADER_WORDS,
    MAX_SUMMARY_LINES,
    NOTEBOOK_KINDS,
    PROSE_WORDS,
    SECTIONS,
    WORDS_BEFORE_PICTURE,
)

# What a backslash that was not doubled leaves of a formula: \beta, \theta, \frac, \nu, \rho.
UNSEEN = re.compile(r"[^\S \n]|[\x00-\x09\x0b-\x1f]")

FORBIDDEN_WORDS = re.compile(
    r"\b(?:obviously|clearly|easy to see|trivially|simply(?! connected))\b", re.IGNORECASE
)


def settings_of(notebook: NotebookNode) -> dict[str, Any]:
    """The notebook's own settings: its metadata ``transpde``."""
    return notebook.metadata.get("transpde", {})


def kind_of(notebook: NotebookNode) -> str:
    """The kind of the notebook: by it the contract asks for more or less."""
    return settings_of(notebook).get("kind", "chapter")


def check_kind(notebook: NotebookNode) -> list[str]:
    """The settings are known ones: a misspelt key would change nothing, silently."""
    settings = settings_of(notebook)
    found = [f"unknown setting {key!r}" for key in settings.keys() - {"kind", "prose_numbers"}]
    if kind_of(notebook) not in NOTEBOOK_KINDS:
        found.append(f"unknown kind {settings['kind']!r}; one of {', '.join(NOTEBOOK_KINDS)}")
    return found


def check_title(notebook: NotebookNode) -> list[str]:
    """The page opens with its one title."""
    levels = [level for _, level, _ in headings(notebook)]
    if levels[:1] != [1] or levels.count(1) != 1:
        return ["the notebook must have one H1 title, before every other heading"]
    return []


def check_prose(notebook: NotebookNode) -> list[str]:
    """No computed number written by hand, no word that tells the reader it is easy, no tab."""
    exempt = {str(number) for number in settings_of(notebook).get("prose_numbers", ())}
    texts = [(piece.cell, text_of(part, is_literal)) for piece, part in markdown(notebook)]
    for number, cell in code_cells(notebook):
        settings = cell.metadata.get("mystnb", {})
        texts.append((number, alt_text(cell)))
        texts.append((number, settings.get("figure", {}).get("caption", "")))
    found = []
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type == "markdown":
            for sign in UNSEEN.findall(cell.source):
                found.append(f"cell {number}: {sign!r} in the text: double the backslash")
    for number, text in texts:
        clean = plain(text)
        for decimal in re.findall(r"(?<![\w.])\d+\.\d+(?:e[+-]?\d+)?(?!\w|\.\d)", clean):
            if decimal not in exempt:
                found.append(
                    f"cell {number}: number {decimal} in prose: print it from a cell and point"
                    " there (what is no result, such as an arXiv number, goes into the list"
                    " transpde.prose_numbers of the notebook's metadata)"
                )
        for word in FORBIDDEN_WORDS.findall(clean):
            found.append(f"cell {number}: {word!r} in prose: give the reason instead")
    return found


def check_written(notebook: NotebookNode) -> list[str]:
    """No place of the template is left to write."""
    found = []
    for number, cell in enumerate(notebook.cells, start=1):
        settings = cell.metadata.get("mystnb", {})
        texts = [cell.source, alt_text(cell), settings.get("figure", {}).get("caption", "")]
        for line in "\n".join(texts).splitlines():
            if re.search(r"\bTODO\b", line):
                found.append(f"cell {number}: left to write: {line.strip()[:60]}")
    return found


def check_sections(notebook: NotebookNode) -> list[str]:
    """The sections every chapter has, in order, and the header block."""
    found, place = [], 0
    texts = [text.lower() for _, _, text in headings(notebook)]
    wanted = [s for s in SECTIONS if s != "Exercises" or kind_of(notebook) == "chapter"]
    for section in wanted:
        later = [i for i, text in enumerate(texts) if text.startswith(section.lower())]
        if not later:
            found.append(f"no section {section!r}")
        elif later[0] < place:
            found.append(f"section {section!r} is out of order: {', '.join(wanted)}")
        place = max([place, *later[:1]])
    if not any("what fails" in text for text in texts):
        found.append("no heading that holds 'What fails'")
    opening = [text_of(part, is_literal) for _, part in markdown(notebook)]
    if not any(all(word in text for word in HEADER_WORDS) for text in opening):
        found.append(f"no block that gives {', '.join(HEADER_WORDS)}")
    return found


def check_words(notebook: NotebookNode) -> list[str]:
    """A computed picture comes early, and the chapter is neither a note nor a treatise."""
    words, before = 0, None
    for piece in pieces(notebook):
        if isinstance(piece.content, NotebookNode):
            if before is None and has_picture(piece.content):
                before = words
        elif piece.gate is None:
            words += count_words(text_of(piece.content, is_aside))
    found = []
    if before is None or before >= WORDS_BEFORE_PICTURE:
        came = "no picture" if before is None else f"first picture after {before} words"
        found.append(f"{came}: it must come before word {WORDS_BEFORE_PICTURE}")
    low, high = PROSE_WORDS.get(kind_of(notebook), PROSE_WORDS["chapter"])
    if not low <= words <= high:
        found.append(f"{words} words of prose, not {low} to {high}")
    return found


def check_summary(notebook: NotebookNode) -> list[str]:
    """The last section, the summary, fits on a card."""
    text = "\n".join(text_of(part, is_literal) for _, part in markdown(notebook))
    found = (one.body for one in sections(text) if one.title.lower().startswith("summary"))
    section = next(found, None)
    lines = [line for line in (section or "").splitlines() if line.strip()]
    if len(lines) > MAX_SUMMARY_LINES:
        return [f"summary of {len(lines)} lines, at most {MAX_SUMMARY_LINES}"]
    if section is not None and not lines:
        return ["the summary is empty"]
    return []
