"""Wasserstein distances between measures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from transpde.checks import Array, finite_array, of_kind, same_size
from transpde.distances.clouds import cloud_distance, distances_of_pairs
from transpde.distances.line import Pieces, line_distance, mean_of_order
from transpde.fields import quiet
from transpde.measures import Gaussian, Grid, Measure, Particles
from transpde.measures.axes import lengths
from transpde.measures.axial import order_of

__all__ = ["aligned", "bures", "conditional_wasserstein", "wasserstein"]

SAME_POSITION = 1e-9  # relative to the largest position; and for masses


@quiet
def wasserstein(mu: Measure, nu: Measure, p: float = 2) -> float | Array:
    r"""Return the Wasserstein distance $W_p(\mu, \nu)$.

    Two Gaussians (p = 2 only): the closed form. Two point clouds: the exact distance, from their
    quantile functions on the line, $W_p^p = \int_0^1 |F^{-1} - G^{-1}|^p$,
    and by a linear program in higher dimension, whose plan is proved to be the best by its prices,
    however different the sizes of the distances are. Grids on the line, with each other or with a
    point cloud: exact too, from quantile functions that are linear over each cell.

    Args:
        mu: `Particles`, `Gaussian` or a `Grid` on the line; positions of tokens have no part in
            it.
        nu: a measure of the same kind and dimension, or a `Grid` and `Particles`. Stacks of one
            shape, or one of the two a stack, are compared case by case. On a sphere too the
            distances of tokens are straight.
        p: the order, at least 1.

    Raises:
        ValueError: p < 1, p other than 2 for Gaussians, dimensions, stacks or spaces that differ,
            clouds of dimension 2 or more with over 50 million pairs of tokens.
        TypeError: measures of two kinds, a `Grid` of the plane.
        RuntimeError: no plan of two clouds could be proved to be the best to within a billionth of
            its cost.

    Source: `peyre2019computational`.

    Example:
        >>> import transpde as tp
        >>> tp.wasserstein(tp.Particles([[0.0], [1.0]]), tp.Particles([[3.0], [4.0]]))
        3.0
    """
    for name, measure in (("mu", mu), ("nu", nu)):
        of_kind(name, measure, Measure, "a measure")
    p = order_of("p", p)
    same_size("nu", nu.dimension, "mu", mu.dimension, "dimension")
    if isinstance(mu, Gaussian) and isinstance(nu, Gaussian):
        return _gaussian_distance(mu, nu, p)
    if isinstance(mu, Particles) and isinstance(nu, Particles):
        return _case_by_case(lambda x, y: _cloud_distance(*_carried(x), *_carried(y), p), mu, nu)
    if isinstance(mu, Grid | Particles) and isinstance(nu, Grid | Particles):
        return _case_by_case(lambda x, y: _cell_distance(_pieces(x), _pieces(y), p), mu, nu)
    raise TypeError(
        f"nu: must be of the same kind as mu, {type(mu).__name__}; got {type(nu).__name__}. "
        "Sample the Gaussian first: measure.sample(n, seed), or make a grid of it: "
        "Grid.from_gaussian(edges, gaussian)."
    )


@quiet
def conditional_wasserstein(mu: Particles, nu: Particles, p: float = 2) -> float | Array:
    r"""Return the conditional Wasserstein distance of tokens with positions.

    For two measures with the same law $\theta$ of positions,
    $$d_p(\mu, \nu)^p = \int W_p(\mu(\cdot|s), \nu(\cdot|s))^p\,d\theta(s):$$
    mass moves only between tokens at the same position, so that an exchange of two tokens between
    positions counts, as it does for masked attention. Tokens at equal positions share a level;
    positions without mass are left out.

    Args:
        mu: `Particles` with positions.
        nu: `Particles` with positions, of the same dimension; its positions and the mass at each
            must be those of mu, to within 1e-9.
        p: the order, at least 1.

    Raises:
        ValueError: p < 1, no positions, other positions or masses, dimensions, stacks or spaces
            that differ.
        TypeError: a measure that is not Particles.
        RuntimeError: no plan of two levels could be proved to be the best.

    Source: `castin2025unified`.

    Example:
        >>> import transpde as tp
        >>> mu = tp.Particles([[0.0], [1.0]], positions=[0.0, 1.0])
        >>> nu = tp.Particles([[1.0], [0.0]], positions=[0.0, 1.0])
        >>> tp.wasserstein(mu, nu), tp.conditional_wasserstein(mu, nu)
        (0.0, 1.0)
    """
    p = order_of("p", p)
    for name, measure in (("mu", mu), ("nu", nu)):
        _with_positions(name, measure)
    same_size("nu", nu.dimension, "mu", mu.dimension, "dimension")
    return _case_by_case(lambda x, y: _conditional_distance(x, y, p), mu, nu)


def _conditional_distance(mu: Particles, nu: Particles, p: float) -> float:
    (s, theta, level), (t, other, other_level) = _positions(mu), _positions(nu)
    _same_marginal(s, theta, t, other)
    theta = theta + other  # equal to within 1e-9; so the distance is symmetric to the bit
    distances = np.empty(len(s))
    for i in range(len(s)):
        conditionals = _carried(mu, level == i), _carried(nu, other_level == i)
        distances[i] = _cloud_distance(*conditionals[0], *conditionals[1], p)
    return mean_of_order(distances, theta / theta.sum(), p)


def _case_by_case(distance: Callable[[Any, Any], float], mu: Any, nu: Any) -> Any:
    """Return the distance of two measures, or those of the cases of stacks, of their shape."""
    if mu.space != nu.space:
        raise ValueError(f"nu: must be in the space of mu, {mu.space}; got {nu.space}.")
    _same_stack("nu", nu.stack, "mu", mu.stack)
    stack = mu.stack or nu.stack
    if not stack:
        return distance(mu, nu)
    cases = [[m[i] if m.stack else m for m in (mu, nu)] for i in np.ndindex(stack)]
    return np.array([distance(*pair) for pair in cases]).reshape(stack)


def _with_positions(name: str, measure: Any) -> None:
    """Raise unless a measure is of tokens with positions."""
    of_kind(name, measure, Particles, "Particles with positions")
    if measure.positions is None:
        raise ValueError(
            f"{name}: must have positions; got none. "
            "Give them: Particles(points, weights, positions)."
        )


def _positions(measure: Particles) -> tuple[Array, Array, Array]:
    """Return the levels that have mass, the mass of each, and the level of each token or -1."""
    carried, places = measure.weights > 0, np.asarray(measure.positions)
    levels, index = np.unique(places[carried], return_inverse=True)
    level = np.full(len(carried), -1)
    level[carried] = index
    return levels, np.bincount(index, weights=measure.weights[carried]), level


def _same_marginal(s: Array, theta: Array, t: Array, other: Array) -> None:
    """Raise `ValueError`, with the first difference, unless two laws of positions agree."""
    n = min(len(s), len(t))
    size = max(np.abs(s).max(), np.abs(t).max())
    differ = np.abs(s[:n] - t[:n]) > SAME_POSITION * size
    differ |= np.abs(theta[:n] - other[:n]) > SAME_POSITION
    if len(s) == len(t) and not differ.any():
        return
    i = int(differ.argmax()) if differ.any() else n
    found = [
        f"position {levels[i]:.12g} with mass {mass[i]:.12g}" if i < len(levels) else "no more"
        for levels, mass in ((s, theta), (t, other))
    ]
    raise ValueError(
        "nu: its positions, and the mass at each, must be those of mu; the first difference is at "
        f"level {i}: mu has {found[0]}, nu has {found[1]}."
    )


@quiet
def bures(X: ArrayLike, Y: ArrayLike) -> float | Array:
    r"""Return the Bures distance between the covariances $XX^\top$ and $YY^\top$.

    It is the smallest $\|XR - Y\|_F$ over matrices R with orthonormal rows or columns (zero
    columns added where one factor is narrower). One singular value decomposition
    $X^\top Y = P D R^\top$ gives the best one, and $\|XP - YR\|_F$ has no cancellation: it is
    accurate for every rank and for covariances that nearly agree.

    Args:
        X: factor, shape (..., d, r).
        Y: factor, shape (..., d, s).

    Raises:
        ValueError: entries that are not finite, dimensions that differ.

    Source: `bhatia2019bures`.

    Example:
        >>> import transpde as tp
        >>> tp.bures([[1.0], [0.0]], [[3.0], [0.0]])
        2.0
    """
    X, Y = finite_array("X", X, "... d r"), finite_array("Y", Y, "... d s")
    same_size("Y", Y.shape[-2], "X", X.shape[-2], "number of rows")
    _same_stack("Y", Y.shape[:-2], "X", X.shape[:-2])
    # Each case times a power of two of its own: no square over- or underflows.
    exponent = np.maximum(*(np.frexp(np.abs(M).max(axis=(-2, -1)))[1] for M in (X, Y)))
    X, Y = aligned(*(np.ldexp(M, -exponent[..., None, None]) for M in (X, Y)))
    gap = X - Y
    distance = np.ldexp(lengths(gap.reshape(*gap.shape[:-2], -1), axis=-1), exponent)
    return distance if distance.ndim else float(distance)


def _same_stack(name: str, axes: tuple[int, ...], other: str, expected: tuple[int, ...]) -> None:
    if axes and expected and axes != expected:
        raise ValueError(
            f"{name}: its leading axes must match those of {other}, {expected}; got {axes}."
        )


def aligned(X: Array, Y: Array) -> tuple[Array, Array]:
    """Return factors of as many columns, turned so that the distance between them is least."""
    width = max(X.shape[-1], Y.shape[-1])
    X, Y = (np.pad(F, [(0, 0)] * (F.ndim - 1) + [(0, width - F.shape[-1])]) for F in (X, Y))
    P, _, Rt = np.linalg.svd(X.mT @ Y)
    return X @ P, Y @ Rt.mT


def _gaussian_distance(mu: Gaussian, nu: Gaussian, p: float) -> Any:
    if p != 2:
        raise ValueError(
            f"p: must be 2 for Gaussians, where the distance has a closed form; got {p}."
        )
    _same_stack("nu", nu.stack, "mu", mu.stack)
    factors = [g.scaled_factor for g in (mu, nu)]
    # The difference of two numbers near the end of the range may be beyond it: halves are not.
    apart = 2 * lengths(mu.mean / 2 - nu.mean / 2, axis=-1)
    distance = np.hypot(apart, bures(*factors))
    return distance if np.ndim(distance) else float(distance)


def _carried(measure: Particles, chosen: Any = True) -> tuple[Array, Array]:
    """Return the chosen points that carry weight, and their weights with sum one."""
    kept = (measure.weights > 0) & chosen
    weights = measure.weights[kept]
    return measure.points[kept], weights / weights.sum()


def _cloud_distance(x: Array, a: Array, y: Array, b: Array, p: float) -> float:
    x, y, exponent = _of_order_one(x, y)
    if len(x) == 1 or len(y) == 1:
        gaps = distances_of_pairs(x, y)
        distance = mean_of_order(gaps.ravel(), (a[:, None] * b).ravel(), p)
    elif x.shape[1] == 1:
        distance = line_distance(Pieces.of(a, *[x[:, 0]] * 2), Pieces.of(b, *[y[:, 0]] * 2), p)
    else:
        distance = cloud_distance(x, a, y, b, p)
    return float(np.ldexp(distance, exponent))


def _of_order_one(x: Array, y: Array) -> tuple[Array, Array, Any]:
    """Return both times a power of two, which does not round, and the power that was taken off."""
    exponent = np.frexp(max(np.abs(x).max(), np.abs(y).max()))[1]
    return np.ldexp(x, -exponent), np.ldexp(y, -exponent), exponent


def _pieces(measure: Grid | Particles) -> Pieces:
    """Return the pieces of a density or a cloud on the line."""
    if measure.dimension > 1:
        raise TypeError(
            "mu, nu: a Grid of the plane has no exact distance here; take its tokens, "
            "grid.particles, or draws of it, grid.sample(n, seed)."
        )
    if isinstance(measure, Grid):
        return Pieces.of(measure.masses, measure.edges[0][:-1], measure.edges[0][1:])
    return Pieces.of(measure.weights, *[measure.points[:, 0]] * 2)


def _cell_distance(mu: Pieces, nu: Pieces, p: float) -> float:
    x, y, exponent = _of_order_one(*(np.stack([m.low, m.high]) for m in (mu, nu)))
    distance = line_distance(Pieces(mu.masses, *x), Pieces(nu.masses, *y), p)
    return float(np.ldexp(distance, exponent))
