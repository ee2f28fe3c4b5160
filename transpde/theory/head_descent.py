r"""Several heads on a sphere whose energy is $\frac1{2H}\sum_h\iint e^{\langle x,D_hy\rangle}$.

Two opposed heads on the circle in closed form; a bound on all that a descent dissipates; and the
constant of the 1/H law of heads that follow an Ornstein--Uhlenbeck process on $S^2$,
$D = I + S$ with S symmetric Gaussian, of variance 1 on and 1/2 off the diagonal.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.polynomial.laguerre import laggauss
from scipy.special import eval_genlaguerre, eval_hermitenorm, eval_legendre, factorial, ive

from transpde.checks import (
    Array,
    entries,
    finite_array,
    fitting_axes,
    listing,
    non_negative_array,
    non_negative_number,
    outlined,
    positive_integer,
    positive_number,
)
from transpde.fields import quiet, silent

__all__ = [
    "OrnsteinUhlenbeckLaw",
    "dissipation_bound",
    "opposed_angle",
    "opposed_energy",
    "opposed_valley",
    "ornstein_uhlenbeck_law",
]

__dir__ = listing(__all__)

NODES, CHAOS = 96, 24  # of the quadrature along each axis; orders that are kept


@quiet
def opposed_angle(first: float, second: float, start: Any, time: Any) -> Any:
    r"""Return the angle $\theta(t)$ of a token under two opposed averaged heads.

    On the circle, with $D_1 = aS$, $D_2 = -bS$, $S = \operatorname{diag}(1,-1)$, one token, or all
    in one place, moves by $\dot\theta = \frac{a-b}2\sin2\theta$, so that
    $\tan\theta(t) = e^{(a-b)t}\tan\theta_0$.

    Args:
        first: a, positive.
        second: b, positive.
        start: $\theta_0$, a number or an array, from 0 to $\pi/2$.
        time: t, not negative, of a shape that fits.

    Raises:
        ValueError: numbers out of range.

    Source: ours (chapter on heads that change in time).

    Example:
        >>> from transpde.theory import head_descent
        >>> float(head_descent.opposed_angle(2, 1, 0.3, 3.0).round(6))
        1.411217
    """
    a, b = positive_number("first", first), positive_number("second", second)
    theta = entries("start", start, "...", "from 0 to pi/2", lambda x: (x >= 0) & (x <= np.pi / 2))
    t = non_negative_array("time", time)
    fitting_axes("time", t.shape, "start", theta.shape, "axes")
    half = (a - b) * t / 2  # in sines and cosines, so that no power leaves the range
    scale = np.exp(-np.abs(half))
    left = np.where(half < 0, scale**2, 1.0)
    right = np.where(half > 0, scale**2, 1.0)
    return np.arctan2(left * np.sin(theta), right * np.cos(theta))


@silent
def opposed_energy(first: float, second: float, angle: Any) -> Any:
    r"""Return the energy $\frac14(e^{a\cos2\theta} + e^{-b\cos2\theta})$ of that token.

    Args:
        first: a, positive.
        second: b, positive.
        angle: $\theta$, a number or an array.

    Returns:
        A number or an array; inf where it is too large for a float.

    Raises:
        ValueError: numbers out of range.

    Source: ours (chapter on heads that change in time).

    Example:
        >>> from transpde.theory import head_descent
        >>> float(head_descent.opposed_energy(2, 1, 0.3).round(6))
        1.412141
    """
    a, b = positive_number("first", first), positive_number("second", second)
    theta = finite_array("angle", angle, "...")
    c = np.cos(theta) ** 2 - np.sin(theta) ** 2  # no angle is doubled beyond floats
    return (np.exp(a * c) + np.exp(-b * c)) / 4


@quiet
def opposed_valley(first: float, second: float) -> float | None:
    r"""Return the angle between 0 and $\pi/2$ where that energy is smallest, or None.

    It is where $\cos2\theta = -\log(a/b)/(a+b)$; there is none if this is outside of (-1, 1), and
    then the energy is monotone between the axes.

    Args:
        first: a, positive.
        second: b, positive.

    Raises:
        ValueError: numbers out of range.

    Source: ours (chapter on heads that change in time).

    Example:
        >>> from transpde.theory import head_descent
        >>> round(head_descent.opposed_valley(2, 1), 6)
        0.901976
    """
    a, b = positive_number("first", first), positive_number("second", second)
    c = (np.log(b) - np.log(a)) / (a + b)
    return float(np.arccos(c) / 2) if -1 < c < 1 else None


@silent
def dissipation_bound(energy: float, size: float, variation: float) -> float:
    r"""Return a bound on $\int_0^\infty G^2dt$ of a descent: $E(0) + \frac12e^s\,\ell$.

    It is for tokens on the unit sphere and any mobility M, with $G^2=\int|v|^2/M\,d\mu$.

    Args:
        energy: E(0), not negative.
        size: s, a bound on the spectral norms of the scores.
        variation: $\ell = \frac1H\sum_h\int\|\dot D_h\|dt$.

    Returns:
        The bound; inf where it is too large for a float.

    Raises:
        ValueError: negative numbers.

    Source: ours (chapter on heads that change in time).

    Example:
        >>> from transpde.theory import head_descent
        >>> head_descent.dissipation_bound(0.5, 0.0, 1.0)
        1.0
    """
    E, s = non_negative_number("energy", energy), non_negative_number("size", size)
    variation = non_negative_number("variation", variation)
    return float(E + np.exp(s + np.log(variation)) / 2)


@outlined
class OrnsteinUhlenbeckLaw(NamedTuple):
    r"""The numbers of the 1/H law of Ornstein--Uhlenbeck heads on $S^2$."""

    chaos: Array  # c_1, c_2, ... with E<Pm_D, Pm_D'> = sum c_k r^k at correlation r
    inverse: float  # E 1/Z_D
    rates: Array  # kappa_l of the even degrees l = 2, 4, ...: how fast the tokens answer
    frozen: float  # H G^2 of tokens that stand still
    moving: tuple[float, float]  # bounds on H G^2 of tokens that answer


@quiet
def ornstein_uhlenbeck_law(degrees: int = 4) -> OrnsteinUhlenbeckLaw:
    r"""Return the constants of the 1/H law of Ornstein--Uhlenbeck heads on $S^2$.

    About the uniform measure, with $Dx = (1 + \xi)x + q$, $r = |Dx|$ and $Z = \sinh r/r$,
    $$H\,G^2\to\frac1{\mathbb E[1/Z]}\sum_kc_k\frac k{k+\kappa},$$
    where $c_k$ is the part of chaos k in $\mathbb E|Pm_D|^2$ and
    $\kappa_l = l(l+1)\mathbb E[\frac{i_l(r)}{i_0(r)}P_l(\frac{1+\xi}r)]$ the rate at which tokens
    answer in degree l; all are positive, and those of even l >= 4 less than $\kappa_2$. The first
    chaos has degree 2, and the second one degrees 2 and 4; for what is higher and of unknown
    degree the bounds take all rates from 0 to $\kappa_2$.

    Args:
        degrees: how many of the rates, of l = 2, 4, ..., are returned.

    Raises:
        ValueError: a number of degrees that is not a positive integer.

    Source: ours (chapter on heads that change in time).

    Example:
        >>> from transpde.theory import head_descent
        >>> law = head_descent.ornstein_uhlenbeck_law()
        >>> round(law.frozen, 4), [round(value, 4) for value in law.moving]
        (0.6497, [0.4975, 0.4982])
    """
    count = positive_integer("degrees", degrees)
    chaos, fourth = _chaos()
    xi, t, W = _plane()
    p = 1 + xi
    r = np.sqrt(p**2 + t)
    inverse = float((W * r / np.sinh(r)).sum())
    even = 2 * np.arange(1, max(count, 2) + 1)
    averages = [ive(n + 0.5, r) / ive(0.5, r) * eval_legendre(n, p / r) for n in even]
    rates = even * (even + 1) * np.array([(W * one).sum() for one in averages])
    k = np.arange(1, len(chaos) + 1)
    low = chaos * k / (k + rates[0])
    low[1] += fourth * (2 / (2 + rates[1]) - 2 / (2 + rates[0]))
    high = np.where(k > 2, chaos, low)
    bounds = float(low.sum() / inverse), float(high.sum() / inverse)
    return OrnsteinUhlenbeckLaw(
        chaos, inverse, rates[:count], float(chaos.sum() / inverse), bounds
    )


@lru_cache(maxsize=1)
def _plane() -> tuple[Array, Array, Array]:
    """Return nodes xi (n, 1) normal and t (1, n) exponential, t = |q|^2, and their weights."""
    xi, w = hermegauss(NODES)
    t, v = laggauss(NODES)
    return xi[:, None], t[None, :], np.outer(w / w.sum(), v)


@lru_cache(maxsize=1)
def _chaos() -> tuple[Array, float]:
    r"""Return the $c_k$ from k = 1, and the part of $c_2$ of degree 4.

    Of $D^2x$ across x, $(1+\xi)q + \tilde Dq$, the block $\tilde D$ has mean I and is independent
    of (xi, q); with $h = (\coth r - 1/r)/r$, $C(s)$ is that of $h(2 + \xi)q$ plus
    $\frac32s$ times that of $hq$.
    """
    xi, t, W = _plane()
    p = 1 + xi
    r = np.sqrt(p**2 + t)
    h = (1 / np.tanh(r) - 1 / r) / r
    chaos = np.zeros(3 * CHAOS + 4)
    for share, shift, value in ((1.0, 0, h * (1 + p)), (1.5, 1, h)):
        for j in range(CHAOS):
            for m in range(CHAOS):
                basis = eval_hermitenorm(j, xi) * eval_genlaguerre(m, 1, t)
                square = (W * value * t * basis).sum() ** 2 / (factorial(j) * (m + 1))
                chaos[j + 2 * m + 1 + shift] += share * square
    potential = np.log(np.sinh(r) / r)  # its second chaos is a (xi^2 - 1) / 2 + b (1 - t)
    a = (W * potential * (xi**2 - 1)).sum()
    b = (W * potential * (1 - t)).sum()
    return chaos[1 : CHAOS + 1], 20 * 16 / 35 * float(a / 2 + b) ** 2
