r"""The scripts' rule in the plane: Euler steps to a small velocity, a large trace or a last step.

For comparison only: where the pages of the reproduction say that a tolerance, a threshold or a
step decides what a figure shows, they run this rule beside the exact flow. A step adds h times
the velocity to $\Sigma$, and then replaces a negative eigenvalue by 1e-14.

Source: `castin2025unified`, the scripts; `book/peer.yml` says which version. Ours in all else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from transpde.checks import Array
from transpde.figures.planar import velocity

__all__ = ["Stopped", "euler_path", "euler_until"]

FLOOR = 1e-14


@dataclass(frozen=True, eq=False)
class Stopped:
    """Where the rule stopped each of n cases.

    Attributes:
        covariances: the last that is within the bounds, (n, 2, 2).
        steps: how many Euler steps it made, the one out of bounds included, (n,).
        reasons: "converged", "diverged" or "unfinished", (n,).
        clipped: how many steps of all cases left the cone of covariances.
    """

    covariances: Array
    steps: Array
    reasons: Array
    clipped: int

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
        S = self.covariances
        return np.degrees(np.arctan2(2 * S[:, 0, 1], S[:, 0, 0] - S[:, 1, 1])) / 2 % 180


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
        >>> from transpde.figures.euler import euler_until
        >>> head = tp.Softmax(np.eye(2), -np.eye(2), np.eye(2))
        >>> euler_until(head, np.eye(2)[None] / 2, step=0.1, tolerance=1e-3).reasons
        array(['converged'], dtype='<U10')
    """
    rate, S = velocity(attention), _entries(starts)
    ends, taken = S.copy(), np.full(S.shape[1], steps)
    reasons = np.full(S.shape[1], "unfinished")
    running, clipped = np.arange(S.shape[1]), 0
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
    ends[:, running] = S
    return Stopped(_matrices(ends), taken, reasons, clipped)


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
