"""Layer norm as power iteration, attention near consensus, and the gain that selects."""

import numpy as np
import pytest
from loading import ROOT, load_tool

import transpde as tp
from transpde.models.blocks import Norm
from transpde.theory import real

sweep = load_tool("real_heads")
GAIN = "encoder.layer.{}.attention.output.LayerNorm.weight"
RNG = np.random.default_rng


def one_high_gain(seed, d=12):
    """Gains of which one is above the others, and its place."""
    rng = RNG(seed)
    g, j = rng.uniform(0.4, 1.0, size=d), rng.integers(d)
    g[j] = rng.uniform(1.2, 1.6)
    return g, j, np.delete(g, j).max()


@pytest.mark.parametrize("seed", range(8))
def test_one_gain_above_the_others_owns_the_axis(seed):
    """The limit by repetition against both bounds."""
    g, j, following = one_high_gain(seed)
    d, rng = len(g), RNG(100 + seed)
    norm, x, gaps = Norm(g, np.zeros(d)), rng.normal(size=(3, d)), []
    for _ in range(400):
        x = norm(x, 0.0)
    poles = x * np.sign(x[:, [j]])
    np.testing.assert_allclose(poles, poles[[0]] * np.ones((3, 1)), atol=1e-9)
    axis = poles[0] / g
    axis /= np.linalg.norm(axis)
    assert axis[j] ** 2 >= 1 - g[j] / (d * (g[j] - following))
    y = rng.normal(size=(1, d))
    for _ in range(25):
        y = norm(y, 0.0)
        gaps.append(np.linalg.norm(y * np.sign(y[0, j]) - poles[0]))
    rate = (gaps[-1] / gaps[-11]) ** 0.1
    assert rate <= following / (g[j] * (1 - 1 / d)) + 1e-3


def test_small_steps_with_equal_gains_flow_on_a_sphere():
    rng, d = RNG(0), 7
    sphere = tp.Sphere(radius=np.sqrt(d), normal=np.ones(d))
    norm = Norm(np.ones(d), np.zeros(d))
    x, v = norm(rng.normal(size=(5, d)), 0.0), rng.normal(size=(5, d))
    errors = [
        np.abs(norm(x + h * v, 0.0) - x - h * sphere.tangent(x, v)).max() for h in (1e-3, 5e-4)
    ]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize("seed", range(8))
def test_the_spectrum_near_consensus(seed):
    """Real, that of a symmetric matrix off two directions; the bounds of size and axis hold."""
    g, j, following = one_high_gain(seed, d=40)
    d, z = len(g), RNG(200 + seed).normal(size=len(g))
    z -= z.mean()
    J = real.consensus_jacobian(g, np.zeros((d, d)), z)
    values, vectors = np.linalg.eig(J)
    basis = np.linalg.qr(np.column_stack([np.ones(d), z, np.eye(d)]))[0][:, 2:d]
    factor = np.sqrt(d) / np.linalg.norm(z)
    wanted = factor * np.linalg.eigvalsh(basis.T @ (g[:, None] * basis))
    np.testing.assert_allclose(np.sort(values.real), np.sort([*wanted, 0, 0]), atol=1e-7)
    own = (z[j] / np.linalg.norm(z)) ** 2
    largest = values.real.max()
    assert factor * g[j] * (1 - 1 / d - own) <= largest <= factor * g[j]
    axis = vectors[:, values.real.argmax()].real / g
    axis /= np.linalg.norm(axis)
    assert axis[j] ** 2 >= 1 - g[j] * (1 / d + own) / (g[j] - following)


def test_equal_gains_prefer_no_direction():
    rng, d = RNG(3), 6
    z = rng.normal(size=d)
    z -= z.mean()
    J = real.consensus_jacobian(np.full(d, 1.7), np.zeros((d, d)), z)
    wanted = [0, 0] + [1.7 * np.sqrt(d) / np.linalg.norm(z)] * (d - 2)
    np.testing.assert_allclose(np.linalg.eigvalsh(J), wanted, atol=1e-12)


# --- the published model -------------------------------------------------------------------------


def leading(points):
    u = np.linalg.svd(points - points.mean(0), full_matrices=False)[2][0]
    return np.abs(u).argmax(), np.abs(u)


@pytest.fixture(scope="module")
def start(minilm):
    return minilm.embed(sweep.ids_of(minilm, "harbour", 128))


def end(model, layer, start):
    return model(start=start, layers=[layer] * 40, feed_forward=False).points[-1]


def test_the_limit_follows_the_gains(minilm, start):
    gains = minilm.weights[GAIN.format(3)]
    permuted = RNG(0).permutation(gains)
    at, _ = leading(end(minilm.with_weights({GAIN.format(3): permuted}), 3, start))
    assert at == permuted.argmax() != gains.argmax()
    level = minilm.with_weights({GAIN.format(3): np.full(384, gains.mean())})
    assert np.ptp(end(level, 3, start), axis=0).max() < 1e-9  # consensus, up to rounding


def test_the_limit_ignores_most_changes_of_values(minilm, start):
    names = ["encoder.layer.3.attention.output.dense." + kind for kind in ("weight", "bias")]
    order = RNG(0).permutation(384)
    turn = np.linalg.qr(RNG(0).normal(size=(384, 384)))[0]
    for change in (lambda M: M[order], lambda M: turn @ M, lambda M: -M):
        other = minilm.with_weights({name: change(minilm.weights[name]) for name in names})
        assert leading(end(other, 3, start))[0] == 99
    random = minilm.randomised(0.02, 0)
    assert leading(end(random, 3, start))[1].max() < 0.75
    kept = random.with_weights({GAIN.format(3): minilm.weights[GAIN.format(3)]})
    at, entries = leading(end(kept, 3, start))
    assert at == 99
    assert entries[99] > 0.99


def test_in_the_whole_model_the_axis_does_not_lead(minilm, start):
    for x in minilm(start=start).points:
        at, entries = leading(x)
        assert at != 99
        assert entries[99] < 0.19
    alone = [leading(x)[1][99] for x in minilm(start=start, feed_forward=False).points]
    assert alone == sorted(alone)
    assert alone[-1] > 0.7


def test_levelling_the_largest_gains_costs_the_model_little(minilm):
    text = (ROOT / "book" / "real" / "texts" / "sentences.txt").read_text(encoding="utf-8")
    sentences = [minilm.encode(line) for line in text.splitlines() if line.strip()]
    changes = {}
    for l in range(6):
        g = minilm.weights[GAIN.format(l)].copy()
        g[g.argmax()] = np.median(g)
        changes[GAIN.format(l)] = g
    flat = minilm.with_weights(changes)
    E, F = (np.array([m(ids).embedding for ids in sentences]) for m in (minilm, flat))
    assert len(E) == 100
    assert (E * F).sum(axis=1).mean() == pytest.approx(0.992, abs=1e-3)
    near = [(M @ M.T - 2 * np.eye(100)).argmax(axis=1) for M in (E, F)]
    assert (near[0] == near[1]).sum() == 93
