"""Joins folded cells that follow each other, so that a page has one line "Show the code" for them.

A cell is joined to the next one when both fold their code alone, under the same words, and the
first shows nothing below its code. The notebook keeps its cells.
"""

from typing import Any

from docutils import nodes


def join(app: Any, doctree: Any) -> None:
    """Put the code of a folded cell that shows nothing before that of the next folded cell."""
    for cell in list(doctree.findall(folds_code)):
        after = cell.next_node(siblings=True, descend=False)
        if shows_nothing(cell) and after is not None and folds_code(after) and alike(cell, after):
            source = after.children[0]
            for place, block in enumerate(list(cell.children[0].children)):
                cell.children[0].remove(block)
                source.insert(place, block)
            cell.parent.remove(cell)


def folds_code(node: Any) -> bool:
    """Whether a node is a cell that shows its outputs and folds its code."""
    return (
        isinstance(node, nodes.container)
        and node.get("nb_element") == "cell_code"
        and node.get("hide_mode") == "input"
        and bool(node.children)
        and node.children[0].get("nb_element") == "cell_code_source"
    )


def shows_nothing(cell: Any) -> bool:
    """Whether a cell holds its code and nothing else."""
    return len(cell.children) == 1


def alike(cell: Any, other: Any) -> bool:
    """Whether the lines of two folded cells have the same words."""
    words = ("prompt_show", "prompt_hide")
    return all(cell.get(word) == other.get(word) for word in words)


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx, after the digests are left out: a cell may then show nothing."""
    app.connect("doctree-read", join, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
