"""Symmetric laws on spheres against clouds, densities on the circle and closed forms."""

import numpy as np
import pytest
from scipy.special import ive

import transpde as tp
from transpde.attention.densities import log_average, scaled_average

HEADS = {"softmax": tp.Softmax, "unnormalised": tp.Unnormalized}


def head(kind, d, beta, value=1.0):
    return HEADS[kind](beta * np.eye(d), np.eye(d), value * np.eye(d))


def law(d, seed=0, n=12):
    rng = np.random.default_rng(seed)
    masses = rng.uniform(size=n)
    return tp.Axial(rng.uniform(0.05, 3.0, size=n), masses / masses.sum(), d)


def tilted(d, depth=1e-12):
    return tp.Axial.from_density(lambda eta: 1 - 0.5 * np.cos(eta), d, depth)


def spread_out(measure, count=400):
    """A cloud of tokens spread over the directions of each node, by Gauss or by signs."""
    u, s, d = measure.heights, measure.widths, measure.dimension
    if d == 2:
        around, w = np.array([[1.0], [-1.0]]), np.full(2, 0.5)
    else:  # equal angles about the axis of the ordinary sphere
        phi = 2 * np.pi * np.arange(count) / count
        around, w = np.stack([np.cos(phi), np.sin(phi)], axis=1), np.full(count, 1 / count)
    points = [np.column_stack([np.full(len(w), a), b * around]) for a, b in zip(u, s, strict=True)]
    weights = np.outer(measure.masses, w).ravel()
    points = tp.Sphere().retract(np.concatenate(points))
    return tp.Particles(points, weights / weights.sum(), space=tp.Sphere())


@pytest.mark.parametrize("beta", [0.0, 0.7, -1.5, 4.0, 20.0])
@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("d", [2, 3])
def test_the_field_is_that_of_a_cloud_spread_over_the_directions(d, kind, beta):
    measure, attention = law(d), head(kind, d, beta, -1.3)
    x = np.random.default_rng(1).normal(size=(6, d))
    wanted = attention(spread_out(measure))(x)
    assert np.abs(attention(measure)(x) - wanted).max() < 1e-12 * np.abs(wanted).max()


@pytest.mark.parametrize("beta", [0.0, 0.5, -2.0, 6.0, 40.0])
@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("d", [2, 3, 5, 10])
def test_harmonics_give_what_sums_over_pairs_give(d, kind, beta):
    measure = law(d, n=40)
    field = head(kind, d, beta)(measure)
    values = field(measure.meridian)
    sums = values[:, 0] - measure.heights * values[:, 1] / measure.widths
    assert np.abs(field.rates() - sums).max() < 1e-13 * np.abs(values).max() / np.min(
        measure.widths
    )


@pytest.mark.parametrize("d", [2, 3, 4, 9])
def test_the_average_over_directions_is_the_integral(d):
    t, w = np.polynomial.legendre.leggauss(400)
    angle, w = np.pi * (1 + t) / 2, w * np.pi / 2
    weight = w * np.sin(angle) ** (d - 3) if d > 2 else None
    for z in (0.0, 1e-9, 0.4, 1.0, 1.0 + 1e-9, 30.0, 500.0):
        if d == 2:
            wanted = (1 + np.exp(-2 * z)) / 2
        else:
            wanted = weight @ np.exp(z * (np.cos(angle) - 1)) / weight.sum()
        assert abs(scaled_average(d, np.array(z)) / wanted - 1) < 1e-11


@pytest.mark.parametrize("kind", HEADS)
def test_even_data_on_the_circle_move_as_fourier_densities_and_as_tokens(kind):
    """Three routes: graded nodes on an axis, Fourier modes, and the tokens at equal angles."""
    attention = head(kind, 2, 1.5)
    circle = tp.Circle.from_density(lambda t: (1 + 0.5 * np.cos(t)) / (2 * np.pi), 256)
    times = [0.0, 0.7, 1.4]
    first, second, third = (
        tp.flow(start, attention, times) for start in (tilted(2), circle, circle.particles)
    )
    for i in (1, 2):
        assert abs(first[i].mean[0] - second[i].mean[0]) < 1e-11
        assert np.abs(second[i].mean - third[i].mean).max() < 1e-12


@pytest.mark.parametrize("kind", HEADS)
def test_on_the_ordinary_sphere_it_moves_as_a_cloud(kind):
    measure, attention = law(3, n=6), head(kind, 3, 1.2)
    path = tp.flow(measure, attention, 1.0)
    cloud = tp.flow(spread_out(measure, 60), attention, 1.0, kernel="exact")
    assert np.abs(cloud.final.points[::60, 0] - path.final.heights).max() < 1e-9


@pytest.mark.parametrize("d", [2, 3, 10])
def test_test_tokens_move_as_the_nodes_do(d):
    measure, attention = law(d), head("softmax", d, 1.0)
    path = tp.flow(measure, attention, 2.0)
    carried = path.carry(measure.meridian)[-1]
    assert np.abs(carried - path.final.meridian).max() < 1e-9


def test_layers_move_nodes_as_test_tokens_and_converge_at_order_one():
    measure, attention = law(3), head("unnormalised", 3, 0.8)
    layers = tp.layers(measure, attention, 8, 0.1)
    carried = layers.carry(measure.meridian)
    assert np.abs(carried[-1] - layers.final.meridian).max() < 1e-13
    exact = tp.flow(measure, attention, 1.0).final.coordinates
    errors = [
        np.abs(tp.layers(measure, attention, n, 1 / n).final.coordinates - exact).max()
        for n in (32, 64)
    ]
    assert 0.95 < np.log2(errors[0] / errors[1]) < 1.05


def test_a_long_step_may_cross_the_axis():
    measure = tp.Axial([0.1, 1.0, 3.0], [0.2, 0.3, 0.5], 2)
    field = head("softmax", 2, 1.0, -1.0)(measure)
    cloud = tp.Particles(measure.meridian, measure.masses, space=tp.Sphere())
    wanted = cloud.push(field, 30.0).points
    assert np.abs(measure.push(field, 30.0).heights - wanted[:, 0]).max() < 1e-14


def test_a_sum_of_heads_adds_up():
    measure, one, two = law(3), head("softmax", 3, 1.0), head("unnormalised", 3, 0.5, -0.3)
    both = (one + two)(measure)
    parts = [h(measure).rates() for h in (one, two)]
    assert np.abs(measure.advect(both) - sum(parts)).max() < 1e-12


@pytest.mark.parametrize("d", [2, 3, 10])
def test_moments_of_a_density_are_integrals(d):
    measure = tilted(d)
    # The mean of u^2 is 1/d under the uniform law.
    assert abs(measure.mean[0] - 0.5 / d) < 1e-15
    assert np.abs(np.trace(measure.covariance) + measure.mean @ measure.mean - 1) < 1e-14
    sharp = tp.Axial.from_density(
        lambda eta: np.exp(30 * (-np.cos(eta) - 1)) / scaled_average(d + 1, np.array(30.0)), d
    )
    assert abs(sharp.mean[0] - ive(d / 2, 30.0) / ive(d / 2 - 1, 30.0)) < 1e-14


@pytest.mark.parametrize("d", [100, 400, 1000])
def test_moments_of_a_density_are_integrals_in_high_dimension(d):
    level = tp.Axial.from_density(np.ones_like, d)
    assert abs(level.covariance[0, 0] * d - 1) < 1e-8
    uneven = tp.Axial.from_density(lambda eta: 1 - np.cos(eta) / 2, d)
    assert abs(uneven.mean[0] * 2 * d - 1) < 1e-7


@pytest.mark.parametrize("beta", [2.0, 30.0, 100.0])
@pytest.mark.parametrize("d", [300, 1000])
def test_the_field_in_high_dimension_is_that_of_its_dirac(d, beta):
    """A law near one pole pulls as a token does, and has finite weights."""
    law = tp.Axial([1.0, np.pi - 1e-9], [1e-300, 1.0], d)
    rates = head("softmax", d, beta)(law).rates()
    assert abs(rates[0] - 1) < 1e-6
    narrow = tp.Axial([1.0, 1.2], [0.5, 0.5], d)  # across the axis little pulls: B(z) is near 1
    for kind in HEADS:
        assert np.isfinite(head(kind, d, beta)(narrow).rates()).all()


def test_averages_over_directions_join_where_their_formulas_change():
    """A recurrence of Bessel functions that no branch knows of, across all of them."""
    for nu in (0.5, 20.0, 99.0, 140.0, 400.0, 5e4):
        for z in (0.9, 1.1, 30.0, 1e3, 1e5, 8e8, 1e11):
            # I_{nu - 1} - I_{nu + 1} = (2 nu / z) I_nu
            low, mid, high = (log_average(nu + k, z) for k in (-1, 0, 1))
            left = np.exp(low - mid) - np.exp(high - mid) * (z / 2) ** 2 / (nu * (nu + 1))
            assert abs(left - 1) < 1e-9 * (1 + np.exp(low - mid))


def test_a_density_that_writes_into_its_angles_does_not_move_the_nodes():
    def writes(eta):
        eta *= 0.5
        return np.ones_like(eta)

    level = tp.Axial.from_density(np.ones_like, 2)
    assert np.array_equal(tp.Axial.from_density(writes, 2).angles, level.angles)


def test_a_density_that_is_infinite_at_the_pole_has_its_mass():
    """The density |y|^(-0.4) on the circle: the mass within an angle is a power of it."""
    size = 0.6 * np.pi**-0.6 * np.pi
    measure = tp.Axial.from_density(lambda eta: size * eta**-0.4, 2, depth=1e-18)
    within = measure.masses[measure.angles < np.pi / 2 * 2.0**-20].sum()
    assert abs(within / 2.0**-12.6 - 1) < 1e-6  # (1/2 2^-20)^0.6


@pytest.mark.parametrize("d", [2, 3, 6])
@pytest.mark.parametrize("p", [1, 2, 3.5])
def test_distances_to_the_poles_are_those_of_tokens(d, p):
    measure = law(d)
    for pole in (1.0, -1.0):
        point = np.zeros(d)
        point[0] = pole
        chords = np.linalg.norm(measure.meridian - point, axis=1)
        wanted = (measure.masses @ chords**p) ** (1 / p)
        assert abs(measure.distance_to_dirac(point, p) - wanted) < 1e-14
    near = tp.Axial([1e-200], [1.0], d)
    pole = -np.eye(d)[0]
    assert abs(near.distance_to_dirac(pole, p) / 1e-200 - 1) < 1e-12


def test_draws_lie_on_the_sphere_and_have_its_moments():
    measure = law(4)
    draws = measure.sample(20_000, seed=1)
    assert draws.space == tp.Sphere()
    assert np.abs(draws.mean - measure.mean).max() < 4 / np.sqrt(20_000)
    assert np.abs(draws.covariance - measure.covariance).max() < 4 / np.sqrt(20_000)
    assert np.array_equal(draws.points, measure.sample(20_000, seed=1).points)


def test_the_best_known_digits_survive_near_the_pole():
    """Starts at 1e-30 of the source leave it at the rate of the Dirac mass, in every digit."""
    measure = tp.Axial([1e-30, np.pi - 1e-8], [1e-40, 1 - 1e-40], 3)
    path = tp.flow(measure, head("unnormalised", 3, 0.7), 5.0)
    speed = (path.final.coordinates[0] - measure.coordinates[0]) / 5.0
    assert abs(speed / np.exp(-0.7) - 1) < 1e-9


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: tp.Axial([0.0, 1.0], [0.5, 0.5], 2), "angles: must be between 0 and pi"),
        (lambda: tp.Axial([1.0, np.pi], [0.5, 0.5], 2), "angles: must be between 0 and pi"),
        (lambda: tp.Axial([1.0, 2.0], [0.5, 0.4], 2), "masses: must sum to one; got a sum of 0.9"),
        (lambda: tp.Axial([1.0, 2.0], [1.5, -0.5], 2), "masses: must be non-negative"),
        (lambda: tp.Axial([1.0, 2.0], [1.0], 2), "masses: its length must be that of angles, 2"),
        (lambda: tp.Axial([1.0, 2.0], [[0.5, 0.5]], 2), r"masses: must have shape \(n\)"),
        (lambda: tp.Axial([1.0], [1.0], 1), "dimension: must be an integer of at least 2"),
        (
            lambda: tp.Axial.from_density(lambda eta: 1 - 2 * np.cos(eta), 3),
            "function: a density must be non-negative; got -1.0 at angle 3.78",
        ),
        (lambda: tp.Axial.from_density(lambda eta: 2 + 0 * eta, 3), "must be one .* got 2"),
        (lambda: tp.Axial.from_density(np.ones_like, 3, depth=2.0), "depth: must be a number"),
        (lambda: law(3).distance_to_dirac([0.0, 1.0, 0.0]), "point: must be a pole"),
        (lambda: law(3).distance_to_dirac([2.0, 0.0, 0.0]), "must have norm 1"),
        (lambda: law(3).distance_to_dirac([1.0, 0.0, 0.0], p=0.5), "p: must be a finite number"),
        (
            lambda: tp.flow(law(2), tp.Softmax(np.diag([1.0, 2.0]), np.eye(2), np.eye(2)), 1.0),
            r"multiples of the identity; key\^T query is none",
        ),
        (
            lambda: tp.flow(law(2), tp.Softmax(np.eye(2), np.eye(2), np.diag([1.0, 2.0])), 1.0),
            "multiples of the identity; value is none",
        ),
        (lambda: tp.flow(law(3), head("softmax", 2, 1.0), 1.0), "measure: its dimension must be"),
    ],
)
def test_bad_input_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    "attention",
    [
        tp.L2(np.eye(2), np.eye(2), np.eye(2)),
        tp.Sigmoid(np.eye(2), np.eye(2), np.eye(2)),
        tp.Masked(head("softmax", 2, 1.0)),
        head("softmax", 2, 1.0) + tp.AffineField(np.eye(2)),
        tp.MultiHead([head("softmax", 2, 1.0), tp.Linear(np.eye(2), np.eye(2), np.eye(2))]),
    ],
    ids=repr,
)
def test_attentions_without_a_field_say_which_have_one(attention):
    with pytest.raises(TypeError, match="Softmax and Unnormalized heads"):
        tp.flow(law(2), attention, 1.0)


def test_it_is_frozen_and_several_times_make_no_measure():
    measure = law(2)
    for array in (measure.coordinates, measure.masses):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.0
    path = tp.flow(measure, head("softmax", 2, 1.0), 1.0)
    with pytest.raises(TypeError, match="several times of an Axial are no measure"):
        path[:2]
    with pytest.raises(AttributeError, match="an Axial has `angles` at each time"):
        path.points  # noqa: B018


def test_nodes_on_the_axis_itself_are_no_overflow():
    """However far the flow has gone: the coordinate grows like the time."""
    measure = tp.Axial([1.0, 2.0, 3.0], [0.2, 0.3, 0.5], 3)
    late = measure.unpack(np.array([-1e4, 0.5, 1e4]))
    with np.errstate(all="raise", under="ignore"):
        assert np.abs(late.angles - [0.0, 2 * np.arctan(np.exp(0.5)), np.pi]).max() < 1e-15
        assert np.abs(late.widths - [0.0, 1 / np.cosh(0.5), 0.0]).max() < 1e-15
    near = measure.unpack(np.array([-30.0, 0.0, 30.0]))
    assert np.abs(near.angles[0] / (2 * np.exp(-30.0)) - 1) < 1e-14
    assert np.abs(np.sin(near.angles)[1] - near.widths[1]) < 1e-15
