"""The chapter on stability: constants of order p, amplification, and what is unbounded."""

import numpy as np
import ot
import pytest
from scipy.integrate import quad
from scipy.special import expi

import transpde as tp
from transpde import theory

ONE = np.eye(1)


def softmax_constant(alpha, p):
    """Upper bound of the Lipschitz constant in W_p for |V| = 1."""
    return (1 + (2 if p < 2 else 1) * alpha) * np.exp(2 * alpha / p)


def softmax_exponent(p, alpha, t):
    a = alpha * np.exp(2 * t)
    if p == np.inf:
        return t + a - alpha
    c, k = 2 / p, 1 if p < 2 else 0.5
    ends = [a / 2 + expi(c * a) / 2 + k * np.exp(c * a) / c for a in (alpha, a)]
    return ends[1] - ends[0]


def coupled_gap(pairs, weights, p):
    size = np.linalg.norm(pairs, axis=-1)
    return size.max() if p == np.inf else (weights @ size**p) ** (1 / p)


def in_ball(points):
    return points / np.maximum(1.0, np.linalg.norm(points, axis=-1, keepdims=True))


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 4.0, np.inf])
def test_softmax_is_lipschitz_of_order_p(p):
    """Over random couplings, probes and scores; the hostile pair of the chapter comes near."""
    rng = np.random.default_rng(int(min(p, 9) * 10))
    for alpha in (0.1, 0.5, 1.0, 2.0, 4.0):
        for _ in range(60):
            Q, V = rng.normal(size=(2, 2, 2))
            Q, V = alpha * Q / np.linalg.norm(Q, 2), V / np.linalg.norm(V, 2)
            x, y = in_ball(1.5 * rng.normal(size=(2, 5, 2)))
            y = x + rng.choice([1e-3, 0.3, 1.0]) * (y - x)
            w = rng.dirichlet(np.full(5, 0.3))
            head, probes = tp.Softmax(Q, np.eye(2), V), in_ball(3 * rng.normal(size=(20, 2)))
            gap = head(tp.Particles(x, w))(probes) - head(tp.Particles(y, w))(probes)
            speed = np.linalg.norm(gap, axis=1).max()
            assert speed <= softmax_constant(alpha, p) * coupled_gap(x - y, w, p) * (1 + 1e-9)
        w, h = 1 / (1 + np.exp(2 * alpha)), 1e-5
        reached = push(alpha, w, h) / (h if p == np.inf else h * w ** (1 / p))
        assert reached >= 0.999 * (1 + alpha) * np.exp(2 * alpha / p) / 2


def push(alpha, w, h):
    head = tp.Softmax(alpha * ONE, ONE, ONE)
    fields = [head(tp.Particles([[-1.0], [z]], [1 - w, w]))([[1.0]]) for z in (1.0, 1.0 - h)]
    return abs(fields[0] - fields[1]).item()


def test_constant_of_order_one_is_the_best():
    for alpha in (0.5, 2.0, 4.0):
        w, h = 1e-3 * np.exp(-2 * alpha), 1e-4
        bound = theory.lipschitz_bounds(tp.Softmax(alpha * ONE, ONE, ONE), 1.0).in_measure
        assert 0.99 * bound < push(alpha, w, h) / (w * h) <= bound


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, np.inf])
def test_exponents_of_order_p_are_integrals_of_the_rate(p):
    for alpha, t in ((0.3, 0.8), (1.0, 0.6)):

        def rate(s, alpha=alpha):
            a = alpha * np.exp(2 * s)
            return a + softmax_constant(a, p)

        np.testing.assert_allclose(softmax_exponent(p, alpha, t), quad(rate, 0, t)[0], rtol=1e-9)
    head = tp.Softmax(0.3 * ONE, ONE, ONE)
    got = theory.stability_bound(head, 1.0, 0.8, p, log=True)
    assert got == pytest.approx(softmax_exponent(p, 0.3, 0.8), rel=1e-10)


def test_bound_of_sinkhorn_is_in_mean_square_only():
    head = tp.Sinkhorn(0.3 * ONE, ONE, 2 * ONE, 0.5)
    alpha = 0.3 * np.expm1(4 * 0.7)
    got = theory.stability_bound(head, 1.0, 0.7, 2, log=True)
    assert got == pytest.approx(2 * 0.7 + alpha / 0.5, rel=1e-10)
    both = tp.MultiHead([head, tp.Sigmoid(0.3 * ONE, ONE, ONE)])
    assert theory.stability_bound(both, 1.0, 0.7, 2) is not None
    assert theory.stability_bound(head, 1.0, 0.7, np.inf) is None


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_amplification_of_a_light_far_token(alpha):
    for T in (0.3, 0.7, 1.0):
        E = np.exp(T)
        gain = 1 + E * quad(lambda u: np.exp(2 * alpha * u) / u**2, 1, E)[0]
        w = 1e-6 / gain
        head = tp.Softmax(-alpha * ONE, ONE, ONE)
        starts = tp.Particles([[-1.0]]), tp.Particles([[-1.0], [1.0]], [1 - w, w])
        ends = [tp.flow(z, head, T, rtol=1e-11, atol=1e-15).final for z in starts]
        assert tp.wasserstein(*ends, 1) / (2 * w) == pytest.approx(gain, rel=1e-4)
        assert gain >= (np.exp(2 * alpha * E) - np.exp(2 * alpha)) / (2 * alpha * E)


def test_sinkhorn_is_lipschitz_in_mean_square_along_any_coupling():
    """Clouds of different sizes and weights; optimal, independent and hostile couplings."""
    rng, nearest = np.random.default_rng(4), 0.0
    for size in (0.01, 0.3, 1.0, 3.0):
        for _ in range(12):
            epsilon, M = rng.choice([0.5, 1.0, 2.0]), rng.normal(size=(2, 2, 2))
            Q, V = size * M[0] / np.linalg.norm(M[0], 2), M[1] / np.linalg.norm(M[1], 2)
            x, y = in_ball(rng.normal(size=(5, 2))), in_ball(rng.normal(size=(7, 2)))
            a, b = rng.dirichlet(np.ones(5)), rng.dirichlet(np.ones(7))
            head = tp.Sinkhorn(Q, np.eye(2), V, epsilon)
            fields = head(tp.Particles(x, a))(x)[:, None] - head(tp.Particles(y, b))(y)
            cost = ((x[:, None] - y) ** 2).sum(axis=2)
            for plan in (ot.emd(a, b, cost), np.outer(a, b)):
                ratio = np.sqrt((plan * (fields**2).sum(axis=2)).sum() / (plan * cost).sum())
                bound = 1 + 2 * np.linalg.norm(Q, 2) / epsilon
                assert ratio <= bound * (1 + 1e-7)
                nearest = max(nearest, ratio / bound)
    assert nearest > 0.5


@pytest.mark.parametrize("kind", [tp.Softmax, tp.Sinkhorn])
def test_polynomial_estimates_hold_along_flows(kind):
    rng, p = np.random.default_rng(5), np.inf if kind is tp.Softmax else 2
    for size in (0.02, 0.5, 1.0):
        Q, V = rng.normal(size=(2, 2, 2))
        Q, V = size * Q / np.linalg.norm(Q, 2), V / np.linalg.norm(V, 2)
        x = in_ball(rng.normal(size=(6, 2)))
        y = in_ball(x + 1e-3 * rng.normal(size=(6, 2)))
        paths = [tp.flow(tp.Particles(z), kind(Q, np.eye(2), V), [0, 0.5, 1], rtol=1e-10)
                 for z in (x, y)]  # fmt: skip
        gaps = [coupled_gap(a - b, np.full(6, 1 / 6), p)
                for a, b in zip(*(path.points for path in paths), strict=True)]  # fmt: skip
        bound = np.exp([softmax_exponent(np.inf, size, t) for t in (0.5, 1.0)])
        assert (np.array(gaps[1:]) <= gaps[0] * bound).all()


@pytest.mark.parametrize("kind", [tp.Softmax, tp.L2, tp.Sigmoid, tp.Sinkhorn])
def test_near_the_origin_the_value_matrix_sets_the_rate(kind):
    rng = np.random.default_rng(6)
    Q, K, P = rng.normal(size=(3, 2, 2))
    V = P @ np.diag([0.8, -0.4]) @ np.linalg.inv(P)
    rate = 0.4 if kind is tp.Sigmoid else 0.8
    starts = [tp.Particles(1e-7 * rng.normal(size=(6, 2))) for _ in range(2)]
    times = [0.0, 6 / rate, 10 / rate]
    paths = [tp.flow(z, kind(Q, K, V), times, rtol=1e-8, atol=1e-14) for z in starts]
    first, last = (tp.wasserstein(paths[0][i], paths[1][i]) for i in (1, 2))
    assert np.log(last / first) / 4 == pytest.approx(1, abs=5e-3)


def test_translates_part_as_the_exponential_when_scores_vanish():
    rng, delta = np.random.default_rng(7), np.array([0.3, -0.1])
    cloud, V = rng.normal(size=(5, 2)), np.array([[0.4, 0.7], [-0.2, 0.3]])
    head = tp.Softmax(np.zeros((2, 2)), np.eye(2), V)
    ends = [tp.flow(tp.Particles(z), head, 1.5, rtol=1e-10).final for z in (cloud, cloud + delta)]
    values, U = np.linalg.eig(V)
    moved = (U @ np.diag(np.exp(1.5 * values)) @ np.linalg.inv(U)).real @ delta
    for p in (1, 2):
        assert tp.wasserstein(*ends, p) == pytest.approx(np.linalg.norm(moved), rel=1e-7)


def test_no_constant_for_gaussians():
    """Two variances near the critical one: they approach each other, and their ends part."""
    head, ratios = tp.Softmax(0.5 * ONE, ONE, ONE), []
    for eta in (0.2, 0.02, 0.002):
        starts = [tp.Gaussian([0.0], [[np.sqrt(1 - k * eta)]]) for k in (1, 4)]
        ends = [tp.flow(z, head, 1.0).final for z in starts]
        ratios.append(tp.wasserstein(*ends) / tp.wasserstein(*starts))
        exact = np.abs(np.diff([np.sqrt((1 - k * eta) / (k * eta)) for k in (1, 4)])).item()
        assert tp.wasserstein(*ends) == pytest.approx(exact, rel=1e-6)
    assert ratios[2] / ratios[1] == pytest.approx(10**1.5, rel=0.05)
