"""What is said of the layers of a published model: collapse, layer norm, one gain, replacement."""

import numpy as np
import pytest
from loading import load_tool
from scipy.spatial.distance import pdist

import transpde as tp
from transpde import models
from transpde.spectra import effective_rank
from transpde.theory import real

sweep = load_tool("real_heads")
GAIN = "encoder.layer.{}.attention.output.LayerNorm.weight"


@pytest.fixture(scope="module")
def ids(minilm):
    return sweep.ids_of(minilm, "harbour", 128)


@pytest.fixture(scope="module")
def path(minilm, ids):
    return minilm(ids)


def rank(points):
    return float(effective_rank(tp.Particles(points).covariance))


def spread(points):
    return np.sqrt(((points - points.mean(0)) ** 2).sum(1).mean())


def leading(points):
    """The leading direction of the tokens, and its share of the variance."""
    _, sizes, directions = np.linalg.svd(points - points.mean(0), full_matrices=False)
    return directions[0], sizes[0] ** 2 / (sizes**2).sum()


def test_skip_connections_keep_the_rank(minilm, ids, path):
    full, last = rank(path.points[0]), rank(path.points[-1])
    assert [round(full, 1), round(last, 1)] == [66.1, 37.0]
    bare = minilm(ids, skip=False).points
    assert models.mean_cosine(bare[3]) > 0.99
    assert rank(bare[4]) < 2
    assert spread(bare[4]) == pytest.approx(1.1e-2, rel=0.05)
    assert spread(bare[5]) < 1e-7
    level = minilm.with_weights(
        {GAIN.format(l): np.full(384, minilm.weights[GAIN.format(l)].mean()) for l in range(6)}
    )
    assert rank(level(ids, feed_forward=False).points[-1]) == pytest.approx(64.3, abs=0.1)
    assert rank(minilm(ids, feed_forward=False).points[-1]) == pytest.approx(12.3, abs=0.1)


def test_attention_alone_collapses_at_third_order(minilm, path):
    """Tokens of three layers shrunk to their mean; the bound holds and is far from sharp."""
    for layer in (0, 2, 4):
        x, sizes = path.points[layer], []
        for scale in (1 / 8, 1 / 16):
            near = x.mean(0) + scale * (x - x.mean(0))
            out = minilm.layer(layer, near, skip=False, feed_forward=False, norm=False).out
            sizes.append(pdist(out).max())
            attention = minilm.attention(layer)
            assert sizes[-1] <= real.collapse_bound(attention, pdist(near).max(), lifted=True)
        assert np.log2(sizes[0] / sizes[1]) == pytest.approx(3.0, abs=0.06)


def test_one_layer_repeated_leads_to_its_largest_gain(minilm, ids):
    """Layer 3: two poles on coordinate 99, whatever the text; levelled, another coordinate."""
    gains = minilm.blocks[3].norm1.gain
    assert gains.argmax() == 99
    found = []
    for name in ("harbour", "python", "random"):
        start = minilm.embed(sweep.ids_of(minilm, name, 128))
        last = minilm(start=start, layers=[3] * 60, feed_forward=False).points[-1]
        direction, share = leading(last)
        assert np.abs(direction).argmax() == 99
        assert share > 0.99
        found.append(direction)
    assert min(abs(found[0] @ found[1]), abs(found[0] @ found[2])) > 0.95
    flat = gains.copy()
    flat[99] = np.median(gains)
    level = minilm.with_weights({GAIN.format(3): flat})
    last = level(start=minilm.embed(ids), layers=[3] * 60, feed_forward=False).points[-1]
    assert np.abs(leading(last)[0]).argmax() == np.argsort(gains)[-2] == 223


def test_consensus_is_unstable_in_layer_four_alone(minilm, path):
    radii = []
    for layer in range(6):
        start = path.points[layer].mean(0)[None]
        c = minilm(start=start, layers=[layer] * 500, feed_forward=False).points[-1]
        step = minilm.layer(layer, c, feed_forward=False).out - c
        assert np.abs(step).max() < 1e-5
        lifted = sum(minilm.head(layer, h).value for h in range(12))
        constant = lifted[:-1, -1] + minilm.bias(layer)
        gain = minilm.blocks[layer].norm1.gain
        J = real.consensus_jacobian(gain, lifted[:-1, :-1], c[0], constant)
        radii.append(np.abs(np.linalg.eigvals(J)).max())
    assert radii == pytest.approx([0.923, 0.669, 0.861, 0.899, 1.082, 0.729], abs=2e-3)


def test_own_affine_maps_carry_the_model_where_constants_do_not(minilm, ids, path):
    """Heads of spread below 2 at 128 tokens, all together; errors in units of the spread."""
    spreads = [
        models.score_spread(minilm.attention(l), minilm.measure(l, path.points[l]))
        for l in range(6)
    ]
    chosen, errors = np.array(spreads) < 2, {}
    for by in ("affine", "constant", "zero"):
        edit = models.replacement(minilm, path, chosen, by)
        gap = minilm(ids, edit=edit).output - path.output
        errors[by] = np.sqrt((gap**2).sum(1).mean()) / spread(path.output)
    assert errors["affine"] < 0.35 < errors["constant"] < errors["zero"]
