"""Energies of a covariance, and the Bures--Wasserstein geometry they descend in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from transpde.checks import Array, entries, finite_cases, of_kind, same_size
from transpde.distances.between import aligned
from transpde.energy.scores import Tokens, factor_of, known, mobility_of, number, score_of
from transpde.fields import AffineField, out_of_range, quiet, silent
from transpde.measures import Gaussian

__all__ = [
    "bures_geodesic",
    "bures_gradient",
    "twisted_curvatures",
    "twisted_dissipation",
    "twisted_energy",
]


@silent
def twisted_energy(measure: Tokens, score: Any) -> float | Array:
    r"""Return the energy $E = -\frac14\operatorname{tr}((A\Sigma)^2)$ of a covariance.

    Softmax attention with value V = MA, M positive definite, moves the covariance of a Gaussian
    along the gradient flow of E for the twisted metric $\int\langle v, M^{-1}v\rangle d\mu$; M = I
    is the Bures--Wasserstein metric.

    Args:
        measure: a `Gaussian`, `Particles` or a stack of either; only the covariance counts.
        score: A, shape (d, d), symmetric; leading axes match those of a stack.

    Raises:
        ValueError: a score that is not symmetric, or of another dimension than the measure.
        TypeError: a measure of another kind.
        OverflowError: a number on the way to it that no float holds.

    Source: `castin2025unified`; in this form ours (chapter on gradient flows).

    Example:
        >>> import transpde as tp
        >>> from transpde.energy import twisted_energy
        >>> twisted_energy(tp.Gaussian([0.0], factor=[[2.0]]), [[3.0]])
        -36.0
    """
    A = score_of(measure, score)
    X = factor_of(measure)
    energy = -0.25 * ((X.mT @ A @ X) ** 2).sum(axis=(-2, -1))
    return number(known(energy, X))


@silent
def twisted_dissipation(measure: Tokens, score: Any, mobility: Any = None) -> float | Array:
    r"""Return the rate at which softmax attention with V = MA lowers `twisted_energy`.

    It is $\int\langle v, M^{-1}v\rangle d\mu$ for $v(x) = MA\Sigma A(x - m)$, the part of the
    softmax field that moves the covariance: $\operatorname{tr}(CMC\Sigma)$ with $C = A\Sigma A$,
    so that no inverse of M is needed.

    Args:
        measure: a `Gaussian`, `Particles` or a stack of either; only the covariance counts.
        score: A, shape (d, d), symmetric; leading axes match those of a stack.
        mobility: M, shape (d, d), symmetric positive definite; the identity when left out.

    Raises:
        ValueError: a score that is not symmetric, a mobility that is not positive definite,
            another dimension than that of the measure.
        TypeError: a measure of another kind.
        OverflowError: a number on the way to it that no float holds.

    Source: ours (chapter on gradient flows).

    Example:
        >>> import transpde as tp
        >>> from transpde.energy import twisted_dissipation
        >>> gaussian = tp.Gaussian([0.0], factor=[[1.0]])
        >>> twisted_dissipation(gaussian, [[3.0]], mobility=[[2.0]])
        162.0
    """
    A, M = score_of(measure, score), mobility_of(measure, mobility)
    X = factor_of(measure)
    AX = A @ X
    pull = AX @ (X.mT @ AX)  # C X
    rate = (pull * (M @ pull)).sum(axis=(-2, -1))
    return number(known(rate, X))


@quiet
def twisted_curvatures(gaussian: Gaussian, score: Any) -> Array:
    r"""Return the curvatures of `twisted_energy` along Bures geodesics, in increasing order.

    They are the eigenvalues of its Hessian for the Bures--Wasserstein metric: along the geodesic
    $(I + sL)\Sigma(I + sL)$, L symmetric with $\operatorname{tr}(L\Sigma L) = 1$,
    $$\ddot E = -\tfrac12\operatorname{tr}\big(((LA + AL)\Sigma)^2\big)
    - \operatorname{tr}(\Sigma A\Sigma LAL).$$

    Args:
        gaussian: one with a positive definite covariance, or a stack.
        score: A, shape (d, d), symmetric; leading axes match those of a stack.

    Returns:
        Array (..., d(d + 1)/2); all at most zero if A is semidefinite.

    Raises:
        ValueError: a score that is not symmetric, or of another dimension than the measure; a
            covariance that is singular, up to rounding.
        TypeError: a measure that is not Gaussian.

    Source: ours (chapter on gradient flows).

    Example:
        >>> import transpde as tp
        >>> from transpde.energy import twisted_curvatures
        >>> twisted_curvatures(tp.Gaussian([0.0], factor=[[1.0]]), [[2.0]])
        array([-12.])
    """
    of_kind("gaussian", gaussian, Gaussian, "a Gaussian")
    finite_cases("gaussian", gaussian)
    factor_of(gaussian, "gaussian")  # which says where it is too large
    A, d = score_of(gaussian, score)[..., None, :, :], gaussian.dimension
    sizes = np.trace(gaussian.covariance, axis1=-2, axis2=-1)[..., None]
    S = (gaussian.covariance / np.where(sizes > 0, sizes, 1.0)[..., None])[..., None, :, :]
    if (np.linalg.eigvalsh(S) <= 4 * d * np.finfo(float).eps).any():  # rounding of a lower rank
        raise ValueError("gaussian: must have a positive definite covariance; got a singular one.")
    rows, columns = np.triu_indices(d)
    L = np.zeros((len(rows), d, d))
    L[np.arange(len(rows)), rows, columns] = L[np.arange(len(rows)), columns, rows] = 1.0
    turn, pull = (L @ A + A @ L) @ S, S @ A @ S @ L @ A
    mixed = _traces(pull, L)
    hessian = -0.5 * (_traces(turn, turn) + mixed + mixed.mT)
    scale = np.linalg.inv(np.linalg.cholesky(_traces(L @ S, L)))
    return sizes * np.linalg.eigvalsh(scale @ hessian @ scale.mT)


@silent
def bures_gradient(measure: Tokens, gradient: ArrayLike, mobility: Any = None) -> AffineField:
    r"""Return the Bures--Wasserstein gradient of a function of the covariance, a velocity field.

    If $dE = \operatorname{tr}(G\,d\Sigma)$, then $\delta E/\delta\mu = (x-m)^\top G(x-m)$ and the
    gradient for the metric $\int\langle v, M^{-1}v\rangle d\mu$ is the field
    $$x\mapsto 2MG(x - m).$$
    Descent follows minus this field. For `twisted_energy`, $G = -\frac12A\Sigma A$.

    Args:
        measure: a `Gaussian`, `Particles` or a stack of either; only the mean counts.
        gradient: G, shape (d, d), symmetric; leading axes match those of a stack.
        mobility: M, shape (d, d), symmetric positive definite; the identity when left out.

    Raises:
        ValueError: a gradient that is not symmetric, a mobility that is not positive definite,
            another dimension than that of the measure.
        TypeError: a measure of another kind.
        OverflowError: a number on the way to it that no float holds.

    Source: `bhatia2019bures`; with a mobility ours (chapter on gradient flows).

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde.energy import bures_gradient
        >>> field = bures_gradient(tp.Gaussian([1.0, 0.0], factor=np.eye(2)), np.diag([1.0, 2.0]))
        >>> field([2.0, 1.0])
        array([2., 4.])
    """
    G, M = score_of(measure, gradient, "gradient"), mobility_of(measure, mobility)
    B = 2 * M @ G
    u = (B @ measure.mean[..., None])[..., 0]
    if not np.isfinite(B).all() or not (np.isfinite(u) | ~np.isfinite(measure.mean)).all():
        raise out_of_range("gradient: the field")
    return AffineField(B, -u)


@quiet
def bures_geodesic(gaussian: Gaussian, other: Gaussian, s: ArrayLike) -> Gaussian:
    r"""Return the point at s of the Wasserstein geodesic from one Gaussian to another.

    With factors X, Y and the singular value decomposition $X^\top Y = PDR^\top$ the best coupling
    is that of $m + XPz$ and $m' + YRz$ with a standard Gaussian z, and the geodesic is
    $$N\big((1-s)m + sm',\; X_sX_s^\top\big), \qquad X_s = (1-s)XP + sYR,$$
    for every rank. Where it is not unique (only if both covariances are singular), it is one of
    them.

    Args:
        gaussian: the Gaussian at s = 0, or a stack.
        other: the Gaussian at s = 1, of the same dimension and stack.
        s: a number of [0, 1], or an array of them: its axes come first in the stack returned.

    Raises:
        ValueError: s outside of [0, 1], dimensions or stacks that differ.
        TypeError: measures that are not Gaussian.

    Source: `bhatia2019bures`; `peyre2019computational`; by factors ours.

    Example:
        >>> import transpde as tp
        >>> from transpde.energy import bures_geodesic
        >>> start, end = tp.Gaussian([0.0], factor=[[1.0]]), tp.Gaussian([2.0], factor=[[3.0]])
        >>> bures_geodesic(start, end, [0.0, 0.5, 1.0]).covariance.ravel()
        array([1., 4., 9.])
    """
    for name, measure in (("gaussian", gaussian), ("other", other)):
        finite_cases(name, of_kind(name, measure, Gaussian, "a Gaussian"))
    same_size("other", other.dimension, "gaussian", gaussian.dimension, "dimension")
    if gaussian.stack != other.stack:
        raise ValueError(f"other: must be a stack of shape {gaussian.stack}; got {other.stack}.")
    s = entries("s", s, "...", "in [0, 1]", lambda x: (x >= 0) & (x <= 1))
    s = s.reshape(s.shape + (1,) * (len(gaussian.stack) + 1))
    X, Y = aligned(factor_of(gaussian, "gaussian"), factor_of(other, "other"))
    mean = (1 - s) * gaussian.mean + s * other.mean
    s = s[..., None]
    return Gaussian(mean, factor=(1 - s) * X + s * Y)


def _traces(left: Array, right: Array) -> Array:
    """Return the traces of all products of two lists of matrices, shape (..., p, p)."""
    return np.einsum("...iab,...jba->...ij", left, np.broadcast_to(right, left.shape))
