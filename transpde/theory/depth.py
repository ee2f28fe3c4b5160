r"""Networks of random heads and their limit of infinite depth: noise, bias and a bound.

Layers are $x_{r+1} = x_r + (LH)^{-1}\sum_h\Gamma^{\theta_{r,h}}(x_r)$ with heads drawn
independently, each of a deck with equal probability. The limit is the flow of the mean
$\bar\Gamma$ of the deck up to time one (chapter on training at infinite depth).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from transpde.attention import Attention
from transpde.checks import Array, frozen, listing, non_negative_number, outlined, positive_integer
from transpde.fields import held, silent
from transpde.gradients import pullback
from transpde.measures import Particles
from transpde.theory.following import followed
from transpde.training.decks import check_deck, copies

__all__ = ["DepthFluctuation", "depth_fluctuation", "forward_bound"]

__dir__ = listing(__all__)


@outlined
class DepthFluctuation(NamedTuple):
    r"""The law of the last tokens of a random network: $N(\bar x, \Sigma/(LH))$ for large L H.

    Attributes:
        mean: the last tokens of the mean field, (n, d), by its flow or by its Euler steps.
        covariance: $\Sigma$, shape (n d, n d), of the tokens one after another.
        constant: $\operatorname{tr}\Sigma/n$, so that the mean square of a token's error is this
            number over L H.
    """

    mean: Array
    covariance: Array
    constant: float


@silent
def depth_fluctuation(
    deck: Sequence[Attention], measure: Particles, depth: int | None = None
) -> DepthFluctuation:
    r"""Return the fluctuation of a network of heads that are drawn from a deck.

    Of infinite depth, $\Sigma' = D\Sigma + \Sigma D^\top + C$ from $\Sigma(0) = 0$ to time one,
    where $D = D\bar\Gamma$ and C is the covariance of one drawn head at the tokens, both along
    the flow. Of depth L the same along Euler steps,
    $\Sigma_{r+1} = (I + D/L)\Sigma_r(I + D/L)^\top + C/L$, which differs by order 1/L.

    Args:
        deck: heads that `transpde.gradients.pullback` knows, at least one.
        measure: the tokens before the first layer, one sequence in Euclidean space.
        depth: the number L of layers; infinite when left out.

    Raises:
        TypeError: something that is no sequence of such heads, or no particles.
        ValueError: an empty deck, a stack, tokens on a sphere, a depth that is no integer >= 1.
        OverflowError: a number that no float holds; a flow that explodes before time one.

    Source: ours (chapter on training at infinite depth).

    Example:
        >>> import transpde as tp
        >>> from transpde.theory import depth
        >>> deck = [tp.Softmax([[0.0]], [[0.0]], [[v]]) for v in (-1.0, 1.0)]
        >>> depth.depth_fluctuation(deck, tp.Particles([[2.0]])).constant  # of variance one
        4.0
    """
    check_deck("depth_fluctuation", deck, measure, "head")
    for head in deck:
        pullback(head, measure, np.zeros(measure.points.shape))  # which refuses what it must
    size = measure.points.size
    start = np.concatenate([measure.pack(), np.zeros(size**2)])
    if depth is None:
        run = followed(
            "depth_fluctuation", lambda t, y: _rates(deck, measure, y), (0.0, 1.0), start,
            "Give a depth, or smaller values.", rtol=1e-11, atol=1e-13,
        )  # fmt: skip
        end = run.y[:, -1]
    else:
        end, L = start, positive_integer("depth", depth)
        for _ in range(L):
            end = end + _rates(deck, measure, end, 1 / L) / L
    held(end, "depth_fluctuation: a token")
    Sigma = end[size:].reshape(size, size)
    constant = float(np.trace(Sigma) / len(measure.points))
    return DepthFluctuation(
        frozen(end[:size].reshape(measure.points.shape)), frozen((Sigma + Sigma.T) / 2), constant
    )


def _rates(deck: Any, measure: Particles, state: Array, step: float = 0.0) -> Array:
    r"""Return the derivatives of the tokens and of Sigma; with a step, over one Euler step."""
    size = measure.points.size
    x, Sigma = state[:size], state[size:].reshape(size, size)
    shape = measure.points.shape
    tokens = measure.at(x.reshape(shape))
    # Row i of the Jacobian is the pullback of the i-th unit vector: all of them are one stack.
    units, stack = np.eye(size).reshape(size, *shape), copies(tokens, size)
    values = np.array([head(tokens)(tokens.points).ravel() for head in deck])
    rows = [pullback(head, stack, units).points.reshape(size, size) for head in deck]
    D, mean = np.mean(rows, axis=0), values.mean(axis=0)
    C = (values - mean).T @ (values - mean) / len(deck)
    rate = D @ Sigma + Sigma @ D.T + C + step * D @ Sigma @ D.T
    return np.concatenate([mean, rate.ravel()])


@silent
def forward_bound(
    lipschitz: float, variance: float, acceleration: float, depth: int, heads: int
) -> float:
    r"""Return $2e^{2\ell}(4\sigma^2/(LH) + a^2/(4L^2))$, which bounds the mean square error.

    The error is $\max_r|x_r - x(r/L)|^2$ in the root mean square norm over tokens and sequences.

    Args:
        lipschitz: $\ell$, of the mean field on all that tokens can reach, at least 0.
        variance: $\sigma^2$, the largest mean square of a drawn head less the mean field.
        acceleration: a, the largest $|\ddot x|$ of the limit.
        depth: L.
        heads: H.

    Returns:
        A float, inf where it overflows.

    Raises:
        ValueError: a negative number, a depth or a number of heads that is no integer >= 1.

    Source: ours (chapter on training at infinite depth).

    Example:
        >>> from transpde.theory import depth
        >>> depth.forward_bound(0.0, 1.0, 0.0, depth=4, heads=2)
        1.0
    """
    named = (("lipschitz", lipschitz), ("variance", variance), ("acceleration", acceleration))
    l, v, a = (non_negative_number(name, value) for name, value in named)
    L, H = positive_integer("depth", depth), positive_integer("heads", heads)
    sum_ = 4 * (np.float64(v) / (L * H)) + (np.float64(a) / (2 * L)) ** 2
    return float(2 * np.exp(l) * sum_ * np.exp(l)) if sum_ else 0.0
