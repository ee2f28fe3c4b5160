r"""Softmax means faster than pair by pair, checked at every call on exact sums.

What is checked, with a margin: seeded draws of targets, the extremes of each axis, those nearest
to the corners of their box and the farthest from its centre, behind a mask those that see least,
and those whose quotients have the least divisors, where an error is magnified most. Where the
check or the cost says no, the sums are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np

from transpde.checks import Array
from transpde.kernels.blocks import box, one_blas_thread
from transpde.kernels.choice import Evaluation
from transpde.kernels.nodes import Nodes, means_and_divisors, nodes_needed
from transpde.kernels.separable import causal_means
from transpde.kernels.sums import Order, SoftmaxSum, TokenSum

__all__ = ["CHECKS", "DIMENSIONS", "SEED", "fast_mean", "reduced", "token_mean"]

DIMENSIONS = 3
AUTO_FROM = 2048  # tokens and targets; fewer are summed exactly by default
CHECKS, SEED = 64, 0
LEAST = 16  # least divisors whose means are checked
MARGIN = 4.0  # by which checked errors are below the tolerance: those of other targets are larger
TRIES, MORE = 3, 1.25  # attempts, and nodes along an axis from one to the next
SMALLEST = 1e-17  # no expansion is finer
# Nanoseconds: a pair of exact sums, a multiply-add of the matrix products, an exponential.
PAIR, PRODUCT, EXPONENTIAL = 1.2, 0.06, 3.0
MOST_NODES = 100_000

# What finds means and their divisors for a choice, finer at each attempt; None where it should not
# or cannot.
Finder = Callable[[Evaluation, int], tuple[Array, Array] | None]


def token_mean(
    sums: TokenSum, x: Array, values: Array, order: Order | None, how: Evaluation
) -> Array:
    """Return the sums of P(x_i, j) values_j, shape (..., m, d), by the method, to the tolerance.

    The values have the leading axes of the stack.
    """
    few = min(x.shape[-2], values.shape[-2]) < AUTO_FROM
    if how.method == "exact" or (few and how.method == "auto") or not isinstance(sums, SoftmaxSum):
        return sums.mean(x, values, order)
    if values.ndim > 2:
        cases = [
            token_mean(case.sums, case.x, case.values, case.order, how)
            for case in sums.cases(x, values, order)
        ]
        return np.array(cases).reshape(*values.shape[:-2], *cases[0].shape)
    carrying, seen = sums.carrying(order)
    some = values if carrying is sums else values[sums.carried]
    with one_blas_thread():  # or the last bits depend on how many there are
        found = fast_mean(carrying, x, some, seen, how)
    return sums.mean(x, values, order) if found is None else found


def fast_mean(
    sums: SoftmaxSum, x: Array, values: Array, order: Order | None, how: Evaluation
) -> Array | None:
    """Return the means within the tolerance, or None where exact sums are better or needed."""
    few = min(len(x), len(values)) < AUTO_FROM
    if x.shape[1] > DIMENSIONS or (how.method == "auto" and few):
        return None
    if not all(np.isfinite(array).all() for array in (x, values, sums.bias)):
        return None
    with np.errstate(all="ignore"):
        t, y, bias = reduced(sums, x)
        centre = box(values)[0]
        # Squares too: they are the sizes of the expansions.
        if not all(np.isfinite(array * array).all() for array in (t, y, bias, centre)):
            return None
    find: Finder = partial(_by_nodes, t, y, bias, values - centre)
    if order is not None:
        find = partial(_by_expansion, t, y, bias, values - centre, order)
    chosen, tol = _checked_rows(t, order), how.tol / MARGIN
    finer = replace(how, tol=tol)
    for attempt in range(TRIES):
        with np.errstate(all="ignore"):
            both = find(finer, attempt)
        if both is None or not np.isfinite(both[0]).all():
            return None
        found, divisors = both[0] + centre, both[1]
        rows = np.union1d(chosen, _least(divisors))
        part = None if order is None else (order[0][rows], order[1])
        exact = sums.mean(x[rows], values, part)
        # The smaller of two sizes: an outlier moves the centre, a shift moves the origin.
        scale = min(np.abs(exact).max(), np.abs(exact - centre).max())
        if np.abs(found[rows] - exact).max() <= tol * scale:
            return found
    return None


def reduced(sums: SoftmaxSum, x: Array) -> tuple[Array, Array, Array]:
    """Return t (m, d), y (n, d) and a bias with t.y + bias the scores, up to a number a target.

    Both are turned to axes in which the keys are uncorrelated, and the targets are centred.
    """
    middle, keys = box(x)[0], sums.keys - box(sums.keys)[0]
    bias = sums.bias + keys @ sums.queries(middle)
    y = keys @ sums.query
    products = y.T @ y
    axes = np.linalg.eigh(products)[1] if np.isfinite(products).all() else np.eye(len(products))
    return (x - middle) @ axes, y @ axes, bias


def _checked_rows(t: Array, order: Order | None) -> Array:
    """Return the targets at which the means are checked."""
    draws = np.random.default_rng(SEED).integers(len(t), size=CHECKS)
    far = (t**2).sum(axis=1).argmax()
    rows = [draws, t.argmax(axis=0), t.argmin(axis=0), np.array([far])]
    if t.shape[1] > 1:  # nearest to each corner of the box
        half = box(t)[1]
        signs = np.array(list(product((-1, 1), repeat=t.shape[1])))
        rows.append((t / np.where(half > 0, half, 1.0) @ signs.T).argmax(axis=0))
    if order is not None:
        rows.append(np.argsort(order[0], kind="stable")[: CHECKS // 4])
    return np.unique(np.concatenate(rows))


def _least(divisors: Array) -> Array:
    """Return the targets with the least divisors."""
    few = min(LEAST, len(divisors)) - 1
    return np.asarray(np.argpartition(divisors, few)[: few + 1])


def _by_nodes(
    t: Array, y: Array, bias: Array, values: Array, how: Evaluation, attempt: int
) -> tuple[Array, Array] | None:
    nodes = nodes_needed(t, y, how.tol)
    if nodes is None:
        return None
    nodes = nodes.times(MORE**attempt)
    return (
        None if _too_dear(nodes, t, values, how) else means_and_divisors(t, y, bias, values, nodes)
    )


def _too_dear(nodes: Nodes, t: Array, values: Array, how: Evaluation) -> bool:
    """Return whether so many nodes are beyond memory or, for "auto", slower than exact sums."""
    m, (n, c) = len(t), values.shape
    products, exponentials = nodes.total * (c + 1), sum(nodes.counts)
    time = (m + n) * (PRODUCT * products + EXPONENTIAL * exponentials)
    return nodes.total > MOST_NODES or (how.method == "auto" and time > PAIR * m * n)


def _by_expansion(
    t: Array,
    y: Array,
    bias: Array,
    values: Array,
    order: Order,
    how: Evaluation,
    attempt: int,
) -> tuple[Array, Array] | None:
    finer = how.tol * 10.0 ** (-2 * attempt)
    return None if finer < SMALLEST else causal_means(t, y, bias, values, order, finer)
