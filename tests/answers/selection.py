"""Right and wrong answers to the exercises on spectral selection."""

import numpy as np

from transpde.exercises import selection as check


def stable(share, b, n, k):
    log_r = np.log(max(k, n - k) / min(k, n - k))
    below = np.cosh(log_r) < np.cosh(2 * b) - share * np.sinh(2 * b)
    return below and (min(k, n - k) == 1 or log_r < 2 * b)


def splits(share, b, n):
    return sum(stable(share, b, n, k) for k in range(1, int(n)))


def one_side(share, b, n):
    return sum(stable(share, b, n, k) for k in range(1, int(n) // 2 + 1))


def without_ratio(share, b, n, strength=2):
    k = np.arange(1, int(n))
    r = (n - k) / k
    edge = np.cosh(strength * b) - share * np.sinh(strength * b)
    return (np.cosh(np.log(r)) < edge).sum()


def without_lone(share, b, n):
    k = np.arange(1, int(n))
    log_r = np.abs(np.log((n - k) / k))
    return ((np.cosh(log_r) < np.cosh(2 * b) - share * np.sinh(2 * b)) & (log_r < 2 * b)).sum()


def weight(own, other, beta):
    b = beta * own
    log_r = np.arccosh(np.cosh(2 * b) + other / own * np.sinh(2 * b))
    return 1 / (1 + np.exp(-log_r))


def thresholds(weak, strong, beta):
    return [weight(strong, weak, beta), weight(weak, strong, beta)]


def ratios(weak, strong, beta):
    W = np.array(thresholds(weak, strong, beta))
    return W / (1 - W)


def upside_down(weak, strong, beta):
    own, other = np.array([strong, weak]), np.array([weak, strong])
    edge = np.cosh(2 * beta * own) + own / other * np.sinh(2 * beta * own)
    return 1 / (1 + np.exp(-np.arccosh(edge)))


RIGHT = {check.splits: splits, check.thresholds: thresholds}

WRONG = [
    (check.splits, one_side, "count both sides"),
    (check.splits, lambda m, b, n: without_ratio(m, b, n, 1), "the strength enters as 2b"),
    (check.splits, without_ratio, "also need log r"),
    (check.splits, without_lone, "a lone token"),
    (check.splits, lambda m, b, n: (n - 1) * (m < np.tanh(b)), "halves of equal mass"),
    (check.splits, lambda m, b, n: splits(m, b, n) + 2, "consensus is no split"),
    (check.splits, lambda m, b, n: splits(m, b, n) + 1, "the largest error of an entry"),
    (check.thresholds, lambda *given: thresholds(*given)[::-1], "exchanged"),
    (check.thresholds, ratios, "not the weight"),
    (check.thresholds, lambda *given: 1 - np.array(thresholds(*given)), "of the others"),
    (check.thresholds, lambda w, s, b: thresholds(w, s, b / 2), "not of b"),
    (check.thresholds, upside_down, "over that of the mode"),
    (check.thresholds, lambda w, s, b: [weight(s, 0, b), weight(w, 0, b)], "missing"),
]
