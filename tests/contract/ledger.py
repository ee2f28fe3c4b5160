"""The claim ledger points at anchors, functions, tests and sources that are there."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import claims
from book_source import (
    labels,
    named_figures,
    page_path,
    read,
    statement_labels,
    toc_entries,
)
from used_in import resolved

from contract.statuses import status_problems

SKIPPING = re.compile(
    r"\b(?:skipif|importorskip|skipTest)\b"
    r"|\b(?:pytest|mark|unittest)\.(?:skip|xfail)\b"
    r"|\bimport\b.*\b(?:skip|xfail)\b"
)


def ledger_problems(rows: object, root: Path) -> list[str]:
    """Rows that break the schema or point at nothing; the schema comes first."""
    found: list[str] = claims.ledger_problems(rows)
    if found or not isinstance(rows, list):
        return found

    @cache  # many rows point into one file
    def labels_of(path: Path) -> frozenset[str]:
        return frozenset(labels(read(path)))

    @cache
    def tree_of(path: Path) -> ast.Module:
        return ast.parse(path.read_text(encoding="utf-8"))

    for row in rows:
        problems_of_row = [
            *_anchor_problems(row, root, labels_of),
            *_function_problems(row),
            *_test_problems(row, root, tree_of),
            *_source_problems(row, root),
        ]
        found += [f"{row['id']}: {problem}" for problem in problems_of_row]
    return found + status_problems(rows, root)


def _anchor_problems(
    row: dict[str, Any], root: Path, labels_of: Callable[[Path], frozenset[str]]
) -> list[str]:
    path = page_path(root, row["chapter"])
    if path is None:
        return [f"no such chapter {row['chapter']!r}"]
    if row["anchor"] not in labels_of(path):
        return [f"dead anchor {row['anchor']!r} in {row['chapter']}"]
    return []


def _function_problems(row: dict[str, Any]) -> list[str]:
    name = row.get("function")
    if not name:
        return []
    if any(part.startswith("_") for part in name.split(".")):
        return [f"function {name} is not public"]
    return [] if resolved(name) is not None else [f"no such function {name}"]


def _test_problems(
    row: dict[str, Any], root: Path, tree_of: Callable[[Path], ast.Module]
) -> list[str]:
    node_id = row.get("test")
    if not node_id:
        return []
    file, _, name = node_id.partition("::")
    path = root / file
    if not path.is_file():
        return [f"no such test file {file}"]
    tree = tree_of(path)
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
        left = [name for name in named if (page, name) not in held]
        found += [f"{page}: {name} has no row in book/claims.yml" for name in left]
    return found
