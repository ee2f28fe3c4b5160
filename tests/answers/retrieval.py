"""Right and wrong answers to the exercises on lost in the middle."""

import numpy as np
from scipy.special import iv

from transpde.exercises import retrieval as check

N = np.arange(1, 21)


def recency(beta, discount, words, power=1, slope=lambda d: 1 - np.exp(-d), weighed=True):
    a = N**2 * iv(N, beta) / iv(0, beta) ** power
    w = np.exp(-((np.pi * N / words) ** 2) / 2) if weighed else np.ones(20)
    return 2 * slope(discount) * (w @ a) / (w @ a**2)


def second(beta, n):
    """The second derivative of the mean of cos n phi, phi' = w'(phi), by the trapezoid rule."""
    phi = 2 * np.pi * np.arange(400) / 400
    w = np.exp(beta * np.cos(phi))
    v, dv = -beta * np.sin(phi) * w, ((beta * np.sin(phi)) ** 2 - beta * np.cos(phi)) * w
    return (-(n**2) * np.cos(n * phi) * v**2 - n * np.sin(n * phi) * v * dv).mean()


def gain(beta, n):
    return n**2 * iv(n, beta)


def half_sum(beta, n):
    m = np.arange(1, 80)
    return -n * (m * (n + m) ** 2 * iv(m, beta) * iv(n + m, beta)).sum()


def once(beta, n):
    m = np.arange(-80, 81)
    return -n * (m * (n + m) * iv(np.abs(m), beta) * iv(np.abs(n + m), beta)).sum()


RIGHT = {check.recency_depth: recency, check.second_derivative: second}

WRONG = [
    (check.recency_depth, lambda b, d, w: recency(b, d, w, power=0), "of unnormalised attention"),
    (check.recency_depth, lambda b, d, w: recency(b, d, w, power=-1), "goes the other way"),
    (check.recency_depth, lambda b, d, w: recency(b, d, w, slope=lambda x: x), "stays below one"),
    (check.recency_depth, lambda b, d, w: recency(b, d, w) / 2, "one half"),
    (check.recency_depth, lambda b, d, w: recency(b, d, w, weighed=False), "code words"),
    (check.second_derivative, lambda b, n: gain(b, n) ** 2, "the first one rests"),
    (check.second_derivative, lambda b, n: second(b, n) + gain(b, n) ** 2, "is added"),
    (check.second_derivative, lambda b, n: -second(b, n), "the sign"),
    (check.second_derivative, half_sum, "all integers"),
    (check.second_derivative, once, "enters squared"),
    (check.second_derivative, lambda b, n: second(b, n) / 2, "half of it"),
]
