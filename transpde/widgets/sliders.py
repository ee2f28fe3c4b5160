"""The sliders of an explorer, and what else stands around its pictures."""

from __future__ import annotations

import itertools
import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

from transpde.checks import of_kind, positive_number, refuse_masked
from transpde.widgets.labels import text

__all__ = ["Layout", "Slider", "laid_out"]

MAX_FRAMES = 100


@final
@dataclass(frozen=True)
class Slider:
    """One control of an explorer: what it varies, and the stops of the static page.

    Increasing numbers make a slider, names a row of buttons.

    Args:
        values: the stops, at least two: increasing numbers, or names. Under a kernel the slider
            of real numbers is continuous between the first and the last, that of integers takes
            all integers between them.
        label: what the slider varies, in words; `$t$` is set in italics.
        start: one of the values, where the control stands first; by default the first.

    Raises:
        ValueError: fewer than two values, values that do not increase, names twice, two values
            of the same text, a start that is no stop, an empty label.
        TypeError: values that are neither all numbers nor all names, a label that is no text.

    Example:
        >>> from transpde.widgets import Slider
        >>> Slider([0.0, 0.5, 1.0], "depth $t$", start=0.5).texts
        ('0', '0.5', '1')
    """

    values: Sequence[Any]
    label: str
    start: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _stops(self.values))
        _check_words("label: must say what the slider varies", self.label)
        if len(set(self.texts)) < len(self.texts):
            raise ValueError(f"values: two stops would read the same; got {self.texts}.")
        start = self.values[0] if self.start is None else _plain(self.start)
        if isinstance(start, bool) or start not in self.values:
            raise ValueError(f"start: must be one of {self.values}; got {self.start!r}.")
        object.__setattr__(self, "start", start)

    @property
    def names(self) -> bool:
        """Whether the stops are names, to be chosen by buttons."""
        return isinstance(self.values[0], str)

    @property
    def texts(self) -> tuple[str, ...]:
        """The stops as a reader sees and hears them."""
        return tuple(text(value) for value in self.values)


def _check_words(wanted: str, words: Any) -> None:
    """Raise if what should be words is no text, or an empty one."""
    if not isinstance(words, str):
        raise TypeError(f"{wanted}; got {type(words).__name__}.")
    if not words.strip():
        raise ValueError(f"{wanted}; got an empty text.")


def _plain(value: Any) -> Any:
    """Return a number of numpy as one of Python, all else as it is."""
    return value.item() if getattr(value, "size", 0) == 1 and hasattr(value, "item") else value


def _stops(values: Sequence[Any]) -> tuple[Any, ...]:
    """Return the stops as plain Python numbers or names, or raise."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(f"values: must be a list of numbers or of names; got {values!r}.")
    if not isinstance(values, range):
        refuse_masked("values", values)
    stops = tuple(map(_plain, values))
    if len(stops) < 2:
        raise ValueError(f"values: a slider needs at least two stops; got {len(stops)}.")
    if all(isinstance(v, str) for v in stops):
        if len(set(stops)) < len(stops):
            raise ValueError(f"values: each name must stand once; got {stops}.")
        return stops
    if not all(isinstance(v, numbers.Real) and not isinstance(v, bool) for v in stops):
        raise TypeError(f"values: must be all numbers or all names; got {stops}.")
    if not all(-math.inf < low < high < math.inf for low, high in itertools.pairwise(stops)):
        raise ValueError(f"values: must be finite and increase; got {stops}.")
    return stops


class Layout(NamedTuple):
    """What stands around the pictures of an explorer; the size is in inches."""

    alt: str
    caption: str
    size: tuple[float, float]
    sliders: Mapping[str, Slider]

    @property
    def start(self) -> dict[str, Any]:
        """Where the sliders stand first."""
        return {name: slider.start for name, slider in self.sliders.items()}

    @property
    def stops(self) -> list[tuple[Any, ...]]:
        """The stops of all sliders together, those of the last running fastest."""
        return list(itertools.product(*(slider.values for slider in self.sliders.values())))


def laid_out(alt: Any, caption: Any, size: Any, sliders: Mapping[str, Any]) -> Layout:
    """Return the layout, or raise where a part of it is not what it must be."""
    _check_words("alt: must say in words what the picture shows", alt)
    if not isinstance(caption, str) or caption:
        _check_words("caption: must be a line of text", caption)
    _check_sliders(sliders)
    if not isinstance(size, Sequence) or len(size) != 2:
        raise ValueError(f"size: must be a width and a height in inches; got {size!r}.")
    inches = (positive_number("size", size[0]), positive_number("size", size[1]))
    return Layout(alt, caption, inches, dict(sliders))


def _check_sliders(sliders: Mapping[str, Any]) -> None:
    if not sliders:
        raise ValueError(
            "sliders: an explorer needs at least one; give name=Slider(values, label)."
        )
    for name, slider in sliders.items():
        of_kind(name, slider, Slider, "a Slider")
    count = math.prod(len(slider.values) for slider in sliders.values())
    if count > MAX_FRAMES:
        raise ValueError(
            f"sliders: at most {MAX_FRAMES} pictures in all; got {count}. Use fewer stops."
        )
