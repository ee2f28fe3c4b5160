"""Records of what a page computes: digests of arrays, the data of a figure, its picture."""

from transpde.checks import listing
from transpde.records.digests import digest
from transpde.records.pictures import Picture, outline, picture
from transpde.records.record import FigureData, load

__all__ = ["FigureData", "Picture", "digest", "load", "outline", "picture"]

__dir__ = listing(__all__)
