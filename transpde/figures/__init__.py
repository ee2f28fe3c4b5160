"""The reproduced figures, a module a family: data computed, then drawn.

`python -m transpde.figures` lists them, `--only NAME` and `--all` make them. A family is a module
with `data(name) -> FigureData`, `draw(name, data, figure)` and a `SIZE` in inches.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transpde.checks import flag, listing, of_kind, text
from transpde.records import FigureData
from transpde.records.record import checked_formats, folder_of, nearest_names, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["data", "describe", "draw", "make", "names"]

# Each family with its figures and one line on each. The names are those of the authors' scripts.
FAMILIES = {
    "decay_to_zero": {
        "trad_neg_def_V": "softmax, K = -Q, V > 0: covariances decay to zero like 1/t",
        "L2_neg_def_V": "L2, K = -Q, V > 0: covariances decay to zero like 1/t",
        "MH_neg_def_V": "two heads, K = -Q, V > 0: to zero, ever thinner on the way",
        "sink_convergence": "Sinkhorn, K = -Q, V > 0: covariances decay to zero like 1/t",
    },
    "rank_one_limits": {
        "trad_rank_1": "softmax, K = -Q of one row, V = I: limits on a line of rank one",
        "L2_rank_1": "L2, K = -Q of one row, V = I: the same limits as softmax",
    },
    "full_rank_limits": {
        "MH_rank_1": "two heads, one of them empty: limits on a plane, of full rank",
    },
    "isotropic_limits": {
        "trad_mixed_3d": "softmax, indefinite parameters: limits on two lines",
        "L2_mixed_3d": "L2, indefinite parameters: limits on the same two lines",
    },
    "blowup": {
        "trad_explosion": "softmax, V = I, A + A^T > 0: covariances blow up along straight rays",
        "MH_explosion": "two heads, V = I: blow-up in one of two directions",
        "L2_divergence": "L2, V = I: exponential growth, in the end in one direction",
        "sink_divergence": "Sinkhorn, V = I: growth without bound, the shape freezes",
    },
    "limits_and_blowup": {
        "trad_both_V": "softmax: some starts converge, others blow up",
        "L2_both": "L2, same parameters: every start converges, a few to large limits",
        "MH_both": "one head as in the script, and two, under which all decay to zero",
    },
    "limit_ranks": {
        "histograms_trad": "softmax, K = -Q: the ranks of 600 limits are d - rank Q",
        "histograms_L2": "L2, K = -Q: the ranks of 600 limits are d - rank Q",
    },
    "frontispiece": {
        "frontispiece": "Gaussians as ellipses: clustering against blow-up",
    },
    "cover": {
        "cover_size": "the book's cover: one covariance under four heads",
        "cover_sample": "the book's cover: what n tokens know of their limit",
    },
}
FIGURES = {
    name: (family, line) for family, lines in FAMILIES.items() for name, line in lines.items()
}


def names() -> list[str]:
    """Return the names of the figures."""
    return list(FIGURES)


def describe(name: str) -> str:
    """Return one line on a figure.

    Raises:
        ValueError: an unknown name; the message has the nearest names.
    """
    if text("name", name) not in FIGURES:
        raise ValueError(f"name: no figure is called {name!r}; {nearest_names(name, names())}")
    return FIGURES[name][1]


def family(name: str) -> Any:
    """Return the module that computes and draws a figure.

    Raises:
        ValueError: an unknown name.
    """
    describe(name)
    return importlib.import_module(f"transpde.figures.{FIGURES[name][0]}")


def data(name: str) -> FigureData:
    """Compute the data of a figure.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> from transpde import figures
        >>> figures.data("trad_explosion").numbers["starts"]
        1184
    """
    return family(name).data(name)


def draw(name: str, data: FigureData | None = None, figure: Figure | None = None) -> Figure:
    """Draw a figure from its data, computed here if not given.

    Args:
        name: of the figure.
        data: from `figures.data(name)` or `records.load(name, folder)`.
        figure: an empty figure to draw on; a new one of pyplot by default.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> figure = figures.draw("trad_explosion")  # doctest: +SKIP
    """
    from matplotlib import pyplot as plt
    from matplotlib.figure import Figure

    import transpde.plotting  # noqa: F401 - a notebook of the book gets its look by this

    module = family(name)
    if data is not None:
        of_kind("data", data, FigureData)
    if figure is not None:
        of_kind("figure", figure, Figure)
    data = module.data(name) if data is None else data
    if figure is None:
        figure = plt.figure(figsize=module.SIZE, layout="constrained")
    module.draw(name, data, figure)
    return figure


def make(
    name: str,
    out: str | Path = "figures-out",
    format: str | Sequence[str] = "png",
    *,
    overwrite: bool = False,
) -> list[Path]:
    """Compute and draw a figure, and write the picture, NAME.npz and the manifest NAME.json.

    All files come into the folder together, when all are written.

    Args:
        name: of the figure.
        out: the folder to write to, made if it is missing.
        format: one or several of "png", "pdf", "svg".
        overwrite: replace files that are there. A link is replaced, too: what it leads to stays.

    Returns:
        The files written.

    Raises:
        ValueError: an unknown name or format, an empty `out`.
        FileExistsError: a file is there already, and is not to be overwritten.
        OSError: the folder cannot be written to, or is full.

    Example:
        >>> figures.make("trad_explosion", out="figures-out", format="pdf")  # doctest: +SKIP
    """
    line, formats = describe(name), checked_formats(format)
    folder, replace = folder_of("out", out), flag("overwrite", overwrite)
    return write(name, line, family(name), folder, formats, replace)


__dir__ = listing(__all__)
