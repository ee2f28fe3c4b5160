r"""Block AdamW, and the training of a network of heads by it.

Both take the *scaled* gradients $g_{r,h} = LH\,\partial J/\partial\theta_{r,h}$, which are of
order one whatever depth and number of heads are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from transpde.checks import (
    Array,
    Unchanging,
    finite_array,
    flag,
    frozen,
    non_negative_number,
    of_kind,
    outlined,
    positive_integer,
    positive_number,
    same_shape,
)
from transpde.fields import held, out_of_range, silent
from transpde.measures import Particles
from transpde.training.arrays import Heads

__all__ = ["AdamW", "Training", "train"]


class Moments(NamedTuple):
    """The mean of gradients, the root of the mean of their squares, and how many there were.

    The root is a norm of all gradients so far, so no square leaves the range of floats.
    """

    first: Array
    root: Array
    steps: int


@dataclass(frozen=True, eq=False, repr=False)
class AdamW(Unchanging):
    r"""AdamW with one scalar of squares for each block, a matrix of a head.

    From a gradient g: $m\leftarrow\beta_1m+(1-\beta_1)g$, $v\leftarrow\beta_2v+(1-\beta_2)q$
    with q the mean of squares over the block, both divided by $1-\beta^k$ after k steps, and
    $\theta\leftarrow\theta-\eta\,(\hat m/(\sqrt{\hat v}+\varepsilon)+\lambda\theta)$.

    Args:
        rate: the learning rate, positive.
        decay: the weight decay, at least 0.
        epsilon: the regularisation, positive, in the units of the gradients.
        block: False for the usual form, in which each entry has its own squares.
        betas: both memories, at least 0 and below 1.

    Raises:
        ValueError: numbers out of their range.

    Source: `loshchilov2019decoupled`; one scalar a block after `gibson2026uniform`.

    Example:
        >>> import numpy as np
        >>> from transpde.training import AdamW
        >>> rule = AdamW(rate=0.1, decay=0.0, epsilon=1e-12)
        >>> moved, _ = rule.step(np.zeros((2, 2)), np.eye(2), None)
        >>> moved.round(6)
        array([[-0.141421,  0.      ],
               [ 0.      , -0.141421]])
    """

    rate: float
    decay: float
    epsilon: float
    block: bool = True
    betas: tuple[float, float] = (0.9, 0.999)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", positive_number("rate", self.rate))
        object.__setattr__(self, "decay", non_negative_number("decay", self.decay))
        object.__setattr__(self, "epsilon", positive_number("epsilon", self.epsilon))
        object.__setattr__(self, "block", flag("block", self.block))
        betas = finite_array("betas", self.betas, "two")
        if betas.shape != (2,) or not ((betas >= 0) & (betas < 1)).all():
            raise ValueError(f"betas: must be two numbers in [0, 1); got {self.betas}.")
        object.__setattr__(self, "betas", tuple(betas.tolist()))

    @silent
    def step(self, parameters: Any, gradient: Any, moments: Any) -> tuple[Array, Any]:
        """Return the parameters after a step, and the moments for the next one.

        Args:
            parameters: matrices (..., rows, columns), each a block.
            gradient: of the same shape.
            moments: what the step before has returned; None before the first.

        Raises:
            ValueError: entries that are not finite, another shape of the gradient or of the
                moments.
            TypeError: moments that no step has returned.
            OverflowError: a parameter that no float holds.
        """
        theta = finite_array("parameters", parameters, "... rows columns")
        g = finite_array("gradient", gradient, "... rows columns")
        same_shape("gradient", g.shape, "the parameters", theta.shape)
        if moments is not None:
            of_kind("moments", moments, Moments, "what a step has returned, or None")
            needed = g.shape, (*g.shape[:-2], 1, 1) if self.block else g.shape
            if (moments.first.shape, moments.root.shape) != needed:
                raise ValueError(
                    f"moments: must be those of a step of this rule at parameters {g.shape}; got "
                    f"arrays {moments.first.shape} and {moments.root.shape}. Begin with None."
                )
        moved, kept = self.moved(theta, g, moments)
        return held(moved, "step: a parameter"), kept

    def moved(self, theta: Array, g: Array, moments: Moments | None) -> tuple[Array, Moments]:
        """Return what `step` returns, without a check."""
        old = Moments(np.zeros(()), np.zeros(()), 0) if moments is None else moments
        (b1, b2), count = self.betas, old.steps + 1
        first = b1 * old.first + (1 - b1) * g
        root = np.hypot(b2**0.5 * old.root, (1 - b2) ** 0.5 * self._size(g))
        by = first / (1 - b1**count) / (root / (1 - b2**count) ** 0.5 + self.epsilon)
        return theta - self.rate * (by + self.decay * theta), Moments(first, root, count)

    def _size(self, g: Array) -> Array:
        """Return the root mean square of each block, or of each entry by itself."""
        size = np.abs(g)
        if not self.block:
            return np.asarray(size)
        largest = size.max(axis=(-2, -1), keepdims=True)
        largest[largest == 0] = 1
        return np.asarray(
            largest * np.sqrt(((size / largest) ** 2).mean(axis=(-2, -1), keepdims=True))
        )


@outlined
class Training(NamedTuple):
    """A training: losses before each step and after the last, the heads, and why it ended.

    `stop` is "steps", or "not finite": `heads` are then the last ones whose loss is a number.
    """

    losses: Array
    heads: Heads
    stop: str


@silent
def train(
    heads: Heads,
    measure: Particles,
    target: Any,
    rule: AdamW,
    steps: int,
    *,
    scaled: bool = True,
) -> Training:
    r"""Train a network to send the tokens of sequences to their targets, all at each step.

    The loss is $J = \frac12\operatorname{mean}|x_L - \text{target}|^2$, over tokens by their
    weights and over sequences.

    Args:
        heads: the network at the start.
        measure: tokens (..., n, d) of one sequence or of a stack, in Euclidean space.
        target: where each token is to end, of their shape.
        rule: an `AdamW`.
        steps: how many, at least 1.
        scaled: give the rule the gradients times L H; False for the raw ones.

    Returns:
        Losses (steps + 1,), the heads and the reason of the end. Where a number leaves the range
        of floats the training ends with what it has reached.

    Raises:
        TypeError: arguments of another kind.
        ValueError: another dimension, a target of another shape, tokens on a sphere.
        OverflowError: the first loss is beyond floats.

    Source: block AdamW after `gibson2026uniform`; gradients by `Heads.backpropagate`.

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde.training import AdamW, Heads, train
        >>> tokens = tp.Particles(np.eye(2))
        >>> heads, rule = Heads.uniform(2, 2, 2, 1.0, seed=0), AdamW(0.1, 0.0, 1e-2)
        >>> run = train(heads, tokens, np.full((2, 2), 0.5), rule, steps=50)
        >>> bool(run.losses[-1] < run.losses[0] / 100), run.stop
        (True, 'steps')
    """
    of_kind("heads", heads, Heads)
    of_kind("rule", rule, AdamW)
    x, masses, shape = heads._tokens(measure)
    goal = finite_array("target", target, "... n d")
    same_shape("target", goal.shape, "the tokens", shape)
    count = positive_integer("steps", steps)
    scale = heads.depth * heads.heads if flag("scaled", scaled) else 1
    weights = np.broadcast_to(measure.weights, shape[:-1]).reshape(x.shape[:-1]) / len(x)
    goal, weights = goal.reshape(x.shape), weights[..., None]
    losses: list[float] = []
    moments: tuple[Moments | None, Moments | None] = (None, None)
    kept, stop = heads, "steps"
    for k in range(count + 1):
        layers, last = heads._passed(x, masses)
        loss = float((weights * (last - goal) ** 2).sum() / 2)
        if not np.isfinite(loss):
            stop = "not finite"
            break
        losses.append(loss)
        kept = heads
        if k == count:
            break
        found = heads.backward(layers, weights * (last - goal))
        A, first = rule.moved(heads.score, scale * found.score, moments[0])
        V, second = rule.moved(heads.value, scale * found.value, moments[1])
        heads, moments = Heads.trusted(A, V), (first, second)
    if not losses:
        raise out_of_range("train: a token, before the first step,")
    return Training(frozen(np.array(losses)), kept, stop)
