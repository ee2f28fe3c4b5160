"""Docstrings are written for a terminal; this turns their marks into Sphinx's.

`name` becomes a literal, $x$ becomes mathematics, and the key in "Source: `key`" a citation.
"""

import re
from typing import Any

DISPLAY = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
INLINE = re.compile(r"(?<![\\$`])\$([^$]+?)\$")
LITERAL = re.compile(r"(?<![`:\w])`([^`]+)`(?!`)")
SOURCE = re.compile(r"^([ \t]*)Source:(.*)$", re.MULTILINE)
KEY = re.compile(r"`(\w+)`")


def cited(match: re.Match[str]) -> str:
    """A source line, its keys held back from being made literals."""
    return match[1] + "Source:" + KEY.sub(r":cite:t:__\1__", match[2])


def converted(text: str) -> str:
    """One docstring, examples left alone, with Sphinx's marks."""
    return "".join(
        part if ">>>" in part else marked(part) for part in re.split(r"(\n\s*\n)", text)
    )


def marked(text: str) -> str:
    """One paragraph with Sphinx's marks."""
    text = LITERAL.sub(r"``\1``", SOURCE.sub(cited, text))
    for formula in (DISPLAY, INLINE):
        text = formula.sub(lambda m: ":math:`" + " ".join(m[1].split()) + "`", text)
    return re.sub(r":cite:t:__(\w+)__", r":cite:t:`\1`", text)


def convert(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Rewrite the lines of a docstring in place, before napoleon reads them."""
    lines[:] = converted("\n".join(lines)).split("\n")


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx; a low priority number runs before napoleon's 500."""
    app.connect("autodoc-process-docstring", convert, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
