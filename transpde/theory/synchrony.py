r"""Two tokens under a noise that is common to them: exponents, densities, means.

Tokens of the unit sphere follow
$$dx = P_x(\Gamma_\mu\,dt + dB(x)) - \tfrac{d-1}2\kappa(1)x\,dt$$
with a field B of covariance $\kappa(\langle x, y\rangle)I$, the same for all. Their angle is a
diffusion on $[0, \pi]$, and r is $1 - \cos\theta$. Two tokens may attend to each other, by softmax
with $A = \beta I$ and $V = vI$.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.linalg import solve_banded
from scipy.optimize import minimize_scalar
from scipy.special import expit

from transpde.checks import (
    Array,
    entries,
    generator,
    increasing_times,
    listing,
    non_negative_number,
    number,
    of_kind,
    positive_integer,
    positive_number,
    same_size,
)
from transpde.fields import quiet
from transpde.flow import layers
from transpde.measures import Particles
from transpde.noise import CommonNoise, NoiseKernel
from transpde.spaces import Sphere

__all__ = [
    "PairMotion",
    "contraction_rate",
    "energy_exponent",
    "joining_probability",
    "layer_exponents",
    "lyapunov",
    "mean_energy",
    "moment_exponent",
    "pair_density",
    "pair_drift",
]

REACH, CELLS = 40.0, 4000  # of log tan(theta/2) for integrals over angles, and their number
LOWEST, ROWS = 40.0, 100  # of -log r for the backward equation, and rows a unit of log r
LONGEST, FIRST = 0.1, 8  # its steps over the rates, and halves of the first one
DEEPEST, LARGEST = -600.0, 600.0  # a log r below which rates are constant; a log of floats
APART, RENEWED = 1e-7, 20  # a distance, and layers after which it is put back
MOST, WORK = 1_000_000, 1e9  # rows at most, and rows times steps
LEAST, HUGE = 1e-300, 1e100  # a rate above zero; a parameter whose square is a float
SCAN = 4001  # values of log r where a supremum is sought


class PairMotion(NamedTuple):
    """The drift of an angle and its squared noise, arrays of one shape."""

    drift: Array
    variance: Array


def _setting(kernel: Any, dimension: Any) -> tuple[NoiseKernel, int]:
    of_kind("kernel", kernel, NoiseKernel, "a kernel of transpde.noise")
    d = positive_integer("dimension", dimension, 2)
    if kernel.dimension is not None:
        same_size("kernel", kernel.dimension, "the sphere", d, "dimension")
    return kernel, d


def _moderate(name: str, value: Any) -> float:
    return number(name, value, "a number between -1e100 and 1e100", lambda x: -HUGE <= x <= HUGE)


def _rates(kernel: NoiseKernel, d: int, r: Array) -> tuple[Array, Array]:
    """Return b/r and a/r^2 of the gap r in (0, 2]: its drift and its squared noise."""
    chord, rho = kernel.secant(r), 1 - r
    drift = (d - 2 + rho**2) * chord - kernel.at_one * (d - 3 + r)
    return drift, 2 * (2 - r) * (kernel.at_one + rho * chord)


@quiet
def lyapunov(kernel: NoiseKernel, dimension: int, value: float = 0.0) -> float:
    r"""Return $\lambda_1 - v$, at which the distance of two close tokens grows almost surely.

    $\lambda_1 = \frac12[(d-3)\kappa'(1) - (d-1)\kappa(1)]$ is the exponent of the noise, v that of
    softmax attention with V = vI, at any A and any number of tokens near their consensus.

    Args:
        kernel: of the noise.
        dimension: d, at least 2.
        value: v.

    Raises:
        TypeError: something that is no kernel.
        ValueError: a dimension below 2 or other than that of the kernel; a value not finite.

    Source: cited in `agazzi2026synchronization`; derivation ours (chapter on synchronisation by
    noise).

    Example:
        >>> from transpde.noise import ArcCosine
        >>> from transpde.theory import synchrony
        >>> synchrony.lyapunov(ArcCosine(5), 5)
        -0.1
    """
    kernel, d = _setting(kernel, dimension)
    noise = ((d - 3) * kernel.slope - (d - 1) * kernel.at_one) / 2
    return float(noise - _moderate("value", value))


@quiet
def moment_exponent(
    kernel: NoiseKernel, dimension: int, order: float, value: float = 0.0
) -> float:
    r"""Return $\Lambda(\gamma)$, at which the mean of $\theta^\gamma$ of two close tokens grows.

    $\Lambda(\gamma) = \gamma(\lambda_1 - v) + \frac12\gamma^2(\kappa(1) + \kappa'(1))$.

    Args:
        kernel: of the noise.
        dimension: d, at least 2.
        order: the number $\gamma$, of any sign.
        value: v of softmax attention with V = vI.

    Raises:
        TypeError: something that is no kernel.
        ValueError: a dimension below 2 or other than that of the kernel; numbers not finite.

    Source: ours (chapter on synchronisation by noise).

    Example:
        >>> from transpde.noise import ArcCosine
        >>> from transpde.theory import synchrony
        >>> round(synchrony.moment_exponent(ArcCosine(4), 4, 0.5), 6)
        -0.03125
    """
    gamma = _moderate("order", order)
    first = lyapunov(kernel, dimension, value)
    # In this order no part is beyond floats where the whole is not.
    return float(gamma * (first + gamma * ((kernel.at_one + kernel.slope) / 2)))


@quiet
def energy_exponent(kernel: NoiseKernel, dimension: int) -> float:
    r"""Return $\bar\lambda = \Lambda(2)$, at which the mean energy of a tight pair grows.

    It is $(d-1)\kappa'(1) - (d-3)\kappa(1)$.

    Args:
        kernel: of the noise.
        dimension: d, at least 2.

    Raises:
        TypeError: something that is no kernel.
        ValueError: a dimension below 2 or other than that of the kernel.

    Source: `agazzi2026synchronization`.

    Example:
        >>> from transpde.noise import ArcCosine
        >>> from transpde.theory import synchrony
        >>> synchrony.energy_exponent(ArcCosine(5), 5)
        0.2
    """
    kernel, d = _setting(kernel, dimension)
    return float((d - 1) * kernel.slope - (d - 3) * kernel.at_one)


@quiet
def pair_drift(
    kernel: NoiseKernel,
    dimension: int,
    angles: Any,
    value: float = 0.0,
    inverse_temperature: float = 1.0,
) -> PairMotion:
    r"""Return drift b and squared noise q of the angle of two tokens.

    In $d\theta = b\,dt + \sqrt q\,dw$ they are
    $b = (d-2)(\kappa(1)\cos\theta - \kappa(\cos\theta))/\sin\theta$ and
    $q = 2(\kappa(1) - \cos\theta\,\kappa(\cos\theta))$; attention adds
    $-2v\sin\theta/(1 + e^{\beta(1-\cos\theta)})$ to the drift.

    Args:
        kernel: of the noise.
        dimension: d, at least 2.
        angles: of any shape, between 0 and pi, ends excluded.
        value: v of softmax attention with V = vI.
        inverse_temperature: its $\beta$, at least 0.

    Returns:
        `PairMotion`, both of the shape of the angles.

    Raises:
        TypeError: something that is no kernel.
        ValueError: a dimension below 2 or other than that of the kernel; angles or numbers out of
            range.

    Source: ours, the terms those of `agazzi2026synchronization` (chapter on synchronisation by
    noise).

    Example:
        >>> import numpy as np
        >>> from transpde.noise import LinearKernel
        >>> from transpde.theory import synchrony
        >>> motion = synchrony.pair_drift(LinearKernel(), 5, np.pi / 2)
        >>> abs(round(float(motion.drift), 12)), float(motion.variance)
        (0.0, 2.0)
    """
    kernel, d = _setting(kernel, dimension)
    between = "between 0 and pi, ends excluded"
    theta = entries("angles", angles, "...", between, lambda x: (x > 0) & (x < np.pi))
    beta = non_negative_number("inverse_temperature", inverse_temperature)
    return PairMotion(*_motion(kernel, d, theta, _moderate("value", value), beta))


def _motion(
    kernel: NoiseKernel, d: int, theta: Array, v: float, beta: float
) -> tuple[Array, Array]:
    # Under odd noise the angle from the opposite token, where smaller, moves by the same law.
    far = (theta > np.pi / 2) & kernel.odd
    near = np.where(far, np.pi - theta, theta)
    r = 2 * np.sin(near / 2) ** 2
    chord = kernel.secant(np.maximum(r, np.finfo(float).tiny))
    drift = (d - 2) * np.tan(near / 2) * (chord - kernel.at_one) * np.where(far, -1, 1)
    with np.errstate(over="ignore"):
        drift = drift - 2 * v * np.sin(theta) / (1 + np.exp(beta * 2 * np.sin(theta / 2) ** 2))
    return drift, 2 * r * (kernel.at_one + (1 - r) * chord)


def _over_angles(kernel: NoiseKernel, d: int, v: float, beta: float) -> tuple[Array, Array, Array]:
    r"""Return s = log tan(theta/2), and there log(q) and $\int 2b\sin\theta/q\,ds$."""
    s = np.linspace(-REACH, REACH, CELLS + 1)
    r = 2 / (1 + np.exp(-2 * s))
    chord = kernel.secant(r)
    variance = 2 * r * (kernel.at_one + (1 - r) * chord)
    noise = (d - 2) * r * (chord - kernel.at_one)
    if kernel.odd:  # the angle from the opposite token moves by the same law
        half = CELLS // 2
        variance[half:], noise[half:] = variance[half::-1], -noise[half::-1]
    with np.errstate(over="ignore"):
        drift = noise - 2 * v / (np.cosh(s) ** 2 * (1 + np.exp(beta * r)))
    return s, np.log(variance), _primitive(2 * drift / variance, s[1] - s[0])


def _primitive(values: Array, step: float) -> Array:
    """Return integrals from the first node, by cubic interpolation between neighbours."""
    f = np.pad(values, 1, mode="reflect", reflect_type="odd")
    cells = step / 24 * (13 * (f[1:-2] + f[2:-1]) - f[:-3] - f[3:])
    return np.append(0.0, np.cumsum(cells))


def _along(s: Array, values: Array, at: Array) -> Array:
    """Return a function of s, which is linear before the first node."""
    inside = CubicSpline(s, values)
    return inside(np.maximum(at, s[0])) + inside(s[0], 1) * np.minimum(at - s[0], 0.0)


@quiet
def pair_density(
    kernel: NoiseKernel,
    dimension: int,
    angles: Any,
    value: float = 0.0,
    inverse_temperature: float = 1.0,
) -> Array | None:
    r"""Return the stationary density of the angle of two tokens, $\propto q^{-1}e^{\int 2b/q}$.

    Args:
        kernel: of the noise.
        dimension: d, at least 2.
        angles: of any shape, between 0 and pi, ends excluded.
        value: v of softmax attention with V = vI; negative: repulsion.
        inverse_temperature: its $\beta$, at least 0.

    Returns:
        Values of the shape of the angles, of integral 1 over them. None where
        $\lambda_1 - v\le0$: then tokens join, or the book decides nothing; and for an odd kernel
        where $\lambda_1 + 2v/(1+e^{2\beta})\le0$: then tokens can become opposite for good.

    Raises:
        TypeError: something that is no kernel.
        ValueError: a dimension below 2 or other than that of the kernel; angles or numbers out of
            range.

    Source: ours (chapter on synchronisation by noise).

    Example:
        >>> import numpy as np
        >>> from transpde.noise import RandomFeatures
        >>> from transpde.theory import synchrony
        >>> theta = np.linspace(0, np.pi, 2001)[1:-1]
        >>> p = synchrony.pair_density(RandomFeatures(1.0), 5, theta, value=-4.0)
        >>> round(float(p.sum() * np.pi / 2000), 4)
        1.0
    """
    motion = pair_drift(kernel, dimension, angles, value, inverse_temperature)
    d, v, beta = int(dimension), float(value), float(inverse_temperature)
    joining = lyapunov(kernel, d, v)
    parting = lyapunov(kernel, d) + 2 * v * float(expit(-2 * beta)) if kernel.odd else np.inf
    if min(joining, parting) <= 0:
        return None
    s, log_q, primitive = _over_angles(kernel, d, v, beta)
    logs = primitive - log_q - np.log(np.cosh(s))  # of the density in s
    top = logs.max()
    mass = np.trapezoid(np.exp(logs - top), s)
    # Beyond the nodes the density in s is an exponential, or at the far end nearly nothing.
    for end, rate in ((0, joining), (-1, parting)):
        mass += np.exp(logs[end] - top) * (kernel.at_one + kernel.slope) / (2 * rate)
    theta = np.asarray(angles, dtype=float)
    at = _along(s, primitive, np.log(np.tan(theta / 2)))
    return np.exp(at - top) / motion.variance / mass


@quiet
def joining_probability(kernel: NoiseKernel, dimension: int, angle: float) -> float:
    r"""Return the probability that two tokens join, at a start of their angle, under noise alone.

    For a kernel that is odd tokens join or become opposite, where $\lambda_1 < 0$, and the
    probability is one minus the scale function; for a linear kernel this is $1 - \theta/\pi$. For
    another kernel they join for certain. Where $\lambda_1\ge0$ they never do.

    Args:
        kernel: of the noise.
        dimension: d, at least 2.
        angle: of the tokens, between 0 and pi, ends excluded.

    Raises:
        TypeError: something that is no kernel.
        ValueError: a dimension below 2 or other than that of the kernel; an angle out of range.

    Source: ours (chapter on synchronisation by noise).

    Example:
        >>> from transpde.noise import LinearKernel
        >>> from transpde.theory import synchrony
        >>> round(synchrony.joining_probability(LinearKernel(), 4, 1.0), 6)
        0.68169
    """
    kernel, d = _setting(kernel, dimension)
    inside = "a number between 0 and pi, ends excluded"
    theta = number("angle", angle, inside, lambda x: 0 < x < np.pi)
    if lyapunov(kernel, d) >= 0:
        return 0.0
    if not kernel.odd:
        return 1.0
    s, _, primitive = _over_angles(kernel, d, 0.0, 1.0)
    logs = -primitive - np.log(np.cosh(s))
    top = logs.max()
    scale = _primitive(np.exp(logs - top), s[1] - s[0])
    # Beyond the nodes, at both ends alike, the density of the scale in s is an exponential.
    rate = -2 * lyapunov(kernel, d) / (kernel.at_one + kernel.slope)
    tail = np.exp(logs[0] - top) / rate
    at = float(np.log(np.tan(theta / 2)))
    below = tail * np.exp(min(rate * (at + REACH), 0.0)) + CubicSpline(s, scale)(max(at, -REACH))
    return float(1 - below / (scale[-1] + 2 * tail))


@quiet
def contraction_rate(kernel: NoiseKernel, dimension: int, order: float) -> float:
    r"""Return c(p): the mean of $r^p$, $r = 1 - \cos\theta$, falls at least like $e^{-c(p)t}$.

    With b and a the drift and the squared noise of r, c(p) is
    $-\sup_r p[b/r + \frac12(p-1)a/r^2]$. It holds for noise alone, and for two tokens with
    attention of V = vI, v >= 0. A negative number is a bound on growth.

    Args:
        kernel: of the noise.
        dimension: d, at least 2.
        order: p, positive and at most 1.

    Raises:
        TypeError: something that is no kernel.
        ValueError: a dimension below 2 or other than that of the kernel; an order out of range.

    Source: ours (chapter on synchronisation by noise).

    Example:
        >>> from transpde.noise import ArcCosine
        >>> from transpde.theory import synchrony
        >>> round(synchrony.contraction_rate(ArcCosine(4), 4, 0.25), 6)
        0.03125
    """
    kernel, d = _setting(kernel, dimension)
    p = positive_number("order", order)
    number("order", p, "a positive number of at most 1", lambda x: x <= 1)

    def growth(log_r: Any) -> Any:
        drift, variance = _rates(kernel, d, np.exp(np.atleast_1d(log_r)))
        return p * (drift + (p - 1) / 2 * variance)

    grid = np.linspace(-30.0, np.log(2), SCAN)
    values = growth(grid)
    best = int(values.argmax())
    found = float(values[best])
    if 0 < best < SCAN - 1:
        inside = (grid[best - 1], grid[best + 1])
        search = minimize_scalar(
            lambda y: -float(growth(y)[0]), bounds=inside, method="bounded",
            options={"xatol": 1e-12},
        )  # fmt: skip
        found = max(found, -float(search.fun))
    return -found


@quiet
def mean_energy(
    kernel: NoiseKernel, dimension: int, start: Any, times: Any, order: float = 1.0
) -> Array:
    r"""Return the mean of $r_t^p$, $r = 1 - \cos\theta$, of two tokens under noise alone.

    The backward equation in log r by differences of second order and the rule of Crank and
    Nicolson. For p = 1 it is the mean energy of the pair.

    Args:
        kernel: of the noise.
        dimension: d, at least 2.
        start: r at time 0, of any shape (...), above 0 and at most 2.
        times: increasing times from 0, shape (T,).
        order: p, positive.

    Returns:
        Shape (T, ...); a relative error of some 1e-3 at most.

    Raises:
        TypeError: something that is no kernel.
        ValueError: a dimension below 2 or other than that of the kernel; numbers out of range.

    Source: ours (chapter on synchronisation by noise).

    Example:
        >>> from transpde.noise import ArcCosine
        >>> from transpde.theory import synchrony
        >>> synchrony.mean_energy(ArcCosine(4), 4, 1e-3, [0.0, 8.0, 24.0]).round(4)
        array([0.001 , 0.005 , 0.0093])
    """
    kernel, d = _setting(kernel, dimension)
    t, p = increasing_times("times", times), positive_number("order", order)
    r0 = entries("start", start, "...", "above 0 and at most 2", lambda r: (r > 0) & (r <= 2))
    y = _log_gaps(kernel, d, p, float(np.log(r0.min())), float(t[-1]))
    drift, variance = _rates(kernel, d, np.exp(np.maximum(y, DEEPEST)))
    speed = float(np.abs([drift, variance]).max())
    matrix = _backward(drift, variance, p, y[1] - y[0])
    w, found = np.ones(len(y)), [np.ones(len(y))]
    counts = np.maximum(FIRST, np.ceil(np.diff(t) * speed / LONGEST))
    if counts.sum() * len(y) > WORK:
        raise ValueError(
            f"times: need {counts.sum():.3g} steps of {len(y)} rows each, more than can be "
            f"computed; got {t[-1]} at the end. End earlier."
        )
    for k, (length, count) in enumerate(zip(np.diff(t), counts.astype(int), strict=True)):
        w = _stepped(matrix, w, length / count, count, rough=k == 0)
        found.append(w)
    at = np.array([CubicSpline(y, one)(np.log(r0)) for one in found])
    return np.asarray(r0**p * at)


def _log_gaps(kernel: NoiseKernel, d: int, p: float, least: float, horizon: float) -> Array:
    """Return values of log r, down to where no path that matters has come from."""
    drift, variance = _rates(kernel, d, np.array([np.exp(-LOWEST)]))
    inward = float((drift + (p - 0.5) * variance)[0])
    growth = float(p * (drift + (p - 1) / 2 * variance)[0])
    low = min(least, 0.0) - LOWEST - max(inward, 0.0) * horizon
    count = ROWS * (np.log(2) - low)
    if growth * horizon > LARGEST or count > MOST:
        latest = LARGEST / growth if growth > 0 else MOST / ROWS / max(inward, LEAST)
        raise ValueError(
            f"times: must be below {latest:.4g}, where the mean of a tight pair is beyond floats "
            f"or needs too many rows; got {horizon}."
        )
    return np.linspace(low, np.log(2), int(count) + 1)


def _backward(drift: Array, variance: Array, p: float, h: float) -> Array:
    """Return the operator on w = u/r^p, its diagonals (3, rows) as `solve_banded` wants them."""
    variance[-1] = 0.0  # of opposite tokens
    second = variance / 2 / h**2
    # In log r the drift is b/r - a/(2 r^2); the factor r^p adds p a/r^2 to it.
    first = (drift + (p - 0.5) * variance) / h
    growth = p * (drift + (p - 1) / 2 * variance)
    up, down = second + first / 2, second - first / 2
    middle = growth - 2 * second
    up[0], down[0], middle[0] = 0.0, 0.0, growth[0]  # w is constant there
    up[-1], down[-1], middle[-1] = 0.0, -first[-1], growth[-1] + first[-1]  # inflow from inside
    return np.array([np.append(0.0, up[:-1]), middle, np.append(down[1:], 0.0)])


def _stepped(matrix: Array, w: Array, h: float, count: int, rough: bool) -> Array:
    """Return w after some steps; the first of all are two of half the length, fully implicit."""
    unit = np.array([[0.0], [1.0], [0.0]])
    for i in range(count):
        if rough and i == 0:
            for _ in range(2):
                w = solve_banded((1, 1), unit - h / 2 * matrix, w)
            continue
        applied = matrix[1] * w
        applied[:-1] += matrix[0][1:] * w[1:]
        applied[1:] += matrix[2][:-1] * w[:-1]
        w = solve_banded((1, 1), unit - h / 2 * matrix, w + h / 2 * applied)
    return w


@quiet
def layer_exponents(
    noise: CommonNoise,
    dimension: int,
    step: float,
    depth: int,
    *,
    replicas: int,
    seed: int | np.random.Generator,
    attention: Any = None,
) -> Array:
    r"""Return mean growth rates of the distance of two close tokens in noisy layers.

    Two tokens 1e-7 apart go through the layers, and after every twenty of them the distance is
    put back to that. As h tends to 0 and the depth to infinity rates tend to `lyapunov`.

    Args:
        noise: of a finite width, which resolves the distance.
        dimension: d, at least 2.
        step: h of each layer.
        depth: the number of layers, rounded up to a multiple of twenty.
        replicas: how many independent pairs.
        seed: of the starts and of the noise.
        attention: of the layers; none when left out.

    Returns:
        Shape (replicas,).

    Raises:
        TypeError: something that is no noise, an attention that is none.
        ValueError: a noise of infinite width, a dimension other than that of the kernel, numbers
            out of range.

    Source: ours (chapter on synchronisation by noise).

    Example:
        >>> from transpde.noise import CommonNoise, LinearKernel
        >>> from transpde.theory import synchrony
        >>> noise = CommonNoise(LinearKernel(), 8)
        >>> rates = synchrony.layer_exponents(noise, 3, 0.05, 200, replicas=100, seed=0)
        >>> round(float(rates.mean()), 1), synchrony.lyapunov(LinearKernel(), 3)
        (-1.0, -1.0)
    """
    of_kind("noise", noise, CommonNoise, "a CommonNoise")
    if noise.width is None:
        raise ValueError(
            "noise: must have a finite width, which resolves close tokens; got an infinite one."
        )
    _, d = _setting(noise.kernel, dimension)
    h, count = positive_number("step", step), positive_integer("replicas", replicas)
    blocks = -(-positive_integer("depth", depth) // RENEWED)
    rng = generator("seed", seed)
    points = rng.normal(size=(count, 2, d))
    space, total = Sphere(), np.zeros(count)
    for _ in range(blocks):
        first = space.retract(points[:, :1])
        towards = space.tangent(first, points[:, 1:] - first)
        towards *= APART / np.linalg.norm(towards, axis=-1, keepdims=True)
        pair = np.concatenate([first, space.retract(first + towards)], axis=1)
        before = np.linalg.norm(pair[:, 1] - pair[:, 0], axis=-1)
        start = Particles(pair, space=space)
        path = layers(start, attention, RENEWED, h, noise=noise, seed=rng)
        points = path.final.points
        total += np.log(np.linalg.norm(points[:, 1] - points[:, 0], axis=-1) / before)
    return total / (blocks * RENEWED * h)


__dir__ = listing(__all__)
