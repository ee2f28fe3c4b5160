"""Explorers: what is baked is what is drawn, the page keeps its promises, the control is live."""

import base64
import hashlib
import io
import json
import re
import subprocess
import sys
import unicodedata
import zlib

import ipywidgets
import numpy as np
import pytest
from PIL import Image

from transpde import plotting
from transpde.records import digest
from transpde.widgets import Explorer, Slider, labels, live, page, pictures

DEPTHS = (0.0, 0.5, 1.5)
NAMES = ("L2", "sigmoid")


def wave(figure, t, name):
    x = np.linspace(0, 6, 40)
    style = plotting.attention_style(name.capitalize())
    figure.add_subplot(ylim=(-2, 2), title=name).plot(x, np.sin(x * (1 + t)), **style)


def explorer(**changes):
    sliders = {"t": Slider(DEPTHS, "depth $t$", start=0.5), "name": Slider(NAMES, "attention")}
    return Explorer(wave, **({"alt": "The wave shortens with depth."} | sliders | changes))


def control_of(explorer):
    return live.control(explorer.layout, explorer.figure)


@pytest.fixture(scope="module")
def waves():
    return explorer()


def data_of(shown):
    text = re.search(r'<script type="application/json">(.*?)</script>', shown, re.DOTALL)
    return json.loads(text[1])


# --- the frames ---------------------------------------------------------------------------------


def test_frames_are_the_product_of_the_stops_in_order(waves):
    values = [(t, name) for t in DEPTHS for name in NAMES]
    assert len(waves.frames) == len(values)
    for frame, (t, name) in zip(waves.frames, values, strict=True):
        assert frame == pictures.svg(waves.figure(t=t, name=name))
    assert len(set(waves.frames)) == len(values)


def test_the_still_has_twice_the_pixels_of_the_page():
    found = explorer(size=(4.6, 4.4))  # 4.6 * 220 is a little less than 1012 in floats
    with Image.open(io.BytesIO(base64.b64decode(found._still))) as still:
        assert still.size == (1012, 968)


def spread(figure, top, right):
    """Two axes whose numbers are wider, title taller or places others from stop to stop."""
    left, other = figure.subplots(1, 2, width_ratios=(2, 1) if right else (1, 2))
    left.plot([0, top])
    left.set_title("low" if top < 100 else "high\nand tall")
    figure.colorbar(other.imshow(top * np.eye(2)), ax=other)


def test_no_picture_takes_the_places_of_another_that_needs_other_room():
    both = {"top": Slider([1, 2, 1000, 200000], "top"), "right": Slider(["", "x"], "right")}
    found = Explorer(spread, alt="It grows.", **both)
    stops = [(top, right) for top in (1, 2, 1000, 200000) for right in ("", "x")]
    for frame, (top, right) in zip(found.frames, stops, strict=True):
        assert frame == pictures.svg(found.figure(top=top, right=right))


def test_frames_show_the_figure_to_a_hundredth_of_a_point(waves):
    """The curve stands in the picture where the axes put its data, in points from the top left."""
    figure = waves.figure(t=1.5, name="L2")
    (line,) = figure.axes[0].lines
    height = 72 * figure.get_figheight()
    places = line.get_transform().transform(line.get_xydata()) * 72 / figure.dpi
    wanted = places * [1, -1] + [0, height]
    curve = max(re.findall(r' d="M([^"]*)"[^>]*clip-path', waves.frames[4]), key=len)
    drawn = np.array([point.split() for point in curve.split("L")], dtype=float)
    assert len(drawn) > 20
    gaps = np.linalg.norm(drawn[:, None] - wanted, axis=2)
    assert gaps.min(axis=1).max() < 0.01
    assert (drawn[[0, -1]] == wanted[[0, -1]].round(2)).all()
    assert len(waves.frames[4]) < 0.9 * len(written_by_matplotlib(figure))


def written_by_matplotlib(figure):
    buffer = io.StringIO()
    with pictures.look():
        figure.savefig(buffer, format="svg")
    return buffer.getvalue()


def test_digest_names_the_data_drawn(waves):
    x = np.linspace(0, 6, 40)
    drawn = []
    for t in DEPTHS:
        for name in NAMES:
            drawn += [np.column_stack([x, np.sin(x * (1 + t))]), pictures._of_words(name)]
    assert waves.digest == digest(*drawn)
    assert waves.digest == explorer().digest
    assert waves.digest != explorer(t=Slider((0.0, 0.5, 1.6), "depth")).digest


def test_digest_counts_every_kind_of_mark():
    def names(draw):
        figure = pictures.empty((3, 2))
        draw(figure.add_subplot())
        return digest(*pictures.drawn(figure))

    kinds = [
        lambda ax, s: ax.plot([0, 1], [0, s]),
        lambda ax, s: ax.scatter([0, 1], [0, s]),
        lambda ax, s: ax.scatter([0, 1], [0, 1], c=[0, s]),
        lambda ax, s: ax.bar([0, 1], [1, s]),
        lambda ax, s: ax.fill([0, 1, 1], [0, 0, s]),
        lambda ax, s: ax.imshow([[0, s]]),
        lambda ax, s: ax.pcolormesh([[0, s]]),
        lambda ax, s: ax.quiver([0, 1], [0, 1], [1, s], [1, 1]),
        lambda ax, s: ax.text(0, 0, f"{s}"),
    ]
    for k, kind in enumerate(kinds):
        one, same, other = (names(lambda ax, s=s, kind=kind: kind(ax, s)) for s in (1, 1, 2))
        assert one == same, k
        assert one != other, k


def test_the_readers_own_settings_change_nothing(waves):
    from matplotlib import pyplot as plt

    with plt.rc_context({"font.size": 30.0, "lines.linewidth": 9.0}):
        assert explorer().frames == waves.frames
        assert plt.rcParams["font.size"] == 30.0
    assert not plt.get_fignums()


# --- the page -----------------------------------------------------------------------------------


def test_page_holds_the_still_and_all_frames(waves):
    shown = waves.page
    still = re.search(r'<img [^>]*src="data:image/svg\+xml;base64,([^"]*)"', shown)[1]
    packed = base64.b64decode(data_of(shown)["pictures"])
    stored = json.loads(zlib.decompress(packed))
    frames = ["\n".join(stored["lines"][k] for k in frame) for frame in stored["frames"]]
    assert frames == list(waves.frames)
    assert base64.b64decode(still).decode() == waves.frames[2]
    assert len(packed) < len("".join(frames)) / 5
    assert f'data-digest="{waves.digest}"' in shown


def test_numbers_have_a_slider_and_names_have_buttons(waves):
    controls = data_of(waves.page)["controls"]
    ((key, label),) = re.findall(r'<label for="([^"]+)">(.*?)</label>', controls)
    (slider,) = re.findall(r'<input (type="range"[^>]*)>', controls)
    assert f'id="{key}"' in slider
    assert label == "depth <i>t</i>"
    assert 'aria-valuetext="0.5"' in slider
    assert 'max="2" step="1" value="1"' in slider
    assert re.findall(r'<output for="([^"]+)"', controls) == [key]
    group, name = re.search(
        r'role="radiogroup" aria-labelledby="([^"]+)"><span id="\1">(.*?)</span>', controls
    ).groups()
    assert name == "attention"
    buttons = re.findall(r'<input type="radio" name="([^"]+)" value="(\d)"( checked)?>', controls)
    assert buttons == [(group, "0", " checked"), (group, "1", "")]
    assert re.findall(r"<span>([^<]+)</span></label>", controls) == list(NAMES)
    assert controls.count("<input") == 3


def test_without_the_script_there_is_no_control_but_the_still_and_its_values(waves):
    inert = re.sub(r"<script.*?</script>", "", waves.page, flags=re.DOTALL)
    assert "<input" not in inert
    assert "<img" in inert
    assert "Shown: <span>depth t = 0.5, attention = L2</span>." in inert
    assert "@media print" in inert


def test_nothing_is_asked_of_another_file(waves):
    assert not re.search(r'(?:src|href)="(?!data:)', waves.page)
    assert not re.search(r"https?:|url\(|@import|fetch\(", waves.page)


def test_texts_are_escaped():
    bad = '</script><b> & "it"'
    shown = explorer(alt=bad, caption=bad, name=Slider(NAMES, bad)).page
    assert 'alt="&lt;/script&gt;&lt;b&gt; &amp; &quot;it&quot;"' in shown
    assert "<figcaption>&lt;/script&gt;&lt;b&gt; &amp; " in shown
    assert shown.count("</script>") == 2
    assert "<b>" not in shown
    assert data_of(shown)["labels"][1] == bad


def test_two_explorers_share_no_id(waves):
    ids = re.findall(r'\bid=\\?"([^"\\]+)', waves.page + explorer().page)
    assert len(ids) == 6  # of each the figure, its slider and the label of its buttons
    assert len(set(ids)) == 6


def test_formulas_of_labels():
    assert labels.typeset(r"entry $v_{12}$ of $\varepsilon$") == (
        "entry <i>v</i><sub>12</sub> of <i>ε</i>"
    )
    assert labels.plain(r"entry $v_{12}$ of $\varepsilon$") == "entry v12 of ε"
    # Every letter of the alphabet is one letter, as it is in a figure, and not its name.
    small = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho "
    names = small + "sigma tau upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi"
    for name in (*names.split(), "Psi", "Omega"):
        full = name.replace("lambda", "lamda").replace("Lambda", "Lamda").upper()
        case = "SMALL" if name.islower() else "CAPITAL"
        letter = unicodedata.lookup(f"GREEK {case} LETTER {full}")
        assert labels.plain(f"$\\{name}$") == letter
    assert labels.text(-0.25) == "−0.25"
    assert [labels.text(v) for v in (3, 0.1 + 0.2, "L2")] == ["3", "0.3", "L2"]
    assert [labels.text(v) for v in (2026, 10_000)] == ["2026", "10,000"]


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "options", "error", "words"),
    [
        ([1.0], {}, ValueError, "at least two stops"),
        ([1.0, 1.0], {}, ValueError, "increase"),
        ([0.0, np.nan], {}, ValueError, "increase"),
        ([0.0, np.inf], {}, ValueError, "finite"),
        ([-np.inf, 0.0], {}, ValueError, "finite"),
        ([1.00001, 1.00002], {}, ValueError, "two stops would read the same"),
        (np.eye(2), {}, TypeError, "all numbers or all names"),
        ("abc", {}, TypeError, "a list of numbers or of names; got 'abc'"),
        (5, {}, TypeError, "a list of numbers or of names; got 5"),
        (["a", "a"], {}, ValueError, "each name must stand once"),
        (["a", 1], {}, TypeError, "all numbers or all names"),
        ([False, True], {}, TypeError, "all numbers or all names"),
        ([0, 1], {"start": 2}, ValueError, "start: must be one of"),
        ([0, 1], {"start": True}, ValueError, "start: must be one of"),
        ([0, 1], {"start": (0, 1)}, ValueError, "start: must be one of"),
        ([0, 1], {"label": " "}, ValueError, "label"),
        ([0, 1], {"label": None}, TypeError, "label: .* got NoneType"),
    ],
)
def test_bad_sliders(values, options, error, words):
    with pytest.raises(error, match=words):
        Slider(values, **({"label": "x"} | options))


def test_negative_numbers_have_a_minus_sign_and_names_their_hyphen():
    assert Slider([-30, 0], "x").texts == ("\N{MINUS SIGN}30", "0")
    assert Slider([-0.5, 0.0], "x").texts == ("\N{MINUS SIGN}0.5", "0")
    assert Slider(["multi-head", "L2"], "x").texts == ("multi-head", "L2")


def test_start_of_numpy_is_a_number_of_python():
    assert type(Slider([0.0, 1.0], "x", start=np.float64(1)).start) is float


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"alt": None}, TypeError, "alt: .* got NoneType"),
        ({"caption": 3}, TypeError, "caption: .* got int"),
        ({"size": 4}, ValueError, "a width and a height in inches; got 4"),
        ({"size": (4,)}, ValueError, "a width and a height"),
        ({"size": (4, 0)}, ValueError, "size: must be a positive"),
    ],
)
def test_bad_words_and_sizes(options, error, words):
    with pytest.raises(error, match=words):
        explorer(**options)
    with pytest.raises(TypeError, match="draw: must be a function; got NoneType"):
        Explorer(None, alt="x", t=Slider([0, 1], "t"))


def test_bad_explorers():
    with pytest.raises(ValueError, match="alt: must say"):
        explorer(alt=" ")
    with pytest.raises(ValueError, match="at least one"):
        Explorer(wave, alt="A wave.")
    with pytest.raises(TypeError, match="t: must be a Slider; got list"):
        explorer(t=[0, 1])
    with pytest.raises(ValueError, match="at most 100 pictures in all; got 102"):
        explorer(t=Slider(range(51), "t"))
    with pytest.raises(ValueError, match="changes no picture"):
        Explorer(lambda figure, t: figure.text(0, 0, "x"), alt="x", t=Slider([0, 1], "t"))
    with pytest.raises(ValueError, match="idle: this slider changes no picture"):
        Explorer(
            lambda figure, t, idle: figure.text(0, t / 2, "x"),
            alt="x",
            t=Slider([0, 1], "t"),
            idle=Slider([0, 1, 2], "i"),
        )


def test_too_many_bytes():
    def noise(figure, t):
        pixels = np.random.default_rng(t).random((400, 500))
        figure.add_subplot().imshow(pixels)

    with pytest.raises(ValueError, match=r"may take 400 kB; got \d+ kB in 6 pictures"):
        Explorer(noise, alt="x", t=Slider(range(6), "t"))


# --- errors are shown ---------------------------------------------------------------------------


def fails_above_one(figure, t):
    if t > 1:
        raise ArithmeticError("no such depth")
    figure.text(t / 2, 0.5, "x")


def test_an_error_while_baking_names_the_values():
    with pytest.raises(RuntimeError, match="failed at t=2") as caught:
        Explorer(fails_above_one, alt="x", t=Slider([0, 1, 2], "t"))
    assert isinstance(caught.value.__cause__, ArithmeticError)


def test_an_error_under_a_kernel_stands_in_place_of_the_picture():
    # The stops are sound, and between them the live control reaches a value that is not.
    def fails_between(figure, t):
        if 0.4 < t < 0.6:
            raise ArithmeticError("no such <depth>")
        figure.text(t / 2, 0.5, "x")

    explorer = Explorer(fails_between, alt="x", t=Slider([0.0, 1.0], "t"))
    box = control_of(explorer)
    picture, slider = box.children
    slider.value = 0.5
    assert "<img" not in picture.value
    assert '<pre role="alert">' in picture.value
    assert "failed at t=0.5" in picture.value
    assert "ArithmeticError: no such &lt;depth&gt;" in picture.value
    slider.value = 0.8
    assert "<img" in picture.value
    assert "ArithmeticError" not in picture.value


# --- under a kernel -----------------------------------------------------------------------------


def test_the_live_control_draws_at_values_between_the_stops(waves):
    picture, depth, name = control_of(waves).children
    first = picture.value
    assert isinstance(depth, ipywidgets.FloatSlider)
    assert isinstance(name, ipywidgets.ToggleButtons)
    assert first == page.image(waves.frames[2], waves.layout.alt, waves.layout.size)
    depth.value = 0.75
    between = pictures.svg(waves.figure(t=depth.value, name="L2"))
    assert 0.7 < depth.value < 0.8
    assert between not in waves.frames
    assert picture.value == page.image(between, waves.layout.alt, waves.layout.size)
    name.value = "sigmoid"
    assert picture.value == page.image(
        pictures.svg(waves.figure(t=depth.value, name="sigmoid")),
        waves.layout.alt,
        waves.layout.size,
    )


def test_integers_stay_integers_and_the_caption_shows():
    seen = []

    def count(figure, n):
        seen.append(n)
        figure.text(n / 20, 0.5, f"{n}")

    counts = Explorer(count, alt="x", caption="Up to $n$.", n=Slider(np.array([2, 8, 16]), "$n$"))
    assert seen == [2, 8, 16]
    _, slider, caption = control_of(counts).children
    slider.value = 5
    assert seen[-1] == 5
    assert all(type(n) is int for n in seen)
    assert caption.value == "Up to <i>n</i>."


def test_bundle_without_a_kernel_is_the_page_and_the_still(waves):
    bundle = waves._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html", "image/png"}
    assert bundle["text/html"] == waves.page
    assert bundle["text/plain"] == "Explorer(t, name: 6 pictures)"


def test_bundle_under_a_kernel_has_the_control_first_choice(waves, monkeypatch):
    monkeypatch.setattr(live, "under_kernel", lambda: True)
    bundle = waves._repr_mimebundle_()
    view = bundle["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"]
    assert bundle["text/html"] == waves.page


def test_importing_brings_neither_matplotlib_nor_ipywidgets():
    optional = ["matplotlib", "ipywidgets", "PIL"]
    code = (
        "import sys, transpde.widgets; print([m for m in "
        f"{optional} if m in sys.modules], transpde.widgets.live.under_kernel())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] False"


def test_pages_of_the_same_explorer_differ_by_their_number_alone(waves):
    first, second = (
        hashlib.sha256(re.sub(r"explorer-[0-9a-f]{12}-\d+", "", e.page).encode()).hexdigest()
        for e in (waves, explorer())
    )
    assert first == second
