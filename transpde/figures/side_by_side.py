r"""The figures of the plane twice: by the scripts' rule, and by the exact flow.

`beside` draws both in one figure, so that a reader sees what the rule makes of a problem and where
it departs from the flow. The rule's paths are those of `projected_euler.euler_until`, drawn as the
figure's own family draws: the same axes and the same marks, which are those of the exact flow.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from transpde import figures
from transpde.checks import Array
from transpde.disc import symmetric_coordinates
from transpde.figures import drawing
from transpde.figures.covariance_paths import by_arc_length
from transpde.figures.projected_euler import Stopped
from transpde.records import FigureData

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["beside", "by_rule"]

TITLES = ("the script's rule, in Euler steps", "the exact flow")
ONE_PANEL = (7.0, 2.8)  # inches of the whole figure, where either side has one panel
STACKED = (7.0, 6.0)  # where either has two, one side above the other
THREE = (7.0, 2.6)  # the rule's one panel beside two


def by_rule(data: FigureData, run: Stopped) -> FigureData:
    """Return the data of a figure with the paths of a rule in place of the exact ones.

    Args:
        data: of the exact flow, `figures.data(name)`.
        run: of the rule, from the same starts.

    Raises:
        ValueError: the two have not the same number of starts.
    """
    if len(run.steps) != data.numbers["starts"]:
        raise ValueError(
            f"run: must have the {data.numbers['starts']} starts of the figure; "
            f"got {len(run.steps)}."
        )
    coordinates = symmetric_coordinates(run.path)
    points = coordinates[..., :2] / coordinates[..., 2:]
    made: dict[str, Any] = {}
    for key, array in data.arrays.items():
        if key == "covariances":
            flat = run.path.reshape(*run.path.shape[:2], 4)
            made[key] = by_arc_length(flat, len(array)).reshape(array.shape)
        elif key == "points":
            evenly = by_arc_length(points, len(array))
            made[key] = drawing.pack(evenly) if array.dtype == np.int16 else evenly
        elif key == "paths":
            made[key] = by_arc_length(points, len(array))
        elif key == "ends":
            made[key] = points[-1]
    return replace(data, arrays={**_of_one_panel(data.arrays), **made})


def _of_one_panel(arrays: dict[str, Array]) -> dict[str, Array]:
    """Return the arrays without what the script's figure does not show: two heads that act."""
    return {key: array for key, array in arrays.items() if key != "points_two_heads"}


def beside(name: str, data: FigureData, run: Stopped) -> Figure:
    """Draw a figure twice: the paths of the rule, and those of the exact flow.

    Args:
        name: of the figure.
        data: of the exact flow, `figures.data(name)`.
        run: of the rule, from the same starts.

    Example:
        >>> from transpde.figures.side_by_side import beside
        >>> figure = beside("trad_rank_1", data, run)  # doctest: +SKIP
    """
    from matplotlib import pyplot as plt

    import transpde.plotting  # noqa: F401 - a notebook of the book gets its look by this

    rule, family = by_rule(data, run), figures.family(name)
    figure = plt.figure(layout="constrained")
    parts: Any
    if len(rule.arrays) < len(data.arrays):  # fewer panels
        parts, size = figure.subfigures(1, 2, width_ratios=(1, 1.85)), THREE
    elif {"covariances", "points"} <= data.arrays.keys():
        parts, size = figure.subfigures(2, 1), STACKED
    else:
        parts, size = figure.subfigures(1, 2), ONE_PANEL
    for part, title, drawn in zip(parts, TITLES, (rule, data), strict=True):
        family.draw(name, drawn, part)
        part.suptitle(title)
    figure.set_size_inches(size)
    return figure
