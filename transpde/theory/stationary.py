r"""Covariances at rest: which ranks they may have, and rays of them in the plane.

In the plane $\Sigma = s\,uu^\top$ with $u^\top Au = 0$ is stationary for every value matrix. With
a unit vector n normal to u, write $\Sigma = x\,uu^\top + y(un^\top + nu^\top) + z\,nn^\top$. Near
the ray y and z obey a triangular linear system, whose rates say whether the ray attracts. Under
softmax the basins of two such rays may be divided by the covariances that tend to zero along
$\Sigma_t = S/(1 + \kappa t)$, with S at rest up to its size. An invertible S with $\kappa \ne 0$
needs $\det(VA) > 0$: $VSA$ is then similar to $-\kappa I/2$ plus a skew matrix.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import root

from transpde.attention import L2, Sinkhorn, Softmax
from transpde.checks import (
    Array,
    finite_array,
    generator,
    listing,
    of_kind,
    positive_integer,
    positive_number,
    same_size,
    symmetric_matrix,
)
from transpde.disc import symmetric_coordinates, unit_trace_matrices
from transpde.fields import in_floats, quiet
from transpde.flow import flow
from transpde.measures import Gaussian
from transpde.theory.head_sums import one_case

__all__ = ["dividing_curve", "least_departure", "observed_rates", "ray_rates", "self_similar"]

CLOSE = 1e-6  # how far from the ray the starts of `observed_rates` are


@in_floats
def ray_rates(head: Softmax | L2 | Sinkhorn, direction: ArrayLike, size: float = 1.0) -> Array:
    r"""Return the rates at which y and z grow near a rank-one covariance at rest.

    With $\beta = u^\top An$, $\gamma = n^\top Au$ and $\nu = n^\top Vu$ they are
    $$s'(\beta + \gamma)\nu, \qquad 2s'\beta\nu,$$
    $s' = s$ for softmax, $2s/(1 + 2s|Ku|^2)$ for L2, $s/\varepsilon$ for Sinkhorn. The ray
    attracts if both are negative. If the second is positive it attracts no start of rank two, if
    the first is, none of rank one that is not on it. A rate of zero decides nothing.

    Args:
        head: a softmax, L2 or Sinkhorn head in the plane, or a stack.
        direction: u, shape (..., 2), of any positive length, with $u^\top Au = 0$ within 1e-8.
        size: the trace s of the covariance.

    Returns:
        Shape (..., 2).

    Raises:
        TypeError: another attention.
        ValueError: another dimension, a direction that is not isotropic, a size that is not
            positive.
        OverflowError: a number that no float holds.

    Source: ours (chapter on two lines and their basins).

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde.theory.stationary import ray_rates
        >>> A, V = np.diag([1.0, -1.0]), np.diag([-1.0, 1.0])
        >>> ray_rates(tp.Softmax(A, np.eye(2), V), [1.0, 1.0])
        array([-2., -2.])
    """
    u = _isotropic(head, direction)
    s, n = positive_number("size", size), _normal(u)
    A = head.key.mT @ head.query
    beta, gamma, nu = _form(u, A, n), _form(n, A, u), _form(n, head.value, u)
    match head:
        case L2():
            s = 2 * s / (1 + 2 * s * (np.einsum("...ki,...i->...k", head.key, u) ** 2).sum(-1))
        case Sinkhorn():
            s = s / head.epsilon
    return np.stack([s * (beta + gamma) * nu, 2 * s * beta * nu], axis=-1)


@in_floats
def observed_rates(
    head: Softmax | L2 | Sinkhorn, direction: ArrayLike, *, span: float = 0.1
) -> Array:
    r"""Return what `ray_rates` predicts, measured on two flows that start near $uu^\top$.

    The growth of y is that of a start of rank one, the growth of z that of one of rank two, both
    within about 1e-6 of the ray. The span must be short enough that they stay near it.

    Args:
        head: a softmax, L2 or Sinkhorn head in the plane, or a stack.
        direction: u, shape (..., 2), of any positive length, with $u^\top Au = 0$ within 1e-8.
        span: the depth of the flows.

    Returns:
        Shape (..., 2).

    Raises:
        TypeError: another attention.
        ValueError: as in `ray_rates`; a span that is not positive.
        OverflowError: a number that no float holds.

    Source: ours (chapter on two lines and their basins).

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde.theory.stationary import observed_rates
        >>> A, V = np.diag([1.0, -1.0]), np.diag([-1.0, 1.0])
        >>> observed_rates(tp.Softmax(A, np.eye(2), V), [1.0, 1.0]).round(3)
        array([-2., -2.])
    """
    u, t = _isotropic(head, direction), positive_number("span", span)
    n, rates = _normal(u), []
    thin, thick = (u + CLOSE * n)[..., None], np.stack([u, np.sqrt(CLOSE) * n], axis=-1)
    for X, side in ((thin, u), (thick, n)):
        path = flow(Gaussian(np.zeros(u.shape), factor=X), head, [0.0, t], rtol=1e-9, atol=1e-14)
        entry = [_form(side, S, n) for S in path.covariances]
        rates.append(np.log(entry[1] / entry[0]) / t)
    return np.stack(rates, axis=-1)


def _isotropic(head: Any, direction: Any) -> Array:
    """Return u of norm one, after a check of the head and of u."""
    of_kind("head", head, (Softmax, L2, Sinkhorn), "softmax, L2 or Sinkhorn")
    same_size("head", head.dimension, "the plane", 2, "dimension")
    u = finite_array("direction", direction, "... d")
    same_size("direction", u.shape[-1], "the plane", 2, "dimension")
    u = u / (np.abs(u).max(initial=0.0) or 1.0)
    length = np.linalg.norm(u, axis=-1, keepdims=True)
    positive_number("direction's length", float(length.min()))
    u, A = u / length, head.key.mT @ head.query
    gap, norm = np.abs(_form(u, A, u)), np.linalg.norm(A, axis=(-2, -1))
    if np.any(gap > 1e-8 * norm):
        raise ValueError(f"direction: must satisfy u'Au = 0; got {np.max(gap):.3g}.")
    return u


def _normal(u: Array) -> Array:
    return np.stack([-u[..., 1], u[..., 0]], axis=-1)


def _form(left: Array, matrix: Array, right: Array) -> Array:
    return np.asarray(np.einsum("...i,...ij,...j->...", left, matrix, right))


@quiet
def least_departure(form: ArrayLike, rank: int, *, seed: Any, starts: int = 20) -> float:
    r"""Return the least $\|X^\top CX\|_F/\|C\|$ that a descent finds, X orthonormal of a rank.

    It is zero within rounding where a covariance of this rank is at rest under softmax with V = I
    and $A + A^\top = C$, if the descent finds it. The descent knows nothing of eigenvalues: 400
    steps from random starts, too few where eigenvalues differ by large factors.

    Args:
        form: C, symmetric, shape (d, d), not zero.
        rank: the number of columns of X, at most d.
        seed: an integer or a generator.
        starts: how many descents.

    Raises:
        ValueError: a form that is not symmetric, a rank beyond d, numbers that are not positive.

    Source: ours (chapter on two lines and their basins).

    Example:
        >>> import numpy as np
        >>> from transpde.theory.stationary import least_departure
        >>> [least_departure(np.diag([1.0, -1.0]), r, seed=0) < 1e-8 for r in (1, 2)]
        [True, False]
    """
    C, rng = symmetric_matrix("form", form), generator("seed", seed)
    r, count = positive_integer("rank", rank), positive_integer("starts", starts)
    if r > len(C):
        raise ValueError(f"rank: must be at most the dimension, {len(C)}; got {r}.")
    C = C / positive_number("form's norm", float(np.linalg.norm(C, 2)))
    X = np.linalg.qr(rng.normal(size=(count, len(C), r)))[0]
    for _ in range(400):
        X = np.linalg.qr(X - 0.25 * C @ X @ (X.mT @ C @ X))[0]
    return float(np.linalg.norm(X.mT @ C @ X, axis=(-2, -1)).min())


@quiet
def self_similar(head: Softmax, guess: ArrayLike) -> tuple[Array, Array]:
    r"""Return S of trace one with $\dot\Sigma = -\kappa S$ at $\Sigma = S$, and its rates.

    Under softmax $\Sigma_t = S/(1 + \kappa t)$ then keeps its direction. The rates are those of
    small changes of direction, on the clock $d\tau = \operatorname{tr}\Sigma\,dt$.

    Args:
        head: a softmax head in the plane.
        guess: a covariance (2, 2) near S.

    Returns:
        S (2, 2), and the real parts of two rates (2,), the smaller first.

    Raises:
        TypeError: another attention.
        ValueError: another dimension, a stack; a guess whose trace is not positive; no such S
            found inside the disc (there is none with $\kappa \ne 0$ unless $\det(VA) > 0$).

    Source: ours (chapter on two lines and their basins).

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde.theory.stationary import self_similar
        >>> head = tp.Softmax(np.diag([1.0, -1.0]), np.eye(2), np.diag([-1.0, 1.0]))
        >>> S, rates = self_similar(head, np.diag([0.6, 0.4]))
        >>> S.round(6), rates.round(6)
        (array([[0.5, 0. ],
               [0. , 0.5]]), array([-1., 1.]))
    """
    V, A = _softmax_of_the_plane(head)
    start = finite_array("guess", guess, "d d")
    same_size("guess", start.shape[-1], "the plane", 2, "dimension")
    start = start / positive_number("guess's trace", float(np.trace(start)))
    found = root(_drift, symmetric_coordinates(start)[:2], args=(V, A), tol=1e-13)
    rest = np.abs(_drift(found.x, V, A)).max() <= 1e-10
    if not (rest and np.linalg.norm(found.x) < 1 - 1e-9):  # not a number is not found, either
        raise ValueError("guess: no self-similar covariance was found near it; try another.")
    h, uw = 1e-6, found.x
    steps = h * np.eye(2)
    jacobian = [(_drift(uw + e, V, A) - _drift(uw - e, V, A)) / (2 * h) for e in steps]
    return unit_trace_matrices(uw), np.sort(np.linalg.eigvals(np.array(jacobian)).real)


@quiet
def dividing_curve(head: Softmax, guess: ArrayLike) -> Array:
    r"""Return the curve that runs through a self-similar covariance and divides two basins.

    Reversing depth is changing the sign of V. Followed backwards, small changes of S in opposite
    directions run along the curve to its two ends, on the circle of rank one.

    Args:
        head: a softmax head in the plane.
        guess: a covariance (2, 2) near S.

    Returns:
        Covariances of trace one (T, 2, 2), from one end to the other.

    Raises:
        TypeError: another attention.
        ValueError: as in `self_similar`; S is not a saddle of directions.

    Source: ours (chapter on two lines and their basins).

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde.theory.stationary import dividing_curve
        >>> head = tp.Softmax(np.diag([1.0, -1.0]), np.eye(2), np.diag([-1.0, 1.0]))
        >>> curve = dividing_curve(head, np.eye(2))
        >>> bool(np.abs(curve[:, 0, 1]).max() < 1e-5)
        True
    """
    S, rates = self_similar(head, guess)
    if not rates[0] < 0 < rates[1]:
        raise ValueError(f"guess: its covariance must be a saddle of directions; rates {rates}.")
    reverse, halves = replace(head, value=-head.value), []
    for sign in (1.0, -1.0):
        start = S + 1e-5 * sign * np.array([[1.0, 0.6], [0.6, -1.0]])
        path = flow(Gaussian.from_covariance(np.zeros(2), start), reverse, np.inf)
        halves.append(path.directions)
    return np.concatenate([halves[0][::-1], halves[1]])


def _softmax_of_the_plane(head: Any) -> tuple[Array, Array]:
    of_kind("head", head, Softmax, "softmax")
    one_case("head", head.query, head.key, head.value)
    same_size("head", head.dimension, "the plane", 2, "dimension")
    return head.value, head.key.T @ head.query


def _drift(uw: Array, V: Array, A: Array) -> Array:
    """Return the velocity of (u, w) on the clock of the trace."""
    S = unit_trace_matrices(uw)
    F = V @ S @ A @ S
    F = F + F.T
    F = F - np.trace(F) * S
    return symmetric_coordinates(F)[:2]


__dir__ = listing(__all__)
