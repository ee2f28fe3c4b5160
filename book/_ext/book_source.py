"""The book's sources read in one place: text, directives, labels, headings, links, cells.

Extensions, tests and tools read a page through this module. It stands here because this folder is
on Sphinx's path; tests and tools put it on theirs. The parser is MyST's own, with the syntax that
the book is built with, so a page is read here as it is read there. Each text is parsed once.

A *cell number* counts from 1, markdown cells included, as an editor shows them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import nbformat
import yaml
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[2]

LITERAL = ("math", "code", "code-block", "code-cell", "eval-rst", "bibliography", "raw", "image")
EXERCISE = ("exercise", "exercise-start")
SOLUTION = ("solution", "solution-start")
ENDS = ("exercise-end", "solution-end")
STATEMENTS = ("prf:theorem", "prf:proposition", "prf:lemma", "prf:corollary", "prf:definition")
UNSPOKEN = ("doi", "eq", "math")  # roles, besides citations, that hold no words


# --- text ---------------------------------------------------------------------------------------


@cache
def _parser() -> MarkdownIt:
    parse = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["parse"]
    config = MdParserConfig(enable_extensions=set(parse["myst_enable_extensions"]))
    return create_md_parser(config, RendererHTML)


@cache
def tokens(text: str) -> tuple[Token, ...]:
    """What the parser makes of a text; what stands in a directive is left as one token."""
    return tuple(_parser().parse(text))


class Block(NamedTuple):
    """A fenced block: a directive when it has a name, else literal code."""

    name: str
    argument: str
    options: dict[str, str]
    body: str

    @property
    def is_dropdown(self) -> bool:
        return self.name == "dropdown" or "dropdown" in self.options.get("class", "").split()


# Under the title of a section of a reproduction: which figure of which script.
FIGURE_OF_SCRIPT = re.compile(r"^Figure `(\w+)` of the authors' script `\w+\.py`", re.MULTILINE)


class Section(NamedTuple):
    """A heading with the text up to the next one; of level 0, the text before all headings."""

    level: int
    title: str
    source: str
    body: str


def blocks(text: str) -> list[str | Block]:
    """The text cut at its outermost fences: plain parts and blocks, in order."""
    lines, parts, start = text.split("\n"), [], 0
    for token in tokens(text):
        if token.type in ("fence", "colon_fence") and token.map:
            first, end = token.map
            parts += ["\n".join(lines[start:first]), _block(token)]
            start = end
    return [*parts, "\n".join(lines[start:])]


def _block(token: Token) -> Block:
    info, lines = token.info.strip(), token.content.removesuffix("\n").split("\n")
    if not info.startswith("{"):
        return Block("", info, {}, "\n".join(lines))
    name, _, argument = info[1:].partition("}")
    options: dict[str, str] = {}
    while lines and (option := re.match(r":([\w-]+):(.*)", lines[0].strip())):
        options[option[1]] = option[2].strip()
        lines = lines[1:]
    return Block(name, argument.strip(), options, "\n".join(lines))


def is_literal(block: Block) -> bool:
    """Whether the block's body is code, math or data, not text."""
    return not block.name or block.name in LITERAL


def is_aside(block: Block) -> bool:
    """Whether the block does not count as the chapter's own prose."""
    return is_literal(block) or block.is_dropdown or block.name in EXERCISE + SOLUTION


def nested(block: Block, inside: tuple[Block, ...] = ()) -> Iterator[tuple[Block, tuple]]:
    """The block and all blocks in it, each with those that enclose it, the outermost first."""
    yield block, inside
    if not is_literal(block):
        for part in blocks(block.body):
            if isinstance(part, Block):
                yield from nested(part, (*inside, block))


def directives(text: str, name: str) -> list[Block]:
    """The directives of that name, at any depth."""
    outer = [part for part in blocks(text) if isinstance(part, Block)]
    return [block for one in outer for block, _ in nested(one) if block.name == name]


def text_of(part: str | Block, skipped: Callable[[Block], bool]) -> str:
    """The running text of a part, option lines and skipped blocks left out."""
    if isinstance(part, str):
        return part
    if skipped(part):
        return ""
    # The arguments of figures, exercises' ends and solutions are addresses, not text.
    title = "" if part.name in (*SOLUTION, *ENDS, "figure") else part.argument
    return "\n".join([title, *(text_of(inner, skipped) for inner in blocks(part.body))])


def sections(text: str) -> list[Section]:
    """The text cut at its headings."""
    lines, found = text.split("\n"), tokens(text)
    heads = [(0, 0, 0, "")]
    for token, line in pairwise(found):
        if token.type == "heading_open" and token.map:
            heads.append((*token.map, int(token.tag[1:]), line.content))
    ends = [first for first, *_ in heads[1:]] + [len(lines)]
    return [
        Section(level, title, "\n".join(lines[first:end]), "\n".join(lines[below:end]))
        for (first, below, level, title), end in zip(heads, ends, strict=True)
    ]


def definitions(text: str) -> dict[str, str]:
    """The terms of a definition list, each with what is said of it."""
    found: dict[str, list[str]] = {}
    term, in_term = "", False
    for token in tokens(text):
        if token.type in ("dt_open", "dd_open"):
            in_term = token.type == "dt_open"
        elif token.type == "inline" and in_term:
            term = token.content
            found[term] = []
        elif token.type == "inline" and term:
            found[term].append(token.content)
    return {one: " ".join(" ".join(said).split()) for one, said in found.items()}


def tables(text: str) -> list[list[str]]:
    """The rows of each table, as they are written."""
    lines = text.split("\n")
    return [lines[slice(*t.map)] for t in tokens(text) if t.type == "table_open" and t.map]


def table_rows(text: str) -> list[list[str]]:
    """The rows of the text's tables and of those in its directives: cells, heads left out."""
    rows: list[list[str]] = []
    in_body = False
    for token in tokens(text):
        if token.type in ("tbody_open", "tbody_close"):
            in_body = token.type == "tbody_open"
        elif token.type == "tr_open" and in_body:
            rows.append([])
        elif token.type == "inline" and in_body:
            rows[-1].append(token.content)
    inner = (part for part in blocks(text) if isinstance(part, Block) and not is_literal(part))
    return rows + [row for block in inner for row in table_rows(block.body)]


def inline(text: str) -> Iterator[Token]:
    """What stands in the lines of a text and of its directives: words, roles, links, formulas."""
    for token in tokens(text):
        yield from token.children or ()
    for part in blocks(text):
        if isinstance(part, Block) and not is_literal(part):
            yield from inline(part.argument)
            yield from inline(part.body)


def roles(text: str) -> list[tuple[str, str]]:
    """The name and content of each role."""
    return [(t.meta["name"], t.content) for t in inline(text) if t.type == "myst_role"]


def links(text: str) -> list[str]:
    """The addresses that the text links to."""
    return [str(token.attrs["href"]) for token in inline(text) if token.type == "link_open"]


def code(text: str) -> list[str]:
    """What stands in the text as code within a line."""
    return [token.content for token in inline(text) if token.type == "code_inline"]


def formulas(text: str) -> list[str]:
    """The formulas within a line."""
    return [token.content for token in inline(text) if token.type == "math_inline"]


def plain(text: str) -> str:
    """The text without math, code, citations, labels and addresses."""
    lines = (token.children or () for token in tokens(text) if token.type == "inline")
    return "\n".join("".join(map(_spoken, line)) for line in lines)


def _spoken(token: Token) -> str:
    if token.type == "text":
        return "" if "://" in token.content else token.content
    if token.type == "image":
        return token.content
    if token.type == "myst_role":
        name = token.meta["name"]
        unspoken = name.startswith("cite") or name in UNSPOKEN
        return " " if unspoken else token.content.partition("<")[0]
    return " " if token.type in ("softbreak", "hardbreak", "code_inline", "math_inline") else ""


def count_words(text: str) -> int:
    return len(re.findall(r"[^\W\d_][\w'’-]*", plain(text)))


def own_labels(text: str) -> set[str]:
    """The labels of headings, equations and attributes; not those of directives."""
    found = set()
    for token in tokens(text):
        if token.type == "myst_target":
            found.add(token.content)
        elif token.type == "math_block_label":
            found.add(token.info)
        found |= {
            str(t.attrs["name"]) for t in (token, *(token.children or ())) if "name" in t.attrs
        }
    return found


# --- pages --------------------------------------------------------------------------------------


class Piece(NamedTuple):
    """A part of a notebook in reading order: text, a fenced block, or a code cell."""

    cell: int
    content: str | Block | NotebookNode
    gate: Block | None  # the exercise-start or solution-start that encloses it


def read(path: Path) -> NotebookNode:
    """A page as a notebook; a markdown page becomes one of a single markdown cell."""
    if path.suffix == ".md":
        cell = nbformat.v4.new_markdown_cell(path.read_text(encoding="utf-8"))
        return nbformat.v4.new_notebook(cells=[cell])
    return nbformat.read(path, as_version=4)


def pieces(notebook: NotebookNode) -> Iterator[Piece]:
    """The notebook in reading order, each piece with the gate (exercise, solution) it is in."""
    gate: Block | None = None
    for number, cell in enumerate(notebook.cells, start=1):
        parts = blocks(cell.source) if cell.cell_type == "markdown" else [cell]
        for part in parts:
            if isinstance(part, Block) and part.name in ENDS:
                gate = None
            yield Piece(number, part, gate)
            if isinstance(part, Block) and part.name.endswith("-start"):
                gate = part


def markdown(notebook: NotebookNode) -> Iterator[tuple[Piece, str | Block]]:
    """The pieces that are text or blocks, with their content typed as such."""
    for piece in pieces(notebook):
        if isinstance(piece.content, str | Block):
            yield piece, piece.content


def page_text(notebook: NotebookNode) -> str:
    """The page without its code cells."""
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def code_cells(notebook: NotebookNode) -> list[tuple[int, NotebookNode]]:
    cells = enumerate(notebook.cells, start=1)
    return [(number, cell) for number, cell in cells if cell.cell_type == "code"]


def all_blocks(notebook: NotebookNode) -> Iterator[tuple[Piece, Block, tuple[Block, ...]]]:
    """Every block at any depth, with its piece and the blocks that enclose it."""
    for piece, part in markdown(notebook):
        if isinstance(part, Block):
            for block, inside in nested(part):
                yield piece, block, inside


def headings(notebook: NotebookNode) -> list[tuple[int, int, str]]:
    """(cell, level, text) of each heading."""
    return [
        (number, section.level, section.title)
        for number, cell in enumerate(notebook.cells, start=1)
        if cell.cell_type == "markdown"
        for section in sections(cell.source)[1:]
    ]


def tags(cell: NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", ()))


def labels(notebook: NotebookNode) -> set[str]:
    """Every label the page defines."""
    found = set(named_figures(notebook))
    for _, block, _ in all_blocks(notebook):
        found |= {block.options[key] for key in ("label", "name") if key in block.options}
    for _, part in markdown(notebook):
        found |= own_labels(text_of(part, is_literal))
    return found


def named_figures(notebook: NotebookNode) -> list[str]:
    """The names of figures: of cells that draw one, and of figure directives."""
    cells = [cell.metadata.get("mystnb", {}) for _, cell in code_cells(notebook)]
    names = [settings.get("figure", {}).get("name") for settings in cells]
    drawn = [b.options.get("name") for _, b, _ in all_blocks(notebook) if b.name == "figure"]
    return [name for name in names + drawn if name]


def statement_labels(notebook: NotebookNode) -> list[str]:
    found = [b.options.get("label") for _, b, _ in all_blocks(notebook) if b.name in STATEMENTS]
    return [label for label in found if label]


# --- the interface, the glossary, the contents ---------------------------------------------------


def documented(text: str) -> list[str]:
    """The functions and classes that a page of the interface lists."""
    kinds = (".. autofunction::", ".. autoclass::")
    lines = (line for block in directives(text, "eval-rst") for line in block.body.splitlines())
    return [line.split()[2] for line in lines if line.startswith(kinds)]


def glossary(text: str) -> dict[str, str]:
    """The terms of the glossary in its order, each with its meaning."""
    entries = [
        entry for block in directives(text, "glossary") for entry in block.body.split("\n\n")
    ]
    pairs = (entry.strip().partition("\n") for entry in entries)
    return {term: meaning.strip() for term, _, meaning in pairs}


def page_name(file: str) -> str:
    """A page's name: its file without its extension."""
    return file.removesuffix(".ipynb").removesuffix(".md")


def page_path(root: Path, page: str) -> Path | None:
    """The source file of a page named without extension."""
    candidates = (root / f"{page}{suffix}" for suffix in (".ipynb", ".md"))
    return next((path for path in candidates if path.is_file()), None)


def contents(root: Path) -> dict:
    """The table of contents as it is written; empty where there is none."""
    toc = root / "_toc.yml"
    return yaml.safe_load(toc.read_text(encoding="utf-8")) if toc.is_file() else {}


def toc_entries(root: Path) -> list[str]:
    """Every page the table of contents names, in order."""

    def walk(node: object) -> Iterator[str]:
        if isinstance(node, dict):
            for key, value in node.items():
                yield from [page_name(value)] if key in ("root", "file") else walk(value)
        elif isinstance(node, list):
            for item in node:
                yield from walk(item)

    return list(walk(contents(root)))
