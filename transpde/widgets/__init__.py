"""Explorers: sliders and buttons that change a picture, with a kernel and without one.

Under a kernel (JupyterLab, Binder, Colab) the controls of ipywidgets call the drawing function at
every value. On a static page, of the book or of an exported notebook, the same cell is controls
over pictures drawn beforehand, in plain HTML.
"""

from transpde.checks import listing
from transpde.widgets.explorer import Explorer
from transpde.widgets.sliders import Slider

__all__ = ["Explorer", "Slider"]

__dir__ = listing(__all__)
