"""The reproduced figures: each a function that computes its data and one that draws them.

`python -m transpde.figures` lists them, `--only NAME` and `--all` make them.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transpde.figures.record import FigureData, digest, load, nearest_names, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FigureData", "data", "describe", "digest", "draw", "load", "make", "names"]

FIGURES = {
    "trad_explosion": "softmax, V = I, A + A^T > 0: covariances blow up along straight rays",
}


def names() -> list[str]:
    """Return the names of the figures."""
    return list(FIGURES)


def describe(name: str) -> str:
    """Return one line on a figure.

    Raises:
        ValueError: an unknown name; the message has the nearest names.
    """
    if name not in FIGURES:
        raise ValueError(f"name: no figure is called {name!r}; {nearest_names(name, names())}")
    return FIGURES[name]


def _module(name: str) -> Any:
    describe(name)
    return importlib.import_module(f"transpde.figures.{name}")


def data(name: str) -> FigureData:
    """Compute the data of a figure.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> from transpde import figures
        >>> figures.data("trad_explosion").numbers["starts"]
        1184
    """
    computed: FigureData = _module(name).data()
    return computed


def draw(name: str, data: FigureData | None = None, figure: Figure | None = None) -> Figure:
    """Draw a figure from its data, computed here if not given.

    Args:
        name: of the figure.
        data: from `figures.data(name)` or `figures.load(name, folder)`.
        figure: an empty figure to draw on; a new one of pyplot by default.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> figure = figures.draw("trad_explosion")  # doctest: +SKIP
    """
    module = _module(name)
    data = module.data() if data is None else data
    if figure is None:
        from matplotlib import pyplot as plt

        figure = plt.figure(figsize=module.SIZE, layout="constrained")
    module.draw(data, figure)
    return figure


def make(
    name: str, out: str | Path = "figures-out", format: str | Sequence[str] = "png"
) -> list[Path]:
    """Compute and draw a figure, and write the picture, NAME.npz and the manifest NAME.json.

    Args:
        name: of the figure.
        out: the folder to write to, made if it is missing.
        format: one or several of "png", "pdf", "svg".

    Returns:
        The files written.

    Raises:
        ValueError: an unknown name or format.
        OSError: the folder cannot be written to.

    Example:
        >>> figures.make("trad_explosion", out="figures-out", format="pdf")  # doctest: +SKIP
    """
    formats = [format] if isinstance(format, str) else list(format)
    return write(name, describe(name), _module(name), Path(out), formats)
