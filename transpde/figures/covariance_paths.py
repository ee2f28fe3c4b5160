r"""Centred Gaussians of the plane, thousands at a time, each on the clock of its own field.

In the plane every attention of the figures has $B = V C A$ with a matrix C in closed form. With
$P = K^\top K$, $W = I + 4 (X^\top A X)(X^\top A X)^\top$, $\tau^2 = \operatorname{tr}W +
2\sqrt{\det W}$ and $c = \sqrt{\det W} + \tau$,

- softmax: $C = \Sigma$;
- L2: $C = 2(\Sigma + 2\det\Sigma\,\operatorname{adj}P) /
  (1 + 2\operatorname{tr}\Sigma P + 4\det\Sigma\det P)$;
- Sinkhorn: $C = 2\tau((1 + c)\Sigma + 4\det\Sigma\,\operatorname{adj}(A\Sigma A^\top)) /
  (\det W + c\operatorname{tr}W + c^2)$.

Sums of positive terms, so nothing cancels however thin or large $\Sigma$ is, provided
$\det\Sigma$ is a coordinate of its own: $(\log\det\Sigma)^{\cdot} = 2\operatorname{tr}B$. The
others are the place in the disc, $\log\operatorname{tr}\Sigma$ and the time, all on the clock
$ds = (\|B\|_F + 1/(1 + t))\,dt$: hardly a case is stiff on it, limits are approached
exponentially, and a blow-up is at infinity.

The loop is its own for two reasons: a figure shows each case at places of its own clock, where a
stack of `transpde.flow` has times in common; and that flow, of any dimension, takes 2 to 12 times
as long to the same ends (to 2e-8): all figures would be some 70 times faster than the scripts
instead of 150.

Source: ours (Cayley-Hamilton); held to `transpde.flow` by test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import integrate

import transpde as tp
from transpde.checks import (
    Array,
    brief,
    covariance_matrix,
    finite_array,
    flag,
    increasing_times,
    listing,
    of_kind,
    positive_number,
    same_size,
)
from transpde.disc import axis_angles, symmetric_coordinates, unit_trace_matrices

__all__ = ["RTOL", "Paths", "by_arc_length", "clock_ticks", "planar_paths", "velocity"]

RTOL = 1e-9  # of each case: the solver's, over all, is smaller by the root of their number

Response = Callable[[Array, Array, Array], Array]


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


def planar_paths(
    attention: Any, starts: Array, places: Array, *, rtol: float = RTOL, physical: bool = False
) -> Paths:
    """Integrate covariances (n, 2, 2) of positive determinant to the given places of their clock.

    Args:
        attention: softmax, L2, Sinkhorn with epsilon = 1, or heads of softmax.
        starts: covariances, shape (n, 2, 2).
        places: of the clock, increasing from 0, shape (T,).
        rtol: relative tolerance of each case.
        physical: the places are physical times; for flows that are not stiff and do not blow up.

    Raises:
        TypeError: another attention.
        ValueError: starts that are no covariances of the plane, places that do not increase.
        RuntimeError: the solver fails.

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde.figures.covariance_paths import planar_paths
        >>> head = tp.Softmax(np.eye(2), np.eye(2), np.eye(2))
        >>> planar_paths(head, np.eye(2)[None] / 2, np.array([0.0, 40.0])).blowup_times
        array([1.])
    """
    rate = _rate(attention, flag("physical", physical))
    starts = covariance_matrix("starts", finite_array("starts", starts, "n d d"))
    same_size("starts", starts.shape[-1], "the plane", 2, "dimension")
    places, rtol = increasing_times("places", places), positive_number("rtol", rtol)
    (u, w, size), n = symmetric_coordinates(starts).T, len(starts)
    first = [u / size, w / size, np.log(size), np.log(np.linalg.det(starts)), np.zeros(n)]
    share = rtol / np.sqrt(5 * n)
    run = integrate.solve_ivp(
        lambda s, y: rate(y.reshape(5, n))[0].ravel(),
        (0.0, places[-1]),
        np.concatenate(first),
        method="DOP853",
        t_eval=places,
        rtol=share,
        atol=share,
    )
    if run.status != 0:
        raise RuntimeError(f"planar_paths: the solver failed: {run.message}")
    y = run.y.reshape(5, n, len(places)).transpose(0, 2, 1)
    growth = rate(y[:, -1])[1]
    return Paths(np.stack(y[:2], axis=-1), y[2], y[3], y[4], growth)


def velocity(attention: Any) -> Callable[[Array], Array]:
    """Return the derivative of covariances by their entries 11, 12, 22: (3, n) to (3, n)."""
    response, linear = _response(attention)

    def rate(S: Array) -> Array:
        size, det = S[0] + S[2], np.maximum(S[0] * S[2] - S[1] ** 2, np.finfo(float).tiny)
        b11, b12, b21, b22 = linear @ response(S / size, np.log(size), np.log(det))
        mixed = b11 * S[1] + b12 * S[2] + b21 * S[0] + b22 * S[1]
        return np.stack([2 * (b11 * S[0] + b12 * S[1]), mixed, 2 * (b21 * S[1] + b22 * S[2])])

    return rate


def _rate(attention: Any, physical: bool) -> Callable[[Array], tuple[Array, Array]]:
    """Return the derivatives (5, n) along the clock and d log(trace) / dt as functions of y."""
    response, linear = _response(attention)

    def rate(y: Array) -> tuple[Array, Array]:
        p, q, log_size, log_det, t = y
        D = np.stack([1 + p, q, 1 - p]) / 2
        C = response(D, log_size, log_det)
        b11, b12, b21, b22 = linear @ C
        first, second = 2 * (b11 * D[0] + b12 * D[1]), 2 * (b21 * D[1] + b22 * D[2])
        mixed = 2 * ((b11 + b22) * D[1] + b12 * D[2] + b21 * D[0])
        growth = first + second
        size = np.sqrt(b11**2 + b12**2 + b21**2 + b22**2)
        speed = 1.0 if physical else size + 1 / (1 + np.maximum(t, 0.0))
        moves = [first - second - growth * p, mixed - growth * q, growth, 2 * (b11 + b22)]
        return np.stack([*moves, np.ones_like(p)]) / speed, growth

    return rate


def _response(attention: Any) -> tuple[Response, Array]:
    """Return C as a function of direction, log size and log determinant; C -> B as (4, 3)."""
    if isinstance(attention, tp.MultiHead):
        return _softmax(attention), np.sum([_linear(head) for head in attention.heads], axis=0)
    kinds: dict[type, Any] = {tp.Softmax: _softmax, tp.L2: _l2, tp.Sinkhorn: _sinkhorn}
    of_kind("attention", attention, tuple(kinds))
    return kinds[type(attention)](attention), _linear(attention)


def _linear(head: Any) -> Array:
    """Return the matrix (4, 3) that takes the entries 11, 12, 22 of C to those of V C A."""
    V, A = head.value, head.key.T @ head.query
    units = ([[1, 0], [0, 0]], [[0, 1], [1, 0]], [[0, 0], [0, 1]])
    return np.stack([(V @ np.array(unit) @ A).ravel() for unit in units], axis=1)


def _adjugate(matrix: Array) -> Array:
    """Return the entries 11, 12, 22 of the adjugate of a symmetric matrix, as a column."""
    return np.array([[matrix[1, 1]], [-matrix[0, 1]], [matrix[0, 0]]])


def _softmax(head: Any) -> Response:
    return lambda D, log_size, log_det: D * np.exp(log_size)


def _l2(head: Any) -> Response:
    P = head.key.T @ head.key
    inner, adj = np.array([P[0, 0], 2 * P[0, 1], P[1, 1]]), _adjugate(P)

    def response(D: Array, log_size: Array, log_det: Array) -> Array:
        det = np.exp(log_det - log_size)  # numerator and denominator are over the trace
        below = np.exp(-log_size) + 2 * (inner @ D) + 4 * np.linalg.det(P) * det
        return 2 * (D + 2 * det * adj) / below

    return response


def _sinkhorn(head: Any) -> Response:
    if head.epsilon != 1:
        raise ValueError(f"attention: must be Sinkhorn with epsilon = 1; got {head.epsilon}.")
    A = head.key.T @ head.query
    units = ([[1, 0], [0, 0]], [[0, 1], [1, 0]], [[0, 0], [0, 1]])
    # The entries of A S A^T, and of its adjugate, from those of S.
    image = np.stack([(A @ np.array(unit) @ A.T)[[0, 0, 1], [0, 1, 1]] for unit in units], axis=1)
    adjugate = image[::-1] * np.array([[1], [-1], [1]])

    def response(D: Array, log_size: Array, log_det: Array) -> Array:
        size, det = np.exp(log_size), np.exp(log_det)
        S = D * size
        T = image @ S
        square = 4 * (S[0] * T[0] + 2 * S[1] * T[1] + S[2] * T[2])
        trace = 2 + square
        root = np.sqrt(1 + square + (4 * det * np.linalg.det(A)) ** 2)
        tau = np.sqrt(trace + 2 * root)
        c = root + tau
        return 2 * tau * ((1 + c) * S + 4 * det * (adjugate @ S)) / (root**2 + c * trace + c**2)

    return response


__dir__ = listing(__all__)
