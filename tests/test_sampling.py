"""The sampler without noise: against quadrature of its kernel, hand formulas, long runs."""

import pickle

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.special import eval_hermitenorm, factorial

import transpde as tp
from transpde.sampling import ProximalSampler, Tilted, proximal_attention, random_layer
from transpde.theory import sampling as theory


def definite(rng, d, least=0.3):
    A = rng.normal(size=(d, d))
    return A @ A.T / d + least * np.eye(d)


def well(x):
    return (x**4).sum(axis=-1) / 4 - (x**2).sum(axis=-1) / 2


def well_slope(x):
    return x**3 - x


def kl(S, target):
    """Of centred Gaussians."""
    A = np.linalg.solve(target, S)
    return (np.trace(A) - len(A) - np.linalg.slogdet(A)[1]) / 2


# --- the score is attention ----------------------------------------------------------------------


@pytest.mark.parametrize("case", ["quadratic", "double well"])
def test_velocity_is_that_of_the_kernel_by_quadrature(case):
    T, beta, m = 0.3, 0.7, 1.4
    U, dU = (well, well_slope) if case == "double well" else (lambda x: 0.9 * x**2, None)
    y, w = np.array([-1.2, 0.1, 0.8, 2.0]), np.array([0.1, 0.4, 0.3, 0.2])

    def kernel(x, y):
        u = U(np.array([x])) if case == "double well" else U(x)
        return np.exp(-(u + (x - y) ** 2 / (2 * m * T)) / (2 * beta))

    Z = [
        quad(kernel, -12, 12, args=(one,), epsabs=0, epsrel=1e-13, points=(-1, 0, 1))[0]
        for one in y
    ]

    def density(x):
        return sum(a * kernel(x, b) / z for a, b, z in zip(w, y, Z, strict=True))

    cloud = tp.Particles(y[:, None], w)
    if case == "double well":
        sampler = ProximalSampler(U, dU, 1, T, beta, [[m]], nodes=60)
    else:
        sampler = proximal_attention([[1.8]], T, beta, [[m]])
    x = np.array([-2.0, -0.4, 0.5, 1.7])
    h = 1e-3
    log_slope = [
        (
            8 * np.log(density(p + h) / density(p - h))
            - np.log(density(p + 2 * h) / density(p - 2 * h))
        )
        / (12 * h)
        for p in x
    ]
    slope = well_slope(x) if case == "double well" else 1.8 * x
    expected = -m * (slope + beta * np.array(log_slope))
    assert sampler(cloud)(x[:, None])[:, 0] == pytest.approx(expected, abs=2e-9)


def test_the_kernel_is_the_cheapest_controlled_diffusion():
    """Least cost over feedbacks v = -K(t) x, constant on pieces, by a general minimiser."""
    a, beta, T, v0, pieces = 1.3, 0.6, 0.7, 2.0, 40
    h = T / pieces

    def run(K):
        v, cost = v0, 0.0
        for k in K:  # v' = -2kv + 2 beta on each piece, and the integral of v
            rest = beta / k
            fall = np.exp(-2 * k * h)
            cost += k**2 / 2 * (rest * h + (v - rest) * (1 - fall) / (2 * k))
            v = rest + (v - rest) * fall
        return cost + a * v / 2, v

    found = minimize(lambda K: run(K)[0], np.full(pieces, 0.7), tol=1e-12)
    cost, v = run(found.x)
    xi, w = np.polynomial.hermite_e.hermegauss(60)
    w = w / w.sum()
    y = np.sqrt(v0) * xi
    inner = [w @ np.exp(-a * (p + np.sqrt(2 * beta * T) * xi) ** 2 / (4 * beta)) for p in y]
    value = -2 * beta * (w @ np.log(inner))
    assert cost == pytest.approx(value, rel=1e-4)
    assert cost > value
    exact = theory.proximal_covariance([[v0]], [[a]], T, beta)[0, 0]
    assert v == pytest.approx(exact, rel=1e-3)


def test_nodes_converge_to_the_normaliser():
    grid = np.array([[-1.5], [0.2], [2.0]])
    exact = [
        np.log(
            quad(lambda z, y=y: np.exp(-(well(np.array([z])) + (z - y) ** 2 / 0.2) / 2), -9, 9)[0]
        )
        - 0.5 * np.log(0.4 * np.pi)
        for y in grid[:, 0]
    ]
    errors = []
    for nodes in (4, 8, 16, 32):
        sampler = ProximalSampler(well, well_slope, 1, 0.1, nodes=nodes)
        errors.append(np.abs(sampler.log_normaliser(grid) - exact).max())
    assert errors[0] > 10 * errors[1] > 100 * errors[2]
    assert errors[3] < 1e-10


def test_normaliser_of_many_points_is_made_in_parts(monkeypatch):
    sampler = ProximalSampler(well, well_slope, 2, 0.1)
    points = np.random.default_rng(0).normal(size=(2, 37, 2))
    whole = sampler.log_normaliser(points)
    monkeypatch.setattr("transpde.sampling.sampler.AT_ONCE", 900)
    assert np.array_equal(sampler.log_normaliser(points), whole)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_one_l2_head_is_the_sampler_with_nodes(d):
    rng = np.random.default_rng(d)
    H, M = definite(rng, d) / 3, definite(rng, d)
    M = M / np.linalg.eigvals(M @ H).real.max()
    cloud = tp.Particles(rng.normal(size=(9, d)), rng.dirichlet(np.ones(9)))
    nodes = ProximalSampler(
        lambda x: ((x @ H) * x).sum(axis=-1) / 2, lambda x: x @ H, d, 0.2, 1.3, M, nodes=26
    )
    x = rng.normal(size=(5, d))
    one = proximal_attention(H, 0.2, 1.3, M)
    assert one(cloud)(x) == pytest.approx(nodes(cloud)(x), abs=3e-12)
    assert one.matrix(cloud) == pytest.approx(nodes.matrix(cloud), abs=3e-12)
    paths = [tp.flow(cloud, a, 0.5, rtol=1e-9).final.points for a in (one, nodes)]
    assert paths[0] == pytest.approx(paths[1], abs=1e-7)


def test_a_stack_of_potentials_and_clouds():
    rng = np.random.default_rng(5)
    H = np.array([definite(rng, 2) for _ in range(3)])
    M = definite(rng, 2)
    points = rng.normal(size=(3, 6, 2))
    both = proximal_attention(H, 0.1, 0.5, M)
    whole = tp.layers(tp.Particles(points), both, 4, 0.1).final.points
    Gaussians = tp.Gaussian(rng.normal(size=(3, 2)), factor=np.array([definite(rng, 2)] * 3))
    laws = tp.layers(Gaussians, both, 4, 0.1).final.covariance
    moved = random_layer(tp.Particles(points), H, 0.1, 0.5, M, seed=0).points
    sampler = ProximalSampler(well, well_slope, 2, 0.1)
    tilted = tp.layers(tp.Particles(points), sampler, 4, 0.1).final.points
    for i in range(3):
        one = proximal_attention(H[i], 0.1, 0.5, M)
        assert whole[i] == pytest.approx(
            tp.layers(tp.Particles(points[i]), one, 4, 0.1).final.points
        )
        assert laws[i] == pytest.approx(tp.layers(Gaussians[i], one, 4, 0.1).final.covariance)
        alone = tp.layers(tp.Particles(points[i]), sampler, 4, 0.1).final.points
        assert tilted[i] == pytest.approx(alone, abs=1e-13)
    noise = np.random.default_rng(0).normal(size=points.shape)
    C = np.linalg.inv(np.linalg.inv(M) + 0.1 * H[1])
    L = np.linalg.eigh(C)
    root = L[1] * np.sqrt(L[0]) @ L[1].T
    hand = points[1] @ (C @ np.linalg.inv(M)).T + np.sqrt(0.1) * noise[1] @ root
    assert moved[1] == pytest.approx(hand, abs=1e-13)


def test_a_tilt_is_a_change_of_weights():
    rng = np.random.default_rng(2)
    y, w = rng.normal(size=(7, 2)), rng.dirichlet(np.ones(7))
    head = tp.Softmax(rng.normal(size=(2, 2)), rng.normal(size=(2, 2)), rng.normal(size=(2, 2)))
    tilt = np.exp(y[:, 0] * y[:, 1])
    tilted = Tilted(head, lambda x: x[..., 0] * x[..., 1])
    plain = tp.Particles(y, w * tilt / (w * tilt).sum())
    assert tilted(tp.Particles(y, w))(y) == pytest.approx(head(plain)(y), abs=1e-13)
    assert tilted.matrix(tp.Particles(y, w)) == pytest.approx(head.matrix(plain), abs=1e-13)
    some = np.where(np.arange(7) == 3, 0.0, w)  # a token without weight stays without
    found = tilted.matrix(tp.Particles(y, some / some.sum()))
    assert (found[:, 3] == 0).all()


def test_tilts_that_no_float_holds_do_no_harm():
    """Far tokens have enormous 1/Z; near a token its own weight must still count."""
    y = np.array([[0.0], [0.3], [60.0]])
    sampler = ProximalSampler(lambda x: (x**2).sum(axis=-1) / 2, lambda x: x, 1, 0.05, nodes=40)
    P = sampler.matrix(tp.Particles(y))
    exact = proximal_attention([[1.0]], 0.05).matrix(tp.Particles(y))
    assert P[:2, :2] == pytest.approx(exact[:2, :2], abs=1e-9)
    assert P.sum(axis=1) == pytest.approx(np.ones(3))
    assert np.isfinite(sampler(tp.Particles(y))(y)).all()


# --- Gaussians -----------------------------------------------------------------------------------


def test_gaussian_field_is_that_of_its_quadrature():
    rng = np.random.default_rng(4)
    H, M, S = definite(rng, 2), definite(rng, 2), definite(rng, 2)
    law = tp.Gaussian.from_covariance([0.3, -0.5], S)
    sampler = proximal_attention(H, 0.3, 0.8, M)
    x = rng.normal(size=(6, 2))
    assert sampler(law.quadrature(120))(x) == pytest.approx(sampler(law)(x), abs=1e-10)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_one_step_on_a_gaussian_by_hand(d):
    rng = np.random.default_rng(d)
    H, M, S, m = definite(rng, d), definite(rng, d), definite(rng, d), rng.normal(size=d)
    beta, T, h = 0.7, 0.4, 0.15
    C = np.linalg.inv(np.linalg.inv(M) + T * H)
    S_T = C @ (np.linalg.solve(M, np.linalg.solve(M, S).T) + 2 * beta * T * np.linalg.inv(C)) @ C
    step = np.eye(d) - h * M @ H + h * beta * M @ np.linalg.inv(S_T)
    mean = m - h * M @ H @ m + h * beta * M @ np.linalg.solve(S_T, m - C @ np.linalg.solve(M, m))
    found = tp.layers(tp.Gaussian.from_covariance(m, S), proximal_attention(H, T, beta, M), 1, h)
    assert found.final.covariance == pytest.approx(step @ S @ step.T, abs=1e-13)
    assert found.final.mean == pytest.approx(mean, abs=1e-13)
    assert theory.proximal_covariance(S, H, T, beta, M) == pytest.approx(S_T, abs=1e-13)


def test_kernel_of_a_gaussian_by_draws():
    rng = np.random.default_rng(1)
    H, M, S = definite(rng, 2), definite(rng, 2), definite(rng, 2)
    y = tp.Gaussian.from_covariance([0.0, 0.0], S).sample(200_000, 2)
    x = random_layer(y, H, 0.4, 0.7, M, seed=3).covariance
    exact = theory.proximal_covariance(S, H, 0.4, 0.7, M)
    error = np.sqrt((exact**2 + np.outer(np.diag(exact), np.diag(exact))) / 200_000)
    assert (np.abs(x - exact) < 4.5 * error).all()


@pytest.mark.parametrize("step", [0.02, 0.1])
def test_rest_does_not_depend_on_the_step(step):
    rng = np.random.default_rng(7)
    for d in (1, 2, 3):
        H, M, beta = definite(rng, d), definite(rng, d), 0.6
        values = np.linalg.eigvals(M @ H).real
        T = 0.7 / values.max()
        h = 5 * step / values.max()
        rest = theory.stationary_covariance(H, T, beta, M)
        sampler = proximal_attention(H, T, beta, M)
        law = tp.Gaussian.from_covariance(np.zeros(d), rest)
        after = tp.layers(law, sampler, 3, h).final.covariance
        assert after == pytest.approx(rest, abs=1e-13)
        start = tp.Gaussian.from_covariance(np.ones(d), definite(rng, d))
        end = tp.layers(start, sampler, round(40 / step), h).final
        assert end.covariance == pytest.approx(rest, abs=1e-6)
        assert end.mean == pytest.approx(np.zeros(d), abs=1e-6)
        # One random layer removes the bias.
        cured = theory.proximal_covariance(rest, H, T, beta, M)
        assert cured == pytest.approx(beta * np.linalg.inv(H), abs=1e-13)


def test_no_rest_where_the_time_is_long():
    assert theory.stationary_covariance([[2.0]], 0.5) is None
    assert theory.stationary_covariance([[2.0]], 0.4, 1.0, [[2.0]]) is None
    assert theory.proximal_rates([[2.0]], 0.5) is None
    # aT = 1: v ~ 2 beta T^2 / t. aT > 1: v ~ e^(-(aT-1)t/T).
    path = tp.flow(
        tp.Gaussian([0.0], factor=[[1.0]]), proximal_attention([[2.0]], 0.5, 3.0), [0, 4e3, 8e3]
    )
    v, t = path.covariances[1:, 0, 0], path.times[1:]
    assert v * t == pytest.approx(2 * 3.0 * 0.25 * np.ones(2), rel=5e-3)
    assert abs(v[1] * t[1] - 1.5) < abs(v[0] * t[0] - 1.5)
    path = tp.flow(
        tp.Gaussian([0.0], factor=[[1.0]]), proximal_attention([[2.0]], 0.8), [0, 40, 42]
    )
    v = path.covariances[1:, 0, 0]
    assert np.log(v[1] / v[0]) / 2 == pytest.approx(-0.6 / 0.8, rel=1e-6)


def test_only_stiff_directions_collapse():
    """From aT = 1 on a direction is lost; the others come to their own rest."""
    H, T = np.diag([1.0, 16.0]), 0.1
    assert theory.stationary_covariance(H, T) is None
    start = tp.Gaussian.from_covariance([0.3, 0.4], [[2.0, 0.9], [0.9, 1.0]])
    end = tp.layers(start, proximal_attention(H, T), 1500, 0.02).final.covariance
    assert end == pytest.approx(np.diag([0.99, 0.0]), abs=1e-9)


def test_langevin_rest_by_its_recursion():
    H, h, S = definite(np.random.default_rng(0), 2), 0.2, np.zeros((2, 2))
    step = np.eye(2) - h * H
    for _ in range(2000):
        S = step @ S @ step + 2 * 0.4 * h * np.eye(2)
    assert theory.langevin_covariance(H, h, 0.4) == pytest.approx(S, abs=1e-12)
    assert theory.langevin_covariance([[2.0]], 0.25)[0, 0] == pytest.approx(0.5 / 0.75)
    assert theory.langevin_covariance([[2.0]], 1.0) is None


# --- rates ---------------------------------------------------------------------------------------


def test_rates_are_eigenvalues_of_the_derivative_of_a_step():
    rng = np.random.default_rng(8)
    H, M, h = definite(rng, 2), definite(rng, 2), 0.05
    T = 0.6 / np.linalg.eigvals(M @ H).real.max()
    rest = theory.stationary_covariance(H, T, 1.0, M)
    sampler, e = proximal_attention(H, T, 1.0, M), 1e-5

    def after(S):
        law = tp.Gaussian.from_covariance([0.0, 0.0], S)
        return tp.layers(law, sampler, 1, h).final.covariance[np.triu_indices(2)]

    basis = [np.diag([1.0, 0.0]), np.array([[0.0, 1.0], [1.0, 0.0]]), np.diag([0.0, 1.0])]
    J = np.array([(after(rest + e * B) - after(rest - e * B)) / (2 * e) for B in basis]).T
    found = (1 - np.sort(np.linalg.eigvals(J).real)) / h
    rates = theory.proximal_rates(H, T, M)
    assert np.sort(found) == pytest.approx(np.sort(rates.covariance[np.triu_indices(2)]), abs=1e-6)
    field = sampler(tp.Gaussian.from_covariance([0.0, 0.0], rest))
    shifted = sampler(tp.Gaussian.from_covariance([e, 0.0], rest))
    moved = np.array([(shifted([e, 0.0]) - field([0.0, 0.0])) / e])
    other = sampler(tp.Gaussian.from_covariance([0.0, e], rest))
    moved = np.vstack([moved, other([0.0, e]) / e]).T
    assert np.sort(-np.linalg.eigvals(moved).real) == pytest.approx(np.sort(rates.mean), abs=1e-8)


def test_best_factors_of_a_stiff_target():
    plain = theory.proximal_rates(np.diag([1.0, 16.0]), 0.05)
    conditioned = theory.proximal_rates(np.diag([1.0, 16.0]), 0.2, np.diag([1.0, 1 / 16]))
    assert plain.best_factor == pytest.approx(0.806, abs=5e-4)
    assert conditioned.best_factor == pytest.approx(0.231, abs=5e-4)
    assert conditioned.mean == pytest.approx([1 / 1.2, 1 / 1.2])
    assert conditioned.covariance == pytest.approx(np.full((2, 2), 1.6 / 1.2))
    # Measured: steps of the best size contract a Gaussian near rest by that factor.
    rest = theory.stationary_covariance(np.diag([1.0, 16.0]), 0.05)
    law = tp.Gaussian.from_covariance([0.01, 0.01], rest)
    sampler = proximal_attention(np.diag([1.0, 16.0]), 0.05)
    means = tp.layers(law, sampler, 60, plain.best_step).means
    assert np.abs(means[60] / means[59]) == pytest.approx(plain.best_factor, abs=1e-3)


def test_variances_converge_monotonically_below_the_step():
    for a, T in ((1.0, 0.1), (2.0, 0.3), (0.5, 1.9)):
        h = 16 * T / (1 + 17 * a * T)
        rest = theory.stationary_covariance([[a]], T)[0, 0]
        starts = np.array([1e-3, 0.5 * rest, 3 * rest, 300.0])
        law = tp.Gaussian(np.zeros((4, 1)), factor=np.sqrt(starts)[:, None, None])
        v = tp.layers(law, proximal_attention([[a]], T), 300, h).covariances[..., 0, 0]
        assert (np.diff(v, axis=0) * np.sign(rest - starts) > -1e-12).all()
        same_side = np.sign(rest - v) * np.sign(rest - starts) > -0.5
        assert same_side[np.abs(v - rest) > 1e-9].all()
        # The bound is sharp for this argument: at v = 3c the map is flat.
        c = 2 * T * (1 + a * T)
        ends = [
            tp.layers(
                tp.Gaussian([0.0], factor=[[np.sqrt(3 * c + s)]]),
                proximal_attention([[a]], T),
                1,
                h,
            ).final.covariance[0, 0]
            for s in (-1e-4, 1e-4)
        ]
        assert abs(ends[1] - ends[0]) / 2e-4 < 1e-6


@pytest.mark.parametrize("T", [0.1, 0.2, 0.5])
def test_mode_rates_are_eigenvalues_of_the_linearised_flow(T):
    """The derivative of the velocity in the density, by Gauss-Hermite sums alone."""
    a, beta, K = 1.3, 0.6, 5
    s = np.sqrt(beta * (1 - (a * T) ** 2) / a)
    z, w = np.polynomial.hermite_e.hermegauss(60)
    w = w / w.sum()
    kappa, spread = 1 + a * T, np.sqrt(2 * beta * T / (1 + a * T))
    y = s * z

    def log_slope(h):
        """The slope at y of the derivative of log rho_T in the direction h(y) of densities."""
        # rho_T(x) = E R(x|y)(1 + e h): with Gaussians (y, x), E[h(y)|x] by nodes of y given x.
        variance = beta / a
        gain = s**2 / kappa / variance
        left = np.sqrt(s**2 - gain**2 * variance)
        e = 1e-3
        values = [[w @ h(gain * (p + q) + left * z) for q in (-2 * e, -e, e, 2 * e)] for p in y]
        v = np.array(values)
        return (v[:, 0] - 8 * v[:, 1] + 8 * v[:, 2] - v[:, 3]) / (12 * e)

    assert spread**2 + s**2 / kappa**2 == pytest.approx(beta / a)
    L = np.zeros((K, K))
    for k in range(1, K + 1):
        velocity = -beta * log_slope(lambda u, k=k: eval_hermitenorm(k, u / s))
        for m in range(1, K + 1):
            test = m * eval_hermitenorm(m - 1, z) / s
            L[m - 1, k - 1] = w @ (test * velocity) / factorial(m)
    found = np.sort(-np.linalg.eigvals(L).real)
    expected = np.sort(theory.mode_rates(np.arange(1, K + 1), a, T))
    assert found == pytest.approx(expected, abs=1e-8)
    assert theory.mode_rates([1, 2], a, 1e-9) == pytest.approx([a, 2 * a], rel=1e-6)
    rates = theory.proximal_rates([[a]], T)
    assert theory.mode_rates(1, a, T) == pytest.approx(rates.mean[0])
    assert theory.mode_rates(2, a, T) == pytest.approx(rates.covariance[0, 0])


def test_fine_ripples_stay_and_coarse_ones_go():
    grid = np.linspace(-5, 5, 20001)
    for wave, kept in ((2.0, False), (0.4, True)):
        mass = np.exp(-(grid**2) / 2) * (1 + 0.5 * np.cos(2 * np.pi * grid / wave))
        mass = np.cumsum(mass) / mass.sum()
        x = np.interp((np.arange(300) + 0.5) / 300, mass, grid)[:, None]
        end = tp.layers(tp.Particles(x), proximal_attention([[1.0]], 0.05), 100, 0.1).final.points
        sizes = [np.abs(np.exp(2j * np.pi * one / wave).mean()) for one in (x, end)]
        assert sizes[0] > 0.24
        assert (sizes[1] > 0.9 * sizes[0]) == kept
        assert (sizes[1] < 0.05 * sizes[0]) != kept
        law = np.exp(-((2 * np.pi / wave) ** 2) * 0.9975 / 2)  # of the normal law at rest
        assert kept or sizes[1] == pytest.approx(law, abs=1e-3)


# --- crystals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "centre"), [(2, False), (5, False), (4, True), (7, True), (3, True)]
)
def test_rings_are_at_rest(count, centre):
    a, T, beta = 1.4, 0.2, 0.7
    r = theory.crystal_radius(count, a, T, beta, centre)
    angle = 2 * np.pi * np.arange(count) / count
    X = r * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    X = np.vstack([X, [[0.0, 0.0]]]) if centre else X
    sampler = proximal_attention(a * np.eye(2), T, beta)
    assert np.abs(sampler(tp.Particles(X))(X)).max() < 1e-12
    P = sampler.matrix(tp.Particles(X))
    assert np.abs(P @ X - (1 - a * T) * X).max() < 1e-13
    assert np.abs(P @ X - X).max() > 0.1


@pytest.mark.parametrize(
    ("count", "centre"), [(2, False), (5, False), (40, False), (2, True), (4, True)]
)
@pytest.mark.parametrize("share", [1e-300, 1e-20, 1e-9, 0.3, 0.7, 1 - 1e-6, 1 - 1e-12])
def test_radii_keep_all_digits_at_both_borders(count, centre, share):
    """Against the equation of the ring with fifty digits, by bisection."""
    import mpmath

    with mpmath.workdps(50):
        cosines = [mpmath.cos(2 * mpmath.pi * j / count) for j in range(count)]

        def excess(s):
            w = [mpmath.exp(s * (c - 1)) for c in cosines]
            more = mpmath.exp(s / (2 + 2 * mpmath.mpf(share)) - s) if centre else 0
            return (
                share * (sum(w) + more)
                - sum(a * (1 - c) for a, c in zip(w, cosines, strict=True))
                - more
            )

        low, high = mpmath.mpf(0), mpmath.mpf(1)
        while excess(high) < 0:
            high *= 2
        for _ in range(150):
            middle = (low + high) / 2
            low, high = (middle, high) if excess(middle) < 0 else (low, middle)
        exact = float(mpmath.sqrt(2 * share * high))
    assert theory.crystal_radius(count, 1.0, share, centre=centre) == pytest.approx(
        exact, rel=1e-14
    )


def test_numbers_of_crystals_and_modes_that_are_refused():
    with pytest.raises(ValueError, match=r"orders: must be whole numbers .* got 1\.5"):
        theory.mode_rates([1.0, 1.5], 1.0, 0.1)
    with pytest.raises(ValueError, match="time: its product with the curvature"):
        theory.crystal_radius(5, 1e-200, 1e-200)
    with pytest.raises(ValueError, match="count: must be below"):
        theory.crystal_radius(10**9, 1.0, 0.1)


def test_two_tokens_come_to_rest():
    r = theory.crystal_radius(2, 1.0, 0.1)
    assert r**2 == pytest.approx(0.1 * np.log(19))
    assert r**2 == pytest.approx(0.294443898, abs=1e-9)
    end = tp.layers(tp.Particles([[0.3], [1.9]]), proximal_attention([[1.0]], 0.1), 600, 0.1).final
    assert np.sort(end.points[:, 0]) == pytest.approx([-r, r], abs=1e-12)
    assert theory.crystal_radius(2, 1.0, 1.0) == theory.crystal_radius(5, 2.0, 0.7) == 0.0
    merged = tp.flow(tp.Particles([[0.3], [1.9]]), proximal_attention([[1.0]], 1.5), 120.0).final
    assert np.ptp(merged.points) < 1e-8


@pytest.mark.parametrize(("a", "T"), [(1.0, 0.1), (1.0, 0.59), (2.0, 0.2), (1.0, 0.8)])
def test_stable_steps_of_two_tokens(a, T):
    r, steps = theory.crystal_radius(2, a, T), theory.stable_steps(a, T)
    sampler, x, e = proximal_attention([[a]], T), np.array([[r], [-r]]), 1e-6
    for way, step in (
        (np.array([[1.0], [-1.0]]), steps.distance),
        (np.ones((2, 1)), steps.centre),
    ):
        ends = [sampler(tp.Particles(x + s * e * way))(x + s * e * way) for s in (1, -1)]
        rate = ((ends[0] - ends[1]) * way).sum() / (4 * e)
        assert step == pytest.approx(-2 / rate, rel=1e-7)
    least = min(steps)
    for factor, rests in ((0.97, True), (1.03, False)):
        near = tp.Particles(x + np.array([[1e-4], [3e-4]]))
        end = tp.layers(near, sampler, 200, factor * least).final.points
        gap = np.abs(np.abs(end) - r).max()
        assert gap < 1e-5 if rests else gap > 1e-3
    assert (steps.centre < steps.distance) == (a * T > 0.590)


def test_three_tokens_stand_a_shorter_step_than_gaussians():
    start = np.random.default_rng(0).normal(size=(3, 1))
    sampler = proximal_attention([[1.0]], 0.05)
    for step, rests in ((0.2, True), (0.25, False), (0.3, False)):
        end = tp.layers(tp.Particles(start), sampler, 4000, step).final
        assert (np.abs(sampler(end)(end.points)).max() < 1e-9) == rests
        law = tp.layers(tp.Gaussian([1.0], factor=[[2.0]]), sampler, 400, step).final
        assert law.covariance[0, 0] == pytest.approx(0.9975, abs=1e-9)


# --- a random layer for any potential ------------------------------------------------------------


def test_random_layer_of_a_double_well_by_quadrature():
    sampler = ProximalSampler(well, well_slope, 1, 0.2, 0.5, nodes=40)
    y = tp.Particles(np.repeat([[-0.9], [0.4]], 30_000, axis=0))
    x = sampler.random_layer(y, lowest=-0.25, seed=0).points.reshape(2, -1)
    for drawn, at in zip(x, (-0.9, 0.4), strict=True):

        def kernel(z, power, at=at):
            return z**power * np.exp(-(z**4 / 4 - z**2 / 2 + (z - at) ** 2 / 0.4))

        mass, one, two = (quad(kernel, -6, 6, args=(p,))[0] for p in range(3))
        mean, square = one / mass, two / mass
        error = np.sqrt((square - mean**2) / 30_000)
        assert abs(drawn.mean() - mean) < 4.5 * error
        assert abs((drawn**2).mean() - square) < 4.5 * np.std(drawn**2) / np.sqrt(30_000)
        by_nodes = sampler.mean_after(tp.Particles([[at]]), lambda z: z[..., 0] ** 2)
        assert by_nodes == pytest.approx(square, abs=1e-9)
    again = sampler.random_layer(y, lowest=-0.25, seed=0)
    assert np.array_equal(again.points.ravel(), x.ravel())


def test_what_a_sampler_refuses():
    sampler = ProximalSampler(well, well_slope, 1, 0.2)
    line = tp.Particles([[0.0], [1.0]])
    with pytest.raises(ValueError, match="lowest: the potential must be nowhere below it"):
        sampler.random_layer(line, lowest=0.5, seed=0)
    with pytest.raises(RuntimeError, match="found no place"):
        sampler.random_layer(line, lowest=-200.0, seed=0)
    with pytest.raises(ValueError, match="gradient: must be the gradient of the potential"):
        ProximalSampler(well, lambda x: x**3 + x, 1, 0.2)
    with pytest.raises(ValueError, match=r"potential: must give a number for each point"):
        ProximalSampler(lambda x: x, well_slope, 1, 0.2)
    with pytest.raises(ValueError, match="hessian: must be symmetric"):
        proximal_attention([[1.0, 0.5], [0.0, 1.0]], 0.1)
    with pytest.raises(ValueError, match="time: the kernel has no mass"):
        proximal_attention([[-3.0]], 0.5)
    with pytest.raises(ValueError, match="time: must be a positive"):
        proximal_attention([[1.0]], 0.0)
    with pytest.raises(ValueError, match="nodes: must be at most 46 in dimension 3"):
        ProximalSampler(well, well_slope, 3, 0.2, nodes=47)
    with pytest.raises(TypeError, match="acts on Particles; got a Gaussian"):
        sampler(tp.Gaussian([0.0], factor=[[1.0]]))
    with pytest.raises(ValueError, match="seed"):
        random_layer(line, [[1.0]], 0.1, seed=None)
    with pytest.raises(OverflowError, match="log_weight"):
        Tilted(tp.Softmax([[1.0]], [[1.0]], [[1.0]]), lambda y: y[..., 0] * 1e300)(
            tp.Particles([[1e20]])
        )


@pytest.mark.parametrize("shift", [0.0, 1e5])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_wrong_gradient_is_seen_at_every_scale(scale, shift):
    """A constant in U changes nothing, and a small U counts at a small temperature."""
    scale = scale if scale * 1e6 > shift else 1.0  # below, rounding hides the slope

    def U(x):
        return scale * well(x) + shift

    def made(factor):
        return ProximalSampler(U, lambda x: factor * scale * well_slope(x), 1, 0.2, scale)

    assert made(1.0).dimension == made(1.0 + 1e-6).dimension == 1
    for factor in (-1.0, 0.0, 0.9, 1.01):
        with pytest.raises(ValueError, match="gradient: must be the gradient of the potential"):
            made(factor)


def test_functions_that_fail_on_the_way_are_named():
    def hole(x):
        return np.where(x[..., 0] > 5, np.nan, well(x))

    far = tp.Particles([[0.1], [4.9]])
    sampler = ProximalSampler(hole, well_slope, 1, 0.2)
    for act in (
        lambda: sampler(far)([[0.0]]),
        lambda: sampler.mean_after(far, well),
        lambda: sampler.log_normaliser(far.points),
        lambda: ProximalSampler(hole, well_slope, 1, 2.0, 5.0),
        lambda: sampler.random_layer(tp.Particles([[4.9]] * 99), -0.25, 0),
    ):
        with pytest.raises(ValueError, match=r"potential: must give a number .* got nan at \["):
            act()
    sampler = ProximalSampler(well, lambda x: np.where(x > 3, np.nan, well_slope(x)), 1, 0.2)
    with pytest.raises(
        ValueError, match=r"gradient: must give a finite .* got \[nan\] at \[3.5\]"
    ):
        sampler(far)([[3.5]])
    with pytest.raises(ValueError, match="observable: must give a finite number"):
        sampler.mean_after(far, lambda x: np.where(x[..., 0] > 3, np.nan, 1.0))


def test_a_wall_is_no_failure():
    """Where U is infinite the kernel has no mass, and an observable any value."""
    wall = ProximalSampler(
        lambda x: np.where(x[..., 0] > 1.4, np.inf, well(x)), well_slope, 1, 0.2, nodes=300
    )
    cloud = tp.Particles([[0.3], [1.2]])
    assert wall.mean_after(cloud, lambda x: np.where(x[..., 0] > 1.4, np.nan, 1.0)) == (
        pytest.approx(1.0)
    )
    assert (wall.random_layer(cloud, -0.25, 0).points < 1.4).all()


def test_tokens_without_weight_change_no_mean():
    sampler = ProximalSampler(well, well_slope, 1, 0.2)
    some = tp.Particles([[0.3], [1.0], [1e200]], [0.5, 0.5, 0.0])
    both = tp.Particles([[0.3], [1.0]])
    assert sampler.mean_after(some, well) == sampler.mean_after(both, well)
    with pytest.raises(OverflowError, match="the mass of the kernel at a token"):
        ProximalSampler(
            lambda x: np.where(x[..., 0] > 9, np.inf, well(x)), well_slope, 1, 0.2
        ).mean_after(tp.Particles([[20.0]]), well)


def test_many_nodes_are_as_good_as_few():
    """Also where weights of the outer nodes underflow."""
    cloud, x = tp.Particles([[0.2], [0.9]]), np.array([[0.1], [2.0]])
    exact = proximal_attention([[1.0]], 0.3)(cloud)(x)
    for nodes in (60, 400, 3000):
        sampler = ProximalSampler(
            lambda x: (x**2).sum(axis=-1) / 2, lambda x: x, 1, 0.3, nodes=nodes
        )
        assert sampler(cloud)(x) == pytest.approx(exact, abs=1e-12)


def test_a_random_layer_stays_where_its_law_is():
    ball = tp.Particles([[1.0, 0.0], [0.0, 1.0]], space=tp.Sphere())
    sampler = ProximalSampler(well, well_slope, 2, 0.2)
    for act in (
        lambda: random_layer(ball, np.eye(2), 0.1, seed=0),
        lambda: sampler.random_layer(ball, -0.5, 0),
        lambda: sampler.mean_after(ball, well),
    ):
        with pytest.raises(ValueError, match="measure: must be tokens in Euclidean space"):
            act()
    stack = tp.Particles(np.ones((2, 5, 2)))
    three = np.array([np.eye(2)] * 3)
    for cloud in (stack, stack[0]):
        with pytest.raises(ValueError, match="hessian: its leading axes must match those of"):
            random_layer(cloud, three, 0.1, seed=0)
        with pytest.raises(ValueError, match="preconditioner: its leading axes must match"):
            random_layer(cloud, np.eye(2), 0.1, 1.0, three, seed=0)


def test_borders_of_the_quadratic_step():
    turn = np.array([[0.6, 0.8], [-0.8, 0.6]])
    for bend in (1.0, 1 - 4e-16):  # no mass but for rounding errors
        H = turn @ np.diag([-bend / 0.3, 1.0]) @ turn.T
        with pytest.raises(ValueError, match="time: the kernel has no mass"):
            proximal_attention((H + H.T) / 2, 0.3)
    for scale in (1e200, 1e-310):
        with pytest.raises(ValueError, match=r"preconditioner|Rescale the tokens"):
            proximal_attention(np.eye(2), 0.3, 1.0, scale * np.eye(2))


def test_a_sampler_travels_between_processes():
    cloud = tp.Particles([[0.2], [0.9]])
    sampler = ProximalSampler(well, well_slope, 1, 0.2, 0.5, [[2.0]])
    path = tp.flow(cloud, sampler, 0.5)
    for one in (sampler, path):
        again = pickle.loads(pickle.dumps(one))
        assert type(again) is type(one)
    again = pickle.loads(pickle.dumps(sampler))
    assert np.array_equal(again(cloud)(cloud.points), sampler(cloud)(cloud.points))
    assert np.array_equal(pickle.loads(pickle.dumps(path))(0.3).points, path(0.3).points)


def test_a_negative_hessian_has_a_kernel_for_a_short_time():
    cloud, x = tp.Particles([[0.2], [0.9]]), np.array([[0.1], [2.0]])
    nodes = ProximalSampler(lambda x: -((x**2).sum(axis=-1)) / 2, lambda x: -x, 1, 0.1, nodes=40)
    assert proximal_attention([[-1.0]], 0.1)(cloud)(x) == pytest.approx(nodes(cloud)(x), abs=1e-10)


# --- beyond what is proved -----------------------------------------------------------------------


def test_divergence_falls_for_covariances_that_do_not_commute():
    """Observed, no proof known: the rate of KL(rho_T|pi) is negative in all draws."""
    rng = np.random.default_rng(0)
    for d in (2, 3):
        shares = []
        for _ in range(2000):
            H, S = definite(rng, d, 0.02), definite(rng, d, 0.001)
            T = rng.uniform(0.01, 0.999) / np.linalg.eigvalsh(H).max()
            D = H - np.linalg.inv(theory.proximal_covariance(S, H, T))
            kappa = np.eye(d) + T * H
            shares.append(np.trace(D @ np.linalg.solve(kappa, D) @ S @ np.linalg.inv(kappa)))
        assert min(shares) > 0
    # The formula itself, by a small step of the flow.
    sampler, e, target = proximal_attention(H, T), 1e-6, np.linalg.inv(H)
    law = tp.Gaussian.from_covariance(np.zeros(d), S)
    moved = tp.layers(law, sampler, 1, e).final.covariance
    ends = [kl(theory.proximal_covariance(one, H, T), target) for one in (moved, S)]
    assert (ends[0] - ends[1]) / e == pytest.approx(-shares[-1], rel=1e-3)
