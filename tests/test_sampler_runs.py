"""The experiments of the chapter on attention as a sampler, and its stored runs made again."""

import numpy as np
import pytest
import yaml
from loading import ROOT, load_tool

import transpde as tp
from transpde.records import load
from transpde.sampling import proximal_attention
from transpde.theory import sampling as theory

runs = load_tool("frontier_sampler")
STORED = load("sampler", ROOT / "book" / "frontier" / "data")
PEER = yaml.safe_load((ROOT / "book" / "peer.yml").read_text())["sampler"]


def test_the_authors_gaussian_figure():
    setting = PEER["figure"]
    start = tp.Gaussian([setting["mean"]], factor=[[setting["variance"] ** 0.5]])
    depth = round(setting["horizon"] / setting["step"])
    for T, mean, variance in setting["ends"]:
        end = tp.layers(start, proximal_attention([[1.0]], T), depth, setting["step"]).final
        assert end.mean[0] == pytest.approx(mean, abs=1e-12)
        assert end.covariance[0, 0] == pytest.approx(variance, abs=1e-12)
    printed = [0.990000, 0.750766, 0.212354, 0.012006]
    assert [row[2] for row in setting["ends"]] == pytest.approx(printed, abs=1e-6)


def test_the_skew_gaussian():
    S = np.array(PEER["skew"]["covariance"])
    x = np.random.default_rng(0).normal(size=(PEER["skew"]["tokens"], 2)) * [2, 1]
    sampler = proximal_attention(np.linalg.inv(S), 0.5)
    end = tp.layers(tp.Particles(x), sampler, 300, 0.1).final.covariance
    measured = np.array([[1.825, -1.079], [-1.079, 1.826]])
    assert np.abs(end - measured).max() < 0.01
    rest = theory.stationary_covariance(np.linalg.inv(S), 0.5)
    assert rest == pytest.approx(np.array([[11 / 6, -13 / 12], [-13 / 12, 11 / 6]]))
    assert np.abs(end - rest).max() < 0.02
    langevin = theory.langevin_covariance(np.linalg.inv(S), 0.1)
    assert langevin[0] == pytest.approx([2.0517, -0.9991], abs=5e-5)


def test_the_gap_of_finitely_many_tokens_is_of_order_one_over_n():
    gaps = []
    for n, variance in ((200, 0.9883), (600, 0.9946)):
        x = 1 + 2 * np.random.default_rng(0).normal(size=(n, 1))
        end = tp.layers(tp.Particles(x), proximal_attention([[1.0]], 0.05), 200, 0.1).final
        assert end.covariance[0, 0] == pytest.approx(variance, abs=5e-5)
        rest = theory.stationary_covariance([[1.0]], 0.05)[0, 0]
        gaps.append(n * (rest - end.covariance[0, 0]))
    assert gaps == pytest.approx([1.84, 1.76], abs=0.01)
    assert abs(gaps[0] - gaps[1]) < 0.2 * gaps[0]


def test_five_tokens_have_two_crystals():
    x = 0.8 * np.random.default_rng(0).normal(size=(300, 5, 2))
    sampler = proximal_attention(np.eye(2), 0.2)
    end = tp.layers(tp.Particles(x), sampler, 900, 0.1).final
    P = sampler.matrix(end)
    assert np.abs(P @ end.points - 0.8 * end.points).max() < 1e-11
    squares = np.sort((end.points**2).sum(axis=-1), axis=-1)
    cross = squares[:, 0] < 0.5
    pentagon = theory.crystal_radius(5, 1.0, 0.2) ** 2
    ring = theory.crystal_radius(4, 1.0, 0.2, centre=True) ** 2
    assert (pentagon, ring) == pytest.approx((1.0212257, 1.257972), abs=1e-6)
    assert np.abs(squares[~cross] - pentagon).max() < 1e-10
    assert np.abs(squares[cross] - [0, ring, ring, ring, ring]).max() < 1e-10
    assert abs((~cross).sum() - 173) <= 15
    assert abs((~cross[:100]).sum() - 59) <= 15


def test_gradient_of_the_banana_is_that_of_its_potential():
    x, e = 3 * np.random.default_rng(0).normal(size=(50, 2)), 1e-6
    for i, axis in enumerate(np.eye(2)):
        slope = (runs.potential(x + e * axis) - runs.potential(x - e * axis)) / (2 * e)
        assert runs.gradient(x)[:, i] == pytest.approx(slope, abs=1e-6)


def test_the_double_banana():
    n = STORED.numbers
    assert n["truth"] == pytest.approx(runs.truth(), abs=1e-12)
    assert n["truth"] == pytest.approx(0.7754, abs=1e-4)
    end = tp.Particles(STORED.arrays["beads"])
    assert runs.potential(end.points).mean() == pytest.approx(n["beads"], abs=1e-12)
    assert n["beads"] == pytest.approx(0.6646, abs=1e-3)
    after = runs.sampler(16).mean_after(end, runs.potential)
    assert after == pytest.approx(n["after"], abs=1e-12)
    assert after == pytest.approx(0.750, abs=1e-3)
    assert abs(after - n["truth"]) < abs(n["beads"] - n["truth"]) / 4
    assert n["langevin"] == pytest.approx(0.796, abs=0.01)
    assert np.abs(runs.sampler()(end)(end.points)).max() == pytest.approx(n["speed"], rel=1e-6)
    draw = runs.potential(runs.sampler(16).random_layer(end, -1e-6, 0).points).mean()
    assert abs(draw - after) < 4 * n["draws"]["spread"]
    assert abs(n["draws"]["mean"] - after) < 4 * n["draws"]["spread"] / np.sqrt(40)


def test_parts_of_the_stored_runs_again():
    early = runs.beads(STORED.parameters["banana"]["early"]).final.points
    assert np.abs(early - STORED.arrays["early"]).max() < 1e-9
    means = runs.langevin(STORED.parameters["langevin"]["early"])[1]
    assert means == pytest.approx(STORED.arrays["means"], abs=1e-10)
