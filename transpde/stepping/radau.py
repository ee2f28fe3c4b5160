r"""One step of Radau IIA of order 13 for a stack of stiff equations, each case with its own step.

Seven stages solve $z' = f(z)$ at the nodes of a right-sided Radau rule, all together, by a Newton
iteration with the Jacobian near the middle of the step: in the eigenvectors of the inverse of the
tableau that is one real and three complex systems. Where a large rate holds a case on a surface of
slow motion, this keeps its order for that motion, as no Rosenbrock method does.
Source: `hairer1999stiff`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.polynomial import legendre
from scipy import special

from transpde.checks import Array
from transpde.stepping.dense import Polynomial

__all__ = ["FARTHEST", "MIDDLE", "STAGES", "Radau", "farther"]

STAGES = 7
MOST, FEW = 10, 6  # Newton steps, and those after which the next step is hardly longer
SLOW, WILD = 0.9, 2.0  # contractions that are too slow, and too wild for a beginning
NEWTON = 1e-2  # what the Newton iteration may leave of the tolerance
FAILED = 300.0  # the error of a step whose equations are not solved: try about half of it
FARTHEST = 2.5  # steps over the last one up to which its polynomial foretells the stages
MIDDLE = 3  # the stage nearest to the middle of the step


def _tableau() -> tuple[Array, Array]:
    """Return nodes and matrix: the integrals, up to each node, of what is one at a node."""
    x = np.append(special.roots_jacobi(STAGES - 1, 1.0, 0.0)[0], 1.0)
    powers = np.eye(STAGES)
    integrals = [legendre.legval(x, legendre.legint(p, lbnd=-1)) / 2 for p in powers]
    return (x + 1) / 2, np.linalg.solve(legendre.legvander(x, STAGES - 1).T, integrals).T


NODES, MATRIX = _tableau()
INVERSE = np.linalg.inv(MATRIX)


def _eigen() -> tuple[Array, Array, Array]:
    """Return eigenvalues of the inverse, the real one first, one of each pair, and both sides."""
    values, right = np.linalg.eig(INVERSE)
    left = np.linalg.inv(right)
    some = np.flatnonzero(values.imag >= 0)
    some = some[np.argsort(values[some].imag, kind="stable")]
    return values[some], right[:, some] * np.where(values[some].imag > 0, 2.0, 1.0), left[some]


VALUES, RIGHT, LEFT = _eigen()
REAL = float(VALUES[0].real)


def _error_weights() -> Array:
    """Return the weights of the stages in the error: a rule of order 7 with the slope at 0."""
    moments = 1 / np.arange(1.0, STAGES + 1)
    moments[0] -= 1 / REAL
    rule = np.linalg.solve(np.vander(NODES, increasing=True).T, moments)
    return np.asarray((rule - MATRIX[-1]) @ INVERSE * REAL)


ERROR = _error_weights()


class Radau:
    """A method of order 13 with an error estimate of order 7.

    Args:
        derivative: states (b, M) -> their derivatives (b, M).
        stages: the same for states (7 b, M), those of each stage after those of the last one.
        z: states (b, M).
        slope: the derivatives there.
        h: steps (b,).
        J: the derivative of the derivative near the middle of the step, (b, M, M).
        scale: the tolerance of each coordinate, (b, M).
        moved: how far the stages are foretold to be from z, (7, b, M).
    """

    order = STAGES + 1

    def __init__(
        self,
        derivative: Callable[[Array], Array],
        stages: Callable[[Array], Array],
        z: Array,
        slope: Array,
        h: Array,
        J: Array,
        scale: Array,
        moved: Array,
    ) -> None:
        self.derivative, self.z, self.first, self.h = derivative, z, slope, h[:, None]
        eye = np.eye(z.shape[1])
        finite = np.asarray(np.isfinite(J).all(axis=(1, 2), keepdims=True))
        J = np.where(finite, J, 0.0)
        self.real = _inverse((REAL / self.h)[..., None] * eye - J)
        self.pairs = _inverse((VALUES[1:, None] / h)[..., None, None] * eye - J)
        self.moved, self.solved, self.counts = self._newton(stages, scale, moved)
        self.solved &= finite[:, 0, 0]
        self.new = z + self.moved[-1]
        self.slope = derivative(self.new)

    def _newton(
        self, stages: Callable[[Array], Array], scale: Array, moved: Array
    ) -> tuple[Array, Array, Array]:
        """Return how far the stages are from the start, which are solved, and the Newton steps."""
        b = len(self.z)
        running, solved = np.ones(b, dtype=bool), np.zeros(b, dtype=bool)
        last, counts = np.full(b, np.inf), np.zeros(b, dtype=int)
        for count in range(1, MOST + 1):
            change = self._newton_step(stages, moved)
            moved, counts = moved + np.where(running[:, None], change, 0.0), counts + running
            size = np.abs(change / scale).max(axis=(0, 2))
            contraction = size / np.maximum(last, 1e-300)
            left = size * contraction / np.maximum(1 - contraction, 1e-3)
            # What falls so slowly below the tolerance is rounding, or will be less than it.
            found = (left < NEWTON) | (size < 0.1 * NEWTON) | ((size < 0.1) & (contraction > 0.5))
            worse = contraction > (WILD if count < 4 else SLOW)
            solved |= running & found & (count > 1)
            running &= ~solved & ~worse & np.isfinite(size)
            last = size
            if not running.any():
                break
        return moved, solved, counts

    def _newton_step(self, stages: Callable[[Array], Array], moved: Array) -> Array:
        slopes = stages((self.z + moved).reshape(-1, self.z.shape[1])).reshape(moved.shape)
        rest = np.tensordot(LEFT, slopes - np.tensordot(INVERSE, moved, 1) / self.h, 1)
        change = np.empty_like(rest)
        change[0] = (self.real @ rest[0].real[..., None])[..., 0]
        change[1:] = (self.pairs @ rest[1:, ..., None])[..., 0]
        return np.asarray(np.tensordot(RIGHT, change, 1).real)

    def interpolant(self) -> Any:
        """Return the polynomial on the step, of order 7."""
        powers = np.vander(NODES, STAGES + 1, increasing=True)[:, 1:]
        parts = np.linalg.solve(powers, self.moved.reshape(STAGES, -1))
        return Polynomial(self.z, parts.reshape(self.moved.shape), "x" * STAGES)

    def error(self, scale: Array) -> Array:
        """Return the largest error of each case over the scale (b, M) of its coordinates."""
        rest = np.tensordot(ERROR, self.moved, 1) / self.h

        def filtered(slope: Array) -> tuple[Array, Array]:
            errors = (self.real @ (slope + rest)[..., None])[..., 0]
            return errors, np.abs(errors / scale).max(axis=1)

        errors, size = filtered(self.first)
        large = size > 1
        if large.any():  # what a large rate has left in the estimate is filtered once more
            again = filtered(self.derivative(self.z + errors))[1]
            size = np.where(large, again, size)
        slow = (0.9 / (1 + (MOST - self.counts) / 4)) ** self.order
        size = np.where(self.counts > FEW, np.maximum(size, slow), size)
        unsolved = ~self.solved & np.isfinite(self.new).all(axis=1)
        return np.asarray(np.where(unsolved, FAILED, size))


def farther(moved: Array, ratio: Array) -> Array:
    """Return how far the stages of steps are foretold to be, by the polynomials of the last ones.

    Args:
        moved: how far those of the last steps were, (7, b, M).
        ratio: the steps over the last ones, (b,); where it is too large to say, the answer is 0.
    """
    known = ratio <= (1 + 1e-9) * FARTHEST
    places, nodes = 1 + np.where(known, ratio, 0.0)[:, None] * NODES, np.append(0.0, NODES)
    weights = np.ones((len(ratio), STAGES, STAGES + 1))
    for i, node in enumerate(nodes):
        others = np.delete(nodes, i)
        weights[..., i] = ((places[..., None] - others) / (node - others)).prod(axis=-1)
    found = np.einsum("bji,ibm->jbm", weights[..., 1:], np.nan_to_num(moved)) - moved[-1]
    return np.where(known[:, None], found, 0.0)


def _inverse(matrices: Array) -> Array:
    """Return the inverses, NaN for a stack in which one has none: its step is tried shorter."""
    try:
        return np.linalg.inv(matrices)
    except np.linalg.LinAlgError:
        return np.full(matrices.shape, np.nan)
