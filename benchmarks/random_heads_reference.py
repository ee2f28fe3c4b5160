"""LSODA on the projected equation of a Gaussian under attention, in plain numpy.

State: Y = X/|X|, l = log tr(XX^T) and the time t, on a clock that runs with the speed of X
relative to its size, d tau = (|X'|^2/|X|^2 + q^2 + 1/(1 + t)^2)^(1/2) dt, q the growth of |X|: a
blow-up is at tau = infinity. The Jacobian is exact, by complex steps: where a covariance grows
along directions in which the attention vanishes the equation is stiff, and LSODA's own stalls.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from scipy.integrate import LSODA

MARK, AGREE, RISES = 6.0, 0.02, 0.3  # e-folds between marks; rates that agree; powers of a blow-up
STILL, LATEST, FAR = 1e-9, 1e20, 400.0


@dataclass
class Problem:
    """A factor X (d, d), heads (Q, K, V), and the matrix W of an affine part or zeros."""

    kind: str
    factor: np.ndarray
    heads: list
    linear: np.ndarray


def speed(problem, Y, log_size):
    """Return B X / |X| for stacks of Y (..., d, d), real or complex, and of log sizes."""
    Yt, E = np.swapaxes(Y, -1, -2), np.exp(log_size)[..., None, None]
    Q, K, V = problem.heads[0]
    if problem.kind == "l2":
        H = K @ Y
        M = np.swapaxes(H, -1, -2) @ H + np.eye(len(V)) / (2 * E)
        return V @ (Y @ np.linalg.solve(M, Yt @ (K.T @ (Q @ Y))))
    if problem.kind == "sinkhorn":
        G = Yt @ (K.T @ (Q @ Y))
        return V @ (Y @ (sinkhorn_core(G, np.exp(-log_size)) @ G))
    total = problem.linear @ Y
    for Q, K, V in problem.heads:
        total = total + E * (V @ (Y @ (Yt @ (K.T @ (Q @ Y)))))
    return total


def sinkhorn_core(G, e):
    """Return 2 ((e^2 + 4 G G^T)^(1/2) + e)^(-1); imaginary parts are infinitesimal."""
    first = np.real(G.reshape(-1, *G.shape[-2:])[0])
    U, g, _ = np.linalg.svd(first)
    size = max(float(np.real(np.ravel(e)[0])), 1e-290)
    R = np.sqrt(size**2 + 4 * g**2)
    core = (U * (2 / (R + size))) @ U.T
    if not np.iscomplexobj(G):
        return core
    moved = U.T @ (G @ np.swapaxes(G, -1, -2)).imag @ U
    quotients = -8 / ((R + size)[:, None] * (R + size) * (R[:, None] + R))
    by_e = np.diag(-2 * (size / R + 1) / (R + size) ** 2)
    return core + 1j * (U @ (quotients * moved + np.imag(e)[..., None, None] * by_e) @ U.T)


def derivative(problem, z):
    """Return dz/dtau for states z (..., d^2 + 2)."""
    d = len(problem.factor)
    Y = z[..., : d * d].reshape(*z.shape[:-1], d, d)
    size = (Y * Y).sum(axis=(-1, -2))
    Y = Y / np.sqrt(size)[..., None, None]
    F = speed(problem, Y, z[..., -2])
    q = (F * Y).sum(axis=(-1, -2))
    rate = np.sqrt((F * F).sum(axis=(-1, -2)) + q * q + 1 / (1 + z[..., -1]) ** 2)
    # The last term holds |Y| = 1 where the size falls.
    turn = (F - q[..., None, None] * Y) / rate[..., None, None]
    turn = turn - (size - 1)[..., None, None] * Y
    return np.concatenate(
        [turn.reshape(*z.shape[:-1], -1), (2 * q / rate)[..., None], (1 / rate)[..., None]],
        axis=-1,
    )


def jacobian(problem, z):
    """Return d(dz/dtau)/dz, exact to rounding."""
    return derivative(problem, z + 1e-30j * np.eye(len(z))).imag.T / 1e-30


class Run:
    """One integration, until its fate is decided or the CPU time given is spent."""

    def __init__(self, problem, rtol=1e-10, horizon=np.inf, cpu=10.0):
        self.problem, self.horizon = problem, horizon
        X = problem.factor
        log_size = np.log((X**2).sum())
        z = np.concatenate([(X / np.exp(log_size / 2)).ravel(), [log_size, 0.0]])
        atol = np.full(len(z), 1e-12)
        atol[-1] = 1e-14
        self.solver = LSODA(
            lambda _, z: derivative(problem, z),
            0.0,
            z,
            1e9,
            rtol=rtol,
            atol=atol,
            jac=lambda _, z: jacobian(problem, z),
        )
        self.marks, self.stop, self.blowup_time, self.rate = (
            [(0.0, log_size)],
            None,
            np.inf,
            np.nan,
        )
        begun, self.steps = time.process_time(), 0
        while self.stop is None:
            self.solver.step()
            self.steps += 1
            out = self.solver.status == "failed" or time.process_time() - begun > cpu
            self.stop = "undecided" if out else self.decided()
        self.seconds = time.process_time() - begun
        self.time, self.log_size = float(self.solver.y[-1]), float(self.solver.y[-2])

    def decided(self):
        """Return how the flow ends, None while that is open."""
        z = self.solver.y
        d, t, log_size = len(self.problem.factor), z[-1], z[-2]
        if t >= self.horizon:
            return "time"
        Y = z[: d * d].reshape(d, d)
        F = speed(self.problem, Y, log_size)
        q = (F * Y).sum()
        if t > 1 and 2 * np.abs(F @ Y.T + Y @ F.T).max() * (1 + t) < STILL:
            return "stationary"
        if abs(log_size - self.marks[-1][1]) >= MARK:
            self.marks.append((t, log_size))
        size = np.sqrt((F * F).sum() + q * q)
        if size * t > 1e13 and log_size - self.marks[0][1] > 20:
            back = [mark for mark in self.marks if mark[1] < log_size - 12]
            if back and back[-1][0] > t * (1 - 1e-5):
                self.blowup_time = t + 1 / max(2 * q, size / 10)
                return "blow-up"
        return self.growth() if np.isinf(self.horizon) else None

    def growth(self):
        """Return "growth" if three rates, or powers, of the log size agree."""
        if len(self.marks) < 6:
            return None
        times, sizes = np.array(self.marks[-4:]).T
        if (times <= 0).any():
            return None
        for gone in (np.diff(times), np.diff(np.log(times))):
            rates = np.diff(sizes) / gone
            if np.ptp(rates) < AGREE * abs(rates.mean()) and np.ptp(np.log(times)) > 1e-4:
                self.rate = float(rates[-1])
                return "growth"
        return "growth" if self.solver.y[-1] > LATEST or self.solver.t > FAR else None
