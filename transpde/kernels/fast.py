r"""Sums over tokens faster than pair by pair, checked at every call on exact sums.

For each kind of sum there are `Finder`s; `_task` says which are tried, and in which order. In at
most three dimensions they interpolate; softmax means in more, or behind a mask, come from the
separable expansion, whose cost is that of the axes along which the tokens are spread. What is
checked, with a margin: seeded draws of targets, the extremes of each axis, those nearest to the
corners of their box and the farthest from its centre, behind a mask those that see least, and
those whose quotients have the least divisors, where an error is magnified most; of sums without a
divisor, the largest ones. Where the check or the cost says no, the sums are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np

from transpde.checks import Array
from transpde.kernels.blocks import across, box, one_blas_thread
from transpde.kernels.choice import Evaluation
from transpde.kernels.expanded import BLOCK, causal_means, cost, means_and_shares
from transpde.kernels.nodes import interpolated_sums, means_and_divisors, nodes_needed
from transpde.kernels.pointwise import both_sides, doubly_interpolated_sums
from transpde.kernels.separable import halves, scaled
from transpde.kernels.sums import Order, PointwiseSum, SoftmaxSum, TokenSum

__all__ = ["CHECKS", "DIMENSIONS", "SEED", "fast_mean", "reduced", "token_mean"]

DIMENSIONS = 3
# Tokens and targets; fewer are summed exactly by default, where nodes would serve and where
# expansions would. From there on the costs below decide.
NODES_FROM, EXPANSIONS_FROM = 512, 2048
CHECKS, SEED = 64, 0
LEAST = 16  # least divisors whose means are checked
MARGIN = 4.0  # by which checked errors are below the tolerance: those of other targets are larger
TRIES, MORE = 3, 1.25  # attempts, and nodes along an axis from one to the next
SMALLEST = 1e-17  # no expansion is finer
# Nanoseconds: a pair of exact sums, a multiply-add of the matrix products, an exponential, a call,
# and in a call the checks and what else each token takes.
PAIR, PRODUCT, EXPONENTIAL, CALL, TOKEN = 1.2, 0.06, 3.0, 4e5, 240.0
EXPANDING = 2e6  # a call of an expansion
# In three dimensions an expansion has far fewer terms than there are nodes where the product of
# the sizes of the axes is large, and reaches the tolerance where none of them is.
MANY, LONG = 8.0, 16.0
COLUMN = 0.07  # more of a pair for each column of the values
MOST_NODES, MOST_TERMS = 100_000, 100_000
FINER = 0.01  # the tolerance of an expansion from one attempt to the next
TURNING = 8  # tokens for each entry of the matrix that turns them, from which turning is cheap
CORNERS = 6  # the longest axes, whose corners are checked
MOST_PAIRS = 100_000_000  # of nodes on both sides, where there are not more of targets and tokens

# What finds sums to a tolerance, finer at each attempt, and with them numbers: where these are
# least, the sums are checked. None where it should not or cannot.
Finder = Callable[[Evaluation, int], tuple[Array, Array] | None]


class Task(NamedTuple):
    """How the sums of one cloud are looked for."""

    t: Array  # the targets, turned
    centre: Array  # what comes off the values, and back to the means
    finders: list[Finder]  # one after another, until one keeps the tolerance


def token_mean(
    sums: TokenSum, x: Array, values: Array, order: Order | None, how: Evaluation
) -> Array:
    """Return the sums of P(x_i, j) values_j, shape (..., m, d), by the method, to the tolerance.

    The values have the leading axes of the stack.
    """
    exact = how.method == "exact" or not x.size
    if exact or (how.method == "auto" and _few(x, values, order)):
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
    sums: TokenSum, x: Array, values: Array, order: Order | None, how: Evaluation
) -> Array | None:
    """Return the sums within the tolerance, or None where exact ones are better or needed."""
    if how.method == "auto" and _few(x, values, order):
        return None
    if not all(np.isfinite(array).all() for array in (x, values)):
        return None
    with np.errstate(all="ignore"):
        task = _task(sums, x, values, order)
    if task is None:
        return None
    rows = _checked_rows(task.t, order)

    def exact(some: Array) -> Array:
        part = None if order is None else (order[0][some], order[1])
        return sums.mean(x[some], values, part)

    for find in task.finders:
        found = _within(task.centre, find, rows, exact, how)
        if found is not None:
            return found
    return None


def _few(x: Array, values: Array, order: Order | None) -> bool:
    """Return whether there are so few targets or tokens that a fast sum is not tried."""
    planar = x.shape[-1] <= DIMENSIONS and order is None
    return min(x.shape[-2], values.shape[-2]) < (NODES_FROM if planar else EXPANSIONS_FROM)


def _within(
    centre: Array, find: Finder, chosen: Array, exact: Callable[[Array], Array], how: Evaluation
) -> Array | None:
    """Return what an attempt finds that exact sums agree with, or None."""
    tol = how.tol / MARGIN
    finer = replace(how, tol=tol)
    for attempt in range(TRIES):
        with np.errstate(all="ignore"):
            both = find(finer, attempt)
        if both is None or not np.isfinite(both[0]).all():
            return None
        found, doubts = both
        for column, middle in zip(found.T, centre, strict=True):
            column += middle
        rows = np.union1d(chosen, _least(doubts))
        right = exact(rows)
        # The smaller of two sizes: an outlier moves the centre, a shift moves the origin.
        scale = min(np.abs(right).max(), np.abs(right - centre).max())
        if np.abs(found[rows] - right).max() <= tol * scale:
            return found
    return None


def _task(sums: TokenSum, x: Array, values: Array, order: Order | None) -> Task | None:
    """Return how sums of this kind are looked for; None where there is no way."""
    few_axes = x.shape[1] <= DIMENSIONS
    if isinstance(sums, SoftmaxSum) and (few_axes or TURNING * x.shape[1] ** 2 <= len(x)):
        return _softmax(sums, x, values, order)
    if isinstance(sums, PointwiseSum) and order is None and few_axes:
        return _exponential(sums, x, values) or _pointwise(sums, x, values)
    return None


def _softmax(sums: SoftmaxSum, x: Array, values: Array, order: Order | None) -> Task | None:
    t, y, bias = reduced(sums, x)
    centre = box(values)[0]
    if not _squares_finite(t, y, bias, centre):
        return None
    values = across(values, centre).T
    by_nodes: Finder = partial(_by_nodes, t, y, bias, values, None)
    by_expansion: Finder = partial(_by_expansion, t, y, bias, values, order)
    if order is not None or x.shape[1] > DIMENSIONS:
        return Task(t, centre, [by_expansion])
    sizes = box(t)[1] * box(y)[1]
    many = x.shape[1] == DIMENSIONS and sizes.prod() > MANY and sizes.max() <= LONG
    return Task(t, centre, [by_expansion, by_nodes] if many else [by_nodes])


def _exponential(sums: PointwiseSum, x: Array, values: Array) -> Task | None:
    """Return how sums without normalisation are looked for, where the weights are exponentials."""
    known = sums.exponential()
    if known is None:
        return None
    alike = SoftmaxSum(sums.query, sums.shift, sums.keys, known[0])
    t, y, bias = reduced(alike, x)
    heights = sums.queries(x) @ box(sums.keys)[0]  # what a softmax does not see
    if not _squares_finite(t, y, bias, heights):
        return None
    find: Finder = partial(_by_nodes, t, y, bias, values, heights)
    return Task(t, np.zeros(values.shape[1]), [find])


def _pointwise(sums: PointwiseSum, x: Array, values: Array) -> Task | None:
    """Return how sums of weights that are a function of the score are looked for."""
    if len(sums.query) <= x.shape[1]:
        t, y = sums.queries(x), sums.keys
    elif sums.shift is None:
        t, y = x, sums.keys @ sums.query
    else:
        return None
    keys = across(y, box(y)[0])
    axes = _axes(keys @ keys.T)
    t, y, columns = t @ axes, y @ axes, sums.weights * values.T
    if not _squares_finite(t, y, columns):
        return None
    find: Finder = partial(_by_both_sides, t, y, columns, sums.function)
    return Task(t, np.zeros(values.shape[1]), [find])


def _squares_finite(*arrays: Array) -> bool:
    """Return whether the arrays and their squares, sizes of expansions, are finite."""
    ends = np.array([(array.min(), array.max()) for array in arrays])
    return bool(np.isfinite(ends * ends).all())


def reduced(sums: SoftmaxSum, x: Array) -> tuple[Array, Array, Array]:
    """Return t (m, d), y (n, d) and a bias with t.y + bias the scores, up to a number a target.

    Both are turned to axes in which the keys are uncorrelated, and the targets are centred.
    """
    middle, keys = box(x)[0], across(sums.keys, box(sums.keys)[0])
    bias = sums.bias + sums.queries(middle) @ keys
    y = sums.query.T @ keys
    axes = _axes(y @ y.T).T
    return (axes @ across(x, middle)).T, (axes @ y).T, bias


def _axes(products: Array) -> Array:
    """Return axes (d, d) along which keys with these products (d, d) are uncorrelated."""
    return np.linalg.eigh(products)[1] if np.isfinite(products).all() else np.eye(len(products))


def _checked_rows(t: Array, order: Order | None) -> Array:
    """Return the targets at which the means are checked."""
    draws = np.random.default_rng(SEED).integers(len(t), size=CHECKS)
    far = np.einsum("ia,ia->i", t, t).argmax()
    rows = [draws, t.argmax(axis=0), t.argmin(axis=0), np.array([far])]
    if t.shape[1] > 1:  # nearest to each corner of the box
        half = box(t)[1]
        near = 1 / np.where(half > 0, half, 1.0)
        flat = half < np.sort(half)[-CORNERS:][0]  # of many axes, the shorter ones
        near[flat] = 0.0
        sides = [(0,) if one else (-1, 1) for one in flat]
        rows.append(np.array([(t @ (near * signs)).argmax() for signs in product(*sides)]))
    if order is not None:
        rows.append(np.argsort(order[0], kind="stable")[: CHECKS // 4])
    return np.unique(np.concatenate(rows))


def _least(doubts: Array) -> Array:
    """Return the targets with the least numbers."""
    few = min(LEAST, len(doubts)) - 1
    return np.asarray(np.argpartition(doubts, few)[: few + 1])


def _by_nodes(
    t: Array, y: Array, bias: Array, values: Array, heights: Array | None, how: Evaluation,
    attempt: int,
) -> tuple[Array, Array] | None:  # fmt: skip
    """Return means, or sums where heights are given; None where they would need too many nodes."""
    nodes = nodes_needed(t, y, how.tol)
    if nodes is None:
        return None
    nodes = nodes.times(MORE**attempt)
    exponentials, c = sum(nodes.counts), values.shape[1]
    work = PRODUCT * nodes.total * (c + 1) + EXPONENTIAL * exponentials
    if _too_dear(nodes.total, (len(t) + len(y)) * work, t, y, how):
        return None
    if heights is None:
        return means_and_divisors(t, y, bias, values, nodes)
    return _with_sizes(interpolated_sums(t, y, bias, values, heights, nodes))


def _by_both_sides(
    t: Array, y: Array, columns: Array, function: Callable[[Array], Array], how: Evaluation,
    attempt: int,
) -> tuple[Array, Array] | None:  # fmt: skip
    nodes = both_sides(t, y, function, how.tol)
    if nodes is None:
        return None
    nodes = nodes.times(MORE**attempt)
    sides = zip((len(t), len(y)), nodes, strict=True)
    time = sum(k * PRODUCT * side.total * len(columns) for k, side in sides) + PAIR * nodes.pairs
    dear = _too_dear(max(side.total for side in nodes), time, t, y, how)
    if dear or nodes.pairs > max(MOST_PAIRS, len(t) * len(y)):
        return None
    return _with_sizes(doubly_interpolated_sums(t, y, columns, function, nodes))


def _with_sizes(found: Array) -> tuple[Array, Array]:
    """Return sums (m, c) with minus their sizes: the largest are checked."""
    return found, -np.abs(found).max(axis=1)


def _too_dear(nodes: int, time: float, t: Array, y: Array, how: Evaluation) -> bool:
    """Return whether so many nodes are beyond memory or, for "auto", slower than exact sums."""
    spent = time + CALL + TOKEN * len(y)
    return nodes > MOST_NODES or (how.method == "auto" and spent > PAIR * len(t) * len(y))


def _by_expansion(
    t: Array, y: Array, bias: Array, values: Array, order: Order | None, how: Evaluation,
    attempt: int,
) -> tuple[Array, Array] | None:  # fmt: skip
    tol = how.tol * FINER**attempt
    terms = None if tol < SMALLEST else halves(scaled(t, y).radii, tol)
    if terms is None or len(terms) > MOST_TERMS:
        return None
    m, n = len(t), len(y)
    time, pairs = (m + n) * cost(terms, values.shape[1] + 1) + EXPANDING + TOKEN * n, m * n
    if order is not None:
        time, pairs = time + m * BLOCK * PAIR, m * n // 2
    if how.method == "auto" and time > (PAIR + COLUMN * values.shape[1]) * pairs:
        return None
    if order is None:
        return means_and_shares(t, y, bias, values, terms)
    return causal_means(t, y, bias, values, order, terms)
