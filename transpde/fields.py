"""Velocity fields: maps from points to velocities that can be added."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike

from transpde.checks import (
    Array,
    Unchanging,
    brief,
    finite_array,
    fitting_axes,
    frozen,
    points_of,
    same_size,
    square_matrix,
)

__all__ = [
    "AffineField",
    "CalledField",
    "Field",
    "Motion",
    "SumField",
    "VelocityField",
    "added",
    "by_case",
    "evaluated",
    "held",
    "in_floats",
    "in_range",
    "out_of_range",
    "quiet",
    "silent",
]

# A decorator: what underflows is zero to within rounding, whatever numpy is set to do about it.
quiet = np.errstate(under="ignore")
silent = np.errstate(all="ignore")  # what leaves the range is found at the end

F = TypeVar("F", bound=Callable[..., Any])


def out_of_range(
    what: str,
    why: str = ", by itself or because a score does",
    advice: str = "Use smaller tokens or parameters.",
) -> OverflowError:
    """Return the error of a velocity or a weight that no float holds."""
    return OverflowError(f"{what} leaves the range of floating point numbers{why}. {advice}")


def held(values: Any, what: str, *more: str) -> Any:
    """Return values that floats hold, or raise the error of `out_of_range`."""
    if not np.isfinite(values).all():
        raise out_of_range(what, *more)
    return values


def in_floats(function: F) -> F:
    """Make a function of finite numbers raise `OverflowError` where no float holds its result."""

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        with np.errstate(all="ignore"):
            found = function(*args, **kwargs)
        if not np.isfinite(found).all():
            raise OverflowError(
                f"{function.__name__}: no float holds the result, or a number on the way to it. "
                "Use smaller arguments."
            )
        return found

    return cast(F, checked)


def in_range(function: F) -> F:
    """Make a call of a field raise `OverflowError` where finite points have no finite velocity.

    What overflows on the way, to a velocity that a float holds, is no matter. The solver, which
    shortens its step after such a one, uses `values`.
    """

    @functools.wraps(function)
    def checked(self: Any, x: Any, positions: Any = None) -> Any:
        with np.errstate(all="ignore"):
            found = function(self, x, positions)
        if not np.isfinite(found).all() and np.isfinite(x).all() and self.known():
            raise out_of_range("field: a velocity at x")
        return found

    return cast(F, checked)


# Called with points, and with their positions too where tokens have positions.
VelocityField = Callable[..., Array]


class Field(Unchanging, ABC):
    """A velocity field that tells apart points from outside, which are checked, and its own."""

    @abstractmethod
    def __call__(self, x: Any, positions: Any = None) -> Array:
        """Return the velocities at `x`, of shape (..., n, d) or (d,), after a check of it."""

    @abstractmethod
    def values(self, x: Array, positions: Array | None = None) -> Array:
        """Return the velocities at points (..., n, d) that are known to be in order."""

    def known(self) -> bool:
        """Return whether no case of what makes the field is NaN, after its own end."""
        return True

    def __add__(self, other: Any) -> Field:
        """Add another field; leave other operands to themselves."""
        return SumField((self, other)) if isinstance(other, Field) else NotImplemented


def evaluated(field: VelocityField, x: Array, positions: Array | None) -> Array:
    """Return the velocities that any field gives to points in order, without a check of ours."""
    if isinstance(field, Field):
        return field.values(x, positions)
    return field(x) if positions is None else field(x, positions)


@dataclass(frozen=True, eq=False, repr=False)
class SumField(Field):
    """A sum of velocity fields."""

    parts: tuple[Field, ...]

    def __call__(self, x: Any, positions: Any = None) -> Array:
        """Return the sum of the velocities at `x`."""
        return functools.reduce(np.add, [part(x, positions) for part in self.parts])

    def values(self, x: Array, positions: Array | None = None) -> Array:
        """Return the sum of the velocities at points in order."""
        return functools.reduce(np.add, [part.values(x, positions) for part in self.parts])


@dataclass(frozen=True, eq=False, repr=False)
class CalledField(Field):
    """A field given as a function of points (..., n, d), whatever the positions."""

    function: Callable[[Array], Any]
    dimension: int

    def __call__(self, x: Any, positions: Any = None) -> Array:
        """Return the velocities at `x`, of shape (..., n, d) or (d,)."""
        x = points_of("x", x, "the field", self.dimension)
        return self.values(x[None, :])[0] if x.ndim == 1 else self.values(x)

    def values(self, x: Array, positions: Array | None = None) -> Array:
        """Return what the function gives, if it has the shape of the points."""
        found = np.asarray(self.function(x))
        if found.shape != x.shape:
            raise ValueError(
                "field: its values must have the shape of the points that it is given, "
                f"{x.shape}; got {found.shape}."
            )
        return found


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
    # Derivatives of both velocities in N directions (N, d), (N, d, r), (N, r) of mean, factor and
    # log scales, of shapes (..., N, d) and (..., N, d, r); None where they are not known.
    along: Callable[[Array, Array, Array], tuple[Array, Array]] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how pickle makes it again: the part that is left is a number then."""
        return _motion_again, (*self[:4], self.left())


def _motion_again(m: Array, X: Array, drift: Array, turn: Array, left: Any) -> Motion:
    return Motion(frozen(m), frozen(X), frozen(drift), frozen(turn), partial(_known, left))


def _known(value: Any) -> Any:
    return value


class AffineField(Field):
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

    motion: Motion | None

    def __init__(self, linear: ArrayLike, offset: ArrayLike | None = None) -> None:
        B = square_matrix("linear", linear)
        c = np.zeros(B.shape[-1]) if offset is None else finite_array("offset", offset, "... d")
        same_size("offset", c.shape[-1], "linear", B.shape[-1], "dimension")
        fitting_axes("offset", c.shape[:-1], "linear", B.shape[:-2])
        vars(self).update(_both=(B, frozen(c)), motion=None)

    @classmethod
    def trusted(cls, linear: Array, offset: Array, motion: Motion | None = None) -> AffineField:
        """Make a field from arrays that are already checked (inside a solver step)."""
        field = object.__new__(cls)
        vars(field).update(_both=(frozen(linear), frozen(offset)), motion=motion)
        return field

    @classmethod
    def when_asked(
        cls, make: Callable[[], tuple[Array, Array]], motion: Motion | None
    ) -> AffineField:
        """Make a field whose linear part and offset are computed when they are first needed.

        A Gaussian that follows its own field needs the motion alone.
        """
        field = object.__new__(cls)
        vars(field).update(_make=make, motion=motion)
        return field

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickle keeps: the linear part and the offset, and not how they are made."""
        return {"_both": self._both, "motion": self.motion}

    _make: Callable[[], tuple[Array, Array]]

    @cached_property
    def _both(self) -> tuple[Array, Array]:
        B, c = self._make()
        return frozen(B), frozen(c)

    @property
    def linear(self) -> Array:
        """The linear part B, shape (..., d, d)."""
        return self._both[0]

    @property
    def offset(self) -> Array:
        """The offset c, shape (..., d)."""
        return self._both[1]

    def __setattr__(self, name: str, value: Any) -> None:
        """Raise: a field does not change."""
        raise AttributeError(f"AffineField: cannot assign to {name!r}; make a new field.")

    def __repr__(self) -> str:
        """Return the kind and the shapes."""
        return brief(self, {"linear": self.linear, "offset": self.offset})

    def known(self) -> bool:
        """Return whether no case of what makes the field is NaN, after its own end."""
        return not (np.isnan(self.linear).any() or np.isnan(self.offset).any())

    def moves(self, mean: Array, factor: Array) -> tuple[Array, Array]:
        """Return the velocities Bm + c of a mean and BX of a factor."""
        known = self.motion
        if known is not None and known.mean is mean and known.factor is factor:
            return known.mean_velocity, known.factor_velocity
        return self.values(mean[..., None, :])[..., 0, :], self.linear @ factor

    def along(self) -> Callable[[Array, Array, Array], tuple[Array, Array]] | None:
        """Return the derivatives of `moves`, see `Motion`: of a field made by none its own."""
        if self.motion is not None:
            return self.motion.along
        B = self.linear if self.linear.ndim == 2 else self.linear[..., None, :, :]
        return lambda mean, factor, scales: ((B @ mean[..., None])[..., 0], B @ factor)

    @property
    def stack(self) -> tuple[int, ...]:
        """Leading axes of a stack of fields, () for one field."""
        return np.broadcast_shapes(self.linear.shape[:-2], self.offset.shape[:-1])

    @in_range
    def __call__(self, x: Any, positions: Any = None) -> Array:
        """Return the velocities at `x`, of shape (..., n, d) or (d,), whatever the positions."""
        x = points_of("x", x, "the field", self.linear.shape[-1])
        return self.values(x[None, :])[..., 0, :] if x.ndim == 1 else self.values(x)

    def values(self, x: Array, positions: Array | None = None) -> Array:
        """Return the velocities at points (..., n, d), whatever the positions."""
        return x @ self.linear.mT + self.offset[..., None, :]

    def __add__(self, other: Any) -> Any:
        """Add another field: the sum with an affine one is affine."""
        if not isinstance(other, AffineField):
            return super().__add__(other)
        if self.motion is None or other.motion is None:
            size = self.linear.shape[-1]
            same_size("other", other.linear.shape[-1], "the field", size, "dimension")
        known = self.motion or other.motion
        if known is None:
            return AffineField.trusted(self.linear + other.linear, self.offset + other.offset)
        moves = [field.moves(known.mean, known.factor) for field in (self, other)]
        drift, turn = (frozen(first + second) for first, second in zip(*moves, strict=True))
        left = [f.motion.left for f in (self, other) if f.motion is not None]
        motion = Motion(known.mean, known.factor, drift, turn, lambda: _largest(left))
        alongs = [field.along() for field in (self, other)]
        if None not in alongs:
            motion = motion._replace(along=lambda *by: added(*[one(*by) for one in alongs]))  # type: ignore[misc]
        return AffineField.when_asked(
            lambda: (self.linear + other.linear, self.offset + other.offset), motion
        )

    def select(self, stack: tuple[int, ...], index: Array) -> AffineField:
        """Return the fields of the chosen cases of a stack, counted along the flattened stack."""
        if self.linear.ndim == 2 and self.offset.ndim == 1:
            return self
        B, c = by_case(self.linear, 2, stack), by_case(self.offset, 1, stack)
        return AffineField.trusted(B[index], c[index])


def by_case(array: Array, own: int, stack: tuple[int, ...]) -> Array:
    """Return an array with the cases of a stack along one axis, before its `own` axes."""
    last = array.shape[array.ndim - own :]
    return np.broadcast_to(array, stack + last).reshape(-1, *last)


def added(first: tuple[Array, Array], second: tuple[Array, Array]) -> tuple[Array, Array]:
    """Return the sum of two pairs of velocities, of a mean and of a factor."""
    return first[0] + second[0], first[1] + second[1]


def _largest(parts: list[Callable[[], Any]]) -> Any:
    return functools.reduce(np.maximum, [part() for part in parts])
