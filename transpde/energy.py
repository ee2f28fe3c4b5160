r"""Energies that decrease, or increase, along attention flows, and their dissipation.

All are for a symmetric score matrix $A = K^\top Q$, so that $\langle Qx, Ky\rangle = \langle x,
Ay\rangle$. With $\nabla\delta E/\delta\mu$ for the Wasserstein gradient of an energy E, along
$\partial_t\mu + \operatorname{div}(\mu v) = 0$ it changes at the rate
$\int\langle\nabla\frac{\delta E}{\delta\mu}, v\rangle d\mu$.

- `Unnormalized`, V = ±A: the interaction energy, rate $\pm\int|\Gamma|^2d\mu$;
- `Softmax`, V = ±A: the same energy, rate $\pm\int Z_\mu|\Gamma|^2d\mu$;
- `Softmax` on Gaussians, V = MA: the twisted energy, rate $-\int\langle\Gamma,
  M^{-1}\Gamma\rangle d\mu$ on centred ones;
- `Sinkhorn`, V = -A: the Sinkhorn energy, rate $-\frac1\varepsilon\int|\Gamma|^2d\mu$.

On a Gaussian $N(m, XX^\top)$ everything is read from the eigenvalues of $G = X^\top AX$, for any
rank and without an inverse of the covariance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy.interpolate import make_interp_spline

from transpde.attention import Sinkhorn, Unnormalized
from transpde.attention.heads import transposed
from transpde.checks import (
    Array,
    definite_matrix,
    finite_array,
    positive_number,
    same_size,
    symmetric_matrix,
)
from transpde.fields import AffineField
from transpde.flow import Trajectory
from transpde.kernels import Evaluation, SoftmaxSum, potential
from transpde.measures import Gaussian, Particles

__all__ = [
    "bures_geodesic",
    "bures_gradient",
    "energy_residual",
    "gradient_defect",
    "interaction_dissipation",
    "interaction_energy",
    "sinkhorn_dissipation",
    "sinkhorn_energy",
    "twisted_curvatures",
    "twisted_dissipation",
    "twisted_energy",
    "wasserstein_gradient",
]

Tokens = Particles | Gaussian


def interaction_energy(measure: Tokens, score: Any) -> Any:
    r"""Return the interaction energy $F(\mu) = \frac12\iint e^{\langle x, Ay\rangle}d\mu d\mu$.

    On a Gaussian, with $X^\top AX = U\operatorname{diag}(g_i)U^\top$ and $b = U^\top X^\top Am$,
    $$F = \tfrac12\exp\Big(m^\top Am + \sum_i\frac{b_i^2}{1-g_i}\Big)\prod_i(1-g_i^2)^{-1/2}$$
    if all $|g_i| < 1$, that is $\|\Sigma^{1/2}A\Sigma^{1/2}\| < 1$, and infinite otherwise.

    Args:
        measure: `Particles`, a `Gaussian` or a stack of Gaussians.
        score: A, shape (d, d), symmetric; leading axes match those of a stack.

    Returns:
        A number, or an array of the shape of the stack; inf where it is too large for a float.

    Raises:
        ValueError: a score that is not symmetric, or of another dimension than the measure.
        TypeError: a measure of another kind.

    Source: `sander2022sinkformers`; on Gaussians ours (chapter on gradient flows).

    Example:
        >>> import transpde as tp
        >>> from transpde.energy import interaction_energy
        >>> interaction_energy(tp.Gaussian([0.0], [[1.0]]), [[0.6]])
        0.625
    """
    A = _score(measure, score)
    if isinstance(measure, Gaussian):
        axes = _axes(measure, A)
        with np.errstate(over="ignore"):
            return _number(0.5 * np.exp(axes.log_mass))
    with np.errstate(over="ignore"):
        return float(measure.weights @ _partition(measure, A) / 2)


def interaction_dissipation(measure: Tokens, score: Any, *, normalised: bool = True) -> Any:
    r"""Return the rate at which attention flows with value $\pm A$ change the interaction energy.

    Softmax attention, for the metric with mobility $1/Z_\mu$: $\int Z_\mu|\Gamma_\mu|^2d\mu$ with
    $Z_\mu(x) = \int e^{\langle x, Ay\rangle}d\mu(y)$. Unnormalised attention, for the Wasserstein
    metric: $\int|\Gamma_\mu|^2d\mu$. The energy rises at this rate for V = A and falls at it for
    V = -A. On a Gaussian, with $p = m + XU(b_i/(1-g_i))$ and the letters of `interaction_energy`,
    $$\int Z_\mu|\Gamma_\mu|^2d\mu
    = 2F\Big(|Ap|^2 + \sum_i\frac{g_i^2|AXu_i|^2}{1-g_i^2}\Big).$$

    Args:
        measure: `Particles`; with `normalised` also a `Gaussian` or a stack of Gaussians.
        score: A, shape (d, d), symmetric; leading axes match those of a stack.
        normalised: True for softmax, False for unnormalised attention.

    Raises:
        ValueError: a score that is not symmetric, or of another dimension than the measure.
        TypeError: a measure of another kind; a Gaussian without normalisation.

    Source: `sander2022sinkformers`; on Gaussians ours (chapter on gradient flows).

    Example:
        >>> import transpde as tp
        >>> from transpde.energy import interaction_dissipation
        >>> interaction_dissipation(tp.Gaussian([0.0], [[1.0]]), [[0.6]])
        0.253125
    """
    A = _score(measure, score)
    if not normalised:
        return _kinetic(measure, _unnormalised(A))
    if isinstance(measure, Gaussian):
        return _softmax_dissipation(measure, A)
    with np.errstate(over="ignore", invalid="ignore"):
        Z = _partition(measure, A)
        pull = _unnormalised(A)(measure)(measure.points)
        rate = float(measure.weights @ ((pull**2).sum(axis=1) / Z))
    return np.inf if np.isnan(rate) else rate


def twisted_energy(measure: Tokens, score: Any) -> Any:
    r"""Return the energy $E = -\frac14\operatorname{tr}((A\Sigma)^2)$ of a covariance.

    Softmax attention with value V = MA, M positive definite, moves the covariance of a Gaussian
    along the gradient flow of E for the twisted metric $\int\langle v, M^{-1}v\rangle d\mu$; M = I
    is the Bures--Wasserstein metric.

    Args:
        measure: a `Gaussian`, a stack of Gaussians, or `Particles`; only the covariance counts.
        score: A, shape (d, d), symmetric; leading axes match those of a stack.

    Raises:
        ValueError: a score that is not symmetric, or of another dimension than the measure.
        TypeError: a measure of another kind.

    Source: `castin2025unified`; in this form ours (chapter on gradient flows).

    Example:
        >>> import transpde as tp
        >>> from transpde.energy import twisted_energy
        >>> twisted_energy(tp.Gaussian([0.0], [[2.0]]), [[3.0]])
        -36.0
    """
    A = _score(measure, score)
    X = _factor(measure)
    return _number(-0.25 * (transposed(X) @ A @ X) ** 2, axes=(-2, -1))


def twisted_dissipation(measure: Tokens, score: Any, mobility: Any = None) -> Any:
    r"""Return the rate at which softmax attention with V = MA lowers `twisted_energy`.

    It is $\int\langle v, M^{-1}v\rangle d\mu$ for $v(x) = MA\Sigma A(x - m)$, the part of the
    softmax field that moves the covariance: $\operatorname{tr}(CMC\Sigma)$ with $C = A\Sigma A$,
    so that no inverse of M is needed.

    Args:
        measure: a `Gaussian`, a stack of Gaussians, or `Particles`; only the covariance counts.
        score: A, shape (d, d), symmetric; leading axes match those of a stack.
        mobility: M, shape (d, d), symmetric positive definite; the identity when left out.

    Raises:
        ValueError: a score that is not symmetric, a mobility that is not positive definite,
            another dimension than that of the measure.
        TypeError: a measure of another kind.

    Source: ours (chapter on gradient flows).

    Example:
        >>> import transpde as tp
        >>> from transpde.energy import twisted_dissipation
        >>> gaussian = tp.Gaussian([0.0], [[1.0]])
        >>> twisted_dissipation(gaussian, [[3.0]], mobility=[[2.0]])
        162.0
    """
    A, M = _score(measure, score), _mobility(measure, mobility)
    X = _factor(measure)
    AX = A @ X
    pull = AX @ (transposed(X) @ AX)  # C X
    return _number(pull * (M @ pull), axes=(-2, -1))


def twisted_curvatures(gaussian: Gaussian, score: Any) -> Array:
    r"""Return the curvatures of `twisted_energy` along Bures geodesics, in increasing order.

    They are the eigenvalues of its Hessian for the Bures--Wasserstein metric: along the geodesic
    $(I + sL)\Sigma(I + sL)$, L symmetric with $\operatorname{tr}(L\Sigma L) = 1$,
    $$\ddot E = -\tfrac12\operatorname{tr}\big(((LA + AL)\Sigma)^2\big)
    - \operatorname{tr}(\Sigma A\Sigma LAL).$$

    Args:
        gaussian: one with a positive definite covariance, or a stack.
        score: A, shape (d, d), symmetric; leading axes match those of a stack.

    Returns:
        Array (..., d(d + 1)/2); all at most zero if A is semidefinite.

    Raises:
        ValueError: a score that is not symmetric, or of another dimension than the measure; a
            covariance that is singular, up to rounding.
        TypeError: a measure that is not Gaussian.

    Source: ours (chapter on gradient flows).

    Example:
        >>> import transpde as tp
        >>> from transpde.energy import twisted_curvatures
        >>> twisted_curvatures(tp.Gaussian([0.0], [[1.0]]), [[2.0]])
        array([-12.])
    """
    if not isinstance(gaussian, Gaussian):
        raise TypeError(f"gaussian: must be a Gaussian; got {type(gaussian).__name__}.")
    A, d = _score(gaussian, score)[..., None, :, :], gaussian.dimension
    sizes = np.trace(gaussian.covariance, axis1=-2, axis2=-1)[..., None]
    S = (gaussian.covariance / np.where(sizes > 0, sizes, 1.0)[..., None])[..., None, :, :]
    if (np.linalg.eigvalsh(S) <= 4 * d * np.finfo(float).eps).any():  # rounding of a lower rank
        raise ValueError("gaussian: must have a positive definite covariance; got a singular one.")
    rows, columns = np.triu_indices(d)
    L = np.zeros((len(rows), d, d))
    L[np.arange(len(rows)), rows, columns] = L[np.arange(len(rows)), columns, rows] = 1.0
    turn, pull = (L @ A + A @ L) @ S, S @ A @ S @ L @ A
    hessian = -0.5 * (_traces(turn, turn) + _traces(pull, L) + transposed(_traces(pull, L)))
    scale = np.linalg.inv(np.linalg.cholesky(_traces(L @ S, L)))
    curvatures: Array = sizes * np.linalg.eigvalsh(scale @ hessian @ transposed(scale))
    return curvatures


def sinkhorn_energy(measure: Tokens, score: Any, epsilon: float = 1.0) -> Any:
    r"""Return the Sinkhorn energy $F(\mu) = -\frac12\iint\kappa\log(\kappa/\kappa_0)\,d\mu d\mu$.

    Here $\kappa_0 = e^{\langle x, Ay\rangle/\varepsilon}$ and
    $\kappa = \kappa_0\,e^{(f(x) + g(y))/\varepsilon}$ has both marginals one, so that
    $F = -\frac1{2\varepsilon}\int(f + g)\,d\mu$. On a Gaussian, with the eigenvalues $g_i$ of
    $X^\top AX$,
    $$F = \frac{m^\top Am}{2\varepsilon} + \frac12\sum_i\Big(q_i - \frac12\log(1 + q_i)\Big),
    \qquad q_i = \frac{2g_i^2}{\varepsilon^2 + \varepsilon\sqrt{\varepsilon^2 + 4g_i^2}}.$$

    Args:
        measure: `Particles`, a `Gaussian` or a stack of Gaussians.
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
        >>> round(sinkhorn_energy(tp.Gaussian([0.0], [[1.0]]), [[2**0.5]]), 6)
        0.326713
    """
    A, epsilon = _score(measure, score), positive_number("epsilon", epsilon)
    if isinstance(measure, Gaussian):
        return _gaussian_sinkhorn_energy(measure, A, epsilon)
    carried = measure.weights > 0  # tokens without weight have no part in the integral
    x, w = measure.points[carried], measure.weights[carried]
    sums = SoftmaxSum(A / epsilon, np.zeros(len(A)), x, np.zeros(len(x)))
    g = potential(sums, x, w, np.zeros(len(w)), Evaluation(), 1e-12)
    # Both potentials are over epsilon.
    f = -replace(sums, bias=g + np.log(w)).log_sums(x @ sums.query.T)
    return float(-0.5 * w @ (f + g))


def sinkhorn_dissipation(measure: Tokens, score: Any, epsilon: float = 1.0) -> Any:
    r"""Return the rate at which Sinkhorn attention with V = -A lowers `sinkhorn_energy`.

    It is $\frac1\varepsilon\int|\Gamma_\mu|^2d\mu$: the flow is the Wasserstein gradient flow of
    $\varepsilon F$.

    Args:
        measure: `Particles`, a `Gaussian` or a stack of Gaussians.
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
        >>> round(sinkhorn_dissipation(tp.Gaussian([0.0], [[1.0]]), [[2**0.5]]), 12)
        1.0
    """
    A = _score(measure, score)
    head = Sinkhorn(np.eye(measure.dimension), A, -A, epsilon)
    return _number(_kinetic(measure, head) / head.epsilon)


def bures_gradient(measure: Tokens, gradient: Any, mobility: Any = None) -> AffineField:
    r"""Return the Bures--Wasserstein gradient of a function of the covariance, a velocity field.

    If $dE = \operatorname{tr}(G\,d\Sigma)$, then $\delta E/\delta\mu = (x-m)^\top G(x-m)$ and the
    gradient for the metric $\int\langle v, M^{-1}v\rangle d\mu$ is the field
    $$x\mapsto 2MG(x - m).$$
    Descent follows minus this field. For `twisted_energy`, $G = -\frac12A\Sigma A$.

    Args:
        measure: a `Gaussian`, a stack of Gaussians, or `Particles`; only the mean counts.
        gradient: G, shape (d, d), symmetric; leading axes match those of a stack.
        mobility: M, shape (d, d), symmetric positive definite; the identity when left out.

    Raises:
        ValueError: a gradient that is not symmetric, a mobility that is not positive definite,
            another dimension than that of the measure.
        TypeError: a measure of another kind.

    Source: `bhatia2019bures`; with a mobility ours (chapter on gradient flows).

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde.energy import bures_gradient
        >>> field = bures_gradient(tp.Gaussian([1.0, 0.0], np.eye(2)), np.diag([1.0, 2.0]))
        >>> field([2.0, 1.0])
        array([2., 4.])
    """
    G, M = _score(measure, gradient, "gradient"), _mobility(measure, mobility)
    B = 2 * M @ G
    return AffineField(B, -(B @ measure.mean[..., None])[..., 0])


def bures_geodesic(gaussian: Gaussian, other: Gaussian, s: Any) -> Gaussian:
    r"""Return the point at s of the Wasserstein geodesic from one Gaussian to another.

    With factors X, Y and the singular value decomposition $X^\top Y = PDR^\top$ the best coupling
    is that of $m + XPz$ and $m' + YRz$ with a standard Gaussian z, and the geodesic is
    $$N\big((1-s)m + sm',\; X_sX_s^\top\big), \qquad X_s = (1-s)XP + sYR,$$
    for every rank. Where it is not unique (only if both covariances are singular), it is one of
    them.

    Args:
        gaussian: the Gaussian at s = 0, or a stack.
        other: the Gaussian at s = 1, of the same dimension and stack.
        s: a number of [0, 1], or an array of them: its axes come first in the stack returned.

    Raises:
        ValueError: s outside of [0, 1], dimensions or stacks that differ.
        TypeError: measures that are not Gaussian.

    Source: `bhatia2019bures`; `peyre2019computational`; by factors ours.

    Example:
        >>> import transpde as tp
        >>> from transpde.energy import bures_geodesic
        >>> start, end = tp.Gaussian([0.0], [[1.0]]), tp.Gaussian([2.0], [[3.0]])
        >>> bures_geodesic(start, end, [0.0, 0.5, 1.0]).covariance.ravel()
        array([1., 4., 9.])
    """
    for name, measure in (("gaussian", gaussian), ("other", other)):
        if not isinstance(measure, Gaussian):
            raise TypeError(f"{name}: must be a Gaussian; got {type(measure).__name__}.")
    same_size("other", other.dimension, "gaussian", gaussian.dimension, "dimension")
    if gaussian.stack != other.stack:
        raise ValueError(f"other: must be a stack of shape {gaussian.stack}; got {other.stack}.")
    s = finite_array("s", s, "...")
    if s.min() < 0 or s.max() > 1:
        raise ValueError(f"s: must be in [0, 1]; got {s.min()} to {s.max()}.")
    s = s.reshape(s.shape + (1,) * (len(gaussian.stack) + 1))
    X, Y = (_factor(measure) for measure in (gaussian, other))
    width = max(X.shape[-1], Y.shape[-1])
    X, Y = (np.pad(F, [(0, 0)] * (F.ndim - 1) + [(0, width - F.shape[-1])]) for F in (X, Y))
    P, _, Rt = np.linalg.svd(transposed(X) @ Y)
    mean = (1 - s) * gaussian.mean + s * other.mean
    s = s[..., None]
    return Gaussian(mean, (1 - s) * (X @ P) + s * (Y @ transposed(Rt)))


def wasserstein_gradient(measure: Particles, energy: Callable[[Any], Any]) -> Array:
    r"""Return $\nabla\frac{\delta E}{\delta\mu}$ at the tokens, by differences of order four.

    It is $\frac1{w_i}\partial_{x_i}E$, from energies at moved tokens alone: a check of velocities
    that shares no formula with them. Its error is about 1e-10 for energies and tokens of size one.

    Args:
        measure: `Particles` with positive weights.
        energy: measure -> E, a finite number.

    Returns:
        Array (n, d).

    Raises:
        TypeError: a measure of another kind.
        ValueError: a weight of zero, an energy that is not one finite number.

    Source: ours (chapter on gradient flows).

    Example:
        >>> import transpde as tp
        >>> from transpde.energy import twisted_energy, wasserstein_gradient
        >>> tokens = tp.Particles([[-1.0], [1.0]])
        >>> wasserstein_gradient(tokens, lambda mu: -twisted_energy(mu, [[1.0]])).round(9)
        array([[-1.],
               [ 1.]])
    """
    w = _weighted(measure)

    def height(x: Array) -> float:
        E = finite_array("energy", energy(measure.at(x)), "...")
        if E.size != 1:
            raise ValueError(f"energy: must be one number; got an array of shape {E.shape}.")
        return E.item()

    slopes = _differences(height, measure.points)
    return slopes.reshape(measure.points.shape) / w[:, None]


def gradient_defect(measure: Particles, attention: Any) -> float:
    r"""Return how far the velocities of tokens are from a gradient in all their positions.

    With J the Jacobian of $(x_1, \dots, x_n)\mapsto(w_i\Gamma_\mu(x_i))_i$, by differences of
    order four, it is $\|J - J^\top\|_F/\|J + J^\top\|_F$. It is zero where the attention is a
    Wasserstein gradient flow: $w_i\Gamma_\mu(x_i) = -\partial_{x_i}E$, and second derivatives
    commute. A velocity that does not vary, V = 0 for one, has the defect zero.

    Args:
        measure: `Particles` with positive weights.
        attention: an attention.

    Raises:
        TypeError: a measure of another kind.
        ValueError: a weight of zero.

    Source: ours (chapter on gradient flows).

    Example:
        >>> import transpde as tp
        >>> from transpde.energy import gradient_defect
        >>> tokens = tp.Particles([[0.0], [1.0]])
        >>> gradient_defect(tokens, tp.Linear([[1.0]], [[1.0]], [[1.0]])) < 1e-9
        True
        >>> gradient_defect(tokens, tp.Softmax([[1.0]], [[1.0]], [[1.0]])) > 0.1
        True
    """
    w = _weighted(measure)

    def momenta(x: Array) -> Array:
        moved = measure.at(x)
        return np.ravel(w[:, None] * attention(moved)(moved.points))

    J = _differences(momenta, measure.points)
    if not J.any():
        return 0.0
    with np.errstate(divide="ignore"):
        return float(np.linalg.norm(J - J.T) / np.linalg.norm(J + J.T))


def energy_residual(
    path: Trajectory[Any], energy: Callable[[Any], Any], rate: Callable[[Any], Any]
) -> Any:
    r"""Return how far a flow is from its energy identity $E(\mu_t) - E(\mu_0) = \int_0^t r\,dt'$.

    It is the largest difference of the two sides over the recorded times, relative to the range
    of E along the path. The rate is integrated by the spline of degree 7 through its values at
    the recorded times, so its own error is of order 8 in their distance.

    Args:
        path: a flow with at least 16 recorded times.
        energy: measure -> E, or -> an array of the shape of the stack.
        rate: measure -> r, likewise: minus the dissipation where the flow descends.

    Raises:
        ValueError: too few times, an energy or rate that is not finite or does not change.

    Source: ours (chapter on gradient flows).

    Example:
        >>> import transpde as tp
        >>> from transpde.energy import energy_residual, twisted_dissipation, twisted_energy
        >>> A = [[-1.0]]
        >>> path = tp.flow(tp.Gaussian([0.0], [[1.0]]), tp.Softmax([[1.0]], A, A), time=0.2)
        >>> energy_residual(path, lambda mu: twisted_energy(mu, A),
        ...                 lambda mu: -twisted_dissipation(mu, A)) < 1e-6
        True
    """
    if len(path) < 16:
        raise ValueError(f"path: must have at least 16 recorded times; got {len(path)}.")
    E, r = (
        finite_array(name, [value(path[i]) for i in range(len(path))], "...")
        for name, value in (("energy", energy), ("rate", rate))
    )
    spread = E.max(axis=0) - E.min(axis=0)
    if (spread == 0).any():
        raise ValueError("energy: must change along the path; it is constant.")
    integral = make_interp_spline(path.times, r, k=7).antiderivative()(path.times)
    return _number(np.abs(E - E[0] - integral).max(axis=0) / spread)


# --- one Gaussian --------------------------------------------------------------------------------


class _Axes(NamedTuple):
    """A Gaussian in the axes of G = X^T A X = U diag(g) U^T."""

    factor: Array  # X U
    g: Array
    tilt: Array  # b / (1 - g), 0 where F is infinite
    log_mass: Array  # log(2F)


def _axes(gaussian: Gaussian, A: Array) -> _Axes:
    X, m = _factor(gaussian), gaussian.mean[..., None]
    g, U = np.linalg.eigh(transposed(X) @ A @ X)
    XU = X @ U
    b = (transposed(XU) @ A @ m)[..., 0]
    finite = np.abs(g) < 1
    safe = np.where(finite, g, 0.0)
    tilt = b / (1 - safe)
    own = (transposed(m) @ A @ m)[..., 0, 0]
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
        return _number(np.where(finite, np.exp(logs), np.inf))


def _gaussian_sinkhorn_energy(gaussian: Gaussian, A: Array, epsilon: float) -> Any:
    unit, m = gaussian.normalised(), gaussian.mean[..., None]
    X = unit.factor
    with np.errstate(over="ignore"):
        g = np.abs(np.linalg.eigvalsh(transposed(X) @ A @ X)) / epsilon
        g = g * np.where(g > 0, np.exp(unit.log_scales), 1.0)
    finite = np.isfinite(g)
    x = np.where(finite, g, 0.0)
    q = x * (x / (0.5 + np.hypot(0.5, x)))  # the square of x may be out of range
    each = np.where(finite, q - np.log1p(q) / 2, np.inf)
    own = (transposed(m) @ A @ m)[..., 0, 0] / epsilon
    return _number((own + each.sum(axis=-1)) / 2)


# --- any measure ---------------------------------------------------------------------------------


def _score(measure: Tokens, score: Any, name: str = "score") -> Array:
    """Return the symmetric matrix of a measure, exactly symmetric."""
    if not isinstance(measure, Particles | Gaussian):
        raise TypeError(f"measure: must be Particles or a Gaussian; got {type(measure).__name__}.")
    A = symmetric_matrix(name, score)
    same_size(name, A.shape[-1], "the measure", measure.dimension, "dimension")
    if A.shape[:-2] not in ((), measure.stack):
        raise ValueError(
            f"{name}: its leading axes must match those of the measure, {measure.stack}; "
            f"got {A.shape[:-2]}."
        )
    return (A + transposed(A)) / 2


def _mobility(measure: Tokens, mobility: Any) -> Array:
    if mobility is None:
        return np.eye(measure.dimension)
    M = definite_matrix("mobility", mobility)
    same_size("mobility", len(M), "the measure", measure.dimension, "dimension")
    return M


def _factor(measure: Any) -> Array:
    """Return X with covariance X X^T."""
    if isinstance(measure, Particles):
        return (np.sqrt(measure.weights)[:, None] * (measure.points - measure.mean)).T
    X: Array = measure.scaled_factor
    return X


def _unnormalised(A: Array) -> Unnormalized:
    return Unnormalized(np.eye(A.shape[-1]), A, A)


def _partition(measure: Particles, A: Array) -> Array:
    """Return Z at each token."""
    ones = np.ones((len(measure.points), 1))
    return _unnormalised(A).token_sum(measure).mean(measure.points, ones)[:, 0]


def _kinetic(measure: Any, attention: Any) -> Any:
    """Return the integral of |Gamma|^2."""
    field = attention(measure)
    if isinstance(measure, Particles):
        with np.errstate(over="ignore", invalid="ignore"):
            return float(measure.weights @ (field(measure.points) ** 2).sum(axis=1))
    drift, turn = field.moves(measure.mean, measure.factor)
    turn = turn * np.exp(measure.log_scales / 2)[..., None, :]
    return _number((drift**2).sum(axis=-1) + (turn**2).sum(axis=(-2, -1)))


def _weighted(measure: Any) -> Array:
    """Return the positive weights of tokens."""
    if not isinstance(measure, Particles):
        raise TypeError(f"measure: must be Particles; got {type(measure).__name__}.")
    w: Array = measure.weights
    if not w.min() > 0:
        raise ValueError(f"measure: must have positive weights; got {w.min()}. Drop such tokens.")
    return w


def _differences(function: Callable[[Array], Any], x: Array, h: float = 1e-3) -> Array:
    """Return the derivatives of a function in each entry of x, a row an entry."""
    steps = h * np.eye(x.size).reshape(-1, *x.shape)
    near = [function(x + e) - function(x - e) for e in steps]
    far = [function(x + 2 * e) - function(x - 2 * e) for e in steps]
    return np.asarray((8 * np.array(near) - np.array(far)) / (12 * h))


def _traces(left: Array, right: Array) -> Array:
    """Return the traces of all products of two lists of matrices, shape (..., p, p)."""
    traces: Array = np.einsum("...iab,...jba->...ij", left, np.broadcast_to(right, left.shape))
    return traces


def _number(value: Any, axes: tuple[int, ...] = ()) -> Any:
    """Return the sum over axes, a float where no axis is left."""
    total = np.asarray(value).sum(axis=axes) if axes else np.asarray(value)
    return float(total) if total.ndim == 0 else total
