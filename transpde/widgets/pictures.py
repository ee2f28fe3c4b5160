"""Figures as pictures, and the data that is drawn in them."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from transpde.checks import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DPI", "Layout", "drawn", "empty", "look", "png", "svg"]

DPI = 110  # of the page: how many of its pixels an inch of a figure takes
# One look whatever the reader's own settings are, with letters that a telephone keeps legible.
# Letters are outlines, so that the picture needs no font; names in it are the same on each run.
SETTINGS = {
    "font.size": 12.0,
    "path.simplify_threshold": 0.2,
    "svg.fonttype": "path",
    "svg.hashsalt": "explorer",
}
NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
# Coordinates of paths, of letters and of marks; the scales of letters keep all their digits.
PLACES = re.compile(r' [dxy]="[^"]*"|translate\([^)]*\)')
DECIMAL = re.compile(r"-?\d+\.\d+")


@contextmanager
def look() -> Iterator[None]:
    """Draw with matplotlib's own settings, but for the size of letters, and change none."""
    try:
        from matplotlib import style
    except ImportError as error:
        raise ImportError("an explorer needs matplotlib: pip install transpde[widgets]") from error
    with style.context(["default", SETTINGS]):
        yield


def empty(size: tuple[float, float]) -> Figure:
    """Return an empty figure that no window and no global state knows of."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    class Canvas(FigureCanvasAgg):
        def get_renderer(self) -> Any:
            # matplotlib keeps the sizes of words by renderer: pictures of one size share it.
            return _renderer(*self.get_width_height(physical=True), self.figure.dpi)

    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    Canvas(figure)
    return figure


@lru_cache(maxsize=2)
def _renderer(width: int, height: int, dpi: float) -> Any:
    from matplotlib.backends.backend_agg import RendererAgg

    return RendererAgg(width, height, dpi)  # type: ignore[no-untyped-call]


class Layout:
    """Places of the axes, kept from one picture to the next while what surrounds them is alike."""

    def __init__(self) -> None:
        self._given: list[Array] = []
        self._places: list[Array] = []
        self._boxes: list[Array] = []

    def apply(self, figure: Figure) -> None:
        """Put all in place once: however often the figure is drawn then, nothing moves."""
        engine, given = figure.get_layout_engine(), _places(figure)
        if engine is not None and figure.axes and not self._fits(figure, given):
            engine.execute(figure)
            self._given, self._places, self._boxes = given, _places(figure), _outlines(figure)
        figure.set_layout_engine(None)  # with any other engine `savefig` would draw twice

    def _fits(self, figure: Figure, given: list[Array]) -> bool:
        """Take the places that are known; whether another layout would come to the same."""
        if not _alike(given, self._given):
            return False
        _put(figure, self._places)
        if _alike(_outlines(figure), self._boxes):
            return True
        _put(figure, given)
        return False


def _places(figure: Figure) -> list[Array]:
    """Return left, bottom, width and height of each axes."""
    return [np.array(ax.get_position(original=True).bounds) for ax in figure.axes]


def _put(figure: Figure, places: list[Array]) -> None:
    for ax, place in zip(figure.axes, places, strict=True):
        ax.set_position(tuple(place))
        ax.set_in_layout(True)  # which `set_position` ends


def _alike(one: list[Array], other: list[Array]) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def _outlines(figure: Figure) -> list[Array]:
    """Return the box of each axes with all its words."""
    boxes = [ax.get_tightbbox() for ax in figure.axes]
    return [np.zeros(0) if box is None else box.get_points() for box in boxes]


def svg(figure: Figure) -> str:
    """Return the drawn figure as SVG, a path a line, to a hundredth of a point."""
    buffer = io.StringIO()
    with look():
        figure.savefig(buffer, format="svg", metadata=NO_METADATA)
    text = buffer.getvalue()
    text = PLACES.sub(_shortened, text[text.index("<svg") :])
    return re.sub(r"\n\s+", "\n", text).strip()


def _shortened(match: re.Match[str]) -> str:
    """Return coordinates with two digits after the point, without spaces beside letters."""
    short = DECIMAL.sub(lambda number: f"{round(float(number[0]), 2) + 0.0:g}", match[0])
    return re.sub(r"\s+", " ", re.sub(r"\s*([MLQCz])\s+", r"\1", short))


def png(figure: Figure) -> bytes:
    """Return the drawn figure as PNG, at twice the size of the page for print."""
    buffer = io.BytesIO()
    with look():
        figure.savefig(buffer, format="png", dpi=2 * DPI)
    return buffer.getvalue()


def drawn(figure: Figure) -> list[Array]:
    """Return the data of everything drawn: lines, marks, areas, images and words."""
    found: list[Array] = []
    for ax in figure.axes:
        for line in ax.lines:
            found.append(np.asarray(line.get_xydata()))
        for patch in ax.patches:
            found.append(patch.get_patch_transform().transform(patch.get_path().vertices))
        for collection in ax.collections:
            found += _marks(collection)
        for image in ax.images:
            found.append(_array(image.get_array()))
        words = [ax.get_title(), *(text.get_text() for text in ax.texts)]
        found.append(_of_words("\n".join(words)))
    return found


def _of_words(text: str) -> Array:
    """Return a few numbers that name a text, of any length, in a digest of numbers."""
    return np.frombuffer(hashlib.sha256(text.encode()).digest(), dtype=np.uint8)


def _marks(collection: Any) -> list[Array]:
    """Return the places, outlines, arrows and numbers of a collection."""
    found = [_array(collection.get_offsets())]
    found += [path.vertices for path in collection.get_paths()]
    values = [collection.get_array()]
    values += [getattr(collection, name, None) for name in ("U", "V")]  # of arrows
    return found + [_array(value) for value in values if value is not None]


def _array(values: Any) -> Array:
    return np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)
