"""The methods that step a stack: their orders, their interpolants, what tells a stiff case."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from transpde.stepping.dense import Polynomial
from transpde.stepping.explicit import Explicit
from transpde.stepping.implicit import Implicit
from transpde.stepping.radau import STAGES, Radau, farther

TURN = np.array([[0.0, 1.0], [-1.0, -0.1]])


def turned(method, z, h):
    """One step of the turning flow dz/dt = TURN z."""
    z, h = np.array(z, dtype=float)[None], np.array([h])
    slope = z @ TURN.T
    exact = () if method is Explicit else (TURN[None],)
    return method(lambda points: points @ TURN.T, z, slope, h, *exact)


def fitted_order(lengths, errors):
    return np.polyfit(np.log(lengths), np.log(errors), 1)[0]


def collocated(derivative, z, h, J, moved=0.0):
    """One step of Radau IIA."""
    moved = np.broadcast_to(moved, (STAGES, *z.shape))
    scale = np.full(z.shape, 1e-13)
    return Radau(derivative, derivative, z, derivative(z), h, J, scale, moved)


def radau_turned(h, moved=0.0):
    return collocated(
        lambda points: points @ TURN.T, np.array([[1.0, 0.5]]), np.array([h]), TURN[None], moved
    )


def test_radau_has_its_orders():
    """Of a step, of its polynomial and of its error estimate: one more than those of a run."""
    lengths, places = np.geomspace(2.0, 5.0, 6), np.linspace(0.1, 0.9, 9)
    steps = [radau_turned(h) for h in lengths]
    ends, inside = [], []
    for h, step in zip(lengths, steps, strict=True):
        assert step.solved.all()
        ends.append(np.abs(step.new[0] - linalg.expm(h * TURN) @ [1.0, 0.5]).max())
        found = step.interpolant().at(np.zeros(9, dtype=int), places)
        exact = np.array([linalg.expm(h * x * TURN) @ [1.0, 0.5] for x in places])
        inside.append(np.abs(found - exact).max())
    assert fitted_order(lengths, ends) == pytest.approx(14, abs=0.7)
    assert fitted_order(lengths, inside) == pytest.approx(8, abs=0.7)
    short = np.geomspace(0.2, 1.0, 6)
    errors = [radau_turned(h).error(np.full((1, 2), 1e9))[0] for h in short]
    assert fitted_order(short, errors) == pytest.approx(8, abs=0.7)


def test_stages_are_foretold_by_the_last_polynomial():
    last = radau_turned(0.5)
    after = collocated(
        lambda points: points @ TURN.T, last.new, np.array([0.4]), TURN[None]
    )  # fmt: skip
    foretold = farther(last.moved, np.array([0.8]))
    assert np.abs(foretold - after.moved).max() < 1e-6
    assert not farther(last.moved, np.array([3.0])).any()  # too far to say


def test_a_radau_step_keeps_its_order_on_a_surface_of_slow_motion():
    """A fast mode that follows a slow one, at rates up to 1e9 times the step, each to 1e-10."""
    rates, h = np.array([1.0, 1e3, 1e6, 1e9]), np.full(4, 0.5)

    def derivative(z):
        x, y = z.T
        rate = np.resize(rates, len(z))  # of the stages, one after another
        return np.stack([-x * y, -rate * (y - x) - x * y], axis=1)

    z = np.ones((4, 2))
    for _ in range(4):
        x, y = z.T
        J = np.moveaxis(np.array([[-y, -x], [rates - y, -rates - x]]), -1, 0)
        step = collocated(derivative, z, h, J)
        assert step.solved.all()
        z = step.new
    assert np.allclose(z, 1 / 3, rtol=1e-10, atol=0)  # x = y = 1 / (1 + t)


def test_the_radau_steps_of_a_stack_are_those_of_each_case():
    """A case that is hard to solve says nothing of the others."""

    def derivative(z):
        return -np.resize([1.0, 50.0], (len(z), 1)) * z**3

    z, h = np.array([[1.0], [1.0]]), np.array([0.1, 0.02])
    J = -3 * np.array([[[0.9]], [[20.0]]])
    step = collocated(derivative, z, h, J)
    errors = step.error(np.full((2, 1), 1e-8))
    for i, rate in enumerate((1.0, 50.0)):
        alone = collocated(lambda z, rate=rate: -rate * z**3, z[[i]], h[[i]], J[[i]])
        assert alone.counts == step.counts[i]
        assert alone.new == pytest.approx(step.new[[i]], rel=1e-14)
        assert alone.error(np.full((1, 1), 1e-8)) == pytest.approx(errors[[i]], rel=1e-6)
    assert step.counts[1] > step.counts[0]


def test_a_radau_step_beyond_a_pole_is_refused():
    def derivative(z):
        return z**2

    z = np.ones((1, 1))
    step = collocated(derivative, z, np.array([1.5]), 2 * z[..., None])
    assert not step.error(np.full((1, 1), 1e-8))[0] <= 1


@pytest.mark.parametrize("method", [Explicit, Implicit])
def test_step_has_its_order(method):
    lengths = np.geomspace(0.2, 1.0, 6) if method is Implicit else np.geomspace(0.6, 2.0, 6)
    errors = [
        np.abs(turned(method, [1.0, 0.5], h).new[0] - linalg.expm(h * TURN) @ [1.0, 0.5]).max()
        for h in lengths
    ]
    assert fitted_order(lengths, errors) > method.order + 0.5


@pytest.mark.parametrize(("method", "order"), [(Explicit, 7), (Implicit, 4)])
def test_interpolant_has_its_order(method, order):
    lengths, places = np.geomspace(0.3, 1.2, 6), np.linspace(0.1, 0.9, 9)
    errors = []
    for h in lengths:
        found = turned(method, [1.0, 0.5], h).interpolant().at(np.zeros(9, dtype=int), places)
        exact = np.array([linalg.expm(h * x * TURN) @ [1.0, 0.5] for x in places])
        errors.append(np.abs(found - exact).max())
    assert fitted_order(lengths, errors) == pytest.approx(order + 1, abs=0.7)


def test_implicit_step_holds_at_any_rate():
    """A fast mode that follows a slow one, at rates up to 1e9 times the step."""
    rates, h = np.array([1.0, 1e3, 1e6, 1e9]), np.full(4, 0.1)

    def derivative(z):
        x, y = z.T
        return np.stack([-(x**2), -rates * (y - x) - x**2], axis=1)

    z = np.ones((4, 2))
    for k in range(20):
        x, zero = z[:, 0], np.zeros(4)
        J = np.moveaxis(np.array([[-2 * x, zero], [rates - 2 * x, -rates]]), -1, 0)
        step = Implicit(derivative, z, derivative(z), h, J)
        assert (step.error(np.full_like(z, 1e-4)) < 1).all()
        z = step.new
        np.testing.assert_allclose(z, 1 / (1 + 0.1 * (k + 1)), rtol=1e-6)


def test_stiffness_is_that_of_the_coordinates_and_not_of_the_time():
    """Late on a clock the time grows by far more than all else."""
    rate, h = 100.0, np.array([0.04])

    def derivative(z):
        return np.stack([-rate * (z[:, 0] - 1.0), 1 + z[:, 1]], axis=1)

    for late in (0.0, 1e8):
        z = np.array([[1.001, late]])
        step = Explicit(derivative, z, derivative(z), h)
        assert 0.4 < step.stiffness()[0] < 1.5


@pytest.mark.parametrize("method", [Explicit, Implicit])
def test_cases_of_a_step_are_alone(method):
    starts, h = np.array([[1.0, 0.3], [-0.5, 1.2], [2.5, 0.0]]), np.array([0.1, 0.3, 0.02])
    exact = () if method is Explicit else (np.repeat(TURN[None], 3, axis=0),)
    step = method(lambda z: z @ TURN.T, starts, starts @ TURN.T, h, *exact)
    scale = np.full(starts.shape, 1e-8)
    for i in range(3):
        alone = turned(method, starts[i], h[i])
        assert np.allclose(alone.new[0], step.new[i], rtol=1e-14, atol=1e-15)
        assert alone.error(scale[:1])[0] == pytest.approx(step.error(scale)[i], rel=1e-2)


@settings(max_examples=50)
@given(st.lists(st.floats(-1, 1), min_size=7, max_size=7), st.floats(0, 1))
def test_times_of_a_polynomial_are_found(parts, place):
    shape = 0.05 * np.array(parts)[:, None, None]
    shape[0] = 1.0  # increasing: the other parts are small
    polynomial = Polynomial(np.zeros((1, 1)), shape, "x1x1x1x")
    row = np.zeros(1, dtype=int)
    time = polynomial.at(row, np.array([place]))[:, -1]
    assert polynomial.at_times(row, time)[0, 0] == pytest.approx(time[0], abs=1e-14)
