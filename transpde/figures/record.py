"""What is kept of a figure: arrays, their digests, and a manifest of how they were made."""

from __future__ import annotations

import difflib
import hashlib
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

from transpde.checks import Array, positive_integer

__all__ = ["FORMATS", "FigureData", "digest", "load", "nearest_names", "write"]

FORMATS = ("png", "pdf", "svg")
FEW, SUMS = 64, 4  # entries that count one by one in a digest; the sums of more


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


def digest(*arrays: Any, digits: int = 6) -> str:
    """Return 12 hexadecimal characters that name arrays up to rounding.

    Each array is divided by its largest finite absolute value and rounded to `digits` decimals;
    its shape counts, and that largest value to as many digits. Of an array of more than 64 entries
    four sums with fixed random signs, over the square root of their number, stand for the entries.
    A zero has no sign and every NaN is the same. Noise of 1e-13 of the largest value changes the
    digest only if one of so few numbers lies that close to the border of two roundings; decimal
    fractions such as 0.0000005 do not.

    Args:
        *arrays: real arrays of any shape.
        digits: decimals that count, 1 to 9.

    Example:
        >>> from transpde.figures import digest
        >>> digest([1.0, 2.0]) == digest([1.0, 2.0 + 1e-13])
        True
    """
    if positive_integer("digits", digits) > 9:
        raise ValueError(f"digits: must be at most 9; got {digits}.")
    total = hashlib.sha256()
    for array in arrays:
        values = np.asarray(array, dtype=np.float64)
        finite = np.abs(values[np.isfinite(values)])
        scale = float(finite.max()) if finite.size and finite.max() > 0 else 1.0
        # Rounded first to 12 decimals: an entry at the middle of two roundings, common among
        # decimal fractions, then goes the same way whatever its last bits are.
        rounded = np.round(np.round(_counted(values / scale), 12), digits) + 0.0  # no -0.0
        rounded = np.where(np.isnan(rounded), np.nan, rounded)
        size = f"{float(f'{scale:.11e}'):.{digits - 1}e}"
        total.update(f"{values.shape} {size} ".encode())
        total.update(np.ascontiguousarray(rounded, dtype="<f8").tobytes())
    return total.hexdigest()[:12]


def _counted(values: Array) -> Array:
    """Return the entries, or a few sums of many: one of 100,000 would lie at a border."""
    if values.size <= FEW:
        return values
    bits = np.random.PCG64(SUMS).random_raw(SUMS * values.size)  # the same for ever
    signs = np.where(bits >> 63, 1.0, -1.0).reshape(SUMS, -1)
    finite = np.isfinite(values)
    sums = signs @ np.where(finite, values, 0.0).ravel() / np.sqrt(values.size)
    others = np.empty(0) if finite.all() else np.where(finite, 0.0, values).ravel()
    return np.concatenate([sums, others])


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
