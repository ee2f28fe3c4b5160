r"""Attentions: maps from a measure to a velocity field.

A head on $\mu$ is $\Gamma_\mu(x) = V \int y\, w(x, y)\,d\mu(y) / \int w(x, y)\,d\mu(y)$.
On a Gaussian $N(m, XX^\top)$ every head here has the same affine form
$$\Gamma(x) = V\big(m + X S X^\top(Ax - u)\big), \qquad A = K^\top Q,$$
so a head states two things about Gaussians, its core S and its shift u, and one about tokens,
its scores. No factor $1/\sqrt k$ is hidden: scale the query instead.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from transpde import kernels
from transpde.checks import Array, finite_array, same_size
from transpde.fields import AffineField, VelocityField
from transpde.measures import Gaussian, Measure, Particles

__all__ = ["L2", "Attention", "Softmax"]


class Attention(ABC):
    """A map from a measure to a velocity field: `attention(measure)(x)`."""

    def __call__(self, measure: Measure) -> VelocityField:
        """Return the velocity field on all of space that the measure creates.

        Raises:
            TypeError: a kind of measure for which this attention has no field.
            ValueError: a measure of another dimension than the parameters.
        """
        if not isinstance(measure, Particles | Gaussian):
            raise TypeError(
                f"measure: must be Particles or a Gaussian; got {type(measure).__name__}."
            )
        same_size("measure", measure.dimension, "the attention", self.dimension, "dimension")
        if isinstance(measure, Gaussian):
            return self._affine_field(measure)
        return self._token_field(measure)

    @property
    @abstractmethod
    def dimension(self) -> int:
        """The dimension d of the tokens."""

    @abstractmethod
    def _token_field(self, measure: Particles) -> VelocityField: ...

    @abstractmethod
    def _affine_field(self, measure: Gaussian) -> AffineField: ...

    @abstractmethod
    def matrix(self, measure: Particles) -> Array:
        """Return the attention matrix, shape (n, n): row i holds the weights of token i."""

    @abstractmethod
    def select(self, stack: tuple[int, ...], index: Array) -> Attention:
        """Return the attention of the chosen cases of a stack."""

    def __add__(self, other: AffineField) -> Attention:
        """Return the attention followed by an affine feed-forward term: the fields add."""
        if not isinstance(other, AffineField):
            return NotImplemented
        return WithFeedForward(self, other)

    __radd__ = __add__


@dataclass(frozen=True, eq=False)
class WithFeedForward(Attention):
    r"""An attention with an affine feed-forward part, $\Gamma_\mu(x) + Wx + b$."""

    attention: Attention
    feed_forward: AffineField

    def __post_init__(self) -> None:
        size = self.feed_forward.linear.shape[-1]
        same_size("feed_forward", size, "the attention", self.dimension, "dimension")

    @property
    def dimension(self) -> int:
        """The dimension d of the tokens."""
        return self.attention.dimension

    def _token_field(self, measure: Particles) -> VelocityField:
        field = self.attention(measure)
        return lambda x: field(x) + self.feed_forward(x)

    def _affine_field(self, measure: Gaussian) -> AffineField:
        total: AffineField = self.attention._affine_field(measure) + self.feed_forward
        return total

    def matrix(self, measure: Particles) -> Array:
        """Return the attention matrix of the attention part."""
        return self.attention.matrix(measure)

    def select(self, stack: tuple[int, ...], index: Array) -> WithFeedForward:
        """Return the chosen cases of a stack."""
        return WithFeedForward(
            self.attention.select(stack, index), self.feed_forward.select(stack, index)
        )


@dataclass(frozen=True, eq=False)
class Head(Attention):
    """One normalised head with parameters (query, key, value)."""

    query: Array
    key: Array
    value: Array

    def __post_init__(self) -> None:
        Q = finite_array("query", self.query, "... k d")
        K = finite_array("key", self.key, "... k d")
        V = finite_array("value", self.value, "... d d")
        same_size("key", K.shape[-2], "query", Q.shape[-2], "number of rows")
        same_size("key", K.shape[-1], "query", Q.shape[-1], "number of columns")
        same_size("value", V.shape[-2], "query", Q.shape[-1], "number of rows")
        same_size("value", V.shape[-1], "query", Q.shape[-1], "number of columns")
        for name, matrix in zip(("query", "key", "value"), (Q, K, V), strict=True):
            object.__setattr__(self, name, matrix)

    @property
    def dimension(self) -> int:
        """The dimension d of the tokens."""
        return int(self.query.shape[-1])

    @abstractmethod
    def _scores(self, x: Array, measure: Particles) -> tuple[Array, Array, Array]:
        """Return queries of x, keys and biases of the tokens: scores are q . k + b."""

    @abstractmethod
    def _core(self, factor: Array, log_scale: Array) -> Array:
        """Return e^s S for the factor e^(s/2) X, shape (..., r, r)."""

    @abstractmethod
    def _shift(self, mean: Array) -> Array:
        """Return the shift u, shape (..., d)."""

    def _token_field(self, measure: Particles) -> VelocityField:
        self._unstacked()

        def field(x: Any) -> Array:
            points = np.asarray(x, dtype=np.float64)
            same_size("x", points.shape[-1], "the attention", self.dimension, "dimension")
            rows = points.reshape(-1, self.dimension)
            scores = self._scores(rows, measure)
            mean = kernels.softmax_mean(*scores, measure.points)
            return (mean @ self.value.T).reshape(points.shape)

        return field

    def matrix(self, measure: Particles) -> Array:
        """Return the attention matrix, shape (n, n): rows are non-negative and sum to one."""
        if not isinstance(measure, Particles):
            raise TypeError(
                f"matrix: needs Particles; got {type(measure).__name__}. "
                "Sample the measure first: measure.sample(n, seed)."
            )
        same_size("measure", measure.dimension, "the attention", self.dimension, "dimension")
        self._unstacked()
        return kernels.softmax_matrix(*self._scores(measure.points, measure))

    def _unstacked(self) -> None:
        """Raise `ValueError` unless this is one head, not a stack of heads."""
        if max(self.query.ndim, self.key.ndim, self.value.ndim) > 2:
            raise ValueError(
                "query, key, value: must have no leading axes on Particles; got shapes "
                f"{self.query.shape}, {self.key.shape}, {self.value.shape}. "
                "Leading axes are for a stack of Gaussians."
            )

    def _affine_field(self, measure: Gaussian) -> AffineField:
        self._matches(measure.stack)
        m, X, V = measure.mean, measure.factor, self.value
        A = np.swapaxes(self.key, -2, -1) @ self.query
        response = X @ self._core(X, measure.log_scale) @ np.swapaxes(X, -2, -1)
        shifted = m - _apply(response, self._shift(m))
        return AffineField.trusted(V @ response @ A, _apply(V, shifted))

    def _matches(self, stack: tuple[int, ...]) -> None:
        """Raise `ValueError` unless the leading axes of the parameters fit those of a stack."""
        for name in ("query", "key", "value"):
            axes = getattr(self, name).shape[:-2]
            ones = len(axes) == len(stack) and all(
                a in (1, b) for a, b in zip(axes, stack, strict=True)
            )
            if axes and not ones:
                raise ValueError(
                    f"{name}: its leading axes must match those of the measure, {stack}; "
                    f"got {axes}."
                )

    def select(self, stack: tuple[int, ...], index: Array) -> Self:
        """Return the head of the chosen cases of a stack."""
        chosen = {}
        for name in ("query", "key", "value"):
            matrix = getattr(self, name)
            if matrix.ndim > 2:
                flat = np.broadcast_to(matrix, stack + matrix.shape[-2:])
                chosen[name] = flat.reshape(-1, *matrix.shape[-2:])[index]
        return replace(self, **chosen)


class Softmax(Head):
    r"""Softmax attention, weights $e^{\langle Qx, Ky\rangle}$.

    On a Gaussian S = I and u = 0: $\Gamma(x) = V(m + \Sigma A x)$.

    Args:
        query: Q, shape (k, d). Leading axes in query, key or value match those of a stack.
        key: K, shape (k, d).
        value: V, shape (d, d), a head's output matrix folded in.

    Raises:
        ValueError: entries that are not finite, shapes that do not match.

    Source: `vaswani2017attention`; as a map of measures `sander2022sinkformers`.

    Example:
        >>> import numpy as np, transpde as tp
        >>> attention = tp.Softmax(query=np.eye(2), key=-np.eye(2), value=np.eye(2))
        >>> field = attention(tp.Gaussian(mean=[1.0, 0.0], factor=np.eye(2)))
        >>> field([3.0, 1.0])
        array([-2., -1.])
    """

    def _scores(self, x: Array, measure: Particles) -> tuple[Array, Array, Array]:
        keys = measure.points @ self.key.T
        return x @ self.query.T, keys, _log(measure.weights)

    def _core(self, factor: Array, log_scale: Array) -> Array:
        return np.exp(log_scale)[..., None, None] * np.eye(factor.shape[-1])

    def _shift(self, mean: Array) -> Array:
        return np.zeros_like(mean)


class L2(Head):
    r"""L2 attention, weights $e^{-|Qx - Ky|^2}$.

    On a Gaussian $S = 2(I + 2HH^\top)^{-1}$ with $H = X^\top K^\top$, and $u = K^\top K m$.

    Args:
        query: Q, shape (k, d). Leading axes in query, key or value match those of a stack.
        key: K, shape (k, d).
        value: V, shape (d, d), a head's output matrix folded in.

    Raises:
        ValueError: entries that are not finite, shapes that do not match.

    Source: `kim2021lipschitz`.

    Example:
        >>> import numpy as np, transpde as tp
        >>> attention = tp.L2(query=np.eye(2), key=np.eye(2), value=np.eye(2))
        >>> field = attention(tp.Gaussian(mean=[0.0, 0.0], factor=np.eye(2)))
        >>> field([3.0, 0.0])
        array([2., 0.])
    """

    def _scores(self, x: Array, measure: Particles) -> tuple[Array, Array, Array]:
        # -|q - k|^2 differs from 2 q.k - |k|^2 by a number of x alone, which cancels. Distances
        # do not change when both are moved by one vector: centred keys lose no digits far away.
        keys = measure.points @ self.key.T
        centre = measure.weights @ keys
        keys = keys - centre
        bias = _log(measure.weights) - (keys**2).sum(axis=1)
        return 2 * (x @ self.query.T - centre), keys, bias

    def _core(self, factor: Array, log_scale: Array) -> Array:
        H = np.swapaxes(self.key @ factor, -2, -1)
        inverse_scale = np.exp(-log_scale)[..., None, None]
        gram = inverse_scale * np.eye(factor.shape[-1]) + 2 * H @ np.swapaxes(H, -2, -1)
        return 2 * np.linalg.inv(gram)

    def _shift(self, mean: Array) -> Array:
        return _apply(np.swapaxes(self.key, -2, -1), _apply(self.key, mean))


def _apply(matrix: Array, vector: Array) -> Array:
    """Return matrix @ vector over leading axes."""
    return (matrix @ vector[..., None])[..., 0]


def _log(weights: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.log(weights)
