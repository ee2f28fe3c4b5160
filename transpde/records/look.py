"""One look of all figures of the book, and how a notebook of the book shows them.

A figure is shown at its own size, 96 pixels an inch, without scaling: letters are as large in
every figure. One that is wider than the column of a page is drawn anew as wide as the column. It
is a vector picture, or, where that would be heavy, an SVG that holds one of twice the pixels.
"""

from __future__ import annotations

import base64
import io
import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

from transpde.records.vector import compact

__all__ = ["COLUMN", "STYLE", "look", "shown", "use_in_notebooks_of_the_book"]

SVG = "image/svg+xml"
COLUMN = 7.0  # inches: the text of a page on a screen of 1280 pixels
INCH = 96  # pixels of a page
MARGIN = 0.04  # inches around what is drawn
HEAVIEST = 150_000  # bytes of a vector picture
LIGHT = 120_000  # bytes of a picture of pixels
QUALITIES = (80, 60, 45, 35, 25)  # until it is as light: dense lines do not show it
PIXELS = (
    "<svg xmlns='http://www.w3.org/2000/svg' width='{0}' height='{1}' viewBox='0 0 {0} {1}'>"
    "<image width='{0}' height='{1}' href='data:image/webp;base64,{data}'/></svg>"
)
HOPELESS = 5 * HEAVIEST  # bytes of matplotlib's own SVG that no writing makes light

STYLE: Any = {
    "font.size": 9.0,
    "axes.titlesize": "medium",
    "xtick.labelsize": "small",
    "ytick.labelsize": "small",
    "legend.fontsize": "small",
    "figure.titlesize": "medium",
    "figure.dpi": INCH,
    "figure.figsize": (6.0, 3.6),
    "figure.constrained_layout.use": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.minor.width": 0.5,
    "ytick.minor.width": 0.5,
    "lines.linewidth": 1.4,
    "lines.markersize": 5.0,
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "transpde",
}


@contextmanager
def look() -> Iterator[None]:
    """Draw in the book's look, whatever the settings are outside, and leave those as they are."""
    with matplotlib.rc_context():
        _set()
        yield


def _set() -> None:
    matplotlib.rcdefaults()
    matplotlib.rcParams.update(STYLE)


def shown(figure: Figure) -> tuple[str, tuple[int, int]]:
    """Return the picture of a figure, as SVG, and its size on the page in pixels."""
    box = _fitted(figure)
    size = round(box.width * INCH), round(box.height * INCH)
    return _vectors(figure, box) or _pixels(figure, box, size), size


def _bundle(figure: Figure) -> dict[str, str]:
    return {SVG: shown(figure)[0]}


def _fitted(figure: Figure) -> Bbox:
    """Make a figure at most as wide as the column; return the box, in inches, that shows it."""
    for _ in range(3):
        ink = _ink(figure)
        width = max(figure.get_figwidth(), ink.x1) - min(0.0, ink.x0)
        if width <= COLUMN + MARGIN:
            break
        share = COLUMN / width
        # Letters keep their size: lower by less than it is narrower.
        height = figure.get_figheight() * max(share, 0.5) ** 0.5
        figure.set_size_inches(figure.get_figwidth() * share, height)
    left, right = min(0.0, ink.x0), max(figure.get_figwidth(), ink.x1)
    return Bbox([[left, ink.y0 - MARGIN], [right, ink.y1 + MARGIN]])


def _ink(figure: Figure) -> Bbox:
    """Return the box, in inches, of all that is drawn, once no numbers of an axis touch."""
    _lay_out(figure)
    touching = [ax for ax in figure.axes if ax.name == "rectilinear" and _numbers_touch(ax.xaxis)]
    for ax in touching:
        locator: Any = ax.xaxis.get_major_locator()
        locator.set_params(nbins=4)
    if touching:
        _lay_out(figure)
    return figure.get_tightbbox()


def _lay_out(figure: Figure) -> None:
    """Put all in place, as a drawing would."""
    engine = figure.get_layout_engine()
    if engine is not None and figure.axes:
        engine.execute(figure)


def _numbers_touch(axis: Any) -> bool:
    """Whether two numbers of an axis that chooses them itself have hardly a blank between them."""
    if not isinstance(axis.get_major_locator(), MaxNLocator) or not axis.get_visible():
        return False
    labels = [label for label in axis.get_ticklabels() if label.get_visible() and label.get_text()]
    boxes = sorted((label.get_window_extent() for label in labels), key=lambda box: box.x0)
    blank = 0.4 * STYLE["font.size"] * axis.figure.dpi / 72
    return any(b.x0 - a.x1 < blank for a, b in itertools.pairwise(boxes))


def _vectors(figure: Figure, box: Bbox) -> str:
    """Return the SVG, or an empty text where it is too heavy."""
    full = _saved(figure, box, "svg", metadata={"Date": None}).decode()
    if len(full) > HOPELESS:
        return ""
    written = compact(full)
    return written if len(written) <= HEAVIEST else ""


def _pixels(figure: Figure, box: Bbox, size: tuple[int, int]) -> str:
    """Return an SVG of one picture, in pixels of half the size, as good as its weight allows."""
    from PIL import Image

    with Image.open(io.BytesIO(_saved(figure, box, "png", facecolor="white"))) as image:
        full = image.convert("RGB")
    for quality in QUALITIES:
        packed = io.BytesIO()
        full.save(packed, "webp", quality=quality, method=4)
        if packed.tell() <= LIGHT * 3 / 4:  # it is written in base 64
            break
    data = base64.b64encode(packed.getvalue()).decode("ascii")
    return PIXELS.format(*size, data=data)


def _saved(figure: Figure, box: Bbox, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with matplotlib.rc_context({key: STYLE[key] for key in ("svg.fonttype", "svg.hashsalt")}):
        figure.savefig(buffer, format=kind, bbox_inches=box, dpi=2 * INCH, **options)
    return buffer.getvalue()


def use_in_notebooks_of_the_book() -> None:
    """Give a notebook of the book this look; elsewhere do nothing.

    A reader's own settings (MATPLOTLIBRC, a matplotlibrc, style files, IPython's configuration)
    then change no figure of the book. Other notebooks, and all programs, keep theirs.
    """
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython else None
    if getattr(shell, "kernel", None) is None or not _in_the_book(Path.cwd()):
        return
    import matplotlib_inline.backend_inline  # noqa: F401 - it sets its own formats when imported

    _set()
    formatters = shell.display_formatter.formatters
    for kind in ("image/png", "image/jpeg", "image/svg+xml", "application/pdf"):
        formatters[kind].pop(Figure, None)
    shell.display_formatter.mimebundle_formatter.for_type(Figure, _bundle)


def _in_the_book(folder: Path) -> bool:
    """Whether a folder is that of the book, which holds the ledger of claims, or a part of it."""
    return any((place / "claims.yml").is_file() for place in (folder, folder.parent))
