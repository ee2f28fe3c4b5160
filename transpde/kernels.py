r"""Sums over tokens: the only place that knows about memory and speed.

A `TokenSum` holds what an attention needs of n tokens: for a target x it weighs token j by
$P(x, j)$, a function of the score $(Mx - z)\cdot k_j$. Targets are taken tile by tile, so that
memory stays linear in n. With positions, a target sees only the tokens at or before its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import ot
from scipy.special import logsumexp

from transpde.checks import Array

__all__ = ["PlaneSum", "PointwiseSum", "SoftmaxSum", "TokenSum", "sinkhorn_potential"]

# Scores of one tile of target rows fit in the second-level cache of common processors.
TILE_ENTRIES = 1 << 17

Order = tuple[Array, Array]  # the positions of the targets (m,) and of the tokens (n,)


def tiles(m: int, width: int) -> Iterator[slice]:
    """Return slices of m rows, each of as many rows of the given width as fit in one tile."""
    rows = max(1, TILE_ENTRIES // width)
    return (slice(start, start + rows) for start in range(0, m, rows))


@dataclass(frozen=True, eq=False)
class TokenSum(ABC):
    """Weighted sums over n tokens: query M (k, d), shift z (k,), keys (n, k)."""

    query: Array
    shift: Array
    keys: Array

    def matrix(self, x: Array, order: Order | None = None) -> Array:
        """Return the weights P(x_i, j) of targets x (m, d), shape (m, n)."""
        return self._rows(x, None if order is None else order[0][:, None] < order[1])

    def mean(self, x: Array, values: Array, order: Order | None = None) -> Array:
        """Return the sums of P(x_i, j) values_j, shape (m, d), for values (n, d)."""
        sums = np.empty((len(x), values.shape[1]))
        for tile in tiles(len(x), len(self.keys)):
            seen = None if order is None else (order[0][tile], order[1])
            sums[tile] = self.matrix(x[tile], seen) @ values
        return sums

    def exponential(self) -> tuple[Array, bool] | None:
        """Return b (n,) and whether rows are normalised, where P is exp(score + b_j); or None."""
        return None

    def _scores(self, x: Array) -> Array:
        return (x @ self.query.T - self.shift) @ self.keys.T

    @abstractmethod
    def _rows(self, x: Array, hidden: Array | None) -> Array:
        """Return the rows of P for targets x, hidden tokens (m, n) left out."""


@dataclass(frozen=True, eq=False)
class SoftmaxSum(TokenSum):
    """Weights exp(score + bias_j), divided by their sum over the tokens that a target sees."""

    bias: Array

    def exponential(self) -> tuple[Array, bool]:
        """Return the biases, and that rows are normalised."""
        return self.bias, True

    def _rows(self, x: Array, hidden: Array | None) -> Array:
        scores = self._scores(x)
        scores += self.bias
        if hidden is not None:
            scores[hidden] = -np.inf
        # The largest score of a row becomes 0: no overflow, and no row of zeros.
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        return scores


@dataclass(frozen=True, eq=False)
class PointwiseSum(TokenSum):
    """Weights w_j function(score), with w the weights of the tokens that a target sees."""

    weights: Array
    function: Callable[[Array], Array]

    def exponential(self) -> tuple[Array, bool] | None:
        """Return the logarithms of the weights and False where the function is exp, else None."""
        with np.errstate(divide="ignore"):
            return (np.log(self.weights), False) if self.function is np.exp else None

    def _rows(self, x: Array, hidden: Array | None) -> Array:
        with np.errstate(over="ignore"):
            rows = self.function(self._scores(x)) * self.weights
        if hidden is not None:
            rows[hidden] = 0.0
            rows /= np.where(hidden, 0.0, self.weights).sum(axis=1, keepdims=True)
        return rows


# --- tokens on a grid of the plane ---------------------------------------------------------------

LOST = 1e-250  # a sum so small, relative to its largest possible term, may have lost terms


@dataclass(frozen=True, eq=False)
class PlaneSum:
    r"""Sums over the tokens y of a tensor grid of the plane.

    A weight $e^{\langle\xi, y\rangle + b(y)}$ has a factor for each axis: a target needs
    $n_1 + n_2$ exponentials instead of $n_1 n_2$, and matrix products do the rest, to rounding.
    Other weights are summed one by one.

    Args:
        weights: the sum over the tokens of the grid, the last axis fastest.
        key: K with keys K y, up to a shift that normalisation cancels.
        places: the coordinates of the tokens along each axis, increasing.
    """

    weights: TokenSum
    key: Array
    places: tuple[Array, Array]

    def mean(self, x: Array) -> Array:
        """Return the sums of P(x_i, y) y, shape (m, 2), for targets x (m, 2)."""
        tokens = np.stack(np.meshgrid(*self.places, indexing="ij"), axis=-1).reshape(-1, 2)
        known = self.weights.exponential()
        if known is None:
            return self.weights.mean(x, tokens)
        bias, normalised = known
        top, shape = bias.max(), [len(y) for y in self.places]
        mass = np.exp(bias - top).reshape(shape)
        tilts = (x @ self.weights.query.T - self.weights.shift) @ self.key
        sums = np.empty(x.shape)
        for tile in tiles(len(x), sum(shape)):
            size, total, moment = self._moments(mass, tilts[tile])
            kept = total > LOST
            scale = 1 / np.where(kept, total, 1.0) if normalised else np.exp(top + size)
            sums[tile] = moment * scale[:, None]
            if not kept.all():
                rows = np.arange(len(x))[tile][~kept]
                sums[rows] = self.weights.mean(x[rows], tokens)
        return sums

    def _moments(self, mass: Array, tilts: Array) -> tuple[Array, Array, Array]:
        """Return (s, S0, S1): the sums of weight and of weight times y are e^s S0 and e^s S1."""
        middle = [(y[0] + y[-1]) / 2 for y in self.places]
        near = [y - c for y, c in zip(self.places, middle, strict=True)]
        reach = np.abs(tilts) * [y[-1] for y in near]
        first, second = (
            np.exp(np.multiply.outer(tilts[:, a], near[a]) - reach[:, a, None]) for a in (0, 1)
        )
        rows, columns = first * (second @ mass.T), second * (first @ mass)
        total = rows.sum(axis=1)
        moment = np.stack([rows @ near[0], columns @ near[1]], axis=1)
        return reach.sum(axis=1) + tilts @ middle, total, moment + np.outer(total, middle)


# --- Sinkhorn ------------------------------------------------------------------------------------

ANDERSON_DEPTH = 8
SCALING_STEPS = 150
NEWTON_STEPS = 40
ABSORB = 50.0  # a potential that has moved so far is absorbed in a new kernel


def sinkhorn_potential(
    scores: Array, weights: Array, start: Array, target: float, accepted: float
) -> Array:
    r"""Return g such that for some f the weights $\kappa = e^{s + f + g}$ have marginals one.

    The scaling iteration is a fixed-point map of g. Anderson's mixing of its last steps makes the
    number of iterations nearly independent of the size of the scores, up to a point; from there
    Newton's method on the semi-dual takes over, if need be from the potentials of exact
    transport.

    Args:
        scores: s, shape (n, n).
        weights: w, shape (n,), positive.
        start: a first guess of g, shape (n,).
        target: the largest relative marginal error at which the iteration stops.
        accepted: the largest that is accepted where rounding keeps it from its target.

    Raises:
        RuntimeError: no convergence; the message holds the marginal error.
    """
    g, error = _scaling_and_newton(scores, weights, start, target)
    if not error <= accepted:
        # Scores so large that the plan is nearly one without entropy: start from its potentials.
        _, exact = ot.lp.emd(weights, weights, scores.max() - scores, log=True)
        g, error = _newton_iteration(scores, weights, exact["v"], target)
    if not error <= accepted:
        raise RuntimeError(
            f"Sinkhorn: no convergence; the marginal error is {error:.1e}, at most "
            f"{accepted:.1e} is accepted. Take a larger epsilon or a smaller query."
        )
    return g


def _scaling_and_newton(
    scores: Array, weights: Array, g: Array, target: float
) -> tuple[Array, float]:
    """Return g and the marginal error after scaling steps and, if need be, Newton steps."""
    used, error = 0, np.inf
    while used < SCALING_STEPS and not error <= target:
        kernel = _balanced_kernel(scores, weights, g)
        g, steps, error = _mixed_iteration(kernel, weights, g, target, SCALING_STEPS - used)
        used += steps
        if not np.isfinite(error):
            g = _log_iteration(scores, weights, g)
        g = g - weights @ g  # a constant changes nothing, but costs digits
    return (g, error) if error <= target else _newton_iteration(scores, weights, g, target)


def _balanced_kernel(scores: Array, weights: Array, g: Array) -> Array:
    """Return exp(s + f + g) with f such that its rows integrate to one."""
    with np.errstate(invalid="ignore"):  # an infinite g makes NaN, which the callers look for
        kernel = scores + g
        kernel -= kernel.max(axis=1, keepdims=True)
        np.exp(kernel, out=kernel)
        kernel /= (kernel @ weights)[:, None]
    return kernel


def _log_iteration(scores: Array, weights: Array, g: Array) -> Array:
    """Return g after one iteration in logarithms, which no score is too large for."""
    f = -logsumexp(scores + g, b=weights, axis=1)
    return -logsumexp(scores + f[:, None], b=weights[:, None], axis=0)


def _mixed_iteration(
    kernel: Array, weights: Array, g: Array, tolerance: float, limit: int
) -> tuple[Array, int, float]:
    """Return g, the number of iterations and the marginal error, from a balanced kernel.

    It returns early where the potential has moved too far for this kernel, and with an infinite
    error where the kernel underflows.
    """
    h, image, last = np.zeros_like(g), np.zeros_like(g), np.inf
    history = _AndersonHistory()
    for step in range(1, limit + 1):
        with np.errstate(all="ignore"):
            rows = kernel @ (weights * np.exp(h))
            proposal = -np.log(kernel.T @ (weights / rows))
            error = float(np.abs(np.expm1(h - proposal)).max())
        if not np.isfinite(proposal).all():
            return g + image, step, np.inf
        image = proposal
        if error <= tolerance or np.abs(image).max() > ABSORB:
            break
        if error > 2 * last:
            history = _AndersonHistory()
        h, last = history.mixed(h, image - h), error
    return g + image, step, error


def _newton_iteration(
    scores: Array, weights: Array, g: Array, tolerance: float
) -> tuple[Array, float]:
    """Return g and the marginal error after damped Newton steps on the concave semi-dual."""

    def state(g: Array) -> tuple[Array, Array, float]:
        kernel = _balanced_kernel(scores, weights, g)
        excess = weights @ kernel - 1
        return kernel, excess, float(np.abs(excess).max())

    kernel, excess, error = state(g)
    for _ in range(NEWTON_STEPS):
        if error <= tolerance:
            break
        if not np.isfinite(kernel).all():
            return g, np.inf
        hessian = np.diag(1 + excess) - ((kernel.T * weights) @ kernel) * weights
        step = np.linalg.lstsq(hessian, -excess, rcond=1e-14)[0]
        step -= weights @ step  # a constant in g changes nothing
        step *= min(1.0, 20.0 / np.abs(step).max())
        for shorter in 0.5 ** np.arange(12):
            tried = state(g + shorter * step)
            if tried[2] < error:
                break
        else:
            return g, error  # rounding: no step along this direction helps
        g, (kernel, excess, error) = g + shorter * step, tried
    return g, error


class _AndersonHistory:
    """Anderson's mixing: from the last iterates, the combination with the least residual."""

    def __init__(self) -> None:
        self.points: list[Array] = []
        self.residuals: list[Array] = []

    def mixed(self, point: Array, residual: Array) -> Array:
        """Return the next point; the first time, the plain step."""
        self.points = [*self.points[-ANDERSON_DEPTH:], point]
        self.residuals = [*self.residuals[-ANDERSON_DEPTH:], residual]
        if len(self.points) == 1:
            return point + residual
        dR, dX = (np.diff(np.array(rows), axis=0).T for rows in (self.residuals, self.points))
        coefficients = np.linalg.lstsq(dR, residual, rcond=1e-12)[0]
        correction = (dX + dR) @ coefficients
        return point + residual - (correction if np.abs(correction).max() < ABSORB else 0.0)
