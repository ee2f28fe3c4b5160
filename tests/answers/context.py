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


def power(rate, d):
    return (2 - 4 * rate) / (d - 2)


RIGHT = {check.tokens_needed: tokens, check.sharpness: power}

WRONG = [
    (check.tokens_needed, plain, "the price of the tilt is missing"),
    (check.tokens_needed, half, "weights enter squared"),
    (check.tokens_needed, one_term, "the kernel has two terms"),
    (check.tokens_needed, lambda A, S, x, r: np.ceil(square(A, S, x) / r), "the root of n"),
    (check.tokens_needed, lambda A, S, x, r: tokens(np.eye(len(x)), S, x, r), "not with x"),
    (check.tokens_needed, lambda A, S, x, r: square(A, S, x) / r**2, "round up"),
    (check.sharpness, lambda r, d: power(r, d) * d / 2, "this is gamma"),
    (check.sharpness, lambda r, d: power(r / 2, d), "falls half as fast"),
    (check.sharpness, lambda r, d: (1 - 2 * r) / (d / 2), "not d/2"),
    (check.sharpness, lambda r, d: (0.5 - r) * (d - 2), "divide by it"),
    (check.sharpness, lambda r, d: -power(r, d), "the power is positive"),
    (check.sharpness, lambda r, d: 1 - 2 * r, "the largest error of an entry"),
]
