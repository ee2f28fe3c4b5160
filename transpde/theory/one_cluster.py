r"""One cluster on a sphere: how fast a law concentrates, and when it cannot.

Everything here is for $\langle Ax, y\rangle = \beta\langle x, y\rangle$ and V = I on $S^{d-1}$,
softmax or unnormalised. A law that tends to a Dirac mass at $x^*$ has one *source*: the only start
that does not go to $x^*$.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import gammaln, ive

from transpde.attention.densities import log_average
from transpde.checks import (
    Array,
    flag,
    frozen,
    listing,
    non_negative_array,
    non_negative_number,
    number,
    of_kind,
    open_share,
    positive_number,
    whole_array,
)
from transpde.fields import out_of_range, quiet, silent
from transpde.measures import Axial
from transpde.measures.axial import order_of, sphere_dimension
from transpde.theory.following import followed

__all__ = [
    "arc_rate",
    "axial_shift",
    "boosted_mean",
    "clustering_rate",
    "mode_rates",
    "poisson_mean",
    "two_cluster_threshold",
]

__dir__ = listing(__all__)

FAINT = 1e-290  # Bessel functions below are lost to underflow
FAR = 1e9  # arguments of Bessel functions above are those of an expansion
SERIES = 0.03  # shifts below are summed as a series
AT_THE_END = 2000.0  # a time after which every boosted law is a Dirac mass in all digits
TOLERANCES: Any = {"rtol": 1e-12, "atol": 1e-13}


@quiet
def axial_shift(measure: Axial, time: Any) -> Array:
    r"""Return the shift $\tau(t)$ that moves a symmetric law at $\beta = 0$.

    Heights move by $u_t = \tanh(\tau + \operatorname{artanh}u_0)$, with
    $\dot\tau = \int\tanh(\tau + \operatorname{artanh}u)\,d\mu_0$, $\tau(0) = 0$.

    Args:
        measure: the law at time 0, `Axial`.
        time: times, a number or (T,), not negative.

    Returns:
        Array of the shape of `time`.

    Raises:
        TypeError: a measure that is not `Axial`.
        ValueError: times that are negative or not finite.

    Source: ours (chapter on quantitative clustering).
    """
    law: Axial = of_kind("measure", measure, Axial)
    t = non_negative_array("time", time)
    q, m = law.coordinates, law.masses
    return _solved(lambda tau: m @ np.tanh(tau + q), 0.0, t)


@quiet
def poisson_mean(start: float, time: Any) -> Array:
    r"""Return the mean of a Poisson kernel on the circle at $\beta = 0$, in closed form.

    The density $(1 - r^2)/(2\pi(1 - 2r\cos\theta + r^2))$, of mean r, stays one, with
    $r(t) = (1 + (1 - r_0^2)r_0^{-2}e^{-t})^{-1/2}$.

    Args:
        start: r0, between 0 and 1.
        time: times, a number or (T,), not negative.

    Raises:
        ValueError: a mean that is not between 0 and 1; times that are negative or not finite.

    Source: ours (chapter on quantitative clustering).

    Example:
        >>> from transpde.theory import one_cluster
        >>> round(float(one_cluster.poisson_mean(0.3, 6.911)), 4)
        0.995
    """
    r, t = open_share("start", start), non_negative_array("time", time)
    return np.asarray(r / np.hypot(r, np.sqrt(1 - r * r) * np.exp(-t / 2)))


@quiet
def boosted_mean(start: float, time: Any) -> Array:
    r"""Return the mean of a boosted uniform law on $S^2$ at $\beta = 0$.

    The density $\propto(1 - 2wu + w^2)^{-2}$ stays one, with $\dot w = \frac12(1 - w^2)M(w)$ and
    mean $M(w) = \frac{1 + w^2}{2w} - \frac{(1 - w^2)^2}{4w^2}\log\frac{1 + w}{1 - w}$.

    Args:
        start: w0, between 0 and 1.
        time: times, a number or (T,), not negative.

    Raises:
        ValueError: a boost that is not between 0 and 1; times that are negative or not finite.

    Source: ours (chapter on quantitative clustering).

    Example:
        >>> from transpde.theory import one_cluster
        >>> one_cluster.boosted_mean(0.2, [0.0, 2.0]).round(6)
        array([0.264521, 0.734727])
    """
    # With w = tanh(tau / 2) the equation is that of the shift, d(tau)/dt = M, here for log(tau).
    log_start = np.log(2 * np.arctanh(open_share("start", start)))
    t = np.minimum(non_negative_array("time", time), AT_THE_END)
    return np.asarray(_boosted(np.exp(_solved(_log_speed, log_start, t))))


@silent
def clustering_rate(
    beta: float, dimension: int, p: float, order: float = 0, normalized: bool = True
) -> float:
    r"""Return the rate $-\lim\frac1t\log W_p(\mu_t, \delta_{x^*})$ of a law that has one cluster.

    It is $\min(\kappa_+, k\kappa_-/p)$: with $\kappa_\pm = 1$ for softmax and
    $\kappa_\pm = e^{\pm\beta}$ for unnormalised attention, and k the order of the mass
    $\mu_0(B(a_0, \epsilon))\sim\epsilon^k$ about the source.

    Args:
        beta: the inverse temperature, not negative.
        dimension: d, at least 2.
        p: of the distance, at least 1.
        order: of the density at the source, $|x - a_0|^{order}$: 0 where it is positive and
            bounded, more where it vanishes, less (down to 1 - d, excluded) where it is infinite;
            $k = d - 1 + order$.
        normalized: softmax if true, else unnormalised attention.

    Raises:
        ValueError: a negative inverse temperature, a dimension below two, p below one, an order
            of infinite mass.
        TypeError: a flag that is none.

    Source: ours (chapter on quantitative clustering).

    Example:
        >>> from transpde.theory import one_cluster
        >>> round(one_cluster.clustering_rate(0.5, 2, p=2, normalized=False), 5)
        0.30327
    """
    b, d = non_negative_number("beta", beta), sphere_dimension(dimension)
    p = order_of("p", p)
    k = d - 1 + number("order", order, f"a finite number above {1 - d}",
                       lambda x: 1 - d < x < np.inf)  # fmt: skip
    if flag("normalized", normalized):
        return float(min(1.0, k / p))
    return float(min(np.exp(b), k * np.exp(-b) / p))  # the smaller of the two is finite


@quiet
def two_cluster_threshold(heavier: float, lighter: float) -> float:
    r"""Return the inverse temperature above which two opposite clusters hold.

    Arcs about two opposite points of masses $m_0\ge m_1$ contract, if they are symmetric and
    narrow, for $\beta > \frac12\log(m_0/m_1)$; below it the lighter one spreads. The same for
    softmax and unnormalised attention.

    Args:
        heavier: m0, positive; masses or their ratio.
        lighter: m1, positive and at most m0.

    Raises:
        ValueError: masses that are not positive, the first smaller than the second.

    Source: ours (chapter on quantitative clustering).

    Example:
        >>> from transpde.theory import one_cluster
        >>> round(one_cluster.two_cluster_threshold(0.9, 0.1), 6)
        1.098612
    """
    m0, m1 = _two_masses(heavier, lighter)
    return float(_log_ratio(m0, m1) / 2)


@silent
def arc_rate(beta: float, heavier: float, lighter: float, normalized: bool = True) -> float:
    r"""Return the rate at which a narrow arc about the lighter of two opposite points contracts.

    It is $m_1e^\beta - m_0e^{-\beta}$, for softmax over $m_1e^\beta + m_0e^{-\beta}$; negative
    where it spreads, inf where no float holds it.

    Args:
        beta: the inverse temperature, not negative.
        heavier: m0, the mass at the other point, positive.
        lighter: m1, the mass at this point, positive and at most m0.
        normalized: softmax if true, else unnormalised attention.

    Raises:
        ValueError: a negative inverse temperature; masses that are not positive, or m0 < m1.
        TypeError: a flag that is none.

    Source: ours (chapter on quantitative clustering).
    """
    b, (m0, m1) = non_negative_number("beta", beta), _two_masses(heavier, lighter)
    if flag("normalized", normalized):
        return float(np.tanh(b - _log_ratio(m0, m1) / 2))
    return float(m1 * np.exp(b) - m0 * np.exp(-b))


@silent
def mode_rates(beta: float, dimension: int, degrees: Any, normalized: bool = True) -> Array:
    r"""Return the rates at which spherical harmonics grow from the uniform law, for V = I.

    Degree l grows at $l(l + d - 2)I_{l+\nu}(\beta)/(\beta I_\nu(\beta))$, $\nu = d/2 - 1$, under
    softmax, and at $Z = \Gamma(d/2)(2/\beta)^\nu I_\nu(\beta)$ times that under unnormalised
    attention. For V = -I modes decay at these rates; for large beta like those of the heat
    equation, $l(l + d - 2)/\beta$. A rate that no float holds is inf.

    Args:
        beta: the inverse temperature, positive.
        dimension: d, at least 2.
        degrees: l, a number or (n,), not negative.
        normalized: softmax if true, else unnormalised attention.

    Raises:
        ValueError: an inverse temperature that is not positive, a dimension below two, negative
            degrees.
        TypeError: a flag that is none.
        OverflowError: degrees beyond floats.

    Source: ours (chapter on quantitative clustering), by the formula of Funk and Hecke.

    Example:
        >>> from transpde.theory import one_cluster
        >>> one_cluster.mode_rates(2.0, 3, [1, 2]).round(6)
        array([0.537315, 0.582084])
    """
    b, d = positive_number("beta", beta), sphere_dimension(dimension)
    degree = whole_array("degrees", degrees, 0)
    order = degree + d / 2 - 1
    # log of I_{l + nu} / I_nu, times Z for unnormalised attention, over beta
    logs = gammaln(d / 2) - gammaln(order + 1) + (degree - 1) * np.log(b / 2) - np.log(2)
    logs = logs + log_average(order, b)
    logs = logs + (-log_average(d / 2 - 1, b) if flag("normalized", normalized) else b)
    rates = degree * (degree + d - 2) * np.exp(np.where(degree > 0, logs, 0.0))
    if np.isnan(rates).any():
        raise out_of_range("degrees: a rate")
    return frozen(np.asarray(rates))


def bessel_quotients(order: float, steps: Any, z: Any) -> Array:
    r"""Return $I_{\nu+k}(z)/I_\nu(z)$ for whole k >= 0 and z > 0, of any size."""
    k, z = np.broadcast_arrays(np.asarray(steps, float), np.asarray(z, float))
    with np.errstate(invalid="ignore", divide="ignore"):
        least = ive(order, z)
        found = np.asarray(ive(order + k, z) / least)
    far, lost = z > FAR, ~(least > FAINT)
    if far.any():
        found[far] = _far_quotients(order, k[far], z[far])
    if (lost & ~far).any():
        found[lost & ~far] = _continued(order, k[lost & ~far], z[lost & ~far])
    return found


def _far_quotients(order: float, k: Array, z: Array) -> Array:
    """Return them for large z, by the expansion that is uniform in the order."""
    low, high = np.hypot(order, z), np.hypot(order + k, z)
    logs = k * (2 * order + k) / (high + low) + order * np.arcsinh(order / z)
    logs -= (order + k) * np.arcsinh((order + k) / z) + np.log(high / low) / 2
    return np.asarray(np.exp(logs + (1 / high - 1 / low) / 8))


def _continued(order: float, k: Array, z: Array) -> Array:
    """Return them by the continued fraction of neighbours, from an order far above."""
    logs, quotient = np.zeros(z.shape), np.zeros(z.shape)
    for j in range(int(k.max() + 60 + np.sqrt(z.max())), 0, -1):
        quotient = z / (2 * (order + j) + z * quotient)
        logs += np.where(j <= k, np.log(quotient), 0.0)
    return np.asarray(np.exp(logs))


def _solved(rate: Any, start: float, times: Array) -> Array:
    """Return the solution of a scalar equation at times of any shape and order."""
    ordered, back = np.unique(times, return_inverse=True)
    if ordered[-1] == 0:
        return np.full(times.shape, start)
    path = followed(
        "times", lambda _, y: np.atleast_1d(rate(y[0])), (0.0, ordered[-1]), [start],
        t_eval=ordered, **TOLERANCES,
    )  # fmt: skip
    return np.asarray(path.y[0][back].reshape(times.shape))


def _log_speed(log_tau: float) -> Any:
    tau = np.exp(np.clip(log_tau, -700.0, 700.0))  # a step on trial may be far too long
    return _boosted(tau) / tau


def _boosted(tau: Any) -> Any:
    r"""Return the mean $\coth\tau - \tau/\sinh^2\tau$ of the uniform law on $S^2$, shifted."""
    small, large = np.minimum(tau, SERIES), np.maximum(tau, SERIES)
    rest = np.exp(-2 * large)
    value = (1 + rest) / (1 - rest) - 4 * large * rest / (1 - rest) ** 2
    series = small * (2 / 3 - 4 / 45 * small**2 + 4 / 315 * small**4)
    return np.where(tau < SERIES, series, value)


def _log_ratio(m0: float, m1: float) -> float:
    """Return log(m0 / m1), exact for masses that are near and finite for all."""
    return float(np.log(m0 / m1) if m0 / 2 < m1 else np.log(m0) - np.log(m1))


def _two_masses(heavier: Any, lighter: Any) -> tuple[float, float]:
    m0, m1 = positive_number("heavier", heavier), positive_number("lighter", lighter)
    if m1 > m0:
        raise ValueError(f"lighter: must be at most the heavier mass, {m0}; got {m1}.")
    return m0, m1
