"""Attentions: maps from a measure to a velocity field, `attention(measure)(x)`."""

from transpde.attention.base import Attention, WithFeedForward
from transpde.attention.composed import Masked, MultiHead, OnSphere, on_sphere
from transpde.attention.heads import GaussianHead, Head
from transpde.attention.normalised import L2, Sinkhorn, Softmax
from transpde.attention.unnormalised import Linear, Sigmoid, Unnormalized

__all__ = [
    "L2",
    "Attention",
    "GaussianHead",
    "Head",
    "Linear",
    "Masked",
    "MultiHead",
    "OnSphere",
    "Sigmoid",
    "Sinkhorn",
    "Softmax",
    "Unnormalized",
    "WithFeedForward",
    "on_sphere",
]
