"""Heads replaced by maps that see their query alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from transpde.checks import Array, choice, plain_array
from transpde.models.measuring import same_path
from transpde.models.model import Model, Projections, TokenPath
from transpde.theory import real

__all__ = ["replacement"]

Map = tuple[Array, Array]  # slope and offset


def replacement(
    model: Model, path: TokenPath, chosen: Any, by: str = "affine"
) -> Callable[[int, Array, Array], Array]:
    r"""Return an `edit` that puts a map $q\mapsto Bq + c$ in the place of chosen heads.

    The maps are made on a path of the intact model, each for its head: "affine" is the least
    squares fit of the outputs to the queries, "stein" has the Stein slope and is right at the
    mean, "constant" is the mean output, "zero" nothing.

    Args:
        model: see `read`.
        path: `model(tokens)` of the intact model.
        chosen: which heads, truth values of shape (L, H).
        by: the kind of the maps.

    Returns:
        A function for `model(tokens, edit=...)`.

    Raises:
        TypeError: no model, no path.
        ValueError: truth values of another shape, an unknown kind, "stein" behind a causal mask, a
            path of other layers.

    Source: ours (chapter on seventy-two heads).
    """
    same_path(model, path)
    make = KINDS[choice("by", by, KINDS)]
    heads = plain_array("chosen", chosen, "b")
    if heads.shape != (model.depth, model.heads):
        raise ValueError(
            f"chosen: must have shape {(model.depth, model.heads)}; got {heads.shape}."
        )
    if by == "stein" and model.layout.causal:
        raise ValueError("by: must not be stein behind a causal mask: tokens see other measures.")
    maps: dict[tuple[int, int], Map] = {}
    for l in np.flatnonzero(heads.any(axis=1)):
        made = model.projections(int(l), path.points[l])
        outputs = made.outputs
        for h in np.flatnonzero(heads[l]):
            maps[int(l), int(h)] = make(made, int(h), outputs[h])

    def edit(layer: int, queries: Array, outputs: Array) -> Array:
        new = outputs.copy()
        for h in range(len(new)):
            if (layer, h) in maps:
                slope, offset = maps[layer, h]
                new[h] = queries[h] @ slope.T + offset
        return new

    return edit


def _with_slope(made: Projections, h: int, outputs: Array, slope: Array) -> Map:
    return slope, outputs.mean(axis=0) - slope @ made.queries[h].mean(axis=0)


def _affine(made: Projections, h: int, outputs: Array) -> Map:
    centred = made.queries[h] - made.queries[h].mean(axis=0)
    slope = np.linalg.lstsq(centred, outputs - outputs.mean(axis=0), rcond=None)[0].T
    return _with_slope(made, h, outputs, slope)


def _stein(made: Projections, h: int, outputs: Array) -> Map:
    slope = real.stein_slope(made.queries[h], made.keys[h], made.values[h])
    return _with_slope(made, h, outputs, slope)


def _constant(made: Projections, h: int, outputs: Array) -> Map:
    return np.zeros((outputs.shape[1], made.queries.shape[2])), outputs.mean(axis=0)


def _zero(made: Projections, h: int, outputs: Array) -> Map:
    return np.zeros((outputs.shape[1], made.queries.shape[2])), np.zeros(outputs.shape[1])


KINDS: dict[str, Callable[[Projections, int, Array], Map]] = {
    "affine": _affine, "stein": _stein, "constant": _constant, "zero": _zero,
}  # fmt: skip
