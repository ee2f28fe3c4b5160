"""The disc and the cone of the covariances of the plane: coordinates, and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transpde import disc

EYE = np.eye(2)
ENTRIES = st.floats(-2.0, 2.0, allow_subnormal=False)


@given(st.tuples(ENTRIES, ENTRIES, st.floats(0.1, 4.0)))
def test_any_symmetric_matrix_comes_back_from_its_coordinates(uwv):
    u, w, v = uwv
    S = v * disc.unit_trace_matrices(np.array([u / v, w / v]))
    np.testing.assert_allclose(disc.symmetric_coordinates(S), uwv, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(S, S.T)


@given(st.floats(0.0, 1.0), st.floats(0.0, 2 * np.pi))
def test_a_place_of_the_disc_comes_back_from_its_covariance(radius, angle):
    point = radius * np.array([np.cos(angle), np.sin(angle)])
    S = disc.covariances_at(point)
    np.testing.assert_allclose(disc.disc_coordinates(7.0 * S), point, atol=1e-14)
    low, high = np.linalg.eigvalsh(S)
    np.testing.assert_allclose([low + high, high - low], [1.0, radius], atol=1e-14)


def test_points_of_the_disc_and_covariances_are_inverse():
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.7, 0.7, size=(4, 3, 2))
    covariances = disc.covariances_at(points)
    np.testing.assert_allclose(disc.disc_coordinates(covariances), points, atol=1e-15)
    np.testing.assert_allclose(np.trace(covariances, axis1=-2, axis2=-1), 1.0)


@settings(max_examples=25)
@given(st.lists(ENTRIES, min_size=4, max_size=4))
def test_cone_and_disc_coordinates(numbers):
    X = np.reshape(numbers, (2, 2)) + 3 * EYE
    S = X @ X.T
    u, w, v = disc.cone_coordinates(S)
    np.testing.assert_allclose([[v + u, w], [w, v - u]], 2 * S, rtol=1e-12, atol=1e-12)
    low, high = np.linalg.eigvalsh(S)
    np.testing.assert_allclose(np.hypot(u, w), high - low, rtol=1e-9, atol=1e-9)
    x, y = disc.disc_coordinates(S)
    np.testing.assert_allclose([x, y], [u / v, w / v])


def test_rank_one_lies_on_the_wall_and_on_the_circle():
    angle = np.linspace(0.0, np.pi, 9)
    p = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    S = 3.0 * p[:, :, None] * p[:, None, :]
    expected = np.stack([np.cos(2 * angle), np.sin(2 * angle)], axis=-1)
    np.testing.assert_allclose(disc.disc_coordinates(S), expected, atol=1e-12)
    np.testing.assert_allclose(disc.cone_coordinates(S)[:, 2], 3.0)


def test_covariances_lie_on_rings_and_rays():
    S = disc.disc_covariances(5, 13, radius=0.8)
    assert S.shape == (5, 13, 2, 2)
    assert np.allclose(np.trace(S, axis1=2, axis2=3), 1)
    assert np.linalg.eigvalsh(S).min() == pytest.approx(0.1)
    uw = disc.disc_coordinates(S)
    assert np.allclose(np.hypot(*np.moveaxis(uw, -1, 0)), np.linspace(0, 0.8, 5)[:, None])
    assert np.allclose(uw[:, 0], uw[:, -1])


def test_gaussians_of_the_disc_have_trace_one_and_fill_it():
    starts = disc.disc_gaussians(21)
    S = starts.covariance
    np.testing.assert_allclose(np.trace(S.T), 1)
    assert np.linalg.eigvalsh(S).min() > 0
    radii = np.linalg.norm(disc.disc_coordinates(S), axis=1)
    assert radii.max() < 0.97
    assert len(S) == pytest.approx(np.pi / 4 * 20**2 * 0.97**2, rel=0.05)


def test_isotropic_directions_are_roots_of_the_form():
    rng = np.random.default_rng(4)
    for _ in range(20):
        A = rng.normal(size=(2, 2))
        A -= np.trace(A) / 2 * np.eye(2)
        pair = disc.isotropic_directions(A)
        np.testing.assert_allclose(np.einsum("ki,ij,kj->k", pair, A, pair), 0, atol=1e-14)
        np.testing.assert_allclose(np.linalg.norm(pair, axis=1), 1)
        angles = np.arctan2(pair[:, 1], pair[:, 0])
        assert 0 <= angles[0] < angles[1] <= np.pi
        places = disc.disc_coordinates(pair[:, :, None] * pair[:, None, :])
        np.testing.assert_allclose(np.linalg.norm(places, axis=1), 1)


def test_what_has_no_place_in_the_disc_is_told():
    for point, norm in (([0.9, 0.9], "1.27279"), ([1e200, 0.0], "1e")):
        with pytest.raises(ValueError, match=f"points: must be in the unit disc; .* of {norm}"):
            disc.covariances_at(point)
    with pytest.raises(ValueError, match="rings: must be an integer of at least 2; got 1"):
        disc.disc_covariances(1, 9)
    with pytest.raises(ValueError, match=r"radius: must be below 1; got 1\.0"):
        disc.disc_covariances(4, 9, radius=1.0)
    with pytest.raises(ValueError, match=r"side: no point of the grid lies in the disc; got 2"):
        disc.disc_gaussians(2)
    for inside, message in ((0.0, "inside: "), (1.5, "inside: must be at most 1")):
        with pytest.raises(ValueError, match=message):
            disc.disc_gaussians(9, inside=inside)
    with pytest.raises(ValueError, match=r"eigenvalues of both signs"):
        disc.isotropic_directions(np.eye(2))
    with pytest.raises(ValueError, match=r"form: .*dimension"):
        disc.isotropic_directions(np.eye(3))
