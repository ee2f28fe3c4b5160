"""One valid call of everything public, and how each of its arguments can be wrong.

A row of `ROWS` names a callable below `transpde` and gives every argument a valid value of some
kind. The kind knows what else a caller may pass by mistake: `wrong(value)` yields it, each with a
word for the report.
"""

from __future__ import annotations

import datetime
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tiny_models
from matplotlib import pyplot as plt

import transpde as tp
import transpde.models
from transpde import conventions
from transpde.causal_circle import CausalCircle
from transpde.crowd import Crowd, Regression
from transpde.disc import disc_covariances, disc_gaussians
from transpde.energy import twisted_energy
from transpde.filtering import HiddenMarkov, LinearGaussian
from transpde.noise import CommonNoise, RandomFeatures
from transpde.records import FigureData
from transpde.sampling import ProximalSampler
from transpde.training import AdamW, Heads
from transpde.widgets import Slider

Wrong = Iterator[tuple[str, Any]]


class Kind(NamedTuple):
    """What an argument may be mistaken for, made from a valid value; an array or not."""

    wrong: Callable[[Any], Wrong]
    array: bool = False


class Argument(NamedTuple):
    """A valid value of an argument, or a function that makes one, and the ways to get it wrong."""

    value: Any
    kind: Kind
    made: bool = False  # the value is called to make one: axes, figures

    def valid(self) -> Any:
        return self.value() if self.made else self.value


# --- kinds ---------------------------------------------------------------------------------------


def strangers(*allowed: type) -> Wrong:
    """Yield things that stand for no number, array or measure at all."""
    found = {
        "none": None, "text": "1", "bytes": b"1", "class": tp.Particles, "function": np.sin,
        "set": {1.0}, "dictionary": {"a": 1.0}, "object": object(), "complex": 1 + 1j,
        "date": datetime.date(2026, 1, 1), "duration": np.timedelta64(3),
    }  # fmt: skip
    yield from ((name, value) for name, value in found.items() if not isinstance(value, allowed))


def hidden(value: Any) -> Wrong:
    """Yield the values of an array with an entry that is not known."""
    array = np.array(value, dtype=float)
    mask = np.zeros(array.shape, dtype=bool)
    mask.flat[0] = True
    yield "masked", np.ma.masked_array(array, mask)
    yield "masked, no mask", np.ma.masked_array(array)
    if array.ndim:
        yield "masked rows", [np.ma.masked_array(one, np.ones_like(one, bool)) for one in array]


def array_like(
    *, finite: bool = True, least: float | None = None, single: bool = False, none: bool = False
) -> Kind:
    """An array; `single` where a number is none, `none` where None is meant."""

    def wrong(value: Any) -> Wrong:
        for name, thing in strangers():
            if not (none and thing is None):
                yield name, thing
        yield from hidden(value)
        array = np.array(value, dtype=float)
        for name, entry in (("nan", np.nan), ("inf", np.inf), ("-inf", -np.inf)):
            if finite:
                yield name, changed(array, entry)
        if least is not None:
            yield "too small", changed(array, least - 1)
        yield "texts", np.full(array.shape, "1")
        yield "bytes in it", np.full(array.shape, b"1")
        yield "truth values", np.ones(array.shape, dtype=bool)
        yield "complex entries", array + 1j
        yield "durations", np.ones(array.shape, dtype="timedelta64[s]")
        yield "dates", np.ones(array.shape, dtype="datetime64[s]")
        yield "objects", np.full(array.shape, None)
        yield "ragged", [[1.0], [1.0, 2.0]]
        yield "empty", []
        yield "empty rows", np.zeros((*array.shape[:-1], 0))
        if single:
            yield "a number", 1.0

    return Kind(wrong, array=True)


def changed(array: Any, entry: float) -> Any:
    found = np.array(array, dtype=float)
    found.flat[-1] = entry
    return found


def number_like(
    *, least: float = -np.inf, open_: bool = False, most: float = np.inf, infinite: bool = False,
    none: bool = False,
) -> Kind:  # fmt: skip
    """A number of an interval, which `open_` leaves out its lower end."""

    def wrong(value: Any) -> Wrong:
        for name, thing in strangers():
            if not (none and thing is None):
                yield name, thing
        yield from (("nan", np.nan), ("truth value", True), ("ragged", [[1.0], [1.0, 2.0]]))
        yield from (("list", [1.0]), ("array", np.ones(2)), ("empty", []), ("digits", "0.5"))
        yield "masked", np.ma.masked_array(1.0, True)
        yield "duration", np.timedelta64(1, "s")
        if np.isfinite(least):
            yield "too small", least - 1
        if open_:
            yield "at the end", least
            yield "without an inverse", np.nextafter(least, 1) if least == 0 else least
        if np.isfinite(most):
            yield "too large", most + 1
        if not infinite:
            yield "inf", np.inf
        yield "-inf", -np.inf

    return Kind(wrong)


def whole_like(*, least: int = 1, none: bool = False) -> Kind:
    def wrong(value: Any) -> Wrong:
        for name, thing in strangers():
            if not (none and thing is None):
                yield name, thing
        yield from (("nan", np.nan), ("inf", np.inf), ("truth value", True), ("a float", 2.0))
        yield from (("part", 2.5), ("list", [2]), ("array", np.array([2])), ("digits", "2"))
        yield from (("too small", least - 1), ("negative", -7), ("huge", 10**30))
        yield "masked", np.ma.masked_array(2, True)

    return Kind(wrong)


def instance_of(*others: Any, none: bool = False) -> Kind:
    """Something of the package; `others` are of other kinds of it."""

    def wrong(value: Any) -> Wrong:
        yield "its class", type(value)
        yield "array", np.ones((2, 2))
        yield "list", [1.0]
        yield from ((f"another kind, {type(one).__name__}", one) for one in others)
        for name, thing in strangers():
            if not (none and thing is None):
                yield name, thing

    return Kind(wrong)


def callable_like(*answers: Any, arguments: int = 1) -> Kind:
    """A function; one that gives one of these answers is wrong, too."""

    def wrong(value: Any) -> Wrong:
        yield from ((n, thing) for n, thing in strangers() if n != "function")
        yield "array", np.ones((2, 2))
        for answer in answers:
            yield f"gives {answer!r}", lambda *given, answer=answer: answer

    return Kind(wrong)


def named(kind: Kind) -> Kind:
    """Values by name, each of a kind."""

    def wrong(value: Any) -> Wrong:
        yield from ((n, thing) for n, thing in strangers() if n != "dictionary")
        yield "list", list(value)
        yield "array", np.ones((2, 2))
        for key, one in value.items():
            for name, other in kind.wrong(one):
                yield f"at {key!r} {name}", {**value, key: other}

    return Kind(wrong)


def several(kind: Kind) -> Kind:
    """A sequence whose entries are of a kind."""

    def wrong(value: Any) -> Wrong:
        yield from strangers()
        yield "empty", []
        for name, other in kind.wrong(value[0]):
            yield f"in it {name}", [other, *value[1:]]

    return Kind(wrong)


def of(kind: Kind) -> Callable[[Any], Argument]:
    return lambda value: Argument(value, kind)


def either_none(kind: Kind) -> Kind:
    return Kind(lambda value: ((n, thing) for n, thing in kind.wrong(value) if thing is not None))


def _wrong_text(value: Any) -> Wrong:
    yield from ((n, thing) for n, thing in strangers() if n != "text")
    yield "array", np.array(["a", "b"])
    yield "list", ["a"]


def _wrong_choice(value: Any) -> Wrong:
    yield from _wrong_text(value)
    yield "unknown", "cosine"
    yield "an array of it", np.array([value, value])
    yield "bytes of it", value.encode()


def _wrong_flag(value: Any) -> Wrong:
    yield from strangers()
    yield "number", 1
    yield "array", np.array([True, False])
    yield "list", [True]


def _wrong_ids(value: Any) -> Wrong:
    yield from strangers()
    yield from (("floats", [1.0, 2.0]), ("truth values", [True]), ("ragged", [[1], [1, 2]]))
    yield from (("negative", [-1, 1]), ("empty", []), ("a number", 1), ("rows", [[1, 2]]))
    yield "masked", np.ma.masked_array([1, 2], [True, False])


def _wrong_flags(value: Any) -> Wrong:
    yield from strangers()
    yield from (("numbers", np.ones((2, 4))), ("other shape", [True]), ("one", True))
    yield "masked", np.ma.masked_array(value, value)


def _wrong_seed(value: Any) -> Wrong:
    yield from strangers()
    yield from (("negative", -1), ("truth value", True), ("a float", 1.0), ("nan", np.nan))
    yield from (("digits", "7"), ("truth values", [True, False]), ("ragged", [[1], [1, 2]]))


def _wrong_colour(value: Any) -> Wrong:
    yield from ((n, thing) for n, thing in strangers() if n not in ("none", "text"))
    yield "unknown", "no such colour"
    yield "nan", np.nan


def _wrong_axes(value: Any) -> Wrong:
    yield from ((n, thing) for n, thing in strangers() if n != "none")
    yield "its class", plt.Axes
    yield "array", np.ones(2)
    yield "several", [None]


def symmetric_like(*, none: bool = False) -> Kind:
    def wrong(value: Any) -> Wrong:
        yield from array_like(single=True, none=none).wrong(value)
        yield "not symmetric", np.array([[1.0, 0.5], [0.0, 1.0]])
        yield "not square", np.ones((2, 3))

    return Kind(wrong, array=True)


def _wrong_symbols(value: Any) -> Wrong:
    yield from strangers()
    yield from (("floats", [0.0, 1.0]), ("truth values", [True]), ("ragged", [[1], [1, 0]]))
    yield from (("negative", [-1, 1]), ("out of range", [0, 9]), ("empty", []), ("a number", 1))
    yield "masked", np.ma.masked_array([1, 0], [True, False])


def law_like(*, square: bool = False) -> Kind:
    """Rows that sum to one."""

    def wrong(value: Any) -> Wrong:
        yield from array_like(single=True).wrong(value)
        array = np.array(value)
        yield "sum above one", array + 0.1
        yield "sum off by 1e-8", array * (1 + 1e-8)
        less = changed(array, -0.1)
        less.flat[-2] += array.flat[-1] + 0.1
        yield "negative", less
        yield "another number of states", np.full((3, *array.shape[1:]), 1 / 3)
        if square:
            yield "not square", np.full((2, 3), 1 / 3)

    return Kind(wrong, array=True)


def covariance_like(*, definite: bool = False, stacked: bool = False) -> Kind:
    """A symmetric matrix, or several, without negative eigenvalues."""

    def wrong(value: Any) -> Wrong:
        yield from array_like(single=True).wrong(value)
        array = np.array(value, dtype=float)
        if array.shape[-1] > 1:
            skew = np.zeros(array.shape)
            skew[..., 0, 1] = 0.1
            yield "not symmetric", array + skew
        yield "negative", -array
        if definite:
            yield "singular", 0 * array
        size = array.shape[-1] + 1
        yield "another dimension", np.eye(size) + np.zeros((*array.shape[:-2], size, size))
        if not stacked:
            yield "a stack", array[None]

    return Kind(wrong, array=True)


def _wrong_beliefs(value: Any) -> Wrong:
    """Of a pair, means and covariances."""
    yield from strangers()
    yield from (("one", value[:1]), ("array", value[0]), ("empty", []), ("a number", 1.0))
    for name, other in array_like(single=True).wrong(value[0]):
        yield f"means, {name}", (other, value[1])
    for name, other in covariance_like(stacked=True).wrong(value[1]):
        yield f"covariances, {name}", (value[0], other)
    yield "one position less", tuple(one[1:] for one in value)


ARRAY, NUMBERS = of(array_like()), of(array_like(single=True))
SYMMETRIC, MAYBE_SYMMETRIC = (of(symmetric_like(none=n)) for n in (False, True))
KNOWN = of(array_like(finite=False, single=True))
POSITIVE_ARRAY = of(array_like(least=0.0, single=True))
DEPTHS = of(array_like(least=0.0))
MAYBE_NUMBERS = of(array_like(single=True, none=True))
NUMBER = of(number_like())
POSITIVE, MAYBE_POSITIVE = (of(number_like(least=0.0, open_=True, none=n)) for n in (False, True))
SIZE = of(number_like(least=0.0))
ORDER = of(number_like(least=1.0))
INSIDE = of(number_like(least=0.0, open_=True, most=1.0))
WHOLE, MAYBE_WHOLE, COUNT = (
    of(whole_like()), of(whole_like(none=True)), of(whole_like(least=0)),
)  # fmt: skip
TEXT, CHOICE, FLAG, SEED, COLOUR = (
    of(Kind(wrong))
    for wrong in (_wrong_text, _wrong_choice, _wrong_flag, _wrong_seed, _wrong_colour)
)
IDS, SYMBOLS = of(Kind(_wrong_ids)), of(Kind(_wrong_symbols))
LAW, TRANSITION = of(law_like()), of(law_like(square=True))
MAYBE_CHOICE = of(either_none(Kind(_wrong_choice)))
ITSELF = MAYBE_UNUSED = of(Kind(lambda value: iter(())))
AXES = Argument(None, Kind(_wrong_axes))
AX = Argument(lambda: plt.figure().add_subplot(), Kind(_wrong_axes), made=True)

# --- values --------------------------------------------------------------------------------------

I2 = np.eye(2)
ANTI = np.diag([1.0, -1.0])
TOKENS = tp.Particles([[0.5, 0.0], [0.0, 1.0], [-1.0, 0.3]])
OTHERS = tp.Particles([[0.1, 0.0], [0.2, 1.0], [-1.0, 0.4]])
PLACED = tp.Particles([[0.5, 0.0], [0.0, 1.0], [-1.0, 0.3]], positions=[0.0, 1.0, 2.0])
LINE = tp.Particles([[0.0], [1.0]])
GAUSSIAN = tp.Gaussian([0.0, 0.0], factor=[[1.0, 0.2], [0.0, 0.5]])
GRID = tp.Grid([0.0, 1.0, 3.0], [0.5, 0.25])
HEAD = tp.Softmax(I2, I2, -I2)
CAUSAL = CausalCircle(1.0, 1.0)
LINE_HEAD = tp.Softmax([[1.0]], [[1.0]], [[-1.0]])
GAUSSIANS = tp.Gaussian([[0.0, 0.0], [1.0, 0.0]], factor=[I2, I2])
EVEN_LAW = tp.Axial([0.5, 1.0, 2.0], [0.2, 0.3, 0.5], dimension=2)
CIRCLE = tp.Circle.from_density(lambda t: (1 + 0.5 * np.sin(t)) / (2 * np.pi), 64)
GEOMETRIC = np.append(0.0, np.geomspace(1.0, 1e4, 9))
TOKEN_PATH = tp.flow(TOKENS, HEAD, 0.1)
GAUSSIAN_PATH = tp.flow(GAUSSIAN, HEAD, GEOMETRIC)
PLANE = tp.Grid([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]], np.full((2, 2), 0.25))
GRID_PATH = tp.flow(GRID, tp.Softmax([[0.0]], [[0.0]], [[0.0]]), 0.1)
LAYERS = tp.layers(TOKENS, HEAD, 3, 0.1)
DATA = FigureData({"a": np.ones((3, 2))}, {"n": 1})
PATHS = np.random.default_rng(0).normal(size=(4, 5, 2))
COVARIANCES = GAUSSIAN_PATH.covariances

MEASURE = of(instance_of())
PARTICLES = of(instance_of(GAUSSIAN, GRID))
TOKENS_OR_GAUSSIAN = of(instance_of(GRID))
# A case of a stack after its end, and a covariance that is larger than floats.
ENDED = tp.flow(
    tp.Gaussian([0.0, 0.0], factor=np.stack([I2, 3 * I2])), tp.Softmax(I2, I2, I2), [0, 0.2]
)
COLUMN = np.array([[0.0], [1.0], [2.0], [4.0], [7.0]])
HUGE = tp.Gaussian([0.0, 0.0], factor=I2, log_scale=2000.0)
A_GAUSSIAN, MAYBE_GAUSSIAN = (of(instance_of(TOKENS, GRID, none=n)) for n in (False, True))
A_KNOWN_GAUSSIAN = of(instance_of(TOKENS, GRID, ENDED[1]))
A_SMALL_GAUSSIAN = of(instance_of(TOKENS, GRID, ENDED[1], HUGE))
A_GRID = of(instance_of(TOKENS, GAUSSIAN))
ATTENTION = of(instance_of(TOKENS, tp.AffineField(I2)))
WAVES = RandomFeatures(1.0)
WAVY = CommonNoise(WAVES, 4)
TWO_LAYERS = tp.layers(TOKENS, HEAD, 2, 0.1)
ARRAYS = 0.1 * np.arange(24.0).reshape(2, 3, 2, 2)
NETWORK = Heads(ARRAYS, ARRAYS)
RULE = AdamW(0.1, 0.1, 0.01)
KERNEL = of(instance_of(TOKENS, WAVY))
CROWD = Crowd([I2, -I2], [I2, 0.5 * I2])
SEQUENCES = [[[0.5, 0.0], [0.0, 1.0], [-1.0, 0.3]], [[1.0, 0.2], [0.3, -0.5], [0.0, 0.8]]]
TASK = Regression(SEQUENCES, np.ones((2, 3, 2)))
LEARNING = {
    "task": of(instance_of(TOKENS, CROWD))(TASK),
    "crowd": of(instance_of(TOKENS, TASK))(CROWD),
}
STALLS = {"scale": POSITIVE(1.0), "tolerance": POSITIVE(1e-3), "iterations": WHOLE(20)}
PAIR = {"kernel": KERNEL(WAVES), "dimension": WHOLE(3)}
PAIR_ANGLES = {
    "angles": of(array_like(least=0.0))([0.5, 1.0]), "value": NUMBER(-1.0),
    "inverse_temperature": SIZE(1.0),
}  # fmt: skip
SAMPLER = ProximalSampler(lambda x: (x**2).sum(axis=-1) / 2, lambda x: x, 2, 0.2)
POTENTIAL = of(callable_like("1", None, np.nan, [1.0], np.ones((3, 2))))
QUADRATIC = {
    "hessian": SYMMETRIC(I2), "time": POSITIVE(0.2), "temperature": POSITIVE(1.0),
    "preconditioner": MAYBE_SYMMETRIC(2 * I2),
}  # fmt: skip
CHAIN = HiddenMarkov([[0.9, 0.1], [0.3, 0.7]], [[0.6, 0.4], [0.2, 0.8]], [0.5, 0.5])
SEEN = HiddenMarkov([[0.9, 0.1], [0.3, 0.7]], [[0.6, 0.4], [0.2, 0.8]], [0.5, 0.5]).filter([0, 1])
KALMAN = LinearGaussian([[0.9, 0.3], [0.0, 0.8]], [[1.0, 0.0]], I2, [[1.0]], [0.0, 0.0], I2)
A_CHAIN, A_KALMAN = of(instance_of(TOKENS, KALMAN)), of(instance_of(TOKENS, CHAIN))
PLANAR_HEAD = of(instance_of(TOKENS, tp.Linear(I2, I2, I2)))
PATH, MAYBE_PATH = (of(instance_of(TOKENS, none=n)) for n in (False, True))
GAUSSIAN_FLOW = of(instance_of(TOKENS, TOKEN_PATH, GRID_PATH))
FIELD = of(callable_like("1", [1.0], [[1.0, np.nan]] * 3))
MATRICES = {"query": ARRAY(I2), "key": ARRAY(I2), "value": ARRAY(-I2)}
PURE_STATE = {
    "eigenvalues": NUMBERS([1.0, 0.5]), "mode": COUNT(0), "signs": NUMBERS([1.0, 1.0, -1.0]),
    "weights": MAYBE_NUMBERS([0.5, 0.2, 0.3]), "beta": POSITIVE(2.0),
}  # fmt: skip
PLAIN_SOFTMAX = of(instance_of(TOKENS, tp.Masked(HEAD), tp.L2(I2, I2, I2)))(HEAD)
HEAD_ARRAYS = {
    "queries": ARRAY(0.3 * COLUMN),
    "keys": ARRAY(-COLUMN),
    "values": ARRAY(COLUMN**2),
}
PLAIN_HEAD = of(instance_of(TOKENS, tp.Masked(HEAD), tp.Linear(I2, I2, I2)))
LAW = of(several(array_like(single=True)))
TWO_SCORES = np.array([[[1.0, 0.2], [0.2, -0.5]], [[0.3, 0.0], [0.0, 1.0]]])
HEADS_OF = {"measure": PARTICLES(TOKENS), "scores": NUMBERS(TWO_SCORES)}
OPPOSED = {"first": POSITIVE(2.0), "second": POSITIVE(1.0)}

TINY = tp.models.read(tiny_models.write("bert", Path(tempfile.mkdtemp())))
TINY_PATH = TINY(np.arange(16))
GAIN = "encoder.layer.0.output.LayerNorm.weight"
MODEL, MODEL_PATH = of(instance_of(TOKENS)), of(instance_of(TOKENS, TOKEN_PATH))
LAYER = of(whole_like(least=0))


def energy(measure: Any) -> Any:
    return twisted_energy(measure, I2)


def draw(figure: Any, slope: float) -> None:
    figure.add_subplot(ylim=(-2, 2)).plot([0, 1], [0, slope])


def first(case: Any, seed: Any) -> Any:
    return case


def stored() -> str:
    """Return a folder with the record of a figure."""
    folder = Path(tempfile.mkdtemp())
    np.savez_compressed(folder / "trad_rank_1.npz", a=np.ones(2))
    kept = {"numbers": {}, "parameters": {}, "seed": None, "scheme": {}, "horizon": None}
    (folder / "trad_rank_1.json").write_text(json.dumps(kept))
    return str(folder)


def tiny_folder() -> str:
    """Return a folder with the weights of a model."""
    return str(tiny_models.write("bert", Path(tempfile.mkdtemp())))


def edited(layer: int, queries: Any, outputs: Any) -> Any:
    return outputs


def uniform(x: Any) -> Any:
    return np.ones(len(x)) / 3


def tilted(angles: Any) -> Any:
    return 1 - 0.5 * np.cos(angles)


def bump(angles: Any) -> Any:
    return tilted(angles) / (2 * np.pi)


def _random(**more: Any) -> dict[str, Argument]:
    return {"seed": SEED(0), "scale": POSITIVE(1.0), **more}


def _decision() -> dict[str, Argument]:
    return {
        "window": of(number_like(least=1.0, open_=True))(10.0),
        "slack": of(number_like(least=0.0, open_=True, most=0.5))(0.1),
        "noise": POSITIVE(1e-6),
    }


RATIOS = {"ratio": POSITIVE(1.0), "heads": of(number_like(least=1.0, infinite=True))(1.0)}
LABELS = {"ax": AXES, "xlabel": TEXT("x"), "ylabel": TEXT("y")}
LIMITS = {"xlim": NUMBERS((-2.0, 2.0)), "ylim": NUMBERS((-2.0, 2.0))}

# --- rows ----------------------------------------------------------------------------------------

ROWS: dict[str, dict[str, Argument]] = {
    "Particles": {
        "points": NUMBERS(I2),
        "weights": of(array_like(single=True, none=True, least=0.0))([0.5, 0.5]),
        "positions": MAYBE_NUMBERS([0.0, 1.0]),
        "space": of(instance_of(TOKENS))(tp.Euclidean()),
    },
    "Particles.sample": {"self": ITSELF(TOKENS), "n": WHOLE(3), "seed": SEED(0)},
    "Gaussian": {
        "mean": NUMBERS([0.0, 0.0]), "factor": NUMBERS(I2), "log_scale": ARRAY(0.0),
    },
    "Gaussian.sample": {"self": ITSELF(GAUSSIAN), "n": WHOLE(3), "seed": SEED(0)},
    "Gaussian.quadrature": {"self": ITSELF(GAUSSIAN), "nodes": WHOLE(3)},
    "Gaussian.from_covariance": {"mean": NUMBERS([0.0, 0.0]), "covariance": NUMBERS(I2)},
    "Gaussian.from_particles": {"particles": PARTICLES(TOKENS)},
    "Grid": {
        "edges": of(array_like(single=True))([0.0, 1.0, 3.0]),
        "density": of(array_like(single=True, least=0.0))([0.5, 0.25]),
    },
    "Grid.sample": {"self": ITSELF(GRID), "n": WHOLE(3), "seed": SEED(0)},
    "Grid.from_density": {
        "edges": NUMBERS([0.0, 1.0, 3.0]),
        "function": of(callable_like("1", None, np.nan, [1.0], np.ones((3, 2))))(uniform),
    },
    "Grid.from_gaussian": {
        "edges": NUMBERS(np.linspace(-6, 6, 40)),
        "gaussian": A_GAUSSIAN(tp.Gaussian([0.0], factor=[[1.0]])),
    },
    "Axial": {
        "angles": of(array_like(single=True, least=0.0))([0.5, 1.0, 2.0]),
        "masses": of(array_like(single=True, least=0.0))([0.2, 0.3, 0.5]),
        "dimension": of(whole_like(least=2))(3),
    },
    "Axial.from_density": {
        "function": of(callable_like("1", None, np.nan, [1.0], np.ones((3, 2)), -1.0))(tilted),
        "dimension": of(whole_like(least=2))(3),
        "depth": of(number_like(least=0.0, open_=True, most=1.0))(1e-6),
    },
    "Axial.distance_to_dirac": {
        "self": ITSELF(EVEN_LAW), "point": NUMBERS([1.0, 0.0]), "p": ORDER(2),
    },
    "Axial.sample": {"self": ITSELF(EVEN_LAW), "n": WHOLE(3), "seed": SEED(0)},
    "Circle": {"density": of(array_like(single=True, least=0.0))(CIRCLE.density)},
    "Circle.from_density": {
        "function": of(callable_like("1", None, np.nan, [1.0], np.ones((3, 2)), -1.0))(bump),
        "n": of(whole_like(least=8))(16),
    },
    "Circle.distance_to_dirac": {
        "self": ITSELF(CIRCLE), "point": NUMBERS([0.6, 0.8]), "p": ORDER(2),
    },
    "Circle.sample": {"self": ITSELF(CIRCLE), "n": WHOLE(3), "seed": SEED(0)},
    "Sphere": {"radius": POSITIVE(1.0), "normal": MAYBE_NUMBERS([0.0, 1.0])},
    "Softmax": MATRICES,
    "L2": MATRICES,
    "Linear": MATRICES,
    "Unnormalized": MATRICES,
    "Sinkhorn": {**MATRICES, "epsilon": POSITIVE(1.0)},
    "Sigmoid": {**MATRICES, "bias": Argument(0.0, Kind(lambda v: (
            pair for pair in number_like().wrong(v) if pair[0] != "list"
        )))},
    "HeadDescent": {"scores": NUMBERS(TWO_SCORES), "mobility": MAYBE_CHOICE("harmonic")},
    "MultiHead": {"heads": of(several(instance_of(TOKENS)))([HEAD, HEAD])},
    "Masked": {
        "head": of(instance_of(TOKENS, tp.Sinkhorn(I2, I2, I2)))(HEAD), "discount": SIZE(0.5),
        "strict": FLAG(False),
    },
    "Attention.__call__": {
        "self": ITSELF(HEAD), "measure": MEASURE(TOKENS),
        "method": CHOICE("auto"), "tol": POSITIVE(1e-10),
    },
    "Attention.matrix": {
        "self": ITSELF(HEAD), "measure": PARTICLES(TOKENS),
    },
    "AffineField.__call__": {
        "self": ITSELF(tp.AffineField(I2)), "x": KNOWN(I2), "positions": MAYBE_UNUSED(None),
    },
    "attention.heads.TokenField.__call__": {
        "self": ITSELF(HEAD(TOKENS)), "x": KNOWN(I2), "positions": MAYBE_UNUSED(None),
    },
    "attention.heads.PlaneField.__call__": {
        "self": ITSELF(HEAD(PLANE)), "x": KNOWN(I2), "positions": MAYBE_UNUSED(None),
    },
    "attention.composed.MaskedField.__call__": {
        "self": ITSELF(tp.Masked(HEAD)(PLACED)), "x": KNOWN(I2), "positions": NUMBERS([0.0, 1.0]),
    },
    "attention.densities.CircleField.__call__": {
        "self": ITSELF(HEAD(CIRCLE)), "x": KNOWN(I2), "positions": MAYBE_UNUSED(None),
    },
    "attention.densities.AxialField.__call__": {
        "self": ITSELF(HEAD(EVEN_LAW)), "x": KNOWN(I2), "positions": MAYBE_UNUSED(None),
    },
    "AffineField": {"linear": NUMBERS(I2), "offset": MAYBE_NUMBERS([0.0, 1.0])},
    "Schedule": {
        "attention": Argument([HEAD, HEAD], Kind(lambda v: (
            pair for pair in several(instance_of(TOKENS)).wrong(v) if pair[0] != "function"
        ))),
        "jumps": of(array_like(single=True, least=0.0))([0.5]),
    },
    "flow": {
        "measure": MEASURE(TOKENS),
        "attention": ATTENTION(HEAD),
        "time": of(array_like(finite=False, least=0.0))([0.0, 0.1]),
        "method": MAYBE_CHOICE("DOP853"),
        "rtol": POSITIVE(1e-6), "atol": POSITIVE(1e-6), "stationary": MAYBE_POSITIVE(1e-3),
        "budget": MAYBE_WHOLE(1000), "kernel": CHOICE("auto"), "progress": FLAG(False),
    },
    "layers": {
        "measure": PARTICLES(TOKENS),
        "attention": of(instance_of(TOKENS, tp.AffineField(I2), none=True))(HEAD),
        "depth": WHOLE(2), "step": POSITIVE(0.1), "kernel": CHOICE("exact"),
        "noise": of(instance_of(TOKENS, WAVES, none=True))(WAVY), "seed": SEED(0),
    },
    "noise.NoiseKernel.__call__": {
        "self": ITSELF(WAVES), "rho": of(array_like(least=-1.0))([0.5, 1.0]),
    },
    "noise.ArcCosine": {"dimension": WHOLE(2), "bias": SIZE(0.1), "last_bias": SIZE(0.1)},
    "noise.LinearKernel": {"scale": POSITIVE(1.0), "constant": SIZE(0.1)},
    "noise.RandomFeatures": {"frequency": POSITIVE(1.0)},
    "noise.FromActivation": {
        "activation": of(callable_like("1", np.nan, [1.0, 2.0]))(np.sin),
        "derivative": of(callable_like("1", np.nan, [1.0, 2.0]))(np.cos),
        "dimension": WHOLE(2), "bias": SIZE(0.1), "last_bias": SIZE(0.1),
    },
    "noise.CommonNoise": {"kernel": KERNEL(WAVES), "width": MAYBE_WHOLE(4)},
    "noise.CommonNoise.draw": {"self": ITSELF(WAVY), "points": ARRAY(I2), "seed": SEED(0)},
    "noise.CommonNoise.step": {
        "self": ITSELF(WAVY), "particles": PARTICLES(TOKENS), "step": POSITIVE(0.1),
        "seed": SEED(0),
    },
    "sampling.proximal_attention": QUADRATIC,
    "sampling.random_layer": {"measure": PARTICLES(TOKENS), **QUADRATIC, "seed": SEED(0)},
    "sampling.Tilted": {
        "attention": PLAIN_HEAD(HEAD), "log_weight": POTENTIAL(SAMPLER.potential),
    },
    "sampling.ProximalSampler": {
        "potential": POTENTIAL(SAMPLER.potential), "gradient": POTENTIAL(SAMPLER.gradient),
        "dimension": WHOLE(2), "time": POSITIVE(0.2), "temperature": POSITIVE(1.0),
        "preconditioner": MAYBE_SYMMETRIC(I2), "nodes": WHOLE(4),
    },
    "sampling.ProximalSampler.log_normaliser": {"self": ITSELF(SAMPLER), "points": NUMBERS(I2)},
    "sampling.ProximalSampler.mean_after": {
        "self": ITSELF(SAMPLER), "measure": PARTICLES(TOKENS),
        "observable": POTENTIAL(SAMPLER.potential),
    },
    "sampling.ProximalSampler.random_layer": {
        "self": ITSELF(SAMPLER), "measure": PARTICLES(TOKENS), "lowest": NUMBER(-0.5),
        "seed": SEED(0),
    },
    # filtering
    "filtering.HiddenMarkov": {
        "transition": TRANSITION(CHAIN.transition), "emission": LAW(CHAIN.emission),
        "prior": LAW(CHAIN.prior),
    },
    "filtering.HiddenMarkov.sample": {
        "self": ITSELF(CHAIN), "length": WHOLE(3), "seed": SEED(0),
    },
    **{
        f"filtering.HiddenMarkov.{name}": {"self": ITSELF(CHAIN), "observations": SYMBOLS([0, 1])}
        for name in ("filter", "start", "likelihoods")
    },
    "filtering.HiddenMarkov.dual_layer": {
        "self": ITSELF(CHAIN), "beliefs": of(array_like(finite=False, single=True))(SEEN),
        "observations": SYMBOLS([0, 1]), "project": FLAG(False), "centred": FLAG(True),
    },
    "filtering.HiddenMarkov.dual_filter": {
        "self": ITSELF(CHAIN), "observations": SYMBOLS([0, 1]), "window": MAYBE_WHOLE(2),
        "form": CHOICE("signed"), "centred": FLAG(True),
    },
    "filtering.LinearGaussian": {
        "transition": ARRAY(KALMAN.transition), "observation": ARRAY(KALMAN.observation),
        "process_noise": of(covariance_like())(I2),
        "observation_noise": of(covariance_like(definite=True))([[1.0]]),
        "mean": ARRAY([0.0, 0.0]), "covariance": of(covariance_like())(I2),
    },
    "filtering.LinearGaussian.sample": {
        "self": ITSELF(KALMAN), "length": WHOLE(3), "seed": SEED(0),
    },
    "filtering.LinearGaussian.gain": {
        "self": ITSELF(KALMAN), "covariances": of(covariance_like(stacked=True))(I2),
    },
    **{
        f"filtering.LinearGaussian.{name}": {
            "self": ITSELF(KALMAN), "observations": NUMBERS([[0.5], [1.0]]),
        } for name in ("filter", "start")
    },
    "filtering.LinearGaussian.dual_layer": {
        "self": ITSELF(KALMAN), "beliefs": of(Kind(_wrong_beliefs))(KALMAN.start([[0.5], [1.0]])),
        "observations": NUMBERS([[0.5], [1.0]]),
    },
    "gradients.pullback": {
        "head": of(instance_of(TOKENS, tp.Sinkhorn(I2, I2, I2), tp.Masked(HEAD)))(HEAD),
        "measure": PARTICLES(TOKENS), "cotangent": ARRAY(np.ones((3, 2))),
    },
    "gradients.backpropagate": {
        "path": of(instance_of(TOKENS, TOKEN_PATH, GAUSSIAN_PATH))(TWO_LAYERS),
        "cotangent": ARRAY(np.ones((3, 2))),
    },
    "training.Heads": {"score": ARRAY(ARRAYS), "value": ARRAY(ARRAYS)},
    "training.Heads.uniform": {
        "depth": WHOLE(2), "heads": WHOLE(3), "dimension": WHOLE(2), "width": POSITIVE(1.0),
        "seed": SEED(0),
    },
    "training.Heads.run": {"self": ITSELF(NETWORK), "measure": PARTICLES(TOKENS)},
    "training.Heads.velocity": {
        "self": ITSELF(NETWORK), "measure": PARTICLES(TOKENS), "layer": of(whole_like(least=0))(1),
    },
    "training.Heads.pullback": {
        "self": ITSELF(NETWORK), "measure": PARTICLES(TOKENS),
        "cotangent": ARRAY(np.ones((3, 2))), "layer": of(whole_like(least=0))(1),
    },
    "training.Heads.backpropagate": {
        "self": ITSELF(NETWORK), "measure": PARTICLES(TOKENS),
        "cotangent": of(Kind(lambda v: (
            pair for pair in array_like().wrong(v) if pair[0] != "function"
        )))(np.ones((3, 2))),
    },
    "training.AdamW": {
        "rate": POSITIVE(0.1), "decay": SIZE(0.1), "epsilon": POSITIVE(0.01), "block": FLAG(True),
        "betas": of(array_like(single=True, least=0.0))((0.9, 0.99)),
    },
    "training.AdamW.step": {
        "self": ITSELF(RULE), "parameters": ARRAY(I2), "gradient": ARRAY(I2),
        "moments": of(instance_of(TOKENS, none=True))(None),
    },
    "training.train": {
        "heads": of(instance_of(TOKENS, HEAD))(NETWORK), "measure": PARTICLES(TOKENS),
        "target": ARRAY(np.ones((3, 2))), "rule": of(instance_of(TOKENS))(RULE),
        "steps": WHOLE(2), "scaled": FLAG(True),
    },
    "training.run_deck": {
        "deck": of(several(instance_of(TOKENS)))([HEAD, HEAD]), "measure": PARTICLES(TOKENS),
        "depth": WHOLE(2), "heads": WHOLE(2), "networks": WHOLE(2), "seed": SEED(0),
    },
    "training.two_clusters": {
        "sequences": WHOLE(2), "tokens": of(whole_like(least=2))(3), "seed": SEED(0),
        "noise": POSITIVE(0.1),
    },
    "theory.depth.depth_fluctuation": {
        "deck": of(several(instance_of(TOKENS)))([HEAD, HEAD]), "measure": PARTICLES(TOKENS),
        "depth": MAYBE_WHOLE(2),
    },
    "theory.depth.forward_bound": {
        "lipschitz": SIZE(1.0), "variance": SIZE(1.0), "acceleration": SIZE(1.0),
        "depth": WHOLE(2), "heads": WHOLE(2),
    },
    "crowd.Crowd": {
        "scores": ARRAY(np.ones((2, 2, 2))), "values": ARRAY(np.ones((2, 2, 2))),
        "masses": of(array_like(least=0.0, single=True, none=True))([0.5, 0.5]),
    },
    "crowd.Crowd.moved": {"self": ITSELF(CROWD), "parameters": ARRAY(np.ones((2, 8)))},
    "crowd.random_crowd": {
        "count": WHOLE(2), "dimension": WHOLE(2), "seed": SEED(0), "scale": POSITIVE(1.0),
    },
    "crowd.Regression": {"tokens": ARRAY(SEQUENCES), "target": ARRAY(np.ones((2, 3, 2)))},
    "crowd.Regression.taught": {
        "tokens": ARRAY(SEQUENCES), "teacher": of(instance_of(TOKENS, TASK))(CROWD),
    },
    **{
        f"crowd.Regression.{name}": {"self": ITSELF(TASK), "crowd": LEARNING["crowd"]}
        for name in ("output", "loss", "gradient", "loss_and_gradient", "hessian", "joint_hessian")
    },
    "crowd.Regression.first_variation": {
        "self": ITSELF(TASK), "crowd": LEARNING["crowd"], "scores": ARRAY([I2, 2 * I2]),
    },
    "crowd.head_flow": {
        **LEARNING, "times": of(array_like(least=0.0, single=True))([0.0, 0.1]),
        "rtol": POSITIVE(1e-4), "atol": POSITIVE(1e-4), "budget": WHOLE(100),
    },
    "crowd.descend": {**LEARNING, "step": POSITIVE(0.1), "steps": WHOLE(2), "below": SIZE(0.0)},
    "crowd.find_stall": {**LEARNING, **STALLS},
    "crowd.find_stalls": {
        "task": LEARNING["task"], "count": WHOLE(2),
        "seeds": of(several(whole_like(least=0)))([0]), **STALLS,
    },
    "crowd.split_head": {**LEARNING, "size": POSITIVE(0.1)},
    "theory.crowd.optimality_bound": {
        "slope": SIZE(1.0), "teacher_size": SIZE(1.0), "fits": FLAG(True),
    },
    "theory.crowd.waking_rate": {"first_variation": NUMBERS(I2), "mass": POSITIVE(0.1)},
    "theory.crowd.block_inertia": {
        "score": NUMBERS(I2), "mixed": NUMBERS(I2), "tolerance": POSITIVE(1e-8),
    },
    "theory.crowd.split_change": {
        "eigenvalue": NUMBER(-1.0), "mass": POSITIVE(0.5), "size": POSITIVE(0.1),
    },
    "theory.crowd.escape_time": {
        "eigenvalue": NUMBER(-1.0), "factor": of(number_like(least=1.0, open_=True))(10.0),
        "step": MAYBE_POSITIVE(1.0),
    },
    "Trajectory.__call__": {
        "self": ITSELF(TOKEN_PATH),
        "t": of(number_like(least=0.0, most=0.1))(0.05),
    },
    "Trajectory.carry": {
        "self": ITSELF(TOKEN_PATH), "points": NUMBERS([[0.0, 1.0]]),
        "positions": MAYBE_NUMBERS([0.0]),
    },
    "wasserstein": {"mu": MEASURE(TOKENS), "nu": of(instance_of(GAUSSIAN))(OTHERS), "p": ORDER(2)},
    "conditional_wasserstein": {
        "mu": PARTICLES(PLACED), "nu": of(instance_of(GAUSSIAN, TOKENS))(PLACED), "p": ORDER(2),
    },
    "bures": {"X": NUMBERS(I2), "Y": NUMBERS(2 * I2)},
    # spectra, convergence, disc
    **{
        f"spectra.{name}": {"covariance": of(array_like(single=True))(I2)}
        for name in ("effective_rank", "participation_ratio",
        "log_condition_number", "log_spectrum")
    },
    "spectra.decide_rank": {"path": GAUSSIAN_FLOW(GAUSSIAN_PATH), **_decision()},
    "spectra.decide_decay": {
        "times": of(array_like(single=True))(GEOMETRIC),
        "log_eigenvalues": KNOWN(np.zeros((len(GEOMETRIC), 2))), **_decision(),
    },
    "convergence.fitted_order": {
        "x": POSITIVE_ARRAY([1.0, 2.0, 4.0]), "errors": POSITIVE_ARRAY([4.0, 2.0, 1.0]),
    },
    "convergence.seed_order": {
        "x": POSITIVE_ARRAY([1.0, 2.0, 4.0]), "samples": POSITIVE_ARRAY([[4.0, 2.0, 1.0]] * 2),
    },
    "convergence.bernstein_parameter": {
        "points": Argument(
            [0.75j, 2.0], Kind(lambda v: (
                pair for pair in array_like().wrong(np.abs(v)) if "complex" not in pair[0]
            )),
        ),
    },
    "disc.cone_coordinates": {"covariances": of(array_like(finite=False, single=True))(I2)},
    "disc.disc_coordinates": {"covariances": of(array_like(finite=False, single=True))(I2)},
    "disc.covariances_at": {"points": NUMBERS([0.0, 0.5])},
    "disc.disc_covariances": {
        "rings": of(whole_like(least=2))(3), "rays": of(whole_like(least=2))(5),
        "radius": of(number_like(least=0.0, open_=True, most=1.0))(0.5),
    },
    "disc.disc_gaussians": {
        "side": WHOLE(5), "inside": of(number_like(least=0.0, open_=True, most=1.0))(0.9),
    },
    "disc.isotropic_directions": {"form": NUMBERS(ANTI)},
    # energies
    **{
        f"energy.{name}": {"measure": TOKENS_OR_GAUSSIAN(TOKENS), "score": NUMBERS(I2), **more}
        for name, more in {
            "interaction_energy": {},
            "interaction_dissipation": {"normalised": FLAG(True)},
            "twisted_energy": {},
            "twisted_dissipation": {"mobility": MAYBE_NUMBERS(I2)},
            "sinkhorn_energy": {"epsilon": POSITIVE(1.0)},
            "sinkhorn_dissipation": {"epsilon": POSITIVE(1.0)},
        }.items()
    },
    "energy.heads_energy": HEADS_OF,
    "energy.heads_power": {**HEADS_OF, "rates": NUMBERS(TWO_SCORES)},
    "energy.heads_dissipation": {
        **HEADS_OF, "mobility": MAYBE_CHOICE("harmonic"),
        "attention": of(instance_of(TOKENS, tp.AffineField(I2), none=True))(HEAD),
    },
    "energy.heads_balance": {
        "path": of(instance_of(TOKENS, GAUSSIAN_PATH))(TOKEN_PATH),
        "scores": of(callable_like("1", np.nan, None))(lambda t: TWO_SCORES),
        "rates": of(callable_like("1", np.nan, None))(lambda t: 0 * TWO_SCORES),
        "attention": of(instance_of(TOKENS, tp.AffineField(I2), none=True))(HEAD),
        "mobility": MAYBE_CHOICE("harmonic"),
    },
    "energy.energy_residual": {
        "path": PATH(TOKEN_PATH),
        "energy": of(callable_like("1", np.nan, None))(energy),
        "rate": of(callable_like("1", np.nan, None))(lambda mu: 0.0),
    },
    "energy.twisted_curvatures": {"gaussian": A_SMALL_GAUSSIAN(GAUSSIAN), "score": NUMBERS(I2)},
    "energy.wasserstein_gradient": {
        "measure": PARTICLES(TOKENS),
        "energy": of(callable_like("1", np.nan, None, [1.0, 2.0]))(energy),
    },
    "energy.gradient_defect": {"measure": PARTICLES(TOKENS), "attention": ATTENTION(HEAD)},
    "energy.bures_gradient": {
        "measure": TOKENS_OR_GAUSSIAN(TOKENS), "gradient": NUMBERS(I2),
        "mobility": MAYBE_NUMBERS(I2),
    },
    "energy.bures_geodesic": {
        "gaussian": A_SMALL_GAUSSIAN(GAUSSIAN), "other": A_SMALL_GAUSSIAN(GAUSSIAN),
        "s": of(array_like(least=0.0))([0.0, 0.5]),
    },
    "theory.real.affine_share": {
        "queries": ARRAY(COLUMN), "outputs": ARRAY(COLUMN**2), "leave_one_out": FLAG(True),
    },
    "theory.real.explained_share": {"outputs": ARRAY(COLUMN), "predicted": ARRAY(COLUMN)},
    "theory.real.gaussian_outputs": {
        **HEAD_ARRAYS, "exact": of(whole_like(least=0))(1),
    },
    "theory.real.third_cumulant": {**HEAD_ARRAYS, "inverse_temperature": NUMBER(0.5)},
    "theory.real.stein_slope": HEAD_ARRAYS,
    "theory.real.sink_covariance": {
        "share": of(number_like(least=0.0, most=1.0))(0.5), "sink": NUMBERS([1.0, 0.0]),
        "mean": NUMBERS([0.0, 0.0]), "covariance": NUMBERS(I2),
    },
    "theory.real.tilted_mean_covariance": {
        "covariance": NUMBERS(I2), "tilt": NUMBERS([1.0, 0.0]),
        "other": MAYBE_NUMBERS([1.0, 0.0]),
    },
    "theory.real.slope_share": HEAD_ARRAYS,
    "theory.real.affine_law": {
        "spread": POSITIVE(1.0), "share": POSITIVE(0.2), "n": WHOLE(512),
    },
    "theory.real.freezing_spreads": {"n": WHOLE(512)},
    "theory.real.impossible_share": {"queries": ARRAY(COLUMN), "keys": ARRAY(COLUMN)},
    "theory.real.collapse_bound": {
        "attention": of(instance_of(TOKENS, tp.Masked(HEAD), tp.L2(I2, I2, I2)))(HEAD),
        "diameter": DEPTHS([0.0, 1.0]), "lifted": FLAG(False),
    },
    "theory.real.consensus_jacobian": {
        "gain": NUMBERS([1.0, 2.0]), "value": NUMBERS(I2), "token": NUMBERS([1.0, 0.0]),
        "constant": MAYBE_NUMBERS([0.0, 0.5]),
    },
    "theory.real.gain_axis": {"gain": of(array_like(single=True, least=1.0))([1.0, 2.0])},
    "theory.context.fluctuation_covariance": {
        "attention": PLAIN_SOFTMAX, "context": A_KNOWN_GAUSSIAN(GAUSSIAN),
        "point": NUMBERS([1.0, 0.0]), "other": MAYBE_NUMBERS([1.0, 0.0]),
    },
    "theory.context.fluctuation_bias": {
        "attention": PLAIN_SOFTMAX, "context": A_KNOWN_GAUSSIAN(GAUSSIAN),
        "point": NUMBERS([1.0, 0.0]),
    },
    "theory.context.effective_context": {
        "attention": PLAIN_SOFTMAX, "context": A_KNOWN_GAUSSIAN(GAUSSIAN),
        "point": NUMBERS([1.0, 0.0]), "n": WHOLE(9),
    },
    "theory.context.frozen_context_variance": {
        "attention": PLAIN_SOFTMAX, "context": A_KNOWN_GAUSSIAN(GAUSSIAN),
        "point": NUMBERS([1.0, 0.0]), "time": POSITIVE(0.5),
    },
    "theory.context.context_errors": {
        "attention": PLAIN_SOFTMAX, "context": A_KNOWN_GAUSSIAN(GAUSSIAN),
        "point": NUMBERS([1.0, 0.0]), "times": DEPTHS([0.0, 0.1]), "n": WHOLE(3),
        "draws": WHOLE(2), "seed": SEED(0), "frozen": FLAG(False),
    },
    "theory.context.moving_context_constant": {
        "score": NUMBER(0.2), "time": POSITIVE(0.1), "label": NUMBER(0.5),
    },
    "theory.context.context_bound": {
        "attention": ATTENTION(HEAD), "radius": POSITIVE(1.0), "time": POSITIVE(0.1),
        "n": WHOLE(9),
    },
    "theory.context.sharp_context_constant": {
        "inverse_temperature": DEPTHS([0.0, 1.0]), "dimension": WHOLE(2),
    },
    "theory.context.sharp_context_order": {
        "sharpness": of(number_like(least=0.0, most=1.0))(0.5), "dimension": WHOLE(2),
    },
    "theory.sampling.proximal_covariance": {"covariance": SYMMETRIC(I2), **QUADRATIC},
    "theory.sampling.stationary_covariance": QUADRATIC,
    "theory.sampling.langevin_covariance": {
        "hessian": SYMMETRIC(I2), "step": POSITIVE(0.1), "temperature": POSITIVE(1.0),
    },
    "theory.sampling.proximal_rates": {
        "hessian": SYMMETRIC(I2), "time": POSITIVE(0.2), "preconditioner": MAYBE_SYMMETRIC(I2),
    },
    "theory.sampling.mode_rates": {
        "orders": DEPTHS([1.0, 2.0]), "curvature": POSITIVE(1.0), "time": POSITIVE(0.2),
    },
    "theory.sampling.crystal_radius": {
        "count": of(whole_like(least=2))(5), "curvature": POSITIVE(1.0), "time": POSITIVE(0.2),
        "temperature": POSITIVE(1.0), "centre": FLAG(False),
    },
    "theory.sampling.stable_steps": {"curvature": POSITIVE(1.0), "time": POSITIVE(0.2)},
    "theory.synchrony.lyapunov": {**PAIR, "value": NUMBER(-1.0)},
    "theory.synchrony.moment_exponent": {**PAIR, "order": NUMBER(0.5), "value": NUMBER(-1.0)},
    "theory.synchrony.energy_exponent": PAIR,
    "theory.synchrony.pair_drift": {**PAIR, **PAIR_ANGLES},
    "theory.synchrony.pair_density": {**PAIR, **PAIR_ANGLES},
    "theory.synchrony.joining_probability": {
        **PAIR, "angle": of(number_like(least=0.0, most=np.pi))(1.0),
    },
    "theory.synchrony.contraction_rate": {**PAIR, "order": INSIDE(0.5)},
    "theory.synchrony.mean_energy": {
        **PAIR, "start": of(array_like(least=0.0))(0.5), "times": DEPTHS([0.0, 0.1]),
        "order": POSITIVE(1.0),
    },
    "theory.synchrony.layer_exponents": {
        "noise": of(instance_of(TOKENS, WAVES))(WAVY), "dimension": WHOLE(3),
        "step": POSITIVE(0.1), "depth": WHOLE(2), "replicas": WHOLE(2), "seed": SEED(0),
        "attention": of(instance_of(TOKENS, tp.AffineField(I2), none=True))(None),
    },
    "theory.inference.dobrushin": {"transition": TRANSITION(CHAIN.transition)},
    "theory.inference.layer_contraction": {"model": A_CHAIN(CHAIN)},
    "theory.inference.layer_errors": {
        "model": A_CHAIN(CHAIN), "beliefs": LAW(SEEN), "observations": SYMBOLS([0, 1]),
    },
    "theory.inference.two_state_factor": {
        name: of(number_like(least=0.0, open_=True, most=0.5))(0.1) for name in ("flip", "error")
    },
    "theory.inference.critical_flip": {
        "error": of(number_like(least=0.0, open_=True, most=0.5))(0.3),
    },
    "theory.inference.newton_errors": {
        "model": A_KALMAN(KALMAN),
        "covariances": of(covariance_like(stacked=True))(np.array([I2, I2])),
    },
    "theory.inference.mass_growth": {
        "model": A_CHAIN(CHAIN), "observations": SYMBOLS([0, 1]), "window": MAYBE_WHOLE(2),
    },
    "theory.retrieval.gain": {
        "beta": POSITIVE(1.0), "order": of(array_like(least=1.0))([1.0, 2.0]),
        "normalised": FLAG(False),
    },
    "theory.retrieval.second_gain": {"beta": POSITIVE(1.0), "order": WHOLE(1)},
    "theory.retrieval.codeword_weights": {
        "words": WHOLE(8), "order": of(array_like(least=1.0))([1.0, 2.0]),
    },
    "theory.retrieval.path_sum": {"strength": ARRAY([1.0, 2.0]), "length": DEPTHS([0.0, 1.0])},
    "theory.retrieval.correlation": {
        "gain": ARRAY([1.0, -2.0]), "time": POSITIVE(1.0), "discount": SIZE(1.0),
        "source": of(array_like(least=0.0))([0.2, 0.5]), "position": INSIDE(0.5),
    },
    "theory.retrieval.profile": {
        "gains": ARRAY([1.0, 0.5]), "time": POSITIVE(1.0), "discount": SIZE(1.0),
        "source": of(array_like(least=0.0))([0.2, 0.5]), "shares": MAYBE_NUMBERS([1.0, 0.5]),
    },
    "theory.retrieval.critical_time": {
        "gains": ARRAY([1.0, 0.5]), "discount": SIZE(1.0), "shares": MAYBE_NUMBERS([1.0, 0.5]),
    },
    "theory.retrieval.critical_points": {
        "gains": DEPTHS([1.0, 0.5]), "time": POSITIVE(1.0), "discount": SIZE(1.0),
        "shares": MAYBE_NUMBERS([1.0, 0.5]),
    },
    "theory.retrieval.discount_weights": {"n": WHOLE(3), "discount": SIZE(1.0)},
    "theory.retrieval.rollout": {
        "gains": ARRAY([1.0]), "time": POSITIVE(1.0), "weights": NUMBERS(I2),
    },
    "causal_circle.CausalCircle": {
        "beta": of(array_like(least=0.0))([1.0, 2.0]), "discount": DEPTHS([0.0, 1.0]),
        "gain": ARRAY([1.0, -1.0]), "normalised": FLAG(False), "modes": MAYBE_WHOLE(8),
    },
    "causal_circle.CausalCircle.weights": {"self": ITSELF(CAUSAL), "n": WHOLE(3)},
    "causal_circle.CausalCircle.field": {"self": ITSELF(CAUSAL), "angles": NUMBERS([0.0, 1.0])},
    "causal_circle.CausalCircle.adjoint": {
        "self": ITSELF(CAUSAL), "angles": NUMBERS([0.0, 1.0]), "covector": NUMBERS([0.0, 1.0]),
    },
    "causal_circle.CausalCircle.path": {
        "self": ITSELF(CAUSAL), "angles": NUMBERS([0.0, 1.0]), "time": POSITIVE(1.0),
        "steps": WHOLE(2),
    },
    "causal_circle.CausalCircle.sensitivity": {
        "self": ITSELF(CAUSAL), "angles": NUMBERS([0.0, 1.0]), "time": POSITIVE(1.0),
        "steps": WHOLE(2),
    },
    "causal_circle.retrieval_correlations": {
        "circle": of(instance_of(TOKENS, HEAD))(CAUSAL), "n": of(whole_like(least=2))(3),
        "time": POSITIVE(1.0), "orders": of(array_like(least=1.0))([1.0, 2.0]),
        "replicas": of(whole_like(least=8))(8), "seed": SEED(0), "steps": WHOLE(2),
        "control": FLAG(True),
    },
    # models
    "models.folder": {"name": TEXT("all-MiniLM-L6-v2")},
    "models.read": {"folder": Argument(tiny_folder, Kind(_wrong_text), made=True)},
    "models.lift": {"points": NUMBERS(I2)},
    "models.score_spread": {
        "head": of(instance_of(TOKENS, tp.L2(I2, I2, I2)))(HEAD),
        "measure": PARTICLES(TOKENS), "each": FLAG(False),
    },
    "models.cut": {"ids": IDS([1, 7, 5, 2]), "n": WHOLE(3)},
    "models.mean_cosine": {"points": ARRAY(I2)},
    "models.head_table": {"model": MODEL(TINY), "path": MODEL_PATH(TINY_PATH)},
    "models.twin_table": {
        "model": MODEL(TINY), "path": MODEL_PATH(TINY_PATH), "seeds": IDS([0]),
    },
    "models.survey": {"model": MODEL(TINY), "path": MODEL_PATH(TINY_PATH)},
    "models.replacement": {
        "model": MODEL(TINY), "path": MODEL_PATH(TINY_PATH),
        "chosen": of(Kind(_wrong_flags))(np.eye(2, 4, dtype=bool)), "by": CHOICE("affine"),
    },
    "models.Model.__call__": {
        "self": ITSELF(TINY), "tokens": of(either_none(IDS([1]).kind))([1, 7]),
        "start": MAYBE_UNUSED(None),
        "layers": of(either_none(several(whole_like(least=0))))([0, 1]),
        "skip": FLAG(True), "feed_forward": FLAG(True), "norm": FLAG(True),
        "attention": FLAG(True),
        "edit": of(either_none(callable_like("1", None, [1.0], np.ones((4, 3, 6)))))(edited),
    },
    "models.Model.layer": {
        "self": ITSELF(TINY), "layer": LAYER(1), "points": ARRAY(TINY_PATH.points[0]),
        "skip": FLAG(True), "feed_forward": FLAG(True), "norm": FLAG(True),
        "attention": FLAG(True), "edit": MAYBE_UNUSED(None),
    },
    "models.Model.projections": {
        "self": ITSELF(TINY), "layer": LAYER(1), "tokens": ARRAY(TINY_PATH.points[0]),
    },
    "models.Model.measure": {
        "self": ITSELF(TINY), "layer": LAYER(1), "points": ARRAY(TINY_PATH.points[0]),
    },
    "models.Model.head": {"self": ITSELF(TINY), "layer": LAYER(1), "head": LAYER(1)},
    "models.Model.attention": {"self": ITSELF(TINY), "layer": LAYER(1)},
    "models.Model.bias": {"self": ITSELF(TINY), "layer": LAYER(1)},
    "models.Model.randomised": {
        "self": ITSELF(TINY), "scale": POSITIVE(0.02), "seed": SEED(0),
    },
    "models.Model.with_weights": {
        "self": ITSELF(TINY), "changes": of(named(array_like()))({GAIN: np.ones(24)}),
    },
    "models.TokenPath.__call__": {"self": ITSELF(TINY_PATH), "layer": LAYER(1)},
    "models.twin": {"measure": PARTICLES(TOKENS), "seed": SEED(0)},
    # ensembles
    "ensembles.case_seed": {"seed": SEED(0), "case": COUNT(1)},
    "ensembles.ornstein_uhlenbeck_heads": {
        "heads": WHOLE(2), "d": WHOLE(2), "seed": SEED(0), "start": MAYBE_NUMBERS(I2),
        "times": of(array_like(single=True))([0.0, 0.1]),
    },
    "ensembles.random_matrix": _random(
        rows=WHOLE(2), columns=WHOLE(2), law=CHOICE("gaussian"), cases=MAYBE_WHOLE(2),
    ),
    "ensembles.random_head": _random(
        d=WHOLE(2), k=MAYBE_WHOLE(2), law=CHOICE("gaussian"), key=CHOICE("free"),
        value=CHOICE("gaussian"), value_scale=POSITIVE(1.0), cases=MAYBE_WHOLE(2),
        signature=of(either_none(several(whole_like(least=0))))([1, 1]),
    ),
    "ensembles.random_gaussians": _random(
        d=WHOLE(2), rank=MAYBE_WHOLE(2), mean_scale=of(number_like(least=0.0))(1.0),
        trace=MAYBE_POSITIVE(1.0), cases=MAYBE_WHOLE(2),
    ),
    "ensembles.random_tokens": _random(n=WHOLE(3), d=WHOLE(2), law=CHOICE("ball")),
    "ensembles.sweep": {
        "function": Argument(first, Kind(lambda v: (
            pair for pair in callable_like().wrong(v) if pair[0] != "class"
        ))),
        "cases": Argument([1, 2], Kind(lambda v: iter([
            ("none", None), ("number", 3), ("text", "12"), ("bytes", b"12"), ("class", int),
            ("function", abs), ("object", object()),
        ]))),
        "seed": of(either_none(Kind(_wrong_seed)))(0),
        "jobs": of(either_none(whole_like()))(1),
        "on_error": CHOICE("raise"), "progress": FLAG(False),
    },
    "conventions.Convention.drawn": {
        "self": ITSELF(conventions.TABLE["causal mask"]),
        "seed": SEED(0),
    },
    "conventions.Convention.gap": {
        "self": ITSELF(conventions.TABLE["causal mask"]),
        "seed": SEED(0),
    },
    # theory
    "theory.support_radius": {
        "attention": ATTENTION(HEAD), "radius": POSITIVE(1.0), "time": DEPTHS([0.0, 1.0]),
    },
    "theory.lipschitz_bounds": {
        "attention": ATTENTION(HEAD), "radius": POSITIVE(1.0),
        "p": of(number_like(least=1.0, infinite=True))(2.0),
    },
    "theory.stability_bound": {
        "attention": ATTENTION(HEAD), "radius": POSITIVE(1.0), "time": DEPTHS([0.0, 0.1]),
        "p": of(number_like(least=1.0, infinite=True))(1.0), "log": FLAG(False),
        "backward": FLAG(False),
    },
    "theory.order_bounds": {
        "attention": ATTENTION(HEAD), "radius": POSITIVE(1.0),
        "p": of(number_like(least=1.0, infinite=True))(1.0),
    },
    "theory.picard_iterates": {
        "measure": PARTICLES(TOKENS), "attention": ATTENTION(HEAD), "time": POSITIVE(0.1),
        "steps": WHOLE(2), "count": WHOLE(2),
    },
    "theory.picard_bound": {
        "attention": ATTENTION(HEAD), "radius": POSITIVE(1.0), "time": POSITIVE(0.1),
        "count": WHOLE(2), "log": FLAG(False),
    },
    "theory.steepest_pair": {
        "attention": ATTENTION(HEAD), "radius": POSITIVE(1.0), "seed": SEED(0), "steps": WHOLE(2),
    },
    "theory.blowup_time": {"attention": ATTENTION(HEAD), "gaussian": A_KNOWN_GAUSSIAN(GAUSSIAN)},
    "theory.closed_form_covariance": {
        "attention": ATTENTION(HEAD), "gaussian": A_KNOWN_GAUSSIAN(GAUSSIAN),
        "time": DEPTHS([0.0, 0.1]),
    },
    "theory.limit_covariance": {"attention": ATTENTION(HEAD),
        "gaussian": A_KNOWN_GAUSSIAN(GAUSSIAN)},
    "theory.stationary_rank_bound": {"attention": ATTENTION(HEAD)},
    "theory.growth_bound": {"attention": ATTENTION(HEAD), "gaussian": MAYBE_GAUSSIAN(GAUSSIAN)},
    "theory.log_growth_bound": {
        "attention": ATTENTION(HEAD), "gaussian": A_KNOWN_GAUSSIAN(GAUSSIAN),
        "time": DEPTHS([0.0, 0.1]),
    },
    "theory.blowup_bound": {
        "attention": ATTENTION(HEAD), "gaussian": A_KNOWN_GAUSSIAN(GAUSSIAN),
    },
    "theory.departure.mixture_velocity": {
        "head": of(instance_of(TOKENS, tp.Masked(HEAD)))(HEAD),
        "components": of(instance_of(TOKENS, GAUSSIAN, GRID))(GAUSSIANS),
        "weights": of(array_like(single=True, least=0.0))([0.5, 0.5]),
        "points": ARRAY([[1.0, 0.0]]),
    },
    "theory.departure.kurtosis_rate": {
        "head": of(instance_of(TOKENS, tp.Masked(HEAD)))(HEAD),
        "gaussian": of(instance_of(TOKENS, GRID, GAUSSIANS))(GAUSSIAN), "nodes": WHOLE(8),
    },
    "theory.departure.cumulant_growth": {
        "head": of(instance_of(TOKENS, tp.Masked(HEAD)))(LINE_HEAD),
        "start": of(array_like(least=0.0))(1.0), "order": of(whole_like(least=3))(3),
        "time": DEPTHS([0.0, 0.1]),
    },
    "theory.mean_field.twin_bound": {
        "attention": ATTENTION(HEAD), "radius": POSITIVE(1.0), "time": DEPTHS([0.0, 0.1]),
        "log": FLAG(False),
    },
    "theory.mean_field.masked_bounds": {
        "attention": ATTENTION(tp.Masked(HEAD)), "radius": POSITIVE(1.0),
        "p": of(number_like(least=1.0, infinite=True))(2.0),
    },
    "theory.mean_field.masked_limit": {
        "attention": ATTENTION(tp.Masked(LINE_HEAD)),
        "start": of(callable_like("1", [1.0, 2.0], np.nan))(np.multiply),
        "time": POSITIVE(0.1), "tol": POSITIVE(1e-4),
    },
    "theory.variance": {
        "attention": ATTENTION(LINE_HEAD),
        "start": of(array_like(least=0.0))(1.0), "time": DEPTHS([0.0, 1.0]),
    },
    "theory.pure_state_spectrum": {
        **PURE_STATE, "score": of(number_like(none=True))(0.3),
    },
    "theory.pure_state_is_stable": PURE_STATE,
    "theory.split_threshold": {
        "strength": DEPTHS([0.5, 1.0]), "ratio": DEPTHS([1.0, 2.0]),
    },
    "theory.stable_splits": {
        "n": of(whole_like(least=2))(4), "strength": DEPTHS([0.5, 1.0]),
        "share": ARRAY([0.1, 0.2]),
    },
    "theory.leader_thresholds": {"eigenvalues": NUMBERS([-1.0, -5.0]), "beta": POSITIVE(0.05)},
    "theory.cone_bound": {
        "eigenvalues": NUMBERS([1.0, 0.5]), "coordinates": NUMBERS([[1.0, 2.0], [3.0, 0.0]]),
        "time": DEPTHS([0.0, 1.0]),
    },
    "theory.mixed_states": {
        "eigenvalues": NUMBERS([2.0, -3.0]), "counts": POSITIVE_ARRAY([1.0, 1.0]),
        "beta": POSITIVE(1.5),
    },
    "theory.head_descent.opposed_angle": {
        **OPPOSED, "start": of(array_like(least=0.0))([0.3, 0.4]), "time": DEPTHS([0.0, 1.0]),
    },
    "theory.head_descent.opposed_energy": {**OPPOSED, "angle": ARRAY([0.3, 0.4])},
    "theory.head_descent.opposed_valley": OPPOSED,
    "theory.head_descent.dissipation_bound": {
        "energy": SIZE(0.5), "size": SIZE(1.0), "variation": SIZE(2.0),
    },
    "theory.head_descent.ornstein_uhlenbeck_law": {"degrees": WHOLE(2)},
    "theory.one_cluster.axial_shift": {
        "measure": of(instance_of(TOKENS, CIRCLE))(EVEN_LAW), "time": DEPTHS([0.0, 1.0]),
    },
    "theory.one_cluster.poisson_mean": {"start": INSIDE(0.3), "time": DEPTHS([0.0, 1.0])},
    "theory.one_cluster.boosted_mean": {"start": INSIDE(0.3), "time": DEPTHS([0.0, 1.0])},
    "theory.one_cluster.clustering_rate": {
        "beta": SIZE(0.5), "dimension": of(whole_like(least=2))(3), "p": ORDER(2),
        "order": of(number_like(least=-2.0, open_=True))(0.0), "normalized": FLAG(False),
    },
    "theory.one_cluster.two_cluster_threshold": {
        "heavier": POSITIVE(0.9), "lighter": POSITIVE(0.1),
    },
    "theory.one_cluster.arc_rate": {
        "beta": SIZE(0.5), "heavier": POSITIVE(0.9), "lighter": POSITIVE(0.1),
        "normalized": FLAG(False),
    },
    "theory.one_cluster.mode_rates": {
        "beta": POSITIVE(0.5), "dimension": of(whole_like(least=2))(3),
        "degrees": of(array_like(least=0.0))([1.0, 2.0]), "normalized": FLAG(False),
    },
    "theory.low_temperature.zero_temperature_path": {
        "head": PLANAR_HEAD(HEAD), "points": NUMBERS(I2), "time": DEPTHS([0.0, 0.1]),
    },
    **{
        f"theory.low_temperature.zero_temperature_{name}": {
            "head": PLANAR_HEAD(HEAD), "points": NUMBERS(I2),
        }
        for name in ("limit", "rate")
    },
    "theory.low_temperature.uniform_mean": {
        "concentration": of(array_like(least=0.0))([1.0, 2.0]),
        "dimension": of(whole_like(least=2))(3),
    },
    "theory.low_temperature.laplace_mean": {
        "direction": NUMBERS([0.6, 0.8]), "concentration": POSITIVE(9.0),
        "gradient": NUMBERS([0.8, -0.6]),
    },
    "theory.low_temperature.laplace_bound": {
        "concentration": of(array_like(least=2.0))([2.0, 3.0]),
        "dimension": of(whole_like(least=2))(3), "mass": POSITIVE(1.0),
    },
    "theory.low_temperature.concentration_times": {
        "values": NUMBERS([1.0, 0.5]), "scores": NUMBERS([0.1, 1.0]),
    },
    "theory.low_temperature.concentration_constant": {
        "values": NUMBERS([1.0, 0.5]), "scores": NUMBERS([0.1, 1.0]), "ratio": POSITIVE(0.05),
    },
    "theory.low_temperature.tangent_model": {
        "values": NUMBERS([1.0, 0.5]), "scores": NUMBERS([0.1, 1.0]), "beta": POSITIVE(50.0),
        "mean": NUMBER(0.01), "spread": POSITIVE(0.1), "time": DEPTHS([0.0, 1.0]),
    },
    "theory.low_temperature.fastest_degree": {
        "beta": POSITIVE(10.0), "dimension": of(whole_like(least=2))(3),
    },
    "theory.random_heads.score_edge": RATIOS,
    "theory.random_heads.typical_blowup_time": RATIOS,
    "theory.random_heads.score_density": {"x": ARRAY([0.0, 1.0]), **RATIOS},
    "theory.random_heads.typical_ranks": {
        "time": of(number_like(least=0.0, most=0.3))(0.1), **RATIOS,
    },
    "theory.freezing.tilted_means": {
        "log_n": POSITIVE(3.0), "tilts": NUMBERS([0.5, 1.0]), "draws": WHOLE(2), "seed": SEED(0),
    },
    "theory.freezing.departure_tilt": {
        "means": NUMBERS([1.0, 1.5, 1.6]), "tilts": POSITIVE_ARRAY([1.0, 2.0, 3.0]),
        "tolerance": of(number_like(least=0.0, open_=True, most=1.0))(0.1),
    },
    "theory.freezing.cut_tilt": {
        "log_n": POSITIVE(10.0),
        "tolerance": of(number_like(least=0.0, open_=True, most=1.0))(0.1),
    },
    "theory.freezing.line_velocity": {"points": NUMBERS([-1.0, 1.0]), "tol": POSITIVE(1e-8)},
    "theory.freezing.line_flow": {
        "points": NUMBERS([-1.0, 1.0]),
        "times": of(array_like(single=True, least=0.0))([0.0, 0.1]),
    },
    "theory.small_tokens.small_token_terms": {
        "head": of(instance_of(TOKENS, tp.Masked(HEAD)))(HEAD), "tokens": PARTICLES(TOKENS),
    },
    "theory.clustering.rescaled": {"head": PLANAR_HEAD(HEAD)},
    "theory.clustering.clusters": {"points": NUMBERS([0.0, 1.0]), "distance": POSITIVE(0.2)},
    "theory.stationary.ray_rates": {
        "head": PLANAR_HEAD(tp.Softmax(ANTI, I2, ANTI)), "direction": NUMBERS([1.0, 1.0]),
        "size": POSITIVE(1.0),
    },
    "theory.stationary.observed_rates": {
        "head": PLANAR_HEAD(tp.Softmax(ANTI, I2, ANTI)), "direction": NUMBERS([1.0, 1.0]),
        "span": POSITIVE(0.1),
    },
    "theory.stationary.least_departure": {
        "form": NUMBERS(ANTI), "rank": WHOLE(1), "seed": SEED(0), "starts": WHOLE(2),
    },
    "theory.stationary.self_similar": {
        "head": PLANAR_HEAD(tp.Softmax(ANTI, I2, -ANTI)), "guess": NUMBERS(np.diag([0.6, 0.4])),
    },
    "theory.stationary.dividing_curve": {
        "head": PLANAR_HEAD(tp.Softmax(ANTI, I2, -ANTI)), "guess": NUMBERS(I2),
    },
    # records, figures, explorers
    "records.digest": {
        "arrays": Argument([1.0, 2.0], Kind(lambda v: (
            pair for pair in array_like(finite=False).wrong(v)
            if pair[0] not in ("truth values", "empty", "empty rows")
        ))),
        "digits": WHOLE(6)},
    "records.load": {
        "name": TEXT("trad_rank_1"),
        "folder": Argument(stored, Kind(lambda v: iter([
            ("none", None), ("number", 3), ("bytes", b"a"), ("class", str), ("empty", ""),
        ])), made=True),
    },
    "records.outline": {"data": of(instance_of(TOKENS))(DATA)},
    "records.picture": {
        "figure": Argument(plt.figure, Kind(lambda v: strangers()), made=True),
    },
    "figures.names": {},
    "figures.describe": {"name": CHOICE("trad_rank_1")},
    "figures.data": {"name": CHOICE("trad_rank_1")},
    "figures.draw": {
        "name": CHOICE("trad_rank_1"), "data": Argument(
            None, Kind(lambda v: instance_of(TOKENS, none=True).wrong(DATA))
        ),
        "figure": Argument(None, Kind(lambda v: ((n, x) for n, x in strangers() if n != "none"))),
    },
    "figures.make": {
        "name": CHOICE("trad_rank_1"),
        "out": Argument("made", Kind(lambda v: iter([
            ("none", None), ("number", 3), ("bytes", b"a"), ("class", str), ("empty", ""),
        ]))),
        "format": CHOICE("png"), "overwrite": FLAG(False),
    },
    "figures.covariance_paths.planar_paths": {
        "attention": ATTENTION(HEAD), "starts": NUMBERS(I2[None]),
        "places": of(array_like(single=True))([0.0, 1.0]), "rtol": POSITIVE(1e-6),
    },
    "widgets.Slider": {
        "values": Argument([0.0, 1.0], Kind(lambda v: iter([
            *((n, x) for n, x in strangers() if n not in ("set", "dictionary")),
            *hidden(v), ("one", [1.0]), ("nan", [0.0, np.nan]), ("mixed", [0.0, "a"]),
            ("falling", [1.0, 0.0]), ("truth values", [False, True]),
            ("bytes in it", [b"a", b"b"]),
        ]))),
        "label": TEXT("depth"), "start": Argument(0.0, Kind(lambda v: (
            (n, x) for n, x in strangers() if n not in ("none",)
        ))),
    },
    "widgets.Explorer": {
        "draw": of(callable_like())(draw), "alt": TEXT("It turns."), "caption": TEXT("A line."),
        "size": of(several(number_like(least=0.0, open_=True)))((1.0, 1.0)), "digits": WHOLE(6),
        "sliders": Argument(Slider([0, 1], "slope"), instance_of()),
    },
    # plotting
    "plotting.attention_style": {
        "attention": Argument("Softmax", Kind(lambda v: iter([
            *((n, x) for n, x in strangers()), ("unknown", "cosine"), ("list", ["Softmax"]),
            ("array", np.array(["Softmax"])),
        ]))),
    },
    "plotting.plot_attention_matrix": {
        "matrix": NUMBERS(I2), "ax": AXES, "colorbar": FLAG(False),
        "cmap": MAYBE_CHOICE("viridis"),
    },
    "plotting.plot_field": {
        "field": FIELD(tp.AffineField(I2)), **LIMITS, "count": WHOLE(3), "ax": AXES,
        "color": COLOUR("red"),
    },
    "plotting.plot_attention_matrices": {
        "attentions": of(named(instance_of(TOKENS)))({"a": HEAD}), "tokens": PARTICLES(TOKENS),
        "limit": MAYBE_POSITIVE(1.0), "columns": WHOLE(2),
    },
    "plotting.plot_attention_fields": {
        "attentions": of(named(instance_of(TOKENS)))({"a": tp.Masked(HEAD)}),
        "tokens": PARTICLES(PLACED), "position": of(number_like(least=0.0))(1.0), **LIMITS,
        "limit": MAYBE_POSITIVE(1.0), "count": WHOLE(3), "columns": WHOLE(2),
    },
    "plotting.plot_attention_flows": {
        "trajectories": of(named(instance_of(TOKENS)))({"a": TOKEN_PATH}),
        "attentions": of(named(instance_of(TOKENS)))({"a": HEAD}), "columns": WHOLE(2),
    },
    "plotting.plot_cone": {
        "covariances": of(array_like(finite=False, single=True))(COVARIANCES),
        "values": MAYBE_NUMBERS([1.0]), "height": MAYBE_POSITIVE(2.0),
        "ax": Argument(
            lambda: plt.figure().add_subplot(projection="3d"), Kind(_wrong_axes), made=True
        ),
    },
    "plotting.plot_limit_lines": {
        "panels": of(named(array_like(finite=False, single=True)))({"a": COVARIANCES[:, None]}),
        "direction": NUMBERS([1.0, 0.0]), "height": MAYBE_POSITIVE(2.0),
    },
    "plotting.plot_disc": {
        "directions": of(array_like(finite=False, single=True))(COVARIANCES),
        "values": MAYBE_NUMBERS([1.0]), "ax": AXES, "cmap": CHOICE("viridis"),
        "annotate": FLAG(True), "size": SIZE(2.0),
    },
    "plotting.plot_discs": {
        "panels": of(named(array_like(finite=False, single=True)))({"a": COVARIANCES}),
        "axes": Argument(None, Kind(lambda v: (
            (n, x) for n, x in strangers() if n not in ("none",)
        ))),
        "arcs": of(either_none(named(array_like(single=True))))({"a": ANTI}),
    },
    "plotting.plot_arc": {"matrix": NUMBERS(ANTI), "ax": AXES},
    "plotting.plot_disc_map": {
        "covariances": NUMBERS(disc_covariances(2, 3)), "values": NUMBERS(np.ones((2, 3))),
        "limit": MAYBE_POSITIVE(1.0), "ax": AXES,
    },
    "plotting.plot_starts": {
        "starts": A_GAUSSIAN(disc_gaussians(5)), "values": NUMBERS(np.arange(9.0)),
        "stars": MAYBE_NUMBERS([[1.0, 0.0]]), "squares": MAYBE_NUMBERS([[1.0, 0.0]]),
        "boundary": of(array_like(finite=False, single=True, none=True))(COVARIANCES),
        "label": TEXT("a"), "ax": AXES,
    },
    "plotting.plot_convergence": {
        "x": POSITIVE_ARRAY([1.0, 2.0]), "errors": POSITIVE_ARRAY([1.0, 2.0]),
        "order": of(number_like(none=True))(1.0), "label": TEXT("a"), "ax": AXES,
    },
    "plotting.plot_samples": {
        "x": POSITIVE_ARRAY([1.0, 2.0]), "samples": POSITIVE_ARRAY([[1.0, 2.0]]),
        "order": of(number_like(none=True))(1.0), "label": TEXT("a"), "ax": AXES,
    },
    "plotting.plot_rates": {
        "x": POSITIVE_ARRAY([1.0, 2.0]),
        "errors": of(named(array_like(single=True, least=0.0)))({"a": [[1.0, 2.0]]}),
        "order": of(number_like(none=True))(1.0), "ax": AXES, "title": TEXT("a"),
        "ylabel": TEXT("b"),
    },
    "plotting.plot_slopes": {
        "ax": AX, "slopes": of(named(several(number_like(least=0.0, open_=True))))(
            {2.0: (1.0, 2.0, 1.0)}
        ),
    },
    "plotting.plot_poles": {
        "function": of(callable_like("1", None, [1.0]))(lambda z: 1 / (1 + z**2)),
        "poles": Argument([1j, -1j], Kind(lambda v: (
            pair for pair in array_like().wrong(np.abs(v)) if "complex" not in pair[0]
        ))),
        "width": of(number_like(least=1.0))(1.5), "height": POSITIVE(1.0), "ax": AXES,
    },
    "plotting.plot_density": {
        "grid": A_GRID(GRID), "ax": AXES, "color": COLOUR("red"),
        "fill": of(number_like(least=0.0, most=1.0))(0.2),
    },
    "plotting.plot_ellipse": {
        "gaussian": A_GAUSSIAN(GAUSSIAN), "levels": POSITIVE_ARRAY([1.0]), "ax": AXES,
        "color": COLOUR("red"), "fill": of(number_like(least=0.0, most=1.0))(0.2),
    },
    "plotting.plot_ellipses": {
        "gaussians": of(instance_of(TOKENS, TOKEN_PATH, [TOKENS], []))(GAUSSIAN),
        "values": MAYBE_NUMBERS([1.0]), "shown": MAYBE_WHOLE(2), "ax": AXES,
        "cmap": CHOICE("viridis"),
    },
    "plotting.plot_histograms": {
        "clouds": of(several(instance_of(TOKENS, GAUSSIAN)))([LINE]), "density": A_GRID(GRID),
        "edges": NUMBERS([0.0, 1.0, 2.0]),
    },
    "plotting.plot_particles": {
        "particles": PARTICLES(TOKENS), "ax": AXES, "color": COLOUR("red"), "size": SIZE(2.0),
    },
    "plotting.plot_flow": {
        "trajectory": of(instance_of(TOKENS, GRID_PATH))(TOKEN_PATH), "ax": AXES,
        "color": COLOUR("red"), "shown": WHOLE(3),
    },
    "plotting.plot_hulls": {
        "paths": NUMBERS(PATHS), "values": MAYBE_NUMBERS(np.arange(4.0)), "label": TEXT("a"),
        "ax": AXES,
    },
    "plotting.plot_layers": {
        "stack": of(instance_of(TOKENS, GAUSSIAN_PATH))(LAYERS),
        "flow": of(instance_of(TOKENS, GAUSSIAN_PATH, none=True))(TOKEN_PATH), "ax": AXES,
    },
    "plotting.plot_paths": {
        "paths": NUMBERS(PATHS), "ax": AXES, "color": COLOUR("red"), "ends": FLAG(True),
    },
    "plotting.plot_snapshots": {
        "clouds": of(named(instance_of(TOKENS, GAUSSIAN_PATH)))(
            {"a": tp.flow(TOKENS, HEAD, [0, 0.1])}
        ),
        "ellipses": of(named(instance_of(TOKENS, TOKEN_PATH)))(
            {"a": tp.flow(GAUSSIAN, HEAD, [0, 0.1])}
        ),
        "styles": of(named(Kind(lambda v: strangers())))({"a": HEAD}),
    },
    "plotting.plot_agreement": {
        "expected": of(several(array_like(single=True, least=0.0)))([[1.0, 2.0]]),
        "found": of(several(array_like(single=True, least=0.0)))([[1.0, 2.1]]), **LABELS,
    },
    "plotting.plot_attention_curves": {
        "curves": of(named(several(array_like(finite=False, single=True))))(
            {"L2": ([0.0, 1.0], [1.0, 2.0])}
        ), **LABELS,
    },
    "plotting.plot_comparison": {
        "x": NUMBERS([1.0, 2.0]), "lines": of(named(array_like(single=True)))({"a": [1.0, 2.0]}),
        "points": of(named(array_like(single=True)))({"a": [1.0, 2.0]}),
        "looks": of(named(several(Kind(_wrong_colour))))({"a": ("black", "-", "o")}),
        "log": CHOICE("y"), **LABELS,
    },
    "plotting.plot_heads": {
        "survey": of(instance_of(TOKENS, TOKEN_PATH))(tp.models.survey(TINY, TINY_PATH)),
        "ax": AXES,
    },
    "plotting.plot_growth": {
        "times": NUMBERS([0.0, 1.0]), "ax": AXES,
        "ratios": of(named(array_like(single=True)))({"Softmax": [[1.0, 2.0]]}),
    },
    "plotting.plot_medians": {
        "x": NUMBERS([0.0, 1.0]),
        "samples": of(named(array_like(single=True)))({"a": [[1.0, 2.0]]}),
        "colors": of(several(Kind(_wrong_colour)))(["k"]), "ax": AXES,
    },
    "plotting.plot_series": {
        "x": NUMBERS([0.0, 1.0]), "series": of(named(array_like(single=True)))({"a": [1.0, 2.0]}),
        "styles": of(either_none(named(several(Kind(_wrong_colour)))))({"a": ("black", "o-")}),
        "log": CHOICE("y"), **LABELS,
    },
    "plotting.plot_decay": {
        "times": POSITIVE_ARRAY([1.0, 2.0]), "eigenvalues": POSITIVE_ARRAY([[1.0, 2.0]] * 2),
        "stays": Argument([True, False], Kind(lambda v: iter([
            *strangers(), ("numbers", [0.5, 1.0]), ("texts", ["yes", "no"]), ("short", [True]),
            ("nan", [np.nan, 1.0]), ("masked", np.ma.masked_array(v, [True, False])),
        ]))),
    },
    "plotting.plot_dimensions": {
        "dimensions": POSITIVE_ARRAY([2.0, 4.0]),
        "samples": of(named(array_like(single=True)))({"a": [[1.0, 2.0]]}),
        "looks": of(named(Kind(lambda v: ((n, x) for n, x in strangers()))))(
            {"a": {"color": "k", "label": "a"}}
        ),
        "laws": Argument([1.0], Kind(lambda v: iter([
            ("number", 3.0), ("text", "ab"), ("nan", [np.nan]), ("none", None), ("class", list),
            ("masked", [np.ma.masked_array([1.0, 2.0], [1, 0])]), ("short", [[1.0, 2.0, 3.0]]),
        ]))),
        "ax": AXES, "ylabel": TEXT("a"),
    },
    "plotting.plot_spectrum": {
        "eigenvalues": NUMBERS([0.1, 0.2]), "law": LAW(([-1.0, 1.0], [0.5, 0.5])),
        "color": COLOUR("red"), "label": TEXT("a"), "ax": AXES, "bins": WHOLE(5),
    },
}  # fmt: skip
