r"""What every measure is: coordinates that a velocity field moves.

`pack` writes the coordinates in one vector, `unpack` reads them back, and `advect(field)` is their
time derivative when every point of the measure follows the field. `push(field, step)` applies one
residual layer $x \mapsto x + h\,\Gamma(x)$ exactly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from transpde.checks import Array, Unchanging, finite_array, same_size
from transpde.checks import function as a_function
from transpde.fields import VelocityField
from transpde.spaces import EUCLIDEAN, Space, Sphere

__all__ = ["Measure", "SphereLaw", "density_values", "in_open_space", "unit_mass"]

MASS_TOLERANCE = 1e-9  # of the total mass, as for the weights of particles
CUT_OFF = 1e-6  # the most by which the mass of a function may differ from one


class Measure(Unchanging, ABC):
    """A probability measure with coordinates that a velocity field can move."""

    scheme: str = "coordinates"  # how `flow` steps it
    stack: tuple[int, ...] = ()  # leading axes of a stack of measures
    in_axes: bool = False  # its coordinates are known to come from `principal`
    space: Space = EUCLIDEAN
    stackable: bool = True  # whether several of its kind make one measure
    can_be_thin: bool = False  # so that rounding hides how it moves

    @property
    @abstractmethod
    def dimension(self) -> int:
        """The dimension d of the space."""

    @abstractmethod
    def field_of(self, head: Any, how: Any) -> VelocityField:
        """Return the field that a head makes of a measure of this kind, without a check."""

    @abstractmethod
    def check_for(self, head: Any) -> None:
        """Raise unless a head has a field for this measure, of this kind and stack."""

    @abstractmethod
    def pack(self) -> Array:
        """Return the coordinates as an array (..., N), leading axes those of the stack."""

    @abstractmethod
    def unpack(self, state: Array) -> Self:
        """Return the measure of the same kind with coordinates `state`."""

    def arranged(self, states: Array) -> Array:
        """Return states (b, ...) in the order in memory in which they are stepped fastest."""
        return states

    def select(self, index: Array) -> Self:
        """Return the chosen cases of a stack, counted along the flattened stack."""
        return self

    @abstractmethod
    def advect(self, field: VelocityField) -> Array:
        """Return the time derivative of the coordinates under a velocity field."""

    def mover(self, attention: Any, how: Any) -> Callable[[Array], Array] | None:
        """Return the map from coordinates to their time derivatives under an attention.

        None where `advect` of each measure's own field is as quick.
        """
        return None

    def derivatives(
        self, field: VelocityField, velocity: Array
    ) -> tuple[Array, Array, Array] | None:
        """Return the derivatives of `advect`, `growth` and `turning` by coordinates, or None."""
        return None

    @abstractmethod
    def push(self, field: VelocityField, step: float) -> Self:
        """Return the push-forward by x -> x + step * field(x)."""

    def verify(self, times: Array, states: Array) -> None:
        """Raise `RuntimeError` where coordinates (T, ..., N) that a flow gave are no such measure.

        Most measures are what their coordinates say.
        """

    def prepared(self) -> Self:
        """Return the same measure with the coordinates that a flow begins with."""
        return self

    def tolerance_scale(self, most: float) -> Array | float:
        """Return by what the tolerance of each coordinate may exceed that of the largest."""
        return 1.0

    def needs_principal_axes(self) -> Array:
        """Return which cases of a stack are better continued from `principal`, shape (...)."""
        return np.zeros(self.stack, dtype=bool)

    def principal(self) -> Self:
        """Return the same measure with coordinates that stand apart."""
        return self

    def marked(self, in_axes: bool) -> Self:
        """Return the same measure, known to come from `principal` or not."""
        return self

    # What `flow` needs of measures that move with their coordinates, given the velocity of these.
    # A Grid does not.

    def rate(self, velocity: Array) -> Array:
        """Return the relative speed, shape (...), which sets the first time scale of `flow`."""
        raise NotImplementedError

    @property
    def log_size(self) -> Array:
        """The logarithm of the size that `growth` is of, shape (...)."""
        raise NotImplementedError

    def growth(self, velocity: Array) -> Array:
        """Return the growth d log(size) / dt that is infinite at a blow-up, shape (...)."""
        raise NotImplementedError

    def turning(self, velocity: Array) -> Array:
        """Return about how fast the shape changes, which steadies the clock of `flow`."""
        return self.rate(velocity)

    def relative_speed(self, velocity: Array) -> Array:
        """Return the speed relative to the size, for the test of a stationary state."""
        return self.rate(velocity)


class SphereLaw(Measure):
    """A law on the unit sphere with coordinates of its own: one case, and of one size."""

    scheme = "densities"
    space = Sphere()
    stackable = False

    @property
    def log_size(self) -> Array:
        """The logarithm of the mean of |x|^2, which is zero."""
        return np.zeros(())

    def growth(self, velocity: Array) -> Array:
        """Return the growth of that size, which is zero."""
        return np.zeros(())


def in_open_space(name: str, measure: Any, why: str = "") -> None:
    """Raise `ValueError` for tokens of a sphere, and say why where more is said."""
    if measure.space != EUCLIDEAN:
        raise ValueError(f"{name}: must be tokens in Euclidean space{why}; got {measure.space!r}.")


def density_values(function: Any, places: Array, what: str) -> Array:
    """Return the values of a density at its points or angles, one number each."""
    values = finite_array("function", a_function("function", function)(places.copy()), "n")
    same_size("function", len(values), what, len(places), "number of values")
    return values


def unit_mass(name: str, what: str, mass: float, within: float, advice: str) -> None:
    """Raise `ValueError` unless a mass is one to within a tolerance."""
    if not abs(mass - 1) <= within:
        raise ValueError(
            f"{name}: {what} must be one to within {within:.0e}; got {mass:.12g}. {advice}"
        )
