"""The claim ledger: its schema, and the Sphinx directive that renders it.

A row of ``book/claims.yml`` says for one definition, statement or figure where the book makes it,
which public name computes it, which test checks it, and how far that goes. ``row_problems`` is
the schema, used by the directive here and by the tests; whatever needs the repository (does the
anchor, the function, the test exist?) is checked by the tests alone.

A row on a figure of the authors' scripts names it (``figure``) and says whether the exact flow
shows the same (``verdict``). These verdicts are written nowhere else but on the figure's own page,
where a test compares them; the overview and the errata are made from them.

In a page, ``{claims}`` renders the whole ledger, one table a chapter; ``{claims} path.yml``
renders another file (a leading ``/`` means the source root); ``:verdict: corrected`` lists the
statements of that verdict alone. ``{verdicts}`` is the table of figures with their verdicts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from chapter_graph import link

logger = logging.getLogger(__name__)

STATUSES = ("proved", "verified", "illustrated", "cited", "open", "discrepancy")
VERDICTS = ("reproduced", "corrected", "discrepancy")
REQUIRED = ("id", "statement", "chapter", "anchor", "status")
OPTIONAL = ("function", "test", "tolerance", "source", "figure", "verdict")
DEFAULT_LEDGER = "/book/claims.yml"
COLUMNS = (("Statement", 42), ("Status", 10), ("Where", 14), ("Evidence", 34))
VERDICT_COLUMNS = (("Figure", 22), ("Verdict", 13), ("In one line", 65))

Row = dict[str, Any]


# --- schema -------------------------------------------------------------------------------------


def row_problems(row: object) -> list[str]:
    """What is wrong with one row taken alone, as sentences; an empty list when it is sound."""
    if not isinstance(row, dict):
        return [f"a row must be a mapping, got {row!r}"]
    known = REQUIRED + OPTIONAL
    found = [f"unknown key {key!r}; the keys are {', '.join(known)}" for key in row.keys() - known]
    found += [f"{key!r} is missing" for key in REQUIRED if not row.get(key)]
    found += [
        f"{key!r} must be a string, got {value!r}"
        for key, value in row.items()
        if key in known and key != "tolerance" and not isinstance(value, str | None)
    ]
    if found:
        return found
    return _word_problems(row) + _status_problems(row) + _verdict_problems(row)


def _word_problems(row: Row) -> list[str]:
    """Spelling of the identifier, the chapter and the statement."""
    found = []
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", row["id"]):
        found.append(f"id {row['id']!r} must be lower-case words joined by hyphens")
    if row["chapter"].endswith((".ipynb", ".md")):
        found.append(f"chapter {row['chapter']!r} must be written without its extension")
    if "\n" in row["statement"].strip():
        found.append("the statement must be one sentence on one line (use >- to fold it)")
    return found


def _status_problems(row: Row) -> list[str]:
    """What each status obliges the row to hold."""
    found = []
    status, tolerance = row["status"], row.get("tolerance")
    if status not in STATUSES:
        found.append(f"unknown status {status!r}; one of {', '.join(STATUSES)}")
    if status == "verified" and not row.get("test"):
        found.append("'verified' needs a test")
    if status == "verified" and tolerance is None:
        found.append("'verified' needs a tolerance")
    if tolerance is not None and not _is_positive(tolerance):
        found.append(f"tolerance must be a positive number, got {tolerance!r}")
    if status == "cited" and not row.get("source"):
        found.append("'cited' needs a source, a key of references.bib")
    return found


def _verdict_problems(row: Row) -> list[str]:
    """A verdict is on a named figure, and a discrepancy is one in both columns."""
    found = []
    verdict, figure = row.get("verdict"), row.get("figure")
    if verdict is not None and verdict not in VERDICTS:
        found.append(f"unknown verdict {verdict!r}; one of {', '.join(VERDICTS)}")
    if (verdict is None) != (figure is None):
        found.append("'figure' and 'verdict' go together")
    if (verdict == "discrepancy") != (row["status"] == "discrepancy"):
        found.append(f"status {row['status']!r} with verdict {verdict!r}")
    return found


def _is_positive(value: object) -> bool:
    """Whether YAML's value reads as a positive number: it leaves 1e-10, with no dot, a string."""
    try:
        return not isinstance(value, bool) and 0 < float(str(value)) < float("inf")
    except ValueError:
        return False


def ledger_problems(rows: object) -> list[str]:
    """What is wrong with the rows themselves: each one's own problems, and repeated ids."""
    if not isinstance(rows, list):
        return [f"the ledger must be a list of rows, got {type(rows).__name__}"]
    found, seen = [], set()
    for number, row in enumerate(rows, start=1):
        name = row.get("id") if isinstance(row, dict) else None
        found += [f"row {number} ({name}): {problem}" for problem in row_problems(row)]
        if name and str(name) in seen:
            found.append(f"row {number} ({name}): duplicate id")
        seen.add(str(name))
    return found


def load(path: Path) -> list[Row]:
    """The rows of a ledger file, none if it is empty. Raises ``ValueError`` on broken YAML."""
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path.name} is not readable YAML: {error}") from error
    return [] if rows is None else rows


# --- the page -----------------------------------------------------------------------------------


class anchor_link(nodes.General, nodes.Inline, nodes.Element):
    """Stands for a link to an anchor until all pages are read and its kind is known."""


class api_link(nodes.General, nodes.Inline, nodes.Element):
    """Stands for a public name until it is known whether the API pages document it."""


class Ledger(SphinxDirective):
    """What the directives share: the rows, and how parts of them are rendered."""

    optional_arguments = 1
    final_argument_whitespace = True

    def rows(self) -> list[Row]:
        """The rows, or a Sphinx error that names the file and every bad row."""
        argument = self.arguments[0] if self.arguments else DEFAULT_LEDGER
        relative, file = self.env.relfn2path(argument)
        self.env.note_dependency(relative)
        path = Path(file)
        if not path.is_file():
            raise ExtensionError(
                f"claim ledger {path.name} not found (needed by {self.env.docname})"
            )
        try:
            rows = load(path)
        except ValueError as error:
            raise ExtensionError(str(error)) from error
        found = ledger_problems(rows)
        if found:
            raise ExtensionError(f"claim ledger {path.name}:\n  " + "\n  ".join(found))
        return rows

    def _placed(self, node: nodes.Element) -> nodes.Element:
        """The node with the place of the directive, so that a warning about it can name it."""
        node["refdoc"] = self.env.docname
        node.source, node.line = self.state_machine.get_source_and_line(self.lineno)
        return node

    def _inline(self, text: str) -> list[nodes.Node]:
        """The text parsed as the page's own inline markup: MyST here, so $math$ and roles work."""
        parsed, messages = self.state.inline_text(text.strip(), self.lineno)
        return [*parsed, *messages]

    def _finding(self, row: Row) -> list[nodes.Node]:
        """The statement without the sentence on what its tolerance measures."""
        return self._inline(row["statement"].partition(" Tolerance:")[0])


class Claims(Ledger):
    """``{claims}``: the ledger, one table a chapter, in the order of the file."""

    option_spec = {"verdict": lambda given: directives.choice(given, VERDICTS)}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        rows = self.rows()
        if verdict := self.options.get("verdict"):
            return [self._list([row for row in rows if row.get("verdict") == verdict])]
        chapters = dict.fromkeys(row["chapter"] for row in rows)
        parts: list[nodes.Node] = []
        for chapter in chapters:
            parts.append(nodes.rubric("", "", link(chapter, self.env.docname)))
            own = (self._row(row) for row in rows if row["chapter"] == chapter)
            parts.append(_table(COLUMNS, own, "claims"))
        return parts

    def _list(self, rows: list[Row]) -> nodes.Node:
        """The statements, each after a link to where it stands."""
        listed = nodes.bullet_list(bullet="-")
        for row in rows:
            where = self._placed(anchor_link(target=row["anchor"]))
            said = [nodes.Text(". "), *self._finding(row)]
            listed += nodes.list_item("", nodes.paragraph("", "", where, *said))
        return listed

    def _row(self, row: Row) -> nodes.row:
        statement = nodes.paragraph("", "", *self._inline(row["statement"]))
        words = dict.fromkeys([row["status"], row.get("verdict", row["status"])])
        status = nodes.paragraph("", ", ".join(words))
        where = nodes.paragraph("", "", self._placed(anchor_link(target=row["anchor"])))
        rendered = _table_row([[statement], [status], [where], self._evidence(row)])
        # A page may link to one claim: its row is a target of its own.
        rendered["ids"].append(f"claim-{row['id']}")
        return rendered

    def _evidence(self, row: Row) -> list[nodes.Node]:
        """Function, test, tolerance and source, one a line, as far as the row has them."""
        lines: list[nodes.Node] = []
        if row.get("function"):
            lines.append(nodes.paragraph("", "", self._placed(api_link(target=row["function"]))))
        if row.get("test"):
            lines.append(nodes.paragraph("", "", nodes.literal("", row["test"])))
        if row.get("tolerance") is not None:
            lines.append(nodes.paragraph("", f"to {float(row['tolerance']):g}"))
        if row.get("source"):
            lines.append(nodes.paragraph("", "", *self._inline(f"{{cite:t}}`{row['source']}`")))
        return lines or [nodes.paragraph("", "—")]


class Verdicts(Ledger):
    """``{verdicts}``: the figures of the scripts, each with its verdict and what was found."""

    def run(self) -> list[nodes.Node]:
        rows = [row for row in self.rows() if row.get("verdict")]
        return [_table(VERDICT_COLUMNS, map(self._row, rows), "figure-names")]

    def _row(self, row: Row) -> nodes.row:
        figure = anchor_link(target=row["anchor"], text=row["figure"])
        cells = [self._placed(figure)], [nodes.Text(row["verdict"])], self._finding(row)
        return _table_row([[nodes.paragraph("", "", *cell)] for cell in cells])


def _table(
    columns: Sequence[tuple[str, int]], rows: Iterable[nodes.row], name: str
) -> nodes.table:
    group = nodes.tgroup(cols=len(columns))
    group += [nodes.colspec(colwidth=width) for _, width in columns]
    head = [nodes.paragraph("", title) for title, _ in columns]
    group += nodes.thead("", _table_row([[cell] for cell in head]))
    group += nodes.tbody("", *rows)
    return nodes.table("", group, classes=[name])


def _table_row(cells: Iterable[list[nodes.Node]]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", *cell) for cell in cells))


class ResolveClaims(SphinxPostTransform):
    """Turns the stand-ins into links once every label of the book is known.

    It runs just before Sphinx resolves references (priority 10), because which domain owns an
    anchor (a statement, a figure, an equation, a section) is only known after all pages are read.
    """

    default_priority = 9

    def run(self, **kwargs: Any) -> None:
        for node in list(self.document.findall(anchor_link)):
            node.replace_self(self._anchor(node))
        documented = self.env.get_domain("py").objects
        for node in list(self.document.findall(api_link)):
            literal = nodes.literal("", node["target"])
            # A name the API pages do not hold stays plain: nitpicky mode would warn otherwise.
            known = node["target"] in documented
            node.replace_self(self._xref(node, "py", "obj", literal) if known else literal)

    def _anchor(self, node: anchor_link) -> nodes.Node:
        target = node["target"]
        if "text" in node:
            return self._xref(node, "std", "ref", nodes.literal("", node["text"]), explicit=True)
        standard = self.env.get_domain("std")
        if target in getattr(self.env, "proof_list", {}):
            return self._xref(node, "prf", "ref", nodes.inline("", target))
        if target in self.env.get_domain("math").equations:
            return self._xref(node, "math", "eq", nodes.inline("", target))
        place = standard.anonlabels.get(target)
        if place is None:
            logger.warning("claim ledger: anchor %r is in no page", target, location=node)
            return nodes.literal("", target)
        page, identifier = place[:2]
        numbered = self.env.toc_fignumbers.get(page, {}).values()
        if any(identifier in numbers for numbers in numbered):
            return self._xref(node, "std", "numref", nodes.inline("", target))
        # A label on a heading has that heading as its text; any other shows its own name.
        plain = target not in standard.labels
        return self._xref(node, "std", "ref", nodes.inline("", target), explicit=plain)

    def _xref(
        self,
        node: nodes.Element,
        domain: str,
        role: str,
        content: nodes.Node,
        explicit: bool = False,
    ) -> addnodes.pending_xref:
        return addnodes.pending_xref(
            "",
            content,
            refdomain=domain,
            reftype=role,
            reftarget=node["target"],
            refexplicit=explicit,
            refdoc=node["refdoc"],
            refwarn=True,
        )


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_node(anchor_link)
    app.add_node(api_link)
    app.add_directive("claims", Claims)
    app.add_directive("verdicts", Verdicts)
    app.add_post_transform(ResolveClaims)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
