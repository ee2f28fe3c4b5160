"""The exact derivative of a Gaussian's equation, against differences of high order."""

import numpy as np
import pytest
from problems import head_parameters
from table import GAUSSIAN, ROWS

import transpde as tp
from transpde.kernels import EXACT
from transpde.schedules import Schedule
from transpde.stepping.equation import Equation

# Weights of the central difference of order 8 at 1, 2, 3, 4 steps.
EIGHTH = (4 / 5, -1 / 5, 4 / 105, -1 / 280)


def started(name, start, clocked, stiff=False):
    """Return the equation of some cases, their states and slopes."""
    drawn = head_parameters(np.random.default_rng(3), start.dimension)
    cases = int(np.prod(start.stack))
    equation = Equation(start, Schedule.of(ROWS[name].make(*drawn)), EXACT, np.inf, cases)
    here = equation.cases(np.arange(cases), start.in_axes, np.full(cases, clocked), stiff)
    z = np.column_stack([start.pack().reshape(cases, -1), np.full(cases, 0.3)])
    equation.find_units(here, z)
    here = equation.cases(here.rows, start.in_axes, here.clocked, stiff)
    return equation, here, z, equation.derivative(z, here)


def gaussians(graded, stack):
    rng = np.random.default_rng(5)
    mean, factor = rng.normal(size=(*stack, 3)), rng.normal(size=(*stack, 3, 3))
    if not graded:
        return tp.Gaussian(mean, factor=factor, log_scale=rng.normal(size=stack)).prepared()
    Y = np.linalg.qr(factor)[0] + 0.05 * rng.normal(size=factor.shape)
    s = np.sort(rng.normal(size=(*stack, 3)), axis=-1)[..., ::-1]
    return tp.Gaussian.trusted(mean, Y, s, in_axes=True)


def columns(equation, z, cases):
    """Yield the derivatives of the equation by each coordinate, by differences."""
    for j in range(z.shape[1]):
        step = 2e-3 * np.eye(z.shape[1])[j]
        rises = [
            equation.derivative(z + k * step, cases) - equation.derivative(z - k * step, cases)
            for k in range(1, 5)
        ]
        yield sum(w * rise for w, rise in zip(EIGHTH, rises, strict=True)) / 2e-3


@pytest.mark.parametrize("stack", [(), (2,)])
@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("clocked", [False, True])
@pytest.mark.parametrize("name", GAUSSIAN)
def test_the_derivative_of_the_equation_is_exact(name, graded, clocked, stack):
    equation, cases, z, slope = started(name, gaussians(graded, stack), clocked)
    exact = equation.jacobian(z, slope, cases)
    by_time = slope / slope[:, -1:]
    derived, differences = equation._derived(z, by_time, cases), equation._differences(z, cases)
    for one, other in list(zip(derived, differences, strict=True))[: 3 if clocked else 1]:
        assert np.abs(one - other).max() <= 1e-8 * np.abs(exact).max()
    for j, column in enumerate(columns(equation, z, cases)):
        size = np.abs(exact).max()
        assert np.abs(exact[:, :, j] - column).max() <= 1e-11 * size


@pytest.mark.parametrize("stack", [(), (2,)])
@pytest.mark.parametrize("clocked", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_the_derivative_of_a_stiff_equation_is_exact(known, clocked, stack, monkeypatch):
    """On the logarithm of time, exactly where it is known and else by differences."""
    equation, cases, z, slope = started("softmax", gaussians(True, stack), clocked, stiff=True)
    if not known:
        monkeypatch.setattr(equation, "_derived", lambda *_: None)
    exact = equation.jacobian(z, slope, cases)
    assert np.array_equal(slope[:, -1], np.ones(len(z)))  # the last coordinate is the clock
    assert cases.theta(z) == pytest.approx(np.expm1(0.3) if clocked else 0.3, rel=1e-15)
    assert cases.last(cases.theta(z) * cases.unit) == pytest.approx(0.3, rel=1e-14)
    for j, column in enumerate(columns(equation, z, cases)):
        size = np.abs(exact).max()
        assert np.abs(exact[:, :, j] - column).max() <= (1e-11 if known else 1e-8) * size


def test_a_stiff_clock_changes_the_pace_alone():
    start = gaussians(True, ())
    slow = started("softmax", start, False)
    clocked = started("softmax", start, True, stiff=True)
    by_time, by_clock = slow[3][0, :-1], clocked[3][0, :-1]
    assert by_clock == pytest.approx(by_time * np.exp(0.3), rel=1e-14)
    states = [e.state(c, z, slope, z[:, -1], slope[:, :-1]) for e, c, z, slope in (slow, clocked)]
    assert states[0].velocity == pytest.approx(states[1].velocity, rel=1e-14)
