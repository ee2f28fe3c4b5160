"""The book on paper: what the LaTeX builder does otherwise than it would by itself.

What a reader of the pages unfolds (proofs, hints, solutions) stands open, statements and exercises
have environments of their own, chapters keep the numbers that they have on the pages.
``latex-book.sty`` defines how all this looks; ``tools/pdf`` builds it.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx_exercise import nodes as exercises
from sphinx_proof import nodes as proofs

FILES = ["book/_ext/latex-book.sty", "book/_static/frontispiece.png"]
WIDEST, LONGEST = 56, 8  # characters of a column, rows of a table that no page break may cut
LINE, SHORT = 80, 12  # characters of a row, and of a column that should not wrap
ELEMENTS = {
    "papersize": "a4paper",
    "pointsize": "10pt",
    "extraclassoptions": "oneside,openany",
    # Latin Modern is XeLaTeX's own; code needs a font that has Greek and mathematical signs.
    "fontpkg": r"\setmonofont{DejaVu Sans Mono}[Scale=0.82]",
    "fncychap": "",
    "figure_align": "H",
    "maketitle": r"\booktitlepage",
    "sphinxsetup": "hmargin=2.4cm, vmargin=2.4cm, verbatimwithframe=false, verbatimsep=4pt",
    # The book has a list of notation and a search, not an index: no xindy.
    "makeindex": "",
    "printindex": "",
}


def configure(app: Sphinx, config: Config) -> None:
    """Set the LaTeX builder's options; after sphinx_jupyterbook_latex, which sets its own."""
    config["latex_theme"] = "manual"
    config["latex_documents"] = [
        (config.root_doc, "transpde.tex", config.project, config.author, "manual")
    ]
    config["latex_additional_files"] = FILES
    config["latex_domain_indices"] = False
    address = rf"\newcommand{{\bookaddress}}{{{config.html_baseurl}}}"
    config["latex_elements"] = ELEMENTS | {"preamble": address + r"\usepackage{latex-book}"}


def number_by_chapter(app: Sphinx) -> None:
    """Number statements and figures by chapter, as the pages do: parts would add a level."""
    if app.builder.format == "latex":
        app.config["numfig_secnum_depth"] = 1


def know_pages(app: Sphinx, env: Any, docnames: list[str]) -> None:
    """Let directives ask for addresses while pages are read: LaTeX learns them when it writes."""
    if app.builder.format == "latex":
        app.builder.docnames = list(docnames)  # type: ignore[attr-defined]


class unfolded(nodes.General, nodes.Element):
    """A dropdown, open; ``kind`` names its environment."""


class unfolded_title(nodes.General, nodes.TextElement):
    """What stood on the closed dropdown."""


class Unfold(SphinxPostTransform):
    """Open dropdowns, and tell LaTeX which chapters have numbers."""

    formats = ("latex",)
    default_priority = 199

    def run(self, **kwargs: Any) -> None:
        for node in list(self.document.findall(nodes.container)):
            if node.get("design_component") == "dropdown":
                node.replace_self(opened(node))
        for proof in list(self.document.findall(proofs.proof_node)):
            proof.replace_self(unmarked(proof))
        for table in self.document.findall(nodes.table):
            measure(table)
        for picture in self.document.findall(nodes.image):  # of a card, three in a row on the page
            if "sd-card-img-top" in picture["classes"]:
                picture["width"] = "45%"
        for page in self.document.findall(addnodes.start_of_file):
            depth = 2 if self.env.toc_secnumbers.get(page["docname"]) else -1
            text = rf"\setcounter{{secnumdepth}}{{{depth}}}"
            page.insert(0, nodes.raw("", text, format="latex"))


def opened(dropdown: nodes.container) -> unfolded:
    """Return an open dropdown: a title that runs in, and the body."""
    titles = [child for child in dropdown if isinstance(child, nodes.rubric)][:1]
    is_proof = any(dropdown.findall(proofs.proof_node))
    title = unfolded_title("", "", *(part for one in titles for part in one.children))
    body = [child for child in dropdown if child not in titles]
    return unfolded("", title, *body, kind="bookproof" if is_proof else "bookaside")


def unmarked(proof: nodes.Element) -> list[nodes.Node]:
    """Return what a proof says, without the word that its title has said."""
    for text in list(proof.findall(nodes.Text))[:1]:
        text.parent.replace(text, nodes.Text(text.removeprefix("Proof. ")))
    return [child for box in proof.children for child in box.children]


def measure(table: nodes.table) -> None:
    """Give each column a width by its longest entry; let names of code break at underscores."""
    columns = list(table.findall(nodes.colspec))
    rows = [[length(cell) for cell in row.children] for row in table.findall(nodes.row)]
    whole = [row for row in rows if len(row) == len(columns)] or [[1] * len(columns)]
    longest = [min(max(*entries, 6), WIDEST) for entries in zip(*whole, strict=True)]
    for column, width in zip(columns, shared(longest), strict=True):
        column["colwidth"] = width
    table["classes"].append("colwidths-given")
    if len(rows) > LONGEST and not isinstance(table.parent, nodes.Admonition):
        table["classes"].append("longtable")
    for literal in table.findall(nodes.literal):
        parts = re.split(r"(?<=[_/.:])(?=\w)", literal.astext())
        breaks = nodes.raw("", r"\allowbreak{}", format="latex")
        pieces = [piece for part in parts for piece in (breaks.deepcopy(), nodes.Text(part))]
        literal.children = []
        literal.extend(pieces[1:])


def shared(lengths: list[int]) -> list[int]:
    """Return widths of columns: where a row is too long for a line, its long entries wrap."""
    long = sum(size for size in lengths if size > SHORT)
    left = LINE - sum(lengths) + long
    if sum(lengths) <= LINE:
        return lengths
    return [size if size <= SHORT else max(SHORT, size * left // long) for size in lengths]


def length(cell: nodes.Node) -> int:
    """Return about how many characters wide a cell is, a command of a formula counted as one."""
    formulas = [formula.astext() for formula in cell.findall(nodes.math)]
    shown = sum(len(re.sub(r"\\[A-Za-z]+", "x", re.sub(r"[{}_^$ ]", "", f))) for f in formulas)
    return len(cell.astext()) - sum(map(len, formulas)) + shown


# --- how LaTeX writes them ----------------------------------------------------------------------


def begin_unfolded(self: Any, node: nodes.Element) -> None:
    self.body.append(f"\n\\begin{{{node['kind']}}}")
    self.no_latex_floats += 1


def end_unfolded(self: Any, node: nodes.Element) -> None:
    self.no_latex_floats -= 1
    self.body.append(f"\n\\end{{{node['kind']}}}\n")


def begin_title(self: Any, node: nodes.Element) -> None:
    self.body.append("{")


def end_title(self: Any, node: nodes.Element) -> None:
    self.body.append("}\n")


def begin_statement(self: Any, node: nodes.Element) -> None:
    """Open a theorem's environment: the kind and number here, its title is the next argument."""
    page = proofs.find_parent(self.builder.env, node, "section")
    number = proofs.get_node_number(self, node, node["countertype"])
    self.body.append(f"\n\\phantomsection\\label{{{page}:{node['label']}}}\n")
    self.body.append(f"\\begin{{bookstatement}}{{{node['realtype'].title()} {number}}}")


def end_statement(self: Any, node: nodes.Element) -> None:
    self.body.append("\n\\end{bookstatement}\n")


def begin_exercise(self: Any, node: nodes.Element) -> None:
    self.body.append(f"\n\\phantomsection\\label{{exercise:{node['label']}}}\n")
    self.body.append("\\begin{bookexercise}")


def end_exercise(self: Any, node: nodes.Element) -> None:
    self.body.append("\n\\end{bookexercise}\n")


def begin_solution(self: Any, node: nodes.Element) -> None:
    self.body.append("\n\\begin{booksolution}")


def end_solution(self: Any, node: nodes.Element) -> None:
    self.body.append("\n\\end{booksolution}\n")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", configure, priority=900)
    app.connect("builder-inited", number_by_chapter, priority=900)
    app.connect("env-before-read-docs", know_pages)
    app.add_post_transform(Unfold)
    app.add_node(unfolded, latex=(begin_unfolded, end_unfolded))
    app.add_node(unfolded_title, latex=(begin_title, end_title))
    for statement in proofs.NODE_TYPES.values():
        app.add_node(statement, override=True, latex=(begin_statement, end_statement))
    for exercise in (exercises.exercise_node, exercises.exercise_enumerable_node):
        app.add_node(exercise, override=True, latex=(begin_exercise, end_exercise))
    app.add_node(exercises.solution_node, override=True, latex=(begin_solution, end_solution))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
