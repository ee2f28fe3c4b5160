"""The energy of several heads, whose scores may change in time, and its balance along a flow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from transpde.attention import Attention, HeadDescent
from transpde.checks import Array, function, of_kind, outlined, same_shape, same_size
from transpde.energy.identities import check_path, integral
from transpde.energy.scores import known, mean_of, number
from transpde.fields import out_of_range, quiet, silent
from transpde.measures import Particles
from transpde.schedules import Schedule
from transpde.trajectories import Trajectory

__all__ = ["Balance", "heads_balance", "heads_dissipation", "heads_energy", "heads_power"]


@silent
def heads_energy(measure: Particles, scores: Any) -> Any:
    r"""Return the energy $E = \frac1{2H}\sum_h\iint e^{\langle x, D_hy\rangle}d\mu d\mu$.

    Args:
        measure: `Particles` or a stack.
        scores: $D_h$, shape (h, d, d), symmetric; leading axes match those of a stack.

    Returns:
        A number, or an array of the shape of the stack; inf where it is too large for a float.

    Raises:
        ValueError: scores that are not symmetric, or of another dimension than the measure.
        TypeError: a measure of another kind.
        OverflowError: a number on the way to it that no float holds.

    Source: ours (chapter on heads that change in time).

    Example:
        >>> import transpde as tp
        >>> from transpde.energy import heads_energy
        >>> heads_energy(tp.Particles([[0.0]]), [[[1.0]], [[2.0]]])
        0.5
    """
    Z = np.exp(_partitions(measure, _heads(measure, scores)))
    energy = mean_of(measure, Z.mean(axis=-2)) / 2
    return number(known(energy, measure.points))


@silent
def heads_power(measure: Particles, scores: Any, rates: Any) -> Any:
    r"""Return the rate at which changing scores change the energy of tokens that stand still.

    It is
    $\partial_tE = \frac1{2H}\sum_h\iint e^{\langle x, D_hy\rangle}
    \langle x, \dot D_hy\rangle\,d\mu d\mu$.

    Args:
        measure: `Particles` or a stack.
        scores: $D_h$, shape (h, d, d), symmetric; leading axes match those of a stack.
        rates: $\dot D_h$, of the shape of the scores, symmetric.

    Returns:
        A number, or an array of the shape of the stack; infinite where it is too large for a
        float.

    Raises:
        ValueError: scores or rates that are not symmetric, or of another dimension than the
            measure; rates of another shape than the scores.
        TypeError: a measure of another kind.
        OverflowError: a number on the way to it that no float holds.

    Source: ours (chapter on heads that change in time).

    Example:
        >>> import transpde as tp
        >>> from transpde.energy import heads_power
        >>> heads_power(tp.Particles([[1.0]]), [[[0.0]], [[0.0]]], [[[1.0]], [[2.0]]])
        0.75
    """
    head, turned = _heads(measure, scores), _heads(measure, rates, "rates")
    same_shape("rates", turned.scores.shape, "scores", head.scores.shape)
    x, pulls = measure.points[..., None, :, :], _means(measure, head) @ turned.scores.mT
    logs = _partitions(measure, head) + measure.log_weights[..., None, :]
    most = np.max(logs, axis=(-2, -1), keepdims=True)
    each = np.exp(logs - most) * (x * pulls).sum(axis=-1) / (2 * logs.shape[-2])
    total = each.sum(axis=(-2, -1))
    power = np.where(total == 0, 0.0, total * np.exp(most[..., 0, 0]))
    return number(known(power, measure.points))


@silent
def heads_dissipation(
    measure: Particles,
    scores: Any,
    attention: Attention | None = None,
    mobility: str | None = "harmonic",
) -> Any:
    r"""Return the squared speed $G^2 = \int b\,|v|^2d\mu$ of a field, in a metric of the heads.

    For a mobility M, of the kinds that `HeadDescent` has, $b = 1/M$: the harmonic mean of the
    $Z_h$, their arithmetic mean, or one. The descent with the same mobility lowers `heads_energy`
    at this rate; along another field the two need not agree.

    Args:
        measure: `Particles` or a stack; on a sphere v is the tangential part of the field.
        scores: $D_h$, shape (h, d, d), symmetric; leading axes match those of a stack.
        attention: the attention whose field v is; the descent itself when left out.
        mobility: "harmonic", "arithmetic" or None.

    Returns:
        A number, or an array of the shape of the stack; inf where it is too large for a float.

    Raises:
        ValueError: scores that are not symmetric, or of another dimension than the measure; an
            unknown mobility; an attention that does not fit the measure.
        TypeError: a measure of another kind; something that is no attention.
        OverflowError: a velocity that no float holds.

    Source: ours (chapter on heads that change in time).

    Example:
        >>> import transpde as tp
        >>> from transpde.energy import heads_dissipation
        >>> heads_dissipation(tp.Particles([[1.0]]), [[[0.0]], [[0.0]]])
        0.0
    """
    head = HeadDescent(_heads(measure, scores).scores, mobility)
    if attention is not None:
        of_kind("attention", attention, Attention, "an attention")
        same_size("attention", attention.dimension, "the measure", measure.dimension, "dimension")
    field = (head if attention is None else attention)(measure)
    v = measure.velocities(field)
    v = np.where(measure.weights[..., None] > 0, v, 0.0)
    if not (np.isfinite(v) | ~np.isfinite(measure.points)).all():
        raise out_of_range("attention: the velocity of a token")
    roots = np.exp(_log_weights(_partitions(measure, head), mobility) / 2)
    squares = np.where(v == 0, 0.0, roots[..., None] * v) ** 2
    return number(mean_of(measure, squares.sum(axis=-1)))


def _log_weights(logs: Array, mobility: str | None) -> Array:
    """Return log b at the tokens, minus that of the mobility."""
    if mobility is None:
        return np.zeros(logs.shape[:-2] + logs.shape[-1:])
    sign = 1 if mobility == "arithmetic" else -1
    most = np.max(sign * logs, axis=-2, keepdims=True)
    mean = np.exp(sign * logs - most).mean(axis=-2)
    return np.asarray(sign * (most[..., 0, :] + np.log(mean)))


@outlined
class Balance(NamedTuple):
    """The energy balance of a flow at its recorded times, arrays (T, ...) from time zero."""

    change: Array  # E(t) - E(0)
    work: Array  # the integral of the power
    dissipation: Array  # the integral of G^2

    @property
    def residual(self) -> Array:
        """The change minus the work plus the dissipation: zero where the identity holds."""
        return self.change - self.work + self.dissipation


@quiet
def heads_balance(
    path: Trajectory[Any],
    scores: Callable[[float], Any],
    rates: Callable[[float], Any],
    attention: Any = None,
    mobility: str | None = "harmonic",
) -> Balance:
    r"""Return both sides of $E(t) - E(0) = \int_0^t\partial_tE\,ds - \int_0^tG^2ds$ along a flow.

    Both integrals are those of the spline of degree 7 through the values at the recorded times,
    so that their error is of order 8 in the distance of these. A case of a stack that ends before
    the last time is NaN, and the others are what they are alone.

    Args:
        path: a flow of tokens with at least 16 recorded times.
        scores: t -> the scores at t, (h, d, d).
        rates: t -> their derivatives at t.
        attention: the attention whose velocity is in $G^2$, or a callable t -> attention; the
            descent of the mobility when left out.
        mobility: that of $G^2$, see `heads_dissipation`.

    Raises:
        ValueError: too few times; scores or rates that do not fit the measure.
        TypeError: something that is no path of tokens, no callable, no attention.

    Source: ours (chapter on heads that change in time).

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde.energy import heads_balance
        >>> D = lambda t: np.array([[[np.cos(t)]], [[t]]])
        >>> rate = lambda t: np.array([[[-np.sin(t)]], [[1.0]]])
        >>> start = tp.Particles([[1.0], [-0.5]])
        >>> path = tp.flow(start, lambda t: tp.HeadDescent(D(t)), time=1.0)
        >>> bool(abs(heads_balance(path, D, rate).residual).max() < 1e-9)
        True
    """
    check_path(path)
    scores, rates = function("scores", scores), function("rates", rates)
    schedule = None if attention is None else Schedule.of(attention)
    energies, power, squares = [], [], []
    for i, t in enumerate(float(time) for time in path.times):
        measure, D = of_kind("path", path[i], Particles), scores(t)
        energies.append(heads_energy(measure, D))
        power.append(heads_power(measure, D, rates(t)))
        head = None if schedule is None else schedule(t)
        squares.append(heads_dissipation(measure, D, head, mobility))
    E = np.array(energies)
    return Balance(E - E[0], integral(path, power), integral(path, squares))


def _heads(measure: Any, scores: Any, name: str = "scores") -> HeadDescent:
    """Return the descent of scores that fit the measure."""
    of_kind("measure", measure, Particles)
    try:
        head = HeadDescent(scores)
        same_size("scores", head.dimension, "the measure", measure.dimension, "dimension")
        head.check(measure)
    except ValueError as error:
        raise ValueError(str(error).replace("scores", name, 1)) from error
    return head


def _partitions(measure: Particles, head: HeadDescent) -> Array:
    """Return log Z of each head at the tokens, (..., h, n)."""
    stack = (*measure.stack, head.scores.shape[-3])
    return head.token_sum(measure).log_totals(measure.points[..., None, :, :], stack)


def _means(measure: Particles, head: HeadDescent) -> Array:
    """Return the softmax means of the tokens at the tokens, (..., h, n, d)."""
    x, (n, d) = measure.points[..., None, :, :], measure.points.shape[-2:]
    values = np.broadcast_to(x, (*measure.stack, head.scores.shape[-3], n, d))
    return head.token_sum(measure).mean(x, values)
