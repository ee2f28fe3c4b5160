"""The parts of a step, each against its definition: errors, interpolants, times, steady growth."""

import numpy as np
import pytest
from scipy import integrate

import transpde as tp
from transpde.stepping.carried import Carried
from transpde.stepping.dense import Polynomial
from transpde.stepping.ends import DOUBLINGS, Ends, Windows
from transpde.stepping.explicit import STABLE, Explicit
from transpde.stepping.implicit import Implicit
from transpde.stepping.options import Options

STARTS, STEPS = np.array([[0.3], [1.1], [-0.8]]), np.array([0.4, 0.9, 0.2])


def bent(z):
    """A scalar equation whose high derivatives are large."""
    return np.sin(3 * z) + 0.5 * z**2


# --- errors and interpolants ---------------------------------------------------------------------


def test_the_error_of_an_explicit_step_is_that_of_the_published_code():
    step = Explicit(bent, STARTS, bent(STARTS), STEPS)
    scale = np.array([[1e-3], [2e-6], [5e-1]])
    found = step.error(scale)
    for i, (z, h) in enumerate(zip(STARTS, STEPS, strict=True)):
        peer = integrate.DOP853(lambda _, y: bent(y), 0.0, z, 10.0, first_step=h, rtol=1, atol=1e3)
        peer.step()
        assert peer.step_size == h
        assert np.allclose(peer.y, step.new[i], rtol=1e-14)
        wanted = peer._estimate_error_norm(peer.K, h, scale[i])
        assert found[i] == pytest.approx(wanted, rel=1e-9)


def test_the_stiffness_of_a_linear_step_is_its_rate():
    rates = np.array([-2.0, -7.0, 0.5])
    z = np.array([[1.0, 0.0], [2.0, 3.0], [0.0, 1.0]])  # the last coordinate is a time

    def derivative(z):
        return np.stack([rates * z[:, 0], 1e3 * np.ones(3)], axis=1)

    h = np.array([0.1, 0.02, 0.3])
    step = Explicit(derivative, z, derivative(z), h)
    found = step.stiffness()
    assert found[:2] == pytest.approx(h[:2] * np.abs(rates[:2]) / STABLE, rel=1e-6)
    assert found[2] == 0  # nothing moves


@pytest.mark.parametrize(("method", "order"), [(Implicit, 4), (Explicit, 7)])
@pytest.mark.parametrize("place", [0.2, 0.5, 0.85])
def test_interpolants_have_their_orders(method, order, place):
    def at(h):
        z = np.array([[0.7]])
        exact = () if method is Explicit else (np.array([[[3 * np.cos(2.1) + 0.7]]]),)
        step = method(bent, z, bent(z), np.array([h]), *exact)
        fine = integrate.solve_ivp(
            lambda _, y: bent(y), (0, place * h), z[0], method="DOP853", rtol=1e-13, atol=1e-16
        )
        found = step.interpolant().at(np.zeros(1, dtype=int), np.array([place]))
        return abs(found[0, 0] - fine.y[0, -1])

    wide = 0.4 if method is Explicit else 0.03
    assert np.log2(at(wide) / at(wide / 2)) > order + 0.2  # at one step the error has one more


# --- polynomials on a step -----------------------------------------------------------------------


def test_places_are_found_where_newtons_method_alone_would_leave_the_step():
    # x^4, and the same seen from the other end: the slope vanishes at an end of the step.
    flat = np.array([1.0, -1.0, -1.0, -1.0])[:, None, None]
    rows = np.zeros(50, dtype=int)
    times = np.linspace(1e-3, 1.0, 50)
    low = Polynomial(np.zeros((1, 1)), flat, "x1xx")
    assert low.places(rows, times) == pytest.approx(times**0.25, abs=1e-12)
    high = Polynomial(np.ones((1, 1)), -flat, "1x11")
    assert high.places(rows[:-1], times[:-1]) == pytest.approx(
        1 - (1 - times[:-1]) ** 0.25, abs=1e-12
    )


def test_cases_of_a_polynomial_are_read_alone_and_together():
    rng = np.random.default_rng(0)
    start, parts = rng.normal(size=(3, 2)), rng.normal(size=(4, 3, 2))
    several = Polynomial(start, parts, "x1xx")
    rows, x = np.array([0, 0, 2, 1]), rng.uniform(size=4)
    found = several.at(rows, x)
    for i, (row, place) in enumerate(zip(rows, x, strict=True)):
        alone = several.at(np.array([row]), np.array([place]))[0]
        assert np.allclose(found[i], alone, rtol=1e-14)
        weights = np.cumprod([place, 1 - place, place, place])
        assert np.allclose(alone, start[row] + weights @ parts[:, row], rtol=1e-14)


# --- ends ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bent_last", "steady"), [(1.0, True), (1.01, False)])
def test_a_power_is_steady_over_all_windows_or_not_at_all(bent_last, steady):
    windows, power = 4, -1.5
    times = 2.0 ** np.arange(windows, -1, -1)  # the last first
    marks = np.zeros((2, windows + 1, 3))
    marks[0] = times[:, None]
    marks[1] = power * np.log(times)[:, None]
    marks[1, -2:] *= bent_last  # the oldest that will stay
    before = marks.copy()
    rows, over = np.array([0, 2]), np.array([False, True])
    now = np.array([3.0, 32.0])
    kept = Windows(windows, np.zeros(3))
    kept.marks[:] = marks
    found = kept.end(rows, over, now, power * np.log(now)).steady(np.log, 2e-3)
    marks = kept.marks
    assert np.isnan(found[:, 0]).all()
    assert np.array_equal(marks[..., :2], before[..., :2])
    assert np.array_equal(marks[0, :, 2], [32.0, 16.0, 8.0, 4.0, 2.0])
    if steady:
        assert found[:, 1] == pytest.approx(power, rel=1e-12)
    else:
        assert np.isnan(found[:, 1]).all()


def test_windows_are_as_many_as_said():
    rng = np.random.default_rng(0)
    ends = Ends(
        tp.Particles(rng.normal(size=(5, 2))),
        Options("auto", 1e-8, 1e-10, None),
        np.inf,
        np.zeros((1, 11)),
    )
    assert ends.doublings.marks.shape[1] == DOUBLINGS + 1


def test_what_never_moves_is_final_at_once_and_the_others_go_on():
    factor = np.array([[1.0, 0.0], [0.5, 1.0]])
    start = tp.Gaussian(np.zeros((2, 2)), factor=np.stack([factor, factor]))
    values = np.stack([np.zeros((2, 2)), np.eye(2)])
    path = tp.flow(start, tp.Softmax([[1.0, 0.0]], [[-1.0, 0.0]], values), np.inf)
    assert list(path.stop) == ["stationary", "stationary"]
    assert path.end[0] == 0
    assert path.end[1] > 1
    assert np.allclose(path.covariances[-1][0], factor @ factor.T, rtol=1e-14)


# --- a measure with test tokens ------------------------------------------------------------------


def test_a_measure_and_its_test_tokens_are_moved_and_chosen_together():
    rng = np.random.default_rng(0)
    own, test = (tp.Particles(rng.normal(size=(3, n, 2))) for n in (4, 5))
    both = Carried(own, test)
    field = tp.Softmax(np.eye(2), np.eye(2), np.diag([1.0, -0.5]))(own)
    state = both.pack()
    assert state.shape == (3, 18)
    again = both.unpack(state)
    assert np.array_equal(again.measure.points, own.points)
    assert np.array_equal(again.tokens.points, test.points)
    moved = both.push(field, 0.25)
    assert np.allclose(moved.pack(), state + 0.25 * both.advect(field), rtol=1e-14)
    assert np.array_equal(moved.measure.points, own.push(field, 0.25).points)
    for chosen, index in ((both[1], [1]), (both.select(np.array([2, 0])), [2, 0])):
        assert np.array_equal(chosen.pack().reshape(len(index), -1), state[index])


def test_a_gaussian_with_test_tokens_takes_its_axes_alone():
    rng = np.random.default_rng(1)
    own = tp.Gaussian([1.0, 0.5], factor=rng.normal(size=(2, 2)))
    both = Carried(own, tp.Particles(rng.normal(size=(3, 2)))).principal()
    assert np.allclose(both.measure.covariance, own.covariance, rtol=1e-13)
    assert np.array_equal(both.pack()[:-6], own.principal().pack())
    axes = both.measure.factor
    assert np.allclose(axes.T @ axes, np.diag(np.diag(axes.T @ axes)), atol=1e-14)
