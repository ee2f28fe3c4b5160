r"""How far a covariance is from a multiple of the identity: ranks that vary continuously.

All three measures see the spectrum alone, and not its scale. A Gaussian gives them its axes, each
with a scale of its own, so that they hold for covariances that no float can hold.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from transpde.checks import Array, frozen, known_covariances
from transpde.fields import quiet, silent
from transpde.measures import Gaussian

__all__ = ["effective_rank", "log_condition_number", "log_spectrum", "participation_ratio"]


@silent
def log_spectrum(covariance: Gaussian | ArrayLike) -> Array:
    r"""Return the logarithms of the eigenvalues of a covariance, the largest first.

    Args:
        covariance: a `Gaussian`, or a covariance or direction (..., d, d). With a Gaussian the
            logarithms keep their digits however far apart they are; of a matrix, eigenvalues
            under $d\cdot2^{-52}$ of the largest count as zero.

    Returns:
        Shape (..., d), for a Gaussian (..., r') with the most axes r' of the stack at least;
        -inf for an eigenvalue of zero, NaN for a case of a stack that is NaN.

    Raises:
        ValueError: a matrix that is not symmetric positive semidefinite.

    Source: ours (chapter on the evolution of anisotropy).

    Example:
        >>> import transpde as tp
        >>> from transpde.spectra import log_spectrum
        >>> log_spectrum(tp.Gaussian([0, 0], factor=[[1, 0], [0, 1]], log_scale=-2000.0))
        array([-2000., -2000.])
    """
    if isinstance(covariance, Gaussian):
        axes = covariance.principal()
        logs = np.where((axes.factor != 0).any(axis=-2), axes.log_scales, -np.inf)
        return frozen(-np.sort(-logs, axis=-1))
    given = known_covariances("covariance", covariance)
    known = np.asarray(np.isfinite(given).all(axis=(-2, -1)))
    held = np.where(known[..., None, None], given, np.eye(given.shape[-1]))
    values = np.linalg.eigvalsh(held)[..., ::-1]
    floor = values.shape[-1] * np.finfo(float).eps * values[..., :1]
    logs = np.log(np.where(values > floor, values, 0.0))
    return frozen(np.where(known[..., None], logs, np.nan))


def _shares(covariance: Any) -> tuple[Array, Array]:
    """Return the eigenvalues over their sum, and the logarithms of these shares."""
    logs = log_spectrum(covariance)
    depth = logs - np.where(np.isneginf(logs[..., :1]), np.nan, logs[..., :1])
    total = np.log(np.exp(depth).sum(axis=-1, keepdims=True))
    return np.exp(depth - total), depth - total


@quiet
def effective_rank(covariance: Gaussian | ArrayLike) -> float | Array:
    r"""Return the effective rank $\exp(-\sum_i p_i\log p_i)$, $p_i = \lambda_i/\sum_j\lambda_j$.

    It lies between 1 and the rank, and equals the rank for equal nonzero eigenvalues only.

    Args:
        covariance: a `Gaussian`, or a covariance or direction (..., d, d); see `log_spectrum`.

    Returns:
        A float, or an array over a stack; NaN for a point mass.

    Raises:
        ValueError: a matrix that is not symmetric positive semidefinite.

    Source: `roy2007effective`.

    Example:
        >>> import numpy as np
        >>> from transpde.spectra import effective_rank
        >>> round(effective_rank(np.diag([2.0, 2.0, 0.0])), 12)
        2.0
    """
    p, logs = _shares(covariance)
    return _number(np.exp(-(p * np.where(p > 0, logs, 0.0)).sum(axis=-1)))


@quiet
def participation_ratio(covariance: Gaussian | ArrayLike) -> float | Array:
    r"""Return the participation ratio $(\operatorname{tr}\Sigma)^2/\operatorname{tr}\Sigma^2$.

    It lies between 1 and the effective rank.

    Args:
        covariance: a `Gaussian`, or a covariance or direction (..., d, d); see `log_spectrum`.

    Returns:
        A float, or an array over a stack; NaN for a point mass.

    Raises:
        ValueError: a matrix that is not symmetric positive semidefinite.

    Source: ours (chapter on the evolution of anisotropy).

    Example:
        >>> import numpy as np
        >>> from transpde.spectra import participation_ratio
        >>> round(participation_ratio(np.diag([3.0, 1.0])), 12)
        1.6
    """
    p, _ = _shares(covariance)
    return _number(1 / (p**2).sum(axis=-1))


@quiet
def log_condition_number(covariance: Gaussian | ArrayLike) -> float | Array:
    r"""Return $\log(\lambda_1/\lambda_r)$, r the rank: the condition number on the range.

    A flow keeps the rank, so that a thin Gaussian has this number along depth too.

    Args:
        covariance: a `Gaussian`, or a covariance or direction (..., d, d); see `log_spectrum`.

    Returns:
        A float, or an array over a stack; NaN for a point mass.

    Raises:
        ValueError: a matrix that is not symmetric positive semidefinite.

    Source: ours (chapter on the evolution of anisotropy).

    Example:
        >>> import numpy as np
        >>> from transpde.spectra import log_condition_number
        >>> round(log_condition_number(np.diag([np.e, 1.0, 0.0])), 12)
        1.0
    """
    logs = log_spectrum(covariance)
    largest = np.where(np.isneginf(logs[..., 0]), np.nan, logs[..., 0])
    return _number(largest - np.where(np.isneginf(logs), np.inf, logs).min(axis=-1))


def _number(values: Any) -> Any:
    array = np.asarray(values)
    return frozen(array) if array.ndim else float(array)
