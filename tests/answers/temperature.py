"""Right and wrong answers to the exercises on low temperature."""

import numpy as np
from scipy.special import ive

from transpde.exercises import temperature as check


def slopes(v, a, over=1, half=0.5):
    best = half * a[over] / (v[1] * a[1] - v[0] * a[0])
    return [best, best + half / (v[0] - v[1])]


def window(v, a):
    best, escape = slopes(v, a)
    return [best, escape - best]


def without_clock(v, a):
    return slopes(v, a) + (1 / a[1] - 1) * 0.5 * a[1] / (v[1] * a[1] - v[0] * a[0])


def scores_escape(v, a):
    best = slopes(v, a)[0]
    return [best, 2 * best]


def degrees(beta, d, laplacian=None, shift=True):
    n = np.arange(1, 100)
    nu = (d / 2 - 1) * shift
    factor = n * (n + d - 2) if laplacian is None else laplacian(n)
    return n[np.argmax(factor * ive(n + nu, beta) / ive(nu, beta))]


RIGHT = {check.slopes: slopes, check.fastest: degrees}

WRONG = [
    (check.slopes, window, "add the best time"),
    (check.slopes, lambda v, a: slopes(v, a, half=1.0), "half is missing"),
    (check.slopes, without_clock, "a_2 stands over the gap"),
    (check.slopes, lambda v, a: slopes(v, a, over=0), "not 1/a_1"),
    (check.slopes, scores_escape, "the escape goes at"),
    (check.slopes, lambda v, a: [0.0, 0.0], "the largest error of an entry"),
    (check.fastest, lambda beta, d: round(np.sqrt(2 * beta)), "degree on the circle"),
    (check.fastest, lambda beta, d: degrees(beta, 2), "degree on the circle"),
    (check.fastest, lambda beta, d: degrees(beta, d) - 1, "returns a place"),
    (check.fastest, lambda beta, d: 199, "the heat equation"),
    (check.fastest, lambda beta, d: 1, "the largest error of an entry"),
    (check.fastest, lambda beta, d: degrees(beta, d, lambda n: n**2), "differ beyond the circle"),
    (check.fastest, lambda beta, d: degrees(beta, d, shift=False), "the orders of the Bessel"),
]
