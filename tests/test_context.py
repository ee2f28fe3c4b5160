"""One token in n draws: constants against particles, quadrature and perturbed laws."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import dblquad

import transpde as tp
from transpde import theory
from transpde.convergence import fitted_order
from transpde.theory import context

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import frontier_context as runs  # noqa: E402

LINE = tp.Gaussian([0.0], factor=[[1.0]])
ROUND = tp.Gaussian([0.0, 0.0], factor=np.eye(2))


def line_head(a):
    return tp.Softmax([[a]], [[1.0]], [[1.0]])


def round_head(d, a):
    return tp.Softmax(a * np.eye(d), np.eye(d), np.eye(d))


def within(samples, value, slack=0.0):
    """Whether the mean of samples is within three standard errors, and some slack, of a value."""
    samples = np.asarray(samples)
    return abs(samples.mean() - value) <= 3 * samples.std() / len(samples) ** 0.5 + slack


# --- one layer -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("d", "wanted"), [(2, 2.969309), (4, 5.501692), (8, 10.627603)])
def test_noise_of_one_layer_in_many_draws(d, wanted):
    S, x = np.linspace(0.5, 1.5, d), np.full(d, d**-0.5)
    law, head = tp.Gaussian(np.zeros(d), factor=np.diag(S**0.5)), round_head(d, 0.5)
    limit = context.fluctuation_covariance(head, law, x)
    assert np.trace(limit) == pytest.approx(wanted, abs=1e-6)
    u, n = 0.5 * x, 1000
    rng, squares, linear = np.random.default_rng(d), [], []
    for _ in range(10):
        y = rng.normal(size=(100, n, d)) * S**0.5
        field = head(tp.Particles(y))(np.broadcast_to(x, (100, 1, d)))[:, 0] - S * u
        g = np.exp(y @ u - (S * u) @ u / 2)[..., None] * (y - S * u)
        squares += list(n * (field**2).sum(axis=-1))
        linear += list(n * (field - g.mean(axis=1)))
    assert within(squares, wanted, 0.02 * wanted)  # the next order in 1/n
    bias = context.fluctuation_bias(head, law, x)
    for i in range(d):
        assert within(np.array(linear)[:, i], bias[i], 0.01)


def test_kernel_and_bias_by_quadrature_for_a_general_head():
    rng = np.random.default_rng(3)
    Q, K, V, X = 0.7 * rng.normal(size=(4, 2, 2))
    head, law = tp.Softmax(Q, K, V), tp.Gaussian([0.3, -0.5], factor=X)
    x, y = rng.normal(size=(2, 2))
    z, w = np.polynomial.hermite_e.hermegauss(40)
    nodes = np.stack(np.meshgrid(z, z), axis=-1).reshape(-1, 2)
    mass = np.outer(w, w).ravel() / w.sum() ** 2
    tokens = law.mean + nodes @ X.T
    field = head(law)

    def g(point):
        """The effect of a draw on the velocity at a point."""
        weight = np.exp(tokens @ K.T @ Q @ point)
        weight /= mass @ weight
        return weight, weight[:, None] * (tokens @ V.T - field(point[None])[0])

    (first, one), (_, other) = g(x), g(y)
    kernel = np.einsum("n,ni,nj->ij", mass, one, other)
    found = context.fluctuation_covariance(head, law, x, y)
    assert np.abs(found - kernel).max() <= 1e-11 * np.abs(kernel).max()
    assert np.abs(context.fluctuation_bias(head, law, x) + (mass * first) @ one).max() <= 1e-11
    assert np.abs(context.fluctuation_covariance(head, law, y, x) - found.T).max() <= 1e-13
    u = K.T @ Q @ x
    assert context.effective_context(head, law, x, 500) == pytest.approx(
        500 / (mass @ first**2), rel=1e-11
    )
    assert np.abs(law.covariance @ u).max() > 0.1  # the case is not trivial


def test_largest_tokens_rule_beyond_the_edge_of_freezing():
    n, draws, rng = 1000, 500, np.random.default_rng(5)
    y = tp.Particles(rng.normal(size=(draws, n, 2)))
    shares = []
    for share in (0.25, 0.5, 0.6, 0.75):
        u = np.array([share * np.sqrt(2 * np.log(n)), 0.0])
        field = round_head(2, 1.0)(y)(np.broadcast_to(u, (draws, 1, 2)))[:, 0]
        limit = np.trace(context.fluctuation_covariance(round_head(2, 1.0), ROUND, u))
        shares.append(np.sqrt(n * ((field - u) ** 2).sum(axis=-1).mean() / limit))
    assert np.abs(np.array(shares) - [0.98, 0.69, 0.40, 0.13]).max() <= 0.06
    assert (np.diff(shares) < 0).all()


# --- a frozen context ----------------------------------------------------------------------------


@pytest.mark.parametrize(("d", "wanted"), [(2, 4.2835), (4, 8.1130), (8, 15.7721)])
def test_frozen_context_is_the_double_integral(d, wanted):
    x, law = np.eye(d)[0], tp.Gaussian(np.zeros(d), factor=np.eye(d))
    found = context.frozen_context_variance(round_head(d, 0.4), law, x, 1.0)

    def integrand(t, s):
        q = 0.16 * np.exp(0.4 * (t + s))
        return np.exp(0.4 * (2 - t - s) + q) * (d + q)

    assert found == pytest.approx(dblquad(integrand, 0, 1, 0, 1)[0], rel=1e-10)
    assert found == pytest.approx(wanted, abs=1e-4)


def test_frozen_context_against_tokens():
    x, n = np.array([1.0, 0.0]), 400
    limit = context.frozen_context_variance(round_head(2, 0.4), ROUND, x, 1.0)
    how = {"draws": 150, "seed": 1, "frozen": True}
    found = context.context_errors(round_head(2, 0.4), ROUND, x, [0.0, 1.0], n, **how)
    assert within(n * (found[-1] ** 2).sum(axis=-1), limit, 0.03 * limit)
    assert (found[0] == 0).all()


def test_frozen_context_with_a_mean_is_the_response_to_each_draw():
    """Of a law with a little mass at one more token, by finite differences in the mass."""
    head, law = tp.Softmax([[0.7]], [[0.8]], [[-1.3]]), tp.Gaussian([0.4], factor=[[0.9]])
    z, w = np.polynomial.hermite_e.hermegauss(36)
    y, w, eps = 0.4 + 0.9 * z, w / w.sum(), 1e-5
    nothing = tp.Softmax([[0.7]], [[0.8]], [[0.0]])

    def end(mass, extra):
        cloud = tp.Particles(np.append(y, extra)[:, None], np.append(w * (1 - mass), mass))
        return tp.flow(tp.Particles([[0.6]]), nothing + head(cloud), [0.0, 0.8]).points[-1, 0, 0]

    rest = end(0.0, 0.0)
    slopes = np.array([4 * end(eps, one) - end(2 * eps, one) - 3 * rest for one in y]) / 2 / eps
    found = context.frozen_context_variance(head, law, [0.6], 0.8)
    assert found == pytest.approx(w @ slopes**2, rel=1e-5)


@pytest.mark.parametrize("time", [1e3, 1e4, 1e5])
def test_frozen_context_at_long_depth_forgets_its_start(time):
    found = context.frozen_context_variance(line_head(-1.0), LINE, [1.0], time)
    assert found == pytest.approx(1.0, rel=1e-8)


def test_frozen_context_of_a_token_that_turns():
    """A score that is twice a quarter turn: the integrand depends on t - t' alone."""
    head = tp.Softmax([[0.0, -2.0], [2.0, 0.0]], np.eye(2), np.eye(2))

    def integrand(s, T):
        return 2 * (T - s) * np.exp(4 * np.cos(2 * s)) * (2 * np.cos(2 * s) + 4 * np.cos(4 * s))

    places, weights = np.polynomial.legendre.leggauss(400)
    for T in (3.0, 20.0):
        wanted = T / 2 * weights @ integrand(T * (places + 1) / 2, T)
        found = context.frozen_context_variance(head, ROUND, [1.0, 0.0], T)
        assert found == pytest.approx(wanted, rel=1e-9)
    with pytest.raises(RuntimeError, match="take a shorter time"):
        context.frozen_context_variance(head, ROUND, [1.0, 0.0], 1e6)


def test_values_without_effect_and_beyond_floats():
    nothing = tp.Softmax([[1.0]], [[1.0]], [[0.0]])
    assert context.frozen_context_variance(nothing, LINE, [1.0], 5.0) == 0
    steep = context.frozen_context_variance(line_head(-1.0), LINE, [28.0], 300.0)
    assert (
        1e70 < steep < 1e90
    )  # e^(784 - 600) times a slope: a weight beyond floats, a small effect
    with pytest.raises(OverflowError, match="take a smaller point"):
        context.frozen_context_variance(line_head(-1.0), LINE, [40.0], 780.0)
    far = [40.0, 0.0]
    assert (
        context.fluctuation_covariance(round_head(2, 1.0), ROUND, far)
        == [[np.inf, 0.0], [0.0, np.inf]]
    ).all()
    assert (context.fluctuation_bias(round_head(2, 1.0), ROUND, far) == [-np.inf, 0.0]).all()


# --- a moving context ----------------------------------------------------------------------------


def responses(a, T, labels, nodes, eps=1e-7):
    """How ends of test tokens turn with the mass at each node, (nodes, labels), and the masses.

    The law is a Gauss rule that moves with its test tokens; nothing is expanded in polynomials.
    """
    z, w = np.polynomial.hermite_e.hermegauss(nodes)
    w /= w.sum()
    kept = w > 1e-25  # beyond, squares of responses do not count
    z, w = z[kept], w[kept] / w[kept].sum()
    m, tests = len(z), len(labels)
    points = np.empty((m, m + 1 + tests, 1))
    points[:, :m, 0], points[:, m, 0], points[:, m + 1 :, 0] = z, z, labels

    def ends(mass):
        weights = np.concatenate([w * (1 - mass), [mass], np.zeros(tests)])
        start = tp.Particles(points, weights)
        path = tp.flow(start, line_head(a), [0.0, T], rtol=1e-10, atol=1e-12)
        return path.final.points[:, m + 1 :, 0]

    rest = ends(0.0)
    exact = np.array(labels) / np.sqrt(1 - 2 * a * T)
    assert np.abs(rest - exact).max() <= 1e-6
    return (4 * ends(eps) - ends(2 * eps) - 3 * rest) / 2 / eps, w


@pytest.mark.parametrize(
    ("a", "T", "labels", "wanted", "nodes", "tolerance"),
    [
        (0.2, 1.0, [1.0, 0.0], [5.325262, 4.925007], 26, 1e-5),
        (0.4, 0.5, [0.5], [0.811699], 32, 4e-4),
        (-0.5, 1.0, [0.7], [None], 26, 1e-4),
    ],
)
def test_constant_of_a_moving_context_by_perturbed_laws(a, T, labels, wanted, nodes, tolerance):
    slopes, w = responses(a, T, labels, nodes)
    for label, column, number in zip(labels, slopes.T, wanted, strict=True):
        found = context.moving_context_constant(a, T, label)
        assert found == pytest.approx(w @ column**2, rel=tolerance)
        assert number is None or found == pytest.approx(number, abs=1e-6)


def test_first_terms_of_the_constant_are_nine_tenths_of_it():
    terms = context._terms(0.2, 1.0, 1.0, 24)
    assert 1e-10 < terms.sum() - terms[:9].sum() < 2e-10
    near = context._terms(0.4, 0.5, 0.5, 48)
    assert 4e-6 < near.sum() - near[:9].sum() < 8e-6
    assert 1e-7 < near.sum() - near[:13].sum() < 5e-7


def test_constant_ends_at_its_edge_and_terms_grow_beyond():
    edge = (1 - 0.4 * np.sqrt(2)) / 0.8  # a sigma = 1 / sqrt 2 at a = 0.4
    inside = context.moving_context_constant(0.4, edge - 0.02, 0.5)
    assert np.isfinite(inside)
    assert context.moving_context_constant(0.4, edge + 1e-6, 0.5) == np.inf
    assert context.moving_context_constant(0.4, edge, 0.5) is None
    assert context.moving_context_constant(-0.8, 1.0, 0.5) is None
    late = [context._terms(0.4, T, 0.0, 64)[56::4] for T in (0.5, 0.6)]  # a sigma .667 and .769
    assert late[0][-1] < 0.9 * late[0][0]
    assert late[1][-1] > 1.1 * late[1][0]


def test_constant_refuses_an_exploded_population():
    with pytest.raises(ValueError, match="time: must be below"):
        context.moving_context_constant(0.4, 1.25, 0.5)
    with pytest.raises(ValueError, match="score: must be"):
        context.moving_context_constant(0.0, 1.0, 0.5)
    with pytest.raises(ValueError, match="times: must be before"):
        context.context_errors(line_head(0.5), LINE, [1.0], [0.0, 2.0], 3, draws=1, seed=0)


def test_statements_refuse_other_contexts():
    two = tp.Gaussian([[0.0], [1.0]], factor=[[[1.0]]] * 2)
    with pytest.raises(ValueError, match="one Gaussian"):
        context.fluctuation_bias(line_head(1.0), two, [1.0])
    with pytest.raises(ValueError, match="point"):
        context.fluctuation_bias(line_head(1.0), LINE, [1.0, 2.0])
    with pytest.raises(ValueError, match="context"):
        context.fluctuation_bias(line_head(1.0), ROUND, [1.0])


# --- the long runs -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stored():
    return tp.records.load("context", ROOT / "book" / "frontier" / "data")


def test_stored_runs_agree_with_the_constants(stored):
    numbers = stored.numbers
    for case, slack in {
        "inner, 100": 0.1, "inner, 200": 0.1, "inner, 400": 0.1, "centre, 100": 0.1,
        "near, 50": 0.15, "near, 200": 0.1, "near, 800": 0.1,
    }.items():  # fmt: skip
        score, time, label, *_ = runs.CASES[case.split(",")[0]]
        C, found = context.moving_context_constant(score, time, label), numbers[case]
        assert abs(found["mean"] - C) <= 3 * found["error"] + slack * C, case


def test_stored_runs_lose_the_rate_beyond_the_edge_and_keep_it_frozen(stored):
    def slope(case):
        sizes = np.array(list(runs.CASES[case][-1]))
        mean = [stored.numbers[f"{case}, {n}"]["mean"] / n for n in sizes]
        return fitted_order(sizes, np.sqrt(mean))

    assert abs(slope("near") + 0.5) <= 0.06
    for case in ("beyond", "far"):
        assert slope(case) > -0.43
        assert abs(slope(f"{case}, frozen") + 0.5) <= 0.06


def test_first_draws_of_the_stored_runs_are_made_again(stored):
    for case in ("inner", "far", "far, frozen"):
        n = min(runs.CASES[case][-1])
        gap = runs.errors(case, n, 4) - stored.arrays[f"{case}, {n}"][:4]
        assert np.abs(gap).max() <= 1e-6
    gap = runs.sharp(4, 1000, 3) - stored.arrays["sharp first, 4"][2][:3]
    assert np.abs(gap).max() <= 1e-6


def test_stored_numbers_are_those_of_the_command(stored):
    manifest = json.loads((ROOT / "book/frontier/data/context.json").read_text())
    assert manifest["parameters"]["cases"]["inner"][:3] == list(runs.CASES["inner"][:3])
    assert (ROOT / "book/frontier/data/context.npz").stat().st_size <= 100_000


# --- a bound in every dimension ------------------------------------------------------------------


def crude_bound(head, radius, time, n):
    """The bound with the last radius all the way."""
    R = theory.support_radius(head, radius, time)
    rates = theory.lipschitz_bounds(head, R)
    L = rates.in_space + rates.in_measure
    return R * np.exp(2 * R**2) * (n**-0.5 + 2 / n) * np.expm1(L * time) / L


@pytest.mark.parametrize(("radius", "time", "wanted"), [(0.2, 1.0, 8.3), (0.5, 0.5, None)])
def test_bound_holds_for_a_token_at_the_rim_of_a_disc(radius, time, wanted):
    n, head, rng = 128, round_head(2, 1.0), np.random.default_rng(0)

    def disc(m):
        angle = 2 * np.pi * rng.random(m)
        size = radius * np.sqrt(rng.random(m))
        return size[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])

    z, w = np.polynomial.legendre.leggauss(12)
    angles = 2 * np.pi * np.arange(24) / 24
    r = radius * np.sqrt((z + 1) / 2)
    nodes = (r[:, None, None] * np.stack([np.cos(angles), np.sin(angles)], -1)).reshape(-1, 2)
    mass = np.repeat(w / 2 / 24, 24)
    rim = np.array([[radius, 0.0]])

    def end(points, weights):
        start = tp.Particles(np.concatenate([points, rim]), np.append(weights, 0.0))
        return tp.flow(start, head, [0.0, time], rtol=1e-8, atol=1e-10).final.points[-1]

    exact = end(nodes, mass)
    clouds = [disc(n) for _ in range(40)]
    gaps = [np.linalg.norm(end(y, np.full(n, 1 / n)) - exact) for y in clouds]
    bound, crude = context.context_bound(head, radius, time, n), crude_bound(head, radius, time, n)
    assert np.mean(gaps) + 3 * np.std(gaps) / 40**0.5 < bound < crude
    if wanted is not None:
        assert np.sqrt(n) * crude == pytest.approx(wanted, abs=0.05)
        assert np.sqrt(n) * np.mean(gaps) == pytest.approx(0.214, abs=0.04)


def test_bound_is_half_that_of_twins_for_many_tokens_and_none_where_no_statement():
    head = round_head(2, 1.0)
    n = 10**8
    half = theory.mean_field.twin_bound(head, 0.3, 0.5) / 2
    assert context.context_bound(head, 0.3, 0.5, n) == pytest.approx(half / 1e4, rel=3e-4)
    eye = np.eye(2)
    for other in (tp.Masked(head), tp.Sinkhorn(eye, eye, eye), tp.Linear(eye, eye, eye)):
        assert context.context_bound(other, 0.3, 0.5, 9) is None
    assert context.context_bound(head + tp.AffineField(eye), 0.3, 0.5, 9) > 0


# --- sharp attention -----------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 3, 8])
def test_sharp_constant_by_radial_quadrature(d):
    from scipy.integrate import quad

    for beta in (0.0, 0.3, 7.0):

        def moment(power, extra, beta=beta):
            return quad(
                lambda r: r ** (d - 1 + extra) * np.exp(-(power * beta + 0.5) * r**2), 0, 40
            )[0]

        wanted = moment(2, 2) * moment(0, 0) / moment(1, 0) ** 2
        assert context.sharp_context_constant(beta, d) == pytest.approx(wanted, rel=1e-9)
    large = context.sharp_context_constant(1e8, d) / (d / 4 * 1e8 ** (d / 2 - 1))
    assert large == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize(
    ("d", "wanted"),
    [(4, (-0.5, -0.463, -0.401, -0.331, -0.261)), (8, (-0.5, -0.446, -0.37, -0.28, -0.182))],
)
def test_slopes_of_sharp_attention(stored, d, wanted):
    sizes = np.array(runs.SIZES)
    for j, gamma in enumerate(runs.SHARPNESS):
        law = context.sharp_context_constant(sizes ** (2 * gamma / d), d) / sizes
        assert fitted_order(sizes, np.sqrt(law)) == pytest.approx(wanted[j], abs=1e-3)
        found = fitted_order(sizes, np.sqrt(stored.arrays[f"sharp, {d}"][:, j]))
        assert found == pytest.approx(wanted[j], abs=0.03)
        far = np.array([1e30, 1e32])
        law = context.sharp_context_constant(far ** (2 * gamma / d), d) / far
        assert fitted_order(far, np.sqrt(law)) == pytest.approx(
            context.sharp_context_order(gamma, d), abs=1e-3
        )
    nearest = fitted_order(sizes, np.sqrt(stored.arrays[f"sharp, {d}"][:, -1]))
    assert nearest == pytest.approx({4: -0.254, 8: -0.138}[d], abs=0.03)
    clouds = fitted_order(runs.CLOUDS, stored.arrays[f"clouds, {d}"].mean(axis=1))
    assert clouds == pytest.approx({4: -0.234, 8: -0.139}[d], abs=0.02)
