r"""Limits in which one attention becomes another.

On tokens of size $\delta$ scores are of size $\delta^2$, and every head is a constant and a linear
part: $\Gamma_{\mu^\delta}(\delta x)/\delta = V(\ell m + \delta^2 r(x)) + O(\delta^4)$, where
$\mu^\delta$ is the law of $\delta y$ for y drawn from $\mu$.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from transpde.attention import L2, Head, Linear, Sigmoid, Sinkhorn, Softmax, Unnormalized
from transpde.checks import Array, listing, of_kind, same_size, single_case
from transpde.fields import held, silent
from transpde.measures import Particles
from transpde.theory.head_sums import one_case

__all__ = ["small_token_terms"]


@silent
def small_token_terms(head: Head, tokens: Particles) -> tuple[Array, Array]:
    r"""Return the first two terms of the velocities of small tokens, before V is applied.

    $\Gamma_{\mu^\delta}(\delta x)/\delta = V(\ell m + \delta^2 r(x)) + O(\delta^4)$ at tokens x.

    Args:
        head: softmax, L2, Sinkhorn, sigmoid, linear or unnormalised.
        tokens: those of $\mu$.

    Returns:
        The constant part, of shape (d,), and r at the tokens, of shape (n, d).

    Raises:
        TypeError: another attention.
        OverflowError: a term that no float holds.

    Source: ours (chapter on the attention zoo).

    Example:
        >>> import transpde as tp
        >>> from transpde.theory.small_tokens import small_token_terms
        >>> constant, r = small_token_terms(
        ...     tp.Softmax([[1.0]], [[1.0]], [[1.0]]), tp.Particles([[0.0], [2.0]])
        ... )
        >>> constant, r.ravel()
        (array([1.]), array([0., 2.]))
    """
    known = (Softmax, L2, Sinkhorn, Sigmoid, Linear, Unnormalized)
    of_kind("head", head, known, "a softmax, L2, Sinkhorn, sigmoid, linear or unnormalised head")
    of_kind("tokens", tokens, Particles)
    same_size("tokens", tokens.dimension, "the head", head.dimension, "dimension")
    single_case("small_token_terms", "a single cloud", tokens.stack)
    one_case("head", head.query, head.key, head.value)
    constant, rest = _terms(head, tokens)
    what, advice = "tokens: too large for the second term, which", "Divide them by a number first."
    return constant, held(rest, what, "", advice)


def _terms(head: Head, tokens: Particles) -> tuple[Array, Array]:
    x, w, m, S = tokens.points, tokens.weights, tokens.mean, tokens.covariance
    A = head.key.T @ head.query
    tilted, pulled = x @ (S @ A).T, x @ ((S + np.outer(m, m)) @ A).T
    match head:
        case Softmax():
            return m, tilted
        case L2():
            return m, 2 * tilted - (w * ((x @ head.key.T) ** 2).sum(axis=1)) @ (x - m)
        case Sinkhorn():
            return m, (tilted - S @ A @ m) / head.epsilon
        case Sigmoid():
            level = expit(head.bias)
            return level * m, level * (1 - level) * pulled
        case Linear():
            return 0.0 * m, pulled
    return m, pulled


__dir__ = listing(__all__)
