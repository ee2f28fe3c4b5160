"""A drawn figure as a small picture of few colours, for the pages of the book."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from transpde.checks import Array, of_kind, positive_integer
from transpde.records.record import FigureData

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Picture", "outline", "picture"]


MARGIN = 8  # pixels of white around what is drawn: pages may be dark


@dataclass(frozen=True, repr=False)
class Picture:
    """A PNG that a notebook shows.

    Attributes:
        png: the bytes of the file.
    """

    png: bytes

    def _repr_png_(self) -> bytes:
        return self.png

    def __repr__(self) -> str:
        return "Picture()"


def outline(data: FigureData) -> list[Array]:
    """Return starts, ends and means of the paths, and all else as it is: for a digest.

    The points in between depend, in their fifth digit, on the steps of the solver.

    Example:
        >>> from transpde import figures
        >>> from transpde.records import outline
        >>> [part.shape for part in outline(figures.data("trad_rank_1"))]
        [(100, 2, 2), (100, 2, 2), (32, 2, 2), (100,)]
    """
    of_kind("data", data, FigureData)
    parts: list[Array] = []
    for array in data.arrays.values():
        is_paths = array.ndim > 2
        parts += [array[0], array[-1], array.mean(axis=1)] if is_paths else [array]
    return parts


def picture(figure: Figure, *, dpi: int = 100, colours: int = 128) -> Picture:
    """Return a figure with a palette: thousands of paths then take a third of the bytes.

    A figure of pyplot is closed, so that a notebook shows it once.

    Args:
        figure: drawn.
        dpi: pixels an inch.
        colours: of the palette, 2 to 256.

    Example:
        >>> from matplotlib.figure import Figure
        >>> from transpde.records import picture
        >>> picture(Figure())
        Picture()
    """
    from matplotlib import pyplot as plt
    from matplotlib.figure import Figure
    from PIL import Image, ImageOps

    of_kind("figure", figure, Figure)
    dpi, colours = positive_integer("dpi", dpi), positive_integer("colours", colours)
    if not 2 <= colours <= 256:
        raise ValueError(f"colours: must be from 2 to 256; got {colours}.")
    drawn, packed = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi)
    plt.close(figure)
    with Image.open(drawn) as image:
        full = image.convert("RGB")
    drawn_on = ImageOps.invert(full).getbbox() or (0, 0, *full.size)
    framed = ImageOps.expand(full.crop(drawn_on), MARGIN, "white")
    few = framed.quantize(colours, dither=Image.Dither.NONE)
    few.save(packed, "png", optimize=True)
    return Picture(packed.getvalue())
