"""Trying a reader's function on problems with a known answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Number
from typing import Any

import numpy as np

from transpde.checks import Array, refuse_masked

__all__ = ["Answer", "judged"]

Answer = Callable[..., Any]


def judged(
    answer: Answer,
    problems: Sequence[tuple[Array, ...]],
    solution: Callable[..., Any],
    hints: dict[str, Callable[..., Any]],
) -> str | None:
    """Return None if the answer is right on every problem, else what is wrong in a sentence.

    Args:
        answer: the reader's function.
        problems: the arguments of each problem; copies are handed out.
        solution: the right function.
        hints: wrong functions ("slips") by what to say of them; that of the first slip with the
            same values is said. A slip must not raise: nan, where it has no value, fits nothing.
    """
    fitting = dict(hints)
    wrong: str | None = None
    for problem in problems:
        got, reason = _tried(answer, problem)
        if got is None:
            if wrong is None:  # right so far: that it stops is all that is wrong
                return reason
            break
        wrong = wrong or _difference(got, np.asarray(solution(*problem), dtype=float))
        fitting = {hint: slip for hint, slip in fitting.items() if _fits(got, slip, problem)}
    if wrong is None:
        return None
    return f"Not yet: {next(iter(fitting))}" if fitting else wrong


def _tried(answer: Answer, problem: tuple[Array, ...]) -> tuple[Array | None, str]:
    """Return the answer as an array, or None and the reason why there is none."""
    try:
        value = answer(*(np.array(argument) for argument in problem))
    except (Exception, SystemExit) as error:  # said to the reader, never raised
        return None, f"Not yet: your function raised {type(error).__name__}: {error}."
    if value is None:
        return None, "Not yet: your function returned nothing; end every way with `return`."
    try:
        refuse_masked("answer", value)
    except ValueError:
        return None, "Not yet: your function returned masked entries; fill or drop them."
    try:
        array = np.asarray(value)
        exact = array.dtype.kind == "O" and all(isinstance(x, Number) for x in array.flat)
        numbers = array.astype(complex) if exact or array.dtype.kind in "iufc" else None
    except (TypeError, ValueError, OverflowError):
        numbers = None
    if numbers is None:
        return None, f"Not yet: your function returned {type(value).__name__}, not real numbers."
    if np.isnan(numbers).any():
        return None, "Not yet: your function returned nan, which is not a number."
    if not _close(numbers.imag, np.zeros(numbers.shape), 1e-8, of=numbers.real):
        return None, "Not yet: your function returned complex numbers, not real ones."
    return numbers.real, ""


def _close(got: Array, right: Array, tolerance: float, of: Array | None = None) -> bool:
    if got.size == right.size == 1:
        got = got.reshape(right.shape)
    if got.shape != right.shape:
        return False
    sizes = np.abs(right if of is None else of)
    scale = max(1.0, float(sizes[np.isfinite(sizes)].max(initial=0.0)))
    return bool(np.allclose(got, right, rtol=tolerance, atol=tolerance * scale))


def _fits(got: Array, slip: Callable[..., Any], problem: tuple[Array, ...]) -> bool:
    with np.errstate(all="ignore"):
        return _close(got, np.asarray(slip(*problem), dtype=float), 1e-8)


def _difference(got: Array, right: Array) -> str | None:
    if _close(got, right, 1e-8):
        return None
    if got.size != right.size or (got.shape != right.shape and right.ndim):
        return f"Not yet: the shape must be {right.shape}; yours is {got.shape}."
    if _close(got, right, 1e-4):
        return "Not yet: right to a few digits only; compute in double precision."
    got = got.reshape(right.shape)
    wild = (np.isinf(got) | np.isinf(right)) & (got != right)
    if (wild & np.isfinite(right)).any():
        return "Not yet: an entry is infinite where the right one is a number."
    if wild.any():
        return f"Not yet: an entry must be {right[wild][0]}; yours is {got[wild][0]:.3g}."
    error = np.abs((got - right)[np.isfinite(right)]).max()
    return f"Not yet: the largest error of an entry is {error:.3g}."
