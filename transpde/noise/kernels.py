r"""Kernels of random layers: the covariance $\kappa(\langle x, y\rangle)I$ of a random field.

A network $G(x) = m^{-1/2}W\sigma(Ux/\sqrt d + b_U) + b_W$ of Gaussian entries, biases of deviation
$\sigma_U$ and $\sigma_W$, has for tokens of the unit sphere the covariance
$\kappa(\langle x, y\rangle)I$ at every width m.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from transpde.checks import (
    Array,
    Unchanging,
    finite_array,
    frozen,
    function,
    number,
    positive_integer,
    positive_number,
    same_shape,
)

__all__ = ["ArcCosine", "FromActivation", "LinearKernel", "NoiseKernel", "RandomFeatures"]

NODES, STEP = 181, 0.1  # of the trapezoidal rule on [-9, 9] for normal integrals
RESOLVED, STEIN = 1e-4, 1e-6  # of an integral by half the nodes; of a derivative by parts
TIGHT, BLOCK = 1e-9, 64  # a gap below which a chord is the tangent; gaps at a time
DEGREES, TAIL = 160, 1e-6  # of Hermite; the share of the square that may be beyond them
COMPLETE = 1e-13  # the share beyond them that is rounding
LARGEST = 1e100  # of a parameter, so that squares and sums are floats
ROUNDING = 1e-12  # within which tokens are on the unit sphere, and a kernel is odd
SERIES = 0.01  # an angle below which sin - angle cos is its series


def _size(name: str, value: Any) -> float:
    return number(name, value, "a number from 0 to 1e100", lambda x: 0 <= x <= LARGEST)


def _positive(name: str, value: Any) -> float:
    return _size(name, positive_number(name, value))


class NoiseKernel(Unchanging, ABC):
    r"""The covariance $\kappa(\langle x, y\rangle)$ of a random field on the unit sphere.

    A kernel of one's own states `at_one`, `slope` and `secant`; it must be positive definite,
    which is checked at the tokens where a field is drawn.
    """

    dimension: int | None = None

    @property
    @abstractmethod
    def at_one(self) -> float:
        r"""The variance $\kappa(1)$ of an entry of the field."""

    @property
    @abstractmethod
    def slope(self) -> float:
        r"""The derivative $\kappa'(1)$: the variance of an entry of its gradient."""

    @abstractmethod
    def secant(self, gap: Array) -> Array:
        r"""Return $(\kappa(1) - \kappa(1 - r))/r$ at gaps r in (0, 2], without cancellation."""

    def __call__(self, rho: Any) -> Array:
        r"""Return $\kappa(\rho)$ at inner products of unit vectors, of any shape, in [-1, 1]."""
        rho = finite_array("rho", rho, "...")
        if np.abs(rho).max() > 1:
            raise ValueError(
                f"rho: must be between -1 and 1; got {rho.flat[np.abs(rho).argmax()]}."
            )
        gap = np.maximum(1 - rho, np.finfo(float).tiny)
        return self.at_one - (1 - rho) * self.secant(gap)

    @property
    def odd(self) -> bool:
        r"""Whether $\kappa(-1) = -\kappa(1)$: opposite tokens then always have opposite noise."""
        return bool(abs(self(-1.0) + self.at_one) <= ROUNDING * self.at_one)

    def gram(self, points: Array) -> Array:
        """Return the covariances (..., n, n) of an entry of the field at points (..., n, d)."""
        if np.abs((points**2).sum(axis=-1) - 1).max() > 1e-6:
            raise ValueError(
                "noise: a kernel of inner products is for tokens of the unit sphere; got others. "
                "Give the measure space=Sphere(), or a kernel with a `gram` of its own."
            )
        gap = np.clip(1 - points @ points.mT, np.finfo(float).tiny, 2.0)
        return self.at_one - gap * self.secant(gap)

    def network(self, rng: np.random.Generator, stack: tuple[int, ...], width: int, d: int) -> Any:
        """Return the weights and biases of first layers of some width, one a case."""
        raise TypeError(
            f"width: {type(self).__name__} is no kernel of a network; got a width. Leave it out."
        )

    def hidden(self, points: Array, drawn: Any) -> Array:
        """Return the activations (..., n, width) of first layers, their mean square k(x, x)."""
        raise NotImplementedError

    @property
    def output_bias(self) -> float:
        """The standard deviation of the bias of the second layer."""
        return 0.0


@dataclass(frozen=True, repr=False, eq=False)
class LinearKernel(NoiseKernel):
    r"""The kernel $\kappa(\rho) = a\rho + c$ of a random matrix and a random constant.

    Args:
        scale: a, the positive variance of the entries of the matrix.
        constant: c, the variance of the constant, at least 0.

    Raises:
        ValueError: numbers out of range.

    Source: ours (chapter on synchronisation by noise).

    Example:
        >>> from transpde.noise import LinearKernel
        >>> kernel = LinearKernel(0.5, constant=0.25)
        >>> kernel.at_one, kernel.slope, kernel(-1.0).item()
        (0.75, 0.5, -0.25)
    """

    scale: float = 1.0
    constant: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", _positive("scale", self.scale))
        object.__setattr__(self, "constant", _size("constant", self.constant))

    @property
    def at_one(self) -> float:
        """The variance a + c."""
        return self.scale + self.constant

    @property
    def slope(self) -> float:
        """The slope a."""
        return self.scale

    def secant(self, gap: Array) -> Array:
        """Return a."""
        return np.full(np.shape(gap), self.scale)

    def gram(self, points: Array) -> Array:
        """Return the covariances (..., n, n)."""
        return self.scale * (points @ points.mT) + self.constant

    def network(self, rng: np.random.Generator, stack: tuple[int, ...], width: int, d: int) -> Any:
        """Return the first layers."""
        return (rng.normal(size=(*stack, width, d)),)

    def hidden(self, points: Array, drawn: Any) -> Array:
        """Return the values of the first layers."""
        return np.sqrt(self.scale) * (points @ drawn[0].mT)

    @property
    def output_bias(self) -> float:
        """The standard deviation of the constant."""
        return float(np.sqrt(self.constant))


@dataclass(frozen=True, repr=False, eq=False)
class RandomFeatures(NoiseKernel):
    r"""The kernel $e^{-s^2|x-y|^2/2}$ of random cosines, on the sphere $e^{-s^2(1-\rho)}$.

    Args:
        frequency: s, positive: tokens farther apart than 1/s have nearly independent noise.

    Raises:
        ValueError: a frequency that is not positive.

    Source: ours (chapter on synchronisation by noise).

    Example:
        >>> from transpde.noise import RandomFeatures
        >>> kernel = RandomFeatures(2.0)
        >>> kernel.at_one, kernel.slope
        (1.0, 4.0)
    """

    frequency: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "frequency", _positive("frequency", self.frequency))

    @property
    def at_one(self) -> float:
        """One."""
        return 1.0

    @property
    def slope(self) -> float:
        """The square of s."""
        return self.frequency**2

    def secant(self, gap: Array) -> Array:
        """Return the slope of the chord."""
        return -np.expm1(-self.slope * gap) / gap

    def gram(self, points: Array) -> Array:
        """Return the covariances (..., n, n)."""
        squares = (points**2).sum(axis=-1)
        gap = (squares[..., :, None] + squares[..., None, :]) / 2 - points @ points.mT
        return np.exp(-self.slope * np.maximum(gap, 0.0))

    def network(self, rng: np.random.Generator, stack: tuple[int, ...], width: int, d: int) -> Any:
        """Return frequencies and phases."""
        phase = 2 * np.pi * rng.random((*stack, 1, width))
        return self.frequency * rng.normal(size=(*stack, width, d)), phase

    def hidden(self, points: Array, drawn: Any) -> Array:
        """Return the cosines."""
        return np.sqrt(2) * np.cos(points @ drawn[0].mT + drawn[1])


class _Layered(NoiseKernel):
    """A kernel of a network with biases."""

    dimension: int

    def __init__(self, dimension: int, bias: float = 0.0, last_bias: float = 0.0) -> None:
        self.dimension = positive_integer("dimension", dimension)
        self.bias, self.last_bias = _size("bias", bias), _size("last_bias", last_bias)

    @property
    def variance(self) -> float:
        r"""The variance $1/d + \sigma_U^2$ of what an activation is applied to."""
        return 1 / self.dimension + self.bias**2

    def _inputs(self, points: Array) -> tuple[Array, Array]:
        """Return the deviations (..., n) of inputs, and their correlations (..., n, n)."""
        covariance = points @ points.mT / self.dimension + self.bias**2
        sizes = np.sqrt(np.einsum("...ii->...i", covariance))
        both = sizes[..., :, None] * sizes[..., None, :]
        with np.errstate(invalid="ignore", divide="ignore"):
            return sizes, np.clip(np.where(both > 0, covariance / both, 1.0), -1.0, 1.0)

    def network(self, rng: np.random.Generator, stack: tuple[int, ...], width: int, d: int) -> Any:
        """Return weights and biases of the first layers."""
        U = rng.normal(size=(*stack, width, d)) / np.sqrt(d)
        return U, self.bias * rng.normal(size=(*stack, 1, width))

    def hidden(self, points: Array, drawn: Any) -> Array:
        """Return the activations."""
        return self._activate(points @ drawn[0].mT + drawn[1])

    def _activate(self, z: Array) -> Array:
        raise NotImplementedError

    @property
    def output_bias(self) -> float:
        """The standard deviation of the bias of the second layer."""
        return self.last_bias


class ArcCosine(_Layered):
    r"""The kernel of a network of ReLU: an arc-cosine kernel, in closed form.

    With $v = 1/d + \sigma_U^2$ and $q = (\rho/d + \sigma_U^2)/v = \cos\varphi$ it is
    $\kappa = v\,(\sin\varphi + (\pi-\varphi)\cos\varphi)/2\pi + \sigma_W^2$.

    Args:
        dimension: d, of the tokens.
        bias: the deviation $\sigma_U$ of the biases of the first layer.
        last_bias: the deviation $\sigma_W$ of the bias of the second layer.

    Raises:
        ValueError: numbers out of range.

    Source: ours (chapter on synchronisation by noise).

    Example:
        >>> from transpde.noise import ArcCosine
        >>> kernel = ArcCosine(4)
        >>> kernel.at_one, kernel.slope, kernel(-1.0).item()
        (0.125, 0.125, 0.0)
    """

    @property
    def at_one(self) -> float:
        """Half the variance of the inputs, and that of the last bias."""
        return self.variance / 2 + self.last_bias**2

    @property
    def slope(self) -> float:
        """The slope 1/(2d)."""
        return 0.5 / self.dimension

    def secant(self, gap: Array) -> Array:
        """Return the slope of the chord."""
        lost = gap / (self.dimension * self.variance)  # 1 - q
        angle = 2 * np.arcsin(np.sqrt(np.minimum(lost / 2, 1.0)))
        small = angle < SERIES
        with np.errstate(invalid="ignore", divide="ignore"):
            exact = (np.sin(angle) - angle * np.cos(angle)) / lost
        # (phi^3/3 - phi^5/30) / (phi^2/2 - phi^4/24), to the fourth power relatively
        series = angle * (2 / 3 - angle**2 / 90)
        return (0.5 - np.where(small, series, exact) / (2 * np.pi)) / self.dimension

    def gram(self, points: Array) -> Array:
        """Return the covariances (..., n, n)."""
        sizes, q = self._inputs(points)
        angle = np.arccos(q)
        J = (np.sin(angle) + (np.pi - angle) * q) / (2 * np.pi)
        return sizes[..., :, None] * sizes[..., None, :] * J + self.last_bias**2

    def _activate(self, z: Array) -> Array:
        return np.maximum(z, 0.0)


class FromActivation(_Layered):
    r"""The kernel $\kappa = \mathbb E\,\sigma(z)\sigma(z') + \sigma_W^2$ of a smooth activation.

    z and z' are normal of variance $1/d + \sigma_U^2$ and covariance $\rho/d + \sigma_U^2$.
    Integrals are trapezoidal sums, so the activation must be smooth on the scale of a tenth of
    that deviation; for ReLU take `ArcCosine`.

    Args:
        activation: a function of arrays.
        derivative: its derivative, of arrays.
        dimension: d, of the tokens.
        bias: the deviation $\sigma_U$ of the biases of the first layer.
        last_bias: the deviation $\sigma_W$ of the bias of the second layer.

    Raises:
        TypeError: something that is no function.
        ValueError: numbers out of range; an activation that the sums do not resolve; a derivative
            that is another function's.

    Source: ours (chapter on synchronisation by noise).

    Example:
        >>> import numpy as np
        >>> from transpde.noise import FromActivation
        >>> kernel = FromActivation(np.tanh, lambda z: np.cosh(z) ** -2, 4)
        >>> round(kernel.at_one, 6), round(kernel.slope, 6)
        (0.173516, 0.179345)
    """

    def __init__(
        self,
        activation: Callable[[Array], Array],
        derivative: Callable[[Array], Array],
        dimension: int,
        bias: float = 0.0,
        last_bias: float = 0.0,
    ) -> None:
        super().__init__(dimension, bias, last_bias)
        self.activation = function("activation", activation)
        self.derivative = function("derivative", derivative)
        u, w = _normal_rule()
        deviation = np.sqrt(self.variance)
        values = self._values("activation", deviation * u)
        slopes = self._values("derivative", deviation * u)
        self._square, self._steepness = float(w @ values**2), float(w @ slopes**2)
        for name, f, fine in (
            ("activation", values, self._square), ("derivative", slopes, self._steepness),
        ):  # fmt: skip
            if not abs(fine - 2 * w[::2] @ f[::2] ** 2) < RESOLVED * fine:
                raise ValueError(
                    f"{name}: must be smooth on the scale of the deviation {deviation:.3g} of its "
                    "argument, and not zero; got one whose mean square is not resolved. For ReLU "
                    "take ArcCosine."
                )
        gaps = (
            w @ (values * u) - deviation * (w @ slopes),
            w @ (values * (u**2 - 1)) - deviation * (w @ (slopes * u)),
        )
        if np.abs(gaps).max() > STEIN * np.sqrt(self._square):
            raise ValueError(
                "derivative: must be that of the activation; got a function that fails "
                f"integration by parts by {np.abs(gaps).max():.3g}."
            )

        a = np.array([values @ one for one in _hermite_rule()])
        # Where they say all, coefficients are much faster than integrals.
        whole = self._square - (a**2).sum() <= COMPLETE * self._square
        self._squares = frozen(a**2) if whole else None

    def _values(self, name: str, z: Array) -> Array:
        found = finite_array(name, getattr(self, name)(z), "...")
        same_shape(f"{name}'s values", found.shape, "its argument", z.shape)
        return found

    @property
    def at_one(self) -> float:
        """The mean square of the activation, and the variance of the last bias."""
        return self._square + self.last_bias**2

    @property
    def slope(self) -> float:
        """The mean square of the derivative over d."""
        return self._steepness / self.dimension

    def secant(self, gap: Array) -> Array:
        """Return the slope of the chord, by Hermite coefficients or by integrals."""
        gap = np.asarray(gap, dtype=float)
        if self._squares is None:
            return self._by_integrals(gap.ravel()).reshape(gap.shape)
        lost = gap / (self.dimension * self.variance)  # 1 - q
        total, powers = np.zeros(gap.shape), np.ones(gap.shape)  # (1 - q^k) / (1 - q)
        for k in range(1, DEGREES):
            total += self._squares[k] * powers
            powers = 1 + (1 - lost) * powers
        return total / (self.dimension * self.variance)

    def _by_integrals(self, flat: Array) -> Array:
        """Return half the mean square of differences, over the gaps."""
        found = np.full(flat.shape, self.slope)
        u, w = _normal_rule()
        half, mass = u[NODES // 2 :], w[NODES // 2 :] * np.where(u[NODES // 2 :] > 0, 2, 1)
        for some in np.array_split(np.arange(len(flat)), len(flat) // BLOCK + 1):
            some = some[flat[some] > TIGHT]
            r = flat[some, None, None]
            apart = np.sqrt(r / (2 * self.dimension)) * half
            middle = np.sqrt(self.variance - r / (2 * self.dimension)) * u[:, None]
            change = self.activation(middle + apart) - self.activation(middle - apart)
            found[some] = np.einsum("j,rjk,k->r", w, change**2, mass) / (2 * flat[some])
        return found

    def gram(self, points: Array) -> Array:
        """Return the covariances (..., n, n), by Hermite coefficients of the activation."""
        sizes, q = self._inputs(points)
        u, w = _normal_rule()
        values = self.activation(sizes[..., None] * u)
        left = square = values**2 @ w
        found, power = np.zeros(q.shape), np.ones(q.shape)
        for weighted in _hermite_rule():
            a = values @ weighted
            found += a[..., :, None] * a[..., None, :] * power
            left, power = left - a**2, power * q
        if (left > TAIL * square).any():
            raise ValueError(
                "noise: the activation is too steep for a network of infinite width; got "
                f"{(left / square).max():.1g} of its square beyond degree {DEGREES}. Give a width."
            )
        tail = np.sqrt(np.maximum(left, 0.0))
        found = found + tail[..., :, None] * tail[..., None, :] * power
        return np.asarray(found + self.last_bias**2)

    def _activate(self, z: Array) -> Array:
        return np.asarray(self.activation(z))


def _normal_rule() -> tuple[Array, Array]:
    """Return nodes and weights of normal integrals."""
    u = STEP * (np.arange(NODES) - NODES // 2)
    w = np.exp(-(u**2) / 2)
    return u, w / w.sum()


@cache
def _hermite_rule() -> Array:
    """Return normalised Hermite polynomials at the nodes, times the weights, a row a degree."""
    u, w = _normal_rule()
    rows = [np.ones(NODES), u]
    for k in range(1, DEGREES - 1):
        rows.append((u * rows[k] - np.sqrt(k) * rows[k - 1]) / np.sqrt(k + 1))
    return frozen(w * np.array(rows))
