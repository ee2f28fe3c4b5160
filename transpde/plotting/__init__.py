"""Drawings of tokens, Gaussians, flows and attention matrices: `plot_*(..., ax=None) -> Axes`.

Nothing here shows, saves or changes a global style. Without `ax` the current axes are used.
"""

try:
    import matplotlib as _matplotlib  # noqa: F401
except ImportError as error:
    raise ImportError("transpde.plotting needs matplotlib: pip install transpde[plot]") from error

from transpde.plotting.anisotropy import plot_dimensions, plot_spectrum
from transpde.plotting.covariances import plot_cone, plot_disc
from transpde.plotting.densities import plot_density
from transpde.plotting.depth import plot_layers
from transpde.plotting.discs import (
    plot_agreement,
    plot_arc,
    plot_attention_curves,
    plot_discs,
)
from transpde.plotting.flows import plot_field, plot_flow, plot_particles, plot_snapshots
from transpde.plotting.gaussians import plot_ellipse, plot_ellipses
from transpde.plotting.growth import plot_comparison, plot_growth
from transpde.plotting.hulls import plot_hulls
from transpde.plotting.limits import (
    plot_decay,
    plot_limit_lines,
    plot_starts,
)
from transpde.plotting.maps import plot_disc_map
from transpde.plotting.panels import (
    plot_attention_fields,
    plot_attention_flows,
    plot_attention_matrices,
)
from transpde.plotting.poles import plot_poles
from transpde.plotting.results import plot_attention_matrix, plot_convergence
from transpde.plotting.samples import (
    plot_histograms,
    plot_medians,
    plot_rates,
)
from transpde.plotting.series import plot_samples, plot_series, plot_slopes
from transpde.plotting.styles import STYLES, attention_style
from transpde.plotting.tokens import plot_paths

__all__ = [
    "STYLES",
    "attention_style",
    "plot_agreement",
    "plot_arc",
    "plot_attention_curves",
    "plot_attention_fields",
    "plot_attention_flows",
    "plot_attention_matrices",
    "plot_attention_matrix",
    "plot_comparison",
    "plot_cone",
    "plot_convergence",
    "plot_decay",
    "plot_density",
    "plot_dimensions",
    "plot_disc",
    "plot_disc_map",
    "plot_discs",
    "plot_ellipse",
    "plot_ellipses",
    "plot_field",
    "plot_flow",
    "plot_growth",
    "plot_histograms",
    "plot_hulls",
    "plot_layers",
    "plot_limit_lines",
    "plot_medians",
    "plot_particles",
    "plot_paths",
    "plot_poles",
    "plot_rates",
    "plot_samples",
    "plot_series",
    "plot_slopes",
    "plot_snapshots",
    "plot_spectrum",
    "plot_starts",
]
