"""Collapse without skip connections and what prevents it, on small heads and on published ones."""

import numpy as np
import pytest
import tiny_models as tiny
from loading import load_tool
from scipy.spatial.distance import pdist

import transpde as tp
from transpde import models
from transpde.models.blocks import Norm
from transpde.spectra import effective_rank

sweep = load_tool("real_heads")


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return models.read(tiny.write("bert", tmp_path_factory.mktemp("bert")))


def constant(heads):
    """The constant c of the cubic bound, by singular values."""
    sizes = [np.linalg.svd(h.value)[1][0] * np.linalg.svd(h.key.T @ h.query)[1][0] for h in heads]
    return sum(sizes) / 4


def test_near_consensus_differences_follow_the_covariance(bert):
    """With biases; the error is of fourth order, the law of third."""
    x = bert(tiny.IDS["bert"]).points[0]
    block, k, H = bert.blocks[0], bert.dimension // bert.heads, bert.heads
    errors, laws = [], []
    for scale in (1 / 64, 1 / 128):
        near = x.mean(0) + scale * (x - x.mean(0))
        deviations = near - near.mean(0)
        S = sum(np.outer(y, y) for y in deviations) / len(near)
        law = np.zeros_like(near)
        for h in range(H):
            own = slice(h * k, (h + 1) * k)
            A = block.key[own].T @ block.query[own] / np.sqrt(k)
            V = block.output[:, own] @ block.value[own]
            law += deviations @ (V @ S @ A).T
        given = bert.layer(0, near, feed_forward=False).attention
        gaps = (given - given[0]) - (law - law[0])
        errors.append(np.abs(gaps).max())
        laws.append(np.abs(law - law[0]).max())
    assert np.log2(laws[0] / laws[1]) == pytest.approx(3.0, abs=1e-9)
    assert np.log2(errors[0] / errors[1]) == pytest.approx(4.0, abs=0.1)
    assert errors[1] < 0.05 * laws[1]


def test_layers_without_skip_collapse_doubly_exponentially():
    rng, reached = np.random.default_rng(0), 0
    for _ in range(30):
        heads = [
            tp.Softmax(*rng.normal(size=(2, 2, 3)), 2 * rng.normal(size=(3, 3))) for _ in range(2)
        ]
        c = constant(heads)
        x = rng.normal(size=(6, 3))
        x *= 0.95 / (np.sqrt(c) * pdist(x).max())
        start = np.sqrt(c) * pdist(x).max()
        for layer in (1, 2, 3):
            tokens = tp.Particles(x)
            x = sum(head(tokens)(x) for head in heads)
            assert np.sqrt(c) * pdist(x).max() <= start ** (3**layer) * (1 + 1e-9) + 1e-14
            reached += pdist(x).max() > 1e-14
    assert reached >= 60  # two layers of each at least


def test_a_skip_connection_keeps_the_diameter_up_to_its_cube():
    rng = np.random.default_rng(1)
    for _ in range(200):
        heads = [tp.Softmax(*rng.normal(size=(2, 2, 3)), rng.normal(size=(3, 3)))] * 2
        x = rng.uniform(0.05, 0.6) * rng.normal(size=(5, 3))
        before = pdist(x).max()
        tokens = tp.Particles(x)
        after = pdist(x + sum(head(tokens)(x) for head in heads)).max()
        assert abs(after - before) <= constant(heads) * before**3 * (1 + 1e-12)


def test_the_slowest_collapse_with_a_skip_connection():
    """The pair of the exercise: equality at each layer, and the limit 2 of l times the square."""
    head = tp.Softmax([[1.0]], [[1.0]], [[-1.0]])
    path = tp.layers(tp.Particles([[-0.5], [0.5]]), head, 4000, 1.0)
    gaps = np.ptp(path.points[:, :, 0], axis=1)
    np.testing.assert_allclose(gaps[1:], gaps[:-1] * (1 - np.tanh(gaps[:-1] ** 2 / 4)), rtol=1e-9)
    assert 4000 * gaps[-1] ** 2 == pytest.approx(2.0, abs=5e-3)


@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_layer_norm_stretches_by_its_factor_at_most(epsilon):
    rng, d, tightest = np.random.default_rng(2), 9, 0.0
    gain = np.r_[-3.0, rng.uniform(0.1, 1.0, size=d - 1)]
    norm = Norm(gain, rng.normal(size=d))
    for _ in range(400):
        y = rng.normal(size=d) * rng.uniform(0.3, 3)
        other = y + rng.choice([1e-3, 1.0]) * (rng.normal(size=d) + 5 * np.eye(d)[0])
        r = min(np.linalg.norm(p - p.mean()) for p in (y, other))
        gap = np.linalg.norm(np.subtract(*norm(np.array([y, other]), epsilon)))
        ratio = gap / (np.sqrt(d) * 3.0 / r * np.linalg.norm(other - y))
        tightest = max(tightest, ratio)
        assert ratio <= 1 + 1e-12
    if not epsilon:
        assert tightest > 0.75


def test_a_layer_norm_can_keep_two_tokens_apart():
    """No skip connection: the head alone brings them together, with the norm they rest."""
    d, head = 4, tp.Softmax(np.eye(4), np.eye(4), np.eye(4))
    norm = Norm(np.ones(d), np.zeros(d))
    x = norm(np.array([[1.0, -1.0, 2.0, -2.0]]), 0.0)[0]
    start = np.array([x, -x])
    with_norm, alone = start, 0.3 * start
    for _ in range(40):
        with_norm = norm(head(tp.Particles(with_norm))(with_norm), 0.0)
        alone = head(tp.Particles(alone))(alone)
    np.testing.assert_allclose(with_norm, start, atol=1e-12)
    assert pdist(alone)[0] < 1e-100


def test_behind_a_mask_the_order_is_one():
    head, gaps = tp.Masked(tp.Softmax([[1.0]], [[1.0]], [[1.0]])), []
    for delta in (1e-2, 5e-3):
        y = np.array([[-delta / 2], [delta / 2]])
        tokens = tp.Particles(y, positions=[0.0, 1.0])
        gaps.append(np.ptp(head(tokens)(y, tokens.positions)))
    assert np.log2(gaps[0] / gaps[1]) == pytest.approx(1.0, abs=1e-3)
    assert gaps[1] == pytest.approx(5e-3 / 2, rel=1e-3)


# --- the published model -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ids(minilm):
    return sweep.ids_of(minilm, "harbour", 128)


def rank(points):
    return float(effective_rank(tp.Particles(points).covariance))


def test_random_weights_keep_rank_with_skip_and_lose_all_without(minilm, ids):
    random = minilm.randomised(0.02, 0)
    path = random(ids)
    assert [round(rank(path.points[l])) for l in (0, 6)] == [93, 89]
    table = models.head_table(random, path)
    assert np.median(table.spread) == pytest.approx(0.13, abs=0.01)
    assert np.median(table.share) > 0.99
    bare = random(ids, skip=False).points
    assert pdist(bare[3]).max() < 1e-12 * np.linalg.norm(bare[3], axis=1).max()
    far = minilm.randomised(0.06, 0)
    cosines = [models.mean_cosine(x) for x in far(ids).points]
    assert cosines[0] < 0.35 < 0.98 < cosines[5]


def test_layer_norms_prevent_growth(minilm, ids):
    lengths = {
        kept: np.linalg.norm(minilm(ids, norm=False, feed_forward=kept).points, axis=2).mean(1)
        for kept in (True, False)
    }
    assert lengths[True][-1] > 100 * lengths[True][0]
    assert 4 < lengths[False][-1] / lengths[False][0] < 8
    heads = [minilm.attention(l).heads for l in range(6)]
    factor = np.prod([
        1 + sum(np.linalg.norm(h.value[:-1, :-1], 2) for h in layer) for layer in heads
    ])  # fmt: skip
    assert lengths[False][-1] < factor * lengths[False][0]
