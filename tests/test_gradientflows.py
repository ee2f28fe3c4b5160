"""The chapter on gradient flows: which attentions have an energy, and what its shape implies."""

from itertools import permutations

import numpy as np
import pytest
from problems import orthogonal
from scipy.integrate import solve_ivp
from scipy.linalg import eigh
from scipy.special import expit

import transpde as tp
from transpde.energy import (
    bures_geodesic,
    gradient_defect,
    interaction_energy,
    sinkhorn_energy,
    twisted_curvatures,
    twisted_energy,
    wasserstein_gradient,
)

I = np.eye(2)
LOW_RANK = np.random.default_rng(0).normal(size=(2, 3, 2))[0]


def symmetric(rng, values):
    U = orthogonal(rng, len(values))
    return (U * np.asarray(values)) @ U.T


def cloud(rng, n=6, d=2, size=0.8):
    w = rng.random(n) + 0.2
    return tp.Particles(size * rng.normal(size=(n, d)), w / w.sum())


def covariances(rng, count, d=2):
    return tp.Gaussian(np.zeros((count, d)), factor=rng.normal(size=(count, d, d)))


# --- which attentions are gradients --------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_pair_energies_have_their_attentions_as_gradients(seed):
    """Unnormalised, linear and sigmoid, with weights, and A of both signs."""
    rng = np.random.default_rng(seed)
    mu, A, bias = cloud(rng), symmetric(rng, [1.0, -0.6]), 0.4
    cases = [
        (np.exp, tp.Unnormalized(I, A, A)),
        (lambda s: s**2 / 2, tp.Linear(I, A, A)),
        (lambda s: np.logaddexp(0, s + bias), tp.Sigmoid(I, A, A, bias)),
    ]
    for phi, head in cases:

        def energy(nu, phi=phi):
            return nu.weights @ phi(nu.points @ A @ nu.points.T) @ nu.weights / 2

        gradient = wasserstein_gradient(mu, energy)
        assert np.abs(gradient - head(mu)(mu.points)).max() < 1e-9
        assert gradient_defect(mu, head) < 1e-9


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("kind", ["any", "skew", "rank one", "symmetric"])
def test_softmax_of_two_tokens_is_no_gradient(kind, d):
    """J12 and J21 at x1 = x, x2 = 0 by their formulas; J is not symmetric, for any A and V."""
    rng, h = np.random.default_rng([13, d]), 1e-5
    for _ in range(5):
        A, V, x = rng.normal(size=(d, d)), rng.normal(size=(d, d)), rng.normal(size=d)
        if kind == "skew" and d > 1:
            A = A - A.T
        if kind == "rank one":
            A, V = np.outer(A[0], A[-1]), np.outer(V[0], V[-1])
        if kind == "symmetric":
            A, V = A + A.T, A + A.T
        head = tp.Softmax(np.eye(d), A, V)

        def velocity(p, q, head=head):
            mu = tp.Particles([p, q])
            return head(mu)(mu.points)

        steps, zero = h * np.eye(d), np.zeros(d)
        J12 = np.transpose([velocity(x, e)[0] - velocity(x, -e)[0] for e in steps]) / (2 * h)
        J21 = np.transpose([velocity(x + e, zero)[1] - velocity(x - e, zero)[1] for e in steps])
        p = expit(x @ A @ x)
        bent = V @ ((1 - p) * np.eye(d) - p * (1 - p) * np.outer(x, A.T @ x))
        assert np.abs(J21 / (2 * h) - V / 2).max() < 1e-8
        assert np.abs(J12 - bent).max() < 1e-8
        assert max(gradient_defect(cloud(rng, 2, d), head) for _ in range(3)) > 1e-3


def test_defect_separates_the_attentions():
    rng = np.random.default_rng(3)
    mu, A, M = cloud(rng), symmetric(rng, [0.9, -0.5]), np.array([[1.0, 0.4], [0.4, 0.7]])
    assert gradient_defect(mu, tp.Sinkhorn(I, A, -A, 0.8)) < 1e-9
    assert gradient_defect(mu, tp.Softmax(I, A, -A)) > 1e-2
    assert gradient_defect(mu, tp.Unnormalized(I, A, M @ A)) > 1e-2  # another metric
    moved = tp.Linear(I, A + np.array([[0, 0.3], [-0.3, 0]]), A)
    assert gradient_defect(mu, moved) > 1e-2  # A not symmetric


def test_velocities_that_do_not_vary_have_no_defect():
    mu = cloud(np.random.default_rng(0))
    assert gradient_defect(mu, tp.Softmax(I, I, 0 * I)) == 0.0
    turned = tp.Softmax(I, I, [[0.0, 1.0], [-1.0, 0.0]])
    assert gradient_defect(tp.Particles([[1.0, 0.0]]), turned) > 1e9  # J is skew


def test_curvatures_scale_with_the_covariance():
    mu, A = covariances(np.random.default_rng(1), 1)[0], np.diag([1.0, -0.3])
    one = twisted_curvatures(mu, A)
    for size in (1e-120, 1e120):
        scaled = tp.Gaussian(mu.mean, factor=mu.factor * np.sqrt(size))
        assert np.allclose(twisted_curvatures(scaled, A), size * one, rtol=1e-12, atol=0)


def test_sigmoid_energy_need_not_be_convex():
    """Two tokens of the line: the matrix of weights is close to [[0, 1], [1, 1]]."""
    mu, v = tp.Particles([[3.0], [9.0]]), np.array([[2.0], [-1.0]])

    def sigmoid_energy(nu, A):
        return np.logaddexp(0, nu.points @ A @ nu.points.T - 18).mean() / 2

    assert second_differences(sigmoid_energy, mu, 0.1 * v, I[:1, :1]).max() < -1e-4 * 0.1**2


def test_bad_input():
    mu, nothing = tp.Gaussian([0.0, 0.0], factor=I), tp.Particles([[0.0], [1.0]], [1.0, 0.0])
    with pytest.raises(TypeError, match="measure: must be Particles; got Gaussian"):
        wasserstein_gradient(mu, len)
    with pytest.raises(ValueError, match=r"measure: must have positive weights; got 0\.0"):
        gradient_defect(nothing, tp.Linear([[1.0]], [[1.0]], [[1.0]]))
    with pytest.raises(ValueError, match="gaussian: must have a positive definite covariance"):
        twisted_curvatures(tp.Gaussian([0.0, 0.0], factor=[[1.0], [0.0]]), I)
    with pytest.raises(ValueError, match="gaussian: must have a positive definite covariance"):
        twisted_curvatures(tp.Gaussian(np.zeros(3), factor=LOW_RANK), np.eye(3))
    for energy in (lambda nu: nu.mean, lambda nu: np.nan, lambda nu: None):
        with pytest.raises(ValueError, match="energy: "):
            wasserstein_gradient(cloud(np.random.default_rng(0)), energy)
    with pytest.raises(TypeError, match="gaussian: must be a Gaussian; got NoneType"):
        twisted_curvatures(None, I)
    with pytest.raises(TypeError, match="gaussian: must be a Gaussian; got Particles"):
        twisted_curvatures(tp.Particles([[0.0, 1.0]]), I)


# --- the two energies of a Gaussian --------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_two_energies_of_a_gaussian(seed):
    rng = np.random.default_rng([1, seed])
    A, X = symmetric(rng, [1.0, -0.7, 0.3]), rng.normal(size=(3, 3))
    gamma = np.abs(np.linalg.eigvalsh(X.T @ A @ X)).max()
    for target in (0.1, 0.6, 0.95):
        mu = tp.Gaussian(np.zeros(3), factor=X * np.sqrt(target / gamma))
        log, E = np.log(2 * interaction_energy(mu, A)), twisted_energy(mu, A)
        square = A @ mu.covariance @ A @ mu.covariance
        assert log == pytest.approx(-np.linalg.slogdet(np.eye(3) - square)[1] / 2, rel=1e-10)
        assert -2 * E < log < -2 * E / (1 - target**2)


def test_a_mean_spoils_the_energy():
    """The work of softmax with V = A around a rectangle of means and variances of the line."""
    a, (m, M), (s, S) = 0.8, (0.5, 1.5), (1.0, 3.0)

    def field(mean, variance):
        head = tp.Softmax([[1.0]], [[a]], [[a]])
        return head(tp.Gaussian.from_covariance([mean], [[variance]]))

    drift = field((m + M) / 2, s)([(m + M) / 2]) - field((m + M) / 2, S)([(m + M) / 2])
    turn = field(M, (s + S) / 2).linear - field(m, (s + S) / 2).linear
    loop = drift.item() * (M - m) + turn.item() * (S - s) / 2
    assert loop == pytest.approx(-(a**2) / 2 * (M**2 - m**2) * (S - s), rel=1e-12)


# --- convexity -----------------------------------------------------------------------------------

ENERGIES = [interaction_energy, sinkhorn_energy, lambda mu, A: -twisted_energy(mu, A)]


def second_differences(energy, mu, v, A, count=9):
    E = [energy(mu.at(mu.points + s * v), A) for s in np.linspace(-0.5, 0.5, count)]
    return np.diff(E, 2) / np.abs(E).max()


@pytest.mark.parametrize("energy", ENERGIES[:2])
@pytest.mark.parametrize("seed", range(4))
def test_energies_of_tokens_are_convex(energy, seed):
    rng = np.random.default_rng([2, seed])
    for values in ([1.0, 0.4], [0.8, 0.0]):
        mu, A = cloud(rng), symmetric(rng, values)
        bends = second_differences(energy, mu, rng.normal(size=mu.points.shape), A)
        assert bends.min() > -1e-10
        assert bends.max() > 1e-4


@pytest.mark.parametrize("energy", ENERGIES[:2])
def test_convexity_needs_a_semidefinite_score(energy):
    """Two tokens that part along an axis of negative sign."""
    mu, v = tp.Particles([[1.0, 0.2], [1.0, -0.2]]), np.array([[0.0, 1.0], [0.0, 1.0]])
    assert second_differences(energy, mu, v, np.diag([1.0, -0.5])).min() < -1e-4
    assert second_differences(energy, mu, v, np.diag([1.0, 0.5])).min() > -1e-12


def test_sinkhorn_plan_of_a_semidefinite_score_is_semidefinite():
    rng = np.random.default_rng(4)
    mu, A = cloud(rng), symmetric(rng, [1.0, 0.3])
    plan = mu.weights[:, None] * tp.Sinkhorn(I, A, I).matrix(mu)
    assert np.abs(plan - plan.T).max() < 1e-10
    assert np.linalg.eigvalsh((plan + plan.T) / 2).min() > -1e-12
    negative = mu.weights[:, None] * tp.Sinkhorn(I, -A, I).matrix(mu)
    assert np.linalg.eigvalsh((negative + negative.T) / 2).min() < -1e-3


@pytest.mark.parametrize("d", [2, 3])
def test_energies_along_bures_geodesics(d):
    """400 geodesics: convex if A is semidefinite; with a negative eigenvalue some are not."""
    rng = np.random.default_rng([5, d])
    starts, ends = covariances(rng, 400, d), covariances(rng, 400, d)
    path = bures_geodesic(starts, ends, np.linspace(0, 1, 15))
    good = symmetric(rng, np.linspace(0.0, 1.0, d))
    bad = symmetric(rng, np.linspace(-0.5, 1.0, d))
    for energy in (ENERGIES[2], sinkhorn_energy):
        scale = np.abs(energy(path, good)).max(axis=0)
        assert (np.diff(energy(path, good), 2, axis=0) / scale).min() > -1e-11
        convex = (np.diff(energy(path, bad), 2, axis=0) > 0).all(axis=0).mean()
        assert 0.2 < convex < 0.97


@pytest.mark.parametrize("d", [1, 2, 3])
def test_curvatures_are_second_derivatives_along_geodesics(d):
    """The Hessian from differences of the energy along geodesics, by polarisation."""
    rng = np.random.default_rng([6, d])
    mu, A = covariances(rng, 1, d)[0], symmetric(rng, np.linspace(1.0, -0.6, d))
    root = [rng.normal(size=(d, d)) for _ in range(d * (d + 1) // 2)]
    basis = [L + L.T for L in root]

    def bend(L, h=1e-3):
        E = [
            twisted_energy(mu.push(tp.AffineField(L, np.zeros(d)), k * h), A) for k in range(-2, 3)
        ]
        return (-E[0] + 16 * E[1] - 30 * E[2] + 16 * E[3] - E[4]) / (12 * h**2)

    H = [[(bend(L + K) - bend(L - K)) / 4 for K in basis] for L in basis]
    N = [[np.trace(L @ mu.covariance @ K) for K in basis] for L in basis]
    exact = eigh(H, N, eigvals_only=True)
    assert np.abs(twisted_curvatures(mu, A) - exact).max() < 1e-6 * np.abs(exact).max()


def test_curvatures_in_closed_form():
    """A = diag(a, -b), Sigma = diag(p, q), L the exchange; and the direction L = I."""
    a, b, p, q = 1.0, 0.5, 0.9, 0.1
    A, S = np.diag([a, -b]), np.diag([p, q])
    curvatures = twisted_curvatures(tp.Gaussian.from_covariance([0.0, 0.0], S), A)
    exchange = (-((a - b) ** 2) * p * q + a * b * (p**2 + q**2)) / (p + q)
    assert np.abs(curvatures - exchange).min() < 1e-12
    assert curvatures[0] < -3 * np.trace(A @ S @ A @ S) / np.trace(S) + 1e-12
    assert curvatures[-1] > 0
    assert twisted_curvatures(tp.Gaussian([0.0, 0.0], factor=I), np.diag([a, b])).max() <= 0


def test_commuting_geodesics_are_concave_if_they_commute_with_the_score():
    rng = np.random.default_rng(7)
    s, t = rng.random((2, 50, 2)) + 0.1
    ends = [tp.Gaussian(np.zeros((50, 2)), factor=r[:, :, None] * I) for r in (s, t)]
    path = bures_geodesic(*ends, np.linspace(0, 1, 15))
    assert np.diff(twisted_energy(path, np.diag([1.0, -0.7])), 2, axis=0).max() < 1e-12
    off = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert np.diff(twisted_energy(path, off), 2, axis=0).max() > 1e-4


# --- contraction ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [tp.Sinkhorn, tp.Linear, tp.Unnormalized])
def test_descents_contract(kind):
    rng = np.random.default_rng(8)
    A, t = symmetric(rng, [0.9, 0.2]), np.linspace(0, 1, 9)
    paths = [tp.flow(cloud(rng, n), kind(I, A, -A), t, rtol=1e-8) for n in (5, 7)]
    W = np.array([tp.wasserstein(mu, nu) for mu, nu in zip(*paths, strict=True)])
    assert (np.diff(W) < 0).all()
    gaussians = covariances(rng, 20), covariances(rng, 20)
    ends = [tp.flow(mu, tp.Softmax(I, A, -A), 1.0).final for mu in gaussians]
    assert (tp.wasserstein(*ends) < tp.wasserstein(*gaussians)).all()


def test_softmax_does_not_contract():
    three = np.array([[-3.8, 0.3], [1.0, -2.3], [-3.9, 4.7]])
    other = three + 0.05 * np.array([[0.77, -0.42], [0.0, 0.0], [-0.46, 0.12]])
    clouds = [tp.Particles(x) for x in (three, other)]
    ends = [tp.flow(mu, tp.Softmax(I, I, -I), 0.2).final for mu in clouds]
    assert tp.wasserstein(*ends) > 1.07 * tp.wasserstein(*clouds)


def test_how_far_softmax_drives_three_tokens_apart():
    # By another solver and the six permutations, on a grid that has the maximum to seven digits.
    three = np.array([[-3.8, 0.3], [1.0, -2.3], [-3.9, 4.7]])
    other = three + 0.05 * np.array([[0.77, -0.42], [0.0, 0.0], [-0.46, 0.12]])

    def field(_, y):
        x = y.reshape(3, 2)
        weights = np.exp(x @ x.T - (x @ x.T).max(axis=1, keepdims=True))
        return -(weights @ x / weights.sum(axis=1, keepdims=True)).ravel()

    t = np.linspace(0, 2, 4001)
    options = {"method": "LSODA", "rtol": 1e-11, "atol": 1e-13, "t_eval": t}
    x, y = (
        solve_ivp(field, (0, 2), z.ravel(), **options).y.T.reshape(-1, 3, 2)
        for z in (three, other)
    )
    squares = [((x - y[:, p]) ** 2).sum(axis=(1, 2)) for p in map(list, permutations(range(3)))]
    ratio = np.sqrt(np.min(squares, axis=0))
    ratio /= ratio[0]
    assert ratio.max() == pytest.approx(1.08938, abs=1e-5)
    paths = [tp.flow(tp.Particles(z), tp.Softmax(I, I, -I), t[::500]) for z in (three, other)]
    found = np.array([tp.wasserstein(*pair) for pair in zip(*paths, strict=True)])
    np.testing.assert_allclose(found / found[0], ratio[::500], rtol=1e-6)


# --- where it goes -------------------------------------------------------------------------------


def test_bounds_from_homogeneity():
    rng = np.random.default_rng(9)
    for seed in range(6):
        A, X = symmetric(rng, [1.0, -0.6 if seed % 2 else 0.4]), rng.normal(size=(2, 2))
        start = tp.Gaussian([0.0, 0.0], factor=X)
        square, N = ((X.T @ A @ X) ** 2).sum(), (X**2).sum()
        low = 1 / (2 * np.linalg.norm(A, 2) ** 2 * np.linalg.norm(X, 2) ** 2)
        up = tp.flow(start, tp.Softmax(I, A, A), 2 * N / square)
        assert low <= up.blowup_time <= N / (2 * square)
        t = np.array([0.0, 0.3, 2.0, 10.0])
        traces = np.exp(tp.flow(start, tp.Softmax(I, A, -A), t).log_sizes)
        assert (traces >= N / (1 + 2 * square * t / N) * (1 - 1e-8)).all()
        if seed % 2 == 0:
            assert (traces <= N / (1 + 2 * 0.4**2 * N * t / 2) * (1 + 1e-8)).all()


def test_bounds_meet_on_the_line():
    path = tp.flow(tp.Gaussian([0.0], factor=[[1.5]]), tp.Softmax([[1.0]], [[0.7]], [[0.7]]), 5.0)
    assert path.blowup_time == pytest.approx(1 / (2 * 0.7**2 * 1.5**2), rel=1e-8)


def test_shape_of_the_end():
    """2t A Sigma A tends to I at order one, for definite A of both signs; not for others."""
    rng = np.random.default_rng(10)
    t = np.array([0.0, 300.0, 600.0])
    for values in ([1.0, 0.6], [-1.3, -0.8]):
        A = symmetric(rng, values)
        start = tp.Gaussian.from_covariance([0.0, 0.0], symmetric(rng, [0.4, 1.5]))
        S = tp.flow(start, tp.Softmax(I, A, -A), t).covariances[1:]
        gaps = np.linalg.norm(2 * t[1:, None, None] * A @ S @ A - I, axis=(1, 2))
        assert gaps[1] < 0.02
        assert gaps[0] / gaps[1] == pytest.approx(2.0, rel=0.02)


def test_indefinite_descent_stops_at_rank_one():
    A, X = np.diag([1.0, -1.0]), np.array([[0.3, -1.0], [0.8, 0.5]])
    S = tp.flow(tp.Gaussian([0.0, 0.0], factor=X), tp.Softmax(I, A, -A), 60.0).final.covariance
    assert np.trace(S) > 0.1
    assert np.abs(np.abs(S) - S[0, 0]).max() < 1e-3 * S[0, 0]  # isotropic for A


def test_tokens_descend_to_the_origin():
    rng = np.random.default_rng(11)
    A, mu = symmetric(rng, [1.0, 0.3]), cloud(rng)
    path = tp.flow(mu, tp.Softmax(I, A, -A), [0.0, 1.0, 5.0, 20.0, 80.0])
    moments = np.array([nu.weights @ (nu.points**2).sum(axis=1) for nu in path])
    assert (np.diff(moments) < 0).all()
    assert moments[-1] < 0.2 * moments[0]


@pytest.mark.parametrize("epsilon", [0.7, 1.5])
def test_sinkhorn_gradient_of_a_gaussian_along_moves_that_are_not_affine(epsilon):
    # Left: discrete plans of moved quadrature tokens. Right: the affine field of the Gaussian.
    A = np.array([[0.8, 0.3], [0.3, -0.5]])
    gaussian = tp.Gaussian([0.3, -0.2], factor=[[0.7, 0.0], [0.2, 0.5]])
    rule = gaussian.quadrature(16)
    x, w = rule.points, rule.weights
    field = tp.Sinkhorn(I, A, -A, epsilon=epsilon)(gaussian)(x)
    for v in (
        np.stack([np.sin(2 * x[:, 1]), np.cos(x[:, 0] + x[:, 1])], axis=1),
        np.stack([np.tanh(x[:, 0]) ** 2, x[:, 0] / (1 + x[:, 1] ** 2)], axis=1),
    ):
        h = 1e-3
        ends = [sinkhorn_energy(tp.Particles(x + s * h * v, w), A, epsilon) for s in (-1, 1)]
        claimed = -(w @ (field * v).sum(axis=1)) / epsilon
        assert (ends[1] - ends[0]) / (2 * h) == pytest.approx(claimed, rel=1e-5)


def test_sinkhorn_energy_lies_below_the_interaction():
    rng = np.random.default_rng(12)
    for epsilon in (0.4, 1.0, 3.0):
        mu, A = cloud(rng), symmetric(rng, [1.0, -0.6])
        low = mu.mean @ A @ mu.mean / (2 * epsilon)
        high = np.log(2 * interaction_energy(mu, A / epsilon)) / 2
        assert low < sinkhorn_energy(mu, A, epsilon) < high
