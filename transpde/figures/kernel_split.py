r"""Covariances under K = -Q, split into the part that Q does not see and the part that decays.

Turn the columns of a factor X by an orthogonal matrix so that $X = [N, Z]$ with $QN = 0$. As
$B = -VXSX^\top Q^\top Q$ and S is a function of QX, the columns N never move, whatever V, and the
columns Z move as those of a Gaussian of covariance $ZZ^\top$ alone: under softmax and L2 the flow
of $\Sigma_t = NN^\top + Z_tZ_t^\top$ is that of a Gaussian of rank m, the number of rows of Q. If
$qZ_t \to 0$ and Z converges, the limit is $NN^\top$ plus a covariance on ker Q, and $NN^\top$,
the limit for V = I, already fills ker Q: the limit has rank d - rank Q. Source: ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import transpde as tp
from transpde.checks import Array

__all__ = ["KernelSplit", "split"]


@dataclass(frozen=True, eq=False)
class KernelSplit:
    r"""A stack of covariances under K = -Q, in orthonormal coordinates (range of $Q^\top$, ker Q).

    Attributes:
        attention: of the stack, softmax or L2.
        free: the lower block of N, shape (B, d - m, d - m); the upper one is zero.
        seen: Z, shape (B, d, m).
        basis: the coordinates, columns (B, d, d).
    """

    attention: Any
    free: Array
    seen: Array
    basis: Array

    def flow(self, times: Array, rtol: float) -> Array:
        """Return Z, up to a turn of its columns, at times (T,) from that of `seen`, (T, B, d, m).

        Raises:
            RuntimeError: a case does not reach the last time.
        """
        start = tp.Gaussian(np.zeros(self.seen.shape[:2]), factor=self.basis @ self.seen)
        path = tp.flow(start, self.attention, times - times[0], rtol=rtol)
        if not (path.stop == "time").all():
            raise RuntimeError("flow: a case does not reach the last time.")
        return np.asarray(self.basis.mT @ path[:].scaled_factor)

    def log_eigenvalues(self, seen: Array) -> Array:
        """Return those of the covariance for columns Z (..., B, d, m), the largest first.

        The m smallest are read from the inverse of the factor, where they are the largest.
        """
        m, d = seen.shape[-1], seen.shape[-2]
        X = np.zeros((*seen.shape[:-1], d))
        X[..., :m], X[..., m:, m:] = seen, self.free
        inner = np.linalg.inv(seen[..., :m, :])
        inverse = np.zeros_like(X)
        inverse[..., :m, :m] = inner
        if m < d:
            outer = np.linalg.inv(self.free)
            inverse[..., m:, m:] = outer
            inverse[..., m:, :m] = -outer @ seen[..., m:, :] @ inner
        large = 2 * np.log(np.linalg.svd(X, compute_uv=False)[..., : d - m])
        small = -2 * np.log(np.linalg.svd(inverse, compute_uv=False)[..., :m])[..., ::-1]
        return np.concatenate([large, small], axis=-1)

    def covariances(self, seen: Array) -> Array:
        """Return the covariances (..., B, d, d) for columns Z, in the coordinates of the data."""
        m = seen.shape[-1]
        Y, N = self.basis @ seen, self.basis[..., m:] @ self.free
        return Y @ np.swapaxes(Y, -2, -1) + N @ np.swapaxes(N, -2, -1)


def split(attention: Any, factor: Array) -> KernelSplit:
    r"""Split a stack of covariances $XX^\top$ with X invertible.

    Args:
        attention: softmax or L2 whose key is a negative multiple of its query, which has full
            rank, shape (B, m, d), and leading axes as the value, (B, d, d).
        factor: X, shape (B, d, d).
    """
    query, m = attention.query, attention.query.shape[-2]
    _, _, rows = np.linalg.svd(query)
    _, _, turn = np.linalg.svd(query @ factor)
    X = rows @ factor @ np.swapaxes(turn, -2, -1)
    return KernelSplit(attention, X[..., m:, m:], X[..., :m], np.swapaxes(rows, -2, -1))
