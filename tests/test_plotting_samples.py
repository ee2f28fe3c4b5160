"""Drawings of random samples are checked by the data of their artists."""

import numpy as np
import pytest

import transpde as tp
from transpde import plotting

N = np.array([10, 20, 40])


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
    assert [text.get_text()[0] for text in ax.get_legend().get_texts()] == ["a", "b"]


def test_medians_hold_paths_and_their_median():
    paths = {"a": np.array([[0.0, 1.0], [0.0, 2.0], [0.0, 9.0]])}
    ax = plotting.plot_medians([0.0, 1.0], paths, colors=["black"])
    np.testing.assert_array_equal([line.get_ydata() for line in ax.lines[:3]], paths["a"])
    np.testing.assert_array_equal(ax.lines[3].get_ydata(), [0.0, 2.0])
    with pytest.raises(ValueError, match="colors"):
        plotting.plot_medians([0.0, 1.0], paths, colors=[])
    with pytest.raises(ValueError, match="number of columns"):
        plotting.plot_medians([0.0, 1.0, 2.0], paths, colors=["black"])


def test_histograms_have_the_masses_of_the_bars():
    tokens = tp.Particles([[0.25], [0.75], [0.8]], [0.5, 0.25, 0.25])
    grid = tp.Grid([0.0, 1.0], [1.0])
    axes = plotting.plot_histograms([tokens, tokens], grid, [0.0, 0.5, 1.0])
    assert len(axes) == 2
    heights = [patch.get_height() for patch in axes[0].patches[:2]]
    np.testing.assert_allclose(heights, [1.0, 1.0])
    assert axes[0].get_title() == "$n = 3$"
    with pytest.raises(TypeError, match="density"):
        plotting.plot_histograms([tokens], tokens, [0.0, 1.0])
    with pytest.raises(ValueError, match="dimension"):
        plotting.plot_histograms([tp.Particles([[0.0, 0.0]])], grid, [0.0, 1.0])
