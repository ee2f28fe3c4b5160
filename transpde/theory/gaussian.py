"""Gaussian data: blow-up, closed forms, limits and ranks of the covariance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import linalg

from transpde.attention import L2, Attention, Head, Linear, Sinkhorn, Softmax
from transpde.checks import Array
from transpde.measures import Gaussian
from transpde.theory import one_key, riccati
from transpde.theory.head_sums import (
    ROUNDING,
    HeadSum,
    depths,
    head_sum,
    matched,
    one_case,
    scalar_softmax,
    scalar_value,
    top,
)

LONGEST = 1400.0  # log of a squared length that a float holds as a length
WIDEST = 300.0  # log of a trace up to which the products of an affine law stay in range

__all__ = [
    "blowup_time",
    "closed_form_covariance",
    "growth_bound",
    "limit_covariance",
    "stationary_rank_bound",
]


def blowup_time(attention: Any, gaussian: Gaussian) -> Any:
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
      conserved on ker K, so that $\|B\|$ grows at most linearly and $\log\|\Sigma\|$ like $t^2$;
    - L2 with one query $q^\top$, one key $k^\top$, $V^\top k = \delta k$, $V^\top q = vq$: with
      $\varphi = 2/(1 + 2k^\top\Sigma_0k)$ and $\beta = q^\top\Sigma_0k$ it is
      $1/(\varphi v\beta)$ for $\delta = 0$ if this is positive, else inf; for $0 < \delta < v$
      a hypergeometric function, inf if $\beta < 0$ and the covariance is of rank one on k and q;
      inf for $\delta \ge v \ge 0$, $\delta > 0$; with both signs reversed the same for -q;
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
        last bit; eigenvalues that are zero within rounding count as zero, and eigenvectors may be
        off by rounding in each entry.

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
    A = scalar_softmax(parts, gaussian)
    if A is not None and parts is not None and not parts.linear.any():
        unit = gaussian.normalised()
        rate = top(_gram(unit.factor, A))
        with np.errstate(over="ignore", divide="ignore"):
            times = np.where(rate > 0, np.exp(-unit.log_scales[..., 0]) / np.abs(rate), np.inf)
        return times if gaussian.stack else float(times)
    return _by_case(_blowup_time, attention, gaussian)


def _gram(X: Array, A: Array) -> Array:
    G = X.mT @ A @ X
    return G + G.mT


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
    A = scalar_softmax(parts, gaussian)
    if A is not None:
        if not parts.linear.any():
            return float(blowup_time(Softmax(A, np.eye(len(A)), np.eye(len(A))), gaussian))
        if not np.abs(gaussian.log_size) < WIDEST:
            return None if gaussian.factor.any() else np.inf
        return riccati.blowup(gaussian.scaled_factor, A + A.T, parts.linear)
    if _growth(parts) is not None:
        return np.inf
    if len(parts.heads) > 1 or parts.linear.any():
        return None
    head = parts.heads[0]
    centred = not gaussian.mean.any() and not parts.offset.any()
    if isinstance(head, Softmax) or (isinstance(head, Linear) and centred):
        return np.inf if _has_lyapunov_function(head) else None
    if isinstance(head, L2):
        return np.inf if scalar_value(head) is not None else _one_key(head, gaussian)
    return None


def _has_lyapunov_function(head: Head) -> bool:
    V, C = head.value, head.key.T @ head.query
    C = C + C.T
    if (V != V.T).any():
        return False
    values = np.linalg.eigvalsh(V)
    positive = values[0] > ROUNDING * len(V) * values[-1]
    negative = values[-1] < ROUNDING * len(V) * values[0]
    return bool((positive and top(C) <= 0) or (negative and top(-C) <= 0))


def _one_key(head: L2, gaussian: Gaussian) -> float | None:
    """Return the blow-up time of L2 with one key and one query, eigenvectors of V^T."""
    if len(head.key) > 1:
        return None
    k, q, V = head.key[0], head.query[0], head.value
    delta, v = _eigenvalue(V.T, k), _eigenvalue(V.T, q)
    if delta is None or v is None:
        return None
    unit = gaussian.normalised()
    rows = np.array([k, q]) @ unit.factor
    return one_key.blowup(rows, float(unit.log_scales[0]), delta, v)


def _eigenvalue(matrix: Array, vector: Array) -> float | None:
    """Return the eigenvalue of an eigenvector up to rounding in each entry, else None."""
    image, i = matrix @ vector, int(np.abs(vector).argmax())
    value = float(image[i] / vector[i]) if vector[i] else 0.0
    off = np.abs(image - value * vector) > ROUNDING * np.abs(value * vector)
    return None if off.any() else value


def closed_form_covariance(attention: Any, gaussian: Gaussian, time: Any) -> Any:
    r"""Return the covariance at depth t where it has a closed form: softmax with V = cI.

    $$\Sigma(t) = X_0\big(I - ctX_0^\top(A + A^\top)X_0\big)^{-1}X_0^\top,$$
    which for $\Sigma_0 \succ 0$ is $(\Sigma_0^{-1} - ct(A + A^\top))^{-1}$, whatever the mean.
    Several such heads are one, with $\sum_h c_hA_h$. With a feed-forward part W and
    $N(t) = c\int_0^t e^{W^\top s}(A + A^\top)e^{Ws}ds$:
    $$\Sigma(t) = e^{Wt}X_0\big(I - X_0^\top N(t)X_0\big)^{-1}X_0^\top e^{W^\top t}.$$

    Args:
        attention: softmax heads with values that are multiples of the identity to the last bit;
            linear heads too on a Gaussian of mean zero.
        gaussian: a Gaussian of any rank, or a stack.
        time: depths, at least 0: a number or an array (T,).

    Returns:
        Covariances (..., d, d), with a leading axis T for an array of times; NaN after the blow-up
        of a case of a stack. None for other attentions.

    Raises:
        ValueError: a time at or after the blow-up of a single Gaussian (the message says when),
            a negative time, dimensions or leading axes that do not fit.
        TypeError: something that is not an attention, or not a Gaussian.

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
    parts, t = matched(attention, gaussian), depths(time)
    A = scalar_softmax(parts, gaussian)
    if parts is None or A is None:
        return None
    values = [_covariance(parts, A, gaussian, float(one)) for one in t.ravel()]
    return np.array(values).reshape(t.shape + values[0].shape)


def _covariance(parts: HeadSum, A: Array, gaussian: Gaussian, t: float) -> Array:
    X, stack, d = gaussian.scaled_factor, gaussian.stack, gaussian.dimension
    if not parts.linear.any():
        values, U = np.linalg.eigh(_gram(X, A))
        floor = ROUNDING * X.shape[-1] * np.abs(values).max(axis=-1, keepdims=True)
        left = 1 - t * np.where(np.abs(values) > floor, values, 0.0)
        blown = left.min(axis=-1) <= 0
        if blown.any() and not stack:
            raise _too_late(t, t / (1 - left.min()))
        Y = (X @ U) / np.sqrt(np.where(left > 0, left, np.nan))[..., None, :]
        return np.where(blown[..., None, None], np.nan, Y @ Y.mT)
    Sigma = np.full((*stack, d, d), np.nan)
    C = np.broadcast_to(A + A.mT, Sigma.shape)
    W = np.broadcast_to(parts.linear, Sigma.shape)
    for i in np.ndindex(stack):
        end = riccati.blowup(X[i], C[i], W[i], horizon=t)
        if end == np.inf:
            Sigma[i] = riccati.covariance(X[i], C[i], W[i], t)
        elif not stack:
            raise _too_late(t, end)
    return Sigma


def _too_late(t: float, end: float | None) -> ValueError:
    when = "is not decided" if end is None else f"is at {end:.12g}"
    return ValueError(f"time: must be before the blow-up, which {when}; got {t:.12g}.")


def limit_covariance(attention: Any, gaussian: Gaussian) -> Any:
    r"""Return the limit of the covariance in infinite depth: $X_0\Pi X_0^\top$.

    - K = -Q and V = cI with c > 0, softmax, L2 or Sinkhorn: $\Pi$ is the projector on the kernel
      of $QX_0$. For $\Sigma_0 \succ 0$ and a basis N of ker Q the limit is
      $N(N^\top\Sigma_0^{-1}N)^{-1}N^\top$, of rank d - rank Q.
    - Softmax heads with V = cI and $cX_0^\top(A + A^\top)X_0 \preceq 0$: the projector on the
      kernel of this matrix. For one head with K = -Q it is the same.

    The covariance comes within a multiple of 1/t of it; means may grow.

    Args:
        attention: one softmax, L2 or Sinkhorn head, or a sum of softmax heads; linear heads count
            as softmax on a Gaussian of mean zero.
        gaussian: a Gaussian of any rank, or a stack.

    Returns:
        Covariances (..., d, d). None for other attentions, with a feed-forward part, and where
        softmax blows up (in any case of a stack). Singular values that are zero within rounding
        count as zero.

    Raises:
        ValueError: dimensions or leading axes that do not fit.
        TypeError: something that is not an attention, or not a Gaussian.

    Source: ours (chapter on clustering).

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde import theory
        >>> gaussian = tp.Gaussian([0.0, 0.0], np.linalg.cholesky([[1.0, 2.0], [2.0, 5.0]]))
        >>> Q = np.array([[1.0, 0.0]])
        >>> np.round(theory.limit_covariance(tp.L2(Q, -Q, np.eye(2)), gaussian), 12)
        array([[0., 0.],
               [0., 1.]])
    """
    parts = matched(attention, gaussian)
    if parts is None or parts.linear.any():
        return None
    A, axes = scalar_softmax(parts, gaussian), gaussian.principal()
    head: Any = parts.heads[0]
    if len(parts.heads) == 1 and (A is not None or isinstance(head, L2 | Sinkhorn)):
        c = scalar_value(head)
        if c is not None and (c > 0).all() and (head.key == -head.query).all():
            return _on_kernel(axes, head.query @ axes.factor, floor=np.finfo(float).eps)
    if A is None or (top(_gram(axes.factor, A)) > 0).any():
        return None
    return _on_kernel(axes, _gram(axes.factor, A), floor=ROUNDING)


def _on_kernel(axes: Gaussian, matrix: Array, floor: float) -> Array:
    r"""Return $X\Pi X^\top$ with the projector on the kernel of MD, given a matrix M.

    With principal axes, X = YD, and a basis N of the kernel of M it is
    $YN(N^\top D^{-2}N)^{-1}N^\top Y^\top$: the lengths D may differ by any factor.
    """
    limits = np.zeros((*axes.stack, axes.dimension, axes.dimension))
    for i in np.ndindex(axes.stack):
        _, sizes, Ut = np.linalg.svd(matrix[i], full_matrices=True)
        rank = (sizes > floor * max(matrix.shape[-2:]) * sizes.max()).sum()
        N, s = Ut[rank:].T, np.clip(axes.log_scales[i], -LONGEST, LONGEST)
        if not N.size:
            continue
        # The longest rows first, and columns exchanged: then QR keeps the digits of the short.
        R, order = linalg.qr((np.exp(-s / 2)[:, None] * N)[::-1], mode="r", pivoting=True)
        YN = (axes.factor[i] @ N)[:, order]
        Z = linalg.solve_triangular(R[: len(order)], YN.T, trans="T").T
        limits[i] = Z @ Z.T
    return limits


def stationary_rank_bound(attention: Any) -> Any:
    r"""Return a bound on the rank of a stationary covariance: $n_0 + \min(n_+, n_-)$.

    Under softmax or Sinkhorn attention with V = cI, c not 0, a covariance is stationary if and
    only if its range is totally isotropic for $A + A^\top$. The largest dimension of such a space
    (Witt's index) is given by the numbers of zero, positive and negative eigenvalues of
    $A + A^\top$.

    Args:
        attention: softmax heads with values cI (several are one, with $\sum_h c_hA_h$), or one
            Sinkhorn head. Leading axes give an array.

    Returns:
        An integer. None for L2, where the bound is false (V = $\Sigma$ = I, K = diag(1, 2) and
        $A$ with rows (0, 1.5) and (-4.5, 0) is stationary of rank 2, and the bound is 1), for
        other values V, with a feed-forward part, and for linear attention, which depends on the
        mean. Eigenvalues that are zero within rounding count as zero.

    Raises:
        TypeError: something that is not an attention.

    Source: ours (chapter on clustering).

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde import theory
        >>> Q = np.diag([1.0, -1.0, -2.0])
        >>> theory.stationary_rank_bound(tp.Softmax(Q, np.eye(3), np.eye(3)))
        1
    """
    parts = head_sum(attention)
    if parts is None or parts.linear.any():
        return None
    A, head = scalar_softmax(parts), parts.heads[0]
    if len(parts.heads) == 1 and isinstance(head, Sinkhorn):
        c = scalar_value(head)
        A = None if c is None else c[..., None, None] * head.key.mT @ head.query
        if c is not None and not c.all():
            return None
    if A is None:
        return None
    values = np.linalg.eigvalsh(A + A.mT)
    floor = ROUNDING * values.shape[-1] * np.abs(values).max(axis=-1, keepdims=True)
    above, below = (values > floor).sum(axis=-1), (values < -floor).sum(axis=-1)
    bound = values.shape[-1] - np.maximum(above, below)
    return bound if bound.ndim else int(bound)


def growth_bound(attention: Any, gaussian: Gaussian | None = None) -> Any:
    r"""Return a rate g with $\|\Sigma_t\| \le e^{gt}\|\Sigma_0\|$ for Gaussian data.

    Of $\dot\Sigma = B\Sigma + \Sigma B^\top$ each head contributes to g, and they add up:

    - Sinkhorn: $2\|V\|$, as $B\Sigma = VX(SG)X^\top$ with $\|SG\| \le 1$;
    - L2, injective K: $2\|V\|\|(K^\top K)^{-1}\|\|A\|$, as $XSX^\top \preceq (K^\top K)^{-1}$;
    - softmax, V = cI and $c(A + A^\top) \preceq 0$: 0, as $c\Sigma(A + A^\top)\Sigma \preceq 0$;
    - a feed-forward part W: $2\|W\|$.

    Args:
        attention: a head of these kinds, or a sum.
        gaussian: the Gaussian at depth 0. With it softmax heads with V = cI have g = 0 also where
            $c(A + A^\top)$ is negative on the range of the covariance alone, which they conserve,
            and linear heads on a mean of zero count as softmax.

    Returns:
        A float. None for other heads, as softmax and an L2 head with a K that is not injective can
        blow up.

    Raises:
        ValueError: leading axes; a Gaussian that does not fit.
        TypeError: something that is not an attention, or not a Gaussian.

    Source: ours (chapter on covariance dynamics).

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde import theory
        >>> theory.growth_bound(tp.Sinkhorn(np.eye(2), np.eye(2), -3 * np.eye(2)))
        6.0
    """
    if gaussian is None:
        parts = head_sum(attention)
    else:
        parts = matched(attention, gaussian)
        A = scalar_softmax(parts, gaussian)
        if parts is not None and A is not None and not parts.linear.any():
            return 0.0 if (top(_gram(gaussian.scaled_factor, A)) <= 0).all() else None
    return None if parts is None else _growth(parts)


def _growth(parts: HeadSum) -> float | None:
    rates = [_head_growth(head) for head in parts.heads]
    known = [rate for rate in rates if rate is not None]
    if len(known) < len(rates):
        return None
    return sum(known) + 2 * float(np.linalg.norm(parts.linear, 2))


def _head_growth(head: Attention) -> float | None:
    if not isinstance(head, Head):
        return None
    one_case("attention", head.query, head.key, head.value)
    A, v = head.key.T @ head.query, np.linalg.norm(head.value, 2)
    if isinstance(head, Sinkhorn):
        return float(2 * v)
    if isinstance(head, L2):
        sizes = np.linalg.svd(head.key, compute_uv=False)
        injective = len(sizes) == head.dimension and sizes[-1] > ROUNDING * sizes[0]
        return float(2 * v * np.linalg.norm(A, 2) / sizes[-1] ** 2) if injective else None
    c = scalar_value(head) if isinstance(head, Softmax) else None
    return 0.0 if c is not None and top(c * (A + A.T)) <= 0 else None
