"""The methods that step a stack: their orders, their interpolants, what tells a stiff case."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from transpde.stepping.dense import Polynomial
from transpde.stepping.explicit import Explicit
from transpde.stepping.implicit import Implicit

TURN = np.array([[0.0, 1.0], [-1.0, -0.1]])


def turned(method, z, h):
    """One step of the turning flow dz/dt = TURN z."""
    z, h = np.array(z, dtype=float)[None], np.array([h])
    slope = z @ TURN.T
    exact = () if method is Explicit else (TURN[None],)
    return method(lambda points: points @ TURN.T, z, slope, h, *exact)


def fitted_order(lengths, errors):
    return np.polyfit(np.log(lengths), np.log(errors), 1)[0]


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
