"""Well-posedness: supports, the pairs that reach the table, Picard's iterates, Sinkhorn pairs."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.special import exp1, gammaln

import transpde as tp
from transpde import theory

EYE = np.eye(2)
HEADS = {"softmax": tp.Softmax, "l2": tp.L2, "sigmoid": tp.Sigmoid}


def norm(matrix):
    return np.linalg.norm(matrix, 2)


def sized(seed, radius, size=1.0):
    """Query, key and value of one norm, and tokens whose farthest has the given norm."""
    rng = np.random.default_rng(seed)
    matrices = [size * M / norm(M) for M in rng.normal(size=(3, 2, 2))]
    x = rng.normal(size=(7, 2))
    x *= radius / np.linalg.norm(x, axis=1).max()
    return matrices, tp.Particles(x, rng.dirichlet(np.ones(7)))


# --- supports ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [tp.Linear, tp.Unnormalized])
def test_the_guaranteed_time_is_the_life_of_one_token_and_less_than_that_of_any_cloud(kind):
    for seed, radius in enumerate((0.5, 1.0, 1.7)):
        (Q, K, V), cloud = sized(seed, radius, 1.3)
        a, v = norm(K.T @ Q), norm(V)
        life = {
            tp.Linear: 1 / (2 * v * a * radius**2),
            tp.Unnormalized: exp1(a * radius**2) / (2 * v),
        }[kind]
        worst = kind(np.sqrt(a) * EYE, np.sqrt(a) * EYE, v * EYE)
        one = tp.flow(tp.Particles([[radius, 0.0]]), worst, 2 * life)
        assert one.blowup_time == pytest.approx(life, rel=1e-7)
        assert tp.flow(cloud, kind(Q, K, V), 0.99 * life).stop == "time"


def test_radius_of_linear_attention_holds_up_to_its_end():
    for seed in range(6):
        (Q, K, V), cloud = sized(seed, 1.1)
        life = 1 / (2 * norm(V) * norm(K.T @ Q) * 1.1**2)
        path = tp.flow(cloud, tp.Linear(Q, K, V), life * np.linspace(0, 0.95, 8), rtol=1e-9)
        far = np.linalg.norm(path.points, axis=2).max(axis=1)
        assert (far <= 1.1 / np.sqrt(1 - np.linspace(0, 0.95, 8)) * (1 + 1e-8)).all()


# --- the table -----------------------------------------------------------------------------------


def scalar(kind, alpha, **options):
    return kind([[np.sqrt(alpha)]], [[np.sqrt(alpha)]], [[1.0]], **options)


@pytest.mark.parametrize("alpha", [0.01, 0.5, 2.0, 5.0])
def test_the_constant_of_softmax_in_the_measure_is_the_best(alpha):
    """A small mass at one end of the ball, all other mass at the other end."""
    head = scalar(tp.Softmax, alpha)
    for small in (1e-2, 1e-3):
        epsilon = 0.1 * small * np.exp(-2 * alpha)
        clouds = [tp.Particles([[-1.0], [y]], [1 - epsilon, epsilon]) for y in (1.0, 1.0 - small)]
        slope = np.ptp([head(mu)([[1.0]]) for mu in clouds]) / (epsilon * small)
        share = slope / theory.lipschitz_bounds(head, 1.0).in_measure
        assert 1 - (1 + 2 * alpha) * small < share <= 1


@pytest.mark.parametrize("kind", ["softmax", "l2", "sinkhorn", "sigmoid", "linear"])
@pytest.mark.parametrize("alpha", [0.1, 1.0, 6.0])
def test_the_constants_in_space_are_reached_between_two_tokens(kind, alpha):
    kinds = HEADS | {"sinkhorn": tp.Sinkhorn, "linear": tp.Linear}
    head = scalar(kinds[kind], alpha)
    field = head(tp.Particles([[1.0], [-1.0]]))
    share = np.ptp(field([[0.0], [1e-5]])) / 1e-5 / theory.lipschitz_bounds(head, 1.0).in_space
    assert share == pytest.approx(1, abs=1e-5)


def test_the_search_finds_the_worst_pairs_and_passes_no_bound():
    for kind in (tp.Softmax, tp.Linear, tp.Unnormalized):
        head = scalar(kind, 0.75)
        share = theory.steepest_pair(head, 1.0) / theory.lipschitz_bounds(head, 1.0).in_measure
        assert 0.99 < share <= 1
    (Q, K, V), _ = sized(3, 1.0)
    for kind in (tp.L2, tp.Sigmoid, tp.Softmax):
        head = kind(Q, K, V)
        found = [theory.steepest_pair(head, 1.4, seed=s, steps=60) for s in (0, 1)]
        assert max(found) <= theory.lipschitz_bounds(head, 1.4).in_measure
        assert found == [theory.steepest_pair(head, 1.4, seed=s, steps=60) for s in (0, 1)]


# --- Picard --------------------------------------------------------------------------------------


def apart(curves):
    clouds = [[tp.Particles(c) for c in curve] for curve in curves]
    return np.array([
        max(tp.wasserstein(p, q, 1) for p, q in zip(a, b, strict=True))
        for a, b in pairwise(clouds)
    ])  # fmt: skip


@pytest.mark.parametrize("kind", HEADS)
def test_distances_of_iterates_are_below_the_bound(kind):
    for seed in range(5):
        parameters, cloud = sized(seed, 0.4)
        head, equal = HEADS[kind](*parameters), tp.Particles(cloud.points)
        curves = theory.picard_iterates(equal, head, 1.0, steps=24, count=9)
        distances = apart(curves[:, ::4])
        bound = distances[0] * theory.picard_bound(head, 0.4, 1.0, 9)
        assert (distances <= bound * (1 + 1e-3)).all()  # Heun's rule is not exact
        assert distances[8] < 1e-4 * distances[0]


def test_one_token_has_the_partial_sums_of_the_exponential():
    """Softmax of one token: the iterates are Taylor's polynomials, up to Heun's rule."""
    head = tp.Softmax([[1.0]], [[1.0]], [[1.0]])
    curves = theory.picard_iterates(tp.Particles([[1.0]]), head, 1.0, steps=200, count=7)
    exact = np.cumsum(1 / np.exp(gammaln(np.arange(8) + 1)))
    np.testing.assert_allclose(curves[:, -1, 0, 0], exact, atol=1e-5)


@pytest.mark.parametrize("kind", ["softmax", "sinkhorn"])
def test_the_limit_is_the_flow_at_order_two(kind):
    parameters, cloud = sized(1, 1.0)
    head = (HEADS | {"sinkhorn": tp.Sinkhorn})[kind](*parameters)
    end = tp.flow(cloud, head, 1.5, rtol=1e-10).final.points
    errors = [
        np.abs(theory.picard_iterates(cloud, head, 1.5, steps=n, count=16)[-1, -1] - end).max()
        for n in (10, 20)
    ]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.2)
    assert errors[1] < 2e-3


def test_bound_of_iterates_where_it_is_known_and_none_elsewhere():
    mean = tp.Softmax(np.zeros((2, 2)), EYE, 0.5 * EYE)  # L_x = 0, L_mu = 1/2
    k = np.arange(6)
    exact = k * np.log(1.5) - gammaln(k + 1)
    logs = theory.picard_bound(mean, 2.0, 3.0, 6, log=True)
    np.testing.assert_allclose(logs, exact, atol=1e-12)
    np.testing.assert_allclose(theory.picard_bound(mean, 2.0, 3.0, 6), np.exp(exact), rtol=1e-12)
    still = tp.Softmax(EYE, EYE, np.zeros((2, 2)))
    np.testing.assert_array_equal(theory.picard_bound(still, 2.0, 3.0, 3), [1, 0, 0])
    sigmoid = tp.Sigmoid(EYE, EYE, EYE)  # E + Lambda is the exponent of stability
    both = theory.picard_bound(sigmoid, 0.7, 1.2, 2, log=True)
    exponent = both[0] + np.exp(both[1] - both[0])
    assert exponent == pytest.approx(theory.stability_bound(sigmoid, 0.7, 1.2, log=True), rel=1e-7)
    for head in (tp.Sinkhorn(EYE, EYE, EYE), tp.Linear(EYE, EYE, EYE)):
        assert theory.picard_bound(head, 1.0, 1.0, 3) is None
    huge = theory.picard_bound(tp.Softmax(EYE, EYE, EYE), 30.0, 2.0, 3)
    assert np.isinf(huge).all()


# --- Sinkhorn ------------------------------------------------------------------------------------


def test_sinkhorn_is_lipschitz_along_couplings():
    nearest = 0.0
    for seed in range(120):
        (Q, K, V), cloud = sized(seed, 1.0, np.resize([0.1, 0.5, 1.0], 120)[seed])
        rng = np.random.default_rng([seed, 1])
        y = cloud.points + rng.choice([0.01, 1.0]) * rng.normal(size=(7, 2))
        y /= max(1, np.linalg.norm(y, axis=1).max())
        head = tp.Sinkhorn(Q, K, V, epsilon=0.7)
        pair = [head(tp.Particles(p, cloud.weights))(p) for p in (cloud.points, y)]
        gap, distance = (
            np.sqrt(cloud.weights @ ((a - b) ** 2).sum(axis=1))
            for a, b in (pair, (cloud.points, y))
        )
        share = gap / distance / (norm(V) * (1 + 2 * norm(K.T @ Q) / 0.7))
        assert share <= 1
        nearest = max(nearest, share)
    assert nearest > 0.7


# --- input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda h: theory.picard_iterates([[1.0]], h, 1.0), TypeError, "measure: must be"),
        (lambda h: theory.picard_iterates(tp.Particles([[1.0]]), h, 0), ValueError, "time"),
        (
            lambda h: theory.picard_iterates(tp.Particles([[1.0]]), h, 1, steps=0),
            ValueError,
            "steps",
        ),
        (lambda h: theory.picard_bound(h, -1.0, 1.0, 3), ValueError, "radius"),
        (lambda h: theory.picard_bound(h, 1.0, 1.0, 0), ValueError, "count"),
        (lambda h: theory.steepest_pair(h, 0.0), ValueError, "radius"),
        (lambda h: theory.steepest_pair(h, 1.0, steps=0), ValueError, "steps"),
    ],
)
def test_bad_input_is_told(call, error, message):
    with pytest.raises(error, match=message):
        call(tp.Softmax([[1.0]], [[1.0]], [[1.0]]))


def test_the_sum_of_entries_bounds_several_heads_without_being_reached():
    """Softmax and unnormalised attention on the line: their worst measures are not the same."""
    one, h = np.eye(1), 1e-5
    heads = tp.MultiHead([tp.Softmax(one, one, one), tp.Unnormalized(one, one, one)])
    rng, shares = np.random.default_rng(0), []
    clouds = [tp.Particles(rng.uniform(-1, 1, (3, 1)), rng.dirichlet(np.full(3, 0.3)))
              for _ in range(400)]  # fmt: skip
    for mu in [tp.Particles([[1.0]]), tp.Particles([[1.0], [-1.0]]), *clouds]:
        for x in (0.0, 0.5, 1.0 - h):
            shares.append(np.ptp(heads(mu)(np.array([[x], [x + h]]))) / h)
    assert shares[2] == max(shares) == pytest.approx(np.e, rel=1e-4)
    assert theory.lipschitz_bounds(heads, 1.0).in_space == pytest.approx(1 + np.e)


def test_picard_iterates_refuse_a_sphere_that_they_would_leave():
    one, space = np.eye(2), tp.Sphere()
    measure = tp.Particles([[1.0, 0.0], [0.6, 0.8]], space=space)
    with pytest.raises(
        ValueError, match=r"measure: must be tokens in Euclidean space; got .*Sphere"
    ):
        theory.picard_iterates(measure, tp.Softmax(one, one, one), 1.0)


def test_picard_iterates_behind_a_mask_tend_to_the_flow():
    one = np.eye(2)
    tokens = tp.Particles([[1.0, 0.0], [0.6, 0.8], [-0.5, 0.3]], positions=[0.0, 1.0, 2.0])
    masked = tp.Masked(tp.Softmax(one, one, -one))
    last = theory.picard_iterates(tokens, masked, 0.5, steps=200, count=12)[-1, -1]
    np.testing.assert_allclose(last, tp.flow(tokens, masked, 0.5).final.points, atol=1e-6)
