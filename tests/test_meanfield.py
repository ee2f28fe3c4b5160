"""The mean-field limit: rates of velocities and twins, products, the cost of a Gaussian."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

import transpde as tp
from transpde import theory
from transpde.convergence import seed_order
from transpde.theory import freezing, mean_field

Z, W = np.polynomial.legendre.leggauss(20)


def cube(d):
    """Quadrature tokens of the uniform law on [-1, 1]^d."""
    nodes = np.stack(np.meshgrid(*[Z] * d, indexing="ij"), axis=-1).reshape(-1, d)
    weights = np.prod(np.stack(np.meshgrid(*[W / 2] * d, indexing="ij"), axis=-1), axis=-1)
    return tp.Particles(nodes, weights.ravel())


def heads(d, rng):
    Q, K, V = rng.normal(size=(3, d, d)) / (2 * np.sqrt(d))
    return {"softmax": tp.Softmax(Q, K, V), "L2": tp.L2(Q, K, V), "sigmoid": tp.Sigmoid(Q, K, V)}


def ratio_of_weights(head, R):
    if isinstance(head, tp.Softmax):
        return np.exp(2 * np.linalg.norm(head.key.T @ head.query, 2) * R**2)
    if isinstance(head, tp.L2):
        return np.exp(((np.linalg.norm(head.query, 2) + np.linalg.norm(head.key, 2)) * R) ** 2)
    return 1.0


@pytest.mark.parametrize("name", ["softmax", "L2", "sigmoid"])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_mean_square_of_a_velocity_is_below_its_bound(name, d):
    rng = np.random.default_rng(d)
    head, exact, R = heads(d, rng)[name], cube(d), np.sqrt(d)
    for n in (5, 50):
        own = rng.uniform(-1, 1, (200, n, d))
        fields = [head(tp.Particles(y)) for y in own]
        x = 0.7 * np.ones((1, d))
        squares = [((field(x) - head(exact)(x)) ** 2).sum() for field in fields]
        at_draws = [
            ((field(y[:1]) - head(exact)(y[:1])) ** 2).sum()
            for field, y in zip(fields, own, strict=True)
        ]
        root = ratio_of_weights(head, R) * np.linalg.norm(head.value, 2) * R
        assert np.mean(squares) <= root**2 / n
        assert np.mean(at_draws) <= 4 * root**2 / n


@pytest.mark.parametrize("d", [1, 2, 3])
def test_constant_of_the_rate_of_a_velocity(d):
    """n E |error|^2 tends to c(x): within four standard errors at n = 2000."""
    rng = np.random.default_rng(10 + d)
    head, exact = heads(d, rng)["softmax"], cube(d)
    x, A = rng.uniform(-1, 1, (1, d)), head.key.T @ head.query
    w = np.exp(exact.points @ A @ x[0])
    Z_mu = exact.weights @ w
    m = (exact.weights * w) @ exact.points / Z_mu
    c = (exact.weights * w**2) @ (((exact.points - m) @ head.value.T) ** 2).sum(axis=1) / Z_mu**2
    draws = rng.uniform(-1, 1, (600, 2000, d))
    gaps = np.array([head(tp.Particles(y))(x) - head(exact)(x) for y in draws])
    squares = 2000 * (gaps**2).sum(axis=(1, 2))
    assert squares.mean() == pytest.approx(c, abs=4 * squares.std() / np.sqrt(600))


@pytest.mark.parametrize("name", ["softmax", "L2", "sigmoid"])
@pytest.mark.parametrize("p", [1, 2])
def test_distance_changes_by_at_most_the_bound_in_both_directions(name, p):
    rng = np.random.default_rng(3)
    head = heads(2, rng)[name]
    # The integral of L_x + L_mu along the growing radius: increasing, so below its upper sum.
    radii = theory.support_radius(head, 1.0, np.linspace(0, 0.4, 101)[1:])
    log_bound = 0.004 * sum(sum(theory.lipschitz_bounds(head, R)) for R in radii)
    for _ in range(5):
        clouds = [tp.Particles(x) for x in rng.uniform(-0.7, 0.7, (2, 15, 2))]
        ends = [tp.flow(cloud, head, [0.0, 0.4]).final for cloud in clouds]
        ratio = tp.wasserstein(*ends, p) / tp.wasserstein(*clouds, p)
        assert abs(np.log(ratio)) <= log_bound


def test_a_product_stays_a_product():
    """With diagonal A and V each coordinate of quadrature tokens follows its own line."""
    a, v = np.array([1.0, -0.5]), np.array([-1.0, 0.7])
    nodes = cube(2)
    end = tp.flow(nodes, tp.Softmax(np.eye(2), np.diag(a), np.diag(v)), [0.0, 0.5]).final
    line = tp.Particles(Z[:, None], W / 2)
    for k in range(2):
        alone = tp.flow(line, tp.Softmax([[1.0]], [[a[k]]], [[v[k]]]), [0.0, 0.5]).final
        carried = np.interp(nodes.points[:, k], Z, alone.points[:, 0])
        np.testing.assert_allclose(end.points[:, k], carried, rtol=0, atol=1e-8)


@pytest.mark.parametrize("d", [1, 2])
def test_tokens_and_twins_part_by_less_than_the_bound(d):
    """The bound C(t)/sqrt(n); and the distance falls with n."""
    head = tp.Softmax(0.5 * np.eye(d), -0.5 * np.eye(d), -0.5 * np.eye(d))
    T, R0 = 0.4, np.sqrt(d)
    nodes = cube(d)
    path, distances = tp.flow(nodes, head, [0.0, T], rtol=1e-5), []
    for n in (10, 160):
        seeds = range(24 if d == 1 else 8)
        x = np.array([np.random.default_rng([d, n, s]).uniform(-1, 1, (n, d)) for s in seeds])
        twins = path.carry(x.reshape(-1, d))[-1].reshape(x.shape)
        tokens = tp.flow(tp.Particles(x), head, [0.0, T], rtol=1e-5).final.points
        gaps = np.linalg.norm(tokens - twins, axis=-1)
        distances.append(np.mean(gaps))
        assert distances[-1] <= mean_field.twin_bound(head, R0, T) / np.sqrt(n)
    assert np.log2(distances[0] / distances[1]) / 4 == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize("epsilon", [0.5, 1.0])
def test_sinkhorn_in_mean_square_in_both_directions(epsilon):
    """W_2 changes by at most exp(+-E), E = |V|t + |A|R_0^2 (e^(2|V|t) - 1)/epsilon."""
    rng, t = np.random.default_rng(8), 0.5
    for _ in range(8):
        Q, K, V = rng.normal(size=(3, 2, 2)) / 2
        head = tp.Sinkhorn(Q, K, V, epsilon)
        clouds = [tp.Particles(x) for x in rng.uniform(-0.7, 0.7, (2, 12, 2))]
        ends = [tp.flow(cloud, head, [0.0, t], rtol=1e-6).final for cloud in clouds]
        ratio = tp.wasserstein(*ends) / tp.wasserstein(*clouds)
        v, score = np.linalg.norm(V, 2), np.linalg.norm(K.T @ Q, 2) / epsilon
        R0 = max(np.linalg.norm(cloud.points, axis=1).max() for cloud in clouds)
        exponent = v * t + score * R0**2 * np.expm1(2 * v * t)
        assert abs(np.log(ratio)) <= exponent
        known = theory.stability_bound(head, R0, t, p=2, log=True)
        assert known == pytest.approx(exponent, rel=1e-9)


@pytest.mark.parametrize("v", [1.0, -1.0])
def test_sinkhorn_reaches_both_sides_where_scores_vanish(v):
    """Translates, V = v: the distance is multiplied by e^(vt), so each side is the best one."""
    x, t = np.random.default_rng(0).uniform(-0.01, 0.01, (10, 1)), 0.7
    head = tp.Sinkhorn([[1.0]], [[1.0]], [[v]])
    clouds = tp.Particles(x), tp.Particles(x + 0.02)
    ends = [tp.flow(cloud, head, [0.0, t], rtol=1e-10, atol=1e-12).final for cloud in clouds]
    ratio = tp.wasserstein(*ends) / tp.wasserstein(*clouds)
    exponent = theory.stability_bound(head, 0.03, t, p=2, log=True)
    assert abs(np.log(ratio)) <= exponent
    assert np.log(ratio) == pytest.approx(v * t, abs=1e-3)
    assert exponent - t < 5e-3


def sinkhorn_gaps(n, seeds, time=0.5):
    """Root mean squares over tokens of the distance to the twin and of the error of velocities."""
    head, line = tp.Sinkhorn([[1.0]], [[-1.0]], [[-1.0]]), tp.Particles(Z[:, None], W / 2)
    both, gaps = tp.Particles(np.append(Z, np.linspace(-1, 1, 41))[:, None],
                              np.append(W / 2, np.zeros(41))), []  # fmt: skip
    end = tp.flow(both, head, [0.0, time], rtol=1e-10, atol=1e-12).final.points[20:, 0]
    carry = np.polynomial.Chebyshev.fit(np.linspace(-1, 1, 41), end, 12)
    for seed in range(seeds):
        x = np.random.default_rng([n, seed]).uniform(-1, 1, (n, 1))
        tokens = tp.flow(tp.Particles(x), head, [0.0, time], rtol=1e-4, atol=1e-5).final.points
        error = head(tp.Particles(x))(x) - head(line)(x)
        gaps.append([((tokens - carry(x)) ** 2).mean(), (error**2).mean()])
    return np.sqrt(np.array(gaps))


def test_sinkhorn_tokens_and_twins_part_at_the_rate_one_half():
    """Below 4|V|R e^(12 alpha)/sqrt(n) at depth 0, C(t)/sqrt(n) at depth t; the order is 1/2."""
    head, counts = tp.Sinkhorn([[1.0]], [[-1.0]], [[-1.0]]), (16, 48, 144)
    gaps = {n: sinkhorn_gaps(n, 10) for n in counts}
    for n, found in gaps.items():
        means = np.sqrt((found**2).mean(axis=0) * n)
        assert np.log(means[0]) <= mean_field.twin_bound(head, 1.0, 0.5, log=True)
        assert means[1] <= 4 * np.exp(12)
    for k in (0, 1):
        assert seed_order(counts, np.array([gaps[n][:, k] for n in counts]).T).near(-0.5, 0.05)


def test_sinkhorn_kernel_between_its_bounds():
    """exp(-4 alpha/eps) <= kappa <= exp(4 alpha/eps) on random clouds in the unit disc."""
    rng = np.random.default_rng(2)
    for _ in range(20):
        Q, K = rng.normal(size=(2, 2, 2))
        x = rng.normal(size=(30, 2))
        x *= rng.random((30, 1)) / np.linalg.norm(x, axis=1)[:, None]
        kernel = 30 * tp.Sinkhorn(Q, K, np.eye(2)).matrix(tp.Particles(x))
        assert np.abs(np.log(kernel)).max() <= 4 * np.linalg.norm(K.T @ Q, 2)


def test_no_cloud_of_points_is_nearer_than_the_lower_bound():
    """On the unit interval W_1 from n points is at least 1/(8n); the best ones have 1/(4n)."""
    n = 10
    fine = tp.Grid(np.linspace(0, 1, 1001), np.ones(1000))
    best = tp.Particles((np.arange(n)[:, None] + 0.5) / n)
    assert tp.wasserstein(best, fine, 1) == pytest.approx(1 / (4 * n), rel=1e-9)
    assert tp.wasserstein(best, fine, 1) >= 1 / (8 * n)


@pytest.mark.parametrize("beta", [0.5, 1.0, 1.5])
def test_price_of_a_tilt(beta):
    """n E (m_n - beta)^2 is near exp(beta^2)(1 + beta^2) for a large n."""
    n = 40_000
    z = np.random.default_rng(int(10 * beta)).normal(size=(200, n))
    w = np.exp(beta * z)
    squares = n * ((w * z).sum(axis=1) / w.sum(axis=1) - beta) ** 2
    error = squares.std() / np.sqrt(len(squares))
    exact = np.exp(beta**2) * (1 + beta**2)
    assert squares.mean() == pytest.approx(exact, abs=4 * error)


def test_particles_do_not_blow_up_where_the_gaussian_does():
    """At t* the expected mean square is below 4 s_0 exp(2 v t*) log(sqrt(2) n)."""
    for n in (30, 300):
        ends = [
            freezing.line_flow(np.random.default_rng([seed, n]).normal(size=n), [0.0, 0.5])[-1]
            for seed in range(10)
        ]
        mean = np.mean([(x**2).mean() for x in ends])
        assert 1.5 < mean < 4 * np.e * np.log(np.sqrt(2) * n)


@pytest.mark.parametrize("power", [3, 5])
def test_binned_draws_have_the_tilted_means_of_draws(power):
    n = 10**power
    beta = np.array([0.5, 1.5, 3.0, 5.0])
    binned = freezing.tilted_means(np.log(n), beta, draws=400, seed=power)
    direct = np.empty((100, 4))
    for row, seed in zip(direct, range(100), strict=True):
        z = np.random.default_rng([seed, n]).normal(size=n)
        w = np.exp(np.outer(beta, z - z.max()))
        row[:] = w @ z / w.sum(axis=1)
    error = np.hypot(binned.std(axis=0) / 20, direct.std(axis=0) / 10)
    assert (np.abs(binned.mean(axis=0) - direct.mean(axis=0)) <= 4 * error + 1e-3).all()


def test_freezing_and_departure():
    """m_n / l_n tends to min(b, 1), and beta_n / l_n to 1 / (1 - eta), from below."""
    share, ratios = np.linspace(0.2, 1.8, 81), []
    for power in (5, 20, 100, 300):
        log_n = power * np.log(10)
        ell = np.sqrt(2 * log_n)
        m = np.median(freezing.tilted_means(log_n, share * ell, draws=40, seed=0), axis=0) / ell
        assert (m <= np.minimum(share, 1) + 2.0 / ell**2 + 0.01).all()
        ratios.append([freezing.departure_tilt(m, share, eta) * (1 - eta) for eta in (0.1, 0.3)])
    gaps = 1 - np.array(ratios)
    assert (np.diff(gaps, axis=0) < 0).all()
    assert (np.abs(gaps[-1]) < 0.02).all()
    assert freezing.cut_tilt(log_n, 0.1) * 0.9 / ell == pytest.approx(ratios[-1][0], rel=5e-3)


def test_departure_is_the_last_crossing():
    tilts = np.arange(1.0, 6.0)
    assert freezing.departure_tilt([0.5, 2.0, 2.0, 2.0, 2.0], tilts, 0.1) == pytest.approx(20 / 9)
    assert freezing.departure_tilt(0.5 * tilts, tilts, 0.1) == 0.0
    with pytest.raises(ValueError, match="tilts: must end beyond the departure"):
        freezing.departure_tilt(tilts, tilts, 0.1)
    with pytest.raises(ValueError, match="log_n: too small"):
        freezing.cut_tilt(np.log(20.0), 0.1)


def direct_softmax(x):
    """The velocities by the definition, all pairs, in an order of operations of their own."""
    rows = []
    for c in x:
        w = np.exp(c * x - (c * x).max())
        rows.append((w * x).sum() / w.sum())
    return np.array(rows)


def line_cloud(shape, n, seed):
    rng = np.random.default_rng(seed)
    match shape:
        case "normal":
            return rng.normal(size=n)
        case "uniform":
            return rng.uniform(-1, 1, size=n)
        case "heavy":
            return rng.standard_cauchy(size=n)
        case "two":
            return rng.choice([-1.0, 1.0], size=n) + 1e-3 * rng.normal(size=n)
        case "outlier":
            return np.append(rng.normal(size=n - 1) / 50, 1.0)
        case _:
            return np.linspace(0, 1, n) ** 8


@settings(max_examples=120)
@given(
    shape=st.sampled_from(["normal", "uniform", "heavy", "two", "outlier", "crowded"]),
    n=st.sampled_from([2, 5, 100, 700, 1500]),
    log_spread=st.floats(-8, 4),
    shift=st.sampled_from([0.0, 0.0, 3.0, -1e5]),
    log_tol=st.integers(-12, -3),
    seed=st.integers(0, 1000),
)
@example("normal", 1500, 2.0, 0.0, -8, 0)
@example("two", 1500, 3.0, 0.0, -8, 0)
@example("normal", 1500, 2.71875, 0.0, -3, 106)
@example("heavy", 1500, 3.464005290244129, 0.0, -3, 289194)
@example("heavy", 1500, 1.8817068, 0.0, -4, 86472)
def test_velocity_on_the_line_is_within_its_tolerance(shape, n, log_spread, shift, log_tol, seed):
    x, tol = shift + np.exp(log_spread) * line_cloud(shape, n, seed), 10.0**log_tol
    exact, found = direct_softmax(x), freezing.line_velocity(x, tol)
    middle = (x.min() + x.max()) / 2
    scale = min(np.abs(exact).max(), np.abs(exact - middle).max())
    # A score carries the rounding of a product of two places; the direct sum does so too.
    rounding = 3e-15 * np.abs(x).max() * (1 + np.abs(x).max() * np.ptp(x))
    assert np.abs(found - exact).max() <= tol * scale + rounding


@pytest.mark.parametrize(
    ("points", "at", "value"),
    [([-20.0, -0.02, 0.02, 20.0], 2, 20 * np.sinh(0.4)), ([0.0] * 40, 7, 0.0)],
)
def test_velocity_on_the_line_by_hand(points, at, value):
    """Of four tokens: (20 sinh 0.4 + 0.02 sinh 0.0004) / (cosh 0.4 + cosh 0.0004)."""
    if value:
        value = (value + 0.02 * np.sinh(0.0004)) / (np.cosh(0.4) + np.cosh(0.0004))
    assert freezing.line_velocity(points)[at] == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("spread", [3.0, 4.0, 8.0])
def test_many_tokens_of_a_wide_cloud(spread):
    """10,000 tokens, of which every hundredth is compared with the definition."""
    x = spread * np.random.default_rng(0).normal(size=10_000)
    some = np.arange(0, 10_000, 100)
    exact = [np.average(x, weights=np.exp(c * x - (c * x).max())) for c in x[some]]
    np.testing.assert_allclose(freezing.line_velocity(x)[some], exact, rtol=0, atol=1e-6)


def test_flow_on_the_line_is_that_of_softmax():
    x = np.random.default_rng(0).normal(size=500)
    times = [0.0, 0.3, 0.6]
    softmax = tp.Softmax([[1.0]], [[1.0]], [[1.0]])
    exact = tp.flow(tp.Particles(x[:, None]), softmax, times).points[..., 0]
    np.testing.assert_allclose(freezing.line_flow(x, times), exact, rtol=0, atol=5e-3)
    fine = solve_ivp(lambda _, z: freezing.line_velocity(z), (0, 0.3), x, rtol=1e-9).y[:, -1]
    np.testing.assert_allclose(fine, exact[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: freezing.line_velocity([]), "points: must have at least one entry"),
        (lambda: freezing.line_velocity([0.0, np.nan]), "points: every entry must be finite"),
        (lambda: freezing.line_velocity([0.0, 1.0], 0.0), "tol: must be a positive finite"),
        (lambda: freezing.line_flow([0.0], [0.5, 1.0]), "times: an array of times must start at"),
        (lambda: freezing.line_flow([0.0], [0.0, 2.0, 1.0]), "times: must be strictly increasing"),
        (lambda: freezing.departure_tilt([1.0], [1.0, 2.0], 0.1), "means: its length must be"),
        (lambda: freezing.departure_tilt([1.0, 1], [2.0, 1], 0.1), "tilts: must be increasing"),
        (
            lambda: freezing.departure_tilt([1.0, 1], [1.0, 2], 1.5),
            "tolerance: .* between 0 and 1",
        ),
        (lambda: freezing.cut_tilt(10.0, 2.0), "tolerance: must be a number between 0 and 1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
