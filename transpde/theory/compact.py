"""Compactly supported data: the support and two Lipschitz bounds."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from transpde.attention import (
    L2,
    Attention,
    Head,
    Linear,
    Masked,
    Sigmoid,
    Sinkhorn,
    Softmax,
    Unnormalized,
)
from transpde.checks import Array, non_negative_array, number, positive_number
from transpde.fields import quiet, silent
from transpde.theory.head_sums import HeadSum, head_sum, one_case, spectral_norm

__all__ = ["LipschitzBounds", "lipschitz_bounds", "support_radius"]

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


@quiet
def support_radius(attention: Attention, radius: float, time: ArrayLike) -> Any:
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
    R, t = positive_number("radius", radius), non_negative_array("time", time)
    growth = speed_bound(head_sum(attention))
    if growth is None:
        return None
    bound = radius_at(growth, R, t)
    return bound if bound.ndim else float(bound)


def speed_bound(parts: HeadSum | None) -> tuple[float, float] | None:
    """Return g and |b| of the bound gR + |b| on the speed in the ball of radius R."""
    if parts is None:
        return None
    heads = unmasked(parts)
    if not all(isinstance(head, AVERAGING) for head in heads):
        return None
    g = sum(spectral_norm(head.value) for head in heads) + spectral_norm(parts.linear)
    return g, float(np.linalg.norm(parts.offset))


def radius_at(growth: tuple[float, float], R: float, t: Array) -> Array:
    """Return R(t) for the bound gR + |b| on the speed."""
    g, b = growth
    with np.errstate(over="ignore"):
        pushed = b * (np.expm1(g * t) / g if g > 0 else t) if b > 0 else 0.0
        return R * np.exp(g * t) + pushed


def unmasked(parts: HeadSum) -> list[Head]:
    """Return the heads without their masks, after a check that none is a stack."""
    heads: list[Any] = [h.head if isinstance(h, Masked) else h for h in parts.heads]
    for head in heads:
        one_case("attention", head.query, head.key, head.value)
    one_case("attention's feed-forward part", parts.linear, parts.offset[..., None])
    return heads


@silent
def lipschitz_bounds(attention: Attention, radius: float, p: float = 2.0) -> LipschitzBounds:
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
    R, hardy = positive_number("radius", radius), hardy_factor(order(p))
    parts = head_sum(attention)
    if parts is None:
        return LipschitzBounds(None, None)
    in_space, in_measure, known = spectral_norm(parts.linear), 0.0, True
    for norms in head_norms(parts):
        (space, measure), factor = norms.row(R), hardy if norms.masked else 1.0
        in_space += norms.value * space
        if measure is None or factor is None:
            known = False
        else:
            in_measure += norms.value * factor * measure
    return LipschitzBounds(float(in_space), float(in_measure) if known else None)


def order(p: ArrayLike) -> float:
    """Return the order of a distance, a float of at least 1 or inf, or raise `ValueError`."""
    return number("p", p, "a number of at least 1, or inf", lambda q: q >= 1)


class HeadNorms(NamedTuple):
    """A head without its mask, whether it had one, and the norms that its bounds are made of."""

    head: Head
    masked: bool
    value: float
    product: float
    query: float
    key: float

    def row(self, R: Any) -> tuple[Any, Any]:
        """Return the bounds in space and in the measure, over the norm of the value matrix."""
        return _row(self.head, np.float64(R), self.product, self.query, self.key)


def head_norms(parts: HeadSum) -> list[HeadNorms]:
    """Return the norms of the heads with a value matrix that is not zero."""
    return [
        HeadNorms(head, isinstance(outer, Masked), spectral_norm(head.value),
                  spectral_norm(head.key.T @ head.query), spectral_norm(head.query),
                  spectral_norm(head.key))
        for head, outer in zip(unmasked(parts), parts.heads, strict=True)
        if head.value.any()
    ]  # fmt: skip


def hardy_factor(p: float) -> float | None:
    """Return the constant p/(p - 1) of Hardy's inequality, None where it is infinite."""
    return None if p == 1 else 1.0 if p == np.inf else p / (p - 1)


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
