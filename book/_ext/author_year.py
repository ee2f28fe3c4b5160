"""The list of references named as the text cites: "Ajtai et al., 1984", not "AKomlosTusnady84"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pybtex.database import Entry, Person
from pybtex.plugin import register_plugin
from pybtex.richtext import Text
from pybtex.style.formatting.plain import Style as Plain
from pybtex.style.labels import BaseLabelStyle
from sphinx.application import Sphinx


def last_name(person: Person) -> str:
    return str(Text(" ").join(person.rich_prelast_names + person.rich_last_names))


def name(entry: Entry) -> str:
    """Authors and year, as `bibtex_reference_style: author_year` has them."""
    persons = [last_name(person) for person in entry.persons["author"]]
    authors = f"{persons[0]} et al." if len(persons) > 2 else " and ".join(persons)
    return f"{authors}, {entry.fields['year']}"


class Labels(BaseLabelStyle):  # type: ignore[misc]
    def format_labels(self, sorted_entries: Iterable[Entry]) -> Iterator[str]:
        return map(name, sorted_entries)


class Style(Plain):  # type: ignore[misc]
    default_label_style = Labels


def setup(app: Sphinx) -> dict[str, Any]:
    register_plugin("pybtex.style.formatting", "author_year", Style)
    app.config.bibtex_default_style = "author_year"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
