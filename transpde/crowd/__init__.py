"""Heads of attention as particles: a law of heads, its loss, and the flow that trains it."""

from transpde.checks import listing
from transpde.crowd.descent import CrowdPath, descend, head_flow
from transpde.crowd.heads import Crowd, random_crowd
from transpde.crowd.regression import Regression
from transpde.crowd.stalls import Splitting, Stall, find_stall, find_stalls, split_head

__all__ = [
    "Crowd",
    "CrowdPath",
    "Regression",
    "Splitting",
    "Stall",
    "descend",
    "find_stall",
    "find_stalls",
    "head_flow",
    "random_crowd",
    "split_head",
]

__dir__ = listing(__all__)
