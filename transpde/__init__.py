"""The dynamics of deep Transformers as a partial differential equation, computed exactly.

`attention(measure)` is a velocity field, `flow(measure, attention, time)` integrates it.
"""

from transpde.attention import (
    L2,
    Attention,
    Linear,
    Masked,
    MultiHead,
    Sigmoid,
    Sinkhorn,
    Softmax,
    Unnormalized,
)
from transpde.distances import bures, conditional_wasserstein, wasserstein
from transpde.fields import AffineField
from transpde.flow import Trajectory, flow, layers
from transpde.gaussians import Gaussian
from transpde.grids import Grid
from transpde.measures import Measure, Particles

__version__ = "0.1.0"

__all__ = [
    "L2",
    "AffineField",
    "Attention",
    "Gaussian",
    "Grid",
    "Linear",
    "Masked",
    "Measure",
    "MultiHead",
    "Particles",
    "Sigmoid",
    "Sinkhorn",
    "Softmax",
    "Trajectory",
    "Unnormalized",
    "bures",
    "conditional_wasserstein",
    "flow",
    "layers",
    "wasserstein",
]
