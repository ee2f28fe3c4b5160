"""Right and wrong answers to the exercises on stability."""

import numpy as np
from scipy.special import expi

from transpde.exercises import stability as check


def rate(v, a):
    return v * (a + (1 + 2 * a) * np.exp(2 * a))


def exponent(v, a0, t):
    a = a0 * np.exp(2 * v * t)
    return (a - a0 + np.exp(2 * a) - np.exp(2 * a0) + expi(2 * a) - expi(2 * a0)) / 2


def ratio(s0, s1, a, t):
    if 2 * a * t * max(s0, s1) >= 1:
        return np.inf
    ends = [np.sqrt(s / (1 - 2 * a * s * t)) for s in (s0, s1)]
    return abs(ends[0] - ends[1]) / abs(np.sqrt(s0) - np.sqrt(s1))


def variances(s0, s1, a, t):
    if 2 * a * t * max(s0, s1) >= 1:
        return np.inf
    ends = [s / (1 - 2 * a * s * t) for s in (s0, s1)]
    return abs(ends[0] - ends[1]) / abs(s0 - s1)


def unguarded(s0, s1, a, t):
    ends = [np.sqrt(abs(s / (1 - 2 * a * s * t))) for s in (s0, s1)]
    return abs(ends[0] - ends[1]) / abs(np.sqrt(s0) - np.sqrt(s1))


RIGHT = {
    check.sensitivity: lambda alpha, w: 1 / (w + (1 - w) * np.exp(-2 * alpha)),
    check.log_bound: exponent,
    check.gaussian_ratio: ratio,
}

WRONG = [
    (check.sensitivity, lambda alpha, w: np.exp(2 * alpha), "the limit of small w"),
    (check.sensitivity, lambda alpha, w: (1 + 2 * alpha) * np.exp(2 * alpha), "for all measures"),
    (
        check.sensitivity,
        lambda alpha, w: np.exp(alpha) / (1 - w + w * np.exp(alpha)),
        "the scores are alpha and -alpha",
    ),
    (
        check.sensitivity,
        lambda alpha, w: np.exp(2 * alpha) / (1 + w * np.exp(2 * alpha)),
        "the old token has weight too",
    ),
    (
        check.sensitivity,
        lambda alpha, w: w * np.exp(2 * alpha) / (1 - w + w * np.exp(2 * alpha)),
        "divide by W_1",
    ),
    (
        check.sensitivity,
        lambda alpha, w: 2 / (w + (1 - w) * np.exp(-2 * alpha)),
        "the twos cancel",
    ),
    (check.sensitivity, lambda alpha, w: 1.0, "the largest error of an entry"),
    (check.log_bound, lambda v, a0, t: t * rate(v, a0), "the ball grows"),
    (check.log_bound, lambda v, a0, t: t * rate(v, a0 * np.exp(2 * v * t)), "the last rate"),
    (
        check.log_bound,
        lambda v, a0, t: exponent(v, a0, t) - a0 * np.expm1(2 * v * t) / 2,
        "in space is missing",
    ),
    (check.log_bound, lambda v, a0, t: np.exp(exponent(v, a0, t)), "the exponent itself"),
    (check.log_bound, lambda v, a0, t: 2 * exponent(v / 2, a0, t), "the square of the radius"),
    (
        check.log_bound,
        lambda v, a0, t: v * t + a0 * np.expm1(2 * v * t),
        "the exponent of order infinity",
    ),
    (check.log_bound, lambda v, a0, t: 2 * exponent(v, a0, t), "the factor one half"),
    (check.gaussian_ratio, variances, "between standard deviations"),
    (check.gaussian_ratio, lambda s0, s1, a, t: ratio(s0, s1, a / 2, t), "the two is missing"),
    (check.gaussian_ratio, unguarded, "return np.inf"),
    (
        check.gaussian_ratio,
        lambda s0, s1, a, t: ratio(s0, s1, a, t) * abs(np.sqrt(s0) - np.sqrt(s1)),
        "divide by the distance",
    ),
    (
        check.gaussian_ratio,
        lambda s0, s1, a, t: ratio(s0, s1, a, t) * np.sign(s0 - s1),
        "a distance is not negative",
    ),
]
