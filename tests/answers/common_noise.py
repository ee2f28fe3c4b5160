"""Right and wrong answers to the exercises on synchronisation by noise."""

import numpy as np

from transpde.exercises import common_noise as check


def mode(k, d):
    return ((d - 3) * k - (d - 1)) / 2


def edge(d, v):
    return (d - 1 + 2 * v) / (d - 3) if d > 3 else np.inf


def guarded(found):
    return lambda d, v: found(d, v) if d > 3 else np.inf


RIGHT = {check.mode: mode, check.edge: edge}

WRONG = [
    (check.mode, lambda k, d: (d - 1) * k - (d - 3), "of the mean energy"),
    (check.mode, lambda k, d: ((d - 1) * k - (d - 3)) / 2, "not the other way"),
    (check.mode, lambda k, d: 2 * mode(k, d), "twice the exponent"),
    (check.mode, lambda k, d: -mode(k, d), "the sign"),
    (check.mode, lambda k, d: ((d - 3) * k / d - (d - 1)) / 2, "not k / d"),
    (check.mode, lambda k, d: (d - 2) * (k - 1) / 2, "not yet that of its logarithm"),
    (check.edge, guarded(lambda d, v: (d - 1) / (d - 3)), "attention helps"),
    (check.edge, guarded(lambda d, v: (d - 3) / (d - 1)), "of the mean energy"),
    (check.edge, guarded(lambda d, v: (d - 1 + v) / (d - 3)), "v has none"),
    (check.edge, guarded(lambda d, v: (d - 1 - 2 * v) / (d - 3)), "attraction is v > 0"),
    (check.edge, guarded(lambda d, v: edge(d, v) ** 0.5), "give its square"),
    (check.edge, lambda d, v: (d - 1 + 2 * v) / (d - 3) if d != 3 else np.inf, "no edge"),
]
