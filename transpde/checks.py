"""Validators: each returns the cleaned value, or raises `ValueError` or `TypeError`.

A message names the argument, the requirement, what came, and what to do. Input is copied, never
changed, and arrays are read-only. No other module turns what a caller gives into an array or a
number: what one of these refuses, all refuse.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from transpde.unchanging import Array, Unchanging, brief, frozen, listing, outlined

__all__ = [
    "Array",
    "Unchanging",
    "brief",
    "case_axes",
    "choice",
    "covariance_matrix",
    "definite_matrix",
    "finite_array",
    "finite_cases",
    "flag",
    "frozen",
    "function",
    "increasing_times",
    "kind_of",
    "known_covariances",
    "listing",
    "mapping",
    "number",
    "of_kind",
    "outlined",
    "plain_array",
    "positive_array",
    "positive_integer",
    "positive_number",
    "probability_weights",
    "real_array",
    "refuse_masked",
    "same_size",
    "single_case",
    "symmetric_matrix",
    "text",
]

Shape = tuple[int, ...]

LARGEST = 1 << 63  # no array has as many entries
LEAST = float(np.finfo(float).tiny)


def real_array(name: str, value: Any, shape: str = "...") -> Array:
    """Return `value` as a read-only float array of the given shape; NaN and infinity pass.

    Args:
        name: the argument's name, for the message.
        value: anything array-like; no masked entries, truth values, texts, times or objects.
        shape: axis names such as ``"n d"``; a leading ``...`` allows any number of leading axes.

    Raises:
        ValueError: entries that are not real, a wrong number of axes, an empty axis.
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
    return frozen(array)


def finite_array(name: str, value: Any, shape: str) -> Array:
    """Return `value` as a read-only float array of the given shape, all entries finite.

    Args:
        name: the argument's name, for the message.
        value: anything array-like.
        shape: as for `real_array`.

    Raises:
        ValueError: entries that are not real and finite, a wrong number of axes, an empty axis.
    """
    array = real_array(name, value, shape)
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(
            f"{name}: every entry must be finite; got {array[where]} at index {where}. "
            "Remove or replace it first."
        )
    return array


def entries(
    name: str,
    value: Any,
    shape: str,
    allowed: str,
    holds: Callable[[Array], Any],
    advice: str = "",
) -> Array:
    """Return a finite array of the shape for each entry of which `holds`; see `number`.

    Raises:
        ValueError: as `finite_array`, and an entry that is not allowed.
    """
    array = finite_array(name, value, shape)
    wrong = array[~holds(array)]
    if wrong.size:
        raise ValueError(f"{name}: must be {allowed}; got {wrong[0]}.{advice and ' '}{advice}")
    return array


def positive_array(name: str, value: Any, shape: str = "N") -> Array:
    """Return an array of positive numbers, or raise `ValueError`."""
    return entries(name, value, shape, "positive", lambda x: x > 0)


def non_negative_array(name: str, value: Any, shape: str = "...") -> Array:
    """Return an array of numbers of at least 0, or raise `ValueError`."""
    return entries(name, value, shape, "non-negative", lambda x: x >= 0)


def whole_array(name: str, value: Any, least: int) -> Array:
    """Return an array of whole numbers of at least `least`, as floats, or raise `ValueError`."""
    allowed = f"whole numbers of at least {least}"
    return entries(name, value, "...", allowed, lambda x: (x >= least) & (x % 1 == 0))


def square_matrix(name: str, value: Any, shape: str = "... d d") -> Array:
    """Return a square matrix, or a stack of them, or raise `ValueError`."""
    matrix = finite_array(name, value, shape)
    same_size(name, matrix.shape[-1], "its rows", matrix.shape[-2], "number of columns")
    return matrix


def plain_array(name: str, value: Any, kinds: str = "iuf") -> Array:
    """Return `value` as a plain array, no subclass, whose entries are of the kinds of numpy.

    Raises:
        ValueError: masked entries, also inside of a sequence; a ragged sequence; another kind.
    """
    wanted = {"iuf": "real numbers", "iu": "integers", "b": "truth values"}.get(kinds, "numbers")
    refuse_masked(name, value)
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: must be an array of {wanted}; got {_shown(value)}.") from error
    # Among numbers numpy takes a truth value for one; alone they are an array of their own kind.
    if "b" not in kinds and _holds(value, lambda one: isinstance(one, bool | np.bool_)):
        raise ValueError(f"{name}: must be an array of {wanted}; got a truth value in it.")
    if array.dtype.kind not in kinds:
        raise ValueError(
            f"{name}: must be an array of {wanted}; got entries of type {array.dtype}."
        )
    return array


def refuse_masked(name: str, value: Any) -> None:
    """Raise `ValueError` for an array with a mask, or a sequence that holds one."""
    if _holds(value, lambda one: isinstance(one, np.ma.MaskedArray)):
        raise ValueError(f"{name}: must hold no masked entries; fill or drop them first.")


def _holds(value: Any, found: Callable[[Any], bool]) -> bool:
    """Return whether a value, or one inside of a sequence, is what is looked for."""
    if isinstance(value, list | tuple):
        return any(_holds(one, found) for one in value)
    return found(value)


def _real(name: str, value: Any) -> Array:
    return np.array(plain_array(name, value), dtype=np.float64)


def _shown(value: Any) -> str:
    """Return the text of what came, a long one cut short."""
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def generator(name: str, seed: Any) -> np.random.Generator:
    """Return the generator of a seed (an integer >= 0, several, or a generator), or raise."""
    known = np.random.Generator | np.random.SeedSequence | np.random.BitGenerator
    several = seed if isinstance(seed, list | tuple) and seed else [seed]
    if isinstance(seed, known) or all(_is_number(one, whole=True) for one in several):
        with suppress(ValueError):
            return np.random.default_rng(seed)
    raise ValueError(
        f"{name}: must be an integer of at least 0 or a numpy Generator; got {_shown(seed)}."
    )


def _is_number(value: Any, *, whole: bool = False) -> bool:
    """Return whether a value is one real number, or an integer: no truth value, text or time."""
    if isinstance(value, bool | np.bool_ | np.timedelta64 | np.ma.MaskedArray):
        return False
    if isinstance(value, np.ndarray):
        return value.ndim == 0 and value.dtype.kind in ("iu" if whole else "iuf")
    return isinstance(value, numbers.Integral if whole else numbers.Real)


def same_size(name: str, size: int, other_name: str, other_size: int, axis: str) -> None:
    """Raise `ValueError` unless two arguments agree in the length of an axis."""
    if size != other_size:
        raise ValueError(
            f"{name}: its {axis} must be that of {other_name}, {other_size}; got {size}."
        )


def same_shape(name: str, shape: Shape, other_name: str, other_shape: Shape) -> None:
    """Raise `ValueError` unless an argument has the shape of another."""
    if shape != other_shape:
        raise ValueError(
            f"{name}: must have the shape of {other_name}, {other_shape}; got {shape}."
        )


def fitting_axes(
    name: str, axes: Shape, other_name: str, other_axes: Shape, what: str = "leading axes"
) -> None:
    """Raise `ValueError` unless axes of two arguments can be broadcast together."""
    try:
        np.broadcast_shapes(axes, other_axes)
    except ValueError:
        raise ValueError(
            f"{name}: its {what} must match those of {other_name}, {other_axes}; got {axes}."
        ) from None


def points_of(name: str, value: Any, owner: str, dimension: int) -> Array:
    """Return points (..., d) or (d,) as floats of the right dimension, or raise `ValueError`.

    NaN passes: a solver tries such points, and then shortens its step.
    """
    as_it_is = type(value) is np.ndarray and value.dtype == np.float64  # a subclass may hide some
    array = value if as_it_is else _real(name, value)
    if array.ndim == 0:
        raise ValueError(f"{name}: must have shape (n, d) or (d,); got a single number.")
    same_size(name, array.shape[-1], owner, dimension, "dimension")
    return array


def probability_weights(
    name: str, value: Any, n: int, owner: str = "points", shape: str = "... n"
) -> Array:
    """Return weights (..., n), non-negative with sums one, or raise `ValueError`."""
    weights = finite_array(name, value, shape)
    same_size(name, weights.shape[-1], owner, n, "length")
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


def finite_cases(name: str, measure: Any) -> None:
    """Raise `ValueError` for a measure, or a stack with a case, that is NaN after its own end."""
    known = np.isfinite(measure.pack()).all(axis=-1)
    if not known.all():
        case = f" in case {tuple(np.argwhere(~known)[0].tolist())}" if measure.stack else ""
        raise ValueError(
            f"{name}: must have finite coordinates; got NaN{case}, as a path has after the end of "
            "a case. Choose cases that have not ended."
        )


def symmetric_matrix(name: str, value: Any, shape: str = "... d d") -> Array:
    """Return a symmetric matrix, or a stack of them, or raise `ValueError`."""
    matrix = square_matrix(name, value, shape)
    size = np.abs(matrix).max(axis=(-2, -1), keepdims=True)
    gap = np.abs(matrix - matrix.mT)
    if (gap > 1e-10 * size).any():
        raise ValueError(
            f"{name}: must be symmetric; got a difference of {gap.max()} from its transpose. "
            "Use (S + S.T) / 2."
        )
    return matrix


def covariance_matrix(name: str, value: Any, shape: str = "... d d") -> Array:
    """Return a symmetric positive semidefinite matrix, or a stack of them, or raise."""
    matrix = symmetric_matrix(name, value, shape)
    size = np.abs(matrix).max(axis=(-2, -1))
    lowest = np.linalg.eigvalsh(matrix).min(axis=-1)
    if (lowest < -1e-10 * size).any():
        raise ValueError(
            f"{name}: must be positive semidefinite; got an eigenvalue of {lowest.min()}."
        )
    return matrix


def known_covariances(name: str, value: Any) -> Array:
    """Return covariances (..., d, d) as they came; those that are NaN throughout stay NaN.

    A flow leaves NaN after a case's own end. Everything else must be a covariance.
    """
    array = real_array(name, value, "... d d")
    same_size(name, array.shape[-1], "its rows", array.shape[-2], "number of columns")
    missing = np.isnan(array).all(axis=(-2, -1), keepdims=True)
    covariance_matrix(name, np.where(missing, np.eye(array.shape[-1]), array))
    return array


def definite_matrix(name: str, value: Any, shape: str = "d d") -> Array:
    """Return a symmetric positive definite matrix, or a stack of them, or raise `ValueError`."""
    matrix = symmetric_matrix(name, value, shape)
    lowest = np.linalg.eigvalsh(matrix).min()
    if not lowest > 0:
        raise ValueError(f"{name}: must be positive definite; got an eigenvalue of {lowest}.")
    return matrix


def number(
    name: str,
    value: Any,
    allowed: str,
    holds: Callable[[Any], bool],
    *,
    whole: bool = False,
    most: float = LARGEST,
    advice: str = "",
) -> Any:
    """Return a float, or an int where it must be `whole`, for which `holds`, or raise.

    Args:
        name: the argument's name, for the message.
        value: what came; no truth value and no text is a number.
        allowed: what it must be, for the message, such as "a positive number".
        holds: whether a number is allowed; it is given NaN for what is no number.
        whole: only integers are numbers, and only below `most`.
        most: what an integer must be below.
        advice: what to do instead, the last sentence of the message.

    Raises:
        ValueError: no number, or one that is not allowed.
    """
    found: Any = np.nan
    if _is_number(value, whole=whole):
        with suppress(OverflowError):
            found = int(value) if whole else float(value)
    if not holds(found):
        raise ValueError(
            f"{name}: must be {allowed}; got {_shown(value)}.{advice and ' '}{advice}"
        )
    if whole and abs(found) >= most:
        raise ValueError(
            f"{name}: must be below 2^{np.log2(float(most)):.0f}; got {_shown(value)}."
        )
    return found


def positive_number(name: str, value: Any, *, infinite: bool = False, advice: str = "") -> float:
    """Return a float that is > 0 (and finite unless `infinite`), or raise `ValueError`.

    Numbers under 2.3e-308 have lost digits and no finite inverse: they do not count as positive.
    """
    allowed = "a positive number" if infinite else "a positive finite number"
    found: float = number(
        name, value, allowed, lambda x: x > 0 and (infinite or x < np.inf), advice=advice
    )
    if found < LEAST:
        raise ValueError(f"{name}: must be {allowed} of at least {LEAST:.3g}; got {found!r}.")
    return found


def non_negative_number(name: str, value: Any) -> float:
    """Return a finite float that is >= 0, or raise `ValueError`."""
    return number(name, value, "a finite number of at least 0", lambda x: 0 <= x < np.inf)


def finite_number(name: str, value: Any) -> float:
    """Return a finite float, or raise `ValueError`."""
    return number(name, value, "a finite number", np.isfinite)


def index_below(name: str, value: Any, count: int) -> int:
    """Return an integer from 0 to `count` - 1, or raise `ValueError`."""
    wanted = f"an integer from 0 to {count - 1}"
    return number(name, value, wanted, lambda i: 0 <= i < count, whole=True)


def open_share(name: str, value: Any) -> float:
    """Return a number between 0 and 1, ends excluded, or raise `ValueError`."""
    allowed = "a number between 0 and 1, without these"
    return number(name, value, allowed, lambda x: LEAST <= x < 1)


def positive_integer(name: str, value: Any, least: int = 1) -> int:
    """Return an integer >= 1, or of at least as much as is said, or raise `ValueError`."""
    return number(name, value, f"an integer of at least {least}", lambda x: x >= least, whole=True)


def increasing_times(name: str, value: Any) -> Array:
    """Return strictly increasing times that start at 0, or raise `ValueError`."""
    times = finite_array(name, value, "T")
    if times[0] != 0:
        raise ValueError(f"{name}: an array of times must start at 0; got {times[0]}.")
    if times.size < 2 or (np.diff(times) < LEAST).any():
        raise ValueError(
            f"{name}: must be strictly increasing with at least two entries; got {_shown(value)}."
        )
    return times


def kind_of(value: Any) -> str:
    """Return the name of the kind of a value, for a message: of a class that it is one."""
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def of_kind(name: str, value: Any, kind: Any, wanted: str = "") -> Any:
    """Return `value`, or raise `TypeError` if it is not of the kind, or of one of several."""
    if not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        wanted = wanted or " or ".join(one.__name__ for one in kinds)
        advice = " Give an instance of it." if isinstance(value, type) else ""
        raise TypeError(f"{name}: must be {wanted}; got {kind_of(value)}.{advice}")
    return value


def choice(name: str, value: Any, known: Iterable[str], owner: str = "") -> str:
    """Return a text that is one of the known ones, or raise `ValueError`."""
    known = list(known)
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name}: must be one of {', '.join(known)}{owner}; got {_shown(value)}.")
    return value


def flag(name: str, value: Any) -> bool:
    """Return a truth value, or raise `TypeError`."""
    return bool(of_kind(name, value, (bool, np.bool_), "True or False"))


def text(name: str, value: Any) -> str:
    """Return a text, or raise `TypeError`."""
    return str(of_kind(name, value, str, "a text"))


def mapping(name: str, value: Any) -> Any:
    """Return what gives values by name, or raise `TypeError`."""
    return of_kind(name, value, Mapping, "a dictionary")


def function(name: str, value: Any) -> Any:
    """Return something that can be called and is no class, or raise `TypeError`."""
    if isinstance(value, type) or not callable(value):
        raise TypeError(f"{name}: must be a function; got {kind_of(value)}.")
    return value
