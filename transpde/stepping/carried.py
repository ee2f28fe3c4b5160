"""Test tokens carried by the flow that a measure creates, of which they are no part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from transpde.checks import Array
from transpde.fields import VelocityField
from transpde.measures import Measure, Particles

__all__ = ["Carried"]


@dataclass(frozen=True, eq=False, repr=False)
class Carried(Measure):
    """A measure with test tokens: both move by the field of the measure alone.

    Whatever steers the steps, sizes and speeds and growths, is read from the measure.

    Args:
        measure: what creates the field.
        tokens: the test tokens, of the same stack and space; their weights have no part.
    """

    measure: Any
    tokens: Particles

    def _with(self, measure: Any) -> Carried:
        return self if measure is self.measure else Carried(measure, self.tokens)

    @property
    def scheme(self) -> str:  # type: ignore[override]
        """How `flow` steps the measure."""
        return str(self.measure.scheme)

    @property
    def stack(self) -> tuple[int, ...]:  # type: ignore[override]
        """Leading axes of the stack."""
        stack: tuple[int, ...] = self.measure.stack
        return stack

    @property
    def in_axes(self) -> bool:  # type: ignore[override]
        """Whether the coordinates of the measure are known to come from `principal`."""
        return bool(self.measure.in_axes)

    @property
    def can_be_thin(self) -> bool:  # type: ignore[override]
        """Whether rounding may hide how the measure moves."""
        return bool(self.measure.can_be_thin)

    @property
    def dimension(self) -> int:
        """The dimension d of the space."""
        return self.tokens.dimension

    def field_of(self, head: Any, how: Any) -> VelocityField:
        """Return the field that a head makes of the measure."""
        field: VelocityField = self.measure.field_of(head, how)
        return field

    def check_for(self, head: Any) -> None:
        """Raise unless a head has a field for the measure."""
        self.measure.check_for(head)

    # --- coordinates: those of the measure, then the tokens -------------------------------------

    def pack(self) -> Array:
        """Return both in one vector a case, shape (..., N + m d)."""
        return np.concatenate([self.measure.pack(), self.tokens.pack()], axis=-1)

    def unpack(self, state: Array) -> Carried:
        """Return the measure and the tokens with coordinates `state`."""
        own = state.shape[-1] - self._tokens_width
        return Carried(self.measure.unpack(state[..., :own]), self.tokens.unpack(state[..., own:]))

    @property
    def _tokens_width(self) -> int:
        m, d = self.tokens.points.shape[-2:]
        return int(m * d)

    def __getitem__(self, case: Any) -> Carried:
        """Return the chosen case, or cases, of a stack."""
        return Carried(self.measure[case], self.tokens[case])

    def select(self, index: Array) -> Carried:
        """Return the chosen cases of a stack, counted along the flattened stack."""
        return Carried(self.measure.select(index), self.tokens.select(index))

    def advect(self, field: VelocityField) -> Array:
        """Return the time derivatives of both."""
        return np.concatenate([self.measure.advect(field), self.tokens.advect(field)], axis=-1)

    def push(self, field: VelocityField, step: float) -> Carried:
        """Return the push-forward of both by x -> x + step * field(x)."""
        return Carried(self.measure.push(field, step), self.tokens.push(field, step))

    # --- the measure's part in stepping ---------------------------------------------------------

    def prepared(self) -> Carried:
        """Return the same with the coordinates that a flow of the measure begins with."""
        return self._with(self.measure.prepared())

    def principal(self) -> Carried:
        """Return the same with coordinates of the measure that stand apart."""
        return self._with(self.measure.principal())

    def marked(self, in_axes: bool) -> Carried:
        """Return the same, the measure known to come from `principal` or not."""
        return self._with(self.measure.marked(in_axes))

    def needs_principal_axes(self) -> Array:
        """Return which cases are better continued from `principal`, shape (...)."""
        needed: Array = self.measure.needs_principal_axes()
        return needed

    def tolerance_scale(self, most: float) -> Array | float:
        """Return the scale of the measure, and 1 for the tokens."""
        scale = self.measure.tolerance_scale(most)
        if np.ndim(scale) == 0:
            return float(scale)
        return np.concatenate([scale, np.ones(self.tokens.pack().shape)], axis=-1)

    def _own(self, velocity: Array) -> Array:
        return velocity[..., : -self._tokens_width]

    @property
    def log_size(self) -> Array:
        """The logarithm of the size of the measure, shape (...)."""
        size: Array = self.measure.log_size
        return size

    def rate(self, velocity: Array) -> Array:
        """Return the relative speed of the measure, shape (...)."""
        return np.asarray(self.measure.rate(self._own(velocity)))

    def growth(self, velocity: Array) -> Array:
        """Return the growth of the measure, shape (...)."""
        return np.asarray(self.measure.growth(self._own(velocity)))

    def turning(self, velocity: Array) -> Array:
        """Return about how fast the shape of the measure changes, shape (...)."""
        return np.asarray(self.measure.turning(self._own(velocity)))

    def relative_speed(self, velocity: Array) -> Array:
        """Return the speed of the measure relative to its size, shape (...)."""
        return np.asarray(self.measure.relative_speed(self._own(velocity)))
