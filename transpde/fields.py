"""Velocity fields: maps from points to velocities that can be added."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from transpde.checks import Array, finite_array, frozen, points_of, same_size

__all__ = ["AffineField", "Motion", "VelocityField"]

# Called with points, and with their positions too where tokens have positions.
VelocityField = Callable[..., Array]


class Motion(NamedTuple):
    """How a field moves the very Gaussian that made it, free of cancellation.

    The linear part of a field may be huge off the support of a thin Gaussian, where it hardly
    moves the Gaussian itself; the product of the two would be rounding errors.
    """

    mean: Array
    factor: Array
    mean_velocity: Array
    factor_velocity: Array
    left: Callable[[], Any] = lambda: 1.0  # the part of BX that is left after its terms cancel


@dataclass(frozen=True, eq=False)
class AffineField:
    r"""Affine velocity field $x \mapsto Bx + c$.

    Args:
        linear: B, shape (..., d, d); leading axes make a stack of fields.
        offset: c, shape (..., d); zero when left out.

    Raises:
        ValueError: entries that are not finite, shapes that do not match.

    Example:
        >>> import transpde as tp
        >>> field = tp.AffineField([[0.0, 1.0], [-1.0, 0.0]], [1.0, 0.0])
        >>> field([2.0, 3.0])
        array([ 4., -2.])
    """

    linear: Array
    offset: Array
    motion: Motion | None = None

    def __init__(self, linear: Any, offset: Any = None) -> None:
        B = finite_array("linear", linear, "... d d")
        same_size("linear", B.shape[-1], "its rows", B.shape[-2], "number of columns")
        c = np.zeros(B.shape[-1]) if offset is None else finite_array("offset", offset, "... d")
        same_size("offset", c.shape[-1], "linear", B.shape[-1], "dimension")
        try:
            np.broadcast_shapes(B.shape[:-2], c.shape[:-1])
        except ValueError as error:
            raise ValueError(
                "offset: its leading axes must match those of linear, "
                f"{B.shape[:-2]}; got {c.shape[:-1]}."
            ) from error
        object.__setattr__(self, "linear", B)
        object.__setattr__(self, "offset", frozen(c))
        object.__setattr__(self, "motion", None)

    @classmethod
    def trusted(cls, linear: Array, offset: Array, motion: Motion | None = None) -> AffineField:
        """Make a field from arrays that are already checked (inside a solver step)."""
        field = object.__new__(cls)
        object.__setattr__(field, "linear", linear)
        object.__setattr__(field, "offset", offset)
        object.__setattr__(field, "motion", motion)
        return field

    def moves(self, mean: Array, factor: Array) -> tuple[Array, Array]:
        """Return the velocities Bm + c of a mean and BX of a factor."""
        known = self.motion
        if known is not None and known.mean is mean and known.factor is factor:
            return known.mean_velocity, known.factor_velocity
        return self(mean[..., None, :])[..., 0, :], self.linear @ factor

    @property
    def stack(self) -> tuple[int, ...]:
        """Leading axes of a stack of fields, () for one field."""
        return np.broadcast_shapes(self.linear.shape[:-2], self.offset.shape[:-1])

    def __call__(self, x: Any, positions: Any = None) -> Array:
        """Return the velocities at `x`, of shape (..., n, d) or (d,), whatever the positions."""
        x = points_of("x", x, "the field", self.linear.shape[-1])
        points = x[None, :] if x.ndim == 1 else x
        velocity = points @ np.swapaxes(self.linear, -2, -1) + self.offset[..., None, :]
        return velocity[..., 0, :] if x.ndim == 1 else velocity

    def __add__(self, other: Any) -> Any:
        """Add another affine field (the sum is affine); leave other operands to themselves."""
        if not isinstance(other, AffineField):
            return NotImplemented
        same_size("other", other.linear.shape[-1], "the field", self.linear.shape[-1], "dimension")
        known = self.motion or other.motion
        motion = None
        if known is not None:
            moves = [field.moves(known.mean, known.factor) for field in (self, other)]
            drift, turn = (first + second for first, second in zip(*moves, strict=True))
            left = [f.motion.left for f in (self, other) if f.motion is not None]
            motion = Motion(known.mean, known.factor, drift, turn, lambda: _largest(left))
        linear, offset = self.linear + other.linear, self.offset + other.offset
        return AffineField.trusted(linear, offset, motion)

    def select(self, stack: tuple[int, ...], index: Array) -> AffineField:
        """Return the fields of the chosen cases of a stack, counted along the flattened stack."""
        d = self.linear.shape[-1]
        if self.linear.ndim == 2 and self.offset.ndim == 1:
            return self
        B = np.broadcast_to(self.linear, (*stack, d, d)).reshape(-1, d, d)
        c = np.broadcast_to(self.offset, (*stack, d)).reshape(-1, d)
        return AffineField.trusted(B[index], c[index])


def _largest(parts: list[Callable[[], Any]]) -> Any:
    return functools.reduce(np.maximum, [part() for part in parts])
