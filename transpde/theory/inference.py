r"""Layers that infer: how fast layers of the dual filter near the exact beliefs, and when not.

The layer is `filtering.HiddenMarkov.dual_layer`, or `filtering.LinearGaussian.dual_layer`. The
belief at t is a row vector, and $h_t(f)=\mathrm{Cov}_{\rho_t}(f,p_t)/(\rho_t(p_t)(1-\rho_t(p_t)))$
is linear in f, so a vector $a_t$.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import brentq

from transpde.checks import (
    Array,
    covariance_matrix,
    finite_array,
    listing,
    number,
    of_kind,
    positive_integer,
    positive_number,
    probability_weights,
    same_shape,
    same_size,
    square_matrix,
)
from transpde.fields import held, quiet, silent
from transpde.filtering import HiddenMarkov, LinearGaussian

__all__ = [
    "critical_flip",
    "dobrushin",
    "layer_contraction",
    "layer_errors",
    "mass_growth",
    "newton_errors",
    "two_state_factor",
]


@quiet
def dobrushin(transition: Any) -> float:
    r"""Return the coefficient $\max_{x,x'}\frac12\sum_y|N_{xy}-N_{x'y}|$ of a transition.

    Args:
        transition: N, shape (k, k), rows of sum one.

    Returns:
        From 0, the next state does not depend on this one, to 1.

    Raises:
        ValueError: rows that are no laws, a matrix that is not square.

    Source: Dobrushin.

    Example:
        >>> from transpde.theory import inference
        >>> round(inference.dobrushin([[0.9, 0.1], [0.3, 0.7]]), 12)
        0.6
    """
    N = square_matrix("transition", transition, "k k")
    probability_weights("transition", N, len(N))
    return float(np.abs(N[:, None] - N).sum(axis=-1).max() / 2)


@quiet
def layer_contraction(model: HiddenMarkov) -> float | None:
    r"""Return a factor by which a layer brings beliefs nearer to the exact ones.

    With $\delta$ the Dobrushin coefficient, o the largest oscillation of a column of C, $\kappa$
    the least p(1 - p) at the ends of their ranges, $\gamma=1+o^2/4\kappa$ and
    $b=\frac o\kappa(\frac32+\frac o{4\kappa})$: it is $b(1-\min C)\delta/(1-\gamma\delta)$, for
    the largest total variation over positions.

    Args:
        model: a hidden Markov model.

    Returns:
        The factor, which is of use below one; None if $\gamma\delta\ge1$, or a symbol may be
        certain or excluded.

    Raises:
        TypeError: something that is no hidden Markov model.

    Source: ours (chapter on layers that infer).

    Example:
        >>> from transpde.filtering import HiddenMarkov
        >>> from transpde.theory import inference
        >>> model = HiddenMarkov([[0.6, 0.4], [0.4, 0.6]], [[0.6, 0.4], [0.4, 0.6]], [0.5, 0.5])
        >>> round(inference.layer_contraction(model), 4)
        0.2158
    """
    C = of_kind("model", model, HiddenMarkov).emission
    delta, o = dobrushin(model.transition), float(np.ptp(C, axis=0).max())
    ends = np.array([C.min(axis=0), C.max(axis=0)])
    kappa = float((ends * (1 - ends)).min())
    if kappa <= 0:
        return None
    gamma = 1 + o**2 / (4 * kappa)
    if gamma * delta >= 1:
        return None
    b = o / kappa * (1.5 + o / (4 * kappa))
    return float(b * (1 - C.min()) * delta / (1 - gamma * delta))


@quiet
def layer_errors(model: HiddenMarkov, beliefs: Any, observations: Any) -> Array:
    r"""Return the error after one layer from the beliefs before it, by the exact formula.

    $\rho_T^+(F)-\pi_T(F)=\sum_{t<T}(1-\pi_t(p_t))\,(h_{\rho_t}(f_t)-h_{\pi_t}(f_t))$, summed
    forwards.

    Args:
        model: a hidden Markov model.
        beliefs: of mass one, shape (..., n + 1, k); they need not be positive.
        observations: symbols, shape (..., n).

    Returns:
        Shape (..., n + 1, k).

    Raises:
        TypeError: something that is no hidden Markov model.
        ValueError: beliefs of another shape or mass, or with $\rho_t(p_t)$ zero or one; symbols
            out of range.

    Source: ours (chapter on layers that infer).

    Example:
        >>> from transpde.filtering import HiddenMarkov
        >>> from transpde.theory import inference
        >>> model = HiddenMarkov([[0.9, 0.1], [0.1, 0.9]], [[0.7, 0.3], [0.3, 0.7]], [0.5, 0.5])
        >>> inference.layer_errors(model, model.start([0, 0]), [0, 0]).round(4)[:, 0]
        array([0.    , 0.    , 0.0122])
    """
    pi = of_kind("model", model, HiddenMarkov).filter(observations)
    p, rho = model.likelihoods(observations), finite_array("beliefs", beliefs, "... T k")
    same_shape("beliefs", rho.shape, "the exact ones", pi.shape)
    mass = rho.sum(axis=-1)
    if np.abs(mass - 1).max() > 1e-9:
        worst = mass.flat[np.abs(mass - 1).argmax()]
        raise ValueError(f"beliefs: must sum to one; got a sum of {worst}.")
    gap = _gains(rho[..., :-1, :], p) - _gains(pi[..., :-1, :], p)
    rate = 1 - (pi[..., :-1, :] * p).sum(axis=-1, keepdims=True)
    found = np.zeros(pi.shape)
    for t in range(p.shape[-2]):
        error = found[..., t, :]
        seen = (error * p[..., t, :]).sum(axis=-1, keepdims=True)
        kept = error - seen * _gains(rho[..., t, :], p[..., t, :])
        found[..., t + 1, :] = (kept + rate[..., t, :] * gap[..., t, :]) @ model.transition
    return found


def _gains(rho: Array, p: Array) -> Array:
    """Return a with h(f) = a f."""
    mean, missed = ((rho * one).sum(axis=-1, keepdims=True) for one in (p, 1 - p))
    if ((mean == 0) | (missed == 0)).any():
        raise ValueError(
            "beliefs: must give each symbol that is seen a probability other than 0 and 1; got "
            "one that does not."
        )
    return np.asarray(rho * (p - mean) / (mean * missed))


def _flip(name: str, value: Any) -> float:
    number(name, value, "a number above 0 and below 1/2", lambda x: 0 < x < 0.5)
    return positive_number(name, value)


@quiet
def two_state_factor(flip: float, error: float) -> float:
    r"""Return the factor by which a layer multiplies small constant errors, for two states.

    The chain flips with probability q, the symbol is wrong with probability e, and the same symbol
    is seen all the time. Far from the start errors that are constant in position are multiplied
    by $J=\lambda(1-\bar p)h'(\theta)/(1-\lambda s)$: layers converge there if $|J|<1$.

    Args:
        flip: q, above 0 and below 1/2.
        error: e, above 0 and below 1/2.

    Raises:
        ValueError: numbers out of range.

    Source: ours (chapter on layers that infer).

    Example:
        >>> from transpde.theory import inference
        >>> round(inference.two_state_factor(0.1, 0.3), 4)
        -1.1285
    """
    q, e = _flip("flip", flip), _flip("error", error)
    change, gap = 1 - 2 * q, 1 - 2 * e  # p = (e, 1 - e) in the two states
    # At the fixed point the other state has the smaller root of gap x^2 - middle x + q (1 - e).
    middle = gap * (1 - q) + 2 * q * (1 - e)
    other = 2 * q * (1 - e) / (middle + np.sqrt(middle**2 - 4 * gap * q * (1 - e)))
    mean = 1 - e - other * gap
    spread, variance = other * (1 - other), mean * (1 - mean)
    h = spread * gap / variance
    slope = gap * ((2 * other - 1) * variance - spread * (1 - 2 * mean) * gap) / variance**2
    return float(change * (1 - mean) * slope / (2 * q + change * gap * h))


@quiet
def critical_flip(error: float) -> float:
    """Return the flip probability at which `two_state_factor` is -1.

    Chains that flip less often make layers diverge before they are exact.

    Args:
        error: e, above 0 and below 1/2.

    Raises:
        ValueError: a number out of range, or so close to its ends that none is found.

    Source: ours (chapter on layers that infer).

    Example:
        >>> from transpde.theory import inference
        >>> round(inference.critical_flip(0.3), 5)
        0.10826
    """
    e = _flip("error", error)
    low, high = 1e-6, 0.5 - 1e-9
    if two_state_factor(low, e) > -1 or two_state_factor(high, e) < -1:
        raise ValueError(f"error: no critical flip probability above {low} is found; got {e}.")
    return brentq(lambda q: two_state_factor(q, e) + 1, low, high, xtol=1e-14)


@silent
def newton_errors(model: LinearGaussian, covariances: Any) -> Array:
    r"""Return the errors $P^+-P^*$ after one layer from those before it, by Newton's identity.

    With $D=P-P^*$ and the gains L of P: $L-L^*=(F-L^*H)DH^\top(HPH^\top+R)^{-1}$ and
    $D^+_{t+1}=(F-L_tH)D^+_t(F-L_tH)^\top+(L_t-L^*_t)(HP^*_tH^\top+R)(L_t-L^*_t)^\top$, which is
    quadratic in D.

    Args:
        model: a linear-Gaussian model.
        covariances: P, shape (n + 1, d, d), n at least 1.

    Returns:
        Shape (n + 1, d, d), positive semidefinite.

    Raises:
        TypeError: something that is no linear-Gaussian model.
        ValueError: matrices that are no covariances of the model's dimension, or beside which
            the observation noise is lost in rounding.
        OverflowError: covariances leave the range of floating point numbers.

    Source: ours (chapter on layers that infer); policy iteration in control is Kleinman's.

    Example:
        >>> from transpde.filtering import LinearGaussian
        >>> from transpde.theory import inference
        >>> model = LinearGaussian([[0.9]], [[1.0]], [[0.2]], [[1.0]], [0.0], [[1.0]])
        >>> inference.newton_errors(model, [[[1.0]], [[1.0]], [[1.0]]]).ravel().round(4)
        array([0.    , 0.    , 0.0197])
    """
    of_kind("model", model, LinearGaussian)
    P = covariance_matrix("covariances", covariances, "T d d")
    same_size("covariances", P.shape[-1], "mean", len(model.mean), "dimension")
    number("covariances", len(P), "of at least two positions", lambda x: x >= 2, whole=True)
    F, H, R = model.transition, model.observation, model.observation_noise
    _, exact = model.filter(np.zeros((len(P) - 1, len(H))))
    best, _ = model.gain(exact), model.gain(P)  # the second for what it refuses
    gap = np.linalg.solve(H @ P @ H.T + R, H @ (P - exact) @ (F - best @ H).mT).mT
    found = np.zeros(P.shape)
    for t in range(len(P) - 1):
        loop = F - (best[t] + gap[t]) @ H
        pushed = gap[t] @ (H @ exact[t] @ H.T + R) @ gap[t].T
        found[t + 1] = loop @ found[t] @ loop.T + pushed
    return _held("covariances", found)


@silent
def mass_growth(model: HiddenMarkov, observations: Any, window: int | None = None) -> Array:
    r"""Return how a slip of the prior's mass grows in the signed form that is not centred.

    To first order $\epsilon_T=\epsilon_{lo}+\sum_{lo\le t<T}k_t\epsilon_t$ with
    $k_t=(1-2\bar p_t)/2\bar p_t$, where $\bar p_t$ is the probability of the symbol given those
    before it and lo the start of the window. Without a window it is $\prod1/2\bar p_t$.

    Args:
        model: a hidden Markov model.
        observations: symbols, shape (..., n).
        window: how many positions a pass goes back; all of them when left out.

    Returns:
        Slips by that of the prior, shape (..., n + 1).

    Raises:
        TypeError: something that is no hidden Markov model.
        ValueError: symbols out of range or excluded by the model, a window below one.
        OverflowError: a slip leaves the range of floating point numbers.

    Source: ours (chapter on layers that infer).

    Example:
        >>> from transpde.filtering import HiddenMarkov
        >>> from transpde.theory import inference
        >>> model = HiddenMarkov([[0.5, 0.5], [0.5, 0.5]], [[0.2, 0.8], [0.2, 0.8]], [0.5, 0.5])
        >>> inference.mass_growth(model, [0, 0]).round(6).tolist()
        [1.0, 2.5, 6.25]
    """
    pi = of_kind("model", model, HiddenMarkov).filter(observations)
    p = (pi[..., :-1, :] * model.likelihoods(observations)).sum(axis=-1)
    n = p.shape[-1]
    back = n if window is None else positive_integer("window", window)
    k, found = (1 - 2 * p) / (2 * p), np.ones((*p.shape[:-1], n + 1))
    for T in range(1, n + 1):
        low = max(0, T - back)
        later = slice(low, T)
        found[..., T] = found[..., low] + (k[..., later] * found[..., later]).sum(axis=-1)
    return _held("observations", found)


def _held(name: str, values: Array) -> Array:
    advice = "Use fewer positions, or smaller covariances."
    return held(values, f"{name}: what becomes of errors", "", advice)


__dir__ = listing(__all__)
