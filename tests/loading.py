"""Programs of the repository that belong to no package, loaded from their files."""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]


def load_tool(name: str, folder: str = "tools") -> ModuleType:
    """The program of that name as a module; its own imports and dataclasses find it by name.

    They do so again after a test that has put back the modules of before.
    """
    sys.modules[name] = module = _loaded(name, folder)
    return module


@cache
def _loaded(name: str, folder: str) -> ModuleType:
    spec = spec_from_file_location(name, ROOT / folder / f"{name}.py")
    sys.modules[name] = module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
