"""Spectra of covariances: how anisotropic they are, and the ranks of the limits of flows."""

from transpde.checks import listing
from transpde.spectra import anisotropy, limit_rank
from transpde.spectra.anisotropy import *  # noqa: F403
from transpde.spectra.limit_rank import *  # noqa: F403

_parts = (anisotropy, limit_rank)
__all__ = [name for part in _parts for name in part.__all__]

__dir__ = listing(__all__)
