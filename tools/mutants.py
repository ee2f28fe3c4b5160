"""Mutation testing: does a test fail when a line of the package is made wrong?

    python tools/mutants.py --files transpde/theory --tests "tests/test_theory.py" --count 150

A mutant is one small change of the source: a comparison turned round or moved by one, two
operators exchanged, a number changed, a `not`, a minus, an argument, an operand or a statement
dropped, a branch taken always, an axis exchanged, a function taken for its neighbour (min and max,
sin and cos, exp and expm1), a result replaced by None. Docstrings, annotations, decorators,
messages of errors and strings stay as they are. The mutants are drawn at random from all that
there are: the same `--seed`, `--count` and files give the same ones.

Each is tested in a temporary copy of the package and its tests, two at a time, so the tree is
never changed. `--tests` is what follows `pytest -x`, first for the sound package, where it must
pass; a mutant is killed when it fails or takes longer than `--limit` seconds. Choose tests that
are fast: a drawn mutant costs one run. Printed are the fate of each mutant and the survivors;
`--report FILE` writes all of them as JSON, and `--again FILE` tests the survivors of such a report
again, when the tests or other lines have changed. The exit status is 1 where fewer than `--least`
per cent were killed (85 unless told).
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import multiprocessing
import os
import random
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.util import cache_from_source
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parent.parent
COPIED = ["transpde", "tests", "pyproject.toml"]
AT_ONCE = 2
KILLED = ("killed", "timeout")
# Each run is a fork of a process that has imported what does not change.
FRESH = multiprocessing.get_context("forkserver")
PRELOADED = ["pytest", "_pytest.doctest", "mpmath", "ot", "scipy.integrate", "scipy.linalg",
             "scipy.optimize", "scipy.signal", "scipy.special", "scipy.stats"]  # fmt: skip
SETTINGS = {"PYTHONHASHSEED": "0", "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # fmt: skip

OPERATORS = {
    ast.Add: [ast.Sub], ast.Sub: [ast.Add], ast.Mult: [ast.Div], ast.Div: [ast.Mult],
    ast.Pow: [ast.Mult], ast.FloorDiv: [ast.Div], ast.Mod: [ast.Mult], ast.MatMult: [ast.Mult],
    ast.BitAnd: [ast.BitOr], ast.BitOr: [ast.BitAnd],
}  # fmt: skip
COMPARISONS = {
    ast.Lt: [ast.LtE, ast.GtE], ast.LtE: [ast.Lt, ast.Gt], ast.Gt: [ast.GtE, ast.LtE],
    ast.GtE: [ast.Gt, ast.Lt], ast.Eq: [ast.NotEq], ast.NotEq: [ast.Eq], ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is], ast.In: [ast.NotIn], ast.NotIn: [ast.In],
}  # fmt: skip
NEIGHBOURS = [
    ("min", "max"), ("minimum", "maximum"), ("all", "any"), ("sin", "cos"), ("sinh", "cosh"),
    ("exp", "expm1"), ("log", "log1p"), ("argmin", "argmax"), ("sum", "mean"), ("ones", "zeros"),
    ("floor", "ceil"), ("cumsum", "cumprod"), ("eigh", "svd"), ("sqrt", "abs"), ("tanh", "sinh"),
]  # fmt: skip
SWAPS = {a: b for pair in NEIGHBOURS for a, b in (pair, pair[::-1])}


@dataclass(frozen=True)
class Mutant:
    """One changed piece of source: from byte `start` to byte `end` it reads `new`."""

    file: str
    line: int
    start: int
    end: int
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.old}  ->  {self.new}"


# --- what can be changed -------------------------------------------------------------------------


def changed(node: ast.AST, **fields: object) -> ast.AST:
    """A copy of a node with other fields."""
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def without(items: list, i: int) -> list:
    return [*items[:i], *items[i + 1 :]]


def of_operators(node: ast.expr) -> Iterator[ast.AST]:
    match node:
        case ast.BinOp(left=ast.Name() | ast.Attribute(), op=ast.BitOr()):  # a choice of types
            yield from (node.left, node.right)
        case ast.BinOp():
            yield from (changed(node, op=new()) for new in OPERATORS.get(type(node.op), []))
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield node.operand
        case ast.BoolOp():
            yield changed(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
            for i in range(len(node.values)):
                rest = without(node.values, i)
                yield rest[0] if len(rest) == 1 else changed(node, values=rest)
        case ast.Compare():
            for i, op in enumerate(node.ops):
                for new in COMPARISONS[type(op)]:
                    yield changed(node, ops=[*node.ops[:i], new(), *node.ops[i + 1 :]])


def of_values(node: ast.expr) -> Iterator[ast.AST]:
    match node:
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value)
        case ast.Constant(value=int()):
            yield from (ast.Constant(node.value + 1), ast.Constant(node.value - 1))
        case ast.Constant(value=float()):
            yield ast.Constant(2 * node.value if node.value else 1.0)
        case ast.IfExp():
            yield from (node.body, node.orelse)
        case ast.Call(func=function, args=args, keywords=keywords):
            for i in range(len(args) if len(args) + len(keywords) > 1 else 0):
                yield changed(node, args=without(args, i))
            for i in range(len(keywords)):
                yield changed(node, keywords=without(keywords, i))
            if isinstance(function, ast.Attribute) and function.attr in SWAPS:
                yield changed(node, func=changed(function, attr=SWAPS[function.attr]))
            elif isinstance(function, ast.Name) and function.id in SWAPS:
                yield changed(node, func=changed(function, id=SWAPS[function.id]))


def of_statements(node: ast.stmt) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Pairs of a part of a statement and what it becomes."""
    match node:
        case ast.Return(value=ast.expr()):
            if not (isinstance(node.value, ast.Constant) and node.value.value is None):
                yield node.value, ast.Constant(None)
        case ast.If():
            yield from ((node.test, ast.Constant(value)) for value in (True, False))
        case ast.AugAssign():
            yield node, ast.Pass()
            for new in OPERATORS.get(type(node.op), []):
                yield node, changed(node, op=new())
        case ast.Raise() | ast.Expr(value=ast.Call()):
            yield node, ast.Pass()


def parts(node: ast.AST) -> Iterator[ast.AST]:
    """The children of a node that may be changed."""
    skipped: list[object] = []
    match node:
        case ast.FunctionDef():
            skipped = [node.returns, *node.decorator_list]
        case ast.ClassDef():
            skipped = [*node.decorator_list, *node.bases]
        case ast.arg() | ast.Raise() | ast.JoinedStr() | ast.Import() | ast.ImportFrom():
            return
        case ast.AnnAssign():
            skipped = [node.annotation]
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return
        case ast.Subscript(value=ast.Name(id="tuple" | "list" | "dict")):  # a type
            return
        case ast.With(items=items):  # settings of floating point errors
            skipped = items
    yield from (child for child in ast.iter_child_nodes(node) if child not in skipped)


def pairs(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """All pairs of a part of the tree and what a mutant puts there."""
    if isinstance(node, ast.expr):
        yield from ((node, new) for new in (*of_operators(node), *of_values(node)))
    elif isinstance(node, ast.stmt):
        yield from of_statements(node)
    for child in parts(node):
        yield from pairs(child)


def mutants_of(path: Path) -> Iterator[Mutant]:
    source = path.read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    name = str(path.relative_to(ROOT))
    for old, new in pairs(ast.parse(source)):
        start = starts[old.lineno - 1] + old.col_offset
        end = starts[old.end_lineno - 1] + old.end_col_offset
        text = ast.unparse(ast.fix_missing_locations(new))
        if isinstance(old, ast.expr) and not isinstance(new, ast.Constant | ast.Name):
            text = f"({text})"
        mutated = source[:start] + text.encode() + source[end:]
        try:
            compile(mutated, name, "exec")
        except SyntaxError:
            continue
        yield Mutant(name, old.lineno, start, end, ast.unparse(old), text)


def drawn(files: list[Path], seed: int, count: int) -> list[Mutant]:
    """A sample without repetition, in the order of the source."""
    every = list(dict.fromkeys(m for path in files for m in mutants_of(path)))
    chosen = random.Random(seed).sample(range(len(every)), min(count, len(every)))
    print(f"{len(chosen)} of {len(every)} mutants of {len(files)} files, seed {seed}")
    return [every[i] for i in sorted(chosen)]


def found_again(fates: list[dict]) -> Iterator[tuple[int, Mutant]]:
    """The survivors of a report in the source of today: the same change at the nearest line."""
    for one in fates:
        if one["verdict"] in KILLED:
            continue
        known = [
            m for m in mutants_of(ROOT / one["file"]) if (m.old, m.new) == (one["old"], one["new"])
        ]
        if known:
            yield one["number"], min(known, key=lambda m: abs(m.line - one["line"]))
        else:
            print(f"{one['number']:4d} gone      {one['file']}:{one['line']}: {one['old']}")


# --- what the tests say --------------------------------------------------------------------------


def session(folder: Path, tests: str, caching: bool) -> None:
    """One run of pytest in a fresh process: the body of `tested`."""
    os.setsid()
    output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(folder)
    os.environ["PYTHONPATH"] = str(folder)
    sys.path.insert(0, str(folder))
    # Otherwise a mutant of the same size and second could meet the bytecode of the last one.
    sys.dont_write_bytecode = not caching
    import pytest

    code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *shlex.split(tests)])
    sys.stdout.flush()
    os._exit(int(code))


def tested(folder: Path, tests: str, limit: float, *, caching: bool) -> tuple[str, str]:
    """What became of the tests in a copy, and the first that failed."""
    process = FRESH.Process(target=session, args=(folder, tests, caching))
    process.start()
    process.join(limit)
    if process.is_alive():
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
        return "timeout", ""
    said = (folder / "output").read_text(errors="replace").splitlines()
    failed = [line for line in said if line.startswith(("FAILED", "ERROR"))]
    if process.exitcode == 0:
        return "survived", ""
    return "killed" if failed else f"pytest said {process.exitcode}", (failed or said or [""])[0]


def fate(mutant: Mutant, folder: Path, tests: str, limit: float) -> tuple[str, str]:
    place = folder / mutant.file
    sound = place.read_bytes()
    Path(cache_from_source(str(place))).unlink(missing_ok=True)
    try:
        place.write_bytes(sound[: mutant.start] + mutant.new.encode() + sound[mutant.end :])
        return tested(folder, tests, limit, caching=False)
    finally:
        place.write_bytes(sound)


def run(mutants: list[tuple[int, Mutant]], tests: str, limit: float) -> list[dict]:
    """The fate of each mutant, in order."""
    os.environ.update(SETTINGS)
    FRESH.set_forkserver_preload(PRELOADED)
    with tempfile.TemporaryDirectory() as where:
        folders: SimpleQueue[Path] = SimpleQueue()
        first = Path(where, "0")
        for name in COPIED:
            source, target = ROOT / name, first / name
            first.mkdir(exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
        if (verdict := tested(first, tests, 10 * limit, caching=True))[0] != "survived":
            raise SystemExit(f"the sound package does not pass: {verdict}")
        folders.put(first)
        for i in range(1, AT_ONCE):
            folders.put(Path(shutil.copytree(first, Path(where, str(i)))))

        def one(numbered: tuple[int, Mutant]) -> dict:
            number, mutant = numbered
            folder = folders.get()
            try:
                verdict, failed = fate(mutant, folder, tests, limit)
            finally:
                folders.put(folder)
            print(f"{number:4d} {verdict:9s} {mutant}", flush=True)
            return {"number": number, "verdict": verdict, "failed": failed, **asdict(mutant)}

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(one, mutants))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", nargs="+", default=["transpde"], help="files or folders")
    parser.add_argument("--tests", required=True, help="arguments of pytest, as one string")
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for one mutant")
    parser.add_argument("--least", type=float, default=85.0, help="per cent to be killed")
    parser.add_argument("--again", type=Path, help="a report whose survivors are tested again")
    parser.add_argument("--list", action="store_true", help="show the draw, run nothing")
    parser.add_argument("--report", type=Path, help="a JSON file of all fates")
    given = parser.parse_args()
    paths = [(ROOT / name).resolve() for name in given.files]
    files = [f for p in paths for f in (sorted(p.rglob("*.py")) if p.is_dir() else [p])]
    if given.again:
        mutants = list(found_again(json.loads(given.again.read_text())))
    else:
        mutants = list(enumerate(drawn(files, given.seed, given.count)))
    if given.list:
        print(*(f"{number:4d} {mutant}" for number, mutant in mutants), sep="\n")
        return
    fates = run(mutants, given.tests, given.limit)
    if given.report:
        given.report.write_text(json.dumps(fates, indent=1) + "\n")
    alive = [one for one in fates if one["verdict"] not in KILLED]
    slow = sum(one["verdict"] == "timeout" for one in fates)
    share = 100 * (1 - len(alive) / len(fates))
    print(f"{len(fates)} mutants, {len(alive)} survived, {share:.1f} % killed ({slow} by time)")
    raise SystemExit(share < given.least)


if __name__ == "__main__":
    main()
