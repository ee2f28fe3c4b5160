"""Compactly supported data: the support, two Lipschitz bounds, stability."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import integrate

from transpde.attention import L2, Head, Linear, Masked, Sigmoid, Sinkhorn, Softmax, Unnormalized
from transpde.checks import Array, flag, positive_number
from transpde.theory.head_sums import HeadSum, depths, head_sum, one_case

__all__ = ["LipschitzBounds", "lipschitz_bounds", "stability_bound", "support_radius"]

AVERAGING = (Softmax, L2, Sinkhorn, Sigmoid)


class LipschitzBounds(NamedTuple):
    r"""Lipschitz bounds of a velocity field on measures supported in $B_R$.

    Attributes:
        in_space: $L_x$, with $|\Gamma_\mu(x) - \Gamma_\mu(y)| \le L_x|x - y|$ for x, y in $B_R$.
        in_measure: $L_\mu$, with $|\Gamma_\mu(x) - \Gamma_\nu(x)| \le L_\mu W_1(\mu, \nu)$ for x
            in $B_R$; for masked attention in $L^p$ over positions, and in $d_p$.
    """

    in_space: float | None
    in_measure: float | None


def support_radius(attention: Any, radius: float, time: Any) -> Any:
    r"""Return a bound R(t) on the support at depth t of tokens that start in $B_R$.

    A mean of tokens of $B_R$ is in $B_R$. So with a feed-forward part Wx + b the speed in $B_R$
    is at most $gR + |b|$, $g = \sum_h\|V_h\| + \|W\|$, and R(t) solves $\dot R = gR + |b|$:
    $$R(t) = e^{gt}R_0 + |b|\,\frac{e^{gt} - 1}{g}.$$

    Args:
        attention: softmax, L2, Sinkhorn, sigmoid heads, masked or not, their sums, and any of
            these with an affine feed-forward part.
        radius: the radius at depth 0, positive.
        time: depths, at least 0, of any shape.

    Returns:
        A float, or an array of the shape of `time`; inf where it overflows. None with a linear or
        unnormalised head: their speed grows faster than the radius, and tokens can blow up.

    Raises:
        ValueError: a radius that is not positive, a negative time, parameters with leading axes.
        TypeError: something that is not an attention.

    Source: ours (chapter on well-posedness).

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde import theory
        >>> attention = tp.Softmax(np.eye(2), np.eye(2), np.eye(2))
        >>> theory.support_radius(attention, radius=2.0, time=[0.0, 1.0])
        array([2.        , 5.43656366])
    """
    R, t = positive_number("radius", radius), depths(time)
    growth = _speed(head_sum(attention))
    if growth is None:
        return None
    bound = _radius(growth, R, t)
    return bound if bound.ndim else float(bound)


def _speed(parts: HeadSum | None) -> tuple[float, float] | None:
    """Return g and |b| of the bound gR + |b| on the speed in the ball of radius R."""
    if parts is None:
        return None
    heads = _unmasked(parts)
    if not all(isinstance(head, AVERAGING) for head in heads):
        return None
    g = sum(_norm(head.value) for head in heads) + _norm(parts.linear)
    return g, float(np.linalg.norm(parts.offset))


def _radius(growth: tuple[float, float], R: float, t: Array) -> Array:
    g, b = growth
    with np.errstate(over="ignore"):
        pushed = b * (np.expm1(g * t) / g if g > 0 else t) if b > 0 else 0.0
        return R * np.exp(g * t) + pushed


def _unmasked(parts: HeadSum) -> list[Head]:
    """Return the heads without their masks, after a check that none is a stack."""
    heads: list[Any] = [h.head if isinstance(h, Masked) else h for h in parts.heads]
    for head in heads:
        one_case("attention", head.query, head.key, head.value)
    one_case("attention's feed-forward part", parts.linear, parts.offset[..., None])
    return heads


def _norm(matrix: Array) -> float:
    return float(np.linalg.norm(matrix, 2))


def lipschitz_bounds(attention: Any, radius: float, p: float = 2.0) -> LipschitzBounds:
    r"""Return Lipschitz bounds of the velocity field in space and in the measure on $B_R$.

    With $\alpha = \|A\|R^2$, $A = K^\top Q$ and $\rho = (\|Q\| + \|K\|)R$:

    - softmax: $L_x = \|V\|\alpha$, $L_\mu = \|V\|(1 + 2\alpha)e^{2\alpha}$;
    - L2: $L_x = 2\|V\|\alpha$, $L_\mu = \|V\|(1 + 2\sqrt{2/e}\,\|K\|R)e^{\rho^2}$;
    - Sinkhorn: $L_x = \|V\|\alpha/\varepsilon$, $L_\mu$ None;
    - sigmoid: $L_x = \|V\|\alpha/4$, $L_\mu = \|V\|(1 + \alpha/4)$;
    - linear: $L_x = \|V\|\alpha$, $L_\mu = 2\|V\|\alpha$;
    - unnormalised: $L_x = \|V\|\alpha e^\alpha$, $L_\mu = \|V\|(1 + \alpha)e^\alpha$.

    Heads add up; a feed-forward part Wx + b adds $\|W\|$ to $L_x$. A masked head has the $L_x$ of
    its head and, in $L^p$ over the positions and in $d_p$, the $L_\mu$ of its head times Hardy's
    factor $p/(p-1)$.

    In space: the derivative of a mean tilted by $e^{\langle y, Ax\rangle}$ is its covariance times
    A. In the measure, with m the tilted mean of $\nu$ and w the weight: the difference of two
    tilted means is $Z_\mu^{-1}\int(y - m)w\,d(\mu - \nu)$, and the integrand is Lipschitz. For
    unnormalised attention the derivative of $y e^{\langle y, Ax\rangle}$ in x is at most
    $R^2\|A\|e^\alpha$, and in y at most $(1 + \alpha)e^\alpha$.

    Args:
        attention: any attention.
        radius: R, positive; both measures and the points x are in $B_R$.
        p: the order of $d_p$, at least 1; used for masked heads only.

    Returns:
        `LipschitzBounds(in_space, in_measure)`, inf where one overflows. None in measure for
        Sinkhorn, where the potentials depend on the measure with a constant that we only cite,
        and for masked heads at p = 1, where Hardy's factor is infinite. None for both on the
        sphere.

    Raises:
        ValueError: a radius that is not positive, p < 1, parameters with leading axes.
        TypeError: something that is not an attention.

    Source: ours (chapter on well-posedness); compare `castin2024smooth`, for L2
    `kim2021lipschitz`.

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde import theory
        >>> theory.lipschitz_bounds(tp.Linear(np.eye(2), np.eye(2), np.eye(2)), radius=2.0)
        LipschitzBounds(in_space=4.0, in_measure=8.0)
    """
    R, order = positive_number("radius", radius), _order(p)
    parts = head_sum(attention)
    return LipschitzBounds(None, None) if parts is None else _Rows(parts, order).at(R)


def _order(p: Any) -> float:
    order = np.inf if isinstance(p, float) and p == np.inf else positive_number("p", p)
    if order < 1:
        raise ValueError(f"p: must be at least 1; got {p!r}.")
    return order


class _Rows:
    """The rows of the table for the heads of an attention: norms once, bounds at many radii."""

    def __init__(self, parts: HeadSum, p: float) -> None:
        heads = _unmasked(parts)
        self.linear = _norm(parts.linear)
        self.heads = [
            (head, _norm(head.value), _norm(head.key.T @ head.query), _norm(head.query),
             _norm(head.key))
            for head in heads
        ]  # fmt: skip
        hardy = None if p == 1 else 1.0 if p == np.inf else p / (p - 1)
        self.p = p
        self.masked = [isinstance(head, Masked) for head in parts.heads]
        self.hardy = hardy

    def coupled(self, R: float) -> float | None:
        """Return the constant of two fields along a coupling, in the order p."""
        in_space, in_measure = self.at(R, coupled=True)
        return None if in_space is None or in_measure is None else in_space + in_measure

    def at(self, R: float, coupled: bool = False) -> LipschitzBounds:
        """Return the bounds on the ball of radius R; coupled: in $W_p$ where that is smaller."""
        in_space, in_measure = self.linear, 0.0
        known = True
        with np.errstate(over="ignore"):
            for (head, v, *norms), masked in zip(self.heads, self.masked, strict=True):
                row, factor = _row(head, np.float64(R), *norms), self.hardy if masked else 1.0
                if coupled and not masked:
                    row = row[0], _in_order(head, self.p, norms[0] * np.float64(R) ** 2, row[1])
                in_space += v * row[0] if v > 0 else 0.0  # for v = 0 no bound is infinite
                if v > 0 and row[1] is not None and factor is not None:
                    in_measure += v * factor * row[1]
                else:
                    known = known and v == 0
        return LipschitzBounds(float(in_space), float(in_measure) if known else None)


def _row(head: Head, R: Any, product: float, query: float, key: float) -> tuple[Any, Any]:
    """Return both bounds of one head, over the norm of its value matrix."""
    alpha = product * R**2
    match head:
        case Softmax():
            return alpha, (1 + 2 * alpha) * np.exp(2 * alpha)
        case L2():
            # The weight is at most 1 and at least e^{-rho^2}; z e^{-z^2} is at most 1/sqrt(2e).
            steep = 2 * np.sqrt(2 / np.e) * key * R
            return 2 * alpha, (1 + steep) * np.exp(((query + key) * R) ** 2)
        case Sinkhorn():
            return alpha / head.epsilon, None
        case Sigmoid():
            return alpha / 4, 1 + alpha / 4
        case Linear():
            return alpha, 2 * alpha
        case Unnormalized():
            return alpha * np.exp(alpha), (1 + alpha) * np.exp(alpha)
    raise TypeError(f"attention: no bounds are known for {type(head).__name__}.")


def _in_order(head: Head, p: float, alpha: Any, in_measure: Any) -> Any:
    """Return the bound in $W_p$, for Sinkhorn that along couplings less the one in space."""
    if isinstance(head, Softmax):
        return (1 + (2 if p < 2 else 1) * alpha) * np.exp(2 * alpha / p)
    if isinstance(head, Sinkhorn):
        return 1 + alpha / head.epsilon if p == 2 else None
    return in_measure


def stability_bound(
    attention: Any, radius: float, time: Any, p: float = 1.0, *, log: bool = False
) -> Any:
    r"""Return a bound on $W_p(\mu_t, \nu_t)/W_p(\mu_0, \nu_0)$ for data in $B_R$.

    Move an optimal coupling along both flows and apply Grönwall's lemma:
    $$W_p(\mu_t, \nu_t) \le \exp\Big(\int_0^t (L_x + L_\mu)(R(s))\,ds\Big)\,W_p(\mu_0, \nu_0)$$
    with R(s) of `support_radius`. It is sharper than the product of t and the rate at R(t), and
    far from sharp: triple exponential in t for softmax (p finite) and L2. For softmax the order p
    tempers the exponential, $L_\mu = \|V\|(1 + c_p\alpha)e^{2\alpha/p}$ in $W_p$, with $c_p = 2$
    for p < 2 and 1 from there. For Sinkhorn at p = 2 the sum of both constants is
    $\|V\|(1 + 2\alpha/\varepsilon)$. Masked attention: in $d_p$, 1 < p.

    Args:
        attention: an attention with bounds of `support_radius` and `lipschitz_bounds`.
        radius: R, positive; both measures are in $B_R$ at depth 0.
        time: depths, at least 0, of any shape.
        p: the order of the distance, at least 1, inf allowed; the bound depends on it for softmax,
            Sinkhorn and masked heads.
        log: return the logarithm, the integral itself.

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
        >>> attention = tp.Sigmoid(np.eye(1), np.eye(1), np.eye(1))
        >>> theory.stability_bound(attention, radius=1.0, time=1.0, log=True)
        2.5972640247
    """
    R, t, order = positive_number("radius", radius), depths(time), _order(p)
    parts = head_sum(attention)
    growth = _speed(parts)
    if parts is None or growth is None:
        return None
    rows = _Rows(parts, order)
    if rows.coupled(R) is None:
        return None

    def rate(s: float) -> float:
        return rows.coupled(float(_radius(growth, R, np.asarray(s)))) or 0.0

    ends, where = np.unique(t, return_inverse=True)
    pieces = [_integral(rate, a, b) for a, b in zip([0.0, *ends[:-1]], ends, strict=True)]
    exponent = np.cumsum(pieces)[where].reshape(t.shape)
    with np.errstate(over="ignore"):
        bound = exponent if flag("log", log) else np.exp(exponent)
    return bound if bound.ndim else float(bound)


def _integral(rate: Any, start: float, end: float) -> float:
    """Return the integral of an increasing rate, rounded up; inf where the rate overflows."""
    if not np.isfinite(rate(end)):
        return np.inf
    # With its output in full, quad keeps silent about an accuracy that its error estimate tells.
    value, error, *_ = integrate.quad(
        rate, start, end, epsrel=1e-11, epsabs=0.0, limit=500, full_output=1
    )
    return float(value + error)
