"""What a peer's figure shows, as text: for the pages that print `book/peer.yml`."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

__all__ = ["summary"]

WIDTH = 74
FIRST = ("script", "shows", "rule", "trajectories", "euler_steps")
OURS = ("cpu_seconds", "defect", "exact")
OUTCOMES = ("converged", "blown_up", "unfinished")
NOTES = {  # what a number is, where its name does not say it
    "norm_at_stop": "smallest, largest, mean",
    "trace": "smallest, largest, mean",
    "variance_left_along_q": "smallest, largest",
    "eigenvalue_ratio": "smaller over larger, median",
    "eigenvalue_ratio_max": "smaller over larger",
    "rank_two_at_stop": "ratio of eigenvalues above 1 %",
    "direction": "degrees",
    "limit_direction": "degrees",
    "blowup_direction": "degrees",
    "angles_at_stop": "degrees",
}


def summary(figure: Mapping[str, Any]) -> str:
    """Return the words and numbers of one figure of the scripts.

    Args:
        figure: its entry under `figures` in `book/peer.yml`. The keys that it lists under
            `exact` were found by the exact flow, not by the scripts, and are left out.

    Example:
        >>> from transpde.figures.peer import summary
        >>> entry = {"script": "plots.py", "shows": "a dot", "trajectories": 1, "euler_steps": 9}
        >>> print(summary(entry | {"rule": {"step": 0.1}, "converged": 1, "direction": 30}))
        plots.py: a dot.
        rule: step 0.1; trajectories: 1; Euler steps: 9; converged: 1
        direction (degrees): 30
    """
    rule = ", ".join(f"{key} {value:g}" for key, value in figure["rule"].items())
    parts = [f"rule: {rule}"]
    parts += [f"trajectories: {figure['trajectories']}", f"Euler steps: {figure['euler_steps']}"]
    parts += [f"{_words(key)}: {figure[key]}" for key in OUTCOMES if figure.get(key)]
    lines = [f"{figure['script']}: {figure['shows']}.", "; ".join(parts)]
    for key, value in figure.items():
        if key in FIRST + OURS + OUTCOMES or key in figure.get("exact", ()):
            continue
        note = f" ({NOTES[key]})" if key in NOTES else ""
        lines.append(f"{_words(key)}{note}: {_value(value)}")
    return "\n".join(textwrap.fill(line, WIDTH, subsequent_indent="  ") for line in lines)


def _words(key: str) -> str:
    return key.replace("_", " ")


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {number}" for key, number in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
