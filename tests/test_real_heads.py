"""The committed numbers of all heads of a published model: current, and what is said of them."""

import json

import numpy as np
import pytest
from loading import ROOT, load_tool

from transpde.records import digest, load
from transpde.theory import real

FOLDER = ROOT / "book" / "real" / "data"
sweep = load_tool("real_heads")
FIVE = slice(0, len(sweep.TEXTS))
LAST = len(sweep.LENGTHS) - 1  # of the lengths: 512


@pytest.fixture(scope="module")
def data():
    arrays = load("heads", FOLDER).arrays
    return {key: value.astype(float) for key, value in arrays.items()}


def correlation(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


def test_the_file_is_small_and_the_one_that_its_manifest_describes():
    assert (FOLDER / "heads.npz").stat().st_size <= 100_000
    manifest = json.loads((FOLDER / "heads.json").read_text())
    stored = load("heads", FOLDER)
    assert {key: digest(value) for key, value in stored.arrays.items()} == manifest["digests"]
    assert stored.parameters["inputs"] == list(sweep.INPUTS)
    assert stored.parameters["lengths"] == list(sweep.LENGTHS)
    assert set(sweep.TEXTS) < {path.stem for path in (ROOT / "book/real/texts").glob("*.txt")}


@pytest.mark.parametrize("name", ["bread", "shuffled", "random"])
def test_a_part_computed_again_is_what_is_stored(minilm, data, name):
    """All numbers at 64 tokens, twins included, to the four decimals that are kept."""
    again, at = sweep.measured(minilm, name, 64), sweep.INPUTS.index(name)
    for key, value in again.items():
        np.testing.assert_allclose(data[key][at, 0], value, rtol=2e-7, atol=6e-5, err_msg=key)


def test_heads_below_spread_two_are_nearly_affine(data):
    """Left one out, on every text and control, at 512 tokens."""
    for spread, share in zip(data["spread"][:, LAST], data["share"][:, LAST], strict=True):
        assert 41 <= (spread < 2).sum() <= 44
        assert np.median(share[spread < 2]) >= 0.86


def test_the_spread_is_a_property_of_the_head(data):
    logs = np.log(data["spread"])
    for i in range(len(sweep.TEXTS)):
        for j in range(i):
            assert correlation(logs[i, LAST], logs[j, LAST]) >= 0.985
            assert correlation(logs[i, 1], logs[j, 1]) >= 0.977
        assert correlation(logs[i, LAST], logs[-1, LAST]) >= 0.955


def test_the_twin_predicts_the_share_and_errs_at_few_tokens(data):
    heads, twins = data["share"][FIVE], data["twin_share"][FIVE]
    found = [correlation(heads[:, j], twins[:, j]) for j in range(4)]
    assert found == pytest.approx([0.875, 0.915, 0.928, 0.944], abs=0.01)
    errors = [np.abs(heads[:, j] - twins[:, j]).mean() for j in range(4)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.08 < 0.19 < errors[0]
    bias = [(heads[:, j] - twins[:, j]).mean() for j in range(4)]
    assert bias[0] < -0.15
    assert abs(bias[-1]) < 0.02


def test_the_gaussian_law_needs_its_sinks_exact(data):
    """Between spreads 1 and 1.5 at 64 tokens the law alone is worse than the mean."""
    spread = data["spread"][FIVE, 0]
    chosen = (spread >= 1) & (spread < 1.5)
    assert np.median(data["law"][FIVE, 0][chosen]) < -0.2
    assert np.median(data["law_with_sinks"][FIVE, 0][chosen]) > 0.75
    assert np.median(data["sink_mass"][FIVE, 0][chosen]) > 0.4


def test_the_first_token_is_the_sink(data):
    first = (data["heaviest"][:, LAST] == 0).sum(axis=(1, 2))
    assert first.min() >= 56
    assert first.max() <= 60
    last = np.array(sweep.LENGTHS)[None, :, None, None] - 1
    assert (data["heaviest"] == last)[:, LAST].sum() == 0


def test_impossible_queries_follow_the_second_freezing_spread(data):
    spread, share = data["spread"][FIVE, LAST], data["impossible"][FIVE, LAST]
    last = real.freezing_spreads(512)[1]
    assert np.median(share[spread < 2]) == 0
    assert np.median(share[spread > 4]) > 0.99
    near = np.abs(spread - last) < 0.5
    assert 0.5 < np.median(share[near]) < 1


def test_shrinkage_is_that_of_the_twin_times_what_sinks_leave(data):
    for j in range(1, 4):
        heads, twins = (data[key][FIVE, j] for key in ("shrinkage", "twin_shrinkage"))
        left = twins * (1 - data["sink_mass"][FIVE, j])
        assert np.abs(heads - left).mean() < 0.11 < 0.17 < np.abs(heads - twins).mean()
