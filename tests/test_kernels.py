"""Sums over tokens: tiles, extreme scores, rows of weight zero."""

import numpy as np

from transpde import kernels


def test_tiles_do_not_change_the_sum(monkeypatch):
    rng = np.random.default_rng(0)
    q, k, values = rng.normal(size=(50, 2)), rng.normal(size=(30, 2)), rng.normal(size=(30, 3))
    bias = rng.normal(size=30)
    whole = kernels.softmax_mean(q, k, bias, values)
    for entries in (1, 30, 31, 700):
        monkeypatch.setattr(kernels, "TILE_ENTRIES", entries)
        assert np.abs(kernels.softmax_mean(q, k, bias, values) - whole).max() <= 1e-15
    matrix = kernels.softmax_matrix(q, k, bias)
    assert np.abs(matrix @ values - whole).max() <= 1e-14


def test_scores_of_any_size_are_finite():
    q, k = np.array([[1e4], [-1e4], [1e300]]), np.array([[1.0], [-1.0]])
    means = kernels.softmax_mean(q, k, np.zeros(2), k)
    assert means.ravel().tolist() == [1.0, -1.0, 1.0]


def test_a_bias_of_minus_infinity_removes_a_token():
    means = kernels.softmax_mean(
        np.zeros((1, 1)), np.ones((2, 1)), np.array([0.0, -np.inf]), np.eye(2)
    )
    assert means.tolist() == [[1.0, 0.0]]
