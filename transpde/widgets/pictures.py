"""Figures as pictures, and the data that is drawn in them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from transpde.checks import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DPI", "drawn", "empty", "look", "png", "webp"]

DPI = 110
# A colour channel keeps 31 of its 256 levels: no change that is seen, and two thirds of the bytes.
LEVEL = 8.5
# One look whatever the reader's own settings are, with letters that a telephone keeps legible.
SETTINGS = {"font.size": 12.0}


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

    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def webp(figure: Figure) -> bytes:
    """Return the drawn figure as a lossless WebP, about two thirds of the size of a PNG."""
    # Method 4: the slower ones save 2 % in a hundred times the time.
    return _saved(figure, "WEBP", lossless=True, method=4, quality=80)


def png(figure: Figure) -> bytes:
    """Return the drawn figure as PNG."""
    return _saved(figure, "PNG", optimize=True)


def _saved(figure: Figure, kind: str, **options: Any) -> bytes:
    from PIL import Image

    canvas: Any = figure.canvas
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    coarse = (np.rint(pixels / LEVEL) * LEVEL).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).save(buffer, kind, **options)
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
