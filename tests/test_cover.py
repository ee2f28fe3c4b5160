"""The cover's pictures are those that the package draws now, and say what is true."""

import io

import numpy as np
import pytest
from loading import load_tool
from PIL import Image

from transpde import figures
from transpde.figures import recipes

TOOL = load_tool("cover")
# Of the pixels: another rasteriser moves the edges of letters, another word or colour is more.
CHANGED = 2e-3


def pixels(png):
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("L"), dtype=float)


def share_changed(one, other):
    """The share of pixels that differ by more than edges do; 1 where sizes differ."""
    if one.shape != other.shape:
        return 1.0
    return float((np.abs(one - other) > 96).mean())


@pytest.mark.parametrize("name", TOOL.NAMES)
def test_the_stored_picture_is_the_one_that_is_drawn(name):
    stored = pixels((TOOL.FOLDER / f"{name}.png").read_bytes())
    assert share_changed(stored, pixels(TOOL.drawn(name))) < CHANGED, "run: python tools/cover.py"


@pytest.mark.parametrize("name", ["cover_size", "cover_sample", "cover_heads"])
def test_another_word_is_seen(name, monkeypatch):
    from matplotlib.axes import Axes

    stored = pixels((TOOL.FOLDER / f"{name}.png").read_bytes())
    label = Axes.set_xlabel
    monkeypatch.setattr(Axes, "set_xlabel", lambda ax, text: label(ax, "something else"))
    assert share_changed(stored, pixels(TOOL.drawn(name))) > CHANGED


def test_a_reader_s_own_settings_change_nothing():
    from matplotlib import pyplot as plt

    with plt.rc_context({"font.size": 20, "axes.facecolor": "yellow", "savefig.dpi": 30}):
        found = TOOL.drawn("cover_size")
    assert found == TOOL.drawn("cover_size")


def test_only_softmax_explodes_on_the_cover():
    data = figures.data("cover_size")
    Q, K = data.parameters["query"], data.parameters["key"]
    times, traces = data.arrays["Softmax"]
    assert times[-1] < data.numbers["blowup_time"] < data.arrays["L2"][0, -1]
    # Near the pole the trace is c / (t* - t).
    left = data.numbers["blowup_time"] - times[-2:]
    assert traces[-2] * left[0] == pytest.approx(traces[-1] * left[1], rel=5e-3)
    assert traces[-1] > 100 * data.arrays["Sinkhorn"][1, 20]
    assert np.all(np.diff(data.arrays["shrinking"][1]) < 0)
    # The closed form of softmax with V = I, halfway.
    M, half = K.T @ Q + Q.T @ K, len(times) // 2
    S = recipes.explosion().starts
    S = S[len(S) // 2]
    exact = np.trace(np.linalg.inv(np.linalg.inv(S) - times[half] * M))
    assert traces[half] == pytest.approx(exact, rel=1e-7)


def test_n_tokens_follow_their_limit_to_about_the_root_of_two_log_n():
    data = figures.data("cover_sample")
    departures = np.array(data.numbers["departure"])
    roots = np.sqrt(2 * np.log(10.0) * np.array(data.parameters["digits_of_n"]))
    assert np.all(np.diff(departures / roots) > 0)  # to 1, slowly
    assert np.all(departures < roots)
    assert departures[-1] > 0.85 * roots[-1]


def test_the_heads_on_the_cover_melt_where_gaussian_tokens_do():
    """What the card says, from the stored numbers alone: five texts of 512 tokens."""
    found = TOOL.survey(slice(TOOL.TEXTS), 512)
    assert found.spread.shape == (6, 12)
    affine, frozen = found.spread < 2, found.spread > 3
    assert affine.mean() > 0.5
    assert np.median(found.share[affine]) > 0.85
    assert np.median(found.share[frozen]) < 0.4
    for text in range(TOOL.TEXTS):
        assert (TOOL.survey(text, 512).share > 0.75).mean() > 0.5
    for shares in (found.share, found.twin_share):
        assert np.corrcoef(np.log(found.spread).ravel(), shares.ravel())[0, 1] < -0.8
    assert np.corrcoef(found.share.ravel(), found.twin_share.ravel())[0, 1] > 0.9


def test_the_picture_of_the_recipe_shows_all_heads_and_their_twins():
    (ax,) = TOOL.of_heads("recipe_heads").axes
    found = TOOL.survey(0, 128)
    twins, heads = ax.lines[:2]
    np.testing.assert_array_equal(heads.get_xdata(), found.spread.ravel())
    np.testing.assert_array_equal(heads.get_ydata(), found.share.ravel().clip(-1))
    np.testing.assert_array_equal(twins.get_ydata(), found.twin_share.ravel().clip(-1))
