"""Every guard of the book bites: a sound sample passes, and each way to break it is caught.

The sample is a whole chapter in miniature, executed once a session. The tables below hold one
line for each promise: what is broken, how, and a part of the message that must follow.
"""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import contract
import nbclient
import pytest
from nbformat import NotebookNode
from nbformat import write as write_notebook
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from sphinx_builds import Built, build

# --- a sound sample -----------------------------------------------------------------------------

OPENING = """# Sample

:::{admonition} Before you start
Prerequisites
: integrals.

Reading time
: one minute.

Running time
: one second.
:::

## The question

What does a guard guard?
"""

# A picture without a plotting package: the sample tests the guards.
FIGURE = """import hashlib
from IPython.display import SVG, display
data = [10, 20, 30]
square = "<rect x='{}' width='1' height='1' fill='rgb({g},{g},{g})'/>"
squares = "".join(square.format(k, g=g) for k, g in enumerate(data))
print("data digest:", hashlib.sha256(bytes(data)).hexdigest()[:12])
head = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 3 1'>"
display(SVG(f"{head}{squares}</svg>"))"""

FIGURE_SETTINGS = {
    "image": {"alt": "Three grey squares, each lighter than the one to its left."},
    "figure": {"caption": "Three greys.", "name": "fig-greys"},
}
FIGURE_METADATA = {"mystnb": FIGURE_SETTINGS, "tags": ["hide-input"]}

STATEMENT = """## The answer

:::{prf:proposition} Sample
:label: prop-sample
A guard guards.
:::

::::{dropdown} Full proof
:::{prf:proof}
By the tests below.
:::
::::

## What fails without it

Nothing stands.

## Limits

It is a sample.

## Exercises

```{exercise} computation: add
:label: ex-add
Use {prf:ref}`prop-sample`.
```

```{dropdown} Hint
Think.
```

```{solution} ex-add
:class: dropdown
Add.
```

```{exercise} proof: prove
:label: ex-prove
Use {prf:ref}`prop-sample`.
```

```{dropdown} Hint
Think.
```

```{solution} ex-prove
:class: dropdown
Prove.
```

```{exercise} open: wonder
:label: ex-wonder
Beyond {prf:ref}`prop-sample`.
```

```{dropdown} Hint
Think.
```

```{exercise} open: wonder more
:label: ex-more
Beyond {prf:ref}`prop-sample`.
```

```{dropdown} Hint
Think.
```

```{exercise-start} computation: in cells
:label: ex-cells
```

Use {prf:ref}`prop-sample`."""

SOLUTION = """```{exercise-end}
```

```{dropdown} Hint
Count.
```

```{solution-start} ex-cells
:class: dropdown
```"""

SUMMARY = """```{solution-end}
```

## Summary

- Guards guard."""


def sample() -> NotebookNode:
    """A chapter that keeps the contract, not yet executed."""
    filler = "Words " * 1600
    counted = [new_code_cell(f"value = {k}\nprint(value)") for k in range(10)]
    cells = [
        new_markdown_cell(OPENING),
        new_code_cell(FIGURE, metadata=copy.deepcopy(FIGURE_METADATA)),
        new_markdown_cell(filler),
        *counted,
        new_markdown_cell(STATEMENT),
        new_code_cell("answer = 1", metadata={"tags": ["exercise"]}),
        new_markdown_cell(SOLUTION),
        new_code_cell("print(1 + 1)", metadata={"tags": ["solution"]}),
        new_markdown_cell(SUMMARY),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


@pytest.fixture(scope="session")
def executed() -> NotebookNode:
    """The sample with its outputs, in a process of its own, away from pytest's warning filter."""
    notebook = sample()
    nbclient.NotebookClient(notebook).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    return notebook


@pytest.fixture
def chapter(executed: NotebookNode) -> NotebookNode:
    return copy.deepcopy(executed)


# --- nbval: the numbers of the book -------------------------------------------------------------


def change_digit(notebook: NotebookNode) -> None:
    notebook.cells[5].outputs[0].text = "7\n"


def change_datum(notebook: NotebookNode) -> None:
    figure = notebook.cells[1]
    figure.source = figure.source.replace("[10, 20, 30]", "[10, 20, 31]")


def forget_to_run(notebook: NotebookNode) -> None:
    notebook.cells[5].outputs = []
    notebook.cells[5].execution_count = None


def hide_with_semicolon(notebook: NotebookNode) -> None:
    notebook.cells[5].source = "value;"
    notebook.cells[5].outputs = []


NBVAL_CASES: dict[str, tuple[Callable[[NotebookNode], None], bool]] = {
    "intact": (lambda notebook: None, True),
    "digit": (change_digit, False),
    "datum": (change_datum, False),
    "semicolon": (hide_with_semicolon, False),
    # A trap: nbval runs the cell and compares nothing. The contract's own check closes it.
    "unexecuted": (forget_to_run, True),
}


@pytest.fixture(scope="session")
def nbval_report(executed: NotebookNode, tmp_path_factory: pytest.TempPathFactory) -> str:
    """One strict run over all cases: each costs a kernel, so they share the rest."""
    folder = tmp_path_factory.mktemp("nbval")
    for name, (mutate, _) in NBVAL_CASES.items():
        notebook = copy.deepcopy(executed)
        mutate(notebook)
        write_notebook(notebook, folder / f"{name}.ipynb")
    options = ["--nbval", "--nbval-current-env", "-p", "no:cacheprovider", "-rA", "-q"]
    command = [sys.executable, "-m", "pytest", *options, "--tb=no", "."]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return run.stdout


@pytest.mark.parametrize("name", NBVAL_CASES)
def test_nbval(nbval_report: str, name: str) -> None:
    passes = NBVAL_CASES[name][1]
    outcomes = re.findall(rf"^(PASSED|FAILED|ERROR|XFAIL)\b.*\b{name}\.ipynb", nbval_report, re.M)
    assert outcomes, nbval_report
    assert (set(outcomes) == {"PASSED"}) == passes, nbval_report


# --- the chapter contract -----------------------------------------------------------------------


def test_sample_keeps_the_contract(chapter: NotebookNode, tmp_path: Path) -> None:
    path = tmp_path / "sample.ipynb"
    write_notebook(chapter, path)
    assert contract.problems(path) == []


def replace(old: str, new: str) -> Callable[[NotebookNode], None]:
    """A mutation of the text: wherever a cell holds ``old``, once at least, it holds ``new``."""

    def mutate(notebook: NotebookNode) -> None:
        holding = [cell for cell in notebook.cells if old in cell.source]
        assert holding, f"the sample does not hold {old!r}"
        for cell in holding:
            cell.source = cell.source.replace(old, new)

    return mutate


def append(text: str) -> Callable[[NotebookNode], None]:
    """A mutation of the prose: one more sentence in the first cell."""
    return replace("What does a guard guard?", f"What does a guard guard? {text}")


def code(source: str) -> Callable[[NotebookNode], None]:
    """A mutation of the code: the first plain cell becomes this."""

    def mutate(notebook: NotebookNode) -> None:
        notebook.cells[3].source = source

    return mutate


def tag(*tags: str) -> Callable[[NotebookNode], None]:
    def mutate(notebook: NotebookNode) -> None:
        notebook.cells[3].metadata["tags"] = list(tags)

    return mutate


def output(**fields: Any) -> Callable[[NotebookNode], None]:
    """A mutation of the outputs: the first plain cell has this one alone."""

    def mutate(notebook: NotebookNode) -> None:
        notebook.cells[3].outputs = [new_output(**fields)]

    return mutate


def setting(group: str, key: str, value: str) -> Callable[[NotebookNode], None]:
    """A mutation of the figure's metadata."""

    def mutate(notebook: NotebookNode) -> None:
        notebook.cells[1].metadata["mystnb"][group][key] = value

    return mutate


def own_setting(key: str, value: Any) -> Callable[[NotebookNode], None]:
    def mutate(notebook: NotebookNode) -> None:
        notebook.metadata["transpde"] = {key: value}

    return mutate


def drop(*numbers: int) -> Callable[[NotebookNode], None]:
    """A mutation of the order: without the cells of these places, counts made good again."""

    def mutate(notebook: NotebookNode) -> None:
        notebook.cells = [cell for k, cell in enumerate(notebook.cells) if k not in numbers]
        for count, (_, cell) in enumerate(contract.code_cells(notebook), start=1):
            cell.execution_count = count

    return mutate


def run_out_of_order(notebook: NotebookNode) -> None:
    notebook.cells[3].execution_count, notebook.cells[4].execution_count = 3, 2


def lose_outputs_field(notebook: NotebookNode) -> None:
    del notebook.cells[3]["outputs"]


def untag_all(notebook: NotebookNode) -> None:
    for _, cell in contract.code_cells(notebook):
        cell.metadata.pop("tags", None)


def shown(kind: str, content: str) -> Callable[[NotebookNode], None]:
    """A mutation that stores another picture in place of the sample's."""

    def mutate(notebook: NotebookNode) -> None:
        notebook.cells[1].outputs[1].data = {kind: content}

    return mutate


EXPLORER = (
    '<figure class="explorer" data-digest="{digest}"><img alt="{alt}">'
    '<script type="application/json">{{"texts": [{frames}]}}</script></figure>'
)
EXPLORER_ALT = "Three greys that become &quot;lighter&quot; along the slider."


def explorer(
    *tags: str, frames: int | list[str] = 3, place: int = 13, **kinds: str
) -> Callable[[NotebookNode], None]:
    """A mutation that adds an explorer whose digest the sample's figure prints."""

    def mutate(notebook: NotebookNode) -> None:
        printed = contract.DIGEST.search(contract.printed(notebook.cells[1]))
        assert printed
        fields = {
            "digest": printed[0].split()[-1],
            "alt": EXPLORER_ALT,
            "frames": json.dumps(list(range(frames)) if isinstance(frames, int) else frames),
        } | kinds
        shown = {"text/html": EXPLORER.format(**fields), "image/png": "", **kinds}
        cell = new_code_cell("greys", outputs=[new_output("display_data", data=shown)])
        cell.metadata = {"tags": list(tags or ("explorer", "nbval-ignore-output"))}
        figure = {"caption": "Greys.", "name": f"fig-greys-{len(notebook.cells)}"}
        cell.metadata["mystnb"] = {"figure": figure}
        notebook.cells.insert(place, cell)
        for count, (_, other) in enumerate(contract.code_cells(notebook), start=1):
            other.execution_count = count

    return mutate


def add_explorers(notebook: NotebookNode) -> None:
    for _ in range(4):
        explorer()(notebook)


def swap_sections(notebook: NotebookNode) -> None:
    replace("## Limits", "## Summary of it")(notebook)
    replace("## Summary\n", "## Limits\n")(notebook)


BACKTICKS = "```"
LONG_SUMMARY = "- Guards guard.\n" + "\n".join(f"- Point {k}." for k in range(10))

VIOLATIONS: dict[str, tuple[Callable[[NotebookNode], None], str]] = {
    # execution and outputs
    "unexecuted cell": (forget_to_run, "not executed"),
    "outputs field gone": (lose_outputs_field, "no outputs field"),
    "out of order": (run_out_of_order, "execution counts are"),
    "stderr": (output(output_type="stream", name="stderr", text="Warning"), "writes to stderr"),
    "error": (output(output_type="error", ename="KeyError", evalue="k"), "ends in an error"),
    "path printed": (
        output(output_type="stream", name="stdout", text="at /some/where/deep/file.py\n"),
        "prints an absolute path",
    ),
    # code
    "long cell": (code("\n".join(["x = 1"] * 51)), "51 lines, at most 50"),
    "empty cell": (code(""), "empty"),
    "long cell in sight": (code("\n".join(["x = 1"] * 9)), "shows 9 lines, at most 8"),
    "does not compile": (code("value = ("), "does not compile"),
    "legacy seed": (code("np.random.seed(0)"), "legacy random numbers"),
    "legacy draw": (code("x = np.random.randn(3)"), "legacy random numbers"),
    "random state": (code("rng = RandomState(0)"), "legacy random numbers"),
    "random module": (code("random.seed(0)"), "random module"),
    "unseeded": (code("rng = np.random.default_rng()"), "unseeded"),
    "semicolon": (code("value;"), "trailing ';'"),
    "absolute path": (code("open('/data/file')"), "an absolute path"),
    "nbval comment": (code("# NBVAL_IGNORE_OUTPUT\nvalue"), "an nbval comment"),
    "too few cells": (drop(3, 4, 5), "8 code cells outside exercises"),
    "untagged exercise cell": (untag_all, "not tagged 'solution'"),
    # installs and tags
    "pip": (code("import os\nos.system('pip install x')"), "an install command"),
    "magic pip": (code("%pip install x"), "an install command"),
    "shell escape": (code("!ls"), "an install command"),
    "conda in prose": (append("Run conda install x first."), "an install command"),
    "colab cell": (tag("colab"), "tagged colab"),
    "ignored output": (tag("nbval-ignore-output"), "no explorer"),
    "skipped cell": (tag("nbval-skip"), "never be checked"),
    "no explorer": (tag("explorer", "nbval-ignore-output"), "it shows no explorer"),
    "many explorers": (add_explorers, "4 explorer cells"),
    "untagged explorer": (explorer("explorer"), "wants both its tags"),
    "many frames": (explorer(frames=101), "explorer of 101 pictures"),
    "dead explorer": (explorer(frames=1), "explorer of 1 pictures"),
    "heavy explorer": (explorer(alt="x" * 400_000), "at most 400000"),
    "few stops": (explorer(frames=["0", "0.5"]), "real numbers of 2 stops, at least 9"),
    "explorer without alt": (explorer(alt=""), "alt text of 0 characters"),
    "script in an explorer": (
        explorer(alt=f'{EXPLORER_ALT}"><script>alert(1)</script><img alt="'),
        "a script that is not the package's",
    ),
    "handler in an explorer": (
        explorer(alt=f'{EXPLORER_ALT}" onload="alert(1)'),
        "a script that is not the package's",
    ),
    "script in a picture": (
        shown("image/svg+xml", "<svg><script>alert(1)</script></svg>"),
        "a script that is not the package's",
    ),
    "picture of pixels": (shown("image/png", "AAAA"), "a figure in pixels"),
    "explorer of other data": (explorer(digest="0" * 12), "prints the explorer's digest"),
    "control without kernel": (
        explorer(**{"application/vnd.jupyter.widget-view+json": ""}),
        "a control that is dead",
    ),
    # figures
    "no alt": (setting("image", "alt", ""), "alt text of 0 characters"),
    "short alt": (setting("image", "alt", "Greys."), "alt text of 6 characters"),
    "alt names itself": (setting("image", "alt", "Image of " + "x" * 50), "state the finding"),
    "alt is caption": (
        setting("figure", "caption", FIGURE_SETTINGS["image"]["alt"]),
        "repeats the caption",
    ),
    "no caption": (setting("figure", "caption", ""), "no caption"),
    "bad name": (setting("figure", "name", "greys"), "must start with 'fig-'"),
    "no digest": (
        lambda notebook: notebook.cells[1].outputs.pop(0),
        "prints no line 'data digest",
    ),
    # prose
    "number": (append("It is 0.37 wide."), "cell 1: number 0.37 in prose"),
    "small number": (append("It is at most 1.5e-8."), "number 1.5e-8 in prose"),
    "number in alt": (
        setting("image", "alt", "The error falls to 0.125 at the right end of the axis."),
        "number 0.125 in prose",
    ),
    "lost backslash": (append("Let $\theta$ be small."), "cell 1: '\\t' in the text"),
    "obviously": (append("Obviously it does."), "'Obviously' in prose"),
    "simply": (append("It simply does."), "'simply' in prose"),
    "short text": (replace("Words " * 200, ""), "words of prose, not 1500 to 2500"),
    "long text": (replace("Words " * 1600, "Words " * 2600), "words of prose, not 1500"),
    "late picture": (append("word " * 500), "it must come before word 500"),
    "no picture": (drop(1), "no picture"),
    # structure
    "misspelt kind": (own_setting("kind", "reproductoin"), "unknown kind"),
    "unknown setting": (own_setting("knid", "chapter"), "unknown setting"),
    "no title": (replace("# Sample", "Sample"), "one H1 title"),
    "two titles": (replace("## The answer", "# The answer"), "one H1 title"),
    "no question": (replace("## The question", "## Hello"), "no section 'The question'"),
    "no limits": (replace("## Limits", "## Ends"), "no section 'Limits'"),
    "no summary": (replace("## Summary", "## Bye"), "no section 'Summary'"),
    "sections out of order": (swap_sections, "out of order"),
    "nothing fails": (replace("## What fails", "## All holds"), "What fails"),
    "no header block": (replace("Reading time", "Length"), "no block that gives"),
    "long summary": (replace("- Guards guard.", LONG_SUMMARY), "summary of 11 lines"),
    "empty summary": (replace("- Guards guard.", ""), "the summary is empty"),
    # statements
    "no label": (replace(":label: prop-sample\n", ""), "without a label"),
    "no proof": (replace("{prf:proof}", "{note}"), "neither a proof nor a citation"),
    "open proof": (replace("{dropdown} Full proof", "{div}"), "not folded"),
    "proof begins with math": (replace("By the tests", "$$ x $$\n\nBy"), "begin with a word"),
    "proof folded by class": (
        replace("{prf:proof}\n", "{prf:proof}\n:class: dropdown\n"),
        "not by its class",
    ),
    "solution's proof folded by class": (
        replace("Prove.", ":::{prf:proof}\n:class: dropdown\nSo.\n:::"),
        "not by its class",
    ),
    # exercises
    "few exercises": (replace("{exercise} open: wonder more", "{note}"), "4 exercises"),
    "kind missing": (replace("proof: prove", "open: prove"), "no exercise of kind 'proof'"),
    "untitled kind": (replace("open: wonder more", "wonder"), "its title must start with"),
    "exercise without label": (replace(":label: ex-more\n", ""), "has no label"),
    "cites nothing": (replace("Beyond {prf:ref}`prop-sample`.", "?"), "cites no statement"),
    "gated cites nothing": (replace("\n\nUse {prf:ref}`prop-sample`.", ""), "'ex-cells' cites no"),
    "no solution": (replace(f"{BACKTICKS}{{solution}} ex-add", ":::{note}"), "has no solution"),
    "no hint": (replace("Hint\nCount.", "Aside\nCount."), "'ex-cells' has no folded hint"),
    "empty hint": (replace("Hint\nThink.", "Hint"), "'ex-add' has no folded hint"),
    "solution not folded": (replace(":class: dropdown\nAdd.", "Add."), "solution not folded"),
    "stray solution": (replace("{solution} ex-add", "{solution} ex-ad"), "unknown exercise"),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_violation_is_caught(chapter: NotebookNode, name: str) -> None:
    mutate, fragment = VIOLATIONS[name]
    mutate(chapter)
    assert any(fragment in problem for problem in contract.notebook_problems(chapter))


LEGITIMATE: dict[str, Callable[[NotebookNode], None]] = {
    "number in math": append("It is $0.37$ wide, or {math}`0.4`."),
    "number in code": append("Call `f(0.37)`."),
    "number cited": append("See {cite}`Sample0.37`."),
    "simply connected": append("The set is simply connected."),
    "expected error": lambda notebook: (
        output(output_type="error", ename="KeyError", evalue="k")(notebook),
        tag("raises-exception")(notebook),
    ),
    "explorer": explorer(),
    "cited statement": lambda notebook: (
        replace("{prf:proof}", "{note}")(notebook),
        replace("A guard guards.", "A guard guards {cite}`Sample`.")(notebook),
    ),
    "proof inside a solution": replace("Prove.", ":::{prf:proof}\nSo.\n:::"),
}


@pytest.mark.parametrize("name", LEGITIMATE)
def test_legitimate_variation_passes(chapter: NotebookNode, name: str) -> None:
    LEGITIMATE[name](chapter)
    assert contract.notebook_problems(chapter) == []


def test_exempt_number(chapter: NotebookNode) -> None:
    append("See arXiv 2501.18322.")(chapter)
    assert contract.notebook_problems(chapter)
    own_setting("prose_numbers", ["2501.18322"])(chapter)
    assert contract.notebook_problems(chapter) == []


REPRODUCTION = """## Three greys

Figure `greys` of the authors' script `plots.py`.

It is not known whether the print came from this version.

**Verdict: reproduced.** The same three greys.

`python -m transpde.figures --only greys`"""


def reproduction(chapter: NotebookNode) -> NotebookNode:
    """A sound reproduction page, made of the cells of the chapter."""
    drop(13, 14, 15, 16, 17)(chapter)
    own_setting("kind", "reproduction")(chapter)
    picture = next(i for i, cell in enumerate(chapter.cells) if contract.has_picture(cell))
    chapter.cells.insert(picture, new_markdown_cell(REPRODUCTION))
    chapter.cells[picture + 1].source += '\n_ = "greys"'
    chapter.cells[-1].source += "\n_ = 'peer.yml'"
    return chapter


def appendix(chapter: NotebookNode) -> NotebookNode:
    """A sound appendix, made of the cells of the chapter: without exercises, and shorter."""
    text = chapter.cells[13].source.partition("## Exercises")[0]
    drop(14, 15, 16)(chapter)
    chapter.cells[13].source = text
    chapter.cells[14].source = chapter.cells[14].source[SUMMARY.index("## Summary") :]
    replace("Words " * 1600, "Words " * 1100)(chapter)
    own_setting("kind", "appendix")(chapter)
    return chapter


@pytest.mark.parametrize(
    ("mutate", "fragment"),
    [
        (lambda notebook: None, None),
        (replace("Words " * 1100, "Words " * 900), "words of prose, not 1000 to 1800"),
        (replace("Words " * 1100, "Words " * 1850), "words of prose, not 1000 to 1800"),
        (replace("## Limits", "## Ends"), "no section 'Limits'"),
        (replace("- Guards guard.", ""), "the summary is empty"),
    ],
)
def test_appendix_keeps_its_own_contract(
    chapter: NotebookNode, mutate: Callable[[NotebookNode], None], fragment: str | None
) -> None:
    mutate(appendix(chapter))
    problems = contract.notebook_problems(chapter)
    assert (problems == []) if fragment is None else any(fragment in p for p in problems)


def test_reproduction_needs_no_exercises(chapter: NotebookNode) -> None:
    drop(13, 14, 15, 16, 17)(chapter)
    assert any("exercises" in problem for problem in contract.notebook_problems(chapter))
    own_setting("kind", "reproduction")(chapter)
    assert not any("exercises" in problem for problem in contract.notebook_problems(chapter))


def test_sound_reproduction_passes(chapter: NotebookNode) -> None:
    assert contract.notebook_problems(reproduction(chapter)) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Figure `greys`", "Figure greys", "no section begins 'Figure `name`"),
        ("## Three greys", "### Three greys", "no section begins 'Figure `name`"),
        ("not known whether", "certain that", "it is not known whether"),
        (
            "Verdict: reproduced",
            "Verdict: splendid",
            "`greys`: no line '[*][*]Verdict: ...[*][*]'",
        ),
        ("**Verdict", "Verdict", "`greys`: no line"),
        ("--only greys", "--only grays", "`greys`: no command"),
        ('"greys"', '"grays"', "`greys`: no cell draws it"),
        ("peer.yml", "peer.txt", "no cell reads peer.yml"),
    ],
)
def test_broken_reproduction_is_caught(
    chapter: NotebookNode, old: str, new: str, message: str
) -> None:
    page = reproduction(chapter)
    for cell in page.cells:
        cell.source = cell.source.replace(old, new)
    problems = contract.notebook_problems(page)
    assert any(re.search(message, problem) for problem in problems), problems


def test_reproduction_without_evidence_is_caught(chapter: NotebookNode) -> None:
    page = reproduction(chapter)
    section = contract.reproduced(page)["greys"]
    own = [piece.cell for piece in section if not isinstance(piece.content, str | contract.Block)]
    for number in own:
        cell = page.cells[number - 1]
        if not contract.has_picture(cell):
            cell.outputs = []
    assert any("0 cells that print evidence" in p for p in contract.notebook_problems(page))


def test_section_of_a_figure_ends_at_the_next_heading(chapter: NotebookNode) -> None:
    page = reproduction(chapter)
    page.cells.append(new_markdown_cell("## Afterwards\n\nNothing."))
    last = contract.reproduced(page)["greys"][-1]
    assert last.cell < len(page.cells)


def test_heavy_notebook_is_caught(chapter: NotebookNode, tmp_path: Path) -> None:
    path = tmp_path / "heavy.ipynb"
    chapter.cells[1].outputs[1].data["image/svg+xml"] = "A" * contract.MAX_NOTEBOOK_BYTES
    write_notebook(chapter, path)
    assert any("bytes, at most" in problem for problem in contract.problems(path))


# --- the claim ledger ---------------------------------------------------------------------------

TESTS = """import pytest

@pytest.fixture
def lazy():
    pytest.skip("not here")

def test_sound(): ...

@pytest.mark.parametrize("k", [1, 2])
def test_cases(k): ...

@pytest.mark.skip
def test_skipped(): ...

@pytest.mark.parametrize("k", [pytest.param(1, marks=pytest.mark.xfail)])
def test_case_xfails(k): ...

def test_skips_inside():
    pytest.skip("later")

def test_needs():
    pytest.importorskip("torch")

def test_lazy(lazy): ...

class TestGroup:
    def test_inside(self): ...
    def test_other(self):
        pytest.skip("later")
"""

SKIPPED_MODULE = """import pytest
pytestmark = pytest.mark.skipif(True, reason="never")
def test_sound(): ...
"""


@pytest.fixture
def book(chapter: NotebookNode, tmp_path: Path) -> Path:
    """A repository in miniature: one chapter, one page, tests, references."""
    (tmp_path / "book").mkdir()
    (tmp_path / "tests").mkdir()
    write_notebook(chapter, tmp_path / "book" / "sample.ipynb")
    (tmp_path / "book" / "page.md").write_text(
        "(a-page)=\n# Page\n\nBy {cite:t}`Sample2025`:\n\n$$ x = y $$ (eq-page)\n"
    )
    (tmp_path / "book" / "references.bib").write_text("@article{Sample2025,\n title={S}}\n")
    (tmp_path / "tests" / "test_sample.py").write_text(TESTS)
    (tmp_path / "tests" / "test_never.py").write_text(SKIPPED_MODULE)
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: book/page\nchapters:\n- file: book/sample\n"
    )
    return tmp_path


def ledger() -> list[dict[str, Any]]:
    """A sound ledger of the miniature."""
    return [
        {
            "id": "guard",
            "statement": "A guard guards, $x = y$.",
            "chapter": "book/sample",
            "anchor": "prop-sample",
            "function": "json.dumps",
            "test": "tests/test_sample.py::test_cases[1]",
            "status": "verified",
            "tolerance": "1e-10",
        },
        {
            "id": "greys",
            "statement": "There are greys.",
            "chapter": "book/sample",
            "anchor": "fig-greys",
            "status": "illustrated",
            "function": None,
        },
        {
            "id": "page",
            "statement": "A page says so.",
            "chapter": "book/page",
            "anchor": "eq-page",
            "status": "cited",
            "source": "Sample2025",
        },
    ]


def test_sound_ledger(book: Path) -> None:
    assert contract.ledger_problems(ledger(), book) == []
    assert contract.missing_rows(ledger(), book) == []


PREFIX = "tests/test_sample.py::"

# row, change, part of the message
LEDGER_VIOLATIONS: dict[str, tuple[int, dict[str, Any], str]] = {
    "duplicate id": (1, {"id": "guard"}, "duplicate id"),
    "unknown status": (0, {"status": "true"}, "unknown status"),
    "unknown key": (0, {"statment": "x"}, "unknown key 'statment'"),
    "missing key": (0, {"anchor": None}, "'anchor' is missing"),
    "wrong type": (0, {"function": 3}, "must be a string"),
    "bad id": (0, {"id": "Guard one"}, "lower-case words"),
    "extension": (0, {"chapter": "book/sample.ipynb"}, "without its extension"),
    "two lines": (0, {"statement": "One.\nTwo."}, "one sentence on one line"),
    "no chapter": (0, {"chapter": "book/nowhere"}, "no such chapter"),
    "dead anchor": (0, {"anchor": "prop-other"}, "dead anchor"),
    "anchor of another page": (2, {"anchor": "prop-sample"}, "dead anchor"),
    "missing module": (0, {"function": "no_such_module.f"}, "no such function"),
    "missing function": (0, {"function": "json.no_such"}, "no such function"),
    "private function": (0, {"function": "json._default_encoder"}, "not public"),
    "missing test file": (0, {"test": "tests/test_none.py::test_x"}, "no such test file"),
    "missing test": (0, {"test": f"{PREFIX}test_none"}, "no such test"),
    "verified untested": (0, {"test": None}, "'verified' needs a test"),
    "verified without tolerance": (0, {"tolerance": None}, "'verified' needs a tolerance"),
    "bad tolerance": (0, {"tolerance": "small"}, "must be a positive number"),
    "negative tolerance": (0, {"tolerance": -1e-3}, "must be a positive number"),
    "skipped": (0, {"test": f"{PREFIX}test_skipped"}, "may be skipped"),
    "one case xfails": (0, {"test": f"{PREFIX}test_case_xfails"}, "may be skipped"),
    "skips inside": (0, {"test": f"{PREFIX}test_skips_inside"}, "may be skipped"),
    "importorskip": (0, {"test": f"{PREFIX}test_needs"}, "may be skipped"),
    "skipping fixture": (0, {"test": f"{PREFIX}test_lazy"}, "may be skipped"),
    "skipping method": (0, {"test": f"{PREFIX}TestGroup::test_other"}, "may be skipped"),
    "skipped module": (0, {"test": "tests/test_never.py::test_sound"}, "may be skipped"),
    "unknown verdict": (1, {"figure": "greys", "verdict": "splendid"}, "unknown verdict"),
    "verdict on nothing": (1, {"verdict": "corrected"}, "'figure' and 'verdict' go together"),
    "figure without verdict": (1, {"figure": "greys"}, "'figure' and 'verdict' go together"),
    "discrepancy by status": (1, {"status": "discrepancy"}, "with verdict None"),
    "discrepancy by verdict": (
        1,
        {"figure": "greys", "verdict": "discrepancy"},
        "status 'illustrated' with verdict 'discrepancy'",
    ),
    "cited without source": (2, {"source": None}, "'cited' needs a source"),
    "unknown source": (2, {"source": "Nobody1900"}, "no entry 'Nobody1900'"),
    "proved without proof": (2, {"status": "proved"}, "holds no proof of eq-page"),
    "proof of another": (1, {"status": "proved"}, "holds no proof of fig-greys"),
    "unsaid proof": (0, {"status": "open"}, "prop-sample has a proof on book/sample"),
    "observed": (0, {"statement": "It is so (observed)."}, "'verified', but it says 'observed'"),
    "other source": (0, {"source": "Sample2025"}, "book/sample does not cite Sample2025"),
    "other number": (1, {"statement": "There are 256 greys."}, "256 is not on book/sample"),
}


@pytest.mark.parametrize("name", LEDGER_VIOLATIONS)
def test_ledger_violation_is_caught(book: Path, name: str) -> None:
    number, change, fragment = LEDGER_VIOLATIONS[name]
    rows = ledger()
    rows[number].update(change)
    assert any(fragment in problem for problem in contract.ledger_problems(rows, book))


def test_ledger_must_be_a_list_of_mappings(book: Path) -> None:
    assert contract.ledger_problems({"id": "guard"}, book)
    assert contract.ledger_problems(["guard"], book)


@pytest.mark.parametrize("name", ["test_sound", "TestGroup::test_inside"])
def test_test_beside_a_skipped_one_is_sound(book: Path, name: str) -> None:
    rows = ledger()
    rows[0]["test"] = PREFIX + name
    assert contract.ledger_problems(rows, book) == []


@pytest.mark.parametrize("number", [0, 1])
def test_missing_row_is_caught(book: Path, number: int) -> None:
    rows = ledger()
    gone = rows.pop(number)
    assert contract.missing_rows(rows, book) == [
        f"book/sample: {gone['anchor']} has no row in book/claims.yml"
    ]


# --- the table of contents ----------------------------------------------------------------------


def test_table_of_contents_is_checked(book: Path) -> None:
    assert contract.toc_problems(book) == []
    write_notebook(sample(), book / "book" / "stray.ipynb")
    assert contract.toc_problems(book) == ["book/stray.ipynb is not in _toc.yml"]
    (book / "book" / "page.md").unlink()
    assert "_toc.yml: book/page has no file" in contract.toc_problems(book)
    (book / "_toc.yml").unlink()
    assert "_toc.yml is missing or lists nothing" in contract.toc_problems(book)


# --- the rendered ledger ------------------------------------------------------------------------

LEDGER_PAGE = """# Claims

(a-target)=
## A section

$$ x = y $$ (eq-here)

```{claims} /claims.yml
```

(fig-a)=
## A figure

```{verdicts} /claims.yml
```

```{claims} /claims.yml
:verdict: corrected
```
"""

LEDGER_TEXT = """
- id: section
  statement: If $x$ is *one*, so is $y$.
  chapter: index
  anchor: a-target
  function: json.dumps
  test: tests/test_sample.py::test_sound
  status: verified
  tolerance: 1e-10
- id: equation
  statement: They are equal.
  chapter: index
  anchor: eq-here
  status: open
- id: figure
  figure: a_fig
  statement: 'It shows $z$. Tolerance: of the test.'
  chapter: index
  anchor: fig-a
  test: tests/test_sample.py::test_sound
  status: verified
  tolerance: 0.01
  verdict: corrected
"""


SPHINX_SETTINGS = """extensions = ["myst_parser", "claims"]
myst_enable_extensions = ["dollarmath"]
html_theme = "basic"
"""


def edited(old: str, new: str) -> str:
    assert old in LEDGER_TEXT
    return LEDGER_TEXT.replace(old, new)


BAD_ROWS = {
    "status": ("status: open", "status: settled", "unknown status"),
    "id": ("id: equation", "id: section", "duplicate id"),
    "anchor": ("anchor: eq-here", "anchor: nowhere", "anchor 'nowhere' is in no page"),
    "verdict": ("verdict: corrected", "verdict: splendid", "unknown verdict"),
    "yaml": ("statement: They", "statement: They: two", "not readable YAML"),
}
# The folder and the ledger of each build; the last goes on in the folder before.
LEDGERS = {
    "sound": ("sound", LEDGER_TEXT),
    **{name: (name, edited(old, new)) for name, (old, new, _) in BAD_ROWS.items()},
    "changed": ("changed", LEDGER_TEXT),
    "changed again": ("changed", edited("equal", "the same")),
}

Pages = dict[str, Built]


@pytest.fixture(scope="module")
def ledger_pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    """The ledger page built by Sphinx alone, nitpicky and with warnings as errors."""
    root = tmp_path_factory.mktemp("ledgers")
    page = {"index.md": LEDGER_PAGE, "conf.py": SPHINX_SETTINGS}
    cases = [
        (
            root / place,
            {"claims.yml": text} if name == "changed again" else page | {"claims.yml": text},
        )
        for name, (place, text) in LEDGERS.items()
    ]
    done = build(cases, ["claims", "myst_parser.sphinx_ext.main"], "-W", "-n")
    return dict(zip(LEDGERS, done, strict=True))


def test_ledger_page(ledger_pages: Pages) -> None:
    sound = ledger_pages["sound"]
    assert sound.status == 0, sound.said
    html = (sound.html / "index.html").read_text()
    for part in ('id="claim-section"', 'href="#a-target"', r"\(x\)", "<em>one</em>", "1e-10"):
        assert part in html
    assert "They are equal." in html
    # The page depends on the ledger: a changed row shows at the next, incremental build.
    assert ledger_pages["changed"].status == ledger_pages["changed again"].status == 0
    assert "They are the same." in (ledger_pages["changed again"].html / "index.html").read_text()


def test_verdicts_are_rendered_from_the_ledger(ledger_pages: Pages) -> None:
    html = (ledger_pages["sound"].html / "index.html").read_text()
    whole, overview = html.split("<table")[1:3]
    listed = html.split("</table>")[2].partition("</ul>")[0]
    assert "verified, corrected" in whole
    for part in ("#fig-a", ">a_fig<", "corrected", r"\(z\)"):
        assert part in overview
    assert "#fig-a" in listed
    assert "one" not in listed  # of another row
    assert html.count("of the test") == 1  # in the whole ledger alone


@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_row_stops_the_build(ledger_pages: Pages, name: str) -> None:
    assert ledger_pages[name].status > 0
    assert BAD_ROWS[name][2] in ledger_pages[name].said
