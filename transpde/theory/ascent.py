r"""Softmax with $A = A^\top$ and $V = \pm MA$, M positive definite: a covariance that climbs.

With $N = \operatorname{tr}(M^{-1}\Sigma)$ and $E = \|X^\top AX\|_F^2$ the sign + gives
$\dot N = 2E$ and, by Cauchy and Schwarz, $\dot E N \ge 4E^2$: so $E/N^2$ does not fall, $1/N$ is
concave in depth, and vanishes by $N_0/(2E_0)$. With the sign - both fall.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from transpde.attention import Head
from transpde.checks import Array
from transpde.theory.head_sums import ROUNDING

__all__ = ["direction", "latest"]


def _scaled(matrix: Array) -> tuple[Array, float]:
    """Return a matrix over a power of two near its largest entry, and the log of that."""
    exponent = int(np.frexp(np.abs(matrix).max())[1])
    return np.ldexp(matrix, -exponent), exponent * np.log(2.0)


def _form(head: Head) -> tuple[Array, Array, Array, float] | None:
    """Return the eigenvalues and vectors of A off its kernel, $U^T AV U$, and the log scale of A.

    None where A is not symmetric, V does not vanish on its kernel, or AV is not symmetric: up to
    rounding.
    """
    (K, k), (Q, q), (V, _) = (_scaled(M) for M in (head.key, head.query, head.value))
    noise = ROUNDING * len(V) * np.linalg.norm(np.abs(K).T @ np.abs(Q))
    A = K.T @ Q
    if noise == 0 or np.abs(A - A.T).max() > noise:
        return None
    values, U = np.linalg.eigh((A + A.T) / 2)
    kept = np.abs(values) > noise
    if not kept.any() or np.abs(V @ U[:, ~kept]).max(initial=0) > ROUNDING * len(V):
        return None
    a, U = values[kept], U[:, kept]
    inner = U.T @ V @ U
    T = a[:, None] * inner
    allowed = ROUNDING * len(V) * (np.abs(a)[:, None] + np.abs(a)) * np.abs(inner).max()
    if (np.abs(T - T.T) > allowed + noise * np.abs(inner).max()).any():
        return None
    return a, U, (T + T.T) / 2, k + q


def direction(head: Head) -> int:
    """Return 1 where V = MA, -1 where V = -MA, with A symmetric, M positive definite; else 0."""
    form = _form(head)
    if form is None:
        return 0
    T = form[2]
    size = np.sqrt(np.abs(np.diag(T)))
    if not size.all():
        return 0
    values = np.linalg.eigvalsh(T / size / size[:, None])
    if values[0] > ROUNDING * len(T):
        return 1
    return -1 if values[-1] < -ROUNDING * len(T) else 0


def latest(head: Head, gaussian: Any) -> float | None:
    """Return a time by which the covariance blows up under V = MA, inf at rest, else None.

    Of all M that agree on the range of A the least bound is taken.
    """
    form = _form(head) if direction(head) == 1 else None
    if form is None:
        return None
    a, U, T, log_score = form
    unit, (_, log_value) = gaussian.normalised(), _scaled(head.value)
    X = U.T @ unit.factor
    E = np.linalg.norm(X.T @ (a[:, None] * X)) ** 2
    noise = ROUNDING * len(U) * np.linalg.norm(np.abs(X).T @ (np.abs(a)[:, None] * np.abs(X)))
    if noise**2 >= E:
        return np.inf
    N = np.linalg.norm(np.linalg.solve(np.linalg.cholesky(T), a[:, None] * X)) ** 2
    with np.errstate(over="ignore", under="ignore"):
        log = np.log(N / (2 * E)) - log_score - log_value - float(unit.log_scales[0])
        return float(np.exp(log))
