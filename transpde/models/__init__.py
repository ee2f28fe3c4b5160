"""A Transformer from a folder of published weights, in double precision.

`read` a folder, run the model layer by layer, and take its heads as attentions of this package.
Needs the extra ``models``: `pip install transpde[models]`. Nothing is fetched.
"""

from transpde.models.lifting import lift, score_spread, twin
from transpde.models.model import Layer, Model, Projections, TokenPath
from transpde.models.reading import folder, read

__all__ = [
    "Layer",
    "Model",
    "Projections",
    "TokenPath",
    "folder",
    "lift",
    "read",
    "score_spread",
    "twin",
]
