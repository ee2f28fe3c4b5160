"""Networks of heads as arrays: all layers, heads and sequences at once, and their training."""

from transpde.checks import listing
from transpde.training.arrays import Gradient, Heads

__all__ = ["Gradient", "Heads"]

__dir__ = listing(__all__)
