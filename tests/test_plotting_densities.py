"""Densities on a grid are drawn as they are computed, cell by cell."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

import transpde as tp
from transpde.plotting import plot_density


@pytest.fixture
def ax():
    return plt.figure().add_subplot()


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
        plot_density(tp.Gaussian([0.0], [[1.0]]), ax=ax)
