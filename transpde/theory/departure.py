r"""Tokens that are not Gaussian, or do not stay so: mixtures, other attentions, small departures.

The weight of a mixture $\sum_j\pi_j N(m_j, X_jX_j^\top)$ is a sum over its components of integrals
that each are known: an exponential weight tilts every component into a Gaussian.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logsumexp

from transpde.attention import L2, Head, Linear, Sigmoid, Softmax, Unnormalized
from transpde.checks import (
    Array,
    finite_array,
    listing,
    of_kind,
    points_of,
    positive_array,
    positive_integer,
    probability_weights,
    same_size,
)
from transpde.fields import quiet
from transpde.measures import Gaussian
from transpde.theory.head_sums import one_case
from transpde.theory.one_dimension import variance

__all__ = ["cumulant_growth", "kurtosis_rate", "mixture_velocity"]

REACH, STEP = 9.0, 0.4  # of the trapezoidal rule for a normal law: both errors under 1e-16


@quiet
def mixture_velocity(
    head: Head, components: Gaussian, weights: ArrayLike, points: ArrayLike
) -> Array:
    r"""Return the velocity that a mixture of Gaussians gives to points, in closed form.

    Softmax and L2: $\Gamma(x) = \sum_j p_j(x)\Gamma_j(x)$, with $\Gamma_j$ the affine field of
    component j and $p_j(x)$ proportional to $\pi_jZ_j(x)$, its weight times its partition
    function. Unnormalised and sigmoid: $\Gamma = \sum_j\pi_j\Gamma_j$; for sigmoid
    $\Gamma_j(x) = V(m_j\,\mathbb E\sigma(g) + \Sigma_jAx\,\mathbb E\sigma'(g))$ with
    $g\sim N(\langle Ax,m_j\rangle + b,\,(Ax)^\top\Sigma_jAx)$, two integrals on the line. Linear:
    that of the second moment.

    Args:
        head: softmax, L2, unnormalised, linear or sigmoid, without leading axes.
        components: a stack of J Gaussians, means (J, d).
        weights: their weights $\pi$, (J,), non-negative with sum one.
        points: x, of shape (..., d) or (d,).

    Returns:
        The velocities, of the shape of `points`.

    Raises:
        TypeError: another attention: the plan of Sinkhorn on a mixture has no closed form.
        ValueError: shapes that do not match, weights that are no probabilities.

    Source: ours (chapter on Gaussians).

    Example:
        >>> import transpde as tp
        >>> from transpde.theory.departure import mixture_velocity
        >>> head = tp.Softmax([[1.0]], [[1.0]], [[1.0]])
        >>> pair = tp.Gaussian([[-1.0], [1.0]], factor=[[[0.5]], [[0.5]]])
        >>> mixture_velocity(head, pair, [0.5, 0.5], [[0.0], [2.0]]).round(6)
        array([[0.      ],
               [1.464028]])
    """
    known = (Softmax, L2, Unnormalized, Linear, Sigmoid)
    of_kind("head", head, known, "softmax, L2, unnormalised, linear or sigmoid")
    if not isinstance(components, Gaussian) or len(components.stack) != 1:
        raise ValueError(
            "components: must be a stack of Gaussians with one leading axis; "
            f"got {getattr(components, 'stack', type(components).__name__)}."
        )
    one_case("head", head.query, head.key, head.value)
    same_size("components", components.dimension, "the head", head.dimension, "dimension")
    pi = probability_weights("weights", weights, components.stack[0], "components", "J")
    x = points_of("points", finite_array("points", points, "..."), "the head", head.dimension)
    flat = x.reshape(-1, x.shape[-1])
    if isinstance(head, Sigmoid):
        mean = np.einsum("j,njd->nd", pi, _sigmoid_sums(head, components, flat))
    elif isinstance(head, Linear):
        m = components.mean
        second = np.einsum("j,jde->de", pi, components.covariance + m[:, :, None] * m[:, None])
        mean = flat @ (second @ head.key.T @ head.query).T
    else:
        mean = _tilted_sum(head, components, pi, flat)
    return (mean @ head.value.T).reshape(x.shape)


def _tilted_sum(head: Head, components: Gaussian, pi: Array, x: Array) -> Array:
    """Return the mean of y under exponential weights, divided by their sum but for one head."""
    m, X = components.mean, components.scaled_factor
    scale = 2 if isinstance(head, L2) else 1
    xi = scale * x @ (head.key.T @ head.query).T
    P = 2 * head.key.T @ head.key if isinstance(head, L2) else np.zeros((len(xi.T),) * 2)
    core = np.eye(X.shape[-1]) + X.mT @ P @ X
    pull = np.einsum("jdr,njd->njr", X, xi[:, None] - m @ P)
    shift = np.linalg.solve(core, pull[..., None])[..., 0]
    means = m + np.einsum("jdr,njr->njd", X, shift)
    log_Z = xi @ m.T - np.einsum("jd,de,je->j", m, P, m) / 2
    log_Z = log_Z + (pull * shift).sum(axis=-1) / 2 - np.linalg.slogdet(core)[1] / 2
    with np.errstate(divide="ignore"):
        log_Z = log_Z + np.log(pi)
    if not isinstance(head, Unnormalized):
        log_Z = log_Z - logsumexp(log_Z, axis=1, keepdims=True)
    return np.einsum("nj,njd->nd", np.exp(log_Z), means)


def _sigmoid_sums(head: Sigmoid, components: Gaussian, x: Array) -> Array:
    """Return the sigmoid-weighted mean of y for each component, (n, J, d)."""
    m, X = components.mean, components.scaled_factor
    xi = x @ (head.key.T @ head.query).T
    pull = np.einsum("jdr,nd->njr", X, xi)
    spread = np.linalg.norm(pull, axis=-1)
    # The sigmoid has poles at distance pi from the line: wide laws want a finer rule.
    count = 2 * int(np.ceil(REACH / STEP * max(1.0, spread.max(initial=0.0)))) + 1
    u = np.linspace(-REACH, REACH, count)
    w = np.exp(-(u**2) / 2)
    w /= w.sum()
    level = expit((xi @ m.T + head.bias)[..., None] + spread[..., None] * u)
    slope = (level * (1 - level)) @ w
    moved = np.einsum("jdr,njr->njd", X, pull)
    return (level @ w)[..., None] * m + slope[..., None] * moved


@quiet
def kurtosis_rate(head: Head, gaussian: Gaussian, nodes: int = 60) -> float:
    r"""Return the derivative at depth 0 of Mardia's excess kurtosis from a Gaussian start.

    The kurtosis $\mathbb E|z|^4/(d(d+2)) - 1$, $z = \Sigma^{-1/2}(x - m)$, starts to move at the
    rate $\frac4{d(d+2)}\mathbb E[(|z|^2 - d - 2)\langle z, \Sigma^{-1/2}\Gamma(x)\rangle]$, which
    is zero for an affine field.

    Args:
        head: softmax, L2, unnormalised, linear or sigmoid.
        gaussian: the start, with an invertible covariance.
        nodes: Gauss–Hermite nodes on each axis, for the integral over x.

    Returns:
        The rate. Of unnormalised attention it is finite if $\|\Sigma^{1/2}A\Sigma^{1/2}\|<1$.

    Raises:
        TypeError: another attention.
        ValueError: a stack, a singular covariance, an infinite rate.

    Source: ours (chapter on Gaussians).

    Example:
        >>> import transpde as tp
        >>> from transpde.theory.departure import kurtosis_rate
        >>> start = tp.Gaussian([0.0], factor=[[1.0]])
        >>> round(kurtosis_rate(tp.Unnormalized([[0.5]], [[1.0]], [[-1.0]]), start), 6)
        -1.0264
    """
    of_kind("gaussian", gaussian, Gaussian, "a Gaussian")
    one_case("gaussian", gaussian.factor)
    count, d = positive_integer("nodes", nodes), gaussian.dimension
    if np.linalg.matrix_rank(gaussian.direction, hermitian=True) < d:
        raise ValueError("gaussian: must have an invertible covariance; got a singular one.")
    root = np.linalg.cholesky(gaussian.covariance)
    if isinstance(head, Unnormalized):
        gamma = np.linalg.norm(root.T @ head.key.T @ head.query @ root, 2)
        if gamma >= 1:
            raise ValueError(
                "gaussian: the norm of the scores on it must be below 1 for unnormalised "
                f"attention; got {gamma:.3g}. Take a smaller covariance."
            )
    standard = Gaussian(np.zeros(d), factor=np.eye(d)).quadrature(count)
    z, w = standard.points, standard.weights
    one = Gaussian(gaussian.mean[None], factor=root[None])
    velocity = mixture_velocity(head, one, [1.0], gaussian.mean + z @ root.T)
    along = (z * np.linalg.solve(root, velocity.T).T).sum(axis=1)
    return float(4 / (d * (d + 2)) * (w @ (((z**2).sum(axis=1) - d - 2) * along)))


@quiet
def cumulant_growth(head: Softmax, start: Any, order: int, time: ArrayLike) -> float | Array:
    r"""Return by what a small standardised cumulant is multiplied under softmax on the line.

    To first order in the departure from a Gaussian of variance $s_0$, the highest standardised
    cumulant $\kappa_k/s^{k/2}$, $k\ge3$, obeys $\frac{d}{dt}\log = kv(as)^{k-1}$ and is
    multiplied by $\exp\big(ka^{k-2}(s_t^{k-2} - s_0^{k-2})/(2(k-2))\big)$.

    Args:
        head: a softmax head of dimension 1, $v = V$ and $a = K^\top Q$.
        start: the variance $s_0 > 0$.
        order: k, an integer of at least 3.
        time: depths, at least 0, of any shape.

    Returns:
        A float, or an array of the shape of `time`; NaN from the blow-up time on.

    Raises:
        TypeError: another attention.
        ValueError: a dimension other than 1, an order below 3, a start that is not positive.

    Source: ours (chapter on Gaussians).

    Example:
        >>> import transpde as tp
        >>> from transpde.theory.departure import cumulant_growth
        >>> head = tp.Softmax([[1.0]], [[1.0]], [[1.0]])
        >>> round(cumulant_growth(head, 1.0, order=3, time=0.25), 6)
        4.481689
    """
    of_kind("head", head, Softmax, "a softmax head")
    k = positive_integer("order", order, 3)
    s0 = positive_array("start", start, "...")
    s = np.asarray(variance(head, s0, time))
    s = np.where(np.isfinite(s), s, np.nan)
    a = float((head.key.T @ head.query)[0, 0])
    growth = np.exp(k * a ** (k - 2) * (s ** (k - 2) - s0 ** (k - 2)) / (2 * (k - 2)))
    return growth if growth.ndim else float(growth)


__dir__ = listing(__all__)
