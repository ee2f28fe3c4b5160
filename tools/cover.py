"""Writes the pictures of the book's cover to book/_static, as the package draws them now.

    python tools/cover.py

A test compares what is stored with what is drawn (tests/test_cover.py).
"""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib import pyplot as plt
from PIL import Image

from transpde import figures

FOLDER = Path(__file__).resolve().parents[1] / "book" / "_static"
NAMES = ("frontispiece", "cover_size", "cover_sample", "cover_ranks")
DPI = 200  # twice the pixels of the page


def drawn(name: str) -> bytes:
    """Return a picture as a file of matplotlib's own settings, whatever the reader's are."""
    file = io.BytesIO()
    with plt.rc_context():
        plt.rcdefaults()
        figures.draw(name).savefig(file, format="png", dpi=DPI)
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
