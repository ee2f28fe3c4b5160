r"""Pullbacks of heads and of layers: gradients written by hand, without a second array library.

A head sends tokens $x_i$ to $o_i = V\sum_j P_{ij}x_j$. If $\bar o_i$ is the gradient of a number J
by the outputs, its gradients by tokens and parameters follow from one rule for each product, and
one for the weights: of the scores $S$, $\bar S = P\circ(\bar P - \sum_j P_{ij}\bar P_{ij})$ for
softmax.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit

from transpde.attention import L2, Attention, Linear, MultiHead, Sigmoid, Softmax, Unnormalized
from transpde.attention.heads import Head
from transpde.checks import (
    Array,
    brief,
    finite_array,
    finite_cases,
    frozen,
    listing,
    of_kind,
    outlined,
    same_shape,
)
from transpde.fields import held, silent
from transpde.flow import Layered
from transpde.measures import Particles
from transpde.measures.base import in_open_space
from transpde.noise import CommonNoise
from transpde.trajectories import Trajectory

__all__ = ["Adjoint", "Pullback", "backpropagate", "pullback"]

__dir__ = listing(__all__)

KINDS = (Softmax, L2, Unnormalized, Linear, Sigmoid)


@outlined
class Pullback(NamedTuple):
    """Gradients by the tokens (..., n, d) and by the parameters of a head, each of its shape."""

    points: Array
    query: Array
    key: Array
    value: Array


class Adjoint(NamedTuple):
    """Gradients by the tokens before and after each layer, and by the heads of each layer.

    `points` has shape (depth + 1, ..., n, d); `heads[r][h]` is the pullback of head h of layer r.
    """

    points: Array
    heads: tuple[tuple[Pullback, ...], ...]

    def __repr__(self) -> str:
        """Return the shape of the adjoints and the number of layers."""
        return brief(self, {"points": self.points, "layers": len(self.heads)})


@silent
def pullback(head: Attention, measure: Particles, cotangent: Any) -> Pullback:
    r"""Return the gradients of a number J by the tokens and the parameters of a head.

    The tokens have all their parts: each is seen by all and sees all. Weights are kept.

    Args:
        head: `Softmax`, `L2`, `Unnormalized`, `Linear` or `Sigmoid`.
        measure: `Particles` in Euclidean space, or a stack of clouds.
        cotangent: the gradients of J by the velocities of the tokens, shape (..., n, d).

    Returns:
        Gradients by tokens, query, key and value. A parameter that all cases of a stack share
        gets the sum over them.

    Raises:
        TypeError: another kind of head or of measure.
        ValueError: a cotangent of another shape, another dimension, tokens on a sphere.
        OverflowError: a gradient that no float holds.

    Source: the chain rule; `rumelhart1986learning`.

    Example:
        >>> import transpde as tp
        >>> from transpde.gradients import pullback
        >>> head = tp.Softmax([[1.0]], [[0.0]], [[2.0]])  # the mean of the tokens, twice
        >>> pullback(head, tp.Particles([[1.0], [3.0]]), [[1.0], [0.0]]).points.ravel()
        array([1., 1.])
    """
    one: Head = of_kind("head", head, KINDS, "a Softmax, L2, Unnormalized, Linear or Sigmoid head")
    check_tokens(measure)
    one.check(measure)
    return _pulled(one, measure, cotangent_at(cotangent, measure.points.shape))


@silent
def backpropagate(path: Trajectory, cotangent: Any) -> Adjoint:
    r"""Return the gradients of a number J of the last tokens through all layers of a path.

    With $x_{r+1} = x_r + h\,\Gamma_r(x_r)$ the adjoint $p_r = \partial J/\partial x_r$ obeys
    $p_r = p_{r+1} + h\,(D\Gamma_r)^\top p_{r+1}$, from the last layer to the first.

    Args:
        path: what `tp.layers` has returned for `Particles` in Euclidean space without a noise;
            its attentions are heads that `pullback` knows, or sums of these.
        cotangent: the gradients of J by the tokens after the last layer, shape (..., n, d).

    Raises:
        TypeError: something that is no path of layers of particles; a head that `pullback` does
            not know.
        ValueError: a path with noise, a cotangent of another shape, tokens on a sphere.
        OverflowError: a gradient that no float holds.

    Source: `rumelhart1986learning`; as the adjoint of a flow `chen2018neural`.

    Example:
        >>> import transpde as tp
        >>> from transpde.gradients import backpropagate
        >>> tokens, head = tp.Particles([[1.0]]), tp.Softmax([[1.0]], [[1.0]], [[1.0]])
        >>> path = tp.layers(tokens, head, depth=2, step=0.5)
        >>> backpropagate(path, [[1.0]]).points.ravel()
        array([2.25, 1.5 , 1.  ])
    """
    of_kind("path", path, Trajectory, "a path that tp.layers has returned")
    law = of_kind("path", path._law, Layered, "a path that tp.layers has returned")
    if isinstance(getattr(law, "noise", None), CommonNoise):
        raise ValueError("path: must have no noise; got one. Leave `noise` and `seed` out.")
    check_tokens(path.final, "path")
    p = cotangent_at(cotangent, path.final.points.shape)
    adjoints, found = [p], []
    for state, attention in zip(path.states[-2::-1], law.layer[::-1], strict=True):
        heads = attention.heads if isinstance(attention, MultiHead) else (attention,)
        for head in heads:
            of_kind("path", head, KINDS, "layers of heads that pullback knows, or of their sums")
        before = path.final.unpack(state)
        layer = tuple(_pulled(head, before, law.step * p) for head in heads)  # type: ignore[arg-type]
        p = p + sum(one.points for one in layer)
        adjoints.append(p)
        found.append(layer)
    return Adjoint(frozen(np.array(adjoints[::-1])), tuple(found[::-1]))


def check_tokens(measure: Any, name: str = "measure") -> None:
    of_kind(name, measure, Particles, "Particles, whose gradients are those of tokens")
    finite_cases(name, measure)
    in_open_space(name, measure, ", as gradients on a sphere are not written")


def cotangent_at(value: Any, shape: tuple[int, ...]) -> Array:
    """Return the gradients of a number by tokens of this shape, or raise `ValueError`."""
    found = finite_array("cotangent", value, "... n d")
    same_shape("cotangent", found.shape, "the tokens", shape)
    return found


def _pulled(head: Head, measure: Particles, O: Array) -> Pullback:
    """Return gradients of a head; O are those by the outputs."""
    X, Q, K, V = measure.points, head.query, head.key, head.value
    P = head.token_sum(measure).matrix(X)
    M = O @ V  # by the means P X
    q, k = X @ Q.mT, X @ K.mT
    S = _by_scores(head, measure, P, M @ X.mT, (q, k))
    if isinstance(head, L2):  # the score is 2 q.k - |q|^2 - |k|^2
        q_, k_ = 2 * (S @ k - _sums(S, -1) * q), 2 * (S.mT @ q - _sums(S.mT, -1) * k)
    else:
        q_, k_ = S @ k, S.mT @ q
    found = Pullback(
        P.mT @ M + q_ @ Q + k_ @ K,
        _as_one(q_.mT @ X, Q.shape),
        _as_one(k_.mT @ X, K.shape),
        _as_one(O.mT @ (P @ X), V.shape),
    )
    return Pullback(*(frozen(held(one, "pullback: a gradient")) for one in found))


def _by_scores(head: Head, measure: Particles, P: Array, by_weights: Array, qk: Any) -> Array:
    """Return the gradients by the scores, from those by the weights P."""
    if isinstance(head, Softmax | L2):
        return P * (by_weights - _sums(P * by_weights, -1))
    if isinstance(head, Unnormalized):
        return P * by_weights
    masses = measure.weights[..., None, :]
    if isinstance(head, Sigmoid):
        # sigma' = sigma (1 - sigma), and 1 - sigma(s) = sigma(-s), without a difference.
        return P * expit(-(qk[0] @ qk[1].mT + head.bias)) * by_weights
    return masses * by_weights


def _sums(array: Array, axis: int) -> Array:
    return np.asarray(array.sum(axis=axis, keepdims=True))


def _as_one(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Return gradients of all cases, summed where cases share a parameter of this shape."""
    shared = gradient.ndim - len(shape)
    gradient = gradient.sum(axis=tuple(range(shared)))
    single = tuple(i for i, size in enumerate(shape) if size == 1 and gradient.shape[i] != 1)
    return np.asarray(gradient.sum(axis=single, keepdims=True) if single else gradient)
