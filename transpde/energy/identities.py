"""Checks of any energy against any flow, which share no formula with either."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.interpolate import make_interp_spline

from transpde.attention import Attention
from transpde.checks import Array, finite_array, function, of_kind
from transpde.energy.scores import known, number
from transpde.fields import evaluated, quiet, silent
from transpde.measures import Particles
from transpde.trajectories import Trajectory

__all__ = ["energy_residual", "gradient_defect", "wasserstein_gradient"]


@quiet
def energy_residual(
    path: Trajectory[Any], energy: Callable[[Any], Any], rate: Callable[[Any], Any]
) -> float | Array:
    r"""Return how far a flow is from its energy identity $E(\mu_t) - E(\mu_0) = \int_0^t r\,dt'$.

    It is the largest difference of the two sides over the recorded times, relative to the range
    of E along the path. The rate is integrated by the spline of degree 7 through its values at
    the recorded times, so its own error is of order 8 in their distance.

    Args:
        path: a flow with at least 16 recorded times.
        energy: measure -> E, or -> an array of the shape of the stack.
        rate: measure -> r, likewise: minus the dissipation where the flow descends.

    Raises:
        ValueError: too few times, an energy or rate that is not finite or does not change.

    Source: ours (chapter on gradient flows).

    Example:
        >>> import transpde as tp
        >>> from transpde.energy import energy_residual, twisted_dissipation, twisted_energy
        >>> A = [[-1.0]]
        >>> path = tp.flow(tp.Gaussian([0.0], factor=[[1.0]]), tp.Softmax([[1.0]], A, A), time=0.2)
        >>> energy_residual(path, lambda mu: twisted_energy(mu, A),
        ...                 lambda mu: -twisted_dissipation(mu, A)) < 1e-6
        True
    """
    check_path(path)
    energy, rate = function("energy", energy), function("rate", rate)
    E, r = (
        finite_array(name, [value(path[i]) for i in range(len(path))], "...")
        for name, value in (("energy", energy), ("rate", rate))
    )
    spread = E.max(axis=0) - E.min(axis=0)
    if (spread == 0).any():
        raise ValueError("energy: must change along the path; it is constant.")
    return number(np.abs(E - E[0] - integral(path, r)).max(axis=0) / spread)


def check_path(path: Any) -> None:
    """Raise unless a path has times enough for an `integral`."""
    of_kind("path", path, Trajectory)
    if len(path) < 16:
        raise ValueError(f"path: must have at least 16 recorded times; got {len(path)}.")


def integral(path: Trajectory[Any], values: Any) -> Array:
    """Return the integral along a path of values at its times, by their spline of degree 7."""
    spline = make_interp_spline(path.times, np.array(values), k=7, check_finite=False)
    return spline.antiderivative()(path.times)


@quiet
def wasserstein_gradient(measure: Particles, energy: Callable[[Any], Any]) -> Array:
    r"""Return $\nabla\frac{\delta E}{\delta\mu}$ at the tokens, by differences of order four.

    It is $\frac1{w_i}\partial_{x_i}E$, from energies at moved tokens alone: a check of velocities
    that shares no formula with them. Its error is about 1e-10 for energies and tokens of size one.

    Args:
        measure: `Particles` with positive weights, or a stack. On a sphere the gradient is the
            tangential part of that in all of space.
        energy: measure -> E, a finite number; of a stack an array of its shape.

    Returns:
        Array (..., n, d).

    Raises:
        TypeError: a measure of another kind.
        ValueError: a weight of zero, an energy that is not one finite number a case.

    Source: ours (chapter on gradient flows).

    Example:
        >>> import transpde as tp
        >>> from transpde.energy import twisted_energy, wasserstein_gradient
        >>> tokens = tp.Particles([[-1.0], [1.0]])
        >>> wasserstein_gradient(tokens, lambda mu: -twisted_energy(mu, [[1.0]])).round(9)
        array([[-1.],
               [ 1.]])
    """
    w, energy = _weighted(measure), function("energy", energy)

    def height(x: Array) -> Array:
        E = finite_array("energy", energy(measure.at(x)), "...")
        if E.size != np.prod(measure.stack):
            raise ValueError(
                f"energy: must be one number a case, shape {measure.stack}; got an array of shape "
                f"{E.shape}."
            )
        return E.reshape(measure.stack)

    x = measure.points
    slopes = np.moveaxis(_differences(height, x), 0, -1).reshape(x.shape)
    return measure.space.tangent(x, slopes / w[..., None])


@silent
def gradient_defect(measure: Particles, attention: Any) -> float | Array:
    r"""Return how far the velocities of tokens are from a gradient in all their positions.

    With J the Jacobian of $(x_1, \dots, x_n)\mapsto(w_i\Gamma_\mu(x_i))_i$, by differences of
    order four, it is $\|J - J^\top\|_F/\|J + J^\top\|_F$. It is zero where the attention is a
    Wasserstein gradient flow: $w_i\Gamma_\mu(x_i) = -\partial_{x_i}E$, and second derivatives
    commute. A velocity that does not vary, V = 0 for one, has the defect zero.

    Args:
        measure: `Particles` with positive weights, or a stack. Tokens of a sphere are moved in all
            of space.
        attention: an attention.

    Returns:
        A number, or an array of the shape of the stack.

    Raises:
        TypeError: a measure of another kind.
        ValueError: a weight of zero.
        OverflowError: a number on the way to it that no float holds.

    Source: ours (chapter on gradient flows).

    Example:
        >>> import transpde as tp
        >>> from transpde.energy import gradient_defect
        >>> tokens = tp.Particles([[0.0], [1.0]])
        >>> gradient_defect(tokens, tp.Linear([[1.0]], [[1.0]], [[1.0]])) < 1e-9
        True
        >>> gradient_defect(tokens, tp.Softmax([[1.0]], [[1.0]], [[1.0]])) > 0.1
        True
    """
    w = _weighted(measure)
    of_kind("attention", attention, Attention).check(measure)

    def momenta(x: Array) -> Array:
        moved = measure.at(x)
        v = w[..., None] * evaluated(attention(moved), moved.points, moved.positions)
        return v.reshape(*measure.stack, -1)

    J = np.moveaxis(_differences(momenta, measure.points), 0, -1)
    odd, even = (np.linalg.norm(M, axis=(-2, -1)) for M in (J - J.mT, J + J.mT))
    defect = np.where(odd == 0, 0.0, odd / even)
    return number(known(defect, measure.points))


def _weighted(measure: Any) -> Array:
    """Return the positive weights of tokens."""
    w: Array = of_kind("measure", measure, Particles).weights
    if not w.min() > 0:
        raise ValueError(f"measure: must have positive weights; got {w.min()}. Drop such tokens.")
    return w


def _differences(function: Callable[[Array], Any], x: Array, h: float = 1e-3) -> Array:
    """Return the derivatives of a function in each entry of x (..., n, d), first axis n d.

    The cases of a stack are moved together.
    """
    n, d = x.shape[-2:]
    steps = h * np.eye(n * d).reshape(-1, *[1] * (x.ndim - 2), n, d)
    near = [function(x + e) - function(x - e) for e in steps]
    far = [function(x + 2 * e) - function(x - 2 * e) for e in steps]
    return np.asarray((8 * np.array(near) - np.array(far)) / (12 * h))
