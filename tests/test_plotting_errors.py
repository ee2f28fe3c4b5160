"""Drawings of errors, orders and poles are checked by the data of their artists."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from transpde import plotting

X = np.array([1.0, 2.0, 4.0])
N = np.array([10, 20, 40])


@pytest.mark.parametrize("order", [2.0, 1.0, -0.5])
def test_convergence_fits_and_draws_the_slope(order):
    x = np.array([4.0, 1.0, 2.0, 8.0])
    errors = 0.3 * x**order
    ax = plotting.plot_convergence(x, errors, order=order, **plotting.attention_style("L2"))
    text = ax.get_legend().get_texts()[0].get_text()
    assert text == f"L2: order {order:.2f}".replace("-", "−")
    assert ax.lines[0].get_color() == plotting.STYLES["L2"]["color"]
    (a, b, corner) = np.log(ax.patches[0].get_xy()[:3])
    assert (b - a)[1] / (b - a)[0] == pytest.approx(order)
    assert corner[1] == min(a[1], b[1])
    assert np.exp(a[1]) < 0.3 * np.exp(a[0]) ** order  # under the data


def test_convergence_errors():
    with pytest.raises(ValueError, match="errors: must be positive; got 0"):
        plotting.plot_convergence([1.0, 2.0], [0.0, 1.0])
    with pytest.raises(ValueError, match="errors: its length must be that of x, 2; got 1"):
        plotting.plot_convergence([1.0, 2.0], [1.0])


def test_samples_are_dots_and_a_line_of_root_mean_squares():
    samples = np.array([[3.0, 1.0, 0.5], [1.0, 2.0, 0.1]])
    ax = plotting.plot_samples(X, samples, order=-0.5, label="gap", color="#CC3311")
    for line, row in zip(ax.lines, samples, strict=False):
        np.testing.assert_array_equal(line.get_data(), (X, row))
        assert line.get_marker() == "."
    np.testing.assert_allclose(ax.lines[-1].get_ydata(), np.sqrt((samples**2).mean(axis=0)))
    assert ax.lines[-1].get_color() == "#CC3311"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["gap"]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_samples_take_the_look_of_an_attention_and_fit_an_order_unless_one_is_expected():
    x, errors = np.array([1.0, 2.0, 4.0]), np.array([[1.0, 0.5, 0.25], [7.0, 3.5, 1.75]])
    style = plotting.attention_style("L2") | {"label": "seeds"}
    ax = plotting.plot_samples(x, errors, order=-1, **style)
    assert np.array_equal([line.get_ydata() for line in ax.lines[:2]], errors)
    assert np.allclose(ax.lines[2].get_ydata(), 5 / x)
    assert {line.get_color() for line in ax.lines} == {style["color"]}
    assert ax.get_legend().get_texts()[0].get_text() == "seeds"
    ax = plotting.plot_samples(x, errors, ax=plt.figure().add_subplot(), **style)
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
    with pytest.raises(
        ValueError, match=r"slopes\[1\]: must have 0 < left < right and a positive"
    ):
        plotting.plot_slopes(ax, {1: (2.0, 2.0, 1.0)})


def test_rates_hold_seeds_and_root_mean_squares():
    families = {"a": np.array([[1.0, 0.5, 0.2], [2.0, 1.0, 0.4]]), "b": np.ones((2, 3))}
    ax = plotting.plot_rates(N, families, order=-0.5, title="rates", ylabel="error")
    lines = [line for line in ax.lines if line.get_linestyle() == "-"]
    for line, values in zip(lines, families.values(), strict=True):
        np.testing.assert_allclose(line.get_ydata(), np.sqrt((values**2).mean(axis=0)))
    dots = [line.get_ydata() for line in ax.lines if line.get_marker() == "."]
    np.testing.assert_array_equal(dots, np.concatenate(list(families.values())))
    assert len([patch for patch in ax.patches if patch.get_gid() == "slope"]) == 1
    np.testing.assert_array_equal(ax.get_xticks(), N)
    assert (ax.get_title(), ax.get_ylabel()) == ("rates", "error")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
    ax = plotting.plot_rates(N, families, ax=plt.figure().add_subplot())
    assert [text.get_text()[:8] for text in ax.get_legend().get_texts()] == [
        "a: order",
        "b: order",
    ]


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
        ([np.nan], {}, "poles: every entry must be finite"),
        ([1j], {"width": 0.5}, r"width: must be at least 1, to show \[-1, 1\]; got 0.5"),
        ([1j], {"height": 0.0}, "height: must be .*positive"),
    ],
)
def test_bad_poles(poles, options, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_poles(np.exp, poles, **options)
