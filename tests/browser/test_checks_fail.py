"""Every check sees what it is for: a small sound page, spoilt in one way at a time."""

from collections.abc import Callable
from pathlib import Path

import checks
import live
import pytest
from playwright.sync_api import Page

TINY = """<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8">
<rect width="{}" height="8"/></svg>"""
SOUND = """<!DOCTYPE html>
<html lang="en" data-theme="light"><head><meta charset="utf-8"><title>A sound page</title>
<link rel="icon" href="frame-1.svg">
<script>const heard = [];
window.MathJax = {options: {ignoreHtmlClass: 'book', processHtmlClass: 'math'}};</script>
<style>img { filter: invert(1) hue-rotate(180deg); }</style>
<script defer src="mathjax/tex-chtml.js"></script>
</head><body class="book"><main><article><h1 id="top">A sound page</h1>
<p>By <span class="math">\\(x^2\\)</span>, see <a href="#top">above</a> and
<a href="other.html#place">there</a>. A cell says <code>$HOME</code>.</p>
<div class="cell_output"><figure>
<img src="frame-1.svg" alt="A square of eight by eight, black and as wide as the first frame says">
<figcaption>A picture.</figcaption></figure></div>
<figure class="explorer">
<img src="frame-3.svg" alt="A square that grows with the slider below, from one to three wide">
<input type="range" min="1" max="3" value="3" aria-label="width"
 oninput="this.parentElement.querySelector('img').src = `frame-${this.value}.svg`">
<label><input type="radio" name="w" checked
 onchange="document.querySelector('.explorer img').src = 'frame-1.svg'">one</label>
<label><input type="radio" name="w"
 onchange="document.querySelector('.explorer img').src = 'frame-2.svg'">two</label>
<button onclick="this.parentElement.querySelector('img').src = 'frame-2.svg'">Play</button>
<figcaption>An explorer.</figcaption></figure>
<p><img src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAACADs=" alt="A dot"></p>
<details><summary>More</summary><p>A folded word.</p></details>
<div style="overflow-x: auto" tabindex="0"><p style="width: 700px">What is wide scrolls.</p></div>
</article></main></body></html>
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site of one sound page, another that it links to, its pictures and its MathJax."""
    (tmp_path / "mathjax").symlink_to(checks.BUILT / "_static" / "vendor" / "mathjax")
    (tmp_path / "page.html").write_text(SOUND, encoding="utf-8")
    (tmp_path / "other.html").write_text('<p id="place">Here.</p>', encoding="utf-8")
    for width in (1, 2, 3):
        (tmp_path / f"frame-{width}.svg").write_text(TINY.format(width), encoding="utf-8")
    return tmp_path


@pytest.fixture
def page(context) -> Page:
    made = context.new_page()
    made.set_viewport_size(live.WIDE)
    yield made
    made.close()


def from_files(check: Callable[[Path], list[str]]) -> Callable:
    """A check of a file in the form that all have here: site and open page to problems."""
    return lambda site, page: check(site / "page.html")


def opened(check: Callable[[Page], list[str]], size: dict = live.WIDE) -> Callable:
    """A check of a live page in that form."""

    def look(site: Path, page: Page) -> list[str]:
        page.set_viewport_size(size)
        live.visit(page, (site / "page.html").as_uri())
        live.unfold(page)
        return [str(problem) for problem in check(page)]

    return look


def heard(site: Path, page: Page) -> list[str]:
    witness = live.Witness(page)
    live.visit(page, (site / "page.html").as_uri())
    page.wait_for_timeout(100)
    return witness.heard


links = from_files(lambda path: checks.broken_links(path.parent, path))
identifiers = from_files(checks.repeated_identifiers)
outside = from_files(checks.outside_parts)
figures = from_files(checks.silent_figures)
says = from_files(checks.bare)
typeset = opened(live.unrendered)
sliders = opened(live.dead_sliders)
narrow = opened(live.sideways, live.NARROW)
tables = opened(live.cut_tables)
dark = opened(live.glaring)
axe = opened(live.grave)
CHECKS = [links, identifiers, outside, says, figures, typeset, sliders, narrow, tables, dark, axe,
          heard]  # fmt: skip

SPOILT = {
    "broken link": ("other.html#place", "gone.html", links, "gone.html: no such file"),
    "link that leaves": ("other.html#place", "../x.html", links, "../x.html: no such file"),
    "broken anchor": ('href="#top"', 'href="#gone"', links, "#gone: no such place"),
    "broken anchor elsewhere": ("#place", "#gone", links, "other.html#gone: no such place"),
    "missing picture": ('src="frame-1.svg" alt="A square of', 'src="gone.svg" alt="A square of',
                        links, "gone.svg: no such file"),
    "repeated id": ("<p>By", '<p id="top">By', identifiers, "id 'top' is there 2 times"),
    "outside script in the source": ("mathjax/tex", "https://example.org/tex", outside,
                                     "https://example.org/tex-chtml.js: from outside"),
    "outside script": ("mathjax/tex", "https://example.org/tex", heard,
                       "outside request: https://example.org/tex-chtml.js"),
    "no language": (' lang="en"', "", says, "no language"),
    "no title": ("<title>A sound page</title>", "", says, "no title"),
    "no icon": ('rel="icon"', 'rel="other"', says, "no icon"),
    "request by a script": ("const heard = [];", "fetch('https://example.org/x').catch(() => 0);",
                            heard, "outside request: https://example.org/x"),
    "no alternative text": (' alt="A square of eight', ' title="A square of eight', figures,
                            "alternative text '' of 0 characters"),
    "poor alternative text": ("A square of eight by eight, black and as wide", "Figure", figures,
                              "of 30 characters"),
    "no caption": ("<figcaption>A picture.</figcaption>", "", figures, "no caption"),
    "no figure": ("<figure>\n", "<div>", figures, "no caption"),
    "no MathJax": ("mathjax/tex-chtml.js", "mathjax/gone.js", typeset, "not typeset: \\(x^2\\)"),
    "no MathJax, heard": ("mathjax/tex-chtml.js", "mathjax/gone.js", heard, "failed: file:"),
    "TeX error": ("x^2", "x^2^3", typeset, "TeX error"),
    "raw mathematics": ("A cell says", "So $$x$$ and", typeset, "So $$x$$"),
    "raw dollars": ("A cell says", "So $x = y$ and", typeset, "So $x = y$"),
    "raw parentheses": ("A cell says", "So \\\\(x\\\\) and", typeset, "raw markup"),
    "raw directive": ("A cell says", "See {prf:ref}`thm` and", typeset, "{prf:ref}"),
    "raw fence": ("A cell says", ":::{note} and", typeset, "there. :::{note}"),
    "cut table": ("A cell says", ('<p class="pst-scrollable-table-container" '
                  'style="width: 2em; overflow: auto">columns</p>'), tables, "columns"),
    "dead slider": ("oninput=", "data-oninput=", sliders, "slider 1 does not move the picture"),
    "slider to the same frame": ("frame-${this.value}", "frame-3", sliders, "slider 1 does not"),
    "dead choice": ("onchange=", "data-onchange=", sliders, "choice 2 does not move the picture"),
    "dead button": ("<button onclick=", "<button data-onclick=", sliders, "button 1 does not"),
    "no slider": ('type="range"', 'type="number" hidden', sliders, "has no slider"),
    "wide part": ('style="overflow-x: auto"', "", narrow, "the page is 708 px wide"),
    "part cut off": ('style="overflow-x: auto"', 'style="overflow-x: hidden"', narrow,
                     "What is wide scrolls"),
    "wide part, folded": ("<p>A folded", '<p style="width: 700px">A folded', narrow,
                          "the page is 708 px wide"),
    "low contrast, folded": ("<p>A folded", '<p style="color: #ccc">A folded', axe,
                             "'color-contrast'"),
    "dark ink": ("filter: invert(1) hue-rotate(180deg)", "", dark, "drawn for a light page: "),
    "white card": ("filter: invert", "background: #fff; filter: invert", dark, "drawn for a"),
    "no label": ('aria-label="width"', "", axe, "'label'"),
    "low contrast": ("<h1 ", '<h1 style="color: #ccc" ', axe, "'color-contrast'"),
    "console error": ("const heard = [];", "console.error('Oh');", heard, "console error: Oh"),
    "console warning": ("const heard = [];", "console.warn('Oh');", heard, "console warning: Oh"),
    "page error": ("const heard = [];", "null.x;", heard, "page error: "),
    "missing part": ("<main>", '<main><img src="gone.png" alt="">', heard, "failed: file:"),
}  # fmt: skip


def test_sound_page_passes_every_check(site, page):
    assert [problem for check in CHECKS for problem in check(site, page)] == []


@pytest.mark.parametrize("name", SPOILT)
def test_spoilt_page_is_seen(site, page, name):
    old, new, check, words = SPOILT[name]
    assert SOUND.count(old) >= 1
    (site / "page.html").write_text(SOUND.replace(old, new, 1), encoding="utf-8")
    assert any(words in problem for problem in check(site, page)), check(site, page)


def test_link_out_of_the_site_is_seen(site):
    (site / "page.html").rename(site / "inner.html")
    inner = site / "inner"
    inner.mkdir()
    (inner / "page.html").write_text('<a href="../other.html">up</a>', encoding="utf-8")
    assert checks.broken_links(inner, inner / "page.html") == ["../other.html: leaves the site"]


def test_weight_is_seen(site, monkeypatch):
    assert checks.too_heavy(site) == []
    monkeypatch.setattr(checks, "SITE", 1000)
    monkeypatch.setattr(checks, "PAGE", len(SOUND.encode()) + 10)  # its pictures count
    site_problem, page_problem = checks.too_heavy(site)
    assert site_problem.startswith("the site has")
    assert page_problem.startswith("page.html has")


def test_served_error_is_heard(server, page):
    witness = live.Witness(page, server)
    page.goto(f"{server}/gone.html")
    assert f"status 404: {server}/gone.html" in witness.heard


def test_witness_that_left_hears_no_more(site, page):
    """A tab shows many pages: none is blamed for the next one."""
    first = live.Witness(page)
    live.visit(page, (site / "page.html").as_uri())
    first.leave()
    (site / "page.html").write_text(
        SOUND.replace("const heard = [];", "null.x;"), encoding="utf-8"
    )
    second = live.Witness(page)
    live.visit(page, (site / "page.html").as_uri())
    assert first.heard == []
    assert len(second.heard) == 1


def test_picture_that_comes_late_has_moved(site, page):
    late = SOUND.replace('oninput="this', 'oninput="setTimeout(() => this').replace(
        "${this.value}.svg`", "${this.value}.svg`, 50)"
    )
    assert late.count("setTimeout") == 1
    (site / "page.html").write_text(late, encoding="utf-8")
    assert sliders(site, page) == []


# --- a page with many texts that look alike ------------------------------------------------------

MANY = """<!DOCTYPE html><html lang="en"><head><title>Many</title><style>
i { position: absolute; margin-left: -1em; width: 9px; height: 1em; background: #fff; }
STYLE</style></head><body><main><article><h1>Many</h1>TEXTS</article></main></body></html>"""
PALE = "b { color: #ccc; }"


@pytest.mark.parametrize(
    ("style", "first", "seen"),
    [
        ("", "word", False),
        (PALE, "word", True),
        ("p:nth-of-type(11) b { color: #ccc; }", "word", True),
        ("p:nth-of-type(11) { background: #555; }", "word", True),
        ("p:nth-of-type(11) { opacity: 0.3; }", "word", True),
        (PALE, "x", True),
        (PALE, "\ue000", True),
        (PALE, "word</b><i></i><b>", True),
    ],
    ids=["sound", "all", "colour", "ground", "opacity", "letter", "sign", "covered"],
)
def test_one_text_stands_for_none_of_another_look(site, page, style, first, seen):
    """Nor does one of which axe says nothing: a single letter, a sign, a word half covered."""
    texts = [first, *["word"] * 19]
    whole = "".join(f"<p><b>{text}</b></p>" for text in texts)
    source = MANY.replace("STYLE", style).replace("TEXTS", whole)
    (site / "page.html").write_text(source, encoding="utf-8")
    assert any("'color-contrast'" in problem for problem in axe(site, page)) == seen


# --- a page with code and formulas ---------------------------------------------------------------

FOLDED = """<!DOCTYPE html><html lang="en"><head><style>
div.math, mjx-container { display: block; overflow: hidden; } pre { width: 400px; }
</style></head><body><main><article class="bd-article"><h1>A page</h1>
<div class="math"><mjx-container display="true"><span>x = y</span></mjx-container></div>
<p style="height: 900px">Words.</p>
<div class="cell"><div class="cell_input"><pre>x = 1</pre></div></div>
<details class="hide"><summary>Show</summary>
<div class="cell_input"><pre style="height: 900px">y = 2</pre></div></details>
</article></main></body></html>"""


def folded_problems(page: Page) -> list[str]:
    """What the checks of a folded page say, in the order in which the tests ask them."""
    found = [] if live.begins_with_an_idea(page) else ["code first"]
    found += [f"{share:.2f} of code"] if (share := live.share_of_code(page)) > 0.2 else []
    return found + live.overflowing(page) + live.clipped(page)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("", "", []),
        ("<h1>", '<div class="cell_input"><pre>z = 3</pre></div><h1>', ["code first"]),
        ("<details", "<details open", [" of code"]),
        ("x = 1", "x = 1" + " + 1" * 99, ["too wide: x = 1"]),
        ("<span>", '<span style="position: relative; top: -14px">', ["cut off: x = y"]),
    ],
    ids=["sound", "code first", "much code", "wide code", "cut formula"],
)
def test_what_a_folded_page_hides_is_seen(site, page, old, new, words):
    (site / "page.html").write_text(FOLDED.replace(old, new, 1), encoding="utf-8")
    live.visit(page, (site / "page.html").as_uri())
    found = folded_problems(page)
    assert len(found) == len(words)
    assert all(word in problem for word, problem in zip(words, found, strict=True)), found
