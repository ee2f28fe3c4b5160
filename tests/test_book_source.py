"""The reader of the book's sources sees in a page what a reader of the built page sees."""

import book_source as source
import pytest

PAGE = """# Title of `code`

(here)=
## Second part

Words with {cite:t}`key` and {prf:ref}`the first <thm-one>`, [a link](part/page.ipynb#place),
$x_{3.5}$, `code` and <https://somewhere.org/page>. % no comment

$$
y = 4.5
$$ (eq-y)

::::{dropdown} Proof
:class: note
:::{prf:proof}
It follows, see {ref}`below`.
:::
::::

```python
# not a heading
(not-a-label)=
```

{name=there}
The end.
"""


def test_text_is_cut_at_its_outermost_fences():
    kinds = [part.name for part in source.blocks(PAGE) if isinstance(part, source.Block)]
    assert kinds == ["dropdown", ""]
    (dropdown,) = source.directives(PAGE, "dropdown")
    assert dropdown.argument == "Proof"
    assert dropdown.options == {"class": "note"}
    assert source.directives(PAGE, "prf:proof")[0].body == "It follows, see {ref}`below`."


def test_headings_and_labels_are_those_of_the_page_and_not_of_its_code():
    parts = source.sections(PAGE)
    assert [(s.level, s.title) for s in parts] == [
        (0, ""), (1, "Title of `code`"), (2, "Second part"),
    ]  # fmt: skip
    assert "\n".join(part.source for part in parts[1:]) == PAGE
    assert source.own_labels(PAGE) == {"here", "eq-y", "there"}


def test_roles_and_links_are_found_in_directives_too():
    assert source.roles(PAGE) == [
        ("cite:t", "key"), ("prf:ref", "the first <thm-one>"), ("ref", "below"),
    ]  # fmt: skip
    assert source.links(PAGE) == ["part/page.ipynb#place", "https://somewhere.org/page"]


def test_words_are_those_that_are_read():
    words = source.plain(PAGE).split()
    assert words[:4] == ["Title", "of", "Second", "part"]
    assert {"the", "first", "link,"} <= set(words)
    assert not {"key", "code", "somewhere", "3.5", "4.5", "below", "name=there"} & set(words)
    assert source.count_words("Two-part words, don't count 2 or $x$.") == 5


@pytest.mark.parametrize("text", ["", "\n", "```", "# A\n```{note} b"])
def test_any_text_is_read(text):
    assert "".join(p if isinstance(p, str) else p.body for p in source.blocks(text)) in text
    assert source.sections(text)[0].level == 0


def test_a_table_is_read_by_its_rows():
    text = "```{table}\n| a | b |\n|---|---|\n| `c(x)` | $d$, [e](f.md) |\n```"
    assert source.table_rows(text) == [["`c(x)`", "$d$, [e](f.md)"]]
    assert source.code(text) == ["c(x)"]
    assert source.formulas(text) == ["d"]


def test_definitions_and_glossary_keep_their_order():
    assert source.definitions("One\n: first\n  line.\n\nTwo\n: second.") == {
        "One": "first line.", "Two": "second.",
    }  # fmt: skip
    text = "```{glossary}\nA word\n  Its meaning.\n\nMore\n  Of it.\n```"
    assert source.glossary(text) == {"A word": "Its meaning.", "More": "Of it."}


def test_the_interface_lists_functions_and_classes_alone():
    text = "```{eval-rst}\n.. autofunction:: a.f\n.. autoclass:: a.C\n   :members:\n```\n"
    assert source.documented(text + ".. autofunction:: in.words") == ["a.f", "a.C"]


def test_each_page_of_the_contents_is_there():
    pages = source.toc_entries(source.ROOT)
    assert len(pages) == len(set(pages)) > 20
    assert all(source.page_path(source.ROOT, page) for page in pages)
