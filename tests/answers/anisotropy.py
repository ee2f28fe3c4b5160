"""Right and wrong answers to the exercises on the evolution of anisotropy."""

import numpy as np

from transpde.exercises import anisotropy as check


def rank_from_logs(y):
    logs = y - y.max()
    logs = logs - np.log(np.exp(logs).sum())
    return np.exp(-(np.exp(logs) * logs).sum())


def naive_rank(y):
    with np.errstate(all="ignore"):
        p = np.exp(y) / np.exp(y).sum()
        return np.exp(-(p * np.log(p)).sum())


def rank_without_small_shares(y):
    with np.errstate(all="ignore"):
        return np.exp(-(shares(y) * np.log(shares(y))).sum())


def shares(y):
    return np.exp(y - y.max()) / np.exp(y - y.max()).sum()


def log_condition(A, s, t):
    left = 1 - s**2 * t * np.linalg.eigvalsh(A + A.T)
    return np.log(left[0] / left[-1]) if left[-1] > 0 else np.inf


def unguarded(A, s, t):
    left = 1 - s**2 * t * np.linalg.eigvalsh(A + A.T)
    with np.errstate(all="ignore"):
        return np.log(left[0] / left[-1]) if left[-1] > 0 else np.nan


def zero_after_the_explosion(A, s, t):
    return log_condition(A, s, t) if np.isfinite(log_condition(A, s, t)) else 0.0


def guarded_by_the_sign(A, s, t):
    left = 1 - s**2 * t * np.linalg.eigvalsh(A + A.T)
    ratio = left[0] / left[-1]
    return np.log(ratio) if ratio > 0 else np.inf


def of_the_precision(A, s, t):
    return np.log(np.linalg.cond(np.eye(len(A)) / s**2 - t * (A + A.T)))


def of_first_order(A, s, t):
    return s**2 * t * np.ptp(np.linalg.eigvalsh(A + A.T))


def first_try(A, s, t):
    lam = np.linalg.eigvalsh(A)
    with np.errstate(all="ignore"):
        return np.log((1 - t * lam[0]) / (1 - t * lam[-1]))


def l2_matrix(Q, K, V, s):
    return 2 * s**2 * V @ np.linalg.inv(np.eye(3) + 2 * s**2 * K.T @ K) @ K.T @ Q


def spread(B):
    return np.linalg.eigvalsh(B + B.T).var()


def explosion(c):
    u = 1 / (1 + c + np.sqrt(c * c + 4 * c))
    return 1 / (1 / np.sqrt(u) + 2 * c * np.sqrt(u) / (1 - u))


RIGHT = {
    check.rank_from_logs: rank_from_logs,
    check.log_condition: log_condition,
    check.l2_spread: lambda Q, K, V, s: spread(l2_matrix(Q, K, V, s)),
    check.explosion: explosion,
}

WRONG = [
    (check.rank_from_logs, naive_rank, "subtract the largest logarithm"),
    (check.rank_from_logs, rank_without_small_shares, "share without an exponential"),
    (check.rank_from_logs, lambda y: np.log(rank_from_logs(y)), "take its exponential"),
    (check.rank_from_logs, lambda y: 1 / (shares(y) ** 2).sum(), "the participation ratio"),
    (check.rank_from_logs, lambda y: 1 / rank_from_logs(y), "the sign of the entropy"),
    (check.rank_from_logs, lambda y: rank_from_logs(y / 2), "not of their roots"),
    (check.rank_from_logs, len, "every direction counts alike"),
    (check.rank_from_logs, lambda y: 2 ** np.log(rank_from_logs(y)), "raise e, not 2"),
    (check.rank_from_logs, lambda y: np.inf, "is infinite where the right one is a number"),
    (check.rank_from_logs, lambda y: y, "the shape must be|the largest error"),
    (check.log_condition, first_try, "take the spectrum of A plus its transpose"),
    (check.log_condition, lambda A, s, t: log_condition(A / 2, s, t), "a factor 2 is lost"),
    (check.log_condition, lambda A, s, t: log_condition(A, 1.0, t), "depth counts s\\^2 times"),
    (check.log_condition, lambda A, s, t: log_condition(A, s**0.5, t), "s enters squared"),
    (check.log_condition, lambda A, s, t: np.exp(log_condition(A, s, t)), "take its logarithm"),
    (check.log_condition, lambda A, s, t: -log_condition(A, s, t), "minus the logarithm"),
    (check.log_condition, unguarded, "from the explosion on"),
    (check.log_condition, guarded_by_the_sign, "the answer is inf|an entry must be inf"),
    (check.log_condition, zero_after_the_explosion, "from the explosion on the answer is inf"),
    (check.log_condition, lambda A, s, t: log_condition(A, s, t) / np.log(10), "the natural"),
    (check.log_condition, lambda A, s, t: log_condition(A, s, t) / 2, "no square root"),
    (check.log_condition, lambda A, s, t: log_condition(-A, s, t), "where A is positive"),
    (check.log_condition, of_first_order, "the first order in t"),
    (check.log_condition, of_the_precision, "an entry must be inf; yours is"),
    (check.log_condition, lambda A, s, t: 0.0, "the largest error of an entry"),
    (check.l2_spread, lambda Q, K, V, s: spread(V @ K.T @ Q), "from the identity"),
    (check.l2_spread, lambda Q, K, V, s: spread(s**2 * V @ K.T @ Q), "this is softmax: the key"),
    (check.l2_spread, lambda Q, K, V, s: spread(l2_matrix(Q, K, V, s)) / 4, "the factor 2 of"),
    (check.l2_spread, lambda Q, K, V, s: spread(l2_matrix(Q, K, V, 1.0)), "not I"),
    (
        check.l2_spread,
        lambda Q, K, V, s: spread(l2_matrix(Q, K, V, s)) ** 0.5,
        "a standard deviation",
    ),
    (check.l2_spread, lambda Q, K, V, s: 1.5 * spread(l2_matrix(Q, K, V, s)), "not by d - 1"),
    (check.explosion, lambda c: 1 / np.sqrt(8 * c), "the limit of many heads"),
    (check.explosion, lambda c: 1 / explosion(c), "this is the edge"),
    (check.explosion, lambda c: explosion(1.0), "the case c = 1 alone"),
    (check.explosion, lambda c: 8**-0.5, "which has no c"),
    (check.explosion, lambda c: (1 + c + np.sqrt(c * c + 4 * c)) ** -0.5, "put it into z"),
    (check.explosion, lambda c: np.nan, "your function returned nan"),
]
