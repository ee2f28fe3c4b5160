"""Networks of heads as arrays: all layers, heads and sequences at once, and their training."""

from transpde.checks import listing
from transpde.training.adamw import AdamW, Training, train
from transpde.training.arrays import Gradient, Heads
from transpde.training.decks import run_deck, two_clusters

__all__ = ["AdamW", "Gradient", "Heads", "Training", "run_deck", "train", "two_clusters"]

__dir__ = listing(__all__)
