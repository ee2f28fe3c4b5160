"""Low temperature: closed forms, Laplace's method and three logarithms against the flow."""

import numpy as np
import pytest
from loading import ROOT, load_tool
from scipy.integrate import solve_ivp

import transpde as tp
from transpde.records.record import load
from transpde.theory import low_temperature, one_cluster

I2 = np.eye(2)
V, A = np.diag([1.0, 0.5]), np.diag([0.1, 1.0])  # V prefers the first axis, VA the second


def on_circle(theta):
    return tp.Sphere().retract(np.stack([np.cos(theta), np.sin(theta)], axis=-1))


def share(points, weights):
    """The integral of x_1^2."""
    return (weights * points[..., 0] ** 2).sum(axis=-1)


# --- zero temperature ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_zero_temperature_has_a_closed_form(seed):
    rng = np.random.default_rng(seed)
    d = 2 + seed % 3
    Q, K, W = rng.normal(size=(3, d, d))
    x = tp.Sphere().retract(rng.normal(size=(3, d)))
    scores, times = K.T @ Q, np.array([0.0, 0.7, 1.5])

    def rate(_, y):
        y = y.reshape(3, d)
        e = y @ scores.T
        v = e / np.linalg.norm(e, axis=1, keepdims=True) @ W.T
        return tp.Sphere().tangent(y, v).ravel()

    exact = solve_ivp(rate, (0, 1.5), x.ravel(), "DOP853", times, rtol=1e-13, atol=1e-14)
    found = low_temperature.zero_temperature_path(tp.Softmax(Q, K, W), x, times)
    assert np.abs(found - exact.y.T.reshape(3, 3, d)).max() < 1e-10
    hot = low_temperature.zero_temperature_path(tp.Softmax(50 * Q, K, W), x, times)
    assert np.abs(hot - found).max() < 1e-10  # a factor of the query has no part


def test_limits_and_rates_are_those_of_the_path():
    head = tp.Softmax(np.array([[0.7, 0.3], [0.1, 1.0]]), I2, V)
    x = on_circle(np.array([0.4, 2.0, -1.0]))
    limits = low_temperature.zero_temperature_limit(head, x)
    rates = low_temperature.zero_temperature_rate(head, x)
    path = low_temperature.zero_temperature_path(head, x, [20.0, 24.0])
    gaps = np.log(np.linalg.norm(path - limits, axis=-1))
    assert np.abs((gaps[0] - gaps[1]) / 4.0 - rates).max() < 1e-3


def test_what_rotates_or_creeps_has_no_limit():
    turn = tp.Softmax(I2, I2, [[0.5, -1.0], [1.0, 0.5]])
    creep = tp.Softmax(I2, I2, [[1.0, 1.0], [0.0, 1.0]])
    for head in (turn, creep):
        assert low_temperature.zero_temperature_limit(head, I2) is None
        assert low_temperature.zero_temperature_rate(head, I2) is None
    # |Ax| = 1: the period of the rotation is 2 pi
    path = low_temperature.zero_temperature_path(turn, I2, [2 * np.pi, np.pi])
    assert np.abs(path - [I2, -I2]).max() < 1e-9


def test_a_token_without_part_in_the_top_eigenvalue_has_no_limit_there():
    head = tp.Softmax(A, I2, V)
    found = low_temperature.zero_temperature_limit(head, [[1.0, 0.0], [0.6, 0.8]])
    assert np.isnan(found[0]).all()
    assert np.abs(found[1] - [0.0, 1.0]).max() < 1e-15


def test_a_defective_lower_eigenvalue_hinders_no_limit():
    """Top eigenvalue 3, a Jordan block of 1 below it, in a basis that is not orthogonal."""
    jordan = np.array([[3.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    basis = np.array([[1.0, 0.4, 0.2], [0.3, 1.0, -0.5], [0.0, 0.6, 1.0]])
    head = tp.Softmax(np.eye(3), np.eye(3), basis @ jordan @ np.linalg.inv(basis))
    x = tp.Sphere().retract(np.random.default_rng(0).normal(size=(5, 3)))
    limits = low_temperature.zero_temperature_limit(head, x)
    late = low_temperature.zero_temperature_path(head, x, 30.0)
    assert np.abs(limits - late).max() < 1e-12
    assert np.abs(np.abs(limits @ basis[:, 0]) - np.linalg.norm(basis[:, 0])).max() < 1e-12
    assert np.abs(low_temperature.zero_temperature_rate(head, x) - 2.0).max() < 1e-6


def test_a_repeated_top_eigenvalue_has_its_projector():
    basis = np.random.default_rng(1).normal(size=(4, 4))
    M = basis @ np.diag([2.0, 2.0, 0.5, -1.0]) @ np.linalg.inv(basis)
    x = tp.Sphere().retract(np.random.default_rng(2).normal(size=(3, 4)))
    head = tp.Softmax(np.eye(4), np.eye(4), M)
    projector = basis @ np.diag([1.0, 1.0, 0.0, 0.0]) @ np.linalg.inv(basis)
    wanted = tp.Sphere().retract(x @ projector.T)
    assert np.abs(low_temperature.zero_temperature_limit(head, x) - wanted).max() < 1e-12


def test_paths_of_any_length_and_any_factor_of_the_query():
    """Tokens of no or of a tiny part in the top eigenvalue, at depths where powers underflow."""
    head = tp.Softmax(A, I2, V)  # M = diag(.1, .5): x_2/x_1 grows by e^(.4 s), s = 10 t at first
    path = low_temperature.zero_temperature_path(head, I2, [100.0, 1e4])
    assert np.array_equal(path, [I2, I2])
    x = [[1.0, 1e-100]]
    late = low_temperature.zero_temperature_path(head, x, 50.0)[0]
    assert abs(np.log(late[1]) - (-100 * np.log(10) + 0.4 * 500)) < 1e-9
    assert np.abs(low_temperature.zero_temperature_limit(head, [[1.0, 1e-10]]) - I2[1]).max() == 0
    x, wanted = on_circle(np.array([0.3, 2.0])), None
    for factor in (1.0, 1e-200, 1e9, 1e200):
        found = low_temperature.zero_temperature_path(tp.Softmax(factor * A, I2, V), x, 2.0)
        wanted = found if wanted is None else wanted
        assert np.abs(found - wanted).max() < 1e-13


# --- Laplace's method, three grades -------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.5, 3.0, 60.0])
def test_the_mean_of_the_uniform_law_is_exact(beta):
    scores = np.array([[1.0, 0.5], [-0.3, 2.0]])
    circle = tp.Circle(np.full(256, 0.5 / np.pi))
    x = on_circle(np.linspace(0, 6, 7))
    e = x @ scores.T
    size = np.linalg.norm(e, axis=1)
    wanted = e / size[:, None] * low_temperature.uniform_mean(beta * size, 2)[:, None]
    assert np.abs(tp.Softmax(beta * scores, I2, I2)(circle)(x) - wanted).max() < 1e-14
    for d in (3, 6):
        law = tp.Axial.from_density(np.ones_like, d)
        point = np.eye(d)[:1] * 0.6 + np.eye(d)[1:2] * 0.8
        found = tp.Softmax(beta * np.eye(d), np.eye(d), np.eye(d))(law)(point)
        length = low_temperature.uniform_mean(beta, d)
        assert np.abs(found - length * point).max() < 1e-13


def test_the_mean_of_a_smooth_density_has_two_terms():
    circle = tp.Circle.from_density(lambda t: (1 + 0.5 * np.cos(t)) / (2 * np.pi), 1024)
    theta = 1.1
    e, tangent = on_circle(np.array(theta)), on_circle(np.array(theta + np.pi / 2))
    slope = -0.5 * np.sin(theta) / (1 + 0.5 * np.cos(theta))
    errors = []
    for K in (50.0, 100.0, 200.0):
        found = tp.Softmax(K * I2, I2, I2)(circle)(e)
        errors.append(np.abs(found - low_temperature.laplace_mean(e, K, slope * tangent)).max())
    assert np.abs(np.log2(errors[:-1]) - np.log2(errors[1:]) - 2).max() < 0.1


def test_two_derivatives_do_not_suffice_for_the_second_order():
    """A term |t|^(11/5) sign t, which is C^2, leaves a remainder of order K^(-8/5), not K^(-2)."""
    t = (np.arange(8192) - 4096) * 2 * np.pi / 8192
    weights = 1 + 0.9 * np.abs(np.sin(t)) ** 2.2 * np.sign(np.sin(t))
    law = tp.Particles(on_circle(t), weights / weights.sum(), space=tp.Sphere())
    K, e = np.array([500.0, 1000.0, 2000.0]), np.array([1.0, 0.0])
    errors = [
        np.linalg.norm(
            tp.Softmax(k * I2, I2, I2)(law)(e[None])[0]
            - low_temperature.laplace_mean(e, k, [0.0, 0.0])
        )
        for k in K
    ]
    assert np.abs(np.log2(errors[:-1]) - np.log2(errors[1:]) - 1.6).max() < 0.01


def test_the_bound_holds_for_rough_laws_and_is_not_sharp():
    """Mass at least kappa h^(1/2) about every direction: uniform plus atoms."""
    circle = tp.Circle(np.full(4096, 0.5 / np.pi))
    rng = np.random.default_rng(0)
    base = circle.particles
    atoms = on_circle(rng.uniform(0, 2 * np.pi, size=9))
    points = np.concatenate([base.points, atoms])
    weights = np.concatenate([0.3 * base.weights, np.full(9, 0.7 / 9)])
    law = tp.Particles(points, weights / weights.sum(), space=tp.Sphere())
    # 1 - cos(t) <= h within t of about sqrt(2 h): mass .3 * 2 arccos(1 - h) / (2 pi)
    kappa = 0.3 * np.sqrt(2) / np.pi
    for K in (2.0, 20.0, 200.0):
        e = on_circle(rng.uniform(0, 2 * np.pi, size=20))
        off = np.linalg.norm(tp.Softmax(K * I2, I2, I2)(law)(e) - e, axis=1).max()
        assert off < low_temperature.laplace_bound(K, 2, kappa)


@pytest.mark.parametrize(
    ("K", "d"), [(1e-100, 10), (1.0, 1000), (10.0, 768), (3e9, 2), (1e300, 9), (1e6, 5000), (2, 3)]
)
def test_lengths_of_uniform_means_of_any_size(K, d):
    """Between the bounds of Amos; a closed form in dimension three."""
    length, half = float(low_temperature.uniform_mean(K, d)), (d - 1) / 2
    low, high = (K / (half + np.hypot(half + more, K)) for more in (1, 0))
    assert low * (1 - 1e-12) <= length <= high * (1 + 1e-12)
    if d == 3:
        assert length == pytest.approx(1 / np.tanh(K) - 1 / K, rel=1e-13)


# --- V against VA on a half sphere --------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "values"),
    [(np.pi, [0.50, 0.33, 0.095, 0.021, 0.002]), (1.2, [0.65, 0.61, 0.81, 0.96, 0.998])],
)
def test_on_a_half_circle_value_wins_and_on_the_circle_the_product(width, values):
    theta = width * (2 * (np.arange(400) + 0.5) / 400 - 1)
    weights = 1 + 0.3 * np.sin(theta + 0.4)
    tokens = tp.Particles(on_circle(theta), weights / weights.sum(), space=tp.Sphere())
    attention = tp.Softmax(1024 * A, I2, V)
    path = tp.flow(tokens, attention, [0.0, 1.0, 3.0, 5.0, 8.0], rtol=1e-7, atol=1e-9)
    assert np.abs(share(path.points, tokens.weights) - values).max() < 0.006


# --- the solvable model and three logarithms ----------------------------------------------------


@pytest.mark.parametrize("beta", [20.0, 500.0])
def test_the_tangent_model_solves_its_equation(beta):
    (v1, v2), (a1, a2) = V.diagonal(), A.diagonal()
    m0, s0 = 0.01, 0.2

    def rate(_, y):
        u = beta * np.exp(2 * y[1])
        falling = v1 * a1 * u / (1 + a2 * u) - v2
        return [falling + v1 / (1 + a2 * u), falling]

    times = np.linspace(0.0, 12.0, 7)
    exact = solve_ivp(rate, (0, 12), np.log([m0, s0]), "DOP853", times, rtol=1e-12, atol=1e-12).y
    m, s = low_temperature.tangent_model([v1, v2], [a1, a2], beta, m0, s0, times)
    assert np.abs(np.log(m) - exact[0]).max() < 1e-9
    assert np.abs(np.log(s) - exact[1]).max() < 1e-9


@pytest.mark.parametrize(
    ("beta", "m0", "s0", "off"), [(200.0, 0.005, 0.1, 0.034), (2000.0, 0.0002, 0.03, 4e-4)]
)
def test_the_sphere_follows_the_tangent_model_near_the_pole(beta, m0, s0, off):
    z, w = np.polynomial.hermite_e.hermegauss(40)
    keep = w > 1e-18 * w.max()
    z, w = z[keep], w[keep] / w[keep].sum()
    tokens = tp.Particles(on_circle(np.pi / 2 - np.arctan(m0 + s0 * z)), w, space=tp.Sphere())
    times = np.linspace(0.0, 14.0, 15)
    path = tp.flow(tokens, tp.Softmax(beta * A, I2, V), times)
    m = (path.points[:, :, 0] / path.points[:, :, 1]) @ w  # on the tangent line
    early = m < 0.2  # in x_1 itself the curvature m^2 / 2 of the circle would show
    wanted = low_temperature.tangent_model(V.diagonal(), A.diagonal(), beta, m0, s0, times)[0]
    assert early.sum() > 6
    assert np.abs(m[early] / wanted[early] - 1).max() < off


@pytest.mark.parametrize(
    ("v", "a", "ratio"),
    [((1.0, 0.5), (0.1, 1.0), 0.05), ((1.5, 1.0), (0.3, 1.0), 3.0), ((1.0, 0.9), (0.2, 2.0), 1.0)],
)
def test_three_logarithms_of_the_tangent_model(v, a, ratio):
    """Best time, best distance and escape of the model at two very low temperatures."""
    laws = low_temperature.concentration_times(v, a)
    wanted, s0, found = low_temperature.concentration_constant(v, a, ratio), 0.1, []
    for beta in (1e12, 1e16):
        last = (laws.escape + 0.5) * np.log(beta)
        times = np.linspace(0.0, last, 4001)
        m, s = low_temperature.tangent_model(v, a, beta, ratio * s0, s0, times)
        square = m**2 + s**2
        k = square.argmin()
        assert abs(beta * square[k] / wanted - 1) < 1e-3
        escape = np.interp(0.0, np.log(m[k:] / 0.1), times[k:])
        found.append((times[k], escape))
    steps = np.diff(found, axis=0)[0] / np.log(1e4)
    assert np.abs(steps - laws).max() < 0.01


def test_three_logarithms_of_the_full_flow():
    """Best time, best distance and escape for beta = 128, 256, 512, against the laws."""
    theta = (np.arange(400) + 0.5) * 2 * np.pi / 400 - np.pi
    weights = 1 + 0.5 * np.cos(theta - np.pi / 3)
    tokens = tp.Particles(on_circle(theta), weights / weights.sum(), space=tp.Sphere())
    found = []
    for beta, last in ((128, 14.2), (256, 15.8), (512, 17.3)):
        times = np.append(0.0, np.linspace(7.0, last, 120))
        path = tp.flow(tokens, tp.Softmax(beta * A, I2, V), times, rtol=1e-7, atol=1e-9)
        row, times = share(path.points, tokens.weights)[1:], times[1:]
        k = row.argmin()
        near = slice(k - 4, k + 5)  # a parabola about the least recorded one
        bend, slope, _ = np.polyfit(times[near] - times[k], np.log(row[near]), 2)
        found.append(
            (times[k] - slope / (2 * bend), beta * row[k], np.interp(0.5, row[k:], times[k:]))
        )
    best, least, escape = np.array(found).T
    assert np.abs(best - [7.65, 8.50, 9.35]).max() < 0.03
    assert np.abs(least - [0.625, 0.629, 0.631]).max() < 1e-3
    assert np.abs(escape - [13.973, 15.514, 17.063]).max() < 2e-3
    laws = low_temperature.concentration_times(V.diagonal(), A.diagonal())
    assert laws == (1.25, 2.25)
    assert abs((best[-1] - best[-2]) / np.log(2) - laws.best) < 0.05
    assert abs((escape[-1] - escape[-2]) / np.log(2) - laws.escape) < 0.04


def test_laws_of_the_times():
    slopes = low_temperature.concentration_times([1.5, 1.0], [0.3, 1.0])
    assert np.abs(np.array(slopes) - [1 / 1.1, 1 / 1.1 + 1]).max() < 1e-14
    assert abs(low_temperature.concentration_times([1, 0.8], [0.5, 1]).escape - 4.1667) < 1e-4
    assert low_temperature.concentration_times([1.0, 0.5], [1.0, 1.0]) is None
    assert low_temperature.concentration_constant([1.0, 0.5], [1.0, 1.0], 1.0) is None
    # v1 = 2 v2 is quadratic: F = u (1 + q (1 + k/u)^2), least at u^2 = q k^2 / (1 + q)
    q, k = 0.3**2, 0.5 / 0.4
    u = k * np.sqrt(q / (1 + q))
    exact = u * (1 + q * (1 + k / u) ** 2)
    assert low_temperature.concentration_constant([1, 0.5], [0.1, 1], 0.3) == pytest.approx(
        exact, rel=1e-13
    )
    for ratio in (1e-150, 1e-8, 1e8):  # extreme starts keep their digits
        u = k * np.sqrt(ratio**2 / (1 + ratio**2))
        exact = u * (1 + ratio**2 * (1 + k / u) ** 2)
        found = low_temperature.concentration_constant([1, 0.5], [0.1, 1], ratio)
        assert found == pytest.approx(exact, rel=1e-12)


def test_zero_temperature_is_of_softmax_alone():
    """Unnormalised attention has no limit as its weights grow without bound."""
    with pytest.raises(TypeError, match="head: must be Softmax; got Unnormalized"):
        low_temperature.zero_temperature_path(tp.Unnormalized(A, I2, V), I2, 1.0)


# --- the heat phase -----------------------------------------------------------------------------


def wrapped(theta, time):
    """Three wrapped normals after heat has spread them for a time."""
    bumps = [(0.5, 1.0, 0.5), (0.3, 3.0, 0.4), (0.2, 5.0, 0.6)]
    k = np.arange(1, 60)
    found = np.full(theta.shape, 0.5 / np.pi)
    for weight, centre, sd in bumps:
        sizes = np.exp(-(k**2) * (sd**2 / 2 + time))
        found += weight / np.pi * (sizes * np.cos(np.multiply.outer(theta - centre, k))).sum(-1)
    return found


def test_repulsion_at_low_temperature_is_heat_to_first_order():
    circle = tp.Circle.from_density(lambda t: wrapped(t, 0.0), 256)
    errors = []
    for beta in (25.0, 50.0, 100.0, 200.0):
        path = tp.flow(circle, tp.Softmax(beta * I2, I2, -I2), [0.0, 0.05 * beta])
        gap = np.abs(path.densities[-1] - wrapped(circle.angles, 0.05))
        errors.append(2 * np.pi * gap.mean())
    assert np.abs(np.array(errors) / [0.0246, 0.0128, 0.0065, 0.0033] - 1).max() < 0.015
    orders = np.log2(errors[:-1]) - np.log2(errors[1:])
    assert (np.abs(orders - [0.94, 0.97, 0.99]) < 0.02).all()


def test_attraction_grows_fastest_at_one_degree():
    found = [low_temperature.fastest_degree(beta, 2) for beta in (10, 50, 200, 1000)]
    assert found == [4, 10, 20, 45]
    assert low_temperature.fastest_degree(1.4e5, 28_000) == 10  # Bessel functions underflow
    rates = one_cluster.mode_rates(1e6, 2, np.arange(1300, 1530))
    assert abs(rates.max() - 2 / np.e) < 1e-5  # bounded, so well posed but at zero temperature


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: low_temperature.zero_temperature_limit(tp.Softmax(A, I2, V), [[1.0, 1.0]]),
            "points: tokens on the sphere must have norm 1",
        ),
        (
            lambda: low_temperature.zero_temperature_path(
                tp.Softmax(np.diag([1.0, 0.0]), I2, V), I2, 1.0
            ),
            "head: key.T query must be injective",
        ),
        (lambda: low_temperature.laplace_bound(1.0, 2, 1.0), "concentration: the bound holds"),
        (lambda: low_temperature.uniform_mean(-1.0, 2), "concentration: must be positive"),
        (lambda: low_temperature.laplace_mean([1.0, 1.0], 2.0, [0.0, 0.0]), "must have norm 1"),
        (
            lambda: low_temperature.tangent_model([1, 0.5], [1, 1], 10.0, 0.1, 0.1, 1.0),
            "must have v2 > 0, a2 > 0 and v2 a2 > v1 a1",
        ),
        (
            lambda: low_temperature.concentration_constant([1, 0.5], [0.1, 1], 0.0),
            "ratio: must be a positive finite",
        ),
        (lambda: low_temperature.fastest_degree(-1.0, 2), "beta: must be a positive finite"),
        (lambda: low_temperature.fastest_degree(1e30, 2), "beta: must be at most 1e"),
        (
            lambda: low_temperature.zero_temperature_rate(
                tp.Softmax(np.diag([1.0, 0.0]), I2, V), I2
            ),
            "head: key.T query must be injective",
        ),
        (
            lambda: low_temperature.laplace_mean([1, 0], 2.0, [3, 1]),
            "gradient: must be tangential",
        ),
        (lambda: low_temperature.laplace_mean([1], 2.0, [0]), "dimension: must be an integer of"),
        (
            lambda: low_temperature.concentration_times([1e200, 1e199], [1e200, 1.0]),
            "values, scores: their products must be finite",
        ),
        (
            lambda: low_temperature.concentration_constant([1, 0.5], [0.1, 1], 1e200),
            "ratio: the constant must be below",
        ),
        (
            lambda: low_temperature.tangent_model([1, 0.5], [0.1, 1], 50.0, 0.1, 0.1, 1e4),
            "time: the mean must stay below",
        ),
        (
            lambda: low_temperature.tangent_model([1, 0.5], [0.1, 1], 1e308, 0.1, 10.0, 1.0),
            "beta, spread: beta spread.2 must be a number",
        ),
    ],
)
def test_bad_input_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


# --- the stored experiments ----------------------------------------------------------------------

STORED = load("temperature", ROOT / "book" / "frontier" / "data")
runs = load_tool("frontier_temperature")


def test_stored_runs_are_found_again():
    """The first depths of a panel, of a row of the table, of a leak and of the label error."""
    kept = STORED.arrays
    columns = slice(0, 31, 10)
    for kind, start in (("circle", runs.full()), ("arc", runs.arc())):
        masses, share_found = runs.panel(start, 16, columns)
        level = np.clip(np.log10(masses * runs.BINS / (2 * np.pi) + 1e-12), -4, 2)
        drawn = np.round((level + 4) * 40)
        # at the edge of the support a bin may hold more or less than the floor
        assert (np.abs(drawn - kept[f"{kind}, 16"][columns]) > 1).sum() <= 2
        assert np.abs(share_found - kept[f"share, {kind}, 16"][columns]).max() < 1e-5
    found = runs.turning_points(*runs.table(16))
    assert np.abs(np.array(found) - STORED.numbers["plane, 16"]).max() < 1e-4
    found = runs.shares(runs.full(), runs.PLANE, 64, kept["times, 64"][:41:20])
    assert np.abs(found - kept["shares, 64"][:41:20]).max() < 1e-6


def test_fourier_modes_and_graded_tokens_are_one_flow():
    """Two routes; 400 equal angles are coarser, as tokens near e_1 part like e^(g t / a_1)."""
    circle = tp.Circle.from_density(lambda t: runs.tilted(t) / (2 * np.pi), 512)
    times = np.linspace(0.0, 2.0, 5)
    path = tp.flow(circle, runs.head(runs.PLANE, 16), times)
    modes = path.densities @ np.cos(circle.angles) ** 2 * np.pi / 256
    graded, equal = (
        np.abs(runs.shares(start, runs.PLANE, 16, times) - modes).max()
        for start in (runs.graded(), runs.full())
    )
    assert graded < 2e-5
    assert 1e-4 < equal < 2e-4


def test_panels_hold_the_mass_in_its_order():
    masses, _ = runs.panel(runs.full(), 16, slice(0, None, 35))
    assert np.abs(masses.sum(axis=1) - 1).max() < 1e-9
    assert (masses >= 0).all()
    ends = masses[-1].reshape(-1, 10).sum(axis=1)  # of 18 arcs, from -e_2 on
    start = masses[0].reshape(-1, 10).sum(axis=1)
    theta = np.radians(np.arange(-90, 271, 20))
    law = theta + 0.5 * np.sin(theta - np.pi / 3)
    assert np.abs(start - np.diff(law) / (2 * np.pi)).max() < 1e-4
    assert ends[2:7].sum() > 0.9  # at depth 3.5 log(16) within 50 degrees of e_1


def test_stored_table_obeys_the_laws():
    numbers = np.array([STORED.numbers[f"plane, {beta}"] for beta in runs.BETAS])
    best, least, escape = numbers.T
    assert np.abs(best - [5.20, 6.00, 6.83, 7.65, 8.50, 9.35]).max() < 0.02
    scaled = least * runs.BETAS
    assert np.abs(scaled - [0.587, 0.606, 0.622, 0.625, 0.629, 0.631]).max() < 1e-3
    assert np.abs(escape - [9.463, 10.938, 12.451, 13.973, 15.514, 17.063]).max() < 1e-3
    assert np.ptp(scaled[3:]) < 0.02 * scaled[-1]
    for beta in (64, 256, 512):  # the rows are those of 400 nodes; finer ones move them little
        finer = np.array(STORED.numbers[f"plane, {beta}, graded"])
        assert np.abs(finer / STORED.numbers[f"plane, {beta}"] - 1).max() < 0.01
    assert abs(np.diff(best)[-1] / np.log(2) - 1.25) < 0.05
    assert abs(np.diff(escape)[-1] / np.log(2) - 2.25) < 0.04


def test_stored_leaks_spoil_the_power_where_scores_are_close():
    def times_beta(kind, nodes):
        rows = [STORED.numbers[f"{kind}, {beta}, {nodes}"][1] for beta in runs.LEAK_BETAS]
        return np.array(rows) * runs.LEAK_BETAS

    assert np.abs(times_beta("strong", "graded") - [0.49, 0.67, 0.87]).max() < 0.01
    assert np.abs(times_beta("strong", "equal")[1:] - [1.04, 1.56]).max() < 0.01
    even = times_beta("weak", "graded")
    assert even[-1] / even[-2] < 1.03  # a2 > 2 a1: it settles
    for kind, law in (("strong", 4.115), ("weak", 1.893)):
        escapes = [STORED.numbers[f"{kind}, {beta}, graded"][2] for beta in (256, 512)]
        assert abs(np.diff(escapes)[0] / np.log(2) - law) < 0.005


def test_label_errors_on_the_sphere():
    """V = diag(1, 1, 1/5), A = I: least errors to 3 %, their depths, and the order -.85."""
    rows = [STORED.arrays[f"agree, {beta}"] for beta in runs.AGREE_BETAS]
    least, when = [row.min() for row in rows], [row.argmin() / 10 for row in rows]
    assert np.abs(np.array(least) / [0.336, 0.190, 0.104, 0.0582, 0.0323] - 1).max() < 0.01
    assert np.abs(np.array(when) - [2.2, 2.9, 3.8, 4.7, 5.6]).max() < 0.11
    order = np.polyfit(np.log(runs.AGREE_BETAS), np.log(least), 1)[0]
    assert abs(order + 0.85) < 0.01
    x, weights = runs.sphere_nodes()
    head = tp.Softmax(np.eye(3), np.eye(3), np.diag(runs.AGREE))
    limit = low_temperature.zero_temperature_limit(head, x)
    live = np.sqrt(((x - limit) ** 2).sum(axis=-1) @ weights)
    assert abs(live - rows[0][0]) < 1e-12
    # the density's own integral of |x - pi(x)|^2 = 2 - 2 sqrt(1 - x_3^2): 2 - pi / 2
    assert live**2 == pytest.approx(2 - np.pi / 2, rel=5e-4)  # 20 Gauss nodes


def test_few_tokens_freeze():
    """Beyond n^2 the kernel is narrower than the distance of neighbours."""
    rng = np.random.default_rng(3)
    tokens = tp.Particles(on_circle(rng.uniform(0, 2 * np.pi, 40)), space=tp.Sphere())
    ways = []
    for beta in (200.0, 20_000.0, 200_000.0):
        end = tp.flow(tokens, tp.Softmax(beta * I2, I2, -I2), [0.0, 0.05 * beta]).points[-1]
        ways.append(np.linalg.norm(end - tokens.points, axis=1).max())
    assert ways[0] > 5 * ways[1] > 5 * ways[2]
