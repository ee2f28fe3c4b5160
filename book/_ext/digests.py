"""Leaves the digests of a notebook's data off its page.

They are for the tests, which compare the stored outputs with those of a new run; a reader of the
page has no use for them, and finds them in the notebook.
"""

import re
from typing import Any

from docutils import nodes

DIGEST = re.compile(r"^data digest: [0-9a-f]+\n?", re.MULTILINE)


def leave_out(app: Any, doctree: Any) -> None:
    """Take the lines with a digest from printed outputs, and outputs that hold nothing else."""
    for output in list(doctree.findall(is_printed)):
        text = output.astext()
        if (rest := DIGEST.sub("", text)) == text:
            continue
        if rest.strip():
            output.rawsource = rest
            output.children = [nodes.Text(rest)]
        else:
            remove(output)


def is_printed(node: Any) -> bool:
    """Whether a node is what a cell printed."""
    return isinstance(node, nodes.literal_block) and "stream" in node["classes"]


def remove(node: Any) -> None:
    """Take a node away, and its parents that are left empty up to the cell."""
    parent = node.parent
    parent.remove(node)
    if not parent.children and "cell" not in parent["classes"]:
        remove(parent)


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("doctree-read", leave_out)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
