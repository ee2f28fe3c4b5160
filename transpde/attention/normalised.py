"""Normalised heads: softmax, L2 and Sinkhorn. All three keep Gaussians Gaussian."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from transpde.attention import planar
from transpde.attention.heads import GaussianHead, Response, spread
from transpde.checks import Array, positive_number
from transpde.kernels import (
    EXACT,
    LIGHTEST,
    Evaluation,
    SoftmaxSum,
    clouds_at_once,
    matrix_product,
    potential,
    softmax_map,
    softmax_maps,
)
from transpde.measures import Particles
from transpde.measures.coordinates import Moves
from transpde.measures.products import applied, product

__all__ = ["L2", "Sinkhorn", "Softmax"]

LONG = 600.0  # log of a square length whose products still are numbers
LONGEST = 1300.0  # log of a square length whose inverse root still is one


def _shortened(log_scales: Array, longest: float) -> Array:
    """Return log scales of size at most `longest`, in which near ones are as near as before.

    Axes decide by their lengths over each other and over one, as long as these are no more than
    some powers of ten. So where a size is too large, the largest gaps among the sizes and zero
    are cut to one length; what lies between two gaps keeps its shape.
    """
    sizes = np.abs(log_scales)
    if not (sizes > longest).any():
        return log_scales
    order = np.argsort(sizes, axis=-1, kind="stable")
    gaps = np.diff(np.take_along_axis(sizes, order, axis=-1), axis=-1, prepend=0.0)
    r, ordered = gaps.shape[-1], np.sort(gaps, axis=-1)
    below = np.cumsum(ordered, axis=-1) - ordered
    # At most this length: the sum of the gaps so cut is `longest`.
    level = ((longest - below) / np.arange(r, 0, -1)).max(axis=-1, keepdims=True)
    cut = np.cumsum(np.minimum(gaps, level), axis=-1)
    cut = np.take_along_axis(cut, np.argsort(order, axis=-1, kind="stable"), axis=-1)
    return np.where(
        sizes.max(axis=-1, keepdims=True) > longest, np.copysign(cut, log_scales), log_scales
    )


class Softmax(GaussianHead):
    r"""Softmax attention, weights $e^{\langle Qx, Ky\rangle}$.

    On a Gaussian S = I and u = 0: $\Gamma(x) = V(m + \Sigma A x)$.

    Args:
        query: Q, shape (k, d). Leading axes in query, key or value match those of a stack.
        key: K, shape (k, d).
        value: V, shape (d, d), a head's output matrix folded in.

    Raises:
        ValueError: entries that are not finite, shapes that do not match.

    Source: `vaswani2017attention`; as a map of measures `sander2022sinkformers`.

    Example:
        >>> import numpy as np, transpde as tp
        >>> attention = tp.Softmax(query=np.eye(2), key=-np.eye(2), value=np.eye(2))
        >>> field = attention(tp.Gaussian(mean=[1.0, 0.0], factor=np.eye(2)))
        >>> field([3.0, 1.0])
        array([-2., -1.])
    """

    normalised = True

    def token_sum(self, measure: Particles, how: Evaluation = EXACT) -> SoftmaxSum:
        """Return the weights that this head gives to the tokens of a measure."""
        keys = matrix_product(measure.points, self.key)
        return SoftmaxSum(self.query, None, keys, measure.log_weights)

    def among(self, tokens: Particles, how: Evaluation) -> Callable[[Array], Array]:
        """Return the map from places of tokens to their velocities: of a small cloud one sum."""
        few, least = clouds_at_once(tokens.points.shape[-2]), tokens.weights.min()
        plain = type(self) is Softmax and how.method != "interpolated" and few and least > 0
        if plain and not tokens.stack:
            bias = tokens.log_weights[:, None]
            return softmax_map(self.query, self.key, self.value, bias)
        if plain and len(tokens.stack) == 1 and least > LIGHTEST:
            return softmax_maps(self.query, self.key, self.value, tokens.weights, few)
        return super().among(tokens, how)

    def of_gaussians(self, in_axes: bool) -> Moves:
        """Return the map from Gaussians to the velocities that their fields give themselves."""
        V, K, Q, general = self.value, self.key, self.query, super().of_gaussians(in_axes)
        if type(self) is not Softmax or max(V.ndim, K.ndim, Q.ndim) > 2:
            return general

        def moves(m: Array, X: Array, s: Array) -> tuple[Array, Array]:
            if X.ndim > 2:
                return general(m, X, s)
            T, VX = np.exp(s)[:, None] * K.dot(X).T.dot(Q), V.dot(X)
            return V.dot(m) + VX.dot(T.dot(m)), VX.dot(T.dot(X))

        return moves

    def _left(self, s: Array, T: Array, TX: Array) -> Array | float:
        # TX is a plain product with unit columns. (Divided first: no square underflows.)
        depth = (s - s.max(axis=-1, keepdims=True)) / 2
        TX = TX * np.exp(depth)[..., None, :]
        largest = np.abs(T).max(axis=(-2, -1), keepdims=True)
        T, TX = (M / np.where(largest > 0, largest, 1.0) for M in (T, TX))
        whole, left = (np.sqrt((M**2).sum(axis=(-2, -1))) for M in (T, TX))
        return left / np.where(whole > 0, whole, 1.0)

    def _response(self, m: Array, X: Array, s: Array, in_axes: bool) -> Response:
        # T is no larger than the covariance: any factor does.
        keys = product(self.key, X)
        T = np.exp(s)[..., None] * product(keys.mT, self.query)
        return X, lambda: T, product(T, X), lambda: applied(T, m)

    def _weights_along(
        self, Y: Array, s: Array, dY: Array, ds: Array
    ) -> tuple[Array, Array, Array]:
        K, squares = spread(self.key), np.exp(s)[..., None]
        P = squares * (K @ Y).mT
        return P, ds[..., None] * P + squares * (K @ dY).mT, spread(self.query)


class L2(GaussianHead):
    r"""L2 attention, weights $e^{-\|Qx - Ky\|^2}$.

    On a Gaussian $S = 2(I + 2HH^\top)^{-1}$ with $H = X^\top K^\top$, and $u = K^\top K m$.

    Args:
        query: Q, shape (k, d). Leading axes in query, key or value match those of a stack.
        key: K, shape (k, d).
        value: V, shape (d, d), a head's output matrix folded in.

    Raises:
        ValueError: entries that are not finite, shapes that do not match.

    Source: `kim2021lipschitz`.

    Example:
        >>> import numpy as np, transpde as tp
        >>> attention = tp.L2(query=np.eye(2), key=np.eye(2), value=np.eye(2))
        >>> field = attention(tp.Gaussian(mean=[0.0, 0.0], factor=np.eye(2)))
        >>> field([3.0, 0.0])
        array([2., 0.])
    """

    def token_sum(self, measure: Particles, how: Evaluation = EXACT) -> SoftmaxSum:
        """Return the weights that this head gives to the tokens of a measure."""
        # -|q - k|^2 differs from 2 q.k - |k|^2 by a number of x alone, which cancels. Distances
        # do not change when both are moved by one vector: measured from a point near the tokens,
        # they lose no digits far from zero.
        origin = applied(self.key, measure.origin)
        keys = matrix_product(measure.points, self.key) - origin[..., None, :]
        squares = np.einsum("...nk,...nk->...n", keys, keys)
        lost = np.isinf(squares) & (measure.weights > 0)  # no number tells which of these is least
        squares = np.where(lost.any(axis=-1, keepdims=True), np.nan, squares)
        return SoftmaxSum(2 * self.query, 2 * origin, keys, measure.log_weights - squares)

    def _response(self, m: Array, X: Array, s: Array, in_axes: bool) -> Response:
        # With N = KY the core is C = 2 (D^-2 + 2 N^T N)^-1. The columns of C N^T solve least
        # squares problems with the rows N and D^-1, which stay in range and apart for any D:
        # unlike N^T N, and unlike the singular values of N D.
        Y = X if in_axes else planar.apart(X, s)
        if Y is not None and planar.within(s, planar.L2_LOG, N := product(self.key, Y)):
            CN = planar.l2_weights(N, s)
        else:
            Y, s = self._axes(X, s, in_axes)
            weights, _, inside, _ = _l2_weights(product(self.key, Y), s)
            CN = inside[..., None] * weights
        TX = product(CN, product(self.query, X))
        return Y, lambda: product(CN, self.query), TX, lambda: applied(CN, self._shift(m))

    def _shift(self, m: Array) -> Array:
        return applied(self.query, m) - applied(self.key, m)

    def _weights_along(
        self, Y: Array, s: Array, dY: Array, ds: Array
    ) -> tuple[Array, Array, Array]:
        # dP = C (D^-2 ds / 2 - dN^T N - N^T dN) P + C dN^T, as C^-1 = D^-2 / 2 + N^T N.
        K = spread(self.key)
        N, dN = K @ Y, K @ dY
        weights, R, inside, outside = _l2_weights(N, s)
        inverse, P = np.linalg.inv(R), inside[..., None] * weights
        half = inside[..., None] * inverse  # C = 2 half half^T
        first = half.mT @ (2 * (dN.mT - dN.mT @ (N @ P)))
        dP = half @ (first + inverse.mT @ ((outside**2 * ds)[..., None] * weights)) - P @ dN @ P
        return P, dP, spread(self.query) - K


def _l2_weights(N: Array, log_scales: Array) -> tuple[Array, Array, Array, Array]:
    r"""Return $E^{-1}CN^\top$, R, E = min(D, 1) and E/D, with $C = 2E(R^\top R)^{-1}E$."""
    scales = _shortened(log_scales, LONGEST)
    with np.errstate(over="ignore"):
        inside = np.minimum(1.0, np.exp(scales / 2))
        outside = np.clip(np.exp(-scales / 2), 1e-300, 1.0)
    rows = np.zeros((*outside.shape, outside.shape[-1]))
    np.einsum("...ii->...i", rows)[...] = outside
    N = np.broadcast_to(N, (*outside.shape[:-1], *N.shape[-2:])) * inside[..., None, :]
    rows = np.concatenate([np.sqrt(2) * N, rows], axis=-2)
    # The largest rows first: then small ones keep their digits.
    order = np.argsort(-np.abs(rows).max(axis=-1), axis=-1, kind="stable")[..., None]
    basis, R = np.linalg.qr(np.take_along_axis(rows, order, axis=-2))
    basis = np.take_along_axis(basis, np.argsort(order, axis=-2, kind="stable"), axis=-2)
    return np.linalg.solve(R, np.sqrt(2) * basis[..., : N.shape[-2], :].mT), R, inside, outside


@dataclass(frozen=True, eq=False, repr=False)
class Sinkhorn(GaussianHead):
    r"""Sinkhorn attention: weights with both marginals one.

    The weights are $\kappa(x, y) = \exp((\langle Qx, Ky\rangle + f(x) + g(y))/\varepsilon)$ with f
    and g such that $\int\kappa\,d\mu(x) = \int\kappa\,d\mu(y) = 1$. Off the support x takes the
    softmax of $(\langle Qx, Ky\rangle + g(y))/\varepsilon$. On a Gaussian, with $G = X^\top AX$,
    $S = 2[(\varepsilon^2 I + 4GG^\top)^{1/2} + \varepsilon I]^{-1}$ and $u = Am$.

    Args:
        query: Q, shape (k, d). Leading axes in query, key or value match those of a stack.
        key: K, shape (k, d).
        value: V, shape (d, d), a head's output matrix folded in.
        epsilon: the entropic regularisation, positive.

    Raises:
        ValueError: entries that are not finite, shapes that do not match, epsilon not positive.
        RuntimeError: on particles, where the iteration does not reach a relative marginal error
            of 1e-10 (with its residual).

    Source: `sander2022sinkformers`.

    Example:
        >>> import numpy as np, transpde as tp
        >>> attention = tp.Sinkhorn(query=np.eye(1), key=np.eye(1), value=np.eye(1))
        >>> attention.matrix(tp.Particles([[1.0], [-1.0]])).sum(axis=0)
        array([1., 1.])
    """

    epsilon: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "epsilon", positive_number("epsilon", self.epsilon))

    def token_sum(self, measure: Particles, how: Evaluation = EXACT) -> SoftmaxSum:
        """Return the weights that this head gives to the tokens of a measure."""
        points, w = measure.points, measure.weights
        keys = matrix_product(points, self.key)
        sums = SoftmaxSum(self.query / self.epsilon, None, keys, np.zeros(w.shape))
        starts = np.zeros(w.shape) if how.memory is None else how.memory.recall(self, w.shape)
        cases = sums.cases(points, points, None)
        rows = zip(cases, w.reshape(-1, w.shape[-1]), starts.reshape(-1, w.shape[-1]), strict=True)
        found = [_potential(case.sums, case.x, v, start, how) for case, v, start in rows]
        g = np.array(found).reshape(w.shape)
        if how.memory is not None:
            how.memory.keep(self, g)
        return replace(sums, bias=g + measure.log_weights)

    def _response(self, m: Array, X: Array, s: Array, in_axes: bool) -> Response:
        # G = DZD with Z = Y^T A Y is graded from its first row and column to its last, and then
        # its singular vectors hold the digits of the small entries of C = DSD.
        # An axis much longer than the others has only its direction in C: bounds on the gaps
        # between lengths keep all products in range.
        Y = X if in_axes else planar.apart(X, s)
        if Y is not None:
            keys, queries = product(self.key, Y), product(self.query, Y)
            if planar.within(s, planar.SINKHORN_LOG, keys, queries):
                CN = planar.sinkhorn_weights(keys, queries, s, self.epsilon)
                TX = product(CN, queries if Y is X else product(self.query, X))
                return Y, lambda: product(CN, self.query), TX, lambda: np.zeros(s.shape)
        Y, s = self._axes(X, s, in_axes)
        keys, queries = product(self.key, Y), product(self.query, Y)
        if keys.shape[-2] < keys.shape[-1]:
            CN = self._few_weights(keys, queries, s)
            TX = product(CN, product(self.query, X))
            return Y, lambda: product(CN, self.query), TX, lambda: np.zeros(s.shape)
        C = self._core(keys, queries, s)[0]
        TX = C @ (keys.mT @ (self.query @ X))
        return Y, lambda: C @ keys.mT @ self.query, TX, lambda: np.zeros(s.shape)

    def _few_weights(self, keys: Array, queries: Array, s: Array) -> Array:
        r"""Return $CN^\top$ for fewer rows of keys than columns.

        What the columns hold beside the keys has no part in it, and would drown the rest where
        they are long: G is taken in a basis of the keys.
        """
        D = np.exp(_shortened(s, LONG) / 2)[..., None]
        H, M = D * keys.mT, queries * D.mT
        finite = np.isfinite(np.concatenate([H, M.mT], axis=-1)).all(axis=(-2, -1), keepdims=True)
        basis, R = np.linalg.qr(np.where(finite, H, 0.0))
        G = R @ M
        finite &= np.isfinite(G).all(axis=(-2, -1), keepdims=True)
        U, sigma, _ = np.linalg.svd(np.where(finite, G, 0.0), full_matrices=False)
        weights = (U * self._core_of(sigma)[..., None, :]) @ (U.mT @ R)
        return np.where(finite, D * (basis @ weights), np.nan)

    def _core_of(self, sigma: Array) -> Array:
        return np.asarray(2 / (np.hypot(self.epsilon, 2 * sigma) + self.epsilon))

    def _core(self, keys: Array, queries: Array, s: Array) -> tuple[Array, ...]:
        """Return C, D, and of the singular value decomposition of G DU, the values and W."""
        D = np.exp(_shortened(s, LONG) / 2)
        G = D[..., None] * (keys.mT @ queries) * D[..., None, :]
        # A solver may try a step that ends out of range: NaN says so, not an exception.
        finite = np.isfinite(G).all(axis=(-2, -1), keepdims=True)
        U, sigma, Wt = np.linalg.svd(np.where(finite, G, 0.0))
        DU = np.where(finite, D[..., None] * U, np.nan)
        return (DU * self._core_of(sigma)[..., None, :]) @ DU.mT, D, DU, sigma, Wt.mT

    def _weights_along(
        self, Y: Array, s: Array, dY: Array, ds: Array
    ) -> tuple[Array, Array, None]:
        # The core is a function of G G^T: its derivative has the divided differences of that.
        K, Q = spread(self.key), spread(self.query)
        N, M, dN = K @ Y, Q @ Y, K @ dY
        C, D, DU, sigma, W = self._core(N, M, s)
        R = np.hypot(self.epsilon, 2 * sigma)
        DW, R_e = D[..., None] * W, R + self.epsilon
        H = DU.mT @ ((dN.mT @ M + N.mT @ (Q @ dY)) @ DW)
        half = ds[..., None] / 2
        H = H + (DU.mT @ (half * (N.mT @ (M @ DW)))) + (DU.mT @ N.mT @ M) @ (half * DW)
        H = H * (sigma / R_e)[..., None, :] / R_e[..., :, None]
        S = -8 * (H + H.mT) / (R[..., :, None] + R[..., None, :])
        dC = half * C + C * half.mT + DU @ S @ DU.mT
        return C @ N.mT, dC @ N.mT + C @ dN.mT, None


def _potential(sums: SoftmaxSum, x: Array, w: Array, start: Array, how: Evaluation) -> Array:
    """Return g over epsilon of one cloud; tokens without weight have no part in the marginals."""
    g, carried = np.zeros(len(w)), w > 0
    some = replace(sums, keys=sums.keys[carried], bias=sums.bias[carried])
    g[carried] = potential(some, x[carried], w[carried], start[carried], how, 1e-12)
    return g
