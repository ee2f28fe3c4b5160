"""How a sum over tokens is to be evaluated: by which method, to which tolerance, from where."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from transpde.checks import Array, choice, positive_number

__all__ = ["EXACT", "KERNEL_METHODS", "Evaluation", "Memory", "evaluation"]

KERNEL_METHODS = ("auto", "exact", "interpolated")


class Memory:
    """What iterations start from: for each head the potentials that its last call found."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[Any, Array] = WeakKeyDictionary()

    def __reduce__(self) -> tuple[Any, ...]:
        """Tell pickle to begin anew: it only saves iterations."""
        return Memory, ()

    def recall(self, head: Any, shape: tuple[int, ...]) -> Array:
        """Return what a head left, if it was for clouds of this shape, else zeros."""
        known = self._known.get(head)
        return known if known is not None and known.shape == shape else np.zeros(shape)

    def keep(self, head: Any, potentials: Array) -> None:
        """Keep the potentials (..., n) of a head as long as the head lives."""
        self._known[head] = potentials


@dataclass(frozen=True)
class Evaluation:
    """A method, its tolerance relative to the largest sum, and what calls remember."""

    method: str = "auto"
    tol: float = 1e-10
    memory: Memory | None = field(default=None, repr=False, compare=False)

    def remembering(self) -> Evaluation:
        """Return the same choice with an empty memory of its own."""
        return replace(self, memory=Memory())


EXACT = Evaluation("exact")


def evaluation(method: Any, tol: Any, name: str = "method") -> Evaluation:
    """Return the checked choice.

    Raises:
        ValueError: an unknown method, a tolerance that is not positive.
    """
    choice(name, method, KERNEL_METHODS)
    return Evaluation(method, positive_number("tol", tol))
