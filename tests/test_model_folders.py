"""Folders as they are found on disks: weights in parts, tied words, adapters, idle heads."""

import json
import re

import numpy as np
import pytest
import tiny_models as tiny
from matplotlib import pyplot as plt
from safetensors.numpy import save_file

from transpde import models, plotting
from transpde.theory import real

KINDS = list(tiny.IDS)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def points(folder, kind):
    return models.read(folder)(tiny.IDS[kind]).points


def refused(folder, match, error=ValueError):
    with pytest.raises(error, match=match):
        models.read(folder)


def shards(folder, weights):
    """Write weights in two files with the index that names them."""
    (folder / "model.safetensors").unlink()
    place = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(weights)}
    for part in set(place.values()):
        save_file({n: w for n, w in weights.items() if place[n] == part}, folder / part)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": place}))
    return index


def test_weights_in_parts_are_those_of_one_file(kind, tmp_path):
    whole = points(tiny.write(kind, tmp_path / "whole"), kind)
    folder = tiny.write(kind, tmp_path / "parts")
    index = shards(folder, tiny.tensors(kind))
    assert np.array_equal(points(folder, kind), whole)

    (folder / "model-00002-of-00002.safetensors").unlink()
    refused(folder, r"must hold model-00002-of-00002\.safetensors", FileNotFoundError)
    for wrong in ({}, {"weight_map": ["x"]}, {"weight_map": {"wte.weight": "../elsewhere"}}):
        index.write_text(json.dumps(wrong))
        refused(folder, "weight_map")


def test_words_that_serve_at_both_ends_may_have_the_name_of_the_other(tmp_path):
    """As `safetensors.torch.save_model` writes a GPT-2 whose words are tied to its last layer."""
    folder = tiny.write("gpt2", tmp_path)
    whole = points(folder, "gpt2")
    weights = {f"transformer.{name}": value for name, value in tiny.tensors("gpt2").items()}
    weights["lm_head.weight"] = weights.pop("transformer.wte.weight")
    tied = {"format": "pt", "transformer.wte.weight": "lm_head.weight"}
    save_file(weights, folder / "model.safetensors", metadata=tied)
    assert np.array_equal(points(folder, "gpt2"), whole)
    save_file(weights, folder / "model.safetensors")
    refused(folder, r"must hold wte\.weight.*there is lm_head\.weight, for instance")


def test_the_stored_mask_of_an_older_gpt2_is_passed_over(tmp_path):
    whole = points(tiny.write("gpt2", tmp_path), "gpt2")
    mask = {"h.0.attn.bias": np.ones((1, 1, 16, 16)), "h.1.attn.masked_bias": np.array(-1e4)}
    folder = tiny.write("gpt2", tmp_path, weights=tiny.tensors("gpt2") | mask)
    assert np.array_equal(points(folder, "gpt2"), whole)


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("bert", "encoder.layer.0.attention.self.query.lora_A.weight"),
        ("bert", "encoder.layer.1.crossattention.self.query.weight"),
        ("gpt2", "h.0.ln_cross_attn.weight"),
        ("gpt2", "h.1.adapter.bias"),
    ],
)
def test_parts_that_would_be_left_out_of_a_layer_are_refused(kind, part, tmp_path):
    weights = tiny.tensors(kind) | {part: np.ones(tiny.D)}
    refused(tiny.write(kind, tmp_path, weights=weights), f"got {re.escape(part)}, and 1 such")


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({"auto_map": {"AutoModel": "own.Model"}}, "auto_map.*delete this entry"),
        ({"quantization_config": {"bits": 4}}, "quantization_config in config.json"),
        ({"hidden_size": None, "n_embd": None}, r"config\.json has a wrong entry: .*got None"),
    ],
)
def test_other_layers_in_the_configuration_are_refused(kind, config, match, tmp_path):
    refused(tiny.write(kind, tmp_path, config=config), match)


def test_a_wrapped_model_is_refused_with_the_name_that_was_found(kind, tmp_path):
    weights = {f"module.{name}": value for name, value in tiny.tensors(kind).items()}
    folder = tiny.write(kind, tmp_path, weights=weights)
    refused(folder, "there is module.*prefix")


def test_a_wrong_folder_is_refused_with_the_right_one(tmp_path):
    refused("somebody/some-model", "Nothing is fetched here.*save_pretrained", FileNotFoundError)
    snapshot = tiny.write("bert", tmp_path / "models--a--b" / "snapshots" / "abc")
    refused(tmp_path / "models--a--b", f"Give '{re.escape(str(snapshot))}'", FileNotFoundError)
    refused(snapshot / "model.safetensors", "folder that this file is in", FileNotFoundError)
    (tmp_path / "adapter_config.json").write_text("{}")
    refused(tmp_path, "holds an adapter", FileNotFoundError)


def test_texts_and_long_sequences_are_refused_with_what_to_do(kind, tmp_path):
    model = models.read(tiny.write(kind, tmp_path))
    with pytest.raises(ValueError, match=r"model\.encode"):
        model("a text")
    with pytest.raises(ValueError, match=r"at most 16 tokens.*models\.cut"):
        model(np.zeros(17, dtype=int))
    with pytest.raises(ValueError, match=r"shape \(5,\).*as they are"):
        models.cut(np.arange(5), 128)


# --- heads that give all tokens the same ---------------------------------------------------------


def without_use(kind):
    """Weights of which head 0 of the first layer has no values, and head 1 no queries."""
    weights, k = tiny.tensors(kind), tiny.D // tiny.H
    values, queries = slice(0, k), slice(k, 2 * k)
    if kind == "gpt2":
        values = slice(2 * tiny.D, 2 * tiny.D + k)
        weights["h.0.attn.c_attn.weight"][:, values] = 0
        weights["h.0.attn.c_attn.weight"][:, queries] = 0
        weights["h.0.attn.c_attn.bias"][queries] = 0
        return weights
    at = "encoder.layer.0.attention.self"
    weights[f"{at}.value.weight"][values] = 0
    weights[f"{at}.query.weight"][queries] = 0
    weights[f"{at}.query.bias"][queries] = 0
    return weights


def test_heads_that_give_all_tokens_the_same_have_no_share(kind, tmp_path):
    """The others keep their numbers; behind a mask means over the past are not all the same."""
    ids = np.random.default_rng(3).integers(0, tiny.WORDS, 16)
    whole = models.read(tiny.write(kind, tmp_path / "whole"))
    less = models.read(tiny.write(kind, tmp_path / "less", weights=without_use(kind)))
    intact, found = (models.survey(one, one(ids)) for one in (whole, less))
    assert found.spread[0, 1] == 0.0
    without = [True, kind == "bert", False, False]
    for name in ("share", "twin_share"):
        shares = getattr(found, name)
        assert np.isnan(shares[0]).tolist() == without
        assert np.isfinite(shares[1]).all()
        np.testing.assert_allclose(shares[0, 2:], getattr(intact, name)[0, 2:], rtol=1e-10)
    row = str(found).splitlines()[2].split()
    assert float(row[4]) == pytest.approx(np.nanmedian(found.share[0]), abs=0.006)
    plotting.plot_heads(found, ax=plt.figure().add_subplot())

    table = models.head_table(less, less(ids))
    assert np.isnan(table.share[0]).tolist() == without
    if kind == "bert":
        assert np.isnan(table.law[0]).tolist() == without
        assert np.isnan(table.shrinkage[0]).tolist() == without


def test_a_layer_of_which_no_head_has_a_share_is_shown(kind, tmp_path):
    model = models.read(tiny.write(kind, tmp_path))
    found = models.survey(model, model(np.arange(16)))
    found.share[0] = found.twin_share[0] = np.nan
    assert str(found).splitlines()[2].split()[4:6] == ["nan", "nan"]


def test_behind_a_mask_heads_of_small_spread_are_not_affine_in_their_query(kind, tmp_path):
    """What the recipe says of a GPT-2: means over pasts depend on the place, for twins as well."""
    place = {"bert": "embeddings.position_embeddings.weight", "gpt2": "wpe.weight"}[kind]
    weights = tiny.tensors(kind) | {place: np.ones((140, tiny.D))}
    model = models.read(tiny.write(kind, tmp_path, weights=weights)).randomised(0.02, 0)
    found = models.survey(model, model(np.random.default_rng(0).integers(0, tiny.WORDS, 128)))
    assert found.spread.max() < 0.1
    for shares in (found.share, found.twin_share):
        assert shares.max() < 0.2 if kind == "gpt2" else shares.min() > 0.95


def test_rounding_is_no_variance():
    """Outputs that would be equal in exact arithmetic differ in their last digits."""
    rng = np.random.default_rng(0)
    weights = rng.random((20, 20))
    weights /= weights.sum(axis=1, keepdims=True)
    outputs = weights @ np.full((20, 2), 1 / 3)
    assert np.ptp(outputs) > 0
    with pytest.raises(ValueError, match="all equal"):
        real.affine_share(rng.normal(size=(20, 2)), outputs)
