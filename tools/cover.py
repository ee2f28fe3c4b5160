"""Writes the pictures of cover and recipes to book/_static, as the package draws them now.

    python tools/cover.py

Two of them show the heads of a published model, from numbers that are stored with the book: no
weights are needed.

A test compares what is stored with what is drawn (tests/test_cover.py).
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import pyplot as plt
from PIL import Image

from transpde import figures, models, plotting
from transpde.figures import cover
from transpde.records import load

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BOOK = Path(__file__).resolve().parents[1] / "book"
FOLDER = BOOK / "_static"
DPI = 200  # twice the pixels of the page
TEXTS = 5  # of the stored inputs the first; the others are controls
NEIGHBOURS = 31


def survey(text: int | slice, n: int) -> models.Survey:
    """The stored numbers of all heads on texts of n tokens, mean over several."""
    stored = load("heads", BOOK / "real" / "data")
    at = stored.parameters["lengths"].index(n)
    found = (stored.arrays[name][:, at][text].astype(float) for name in KEYS)
    values = [x.mean(axis=0) if isinstance(text, slice) else x for x in found]
    layers = np.full(values[0].shape[0], np.nan)  # diameters are not stored, nor drawn
    return models.Survey(n, *values, layers, layers, layers)


KEYS = ("spread", "share", "twin_share")


def of_heads(name: str) -> Figure:
    """Draw how affine the heads of the model are: a small picture, or that of the recipe."""
    if name == "recipe_heads":
        figure = plt.figure(figsize=(5.0, 3.2), layout="constrained")
        plotting.plot_heads(survey(0, 128), ax=figure.add_subplot())
        return figure
    figure = plt.figure(figsize=cover.SIZE, layout="constrained")
    ax = figure.add_subplot()
    found = survey(slice(TEXTS), 512)
    _cover_heads(ax, found)
    return figure


def _cover_heads(ax: Axes, found: models.Survey) -> None:
    blue, red = (plotting.attention_style(kind)["color"] for kind in ("Softmax", "L2"))
    order = found.spread.argsort(axis=None, kind="stable")
    windows = (
        np.lib.stride_tricks.sliding_window_view(x.ravel()[order], NEIGHBOURS)
        for x in (found.spread, found.twin_share)
    )
    ax.plot(found.spread.ravel(), found.share.ravel(), "o", ms=2.5, color=blue, alpha=0.6)
    ax.plot(*(np.median(one, axis=-1) for one in windows), color=red, linewidth=1.4)
    ax.text(0.52, 0.22, "72 heads of\na model", color=blue)
    ax.text(2.9, 0.75, "Gaussian tokens", color=red)
    ax.set_xscale("log")
    ax.set_xticks([0.5, 1, 2, 4, 8, 16], ["0.5", "1", "2", "4", "8", "16"])
    ax.tick_params(which="minor", length=0)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=cover.LETTERS)
    ax.set(xlabel="spread of the scores", ylabel="how affine a head is", ylim=(-0.1, 1.0))
    for text in (ax.xaxis.label, ax.yaxis.label, *ax.texts):
        text.set_fontsize(cover.LETTERS)


DRAWN = {name: figures.draw for name in ("frontispiece", "cover_size", "cover_sample")}
DRAWN |= {name: of_heads for name in ("cover_heads", "recipe_heads")}
NAMES = tuple(DRAWN)


def drawn(name: str) -> bytes:
    """Return a picture as a file of matplotlib's own settings, whatever the reader's are."""
    file = io.BytesIO()
    with plt.rc_context():
        plt.rcdefaults()
        DRAWN[name](name).savefig(file, format="png", dpi=DPI)
    plt.close("all")
    with Image.open(file) as image:
        # Few colours: a palette loses nothing that is seen.
        palette = image.convert("RGB").quantize(64, dither=Image.Dither.NONE)
    small = io.BytesIO()
    palette.save(small, "png", optimize=True)
    return small.getvalue()


if __name__ == "__main__":
    for name in NAMES:
        (FOLDER / f"{name}.png").write_bytes(drawn(name))
        print(f"book/_static/{name}.png")
