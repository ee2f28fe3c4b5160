"""Small books built one after the other in copies of one process, which loads Sphinx once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = """
import importlib, json, os, sys
from pathlib import Path
from sphinx.application import builtin_extensions
from sphinx.cmd.build import build_main

options, extensions, builds = json.load(sys.stdin)
for name in [*builtin_extensions, *extensions]:
    importlib.import_module(name)

def built(folder, files, log):
    child = os.fork()
    if child == 0:
        for number in (1, 2):
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        for name, text in files.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        status = build_main([*options, "-q", "-b", "html", folder, f"{folder}/html"])
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

print(json.dumps([built(*one) for one in builds]))
"""


class Built(NamedTuple):
    """The exit status, what was said, and the folder of the pages."""

    status: int
    said: str
    html: Path


def build(
    cases: Sequence[tuple[Path, dict[str, str]]], extensions: Sequence[str], *options: str
) -> list[Built]:
    """Write the files into each folder and build it there; a folder that comes again goes on."""
    builds = []
    for number, (folder, files) in enumerate(cases):
        folder.mkdir(exist_ok=True)
        builds.append((str(folder), files, str(folder / f"{number}.log")))
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps([options, extensions, builds]),
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "book" / "_ext"), str(ROOT)]),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return [
        Built(status, Path(log).read_text(encoding="utf-8"), Path(folder) / "html")
        for status, (folder, _, log) in zip(json.loads(run.stdout), builds, strict=True)
    ]
