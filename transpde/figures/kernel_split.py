r"""Covariances under K = -Q, split into the part that Q does not see and the part that decays.

Turn the columns of a factor X by an orthogonal matrix so that $X = [N, Z]$ with $QN = 0$. As
$B = -VXSX^\top Q^\top Q$, the columns N never move, whatever V, and with $q$ the scaled query
$$\Sigma_t = NN^\top + Z_tZ_t^\top, \qquad \dot Z = -V Z\,\varphi(Z^\top q^\top qZ),$$
$\varphi(H) = cH(I + \kappa H)^{-1}$: c = 1, $\kappa$ = 0 for softmax, c = 2 for L2. Z has only as
many columns as Q has rows. If $qZ_t \to 0$ and Z converges, the limit is $NN^\top$ plus a
covariance on ker Q, and $NN^\top$, the limit for V = I, already fills ker Q: the
limit has rank d - rank Q. Source: ours.

Z has a loop of its own here, with the stiff step of the package. `transpde.flow` takes half the
time for V = I; but for V = G^T G, to t = 1e8, it takes about 3, 3 and 14 times as long in
dimension 3, 4 and 5, at a tolerance of 1e-7 against 1e-9 here: it holds each coordinate to its
tolerance, also those of columns that vanish, which have `RELAXED` times as much here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from transpde.checks import Array
from transpde.stepping import Implicit

__all__ = ["KernelSplit", "split"]

FIRST_STEP, SHRINK, GROW, SAFETY = 1e-3, 0.2, 5.0, 0.9
MOST = 20_000  # steps
RELAXED = 100.0  # the tolerance of vanishing columns, relative to each, over that of the rest


@dataclass(frozen=True, eq=False)
class KernelSplit:
    r"""A stack of covariances under K = -Q, in orthonormal coordinates (range of $Q^\top$, ker Q).

    Attributes:
        value: V, shape (B, d, d).
        score: the m x m block of $q^\top q$, the rest of which is zero, shape (B, m, m).
        free: the lower block of N, shape (B, d - m, d - m); the upper one is zero.
        seen: Z, shape (B, d, m).
        basis: the coordinates, columns (B, d, d).
        scale: c.
        kappa: the constant of $\varphi$.
    """

    value: Array
    score: Array
    free: Array
    seen: Array
    basis: Array
    scale: float
    kappa: float

    def __getitem__(self, cases: Any) -> KernelSplit:
        """Return the chosen cases."""
        arrays = {name: getattr(self, name)[cases] for name in ("value", "score", "free", "basis")}
        return replace(self, seen=self.seen[cases], **arrays)

    def moved(self, seen: Array) -> KernelSplit:
        """Return the problem with other columns Z."""
        return replace(self, seen=seen)

    def flow(self, times: Array, rtol: float) -> Array:
        """Return Z at increasing times (T,), the first that of `seen`, shape (T, B, d, m).

        Raises:
            RuntimeError: too many steps.
        """
        run = _Run(self, times, rtol)
        for _ in range(MOST):
            running = np.flatnonzero(run.due < len(times))
            if not len(running):
                return run.records
            run.step(running)
        raise RuntimeError(f"flow: no end after {MOST} steps, {len(running)} cases still running.")

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

    def _parts(self, Z: Array) -> tuple[Array, Array, Array, Array]:
        """Return VZ, the part of q^T q Z that is not zero, (I + kappa H)^{-1} and phi(H)."""
        m = Z.shape[-1]
        E = self.score @ Z[:, :m]
        H = np.swapaxes(Z[:, :m], 1, 2) @ E
        M = np.broadcast_to(np.eye(m), H.shape)
        if self.kappa:
            M = np.linalg.inv(M + self.kappa * H)
        return self.value @ Z, E, M, self.scale * (H @ M)

    def velocity(self, Z: Array) -> Array:
        """Return the derivative of columns Z (B, d, m)."""
        VZ, _, _, phi = self._parts(Z)
        return -(VZ @ phi)

    def jacobian(self, Z: Array) -> Array:
        """Return that of the velocity, (B, dm, dm): phi(H) changes by c M dH M."""
        B, d, m = Z.shape
        VZ, E, M, phi = self._parts(Z)
        U = self.scale * (VZ @ M)
        J = np.einsum("nik,nlj->nijkl", self.value, phi)
        J[:, :, :, :m] += np.einsum("nia,nbj->nijba", U, E @ M)
        J[:, :, :, :m] += np.einsum("nib,naj->nijba", U @ np.swapaxes(E, 1, 2), M)
        return -J.reshape(B, d * m, d * m)


class _Run:
    r"""The flow of all cases, each with steps of its own on its clock $\theta = \log(1 + t/t_0)$.

    The last coordinate of a case is its clock: algebraic decay is exponential on it.
    """

    def __init__(self, problem: KernelSplit, times: Array, rtol: float) -> None:
        self.problem, self.rtol, Z = problem, rtol, problem.seen
        velocity = problem.velocity(Z)
        speed = np.linalg.norm(velocity, axis=(1, 2)) / np.linalg.norm(Z, axis=(1, 2))
        # A flow that goes on has the time gone as its scale.
        self.unit = 1 / np.maximum(speed, 1 / times[0] if times[0] > 0 else 1e-300)
        self.marks = np.log1p((times - times[0]) / self.unit[:, None])
        self.z = np.column_stack([Z.reshape(len(Z), -1), np.zeros(len(Z))])
        slope = self.unit[:, None] * velocity.reshape(len(Z), -1)
        self.slope = np.column_stack([slope, np.ones(len(Z))])
        self.h, self.due = np.full(len(Z), FIRST_STEP), np.ones(len(Z), dtype=int)
        self.records = np.empty((len(times), *Z.shape))
        self.records[0] = Z

    def step(self, cases: Array) -> None:
        """Try one step of the cases."""
        problem, z, slope = self.problem[cases], self.z[cases], self.slope[cases]
        shape, unit = problem.seen.shape, self.unit[cases, None]

        def derivative(z: Array) -> Array:
            velocity = problem.velocity(z[:, :-1].reshape(shape)).reshape(len(z), -1)
            return np.column_stack([unit * np.exp(z[:, -1:]) * velocity, np.ones(len(z))])

        wanted, left = self.h[cases], self.marks[cases, self.due[cases]] - z[:, -1]
        landing = wanted >= 0.999 * left
        h = np.where(landing, left, np.minimum(wanted, left / 2))
        J = np.zeros((*z.shape, z.shape[1]))
        pace = unit * np.exp(z[:, -1:])
        J[:, :-1, :-1] = pace[..., None] * problem.jacobian(z[:, :-1].reshape(shape))
        J[:, :-1, -1] = slope[:, :-1]  # the derivative of the pace by the clock is the pace
        with np.errstate(invalid="ignore", over="ignore"):
            made = Implicit(derivative, z, slope, h, J)
            parts = [a[:, :-1].reshape(shape) for a in (made.u[7], z, made.new)]
            error = _error(shape[-1], *parts) / self.rtol
        error = np.where(np.isfinite(error), error, 1e10)
        good = error <= 1
        factor = np.clip(SAFETY * np.maximum(error, 1e-10) ** -0.2, SHRINK, GROW)
        # A step cut short to land on a record says nothing against the longer one wanted.
        self.h[cases] = np.maximum(np.where(good & (h < wanted), wanted, 0.0), h * factor)
        self.z[cases[good]], self.slope[cases[good]] = made.new[good], made.slope[good]
        self._record(cases[good & landing])

    def _record(self, cases: Array) -> None:
        if len(cases):
            due = self.due[cases]
            self.records[due, cases] = self.z[cases, :-1].reshape(-1, *self.records.shape[2:])
            self.z[cases, -1] = self.marks[cases, due]
            self.due[cases] += 1


def _error(m: int, difference: Array, Z: Array, new: Array) -> Array:
    """Return the error of the columns of QZ relative to each, or that of Z relative to all."""
    seen = np.linalg.norm(difference[:, :m], axis=1)
    sizes = np.maximum(np.linalg.norm(Z[:, :m], axis=1), np.linalg.norm(new[:, :m], axis=1))
    whole = np.linalg.norm(difference, axis=(1, 2)) / np.linalg.norm(Z, axis=(1, 2))
    return np.maximum((seen / sizes).max(axis=1) / RELAXED, whole)


def split(
    query: Array, value: Array, factor: Array, *, scale: float = 1.0, kappa: float = 0.0
) -> KernelSplit:
    r"""Split a stack of covariances $XX^\top$ with X invertible.

    Args:
        query: q, shape (B, m, d), of full rank.
        value: V, shape (B, d, d).
        factor: X, shape (B, d, d).
        scale: c, 1 for softmax and 2 for L2.
        kappa: 0 for softmax; for L2 with key $-K$, $K^\top K = (\kappa/2)\,q^\top q$.
    """
    m = query.shape[-2]
    _, _, rows = np.linalg.svd(query)
    basis = np.swapaxes(rows, -2, -1)
    block = query @ basis[..., :m]
    _, _, turn = np.linalg.svd(query @ factor)
    X = rows @ factor @ np.swapaxes(turn, -2, -1)
    return KernelSplit(
        value=rows @ value @ basis,
        score=np.swapaxes(block, -2, -1) @ block,
        free=X[..., m:, m:],
        seen=X[..., :m],
        basis=basis,
        scale=scale,
        kappa=kappa,
    )
