r"""Typical score matrices in high dimension: the spectrum of $A + A^\top$ for random heads.

H heads with query and key of shape (k, d), $k = cd$, of independent entries $N(0, 1/d)$, and
$A = H^{-1/2}\sum_h K_h^\top Q_h$. The Cauchy transform $G(z) = \int d\lambda/(z - \lambda)$ of the
limit law has the inverse $z = 1/G + 2cG/(1 - G^2/H)$.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from transpde.checks import Array, finite_array, listing, number, positive_number
from transpde.fields import quiet, silent

__all__ = ["score_density", "score_edge", "typical_blowup_time", "typical_ranks"]

NODES = 300  # of the quadrature on the support


def _law(ratio: Any, heads: Any) -> tuple[float, float]:
    """Return c and 1/H."""
    c, H = positive_number("ratio", ratio), positive_number("heads", heads, infinite=True)
    if H < 1:
        raise ValueError(f"heads: must be at least 1, or inf; got {heads!r}.")
    return c, 1 / H


def _one_interval(ratio: Any, heads: Any) -> tuple[float, float]:
    """Return c and 1/H of a law without an atom at 0."""
    c, q = _law(ratio, heads)
    if c < 0.5 * q:
        raise ValueError(
            "ratio, heads: must have a product of at least 1/2, where the law has a density on "
            f"one interval and no atom at 0; got {ratio!r} and {heads!r}."
        )
    return c, q


def _inverse(G: Array, c: float, q: float) -> Array:
    """Return the z of a value of the Cauchy transform beyond the edge."""
    return 1 / G + 2 * c * G / (1 - q * G**2)


def _at_the_edge(c: float, q: float) -> float:
    """Return G at the edge: the root of (1 - qu)^2 = 2cu(1 + qu), u = G^2, below 1/q."""
    a, b = q * (q - 2 * c), q + c
    return float(np.sqrt(1 / (b + np.sqrt(b * b - a))))


@quiet
def score_edge(ratio: float = 1.0, heads: float = 1.0) -> float:
    r"""Return the upper edge of the limit law of the spectrum of $A + A^\top$.

    It is the minimum of $1/G + 2cG/(1 - G^2/H)$ over $0 < G < \sqrt H$. For c = H = 1 it is
    $\varphi^{5/2}$ with the golden ratio $\varphi$; for infinitely many heads $\sqrt{8c}$.

    Args:
        ratio: c = k/d of each head.
        heads: their number H, or inf.

    Raises:
        ValueError: numbers out of range.

    Source: ours (chapter on the evolution of anisotropy).

    Example:
        >>> from transpde.theory.random_heads import score_edge
        >>> round(score_edge() ** 2, 12), round((11 + 5 * 5**0.5) / 2, 12)
        (11.090169943749, 11.090169943749)
    """
    c, q = _law(ratio, heads)
    return float(_inverse(np.asarray(_at_the_edge(c, q)), c, q))


@quiet
def typical_blowup_time(ratio: float = 1.0, heads: float = 1.0) -> float:
    r"""Return the limit of the blow-up time from $\Sigma_0 = I$ under softmax with V = I.

    It is one over `score_edge`.

    Args:
        ratio: c = k/d of each head.
        heads: their number H, or inf.

    Raises:
        ValueError: as `score_edge`.

    Source: ours (chapter on the evolution of anisotropy).

    Example:
        >>> from transpde.theory.random_heads import typical_blowup_time
        >>> round(typical_blowup_time(heads=float("inf")), 6)
        0.353553
    """
    return 1 / score_edge(ratio, heads)


@silent
def score_density(x: ArrayLike, ratio: float = 1.0, heads: float = 1.0) -> Array:
    r"""Return the density of the limit law of the spectrum of $A + A^\top$.

    It is $-\Im G(x + i0)/\pi$, where G solves $qxG^3 + (2c - q)G^2 - xG + 1 = 0$, q = 1/H.

    Args:
        x: points, of any shape.
        ratio: c = k/d of each head.
        heads: their number H, or inf.

    Raises:
        ValueError: numbers out of range; c H < 1/2, where the law has an atom at 0.

    Source: ours (chapter on the evolution of anisotropy); for c = H = 1 `deya2012tetilla`.

    Example:
        >>> from transpde.theory.random_heads import score_density
        >>> score_density([0.0, 4.0]).round(6)
        array([0.31831, 0.     ])
    """
    c, q = _one_interval(ratio, heads)
    points = finite_array("x", x, "...")
    # The reciprocal 1/G solves a monic cubic: its roots are those of a companion matrix.
    companion = np.zeros((*points.shape, 3, 3))
    companion[..., 0, :] = np.stack([points, np.full(points.shape, q - 2 * c), -q * points], -1)
    companion[..., 1, 0] = companion[..., 2, 1] = 1.0
    roots = np.linalg.eigvals(companion).astype(complex)
    upper = np.take_along_axis(roots, roots.imag.argmax(axis=-1)[..., None], axis=-1)[..., 0]
    inside = np.abs(points) < score_edge(ratio, heads)
    heights = np.where(inside, -(1 / upper).imag / np.pi, 0.0)
    return np.where(np.isnan(heights), np.inf, heights)  # at 0 for c H = 1/2


@quiet
def typical_ranks(time: float, ratio: float = 1.0, heads: float = 1.0) -> tuple[float, float]:
    r"""Return the limits of effective rank and participation ratio over d, from $\Sigma_0 = I$.

    Under softmax with V = I the spectrum at depth t is that of $(1 - t\lambda)^{-1}$ over the
    limit law of $A + A^\top$. The participation ratio is $G(z)^2/(-G'(z))$ at z = 1/t.

    Args:
        time: t, from 0 to the typical blow-up time; there the second number is 0.
        ratio: c = k/d of each head.
        heads: their number H, or inf.

    Raises:
        ValueError: a time out of range, and as `score_density`.

    Source: ours (chapter on the evolution of anisotropy).

    Example:
        >>> from transpde.theory.random_heads import typical_blowup_time, typical_ranks
        >>> [round(share, 3) for share in typical_ranks(typical_blowup_time())]
        [0.475, 0.0]
    """
    c, q = _one_interval(ratio, heads)
    edge = score_edge(ratio, heads)
    wanted = f"a number from 0 to the typical blow-up time {1 / edge:.6g}"
    time = number("time", time, wanted, lambda t: 0 <= t <= 1 / edge)
    # Angles resolve the root edges, and their squares the pole that meets the upper one.
    s, w = _rule()
    angles = np.pi * ((1 + s) / 2) ** 2
    weights = score_density(edge * np.cos(angles), ratio, heads) * np.sin(angles) * (1 + s) * w
    weights /= weights.sum()
    x = min(time * edge, 1.0)
    f = 1 / (1 - x + 2 * x * np.sin(angles / 2) ** 2)  # 1 - x cos, without cancellation
    p = f / (weights @ f)
    G = _transform(1 / time, c, q) if time else np.nan
    ratio_of_means = -(G**2) * _slope(G, c, q) if time else 1.0
    return float(np.exp(-(weights @ (p * np.log(p))))), float(max(0.0, ratio_of_means))


@cache
def _rule() -> tuple[Array, Array]:
    return np.polynomial.legendre.leggauss(NODES)


def _transform(z: float, c: float, q: float) -> float:
    """Return the Cauchy transform at z beyond the edge: the branch below its value there."""
    low, high = 0.0, _at_the_edge(c, q)
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (low, middle) if _inverse(np.asarray(middle), c, q) < z else (middle, high)
    return high


def _slope(G: float, c: float, q: float) -> float:
    """Return dz/dG = 1/G'(z)."""
    return float(-1 / G**2 + 2 * c * (1 + q * G**2) / (1 - q * G**2) ** 2)


__dir__ = listing(__all__)
