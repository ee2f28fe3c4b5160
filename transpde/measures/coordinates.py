"""The coordinates (m, X, s) of Gaussians in one vector a case, and how they move."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transpde.checks import Array
from transpde.measures.motion import common_motion, graded_motion
from transpde.measures.products import arranged

__all__ = ["Moves", "joined", "moved_by", "split"]

# From means (..., d), factors (..., d, r) and log scales (..., r) to velocities of the first two.
Moves = Callable[[Array, Array, Array], tuple[Array, Array]]


def split(state: Array, d: int, r: int) -> tuple[Array, Array, Array]:
    """Return mean (..., d), factor (..., d, r) and log scales (..., r) in coordinates."""
    factor = state[..., d:-r].reshape(*state.shape[:-1], d, r)
    return state[..., :d], factor, state[..., -r:]


def joined(mean: Array, factor: Array, log_scales: Array) -> Array:
    """Return the coordinates (..., d + d r + r) of these three."""
    flat = factor.reshape(*factor.shape[:-2], -1)
    return np.concatenate((mean, flat, log_scales), axis=-1)


def moved_by(moves: Moves, in_axes: bool, d: int, r: int) -> Callable[[Array], Array]:
    """Return the map from coordinates to their time derivatives, see `Gaussian.advect`."""
    motion = graded_motion if in_axes else common_motion

    def moved(state: Array) -> Array:
        state = arranged(state, d, r)
        mean, X, s = split(state, d, r)
        mean_velocity, BX = moves(mean, X, s)
        turning, growth = motion(X, s, BX)
        velocity = np.empty_like(state)
        velocity[..., :d], velocity[..., -r:] = mean_velocity, growth
        velocity[..., d:-r] = turning.reshape(*state.shape[:-1], -1)
        return velocity

    return moved
