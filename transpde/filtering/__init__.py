"""Hidden states seen through noise: exact filters, and layers whose fixed point they are."""

from transpde.checks import listing
from transpde.filtering.hidden_markov import HiddenMarkov
from transpde.filtering.linear_gaussian import LinearGaussian

__all__ = ["HiddenMarkov", "LinearGaussian"]

__dir__ = listing(__all__)
