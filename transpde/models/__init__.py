"""A Transformer from a folder of published weights, in double precision.

`read` a folder, run the model layer by layer, and take its heads as attentions of this package.
Needs the extra ``models``: `pip install transpde[models]`. Nothing is fetched.
"""

from transpde.checks import listing
from transpde.models.lifting import lift, score_spread, twin
from transpde.models.measuring import HeadTable, cut, head_table, mean_cosine, twin_table
from transpde.models.model import Layer, Model, Projections, TokenPath
from transpde.models.reading import folder, read
from transpde.models.replacing import replacement
from transpde.models.survey import Survey, survey

__all__ = [
    "HeadTable",
    "Layer",
    "Model",
    "Projections",
    "Survey",
    "TokenPath",
    "cut",
    "folder",
    "head_table",
    "lift",
    "mean_cosine",
    "read",
    "replacement",
    "score_spread",
    "survey",
    "twin",
    "twin_table",
]

__dir__ = listing(__all__)
