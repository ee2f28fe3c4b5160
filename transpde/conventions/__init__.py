"""Conventions of the literature, each with a tested change of variables to ours.

`TABLE` holds one `Convention` a row: what a source computes, coded from its own definition, and
the attention of this package that computes the same. `table["..."].gap(seed)` compares the two.
"""

from transpde.checks import listing
from transpde.conventions.table import TABLE, Convention

__all__ = ["TABLE", "Convention"]

__dir__ = listing(__all__)
