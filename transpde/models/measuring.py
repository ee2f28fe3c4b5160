"""What all heads of a model do to the tokens of a text: one number a head, against its twin."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from transpde.checks import Array, finite_array, of_kind, outlined, plain_array, positive_integer
from transpde.fields import quiet
from transpde.models.lifting import score_spread, twin
from transpde.models.model import Model, Projections, TokenPath
from transpde.theory import real

__all__ = ["HeadTable", "cut", "head_table", "mean_cosine", "twin_table"]

WHOLE = "path: must come from model(tokens) with all layers in order; got {}."

SINKS = 3  # tokens that the law takes exactly


@outlined
class HeadTable(NamedTuple):
    r"""Numbers of all heads on the tokens of a path, each of shape (L, H).

    A head that gives all tokens the same, as one that was pruned by zeros, has no shares: NaN.

    Attributes:
        spread: $\sigma$, see `score_spread`.
        share: leave-one-out $R^2$ of the best affine map of the queries, see
            `transpde.theory.real.affine_share`.
        law: $R^2$ of the Gaussian law $V(m + \Sigma Ax)$.
        law_with_sinks: the same with the three heaviest tokens exact.
        sink_mass: the mean weight of the three heaviest tokens together.
        heaviest: which token has the largest mean weight.
        slope_share: $\rho$, see `transpde.theory.real.slope_share`.
        shrinkage: $\langle S, C\rangle/\langle C, C\rangle$ of the Stein slope S and C.
        impossible: the share of queries for which the law leaves the hull of the tokens.
    """

    spread: Array
    share: Array
    law: Array
    law_with_sinks: Array
    sink_mass: Array
    heaviest: Array
    slope_share: Array
    shrinkage: Array
    impossible: Array


def cut(ids: Any, n: int) -> Array:
    """Return the first n - 1 ids and the last one: a BERT's text cut to n tokens.

    Args:
        ids: shape (m,), as `Model.encode` gives them, with m at least n.
        n: how many to keep.

    Raises:
        ValueError: ids that are no integers, fewer than n.

    Source: ours (chapter on seventy-two heads).

    Example:
        >>> from transpde import models
        >>> models.cut([101, 7, 8, 9, 102], 3)
        array([101,   7, 102])
    """
    all_ids, n = plain_array("ids", ids, "iu"), positive_integer("n", n)
    if all_ids.ndim != 1 or len(all_ids) < n:
        raise ValueError(
            f"ids: must be at least n = {n} in a row; got shape {all_ids.shape}. "
            "A shorter text needs no cut: give its ids to the model as they are."
        )
    return np.append(all_ids[: n - 1], all_ids[-1])


@quiet
def mean_cosine(points: Any) -> float:
    """Return the mean cosine of the angle between two different tokens.

    Args:
        points: tokens, shape (n, d), n at least 2, none zero.

    Raises:
        ValueError: fewer than two tokens, one that is zero.

    Source: ours (chapter on collapse).

    Example:
        >>> from transpde import models
        >>> models.mean_cosine([[1.0, 0.0], [0.0, 2.0]])
        0.0
    """
    x = finite_array("points", points, "n d")
    sizes = np.abs(x).max(axis=1, keepdims=True)
    if len(x) < 2 or not sizes.min() > 0:
        raise ValueError(f"points: must be at least two tokens, none zero; got {len(x)} tokens.")
    x = x / sizes
    total = (x / np.linalg.norm(x, axis=1, keepdims=True)).sum(axis=0)
    return float((total @ total - len(x)) / (len(x) * (len(x) - 1)))


@quiet
def head_table(model: Model, path: TokenPath) -> HeadTable:
    """Return the numbers of all heads of a model on a path of its tokens.

    Behind a causal mask each token sees another measure, so what supposes one is NaN: the laws,
    the share of the slope, the shrinkage and the impossible share.

    Args:
        model: see `read`.
        path: `model(tokens)`.

    Raises:
        TypeError: no model, no path.
        ValueError: fewer tokens than an affine map of the queries has coefficients, a path of
            other layers or without some.

    Source: ours (chapter on seventy-two heads).
    """
    same_path(model, path)
    rows = []
    for l in range(model.depth):
        measure = model.measure(l, path.points[l])
        made = model.projections(l, measure)
        spreads = score_spread(model.attention(l), measure)
        weights = made.weights
        outputs = weights @ made.values
        rows.append([
            (spreads[h], affine_share(made.queries[h], outputs[h]),
             *_of_weights(weights[h]), *_of_laws(made, h, outputs[h]))
            for h in range(model.heads)
        ])  # fmt: skip
    table = np.moveaxis(np.array(rows), -1, 0)
    spread, share, mass, heaviest, law, sinks, rho, shrinkage, impossible = table
    return HeadTable(
        spread, share, law, sinks, mass, heaviest.astype(int), rho, shrinkage, impossible
    )


def affine_share(queries: Array, outputs: Array) -> float:
    """Return `real.affine_share`, NaN of a head that gives all tokens the same."""
    return real.affine_share(queries, outputs) if _varies(outputs) else np.nan


def _varies(outputs: Array) -> bool:
    """Return whether outputs (n, k) differ by more than rounding."""
    size = 1e3 * np.finfo(float).eps * np.abs(outputs).max()
    return bool(np.abs(outputs - outputs.mean(axis=0)).max() > size)


def _of_weights(weights: Array) -> tuple[float, int]:
    mean = weights.mean(axis=0)
    return np.sort(mean)[-SINKS:].sum(), int(mean.argmax())


def _of_laws(made: Projections, h: int, outputs: Array) -> tuple[float, ...]:
    if made.causal or not _varies(outputs):
        return (np.nan,) * 5
    arrays = made.queries[h], made.keys[h], made.values[h]
    laws = [
        real.explained_share(outputs, real.gaussian_outputs(*arrays, exact=r)) for r in (0, SINKS)
    ]
    keys, values = (M - M.mean(axis=0) for M in arrays[1:])
    C = values.T @ keys / len(keys)
    shrinkage = (real.stein_slope(*arrays) * C).sum() / (C**2).sum()
    impossible = real.impossible_share(*arrays[:2])
    return (*laws, real.slope_share(*arrays), shrinkage, impossible)


@quiet
def twin_table(model: Model, path: TokenPath, seeds: Any = (0, 100)) -> tuple[Array, Array]:
    """Return the affine share and the shrinkage of all heads on twins of a path's tokens.

    The twin of a layer is drawn once for all its heads, see `twin`: its tokens give queries, keys
    and values. Layer l takes the seeds s + l; the numbers are means over the seeds.

    Args:
        model: see `read`.
        path: `model(tokens)`.
        seeds: integers s, one at least.

    Returns:
        Two arrays (L, H); behind a causal mask the shrinkage is NaN, and both are of a head that
        gives all tokens the same.

    Raises:
        TypeError: no model, no path.
        ValueError: seeds that are no integers of at least 0, a path of other layers.

    Source: ours (chapter on seventy-two heads).
    """
    same_path(model, path)
    starts = plain_array("seeds", seeds, "iu")
    if starts.ndim != 1 or not starts.size or starts.min() < 0:
        raise ValueError(f"seeds: must be integers of at least 0 in a row; got {seeds!r}.")
    found = np.zeros((2, model.depth, model.heads))
    for l in range(model.depth):
        measure = model.measure(l, path.points[l])
        for s in starts:
            made = model.projections(l, twin(measure, int(s) + l))
            outputs = made.outputs
            for h in range(model.heads):
                share = affine_share(made.queries[h], outputs[h])
                found[:, l, h] += share, _of_laws(made, h, outputs[h])[3]
    return found[0] / len(starts), found[1] / len(starts)


def same_path(model: Model, path: TokenPath) -> None:
    """Refuse a path whose layers cannot be those of the model, all and in order."""
    of_kind("model", model, Model)
    points = of_kind("path", path, TokenPath).points
    wanted, came = (model.depth + 1, model.dimension), (len(points), points.shape[-1])
    if came != wanted:
        raise ValueError(
            WHOLE.format(
                f"tokens {came[0]} times in dimension {came[1]}, not {wanted[0]} times "
                f"in dimension {wanted[1]}"
            )
        )
    if path.causal != model.layout.causal:
        kinds = ("without a mask", "behind a causal mask")
        raise ValueError(WHOLE.format(f"one {kinds[path.causal]}"))
