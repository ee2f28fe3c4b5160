"""Short names of arrays up to rounding: by them a page says that its data are the same."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from transpde.checks import Array, plain_array, positive_integer

__all__ = ["digest"]

FEW, SUMS = 64, 4  # entries that count one by one in a digest; the sums of more


def digest(*arrays: Any, digits: int = 6) -> str:
    """Return 12 hexadecimal characters that name arrays up to rounding.

    Each array is divided by its largest finite absolute value and rounded to `digits` decimals;
    its shape counts, and that largest value to as many digits. Of an array of more than 64 entries
    four sums with fixed random signs, over the square root of their number, stand for the entries.
    A zero has no sign and every NaN is the same. Noise of 1e-13 of the largest value changes the
    digest only if one of so few numbers lies that close to the border of two roundings; decimal
    fractions such as 0.0000005 do not.

    Args:
        *arrays: real arrays of any shape.
        digits: decimals that count, 1 to 9.

    Example:
        >>> from transpde.records import digest
        >>> digest([1.0, 2.0]) == digest([1.0, 2.0 + 1e-13])
        True
    """
    if positive_integer("digits", digits) > 9:
        raise ValueError(f"digits: must be at most 9; got {digits}.")
    total = hashlib.sha256()
    for array in arrays:
        values = plain_array("arrays", array, "biuf").astype(np.float64)
        finite = np.abs(values[np.isfinite(values)])
        scale = float(finite.max()) if finite.size and finite.max() > 0 else 1.0
        # Rounded first to 12 decimals: an entry at the middle of two roundings, common among
        # decimal fractions, then goes the same way whatever its last bits are.
        rounded = np.round(np.round(_counted(values / scale), 12), digits) + 0.0  # no -0.0
        rounded = np.where(np.isnan(rounded), np.nan, rounded)
        size = f"{float(f'{scale:.11e}'):.{digits - 1}e}"
        total.update(f"{values.shape} {size} ".encode())
        total.update(np.ascontiguousarray(rounded, dtype="<f8").tobytes())
    return total.hexdigest()[:12]


def _counted(values: Array) -> Array:
    """Return the entries, or a few sums of many: one of 100,000 would lie at a border."""
    if values.size <= FEW:
        return values
    bits = np.random.PCG64(SUMS).random_raw(SUMS * values.size)  # the same for ever
    signs = np.where(bits >> 63, 1.0, -1.0).reshape(SUMS, -1)
    finite = np.isfinite(values)
    sums = signs @ np.where(finite, values, 0.0).ravel() / np.sqrt(values.size)
    others = np.empty(0) if finite.all() else np.where(finite, 0.0, values).ravel()
    return np.concatenate([sums, others])
