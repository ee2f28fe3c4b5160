"""Drawings of spectra: random heads, laws, eigenvalues along depth."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from transpde import plotting

LOOKS = {"a": {"color": "red", "label": "one"}, "b": {"color": "blue", "label": "two"}}


@pytest.fixture
def ax():
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def test_dots_means_and_laws_against_the_dimension(ax):
    a, b = np.array([[1.0, 2.0], [3.0, 6.0]]), np.array([[1.0, 1.0]])
    drawn = plotting.plot_dimensions([2, 8], {"a": a, "b": b}, looks=LOOKS, laws=[3.0], ax=ax)
    assert drawn is ax
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(lines["one"].get_ydata(), [2, 4])
    assert lines["one"].get_xdata() @ [1, 0] < 2 < lines["two"].get_xdata() @ [1, 0]
    np.testing.assert_allclose(lines["_law"].get_ydata(), [3, 3])
    dots = [line.get_ydata().tolist() for line in ax.lines if line.get_marker() == "."]
    assert dots == [*a.tolist(), *b.tolist()]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["2", "8"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "two"]


def test_a_histogram_under_its_law(ax):
    values = np.linspace(-1, 1, 100)
    law = np.array([-1.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0])
    plotting.plot_spectrum(values, law, color="red", label="law", ax=ax, bins=4)
    corners = ax.patches[0].get_xy()
    assert corners[:, 1].max() == pytest.approx(0.5)
    np.testing.assert_allclose(ax.lines[0].get_xydata(), np.transpose(law))


def test_shapes_and_names_are_checked(ax):
    with pytest.raises(ValueError, match="looks"):
        plotting.plot_dimensions([2, 4], {"c": [[1, 2]]}, looks=LOOKS, ax=ax)
    with pytest.raises(ValueError, match="columns"):
        plotting.plot_dimensions([2, 4], {"a": [[1, 2, 3]]}, looks=LOOKS, ax=ax)
    with pytest.raises(ValueError, match="dimensions"):
        plotting.plot_dimensions([0, 4], {"a": [[1, 2]]}, looks=LOOKS, ax=ax)
    for law in ([1, 2, 3], [[1, 2]], "high", np.nan):
        with pytest.raises(ValueError, match="laws"):
            plotting.plot_dimensions([2, 4], {"a": [[1, 2]]}, looks=LOOKS, laws=[law], ax=ax)
    with pytest.raises(ValueError, match="law"):
        plotting.plot_spectrum([1.0], ([0, 1], [1]), color="k", label="", ax=ax)


def test_decay_shows_eigenvalues_and_slopes():
    t = np.geomspace(1, 1e3, 7)
    left, right = plotting.plot_decay(t, np.stack([t**-1.0, 2 + 0 * t], axis=1), [False, True])
    np.testing.assert_allclose(left.lines[0].get_ydata(), 1 / t)
    np.testing.assert_allclose(right.lines[0].get_ydata(), 1)
    np.testing.assert_allclose(right.lines[1].get_ydata(), 0, atol=1e-14)
    assert left.lines[0].get_color() != left.lines[1].get_color()
    of_attentions = {
        style["color"] for name, style in plotting.STYLES.items() if name != "Softmax"
    }
    assert left.lines[0].get_color() not in of_attentions  # what vanishes is no attention
    with pytest.raises(ValueError, match=r"must be positive"):
        plotting.plot_decay(t, np.zeros((7, 1)), [True])
    with pytest.raises(ValueError, match=r"stays"):
        plotting.plot_decay(t, np.ones((7, 2)), [True])
