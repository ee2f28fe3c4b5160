r"""The scripts' scheme for a stack of covariances: Euler steps, negative eigenvalues replaced.

For comparison only. A step adds h times the velocity to $\Sigma$ and then sets each negative
eigenvalue to 1e-14. The exact flow conserves the rank at every finite time; the replaced direction
is lost for good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from transpde.checks import Array
from transpde.figures import ranks

__all__ = ["Projected", "projected_euler", "projected_runs"]

FLOOR = 1e-14
STEPS = {
    ("histograms_trad", "identity"): (0.09, 0.05, 0.02),
    ("histograms_trad", "random"): (0.09, 0.06, 0.02),
    ("histograms_L2", "identity"): (0.09, 0.06, 0.02),
    ("histograms_L2", "random"): (0.15, 0.15, 0.15),
}
TOO_LARGE = 1e3  # the trace at which the scripts call a run diverged


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


def projected_euler(kind: str, Q: Array, V: Array, S: Array, step: float, steps: int) -> Projected:
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
    step = STEPS[name, value][ranks.DIMENSIONS.index(dimension)]
    Q, V, X = ranks.pairs(name, value, dimension)
    found = projected_euler(ranks.KINDS[name], Q, V, X @ np.swapaxes(X, 1, 2), step, steps)
    problem = ranks.seen(ranks.KINDS[name], Q, V, X)
    Z = problem.flow(np.array([0.0, step * steps]), ranks.RTOL)[-1]
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
