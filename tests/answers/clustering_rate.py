"""Right and wrong answers to the exercises on quantitative clustering."""

import numpy as np

from transpde.exercises import clustering_rate as check


def time(r, w):
    mean = 1 - w**2 / 2
    return np.log((1 - r**2) / r**2) - np.log((1 - mean**2) / mean**2)


def at_mean(r, mean):
    return np.log((1 - r**2) / r**2) - np.log((1 - mean**2) / mean**2)


def edge(d, p):
    return np.log((d - 1) / p) / 2


RIGHT = {check.reached: time, check.irrelevant: lambda d, p: max(0.0, edge(d, p))}

WRONG = [
    (check.reached, lambda r, w: -2 * np.log(w), "the slope alone"),
    (check.reached, lambda r, w: at_mean(r, 1 - w / 2), "not of the distance"),
    (check.reached, lambda r, w: at_mean(r, 1 - w**2), "a factor two"),
    (check.reached, lambda r, w: 2 * time(r, w), "that of its root"),
    (check.reached, lambda r, w: -time(r, w), "the other way"),
    (check.irrelevant, lambda d, p: np.log((d - 1) / p), "half of the logarithm"),
    (check.irrelevant, lambda d, p: max(0, np.log((d - 1) / p)), "to be halved"),
    (check.irrelevant, edge, "return 0"),
    (check.irrelevant, lambda d, p: max(0, np.log(d / p) / 2), "not eps"),
    (check.irrelevant, lambda d, p: max(0, np.log(d - 1) / 2), "divides the rate"),
]
