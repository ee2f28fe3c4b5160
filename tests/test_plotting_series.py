"""Series are checked by the data of their artists."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from transpde import plotting

X = np.array([1.0, 2.0, 4.0])


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


def test_samples_are_dots_and_a_line_of_root_mean_squares():
    samples = np.array([[3.0, 1.0, 0.5], [1.0, 2.0, 0.1]])
    ax = plotting.plot_samples(X, samples, order=-0.5, label="gap", color="#CC3311")
    for line, row in zip(ax.lines, samples, strict=False):
        np.testing.assert_array_equal(line.get_data(), (X, row))
        assert line.get_marker() == "."
    np.testing.assert_allclose(ax.lines[-1].get_ydata(), np.sqrt((samples**2).mean(axis=0)))
    assert ax.lines[-1].get_color() == "#CC3311"
    assert ax.get_legend().get_texts()[0].get_text().startswith("gap: order")
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_samples_take_the_look_of_an_attention_and_name_the_order():
    x, errors = np.array([1.0, 2.0, 4.0]), np.array([[1.0, 0.5, 0.25], [7.0, 3.5, 1.75]])
    style = plotting.attention_style("L2") | {"label": "seeds"}
    ax = plotting.plot_samples(x, errors, order=-1, **style)
    assert np.array_equal([line.get_ydata() for line in ax.lines[:2]], errors)
    assert np.allclose(ax.lines[2].get_ydata(), 5 / x)
    assert {line.get_color() for line in ax.lines} == {style["color"]}
    assert ax.get_legend().get_texts()[0].get_text() == "seeds: order −1.00"


def test_triangle_lies_under_every_dot():
    x, rng = 2.0 ** np.arange(4, 10), np.random.default_rng(0)
    families = {name: rng.lognormal(0, 1.5, (20, 6)) / x**0.5 for name in "ab"}
    for order in (-0.5, 1.0):
        ax = plotting.plot_rates(x, families, order=order, ax=plt.figure().add_subplot())
        ((left, start), (right, end), *_) = ax.patches[0].get_xy()
        assert np.log(end / start) / np.log(right / left) == pytest.approx(order)
        lowest = np.min([row.min(axis=0) for row in families.values()], axis=0)
        above = (left / 1.5 < x) & (x < right * 1.5)
        assert above.sum() >= 2
        assert (start * (x / left) ** order < lowest / 1.99)[above].all()


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((1, 3)), "samples: must be positive; got 0"),
        ([[1.0, 0.0, 1.0]], "samples: must be positive"),
        ([[1.0, 1.0]], "number of columns must be that of x"),
        ([1.0, 1.0, 1.0], "samples"),
    ],
)
def test_bad_samples(samples, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_samples(X, samples)


def test_slopes_are_grey_lines_with_their_slope():
    ax = plotting.plot_series(X, {"data": X}, log="xy")
    assert plotting.plot_slopes(ax, {2: (1.0, 4.0, 0.5), 1: (1.0, 2.0, 0.1)}) is ax
    np.testing.assert_allclose(ax.lines[1].get_xydata(), [[1, 0.5], [4, 8]])
    np.testing.assert_allclose(ax.lines[2].get_xydata(), [[1, 0.1], [2, 0.2]])
    assert [text.get_text() for text in ax.texts] == ["2", "1"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["data"]
    with pytest.raises(ValueError, match="slopes: must have 0 < left < right and a positive"):
        plotting.plot_slopes(ax, {1: (2.0, 2.0, 1.0)})
