"""Whatever numpy is set to do about numbers out of range: each call gives what it gives else."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest
from calls import ROWS
from contents import content
from test_arguments import REFUSED, resolved

import transpde as tp

# Tables, files and pictures, and what runs a function of the caller.
ELSEWHERE = ("plotting.", "figures.", "records.", "widgets.", "ensembles.", "conventions.")
NUMERIC = [name for name in ROWS if not name.startswith(ELSEWHERE)]


def scaled(value, factor):
    """A value whose numbers are all that much larger: in tokens, covariances, parameters."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return factor * value
    if isinstance(value, list) and value and np.array(value).dtype.kind == "f":
        return (factor * np.array(value)).tolist()
    if isinstance(value, tp.Particles) and value.space == tp.Euclidean():
        return tp.Particles(factor * value.points, value.weights, value.positions)
    if isinstance(value, tp.Gaussian):
        return tp.Gaussian(factor * value.mean, factor=factor * value.factor)
    if isinstance(value, tp.Masked):
        return tp.Masked(scaled(value.head, factor))
    if isinstance(value, tp.Softmax):
        return tp.Softmax(factor * value.query, value.key, value.value)
    return value


def outcome(name, factor, **settings):
    """The content of what a row gives when its numbers are scaled, or the kind of error."""
    with np.errstate(**settings), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return content(outcome_of(name, factor))


def outcome_of(name, factor):
    """What a row gives when its numbers are scaled, or the kind of error and what it says."""
    given = {key: scaled(one.valid(), factor) for key, one in ROWS[name].items()}
    positional = [
        given.pop(key)
        for key, parameter in inspect.signature(resolved(name)).parameters.items()
        if key != REFUSED and parameter.kind is parameter.POSITIONAL_ONLY
    ]
    try:
        return resolved(name)(*positional, **given)
    except (ValueError, RuntimeError, OverflowError, TypeError) as error:
        return type(error).__name__, str(error)


@pytest.mark.parametrize("factor", [1e-170, 1e-300])
@pytest.mark.parametrize("name", NUMERIC)
def test_numbers_that_underflow_raise_nothing(name, factor):
    wanted = outcome(name, factor, all="ignore")
    assert outcome(name, factor, all="raise") == wanted


APART = ("Trajectory.carry",)  # NaN for test tokens beyond the end of a path


@pytest.mark.parametrize("name", [name for name in NUMERIC if name not in APART])
def test_huge_numbers_give_a_result_or_an_error_and_no_warning(name):
    """Of scores beyond floats no NaN comes back, and nothing is left to a warning of numpy."""
    with warnings.catch_warnings(record=True) as raised, np.errstate(all="warn"):
        warnings.simplefilter("always")
        found = outcome_of(name, 1e200)
    ours = [one for one in raised if not one.filename.endswith("calls.py")]
    assert not [str(one.message) for one in ours]
    assert not (isinstance(found, float | np.ndarray) and np.isnan(found).any())
