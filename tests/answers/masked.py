"""Right and wrong answers to the exercises on masked attention."""

import numpy as np

from transpde.exercises import masked as check


def mean(f, mass, seen):
    return (seen * mass) @ f / (seen @ mass)


def gaps(x, y):
    return np.abs(np.sort(x, axis=1) - np.sort(y, axis=1))


def strictly_before(f, mass, s):
    seen = s[None, :] < s[:, None]
    return (seen * mass) @ f / np.maximum(seen @ mass, 1e-300)


def in_order_of_positions(f, mass, s):
    return mean(f, mass, s[None, :] <= s[:, None])[np.argsort(s, kind="stable")]


def in_stable_order(f, mass, s):
    order = np.argsort(s, kind="stable")
    means = np.empty(len(f))
    means[order] = np.cumsum((mass * f)[order]) / np.cumsum(mass[order])
    return means


RIGHT = {
    check.running_mean: lambda f, mass, s: mean(f, mass, s[None, :] <= s[:, None]),
    check.conditional_distance: lambda x, y, p: (gaps(x, y) ** p).mean() ** (1 / p),
    check.norm_of_order_one: lambda mass: (mass / np.cumsum(mass)).sum(),
}

WRONG = [
    (check.running_mean, lambda f, mass, s: f, "f itself is not a mean"),
    (check.running_mean, strictly_before, "at or before, not before"),
    (check.running_mean, in_stable_order, "ties share a level"),
    (
        check.running_mean,
        lambda f, mass, s: mean(f, mass, s[None, :] >= s[:, None]),
        "looks at the future",
    ),
    (
        check.running_mean,
        lambda f, mass, s: np.cumsum(mass * f) / np.cumsum(mass),
        "compare positions, not indices",
    ),
    (
        check.running_mean,
        lambda f, mass, s: (s[None, :] <= s[:, None]) @ (mass * f),
        "divide by the mass of what is seen",
    ),
    (
        check.running_mean,
        lambda f, mass, s: mean(f, np.ones(7), s[None, :] <= s[:, None]),
        "weigh each token by its mass",
    ),
    (check.running_mean, in_order_of_positions, "in the order of the tokens"),
    (
        check.running_mean,
        lambda f, mass, s: mean(f, mass, s[None, :] == s[:, None]),
        "not its own position alone",
    ),
    (check.running_mean, lambda f, mass, s: np.full(7, mass @ f), "without a mask"),
    (check.running_mean, lambda f, mass, s: mass @ f, r"the shape must be \(7,\)"),
    (check.conditional_distance, lambda x, y, p: 0.0, "a positive distance"),
    (check.conditional_distance, lambda x, y, p: (gaps(x, y) ** 2).mean() ** 0.5, "order 2 at"),
    (
        check.conditional_distance,
        lambda x, y, p: (
            (np.abs(np.sort(x, axis=None) - np.sort(y, axis=None)) ** p).mean() ** (1 / p)
        ),
        "this is the plain Wasserstein distance",
    ),
    (
        check.conditional_distance,
        lambda x, y, p: (np.abs(x - y) ** p).mean() ** (1 / p),
        "sort the tokens of each level",
    ),
    (
        check.conditional_distance,
        lambda x, y, p: (np.abs(np.sort(x, axis=0) - np.sort(y, axis=0)) ** p).mean() ** (1 / p),
        "not across levels",
    ),
    (
        check.conditional_distance,
        lambda x, y, p: (gaps(x, y) ** p).sum() ** (1 / p),
        "take means, not sums",
    ),
    (
        check.conditional_distance,
        lambda x, y, p: (gaps(x, y) ** p).mean(axis=1).sum() ** (1 / p),
        "a mean over levels",
    ),
    (check.conditional_distance, lambda x, y, p: (gaps(x, y) ** p).mean(), "the root of order p"),
    (
        check.conditional_distance,
        lambda x, y, p: ((gaps(x, y) ** p).mean(axis=1) ** (1 / p)).mean(),
        "one root at the end",
    ),
    (
        check.conditional_distance,
        lambda x, y, p: ((gaps(x, y) ** p).mean(axis=1) ** (1 / p)).max(),
        "the largest distance of a level",
    ),
    (
        check.conditional_distance,
        lambda x, y, p: gaps(x, y),
        r"the shape must be \(\); yours is \(4, 5\)",
    ),
    (
        check.norm_of_order_one,
        lambda mass: (1 / np.arange(1, len(mass) + 1)).sum(),
        "the harmonic number is for equal masses",
    ),
    (check.norm_of_order_one, lambda mass: -np.log(mass[0]), "positions without atoms"),
    (
        check.norm_of_order_one,
        lambda mass: (mass / np.cumsum(mass))[1:].sum(),
        "start the sum at the first term",
    ),
    (
        check.norm_of_order_one,
        lambda mass: (mass / np.cumsum(mass[::-1])[::-1]).sum(),
        "not at or after",
    ),
    (
        check.norm_of_order_one,
        lambda mass: (1 / np.cumsum(mass)).sum(),
        "the mass of its own position",
    ),
    (
        check.norm_of_order_one,
        lambda mass: sum(mass[0] / np.cumsum(mass)),
        "per mass of the first",
    ),
    (check.norm_of_order_one, lambda mass: mass[-1], "the first one weighs most"),
    (check.norm_of_order_one, lambda mass: 1.0, "take a column"),
    (check.norm_of_order_one, lambda mass: 2.0, "the largest error of an entry"),
]
