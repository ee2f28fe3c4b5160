"""Drawings of layers: what the artists hold."""

import numpy as np
import pytest

import transpde as tp
from transpde import plotting

TOKENS = tp.Particles([[0.0, 1.0], [1.0, 0.0], [0.5, -1.0]])
HEAD = tp.Softmax(np.eye(2), np.eye(2), [[0.0, -1.0], [1.0, 0.0]])


@pytest.mark.parametrize(("depth", "dots"), [(4, 4.0), (32, 2.0), (33, 0.0)])
def test_layers_are_broken_lines_over_the_flow(depth, dots):
    stack, flow = tp.layers(TOKENS, HEAD, depth, 1 / depth), tp.flow(TOKENS, HEAD, 1.0)
    ax = plotting.plot_layers(stack, flow)
    assert len(ax.lines) == 3
    for i, line in enumerate(ax.lines):
        assert np.array_equal(line.get_xydata(), stack.points[:, i])
        assert line.get_markersize() == dots
    paths = ax.collections[0].get_segments()
    assert np.array_equal(paths[1], flow.points[:, 1])
    assert np.array_equal(ax.collections[-1].get_offsets(), stack.final.points)


def test_layers_of_other_tokens():
    stack, flow = tp.layers(TOKENS, HEAD, 2, 0.1), tp.flow(tp.Particles([[1.0, 2.0]]), HEAD, 1.0)
    with pytest.raises(ValueError, match="number of tokens"):
        plotting.plot_layers(stack, flow)
    line = tp.layers(tp.Particles([[1.0]]), tp.Softmax([[1.0]], [[1.0]], [[1.0]]), 2, 0.1)
    with pytest.raises(ValueError, match="dimension"):
        plotting.plot_layers(line)
    gaussian = tp.Gaussian([0.0, 0.0], np.eye(2))
    with pytest.raises(TypeError, match="Particles"):
        plotting.plot_layers(tp.layers(gaussian, HEAD, 2, 0.1))
