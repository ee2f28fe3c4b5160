r"""L2 attention with one key and one query, eigenvectors of $V^\top$: blow-up in closed form.

With $V^\top k = \delta k$, $V^\top q = vq$ and $a = k^\top\Sigma k$, $b = q^\top\Sigma k$,
$c = q^\top\Sigma q$, $\varphi = 2/(1 + 2a)$:
$$\dot a = 2\delta\varphi ab, \qquad \dot b = \varphi(vb^2 + \delta ac), \qquad
\dot c = 2v\varphi bc .$$
On the clock $d\sigma = v\varphi b\,dt$ all three are exponentials and a square root of them.
"""

from __future__ import annotations

import numpy as np
from scipy.special import poch

from transpde.checks import Array

__all__ = ["blowup"]

ROUNDING = 1e-13  # a squared sine that counts as zero: both rows are then parallel
EQUAL = 16 * np.finfo(float).eps  # relative distance of eigenvalues that count as equal
NODES, WEIGHTS = np.polynomial.legendre.leggauss(200)
NEGLIGIBLE = 45.0  # minus the log of what is left out of an integral


def blowup(rows: Array, log_scale: float, delta: float, v: float) -> float | None:
    r"""Return the blow-up time, inf where there is none, None where no statement decides.

    It is inf as well where it is finite but larger than any float.

    Args:
        rows: $k^\top X$ and $q^\top X$, shape (2, r), up to a common factor.
        log_scale: log of the square of this factor.
        delta: the eigenvalue of the key.
        v: the eigenvalue of the query.
    """
    if v < 0:  # the field does not change under v, delta, q -> -v, -delta, -q
        rows, delta, v = rows * [[1.0], [-1.0]], -delta, -v
    key, query = rows
    a, b, c = np.sqrt(key @ key), key @ query, np.sqrt(query @ query)
    if a == 0 or c == 0:
        return np.inf  # b = 0 and stays so
    with np.errstate(over="ignore", divide="ignore"):
        shrink = np.exp(-log_scale)
        if delta == 0:
            return float((shrink / 2 + a * a) / (v * b)) if v * b > 0 else np.inf
        if delta < 0:
            return None
        if delta >= v * (1 - EQUAL):
            return np.inf
        beside = query - b / a / a * key
        kappa, ratio = (beside @ beside) / c / c, delta / v
        first = _integrals(kappa, (b / a / c) ** 2, ratio)
        if b < 0 and kappa <= ROUNDING:
            return np.inf
        if b < 0:
            first = 2 * _integrals(1.0, 0.0, ratio) * _turn(kappa, ratio) - first
        return float((first[0] / (a * c) / 2 * shrink + first[1] * a / c) / v)


def _turn(kappa: float, ratio: float) -> Array:
    r"""Return $y^{1\pm\delta}$ at the zero of $1 - \kappa y^{2\delta}$."""
    return np.exp(-np.log(kappa) / 2 / ratio * (1 + np.array([ratio, -ratio])))


def _integrals(kappa: float, rest: float, ratio: float) -> Array:
    r"""Return the integrals of $y^{\pm\delta}(1 - \kappa y^{2\delta})^{-1/2}$ from 0 to 1.

    They are ${}_2F_1(\frac12, B; B + 1; \kappa)/(1\pm\delta)$ with $B = (1\pm\delta)/(2\delta)$,
    by quadrature, as library values fail for large B; `rest` is $1 - \kappa$, with its digits.
    """
    p = 1 + np.array([ratio, -ratio])
    B = p / (2 * ratio)
    if rest == 0:
        return np.asarray(np.sqrt(np.pi) * poch(B + 0.5, 0.5) / p)
    # With y^(2 delta) = e^(-x), x = rest sinh(s)^2: the root is smooth in s.
    end = np.arcsinh(np.sqrt(NEGLIGIBLE / B / rest))[:, None] / 2
    s = end * (1 + NODES)
    x = rest * np.sinh(s) ** 2
    root = np.sqrt(rest - kappa * np.expm1(-x))
    values = rest * np.sinh(2 * s) * np.exp(-B[:, None] * x) / root
    return np.asarray((end * values) @ WEIGHTS * B / p)
