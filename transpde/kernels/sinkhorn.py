r"""Sinkhorn's potentials: dense, factored or tile by tile, with Anderson's mixing.

Up to `DENSE` tokens the matrix of scores is held. Beyond, no array has n x n entries: in at most
three dimensions the kernel is a product of two thin matrices, else it is summed tile by tile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from scipy.special import logsumexp

from transpde.checks import Array
from transpde.kernels.blocks import in_threads, one_blas_thread, token_blocks
from transpde.kernels.choice import Evaluation
from transpde.kernels.fast import CHECKS, DIMENSIONS, LEAST, SEED, reduced
from transpde.kernels.separable import Expansion, Scaled, expansion, scaled
from transpde.kernels.sums import SoftmaxSum

__all__ = ["DENSE", "potential", "sinkhorn_potential"]

DENSE = 2048  # tokens up to which the matrix of scores is held

ANDERSON_DEPTH = 8
SCALING_STEPS = 150
NEWTON_STEPS = 40
FINEST = (1e-12, 1e-14)  # tolerances of the factored kernel that are tried
ABSORB = 50.0  # a potential that has moved so far is absorbed in a new kernel


def potential(
    sums: SoftmaxSum, x: Array, weights: Array, start: Array, how: Evaluation, target: float
) -> Array:
    """Return g such that for some f the weights exp(score + f + g) have marginals one.

    Args:
        sums: of the scores over epsilon, with bias zero.
        x: tokens, shape (n, d).
        weights: of the tokens, shape (n,), positive.
        start: a first guess of g, shape (n,).
        how: "exact" or at most 2048 tokens: the scores as they are.
        target: the relative marginal error at which the iteration stops; 100 times as much is
            accepted where rounding keeps it from its target.

    Raises:
        RuntimeError: no convergence; the message holds the marginal error.
    """
    accepted = 100 * target
    if len(x) <= DENSE:
        return sinkhorn_potential(sums.scores(x), weights, start, target, accepted)
    with one_blas_thread():  # or the last bits depend on how many there are
        if how.method != "exact" and x.shape[1] <= DIMENSIONS:
            g = _factored(sums, x, weights, start, target, accepted)
            if g is not None:
                return g
        return _tiled(sums, x, weights, start, target, accepted)


def _factored(
    sums: SoftmaxSum, x: Array, weights: Array, start: Array, target: float, accepted: float
) -> Array | None:
    """Return g from a kernel of low rank, checked on exact sums, or None."""
    t, y, bias = reduced(sums, x)
    unit = scaled(t, y)
    lift = bias + unit.bias + (unit.y**2).sum(axis=1) / 2  # makes of g that of the Gaussian
    for tol in FINEST:
        terms = expansion(unit.radii, tol, len(x) // 8)
        if terms is None:
            return None
        kernel = _Factors(terms, unit, weights)
        G, _, error = _mixed(kernel.step, start + lift, target, SCALING_STEPS)
        G = G - weights @ G
        if error <= accepted and kernel.marginal_error(G) <= accepted:
            return G - lift - weights @ (G - lift)
    return None


class _Factors:
    """The Gaussian of differences of scaled targets and keys, as a product of two thin matrices.

    They are held in blocks of tokens, which threads share.
    """

    def __init__(self, terms: Expansion, unit: Scaled, weights: Array) -> None:
        self.unit, self.weights, self.blocks = unit, weights, token_blocks(len(weights))
        self.work = len(weights) * len(terms) / 2  # nanoseconds of one product
        sides = [(points, block) for points in (unit.t, unit.y) for block in self.blocks]
        blocks = self._each(lambda side: terms.at(side[0][side[1]]), sides)
        self.left, self.right = blocks[: len(self.blocks)], blocks[len(self.blocks) :]

    def _each(self, task: Callable[[Any], Array], parts: Any) -> list[Array]:
        return in_threads(task, parts, self.work)

    def rows(self, G: Array) -> list[Array]:
        """Return the integrals of the kernel times exp(G) at the targets, a block each."""
        masses = self.weights * np.exp(G)
        pairs = zip(self.right, self.blocks, strict=True)
        total = np.sum(self._each(lambda p: p[0].dot(masses[p[1]]), pairs), axis=0)
        return self._each(lambda left: total.dot(left), self.left)

    def step(self, G: Array) -> Array:
        """Return the G that makes the second marginal one, with F that made the first one."""
        triples = zip(self.left, self.rows(G), self.blocks, strict=True)
        parts = self._each(lambda p: p[0].dot(self.weights[p[2]] / p[1]), triples)
        total = np.sum(parts, axis=0)
        return -np.log(np.concatenate(self._each(lambda right: total.dot(right), self.right)))

    def marginal_error(self, G: Array) -> float:
        """Return the largest error of exact marginals: draws, borders, least integrals."""
        with np.errstate(all="ignore"):
            F = -np.log(np.concatenate(self.rows(G)))
        draws = np.random.default_rng(SEED).integers(len(F), size=CHECKS)
        worst, (t, y) = 0.0, (self.unit.t, self.unit.y)
        for a, b, f, g in ((t, y, F, G), (y, t, G, F)):
            # The kernel's error is one size: its integral is worst where it is least, at large f.
            worst_of = np.argpartition(f, -LEAST)[-LEAST:]
            extreme = [a.argmax(axis=0), a.argmin(axis=0), worst_of]
            rows = np.unique(np.concatenate([draws, *extreme]))
            masses = np.log(self.weights) + g - (b**2).sum(axis=1) / 2
            logs = SoftmaxSum(np.eye(b.shape[1]), None, b, masses).log_sums(a[rows])
            with np.errstate(all="ignore"):
                error = np.abs(np.expm1(f[rows] + logs - (a[rows] ** 2).sum(axis=1) / 2)).max()
            worst = max(worst, float(error))
        return worst if np.isfinite(worst) else np.inf


def _tiled(
    sums: SoftmaxSum, x: Array, weights: Array, start: Array, target: float, accepted: float
) -> Array:
    """Return g by sums that hold no more than a tile of the kernel."""
    targets, logs = sums.queries(x), np.log(weights)
    unit = np.eye(targets.shape[1])
    rows = SoftmaxSum(unit, None, sums.keys, logs)
    columns = SoftmaxSum(unit, None, targets, logs)

    def step(g: Array) -> Array:
        f = -replace(rows, bias=logs + g).log_sums(targets)
        return -replace(columns, bias=logs + f).log_sums(sums.keys)

    g, _, error = _mixed(step, start, target, SCALING_STEPS)
    if not error <= accepted:
        raise _no_convergence(error, accepted)
    return g - weights @ g


def _no_convergence(error: float, accepted: float) -> RuntimeError:
    return RuntimeError(
        f"Sinkhorn: no convergence; the marginal error is {error:.1e}, at most "
        f"{accepted:.1e} is accepted. Take a larger epsilon or a smaller query."
    )


def _mixed(
    step: Callable[[Array], Array], g: Array, target: float, limit: int, farthest: float = np.inf
) -> tuple[Array, int, float]:
    """Return the fixed point of a step, how many were taken, and its marginal error.

    Anderson's mixing of the last ones. It ends early beyond the range, or what is `farthest`.
    """
    image, last, history = g, np.inf, _AndersonHistory()
    for used in range(1, limit + 1):
        with np.errstate(all="ignore"):
            proposal = step(g)
            error = float(np.abs(np.expm1(g - proposal)).max())
        if not np.isfinite(proposal).all():
            return image, used, np.inf
        image = proposal
        if not target < error < np.inf or np.abs(image).max() > farthest:
            break
        if error > 2 * last:
            history = _AndersonHistory()
        g, last = history.mixed(g, image - g), error
    return image, used, error


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
    if not error <= accepted and np.isfinite(costs := scores.max() - scores).all():
        import ot  # heavy, and rarely needed

        # Scores so large that the plan is nearly one without entropy: start from its potentials,
        # in units, a power of two, of which no product overflows.
        unit = np.ldexp(1.0, np.frexp(costs.max())[1] - 1)
        _, exact = ot.lp.emd(weights, weights, costs / unit, log=True)
        g, error = _newton_iteration(scores, weights, unit * exact["v"], target)
    if not error <= accepted:
        raise _no_convergence(error, accepted)
    return g


def _scaling_and_newton(
    scores: Array, weights: Array, g: Array, target: float
) -> tuple[Array, float]:
    """Return g and the marginal error after scaling steps and, if need be, Newton steps."""
    used, error = 0, np.inf
    while used < SCALING_STEPS and not error <= target:
        kernel = _balanced_kernel(scores, weights, g)
        step, left = partial(_scaled, kernel, weights), SCALING_STEPS - used
        image, steps, error = _mixed(step, np.zeros_like(g), target, left, ABSORB)
        g, used = g + image, used + steps
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


def _scaled(kernel: Array, weights: Array, h: Array) -> Array:
    """Return h after a step that makes both marginals one, one after the other."""
    rows = kernel @ (weights * np.exp(h))
    return -np.log(kernel.T @ (weights / rows))


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
        try:
            step = np.linalg.lstsq(hessian, -excess, rcond=1e-14)[0]
        except np.linalg.LinAlgError:  # scores near the end of the range: no singular values
            return g, error
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
        basis, small = np.linalg.qr(dR)
        coefficients = np.linalg.lstsq(small, basis.T @ residual, rcond=1e-12)[0]
        correction = (dX + dR) @ coefficients
        return point + residual - (correction if np.abs(correction).max() < ABSORB else 0.0)
