"""The book's statements as functions: bounds, closed forms, limits; None where there is none.

None always means that no statement of the book decides, never that the answer is no.
"""

from transpde.theory.compact import (
    LipschitzBounds,
    lipschitz_bounds,
    stability_bound,
    support_radius,
)
from transpde.theory.gaussian import (
    blowup_time,
    closed_form_covariance,
    growth_bound,
    limit_covariance,
    stationary_rank_bound,
)
from transpde.theory.one_dimension import variance
from transpde.theory.wellposed import picard_bound, picard_iterates, steepest_pair

__all__ = [
    "LipschitzBounds",
    "blowup_time",
    "closed_form_covariance",
    "growth_bound",
    "limit_covariance",
    "lipschitz_bounds",
    "picard_bound",
    "picard_iterates",
    "stability_bound",
    "stationary_rank_bound",
    "steepest_pair",
    "support_radius",
    "variance",
]
