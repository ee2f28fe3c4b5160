r"""The quadratic loss of a law of heads, and its first variation with two derivatives.

The softmax mean $P_AX$ of a query x is the derivative of a cumulant generating function at $Ax$,
so derivatives in A are the further cumulants of the keys under the weights of attention.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from transpde.checks import Array, Unchanging, finite_array, of_kind, same_size
from transpde.crowd.heads import Crowd
from transpde.fields import held, silent

__all__ = ["Regression"]


@dataclass(frozen=True, repr=False, eq=False)
class Regression(Unchanging):
    r"""The loss $F(\nu) = \frac1{2Bn}\sum|f_\nu - f^\star|^2$ over B sequences of n tokens.

    The output of a crowd is $f_\nu(X) = \sum_iw_iP_{A_i}XV_i^\top$, linear in $\nu$, so that F is
    convex in $\nu$. Its first variation is $F'_\nu(A, V) = \langle V, g_\nu(A)\rangle$.

    Args:
        tokens: the sequences, shape (B, n, d).
        target: $f^\star$, of the same shape.

    Raises:
        ValueError: entries that are not finite, shapes that differ.

    Source: `petit2026global` for the model; the formulas are ours.

    Example:
        >>> import numpy as np
        >>> from transpde.crowd import Regression, random_crowd
        >>> X = np.random.default_rng(0).normal(size=(4, 5, 2))
        >>> teacher = random_crowd(3, 2, seed=1)
        >>> task = Regression.taught(X, teacher)
        >>> task.loss(teacher)
        0.0
    """

    tokens: Any
    target: Any

    def __post_init__(self) -> None:
        X = finite_array("tokens", self.tokens, "B n d")
        Y = finite_array("target", self.target, "B n d")
        for axis, name in enumerate(("number of sequences", "number of tokens", "dimension")):
            same_size("target", Y.shape[axis], "tokens", X.shape[axis], name)
        vars(self).update(tokens=X, target=Y)

    @classmethod
    def taught(cls, tokens: Any, teacher: Crowd) -> Regression:
        """Return the loss whose target is the output of a crowd.

        Args:
            tokens: the sequences, shape (B, n, d).
            teacher: the crowd.

        Raises:
            TypeError: a teacher that is no crowd.
            ValueError: entries that are not finite, another dimension.
            OverflowError: the output leaves the range of floating point numbers.
        """
        X = finite_array("tokens", tokens, "B n d")
        return cls(X, cls(X, np.zeros_like(X))._output(teacher, "teacher"))

    @silent
    def output(self, crowd: Crowd) -> Array:
        r"""Return $f_\nu$ on all sequences, shape (B, n, d).

        Args:
            crowd: the heads.

        Raises:
            TypeError: something that is no crowd.
            ValueError: heads of another dimension.
            OverflowError: the output leaves the range of floating point numbers.
        """
        return self._output(crowd)

    @silent
    def loss(self, crowd: Crowd) -> float:
        """Return F; raises as `output` does."""
        residual = self._residual(crowd)
        return float(_held(0.5 * (residual**2).sum(axis=-1).mean()))

    @silent
    def first_variation(self, crowd: Crowd, scores: Any) -> Array:
        r"""Return $g_\nu(A) = \sum\rho^\top P_AX$, shape (..., d, d).

        The residual is $\rho = (f_\nu - f^\star)/(Bn)$.

        Args:
            crowd: the heads of $\nu$.
            scores: matrices A, shape (..., d, d), not only those of its heads.

        Raises:
            TypeError: something that is no crowd.
            ValueError: another dimension, entries that are not finite.
            OverflowError: scores or outputs leave the range of floating point numbers.
        """
        A, rho = finite_array("scores", scores, "... d d"), self._rho(crowd)
        for axis in (-2, -1):
            same_size("scores", A.shape[axis], "tokens", self.tokens.shape[-1], "dimension")
        means = self._weights(A.reshape(-1, *A.shape[-2:])) @ self.tokens
        return _held(np.einsum("bni,hbnj->hij", rho, means).reshape(A.shape))

    @silent
    def gradient(self, crowd: Crowd) -> Array:
        r"""Return $\nabla F'_\nu$ at each head, shape (m, 2 d^2), as `Crowd.parameters` orders it.

        The derivative of F in head i is $w_i$ times this. Raises as `output` does.
        """
        return self.loss_and_gradient(crowd)[1]

    @silent
    def loss_and_gradient(self, crowd: Crowd) -> tuple[float, Array]:
        """Return F and what `gradient` returns, at the cost of the latter."""
        self._checked(crowd)
        X, V, m = self.tokens, crowd.values, len(crowd)
        P = self._weights(crowd.scores)
        means = P @ X
        residual = (crowd.masses.reshape(-1, 1, 1, 1) * means @ V[:, None].mT).sum(axis=0)
        residual -= self.target
        loss = 0.5 * (residual**2).sum(axis=-1).mean()
        rho = residual / (X.shape[0] * X.shape[1])
        value = (rho.mT @ means).sum(axis=1)
        along = (rho @ V[:, None]) @ X.mT  # V^T rho on each key
        pull = P * (along - (P * along).sum(axis=-1, keepdims=True))
        score = ((pull @ X).mT @ X).sum(axis=1)
        both = np.concatenate([score.reshape(m, -1), value.reshape(m, -1)], axis=1)
        return float(_held(loss)), _held(both)

    @silent
    def hessian(self, crowd: Crowd) -> Array:
        r"""Return $\nabla^2F'_\nu$ at each head, shape (m, 2 d^2, 2 d^2): covariances, cumulants.

        The block of V and V is zero. Raises as `output` does.
        """
        X, rho, n = self.tokens, self._rho(crowd), crowd.dimension**2
        P, Z, covariance = self._centred(crowd)
        along = np.einsum("bni,hij,hbnkj->hbnk", rho, crowd.values, Z)
        third = np.einsum("hbnk,hbnka,hbnkc->hbnac", P * along, Z, Z)
        H = np.zeros((len(crowd), 2 * n, 2 * n))
        H[:, :n, :n] = np.einsum("hbnac,bne,bnf->haecf", third, X, X).reshape(-1, n, n)
        mixed = np.einsum("bnk,hbnla,bne->haekl", rho, covariance, X).reshape(-1, n, n)
        H[:, :n, n:], H[:, n:, :n] = mixed, mixed.mT
        return _held(H)

    @silent
    def joint_hessian(self, crowd: Crowd) -> Array:
        """Return the Hessian of F in all heads at once, shape (2 d^2 m, 2 d^2 m).

        Raises as `output` does.
        """
        self._checked(crowd)
        X, d, m = self.tokens, crowd.dimension, len(crowd)
        P, _, covariance = self._centred(crowd)
        score = np.einsum("hij,hbnja,bne->hbniae", crowd.values, covariance, X)
        value = np.einsum("ik,hbnl->hbnikl", np.eye(d), P @ X)
        slopes = np.concatenate(
            [one.reshape(m, -1, d * d) for one in (score, value)], axis=-1
        ) * crowd.masses.reshape(-1, 1, 1)
        J = np.moveaxis(slopes, 0, 1).reshape(slopes.shape[1], -1)
        joint = J.T @ J / (X.shape[0] * X.shape[1])
        p = 2 * d * d
        for i, one in enumerate(self.hessian(crowd)):
            joint[i * p : (i + 1) * p, i * p : (i + 1) * p] += crowd.masses[i] * one
        return _held(joint)

    @silent
    def _output(self, crowd: Crowd, name: str = "crowd") -> Array:
        self._checked(crowd, name)
        means = self._weights(crowd.scores) @ self.tokens
        return _held(np.einsum("h,hbnj,hij->bni", crowd.masses, means, crowd.values))

    def _checked(self, crowd: Any, name: str = "crowd") -> None:
        of_kind(name, crowd, Crowd, "a Crowd")
        same_size(name, crowd.dimension, "tokens", self.tokens.shape[-1], "dimension")

    def _residual(self, crowd: Crowd) -> Array:
        return self.output(crowd) - self.target

    def _rho(self, crowd: Crowd) -> Array:
        B, n, _ = self.tokens.shape
        return self._residual(crowd) / (B * n)

    def _weights(self, A: Array) -> Array:
        """The attention matrices, shape (m, B, n, n)."""
        X = self.tokens
        S = (X @ A[:, None].mT) @ X.mT
        S = np.exp(S - S.max(axis=-1, keepdims=True))
        return np.asarray(S / S.sum(axis=-1, keepdims=True))

    def _centred(self, crowd: Crowd) -> tuple[Array, Array, Array]:
        """Attention matrices, keys less their means (m, B, n, n, d), covariances of the keys."""
        P = self._weights(crowd.scores)
        Z = self.tokens[:, None] - (P @ self.tokens)[..., None, :]
        return P, Z, np.einsum("hbnk,hbnka,hbnkc->hbnac", P, Z, Z)


def _held(array: Any) -> Any:
    return held(array, "crowd: an output or a derivative of its heads")
