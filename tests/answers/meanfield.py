"""Right and wrong answers to the exercises on the mean-field limit."""

import numpy as np

from transpde.exercises import meanfield as check


def constant(x, y, mass, A, V, power=2, root=2):
    w = np.exp(y @ A @ x)
    Z = mass @ w
    gaps = (y - (mass * w) @ y / Z) @ V.T
    return (mass * w**power) @ (gaps**2).sum(axis=1) / Z**root


def weight(x, y, mass, A):
    w = np.exp(y @ A @ x)
    return w / (mass @ w)


def about_the_mean(x, y, mass, A, V):
    w = np.exp(y @ A @ x)
    gaps = (y - mass @ y) @ V.T
    return (mass * w**2) @ (gaps**2).sum(axis=1) / (mass @ w) ** 2


def depth(n, v, eta, k):
    return k * (1 - eta) / (2 * v * np.sqrt(2 * np.log(n)))


RIGHT = {check.rate_constant: constant, check.departure: depth}

WRONG = [
    (check.rate_constant, lambda *given: constant(*given, power=1), "enters squared"),
    (check.rate_constant, lambda *given: constant(*given, power=1, root=1), "tilted law"),
    (check.rate_constant, lambda *given: constant(*given, root=1), "the square of Z"),
    (check.rate_constant, lambda *given: constant(*given, root=0), "the mean of w"),
    (check.rate_constant, lambda *given: constant(*given, power=0, root=0), "are missing"),
    (check.rate_constant, about_the_mean, "not the mean of the tokens"),
    (
        check.rate_constant,
        lambda x, y, mass, A, V: (
            mass @ (weight(x, y, mass, A) ** 2 * ((y @ V.T) ** 2).sum(axis=1))
        ),
        "not zero",
    ),
    (
        check.rate_constant,
        lambda x, y, mass, A, V: constant(x, y, mass, A.T, V),
        "the transpose of A",
    ),
    (check.rate_constant, lambda x, y, mass, A, V: constant(x, y, mass, A, V.T), "its transpose"),
    (
        check.rate_constant,
        lambda x, y, mass, A, V: constant(x, y, mass, A, np.eye(2)),
        "matrix V is missing",
    ),
    (
        check.rate_constant,
        lambda x, y, mass, A, V: constant(x, y, np.full(9, 1 / 9), A, V),
        "use mass in every mean",
    ),
    (
        check.rate_constant,
        lambda x, y, mass, A, V: mass @ ((y - mass @ y) @ V.T) ** 2,
        r"the shape must be \(\)",
    ),
    (check.departure, lambda n, v, eta, k: depth(n, v, eta, 1), "place k is missing"),
    (check.departure, lambda n, v, eta, k: depth(n, v, eta, 1 / k), "k belongs above"),
    (check.departure, lambda n, v, eta, k: depth(n, v, 0, k), "tolerance is missing"),
    (check.departure, lambda n, v, eta, k: depth(n, v, eta, k) / (1 - eta) ** 2, "beta_n below"),
    (check.departure, lambda n, v, eta, k: depth(n, v, eta, k) * np.sqrt(2), "root of 2 log n"),
    (check.departure, lambda n, v, eta, k: k * (1 - eta) / (4 * v * np.log(n)), "take the root"),
    (check.departure, lambda n, v, eta, k: 2 * depth(n, v, eta, k), "factor 2 is missing"),
    (check.departure, lambda n, v, eta, k: depth(n, 1, eta, k), "v is missing"),
    (check.departure, lambda n, v, eta, k: np.sqrt(2 * np.log(n)) / (1 - eta) / k, "into a depth"),
]
