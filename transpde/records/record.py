"""What is kept of a figure: arrays, key numbers, and a manifest of how they were made."""

from __future__ import annotations

import difflib
import json
import platform
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from transpde.checks import Array
from transpde.records.digests import digest

__all__ = ["FORMATS", "FigureData", "load", "make_writable", "nearest_names", "write"]

FORMATS = ("png", "pdf", "svg")


@dataclass(frozen=True)
class FigureData:
    """The data of a figure and how they were computed.

    Attributes:
        arrays: what the drawing needs, by name; at most 100 kB when compressed.
        numbers: the key numbers of the figure.
        parameters: matrices and constants of the problem.
        seed: of the random draws; None where nothing is random.
        scheme: method and tolerances.
        horizon: the time to which the flow runs, in words where it differs between cases.
    """

    arrays: dict[str, Array]
    numbers: dict[str, Any]
    parameters: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    scheme: dict[str, Any] = field(default_factory=dict)
    horizon: Any = None


def nearest_names(name: str, known: Iterable[str]) -> str:
    """Return advice for an unknown name: the nearest known ones in either case, or all."""
    known = list(known)
    by_letters = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), by_letters, n=3, cutoff=0.4)
    shown = ", ".join(by_letters[one] for one in near)
    return f"the nearest: {shown}." if near else f"known: {', '.join(known)}."


def load(name: str, folder: str | Path) -> FigureData:
    """Return the data of a figure as they were written to a folder.

    Raises:
        FileNotFoundError: NAME.npz or NAME.json is not there.
    """
    manifest = json.loads((Path(folder) / f"{name}.json").read_text(encoding="utf-8"))
    with np.load(Path(folder) / f"{name}.npz") as stored:
        arrays = dict(stored)
    kept = ("numbers", "parameters", "seed", "scheme", "horizon")
    return FigureData(arrays, **{key: manifest[key] for key in kept})


def write(
    name: str, description: str, module: Any, out: Path, formats: Iterable[str]
) -> list[Path]:
    """Compute, draw and write one figure; return the files."""
    formats = list(dict.fromkeys(formats))
    for wanted in formats:
        if wanted not in FORMATS:
            raise ValueError(f"format: must be one of {', '.join(FORMATS)}; got {wanted!r}.")
    make_writable(out)
    data, computing = _timed(lambda: module.data(name))
    pictures = [out / f"{name}.{wanted}" for wanted in formats]
    _, drawing = _timed(lambda: _save(name, data, module, pictures))
    np.savez_compressed(out / f"{name}.npz", **data.arrays)
    manifest = _manifest(name, description, data) | {
        "seconds": {"data": computing, "drawing": drawing},
        "files": [path.name for path in pictures] + [f"{name}.npz"],
    }
    text = json.dumps(manifest, indent=2, ensure_ascii=False, default=_plain) + "\n"
    (out / f"{name}.json").write_text(text, encoding="utf-8")
    return [*pictures, out / f"{name}.npz", out / f"{name}.json"]


def make_writable(out: Path) -> None:
    """Make the folder; raise `OSError` with advice where it cannot be made or written to."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise OSError(
            f"out: cannot write to the folder {str(out)!r} ({error.strerror}). "
            "Choose another by --out."
        ) from error


def _timed(task: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = task()
    spent = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    return result, {key: round(value, 3) for key, value in spent.items()}


def _save(name: str, data: FigureData, module: Any, pictures: list[Path]) -> None:
    """Draw with matplotlib's own settings, whatever the reader's; the same bytes every time."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["svg.hashsalt"] = name
        matplotlib.rcParams["pdf.fonttype"] = 42
        figure = Figure(figsize=module.SIZE, layout="constrained")
        module.draw(name, data, figure)
        for path in pictures:
            undated = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}.get(path.suffix)
            figure.savefig(path, dpi=200, metadata=undated)


def _manifest(name: str, description: str, data: FigureData) -> dict[str, Any]:
    packages = ("numpy", "scipy", "matplotlib", "transpde")
    return {
        "name": name,
        "description": description,
        "parameters": data.parameters,
        "seed": data.seed,
        "scheme": data.scheme,
        "horizon": data.horizon,
        "numbers": data.numbers,
        "arrays": {
            key: {"shape": list(array.shape), "type": str(array.dtype), "digest": digest(array)}
            for key, array in data.arrays.items()
        },
        "versions": {"python": platform.python_version()} | {p: _version(p) for p in packages},
        "platform": platform.platform(),
    }


def _version(package: str) -> str:
    if package == "transpde":
        from transpde import __version__

        return __version__
    return metadata.version(package)


def _plain(value: Any) -> Any:
    """Return arrays and numpy numbers as lists and numbers for json, all 17 digits kept."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"manifest: cannot write a {type(value).__name__}.")
