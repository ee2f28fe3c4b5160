"""What the energies share: a symmetric score matrix matched with a measure, and integrals."""

from __future__ import annotations

from typing import Any

import numpy as np

from transpde.checks import Array, case_axes, definite_matrix, of_kind, same_size, symmetric_matrix
from transpde.fields import out_of_range
from transpde.measures import Gaussian, Particles

__all__ = [
    "Tokens",
    "factor_of",
    "kinetic",
    "known",
    "mean_of",
    "mobility_of",
    "number",
    "score_of",
]

Tokens = Particles | Gaussian


def score_of(measure: Tokens, score: Any, name: str = "score") -> Array:
    """Return the symmetric matrix of a measure, exactly symmetric."""
    of_kind("measure", measure, (Particles, Gaussian), "Particles or a Gaussian")
    A = symmetric_matrix(name, score)
    same_size(name, A.shape[-1], "the measure", measure.dimension, "dimension")
    case_axes(name, A, 2, "the measure", measure.stack)
    return (A + A.mT) / 2


def mobility_of(measure: Tokens, mobility: Any) -> Array:
    """Return the positive definite mobility of a measure, the identity when it is left out."""
    if mobility is None:
        return np.eye(measure.dimension)
    M = definite_matrix("mobility", mobility)
    same_size("mobility", len(M), "the measure", measure.dimension, "dimension")
    return M


def factor_of(measure: Any, name: str = "measure") -> Array:
    """Return X with covariance X X^T, or raise `ValueError` where floats cannot hold it."""
    if isinstance(measure, Particles):
        centred = measure.points - measure.mean[..., None, :]
        return (np.sqrt(measure.weights)[..., None] * centred).mT
    X: Array = measure.scaled_factor
    if np.isinf(X).any():
        raise ValueError(
            f"{name}: must have a covariance within the range of floats; got one of log size "
            f"{np.max(measure.log_size):.6g}. Take a smaller `log_scale`."
        )
    return X


def kinetic(measure: Any, attention: Any) -> Any:
    """Return the integral of |Gamma|^2, of its tangential part for tokens of a sphere."""
    field = attention(measure)
    if isinstance(measure, Particles):
        with np.errstate(over="ignore", invalid="ignore"):
            squares = (measure.velocities(field) ** 2).sum(axis=-1)
            return number(mean_of(measure, squares))
    drift, turn = field.moves(measure.mean, measure.factor)
    turn = turn * np.exp(measure.log_scales / 2)[..., None, :]
    return number((drift**2).sum(axis=-1) + (turn**2).sum(axis=(-2, -1)))


def mean_of(measure: Particles, values: Array) -> Array:
    """Return the integral of values at tokens; those without weight have no part in it."""
    return np.vecdot(measure.weights, np.where(measure.weights > 0, values, 0.0))


def known(found: Array, given: Array) -> Array:
    """Return a number for each case (..., n, d), or raise where a finite case has none."""
    if (np.isnan(found) & np.isfinite(given).all(axis=(-2, -1))).any():
        raise out_of_range("measure: a number on the way to the energy")
    return found


def number(value: Any) -> Any:
    """Return an array, or a float where it has no axes."""
    total = np.asarray(value)
    return float(total) if total.ndim == 0 else total
