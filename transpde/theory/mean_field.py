"""Many tokens: how far they are from independent twins, and what a mask changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from transpde.attention import L2, Attention, Masked, Sigmoid, Sinkhorn, Softmax
from transpde.checks import (
    Array,
    finite_array,
    flag,
    function,
    listing,
    non_negative_array,
    positive_number,
)
from transpde.fields import quiet, silent
from transpde.theory.compact import LipschitzBounds, lipschitz_bounds, support_radius, unmasked
from transpde.theory.following import followed
from transpde.theory.head_sums import head_sum, spectral_norm

Rates = tuple[Callable[[float], float], Callable[[float], float]]
Limit = Callable[[Any, Any], Any]

__all__ = ["masked_bounds", "masked_limit", "twin_bound"]

EARLY = 1e-12  # of a depth, where the integral of a bound begins as a product
NODES, MOST = (16, 8), (96, 48)  # in position and rank
TAIL = 3  # last coefficients that are checked


@silent
def twin_bound(
    attention: Attention, radius: float, time: ArrayLike, *, log: bool = False
) -> float | Array | None:
    r"""Return C(t): tokens are at most $C(t)/\sqrt n$ from their independent twins, in mean.

    The twin of a token starts with it and follows the velocity of the limit $\mu_t$:
    $$C(t) = \int_0^te^{\Lambda(t) - \Lambda(s)}\,c(R(s))\,ds,\qquad
    \Lambda(t) = \int_0^t\ell(R(s))\,ds,$$
    with R(s) of `support_radius`. For softmax, L2 and sigmoid heads $\ell = L_x + L_\mu$ of
    `lipschitz_bounds` and $c = 2\kappa\|V\|R$, $\kappa$ the largest ratio of two weights (1 for
    sigmoid). Behind a mask, for independent positions without ties, $\ell = L_x + 2L_\mu$, and
    $C(t)/\sqrt k$ bounds the mean distance of the k-th token in order of position. For one
    Sinkhorn head the bound is on the root of the mean square, with $\ell = \|V\|(1 +
    2\alpha/\varepsilon)$ and $c = 4\|V\|Re^{12\alpha/\varepsilon}$, $\alpha = \|A\|R^2$.

    Args:
        attention: softmax, L2 or sigmoid heads, masked or not, their sums, any of these with an
            affine feed-forward part, or one Sinkhorn head.
        radius: R(0), positive; tokens start in this ball.
        time: depths, at least 0, of any shape.
        log: return logarithms.

    Returns:
        A float, or an array of the shape of `time`; inf where it overflows. None for another
        attention.

    Raises:
        ValueError: a radius that is not positive, a negative time, parameters with leading axes.
        TypeError: something that is not an attention.

    Source: ours (chapters on the mean-field limit and on masked attention).

    Example:
        >>> import transpde as tp
        >>> from transpde.theory import mean_field
        >>> mean = tp.Softmax([[0.0]], [[0.0]], [[1.0]])
        >>> round(mean_field.twin_bound(mean, radius=1.0, time=1.0), 6)  # 2 e
        5.436564
    """
    R, t = positive_number("radius", radius), non_negative_array("time", time)
    log, rates = flag("log", log), _rates(attention)
    if rates is None or support_radius(attention, R, 0.0) is None:
        return None
    ends = np.array([_log_integral(rates, attention, R, float(s)) for s in t.ravel()])
    bound = ends.reshape(t.shape) if log else np.exp(ends.reshape(t.shape))
    return bound if bound.ndim else float(bound)


def _rates(attention: Any) -> Rates | None:
    r"""Return $\ell$ and c as functions of the radius, or None where no statement applies."""
    parts = head_sum(attention)
    masks = set() if parts is None else {isinstance(head, Masked) for head in parts.heads}
    if parts is None or len(masks) > 1:
        return None
    heads: Any = unmasked(parts)
    if all(isinstance(head, Softmax | L2 | Sigmoid) for head in heads):

        def rate(R: float) -> float:
            bounds: Any = lipschitz_bounds(attention, R, p=2.0)  # Hardy's factor at 2 is 2
            return float(bounds.in_space + bounds.in_measure)

        return rate, lambda R: sum(
            2 * spectral_norm(h.value) * R * np.exp(_log_ratio(h, R)) for h in heads
        )
    if len(heads) > 1 or not isinstance(heads[0], Sinkhorn):
        return None
    linear, v = spectral_norm(parts.linear), spectral_norm(heads[0].value)
    score = spectral_norm(heads[0].key.T @ heads[0].query) / heads[0].epsilon
    return (
        lambda R: linear + v * (1 + 2 * score * R**2),
        lambda R: 4 * v * R * float(np.exp(12 * score * R**2)),
    )


def _log_ratio(head: Any, R: float) -> float:
    r"""Return the logarithm of $\kappa$, the largest ratio of two weights in $B_R$."""
    match head:
        case Softmax():
            return 2 * spectral_norm(head.key.T @ head.query) * R**2
        case L2():
            return ((spectral_norm(head.query) + spectral_norm(head.key)) * R) ** 2
    return 0.0


def _log_integral(rates: Rates, attention: Any, R: float, t: float) -> float:
    r"""Return log C(t) from $C' = \ell C + c$, solved for log(C/t) over the logarithm of depth."""
    rate, source = rates
    if t == 0 or source(R) == 0:
        return -np.inf
    if not np.isfinite([f(support_radius(attention, R, t)) for f in rates]).all():
        return np.inf
    first = EARLY * min(t, 1 / (1 + rate(R)))

    def slope(log_s: float, z: Array) -> Array:
        s = np.exp(log_s)
        radius = support_radius(attention, R, s)
        return s * rate(radius) + source(radius) * np.exp(-z) - 1

    start, span = [np.log(source(R))], (np.log(first), np.log(t))
    found = followed("masked_bounds", slope, span, start, rtol=1e-10, atol=1e-10)
    return float(found.y[0, -1] + np.log(t))


@silent
def masked_bounds(attention: Attention, radius: float, p: float = 2.0) -> LipschitzBounds:
    r"""Return Lipschitz bounds of masked heads in space and in $d_p$, with the best order below p.

    A head with the constant $L_q$ in $W_q$ has behind a mask, in $L^p$ over the positions, the
    constant $L_q\,(p/(p-q))^{1/q}$ for each $1 \le q < p$. For softmax
    $L_q = \|V\|(1 + c_q\alpha)e^{2\alpha/q}$ with $c_q = \max(1, 2^{2/q-1})$ and
    $\alpha = \|A\|R^2$, and the smallest of these is returned; for the other heads q = 1.

    Args:
        attention: masked heads, their sums, and these with an affine feed-forward part.
        radius: R, positive; both measures and the points x are in $B_R$.
        p: the order of $d_p$, at least 1, inf allowed.

    Returns:
        `LipschitzBounds(in_space, in_measure)`, inf where one overflows. None in measure at p = 1.

    Raises:
        ValueError: a radius that is not positive, p < 1, parameters with leading axes.
        TypeError: something other than masked heads.

    Source: ours (chapter on masked attention).

    Example:
        >>> import transpde as tp
        >>> from transpde import theory
        >>> from transpde.theory import mean_field
        >>> head = tp.Masked(tp.Softmax([[4.0]], [[1.0]], [[1.0]]))
        >>> round(theory.lipschitz_bounds(head, radius=1.0).in_measure)
        53657
        >>> round(mean_field.masked_bounds(head, radius=1.0).in_measure)
        1601
    """
    plain, parts = lipschitz_bounds(attention, radius, p), head_sum(attention)
    if parts is None or not all(isinstance(head, Masked) for head in parts.heads):
        raise TypeError(
            "attention: must be made of masked heads without discount; wrap each in Masked."
        )
    if plain.in_measure is None:
        return plain
    total = 0.0
    heads: Any = parts.heads
    for masked in heads:
        head = masked.head
        factor = lipschitz_bounds(masked, radius, p).in_measure
        if isinstance(head, Softmax):
            alpha = spectral_norm(head.key.T @ head.query) * float(radius) ** 2
            factor = spectral_norm(head.value) * float(np.exp(_least_log(alpha, float(p))))
        total += float(factor or 0.0)
    return LipschitzBounds(plain.in_space, total)


def _least_log(alpha: float, p: float) -> float:
    r"""Return the least logarithm of $(1 + c_q\alpha)e^{2\alpha/q}(p/(p-q))^{1/q}$, q below p."""
    if p == np.inf:
        return float(np.log1p(alpha))

    def log_factor(q: float) -> float:
        c = max(1.0, 2 ** (2 / q - 1))
        return float(np.log1p(c * alpha) + 2 * alpha / q - np.log1p(-q / p) / q)

    pieces = [(1.0, min(p, 2.0)), *([(2.0, p)] if p > 2 else [])]
    found = [minimize_scalar(log_factor, bounds=piece, method="bounded") for piece in pieces]
    return min(log_factor(1.0), *[float(one.fun) for one in found])


@quiet
def masked_limit(attention: Masked, start: Limit, time: float, *, tol: float = 1e-8) -> Limit:
    r"""Return the flow map of the limit of masked softmax on the line, for uniform positions.

    $x_t(s, u)$ is the place at depth t of the token at position s and rank u, u uniform on [0, 1]:
    a law of tokens that depends on the position is given by its quantiles. Both variables stand on
    Gauss nodes and the averages over [0, s] are integrals of the interpolating polynomial, so that
    the error falls faster than any power. Nodes are added until the last coefficients along each
    variable are below the tolerance.

    Args:
        attention: a masked softmax head of dimension 1.
        start: a smooth function of positions and ranks, arrays of one shape, with places.
        time: the depth t, positive.
        tol: of the map, relative to its largest value.

    Returns:
        A function of positions and ranks in [0, 1], arrays of one shape, with places at depth t.

    Raises:
        ValueError: a time or tolerance that is not positive, a start that the largest number of
            nodes does not resolve.
        TypeError: another attention.

    Source: ours (chapter on masked attention).

    Example:
        >>> import transpde as tp
        >>> from transpde.theory import mean_field
        >>> mean = tp.Masked(tp.Softmax([[0.0]], [[0.0]], [[1.0]]))
        >>> x = mean_field.masked_limit(mean, lambda s, u: s + 0 * u, 1.0)
        >>> round(float(x(1.0, 0.5)), 6)  # s + the integral of e^(t/2) s/2: s e^(1/2)
        1.648721
    """
    t, tol = positive_number("time", time), positive_number("tol", tol)
    if not isinstance(attention, Masked) or not isinstance(attention.head, Softmax):
        raise TypeError(f"attention: must be a masked softmax; got {type(attention).__name__}.")
    attention.check_plain("attention")
    head = attention.head
    if head.dimension != 1 or head.query.ndim > 2:
        raise ValueError(f"attention: must be one head on the line; got {head.query.shape}.")
    function("start", start)
    counts: Any = NODES
    while all(np.array(counts) <= MOST):
        try:
            table = _limit_table(head, start, t, tol / 10, counts)
            ends = np.abs(table[-TAIL:]).max(), np.abs(table[:, -TAIL:]).max()
            rough = [end > tol / 10 * np.abs(table).max() for end in ends]
        except _TooFewNodesError:
            rough = [True, True]
        if not any(rough):
            return lambda s, u: legendre.legval2d(
                2 * np.asarray(s) - 1, 2 * np.asarray(u) - 1, table
            )
        counts = tuple(c * 3 // 2 if more else c for c, more in zip(counts, rough, strict=True))
    raise ValueError(
        f"start: must be smooth enough for {MOST} nodes; make it smoother, time shorter or tol "
        "larger."
    )


class _TooFewNodesError(Exception):
    """The interpolated weights that a position sees have a sum that is not positive."""


def _limit_table(head: Softmax, start: Limit, t: float, tol: float, counts: Any) -> Array:
    """Return the Legendre coefficients of the flow map from so many nodes in s and u."""
    (z, _), (y, w) = (legendre.leggauss(c) for c in counts)
    (m, r), a, v = counts, float((head.key.T @ head.query)[0, 0]), float(head.value[0, 0])
    values = np.linalg.inv(legendre.legvander(z, m - 1))
    before = legendre.legvander(z, m) @ legendre.legint(values, lbnd=-1)
    mass = np.repeat(before, r, axis=1) * np.tile(w, m)  # of node (j, l), seen from position i

    def velocity(_: float, x: Array) -> Array:
        scores = a * np.multiply.outer(x, x)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True)).reshape(m, r, -1)
        weights *= mass[:, None]
        total = weights.sum(axis=-1)
        if (total <= 0).any():
            raise _TooFewNodesError
        return np.asarray(v * (weights @ x / total).ravel())

    s, u = np.meshgrid((1 + z) / 2, (1 + y) / 2, indexing="ij")
    found = finite_array("start(positions, ranks)", start(s, u), "...")
    if found.shape not in ((), s.shape):
        raise ValueError(f"start: must give arrays of shape {s.shape} here; got {found.shape}.")
    first = np.broadcast_to(found, s.shape).ravel()
    end = followed("masked_limit", velocity, (0.0, t), first, rtol=tol, atol=tol).y[:, -1]
    ranks = np.linalg.inv(legendre.legvander(y, r - 1))
    return np.asarray(values @ end.reshape(m, r) @ ranks.T)


__dir__ = listing(__all__)
