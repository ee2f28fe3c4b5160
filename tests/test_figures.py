"""The reproduced figures: manifests, key numbers, the command line."""

import json
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from transpde import figures, records
from transpde.figures import blowup, recipes
from transpde.figures.__main__ import main
from transpde.records import digest


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder that one run of the command wrote."""
    out = tmp_path_factory.mktemp("figures") / "new"
    command = ["--only", "trad_explosion", "--out", str(out), "--format", "svg"]
    assert main([*command, "--format", "png"]) == 0
    return out


@pytest.fixture(scope="module")
def manifest(made):
    return json.loads((made / "trad_explosion.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def stored(made):
    return records.load("trad_explosion", made)


# --- the blow-up disc ------------------------------------------------------------------------

# As the authors' script gives them.
PRINTED_ANGLES = [22, 37, 62, 80, 98, 117, 124, 126, 121, 110, 92, 73, 52, 30, 18, 7, 7, 8]


def test_trad_explosion_key_numbers(manifest):
    numbers = manifest["numbers"]
    assert numbers["starts"] == numbers["blown_up"] == 1184
    assert numbers["blowup_time_error"] <= 1e-8
    assert numbers["blowup_time_min"] == pytest.approx(0.353144931593, rel=1e-9)
    assert numbers["blowup_time_median"] == pytest.approx(0.693785357686, rel=1e-9)
    assert numbers["blowup_time_max"] == pytest.approx(8.937338687589, rel=1e-9)
    assert numbers["limit_distance_from_circle"] <= 1e-9
    assert numbers["distance_from_lines"] <= 1e-9
    np.testing.assert_allclose(numbers["source"], [0.764909, -0.516403], atol=1e-6)


def test_trad_explosion_limits_are_spread_as_in_the_script(manifest):
    angles = np.array(manifest["numbers"]["limit_angles_by_10_degrees"])
    assert angles.sum() == 1184
    assert np.abs(angles - PRINTED_ANGLES).max() <= 2


def test_trad_explosion_stored_paths_run_from_the_starts_to_the_limits(stored):
    paths, ends = stored.arrays["paths"], stored.arrays["ends"]
    S = recipes.explosion().starts
    start = np.stack([S[:, 0, 0] - S[:, 1, 1], 2 * S[:, 0, 1]], axis=-1)
    np.testing.assert_allclose(paths[0], start, atol=1e-7)
    assert np.linalg.norm(paths[-1] - ends, axis=1).max() < 1e-4
    S = S * stored.arrays["blowup_times"][:, None, None]  # all blow up at time 1
    M = np.array(stored.parameters["A"])
    t = stored.arrays["times"][3]
    exact = np.linalg.inv(np.linalg.inv(S) - t * (M + M.T))
    exact /= np.trace(exact, axis1=1, axis2=2)[:, None, None]
    np.testing.assert_allclose(paths[3][:, 0], exact[:, 0, 0] - exact[:, 1, 1], atol=2e-7)
    np.testing.assert_allclose(paths[3][:, 1], 2 * exact[:, 0, 1], atol=2e-7)


def test_trad_explosion_drawing_has_every_ray_and_the_source(stored):
    figure = figures.draw("trad_explosion", stored, Figure())
    ax = figure.axes[0]
    rays, ends = ax.collections[:2]
    assert len(rays.get_segments()) == 1184
    assert np.abs(np.linalg.norm(ends.get_offsets(), axis=1) - 1).max() < 1e-6
    first = np.array([segment[0] for segment in rays.get_segments()])
    np.testing.assert_allclose(first[:, 1], rays.get_array())  # coloured by the initial w
    np.testing.assert_allclose(ax.lines[0].get_xydata(), stored.arrays["source"][None])


# --- files and manifest ----------------------------------------------------------------------


def test_make_writes_pictures_data_and_manifest(made, manifest):
    written = {path.name for path in made.iterdir()}
    assert written == {*manifest["files"], "trad_explosion.json"}
    assert set(manifest["files"]) == {f"trad_explosion.{end}" for end in ("svg", "png", "npz")}
    assert (made / "trad_explosion.npz").stat().st_size <= 100_000


def test_manifest_says_how_the_data_were_made(manifest):
    recipe = recipes.explosion()
    Q, K = recipe.query, recipe.key
    np.testing.assert_array_equal(manifest["parameters"]["query"], Q)  # to the last digit
    np.testing.assert_array_equal(manifest["parameters"]["key"], K)
    assert manifest["seed"] == 33
    assert manifest["scheme"] == {"method": "DOP853", "rtol": 1e-10, "atol": 1e-12}
    assert "blow-up" in manifest["horizon"]
    assert set(manifest["versions"]) == {"python", "numpy", "scipy", "matplotlib", "transpde"}
    assert manifest["platform"]
    for task in ("data", "drawing"):
        assert set(manifest["seconds"][task]) == {"wall", "cpu"}
        assert manifest["seconds"][task]["cpu"] > 0


def test_manifest_has_the_digest_of_each_array(manifest, stored):
    assert set(manifest["arrays"]) == set(stored.arrays)
    for name, array in stored.arrays.items():
        assert manifest["arrays"][name]["digest"] == digest(array)
        assert manifest["arrays"][name]["shape"] == list(array.shape)


def test_pictures_do_not_depend_on_the_day_or_the_style(made, stored, tmp_path, monkeypatch):
    monkeypatch.setattr(blowup, "data", lambda name: stored)
    with matplotlib.rc_context({"lines.linewidth": 9, "svg.hashsalt": "other"}):
        figures.make("trad_explosion", tmp_path, "svg")
    assert (tmp_path / "trad_explosion.svg").read_bytes() == (
        made / "trad_explosion.svg"
    ).read_bytes()
    assert records.load("trad_explosion", tmp_path).numbers == stored.numbers


def test_unknown_names_and_formats(tmp_path):
    with pytest.raises(ValueError, match="'trad_explosoin'; the nearest: trad_explosion"):
        figures.data("trad_explosoin")
    with pytest.raises(ValueError, match="nearest: trad_explosion, MH_explosion"):
        figures.data("TRAD_EXPLOSION")
    with pytest.raises(ValueError, match="'zzz'; known: trad_neg_def_V"):
        figures.draw("zzz")
    with pytest.raises(ValueError, match="format: must be one of png, pdf, svg; got 'gif'"):
        figures.make("trad_explosion", tmp_path, "gif")


# --- the command -----------------------------------------------------------------------------


def test_command_lists_figures(capsys):
    for arguments in ([], ["--list"], ["--list", "--all"]):
        assert main(arguments) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines] == figures.names()
        assert all(figures.describe(line.split()[0]) in line for line in lines)


def test_command_all_makes_each_once_and_says_what(tmp_path, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(
        figures, "make", lambda *given, **_: calls.append(given) or [tmp_path / "x"]
    )
    assert main(["--all", "--out", str(tmp_path)]) == 0
    assert calls == [(name, tmp_path, ["png"]) for name in figures.names()]
    assert f"trad_explosion: {tmp_path / 'x'}" in capsys.readouterr().out


def test_command_says_where_it_cannot_write(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["--all", "--out", str(tmp_path / "file" / "below")]) == 1
    assert "cannot write to the folder" in capsys.readouterr().err


def test_command_without_matplotlib_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("transpde.figures.__main__.find_spec", lambda name: None)
    assert main(["--all", "--out", str(tmp_path / "new")]) == 1
    assert "pip install transpde[plot]" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_command_says_that_a_file_is_no_folder_and_makes_nothing(tmp_path, capsys):
    (tmp_path / "file").write_text("kept")
    assert main(["--all", "--out", str(tmp_path / "file")]) == 1
    assert "cannot write to the folder" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "kept"


def test_command_with_an_unknown_name():
    command = [sys.executable, "-m", "transpde.figures", "--only", "explosion"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr == (
        "transpde.figures: name: no figure is called 'explosion'; "
        "the nearest: MH_explosion, trad_explosion.\n"
    )


def test_draw_without_a_figure_makes_one_of_pyplot(stored):
    from matplotlib import pyplot as plt

    figure = figures.draw("trad_explosion", stored)
    assert plt.fignum_exists(figure.number)
    assert tuple(figure.get_size_inches()) == blowup.SIZE
    plt.close(figure)
