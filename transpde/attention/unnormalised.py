"""Heads without normalisation: sigmoid, linear and unnormalised attention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from scipy.special import expit

from transpde.attention.heads import Head, spread
from transpde.checks import Array, finite_array, frozen
from transpde.fields import AffineField, Motion
from transpde.kernels import EXACT, Evaluation, PointwiseSum, matrix_product
from transpde.measures import Gaussian, Grid, Particles

__all__ = ["Linear", "Sigmoid", "Unnormalized"]


@dataclass(frozen=True, eq=False, repr=False)
class Sigmoid(Head):
    r"""Sigmoid attention, $\Gamma_\mu(x) = V\int\sigma(\langle Qx, Ky\rangle + b)\,y\,d\mu(y)$.

    It does not keep Gaussians Gaussian.

    Args:
        query: Q, shape (k, d).
        key: K, shape (k, d).
        value: V, shape (d, d), a head's output matrix folded in.
        bias: b, a number.

    Raises:
        ValueError: entries that are not finite, shapes that do not match.
        TypeError: on a Gaussian.

    Source: `ramapuram2025sigmoid`.

    Example:
        >>> import numpy as np, transpde as tp
        >>> attention = tp.Sigmoid(query=np.eye(1), key=np.eye(1), value=np.eye(1))
        >>> attention(tp.Particles([[0.0], [4.0]]))([0.0])
        array([1.])
    """

    bias: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        bias = finite_array("bias", self.bias, "...")
        if bias.size != 1:
            raise ValueError(f"bias: must be one number; got shape {bias.shape}.")
        object.__setattr__(self, "bias", bias.item())

    def token_sum(self, measure: Particles, how: Evaluation = EXACT) -> PointwiseSum:
        """Return the weights that this head gives to the tokens of a measure."""
        return _pointwise(self, measure, partial(_sigmoid, self.bias))


class Unnormalized(Head):
    r"""Unnormalised attention, $\Gamma_\mu(x) = V\int e^{\langle Qx, Ky\rangle}\,y\,d\mu(y)$.

    The classical aggregation form. Its speed is not bounded by the size of the tokens, and it can
    blow up in finite time. It does not keep Gaussians Gaussian.

    Args:
        query: Q, shape (k, d).
        key: K, shape (k, d).
        value: V, shape (d, d), a head's output matrix folded in.

    Raises:
        ValueError: entries that are not finite, shapes that do not match.
        TypeError: on a Gaussian.

    Source: `sander2022sinkformers`.

    Example:
        >>> import numpy as np, transpde as tp
        >>> attention = tp.Unnormalized(query=np.eye(1), key=np.eye(1), value=np.eye(1))
        >>> attention(tp.Particles([[0.0], [4.0]]))([0.0])
        array([2.])
    """

    normalised = False

    def token_sum(self, measure: Particles, how: Evaluation = EXACT) -> PointwiseSum:
        """Return the weights that this head gives to the tokens of a measure."""
        return _pointwise(self, measure, np.exp)


class Linear(Head):
    r"""Linear attention, $\Gamma_\mu(x) = V M_2(\mu) A x$ with $M_2$ the second moment.

    On a Gaussian $M_2 = \Sigma + mm^\top$; on centred data it is softmax attention.

    Args:
        query: Q, shape (k, d). Leading axes in query, key or value match those of a stack.
        key: K, shape (k, d).
        value: V, shape (d, d), a head's output matrix folded in.

    Raises:
        ValueError: entries that are not finite, shapes that do not match.

    Source: `castin2025unified`.

    Example:
        >>> import numpy as np, transpde as tp
        >>> attention = tp.Linear(query=np.eye(1), key=np.eye(1), value=np.eye(1))
        >>> attention(tp.Particles([[1.0], [3.0]]))([2.0])
        array([10.])
    """

    def token_sum(self, measure: Particles, how: Evaluation = EXACT) -> PointwiseSum:
        """Return the weights that this head gives to the tokens of a measure."""
        return _pointwise(self, measure, _as_they_are)

    def _token_field(self, measure: Particles, how: Evaluation) -> AffineField:
        x, exponent = _of_order_one(measure.points)
        return self._moment_field((x.mT * measure.weights[..., None, :]) @ x, 2 * exponent)

    def _grid_field(self, measure: Grid) -> AffineField:
        return self._token_field(measure.particles, EXACT)

    def _check_gaussian(self, measure: Gaussian) -> None:
        """Accept any Gaussian."""

    def _affine_field(self, measure: Gaussian) -> AffineField:
        m, X = measure.mean[..., None], measure.scaled_factor
        exponent = np.maximum(*(_of_order_one(M)[1] for M in (m, X)))
        m, X = np.ldexp(m, -exponent), np.ldexp(X, -exponent)
        moment = X @ X.mT + m * m.mT
        field = self._moment_field(moment, 2 * exponent)
        place = measure.mean, measure.factor
        # The field may be right where these are not.
        with np.errstate(over="ignore", invalid="ignore"):
            moves = field.moves(*place)
        motion = Motion(
            *place, *moves, lambda: self._left(moment, X), lambda *by: self._along(measure, *by)
        )
        return AffineField.trusted(field.linear, field.offset, motion)

    def _left(self, moment: Array, X: Array) -> Array:
        """Return what part of the product of field and factor is left after its terms cancel."""
        (V, K, Q), _ = self._units
        B = V @ moment @ K.mT @ Q
        left, *whole = (np.sqrt((M**2).sum(axis=(-2, -1))) for M in (B @ X, B, X))
        whole = whole[0] * whole[1]
        return np.asarray(left / np.where(whole > 0, whole, 1.0))

    def _moment_field(self, moment: Array, exponent: Array) -> AffineField:
        """Return the field of the second moment that is a matrix times a power of two."""
        (V, K, Q), own = self._units
        B = np.ldexp(V @ moment @ K.mT @ Q, exponent + own)
        return AffineField.trusted(B, np.zeros(B.shape[:-1]))

    @cached_property
    def _units(self) -> tuple[list[Array], Array]:
        """The parameters times powers of two, so that no product leaves the range too early."""
        parts = [_of_order_one(matrix) for matrix in (self.value, self.key, self.query)]
        power = np.asarray(sum(power for _, power in parts))
        return [frozen(matrix) for matrix, _ in parts], frozen(power)

    def _along(self, measure: Gaussian, dm: Array, dY: Array, ds: Array) -> tuple[Array, Array]:
        """Return the derivatives of both velocities of a Gaussian, see `Motion`."""
        squares = np.exp(measure.log_scales)[..., None, None, :]
        Y, m = measure.factor[..., None, :, :], measure.mean[..., None, :, None]
        V, A = spread(self.value), spread(self.key.mT @ self.query)
        half = squares * (dY + Y * ds[..., None, :] / 2) @ Y.mT + dm[..., None] * m.mT
        moment, change = (Y * squares) @ Y.mT + m * m.mT, half + half.mT
        dX = V @ (change @ (A @ Y) + moment @ (A @ dY))
        return (V @ (change @ (A @ m) + moment @ (A @ dm[..., None])))[..., 0], dX


def _of_order_one(array: Array) -> tuple[Array, Array]:
    """Return arrays (..., n, d) times a power of two each, and the powers that were taken off."""
    exponent = np.frexp(np.abs(array).max(axis=(-2, -1), keepdims=True))[1]
    return np.ldexp(array, -exponent), exponent


def _pointwise(head: Head, measure: Particles, function: Callable[[Array], Array]) -> PointwiseSum:
    keys = matrix_product(measure.points, head.key)
    return PointwiseSum(head.query, None, keys, measure.weights, function)


# Functions with names, for pickle.


def _sigmoid(bias: float, scores: Array) -> Array:
    return np.asarray(expit(scores + bias))


def _as_they_are(scores: Array) -> Array:
    return scores
