"""Series of numbers are checked by the data of their artists."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt

import transpde as tp
from transpde import plotting

X = np.array([1.0, 2.0, 4.0])


@pytest.fixture
def ax():
    return plt.figure().add_subplot()


@pytest.fixture
def axes():
    figure, panels = plt.subplots(1, 2)
    yield panels
    plt.close(figure)


def test_lines_hold_the_data_and_the_legend_the_names():
    rows = np.arange(6.0).reshape(3, 2) + 1
    own = (np.array([5.0, 6.0]), np.array([7.0, 8.0]))
    ax = plotting.plot_series(
        X,
        {"rows": rows, "own": own, "_hidden": X},
        styles={"rows": ("0.6", "."), "_hidden": ("#CC3311", "--")},
        log="x",
        xlabel="number",
        ylabel="size",
    )
    expected = [(X, rows[:, 0]), (X, rows[:, 1]), own, (X, X)]
    for line, data in zip(ax.lines, expected, strict=True):
        np.testing.assert_array_equal(line.get_data(), data)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["rows", "own"]
    assert ax.lines[0].get_marker() == "."
    assert (ax.lines[3].get_color(), ax.lines[3].get_linestyle()) == ("#CC3311", "--")
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "linear")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("number", "size")


def test_no_legend_where_every_name_is_hidden():
    ax = plt.figure().add_subplot()
    assert plotting.plot_series(X, {"_": X}, ax=ax, log="xy") is ax
    assert ax.get_legend() is None
    assert ax.get_yscale() == "log"


@pytest.mark.parametrize(
    ("series", "options", "message"),
    [
        ({"a": X}, {"log": "z"}, "log: must be '', 'x', 'y' or 'xy'; got 'z'"),
        ({"a": X}, {"styles": {"b": ("k", "-")}}, "styles: must have names of series"),
        ({"a": X[:2]}, {}, r"series\['a'\]: its length must be that of x, 3; got 2"),
        ({"a": X * np.nan}, {}, r"series\['a'\]: every entry must be finite"),
    ],
)
def test_bad_series(series, options, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_series(X, series, **options)


def test_growth_draws_seeds_and_medians(ax):
    rows = np.array([[1.0, 2.0, 3.0], [1.0, 4.0, 9.0], [1.0, 3.0, 5.0]])
    plotting.plot_growth([0, 1, 2], {tp.Softmax: rows, "L2": 2 * rows}, ax=ax)
    np.testing.assert_array_equal([line.get_ydata() for line in ax.lines[:3]], rows)
    np.testing.assert_array_equal(ax.lines[3].get_ydata(), [1, 3, 5])
    np.testing.assert_array_equal(ax.lines[7].get_ydata(), [2, 6, 10])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["softmax", "L2"]
    with pytest.raises(ValueError, match=r"ratios\['L2'\]: its number of columns"):
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


def test_medians_hold_paths_and_their_median():
    paths = {"a": np.array([[0.0, 1.0], [0.0, 2.0], [0.0, 9.0]])}
    ax = plotting.plot_medians([0.0, 1.0], paths, colors=["black"])
    np.testing.assert_array_equal([line.get_ydata() for line in ax.lines[:3]], paths["a"])
    np.testing.assert_array_equal(ax.lines[3].get_ydata(), [0.0, 2.0])
    with pytest.raises(ValueError, match="colors"):
        plotting.plot_medians([0.0, 1.0], paths, colors=[])
    with pytest.raises(ValueError, match="number of columns"):
        plotting.plot_medians([0.0, 1.0, 2.0], paths, colors=["black"])


def test_curves_have_one_entry_of_the_legend_each(axes):
    y = np.array([[0.0, 1.0], [2.0, np.nan]])
    curves = {tp.Softmax: ([0, 1], y), "L2": ([[0, 0], [1, 2]], 2 * y)}
    ax = plotting.plot_attention_curves(curves, ax=axes[0], ylabel="size", linewidth=3.0)
    np.testing.assert_array_equal([line.get_ydata() for line in ax.lines[:2]], y.T)
    np.testing.assert_array_equal(ax.lines[3].get_xdata(), [0, 2])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["softmax", "L2"]
    assert ax.lines[0].get_linewidth() == 3.0
    assert ax.get_ylabel() == "size"
    assert plotting.plot_attention_curves({"L2": ([0, 1], y)}, ax=axes[1]).get_legend() is None
    with pytest.raises(ValueError, match=r"y of curves\['L2'\]: its length"):
        plotting.plot_attention_curves({"L2": ([0, 1, 2], y)}, ax=ax)


def test_agreement_draws_the_diagonal_and_a_group_each(axes):
    ax = plotting.plot_agreement([[1.0, 4.0], [2.0]], [[1.1, 4.2], [2.0]], ax=axes[0])
    diagonal, first, second = ax.lines
    np.testing.assert_array_equal(diagonal.get_xydata(), [[1, 1], [4, 4]])
    np.testing.assert_array_equal(first.get_xydata(), [[1, 1.1], [4, 4.2]])
    np.testing.assert_array_equal(second.get_xydata(), [[2, 2]])
    assert ax.get_xscale() == ax.get_yscale() == "log"
    with pytest.raises(ValueError, match="found: its length"):
        plotting.plot_agreement([[1.0]], [[1.0, 2.0]], ax=ax)
    with pytest.raises(ValueError, match="found: its length"):
        plotting.plot_agreement([[1.0]], [], ax=ax)
