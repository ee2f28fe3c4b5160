r"""The flow $\partial_t \mu + \nabla\cdot(\mu\,\Gamma_\mu) = 0$, and residual layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from transpde.attention import Attention, OnSphere, on_sphere
from transpde.checks import (
    Array,
    frozen,
    increasing_times,
    positive_integer,
    positive_number,
)
from transpde.fields import AffineField
from transpde.kernels import evaluation
from transpde.measures import Gaussian, Grid, Measure, Particles
from transpde.stepping import METHODS, AttentionInTime, Integration, Options
from transpde.stepping.volumes import METHOD, FiniteVolumes

__all__ = ["Trajectory", "flow", "layers"]

M = TypeVar("M", bound=Measure)

RECORDS = 129  # recorded times when only an end is given


@dataclass(frozen=True, eq=False)
class Trajectory(Generic[M]):
    """A measure along depth.

    Attributes:
        times: physical times (T,), shared by a stack.
        states: coordinates (T, ..., N) at these times; NaN after a case's own end.
        stop: why each case ended: "time", "stationary" or "blow-up".
        end: the time each case reached; the blow-up time itself for "blow-up".
        blowup_time: the blow-up time, inf where none was reached.
        final: the measure at the end; for a blow-up the last one computed before it.

    For a stack `stop`, `end` and `blowup_time` are arrays of the stack's shape, else scalars.
    """

    times: Array
    states: Array
    stop: Any
    end: Any
    blowup_time: Any
    final: M
    _advance: Callable[[Any, float, float], Any] = field(repr=False)

    def __call__(self, t: float) -> M:
        """Return the measure at time `t`, integrated from the last recorded time before it.

        Beyond the end a single case raises `ValueError`; the cases of a stack are NaN.
        """
        time = np.asarray(t)
        latest = np.inf if self.final.stack else self.end
        if time.ndim or time.dtype.kind not in "iuf" or not 0 <= time <= latest:
            end = "" if self.final.stack else f" and at most the end, {self.end:.12g}"
            raise ValueError(f"t: must be a number of at least 0{end}; got {t!r}.")
        t = float(t)
        j = int(np.searchsorted(self.times, t, side="right")) - 1
        start = self.final.unpack(self.states[j])
        if t == self.times[j]:
            return start
        if not start.stack:
            return self._advance(start, float(self.times[j]), t)
        running = np.asarray(self.end) >= t
        state = np.full(self.states.shape[1:], np.nan)
        if running.any():
            state[running] = self._advance(start, float(self.times[j]), t).pack()[running]
        return self.final.unpack(state)

    def __getitem__(self, i: int) -> M:
        """Return the measure at the i-th recorded time."""
        return self.final.unpack(self.states[i])

    def __len__(self) -> int:
        """Return the number of recorded times."""
        return len(self.times)

    @property
    def points(self) -> Array:
        """Tokens (T, n, d) of a flow of particles."""
        if not isinstance(self.final, Particles):
            raise AttributeError(
                "points: a flow of Gaussians has `means` and `covariances`, that of a Grid "
                "`densities`."
            )
        return frozen(self.states.reshape(len(self.times), *self.final.points.shape))

    @property
    def densities(self) -> Array:
        """Averages over the cells (T, n1) or (T, n1, n2) of a flow of a grid."""
        if not isinstance(self.final, Grid):
            raise AttributeError(
                "densities: a flow of particles has `points`, that of Gaussians `means` and "
                "`covariances`."
            )
        return frozen(self.states.reshape(len(self.times), *self.final.density.shape))

    def _gaussians(self, name: str) -> Gaussian:
        if not isinstance(self.final, Gaussian):
            raise AttributeError(
                f"{name}: a flow of particles has `points`, that of a Grid `densities`; see "
                "`path[i].mean`."
            )
        return self.final.unpack(self.states)

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


def flow(
    measure: M,
    attention: AttentionInTime,
    time: Any,
    *,
    method: str | None = None,
    rtol: float = 1e-10,
    atol: float = 1e-12,
    stationary: float | None = None,
    space: str = "euclidean",
    kernel: str = "auto",
    progress: bool = False,
) -> Trajectory[M]:
    r"""Integrate the Transformer PDE from `measure` over depth `time`.

    Args:
        measure: `Particles`, a `Gaussian`, a stack of Gaussians or a `Grid`.
        attention: an attention, or a callable t -> attention. Parameters with leading axes give
            each case of a stack its own. With a callable the cases of a stack run one by one, and
            a change of parameters that is shorter than an adaptive step can be missed.
        time: a positive depth, recorded at 129 equal times, or increasing times from 0. `inf`
            where an end is certain: a single case is then recorded at the solver's own steps, a
            stack at time 0 alone; a grid needs an end.
        method: a solver of `scipy.integrate`: "DOP853" (default), "RK45", "RK23", and for stiff
            flows "Radau", "BDF", "LSODA". A grid has one of its own, "SSPRK2": finite volumes of
            second order with steps, set by the velocities and the cells, that keep the density
            non-negative. Its error is that of the grid; refine the cells to see it.
        rtol: relative tolerance, held in the maximum norm over all cases and coordinates. No
            part in the flow of a grid.
        atol: absolute tolerance, in the units of the tokens. No part in the flow of a grid.
        stationary: if given, a case also ends when the norm of the covariance's derivative (the
            tokens' velocity) is at most this number times its size over 1 + t.
        space: "euclidean", or "sphere" for tokens of norm one that follow the tangential part
            $\Gamma(x) - \langle\Gamma(x), x\rangle x$ of the field.
        kernel: how sums over many tokens are evaluated, "auto", "exact" or "interpolated" (see
            `Attention`), ten times as accurate as `rtol`.
        progress: show a progress bar (needs tqdm).

    Raises:
        TypeError: a measure for which the attention has no field; a Gaussian on the sphere.
        ValueError: bad times, tolerances, method, kernel or space; tokens that are not on the
            sphere.
        RuntimeError: the solver fails, no end is found, a number grows out of range, or a
            covariance grows so large and thin that rounding hides how it goes on; the edges of a
            grid hold back a mass of more than 1e-6.

    Source: `castin2025unified`; the change of time is ours (chapter on Gaussian preservation).

    Example:
        >>> import transpde as tp
        >>> gaussian = tp.Gaussian(mean=[0.0], factor=[[1.0]])
        >>> path = tp.flow(gaussian, tp.Softmax([[1.0]], [[1.0]], [[1.0]]), time=1.0)
        >>> path.stop, round(path.blowup_time, 9)
        ('blow-up', 0.5)
    """
    times, horizon = _requested_times(time)
    rtol, atol = positive_number("rtol", rtol), positive_number("atol", atol)
    if stationary is not None:
        stationary = positive_number("stationary", stationary)
    method = _method_for(measure, method)
    attention = _in_space(space, measure, _cleaned(measure, attention))
    # Sums over tokens are ten times as accurate as the steps.
    options = Options(method, rtol, atol, stationary, evaluation(kernel, rtol / 10, "kernel"))
    # A number out of range is found where it arises and told as an error, not as a warning.
    with _bar(progress) as show, np.errstate(over="ignore", invalid="ignore"):
        if measure.stack and not isinstance(attention, Attention):
            return _case_by_case(measure, attention, times, horizon, options, show)
        return _integrated(measure, attention, times, horizon, options, show, space)


def _method_for(measure: Any, method: str | None) -> str:
    """Return the method to step a measure with, the default one for None."""
    methods = (METHOD,) if isinstance(measure, Grid) else METHODS
    if method is None:
        return methods[0]
    if method not in methods:
        kind = " for a Grid" if isinstance(measure, Grid) else ""
        raise ValueError(f"method: must be one of {', '.join(methods)}{kind}; got {method!r}.")
    return method


def _integrated(
    measure: M,
    attention: AttentionInTime,
    times: Array | None,
    horizon: float,
    options: Options,
    show: Callable[[float], Any],
    space: str = "euclidean",
) -> Trajectory[M]:
    """Integrate all cases of a measure together."""
    tidy: Any = on_sphere if space == "sphere" else lambda measure: measure
    scheme: Any = FiniteVolumes if isinstance(measure, Grid) else Integration
    run = scheme(measure, attention, times, horizon, options, show).to_the_end()

    def advance(start: Any, since: float, until: float) -> Any:
        later = attention if isinstance(attention, Attention) else lambda t: attention(since + t)
        span = np.array([0.0, until - since])
        leg = scheme(start, later, span, until - since, options).to_the_end()
        return tidy(leg.measure.unpack(leg.final.reshape(*start.stack, -1)))

    start: Any = run.measure
    shape = start.stack
    if times is None and not shape:
        times = np.array([t for t, _ in run.steps])
        records = np.array([state for _, state in run.steps])
    else:
        times, records = (np.zeros(1) if times is None else times), run.records

    if space == "sphere":
        records = np.array([tidy(start.unpack(state)).pack() for state in records])

    def shaped(values: Array) -> Any:
        return frozen(values.reshape(shape)) if shape else values[0].item()

    return Trajectory(
        times=frozen(times),
        states=frozen(records.reshape(len(times), *shape, -1)),
        stop=shaped(run.stop),
        end=shaped(run.end),
        blowup_time=shaped(np.where(run.stop == "blow-up", run.end, np.inf)),
        final=tidy(start.unpack(run.final.reshape(*shape, -1))),
        _advance=advance,
    )


def _case_by_case(
    stack: Any,
    attention: Callable[[float], Attention],
    times: Array | None,
    horizon: float,
    options: Options,
    show: Callable[[float], Any],
) -> Trajectory[Any]:
    """Integrate each case of a stack alone: with parameters in time it has a time of its own."""
    paths: Any = np.empty(stack.stack, dtype=object)
    for number, i in enumerate(np.ndindex(stack.stack)):
        paths[i] = _integrated(
            stack[i],
            _of_case(attention, stack.stack, number),
            times,
            horizon,
            options,
            _share_of(show, number, paths.size),
        )
    grid = np.zeros(1) if times is None else times

    def gathered(read: Callable[[Any], Any]) -> Array:
        values = np.array([read(path) for path in paths.ravel()])
        return values.reshape(*stack.stack, *values.shape[1:])

    def advance(start: Any, since: float, until: float) -> Any:
        states = np.full(start.pack().shape, np.nan)
        for i in np.ndindex(start.stack):
            if np.isfinite(start[i].pack()).all():
                states[i] = paths[i]._advance(start[i], since, until).pack()
        return start.unpack(states)

    states = gathered(lambda path: path.states[: len(grid)])
    return Trajectory(
        times=frozen(grid),
        states=frozen(np.moveaxis(states, len(stack.stack), 0)),
        stop=frozen(gathered(lambda path: path.stop)),
        end=frozen(gathered(lambda path: path.end)),
        blowup_time=frozen(gathered(lambda path: path.blowup_time)),
        final=stack.unpack(gathered(lambda path: path.final.pack())),
        _advance=advance,
    )


def _of_case(
    attention: Callable[[float], Attention], stack: tuple[int, ...], number: int
) -> Callable[[float], Attention]:
    return lambda t: attention(t).select(stack, np.array(number))


def _share_of(show: Callable[[float], Any], done: int, cases: int) -> Callable[[float], Any]:
    return lambda share: show((done + share) / cases)


@contextmanager
def _bar(wanted: bool) -> Iterator[Callable[[float], Any]]:
    """Give a function that shows the part of the work that is done."""
    if not wanted:
        yield lambda share: None
        return
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError("progress=True needs tqdm: pip install transpde[ensembles]") from error
    with tqdm(total=100, desc="flow", bar_format="{l_bar}{bar}| {elapsed}") as bar:
        yield lambda share: bar.update(100 * share - bar.n)


def layers(
    measure: M,
    attention: AttentionInTime | Sequence[Attention],
    depth: int,
    step: float,
    *,
    space: str = "euclidean",
    kernel: str = "exact",
) -> Trajectory[M]:
    r"""Apply `depth` residual layers $x \mapsto x + h\,\Gamma_\mu(x)$, all tokens at once.

    Args:
        measure: `Particles`, a `Gaussian` or a stack of Gaussians.
        attention: one attention for all layers, a sequence of `depth` of them, or a callable
            t -> attention called at t = 0, h, 2h, ...
        depth: the number of layers.
        step: the step h of each layer.
        space: "euclidean", or "sphere": the tangential field, then tokens put back to norm one.
        kernel: how sums over many tokens are evaluated, "exact" (what a token does then depends
            on nothing that it does not see, to the last bit), "auto" or "interpolated" (see
            `Attention`), to a tolerance of 1e-10.

    Raises:
        TypeError: a measure for which the attention has no field; a Gaussian on the sphere.
        ValueError: a depth that is not an integer >= 1, a step that is not positive, a sequence
            of another length than `depth`, an unknown kernel,  tokens that are not on the sphere.
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
    how = evaluation(kernel, 1e-10, "kernel")
    wanted = _layer_attentions(attention, depth, step)
    # Each distinct attention is tried on the measure once: for Sinkhorn a try is an iteration.
    tried = {id(one): one for one in wanted}
    fitting = {
        key: _in_space(space, measure, _cleaned(measure, _an_attention(one)))
        for key, one in tried.items()
    }
    layer = [fitting[id(one)] for one in wanted]

    def pushed(start: Any, i: int, length: float) -> Any:
        end = start.push(layer[i](start, *how), length)
        return on_sphere(end) if space == "sphere" else end

    current = measure.prepared()
    states = [current.pack()]
    for i in range(depth):
        with np.errstate(over="ignore", invalid="ignore"):
            current = pushed(current, i, step)
        states.append(current.pack())
        if not np.isfinite(states[-1]).all():
            raise RuntimeError(
                f"layers: the measure leaves the range of floating point numbers in layer {i + 1} "
                f"of {depth}. Take fewer layers or a smaller `step`."
            )

    def advance(start: Any, since: float, until: float) -> Any:
        return pushed(start, round(since / step), until - since)

    shape = measure.stack
    return Trajectory(
        times=frozen(step * np.arange(depth + 1)),
        states=frozen(np.array(states)),
        stop=np.full(shape, "time") if shape else "time",
        end=np.full(shape, depth * step) if shape else depth * step,
        blowup_time=np.full(shape, np.inf) if shape else np.inf,
        final=current,
        _advance=advance,
    )


def _layer_attentions(attention: Any, depth: int, step: float) -> list[Any]:
    """Return the attention of each layer, not yet checked."""
    if isinstance(attention, Sequence) and not isinstance(attention, str):
        if len(attention) != depth:
            raise ValueError(
                f"attention: a sequence must hold one attention a layer, {depth}; "
                f"got {len(attention)}."
            )
        return list(attention)
    if _is_callable_of_time(attention):
        return [attention(i * step) for i in range(depth)]
    return [attention] * depth


def _cleaned(measure: Any, attention: Any) -> Any:
    """Return the attention, or the callable with its values checked, if it fits the measure."""
    if not isinstance(measure, Measure):
        raise TypeError(f"measure: must be a measure; got {type(measure).__name__}.")
    if not _is_callable_of_time(attention):
        with np.errstate(over="ignore", invalid="ignore"):
            _an_attention(attention)(measure)
        return attention

    def checked(t: float) -> Attention:
        return _an_attention(attention(t))

    checked(0.0)(measure)
    return checked


def _an_attention(value: Any) -> Attention:
    if not isinstance(value, Attention):
        raise TypeError(
            "attention: must be an attention or a callable t -> attention; "
            f"got {type(value).__name__}."
        )
    return value


def _in_space(space: str, measure: Measure, attention: Any) -> Any:
    """Return the attention on Euclidean space or on the sphere, after a check of the tokens."""
    if space not in ("euclidean", "sphere"):
        raise ValueError(f"space: must be 'euclidean' or 'sphere'; got {space!r}.")
    if space == "euclidean":
        return attention
    if not isinstance(measure, Particles):
        raise TypeError(f"measure: must be Particles on the sphere; got {type(measure).__name__}.")
    off = np.abs(np.linalg.norm(measure.points, axis=1) - 1).max()
    if off > 1e-8:
        raise ValueError(
            f"measure: tokens on the sphere must have norm 1; got one that is off by {off:.3g}. "
            "Divide each by its norm first."
        )
    if isinstance(attention, Attention):
        return OnSphere(attention)
    return lambda t: OnSphere(attention(t))


def _is_callable_of_time(attention: Any) -> bool:
    # A field is callable too, but of points: it is refused by its type, not called with a time.
    return callable(attention) and not isinstance(attention, Attention | AffineField)


def _requested_times(time: Any) -> tuple[Array | None, float]:
    if np.ndim(time) == 0:
        horizon = positive_number("time", time, infinite=True)
        return (None if np.isinf(horizon) else np.linspace(0.0, horizon, RECORDS)), horizon
    times = increasing_times("time", time)
    return times, float(times[-1])
