"""Gaussian data on the line: the variance in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import wrightomega

from transpde.attention import L2, Attention, Sinkhorn
from transpde.checks import Array, non_negative_array
from transpde.fields import silent
from transpde.theory.head_sums import HeadSum, head_sum, scores

__all__ = ["variance"]


@silent
def variance(attention: Attention, start: Any, time: ArrayLike) -> float | Array | None:
    r"""Return the variance s(t) of a Gaussian on the line, whatever its mean.

    With $v = V$, $a = K^\top Q$, $\kappa = K^\top K$, all numbers:

    - softmax: $\dot s = 2vas^2$, hence $s(t) = s_0/(1 - 2vas_0t)$; heads add their va, and a
      feed-forward part wx + b gives $\dot s = 2vas^2 + 2ws$,
      $s(t) = s_0e^{2wt}\big/\big(1 - vas_0(e^{2wt} - 1)/w\big)$;
    - L2: $\dot s = 4vas^2/(1 + 2\kappa s)$; with $\omega = 1/(2\kappa s)$,
      $\omega + \log\omega = \omega_0 + \log\omega_0 - 2vat/\kappa$: Lambert's function on its
      principal branch for both signs of va, as its argument is positive;
    - Sinkhorn: $\dot s = v(\sqrt{\varepsilon^2 + 4a^2s^2} - \varepsilon)/a$; with
      $\sinh\varphi = 2|a|s/\varepsilon$, the number $\varphi - \coth(\varphi/2)$ grows at the
      constant rate $2v\,\mathrm{sign}(a)$.

    Args:
        attention: softmax heads (one or several, feed-forward allowed), one L2 or one Sinkhorn
            head, of dimension 1.
        start: the variance at depth 0, at least 0, of any shape.
        time: depths, at least 0; start and time broadcast.

    Returns:
        A float, or an array; softmax is inf at its blow-up time and NaN after it; inf also where
        a float overflows. None for other attentions: linear attention depends on the mean
        (centred, it is softmax), the others do not keep Gaussians, sums with L2 or Sinkhorn have
        no closed form here.

    Raises:
        ValueError: a dimension other than 1, a negative start or time, leading axes.
        TypeError: something that is not an attention.

    Source: ours (chapter on covariance dynamics).

    Example:
        >>> import transpde as tp
        >>> from transpde import theory
        >>> theory.variance(tp.Softmax([[1.0]], [[1.0]], [[1.0]]), start=1.0, time=[0.25, 0.5])
        array([ 2., inf])
    """
    parts = head_sum(attention)
    if attention.dimension != 1:
        raise ValueError(f"attention: must be of dimension 1; got {attention.dimension}.")
    s0, t = non_negative_array("start", start), non_negative_array("time", time)
    s0, t = np.broadcast_arrays(s0, t)
    if parts is None:
        return None
    moved = _solution(parts, np.where(s0 > 0, s0, 1.0), t)
    if moved is None:
        return None
    s = np.where(s0 > 0, np.where(t > 0, moved, s0), 0.0)
    return s if s.ndim else float(s)


def _solution(parts: HeadSum, s: Array, t: Array) -> Array | None:
    """Return s(t) from s > 0."""
    head, found = parts.alone, scores(parts)
    if found is not None:
        return _softmax(_number(found.matrix), _number(parts.linear), s, t)
    if not isinstance(head, L2 | Sinkhorn):
        return None
    v, a = _number(head.value), _number(head.key.mT @ head.query)
    if v * a == 0:
        return s
    if isinstance(head, L2):
        return _l2(v * a, _number(head.key.mT @ head.key), s, t)
    return _sinkhorn(v, a, head.epsilon, s, t)


def _number(matrix: Array) -> float:
    if matrix.ndim > 2:
        raise ValueError(
            f"attention: must have no leading axes here; got parameters of shape {matrix.shape}. "
            "Give several starts instead."
        )
    return float(matrix[0, 0])


def _softmax(a: float, w: float, s: Array, t: Array) -> Array:
    """Return the variance; of two equal fractions the one whose exponentials do not grow."""
    decay = np.exp(-2 * abs(w) * t)
    lost = -np.expm1(-2 * abs(w) * t) / abs(w) if w != 0 else 2 * t
    above, below = (s, decay) if w > 0 else (s * decay, np.ones_like(decay))
    left = below - a * s * lost
    return np.where(left >= 0, above / np.abs(left), np.nan)


def _l2(va: float, kappa: float, s: Array, t: Array) -> Array:
    omega = 1 / (2 * kappa * s)
    level = omega + np.log(omega) - 2 * va * t / kappa
    return 1 / (2 * kappa * wrightomega(level))


def _sinkhorn(v: float, a: float, epsilon: float, s: Array, t: Array) -> Array:
    phi = np.arcsinh(2 * abs(a) * s / epsilon)
    level = phi - 1 / np.tanh(phi / 2) + 2 * v * np.sign(a) * t
    # phi - coth(phi/2) is concave, and at most phi - 2/phi: Newton's method from the root of the
    # latter comes from below, monotonically. (Both forms of the root, each where it is stable.)
    root = np.hypot(level, np.sqrt(8.0))
    phi = np.where(level < 0, 4 / (root - level), (root + level) / 2)
    for _ in range(12):
        slope = 1 + 0.5 / np.sinh(np.minimum(phi, 700.0) / 2) ** 2
        phi = phi + (level - phi + 1 / np.tanh(phi / 2)) / slope
    return epsilon * np.sinh(phi) / (2 * abs(a))
