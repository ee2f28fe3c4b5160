"""Quantitative clustering: the stored runs, the bounds on arcs and what they forbid."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.integrate import quad

import transpde as tp
from transpde.records import load
from transpde.theory import one_cluster

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import frontier_clustering as runs  # noqa: E402

FOLDER = ROOT / "book" / "frontier" / "data"
STORED = load("clustering", FOLDER)


# --- the stored runs ----------------------------------------------------------------------------


@pytest.mark.parametrize("case", runs.CASES)
def test_stored_rates_are_those_of_the_theorem(case):
    """To 2e-3 where the two rates differ by a factor of at least 1.5."""
    d, beta, softmax, order, _ = runs.CASES[case]
    times, *logs = STORED.arrays[f"distances, {case}"]
    checked = 0
    for p, row in zip(runs.ORDERS, logs, strict=True):
        found = -np.polyfit(times[-runs.LATE :], row[-runs.LATE :], 1)[0]
        own, fed = (1 if softmax else np.exp(beta)), (1 if softmax else np.exp(-beta))
        fed *= (d - 1 + order) / p
        if max(own, fed) / min(own, fed) >= 1.5:
            exact = one_cluster.clustering_rate(beta, d, p, order, softmax)
            assert abs(found - exact) < 2e-3
            assert exact == pytest.approx(min(own, fed))
            checked += 1
        assert found > 10 * 0.01  # the survey's rate
    assert checked


@pytest.mark.parametrize("case", ["circle, softmax", "sphere, 0.5", "d = 10, 0.5"])
def test_stored_distances_are_made_again(case):
    time = STORED.arrays[f"distances, {case}"][0, runs.LATE - 1]
    d, beta, softmax, _, _ = runs.CASES[case]
    path = tp.flow(runs.datum(case), runs.head(beta, d, softmax), [0.0, time], rtol=1e-8)
    found = [np.log(path[1].distance_to_dirac(np.eye(d)[0], p)) for p in runs.ORDERS]
    stored = STORED.arrays[f"distances, {case}"][1:, runs.LATE - 1]
    assert np.abs(found - stored).max() < 1e-5


def test_the_manifest_is_that_of_the_command():
    manifest = json.loads((FOLDER / "clustering.json").read_text())
    assert manifest["parameters"]["cases"] == {k: list(v) for k, v in runs.CASES.items()}
    assert manifest["parameters"]["no symmetry"] == runs.LOPSIDED
    assert (FOLDER / "clustering.npz").stat().st_size <= 100_000


@pytest.mark.parametrize("kind", ["unnormalised", "softmax"])
def test_the_datum_without_symmetry_has_one_source_that_leaks_at_the_rate(kind):
    wanted = {"unnormalised": (2.94003, -0.23944), "softmax": (2.95845, -0.1944)}[kind]
    row = STORED.numbers[f"no symmetry, {kind}"]
    assert abs(row["source"] - wanted[0]) < 1e-5
    assert abs(row["sink"] - wanted[1]) < 1e-5
    down = 1.0 if kind == "softmax" else np.exp(-0.5)
    assert abs(row["leak"] / down - 1) < 1e-3
    if kind == "unnormalised":
        a0 = row["source"]
        moment = quad(lambda t: t * runs.lopsided_density(t) / 2 / np.pi, a0 - 2 * np.pi, a0)[0]
        assert abs(row["sink"] - moment) < 1e-6


def test_tokens_of_the_picture_move_as_fourier_modes_do():
    """The mean of the datum by the stored tokens against `Circle`."""
    offsets, angles = (STORED.arrays[f"picture, {what}"] for what in ("starts", "angles"))
    a0 = STORED.numbers["no symmetry, unnormalised"]["source"]
    circle = tp.Circle.from_density(lambda t: runs.lopsided_density(t) / 2 / np.pi, 256)
    path = tp.flow(circle, runs.head(0.5, 2, False), runs.PICTURE[:10])
    found = path.carry(runs.on_circle(a0 + offsets))
    for i in (3, 9):
        wanted = runs.on_circle(angles[i].astype(float))
        assert np.abs(found[i] - wanted).max() < 1e-5


def test_second_clusters_have_the_masses_of_the_dossier_and_more_than_the_least():
    at, masses = STORED.arrays["masses, unnormalised"]
    for beta, wanted in ((1.82, 0.0485), (2.0, 0.078)):
        assert abs(masses[at == beta][0] / wanted - 1) < 0.03
    soft, others = STORED.arrays["masses, softmax"]
    assert abs(others[soft == 4.0][0] / 0.0051 - 1) < 0.03
    for beta, mass in zip([*at, *soft], [*masses, *others], strict=True):
        assert mass / (1 - mass) > np.exp(-2 * beta)


def test_a_second_cluster_begins_where_it_was_found():
    for kind, centre, width in (("unnormalised", 1.775, 0.015), ("softmax", 3.525, 0.025)):
        low, high = STORED.arrays[f"bracket, {kind}"]
        assert centre - width < low < high < centre + width
        assert low > np.arctanh(0.25)
    for beta, softmax, mass in ((2.0, False, 0.07978), (4.0, True, 0.00513), (3.5, True, 0.0)):
        found, _ = runs.second_cluster(beta, softmax)
        assert abs(found - mass) <= 1e-3 * mass


def test_masses_depend_little_on_the_nodes_from_twelve_on():
    fine = [STORED.arrays["masses, unnormalised"][1][i] for i in (0, 2)]
    fine.append(STORED.arrays["masses, softmax"][1][2])
    for nodes in (12, 24):
        assert np.abs(STORED.arrays[f"masses, {nodes} nodes"] / fine - 1).max() < 0.045
    assert np.abs(STORED.arrays["masses, 6 nodes"] / fine - 1).max() < 0.07


@pytest.mark.parametrize(
    ("beta", "softmax", "start", "mass"),
    [(2.0, False, 0.475, 0.07839), (4.0, True, 0.0318, 0.005068)],
)
def test_split_panels_give_the_mass_below_the_start_that_separates(beta, softmax, start, mass):
    """Found apart from the package; nodes of 16 an octave are within three percent of it."""
    octaves = np.pi * 2.0 ** -np.arange(1.0, 10.0)
    near = start * np.array([0.985, 0.995, 1.005, 1.015])
    edges = np.concatenate([[0.0], octaves, near, np.linspace(np.pi / 2, np.pi, 5)])
    eta, w = runs.gauss(np.unique(edges), 10)
    masses = w * (1 - np.cos(eta) / 2) / np.pi
    law = tp.Axial(eta, masses / masses.sum(), 2)
    end = tp.flow(law, runs.head(beta, 2, softmax), [0.0, 60.0], rtol=1e-8).final
    stays = end.angles < 0.1
    inner, outer = ((e - np.sin(e) / 2) / np.pi for e in (eta[stays].max(), eta[~stays].min()))
    assert inner * (1 - 1e-3) < mass < outer * (1 + 1e-3)
    assert outer / inner < 1.003
    kind = "softmax" if softmax else "unnormalised"
    at, stored = STORED.arrays[f"masses, {kind}"]
    assert abs(stored[at == beta][0] / inner - 1) < 0.03


def test_the_rate_of_the_survey_is_a_hundredth():
    peer = yaml.safe_load((ROOT / "book" / "peer.yml").read_text(encoding="utf-8"))
    row = peer["clustering_rate"]
    assert (row["reference"], row["survey"]["rate"]) == ("rigollet2025mean", 0.01)


# --- bounds on arcs -----------------------------------------------------------------------------


def arcs(h, m1, nodes=6):
    """Even laws on two arcs of half-width h, with nodes at both edges."""
    y = h * np.linspace(1 / nodes, 1, nodes)
    masses = np.repeat([m1 / nodes, (1 - m1) / nodes], nodes)
    return tp.Axial(np.concatenate([y, np.pi - y]), masses, 2)


def widths(law):
    """Half-widths of the arcs about the lighter and the heavier point."""
    half = len(law.masses) // 2
    return law.angles[:half].max(), (np.pi - law.angles[half:]).max()


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("h", [0.05, 0.3, 0.6])
def test_arcs_stay_within_the_explicit_bound(h, softmax):
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(12):
        m1, beta = rng.uniform(0.05, 0.5), rng.uniform(0.3, 3.0)
        m0 = 1 - m1
        if m1 * np.exp(2 * beta * np.cos(2 * h)) * np.cos(h) <= m0:
            continue
        c = m1 * np.exp(beta * np.cos(2 * h)) * np.cos(h) - m0 * np.exp(-beta * np.cos(2 * h))
        c *= np.exp(-beta) if softmax else 1.0
        path = tp.flow(arcs(h, m1), runs.head(beta, 2, softmax), np.linspace(0, 1.5, 7))
        for i, t in enumerate(path.times):
            bound = 2 * np.arctan(np.exp(-c * t) * np.tan(h / 2))
            assert max(widths(path[i])) <= bound * (1 + 1e-6)
        held += 1
    assert held >= 3


@pytest.mark.parametrize("softmax", [False, True])
def test_below_the_threshold_every_token_of_the_lighter_arc_leaves(softmax):
    rng = np.random.default_rng(1)
    for _ in range(6):
        m1, h = rng.uniform(0.02, 0.2), 0.3
        m0 = 1 - m1
        beta = 0.9 * np.log(m0 * np.cos(2 * h) / m1) / 2
        law, attention = arcs(h / 3, m1), runs.head(beta, 2, softmax)
        rate = m0 * np.exp(-beta) * np.cos(2 * h) - m1 * np.exp(beta)
        rate *= np.exp(-beta) if softmax else 1.0
        times = np.linspace(0, 1.0, 5)
        path = tp.flow(law, attention, times)
        for i in range(1, 5):
            if max(widths(path[i])) > h:
                break
            grown = path[i].angles[:6] / law.angles[:6]
            assert (grown >= np.exp(rate * times[i])).all()
        assert i > 1


@pytest.mark.parametrize("softmax", [False, True])
def test_a_bounded_density_with_a_given_mean_keeps_two_clusters(softmax):
    """Beyond artanh R_0; below it the same arcs become one cluster."""
    mean, h = 0.4, 0.02
    difference = mean * h / np.sin(h)
    law = arcs(h, (1 - difference) / 2, nodes=8)
    for share, two in ((1.1, True), (0.7, False)):
        attention = runs.head(share * np.arctanh(mean), 2, softmax)
        end = tp.flow(law, attention, [0.0, 80.0]).final
        near = end.masses[end.angles < 0.1].sum()
        assert (near > 0.29) == two
        assert two or end.mean[0] > 0.999


def test_caps_on_higher_spheres_hold_by_the_same_threshold():
    for d in (3, 5):
        for share in (0.95, 1.05):
            beta = share * one_cluster.two_cluster_threshold(0.8, 0.2)
            law = tp.Axial([0.01, np.pi - 0.01], [0.2, 0.8], d)
            states = tp.flow(law, runs.head(beta, d, False), [0.0, 1.0]).states
            rate = one_cluster.arc_rate(beta, 0.8, 0.2, False)
            assert abs(states[0, 0] - states[1, 0] - rate) < 1e-3
            assert (rate > 0) == (share > 1)


# --- what fails ---------------------------------------------------------------------------------


def test_coarse_tokens_fake_a_second_cluster():
    near = {}
    for n in (12, 96):
        t = 2 * np.pi * (np.arange(n) + 0.5) / n
        tokens = tp.Particles(runs.on_circle(t), (1 + np.cos(t) / 2) / n, space=tp.Sphere())
        end = tp.flow(tokens, runs.head(1.7, 2, False), 60.0).final
        near[n] = end.weights[end.points[:, 0] < 0].sum()
    assert near[12] > np.exp(-3.4)
    assert near[96] == 0


def test_an_atom_at_the_source_stays():
    law = runs.cosine(2, 1e-6)
    masses = np.append(0.99 * law.masses, 0.01)
    start = tp.Axial(np.append(law.angles, 1e-300), masses, 2)
    end = tp.flow(start, runs.head(0.5, 2, True), 25.0).final
    assert abs(end.distance_to_dirac([1.0, 0.0]) - 0.2) < 1e-4


# --- no scores ----------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [2, 3, 5])
def test_constants_of_the_three_regimes(d):
    """For densities positive at the antipode: k = d - 1, C from the density there."""
    law, s, k = runs.cosine(d, 1e-14), 1e-6, d - 1
    lost = law.masses @ (2 / (1 + np.exp(2 * law.coordinates) / s**2))
    if k == 1:
        C = 0.5 / np.pi
        assert abs(lost / (np.pi * C * 2 * s) - 1) < 1e-5
    elif k == 2:  # area pi eps^2 of 4 pi, density 1/2
        C = 0.5 / 4
        lost_later = law.masses @ (2 / (1 + np.exp(2 * law.coordinates) / (s / 10) ** 2))
        # The slope in log 1/s of the lost mean over s^2 is 16 C.
        slope = (lost_later * 100 - lost) / s**2 / np.log(10)
        assert abs(slope / (16 * C) - 1) < 1e-4
    else:
        cot = law.masses @ (1 / np.tan(law.angles / 2) ** 2)
        assert abs(lost / (2 * s**2 * cot) - 1) < 1e-5


@pytest.mark.parametrize("d", [2, 3, 6])
def test_a_shifted_uniform_law_keeps_its_form(d):
    def law(sigma):
        def density(eta):
            return (np.cosh(sigma) + np.cos(eta) * np.sinh(sigma)) ** (1.0 - d)

        return tp.Axial.from_density(density, d)

    start = law(0.6)
    tau = float(one_cluster.axial_shift(start, 1.5))
    end = tp.flow(start, runs.head(0.0, d, False), [0.0, 1.5]).final
    assert np.abs(end.mean - law(0.6 + tau).mean).max() < 1e-9
    assert np.abs(end.covariance - law(0.6 + tau).covariance).max() < 1e-9
