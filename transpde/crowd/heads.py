r"""A crowd: finitely many heads $u_i = (A_i, V_i)$ with masses $w_i$, a discrete law of heads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from transpde.checks import (
    Array,
    Unchanging,
    finite_array,
    frozen,
    generator,
    positive_array,
    positive_integer,
    positive_number,
    same_size,
    square_matrix,
)

__all__ = ["Crowd", "random_crowd"]


@dataclass(frozen=True, repr=False, eq=False)
class Crowd(Unchanging):
    r"""The measure $\nu = \sum_i w_i\delta_{(A_i, V_i)}$ on softmax heads.

    Args:
        scores: $A_i = K_i^\top Q_i$, shape (m, d, d): query x gives key y the score $y^\top A_ix$.
        values: $V_i$, shape (m, d, d).
        masses: $w_i$, shape (m,), positive; all 1 / m when left out. They need not sum to one.

    Raises:
        ValueError: entries that are not finite, shapes that do not match, a mass that is not
            positive.

    Source: `petit2026global` for heads as particles.

    Example:
        >>> import numpy as np
        >>> from transpde.crowd import Crowd
        >>> Crowd(np.zeros((2, 3, 3)), np.ones((2, 3, 3)))
        Crowd(scores (2, 3, 3), values (2, 3, 3), masses (2,))
    """

    scores: Any
    values: Any
    masses: Any = None

    def __post_init__(self) -> None:
        A = square_matrix("scores", self.scores, "m d d")
        V = square_matrix("values", self.values, "m d d")
        same_size("values", V.shape[-1], "scores", A.shape[-1], "dimension")
        same_size("values", len(V), "scores", len(A), "number of heads")
        given = np.full(len(A), 1 / len(A)) if self.masses is None else self.masses
        w = positive_array("masses", given, "m")
        same_size("masses", len(w), "scores", len(A), "number of heads")
        vars(self).update(scores=A, values=V, masses=frozen(w))

    def __len__(self) -> int:
        """Return m, the number of heads."""
        return len(self.masses)

    @property
    def dimension(self) -> int:
        """d, the dimension of the tokens."""
        return int(self.scores.shape[-1])

    @property
    def size(self) -> float:
        """The largest modulus of an entry of a score or a value matrix."""
        return float(max(np.abs(self.scores).max(), np.abs(self.values).max()))

    def parameters(self) -> Array:
        """Return the heads as vectors, shape (m, 2 d^2): the entries of A, then those of V."""
        m = len(self)
        return np.concatenate([self.scores.reshape(m, -1), self.values.reshape(m, -1)], axis=1)

    def moved(self, parameters: Any) -> Crowd:
        """Return a crowd of the same masses at other heads.

        Args:
            parameters: vectors as `parameters` gives them, shape (m, 2 d^2).

        Raises:
            ValueError: another shape, entries that are not finite.
        """
        u, d = finite_array("parameters", parameters, "m p"), self.dimension
        same_size("parameters", len(u), "the crowd", len(self), "number of heads")
        same_size("parameters", u.shape[1], "the crowd", 2 * d * d, "number of columns")
        return Crowd(*matrices(u, d), self.masses)


def matrices(parameters: Array, dimension: int) -> tuple[Array, Array]:
    """Return the score and value matrices (..., d, d) of heads as vectors (..., 2 d^2)."""
    found = parameters.reshape(*parameters.shape[:-1], 2, dimension, dimension)
    return found[..., 0, :, :], found[..., 1, :, :]


def random_crowd(
    count: int, dimension: int, seed: int | np.random.Generator, scale: float = 1.0
) -> Crowd:
    """Return heads of equal masses with normal entries, all score matrices drawn first.

    Args:
        count: m, the number of heads.
        dimension: d.
        seed: an integer of at least 0, several, or a generator.
        scale: the deviation of an entry.

    Raises:
        ValueError: a number out of range, a bad seed.

    Source: ours.

    Example:
        >>> from transpde.crowd import random_crowd
        >>> len(random_crowd(3, 2, seed=0))
        3
    """
    m, d = positive_integer("count", count), positive_integer("dimension", dimension)
    deviation = positive_number("scale", scale)  # before the generator moves on
    drawn = generator("seed", seed).normal(size=(2, m, d, d))
    with np.errstate(over="ignore"):  # heads that are not finite are an error of theirs
        return Crowd(*(deviation * drawn))
