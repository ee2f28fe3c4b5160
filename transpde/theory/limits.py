"""Gaussian data: limits of the covariance in infinite depth, and their ranks."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import linalg

from transpde.attention import L2, Attention, Sinkhorn
from transpde.checks import Array
from transpde.fields import quiet
from transpde.measures import Gaussian
from transpde.measures.axes import ratio
from transpde.theory.head_sums import (
    ROUNDING,
    head_sum,
    matched,
    scalar_value,
    scores,
    scores_of,
    seen,
    widths_of,
)

LONGEST = 1400.0  # log of a squared length that a float holds as a length

__all__ = ["limit_covariance", "stationary_rank_bound"]


@quiet
def limit_covariance(attention: Attention, gaussian: Gaussian) -> Array | None:
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
        ValueError: dimensions or leading axes that do not fit, a limit beyond floats.
        TypeError: something that is not an attention, or not a Gaussian.

    Source: ours (chapter on ranks at infinite depth).

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde import theory
        >>> gaussian = tp.Gaussian([0.0, 0.0], factor=np.linalg.cholesky([[1.0, 2.0], [2.0, 5.0]]))
        >>> Q = np.array([[1.0, 0.0]])
        >>> np.round(theory.limit_covariance(tp.L2(Q, -Q, np.eye(2)), gaussian), 12) + 0.0
        array([[0., 0.],
               [0., 1.]])
    """
    parts = matched(attention, gaussian)
    if parts is None or parts.linear.any():
        return None
    found, head = scores(parts, gaussian), parts.alone
    if head is not None and (found is not None or isinstance(head, L2 | Sinkhorn)):
        c = scalar_value(head)
        if c is not None and (c > 0).all() and (head.key == -head.query).all():
            return _unseen(gaussian, head.query)
    if found is None:
        return None
    view = seen(found, gaussian)
    if view.grows.any():
        return None
    return _on_kernel(view.axes, view.widths, view.form, view.floor)


def _unseen(gaussian: Gaussian, query: Array) -> Array:
    """Return the limit on the kernel of QX."""
    axes = gaussian.principal()
    widths = widths_of(gaussian, axes)
    Q = ratio(query, np.abs(query).max(axis=(-2, -1), keepdims=True))
    rows = Q @ axes.factor / widths[..., None, :]
    floor = 2 * np.finfo(float).eps * gaussian.dimension * np.linalg.norm(Q, axis=(-2, -1))
    return _on_kernel(axes, widths, rows, np.broadcast_to(floor, gaussian.stack))


def _on_kernel(axes: Gaussian, widths: Array, matrix: Array, floor: Array) -> Array:
    r"""Return $X\Pi X^\top$ with the projector on the kernel of MD, given a matrix M over widths.

    With principal axes, X = YD, and a basis N of the kernel of M it is
    $YN(N^\top D^{-2}N)^{-1}N^\top Y^\top$: the lengths D may differ by any factor. Singular
    values under the floor are zero.
    """
    limits = np.zeros((*axes.stack, axes.dimension, axes.dimension))
    for i in np.ndindex(axes.stack):
        there = axes.factor[i].any(axis=0)
        _, sizes, Ut = np.linalg.svd(matrix[i][:, there], full_matrices=True)
        rank = (sizes > floor[i]).sum()
        # A vector over the widths is in the kernel of the rows themselves.
        N = np.linalg.qr(Ut[rank:].T / widths[i][there][:, None])[0]
        s = np.clip(axes.log_scales[i][there], -LONGEST, LONGEST)
        if not N.size:
            continue
        # The longest rows first, and columns exchanged: then QR keeps the digits of the short.
        R, order = linalg.qr((np.exp(-s / 2)[:, None] * N)[::-1], mode="r", pivoting=True)
        YN = (axes.factor[i][:, there] @ N)[:, order]
        with np.errstate(over="ignore", invalid="ignore"):
            Z = linalg.solve_triangular(R[: len(order)], YN.T, trans="T").T
            limits[i] = Z @ Z.T
        if not np.isfinite(limits[i]).all():
            raise ValueError(
                "gaussian: must have a limit within the range of floats; got one of log size "
                f"{axes.log_scales[i].max():.6g}. Divide by a common factor."
            )
    return limits


@quiet
def stationary_rank_bound(attention: Attention) -> Any:
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

    Source: ours (chapter on ranks at infinite depth).

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
    found = scores(parts)
    if isinstance(parts.alone, Sinkhorn):
        c = scalar_value(parts.alone)
        if c is not None and not c.all():
            return None
        found = None if c is None else scores_of(parts.alone, c)
    if found is None:
        return None
    values = np.linalg.eigvalsh(found.form + found.form.mT)
    noise = 2 * np.linalg.norm(found.noise, axis=(-2, -1))[..., None]
    floor = ROUNDING * values.shape[-1] * noise
    above, below = (values > floor).sum(axis=-1), (values < -floor).sum(axis=-1)
    bound = values.shape[-1] - np.maximum(above, below)
    return bound if bound.ndim else int(bound)
