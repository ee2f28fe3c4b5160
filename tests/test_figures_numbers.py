"""The key numbers of the figures: kept references, and what the authors' scripts give."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from matplotlib.figure import Figure

from transpde import figures
from transpde.figures import blowup, drawing, full_rank_limits, isotropic_limits, recipes

HERE = Path(__file__).parent
REFERENCE = json.loads((HERE / "figures_reference.json").read_text(encoding="utf-8"))
PEER = yaml.safe_load((HERE.parent / "book" / "peer.yml").read_text(encoding="utf-8"))["figures"]
PEER = {name: theirs for name, theirs in PEER.items() if theirs["script"] == "2d_plots.py"}
SHARED = {}


@pytest.fixture(scope="module", autouse=True)
def shared(figure_data):
    SHARED["data"] = figure_data


def computed(name):
    return SHARED["data"](name)


def numbers(name):
    return computed(name).numbers


# --- against the kept references -----------------------------------------------------------------


@pytest.mark.parametrize("name", figures.names())
def test_key_numbers_are_those_kept(name):
    kept = REFERENCE["figures"][name]
    found = numbers(name)
    assert set(found) == set(kept["values"]) | set(kept["bounds"])
    for key, value in kept["values"].items():
        wanted = {"rtol": REFERENCE["relative_tolerance"], "err_msg": key}
        if np.asarray(value).dtype.kind == "i":
            wanted["rtol"] = 0
        np.testing.assert_allclose(found[key], value, **wanted)
    for key, bound in kept["bounds"].items():
        assert 0 <= np.min(found[key]) <= np.max(found[key]) <= bound, key


@pytest.mark.parametrize("name", figures.names())
def test_arrays_are_small_and_finite(name, tmp_path):
    arrays = computed(name).arrays
    np.savez_compressed(tmp_path / "arrays.npz", **arrays)
    assert (tmp_path / "arrays.npz").stat().st_size <= 100_000
    padded = {"log_eigenvalues"}  # with NaN, up to the largest dimension
    assert all(np.isfinite(a).all() or key in padded for key, a in arrays.items())


@pytest.mark.parametrize(
    "name",
    [n for n in figures.names() if n != "trad_explosion" and n[:5] not in ("histo", "cover")],
)
def test_drawing_has_a_curve_for_every_start(name):
    first, *_ = figures.draw(name, computed(name), Figure()).axes
    if name == "frontispiece":
        rows, columns = 5, 7
        assert len(first.lines) == 2 * rows * columns
    elif first.name == "3d":
        assert len(first.lines) >= numbers(name)["starts"]
    else:
        shown = range(0, numbers(name)["starts"], blowup.DRAWN.get(name, 1))
        assert len(first.collections[0].get_segments()) == len(shown)


# --- against the scripts -------------------------------------------------------------------------


def test_every_figure_of_the_scripts_is_here():
    assert set(PEER) <= set(figures.names())
    assert len(PEER) == 16
    for name, theirs in PEER.items():
        starts = numbers(name)["starts"]
        ends = theirs["converged"] + theirs["blown_up"] + theirs["unfinished"]
        assert starts == theirs["trajectories"] == ends


@pytest.mark.parametrize(
    "name", ["trad_neg_def_V", "L2_neg_def_V", "MH_neg_def_V", "sink_convergence"]
)
def test_zero_is_met_where_the_tolerance_of_the_script_stops_it(name):
    # To first order: the script's stop also carries the approach and the Euler error. Two heads
    # need Z without the shift of time that t |S| shows.
    found, theirs = numbers(name), PEER[name]
    assert found["size_at_tolerance"] == pytest.approx(theirs["norm_at_stop"][2], rel=3e-3)
    assert found["direction"] == pytest.approx(theirs["direction"], abs=0.06)
    assert found["size_times_t_max"] / found["size_times_t_min"] < 1.01


@pytest.mark.parametrize("name", ["trad_rank_1", "L2_rank_1"])
def test_line_has_the_exact_limits(name):
    found, theirs = numbers(name), PEER[name]
    exact = [found["trace_min"], found["trace_max"], found["trace_mean"]]
    np.testing.assert_allclose(exact, theirs["trace"], atol=5e-6)
    assert found["direction"] == pytest.approx(theirs["direction"], abs=5.1e-4)
    S0, q = recipes.line().starts, recipes.line().query[0]
    p = np.array([-q[1], q[0]])
    traces = 1 / (np.linalg.inv(S0) @ p @ p)
    np.testing.assert_allclose(computed(name).arrays["values"], traces, rtol=1e-12)
    ends = computed(name).arrays["covariances"][-1]
    np.testing.assert_allclose(ends, traces[:, None, None] * np.outer(p, p), atol=1e-6)


def test_plane_has_the_exact_limits_and_conserves_the_second_variance():
    found, theirs = numbers("MH_rank_1"), PEER["MH_rank_1"]
    norms = [found["norm_min"], found["norm_max"], found["norm_mean"]]
    np.testing.assert_allclose(norms, theirs["norm"], atol=5.1e-5)
    recipe = recipes.line()
    limits = full_rank_limits.limits(recipe.starts, recipe.query[0])
    np.testing.assert_array_equal(limits[:, 1, 1], recipe.starts[:, 1, 1])
    assert np.abs((limits @ recipe.query[0])[:, 0]).max() < 1e-15
    low = np.linalg.eigvalsh(limits)[:, 0]
    np.testing.assert_allclose([low.min(), low.max()], theirs["smallest_eigenvalue"], atol=6e-4)


@pytest.mark.parametrize("name", ["trad_mixed_3d", "L2_mixed_3d"])
def test_two_lines_take_the_starts_that_the_script_left_unfinished(name):
    found, theirs = numbers(name), PEER[name]
    np.testing.assert_allclose(found["directions"], theirs["directions"], atol=5.1e-5)
    more = np.subtract(found["on_each_line"], theirs["on_each_line"])
    assert (more >= 0).all()
    assert more.sum() == theirs["unfinished"]


def test_isotropic_directions_are_isotropic():
    A = np.array([[1.0, 2.0], [0.5, -3.0]])
    angles = np.radians(isotropic_limits.isotropic_angles(A))
    x = np.stack([np.cos(angles), np.sin(angles)])
    assert np.abs((x * (A @ x)).sum(axis=0)).max() < 1e-14


def test_blow_up_under_two_heads_goes_to_two_directions():
    found, theirs = numbers("MH_explosion"), PEER["MH_explosion"]["angles_at_stop"]
    near_90 = theirs["80-90"] + theirs["90-100"] + theirs["100-120"]
    assert list(found["in_each_direction"]) == [0, near_90, 0, theirs["160-170"]]


def test_l2_grows_at_the_rate_of_the_script_to_one_direction():
    found, theirs = numbers("L2_divergence"), PEER["L2_divergence"]
    assert found["rate"] == pytest.approx(theirs["rate"], abs=5e-4)
    assert found["rate_at_horizon"] == pytest.approx(found["rate"], rel=1e-9)
    assert found["limit_direction"] == pytest.approx(theirs["limit_direction"], abs=5.1e-4)


def test_sinkhorn_freezes_where_the_script_ends():
    found, theirs = numbers("sink_divergence"), PEER["sink_divergence"]
    assert list(found["limit_angles_by_10_degrees"]) == theirs["limit_angles_by_10_degrees"]
    assert found["inside_the_disc"] == theirs["rank_two_at_stop"]
    assert found["eigenvalue_ratio_max"] == pytest.approx(theirs["eigenvalue_ratio_max"], abs=0.01)


def test_sinkhorn_limits_inside_the_disc_are_marked():
    data = computed("sink_divergence")
    marked = figures.draw("sink_divergence", data, Figure()).axes[0].lines[-1].get_xydata()
    assert len(marked) == data.numbers["inside_the_disc"] == 6
    assert np.linalg.norm(marked, axis=1).max() < 0.98


def test_both_splits_softmax_and_never_l2():
    found, theirs = numbers("trad_both_V"), PEER["trad_both_V"]
    for key in ("converged", "blown_up"):
        assert found[key] == theirs[key]
    assert found["limit_direction"] == pytest.approx(theirs["limit_direction"], abs=5.1e-5)
    assert found["blowup_direction"] == pytest.approx(theirs["blowup_direction"], abs=0.01)
    assert numbers("L2_both")["converged"] == 648
    assert numbers("L2_both")["blown_up"] == 0
    heads = numbers("MH_both")
    assert heads["blown_up"] == PEER["MH_both"]["blown_up"] == 57
    assert heads["two_heads_blown_up"] == 0
    assert heads["two_heads_largest_trace"] < 1e-8


def test_packed_points_are_kept_to_the_unit():
    points = np.array([[0.25, -1.0], [1 + 1e-9, 0.0]])
    assert np.abs(drawing.unpack(drawing.pack(points)) - points).max() < 2e-5
