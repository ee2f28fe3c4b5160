"""Densities on the circle against tokens, closed forms and observed orders."""

import numpy as np
import pytest
from scipy.special import iv

import transpde as tp
from transpde.theory import one_cluster

I2 = np.eye(2)
A, V = np.array([[1.0, 0.5], [-0.3, 2.0]]), np.array([[0.5, 1.0], [0.0, -1.0]])
HEADS = {"softmax": tp.Softmax, "unnormalised": tp.Unnormalized}
ANY = {
    "isotropic scores": (1.7 * I2, I2, V),
    "any scores": (A, I2, V),
    "query and key": (A, V, -I2),
}


def lopsided(n=128):
    return tp.Circle.from_density(
        lambda t: (1 + 0.5 * np.cos(t) + 0.3 * np.sin(2 * t)) / (2 * np.pi), n
    )


def poisson(r, n):
    return tp.Circle.from_density(
        lambda t: (1 - r * r) / (2 * np.pi * (1 - 2 * r * np.cos(t) + r * r)), n
    )


@pytest.mark.parametrize("parameters", ANY)
@pytest.mark.parametrize("kind", HEADS)
def test_the_field_is_that_of_tokens_at_equal_angles(kind, parameters):
    circle, attention = lopsided(), HEADS[kind](*ANY[parameters])
    field = attention(circle)
    x = np.random.default_rng(0).normal(size=(7, 2))
    wanted = attention(circle.particles)(x)
    assert np.abs(field(x) - wanted).max() < 1e-12 * np.abs(wanted).max()
    wanted = attention(circle.particles)(circle.points)
    assert np.abs(field.at_angles() - wanted).max() < 1e-13 * np.abs(wanted).max()


@pytest.mark.parametrize("parameters", ANY)
@pytest.mark.parametrize("kind", HEADS)
def test_a_density_moves_as_its_tokens_do(kind, parameters):
    """Trapezoid sums of smooth densities are exact: so are the tokens' means in time."""
    circle, attention = lopsided(256), HEADS[kind](*ANY[parameters])
    path, cloud = (tp.flow(start, attention, 0.3) for start in (circle, circle.particles))
    assert np.abs(path.final.mean - cloud.final.mean).max() < 1e-12
    assert np.abs(path.final.covariance - cloud.final.covariance).max() < 1e-12
    assert np.abs(path.carry(circle.points)[-1] - cloud.final.points).max() < 1e-10


def test_solvers_of_scipy_agree():
    attention = tp.Softmax(A, I2, V)
    wanted = tp.flow(lopsided(), attention, 0.2).final.density
    for method in ("RK45", "LSODA"):
        found = tp.flow(lopsided(), attention, 0.2, method=method).final.density
        assert np.abs(found - wanted).max() < 1e-9


def test_a_poisson_kernel_keeps_its_closed_form():
    """At beta = 0 both attentions are the mean field of Kuramoto; every digit of the density."""
    times = np.linspace(0.0, 2.0, 5)
    r = one_cluster.poisson_mean(0.3, times)
    for kind in HEADS.values():
        path = tp.flow(poisson(0.3, 256), kind(0 * I2, I2, I2), times)
        for i in range(5):
            assert np.abs(path.densities[i] - poisson(r[i], 256).density).max() < 1e-10
    assert np.abs([np.linalg.norm(path[i].mean) - r[i] for i in range(5)]).max() < 1e-12


def test_more_angles_converge_faster_than_any_power():
    """The Poisson kernel has modes r^k: errors fall like r^(n/3), by the 2/3 rule."""
    r = float(one_cluster.poisson_mean(0.3, 0.3))
    errors = []
    for n in (48, 60, 72):
        path = tp.flow(poisson(0.3, n), tp.Softmax(0 * I2, I2, I2), 0.3, rtol=1e-13)
        errors.append(np.abs(path.final.density - poisson(r, n).density).max())
    rates = np.log(errors[:-1]) - np.log(errors[1:])
    wanted = -np.log(r) * 4  # n / 3 rises by 4
    assert (np.abs(rates / wanted - 1) < 0.25).all()


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("beta", [1.0, 10.0, 50.0])
def test_small_modes_grow_at_the_rates_of_bessel_functions(beta, sign):
    size, degree, time = 1e-7, 3, 0.5
    circle = tp.Circle.from_density(lambda t: (1 + size * np.cos(degree * t)) / (2 * np.pi), 256)
    path = tp.flow(circle, tp.Softmax(beta * I2, I2, sign * I2), time, rtol=1e-13, atol=1e-18)
    found = np.log(path.final.modes[degree].real / circle.modes[degree].real) / time
    # l^2 I_l / (beta I_0), the formula of the circle
    wanted = sign * degree**2 * iv(degree, beta) / (beta * iv(0, beta))
    assert abs(found - wanted) < 2e-7 * max(1, abs(wanted))


def test_the_mass_and_the_odd_moments_are_conserved():
    path = tp.flow(lopsided(), tp.Softmax(A, I2, V), 0.3)
    assert np.abs(path.densities.mean(axis=1) * 2 * np.pi - 1).max() < 1e-14
    even = tp.Circle.from_density(lambda t: (1 + 0.5 * np.cos(t)) / (2 * np.pi), 128)
    path = tp.flow(even, tp.Unnormalized(I2, I2, I2), 1.0)
    assert np.abs(path.densities[-1][1:] - path.densities[-1][:0:-1]).max() < 1e-12


def test_what_turns_around_turns_with_it():
    """A density turned by a whole number of angles moves as before, for scores that turn, too."""
    circle, attention = lopsided(), tp.Unnormalized(1.3 * I2, I2, I2)
    turned = tp.Circle(np.roll(circle.density, 17))
    one, two = (tp.flow(start, attention, 0.3).final.density for start in (circle, turned))
    assert np.abs(np.roll(one, 17) - two).max() < 1e-12


def test_a_density_too_steep_for_its_angles_is_an_error():
    with pytest.raises(RuntimeError, match=r"too steep for 64 angles by time .* Take more angles"):
        tp.flow(lopsided(64), tp.Softmax(I2, I2, I2), 10.0)


def test_a_feed_forward_part_turns_a_density():
    turn = tp.AffineField([[0.0, -1.0], [1.0, 0.0]])
    circle = lopsided()
    attention = tp.Softmax(I2, I2, 0 * I2) + turn
    path = tp.flow(circle, attention, 2 * np.pi * 5 / 128)
    assert np.abs(path.final.density - np.roll(circle.density, 5)).max() < 1e-9


def test_moments_distances_and_draws():
    circle = lopsided()
    assert np.abs(circle.mean - [0.25, 0.0]).max() < 1e-15
    assert abs(np.trace(circle.covariance) + circle.mean @ circle.mean - 1) < 1e-14
    point = np.array([0.6, 0.8])
    squares = 2 - 2 * circle.mean @ point
    assert abs(circle.distance_to_dirac(point) ** 2 - squares) < 1e-13
    tokens = circle.particles
    dirac = tp.Particles(point[None], space=tp.Sphere())
    for p in (1, 2, 3):
        wanted = tp.wasserstein(tokens, dirac, p=p)
        assert abs(circle.distance_to_dirac(point, p) - wanted) < 1e-12
    far = circle.distance_to_dirac(point, 1e6)  # (2 - 4e-4)^1e6 is no float
    assert abs(far - 2) < 1e-3
    draws = circle.sample(20_000, seed=2)
    assert np.abs(draws.mean - circle.mean).max() < 4 / np.sqrt(20_000)
    assert np.array_equal(draws.points, circle.sample(20_000, seed=2).points)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: tp.Circle(np.full(16, 1.0)), "density: its integral .* must be one"),
        (lambda: tp.Circle([-1.0, *[1.0] * 15]), "density: must be non-negative; got -1.0 at in"),
        (lambda: tp.Circle([0.5 / np.pi] * 7), "density: must have at least 8 values; got 7"),
        (
            lambda: tp.Circle.from_density(lambda t: (1 + 2 * np.cos(t)) / (2 * np.pi), 16),
            "density: must be non-negative",
        ),
        (lambda: tp.Circle.from_density(np.ones_like, 16), "function: .* one .* got 6.283"),
        (lambda: tp.Circle.from_density(np.ones_like, 7), "n: must be an integer of at least 8"),
        (lambda: lopsided().distance_to_dirac([1.0, 1.0]), "must have norm 1"),
        (lambda: tp.flow(lopsided(), tp.Softmax(np.eye(3), np.eye(3), np.eye(3)), 1.0), "dimens"),
        (lambda: tp.flow(lopsided(), tp.Softmax(I2, I2, I2), 1.0, method="Rodas5P"), "method"),
    ],
)
def test_bad_input_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    "attention",
    [tp.L2(I2, I2, I2), tp.Linear(I2, I2, I2), tp.Masked(tp.Softmax(I2, I2, I2))],
    ids=repr,
)
def test_attentions_without_a_field_say_which_have_one(attention):
    with pytest.raises(TypeError, match="Softmax and Unnormalized heads"):
        tp.flow(lopsided(), attention, 1.0)


def test_it_is_frozen_and_has_no_layers():
    circle = lopsided()
    with pytest.raises(ValueError, match="read-only"):
        circle.density[0] = 0.0
    with pytest.raises(TypeError, match="does not send a Circle to a Circle"):
        tp.layers(circle, tp.Softmax(I2, I2, I2), 2, 0.1)
    path = tp.flow(circle, tp.Softmax(I2, I2, I2), 0.1)
    assert path.densities.shape == (129, 128)
    with pytest.raises(TypeError, match="several times of a Circle are no measure"):
        path[:2]
