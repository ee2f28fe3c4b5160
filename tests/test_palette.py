"""The book's colours: told apart by every reader, and seen on white and on dark pages."""

import numpy as np
import pytest
from book_source import ROOT
from matplotlib import colormaps
from matplotlib.colors import to_rgb

from transpde.plotting import STYLES, styles

BOOK = ROOT / "book"

# Machado, Oliveira and Fernandes, A physiologically-based model for simulation of color vision
# deficiency, 2009: what a person without one kind of cone sees, in linear RGB.
VISION = {
    "full": np.eye(3),
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.01182, 0.04294, 0.968881],
    ],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.3039],
    ],
}
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


def linear_rgb(colour):
    c = np.array(to_rgb(colour))
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIE 1976 L*a*b* of linear RGB, under daylight."""
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    t = to_xyz @ np.clip(rgb, 0, 1) / [0.9505, 1.0, 1.089]
    x, y, z = np.where(t > (6 / 29) ** 3, np.cbrt(t), t * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def seen(colour, vision):
    return lab(np.array(VISION[vision]) @ linear_rgb(colour))


def light(colour):
    """What a white page shows."""
    return np.array(to_rgb(colour))


def dark(colour):
    """What a dark page shows, by its style sheet: inverted, hues turned back, screened."""
    css = (BOOK / "_static" / "custom.css").read_text()
    assert "filter: invert(1) hue-rotate(180deg);\n  mix-blend-mode: screen;" in css
    # Filter effects of CSS: a half turn of the hue.
    turn = 2 * np.outer(np.ones(3), [0.213, 0.715, 0.072]) - np.eye(3)
    shown = np.clip(turn @ (1 - np.array(to_rgb(colour))), 0, 1)
    return 1 - (1 - shown) * (1 - DARK_PAGE)


DARK_PAGE = np.array([18, 18, 18]) / 255  # of the theme
PAGES = {"light": (light, np.ones(3)), "dark": (dark, DARK_PAGE)}


def contrast(page, colour):
    """The contrast with the paper, as WCAG defines it."""
    shown, paper = PAGES[page]
    darker, lighter = sorted(LUMINANCE @ linear_rgb(c) + 0.05 for c in (shown(colour), paper))
    return lighter / darker


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("colour", [s["color"] for s in STYLES.values()] + [styles.GREY])
def test_lines_stand_out_from_the_page(page, colour):
    """WCAG asks 3 : 1 of parts of a picture."""
    assert contrast(page, colour) >= 3


@pytest.mark.parametrize("page", PAGES)
def test_outlines_have_the_contrast_of_text(page):
    assert contrast(page, styles.INK) >= 4.5
    assert contrast(page, "black") >= 4.5


def test_what_is_white_is_the_page_itself():
    assert np.abs(dark("white") - DARK_PAGE).max() < 1e-12


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("vision", VISION)
def test_attentions_are_told_apart_by_colour(vision, page):
    """2.3 is what an eye just notices; two lines of a picture lie apart, hence far more."""
    all_seen = [seen(PAGES[page][0](style["color"]), vision) for style in STYLES.values()]
    gaps = [np.linalg.norm(a - b) for i, a in enumerate(all_seen) for b in all_seen[:i]]
    assert min(gaps) > 15


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("name", ["SEQUENCE", "AMOUNT"])
def test_scales_leave_the_ink_for_the_paper_for_every_reader(name, vision, page):
    scale, (shown, _) = colormaps[getattr(styles, name)], PAGES[page]
    lightness = [seen(shown(scale(x)[:3]), vision)[0] for x in np.linspace(0, 1, 65)]
    assert (np.diff(lightness) * (1 if page == "light" else -1) > 0).all()


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("vision", VISION)
def test_signs_are_told_apart(vision, page):
    """Zero is as the paper, both signs leave it, and differ in hue at every size."""
    scale = colormaps[styles.SIGNED]
    sizes = np.linspace(0.1, 0.5, 9)
    shown, towards = PAGES[page][0], -1 if page == "light" else 1
    minus, plus = (
        np.array([seen(shown(scale(0.5 + s * x)[:3]), vision) for x in sizes]) for s in (-1, 1)
    )
    assert np.linalg.norm(minus - plus, axis=1).min() > 15
    for half in (minus, plus):
        assert (np.diff(half[:, 0]) * towards > 0).all()
