"""Every page of the built book, alive in a browser, opened from disk with no network."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import checks
import live
import moved
import pytest
import yaml
from checks import BUILT, ROOT
from playwright.sync_api import Page

PAGES = checks.pages(BUILT)
# What is served shall be as sound as what is read from disk; these pages load data.
NOTEBOOKS = [page for page in PAGES if (ROOT / page).with_suffix(".ipynb").is_file()]
SHARE_OF_CODE = 0.2  # of a page's height
SERVED = ["index.html", "search.html", "_modules/index.html", "book/gaussian/covariance.html"]


class Opened:
    """A page and what it asked for and complained of since it was opened."""

    def __init__(self, page: Page, address: str, server: str = "", unfold: bool = True):
        self.page, self.folded = page, True
        self.witness = live.Witness(page, server)
        live.resize(page, live.WIDE)
        live.visit(page, address)
        if unfold:
            self.unfold()

    def unfold(self) -> Page:
        if self.folded:
            live.unfold(self.page)
        self.folded = False
        return self.page


# --- every page: opened once, seen folded, unfolded, narrow, and at last taken apart -------------
# The tests of a page run in the order in which they stand here, so that it is laid out anew as
# seldom as possible.


@pytest.fixture(scope="module", params=PAGES, ids=str)
def opened(request: pytest.FixtureRequest, tab: Page) -> Iterator[Opened]:
    found = Opened(tab, (BUILT / request.param).as_uri(), unfold=False)
    yield found
    found.witness.leave()
    tab.goto("about:blank")


@pytest.fixture
def unfolded(opened) -> Page:
    return opened.unfold()


@pytest.fixture
def folded(opened) -> Page:
    """A page as a reader first sees it, on a wide screen."""
    assert opened.folded, "a test that unfolds stands before this one"
    return opened.page


def of(*pages: str | Path) -> pytest.MarkDecorator:
    """Let a test ask some pages instead of all."""
    return pytest.mark.parametrize("opened", list(map(Path, pages)), indirect=True, ids=str)


of_notebooks = of(*NOTEBOOKS)


@of_notebooks
def test_code_serves_the_page(folded):
    assert live.begins_with_an_idea(folded)
    assert live.share_of_code(folded) <= SHARE_OF_CODE


@of_notebooks
def test_folded_code_in_a_row_leaves_one_line(folded):
    assert live.folds_in_a_row(folded) == []


@of_notebooks
def test_one_button_shows_all_code(folded):
    hidden, button = folded.locator("details.hide:not([open])"), folded.locator("button.all-code")
    assert hidden.count() > 0
    button.click()
    assert hidden.count() == 0
    assert live.overflowing(folded) == []
    assert live.share_of_code(folded) > SHARE_OF_CODE
    button.click()
    assert folded.locator("details.hide[open]").count() == 0


def test_mathematics_is_typeset(unfolded):
    assert live.unrendered(unfolded) == []


@of("book/pde/zoo.html")
def test_no_page_has_a_button_that_leads_nowhere(opened):
    """The other way round is tested on a small book: see test_book_extensions.py."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    real = config["sphinx"]["config"]["html_context"]["address_is_real"]
    assert live.leaving(opened.page, config["repository"]["url"]) == real


def test_tables_fit_a_wide_page(unfolded):
    live.resize(unfolded, live.WIDE)
    assert live.cut_tables(unfolded) == []


def test_sliders_move_the_picture(unfolded):
    live.resize(unfolded, live.WIDE)
    assert live.dead_sliders(unfolded) == []


@of("book/gaussian/anisotropy.html")
@pytest.mark.parametrize("size", [live.WIDE, live.NARROW], ids=["wide", "narrow"])
def test_marks_stay_with_their_formulas(unfolded, size):
    live.resize(unfolded, size)
    assert live.parted(unfolded) == []
    torn = unfolded.add_style_tag(content=".held { white-space: normal !important; }")
    assert live.parted(unfolded), "nothing here to keep together: choose another page"
    torn.evaluate("style => style.remove()")


@pytest.mark.parametrize("size", [live.WIDE, live.NARROW], ids=["wide", "narrow"])
def test_rows_of_printed_tables_keep_their_lines(unfolded, size):
    live.resize(unfolded, size)
    assert live.broken_rows(unfolded) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_sideways_scrolling(unfolded, theme):
    live.resize(unfolded, live.NARROW)
    live.theme(unfolded, theme)
    assert live.sideways(unfolded) == []


@of("book/reproduction/index.html")
def test_the_overview_of_the_figures_has_room_for_its_sentences(unfolded):
    live.resize(unfolded, live.NARROW)
    cells = unfolded.locator(".figure-names tbody td:last-child").all()
    assert cells
    assert min(cell.bounding_box()["width"] for cell in cells) > 200


def test_no_figure_glares_in_the_dark(unfolded):
    live.theme(unfolded, "dark")
    assert live.glaring(unfolded) == []


def theme_alone(size: dict[str, int]) -> Counter[tuple[str, str]]:
    """What of the theme axe-core complains of: on a narrow screen the search is in the drawer."""
    return Counter(live.THEME[:1] if size == live.NARROW else live.THEME)


@pytest.mark.parametrize(("size", "theme"), [(live.NARROW, "dark"), (live.WIDE, "light")])
def test_nothing_grave_for_axe(unfolded, size, theme):
    """From here on the page is taken apart: it has no formulas any more."""
    live.resize(unfolded, size)
    live.theme(unfolded, theme)
    assert live.grave(unfolded) == theme_alone(size)


@of("book/intro.html", "book/pde/zoo.html", "genindex.html")
@pytest.mark.parametrize(("size", "theme"), [(live.WIDE, "dark"), (live.NARROW, "light")])
def test_nothing_grave_the_other_way_round(unfolded, size, theme):
    """With the button that appears when a reader scrolls up."""
    live.resize(unfolded, size)
    live.theme(unfolded, theme)
    button = unfolded.locator("#pst-back-to-top")
    button.evaluate("button => button.style.display = 'block'")
    assert live.grave(unfolded) == theme_alone(size)


def test_asks_nobody_and_complains_of_nothing(opened):
    """After a page's other tests: nothing of what they did may be complained of."""
    assert opened.witness.heard == []


@of_notebooks
def test_no_formula_is_cut_off(unfolded):
    """The last of a page's tests: it leaves the displayed formulas alone."""
    live.resize(unfolded, live.WIDE)
    live.theme(unfolded, "light")
    assert live.clipped(unfolded) == []


# --- single pages --------------------------------------------------------------------------------


DIVIDED = [(old, parts) for old, parts in moved.moved(ROOT).items()]


@pytest.mark.parametrize(("old", "parts"), DIVIDED)
def test_the_address_of_a_divided_page_leads_on(context, old, parts):
    """Alone to the first part; with a label to where it now stands, where the page shows it."""
    for part in parts:
        label = min(name for name, place in moved.places(ROOT, old).items() if place == part)
        wanted = f"{part}.html#{moved.anchor(label)}"
        place = f"{old}.html#{moved.anchor(label)}"
        found = Opened(context.new_page(), f"{BUILT.as_uri()}/{place}")
        found.page.wait_for_url(f"**/{wanted}")
        assert found.page.locator(f"[id='{moved.anchor(label)}']").count() == 1
        assert found.witness.heard == []
        found.page.close()
    for asked in ("", "#nothing-of-the-kind"):
        found = Opened(context.new_page(), (BUILT / f"{old}.html").as_uri() + asked)
        found.page.wait_for_url(f"**/{parts[0]}.html")
        found.page.close()


# Each title that the front page draws, with its width and that of the picture.
HEARD = """() => {
  window.titles = [];
  const own = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
    const width = Math.min(this.measureText(text).width, place[2] ?? Infinity);
    window.titles.push([text, width, this.canvas.width / window.devicePixelRatio]);
    return own.call(this, text, ...place);
  };
}"""


def cut_titles(page: Page) -> list[str]:
    """Titles of the moving frontispiece that are wider than its picture."""
    page.evaluate(HEARD)
    page.locator(".film-bar input").press("ArrowRight")
    heard = page.evaluate("window.titles")
    assert len(heard) >= 2
    return [title for title, width, room in heard if width > room]


@pytest.mark.parametrize("size", [live.WIDE, live.NARROW])
def test_titles_of_the_frontispiece_fit(context, size):
    found = Opened(context.new_page(), (BUILT / "book/intro.html").as_uri())
    found.page.set_viewport_size(size)
    assert cut_titles(found.page) == []
    found.page.close()


@pytest.mark.parametrize("size", [live.WIDE, live.NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("page", ["book/intro.html", "book/paths.html"])
def test_words_show_their_meaning_to_pointer_and_keyboard(context, page, size):
    found = Opened(context.new_page(), (BUILT / page).as_uri())
    found.page.set_viewport_size(size)
    words = found.page.locator(".term-word")
    assert words.count() >= 2
    for word in words.all():
        link, meaning = word.locator("a"), word.locator("[role=tooltip]")
        assert not meaning.is_visible()
        link.focus()
        assert meaning.is_visible()
        box = meaning.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= size["width"]
        assert link.get_attribute("aria-describedby") == meaning.get_attribute("id")
        link.blur()
        assert not meaning.is_visible()
        link.hover()
        assert meaning.is_visible()
        found.page.mouse.move(0, 0)
    found.page.close()


@pytest.mark.parametrize("page", SERVED)
def test_served(context, server, page):
    found = Opened(context.new_page(), f"{server}/{page}", server)
    found.page.wait_for_timeout(300)
    assert found.witness.heard == []
    found.page.close()


@pytest.mark.parametrize("served", [False, True], ids=["from disk", "served"])
def test_search_finds(context, server, served):
    start = server if served else BUILT.as_uri()
    found = Opened(context.new_page(), f"{start}/search.html?q=Sinkhorn", server if served else "")
    results = found.page.locator("#search-results ul.search li a")
    results.first.wait_for()
    found.page.wait_for_timeout(500)
    names = [
        address.split(start + "/")[1].split("?")[0]
        for address in results.evaluate_all("links => links.map(e => e.href)")
    ]
    assert "book/pde/zoo.html" in names
    assert all((BUILT / name.split("#")[0]).is_file() for name in names)
    assert found.witness.heard == []
    found.page.close()


def test_every_page_is_opened(request):
    """Whatever part of them this process runs: the tests not limited by `of` ask every page."""
    tests = [item for item in request.session.items if "opened" in item.fixturenames]
    marks = {item: list(item.iter_markers("parametrize")) for item in tests}
    limited = [item for item in tests if any("opened" in mark.args for mark in marks[item])]
    asked = Counter(item.callspec.params["opened"] for item in tests if item not in limited)
    assert set(asked) == set(checks.pages(BUILT))
    assert len(set(asked.values())) == 1
