"""A measure along depth: what `flow` and `layers` return."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from transpde.checks import Array, Unchanging, case_axes, finite_array, frozen, number, same_size
from transpde.fields import quiet
from transpde.measures import Gaussian, Measure, Particles

__all__ = ["Law", "Trajectory"]

M = TypeVar("M", bound=Measure)

ROUNDING = 4  # units in the last place by which times that mean the same may differ

# What each kind of measure has along a flow, for the advice of an error.
HAS = {
    "Particles": "particles has `points`",
    "Gaussian": "Gaussians has `means` and `covariances`",
    "Grid": "a Grid has `densities`",
    "Circle": "a Circle has `densities`",
    "Axial": "an Axial has `angles` at each time",
}


def _article(measure: Any) -> str:
    kind = type(measure).__name__
    return f"{'an' if kind[0] in 'AEIOU' else 'a'} {kind}"


def _rounded_up(times: Any) -> Any:
    """Return the latest times that are these to within rounding."""
    times = np.asarray(times, dtype=float)
    return times + ROUNDING * np.spacing(times, where=np.isfinite(times), out=np.zeros_like(times))


class Law(Unchanging, ABC):
    """What moves the measure of a path, by which the path goes on from any of its measures."""

    @abstractmethod
    def advance(self, start: Any, since: float, until: float) -> Any:
        """Return the measure at the time `until` of one at the recorded time `since`."""

    @abstractmethod
    def carry(self, start: Any, tokens: Particles, times: Array) -> Array:
        """Return the coordinates (T, ..., m d) of test tokens at the recorded times."""

    @abstractmethod
    def select(self, stack: tuple[int, ...], index: Array) -> Law:
        """Return the law of the chosen cases of a stack, counted along the flattened stack."""


@dataclass(frozen=True, eq=False, repr=False)
class Trajectory(Unchanging, Generic[M]):
    """A measure along depth.

    Attributes:
        times: physical times (T,), shared by a stack.
        states: coordinates (T, ..., N) at these times; NaN after a case's own end.
        stop: why each case ended: "time", "stationary", "blow-up", "growth" (or decay, at a steady
            power or exponential rate) or "undecided" (the budget of steps was spent, or a number
            left the range of floats).
        end: the time each case reached; the blow-up time itself for "blow-up".
        blowup_time: the blow-up time, inf where none was reached.
        growth_power: p of a size that grows like t^p, for "growth"; NaN elsewhere.
        growth_rate: r of a size that grows like e^(r t), for "growth"; NaN elsewhere.
        final: the measure at the end; for a blow-up the last one computed before it.

    For a stack `stop`, `end`, `blowup_time` and the growths are arrays of its shape, else scalars.
    """

    times: Array
    states: Array
    stop: Any
    end: Any
    blowup_time: Any
    final: M
    _law: Law = field(repr=False)
    growth_power: Any = np.nan
    growth_rate: Any = np.nan

    @quiet
    def __call__(self, t: float) -> M:
        """Return the measure at time `t`, integrated from the last recorded time before it.

        Beyond the end a single case raises `ValueError`; the cases of a stack are NaN. A time
        within rounding of a recorded one, or of an end, is that one.
        """
        latest = np.inf if self.final.stack else self.end
        last = str(self.end).removesuffix(".0")
        wanted = "a number of at least 0"
        if not self.final.stack:
            wanted += f" and at most the end, {last}"
        t = number("t", t, wanted, lambda x: 0 <= x <= _rounded_up(latest) and x < np.inf)
        t = min(t, float(np.max(latest)))
        j = int(np.searchsorted(self.times, _rounded_up(t), side="right")) - 1
        start = self.final.unpack(self.states[j])
        if _rounded_up(self.times[j]) >= t:
            return start
        if not start.stack:
            return self._law.advance(start, float(self.times[j]), t)
        running = _rounded_up(self.end) >= t
        state = np.full(self.states.shape[1:], np.nan)
        if running.any():
            later = self._law.advance(start, float(self.times[j]), t)
            state[running] = later.pack()[running]
        return self.final.unpack(state)

    def __repr__(self) -> str:
        """Return what has flowed, how long, and why it ended."""
        times = f"{len(self.times)} times to {self.times[-1]:.4g}"
        why = f", stop {self.stop!r}" if isinstance(self.stop, str) else ""
        return f"Trajectory({times}{why}, final {self.final!r})"

    def __getitem__(self, i: Any) -> M:
        """Return the measure at the i-th recorded time; at several times, a stack of them.

        Raises:
            TypeError: several times of a grid, of which there are no stacks; no index.
            IndexError: a time that is not recorded.
            ValueError: no time at all.
        """
        try:
            states = self.states[np.arange(len(self.times))[i]]
        except (IndexError, TypeError) as error:
            kind = TypeError if isinstance(error, TypeError) else IndexError
            raise kind(
                f"path[i]: must be one or several of {len(self.times)} recorded times, from 0 to "
                f"{len(self.times) - 1}; got {i!r}."
            ) from error
        if states.ndim == self.states.ndim - 1:
            return self.final.unpack(states)
        if len(states) == 0:
            raise ValueError(f"path[i]: must choose at least one recorded time; got {i!r}.")
        if not self.final.stackable:
            raise TypeError(
                f"path[i]: several times of {_article(self.final)} are no measure; got {i!r}. "
                "Take them one by one, or their densities: path.densities[i]."
            )
        return self.final.unpack(states)

    def __len__(self) -> int:
        """Return the number of recorded times."""
        return len(self.times)

    def case(self, index: Any) -> Trajectory[M]:
        """Return the path of the chosen case, or cases, of a stack.

        The recorded times stay those of the stack.

        Args:
            index: an integer, a slice, a mask or whatever else chooses from an array of the shape
                of the stack.

        Raises:
            TypeError: a path of one measure.
            IndexError: an index that the stack does not have.
            ValueError: an index that chooses no case.

        Example:
            >>> import transpde as tp
            >>> stack = tp.Gaussian([0.0], factor=[[[1.0]], [[2.0]]])
            >>> path = tp.flow(stack, tp.Softmax([[1.0]], [[1.0]], [[1.0]]), time=1.0)
            >>> path.case(1).stop, round(path.case(1).blowup_time, 9)
            ('blow-up', 0.125)
        """
        stack = self.final.stack
        if not stack:
            raise TypeError("a path of a single measure has no cases to choose from.")
        count = int(np.prod(stack))
        chosen = np.asarray(np.arange(count).reshape(stack)[index])
        if chosen.size == 0:
            raise ValueError("index: must choose at least one case of the stack; got none.")

        def of(values: Any) -> Any:
            some = np.broadcast_to(values, stack).reshape(count)[chosen]
            return frozen(some) if chosen.ndim else some.item()

        states = self.states.reshape(len(self.times), count, -1)[:, chosen]
        return Trajectory(
            self.times, frozen(states), of(self.stop), of(self.end), of(self.blowup_time),
            self.final.select(chosen), self._law.select(stack, chosen),
            of(self.growth_power), of(self.growth_rate),
        )  # fmt: skip

    @quiet
    def carry(self, points: ArrayLike, positions: ArrayLike | None = None) -> Array:
        r"""Carry test tokens along: solve $\dot x = \Gamma_{\mu_t}(x)$ in the moving measure.

        Test tokens follow the field that the measure of the path creates and do not act on it.
        Of a path of residual layers they take the same layers, $x \mapsto x + h\,\Gamma_\mu(x)$.
        With the measure on a sphere they stay on it.

        Args:
            points: m test tokens at time 0, shape (m, d), or (..., m, d) with a set for each case
                of a stack.
            positions: for a masked attention their places in the sequence, shape (m,) or (..., m).

        Returns:
            Array (T, ..., m, d) at the times of the path; NaN after a case's end, or after a test
            token has left the range of numbers whose squares are numbers, 1e150.

        Raises:
            ValueError: points of another dimension or outside the space, leading axes that do not
                match, no positions behind a mask or such that see no token.

        Source: `castin2025unified`, where it is the characteristic flow.

        Example:
            >>> import numpy as np, transpde as tp
            >>> head = tp.Softmax([[0.0]], [[0.0]], [[1.0]])  # the field is the mean
            >>> path = tp.flow(tp.Gaussian([1.0], factor=[[1.0]]), head, [0.0, np.log(2)])
            >>> path.carry([[0.0], [5.0]])[-1].ravel().round(9)
            array([1., 6.])
        """
        start, stack = self[0], self.final.stack
        x = finite_array("points", points, "... m d")
        same_size("points", x.shape[-1], "the path", start.dimension, "dimension")
        x = case_axes("points", x, 2, "the path", stack)
        tokens = Particles(x, positions=positions, space=start.space)
        states = self._law.carry(start, tokens, self.times)
        ended = np.asarray(np.isnan(self.states).any(axis=-1))
        found = start.space.retract(states.reshape(len(self.times), *x.shape))
        return frozen(np.where(ended[..., None, None], np.nan, found))

    @property
    def points(self) -> Array:
        """Tokens (T, ..., n, d) of a flow of particles."""
        shape = self._of_final("points", "points").shape
        final: Any = self.final
        return frozen(final.space.retract(self.states.reshape(len(self.times), *shape)))

    @property
    def densities(self) -> Array:
        """Averages over cells (T, n1) or (T, n1, n2), or values (T, n) on the circle."""
        shape = self._of_final("densities", "density").shape
        return frozen(self.states.reshape(len(self.times), *shape))

    def _of_final(self, name: str, attribute: str) -> Any:
        """Return an attribute of the measures, or raise `AttributeError` with advice."""
        try:
            return getattr(self.final, attribute)
        except AttributeError:
            has = HAS.get(type(self.final).__name__, "other measures has other coordinates")
            raise AttributeError(f"{name}: a flow of {has}; see `path[i]`.") from None

    def _gaussians(self, name: str) -> Gaussian:
        self._of_final(name, "log_scales")
        gaussians: Any = self.final.unpack(self.states)
        return gaussians

    @property
    def means(self) -> Array:
        """Means (T, ..., d) of a flow of Gaussians."""
        return frozen(self._gaussians("means").mean)

    @property
    def covariances(self) -> Array:
        """Covariances (T, ..., d, d) of a flow of Gaussians; `OverflowError` if too large."""
        return frozen(self._gaussians("covariances").covariance)

    @property
    def directions(self) -> Array:
        """Covariances over their traces, (T, ..., d, d), for a flow of Gaussians."""
        return frozen(self._gaussians("directions").direction)

    @property
    def log_sizes(self) -> Array:
        """Logarithms of the traces of the covariances, (T, ...), for a flow of Gaussians."""
        return frozen(self._gaussians("log_sizes").log_size)
