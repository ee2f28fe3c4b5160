"""Write a new chapter: its sections, a figure, a statement, exercises, and TODO where you write.

    python tools/new_chapter.py book/PART/NAME.ipynb "Title"

It runs as it is. What it lacks until you have written it, tests say: see NEXT.
"""

import sys

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

OPENING = """# {title}

:::{{admonition}} Before you start
Prerequisites
: TODO: what a reader must know, with a link to each chapter that it needs.

Reading time
: TODO minutes, TODO with the proofs.

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

TASK = "answer = None  # TODO: a first attempt that is wrong\n# TODO: print(check.name(answer))"

SOLUTION = """```{{exercise-end}}
```

```{{dropdown}} Hint
TODO: the idea, not the answer.
```

```{{solution-start}} ex-{name}-computation
:class: dropdown
```
TODO: the answer in words."""

SOLVED = "answer = 2  # TODO: the answer\n# TODO: print(check.name(answer))"

PROOF = """```{{solution-end}}
```

```{{exercise}} proof: TODO
:label: ex-{name}-{label}
Beyond {{prf:ref}}`prop-{name}-first`. TODO: the task, and what a full answer contains.
```

```{{dropdown}} Hint
TODO: the idea, not the answer.
```

```{{solution-start}} ex-{name}-{label}
:class: dropdown
```
TODO: the proof; the cell below checks one step of it."""

STEP = """# TODO: one step of the proof, checked numerically
traces = np.trace(path.covariances, axis1=1, axis2=2)
print("the trace falls:", bool((np.diff(traces) < 0).all()))"""

END = """```{{solution-end}}
```
{exercises}
## Summary

- TODO: at most ten lines, each with its {{prf:ref}}`prop-{name}-first`."""

OPEN = """
```{{exercise}} open: TODO
:label: ex-{name}-{label}
Beyond {{prf:ref}}`prop-{name}-first`. TODO: the question, and what is known.
```

```{{dropdown}} Hint
TODO: where to begin.
```
"""

NEXT = """{path} is written, and runs as it is. Next:
  1. list it in _toc.yml;
  2. replace each TODO, and run it: make notebook NB={path}
  3. give each label, prop-... and fig-..., its row in book/claims.yml;
  4. write the checker, transpde/exercises/{name}.py, and its answers, tests/answers/{name}.py;
  5. see what is missing:
     .venv/bin/python -m pytest tests/test_book.py tests/test_exercises.py -k "{name} or ledger"
  6. keep its new addresses: .venv/bin/python tools/addresses.py"""


def chapter(name: str, title: str) -> NotebookNode:
    """The new chapter, not yet run; `name` goes into its labels."""
    open_ones = "".join(OPEN.format(name=name, label=label) for label in ("open", "another"))
    words = {"name": name, "title": title, "exercises": open_ones}
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
    ]
    for label in ("first-proof", "second-proof"):
        cells.append(new_markdown_cell(PROOF.format(name=name, label=label)))
        cells.append(new_code_cell(STEP, metadata={"tags": ["solution"]}))
    cells.append(new_markdown_cell(END.format(**words)))
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
    print(NEXT.format(path=path, name=path.stem))
