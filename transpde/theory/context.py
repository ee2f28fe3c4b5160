r"""One token in a context of n draws: how far it is from the same token in the whole law.

The context is n independent draws of a law, the token a test token: it has no weight and moves in
the field of the context. All limits are of n times a mean square.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import expm
from scipy.special import gammaln

from transpde.attention import L2, Attention, Sigmoid, Softmax
from transpde.checks import (
    Array,
    finite_array,
    finite_cases,
    finite_number,
    flag,
    generator,
    increasing_times,
    listing,
    non_negative_array,
    number,
    of_kind,
    positive_integer,
    positive_number,
    same_size,
    single_case,
)
from transpde.fields import quiet, silent
from transpde.flow import flow
from transpde.kernels.blocks import slices
from transpde.measures import Gaussian, Particles
from transpde.measures.axial import panels
from transpde.theory.following import followed
from transpde.theory.head_sums import head_sum, one_case
from transpde.theory.mean_field import twin_bound
from transpde.theory.real import tilted_mean_covariance

__all__ = [
    "context_bound",
    "context_errors",
    "effective_context",
    "fluctuation_bias",
    "fluctuation_covariance",
    "frozen_context_variance",
    "moving_context_constant",
    "sharp_context_constant",
    "sharp_context_order",
]

EDGE = np.sqrt(0.5)  # of the slope a sigma, where the constant of a moving context ends
SMALLEST, DEGREES = 1e-12, (24, 48, 96, 192, 384)  # a term that ends the sum; degrees tried
PAIRS, RTOL, ATOL = 2_000_000, 1e-4, 1e-6  # pairs of tokens in a stack; of the flows of draws
NODES, CLOSE, ENOUGH = 16, 1e-12, 1e-9  # of Gauss a panel; relative changes that end, that do
MOST, BLOCK = 3200, 1_000_000  # nodes at most, and pairs of them at a time
STEEPEST = 1e4  # an exponent of weights beyond which all overflows
LARGEST = 700.0  # a power whose exponential is a float


class _Setting(NamedTuple):
    """A softmax head, a Gaussian context and points, as arrays."""

    A: Array
    V: Array
    mean: Array
    covariance: Array


def _setting(attention: Any, context: Gaussian) -> _Setting:
    head = of_kind("attention", attention, Softmax, "one softmax head")
    of_kind("context", context, Gaussian)
    one_case("attention", head.query, head.key, head.value)
    single_case("a statement on a context", "one Gaussian", context.stack)
    finite_cases("context", context)
    same_size("context", context.mean.shape[-1], "attention", head.dimension, "dimension")
    return _Setting(head.key.T @ head.query, head.value, context.mean, context.covariance)


def _point(name: str, value: Any, setting: _Setting) -> Array:
    x = finite_array(name, value, "d")
    same_size(name, len(x), "attention", len(setting.mean), "dimension")
    return x


@silent
def fluctuation_covariance(
    attention: Softmax, context: Gaussian, point: ArrayLike, other: ArrayLike | None = None
) -> Array:
    r"""Return the limit of $n\operatorname{Cov}(\Gamma_{\mu^n}(x), \Gamma_{\mu^n}(x'))$.

    For n draws of $N(m, \Sigma)$ and $u = Ax$, $u' = Ax'$ it is
    $V e^{u^\top\Sigma u'}(\Sigma + \Sigma u'u^\top\Sigma)V^\top$.

    Args:
        attention: one softmax head.
        context: the Gaussian of which the context is drawn.
        point: x, shape (d,).
        other: x', shape (d,); x when left out.

    Returns:
        Shape (d, d); its trace at x' = x is the limit of n times the mean square of
        $\Gamma_{\mu^n}(x) - \Gamma_\mu(x)$. Entries that overflow are inf.

    Raises:
        ValueError: other shapes, leading axes.
        TypeError: another attention, a context that is no Gaussian.

    Source: ours (chapter on one token and its context).

    Example:
        >>> import transpde as tp
        >>> from transpde.theory import context
        >>> head, law = tp.Softmax([[1.0]], [[1.0]], [[2.0]]), tp.Gaussian([0.0], factor=[[1.0]])
        >>> context.fluctuation_covariance(head, law, [1.2]).round(4)
        array([[41.1941]])
    """
    setting = _setting(attention, context)
    x = _point("point", point, setting)
    y = x if other is None else _point("other", other, setting)
    u, other_u = setting.A @ x, setting.A @ y
    try:
        inner = tilted_mean_covariance(setting.covariance, u, other_u)
    except OverflowError:  # what V leaves of it may be within floats
        turned = setting.covariance + np.outer(
            setting.covariance @ other_u, setting.covariance @ u
        )
        return _times_exp(u @ setting.covariance @ other_u, setting.V @ turned @ setting.V.T)
    return setting.V @ inner @ setting.V.T


@quiet
def fluctuation_bias(attention: Softmax, context: Gaussian, point: ArrayLike) -> Array:
    r"""Return the limit of n times the mean of $\Gamma_{\mu^n}(x) - \Gamma_\mu(x)$.

    It is $-e^{u^\top\Sigma u}V\Sigma u$ with $u = Ax$: a finite context turns too little
    towards what the token looks for.

    Args:
        attention: one softmax head.
        context: the Gaussian of which the context is drawn.
        point: x, shape (d,).

    Returns:
        Shape (d,). Entries that overflow are inf.

    Raises:
        ValueError: other shapes, leading axes.
        TypeError: another attention, a context that is no Gaussian.

    Source: ours (chapter on one token and its context).

    Example:
        >>> import transpde as tp
        >>> from transpde.theory import context
        >>> head = tp.Softmax([[1.0]], [[1.0]], [[1.0]])
        >>> context.fluctuation_bias(head, tp.Gaussian([0.0], factor=[[1.0]]), [1.0]).round(4)
        array([-2.7183])
    """
    setting = _setting(attention, context)
    u = setting.A @ _point("point", point, setting)
    tilted = setting.covariance @ u
    return _times_exp(u @ tilted, -(setting.V @ tilted))


def _times_exp(power: float, factor: Array) -> Array:
    """Return e^power times a factor: 0 where the factor is, inf only where the product is."""
    with np.errstate(over="ignore", divide="ignore"):
        found: Array = np.sign(factor) * np.exp(power + np.log(np.abs(factor)))
    return found if power > LARGEST else np.exp(power) * factor


@quiet
def effective_context(attention: Softmax, context: Gaussian, point: ArrayLike, n: int) -> float:
    r"""Return $n e^{-u^\top\Sigma u}$, $u = Ax$: how many draws a token far out has in effect.

    A token at x in a context of n draws has the noise of a token at the centre in a context of
    this many, up to the factor $1 + |\Sigma u|^2/\operatorname{tr}\Sigma$ for V = I.

    Args:
        attention: one softmax head.
        context: the Gaussian of which the context is drawn.
        point: x, shape (d,).
        n: the number of draws.

    Raises:
        ValueError: other shapes, leading axes, n that is no positive integer.
        TypeError: another attention, a context that is no Gaussian.

    Source: ours (chapter on one token and its context).

    Example:
        >>> import transpde as tp
        >>> from transpde.theory import context
        >>> head, law = tp.Softmax([[1.0]], [[1.0]], [[1.0]]), tp.Gaussian([0.0], factor=[[1.0]])
        >>> round(context.effective_context(head, law, [2.0], 1000), 2)
        18.32
    """
    setting = _setting(attention, context)
    u = setting.A @ _point("point", point, setting)
    return float(positive_integer("n", n) * np.exp(-u @ setting.covariance @ u))


@silent
def frozen_context_variance(
    attention: Softmax, context: Gaussian, point: ArrayLike, time: float
) -> float:
    r"""Return the limit of $n\,E|x_n(T) - x(T)|^2$ where only the token moves.

    The token follows $\dot x = Vm + Bx$, $B = V\Sigma A$, and
    $$\int_0^T\!\int_0^T\operatorname{tr}\big(e^{B(T-t)}\,C(x(t), x(t'))\,e^{B^\top(T-t')}\big)
    \,dt\,dt'$$
    is the limit, C of `fluctuation_covariance`.

    Args:
        attention: one softmax head.
        context: the Gaussian of which the context is drawn; it does not move.
        point: x(0), shape (d,).
        time: T, positive.

    Returns:
        A float, with a relative error of some 1e-12, of 1e-9 at long depth; inf where it
        overflows.

    Raises:
        ValueError: other shapes, leading axes, a time that is not positive.
        TypeError: another attention, a context that is no Gaussian.
        RuntimeError: a depth so long that nodes are too few for a token that turns.
        OverflowError: weights that overflow where the integral may not.

    Source: ours (chapter on one token and its context).

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde.theory import context
        >>> head = tp.Softmax(0.4 * np.eye(2), np.eye(2), np.eye(2))
        >>> law = tp.Gaussian([0.0, 0.0], factor=np.eye(2))
        >>> round(context.frozen_context_variance(head, law, [1.0, 0.0], 1.0), 4)
        4.2835
    """
    setting = _setting(attention, context)
    x, T = _point("point", point, setting), positive_number("time", time)
    if not setting.V.any():
        return 0.0
    last, level = np.inf, 0
    while True:
        times, weights = _panels(setting, x, T, level)
        if len(times) > MOST:
            raise RuntimeError(
                f"frozen_context_variance: its integral is not resolved by {MOST} nodes; "
                f"take a shorter time or a smaller point; got time={T:g}."
            )
        found = _frozen(setting, x, T, times, weights)
        if np.isnan(found):
            raise OverflowError(
                "frozen_context_variance: e^(u.Su) overflows on the path of the token; "
                "take a smaller point or a shorter time."
            )
        if np.isinf(found):
            return found
        change, last, level = abs(found - last), found, level + 1
        if change <= CLOSE * found or (level > 3 and change <= ENOUGH * found):
            return found


def _panels(setting: _Setting, x: Array, T: float, level: int) -> tuple[Array, Array]:
    """Return nodes and weights of panels that double from both ends, up to a length.

    The integrand lives on the scale 1/||B||, or that over the exponent of its weights, near the
    ends if it decays, and all the way if it turns; so a level has shorter first panels and a
    shorter longest one than the last.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        U = _straight(setting, x, np.array([0.0, T])) @ setting.A.T
        power = np.nan_to_num((U @ setting.covariance * U).sum(axis=1), nan=STEEPEST).max()
    speed = np.linalg.norm(setting.V @ setting.covariance @ setting.A, 2)
    speed *= 1 + min(power, STEEPEST)
    length = min(1 / speed if speed > 1 / T else T, T) / 2**level
    longest = max(T / 4**level, length)
    if T / longest > MOST:
        return np.zeros(MOST + 1), np.zeros(MOST + 1)  # too many
    ends = [0.0]
    while ends[-1] < T / 2:
        ends.append(min(ends[-1] + length, T / 2))
        length = min(2 * length, longest)
    edges = np.append(ends, T - np.array(ends[-2::-1]))
    return panels(edges, NODES)


def _frozen(setting: _Setting, x: Array, T: float, times: Array, weights: Array) -> float:
    """Return the double integral by a rule, some rows of pairs of nodes at a time."""
    B = setting.V @ setting.covariance @ setting.A
    points = _straight(setting, x, times)
    carried = expm((T - times)[:, None, None] * B) @ setting.V
    size_of = np.linalg.norm(carried, axis=(1, 2))
    logs = np.log(size_of)  # into the exponent, where a large weight meets a small effect
    carried = carried / np.where(size_of > 0, size_of, 1.0)[:, None, None]
    U = points @ setting.A.T
    SU = U @ setting.covariance
    spread, total = carried @ setting.covariance, 0.0
    for rows in slices(0, len(times), max(1, BLOCK // len(times))):
        power = U[rows] @ SU.T
        if (size_of == 0).any() and power.max() > LARGEST:
            return np.nan  # an effect below floats meets a weight beyond them
        kernel = np.exp(power + logs[rows, None] + logs) * weights[rows, None] * weights
        once = np.tensordot(spread[rows], carried, axes=((1, 2), (1, 2)))
        # entry (t, s) of C is e^{u_t S u_s}(S + S u_s (S u_t)^T)
        turned = np.einsum("tij,sj->tsi", carried[rows], SU)
        back = np.einsum("sij,tj->tsi", carried, SU[rows])
        total += float((kernel * (once + (turned * back).sum(axis=-1))).sum())
    return total


@quiet
def moving_context_constant(score: float, time: float, label: float) -> float | None:
    r"""Return C, the variance times n that a moving context of N(0, 1) gives a token on the line.

    With V = 1 and A = a the population moves the token of label z to $\varphi z$,
    $\varphi^2 = \sigma = 1/(1-2at)$. The linear response to n draws has at T the variance C/n,
    $$C = \sum_{k\ge0}\frac{k+1}{k!}\,q_k(T, z)^2,\qquad
    \dot q_k = \rho q_k + \varphi\rho^kz^k + \mathcal Tq_k,\quad q_k(0) = 0,$$
    where $\rho = a\sigma$ and $\mathcal T\mathrm{He}_k = (1+k)\rho^kz^k$. For a context of
    variance s take the score as, the label $z/\sqrt s$ and s times C; for V = v > 0 the time vT.

    Args:
        score: a, not 0.
        time: T, positive, below 1/(2a) for a > 0.
        label: z, where the token starts.

    Returns:
        A float, summed until a term is below 1e-12; inf for a > 0 beyond the edge
        $a\sigma_T = 1/\sqrt2$, where the sum diverges. None where the book decides nothing: at
        the edge, for $a\le-1/\sqrt2$, and so close to the edge that 385 terms are not enough.

    Raises:
        ValueError: a score that is 0 or not finite, a time that is not positive or at which the
            population has exploded, a label that is not finite.

    Source: ours (chapter on one token and its context).

    Example:
        >>> from transpde.theory import context
        >>> round(context.moving_context_constant(0.2, 1.0, 1.0), 6)
        5.325262
        >>> context.moving_context_constant(0.4, 1.0, 0.5)
        inf
    """
    a = number("score", score, "a finite number other than 0", lambda x: np.isfinite(x) and x != 0)
    z = finite_number("label", label)
    T = positive_number("time", time)
    if 2 * a * T >= 1:
        raise ValueError(
            f"time: must be below {1 / (2 * a):.6g}, where the population explodes; got {T}."
        )
    steepest = max(a / (1 - 2 * a * T), -a)
    if steepest >= EDGE * (1 - 1e-12):
        return np.inf if a > 0 and steepest > EDGE * (1 + 1e-12) else None
    for degree in DEGREES:
        terms = _terms(a, T, z, degree)
        if terms[-4:].max() < SMALLEST:
            return float(terms.sum())
    return None


def _terms(a: float, T: float, z: float, degree: int) -> Array:
    r"""Return the terms of C up to a degree: coefficients in $z^m/\sqrt{m!}$, over $\sqrt{k!}$."""
    k = np.arange(degree + 1)
    logs = gammaln(k + 1) / 2
    half = (k[None, :] - k[:, None]) / 2  # of z^j into He_m: row m, column j
    there = (half >= 0) & (half % 1 == 0)
    size = logs[None, :] - logs[:, None] - np.where(there, half, 0) * np.log(2)
    hermite = np.where(there, np.exp(size - gammaln(np.where(there, half, 0) + 1)), 0.0)

    def slope(t: float, flat: Array) -> Array:
        q = flat.reshape(degree + 1, degree + 1)
        sigma = 1 / (1 - 2 * a * t)
        rho = a * sigma
        powers = rho**k
        response = ((1 + k) * powers)[:, None] * (hermite @ q)
        return (rho * q + np.diag(np.sqrt(sigma) * powers) + response).ravel()

    start = np.zeros((degree + 1) ** 2)
    q = followed("context", slope, (0, T), start, rtol=1e-11, atol=1e-14).y[:, -1]
    monomials = np.array([z**m for m in k]) * np.exp(-logs)
    return (k + 1) * (monomials @ q.reshape(degree + 1, degree + 1)) ** 2


@quiet
def context_errors(
    attention: Softmax,
    context: Gaussian,
    point: ArrayLike,
    times: ArrayLike,
    n: int,
    *,
    draws: int,
    seed: int | np.random.Generator,
    frozen: bool = False,
) -> Array:
    r"""Return $x_n(t) - x(t)$: where a test token is in n tokens, less where it is in their law.

    Each draw is n tokens of the Gaussian. The first draws of more are the same ones.

    Args:
        attention: one softmax head.
        context: the Gaussian of which contexts are drawn.
        point: x(0), shape (d,).
        times: increasing depths from 0, shape (T,).
        n: the number of tokens of a draw.
        draws: how many contexts.
        seed: of the draws.
        frozen: whether the context stays where it is and the token alone moves.

    Returns:
        Shape (T, draws, d). The flow of each draw is solved to 1e-4.

    Raises:
        ValueError: other shapes, leading axes, times at which the law has exploded, numbers that
            are no positive integers.
        TypeError: another attention, a context that is no Gaussian.

    Source: ours (chapter on one token and its context).

    Example:
        >>> import transpde as tp
        >>> from transpde.theory import context
        >>> head, law = tp.Softmax([[0.2]], [[1.0]], [[1.0]]), tp.Gaussian([0.0], factor=[[1.0]])
        >>> context.context_errors(head, law, [1.0], [0.0, 1.0], 9, draws=2, seed=0).shape
        (2, 2, 1)
    """
    setting = _setting(attention, context)
    x, t = _point("point", point, setting), increasing_times("times", times)
    n, m = positive_integer("n", n), positive_integer("draws", draws)
    rng, still = generator("seed", seed), flag("frozen", frozen)
    law = flow(context, attention, t) if not still else None
    exact = _straight(setting, x, t) if law is None else law.carry(x[None])[:, 0]
    if np.isnan(exact).any():
        raise ValueError(f"times: must be before the law explodes; got {t[-1]} after its end.")
    tokens = context.sample(m * n, seed=rng).points.reshape(m, n, len(x))
    move = _beside_still if still else _among_moving
    some = slices(0, m, max(1, PAIRS // (n if still else n**2)))
    parts = [move(attention, tokens[rows], x, t) for rows in some]
    return np.asarray(np.concatenate(parts, axis=1) - exact[:, None])


def _straight(setting: _Setting, x: Array, t: Array) -> Array:
    """Return the path (T, d) of a token in a Gaussian that stays."""
    d = len(x)
    moving = np.zeros((d + 1, d + 1))
    moving[:d, :d] = setting.V @ setting.covariance @ setting.A
    moving[:d, d] = setting.V @ setting.mean
    return np.asarray((expm(t[:, None, None] * moving) @ np.append(x, 1.0))[:, :d])


def _among_moving(head: Softmax, tokens: Array, x: Array, t: Array) -> Array:
    """Return the paths (T, m, d) of a token without weight in each of m sequences."""
    m, n, d = tokens.shape
    points = np.concatenate([tokens, np.broadcast_to(x, (m, 1, d))], axis=1)
    weights = np.append(np.full(n, 1 / n), 0.0)
    return flow(Particles(points, weights), head, t, rtol=RTOL, atol=ATOL).points[:, :, -1]


def _beside_still(head: Softmax, tokens: Array, x: Array, t: Array) -> Array:
    """Return the paths (T, m, d) of a token in each of m sequences that stay."""
    nothing = Softmax(head.query, head.key, np.zeros_like(head.value))
    field = head(Particles(tokens))

    def beside(points: Array) -> Array:
        """Return the velocity that each sequence gives to its own token."""
        return np.asarray(field(points[:, None])[:, 0])

    start = Particles(np.broadcast_to(x, (len(tokens), len(x))))
    return flow(start, nothing + beside, t, rtol=RTOL / 100, atol=ATOL / 100).points


@quiet
def context_bound(attention: Attention, radius: float, time: float, n: int) -> float | None:
    r"""Return a bound on the mean distance of a test token in n draws from that in their law.

    $\tfrac12C(T)(n^{-1/2} + 2/n)$ with C of `twin_bound`, for a law and a token in $B_R$ at
    depth 0, in every dimension.

    Args:
        attention: softmax, L2 or sigmoid heads, their sums, with an affine feed-forward part.
        radius: R, positive.
        time: T, positive.
        n: the number of draws.

    Returns:
        A float; inf where it overflows. None for another attention.

    Raises:
        ValueError: a radius or time that is not positive, n that is no positive integer,
            parameters with leading axes.
        TypeError: something that is not an attention.

    Source: ours (chapter on one token and its context).

    Example:
        >>> import transpde as tp
        >>> from transpde.theory import context
        >>> mean = tp.Softmax([[0.0]], [[0.0]], [[1.0]])
        >>> round(context.context_bound(mean, radius=1.0, time=1.0, n=100), 6)  # 0.12 e
        0.326194
    """
    R, T = positive_number("radius", radius), positive_number("time", time)
    n, parts = positive_integer("n", n), head_sum(attention)
    if parts is None or not all(isinstance(h, Softmax | L2 | Sigmoid) for h in parts.heads):
        return None
    constant = twin_bound(attention, R, T)
    return None if constant is None else float(constant / 2 * (n**-0.5 + 2 / n))


@quiet
def sharp_context_constant(inverse_temperature: Any, dimension: int) -> float | Array:
    r"""Return the limit of n times the mean square of the velocity at 0 of sharp L2 attention.

    Weights $e^{-\beta|x-y|^2}$, V = I, n draws of $N(0, I_d)$, whose law leaves the token at 0
    at rest: $d(1+2\beta)^d(1+4\beta)^{-d/2-1}$, of order $\tfrac d4\beta^{d/2-1}$.

    Args:
        inverse_temperature: $\beta\ge0$, of any shape.
        dimension: d.

    Returns:
        A float, or an array of the shape of the first argument.

    Raises:
        ValueError: a negative inverse temperature, a dimension that is no positive integer.

    Source: ours (chapter on one token and its context).

    Example:
        >>> from transpde.theory import context
        >>> context.sharp_context_constant([0.0, 0.5], 2)
        array([2.        , 0.88888889])
    """
    beta = non_negative_array("inverse_temperature", inverse_temperature)
    d = positive_integer("dimension", dimension)
    found = d * np.exp(d * np.log1p(2 * beta) - (d / 2 + 1) * np.log1p(4 * beta))
    return found if found.ndim else float(found)


@quiet
def sharp_context_order(sharpness: float, dimension: int) -> float:
    r"""Return the order in n of the root mean square at $\beta = n^{2\gamma/d}$.

    $-\tfrac12 + \gamma(\tfrac12 - \tfrac1d)$: from $-\tfrac12$ at $\gamma = 0$ to $-1/d$ at 1.

    Args:
        sharpness: $\gamma$, from 0 to 1.
        dimension: d.

    Raises:
        ValueError: a sharpness that is not from 0 to 1, a dimension that is no positive integer.

    Source: ours (chapter on one token and its context).

    Example:
        >>> from transpde.theory import context
        >>> round(context.sharp_context_order(0.5, 6), 6)
        -0.333333
    """
    gamma = number("sharpness", sharpness, "a number from 0 to 1", lambda x: 0 <= x <= 1)
    return float(gamma * (0.5 - 1 / positive_integer("dimension", dimension)) - 0.5)


__dir__ = listing(__all__)
