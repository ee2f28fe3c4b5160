"""Gaussian data: when the covariance becomes infinite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from transpde.attention import L2, Attention, Head, Linear, Softmax
from transpde.checks import Array
from transpde.fields import quiet
from transpde.measures import Gaussian
from transpde.theory import ascent, growth, one_key, riccati
from transpde.theory.head_sums import (
    ROUNDING,
    HeadSum,
    Scores,
    gram,
    head_sum,
    matched,
    scalar_value,
    scores,
    scores_of,
    seen,
    top,
)

VISIBLE = 1e-3  # share of the largest eigenvalue above which the top one has its digits
WIDEST = 300.0  # log of a trace up to which the products of an affine law stay in range

__all__ = ["blowup_bound", "blowup_time"]


@quiet
def blowup_time(attention: Attention, gaussian: Gaussian) -> float | Array:
    r"""Return the time at which the covariance of a Gaussian becomes infinite.

    With $A = K^\top Q$, $\Sigma_0 = X_0X_0^\top$ of any rank and any mean (no head's covariance
    depends on it, but linear attention's does):

    - softmax, V = cI: the inverse of $\lambda_{\max}(cX_0^\top(A + A^\top)X_0)$ where it is
      positive, else inf. Several such heads are one, with $\sum_h c_hA_h$ in place of cA;
    - the same with a feed-forward part W: the first time at which
      $I - X_0^\top N(t)X_0$ is singular, $N(t) = c\int_0^t e^{W^\top s}(A + A^\top)e^{Ws}ds$;
    - softmax, $V = V^\top \succ 0$ and $A + A^\top \preceq 0$ (or both signs reversed): inf, as
      $\operatorname{tr}(V^{-1}\Sigma)$ does not increase;
    - wherever `growth_bound` has a bound (Sinkhorn; L2 with injective K): inf;
    - L2, V = cI, any K: inf. With $P = \Sigma^{-1}$, $\|\dot P\| \le 4|c|\|K\|\|Q\|$ and P is
      conserved on ker K, so that $\|B\| = O(\sqrt t)$ and $\log\|\Sigma\| = O(t^{3/2})$;
    - softmax or L2 with one query $q^\top$, one key $k^\top$, $V^\top k = \delta k$,
      $V^\top q = vq$: with $\varphi = 1$, $2/(1 + 2k^\top\Sigma_0k)$ and
      $\beta = q^\top\Sigma_0k$ it is $1/(\varphi v\beta)$ for $\delta = 0$ if this is positive,
      else inf; for $0 < \delta$, and $\delta < v$ if it is L2, a hypergeometric function, inf if
      $\beta < 0$ and the covariance is of rank one on k and q; for L2 inf for
      $\delta \ge v \ge 0$, $\delta > 0$; with both signs reversed the same for -q;
    - softmax, $A = A^\top$, V = -MA with a positive definite M: inf, as
      $\operatorname{tr}(M^{-1}\Sigma)$ does not increase;
    - linear attention on a Gaussian of mean zero: as softmax.

    Args:
        attention: any attention.
        gaussian: a Gaussian, or a stack; parameters may have its leading axes.

    Returns:
        A float, inf where a proof says that there is none, or beyond all floats. None where no
        statement decides, as where a feed-forward part meets a covariance of trace above e^300 or
        under e^-300; for other values V, sums of heads that none of the rows holds, attentions
        that do not keep Gaussians, and with a feed-forward part that is not stable where no
        blow-up is found. For a stack an array, NaN where no statement decides. V = cI means to the
        last bit; eigenvalues that are zero within rounding count as zero, equal within rounding
        as equal, and eigenvectors of $V^\top$ are such within rounding (a relative residual under
        1e-12), as those of a V that was computed from them.

    Raises:
        ValueError: dimensions or leading axes that do not fit.
        TypeError: something that is not an attention, or not a Gaussian.

    Source: ours (chapter on covariance dynamics).

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde import theory
        >>> gaussian = tp.Gaussian(mean=[0.0, 0.0], factor=np.eye(2))
        >>> attention = tp.Softmax(np.diag([1.0, -1.0]), np.eye(2), np.eye(2))
        >>> theory.blowup_time(attention, gaussian)
        0.5
    """
    parts = matched(attention, gaussian)
    found = scores(parts, gaussian)
    if found is not None and parts is not None and not parts.linear.any():
        times = softmax_time(found, gaussian)
        return times if gaussian.stack else float(times)
    return _by_case(_blowup_time, attention, gaussian)


def softmax_time(found: Scores, gaussian: Gaussian) -> Array:
    r"""Return the inverse of the largest eigenvalue of $X_0^\top(A + A^\top)X_0$, or inf."""
    view = seen(found, gaussian)
    Y = view.axes.factor
    s = np.where((Y != 0).any(axis=-2), view.axes.log_scales, -np.inf)
    longest = s.max(axis=-1, keepdims=True, initial=-np.inf)
    longest = np.where(np.isfinite(longest), longest, 0.0)
    s = np.where(np.isfinite(s), s, longest)
    G, D = gram(Y, found.form), np.exp((s - longest) / 2)
    values = np.linalg.eigvalsh(D[..., :, None] * G * D[..., None, :])
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        logs = -np.log(values[..., -1]) - longest[..., 0]
        hidden = view.grows & ~(values[..., -1] > VISIBLE * np.abs(values).max(axis=-1))
        if hidden.any():
            logs = np.array(logs)
            logs[hidden] = _hidden_time(
                np.broadcast_to(G, (*hidden.shape, *G.shape[-2:]))[hidden],
                np.broadcast_to(s, (*hidden.shape, s.shape[-1]))[hidden],
            )
        times = np.exp(logs - found.exponent * np.log(2.0))
    return np.where(view.grows, times, np.inf)


def _hidden_time(G: Array, s: Array) -> Array:
    r"""Return $\log t$ where $D^{-2} - tG$ becomes singular, $D^2 = e^s$, by bisection.

    It is the largest eigenvalue of DGD, however small it is beside the others. Multiplied by a
    diagonal matrix from both sides, $D^{-2} - tG$ has entries of order one at every t.
    """
    values, U = np.linalg.eigh(G)
    terms = 2 * np.log(np.abs(U[..., -1])) - s
    high = special.logsumexp(terms, axis=-1) - np.log(values[..., -1])
    low = np.minimum(-s.max(axis=-1) - np.log(np.abs(values).max(axis=-1)), high)
    for _ in range(80):
        middle = (low + high) / 2
        share = special.expit(middle[..., None] + s)
        rest = np.sqrt(share)
        matrix = -rest[..., :, None] * G * rest[..., None, :]
        matrix[..., range(s.shape[-1]), range(s.shape[-1])] += special.expit(
            -middle[..., None] - s
        )
        before = np.linalg.eigvalsh(matrix)[..., 0] > 0
        low, high = np.where(before, middle, low), np.where(before, high, middle)
    return np.asarray((low + high) / 2)


@quiet
def blowup_bound(attention: Attention, gaussian: Gaussian) -> float | Array:
    r"""Return a time by which the covariance of a Gaussian has become infinite.

    Where `blowup_time` knows the time it is that. Else, for softmax with $A = A^\top$ and V = MA,
    M positive definite,
    $$t^* \le \frac{\operatorname{tr}(M^{-1}\Sigma_0)}{2\|X_0^\top AX_0\|_F^2}.$$
    A singular A leaves a choice of M, of which the least bound is taken.

    Args:
        attention: any attention.
        gaussian: a Gaussian, or a stack; parameters may have its leading axes.

    Returns:
        A float, inf where there is no blow-up. None where no statement decides. For a stack an
        array, NaN where no statement decides. $A = A^\top$ and V = MA mean within rounding.

    Raises:
        ValueError: dimensions or leading axes that do not fit.
        TypeError: something that is not an attention, or not a Gaussian.

    Source: ours (chapter on covariance dynamics).

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde import theory
        >>> A, M = np.diag([1.0, -1.0]), np.diag([2.0, 1.0])
        >>> gaussian = tp.Gaussian([0.0, 0.0], factor=np.eye(2))
        >>> theory.blowup_bound(tp.Softmax(A, np.eye(2), M @ A), gaussian)
        0.375
    """
    matched(attention, gaussian)
    return _by_case(_blowup_bound, attention, gaussian)


def _blowup_bound(parts: HeadSum, gaussian: Gaussian) -> float | None:
    known = _blowup_time(parts, gaussian)
    if known is None and _moves_as_softmax(parts, gaussian):
        return ascent.latest(parts.alone, gaussian)
    return known


def _moves_as_softmax(parts: HeadSum, gaussian: Gaussian) -> bool:
    """Whether it is one head, softmax, or linear on a Gaussian that stays centred."""
    centred = not gaussian.mean.any() and not parts.offset.any()
    return isinstance(parts.alone, Softmax) or (isinstance(parts.alone, Linear) and centred)


def _by_case(function: Callable[[HeadSum, Gaussian], Any], attention: Any, gaussian: Any) -> Any:
    """Return the values of a function for each case of a stack, NaN where one is None."""
    if not gaussian.stack:
        parts = head_sum(attention)
        return None if parts is None else function(parts, gaussian)
    values = np.full(gaussian.stack, np.nan)
    for number, i in enumerate(np.ndindex(gaussian.stack)):
        parts = head_sum(attention.select(gaussian.stack, np.array(number)))
        value = None if parts is None else function(parts, gaussian[i])
        values[i] = np.nan if value is None else value
    return values


def _blowup_time(parts: HeadSum, gaussian: Gaussian) -> float | None:
    found = scores(parts, gaussian)
    if found is not None:
        if not parts.linear.any():
            return float(softmax_time(found, gaussian))
        A = found.matrix
        if not np.abs(gaussian.log_size) < WIDEST:
            return None if gaussian.factor.any() else np.inf
        return riccati.blowup(gaussian.scaled_factor, A + A.T, parts.linear)
    if growth.rate(parts) is not None:
        return np.inf
    head = parts.alone
    if _moves_as_softmax(parts, gaussian):
        rests = ascent.latest(head, gaussian) == np.inf
        if _has_lyapunov_function(head) or rests or ascent.direction(head) == -1:
            return np.inf
        return _one_key(head, gaussian)
    if isinstance(head, L2):
        return np.inf if scalar_value(head) is not None else _one_key(head, gaussian)
    return None


def _has_lyapunov_function(head: Head) -> bool:
    V, found = head.value, scores_of(head)
    C, size = found.form + found.form.T, 2 * float(np.linalg.norm(found.noise))
    if (V != V.T).any():
        return False
    values = np.linalg.eigvalsh(V)
    positive = values[0] > ROUNDING * len(V) * values[-1]
    negative = values[-1] < ROUNDING * len(V) * values[0]
    return bool((positive and top(C, size) <= 0) or (negative and top(-C, size) <= 0))


def _one_key(head: Head, gaussian: Gaussian) -> float | None:
    """Return the blow-up time with one key and one query, eigenvectors of V^T."""
    rows = one_key.Rows.of(head, gaussian)
    if rows is None:
        return None
    values = [one_key.eigenvalue(head.value.T, x[0]) for x in (head.key, head.query)]
    if values[0] is None or values[1] is None:
        return None
    return one_key.blowup(rows, values[0], values[1], damped=isinstance(head, L2))
