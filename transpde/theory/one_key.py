r"""L2 attention with one key and one query, eigenvectors of $V^\top$: blow-up in closed form.

With $V^\top k = \delta k$, $V^\top q = vq$ and $a = k^\top\Sigma k$, $b = q^\top\Sigma k$,
$c = q^\top\Sigma q$, $\varphi = 2/(1 + 2a)$:
$$\dot a = 2\delta\varphi ab, \qquad \dot b = \varphi(vb^2 + \delta ac), \qquad
\dot c = 2v\varphi bc .$$
On the clock $d\sigma = v\varphi b\,dt$ all three are exponentials and a square root of them.
"""

from __future__ import annotations

import numpy as np
from scipy.special import hyp2f1, poch

from transpde.checks import Array

__all__ = ["blowup"]

ROUNDING = 1e-13  # a squared sine that counts as zero: both rows are then parallel


def blowup(rows: Array, delta: float, v: float) -> float | None:
    r"""Return the blow-up time, inf where there is none, None where no statement decides.

    Args:
        rows: $k^\top X$ and $q^\top X$, shape (2, r).
        delta: the eigenvalue of the key.
        v: the eigenvalue of the query.
    """
    key, query = rows
    a, b, c = float(key @ key), float(key @ query), float(query @ query)
    if delta == 0:
        rate = 2 * v * b / (1 + 2 * a)
        return 1 / rate if rate > 0 else np.inf
    if not a * c > 0:
        return np.inf  # b = 0 and stays so
    if delta < 0 or v < 0:
        return None
    if delta >= v:
        return np.inf
    beside = query - b / a * key
    kappa, ratio = float(beside @ beside) / c, delta / v
    kappa = kappa if kappa > ROUNDING else 0.0
    first = _time(a, c, kappa, ratio, 1.0)
    if b >= 0:
        return first / v
    if kappa == 0:
        return np.inf
    return (2 * _time(a, c, kappa, ratio, kappa ** (-0.5 / ratio)) - first) / v


def _time(a: float, c: float, kappa: float, ratio: float, end: float) -> float:
    r"""Return the integral of $(y^\delta + 2ay^{-\delta})/(2\sqrt{ac(1 - \kappa y^{2\delta})})$.

    It runs from 0 to `end`, which is 1 or the zero of the root; the variable is $y = e^{-\sigma}$.
    """
    z = kappa if end == 1.0 else 1.0  # `end` is 1, or where the root vanishes

    def power(p: float) -> float:
        B = (1 + p) / (2 * ratio)
        # Gauss' value at 1 as a quotient of gamma functions that does not overflow.
        F = hyp2f1(0.5, B, B + 1, z) if z < 1 else np.sqrt(np.pi) * poch(B + 0.5, 0.5)
        return float(end ** (1 + p) / (1 + p) * F)

    return (power(ratio) + 2 * a * power(-ratio)) / (2 * np.sqrt(a * c))
