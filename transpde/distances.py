"""Wasserstein distances between measures."""

from __future__ import annotations

from typing import Any

import numpy as np
import ot

from transpde.checks import Array, finite_array, positive_number, same_size
from transpde.measures import Gaussian, Measure, Particles

__all__ = ["bures", "wasserstein"]


def wasserstein(mu: Measure, nu: Measure, p: float = 2) -> Any:
    r"""Return the Wasserstein distance $W_p(\mu, \nu)$.

    Two Gaussians (p = 2 only, stacks allowed): the closed form. Two point clouds: the exact
    distance, by a linear program.

    Args:
        mu: `Particles` or `Gaussian`.
        nu: a measure of the same kind and dimension.
        p: the order, at least 1.

    Raises:
        ValueError: p < 1, p other than 2 for Gaussians, dimensions that differ.
        TypeError: measures of two kinds.
        RuntimeError: the linear program does not converge.

    Source: `peyre2019computational`.

    Example:
        >>> import transpde as tp
        >>> tp.wasserstein(tp.Particles([[0.0], [1.0]]), tp.Particles([[3.0], [4.0]]))
        3.0
    """
    for name, measure in (("mu", mu), ("nu", nu)):
        if not isinstance(measure, Measure):
            raise TypeError(f"{name}: must be a measure; got {type(measure).__name__}.")
    p = _order(p)
    same_size("nu", nu.dimension, "mu", mu.dimension, "dimension")
    if isinstance(mu, Gaussian) and isinstance(nu, Gaussian):
        return _gaussian_distance(mu, nu, p)
    if isinstance(mu, Particles) and isinstance(nu, Particles):
        return _cloud_distance(mu, nu, p)
    raise TypeError(
        f"nu: must be of the same kind as mu, {type(mu).__name__}; got {type(nu).__name__}. "
        "Sample the Gaussian first: measure.sample(n, seed)."
    )


def _order(p: Any) -> float:
    order = positive_number("p", p)
    if order < 1:
        raise ValueError(f"p: must be at least 1; got {p!r}.")
    return order


def bures(X: Any, Y: Any) -> Any:
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
    size = max(np.abs(X).max(), np.abs(Y).max())
    if size == 0:
        distance = np.zeros(np.broadcast_shapes(X.shape[:-2], Y.shape[:-2]))
        return distance if distance.ndim else 0.0
    width = max(X.shape[-1], Y.shape[-1])
    X, Y = _widened(X / size, width), _widened(Y / size, width)  # no square over- or underflows
    P, _, Rt = np.linalg.svd(np.swapaxes(X, -2, -1) @ Y)
    gap = X @ P - Y @ np.swapaxes(Rt, -2, -1)
    distance = size * np.sqrt((gap**2).sum(axis=(-2, -1)))
    return distance if distance.ndim else float(distance)


def _same_stack(name: str, axes: tuple[int, ...], other: str, expected: tuple[int, ...]) -> None:
    if axes and expected and axes != expected:
        raise ValueError(
            f"{name}: its leading axes must match those of {other}, {expected}; got {axes}."
        )


def _widened(X: Array, width: int) -> Array:
    padding = [(0, 0)] * (X.ndim - 1) + [(0, width - X.shape[-1])]
    return np.pad(X, padding)


def _gaussian_distance(mu: Gaussian, nu: Gaussian, p: float) -> Any:
    if p != 2:
        raise ValueError(
            f"p: must be 2 for Gaussians, where the distance has a closed form; got {p}."
        )
    _same_stack("nu", nu.stack, "mu", mu.stack)
    factors = [g.factor * np.exp(g.log_scale / 2)[..., None, None] for g in (mu, nu)]
    distance = np.hypot(np.linalg.norm(mu.mean - nu.mean, axis=-1), bures(*factors))
    return distance if np.ndim(distance) else float(distance)


def _cloud_distance(mu: Particles, nu: Particles, p: float) -> float:
    size = max(np.abs(mu.points).max(), np.abs(nu.points).max()) or 1.0
    gaps = np.linalg.norm(mu.points[:, None] / size - nu.points / size, axis=-1)
    scale = gaps.max()
    if scale == 0:
        return 0.0
    # A cost of order one keeps the solver's tolerance meaningful; p-th powers do not overflow.
    cost = np.ascontiguousarray((gaps / scale) ** p)
    total, log = ot.emd2(
        mu.weights / mu.weights.sum(),
        nu.weights / nu.weights.sum(),
        cost,
        numItermax=10_000_000,
        log=True,
    )
    if log["warning"] is not None:
        raise RuntimeError(f"wasserstein: the linear program did not converge: {log['warning']}")
    return float(size * scale * max(total, 0.0) ** (1 / p))
