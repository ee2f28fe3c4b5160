"""Checkers for the chapter on two lines and their basins."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transpde.attention import Softmax
from transpde.checks import Array
from transpde.disc import isotropic_directions
from transpde.exercises.judge import Answer, judged
from transpde.theory import stationary_rank_bound
from transpde.theory.stationary import ray_rates

__all__ = ["rank_bound", "rates"]


def _counts(A: Array, floor: float = 1e-9) -> tuple[int, int, int]:
    """Return the numbers of zero, positive and negative eigenvalues of A + A'."""
    values = np.linalg.eigvalsh(A + A.T)
    above, below = int((values > floor).sum()), int((values < -floor).sum())
    return len(A) - above - below, above, below


def _turned(values: list[float], seed: int) -> Array:
    """Return a matrix whose symmetric part has these eigenvalues; zeros come out rounded."""
    R = np.random.default_rng(seed).normal(size=(2, len(values), len(values)))
    U = np.linalg.qr(R[0])[0]
    return np.asarray((U * values) @ U.T + R[1] - R[1].T)


def _forms() -> list[tuple[Array]]:
    """Return matrices with all kinds of signs, diagonal and not, zeros exact and rounded."""
    diagonals = ([3, 1, -1, -2], [2, 1, 1, -1], [0, 1, 2, -1], [-1, -2, 0, 0], [0, 1, 0, -1])
    zeros: tuple[list[float], ...] = ([0, 1, 0, -1], [0, 0, 0, 2, -1], [0, 0, 0, 0, 1, -1])
    problems = [(np.diag(np.array(values, dtype=float)),) for values in (*diagonals, [1, -1])]
    problems += [(np.array([[1.0, 6.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),)]
    problems += [(np.eye(2, k=1) - np.eye(2, k=-1),)]
    return problems + [(_turned(values, seed),) for seed, values in enumerate(zeros)]


def rank_bound(answer: Answer) -> str:
    """Check `answer(A)`: the largest rank at rest for softmax with V = I."""
    problems = _forms()

    def solution(A: Array) -> Array:
        eye = np.eye(len(A))
        return np.asarray(stationary_rank_bound(Softmax(A, eye, eye)), dtype=float)

    def of_eigenvalues(A: Array) -> int:
        values = np.linalg.eigvals(A).real
        above, below = int((values > 1e-9).sum()), int((values < -1e-9).sum())
        return len(A) - max(above, below)

    hints: dict[str, Callable[..., Array]] = {
        "directions with eigenvalue zero are free: add their number.": (
            lambda A: np.asarray(min(_counts(A)[1:]))
        ),
        "half the dimension is a bound, reached only when the signs balance.": (
            lambda A: np.asarray(len(A) // 2)
        ),
        "take the smaller of the numbers of positive and negative eigenvalues.": (
            lambda A: np.asarray(_counts(A)[0] + max(_counts(A)[1:]))
        ),
        "the eigenvalues of A + A' decide, not those of A.": (
            lambda A: np.asarray(of_eigenvalues(A))
        ),
        "half the dimension is no bound where eigenvalues are zero.": (
            lambda A: np.asarray(
                min(len(A) - max(_counts(A)[1:]), max(len(A) // 2, _counts(A)[0]))
            )
        ),
        "only the kernel is counted: mix directions of opposite signs.": (
            lambda A: np.asarray(_counts(A)[0])
        ),
        "an eigenvalue that is zero comes out rounded: count those below a tolerance.": (
            lambda A: np.asarray((of := _counts(A, floor=0.0))[0] + min(of[1:]))
        ),
        "this is the rank of A + A'.": lambda A: np.asarray(sum(_counts(A)[1:])),
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: n0 plus the smaller of n+ and n-."


def rates(answer: Answer) -> str:
    """Check `answer(A, V, u, s)`: both rates of softmax near the covariance s u u'."""
    problems = []
    for seed in (1, 2, 3):
        rng = np.random.default_rng(seed)
        S, V = rng.normal(size=(2, 2, 2))
        A = S @ np.diag([1.0, -2.0]) @ S.T + rng.normal() * np.array([[0.0, 1.0], [-1.0, 0.0]])
        problems += [(A, V, u, np.array(s)) for u, s in zip(isotropic_directions(A), (0.7, 2.0),
                                                           strict=True)]  # fmt: skip

    def terms(A: Array, V: Array, u: Array) -> tuple[float, float, float]:
        n = np.array([-u[1], u[0]])
        return float(u @ A @ n), float(n @ A @ u), float(n @ V @ u)

    def solution(A: Array, V: Array, u: Array, s: Array) -> Array:
        return ray_rates(Softmax(A, np.eye(2), V), u, float(s))

    def varied(A: Array, V: Array, u: Array, s: Array) -> Array:
        beta, gamma, nu = terms(A, V, u)
        return s * nu * np.array([beta + gamma, 2 * gamma])

    hints: dict[str, Callable[..., Array]] = {
        "the size s is missing: wide covariances move faster.": (
            lambda A, V, u, s: solution(A, V, u, s) / s
        ),
        "the two rates are exchanged: first that of y, then that of z.": (
            lambda A, V, u, s: solution(A, V, u, s)[::-1]
        ),
        "beta and gamma are exchanged: u'An feeds the thickness, not n'Au.": varied,
        "V enters by n'Vu: you took its transpose.": lambda A, V, u, s: solution(A, V.T, u, s),
        "the thickness z decays at twice that rate, once from each side.": (
            lambda A, V, u, s: solution(A, V, u, s) * np.array([1.0, 0.5])
        ),
        "the sign is wrong.": lambda A, V, u, s: -solution(A, V, u, s),
        "both A and its transpose turn u: gamma is missing in the first rate.": (
            lambda A, V, u, s: solution(A, V, u, s)[1] * np.array([0.5, 1.0])
        ),
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: s (beta + gamma) nu and 2 s beta nu."
