"""Checkers for the chapter on one number in 384."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transpde.checks import Array
from transpde.exercises.judge import Answer, judged
from transpde.theory.real import consensus_jacobian, gain_axis

__all__ = ["pole", "radius"]


def _turned(x: Array) -> Array:
    """Return the vector with the sign that makes its largest entry positive."""
    return np.asarray(x * np.sign(x[np.abs(x).argmax()]))


def _leading(M: Array) -> Array:
    return np.asarray(np.linalg.eigh(M)[1][:, -1])


def _one_sided(g: Array) -> Array:
    """Return the pole that the projector on one side alone of the gains would give."""
    M = np.diag(g) @ (np.eye(len(g)) - 1 / len(g))
    return _turned(np.sqrt(len(g)) * g * _leading(M + M.T))


def pole(answer: Answer) -> str:
    """Check `answer(g)`: where layer norm without bias leads when it is repeated."""
    rng = np.random.default_rng(0)
    problems = [(np.array([3.0, 1.0, 1.0]),), (np.array([1.0, 2.5, 0.5, 1.5]),)]
    problems += [(rng.uniform(0.5, 2.0, size=d),) for d in (4, 6)]

    def solution(g: Array) -> Array:
        return _turned(gain_axis(g).pole)

    def projected(g: Array) -> Array:
        P = np.eye(len(g)) - 1 / len(g)
        return np.asarray(P @ np.diag(g) @ P)

    hints: dict[str, Callable[..., Array]] = {
        "layer norm subtracts the mean first, so its pole is no multiple of a unit vector.": (
            lambda g: np.sqrt(len(g)) * g.max() * np.eye(len(g))[g.argmax()]
        ),
        "this is the eigenvector: one more pass multiplies it by the gains and a length.": (
            lambda g: _turned(gain_axis(g).axis)
        ),
        "the gains are missing: the last step of layer norm multiplies by them.": (
            lambda g: _turned(np.sqrt(len(g)) * gain_axis(g).axis)
        ),
        "the length is missing: before the gains a token has length root d.": (
            lambda g: _turned(g * gain_axis(g).axis)
        ),
        "this has length root d after the gains; it has before them.": (
            lambda g: _turned(np.sqrt(len(g)) * (v := g * gain_axis(g).axis) / np.linalg.norm(v))
        ),
        "take the eigenvector of the largest eigenvalue, not of the smallest but zero.": (
            lambda g: _turned(np.sqrt(len(g)) * g * np.linalg.eigh(projected(g))[1][:, 1])
        ),
        "this is the opposite pole: the largest entry in absolute value is to be positive.": (
            lambda g: -solution(g)
        ),
        "the projector stands on both sides of the gains.": _one_sided,
    }
    wrong = judged(answer, problems, solution, hints)
    return wrong or "Right: root d times the gains times the axis; for (3, 1, 1) not on e1."


def _gains_and_sums() -> list[tuple[Array, Array]]:
    """Return gains g, and vectors z of mean zero that all tokens share."""
    rng = np.random.default_rng(1)
    problems = []
    for d in (4, 5, 8):
        g, z = rng.uniform(0.5, 2.0, size=d), rng.normal(size=d)
        problems.append((g, z - z.mean()))
    z = np.array([9.0, -3.0, -3.0, -3.0])
    return [*problems, (np.array([3.0, 1.0, 1.5, 1.0]), z)]


def radius(answer: Answer) -> str:
    """Check `answer(g, z)`: the spectral radius of the map of differences near consensus."""

    def solution(g: Array, z: Array) -> Array:
        J = consensus_jacobian(g, np.zeros((len(g), len(g))), z)
        return np.asarray(np.abs(np.linalg.eigvals(J)).max())

    def norm(g: Array, z: Array) -> Array:
        J = consensus_jacobian(g, np.zeros((len(g), len(g))), z)
        return np.asarray(np.linalg.norm(J, 2))

    def top(g: Array, P: Array) -> float:
        return float(np.linalg.eigvalsh(P @ np.diag(g) @ P)[-1])

    def removed(z: Array) -> Array:
        return np.outer(z, z) / (z @ z)

    def factor(g: Array, z: Array) -> float:
        return float(np.sqrt(len(g)) / np.linalg.norm(z))

    hints: dict[str, Callable[..., Array]] = {
        "the largest gain is an upper bound: a part of its axis has no differences.": (
            lambda g, z: np.asarray(factor(g, z) * g.max())
        ),
        "layer norm also removes the direction of z.": (
            lambda g, z: np.asarray(factor(g, z) * top(g, np.eye(len(g)) - 1 / len(g)))
        ),
        "layer norm also removes the mean of the coordinates.": (
            lambda g, z: np.asarray(factor(g, z) * top(g, np.eye(len(g)) - removed(z)))
        ),
        "the length is missing: divide by that of z and multiply by root d.": (
            lambda g, z: solution(g, z) / factor(g, z)
        ),
        "root d is missing: layer norm makes tokens of length root d before the gains.": (
            lambda g, z: solution(g, z) / np.sqrt(len(g))
        ),
        "the longer z is, the shorter differences become: divide by its length.": (
            lambda g, z: solution(g, z) * np.linalg.norm(z)
        ),
        "this is a norm of J, not its spectral radius: J is not symmetric.": norm,
    }
    wrong = judged(answer, _gains_and_sums(), solution, hints)
    return wrong or "Right: root d / |z| times the leading eigenvalue of PDP."
