"""Orders fitted to errors, their spread over seeds, and the rate that poles leave."""

import numpy as np
import pytest

from transpde import convergence
from transpde.kernels import nodes

N = np.array([10, 20, 40])


@pytest.mark.parametrize("order", [2.0, 1.0, -0.5])
def test_order_of_a_power_is_its_exponent(order):
    x = np.array([4.0, 1.0, 2.0, 8.0])
    assert convergence.fitted_order(x, 0.3 * x**order) == pytest.approx(order, abs=1e-12)
    with pytest.raises(ValueError, match="at least two distinct numbers"):
        convergence.fitted_order([1.0, 1.0], [1.0, 2.0])


def test_order_over_seeds_is_the_mean_of_the_orders():
    rows = np.array([3 * N**-0.5, 2 * N**-0.7])
    order = convergence.seed_order(N, rows)
    assert order.mean == pytest.approx(-0.6, abs=1e-12)
    assert order.error == pytest.approx(0.1, abs=1e-12)
    assert str(order) == "-0.60 +- 0.10"
    assert order.near(-0.31)
    assert not order.near(-0.29)
    assert order.near(-0.29, margin=0.05)
    with pytest.raises(ValueError, match="at least two seeds"):
        convergence.seed_order(N, rows[:1])


def test_the_parameter_is_the_sum_of_the_half_axes():
    z = np.array([1j * np.sinh(0.3), np.cosh(0.5), -np.cosh(0.5), 0.3, -1.0])
    expected = np.exp([0.3, 0.5, 0.5, 0.0, 0.0])
    np.testing.assert_allclose(convergence.bernstein_parameter(z), expected, rtol=1e-7)
    half = convergence.bernstein_parameter(np.array([1.3, 0.2 + 0.4j]))
    a, b = (half + 1 / half) / 2, (half - 1 / half) / 2
    x, y = np.array([1.3, 0.2]), np.array([0.0, 0.4])
    np.testing.assert_allclose((x / a) ** 2 + (y / b) ** 2, 1, rtol=1e-12)


@pytest.mark.parametrize("pole", [0.3j, 1.1, 0.5 + 0.2j])
def test_interpolation_converges_at_the_rate_of_the_nearest_pole(pole):
    def f(x):
        return (1 / (x - pole)).real

    x, errors, counts = np.linspace(-1, 1, 501), [], np.arange(20, 61, 2)
    for p in counts:
        values = nodes.from_values(p) @ f(nodes.places_of(p))
        errors.append(np.abs(values @ nodes.polynomials(x, p) - f(x)).max())
    rate = np.exp(-np.polyfit(counts, np.log(errors), 1)[0])
    assert rate == pytest.approx(convergence.bernstein_parameter(pole), rel=0.02)
