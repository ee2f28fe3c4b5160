"""Paths of tokens are checked by the data of their artists."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from transpde import plotting


def test_paths_have_lines_rings_and_dots():
    paths = np.random.default_rng(0).normal(size=(5, 3, 2))
    ax = plotting.plot_paths(paths, color="#D55E00", linestyle="--")
    for i, line in enumerate(ax.lines):
        np.testing.assert_array_equal(np.transpose(line.get_data()), paths[:, i])
        assert (line.get_color(), line.get_linestyle()) == ("#D55E00", "--")
    rings, dots = ax.collections
    np.testing.assert_array_equal(rings.get_offsets(), paths[0])
    np.testing.assert_array_equal(dots.get_offsets(), paths[-1])
    assert len(ax.lines) == 3
    assert ax.get_aspect() == 1.0


def test_ends_can_be_left_out_and_axes_given():
    ax = plt.figure().add_subplot()
    assert plotting.plot_paths(np.zeros((2, 1, 2)), ax=ax, ends=False) is ax
    assert not ax.collections


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (np.zeros((2, 3, 3)), "paths: its dimension must be that of the plane, 2; got 3"),
        (np.zeros((2, 2)), "paths: must have shape .T, n, d.; got shape"),
        (np.full((2, 3, 2), np.nan), "paths: every entry must be finite"),
    ],
)
def test_bad_paths(paths, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_paths(paths)
