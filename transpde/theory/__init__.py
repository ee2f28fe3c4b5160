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

__all__: list[str] = []
__all__ += compact.__all__
__all__ += explosion.__all__
__all__ += gaussian.__all__
__all__ += growth.__all__
__all__ += limits.__all__
__all__ += one_dimension.__all__
__all__ += pure_states.__all__
__all__ += stability.__all__
__all__ += wellposed.__all__

__dir__ = listing(__all__)
