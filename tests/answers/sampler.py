"""Right and wrong answers to the exercises on attention as a sampler."""

import numpy as np

from transpde.exercises import sampler as check


def pair_radius(a, T, beta):
    return beta * T * np.log((2 - a * T) / (a * T))


def distance(a, T):
    return 2 / (a * np.log((2 - a * T) / (a * T)) * (1 - a * T / 2))


def centre(a, T):
    q = np.log((2 - a * T) / (a * T)) * (1 - a * T / 2)
    return 4 / (a * (1 + a * T * q / (1 + a * T)))


def largest_step(a, T):
    return min(distance(a, T), centre(a, T))


def without_kappa(a, T):
    q = np.log((2 - a * T) / (a * T)) * (1 - a * T / 2)
    return min(distance(a, T), 4 / (a * (1 + a * T * q)))


RIGHT = {check.pair_radius: pair_radius, check.largest_step: largest_step}

WRONG = [
    (check.pair_radius, lambda a, T, b: pair_radius(a, T, b) ** 0.5, "give its square"),
    (check.pair_radius, lambda a, T, b: 4 * pair_radius(a, T, b), "of the distance"),
    (check.pair_radius, lambda a, T, b: 2 * pair_radius(a, T, b), "half of a logarithm"),
    (check.pair_radius, lambda a, T, b: pair_radius(a, T, 1.0), "temperature scales"),
    (check.pair_radius, lambda a, T, b: b * T * np.log((1 + a * T) / (1 - a * T)), "not aT"),
    (check.pair_radius, lambda a, T, b: b / a * (1 - (a * T) ** 2), "two tokens are not one"),
    (check.largest_step, distance, "their centre moves"),
    (check.largest_step, centre, "for short times"),
    (check.largest_step, lambda a, T: min(distance(a, T), 4 / a), "changes the weights"),
    (check.largest_step, without_kappa, "by kappa"),
    (check.largest_step, lambda a, T: largest_step(a, T) / 2, "minus one is still stable"),
    (check.largest_step, lambda a, T: max(distance(a, T), centre(a, T)), "stricter one"),
    (check.largest_step, lambda a, T: 16 * T / (1 + 17 * a * T), "monotone variances"),
    (check.largest_step, lambda a, T: 2 / a, "gradient descent"),
    (check.largest_step, lambda a, T: 2 * (1 + a * T) / a, "mean of a Gaussian"),
]
