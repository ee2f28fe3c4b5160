"""Gaussian data: the covariance at finite depth in closed form."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from transpde.attention import L2, Attention
from transpde.checks import Array, non_negative_array
from transpde.fields import out_of_range, quiet
from transpde.measures import Gaussian
from transpde.theory import one_key, riccati
from transpde.theory.explosion import softmax_time
from transpde.theory.head_sums import (
    ROUNDING,
    HeadSum,
    Scores,
    gram,
    matched,
    scalar_value,
    scores,
)

__all__ = ["closed_form_covariance"]


@quiet
def closed_form_covariance(
    attention: Attention, gaussian: Gaussian, time: ArrayLike
) -> Array | None:
    r"""Return the covariance at depth t where it has a closed form: softmax and V = cI above all.

    $$\Sigma(t) = X_0\big(I - ctX_0^\top(A + A^\top)X_0\big)^{-1}X_0^\top,$$
    which for $\Sigma_0 \succ 0$ is $(\Sigma_0^{-1} - ct(A + A^\top))^{-1}$, whatever the mean.
    Several such heads are one, with $\sum_h c_hA_h$. With a feed-forward part W and
    $N(t) = c\int_0^t e^{W^\top s}(A + A^\top)e^{Ws}ds$:
    $$\Sigma(t) = e^{Wt}X_0\big(I - X_0^\top N(t)X_0\big)^{-1}X_0^\top e^{W^\top t}.$$
    L2 with V = cI, one key $k^\top$ and one query $q^\top$ follows the softmax curve of c = 1 (for
    c < 0, of -q) on a clock of its own: with $h = X_0^\top k$, $g = X_0^\top q$ and
    $w_\pm = h\cdot g \pm |h||g|$,
    $$2|c|t = \theta + \frac{|h|}{|g|}\log\frac{1 - \theta w_-}{1 - \theta w_+}.$$

    Args:
        attention: softmax heads with values that are multiples of the identity to the last bit;
            linear heads too on a Gaussian of mean zero; or one L2 head of this kind with one key.
        gaussian: a Gaussian of any rank, or a stack.
        time: depths, at least 0: a number or an array (T,).

    Returns:
        Covariances (..., d, d), with a leading axis T for an array of times; NaN after the blow-up
        of a case of a stack, and where the part that explodes is too small beside the others for
        its digits to be kept. None for other attentions.

    Raises:
        ValueError: a time at or after the blow-up of a single Gaussian (the message says when),
            a negative time, dimensions or leading axes that do not fit.
        TypeError: something that is not an attention, or not a Gaussian.
        OverflowError: a number on the way to it that no float holds.

    Source: ours (chapter on covariance dynamics).

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde import theory
        >>> gaussian = tp.Gaussian(mean=[5.0, 0.0], factor=np.eye(2))
        >>> attention = tp.Softmax(np.diag([1.0, -1.0]), np.eye(2), np.eye(2))
        >>> theory.closed_form_covariance(attention, gaussian, time=0.25)
        array([[2.        , 0.        ],
               [0.        , 0.66666667]])
    """
    parts, t = matched(attention, gaussian), non_negative_array("time", time)
    found = scores(parts, gaussian)
    if parts is not None and found is None:
        return _one_key_covariance(parts, gaussian, t)
    if parts is None or found is None:
        return None
    values = [_covariance(parts, found, gaussian, float(one)) for one in t.ravel()]
    return np.array(values).reshape(t.shape + values[0].shape)


def _covariance(parts: HeadSum, found: Scores, gaussian: Gaussian, t: float) -> Array:
    A = found.matrix
    X, stack, d = gaussian.scaled_factor, gaussian.stack, gaussian.dimension
    if not parts.linear.any():
        end = softmax_time(found, gaussian)
        if not stack and t >= end:
            raise _too_late(t, float(end))
        with np.errstate(all="ignore"):
            form = gram(X, A)
        if np.isfinite(X).all() and not np.isfinite(form).all():
            raise out_of_range("gaussian: a score")
        values, U = np.linalg.eigh(form)
        noise = np.linalg.norm(
            np.ldexp(found.noise, found.exponent[..., None, None]), axis=(-2, -1)
        )
        floor = (2 * ROUNDING * d * noise * np.square(X).sum(axis=(-2, -1)))[..., None]
        left = 1 - t * np.where(np.abs(values) > floor, values, 0.0)
        lost = (t > 1e-6 * end) & (values[..., -1] <= floor[..., 0])
        ended = (t >= end) | lost
        left = np.where(ended[..., None], np.nan, np.maximum(left, np.finfo(float).tiny))
        Y = (X @ U) / np.sqrt(left)[..., None, :]
        return np.asarray(Y @ Y.mT)
    Sigma = np.full((*stack, d, d), np.nan)
    C = np.broadcast_to(A + A.mT, Sigma.shape)
    W = np.broadcast_to(parts.linear, Sigma.shape)
    for i in np.ndindex(stack):
        last = riccati.blowup(X[i], C[i], W[i], horizon=t)
        if last == np.inf:
            Sigma[i] = riccati.covariance(X[i], C[i], W[i], t)
        elif not stack:
            raise _too_late(t, last)
    return Sigma


def _one_key_covariance(parts: HeadSum, gaussian: Gaussian, times: Array) -> Array | None:
    """Return the covariance of one L2 head with V = cI and one key, None for other heads."""
    head = parts.alone
    if not isinstance(head, L2):
        return None
    c = scalar_value(head)
    if c is None or head.key.shape[-2] > 1:
        return None
    stack, X = gaussian.stack, gaussian.scaled_factor
    Q = np.broadcast_to(np.sign(c)[..., None, None] * head.query, (*stack, *head.query.shape[-2:]))
    K = np.broadcast_to(head.key, (*stack, *head.key.shape[-2:]))
    speeds = np.broadcast_to(np.abs(c), stack)
    Sigma = np.zeros((*times.shape, *stack, *X.shape[-2:-1], *X.shape[-2:-1]))
    for where in np.ndindex(times.shape):
        for i in np.ndindex(stack):
            t = float(speeds[i] * times[where])
            Sigma[where + i] = one_key.covariance(X[i], K[i][0], Q[i][0], t)
    return Sigma


def _too_late(t: float, end: float | None) -> ValueError:
    when = "is not decided" if end is None else f"is at {end:.12g}"
    return ValueError(f"time: must be before the blow-up, which {when}; got {t:.12g}.")
