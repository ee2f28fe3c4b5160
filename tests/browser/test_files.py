"""The built pages as files: links, identifiers, figures, sizes."""

import json
from pathlib import Path

import book_source as source
import checks
import pytest
from checks import BUILT, ROOT

PAGES = checks.pages(BUILT)


def test_every_source_has_a_page():
    """What the table of contents names is built, and so are the pages that Sphinx adds."""
    named = source.toc_entries(ROOT)
    added = ["index", "genindex", "search", "py-modindex", "prf-prf", "_modules/index"]
    assert len(named) > 20
    assert {Path(f"{name}.html") for name in named + added} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page):
    assert checks.broken_links(BUILT, BUILT / page) == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_identifiers_are_distinct(page):
    assert checks.repeated_identifiers(BUILT / page) == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_no_part_from_outside(page):
    assert checks.outside_parts(BUILT / page) == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_says_what_it_is(page):
    assert checks.bare(BUILT / page) == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_figures_have_words(page):
    assert checks.silent_figures(BUILT / page) == []


def test_sizes():
    assert checks.too_heavy(BUILT) == []


def test_every_computed_figure_is_a_figure():
    """Pictures of the notebooks' cells and of the pages are equally many, explorers aside."""
    for page in PAGES:
        source = ROOT / page.with_suffix(".ipynb")
        if not source.is_file():
            continue
        cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        kinds = [set(output.get("data", {})) for output in outputs]
        pictures = {"image/svg+xml", "image/png"}
        drawn = sum(bool(kind & pictures) and "text/html" not in kind for kind in kinds)
        shown = checks.parsed(BUILT / page).select(".cell_output figure img:not(.explorer *)")
        assert len(shown) == drawn, page
