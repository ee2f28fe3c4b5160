"""How a sum over tokens is to be evaluated: by which method, to which tolerance."""

from __future__ import annotations

from typing import Any, NamedTuple

from transpde.checks import positive_number

__all__ = ["EXACT", "KERNEL_METHODS", "Evaluation", "evaluation"]

KERNEL_METHODS = ("auto", "exact", "interpolated")


class Evaluation(NamedTuple):
    """A method and its tolerance, relative to the largest sum."""

    method: str = "auto"
    tol: float = 1e-10


EXACT = Evaluation("exact")


def evaluation(method: Any, tol: Any, name: str = "method") -> Evaluation:
    """Return the checked choice.

    Raises:
        ValueError: an unknown method, a tolerance that is not positive.
    """
    if method not in KERNEL_METHODS:
        raise ValueError(f"{name}: must be one of {', '.join(KERNEL_METHODS)}; got {method!r}.")
    return Evaluation(method, positive_number("tol", tol))
