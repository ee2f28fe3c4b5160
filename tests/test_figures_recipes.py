"""The problems of the figures: the matrices that the authors' scripts print, and the starts."""

import numpy as np
import pytest

import transpde as tp
from transpde.figures import recipes

# As printed by the scripts, to six decimals.
PRINTED = {
    "zero": (
        [[0.458055, 0.308350], [0.231487, 0.277425]],
        [[-0.458055, -0.308350], [-0.231487, -0.277425]],
        [[2.669378, -0.691530], [-0.691530, 2.687446]],
    ),
    "line": ([[0.406324, 0.913729]], [[-0.406324, -0.913729]], np.eye(2)),
    "two_lines": (
        [[0.676413, 1.521099], [-0.511876, 1.150195]],
        [[-0.590717, -0.768765], [-0.335009, 0.092999]],
        [[-0.348894, 0.983703], [0.580923, 0.070284]],
    ),
    "explosion": (
        [[-0.096784, 0.422202], [-0.225462, -0.637943]],
        [[-0.016286, 1.044217], [-1.084880, -2.205925]],
        np.eye(2),
    ),
    "both": (
        [[0.676413, 1.521099], [-0.511876, 1.150195]],
        [[-0.590717, -0.768765], [-0.335009, 0.092999]],
        [[1.831753, -0.376888], [0.348112, -0.116282]],
    ),
}
STARTS = {"zero": 100, "line": 100, "two_lines": 276, "explosion": 1184, "both": 648}


@pytest.mark.parametrize("name", PRINTED)
def test_recipe_has_the_matrices_of_the_script(name):
    recipe = getattr(recipes, name)()
    for made, printed in zip((recipe.query, recipe.key, recipe.value), PRINTED[name], strict=True):
        np.testing.assert_allclose(made, printed, atol=5.01e-7, rtol=0)


@pytest.mark.parametrize("name", STARTS)
def test_recipe_starts_inside_the_disc_at_trace_one(name):
    S = getattr(recipes, name)().starts
    assert S.shape == (STARTS[name], 2, 2)
    np.testing.assert_allclose(np.trace(S, axis1=1, axis2=2), 1.0)
    assert np.linalg.eigvalsh(S).min() > 0


def test_recipe_eigenvalues_are_those_of_the_script():
    wanted = {"two_lines": (-3.32126, 0.74028), "explosion": (0.16145, 4.02715)}
    for name, values in wanted.items():
        recipe = getattr(recipes, name)()
        A = recipe.key.T @ recipe.query
        np.testing.assert_allclose(np.linalg.eigvalsh(A + A.T), values, atol=5.1e-6)
    for name, values in (("two_lines", (-0.92377, 0.64516)), ("both", (-0.04643, 1.7619))):
        found = np.sort(np.linalg.eigvals(getattr(recipes, name)().value).real)
        np.testing.assert_allclose(found, values, atol=5.1e-5)


def _rate(attention, S):
    """The derivative of a covariance under an attention."""
    B = attention(tp.Gaussian.from_covariance(np.zeros(2), S)).linear
    return B @ S + S @ B.T


S = np.array([[0.7, -0.2], [-0.2, 0.3]])


def test_softmax_is_scaled_by_the_root_of_the_dimension():
    r = recipes.both()
    B = r.value @ S @ (r.key.T @ r.query) / np.sqrt(2)
    np.testing.assert_allclose(_rate(recipes.softmax(r), S), B @ S + S @ B.T)


def test_l2_scales_the_scores_but_not_the_keys():
    r = recipes.both()
    A, P = r.key.T @ r.query / np.sqrt(2), r.key.T @ r.key
    for consistent, keys in ((False, P), (True, P / np.sqrt(2))):
        B = r.value @ np.linalg.solve(np.eye(2) + 2 * S @ keys, 2 * S @ A)
        found = _rate(recipes.l2(r, consistent=consistent), S)
        np.testing.assert_allclose(found, B @ S + S @ B.T)


def test_one_head_is_softmax_and_two_heads_move_a_coordinate_each():
    r = recipes.both()
    one, two = recipes.multi_head(r, 1), recipes.multi_head(r, 2)
    np.testing.assert_allclose(_rate(one, S), _rate(recipes.softmax(r), S), rtol=1e-14)
    B = sum(
        np.outer(np.eye(2)[h], r.value[h]) @ S @ np.outer(r.key[h], r.query[h]) for h in (0, 1)
    )
    np.testing.assert_allclose(_rate(two, S), B @ S + S @ B.T)


def test_the_second_head_of_a_single_row_is_empty():
    r = recipes.line()
    attention = recipes.multi_head(r, 2)
    assert len(attention.heads) == 1
    rate = _rate(attention, S)
    assert rate[1, 1] == 0  # the first head moves the first coordinate alone
    assert rate[0, 0] < -0.01


def test_sinkhorn_is_not_scaled():
    r = recipes.explosion()
    alone = tp.Sinkhorn(r.query, r.key, r.value)
    np.testing.assert_allclose(_rate(recipes.sinkhorn(r), S), _rate(alone, S))
