r"""Centred Gaussians of the plane, thousands at a time, each on the clock of its own field.

A figure shows each case at places of its own clock $ds = (\|B\|_F + 1/(1 + t))\,dt$, on which
limits are approached exponentially, a blow-up is at infinity, and hardly a case is stiff. A stack
of `transpde.flow` has times in common: so the flow is that of an attention at this pace, whose
time is s. As the Gaussians have no mean, its place holds $\log(1 + t)$.

In the plane every attention of the figures has $B = V C A$ with a matrix C in closed form. With
$P = K^\top K$, $W = I + 4 (X^\top A X)(X^\top A X)^\top$, $\tau^2 = \operatorname{tr}W +
2\sqrt{\det W}$ and $c = \sqrt{\det W} + \tau$,

- softmax: $C = \Sigma$;
- L2: $C = 2(\Sigma + 2\det\Sigma\,\operatorname{adj}P) /
  (1 + 2\operatorname{tr}\Sigma P + 4\det\Sigma\det P)$;
- Sinkhorn: $C = 2\tau((1 + c)\Sigma + 4\det\Sigma\,\operatorname{adj}(A\Sigma A^\top)) /
  (\det W + c\operatorname{tr}W + c^2)$.

Sums of positive terms, so nothing cancels however thin or large $\Sigma$ is, provided
$\det\Sigma$ comes from a factor.

Source: ours (Cayley-Hamilton); held to the attentions and to LSODA by test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

import transpde as tp
from transpde.checks import (
    Array,
    brief,
    covariance_matrix,
    increasing_times,
    listing,
    of_kind,
    positive_number,
    same_size,
)
from transpde.disc import axis_angles, unit_trace_matrices
from transpde.measures import Gaussian

__all__ = ["RTOL", "Paths", "by_arc_length", "clock_ticks", "planar_paths", "velocity"]

RTOL = 1e-10
BLOWN = 20.0  # log of a trace that grows for ever
UNITS = np.array([[[1, 0], [0, 0]], [[0, 1], [1, 0]], [[0, 0], [0, 1]]])  # of entries 11, 12, 22

# From the entries 11, 12, 22 of covariances (3, n) and their determinants (n,) to the entries of
# the linear parts B of their fields (4, n), row by row.
Linear = Callable[[Array, Array], Array]


@dataclass(frozen=True)
class Paths:
    """Covariances of the plane along the clock of their field.

    Attributes:
        points: places in the disc, shape (T, n, 2).
        log_sizes: logarithms of the traces, (T, n).
        log_dets: logarithms of the determinants, (T, n).
        times: physical times, (T, n).
        growth: d log(trace) / dt at the end, (n,).
    """

    points: Array
    log_sizes: Array
    log_dets: Array
    times: Array
    growth: Array

    def __repr__(self) -> str:
        """Return what it holds, arrays by their shapes."""
        return brief(self, vars(self))

    @property
    def covariances(self) -> Array:
        """The covariances, (T, n, 2, 2)."""
        size = np.exp(self.log_sizes)[..., None, None]
        return size * unit_trace_matrices(self.points)

    def resampled(self, count: int, limits: Array | None = None) -> Array:
        """Return `count` covariances (count, n, 2, 2) evenly spaced along each path.

        Given limits (n, 2, 2) the paths end in them.
        """
        S = self.covariances if limits is None else np.append(self.covariances, limits[None], 0)
        flat = by_arc_length(S.reshape(*S.shape[:2], 4), count)
        return flat.reshape(count, -1, 2, 2)

    @property
    def angles(self) -> Array:
        """Directions of the longer axis at the end, in degrees from 0 to 180, (n,)."""
        return axis_angles(self.points[-1])

    @property
    def norms(self) -> Array:
        """Frobenius norms at the end, (n,)."""
        inner = 1 + (self.points[-1] ** 2).sum(axis=-1)
        return np.asarray(np.exp(self.log_sizes[-1]) * np.sqrt(inner / 2))

    @property
    def blowup_times(self) -> Array:
        """The time at the end plus what is left of it where the trace grows like a pole."""
        return self.times[-1] + 1 / self.growth

    @property
    def blown(self) -> Array:
        """Which traces grow for ever, (n,)."""
        return self.log_sizes[-1] > BLOWN

    @property
    def reach(self) -> str:
        """The times at the end, in words."""
        return f"t from {self.times[-1].min():.3g} to {self.times[-1].max():.3g}"

    @property
    def eigenvalue_ratios(self) -> Array:
        """The smaller eigenvalue over the larger at the end, (n,)."""
        det = np.exp(self.log_dets[-1] - 2 * self.log_sizes[-1])  # of the matrix of trace one
        return np.asarray(det / ((1 + np.sqrt(np.maximum(0.0, 1 - 4 * det))) / 2) ** 2)


def clock_ticks(end: float, steps: int = 160) -> Array:
    """Return 0 and `steps` places up to `end`, dense at the start where paths turn."""
    return end * np.linspace(0.0, 1.0, steps + 1) ** 2


def by_arc_length(curves: Array, count: int) -> Array:
    """Return `count` points (count, n, k) of curves (T, n, k), evenly spaced along each."""
    steps = np.linalg.norm(np.diff(curves, axis=0), axis=-1)
    lengths = np.concatenate([np.zeros((1, steps.shape[1])), np.cumsum(steps, axis=0)])
    chosen = np.empty((count, *curves.shape[1:]))
    for i, along in enumerate(lengths.T):
        wanted = np.linspace(0.0, along[-1], count)
        for j in range(curves.shape[-1]):
            chosen[:, i, j] = np.interp(wanted, along, curves[:, i, j])
    return chosen


def planar_paths(attention: Any, starts: Array, places: Array, *, rtol: float = RTOL) -> Paths:
    """Return the flow of covariances (n, 2, 2) of positive determinant at places of their clock.

    Args:
        attention: softmax, L2, Sinkhorn with epsilon = 1, or heads of softmax.
        starts: covariances, shape (n, 2, 2).
        places: of the clock, increasing from 0, shape (T,).
        rtol: tolerance of each coordinate, relative and absolute.

    Raises:
        TypeError: another attention.
        ValueError: starts that are no covariances of the plane or all of rank one, places that do
            not increase.
        RuntimeError: a case does not reach the last place.

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde.figures.covariance_paths import planar_paths
        >>> head = tp.Softmax(np.eye(2), np.eye(2), np.eye(2))
        >>> planar_paths(head, np.eye(2)[None] / 2, np.array([0.0, 40.0])).blowup_times
        array([1.])
    """
    paced = OnClock(attention)
    starts = covariance_matrix("starts", starts, "n d d")
    same_size("starts", starts.shape[-1], "the plane", 2, "dimension")
    places, rtol = increasing_times("places", places), positive_number("rtol", rtol)
    gaussians = Gaussian.from_covariance(np.zeros(2), starts)
    if gaussians.factor.shape[-1] < 2:
        raise ValueError("starts: must have a positive determinant; got matrices of rank one.")
    path = tp.flow(gaussians, paced, places, rtol=rtol, atol=rtol)
    if not (path.stop == "time").all():
        raise RuntimeError("planar_paths: a case does not reach the last place.")
    at = path[:]
    X, s, (S, det) = at.factor, at.log_scales, _entries(at.factor, at.log_scales)
    S[:, 0] = starts[:, [0, 0, 1], [0, 1, 1]].T  # to the last digit, which a factor has not
    size, last = S[0] + S[2], S[:, -1]
    rates = _rates(paced.linear(last, det[-1]), last)
    return Paths(
        points=np.stack([S[0] - S[2], 2 * S[1]], axis=-1) / size[..., None],
        log_sizes=np.log(size),
        log_dets=s.sum(axis=-1) + 2 * np.log(np.abs(_area(X))),
        times=np.expm1(at.mean[..., 0]),
        growth=(rates[0] + rates[2]) / size[-1],
    )


def velocity(attention: Any) -> Callable[[Array], Array]:
    """Return the derivative of covariances by their entries 11, 12, 22: (3, n) to (3, n)."""
    linear = _linear_part(attention)

    def rate(S: Array) -> Array:
        det = np.maximum(S[0] * S[2] - S[1] ** 2, np.finfo(float).tiny)
        return _rates(linear(S, det), S)

    return rate


class OnClock(tp.Attention):
    """An attention at the pace of the clock, on Gaussians of the plane with log(1 + t) as mean."""

    def __init__(self, attention: Any) -> None:
        vars(self)["linear"] = _linear_part(attention)

    linear: Linear
    dimension, steady = 2, True

    def _paced(self, m: Array, X: Array, s: Array) -> tuple[Array, Array]:
        """Return the velocities of the means (n, 2) and the linear parts (2, 2, n)."""
        B, slow = self.linear(*_entries(X, s)), np.exp(-m[:, 0])
        pace = np.sqrt(np.add.reduce(B * B, axis=0)) + slow
        drift = np.zeros(m.shape)
        drift[:, 0] = slow / pace
        return drift, (B / pace).reshape(2, 2, -1)

    def field(self, measure: Any, how: Any) -> tp.AffineField:
        """Return the velocity field of a stack, without a check."""
        drift, B = self._paced(measure.mean, measure.factor, measure.log_scales)
        B = B.transpose(2, 0, 1)
        return tp.AffineField.trusted(B, drift - (B @ measure.mean[..., None])[..., 0])

    def of_gaussians(self, in_axes: bool) -> Any:
        """Return the map from Gaussians to the velocities that their fields give themselves."""

        def moves(m: Array, X: Array, s: Array) -> tuple[Array, Array]:
            drift, B = self._paced(m, X, s)
            X = X.transpose(1, 2, 0)
            return drift, (B[:, :1] * X[:1] + B[:, 1:] * X[1:]).transpose(2, 0, 1)

        return moves

    def _check_kind(self, measure: Any) -> None:
        of_kind("measure", measure, Gaussian, "a stack of Gaussians")

    def _matrix(self, measure: Any) -> Array:
        raise TypeError("matrix: the clock of Gaussians has none.")

    def select(self, stack: tuple[int, ...], index: Array) -> OnClock:
        """Return itself: all cases share it."""
        return self


def _entries(X: Array, s: Array) -> tuple[Array, Array]:
    """Return the entries 11, 12, 22 (3, ...) and the determinants of covariances of factors."""
    a, b, c, d = X[..., 0, 0], X[..., 0, 1], X[..., 1, 0], X[..., 1, 1]
    squares = np.exp(s)
    first, second, S = squares[..., 0], squares[..., 1], np.empty((3, *a.shape))
    left, right = first * a, second * b
    np.add(left * a, right * b, out=S[0])
    np.add(left * c, right * d, out=S[1])
    np.add(first * c * c, second * d * d, out=S[2])
    return S, first * second * _area(X) ** 2


def _area(X: Array) -> Array:
    return np.asarray(X[..., 0, 0] * X[..., 1, 1] - X[..., 0, 1] * X[..., 1, 0])


def _rates(B: Array, S: Array) -> Array:
    """Return the derivatives (3, n) of covariances S (3, n) whose fields have linear parts B."""
    mixed = B[0] * S[1] + B[1] * S[2] + B[2] * S[0] + B[3] * S[1]
    return np.stack([2 * (B[0] * S[0] + B[1] * S[1]), mixed, 2 * (B[2] * S[1] + B[3] * S[2])])


def _linear_part(attention: Any) -> Linear:
    """Return the map from covariances to the linear parts of their fields."""
    if isinstance(attention, tp.MultiHead):
        heads = np.sum([_linear(cast("Any", head)) for head in attention.heads], axis=0)
        return lambda S, det: heads @ S
    kinds: dict[type, Any] = {tp.Softmax: _softmax, tp.L2: _l2, tp.Sinkhorn: _sinkhorn}
    of_kind("attention", attention, tuple(kinds))
    response, linear = kinds[type(attention)](attention), _linear(attention)
    return lambda S, det: linear @ response(S, det)


def _linear(head: Any) -> Array:
    """Return the matrix (4, 3) that takes the entries 11, 12, 22 of C to those of V C A."""
    V, A = head.value, head.key.T @ head.query
    return np.stack([(V @ unit @ A).ravel() for unit in UNITS], axis=1)


def _adjugate(matrix: Array) -> Array:
    """Return the entries 11, 12, 22 of the adjugate of a symmetric matrix, as a column."""
    return np.array([[matrix[1, 1]], [-matrix[0, 1]], [matrix[0, 0]]])


def _softmax(head: Any) -> Linear:
    return lambda S, det: S


def _l2(head: Any) -> Linear:
    P = head.key.T @ head.key
    inner, adj = np.array([P[0, 0], 2 * P[0, 1], P[1, 1]]), _adjugate(P)
    area = 4 * np.linalg.det(P)

    def response(S: Array, det: Array) -> Array:
        return (2 * S + 4 * det * adj) / (1 + 2 * (inner @ S) + area * det)

    return response


def _sinkhorn(head: Any) -> Linear:
    if head.epsilon != 1:
        raise ValueError(f"attention: must be Sinkhorn with epsilon = 1; got {head.epsilon}.")
    A = head.key.T @ head.query
    # The entries of A S A^T, and of its adjugate, from those of S.
    image = np.stack([(A @ unit @ A.T)[[0, 0, 1], [0, 1, 1]] for unit in UNITS], axis=1)
    adjugate, area = image[::-1] * np.array([[1], [-1], [1]]), 4 * np.linalg.det(A)

    def response(S: Array, det: Array) -> Array:
        T = image @ S
        square = 4 * (S[0] * T[0] + 2 * S[1] * T[1] + S[2] * T[2])
        trace = 2 + square
        root = np.sqrt(1 + square + (area * det) ** 2)
        tau = np.sqrt(trace + 2 * root)
        c = root + tau
        below = root**2 + c * trace + c**2
        return 2 * tau * ((1 + c) * S + 4 * det * (adjugate @ S)) / below

    return response


__dir__ = listing(__all__)
