"""Right and wrong answers to the exercises on training at infinite depth."""

import numpy as np

from transpde.exercises import training as check


def variance(v, sigma, L, H):
    square = (1 + v / L) ** 2
    return (square + sigma**2 / (L**2 * H)) ** L - square**L


def first_step(G, d, rate, epsilon):
    return rate * G / (G / d + epsilon)


def crossover(b, c, H):
    return b**2 * H / c


RIGHT = {check.variance: variance, check.first_step: first_step, check.crossover: crossover}

WRONG = [
    (check.variance, lambda v, s, L, H: variance(v, s, L, H) + (1 + v / L) ** (2 * L),
     "second moment"),
    (check.variance, lambda v, s, L, H: np.exp(2 * v) * s**2 / (L * H), "large L and H"),
    (check.variance, lambda v, s, L, H: s**2 * (1 + v / L) ** (2 * L - 2) / (L * H), "many heads"),
    (check.variance, lambda v, s, L, H: variance(v, s * np.sqrt(L), L, H), "L twice"),
    (check.variance, lambda v, s, L, H: variance(v, s, L, 1), "factor 1/H"),
    (check.variance, lambda v, s, L, H: variance(v, s, L, H) ** 0.5, "standard deviation"),
    (check.first_step, lambda G, d, r, e: r * G / (G + e), "not their sum"),
    (check.first_step, lambda G, d, r, e: r * G / (G / d**0.5 + e), "G / d"),
    (check.first_step, lambda G, d, r, e: 0.1 * r * G / (0.001**0.5 * G / d + e), "corrected"),
    (check.first_step, lambda G, d, r, e: r * d, "epsilon = 0"),
    (check.first_step, lambda G, d, r, e: r * G, "plain gradient"),
    (check.first_step, lambda G, d, r, e: r * G / (G**2 / d**2 + e) ** 0.5, "not under it"),
    (check.crossover, lambda b, c, H: b**2 * H / c**2, "square b alone"),
    (check.crossover, lambda b, c, H: b * H / c, "b enters squared"),
    (check.crossover, lambda b, c, H: b**2 / (c * H), "greater depth"),
    (check.crossover, lambda b, c, H: (b**2 * H / c) ** 0.5, "square root"),
    (check.crossover, lambda b, c, H: c / (b**2 * H), "the inverse"),
]  # fmt: skip
