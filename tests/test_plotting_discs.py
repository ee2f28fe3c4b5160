"""Discs and curves of several attentions: the data of the artists."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

import transpde as tp
from transpde import disc, plotting


@pytest.fixture
def axes():
    figure, panels = plt.subplots(1, 2)
    yield panels
    plt.close(figure)


def test_discs_have_titles_and_paths(axes):
    points = np.array([[[0.1, 0.2]], [[0.5, -0.2]]])
    paths = {"one": disc.covariances_at(points), "two": disc.covariances_at(-points)}
    plotting.plot_discs(paths, axes=axes, size=3.0)
    assert [ax.get_title() for ax in axes] == ["one", "two"]
    (segments,) = axes[1].collections[0].get_segments()
    np.testing.assert_allclose(segments, -points[:, 0])
    with pytest.raises(ValueError, match="axes: its length"):
        plotting.plot_discs(paths, axes=axes[:1])


def test_arc_holds_the_directions_with_a_positive_form(axes):
    C = np.array([[1.0, 0.6], [0.6, -0.4]])
    plotting.plot_arc(C, ax=axes[0])
    arc = axes[0].lines[0].get_xydata()
    angle = np.linspace(0, 2 * np.pi, len(arc)) / 2
    form = np.einsum(
        "ia,ij,ja->a", [np.cos(angle), np.sin(angle)], C, [np.cos(angle), np.sin(angle)]
    )
    np.testing.assert_array_equal(np.isfinite(arc[:, 0]), form > 0)
    with pytest.raises(ValueError, match="matrix"):
        plotting.plot_arc([[1.0, 2.0], [0.0, 1.0]], ax=axes[1])


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
    with pytest.raises(ValueError, match="y of L2: its length"):
        plotting.plot_attention_curves({"L2": ([0, 1, 2], y)}, ax=ax)


def test_discs_make_their_own_row_with_arcs():
    path = disc.covariances_at([[[0.1, 0.2]], [[0.5, -0.2]]])
    first, second = plotting.plot_discs({"a": path, "b": path}, arcs={"b": np.diag([1.0, -1.0])})
    assert (len(first.lines), len(second.lines)) == (0, 1)
    assert first.get_ylabel()
    assert not second.get_ylabel()
    plt.close(first.figure)


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


def test_bad_panels_and_numbers_are_refused(axes):
    path = disc.covariances_at([[[0.1, 0.2]], [[0.5, -0.2]]])
    with pytest.raises(ValueError, match="panels: must hold at least one"):
        plotting.plot_discs({})
    with pytest.raises(ValueError, match="arcs: each must have the title"):
        plotting.plot_discs({"a": path}, axes=axes[:1], arcs={"b": np.eye(2)})
    with pytest.raises(ValueError, match="expected: must hold at least one group"):
        plotting.plot_agreement([], [], ax=axes[0])
    with pytest.raises(ValueError, match="found: must be positive; got 0"):
        plotting.plot_agreement([[1.0]], [[0.0]], ax=axes[0])
