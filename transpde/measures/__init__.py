"""Probability measures with coordinates that a velocity field can move."""

from transpde.measures.base import Measure
from transpde.measures.gaussian import Gaussian
from transpde.measures.grid import FaceVelocities, Grid
from transpde.measures.particles import Particles

__all__ = ["FaceVelocities", "Gaussian", "Grid", "Measure", "Particles"]
