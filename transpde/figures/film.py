r"""The frontispiece as a film: how depth moves the tokens behind its ellipses.

A Gaussian of mean zero under softmax attention with V = I moves each token by a linear map,
$\dot\Psi = \Sigma(t)A\Psi$, $\Psi_0 = I$, and $\Sigma(t) = \Psi_t\Sigma_0\Psi_t^\top$. A picture
needs these maps alone, one a start and frame: the book's first page draws tokens from them.
"""

from __future__ import annotations

import numpy as np

import transpde as tp
from transpde import theory
from transpde.checks import Array, positive_integer
from transpde.figures import frontispiece, recipes

__all__ = ["LAST_DEPTH", "LEFT", "maps"]

LAST_DEPTH = 250.0  # of the left side
LEFT = 0.06  # of the time to the blow-up, in the last frame of the right side


def maps(frames: int = 49) -> dict[str, Array]:
    r"""Return the starts and the maps of tokens, $x(t) = \Psi_t x(0)$, of both sides.

    Depth is even in $\log(1+t)$ to the left, and in the logarithm of the time that is left before
    the blow-up to the right.

    Args:
        frames: how many depths, from the start on; at least 2.

    Returns:
        `starts` (5, 2, 2), the covariances; `clustering` and `blow_up` (frames, 5, 2, 2).

    Raises:
        ValueError: fewer than two frames.

    Example:
        >>> from transpde.figures import film
        >>> film.maps(frames=3)["blow_up"].shape
        (3, 5, 2, 2)
    """
    starts = frontispiece.starts()
    even = np.linspace(0.0, 1.0, positive_integer("frames", frames, 2))
    sides: dict[str, list[Array]] = {"clustering": [], "blow_up": []}
    for S in starts:
        for side, recipe in frontispiece.sides().items():
            gaussian = tp.Gaussian.from_covariance(np.zeros(2), S)
            end = theory.blowup_time(recipes.softmax(recipe), gaussian)
            depths = (1 - LEFT**even) * end if np.isfinite(end) else (1 + LAST_DEPTH) ** even - 1
            sides[side].append(_flow_map(recipe, gaussian, depths))
    return {"starts": starts} | {side: np.stack(found, 1) for side, found in sides.items()}


def _flow_map(recipe: recipes.Recipe, start: tp.Gaussian, depths: Array) -> Array:
    """Return the maps at the depths, shape (depths, 2, 2): they carry the unit vectors."""
    path = tp.flow(start, recipes.softmax(recipe), depths)
    return np.asarray(np.swapaxes(path.carry(np.eye(2)), 1, 2))
