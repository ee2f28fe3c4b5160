"""Checkers for the chapter on spectral selection."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transpde import theory
from transpde.checks import Array
from transpde.exercises.judge import Answer, judged

__all__ = ["splits", "thresholds"]


def _splits(share: Array, strength: Array, n: Array) -> int:
    return int(theory.stable_splits(int(n), strength, share).sum())


def _among(n: Array, holds: Callable[[Array], Array], first: int = 1) -> int:
    """Return for how many k, from the first to n - first, the ratio r of a split obeys a rule."""
    k = np.arange(first, int(n) - first + 1)
    return int(holds(np.maximum(k, n - k) / np.minimum(k, n - k)).sum())


def splits(answer: Answer) -> str:
    """Check `answer(share, b, n)`: how many k give a stable split of n tokens on the top mode."""
    cases = ((0.3, 0.8, 12), (0.9, 0.3, 7), (0.0, 1.1, 9), (0.6, 2.0, 20), (-0.8, 0.4, 10),
             (-0.8, 0.4, 4), (0.1, 2.5, 6))  # fmt: skip
    problems = [(np.array(m), np.array(b), np.array(n)) for m, b, n in cases]

    def condition(share: Array, b: Array) -> Callable[[Array], Array]:
        edge = np.cosh(2 * b) - share * np.sinh(2 * b)
        return lambda r: np.cosh(np.log(r)) < edge

    hints: dict[str, Callable[..., int]] = {
        "k and n - k are two splits: count both sides.": (
            lambda m, b, n: (_splits(m, b, n) + (n % 2 == 0 and _splits(m, b, n) > 0)) // 2
        ),
        "the strength enters as 2b, from the pole at +e_p to that at -e_p.": (
            lambda m, b, n: _among(n, condition(m, b / 2))
        ),
        "for a negative share, groups of two tokens or more also need log r < 2b.": (
            lambda m, b, n: _among(n, condition(m, b))
        ),
        "a lone token on the smaller side needs no bound on log r.": (
            lambda m, b, n: _among(n, lambda r: condition(m, b)(r) & (np.log(r) < 2 * b))
        ),
        "the tanh law is for halves of equal mass only.": (
            lambda m, b, n: int(n - 1) if m < np.tanh(b) else 0
        ),
        "consensus is no split: k runs from 1 to n - 1.": (lambda m, b, n: _splits(m, b, n) + 2),
    }
    wrong = judged(answer, problems, _splits, hints)
    return wrong or "Right: a step for each ratio of whole numbers."


def thresholds(answer: Answer) -> str:
    """Check `answer(weak, strong, beta)`: below and above which weight a leader selects a mode."""
    cases = ((1.0, 5.0, 0.05), (0.5, 0.7, 0.4), (2.0, 3.0, 0.1), (0.3, 4.0, 0.2))
    problems = [tuple(map(np.array, case)) for case in cases]

    def solution(weak: Array, strong: Array, beta: Array) -> Array:
        return np.array(theory.leader_thresholds([-weak, -strong], float(beta)))

    def ratio_of(weak: Array, strong: Array, beta: Array) -> Array:
        W = solution(weak, strong, beta)
        return W / (1 - W)

    def with_factor(b: Array, kappa: Array) -> Array:
        log_r = np.arccosh(np.cosh(2 * b) + kappa * np.sinh(2 * b))
        return np.asarray(1 / (1 + np.exp(-log_r)))

    hints: dict[str, Callable[..., Array]] = {
        "the two numbers are exchanged: first that of the most negative mode.": (
            lambda *given: solution(*given)[::-1]
        ),
        "this is the ratio W/(1 - W), not the weight W.": ratio_of,
        "the factor of sinh 2b is the other eigenvalue over that of the mode.": (
            lambda w, s, b: with_factor(b * np.array([s, w]), np.array([s / w, w / s]))
        ),
        "this is 1 - W, the weight of the others together.": lambda *given: 1 - solution(*given),
        "cosh and sinh are of 2b, not of b.": (
            lambda w, s, b: with_factor(b * np.array([s, w]) / 2, np.array([w / s, s / w]))
        ),
        "the other eigenvalue is missing.": (
            lambda w, s, b: with_factor(b * np.array([s, w]), np.zeros(2))
        ),
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: between the two weights neither state is stable."
