"""Masked attention along depth: causal order one, leaders on the sphere and in space."""

import numpy as np
import pytest
from scipy.linalg import expm

import transpde as tp
from transpde.convergence import seed_order
from transpde.theory import mean_field

EYE = np.eye(2)


def average_attention():
    """Q = K = 0 and V = 1: the field is the running mean."""
    return tp.Masked(tp.Softmax([[0.0]], [[0.0]], [[1.0]]))


@pytest.mark.parametrize("n", [2, 16, 128])
def test_a_push_of_the_first_token_grows_as_the_exponential_of_the_running_mean(n):
    """At order one the growth has no bound in n; at order two it is at most e^2."""
    pair = [tp.Particles(e, positions=np.arange(n)) for e in (np.zeros((n, 1)), np.eye(n, 1))]
    ends = [tp.flow(mu, average_attention(), [0.0, 1.0]).final for mu in pair]
    column = expm(np.tril(np.ones((n, n))) / np.arange(1, n + 1)[:, None])[:, 0]
    for p, exact in ((1, column.sum()), (2, np.linalg.norm(column))):
        growth = tp.conditional_wasserstein(*ends, p) / tp.conditional_wasserstein(*pair, p)
        assert growth == pytest.approx(exact, rel=1e-9)
    assert np.linalg.norm(column) < np.e**2
    assert column.sum() > 3.5 * np.sqrt(np.log2(n))


@pytest.mark.parametrize("p", [1.5, 2, 4])
def test_masked_flow_is_stable_in_the_conditional_distance(p):
    """d_p(t) <= exp((L_x + L_mu p / (p - 1)) t) d_p(0), and the exponent is not idle."""
    rng = np.random.default_rng(int(10 * p))
    for _ in range(10):
        Q, K, V = 0.4 * rng.normal(size=(3, 2, 2))
        n, R0, T = 12, 0.5, 0.5
        x, y = rng.uniform(-R0, R0, size=(2, n, 2)) / np.sqrt(2)
        s = np.sort(rng.random(n))
        ends, starts = [], [tp.Particles(z, positions=s) for z in (x, y)]
        ends = [tp.flow(mu, tp.Masked(tp.Softmax(Q, K, V)), [0.0, T]).final for mu in starts]
        v, R = np.linalg.norm(V, 2), R0 * np.exp(np.linalg.norm(V, 2) * T)
        a = np.linalg.norm(K.T @ Q, 2) * R**2
        constant = v * a + p / (p - 1) * v * (1 + 2 * a) * np.exp(2 * a)
        growth = tp.conditional_wasserstein(*ends, p) / tp.conditional_wasserstein(*starts, p)
        assert abs(np.log(growth)) <= constant * T
        assert np.abs(ends[0].points).max() <= R


@pytest.mark.parametrize("seed", range(3))
def test_on_the_sphere_the_slow_mode_grows_linearly_along_the_sequence(seed):
    """|x_k - x_1| / |x_2 - x_1| tends to k - 1, at the rate 1/2, for any query and key."""
    rng = np.random.default_rng(seed)
    x, (Q, K) = rng.normal(size=(12, 3)), rng.normal(size=(2, 3, 3)) / 2
    unit = x / np.linalg.norm(x, axis=1)[:, None]
    tokens = tp.Particles(unit, positions=np.arange(12), space=tp.Sphere())
    attention = tp.Masked(tp.Softmax(Q, K, np.eye(3)))
    path = tp.flow(tokens, attention, [0.0, 36.0, 40.0]).points
    far = np.linalg.norm(path - path[:, :1], axis=2)
    assert np.abs(path[:, 0] - path[0, 0]).max() <= 1e-9
    assert np.log(far[1, 1] / far[2, 1]) / 4 == pytest.approx(0.5, abs=2e-3)
    np.testing.assert_allclose(far[2, 1:] / far[2, 1], np.arange(1, 12), rtol=0.03)


def rescaled_gap(start, depths):
    """c(t) with e^-t x_2 = x_1 + c w, and the part of e^-t x_2 - x_1 that is not along w."""
    pair = tp.Particles([[1.0, 0.0], start], positions=[0.0, 1.0])
    path = tp.flow(pair, tp.Masked(tp.Softmax(EYE, EYE, EYE)), [0.0, *depths]).points[1:]
    w = np.subtract(start, [1.0, 0.0])
    z = np.exp(-np.array(depths))[:, None] * path[:, 1] - [1.0, 0.0]
    c = z @ w / (w @ w)
    return c, np.abs(z - c[:, None] * w).max()


@pytest.mark.parametrize("start", [[0.5, 0.45], [0.1, 0.0], [0.8, -0.3], [0.5, 0.0]])
def test_in_space_a_second_token_of_the_ball_follows_at_a_fixed_vector(start):
    c, across = rescaled_gap(start, [4.0, 5.0])
    assert across <= 1e-8
    assert (c <= np.exp(-np.array([2.0, 2.5]))).all()
    assert np.exp(5) * c[1] == pytest.approx(np.exp(4) * c[0], rel=1e-5)
    assert np.exp(5) * c[1] >= 1


@pytest.mark.parametrize("start", [[1.0, 0.6], [1.5, 0.0], [1.2, -0.7]])
def test_in_space_a_second_token_of_the_half_plane_never_follows(start):
    c, across = rescaled_gap(start, [4.0, 5.0])
    assert across <= 1e-8
    assert c[1] > 0.5
    assert c[1] == pytest.approx(c[0], rel=1e-8)


@pytest.mark.parametrize("m", [1, 4, 32])
def test_mean_square_distance_of_uniform_draws(m):
    """E W_2^2 = 1/(6m) for m uniform draws on [0, 1]: within four standard errors."""
    draws = np.sort(np.random.default_rng(m).random((4000, m)), axis=1)
    ends = np.arange(m + 1) / m
    pieces = ((draws - ends[:-1]) ** 3 - (draws - ends[1:]) ** 3) / 3
    squares = pieces.sum(axis=1)
    error = squares.std() / np.sqrt(len(squares))
    assert squares.mean() == pytest.approx(1 / (6 * m), abs=4 * error)
    fine = tp.Particles((np.arange(4000)[:, None] + 0.5) / 4000)
    assert tp.wasserstein(tp.Particles(draws[:1].T), fine) ** 2 == pytest.approx(
        squares[0], rel=1e-3
    )


# --- random positions: tokens and their independent twins ----------------------------------------


def wave(s, u):
    """Places of tokens whose law depends on the position: uniform around a wave."""
    return 0.3 * np.cos(2 * np.pi * s) + 1.4 * u - 0.7


def masked_line(v=0.7, a=1.0):
    return tp.Masked(tp.Softmax([[a]], [[1.0]], [[v]]))


def twin_gaps(head, limit, n, draws, time=1.0):
    """|x_(k) - twin| for independent draws of position and rank, shape (draws, n)."""
    rng = np.random.default_rng(n)
    s, u = np.sort(rng.random((draws, n)), axis=1), rng.random((draws, n))
    tokens = tp.Particles(wave(s, u)[..., None], positions=s)
    ends = tp.flow(tokens, head, [0.0, time], rtol=1e-5, atol=1e-7).final.points[..., 0]
    return np.abs(ends - limit(s, u))


def test_limit_on_the_line_without_scores_is_exact():
    """For A = 0 and means s^2: the running mean of s^2 is s^2/3, so the means grow by e^(vt/3)."""
    rng = np.random.default_rng(0)
    s, u = rng.random((2, 50))
    found = mean_field.masked_limit(masked_line(0.7, 0.0), lambda s, u: s**2 + u - 0.5, 2.0)
    exact = u - 0.5 + np.exp(1.4 / 3) * s**2
    np.testing.assert_allclose(found(s, u), exact, rtol=0, atol=1e-7)


def test_limit_on_the_line_is_that_of_many_levels():
    """Levels at midpoints have an error of order one, which one extrapolation takes away."""
    limit, nodes = mean_field.masked_limit(masked_line(), wave, 1.0), np.polynomial.legendre
    y, w = nodes.leggauss(6)
    here, ends = np.array([0.25, 0.5, 0.9]), []
    for levels in (100, 200):
        s, u = np.repeat((np.arange(levels) + 0.5) / levels, 6), np.tile((1 + y) / 2, levels)
        # Tokens without weight between two levels see the levels up to there: half a level off.
        own = np.repeat(here, 6), np.tile((1 + y) / 2, 3)
        tokens = tp.Particles(
            np.append(wave(s, u), wave(*own))[:, None],
            np.append(np.tile(w / 2, levels) / levels, np.zeros(18)),
            np.append(s, own[0]),
        )
        end = tp.flow(tokens, masked_line(), [0.0, 1.0], rtol=1e-9, atol=1e-11).final
        ends.append(end.points[-18:, 0])
    np.testing.assert_allclose(2 * ends[1] - ends[0], limit(*own), rtol=0, atol=3e-4)
    assert np.abs(ends[1] - limit(*own)).max() <= 0.02


def test_limit_on_the_line_refuses_what_it_cannot_resolve():
    with pytest.raises(ValueError, match="start: must be smooth"):
        mean_field.masked_limit(masked_line(), lambda s, u: np.sign(s - 0.3) + u, 0.1, tol=1e-6)
    with pytest.raises(TypeError, match="attention: must be a masked softmax"):
        mean_field.masked_limit(masked_line().head, wave, 1.0)
    with pytest.raises(ValueError, match="attention: must be one head on the line"):
        mean_field.masked_limit(tp.Masked(tp.Softmax(EYE, EYE, EYE)), wave, 1.0)


@pytest.mark.parametrize("a", [0.0, 0.05, 1.0])
def test_a_masked_token_is_within_its_bound_of_its_twin(a):
    """E|x_(k) - twin| <= C(t)/sqrt(k) for every k; above a tenth without scores."""
    head = masked_line(0.7, a)
    limit = mean_field.masked_limit(head, wave, 0.5)
    gaps = twin_gaps(head, limit, 64, 200, time=0.5)
    share = np.sqrt(np.arange(1, 65)) * gaps.mean(axis=0) / mean_field.twin_bound(head, 1.0, 0.5)
    assert share.max() <= 1
    assert a > 0.05 or share.max() > 0.1


def test_masked_twins_part_at_the_rate_one_half():
    """sqrt(n) times the mean gap levels off, and sqrt(k) times that of token k stays bounded."""
    limit, counts = mean_field.masked_limit(masked_line(), wave, 1.0), (16, 64, 256)
    gaps = {n: twin_gaps(masked_line(), limit, n, 64) for n in counts}
    batches = [[gaps[n][b::8].mean() for n in counts] for b in range(8)]
    assert seed_order(counts, batches).near(-0.5, 0.05)
    scaled = {n: np.sqrt(np.arange(1, n + 1)) * gaps[n].mean(axis=0) for n in counts}
    assert all(z.min() > 0.15 and z.max() < 1 for z in scaled.values())
    # The first tokens do not know how many will come.
    early = [gaps[n][:, :8].mean() for n in counts]
    assert max(early) < 1.6 * min(early)


@pytest.mark.parametrize("masked", [False, True])
def test_twin_bound_without_scores(masked):
    """C' = lC + 2vR with R = R_0 e^(vt): l = v, or 2v behind a mask."""
    v, R0, t = 0.7, 1.3, np.array([0.0, 0.2, 1.0, 3.0])
    head = tp.Softmax(np.zeros((2, 2)), EYE, v * EYE)
    exact = 2 * R0 * v * t * np.exp(v * t)
    if masked:
        head, exact = tp.Masked(head), 2 * R0 * (np.exp(2 * v * t) - np.exp(v * t))
    np.testing.assert_allclose(mean_field.twin_bound(head, R0, t), exact, rtol=1e-8)


@pytest.mark.parametrize("kind", [tp.Softmax, tp.L2, tp.Sigmoid, tp.Sinkhorn])
@pytest.mark.parametrize("masked", [False, True])
def test_twin_bound_is_its_integral(kind, masked):
    """The formula of the theorem by trapezoids, with constants written out here."""
    rng = np.random.default_rng(3)
    Q, K, V = 0.25 * rng.normal(size=(3, 2, 2))
    q, k, v, a = (np.linalg.norm(M, 2) for M in (Q, K, V, K.T @ Q))
    s = np.linspace(0, 0.6, 40_001)
    R = 0.8 * np.exp(v * s)
    factor, alpha, rho = 2.0 if masked else 1.0, a * R**2, (q + k) * R
    rate, kappa = {
        tp.Softmax: (alpha + factor * (1 + 2 * alpha) * np.exp(2 * alpha), np.exp(2 * alpha)),
        tp.L2: (
            2 * alpha + factor * (1 + 2 * np.sqrt(2 / np.e) * k * R) * np.exp(rho**2),
            np.exp(rho**2),
        ),
        tp.Sigmoid: (alpha / 4 + factor * (1 + alpha / 4), 1.0),
        tp.Sinkhorn: (1 + 2 * alpha, 2 * np.exp(12 * alpha)),
    }[kind]
    if masked and kind is tp.Sinkhorn:
        assert mean_field.twin_bound(tp.Linear(Q, K, V), 0.8, 0.6) is None
        return
    grown = np.concatenate([[0], np.cumsum(v * (rate[1:] + rate[:-1]) / 2 * np.diff(s))])
    exact = np.trapezoid(np.exp(grown[-1] - grown) * 2 * kappa * v * R, s)
    head = tp.Masked(kind(Q, K, V)) if masked else kind(Q, K, V)
    assert mean_field.twin_bound(head, 0.8, 0.6) == pytest.approx(exact, rel=1e-7)
    log = mean_field.twin_bound(head, 0.8, [0.6], log=True)
    assert log[0] == pytest.approx(np.log(exact), abs=1e-7)


def test_twin_bound_overflows_to_infinity():
    head = tp.Softmax(30 * EYE, EYE, EYE)
    assert mean_field.twin_bound(head, 2.0, [0.0, 2.0]).tolist() == [0.0, np.inf]


# --- other positions: two sequences tied token by token ------------------------------------------


def disorder(s, s_other, weights):
    """1 - P(A and A')/max(P(A), P(A')) at each pair, A and A' what its two tokens see."""
    seen = np.array([[a <= b for a in s] for b in s])
    other = np.array([[a <= b for a in s_other] for b in s_other])
    both = (seen & other) @ weights
    return 1 - both / np.maximum(seen @ weights, other @ weights)


@pytest.mark.parametrize("seed", range(6))
def test_sequences_at_other_positions_stay_near(seed):
    """|X_t - Y_t|_p <= e^(Ct)(|X_0 - Y_0|_p + 2 R L_mu t |disorder|_p), p = 2, pairs of tokens."""
    rng = np.random.default_rng(seed)
    n, R0, T = 20, 0.4, 0.5
    Q, K, V = 0.5 * rng.normal(size=(3, 2, 2))
    weights = rng.dirichlet(np.full(n, 3.0))
    x = rng.uniform(-R0, R0, size=(n, 2)) / np.sqrt(2)
    y = x + 0.02 * rng.normal(size=(n, 2))
    s = np.round(rng.random(n), 1)  # with ties
    s_other = s + 0.1 * rng.random(n) * (seed % 3)
    head = tp.Masked(tp.Softmax(Q, K, V))
    clouds = [tp.Particles(z, weights, r) for z, r in ((x, s), (y, s_other))]
    ends = [tp.flow(z, head, [0.0, T]).final.points for z in clouds]
    v = np.linalg.norm(V, 2)
    R = max(np.linalg.norm(z, axis=1).max() for z in (x, y)) * np.exp(v * T)
    a = np.linalg.norm(K.T @ Q, 2) * R**2
    in_measure = v * (1 + 2 * a) * np.exp(2 * a)
    C = v * a + 2 * in_measure

    def norm(z):
        return np.sqrt(weights @ z**2)

    source = 2 * R * in_measure * norm(disorder(s, s_other, weights)) * np.expm1(C * T) / C
    bound = np.exp(C * T) * norm(np.linalg.norm(x - y, axis=1)) + source
    assert norm(np.linalg.norm(ends[0] - ends[1], axis=1)) <= bound
    assert (source == 0) == (seed % 3 == 0)
    # One instant: the fields differ by at most the running mean and the disorder.
    fields = [head(z)(z.points[:1] * 0 + 0.1, z.positions[:1]) for z in clouds]
    seen = s <= s[0]
    running = weights[seen] @ np.linalg.norm(x - y, axis=1)[seen] / weights[seen].sum()
    most = in_measure * (running + 2 * R * disorder(s, s_other, weights)[0])
    assert np.linalg.norm(fields[0] - fields[1]) <= most


# --- the masked equation -------------------------------------------------------------------------


def test_masked_flow_solves_the_weak_equation():
    """d/dt of the integral of phi(s, x) is that of the gradient times the field."""
    rng = np.random.default_rng(1)
    tokens = tp.Particles(rng.normal(size=(9, 2)), rng.dirichlet(np.ones(9)), rng.random(9))
    head = tp.Masked(tp.Softmax(EYE, -EYE, EYE))
    h = 1e-3
    path = tp.flow(tokens, head, [0.0, 0.5 - h, 0.5, 0.5 + h], rtol=1e-11, atol=1e-12).points
    s, w, c = tokens.positions, tokens.weights, np.array([0.7, -0.4])
    values = [w @ (np.cos(3 * s) * np.sin(x @ c)) for x in path[1:]]
    field = head(tp.Particles(path[2], w, s))(path[2], s)
    exact = w @ (np.cos(3 * s) * np.cos(path[2] @ c) * (field @ c))
    assert (values[2] - values[0]) / (2 * h) == pytest.approx(exact, rel=1e-6)


STACK = tp.Softmax(np.zeros((3, 2, 2)), EYE, EYE)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: mean_field.twin_bound(masked_line(), -1.0, 1.0), ValueError, "radius: must be a"),
        (
            lambda: mean_field.twin_bound(masked_line(), 1.0, -1.0),
            ValueError,
            "time: must be non-",
        ),
        (
            lambda: mean_field.twin_bound(STACK, 1.0, 1.0),
            ValueError,
            "attention: must have no lea",
        ),
        (lambda: mean_field.twin_bound(tp.Softmax, 1.0, 1.0), TypeError, "attention: must be an"),
        (lambda: mean_field.masked_bounds(masked_line(), 0.0), ValueError, "radius: must be a"),
        (lambda: mean_field.masked_limit(masked_line(), wave, 0.0), ValueError, "time: must be a"),
        (
            lambda: mean_field.masked_limit(masked_line(), wave, 1.0, tol=0.0),
            ValueError,
            "tol: must be a positive",
        ),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_mask_on_some_heads_only_has_no_twin_bound():
    line = masked_line()
    assert mean_field.twin_bound(tp.MultiHead([line, line.head]), 1.0, 1.0) is None
    double = mean_field.twin_bound(tp.MultiHead([line, line]), 1.0, 0.1)
    assert double > 2 * mean_field.twin_bound(line, 1.0, 0.1)
