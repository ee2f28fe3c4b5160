"""Checkers for the chapter on the mean-field limit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transpde.checks import Array
from transpde.exercises.judge import Answer, judged

__all__ = ["departure", "rate_constant"]


def _clouds() -> list[tuple[Array, ...]]:
    """Return a point, tokens with unequal weights, and two matrices that are not symmetric."""
    problems = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        mass = rng.dirichlet(np.full(9, 2.0))
        problems.append(
            (rng.normal(size=2), rng.normal(size=(9, 2)), mass, *rng.normal(size=(2, 2, 2)))
        )
    return problems


def _constant(
    x: Array, y: Array, mass: Array, A: Array, V: Array, *, power: int = 2, root: int = 2
) -> Array:
    """Return the constant c(x), with other powers of the weight and of Z where asked."""
    w = np.exp(y @ A @ x)
    Z = mass @ w
    gaps = (y - (mass * w) @ y / Z) @ V.T
    return np.asarray((mass * w**power) @ (gaps**2).sum(axis=1) / Z**root)


def _about(centre: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    """Return the constant with another centre than the tilted mean."""

    def slip(x: Array, y: Array, mass: Array, A: Array, V: Array) -> Array:
        w = np.exp(y @ A @ x)
        gaps = (y - centre(y, mass)) @ V.T
        return np.asarray((mass * w**2) @ (gaps**2).sum(axis=1) / (mass @ w) ** 2)

    return slip


def rate_constant(answer: Answer) -> str:
    """Check `answer(x, y, mass, A, V)`: n times the mean square error of a softmax velocity."""
    hints: dict[str, Callable[..., Array]] = {
        "the weight w enters squared: errors are squared.": (
            lambda *problem: _constant(*problem, power=1)
        ),
        "this is V times the variance of the tilted law; the weight w enters squared.": (
            lambda *problem: _constant(*problem, power=1, root=1)
        ),
        "divide by the square of Z.": lambda *problem: _constant(*problem, root=1),
        "divide by the square of Z, the mean of w.": lambda *problem: _constant(*problem, root=0),
        "the weights w are missing.": lambda *problem: _constant(*problem, power=0, root=0),
        "the centre is the tilted mean, not the mean of the tokens.": _about(
            lambda y, mass: mass @ y
        ),
        "the centre is the tilted mean, not zero.": _about(lambda y, mass: np.zeros(2)),
        "the score of x and y is y^T A x; you have the transpose of A.": (
            lambda x, y, mass, A, V: _constant(x, y, mass, A.T, V)
        ),
        "V acts on each vector y - m; you have its transpose.": (
            lambda x, y, mass, A, V: _constant(x, y, mass, A, V.T)
        ),
        "the value matrix V is missing.": (
            lambda x, y, mass, A, V: _constant(x, y, mass, A, np.eye(2))
        ),
        "the tokens have weights: use mass in every mean.": (
            lambda x, y, mass, A, V: _constant(x, y, np.full(9, 1 / 9), A, V)
        ),
    }
    wrong = judged(answer, _clouds(), _constant, hints)
    return wrong or "Right: the mean square of centred, weighted tokens over the square of Z."


def departure(answer: Answer) -> str:
    """Check `answer(n, v, eta, k)`: the leading term of the depth between departure and t*."""
    problems = [
        tuple(np.array(value) for value in problem)
        for problem in ((1e3, 1.0, 0.1, 2.0), (1e6, 0.5, 0.25, 0.5), (50.0, 3.0, 0.5, 1.5))
    ]

    def depth(n: Array, v: Array, eta: Array, k: Array) -> Array:
        return np.asarray(k * (1 - eta) / (2 * v * np.sqrt(2 * np.log(n))))

    hints: dict[str, Callable[..., Array]] = {
        "the token's place k is missing.": lambda n, v, eta, k: depth(n, v, eta, k) / k,
        "outer tokens have a larger tilt and depart earlier: k belongs above.": (
            lambda n, v, eta, k: depth(n, v, eta, k) / k**2
        ),
        "the tolerance is missing: beta_n is l_n over 1 - eta.": (
            lambda n, v, eta, k: depth(n, v, eta, k) / (1 - eta)
        ),
        "beta_n is l_n over 1 - eta, and the depth has beta_n below.": (
            lambda n, v, eta, k: depth(n, v, eta, k) / (1 - eta) ** 2
        ),
        "the largest of n draws is about the root of 2 log n.": (
            lambda n, v, eta, k: depth(n, v, eta, k) * np.sqrt(2)
        ),
        "take the root of 2 log n.": (
            lambda n, v, eta, k: depth(n, v, eta, k) / np.sqrt(2 * np.log(n))
        ),
        "a s(t) is 1 over 2v(t* - t): the factor 2 is missing.": (
            lambda n, v, eta, k: 2 * depth(n, v, eta, k)
        ),
        "a s(t) is 1 over 2v(t* - t): v is missing.": (
            lambda n, v, eta, k: v * depth(n, v, eta, k)
        ),
        "this is the tilt at departure; turn it into a depth.": (
            lambda n, v, eta, k: np.sqrt(2 * np.log(n)) / (1 - eta) / k
        ),
    }
    wrong = judged(answer, problems, depth, hints)
    return wrong or "Right: the tilt of the token reaches the largest draw over 1 - eta."
