"""Validators: each returns the cleaned, read-only array or raises `ValueError`.

A message names the argument, the requirement, what came, and what to do. Input is copied, never
changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Array",
    "case_axes",
    "covariance_matrix",
    "definite_matrix",
    "finite_array",
    "increasing_times",
    "number",
    "positive_integer",
    "positive_number",
    "probability_weights",
    "same_size",
    "single_case",
    "symmetric_matrix",
]

Array = NDArray[Any]


def finite_array(name: str, value: Any, shape: str) -> Array:
    """Return `value` as a read-only float array of the given shape.

    Args:
        name: the argument's name, for the message.
        value: anything array-like.
        shape: axis names such as ``"n d"``; a leading ``...`` allows any number of leading axes.

    Raises:
        ValueError: entries that are not real and finite, a wrong number of axes, an empty axis.
    """
    array = _real(name, value)
    axes = shape.split()
    stacked = axes[0] == "..."
    wanted = len(axes) - stacked
    if array.ndim < wanted or (array.ndim > wanted and not stacked):
        raise ValueError(f"{name}: must have shape ({', '.join(axes)}); got shape {array.shape}.")
    if array.size == 0:
        raise ValueError(
            f"{name}: must have at least one entry along each axis ({', '.join(axes)}); "
            f"got shape {array.shape}."
        )
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(
            f"{name}: every entry must be finite; got {array[where]} at index {where}. "
            "Remove or replace it first."
        )
    return frozen(array)


def _real(name: str, value: Any) -> Array:
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError(f"{name}: must hold no masked entries; fill or drop them first.")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name}: must be an array of real numbers; got {value!r}.") from error
    if array.dtype.kind not in "iuf":
        raise ValueError(
            f"{name}: must be an array of real numbers; got entries of type {array.dtype}."
        )
    return np.array(array, dtype=np.float64)


def frozen(array: Array) -> Array:
    """Make an array read-only, so that a measure or an attention cannot change under its owner."""
    array.setflags(write=False)
    return array


def generator(name: str, seed: Any) -> np.random.Generator:
    """Return the generator of a seed (an integer >= 0, several, or a generator), or raise."""
    try:
        if seed is None:
            raise TypeError("no seed")
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name}: must be an integer of at least 0 or a numpy Generator; got {seed!r}."
        ) from error


def same_size(name: str, size: int, other_name: str, other_size: int, axis: str) -> None:
    """Raise `ValueError` unless two arguments agree in the length of an axis."""
    if size != other_size:
        raise ValueError(
            f"{name}: its {axis} must be that of {other_name}, {other_size}; got {size}."
        )


def points_of(name: str, value: Any, owner: str, dimension: int) -> Array:
    """Return points (..., d) or (d,) as floats of the right dimension, or raise `ValueError`.

    NaN passes: a solver tries such points, and then shortens its step.
    """
    array = value if isinstance(value, np.ndarray) and value.dtype == np.float64 else None
    array = _real(name, value) if array is None else array
    if array.ndim == 0:
        raise ValueError(f"{name}: must have shape (n, d) or (d,); got a single number.")
    same_size(name, array.shape[-1], owner, dimension, "dimension")
    return array


def probability_weights(name: str, value: Any, n: int) -> Array:
    """Return weights (..., n), non-negative with sums one, or raise `ValueError`."""
    weights = finite_array(name, value, "... n")
    same_size(name, weights.shape[-1], "points", n, "length")
    if weights.min() < 0:
        least = np.unravel_index(weights.argmin(), weights.shape)
        where = tuple(int(i) for i in least) if weights.ndim > 1 else int(least[0])
        raise ValueError(f"{name}: must be non-negative; got {weights.min()} at index {where}.")
    sums = np.atleast_1d(weights.sum(axis=-1)).ravel()
    worst = sums[np.abs(sums - 1.0).argmax()]
    if abs(worst - 1.0) > 1e-9:
        raise ValueError(
            f"{name}: must sum to one; got a sum of {worst}. Divide by the sum first."
        )
    return weights


def case_axes(name: str, array: Array, own: int, owner: str, stack: tuple[int, ...]) -> Array:
    """Return an array with leading axes those of a stack before its `own` last ones, or raise.

    An array without leading axes is the same for all cases.
    """
    axes = array.shape[: array.ndim - own]
    if axes not in ((), stack):
        raise ValueError(
            f"{name}: its leading axes must match those of {owner}, {stack}; got {axes}."
        )
    return np.broadcast_to(array, stack + array.shape[array.ndim - own :]) if stack else array


def single_case(task: str, wanted: str, stack: tuple[int, ...]) -> None:
    """Raise `ValueError` for a stack where a task needs a single measure."""
    if stack:
        raise ValueError(
            f"{task} needs {wanted}; got a stack of shape {stack}. "
            "Choose a case first: measure[0]."
        )


def symmetric_matrix(name: str, value: Any) -> Array:
    """Return a stack (..., d, d) of symmetric matrices, or raise `ValueError`."""
    matrix = finite_array(name, value, "... d d")
    same_size(name, matrix.shape[-1], "its rows", matrix.shape[-2], "number of columns")
    size = np.abs(matrix).max(axis=(-2, -1), keepdims=True)
    gap = np.abs(matrix - matrix.mT)
    if (gap > 1e-10 * size).any():
        raise ValueError(
            f"{name}: must be symmetric; got a difference of {gap.max()} from its transpose. "
            "Use (S + S.T) / 2."
        )
    return matrix


def covariance_matrix(name: str, value: Any) -> Array:
    """Return a stack (..., d, d) of symmetric positive semidefinite matrices, or raise."""
    matrix = symmetric_matrix(name, value)
    size = np.abs(matrix).max(axis=(-2, -1))
    lowest = np.linalg.eigvalsh(matrix).min(axis=-1)
    if (lowest < -1e-10 * size).any():
        raise ValueError(
            f"{name}: must be positive semidefinite; got an eigenvalue of {lowest.min()}."
        )
    return matrix


def definite_matrix(name: str, value: Any) -> Array:
    """Return a symmetric positive definite matrix (d, d), or raise `ValueError`."""
    matrix = symmetric_matrix(name, finite_array(name, value, "d d"))
    lowest = np.linalg.eigvalsh(matrix).min()
    if not lowest > 0:
        raise ValueError(f"{name}: must be positive definite; got an eigenvalue of {lowest}.")
    return matrix


def number(
    name: str, value: Any, allowed: str, holds: Callable[[Any], bool], *, whole: bool = False
) -> Any:
    """Return a float, or an int where it must be `whole`, for which `holds`, or raise.

    Args:
        name: the argument's name, for the message.
        value: what came; no truth value and no text is a number.
        allowed: what it must be, for the message, such as "a positive number".
        holds: whether a number is allowed; it is given NaN for what is no number.
        whole: only integers are numbers.

    Raises:
        ValueError: no number, or one that is not allowed.
    """
    text_or_truth = isinstance(value, str | bool | np.bool_)
    try:
        if text_or_truth or (whole and not isinstance(value, int | np.integer)):
            found: Any = np.nan
        else:
            found = int(value) if whole else float(value)
    except (TypeError, ValueError, OverflowError):
        found = np.nan
    if not holds(found):
        raise ValueError(f"{name}: must be {allowed}; got {value!r}.")
    return found


def positive_number(name: str, value: Any, *, infinite: bool = False) -> float:
    """Return a float that is > 0 (and finite unless `infinite`), or raise `ValueError`."""
    allowed = "a positive number" if infinite else "a positive finite number"
    return number(name, value, allowed, lambda x: x > 0 and (infinite or x < np.inf))


def positive_integer(name: str, value: Any) -> int:
    """Return an integer >= 1, or raise `ValueError`."""
    return number(name, value, "an integer of at least 1", lambda x: x >= 1, whole=True)


def increasing_times(name: str, value: Any) -> Array:
    """Return strictly increasing times that start at 0, or raise `ValueError`."""
    times = finite_array(name, value, "T")
    if times[0] != 0:
        raise ValueError(f"{name}: an array of times must start at 0; got {times[0]}.")
    if times.size < 2 or (np.diff(times) <= 0).any():
        raise ValueError(
            f"{name}: must be strictly increasing with at least two entries; got {value!r}."
        )
    return times
