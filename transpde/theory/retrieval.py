r"""What the last token of a causal sequence remembers: correlations on the circle, in closed form.

Tokens $j = 1..n$ at positions $\tau_j = j/n$ start as independent uniform angles and move by
$\dot\theta_j = \sum_{k<j}w_{jk}\,w_\beta'(\theta_j - \theta_k)$, $w_\beta = e^{\beta\cos}$, with
weights $w_{jk}\propto e^{\lambda k/n}$ of sum one. To leading order in 1/n the correlation
$E\cos m(\theta_j(t) - \theta_k(0))$ is an entry of $e^{atW}$ with the gain $a = m^2I_m(\beta)$.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import expm
from scipy.optimize import brentq
from scipy.special import expit, exprel, hyp0f1, ive

from transpde.checks import (
    LEAST,
    Array,
    entries,
    finite_array,
    fitting_axes,
    flag,
    listing,
    non_negative_array,
    number,
    outlined,
    positive_integer,
    positive_number,
    same_size,
    square_matrix,
)
from transpde.fields import in_floats, quiet

__all__ = [
    "CriticalPoints",
    "codeword_weights",
    "correlation",
    "critical_points",
    "critical_time",
    "discount_weights",
    "gain",
    "path_sum",
    "profile",
    "rollout",
    "second_gain",
]

NODES, BEYOND = 2000, 40.0  # of the search for critical points: places, and how far out
NEGLIGIBLE = 1e-20  # a term that counts for nothing
LARGEST = 500.0  # inverse temperature: its exponential, squared over its size, is a float
STEEPEST = 600.0  # discount


@outlined
class CriticalPoints(NamedTuple):
    """Sources in (0, 1) at which a profile is locally least or largest, increasing."""

    minima: Array
    maxima: Array


def discount_of(value: Any) -> float:
    """Return a discount over the whole sequence, or raise."""
    return number(
        "discount", value, f"a number from 0 to {STEEPEST:g}", lambda x: 0 <= x <= STEEPEST
    )


def beta_of(value: Any) -> float:
    """Return an inverse temperature, or raise."""
    found = positive_number("beta", value)
    if found > LARGEST:
        raise ValueError(f"beta: must be at most {LARGEST:g}; got {found}.")
    return found


def _orders(value: Any) -> Array:
    integers = "integers from 1 to 1e6"
    return entries("order", value, "...", integers, lambda n: (n >= 1) & (n <= 1e6) & (n % 1 == 0))


def _sources(value: Any) -> Array:
    positive = f"positive, at least {LEAST:.3g}"
    return entries("source", value, "...", positive, lambda s: s >= LEAST)


@quiet
def gain(beta: float, order: Any, normalised: bool = False) -> Any:
    r"""Return $a_m = m^2I_m(\beta)$, by which a weight is multiplied in the m-th correlation.

    For softmax weights it is $m^2I_m(\beta)/I_0(\beta)$: about uniform tokens the numerator
    vanishes at order zero, and so the partition function stays what it is.

    Args:
        beta: the inverse temperature, positive.
        order: m, integers of at least 1.
        normalised: of softmax, not of unnormalised attention.

    Returns:
        A float or an array of the shape of `order`.

    Raises:
        ValueError: a temperature or an order out of range.

    Source: ours (chapter on lost in the middle); `duerinckx2026kinetic`.

    Example:
        >>> from transpde.theory import retrieval
        >>> retrieval.gain(1.0, [1, 2]).round(6)
        array([0.565159, 0.542991])
    """
    b, n = beta_of(beta), _orders(order)
    found = n**2 * ive(n, b) * (1 / ive(0, b) if flag("normalised", normalised) else np.exp(b))
    return found if n.ndim else float(found)


@in_floats
def second_gain(beta: float, order: int) -> float:
    r"""Return $c_m = -m\sum_l l(m+l)^2I_lI_{m+l}$, over all integers l.

    The correlation of tokens j and k < j starts as
    $a_mw_{jk}t + \tfrac12(a_m^2(W^2)_{jk} + c_mw_{jk}^2)t^2 + O(t^3)$, exactly at every n.

    Args:
        beta: the inverse temperature, positive.
        order: m, at least 1.

    Raises:
        ValueError: a temperature or an order out of range.
        OverflowError: a result that no float holds.

    Source: ours (chapter on lost in the middle).

    Example:
        >>> from transpde.theory import retrieval
        >>> round(retrieval.second_gain(1.0, 1), 6)
        -0.172237
    """
    b, n = beta_of(beta), positive_integer("order", order)
    m = np.arange(-(n + 60 + int(8 * b)), n + 61 + int(8 * b), dtype=float)
    terms = m * (n + m) ** 2 * ive(np.abs(m), b) * ive(np.abs(n + m), b)
    return float(-n * terms.sum() * np.exp(2 * b))


@quiet
def codeword_weights(words: int, order: Any) -> Any:
    r"""Return $\omega_m = e^{-\pi^2m^2/2M^2}$: how order m counts for M code words on the circle.

    Args:
        words: M.
        order: m, integers of at least 1.

    Raises:
        ValueError: numbers out of range.

    Source: `duerinckx2026kinetic`.

    Example:
        >>> from transpde.theory import retrieval
        >>> retrieval.codeword_weights(8, [1, 2]).round(4)
        array([0.9258, 0.7346])
    """
    M, n = positive_integer("words", words), _orders(order)
    found = np.exp(-((np.pi * n / M) ** 2) / 2)
    return found if n.ndim else float(found)


@in_floats
def path_sum(strength: Any, length: Any) -> Any:
    r"""Return $\psi_c(y) = \sum_{r\ge0}c^{r+1}y^r/(r!\,(r+1)!)$, a sum over attention paths.

    It is $\sqrt{c/y}\,I_1(2\sqrt{cy})$, for c < 0 the same with $-J_1$ of -c. If c = at, a path
    through r tokens between source and target counts $(at)^{r+1}/(r+1)!$, and the discount
    gives such paths together the weight $y^r/r!$.

    Args:
        strength: c, of any sign.
        length: y, at least 0; both broadcast.

    Raises:
        ValueError: entries that are not finite, a negative length, shapes that do not broadcast.
        OverflowError: a result that no float holds.

    Source: ours (chapter on lost in the middle).

    Example:
        >>> from transpde.theory import retrieval
        >>> round(retrieval.path_sum(1.0, 2.0), 6)
        2.394833
    """
    c, y = finite_array("strength", strength, "..."), non_negative_array("length", length)
    fitting_axes("strength", c.shape, "length", y.shape, "axes")
    found = c * hyp0f1(2, c * y)
    return found if found.ndim else float(found)


def _kernel(discount: float, target: float, source: Array) -> tuple[Array, Array]:
    r"""Return $k_\lambda(s, \tau)$ and Y, without overflow."""
    ahead = discount * (target - source)
    at_target = target * exprel(-discount * target)  # (1 - e^(-discount s)) / discount
    at_source = source * exprel(-discount * source)
    return np.exp(-ahead) / at_target, ahead + np.log(at_target / at_source)


@in_floats
def correlation(
    gain: Any, time: float, discount: float, source: Any, position: float = 1.0
) -> Any:
    r"""Return $g_a(t, s; \tau)$, the limit of n times the correlation of two tokens.

    $$g = k_\lambda(s, \tau)\,\psi_{at}(Y),\quad
    k_\lambda = \frac{\lambda e^{\lambda\tau}}{e^{\lambda s}-1},\quad
    Y = \log\frac{e^{\lambda s}-1}{e^{\lambda\tau}-1},$$
    with $k_0 = 1/s$ and $Y = \log(s/\tau)$ without a discount.

    Args:
        gain: a, of any sign; negative for a head that repels.
        time: t, the depth, positive.
        discount: $\lambda$, at least 0, over the whole sequence.
        source: $\tau$ in (0, s]; it broadcasts with the gain.
        position: s of the token that remembers, in (0, 1].

    Raises:
        ValueError: numbers out of range, a source behind the position, shapes that do not
            broadcast.
        OverflowError: a result that no float holds.

    Source: ours (chapter on lost in the middle); the limit `duerinckx2026kinetic`.

    Example:
        >>> from transpde.theory import retrieval
        >>> retrieval.correlation(retrieval.gain(1.0, 1), 1.0, 1.0, [0.05, 0.5, 0.95]).round(6)
        array([0.823202, 0.705886, 0.869907])
    """
    a, t = finite_array("gain", gain, "..."), positive_number("time", time)
    s, lam = _sources(source), discount_of(discount)
    place = number("position", position, "a number in (0, 1]", lambda x: 0 < x <= 1)
    if s.max() > place:
        raise ValueError(f"source: must be at most the position, {place}; got {s.max()}.")
    fitting_axes("gain", a.shape, "source", s.shape, "axes")
    k, y = _kernel(lam, place, s)
    found = k * a * t * hyp0f1(2, a * t * y)
    return found if found.ndim else float(found)


def _mixture(gains: Any, shares: Any) -> tuple[Array, Array]:
    a = np.atleast_1d(finite_array("gains", gains, "..."))
    if a.ndim > 1 or not a.any():
        raise ValueError(f"gains: must be numbers (o,), not all 0; got shape {a.shape}.")
    if shares is None:
        return a, np.ones(len(a))
    w = np.atleast_1d(finite_array("shares", shares, "..."))
    if w.ndim > 1 or not (w > 0).all():
        raise ValueError(f"shares: must be positive numbers (o,); got {shares!r}.")
    same_size("shares", len(w), "gains", len(a), "length")
    return a, w


@in_floats
def profile(gains: Any, time: float, discount: float, source: Any, shares: Any = None) -> Any:
    r"""Return the retrieval score $S_t(\tau) = \sum_m\omega_m\,g_{a_m}(t, 1; \tau)$.

    Args:
        gains: the $a_m$, shape (o,).
        time: t, positive.
        discount: $\lambda$, at least 0.
        source: $\tau$ in (0, 1], any shape.
        shares: the $\omega_m > 0$, shape (o,); 1 each when left out.

    Returns:
        A float or an array of the shape of `source`.

    Raises:
        ValueError: numbers out of range, lengths that do not match.
        OverflowError: a result that no float holds.

    Source: `duerinckx2026kinetic`; the closed form ours (chapter on lost in the middle).

    Example:
        >>> import numpy as np
        >>> from transpde.theory import retrieval
        >>> n = np.arange(1, 21)
        >>> gains, shares = retrieval.gain(1.0, n), retrieval.codeword_weights(8, n)
        >>> retrieval.profile(gains, 1.2, 1.0, [0.02, 0.32, 0.98], shares).round(4)
        array([2.376 , 1.5455, 1.946 ])
    """
    a, w = _mixture(gains, shares)
    s = _sources(source)
    found = w @ np.asarray(correlation(a[:, None], time, discount, s.ravel()[None]))
    return found.reshape(s.shape) if s.ndim else float(found[0])


@in_floats
def critical_time(gains: Any, discount: float, shares: Any = None) -> float:
    r"""Return $2(1-e^{-\lambda})\sum\omega_ma_m/\sum\omega_ma_m^2$, at which recency ends.

    The score rises towards the newest token exactly while the time is below it; 0 without a
    discount, and negative, so never, where the sum of the $\omega_ma_m$ is.

    Args:
        gains: the $a_m$, shape (o,).
        discount: $\lambda$, at least 0.
        shares: the $\omega_m > 0$, shape (o,); 1 each when left out.

    Raises:
        ValueError: numbers out of range, lengths that do not match.
        OverflowError: a result that no float holds.

    Source: ours (chapter on lost in the middle).

    Example:
        >>> from transpde.theory import retrieval
        >>> round(retrieval.critical_time([1.0], 3.0), 6)
        1.900426
    """
    a, w = _mixture(gains, shares)
    scale, w = np.abs(a).max(), w / w.max()
    ratio = (w @ (a / scale)) / (w @ (a / scale) ** 2)
    return float(-2 * np.expm1(-discount_of(discount)) * ratio / scale)


@quiet
def critical_points(
    gains: Any, time: float, discount: float, shares: Any = None
) -> CriticalPoints:
    r"""Return where the score $S_t$ is locally least or largest inside of (0, 1).

    They are the sign changes of $(p+e^{-y})\Psi'(y) - e^{-y}\Psi(y)$ in $y = Y(1, \tau)$, with
    $p = 1/(e^\lambda-1)$ and $\Psi = \sum\omega_m\psi_{a_mt}$, sought between 2000 places.

    Args:
        gains: the $a_m$, shape (o,), positive.
        time: t, positive.
        discount: $\lambda$, at least 0.
        shares: the $\omega_m > 0$, shape (o,); 1 each when left out.

    Returns:
        `CriticalPoints(minima, maxima)`.

    Raises:
        ValueError: numbers out of range, lengths that do not match.
        OverflowError: a score that no float holds.

    Source: ours (chapter on lost in the middle).

    Example:
        >>> from transpde.theory import retrieval
        >>> retrieval.critical_points([1.0], 2.0, 3.0).maxima.round(4)
        array([0.9378])
    """
    (a, w), t = _mixture(gains, shares), positive_number("time", time)
    lam = discount_of(discount)
    if (a < 0).any():
        raise ValueError(f"gains: must be positive; got {a.min()}.")
    if lam == 0:
        return CriticalPoints(np.empty(0), np.empty(0))
    b, w = a / a.max(), w / w.max()
    counts = w * b > NEGLIGIBLE * (w * b).max()
    b, w = b[counts][:, None], w[counts]
    c = b * a.max() * t
    if not c.max() >= LEAST:
        raise OverflowError(
            "critical_points: the minimum is nearer to the first token than a float can say; got "
            f"gains of at most {a.max()} and time={t}. Take more."
        )
    log_span = lam + np.log(-np.expm1(-lam))  # of e^lam - 1

    def slope(y: Any) -> Array:
        """The derivative in y, up to a positive factor."""
        first, second = w @ (b * hyp0f1(2, c * y)), w @ (b * c * hyp0f1(3, c * y) / 2)
        return np.asarray(second - expit(log_span - y) * first)

    # Far out the logistic function is below Psi' / Psi, which falls like a power of y.
    steep = float(w @ (b * c)[:, 0] / (2 * w @ b[:, 0]))
    far = max(log_span + np.log1p(1 / steep), 0.0) + BEYOND
    places = far * (np.arange(NODES + 1) / NODES) ** 2
    with np.errstate(all="ignore"):
        signs = slope(places)
    if not np.isfinite(signs).all():
        raise OverflowError(f"critical_points: the score overflows; got time={t}. Take less.")
    found: list[list[float]] = [[], []]
    for i in np.flatnonzero(np.sign(signs[:-1]) * np.sign(signs[1:]) < 0):
        y = brentq(lambda z: slope(z)[0], places[i], places[i + 1], xtol=1e-14)
        source = np.log1p(np.exp(log_span - y)) / lam
        # so near to an end that it rounds to it, it is the float next to the end
        found[int(signs[i] > 0)].append(float(np.clip(source, LEAST, np.nextafter(1.0, 0.0))))
    return CriticalPoints(*(np.sort(np.array(one)) for one in found))


@quiet
def discount_weights(n: int, discount: float = 0.0) -> Array:
    r"""Return W, (n, n): $w_{jk} = e^{\lambda k/n}/\sum_{l<j}e^{\lambda l/n}$ for k < j, else 0.

    Args:
        n: the number of tokens.
        discount: $\lambda$, at least 0.

    Raises:
        ValueError: numbers out of range.

    Source: `press2022train`; `duerinckx2026kinetic`.

    Example:
        >>> from transpde.theory import retrieval
        >>> retrieval.discount_weights(3)
        array([[0. , 0. , 0. ],
               [1. , 0. , 0. ],
               [0.5, 0.5, 0. ]])
    """
    n, lam = positive_integer("n", n), discount_of(discount)
    keys = np.exp(lam * (np.arange(1, n + 1) - n) / n)
    W = np.tril(np.broadcast_to(keys, (n, n)), -1)
    return np.asarray(W / np.append(1.0, np.cumsum(keys)[:-1])[:, None])


@in_floats
def rollout(gains: Any, time: float, weights: Any) -> Array:
    r"""Return $e^{t\sum_ha_hW_h}$: correlations of all pairs where third cumulants are dropped.

    Any weights will do: with a window, of several heads, without causal order.

    Args:
        gains: a of one head, or $a_h$, shape (h,).
        time: t, positive.
        weights: W of one head, shape (n, n), or of each, (h, n, n).

    Returns:
        An array (n, n) whose row j holds what token j remembers of each; its diagonal is one for
        a strictly causal W.

    Raises:
        ValueError: numbers that are not finite, shapes that do not match.
        OverflowError: a result that no float holds.

    Source: `abnar2020quantifying` for layers; ours (chapter on lost in the middle).

    Example:
        >>> from transpde.theory import retrieval
        >>> retrieval.rollout(1.0, 1.0, [[0.0, 0.0], [1.0, 0.0]])
        array([[1., 0.],
               [1., 1.]])
    """
    a = np.atleast_1d(finite_array("gains", gains, "..."))
    W, t = square_matrix("weights", weights, "... n n"), positive_number("time", time)
    W = W[None] if W.ndim == 2 else W
    if a.ndim > 1 or W.ndim > 3:
        raise ValueError(
            f"gains: must be one number a head, for weights (n, n) or (h, n, n); got shapes "
            f"{a.shape} and {W.shape}."
        )
    same_size("weights", len(W), "gains", len(a), "number of heads")
    return np.asarray(expm(t * np.tensordot(a, W, axes=1)))


__dir__ = listing(__all__)
