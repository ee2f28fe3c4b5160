"""Equations are followed to their end, or an error says how far."""

import numpy as np
import pytest

import transpde as tp
from transpde.theory import mean_field
from transpde.theory.following import followed


def test_a_solution_is_that_of_the_equation():
    found = followed("growth", lambda t, y: y, (0.0, 2.0), [1.0], rtol=1e-11, atol=1e-12)
    assert found.y[0, -1] == pytest.approx(np.exp(2.0), rel=1e-10)


@pytest.mark.parametrize(
    ("slope", "reached"),
    [
        (lambda t, y: y**2, "0.5"),  # a blow-up
        (lambda t, y: np.full(1, np.nan), "0"),  # of which scipy would never come back
        (lambda t, y: np.sqrt(0.25 - t) * y, "0.2"),  # no number from a quarter on
        (lambda t, y: 1e6 * y, "0."),  # beyond floats
    ],
)
def test_one_that_stalls_raises_and_says_where(slope, reached):
    said = rf"^it: could not be followed to 1, only to {reached}"
    with pytest.raises(OverflowError, match=said):
        followed("it", slope, (0.0, 1.0), [2.0])


@pytest.mark.parametrize("size", [1.0, 1e200])
def test_a_limit_that_is_not_resolved_says_so_within_seconds(size, monkeypatch):
    monkeypatch.setattr(mean_field, "MOST", (36, 18))
    head = tp.Masked(tp.Softmax([[1.0]], [[1.0]], [[1.0]]))
    with pytest.raises((ValueError, OverflowError), match=r"smooth enough|could not be followed"):
        mean_field.masked_limit(head, lambda s, u: size * (s + u), 4.0, tol=1e-4)
