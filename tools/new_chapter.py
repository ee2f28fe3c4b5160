"""Write a new chapter: its sections, a figure, a statement, exercises, and TODO where you write.

    python tools/new_chapter.py book/PART/NAME.ipynb "Title"

It runs as it is. What it lacks until you have written it, `pytest tests/test_book.py` says.
"""

import sys

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

OPENING = """# {title}

:::{{admonition}} Before you start
Prerequisites
: TODO: what a reader must know.

Reading time
: TODO minutes.

Running time
: TODO seconds.
:::

## The question

TODO: what is asked, in the reader's words; a picture comes before word 500."""

IMPORTS = """import matplotlib.pyplot as plt
import numpy as np

import transpde as tp
from transpde import plotting
from transpde.records import digest

attention = tp.Softmax(np.eye(2), -np.eye(2), np.eye(2))
start = tp.Gaussian([0.0, 0.0], factor=np.diag([1.0, 0.5]))"""

FIGURE = """path = tp.flow(start, attention, np.linspace(0, 2, 5))
ax = plotting.plot_ellipses(path)
plt.show()
print("data digest:", digest(path.means, path.covariances))"""

SETTINGS = {
    "image": {"alt": "TODO: what the picture shows and finds, for who cannot see it."},
    "figure": {"caption": "TODO: the finding.", "name": "fig-{name}-first"},
}

STATEMENT = """TODO: what the chapter promises.

## TODO: the idea of the statement

:::{{prf:proposition}} TODO
:label: prop-{name}-first
TODO: the statement.
:::

::::{{dropdown}} Proof of the proposition
:::{{prf:proof}}
TODO: begin with a word.
:::
::::

TODO: which hypothesis is used where.
The experiment compares with theory and could fail."""

EXPERIMENT = """norm = np.linalg.norm(path.covariances[-1], 2)
print("smaller than at the start:", bool(norm < 1))"""

FAILS = """## What fails without the hypothesis

TODO: one experiment for each main statement, with its hypothesis dropped.

## Limits

:::{{admonition}} What this chapter does not show
:class: warning
- **TODO.** TODO.
:::

## Exercises

```{{exercise-start}} computation: TODO
:label: ex-{name}-computation
```
Use {{prf:ref}}`prop-{name}-first`.
TODO: a checker in `transpde/exercises`, its answers in `tests/answers`."""

TASK = "answer = None  # a first attempt that is wrong; then: print(check.name(answer))"

SOLUTION = """```{{exercise-end}}
```

```{{dropdown}} Hint
TODO: the idea, not the answer.
```

```{{solution-start}} ex-{name}-computation
:class: dropdown
```
TODO: the answer in words."""

SOLVED = "answer = 2  # the answer; then: print(check.name(answer))"

END = """```{{solution-end}}
```
{exercises}
## Summary

- TODO: at most ten lines, each with its {{prf:ref}}`prop-{name}-first`."""

EXERCISE = """
```{{exercise}} {kind}: TODO
:label: ex-{name}-{label}
Beyond {{prf:ref}}`prop-{name}-first`. TODO: {task}
```

```{{dropdown}} Hint
TODO: the idea, not the answer.
```
"""

PROOF = """
```{{solution-start}} ex-{name}-{label}
:class: dropdown
```
TODO: the proof, and one step of it checked numerically.

```{{solution-end}}
```
"""

KINDS = (
    ("proof", "first-proof", "what a full answer contains."),
    ("proof", "second-proof", "what a full answer contains."),
    ("open", "open", "what is known."),
    ("open", "another", "what is known."),
)


def exercises(name: str) -> str:
    """The exercises without code cells: each with a hint, proofs with a solution."""
    parts = []
    for kind, label, task in KINDS:
        parts.append(EXERCISE.format(name=name, kind=kind, label=label, task=task))
        if kind == "proof":
            parts.append(PROOF.format(name=name, label=label))
    return "".join(parts)


def chapter(name: str, title: str) -> NotebookNode:
    """The new chapter, not yet run; `name` goes into its labels."""
    words = {"name": name, "title": title, "exercises": exercises(name)}
    figure = {**SETTINGS["figure"], "name": f"fig-{name}-first"}
    cells = [
        new_markdown_cell(OPENING.format(**words)),
        new_code_cell(IMPORTS),
        new_code_cell(FIGURE, metadata={"mystnb": {"image": SETTINGS["image"], "figure": figure}}),
        new_markdown_cell(STATEMENT.format(**words)),
        new_code_cell(EXPERIMENT),
        new_markdown_cell(FAILS.format(**words)),
        new_code_cell(TASK, metadata={"tags": ["exercise"]}),
        new_markdown_cell(SOLUTION.format(**words)),
        new_code_cell(SOLVED, metadata={"tags": ["solution"]}),
        new_markdown_cell(END.format(**words)),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


if __name__ == "__main__":
    import colab  # beside this file
    import notebooks

    if len(sys.argv) != 3:
        raise SystemExit('say which: python tools/new_chapter.py book/PART/NAME.ipynb "Title"')
    path, title = notebooks.chapter_path(sys.argv[1]), notebooks.title_of(sys.argv[2])
    notebook = chapter(path.stem, title)
    notebook.cells.insert(1, colab.cell(path))
    notebooks.write(notebook, notebooks.ROOT / path)
    print(f"{path} is written: list it in _toc.yml, then `make notebook NB={path}`")
