"""Networks of heads drawn from a deck, and data to train on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from transpde.attention import Attention
from transpde.checks import (
    Array,
    generator,
    of_kind,
    positive_integer,
    positive_number,
    same_size,
    single_case,
)
from transpde.fields import held, silent
from transpde.measures import Particles

__all__ = ["run_deck", "two_clusters"]


@silent
def run_deck(
    deck: Sequence[Attention],
    measure: Particles,
    depth: int,
    heads: int,
    networks: int,
    seed: int | np.random.Generator,
) -> Array:
    r"""Return the last tokens of random networks, shape (networks, n, d).

    Layers are $x_{r+1} = x_r + (LH)^{-1}\sum_h\Gamma^{\theta_{r,h}}(x_r)$ with heads drawn from
    the deck independently, with equal probability. How often each is drawn in a layer is all that
    matters, so H costs nothing.

    Args:
        deck: attentions, at least one.
        measure: the tokens before the first layer, one sequence.
        depth: the number L of layers.
        heads: the number H of heads in a layer.
        networks: how many networks.
        seed: an integer >= 0, several, or a generator.

    Raises:
        TypeError: something that is no sequence of attentions, or no particles.
        ValueError: an empty deck, another dimension, a stack, numbers that are no integers >= 1.
        OverflowError: tokens leave the range of floating point numbers.

    Source: ours (chapter on training at infinite depth).

    Example:
        >>> import transpde as tp
        >>> from transpde.training import run_deck
        >>> deck = [tp.Softmax([[0.0]], [[0.0]], [[v]]) for v in (1.0, 1.0)]
        >>> run_deck(deck, tp.Particles([[1.0]]), depth=2, heads=3, networks=4, seed=0).ravel()
        array([2.25, 2.25, 2.25, 2.25])
    """
    check_deck("run_deck", deck, measure, "attention")
    for head in deck:
        same_size("measure", measure.dimension, "the deck", head.dimension, "dimension")
        head(measure)  # which refuses stacks of parameters, one for each network
    sizes = (("depth", depth), ("heads", heads), ("networks", networks))
    L, H, R = (positive_integer(name, size) for name, size in sizes)
    rng = generator("seed", seed)
    x = copies(measure, R)
    for _ in range(L):
        shares = rng.multinomial(H, np.full(len(deck), 1 / len(deck)), size=R) / (L * H)
        change: Any = 0.0
        for k, head in enumerate(deck):
            change = change + shares[:, k, None, None] * x.velocities(head(x))
        x = x.at(x.space.retract(x.points + change))
    return held(x.points, "run_deck: a token")


def copies(measure: Particles, count: int) -> Particles:
    """Return a stack of so many copies of a sequence."""
    points = np.broadcast_to(measure.points, (count, *measure.points.shape)).copy()
    weights, positions = np.broadcast_to(measure.weights, points.shape[:-1]), measure.positions
    if positions is not None:
        positions = np.broadcast_to(positions, points.shape[:-1])
    return Particles.trusted(points, weights, positions, measure.space)


def check_deck(task: str, deck: Any, measure: Any, card: str) -> None:
    """Raise unless a deck holds attentions, at least one, and the measure is one sequence."""
    of_kind("deck", deck, Sequence, f"a sequence of {card}s")
    if not len(deck):
        raise ValueError(f"deck: must hold at least one {card}; got none.")
    of_kind("measure", measure, Particles)
    single_case(task, "one sequence", measure.stack)
    for one in deck:
        of_kind("deck", one, Attention, f"a sequence of {card}s")


def two_clusters(
    sequences: int, tokens: int, seed: int | np.random.Generator, noise: float = 0.35
) -> tuple[Particles, Array]:
    """Return sequences of the plane, each of two noisy clusters, and the cluster means.

    The clusters of a sequence lie in directions that are at least a right angle apart, at
    distances of 1 to 2 from the origin, and its tokens belong to them by turns. The target of a
    token is the mean of its own cluster in its own sequence: only attention can find it.

    Args:
        sequences: how many.
        tokens: in each, at least 2.
        seed: an integer >= 0, several, or a generator.
        noise: the deviation of a token from its centre, positive.

    Returns:
        The tokens, a stack of sequences, and the targets, (sequences, tokens, 2).

    Raises:
        ValueError: numbers out of their range.

    Example:
        >>> from transpde.training import two_clusters
        >>> measure, target = two_clusters(16, 6, seed=0)
        >>> round(float(((measure.points - target) ** 2).sum(axis=-1).mean() / 2), 5)
        0.0761
    """
    B, n = positive_integer("sequences", sequences), positive_integer("tokens", tokens, 2)
    rng, deviation = generator("seed", seed), positive_number("noise", noise)
    x, target = np.empty((2, B, n, 2))
    for b in range(B):
        first = rng.uniform(0, 2 * np.pi)
        angles = np.array([first, first + rng.uniform(np.pi / 2, 3 * np.pi / 2)])
        radii = rng.uniform(1, 2, size=2)[:, None]
        centres = radii * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        x[b] = centres[np.arange(n) % 2] + deviation * rng.normal(size=(n, 2))
        for one in (0, 1):
            target[b, one::2] = x[b, one::2].mean(axis=0)
    return Particles(x), target
