r"""Where training with finitely many heads stalls, and how it goes on: a head divides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from transpde.checks import Array, Unchanging, of_kind, positive_integer, positive_number
from transpde.crowd.descent import checked
from transpde.crowd.heads import Crowd, matrices, random_crowd
from transpde.crowd.regression import Regression
from transpde.fields import silent

__all__ = ["Splitting", "Stall", "find_stall", "find_stalls", "split_head"]

FAR = 50.0  # a modulus of an entry beyond which heads run away
FLAT = 1e-6  # a gradient that counts as zero, over the scale
NEGATIVE = 1e-9  # of the largest modulus of an eigenvalue: none is negative above
ROUNDING = 100 * np.finfo(float).eps  # of an output, over a residual: the Hessian's relative error


@dataclass(frozen=True, repr=False, eq=False)
class Stall(Unchanging):
    r"""Where a minimisation ended. Made by `find_stall`.

    Args:
        crowd: the heads at the end.
        loss: F.
        slope: the largest modulus of an entry of $\nabla F'_\nu$ at the heads.
        finished: whether the slope is at most 1e-6 times the scale, so that the end is stationary.
        runaway: whether an entry of a head is larger than 50.
        message: what ended the run.
    """

    crowd: Crowd
    loss: float
    slope: float
    finished: bool
    runaway: bool
    message: str


@dataclass(frozen=True, repr=False, eq=False)
class Splitting(Unchanging):
    r"""A head that divides. Made by `split_head`.

    Args:
        crowd: all heads, the two halves last.
        head: the index of the one that divides.
        eigenvalue: the least of $\nabla^2F'_\nu$ there.
        direction: the unit eigenvector, shape (2 d^2,).
    """

    crowd: Crowd
    head: int
    eigenvalue: float
    direction: Array


@silent
def find_stall(
    task: Regression,
    crowd: Crowd,
    *,
    scale: float = 1.0,
    tolerance: float = 1e-10,
    iterations: int = 5000,
) -> Stall:
    r"""Minimise F over the heads of a crowd, at fixed masses, by SciPy's BFGS.

    The end is a stationary point, unless the run does not finish or the heads run away: then the
    result is what it has, and says so.

    Args:
        task: the loss.
        crowd: the start.
        scale: BFGS minimises F over this: a typical loss, where losses are far from 1.
        tolerance: it ends where the largest entry of the gradient is smaller.
        iterations: how many at most.

    Raises:
        TypeError: no regression, no crowd.
        ValueError: a number out of range, another dimension.
        OverflowError: the gradient at the start is out of range.

    Source: ours.

    Example:
        >>> import numpy as np
        >>> from transpde.crowd import Regression, find_stall, random_crowd
        >>> X = np.random.default_rng(0).normal(size=(4, 5, 2))
        >>> teacher = random_crowd(1, 2, seed=1)
        >>> stall = find_stall(Regression.taught(X, teacher), random_crowd(1, 2, seed=2))
        >>> stall.finished, stall.runaway
        (True, False)
    """
    checked(task, crowd)
    size, least = positive_number("scale", scale), positive_number("tolerance", tolerance)
    most, shape = positive_integer("iterations", iterations), (len(crowd), 2 * crowd.dimension**2)
    task.gradient(crowd)

    def loss(u: Array) -> tuple[float, Array]:
        try:
            here = crowd.moved(u.reshape(shape))
            found, slopes = task.loss_and_gradient(here)
            return found / size, (crowd.masses[:, None] * slopes).ravel() / size
        except (OverflowError, ValueError):  # a trial step out of range is no candidate
            return np.inf, np.zeros(u.size)

    options = {"gtol": least, "maxiter": most}
    run = minimize(loss, crowd.parameters().ravel(), jac=True, method="BFGS", options=options)
    end = crowd.moved(run.x.reshape(shape))
    slope = float(np.abs(task.gradient(end)).max())
    finished, away = slope <= FLAT * size, end.size > FAR
    return Stall(end, task.loss(end), slope, finished, away, str(run.message))


def find_stalls(
    task: Regression,
    count: int,
    seeds: Sequence[int],
    *,
    scale: float = 1.0,
    tolerance: float = 1e-10,
    iterations: int = 5000,
) -> list[Stall]:
    r"""Minimise from the `random_crowd` of each seed, as `find_stall` does.

    Args:
        task: the loss.
        count: m, the number of heads, all of mass 1 / m.
        seeds: one for each run, a list, a tuple or a range.
        scale: BFGS minimises F over this: a typical loss, where losses are far from 1.
        tolerance: it ends where the largest entry of the gradient is smaller.
        iterations: how many at most.

    Raises:
        TypeError: no regression.
        ValueError: a number out of range, seeds that are no list, no or a bad seed.

    Source: ours.

    Example:
        >>> import numpy as np
        >>> from transpde.crowd import Regression, find_stalls, random_crowd
        >>> X = np.random.default_rng(0).normal(size=(4, 5, 2))
        >>> teacher = random_crowd(1, 2, seed=1)
        >>> len(find_stalls(Regression.taught(X, teacher), 1, [0, 1]))
        2
    """
    of_kind("task", task, Regression, "a Regression")
    if not isinstance(seeds, list | tuple | range) or not len(seeds):
        raise ValueError(f"seeds: must be a list of at least one seed; got {seeds!r:.80}.")
    d = task.tokens.shape[-1]
    how: dict[str, Any] = {"scale": scale, "tolerance": tolerance, "iterations": iterations}
    starts = [random_crowd(count, d, positive_integer("seeds", one, 0)) for one in seeds]
    return [find_stall(task, start, **how) for start in starts]


@silent
def split_head(task: Regression, crowd: Crowd, size: float = 1e-2) -> Splitting | None:
    r"""Divide the head of the most negative $w_i\lambda_i$ into halves at $u_i\pm\delta v_i$.

    Here $\lambda_i$ is the least eigenvalue of $\nabla^2F'_\nu(u_i)$ and $v_i$ its unit vector, so
    that the loss changes by $\frac12w_i\delta^2\lambda_i$ and terms of fourth order.

    Args:
        task: the loss.
        crowd: the heads.
        size: $\delta$.

    Returns:
        The splitting, or None where no head has a negative eigenvalue, as where the crowd fits
        the target to rounding.

    Raises:
        TypeError: no regression, no crowd.
        ValueError: a size that is not positive or too small to move the head, another dimension.
        OverflowError: the Hessian is out of range.

    Source: ours.

    Example:
        >>> import numpy as np
        >>> from transpde.crowd import Regression, random_crowd, split_head
        >>> X = np.random.default_rng(0).normal(size=(4, 5, 2))
        >>> teacher = random_crowd(3, 2, seed=1)
        >>> len(split_head(Regression.taught(X, teacher), random_crowd(1, 2, seed=2)).crowd)
        2
    """
    checked(task, crowd)
    delta = positive_number("size", size)
    eigenvalues, vectors = np.linalg.eigh(task.hessian(crowd))
    least = max(NEGATIVE, _uncertainty(task, crowd)) * np.abs(eigenvalues).max(axis=1)
    if (eigenvalues[:, 0] >= -least).all():
        return None
    i = int((crowd.masses * eigenvalues[:, 0]).argmin())
    v = vectors[i, :, 0] * np.sign(vectors[i, np.abs(vectors[i, :, 0]).argmax(), 0])
    others, u = np.delete(np.arange(len(crowd)), i), crowd.parameters()
    w = np.append(crowd.masses[others], [crowd.masses[i] / 2] * 2)
    halves = np.concatenate([u[others], [u[i] + delta * v, u[i] - delta * v]])
    if (halves[-1] == halves[-2]).all():
        raise ValueError(f"size: must be large enough to move the head; got {size!r}.")
    split = Crowd(*matrices(halves, crowd.dimension), w)
    return Splitting(split, i, float(eigenvalues[i, 0]), v).sealed()


def _uncertainty(task: Regression, crowd: Crowd) -> float:
    """Rounding of outputs over the residual: how wrong the Hessian is, relatively."""
    heads = crowd.masses * np.abs(crowd.values).max(axis=(1, 2)) * np.abs(task.tokens).max()
    residual = np.abs(task.output(crowd) - task.target).max()
    scale = max(heads.max(), np.abs(task.target).max())
    return float(ROUNDING * scale / residual) if residual else 0.0
