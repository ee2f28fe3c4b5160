"""Checkers: the solution passes, every wrong answer is met with its reason, nothing raises.

`tests/answers/<chapter>.py` holds for each checker of a chapter the solution, in RIGHT, and in
WRONG at least three wrong answers, each with a part of what the checker must say of it.
"""

import importlib
import pkgutil
import sys
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from itertools import combinations
from typing import NamedTuple

import answers
import contract
import numpy as np
import pytest

from transpde import exercises
from transpde.exercises import basins
from transpde.exercises import gaussian_preservation as check
from transpde.exercises.judge import judged

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
    assert chapters == set(CHAPTERS), "each chapter of transpde/exercises has one in tests/answers"
    for chapter in chapters:
        module = importlib.import_module(f"transpde.exercises.{chapter}")
        assert {getattr(module, public) for public in module.__all__} <= set(RIGHT), chapter


BOOK = [path for path in contract.chapters(contract.ROOT) if path.parent.name != "reproduction"]


@pytest.mark.parametrize("path", BOOK, ids=lambda path: path.stem)
def test_each_exercise_has_what_its_kind_needs(path):
    """A checker to call, or a rubric and a numerical check of one step, or what is known."""
    problems = contract.check_answers(contract.read(path))
    assert not problems, "\n".join(problems)


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


# --- every slip of every checker -----------------------------------------------------------------


class Asked(NamedTuple):
    """What a checker hands to the judge."""

    problems: list
    solution: Callable
    slips: dict[str, Callable]

    def values(self, function):
        """What the function returns on each problem; an error is one of the test."""
        with np.errstate(all="ignore"):
            return [np.asarray(function(*problem), dtype=float) for problem in self.problems]


def asked(checker):
    found = []
    with pytest.MonkeyPatch.context() as patch:
        module = sys.modules[checker.__module__]
        patch.setattr(module, "judged", lambda answer, *rest: found.append(Asked(*rest)))
        checker(None)
    return found[0]


def agree(got, right, tolerance):
    """Whether values agree on every problem; a number may come in an array."""
    return all(
        (a.size == b.size == 1 or a.shape == b.shape)
        and np.allclose(a.ravel(), b.ravel(), rtol=tolerance, atol=tolerance)
        for a, b in zip(got, right, strict=True)
    )


@pytest.mark.parametrize("checker", RIGHT, ids=name)
def test_every_slip_is_wrong_and_no_other(checker):
    """No slip raises on a problem, is the solution to four digits, or is another slip."""
    task = asked(checker)
    values = {"": task.values(task.solution)}
    values |= {hint: task.values(slip) for hint, slip in task.slips.items()}
    same = [pair for pair in combinations(values, 2) if agree(*(values[h] for h in pair), 1e-4)]
    assert not same


@pytest.mark.parametrize("checker", RIGHT, ids=name)
def test_every_slip_is_told_as_itself(checker):
    """As an answer, and by an independent wrong answer of the chapter's table."""
    slips = asked(checker).slips
    with np.errstate(all="ignore"):
        assert {hint: checker(slip) for hint, slip in slips.items()} == {
            hint: f"Not yet: {hint}" for hint in slips
        }
        told = {checker(answer) for c, answer, _ in WRONG if c is checker}
    assert {f"Not yet: {hint}" for hint in slips} <= told


UNRELATED = {
    **{repr(number): lambda right, x=number: x for number in (7, 3.14, -5, 1e9, 0, 1)},
    **{repr(number): lambda right, x=number: x for number in (np.inf, -np.inf)},
    "zeros": lambda right: np.zeros(right.shape),
    "ones": lambda right: np.ones(right.shape),
    "random": lambda right: np.random.default_rng(right.size).normal(size=right.shape),
    "one more": lambda right: np.zeros(right.size + 1),
    "empty": lambda right: [],
    "matrix": lambda right: np.zeros((7, 7)),
}
# Constants that are slips on purpose: what is said of them is true of them.
CONSTANT = {
    ("discrete-frame", "zeros"): "the velocity is not zero",
    ("gaussian_preservation-softmax_linear", "zeros"): "the field is not zero",
    ("masked-conditional_distance", "0"): "a positive distance",
    ("masked-conditional_distance", "zeros"): "a positive distance",
    ("masked-norm_of_order_one", "1"): "sums over a row give 1",
    ("masked-norm_of_order_one", "ones"): "sums over a row give 1",
    ("pde_layers-merging_step", "1"): "the limit of a large score",
    ("pde_layers-merging_step", "ones"): "the limit of a large score",
}


@pytest.mark.parametrize("kind", UNRELATED)
@pytest.mark.parametrize("checker", RIGHT, ids=name)
def test_an_unrelated_answer_is_no_slip(checker, kind):
    task = asked(checker)
    verdict = checker(lambda *problem: UNRELATED[kind](np.asarray(task.solution(*problem))))
    slip = verdict.removeprefix("Not yet: ") in task.slips
    assert verdict.startswith("Not yet: ")
    assert slip == ((name(checker), kind) in CONSTANT), verdict
    assert CONSTANT.get((name(checker), kind), "") in verdict


@pytest.mark.parametrize("checker", RIGHT, ids=name)
def test_an_answer_that_stops_is_told_that_it_stops(checker):
    """Right on the first problems, it is not taken for a slip that is right on them too."""
    for last in range(len(asked(checker).problems)):
        count = iter(range(100))

        def answer(*problem, last=last, count=count):
            if next(count) == last:
                raise ZeroDivisionError("of the reader")
            return RIGHT[checker](*problem)

        assert "raised ZeroDivisionError: of the reader" in checker(answer)


def test_a_slip_that_raises_is_an_error_of_the_checker():
    with pytest.raises(ValueError, match="of the checker"):
        judged(lambda x: 7, [(np.ones(1),)], lambda x: x, {"a slip.": of_the_checker})


def of_the_checker(x):
    raise ValueError("of the checker")


@pytest.mark.parametrize("checker", RIGHT, ids=name)
def test_complex_numbers_without_imaginary_part_are_real(checker):
    def answer(*problem, part=0.0):
        return np.asarray(RIGHT[checker](*problem)) + complex(0, part)

    assert checker(answer).startswith("Right: ")
    assert checker(lambda *problem: answer(*problem, part=1e-14)).startswith("Right: ")
    assert "complex numbers" in checker(lambda *problem: answer(*problem, part=1e-3))


@pytest.mark.parametrize("values", [[0, 1, 0, -1], [0, 0, 0, 2, -1, 1], [0, 0], [1, -1, 0, 0, 0]])
@pytest.mark.parametrize("seed", range(5))
def test_zeros_of_the_rank_bound_are_rounded(values, seed):
    """The slip of exact zeros is a slip: the solution has the bound, rotated or not."""
    U = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(values), len(values))))[0]
    form = np.array(values, dtype=float)
    bound = sum(form == 0) + min(sum(form > 0), sum(form < 0))
    solution = asked(basins.rank_bound).solution
    assert solution(np.diag(form)) == solution((U * form) @ U.T) == bound


@pytest.mark.parametrize(
    "answer",
    [
        lambda Q, K, V, S: (V @ S @ K.T @ Q).tolist(),
        lambda Q, K, V, S: np.einsum("ab,bc,kc,kd->ad", V, S, K, Q),
    ],
)
def test_a_right_answer_may_be_written_otherwise(answer):
    assert check.softmax_linear(answer).startswith("Right: ")


def test_exact_numbers_are_numbers():
    """Fractions, decimals and integers of any length are real numbers; words are none."""
    for number in (Fraction(3, 2), Decimal("1.5"), [Fraction(3, 2)], 10**30):
        right = float(np.ravel(number)[0])
        assert judged(lambda x, y=number: y, [(np.ones(1),)], lambda x, y=right: y, {}) is None
    for word in ("1.5", [Fraction(1, 2), "1.5"], [1, None], True):
        said = judged(lambda x, y=word: y, [(np.ones(1),)], lambda x: 1.5, {})
        assert "not real numbers" in said


def test_a_number_may_come_in_an_array():
    right = RIGHT[check.blowup_time]
    assert check.blowup_time(lambda X, A: [right(X, A)]).startswith("Right: ")


def test_an_answer_cannot_change_the_question():
    def vandal(Q, K, V, Sigma):
        B = V @ Sigma @ K.T @ Q
        Q[:] = 0
        return B

    assert check.softmax_linear(vandal).startswith("Right: ")
