"""Checkers for the chapter on the attention zoo."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transpde.attention import Softmax
from transpde.checks import Array
from transpde.exercises.judge import Answer, judged
from transpde.measures import Particles

__all__ = ["blowup_time", "mean_velocity", "shifted_matrix"]


def _problems() -> list[tuple[Array, Array, Array, Array, Array]]:
    """Return tokens, weights, Q, K and V, without any symmetry by accident; the last has k < d."""
    problems = []
    for seed, k in ((1, 3), (2, 3), (3, 2)):
        rng = np.random.default_rng(seed)
        Q, K = 0.6 * rng.normal(size=(2, k, 3))
        x, V = rng.normal(size=(5, 3)), rng.normal(size=(3, 3))
        problems.append((x, rng.dirichlet(np.ones(5)), Q, K, V))
    return problems


def mean_velocity(answer: Answer) -> str:
    """Check `answer(P, w, x, V)`: the velocity of the mean of tokens x of weights w."""
    cases = [(Softmax(Q, K, V).matrix(Particles(x, w)), w, x, V) for x, w, Q, K, V in _problems()]
    hints: dict[str, Callable[..., Array]] = {
        "the mean obeys dm/dt = Vm only if columns sum to their weights.": (
            lambda P, w, x, V: V @ (w @ x)
        ),
        "the value matrix is missing.": lambda P, w, x, V: w @ P @ x,
        "tokens are rows: apply V, not its transpose.": lambda P, w, x, V: w @ P @ x @ V,
        "the matrix is transposed: row i holds what token i takes.": (
            lambda P, w, x, V: V @ (w @ P.T @ x)
        ),
        "the tokens have weights: average with w, not with 1/n.": (
            lambda P, w, x, V: V @ (P @ x).mean(axis=0)
        ),
        "the weights of the keys are in P already.": lambda P, w, x, V: V @ (w @ (P * w) @ x),
        "these are the velocities of all tokens: average them.": lambda P, w, x, V: P @ x @ V.T,
    }
    wrong = judged(answer, cases, lambda P, w, x, V: V @ (w @ P @ x), hints)
    return wrong or "Right: V times the tokens weighted by w'P."


def _normalised(matrix: Array) -> Array:
    return np.asarray(matrix / matrix.sum(axis=1, keepdims=True))


def shifted_matrix(answer: Answer) -> str:
    """Check `answer(P, x, Q, K, a)`: the softmax matrix after all tokens moved by a."""
    cases = [
        (Softmax(Q, K, V).matrix(Particles(x, w)), x, Q, K, V[0]) for x, w, Q, K, V in _problems()
    ]

    def tilted(P: Array, tilt: Array) -> Array:
        return P * np.exp(tilt)

    hints: dict[str, Callable[..., Array]] = {
        "softmax is not unchanged by a shift: its columns are tilted.": lambda P, x, Q, K, a: P,
        "divide each row by its sum after the tilt.": (
            lambda P, x, Q, K, a: tilted(P, x @ K.T @ Q @ a)
        ),
        "Q and K are exchanged: the query of the shift meets the keys of the tokens.": (
            lambda P, x, Q, K, a: _normalised(tilted(P, x @ Q.T @ K @ a))
        ),
        "the sign of the tilt is wrong.": (
            lambda P, x, Q, K, a: _normalised(tilted(P, -x @ K.T @ Q @ a))
        ),
        "no factor 2: that is for L2.": (
            lambda P, x, Q, K, a: _normalised(tilted(P, 2 * x @ K.T @ Q @ a))
        ),
    }
    wrong = judged(
        answer, cases, lambda P, x, Q, K, a: _normalised(tilted(P, x @ K.T @ Q @ a)), hints
    )
    return wrong or "Right: columns times exp(<Aa, x_j>), rows divided by their sums."


def blowup_time(answer: Answer) -> str:
    """Check `answer(x, Q, K, v)`: when one token explodes under linear attention, or inf."""
    cases = []
    for x, _, Q, K, _ in _problems():
        for v in (0.7, -1.3):
            cases += [(y, Q, K, np.asarray(v)) for y in x[:3]]

    def score(x: Array, Q: Array, K: Array) -> Array:
        return np.asarray((Q @ x) @ (K @ x))

    def guarded(rate: Array) -> Array:
        return np.asarray(1 / rate if rate > 0 else np.inf)

    hints: dict[str, Callable[..., Array]] = {
        "nothing explodes where v times the score is not positive: return inf.": (
            lambda x, Q, K, v: 1 / (2 * v * score(x, Q, K))
        ),
        "a factor 2 is lost, and so is the case without an explosion.": (
            lambda x, Q, K, v: 1 / (v * score(x, Q, K))
        ),
        "a factor 2 is lost: u = <Qx, Kx> is quadratic in x.": (
            lambda x, Q, K, v: guarded(v * score(x, Q, K))
        ),
        "a negative v with a negative score explodes too: only their product counts.": (
            lambda x, Q, K, v: guarded(2 * v * score(x, Q, K) * (v > 0))
        ),
        "the value v is missing.": lambda x, Q, K, v: guarded(2 * score(x, Q, K)),
        "the score is needed, not the squared norm of the token.": (
            lambda x, Q, K, v: guarded(2 * v * x @ x)
        ),
        "where nothing explodes the time is inf, not 0.": (
            lambda x, Q, K, v: np.where(
                v * score(x, Q, K) > 0, guarded(2 * v * score(x, Q, K)), 0.0
            )
        ),
    }
    wrong = judged(answer, cases, lambda x, Q, K, v: guarded(2 * v * score(x, Q, K)), hints)
    return wrong or "Right: one over twice v times the score, where that is positive."
