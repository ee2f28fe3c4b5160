"""Biases as one more coordinate, and what the scores of a head on given tokens are."""

from __future__ import annotations

from typing import Any

import numpy as np

from transpde.attention import Masked, MultiHead, Softmax
from transpde.attention.composed import reachable
from transpde.checks import Array, finite_array, flag, generator, of_kind, single_case
from transpde.fields import in_floats
from transpde.measures import Particles

__all__ = ["lift", "score_spread", "twin"]


def lift(points: Any) -> Array:
    r"""Return tokens with a last coordinate 1: $\hat x = (x, 1)$.

    A head with biases is a head without on lifted tokens, and does not move the last coordinate.

    Args:
        points: tokens, shape (..., n, d).

    Returns:
        Shape (..., n, d + 1).

    Raises:
        ValueError: entries that are not finite, a wrong shape.

    Source: ours (chapter on seventy-two heads).

    Example:
        >>> from transpde import models
        >>> models.lift([[2.0, 3.0]])
        array([[2., 3., 1.]])
    """
    x = finite_array("points", points, "... n d")
    return np.concatenate([x, np.ones((*x.shape[:-1], 1))], axis=-1)


@in_floats
def score_spread(
    head: Softmax | Masked | MultiHead, measure: Particles, each: bool = False
) -> Any:
    r"""Return how much the scores of a head vary over the tokens: its spread $\sigma$.

    $\sigma_i$ is the standard deviation, over the tokens y that a query $x_i$ sees, of the score
    $\langle Qx_i, Ky\rangle$; $\sigma$ is the root mean square of the $\sigma_i$. For normal
    scores the n tokens stop to act as their limit between $\sigma = \tfrac12\sqrt{2\log n}$ and
    $\sqrt{2\log n}$.

    Args:
        head: a softmax head, also behind a mask, or several.
        measure: tokens, with positions for a masked head.
        each: give every $\sigma_i$ instead.

    Returns:
        A number; with `each` an array (n,). For several heads an array with one more axis, first.

    Raises:
        TypeError: another attention, a measure that is not Particles, `each` not a truth value.
        ValueError: tokens of another dimension, a stack, no positions for a masked head.
        OverflowError: a number that no float holds.

    Source: ours (chapter on seventy-two heads).

    Example:
        >>> import transpde as tp
        >>> from transpde import models
        >>> tokens = tp.Particles([[-1.0], [1.0]])
        >>> models.score_spread(tp.Softmax([[2.0]], [[1.0]], [[1.0]]), tokens)
        2.0
    """
    of_kind("head", head, (Softmax, Masked, MultiHead))
    of_kind("measure", measure, Particles)
    single_case("measure: a score spread", "one cloud of tokens", measure.stack)
    each = flag("each", each)
    head.check(measure)
    if isinstance(head, MultiHead):
        several: Any = head.heads
        return np.array([score_spread(one, measure, each) for one in several])
    variances = _variances(head, measure)
    if each:
        return np.sqrt(variances)
    return float(np.sqrt(measure.weights @ variances))


def _variances(head: Any, measure: Particles) -> Array:
    """Return the variances (n,) of the scores of each query."""
    inner = of_kind("head", head.head if isinstance(head, Masked) else head, Softmax)
    if head is not inner:
        head.check_plain("head")
    x, w = measure.points, measure.weights
    queries, keys = x @ inner.query.T, x @ inner.key.T
    keys = keys - w @ keys
    if head is inner:
        return np.einsum("nk,kl,nl->n", queries, (keys.T * w) @ keys, queries).clip(0.0)
    sees = measure.positions <= reachable(measure.positions, measure)[:, None]
    w = np.where(sees, w, 0.0)
    w /= w.sum(axis=1, keepdims=True)
    scores = queries @ keys.T
    scores -= (w * scores).sum(axis=1, keepdims=True)
    return (w * scores**2).sum(axis=1)


def twin(measure: Particles, seed: int | np.random.Generator) -> Particles:
    r"""Return as many normal tokens of the same mean and covariance: the Gaussian twin.

    The draws are $m + \sum_j g_{ij}\sqrt{w_j}\,(x_j - m)$ with independent normal $g_{ij}$, so
    their law is $N(m, \Sigma)$ exactly, whatever the rank; a coordinate that is the same for all
    tokens, such as the last one of lifted tokens, stays what it is.

    Args:
        measure: tokens, one cloud.
        seed: an integer or a generator.

    Returns:
        Particles of equal weight with the positions of the tokens.

    Raises:
        TypeError: a measure that is not Particles, or one that lies on a sphere.
        ValueError: a stack, a seed that is none.

    Source: ours (chapter on seventy-two heads).

    Example:
        >>> import transpde as tp
        >>> from transpde import models
        >>> models.twin(tp.Particles([[0.0, 1.0], [2.0, 1.0]]), seed=0).points.shape
        (2, 2)
    """
    of_kind("measure", measure, Particles)
    single_case("measure: a twin", "one cloud of tokens", measure.stack)
    rng, x, m = generator("seed", seed), measure.points, measure.mean
    if not np.allclose(measure.space.tangent(x, x), x):
        raise TypeError(
            "measure: a twin is normal, so it leaves the sphere; give Particles(points)."
        )
    m = np.where(np.ptp(x, axis=0) == 0, x[0], m)
    draws = rng.standard_normal((len(x), len(x))) * np.sqrt(measure.weights)
    return Particles(m + draws @ (x - m), positions=measure.positions)
