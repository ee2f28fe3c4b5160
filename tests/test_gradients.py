"""Gradients by hand: against differences, against the oracle autograd, and their laws."""

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

import transpde as tp
from transpde.gradients import backpropagate, pullback
from transpde.noise import CommonNoise, RandomFeatures
from transpde.training import Heads

KINDS = [tp.Softmax, tp.L2, tp.Unnormalized, tp.Linear, tp.Sigmoid]


def weights_of(kind, S, w, k, q):
    """The weights of a head as autograd sees them, from its definition."""
    if kind is tp.L2:
        S = -anp.sum((q[..., :, None, :] - k[..., None, :, :]) ** 2, axis=-1)
    if kind in (tp.Softmax, tp.L2):
        E = w * anp.exp(S)
        return E / anp.sum(E, axis=-1, keepdims=True)
    if kind is tp.Linear:
        return w * S
    return w * (anp.exp(S) if kind is tp.Unnormalized else 1 / (1 + anp.exp(-S)))


def oracle(kind, w, O):
    """J = <O, velocities> as a function of tokens, query, key and value."""

    def J(x, Q, K, V):
        turned = [anp.swapaxes(M, -1, -2) for M in (Q, K, V)]
        q, k = anp.matmul(x, turned[0]), anp.matmul(x, turned[1])
        P = weights_of(kind, anp.matmul(q, anp.swapaxes(k, -1, -2)), w[..., None, :], k, q)
        return anp.sum(O * anp.matmul(anp.matmul(P, x), turned[2]))

    return J


def problem(seed, stack=(), own=()):
    """Tokens with weights, parameters and a cotangent; parameters may have leading axes."""
    rng = np.random.default_rng(seed)
    x, O = rng.normal(size=(2, *stack, 5, 3))
    w = rng.dirichlet(np.ones(5), size=stack)
    Q, K = 0.7 * rng.normal(size=(2, *own, 2, 3))
    return x, w, O, Q, K, rng.normal(size=(*own, 3, 3))


def relative(found, true):
    return np.abs(found - true).max() / np.abs(true).max()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("stack", "own"), [((), ()), ((4,), ()), ((4,), (4,)), ((2, 3), (1, 3)), ((2, 3), (2, 3))]
)
def test_pullbacks_agree_with_the_oracle(kind, stack, own):
    x, w, O, Q, K, V = problem(len(stack), stack, own)
    found = pullback(kind(Q, K, V), tp.Particles(x, w), O)
    true = autograd.grad(oracle(kind, w, O), argnum=(0, 1, 2, 3))(x, Q, K, V)
    for one, other in zip(found, true, strict=True):
        assert one.shape == other.shape
        assert relative(one, other) < 1e-13


@pytest.mark.parametrize("kind", KINDS)
def test_pullbacks_agree_with_differences_of_the_field(kind):
    """Of the package's own field, which shares no line with the pullback."""
    x, w, O, *parameters = problem(7)
    rng, h = np.random.default_rng(8), 1e-5
    found = pullback(kind(*parameters), tp.Particles(x, w), O)
    directions = [rng.normal(size=one.shape) for one in (x, *parameters)]

    def J(t):
        y, *moved = (a + t * b for a, b in zip((x, *parameters), directions, strict=True))
        return (O * kind(*moved)(tp.Particles(y, w))(y)).sum()

    slope = (8 * (J(h) - J(-h)) - (J(2 * h) - J(-2 * h))) / (12 * h)
    along = sum((a * b).sum() for a, b in zip(found, directions, strict=True))
    assert along == pytest.approx(slope, rel=1e-9)


def test_a_bias_of_a_sigmoid_has_its_part():
    x, w, O, Q, K, V = problem(3)
    with_bias = pullback(tp.Sigmoid(Q, K, V, bias=0.8), tp.Particles(x, w), O)
    widened = [np.c_[Q, np.zeros(2)], np.c_[K, np.zeros(2)]]
    widened = [np.r_[widened[0], [[0, 0, 0, 0.8]]], np.r_[widened[1], [[0, 0, 0, 1.0]]]]
    V4 = np.zeros((4, 4))
    V4[:3, :3] = V
    lifted = [np.c_[x, np.ones(5)], np.c_[O, np.zeros(5)]]
    other = pullback(tp.Sigmoid(*widened, V4), tp.Particles(lifted[0], w), lifted[1])
    assert np.abs(other.points[:, :3] - with_bias.points).max() < 1e-14
    assert np.abs(other.query[:2, :3] - with_bias.query).max() < 1e-14


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_without_weight_push_nothing_back(kind):
    """They are seen by none: they only get what comes through their own velocity."""
    x, w, O, *parameters = problem(5)
    w = np.r_[w[:-1] / w[:-1].sum(), 0.0]
    O[-1] = 0
    whole = pullback(kind(*parameters), tp.Particles(x, w), O)
    part = pullback(kind(*parameters), tp.Particles(x[:-1], w[:-1]), O[:-1])
    assert np.abs(whole.points[-1]).max() == 0
    for one, other in zip(whole[1:], part[1:], strict=True):
        assert relative(one, other) < 1e-14


def test_score_matters_alone():
    """Of Q and K only A = K^T Q matters: Q_bar = K A_bar and K_bar = Q A_bar^T."""
    x, w, O, Q, K, V = problem(2)
    found = pullback(tp.Softmax(Q, K, V), tp.Particles(x, w), O)
    A = pullback(tp.Softmax(K.T @ Q, np.eye(3), V), tp.Particles(x, w), O).query
    assert relative(found.query, K @ A) < 1e-13
    assert relative(found.key, Q @ A.T) < 1e-13


def test_backpropagation_agrees_with_the_oracle_for_mixed_layers():
    rng = np.random.default_rng(0)
    x, O = rng.normal(size=(2, 6, 2))
    w = rng.dirichlet(np.ones(6))
    parameters = 0.6 * rng.normal(size=(3, 2, 3, 2, 2))
    kinds = [(tp.Softmax, tp.L2), (tp.Linear, tp.Sigmoid), (tp.Softmax, tp.Unnormalized)]

    def J(x, parameters):
        for layer, two in zip(parameters, kinds, strict=True):
            change = 0.0
            for p, kind in zip(layer, two, strict=True):
                q, k = anp.dot(x, p[0].T), anp.dot(x, p[1].T)
                P = weights_of(kind, anp.dot(q, k.T), w, k, q)
                change = change + anp.dot(anp.dot(P, x), p[2].T)
            x = x + 0.4 * change
        return anp.sum(O * x)

    attentions = [
        tp.MultiHead([kind(*p) for p, kind in zip(layer, two, strict=True)])
        for layer, two in zip(parameters, kinds, strict=True)
    ]
    found = backpropagate(tp.layers(tp.Particles(x, w), attentions, 3, 0.4), O)
    by_x, by_p = autograd.grad(J, argnum=(0, 1))(x, parameters)
    assert relative(found.points[0], by_x) < 1e-13
    assert (found.points[-1] == O).all()
    for r in range(3):
        for h in range(2):
            for found_one, true in zip(found.heads[r][h][1:], by_p[r, h], strict=True):
                assert relative(found_one, true) < 1e-12


# --- heads as arrays -----------------------------------------------------------------------------


def network(seed, L=4, H=3, d=2, width=1.2):
    return Heads.uniform(L, H, d, width, seed)


def as_layers(heads):
    eye, H = np.eye(heads.dimension), heads.heads
    return [
        tp.MultiHead([tp.Softmax(A, eye, V / H) for A, V in zip(*layer, strict=True)])
        for layer in zip(heads.score, heads.value, strict=True)
    ]


@pytest.mark.parametrize("weighted", [False, True])
def test_arrays_are_the_layers_of_the_package(weighted):
    """By objects, one head after another."""
    rng, heads = np.random.default_rng(1), network(1, d=3)
    x, O = rng.normal(size=(2, 5, 4, 3))
    measure = tp.Particles(x, rng.dirichlet(np.ones(4), size=5) if weighted else None)
    path = tp.layers(measure, as_layers(heads), heads.depth, 1 / heads.depth)
    states = np.array([path.final.unpack(state).points for state in path.states])
    assert np.abs(heads.run(measure) - states).max() < 1e-14
    found, true = heads.backpropagate(measure, O), backpropagate(path, O)
    assert relative(found.points, true.points) < 1e-14
    for r in range(heads.depth):
        for h in range(heads.heads):
            assert relative(found.score[r, h], true.heads[r][h].query) < 1e-13
            assert relative(found.value[r, h] * heads.heads, true.heads[r][h].value) < 1e-13
    assert np.abs(heads.velocity(measure, 2) - as_layers(heads)[2](measure)(x)).max() < 1e-14
    one = heads.pullback(measure, O, 2)
    layer = [pullback(head, measure, O) for head in as_layers(heads)[2].heads]
    assert relative(one.points, sum(part.points for part in layer)) < 1e-14
    assert relative(one.score, np.array([part.query for part in layer])) < 1e-13


def test_arrays_agree_with_the_oracle():
    """Of the issue's size: 16 layers, 16 heads, 96 tokens."""
    rng, heads = np.random.default_rng(0), network(0, 16, 16)
    x, target = rng.normal(size=(2, 16, 6, 2))

    def J(x, A, V):
        for r in range(16):
            Y = anp.einsum("hce,bne->bhnc", A[r], x)
            E = anp.exp(anp.einsum("bhnc,bmc->bhnm", Y, x))
            P = E / anp.sum(E, axis=-1, keepdims=True)
            x = x + anp.einsum("hac,bhnm,bmc->bna", V[r], P, x) / 256
        return anp.sum((x - target) ** 2) / 192

    true = autograd.grad(J, argnum=(0, 1, 2))(x, np.array(heads.score), np.array(heads.value))
    found = heads.backpropagate(tp.Particles(x), lambda y: (y - target) / 96)
    assert relative(found.points[0], true[0]) < 1e-13
    assert relative(found.score, true[1]) < 1e-12
    assert relative(found.value, true[2]) < 1e-12


def test_arrays_agree_with_differences():
    rng, heads, h = np.random.default_rng(4), network(4), 1e-4
    x, O = rng.normal(size=(2, 3, 5, 2))
    found = heads.backpropagate(tp.Particles(x), O)
    dA, dV = rng.normal(size=(2, *heads.score.shape))

    def J(t):
        moved = Heads(heads.score + t * dA, heads.value + t * dV)
        return (O * moved.run(tp.Particles(x))[-1]).sum()

    slope = (8 * (J(h) - J(-h)) - (J(2 * h) - J(-2 * h))) / (12 * h)
    assert (found.score * dA).sum() + (found.value * dV).sum() == pytest.approx(slope, rel=1e-9)


def test_one_sequence_is_a_stack_of_one():
    heads, x = network(2), np.random.default_rng(2).normal(size=(4, 2))
    one = heads.backpropagate(tp.Particles(x), x)
    stack = heads.backpropagate(tp.Particles(x[None]), x[None])
    assert one.points.shape == (5, 4, 2)
    assert (one.points == stack.points[:, 0]).all()
    assert (one.score == stack.score).all()


def test_long_scores_lose_no_digit():
    """Scores in the thousands: weights are those of the nearest key, gradients are finite."""
    heads = Heads(np.full((1, 1, 1, 1), 1e6), np.ones((1, 1, 1, 1)))
    x = tp.Particles([[1.0], [2.0]])
    assert (heads.run(x)[-1] == [[3.0], [4.0]]).all()
    assert np.isfinite(heads.backpropagate(x, [[1.0], [1.0]]).score).all()


# --- what has no gradient here -------------------------------------------------------------------

EYE, TOKENS = np.eye(2), tp.Particles([[1.0, 0.0], [0.0, 1.0]])
HEAD = tp.Softmax(EYE, EYE, EYE)
LINEAR = tp.Linear(EYE, EYE, 10 * EYE)  # which one token of two does not survive to time one
ENDED = tp.flow(tp.Particles([[[0.1, 0.0]], [[1.0, 0.0]]]), LINEAR, 1.0)(1.0)
HUGE = tp.Unnormalized(300 * EYE, EYE, 1e200 * EYE)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: pullback(tp.Sinkhorn(EYE, EYE, EYE), TOKENS, EYE), TypeError, "head"),
        (lambda: pullback(HEAD + HEAD, TOKENS, EYE), TypeError, "head"),
        (lambda: pullback(HEAD, tp.Gaussian([0.0, 0.0], factor=EYE), EYE), TypeError, "measure"),
        (lambda: pullback(HEAD, tp.Particles(EYE, space=tp.Sphere()), EYE), ValueError, "sphere"),
        (lambda: pullback(HEAD, TOKENS, [[1.0, 0.0]]), ValueError, r"\(2, 2\); got \(1, 2\)"),
        (lambda: pullback(HUGE, TOKENS, 1e200 * EYE), OverflowError, "range"),
        (lambda: backpropagate(tp.flow(TOKENS, HEAD, 1.0), EYE), TypeError, "tp.layers"),
        (lambda: backpropagate(tp.layers(TOKENS, tp.Sinkhorn(EYE, EYE, EYE), 1, 1.0), EYE),
         TypeError, "layers of heads"),
        (lambda: backpropagate(tp.layers(
            TOKENS, HEAD, 2, 0.1, noise=CommonNoise(RandomFeatures(1.0), 4), seed=0), EYE),
         ValueError, "noise"),
        (lambda: Heads(np.ones((1, 2, 2, 2)), np.ones((1, 1, 2, 2))), ValueError, "value"),
        (lambda: Heads(np.ones((1, 2, 2, 3)), np.ones((1, 2, 2, 3))), ValueError, "score"),
        (lambda: network(0).run(tp.Particles([[1.0]])), ValueError, "measure"),
        (lambda: pullback(HEAD, ENDED, np.ones((2, 1, 2))), ValueError, "got NaN in case"),
        (lambda: network(0).run(ENDED), ValueError, "got NaN in case"),
        (lambda: Heads.uniform(1, 1, 1, 1e308, 0), ValueError, "width: must be below 8e307"),
        (lambda: network(0).velocity(TOKENS, 4), ValueError, "from 0 to 3"),
        (lambda: network(0).backpropagate(TOKENS, [[1.0]]), ValueError, "cotangent"),
        (lambda: Heads(np.ones((2, 1, 2, 2)), 1e308 * np.ones((2, 1, 2, 2))).run(TOKENS),
         OverflowError, "range"),
    ],
)  # fmt: skip
def test_what_has_no_gradient_says_so(call, error, words):
    with pytest.raises(error, match=words):
        call()
