r"""The sampler without noise in numbers: Gaussians, rates, modes and crystals.

The step of time T at the temperature $\beta$ has the kernel
$R(dx|y)\propto e^{-(U(x) + \langle x-y, M^{-1}(x-y)\rangle/2T)/2\beta}dx$ with the potential
$U = \frac12\langle x, \Lambda x\rangle$ and a preconditioner M. See `transpde.sampling`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq

from transpde.checks import (
    Array,
    covariance_matrix,
    definite_matrix,
    finite_array,
    flag,
    listing,
    number,
    positive_number,
    same_size,
    whole_array,
)
from transpde.fields import quiet
from transpde.sampling.proximal import checked, root

__all__ = [
    "Rates",
    "StableSteps",
    "crystal_radius",
    "langevin_covariance",
    "mode_rates",
    "proximal_covariance",
    "proximal_rates",
    "stable_steps",
    "stationary_covariance",
]

MOST_CORNERS = 1 << 20


class Rates(NamedTuple):
    """Rates at which the sampler forgets: a step takes off itself times its rate.

    Those of means (d,) and of entries of covariances (d, d), in the principal axes of the
    preconditioned Hessian.
    """

    mean: Array
    covariance: Array

    @property
    def best_step(self) -> float:
        """The step for which the slowest factor is least."""
        every = np.append(self.mean, self.covariance)
        return float(2 / (every.min() + every.max()))

    @property
    def best_factor(self) -> float:
        """The slowest factor of that step."""
        every = np.append(self.mean, self.covariance)
        return float((every.max() - every.min()) / (every.max() + every.min()))


class StableSteps(NamedTuple):
    """The steps below which a rest of two tokens is stable: their distance, and their centre."""

    distance: float
    centre: float


@quiet
def proximal_covariance(
    covariance: Any,
    hessian: Any,
    time: float,
    temperature: float = 1.0,
    preconditioner: Any = None,
) -> Array:
    r"""Return the covariance $\Sigma_T$ of a law after one draw of the kernel.

    $\Sigma_T = C(M^{-1}\Sigma M^{-1} + 2\beta TC^{-1})C$ with $C = (M^{-1} + T\Lambda)^{-1}$.

    Args:
        covariance: $\Sigma$, shape (..., d, d), of the law before.
        hessian: $\Lambda$, symmetric, shape (..., d, d).
        time: T > 0.
        temperature: $\beta > 0$.
        preconditioner: M, symmetric and positive definite; the identity when left out.

    Raises:
        ValueError: a covariance that is not positive semidefinite, other shapes, and what
            `sampling.proximal_attention` raises.

    Source: ours (chapter on attention as a sampler).
    """
    Sigma = covariance_matrix("covariance", covariance)
    step = checked(hessian, time, temperature, preconditioner)
    size = step.hessian.shape[-1]
    same_size("covariance", Sigma.shape[-1], "hessian", size, "dimension")
    C = step.resolvent
    pull = C @ np.linalg.inv(step.preconditioner)
    return np.asarray(pull @ Sigma @ pull.mT + 2 * step.temperature * step.time * C)


@quiet
def stationary_covariance(
    hessian: Any, time: float, temperature: float = 1.0, preconditioner: Any = None
) -> Array | None:
    r"""Return the covariance at rest, $\beta(\Lambda^{-1} - T^2M\Lambda M)$, for every step.

    Args:
        hessian: $\Lambda$, symmetric and positive definite (d, d).
        time: T > 0.
        temperature: $\beta > 0$.
        preconditioner: M, symmetric and positive definite (d, d); the identity when left out.

    Returns:
        The covariance (d, d), or None where T times the largest eigenvalue of
        $M^{1/2}\Lambda M^{1/2}$ is one or more and no Gaussian with a positive definite covariance
        is at rest.

    Raises:
        ValueError: a matrix that is not positive definite, a time or temperature that is not
            positive.

    Source: Gaussians without preconditioner `tan2023noise`; with it ours (chapter on attention as
    a sampler).
    """
    H, values, M = _axes(hessian, time, temperature, preconditioner)
    if time * values.max() >= 1:
        return None
    return np.asarray(temperature * (np.linalg.inv(H) - time**2 * M @ H @ M))


def _axes(hessian: Any, time: Any, temperature: Any, preconditioner: Any) -> tuple[Array, ...]:
    """Return the Hessian, the eigenvalues of the preconditioned one, and the preconditioner."""
    H = definite_matrix("hessian", hessian)
    M = checked(H, time, temperature, preconditioner).preconditioner
    half = root(finite_array("preconditioner", M, "d d"))
    return H, np.linalg.eigvalsh(half @ H @ half), M


@quiet
def langevin_covariance(hessian: Any, step: float, temperature: float = 1.0) -> Array | None:
    r"""Return the covariance at rest of Langevin steps, $\beta\Lambda^{-1}(I-\eta\Lambda/2)^{-1}$.

    The steps are $x\mapsto x - \eta\Lambda x + \sqrt{2\beta\eta}\,\xi$ with normal draws.

    Args:
        hessian: $\Lambda$, symmetric and positive definite (d, d).
        step: $\eta > 0$.
        temperature: $\beta > 0$.

    Returns:
        The covariance (d, d), or None where the step times the largest eigenvalue is two or more
        and nothing is at rest.

    Raises:
        ValueError: a matrix that is not positive definite, a step or temperature that is not
            positive.

    Source: known; derived in the chapter on attention as a sampler.
    """
    H = definite_matrix("hessian", hessian)
    h, beta = positive_number("step", step), positive_number("temperature", temperature)
    values, vectors = np.linalg.eigh(H)
    if h * values.max() >= 2:
        return None
    return np.asarray((vectors * (beta / (values * (1 - h * values / 2)))) @ vectors.T)


@quiet
def proximal_rates(hessian: Any, time: float, preconditioner: Any = None) -> Rates | None:
    r"""Return the rates at which means and covariances come to rest, for each unit of the step.

    With the eigenvalues a of $M^{1/2}\Lambda M^{1/2}$ and $\kappa = 1 + aT$: $a/\kappa$ for means,
    $a_j(1 - a_iT)/\kappa_j + a_i(1 - a_jT)/\kappa_i$ for the entry ij of a covariance.

    Args:
        hessian: $\Lambda$, symmetric and positive definite (d, d).
        time: T > 0.
        preconditioner: M, symmetric and positive definite (d, d); the identity when left out.

    Returns:
        The rates, or None where there is no rest, see `stationary_covariance`.

    Raises:
        ValueError: a matrix that is not positive definite, a time that is not positive.

    Source: ours (chapter on attention as a sampler).
    """
    _, a, _ = _axes(hessian, time, 1.0, preconditioner)
    if time * a.max() >= 1:
        return None
    pull = a / (1 + a * time)
    half = np.outer(1 - a * time, pull)
    return Rates(pull, half + half.T)


@quiet
def mode_rates(orders: Any, curvature: float, time: float) -> Array:
    r"""Return the decay rates at rest of Hermite modes, $ka(1-aT)^{k-1}/(1+aT)$.

    In one dimension with $U = ax^2/2$; as $T\to0$ they tend to those of Langevin's, $ka$.

    Args:
        orders: whole numbers k >= 0, any shape.
        curvature: a > 0.
        time: 0 < T < 1/a.

    Raises:
        ValueError: orders below zero or not whole, a curvature or time that is not positive, a
            time of 1/a or more, at which nothing is at rest.

    Source: ours (chapter on attention as a sampler).
    """
    k, a = whole_array("orders", orders, 0), positive_number("curvature", curvature)
    T = positive_number("time", time)
    _below_collapse(a, T)
    return np.asarray(k * a * np.exp((k - 1) * np.log1p(-a * T)) / (1 + a * T))[()]


def _above_underflow(a: float, T: float) -> None:
    if not a * T > 0:
        raise ValueError(f"time: its product with the curvature must not underflow; got {T:g}.")


def _below_collapse(a: float, T: float) -> None:
    _above_underflow(a, T)
    if a * T >= 1:
        raise ValueError(f"time: must be below one over the curvature, {1 / a:g}; got {T:g}.")


@quiet
def crystal_radius(
    count: int, curvature: float, time: float, temperature: float = 1.0, centre: bool = False
) -> float:
    r"""Return the radius of a ring of tokens at rest, zero where they merge.

    The tokens are the corners of a regular polygon, with one more at zero if there is a centre,
    in $U = \frac a2|x|^2$. With $s = r^2/2\beta T$ the radius solves
    $\sum_jw_j\cos\theta_j = (1 - aT)\sum_jw_j$, $w_j = e^{s\cos\theta_j}$ on the ring and
    $e^{s/(2+2aT)}$ at the centre. Two tokens have $r^2 = \beta T\log\frac{2-aT}{aT}$.

    Args:
        count: of the corners, at least 2, below $2^{20}$.
        curvature: a > 0.
        time: T > 0.
        temperature: $\beta > 0$.
        centre: whether one more token is at zero.

    Raises:
        ValueError: fewer corners, numbers that are not positive.

    Source: ours (chapter on attention as a sampler).
    """
    n = number(
        "count", count, "an integer of at least 2", lambda x: x >= 2, whole=True, most=MOST_CORNERS
    )
    a, T = positive_number("curvature", curvature), positive_number("time", time)
    beta, middle = positive_number("temperature", temperature), flag("centre", centre)
    _above_underflow(a, T)
    if a * T >= 1:
        return 0.0
    s = _pair_score(a, T) / 2 if n == 2 and not middle else _ring_score(n, a * T, middle)
    return float(np.sqrt(2 * beta * T * s))


def _pair_score(a: float, T: float) -> float:
    """Return log((2 - aT) / aT), to all digits near aT = 1 also."""
    return float(np.log1p(2 * (1 - a * T) / (a * T)))


def _ring_score(n: int, short: float, middle: bool) -> float:
    """Return s = r^2 / 2 beta T of a ring at rest; `short` is aT < 1."""
    cosines = np.cos(2 * np.pi * np.arange(n) / n)
    lost = 2 * np.sin(np.pi * np.arange(n) / n) ** 2  # 1 - cosines
    exponent = 0.5 / (1 + short)

    def excess(s: float) -> float:
        """Two forms of one sum, each without cancellation where it is used."""
        more = np.exp(s * (exponent - 1)) if middle else 0.0
        mass = np.exp(-s * lost).sum() + more
        if short < 0.5:
            return float(short * mass - np.exp(-s * lost) @ lost - more)
        return float(np.exp(-s) * (cosines @ np.expm1(s * cosines)) - (1 - short) * mass)

    upper = 1 - short
    while excess(upper) < 0:
        upper *= 2
    return float(brentq(excess, 0.0, upper, xtol=1e-15 * upper, rtol=8.9e-16))


@quiet
def stable_steps(curvature: float, time: float) -> StableSteps:
    r"""Return the steps below which the rest of two tokens is stable, in one dimension.

    With $\ell = \log\frac{2-aT}{aT}$ and $q = \ell(1 - \frac{aT}2)$: $2/aq$ for their distance,
    $4/a(1 + aTq/(1 + aT))$ for their centre.

    Args:
        curvature: a > 0.
        time: 0 < T < 1/a.

    Raises:
        ValueError: numbers that are not positive, a time of 1/a or more, at which the two merge.

    Source: ours (chapter on attention as a sampler).
    """
    a, T = positive_number("curvature", curvature), positive_number("time", time)
    _below_collapse(a, T)
    q = _pair_score(a, T) * (1 - a * T / 2)
    return StableSteps(float(2 / (a * q)), float(4 / (a * (1 + a * T * q / (1 + a * T)))))


__dir__ = listing(__all__)
