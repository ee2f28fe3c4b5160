"""What is kept of a figure: arrays, key numbers, and a manifest of how they were made."""

from __future__ import annotations

import difflib
import json
import platform
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from transpde.checks import Array, brief, choice, of_kind, text
from transpde.records.digests import digest

__all__ = [
    "FORMATS",
    "FigureData",
    "checked_formats",
    "folder_of",
    "load",
    "make_writable",
    "nearest_names",
    "paths_of",
    "write",
]

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

    def __repr__(self) -> str:
        """Return what it holds, arrays by their shapes."""
        return brief(self, {"arrays": tuple(self.arrays), **self.numbers})


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
    place = folder_of("folder", folder)
    manifest = json.loads((place / f"{text('name', name)}.json").read_text(encoding="utf-8"))
    with np.load(place / f"{name}.npz") as stored:
        arrays = dict(stored)
    kept = ("numbers", "parameters", "seed", "scheme", "horizon")
    return FigureData(arrays, **{key: manifest[key] for key in kept})


def folder_of(name: str, value: Any) -> Path:
    """Return the path of a folder, or raise unless it is a text or path that is not empty."""
    of_kind(name, value, (str, PurePath), "the path of a folder")
    if not str(value):
        raise ValueError(f"{name}: must name a folder; got an empty text. Use '.' for this one.")
    return Path(value)


def paths_of(name: str, out: Path, formats: Iterable[str]) -> list[Path]:
    """Return the files of a figure, the manifest last."""
    return [out / f"{name}.{end}" for end in (*dict.fromkeys(formats), "npz", "json")]


def checked_formats(formats: Any) -> list[str]:
    """Return the formats of pictures, each once."""
    several = list(formats) if isinstance(formats, list | tuple) else [formats]
    if not several:
        raise ValueError(f"format: must be at least one of {', '.join(FORMATS)}; got none.")
    return list(dict.fromkeys(choice("format", one, FORMATS) for one in several))


def write(
    name: str,
    description: str,
    module: Any,
    out: Path,
    formats: Iterable[str],
    overwrite: bool = False,
) -> list[Path]:
    """Compute, draw and write one figure; return the files.

    They are written in a folder of their own inside of `out`, and moved when all are there: what
    fails on the way leaves nothing behind, and a link is replaced, not followed.
    """
    paths = paths_of(name, out, formats)
    make_writable(out)
    there = [path.name for path in paths if path.is_symlink() or path.exists()]
    if there and not overwrite:
        raise FileExistsError(
            f"out: the folder {str(out)!r} holds {', '.join(there)} already. Choose another, or "
            "say overwrite=True (--overwrite)."
        )
    data, computing = _timed(lambda: module.data(name))
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=out) as made:
        new = [Path(made) / path.name for path in paths]
        _, drawing = _timed(lambda: _save(name, data, module, new[:-2]))
        with _named(paths[-2]):
            np.savez_compressed(new[-2], **data.arrays)
        manifest = _manifest(name, description, data) | {
            "seconds": {"data": computing, "drawing": drawing},
            "files": [path.name for path in paths[:-1]],
        }
        written = json.dumps(manifest, indent=2, ensure_ascii=False, default=_plain) + "\n"
        with _named(paths[-1]):
            new[-1].write_text(written, encoding="utf-8")
        for here, path in zip(new, paths, strict=True):
            with _named(path):
                here.replace(path)
    return paths


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file that cannot be written, and say what to do."""
    try:
        yield
    except OSError as error:
        raise OSError(
            f"out: cannot write {str(path)!r} ({error.strerror}); no file was left half written. "
            "Make room there, or choose another folder by --out."
        ) from error


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
            with _named(path.parent.parent / path.name):
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
