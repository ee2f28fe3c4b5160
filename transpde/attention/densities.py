r"""Fields of densities on the circle and of symmetric laws on spheres, under exponential weights.

Both sums have $Z(x) = \int e^{\langle Ax, y\rangle}\,d\mu(y)$ and its moments. On the circle
$A = \beta I$ makes them convolutions. For a symmetric law they are sums over nodes of averages
over directions, $B(z) = \mathbb E\,e^{zt}$ with t the first coordinate on $S^{d-2}$: a function
${}_0F_1$ or a scaled Bessel function.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import gammaln, hyp0f1, ive

from transpde.attention.base import MeasureField
from transpde.checks import Array, frozen
from transpde.kernels.blocks import slices
from transpde.measures import Axial, Circle
from transpde.measures.circle import equal_angles

__all__ = ["AxialField", "CircleField", "angles_for", "exponentials", "isotropic", "moments_of"]

ROUNDING = 1e-13  # relative
TINY = 1e-300  # inverse temperatures at which weights are equal
SAFE = 1e-290  # the least scaled Bessel function that is used
HIGH = 100.0  # the order from which Debye's expansion serves
CANCELLED = 1e-6  # what is left of a sum, beside its terms, that keeps no ten digits
NEGLIGIBLE = 1e-18  # coefficients beside the largest, which is at least one
UNSEEN = 1e-10  # of the largest sum of weights: what is left has six digits of a density
NARROW = 1e-6  # the first mode of the weights that a sum over angles takes for another one
AT_ONCE = 1 << 20  # pairs whose weights are held at once


def isotropic(matrix: Array) -> float | None:
    """Return b of a matrix b I, None for another one."""
    if matrix.ndim != 2:
        return None
    b = float(np.trace(matrix)) / len(matrix)
    off = np.abs(matrix - b * np.eye(len(matrix))).max()
    return b if off <= ROUNDING * np.abs(matrix).max() else None


def angles_for(width: float) -> int:
    r"""Return the angles n for which $e^{K\cos\theta}$ has no modes of weight beyond 2n/3.

    A density has modes up to n/3, so these are what a sum over n angles takes for its own. The
    quotient $I_k(K)/I_0(K)$ is at most about $e^{\sqrt{k^2 + K^2} - K - k\,\mathrm{arsinh}(k/K)}$.
    """
    if width < TINY:
        return 0
    low, high = 0.0, 40.0 + 10 * np.sqrt(width)
    while high - low > 0.5:
        k = (low + high) / 2
        # hypot(k, K) - K, without cancellation
        size = k * k / (np.hypot(k, width) + width) - k * np.arcsinh(k / width)
        low, high = (low, k) if size < np.log(NARROW) else (k, high)
    return int(np.ceil(1.5 * high))


class LawField(MeasureField):
    """The field that a head makes of a law on a sphere, by sums over masses, some at a time."""

    @abstractmethod
    def sums(self, x: Array) -> Array:
        """Return the velocities at a few points (m, d)."""

    def values(self, x: Array, positions: Array | None = None) -> Array:
        """Return the velocities at points (m, d)."""
        found = np.empty(x.shape)
        for rows in slices(0, len(x), max(1, AT_ONCE // len(self.measure.pack()))):
            found[rows] = self.sums(x[rows])
        return found


@dataclass(frozen=True, eq=False, repr=False)
class CircleField(LawField):
    """The field that a softmax or unnormalised head makes of a density on the circle."""

    head: Any
    measure: Circle

    def sums(self, x: Array) -> Array:
        """Return the velocities at points (m, 2), by trapezoid sums over the angles."""
        A = self.head.key.T @ self.head.query
        weights, shift = exponentials(x @ A.T, self.measure.points)
        return self._velocities(weights @ moments_of(self.measure), shift)

    def at_angles(self) -> Array:
        """Return the velocities at the angles of the density itself, (n, 2)."""
        A, n = self.head.key.T @ self.head.query, len(self.measure.density)
        b = isotropic(A)
        if b is None:
            weights, shift = _weights_at_angles(A.tobytes(), n)
            return self._velocities(self._seen(weights @ moments_of(self.measure)), shift)
        kernel = np.fft.rfft(np.exp(b * np.cos(self.measure.angles) - abs(b)))
        sums = np.fft.irfft(
            kernel[:, None] * np.fft.rfft(moments_of(self.measure), axis=0), n, axis=0
        )
        return self._velocities(self._seen(sums), np.full((n, 1), abs(b)))

    def _seen(self, sums: Array) -> Array:
        """Return the sums, or raise where a mean would rest on what rounding leaves."""
        masses = sums[:, 0]
        at = int(masses.argmin())
        if self.head.normalised and masses[at] < UNSEEN * masses.max():
            raise RuntimeError(
                f"flow: at the angle {self.measure.angles[at]:.6g} attention looks where the "
                f"density is less than {UNSEEN:.0e} of what it is elsewhere, and Fourier modes do "
                "not resolve it. Take a higher temperature, or move tokens: circle.particles."
            )
        return sums

    def _velocities(self, sums: Array, shift: Array) -> Array:
        """Return the velocities from the sums of weights that are too small by a log."""
        factor = 1 / sums[:, :1] if self.head.normalised else np.exp(shift)
        return np.asarray((sums[:, 1:] * factor) @ self.head.value.T)


def moments_of(circle: Circle) -> Array:
    """Return the masses, and the masses times the points, (n, 3)."""
    m = circle.masses[:, None]
    return np.concatenate([m, m * circle.points], axis=1)


def exponentials(scores_of: Array, points: Array) -> tuple[Array, Array]:
    """Return exponentials of scores (m, n) over the largest on the circle, and its log (m, 1)."""
    shift = np.linalg.norm(scores_of, axis=1, keepdims=True)
    return np.exp(scores_of @ points.T - shift), shift


@lru_cache(maxsize=4)
def _weights_at_angles(matrix: bytes, n: int) -> tuple[Array, Array]:
    """Return the weights between n equal angles, which no density changes."""
    theta = equal_angles(n)
    points = np.stack([np.cos(theta), np.sin(theta)], axis=1)
    weights, shift = exponentials(points @ np.frombuffer(matrix).reshape(2, 2).T, points)
    return frozen(weights), frozen(shift)


@dataclass(frozen=True, eq=False, repr=False)
class AxialField(LawField):
    r"""The field of a head with $K^\top Q = \beta I$, $V = vI$ on a symmetric law.

    $$\Gamma(x) = v\sum_i m_i e^{\beta x_1u_i}\big(u_iB_d(z)\,e + \tfrac{\beta s_i^2}{d-1}
    B_{d+2}(z)\,x_\perp\big), \qquad z = \beta|x_\perp|s_i,$$
    over $\sum_i m_ie^{\beta x_1u_i}B_d(z)$ for softmax.
    """

    beta: float
    scale: float
    normalised: bool
    measure: Axial

    def sums(self, x: Array) -> Array:
        """Return the velocities at points (m, d), by sums over the nodes."""
        along, across = self._parts(x[:, 0], np.linalg.norm(x[:, 1:], axis=1))
        found = across[:, None] * x
        found[:, 0] = along
        return found

    def rates(self) -> Array:
        r"""Return the derivatives of $q = \operatorname{artanh} u$ at the nodes.

        It is $v\,\partial_uZ/\beta$, over Z for softmax, so it comes from the harmonics of Z;
        where these cancel, far from all mass at low temperature, from sums over pairs.
        """
        Z, slope, size = _harmonic_sums(self.beta, self.measure)
        if np.min(Z) > CANCELLED * size:
            factor = 1 / Z if self.normalised else np.exp(abs(self.beta))
            return np.asarray(self.scale * slope * factor)
        u, s = self.measure.heights, self.measure.widths
        parts = [
            along - u[rows] * across
            for rows in np.array_split(np.arange(len(u)), 1 + len(u) ** 2 // AT_ONCE)
            for along, across in [self._parts(u[rows], s[rows])]
        ]
        return np.concatenate(parts)

    def _parts(self, along: Array, across: Array) -> tuple[Array, Array]:
        """Return the field along the axis, and across it over the distance to it."""
        d, beta, law = self.measure.dimension, self.beta, self.measure
        u, s = law.heights, law.widths
        z = np.abs(beta) * across[:, None] * s
        scores = beta * along[:, None] * u + z
        shift = scores.max(axis=1, keepdims=True) if self.normalised else 0.0
        weights = law.masses * np.exp(scores - shift)
        even, odd = scaled_average(d, z), scaled_average(d + 2, z)
        first = (weights * even) @ u
        second = (weights * odd) @ s**2 * beta / (d - 1)
        factor = self.scale
        if self.normalised:
            factor = factor / (weights * even).sum(axis=1)
        return first * factor, second * factor


def scaled_average(dimension: int, z: Array) -> Array:
    r"""Return $e^{-z}B(z)$ for $z\ge 0$, B the mean of $e^{zt}$ over $S^{d-2}$, t a coordinate."""
    return np.exp(log_average((dimension - 3) / 2, z))


def log_average(order: Any, z: Any) -> Array:
    r"""Return the logarithm of $e^{-z}\Gamma(\nu+1)(2/z)^\nu I_\nu(z)$, finite for all z >= 0.

    By scaled Bessel functions; by a series for z < 1; and where they leave the range of floats by
    the expansions for large order (uniform in z) or for large z.
    """
    nu, z = np.broadcast_arrays(np.asarray(order, float), np.asarray(z, float))
    large, small = np.maximum(z, 1.0), np.minimum(z, 1.0)
    scaled = ive(nu, large)
    near = np.log(hyp0f1(nu + 1, small**2 / 4)) - small
    usual = gammaln(nu + 1) + nu * np.log(2 / large) + np.log(np.maximum(scaled, SAFE))
    found = np.where(z > 1.0, usual, near)
    beyond = (z > 1.0) & ~(scaled > SAFE)  # nan counts
    if beyond.any():
        far = np.where(nu > HIGH, _of_high_order(np.maximum(nu, HIGH), large), _of_far(nu, large))
        found = np.where(beyond, far, found)
    return np.asarray(found)


def _of_high_order(nu: Array, z: Array) -> Array:
    """Return that logarithm by four terms of Debye's expansion."""
    x = z / nu
    root = np.hypot(1.0, x)
    p = 1 / root
    terms = (
        (3 * p - 5 * p**3) / 24,
        (81 * p**2 - 462 * p**4 + 385 * p**6) / 1152,
        (30375 * p**3 - 369603 * p**5 + 765765 * p**7 - 425425 * p**9) / 414720,
        (4465125 * p**4 - 94121676 * p**6 + 349922430 * p**8 - 446185740 * p**10
         + 185910725 * p**12) / 39813120,
    )  # fmt: skip
    series = sum(term / nu ** (k + 1) for k, term in enumerate(terms))
    stirling = 1 / (12 * nu) - 1 / (360 * nu**3)  # of log Gamma
    beyond = x * (x / (1 + root))  # root - 1
    growth = -nu * ((x + beyond) / (root + x) + np.log1p(beyond / 2))
    return np.asarray(growth + stirling - np.log(root) / 2 + np.log1p(series))


def _of_far(nu: Array, z: Array) -> Array:
    """Return that logarithm by two terms of the expansion for large z."""
    over = (nu**2 - 0.25) / 2 / z
    series = np.log1p(-over + over * (nu**2 - 2.25) / 4 / z)
    size = gammaln(nu + 1) + nu * (np.log(2) - np.log(z)) - (np.log(2 * np.pi) + np.log(z)) / 2
    return np.asarray(size + series)


@lru_cache(maxsize=16)
def _coefficients(beta: float, dimension: int) -> tuple[Array, Array]:
    r"""Return those of $e^{\beta t - |\beta|}$ in Gegenbauer polynomials of value 1 at 1.

    The second ones are over beta.
    """
    half, size = dimension / 2, abs(beta)
    degree = np.arange(int(40 + 11 * np.sqrt(size)))
    # The number of harmonics of a degree is (2l + d - 2) (l + d - 3)! / (l! (d - 2)!).
    log_count = (
        np.log(np.maximum(2 * degree + dimension - 2, 1))
        + gammaln(np.maximum(degree + dimension - 2, 1))
        - gammaln(degree + 1)
        - gammaln(dimension - 1)
    )
    log_count[0] = 0.0
    if size > 1:
        logs = log_count + gammaln(half) - gammaln(degree + half) + degree * np.log(size / 2)
        values = np.exp(logs + log_average(degree + half - 1, size)) * np.sign(beta) ** degree
        over = values / beta
    else:
        rest = np.exp(log_count + gammaln(half) - gammaln(degree + half) - size)
        rest = rest * hyp0f1(degree + half, size**2 / 4)
        values, over = rest * (beta / 2) ** degree, np.zeros(len(degree))
        over[1:] = rest[1:] * (beta / 2) ** (degree[1:] - 1) / 2
    seen = np.abs(values) + np.abs(over) * (1 + degree) ** 2
    last = np.flatnonzero(seen > NEGLIGIBLE * seen.max())[-1] + 1
    return frozen(values[:last]), frozen(over[:last])


def _harmonic_sums(beta: float, law: Axial) -> tuple[Array, Array, float]:
    r"""Return Z and its derivative by u over beta at the nodes, over $e^{|\beta|}$.

    The last one is the largest size of the terms of Z.
    """
    d, u, m = law.dimension, law.heights, law.masses
    c, c_over = _coefficients(beta, d)
    Z, slope, size = np.full(len(u), c[0] * m.sum()), np.zeros(len(u)), float(c[0])
    # P_l' = l (l + d - 2) / (d - 1) times the polynomial of degree l - 1 in dimension d + 2.
    last, now = np.ones(len(u)), u
    raised_last, raised = np.zeros(len(u)), np.ones(len(u))
    for degree in range(1, len(c)):
        moment = m @ now
        Z += c[degree] * moment * now
        slope += c_over[degree] * moment * degree * (degree + d - 2) / (d - 1) * raised
        size += abs(c[degree] * moment)
        last, now = now, _next(degree, d, u, last, now)
        raised_last, raised = raised, _next(degree - 1, d + 2, u, raised_last, raised)
    return Z, slope, size


def _next(degree: int, dimension: int, u: Array, last: Array, now: Array) -> Array:
    """Return the Gegenbauer polynomial of the next degree, of value 1 at 1."""
    over = degree + dimension - 2
    return ((2 * degree + dimension - 2) * u * now - degree * last) / over
