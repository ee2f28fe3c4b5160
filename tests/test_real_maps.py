"""The committed controls of a published model: current, and what is said of them."""

import json

import numpy as np
import pytest
from loading import ROOT, load_tool

from transpde.records import digest, load
from transpde.theory import real

FOLDER = ROOT / "book" / "real" / "data"
sweep, tool = load_tool("real_heads"), load_tool("real_maps")


@pytest.fixture(scope="module")
def maps():
    return load("maps", FOLDER)


@pytest.fixture(scope="module")
def spread():
    """Of the heads on the five texts at 512 tokens."""
    return load("heads", FOLDER).arrays["spread"][:5, -1].astype(float)


@pytest.mark.parametrize("name", ["maps", "axes", "whole"])
def test_the_files_are_small_and_those_that_their_manifests_describe(name):
    assert (FOLDER / f"{name}.npz").stat().st_size <= 100_000
    manifest = json.loads((FOLDER / f"{name}.json").read_text())
    kept = {key: one["digest"] for key, one in manifest["arrays"].items()}
    found = load(name, FOLDER)
    assert {key: digest(value) for key, value in found.arrays.items()} == kept
    if name == "maps":
        assert found.parameters["texts"] == list(sweep.TEXTS)
    elif name == "axes":
        assert found.parameters["changes"] == list(tool.CHANGES)
    else:
        assert found.parameters["kinds"] == list(tool.KINDS)


def test_mixtures_of_a_layer_computed_again(minilm, maps):
    path = minilm(sweep.ids_of(minilm, "bread", 512), layers=[0])
    made = minilm.projections(0, path.points[0])
    for h, arrays in enumerate(zip(*made[:3], made.outputs, strict=True)):
        *head, outputs = arrays
        for i, count in enumerate(tool.CLUSTERS):
            share = real.explained_share(outputs, tool.mixture_outputs(*head, count))
            assert share == pytest.approx(maps.arrays["mixture"][1, i, 0, h], abs=6e-5)


def test_one_cluster_is_the_gaussian_law():
    q, keys, values = np.random.default_rng(0).normal(size=(3, 20, 4))
    law = real.gaussian_outputs(q, keys, values)
    np.testing.assert_allclose(tool.mixture_outputs(q, keys, values, 1), law, atol=1e-12)


def test_clusters_of_equal_tokens_are_the_head():
    """Two keys, each often, with a value for each: both clusters have covariance zero."""
    rng = np.random.default_rng(1)
    which = np.repeat([0, 1], [7, 3])
    keys, values = rng.normal(size=(2, 1))[which], rng.normal(size=(2, 2))[which]
    q = rng.normal(size=(5, 1))
    P = np.exp(q @ keys.T)
    outputs = P @ values / P.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(tool.mixture_outputs(q, keys, values, 2), outputs, atol=1e-12)


def test_random_heads_are_affine_and_follow_the_law(maps):
    """At 512 tokens and BERT's scale; larger matrices keep the best map, not the law."""
    share, law, sigma = (maps.arrays[f"random_{key}"] for key in ("share", "law", "spread"))
    assert np.median(share[0]) > 0.995
    assert np.median(law[0]) > 0.99
    assert np.median(sigma[0]) == pytest.approx(0.13, abs=0.01)
    first, last = np.median(sigma[1], axis=1)[[0, -1]]
    assert first > 1 > 0.2 > last
    assert np.median(law[1]) < 0.9
    assert np.diff(maps.arrays["random_cosine"][1]).min() > -0.01


def test_several_gaussians_do_what_one_cannot(maps, spread):
    """Between spreads 1 and 2 clusters of keys bring the law back; frozen heads stay out."""
    law = load("heads", FOLDER).arrays["law"][:5, -1]
    four, sixteen = np.moveaxis(maps.arrays["mixture"], 1, 0)
    for low, high in ((1, 1.5), (1.5, 2)):
        inside = (low <= spread) & (spread < high)
        assert np.median(law[inside]) < 0.4
        assert np.median(four[inside]) == pytest.approx(0.63, abs=0.05)
        assert np.median(sixteen[inside]) == pytest.approx(0.78, abs=0.05)
    assert np.median(sixteen[spread > 3]) < 0.35


def test_one_map_for_all_texts_is_hardly_better_than_a_constant(maps):
    cases, rows = maps.parameters["cases"], maps.arrays["one_map"]
    found = {by: [row for c, row in zip(cases, rows, strict=True) if c == by] for by in cases}
    affine, constant = np.array(found["affine"]), np.array(found["constant"])
    assert affine[:, 1] == pytest.approx([0.986, 0.944, 0.900, 0.848], abs=1e-3)
    assert affine[:, 2].tolist() == [77, 70, 56, 51]
    assert constant[:, 1] == pytest.approx([0.977, 0.920, 0.886, 0.833], abs=1e-3)
    gain = affine[:, 1] - constant[:, 1]
    assert 0.005 < gain.min() < gain.max() < 0.03
    assert np.abs(affine[:, 2] - constant[:, 2]).max() <= 3
    assert found["affine, worst"][0][1] == pytest.approx(affine[-1, 1], abs=0.01)
    assert found["words shuffled"][0][1] == pytest.approx(affine[2, 1], abs=0.01)
    intact = found["intact"][0]
    assert affine[:, 3].min() > intact[3] == 57  # same topic: a score blind to the damage


def test_pooled_shares_of_a_layer_computed_again(minilm, maps):
    """On 234 pieces of the five texts, as the maps that are put in the place of heads."""
    shares = maps.arrays["pooled"]
    queries, outputs = [], []
    for ids in tool.pieces(minilm):
        made = minilm.projections(0, minilm.embed(ids))
        queries.append(made.queries)
        outputs.append(made.outputs)
    assert len(queries) == 234
    pairs = zip(*(np.concatenate(x, axis=1) for x in (queries, outputs)), strict=True)
    again = [real.affine_share(q, o, leave_one_out=False) for q, o in pairs]
    assert again == pytest.approx(shares[0], abs=6e-5)


# --- where a repeated layer leads ----------------------------------------------------------------


@pytest.fixture(scope="module")
def axes():
    return load("axes", FOLDER)


def on_the_largest(axes, name):
    """How many of the eighteen runs end on the axis of the largest gain of the changed layer."""
    i = axes.parameters["changes"].index(name)
    led = axes.arrays["axis_coordinate"][i] >= 0
    return int((led & (axes.arrays["axis_place"][i] == 1)).sum())


def test_the_gains_decide_where_a_repeated_layer_leads(axes):
    assert on_the_largest(axes, "as trained") >= 16
    assert sum(on_the_largest(axes, f"gains permuted, seed {s}") for s in range(4)) >= 64
    assert on_the_largest(axes, "largest gain levelled") >= 16
    assert on_the_largest(axes, "V rows permuted") >= 15
    for change in ("V rotated", "V sign changed", "no bias", "bias permuted"):
        assert 18 > on_the_largest(axes, change) >= 14


def test_gains_at_their_mean_leave_it_to_the_values(axes):
    i = axes.parameters["changes"].index("gains at their mean")
    cosine, overlap = (axes.arrays[f"axis_{key}"][i] for key in ("cosine", "overlap"))
    assert (np.delete(cosine, 1, axis=1) > 0.99).all()
    assert sorted(cosine[:, 1] < 0.2) == [False, True, True]
    assert (overlap[cosine[:, 1] < 0.2, 1] > 0.6).all()


@pytest.mark.parametrize(("name", "layer"), [("gains permuted, seed 2", 4), ("V rotated", 1)])
def test_a_run_of_a_changed_layer_again(minilm, axes, name, layer):
    start = minilm.embed(sweep.ids_of(minilm, "python", 128))
    found = tool.led(minilm, name, layer, start)
    i = axes.parameters["changes"].index(name)
    keys = "coordinate", "entry", "share", "cosine", "place"
    for key, value in zip(keys, found, strict=False):
        assert axes.arrays[f"axis_{key}"][i, 1, layer] == pytest.approx(value, abs=6e-5)


# --- whole models at 512 tokens ------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole():
    return load("whole", FOLDER)


def test_own_maps_carry_the_tokens_of_four_texts_where_constants_do_not(whole):
    error, tokens, sentence = np.moveaxis(whole.arrays["own_maps"].astype(float), -1, 0)
    own, stein, constant, zero, every = error.T
    assert own.max() < 0.25 < 0.35 < every.min()
    assert (own < stein).all()
    assert (stein < constant).all()
    assert constant.min() > 0.45
    assert zero.min() > 1.2
    assert tokens[:, 0].min() > 0.99 > 0.96 > tokens[:, 2].max()
    assert sentence[:, 0].min() > 0.998  # the sentence hides what constants cost
    assert sentence[:, 2].min() > 0.97


def test_own_maps_of_a_text_made_again(minilm, whole):
    found = tool.own_maps(minilm, "bread")
    i = whole.parameters["texts"].index("bread")
    assert whole.arrays["own_maps"][i] == pytest.approx(np.array(found), abs=6e-5)


def test_a_gaussian_start_leaves_the_text_and_sinks_bring_it_back_in_part(whole):
    names = whole.parameters["controls"]
    first, last = whole.arrays["apart"].astype(float).T
    gauss, kept, shuffled, other, pair = (names.index(n) for n in (
        "Gaussian start", "with [CLS] and [SEP]", "shuffled", "bread", "two Gaussian starts"
    ))  # fmt: skip
    assert last[gauss] > 0.85 > 0.3 > first[gauss]
    assert last[pair] < 0.5
    assert last[shuffled] < last[kept] < last[gauss] < last[other]
    text, start, sinks, *_ = whole.arrays["cosines"]
    assert text < 0.2 < 0.25 < sinks < 0.4 < 0.45 < start
    flat = whole.arrays["kurtosis"]
    assert (np.abs(flat[:, 1:5] - 3) < 0.2).all()
    assert (flat[:, -1] > 6).all()


def test_steps_of_the_model_are_not_small_and_norms_turn_tokens_little(minilm, whole):
    """Each half of a layer changes tokens by a third of their length and more, at 512 tokens."""
    found = np.array(tool.steps(minilm))
    assert whole.arrays["steps"] == pytest.approx(found, abs=6e-5)
    attention, feed_forward, norm, layer = found.T
    assert attention == pytest.approx([0.32, 0.42, 0.44, 0.51, 0.46, 0.32], abs=6e-3)
    assert feed_forward == pytest.approx([0.38, 0.41, 0.45, 0.57, 1.31, 2.45], abs=6e-3)
    assert 0.3 < attention.min() < attention.max() < 0.52
    assert 0.37 < feed_forward[:4].min() < feed_forward[:4].max() < 0.6 < 1.2 < feed_forward[4]
    assert 0.935 < norm.min() < norm.max() < 0.98
    assert layer == pytest.approx([0.87, 0.89, 0.88, 0.84, 0.77, 0.64], abs=6e-3)
