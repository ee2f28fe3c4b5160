"""Products of small matrices: of one by `dot`, of many entry by entry, all at once.

Numpy goes through a stack of matrices one by one, which for thousands of 2 x 2 ones costs ten
times the arithmetic. Where the cases of a stack are next to each other in memory, as `arranged`
puts them, operations on entries run along the cases, and their results lie alike.
"""

from __future__ import annotations

import numpy as np

from transpde.checks import Array

__all__ = ["applied", "arranged", "inner", "product"]

MANY, SMALL = 64, 3  # from so many matrices of at most so many rows and columns on it pays


def arranged(states: Array, rows: int, columns: int) -> Array:
    """Return coordinates (b, N) of cases as products of matrices of that size want them."""
    pays = states.ndim == 2 and len(states) >= MANY and max(rows, columns) <= SMALL
    return _arranged(states) if pays else states


def _arranged(array: Array) -> Array:
    """Return arrays (b, ...) of cases that are next to each other in memory."""
    return array if _innermost(array) else np.asfortranarray(array)


def _innermost(array: Array) -> bool:
    return array.strides[0] == array.itemsize


def _entry_by_entry(first: Array, second: Array) -> bool:
    (rows, k), columns = first.shape[-2:], second.shape[-1]
    if rows > SMALL or k > SMALL or columns > SMALL or first.ndim > 3 or second.ndim > 3:
        return False
    return len(second if second.ndim == 3 else first) >= MANY


def product(first: Array, second: Array) -> Array:
    """Return first @ second over leading axes."""
    if first.ndim == second.ndim == 2:
        return first.dot(second)  # of small ones twice as quick as a matmul
    if not _entry_by_entry(first, second):
        return first @ second
    first, second = _arranged(first), _arranged(second)
    total: Array = first[..., :1] * second[..., :1, :]
    for k in range(1, first.shape[-1]):
        total += first[..., k : k + 1] * second[..., k : k + 1, :]
    return total


def applied(matrix: Array, vector: Array) -> Array:
    """Return matrix @ vector over leading axes."""
    if vector.ndim == 1:
        return matrix.dot(vector) if matrix.ndim == 2 else matrix @ vector
    return product(matrix, vector[..., None])[..., 0]


def inner(first: Array, second: Array) -> Array:
    """Return the inner products of vectors (..., n) of a stack."""
    if _innermost(first) and _innermost(second):
        return np.asarray(np.add.reduce(first * second, axis=-1))
    return np.vecdot(first, second)
