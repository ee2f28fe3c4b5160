r"""Heads as arrays, for networks $x_{r+1} = x_r + (LH)^{-1}\sum_h\Gamma_{r,h}(x_r)$.

One object a head is too slow for a thousand of them. Here the scores of all heads of a layer are
one product for each sequence, because heads share the tokens: queries (n H, d) by tokens (d, n).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from transpde.checks import (
    Array,
    Unchanging,
    finite_array,
    frozen,
    generator,
    index_below,
    number,
    outlined,
    positive_integer,
    positive_number,
    same_shape,
    same_size,
    square_matrix,
)
from transpde.fields import held, silent
from transpde.gradients import check_tokens, cotangent_at
from transpde.measures import Particles

__all__ = ["Gradient", "Heads"]


@outlined
class Gradient(NamedTuple):
    """Gradients by the tokens and by the scores and values of heads, each of its shape."""

    points: Array
    score: Array
    value: Array


class Layer(NamedTuple):
    """What a layer of H heads has computed at B sequences of n tokens, for its pullback.

    Weights stand as (B, n, n H): entry (b, j, i H + h) is what token i takes of token j in head h.
    """

    points: Array  # (B, n, d)
    queries: Array  # (B, n H, d), of each token A x
    weights: Array
    means: Array  # (B, n H, d)


@dataclass(frozen=True, eq=False, repr=False)
class Heads(Unchanging):
    r"""A network of L layers of H softmax heads, as arrays.

    Head h of layer r has the score $y^\top A x$ of query x and key y, with $A = K^\top Q$, and the
    value V. The field of a layer is the *mean* of its heads; heads of other masses have them in
    their values.

    Args:
        score: A of each head, shape (L, H, d, d).
        value: V of each head, of the same shape.

    Raises:
        ValueError: entries that are not finite, shapes that do not match.

    Source: `vaswani2017attention`; the scaling by L H `chizat2025hidden`.

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde.training import Heads
        >>> heads = Heads.uniform(depth=4, heads=3, dimension=2, width=1.0, seed=0)
        >>> heads.run(tp.Particles(np.eye(2))).shape
        (5, 2, 2)
    """

    score: Array
    value: Array

    def __post_init__(self) -> None:
        A = square_matrix("score", self.score, "L H d d")
        V = finite_array("value", self.value, "L H d d")
        same_shape("value", V.shape, "score", A.shape)
        vars(self).update(score=A, value=V)

    @classmethod
    def uniform(
        cls,
        depth: int,
        heads: int,
        dimension: int,
        width: float,
        seed: int | np.random.Generator,
    ) -> Heads:
        r"""Return independent heads whose entries are uniform on (-width, width).

        Args:
            depth: the number L of layers.
            heads: the number H of heads in a layer.
            dimension: the dimension d of the tokens.
            width: a positive number.
            seed: an integer >= 0, several, or a generator; scores are drawn first.
        """
        sizes = (("depth", depth), ("heads", heads), ("dimension", dimension))
        L, H, d = (positive_integer(name, size) for name, size in sizes)
        width, rng = positive_number("width", width), generator("seed", seed)
        number("width", width, "below 8e307", lambda x: x < 8e307)  # numpy draws from 2 width
        A, V = (rng.uniform(-width, width, (L, H, d, d)) for _ in range(2))
        return cls.trusted(A, V)

    @classmethod
    def trusted(cls, score: Array, value: Array) -> Heads:
        """Make heads of arrays that are already checked."""
        heads = object.__new__(cls)
        vars(heads).update(score=frozen(score), value=frozen(value))
        return heads

    @property
    def depth(self) -> int:
        """The number L of layers."""
        return int(self.score.shape[0])

    @property
    def heads(self) -> int:
        """The number H of heads in a layer."""
        return int(self.score.shape[1])

    @property
    def dimension(self) -> int:
        """The dimension d of the tokens."""
        return int(self.score.shape[-1])

    @silent
    def run(self, measure: Particles) -> Array:
        """Return the tokens before and after each layer, shape (L + 1, ..., n, d).

        Args:
            measure: tokens of a sequence, or a stack of sequences, in Euclidean space.

        Raises:
            TypeError: a measure that is no particles.
            ValueError: another dimension, tokens on a sphere.
            OverflowError: tokens leave the range of floating point numbers.
        """
        x, masses, shape = self._tokens(measure)
        states = [x]
        for layer in self.forward(x, masses):
            states.append(states[-1] + self._velocities(layer, len(states) - 1) / self.depth)
        held(states[-1], "run: a token")
        return np.array(states).reshape(-1, *shape)

    @silent
    def velocity(self, measure: Particles, layer: int = 0) -> Array:
        """Return the mean of the heads of a layer at the tokens, shape (..., n, d).

        Args:
            measure: tokens of a sequence, or a stack of sequences, in Euclidean space.
            layer: which one, from 0.

        Raises:
            TypeError: a measure that is no particles.
            ValueError: another dimension, tokens on a sphere, a layer that is none.
            OverflowError: a velocity that no float holds.
        """
        x, masses, shape = self._tokens(measure)
        r = index_below("layer", layer, self.depth)
        found = self._velocities(attended(self.score[r], x, masses), r)
        return held(found, "velocity: one").reshape(shape)

    @silent
    def pullback(self, measure: Particles, cotangent: Any, layer: int = 0) -> Gradient:
        """Return the gradients through the field of one layer, the mean of its heads.

        Args:
            measure: tokens of a sequence, or a stack of sequences, in Euclidean space.
            cotangent: the gradients by the velocities, shape (..., n, d).
            layer: which one, from 0.

        Returns:
            Gradients by tokens, (..., n, d), and by scores and values of this layer, (H, d, d),
            summed over the sequences.

        Raises:
            TypeError: a measure that is no particles.
            ValueError: another dimension, a cotangent of another shape, a layer that is none.
            OverflowError: a gradient that no float holds.
        """
        x, masses, shape = self._tokens(measure)
        r = index_below("layer", layer, self.depth)
        O = cotangent_at(cotangent, shape).reshape(x.shape)
        done = attended(self.score[r], x, masses)
        points, score, value = pulled(done, self.score[r], self.value[r], O / self.heads)
        return _held(Gradient(points.reshape(shape), score, value))

    @silent
    def backpropagate(self, measure: Particles, cotangent: Any) -> Gradient:
        r"""Return the gradients of a number J of the last tokens through the network.

        Args:
            measure: the tokens before the first layer, one sequence or a stack.
            cotangent: the gradients of J by the tokens after the last layer, (..., n, d); or a
                function of these tokens that returns them.

        Returns:
            The adjoints $p_r = \partial J/\partial x_r$, shape (L + 1, ..., n, d), and the
            gradients by scores and values, (L, H, d, d), summed over the sequences.

        Raises:
            TypeError: a measure that is no particles.
            ValueError: another dimension, a cotangent of another shape.
            OverflowError: a gradient that no float holds.
        """
        x, masses, shape = self._tokens(measure)
        layers, last = self._passed(x, masses)
        given = cotangent(last.reshape(shape)) if callable(cotangent) else cotangent
        found = self.backward(layers, cotangent_at(given, shape).reshape(x.shape))
        return _held(found._replace(points=found.points.reshape(-1, *shape)))

    def forward(self, x: Array, masses: Array | None) -> Any:
        """Yield what each layer computes at tokens (B, n, d); `masses` are log weights or None."""
        for r in range(self.depth):
            layer = attended(self.score[r], x, masses)
            yield layer
            x = x + self._velocities(layer, r) / self.depth

    def _passed(self, x: Array, masses: Array | None) -> tuple[list[Layer], Array]:
        """Return what all layers compute, and the tokens after the last."""
        layers = list(self.forward(x, masses))
        return layers, layers[-1].points + self._velocities(layers[-1], -1) / self.depth

    def backward(self, layers: list[Layer], p: Array) -> Gradient:
        """Return adjoints (L + 1, B, n, d) and gradients by scores and values."""
        adjoints = np.empty((self.depth + 1, *p.shape))
        A, V = np.empty(self.score.shape), np.empty(self.value.shape)
        adjoints[-1], scale = p, 1 / (self.depth * self.heads)
        for r in range(self.depth - 1, -1, -1):
            points, A[r], V[r] = pulled(layers[r], self.score[r], self.value[r], scale * p)
            adjoints[r] = p = p + points
        return Gradient(adjoints, A, V)

    def _velocities(self, layer: Layer, r: int) -> Array:
        """Return the mean of the heads of layer r."""
        B, n, d = layer.points.shape
        by_head = self.value[r].mT.reshape(-1, d)  # (H d, d): row (h, c) is column c of V
        return (layer.means.reshape(B * n, -1) @ by_head / self.heads).reshape(B, n, d)

    def _tokens(self, measure: Any) -> tuple[Array, Array | None, tuple[int, ...]]:
        """Return tokens (B, n, d), their log weights unless all are equal, and their shape."""
        check_tokens(measure)
        same_size("measure", measure.dimension, "the heads", self.dimension, "dimension")
        x, w = measure.points, measure.weights
        masses = None if (w == w.flat[0]).all() else measure.log_weights
        n, d = x.shape[-2:]
        if masses is not None:
            masses = np.broadcast_to(masses, x.shape[:-1]).reshape(-1, n)
        return x.reshape(-1, n, d), masses, x.shape


def attended(score: Array, x: Array, masses: Array | None) -> Layer:
    """Return weights and means of heads (H, d, d) at tokens (B, n, d)."""
    B, _, d = x.shape
    queries = (x.reshape(-1, d) @ score.reshape(-1, d).T).reshape(B, -1, d)
    weights = x @ queries.mT
    if masses is not None:
        weights += masses[..., None]
    weights -= weights.max(axis=1, keepdims=True)
    np.exp(weights, out=weights)
    weights /= weights.sum(axis=1, keepdims=True)
    return Layer(x, queries, weights, weights.mT @ x)


def pulled(layer: Layer, score: Array, value: Array, O: Array) -> tuple[Array, Array, Array]:
    """Return gradients by tokens, scores and values of the *sum* of heads, O by its outputs."""
    x, queries, P, means = layer
    B, n, d = x.shape
    H = len(score)
    flat_x, flat_O = x.reshape(-1, d), O.reshape(-1, d)
    by_means = (flat_O @ value.transpose(1, 0, 2).reshape(d, -1)).reshape(B, -1, d)
    S = x @ by_means.mT  # by the weights, then by the scores
    S -= (by_means * means).sum(axis=-1)[:, None]
    S *= P
    by_queries = (S.mT @ x).reshape(B * n, -1)
    points = P @ by_means + S @ queries
    points += (by_queries @ score.reshape(-1, d)).reshape(x.shape)
    A = (by_queries.T @ flat_x).reshape(H, d, d)
    V = (flat_O.T @ means.reshape(B * n, -1)).reshape(d, H, d).transpose(1, 0, 2)
    return points, A, V


def _held(found: Gradient) -> Gradient:
    return Gradient(*(held(one, "a gradient") for one in found))
