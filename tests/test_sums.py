"""The page on sums: its statements, and the committed measurements that it shows."""

import json
import math
import sys

import numpy as np
import pytest
from loading import ROOT, load_tool
from scipy.special import iv

import transpde as tp
from transpde import convergence
from transpde.kernels import nodes

BENCHMARKS = ROOT / "benchmarks"
U = np.linspace(-1, 1, 401)


@pytest.fixture(scope="module")
def programs():
    """The two benchmark programs, which are no package: the second imports the first."""
    before = dict(sys.modules)
    for name in ("attention", "scaling"):
        load_tool(name, folder="benchmarks")
    yield sys.modules["attention"], sys.modules["scaling"]
    for name in ("attention", "scaling"):
        sys.modules.pop(name)
        if name in before:
            sys.modules[name] = before[name]


def committed(name):
    return json.loads((BENCHMARKS / name).read_text(encoding="utf-8"))


# --- the committed measurements ------------------------------------------------------------------


def test_every_case_was_measured(programs):
    attention, scaling = programs
    assert list(committed("attention.json")["cases"]) == list(attention.CASES)
    found = committed("scaling.json")
    assert set(found["seconds"]) == {*scaling.SERIES, "torch, d = 2", "torch is_causal, d = 2"}
    for name, case in scaling.SERIES.items():
        assert [n for n, _ in found["seconds"][name]] == [
            n for n in scaling.SIZES if n <= case["to"]
        ]
    for rows in [*found["seconds"].values(), *found["mebibytes"].values()]:
        assert len(rows) >= 2
        assert all(number > 0 for _, number in rows)


def test_the_table_is_that_of_the_measurements(programs):
    made = (BENCHMARKS / "attention.md").read_text(encoding="utf-8")
    assert made == programs[0].table(committed("attention.json"))


def test_ratios_and_verdicts_follow_from_the_times(programs):
    reached = programs[0].reached
    for name, row in committed("attention.json")["cases"].items():
        if row.get("ratio"):
            assert row["ratio"] == pytest.approx(row["peer_seconds"] / row["ours_seconds"]), name
        if "1e-10" in name:
            assert row["ours_error"] <= 1e-10, name
    assert reached({"ratio": 2.0, "floor": 1.9}) is True
    assert reached({"ratio": 2.0, "floor": 2.1}) is False
    memory = {"ours_seconds": 1, "most_seconds": 1, "mebibytes": 9, "most_mebibytes": 8}
    assert reached(memory) is False
    assert reached({"ratio": None, "floor": 2}) is None


# --- the statements ------------------------------------------------------------------------------


def evenly(R, n=400):
    return R * ((2 * np.arange(n) + 1) / n - 1)


def interpolated(f, p):
    return (nodes.from_values(p) @ f(nodes.places_of(p))) @ nodes.polynomials(U, p)


@pytest.mark.parametrize("R", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("spread", ["even", "ends"])
def test_error_of_interpolated_sums_is_below_the_bound(R, spread):
    """Two tokens at the ends come within a factor of ten of it; rounding is left aside."""
    y = evenly(R) if spread == "even" else np.array([-R, R])
    nearest = np.inf
    for p in range(2, 40):
        k, s = np.arange(p, p + 80), R**2
        bound = 4 * iv(k, s).sum()
        cruder = [
            (s / 2) ** j / math.factorial(j) * np.exp(s**2 / (4 * (j + 1))) for j in (p, p + 3)
        ]
        assert (iv([p, p + 3], s) <= cruder).all()
        if bound > 1e-9:

            def Z(u):
                return np.exp(np.multiply.outer(R * u, y)).mean(axis=-1)

            error = np.abs(interpolated(Z, p) - Z(U)).max()
            assert error <= bound
            nearest = min(nearest, bound / error) if error > 1e-9 else nearest
    assert spread == "even" or nearest < 10


@pytest.mark.parametrize("R", [2.0, 3.0, 5.0])
def test_interpolated_mean_converges_at_the_rate_of_its_poles(R):
    y, counts = evenly(R), np.arange(16, 72, 4)

    def mean(u):
        w = np.exp(np.multiply.outer(R * u, y))
        return (w @ y) / w.sum(axis=-1)

    poles = 1j * np.pi / R**2 * np.arange(1, 4)
    assert (np.abs(np.exp(np.multiply.outer(R * poles, y)).mean(axis=-1)) < 1e-13).all()
    errors = np.array([np.abs(interpolated(mean, p) - mean(U)).max() for p in counts])
    kept = errors > 1e-10
    rate = np.exp(-np.polyfit(counts[kept], np.log(errors[kept]), 1)[0])
    assert rate == pytest.approx(convergence.bernstein_parameter(poles).min(), rel=0.02)
    assert rate == pytest.approx(np.exp(np.arcsinh(np.pi / R**2)), rel=0.02)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_three_nodes_are_exact_for_a_gaussian(d):
    covariance = np.diag([0.8, 0.5, 0.3][:d])
    cloud = tp.Gaussian.from_covariance(np.full(d, 0.2), covariance).quadrature(24)
    t = np.random.default_rng(d).uniform(-1.5, 1.5, (300, d))
    some, y = nodes.Nodes((3,) * d), cloud.points
    found = nodes.interpolated_means(t, y, np.log(cloud.weights), y, some)
    np.testing.assert_allclose(found, 0.2 + t @ covariance, atol=1e-11)


def test_the_quadratic_needs_fewest_nodes():
    R, y = 5.0, evenly(5.0)
    exact = tp.Softmax(*np.ones((3, 1, 1)))(tp.Particles(y[:, None]), method="exact")
    t = R * U[:, None]
    count = nodes.nodes_needed(t, y[:, None], 1e-10).total

    def sums(u, v):
        return np.exp(np.multiply.outer(R * u, y)) @ v

    gaps = {
        "quadratic": nodes.interpolated_means(
            t, y[:, None], 0 * y, y[:, None], nodes.Nodes((count,))
        )[:, 0],
        "ratio": interpolated(lambda u: sums(u, y) / sums(u, 1 + 0 * y), count),
        "plain": interpolated(lambda u: sums(u, y), count)
        / interpolated(lambda u: sums(u, 1 + 0 * y), count),
    }
    errors = {name: np.abs(found - exact(t)[:, 0]).max() / R for name, found in gaps.items()}
    assert errors["quadratic"] < 1e-10
    assert errors["plain"] > 1e-7
    assert errors["ratio"] > 1e-4
