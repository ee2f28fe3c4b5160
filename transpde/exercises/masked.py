"""Checkers for the chapter on masked attention."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transpde.checks import Array
from transpde.exercises.judge import Answer, judged

__all__ = ["conditional_distance", "norm_of_order_one", "running_mean"]


def _sequences() -> list[tuple[Array, Array, Array]]:
    """Return values, masses and positions: out of order, with ties, of unequal mass."""
    problems = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        positions = rng.permutation([0.0, 0.2, 0.2, 0.5, 0.7, 0.7, 0.9])
        problems.append((rng.random(7) + 0.1, rng.dirichlet(np.full(7, 2.0)), positions))
    return problems


def _means(f: Array, mass: Array, seen: Array) -> Array:
    return np.asarray((seen * mass) @ f / (seen @ mass))


def running_mean(answer: Answer) -> str:
    """Check `answer(f, mass, s)`: the mean of f over the positions at or before each one."""

    def before(s: Array) -> Array:
        return s[None, :] <= s[:, None]

    def strictly(f: Array, mass: Array, s: Array) -> Array:
        seen = s[None, :] < s[:, None]
        total = seen @ mass
        return np.divide((seen * mass) @ f, total, out=np.zeros(len(f)), where=total > 0)

    def sorted_out(f: Array, mass: Array, s: Array) -> Array:
        order = np.argsort(s, kind="stable")
        back = np.argsort(order, kind="stable")
        return (np.cumsum((mass * f)[order]) / np.cumsum(mass[order]))[back]

    hints: dict[str, Callable[..., Array]] = {
        "an entry must depend on what comes before it: f itself is not a mean.": (
            lambda f, mass, s: f
        ),
        "tokens at one position see each other: ties share a level.": sorted_out,
        "a token sees itself: the condition is at or before, not before.": strictly,
        "the mask looks at the future: exchange the two positions.": (
            lambda f, mass, s: _means(f, mass, before(s).T)
        ),
        "the tokens are not in order of position; compare positions, not indices.": (
            lambda f, mass, s: np.cumsum(mass * f) / np.cumsum(mass)
        ),
        "divide by the mass of what is seen, so that it is a mean.": (
            lambda f, mass, s: (before(s) * mass) @ f
        ),
        "weigh each token by its mass.": lambda f, mass, s: _means(f, np.ones(len(f)), before(s)),
        "give the means in the order of the tokens, not of their positions.": (
            lambda f, mass, s: _means(f, mass, before(s))[np.argsort(s, kind="stable")]
        ),
        "a token sees those before it too, not its own position alone.": (
            lambda f, mass, s: _means(f, mass, s[None, :] == s[:, None])
        ),
        "this is the mean over all tokens, without a mask.": (
            lambda f, mass, s: np.full(len(f), mass @ f)
        ),
    }
    wrong = judged(answer, _sequences(), lambda f, mass, s: _means(f, mass, before(s)), hints)
    return wrong or "Right: the mean over what is at or before, ties included."


def _levels() -> list[tuple[Array, Array, Array]]:
    """Return tokens of the line at M levels, m on each, and an order."""
    problems = []
    for seed, p in enumerate((2.0, 3.0, 1.5)):
        x, y = np.random.default_rng([1, seed]).normal(size=(2, 4, 5))
        problems.append((x, y, np.array(p)))
    return problems


def conditional_distance(answer: Answer) -> str:
    """Check `answer(x, y, p)`: the distance of tokens (M, m) of the line, M levels of one mass."""

    def gaps(x: Array, y: Array) -> Array:
        return np.abs(np.sort(x, axis=1) - np.sort(y, axis=1))

    def plain(x: Array, y: Array, p: Array) -> Array:
        return np.asarray((np.abs(np.sort(x.ravel()) - np.sort(y.ravel())) ** p).mean() ** (1 / p))

    hints: dict[str, Callable[..., Array]] = {
        "two different measures have a positive distance.": lambda x, y, p: np.zeros(()),
        "mass may not move between levels: this is the plain Wasserstein distance.": plain,
        "sort the tokens of each level: the order of tokens at one position does not count.": (
            lambda x, y, p: (np.abs(x - y) ** p).mean() ** (1 / p)
        ),
        "sort within each level, not across levels.": (
            lambda x, y, p: (
                (np.abs(np.sort(x, axis=0) - np.sort(y, axis=0)) ** p).mean() ** (1 / p)
            )
        ),
        "the weights of all tokens sum to one: take means, not sums.": (
            lambda x, y, p: (gaps(x, y) ** p).sum() ** (1 / p)
        ),
        "each level has the mass 1/M: take a mean over levels, not a sum.": (
            lambda x, y, p: (gaps(x, y) ** p).mean(axis=1).sum() ** (1 / p)
        ),
        "p is an argument: this is order 2 at every p.": (
            lambda x, y, p: (gaps(x, y) ** 2).mean() ** (1 / 2)
        ),
        "the root of order p is missing.": lambda x, y, p: (gaps(x, y) ** p).mean(),
        "average the p-th powers of the levels' distances, and take one root at the end.": (
            lambda x, y, p: ((gaps(x, y) ** p).mean(axis=1) ** (1 / p)).mean()
        ),
        "this is the largest distance of a level, the order infinity over positions.": (
            lambda x, y, p: ((gaps(x, y) ** p).mean(axis=1) ** (1 / p)).max()
        ),
    }
    wrong = judged(answer, _levels(), lambda x, y, p: (gaps(x, y) ** p).mean() ** (1 / p), hints)
    return wrong or "Right: sort within levels, and take one mean of p-th powers."


def norm_of_order_one(answer: Answer) -> str:
    """Check `answer(mass)`: the norm of the running mean on L^1, for masses in order."""
    rng = np.random.default_rng(3)
    masses = [(rng.dirichlet(np.full(n, 2.0)),) for n in (4, 7, 12)]

    def harmonic(n: int) -> Array:
        return np.asarray((1 / np.arange(1, n + 1)).sum())

    hints: dict[str, Callable[..., Array]] = {
        "the harmonic number is for equal masses.": lambda mass: harmonic(len(mass)),
        "the logarithm is for positions without atoms.": lambda mass: np.log(1 / mass[0]),
        "the first token weighs on itself too: start the sum at the first term.": (
            lambda mass: (mass / np.cumsum(mass))[1:].sum()
        ),
        "divide by the mass at or before each token, not at or after.": (
            lambda mass: (mass / np.cumsum(mass[::-1])[::-1]).sum()
        ),
        "each average counts with the mass of its own position.": (
            lambda mass: (1 / np.cumsum(mass)).sum()
        ),
        "each average counts with its mass, and the norm is per mass of the first token.": (
            lambda mass: (mass[0] / np.cumsum(mass)).sum()
        ),
        "that is how the last token weighs; the first one weighs most.": lambda mass: mass[-1],
        "sums over a row give 1, the norm on bounded functions; take a column.": (
            lambda mass: np.ones(())
        ),
    }
    wrong = judged(answer, masses, lambda mass: (mass / np.cumsum(mass)).sum(), hints)
    return wrong or "Right: the column of the first token."
