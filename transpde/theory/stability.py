"""Stability of two flows: Lipschitz bounds in $W_p$, and what they give along depth."""

from __future__ import annotations

from math import factorial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import integrate
from scipy.special import logsumexp

from transpde.attention import L2, Attention, Sigmoid, Sinkhorn, Softmax
from transpde.checks import Array, flag, non_negative_array, positive_number
from transpde.fields import silent
from transpde.measures.axial import panels
from transpde.theory.compact import (
    HeadNorms,
    LipschitzBounds,
    hardy_factor,
    head_norms,
    lipschitz_bounds,
    order,
    radius_at,
    speed_bound,
)
from transpde.theory.head_sums import HeadSum, head_sum, spectral_norm

__all__ = ["order_bounds", "stability_bound"]


@silent
def order_bounds(attention: Attention, radius: float, p: float = 1.0) -> LipschitzBounds:
    r"""Return Lipschitz bounds of the velocity field in space and in $W_p$ of the measure.

    With $\alpha = \|A\|R^2$, $\rho = (\|Q\| + \|K\|)R$ and $c_p = \max(1, 2^{2/p-1})$, the bound
    $L_p$ in the measure is, over $\|V\|$,

    - softmax: $(1 + c_p\alpha)e^{2\alpha/p}$;
    - L2: the smaller of $(1 + 2c_p\|K\|R\rho)e^{\rho^2/p}$ and
      $(1 + 2\sqrt{2/e}\,\|K\|R)e^{\rho^2}$;
    - sigmoid, linear, unnormalised: that of `lipschitz_bounds`, for every p.

    So for $p = \infty$ softmax and L2 need no exponential. The bound in space is that of
    `lipschitz_bounds`. Heads add up.

    Args:
        attention: an attention without masks.
        radius: R, positive; both measures and the points x are in $B_R$.
        p: the order, at least 1, inf allowed.

    Returns:
        `LipschitzBounds(in_space, in_measure)`, inf where one overflows. None in measure for
        Sinkhorn and masked heads; None for both on the sphere.

    Raises:
        ValueError: a radius that is not positive, p < 1, parameters with leading axes.
        TypeError: something that is not an attention.

    Source: ours (chapter on stability).

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde import theory
        >>> theory.order_bounds(tp.Softmax(np.eye(1), np.eye(1), np.eye(1)), 1.0, np.inf)
        LipschitzBounds(in_space=1.0, in_measure=2.0)
    """
    R, q, parts = positive_number("radius", radius), order(p), head_sum(attention)
    plain = lipschitz_bounds(attention, R)
    heads = [] if parts is None else head_norms(parts)
    if parts is None or any(h.masked or isinstance(h.head, Sinkhorn) for h in heads):
        return LipschitzBounds(plain.in_space, None)
    in_order = sum(h.value * float(np.exp(_log_order(h, np.asarray(R), q))) for h in heads)
    return LipschitzBounds(plain.in_space, in_order)


class _Split(NamedTuple):
    r"""$L_x$ and $L_\infty$, as polynomials c + k R^2, and $\log L_p$ of a sum of heads."""

    space: Array
    largest: Array
    heads: list[HeadNorms]
    p: float

    @classmethod
    def of(cls, parts: HeadSum, p: float) -> _Split | None:
        heads = head_norms(parts)
        if any(h.masked or not isinstance(h.head, Softmax | L2 | Sigmoid) for h in heads):
            return None
        rows = [h.value * np.array(_slopes(h)) for h in heads]
        space, largest = np.sum(rows, axis=0) if rows else np.zeros(2)
        mass, W = sum(h.value for h in heads), spectral_norm(parts.linear)
        return cls(np.array([W, space]), np.array([mass, largest]), heads, p)

    def log_order(self, R: Array) -> Array:
        logs = [np.log(h.value) + _log_order(h, R, self.p) for h in self.heads]
        return np.logaddexp.reduce(logs) if logs else np.full(R.shape, -np.inf)


def _slopes(h: HeadNorms) -> tuple[float, float]:
    r"""Return what multiplies $\|V\|R^2$ in $L_x$ and in $L_\infty - \|V\|$."""
    if isinstance(h.head, Softmax):
        return h.product, h.product
    if isinstance(h.head, L2):
        return 2 * h.product, 2 * h.key * (h.query + h.key)
    return h.product / 4, h.product / 4


def _log_order(h: HeadNorms, R: Array, p: float) -> Array:
    r"""Return the logarithm of $L_p/\|V\|$."""
    alpha, c = h.product * R**2, max(1.0, 2 ** (2 / p - 1))
    if isinstance(h.head, Softmax):
        return np.log1p(c * alpha) + (2 * alpha / p if p < np.inf else 0.0)
    if isinstance(h.head, L2):
        rho = (h.query + h.key) * R
        moved = np.log1p(2 * c * h.key * R * rho) + (rho**2 / p if p < np.inf else 0.0)
        # z e^{-z^2} is at most 1/sqrt(2e).
        return np.minimum(moved, np.log1p(2 * np.sqrt(2 / np.e) * h.key * R) + rho**2)
    return np.log(h.row(R)[1])


@silent
def stability_bound(
    attention: Attention,
    radius: float,
    time: ArrayLike,
    p: float = 1.0,
    *,
    log: bool = False,
    backward: bool = False,
) -> float | Array | None:
    r"""Return a bound on $W_p(\mu_t, \nu_t)/W_p(\mu_0, \nu_0)$ for data in $B_R$.

    With $L_x$, $L_p$ and $L_\infty$ of `order_bounds` on the ball of `support_radius` at depth s,
    $$\frac{W_p(\mu_t, \nu_t)}{W_p(\mu_0, \nu_0)} \le e^{\int_0^tL_x}
    \Big(1 + \int_0^tL_p(s)\,e^{\int_s^tL_\infty}\,ds\Big),$$
    a double exponential of t. Backward, the same with $e^{\int_0^sL_\infty}$ bounds the inverse of
    the ratio. Where Sinkhorn or masked heads take part, a coupling moved along both flows gives
    $e^{\int_0^t\ell}$ in both directions, with $\ell$ the Lipschitz constant along couplings:
    $\|V\|(1 + 2\alpha/\varepsilon)$ for Sinkhorn at p = 2; for masked attention $L_x + L_\mu$ of
    `lipschitz_bounds`, in $d_p$, 1 < p.

    Args:
        attention: softmax, L2, sigmoid, Sinkhorn heads, masked or not, their sums, and any of
            these with an affine feed-forward part.
        radius: R, positive; both measures are in $B_R$ at depth 0.
        time: depths, at least 0, of any shape.
        p: the order of the distance, at least 1, inf allowed.
        log: return the logarithm, finite far beyond the range of floats.
        backward: bound $W_p(\mu_0, \nu_0)/W_p(\mu_t, \nu_t)$ instead.

    Returns:
        A float, or an array of the shape of `time`; inf where it overflows. None where a bound is
        missing: linear and unnormalised (no bound on the support), Sinkhorn at p other than 2,
        masked at p = 1.

    Raises:
        ValueError: a radius that is not positive, a negative time, p < 1, parameters with leading
            axes.
        TypeError: something that is not an attention.

    Source: ours (chapter on stability).

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde import theory
        >>> attention = tp.Softmax(np.eye(1), np.eye(1), np.eye(1))
        >>> theory.stability_bound(attention, radius=1.0, time=1.0, log=True)
        17.6923016
    """
    R, t = positive_number("radius", radius), non_negative_array("time", time)
    q, parts = order(p), head_sum(attention)
    growth = speed_bound(parts)
    if parts is None or growth is None:
        return None
    split, (ends, where) = _Split.of(parts, q), np.unique(t, return_inverse=True)
    if split is None:
        exponent = _together(parts, growth, R, ends, q)
    else:
        exponent = _split(split, growth, R, ends, flag("backward", backward))
    if exponent is None:
        return None
    bound = (exponent if flag("log", log) else np.exp(exponent))[where].reshape(t.shape)
    return bound if bound.ndim else float(bound)


# A rule on [0, 1] of panels that are halved towards both ends.
HALVED = np.append(0.0, 0.5 ** np.arange(50, 0, -1))
NODES, WEIGHTS = panels(np.append(HALVED, 1 - HALVED[-2::-1]), 16)


def _split(
    split: _Split, growth: tuple[float, float], R: float, t: Array, backward: bool
) -> Array:
    """Return the logarithm of the bound of the theorem; inf where it overflows."""
    s = t[:, None] * NODES
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        (a, b), (c, k) = split.space, split.largest
        whole, part = (_integral_of_square(growth, R, z) for z in (t, s))
        shift = c * s + k * part
        if not backward:
            shift = (c * t + k * whole)[:, None] - shift
        logs = split.log_order(radius_at(growth, R, s)) + shift
        pushed = logsumexp(logs, b=WEIGHTS, axis=1) + np.log(t)
        exponent = a * t + b * whole + np.logaddexp(0.0, pushed)
    return np.where(np.isnan(exponent), np.inf, exponent)


def _integral_of_square(growth: tuple[float, float], R: float, t: Array) -> Array:
    """Return the integral of the square of the radius from 0 to t."""
    g, b = growth
    exponential = R**2 * (np.expm1(2 * g * t) / (2 * g) if g > 0 else t)
    if b == 0:
        return exponential
    pushed = np.expm1(g * t) / g if g > 0 else t
    # The integral of pushed^2, by its series where the closed form would cancel.
    series = sum(
        (2**k - 2) / (factorial(k) * (k + 1)) * np.minimum(g * t, 1) ** (k - 2)
        for k in range(2, 25)
    )
    closed = (pushed**2 / 2 - (pushed - t) / g) / g if g > 0 else t
    return exponential + R * b * pushed**2 + b**2 * np.where(g * t < 1, t**3 * series, closed)


def _together(
    parts: HeadSum, growth: tuple[float, float], R: float, t: Array, p: float
) -> Array | None:
    """Return the integral of the Lipschitz constant along couplings."""
    heads, W = head_norms(parts), spectral_norm(parts.linear)

    def rate(s: float) -> float:
        r = radius_at(growth, R, np.asarray(s))
        with np.errstate(over="ignore"):
            return W + sum(h.value * (_along(h, float(r), p) or 0.0) for h in heads)

    if any(_along(h, R, p) is None for h in heads):
        return None
    pieces = [_integral(rate, a, b) for a, b in zip([0.0, *t[:-1]], t, strict=True)]
    return np.cumsum(pieces)


def _along(h: HeadNorms, R: float, p: float) -> Any:
    """Return the Lipschitz constant of a head along couplings, over |V|; None if not known."""
    (in_space, in_measure), hardy = h.row(R), hardy_factor(p)
    if h.masked:
        return None if hardy is None or in_measure is None else in_space + hardy * in_measure
    if isinstance(h.head, Sinkhorn):
        return 1 + 2 * in_space if p == 2 else None
    return in_space + np.exp(_log_order(h, np.asarray(R), p))


def _integral(rate: Any, start: float, end: float) -> float:
    """Return the integral of an increasing rate, rounded up; inf where the rate overflows."""
    if not np.isfinite(rate(end)):
        return np.inf
    # With its output in full, quad keeps silent about an accuracy that its error estimate tells.
    value, error, *_ = integrate.quad(
        rate, start, end, epsrel=1e-11, epsabs=0.0, limit=500, full_output=1
    )
    return float(value + error)
