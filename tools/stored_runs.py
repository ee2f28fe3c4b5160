"""Runs of the frontier chapters on disk: `keep` is what each of their commands ends with."""

import sys
from pathlib import Path
from types import SimpleNamespace

from transpde.records.record import write

FOLDER = Path(__file__).resolve().parents[1] / "book" / "frontier" / "data"


def keep(name, about, data):
    """Write the arrays and the manifest of `data(name)` to the folder named, or the book's."""
    folder = Path(sys.argv[1]) if sys.argv[1:] else FOLDER
    module = SimpleNamespace(data=data, draw=lambda *_: None, SIZE=(1, 1))  # without a picture
    write(name, about, module, folder, (), overwrite=True)
