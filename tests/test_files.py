"""What the commands write: nothing is overwritten, left half or written elsewhere in silence."""

import errno
import os
import subprocess
import sys
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from loading import ROOT, load_tool
from nbformat.v4 import new_code_cell, new_notebook

from transpde import figures
from transpde.figures.__main__ import main
from transpde.records import FigureData

NAMES = ["trad_rank_1", "L2_rank_1"]


def full(*given, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- figures -------------------------------------------------------------------------------------


@pytest.fixture
def family(monkeypatch):
    """Figures that take no time; `made` says which were computed."""
    made = []

    def data(name):
        made.append(name)
        return FigureData({"a": np.arange(3.0)}, {"n": 3})

    def draw(name, data, figure):
        figure.add_subplot().plot(data.arrays["a"])

    module = SimpleNamespace(data=data, draw=draw, SIZE=(1.0, 1.0), made=made)
    monkeypatch.setattr(figures, "family", lambda name: module)
    return module


def command(out, *more):
    return main([*(f"--only={name}" for name in NAMES), f"--out={out}", *more])


def test_a_rerun_goes_on_where_the_last_run_stopped(family, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as during:
        first = figures.make

        def interrupted(name, *given, **options):
            if name == NAMES[1]:
                raise KeyboardInterrupt
            return first(name, *given, **options)

        during.setattr(figures, "make", interrupted)
        with pytest.raises(KeyboardInterrupt):
            command(tmp_path)
    before = contents(tmp_path)
    assert command(tmp_path) == 0
    assert family.made == NAMES
    assert before.items() <= contents(tmp_path).items()
    assert f"{NAMES[0]}: kept" in capsys.readouterr().out
    assert command(tmp_path, "--overwrite") == 0
    assert family.made == 2 * NAMES


@pytest.mark.parametrize("end", ["png", "npz", "json"])
def test_a_file_that_is_there_is_not_overwritten_without_a_word(family, tmp_path, capsys, end):
    there = tmp_path / f"{NAMES[0]}.{end}"
    there.write_text("mine")
    assert command(tmp_path) == 1
    assert there.name in capsys.readouterr().err
    assert contents(tmp_path) == {there.name: b"mine"}
    with pytest.raises(FileExistsError, match=there.name):
        figures.make(NAMES[0], tmp_path)
    figures.make(NAMES[0], tmp_path, overwrite=True)
    assert there.read_bytes() != b"mine"


@pytest.mark.parametrize("target", ["of a file", "of nothing"])
def test_a_link_is_not_followed(family, tmp_path, target):
    out, mine = tmp_path / "out", tmp_path / "mine"
    out.mkdir()
    if target == "of a file":
        mine.write_text("mine")
    (out / f"{NAMES[0]}.png").symlink_to(mine)
    with pytest.raises(FileExistsError, match="png already"):
        figures.make(NAMES[0], out)
    figures.make(NAMES[0], out, overwrite=True)
    assert not (out / f"{NAMES[0]}.png").is_symlink()
    assert mine.read_text() == "mine" if target == "of a file" else not mine.exists()


@pytest.mark.parametrize(
    ("where", "file"),
    [
        ("matplotlib.figure.Figure.savefig", "trad_rank_1.png"),
        ("numpy.savez_compressed", "trad_rank_1.npz"),
        ("pathlib.Path.write_text", "trad_rank_1.json"),
        ("pathlib.Path.replace", "trad_rank_1.png"),
    ],
)
def test_a_full_disk_leaves_what_was_there(family, tmp_path, monkeypatch, where, file):
    figures.make(NAMES[0], tmp_path)
    before = contents(tmp_path)
    with monkeypatch.context() as during:
        during.setattr(where, full)
        with pytest.raises(OSError, match=rf"out: cannot write '.*{file}' \(No space"):
            figures.make(NAMES[0], tmp_path, overwrite=True)
        with pytest.raises(OSError, match=file):
            figures.make(NAMES[0], tmp_path / "new")
    assert contents(tmp_path / "new") == {}
    (tmp_path / "new").rmdir()
    assert contents(tmp_path) == before


def test_an_empty_folder_is_refused(family, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["--only", NAMES[0], "--out", ""]) == 2
    assert "out: must name a folder" in capsys.readouterr().err
    assert contents(tmp_path) == {}


# --- notebooks -----------------------------------------------------------------------------------


@pytest.fixture
def notebooks(tmp_path, monkeypatch):
    tool = load_tool("notebooks")
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    for part in ("gaussian", "pde", "_static"):
        (tmp_path / "book" / part).mkdir(parents=True)
    return tool


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "must be book/PART/NAME.ipynb"),
        ("name.ipynb", "must be book/PART/NAME.ipynb"),
        ("/gaussian/name.ipynb", "must be book/PART/NAME.ipynb"),
        ("book/gaussian/../../name.ipynb", "must be book/PART/NAME.ipynb"),
        ("book/gaussian/name.py", "must be book/PART/NAME.ipynb"),
        ("book/_static/name.ipynb", "must be book/PART/NAME.ipynb"),
        (
            "book/other/name.ipynb",
            r"no part of the book is 'other'; there are \['gaussian', 'pde'",
        ),
        ("book/gaussian/it's.ipynb", 'small letters, digits and _.*"it\'s"'),
        ("book/gaussian/.ipynb", "must be book/PART/NAME.ipynb"),
        ("book/gaussian/there.ipynb", "exists already"),
        ("book/gaussian/link.ipynb", "exists already"),
    ],
)
def test_a_chapter_is_written_in_a_part_of_the_book_alone(notebooks, given, message):
    (notebooks.ROOT / "book/gaussian/there.ipynb").touch()
    (notebooks.ROOT / "book/gaussian/link.ipynb").symlink_to(notebooks.ROOT / "nowhere")
    with pytest.raises(SystemExit, match=f"NB: .*{message}"):
        notebooks.chapter_path(given)


def test_a_chapter_that_is_new_has_its_path_from_the_root(notebooks):
    assert (
        str(notebooks.chapter_path("book/gaussian/name_2.ipynb")) == "book/gaussian/name_2.ipynb"
    )
    assert notebooks.title_of("it's {a} title ") == "it's {a} title"
    for title in ("", "  ", "two\nlines"):
        with pytest.raises(SystemExit, match="TITLE: must be one line"):
            notebooks.title_of(title)
    written = load_tool("new_chapter").chapter("name", "it's {a} title")
    assert written.cells[0].source.startswith("# it's {a} title\n")


def test_a_full_disk_leaves_the_notebook_as_it_was(notebooks, tmp_path, monkeypatch):
    path = tmp_path / "a.ipynb"
    notebooks.write(new_notebook(cells=[new_code_cell("1")]), path)
    before = path.read_bytes()
    for where in ("nbformat.write", "pathlib.Path.replace"):
        with monkeypatch.context() as during:
            during.setattr(where, full)
            with pytest.raises(SystemExit, match=r"a.ipynb: cannot be written \(No space"):
                notebooks.write(new_notebook(), path)
        assert path.read_bytes() == before
    assert [p.name for p in tmp_path.glob("*.ipynb")] == ["a.ipynb"]
    assert not list(tmp_path.glob(".a-*"))
    assert nbformat.read(path, as_version=4).cells[0].source == "1"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("missing.ipynb", None, "NB: must be a notebook that exists"),
        ("words.txt", "{}", "NB: must be a notebook that exists"),
        ("broken.ipynb", "{", "is no notebook"),
        ("other.ipynb", "[1]", "is no notebook"),
    ],
)
def test_what_is_no_notebook_ends_in_a_sentence(notebooks, tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(SystemExit, match=message):
        load_tool("execute").execute(str(tmp_path / name))


def test_the_command_ends_in_the_sentence_alone(tmp_path):
    (tmp_path / "broken.ipynb").write_text("{")
    tool = [sys.executable, str(ROOT / "tools" / "execute.py"), str(tmp_path / "broken.ipynb")]
    done = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "is no notebook" in done.stderr
    assert "Traceback" not in done.stderr


TITLE = """it's "one" $HOME $(whoami) `id` \\ title"""


@pytest.mark.parametrize(("target", "tool"), [("chapter", "new_chapter"), ("notebook", "execute")])
def test_make_hands_on_what_was_typed(target, tool):
    said = ["make", "-s", target, f"NB={TITLE}.ipynb", f"TITLE={TITLE}", "PY=printf '%s\\n'"]
    done = subprocess.run(
        [*said, "INSTALLED=", "STAGE=tools/stage"], cwd=ROOT, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    start = lines.index(f"tools/{tool}.py")
    wanted = [f"{TITLE}.ipynb", TITLE][: 2 if target == "chapter" else 1]
    assert lines[start + 1 : start + 1 + len(wanted)] == wanted
