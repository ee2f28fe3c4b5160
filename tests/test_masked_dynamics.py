"""Masked attention along depth: causal order one, leaders on the sphere and in space."""

import numpy as np
import pytest
from scipy.linalg import expm

import transpde as tp

EYE = np.eye(2)


def average_attention():
    """Q = K = 0 and V = 1: the field is the running mean."""
    return tp.Masked(tp.Softmax([[0.0]], [[0.0]], [[1.0]]))


@pytest.mark.parametrize("n", [2, 16, 128])
def test_a_push_of_the_first_token_grows_as_the_exponential_of_the_running_mean(n):
    """At order one the growth has no bound in n; at order two it is at most e^2."""
    pair = [tp.Particles(e, positions=np.arange(n)) for e in (np.zeros((n, 1)), np.eye(n, 1))]
    ends = [tp.flow(mu, average_attention(), [0.0, 1.0]).final for mu in pair]
    column = expm(np.tril(np.ones((n, n))) / np.arange(1, n + 1)[:, None])[:, 0]
    for p, exact in ((1, column.sum()), (2, np.linalg.norm(column))):
        growth = tp.conditional_wasserstein(*ends, p) / tp.conditional_wasserstein(*pair, p)
        assert growth == pytest.approx(exact, rel=1e-9)
    assert np.linalg.norm(column) < np.e**2
    assert column.sum() > 3.5 * np.sqrt(np.log2(n))


@pytest.mark.parametrize("p", [1.5, 2, 4])
def test_masked_flow_is_stable_in_the_conditional_distance(p):
    """d_p(t) <= exp((L_x + L_mu p / (p - 1)) t) d_p(0), and the exponent is not idle."""
    rng = np.random.default_rng(int(10 * p))
    for _ in range(10):
        Q, K, V = 0.4 * rng.normal(size=(3, 2, 2))
        n, R0, T = 12, 0.5, 0.5
        x, y = rng.uniform(-R0, R0, size=(2, n, 2)) / np.sqrt(2)
        s = np.sort(rng.random(n))
        ends, starts = [], [tp.Particles(z, positions=s) for z in (x, y)]
        ends = [tp.flow(mu, tp.Masked(tp.Softmax(Q, K, V)), [0.0, T]).final for mu in starts]
        v, R = np.linalg.norm(V, 2), R0 * np.exp(np.linalg.norm(V, 2) * T)
        a = np.linalg.norm(K.T @ Q, 2) * R**2
        constant = v * a + p / (p - 1) * v * (1 + 2 * a) * np.exp(2 * a)
        growth = tp.conditional_wasserstein(*ends, p) / tp.conditional_wasserstein(*starts, p)
        assert abs(np.log(growth)) <= constant * T
        assert np.abs(ends[0].points).max() <= R


@pytest.mark.parametrize("seed", range(3))
def test_on_the_sphere_the_slow_mode_grows_linearly_along_the_sequence(seed):
    """|x_k - x_1| / |x_2 - x_1| tends to k - 1, at the rate 1/2, for any query and key."""
    rng = np.random.default_rng(seed)
    x, (Q, K) = rng.normal(size=(12, 3)), rng.normal(size=(2, 3, 3)) / 2
    unit = x / np.linalg.norm(x, axis=1)[:, None]
    tokens = tp.Particles(unit, positions=np.arange(12), space=tp.Sphere())
    attention = tp.Masked(tp.Softmax(Q, K, np.eye(3)))
    path = tp.flow(tokens, attention, [0.0, 36.0, 40.0]).points
    far = np.linalg.norm(path - path[:, :1], axis=2)
    assert np.abs(path[:, 0] - path[0, 0]).max() <= 1e-9
    assert np.log(far[1, 1] / far[2, 1]) / 4 == pytest.approx(0.5, abs=2e-3)
    np.testing.assert_allclose(far[2, 1:] / far[2, 1], np.arange(1, 12), rtol=0.03)


def rescaled_gap(start, depths):
    """c(t) with e^-t x_2 = x_1 + c w, and the part of e^-t x_2 - x_1 that is not along w."""
    pair = tp.Particles([[1.0, 0.0], start], positions=[0.0, 1.0])
    path = tp.flow(pair, tp.Masked(tp.Softmax(EYE, EYE, EYE)), [0.0, *depths]).points[1:]
    w = np.subtract(start, [1.0, 0.0])
    z = np.exp(-np.array(depths))[:, None] * path[:, 1] - [1.0, 0.0]
    c = z @ w / (w @ w)
    return c, np.abs(z - c[:, None] * w).max()


@pytest.mark.parametrize("start", [[0.5, 0.45], [0.1, 0.0], [0.8, -0.3], [0.5, 0.0]])
def test_in_space_a_second_token_of_the_ball_follows_at_a_fixed_vector(start):
    c, across = rescaled_gap(start, [4.0, 5.0])
    assert across <= 1e-8
    assert (c <= np.exp(-np.array([2.0, 2.5]))).all()
    assert np.exp(5) * c[1] == pytest.approx(np.exp(4) * c[0], rel=1e-5)
    assert np.exp(5) * c[1] >= 1


@pytest.mark.parametrize("start", [[1.0, 0.6], [1.5, 0.0], [1.2, -0.7]])
def test_in_space_a_second_token_of_the_half_plane_never_follows(start):
    c, across = rescaled_gap(start, [4.0, 5.0])
    assert across <= 1e-8
    assert c[1] > 0.5
    assert c[1] == pytest.approx(c[0], rel=1e-8)


@pytest.mark.parametrize("m", [1, 4, 32])
def test_mean_square_distance_of_uniform_draws(m):
    """E W_2^2 = 1/(6m) for m uniform draws on [0, 1]: within four standard errors."""
    draws = np.sort(np.random.default_rng(m).random((4000, m)), axis=1)
    ends = np.arange(m + 1) / m
    pieces = ((draws - ends[:-1]) ** 3 - (draws - ends[1:]) ** 3) / 3
    squares = pieces.sum(axis=1)
    error = squares.std() / np.sqrt(len(squares))
    assert squares.mean() == pytest.approx(1 / (6 * m), abs=4 * error)
    fine = tp.Particles((np.arange(4000)[:, None] + 0.5) / 4000)
    assert tp.wasserstein(tp.Particles(draws[:1].T), fine) ** 2 == pytest.approx(
        squares[0], rel=1e-3
    )
