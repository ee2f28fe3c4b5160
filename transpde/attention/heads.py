r"""One head: parameters (query, key, value), and what all heads share.

On tokens a head is $V\sum_j P(x, j)\,x_j$ with weights P that each kind of head states. On a
Gaussian $N(m, XX^\top)$ those that keep Gaussians Gaussian have one affine form,
$$\Gamma(x) = V\big(m + X S X^\top(Ax - u)\big), \qquad A = K^\top Q,$$
with a core S and a shift u of its own. No factor $1/\sqrt k$ is hidden: scale the query instead.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from transpde.attention.base import Attention
from transpde.checks import Array, finite_array, points_of, same_size
from transpde.fields import AffineField, Motion, VelocityField
from transpde.kernels import EXACT, Evaluation, PlaneSum, TokenSum, token_mean
from transpde.measures import Gaussian, Grid, Particles

__all__ = ["GaussianHead", "Head"]


@dataclass(frozen=True, eq=False)
class Head(Attention):
    """One head with parameters (query, key, value)."""

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

    def token_sum(self, measure: Particles, how: Evaluation = EXACT) -> TokenSum:
        """Return the weights that this head gives to the tokens of a measure."""
        if max(self.query.ndim, self.key.ndim, self.value.ndim) > 2:
            raise ValueError(
                "query, key, value: must have no leading axes on Particles; got shapes "
                f"{self.query.shape}, {self.key.shape}, {self.value.shape}. "
                "Leading axes are for a stack of Gaussians."
            )
        return self._token_sum(measure, how)

    @abstractmethod
    def _token_sum(self, measure: Particles, how: Evaluation) -> TokenSum: ...

    def _token_field(self, measure: Particles, how: Evaluation) -> VelocityField:
        weights = self.token_sum(measure, how)

        def field(x: Any, positions: Any = None) -> Array:
            points = points_of("x", x, "the attention", self.dimension)
            rows = points.reshape(-1, self.dimension)
            sums = token_mean(weights, rows, measure.points, None, how)
            return (sums @ self.value.T).reshape(points.shape)

        return field

    def _grid_field(self, measure: Grid) -> VelocityField:
        if len(measure.edges) == 1:
            return super()._grid_field(measure)
        tokens, (first, second) = measure.particles, measure.centres
        plane = PlaneSum(self.token_sum(tokens), self.key, (first, second))

        def field(x: Any, positions: Any = None) -> Array:
            points = points_of("x", x, "the attention", self.dimension)
            return (plane.mean(points.reshape(-1, 2)) @ self.value.T).reshape(points.shape)

        return field

    def _matrix(self, measure: Particles) -> Array:
        return self.token_sum(measure).matrix(measure.points)

    def _affine_field(self, measure: Gaussian) -> AffineField:
        raise TypeError(
            f"measure: {type(self).__name__} attention does not keep a Gaussian Gaussian. "
            "Sample it first: measure.sample(n, seed)."
        )

    def matches(self, stack: tuple[int, ...]) -> None:
        """Raise `ValueError` unless the leading axes of the parameters fit those of a stack."""
        for name in ("query", "key", "value"):
            axes = getattr(self, name).shape[:-2]
            fits = len(axes) == len(stack) and all(
                a in (1, b) for a, b in zip(axes, stack, strict=True)
            )
            if axes and not fits:
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


@dataclass(frozen=True, eq=False)
class GaussianHead(Head):
    r"""A head that keeps Gaussians Gaussian: $\Gamma(x) = V(m + X S X^\top(Ax - u))$."""

    @abstractmethod
    def _response(self, axes: Gaussian, factor: Array) -> tuple[Array, Array, Array]:
        r"""Return $T = CY^\top A$, $TX$ and $q = Tm - CY^\top u$, where $C = DSD$.

        The Gaussian is given in its principal axes, $\Sigma = YD^2Y^\top$ with orthonormal Y and a
        log scale for each entry of the diagonal D; X is a factor. Each product is stated so that
        it neither overflows nor drowns in rounding where the motion of the Gaussian does not.
        """

    def _in_axes(self, measure: Gaussian) -> Gaussian:
        """Return the Gaussian with the factor that `_response` wants: its principal axes."""
        return measure if measure.in_axes else measure.principal()

    def _left(self, axes: Gaussian, T: Array, TX: Array) -> Array | float:
        """Return what part of TX is left after its terms cancel: 1 if none do."""
        return 1.0

    def _affine_field(self, measure: Gaussian) -> AffineField:
        self.matches(measure.stack)
        axes, V = self._in_axes(measure), self.value
        T, TX, q = self._response(axes, measure.factor)
        VY = V @ axes.factor
        linear, at_mean = VY @ T, applied(V, axes.mean) + applied(VY, q)
        motion = Motion(
            measure.mean, measure.factor, at_mean, VY @ TX, lambda: self._left(axes, T, TX)
        )
        return AffineField.trusted(linear, at_mean - applied(linear, axes.mean), motion)


def applied(matrix: Array, vector: Array) -> Array:
    """Return matrix @ vector over leading axes."""
    return (matrix @ vector[..., None])[..., 0]


def log_weights(measure: Particles) -> Array:
    """Return the logarithms of the weights, -inf for a weight of zero."""
    with np.errstate(divide="ignore"):
        return np.log(measure.weights)


def transposed(matrix: Array) -> Array:
    """Return the transposes of a stack of matrices."""
    return np.swapaxes(matrix, -2, -1)
