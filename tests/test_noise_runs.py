"""The stored runs of noisy layers: what they must show, and some of them made again."""

import numpy as np
import pytest
import yaml
from loading import ROOT, load_tool

from transpde.convergence import fitted_order
from transpde.noise import ArcCosine, RandomFeatures
from transpde.records import load
from transpde.theory import synchrony

runs = load_tool("frontier_noise")
STORED = load("common_noise", ROOT / "book" / "frontier" / "data")
DEEP = ArcCosine(16, 0.2, 0.2)


def near(found, value, slack=0.0):
    return abs(found["mean"] - value) < 3.5 * found["error"] + slack


def unit(printed):
    """One of the last digit of a printed number."""
    digits, _, power = printed.partition("e")
    return 10.0 ** (int(power or 0) - len(digits.partition(".")[2]))


def test_every_number_of_the_papers_table():
    table = yaml.safe_load((ROOT / "book" / "peer.yml").read_text())["common_noise"]["table"]
    assert [tuple(row[:3]) for row in table] == runs.ROWS
    for name, d, bias, *printed in table:
        kernel = runs.kernel_of(name, d, bias)
        exponents = synchrony.lyapunov(kernel, d), synchrony.energy_exponent(kernel, d)
        for text, value in zip(printed, (kernel.at_one, kernel.slope, *exponents), strict=True):
            assert abs(value - float(text)) <= 0.5 * unit(text), (name, d, bias, text)


def test_measured_exponents_are_those_of_the_theory():
    for value in runs.VALUES:
        found = STORED.numbers[f"exponent, {value}"]
        assert near(found, synchrony.lyapunov(DEEP, 16, value), 0.02), value
    again = runs.exponents(runs.VALUES[2], runs.STEP, runs.DEPTH, runs.REPLICAS, 2)
    assert np.abs(again - STORED.arrays[f"exponents, {runs.VALUES[2]}"]).max() < 1e-6


def test_bias_of_exponents_falls_with_the_step():
    exact = synchrony.lyapunov(DEEP, 16)
    coarse, fine = (STORED.numbers[f"exponent, step {h}"] for h in runs.COARSE)
    assert coarse["mean"] - exact > 3.5 * coarse["error"]
    limit = {
        "mean": 2 * fine["mean"] - coarse["mean"],
        "error": np.hypot(2 * fine["error"], coarse["error"]),
    }
    assert near(limit, exact)


def test_measured_signs_are_those_of_the_map():
    for d in runs.EDGE["dimensions"]:
        for ratio in runs.EDGE["ratios"]:
            found = STORED.numbers[f"edge, {d}, {ratio}"]
            kernel = RandomFeatures((ratio * (d - 1) / (d - 3)) ** 0.5)
            assert (found["mean"] < 0) == (ratio < 1) == (synchrony.lyapunov(kernel, d) < 0)
    again = runs.with_error(runs.edge_exponents(8, 1.15))
    assert again["mean"] == pytest.approx(STORED.numbers["edge, 8, 1.15"]["mean"], abs=1e-6)


def test_layers_grow_as_the_backward_equation():
    exact = synchrony.mean_energy(ArcCosine(4), 4, 1e-3, [0.0, 8.0, 24.0])[1:]
    for seed in (0, 1):
        for time, value in zip((8, 24), exact, strict=True):
            found = STORED.numbers[f"grown, {time}, {seed}"]
            assert near(found, value, 0.02 * value)
            assert found["mean"] > 4e-3
            assert found["median"] < 1e-3
    assert STORED.numbers["grown, 24, 0"]["median"] < 1e-5


def test_stationary_means_extrapolate_to_the_density():
    theta = (np.arange(2000) + 0.5) * np.pi / 2000
    p = synchrony.pair_density(DEEP, 16, theta, value=-1.0)
    exact = (p * np.cos(theta)).sum() * np.pi / 2000
    coarse, fine = (STORED.numbers[f"stationary, {h}"] for h in runs.STATIONARY["steps"])
    assert exact - coarse["mean"] > 3.5 * coarse["error"]
    limit = {
        "mean": 2 * fine["mean"] - coarse["mean"],
        "error": np.hypot(2 * fine["error"], coarse["error"]),
    }
    assert near(limit, exact)


def test_linear_pairs_join_as_they_should():
    for d in (2, 4):
        assert near(STORED.numbers[f"joined, {d}"], 1 - 1 / np.pi)
    h, depth, count = runs.JOINED[2]
    assert runs.joined(2, h, depth, count, 2) == STORED.numbers["joined, 2"]["mean"]


def test_strong_errors_of_the_stored_runs():
    for name, heun in (("strong", False), ("strong, heun", True)):
        error = np.sqrt((STORED.arrays[name] ** 2).mean(axis=1))
        assert fitted_order(runs.STRONG["depths"], error) == pytest.approx(-0.5, abs=0.08)
        again = runs.strong_errors(16, runs.STRONG["replicas"], 16, heun)
        assert np.abs(again - STORED.arrays[name][1]).max() < 1e-9
    ratio = STORED.arrays["strong, heun"].mean() / STORED.arrays["strong"].mean()
    assert 0.6 < ratio < 0.9


def test_first_figure_of_the_paper():
    relu, tanh = STORED.arrays["figure, ReLU"], STORED.arrays["figure, Tanh"]
    assert np.abs(np.linalg.norm(relu, axis=-1) - 1).max() < 1e-5
    means = [runs.mean_cosine(x.astype(float)) for x in (relu[-1], tanh[-1])]
    assert means[0][0] > 0.4
    assert means[1][1] > 0.8
    assert abs(means[1][0]) < 0.5
    seeds = STORED.arrays["seeds, ReLU"][:, 0, 1]
    assert len(seeds) == 14
    assert np.median(seeds) > 0.7
    again = runs.mean_cosine(runs.figure_run("ReLU", 256, 1000, 0, (400, 1000)))
    assert np.abs(np.array(again) - STORED.arrays["seeds, ReLU"][0]).max() < 1e-8


def test_all_seeds_gather_against_repulsion_exactly_below_the_threshold():
    for (name, d, bias), found in zip(runs.ROWS, STORED.arrays["grid"], strict=True):
        rate = synchrony.lyapunov(runs.kernel_of(name, d, bias), d)
        assert (found[2, :, 0].min() > 0.9) == (rate < -1), (name, d, bias)
        assert found[0, :, 0].max() > 0.95, (name, d, bias)  # attraction
    again = runs.grid_run("Tanh", 128, 0.1, -1.0, 0)
    row = runs.ROWS.index(("Tanh", 128, 0.1))
    assert again == pytest.approx(tuple(STORED.arrays["grid"][row, 2, 0]), abs=1e-9)
