"""``{film}``: the data of the frontispiece's film, computed by the package when the book is built.

The page holds the still, as any figure; `film.js` replaces it by a drawing that moves, where a
script may run, and only once asked where the reader wants less motion. The picture that other
sites show beside a link to the book is the still, too.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from transpde.figures import film

TOKENS = 120  # of each start
SEED = 2026


def data(tokens: int = TOKENS) -> dict[str, Any]:
    """What the drawing needs: factors of the starts, maps by frame, standard normal draws."""
    computed = film.maps()
    factors = np.linalg.cholesky(computed["starts"])
    draws = np.random.default_rng(SEED).standard_normal((tokens, 2))
    sides = {side: computed[side] @ factors for side in ("clustering", "blow_up")}
    return {
        name: np.round(array, 3).tolist() for name, array in (sides | {"draws": draws}).items()
    }


class Film(SphinxDirective):
    """``{film} name-of-the-still``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        text = json.dumps(data(), separators=(",", ":"))
        html = (
            f'<script type="application/json" class="film" data-still="{self.arguments[0]}">'
            f'{text}</script>\n<script src="../_static/film.js" defer></script>'
        )
        return [nodes.raw("", html, format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("film", Film)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
