"""Poles near the interval are checked by the data of the artists, and by interpolation."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from transpde import plotting
from transpde.kernels import nodes


def test_the_parameter_is_the_sum_of_the_half_axes():
    z = np.array([1j * np.sinh(0.3), np.cosh(0.5), -np.cosh(0.5), 0.3, -1.0])
    expected = np.exp([0.3, 0.5, 0.5, 0.0, 0.0])
    np.testing.assert_allclose(plotting.bernstein_parameter(z), expected, rtol=1e-7)
    half = plotting.bernstein_parameter(np.array([1.3, 0.2 + 0.4j]))
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
    assert rate == pytest.approx(plotting.bernstein_parameter(pole), rel=0.02)


def test_poles_in_the_rectangle_and_the_ellipse_through_the_nearest():
    poles = np.array([0.4j, -0.4j, 0.8j, 3.0, 2j])
    ax = plotting.plot_poles(lambda z: 1 / (z**2 + 0.16), poles, height=1.0)
    lines = {line.get_label(): line.get_xydata() for line in ax.lines}
    np.testing.assert_allclose(lines["_poles"], [[0, 0.4], [0, -0.4], [0, 0.8]])
    np.testing.assert_array_equal(lines["_interval"], [[-1, 0], [1, 0]])
    assert np.abs(lines["_ellipse"][:, 1]).max() == pytest.approx(0.4, rel=1e-3)
    assert ax.get_aspect() == 1.0
    assert len(ax.collections) > 0
    other = plt.figure().add_subplot()
    assert plotting.plot_poles(np.exp, [1j], ax=other, width=2) is other


@pytest.mark.parametrize(
    ("poles", "options", "message"),
    [
        ([], {}, "poles: must hold at least one"),
        ([np.nan], {}, "points: every entry must be finite"),
        ([1j], {"width": 0.5}, r"width: must be at least 1, to show \[-1, 1\]; got 0.5"),
        ([1j], {"height": 0.0}, "height: must be .*positive"),
    ],
)
def test_bad_poles(poles, options, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_poles(np.exp, poles, **options)
