r"""The proximal step for a quadratic potential: one L2 head and an affine term.

The kernel of the step is
$R(dx|y)\propto e^{-(U(x) + \langle x-y, M^{-1}(x-y)\rangle/2T)/2\beta}dx$ with a potential U, here
$U = \frac12\langle x, \Lambda x\rangle$, a time T, a temperature $\beta$ and a preconditioner M.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from transpde.attention import Attention
from transpde.attention.base import match_stack
from transpde.attention.normalised import L2
from transpde.checks import (
    Array,
    definite_matrix,
    fitting_axes,
    generator,
    of_kind,
    positive_number,
    same_size,
    symmetric_matrix,
)
from transpde.fields import AffineField, quiet
from transpde.measures import Particles
from transpde.measures.base import in_open_space

__all__ = ["Quadratic", "free_tokens", "proximal_attention", "random_layer", "root"]


class Quadratic(NamedTuple):
    """A checked quadratic step: arrays (..., d, d), time and temperature."""

    hessian: Array
    time: float
    temperature: float
    preconditioner: Array

    @property
    def resolvent(self) -> Array:
        r"""The matrix $C = (M^{-1} + T\Lambda)^{-1}$: the kernel is $N(CM^{-1}y, 2\beta TC)$."""
        inverse = np.linalg.inv(self.preconditioner)
        return np.linalg.inv(_symmetric(inverse + self.time * self.hessian))


def checked(hessian: Any, time: Any, temperature: Any, preconditioner: Any) -> Quadratic:
    """Return the parameters of a quadratic step, or raise `ValueError`."""
    H = symmetric_matrix("hessian", hessian)
    T, beta = positive_number("time", time), positive_number("temperature", temperature)
    M = np.eye(H.shape[-1]) if preconditioner is None else definite(preconditioner, H.shape[-1])
    fitting_axes("preconditioner", M.shape[:-2], "hessian", H.shape[:-2])
    _check_mass(H, T, M)
    return Quadratic(H, T, beta, M)


def _check_mass(H: Array, T: float, M: Array) -> None:
    """Raise where the kernel has no mass, or none that rounding errors leave known."""
    half = root(M)
    with np.errstate(all="ignore"):
        curvature = T * _symmetric(half @ H @ half)
        if not (np.isfinite(curvature).all() and np.isfinite(np.linalg.inv(M)).all()):
            raise ValueError(
                "hessian: its product with the time and the preconditioner, and the inverse of "
                "the preconditioner, must be finite; got numbers too large. Rescale the tokens."
            )
        values = np.linalg.eigvalsh(curvature)
    lowest, rounding = 1 + values.min(), 8 * np.finfo(float).eps * np.abs(values).max()
    if values.min() < -0.5 and lowest <= rounding:
        raise ValueError(
            "time: the kernel has no mass unless the inverse of the preconditioner plus time "
            "times the hessian is positive definite; relative to the former got an eigenvalue of "
            f"{lowest:.3g} with time {T:g}. Take a shorter time."
        )


def definite(value: Any, dimension: int) -> Array:
    """Return a preconditioner (..., d, d), or raise `ValueError`."""
    M = definite_matrix("preconditioner", value, "... d d")
    same_size("preconditioner", M.shape[-1], "the potential", dimension, "dimension")
    return M


@quiet
def proximal_attention(
    hessian: Any, time: float, temperature: float = 1.0, preconditioner: Any = None
) -> Attention:
    r"""Return the sampler of $e^{-\langle x, \Lambda x\rangle/2\beta}$: an L2 head and a field.

    Its velocity is $-M(\Lambda x + \beta\nabla\log\rho_T)$, where $\rho_T$ is the measure after
    the kernel of the step. It acts on particles, Gaussians and stacks of either.

    Args:
        hessian: $\Lambda$, symmetric, shape (..., d, d); leading axes match those of a stack.
        time: T > 0, the time of the step.
        temperature: $\beta > 0$.
        preconditioner: M, symmetric and positive definite, shape (..., d, d); the identity when
            left out.

    Raises:
        ValueError: a hessian that is not symmetric, a time or temperature that is not positive, a
            preconditioner that is not positive definite, other shapes; a hessian so negative that
            the kernel has no mass at this time.

    Source: the score `tan2025preconditioned`; one L2 head, ours (chapter on attention as a
    sampler).

    Example:
        >>> import transpde as tp
        >>> sampler = tp.sampling.proximal_attention([[1.0]], time=0.1)
        >>> start = tp.Gaussian([1.0], factor=[[2.0]])
        >>> tp.layers(start, sampler, 200, 0.2).final.covariance.round(6)
        array([[0.99]])
    """
    H, T, beta, M = step = checked(hessian, time, temperature, preconditioner)
    inverse = np.linalg.inv(M)
    key = root(_symmetric(inverse @ step.resolvent @ inverse)) / (2 * np.sqrt(beta * T))
    if not (np.isfinite(key).all() and (np.linalg.eigvalsh(key) > 0).all()):
        raise ValueError(
            "preconditioner: the key of the head, a root of the inverse of M + T M H M over "
            "4 temperature time, must be in the range of floating point numbers; got one that is "
            "not. Rescale the tokens."
        )
    query = np.linalg.solve(key.mT, inverse) / (4 * beta * T)
    one = np.eye(M.shape[-1])
    return L2(query, key, -one / (2 * T)) + AffineField(one / (2 * T) - M @ H / 2)


@quiet
def random_layer(
    measure: Particles,
    hessian: Any,
    time: float,
    temperature: float = 1.0,
    preconditioner: Any = None,
    *,
    seed: int | np.random.Generator,
) -> Particles:
    r"""Return tokens after one draw of the kernel, $x\sim N(CM^{-1}y, 2\beta TC)$ for a token y.

    At rest of `proximal_attention` it takes the law of the tokens to the target itself.

    Args:
        measure: Particles, or a stack of clouds.
        hessian: as for `proximal_attention`.
        time: T > 0.
        temperature: as for `proximal_attention`.
        preconditioner: as for `proximal_attention`.
        seed: an integer of at least 0, several, or a generator.

    Raises:
        TypeError: a measure that is not Particles; what it does to a Gaussian is
            `theory.sampling.proximal_covariance`.
        ValueError: tokens on a sphere, which a draw leaves; a bad seed, another dimension, other
            leading axes, and what `proximal_attention` raises.

    Source: ours (chapter on attention as a sampler).
    """
    free_tokens(measure)
    step = checked(hessian, time, temperature, preconditioner)
    same_size("hessian", step.hessian.shape[-1], "measure", measure.dimension, "dimension")
    for name, matrix in (("hessian", step.hessian), ("preconditioner", step.preconditioner)):
        match_stack(name, matrix.shape[:-2], measure.stack)
    rng, C = generator("seed", seed), step.resolvent
    middle = measure.points @ (C @ np.linalg.inv(step.preconditioner)).mT
    noise = rng.normal(size=measure.points.shape) @ root(C).mT
    spread = np.sqrt(2 * step.temperature * step.time)
    return measure.at(middle + spread * noise)


def free_tokens(measure: Any) -> None:
    """Raise unless a measure is Particles in Euclidean space, where the kernel lives."""
    of_kind("measure", measure, Particles)
    in_open_space("measure", measure, ", as a draw of the kernel leaves any other")


def root(matrix: Array) -> Array:
    """Return the symmetric roots of positive definite matrices (..., d, d)."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]) @ vectors.mT


def _symmetric(matrix: Array) -> Array:
    return np.asarray((matrix + matrix.mT) / 2)
