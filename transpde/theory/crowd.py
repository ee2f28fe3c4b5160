r"""Laws of attention heads: how far a stall is from optimal, how it divides, when it is left.

Notation as in `transpde.crowd`: the loss F is convex in the law $\nu$ of heads $u = (A, V)$, and
its first variation is $F'_\nu(u) = \langle V, g_\nu(A)\rangle$.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from transpde.checks import (
    finite_array,
    finite_number,
    flag,
    listing,
    non_negative_number,
    number,
    positive_number,
    same_size,
    square_matrix,
    symmetric_matrix,
)
from transpde.fields import quiet, silent

__all__ = [
    "Inertia",
    "block_inertia",
    "escape_time",
    "optimality_bound",
    "split_change",
    "waking_rate",
]


class Inertia(NamedTuple):
    """How many eigenvalues are negative, zero, positive."""

    negative: int
    zero: int
    positive: int


@quiet
def optimality_bound(slope: float, teacher_size: float, *, fits: bool = True) -> float:
    r"""Return what F at a stationary law cannot exceed.

    $F(\nu)\le\frac12\sup_A\|g_\nu(A)\|_F\int\|V\|_F\,d\bar\nu$ for a law $\bar\nu$ that fits the
    target exactly; for any other one, twice this bounds $F(\nu) - F(\bar\nu)$.

    Args:
        slope: $\sup_A\|g_\nu(A)\|_F$.
        teacher_size: $\int\|V\|_F\,d\bar\nu$.
        fits: whether $\bar\nu$ fits.

    Returns:
        A float, inf where it overflows.

    Raises:
        ValueError: a number that is negative or not finite.

    Source: ours.

    Example:
        >>> from transpde.theory import crowd
        >>> crowd.optimality_bound(0.25, 2.0)
        0.25
    """
    found = non_negative_number("slope", slope)
    found *= non_negative_number("teacher_size", teacher_size)
    return found / 2 if flag("fits", fits) else found


@silent
def waking_rate(first_variation: Any, mass: float) -> float:
    r"""Return $\varepsilon\|g_\nu(A)\|_F^2$, the rate at which a sleeping head lowers F.

    A head of mass $\varepsilon$ with V = 0 at A is added to a stationary law.

    Args:
        first_variation: $g_\nu(A)$, shape (d, d).
        mass: $\varepsilon$.

    Returns:
        A float, inf where it overflows.

    Raises:
        ValueError: entries that are not finite, another shape, a mass that is not positive.

    Source: ours.

    Example:
        >>> from transpde.theory import crowd
        >>> crowd.waking_rate([[0.0, 2.0], [0.0, 0.0]], 0.5)
        2.0
    """
    g = square_matrix("first_variation", first_variation, "d d")
    return float(positive_number("mass", mass) * (g**2).sum())


@quiet
def block_inertia(score: Any, mixed: Any, *, tolerance: float = 1e-8) -> Inertia:
    r"""Return the signs of the eigenvalues of $\nabla^2F'_\nu$, of blocks $a, b, b^\top, 0$.

    They are r negative and r positive ones, where r is the rank of b, and those of a on the
    kernel of $b^\top$; the rest is zero.

    Args:
        score: a, the second derivative in A, symmetric, shape (n, n).
        mixed: b, the derivative in A and V, shape (n, k).
        tolerance: singular values and eigenvalues below this times the largest entry are zero.

    Raises:
        ValueError: entries that are not finite, shapes that do not match, a that is not symmetric.

    Source: ours.

    Example:
        >>> from transpde.theory import crowd
        >>> crowd.block_inertia([[1.0, 0.0], [0.0, 1.0]], [[1.0], [0.0]])
        Inertia(negative=1, zero=0, positive=2)
    """
    a = symmetric_matrix("score", score, "n n")
    b = finite_array("mixed", mixed, "n k")
    same_size("mixed", len(b), "score", len(a), "number of rows")
    least = positive_number("tolerance", tolerance) * max(np.abs(a).max(), np.abs(b).max())
    left, singular, _ = np.linalg.svd(b)
    rank = int((singular > least).sum())
    kernel = left[:, rank:]
    rest = np.linalg.eigvalsh(kernel.T @ a @ kernel)
    below, above = int((rest < -least).sum()), int((rest > least).sum())
    zero = sum(b.shape) - 2 * rank - below - above
    return Inertia(rank + below, zero, rank + above)


@quiet
def split_change(eigenvalue: float, mass: float, size: float) -> float:
    r"""Return $\frac12w\delta^2\lambda$, what F changes by when a head divides, to fourth order.

    Args:
        eigenvalue: $\lambda$, of $\nabla^2F'_\nu$ at the head, along its division.
        mass: w.
        size: $\delta$, how far each half moves.

    Returns:
        A float, infinite where it overflows.

    Raises:
        ValueError: a number out of range.

    Source: ours.

    Example:
        >>> from transpde.theory import crowd
        >>> crowd.split_change(-2.0, 0.5, 0.1)
        -0.005
    """
    delta = positive_number("size", size)
    slope = finite_number("eigenvalue", eigenvalue)
    return positive_number("mass", mass) * delta * delta * slope / 2


@quiet
def escape_time(eigenvalue: float, factor: float = 10.0, *, step: float | None = None) -> float:
    r"""Return how much longer a crowd stays near a stall when it starts closer by a factor.

    It is $\log(\text{factor})/|\lambda|$ in the flow, and $\log(\text{factor})/\log(1+h|\lambda|)$
    steps of gradient descent.

    Args:
        eigenvalue: the least of $\nabla^2F'_\nu$ at the stall, negative.
        factor: by which starts differ, more than 1.
        step: h of gradient descent; the flow when left out.

    Raises:
        ValueError: an eigenvalue that is not negative, a factor or a step out of range.

    Source: ours.

    Example:
        >>> from transpde.theory import crowd
        >>> round(crowd.escape_time(-0.5, 2.0), 4)
        1.3863
    """
    rate: float = -number(
        "eigenvalue", eigenvalue, "a negative number", lambda x: -np.inf < x <= -1e-300
    )
    more = number("factor", factor, "a number larger than 1", lambda x: 1 < x < np.inf)
    if step is None:
        return float(np.log(more) / rate)
    gain = np.log1p(number("step", step, "a positive number", lambda x: 1e-300 < x < 1e300) * rate)
    if not 0 < gain < np.inf:
        raise ValueError(f"step: must be a positive number that moves a head; got {step!r}.")
    return float(np.log(more) / gain)


__dir__ = listing(__all__)
