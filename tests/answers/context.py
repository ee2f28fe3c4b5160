"""Right and wrong answers to the exercises on one token and its context."""

import numpy as np

from transpde.exercises import context as check


def square(A, S, x):
    u = A @ x
    return np.exp(u @ S @ u) * (np.trace(S) + u @ S @ S @ u)


def tokens(A, S, x, r):
    return np.ceil(square(A, S, x) / r**2)


def plain(A, S, x, r):
    u = A @ x
    return np.ceil((np.trace(S) + u @ S @ S @ u) / r**2)


def half(A, S, x, r):
    u = A @ x
    return np.ceil(square(A, S, x) * np.exp(-u @ S @ u / 2) / r**2)


def one_term(A, S, x, r):
    u = A @ x
    return np.ceil(np.exp(u @ S @ u) * np.trace(S) / r**2)


def order(gamma, d):
    return -0.5 + gamma * (0.5 - 1 / d)


RIGHT = {check.tokens_needed: tokens, check.exponent: order}

WRONG = [
    (check.tokens_needed, plain, "the price of the tilt is missing"),
    (check.tokens_needed, half, "weights enter squared"),
    (check.tokens_needed, one_term, "the kernel has two terms"),
    (check.tokens_needed, lambda A, S, x, r: np.ceil(square(A, S, x) / r), "the root of n"),
    (check.tokens_needed, lambda A, S, x, r: tokens(np.eye(len(x)), S, x, r), "not with x"),
    (check.tokens_needed, lambda A, S, x, r: square(A, S, x) / r**2, "round up"),
    (check.exponent, lambda g, d: 2 * order(g, d), "take the root"),
    (check.exponent, lambda g, d: g * (0.5 - 1 / d), "the draws give a half"),
    (check.exponent, lambda g, d: -0.5 + g / 2, "not d/2"),
    (check.exponent, lambda g, d: -0.5 + g * (d / 4 - 0.5), "not n to the gamma"),
    (check.exponent, lambda g, d: -order(g, d), "errors fall"),
    (check.exponent, lambda g, d: -0.5 + g / d, "the straight line"),
]
