"""Right and wrong answers to the exercises on layers that infer."""

from math import comb

import numpy as np

from transpde.exercises import inference as check


def gain(rho, p):
    mean = rho @ p
    return rho * (p - mean) / (mean * (1 - mean))


def growth(means):
    return np.prod(1 / (2 * means))


def slip(T, layers):
    return (-1.0) ** layers * comb(int(T) - 1, int(layers))


RIGHT = {check.gain: gain, check.growth: growth, check.slip: slip}

WRONG = [
    (check.gain, lambda rho, p: rho * (p - rho @ p) / (rho @ p), "Bayes' step"),
    (check.gain, lambda rho, p: rho * (p - rho @ p), "divide by the mean of p"),
    (
        check.gain,
        lambda rho, p: (p - rho @ p) / (rho @ p * (1 - rho @ p)),
        "weights of the belief",
    ),
    (check.gain, lambda rho, p: rho * p / (rho @ p * (1 - rho @ p)), "two parts"),
    (check.gain, lambda rho, p: -gain(rho, p), "the sign"),
    (check.growth, lambda m: np.prod((1 - 2 * m) / (2 * m)), "multiply 1 \\+ k"),
    (check.growth, lambda m: 1 + np.sum((1 - 2 * m) / (2 * m)), "do not add"),
    (check.growth, lambda m: np.prod(1 / m), "an even chance"),
    (check.growth, lambda m: np.prod(2 * m), "not fall"),
    (check.slip, lambda T, layers: comb(int(T) - 1, int(layers)), "the sign changes"),
    (check.slip, lambda T, layers: (-1) ** layers * comb(int(T), int(layers)), "has no slip"),
    (check.slip, lambda T, layers: (-1.0) ** layers * (T - 1.0) ** layers, "does not multiply"),
    (check.slip, lambda T, layers: comb(int(T), int(layers)), "from layer to layer, and"),
    (check.slip, lambda T, layers: 1.0 - T, "after one layer"),
]
