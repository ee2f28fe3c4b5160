"""Paths read at times and at indices: times that mean the same, several records, clear errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import transpde as tp
from transpde.stepping import SCHEMES

ONE = np.eye(1)
HEAD = tp.Softmax(ONE, ONE, -ONE)
TOKENS = tp.Particles([[1.0], [2.0]])
STACK = tp.Particles([[[1.0], [2.0]], [[0.5], [3.0]]])


@settings(max_examples=60)
@given(st.floats(1e-3, 1e3), st.integers(1, 40), st.integers(-2, 2), st.data())
def test_times_within_rounding_of_a_record_are_it(step, depth, ulps, data):
    """k h, and its neighbours among floats, whichever way they were added up."""
    k = data.draw(st.integers(0, depth))
    sums = [k * step, sum([step] * k), depth * step - (depth - k) * step]
    times = step * np.arange(depth + 1)
    for start in (TOKENS, STACK):
        path = tp.layers(start, tp.Softmax(ONE, ONE, -1e-3 * ONE / step), depth, step)
        for t in sums:
            t = max(t + ulps * np.spacing(t), 0.0)
            if abs(t - times[k]) <= 3 * np.spacing(times[k]):
                assert np.array_equal(path(t).points, path[k].points)


@pytest.mark.parametrize("start", [TOKENS, STACK], ids=["one", "stack"])
def test_the_end_may_be_written_in_several_ways(start):
    """29.0 is 100 times 0.29, which as a float is below it."""
    for path in (tp.layers(start, HEAD, 100, 0.29), tp.flow(start, HEAD, np.arange(101) * 0.29)):
        assert path.times[-1] < 29.0
        assert np.array_equal(path(29.0).points, path.final.points)


def test_a_time_beyond_the_end_is_told_to_the_last_digit():
    path = tp.layers(TOKENS, HEAD, 100, 0.29)
    with pytest.raises(ValueError, match=r"at most the end, 28\.999999999999996; got 29\.0000001"):
        path(29.0000001)
    beyond = tp.layers(STACK, HEAD, 100, 0.29)(29.0000001)
    assert np.isnan(beyond.points).all()


MASKED = tp.Masked(HEAD), tp.Particles([[1.0], [2.0]], positions=[0.0, 1.0])
CASES = {
    "tokens": (HEAD, TOKENS),
    "stack": (HEAD, STACK),
    "masked": MASKED,
    "Gaussian": (HEAD, tp.Gaussian(mean=[1.0], factor=ONE)),
    "Gaussians": (HEAD, tp.Gaussian(mean=[[1.0], [2.0]], factor=ONE)),
}


@pytest.mark.parametrize("name", CASES)
def test_several_records_are_a_stack_of_the_measures(name):
    attention, start = CASES[name]
    path = tp.flow(start, attention, np.linspace(0.0, 1.0, 6))
    for chosen in (slice(1, 3), [1, 2], np.arange(6) // 2 == 1, slice(None, None, -2)):
        some, indices = path[chosen], np.arange(6)[chosen]
        assert some.stack == (len(indices), *start.stack)
        for i, j in enumerate(indices):
            assert np.array_equal(some[i].pack(), path[j].pack())
    assert np.array_equal(path[-1].pack(), path[5].pack())


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (6, IndexError, "one or several of 6 recorded times, from 0 to 5; got 6"),
        ("a", IndexError, "one or several of 6 recorded times, from 0 to 5; got 'a'"),
        (1.5, IndexError, "one or several of 6 recorded times, from 0 to 5; got 1.5"),
        ((1, 0), IndexError, r"one or several of 6 recorded times, from 0 to 5; got \(1, 0\)"),
        (slice(5, 5), ValueError, "must choose at least one recorded time; got slice"),
    ],
)
def test_bad_indices(index, error, message):
    with pytest.raises(error, match=message):
        tp.flow(TOKENS, HEAD, np.linspace(0.0, 1.0, 6))[index]


def test_several_records_of_a_grid_are_no_measure():
    grid = tp.Grid.from_gaussian(np.linspace(-6.0, 6.0, 50), tp.Gaussian(mean=[0.0], factor=ONE))
    path = tp.flow(grid, HEAD, [0.0, 0.01, 0.02])
    with pytest.raises(TypeError, match=r"several times of a Grid .* path\.densities\[i\]"):
        path[0:2]
    assert np.array_equal(path[1].density, path.densities[1])


# --- the ends of a path, by every method ---------------------------------------------------------

EVERY_METHOD = pytest.mark.parametrize("method", SCHEMES["coordinates"])


@EVERY_METHOD
def test_parameters_are_never_asked_beyond_the_depth(method):
    """Four layers as a list: an index beyond the last one would raise."""
    eye, asked = np.eye(2), []
    heads = [tp.Softmax(eye, eye, v * eye) for v in (-0.5, -0.3, -0.2, -0.1)]

    def layer(t):
        asked.append(t)
        return heads[int(4 * t)]

    path = tp.flow(tp.Particles(eye), layer, 0.999, method=method)
    assert path.stop == "time"
    assert max(asked) <= 0.999


@EVERY_METHOD
@pytest.mark.parametrize("points", [[[0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
def test_what_does_not_move_stays_where_it_is(method, points):
    eye = np.eye(2)
    path = tp.flow(tp.Particles(points), tp.Softmax(eye, eye, eye), 1.0, method=method)
    assert path.stop == "time"
    assert np.abs(path.points).max() <= 1e-30  # of implicit methods, what linear solvers leave
