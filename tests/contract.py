"""The chapter contract and the claim ledger's hold on the repository, as plain functions.

Each check takes a notebook and returns its problems as sentences that name the cell; none knows
pytest. ``test_book.py`` applies them to the book, ``test_guards.py`` shows that each one bites.

A *cell number* in a message counts from 1, markdown cells included, as an editor shows them.
"""

from __future__ import annotations

import ast
import html
import json
import re
import sys
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "_ext"))  # what is on Sphinx's path, not on Python's

import claims  # noqa: E402 - the ledger's schema
from book_source import (  # noqa: E402
    EXERCISE,
    SOLUTION,
    STATEMENTS,
    Block,
    Piece,
    all_blocks,
    code_cells,
    count_words,
    headings,
    is_aside,
    is_literal,
    labels,
    markdown,
    named_figures,
    page_path,
    pieces,
    plain,
    read,
    roles,
    sections,
    statement_labels,
    tags,
    text_of,
    toc_entries,
)
from used_in import resolved  # noqa: E402

# --- the limits, all of them --------------------------------------------------------------------

CODE_CELLS = (10, 15)  # cells tagged exercise, solution, explorer or colab are not counted
MAX_CELL_LINES = 25
MEDIAN_CELL_LINES = (1, 8)
# Without exercises, solutions and folded proofs, by the kind of the notebook.
PROSE_WORDS = {"chapter": (1500, 2500), "appendix": (1000, 1800)}
WORDS_BEFORE_PICTURE = 500
MIN_ALT_LENGTH = 40
MIN_EXERCISES = 5
MAX_SUMMARY_LINES = 10
MAX_EXPLORERS = 3  # a chapter's cells whose output nbval does not compare
MAX_FRAMES = 60
MAX_EXPLORER_BYTES = 400_000
COLAB_CELLS = 1  # cells that may install something: see tools/colab.py
MAX_NOTEBOOK_BYTES = 600_000
MAX_BOOK_BYTES = 12_000_000

SECTIONS = ("The question", "Limits", "Exercises", "Summary")  # in this order
HEADER_WORDS = ("Prerequisites", "Reading time", "Running time")
EXERCISE_KINDS = ("computation", "proof", "open")
NOTEBOOK_KINDS = ("chapter", "reproduction", "appendix")  # an appendix needs no exercises
VERDICTS = ("reproduced", "corrected", "discrepancy")
REFERENCES = {"prf:ref", "ref", "numref", "eq"}  # the roles that name a statement
MIN_EVIDENCE = 2  # cells of a reproduced figure that print numbers: the peer's, and why

PROVABLE = ("prf:theorem", "prf:proposition", "prf:lemma")
DIGEST = re.compile(r"^data digest: [0-9a-f]{12}$", re.MULTILINE)

FORBIDDEN_CODE = (
    (r"\bnp\.random\.(?!default_rng\b|Generator\b)\w+", "legacy random numbers: use default_rng"),
    (r"\bRandomState\b", "legacy random numbers: use default_rng"),
    (r"(?<!\.)\brandom\.\w+\(", "the random module: use np.random.default_rng(seed)"),
    (r"\bdefault_rng\(\s*\)", "an unseeded generator"),
    (r";[ \t]*$", "a trailing ';', which nbval ignores: end with plt.show() or _ = ..."),
    (r"""["'](?:/\w|~/|[A-Za-z]:[\\/])""", "an absolute path"),
    (r"#\s*NBVAL_", "an nbval comment: use a cell tag"),
)
COLAB_OPENING = "# In Colab this gets the book and its package; elsewhere it does nothing."
INSTALL = re.compile(
    r"\b(?:pip3?|conda|mamba|apt|apt-get)\s+install\b|^\s*(?:!|%pip|%conda)", re.MULTILINE
)
ABSOLUTE_PATH = re.compile(r"(?:^|[\s\"'(<])(?:/[\w.+-]+){2,}/[\w.+-]+", re.MULTILINE)
FORBIDDEN_WORDS = re.compile(
    r"\b(?:obviously|clearly|easy to see|trivially|simply(?! connected))\b", re.IGNORECASE
)


# --- what a cell shows ---------------------------------------------------------------------------


def has_picture(cell: NotebookNode) -> bool:
    return any(
        kind.startswith("image/")
        for out in cell.get("outputs", ())
        for kind in out.get("data", ())
    )


def printed(cell: NotebookNode) -> str:
    """What the cell's outputs show as text."""
    shown = [
        out.get("text", "") or out.get("data", {}).get("text/plain", "")
        for out in cell.get("outputs", ())
    ]
    return "\n".join(shown)


# --- checks of every notebook -------------------------------------------------------------------


def check_execution(notebook: NotebookNode) -> list[str]:
    """Every cell was run, in order, from a fresh kernel: nbval passes an unexecuted cell."""
    found, counts = [], []
    for number, cell in code_cells(notebook):
        counts.append(cell.get("execution_count"))
        if counts[-1] is None:
            found.append(f"cell {number}: not executed")
        if "outputs" not in cell:
            found.append(f"cell {number}: no outputs field")
    if None not in counts and counts != list(range(1, len(counts) + 1)):
        found.append(f"execution counts are {counts}: restart the kernel and run all")
    return found


def check_outputs(notebook: NotebookNode) -> list[str]:
    """No warning, no error, no path of somebody's machine in the outputs."""
    found = []
    for number, cell in code_cells(notebook):
        for out in cell.get("outputs", ()):
            if out.get("name") == "stderr":
                found.append(f"cell {number}: writes to stderr: {out.text.strip()[:60]!r}")
            if out.output_type == "error" and "raises-exception" not in tags(cell):
                found.append(f"cell {number}: ends in an error: {out.ename}")
        if path := ABSOLUTE_PATH.search(printed(cell)):
            found.append(f"cell {number}: prints an absolute path {path.group().strip()!r}")
    return found


def check_code(notebook: NotebookNode) -> list[str]:
    """Cells are short and compile; no legacy randomness, no absolute path, no suppression."""
    found = []
    for number, cell in code_cells(notebook):
        length = count_lines(cell)
        if length > MAX_CELL_LINES:
            found.append(f"cell {number}: {length} lines, at most {MAX_CELL_LINES}")
        if length == 0:
            found.append(f"cell {number}: empty")
        try:
            compile(cell.source, f"cell {number}", "exec")
        except SyntaxError as error:
            found.append(f"cell {number}: does not compile: {error.msg}")
        for pattern, message in FORBIDDEN_CODE:
            if re.search(pattern, cell.source, re.MULTILINE):
                found.append(f"cell {number}: {message}")
    return found


def count_lines(cell: NotebookNode) -> int:
    return sum(bool(line.strip()) for line in cell.source.splitlines())


def check_installs(notebook: NotebookNode) -> list[str]:
    """No cell installs anything, unless it is one of the few tagged colab."""
    found, colab = [], 0
    for number, cell in enumerate(notebook.cells, start=1):
        colab += "colab" in tags(cell)
        if "colab" in tags(cell):
            if not cell.source.startswith(COLAB_OPENING):
                found.append(f"cell {number}: tagged colab, but not the cell of tools/colab.py")
        elif INSTALL.search(cell.source):
            found.append(f"cell {number}: an install command or a shell escape")
    if colab > COLAB_CELLS:
        found.append(f"{colab} cells tagged colab, at most {COLAB_CELLS}")
    return found


def check_tags(notebook: NotebookNode) -> list[str]:
    """Only explorers, few of them, escape the comparison of outputs; no cell escapes the run."""
    found, explorers = [], 0
    for number, cell in code_cells(notebook):
        own = tags(cell)
        explorers += {"explorer", "nbval-ignore-output"} <= own
        if "nbval-ignore-output" in own and "explorer" not in own:
            found.append(f"cell {number}: nbval-ignore-output on a cell that is no explorer")
        elif "nbval-ignore-output" in own and explorer_page(cell) is None:
            found.append(f"cell {number}: nbval-ignore-output, but it shows no explorer")
        for tag in sorted(own & {"nbval-skip", "skip-execution"}):
            found.append(f"cell {number}: tagged {tag}: it would never be checked")
    if explorers > MAX_EXPLORERS:
        found.append(f"{explorers} explorer cells, at most {MAX_EXPLORERS}")
    return found


def check_figures(notebook: NotebookNode) -> list[str]:
    """A picture has an alt text, a caption, a name, and prints a digest of its data."""
    found = []
    for number, cell in code_cells(notebook):
        if not has_picture(cell):
            continue
        found += [f"cell {number}: {problem}" for problem in _figure_problems(cell)]
        if "explorer" not in tags(cell) and not DIGEST.search(printed(cell)):
            found.append(f"cell {number}: prints no line 'data digest: <12 hex digits>'")
    return found


def explorer_page(cell: NotebookNode) -> str | None:
    """The HTML of the explorer that the cell shows, or None."""
    shown = (out.get("data", {}).get("text/html", "") for out in cell.get("outputs", ()))
    return next((page for page in shown if '<figure class="explorer"' in page), None)


def alt_text(cell: NotebookNode) -> str:
    """The alt text of the cell's picture: in its metadata, that of an explorer in its page."""
    page = explorer_page(cell)
    if page is None:
        return cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "").strip()
    alt = re.search(r'<img [^>]*?alt="([^"]*)"', page)
    return html.unescape(alt[1]).strip() if alt else ""


def check_explorers(notebook: NotebookNode) -> list[str]:
    """Explorers are few pictures, small, without a dead control, and made of data nbval checks."""
    digests = {
        digest
        for _, cell in code_cells(notebook)
        if "nbval-ignore-output" not in tags(cell)
        for digest in re.findall(r"^data digest: ([0-9a-f]{12})$", printed(cell), re.MULTILINE)
    }
    found = []
    for number, cell in code_cells(notebook):
        page = explorer_page(cell)
        if page is not None:
            found += [f"cell {number}: {problem}" for problem in _explorer_problems(page, digests)]
            if not {"explorer", "nbval-ignore-output"} <= tags(cell):
                found.append(f"cell {number}: an explorer wants both its tags")
            if any("widget-view" in kind for out in cell.outputs for kind in out.get("data", ())):
                found.append(f"cell {number}: stores a control that is dead without its kernel")
    return found


def _explorer_problems(page: str, digests: set[str]) -> list[str]:
    data = re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    frames = len(json.loads(data[1])["frames"]) if data else 0
    drawn = re.search(r'data-digest="([0-9a-f]{12})"', page)
    found = []
    if not 2 <= frames <= MAX_FRAMES:
        found.append(f"explorer of {frames} pictures, 2 to {MAX_FRAMES}")
    if len(page.encode()) > MAX_EXPLORER_BYTES:
        found.append(f"explorer of {len(page.encode())} bytes, at most {MAX_EXPLORER_BYTES}")
    if not drawn or drawn[1] not in digests:
        found.append("no cell that nbval compares prints the explorer's digest")
    return found


def _figure_problems(cell: NotebookNode) -> list[str]:
    settings = cell.metadata.get("mystnb", {})
    alt = alt_text(cell)
    caption = settings.get("figure", {}).get("caption", "").strip()
    name = settings.get("figure", {}).get("name", "")
    found = []
    if len(alt) < MIN_ALT_LENGTH:
        found.append(f"alt text of {len(alt)} characters, at least {MIN_ALT_LENGTH}")
    if alt.lower().startswith(("figure", "image of")):
        found.append("alt text must state the finding, not start with 'Figure' or 'Image of'")
    if alt and alt == caption:
        found.append("alt text repeats the caption")
    if not caption:
        found.append("figure has no caption")
    if not name.startswith("fig-"):
        found.append(f"figure name {name!r} must start with 'fig-'")
    return found


def check_prose(notebook: NotebookNode) -> list[str]:
    """No computed number written by hand; no word that tells the reader it is easy."""
    exempt = {str(number) for number in settings_of(notebook).get("prose_numbers", ())}
    texts = [(piece.cell, text_of(part, is_literal)) for piece, part in markdown(notebook)]
    for number, cell in code_cells(notebook):
        settings = cell.metadata.get("mystnb", {})
        texts.append((number, alt_text(cell)))
        texts.append((number, settings.get("figure", {}).get("caption", "")))
    found = []
    for number, text in texts:
        clean = plain(text)
        for decimal in re.findall(r"(?<![\w.])\d+\.\d+(?:e[+-]?\d+)?(?!\w|\.\d)", clean):
            if decimal not in exempt:
                found.append(f"cell {number}: number {decimal} in prose: print it from a cell")
        for word in FORBIDDEN_WORDS.findall(clean):
            found.append(f"cell {number}: {word!r} in prose: give the reason instead")
    return found


def check_written(notebook: NotebookNode) -> list[str]:
    """No place of the template is left to write."""
    found = []
    for number, cell in enumerate(notebook.cells, start=1):
        settings = cell.metadata.get("mystnb", {})
        texts = [cell.source, alt_text(cell), settings.get("figure", {}).get("caption", "")]
        for line in "\n".join(texts).splitlines():
            if re.search(r"\bTODO\b", line):
                found.append(f"cell {number}: left to write: {line.strip()[:60]}")
    return found


def settings_of(notebook: NotebookNode) -> dict[str, Any]:
    """The notebook's own settings: its metadata ``transpde``."""
    return notebook.metadata.get("transpde", {})


def kind_of(notebook: NotebookNode) -> str:
    """The kind of the notebook: by it the contract asks for more or less."""
    return settings_of(notebook).get("kind", "chapter")


def check_kind(notebook: NotebookNode) -> list[str]:
    """The settings are known ones: a misspelt key would change nothing, silently."""
    settings = settings_of(notebook)
    found = [f"unknown setting {key!r}" for key in settings.keys() - {"kind", "prose_numbers"}]
    if kind_of(notebook) not in NOTEBOOK_KINDS:
        found.append(f"unknown kind {settings['kind']!r}; one of {', '.join(NOTEBOOK_KINDS)}")
    return found


def check_title(notebook: NotebookNode) -> list[str]:
    """The page opens with its one title."""
    levels = [level for _, level, _ in headings(notebook)]
    if levels[:1] != [1] or levels.count(1) != 1:
        return ["the notebook must have one H1 title, before every other heading"]
    return []


def check_statements(notebook: NotebookNode) -> list[str]:
    """Every statement has a label, and a folded proof unless it is cited."""
    found: list[str] = []
    unproved: list[str] = []
    for piece, block, inside in all_blocks(notebook):
        if block.name == "prf:proof" and block.is_dropdown:
            # sphinx-togglebutton wants a title, which a proof lacks: its script then stops, and
            # nothing further down the page folds.
            found.append(f"cell {piece.cell}: fold the proof in a {{dropdown}}, not by its class")
        if piece.gate or any(outer.name in SOLUTION for outer in inside):
            continue  # a solution may prove what it likes, as it likes
        if block.name in STATEMENTS and not block.options.get("label"):
            found.append(f"cell {piece.cell}: a {block.name} without a label")
        if block.name in PROVABLE and not cites(f"{block.argument}\n\n{block.body}"):
            unproved.append(block.options.get("label", "?"))
        if block.name != "prf:proof":
            continue
        if not any(outer.is_dropdown for outer in inside):
            found.append(f"cell {piece.cell}: a proof that is not folded in a {{dropdown}}")
        if not re.match(r"\s*[^\W_]", block.body):
            # sphinx-proof puts "Proof." on this line, which spoils a formula, a list or a fence.
            found.append(f"cell {piece.cell}: a proof must begin with a word")
        unproved = unproved[:-1]
    return found + [f"statement {label} has neither a proof nor a citation" for label in unproved]


def cites(text: str) -> bool:
    """Whether the text names a reference."""
    return any(name.startswith("cite") for name, _ in roles(text))


# --- checks of chapters -------------------------------------------------------------------------


def check_sections(notebook: NotebookNode) -> list[str]:
    """The sections every chapter has, in order, and the header block."""
    found, place = [], 0
    texts = [text.lower() for _, _, text in headings(notebook)]
    wanted = [s for s in SECTIONS if s != "Exercises" or kind_of(notebook) == "chapter"]
    for section in wanted:
        later = [i for i, text in enumerate(texts) if text.startswith(section.lower())]
        if not later:
            found.append(f"no section {section!r}")
        elif later[0] < place:
            found.append(f"section {section!r} is out of order: {', '.join(wanted)}")
        place = max([place, *later[:1]])
    if not any("what fails" in text for text in texts):
        found.append("no heading that holds 'What fails'")
    opening = [text_of(part, is_literal) for _, part in markdown(notebook)]
    if not any(all(word in text for word in HEADER_WORDS) for text in opening):
        found.append(f"no block that gives {', '.join(HEADER_WORDS)}")
    return found


def check_length(notebook: NotebookNode) -> list[str]:
    """The number of code cells and their median length."""
    aside = {"exercise", "solution", "explorer", "colab"}
    own = [cell for _, cell in code_cells(notebook) if not tags(cell) & aside]
    found = []
    low, high = CODE_CELLS
    if not low <= len(own) <= high:
        found.append(f"{len(own)} code cells outside exercises, not {low} to {high}")
    low, high = MEDIAN_CELL_LINES
    middle = median(map(count_lines, own)) if own else low
    if not low <= middle <= high:
        found.append(f"median code cell of {middle:g} lines, at most {high}")
    return found


def check_words(notebook: NotebookNode) -> list[str]:
    """A computed picture comes early, and the chapter is neither a note nor a treatise."""
    words, before = 0, None
    for piece in pieces(notebook):
        if isinstance(piece.content, NotebookNode):
            if before is None and has_picture(piece.content):
                before = words
        elif piece.gate is None:
            words += count_words(text_of(piece.content, is_aside))
    found = []
    if before is None or before >= WORDS_BEFORE_PICTURE:
        came = "no picture" if before is None else f"first picture after {before} words"
        found.append(f"{came}: it must come before word {WORDS_BEFORE_PICTURE}")
    low, high = PROSE_WORDS.get(kind_of(notebook), PROSE_WORDS["chapter"])
    if not low <= words <= high:
        found.append(f"{words} words of prose, not {low} to {high}")
    return found


class Task(NamedTuple):
    """An exercise with all its text, gated cells included."""

    cell: int
    label: str
    kind: str | None
    text: str


def exercises(notebook: NotebookNode) -> list[Task]:
    parts = list(markdown(notebook))
    found = []
    for piece, block, _ in all_blocks(notebook):
        if block.name not in EXERCISE:
            continue
        gated = [text_of(part, is_literal) for inner, part in parts if inner.gate == block]
        kind = re.match(rf"\W*({'|'.join(EXERCISE_KINDS)})\b", block.argument, re.IGNORECASE)
        found.append(
            Task(
                cell=piece.cell,
                label=block.options.get("label", ""),
                kind=kind[1].lower() if kind else None,
                text="\n".join([block.body, *gated]),
            )
        )
    return found


def check_exercises(notebook: NotebookNode) -> list[str]:
    """Enough exercises of all kinds; each has a statement, a hint and, unless open, a solution."""
    tasks = exercises(notebook)
    solved = {block.argument for _, block, _ in all_blocks(notebook) if block.name in SOLUTION}
    found = []
    if len(tasks) < MIN_EXERCISES:
        found.append(f"{len(tasks)} exercises, at least {MIN_EXERCISES}")
    for kind in EXERCISE_KINDS:
        if kind not in {task.kind for task in tasks}:
            found.append(f"no exercise of kind {kind!r}")
    for task in tasks:
        where = f"cell {task.cell}: exercise {task.label!r}"
        if not task.label:
            found.append(f"{where} has no label")
        if task.kind is None:
            found.append(f"{where}: its title must start with one of {', '.join(EXERCISE_KINDS)}")
        if not REFERENCES & {name for name, _ in roles(task.text)}:
            found.append(f"{where} cites no statement")
        if task.kind in ("computation", "proof") and task.label not in solved:
            found.append(f"{where} has no solution")
        if task.label not in hinted(notebook):
            found.append(f"{where} has no folded hint (a {{dropdown}} Hint) before its solution")
    return found + _solution_problems(notebook)


def hinted(notebook: NotebookNode) -> set[str]:
    """The labels of exercises that a folded hint follows, before solution and next exercise."""
    found, current = set(), ""
    for _, part in markdown(notebook):
        if not isinstance(part, Block):
            continue
        if part.name in EXERCISE:
            current = part.options.get("label", "")
        elif part.name in SOLUTION:
            current = ""
        elif part.name == "dropdown" and part.argument == "Hint" and count_words(part.body):
            found.add(current)
    return found


def _solution_problems(notebook: NotebookNode) -> list[str]:
    """Solutions are folded and answer a known exercise; gated code cells carry their tag."""
    known = {task.label for task in exercises(notebook)}
    found = []
    for piece, block, _ in all_blocks(notebook):
        if block.name not in SOLUTION:
            continue
        if not block.is_dropdown:
            found.append(f"cell {piece.cell}: solution not folded (':class: dropdown')")
        if block.argument not in known:
            found.append(f"cell {piece.cell}: solution to unknown exercise {block.argument!r}")
    for piece in pieces(notebook):
        if isinstance(piece.content, NotebookNode) and piece.gate is not None:
            tag = piece.gate.name.removesuffix("-start")
            if tag not in tags(piece.content):
                found.append(
                    f"cell {piece.cell}: code inside {piece.gate.name} not tagged {tag!r}"
                )
    return found


def check_summary(notebook: NotebookNode) -> list[str]:
    """The last section, the summary, fits on a card."""
    text = "\n".join(text_of(part, is_literal) for _, part in markdown(notebook))
    found = (one.body for one in sections(text) if one.title.lower().startswith("summary"))
    section = next(found, None)
    lines = [line for line in (section or "").splitlines() if line.strip()]
    if len(lines) > MAX_SUMMARY_LINES:
        return [f"summary of {len(lines)} lines, at most {MAX_SUMMARY_LINES}"]
    if section is not None and not lines:
        return ["the summary is empty"]
    return []


# --- pages that reproduce a peer's figures ------------------------------------------------------


def reproduced(notebook: NotebookNode) -> dict[str, list[Piece]]:
    """The sections of a reproduction page: those headed by the name of a figure, as code."""
    found: dict[str, list[Piece]] = {}
    current: list[Piece] = []
    for piece in pieces(notebook):
        if not isinstance(piece.content, str):
            current.append(piece)
            continue
        for part in sections(piece.content):
            if 1 <= part.level <= 2:  # a heading of the same level or above begins another section
                current = []
                name = re.fullmatch(r"`(\w+)`", part.title)
                if name and part.level == 2:
                    found[name[1]] = current
            if part.source.strip():
                current.append(Piece(piece.cell, part.source, piece.gate))
    return found


def check_reproductions(notebook: NotebookNode) -> list[str]:
    """Each figure has its picture, the peer's numbers, a verdict, evidence and its command."""
    figures = reproduced(notebook)
    found = [] if figures else ["no section '## `figure_name`': a reproduction page has one each"]
    text = "\n".join(text_of(part, is_literal) for _, part in markdown(notebook))
    sources = "\n".join(printed(cell) for _, cell in code_cells(notebook))
    if "not known whether" not in text + sources:
        found.append("it must say that it is not known whether the printed figures came from it")
    if not any("peer.yml" in cell.source for _, cell in code_cells(notebook)):
        found.append("no cell reads peer.yml, which holds the peer's numbers")
    for name, section in figures.items():
        found += [f"`{name}`: {problem}" for problem in _reproduction_problems(name, section)]
    return found


def _reproduction_problems(name: str, section: list[Piece]) -> list[str]:
    prose = "\n".join(
        text_of(part.content, is_literal)
        for part in section
        if not isinstance(part.content, NotebookNode)
    )
    cells = [part.content for part in section if isinstance(part.content, NotebookNode)]
    pictures = [cell for cell in cells if has_picture(cell)]
    evidence = [cell for cell in cells if not has_picture(cell) and printed(cell).strip()]
    found = []
    if not re.search(rf"\*\*Verdict: (?:{'|'.join(VERDICTS)})\b", prose):
        found.append(f"no line '**Verdict: ...**' with one of {', '.join(VERDICTS)}")
    if f"`python -m transpde.figures --only {name}`" not in prose:
        found.append(f"no command `python -m transpde.figures --only {name}`")
    if not any(f'"{name}"' in cell.source for cell in pictures):
        found.append("no cell draws it by its name")
    if len(evidence) < MIN_EVIDENCE:
        found.append(f"{len(evidence)} cells that print evidence, at least {MIN_EVIDENCE}")
    return found


ALWAYS = (
    check_kind,
    check_title,
    check_execution,
    check_outputs,
    check_code,
    check_installs,
    check_tags,
    check_figures,
    check_explorers,
    check_prose,
    check_written,
    check_statements,
)
APPENDIX_ONLY = (check_sections, check_words, check_summary)
CHAPTER_ONLY = (*APPENDIX_ONLY, check_length, check_exercises)
REPRODUCTION_ONLY = (check_reproductions,)
OWN = {"appendix": APPENDIX_ONLY, "reproduction": REPRODUCTION_ONLY}


def notebook_problems(notebook: NotebookNode) -> list[str]:
    """All problems of a notebook, by the contract of its kind."""
    checks = ALWAYS + OWN.get(kind_of(notebook), CHAPTER_ONLY)
    return [problem for check in checks for problem in check(notebook)]


def problems(path: Path) -> list[str]:
    """All problems of a notebook file."""
    size = path.stat().st_size
    found = notebook_problems(read(path))
    if size > MAX_NOTEBOOK_BYTES:
        found.append(f"{size} bytes, at most {MAX_NOTEBOOK_BYTES}")
    return found


# --- the table of contents ----------------------------------------------------------------------


def toc_problems(root: Path) -> list[str]:
    """Entries without a file, files twice, and notebooks that no reader would find."""
    entries = toc_entries(root)
    found = [] if entries else ["_toc.yml is missing or lists nothing"]
    found += [f"_toc.yml: {page} has no file" for page in entries if not page_path(root, page)]
    found += [f"_toc.yml: {page} twice" for page, n in Counter(entries).items() if n > 1]
    for path in sorted((root / "book").rglob("*.ipynb")):
        page = path.relative_to(root).with_suffix("").as_posix()
        hidden = any(part.startswith((".", "_")) for part in path.relative_to(root).parts)
        if page not in entries and not hidden:
            found.append(f"{page}.ipynb is not in _toc.yml")
    return found


def chapters(root: Path) -> list[Path]:
    """The notebooks of the table of contents, in order."""
    paths = (page_path(root, page) for page in toc_entries(root))
    return [path for path in paths if path is not None and path.suffix == ".ipynb"]


# --- the claim ledger ---------------------------------------------------------------------------


def ledger_problems(rows: object, root: Path) -> list[str]:
    """Rows that break the schema or point at nothing; the schema comes first."""
    found: list[str] = claims.ledger_problems(rows)
    if found or not isinstance(rows, list):
        return found
    for row in rows:
        problems_of_row = [
            *_anchor_problems(row, root),
            *_function_problems(row),
            *_test_problems(row, root),
            *_source_problems(row, root),
        ]
        found += [f"{row['id']}: {problem}" for problem in problems_of_row]
    return found


def _anchor_problems(row: dict[str, Any], root: Path) -> list[str]:
    path = page_path(root, row["chapter"])
    if path is None:
        return [f"no such chapter {row['chapter']!r}"]
    page = read(path)
    found = []
    if row["anchor"] not in labels(page):
        found.append(f"dead anchor {row['anchor']!r} in {row['chapter']}")
    holds_proof = any(block.name == "prf:proof" for _, block, _ in all_blocks(page))
    if row["status"] == "proved" and not holds_proof:
        found.append(f"'proved', but {row['chapter']} holds no proof")
    return found


def _function_problems(row: dict[str, Any]) -> list[str]:
    name = row.get("function")
    if not name:
        return []
    if any(part.startswith("_") for part in name.split(".")):
        return [f"function {name} is not public"]
    return [] if resolved(name) is not None else [f"no such function {name}"]


def _test_problems(row: dict[str, Any], root: Path) -> list[str]:
    node_id = row.get("test")
    if not node_id:
        return []
    file, _, name = node_id.partition("::")
    path = root / file
    if not path.is_file():
        return [f"no such test file {file}"]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    test = _find_test(tree, name.partition("[")[0].split("::"))
    if test is None:
        return [f"no such test {node_id}"]
    if row["status"] == "verified" and (reason := _why_skipped(tree, test)):
        return [f"'verified', but {node_id} may be skipped: {reason}"]
    return []


def _find_test(tree: ast.Module, names: list[str]) -> list[ast.stmt] | None:
    """The classes and the function that the names lead to, or None."""
    body, trail = tree.body, []
    for depth, name in enumerate(names, start=1):
        kinds = ast.FunctionDef if depth == len(names) else ast.ClassDef
        node = next((n for n in body if isinstance(n, kinds) and n.name == name), None)
        if node is None:
            return None
        trail.append(node)
        body = node.body
    return trail


SKIPPING = re.compile(
    r"\b(?:skipif|importorskip|skipTest)\b"
    r"|\b(?:pytest|mark|unittest)\.(?:skip|xfail)\b"
    r"|\bimport\b.*\b(?:skip|xfail)\b"
)


def _why_skipped(tree: ast.Module, trail: list[ast.stmt]) -> str | None:
    """The code that could keep the test from running: its own, its fixtures' or the module's."""
    fixtures = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
    pending, suspects = list(trail), []
    while pending:
        node = pending.pop()
        suspects.append(node)
        if isinstance(node, ast.FunctionDef):
            used = (fixtures.get(a.arg) for a in node.args.args)
            pending += [fixture for fixture in used if fixture and fixture not in suspects]
    # Of a class only its decorators and its mark concern the test, not its other methods.
    lines = [_own_code(node) for node in suspects]
    definitions = ast.FunctionDef | ast.ClassDef
    lines += [ast.unparse(node) for node in tree.body if not isinstance(node, definitions)]
    skipping = (line for text in lines for line in text.splitlines() if SKIPPING.search(line))
    return next((line.strip() for line in skipping), None)


def _own_code(node: ast.stmt) -> str:
    if isinstance(node, ast.ClassDef):
        marks = [n for n in node.body if isinstance(n, ast.Assign)]
        return "\n".join(ast.unparse(part) for part in [*node.decorator_list, *marks])
    return ast.unparse(node)


def _source_problems(row: dict[str, Any], root: Path) -> list[str]:
    key, path = row.get("source"), root / "book" / "references.bib"
    if not key:
        return []
    entries = path.read_text(encoding="utf-8") if path.is_file() else ""
    known = re.findall(r"^\s*@\w+\s*\{\s*([^,\s]+)\s*,", entries, re.MULTILINE)
    return [] if key in known else [f"no entry {key!r} in references.bib"]


def missing_rows(rows: list[dict[str, Any]], root: Path) -> list[str]:
    """Labelled statements and named figures of the book that the ledger leaves out."""
    held = {(row.get("chapter"), row.get("anchor")) for row in rows}
    found = []
    for page in toc_entries(root):
        path = page_path(root, page)
        if path is None:
            continue
        notebook = read(path)
        named = [*statement_labels(notebook), *named_figures(notebook)]
        found += [f"{page}: {name} has no row" for name in named if (page, name) not in held]
    return found
