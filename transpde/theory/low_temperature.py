r"""Attention at low temperature: the limit in closed form, Laplace's method, three logarithms.

A head with query $\beta Q$, key K and value V, on the sphere; $A = K^\top Q$ without $\beta$, and
$M = VA$. As $\beta\to\infty$ the attention mean of a law of full support at x tends to
$Ax/|Ax|$.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import expm, schur, solve_sylvester
from scipy.optimize import brentq

from transpde.attention.normalised import Softmax
from transpde.checks import (
    Array,
    finite_array,
    finite_number,
    frozen,
    listing,
    non_negative_array,
    of_kind,
    positive_array,
    positive_number,
    same_size,
)
from transpde.fields import quiet
from transpde.measures.axial import sphere_dimension
from transpde.spaces import Sphere
from transpde.theory.following import followed
from transpde.theory.head_sums import one_case
from transpde.theory.one_cluster import bessel_quotients, mode_rates

__all__ = [
    "ConcentrationTimes",
    "concentration_constant",
    "concentration_times",
    "fastest_degree",
    "laplace_bound",
    "laplace_mean",
    "tangent_model",
    "uniform_mean",
    "zero_temperature_limit",
    "zero_temperature_path",
    "zero_temperature_rate",
]

__dir__ = listing(__all__)

EQUAL = 1e-9  # relative distance of eigenvalues that count as equal
ROUNDING = 1e-12  # relative to the norm of the matrix
DEFECTIVE = 1e7  # norm of a spectral projector from which on eigenvectors count as missing
FAINT = 1e-150  # what is left of a token from which on its digits are in danger
LARGEST = 709.0  # log of a number
WARMEST = 1e12  # largest inverse temperature whose degrees are searched


@quiet
def zero_temperature_path(head: Softmax, points: Any, time: Any) -> Array:
    r"""Return the flow on the sphere at zero temperature, for a law of full support.

    $x(t) = e^{sM}x_0/|e^{sM}x_0|$ on the clock $\dot s = 1/|Ax|$, in closed form but for the
    clock.

    Args:
        head: a `Softmax` head with key^T query injective; a positive factor of the query has no
            part.
        points: x0, shape (n, d), on the unit sphere.
        time: times (T,), not negative, or one.

    Returns:
        Array (T, n, d), or (n, d) for one time.

    Raises:
        ValueError: points off the sphere or of another dimension; a score matrix that is not
            injective; times that are negative or not finite.
        TypeError: no softmax head.

    Source: ours (chapter on low temperature).
    """
    A, V = _matrices(head)
    x, t = _on_sphere(points, len(A)), non_negative_array("time", time)
    M = V @ A
    clock = _clock(A, M, x, float(t.max()))
    found = np.stack([_there(M, s, x) for s in clock(t.ravel())])
    return frozen(found.reshape(*t.shape, *x.shape))


@quiet
def zero_temperature_limit(head: Softmax, points: Any) -> Array | None:
    r"""Return the limits $\Pi x_0/|\Pi x_0|$ of tokens at zero temperature; None where none is.

    $\Pi$ is the spectral projector of M = VA for the eigenvalues of largest real part. If they
    are not one real semisimple eigenvalue, tokens rotate for ever or creep: None.

    Args:
        head: a `Softmax` head with key^T query injective; a positive factor of the query has no
            part.
        points: x0, shape (n, d), on the unit sphere.

    Returns:
        Array (n, d); NaN for a token with $\Pi x_0 = 0$ up to rounding.

    Raises:
        ValueError: points off the sphere or of another dimension; a score matrix that is not
            injective.
        TypeError: no softmax head.

    Source: ours (chapter on low temperature).

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde.theory import low_temperature
        >>> head = tp.Softmax(np.diag([0.1, 1.0]), np.eye(2), np.diag([1.0, 0.5]))
        >>> low_temperature.zero_temperature_limit(head, [[0.8, 0.6], [0.8, -0.6]])
        array([[ 0.,  1.],
               [ 0., -1.]])
    """
    A, V = _matrices(head)
    x = _on_sphere(points, len(A))
    top = _top(V @ A)
    if top is None:
        return None
    image, least = x @ top[0].T, ROUNDING * np.linalg.norm(top[0])
    size = np.linalg.norm(image, axis=1, keepdims=True)
    found = np.divide(image, size, out=np.full_like(image, np.nan), where=size > least)
    return frozen(found + 0.0)


@quiet
def zero_temperature_rate(head: Softmax, points: Any) -> Array | None:
    r"""Return the rates $\text{gap}/|A\pi(x_0)|$ at which tokens reach their limits; None if none.

    The gap is that of the real parts of the eigenvalues of M = VA. Almost every token has this
    rate; one without a part in the second eigenspaces is faster.

    Args:
        head: a `Softmax` head with key^T query injective; a positive factor of the query has no
            part.
        points: x0, shape (n, d), on the unit sphere.

    Returns:
        Array (n,); NaN for a token without a limit, infinite where no token moves.

    Raises:
        ValueError: points off the sphere or of another dimension; a score matrix that is not
            injective.
        TypeError: no softmax head.

    Source: ours (chapter on low temperature).
    """
    limits = zero_temperature_limit(head, points)
    A, V = _matrices(head)
    top = _top(V @ A)
    if limits is None or top is None:
        return None
    return frozen(np.asarray(top[1] / np.linalg.norm(limits @ A.T, axis=1)))


@quiet
def uniform_mean(concentration: Any, dimension: int) -> Array:
    r"""Return the length of the attention mean of the uniform law, $I_{d/2}(K)/I_{d/2-1}(K)$.

    Its direction is Ax, exactly; $K = \beta|Ax|$.

    Args:
        concentration: K, a number or (n,), positive.
        dimension: d, at least 2.

    Raises:
        ValueError: a concentration that is not positive and finite, a dimension below two.

    Source: ours (chapter on low temperature).
    """
    K, d = positive_array("concentration", concentration, "..."), sphere_dimension(dimension)
    return frozen(bessel_quotients(d / 2 - 1, 1, K))


@quiet
def laplace_mean(direction: Any, concentration: float, gradient: Any) -> Array:
    r"""Return the attention mean to second order in $1/K$, for a smooth positive density.

    $m = e + \frac1K(\nabla\log\rho(e) - \frac{d-1}2e) + O(K^{-2})$, with
    $e = Ax/|Ax|$ and $K = \beta|Ax|$.

    Args:
        direction: e, shape (d,), on the unit sphere.
        concentration: K, positive.
        gradient: the gradient of the log of the density at e, shape (d,), tangential.

    Raises:
        ValueError: a direction off the sphere, shapes that do not match, a gradient with a part
            along e, a concentration that is not positive.

    Source: ours (chapter on low temperature).
    """
    e, g = finite_array("direction", direction, "d"), finite_array("gradient", gradient, "d")
    K = positive_number("concentration", concentration)
    same_size("gradient", len(g), "direction", len(e), "dimension")
    Sphere().check("direction", e[None])
    sphere_dimension(len(e))
    if abs(g @ e) > EQUAL * np.linalg.norm(g):
        raise ValueError(
            "gradient: must be tangential, at right angles to the direction; got a part of "
            f"{g @ e} along it. Subtract it first."
        )
    return frozen(e + (g - (len(e) - 1) / 2 * e) / K)


@quiet
def laplace_bound(concentration: Any, dimension: int, mass: float) -> Array:
    r"""Return the bound $(2[(d+1)\log K + 2/\kappa]/K)^{1/2}$ on the distance of the mean from e.

    It holds for every law with $\mu\{1 - \langle y, e\rangle\le h\}\ge\kappa h^{(d-1)/2}$ for
    $h\le1$, and $K\ge2$.

    Args:
        concentration: K, a number or (n,), at least 2.
        dimension: d, at least 2.
        mass: kappa, positive.

    Raises:
        ValueError: a concentration below 2, a dimension below two, a mass that is not positive.

    Source: ours (chapter on low temperature).
    """
    K, d = positive_array("concentration", concentration, "..."), sphere_dimension(dimension)
    if K.min() < 2:
        raise ValueError(f"concentration: the bound holds from 2 on; got {K.min()}.")
    kappa = positive_number("mass", mass)
    return frozen(np.asarray(np.sqrt(2 * ((d + 1) * np.log(K) + 2 / kappa) / K)))


class ConcentrationTimes(NamedTuple):
    """Times over the log of the inverse temperature: of the best concentration, of the escape."""

    best: float
    escape: float


@quiet
def concentration_times(values: Any, scores: Any) -> ConcentrationTimes | None:
    r"""Return the times of best concentration and of escape over $\log\beta$, in the plane.

    For V = diag(v1, v2), A = diag(a1, a2) with $v_1 > v_2 > 0$ and
    $g = v_2a_2 - v_1a_1 > 0$, where V and VA disagree: $a_2/(2g)$ and
    $\frac12[a_2/g + 1/(v_1 - v_2)]$, exact for the model on the tangent line at $e_2$. None where
    they agree.

    Args:
        values: (v1, v2).
        scores: (a1, a2), with a2 positive.

    Raises:
        ValueError: not two entries each, or not finite.

    Source: ours (chapter on low temperature).

    Example:
        >>> from transpde.theory import low_temperature
        >>> low_temperature.concentration_times([1.0, 0.5], [0.1, 1.0])
        ConcentrationTimes(best=1.25, escape=2.25)
    """
    v1, v2, _, a2, g = _plane(values, scores)
    if not (v1 > v2 > 0 and g > 0 and a2 > 0):
        return None
    best = a2 / (2 * g)
    return ConcentrationTimes(float(best), float(best + 1 / (2 * (v1 - v2))))


@quiet
def concentration_constant(values: Any, scores: Any, ratio: float) -> float | None:
    r"""Return the limit C of $\beta$ times the least squared distance in the tangent model.

    $C = \min_{u>0} u[1 + q(1 + \frac{v_2}{gu})^{v_1/v_2}]$ with $q = (m_0/s_0)^2$: the best
    $W_2^2$ to the pole is $C/\beta$. None where V and VA agree.

    Args:
        values: (v1, v2) of V = diag(v1, v2).
        scores: (a1, a2) of A, with a2 positive.
        ratio: the size of m0 over s0, of the normal law at time 0, positive.

    Raises:
        ValueError: not two entries each, or not finite; a ratio that is not positive.

    Source: ours (chapter on low temperature).

    Example:
        >>> from transpde.theory import low_temperature
        >>> round(low_temperature.concentration_constant([1.0, 0.5], [0.1, 1.0], 0.05), 5)
        0.13141
    """
    v1, v2, _, _, g = _plane(values, scores)
    log_q = 2 * np.log(positive_number("ratio", ratio))
    if concentration_times(values, scores) is None:
        return None
    log_kappa, p = np.log(v2) - np.log(g), v1 / v2
    log_less = np.log(v1 - v2) - np.log(v2)  # of p - 1

    def log_of(log_w: float) -> float:
        """The log of 1 + z, with (p - 1) z = 1 + w."""
        return float(np.logaddexp(0, np.logaddexp(0, log_w) - log_less))

    # In z = kappa / u the slope vanishes for q (1 + z)^(p - 1) ((p - 1) z - 1) = 1: one root.
    most = (p - 1) * log_of(-log_q)
    log_w = brentq(lambda x: log_q + x + (p - 1) * log_of(x), -log_q - most - 1, 1 - log_q,
                   xtol=1e-14)  # fmt: skip
    log_z = np.logaddexp(0, log_w) - log_less
    log_C = log_kappa - log_z + np.logaddexp(0, log_q + p * log_of(log_w))
    if log_C > LARGEST:
        raise ValueError(f"ratio: the constant must be below 1e308; got e^{log_C:.6g} for it.")
    return float(np.exp(log_C))


@quiet
def tangent_model(
    values: Any, scores: Any, beta: float, mean: float, spread: float, time: Any
) -> tuple[Array, Array]:
    r"""Return mean and spread in time of the Gaussian model on the tangent line at $e_2$.

    With $u = \beta s^2$: $d\log s/dt = v_1a_1u/(1 + a_2u) - v_2$ and d log m/dt is the same plus
    $v_1/(1 + a_2u)$. The solution is
    $t = \frac12[\frac1{v_2}\log\frac{u_0}u + (\frac{a_2}g - \frac1{v_2})
    \log\frac{v_2 + gu_0}{v_2 + gu}]$ and
    $\frac ms = \frac{m_0}{s_0}[\frac{u_0(v_2 + gu)}{u(v_2 + gu_0)}]^{v_1/2v_2}$.

    Args:
        values: (v1, v2) of V = diag(v1, v2), v2 positive.
        scores: (a1, a2) of A, a2 positive, with $g = v_2a_2 - v_1a_1 > 0$.
        beta: the inverse temperature, positive.
        mean: m0, of x1 at time 0.
        spread: s0, its standard deviation, positive.
        time: times, a number or (T,), not negative.

    Returns:
        The mean and the spread, of the shape of `time`.

    Raises:
        ValueError: parameters outside of these; times that are negative or not finite, or so late
            that the mean is no number.

    Source: ours (chapter on low temperature).
    """
    v1, v2, a1, a2, g = _plane(values, scores)
    if not (v2 > 0 and a2 > 0 and g > 0):
        raise ValueError(
            "values, scores: must have v2 > 0, a2 > 0 and v2 a2 > v1 a1, so that VA prefers the "
            f"second axis; got values {v1, v2} and scores {a1, a2}."
        )
    b, s0 = positive_number("beta", beta), positive_number("spread", spread)
    t = non_negative_array("time", time)
    m0 = finite_number("mean", mean)
    u0, power = b * s0**2, a2 / g - 1 / v2
    if not (np.isfinite(g * u0) and u0 > 0):
        raise ValueError(f"beta, spread: beta spread^2 must be a number; got {b} and {s0}.")

    def late(fallen: float) -> float:
        """The time at which u has fallen to u0 e^(-fallen)."""
        rest = np.log((v2 + g * u0) / (v2 + g * u0 * np.exp(-fallen)))
        return float((fallen / v2 + power * rest) / 2)

    # du/dt = -2 u (v2 + g u) / (1 + a2 u), so log u falls at between v2 and g / a2, both doubled.
    fastest = 2 * max(v2, g / a2)
    falls = np.array([
        brentq(lambda f, at=at: late(f) - at, 0.0, fastest * at + 1, xtol=1e-14, rtol=1e-14)
        for at in t.ravel()
    ]).reshape(t.shape)  # fmt: skip
    s = s0 * np.exp(-falls / 2)
    log_ratio = falls + np.log((v2 + g * u0 * np.exp(-falls)) / (v2 + g * u0))
    log_m = -falls / 2 + log_ratio * v1 / (2 * v2)
    if m0 and log_m.max() + np.log(abs(m0)) > LARGEST:
        raise ValueError(f"time: the mean must stay below 1e308; it is above by time {t.max()}.")
    m = np.sign(m0) * np.exp(log_m + np.log(abs(m0))) if m0 else np.zeros(t.shape)
    return frozen(np.asarray(m)), frozen(np.asarray(s))


@quiet
def fastest_degree(beta: float, dimension: int) -> int:
    r"""Return the degree that grows fastest from the uniform law for V = I, about $\sqrt{2\beta}$.

    Args:
        beta: the inverse temperature, positive.
        dimension: d, at least 2.

    Raises:
        ValueError: an inverse temperature that is not positive or above 1e12, a dimension below
            two.

    Source: ours (chapter on low temperature).

    Example:
        >>> from transpde.theory import low_temperature
        >>> [low_temperature.fastest_degree(beta, 2) for beta in (10.0, 50.0, 200.0, 1000.0)]
        [4, 10, 20, 45]
    """
    b = positive_number("beta", beta)
    if b > WARMEST:
        raise ValueError(f"beta: must be at most {WARMEST:.0e}; got {b}, of too many degrees.")
    degrees = np.arange(1, int(3 * np.sqrt(2 * b)) + 4)
    return int(degrees[np.argmax(mode_rates(b, dimension, degrees))])


def _clock(A: Array, M: Array, x: Array, last: float) -> Any:
    """Return the map of times (T,) to the clocks (T, n) of the points."""

    def speed(_: float, s: Array) -> Array:
        return np.asarray(1 / np.linalg.norm(_there(M, s, x) @ A.T, axis=1))

    path = followed(
        "the clock of tokens", speed, (0.0, max(last, 1e-300)), np.zeros(len(x)),
        rtol=1e-12, atol=1e-13, dense_output=True,
    )  # fmt: skip
    return lambda t: path.sol(t).T


def _there(M: Array, clocks: Array, x: Array) -> Array:
    """Return the points after the clocks (n,), normalised."""
    y = (expm(clocks[:, None, None] * (M - _shift(M))) @ x[..., None])[..., 0]
    size = np.linalg.norm(y, axis=1, keepdims=True)
    faint = size[:, 0] < FAINT  # of no part in the top eigenvalue: in two steps
    if faint.any():
        half = clocks[faint] / 2
        y[faint] = _there(M, half, _there(M, half, x[faint]))
        size[faint] = 1.0
    return np.asarray(y / size)


def _shift(M: Array) -> Array:
    """Return the largest real part of the eigenvalues, times the identity."""
    return np.asarray(np.linalg.eigvals(M).real.max() * np.eye(len(M)))


def _top(M: Array) -> tuple[Array, float] | None:
    """Return the projector of a real semisimple top eigenvalue, and the gap; None for another."""
    values, size = np.linalg.eigvals(M), np.linalg.norm(M)
    most = values.real.max()
    least = most - EQUAL * abs(most) - ROUNDING * size
    T, basis, k = schur(M, output="complex", sort=lambda z: z.real >= least)
    top, rest = T.diagonal()[:k], T.diagonal()[k:]
    off = np.abs(T[:k, :k] - top.real.mean() * np.eye(k)).max()
    if off > 2 * (EQUAL * abs(most) + ROUNDING * size):  # a complex pair, a Jordan block
        return None
    across = solve_sylvester(T[:k, :k], -T[k:, k:], T[:k, k:]) if len(rest) else T[:k, k:]
    projector = (basis[:, :k] @ np.hstack([np.eye(k), across]) @ basis.conj().T).real
    if np.linalg.norm(projector) > DEFECTIVE:
        return None
    return projector, float(most - rest.real.max()) if len(rest) else np.inf


def _matrices(head: Any) -> tuple[Array, Array]:
    """Return A = K^T Q over its largest entry, and V, of a softmax head with A injective."""
    of_kind("head", head, Softmax)
    one_case("head", head.query, head.key, head.value)
    A, V = head.key.T @ head.query, head.value
    if np.linalg.matrix_rank(A) < len(A):
        raise ValueError(
            "head: key^T query must be injective; got one of lower rank, which weighs no token "
            "where it is zero."
        )
    return A / np.abs(A).max(), V


def _on_sphere(points: Any, dimension: int) -> Array:
    x = finite_array("points", points, "n d")
    same_size("points", x.shape[1], "the head", dimension, "dimension")
    Sphere().check("points", x)
    return x


def _plane(values: Any, scores: Any) -> tuple[float, float, float, float, float]:
    """Return v1, v2, a1, a2 and g = v2 a2 - v1 a1."""
    (v1, v2), (a1, a2) = _pair("values", values), _pair("scores", scores)
    with np.errstate(over="ignore", invalid="ignore"):
        g = v2 * a2 - v1 * a1
    if not np.isfinite(g):
        raise ValueError(
            f"values, scores: their products must be finite; got values {v1, v2} and scores "
            f"{a1, a2}."
        )
    return float(v1), float(v2), float(a1), float(a2), float(g)


def _pair(name: str, value: Any) -> Array:
    pair = finite_array(name, value, "k")
    same_size(name, len(pair), "the plane", 2, "length")
    return pair
