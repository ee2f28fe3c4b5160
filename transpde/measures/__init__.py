"""Probability measures with coordinates that a velocity field can move."""

from transpde.measures.axial import Axial
from transpde.measures.base import Measure
from transpde.measures.circle import Circle
from transpde.measures.gaussian import Gaussian
from transpde.measures.grid import FaceVelocities, Grid
from transpde.measures.particles import Particles

__all__ = ["Axial", "Circle", "FaceVelocities", "Gaussian", "Grid", "Measure", "Particles"]
