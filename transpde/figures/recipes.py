r"""The problems of the authors' scripts: matrices, starts, and attentions scaled as coded.

A recipe draws its matrices from the scripts' own generator and seeds, so they are the same
numbers. The starts are covariances of trace one on a regular grid of the unit disc, in the
coordinates $u = \Sigma_{11} - \Sigma_{22}$ and $w = 2\Sigma_{12}$.

The scripts scale each attention in its own way: softmax has $A = K^\top Q/\sqrt d$; head h of
several $A_h = K_h^\top Q_h/\sqrt k$ with k rows a head; L2 divides $A$ by $\sqrt d$ but not
$K^\top K$, which is the L2 attention of $Q/\sqrt d$ and $K$; Sinkhorn scales nothing. These are
kept, since a figure shows the problem its script solves.

Source: `castin2025unified`, the scripts (figures and seeds); `book/peer.yml` says which version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import transpde as tp
from transpde.checks import Array, positive_integer
from transpde.disc import unit_trace_matrices
from transpde.figures.covariance_paths import RTOL
from transpde.records import FigureData

__all__ = [
    "Recipe",
    "both",
    "explosion",
    "grid_starts",
    "l2",
    "line",
    "multi_head",
    "sinkhorn",
    "softmax",
    "two_lines",
    "zero",
]


@dataclass(frozen=True)
class Recipe:
    """The matrices and starts of a problem.

    Attributes:
        query: Q as drawn, shape (k, d).
        key: K as drawn, shape (k, d).
        value: V as used, shape (d, d).
        starts: covariances, shape (n, d, d).
        seed: of the draws, the first where there are two.
    """

    query: Array
    key: Array
    value: Array
    starts: Array
    seed: int

    @property
    def gaussians(self) -> tp.Gaussian:
        """The starts as centred Gaussians."""
        return tp.Gaussian.from_covariance(np.zeros(len(self.value)), self.starts)

    def figure(
        self,
        *,
        arrays: dict[str, Array],
        numbers: dict[str, Any],
        horizon: str,
        rtol: float = RTOL,
        also: str = "",
        **parameters: Any,
    ) -> FigureData:
        """Return the data of a figure whose paths are those of `planar_paths`."""
        matrices = {"query": self.query, "key": self.key, "value": self.value}
        scheme = {"method": f"DOP853 on the clock of the field{also}", "rtol": rtol}
        return FigureData(arrays, numbers, matrices | parameters, self.seed, scheme, horizon)


def spread_of(name: str, values: Array) -> dict[str, Any]:
    """Return the smallest, the largest and the mean of values, under their name."""
    return {
        f"{name}_min": values.min(),
        f"{name}_max": values.max(),
        f"{name}_mean": values.mean(),
    }


def scaling_change(S: Array, other: Array) -> dict[str, Any]:
    """Return by what covariances (n, 2, 2) of L2 change where keys are scaled as scores are."""
    change = np.linalg.norm(other - S, axis=(1, 2)) / np.linalg.norm(S, axis=(1, 2))
    return {
        "consistent_scaling_change_median": np.median(change),
        "consistent_scaling_change_max": change.max(),
    }


# --- starts --------------------------------------------------------------------------------------


def grid_starts(n: int, side: float) -> Array:
    """Return the covariances of trace one on an n x n grid of [-side, side]^2, inside the disc.

    Example:
        >>> from transpde.figures.recipes import grid_starts
        >>> grid_starts(40, 1.0).shape
        (1184, 2, 2)
    """
    ticks = np.linspace(-side, side, positive_integer("n", n))
    points = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 2)
    return unit_trace_matrices(points[(points**2).sum(axis=1) < 1.0])


# --- matrices ------------------------------------------------------------------------------------


def zero() -> Recipe:
    """Return the problem whose solutions tend to zero: K = -Q of full rank and V > 0."""
    draws = np.random.RandomState(35)  # the scripts' generator: no other draws these numbers
    Q = draws.uniform(size=(2, 2))
    G = draws.normal(size=(2, 2))
    return Recipe(Q, -Q, G @ G.T, grid_starts(10, 0.5), 35)


def line() -> Recipe:
    """Return the problem whose limits have rank one: K = -Q with a single row, V = I."""
    q = np.random.RandomState(36).normal(size=(1, 2))
    q = q / np.linalg.norm(q)
    return Recipe(q, -q, np.eye(2), grid_starts(10, 0.5), 36)


def two_lines() -> Recipe:
    """Return the problem with indefinite A + A^T and a V with eigenvalues of both signs."""
    Q, K = _query_and_key(36, indefinite=True)
    V = np.random.RandomState(32).normal(size=(2, 2))
    return Recipe(Q, K, V, grid_starts(20, 1.0), 36)


def explosion() -> Recipe:
    """Return the problem in which softmax blows up: A + A^T positive definite and V = I."""
    Q, K = _query_and_key(33, indefinite=False)
    return Recipe(Q, K, np.eye(2), grid_starts(40, 1.0), 33)


def both() -> Recipe:
    """Return the problem in which some starts converge and others blow up under softmax."""
    Q, K = _query_and_key(36, indefinite=True)
    draws = np.random.RandomState(35)
    draws.normal(size=8 * 7)
    return Recipe(Q, K, draws.normal(size=(2, 2)), grid_starts(30, 1.0), 36)


def _query_and_key(seed: int, *, indefinite: bool) -> tuple[Array, Array]:
    """Return the first normal pair with A + A^T indefinite, or else positive definite."""
    draws = np.random.RandomState(seed)
    while True:
        Q, K = draws.normal(size=(2, 2)), draws.normal(size=(2, 2))
        low, high = np.linalg.eigvalsh(K.T @ Q + Q.T @ K)
        if (low < 0 < high) if indefinite else (low > 0):
            return Q, K


# --- attentions ----------------------------------------------------------------------------------


def softmax(recipe: Recipe) -> tp.Softmax:
    """Return softmax attention as the scripts scale it, A = K^T Q / sqrt(d)."""
    scale = recipe.query.shape[1] ** 0.25
    return tp.Softmax(recipe.query / scale, recipe.key / scale, recipe.value)


def l2(recipe: Recipe, *, consistent: bool = False) -> tp.L2:
    """Return L2 attention as the scripts scale it, or with weights exp(-|Qx - Ky|^2 / sqrt(d))."""
    d = recipe.query.shape[1]
    if consistent:
        return tp.L2(recipe.query / d**0.25, recipe.key / d**0.25, recipe.value)
    return tp.L2(recipe.query / d**0.5, recipe.key, recipe.value)


def sinkhorn(recipe: Recipe) -> tp.Sinkhorn:
    """Return Sinkhorn attention as in the scripts, which do not scale it."""
    return tp.Sinkhorn(recipe.query, recipe.key, recipe.value)


def multi_head(recipe: Recipe, heads: int) -> tp.MultiHead:
    """Return the scripts' multi-head attention: each head owns d / H rows of Q, K and V.

    Head h moves its own coordinates alone. A head for whose rows Q has none is left out: it is
    empty, and its field zero.
    """
    d = recipe.query.shape[1]
    k = d // positive_integer("heads", heads)
    made: list[tp.Attention] = []
    for first in range(0, min(heads * k, len(recipe.query)), k):
        rows = slice(first, first + k)
        own = np.diag((np.arange(d) // k == first // k).astype(float))
        made.append(
            tp.Softmax(
                recipe.query[rows] / k**0.25, recipe.key[rows] / k**0.25, own @ recipe.value
            )
        )
    return tp.MultiHead(made)
