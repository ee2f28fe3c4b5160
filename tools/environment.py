"""Write environment.yml: what Binder and conda install to run the book's notebooks.

Its pip section is the part of requirements.lock that the extra ``notebooks`` needs, as bare
``name==version`` lines, because pip refuses an editable install beside hashes.

    python tools/environment.py          write environment.yml
    python tools/environment.py --pip    print the pip section that environment.yml holds
"""

import re
import sys
import tomllib
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "environment.yml"
# The machine that Binder builds on: conda-forge's latest Python 3.11.
BINDER = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.11.14",
    "python_version": "3.11",
    "sys_platform": "linux",
}
HEADER = """\
# Written by `make lock` from requirements.lock: change that, not this.
name: transpde
channels: [conda-forge]
dependencies:
  - python=3.11
  - pip
  - pip:
"""
ENTRY = re.compile(r"^([a-z0-9.-]+)==(\S+)(?: ; (.*?))? \\$")


def wanted(extra: str) -> set[str]:
    """Names that the package itself asks for, with an extra and the extras that one names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names: set[str] = set()
    pending = list(project["dependencies"]) + list(project["optional-dependencies"][extra])
    while pending:
        requirement = Requirement(pending.pop())
        if requirement.name == project["name"]:
            for other in requirement.extras:
                pending += project["optional-dependencies"][other]
        else:
            names.add(canonicalize_name(requirement.name))
    return names


def locked() -> tuple[dict[str, str], dict[str, set[str]]]:
    """Versions for Binder's machine, and who asks for each package (the lock's ``via`` notes)."""
    versions: dict[str, str] = {}
    parents: dict[str, set[str]] = {}
    name = ""
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if entry := ENTRY.match(line):
            name, version, marker = entry.groups()
            if marker is None or Marker(marker).evaluate(BINDER):
                versions[name] = version
        elif note := re.match(r"^    #(?: via)? +(\S+)", line):
            parents.setdefault(name, set()).add(note.group(1))
    return versions, parents


def pins() -> list[str]:
    """The lock's part for running notebooks: what is wanted and, in turn, what that asks for."""
    versions, parents = locked()
    chosen = wanted("notebooks")
    while more := {name for name in versions if parents[name] & chosen} - chosen:
        chosen |= more
    return [f"{name}=={versions[name]}" for name in sorted(chosen & versions.keys())]


def text() -> str:
    """The whole of environment.yml."""
    return HEADER + "".join(f"      - {line}\n" for line in [*pins(), "-e ."])


if __name__ == "__main__":
    if sys.argv[1:] == ["--pip"]:
        print(*re.findall(r"^      - (.*)$", FILE.read_text(encoding="utf-8"), re.M), sep="\n")
    else:
        FILE.write_text(text(), encoding="utf-8")
