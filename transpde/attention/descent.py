"""Heads of an energy: velocities that descend it, whatever the metric."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from transpde.attention.base import Attention, MeasureField, match_stack
from transpde.attention.densities import exponentials, moments_of
from transpde.checks import Array, choice, finite_array, frozen, symmetric_matrix
from transpde.fields import VelocityField, by_case, quiet
from transpde.kernels import EXACT, Evaluation, SoftmaxSum, matrix_product, token_mean
from transpde.measures import Circle, Grid, Measure, Particles

__all__ = ["HeadDescent"]

MOBILITIES = ("harmonic", "arithmetic")


@dataclass(frozen=True, eq=False, repr=False)
class HeadDescent(Attention):
    r"""The descent of the energy of several heads.

    The energy is $E = \frac1{2H}\sum_h\iint e^{\langle x, D_hy\rangle}d\mu d\mu$. With
    $Z_h(x) = \int e^{\langle x, D_hy\rangle}d\mu$ and the softmax means
    $m_h = \nabla\log Z_h$ the gradient of E is $\frac1H\sum_hZ_hm_h$, and the field is minus the
    gradient, times a mobility:

    - ``"harmonic"``: times $\frac1H\sum_h1/Z_h$, the inverse of the harmonic mean of the $Z_h$;
    - ``"arithmetic"``: over $\frac1H\sum_hZ_h$;
    - None: alone, the sum of heads `Unnormalized(I, D_h, -D_h / H)`.

    One head with a mobility is `Softmax(I, D, -D)`. In all cases the field is $-\sum_h\omega_h
    m_h$, a sum of softmax heads with weights that depend on the token, and these are computed
    without their exponentials. The matrix of head h is $\omega_h(x_i)$ times its softmax matrix:
    the velocity of token i is $-\sum_hD_h\sum_jP_{hij}x_j$.

    Args:
        scores: $D_h$, shape (h, d, d), symmetric; leading axes match those of a stack.
        mobility: "harmonic", "arithmetic" or None.

    Raises:
        ValueError: scores that are not symmetric or have no axis of heads, an unknown mobility.
        TypeError: a Gaussian, an Axial.

    Source: ours (chapter on heads that change in time); the harmonic mean is that of
    `massucco2026transformers`.

    Example:
        >>> import numpy as np, transpde as tp
        >>> tokens = tp.Particles([[1.0, 0.0]], space=tp.Sphere())
        >>> head = tp.HeadDescent([np.diag([2.0, 0.0]), [[0.0, 1.0], [1.0, 0.0]]], mobility=None)
        >>> tokens.velocities(head(tokens))
        array([[ 0. , -0.5]])
    """

    scores: Array
    mobility: str | None = "harmonic"

    _tokens_only = (
        "measure: HeadDescent attention does not keep a Gaussian Gaussian. "
        "Sample it first: measure.sample(n, seed)."
    )

    @quiet
    def __post_init__(self) -> None:
        finite_array("scores", self.scores, "... h d d")
        D = symmetric_matrix("scores", self.scores)
        object.__setattr__(self, "scores", frozen((D + D.mT) / 2))
        if self.mobility is not None:
            choice("mobility", self.mobility, MOBILITIES, " or None")

    @property
    def dimension(self) -> int:
        """The dimension d of the tokens."""
        return int(self.scores.shape[-1])

    def field(self, measure: Measure, how: Evaluation) -> VelocityField:
        """Return the velocity field of a measure, without a check."""
        return measure.field_of(self, how)

    def token_sum(self, measure: Particles) -> SoftmaxSum:
        """Return the softmax weights that all heads give to tokens: heads are a last axis."""
        keys, bias = measure.points[..., None, :, :], measure.log_weights[..., None, :]
        return SoftmaxSum(self.scores, None, keys, bias)

    def shares(self, logs: Array) -> Array:
        r"""Return the weights $\omega_h$ of the heads, from the logs (..., h, m) of the $Z_h$."""
        if self.mobility is None:
            return np.exp(logs) / logs.shape[-2]
        if self.mobility == "harmonic":
            least = np.minimum.reduce(logs, axis=-2, keepdims=True)
            inverse = np.exp(least - logs).mean(axis=-2, keepdims=True)
            return np.exp(logs - least) * inverse / logs.shape[-2]
        Z = np.exp(logs - np.maximum.reduce(logs, axis=-2, keepdims=True))
        return Z / Z.sum(axis=-2, keepdims=True)

    def _token_field(self, measure: Particles, how: Evaluation) -> VelocityField:
        return TokenDescent(self, measure, how)

    def _grid_field(self, measure: Grid) -> VelocityField:
        return TokenDescent(self, measure.particles, EXACT)

    def _circle_field(self, measure: Circle) -> VelocityField:
        return CircleDescent(self, measure)

    def _matrix(self, measure: Particles) -> Array:
        sums, x = self.token_sum(measure), measure.points[..., None, :, :]
        stack = (*measure.stack, self.scores.shape[-3])
        shares = self.shares(sums.log_totals(x, stack))
        return np.moveaxis(shares[..., None] * sums.matrix(x), -3, 0)

    def _check_kind(self, measure: Measure) -> None:
        match_stack("scores", self.scores.shape[:-3], measure.stack)
        measure.check_for(self)

    def _check_grid(self, measure: Grid) -> None:
        """Accept any grid."""

    def _check_circle(self, measure: Measure) -> None:
        """Accept any density."""

    def select(self, stack: tuple[int, ...], index: Array) -> HeadDescent:
        """Return the heads of the chosen cases of a stack; itself if all cases share them."""
        if self.scores.ndim == 3:
            return self
        return replace(self, scores=by_case(self.scores, 3, stack)[index])


@dataclass(frozen=True, eq=False, repr=False)
class DescentField(MeasureField):
    """A descent field: softmax means of the heads with weights of their own."""

    head: HeadDescent
    measure: Any

    @abstractmethod
    def parts(self, x: Array) -> tuple[Array, Array]:
        """Return log Z (..., h, m) and the means of the tokens (..., h, m, d) at points."""

    def values(self, x: Array, positions: Array | None = None) -> Array:
        """Return the velocities at points (n, d) or, of a stack, (..., n, d)."""
        logs, means = self.parts(x)
        pulls = matrix_product(means, self.head.scores)
        return -(self.head.shares(logs)[..., None] * pulls).sum(axis=-3)


@dataclass(frozen=True, eq=False, repr=False)
class TokenDescent(DescentField):
    """The descent field that heads make of tokens."""

    how: Evaluation

    @cached_property
    def _sums(self) -> SoftmaxSum:
        return self.head.token_sum(self.measure)

    def parts(self, x: Array) -> tuple[Array, Array]:
        """Return log Z (..., h, m) and the means of the tokens (..., h, m, d) at points."""
        sums, x, points = self._sums, x[..., None, :, :], self.measure.points[..., None, :, :]
        stack = (*self.measure.stack, self.head.scores.shape[-3])
        values = np.broadcast_to(points, (*stack, *points.shape[-2:]))
        return sums.log_totals(x, stack), token_mean(sums, x, values, None, self.how)


@dataclass(frozen=True, eq=False, repr=False)
class CircleDescent(DescentField):
    """The descent field that heads make of a density on the circle, by trapezoid sums."""

    def parts(self, x: Array) -> tuple[Array, Array]:
        """Return log Z (h, m) and the means (h, m, 2) at points."""
        moments, logs, means = moments_of(self.measure), [], []
        for score in self.head.scores:
            weights, shift = exponentials(x @ score, self.measure.points)
            sums = weights @ moments
            logs.append(np.log(sums[:, 0]) + shift[:, 0])
            means.append(sums[:, 1:] / sums[:, :1])
        return np.array(logs), np.array(means)
