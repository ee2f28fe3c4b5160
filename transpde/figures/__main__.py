"""The command line of the figures: list them, or make some or all."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from transpde import figures
from transpde.records.record import FORMATS, make_writable


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
        make_writable(given.out)
        _make(wanted, given.out, given.format or ["png"])
    except (ValueError, OSError) as error:
        print(f"transpde.figures: {error}", file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1
    return 0


def _make(wanted: list[str], out: Path, formats: list[str]) -> None:
    """Make figures, and say of each at once what was written: the progress that is to be seen."""
    for name in wanted:
        files = figures.make(name, out, formats)
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
    parser.add_argument("--out", type=Path, default=Path("figures-out"), help="where to write")
    parser.add_argument(
        "--format", choices=FORMATS, action="append", help="of the pictures (repeatable)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
