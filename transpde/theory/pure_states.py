r"""Tokens on the sphere under symmetric attention: which states on one eigendirection are stable.

Query $\beta V$, key $I$, value $V = V^\top$ of eigenpairs $(\lambda_k, e_k)$. A *pure state* on
mode p has all tokens at $x_i = s_ie_p$, $s_i = \pm1$; it is a *consensus* if the signs agree and
*split* if not. A split has the heavier and the lighter group, of masses with ratio $r\ge1$, and
the strength $b = \beta|\lambda_p|$.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import expit

from transpde.checks import (
    Array,
    finite_array,
    finite_number,
    fitting_axes,
    index_below,
    listing,
    non_negative_array,
    positive_array,
    positive_integer,
    positive_number,
    probability_weights,
    same_size,
)
from transpde.fields import quiet, silent

__all__ = [
    "cone_bound",
    "leader_thresholds",
    "mixed_states",
    "pure_state_is_stable",
    "pure_state_spectrum",
    "split_threshold",
    "stable_splits",
]


TINY, SMALLEST = 1e-307, 1e-290  # a force at 0 that underflows; a root that is beyond floats


class _Groups(NamedTuple):
    """The one or two groups of a pure state, the heavier first: masses and numbers of tokens."""

    masses: Array
    counts: Array


def _groups(signs: Any, weights: Any) -> _Groups:
    """Return the groups of a state from the signs and the weights of its tokens."""
    s = finite_array("signs", signs, "n")
    if (np.abs(s) != 1).any():
        raise ValueError(f"signs: every entry must be 1 or -1; got {s[np.abs(s) != 1][0]}.")
    if weights is None:
        w = np.full(len(s), 1 / len(s))
    else:
        w = probability_weights("weights", weights, len(s), "signs", "n")
    if w.min() == 0:
        raise ValueError("weights: must be positive; leave out tokens that weigh nothing.")
    groups = [s == side for side in (1, -1) if (s == side).any()]
    masses = np.array([w[group].sum() for group in groups])
    counts = np.array([group.sum() for group in groups])
    order = np.argsort(-masses, kind="stable")
    return _Groups(masses[order], counts[order])


def _mode(eigenvalues: Any, mode: Any) -> tuple[Array, int]:
    """Return the eigenvalues and the index of a mode."""
    values = finite_array("eigenvalues", eigenvalues, "d")
    d = len(values)
    if d < 2:
        raise ValueError(
            "eigenvalues: must be at least two, of a space of dimension two; got one."
        )
    return values, index_below("mode", mode, d)


@quiet
def pure_state_spectrum(
    eigenvalues: ArrayLike,
    mode: int,
    signs: ArrayLike,
    weights: ArrayLike | None = None,
    beta: float = 1.0,
    score: float | None = None,
) -> Array:
    r"""Return the eigenvalues of the flow linearised at a pure state.

    With $c = e^{2\beta\lambda_p}$, $\rho_+ = rc/(rc+1)$, $\rho_- = c/(c+r)$ and
    $\varphi_\pm = \lambda_p(2\rho_\pm-1)$ there are, for each mode $k\ne p$: $-\varphi_+$ and
    $-\varphi_-$, once less than tokens in the group, and both eigenvalues of
    $\lambda_k\begin{pmatrix}\rho_+&1-\rho_+\\1-\rho_-&\rho_-\end{pmatrix} -
    \operatorname{diag}(\varphi_+,\varphi_-)$. At a consensus: $\lambda_k - \lambda_p$, and
    $-\lambda_p$ for all tokens but one.

    Args:
        eigenvalues: $\lambda$ of V, shape (d,), in any order, d at least 2.
        mode: the index p, from 0.
        signs: s, 1 or -1, shape (n,).
        weights: of the tokens, shape (n,), positive with sum one; 1/n when left out.
        beta: inverse temperature, > 0.
        score: for a form A = K^T Q that is diagonal in the eigenbasis of V, its eigenvalue on mode
            p, without the factor beta; that of V when left out.

    Returns:
        Shape (d-1, n), a row for each mode but p, in their order, increasing along a row.

    Raises:
        ValueError: other shapes, an index without a mode, signs that are none, weights that are
            not positive or do not sum to one, a temperature that is not positive.

    Source: ours (chapter on spectral selection).

    Example:
        >>> from transpde import theory
        >>> theory.pure_state_spectrum([1.0, 0.5], 0, [1, 1, 1])
        array([[-1. , -1. , -0.5]])
    """
    values, p = _mode(eigenvalues, mode)
    groups = _groups(signs, weights)
    inverse = positive_number("beta", beta)
    a = values[p] if score is None else finite_number("score", score)
    others = np.delete(values, p)
    if len(groups.masses) == 1:
        alike = np.full((len(others), groups.counts[0] - 1), -values[p])
        return np.sort(np.column_stack([others - values[p], alike]), axis=1)
    log_ratio = np.log(groups.masses[0] / groups.masses[1])
    tilt = np.array([log_ratio, -log_ratio]) + 2 * inverse * a
    own, other = expit(tilt), expit(-tilt)  # the mass a token gives to its own group, and not
    phi = values[p] * np.tanh(tilt / 2)
    inside = np.repeat(-phi, groups.counts - 1)
    first, second = others * own[0] - phi[0], others * own[1] - phi[1]
    half = np.hypot((first - second) / 2, others * np.sqrt(other[0] * other[1]))
    middle = (first + second) / 2
    rows = [np.broadcast_to(inside, (len(others), len(inside))), middle - half, middle + half]
    return np.sort(np.column_stack(rows), axis=1)


@silent
def split_threshold(strength: ArrayLike, ratio: ArrayLike = 1.0) -> Array:
    r"""Return $\hat\sigma = (\cosh 2b - \cosh\log r)/\sinh 2b$, which other modes must not reach.

    For equal masses it is $\tanh b$. A split on a positive mode is stable only if all other
    eigenvalues are below $\hat\sigma\lambda_p$.

    Args:
        strength: $b = \beta|\lambda_p|$ > 0, of any shape.
        ratio: r > 0, the mass of one group over that of the other; it is broadcast with b.

    Returns:
        Of the broadcast shape, below 1; -inf where it is beyond floats.

    Raises:
        ValueError: a strength or a ratio that is not positive, shapes that do not fit.

    Source: ours (chapter on spectral selection).

    Example:
        >>> from transpde import theory
        >>> round(float(theory.split_threshold(1.0)), 6)
        0.761594
    """
    b, r = positive_array("strength", strength, "..."), positive_array("ratio", ratio, "...")
    fitting_axes("ratio", r.shape, "strength", b.shape, "axes")
    # sinh(x) sinh(y) in place of a difference of cosh, which loses digits; e^(2b) divided out.
    half = np.abs(np.log(r)) / 2
    lower, upper = b - half, b + half
    signs = np.sign(lower)
    top = signs * np.exp(np.abs(lower) + upper - 2 * b)
    top = top * np.expm1(-2 * np.abs(lower)) * np.expm1(-2 * upper)
    return np.asarray(top / -np.expm1(-4 * b))


@quiet
def pure_state_is_stable(
    eigenvalues: ArrayLike,
    mode: int,
    signs: ArrayLike,
    weights: ArrayLike | None = None,
    beta: float = 1.0,
) -> bool:
    r"""Return whether all eigenvalues of the flow at a pure state are negative, by the rule.

    A consensus: iff $\lambda_p>0$ and all other $\lambda_k<\lambda_p$. A split with
    $\lambda_p>0$: iff all $\lambda_k<\hat\sigma\lambda_p$, and $\log r<2b$ if the lighter group
    has two tokens or more. With $\lambda_p<0$: iff all $\lambda_k/|\lambda_p|$ lie strictly
    between $-1$ and $\hat\sigma$, and $\log r<2b$ if the heavier group has two tokens or more.

    Args:
        eigenvalues: $\lambda$ of V, shape (d,), in any order, d at least 2.
        mode: the index p, from 0.
        signs: s, 1 or -1, shape (n,).
        weights: of the tokens, shape (n,), positive with sum one; 1/n when left out.
        beta: inverse temperature, > 0.

    Raises:
        ValueError: as for `pure_state_spectrum`.

    Source: ours (chapter on spectral selection).

    Example:
        >>> from transpde import theory
        >>> [theory.pure_state_is_stable([1.0, 0.3], 0, [1] * (12 - k) + [-1] * k, beta=0.8)
        ...  for k in (2, 3)]
        [False, True]
    """
    values, p = _mode(eigenvalues, mode)
    groups = _groups(signs, weights)
    b, others = positive_number("beta", beta) * abs(values[p]), np.delete(values, p)
    if values[p] == 0:
        return False
    if len(groups.masses) == 1:
        return bool(values[p] > 0 and (others < values[p]).all())
    r = groups.masses[0] / groups.masses[1]
    edge = float(split_threshold(b, r)) * abs(values[p])
    fragile = groups.counts[1 if values[p] > 0 else 0] > 1
    if fragile and np.log(r) >= 2 * b:
        return False
    if values[p] > 0:
        return bool((others < edge).all())
    low, high = sorted((values[p], edge))
    return bool(((low < others) & (others < high)).all())


@quiet
def stable_splits(n: int, strength: ArrayLike, share: ArrayLike) -> Array:
    r"""Return which splits of n equal tokens on the top mode are stable.

    A split with k tokens on the one side and n - k on the other is stable iff
    $\cosh\log\frac{n-k}{k} < \cosh 2b - m\sinh 2b$ with $b = \beta\lambda_1$ and
    $m = \lambda_2/\lambda_1$, and, where the smaller group has two tokens or more,
    $|\log\frac{n-k}{k}| < 2b$.

    Args:
        n: number of tokens, at least 2.
        strength: $b = \beta\lambda_1$ > 0, of any shape.
        share: m, the largest of the other eigenvalues over the positive top one; it is broadcast
            with b.

    Returns:
        Truth values, shape (..., n-1), for k = 1, ..., n-1.

    Raises:
        ValueError: fewer than two tokens, a strength that is not positive, shapes that do not fit.

    Source: ours (chapter on spectral selection).

    Example:
        >>> from transpde import theory
        >>> int(theory.stable_splits(12, 0.8, 0.3).sum())
        7
    """
    tokens = positive_integer("n", n, 2)
    b, m = positive_array("strength", strength, "..."), finite_array("share", share, "...")
    fitting_axes("share", m.shape, "strength", b.shape, "axes")
    b, m = (one[..., None] for one in np.broadcast_arrays(b, m))
    k = np.arange(1, tokens)
    r = np.maximum(k, tokens - k) / np.minimum(k, tokens - k)
    alone = np.minimum(k, tokens - k) == 1
    below = m < split_threshold(b, np.broadcast_to(r, (*b.shape[:-1], len(r))))
    return np.asarray(below & (alone | (np.log(r) < 2 * b)))


@quiet
def leader_thresholds(eigenvalues: ArrayLike, beta: float = 1.0) -> tuple[float, float]:
    r"""Return the weights of one token at which the selected end of a negative spectrum changes.

    V is negative definite and one token has the weight W > 1/2. The state in which it stands
    alone against all others is stable on the most negative mode iff W is below the first number,
    and on the least negative one iff W is above the second, each if that mode is simple:
    $\log\frac{W}{1-W} = \operatorname{arcosh}(\cosh 2b + \kappa\sinh 2b)$ with
    $b = \beta|\lambda_p|$ and $\kappa$ the modulus of the other end over $|\lambda_p|$.

    Args:
        eigenvalues: $\lambda$ of V, shape (d,), all negative, d at least 2.
        beta: inverse temperature, > 0.

    Raises:
        ValueError: eigenvalues that are not all negative, a temperature that is not positive.

    Source: ours (chapter on spectral selection).

    Example:
        >>> from transpde import theory
        >>> [round(W, 5) for W in theory.leader_thresholds([-1.0, -5.0], 0.05)]
        [0.66115, 0.72465]
    """
    values, _ = _mode(eigenvalues, 0)
    if values.max() >= 0:
        raise ValueError(f"eigenvalues: must all be negative; got {values.max()}.")
    inverse = positive_number("beta", beta)
    weak, strong = -values.max(), -values.min()
    below, above = (
        _mass_at(inverse * own, other / own) for own, other in ((strong, weak), (weak, strong))
    )
    return below, above


def _mass_at(b: float, kappa: float) -> float:
    """Return the W at which log(W / (1 - W)) = arcosh(cosh 2b + kappa sinh 2b)."""
    shrunk, lost = np.exp(-2 * b), kappa * np.expm1(-4 * b)
    y = (1 + shrunk**2 - lost) / 2  # e^(-2b) divided out
    gap = (np.expm1(-2 * b) ** 2 - lost) / 2  # y less e^(-2b), without a difference
    return float(expit(2 * b + np.log(y + np.sqrt(gap * (y + shrunk)))))


@silent
def cone_bound(eigenvalues: ArrayLike, coordinates: ArrayLike, time: ArrayLike) -> Array | None:
    r"""Return a bound on the transverse ratios of tokens in a half sphere, for any attention.

    $R_k(t) = \max_i|x_i\cdot e_k|/(x_i\cdot e_1) \le R_k(0)e^{-\delta(\lambda_1-|\lambda_k|)t}$
    with $\delta = (1+\sum_kR_k(0)^2)^{-1/2}$, for the flow on the unit sphere under every
    attention of value V whose matrix has non-negative entries and rows of sum one.

    Args:
        eigenvalues: $\lambda$ of symmetric V, shape (d,), the dominant one first, d at least 2.
        coordinates: of the tokens in the eigenbasis, shape (n, d); only their ratios count.
        time: depths t >= 0, of any shape (...).

    Returns:
        Shape (..., d-1); None where no statement decides, that is, for a token with
        $x_i\cdot e_1\le0$ or where $\lambda_1\le|\lambda_k|$ for some k.

    Raises:
        ValueError: other shapes, entries that are not finite, a negative time.

    Source: ours (chapter on spectral selection).

    Example:
        >>> from transpde import theory
        >>> theory.cone_bound([1.0, 0.5], [[3.0, 4.0], [1.0, 0.0]], 0.0)
        array([1.33333333])
    """
    values, _ = _mode(eigenvalues, 0)
    x = finite_array("coordinates", coordinates, "n d")
    same_size("coordinates", x.shape[1], "eigenvalues", len(values), "number of columns")
    t = non_negative_array("time", time)
    gaps = values[0] - np.abs(values[1:])
    if gaps.min() <= 0 or x[:, 0].min() <= 0:
        return None
    ratios = (np.abs(x[:, 1:]) / x[:, :1]).max(axis=0)
    delta = 1 / np.sqrt(1 + (ratios**2).sum())
    return np.asarray(ratios * np.exp(-delta * gaps * t[..., None]))


@silent
def mixed_states(eigenvalues: ArrayLike, counts: ArrayLike, beta: float = 1.0) -> Array:
    r"""Return all equilibria with m tokens on u and k on each of $qu\pm\sqrt{1-q^2}\,v$, by q.

    u and v are eigenvectors of eigenvalues a and a'; the q in (-1, 1) are the roots of
    $q[(a-a')e^{\beta(a'+(a-a')q^2)} + (a+a')e^{\beta(-a'+(a+a')q^2)}]
    + \frac{am}{k}e^{\beta aq} = 0$. They are looked for on a grid of 4001 places, between which
    no two roots are assumed.

    Args:
        eigenvalues: a and a', shape (2,).
        counts: m and k, shape (2,), positive; masses do as well as numbers of tokens.
        beta: inverse temperature, > 0.

    Returns:
        The roots, increasing; 0 for one below 1e-290; an empty array where there is none.

    Raises:
        ValueError: other shapes, eigenvalues that are both 0, counts that are not positive, a
            temperature that is not positive.

    Source: the equation as a third party writes it, derived again in the book (chapter on
    spectral selection).

    Example:
        >>> from transpde import theory
        >>> theory.mixed_states([-0.4, -4.0], [1, 1], 0.03).round(6)
        array([-0.234117])
    """
    values = finite_array("eigenvalues", eigenvalues, "d")
    same_size("eigenvalues", len(values), "u and v", 2, "length")
    number_of = positive_array("counts", counts, "d")
    same_size("counts", len(number_of), "u and v", 2, "length")
    inverse = positive_number("beta", beta)
    (a, other), (m, k) = values, number_of

    if a == other == 0:
        raise ValueError("eigenvalues: must not both be 0; every q is at rest then.")

    def force(q: Any) -> Any:
        logs = np.array([other + (a - other) * q * q, -other + (a + other) * q * q, a * q + 0 * q])
        e = np.exp(inverse * (logs - logs.max(axis=0)))  # only the sign counts
        pull = np.where(q == 0, np.maximum(e[2], TINY), e[2])  # at 0 it stands alone
        return q * ((a - other) * e[0] + (a + other) * e[1]) + a * m / k * pull

    grid = np.linspace(-1, 1, 4001)
    f = force(grid)
    exact = grid[1:-1][f[1:-1] == 0]
    change = np.flatnonzero(np.sign(f[:-1]) * np.sign(f[1:]) < 0)
    how = {"xtol": 1e-300, "rtol": 1e-14, "maxiter": 3000}
    between = np.array([brentq(force, grid[i], grid[i + 1], **how) for i in change])
    between = np.where(np.abs(between) < SMALLEST, 0.0, between)
    return np.sort(np.append(exact, between))


__dir__ = listing(__all__)
