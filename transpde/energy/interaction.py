r"""Energies of interaction: of the kernel $e^{\langle x, Ay\rangle}$, and of Sinkhorn's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from transpde.attention import Sinkhorn, Unnormalized
from transpde.checks import Array, flag, positive_number
from transpde.energy.scores import Tokens, factor_of, kinetic, known, mean_of, number, score_of
from transpde.fields import quiet, silent
from transpde.kernels import Evaluation, SoftmaxSum, potential
from transpde.measures import Gaussian, Particles

__all__ = [
    "interaction_dissipation",
    "interaction_energy",
    "sinkhorn_dissipation",
    "sinkhorn_energy",
]


@silent
def interaction_energy(measure: Tokens, score: Any) -> float | Array:
    r"""Return the interaction energy $F(\mu) = \frac12\iint e^{\langle x, Ay\rangle}d\mu d\mu$.

    On a Gaussian, with $X^\top AX = U\operatorname{diag}(g_i)U^\top$ and $b = U^\top X^\top Am$,
    $$F = \tfrac12\exp\Big(m^\top Am + \sum_i\frac{b_i^2}{1-g_i}\Big)\prod_i(1-g_i^2)^{-1/2}$$
    if all $|g_i| < 1$, that is $\|\Sigma^{1/2}A\Sigma^{1/2}\| < 1$, and infinite otherwise.

    Args:
        measure: `Particles`, a `Gaussian` or a stack of either.
        score: A, shape (d, d), symmetric; leading axes match those of a stack.

    Returns:
        A number, or an array of the shape of the stack; inf where it is too large for a float.

    Raises:
        ValueError: a score that is not symmetric, or of another dimension than the measure.
        TypeError: a measure of another kind.
        OverflowError: a number on the way to it that no float holds.

    Source: `sander2022sinkformers`; on Gaussians ours (chapter on gradient flows).

    Example:
        >>> import transpde as tp
        >>> from transpde.energy import interaction_energy
        >>> interaction_energy(tp.Gaussian([0.0], factor=[[1.0]]), [[0.6]])
        0.625
    """
    A = score_of(measure, score)
    if isinstance(measure, Gaussian):
        return number(0.5 * np.exp(_axes(measure, A).log_mass))
    energy = mean_of(measure, _partition(measure, A)) / 2
    return number(known(energy, measure.points))


@silent
def interaction_dissipation(
    measure: Tokens, score: Any, *, normalised: bool = True
) -> float | Array:
    r"""Return the rate at which attention flows with value $\pm A$ change the interaction energy.

    Softmax attention, for the metric with mobility $1/Z_\mu$: $\int Z_\mu|\Gamma_\mu|^2d\mu$ with
    $Z_\mu(x) = \int e^{\langle x, Ay\rangle}d\mu(y)$. Unnormalised attention, for the Wasserstein
    metric: $\int|\Gamma_\mu|^2d\mu$. The energy rises at this rate for V = A and falls at it for
    V = -A. On a Gaussian, with $p = m + XU(b_i/(1-g_i))$ and the letters of `interaction_energy`,
    $$\int Z_\mu|\Gamma_\mu|^2d\mu
    = 2F\Big(|Ap|^2 + \sum_i\frac{g_i^2|AXu_i|^2}{1-g_i^2}\Big).$$

    Args:
        measure: `Particles`, with `normalised` also a `Gaussian`, or a stack.
        score: A, shape (d, d), symmetric; leading axes match those of a stack.
        normalised: True for softmax, False for unnormalised attention.

    Raises:
        ValueError: a score that is not symmetric, or of another dimension than the measure.
        TypeError: a measure of another kind; a Gaussian without normalisation.

    Source: `sander2022sinkformers`; on Gaussians ours (chapter on gradient flows).

    Example:
        >>> import transpde as tp
        >>> from transpde.energy import interaction_dissipation
        >>> interaction_dissipation(tp.Gaussian([0.0], factor=[[1.0]]), [[0.6]])
        0.253125
    """
    A = score_of(measure, score)
    if not flag("normalised", normalised):
        return kinetic(measure, _unnormalised(A))
    if isinstance(measure, Gaussian):
        return _softmax_dissipation(measure, A)
    Z = _partition(measure, A)
    pull = measure.velocities(_unnormalised(A)(measure))
    rate = mean_of(measure, (pull**2).sum(axis=-1) / Z)
    return number(np.where(np.isnan(rate), np.inf, rate))


@silent
def sinkhorn_energy(measure: Tokens, score: Any, epsilon: float = 1.0) -> float | Array:
    r"""Return the Sinkhorn energy $F(\mu) = -\frac12\iint\kappa\log(\kappa/\kappa_0)\,d\mu d\mu$.

    Here $\kappa_0 = e^{\langle x, Ay\rangle/\varepsilon}$ and
    $\kappa = \kappa_0\,e^{(f(x) + g(y))/\varepsilon}$ has both marginals one, so that
    $F = -\frac1{2\varepsilon}\int(f + g)\,d\mu$. On a Gaussian, with the eigenvalues $g_i$ of
    $X^\top AX$,
    $$F = \frac{m^\top Am}{2\varepsilon} + \frac12\sum_i\Big(q_i - \frac12\log(1 + q_i)\Big),
    \qquad q_i = \frac{2g_i^2}{\varepsilon^2 + \varepsilon\sqrt{\varepsilon^2 + 4g_i^2}}.$$

    Args:
        measure: `Particles`, a `Gaussian` or a stack of either.
        score: A, shape (d, d), symmetric; leading axes match those of a stack.
        epsilon: the entropic regularisation, positive.

    Returns:
        A number, or an array of the shape of the stack; inf where it is too large for a float.

    Raises:
        ValueError: a score that is not symmetric, or of another dimension than the measure;
            epsilon not positive.
        TypeError: a measure of another kind.
        RuntimeError: on particles, where Sinkhorn's iteration does not converge.

    Source: `sander2022sinkformers`; on Gaussians ours (chapter on gradient flows).

    Example:
        >>> import transpde as tp
        >>> from transpde.energy import sinkhorn_energy
        >>> round(sinkhorn_energy(tp.Gaussian([0.0], factor=[[1.0]]), [[2**0.5]]), 6)
        0.326713
    """
    A, epsilon = score_of(measure, score), positive_number("epsilon", epsilon)
    if isinstance(measure, Gaussian):
        return _gaussian_sinkhorn_energy(measure, A, epsilon)
    if not measure.stack:
        return _sinkhorn_energy(measure, A, epsilon)
    scores = np.broadcast_to(A, (*measure.stack, *A.shape[-2:]))
    cases = np.ndindex(measure.stack)
    energies = [_sinkhorn_energy(measure[i], scores[i], epsilon) for i in cases]
    return np.reshape(energies, measure.stack)


@quiet
def sinkhorn_dissipation(measure: Tokens, score: Any, epsilon: float = 1.0) -> float | Array:
    r"""Return the rate at which Sinkhorn attention with V = -A lowers `sinkhorn_energy`.

    It is $\frac1\varepsilon\int|\Gamma_\mu|^2d\mu$: the flow is the Wasserstein gradient flow of
    $\varepsilon F$.

    Args:
        measure: `Particles`, a `Gaussian` or a stack of either.
        score: A, shape (d, d), symmetric; leading axes match those of a stack.
        epsilon: the entropic regularisation, positive.

    Raises:
        ValueError: a score that is not symmetric, or of another dimension than the measure;
            epsilon not positive.
        TypeError: a measure of another kind.
        RuntimeError: on particles, where Sinkhorn's iteration does not converge.

    Source: `sander2022sinkformers`.

    Example:
        >>> import transpde as tp
        >>> from transpde.energy import sinkhorn_dissipation
        >>> round(sinkhorn_dissipation(tp.Gaussian([0.0], factor=[[1.0]]), [[2**0.5]]), 12)
        1.0
    """
    A = score_of(measure, score)
    head = Sinkhorn(np.eye(measure.dimension), A, -A, epsilon)
    return number(kinetic(measure, head) / head.epsilon)


def _sinkhorn_energy(measure: Particles, A: Array, epsilon: float) -> float:
    carried = measure.weights > 0  # tokens without weight have no part in the integral
    x, w = measure.points[carried], measure.weights[carried]
    sums = SoftmaxSum(A / epsilon, np.zeros(len(A)), x, np.zeros(len(x)))
    g = potential(sums, x, w, np.zeros(len(w)), Evaluation(), 1e-12)
    # Both potentials are over epsilon.
    f = -replace(sums, bias=g + np.log(w)).log_sums(x @ sums.query.T)
    return float(-0.5 * w @ (f + g))


def _unnormalised(A: Array) -> Unnormalized:
    return Unnormalized(np.eye(A.shape[-1]), A, A)


def _partition(measure: Particles, A: Array) -> Array:
    """Return Z at each token."""
    ones = np.ones((*measure.points.shape[:-1], 1))
    return _unnormalised(A).token_sum(measure).mean(measure.points, ones)[..., 0]


class _Axes(NamedTuple):
    """A Gaussian in the axes of G = X^T A X = U diag(g) U^T."""

    factor: Array  # X U
    g: Array
    tilt: Array  # b / (1 - g), 0 where F is infinite
    log_mass: Array  # log(2F)


def _axes(gaussian: Gaussian, A: Array) -> _Axes:
    X, m = factor_of(gaussian), gaussian.mean[..., None]
    g, U = np.linalg.eigh(X.mT @ A @ X)
    XU = X @ U
    b = (XU.mT @ A @ m)[..., 0]
    finite = np.abs(g) < 1
    safe = np.where(finite, g, 0.0)
    tilt = b / (1 - safe)
    own = (m.mT @ A @ m)[..., 0, 0]
    logs = own + (b * tilt - np.log1p(-(safe**2)) / 2).sum(axis=-1)
    return _Axes(XU, g, tilt, np.where(finite.all(axis=-1), logs, np.inf))


def _softmax_dissipation(gaussian: Gaussian, A: Array) -> Any:
    # e^{<x,Ay>} dmu dmu / 2F is Gaussian: in x it has mean p and the variances 1 / (1 - g^2).
    axes = _axes(gaussian, A)
    AX = A @ axes.factor
    finite = np.isfinite(axes.log_mass)
    g = np.where(finite[..., None], axes.g, 0.0)
    centre = (A @ gaussian.mean[..., None])[..., 0] + (AX @ axes.tilt[..., None])[..., 0]
    spread = (AX**2).sum(axis=-2) * g**2 / (1 - g**2)
    square = (centre**2).sum(axis=-1) + spread.sum(axis=-1)
    with np.errstate(over="ignore", divide="ignore"):
        logs = np.log(square) + np.where(finite, axes.log_mass, 0.0)
        return number(np.where(finite, np.exp(logs), np.inf))


def _gaussian_sinkhorn_energy(gaussian: Gaussian, A: Array, epsilon: float) -> Any:
    unit, m = gaussian.normalised(), gaussian.mean[..., None]
    X = unit.factor
    with np.errstate(over="ignore"):
        g = np.abs(np.linalg.eigvalsh(X.mT @ A @ X)) / epsilon
        g = g * np.where(g > 0, np.exp(unit.log_scales), 1.0)
    finite = np.isfinite(g)
    x = np.where(finite, g, 0.0)
    q = x * (x / (0.5 + np.hypot(0.5, x)))  # the square of x may be out of range
    each = np.where(finite, q - np.log1p(q) / 2, np.inf)
    own = (m.mT @ A @ m)[..., 0, 0] / epsilon
    return number((own + each.sum(axis=-1)) / 2)
