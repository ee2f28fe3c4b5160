"""Figures and explorers: named, described, small, and held to the data they draw."""

from __future__ import annotations

import html
import json
import math
import re

from book_source import code_cells, tags
from nbformat import NotebookNode

from contract.cells import has_picture, printed
from contract.limits import (
    MAX_EXPLORER_BYTES,
    MAX_EXPLORERS,
    MAX_FRAMES,
    MIN_ALT_LENGTH,
    MIN_STOPS,
)

# A dark page draws black as white and turns dark and light about.
SHADES = re.compile(r"\b(black|white|dark|darker|pale|paler|yellow)\b", re.IGNORECASE)
DIGEST = re.compile(r"^data digest: ([0-9a-f]{12})$", re.MULTILINE)


def check_figures(notebook: NotebookNode) -> list[str]:
    """A picture has an alt text, a caption, a name, and prints a digest of its data."""
    found = []
    for number, cell in code_cells(notebook):
        if not has_picture(cell):
            continue
        found += [f"cell {number}: {problem}" for problem in _figure_problems(cell)]
        if "explorer" not in tags(cell) and not DIGEST.search(printed(cell)):
            found.append(f"cell {number}: prints no line 'data digest: <12 hex digits>'")
    return found


def _figure_problems(cell: NotebookNode) -> list[str]:
    settings = cell.metadata.get("mystnb", {})
    alt = alt_text(cell)
    caption = settings.get("figure", {}).get("caption", "").strip()
    name = settings.get("figure", {}).get("name", "")
    found = []
    if len(alt) < MIN_ALT_LENGTH:
        found.append(f"alt text of {len(alt)} characters, at least {MIN_ALT_LENGTH}")
    if alt.lower().startswith(("figure", "image of")):
        found.append("alt text must state the finding, not start with 'Figure' or 'Image of'")
    if alt and alt == caption:
        found.append("alt text repeats the caption")
    if not caption:
        found.append("figure has no caption")
    if shade := SHADES.search(caption):
        found.append(f"caption names the shade {shade[0]!r}, which a dark page changes")
    if not name.startswith("fig-"):
        found.append(f"figure name {name!r} must start with 'fig-'")
    return found


def alt_text(cell: NotebookNode) -> str:
    """The alt text of the cell's picture: in its metadata, that of an explorer in its page."""
    page = explorer_page(cell)
    if page is None:
        return cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "").strip()
    alt = re.search(r'<img [^>]*?alt="([^"]*)"', page)
    return html.unescape(alt[1]).strip() if alt else ""


def check_tags(notebook: NotebookNode) -> list[str]:
    """Only explorers, few of them, escape the comparison of outputs; no cell escapes the run."""
    found, explorers = [], 0
    for number, cell in code_cells(notebook):
        own = tags(cell)
        explorers += {"explorer", "nbval-ignore-output"} <= own
        if "nbval-ignore-output" in own and "explorer" not in own:
            found.append(f"cell {number}: nbval-ignore-output on a cell that is no explorer")
        elif "nbval-ignore-output" in own and explorer_page(cell) is None:
            found.append(f"cell {number}: nbval-ignore-output, but it shows no explorer")
        for tag in sorted(own & {"nbval-skip", "skip-execution"}):
            found.append(f"cell {number}: tagged {tag}: it would never be checked")
    if explorers > MAX_EXPLORERS:
        found.append(f"{explorers} explorer cells, at most {MAX_EXPLORERS}")
    return found


def explorer_page(cell: NotebookNode) -> str | None:
    """The HTML of the explorer that the cell shows, or None."""
    shown = (out.get("data", {}).get("text/html", "") for out in cell.get("outputs", ()))
    return next((page for page in shown if '<figure class="explorer"' in page), None)


def check_explorers(notebook: NotebookNode) -> list[str]:
    """Explorers are few pictures, small, without a dead control, and made of data nbval checks."""
    digests = {
        digest
        for _, cell in code_cells(notebook)
        if "nbval-ignore-output" not in tags(cell)
        for digest in DIGEST.findall(printed(cell))
    }
    found = []
    for number, cell in code_cells(notebook):
        page = explorer_page(cell)
        if page is not None:
            found += [f"cell {number}: {problem}" for problem in _explorer_problems(page, digests)]
            if not {"explorer", "nbval-ignore-output"} <= tags(cell):
                found.append(f"cell {number}: an explorer wants both its tags")
            if any("widget-view" in kind for out in cell.outputs for kind in out.get("data", ())):
                found.append(f"cell {number}: stores a control that is dead without its kernel")
    return found


def _explorer_problems(page: str, digests: set[str]) -> list[str]:
    data = re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    stored = json.loads(data[1]) if data else {"texts": [[]]}
    frames = math.prod(map(len, stored["texts"]))
    drawn = re.search(r'data-digest="([0-9a-f]{12})"', page)
    found = []
    if not 2 <= frames <= MAX_FRAMES:
        found.append(f"explorer of {frames} pictures, 2 to {MAX_FRAMES}")
    if len(page.encode()) > MAX_EXPLORER_BYTES:
        found.append(f"explorer of {len(page.encode())} bytes, at most {MAX_EXPLORER_BYTES}")
    for stops in stored["texts"]:
        if any("." in str(stop) for stop in stops) and len(stops) < MIN_STOPS:
            found.append(f"slider over real numbers of {len(stops)} stops, at least {MIN_STOPS}")
    if not drawn or drawn[1] not in digests:
        found.append("no cell that nbval compares prints the explorer's digest")
    return found
