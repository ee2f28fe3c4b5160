"""Gaussian data: how fast the covariance may grow."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from transpde.attention import L2, Attention, Head, Sinkhorn, Softmax
from transpde.checks import Array, non_negative_array
from transpde.fields import quiet
from transpde.measures import Gaussian
from transpde.theory import one_key
from transpde.theory.head_sums import (
    ROUNDING,
    HeadSum,
    head_sum,
    matched,
    one_case,
    scalar_value,
    scores,
    scores_of,
    seen,
    spectral_norm,
    top,
)

__all__ = ["growth_bound", "log_growth_bound"]


@quiet
def growth_bound(attention: Attention, gaussian: Gaussian | None = None) -> float | Array | None:
    r"""Return a rate g with $\|\Sigma_t\| \le e^{gt}\|\Sigma_0\|$ for Gaussian data.

    Of $\dot\Sigma = B\Sigma + \Sigma B^\top$ each head contributes to g, and they add up:

    - Sinkhorn: $2\|V\|$, as $B\Sigma = VX(SG)X^\top$ with $\|SG\| \le 1$;
    - L2, injective K: $2\|V\|\|(K^\top K)^{-1}\|\|A\|$, as $XSX^\top \preceq (K^\top K)^{-1}$;
    - softmax, V = cI and $c(A + A^\top) \preceq 0$: 0, as $c\Sigma(A + A^\top)\Sigma \preceq 0$;
    - a feed-forward part W: $2\|W\|$.

    And one L2 head alone with V = cI has, with the Gaussian given,

    - for one key $k^\top$, one query $q^\top$: $2|c|\sqrt{q^\top\Sigma_0q/k^\top\Sigma_0k}$; the
      ratio is conserved, the rate is reached;
    - for rows of $K' = KX_0$ and $Q' = QX_0$ that are jointly independent:
      $2|c|\sigma^{-2}\|K'\|\|Q'\|(1 + 4p\|K'\|\|Q'\|)$ with the least singular value $\sigma$ of
      $K'$ and the root p of the product of the norms of the diagonal blocks of $(TT^\top)^{-1}$,
      where T has the rows of both.

    Args:
        attention: a head of these kinds, or a sum.
        gaussian: the Gaussian at depth 0. With it softmax heads with V = cI have g = 0 also where
            $c(A + A^\top)$ is negative on the range of the covariance alone, which they conserve,
            linear heads on a mean of zero count as softmax, and L2 with V = cI has its rates.

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
        found = scores(parts, gaussian)
        if parts is not None and found is not None and not parts.linear.any():
            return None if seen(found, gaussian).grows.any() else 0.0
        own = None if parts is None else _identity_rate(parts, gaussian)
        if own is not None:
            return own
    return None if parts is None else rate(parts)


@quiet
def log_growth_bound(
    attention: Attention, gaussian: Gaussian, time: ArrayLike
) -> float | Array | None:
    r"""Return a bound on $\log(\|\Sigma_t\|/\|\Sigma_0\|)$ for Gaussian data.

    It is gt where `growth_bound` has a rate g. Else, for one L2 head with V = cI,
    $$2|c|\kappa\sigma^{-2}\Big(t + \frac{(1 + 4\kappa|c|t)^{3/2} - 1}{6\kappa|c|}\Big),
    \qquad \kappa = \|KX_0\|\|QX_0\|,$$
    with the least nonzero singular value $\sigma$ of $KX_0$.

    Args:
        attention: one of those of `growth_bound`, or one L2 head with V = cI and any K.
        gaussian: the Gaussian at depth 0.
        time: depths, at least 0: a number or an array.

    Returns:
        A float, or an array like `time`; None for other attentions. Singular values that are zero
        within rounding count as zero.

    Raises:
        ValueError: leading axes; a Gaussian that does not fit; a negative time.
        TypeError: something that is not an attention, or not a Gaussian.

    Source: ours (chapter on covariance dynamics).

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde import theory
        >>> K = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        >>> gaussian = tp.Gaussian(np.zeros(3), factor=np.eye(3))
        >>> theory.log_growth_bound(tp.L2(K, K, np.eye(3)), gaussian, [0.0, 2.0])
        array([ 0.        , 12.66666667])
    """
    t = non_negative_array("time", time)
    known = growth_bound(attention, gaussian)
    parts = matched(attention, gaussian)
    if known is not None:
        logs = known * t
    else:
        found = None if parts is None else _l2_identity(parts, gaussian)
        if found is None:
            return None
        (head, c), X = found, _injective(gaussian)
        sizes = np.linalg.svd(head.key @ X, compute_uv=False)
        speed = sizes[0] * spectral_norm(head.query @ X)
        least = sizes[sizes > ROUNDING * max(X.shape) * sizes[0]].min(initial=np.inf)
        grown = ((1 + 4 * speed * c * t) ** 1.5 - 1) / (6 * max(speed, 1e-300))
        logs = 2 * speed / least**2 * (c * t + grown)
    return logs if logs.ndim else float(logs)


def _l2_identity(parts: HeadSum, gaussian: Gaussian) -> tuple[L2, float] | None:
    """Return an L2 head with V = cI, and |c|; None for others."""
    head = parts.alone
    if not isinstance(head, L2):
        return None
    one_case("attention", head.query, head.key, head.value, gaussian.factor)
    c = scalar_value(head)
    return None if c is None else (head, float(abs(c)))


def _identity_rate(parts: HeadSum, gaussian: Gaussian) -> float | None:
    """Return the rate of L2 with V = cI on one Gaussian, None where there is none."""
    found = _l2_identity(parts, gaussian)
    if found is None:
        return None
    head, c = found
    rows = one_key.Rows.of(head, gaussian)
    if rows is not None:
        moves = c and rows.key.any() and rows.query.any()
        return float(2 * c * np.exp(rows.log_ratio)) if moves else 0.0
    general, X, k = rate(parts), _injective(gaussian), len(head.key)
    K, Q = head.key @ X, head.query @ X
    sizes = np.linalg.svd(np.vstack([K, Q]), compute_uv=False)
    if 2 * k > X.shape[1] or sizes[-1] <= ROUNDING * len(sizes) * sizes[0]:
        return general
    precision = np.linalg.inv(np.vstack([K, Q]) @ np.vstack([K, Q]).T)
    root = np.sqrt(spectral_norm(precision[:k, :k]) * spectral_norm(precision[k:, k:]))
    speed, least = spectral_norm(K) * spectral_norm(Q), np.linalg.svd(K, compute_uv=False)[-1]
    special = float(2 * c / least**2 * speed * (1 + 4 * root * speed))
    return special if general is None else min(general, special)


def _injective(gaussian: Gaussian) -> Array:
    """Return a factor of the covariance whose columns are independent."""
    axes = gaussian.principal()
    return np.asarray(axes.scaled_factor[:, axes.factor.any(axis=0)])


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
    v = np.linalg.norm(head.value, 2)
    if isinstance(head, Sinkhorn):
        return float(2 * v)
    if isinstance(head, L2):
        found, shift = scores_of(head), np.frexp(np.abs(head.key).max())[1]
        sizes = np.linalg.svd(np.ldexp(head.key, -shift), compute_uv=False)
        if len(sizes) < head.dimension or sizes[-1] <= ROUNDING * sizes[0]:
            return None
        steep = np.linalg.norm(found.form, 2) / sizes[-1] ** 2
        with np.errstate(over="ignore"):
            return float(np.ldexp(2 * v * steep, int(found.exponent - 2 * shift)))
    c = scalar_value(head) if isinstance(head, Softmax) else None
    if c is None:
        return None
    form, noise, _ = scores_of(head, c)
    return 0.0 if top(form + form.T, 2 * float(np.linalg.norm(noise))) <= 0 else None
