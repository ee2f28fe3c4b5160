"""Laws of the attentions, over the table of all of them, and the answers to bad input."""

import pickle
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from problems import head_parameters, orthogonal, reference_velocity
from table import GAUSSIAN, HEADS, ROWS

import transpde as tp
from transpde import energy, theory
from transpde.kernels import EXACT, sums

every_row = pytest.mark.parametrize("name", ROWS)
every_gaussian_row = pytest.mark.parametrize("name", GAUSSIAN)
every_head = pytest.mark.parametrize("head", HEADS)


def cloud(rng, n=7, d=3, masked=False):
    """Tokens of unequal weight; with a mask, at positions with a tie."""
    weights = rng.random(n)
    positions = np.append(0.0, rng.integers(1, 4, n - 1)) if masked else None
    return tp.Particles(rng.normal(size=(n, d)), weights / weights.sum(), positions)


def moved(tokens, points=None, order=slice(None), repeat=1):
    """The tokens at other points, in another order, or each split in equal parts."""
    points = tokens.points if points is None else points
    s = tokens.positions
    return tp.Particles(
        np.repeat(points[order], repeat, axis=0),
        np.repeat(tokens.weights[order] / repeat, repeat),
        None if s is None else np.repeat(s[order], repeat),
    )


def velocities(attention, tokens):
    return tokens.velocities(attention(tokens))


# --- laws over the table -----------------------------------------------------------------------


@every_row
def test_permutation_equivariance(name):
    rng = np.random.default_rng(1)
    row, order = ROWS[name], rng.permutation(7)
    tokens = cloud(rng, masked=row.masked)
    attention = row.make(*head_parameters(rng, 3))
    v = velocities(attention, tokens)
    assert np.abs(velocities(attention, moved(tokens, order=order)) - v[order]).max() <= 1e-11


@every_row
def test_splitting_a_token_changes_nothing(name):
    rng = np.random.default_rng(2)
    row = ROWS[name]
    tokens = cloud(rng, masked=row.masked)
    attention = row.make(*head_parameters(rng, 3))
    v = velocities(attention, tokens)
    halves = velocities(attention, moved(tokens, repeat=2))
    assert np.abs(halves[::2] - v).max() <= 1e-11
    assert np.abs(halves[1::2] - v).max() <= 1e-11


@pytest.mark.parametrize("name", [name for name in ROWS if name != "with feed-forward"])
def test_orthogonal_change_of_basis(name):
    rng = np.random.default_rng(3)
    row, R = ROWS[name], orthogonal(rng, 3)
    Q, K, V = head_parameters(rng, 3)
    tokens = cloud(rng, masked=row.masked)
    v = velocities(row.make(Q, K, V), tokens)
    turned = row.make(Q @ R.T, K @ R.T, R @ V @ R.T)
    w = velocities(turned, moved(tokens, tokens.points @ R.T))
    assert np.abs(w - v @ R.T).max() <= 1e-11


@contextmanager
def tiles(wanted):
    """Sums of any size tile by tile, as those of many tokens are."""
    with pytest.MonkeyPatch.context() as patch:
        if wanted:
            patch.setattr(sums, "SMALL", 0)
        yield


@every_row
@settings(max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 1.0, 30.0, 1e3, 1e150]), st.booleans())
def test_tokens_of_mass_zero_contribute_nothing(name, seed, far, tiled):
    rng, row = np.random.default_rng(seed), ROWS[name]
    tokens = cloud(rng, masked=row.masked)
    attention = row.make(*head_parameters(rng, 3))
    s, place = tokens.positions, np.array([-1.0, 0.0, 2.5])
    more = tp.Particles(
        np.vstack([far * rng.normal(size=(3, 3)), tokens.points]),
        np.append(np.zeros(3), tokens.weights),
        None if s is None else np.append(place, s),
    )
    with tiles(tiled):
        exact = attention(tokens)(tokens.points, s)
        for method in ("exact", "interpolated"):
            found = attention(more, method=method)(tokens.points, s)
            assert np.abs(found - exact).max() <= 1e-9 * np.abs(exact).max()
            if method == "exact":
                assert np.abs(found - exact).max() <= 1e-12 * np.abs(exact).max()
    if row.masked:  # nothing stands before the first of them
        more = moved(more, order=slice(1, None))
    P = attention.matrix(more)[..., -7:, :]
    assert (P[..., :-7] == 0).all()
    assert np.abs(P[..., -7:] - attention.matrix(tokens)).max() <= 1e-12 * np.abs(P).max()


@pytest.mark.parametrize("far", [1.0, 30.0, 1e3])
def test_energies_do_not_see_mass_zero(far):
    rng, A = np.random.default_rng(6), np.array([[0.5, 0.2], [0.2, -0.3]])
    tokens = cloud(rng, d=2)
    points = np.vstack([tokens.points, [far, -far]])
    more = tp.Particles(points, np.append(tokens.weights, 0.0))
    for of in (
        lambda m: energy.interaction_energy(m, A),
        lambda m: energy.interaction_dissipation(m, A),
        lambda m: energy.interaction_dissipation(m, A, normalised=False),
        lambda m: energy.sinkhorn_energy(m, A),
        lambda m: energy.sinkhorn_dissipation(m, A),
    ):
        assert of(more) == pytest.approx(of(tokens), rel=1e-12)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if not row.masked])
@pytest.mark.parametrize("d", [1, 2])
def test_empty_far_cells_of_a_grid_contribute_nothing(name, d):
    rng = np.random.default_rng(d)
    attention = ROWS[name].make(*head_parameters(rng, d))
    inner = np.linspace(-1.0, 1.5, 6)
    wide = np.concatenate([[-900.0, -30.0], inner, [40.0, 1000.0]])
    density = rng.random((5,) * d)
    density /= (density * 0.5**d).sum()
    x = rng.normal(size=(9, d))
    grids = tp.Grid([inner] * d, density), tp.Grid([wide] * d, np.pad(density, 2))
    exact, found = (attention(grid)(x) for grid in grids)
    assert np.abs(found - exact).max() <= 1e-12 * np.abs(exact).max()


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.scaled])
@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(-460, 460), st.booleans())
def test_units_come_out_of_the_field(name, seed, power, tiled):
    """Tokens in other units, query and key in the inverse ones: the same field, to the bit."""
    rng, row, c = np.random.default_rng(seed), ROWS[name], np.ldexp(1.0, power)
    Q, K, V = head_parameters(rng, 3)
    tokens = cloud(rng, masked=row.masked)
    with tiles(tiled):
        v = velocities(row.make(Q, K, V), tokens)
        w = velocities(row.make(Q / c, K / c, V), moved(tokens, c * tokens.points))
    assert np.array_equal(w, c * v) or np.abs(w / c - v).max() <= 1e-9 * (name == "sinkhorn")


@settings(max_examples=60)
@given(st.integers(0, 10**6), *[st.integers(-500, 500)] * 4)
def test_the_moment_of_linear_attention_is_never_out_of_range(seed, q, k, v, size):
    """Tokens, query, key and value in any units: powers of two come out, to the bit."""
    rng, total = np.random.default_rng(seed), q + k + v + 2 * size
    assume(abs(total) < 900)
    Q, K, V = head_parameters(rng, 3)
    head = tp.Linear(np.ldexp(Q, q), np.ldexp(K, k), np.ldexp(V, v))
    tokens, x = cloud(rng), rng.normal(size=(4, 3))
    small = tp.Gaussian(mean=rng.normal(size=3), factor=rng.normal(size=(3, 2)))
    large = tp.Gaussian(mean=np.ldexp(small.mean, size), factor=np.ldexp(small.factor, size))
    for one, other in ((tokens, moved(tokens, np.ldexp(tokens.points, size))), (small, large)):
        exact = np.ldexp(tp.Linear(Q, K, V)(one)(x), total)
        assert np.array_equal(head(other)(x), exact)


@pytest.mark.parametrize("scale", [1e-140, 1e-150, 1e150])
def test_a_small_weight_times_a_small_value_is_not_lost(scale):
    """Two hundred tokens of eight dimensions, whose scores stand far below their bound."""
    rng = np.random.default_rng(8)
    x, M = rng.normal(size=(200, 8)), 4 * np.eye(8)
    exact = tp.Softmax(M, M, np.eye(8))(tp.Particles(x))(x)
    head = tp.Softmax(M / scale, M / scale, np.eye(8))
    found = head(tp.Particles(scale * x))(scale * x) / scale
    assert np.abs(found - exact).max() <= 1e-10 * np.abs(exact).max()
    P = head.matrix(tp.Particles(scale * x))
    assert np.abs(found - P @ x).max() <= 1e-10


@every_row
@pytest.mark.parametrize("kind", ["tokens", "mass zero", "tiny", "far", "one point", "stack"])
def test_numpy_told_to_raise_changes_nothing(name, kind):
    """What underflows on the way is rounding: no setting of a reader's stops a computation."""
    rng, row = np.random.default_rng(9), ROWS[name]
    attention = row.make(*head_parameters(rng, 3, size=0.7))
    measure = cloud(rng, masked=row.masked)
    drifts = name == "with feed-forward"  # from a size of nothing: no flow has steps for that
    far, tiny = 20.0 if row.stochastic else 2.0, 1e-3 if drifts else 1e-160
    scale = {"tiny": tiny, "far": far, "one point": 0.0}.get(kind, 1.0)
    measure = moved(measure, scale * measure.points)
    if kind == "mass zero":
        weights = np.append(measure.weights[:3] / measure.weights[:3].sum(), np.zeros(4))
        measure = tp.Particles(measure.points, weights, measure.positions)
    if kind == "stack":
        measure = tp.Particles(rng.normal(size=(2, 7, 3)), positions=measure.positions)
    distance = tp.conditional_wasserstein if row.masked else tp.wasserstein

    def all_of_it():
        field, s = attention(measure), measure.positions
        yield field(measure.points, s)
        yield attention.matrix(measure)
        layered = tp.layers(measure, attention, 2, 1e-3)
        path = tp.flow(measure, attention, 1e-3)
        yield layered.final.points
        yield path.final.points
        yield path(5e-4).points
        yield path.carry(measure.points[..., :2, :], None if s is None else s[..., :2])
        yield distance(measure, layered.final)

    calm = list(all_of_it())
    with np.errstate(all="raise"):
        strict = list(all_of_it())
    assert all(np.array_equal(a, b) for a, b in zip(calm, strict, strict=True))
    assert all(np.isfinite(a).all() for a in calm)


@every_gaussian_row
def test_numpy_told_to_raise_changes_nothing_for_a_gaussian(name):
    attention = ROWS[name].make(*head_parameters(np.random.default_rng(10), 3, size=0.7))
    start = tp.Gaussian(mean=[1.0, 0.0, 1e-200], factor=np.diag([1.0, 1e-9, 1e-200]))

    def all_of_it():
        layered, path = tp.layers(start, attention, 2, 1e-3), tp.flow(start, attention, 1e-3)
        yield from (layered.final.pack(), path.final.pack(), attention(start)([1.0, 2.0, 3.0]))
        yield tp.wasserstein(start, path.final)

    calm = list(all_of_it())
    with np.errstate(all="raise"):
        strict = list(all_of_it())
    assert all(np.array_equal(a, b) for a, b in zip(calm, strict, strict=True))


@every_row
def test_one_head_is_a_multi_head_of_one_and_heads_add(name):
    rng = np.random.default_rng(4)
    row = ROWS[name]
    tokens = cloud(rng, masked=row.masked)
    one, two = (row.make(*head_parameters(rng, 3)) for _ in range(2))
    v = velocities(one, tokens)
    assert np.abs(velocities(tp.MultiHead([one]), tokens) - v).max() <= 1e-11
    both = velocities(tp.MultiHead([one, two]), tokens)
    assert np.abs(both - v - velocities(two, tokens)).max() <= 1e-11
    if row.gaussian:
        gaussian = tp.Gaussian(rng.normal(size=3), factor=rng.normal(size=(3, 2)))
        x = tokens.points
        fields = [attention(gaussian)(x) for attention in (one, two, tp.MultiHead([one, two]))]
        assert np.abs(fields[0] + fields[1] - fields[2]).max() <= 1e-13


@every_row
def test_matrix_gives_the_velocity_and_its_rows_sum_to_one(name):
    rng = np.random.default_rng(5)
    row = ROWS[name]
    tokens = cloud(rng, masked=row.masked)
    Q, K, V = head_parameters(rng, 3)
    attention = row.make(Q, K, V)
    P = attention.matrix(tokens)
    assert P.shape == ((2, 7, 7) if row.heads == 2 else (7, 7))
    if row.stochastic:
        assert P.min() >= 0
        assert np.abs(P.sum(axis=-1) - 1).max() <= 1e-14
    values = (V, V.T) if row.values is None else row.values(Q, K, V)
    heads = P if row.heads == 2 else P[None]
    v = sum(one @ tokens.points @ M.T for one, M in zip(heads, values, strict=False))
    if name == "with feed-forward":
        v = v + attention.feed_forward(tokens.points)
    assert np.abs(velocities(attention, tokens) - v).max() <= 1e-11


def test_heads_that_are_added_are_a_multi_head():
    one, two, three = (tp.Softmax(*EYE), tp.L2(*EYE), tp.Masked(tp.Linear(*EYE)))
    assert (one + two).heads == (one, two)
    assert (one + two + three).heads == (one + (two + three)).heads == (one, two, three)
    assert ((one + two) + (three + one)).heads == (one, two, three, one)
    field = tp.AffineField(np.eye(2))
    with_field = (one + field) + two  # of any two attentions the fields add
    x = TOKENS.points
    wanted = one(TOKENS)(x) + two(TOKENS)(x) + field(x)
    np.testing.assert_allclose(with_field(TOKENS)(x), wanted, rtol=1e-14)
    np.testing.assert_allclose((one + two + field)(TOKENS)(x), wanted, rtol=1e-14)


def test_each_head_of_a_sum_inside_of_a_sum_has_its_matrix():
    one, two = tp.Softmax(*EYE), tp.L2(*EYE)
    stack = tp.Particles(np.random.default_rng(5).normal(size=(4, 6, 2)))
    for tokens in (TOKENS, stack):
        nested = tp.MultiHead([tp.MultiHead([one, two]), one]).matrix(tokens)
        wanted = [head.matrix(tokens) for head in (one, two, one)]
        np.testing.assert_array_equal(nested, wanted)


def test_a_mask_over_heads_is_a_sum_of_masks():
    """The attention that it is, to the last bit: in flows, layers, stacks, copies, and bounds."""
    rng = np.random.default_rng(11)
    heads = [kind(*rng.normal(size=(3, 2, 2)) * 0.5) for kind in (tp.Softmax, tp.L2, tp.Sigmoid)]
    nested = tp.MultiHead([tp.MultiHead(heads[:2]), heads[2]])
    summed = tp.MultiHead([tp.Masked(head) for head in heads])
    one = tp.Particles(rng.normal(size=(5, 2)), positions=[0.0, 1.0, 1.0, 2.0, 3.0])
    stack = tp.Particles(rng.normal(size=(3, 5, 2)), positions=rng.normal(size=5))
    for masked in (tp.Masked(tp.MultiHead(heads)), tp.Masked(nested)):
        again = pickle.loads(pickle.dumps(masked))
        for tokens in (one, stack):
            for attention in (masked, again):
                np.testing.assert_array_equal(attention.matrix(tokens), summed.matrix(tokens))
                path = tp.flow(tokens, attention, 0.5)
                wanted = tp.flow(tokens, summed, 0.5)
                np.testing.assert_array_equal(path.points, wanted.points)
                np.testing.assert_array_equal(
                    tp.layers(tokens, attention, 3, 0.1).points,
                    tp.layers(tokens, summed, 3, 0.1).points,
                )
        place = np.array([1.5])
        np.testing.assert_array_equal(
            tp.flow(one, masked, 0.5).carry([[0.3, 0.1]], place),
            tp.flow(one, summed, 0.5).carry([[0.3, 0.1]], place),
        )
        assert theory.lipschitz_bounds(masked, 1.0) == theory.lipschitz_bounds(summed, 1.0)
        assert theory.support_radius(masked, 1.0, 1.0) == theory.support_radius(summed, 1.0, 1.0)
        with pytest.raises(ValueError, match="needs tokens with positions"):
            masked(tp.Particles(one.points))


@pytest.mark.parametrize("epsilon", [0.3, 1.0, 3.0])
def test_weighted_columns_of_sinkhorn_are_the_weights(epsilon):
    rng = np.random.default_rng(6)
    tokens = cloud(rng, n=30)
    P = tp.Sinkhorn(*head_parameters(rng, 3, size=1.5), epsilon).matrix(tokens)
    assert np.abs(tokens.weights @ P - tokens.weights).max() <= 1e-10 * tokens.weights.min()


@every_row
@pytest.mark.parametrize("where", ["token", "outside"])
def test_velocity_agrees_with_its_definition_in_thirty_digits(name, where):
    rng = np.random.default_rng(7)
    row = ROWS[name]
    tokens = cloud(rng, n=5, masked=row.masked)
    parameters = head_parameters(rng, 3, 2, size=1.3)
    x = tokens.points[3] if where == "token" else np.array([2.0, -1.0, 0.5])
    points, weights, s = tokens.points, tokens.weights, 2.0
    if row.masked:
        seen = tokens.positions <= s
        points, weights = points[seen], weights[seen] / weights[seen].sum()
    expected = row.reference(parameters, points, weights, x)
    got = row.make(*parameters)(tokens)(x, s)
    assert np.abs(got - expected).max() <= 1e-10 * np.abs(expected).max()


@every_row
@pytest.mark.parametrize("d", [1, 2, 3])
def test_interpolated_sums_obey_the_laws_and_the_definition(name, d):
    """In the same digits whatever the order and the axes, and to the tolerance of the sums."""
    rng, tol = np.random.default_rng(17), 1e-11
    row, order, R = ROWS[name], rng.permutation(40), orthogonal(rng, d)
    tokens, (Q, K, V) = cloud(rng, n=40, d=d, masked=row.masked), head_parameters(rng, d)

    def fast(attention, tokens):
        return tokens.velocities(attention(tokens, method="interpolated", tol=tol))

    attention = row.make(Q, K, V)
    v = fast(attention, tokens)
    size = tol * np.abs(v).max() * (1 + row.heads)  # summands may be larger than their sum
    assert np.abs(fast(attention, moved(tokens, order=order)) - v[order]).max() <= 4 * size
    assert np.abs(fast(attention, moved(tokens, repeat=2))[::2] - v).max() <= 4 * size
    if name != "with feed-forward":
        turned = row.make(Q @ R.T, K @ R.T, R @ V @ R.T)
        w = fast(turned, moved(tokens, tokens.points @ R.T))
        assert np.abs(w - v @ R.T).max() <= 4 * size
    seen = np.full(40, True)
    if row.masked:
        seen = tokens.positions <= tokens.positions[3]
    weights = tokens.weights[seen] / tokens.weights[seen].sum()
    expected = row.reference((Q, K, V), tokens.points[seen], weights, tokens.points[3])
    assert np.abs(v[3] - expected).max() <= 4 * size


@pytest.mark.parametrize("head", ["softmax", "l2", "sinkhorn", "sigmoid"])
def test_scores_of_1e4_lose_no_digits(head):
    rng = np.random.default_rng(8)
    tokens = cloud(rng, n=5)
    Q, K, V = head_parameters(rng, 3)
    parameters = (100 * Q, 100 * K, V)
    scores = tokens.points @ parameters[0].T @ parameters[1] @ tokens.points.T
    assert 1e4 / 2 < np.abs(scores).max() < 1e5
    field = HEADS[head](*parameters)(tokens)
    for x in tokens.points:
        if head == "sinkhorn":  # the plan of an assignment problem: finite, with its marginals
            assert np.isfinite(field(x)).all()
            continue
        expected = reference_velocity(
            head, parameters, tokens.points, tokens.weights, x, digits=50
        )
        assert np.abs(field(x) - expected).max() <= 1e-10 * np.abs(expected).max()
    P = HEADS[head](*parameters).matrix(tokens)
    if head == "sinkhorn":
        assert np.abs(tokens.weights @ P - tokens.weights).max() <= 1e-10


@every_row
@pytest.mark.parametrize("d", [1, 64])
def test_degenerate_clouds(name, d):
    """One token, repeated tokens, a token of weight zero, in dimension 1 and 64."""
    rng = np.random.default_rng(9)
    row = ROWS[name]
    attention = row.make(*head_parameters(rng, d, size=0.5))
    x = rng.normal(size=(1, d)) / np.sqrt(d)
    s = [0.0] if row.masked else None
    lonely = velocities(attention, tp.Particles(x, positions=s))
    same = tp.Particles(np.repeat(x, 5, axis=0), positions=s and [0.0] * 5)
    assert np.abs(velocities(attention, same) - lonely).max() <= 1e-11
    ghost = tp.Particles(np.vstack([x, 3 * x]), [1.0, 0.0], s and [0.0, 0.0])
    assert np.abs(velocities(attention, ghost)[0] - lonely).max() <= 1e-11
    assert np.isfinite(velocities(attention, ghost)).all()


# --- Gaussians ---------------------------------------------------------------------------------


def unit_gaussian(rng, d, r, sizes):
    X, m = rng.normal(size=(d, r)), rng.normal(size=d)
    return tp.Gaussian(
        sizes[1] * m / np.linalg.norm(m), factor=sizes[0] * X / np.linalg.norm(X, 2)
    )


@pytest.mark.parametrize("name", ["softmax", "l2", "linear", "multi-head"])
@settings(max_examples=60, derandomize=True)
@given(data=st.data())
def test_gaussian_formula_agrees_with_quadrature(name, data):
    """The affine field against the attention of Gauss-Hermite particles, any rank.

    Keys of norm at most 1: L2 weights are then at most three times narrower than the Gaussian,
    and 64 nodes an axis resolve them.
    """
    d = data.draw(st.integers(1, 3), "d")
    r = data.draw(st.integers(1, d), "r")
    k = data.draw(st.integers(1, d), "k")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32), "seed"))
    sizes = data.draw(st.tuples(*[st.floats(0.0, 1.0)] * 3), "sizes of X, m, x")
    Q, K, V = head_parameters(rng, d, k)
    Q = 4 * Q if name != "multi-head" else Q
    gaussian, x = unit_gaussian(rng, d, r, sizes), rng.normal(size=d)
    x *= sizes[2] / np.linalg.norm(x)
    assume(np.abs(gaussian.factor.T @ K.T @ Q @ x).max() <= 4)
    attention = ROWS[name].make(Q, K, V)
    exact, tokens = attention(gaussian)(x), attention(gaussian.quadrature(64))(x)
    assert np.abs(exact - tokens).max() <= 1e-9 * sum(sizes[:2]) + 1e-300


@pytest.mark.parametrize("rank", [1, 2])
def test_narrow_l2_weights_agree_with_a_finer_quadrature(rank):
    """Weights nine times narrower than the Gaussian need more nodes, not another formula."""
    rng = np.random.default_rng(10)
    attention = tp.L2(*head_parameters(rng, 3, size=2.0))
    gaussian, x = unit_gaussian(rng, 3, rank, (1.0, 1.0)), rng.normal(size=3) / 2
    nodes = gaussian.quadrature(240 if rank == 1 else 150)
    assert np.abs(attention(gaussian)(x) - attention(nodes)(x)).max() <= 1e-9


@pytest.mark.parametrize("epsilon", [0.3, 1.0, 3.0])
@pytest.mark.parametrize(("rank", "k"), [(2, 2), (1, 2), (2, 1), (1, 1)])
def test_sinkhorn_formula_agrees_with_a_converged_discrete_plan(epsilon, rank, k):
    """Means not zero, singular covariances (rank 1) and singular A (k = 1)."""
    rng = np.random.default_rng([rank, k, int(10 * epsilon)])
    head = tp.Sinkhorn(*head_parameters(rng, 2, k), epsilon)
    gaussian = unit_gaussian(rng, 2, rank, (0.7, 0.8))
    tokens = gaussian.quadrature(60 if rank == 1 else 26)
    exact = head(gaussian)(tokens.points)
    gap = np.abs(head(tokens)(tokens.points) - exact).max(axis=1)
    assert np.sqrt(tokens.weights @ gap**2) <= 1e-6


def test_sinkhorn_of_a_small_gaussian_is_softmax():
    rng = np.random.default_rng(11)
    Q, K, V = head_parameters(rng, 3)
    gaussian = tp.Gaussian(np.zeros(3), factor=1e-5 * rng.normal(size=(3, 3)))
    gap = tp.Sinkhorn(Q, K, V)(gaussian).linear - tp.Softmax(Q, K, V)(gaussian).linear
    assert np.abs(gap).max() <= 1e-8 * np.abs(tp.Softmax(Q, K, V)(gaussian).linear).max()


@every_gaussian_row
def test_a_stack_is_its_cases(name):
    rng = np.random.default_rng(12)
    parameters = [head_parameters(rng, 3, 2) for _ in range(5)]
    stack = tp.Gaussian(rng.normal(size=(5, 3)), factor=rng.normal(size=(5, 3, 2)))
    make = ROWS[name].make
    if name in ("multi-head", "with feed-forward"):  # their table row reads single parameters
        whole = make(*parameters[0])(stack)
        singles = [make(*parameters[0])(stack[i]) for i in range(5)]
    else:
        whole = make(*(np.array(M) for M in zip(*parameters, strict=True)))(stack)
        singles = [make(*parameters[i])(stack[i]) for i in range(5)]
    for i, single in enumerate(singles):
        assert np.abs(whole.linear[i] - single.linear).max() <= 1e-13
        assert np.abs(whole.offset[i] - single.offset).max() <= 1e-13


def test_feed_forward_of_a_stack_is_that_of_its_cases():
    rng = np.random.default_rng(20)
    W, b = rng.normal(size=(5, 3, 3)), rng.normal(size=(5, 3))
    head, stack = tp.L2(*head_parameters(rng, 3)), tp.Gaussian(np.ones((5, 3)), factor=np.eye(3))
    attention, x = head + tp.AffineField(W, b), rng.normal(size=3)
    for i in range(5):
        wanted = (head + tp.AffineField(W[i], b[i]))(stack[i])(x)
        assert np.allclose(attention(stack)(x)[i], wanted, rtol=1e-13)
    index = np.array([4, 1])
    assert np.array_equal(
        attention.select((5,), index)(stack[index])(x), attention(stack)(x)[index]
    )
    tokens = tp.Particles(np.ones((2, 3)))
    for measure, axes in ((tokens, r"\(\)"), (stack[0], r"\(\)"), (stack[:4], r"\(4,\)")):
        with pytest.raises(ValueError, match=f"feed_forward: its leading axes .* {axes}; got .5,"):
            attention(measure)


def test_a_sinkhorn_head_that_remembers_takes_any_number_of_tokens():
    rng = np.random.default_rng(21)
    head, how = tp.Sinkhorn(*head_parameters(rng, 2)), EXACT.remembering()
    for n in (5, 5, 8, 3):
        tokens = tp.Particles(rng.normal(size=(n, 2)))
        found, alone = head.field(tokens, how)(tokens.points), head(tokens)(tokens.points)
        assert np.allclose(found, alone, rtol=1e-9)


@every_gaussian_row
def test_log_scale_is_a_factor_of_the_covariance(name):
    rng = np.random.default_rng(13)
    attention = ROWS[name].make(*head_parameters(rng, 3))
    m, X = rng.normal(size=3), rng.normal(size=(3, 2))
    plain, scaled = tp.Gaussian(m, factor=np.exp(1.5) * X), tp.Gaussian(m, factor=X, log_scale=3.0)
    assert np.abs(attention(plain).linear - attention(scaled).linear).max() <= 1e-11


@pytest.mark.parametrize("name", [name for name in ROWS if name not in GAUSSIAN])
def test_others_refuse_a_gaussian_with_advice(name):
    attention = ROWS[name].make(*[np.eye(2)] * 3)
    with pytest.raises(TypeError, match=r"measure: .*Sample it first"):
        attention(tp.Gaussian([0.0, 0.0], factor=np.eye(2)))


# --- single statements -------------------------------------------------------------------------


def test_far_tokens_lose_no_digits_of_l2_distances():
    """Moving all tokens by one vector moves the mean by it: scores depend on differences only."""
    rng = np.random.default_rng(14)
    tokens, shift = cloud(rng), 1e4
    attention = tp.L2(np.eye(3), np.eye(3), np.eye(3))
    far = tp.Particles(tokens.points + shift, tokens.weights)
    gap = velocities(attention, far) - shift - velocities(attention, tokens)
    assert np.abs(gap).max() <= 1e-10


def test_many_tokens_go_tile_by_tile():
    rng = np.random.default_rng(15)
    tokens = tp.Particles(rng.normal(size=(3000, 2)))
    attention = tp.Softmax(*head_parameters(rng, 2))
    whole = attention.matrix(tokens) @ tokens.points @ attention.value.T
    assert np.abs(velocities(attention, tokens) - whole).max() <= 1e-13


def test_feed_forward_adds_to_the_field():
    rng = np.random.default_rng(16)
    head, extra = tp.Softmax(*head_parameters(rng, 3)), tp.AffineField(-np.eye(3), np.ones(3))
    tokens, gaussian = cloud(rng), tp.Gaussian(np.ones(3), factor=np.eye(3))
    for both in (head + extra, extra + head):
        x = tokens.points
        assert np.allclose(both(tokens)(x), head(tokens)(x) - x + 1, rtol=0, atol=1e-14)
        assert np.allclose(both(gaussian)(x), head(gaussian)(x) - x + 1, rtol=0, atol=1e-14)
        assert np.array_equal(both.matrix(tokens), head.matrix(tokens))
    with pytest.raises(TypeError):
        head + 3.0
    with pytest.raises(ValueError, match="feed_forward: its dimension must be that of the att"):
        head + tp.AffineField(np.eye(2))


def test_a_bias_is_a_number_of_any_shape():
    for bias in (0.5, [0.5], np.array([[0.5]])):
        head = tp.Sigmoid(*[np.eye(2)] * 3, bias)
        assert isinstance(head.bias, float)
        assert head.bias == 0.5


def test_softmax_and_linear_attention_agree_on_centred_gaussians():
    rng = np.random.default_rng(17)
    parameters = head_parameters(rng, 3)
    gaussian = tp.Gaussian(np.zeros(3), factor=rng.normal(size=(3, 2)))
    gap = tp.Linear(*parameters)(gaussian).linear - tp.Softmax(*parameters)(gaussian).linear
    assert np.abs(gap).max() <= 1e-14


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.masked])
def test_causality_to_the_last_bit(name):
    """What later tokens are does not change the velocity of earlier ones, nor their layers."""
    rng = np.random.default_rng(18)
    attention = ROWS[name].make(*head_parameters(rng, 2))
    x, positions = 0.5 * rng.normal(size=(40, 2)), np.sort(rng.integers(0, 12, 40)).astype(float)
    early = positions <= 5
    other = np.where(early[:, None], x, rng.normal(size=(40, 2)))
    tokens, changed = (tp.Particles(p, positions=positions) for p in (x, other))
    v, w = velocities(attention, tokens), velocities(attention, changed)
    assert np.array_equal(v[early], w[early])
    assert not np.array_equal(v[~early], w[~early])
    ends = [tp.layers(mu, attention, 8, 0.05).final.points for mu in (tokens, changed)]
    assert np.array_equal(ends[0][early], ends[1][early])
    if name in ("masked softmax", "masked l2", "masked sigmoid"):
        flows = [tp.flow(mu, attention, 1.0).final.points for mu in (tokens, changed)]
        assert np.abs(flows[0][early] - flows[1][early]).max() <= 1e-8


def test_a_mask_over_equal_positions_changes_nothing():
    rng = np.random.default_rng(19)
    tokens, parameters = cloud(rng), head_parameters(rng, 3)
    level = tp.Particles(tokens.points, tokens.weights, np.zeros(7))
    for head in (tp.Softmax, tp.L2, tp.Sigmoid, tp.Linear, tp.Unnormalized):
        plain = velocities(head(*parameters), tokens)
        assert np.abs(velocities(tp.Masked(head(*parameters)), level) - plain).max() <= 1e-13


# --- bad input ---------------------------------------------------------------------------------


@every_head
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"query": [[np.nan, 0.0]]},
            r"query: every entry must be finite; got nan at index \(0, 0\)",
        ),
        ({"key": [[np.inf, 0.0]]}, "key: every entry must be finite; got inf"),
        ({"value": [1.0, 2.0]}, r"value: must have shape \(\.\.\., d, d\); got shape \(2,\)"),
        ({"key": np.ones((2, 2))}, "key: its number of rows must be that of query, 1; got 2"),
        ({"key": np.ones((1, 3))}, "key: its number of columns must be that of query, 2; got 3"),
        ({"value": np.eye(3)}, "value: its number of rows must be that of query, 2; got 3"),
        ({"value": np.ones((2, 3))}, "value: its number of columns must be that of query"),
        ({"value": np.ones((5, 2, 3))}, "value: its number of columns must be that of query"),
        ({"query": "abc"}, "query: must be an array of real numbers"),
        ({"query": [[1j, 0]]}, "query: must be an array of real numbers; got entries of type c"),
        ({"query": [[1, 2], [3]]}, "query: must be an array of real numbers"),
        (
            {"query": np.ones((0, 2)), "key": np.ones((0, 2))},
            "query: must have at least one entry",
        ),
    ],
)
def test_bad_parameters(head, change, message):
    good = {"query": [[1.0, 0.0]], "key": [[0.0, 1.0]], "value": np.eye(2)}
    with pytest.raises(ValueError, match=message):
        HEADS[head](**{**good, **change})


EYE = [np.eye(2)] * 3
TOKENS = tp.Particles([[1.0, 0.0], [0.0, 1.0]], positions=[0.0, 1.0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tp.Sinkhorn(*EYE, 0.0), ValueError, "epsilon: must be a positive finite number"),
        (lambda: tp.Sinkhorn(*EYE, "x"), ValueError, "epsilon: must be a positive finite number"),
        (lambda: tp.Sigmoid(*EYE, np.nan), ValueError, "bias: every entry must be finite"),
        (lambda: tp.Sigmoid(*EYE, [1.0, 2.0]), ValueError, "bias: must be one number"),
        (lambda: tp.MultiHead([]), ValueError, "heads: must be a sequence of at least one"),
        (lambda: tp.MultiHead(tp.Softmax(*EYE)), ValueError, "heads: must be a sequence"),
        (lambda: tp.MultiHead([3]), TypeError, r"heads\[0\]: must be an attention; got int"),
        (
            lambda: tp.MultiHead([tp.Softmax(*EYE), tp.Softmax([[1]], [[1]], [[1]])]),
            ValueError,
            r"heads\[1\]: its dimension must be that of heads\[0\], 2; got 1",
        ),
        (lambda: tp.Masked(tp.Sinkhorn(*EYE)), TypeError, "head: must be a Softmax, L2, Sigmoid"),
        (
            lambda: tp.Masked(tp.MultiHead([tp.L2(*EYE), tp.Sinkhorn(*EYE)])),
            TypeError,
            "or a MultiHead of these; got Sinkhorn",
        ),
        (
            lambda: tp.Masked(tp.L2(*EYE) + np.tanh),
            TypeError,
            r"got WithFeedForward. .* after the mask: Masked\(head\) \+ field",
        ),
        (
            lambda: tp.Softmax(*EYE) + tp.Softmax([[1]], [[1]], [[1]]),
            ValueError,
            "other: its dimension must be that of the attention, 2; got 1",
        ),
        (
            lambda: tp.Softmax(*EYE) + tp.AffineField(np.eye(3)),
            ValueError,
            "feed_forward: its dimension must be that of the attention, 2; got 3",
        ),
        (lambda: tp.Softmax(*EYE) + 1.0, TypeError, "a velocity field; got float"),
        (lambda: tp.Softmax(*EYE) + np.eye(2), TypeError, "got ndarray. .* AffineField"),
        (lambda: np.eye(2) + tp.Softmax(*EYE), TypeError, "got ndarray. .* AffineField"),
        (lambda: sum([tp.Softmax(*EYE)]), TypeError, "got int. .* MultiHead"),
        (lambda: tp.Softmax(*EYE) + tp.Softmax, TypeError, "got the class Softmax"),
        (
            lambda: tp.Masked(tp.L2(*EYE))(tp.Particles([[1.0, 0.0]])),
            ValueError,
            "measure: a masked attention needs tokens with positions; got none",
        ),
        (
            lambda: tp.Masked(tp.L2(*EYE))(TOKENS)([[0.0, 0.0]]),
            ValueError,
            r"positions: a masked field is field\(x, positions\)",
        ),
        (
            lambda: tp.Masked(tp.L2(*EYE))(TOKENS)([[0.0, 0.0]], [0.0, 1.0]),
            ValueError,
            "positions: its length must be that of x, 1; got 2",
        ),
        (
            lambda: tp.Masked(tp.L2(*EYE))(TOKENS)([0.0, 0.0], -1.0),
            ValueError,
            "positions: there must be mass at or before each position; got -1.0, and the first",
        ),
        (
            lambda: tp.Masked(tp.L2(*EYE)).matrix(
                tp.Particles(TOKENS.points, [0.0, 1.0], [0.0, 1.0])
            ),
            ValueError,
            "positions: there must be mass at or before each position; got 0.0",
        ),
        (
            lambda: tp.Particles([[1.0], [2.0]], positions=[0.0]),
            ValueError,
            "positions: its length must be that of points, 2; got 1",
        ),
        (
            lambda: tp.Particles([[1.0]], positions=[np.nan]),
            ValueError,
            "positions: every entry must be finite",
        ),
        (
            lambda: tp.Softmax(*EYE)(tp.Particles([[1.0]])),
            ValueError,
            "measure: its dimension must be that of the attention",
        ),
        (
            lambda: tp.Softmax(*EYE).matrix(tp.Particles([[1.0]])),
            ValueError,
            "measure: its dimension must be that of the attention",
        ),
        (lambda: tp.Softmax(*EYE)([[1.0, 2.0]]), TypeError, "measure: must be Particles, a G"),
        (
            lambda: tp.Softmax(*EYE)(TOKENS)([1.0, 2.0, 3.0]),
            ValueError,
            "x: its dimension must be that of the attention, 2; got 3",
        ),
        (
            lambda: tp.Softmax(*EYE).matrix(tp.Gaussian([0.0, 0.0], factor=np.eye(2))),
            TypeError,
            "matrix: needs Particles; got Gaussian",
        ),
        (
            lambda: tp.Linear(np.ones((4, 2, 2)), np.eye(2), np.eye(2))(TOKENS),
            ValueError,
            r"query: its leading axes must match those of the measure, \(\); got \(4,\)",
        ),
        (
            lambda: tp.Softmax(np.ones((4, 2, 2)), np.eye(2), np.eye(2))(
                tp.Gaussian(np.zeros((3, 2)), factor=np.eye(2))
            ),
            ValueError,
            r"query: its leading axes must match those of the measure, \(3,\); got \(4,\)",
        ),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


@every_head
def test_parameters_are_copied_and_read_only(head):
    Q = np.eye(2)
    attention = HEADS[head](Q, Q, Q)
    Q[0, 0] = 7
    assert attention.query[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        attention.query[0, 0] = 3
