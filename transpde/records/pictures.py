"""A drawn figure as a small picture, for the pages of the book."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from transpde.checks import Array, of_kind
from transpde.records.record import FigureData

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Picture", "outline", "picture"]


@dataclass(frozen=True, repr=False)
class Picture:
    """A picture that a notebook shows.

    Attributes:
        svg: the text of the file.
    """

    svg: str

    def _repr_svg_(self) -> str:
        return self.svg

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


def picture(figure: Figure) -> Picture:
    """Return a figure as a notebook of the book shows it, in vectors or, if lighter, in pixels.

    A figure of pyplot is closed, so that a notebook shows it once.

    Args:
        figure: drawn; one that is wider than a page becomes as wide as that.

    Example:
        >>> from matplotlib.figure import Figure
        >>> from transpde.records import picture
        >>> picture(Figure())
        Picture()
    """
    from matplotlib import pyplot as plt
    from matplotlib.figure import Figure

    from transpde.records.look import shown

    svg, _ = shown(of_kind("figure", figure, Figure))
    plt.close(figure)
    return Picture(svg)
