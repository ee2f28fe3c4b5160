r"""The scripts' rule: Euler steps to a small velocity, a large trace or a last step.

For comparison only: where the pages of the reproduction say that a tolerance, a threshold or a
step decides what a figure shows, they run this rule beside the exact flow. A step adds h times
the velocity to $\Sigma$, and then replaces a negative eigenvalue by 1e-14. The exact flow keeps
the rank at every finite time; the replaced direction is lost for good. In the plane a covariance
is its three entries: the pages make millions of steps.

Source: `castin2025unified`, the scripts; `book/peer.yml` says which version. Ours in all else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from transpde.checks import Array
from transpde.disc import axis_angles, symmetric_coordinates
from transpde.figures import limit_ranks
from transpde.figures.covariance_paths import velocity

__all__ = [
    "Projected",
    "Stopped",
    "euler_path",
    "euler_until",
    "projected_runs",
    "projected_steps",
]

FLOOR = 1e-14
STEPS = {
    ("histograms_trad", "identity"): (0.09, 0.05, 0.02),
    ("histograms_trad", "random"): (0.09, 0.06, 0.02),
    ("histograms_L2", "identity"): (0.09, 0.06, 0.02),
    ("histograms_L2", "random"): (0.15, 0.15, 0.15),
}
KEPT = 1.04  # a state of a path is kept after so many times the steps of the one before it
TOO_LARGE = 1e3  # the trace at which the scripts call a run diverged


@dataclass(frozen=True, eq=False)
class Stopped:
    """Where the rule stopped each of n cases.

    Attributes:
        covariances: the last that is within the bounds, (n, 2, 2).
        steps: how many Euler steps it made, the one out of bounds included, (n,).
        reasons: "converged", "diverged" or "unfinished", (n,).
        clipped: how many steps of all cases left the cone of covariances.
        path: the states on the way, (T, n, 2, 2), from the start to `covariances`: at first after
            each step, then after ever more steps. A case that has stopped stays where it is.
    """

    covariances: Array
    steps: Array
    reasons: Array
    clipped: int
    path: Array

    def count(self, reason: str) -> int:
        """Return how many cases stopped for this reason."""
        return int((self.reasons == reason).sum())

    @property
    def traces(self) -> Array:
        """The traces, (n,)."""
        return np.asarray(np.trace(self.covariances, axis1=1, axis2=2))

    @property
    def norms(self) -> Array:
        """The Frobenius norms, (n,)."""
        return np.asarray(np.linalg.norm(self.covariances, axis=(1, 2)))

    @property
    def ratios(self) -> Array:
        """The smaller eigenvalue over the larger, (n,)."""
        low, high = np.linalg.eigvalsh(self.covariances).T
        return np.asarray(low / high)

    @property
    def angles(self) -> Array:
        """Directions of the longer axis, in degrees from 0 to 180, (n,)."""
        return axis_angles(symmetric_coordinates(self.covariances))


def euler_until(
    attention: Any,
    starts: Array,
    *,
    step: float,
    tolerance: float,
    largest: float = 1e3,
    steps: int = 50_000,
) -> Stopped:
    """Make Euler steps until the velocity is below `tolerance` or the trace above `largest`.

    Args:
        attention: softmax, L2, Sinkhorn with epsilon = 1, or heads of softmax.
        starts: covariances, shape (n, 2, 2).
        step: the length of a step.
        tolerance: of the Frobenius norm of the velocity.
        largest: the trace at which a case has diverged.
        steps: after so many a case is left unfinished.

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde.figures.projected_euler import euler_until
        >>> head = tp.Softmax(np.eye(2), -np.eye(2), np.eye(2))
        >>> euler_until(head, np.eye(2)[None] / 2, step=0.1, tolerance=1e-3).reasons
        array(['converged'], dtype='<U10')
    """
    rate, S = velocity(attention), _entries(starts)
    ends, taken = S.copy(), np.full(S.shape[1], steps)
    reasons = np.full(S.shape[1], "unfinished")
    running, clipped, path, due = np.arange(S.shape[1]), 0, [S], 1.0
    for made in range(1, steps + 1):
        R = rate(S)
        after, left = _projected(S + step * R)
        clipped += left
        small = R[0] ** 2 + 2 * R[1] ** 2 + R[2] ** 2 < tolerance**2
        stopped = small | (after[0] + after[2] > largest)
        if stopped.any():
            reasons[running[stopped]] = np.where(small[stopped], "converged", "diverged")
            ends[:, running[stopped]], taken[running[stopped]] = S[:, stopped], made
            after, running = after[:, ~stopped], running[~stopped]
        S = after
        if not running.size:
            break
        if made >= due:
            ends[:, running] = S
            path.append(ends.copy())
            due = max(made + 1, KEPT * made)
    ends[:, running] = S
    states = np.stack([_matrices(state) for state in [*path, ends]])
    return Stopped(states[-1], taken, reasons, clipped, states)


def euler_path(attention: Any, starts: Array, step: float, steps: int) -> Array:
    """Return the covariances after 0, 1, ..., `steps` Euler steps, (steps + 1, n, 2, 2)."""
    rate, S = velocity(attention), _entries(starts)
    path = [S]
    for _ in range(steps):
        S = _projected(S + step * rate(S))[0]
        path.append(S)
    return np.stack([_matrices(S) for S in path])


def _projected(S: Array) -> tuple[Array, int]:
    """Replace negative eigenvalues; return the entries and how many cases had one."""
    outside = np.flatnonzero((S[0] * S[2] < S[1] ** 2) | (S[0] + S[2] < 0))
    if not outside.size:
        return S, 0
    values, U = np.linalg.eigh(_matrices(S[:, outside]))
    S = S.copy()
    S[:, outside] = _entries((U * np.where(values < 0, FLOOR, values)[:, None]) @ U.mT)
    return S, int((values[:, 0] < 0).sum())


def _entries(S: Array) -> Array:
    """Return the entries 11, 12, 22 of (n, 2, 2) as (3, n)."""
    return np.array([S[:, 0, 0], S[:, 0, 1], S[:, 1, 1]], dtype=float)


def _matrices(S: Array) -> Array:
    """Return the matrices (n, 2, 2) of entries (3, n)."""
    return S[[0, 1, 1, 2]].T.reshape(-1, 2, 2)


# --- in any dimension, for the ranks -------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Projected:
    """What the scheme made of a stack.

    Attributes:
        covariances: after the last step (B, d, d); of a run that diverged, where it stopped.
        clipped: how many steps of each run left the cone of covariances (B,).
        diverged: whether the trace of a run passed 1e3 (B,).
    """

    covariances: Array
    clipped: Array
    diverged: Array


def projected_steps(kind: str, Q: Array, V: Array, S: Array, step: float, steps: int) -> Projected:
    """Make projected Euler steps of a stack under K = -Q, scaled as in the scripts.

    Args:
        kind: "Softmax" or "L2".
        Q: (B, m, d).
        V: (B, d, d).
        S: covariances (B, d, d).
        step: the step h.
        steps: how many.
    """
    d = Q.shape[-1]
    A = -np.swapaxes(Q, -2, -1) @ Q / d**0.5
    S, clipped = np.array(S), np.zeros(len(S), dtype=int)
    running = np.ones(len(S), dtype=bool)
    for _ in range(steps):
        X = S[running]
        core = V[running] @ X
        if kind == "L2":
            inverse = np.linalg.inv(np.eye(d) - 2 * d**0.5 * A[running] @ X)
            core = 2 * core @ inverse
        rate = core @ A[running] @ X
        values, U = np.linalg.eigh(X + step * (rate + np.swapaxes(rate, -2, -1)))
        clipped[running] += (values < 0).any(axis=-1)
        values = np.where(values < 0, FLOOR, values)
        S[running] = (U * values[..., None, :]) @ np.swapaxes(U, -2, -1)
        running &= np.trace(S, axis1=-2, axis2=-1) <= TOO_LARGE
    return Projected(S, clipped, ~running)


def projected_runs(name: str, value: str, dimension: int, steps: int = 300) -> dict[str, Any]:
    """Compare the scheme with the exact flow on the first starts of all 100 pairs.

    Returns:
        runs; left_the_cone, how many were clipped at least once; diverged, how many passed the
        trace 1e3; lost_rank, how many of the rest have an eigenvalue below 1e-10 of their trace
        where the exact one is above it; relative_error, the median of the spectral norms of the
        difference from the exact covariance over that of the latter.
    """
    step = STEPS[name, value][limit_ranks.DIMENSIONS.index(dimension)]
    Q, V, X = limit_ranks.script_pairs(name, value, dimension)
    found = projected_steps(limit_ranks.KINDS[name], Q, V, X @ np.swapaxes(X, 1, 2), step, steps)
    problem = limit_ranks.kernel_split(limit_ranks.KINDS[name], Q, V, X)
    Z = problem.flow(np.array([0.0, step * steps]), limit_ranks.RTOL)[-1]
    exact, logs = problem.covariances(Z), problem.log_eigenvalues(Z)
    size = np.trace(exact, axis1=1, axis2=2)
    held = ~found.diverged
    least = np.linalg.eigvalsh(found.covariances)[:, 0]
    below = least < 1e-10 * np.trace(found.covariances, axis1=1, axis2=2)
    lost = held & below & (np.exp(logs[:, -1]) > 1e-10 * size)
    error = np.linalg.norm(found.covariances - exact, 2, axis=(1, 2))
    error = error / np.linalg.norm(exact, 2, axis=(1, 2))
    return {
        "runs": len(Q),
        "left_the_cone": int((found.clipped > 0).sum()),
        "diverged": int(found.diverged.sum()),
        "lost_rank": int(lost.sum()),
        "relative_error": float(np.median(error[held])),
    }
