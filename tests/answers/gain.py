"""Right and wrong answers to the exercises on one number in 384."""

import numpy as np

from transpde.exercises import gain as check


def centred(x):
    return x - x.mean(axis=0)


def up(x):
    return x if x[np.argmax(abs(x))] > 0 else -x


def power(g, passes=4000):
    """The limit by repetition, from a start with a part on every axis."""
    x = np.linspace(1.0, 2.0, len(g)) ** 3
    for _ in range(passes):
        y = centred(x)
        x = g * y * np.sqrt(len(g)) / np.linalg.norm(y)
    return x


def pole(g):
    return up(power(g))


def before_gains(g):
    return up(power(g) / g)


def largest(g):
    e = np.zeros(len(g))
    e[np.argmax(g)] = max(g) * np.sqrt(len(g))
    return e


def of_length_root_d(g):
    end = pole(g)
    return end * np.sqrt(len(g)) / np.linalg.norm(end)


def smallest(g):
    P = np.identity(len(g)) - np.ones((len(g), len(g))) / len(g)
    return up(np.sqrt(len(g)) * g * np.linalg.eigh(P * g @ P)[1][:, 1])


def one_sided(g):
    M = centred(np.diag(g))  # the mean of each column is gone: P D
    return up(np.sqrt(len(g)) * g * np.linalg.eigh(M + M.T)[1][:, -1])


def basis(*removed):
    """An orthonormal basis of what is orthogonal to some vectors."""
    full = np.linalg.qr(np.column_stack([*removed, np.identity(len(removed[0]))]))[0]
    return full[:, len(removed) :]


def top(g, *removed):
    B = basis(*removed)
    return max(np.linalg.eigvalsh(B.T @ (g[:, None] * B)))


def factor(g, z):
    return np.sqrt(len(g) / sum(z**2))


def radius(g, z):
    return factor(g, z) * top(g, np.ones(len(g)), z)


def norm(g, z):
    return factor(g, z) * np.linalg.svd(g[:, None] * basis(np.ones(len(g)), z))[1][0]


RIGHT = {check.pole: pole, check.radius: radius}

WRONG = [
    (check.pole, largest, "no multiple of a unit vector"),
    (check.pole, lambda g: before_gains(g) / np.sqrt(len(g)), "this is the eigenvector"),
    (check.pole, before_gains, "the gains are missing"),
    (check.pole, lambda g: pole(g) / np.sqrt(len(g)), "the length is missing"),
    (check.pole, of_length_root_d, "it has before them"),
    (check.pole, smallest, "not of the smallest"),
    (check.pole, one_sided, "on both sides"),
    (check.pole, lambda g: -pole(g), "the opposite pole"),
    (check.pole, lambda g: pole(g)[::-1], "the largest error of an entry"),
    (check.radius, lambda g, z: factor(g, z) * max(g), "an upper bound"),
    (check.radius, lambda g, z: factor(g, z) * top(g, np.ones(len(g))), "the direction of z"),
    (check.radius, lambda g, z: factor(g, z) * top(g, z), "the mean of the coordinates"),
    (check.radius, lambda g, z: radius(g, z) / factor(g, z), "the length is missing"),
    (check.radius, lambda g, z: radius(g, z) / np.sqrt(len(g)), "root d is missing"),
    (
        check.radius,
        lambda g, z: top(g, np.ones(len(g)), z) * len(g) ** 0.5,
        "divide by its length",
    ),
    (check.radius, norm, "not its spectral radius"),
    (check.radius, lambda g, z: 1.0, "the largest error of an entry"),
]
