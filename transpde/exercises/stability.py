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


def _softmax_exponent(v: Array, a0: Array, t: Array) -> Array:
    a = a0 * np.exp(2 * v * t)
    grown = (np.exp(2 * a) - np.exp(2 * a0)) / 2 + (expi(2 * a) - expi(2 * a0)) / 2
    return _array((a - a0) / 2 + grown)


def log_bound(answer: Answer) -> str:
    """Check `answer(v, a0, t)`: the logarithm of the bound in W_1 for softmax."""
    problems = [
        tuple(map(_array, row)) for row in ((1.0, 0.4, 0.5), (0.6, 1.2, 0.7), (2, 0.1, 0.4))
    ]

    def rate(v: Array, a: Array) -> Array:
        return _array(v * (a + (1 + 2 * a) * np.exp(2 * a)))

    def end(v: Array, a0: Array, t: Array) -> Array:
        return _array(a0 * np.exp(2 * v * t))

    hints: dict[str, Callable[..., Array]] = {
        "the ball grows: integrate the rate with R(s), not with the first radius.": (
            lambda v, a0, t: t * rate(v, a0)
        ),
        "that is depth times the last rate, which is a bound but not the integral.": (
            lambda v, a0, t: t * rate(v, end(v, a0, t))
        ),
        "the Lipschitz constant in space is missing.": (
            lambda v, a0, t: _softmax_exponent(v, a0, t) - (end(v, a0, t) - a0) / 2
        ),
        "return the logarithm of the bound, the exponent itself.": (
            lambda v, a0, t: np.exp(_softmax_exponent(v, a0, t))
        ),
        "alpha holds the square of the radius, so it grows by e^(2vt).": (
            lambda v, a0, t: 2 * _softmax_exponent(v / 2, a0, t)
        ),
        "that is the exponent of order infinity; this is order 1.": (
            lambda v, a0, t: v * t + end(v, a0, t) - a0
        ),
        "d alpha = 2v alpha dt: the factor one half is missing.": (
            lambda v, a0, t: 2 * _softmax_exponent(v, a0, t)
        ),
    }
    wrong = judged(answer, problems, _softmax_exponent, hints)
    return wrong or "Right: the exponential integral, at both ends."


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
