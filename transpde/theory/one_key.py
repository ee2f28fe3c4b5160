r"""Heads with one key k and one query q: softmax, L2 and Sinkhorn move covariances on one curve.

With $a = k^\top\Sigma k$, $b = q^\top\Sigma k$, $c = q^\top\Sigma q$ each of the three has
$B = \varphi V\Sigma kq^\top$, with
$$\varphi = 1, \qquad \frac2{1 + 2a}, \qquad \frac2{\varepsilon + \sqrt{\varepsilon^2 + 4ac}}$$
in this order, and any V: on the clock $d\theta = \varphi\,dt$ they are one equation.

If $V^\top k = \delta k$ and $V^\top q = vq$, then
$$\dot a = 2\delta\varphi ab, \qquad \dot b = \varphi(vb^2 + \delta ac), \qquad
\dot c = 2v\varphi bc ,$$
and on the clock $d\sigma = v\varphi b\,dt$ all three are exponentials and a square root of them.
If V = I, then $c/a$ is conserved, and covariance and clock are elementary.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import poch

from transpde.checks import Array

__all__ = ["Rows", "blowup", "covariance", "eigenvalue"]

ROUNDING = 1e-13  # a squared sine that counts as zero: both rows are then parallel
EQUAL = 16 * np.finfo(float).eps  # relative distance of eigenvalues that count as equal
INEXACT = 2.0**12 * np.finfo(float).eps  # relative residual of an eigenvector up to rounding
NODES, WEIGHTS = np.polynomial.legendre.leggauss(200)
NEGLIGIBLE = 45.0  # minus the log of what is left out of an integral


class Rows(NamedTuple):
    r"""The key $k^\top X$ and the query $q^\top X$, (r,), each over a factor with this log."""

    key: Array
    query: Array
    log_key: float
    log_query: float

    @classmethod
    def of(cls, head: Any, gaussian: Any) -> Rows | None:
        """Return the rows of a head with one key, None for another head; q for V is -q for -V."""
        if len(head.key) > 1:
            return None
        unit = gaussian.normalised()
        half = float(unit.log_scales[0]) / 2
        rows, logs = [], []
        for vector in (head.key[0], head.query[0]):
            size = float(np.abs(vector).max())
            rows.append(vector / size @ unit.factor if size else 0 * unit.factor[0])
            logs.append(half + np.log(size) if size else 0.0)
        return cls(rows[0], rows[1], logs[0], logs[1])

    @property
    def log_ratio(self) -> float:
        r"""Half the log of $c/a$: of the variance of the query over that of the key."""
        with np.errstate(divide="ignore"):
            lengths = np.log(np.linalg.norm([self.query, self.key], axis=1))
        return float(lengths[0] + self.log_query - lengths[1] - self.log_key)


def eigenvalue(matrix: Array, vector: Array) -> tuple[float, float] | None:
    """Return an eigenvalue and its uncertainty, None for no eigenvector up to rounding.

    An image may be off by the rounding that products of its size leave, and a little more: a
    matrix that is made from its eigenvectors has them within their condition number.
    """
    size = np.abs(vector).max()
    if size == 0:
        return 0.0, 0.0
    x = vector / size
    image, terms = matrix @ x, float(np.linalg.norm(np.abs(matrix) @ np.abs(x)))
    value, length = float(x @ image / (x @ x)), float(np.linalg.norm(x))
    off = float(np.linalg.norm(image - value * x))
    if off > INEXACT * terms:
        return None
    return value, (8 * off + EQUAL * terms) / length


def blowup(
    rows: Rows, key: tuple[float, float], query: tuple[float, float], damped: bool
) -> float | None:
    r"""Return the blow-up time, inf where there is none, None where no statement decides.

    It is inf as well where it is finite but larger than any float.

    Args:
        rows: of the head.
        key: the eigenvalue delta of the key, and its uncertainty.
        query: the eigenvalue v of the query, and its uncertainty.
        damped: whether the head is L2, else it is softmax.
    """
    (delta, off), (v, other) = key, query
    delta, v = (0.0 if abs(x) <= u else x for x, u in ((delta, off), (v, other)))
    k, q = rows.key, rows.query
    if not damped and abs(delta) > abs(v):  # softmax does not tell key and query apart
        k, q, delta, v = q, k, v, delta
    if v < 0 or (v == 0 and delta < 0):  # nothing changes under v, delta, q -> -v, -delta, -q
        q, delta, v = -q, -delta, -v
    a, b, c = np.linalg.norm(k), k @ q, np.linalg.norm(q)
    if a == 0 or c == 0 or (v <= other and delta == 0):
        return np.inf  # b keeps its value
    if delta < 0:
        return None
    if delta == 0:
        parts = np.array([1 / b, a * a / b]) if b > 0 else None
    elif damped and delta >= v - off - other:
        return np.inf
    else:
        parts = _elementary_times(k, q, delta / v, damped)
    return np.inf if parts is None else _in_units(parts, rows, v, damped)


def _in_units(parts: Array, rows: Rows, v: float, damped: bool) -> float:
    r"""Return the time from $\int d\sigma/b$ and $\int a\,d\sigma/b$, rows scaled."""
    free = -np.log(v) - rows.log_key - rows.log_query
    with np.errstate(over="ignore", divide="ignore", under="ignore"):
        first = np.exp(np.log(parts[0]) + free)
        if not damped:
            return float(first)
        second = np.exp(np.log(parts[1]) - np.log(v) + rows.log_key - rows.log_query)
        return float(first / 2 + second)


def _elementary_times(k: Array, q: Array, ratio: float, damped: bool) -> Array | None:
    r"""Return $\int d\sigma/b$ and, if damped, $\int a\,d\sigma/b$; None if they diverge."""
    a, b, c = np.linalg.norm(k), k @ q, np.linalg.norm(q)
    powers = np.array([1 + ratio, 1 - ratio])[: 1 + damped]
    beside = q - b / a / a * k
    kappa = (beside @ beside) / c / c
    first = _integrals(kappa, (b / a / c) ** 2, ratio, powers)
    if b < 0:
        if kappa <= ROUNDING:
            return None
        with np.errstate(over="ignore"):
            turn = np.exp(-np.log(kappa) / 2 / ratio * powers)
        first = 2 * _integrals(1.0, 0.0, ratio, powers) * turn - first
    return first * np.array([1 / (a * c), a / c])[: 1 + damped]


def _integrals(kappa: float, rest: float, ratio: float, powers: Array) -> Array:
    r"""Return the integrals of $y^{p - 1}(1 - \kappa y^{2\delta})^{-1/2}$ from 0 to 1.

    They are ${}_2F_1(\frac12, B; B + 1; \kappa)/p$ with $B = p/(2\delta)$, by quadrature, as
    library values fail for large B; `rest` is $1 - \kappa$, with its digits.
    """
    B = powers / (2 * ratio)
    if rest == 0:
        return np.asarray(np.sqrt(np.pi) * poch(B + 0.5, 0.5) / powers)
    # With y^(2 delta) = e^(-x), x = rest sinh(s)^2: the root is smooth in s.
    end = np.arcsinh(np.sqrt(NEGLIGIBLE / B / rest))[:, None] / 2
    s = end * (1 + NODES)
    x = rest * np.sinh(s) ** 2
    root = np.sqrt(rest - kappa * np.expm1(-x))
    values = rest * np.sinh(2 * s) * np.exp(-B[:, None] * x) / root
    return np.asarray((end * values) @ WEIGHTS * B / powers)


def covariance(X: Array, key: Array, query: Array, t: float) -> Array:
    r"""Return the covariance of L2 with V = I and one key at depth t.

    With $h = X^\top k$, $g = X^\top q$ the matrix $hg^\top + gh^\top$ has the eigenvalues
    $w_\pm = h\cdot g \pm |h||g|$, with eigenvectors along $h/|h| \pm g/|g|$, and
    $$\Sigma = X(I - \theta(hg^\top + gh^\top))^{-1}X^\top, \qquad
    2t = \theta + \frac{|h|}{|g|}\log\frac{1 - \theta w_-}{1 - \theta w_+}.$$
    """
    h, g = X.T @ key, X.T @ query
    a, c = float(np.linalg.norm(h)), float(np.linalg.norm(g))
    if a == 0 or c == 0 or t == 0:
        return np.asarray(X @ X.T)
    near, far = h / a + g / c, h / a - g / c
    if h @ g < 0:  # the longer one first, and the other at right angles to it
        near, far = _plane(far, h / a)[::-1]
    else:
        near, far = _plane(near, h / a)
    up, down = (float(z @ z) * a * c / 2 for z in (near, far))
    grown, shrunk = _clock(up, down, a / c, t)
    near, far = (z / max(float(np.linalg.norm(z)), 1e-300) for z in (near, far))
    with np.errstate(over="ignore"):
        Y = X + np.expm1(grown / 2) * np.outer(X @ near, near)
        Y = Y + np.expm1(-shrunk / 2) * np.outer(X @ far, far)
        return np.asarray(Y @ Y.T)


def _plane(z: Array, h: Array) -> tuple[Array, Array]:
    """Return z, and the part of 2h at right angles to it."""
    return z, 2 * (h - (z @ h) / (z @ z) * z)


def _clock(up: float, down: float, ratio: float, t: float) -> tuple[float, float]:
    r"""Return $-\log(1 - \theta w_+)$ and $\log(1 - \theta w_-)$ at depth t.

    Args:
        up: $w_+$, at least 0.
        down: $-w_-$, at least 0.
        ratio: $|h|/|g|$.
        t: the depth, positive.
    """
    if up * t < 1e-300:

        def early(x: float) -> float:
            return float(x + ratio * np.log1p(x * down) - 2 * t)

        theta = brentq(early, 0.0, 2 * t, xtol=1e-300, rtol=1e-15, maxiter=2000)
        return 0.0, float(np.log1p(theta * down))

    def late(s: float) -> float:
        theta = -np.expm1(-s) / up
        return float(theta + ratio * (s + np.log1p(theta * down)) - 2 * t)

    most = 2 * t / ratio
    if 2 * t * up < 0.5:
        most = min(most, -np.log1p(-2 * t * up))
    s = float(brentq(late, 0.0, most * (1 + 1e-12), xtol=1e-300, rtol=1e-15, maxiter=2000))
    return s, float(np.log1p(-np.expm1(-s) / up * down))
