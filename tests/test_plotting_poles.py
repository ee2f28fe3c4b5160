"""Poles near the interval are checked by the data of the artists."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from transpde import plotting


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
