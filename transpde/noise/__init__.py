"""Noise that is common to all tokens: kernels of random layers, and their random fields."""

from transpde.checks import listing
from transpde.noise.common import CommonNoise
from transpde.noise.kernels import (
    ArcCosine,
    FromActivation,
    LinearKernel,
    NoiseKernel,
    RandomFeatures,
)

__all__ = [
    "ArcCosine",
    "CommonNoise",
    "FromActivation",
    "LinearKernel",
    "NoiseKernel",
    "RandomFeatures",
]

__dir__ = listing(__all__)
