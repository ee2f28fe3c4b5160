"""Stepping measures through time: the clock, adaptive methods, finite volumes."""

from typing import Any

from transpde.stepping.carried import Carried
from transpde.stepping.implicit import Implicit
from transpde.stepping.independent import METHODS as SCIPY_METHODS
from transpde.stepping.independent import Independent
from transpde.stepping.integration import Integration
from transpde.stepping.options import Options
from transpde.stepping.volumes import METHOD, FiniteVolumes

__all__ = ["SCHEMES", "Carried", "Implicit", "Options"]

# How a measure is stepped, by what it says of itself and by method; the first is the default one.
SCHEMES: dict[str, dict[str, Any]] = {
    "coordinates": dict.fromkeys(("auto", "DOP853", "Rodas5P"), Integration)
    | dict.fromkeys(SCIPY_METHODS, Independent),
    "densities": {"DOP853": Integration} | dict.fromkeys(SCIPY_METHODS, Independent),
    "finite volumes": {METHOD: FiniteVolumes},
}
