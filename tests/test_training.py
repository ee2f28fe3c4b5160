"""Random networks and block AdamW: exact laws, oracles, and the stored runs of the chapter."""

import json

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from loading import ROOT, load_tool
from scipy.integrate import quad_vec
from scipy.linalg import expm

import transpde as tp
from transpde.gradients import pullback
from transpde.records import load
from transpde.theory.depth import depth_fluctuation, forward_bound
from transpde.training import AdamW, Heads, run_deck, train, two_clusters

runs = load_tool("frontier_training")
A, V, X0 = runs.deck_of_three()
DECK, START = runs.heads_of(A, V), tp.Particles(X0)


def scalar_deck(*values):
    return [tp.Softmax([[0.0]], [[0.0]], [[v]]) for v in values]


# --- the law of random networks ------------------------------------------------------------------


def exact_moments(v, sigma, L, H):
    """Mean and variance of a scalar token, of independent factors 1 + (mean of values) / L."""
    second = ((1 + v / L) ** 2 + sigma**2 / (L**2 * H)) ** L
    return (1 + v / L) ** L, second - (1 + v / L) ** (2 * L)


@pytest.mark.parametrize(("L", "H"), [(3, 2), (8, 1), (20, 5)])
def test_one_scalar_token_has_its_exact_moments(L, H):
    v, sigma, count = 0.6, 0.9, 40_000
    ends = run_deck(scalar_deck(v - sigma, v + sigma), tp.Particles([[1.0]]), L, H, count, seed=L)
    x = ends.ravel()
    mean, variance = exact_moments(v, sigma, L, H)
    assert abs(x.mean() - mean) < 3 * np.sqrt(variance / count)
    spread = (x - x.mean()) ** 2
    assert abs(spread.mean() - variance) < 3 * spread.std() / np.sqrt(count)


def test_fluctuation_of_a_scalar_token_is_the_limit_of_the_exact_one():
    v, sigma, start = 0.6, 0.9, tp.Particles([[1.0]])
    deck = scalar_deck(v - sigma, v + sigma)
    assert depth_fluctuation(deck, start).constant == pytest.approx(
        sigma**2 * np.exp(2 * v), rel=1e-10
    )
    for L in (1, 4, 30):
        found = depth_fluctuation(deck, start, L)
        assert found.mean == pytest.approx((1 + v / L) ** L, rel=1e-13)
        exact = sigma**2 * (1 + v / L) ** (2 * L - 2)
        assert found.constant == pytest.approx(exact, rel=1e-13)
        many = 10**6
        assert L * many * exact_moments(v, sigma, L, many)[1] == pytest.approx(exact, rel=1e-4)


def test_covariance_beyond_the_leading_order():
    """What c_L / (LH) misses is of the second order: exactly, for one scalar token."""
    v, sigma = 0.6, 0.9
    for L in (4, 30):
        c = depth_fluctuation(scalar_deck(v - sigma, v + sigma), tp.Particles([[1.0]]), L).constant
        missed = [(exact_moments(v, sigma, L, H)[1] - c / (L * H)) * (L * H) ** 2 for H in (9, 90)]
        next_order = (L - 1) / L / 2 * sigma**4 * (1 + v / L) ** (2 * L - 4)  # binomial
        assert missed[1] == pytest.approx(next_order, rel=1e-2)
        assert missed[0] == pytest.approx(next_order, rel=1e-1)


def test_fluctuation_agrees_with_a_matrix_exponential():
    """Without scores tokens move by products of matrices: Sigma is an integral."""
    zero, x = np.zeros((1, 2)), np.array([[1.0, -0.5]])
    deck = [tp.Softmax(zero, zero, one) for one in V]
    mean = V.mean(axis=0)

    def inside(s):
        moved = (V - mean) @ expm(s * mean) @ x[0]
        turned = expm((1 - s) * mean)
        return turned @ (moved.T @ moved / 3) @ turned.T

    exact = quad_vec(inside, 0, 1, epsabs=1e-13)[0]
    found = depth_fluctuation(deck, tp.Particles(x))
    assert np.abs(found.covariance - exact).max() < 1e-10
    assert np.abs(found.mean[0] - expm(mean) @ x[0]).max() < 1e-11


def test_constants_of_the_deck():
    limit = depth_fluctuation(DECK, START)
    assert limit.constant == pytest.approx(1.13326, abs=1e-5)
    mean = tp.MultiHead([tp.Softmax(a, np.eye(2), v / 3) for a, v in zip(A, V, strict=True)])
    assert np.abs(tp.flow(START, mean, 1.0).final.points - limit.mean).max() < 1e-9
    for L, constant, bias in ((32, 1.07143, 0.2037), (128, 1.11731, 0.2051)):
        found = depth_fluctuation(DECK, START, L)
        assert found.constant == pytest.approx(constant, abs=1e-5)
        euler = tp.layers(START, mean, L, 1 / L).final.points
        assert np.abs(found.mean - euler).max() < 1e-13
        off = L * np.sqrt(((found.mean - limit.mean) ** 2).sum(axis=-1).mean())
        assert off == pytest.approx(bias, abs=1e-4)


def test_jacobian_of_weighted_tokens():
    """Sigma after one layer, by differences of the layer that follows."""
    w, h = np.array([0.5, 0.3, 0.2]), 1e-5
    start = tp.Particles(X0[:3], w)
    values = np.array([head(start)(start.points).ravel() for head in DECK])
    first = np.cov(values.T, bias=True) / 2
    middle = start.points + values.mean(axis=0).reshape(3, 2) / 2

    def layer(x):
        at = tp.Particles(x.reshape(3, 2), w)
        return x + np.mean([head(at)(at.points).ravel() for head in DECK], axis=0) / 2

    x = middle.ravel()
    J = np.array([(layer(x + h * e) - layer(x - h * e)) / (2 * h) for e in np.eye(6)]).T
    at = tp.Particles(middle, w)
    values = np.array([head(at)(at.points).ravel() for head in DECK])
    second = J @ first @ J.T + np.cov(values.T, bias=True) / 2
    found = depth_fluctuation(DECK, start, 2)
    assert np.abs(found.covariance - second).max() < 1e-9


def test_a_flow_that_explodes_has_no_limit_law():
    """Linear heads: x' = 30 x^3 from one, which is infinite at 1/60."""
    deck, start = [tp.Linear([[1.0]], [[1.0]], [[v]]) for v in (29.0, 31.0)], tp.Particles([[1.0]])
    with pytest.raises(OverflowError, match=r"only to 0\.0166"):
        depth_fluctuation(deck, start)
    slow = [tp.Linear([[1.0]], [[1.0]], [[v]]) for v in (0.1, 0.3)]
    assert depth_fluctuation(slow, start).mean == pytest.approx((1 - 0.4) ** -0.5, rel=1e-10)


def test_bound_at_the_edge_of_floats():
    assert forward_bound(1000.0, 0.0, 0.0, 1, 1) == 0
    assert forward_bound(1000.0, 1.0, 0.0, 1, 1) == np.inf
    assert forward_bound(0.0, 0.0, 1e300, 1, 1) == np.inf
    assert forward_bound(400.0, 1e-200, 0.0, 1, 1) == pytest.approx(
        8 * np.exp(800.0 - 200 * np.log(10)), rel=1e-12
    )


def test_a_card_is_one_head():
    stack = tp.Softmax(np.broadcast_to(np.eye(2), (4, 2, 2)), np.eye(2), np.eye(2))
    with pytest.raises(ValueError, match="query: its leading axes"):
        run_deck([stack], START, 1, 1, 4, seed=0)


@pytest.mark.parametrize(("L", "H"), [(4, 1), (16, 4)])
def test_bound_holds_where_its_constants_are_known(L, H):
    """One token without scores: the mean field is linear, of norm ||E V||."""
    zero, x, count = np.zeros((1, 2)), np.array([[1.0, -0.5]]), 4000
    mean = V.mean(axis=0)
    l, v = np.linalg.norm(mean, 2), max(np.linalg.norm(one, 2) for one in V)
    reach = np.linalg.norm(x) * np.exp(v)
    variance = max(np.linalg.norm(one - mean, 2) for one in V) ** 2 * reach**2
    bound = forward_bound(l, variance, l**2 * np.linalg.norm(x) * np.exp(l), L, H)
    ends = run_deck([tp.Softmax(zero, zero, one) for one in V], tp.Particles(x), L, H, count, 0)
    measured = ((ends[:, 0] - expm(mean) @ x[0]) ** 2).sum(axis=-1).mean()
    assert 0 < measured < bound


def test_arrays_of_drawn_heads_have_the_law_of_decks():
    """Of `Heads`, drawn one by one, against `run_deck`, which counts them."""
    rng, count = np.random.default_rng(5), 3000
    drawn = rng.integers(3, size=(count, 4, 2))
    ends = np.array([Heads(A[k], V[k]).run(START)[-1] for k in drawn])
    other = run_deck(DECK, START, 4, 2, count, seed=6)
    error = np.sqrt((ends.var(axis=0) + other.var(axis=0)) / count)
    assert (np.abs(ends.mean(axis=0) - other.mean(axis=0)) < 4 * error).all()
    squares = [((one - one.mean(axis=0)) ** 2).sum(axis=(1, 2)) for one in (ends, other)]
    error = np.sqrt(sum(s.var() for s in squares) / count)
    assert abs(squares[0].mean() - squares[1].mean()) < 3 * error


# --- AdamW ---------------------------------------------------------------------------------------


def textbook(theta, gradients, rate, decay, epsilon, b1=0.9, b2=0.999):
    """AdamW of one parameter, line by line from its definition."""
    m = v = 0.0
    for k, g in enumerate(gradients, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        theta -= rate * (m / (1 - b1**k) / ((v / (1 - b2**k)) ** 0.5 + epsilon) + decay * theta)
    return theta


def after(rule, theta, gradients):
    moments = None
    for g in gradients:
        theta, moments = rule.step(theta, g, moments)
    return theta


def test_every_entry_by_itself_is_the_textbook():
    rng = np.random.default_rng(0)
    theta, g = rng.normal(size=(2, 3, 3)), rng.normal(size=(7, 2, 3, 3))
    found = after(AdamW(0.1, 0.05, 1e-3, block=False), theta, g)
    for i in np.ndindex(theta.shape):
        true = textbook(theta[i], [one[i] for one in g], 0.1, 0.05, 1e-3)
        assert found[i] == pytest.approx(true, rel=1e-13)


def test_a_block_of_one_entry_is_the_textbook():
    g = np.random.default_rng(1).normal(size=(7, 1, 1))
    found = after(AdamW(0.1, 0.05, 1e-3), np.ones((1, 1)), g)
    assert found[0, 0] == pytest.approx(textbook(1.0, g.ravel(), 0.1, 0.05, 1e-3), rel=1e-13)


def test_a_block_turns_with_its_gradients():
    """Its scalar is a norm of the block: no axis of the tokens is preferred."""
    rng = np.random.default_rng(2)
    theta, g = rng.normal(size=(3, 3)), rng.normal(size=(5, 3, 3))
    U = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rule = AdamW(0.1, 0.05, 1e-3)
    assert np.abs(U @ after(rule, theta, g) - after(rule, U @ theta, U @ g)).max() < 1e-14
    entries = AdamW(0.1, 0.05, 1e-3, block=False)
    assert np.abs(U @ after(entries, theta, g) - after(entries, U @ theta, U @ g)).max() > 1e-2


def test_scaled_gradients_with_a_scaled_epsilon_are_the_same():
    rng = np.random.default_rng(3)
    theta, g = rng.normal(size=(3, 3)), rng.normal(size=(5, 3, 3))
    one, other = AdamW(0.1, 0.05, 1e-3), AdamW(0.1, 0.05, 1e-3 / 256)
    assert np.abs(after(one, theta, g) - after(other, theta, g / 256)).max() < 1e-14


@pytest.mark.parametrize("block", [True, False])
@pytest.mark.parametrize("unit", [1e-200, 1e-160, 1e150, 1e200, 1e300])
def test_no_square_of_a_gradient_leaves_the_range(unit, block):
    """In every unit the steps are the same, with epsilon in that unit, up to rounding."""
    rng = np.random.default_rng(5)
    theta, g = rng.normal(size=(2, 3, 3)), rng.normal(size=(6, 2, 3, 3))
    true = after(AdamW(0.1, 0.05, 1e-3, block), theta, g)
    found = after(AdamW(0.1, 0.05, 1e-3 * unit, block), theta, unit * g)
    assert np.abs(found - true).max() < 1e-14


def test_a_step_refuses_moments_of_other_parameters():
    rule, eye = AdamW(0.1, 0.0, 1e-3), np.eye(2)
    entries = AdamW(0.1, 0.0, 1e-3, block=False)
    for other in (np.ones((3, 3)), np.ones((5, 2, 2)), np.ones((1, 2, 2))):
        moments = rule.step(other, other, None)[1]
        with pytest.raises(ValueError, match="moments: must be those of a step of this rule"):
            rule.step(eye, eye, moments)
    with pytest.raises(ValueError, match="moments: must be those of a step of this rule"):
        rule.step(eye, eye, entries.step(eye, eye, None)[1])
    with pytest.raises(OverflowError, match="step: a parameter"):
        AdamW(1e308, 0.0, 1e-3).step(-1e308 * eye, eye, None)


def test_updates_are_bounded_and_lipschitz():
    """The two facts about AdamW that the theorem needs, with its constants."""
    rng = np.random.default_rng(4)
    rule, (b1, b2), d = AdamW(1.0, 0.0, 0.03), (0.9, 0.999), 2
    worst = np.zeros(2)
    for _ in range(300):
        K = int(rng.integers(1, 40))
        g = rng.normal(size=(K, d, d)) * np.exp(rng.normal(size=(K, 1, 1)) * 2 - 3)
        near = g + 1e-4 * rng.normal(size=g.shape)
        first = [AdamW.step(rule, np.zeros((d, d)), g[0], None)]
        other = [AdamW.step(rule, np.zeros((d, d)), near[0], None)]
        for k in range(1, K):
            first.append(rule.step(np.zeros((d, d)), g[k], first[-1][1]))
            other.append(rule.step(np.zeros((d, d)), near[k], other[-1][1]))
        i = np.arange(K)
        a = (1 - b1) * b1**i / (1 - b1**K)
        w = (1 - b2) * b2**i / (1 - b2**K)
        C = np.sqrt((a**2 / w).sum())
        size, change = np.linalg.norm(first[-1][0]), np.linalg.norm(first[-1][0] - other[-1][0])
        largest = np.linalg.norm(near - g, axis=(1, 2)).max()
        worst = np.maximum(worst, [size / (C * d), change / ((1 + C) / 0.03 * largest)])
    assert (worst <= 1).all()
    assert (worst > [0.5, 0.01]).all()


# --- training ------------------------------------------------------------------------------------


def test_training_is_that_of_the_oracle():
    """Six steps, gradients by autograd, updates by the textbook with one norm a block."""
    measure, target = two_clusters(3, 4, seed=1)
    heads, L, H = Heads.uniform(3, 2, 2, 1.2, seed=0), 3, 2
    x0 = measure.points

    def loss(scores, values):
        x = x0
        for r in range(L):
            E = anp.exp(anp.einsum("hce,bne,bmc->bhnm", scores[r], x, x))
            P = E / anp.sum(E, axis=-1, keepdims=True)
            x = x + anp.einsum("hac,bhnm,bmc->bna", values[r], P, x) / (L * H)
        return anp.sum((x - target) ** 2) / 24

    theta = [np.array(heads.score), np.array(heads.value)]
    m, v = [0.0, 0.0], [0.0, 0.0]
    losses = [loss(*theta)]
    for k in range(1, 7):
        gradients = autograd.grad(loss, argnum=(0, 1))(*theta)
        for i, g in enumerate(gradients):
            g = L * H * g
            m[i] = 0.9 * m[i] + 0.1 * g
            v[i] = 0.999 * v[i] + 0.001 * (g * g).sum(axis=(-2, -1), keepdims=True) / 4
            by = m[i] / (1 - 0.9**k) / (np.sqrt(v[i] / (1 - 0.999**k)) + 0.01)
            theta[i] = theta[i] - 0.05 * (by + 0.1 * theta[i])
        losses.append(loss(*theta))
    run = train(heads, measure, target, AdamW(0.05, 0.1, 0.01), 6)
    assert np.abs(run.losses - losses).max() < 1e-14
    assert np.abs(run.heads.score - theta[0]).max() < 1e-12
    assert np.abs(run.heads.value - theta[1]).max() < 1e-12
    assert run.stop == "steps"


def test_a_token_of_double_weight_is_two_tokens():
    rng = np.random.default_rng(2)
    x, goal = rng.normal(size=(2, 3, 2))
    twice = [0, 0, 1, 2]
    rule, heads = AdamW(0.05, 0.1, 0.01), Heads.uniform(2, 2, 2, 1.0, seed=0)
    one = train(heads, tp.Particles(x, [0.5, 0.25, 0.25]), goal, rule, 5)
    other = train(heads, tp.Particles(x[twice]), goal[twice], rule, 5)
    assert np.abs(one.losses - other.losses).max() < 1e-14
    assert np.abs(one.heads.score - other.heads.score).max() < 1e-12


def test_training_out_of_range_keeps_what_it_has():
    measure, target = two_clusters(2, 4, seed=0)
    run = train(Heads.uniform(3, 2, 2, 1.0, 0), measure, target, AdamW(1e150, 0.0, 0.01), 5)
    assert run.stop == "not finite"
    assert len(run.losses) < 6
    assert np.isfinite(run.losses).all()
    last = ((run.heads.run(measure)[-1] - target) ** 2).sum(axis=-1).mean() / 2
    assert last == pytest.approx(run.losses[-1], rel=1e-12)
    huge = Heads(np.ones((2, 1, 2, 2)), 1e200 * np.ones((2, 1, 2, 2)))
    with pytest.raises(OverflowError, match="before the first step"):
        train(huge, measure, target, AdamW(0.1, 0.0, 0.01), 5)


def test_centred_heads_do_nothing_and_learn_at_first_order():
    """E V = 0: the mean field is zero; one step lowers the loss by rate times a known integral."""
    measure, target = two_clusters(16, 6, seed=0)
    O = (measure.points - target) / 96
    # A deck whose values are +V and -V for each A has mean zero exactly.
    rng = np.random.default_rng(0)
    score, value = rng.uniform(-1.2, 1.2, (2, 8, 2, 2))
    score, value = np.concatenate([score] * 2), np.concatenate([value, -value])
    heads = Heads(np.broadcast_to(score, (64, 16, 2, 2)), np.broadcast_to(value, (64, 16, 2, 2)))
    assert np.abs(heads.run(measure) - measure.points).max() < 1e-14
    fall = 0.0
    for A1, V1 in zip(score, value, strict=True):
        g = pullback(tp.Softmax(A1, np.eye(2), V1), measure, O)
        for one in (g.query, g.value):
            fall += (one**2).sum() / (np.sqrt((one**2).mean()) + 0.01) / 16
    slopes = []
    for rate in (1e-3, 5e-4):
        run = train(heads, measure, target, AdamW(rate, 0.3, 0.01), 1)
        slopes.append((run.losses[0] - run.losses[1]) / rate)
    assert 2 * slopes[1] - slopes[0] == pytest.approx(fall, rel=1e-4)


def test_the_measured_gradient_keeps_the_projects_floor():
    """What `make bench` found, committed: no time is taken here."""
    found = json.loads((ROOT / "benchmarks" / "gradients.json").read_text())
    program = load_tool("attention", folder="benchmarks") and load_tool("gradients", "benchmarks")
    assert list(found["cases"]) == list(program.CASES)
    assert all(row["ratio"] >= program.FLOOR for row in found["cases"].values())
    assert all(row["difference"] < 1e-13 for row in found["cases"].values())
    assert program.table(found) == (ROOT / "benchmarks" / "gradients.md").read_text()


# --- the stored runs -----------------------------------------------------------------------------

STORED = load("training", ROOT / "book" / "frontier" / "data")
N = STORED.numbers


def test_variances_are_those_of_finite_depth():
    for L, constant in ((32, 1.07143), (128, 1.11731)):
        found = N[f"variance, {L}"]
        assert abs(found["mean"] - constant) < 3 * found["error"]
    found = N["variance, 32"]
    assert abs(found["mean"] - 1.13326) > 5 * found["error"]  # the limit's constant is rejected
    assert np.abs(np.array(N["inside"]) - 0.95).max() < 0.015


def test_noise_of_training_falls_like_the_root_of_l_times_h():
    found, sizes = N["adamw"], list(runs.SIZES)
    for values, true in (
        (found["tokens"], (0.0512, 0.0264, 0.0154, 0.0062)),
        (found["adjoints"], (0.059, 0.031, 0.018, 0.0070)),
    ):
        assert np.abs(np.array(values) / true - 1).max() < 0.25
        assert abs(runs.slope(sizes, values) + 1) < 0.15
    assert np.abs(np.array(found["loss"]) - (0.0610, 0.0549, 0.0525, 0.0517)).max() < 0.001
    assert abs(runs.slope(runs.SWEEP["depths"], N["depths"]) + 0.48) < 0.15
    assert abs(runs.slope(runs.SWEEP["heads"], N["heads"]) + 0.48) < 0.15
    assert np.abs(np.array(N["many"]) / (0.0368, 0.0187, 0.0099) - 1).max() < 0.04
    assert abs(runs.slope(runs.MANY["depths"], N["many"]) + 0.474) < 0.02


def test_slopes_in_one_direction_are_known_with_their_error():
    """Flatter than -1/2 by more than chance, as theirs whose constant grows with the size."""
    for name, row in N["sweeps"].items():
        assert 0.005 < row["error"] < 0.03
        assert abs(row["slope"] + 0.5) < 0.1
        assert row["slope"] + 0.5 > 2 * row["error"]
        assert np.abs(np.array(row["sets"]) - row["slope"]).max() < 8 * row["error"]
        sizes = np.array(runs.SWEEP[name])
        scaled = np.sqrt(runs.SWEEP["fixed"] * sizes) * row["values"]
        assert 1.05 < scaled[-1] / scaled[0] < 1.25
        assert runs.slope(sizes, N[name]) == pytest.approx(row["sets"][0], abs=1e-12)
    assert abs(runs.slope(runs.MANY["depths"], N["many"]) + 0.5) < 3 * N["many, error"]


def test_jackknife_of_a_slope_is_its_scatter():
    """Of normal samples of known deviations: the error against that of many repetitions."""
    rng, sizes = np.random.default_rng(0), (4, 8, 16)
    found = [
        runs.fall(sizes, [rng.normal(size=(16, 5, 2)) / n for n in sizes]) for _ in range(200)
    ]
    slopes = np.array([one["slope"] for one in found])
    assert abs(slopes.mean() + 1) < 4 * slopes.std() / 200**0.5
    assert np.mean([one["error"] for one in found]) == pytest.approx(slopes.std(), rel=0.15)


def test_few_layers_of_many_heads_are_better_for_the_deck():
    """128 heads in all: the formula, and random networks, at sixteen heads a layer and at one."""
    limit, found = depth_fluctuation(DECK, START), {}
    for L in (2, 4, 7, 8, 16, 32, 64, 128):
        law = depth_fluctuation(DECK, START, L)
        found[L] = law.constant / 128 + ((law.mean - limit.mean) ** 2).sum() / 6
    assert min(found, key=found.get) == 7
    b, rest = 0.2056, 128 * (limit.constant - depth_fluctuation(DECK, START, 128).constant)
    assert 5 < 2 * b**2 * 128 / rest < 7  # of the expansion of c_L, which L = 7 is small for
    measured = []
    for L, H in ((8, 16), (128, 1)):
        off = run_deck(DECK, START, L, H, 2000, seed=[L, 7]) - limit.mean
        square = (off**2).sum(axis=-1).mean(axis=-1)
        error = square.std() / 2000**0.5
        assert abs(square.mean() - found[L]) < 4 * error
        measured.append((square.mean(), error))
    (few, e), (many, f) = measured
    assert many - few > 3 * np.hypot(e, f)


def test_without_smoothness_the_noise_falls_more_slowly():
    for name, (least, most) in {
        "1e-08": (-0.95, -0.7), "0.001": (-0.95, -0.7), "0.01": (-1.1, -0.9), "0.1": (-1.2, -0.95)
    }.items():  # fmt: skip
        row = N["smooth"][name]
        assert least < row["slope"] < most
        assert row["error"] < 0.05
    small, main = N["smooth"]["1e-08"], N["smooth"]["0.01"]
    assert small["slope"] - main["slope"] > 3 * np.hypot(small["error"], main["error"])
    for name, slope in (
        ("1e-08, 0", -0.835), ("1e-08, 100", -0.75), ("0.001, 0", -0.80), ("0.1, 0", -1.07)
    ):  # fmt: skip
        assert abs(runs.slope(runs.SIZES, N[f"epsilon {name}"]) - slope) < 0.15, name


def test_other_scalings_do_not_work():
    assert np.abs(np.array(N["raw"]) - (0.0615, 0.0621, 0.0686, 0.0727)).max() < 0.003
    half, one = np.array(N["displacement, half"]), np.array(N["displacement, one"])
    assert np.abs(half - (1.66, 1.38, 1.42, 1.15)).max() < 0.25
    assert np.abs(one / (0.334, 0.149, 0.078, 0.037) - 1).max() < 0.1


def test_a_trained_deck_is_near_its_limit():
    """Both the noise and the bias: what is left falls like 1/n for L = H = n."""
    errors = np.array([one["error"] for one in N["deck"]])
    for column in errors.T:
        assert abs(runs.slope(runs.DECK["sizes"], column) + 1) < 0.15
    assert np.array([one["spread"] for one in N["deck"]]).max() < 0.15


def test_fans_of_losses_close():
    """Log losses over seeds: after the first step, and at the end of sizes that learn."""
    fans = [np.log(STORED.arrays[f"losses, {n}"].astype(float)) for n in runs.PATHS["sizes"]]
    early = np.array([fan[:, 1].std() for fan in fans])
    assert (early[1:] < 0.6 * early[:-1]).all()
    late = [fan[:, -1].std() for fan in fans[1:]]
    assert late[1] < late[0] / 2
    assert late[2] < late[1]


def test_some_stored_runs_again():
    ends, adjoints, losses = runs.over_seeds(4, 4, 0, runs.SIZES[4])
    assert runs.spread(ends) == pytest.approx(N["adamw"]["tokens"][0], rel=1e-8)
    assert runs.spread(adjoints) == pytest.approx(N["adamw"]["adjoints"][0], rel=1e-8)
    assert losses[:, -1].mean() == pytest.approx(N["adamw"]["loss"][0], rel=1e-10)
    ends = run_deck(DECK, START, 128, 4, runs.CLOUD, seed=[0, 128])[:300]
    assert np.abs(ends - STORED.arrays["cloud"]).max() < 1e-6
