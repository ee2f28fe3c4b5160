"""Vector pictures on paper: LaTeX knows no SVG, so each becomes a PDF, still of vectors.

The system's own Chromium prints them, as it draws them on the pages; the browser tests need it,
too. Without it the book is printed without these pictures, and the build says so.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from sphinx.application import Sphinx
from sphinx.transforms.post_transforms.images import ImageConverter

CHROMIUM = Path(__file__).resolve().parents[2] / "tools" / "chromium"
PAGE = (
    "<style>@page {{ size: {0}pt {1}pt; margin: 0 }} body {{ margin: 0 }}"
    " svg {{ display: block }}</style>{2}"
)
UNITS = {"pt": 1.0, "px": 0.75, "": 0.75}


def size_of(svg: str) -> tuple[float, float]:
    """Width and height of a picture in points."""
    root = ElementTree.fromstring(svg)
    width, height = (root.attrib[key] for key in ("width", "height"))
    unit = width.lstrip("0123456789.")
    return tuple(float(value.removesuffix(unit)) * UNITS[unit] for value in (width, height))


class VectorPictures(ImageConverter):
    """From SVG to PDF."""

    conversion_rules = [("image/svg+xml", "application/pdf")]  # noqa: RUF012 - Sphinx's own name

    def is_available(self) -> bool:
        return subprocess.run([CHROMIUM], capture_output=True, check=False).returncode == 0

    def convert(self, _from: str, _to: str) -> bool:
        svg = Path(_from).read_text(encoding="utf-8")
        width, height = size_of(svg)
        page = browser().new_page()
        page.set_content(PAGE.format(width, height, svg))
        page.pdf(path=_to, prefer_css_page_size=True, print_background=True, page_ranges="1")
        page.close()
        return True


opened: list[Any] = []  # Playwright and its browser, once a picture is met


def browser() -> Any:
    if not opened:
        from playwright.sync_api import sync_playwright

        found = subprocess.run([CHROMIUM], capture_output=True, text=True, check=True).stdout
        opened.append(sync_playwright().start())
        opened.append(opened[0].chromium.launch(executable_path=found.strip()))
    return opened[1]


def close(app: Sphinx, exception: Exception | None) -> None:
    if opened:
        opened[1].close()
        opened[0].stop()
        opened.clear()


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_post_transform(VectorPictures)
    app.connect("build-finished", close)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
