"""Statements on real heads and layers, each against another computation."""

import numpy as np
import pytest
import tiny_models as tiny
from scipy.integrate import quad
from scipy.special import softmax

import transpde as tp
from transpde import models
from transpde.models.blocks import Norm
from transpde.theory import real

RNG = np.random.default_rng


def head_arrays(seed, n=12, k=3, width=4, scale=1.0):
    rng = RNG(seed)
    return scale * rng.normal(size=(n, k)), rng.normal(size=(n, k)), rng.normal(size=(n, width))


def outputs(q, kappa, v, t=1.0):
    return softmax(t * q @ kappa.T, axis=1) @ v


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return models.read(tiny.write("bert", tmp_path_factory.mktemp("bert")))


# --- affine heads --------------------------------------------------------------------------------


def test_leaving_one_out_is_fitting_without_it():
    q, kappa, v = head_arrays(0)
    o, wrong = outputs(q, kappa, v), []
    for i in range(len(q)):
        others = np.delete(np.arange(len(q)), i)
        design = np.column_stack([np.ones(len(others)), q[others]])
        fit = np.linalg.lstsq(design, o[others], rcond=None)[0]
        wrong.append(o[i] - np.append(1.0, q[i]) @ fit)
    share = 1 - np.sum(np.square(wrong)) / ((o - o.mean(0)) ** 2).sum()
    assert real.affine_share(q, o) == pytest.approx(share, abs=1e-12)
    design = np.column_stack([np.ones(len(q)), q])
    fitted = design @ np.linalg.lstsq(design, o, rcond=None)[0]
    inside = real.affine_share(q, o, leave_one_out=False)
    assert inside == pytest.approx(real.explained_share(o, fitted), abs=1e-12)
    assert inside > real.affine_share(q, o)


def test_queries_of_lower_rank_and_too_few():
    q, kappa, v = head_arrays(1)
    flat = np.column_stack([q, q @ [1.0, 2.0, 3.0]])
    o = outputs(q, kappa, v)
    assert real.affine_share(flat, o) == pytest.approx(real.affine_share(q, o), abs=1e-12)
    with pytest.raises(ValueError, match=r"queries: .* by the others"):
        real.affine_share(np.eye(4), np.eye(4))


def test_the_gaussian_law_is_the_head_of_the_matched_gaussian(bert):
    x = bert(tiny.IDS["bert"]).points[0]
    made, measure, head = bert.projections(0, x), bert.measure(0, x), bert.head(0, 2)
    field = head(tp.Gaussian.from_particles(measure))
    own = bert.blocks[0].output[:, 12:18]
    law = real.gaussian_outputs(made.queries[2], made.keys[2], made.values[2])
    np.testing.assert_allclose(law @ own.T, field(measure.points)[:, :-1], atol=1e-11)


def test_heavy_tokens_beside_a_gaussian_rest():
    """In one dimension against integrals over the normal density of the rest."""
    rng = RNG(2)
    kappa = np.append(rng.normal(size=9), 6.0)[:, None]
    v = 0.5 * kappa + 1.0  # so that the rest's value is a function of its key
    q = np.array([[0.3], [0.8], [1.4]])
    rest = kappa[:-1, 0]
    mean, size = rest.mean(), rest.std()
    for target, found in zip(q[:, 0], real.gaussian_outputs(q, kappa, v, exact=1), strict=True):

        def density(y, target=target):
            return np.exp(target * y - (y - mean) ** 2 / (2 * size**2)) / size / np.sqrt(2 * np.pi)

        weight = 9 * quad(density, -30, 30, epsabs=1e-13)[0]
        total = 9 * quad(lambda y: density(y) * (0.5 * y + 1), -30, 30, epsabs=1e-13)[0]
        sink = np.exp(6.0 * target)
        wanted = (total + sink * v[-1, 0]) / (weight + sink)
        assert found[0] == pytest.approx(wanted, abs=1e-9)
    assert np.array_equal(
        real.gaussian_outputs(q, kappa, v), real.gaussian_outputs(q, kappa, v, exact=0)
    )


def test_the_remainder_of_the_first_order_is_an_integral_of_third_cumulants():
    q, kappa, v = head_arrays(3)
    q = q[:1]
    C = np.cov(v.T, kappa.T, bias=True)[:4, 4:]
    for t in (0.25, 1.0, 2.0):
        remainder = outputs(q, kappa, v, t)[0] - v.mean(0) - t * C @ q[0]
        for j in range(4):
            integral = quad(
                lambda s, j=j, t=t: (t - s) * real.third_cumulant(q, kappa, v, s)[0, j], 0, t,
                epsabs=1e-13,
            )[0]  # fmt: skip
            assert remainder[j] == pytest.approx(integral, abs=1e-11)


def test_the_first_order_law_has_order_one_for_any_tokens():
    """The relative error halves with t; for normal tokens the error itself is noise only."""
    q, kappa, v = head_arrays(4, n=40)
    C = np.cov(v.T, kappa.T, bias=True)[:4, 4:]
    sizes = []
    for t in (1 / 64, 1 / 128):
        remainder = outputs(q, kappa, v, t) - v.mean(0) - t * q @ C.T
        sizes.append(np.linalg.norm(remainder) / np.linalg.norm(t * q @ C.T))
    assert np.log2(sizes[0] / sizes[1]) == pytest.approx(1.0, abs=0.02)


# --- the Stein slope and sinks -------------------------------------------------------------------


def test_the_stein_slope_is_the_mean_derivative():
    q, kappa, v = head_arrays(5)
    h, slope = 1e-5, np.empty((4, 3))
    for a in range(3):
        step = h * np.eye(3)[a]
        slope[:, a] = (outputs(q + step, kappa, v) - outputs(q - step, kappa, v)).mean(0) / (2 * h)
    np.testing.assert_allclose(real.stein_slope(q, kappa, v), slope, atol=1e-9)


def test_the_stein_slope_is_that_of_least_squares_for_normal_queries():
    """Antithetic draws; within four standard errors, by blocks."""
    _, kappa, v = head_arrays(6, n=7)
    rng, slopes, steins = RNG(7), [], []
    root = np.array([[1.0, 0.0, 0.0], [0.5, 0.8, 0.0], [-0.3, 0.2, 0.6]])
    for _ in range(40):
        g = rng.normal(size=(1000, 3)) @ root.T
        q = np.concatenate([g, -g]) + 0.4
        steins.append(real.stein_slope(q, kappa, v))
        slopes.append(np.linalg.lstsq(q - q.mean(0), outputs(q, kappa, v), rcond=None)[0].T)
    gap = np.mean(slopes, axis=0) - np.mean(steins, axis=0)
    error = np.sqrt((np.var(slopes, axis=0) + np.var(steins, axis=0)) / 40)
    assert (np.abs(gap) <= 4 * error).all()
    assert error.max() < 0.02 * np.abs(np.mean(steins, axis=0)).max()


def test_a_sink_takes_its_share_of_the_covariance():
    rng = RNG(8)
    y, w = rng.normal(size=(6, 3)), rng.uniform(size=6)
    w /= w.sum()
    whole, rest = tp.Particles(y, w), tp.Particles(y[1:], w[1:] / w[1:].sum())
    found = real.sink_covariance(w[0], y[0], rest.mean, rest.covariance)
    np.testing.assert_allclose(found, whole.covariance, atol=1e-14)


# --- finitely many tokens ------------------------------------------------------------------------


def test_the_noise_of_tilted_means_at_two_tilts():
    """4000 draws of 2000 tokens of the plane, within four standard errors and 1 % for finite n."""
    rng, n = RNG(9), 2000
    S = np.array([[1.0, 0.3], [0.3, 0.5]])
    a, b = np.array([0.6, 0.2]), np.array([-0.2, 0.7])
    y = rng.normal(size=(4000, n, 2)) @ np.linalg.cholesky(S).T
    means = [np.einsum("sn,snd->sd", softmax(y @ t, axis=1), y) - S @ t for t in (a, b)]
    for one, other, t, u in ((0, 0, a, a), (0, 1, a, b), (1, 1, b, b)):
        products = n * means[one][:, :, None] * means[other][:, None, :]
        gap = products.mean(0) - real.tilted_mean_covariance(S, t, u)
        error = products.std(0) / np.sqrt(len(products))
        assert (np.abs(gap) <= 4 * error + 0.01 * np.abs(products.mean(0)).max()).all()


def test_the_noise_in_one_dimension():
    """The exercise: n = 1000, sigma = 1.2."""
    deviation = np.sqrt(real.tilted_mean_covariance([[1.0]], [1.2])[0, 0] / 1000)
    assert deviation == pytest.approx(np.exp(0.72) * np.sqrt(2.44 / 1000), abs=1e-12)
    assert f"{deviation:.3f}" == "0.101"
    y = RNG(10).normal(size=(20_000, 1000))
    simulated = np.einsum("sn,sn->s", softmax(1.2 * y, axis=1), y).std()
    assert 0.096 <= simulated <= 0.100  # finite n takes a little of it


def test_the_share_of_the_slope():
    q, kappa, v = head_arrays(11)
    C = sum(np.outer(b - v.mean(0), a - kappa.mean(0)) for a, b in zip(kappa, v, strict=True)) / 12
    variances = [np.var(kappa @ one) for one in q]
    slope = np.mean([np.sum((C @ one) ** 2) for one in q])
    rho = slope / (np.mean(variances) * np.var(v, axis=0).sum())
    assert real.slope_share(q, kappa, v) == pytest.approx(rho, abs=1e-12)


@pytest.mark.parametrize("sigma", [0.4, 0.8, 1.1])
def test_the_closed_law_for_normal_tokens(sigma):
    """In the law's own setting: queries of one length, tokens normal, over thirty draws."""
    rng, n, k = RNG(12), 400, 8
    found, rho = [], []
    for _ in range(30):
        kappa = rng.normal(size=(n, k))
        v = kappa @ rng.normal(size=(k, k)) / np.sqrt(k)
        q = rng.normal(size=(n, k))
        q *= sigma / np.linalg.norm(q, axis=1, keepdims=True)
        found.append(real.affine_share(q, outputs(q, kappa, v)))
        rho.append(real.slope_share(q, kappa, v))
    law = real.affine_law(sigma, float(np.mean(rho)), n)
    assert np.mean(found) == pytest.approx(law, abs=0.25 * (1 - law) + 4 * np.std(found) / 30**0.5)


def test_normal_tokens_leave_their_hull_beyond_the_second_spread():
    n, rng = 256, RNG(13)
    _, last = real.freezing_spreads(n)
    kappa = rng.normal(size=(n, 16))
    directions = rng.normal(size=(500, 16))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    shares = [real.impossible_share(s * directions, kappa) for s in (1.0, 0.7 * last, 1.3 * last)]
    assert shares[0] == 0.0
    assert shares[1] < 0.2
    assert shares[2] > 0.95
    weights = softmax(1.3 * last * directions @ kappa.T, axis=1)
    means = (weights @ kappa * directions).sum(axis=1)
    assert (means <= (directions @ kappa.T).max(axis=1) + 1e-12).all()


# --- collapse ------------------------------------------------------------------------------------


def diameter(x):
    return np.linalg.norm(x[:, None] - x[None], axis=-1).max()


def test_two_tokens_reach_the_bound_of_collapse():
    head = tp.Softmax([[1.0]], [[1.0]], [[1.0]])
    for delta in (0.1, 1.0, 3.0):
        tokens = tp.Particles([[-delta / 2], [delta / 2]])
        exact = delta * np.tanh(delta**2 / 4)
        assert diameter(head(tokens)(tokens.points)) == pytest.approx(exact, abs=1e-14)
        assert real.collapse_bound(head, delta) == pytest.approx(exact, abs=1e-14)


def test_the_bound_of_collapse_holds_for_any_tokens():
    rng, tightest = RNG(14), 0.0
    for _ in range(400):
        n, d, k = rng.integers(2, 6), rng.integers(1, 4), rng.integers(1, 3)
        heads = [
            tp.Softmax(*rng.normal(size=(2, k, d)), rng.normal(size=(d, d)))
            for _ in range(rng.integers(1, 3))
        ]
        attention = tp.MultiHead(heads)
        x = rng.uniform(0.3, 1.5) * rng.normal(size=(n, d))
        tokens = tp.Particles(x, rng.dirichlet(np.ones(n)))
        ratio = diameter(attention(tokens)(x)) / real.collapse_bound(attention, diameter(x))
        tightest = max(tightest, ratio)
        assert ratio <= 1 + 1e-12
    assert tightest > 0.8


def test_biases_do_not_count_in_collapse(bert):
    x = bert(tiny.IDS["bert"]).points[0]
    attention = bert.attention(0)
    centre = x.mean(0)
    sizes = []
    for scale in (1e-2, 5e-3):
        near = centre + scale * (x - centre)
        measure = bert.measure(0, near)
        sizes.append(diameter(attention(measure)(measure.points)))
        bound = real.collapse_bound(attention, diameter(near), lifted=True)
        assert sizes[-1] <= bound < real.collapse_bound(attention, diameter(near))
    assert np.log2(sizes[0] / sizes[1]) == pytest.approx(3.0, abs=0.02)


# --- layer norm ----------------------------------------------------------------------------------


def test_layer_norm_maps_to_an_ellipsoid():
    rng, d = RNG(15), 7
    gain, bias = rng.uniform(0.5, 2.0, size=d), rng.normal(size=d)
    out = (Norm(gain, bias)(rng.normal(size=(9, d)), 0.0) - bias) / gain
    np.testing.assert_allclose((out**2).sum(axis=1), d, atol=1e-12)
    np.testing.assert_allclose(out.sum(axis=1), 0.0, atol=1e-12)


def test_near_consensus_attention_is_invisible(bert):
    """Differences of tokens after a real layer against J; other queries change nothing."""
    rng, d = RNG(16), bert.dimension
    c = rng.normal(size=d)
    lifted = sum(bert.head(0, h).value for h in range(bert.heads))
    constant = lifted[:-1, -1] + bert.bias(0)
    J = real.consensus_jacobian(bert.blocks[0].norm1.gain, lifted[:-1, :-1], c, constant)
    delta = 1e-5 * rng.normal(size=(6, d))
    name = "encoder.layer.0.attention.self.query.weight"
    for model in (bert, bert.with_weights({name: rng.normal(size=(d, d))})):
        out = model.layer(0, c + delta, feed_forward=False).out
        gap = (out - out[0]) - (delta - delta[0]) @ J.T
        assert np.abs(gap).max() < 1e-4 * np.abs(out - out[0]).max()


def test_the_example_of_three_gains():
    found = real.gain_axis([3.0, 1.0, 1.0])
    np.testing.assert_allclose(found.axis, np.array([2.0, -1.0, -1.0]) / np.sqrt(6), atol=1e-14)
    np.testing.assert_allclose(found.pole, np.array([6.0, -1.0, -1.0]) / np.sqrt(2), atol=1e-13)
    assert found.rate == pytest.approx(3 / 7, abs=1e-14)
    norm = Norm(np.array([3.0, 1.0, 1.0]), np.zeros(3))
    np.testing.assert_allclose(norm(found.pole[None], 0.0)[0], found.pole, atol=1e-13)
    stays = norm(np.array([[0.0, 1.0, -1.0]]), 0.0)  # no part on the axis
    np.testing.assert_allclose(norm(stays, 0.0), stays, atol=1e-14)


def test_repeated_layer_norm_is_power_iteration():
    rng, d = RNG(17), 6
    gain = rng.uniform(0.5, 2.0, size=d)
    found, norm = real.gain_axis(gain), Norm(gain, np.zeros(d))
    x, gaps = rng.normal(size=(5, d)), []
    for _ in range(60):
        x = norm(x, 0.0)
        signs = np.sign(x @ found.axis)[:, None]
        gaps.append(np.linalg.norm(signs * x - found.pole))
    assert gaps[-1] / gaps[-2] == pytest.approx(found.rate, rel=1e-3)
    values = np.sort(np.linalg.eigvals(gain[:, None] * (np.eye(d) - 1 / d)).real)
    assert found.rate == pytest.approx(values[-2] / values[-1], abs=1e-12)


@pytest.mark.parametrize(
    ("gain", "jumps"), [([-4.0, 2.0, 2.0, 1.0], True), ([4.0, 2.0, 1.0, -0.5], False)]
)
def test_tokens_jump_between_poles_where_the_largest_gain_is_negative(gain, jumps):
    norm, x = Norm(np.array(gain), np.zeros(4)), RNG(18).normal(size=(5, 4))
    for _ in range(100):
        before, x = x, norm(x, 0.0)
    np.testing.assert_allclose(x, -before if jumps else before, atol=1e-10)
