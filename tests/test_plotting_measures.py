"""Drawings of measures are checked by the data of their artists."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot as plt

import transpde as tp
from transpde import plotting
from transpde.plotting import plot_density
from transpde.plotting.measures import outline

EYE = np.eye(2)
ENTRIES = st.floats(-2.0, 2.0)


def tokens(n=7, d=2, weights=None):
    return tp.Particles(np.random.default_rng(0).normal(size=(n, d)), weights)


@pytest.fixture
def ax():
    return plt.figure().add_subplot()


def test_particles_have_area_proportional_to_weight():
    cloud = tokens(4, weights=[0.1, 0.2, 0.3, 0.4])
    dots = plotting.plot_particles(cloud, size=10.0).collections[0]
    np.testing.assert_allclose(dots.get_sizes(), 40.0 * cloud.weights)
    np.testing.assert_array_equal(dots.get_offsets(), cloud.points)


def test_particles_of_the_line_stand_on_it():
    ax = plotting.plot_particles(tokens(5, 1))
    assert (ax.collections[0].get_offsets()[:, 1] == 0).all()
    assert not ax.yaxis.get_visible()


@settings(max_examples=25)
@given(st.lists(ENTRIES, min_size=6, max_size=6), st.floats(0.5, 3.0))
def test_ellipse_satisfies_its_equation(numbers, level):
    X = np.reshape(numbers[:4], (2, 2)) + 5 * EYE
    points = outline(tp.Gaussian(numbers[4:], factor=X), level)
    inside = np.linalg.solve(X, (points - numbers[4:]).T)
    np.testing.assert_allclose(np.linalg.norm(inside, axis=0), level, rtol=1e-12)


def test_ellipse_counts_the_scale_and_the_levels():
    gaussian = tp.Gaussian([1.0, 2.0], factor=[[2.0, 0.0], [1.0, 1.0]], log_scale=np.log(4.0))
    ax = plotting.plot_ellipse(gaussian, levels=(1.0, 3.0), fill=0.2)
    for line, level in zip(ax.lines, (1.0, 3.0), strict=True):
        centred = line.get_xydata() - gaussian.mean
        form = (centred * np.linalg.solve(gaussian.covariance, centred.T).T).sum(axis=1)
        np.testing.assert_allclose(form, level**2, rtol=1e-12)
    assert len(ax.patches) == 2


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_rank_one_is_a_segment(columns):
    X = np.outer([3.0, 4.0], np.ones(columns) / np.sqrt(columns))
    segment = plotting.plot_ellipse(tp.Gaussian([1.0, 1.0], factor=X)).lines[0].get_xydata()
    ends = segment[np.argsort(segment[:, 0])]
    np.testing.assert_allclose(ends, [[-5.0, -7.0], [7.0, 9.0]], rtol=1e-12)


def test_a_wide_factor_has_the_ellipse_of_its_covariance():
    gaussian = tp.Gaussian([0.0, 0.0], factor=[[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]])
    points = outline(gaussian, 2.0)
    form = (points * np.linalg.solve(gaussian.covariance, points.T).T).sum(axis=1)
    np.testing.assert_allclose(form, 4.0, rtol=1e-12)


@pytest.mark.parametrize("factor", [EYE, [[3.0], [-4.0]], [[0.0], [-2.0]]])
def test_ellipse_has_no_sign_and_no_first_axis(factor):
    """A circle has every axis, an axis two signs: rounding shall not choose what is drawn."""
    X = np.asarray(factor, dtype=float)
    drawn = outline(tp.Gaussian([1.0, 2.0], factor=X), 2.0)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    same = [-X, X @ (turn if X.shape == (2, 2) else -1.0 * np.eye(1)), X * (1 + 1e-15)]
    for other in same:
        points = outline(tp.Gaussian([1.0, 2.0], factor=other), 2.0)
        np.testing.assert_allclose(points, drawn, rtol=0, atol=1e-13)


def test_rank_zero_is_a_dot():
    line = plotting.plot_ellipse(tp.Gaussian([1.0, 2.0], factor=[[0.0], [0.0]])).lines[0]
    np.testing.assert_array_equal(line.get_xydata(), [[1.0, 2.0]])
    assert line.get_marker() == "."


def test_ellipse_errors():
    single = tp.Gaussian([0.0, 0.0], factor=EYE)
    with pytest.raises(ValueError, match="Use plot_ellipses"):
        plotting.plot_ellipse(tp.Gaussian(np.zeros((2, 2)), factor=EYE))
    with pytest.raises(ValueError, match="levels: must be positive"):
        plotting.plot_ellipse(single, levels=(0.0,))
    with pytest.raises(ValueError, match="too large to be drawn"):
        plotting.plot_ellipse(tp.Gaussian([0.0, 0.0], factor=EYE, log_scale=2000.0))
    with pytest.raises(ValueError, match="values: its length must be that of gaussians, 1"):
        plotting.plot_ellipses(single, values=[1.0, 2.0])


def test_ellipses_of_a_stack_a_list_and_a_trajectory(gaussian_path):
    means = np.arange(6.0).reshape(3, 2)
    stack = tp.Gaussian(means, factor=[EYE, [[1.0, 0.0], [1.0, 0.0]], 0 * EYE])
    ax = plotting.plot_ellipses(stack, values=[5.0, 6.0, 7.0])
    np.testing.assert_array_equal(ax.collections[0].get_array(), [5.0, 6.0, 7.0])
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[4.0, 5.0]])
    drawn = plotting.plot_ellipses([stack[0], stack[1]]).collections[-1]
    np.testing.assert_array_equal(drawn.get_array(), [0.0, 1.0])
    drawn = plotting.plot_ellipses(gaussian_path).collections[-1]
    np.testing.assert_array_equal(drawn.get_array(), gaussian_path.times)


def test_ellipses_leave_out_what_has_ended(stack_path):
    with pytest.raises(ValueError, match="trajectory of one Gaussian"):
        plotting.plot_ellipses(stack_path)
    at_one = plotting.plot_ellipses(stack_path(0.75)).collections[0]
    np.testing.assert_array_equal(at_one.get_array(), [1.0, 2.0])


def test_steps_on_the_line(ax):
    grid = tp.Grid([0.0, 1.0, 3.0], [0.5, 0.25])
    assert plot_density(grid, ax=ax, color="red", linewidth=3.0) is ax
    shadow, curve = ax.patches
    for steps in (shadow, curve):
        assert np.array_equal(steps.get_data().values, grid.density)
        assert np.array_equal(steps.get_data().edges, grid.edges[0])
    assert curve.get_linewidth() == 3.0
    assert shadow.get_fill()
    assert not curve.get_fill()


def test_no_shadow(ax):
    plot_density(tp.Grid([0.0, 1.0, 3.0], [0.5, 0.25]), ax=ax, fill=0)
    assert len(ax.patches) == 1


def test_cells_of_the_plane(ax):
    """The mesh puts the average of each cell where the cell is, first axis to the right."""
    edges = [np.array([0.0, 1.0, 3.0]), np.array([-1.0, 0.0, 1.0, 2.0])]
    rho = np.arange(1.0, 7.0).reshape(2, 3)
    grid = tp.Grid(edges, rho / (rho * np.outer([1.0, 2.0], [1.0, 1.0, 1.0])).sum())
    plot_density(grid, ax=ax)
    mesh = ax.collections[-1]
    corners = mesh.get_coordinates()
    for i in range(2):
        for j in range(3):
            assert np.array_equal(corners[j, i], [edges[0][i], edges[1][j]])
            assert mesh.get_array()[j, i] == grid.density[i, j]
    assert mesh.get_clim()[0] == 0.0


def test_only_grids(ax):
    with pytest.raises(TypeError, match="grid: must be Grid; got Gaussian"):
        plot_density(tp.Gaussian([0.0], factor=[[1.0]]), ax=ax)


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
