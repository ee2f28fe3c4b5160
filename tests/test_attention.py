"""Laws of the attentions: definition, Gaussian formula, symmetries, bad input."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from problems import head_parameters, orthogonal, reference_velocity

import transpde as tp

HEADS = {"softmax": tp.Softmax, "l2": tp.L2}
every_head = pytest.mark.parametrize("kind", HEADS)


def cloud(rng, n=7, d=3):
    weights = rng.random(n)
    return tp.Particles(rng.normal(size=(n, d)), weights / weights.sum())


@every_head
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_gaussian_formula_agrees_with_quadrature(kind, data):
    """The affine field against the attention of Gauss-Hermite particles, any rank."""
    d = data.draw(st.integers(1, 3), "d")
    r = data.draw(st.integers(1, d), "r")
    k = data.draw(st.integers(1, d), "k")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32), "seed"))
    sizes = data.draw(st.tuples(*[st.floats(0.0, 1.0)] * 3), "sizes of X, m, x")
    Q, K, V = head_parameters(rng, d, k, size=2.0)
    X = rng.normal(size=(d, r))
    X *= sizes[0] / np.linalg.norm(X, 2)
    m, x = (
        s * u / np.linalg.norm(u) for s, u in zip(sizes[1:], rng.normal(size=(2, d)), strict=True)
    )
    assume(np.abs(X.T @ K.T @ Q @ x).max() <= 4)
    gaussian, attention = tp.Gaussian(m, X), HEADS[kind](Q, K, V)
    exact, tokens = attention(gaussian)(x), attention(gaussian.quadrature(64))(x)
    scale = np.linalg.norm(V, 2) * (np.linalg.norm(m) + np.linalg.norm(X, 2))
    assert np.abs(exact - tokens).max() <= 1e-9 * scale + 1e-300


@every_head
@pytest.mark.parametrize("size", [1.0, 100.0])
def test_velocity_agrees_with_fifty_digits(kind, size):
    """At moderate scores and at scores of up to 1e4 in absolute value."""
    rng = np.random.default_rng(5)
    tokens = cloud(rng)
    Q, K, V = head_parameters(rng, 3)
    Q, K = size * Q, size * K
    scores = np.abs(tokens.points @ Q.T @ (tokens.points @ K.T).T)
    assert size == 1.0 or 1e4 / 2 < scores.max() < 1e5
    field = HEADS[kind](Q, K, V)(tokens)
    for x in [*tokens.points[:3], np.array([2.0, -1.0, 0.5])]:
        expected = reference_velocity(kind, Q, K, V, tokens.points, tokens.weights, x)
        error = np.abs(field(x) - expected).max()
        assert np.isfinite(field(x)).all()
        assert error <= 1e-10 * np.abs(expected).max()


def test_far_tokens_lose_no_digits_of_l2_distances():
    """Moving all tokens by one vector moves the mean by it: scores depend on differences only."""
    rng = np.random.default_rng(6)
    tokens, shift = cloud(rng), 1e4
    attention = tp.L2(np.eye(3), np.eye(3), np.eye(3))
    near = attention(tokens)(tokens.points)
    far = attention(tp.Particles(tokens.points + shift, tokens.weights))(tokens.points + shift)
    assert np.abs(far - shift - near).max() <= 1e-10


@every_head
def test_matrix_is_row_stochastic_and_gives_the_velocity(kind):
    rng = np.random.default_rng(0)
    tokens = cloud(rng)
    Q, K, V = head_parameters(rng, 3, 2)
    attention = HEADS[kind](Q, K, V)
    P = attention.matrix(tokens)
    assert P.min() >= 0
    assert np.abs(P.sum(axis=1) - 1).max() <= 1e-14
    assert np.abs(attention(tokens)(tokens.points) - P @ tokens.points @ V.T).max() <= 1e-14


@every_head
def test_permutation_splitting_and_change_of_basis(kind):
    rng = np.random.default_rng(1)
    tokens = cloud(rng)
    Q, K, V = head_parameters(rng, 3)
    attention = HEADS[kind](Q, K, V)
    v = attention(tokens)(tokens.points)
    order = rng.permutation(7)
    permuted = tp.Particles(tokens.points[order], tokens.weights[order])
    assert np.abs(attention(permuted)(permuted.points) - v[order]).max() <= 1e-14
    halves = tp.Particles(np.repeat(tokens.points, 2, axis=0), np.repeat(tokens.weights / 2, 2))
    assert np.abs(attention(halves)(tokens.points) - v).max() <= 1e-14
    R = orthogonal(rng, 3)
    turned = HEADS[kind](Q @ R.T, K @ R.T, R @ V @ R.T)
    moved = tp.Particles(tokens.points @ R.T, tokens.weights)
    assert np.abs(turned(moved)(moved.points) - v @ R.T).max() <= 1e-14


@every_head
def test_zero_weight_and_repeated_and_single_tokens(kind):
    rng = np.random.default_rng(2)
    Q, K, V = head_parameters(rng, 3)
    attention = HEADS[kind](Q, K, V)
    tokens = cloud(rng, n=3)
    padded = tp.Particles(np.vstack([tokens.points, 9 * np.ones((1, 3))]), [*tokens.weights, 0.0])
    gap = attention(padded)(tokens.points) - attention(tokens)(tokens.points)
    assert np.abs(gap).max() <= 1e-14
    one = tp.Particles(tokens.points[:1])
    repeated = tp.Particles(np.repeat(tokens.points[:1], 5, axis=0))
    for lonely in (one, repeated):
        expected = np.broadcast_to(tokens.points[0] @ V.T, lonely.points.shape)
        assert np.abs(attention(lonely)(lonely.points) - expected).max() <= 1e-14


def test_many_tokens_go_tile_by_tile():
    rng = np.random.default_rng(3)
    tokens = tp.Particles(rng.normal(size=(3000, 2)))
    attention = tp.Softmax(*head_parameters(rng, 2))
    whole = attention.matrix(tokens) @ tokens.points @ attention.value.T
    assert np.abs(attention(tokens)(tokens.points) - whole).max() <= 1e-13


@every_head
def test_a_stack_is_its_cases(kind):
    rng = np.random.default_rng(4)
    parameters = [head_parameters(rng, 3, 2) for _ in range(5)]
    Q, K, V = (np.array(matrices) for matrices in zip(*parameters, strict=True))
    stack = tp.Gaussian(rng.normal(size=(5, 3)), rng.normal(size=(5, 3, 2)))
    field = HEADS[kind](Q, K, V)(stack)
    for i in range(5):
        single = HEADS[kind](Q[i], K[i], V[i])(stack[i])
        assert np.abs(field.linear[i] - single.linear).max() <= 1e-13
        assert np.abs(field.offset[i] - single.offset).max() <= 1e-13


@every_head
def test_log_scale_is_a_factor_of_the_covariance(kind):
    rng = np.random.default_rng(7)
    attention = HEADS[kind](*head_parameters(rng, 3))
    m, X = rng.normal(size=3), rng.normal(size=(3, 2))
    plain, scaled = tp.Gaussian(m, np.exp(1.5) * X), tp.Gaussian(m, X, 3.0)
    assert np.abs(attention(plain).linear - attention(scaled).linear).max() <= 1e-12


@every_head
def test_feed_forward_adds_to_the_field(kind):
    rng = np.random.default_rng(8)
    head, extra = HEADS[kind](*head_parameters(rng, 3)), tp.AffineField(-np.eye(3), np.ones(3))
    tokens, gaussian = cloud(rng), tp.Gaussian(np.ones(3), np.eye(3))
    for both in (head + extra, extra + head):
        x = tokens.points
        assert np.allclose(both(tokens)(x), head(tokens)(x) - x + 1, rtol=0, atol=1e-14)
        assert np.allclose(both(gaussian)(x), head(gaussian)(x) - x + 1, rtol=0, atol=1e-14)
        assert np.array_equal(both.matrix(tokens), head.matrix(tokens))
    with pytest.raises(TypeError):
        head + 3.0
    with pytest.raises(ValueError, match="feed_forward: its dimension must be that of the att"):
        head + tp.AffineField(np.eye(2))


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
        ({"query": "abc"}, "query: must be an array of real numbers"),
        ({"query": [[1j, 0]]}, "query: must be an array of real numbers; got entries of type c"),
        ({"query": [[1, 2], [3]]}, "query: must be an array of real numbers"),
        (
            {"query": np.ones((0, 2)), "key": np.ones((0, 2))},
            "query: must have at least one entry",
        ),
    ],
)
def test_bad_parameters(kind, change, message):
    good = {"query": [[1.0, 0.0]], "key": [[0.0, 1.0]], "value": np.eye(2)}
    with pytest.raises(ValueError, match=message):
        HEADS[kind](**{**good, **change})


def test_bad_measures_and_points():
    attention = tp.Softmax(np.eye(2), np.eye(2), np.eye(2))
    with pytest.raises(ValueError, match="measure: its dimension must be that of the attention"):
        attention(tp.Particles([[1.0]]))
    with pytest.raises(TypeError, match="measure: must be Particles or a Gaussian; got list"):
        attention([[1.0, 2.0]])
    field = attention(tp.Particles([[1.0, 0.0]]))
    with pytest.raises(
        ValueError, match="x: its dimension must be that of the attention, 2; got 3"
    ):
        field([1.0, 2.0, 3.0])
    with pytest.raises(TypeError, match="matrix: needs Particles; got Gaussian"):
        attention.matrix(tp.Gaussian([0.0, 0.0], np.eye(2)))
    stacked = tp.Softmax(np.ones((4, 2, 2)), np.eye(2), np.eye(2))
    with pytest.raises(ValueError, match="must have no leading axes on Particles"):
        stacked(tp.Particles([[1.0, 0.0]]))
    with pytest.raises(
        ValueError,
        match=r"query: its leading axes must match those of the measure, \(3,\); got \(4,\)",
    ):
        stacked(tp.Gaussian(np.zeros((3, 2)), np.eye(2)))


def test_parameters_are_copied_and_read_only():
    Q = np.eye(2)
    attention = tp.Softmax(Q, Q, Q)
    Q[0, 0] = 7
    assert attention.query[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        attention.query[0, 0] = 3
