"""Words of the glossary explain themselves: a `{term}` shows its meaning where it stands.

The word stays a link to the glossary. Beside it the page holds the meaning, up to where the
glossary says "See", hidden until the pointer is over the word or the keyboard comes to it. No
script is needed, and no other page is asked.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

GLOSSARY = "book/glossary"


class explained(nodes.Inline, nodes.TextElement):
    """A word of the glossary with its meaning: a reference, and a `meaning`."""


class meaning(nodes.Inline, nodes.TextElement):
    """What the glossary says of a word."""


def meanings(glossary: nodes.document) -> dict[str, list[nodes.Node]]:
    """What the glossary says, by the identifier of the word."""
    found = {}
    for entry in glossary.findall(nodes.definition_list_item):
        (definition,) = (part for part in entry if isinstance(part, nodes.definition))
        for term in (part for part in entry if isinstance(part, nodes.term)):
            for name in term["ids"]:
                found[name] = words(definition)
    return found


def words(definition: nodes.Element) -> list[nodes.Node]:
    """The text and the formulas of a definition, up to where it sends the reader on."""
    kept: list[nodes.Node] = []
    for part in next(definition.findall(nodes.paragraph)):
        if isinstance(part, nodes.math):
            # The copy of the node alone: that of `copy` would take the whole page along.
            kept.append(part.deepcopy())
            continue
        text, on, _ = part.astext().partition(" See ")
        kept.append(nodes.Text(text))
        if on:
            break
    return kept


def explain(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Give each link to a word of the glossary the meaning of the word."""
    if app.builder.format != "html" or page == GLOSSARY:
        return
    links = [link for link in doctree.findall(nodes.reference) if is_term(link)]
    known = meanings(app.env.get_doctree(GLOSSARY)) if links else {}
    for number, link in enumerate(links, start=1):
        said = known.get(link["refuri"].partition("#")[2])
        if said:
            shown = meaning("", "", *(part.deepcopy() for part in said), ids=[f"meaning-{number}"])
            link.replace_self(explained("", "", link.deepcopy(), shown))
            if any(isinstance(part, nodes.math) for part in said):
                # Sphinx brings MathJax only to pages that it has seen formulas on.
                app.env.get_domain("math").data["has_equations"][page] = True


def is_term(link: nodes.reference) -> bool:
    """Whether a link is one of a `{term}`."""
    inner = [part for part in link.children if isinstance(part, nodes.Element)]
    return "refuri" in link and any("std-term" in part["classes"] for part in inner)


def visit_explained(translator: Any, node: explained) -> None:
    translator.body.append('<span class="term-word">')


def depart(translator: Any, node: nodes.Element) -> None:
    translator.body.append("</span>")


def visit_meaning(translator: Any, node: meaning) -> None:
    # What stands before it is the link: it names its meaning for those who hear the page.
    at = max(k for k, part in enumerate(translator.body) if part.startswith("<a "))
    translator.body[at] = translator.body[at].replace(
        "<a ", f'<a aria-describedby="{node["ids"][0]}" ', 1
    )
    translator.body.append(f'<span class="term-meaning" role="tooltip" id="{node["ids"][0]}">')


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_node(explained, html=(visit_explained, depart))
    app.add_node(meaning, html=(visit_meaning, depart))
    app.connect("doctree-resolved", explain)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
