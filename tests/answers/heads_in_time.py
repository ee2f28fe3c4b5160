"""Right and wrong answers to the exercises on heads that change in time."""

import numpy as np

from transpde.exercises import heads_in_time as check


def energy(a, b, c):
    return (np.exp(a * c) + np.exp(-b * c)) / 4


def climb(a, b, start, crest=-1.0, passes=True):
    c, lowest = np.cos(2 * start), -np.log(a / b) / (a + b)
    low = np.clip(lowest, -1, c)
    end = crest if passes else max(lowest, -1)
    return [energy(a, b, c), energy(a, b, low), energy(a, b, end)]


def shares(logs):
    relative = np.exp(logs - logs[0])
    return relative * np.mean(1 / relative) / len(logs)


def gate(logs, sign=1):
    Z = np.exp(sign * logs - (sign * logs).max())
    return Z / Z.sum()


def stops(a, b, start):
    found = climb(a, b, start, passes=False)
    lowest = max(-np.log(a / b) / (a + b), -1)
    if lowest > np.cos(2 * start):
        found[1] = found[0]
    return found


def valley_everywhere(a, b, start):
    return energy(a, b, np.array([np.cos(2 * start), -np.log(a / b) / (a + b), -1.0]))


def wherever_it_starts(a, b, start):
    return np.where([0, 1, 0], climb(a, b, 0.0), climb(a, b, start))


def naive(logs):
    with np.errstate(all="ignore"):
        return np.exp(logs) * np.mean(np.exp(-logs)) / len(logs)


RIGHT = {check.climb: climb, check.shares: shares}

WRONG = [
    (check.climb, lambda *given: 2 * np.array(climb(*given)), "two halves"),
    (check.climb, stops, "does not stop in the valley"),
    (check.climb, valley_everywhere, "only if it starts before it"),
    (
        check.climb,
        lambda a, b, t: [energy(a, b, np.cos(t)), *climb(a, b, t)[1:]],
        "a cos 2 theta",
    ),
    (check.climb, wherever_it_starts, "does not return"),
    (check.climb, lambda *given: climb(*given)[::-1], "the largest error of an entry"),
    (check.shares, gate, "arithmetic mean"),
    (check.shares, lambda logs: shares(logs) * len(logs), "a factor 1/H"),
    (check.shares, lambda logs: gate(logs, -1), "not with one over it"),
    (check.shares, lambda logs: shares(logs) * len(logs) ** 2, "not their sum"),
    (check.shares, naive, "nan"),
]
