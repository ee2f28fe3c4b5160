"""Right and wrong answers to the exercises on stability."""

import numpy as np
from scipy.integrate import quad
from scipy.special import dawsn, expi

from transpde.exercises import stability as check


def moved_coupling(v, a0, t):
    a = a0 * np.exp(2 * v * t)
    return (a - a0 + np.exp(2 * a) - np.exp(2 * a0) + expi(2 * a) - expi(2 * a0)) / 2


def parts(v, a0, t):
    """The integral of L_x, and the second one in closed form."""
    a = a0 * np.exp(2 * v * t)

    def F(u):
        return np.exp(1.5 * u) * (10 * np.sqrt(2 / 3) * dawsn(np.sqrt(1.5 * u)) - 2 / np.sqrt(u))

    return (a - a0) / 2, np.sqrt(a) * np.exp(a / 2) * (F(a) - F(a0)) / 2


def log_bound(v, a0, t):
    space, pushed = parts(v, a0, t)
    return space + np.log1p(pushed)


def first_radius(v, a0, t):
    rate = v * (1 + 2 * a0) * np.exp(2 * a0)
    pushed = quad(lambda s: rate * np.exp(v * (1 + a0) * (t - s)), 0, t)[0]
    return v * a0 * t + np.log1p(pushed)


def slow(v, a0, t):
    """With alpha growing like the radius."""

    def a(s):
        return a0 * np.exp(v * s)

    pushed = quad(
        lambda s: v * (1 + 2 * a(s)) * np.exp(2 * a(s) + v * (t - s) + a(t) - a(s)), 0, t
    )[0]
    return a(t) - a0 + np.log1p(pushed)


def reversed_in_depth(v, a0, t):
    def a(s):
        return a0 * np.exp(2 * v * s)

    pushed = quad(lambda s: v * (1 + 2 * a(s)) * np.exp(2 * a(s) + v * s + (a(s) - a0) / 2), 0, t)[
        0
    ]
    return (a(t) - a0) / 2 + np.log1p(pushed)


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
    check.log_bound: log_bound,
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
    (check.log_bound, first_radius, "the ball grows"),
    (check.log_bound, moved_coupling, "a moved coupling"),
    (check.log_bound, lambda v, a0, t: np.log1p(parts(v, a0, t)[1]), "in space is missing"),
    (
        check.log_bound,
        lambda v, a0, t: parts(v, a0, t)[0] + np.log(parts(v, a0, t)[1]),
        "the one in the bracket",
    ),
    (check.log_bound, lambda v, a0, t: np.exp(log_bound(v, a0, t)), "return the logarithm"),
    (check.log_bound, slow, "the square of the radius"),
    (
        check.log_bound,
        lambda v, a0, t: v * t + a0 * np.expm1(2 * v * t),
        "the exponent of order infinity",
    ),
    (check.log_bound, reversed_in_depth, "from s to t"),
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
