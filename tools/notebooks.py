"""Which notebooks the tools may write, and how: all of a file or nothing of it."""

import os
import re
import tempfile
from pathlib import Path

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
NAME = re.compile(r"[a-z][a-z0-9_]*")  # it goes into labels and addresses


def chapter_path(given: str) -> Path:
    """The path from the root of a chapter that is to be written, or an exit with a reason."""
    path = Path(os.path.abspath(given))
    book = ROOT / "book"
    if (
        path.suffix != ".ipynb"
        or path.parent.parent != book
        or path.parent.name.startswith(("_", "."))
    ):
        raise SystemExit(f"NB: must be book/PART/NAME.ipynb; got {given!r}")
    if not path.parent.is_dir():
        parts = sorted(p.name for p in book.iterdir() if p.is_dir() and NAME.fullmatch(p.name))
        raise SystemExit(f"NB: no part of the book is {path.parent.name!r}; there are {parts}")
    if not NAME.fullmatch(path.stem):
        raise SystemExit(
            f"NB: NAME must be of small letters, digits and _, a letter first; got {path.stem!r}"
        )
    if path.exists() or path.is_symlink():
        raise SystemExit(f"NB: {given} exists already")
    return path.relative_to(ROOT)


def title_of(given: str) -> str:
    """The title of a chapter, or an exit with a reason."""
    title = given.strip()
    if not title or "\n" in title:
        raise SystemExit(f"TITLE: must be one line that is not empty; got {given!r}")
    return title


def read(given: str) -> tuple[Path, NotebookNode]:
    """The file and the notebook in it, or an exit with a reason."""
    path = Path(given)
    if path.suffix != ".ipynb" or not path.is_file():
        raise SystemExit(
            f"NB: must be a notebook that exists, such as book/PART/NAME.ipynb; got {given!r}"
        )
    try:
        return path.resolve(), nbformat.read(path, as_version=4)
    except (AttributeError, KeyError, ValueError, nbformat.ValidationError) as error:
        raise SystemExit(f"NB: {given} is no notebook: {str(error).splitlines()[0]}") from error


def write(notebook: NotebookNode, path: Path) -> None:
    """Write beside the file, then put it in its place: a full disk leaves the old one."""
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=".ipynb", dir=path.parent)
    new = Path(name)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            nbformat.write(notebook, file)
        new.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
        new.replace(path)
    except OSError as error:
        raise SystemExit(
            f"{path}: cannot be written ({error.strerror}); it is as it was"
        ) from error
    finally:
        new.unlink(missing_ok=True)
