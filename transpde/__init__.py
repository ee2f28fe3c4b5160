"""The dynamics of deep Transformers as a partial differential equation, computed exactly.

`attention(measure)` is a velocity field, `flow(measure, attention, time)` integrates it.
"""

from transpde.attention import Attention, HeadDescent, Masked, MultiHead, normalised, unnormalised
from transpde.attention.normalised import *  # noqa: F403
from transpde.attention.unnormalised import *  # noqa: F403
from transpde.checks import listing
from transpde.distances import bures, conditional_wasserstein, wasserstein
from transpde.fields import AffineField
from transpde.flow import flow, layers
from transpde.measures import Axial, Circle, Gaussian, Grid, Measure, Particles
from transpde.schedules import Schedule
from transpde.spaces import Euclidean, Sphere
from transpde.trajectories import Trajectory

__version__ = "0.2.0"

__all__ = [
    "AffineField",
    "Attention",
    "Axial",
    "Circle",
    "Euclidean",
    "Gaussian",
    "Grid",
    "HeadDescent",
    "Masked",
    "Measure",
    "MultiHead",
    "Particles",
    "Schedule",
    "Sphere",
    "Trajectory",
    "bures",
    "conditional_wasserstein",
    "flow",
    "layers",
    "wasserstein",
]
# One-head attentions are public as soon as their own module says so.
__all__ += normalised.__all__
__all__ += unnormalised.__all__

__dir__ = listing(__all__)
