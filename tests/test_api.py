"""The shape of the package: names, order of imports, light import, size of functions."""

import ast
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import book_source as source
import pytest
import yaml
from table import HEADS

import transpde
from transpde import attention

PACKAGE = Path(transpde.__file__).parent
# Each module imports from earlier ones only.
ORDER = [
    "unchanging", "checks", "progress", "fields", "spaces", "measures", "kernels", "attention",
    "schedules", "stepping", "trajectories", "noise", "sampling", "flow", "filtering", "gradients",
    "training", "crowd", "spectra", "distances", "disc", "convergence", "conventions",
    "theory", "causal_circle", "energy", "models", "ensembles", "records", "plotting", "figures",
    "widgets", "exercises",
]  # fmt: skip
SOURCES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 300, 40  # of code: docstrings, comments and blanks apart
NO_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENDMARKER,
}  # fmt: skip
ROOMS = sorted({path.parent for path in SOURCES})


def test_every_public_name_resolves_and_is_documented():
    assert sorted(transpde.__all__) == sorted(set(transpde.__all__))
    for name in transpde.__all__:
        assert getattr(transpde, name).__doc__, name


def test_every_attention_is_in_the_book_and_in_the_table_of_tests():
    book = Path(__file__).parents[1] / "book"
    names = [*attention.normalised.__all__, *attention.unnormalised.__all__]
    rows = source.table_rows((book / "notation.md").read_text())
    shown = {call.partition("(")[0] for row in rows for cell in row for call in source.code(cell)}
    places = {
        "a row in the table of attentions of book/notation.md": shown,
        "a row in tests/table.py": {head.__name__ for head in HEADS.values()},
        "a place in transpde.__all__": set(transpde.__all__),
    }
    missing = [
        f"{name} needs {place}"
        for place, held in places.items()
        for name in names
        if name not in held
    ]
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_to_earlier_modules(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("transpde."):
            used = [node.module.split(".")[1]]
        elif isinstance(node, ast.ImportFrom) and node.module == "transpde":
            used = [alias.name for alias in node.names if alias.name in ORDER]
        else:
            continue
        later = [m for m in used if ORDER.index(m) > ORDER.index(own)]
        assert not later, (
            f"line {node.lineno}: {own} imports {later[0]}, which comes after it in ORDER: "
            "move what both need to an earlier one"
        )


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_module_imports_a_private_name_of_another(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("transpde"):
            names = [alias.name for alias in node.names]
            private = [one for one in names if one.startswith("_") and not one.endswith("__")]
            assert not private, (
                f"line {node.lineno}: {private[0]} is private to {node.module}: call it without "
                "the underscore there, where others use it"
            )


def imported(tree: ast.AST, modules: set[str]) -> set[str]:
    """Which of the modules the code imports when it runs: not for its types alone."""
    found = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names if names <= modules else {node.module}
        elif not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            found |= imported(node, modules)
    return found & modules


def in_a_circle(room: Path) -> list[str]:
    """Modules of a room each of which imports the next, the last being the first; or none."""
    paths = {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(
            ".__init__"
        ): path
        for path in room.rglob("*.py")
    }
    needs = {name: imported(ast.parse(p.read_text()), set(paths)) for name, p in paths.items()}
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        return error.args[1]
    return []


@pytest.mark.parametrize("room", ROOMS, ids=lambda p: p.name)
def test_no_imports_go_in_a_circle(room):
    assert in_a_circle(room) == []


def test_a_circle_of_imports_is_found(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path / "transpde")
    room = tmp_path / "transpde" / "room"
    room.mkdir(parents=True)
    (room / "__init__.py").write_text("from transpde.room.a import f")
    (room / "a.py").write_text("from transpde.room import b")
    (room / "b.py").write_text("if TYPE_CHECKING:\n    from transpde.room.a import f")
    assert in_a_circle(room) == []
    (room / "b.py").write_text("def g():\n    from transpde.room.a import f")
    assert set(in_a_circle(room)) == {"transpde.room.a", "transpde.room.b"}
    (room / "b.py").write_text("from transpde.room import f")  # of the room's own front
    assert "transpde.room" in in_a_circle(room)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_arguments_and_errors_stand_together(path):
    """Between them anything else splits the list of the page, which then gives arguments twice."""
    kinds = (ast.ClassDef, ast.FunctionDef)
    for node in (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, kinds)):
        text = ast.get_docstring(node) or ""
        between = re.search(r"^Args:\n(.*?)^Raises:", text, re.MULTILINE | re.DOTALL)
        left = re.findall(r"^(?!Returns:)\S.*", between[1], re.MULTILINE) if between else []
        assert not left, f"{node.name}: {left[0]}"


def code_lines(source: str) -> set[int]:
    """The numbers of the lines that hold code: docstrings, comments and blanks do not."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    prose: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            prose.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            code.update(range(token.start[0], token.end[0] + 1))
    return code - prose


def test_code_is_counted_without_prose():
    lines = [
        '"""One.', "", 'Two."""', "", "# three", "def f(x):  # four", '    """Five."""',
        "    y = '''", "'''", "    return y",
    ]  # fmt: skip
    source = "\n".join(lines) + "\n"
    assert code_lines(source) == {6, 8, 9, 10}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_and_functions_are_short_and_never_assert(path):
    tree, code = ast.parse(path.read_text()), code_lines(path.read_text())
    assert len(code) <= MOST_LINES, (
        f"{len(code)} lines of code, at most {MOST_LINES}: make two modules of it"
    )
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Assert), (
            f"an assertion in line {node.lineno}, which python -O leaves out: raise an error"
        )
        if isinstance(node, ast.FunctionDef):
            lines = len(code & set(range(node.lineno, node.end_lineno + 1)))
            assert lines <= MOST_LINES_OF_A_FUNCTION, (
                f"{node.name}: {lines} lines of code, at most {MOST_LINES_OF_A_FUNCTION}: "
                "give a part of it a name of its own"
            )


def test_import_brings_no_optional_library():
    optional = ["matplotlib", "ipywidgets", "joblib", "tqdm", "safetensors", "tokenizers"]
    optional += ["ot"]  # where it is used
    code = f"import sys, transpde; print([m for m in {optional} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_pythons_that_are_named_are_those_that_are_tested():
    root = PACKAGE.parent
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    named = [c.rpartition(" ")[2] for c in project["classifiers"] if ":: Python :: 3." in c]
    workflow = yaml.safe_load((root / ".github" / "workflows" / "pythons.yml").read_text())
    assert workflow["jobs"]["package"]["strategy"]["matrix"]["python"] == named
    assert project["requires-python"] == f">={named[0]}"
    assert f"Python {named[0]} to {named[-1]}" in (root / "README.md").read_text()


def test_actions_of_others_are_pinned_by_commit():
    """A tag can be moved to other code; a comment says which release a commit is."""
    folder = PACKAGE.parent / ".github" / "workflows"
    used = [line for path in folder.glob("*.yml") for line in path.read_text().splitlines()]
    used = [line.split("uses: ")[1] for line in used if "uses: " in line]
    others = [one for one in used if not one.startswith("./")]
    assert others
    pinned = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
    assert [one for one in others if not pinned.fullmatch(one)] == []
