"""Drawings of tokens, Gaussians, flows and attention matrices: `plot_*(..., ax=None) -> Axes`.

Nothing here shows, saves or changes a global style, but in the notebooks of the book, which get
its look by importing this. Without `ax` the current axes are used.
"""

try:
    import matplotlib as _matplotlib  # noqa: F401
except ImportError as error:
    raise ImportError("transpde.plotting needs matplotlib: pip install transpde[plot]") from error

from transpde.checks import listing
from transpde.plotting import (
    attentions,
    covariances,
    errors,
    heads,
    measures,
    paths,
    series,
    spectra,
    styles,
)
from transpde.plotting.attentions import *  # noqa: F403
from transpde.plotting.covariances import *  # noqa: F403
from transpde.plotting.errors import *  # noqa: F403
from transpde.plotting.heads import *  # noqa: F403
from transpde.plotting.measures import *  # noqa: F403
from transpde.plotting.paths import *  # noqa: F403
from transpde.plotting.series import *  # noqa: F403
from transpde.plotting.spectra import *  # noqa: F403
from transpde.plotting.styles import *  # noqa: F403
from transpde.records import look as _look

_parts = (attentions, covariances, errors, heads, measures, paths, series, spectra, styles)
__all__ = [name for part in _parts for name in part.__all__]

_look.use_in_notebooks_of_the_book()
__dir__ = listing(__all__)
