"""Interpolated, separable and factored sums against exact ones: within tolerance, or exact."""

import time
import tracemalloc

import numpy as np
import pytest
from clouds import ball, drawn_clouds, drawn_positions, relative_difference, turned
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import expit
from threadpoolctl import threadpool_info, threadpool_limits

import transpde as tp
from transpde import convergence, kernels
from transpde.kernels import Evaluation, expanded, fast, nodes, pointwise, separable, sinkhorn
from transpde.kernels.blocks import CausalOrder, in_threads, one_blas_thread

SHAPES = ("ball", "clusters", "line", "outlier", "repeated", "point", "corner", "angle", "tail")


def cloud(shape, n, d, radius, seed):
    rng = np.random.default_rng(seed)
    x = ball(rng, n, d, radius)
    match shape:
        case "clusters":
            centres = rng.normal(size=(3, d))
            centres *= 0.9 * radius / np.linalg.norm(centres, axis=1, keepdims=True)
            x = centres[rng.integers(3, size=n)] + 0.03 * x
        case "line":
            x = x[:, :1] * rng.normal(size=d) / np.sqrt(d)
        case "outlier":
            x = 0.1 * x
            x[n // 3] = 10 * radius
        case "repeated":
            x = x[rng.integers(5, size=n)]
        case "corner":  # dense in one corner of its box, thin towards the others
            x = radius * rng.random((n, d)) ** rng.uniform(3, 12)
        case "angle":  # the sides of a box that meet in a corner
            along = rng.integers(d, size=n)
            x = 0.02 * radius * rng.random((n, d))
            x[np.arange(n), along] = radius * rng.random(n)
        case "tail":
            x = np.abs(rng.standard_t(1, size=(n, d)))
            x *= radius / x.max()
        case "point":
            x = np.tile(x[:1], (n, 1))
    return x


def heads(d, seed):
    rng = np.random.default_rng([seed, 1])
    Q, K = rng.normal(size=(2, d, d)) / np.sqrt(d)
    V = turned(d)
    return [
        tp.Softmax(np.eye(d), np.eye(d), np.eye(d)),
        tp.Softmax(Q, K, V),
        tp.L2(Q, K, V),
        tp.Softmax(Q[:1], K[:1], V),
    ]


clouds = drawn_clouds(SHAPES, [200, 1500], (1, 3), 6.0)


@settings(max_examples=60)
@example({"shape": "outlier", "n": 200, "d": 1, "radius": 4.0, "seed": 3}, 1e-10, 1)
@given(clouds, st.sampled_from([1e-4, 1e-7, 1e-10, 1e-12]), st.integers(0, 3))
def test_interpolation_keeps_its_tolerance_or_is_exact(drawn, tol, kind):
    x = cloud(**drawn)
    tokens, head = tp.Particles(x), heads(drawn["d"], drawn["seed"])[kind]
    exact = head(tokens, method="exact")(x)
    for method in ("interpolated", "auto"):
        found = head(tokens, method=method, tol=tol)(x)
        assert relative_difference(found, exact) <= max(tol, 1e-13)


def unnormalised(d, seed):
    """Heads without normalisation, of full and of low rank, with a bias and without."""
    rng = np.random.default_rng([seed, 2])
    Q, K = rng.normal(size=(2, d, d)) / np.sqrt(d)
    V, I = turned(d), np.eye(d)
    tall = rng.normal(size=(2, d + 2, d)) / (d + 2)
    return [
        tp.Unnormalized(I, I, V),
        tp.Unnormalized(Q, K, I),
        tp.Unnormalized(Q[:1], K[:1], V),
        tp.Unnormalized(*tall, V),
        tp.Sigmoid(I, I, V),
        tp.Sigmoid(Q, K, I, bias=-2.5),
        tp.Sigmoid(Q[:1], K[:1], V, bias=1.0),
        tp.Sigmoid(*tall, V, bias=4.0),
    ]


@settings(max_examples=80)
@example({"shape": "line", "n": 200, "d": 3, "radius": 6.0, "seed": 0}, 1e-8, 4, True)
@example({"shape": "point", "n": 200, "d": 2, "radius": 3.0, "seed": 0}, 1e-8, 0, False)
@example({"shape": "point", "n": 200, "d": 2, "radius": 3.0, "seed": 0}, 1e-8, 5, False)
@given(
    clouds,
    st.sampled_from([0.3, 1e-4, 1e-7, 1e-10, 1e-12, 1e-16, 1e-300]),
    st.integers(0, 7),
    st.booleans(),
)
def test_sums_without_normalisation_keep_their_tolerance_or_are_exact(drawn, tol, kind, zeros):
    x, n = cloud(**drawn), drawn["n"]
    weights = np.random.default_rng(drawn["seed"]).random(n) ** 4
    if zeros:
        weights[::3] = 0.0
    tokens = tp.Particles(x, weights / weights.sum())
    head = unnormalised(drawn["d"], drawn["seed"])[kind]
    ways = {}
    with np.errstate(all="ignore"):
        for method in ("exact", "interpolated", "auto"):
            ways[method] = head(tokens, method=method, tol=tol).values(x)
    exact = ways.pop("exact")
    for found in ways.values():
        if np.isfinite(exact).all():
            assert relative_difference(found, exact) <= max(tol, 2e-13)
        else:  # beyond the floats: as exact sums are
            assert np.array_equal(found, exact, equal_nan=True)


def extended(head, x, weights):
    """Sums in extended precision, by the definition."""
    y, w = x.astype(np.longdouble), weights.astype(np.longdouble)
    scores = (y @ head.query.T.astype(np.longdouble)) @ (y @ head.key.T).T
    sigmoid = isinstance(head, tp.Sigmoid)
    P = 1 / (1 + np.exp(-scores - head.bias)) if sigmoid else np.exp(scores)
    return np.asarray((P * w) @ y @ head.value.T, dtype=float)


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("radius", [0.01, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("kind", range(8))
def test_sums_without_normalisation_against_extended_precision(d, radius, kind):
    """To the tolerance of the largest sum, interpolated unless the nodes are too many."""
    n, tol = 700, 1e-9
    x, weights = cloud("ball", n, d, radius, 11), np.arange(1.0, n + 1)
    weights /= weights.sum()
    head, tokens = unnormalised(d, 4)[kind], tp.Particles(x, weights)
    found = head(tokens, method="interpolated", tol=tol)(x)
    size = np.abs(found).max()
    assert np.abs(found - extended(head, x, weights)).max() <= tol * size
    exact = head(tokens, method="exact")(x)
    too_many = d == 3 and radius >= 2 and kind in (4, 5)
    assert np.array_equal(found, exact) == too_many
    assert np.abs(exact - extended(head, x, weights)).max() <= 1e-13 * size


def test_small_unnormalised_sums_keep_digits_of_their_own():
    """The quadratic leaves the relative error of each sum small, not that of the largest alone."""
    x = cloud("ball", 4000, 2, 3.0, 5)
    head, tokens = tp.Unnormalized(*[np.eye(2)] * 3), tp.Particles(x)
    found, exact = (head(tokens, method=m, tol=1e-10)(x) for m in ("interpolated", "exact"))
    sizes = np.linalg.norm(exact, axis=1)
    outer = sizes > 1e-3 * sizes.max()
    apart = np.linalg.norm(found - exact, axis=1) / sizes
    assert sizes.max() / sizes.min() > 1e3
    assert apart[outer].max() <= 1e-10
    assert np.abs(found - exact).max() <= 1e-10 * np.abs(exact).max()


@pytest.mark.parametrize("kind", [tp.Unnormalized, tp.Sigmoid])
@pytest.mark.parametrize(("d", "radius"), [(1, 3.0), (2, 2.0), (3, 1.0)])
def test_fast_sums_without_normalisation_are_used_where_they_should_be(
    kind, d, radius, monkeypatch
):
    """Without a fall-back: exact sums of all targets are forbidden."""
    x, head = cloud("ball", 9000, d, radius, 0), kind(*[np.eye(d)] * 3)
    exact = head(tp.Particles(x), method="exact")(x[:50])
    allowed = kernels.TokenSum.mean

    def few_or_nodes(self, targets, values, order=None):
        assert len(targets) * len(values) <= 9000**2 / 8
        return allowed(self, targets, values, order)

    monkeypatch.setattr(kernels.TokenSum, "mean", few_or_nodes)
    found = head(tp.Particles(x))(x)
    assert relative_difference(found[:50], exact) <= 1e-10


@pytest.mark.parametrize("kind", [tp.Unnormalized, tp.Sigmoid])
def test_without_normalisation_a_check_that_fails_leads_to_exact_sums(kind, monkeypatch):
    x = cloud("ball", 3000, 2, 3.0, 0)
    tokens, head = tp.Particles(x), kind(*[np.eye(2)] * 3)
    exact, few = head(tokens, method="exact")(x), nodes.Nodes((3, 3))
    monkeypatch.setattr(fast, "nodes_needed", lambda *given: few)
    monkeypatch.setattr(fast, "both_sides", lambda *given: pointwise.BothSides(few, few))
    assert np.array_equal(head(tokens, method="interpolated")(x), exact)
    rough = fast.fast_mean(head.token_sum(tokens), x, x, None, Evaluation("interpolated", 3.9))
    assert rough is not None  # the same nodes do for a tolerance that they meet
    assert 1e-8 < relative_difference(rough, exact) < 1


@pytest.mark.parametrize("kind", [tp.Unnormalized, tp.Sigmoid])
@pytest.mark.parametrize("huge", [1e155, 1e200, -1.7e308, np.nan])
def test_one_huge_value_is_summed_exactly_without_normalisation(kind, huge):
    x = cloud("ball", 2100, 2, 2.0, 0)
    x[7, 0] = huge
    tokens, head = tp.Particles.trusted(x, np.full(2100, 1 / 2100)), kind(*[np.eye(2)] * 3)
    with np.errstate(all="ignore"):
        ways = [head(tokens, method=m).values(x) for m in ("exact", "auto", "interpolated")]
    assert np.array_equal(ways[0], ways[1], equal_nan=True)
    assert np.array_equal(ways[0], ways[2], equal_nan=True)


def test_sums_of_any_smooth_function_with_and_without_a_shift():
    """The check decides: an analytic function is interpolated, one with a corner is not."""
    rng = np.random.default_rng(0)
    x, keys, values = rng.uniform(-1, 1, (3000, 2)), rng.uniform(-1, 1, (2500, 2)), None
    values, weights = rng.normal(size=(2500, 3)), rng.random(2500)
    M = np.array([[0.8, 0.3], [-0.2, 1.1]])
    how = Evaluation("interpolated", 1e-10)
    for function, smooth in ((np.tanh, True), (np.cos, True), (np.abs, False)):
        for shift in (None, np.array([0.4, -0.7])):
            sums = kernels.PointwiseSum(M, shift, keys, weights, function)
            scores = (x @ M.T - (0 if shift is None else shift)) @ keys.T
            exact = (function(scores) * weights) @ values
            found = fast.fast_mean(sums, x, values, None, how)
            assert (found is not None) == smooth
            if smooth:
                assert relative_difference(found, exact) <= 1e-10
    tall = kernels.PointwiseSum(np.ones((3, 2)), np.ones(3), np.ones((9, 3)), np.ones(9), np.tanh)
    assert fast.fast_mean(tall, x, np.ones((9, 1)), None, how) is None


@pytest.mark.parametrize("a", [0.3, 1.0, 4.0])
def test_series_of_a_function_are_as_long_as_their_poles_say(a):
    """The poles of the sigmoid at i pi set the length on windows of half-width a."""
    for tol in (1e-6, 1e-10):
        found = pointwise.series_length(expit, -3 * a, 3 * a, a, tol)
        rate = np.log(convergence.bernstein_parameter(np.array([1j * np.pi / a])).min())
        assert np.log(1 / tol) / rate - 4 <= found <= np.log(4 / tol) / rate + 4
    assert pointwise.series_length(lambda s: 2 * s + 1, -1.0, 1.0, 1.0, 1e-10) == 2
    assert pointwise.series_length(np.abs, -1.0, 1.0, 1.0, 1e-10) is None
    assert pointwise.series_length(expit, -1.0, 1.0, 1.0, 1e-300) is None


@settings(max_examples=40)
@given(clouds, st.sampled_from([1e-4, 1e-8, 1e-11]), st.sampled_from(["places", "ties", "mixed"]))
def test_causal_expansion_keeps_its_tolerance_or_is_exact(drawn, tol, places):
    x, n = cloud(**drawn), drawn["n"]
    rng = np.random.default_rng(drawn["seed"])
    positions = drawn_positions(rng, n)[places]
    weights = rng.random(n)
    tokens = tp.Particles(x, weights / weights.sum(), positions)
    for head in heads(drawn["d"], drawn["seed"])[:3]:
        masked = tp.Masked(head)
        exact = masked(tokens, method="exact")(x, positions)
        found = masked(tokens, method="interpolated", tol=tol)(x, positions)
        assert relative_difference(found, exact) <= tol


@pytest.mark.parametrize(("d", "radius"), [(1, 3.0), (2, 3.0), (3, 1.0), (4, 1.0), (5, 0.5)])
def test_fast_sums_are_used_where_they_should_be(d, radius, monkeypatch):
    """Without a fall-back: exact sums of all targets are forbidden."""
    x = cloud("ball", 9000, d, radius, 0)
    exact = heads(d, 0)[0](tp.Particles(x), method="exact")(x[:50])
    allowed = kernels.TokenSum.mean
    monkeypatch.setattr(
        kernels.TokenSum,
        "mean",
        lambda self, x, *rest, **how: allowed(self, x[:500], *rest, **how),
    )
    found = heads(d, 0)[0](tp.Particles(x))(x)
    assert found.shape == x.shape
    assert relative_difference(found[:50], exact) <= 1e-10


def test_a_check_that_fails_leads_to_exact_sums(monkeypatch):
    x = cloud("ball", 3000, 2, 3.0, 0)
    tokens, head = tp.Particles(x), heads(2, 0)[0]
    exact = head(tokens, method="exact")(x)
    few = nodes.Nodes((3, 3))
    monkeypatch.setattr(fast, "nodes_needed", lambda *given: few)
    assert np.array_equal(head(tokens, method="interpolated")(x), exact)
    rough = fast.fast_mean(head.token_sum(tokens), x, x, None, Evaluation("interpolated", 0.4))
    assert rough is not None  # the same nodes do for a tolerance that they meet
    assert 1e-8 < relative_difference(rough, exact) < 1


@pytest.mark.parametrize(("seed", "d"), [(0, 2), (10, 1), (11, 2), (38, 2), (59, 1), (74, 1)])
def test_the_few_targets_of_a_heavy_tail_keep_the_tolerance(seed, d):
    """Between the core and the farthest few are drawn, and there the denominator loses digits."""
    x = np.random.default_rng(seed).standard_t(1, size=(3000, d))
    x *= 12 / np.abs(x).max()
    tokens, head = tp.Particles(x), heads(d, 0)[0]
    exact = head(tokens, method="exact")(x)
    for method in ("interpolated", "auto"):
        assert relative_difference(head(tokens, method=method)(x), exact) <= 1e-9


def test_the_least_shares_behind_a_mask_are_checked(monkeypatch):
    """A wrong mean at the target that the expansion reaches least leads to exact sums."""
    x, n = cloud("ball", 3000, 2, 1.0, 0), 3000
    places = np.arange(n) / n
    tokens, head = tp.Particles(x, positions=places), tp.Masked(heads(2, 0)[0])
    exact = head(tokens, method="exact")(x, places)
    wrong = []

    def spoiled(*given):
        means, shares = expanded.causal_means(*given)
        wrong.append(int(shares.argmin()))
        means[wrong[-1]] += 1.0
        return means, shares

    monkeypatch.setattr(fast, "causal_means", spoiled)
    monkeypatch.setattr(fast, "_checked_rows", lambda t, order: np.array([n // 2]))
    assert np.array_equal(head(tokens, method="interpolated")(x, places), exact)
    assert wrong
    assert wrong[0] != n // 2


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid:RuntimeWarning")
@pytest.mark.parametrize("huge", [1e155, 1e200, -1.7e308])
@pytest.mark.parametrize("masked", [False, True])
def test_one_huge_value_is_summed_exactly(huge, masked):
    x = cloud("ball", 2100, 2, 2.0, 0)
    x[7, 0] = huge
    tokens, head = tp.Particles(x, positions=np.arange(2100.0)), heads(2, 0)[0]
    if masked:
        head = tp.Masked(head)
    fields = [head(tokens, method=method) for method in ("exact", "auto")]
    ways = [field.values(x, tokens.positions) for field in fields]
    assert np.array_equal(*ways, equal_nan=True)


def test_threads_are_told_what_to_do_with_overflow(monkeypatch):
    monkeypatch.setattr("transpde.kernels.blocks._processors", lambda: 3)
    with np.errstate(over="raise"):
        told = in_threads(lambda _: np.geterr()["over"], range(6), 10**9)
    assert told == ["raise"] * 6


def test_callers_at_once_leave_blas_as_it_was():
    """Overlapping in any order: one thread until the last has ended, then as many as before."""

    def counts():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    with threadpool_limits(2, user_api="blas"):
        before = counts()
        first, second = one_blas_thread(), one_blas_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert set(counts()) == {1}
        second.__exit__(None, None, None)
        assert counts() == before


def test_masked_sums_do_not_depend_on_the_threads_of_blas():
    x = cloud("ball", 6000, 2, 3.0, 0)
    places = np.floor(50 * np.random.default_rng(0).random(6000))
    tokens, head = tp.Particles(x, positions=places), tp.Masked(heads(2, 0)[0])
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            found.append(head(tokens)(x, places))
    assert np.array_equal(*found)


def test_off_the_tokens_the_field_is_as_exact():
    x = cloud("ball", 4000, 2, 2.0, 3)
    tokens, head = tp.Particles(x), heads(2, 3)[1]
    targets = cloud("ball", 3000, 2, 2.5, 4)
    exact = head(tokens, method="exact")(targets)
    found = head(tokens, method="interpolated", tol=1e-11)(targets)
    assert relative_difference(found, exact) <= 1e-10


@pytest.mark.parametrize("method", ["auto", "exact"])
def test_exact_sums_do_not_depend_on_threads(method, monkeypatch):
    x = cloud("ball", 6000, 2, 3.0, 0)
    tokens, head = tp.Particles(x), heads(2, 0)[0]
    found = []
    for processors in (1, 3):
        monkeypatch.setattr("transpde.kernels.blocks._processors", lambda p=processors: p)
        found.append(head(tokens, method=method)(x))
    assert np.array_equal(*found)


def test_threads_return_results_in_order():
    assert in_threads(lambda k: k * k, range(50), 10**9) == [k * k for k in range(50)]


@pytest.mark.parametrize("bad", [0, 7, 49])
def test_an_error_in_a_thread_is_the_callers(bad, monkeypatch):
    monkeypatch.setattr("transpde.kernels.blocks._processors", lambda: 3)
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda k: 1 / (k - bad), range(50), 10**9)
    assert in_threads(lambda k: in_threads(abs, [-k, k], 10**9), range(9), 10**9) == [
        [k, k] for k in range(9)
    ]


def test_an_error_in_a_thread_stops_the_others(monkeypatch):
    monkeypatch.setattr("transpde.kernels.blocks._processors", lambda: 2)
    begun = []

    def task(k):
        begun.append(k)
        if k == 0:
            raise KeyboardInterrupt
        time.sleep(0.01)

    with pytest.raises(KeyboardInterrupt):
        in_threads(task, range(1000), 10**9)
    assert len(begun) < 500


def test_no_sum_is_lost_where_many_are_made():
    """A weight of 1e-290, an exponential of 1e286 and a value of 2^-199; sizes of 2^198."""
    s = 2.0**-199
    y, w = np.zeros((300, 1)), np.ones(300)
    y[-1], w[-1] = s, 1e-290
    head = tp.Unnormalized([[1.0]], [[1 / s]], [[1.0]])
    field = head(tp.Particles(y, w / w.sum()), method="exact")
    x = np.linspace(600, 690, 300)[:, None]
    np.testing.assert_allclose(field(x)[-1], field(x[-1]), rtol=1e-12)
    assert field(x)[-1] > 1e-54

    y = np.ones((300, 2))
    y[:, 1] = 2.0**198 * np.where(np.arange(300) % 2, 1, -1)
    head = tp.Unnormalized([[1.0, 0.0]], [[1.0, 0.0]], np.eye(2))
    x = np.column_stack([np.linspace(600, 650, 300), np.zeros(300)])
    found = head(tp.Particles(y), method="exact")(x)
    np.testing.assert_allclose(found[:, 0], np.exp(x[:, 0]), rtol=1e-12)


@pytest.mark.parametrize("method", ["exact", "interpolated", "auto"])
@pytest.mark.parametrize("kind", [tp.Softmax, tp.L2, tp.Unnormalized, tp.Sigmoid, tp.Sinkhorn])
def test_no_target_has_no_velocity(kind, method):
    tokens = tp.Particles(cloud("ball", 600, 2, 1.0, 0))
    field = kind(np.eye(2), np.eye(2), np.eye(2))(tokens, method=method)
    assert field(np.empty((0, 2))).shape == (0, 2)


def test_seen_counts_tokens_at_or_before():
    seen = CausalOrder.at_or_before(np.array([0.5, 0.0, 2.0]), np.array([1.0, 0.0, 0.5, 0.0]))
    assert seen.counts.tolist() == [2, 3, 4]
    assert seen.targets.tolist() == [1, 0, 2]
    assert seen.tokens.tolist() == [1, 3, 2, 0]


# --- the expansion -------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("tol", [1e-4, 1e-6, 1e-10])
def test_expansion_of_the_gaussian_keeps_its_tolerance(d, tol):
    rng = np.random.default_rng(d)
    radii = np.array([1.5, 0.7, 0.0, 0.9, 0.3])[:d]
    t, y = (rng.uniform(-1, 1, (200, d)) * radii for _ in range(2))
    gaussian = np.exp(-((t[:, None] - y) ** 2).sum(axis=-1) / 2)
    terms = separable.expansion(radii, tol, most=10_000)
    product = terms.at(t).T @ terms.at(y)
    assert np.abs(product - gaussian).max() <= 3 * tol
    finer = separable.expansion(radii, tol * 1e-3, most=100_000)
    assert len(finer) > len(terms)
    pairs = separable.halves(radii, tol)
    assert len(pairs) >= len(terms)  # steps hold some more
    sums = pairs.empty(len(y))
    pairs.add(sums, pairs.functions.along(y), np.eye(len(y)))
    assert np.abs(pairs.read(sums, pairs.functions.along(t)).T - gaussian).max() <= 3 * tol


def test_expansion_refuses_what_is_too_large():
    assert separable.expansion(np.array([20.0]), 1e-10) is None
    assert separable.halves(np.full(separable.MOST_AXES + 1, 0.1), 1e-10) is None
    assert separable.expansion(np.array([3.0, 3.0, 3.0]), 1e-10, most=100) is None


# --- Sinkhorn without a matrix -------------------------------------------------------------------


def exact_marginals(head, x):
    """Row and column sums of the plan of Sinkhorn attention, from its potential."""
    tokens = tp.Particles(x)
    sums = head.token_sum(tokens, Evaluation())
    scores = sums.scores(x) + sums.bias
    kappa = np.exp(scores - scores.max(axis=1, keepdims=True))
    kappa /= kappa.sum(axis=1, keepdims=True)
    return kappa.sum(axis=0)


@pytest.mark.parametrize(
    ("d", "radius", "factored"), [(2, 2.0, True), (2, 5.0, True), (4, 2.0, False)]
)
def test_sinkhorn_of_many_tokens_has_both_marginals(d, radius, factored, monkeypatch):
    x = cloud("ball", 2500, d, radius, 1)
    head = tp.Sinkhorn(*heads(d, 5)[1].query[None], heads(d, 5)[1].key, np.eye(d))
    used = []
    original = sinkhorn._factored
    monkeypatch.setattr(
        sinkhorn, "_factored", lambda *given: used.append(original(*given)) or used[-1]
    )
    assert np.abs(exact_marginals(head, x) - 1).max() <= 1e-10
    assert bool(used and used[0] is not None) == factored


def test_factored_tiled_and_dense_potentials_agree(monkeypatch):
    x = cloud("clusters", 2300, 2, 3.0, 2)
    tokens = tp.Particles(x)
    head = tp.Sinkhorn(np.eye(2), 0.8 * np.eye(2), np.eye(2), epsilon=0.7)
    found = [head(tokens)(x), head(tokens, method="exact")(x)]
    monkeypatch.setattr(sinkhorn, "DENSE", 5000)
    found.append(head(tokens, method="exact")(x))
    assert relative_difference(found[0], found[2]) <= 1e-9
    assert relative_difference(found[1], found[2]) <= 1e-10


def test_many_tokens_and_no_convergence_say_so(monkeypatch):
    monkeypatch.setattr(sinkhorn, "SCALING_STEPS", 2)
    x = cloud("ball", 2100, 2, 3.0, 0)
    head = tp.Sinkhorn(np.eye(2), np.eye(2), np.eye(2))
    with pytest.raises(RuntimeError, match=r"Sinkhorn: no convergence; the marginal error is \d"):
        head(tp.Particles(x))


# --- memory, flows, input ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["softmax", "masked", "sinkhorn", "exact"])
def test_memory_grows_linearly(kind):
    """Twice the tokens take at most 2.6 times the memory, far below a matrix of scores."""
    peaks = []
    for n in (6000, 12000):
        x = cloud("ball", n, 2, 1.0, 0)
        tokens = tp.Particles(x, positions=np.arange(n) / n)
        head = heads(2, 0)[0]
        if kind == "masked":
            head = tp.Masked(head)
        if kind == "sinkhorn":
            head = tp.Sinkhorn(head.query, head.key, head.value)
        tracemalloc.start()
        field = head(tokens, method="exact" if kind == "exact" else "auto")
        field(x, tokens.positions)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] <= 2.6 * peaks[0] + 4e6
    assert peaks[1] < 12000**2 * 8 / 8


def test_flow_does_not_depend_on_the_kernel():
    tokens = tp.Particles(cloud("ball", 2100, 1, 2.0, 7))
    attention = tp.Softmax([[1.0]], [[1.0]], [[-1.0]])
    ends = [
        tp.flow(tokens, attention, 0.3, rtol=1e-7, atol=1e-9, kernel=kernel).final.points
        for kernel in ("exact", "auto")
    ]
    assert 0 < relative_difference(ends[1], ends[0]) <= 1e-7


def test_a_flow_asks_for_a_tenth_of_its_tolerance(monkeypatch):
    asked = []
    original = tp.Softmax._token_field
    monkeypatch.setattr(
        tp.Softmax,
        "_token_field",
        lambda self, m, how: asked.append(how) or original(self, m, how),
    )
    head = tp.Softmax([[1.0]], [[1.0]], [[1.0]])
    tp.flow(tp.Particles([[1.0], [2.0]]), head, 0.1, rtol=1e-5, kernel="interpolated")
    assert {how.method for how in asked[1:]} == {"interpolated"}
    assert [how.tol for how in asked[1:]] == pytest.approx([1e-6] * (len(asked) - 1))


def test_layers_are_exact_unless_told_otherwise():
    x = cloud("ball", 2100, 2, 2.0, 8)
    tokens, head = tp.Particles(x), heads(2, 0)[0]
    exact = tp.layers(tokens, head, 1, 0.1).final.points
    assert np.array_equal(exact, x + 0.1 * head(tokens, method="exact")(x))
    fast_ones = tp.layers(tokens, head, 1, 0.1, kernel="auto").final.points
    assert 0 < np.abs(fast_ones - exact).max() <= 1e-10


def test_bad_methods_and_tolerances():
    tokens, head = tp.Particles([[1.0]]), tp.Softmax([[1.0]], [[1.0]], [[1.0]])
    with pytest.raises(ValueError, match="method: must be one of auto, exact, interpolated; got"):
        head(tokens, method="fast")
    with pytest.raises(ValueError, match=r"tol: must be .*positive"):
        head(tokens, tol=0.0)
    with pytest.raises(ValueError, match="kernel: must be one of auto, exact, interpolated; got"):
        tp.flow(tokens, head, 1.0, kernel="dense")
    with pytest.raises(ValueError, match="kernel: must be one of"):
        tp.layers(tokens, head, 1, 1.0, kernel=None)
