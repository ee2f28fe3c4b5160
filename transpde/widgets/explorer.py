"""What an explorer is: a drawing function, its sliders, and the pictures at all their stops."""

from __future__ import annotations

import base64
import itertools
import math
import numbers
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from transpde.checks import positive_number
from transpde.figures import digest
from transpde.widgets import live, page, pictures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Explorer", "Slider"]

MAX_FRAMES = 60
MAX_BYTES = 400_000
_numbers = itertools.count(1)  # tells apart the explorers of one page


@final
@dataclass(frozen=True)
class Slider:
    """One slider of an explorer: what it varies, and the stops of the static page.

    Args:
        values: the stops, at least two: increasing numbers, or names. Under a kernel the slider
            of real numbers is continuous between the first and the last, that of integers takes
            all integers between them.
        label: what the slider varies, in words; `$t$` is set in italics.
        start: one of the values, where the slider stands first; by default the first.

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
    def texts(self) -> tuple[str, ...]:
        """The stops as a reader sees and hears them."""
        return tuple(page.text(value) for value in self.values)


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


@final
class Explorer:
    """A picture with sliders, live under a kernel and baked into a page without one.

    All stops are drawn when the explorer is made, so an error of the drawing function is an error
    of that cell. As the last line of the next cell it shows itself.

    Args:
        draw: called as `draw(figure, **values)` with an empty `matplotlib` figure and a value for
            each slider.
        alt: what the picture shows, for who does not see it: the finding, not the drawing.
        caption: a line below the picture. In the book the caption is in the cell's metadata, where
            it gets a number; leave it out here.
        size: of the figure in inches; letters stay legible on a telephone up to a width of 5.
        digits: that count in `digest`, 1 to 9: fewer where rounding noise is drawn.
        **sliders: a `Slider` for each argument of `draw`, at most 60 pictures in all.

    Raises:
        ValueError: an empty alt text, a size that is not two positive numbers, no slider, more
            than 60 pictures, a page of more than 0.4 MB, a slider that changes no picture.
        TypeError: a slider that is no `Slider`, a `draw` that cannot be called, an alt text or
            caption that is no text.
        RuntimeError: `draw` failed; the message names the values, its cause is the error itself.

    Attributes:
        frames: the baked pictures (WebP), the stops of the last slider running fastest.
        digest: 12 hexadecimal characters that name the data drawn in all frames.
        page: the explorer as HTML that needs no kernel and asks for no other file.

    Source: ours.

    Example:
        >>> from transpde.widgets import Explorer, Slider
        >>> def draw(figure, slope):
        ...     figure.add_subplot(ylim=(-2, 2)).plot([0, 1], [0, slope])
        >>> stops = Slider([-1, 0, 2], "slope $s$", start=0)
        >>> line = Explorer(draw, alt="The line turns about the origin.", slope=stops)
        >>> line
        Explorer(slope: 3 pictures)
    """

    def __init__(
        self,
        draw: Callable[..., Any],
        /,
        *,
        alt: str,
        caption: str = "",
        size: tuple[float, float] = (4.8, 3.6),
        digits: int = 6,
        **sliders: Slider,
    ) -> None:
        _check_words("alt: must say in words what the picture shows", alt)
        _check_words("caption: must be a line of text", caption or "none")
        if not callable(draw):
            raise TypeError(f"draw: must be a function; got {type(draw).__name__}.")
        _check_sliders(sliders)
        self.alt, self.caption, self.sliders = alt, caption, dict(sliders)
        if not isinstance(size, Sequence) or len(size) != 2:
            raise ValueError(f"size: must be a width and a height in inches; got {size!r}.")
        self.size = (positive_number("size", size[0]), positive_number("size", size[1]))
        self._draw = draw
        stops = list(itertools.product(*(slider.values for slider in sliders.values())))
        start = stops.index(tuple(slider.start for slider in sliders.values()))
        frames, data = [], []
        for place, stop in enumerate(stops):
            figure = self.figure(**dict(zip(sliders, stop, strict=True)))
            frames.append(pictures.webp(figure))
            data += pictures.drawn(figure)
            if place == start:
                self._still = base64.b64encode(pictures.png(figure)).decode("ascii")
        self.frames = tuple(frames)
        self._check_moves()
        self.digest = digest(*data, digits=digits)
        self.page = self._written(start)

    def figure(self, /, **values: Any) -> Figure:
        """Return the figure at these values of the sliders, drawn now.

        Raises:
            RuntimeError: `draw` failed; the message names the values.
        """
        try:
            with pictures.look():
                figure = pictures.empty(self.size)
                self._draw(figure, **values)
                figure.canvas.draw()
        except Exception as error:
            raise RuntimeError(f"the drawing function failed at {page.named(values)}") from error
        return figure

    def _check_moves(self) -> None:
        """Raise if a slider leaves every picture as it is: a dead control."""
        shape = [len(slider.values) for slider in self.sliders.values()]
        for k, name in enumerate(self.sliders):
            stride = math.prod(shape[k + 1 :])
            block = stride * shape[k]
            blocks = [self.frames[i : i + block] for i in range(0, len(self.frames), block)]
            if all(b[stride:] == b[:-stride] for b in blocks):
                raise ValueError(f"{name}: this slider changes no picture; leave it out.")

    def _written(self, start: int) -> str:
        name = f"explorer-{self.digest}-{next(_numbers)}"
        written = page.written(self, name, start)
        if len(written) > MAX_BYTES:
            raise ValueError(
                f"sliders: the page may take {MAX_BYTES / 1000:.0f} kB; got "
                f"{len(written) / 1000:.0f} kB in {len(self.frames)} pictures. Use fewer stops, a "
                "smaller figure, or draw less in it."
            )
        return written

    def __repr__(self) -> str:
        return f"Explorer({', '.join(self.sliders)}: {_count(self.sliders)} pictures)"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Return the live control, where there is a kernel, the page, and the still.

        A front-end takes the first it knows: JupyterLab the control, the book the page, LaTeX the
        still.
        """
        bundle = {"text/plain": repr(self), "text/html": self.page, "image/png": self._still}
        return bundle | (live.bundle(self) if live.under_kernel() else {})


def _check_sliders(sliders: dict[str, Slider]) -> None:
    if not sliders:
        raise ValueError(
            "sliders: an explorer needs at least one; give name=Slider(values, label)."
        )
    for name, slider in sliders.items():
        if not isinstance(slider, Slider):
            raise TypeError(f"{name}: must be a Slider; got {type(slider).__name__}.")
    if (count := _count(sliders)) > MAX_FRAMES:
        raise ValueError(
            f"sliders: at most {MAX_FRAMES} pictures in all; got {count}. Use fewer stops."
        )


def _count(sliders: dict[str, Slider]) -> int:
    return math.prod(len(slider.values) for slider in sliders.values())
