r"""Softmax of many normal draws on the line: the tilted mean, and where it leaves its limit.

With n draws $z_j$ of $N(0, 1)$ the tilted mean is
$m_n(\beta) = \sum_j z_j e^{\beta z_j}/\sum_j e^{\beta z_j}$; its limit for fixed $\beta$ is
$\beta$, and no draw reaches far beyond $\sqrt{2\log n}$.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import ArrayLike
from scipy.special import log_ndtr, ndtri_exp

from transpde.attention import Softmax
from transpde.checks import (
    Array,
    finite_array,
    generator,
    increasing_times,
    listing,
    open_share,
    positive_integer,
    positive_number,
    same_size,
)
from transpde.fields import in_floats, quiet
from transpde.kernels.fast import CHECKS, SEED
from transpde.kernels.nodes import from_values, places_of
from transpde.measures import Particles
from transpde.theory.following import followed

__all__ = ["cut_tilt", "departure_tilt", "line_flow", "line_velocity", "tilted_means"]

WIDTH = 0.01  # of the bins of draws
MANY = 30.0  # logarithm of a count whose fluctuation is below all digits shown
ONE = np.eye(1)
NODES = 32  # of a panel
# Checked places of a panel, as cosines: both ends and, evenly between, half-way between nodes.
BETWEEN = np.cos(np.pi * np.arange(9) / 8)

Speed = Callable[[Array], Array]


@in_floats
def tilted_means(
    log_n: float, tilts: ArrayLike, *, draws: int, seed: int | np.random.Generator
) -> Array:
    r"""Return tilted means $m_N(\beta)$ of N normal draws, N of Poisson law with mean n.

    Only the counts in bins of width 0.01 matter, and they are independent Poisson variables: n may
    be far beyond any memory. Counts with a mean over $e^{30}$ are replaced by it.

    Args:
        log_n: the logarithm of n, positive.
        tilts: $\beta$, shape (m,).
        draws: how many samples.
        seed: an integer or a generator.

    Returns:
        Shape (draws, m).

    Raises:
        ValueError: a logarithm or number of draws that is not positive.
        OverflowError: tilts beyond floats.

    Source: ours (chapter on the mean-field limit).

    Example:
        >>> import numpy as np
        >>> from transpde.theory import freezing
        >>> means = freezing.tilted_means(np.log(1e9), [1.0, 100.0], draws=5, seed=0)
        >>> np.median(means, axis=0).round(1)
        array([1. , 6.1])
    """
    log_n, draws = positive_number("log_n", log_n), positive_integer("draws", draws)
    beta, rng = finite_array("tilts", tilts, "m"), generator("seed", seed)
    z = np.arange(-8.0, np.sqrt(2 * log_n) + 3, WIDTH)
    log_mean = log_n - z**2 / 2 + np.log(WIDTH / np.sqrt(2 * np.pi))
    # To six digits: exponentials differ between machines in the last bit of a double, and that
    # would change a draw by rejection, and all draws after it.
    significand, exponent = np.frexp(np.exp(np.minimum(log_mean, MANY)))
    mean = np.ldexp(significand.round(6), exponent)
    counts = np.where(log_mean < MANY, rng.poisson(mean, (draws, len(z))) / mean, 1.0)
    exponents = np.outer(z, beta) + log_mean[:, None]
    weights = np.exp(exponents - exponents.max(axis=0))
    return ((counts * z) @ weights) / (counts @ weights)


@quiet
def departure_tilt(means: ArrayLike, tilts: ArrayLike, tolerance: float) -> float:
    r"""Return the last $\beta$ with $m_n(\beta) \ge (1 - \eta)\beta$, 0 where there is none.

    Args:
        means: $m_n(\beta)$ at the tilts, shape (m,).
        tilts: increasing, shape (m,); the last one must be beyond the departure.
        tolerance: $\eta$, between 0 and 1.

    Raises:
        ValueError: tilts that end before the departure or do not increase, means of another
            number, a tolerance that is not between 0 and 1.

    Source: ours (chapter on the mean-field limit).

    Example:
        >>> from transpde.theory import freezing
        >>> round(freezing.departure_tilt([1.0, 2.0, 2.0], [1.0, 2.0, 3.0], 0.1), 6)
        2.222222
    """
    beta, share = finite_array("tilts", tilts, "m"), 1 - open_share("tolerance", tolerance)
    m = finite_array("means", means, "m")
    same_size("means", len(m), "tilts", len(beta), "length")
    if (np.diff(beta) <= 0).any():
        raise ValueError(f"tilts: must be increasing; got {beta}.")
    above = m - share * beta
    if above[-1] >= 0:
        raise ValueError(f"tilts: must end beyond the departure; at {beta[-1]} it has not come.")
    if above.max() < 0:
        return 0.0
    k = np.flatnonzero(above >= 0)[-1]
    part = above[k] / (above[k] - above[k + 1])
    return float(beta[k] + part * (beta[k + 1] - beta[k]))


@quiet
def cut_tilt(log_n: float, tolerance: float) -> float:
    r"""Return the tilt at departure of a normal law cut at the median of the largest draw.

    With $z_n$ this median the tilted law is $N(\beta, 1)$ cut at $z_n$, of mean
    $\beta - h(z_n - \beta)$, $h = \varphi/\Phi$; departure is at $h(z_n - \beta) = \eta\beta$. A
    guess for large n, without proof.

    Args:
        log_n: the logarithm of n, positive.
        tolerance: $\eta$, between 0 and 1.

    Raises:
        ValueError: n so small that the cut law misses the tolerance at every tilt, a tolerance
            that is not between 0 and 1.

    Source: ours (chapter on the mean-field limit).

    Example:
        >>> import numpy as np
        >>> from transpde.theory import freezing
        >>> round(freezing.cut_tilt(np.log(1e6), 0.1), 2)
        4.13
    """
    log_n, eta = positive_number("log_n", log_n), open_share("tolerance", tolerance)
    largest = -float(ndtri_exp(np.log(np.log(2)) - log_n))
    c = np.linspace(-10.0, 10.0, 200_001)
    hazard = np.exp(-(c**2) / 2 - log_ndtr(c)) / np.sqrt(2 * np.pi)
    within = hazard <= eta * (largest - c)
    if not within.any():
        raise ValueError(f"log_n: too small for the tolerance {eta}; got {log_n}.")
    return float(largest - c[within.argmax()])


@quiet
def line_velocity(points: ArrayLike, tol: float = 1e-8) -> Array:
    """Return the softmax velocities of many tokens on the line, Q = K = V = 1.

    The velocity is a smooth, increasing function of the place, steep where tokens far apart share
    the weight. It is interpolated from Chebyshev nodes on panels, which are cut in two until each
    agrees with exact sums at both ends and at places between its nodes: a step that is hidden from
    the nodes shows at an end, because the velocity increases. Seeded draws are checked besides.
    Where that check fails, or where panels would need half as many exact sums as there are tokens,
    all sums are exact.

    Args:
        points: shape (n,).
        tol: the largest error, relative to the largest velocity, measured from zero and from the
            middle of the tokens.

    Raises:
        ValueError: points or a tolerance that are not finite, a tolerance that is not positive.

    Source: ours (chapter on the mean-field limit).

    Example:
        >>> from transpde.theory import freezing
        >>> freezing.line_velocity([-20.0, -0.02, 0.02, 20.0]).round(4)
        array([-20.    ,  -3.9475,   3.9475,  20.    ])
    """
    x, tol = finite_array("points", points, "n"), positive_number("tol", tol)
    field = Softmax(ONE, ONE, ONE)(Particles(x[:, None]), method="exact")

    def exact(places: Array) -> Array:
        return np.asarray(field(places.reshape(-1, 1)).reshape(places.shape))

    found = _by_panels(exact, x, tol)
    return exact(x) if found is None else found


def _by_panels(exact: Speed, x: Array, tol: float) -> Array | None:
    """Return the speeds at x from panels of nodes, or None where exact sums are better."""
    places = np.concatenate([places_of(NODES), BETWEEN])
    low, high = float(x.min()), float(x.max())
    middle, budget, found = low / 2 + high / 2, len(x) / 2, np.empty(len(x))
    if not 0 < high - low < np.inf or budget < len(places):
        return None
    panels, scale = [(low, high, np.arange(len(x)))], 0.0
    while panels:
        budget -= len(places) * len(panels)
        if budget < 0:
            return None
        ends = np.array([panel[:2] for panel in panels])
        centre, half = ends.mean(axis=1, keepdims=True), np.ptp(ends, axis=1)[:, None] / 2
        speeds, others = np.split(exact(centre + half * places), [NODES], axis=1)
        scale = scale or min(np.abs(speeds).max(), np.abs(speeds - middle).max())
        coefficients = speeds @ from_values(NODES).T
        errors = np.abs(chebyshev.chebval(BETWEEN, coefficients.T) - others).max(axis=1)
        smooth = errors <= tol / 10 * scale
        halves = []
        for (a, b, rows), mid, wide, row, done in zip(
            panels, centre[:, 0], half[:, 0], coefficients, smooth, strict=True
        ):
            if done:
                found[rows] = chebyshev.chebval((x[rows] - mid) / wide, row)
                continue
            left = x[rows] < mid
            halves += [(a, mid, rows[left]), (mid, b, rows[~left])]
        panels = [panel for panel in halves if len(panel[2])]
    draws = np.random.default_rng(SEED).integers(len(x), size=CHECKS)
    rows = np.append(draws, [x.argmin(), x.argmax()])
    return found if np.abs(found[rows] - exact(x[rows])).max() <= tol * scale else None


@quiet
def line_flow(points: ArrayLike, times: ArrayLike) -> Array:
    """Return the softmax flow of many tokens on the line, Q = K = V = 1, by `line_velocity`.

    The tolerances of the solver are 1e-4.

    Args:
        points: tokens at depth 0, shape (n,).
        times: increasing depths from 0, shape (T,).

    Returns:
        Shape (T, n).

    Raises:
        ValueError: points that are not finite, times that do not increase from 0.

    Source: ours (chapter on the mean-field limit).

    Example:
        >>> from transpde.theory import freezing
        >>> freezing.line_flow([-1.0, 1.0], [0.0, 0.1]).round(3)
        array([[-1.   ,  1.   ],
               [-1.083,  1.083]])
    """
    t = increasing_times("times", times)
    start = finite_array("points", points, "n")
    path = followed(
        "line_flow", lambda _, x: line_velocity(x, tol=1e-6), (0.0, t[-1]), start,
        method="RK45", t_eval=t, rtol=1e-4, atol=1e-4,
    )  # fmt: skip
    return np.asarray(path.y.T)


__dir__ = listing(__all__)
