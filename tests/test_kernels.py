"""Sums over tokens: tiles, extreme scores, masks, Sinkhorn potentials."""

import numpy as np
import pytest

from transpde import kernels
from transpde.kernels import sinkhorn, sums


def softmax_sum(rng, n=30, k=2):
    return kernels.SoftmaxSum(
        rng.normal(size=(k, 3)), rng.normal(size=k), rng.normal(size=(n, k)), rng.normal(size=n)
    )


@pytest.mark.parametrize(("rows", "scores"), [(1, 1), (7, 35), (50, 1500), (256, 65536)])
@pytest.mark.parametrize("narrow", [False, True])
def test_tiles_do_not_change_a_sum(monkeypatch, rows, scores, narrow):
    rng = np.random.default_rng(0)
    softmax, x, values = softmax_sum(rng), rng.normal(size=(50, 3)), rng.normal(size=(30, 4))
    pointwise = kernels.PointwiseSum(
        softmax.query, softmax.shift, softmax.keys, rng.random(30), np.tanh
    )
    order = (rng.integers(0, 5, 50).astype(float), np.append(0.0, rng.integers(0, 5, 29)))
    monkeypatch.setattr(sums, "SMALL", 0)
    monkeypatch.setattr(sums, "TILE", scores)
    monkeypatch.setattr(sums, "NARROWEST", 1)
    monkeypatch.setattr(sums, "narrow_blas", lambda: narrow)
    monkeypatch.setattr("transpde.kernels.blocks.ROWS", rows)
    monkeypatch.setattr("transpde.kernels.blocks.FEWEST", rows)
    for some in (softmax, pointwise):
        for seen in (None, order):
            for width in (1, 4):
                whole = some.matrix(x, seen) @ values[:, :width]
                assert np.abs(some.mean(x, values[:, :width], seen) - whole).max() <= 1e-14


def test_scores_of_any_size_are_finite():
    keys = np.array([[1.0], [-1.0]])
    sums = kernels.SoftmaxSum(np.eye(1), np.zeros(1), keys, np.zeros(2))
    x = np.array([[1e4], [-1e4], [1e300]])
    assert sums.mean(x, keys).ravel().tolist() == [1.0, -1.0, 1.0]


def test_a_bias_of_minus_infinity_removes_a_token():
    sums = kernels.SoftmaxSum(np.eye(1), np.zeros(1), np.ones((2, 1)), np.array([0.0, -np.inf]))
    assert sums.mean(np.zeros((1, 1)), np.eye(2)).tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("size", [0.1, 1.0, 10.0, 100.0, 1e3, 1e4])
def test_sinkhorn_potential_has_both_marginals(size):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, 2))
    scores = size * x @ rng.normal(size=(2, 2)) @ x.T
    w = rng.random(40)
    w /= w.sum()
    g = kernels.sinkhorn_potential(scores, w, np.zeros(40), 1e-12, 1e-10)
    kappa = sinkhorn._balanced_kernel(scores, w, g)
    assert np.abs(w @ kappa - 1).max() <= 1e-10
    assert np.abs(kappa @ w - 1).max() <= 1e-13


def test_sinkhorn_tells_of_a_step_that_has_no_singular_values(monkeypatch):
    """LAPACK gives up on rare matrices near the ends of the range; a user learns what failed."""

    def none(*arguments, **options):
        raise np.linalg.LinAlgError("SVD did not converge")

    monkeypatch.setattr(sinkhorn, "SCALING_STEPS", 1)
    monkeypatch.setattr(np.linalg, "lstsq", none)
    scores = 30 * np.random.default_rng(2).normal(size=(30, 30))
    with pytest.raises(RuntimeError, match=r"Sinkhorn: no convergence; the marginal error is \d"):
        kernels.sinkhorn_potential(scores, np.full(30, 1 / 30), np.zeros(30), 1e-12, 1e-10)


def test_sinkhorn_says_how_far_it_came(monkeypatch):
    monkeypatch.setattr(sinkhorn, "SCALING_STEPS", 1)
    monkeypatch.setattr(sinkhorn, "NEWTON_STEPS", 0)
    scores = 30 * np.random.default_rng(2).normal(size=(30, 30))
    with pytest.raises(RuntimeError, match=r"Sinkhorn: no convergence; the marginal error is \d"):
        kernels.sinkhorn_potential(scores, np.full(30, 1 / 30), np.zeros(30), 1e-12, 1e-10)
