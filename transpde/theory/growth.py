"""Gaussian data: how fast the covariance may grow."""

from __future__ import annotations

from typing import Any

import numpy as np

from transpde.attention import L2, Attention, Head, Sinkhorn, Softmax
from transpde.measures import Gaussian
from transpde.theory import one_key
from transpde.theory.head_sums import (
    ROUNDING,
    HeadSum,
    gram,
    head_sum,
    matched,
    one_case,
    scalar_softmax,
    scalar_value,
    top,
)

__all__ = ["growth_bound"]


def growth_bound(attention: Any, gaussian: Gaussian | None = None) -> Any:
    r"""Return a rate g with $\|\Sigma_t\| \le e^{gt}\|\Sigma_0\|$ for Gaussian data.

    Of $\dot\Sigma = B\Sigma + \Sigma B^\top$ each head contributes to g, and they add up:

    - Sinkhorn: $2\|V\|$, as $B\Sigma = VX(SG)X^\top$ with $\|SG\| \le 1$;
    - L2, injective K: $2\|V\|\|(K^\top K)^{-1}\|\|A\|$, as $XSX^\top \preceq (K^\top K)^{-1}$;
    - softmax, V = cI and $c(A + A^\top) \preceq 0$: 0, as $c\Sigma(A + A^\top)\Sigma \preceq 0$;
    - a feed-forward part W: $2\|W\|$.

    And one L2 head alone, with V = cI, one key $k^\top$ and one query $q^\top$, has
    $2|c|\sqrt{q^\top\Sigma_0q/k^\top\Sigma_0k}$, as the ratio is conserved; the rate is reached.

    Args:
        attention: a head of these kinds, or a sum.
        gaussian: the Gaussian at depth 0. With it softmax heads with V = cI have g = 0 also where
            $c(A + A^\top)$ is negative on the range of the covariance alone, which they conserve,
            linear heads on a mean of zero count as softmax, and L2 with one key has its rate.

    Returns:
        A float. None for other heads, as softmax and an L2 head with a K that is not injective can
        blow up.

    Raises:
        ValueError: leading axes; a Gaussian that does not fit.
        TypeError: something that is not an attention, or not a Gaussian.

    Source: ours (chapter on covariance dynamics).

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde import theory
        >>> theory.growth_bound(tp.Sinkhorn(np.eye(2), np.eye(2), -3 * np.eye(2)))
        6.0
    """
    if gaussian is None:
        parts = head_sum(attention)
    else:
        parts = matched(attention, gaussian)
        A = scalar_softmax(parts, gaussian)
        if parts is not None and A is not None and not parts.linear.any():
            return 0.0 if (top(gram(gaussian.scaled_factor, A)) <= 0).all() else None
        own = None if parts is None else _one_key_rate(parts, gaussian)
        if own is not None:
            return own
    return None if parts is None else rate(parts)


def _one_key_rate(parts: HeadSum, gaussian: Gaussian) -> float | None:
    """Return the rate of L2 with V = cI and one key, None for others."""
    head = parts.heads[0]
    if len(parts.heads) > 1 or parts.linear.any() or not isinstance(head, L2):
        return None
    one_case("attention", head.query, head.key, head.value, gaussian.factor)
    c, rows = scalar_value(head), one_key.Rows.of(head, gaussian)
    if c is None or rows is None:
        return None
    moves = c and rows.key.any() and rows.query.any()
    return float(2 * abs(c) * np.exp(rows.log_ratio)) if moves else 0.0


def rate(parts: HeadSum) -> float | None:
    """Return the rate that holds for every Gaussian, None where there is none."""
    rates = [_head_rate(head) for head in parts.heads]
    known = [one for one in rates if one is not None]
    if len(known) < len(rates):
        return None
    return sum(known) + 2 * float(np.linalg.norm(parts.linear, 2))


def _head_rate(head: Attention) -> float | None:
    if not isinstance(head, Head):
        return None
    one_case("attention", head.query, head.key, head.value)
    A, v = head.key.T @ head.query, np.linalg.norm(head.value, 2)
    if isinstance(head, Sinkhorn):
        return float(2 * v)
    if isinstance(head, L2):
        sizes = np.linalg.svd(head.key, compute_uv=False)
        injective = len(sizes) == head.dimension and sizes[-1] > ROUNDING * sizes[0]
        return float(2 * v * np.linalg.norm(A, 2) / sizes[-1] ** 2) if injective else None
    c = scalar_value(head) if isinstance(head, Softmax) else None
    return 0.0 if c is not None and top(c * (A + A.T)) <= 0 else None
