"""Drawings of limits and hulls: the artists carry the numbers."""

import numpy as np
import pytest

import transpde as tp
from transpde import disc, plotting


def test_grids_and_directions_without_a_picture_are_told():
    S = np.stack([disc.disc_gaussians(5).covariance] * 2)
    with pytest.raises(ValueError, match=r"direction's length"):
        plotting.plot_limit_lines({"a": S}, [0.0, 0.0])
    nearly = 1e6 + 1e-9 * np.random.default_rng(0).normal(size=(1, 5, 2))
    with pytest.raises(ValueError, match=r"paths: "):
        plotting.plot_hulls(nearly)


def test_limit_line_lies_on_the_wall_of_each_cone():
    S = np.stack([disc.disc_gaussians(5).covariance] * 2) * np.array([1, 0.5])[:, None, None, None]
    axes = plotting.plot_limit_lines({"a": S, "b": 2 * S}, [2.0, 1.0], height=3.0)
    assert [ax.get_title() for ax in axes] == ["a", "b"]
    for ax in axes:
        u, w, v = np.array(ax.lines[-1].get_data_3d())
        np.testing.assert_allclose(v, [0.0, 3.0])
        np.testing.assert_allclose(np.hypot(u, w), v)
        assert 2 * np.arctan2(1, 2) == pytest.approx(np.arctan2(w[1], u[1]))
        assert ax.lines[-1].get_color() == "black"
    with pytest.raises(ValueError, match=r"direction: .*dimension"):
        plotting.plot_limit_lines({"a": S}, [1.0, 0.0, 0.0])


def test_starts_carry_their_numbers_and_marks():
    starts = disc.disc_gaussians(5)
    numbers = np.arange(float(len(starts.covariance)))
    curve = np.array([np.diag([0.2, 0.8]), np.diag([0.7, 0.3])])
    ax = plotting.plot_starts(
        starts, numbers, stars=[[1.0, 0.0]], squares=[[0.0, 1.0]], boundary=curve, label="number"
    )
    np.testing.assert_array_equal(ax.collections[-1].get_array(), numbers)
    np.testing.assert_allclose(
        ax.collections[-1].get_offsets(), disc.disc_coordinates(starts.covariance)
    )
    line, star, square = ax.lines
    np.testing.assert_allclose(line.get_xydata(), [[-0.6, 0], [0.4, 0]], atol=1e-15)
    np.testing.assert_allclose(star.get_xydata(), [[1, 0]], atol=1e-15)
    np.testing.assert_allclose(square.get_xydata(), [[-1, 0]], atol=1e-15)
    assert ax.figure.axes[1].get_ylabel() == "number"


def test_decay_shows_eigenvalues_and_slopes():
    t = np.geomspace(1, 1e3, 7)
    left, right = plotting.plot_decay(t, np.stack([t**-1.0, 2 + 0 * t], axis=1), [False, True])
    np.testing.assert_allclose(left.lines[0].get_ydata(), 1 / t)
    np.testing.assert_allclose(right.lines[0].get_ydata(), 1)
    np.testing.assert_allclose(right.lines[1].get_ydata(), 0, atol=1e-14)
    assert left.lines[0].get_color() != left.lines[1].get_color()
    with pytest.raises(ValueError, match=r"must be positive"):
        plotting.plot_decay(t, np.zeros((7, 1)), [True])
    with pytest.raises(ValueError, match=r"stays"):
        plotting.plot_decay(t, np.ones((7, 2)), [True])


def test_hulls_hold_the_corners_of_each_time():
    square = np.array([[0.0, 0.0], [1, 0], [1, 1], [0, 1], [0.5, 0.5]])
    ax = plotting.plot_hulls(np.stack([square, 0.5 * square]), values=[0.0, 3.0], label="depth")
    outlines = ax.collections[0].get_segments()
    assert [len(one) for one in outlines] == [5, 5]
    assert outlines[1].max() == 0.5
    assert ax.collections[0].get_array().tolist() == [0.0, 3.0]
    assert ax.figure.axes[1].get_ylabel() == "depth"
    with pytest.raises(ValueError, match=r"those of time 0 lie on one line"):
        plotting.plot_hulls([[[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]])
    with pytest.raises(ValueError, match=r"values: .*length"):
        plotting.plot_hulls(np.stack([square, square]), values=[0.0])


def test_tokens_of_a_flow_can_be_drawn():
    path = tp.flow(tp.Particles(np.eye(2)), tp.Softmax(*3 * [np.eye(2)]), [0.0, 0.1])
    with pytest.raises(ValueError, match=r"lie on one line"):
        plotting.plot_hulls(path.points)
