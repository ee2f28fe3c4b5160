r"""One head: parameters (query, key, value), and what all heads share.

On tokens a head is $V\sum_j P(x, j)\,x_j$ with weights P that each kind of head states. On a
Gaussian $N(m, XX^\top)$ those that keep Gaussians Gaussian have one affine form,
$$\Gamma(x) = V\big(m + X S X^\top(Ax - u)\big), \qquad A = K^\top Q,$$
with a core S and a shift u of its own. No factor $1/\sqrt k$ is hidden: scale the query instead.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Self, cast

import numpy as np

from transpde.attention.base import Attention, MeasureField, match_stack
from transpde.attention.densities import AxialField, CircleField, angles_for, isotropic
from transpde.attention.planar import orthogonal
from transpde.checks import Array, finite_array, same_size
from transpde.fields import AffineField, Motion, VelocityField, by_case
from transpde.kernels import EXACT, Evaluation, PlaneSum, TokenSum, matrix_product, token_mean
from transpde.measures import Axial, Circle, Gaussian, Grid, Measure, Particles
from transpde.measures.axes import orthonormal_columns
from transpde.measures.coordinates import Moves
from transpde.measures.products import applied, product

__all__ = ["GaussianHead", "Head", "Response", "TokenField"]

# See GaussianHead.
Response = tuple[Array, Callable[[], Array], Array, Callable[[], Array]]


@dataclass(frozen=True, eq=False, repr=False)
class Head(Attention):
    """One head with parameters (query, key, value)."""

    query: Array
    key: Array
    value: Array
    # Of weights e^score: whether they are divided by their sum. None for other weights.
    normalised: ClassVar[bool | None] = None

    def __post_init__(self) -> None:
        Q = finite_array("query", self.query, "... k d")
        K = finite_array("key", self.key, "... k d")
        V = finite_array("value", self.value, "... d d")
        same_size("key", K.shape[-2], "query", Q.shape[-2], "number of rows")
        same_size("key", K.shape[-1], "query", Q.shape[-1], "number of columns")
        same_size("value", V.shape[-2], "query", Q.shape[-1], "number of rows")
        same_size("value", V.shape[-1], "query", Q.shape[-1], "number of columns")
        vars(self).update(query=Q, key=K, value=V)

    @property
    def dimension(self) -> int:
        """The dimension d of the tokens."""
        return int(self.query.shape[-1])

    def field(self, measure: Measure, how: Evaluation) -> VelocityField:
        """Return the velocity field of a measure, without a check."""
        return measure.field_of(self, how)

    @abstractmethod
    def token_sum(self, measure: Particles, how: Evaluation = EXACT) -> TokenSum:
        """Return the weights that this head gives to the tokens of a measure."""

    def _token_field(self, measure: Particles, how: Evaluation) -> VelocityField:
        return TokenField(self, measure, self.token_sum(measure, how), how)

    def _affine_field(self, measure: Gaussian) -> AffineField:
        raise TypeError(
            f"measure: {type(self).__name__} attention does not keep a Gaussian Gaussian. "
            "Sample it first: measure.sample(n, seed)."
        )

    def _grid_field(self, measure: Grid) -> VelocityField:
        tokens = measure.particles
        if len(measure.edges) == 1:
            return self._token_field(tokens, EXACT)
        plane = PlaneSum(self.token_sum(tokens), self.key, measure.centres)  # type: ignore[arg-type]
        return PlaneField(self, measure, plane)

    def _matrix(self, measure: Particles) -> Array:
        return self.token_sum(measure).matrix(measure.points)

    def _check_kind(self, measure: Measure) -> None:
        self.matches(measure.stack)
        measure.check_for(self)

    def _check_gaussian(self, measure: Gaussian) -> None:
        self._affine_field(measure)  # which says why there is none

    def _check_grid(self, measure: Grid) -> None:
        """Accept any grid."""

    def _circle_field(self, measure: Circle) -> CircleField:
        return CircleField(self, measure)

    def _axial_field(self, measure: Axial) -> AxialField:
        beta, scale = (isotropic(M) for M in (self.key.mT @ self.query, self.value))
        return AxialField(beta or 0.0, scale or 0.0, bool(self.normalised), measure)

    def _check_circle(self, measure: Measure) -> None:
        if self.normalised is None:
            super()._check_circle(measure)
        width = np.linalg.norm(self.key.mT @ self.query, 2, axis=(-2, -1)).max()
        needed, n = angles_for(float(width)), len(cast("Circle", measure).density)
        if n < needed:
            raise ValueError(
                f"measure: must have at least {needed} angles for this head, whose weights, of "
                f"inverse temperature |key^T query| = {width:.6g}, are too narrow for {n}."
            )

    def _check_axial(self, measure: Measure) -> None:
        if self.normalised is None:
            super()._check_axial(measure)
        for name, matrix in (("key^T query", self.key.mT @ self.query), ("value", self.value)):
            if isotropic(matrix) is None:
                raise ValueError(
                    "measure: an Axial stays symmetric under heads whose matrices key^T query and "
                    f"value are multiples of the identity; {name} is none. For others take draws: "
                    "measure.sample(n, seed), or a Circle in dimension 2."
                )

    def matches(self, stack: tuple[int, ...]) -> None:
        """Raise `ValueError` unless the leading axes of the parameters fit those of a stack."""
        for name in ("query", "key", "value"):
            match_stack(name, getattr(self, name).shape[:-2], stack)

    def select(self, stack: tuple[int, ...], index: Array) -> Self:
        """Return the head of the chosen cases of a stack; itself if all cases share it."""
        chosen = {}
        for name in ("query", "key", "value"):
            matrix = getattr(self, name)
            if matrix.ndim > 2:
                chosen[name] = by_case(matrix, 2, stack)[index]
        return replace(self, **chosen) if chosen else self


@dataclass(frozen=True, eq=False, repr=False)
class TokenField(MeasureField):
    """The field that a head makes of tokens."""

    head: Head
    measure: Particles
    sums: TokenSum
    how: Evaluation

    def values(self, x: Array, positions: Array | None = None) -> Array:
        """Return the velocities at points (n, d) or, of a stack, (..., n, d)."""
        means = token_mean(self.sums, x, self.measure.points, None, self.how)
        return matrix_product(means, self.head.value)


@dataclass(frozen=True, eq=False, repr=False)
class PlaneField(MeasureField):
    """The field that a head makes of a density on a grid of the plane."""

    head: Head
    measure: Grid
    plane: PlaneSum

    def values(self, x: Array, positions: Array | None = None) -> Array:
        """Return the velocities at points (n, 2)."""
        return self.plane.mean(x) @ self.head.value.T


@dataclass(frozen=True, eq=False, repr=False)
class GaussianHead(Head):
    r"""A head that keeps Gaussians Gaussian: $\Gamma(x) = V(m + X S X^\top(Ax - u))$."""

    @abstractmethod
    def _response(self, m: Array, X: Array, s: Array, in_axes: bool) -> Response:
        r"""Return Y, how to make $T = CY^\top A$, $TX$, how to make $q = Tm - CY^\top u$.

        The Gaussian has the mean m, a factor X and a log scale s for each of its columns, which
        are, if `in_axes`, its principal axes. It is $\Sigma = YD^2Y^\top$ with columns Y that the
        head chooses, D the diagonal of their scales, and $C = DSD$. Each product is stated so that
        it neither overflows nor drowns in rounding where the motion of the Gaussian does not.
        """

    def _axes(self, X: Array, s: Array, in_axes: bool) -> tuple[Array, Array]:
        """Return columns at right angles, and their log scales, of a factor and its own."""
        return (X, s) if in_axes else orthogonal(X, s) or orthonormal_columns(X, s)

    def _left(self, s: Array, T: Array, TX: Array) -> Array | float:
        """Return what part of TX is left after its terms cancel: 1 if none do."""
        return 1.0

    @abstractmethod
    def _weights_along(
        self, Y: Array, s: Array, dY: Array, ds: Array
    ) -> tuple[Array, Array, Array | None]:
        r"""Return $P = CY^\top K^\top$, its derivatives in directions, and J with $q = PJm$.

        Any columns Y (..., 1, d, r) with log scales s (..., 1, r) will do. No J is J = 0.
        """

    def _check_gaussian(self, measure: Gaussian) -> None:
        """Accept any Gaussian."""

    def _along(self, measure: Gaussian, dm: Array, dY: Array, ds: Array) -> tuple[Array, Array]:
        """Return the derivatives of both velocities of a Gaussian, see `Motion`."""
        Y, s = measure.factor[..., None, :, :], measure.log_scales[..., None, :]
        Q, V, m = spread(self.query), spread(self.value), measure.mean[..., None, :, None]
        P, dP, J = self._weights_along(Y, s, dY, ds)
        QY = Q @ Y
        turn = V @ (dY @ (P @ QY) + Y @ (dP @ QY + P @ (Q @ dY)))
        drift = dm[..., None]
        if J is not None:
            drift = drift + dY @ (P @ (J @ m)) + Y @ (dP @ (J @ m) + P @ (J @ dm[..., None]))
        return (V @ drift)[..., 0], turn

    def _affine_field(self, measure: Gaussian) -> AffineField:
        m, X, V = measure.mean, measure.factor, self.value
        s = measure.log_scales
        Y, T, TX, q = self._response(m, X, s, measure.in_axes)
        VY = product(V, Y)
        at_mean = applied(V, m) + applied(VY, q())
        motion = Motion(
            m,
            X,
            at_mean,
            product(VY, TX),
            lambda: self._left(s, T(), TX),
            lambda *by: self._along(measure, *by),
        )

        def both() -> tuple[Array, Array]:
            linear = VY @ T()
            return linear, at_mean - applied(linear, m)

        return AffineField.when_asked(both, motion)

    def of_gaussians(self, in_axes: bool) -> Moves:
        """Return the map from Gaussians to the velocities that their fields give themselves."""
        V = self.value

        def moves(m: Array, X: Array, s: Array) -> tuple[Array, Array]:
            Y, _, TX, q = self._response(m, X, s, in_axes)
            VY = product(V, Y)
            turn = product(VY, TX)
            # The mean of a centred Gaussian rests.
            return applied(V, m) + applied(VY, q()) if m.any() else np.zeros_like(m), turn

        return moves


def spread(matrix: Array) -> Array:
    """Return matrices (..., a, b) with an axis of directions behind those of the stack."""
    return matrix if matrix.ndim == 2 else matrix[..., None, :, :]
