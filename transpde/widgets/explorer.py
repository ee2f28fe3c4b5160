"""What an explorer is: a drawing function, and the pictures at all stops of its controls."""

from __future__ import annotations

import base64
import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, final

from transpde.checks import function, positive_integer
from transpde.records import digest
from transpde.widgets import live, page, pictures
from transpde.widgets.labels import named
from transpde.widgets.sliders import Slider, laid_out

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Explorer"]

MAX_BYTES = 400_000
_numbers = itertools.count(1)  # tells apart the explorers of one page


@final
class Explorer:
    """A picture with sliders and buttons, live under a kernel and baked into a page without one.

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
        **sliders: a `Slider` for each argument of `draw`, at most 100 pictures in all.

    Raises:
        ValueError: an empty alt text, a size that is not two positive numbers, no slider, more
            than 100 pictures, a page of more than 0.4 MB, a slider that changes no picture.
        TypeError: a slider that is no `Slider`, a `draw` that cannot be called, an alt text or
            caption that is no text.
        RuntimeError: `draw` failed; the message names the values, its cause is the error itself.

    Attributes:
        frames: the baked pictures (SVG), the stops of the last slider running fastest.
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
        function("draw", draw)
        if positive_integer("digits", digits) > 9:
            raise ValueError(f"digits: must be at most 9; got {digits}.")
        self.layout, self._draw = laid_out(alt, caption, size, sliders), draw
        stops = self.layout.stops
        start = stops.index(tuple(self.layout.start.values()))
        frames, data, layout = [], [], pictures.Layout()
        for place, stop in enumerate(stops):
            figure = self._drawn(dict(zip(sliders, stop, strict=True)), layout)
            frames.append(pictures.svg(figure))
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
        return self._drawn(values, pictures.Layout())

    def _drawn(self, values: dict[str, Any], layout: pictures.Layout) -> Figure:
        try:
            with pictures.look():
                figure = pictures.empty(self.layout.size)
                self._draw(figure, **values)
                layout.apply(figure)
        except Exception as error:
            raise RuntimeError(f"the drawing function failed at {named(values)}") from error
        return figure

    def _check_moves(self) -> None:
        """Raise if a slider leaves every picture as it is: a dead control."""
        shape = [len(slider.values) for slider in self.layout.sliders.values()]
        for k, name in enumerate(self.layout.sliders):
            stride = math.prod(shape[k + 1 :])
            block = stride * shape[k]
            blocks = [self.frames[i : i + block] for i in range(0, len(self.frames), block)]
            if all(b[stride:] == b[:-stride] for b in blocks):
                raise ValueError(f"{name}: this slider changes no picture; leave it out.")

    def _written(self, start: int) -> str:
        name = f"explorer-{self.digest}-{next(_numbers)}"
        written = page.written(self.layout, self.frames, start, name, self.digest)
        if len(written) > MAX_BYTES:
            raise ValueError(
                f"sliders: the page may take {MAX_BYTES / 1000:.0f} kB; got "
                f"{len(written) / 1000:.0f} kB in {len(self.frames)} pictures. Use fewer stops, a "
                "smaller figure, or draw less in it."
            )
        return written

    def __repr__(self) -> str:
        return f"Explorer({', '.join(self.layout.sliders)}: {len(self.frames)} pictures)"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Return the live control, where there is a kernel, the page, and the still.

        A front-end takes the first it knows: JupyterLab the control, the book the page, LaTeX the
        still.
        """
        bundle = {"text/plain": repr(self), "text/html": self.page, "image/png": self._still}
        return bundle | (live.bundle(self.layout, self.figure) if live.under_kernel() else {})
