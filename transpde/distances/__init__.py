"""Wasserstein distances between measures."""

from transpde.distances.between import bures, conditional_wasserstein, wasserstein

__all__ = ["bures", "conditional_wasserstein", "wasserstein"]
