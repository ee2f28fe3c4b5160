"""Checkers for the chapter on the evolution of anisotropy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from transpde.attention import L2
from transpde.checks import Array
from transpde.exercises.judge import Answer, judged
from transpde.measures import Gaussian
from transpde.spectra import effective_rank
from transpde.theory.random_heads import score_edge

__all__ = ["explosion", "l2_spread", "log_condition", "rank_from_logs"]


def _softmax(y: Array) -> Array:
    weights = np.exp(y - y.max())
    return np.asarray(weights / weights.sum())


def _entropy(p: Array) -> Array:
    return np.asarray(-(p * np.log(np.where(p > 0, p, 1.0))).sum())


def _of_logs(y: Array) -> Array:
    Y = np.eye(len(y))
    graded = Gaussian.trusted(np.zeros(len(y)), Y, np.asarray(y, dtype=float))
    return np.asarray(effective_rank(graded))


def rank_from_logs(answer: Answer) -> str:
    """Check `answer(y)`: the effective rank of a covariance with eigenvalues exp(y)."""
    cases = [(np.array(y),) for y in ([0.0, 1.0, 2.0], [0.3], [-1.0, 0.5, 0.5, 3.0])]
    cases += [(np.array([2000.0, 2000.0]),), (np.array([-2000.0, -2001.0, -2003.0]),)]
    cases += [(np.array([2000.0, 0.0, 1999.0]),)]  # a share that no float holds
    hints: dict[str, Callable[..., Array]] = {
        "this is the entropy: take its exponential.": lambda y: _entropy(_softmax(y)),
        "this is the participation ratio; take the entropy of the shares.": (
            lambda y: np.asarray(1 / (_softmax(y) ** 2).sum())
        ),
        "the sign of the entropy is wrong.": lambda y: np.exp(-_entropy(_softmax(y))),
        "the shares are those of the eigenvalues, not of their roots.": (
            lambda y: np.exp(_entropy(_softmax(y / 2)))
        ),
        "the entropy is in natural logarithms: raise e, not 2, to it.": (
            lambda y: 2 ** _entropy(_softmax(y))
        ),
        "this is the rank: every direction counts alike.": lambda y: np.asarray(float(len(y))),
    }
    wrong = judged(answer, cases, _of_logs, hints)
    if wrong and "nan" in wrong:
        return (
            "Not yet: nan, from an overflow or underflow: subtract the largest logarithm first, "
            "and take the logarithm of a share without an exponential."
        )
    return wrong or "Right: shares from differences of logarithms never leave the range."


def log_condition(answer: Answer) -> str:
    """Check `answer(A, s, t)`: log-condition number under softmax, V = I, from s^2 I."""
    rng = np.random.default_rng(3)
    cases: list[tuple[Any, ...]] = [(rng.normal(size=(3, 3)), s, 0.05) for s in (1.0, 0.6, 1.3)]
    cases += [(-np.diag([0.3, 1.0, 2.0]), 1.5, 4.0), (np.diag([1.0, -1.0]), 2.0, 0.25)]
    cases += [(np.diag([1.0, 2.0]), 1.0, 2.0)]  # all axes have exploded: the ratio is positive

    def of(A: Array, s: float, t: float) -> Array:
        left = 1 - s**2 * t * np.linalg.eigvalsh(A + A.T)
        return np.log(left[0] / left[-1]) if left[-1] > 0 else np.asarray(np.inf)

    hints: dict[str, Callable[..., Array]] = {
        "the spectrum is that of A plus its transpose: a factor 2 is lost.": (
            lambda A, s, t: of((A + A.T) / 4, s, t)
        ),
        "A is not symmetric: take the spectrum of A plus its transpose.": (
            lambda A, s, t: _plain(np.linalg.eigvalsh(A), t)
        ),
        "the start is s^2 I: depth counts s^2 times.": lambda A, s, t: of(A, 1.0, t),
        "s enters squared.": lambda A, s, t: of(A, float(np.sqrt(s)), t),
        "this is the condition number: take its logarithm.": (lambda A, s, t: np.exp(of(A, s, t))),
        "depth widens where A is positive: the inverse covariance loses t (A + A').": (
            lambda A, s, t: of(-A, s, t)
        ),
        "this is the first order in t: take the whole ratio.": (
            lambda A, s, t: s**2 * t * np.asarray(np.ptp(np.linalg.eigvalsh(A + A.T)))
        ),
        "take the natural logarithm.": lambda A, s, t: of(A, s, t) / np.log(10),
        "eigenvalues of the covariance, not lengths of axes: no square root.": (
            lambda A, s, t: of(A, s, t) / 2
        ),
        "this is minus the logarithm: divide the largest by the smallest.": (
            lambda A, s, t: -of(A, s, t)
        ),
        "from the explosion on the answer is inf.": lambda A, s, t: np.asarray(
            np.nan_to_num(of(A, s, t), posinf=0.0)
        ),
    }
    wrong = judged(answer, cases, of, hints)
    if wrong and "nan" in wrong:
        return "Not yet: nan: from the explosion on the answer is inf."
    return wrong or "Right: the ratio of 1 - s^2 t lambda at the two ends of the spectrum."


def _plain(values: Array, t: float) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray(np.log((1 - t * values[0]) / (1 - t * values[-1])))


def l2_spread(answer: Answer) -> str:
    """Check `answer(Q, K, V, s)`: variance of log-eigenvalues over t^2 at first, L2, s^2 I."""
    problems: list[tuple[Any, ...]] = []
    for seed, k, s in ((1, 3, 1.0), (2, 2, 0.7), (3, 4, 1.6)):
        rng = np.random.default_rng(seed)
        Q, K = rng.normal(size=(2, k, 3))
        problems.append((Q, K, rng.normal(size=(3, 3)), s))

    def spread(B: Array) -> Array:
        return np.asarray(np.linalg.eigvalsh(B + B.T).var())

    def exact(Q: Array, K: Array, V: Array, s: float) -> Array:
        gaussian = Gaussian(np.zeros(3), factor=float(s) * np.eye(3))
        return spread(L2(Q, K, V)._affine_field(gaussian).linear)

    def part(K: Array, s: float) -> Array:
        return np.asarray(s**2 * np.linalg.inv(np.eye(3) + 2 * s**2 * K.T @ K))

    hints: dict[str, Callable[..., Array]] = {
        "this is softmax, from the identity: the key damps L2.": (
            lambda Q, K, V, s: spread(V @ K.T @ Q)
        ),
        "this is softmax: the key damps L2.": lambda Q, K, V, s: spread(s**2 * V @ K.T @ Q),
        "the factor 2 of the tilt is missing.": (
            lambda Q, K, V, s: spread(V @ part(K, s) @ K.T @ Q)
        ),
        "the start is s^2 I, not I.": (lambda Q, K, V, s: spread(2 * V @ part(K, 1.0) @ K.T @ Q)),
        "this is a standard deviation: the variance is its square.": (
            lambda Q, K, V, s: np.sqrt(exact(Q, K, V, s))
        ),
        "divide by d, not by d - 1: the eigenvalues are all of them, not a sample.": (
            lambda Q, K, V, s: 1.5 * exact(Q, K, V, s)
        ),
    }
    wrong = judged(answer, problems, exact, hints)
    return wrong or "Right: the variance of the spectrum of B + B' at the start."


def explosion(answer: Answer) -> str:
    """Check `answer(c)`: limit of the blow-up time of one random head with k/d = c."""
    cases: list[tuple[Any, ...]] = [(c,) for c in (1.0, 0.5, 0.1, 2.0, 6.0)]

    def of(c: float) -> Array:
        return np.asarray(1 / score_edge(float(c)))

    hints: dict[str, Callable[..., Array]] = {
        "this is the limit of many heads: one head has longer tails.": (
            lambda c: np.asarray(1 / np.sqrt(8 * c))
        ),
        "this is the edge; the time is one over it.": lambda c: 1 / of(c),
        "this is the case c = 1 alone: keep c in both places.": lambda c: of(1.0),
        "this is the semicircle of a Gaussian score matrix, which has no c.": (
            lambda c: np.asarray(1 / np.sqrt(8))
        ),
        "this is G at the edge: put it into z(G).": lambda c: np.asarray(
            np.sqrt(1 / (1 + c + np.sqrt(c * c + 4 * c)))
        ),
    }
    wrong = judged(answer, cases, of, hints)
    return wrong or "Right: one over the smallest z(G), and thin heads explode later."
