"""Reading folders of weights: forward passes, heads as attentions, edits, errors."""

import importlib
import json
import tracemalloc

import numpy as np
import pytest
import tiny_models as tiny
from safetensors.numpy import save_file

import transpde as tp
from transpde import models
from transpde.theory import real

KINDS = list(tiny.IDS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {kind: tiny.write(kind, tmp_path_factory.mktemp(kind)) for kind in KINDS}


@pytest.fixture(scope="module")
def small(folders):
    return {kind: models.read(folder) for kind, folder in folders.items()}


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def model(small, kind):
    return small[kind]


@pytest.fixture(scope="module")
def path(model, kind):
    return model(tiny.IDS[kind])


# --- the forward pass ----------------------------------------------------------------------------


def test_hidden_states_are_those_of_another_library(path, kind):
    states = np.load(tiny.OUTPUTS)[kind]
    assert tiny.OUTPUTS.stat().st_size <= 20_000
    # The last state of that library is what the model gives out: of a GPT-2, normed once more.
    np.testing.assert_allclose(path.points[:-1], states[:-1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(path.output, states[-1], rtol=0, atol=1e-12)


def test_names_of_checkpoints_and_of_older_files_are_known(model, kind, tmp_path):
    old = {"bert": (".gamma", ".beta"), "gpt2": (".weight", ".bias")}[kind]
    prefix = {"bert": "bert.", "gpt2": "transformer."}[kind]
    weights = {"lm_head.weight": np.ones((2, 2))}
    for name, value in tiny.tensors(kind).items():
        if "LayerNorm" in name:
            name = name.replace(".weight", old[0]).replace(".bias", old[1])
        weights[prefix + name] = value
    other = models.read(tiny.write(kind, tmp_path, weights=weights))
    ids = tiny.IDS[kind]
    assert np.array_equal(other(ids).points, model(ids).points)


def test_a_path_is_read_by_layer(path, model, kind):
    assert path.points.shape == (tiny.L + 1, len(tiny.IDS[kind]), tiny.D)
    assert np.array_equal(path(1).points, path.points[1])
    assert np.array_equal(path.final.points, path.points[-1])
    assert (path(0).positions is None) == (kind == "bert")
    assert np.linalg.norm(path.embedding) == pytest.approx(1.0, abs=1e-12)
    again = model(start=path.points[1], layers=[1])
    assert np.array_equal(again.final.points, path.final.points)
    assert not path.points.flags.writeable


def test_half_and_single_precision_are_read_in_double(kind, tmp_path):
    for number in (np.float32, np.float16):
        weights = {name: value.astype(number) for name, value in tiny.tensors(kind).items()}
        read = models.read(tiny.write(kind, tmp_path, weights=weights))
        exact = {name: value.astype(float) for name, value in weights.items()}
        double = models.read(tiny.write(kind, tmp_path / "double", weights=exact))
        ids = tiny.IDS[kind]
        assert read(ids).points.dtype == np.float64
        assert np.array_equal(read(ids).points, double(ids).points)


# --- heads as attentions of this package ---------------------------------------------------------


@pytest.mark.parametrize("layer", range(tiny.L))
def test_biases_are_a_lift(model, path, layer):
    """The sublayer is the sum of lifted heads and a constant; the last coordinate rests."""
    attention = model.attention(layer)
    measure = model.measure(layer, path.points[layer])
    velocities = attention(measure)(measure.points, measure.positions)
    sublayer = model.layer(layer, path.points[layer]).attention
    np.testing.assert_allclose(velocities[:, :-1] + model.bias(layer), sublayer, atol=1e-12)
    assert np.array_equal(velocities[:, -1], np.zeros(len(measure.points)))
    made = model.projections(layer, path.points[layer])
    np.testing.assert_allclose(attention.matrix(measure), made.weights, atol=1e-14)


def test_the_bias_of_keys_has_no_effect(model, kind):
    ids = tiny.IDS[kind]
    if kind == "bert":
        names = [f"encoder.layer.{l}.attention.self.key.bias" for l in range(tiny.L)]
        changed = model.with_weights({name: np.full(tiny.D, 3.0) for name in names})
    else:
        biases = {f"h.{l}.attn.c_attn.bias": model.weights[f"h.{l}.attn.c_attn.bias"].copy()
                  for l in range(tiny.L)}  # fmt: skip
        for one in biases.values():
            one[tiny.D : 2 * tiny.D] += 3.0
        changed = model.with_weights(biases)
    np.testing.assert_allclose(changed(ids).points, model(ids).points, atol=1e-12)


def test_a_head_with_query_bias_is_an_unbiased_head_elsewhere(small):
    r"""$W_qx_0 = b_q$: the head at x is the unbiased head evaluated at $x + x_0$."""
    model, x = small["bert"], small["bert"](tiny.IDS["bert"]).points[0]
    lifted, measure = model.head(0, 1), model.measure(0, x)
    query, bias = lifted.query[:, :-1], lifted.query[:, -1]
    shift = np.linalg.lstsq(query, bias, rcond=None)[0]
    plain = tp.Softmax(query, lifted.key[:, :-1], lifted.value[:-1, :-1])
    moved = plain(tp.Particles(x))(x + shift) + lifted.value[:-1, -1]
    np.testing.assert_allclose(moved, lifted(measure)(measure.points)[:, :-1], atol=1e-12)


def test_score_spreads_are_standard_deviations_of_scores(model, path):
    layer = 1
    measure = model.measure(layer, path.points[layer])
    made = model.projections(layer, path.points[layer])
    spreads = models.score_spread(model.attention(layer), measure, each=True)
    for h in range(model.heads):
        for i in range(len(measure.points)):
            seen = i + 1 if made.causal else len(measure.points)
            scores = made.keys[h, :seen] @ made.queries[h, i]
            assert spreads[h, i] == pytest.approx(scores.std(), abs=1e-12)
        one = models.score_spread(model.head(layer, h), measure)
        assert one == pytest.approx(np.sqrt((spreads[h] ** 2).mean()), abs=1e-12)


def test_score_spreads_see_weights():
    head = tp.Softmax([[2.0]], [[1.0]], [[1.0]])
    tokens = tp.Particles([[0.0], [0.0], [3.0]], [0.3, 0.3, 0.4])
    merged = tp.Particles([[0.0], [3.0]], [0.6, 0.4])
    assert models.score_spread(head, tokens) == pytest.approx(
        models.score_spread(head, merged), abs=1e-14
    )


def test_a_twin_has_mean_and_covariance_of_its_tokens():
    """Over many draws, within four standard errors; the rank and constant coordinates exactly."""
    rng = np.random.default_rng(0)
    weights = np.array([0.1, 0.2, 0.3, 0.4])
    tokens = tp.Particles(models.lift(rng.normal(size=(4, 5))), weights, positions=range(4))
    twins = [models.twin(tokens, seed=s) for s in range(4000)]
    draws = np.concatenate([one.points for one in twins])
    assert np.array_equal(draws[:, -1], np.ones(len(draws)))
    assert np.array_equal(twins[0].positions, tokens.positions)
    covariance = tokens.covariance
    error = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)) * 2 / len(draws))
    assert (np.abs(draws.mean(0) - tokens.mean) <= 4 * np.sqrt(np.diag(covariance) / 16000)).all()
    assert (np.abs(np.cov(draws.T, bias=True) - covariance) <= 4 * error + 1e-12).all()
    assert np.linalg.matrix_rank(draws - tokens.mean, tol=1e-9) == 3
    assert np.array_equal(models.twin(tokens, 5).points, twins[5].points)


# --- switches and edits --------------------------------------------------------------------------


def norm(x, gain, bias, epsilon):
    deviation = np.sqrt(((x - x.mean(1, keepdims=True)) ** 2).mean(1, keepdims=True) + epsilon)
    return (x - x.mean(1, keepdims=True)) / deviation * gain + bias


def test_switches_drop_the_parts_they_name(small):
    """Against the formulas of a layer, written out for a BERT."""
    model = small["bert"]
    x, b = model(tiny.IDS["bert"]).points[0], model.blocks[0]
    given = model.layer(0, x).attention

    def first(y):
        return norm(y, b.norm1.gain, b.norm1.bias, 1e-12)

    def out(**switches):
        return model(start=x, layers=[0], **switches).points[1]

    np.testing.assert_allclose(out(feed_forward=False), first(x + given), atol=1e-12)
    np.testing.assert_allclose(out(feed_forward=False, skip=False), first(given), atol=1e-12)
    np.testing.assert_allclose(out(feed_forward=False, norm=False), x + given, atol=1e-12)
    np.testing.assert_allclose(out(feed_forward=False, attention=False), first(x), atol=1e-12)
    middle = first(given)
    full = norm(b.feed(middle), b.norm2.gain, b.norm2.bias, 1e-12)
    np.testing.assert_allclose(out(skip=False), full, atol=1e-12)
    np.testing.assert_allclose(out(norm=False), x + given + b.feed(x + given), atol=1e-12)


def test_switches_of_a_model_with_its_norms_before(small):
    model = small["gpt2"]
    x, b = model(tiny.IDS["gpt2"]).points[0], model.blocks[0]
    seen = norm(x, b.norm1.gain, b.norm1.bias, 1e-5)
    assert np.allclose(model.measure(0, x).points[:, :-1], seen, atol=1e-12)
    given = model.layer(0, x).attention
    bare = model(start=x, layers=[0], feed_forward=False)
    np.testing.assert_allclose(bare.points[1], x + given, atol=1e-12)
    alone = model(start=x, layers=[0], skip=False, feed_forward=False, norm=False)
    assert np.array_equal(alone.points[1], model.layer(0, x, norm=False).attention)
    assert np.array_equal(alone.output, alone.points[1])


def test_tokens_see_only_what_stands_before_them(small):
    """To the last bit of the first half of a GPT-2; a BERT sees all."""
    changed = list(tiny.IDS["gpt2"])
    changed[-1] = 11
    before, after = (small["gpt2"](ids).points for ids in (tiny.IDS["gpt2"], changed))
    assert np.allclose(before[:, :-1], after[:, :-1], rtol=0, atol=1e-13)
    assert not np.allclose(before[1:, -1], after[1:, -1])
    before, after = (small["bert"](ids).points for ids in (tiny.IDS["gpt2"], changed))
    assert np.abs(before[-1, 0] - after[-1, 0]).max() > 1e-3


def test_an_edit_changes_what_heads_give(model, path, kind):
    ids = tiny.IDS[kind]
    seen = []

    def same(layer, queries, outputs):
        made = model.projections(layer, path.points[layer])
        seen.append(layer)
        np.testing.assert_allclose(queries, made.queries, atol=1e-12)
        np.testing.assert_allclose(outputs, made.outputs, atol=1e-12)
        return outputs

    assert np.array_equal(model(ids, edit=same).points, path.points)
    assert seen == [0, 1]
    nothing = model(ids, edit=lambda layer, queries, outputs: 0 * outputs)
    if kind == "bert":  # what is left of the sublayer is its constant
        x, b = path.points[0], model.blocks[0]
        middle = norm(x + model.bias(0), b.norm1.gain, b.norm1.bias, 1e-12)
        wanted = norm(middle + b.feed(middle), b.norm2.gain, b.norm2.bias, 1e-12)
        np.testing.assert_allclose(nothing.points[1], wanted, atol=1e-12)


def test_weights_are_changed_by_name_in_a_copy(model, path, kind):
    name = {"bert": "encoder.layer.1.attention.output.LayerNorm.weight", "gpt2": "h.1.ln_1.weight"}
    changed = model.with_weights({name[kind]: np.ones(tiny.D)})
    assert np.array_equal(changed.blocks[1].norm1.gain, np.ones(tiny.D))
    assert np.array_equal(changed(tiny.IDS[kind]).points[1], path.points[1])
    assert not np.allclose(changed(tiny.IDS[kind]).points[2], path.points[2])
    assert np.array_equal(model(tiny.IDS[kind]).points, path.points)


def test_random_weights_are_normal_with_unit_gains_and_no_biases(model):
    drawn = model.randomised(0.02, seed=3)
    vectors = {n: w for n, w in drawn.weights.items() if w.ndim == 1}
    gains = [n for n, w in vectors.items() if (w == 1).all()]
    assert len(gains) == (2 * tiny.L + 1)
    assert all(not w.any() for n, w in vectors.items() if n not in gains)
    matrices = [w.ravel() for w in drawn.weights.values() if w.ndim == 2]
    entries = np.concatenate(matrices)
    error = 0.02 / np.sqrt(2 * len(entries))
    assert abs(entries.std() - 0.02) < 4 * error
    again = model.randomised(0.02, seed=3)
    assert all(np.array_equal(again.weights[n], w) for n, w in drawn.weights.items())


# --- texts ---------------------------------------------------------------------------------------


def with_tokenizer(folder, words):
    from tokenizers import Tokenizer, pre_tokenizers, processors
    from tokenizers import models as kinds

    made = Tokenizer(kinds.WordLevel({word: i for i, word in enumerate(words)}, "[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("[CLS]", 1), ("[SEP]", 2)]
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=ends
    )
    made.enable_truncation(4)
    made.enable_padding(length=9)
    made.save(str(folder / "tokenizer.json"))


def test_texts_are_neither_padded_nor_cut(tmp_path):
    folder = tiny.write("bert", tmp_path)
    with_tokenizer(folder, ["[UNK]", "[CLS]", "[SEP]", "a", "b", "c"])
    model = models.read(folder)
    assert model.encode("a b c c b a").tolist() == [1, 3, 4, 5, 5, 4, 3, 2]
    assert model.encode("a").tolist() == [1, 3, 2]


# --- errors --------------------------------------------------------------------------------------


def refused(kind, folder, match, config=None, weights=None, error=ValueError):
    tiny.write(kind, folder, config=config, weights=weights)
    with pytest.raises(error, match=match):
        models.read(folder)


@pytest.mark.parametrize(
    ("config", "match"),
    [
        (
            {"model_type": "roberta"},
            "model_type in config.json must be one of bert, gpt2; got 'rob",
        ),
        ({"model_type": None}, "model_type"),
        ({"model_type": ["bert"]}, r"model_type.*got \['bert'\]"),
        ({"hidden_act": ["gelu"]}, "activation"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"is_decoder": True}, "is_decoder"),
        ({"hidden_act": "swish"}, "activation"),
        ({"hidden_size": 25}, "heads in config.json must divide"),
        ({"hidden_size": 28}, r"must have shape \(.*28"),
        ({"num_hidden_layers": 3}, r"must hold encoder\.layer\.2.* 16 are missing"),
        ({"num_hidden_layers": 1}, r"must hold 1 layers.*holds encoder\.layer\.1"),
        ({"num_hidden_layers": "2"}, "num_hidden_layers"),
        ({"num_attention_heads": 0}, "num_attention_heads"),
        ({"layer_norm_eps": -1.0}, "layer_norm_eps"),
    ],
    ids=str,
)
def test_other_configurations_are_refused(config, match, tmp_path):
    refused("bert", tmp_path, match, config=config)


def test_configurations_of_a_gpt2_are_refused(tmp_path):
    refused("gpt2", tmp_path, "scale_attn", config={"scale_attn_by_inverse_layer_idx": True})
    refused("gpt2", tmp_path, r"must hold 1 layers.*holds h\.1", config={"n_layer": 1})


def test_a_configuration_without_its_sizes_is_refused(tmp_path):
    tiny.write("bert", tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ValueError, match=r"config\.json must say num_hidden_layers"):
        models.read(tmp_path)
    (tmp_path / "config.json").write_text("[1, 2")
    with pytest.raises(ValueError, match=r"folder: config\.json must be"):
        models.read(tmp_path)
    (tmp_path / "config.json").write_text("[1, 2]")
    with pytest.raises(ValueError, match=r"folder: config\.json must be"):
        models.read(tmp_path)


def test_missing_and_wrong_tensors_are_named(kind, tmp_path):
    weights = tiny.tensors(kind)
    name = sorted(weights)[5]
    rest = {other: value for other, value in weights.items() if other != name}
    refused(kind, tmp_path, f"must hold {name}", weights=rest)
    refused(kind, tmp_path, f"{name} must have shape", weights=weights | {name: np.ones((3, 3))})
    whole = np.ones(weights[name].shape, dtype=np.int64)
    refused(kind, tmp_path, f"{name} must be of type", weights=weights | {name: whole})
    holed = np.full(weights[name].shape, np.nan)
    refused(kind, tmp_path, f"{name} must be finite", weights=weights | {name: holed})


def test_other_formats_of_weights_are_refused(tmp_path):
    folder = tiny.write("bert", tmp_path)
    (folder / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(ValueError, match=r"model\.safetensors must be"):
        models.read(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"must hold model\.safetensors"):
        models.read(folder)
    (folder / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ValueError, match=r"got pytorch_model\.bin.*save_pretrained"):
        models.read(folder)
    (folder / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(ValueError, match="weight_map"):
        models.read(folder)
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        models.read(folder / "nowhere")


def test_a_tokenizer_that_is_none_is_refused(tmp_path):
    folder = tiny.write("bert", tmp_path)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        models.read(folder)


def test_the_cache_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    where = models.folder("all-MiniLM-L6-v2")
    assert where == tmp_path / "transpde" / "all-MiniLM-L6-v2"
    with pytest.raises(FileNotFoundError, match="make weights"):
        models.read(where)


@pytest.mark.parametrize(
    ("tokens", "match"),
    [
        ([0, 50], "ids from 0 to 49; got 50"),
        ([-1, 3], "got -1"),
        ([1.0, 2.0], "tokens"),
        ([[1, 2]], r"shape \(n,\)"),
        ([], "tokens"),
        (np.array([], dtype=int), "at least one token"),
        ([1] * 17, "at most 16 tokens.*got 17"),
        ("text", "tokens"),
        ([True, False], "tokens"),
        (None, "tokens: give either"),
    ],
    ids=str,
)
def test_wrong_ids_are_refused(model, tokens, match):
    with pytest.raises(ValueError, match=match):
        model(tokens)


def test_wrong_calls_are_refused(model, kind):
    ids = tiny.IDS[kind]
    wrong = {
        "start": dict(start=np.ones((3, 5))), "layer": dict(tokens=ids, layers=[2]),
        "attention": dict(tokens=ids, skip=False, attention=False),
        "edit's outputs: must have": dict(tokens=ids, edit=lambda l, q, o: o[0][None]),
        "tokens: give either": dict(tokens=ids, start=np.ones((3, tiny.D))),
    }  # fmt: skip
    for match, given in wrong.items():
        with pytest.raises(ValueError, match=match):
            model(**given)
    for switch in ("skip", "feed_forward", "norm", "attention"):
        with pytest.raises(TypeError, match=switch):
            model(ids, **{switch: 1})
    with pytest.raises(TypeError, match="edit"):
        model(ids, edit=3)
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        model.encode("text")
    with pytest.raises(TypeError, match="text"):
        model.encode(3)
    for call in (model.head, lambda l, h: model.head(h, l)):
        with pytest.raises(ValueError, match="an integer from 0 to"):
            call(0, 4)
    with pytest.raises(ValueError, match="names of weights"):
        model.with_weights({"nothing": [1.0]})
    name = next(iter(model.weights))
    with pytest.raises(ValueError, match="must have the shape"):
        model.with_weights({name: [1.0]})
    with pytest.raises(TypeError, match="changes"):
        model.with_weights([name])
    with pytest.raises(ValueError, match="scale"):
        model.randomised(0.0, 0)


def test_tokens_on_a_sphere_have_no_twin():
    with pytest.raises(TypeError, match="sphere"):
        models.twin(tp.Particles([[1.0, 0.0]], space=tp.Sphere()), 0)


def test_models_are_shown_in_one_line(model, path, kind):
    sizes = "2 layers, 4 heads, d = 24"
    assert repr(model) == f"Model({kind}: {sizes})"
    assert repr(path) == f"TokenPath(points of shape {path.points.shape})"


# --- published weights ---------------------------------------------------------------------------


def test_published_sentences_are_where_others_find_them(minilm):
    def place(sentence):
        return minilm(minilm.encode(sentence)).embedding

    first = place("This is an example sentence")
    assert first[:3].round(6).tolist() == [0.067657, 0.063496, 0.048713]
    cat = place("The cat slept on the warm roof all afternoon.")
    kitten = place("A kitten was dozing in the sun on top of the shed.")
    prices = place("Inflation rose again in the third quarter.")
    found = [first @ place("Each sentence is converted"), cat @ kitten, cat @ prices]
    assert found == pytest.approx([0.404559, 0.512101, -0.041384], abs=1e-6)


def test_published_heads_are_attentions(minilm):
    """Twelve heads in dimension 385 against the layer itself."""
    ids = minilm.encode("Ships wait for the tide, and the tide waits for the moon. " * 8)[:128]
    x = minilm(ids, layers=range(2)).points[2]
    measure = minilm.measure(2, x)
    velocities = minilm.attention(2)(measure)(measure.points)
    sublayer = minilm.layer(2, x).attention
    np.testing.assert_allclose(velocities[:, :-1] + minilm.bias(2), sublayer, atol=1e-12)


def test_a_published_model_takes_little_memory(minilm):
    """Read and run at 128 tokens: under 300 MB, heads of a layer included."""
    tracemalloc.start()
    again = models.read(models.folder("all-MiniLM-L6-v2"))
    path = again(np.full(128, 2000))
    again.attention(5)(again.measure(5, path.points[5]))(path.points[5][:1] @ np.eye(384, 385))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 90e6 < most < 300e6
    words = again.weights["embeddings.word_embeddings.weight"]
    assert words.dtype == np.float32


def test_no_torch_is_brought():
    assert "torch" not in vars(importlib.import_module("transpde.models.reading"))


def test_files_saved_again_are_read(model, kind, tmp_path):
    """The weights of a model, saved as they are, make a folder that reads as the same model."""
    folder = tiny.write(kind, tmp_path)
    save_file({n: np.ascontiguousarray(w) for n, w in model.weights.items()},
              folder / "model.safetensors")  # fmt: skip
    again = models.read(folder)
    assert np.array_equal(again(tiny.IDS[kind]).points, model(tiny.IDS[kind]).points)


# --- numbers of all heads, and heads replaced ----------------------------------------------------


def test_the_table_of_heads_is_made_of_their_arrays(small):
    model = small["bert"]
    ids = np.random.default_rng(0).integers(0, tiny.WORDS, tiny.PLACES)
    path = model(ids)
    table = models.head_table(model, path)
    assert {value.shape for value in table} == {(tiny.L, tiny.H)}
    for l in range(tiny.L):
        made = model.projections(l, path.points[l])
        for h in range(tiny.H):
            arrays = made.queries[h], made.keys[h], made.values[h]
            outputs = made.outputs[h]
            mean = made.weights[h].mean(axis=0)
            assert table.heaviest[l, h] == mean.argmax()
            assert table.sink_mass[l, h] == pytest.approx(sum(sorted(mean)[-3:]), abs=1e-12)
            C = np.cov(arrays[2].T, arrays[1].T, bias=True)[:6, 6:]
            law = real.explained_share(outputs, arrays[2].mean(0) + arrays[0] @ C.T)
            assert table.law[l, h] == pytest.approx(law, rel=1e-11)
            S = real.stein_slope(*arrays)
            assert table.shrinkage[l, h] == pytest.approx((S * C).sum() / (C * C).sum(), abs=1e-12)
    measure = model.measure(1, path.points[1])
    made = model.projections(1, models.twin(measure, 8))
    other = model.projections(1, models.twin(measure, 4))
    shares = [real.affine_share(one.queries[2], one.outputs[2]) for one in (made, other)]
    share, _ = models.twin_table(model, path, seeds=(7, 3))
    assert share[1, 2] == pytest.approx(np.mean(shares), abs=1e-12)


def test_laws_of_one_measure_are_not_claimed_behind_a_mask(small):
    model = small["gpt2"]
    table = models.head_table(model, model(np.arange(tiny.PLACES)))
    assert np.isfinite([table.spread, table.share, table.sink_mass]).all()
    assert np.isnan([table.law, table.law_with_sinks, table.shrinkage, table.impossible]).all()


def test_a_text_is_cut_before_its_last_id():
    assert models.cut([101, 5, 6, 7, 102], 4).tolist() == [101, 5, 6, 102]
    assert models.cut([101, 5, 102], 3).tolist() == [101, 5, 102]
    with pytest.raises(ValueError, match="at least n = 4"):
        models.cut([101, 5, 102], 4)


def test_the_mean_cosine_is_over_pairs():
    x = np.random.default_rng(1).normal(size=(6, 4))
    pairs = [
        x[i] @ x[j] / np.linalg.norm(x[i]) / np.linalg.norm(x[j])
        for i in range(6) for j in range(6) if i != j
    ]  # fmt: skip
    assert models.mean_cosine(x) == pytest.approx(np.mean(pairs), abs=1e-14)


@pytest.mark.parametrize("by", ["affine", "stein", "constant", "zero"])
def test_heads_are_replaced_by_maps_of_their_query(small, by):
    model = small["bert"]
    ids = np.random.default_rng(2).integers(0, tiny.WORDS, tiny.PLACES)
    path = model(ids)
    chosen = np.zeros((tiny.L, tiny.H), dtype=bool)
    chosen[0, 1] = True
    edit = models.replacement(model, path, chosen, by)
    made = model.projections(0, path.points[0])
    q, o = made.queries[1], made.outputs[1]
    design = np.column_stack([np.ones(len(q)), q])
    wanted = {
        "affine": design @ np.linalg.lstsq(design, o, rcond=None)[0],
        "stein": o.mean(0) + (q - q.mean(0)) @ real.stein_slope(q, made.keys[1], made.values[1]).T,
        "constant": np.broadcast_to(o.mean(0), o.shape),
        "zero": 0 * o,
    }[by]
    changed = edit(0, made.queries, made.outputs)
    np.testing.assert_allclose(changed[1], wanted, atol=1e-12)
    others = [0, 2, 3]
    assert np.array_equal(changed[others], made.outputs[others])
    assert not np.allclose(model(ids, edit=edit).points[1], path.points[1])
    assert np.array_equal(edit(1, made.queries, made.outputs), made.outputs)


def test_wrong_replacements_are_refused(small):
    model = small["gpt2"]
    path, every = model(np.arange(9)), np.ones((tiny.L, tiny.H), dtype=bool)
    with pytest.raises(ValueError, match="chosen: must have shape"):
        models.replacement(model, path, every[:1])
    with pytest.raises(ValueError, match="by: must not be stein"):
        models.replacement(model, path, every, "stein")
    for call in (models.head_table, models.twin_table):
        with pytest.raises(TypeError, match="path"):
            call(model, path.points)


def test_a_path_with_other_layers_is_refused(small):
    model = small["gpt2"]
    cut, every = model(np.arange(9), layers=[0]), np.ones((tiny.L, tiny.H), dtype=bool)
    for call in (models.head_table, models.twin_table, models.survey):
        with pytest.raises(ValueError, match="path: must come from model"):
            call(model, cut)
    with pytest.raises(ValueError, match="path: must come from model"):
        models.replacement(model, cut, every)
