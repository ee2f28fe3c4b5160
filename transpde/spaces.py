r"""The spaces in which tokens move: what is tangent to them, and the way back to them.

A velocity field of $\mathbb{R}^d$ moves tokens of a space by its tangential part.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from transpde.checks import Array, Unchanging, finite_array, frozen, positive_number, same_size

__all__ = ["EUCLIDEAN", "Euclidean", "Space", "Sphere"]

ON_SPACE = 1e-8  # how far tokens may be off, in units of the radius


class Space(Unchanging, ABC):
    """A subset of R^d in which tokens stay."""

    @abstractmethod
    def tangent(self, x: Array, v: Array) -> Array:
        """Return the parts of velocities (..., n, d) tangent to the space at points of it."""

    @abstractmethod
    def retract(self, x: Array) -> Array:
        """Return the points of the space nearest to points (..., n, d)."""

    @abstractmethod
    def check(self, name: str, points: Array) -> None:
        """Raise `ValueError` unless points (..., n, d) lie in the space."""


@dataclass(frozen=True, repr=False)
class Euclidean(Space):
    """All of R^d.

    Example:
        >>> import transpde as tp
        >>> tp.Particles([[1.0, 2.0]]).space
        Euclidean()
    """

    def tangent(self, x: Array, v: Array) -> Array:
        """Return the velocities as they are."""
        return v

    def retract(self, x: Array) -> Array:
        """Return the points as they are."""
        return x

    def check(self, name: str, points: Array) -> None:
        """Accept any points."""


EUCLIDEAN = Euclidean()


def _inner(x: Array, y: Array) -> Array:
    """Return the inner products (..., n) of vectors (..., n, d), quickly if an axis is a row."""
    return np.vecdot(x, y) if x.ndim < 3 else np.asarray(np.einsum("...d,...d->...", x, y))


@dataclass(frozen=True, repr=False)
class Sphere(Space):
    r"""The sphere $\{|x| = r\}$, or with a normal a, $\{|x| = r,\ \langle a, x\rangle = 0\}$.

    The tangential part of a velocity is $v - \langle v, x\rangle x/r^2$, without what it has along
    a. Layer normalisation maps to the sphere of radius $\sqrt d$ with normal $(1, \dots, 1)$.

    Args:
        radius: r > 0, in the units of the tokens.
        normal: a, shape (d,), of any length but zero; None for the whole sphere.

    Raises:
        ValueError: a radius that is not positive, a normal that is zero or not finite.

    Source: `geshkovski2025mathematical`.

    Example:
        >>> import transpde as tp
        >>> tokens = tp.Particles([[0.6, 0.8], [1.0, 0.0]], space=tp.Sphere())
        >>> tokens.push(tp.AffineField([[0.0, 0.0], [0.0, 1.0]]), 1e9).points.round(6)
        array([[-0.8,  0.6],
               [ 1. ,  0. ]])
    """

    radius: float = 1.0
    normal: Any = None

    def __repr__(self) -> str:
        """Return the radius, and whether there is a normal."""
        rest = "" if self.normal is None else f", normal of dimension {len(self.normal)}"
        return f"Sphere(radius={self.radius:g}{rest})"

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", positive_number("radius", self.radius))
        if self.normal is None:
            return
        a = finite_array("normal", self.normal, "d")
        size = np.abs(a).max()
        if size == 0:
            raise ValueError("normal: must not be zero; give none for the whole sphere.")
        object.__setattr__(self, "normal", tuple((a / size).tolist()))

    def tangent(self, x: Array, v: Array) -> Array:
        """Return v without its parts along x and along the normal."""
        v = self._in_hyperplane(v)
        along = _inner(v, x)
        if self.radius != 1:
            along /= self.radius**2
        part = along[..., None] * x
        return np.subtract(v, part, out=part)

    def retract(self, x: Array) -> Array:
        """Return the points divided by their norms, times the radius, inside the hyperplane."""
        x = self._in_hyperplane(x)
        x = x / np.sqrt(_inner(x, x))[..., None]
        return x if self.radius == 1 else self.radius * x

    def _in_hyperplane(self, x: Array) -> Array:
        if self.normal is None:
            return x
        a = self._unit_normal
        return x - (x @ a)[..., None] * a

    @cached_property
    def _unit_normal(self) -> Array:
        a = np.array(self.normal)
        return frozen(a / np.linalg.norm(a))

    def check(self, name: str, points: Array) -> None:
        """Raise `ValueError` unless points (..., n, d) lie on the sphere to within 1e-8 radii."""
        if self.normal is not None:
            same_size("normal", len(self.normal), name, points.shape[-1], "dimension")
            off = np.abs(points @ self._unit_normal).max() / self.radius
            if off > ON_SPACE:
                raise ValueError(
                    f"{name}: tokens of this sphere must be orthogonal to its normal; got one "
                    f"that is off by {off:.3g} radii. Subtract its part along the normal first."
                )
        with np.errstate(over="ignore"):
            off = np.abs(np.linalg.norm(points, axis=-1) / self.radius - 1).max()
        if off > ON_SPACE:
            raise ValueError(
                f"{name}: tokens on the sphere must have norm {self.radius:g}; got one that is "
                f"off by {off:.3g} radii. Divide each by its norm first."
            )
