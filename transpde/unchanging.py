"""What does not change: read-only arrays, and things that hold them and show their shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Unchanging", "brief", "frozen", "listing", "outlined"]

Array = NDArray[Any]
T = TypeVar("T")


def frozen(array: Array) -> Array:
    """Make an array read-only, so that a measure or an attention cannot change under its owner."""
    array.setflags(write=False)
    return array


class Unchanging:
    """What holds arrays that do not change: copies, also by pickle, hold read-only ones, too."""

    def sealed(self) -> Self:
        """Make all arrays inside read-only, and return this."""
        _seal(list(vars(self).values()))
        return self

    def __repr__(self) -> str:
        """Return the kind and what it holds, arrays by their shapes, in one or two lines."""
        return brief(self, {key: one for key, one in vars(self).items() if key[0] != "_"})

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over what pickle or a copy has kept; numpy keeps no flags of arrays."""
        vars(self).update(state)
        self.sealed()


def listing(names: Iterable[str]) -> Callable[[], list[str]]:
    """Return the `__dir__` of a module whose public names are these."""
    return lambda: sorted(names)


def brief(thing: Any, parts: Mapping[str, Any]) -> str:
    """Return the kind of a thing and its parts, arrays by their shapes, in 160 characters."""
    shown = [f"{key} {_outline(one)}" for key, one in parts.items() if one is not None]
    text = ", ".join(shown)
    kind = type(thing).__name__
    room = 158 - len(kind)
    return f"{kind}({text if len(text) <= room else text[: room - 3] + '...'})"


def outlined(kind: type[T]) -> type[T]:
    """Give a named tuple the `__repr__` of what is `Unchanging`: arrays by their shapes."""
    kind.__repr__ = lambda self: brief(self, self._asdict())  # type: ignore[method-assign,attr-defined]
    return kind


def _outline(value: Any) -> str:
    """Return the shape of an array, the kinds of several things, or the text of another."""
    if isinstance(value, np.ndarray):
        return str(value.shape) if value.ndim else f"{value.item():.6g}"
    if isinstance(value, tuple | list) and value and isinstance(value[0], Unchanging):
        kinds = [type(one).__name__ for one in value]
        return " + ".join(f"{kinds.count(k)} {k}" for k in dict.fromkeys(kinds))
    if isinstance(value, Unchanging | bool | int | float | str | tuple):
        return " ".join(repr(value).split())
    return type(value).__name__


def _seal(value: Any) -> None:
    if isinstance(value, np.ndarray):
        frozen(value)
    elif isinstance(value, list | tuple):
        for one in value:
            _seal(one)
    elif isinstance(value, Unchanging):
        value.sealed()
