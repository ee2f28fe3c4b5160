"""Mends what other extensions get wrong in a page's HTML.

Several number nothing: each statement's text is `proof-content`, each exercise's
`exercise-content`, each citation in a docstring `id1`; a page may hold an identifier only once.
The bibliography is a list whose entries have a role that is no list item's, and the overview of
the source code a list with lists for items. A folded cell has a label that is not what it shows.
"""

import re
from typing import Any

from docutils import nodes

FOLD = '<summary aria-label="Toggle hidden content">'  # its own words say more


def distinct(identifiers: list[str], taken: set[str]) -> list[str]:
    """The identifiers, those already taken with the next free number; all are taken now."""
    result = []
    for identifier in identifiers:
        name, number = identifier, 1
        while name in taken:
            number += 1
            name = f"{identifier}-{number}"
        taken.add(name)
        result.append(name)
    return result


def number(app: Any, doctree: Any, page: str) -> None:
    """Number a page's repeated identifiers; the first of each stays what links name."""
    taken: set[str] = set()
    for element in doctree.findall(nodes.Element):
        if element.get("ids"):
            element["ids"] = distinct(element["ids"], taken)


def mend_lists(app: Any, page: str, template: str, context: Any, doctree: Any) -> None:
    """Make entries and modules items of their list; a folded cell is called what it shows."""
    if "body" in context:
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')
        context["body"] = context["body"].replace(FOLD, "<summary>")
    if page == "_modules/index":
        head, *_ = context["body"].partition("<ul>")
        items = "".join(re.findall(r"<li>.*?</li>", context["body"]))
        context["body"] = f"{head}<ul>{items}</ul>"


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx, after every extension that makes or reads identifiers."""
    app.connect("doctree-resolved", number, priority=900)
    app.connect("html-page-context", mend_lists)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
