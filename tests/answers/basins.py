"""Right and wrong answers to the exercises on two lines and their basins."""

import numpy as np

from transpde.exercises import basins as check


def signs(S):
    values = np.linalg.eigvalsh(S + S.T)
    return sum(abs(values) < 1e-9), sum(values > 1e-9), sum(values < -1e-9)


def bound(A):
    zero, above, below = signs(A)
    return zero + min(above, below)


def exact_zeros(A):
    values = np.linalg.eigvalsh(A + A.T)
    return sum(values == 0) + min(sum(values > 0), sum(values < 0))


def without_zeros(A):  # right where no eigenvalue is zero, and where zeros are exact
    values = np.linalg.eigvalsh(A + A.T)
    return len(A) - max(sum(values > 0), sum(values < 0))


def of_eigenvalues(A):
    values = np.linalg.eigvals(A).real
    return sum(abs(values) < 1e-9) + min(sum(values > 1e-9), sum(values < -1e-9))


def rates(A, V, u, s):
    n = np.array([-u[1], u[0]])
    beta, gamma, nu = u @ A @ n, n @ A @ u, n @ V @ u
    return [s * (beta + gamma) * nu, 2 * s * beta * nu]


def without_gamma(A, V, u, s):
    n = np.array([-u[1], u[0]])
    return s * (u @ A @ n) * (n @ V @ u) * np.array([1.0, 2.0])


def capped(A):
    return min(bound(A), max(len(A) // 2, signs(A)[0]))


RIGHT = {check.rank_bound: bound, check.rates: rates}

WRONG = [
    (check.rank_bound, lambda A: min(signs(A)[1:]), "add their number"),
    (check.rank_bound, lambda A: len(A) // 2, "half the dimension is a bound"),
    (check.rank_bound, lambda A: signs(A)[0] + max(signs(A)[1:]), "the smaller of the numbers"),
    (check.rank_bound, capped, "half the dimension is no bound"),
    (check.rank_bound, of_eigenvalues, "not those of A"),
    (check.rank_bound, exact_zeros, "an eigenvalue that is zero comes out rounded"),
    (check.rank_bound, without_zeros, "comes out rounded|the largest error of an entry"),
    (check.rank_bound, lambda A: signs(A)[0], "only the kernel is counted"),
    (check.rank_bound, lambda A: sum(signs(A)[1:]), "this is the rank of"),
    (check.rank_bound, lambda A: bound(A) + 1, "the largest error of an entry"),
    (check.rates, lambda A, V, u, s: np.array(rates(A, V, u, 1.0)), "the size s is missing"),
    (check.rates, lambda A, V, u, s: rates(A, V, u, s)[::-1], "the two rates are exchanged"),
    (check.rates, lambda A, V, u, s: rates(A.T, V, u, s), "beta and gamma are exchanged"),
    (check.rates, lambda A, V, u, s: rates(A, V.T, u, s), "you took its transpose"),
    (
        check.rates,
        lambda A, V, u, s: np.array(rates(A, V, u, s)) * [1, 0.5],
        "once from each side",
    ),
    (check.rates, lambda A, V, u, s: -np.array(rates(A, V, u, s)), "the sign is wrong"),
    (check.rates, without_gamma, "gamma is missing"),
]
