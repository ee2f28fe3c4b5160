"""The command line of the figures: list them, or make some or all."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from transpde import figures
from transpde.records.record import FORMATS, checked_formats, folder_of, make_writable, paths_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 1 where a file cannot be written, 2 for a wrong argument."""
    given = _parser().parse_args(arguments)
    wanted = figures.names() if given.all else list(dict.fromkeys(given.only))
    try:
        for name in given.only:
            figures.describe(name)
        if given.list or not wanted:
            width = max(map(len, figures.names()))
            lines = [f"{name:{width}}  {figures.describe(name)}\n" for name in figures.names()]
            sys.stdout.write("".join(lines))  # at once: a reader such as head may leave early
            return 0
        if find_spec("matplotlib") is None:
            raise OSError("drawing needs matplotlib: pip install transpde[plot]")
        out = folder_of("out", given.out)
        make_writable(out)
        _make(wanted, out, checked_formats(given.format or ["png"]), given.overwrite)
    except (ValueError, OSError) as error:
        print(f"transpde.figures: {error}", file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1
    return 0


def _make(wanted: list[str], out: Path, formats: list[str], overwrite: bool) -> None:
    """Make figures, and say of each at once what was written: the progress that is to be seen.

    A figure whose files are all there is kept, so that a run that was stopped goes on.
    """
    for name in wanted:
        files = paths_of(name, out, formats)
        if not overwrite and all(path.is_file() for path in files):
            print(f"{name}: kept, {files[-1]} is there already", flush=True)
            continue
        files = figures.make(name, out, formats, overwrite=overwrite)
        print(f"{name}: {', '.join(str(path) for path in files)}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m transpde.figures",
        description="Recompute the book's reproduced figures. Without arguments: list them.",
    )
    parser.add_argument("--list", action="store_true", help="list the figures")
    parser.add_argument("--all", action="store_true", help="make every figure")
    parser.add_argument(
        "--only", metavar="NAME", action="append", default=[], help="make this one (repeatable)"
    )
    parser.add_argument("--out", default="figures-out", help="where to write")
    parser.add_argument(
        "--overwrite", action="store_true", help="make again what is there, and replace it"
    )
    parser.add_argument(
        "--format", choices=FORMATS, action="append", help="of the pictures (repeatable)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
