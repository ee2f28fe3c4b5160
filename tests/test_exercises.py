"""Checkers: the solution passes, every wrong answer is met with its reason, nothing raises.

`tests/answers/<chapter>.py` holds for each checker of a chapter the solution, in RIGHT, and in
WRONG at least three wrong answers, each with a part of what the checker must say of it.
"""

import importlib
import pkgutil

import answers
import contract
import numpy as np
import pytest

from transpde import exercises
from transpde.exercises import gaussian_preservation as check

CHAPTERS = {
    module.name: importlib.import_module(f"answers.{module.name}")
    for module in pkgutil.iter_modules(answers.__path__)
}
RIGHT = {c: answer for module in CHAPTERS.values() for c, answer in module.RIGHT.items()}
WRONG = [row for module in CHAPTERS.values() for row in module.WRONG]


def name(checker):
    return f"{checker.__module__.rpartition('.')[2]}-{checker.__name__}"


def test_every_checker_has_answers():
    chapters = {module.name for module in pkgutil.iter_modules(exercises.__path__)} - {"judge"}
    assert chapters == set(CHAPTERS)
    for chapter in chapters:
        module = importlib.import_module(f"transpde.exercises.{chapter}")
        assert {getattr(module, public) for public in module.__all__} <= set(RIGHT), chapter


BOOK = [path for path in contract.chapters(contract.ROOT) if path.parent.name != "reproduction"]


@pytest.mark.parametrize("path", BOOK, ids=lambda path: path.stem)
def test_each_exercise_has_what_its_kind_needs(path):
    """A checker to call, or a rubric and a numerical check of one step, or what is known."""
    notebook = contract.read(path)
    cells = {}  # of each exercise and of its solution: the code
    for piece in contract.pieces(notebook):
        if piece.gate and not isinstance(piece.content, str | contract.Block):
            label = (
                piece.gate.argument
                if "solution" in piece.gate.name
                else piece.gate.options["label"]
            )
            cells.setdefault((piece.gate.name, label), []).append(piece.content)
    for task in contract.exercises(notebook):
        asked, solved = (
            "\n".join(cell.source for cell in cells.get((gate, task.label), []))
            for gate in ("exercise-start", "solution-start")
        )
        shown = "\n".join(map(contract.printed, cells.get(("solution-start", task.label), [])))
        if task.kind == "computation":
            assert "print(check." in asked, task.label
            assert "Right: " in shown, task.label
        elif task.kind == "proof":
            assert "full answer" in task.text, task.label
            assert "print(" in solved, task.label
            assert shown, task.label
        else:
            assert "hat is known" in task.text, task.label


@pytest.mark.parametrize("checker", RIGHT, ids=name)
def test_the_solution_is_right(checker):
    assert checker(RIGHT[checker]).startswith("Right: ")


@pytest.mark.parametrize(("checker", "answer", "reason"), WRONG)
def test_a_wrong_answer_is_told_why(checker, answer, reason):
    verdict = checker(answer)
    assert verdict.startswith("Not yet: ")
    with pytest.raises(ValueError, match=reason):
        raise ValueError(verdict)


@pytest.mark.parametrize("checker", RIGHT, ids=name)
def test_every_checker_has_three_wrong_answers(checker):
    assert sum(c is checker for c, _, _ in WRONG) >= 3


@pytest.mark.parametrize(
    "answer",
    [
        lambda Q, K, V, S: (V @ S @ K.T @ Q).tolist(),
        lambda Q, K, V, S: np.einsum("ab,bc,kc,kd->ad", V, S, K, Q),
    ],
)
def test_a_right_answer_may_be_written_otherwise(answer):
    assert check.softmax_linear(answer).startswith("Right: ")


def test_a_number_may_come_in_an_array():
    right = RIGHT[check.blowup_time]
    assert check.blowup_time(lambda X, A: [right(X, A)]).startswith("Right: ")


def test_an_answer_cannot_change_the_question():
    def vandal(Q, K, V, Sigma):
        B = V @ Sigma @ K.T @ Q
        Q[:] = 0
        return B

    assert check.softmax_linear(vandal).startswith("Right: ")
