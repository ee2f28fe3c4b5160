"""Statements with their proofs, and exercises with their hints and solutions."""

from __future__ import annotations

import re
from typing import NamedTuple

from book_source import (
    EXERCISE,
    SOLUTION,
    STATEMENTS,
    Block,
    all_blocks,
    count_words,
    is_literal,
    markdown,
    pieces,
    roles,
    tags,
    text_of,
)
from nbformat import NotebookNode

from contract.cells import printed
from contract.limits import EXERCISE_KINDS, MIN_EXERCISES

REFERENCES = {"prf:ref", "ref", "numref", "eq"}  # the roles that name a statement
PROVABLE = ("prf:theorem", "prf:proposition", "prf:lemma")


def check_statements(notebook: NotebookNode) -> list[str]:
    """Every statement has a label, and a folded proof unless it is cited."""
    found: list[str] = []
    unproved: list[str] = []
    for piece, block, inside in all_blocks(notebook):
        if block.name == "prf:proof" and block.is_dropdown:
            # sphinx-togglebutton wants a title, which a proof lacks: its script then stops, and
            # nothing further down the page folds.
            found.append(f"cell {piece.cell}: fold the proof in a {{dropdown}}, not by its class")
        if piece.gate or any(outer.name in SOLUTION for outer in inside):
            continue  # a solution may prove what it likes, as it likes
        if block.name in STATEMENTS and not block.options.get("label"):
            found.append(f"cell {piece.cell}: a {block.name} without a label")
        if block.name in PROVABLE and not cites(f"{block.argument}\n\n{block.body}"):
            unproved.append(block.options.get("label", "?"))
        if block.name != "prf:proof":
            continue
        if not any(outer.is_dropdown for outer in inside):
            found.append(f"cell {piece.cell}: a proof that is not folded in a {{dropdown}}")
        if not re.match(r"\s*[^\W_]", block.body):
            # sphinx-proof puts "Proof." on this line, which spoils a formula, a list or a fence.
            found.append(f"cell {piece.cell}: a proof must begin with a word")
        unproved = unproved[:-1]
    return found + [f"statement {label} has neither a proof nor a citation" for label in unproved]


def cites(text: str) -> bool:
    """Whether the text names a reference."""
    return any(name.startswith("cite") for name, _ in roles(text))


class Task(NamedTuple):
    """An exercise with all its text, gated cells included."""

    cell: int
    label: str
    kind: str | None
    text: str


def exercises(notebook: NotebookNode) -> list[Task]:
    parts = list(markdown(notebook))
    found = []
    for piece, block, _ in all_blocks(notebook):
        if block.name not in EXERCISE:
            continue
        gated = [text_of(part, is_literal) for inner, part in parts if inner.gate == block]
        kind = re.match(rf"\W*({'|'.join(EXERCISE_KINDS)})\b", block.argument, re.IGNORECASE)
        found.append(
            Task(
                cell=piece.cell,
                label=block.options.get("label", ""),
                kind=kind[1].lower() if kind else None,
                text="\n".join([block.body, *gated]),
            )
        )
    return found


def check_exercises(notebook: NotebookNode) -> list[str]:
    """Enough exercises of all kinds; each has a statement, a hint and, unless open, a solution."""
    tasks = exercises(notebook)
    solved = {block.argument for _, block, _ in all_blocks(notebook) if block.name in SOLUTION}
    found = []
    if len(tasks) < MIN_EXERCISES:
        found.append(f"{len(tasks)} exercises, at least {MIN_EXERCISES}")
    for kind in EXERCISE_KINDS:
        if kind not in {task.kind for task in tasks}:
            found.append(f"no exercise of kind {kind!r}")
    for task in tasks:
        where = f"cell {task.cell}: exercise {task.label!r}"
        if not task.label:
            found.append(f"{where} has no label")
        if task.kind is None:
            found.append(f"{where}: its title must start with one of {', '.join(EXERCISE_KINDS)}")
        if not REFERENCES & {name for name, _ in roles(task.text)}:
            found.append(f"{where} cites no statement")
        if task.kind in ("computation", "proof") and task.label not in solved:
            found.append(f"{where} has no solution")
        if task.label not in hinted(notebook):
            found.append(f"{where} has no folded hint (a {{dropdown}} Hint) before its solution")
    return found + _solution_problems(notebook)


def check_answers(notebook: NotebookNode) -> list[str]:
    """A checker to call and its verdict, or a rubric and one step checked, or what is known."""
    cells: dict[tuple[str, str], list[NotebookNode]] = {}  # in an exercise, in its solution
    for piece in pieces(notebook):
        if piece.gate and isinstance(piece.content, NotebookNode):
            gate = piece.gate.name
            own = piece.gate.argument if gate in SOLUTION else piece.gate.options.get("label", "")
            cells.setdefault((gate, own), []).append(piece.content)
    return [
        f"cell {task.cell}: exercise {task.label!r} {problem}"
        for task in exercises(notebook)
        for problem in _answer_problems(
            task,
            cells.get(("exercise-start", task.label), []),
            cells.get(("solution-start", task.label), []),
        )
    ]


def _answer_problems(
    task: Task, asked: list[NotebookNode], solved: list[NotebookNode]
) -> list[str]:
    shown = "\n".join(map(printed, solved))
    needs: dict[str | None, tuple[tuple[bool, str], ...]] = {
        "computation": (
            (
                any("print(check." in cell.source for cell in asked),
                "calls no checker: print(check.NAME(answer)) in a cell after exercise-start",
            ),
            ("Right: " in shown, "has no solution that its checker calls right, in a cell"),
        ),
        "proof": (
            ("full answer" in task.text, "does not say what a 'full answer' contains"),
            (
                any("print(" in cell.source for cell in solved) and bool(shown),
                "has no cell in its solution (solution-start) that prints a check of one step",
            ),
        ),
        "open": (("hat is known" in task.text, "does not say what is known, in these words"),),
    }
    return [problem for held, problem in needs.get(task.kind, ()) if not held]


def hinted(notebook: NotebookNode) -> set[str]:
    """The labels of exercises that a folded hint follows, before solution and next exercise."""
    found, current = set(), ""
    for _, part in markdown(notebook):
        if not isinstance(part, Block):
            continue
        if part.name in EXERCISE:
            current = part.options.get("label", "")
        elif part.name in SOLUTION:
            current = ""
        elif part.name == "dropdown" and part.argument == "Hint" and count_words(part.body):
            found.add(current)
    return found


def _solution_problems(notebook: NotebookNode) -> list[str]:
    """Solutions are folded and answer a known exercise; gated code cells carry their tag."""
    known = {task.label for task in exercises(notebook)}
    found = []
    for piece, block, _ in all_blocks(notebook):
        if block.name not in SOLUTION:
            continue
        if not block.is_dropdown:
            found.append(f"cell {piece.cell}: solution not folded (':class: dropdown')")
        if block.argument not in known:
            found.append(f"cell {piece.cell}: solution to unknown exercise {block.argument!r}")
    for piece in pieces(notebook):
        if isinstance(piece.content, NotebookNode) and piece.gate is not None:
            tag = piece.gate.name.removesuffix("-start")
            if tag not in tags(piece.content):
                found.append(
                    f"cell {piece.cell}: code inside {piece.gate.name} not tagged {tag!r}"
                )
    return found
