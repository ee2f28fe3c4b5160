"""Ways into the book: what chapters declare, paths, uses of names, footers, notices, addresses."""

from __future__ import annotations

import ast
import itertools
import json
import posixpath
import re
import subprocess
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import author_year
import book_source as source
import chapter_graph
import chapters
import contract
import film as film_directive
import folds
import moved
import notices
import numpy as np
import page_footer
import pytest
import reading_paths
import used_in
import yaml
from bs4 import BeautifulSoup
from docutils import nodes
from docutils.utils import new_document
from loading import load_tool
from pybtex.database import parse_string
from sphinx_builds import build

import transpde as tp
from transpde import attention, plotting, theory, widgets
from transpde.figures import film, frontispiece, recipes

ROOT = contract.ROOT
BOOK = ROOT / "book"

ALL = chapters.load(ROOT)
NEEDS = chapters.graph(ALL)


# --- what chapters declare ----------------------------------------------------------------------


def test_every_notebook_is_in_the_graph_in_the_order_of_the_contents():
    notebooks = [path.relative_to(ROOT).with_suffix("") for path in contract.chapters(ROOT)]
    assert [c.page for c in ALL] == [path.as_posix() for path in notebooks]
    assert [c.number for c in ALL] == sorted({c.number for c in ALL})


def test_prerequisites_are_chapters_and_come_before():
    assert not chapters.problems(NEEDS)
    assert [page for page, needed in NEEDS.items() if not needed] == ["book/pde/layers"]


def test_what_is_no_order_is_told():
    assert chapters.problems({"a": ("b",), "b": ("a",)}) == [
        "a needs b, which does not come before it"
    ]
    assert "needs a, which does not" in chapters.problems({"a": ("a",)})[0]
    assert chapters.problems({"a": ("x",)}) == ["a needs x, which is no chapter"]


def test_a_statement_used_in_a_chapter_is_of_a_chapter_that_it_needs():
    """A numbered statement cited from an earlier chapter, outside exercises, is a need."""
    home = {
        label: c.page
        for c in ALL
        for label in source.statement_labels(source.read(ROOT / f"{c.page}.ipynb"))
    }
    order = list(NEEDS)
    for page in order:
        notebook = source.read(ROOT / f"{page}.ipynb")
        body = "\n".join(
            source.text_of(part, source.is_aside)
            for piece, part in source.markdown(notebook)
            if piece.gate is None
        )
        for label in [content for name, content in source.roles(body) if name == "prf:ref"]:
            of = home.get(label, page)
            if order.index(of) < order.index(page):
                assert of in chapters.ancestors(NEEDS, page), (page, label)


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("40 minutes.", "minute", 2400),
        (" 70 with the proofs.", "minute", 4200),
        (" an hour and a half with the proofs.", "minute", 5400),
        (" an hour with the proofs.", "minute", 3600),
        ("a quarter of a minute.", "second", 15),
        ("half a minute.", "second", 30),
        ("a minute.", "second", 60),
        ("twelve seconds.", "second", 12),
        ("2 hours.", "minute", 7200),
    ],
)
def test_durations_are_read_as_written(text, unit, value):
    assert chapters.seconds(text, unit) == value


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        ("40 minutes", "no duration in 'TODO.'"),
        ("Reading time\n: 40 minutes.\n", "no 'Reading time' in the box"),
        ("Running time", "no 'Running time' in the box"),
        ("# Title", "no title"),
        (":::{admonition}", "no box"),
    ],
)
def test_a_chapter_that_cannot_be_described_is_named(cut, said):
    box = (
        "# Title\n\n:::{admonition} Before you start\nPrerequisites\n: none.\n\n"
        "Reading time\n: 40 minutes.\n\nRunning time\n: 3 seconds.\n:::\n"
    )
    assert chapters.described("book/a/b", box, "Part", 1).reading == 40
    with pytest.raises(ValueError, match=f"book/a/b: {said}"):
        chapters.described("book/a/b", box.replace(cut, "TODO"), "Part", 1)


def test_a_box_without_a_duration_or_no_box_is_refused():
    with pytest.raises(ValueError, match="no duration in 'long'"):
        chapters.seconds("long", "minute")
    with pytest.raises(ValueError, match="Before you start"):
        chapters.box("# Title")


def test_reduction_keeps_what_follows_from_what():
    needs = {"a": (), "b": ("a",), "c": ("a", "b"), "d": ("c", "a")}
    assert chapters.reduced(needs) == {"a": (), "b": ("a",), "c": ("b",), "d": ("c",)}
    assert chapters.levels(needs) == {"a": 0, "b": 1, "c": 2, "d": 3}
    for page in NEEDS:
        assert chapters.ancestors(chapters.reduced(NEEDS), page) == chapters.ancestors(NEEDS, page)


@pytest.mark.parametrize("kind", chapter_graph.SIZES)
def test_the_drawing_holds_every_chapter_once_and_an_arrow_for_every_need(kind):
    links = {c.page: f"{c.page}.html" for c in ALL}
    picture = ElementTree.fromstring(chapter_graph.drawing(ALL, kind, links))
    assert sorted(a.get("href") for a in picture.iter("a")) == sorted(links.values())
    arrows = [needed for needed in chapters.reduced(NEEDS).values() for _ in needed]
    assert len(list(picture.iter("path"))) == len(arrows)
    places = chapter_graph.places(ALL, chapter_graph.SIZES[kind])
    ordered = sorted(places.values(), key=lambda place: place[1])
    for above, below in itertools.pairwise(ordered):
        assert above[1] + above[2] < below[1], "boxes overlap"
    for page, needed in NEEDS.items():
        for one in needed:
            assert places[one][0] < places[page][0]
            assert places[one][1] < places[page][1]
    assert not [e for e in picture.iter() if e.get("id")], "two drawings: no id stands twice"


# --- reading paths ------------------------------------------------------------------------------


def ways() -> dict[str, tuple[float, list]]:
    text = (BOOK / "paths.md").read_text(encoding="utf-8")
    (table,) = source.directives(text, "reading-ways")
    found = dict(reading_paths.steps(line, ALL) for line in table.body.splitlines())
    return {name: (sum(map(reading_paths.minutes, way)), way) for name, way in found.items()}


def test_an_hour_a_day_a_week_take_what_they_say():
    found = ways()
    (hour, _), (day, read), (week, proofs) = (found[k] for k in ("An hour", "A day", "A week"))
    assert 45 <= hour <= 75
    assert 5 * 60 <= day <= 8 * 60
    assert 10 * 60 <= week <= 30 * 60
    own = [c.page for c in ALL if c.part not in reading_paths.PARTS.values()]
    assert [chapter.page for _, chapter in read] == own
    assert {chapter.page for _, chapter in proofs} == set(NEEDS)


def test_the_front_page_leads_to_chapter_one_the_preface_and_the_results():
    front = (BOOK / "intro.md").read_text(encoding="utf-8")
    (first,) = (chapter.page for chapter in ALL if chapter.number == 1)
    for door in (first.removeprefix("book/"), "paths", "reproduction/index"):
        assert f"({door})" in front or f":link: {door}" in front
    for name in ("cover_size", "cover_sample", "cover_heads"):
        assert f"_static/{name}.png" in front


def test_a_path_that_reads_what_it_has_not_prepared_is_refused():
    with pytest.raises(ValueError, match="pde/zoo needs book/pde/layers"):
        reading_paths.steps("A day | read: pde/zoo", ALL)
    with pytest.raises(ValueError, match="write 'how: pages'"):
        reading_paths.steps("A day | glance: pde/zoo", ALL)
    with pytest.raises(ValueError, match="'pde/nothing' is no page of the book"):
        reading_paths.steps("A day | skim: pde/nothing", ALL)
    name, ((how, chapter),) = reading_paths.steps("A day | skim: pde/zoo", ALL)
    assert name == "A day"
    assert reading_paths.minutes((how, chapter)) == chapter.reading / 4


def test_names_for_all_chapters_and_for_three_parts_make_up_the_book():
    _, way = reading_paths.steps("All | read: chapters reproduction frontier real", ALL)
    assert [chapter.page for _, chapter in way] == [chapter.page for chapter in ALL]


@pytest.mark.parametrize("chapter", ALL, ids=lambda chapter: chapter.page)
def test_reading_times_are_of_one_reader(chapter):
    """Some fifty words a minute, formulas, pictures and cells on the way."""
    own = with_folds = 0
    for piece, part in source.markdown(source.read(ROOT / f"{chapter.page}.ipynb")):
        if piece.gate is None:
            own += source.count_words(source.text_of(part, source.is_aside))
        with_folds += source.count_words(source.text_of(part, source.is_literal))
    assert 38 <= own / chapter.reading <= 72, (
        f"{own} words without folds: say {own // 72 + 1} to {own // 38} minutes of reading"
    )
    assert 32 <= with_folds / chapter.with_proofs <= 72, (
        f"{with_folds} words in all: say {with_folds // 72 + 1} to {with_folds // 32} minutes "
        "with the proofs"
    )


@pytest.mark.parametrize(
    ("time", "said"), [(7.5, "8 min"), (59, "59 min"), (62, "1 h"), (405, "6 h 45 min")]
)
def test_minutes_are_said_to_five_from_an_hour_on(time, said):
    assert reading_paths.spoken(time).replace(reading_paths.SPACE, " ") == said


# --- where public names are used ----------------------------------------------------------------

# Documented, and mentioned in no chapter, claim, figure or other function: for readers' own work.
FREE_STANDING = {
    "transpde.Euclidean",  # the space of a measure that names none
    "transpde.conventions.Convention",  # of the rows of its table, which is a constant
    "transpde.energy.bures_gradient",
    "transpde.ensembles.random_matrix",
    "transpde.ensembles.random_tokens",
    "transpde.ensembles.sweep",
    "transpde.theory.random_heads.typical_blowup_time",
}


def test_code_is_read_through_its_imports():
    code = "import transpde as tp\nfrom transpde import theory as th\n"
    code += "x = tp.Softmax(th.clustering.clusters)"
    tree = ast.parse(code)
    found = used_in.code_names(tree, dict(used_in.imported(tree)))
    assert {"transpde.Softmax", "transpde.theory.clustering.clusters"} <= found
    tree = ast.parse("from transpde.theory import variance\nnumpy.mean(variance(1))")
    found = used_in.code_names(tree, dict(used_in.imported(tree)))
    assert found == {"transpde.theory.variance"}


def test_uses_are_found_where_they_are():
    uses = used_in.uses(ROOT)
    assert set(uses) == set(used_in.documented(ROOT))
    assert "book/gaussian/preservation" in uses["transpde.Softmax"].pages
    assert "thm-depth-limit" in uses["transpde.layers"].claims
    assert "book/reproduction/line" in uses["transpde.theory.limit_covariance"].figures
    # An alias is the same object, and one call of a class method is a use of its class.
    assert list(used_in.prefixes("transpde.Grid.mean")) == ["transpde.Grid.mean", "transpde.Grid"]


def test_every_claim_about_a_documented_function_is_linked():
    rows = contract.claims.load(BOOK / "claims.yml")
    linked = {anchor for uses in used_in.uses(ROOT).values() for anchor in uses.claims}
    names = used_in.documented(ROOT)
    for row in rows:
        if any((row.get("function") or "").startswith(name) for name in names):
            assert row["anchor"] in linked, row["id"]


def test_every_public_name_is_documented():
    wanted = {f"transpde.{name}" for name in tp.__all__}
    drawing = [name for name in plotting.__all__ if callable(getattr(plotting, name))]
    wanted |= {f"transpde.plotting.{name}" for name in drawing}
    wanted |= {f"transpde.widgets.{name}" for name in widgets.__all__}
    names = used_in.documented(ROOT)
    missing = wanted - set(names)
    assert not missing, f"needs a line in book/api.md or another api page: {sorted(missing)}"
    assert len(set(names)) == len(names)


def test_every_public_name_is_used():
    unused = {name for name, uses in used_in.uses(ROOT).items() if not any(uses)}
    inside = mentioned_in_package()
    # A new attention is used by the table of the notation: see test_api.py.
    inside |= {*attention.normalised.__all__, *attention.unnormalised.__all__}
    free = {name for name in unused if name.rpartition(".")[2] not in inside}
    assert not free - FREE_STANDING, (
        f"no chapter uses {sorted(free - FREE_STANDING)}: use it in one, or say in FREE_STANDING "
        "that it stands alone"
    )
    assert not FREE_STANDING - free, f"no longer alone: {sorted(FREE_STANDING - free)}"


def mentioned_in_package() -> set[str]:
    """Names that some function of the package mentions outside their own definition."""
    found: set[str] = set()
    for path in (ROOT / "transpde").rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
                names |= {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
                found |= names - {node.name}
    return found


# --- footers ------------------------------------------------------------------------------------


def test_a_report_names_the_page_and_the_edition_at_the_one_address():
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    address = config["repository"]["url"]
    link = page_footer.report_link(address, "book/pde/zoo", "version 1 & more")
    query = parse_qs(urlsplit(link).query)
    assert link.startswith(f"{address}/issues/new?")
    assert query["title"] == ["Error on page book/pde/zoo"]
    assert "Page: book/pde/zoo\nEdition: version 1 & more\n" in query["body"][0]


def footer_of(real):
    class App:
        srcdir = str(ROOT)

    context = {
        "theme_extra_footer": '<p><a href="https://host/x/LICENCE">Licences</a>.</p>',
        "theme_repository_url": "https://host/x",
        "address_is_real": real,
    }
    page_footer.add_footer(App, "book/errata", "page.html", context, None)
    assert f"Version {tp.__version__}" in context["theme_extra_footer"]
    return context["theme_extra_footer"]


def test_every_page_gets_its_footer():
    footer = footer_of(real=True)
    assert footer.startswith('<p><a href="https://host/x/LICENCE">Licences</a>.</p>')
    assert "https://host/x/issues/new?title=Error+on+page+book%2Ferrata&amp;body=" in footer


def test_a_footer_leads_nowhere_before_there_is_an_address():
    footer = footer_of(real=False)
    assert footer.startswith("<p>Licences.</p>")
    assert "<a" not in footer


SMALL_BOOK = """
extensions = ["myst_nb", "sphinx_book_theme", "page_footer"]
html_theme = "sphinx_book_theme"
html_context = {{"address_is_real": {real}, "default_mode": "auto"}}
html_theme_options = {{
    "repository_url": "https://github.com/a/b",
    "repository_branch": "main",
    "use_repository_button": True,
    "use_issues_button": True,
    "launch_buttons": {{
        "binderhub_url": "https://mybinder.org", "colab_url": "https://colab.research.google.com"
    }},
}}
nb_execution_mode = "off"
"""


def test_one_switch_shows_or_hides_every_button_that_leads_to_the_address(tmp_path):
    cell = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# Title\n\nText."}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    book = {"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    cases = [
        (
            tmp_path / str(real),
            {"conf.py": SMALL_BOOK.format(real=real), "index.ipynb": json.dumps(book)},
        )
        for real in (True, False)
    ]
    done = build(cases, ["myst_nb", "sphinx_book_theme", "page_footer"])
    for real, one in zip((True, False), done, strict=True):
        assert one.status == 0, one.said
        page = (one.html / "index.html").read_text(encoding="utf-8")
        addresses = "mybinder.org/v2", "colab.research.google.com/github", "/issues/new", 'a/b"'
        for address in addresses:
            assert (address in page) == real, address
        assert "theme-switch-button" in page  # the other buttons of the head stay


def test_no_text_promises_buttons_that_the_switch_hides():
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    real = config["sphinx"]["config"]["html_context"]["address_is_real"]
    front = ["README.md", "book/intro.md", "book/paths.md", "book/reproduction/index.md"]
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in front]
    promises = [re.search(r"Binder|Colab|rocket", text) for text in texts]
    assert any(promises) == real


def test_without_git_the_version_stands_alone(tmp_path):
    assert page_footer.edition(tmp_path) == f"version {tp.__version__}"
    (tmp_path / ".git").mkdir()  # not a repository either
    page_footer.edition.cache_clear()
    assert page_footer.edition(tmp_path) == f"version {tp.__version__}"


def test_the_commit_is_the_last_one_of_the_sources(tmp_path):
    def git(*arguments):
        own = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(tmp_path), *own, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    (tmp_path / "_toc.yml").write_text("a")
    git("add", ".")
    git("commit", "-qm", "book")
    first = git("log", "-1", "--format=%h")
    (tmp_path / "README.md").write_text("b")
    git("add", ".")
    git("commit", "-qm", "elsewhere")
    page_footer.edition.cache_clear()
    assert page_footer.edition(tmp_path) == f"version {tp.__version__}, commit {first}"
    (tmp_path / "_toc.yml").write_text("c")
    page_footer.edition.cache_clear()
    assert page_footer.edition(tmp_path).endswith(f"{first} with changes")


# --- third parties ------------------------------------------------------------------------------


def test_each_notice_has_version_and_licence():
    rows = notices.load(ROOT)
    assert len(rows) >= 10
    for row in rows:
        assert re.match(r"\d+\.\d+", row["version"]), row
        assert re.search(r"MIT|BSD|Apache", row["licence"]), row
    texts = {row["title"]: row["text"] for row in rows}
    assert "Permission is hereby granted" in texts["sphinx-design"]
    assert "Redistribution and use" in texts["Sphinx"]


def test_packages_behind_the_widgets_are_all_named():
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    listed = " ".join(notices.browser_packages(ROOT))
    for place in filter(None, lock):
        assert place.rpartition("node_modules/")[2] in listed


def test_a_file_of_others_without_a_notice_is_found(tmp_path):
    site, own = tmp_path / "site", tmp_path / "own"
    for name in (
        "custom.css",
        "basic.css",
        "vendor/mathjax/a.js",
        "vendor/new/b.js",
        "strange.js",
    ):
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text("")
    (own / "vendor/new").mkdir(parents=True)
    (own / "custom.css").write_text("")
    (own / "vendor/new/b.js").write_text("")
    found = list(notices.unnamed(site, own, notices.load(ROOT)))
    assert found == ["strange.js", "vendor/new/b.js"]


def test_a_build_warns_of_what_no_notice_names(tmp_path, monkeypatch):
    class App:
        srcdir, outdir = str(ROOT), str(tmp_path)
        builder = type("Builder", (), {"format": "html"})

    told = []
    monkeypatch.setattr(notices.logger, "warning", lambda text, name: told.append(text % name))
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "basic.css").write_text("")
    notices.check_site(App, None)
    assert not told
    (tmp_path / "_static" / "strange.js").write_text("")
    notices.check_site(App, None)
    assert told == ["_static/strange.js: from whom? Name it in book/notices.yml"]


# --- folded cells, and words that explain themselves ---------------------------------------------


def folded_cell(code, mode="input", words="Show the code", output=""):
    cell = nodes.container(nb_element="cell_code", hide_mode=mode, prompt_show=words)
    source_part = nodes.container("", nodes.literal_block("", code), nb_element="cell_code_source")
    cell += source_part
    if output:
        cell += nodes.container("", nodes.paragraph("", output), nb_element="cell_code_output")
    return cell


def joined(*cells):
    """The cells of a page after folded ones are joined: the code of each, and what it shows."""
    page = new_document("page")
    page += nodes.section("", *cells)
    folds.join(None, page)
    return [
        ([block.astext() for block in cell.findall(nodes.literal_block)], len(cell.children) - 1)
        for cell in page.findall(nodes.container)
        if cell.get("nb_element") == "cell_code"
    ]


def test_folded_cells_in_a_row_become_one_in_their_order():
    cells = [folded_cell("a"), folded_cell("b"), folded_cell("c", output="picture")]
    assert joined(*cells, folded_cell("d")) == [(["a", "b", "c"], 1), (["d"], 0)]


def test_what_is_shown_between_and_other_words_keep_cells_apart():
    for between in (
        folded_cell("a", output="printed"),
        folded_cell("a", mode="all"),
        folded_cell("a", words="Show the evidence"),
        folded_cell("a", mode=None),
    ):
        assert len(joined(between, folded_cell("b"))) == 2
    assert len(joined(folded_cell("a"), nodes.paragraph("", "text"), folded_cell("b"))) == 2


SMALL_GLOSSARY = """# Words

```{glossary}
token
  A point of $x$ in a {term}`cloud`. See [the page](../index).

cloud
  Many points.
```
"""


def test_a_word_of_the_glossary_holds_its_meaning(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "glossary.md").write_text(SMALL_GLOSSARY)
    text = "# T\n\nA {term}`token`, {term}`clouds <cloud>`.\n\n"
    text += "```{toctree}\nbook/glossary\n```\n"
    (tmp_path / "index.md").write_text(text)
    extensions = '["myst_parser", "terms"]\nmyst_enable_extensions = ["dollarmath"]'
    (tmp_path / "conf.py").write_text(f"extensions = {extensions}\n")
    (one,) = build([(tmp_path, {})], ["myst_parser", "terms"])
    assert one.status == 0, one.said
    soup = BeautifulSoup((one.html / "index.html").read_text(encoding="utf-8"), "html.parser")
    shown = {}
    for word in soup.select("span.term-word"):
        link, meaning = word.select_one("a"), word.select_one("span[role=tooltip]")
        assert link["aria-describedby"] == meaning["id"]
        assert link["href"].startswith("book/glossary.html#term-")
        shown[link.get_text()] = meaning
    assert list(shown) == ["token", "clouds"]
    assert shown["token"].get_text().startswith("A point of ")
    assert shown["token"].get_text().endswith(" in a cloud.")
    assert shown["token"].select_one(".math")
    assert shown["clouds"].get_text() == "Many points."
    assert len({meaning["id"] for meaning in shown.values()}) == 2


# --- glossary, notation, errata -----------------------------------------------------------------


def test_glossary_is_short_sorted_and_linked():
    text = (BOOK / "glossary.md").read_text(encoding="utf-8")
    meanings = source.glossary(text)
    terms = list(meanings)
    assert 25 <= len(terms) <= 100
    assert terms == sorted(terms, key=str.lower)
    assert len(source.directives(text, "glossary")[0].body.split("\n\n")) == len(terms)
    for term, meaning in meanings.items():
        said, _, link = meaning.partition(" See [")
        assert 1 <= len(re.findall(r"[.](?:\s|$)", said)) <= 2, term
        assert link.endswith(")."), term
        [page] = source.links(meaning)[-1:]
        assert source.page_path(ROOT, f"book/{page}"), term


def test_symbols_occur_in_the_chapter_that_the_index_names():
    table = (BOOK / "notation.md").read_text(encoding="utf-8").partition("## Conventions")[0]
    rows = [row for row in source.table_rows(table) if source.formulas(" ".join(row))]
    linked = 0
    for symbols, *_, where in rows:
        if pages := source.links(where):
            linked += 1
            text = squeezed(source.page_text(source.read(BOOK / pages[-1])))
            heads = [re.split(r" = |,|\(", symbol)[0] for symbol in source.formulas(symbols)]
            assert any(squeezed(head) in text for head in heads), symbols
    assert linked >= 0.9 * len(rows)


def test_letters_that_serve_in_many_chapters_are_listed_with_their_meanings():
    symbols, _, letters = (
        (BOOK / "notation.md").read_text(encoding="utf-8").partition("(several-meanings)=")
    )
    listed = {formula for row in source.table_rows(letters) for formula in source.formulas(row[0])}
    homes: dict[str, set[str]] = {}
    for row in source.table_rows(symbols):
        for formula in source.formulas(row[0]):
            plain = formula.removeprefix(r"\bar ")
            if letter := re.match(r"\\[A-Za-z]+|[A-Za-z](?![a-z])", plain):
                homes.setdefault(letter[0], set()).update(source.links(row[-1])[-1:])
    many = {letter for letter, pages in homes.items() if len(pages) >= 5}
    assert many - {"x"} <= listed  # tokens, everywhere


def test_each_chapter_has_its_words_and_its_symbols():
    """A page of figures only uses those of the chapters before it."""
    own = {c.page for c in ALL if c.part != "Reproduction"}
    for name in ("glossary", "notation"):
        text = (BOOK / f"{name}.md").read_text(encoding="utf-8")
        said = text.partition("## Conventions")[0]
        for block in source.directives(text, "glossary"):
            said += block.body
        linked = {f"book/{source.page_name(page)}" for page in source.links(said)}
        assert own <= linked, (name, own - linked)


def test_a_table_has_one_head_and_rows_of_its_width():
    """A second head inside a table is printed as two rows of it, names and dashes."""
    for path in sorted(BOOK.rglob("*.md")):
        for table in source.tables(path.read_text(encoding="utf-8")):
            rows = [re.sub(r"\\\||`[^`]*`|\$[^$]*\$", "", row) for row in table]
            assert len({row.count("|") for row in rows}) == 1, (path.name, table[0][:60])
            assert not [row for row in rows[2:] if re.fullmatch(r"[|\s:-]+", row)], path.name


def squeezed(text: str) -> str:
    for same, one in ((r"\lvert", "|"), (r"\rvert", "|"), (r"\Vert", r"\|"), (r"\,", "")):
        text = text.replace(same, one)
    return re.sub(r"[\s{}]", "", text)


# --- addresses that stay ------------------------------------------------------------------------


def test_no_address_disappears():
    tool = load_tool("addresses")
    gone = set(tool.kept()) - tool.addresses()
    assert not gone, f"links from outside break: {sorted(gone)}; see tools/addresses.py"


def test_addresses_are_kept_in_order():
    kept = load_tool("addresses").kept()
    assert kept == sorted(set(kept))
    assert len(kept) > 600


def test_a_page_that_was_divided_leads_on():
    """Every label that its address ever had is in one of the pages that hold its parts."""
    for page, parts in moved.moved(ROOT).items():
        assert page not in source.toc_entries(ROOT)
        places = moved.places(ROOT, page)
        labels = {a.partition("#")[2] for a in load_tool("addresses").kept() if f"{page}#" in a}
        assert labels <= places.keys()
        assert set(places.values()) == set(parts)
        for label, part in places.items():
            assert label in source.labels(source.read(ROOT / f"{part}.ipynb"))


def test_the_label_of_an_equation_has_its_prefix_in_addresses():
    assert moved.anchor("eq-posterior") == "equation-eq-posterior"
    assert moved.anchor("thm-opposite-limit") == "thm-opposite-limit"


def test_a_part_that_is_no_page_is_an_error(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "moved.yml").write_text("book/old: [book/new]\n", encoding="utf-8")
    with pytest.raises(ValueError, match="book/old leads to book/new, which is no page"):
        moved.places(tmp_path, "book/old")


# --- the film -----------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["clustering", "blow_up"])
def test_maps_of_the_film_carry_the_covariances_of_the_closed_form(side):
    found = film.maps(frames=5)
    head = recipes.softmax(frontispiece.sides()[side])
    for start, S in enumerate(found["starts"]):
        gaussian = tp.Gaussian.from_covariance(np.zeros(2), S)
        end = theory.blowup_time(head, gaussian)
        assert np.isfinite(end) == (side == "blow_up")
        last = (1 - film.LEFT) * end if np.isfinite(end) else film.LAST_DEPTH
        maps = found[side][:, start]
        np.testing.assert_array_equal(maps[0], np.eye(2))
        exact = theory.closed_form_covariance(head, gaussian, last)
        np.testing.assert_allclose(maps[-1] @ S @ maps[-1].T, exact, rtol=1e-7, atol=1e-9)


def test_film_has_two_frames_at_least():
    with pytest.raises(ValueError, match="at least 2"):
        film.maps(frames=1)


def test_film_is_light_and_can_be_stopped():
    data = json.dumps(film_directive.data(), separators=(",", ":"))
    script = (BOOK / "_static" / "film.js").read_text(encoding="utf-8")
    still = (BOOK / "_static" / "frontispiece.png").stat().st_size
    assert len(data) + len(script) + still <= 400_000
    for promise in ("prefers-reduced-motion", '"button"', '"aria-label"', "Pause"):
        assert promise in script


# --- references ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("authors", "name"),
    [
        ("Bach, Anna", "Bach, 2020"),
        ("Bach, Anna and van der Berg, Bo", "Bach and van der Berg, 2020"),
        ("Bach, Anna and Berg, Bo and Peyré, Gabriel", "Bach et al., 2020"),
    ],
)
def test_references_are_named_as_the_text_cites(authors, name):
    entry = f"@misc{{key, author = {{{authors}}}, title = {{T}}, year = 2020}}"
    data = parse_string(entry, "bibtex")
    (formatted,) = author_year.Style().format_bibliography(data)
    assert formatted.label == name


# --- the overview of the part Frontier ----------------------------------------------------------


def rows_under(page, title):
    """The rows of the tables in the section of that title."""
    found = source.sections((BOOK / page).read_text(encoding="utf-8"))
    (section,) = (section for section in found if section.title == title)
    return source.table_rows(section.body)


def test_each_chapter_of_the_frontier_has_its_row():
    rows = rows_under("frontier/index.md", "What each paper announces")
    linked = {page for row in rows for page in source.links(" ".join(row))}
    own = [c.page.rpartition("/")[2] for c in ALL if c.part == "Frontier"]
    assert own
    assert {name for name in own if not any(name in page for page in linked)} == set()


# --- what comes back ----------------------------------------------------------------------------

HOME = {
    label: page
    for page in source.toc_entries(ROOT)
    for label in source.labels(source.read(source.page_path(ROOT, page)))
}


def leads_to(page, text):
    """The pages that a text on a page links to, by their addresses or by labels on them."""
    folder = posixpath.dirname(page)
    files = [link.partition("#")[0] for link in source.links(text) if "://" not in link]
    found = {source.page_name(posixpath.normpath(posixpath.join(folder, file))) for file in files}
    named = (re.sub(r".*<|>$", "", content) for _, content in source.roles(text))
    return found | {HOME[label] for label in named if label in HOME}


@pytest.mark.parametrize("part", ["frontier", "real"])
def test_what_comes_back_is_linked_in_both_directions(part):
    """Each row of the table: the chapter of a statement, and the chapters in which it returns."""
    index = f"book/{part}/index"
    texts = {c.page: source.page_text(source.read(ROOT / f"{c.page}.ipynb")) for c in ALL}
    links = {page: leads_to(page, text) for page, text in texts.items()}
    rows = rows_under(f"{part}/index.md", "What you will use")
    later = set()
    for chapter, statement, returns in rows:
        [first] = leads_to(index, chapter)
        back = leads_to(index, returns)
        assert leads_to(index, statement) <= {first}
        assert {page for page in back if first not in links[page]} == set(), first
        assert back <= links[first], (first, back - links[first])
        later |= back
    assert later == {c.page for c in ALL if c.page.startswith(f"book/{part}/")}
