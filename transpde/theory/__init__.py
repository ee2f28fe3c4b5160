"""The book's statements as functions: bounds, closed forms, limits; None where there is none.

None always means that no statement of the book decides, never that the answer is no.
"""

from transpde.checks import listing
from transpde.theory import (
    compact,
    explosion,
    gaussian,
    growth,
    limits,
    one_dimension,
    pure_states,
    stability,
    wellposed,
)
from transpde.theory.compact import *  # noqa: F403
from transpde.theory.explosion import *  # noqa: F403
from transpde.theory.gaussian import *  # noqa: F403
from transpde.theory.growth import *  # noqa: F403
from transpde.theory.limits import *  # noqa: F403
from transpde.theory.one_dimension import *  # noqa: F403
from transpde.theory.pure_states import *  # noqa: F403
from transpde.theory.stability import *  # noqa: F403
from transpde.theory.wellposed import *  # noqa: F403

_parts = [compact, explosion, gaussian, growth, limits]
_parts += [one_dimension, pure_states, stability, wellposed]
__all__ = [name for part in _parts for name in part.__all__]

__dir__ = listing(__all__)
