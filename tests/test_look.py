"""The book's look: one size of letters, vectors, and no setting of the reader's in it."""

import base64
import io
import json
import os
import re
import subprocess
import sys
from xml.etree import ElementTree

import latex_pictures
import matplotlib
import numpy as np
import pytest
import stored_pictures
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator
from PIL import Image

from transpde import figures, records
from transpde.records import look

HEADED = """figure, ax = plt.subplots(figsize=(9, 3.6))
ax.plot([0, 1, 2], [1, 3, 2], "o-", label="$x^2$")
ax.set(title="A title", xlabel="depth", ylabel="size")
ax.legend()
"""


def drawn():
    """A figure wider than the column, in the book's look."""
    with look.look():
        space = {"plt": plt}
        exec(HEADED, space)
    return space["figure"]


def parts(svg, tag):
    return [e for e in ElementTree.fromstring(svg).iter() if e.tag.endswith(tag)]


def test_wide_figures_fit_the_column_and_keep_their_letters():
    figure = drawn()
    svg, (width, _) = look.shown(figure)
    assert width == round(look.COLUMN * 96)
    root = ElementTree.fromstring(svg)
    assert root.get("width") == "504pt"  # the browser's own size: nothing is scaled
    sizes = {text.get_fontsize() for text in figure.findobj(matplotlib.text.Text)}
    assert max(sizes) == look.STYLE["font.size"]
    assert min(sizes) == pytest.approx(look.STYLE["font.size"] / 1.2, abs=0.01)


def test_pictures_on_paper_have_the_size_they_have_on_the_page():
    svg, (width, height) = look.shown(drawn())
    assert latex_pictures.size_of(svg) == pytest.approx((width * 0.75, height * 0.75), abs=0.4)
    svg, (width, height) = look.shown(heavy())
    assert latex_pictures.size_of(svg) == (width * 0.75, height * 0.75)


def test_what_reaches_beyond_the_figure_is_shown_within_the_column():
    figure = drawn()
    figure.axes[0].annotate("far to the right", (1, 0.5), (60, 0), xycoords="axes fraction",
                            textcoords="offset points", annotation_clip=False)  # fmt: skip
    _, (width, _) = look.shown(figure)
    assert width <= round((look.COLUMN + look.MARGIN) * 96)


def test_numbers_of_an_axis_do_not_touch():
    with look.look():
        figure = plt.figure(figsize=(1.6, 2))
        ax = figure.add_subplot()
        ax.plot([-1.2345, 0.8], [0, 1])
        ax.xaxis.set_major_locator(MaxNLocator(9))
    figure.draw_without_rendering()
    assert look._numbers_touch(ax.xaxis)
    look.shown(figure)
    assert not look._numbers_touch(ax.xaxis)


def test_narrow_figures_keep_their_size():
    with look.look():
        figure = plt.figure(figsize=(4, 3))
        figure.add_subplot().plot([0, 1])
    assert look.shown(figure)[1][0] == 4 * 96


def test_the_same_figure_gives_the_same_bytes():
    assert look.shown(drawn()) == look.shown(drawn())


def test_pictures_have_no_paper_of_their_own():
    """On a dark page there is no white card: nothing is filled behind what is drawn."""
    paper = parts(look.shown(drawn())[0], "path")[:2]
    fills = [path.get("fill") or path.get("style") for path in paper]
    assert all("none" in fill for fill in fills)


@pytest.mark.parametrize("name", ["trad_rank_1", "histograms_trad", None])
def test_small_files_draw_what_matplotlib_wrote(name, figure_data):
    """Paths within a tenth of a point, the same marks at the same places, the same texts."""
    figure = figures.draw(name, figure_data(name)) if name else drawn()
    written = io.BytesIO()
    with look.look():
        figure.savefig(written, format="svg", metadata={"Date": None})
    full = written.getvalue().decode()
    small = look.compact(full)
    assert len(small) < 0.5 * len(full)
    before, after = ([e.get("d", "") for e in parts(svg, "path")] for svg in (full, small))
    assert len(before) == len(after)
    for old, new in zip(before, after, strict=True):
        assert stored_pictures.near_paths(old, new)
    before, after = ([place(use) for use in parts(svg, "use")] for svg in (full, small))
    assert np.abs(np.subtract(before, after)).max() <= 0.051
    assert comments(full) == comments(small)


def place(use):
    """Where a mark or a letter stands, in what it stands in."""
    shift = re.match(r"translate\((\S+) (\S+)\)", use.get("transform", ""))
    moved = map(float, shift.groups()) if shift else (0.0, 0.0)
    return [float(use.get(key, 0)) + by for key, by in zip("xy", moved, strict=True)]


def comments(svg):
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    found = ElementTree.fromstring(svg, parser).iter(ElementTree.Comment)
    return [comment.text.strip() for comment in found]


# --- heavy pictures ------------------------------------------------------------------------------


def heavy():
    with look.look():
        figure = plt.figure(figsize=(4, 3))
        walk = np.random.default_rng(0).normal(size=(400, 2, 90)).cumsum(axis=2)
        figure.add_subplot().plot(*walk.transpose(1, 2, 0), lw=0.5)
    return figure


def test_heavy_pictures_are_pixels_of_half_the_size():
    svg, (width, height) = look.shown(heavy())
    assert len(svg) < look.LIGHT + 500
    (image,) = parts(svg, "image")
    assert (image.get("width"), image.get("height")) == (str(width), str(height))
    data = image.get("href").partition(",")[2]
    with Image.open(io.BytesIO(base64.b64decode(data))) as pixels:
        assert abs(pixels.width - 2 * width) <= 1
        assert abs(pixels.height - 2 * height) <= 1
        assert min(pixels.convert("RGB").getpixel((0, 0))) > 250


def test_pictures_of_reproductions_are_shown_alike_and_close_their_figure():
    svg = look.shown(drawn())[0]
    figure = drawn()
    assert records.picture(figure)._repr_svg_() == svg
    assert not plt.fignum_exists(figure.number)


# --- a reader's own settings ---------------------------------------------------------------------

KERNEL = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.kernel = None if "plain" in sys.argv else object()
import matplotlib.pyplot as plt
from transpde import plotting
data, _ = shell.display_formatter.format(drawn(plt))
print(json.dumps({kind: str(content) for kind, content in data.items()}))
"""
SETTINGS = "axes.facecolor: black\nfont.size: 30\nfigure.constrained_layout.use: False\n"


def shown_by_kernel(folder, environment, *, book):
    """What a kernel in `folder` shows, with these settings of the reader's."""
    place = folder / "part"
    place.mkdir(exist_ok=True)
    if book:
        (folder / "claims.yml").touch()
    lines = "".join(f"    {line}\n" for line in HEADED.splitlines())
    code = f"def drawn(plt):\n{lines}    return figure\n{KERNEL}"
    settings = {"MPLCONFIGDIR": str(folder / "own"), "IPYTHONDIR": str(folder / "ipython"),
                "MPLBACKEND": "module://matplotlib_inline.backend_inline"}  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=place,
        env=os.environ | settings | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def by_variable(folder):
    (folder / "mine").write_text(SETTINGS)
    return {"MATPLOTLIBRC": str(folder / "mine")}


def by_folder(folder):
    (folder / "part").mkdir()
    (folder / "part" / "matplotlibrc").write_text(SETTINGS)
    return {}


def by_home(folder):
    (folder / "own").mkdir()
    (folder / "own" / "matplotlibrc").write_text(SETTINGS)
    return {}


def by_style_file(folder):
    """A style of the reader's under a name of matplotlib's, and the variable of some tools."""
    (folder / "own" / "stylelib").mkdir(parents=True)
    for name in ("default", "classic"):
        (folder / "own" / "stylelib" / f"{name}.mplstyle").write_text(SETTINGS)
    return {"MPLSTYLE": "classic"}


@pytest.fixture(scope="module")
def without_settings(tmp_path_factory):
    return shown_by_kernel(tmp_path_factory.mktemp("none"), {}, book=True)


@pytest.mark.parametrize("door", [by_variable, by_folder, by_home, by_style_file])
def test_settings_of_the_reader_change_no_figure_of_the_book(door, without_settings, tmp_path):
    assert "image/svg+xml" in without_settings
    assert shown_by_kernel(tmp_path, door(tmp_path), book=True) == without_settings


def test_other_notebooks_keep_the_settings_of_their_reader(without_settings, tmp_path):
    """The doors are real: elsewhere the axes are black."""
    found = shown_by_kernel(tmp_path, by_variable(tmp_path), book=False)
    assert set(found) == {"text/plain", "image/png"}
    with Image.open(io.BytesIO(base64.b64decode(found["image/png"]))) as image:
        assert (np.asarray(image.convert("L")) < 10).mean() > 0.5
