"""One cluster: closed forms, exact rates and thresholds against the flow."""

import numpy as np
import pytest
from scipy.integrate import quad

import transpde as tp
from transpde.theory import one_cluster

HEADS = {False: tp.Unnormalized, True: tp.Softmax}


def head(beta, d, normalized):
    return HEADS[normalized](beta * np.eye(d), np.eye(d), np.eye(d))


def cosine(d, depth=1e-10):
    return tp.Axial.from_density(lambda eta: 1 - 0.5 * np.cos(eta), d, depth)


def pole(d):
    return np.eye(d)[0]


def distances(path, p=2):
    d = path.final.dimension
    return np.array([path[i].distance_to_dirac(pole(d), p) for i in range(len(path))])


def fitted_rate(measure, attention, time, p=2):
    late = np.append(0.0, np.linspace(time / 2, time, 16))
    path = tp.flow(measure, attention, late, rtol=1e-8)
    return -np.polyfit(path.times[1:], np.log(distances(path, p)[1:]), 1)[0]


# --- no scores: one scalar equation -------------------------------------------------------------


@pytest.mark.parametrize("d", [2, 3, 7])
@pytest.mark.parametrize("normalized", [True, False])
def test_without_scores_a_law_is_shifted(d, normalized):
    measure, times = cosine(d), np.linspace(0.0, 4.0, 5)
    shift = one_cluster.axial_shift(measure, times)
    path = tp.flow(measure, head(0.0, d, normalized), times)
    for i in range(5):
        assert np.abs(path[i].coordinates - measure.coordinates - shift[i]).max() < 1e-9
    # chordal W_2^2 = 2 (1 - m), 1 - m = the mean of 2 / (1 + e^(2 tau) tan^2(eta / 2))
    lost = measure.masses @ (2 / (1 + np.exp(2 * shift[-1]) * np.tan(measure.angles / 2) ** 2))
    assert abs(distances(path)[-1] ** 2 / (2 * lost) - 1) < 1e-9


def test_the_poisson_kernel_moves_by_its_closed_form():
    r, times = 0.3, np.linspace(0.0, 8.0, 9)
    measure = tp.Axial.from_density(lambda eta: (1 - r * r) / (1 + 2 * r * np.cos(eta) + r * r), 2)
    path = tp.flow(measure, head(0.0, 2, True), times)
    found = [path[i].mean[0] for i in range(9)]
    assert np.abs(found - one_cluster.poisson_mean(r, times)).max() < 1e-10


def test_the_boosted_uniform_law_moves_by_its_closed_form():
    times = np.array([0.0, 0.5, 2.0, 6.0])
    for w in (0.004, 0.2, 0.6):
        measure = tp.Axial.from_density(
            lambda eta, w=w: (1 - w * w) ** 2 / (1 + 2 * w * np.cos(eta) + w * w) ** 2, 3
        )
        path = tp.flow(measure, head(0.0, 3, False), times)
        wanted = one_cluster.boosted_mean(w, times)
        assert np.abs([path[i].mean[0] for i in range(4)] - wanted).max() < 1e-9
    found = one_cluster.boosted_mean(0.2, [0.0, 2.0])
    assert np.abs(found - [0.264521, 0.734727]).max() < 5e-7
    # M(w) as the dossier of the chapter writes it
    w = 0.2
    wanted = (1 + w * w) / (2 * w) - (1 - w * w) ** 2 / (4 * w * w) * np.log((1 + w) / (1 - w))
    assert abs(one_cluster.boosted_mean(w, 0.0) - wanted) < 1e-14


def test_starts_next_to_the_uniform_law_grow_like_its_first_mode():
    """M is 4 w / 3 for small w, so w grows like e^(2t/3), and the circle's r like e^(t/2)."""
    for w in (1e-9, 1e-20, 1e-300):
        found = one_cluster.boosted_mean(w, [0.0, 6.0])
        assert np.abs(found / (4 / 3 * w * np.exp([0.0, 4.0])) - 1).max() < 1e-10
        found = one_cluster.poisson_mean(w, [0.0, 6.0])
        assert np.abs(found / (w * np.exp([0.0, 3.0])) - 1).max() < 1e-12
    for mean in (one_cluster.boosted_mean, one_cluster.poisson_mean):
        assert mean(1e-300, 1e308) == 1


def test_three_regimes_without_scores():
    """W_2 like e^(-t/2), sqrt(t) e^(-t) and e^(-t) for d = 2, 3 and 4."""
    for d, law in ((2, lambda t: -t / 2), (3, lambda t: np.log(t) / 2 - t), (4, lambda t: -t)):
        times = np.array([0.0, 12.0, 16.0, 20.0])
        measure = cosine(d, 1e-12)
        shift = one_cluster.axial_shift(measure, times)
        path = [measure.unpack(measure.coordinates + s) for s in shift]
        logs = np.log([one.distance_to_dirac(pole(d)) for one in path[1:]])
        slopes = np.diff(logs) / np.diff(law(times[1:]))
        assert np.abs(slopes - 1).max() < (2e-3 if d != 3 else 6e-3)


def test_the_poisson_mean_reaches_a_distance_of_a_tenth_at_6_911():
    """W_2 = .1 where the mean is .995."""
    r = one_cluster.poisson_mean(0.3, 6.911)
    assert abs(np.sqrt(2 * (1 - r)) - 0.1) < 1e-4


# --- the exact rate -----------------------------------------------------------------------------

RATES = [  # d, beta, softmax or not, time, rates of W_p by p that the flow was found to have
    (2, 0.0, False, 30.0, {2: 0.50000}),
    (2, 0.5, False, 30.0, {1: 0.60653, 2: 0.30327}),
    (2, 1.0, False, 40.0, {1: 0.36788, 2: 0.18394}),
    (2, 0.5, True, 30.0, {2: 0.50000}),
    (3, 0.5, False, 25.0, {2: 0.60653}),
    (3, 1.0, False, 30.0, {2: 0.36788}),
    (5, 1.0, True, 20.0, {2: 1.00000}),
    (10, 0.5, False, 12.0, {2: 1.64869}),
]


@pytest.mark.parametrize(("d", "beta", "normalized", "time", "values"), RATES)
def test_the_rate_is_that_of_the_one_point_that_loses(d, beta, normalized, time, values):
    late = np.append(0.0, np.linspace(time / 2, time, 16))
    measure, attention = cosine(d, np.exp(-1.1 * time)), head(beta, d, normalized)
    path = tp.flow(measure, attention, late, rtol=1e-8)
    for p, value in values.items():
        found = -np.polyfit(late[1:], np.log(distances(path, p)[1:]), 1)[0]
        wanted = one_cluster.clustering_rate(beta, d, p, normalized=normalized)
        assert abs(wanted - value) < 5e-5
        assert abs(found - wanted) < 2e-4 * wanted


@pytest.mark.parametrize(("beta", "value"), [(0.0, 0.3), (0.3, 0.22225)])
def test_a_density_that_is_infinite_at_the_source_is_slower(beta, value):
    def density(eta):
        return eta**-0.4 * (1 - 0.9 * np.cos(eta))

    mass = quad(lambda e: 1 - 0.9 * np.cos(e), 0, np.pi, weight="alg", wvar=(-0.4, 0))[0] / np.pi
    measure = tp.Axial.from_density(lambda eta: density(eta) / mass, 2, depth=1e-18)
    wanted = one_cluster.clustering_rate(beta, 2, 2, order=-0.4, normalized=False)
    assert abs(wanted - value) < 1e-5
    found = fitted_rate(measure, head(beta, 2, False), 40.0 if beta else 35.0)
    assert abs(found - wanted) < 1e-4


def test_a_zero_at_the_source_is_faster():
    """1 + cos vanishes to second order at the antipode; .9098 for beta = .5."""
    measure = tp.Axial.from_density(lambda eta: 1 - np.cos(eta), 2, 1e-12)
    wanted = one_cluster.clustering_rate(0.5, 2, 2, order=2, normalized=False)
    assert abs(wanted - 0.90980) < 1e-5
    assert abs(fitted_rate(measure, head(0.5, 2, False), 25.0) - wanted) < 5e-4


def graded_tokens(source, depth=1e-6, nodes=8):
    """Tokens of the density 1 + .5 cos + .3 sin 2 on the circle, graded to a source."""
    octaves = int(np.ceil(np.log2(np.pi / 4 / depth)))
    edges = np.concatenate(
        [[0.0], np.pi / 4 * 2.0 ** -np.arange(octaves, -1, -1), np.pi * np.array([0.5, 0.75, 1])]
    )
    z, w = np.polynomial.legendre.leggauss(nodes)
    half = np.diff(edges)[:, None] / 2
    y, w = (edges[:-1, None] + half * (1 + z)).ravel(), (half * w).ravel()
    theta = source + np.concatenate([y, -y])
    rho = 1 + 0.5 * np.cos(theta) + 0.3 * np.sin(2 * theta)
    weights = np.concatenate([w, w]) * rho
    points = np.stack([np.cos(theta), np.sin(theta)], axis=1)
    return tp.Particles(tp.Sphere().retract(points), weights / weights.sum(), space=tp.Sphere())


@pytest.mark.parametrize(
    ("normalized", "sink", "source"), [(False, -0.23944, 2.94003), (True, -0.1944, 2.95845)]
)
def test_without_symmetry_there_is_one_source(normalized, sink, source):
    """A test token on either side of the source leaves the opposite of the sink on that side."""
    tokens, attention = graded_tokens(source, 1e-5, 6), head(0.5, 2, normalized)
    path = tp.flow(tokens, attention, [0.0, 4.0, 10.0], rtol=1e-7)
    x = path.final.mean
    assert abs(np.arctan2(x[1], x[0]) - sink) < 2e-5
    starts = source + np.array([-1e-3, 1e-3])
    ends = path.carry(np.stack([np.cos(starts), np.sin(starts)], axis=1))
    before, after = ends[1] @ np.array([-x[1], x[0]])
    assert before > 0 > after


def test_unnormalised_attention_conserves_the_lifted_mean():
    """The kernel is odd: x* is the mean angle of the circle cut at the source."""

    def moment(a0):
        density = lambda t: (1 + 0.5 * np.cos(t) + 0.3 * np.sin(2 * t)) / (2 * np.pi)  # noqa: E731
        return quad(lambda t: t * density(t), a0 - 2 * np.pi, a0, epsabs=1e-12)[0]

    tokens = graded_tokens(2.94003)
    path = tp.flow(tokens, head(0.5, 2, False), [0.0, 18.0], rtol=1e-8)
    x = path.final.mean
    assert abs(np.arctan2(x[1], x[0]) - moment(2.94003)) < 1e-5


# --- two clusters -------------------------------------------------------------------------------


@pytest.mark.parametrize("lighter", [0.1, 0.3])
@pytest.mark.parametrize("share", [0.97, 1.03])
@pytest.mark.parametrize("normalized", [True, False])
def test_the_lighter_arc_holds_beyond_the_threshold_alone(lighter, share, normalized):
    width, m0 = 0.02, 1 - lighter
    beta = share * one_cluster.two_cluster_threshold(m0, lighter)
    near = width * (np.arange(8) + 0.5) / 8
    angles = np.concatenate([near, np.pi - near])
    masses = np.concatenate([np.full(8, lighter / 8), np.full(8, m0 / 8)])
    path = tp.flow(tp.Axial(angles, masses, 2), head(beta, 2, normalized), 1.0)
    # the edge of the arc, once the heavier one has contracted and while the arc is narrow
    edge = path.states[:, 7]
    found = -(edge[-1] - edge[0])
    wanted = one_cluster.arc_rate(beta, m0, lighter, normalized)
    scale = lighter * np.exp(beta) + m0 * np.exp(-beta) if not normalized else 1.0
    assert np.sign(found) == np.sign(wanted) == np.sign(share - 1)
    assert abs(found - wanted) < 0.015 * abs(wanted) + 2 * width**2 * scale


def test_the_softmax_rate_is_the_unnormalised_one_over_its_sum():
    beta, m0, m1 = 1.1, 0.8, 0.2
    total = m1 * np.exp(beta) + m0 * np.exp(-beta)
    fast, slow = (one_cluster.arc_rate(beta, m0, m1, n) for n in (False, True))
    assert abs(slow - fast / total) < 1e-14
    assert abs(one_cluster.arc_rate(one_cluster.two_cluster_threshold(m0, m1), m0, m1)) < 1e-14


@pytest.mark.parametrize("mass", [0.5, 0.9])
def test_two_atoms_off_the_symmetry_merge_late(mass):
    """The angle to the opposite closes by e^(-beta cos) sin: time about e^beta log(1/eps)."""
    beta, eps = 2.0, 1e-6
    wanted = quad(lambda e: np.exp(beta * np.cos(e)) / np.sin(e), eps, 1.0, limit=200)[0]
    angles = np.array([0.0, np.pi - eps])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    atoms = tp.Particles(points, [mass, 1 - mass], space=tp.Sphere())
    late = tp.flow(atoms, head(beta, 2, False), wanted).final.points
    assert abs(np.arccos(late[0] @ late[1]) - (np.pi - 1.0)) < 1e-6
    assert abs(wanted / (np.exp(beta) * np.log(1 / eps)) - 1) < 0.15


@pytest.mark.parametrize(("beta", "mass"), [(1.82, 0.0485), (2.0, 0.078)])
def test_the_second_cluster_of_the_cosine_density_is_born_with_finite_mass(beta, mass):
    path = tp.flow(cosine(2), head(beta, 2, False), np.array([0.0, 80.0]))
    angles, masses = path.final.angles, path.final.masses
    left = masses[angles < 1e-2].sum()
    assert masses[(angles > 1e-2) & (angles < 3)].sum() < 1e-9  # nothing is undecided
    assert abs(left / mass - 1) < 0.03
    assert left / (1 - left) >= np.exp(-2 * beta)


# --- growth from the uniform law ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("d", "beta", "degree", "value"),
    [(3, 2.0, 1, 0.537315), (3, 10.0, 3, 0.642000), (5, 2.0, 2, 0.486167), (2, 3.0, 2, 0.613346)],
)
@pytest.mark.parametrize("normalized", [True, False])
def test_harmonics_grow_at_the_rates_of_bessel_functions(d, beta, degree, value, normalized):
    rate = float(one_cluster.mode_rates(beta, d, degree, normalized))
    if normalized:
        assert abs(rate - value) < 5e-7
    size, time = 1e-6, 0.1 / rate

    def harmonic(u):  # of value one at the pole
        polynomials = {
            (3, 1): u, (3, 3): (5 * u**3 - 3 * u) / 2, (5, 2): (5 * u**2 - 1) / 4,
            (2, 2): 2 * u**2 - 1,
        }  # fmt: skip
        return polynomials[d, degree]

    measure = tp.Axial.from_density(lambda eta: 1 + size * harmonic(-np.cos(eta)), d, 1e-3)
    path = tp.flow(measure, head(beta, d, normalized), [0.0, time], rtol=1e-13, atol=1e-15)
    moments = [m.masses @ harmonic(m.heights) for m in (path[0], path[1])]
    assert abs(np.log(moments[1] / moments[0]) / time / rate - 1) < 3e-5


@pytest.mark.parametrize("d", [2, 3, 10, 300, 100_000])
@pytest.mark.parametrize("beta", [1e-300, 1e-3, 10.0, 1e4, 1e12, 1e300])
def test_rates_of_modes_are_numbers_at_every_temperature_and_dimension(d, beta):
    """The recurrence of Bessel functions, and both ends."""
    rates = one_cluster.mode_rates(beta, d, [0, 1, 2])
    first, second = rates[1] / (d - 1), rates[2] / (2 * d)  # I_{nu + l} / I_nu over beta
    assert rates[0] == 0
    # I_nu - I_{nu + 2} = (2 / beta) (nu + 1) I_{nu + 1}
    assert abs(d * first + beta * second - 1) < 1e-7
    if beta < 1e-2:
        assert abs(rates[1] / ((d - 1) / d) - 1) < 1e-5
    if beta > 1e6 * d:
        assert abs(rates[1] * beta / (d - 1) - 1) < 1e-5
    assert one_cluster.mode_rates(beta, d, [0, 1], False)[0] == 0


def test_thresholds_of_masses_that_are_far_apart():
    threshold = one_cluster.two_cluster_threshold(1e308, 1e-300)
    assert abs(threshold / (304 * np.log(10)) - 1) < 1e-14
    assert one_cluster.arc_rate(1.0, 1e308, 1e-300) == -1
    with np.errstate(all="raise", under="ignore"):
        assert one_cluster.clustering_rate(800.0, 3, 2, normalized=False) == 0


def test_the_rates_are_those_of_the_heat_equation_at_low_temperature():
    for d in (2, 3, 6):
        errors = [
            abs(one_cluster.mode_rates(beta, d, 3.0) * beta / (3 * (3 + d - 2)) - 1)
            for beta in (200.0, 400.0, 800.0)
        ]
        orders = np.log2(errors[:-1]) - np.log2(errors[1:])
        assert np.abs(orders - 1).max() < 0.05


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: one_cluster.clustering_rate(-1.0, 2, 2),
            "beta: must be a finite number",
        ),
        (lambda: one_cluster.clustering_rate(1.0, 1, 2), "dimension: must be an integer of at"),
        (lambda: one_cluster.clustering_rate(1.0, 3, 2, order=-2), "order: must be a finite"),
        (lambda: one_cluster.two_cluster_threshold(0.1, 0.9), "lighter: must be at most the he"),
        (lambda: one_cluster.mode_rates(1.0, 2, [0.5]), "degrees: must be whole numbers"),
        (lambda: one_cluster.poisson_mean(1.0, 1.0), "start: must be a number between 0 and 1"),
        (lambda: one_cluster.poisson_mean(0.5, -1.0), "time: must be non-negative; got -1"),
    ],
)
def test_bad_input_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
