"""Right and wrong answers to the exercises on heads as particles."""

import numpy as np

from transpde.exercises import crowd as check


def sleeping(rho, X):
    return np.einsum("bi,bj->ij", rho.sum(axis=1), X.mean(axis=1))


def split(a, b):
    return np.linalg.eigvalsh([[a, b], [b, 0]])[0]


def escape(lam, h, delta):
    return -np.log(delta) / np.log(1 + h * abs(lam))


RIGHT = {check.sleeping: sleeping, check.split: split, check.escape: escape}

WRONG = [
    (check.sleeping, lambda r, X: sleeping(r, X).T, "comes first"),
    (check.sleeping, lambda r, X: np.einsum("bni,bnj->ij", r, X), "not itself"),
    (check.sleeping, lambda r, X: X.shape[1] * sleeping(r, X), "not their sum"),
    (check.sleeping, lambda r, X: sleeping(r, X) / X.shape[1], "already"),
    (check.sleeping, lambda r, X: np.outer(r.sum((0, 1)), X.mean((0, 1))), "its own mean"),
    (check.split, lambda a, b: np.linalg.eigvalsh([[a, b], [b, 0]])[1], "the larger"),
    (check.split, lambda a, b: (a - np.sqrt(a**2 + b**2)) / 2, r"has 4 b\^2"),
    (check.split, lambda a, b: 2 * split(a, b), "by two"),
    (check.split, lambda a, b: -(b**2) / a, "small b"),
    (check.split, lambda a, b: (a - max(a**2 - 4 * b**2, 0) ** 0.5) / 2, "is a sum"),
    (check.escape, lambda lam, h, delta: np.log(1 / delta) / -lam, "in the flow"),
    (check.escape, lambda lam, h, delta: np.log(1 / delta) / (-h * lam), "over h"),
    (check.escape, lambda lam, h, delta: -np.log(delta) / np.log(1 + h * lam), "its modulus"),
    (check.escape, lambda lam, h, delta: -escape(lam, h, delta), "1 / delta"),
    (check.escape, lambda lam, h, delta: escape(lam, h, delta) / np.log(10), "same base"),
    (check.escape, lambda *given: np.ceil(escape(*given)), "do not round"),
    (check.escape, lambda lam, h, delta: escape(lam, 1, delta), "forget the step"),
]
