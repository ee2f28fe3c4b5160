"""Every public name refuses what it cannot use: a bad argument raises an error that names it.

The rows of `calls` stand for the callables: one that is public and has none fails here.
"""

from __future__ import annotations

import importlib
import inspect
import re
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from calls import ROWS
from contents import content
from matplotlib import pyplot as plt

import transpde

BOOK = Path(__file__).parents[1] / "book"
# Made by the package for its callers to read, or classes that are derived from.
READ = {
    "Attention", "Euclidean", "Measure", "SeedOrder", "Trajectory", "conventions.Convention",
    "convergence.SeedOrder", "energy.Balance", "ensembles.Failure",
    "ensembles.Parameters", "ensembles.SweepError",
    "crowd.CrowdPath", "crowd.Splitting", "crowd.Stall",
    "figures.covariance_paths.Paths", "gradients.Adjoint", "gradients.Pullback",
    "models.HeadTable", "models.Layer", "models.Model",
    "models.Projections", "models.Survey", "models.TokenPath", "noise.NoiseKernel",
    "records.FigureData", "records.Picture",
    "spectra.LimitRank", "theory.LipschitzBounds", "theory.head_descent.OrnsteinUhlenbeckLaw",
    "theory.crowd.Inertia", "theory.low_temperature.ConcentrationTimes", "theory.real.GainAxis",
    "theory.sampling.Rates", "theory.sampling.StableSteps",
    "theory.retrieval.CriticalPoints", "theory.synchrony.PairMotion",
    "theory.depth.DepthFluctuation", "training.Gradient", "training.Training",
    "causal_circle.Correlations",
}  # fmt: skip
# Parts of the package itself, which give each other what is already checked.
INNER = {
    "convergence.positive_array", "disc.axis_angles", "disc.symmetric_coordinates",
    "disc.unit_trace_matrices", "disc.disc_places", "disc.plane_coordinates",
    "figures.covariance_paths.by_arc_length",
    "figures.covariance_paths.clock_ticks", "figures.covariance_paths.velocity",
    "spectra.decay_slopes",
}  # fmt: skip


class Frame:
    """A table of another package, which numpy can read."""

    def __init__(self, values):
        self.values = np.asarray(values)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype)


OTHER_ARRAYS = {"matrix": np.matrix, "frame": Frame, "rows": lambda v: v.tolist()}
CASES = [(name, argument) for name, row in ROWS.items() for argument in row if argument != "self"]
REFUSED = "unnamed"  # what a function takes only to say that it wants a name


def public_modules():
    """The modules that the pages of the interface name, and the drawings."""
    pages = "".join(page.read_text() for page in BOOK.glob("api*.md"))
    dotted = set(re.findall(r":: transpde\.([\w.]+)", pages))
    rooms = {"", "plotting"}
    for name in dotted:
        while name:
            name = name.rpartition(".")[0]
            try:
                importlib.import_module(f"transpde.{name}" if name else "transpde")
            except ModuleNotFoundError:
                continue  # a class
            rooms.add(name)
    return rooms


def public_callables():
    found = {}
    for room in public_modules():
        module = importlib.import_module(f"transpde.{room}" if room else "transpde")
        for name in module.__all__:
            if callable(getattr(module, name)):
                found[f"{room}.{name}".lstrip(".")] = getattr(module, name)
    return found


@cache
def resolved(name):
    thing = transpde
    for part in name.split("."):
        if not hasattr(thing, part):
            importlib.import_module(f"{thing.__name__}.{part}")
        thing = getattr(thing, part)
    return thing


def test_every_public_callable_has_a_row():
    missing = set(public_callables()) - set(ROWS) - READ - INNER
    assert not missing, (
        f"{sorted(missing)}: needs a row in tests/calls.py; in READ, if only the package makes it"
    )


@pytest.mark.parametrize("name", ROWS)
def test_every_argument_is_in_its_row(name):
    rest = {inspect.Parameter.VAR_KEYWORD}
    parameters = inspect.signature(resolved(name)).parameters.values()
    wanted = {p.name for p in parameters if p.kind not in rest} - {REFUSED}
    assert wanted - set(ROWS[name]) == set()


def called(name, **changes):
    given = {key: one.valid() for key, one in ROWS[name].items()} | changes
    positional = []
    for key, parameter in inspect.signature(resolved(name)).parameters.items():
        if key == REFUSED:
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            positional.append(given.pop(key))
    if "sliders" in given:
        given["slope"] = given.pop("sliders")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return resolved(name)(*positional, **given)


SILENT = ("plotting.", "records.", "figures.", "conventions.")
SHOWN = {
    "figures.covariance_paths.planar_paths", "records.outline", "conventions.Convention.drawn",
} | {name for name in ROWS if not name.startswith(SILENT)}  # fmt: skip


def things(value):
    """A value, and those inside of a tuple that is no named one."""
    if isinstance(value, tuple | list) and not hasattr(value, "_fields"):
        for one in value:
            yield from things(one)
    else:
        yield value


@pytest.mark.parametrize("name", ROWS)
def test_the_call_of_a_row_is_valid_and_what_is_public_shows_itself(name, tmp_path, monkeypatch):
    """What comes and what is given, where it is of this package: in two lines, by its name."""
    monkeypatch.chdir(tmp_path)
    made = called(name)
    given = [one.valid() for one in ROWS[name].values()]
    for thing in [*things(made), *given] if name in SHOWN else []:
        if not type(thing).__module__.startswith("transpde"):
            continue
        text = repr(thing)
        assert len(text.splitlines()) <= 2, text
        assert len(text) <= 160, text
        assert type(thing).__name__ in text
        assert "0x" not in text, text
    plt.close("all")


@pytest.mark.parametrize(("name", "argument"), CASES, ids=[f"{n}-{a}" for n, a in CASES])
def test_a_bad_argument_raises_and_is_named(name, argument, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one, failures = ROWS[name][argument], []
    for what, bad in one.kind.wrong(one.value):
        try:
            found = called(name, **{argument: bad})
        except (TypeError, ValueError) as error:
            named = {argument, "slope"} if argument == "sliders" else {argument}
            if not any(re.search(rf"\b{key}\b", str(error)) for key in named):
                failures.append(f"{what}: unnamed {type(error).__name__}: {error}")
        except Exception as error:
            failures.append(f"{what}: {type(error).__name__}: {error}")
        else:
            failures.append(f"{what}: taken, {str(found)[:60]!r}")
        plt.close("all")
    assert not failures, "\n".join(failures)


ARRAYS = [(n, a) for n, a in CASES if ROWS[n][a].kind.array and np.ndim(ROWS[n][a].value) == 2]


@pytest.mark.filterwarnings("ignore:the matrix subclass")
@pytest.mark.parametrize(("name", "argument"), ARRAYS, ids=[f"{n}-{a}" for n, a in ARRAYS])
def test_other_kinds_of_arrays_give_what_the_plain_one_gives(name, argument):
    """Columns of a `numpy.matrix` have two axes, and its product is that of matrices."""
    plain = np.array(ROWS[name][argument].value, dtype=float)
    wanted = content(called(name, **{argument: plain}))
    for kind in OTHER_ARRAYS.values():
        assert content(called(name, **{argument: kind(plain)})) == wanted
    plt.close("all")
