"""Sampling without noise: proximal steps whose score is an attention head."""

from transpde.checks import listing
from transpde.sampling.proximal import proximal_attention, random_layer
from transpde.sampling.sampler import ProximalSampler
from transpde.sampling.tilted import Tilted

__all__ = ["ProximalSampler", "Tilted", "proximal_attention", "random_layer"]

__dir__ = listing(__all__)
