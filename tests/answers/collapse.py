"""Right and wrong answers to the exercises on collapse and what prevents it."""

import math

import numpy as np

from transpde.exercises import collapse as check


def distance(delta):
    own = 1 / (1 + math.exp(-(delta**2) / 2))
    return (2 * own - 1) * delta


def scores_of_delta(delta):  # tokens at plus and minus delta
    own = 1 / (1 + math.exp(-2 * delta**2))
    return 2 * delta * (2 * own - 1)


def twice_the_score(delta):
    own = 1 / (1 + math.exp(-(delta**2)))
    return (2 * own - 1) * delta


def covariance(x):
    y = x - x.mean(axis=0)
    return sum(np.outer(one, one) for one in y) / len(x)


def law(A, V, x):
    return sum(v @ covariance(x) @ a for a, v in zip(A, V, strict=True))


def uncentred(A, V, x):
    second = sum(np.outer(one, one) for one in x) / len(x)
    return sum(v @ second @ a for a, v in zip(A, V, strict=True))


RIGHT = {check.output_distance: distance, check.near_consensus: law}

WRONG = [
    (check.output_distance, lambda d: d**3 / 4, "leading order only"),
    (check.output_distance, lambda d: d + distance(d), "no skip connection"),
    (check.output_distance, twice_the_score, "their difference is"),
    (check.output_distance, lambda d: distance(d) / d, "total variation of the two rows"),
    (check.output_distance, lambda d: distance(d) / 2, "there are two"),
    (check.output_distance, scores_of_delta, "not delta"),
    (check.output_distance, lambda d: d, "the largest error of an entry"),
    (check.near_consensus, uncentred, "about the mean"),
    (check.near_consensus, lambda A, V, x: law(A, V, x) * len(x) / (len(x) - 1), "not by n - 1"),
    (check.near_consensus, lambda A, V, x: law(A, V, x) * len(x), "divide by n: the weights"),
    (check.near_consensus, lambda A, V, x: law(V, A, x), "V stands on the left"),
    (check.near_consensus, lambda A, V, x: law(A.swapaxes(1, 2), V, x), "its transpose"),
    (check.near_consensus, lambda A, V, x: law(A, V, x) / len(A), "do not average"),
    (
        check.near_consensus,
        lambda A, V, x: law(A, V, x) + np.identity(x.shape[1]),
        "the identity is not added",
    ),
    (check.near_consensus, lambda A, V, x: -law(A, V, x), "the largest error of an entry"),
]
