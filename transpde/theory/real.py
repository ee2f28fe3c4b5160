r"""Heads and layers of real models: affine heads, finitely many tokens, collapse, layer norm.

A head with biases is given by what it makes of tokens: queries $q_i = (W_qx_i + b_q)/\sqrt k$,
keys $\kappa_j = W_kx_j$ and values $v_j = W_vx_j + b_v$, so that its output for a query is
$o(q) = \sum_j P_j v_j$ with $P_j\propto e^{\langle q, \kappa_j\rangle}$. With means $\bar\kappa$,
$\bar v$ and $C = \operatorname{Cov}(v, \kappa)$ over the tokens, the Gaussian law reads
$o(q) = \bar v + Cq$: it is $V(m + \Sigma Ax)$.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

from transpde.attention import Attention, MultiHead, Softmax
from transpde.checks import (
    Array,
    covariance_matrix,
    finite_array,
    finite_number,
    flag,
    index_below,
    listing,
    non_negative_array,
    number,
    of_kind,
    positive_integer,
    positive_number,
    same_size,
)
from transpde.fields import held, in_floats, quiet, silent

__all__ = [
    "GainAxis",
    "affine_law",
    "affine_share",
    "collapse_bound",
    "consensus_jacobian",
    "explained_share",
    "freezing_spreads",
    "gain_axis",
    "gaussian_outputs",
    "impossible_share",
    "sink_covariance",
    "slope_share",
    "stein_slope",
    "third_cumulant",
    "tilted_mean_covariance",
]


def _head(queries: Any, keys: Any, values: Any) -> tuple[Array, Array, Array]:
    q, kappa = finite_array("queries", queries, "m k"), finite_array("keys", keys, "n k")
    v = finite_array("values", values, "n l")
    same_size("keys", kappa.shape[1], "queries", q.shape[1], "number of columns")
    same_size("values", len(v), "keys", len(kappa), "number of rows")
    return q, kappa, v


@in_floats
def affine_share(queries: ArrayLike, outputs: ArrayLike, leave_one_out: bool = True) -> float:
    r"""Return which share of a head's outputs the best affine map of its queries explains.

    Least squares on $(1, q)$ with residuals $e_i$ and leverages $h_{ii}$:
    $R^2 = 1 - \sum_i|e_i/(1-h_{ii})|^2/\sum_i|o_i-\bar o|^2$, where $e_i/(1-h_{ii})$ is the
    residual at i of the fit without i.

    Args:
        queries: q, shape (n, k).
        outputs: o, shape (n, l).
        leave_one_out: predict each output by a fit to the others; without, the fit is judged on
            the outputs that it was made of, and more coefficients always look better.

    Returns:
        At most 1; negative where the map is worse than the mean.

    Raises:
        ValueError: other shapes, a query that the others do not determine (as with fewer queries
            than coefficients), outputs that are all equal but for rounding.
        TypeError: a flag that is no truth value.
        OverflowError: a number that no float holds.

    Source: ours (chapter on seventy-two heads).

    Example:
        >>> from transpde.theory import real
        >>> round(real.affine_share([[0.0], [1.0], [2.0], [3.0]], [[0.0], [2.0], [4.0], [6.0]]), 9)
        1.0
    """
    q, o = finite_array("queries", queries, "n k"), finite_array("outputs", outputs, "n l")
    same_size("outputs", len(o), "queries", len(q), "number of rows")
    centred = q - q.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    left = left[:, sizes > len(q) * np.finfo(float).eps * sizes[0]]
    deviations = o - o.mean(axis=0)
    residuals = deviations - left @ (left.T @ deviations)
    if flag("leave_one_out", leave_one_out):
        rest = 1.0 - 1.0 / len(q) - (left**2).sum(axis=1)
        if rest.min() < 1e-9:
            raise ValueError(
                f"queries: each must be determined by the others; got {len(q)} queries in "
                f"dimension {q.shape[1]}, of which number {rest.argmin()} is not. Give more."
            )
        residuals = residuals / rest[:, None]
    return explained_share(o, o - residuals)


@in_floats
def explained_share(outputs: ArrayLike, predicted: ArrayLike) -> float:
    r"""Return $1 - \sum_i|o_i-p_i|^2/\sum_i|o_i-\bar o|^2$: which share predictions explain.

    Args:
        outputs: o, shape (n, l).
        predicted: p, shape (n, l).

    Raises:
        ValueError: other shapes, outputs that are all equal but for rounding.

    Source: ours (chapter on seventy-two heads).

    Example:
        >>> from transpde.theory import real
        >>> real.explained_share([[0.0], [2.0]], [[0.0], [1.0]])
        0.5
    """
    o, p = finite_array("outputs", outputs, "n l"), finite_array("predicted", predicted, "n l")
    for axis, name in enumerate(("number of rows", "number of columns")):
        same_size("predicted", p.shape[axis], "outputs", o.shape[axis], name)
    size = max(np.abs(o).max(), np.abs(p).max()) or 1.0  # the share is that of smaller numbers
    o, p = o / size, p / size
    total = ((o - o.mean(axis=0)) ** 2).sum()
    if not total > (100 * np.finfo(float).eps) ** 2 * (o**2).sum():
        raise ValueError("outputs: must not be all equal; got a variance of 0 but for rounding.")
    return float(1.0 - ((o - p) ** 2).sum() / total)


@in_floats
def gaussian_outputs(
    queries: ArrayLike, keys: ArrayLike, values: ArrayLike, exact: int = 0
) -> Array:
    r"""Return what a head gives if its tokens were normal: $\bar v + Cq$, with sinks exact.

    With `exact` tokens of largest mean weight kept as they are, the others are a Gaussian of log
    weight $\log(n - r) + \langle q, \bar\kappa'\rangle + \tfrac12 q^\top\Sigma'q$ and value
    $\bar v' + C'q$ beside them.

    Args:
        queries: q, shape (m, k).
        keys: $\kappa$, shape (n, k).
        values: v, shape (n, l).
        exact: r, how many tokens are kept exactly.

    Returns:
        Shape (m, l).

    Raises:
        ValueError: other shapes, r that is not from 0 to n - 1.
        OverflowError: a number that no float holds.

    Source: ours (chapter on seventy-two heads).

    Example:
        >>> from transpde.theory import real
        >>> real.gaussian_outputs([[3.0]], [[-1.0], [1.0]], [[0.0], [2.0]])
        array([[4.]])
    """
    q, kappa, v = _head(queries, keys, values)
    n = len(kappa)
    r = index_below("exact", exact, n)
    mean_weights = softmax(q @ kappa.T, axis=1).mean(axis=0)
    heavy = np.argsort(-mean_weights, kind="stable")[:r]
    rest, rest_v = np.delete(kappa, heavy, axis=0), np.delete(v, heavy, axis=0)
    mean, mean_v = rest.mean(axis=0), rest_v.mean(axis=0)
    spread, spread_v = rest - mean, rest_v - mean_v
    quadratic = (q @ spread.T) @ spread / len(rest)
    logs = np.log(len(rest)) + q @ mean + 0.5 * (q * quadratic).sum(axis=1)
    shares = softmax(np.column_stack([q @ kappa[heavy].T, logs]), axis=1)
    linear = mean_v + (q @ spread.T) @ spread_v / len(rest)
    return shares[:, :r] @ v[heavy] + shares[:, r:] * linear


@in_floats
def third_cumulant(
    queries: ArrayLike, keys: ArrayLike, values: ArrayLike, inverse_temperature: float = 0.0
) -> Array:
    r"""Return what bends a head: $\kappa_3(v, s, s)$ of values and scores.

    It is the third cumulant of the tokens tilted by $\beta\langle q, \kappa\rangle$, and the
    output at inverse temperature $\beta$ is exactly
    $o_\beta(q) = \bar v + \beta Cq + \int_0^\beta (\beta-s)\,\kappa_3^s\,ds$.

    Args:
        queries: q, shape (m, k).
        keys: $\kappa$, shape (n, k).
        values: v, shape (n, l).
        inverse_temperature: $\beta$.

    Returns:
        Shape (m, l).

    Raises:
        ValueError: other shapes, t that is not finite.
        OverflowError: a number that no float holds.

    Source: ours (chapter on seventy-two heads).

    Example:
        >>> from transpde.theory import real
        >>> real.third_cumulant([[2.0]], [[-1.0], [0.0], [1.0]], [[3.0], [0.0], [3.0]]).round(9)
        array([[2.66666667]])
    """
    q, kappa, v = _head(queries, keys, values)
    beta = finite_number("inverse_temperature", inverse_temperature)
    scores = q @ kappa.T
    P = softmax(beta * scores, axis=1)
    squares = P * (scores - (P * scores).sum(axis=1, keepdims=True)) ** 2
    return squares @ v - squares.sum(axis=1, keepdims=True) * (P @ v)


@in_floats
def stein_slope(queries: ArrayLike, keys: ArrayLike, values: ArrayLike) -> Array:
    r"""Return the mean slope of a head over queries: $E[\operatorname{Cov}_P(v, \kappa)]$.

    For normal queries it is the slope of the least squares fit of the outputs to the queries,
    whatever the tokens.

    Args:
        queries: q, shape (m, k).
        keys: $\kappa$, shape (n, k).
        values: v, shape (n, l).

    Returns:
        Shape (l, k).

    Raises:
        ValueError: other shapes.
        OverflowError: a number that no float holds.

    Source: ours (chapter on seventy-two heads).

    Example:
        >>> from transpde.theory import real
        >>> real.stein_slope([[0.0]], [[-1.0], [1.0]], [[0.0], [2.0]])
        array([[1.]])
    """
    q, kappa, v = _head(queries, keys, values)
    P = softmax(q @ kappa.T, axis=1)
    both = (v.T * P.mean(axis=0)) @ kappa
    return both - (P @ v).T @ (P @ kappa) / len(q)


@in_floats
def sink_covariance(
    share: float, sink: ArrayLike, mean: ArrayLike, covariance: ArrayLike
) -> Array:
    r"""Return the covariance of tokens of which one has a share of the weight.

    $(1-\pi)\Sigma' + \pi(1-\pi)(y_0-m')(y_0-m')^\top$: a sink $y_0$ takes slope away from the
    others, and adds one direction.

    Args:
        share: $\pi$, from 0 to 1.
        sink: $y_0$, shape (d,).
        mean: $m'$ of the others, shape (d,).
        covariance: $\Sigma'$ of the others, shape (d, d).

    Raises:
        ValueError: a share that is not from 0 to 1, other shapes, no covariance.
        OverflowError: a number that no float holds.

    Source: ours (chapter on seventy-two heads).

    Example:
        >>> from transpde.theory import real
        >>> real.sink_covariance(0.5, [2.0], [0.0], [[1.0]])
        array([[1.5]])
    """
    pi = number("share", share, "a number from 0 to 1", lambda x: 0 <= x <= 1)
    y, m = finite_array("sink", sink, "d"), finite_array("mean", mean, "d")
    S = covariance_matrix("covariance", covariance, "d d")
    same_size("mean", len(m), "sink", len(y), "length")
    same_size("covariance", len(S), "sink", len(y), "number of rows")
    return (1 - pi) * S + pi * (1 - pi) * np.outer(y - m, y - m)


@in_floats
def tilted_mean_covariance(
    covariance: ArrayLike, tilt: ArrayLike, other: ArrayLike | None = None
) -> Array:
    r"""Return the limit of $n\operatorname{Cov}(m_n(a), m_n(b))$ for n normal tokens.

    $m_n(a)$ is the mean of draws of $N(m, \Sigma)$ with weights $e^{\langle a, y\rangle}$. The
    limit is $e^{a^\top\Sigma b}(\Sigma + \Sigma ba^\top\Sigma)$.

    Args:
        covariance: $\Sigma$, shape (d, d).
        tilt: a, shape (d,).
        other: b, shape (d,); a when left out.

    Raises:
        ValueError: other shapes, no covariance.
        OverflowError: a number that no float holds.

    Source: ours (chapter on seventy-two heads).

    Example:
        >>> from transpde.theory import real
        >>> real.tilted_mean_covariance([[1.0]], [1.2]).round(4)
        array([[10.2985]])
    """
    S = covariance_matrix("covariance", covariance, "d d")
    a = finite_array("tilt", tilt, "d")
    b = a if other is None else finite_array("other", other, "d")
    same_size("tilt", len(a), "covariance", len(S), "length")
    same_size("other", len(b), "covariance", len(S), "length")
    return np.exp(a @ S @ b) * (S + np.outer(S @ b, S @ a))


@in_floats
def slope_share(queries: ArrayLike, keys: ArrayLike, values: ArrayLike) -> float:
    r"""Return $\rho = E|Cq|^2/(\sigma^2\operatorname{tr}\operatorname{Cov}(v))$ of a head.

    How much of the variance of values the queries reach, at spread one.

    Args:
        queries: q, shape (m, k).
        keys: $\kappa$, shape (n, k).
        values: v, shape (n, l).

    Raises:
        ValueError: other shapes, scores or values that do not vary.
        OverflowError: a number that no float holds.

    Source: ours (chapter on seventy-two heads).

    Example:
        >>> from transpde.theory import real
        >>> real.slope_share([[3.0]], [[-1.0], [1.0]], [[0.0], [2.0]])
        1.0
    """
    q, kappa, v = _head(queries, keys, values)
    keys_, values_ = kappa - kappa.mean(axis=0), v - v.mean(axis=0)
    scores = q @ keys_.T
    whole = (scores**2).mean() * (values_**2).sum() / len(v)
    if not whole > 0:
        raise ValueError(
            "values: they and the scores must vary over the tokens; got none that do."
        )
    return float(((scores @ values_ / len(v)) ** 2).sum(axis=1).mean() / whole)


@silent
def affine_law(spread: float, share: float, n: int) -> float:
    r"""Return the $R^2$ of an affine fit to a head of n normal tokens: a heuristic closed law.

    $1/\big(1 + [(1+\rho\sigma^2)e^{\sigma^2} - 1 - (1+\rho)\sigma^2]/(n\rho\sigma^2)\big)$. It
    takes all queries at one spread, and the noise of degree two and more for orthogonal to the
    fit; beyond $\sigma = \tfrac12\sqrt{2\log n}$ it is no use, see `freezing_spreads`.

    Args:
        spread: $\sigma$ of the scores, positive.
        share: $\rho$, see `slope_share`, positive.
        n: the number of tokens.

    Raises:
        ValueError: arguments that are not positive.

    Source: ours (chapter on seventy-two heads).

    Example:
        >>> from transpde.theory import real
        >>> round(real.affine_law(1.0, 0.2, 512), 4)
        0.9898
    """
    sigma, rho = positive_number("spread", spread), positive_number("share", share)
    s, n = sigma**2, positive_integer("n", n)
    noise = (1 + rho * s) * np.exp(s) - 1 - (1 + rho) * s
    return float(1.0 / (1.0 + noise / (n * rho * s)))


@quiet
def freezing_spreads(n: int) -> tuple[float, float]:
    r"""Return the spreads $\tfrac12\sqrt{2\log n}$ and $\sqrt{2\log n}$.

    Below the first the noise of n normal scores has the variance of `tilted_mean_covariance`;
    beyond the second the Gaussian law puts the tilted mean outside of the hull of the tokens.

    Args:
        n: the number of tokens.

    Raises:
        ValueError: n that is no integer of at least 1.

    Source: ours (chapter on seventy-two heads); `bovier2002fluctuations`.

    Example:
        >>> from transpde.theory import real
        >>> [round(spread, 2) for spread in real.freezing_spreads(512)]
        [1.77, 3.53]
    """
    last = float(np.sqrt(2 * np.log(positive_integer("n", n))))
    return last / 2, last


@in_floats
def impossible_share(queries: ArrayLike, keys: ArrayLike) -> float:
    r"""Return the share of queries for which the Gaussian law leaves the hull of the tokens.

    For these $\sigma_i^2 > \max_j\langle q_i, \kappa_j - \bar\kappa\rangle$: the law wants a mean
    score that no token has.

    Args:
        queries: q, shape (m, k).
        keys: $\kappa$, shape (n, k).

    Raises:
        ValueError: other shapes.
        OverflowError: a number that no float holds.

    Source: ours (chapter on seventy-two heads).

    Example:
        >>> from transpde.theory import real
        >>> real.impossible_share([[0.5], [2.0]], [[-1.0], [1.0]])
        0.5
    """
    q, kappa, _ = _head(queries, keys, keys)
    scores = held(q @ (kappa - kappa.mean(axis=0)).T, "queries: a score")
    return float(((scores**2).mean(axis=1) > scores.max(axis=1)).mean())


@in_floats
def collapse_bound(attention: Attention, diameter: Any, lifted: bool = False) -> float | Array:
    r"""Return the largest diameter of a head's outputs: $\|V\|\tanh(\|A\|\delta^2/4)\,\delta$.

    So without skip connections collapse is cubic, $\le\tfrac14\|V\|\|A\|\delta^3$. Heads add.

    Args:
        attention: a softmax head, or several.
        diameter: $\delta$ of the tokens, of any shape, non-negative.
        lifted: the tokens are lifted: their last coordinate is 1, so biases do not count.

    Returns:
        A number or an array of the shape of `diameter`.

    Raises:
        TypeError: another attention (behind a mask, tokens see different measures).
        ValueError: a diameter that is negative.
        OverflowError: a number that no float holds.

    Source: ours (chapter on collapse); the rate is that of `dong2021attention`.

    Example:
        >>> import transpde as tp
        >>> from transpde.theory import real
        >>> round(real.collapse_bound(tp.Softmax([[1.0]], [[1.0]], [[1.0]]), 0.1), 9)
        0.000249999
    """
    of_kind("attention", attention, (Softmax, MultiHead))
    delta, end = non_negative_array("diameter", diameter), -1 if flag("lifted", lifted) else None
    heads: Any = attention.heads if isinstance(attention, MultiHead) else [attention]
    bound = np.zeros(delta.shape)
    for head in heads:
        of_kind("attention", head, Softmax, "a softmax head, or several")
        Q, K, V = (M[..., :end] for M in (head.query, head.key, head.value))
        A, V = np.linalg.norm(K.mT @ Q, 2), np.linalg.norm(V, 2)
        bound += V * np.tanh(A * delta**2 / 4) * delta
    return bound if bound.ndim else float(bound)


@in_floats
def consensus_jacobian(
    gain: ArrayLike, value: ArrayLike, token: ArrayLike, constant: ArrayLike | None = None
) -> Array:
    r"""Return how a layer moves differences of tokens near consensus: $J$.

    For $x\mapsto\mathrm{LN}(x + \sum_h\Gamma_h + b)$ at tokens near c:
    $\delta_i' - \delta_j' = J(\delta_i - \delta_j) + O(\delta^2)$ with
    $J = \frac{\sqrt d}{|z|}D(\Pi - \hat z\hat z^\top)$, $z = \Pi(c + \sum_hV_hc + b)$. Queries and
    keys do not occur: attention is invisible.

    Args:
        gain: the gains of the layer norm, shape (d,), D their diagonal matrix.
        value: $\sum_hV_h$, shape (d, d).
        token: c, shape (d,).
        constant: b, shape (d,); 0 when left out.

    Raises:
        ValueError: other shapes, z = 0.
        OverflowError: a number that no float holds.

    Source: ours (chapter on one number in 384).

    Example:
        >>> import numpy as np
        >>> from transpde.theory import real
        >>> J = real.consensus_jacobian([1.0, 1.0, 1.0], np.zeros((3, 3)), [1.0, 0.0, -1.0])
        >>> np.linalg.eigvalsh(J).round(4)
        array([0.    , 0.    , 1.2247])
    """
    g, c = finite_array("gain", gain, "d"), finite_array("token", token, "d")
    V = finite_array("value", value, "d d")
    b = np.zeros(len(g)) if constant is None else finite_array("constant", constant, "d")
    for name, size in (("token", len(c)), ("value", len(V)), ("constant", len(b))):
        same_size(name, size, "gain", len(g), "length")
    same_size("value", V.shape[1], "gain", len(g), "number of columns")
    z = c + V @ c + b
    held(z @ z, "token: what it becomes")
    z = z - z.mean()
    length = np.linalg.norm(z)
    if not length > 0:
        raise ValueError("token: must not be sent to a multiple of (1, ..., 1); it is.")
    centring = np.eye(len(g)) - 1.0 / len(g)
    return np.sqrt(len(g)) / length * g[:, None] * (centring - np.outer(z, z) / length**2)


class GainAxis(NamedTuple):
    r"""Where repeated layer norm leads.

    Attributes:
        axis: the top eigenvector of $\Pi D\Pi$ on $1^\perp$, shape (d,), its largest entry > 0.
        pole: $\sqrt d\,D$ times the axis; it and its opposite are the limits, shape (d,).
        rate: $\lambda_2/\lambda_1$, by which the rest shrinks at each pass.
    """

    axis: Array
    pole: Array
    rate: float


@quiet
def gain_axis(gain: ArrayLike) -> GainAxis:
    r"""Return where layer norm without bias leads when it is repeated.

    $\mathrm{LN}^k(x)\propto(D\Pi)^kx$: power iteration of $\Pi D\Pi$. If its top eigenvalue is
    simple, every token with a part on the axis tends to one of two antipodal poles.

    Args:
        gain: positive gains, shape (d,), d at least 2.

    Raises:
        ValueError: gains that are not positive, fewer than two.

    Source: ours (chapter on one number in 384).

    Example:
        >>> from transpde.theory import real
        >>> found = real.gain_axis([3.0, 1.0, 1.0])
        >>> (found.pole * 2**0.5).round(9), round(found.rate * 7, 9)
        (array([ 6., -1., -1.]), 3.0)
    """
    g = finite_array("gain", gain, "d")
    if len(g) < 2 or not g.min() > 0:
        raise ValueError(f"gain: must be at least two positive numbers; got {g}.")
    centring = np.eye(len(g)) - 1.0 / len(g)
    # With -1 on (1, ..., 1) that direction comes last.
    values, vectors = np.linalg.eigh(centring @ (g[:, None] * centring) - 1.0 / len(g))
    axis = vectors[:, -1]
    axis = axis * np.sign(axis[np.abs(axis).argmax()])
    rate = values[-2] / values[-1] if len(g) > 2 else 0.0
    return GainAxis(axis, np.sqrt(len(g)) * g * axis, float(rate))


__dir__ = listing(__all__)
