r"""Distances between clouds in dimension two or more: a linear program, and a proof of its answer.

A solver in floating point numbers knows its prices to within rounding of the largest cost. Beside
one far token all other costs drown in that. So the plan is proved: for any prices u and v the
reduced costs $r_{ij} = c_{ij} - u_i - v_j$ make the same plans optimal, and a plan $\pi$ with
$r\ge 0$ costs at most $\sum\pi_{ij}r_{ij}$ more than the best. While that is not small beside its
cost, the reduced costs, cut where they are large, are the costs of the next program: prices gain
some digits each time. Cutting only lowers costs, so it never spoils the bound.
"""

from __future__ import annotations

import numpy as np

from transpde.checks import Array

__all__ = ["LARGEST_PLAN", "cloud_distance", "distances_of_pairs"]

LARGEST_PLAN = 50_000_000  # pairs of tokens; the linear program holds about 72 bytes for each
PROVED = 1e-9  # excess over the best plan, relative to the cost, that counts as none
FINER = 1e-6  # the largest cost of a program over that of the one before it
SLIVER = 2.0**-50  # the mass on one side of a flow, relative to which it may be rounding
SHARE = 2.0**-40  # the same, of the mass of a token
SMALL, LARGE = 1e-140, 1e300  # a distance whose square is a number; a power that is one
TINY = 1e-250  # a cost so small, beside one, has lost digits


def cloud_distance(x: Array, a: Array, y: Array, b: Array, p: float) -> float:
    """Return the Wasserstein distance of clouds with positive weights of sum one."""
    n, m = len(x), len(y)
    if n * m > LARGEST_PLAN:
        raise ValueError(
            f"mu, nu: in dimension 2 or more at most {LARGEST_PLAN:.0e} pairs of tokens fit; "
            f"got {n} and {m}, whose linear program takes about {72e-9 * n * m:.3g} GB. Subsample "
            "both, measure.sample(n, seed), or compare projections on a line (dimension 1)."
        )
    gaps = distances_of_pairs(x, y)
    a, b = _masses(a, b)
    scale = gaps.max()
    while scale > 0:
        with np.errstate(over="ignore"):
            costs = np.minimum((gaps / scale) ** p, LARGE)
        plan = _best_plan(costs, a, b)
        mean = float((plan * costs).sum() / plan.sum())
        longest = gaps[plan > 0].max()
        if mean > TINY or longest == scale:
            return float(scale * mean ** (1 / p))
        scale = longest  # powers of what the plan uses are lost beside the largest of all
    return 0.0


def distances_of_pairs(x: Array, y: Array) -> Array:
    """Return the distances (n, m) of points (n, d) and (m, d); no square underflows."""
    from scipy.spatial.distance import cdist

    gaps = cdist(x, y)
    near = np.nonzero(gaps < SMALL)
    gaps[near] = np.hypot.reduce(x[near[0]] - y[near[1]], axis=-1)
    return gaps


def _masses(a: Array, b: Array) -> tuple[Array, Array]:
    """Return masses of one sum: whole numbers, whose flows are exact, for equal weights."""
    if (a == a[0]).all() and (b == b[0]).all():
        common = np.gcd(len(a), len(b))
        return np.full(len(a), len(b) / common), np.full(len(b), len(a) / common)
    return a, b


def _best_plan(costs: Array, a: Array, b: Array) -> Array:
    """Return a plan (n, m) that costs the least, to within `PROVED` of that.

    Raises:
        RuntimeError: no plan could be proved to be the best.
    """
    import ot  # heavy: only where it is used

    reduced, largest, excess = costs, costs.max(), np.inf
    while largest > TINY:
        plan, found = ot.emd(
            a, b, np.minimum(reduced, largest) / largest, numItermax=10_000_000, log=True
        )
        if found["warning"] is not None:
            raise RuntimeError(
                f"wasserstein: the linear program did not converge: {found['warning']}"
            )
        reduced = _less(reduced, largest * found["u"], largest * found["v"])
        plan = _without_slivers(plan, a, b)
        cost, excess = (plan * costs).sum(), (plan * reduced).sum()
        if excess <= PROVED * cost:
            return plan
        largest *= FINER
    raise RuntimeError(
        "wasserstein: no plan could be proved to be the best; the one found may cost "
        f"{excess / cost:.1e} more, relative to its cost. Compare clouds of fewer scales, or take "
        "a smaller p."
    )


def _less(costs: Array, u: Array, v: Array) -> Array:
    """Return costs less the prices of rows and columns, those of rows lowered to keep signs."""
    # Prices may nearly cancel: what rounding takes from their sum is taken off after it.
    prices = u[:, None] + v
    part = prices - u[:, None]
    rest = (u[:, None] - (prices - part)) + (v - part)
    prices = costs - prices
    prices -= rest
    prices -= np.minimum(prices.min(axis=1, keepdims=True), 0.0)
    return prices


def _without_slivers(plan: Array, a: Array, b: Array) -> Array:
    """Take off flows that are no more than rounding in the masses that they make even.

    The flows of a plan make a forest. Two parts of it that one flow joins are of one mass but for
    that flow; where it is rounding beside both, and beside the masses of its two tokens, it is
    none. Beside a far token it would decide.
    """
    rows, columns = np.nonzero(plan)
    flows = plan[rows, columns]
    small = flows <= SLIVER * a.sum()
    if small.any():
        small &= flows <= SHARE * np.minimum(a[rows], b[columns])
    if small.any():
        sides = _lesser_sides(rows, len(a) + columns, np.concatenate([a, b]) / 2)
        small &= flows <= SLIVER * sides
        plan[rows[small], columns[small]] = 0.0
    return plan


def _lesser_sides(starts: Array, ends: Array, masses: Array) -> Array:
    """Return for each edge of a forest the lesser mass of the two parts that it joins."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order, connected_components

    N = len(masses)
    graph = coo_array((np.ones(len(starts)), (starts, ends)), shape=(N + 1, N + 1))
    label = connected_components(graph, directed=False)[1][:N]
    roots = np.unique(label, return_index=True)[1]
    edges = np.concatenate([starts, roots]), np.concatenate([ends, np.full(len(roots), N)])
    tree = coo_array((np.ones(len(edges[0])), edges), shape=(N + 1, N + 1)).tocsr()
    order, above = breadth_first_order(tree, N, directed=False)
    sums = np.append(masses, 0.0)
    for node in order[:0:-1]:
        sums[above[node]] += sums[node]
    whole = sums[roots][label[starts]]
    below = sums[np.where(above[starts] == ends, starts, ends)]
    return np.minimum(below, whole - below)
