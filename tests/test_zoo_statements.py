"""The statements of the chapter on the attention zoo, over random parameters."""

import numpy as np
import pytest
from problems import head_parameters
from scipy.linalg import expm
from scipy.special import exp1
from table import HEADS, ROWS

import transpde as tp
from transpde.theory.small_tokens import small_token_terms

SEEDS = range(6)


def case(seed, n=7, d=3, size=1.0):
    rng = np.random.default_rng(seed)
    Q, K, V = head_parameters(rng, d, size=1.2)
    x = size * (rng.normal(size=(n, d)) + 0.3)
    return Q, K, V, x, rng.dirichlet(2 * np.ones(n)), rng


# --- what normalisation gives --------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["softmax", "l2", "sinkhorn", "sigmoid", "masked softmax"])
def test_velocity_of_a_mean_of_tokens_is_bounded(name, seed):
    Q, K, V, x, w, _ = case(seed, size=1.5)
    tokens = tp.Particles(x, w, positions=np.arange(len(x)))
    speed = np.linalg.norm(tokens.velocities(ROWS[name].make(Q, K, V)(tokens)), axis=1)
    bound = np.linalg.norm(V, 2) * np.linalg.norm(x, axis=1).max()
    assert speed.max() <= bound * (1 + 1e-12)


@pytest.mark.parametrize("name", ["linear", "unnormalized"])
def test_without_normalisation_the_bound_fails(name):
    Q, K, V, x, w, _ = case(0, size=3.0)
    tokens = tp.Particles(x, w)
    speed = np.linalg.norm(HEADS[name](Q, K, V)(tokens)(x), axis=1)
    assert speed.max() > np.linalg.norm(V, 2) * np.linalg.norm(x, axis=1).max()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_shift_of_all_tokens(seed):
    Q, K, V, x, w, rng = case(seed)
    a = rng.normal(size=3)
    before, after = tp.Particles(x, w), tp.Particles(x + a, w)
    for head in (tp.Sinkhorn(Q, K, V, 0.7), tp.L2(Q, Q, V)):
        assert np.abs(head.matrix(after) - head.matrix(before)).max() <= 1e-10
        gap = head(after)(x + a) - head(before)(x) - V @ a
        assert np.abs(gap).max() <= 1e-10
    for head, tilt in ((tp.Softmax(Q, K, V), K.T @ Q @ a),
                       (tp.L2(Q, K, V), 2 * K.T @ (Q - K) @ a)):  # fmt: skip
        tilted = head.matrix(before) * np.exp(x @ tilt)
        tilted /= tilted.sum(axis=1, keepdims=True)
        assert np.abs(head.matrix(after) - tilted).max() <= 1e-13
        assert np.abs(head.matrix(after) - head.matrix(before)).max() >= 1e-3


@pytest.mark.parametrize("seed", SEEDS)
def test_the_mean_moves_by_the_column_sums_and_under_sinkhorn_by_the_value_alone(seed):
    Q, K, V, x, w, _ = case(seed)
    tokens = tp.Particles(x, w)
    for name in HEADS:
        head = HEADS[name](Q, K, V)
        columns = w @ head.matrix(tokens)
        assert np.abs(w @ head(tokens)(x) - V @ (columns @ x)).max() <= 1e-12
    path = tp.flow(tokens, tp.Sinkhorn(Q, K, V, 0.5), [0.0, 0.5, 1.0])
    drifting = tp.flow(tokens, tp.Softmax(Q, K, V), [0.0, 0.5, 1.0])
    for i, t in enumerate(path.times):
        exact = expm(t * V) @ tokens.mean
        assert np.abs(path[i].mean - exact).max() <= 1e-9
    assert np.abs(drifting.final.mean - exact).max() >= 1e-3
    layered = tp.layers(tokens, tp.Sinkhorn(Q, K, V, 0.5), 5, 0.2).final.mean
    assert np.abs(
        layered - np.linalg.matrix_power(np.eye(3) + 0.2 * V, 5) @ tokens.mean
    ).max() <= (1e-10)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_token_blows_up_without_normalisation(seed):
    Q, K, _, x, _, rng = case(seed, n=1)
    K = K if x[0] @ K.T @ Q @ x[0] > 0 else -K
    v = rng.uniform(0.5, 1.5)
    s = x[0] @ K.T @ Q @ x[0]
    token = tp.Particles(x)
    linear = tp.flow(token, tp.Linear(Q, K, v * np.eye(3)), 1e6)
    assert linear.blowup_time == pytest.approx(1 / (2 * v * s), rel=1e-8)
    unnormalised = tp.flow(token, tp.Unnormalized(Q, K, v * np.eye(3)), 1e6)
    assert unnormalised.blowup_time == pytest.approx(exp1(s) / (2 * v), rel=1e-8)
    for head in (tp.Softmax, tp.L2, tp.Sinkhorn):
        end = tp.flow(token, head(Q, K, v * np.eye(3)), 2.0).final.points
        assert end == pytest.approx(np.exp(2 * v) * x, rel=1e-9)


# --- limits --------------------------------------------------------------------------------------

BIAS, EPSILON = -0.5, 0.7


LISTED = ("softmax", "l2", "sinkhorn", "sigmoid", "linear", "unnormalized")  # in the statement


def options(name):
    return {"sigmoid": (BIAS,), "sinkhorn": (EPSILON,)}.get(name, ())


@pytest.mark.parametrize("name", LISTED)
def test_small_tokens_have_a_linear_response(name):
    deltas, orders = np.array([0.06, 0.09, 0.13, 0.19]), []
    for seed in SEEDS:
        Q, K, V, x, w, _ = case(seed)
        head = HEADS[name](Q, K, V, *options(name))
        constant, r = small_token_terms(head, tp.Particles(x, w))
        errors = []
        for t in deltas:
            velocity = head(tp.Particles(t * x, w))(t * x) / t
            errors.append(np.abs(velocity - (constant + t**2 * r) @ V.T).max())
        if name == "linear":
            assert max(errors) <= 1e-13
        else:
            orders.append(np.polyfit(np.log(deltas), np.log(errors), 1)[0])
    assert (np.abs(np.array(orders) - 4) <= 0.25).all()


def test_terms_of_small_tokens_are_for_single_heads():
    head = tp.Softmax(np.eye(2), np.eye(2), np.eye(2))
    with pytest.raises(TypeError, match=r"head: must be a softmax, .* got MultiHead"):
        small_token_terms(tp.MultiHead([head]), tp.Particles([[0.0, 1.0]]))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_very_negative_bias_gives_unnormalised_attention(seed):
    Q, K, V, x, w, _ = case(seed, size=0.5)
    tokens = tp.Particles(x, w)
    limit, R = tp.Unnormalized(Q, K, V)(tokens)(x), np.linalg.norm(x, axis=1).max()
    largest = (x @ Q.T @ K @ x.T).max()
    size = np.linalg.norm(V, 2) * R * np.exp(2 * largest)
    errors = []
    for b in (-10.0, -11.0, -12.0):
        errors.append(np.abs(np.exp(-b) * tp.Sigmoid(Q, K, V, b)(tokens)(x) - limit).max())
        assert errors[-1] <= size * np.exp(b)
    assert np.abs(np.diff(np.log(errors)) + 1).max() <= 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_l2_with_keys_of_one_norm_is_softmax_with_doubled_scores(seed):
    Q, K, V, x, w, rng = case(seed)
    unit = x @ K.T / np.linalg.norm(x @ K.T, axis=1, keepdims=True)
    z, probe = rng.uniform(size=len(x)), rng.normal(size=(5, 3))

    def fields(eta):
        y = np.linalg.solve(K, (unit * np.sqrt(1 + eta * z[:, None])).T).T
        tokens = tp.Particles(y, w)
        gap = tp.L2(Q, K, V)(tokens)(probe) - tp.Softmax(2 * Q, K, V)(tokens)(probe)
        return np.linalg.norm(gap, axis=1).max(), np.linalg.norm(y, axis=1).max()

    gap, R = fields(0.0)
    assert gap <= 1e-13 * R
    for eta in (0.3, 0.03, 0.003):
        gap, R = fields(eta)
        assert 0 < gap <= np.linalg.norm(V, 2) * R * np.expm1(eta)


@pytest.mark.parametrize("seed", SEEDS)
def test_large_scores_choose_one_token(seed):
    Q, K, V, x, w, rng = case(seed)
    y = rng.normal(size=3)
    scores = x @ K.T @ Q @ y
    order = np.argsort(scores)
    best, gap = order[-1], scores[order[-1]] - scores[order[-2]]
    apart = np.linalg.norm(x - x[best], axis=1).max()
    size = np.linalg.norm(V, 2) * apart * (1 - w[best]) / w[best]
    for beta in (5.0 / gap, 10.0 / gap, 20.0 / gap):
        error = np.linalg.norm(tp.Softmax(beta * Q, K, V)(tp.Particles(x, w))(y) - V @ x[best])
        assert 0 < error <= size * np.exp(-beta * gap)
