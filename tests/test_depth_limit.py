"""Layers against the flow: Lipschitz constants, error bounds, random layers, inverses."""

import numpy as np
import pytest

import transpde as tp
from transpde import theory

HEADS = {"softmax": tp.Softmax, "L2": tp.L2, "sigmoid": tp.Sigmoid, "Sinkhorn": tp.Sinkhorn}


def lipschitz(kind, Q, K, V, R):
    """The constant of the lemma for softmax, and those of the proposition for other attentions."""
    q, k, v, a = (np.linalg.norm(M, 2) for M in (Q, K, V, K.T @ Q))
    weights = {
        "softmax": 2 * a,
        "Sinkhorn": 2 * a,
        "sigmoid": a / 2,
        "L2": 2 * a + 2 * k * (q + k),
    }
    return v * (1 + weights[kind] * R**2)


def problem(seed, size=1.0):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 7))
    x, w = rng.normal(size=(n, 2)), rng.dirichlet(np.full(n, 0.5)) + 1e-3
    # Half of the clouds lie on the sphere, where the constants come closest.
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    R = rng.uniform(0.2, 1.5) if size is None else size
    x *= R / (lengths if seed % 2 else lengths.max())
    return x, w / w.sum(), rng.normal(size=(3, 2, 2)), R


def jacobian(kind, x, w, M, step=1e-5):
    head, n = HEADS[kind](*M), len(x)

    def velocities(x):
        mu = tp.Particles(x, w)
        return head(mu)(mu.points)

    J = np.empty((n, 2, n, 2))
    for j, b in np.ndindex(n, 2):
        change = np.zeros((n, 2))
        change[j, b] = step
        J[:, :, j, b] = (velocities(x + change) - velocities(x - change)) / (2 * step)
    return J


@pytest.mark.parametrize("kind", HEADS)
def test_lipschitz_constants_hold_and_are_nearly_reached(kind):
    shares = []
    for seed in range(40):
        x, w, M, R = problem(seed, size=None)
        J, n = jacobian(kind, x, w, M), len(x)
        if kind == "Sinkhorn":  # the norm of the weighted mean square
            s = np.sqrt(w)
            scaled = J * s[:, None, None, None] / s[None, None, :, None]
            norm = np.linalg.norm(scaled.reshape(2 * n, 2 * n), 2)
        else:  # an upper bound of the operator norm for the largest token
            blocks = np.linalg.norm(J.transpose(0, 2, 1, 3), 2, axis=(2, 3))
            norm = blocks.sum(axis=1).max()
        shares.append(norm / lipschitz(kind, *M, R))
    assert 0.5 < max(shares) <= 1 + 1e-6


def weighted_norm(head, x, w, step=1e-6):
    """The operator norm of the derivative in the weighted mean square."""
    n, d = x.shape
    J = np.empty((n, d, n, d))
    for j, b in np.ndindex(n, d):
        change = np.zeros((n, d))
        change[j, b] = step
        ends = [head(tp.Particles(z, w))(z) for z in (x + change, x - change)]
        J[:, :, j, b] = (ends[0] - ends[1]) / (2 * step)
    s = np.sqrt(w)
    scaled = J * s[:, None, None, None] / s[None, None, :, None]
    return np.linalg.norm(scaled.reshape(n * d, n * d), 2)


def test_heads_beside_sinkhorn_have_a_constant_in_the_weighted_norm():
    """It is L_x + L_2, larger than that of the maximum norm, which is false here."""
    kinds = {"softmax": tp.Softmax, "L2": tp.L2, "sigmoid": tp.Sigmoid}
    for seed in range(12):
        x, w, M, R = problem(seed, size=None)
        beside = tp.Sinkhorn(*M[::-1])
        rest = lipschitz("Sinkhorn", *M[::-1], R)
        for kind in kinds.values():
            head = kind(*M)
            bound = sum(theory.order_bounds(head, R, 2))
            assert weighted_norm(head, x, w) <= bound * (1 + 1e-5)
            both = tp.MultiHead([head, beside])
            assert weighted_norm(both, x, w) <= (bound + rest) * (1 + 1e-5)
    one, alpha, norms = np.eye(1), 4.0, []
    for w in (1e-1, 1e-2, 1e-3, np.exp(-2 * alpha)):
        head = tp.Softmax(-alpha * one, one, one)
        norms.append(weighted_norm(head, np.array([[-1.0], [1.0]]), np.array([1 - w, w])))
    assert norms[-1] == max(norms) > 4 * lipschitz("softmax", -alpha * one, one, one, 1.0)
    assert max(norms) <= alpha + (1 + alpha) * np.exp(alpha)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("seed", range(5))
def test_error_of_layers_is_below_the_bound_and_of_order_one(kind, seed):
    x, w, M, R0 = problem(seed)
    M, T = M / np.linalg.norm(M, 2, axis=(1, 2))[:, None, None], 0.4
    tokens, head, R = tp.Particles(x, w), HEADS[kind](*M), R0 * np.exp(T)
    limit, errors = tp.flow(tokens, head, np.linspace(0, T, 65)).points, []
    for L in (16, 32, 64):
        gaps = np.linalg.norm(tp.layers(tokens, head, L, T / L).points - limit[:: 64 // L], axis=2)
        size = np.sqrt(gaps**2 @ w) if kind == "Sinkhorn" else gaps.max(axis=1)
        errors.append(size.max())
        rate = lipschitz(kind, *M, R)
        assert errors[-1] <= T / (2 * L) * R * np.expm1(rate * T)
    assert np.log2(errors[0] / errors[1]) == pytest.approx(1, abs=0.1)
    assert np.log2(errors[1] / errors[2]) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("kind", HEADS)
def test_weak_form_along_the_flow(kind):
    x, w, M, _ = problem(7)
    tokens, head = tp.Particles(x, w), HEADS[kind](*M)
    nodes, shares = np.polynomial.legendre.leggauss(20)
    path = tp.flow(tokens, head, np.array([0.0, *(nodes + 1) / 2, 1.0]))
    wave = np.array([1.5, -0.5])
    rate = [-w @ (np.sin(mu.points @ wave) * (head(mu)(mu.points) @ wave)) for mu in path]
    change = w @ (np.cos(path.points[-1] @ wave) - np.cos(x @ wave))
    assert abs(change) > 1e-2
    assert change == pytest.approx(shares @ rate[1:-1] / 2, abs=1e-8)


def test_random_layers_of_one_token_have_the_exact_second_moment():
    # E|x_L - x_0|^2 = (1 + d h^2 s^2)^L - 1 for entries of variance s^2 and mean zero.
    L, draws, rng = 8, 4000, np.random.default_rng(0)
    start, squares = tp.Particles([[1.0, 0.0]]), np.empty(draws)
    for i, values in enumerate(rng.normal(0, 0.5, (draws, L, 2, 2))):
        heads = [tp.Softmax(np.eye(2), np.eye(2), V) for V in values]
        squares[i] = ((tp.layers(start, heads, L, 1 / L).final.points - start.points) ** 2).sum()
    exact = (1 + 2 * 0.25 / L**2) ** L - 1
    assert abs(squares.mean() - exact) < 4 * squares.std() / np.sqrt(draws) < 0.1 * exact


@pytest.mark.parametrize("score", [0.01, 0.5, 3.0])
def test_one_layer_merges_two_tokens_and_smaller_ones_are_injective(score):
    pull, c = tp.Softmax([[score]], [[1.0]], [[-1.0]]), 1.0
    line = np.linspace(-4, 4, 401)
    tokens = tp.Particles([[-c], [c], *line[:, None]], [0.5, 0.5, *0 * line])
    merged = tp.layers(tokens, pull, 1, 1 / np.tanh(score)).final.points
    assert np.abs(merged[:2]).max() < 1e-13
    below = tp.layers(tokens, pull, 1, 0.999 / score).final.points[2:, 0]
    assert (np.diff(below) > 0).all()
    above = tp.layers(tokens, pull, 1, 1.01 / np.tanh(score)).final.points
    assert above[0, 0] > above[1, 0]
    flow = tp.flow(tokens, pull, 3.0).final.points[2:, 0]
    assert (np.diff(flow) > 0).all()
