"""An explorer under a kernel: controls of ipywidgets that call the drawing function."""

from __future__ import annotations

import html
import importlib.util
import sys
import traceback
from collections.abc import Callable
from typing import Any

from transpde.widgets import page, pictures
from transpde.widgets.labels import plain, typeset
from transpde.widgets.sliders import Layout, Slider

__all__ = ["bundle", "control", "under_kernel"]

STEPS = 200  # of a slider over real numbers


def under_kernel() -> bool:
    """Whether a kernel with ipywidgets runs this."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    found = importlib.util.find_spec("ipywidgets") is not None
    return found and getattr(shell, "kernel", None) is not None


def bundle(layout: Layout, figure: Callable[..., Any]) -> dict[str, Any]:
    """Return what a front-end with widgets shows."""
    shown: dict[str, Any] = control(layout, figure)._repr_mimebundle_()
    return {kind: value for kind, value in shown.items() if "widget-view" in kind}


def control(layout: Layout, figure: Callable[..., Any]) -> Any:
    """Return the box of picture and controls; every move draws anew."""
    import ipywidgets

    sliders = {name: _slider(slider) for name, slider in layout.sliders.items()}
    picture = ipywidgets.HTML(_shown(layout, figure, layout.start))

    def redraw(_: Any) -> None:
        picture.value = _shown(layout, figure, {name: s.value for name, s in sliders.items()})

    for slider in sliders.values():
        slider.observe(redraw, "value")
    caption = [ipywidgets.HTML(typeset(layout.caption))] if layout.caption else []
    return ipywidgets.VBox([picture, *sliders.values(), *caption])


def _shown(layout: Layout, figure: Callable[..., Any], values: dict[str, Any]) -> str:
    """Return the picture at these values; in its place, if drawing fails, the error."""
    try:
        drawn = figure(**values)
    except Exception:
        # A kernel would send an error of a callback to its log, where no reader looks.
        return f'<pre role="alert">{html.escape(traceback.format_exc())}</pre>'
    return page.image(pictures.svg(drawn), layout.alt, layout.size)


def _slider(slider: Slider) -> Any:
    import ipywidgets

    first, last = slider.values[0], slider.values[-1]
    words: dict[str, Any] = {
        "description": plain(slider.label),
        "value": slider.start,
        "style": {"description_width": "initial"},
        "layout": {"width": "30em", "max_width": "100%"},
    }
    if slider.names:
        words["style"]["button_width"] = "auto"
        return ipywidgets.ToggleButtons(options=slider.values, **words)
    if all(isinstance(value, int) for value in slider.values):
        return ipywidgets.IntSlider(min=first, max=last, **words)
    step = (last - first) / STEPS
    return ipywidgets.FloatSlider(min=first, max=last, step=step, readout_format=".4g", **words)
