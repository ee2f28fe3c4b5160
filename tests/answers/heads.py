"""Right and wrong answers to the exercises on seventy-two heads."""

import numpy as np

from transpde.exercises import heads as check


def lifted(O, W, b):
    d = len(O)
    V = np.zeros((d + 1, d + 1))
    V[:d, :d], V[:d, d] = O @ W, O @ b
    return V


def changed(edit):
    """A wrong lifted matrix: the right one after an edit in place."""

    def answer(O, W, b):
        V = lifted(O, W, b)
        edit(V, O @ b)
        return V

    return answer


def lost(V, bias):
    V[:, -1] = 0


def in_the_row(V, bias):
    V[-1, :-1], V[:, -1] = bias, 0


def with_a_corner(V, bias):
    V[-1, -1] = 1


def with_another_sign(V, bias):
    V[:-1, -1] = -bias


def deviation(s, n):
    return np.exp(s**2 / 2) * np.sqrt((1 + s**2) / n)


def mixed(p, y, m, S):
    """The covariance of the mixture from its moments."""
    mean = p * y + (1 - p) * m
    second = p * np.outer(y, y) + (1 - p) * (S + np.outer(m, m))
    return second - np.outer(mean, mean)


def gap(y, m):
    return np.outer(y - m, y - m)


RIGHT = {check.lifted_value: lifted, check.noise: deviation, check.sink: mixed}

WRONG = [
    (check.lifted_value, changed(lost), "b_v is lost"),
    (check.lifted_value, changed(in_the_row), "belongs to the last column"),
    (check.lifted_value, changed(with_a_corner), "corner included"),
    (check.lifted_value, lambda O, W, b: lifted(O, W, b)[:-1], "one row more"),
    (check.lifted_value, lambda O, W, b: np.c_[W, b], "without the output matrix"),
    (check.lifted_value, changed(with_another_sign), "the largest error of an entry"),
    (check.noise, lambda s, n: np.exp(s**2) * (1 + s**2) / n, "this is the variance"),
    (check.noise, lambda s, n: np.sqrt(1 + s**2) * np.exp(s**2 / 2), "the deviation of one draw"),
    (check.noise, lambda s, n: np.exp(s**2) * np.sqrt((1 + s**2) / n), "the root of exp"),
    (check.noise, lambda s, n: np.exp(s**2 / 2) / np.sqrt(n), "the second term"),
    (check.noise, lambda s, n: np.sqrt(1 / n + s**2 / n), "is missing: few tokens"),
    (check.noise, lambda s, n: deviation(s, n - 1), "the largest error of an entry"),
    (check.sink, lambda p, y, m, S: (1 - p) * S, "that adds a direction"),
    (check.sink, lambda p, y, m, S: (1 - p) * S + p * gap(y, m), "not p"),
    (check.sink, lambda p, y, m, S: S + p * (1 - p) * gap(y, m), "carry the mass 1 - p only"),
    (check.sink, lambda p, y, m, S: p * S + p * (1 - p) * gap(y, m), "the masses are exchanged"),
    (check.sink, lambda p, y, m, S: mixed(p, y, 0 * m, S), "not to zero"),
    (check.sink, lambda p, y, m, S: mixed(p, y, m, 0 * S), "the largest error of an entry"),
]
