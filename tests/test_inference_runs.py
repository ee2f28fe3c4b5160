"""The stored runs of layers that infer: what they must show, and some of them made again."""

import numpy as np
import yaml
from loading import ROOT, load_tool

from transpde.filtering import HiddenMarkov
from transpde.records import load
from transpde.theory import inference

runs = load_tool("frontier_inference")
STORED = load("inference", ROOT / "book" / "frontier" / "data")
PEER = yaml.safe_load((ROOT / "book" / "peer.yml").read_text())["inference"]


def test_precise_runs_are_made_again_and_have_the_front():
    spec = runs.PRECISE
    for forget in spec["forget"]:
        model, rng = runs.chain(0, forget=forget)
        _, z = model.sample(spec["length"], rng)
        logs = STORED.arrays[f"precise, {forget}"]
        again = runs.precise_errors(model, z, 2)
        assert np.abs(again[1:, 3:] - logs[1:3, 3:]).max() < 1e-5
        for layer, row in enumerate(logs):
            assert (row[: layer + 1] < 10 - runs.DIGITS).all()  # exact behind the front
            assert (row[layer + 1 :] > -runs.DIGITS / 2).all()  # and not yet ahead of it


def test_slow_chain_diverges_before_it_is_exact():
    worst = STORED.arrays["precise, 0.2"].max(axis=1)
    np.testing.assert_allclose(10.0 ** worst[[5, 10, 20]], [2.899, 1.734e6, 494.8], rtol=1e-3)
    assert worst.max() > 30
    assert (np.diff(STORED.arrays["precise, 1.0"].max(axis=1))[:-1] < 0).all()


def test_layers_needed_are_fewer_for_chains_that_forget():
    counts = STORED.arrays["layers needed"]
    middle = np.median(counts, axis=1)
    assert middle[-1] < 15 < 60 < middle[2]
    assert counts.max() <= runs.COUNTS["length"]
    assert runs.layers_needed(1.0, 6) == counts[-1, 6]


def test_rates_of_two_states():
    spec = runs.RATES
    exact = [np.log(abs(inference.two_state_factor(q, spec["error"]))) for q in spec["flips"]]
    assert np.abs(STORED.arrays["rates, constant"] - exact).max() < 1e-3
    random = STORED.arrays["rates"]
    assert (random.max(axis=1) < exact).all()  # a constant symbol is the harder case
    assert random[0].mean() > 0 > random[2].max()
    assert abs(runs.growth_rate(spec["flips"][-1], 0) - random[-1, 0]) < 1e-6


def test_what_the_signed_form_loses_on_random_models():
    lost = STORED.arrays["lost"]
    assert lost[:, -1].max() < 1e-12  # a mean subtracted
    assert np.median(lost[:, 0]) < 1e-11
    assert np.median(lost[:, -2]) > 0.1
    again = runs.lost(0)
    assert np.abs(np.log10(again[:5]) - np.log10(lost[0, :5])).max() < 1


def test_public_code_loses_what_the_signed_form_loses():
    """Rounding agrees in size only: a factor of ten, until it is of order one."""
    cases = [(PEER["transition"], PEER["emission"], PEER["example"], np.random.default_rng(0))]
    for seed, row in enumerate(PEER["random"]):
        model, rng = runs.chain(seed, states=3, symbols=7, emission=0.5)
        cases.append((model.transition, model.emission, row, rng))
    for transition, emission, row, rng in cases:
        model = HiddenMarkov(transition, emission, np.full(3, 1 / 3))
        _, z = model.sample(300, rng)
        errors = np.abs(model.dual_filter(z, 10, "signed", centred=False) - model.filter(z))
        found = errors.max(axis=-1)[PEER["steps"]]
        ratio = found[:4] / np.array(row[:4], dtype=float)
        assert 0.1 < ratio.min() < ratio.max() < 10
        assert found[3:].min() > 0.1
