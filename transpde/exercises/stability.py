"""Checkers for the chapter on stability."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import expi

from transpde.checks import Array
from transpde.exercises.judge import Answer, judged

__all__ = ["gaussian_ratio", "log_bound", "sensitivity"]


def _array(values: Any) -> Array:
    return np.asarray(values, dtype=float)


def sensitivity(answer: Answer) -> str:
    """Check `answer(alpha, w)`: the gap of two softmax fields over |V| W_1, weight w carried."""
    problems = [(_array(a), _array(w)) for a, w in ((0.7, 0.3), (1.5, 0.01), (2.5, 0.6))]

    def right(alpha: Array, w: Array) -> Array:
        return _array(np.exp(2 * alpha) / (1 - w + w * np.exp(2 * alpha)))

    def one_sided(alpha: Array, w: Array) -> Array:
        return _array(np.exp(alpha) / (1 - w + w * np.exp(alpha)))

    hints: dict[str, Callable[..., Array]] = {
        "that is the limit of small w; keep the partition function.": (
            lambda alpha, w: np.exp(2 * alpha)
        ),
        "that is the bound for all measures, not the value for these two.": (
            lambda alpha, w: (1 + 2 * alpha) * np.exp(2 * alpha)
        ),
        "the scores are alpha and -alpha: the ratio of the weights is e^(2 alpha).": one_sided,
        "the partition function is (1 - w)e^(-alpha) + w e^alpha: the old token has weight too.": (
            lambda alpha, w: np.exp(2 * alpha) / (1 + w * np.exp(2 * alpha))
        ),
        "divide by W_1, which is 2Rw: w of the mass goes over 2R.": (
            lambda alpha, w: w * right(alpha, w)
        ),
        "the mean moves by 2Rq and W_1 is 2Rw: the twos cancel.": (
            lambda alpha, w: 2 * right(alpha, w)
        ),
    }
    wrong = judged(answer, problems, right, hints)
    return (
        wrong or "Right: e^(2 alpha) while w is small, and 1/w when the far token has taken over."
    )


Z, W = np.polynomial.legendre.leggauss(80)


def _parts(v: Array, a0: Array, t: Array, power: float = 2, backward: bool = False) -> Array:
    """Return both integrals, the second as a logarithm; alpha grows by e^(power v t)."""
    s = t * (1 + Z) / 2

    def both(s: Array) -> list[Array]:  # the integrals of L_x and of L_inf from 0 to s
        space = a0 * np.expm1(power * v * s) / power
        return [space, v * s + space]

    a, (space, largest) = a0 * np.exp(power * v * s), both(t)
    shift = both(s)[1] if backward else largest - both(s)[1]
    pushed = t / 2 * W @ (v * (1 + 2 * a) * np.exp(2 * a + shift))
    return _array([space, np.log(pushed)])


def _log_bound(v: Array, a0: Array, t: Array) -> Array:
    space, pushed = _parts(v, a0, t)
    return _array(space + np.logaddexp(0, pushed))


def _first_radius(v: Array, a0: Array, t: Array) -> Array:
    pushed = (1 + 2 * a0) * np.exp(2 * a0) * np.expm1(v * (1 + a0) * t) / (1 + a0)
    return _array(v * a0 * t + np.log1p(pushed))


def _moved_coupling(v: Array, a0: Array, t: Array) -> Array:
    a = a0 * np.exp(2 * v * t)
    return _array((a - a0 + np.exp(2 * a) - np.exp(2 * a0) + expi(2 * a) - expi(2 * a0)) / 2)


def log_bound(answer: Answer) -> str:
    """Check `answer(v, a0, t)`: the logarithm of the bound in W_1 for softmax."""
    problems = [
        tuple(map(_array, row)) for row in ((1.0, 0.4, 0.5), (0.6, 1.2, 0.7), (2, 0.1, 0.4))
    ]
    hints: dict[str, Callable[..., Array]] = {
        "the ball grows: take the constants on the ball of depth s, not on the first.": (
            _first_radius
        ),
        "that is the exponent of a moved coupling, which pays e^(2 alpha) at every depth.": (
            _moved_coupling
        ),
        "the Lipschitz constant in space is missing.": (
            lambda v, a0, t: np.logaddexp(0, _parts(v, a0, t)[1])
        ),
        "the first displacement itself is missing: the one in the bracket.": (
            lambda v, a0, t: _parts(v, a0, t).sum()
        ),
        "return the logarithm of the bound.": lambda v, a0, t: np.exp(_log_bound(v, a0, t)),
        "alpha holds the square of the radius, so it grows by e^(2vt).": (
            lambda v, a0, t: _parts(v, a0, t, 1)[0] + np.logaddexp(0, _parts(v, a0, t, 1)[1])
        ),
        "that is the exponent of order infinity; this is order 1.": (
            lambda v, a0, t: v * t + a0 * np.expm1(2 * v * t)
        ),
        "integrate L_inf from s to t: what is pushed at depth s grows after it.": (
            lambda v, a0, t: (
                _parts(v, a0, t)[0] + np.logaddexp(0, _parts(v, a0, t, backward=True)[1])
            )
        ),
    }
    wrong = judged(answer, problems, _log_bound, hints)
    return wrong or "Right: e^(2 alpha) is paid once, under the integral."


def _moved(s: Array, a: Array, t: Array) -> Array:
    return _array(s / (1 - 2 * a * s * t) if 2 * a * s * t < 1 else np.inf)


def _ratio(s0: Array, s1: Array, a: Array, t: Array) -> Array:
    ends = _moved(s0, a, t), _moved(s1, a, t)
    if np.isinf(ends).any():
        return _array(np.inf)
    return _array(np.abs((np.sqrt(ends[0]) - np.sqrt(ends[1])) / (np.sqrt(s0) - np.sqrt(s1))))


def _ratio_of_variances(s0: Array, s1: Array, a: Array, t: Array) -> Array:
    ends = _moved(s0, a, t), _moved(s1, a, t)
    if np.isinf(ends).any():
        return _array(np.inf)
    return _array(np.abs((ends[0] - ends[1]) / (s0 - s1)))


def _ratio_unguarded(s0: Array, s1: Array, a: Array, t: Array) -> Array:
    ends = [np.sqrt(np.abs(s / (1 - 2 * a * s * t))) for s in (s0, s1)]
    return _array(np.abs((ends[0] - ends[1]) / (np.sqrt(s0) - np.sqrt(s1))))


def gaussian_ratio(answer: Answer) -> str:
    """Check `answer(s0, s1, a, t)`: W_2 at depth t over W_2 at depth 0, softmax, V = 1, d = 1."""
    rows = (
        (1.0, 1.2, 0.5, 0.5),
        (0.3, 0.2, -0.8, 2.0),
        (1.0, 1.1, 0.5, 0.95),
        (2.0, 1.0, 0.2, 9.0),
    )
    hints: dict[str, Callable[..., Array]] = {
        "the distance is between standard deviations, not between variances.": _ratio_of_variances,
        "the variance obeys s' = 2as^2: the two is missing.": (
            lambda s0, s1, a, t: _ratio(s0, s1, a / 2, t)
        ),
        "return np.inf once one of the two has blown up.": _ratio_unguarded,
        "divide by the distance at depth 0.": (
            lambda s0, s1, a, t: _ratio(s0, s1, a, t) * np.abs(np.sqrt(s0) - np.sqrt(s1))
        ),
        "a distance is not negative: take the modulus.": (
            lambda s0, s1, a, t: _ratio(s0, s1, a, t) * np.sign(s0 - s1)
        ),
    }
    wrong = judged(answer, [tuple(map(_array, row)) for row in rows], _ratio, hints)
    return wrong or "Right: finite until the wider Gaussian blows up, and unbounded before."
