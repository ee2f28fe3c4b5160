"""Well-posedness at work: Picard's iteration on curves of measures, and a search for bad pairs."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from scipy.integrate import simpson
from scipy.special import gammaln

from transpde.attention import Attention
from transpde.checks import (
    Array,
    flag,
    frozen,
    generator,
    of_kind,
    positive_integer,
    positive_number,
)
from transpde.fields import held, quiet, silent
from transpde.measures import Particles
from transpde.measures.base import in_open_space
from transpde.theory.compact import lipschitz_bounds, support_radius

__all__ = ["picard_bound", "picard_iterates", "steepest_pair"]

STEP = 1e-3  # by which a token is moved, over the radius
DRAWS = 40  # of random pairs before the climb
LOGITS = 8.0  # the smallest mass is about exp(-LOGITS)
FINE = 201  # nodes of Simpson's rule


@silent
def picard_iterates(
    measure: Particles, attention: Attention, time: float, *, steps: int = 100, count: int = 8
) -> Array:
    r"""Return Picard's iterates of the curve of measures, from the curve that does not move.

    With a curve $\nu$ frozen, tokens follow the fields $\Gamma_{\nu_t}$, which carries $\mu_0$ to
    the next curve $S(\nu)$. Heun's rule on equal steps: the limit is the flow up to order two.

    Args:
        measure: the tokens of $\mu_0$, in Euclidean space.
        attention: any attention of such tokens.
        time: the depth T, positive and finite.
        steps: of the rule.
        count: how many times S is applied.

    Returns:
        An array (count + 1, steps + 1, n, d) of tokens, by iterate and by depth.

    Raises:
        ValueError: a time that is not positive, steps or count below 1, tokens on a sphere.
        TypeError: a measure that is not Particles.
        OverflowError: a number that no float holds.

    Source: ours (chapter on well-posedness).

    Example:
        >>> import transpde as tp
        >>> from transpde import theory
        >>> one = tp.Softmax([[1.0]], [[1.0]], [[1.0]])
        >>> theory.picard_iterates(tp.Particles([[1.0]]), one, 1.0, steps=1, count=2)[:, -1, 0, 0]
        array([1. , 2. , 2.5])
    """
    in_open_space("measure", of_kind("measure", measure, Particles))
    of_kind("attention", attention, Attention).check(measure)
    steps, count = positive_integer("steps", steps), positive_integer("count", count)
    h = positive_number("time", time) / steps

    def moved(x: Array) -> Particles:
        held(x, "measure: a token of an iterate")
        return Particles(x, measure.weights, measure.positions)

    curves = [np.repeat(measure.points[None], steps + 1, axis=0)]
    for _ in range(count):
        fields = [attention(moved(x)) for x in curves[-1]]
        path = [measure.points]
        for now, then in pairwise(fields):
            x, v = path[-1], moved(path[-1]).velocities(now)
            path.append(x + h / 2 * (v + moved(x + h * v).velocities(then)))
        curves.append(np.array(path))
    return frozen(np.array(curves))


@silent
def picard_bound(
    attention: Attention, radius: float, time: float, count: int, *, log: bool = False
) -> Array | None:
    r"""Return the bound $e^{E}\Lambda^k/k!$ on the distances of Picard's iterates, k < count.

    $W_1(\nu^{k+1}_t, \nu^k_t)$ is at most this number times the largest $W_1(\nu^1_s, \nu^0_s)$,
    for $t \le T$, with $E = \int_0^T L_x$ and $\Lambda = \int_0^T L_\mu$ along `support_radius`.

    Args:
        attention: softmax, L2 or sigmoid heads and their sums.
        radius: R, positive; all tokens are in $B_R$ at depth 0.
        time: the depth T, positive.
        count: how many numbers.
        log: return logarithms.

    Returns:
        An array (count,), inf where it overflows. None where a bound is missing.

    Raises:
        ValueError: a radius or time that is not positive, count below 1.
        TypeError: something that is not an attention.

    Source: ours (chapter on well-posedness).

    Example:
        >>> import transpde as tp
        >>> from transpde import theory
        >>> mean = tp.Softmax([[0.0]], [[0.0]], [[1.0]])
        >>> theory.picard_bound(mean, radius=1.0, time=1.0, count=4).round(4)
        array([1.    , 1.    , 0.5   , 0.1667])
    """
    t = np.linspace(0, positive_number("time", time), FINE)
    k = np.arange(positive_integer("count", count))
    radii = support_radius(attention, radius, t)
    rows = [] if radii is None else [lipschitz_bounds(attention, r) for r in radii]
    if not rows or None in rows[0]:
        return None
    exponent, rate = simpson(np.array(rows, dtype=float), x=t, axis=0)
    powers = np.where(k > 0, k * np.log(rate), 0.0)
    logs = exponent + powers - gammaln(k + 1)
    return frozen(logs if flag("log", log) else np.exp(logs))


@quiet
def steepest_pair(
    attention: Attention, radius: float, *, seed: Any = 0, steps: int = 200
) -> float:
    r"""Return the largest $|\Gamma_\mu(x) - \Gamma_\nu(x)|/W_1(\mu, \nu)$ that a search finds.

    Two tokens of any masses and a point x, all in $B_R$; one token is moved by a thousandth of R.
    Random pairs come first, then hill climbing from the best. A lower bound on every $L_\mu$, to
    hold against `lipschitz_bounds`: in the limit of small moves, two tokens reach what any
    measures do for softmax, linear and unnormalised attention.

    Args:
        attention: any attention of tokens without positions.
        radius: R, positive.
        seed: of the search.
        steps: of the climb.

    Raises:
        ValueError: a radius that is not positive, steps below 1.

    Source: ours (chapter on well-posedness).

    Example:
        >>> import transpde as tp
        >>> from transpde import theory
        >>> linear = tp.Linear([[1.0]], [[1.0]], [[1.0]])
        >>> 1.9 < theory.steepest_pair(linear, radius=1.0) <= 2.0
        True
    """
    d = of_kind("attention", attention, Attention).dimension
    R, rng = positive_number("radius", radius), generator("seed", seed)
    moves = np.exp(-rng.uniform(0, 5, size=positive_integer("steps", steps)))
    spread = np.append(np.full(4 * d, R), LOGITS / 2)
    tries = spread * rng.normal(size=(DRAWS, 4 * d + 1))
    values = [_steepness(attention, R, z) for z in tries]
    best, top = tries[int(np.argmax(values))], max(values)
    for move in moves:
        z = best + move * spread * rng.normal(size=4 * d + 1)
        value = _steepness(attention, R, z)
        if value > top:
            best, top = z, value
    return top


def _steepness(attention: Attention, R: float, z: Array) -> float:
    """Return the ratio of one pair: z holds x, the token, the other, the way, a logit of mass."""
    x, y, other, way = z[:-1].reshape(4, -1)
    x, y, other = _in_ball(x, R), _in_ball(y, R), _in_ball(other, R)
    shift = STEP * R * way / np.linalg.norm(way)
    end = _in_ball(y - shift if np.linalg.norm(y + shift) > R else y + shift, R)
    mass = 1 / (1 + np.exp(-np.clip(z[-1], -LOGITS, LOGITS)))
    clouds = (Particles([p, other], [mass, 1 - mass]) for p in (y, end))
    before, after = (attention(mu)(x[None])[0] for mu in clouds)
    return float(np.linalg.norm(after - before) / (mass * np.linalg.norm(end - y)))


def _in_ball(x: Array, R: float) -> Array:
    return x / max(1.0, float(np.linalg.norm(x)) / R)
