"""Attentions: maps from a measure to a velocity field, `attention(measure)(x)`."""

from transpde.attention import normalised, unnormalised
from transpde.attention.base import Attention, MultiHead, WithFeedForward
from transpde.attention.composed import Masked
from transpde.attention.descent import HeadDescent
from transpde.attention.heads import GaussianHead, Head
from transpde.attention.normalised import *  # noqa: F403
from transpde.attention.unnormalised import *  # noqa: F403

__all__ = [
    "Attention",
    "GaussianHead",
    "Head",
    "HeadDescent",
    "Masked",
    "MultiHead",
    "WithFeedForward",
]
__all__ += normalised.__all__
__all__ += unnormalised.__all__
