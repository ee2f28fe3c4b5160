"""Drawings of growth: the data of the artists."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt

import transpde as tp
from transpde import plotting


@pytest.fixture
def ax():
    return plt.figure().add_subplot()


def test_growth_draws_seeds_and_medians(ax):
    rows = np.array([[1.0, 2.0, 3.0], [1.0, 4.0, 9.0], [1.0, 3.0, 5.0]])
    plotting.plot_growth([0, 1, 2], {tp.Softmax: rows, "L2": 2 * rows}, ax=ax)
    np.testing.assert_array_equal([line.get_ydata() for line in ax.lines[:3]], rows)
    np.testing.assert_array_equal(ax.lines[3].get_ydata(), [1, 3, 5])
    np.testing.assert_array_equal(ax.lines[7].get_ydata(), [2, 6, 10])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["softmax", "L2"]
    with pytest.raises(ValueError, match="ratios of L2: its number of columns"):
        plotting.plot_growth([0, 1], {"L2": rows}, ax=ax)


def test_comparison_gives_lines_and_marks_one_colour(ax):
    looks = {"bound": ("red", "--", "o"), "alone": ("blue", "-", "x")}
    points = {"bound": [1.0, 2.0], "alone": ([5.0, 6.0], [3.0, 4.0])}
    plotting.plot_comparison([1, 2], {"bound": [2.0, 8.0]}, points, looks=looks, ax=ax)
    line, marks, alone = ax.lines
    assert line.get_color() == marks.get_color() == "red"
    assert (line.get_linestyle(), marks.get_marker(), alone.get_marker()) == ("--", "o", "x")
    assert marks.get_linestyle() == "None"
    np.testing.assert_array_equal(alone.get_xydata(), [[5, 3], [6, 4]])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["bound", "alone"]
    keys = ax.get_legend().findobj(mpl.lines.Line2D)
    assert [(key.get_linestyle(), key.get_marker()) for key in keys] == [
        ("--", "None"),
        ("None", "o"),
        ("None", "x"),
    ]
    assert ax.get_yscale() == "log"
    with pytest.raises(ValueError, match=r"none for \['bound'\]"):
        plotting.plot_comparison([1, 2], {"bound": [1, 2]}, {}, looks={}, ax=ax)
