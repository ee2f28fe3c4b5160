r"""The flow $\partial_t \mu + \nabla\cdot(\mu\,\Gamma_\mu) = 0$, and residual layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from transpde.attention import Attention, Linear
from transpde.checks import (
    LEAST,
    Array,
    choice,
    flag,
    frozen,
    generator,
    increasing_times,
    of_kind,
    positive_integer,
    positive_number,
    real_array,
)
from transpde.fields import quiet
from transpde.kernels import Evaluation, evaluation
from transpde.measures import Measure, Particles
from transpde.noise import CommonNoise
from transpde.progress import bar
from transpde.schedules import Schedule, checked_attention
from transpde.stepping import SCHEMES, Carried, Options
from transpde.trajectories import Law, Trajectory

__all__ = ["flow", "layers"]

M = TypeVar("M", bound=Measure)

RECORDS = 129  # recorded times when only an end is given
BUDGET, BUDGET_TO_INFINITY = 20_000, 1_000  # steps
AT_REST = 1e-8  # the tolerance of a stationary state where no last time is given


@quiet
def flow(
    measure: M,
    attention: Attention | Schedule | Callable[[float], Attention],
    time: Any,
    *,
    method: str | None = None,
    rtol: float = 1e-10,
    atol: float = 1e-12,
    stationary: float | None = None,
    budget: int | None = None,
    kernel: str = "auto",
    progress: bool = False,
) -> Trajectory[M]:
    r"""Integrate the Transformer PDE from `measure` over depth `time`.

    Args:
        measure: `Particles`, a `Gaussian`, a stack of either, a `Grid`, a `Circle` or an `Axial`.
            It stays in its space.
        attention: an attention, a callable t -> attention, or a `Schedule`, which declares where
            its parameters jump. Parameters with leading axes give each case of a stack its own. A
            change of a callable that is shorter than an adaptive step can be missed.
        time: a positive depth, recorded at 129 equal times, or increasing times from 0. `inf` runs
            each case to an end or to the budget: a single case is then recorded at the solver's
            own steps, a stack at time 0 alone; a grid needs an end.
        method: "auto" (default) steps by DOP853, and goes over to Radau IIA of order 13, or to
            Rodas5P if parameters depend on time, where a case turns out to be stiff; "DOP853" or
            "Rodas5P" for one of them alone; each case of a stack has steps of its own. A solver
            of `scipy.integrate`, "RK45", "RK23", "Radau", "BDF" or "LSODA", is a route of its own,
            one case after another. A grid has one method, "SSPRK2": finite volumes of second order
            with steps, set by the velocities and the cells, that keep the density non-negative.
            Its error is that of the grid; refine the cells to see it. A `Circle` and an `Axial`,
            which are not stiff, step by "DOP853" or by a solver of scipy.
        rtol: relative tolerance, held by each coordinate of each case; with `time=inf`, which
            wants no times in between, by what is known of the order of a stiff method, not by its
            estimate, which is far larger. No part in the flow of a grid.
        atol: absolute tolerance, in the units of the tokens. No part in the flow of a grid.
        stationary: if given, a case also ends when the norm of the covariance's derivative (the
            tokens' velocity) is at most this number times its size over 1 + t. With `time=inf` it
            is 1e-8 when left out. Directions that are small beside the largest, and the mean of a
            Gaussian, have no part in it. No state is stationary before a declared jump.
        budget: the steps of each case, 20,000 when left out, 1,000 with `time=inf`. A case that
            has spent it ends as "undecided", with all that it has reached. No part in the flow of
            a grid.
        kernel: how sums over many tokens are evaluated, "auto", "exact" or "interpolated" (see
            `Attention`), ten times as accurate as `rtol`.
        progress: show a progress bar (needs tqdm).

    Returns:
        A trajectory. Its `stop` says why each case ended: at the last "time"; "stationary"; at a
        "blow-up"; with `time=inf` in "growth", or decay, at a power that is the same to 2e-3 over
        two decades of time, or at a rate that is the same to a hundredth over 48 e-folds of the
        size, or, where rounding will soon hide it, to a thousandth over 16; "stationary", too,
        where a limit is approached so slowly, at a power of time, that rounding would hide it
        first: from window to window, four in which time grows fourfold, the way falls by shares
        that are alike, at most 4/5 of the one before, and what is so left of it is at most 3e-4 of
        the size (verdicts on what was seen: what is still small then may show later); or
        "undecided", where the budget is spent, a number leaves the range of floats, or a
        covariance grows so large and thin that rounding hides how it goes on.

    Raises:
        TypeError: a measure for which the attention has no field.
        ValueError: bad times, tolerances, method, budget or kernel; a first velocity that is not
            finite.
        RuntimeError: the edges of a grid hold back a mass of more than 1e-6; a density has become
            too steep for the angles of a circle.

    Source: `castin2025unified`; the change of time is ours (chapter on Gaussian preservation).

    Example:
        >>> import transpde as tp
        >>> gaussian = tp.Gaussian(mean=[0.0], factor=[[1.0]])
        >>> path = tp.flow(gaussian, tp.Softmax([[1.0]], [[1.0]], [[1.0]]), time=1.0)
        >>> path.stop, round(path.blowup_time, 9)
        ('blow-up', 0.5)
    """
    times, horizon = _requested_times(time)
    if stationary is not None:
        stationary = positive_number("stationary", stationary, advice=_AT_REST_ADVICE)
    elif np.isinf(horizon):
        stationary = AT_REST
    rtol, atol = positive_number("rtol", rtol), positive_number("atol", atol)
    of_kind("measure", measure, Measure, "a measure")
    schedule = Schedule.of(attention)
    with np.errstate(all="ignore"):
        schedule.check(measure, horizon)
    options = Options(
        _method_for(measure, method),
        rtol,
        atol,
        stationary,
        _budget(budget, horizon),
        # Sums over tokens are ten times as accurate as the steps.
        evaluation(kernel, max(rtol / 10, LEAST), "kernel").remembering(),
    )
    law = Flowing(schedule, options)
    with bar(flag("progress", progress), "flow") as show:
        return _integrated(measure, law, times, horizon, show if progress else None)


def _budget(budget: int | None, horizon: float) -> int:
    if budget is not None:
        return positive_integer("budget", budget)
    return BUDGET_TO_INFINITY if np.isinf(horizon) else BUDGET


def _method_for(measure: Measure, method: str | None) -> str:
    """Return the method to step a measure with, the default one for None."""
    methods = list(SCHEMES[measure.scheme])
    if method is None:
        return methods[0]
    return choice("method", method, methods, f" for {type(measure).__name__}")


@dataclass(frozen=True)
class Flowing(Law):
    """The law of a flow: its parameters, and how it is stepped."""

    schedule: Schedule
    options: Options

    def integrated(self, start: Any, times: Array | None, end: float, show: Any = None) -> Any:
        """Return the integration of all cases of a measure together."""
        scheme = SCHEMES[start.scheme][self.options.method]
        # A number out of range is found where it arises and reported as an end, not as a warning.
        with np.errstate(all="ignore"):
            return scheme(start, self.schedule, times, end, self.options, show).to_the_end()

    def advance(self, start: Any, since: float, until: float) -> Any:
        """Return the measure at the time `until` of one at the time `since`."""
        times = np.array([0.0, until - since])
        run = Flowing(self.schedule.shifted(since), self.options).integrated(
            start, times, times[1]
        )
        return run.measure.unpack(run.ends.final.reshape(*start.stack, -1))

    def carry(self, start: Any, tokens: Particles, times: Array) -> Array:
        """Return the coordinates (T, ..., m d) of test tokens at the recorded times."""
        self.schedule(0.0)(start)(tokens.points, tokens.positions)  # which checks the positions
        both, width = Carried(start, tokens), tokens.pack().shape[-1]
        if len(times) == 1:
            return tokens.pack()[None]
        # The path knows its ends.
        law = Flowing(self.schedule, self.options._replace(stationary=None))
        records = law.integrated(both, times, float(times[-1])).records
        return np.asarray(records[..., -width:])

    def select(self, stack: tuple[int, ...], index: Array) -> Flowing:
        """Return the law of the chosen cases of a stack, counted along the flattened stack."""
        return Flowing(self.schedule.select(stack, index), self.options)


def _integrated(
    measure: M,
    law: Flowing,
    times: Array | None,
    horizon: float,
    show: Callable[[float], Any] | None,
) -> Trajectory[M]:
    """Return the path of all cases of a measure together."""
    run = law.integrated(measure, times, horizon, show)
    start, ends, shape = run.measure, run.ends, measure.stack
    if times is None and not shape:
        times = np.array([t for t, _ in run.steps])
        records = np.array([state for _, state in run.steps])
    else:
        times, records = (np.zeros(1) if times is None else times), run.records
    start.verify(times, records.reshape(len(times), *shape, -1))

    def shaped(values: Array) -> Any:
        return frozen(values.reshape(shape)) if shape else values[0].item()

    return Trajectory(
        times=frozen(times),
        states=frozen(records.reshape(len(times), *shape, -1)),
        stop=shaped(ends.stop),
        end=shaped(ends.end),
        blowup_time=shaped(np.where(ends.stop == "blow-up", ends.end, np.inf)),
        final=start.unpack(ends.final.reshape(*shape, -1)),
        _law=law,
        growth_power=shaped(np.where(ends.stop == "growth", ends.power, np.nan)),
        growth_rate=shaped(np.where(ends.stop == "growth", ends.rate, np.nan)),
    )


@quiet
def layers(
    measure: M,
    attention: Any,
    depth: int,
    step: float,
    *,
    kernel: str = "exact",
    noise: CommonNoise | None = None,
    seed: int | np.random.Generator | None = None,
) -> Trajectory[M]:
    r"""Apply `depth` residual layers $x \mapsto x + h\,\Gamma_\mu(x)$, all tokens at once.

    With a noise each layer then also applies $x \mapsto x + \sqrt h\,G(x)$, put back in the space,
    with a random field G that is the same for all tokens and new in each layer, and in each case
    of a stack. As $h\to0$ paths converge to a stochastic equation of common noise, with the order
    1/2 strongly and 1 weakly (chapter on synchronisation by noise).

    Args:
        measure: `Particles`, a `Gaussian` or a stack of either. On a sphere each layer follows the
            tangential field, and tokens are then put back.
        attention: one attention for all layers, a sequence of `depth` of them, or a callable
            t -> attention called at t = 0, h, 2h, ...; None for noise alone.
        depth: the number of layers.
        step: the step h of each layer.
        kernel: how sums over many tokens are evaluated, "exact" (what a token does then depends
            on nothing that it does not see, to the last bit), "auto" or "interpolated" (see
            `Attention`), to a tolerance of 1e-10.
        noise: for `Particles`, the noise of each layer; none when left out.
        seed: of the noise: an integer >= 0, several, or a generator; needed with a noise.

    Raises:
        TypeError: a measure for which the attention has no field, or that a noise cannot move.
        ValueError: a depth that is not an integer >= 1, a step that is not positive, a sequence
            of another length than `depth`, an unknown kernel; a noise without a seed, or a seed
            without a noise; what the noise raises.
        RuntimeError: a number grows out of range.

    Source: `castin2025unified`; as an Euler scheme of a flow `chen2018neural`.

    Example:
        >>> import transpde as tp
        >>> tokens = tp.Particles([[1.0], [3.0]])
        >>> attention = tp.Softmax([[0.0]], [[0.0]], [[1.0]])
        >>> tp.layers(tokens, attention, depth=2, step=0.5).final.points.ravel()
        array([3.5, 5.5])
    """
    depth, step = positive_integer("depth", depth), positive_number("step", step)
    how = evaluation(kernel, 1e-10, "kernel").remembering()
    of_kind("measure", measure, Measure, "a measure")
    if attention is None and noise is not None:
        attention = _still(measure)
    layer = _layer_attentions(attention, depth, step)
    for one in _distinct(layer):
        one.check(measure)
    law = _law_of_layers(layer, step, how, measure, noise, seed)
    current = measure.prepared()
    states = [current.pack()]
    for i in range(depth):
        current = law.pushed(current, i, step)
        states.append(current.pack())
        if not np.isfinite(states[-1]).all():
            raise RuntimeError(
                f"layers: the measure leaves the range of floating point numbers in layer {i + 1} "
                f"of {depth}. Take fewer layers or a smaller `step`."
            )
    shape = measure.stack
    return Trajectory(
        times=frozen(step * np.arange(depth + 1)),
        states=frozen(np.array(states)),
        stop=np.full(shape, "time") if shape else "time",
        end=np.full(shape, depth * step) if shape else depth * step,
        blowup_time=np.full(shape, np.inf) if shape else np.inf,
        final=current,
        _law=law,
    )


@dataclass(frozen=True)
class Layered(Law):
    """The law of residual layers: the attention of each, and their step."""

    layer: list[Attention]
    step: float
    how: Evaluation

    def pushed(self, start: Any, i: int, length: float) -> Any:
        """Return a measure after a part of layer i."""
        with np.errstate(all="ignore"):
            return start.push(self.layer[i].field(start, self.how), length)

    def advance(self, start: Any, since: float, until: float) -> Any:
        """Return the measure within the layer that begins at `since`."""
        return self.pushed(start, round(since / self.step), until - since)

    def carry(self, start: Any, tokens: Particles, times: Array) -> Array:
        """Return the coordinates (T, ..., m d) of test tokens before and after each layer."""
        for one in _distinct(self.layer):
            one(start)(tokens.points, tokens.positions)  # which checks the positions
        both = Carried(start.prepared(), tokens)
        states = [tokens.pack()]
        for i in range(len(self.layer)):
            both = self.pushed(both, i, self.step)
            states.append(both.tokens.pack())
        return np.array(states)

    def select(self, stack: tuple[int, ...], index: Array) -> Layered:
        """Return the layers of the chosen cases of a stack, counted along the flattened stack."""
        layer = [one.select(stack, index) for one in self.layer]
        return Layered(layer, self.step, self.how)


@dataclass(frozen=True)
class Noisy(Layered):
    """The law of residual layers with common noise: keys of the draws, and whose they are."""

    noise: CommonNoise
    keys: tuple[int, ...]
    shape: tuple[int, ...]  # of the points of all cases
    index: Array | None = None  # the chosen cases, counted along the flattened stack

    def pushed(self, start: Any, i: int, length: float) -> Any:
        """Return tokens, or tokens with test tokens, after a part of layer i and of its noise."""
        after = super().pushed(start, i, length)
        drawn = self.noise.drawn(np.random.default_rng([*self.keys, i]), self.shape)
        if self.index is not None:
            where = np.unravel_index(self.index, self.shape[:-2])
            drawn = tuple(one[where] for one in drawn)
        if isinstance(after, Carried):
            measure = self.noise.pushed(after.measure, drawn, length)
            return Carried(measure, self.noise.pushed(after.tokens, drawn, length))
        return self.noise.pushed(after, drawn, length)

    def carry(self, start: Any, tokens: Particles, times: Array) -> Array:
        """Return the coordinates (T, ..., m d) of test tokens before and after each layer."""
        if self.noise.width is None:
            raise ValueError(
                "carry: needs a noise of finite width, whose field is known away from the tokens; "
                "got one of infinite width. Give the noise a width, or make the test tokens part "
                "of the measure with weights of 0."
            )
        return super().carry(start, tokens, times)

    def select(self, stack: tuple[int, ...], index: Array) -> Noisy:
        """Return the layers of the chosen cases of a stack, counted along the flattened stack."""
        layer = [one.select(stack, index) for one in self.layer]
        chosen = index if self.index is None else self.index[index]
        how = (self.noise, self.keys, self.shape, chosen)
        return Noisy(layer, self.step, self.how, *how)


def _law_of_layers(
    layer: list[Attention], step: float, how: Evaluation, measure: Any, noise: Any, seed: Any
) -> Layered:
    """Return the law of layers, with or without a noise."""
    if noise is None:
        if seed is not None:
            raise ValueError("seed: is that of a noise; got a seed and no noise. Leave it out.")
        return Layered(layer, step, how)
    of_kind("noise", noise, CommonNoise, "a CommonNoise")
    of_kind("measure", measure, Particles, "Particles, for a noise at tokens")
    if seed is None:
        raise ValueError("seed: a noise needs a seed, an integer of at least 0; got none.")
    noise.check(measure.dimension)
    keys = tuple(generator("seed", seed).integers(1 << 62, size=2).tolist())
    return Noisy(layer, step, how, noise, keys, measure.points.shape)


def _still(measure: Any) -> Attention:
    """Return an attention that moves nothing."""
    zero = np.zeros((1, measure.dimension))
    return Linear(zero, zero, np.zeros((measure.dimension, measure.dimension)))


def _distinct(layer: list[Attention]) -> list[Attention]:
    return list({id(one): one for one in layer}.values())


def _layer_attentions(attention: Any, depth: int, step: float) -> list[Attention]:
    """Return the attention of each layer."""
    if isinstance(attention, Sequence) and not isinstance(attention, str):
        if len(attention) != depth:
            raise ValueError(
                f"attention: a sequence must hold one attention a layer, {depth}; "
                f"got {len(attention)}."
            )
        return [checked_attention(one) for one in attention]
    schedule = Schedule.of(attention)
    return [schedule(i * step) for i in range(depth)]


_AT_REST_ADVICE = (
    "Leave it out to run to the last time (with time=inf, to rest at 1e-8), or pass a small "
    "number such as 1e-8."
)
_TIME_ADVICE = (
    "Pass a depth, increasing times from 0, or numpy.inf alone to run each case to its own end."
)


def _requested_times(time: Any) -> tuple[Array | None, float]:
    if not isinstance(time, list | tuple | range) and np.ndim(time) == 0:
        horizon = positive_number("time", time, infinite=True, advice=_TIME_ADVICE)
        return (None if np.isinf(horizon) else np.linspace(0.0, horizon, RECORDS)), horizon
    if np.inf in real_array("time", time):
        raise ValueError(f"time: an array of times must be finite; got inf in it. {_TIME_ADVICE}")
    times = increasing_times("time", time)
    return times, float(times[-1])
