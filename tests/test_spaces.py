"""Spaces of tokens: spheres, whole or inside a hyperplane."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import head_parameters
from table import ROWS

import transpde as tp
from transpde.kernels import EXACT


def on(sphere, rng, *shape):
    return sphere.retract(rng.normal(size=shape))


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), radius=st.floats(0.1, 10.0), flat=st.booleans())
def test_tangents_and_retractions(seed, radius, flat):
    rng = np.random.default_rng(seed)
    sphere = tp.Sphere(radius, rng.normal(size=3) if flat else None)
    x, v = on(sphere, rng, 2, 5, 3), rng.normal(size=(2, 5, 3))
    sphere.check("x", x)
    u = sphere.tangent(x, v)
    assert np.abs((u * x).sum(axis=-1)).max() <= 1e-13 * radius
    assert sphere.tangent(x, u) == pytest.approx(u, abs=1e-13)
    assert sphere.retract(x) == pytest.approx(x, rel=1e-13, abs=1e-14)
    if flat:
        assert np.abs(u @ np.array(sphere.normal)).max() <= 1e-13
    # The derivative of the retraction of x + h v is the tangential part of v.
    h = 1e-6 * radius
    slope = (sphere.retract(x + h * v) - sphere.retract(x - h * v)) / (2 * h)
    assert slope == pytest.approx(u, abs=1e-8)


def test_layer_normalisation_maps_to_its_sphere():
    rng, d = np.random.default_rng(1), 5
    y = rng.normal(size=(4, d))
    normalised = (y - y.mean(axis=1, keepdims=True)) / y.std(axis=1, keepdims=True)
    space = tp.Sphere(np.sqrt(d), np.ones(d))
    assert space.retract(y) == pytest.approx(normalised, rel=1e-13)
    assert tp.Particles(normalised, space=space).space == space


def test_spaces_are_equal_by_value():
    assert tp.Euclidean() == tp.Euclidean()
    assert tp.Sphere(2.0) == tp.Sphere(2)
    assert tp.Sphere(2.0) != tp.Sphere()
    assert tp.Sphere(1.0, [1.0, 1.0]) == tp.Sphere(1.0, (2.0, 2.0))
    assert hash(tp.Sphere(1.0, [1.0, 1.0])) == hash(tp.Sphere(1.0, [1.0, 1.0]))
    assert tp.Gaussian([0.0], factor=[[1.0]]).space == tp.Euclidean()


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("stack", [(), (3,)])
def test_tokens_keep_their_space(name, stack):
    rng = np.random.default_rng(2)
    attention = ROWS[name].make(*head_parameters(rng, 3))
    for space in (tp.Sphere(), tp.Sphere(2.0), tp.Sphere(1.5, [1.0, 1.0, 0.0])):
        s = np.arange(4.0) if ROWS[name].masked else None
        tokens = tp.Particles(on(space, rng, *stack, 4, 3), None, s, space)
        field = attention(tokens)
        step = tokens.push(field, 0.7)
        space.check("step", step.points)
        assert step.space == space
        off = tokens.unpack(1.3 * tokens.pack())
        assert off.points == pytest.approx(tokens.points, rel=1e-14)
        v = tokens.velocities(field)
        plain = field(tokens.points) if s is None else field(tokens.points, s)
        assert v == pytest.approx(space.tangent(tokens.points, plain), abs=1e-12)
        if not stack:
            assert tokens.sample(3, seed=0).space == space
        else:
            assert tokens[0].space == tokens.select(np.array([1])).space == space


def test_on_the_unit_sphere_tokens_are_put_back_and_follow_the_tangential_part():
    rng = np.random.default_rng(3)
    for row in ROWS.values():
        s = np.arange(5.0) if row.masked else None
        attention = row.make(*head_parameters(rng, 3))
        x = on(tp.Sphere(), rng, 5, 3)
        flat, tokens = tp.Particles(x, None, s), tp.Particles(x, None, s, tp.Sphere())
        there = tokens.unpack(1.1 * flat.pack())
        v = there.advect(attention.field(there, EXACT)).reshape(x.shape)
        plain = flat.velocities(attention(flat))
        wanted = plain - (plain * x).sum(axis=1)[:, None] * x
        assert v == pytest.approx(wanted, abs=1e-12)
        longer = x + 0.5 * wanted
        pushed = longer / np.linalg.norm(longer, axis=1)[:, None]
        assert tokens.push(attention(tokens), 0.5).points == pytest.approx(pushed, abs=1e-12)


def test_the_gaussian_of_tokens_has_their_moments():
    rng = np.random.default_rng(4)
    for n in (2, 3, 9):
        w = rng.random((2, n))
        tokens = tp.Particles(rng.normal(size=(2, n, 3)), w / w.sum(axis=1, keepdims=True))
        gaussian = tp.Gaussian.from_particles(tokens)
        assert gaussian.mean == pytest.approx(tokens.mean)
        assert gaussian.covariance == pytest.approx(tokens.covariance, abs=1e-14)
        assert gaussian.factor.shape == (2, 3, min(n, 3))
        one = tp.Gaussian.from_particles(tokens[1])
        assert one.covariance == pytest.approx(tokens[1].covariance, abs=1e-14)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tp.Sphere(0.0), ValueError, "radius: must be a positive finite number; got 0.0"),
        (lambda: tp.Sphere(-1), ValueError, "radius: must be a positive finite number; got -1"),
        (lambda: tp.Sphere("x"), ValueError, "radius: must be a positive finite number"),
        (lambda: tp.Sphere(1.0, [0.0, 0.0]), ValueError, "normal: must not be zero"),
        (lambda: tp.Sphere(1.0, [np.nan]), ValueError, "normal: every entry must be finite"),
        (lambda: tp.Sphere(1.0, np.eye(2)), ValueError, r"normal: must have shape \(d\)"),
        (
            lambda: tp.Particles(np.eye(2), space=tp.Sphere(1.0, [0.0, 0.0, 1.0])),
            ValueError,
            "normal: its dimension must be that of points, 2; got 3",
        ),
        (
            lambda: tp.Particles(np.eye(2), space=tp.Sphere(1.0, [0.0, 1.0])),
            ValueError,
            (
                "points: tokens of this sphere must be orthogonal to its normal; got one that is "
                "off by 1 radii. Subtract"
            ),
        ),
        (
            lambda: tp.Particles([[1.0, 0.0], [0.0, 1.0 + 1e-7]], space=tp.Sphere()),
            ValueError,
            (
                "points: tokens on the sphere must have norm 1; got one that is off by "
                "1e-07 radii. Divide each by its norm first"
            ),
        ),
        (lambda: tp.Particles(np.eye(2), space=tp.Sphere(3)), ValueError, "must have norm 3; got"),
        (lambda: tp.Particles([[1.0]], space="sphere"), TypeError, "space: must be Euclidean"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
