"""Heads that change in time: descent fields, their energies, and the statements of the chapter."""

from pathlib import Path

import numpy as np
import pytest
from loading import load_tool
from scipy import integrate, special

import transpde as tp
from transpde.energy import (
    heads_balance,
    heads_dissipation,
    heads_energy,
    heads_power,
    wasserstein_gradient,
)
from transpde.ensembles import ornstein_uhlenbeck_heads
from transpde.records import load
from transpde.theory import head_descent

ROOT = Path(__file__).resolve().parents[1]

STORED = load("heads", ROOT / "book" / "frontier" / "data").arrays
runs = load_tool("frontier_heads")
OCTAHEDRON = np.vstack([np.eye(3), -np.eye(3)])
MOBILITIES = ("harmonic", "arithmetic", None)


def symmetric(rng, *shape):
    G = rng.normal(size=shape)
    return (G + np.swapaxes(G, -2, -1)) / 2


def clustered(n, spread):
    """Tokens near the corners of an octahedron."""
    rng = np.random.default_rng(42)
    x = OCTAHEDRON[rng.choice(6, n)] + spread * rng.normal(size=(n, 3))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def averaged(D):
    """Softmax heads, their mean; query I, key D_h, value -D_h / H."""
    return tp.MultiHead([tp.Softmax(np.eye(len(M)), M, -M / len(D)) for M in D])


def smooth(t, H):
    """Scores of H heads and their derivatives at t."""
    h = np.arange(H)
    psi = t + 2 * np.pi * h / H
    D, rate = np.zeros((2, H, 3, 3))
    entries = {
        (0, 0): (1 + np.cos(psi), -np.sin(psi)),
        (0, 1): (0.7 * np.sin(psi), 0.7 * np.cos(psi)),
        (0, 2): (0.4 * np.cos(psi + h), -0.4 * np.sin(psi + h)),
        (1, 1): (0.5 - np.sin(psi + 0.3 * h), -np.cos(psi + 0.3 * h)),
        (1, 2): (np.full(H, 0.3), np.zeros(H)),
        (2, 2): (-0.5 + 0.5 * np.cos(2 * psi), -np.sin(2 * psi)),
    }
    for (i, j), (value, slope) in entries.items():
        D[:, i, j] = D[:, j, i] = value
        rate[:, i, j] = rate[:, j, i] = slope
    return D, rate


# --- the attention -------------------------------------------------------------------------------


@pytest.mark.parametrize("space", [tp.Euclidean(), tp.Sphere()])
@pytest.mark.parametrize("mobility", MOBILITIES)
def test_the_field_is_minus_the_gradient_times_the_mobility(space, mobility):
    """The gradient by differences of energies from sums over pairs, which use no attention."""
    rng = np.random.default_rng(1)
    x, D = clustered(8, 0.5), symmetric(rng, 3, 3, 3)
    tokens = tp.Particles(x, np.arange(1, 9) / 36, space=space)

    def energy(measure):
        pairs = np.exp(np.einsum("ia,hab,jb->hij", measure.points, D, measure.points))
        return np.einsum("hij,i,j->", pairs, measure.weights, measure.weights) / 6

    assert heads_energy(tokens, D) == pytest.approx(energy(tokens), rel=1e-13)
    Z = np.einsum("hij,j->hi", np.exp(np.einsum("ia,hab,jb->hij", x, D, x)), tokens.weights)
    M = {"harmonic": (1 / Z).mean(0), "arithmetic": 1 / Z.mean(0), None: np.ones(8)}[mobility]
    wanted = -M[:, None] * wasserstein_gradient(tokens, energy)
    head = tp.HeadDescent(D, mobility)
    found = tokens.velocities(head(tokens))
    assert np.abs(found - wanted).max() <= 1e-9
    G = (tokens.weights * (found**2).sum(axis=1) / M).sum()
    assert heads_dissipation(tokens, D, mobility=mobility) == pytest.approx(G, rel=1e-12)


@pytest.mark.parametrize("mobility", MOBILITIES[:2])
def test_one_head_is_softmax(mobility):
    rng = np.random.default_rng(2)
    D, tokens = symmetric(rng, 2, 2), tp.Particles(rng.normal(size=(9, 2)))
    one, softmax = tp.HeadDescent(D[None], mobility), tp.Softmax(np.eye(2), D, -D)
    x = tokens.points
    assert np.abs(one(tokens)(x) - softmax(tokens)(x)).max() <= 1e-14
    assert np.abs(one.matrix(tokens) - softmax.matrix(tokens)).max() <= 1e-14


def test_without_a_mobility_it_is_a_sum_of_unnormalised_heads():
    rng = np.random.default_rng(3)
    D, x = symmetric(rng, 4, 3, 3), clustered(7, 0.3)
    heads = tp.MultiHead([tp.Unnormalized(np.eye(3), M, -M / 4) for M in D])
    tokens = tp.Particles(x, space=tp.Sphere())
    assert np.abs(tp.HeadDescent(D, None)(tokens)(x) - heads(tokens)(x)).max() <= 1e-13


@pytest.mark.parametrize("mobility", MOBILITIES)
def test_a_density_on_the_circle_is_its_tokens(mobility):
    D = symmetric(np.random.default_rng(4), 3, 2, 2)
    circle = tp.Circle.from_density(lambda t: (1 + 0.5 * np.sin(t)) / (2 * np.pi), 64)
    head, x = tp.HeadDescent(D, mobility), circle.points
    assert np.abs(head(circle)(x) - head(circle.particles)(x)).max() <= 1e-12
    path = tp.flow(circle, head, 0.2)
    moved = tp.flow(circle.particles, head, 0.2).final
    assert np.abs(path.final.mean - moved.mean).max() <= 1e-9


def test_many_tokens_and_many_cases_are_as_few():
    rng = np.random.default_rng(5)
    D, x = symmetric(rng, 2, 3, 3), clustered(300, 0.4)
    head, tokens = tp.HeadDescent(D), tp.Particles(x)
    rows = slice(0, 20)
    assert np.abs(head(tokens)(x)[rows] - head(tokens)(x[rows])).max() <= 1e-13
    many = tp.Particles(np.array([x, x[::-1]]))
    each = tp.HeadDescent(np.array([D, 2 * D]))(many)(many.points)
    for i, scale in enumerate((1, 2)):
        alone = tp.HeadDescent(scale * D)(many[i])(many[i].points)
        assert np.abs(each[i] - alone).max() <= 1e-13
        assert heads_energy(many, np.array([D, 2 * D]))[i] == pytest.approx(
            heads_energy(many[i], scale * D), rel=1e-13
        )


def test_scores_whose_exponentials_overflow_have_a_field():
    D = np.array([[[1200.0, 0.0], [0.0, 1000.0]], [[1199.0, 0.0], [0.0, 0.0]]])
    tokens = tp.Particles([[1.0, 0.0]])
    pull = -np.array([1200 * np.e + 1199, 0.0]) / 2  # over Z_2
    found = tp.HeadDescent(D)(tokens)([1.0, 0.0])
    assert found == pytest.approx(pull * (1 + np.exp(-1)) / 2, rel=1e-12)
    assert heads_energy(tokens, D) == np.inf


# --- the balance of energy -----------------------------------------------------------------------


def by_scipy(kind, H, n=60, end=3.0):
    """The balance at the end: energy, work and dissipation in one system of our own."""
    x0 = clustered(n, 0.3)

    def all_of_it(x, t):
        D, rate = smooth(t, H)
        Dx, Rx = np.einsum("hab,jb->hja", D, x), np.einsum("hab,jb->hja", rate, x)
        weights = np.exp(np.einsum("ia,hja->hij", x, Dx)) / n
        Z = weights.sum(axis=2)
        pull = np.einsum("hij,hja->hia", weights, Dx)
        energy = Z.mean() / 2
        power = np.einsum("hij,ia,hja->", weights, x, Rx) / (2 * H * n)
        gradient, b = pull.mean(axis=0), 1 / (1 / Z).mean(axis=0)
        v = {"harmonic": -gradient / b[:, None], None: -gradient,
             "averaged": -(pull / Z[..., None]).mean(axis=0)}[kind]  # fmt: skip
        v = v - (v * x).sum(axis=1, keepdims=True) * x
        G = ((1.0 if kind is None else b) * (v**2).sum(axis=1)).mean()
        return energy, power, v, G

    def derivative(t, state):
        _, power, v, G = all_of_it(state[:-2].reshape(n, 3), t)
        return np.append(v.ravel(), [power, G])

    start = np.append(x0.ravel(), [0.0, 0.0])
    done = integrate.solve_ivp(derivative, (0, end), start, "DOP853", rtol=1e-11, atol=1e-12)
    x = done.y[:-2, -1].reshape(n, 3)
    change = all_of_it(x, end)[0] - all_of_it(x0, 0.0)[0]
    return x, change, done.y[-2, -1], done.y[-1, -1]


@pytest.mark.parametrize(
    ("kind", "H", "share"),
    [("harmonic", 1, 0), ("harmonic", 4, 0), (None, 4, 0), ("averaged", 4, -0.111),
     ("averaged", 16, -0.103)],
)  # fmt: skip
def test_the_balance_of_energy_by_two_routes(kind, H, share):
    x, change, work, dissipation = by_scipy(kind, H)
    start = tp.Particles(clustered(60, 0.3), space=tp.Sphere())
    if kind == "averaged":

        def attention(t):
            return averaged(smooth(t, H)[0])
    else:

        def attention(t):
            return tp.HeadDescent(smooth(t, H)[0], kind)

    path = tp.flow(start, attention, np.linspace(0, 3, 201))
    assert np.abs(path.points[-1] - x).max() <= 1e-8
    balance = heads_balance(
        path, lambda t: smooth(t, H)[0], lambda t: smooth(t, H)[1], attention,
        None if kind is None else "harmonic",
    )  # fmt: skip
    ends = [float(part[-1]) for part in balance]
    assert ends == pytest.approx([change, work, dissipation], abs=2e-9)
    residual = change - work + dissipation
    if share == 0:
        assert abs(residual) <= 1e-9
        assert np.abs(balance.residual).max() <= 1e-8
    else:
        assert residual / dissipation == pytest.approx(share, abs=5e-4)


def test_power_is_the_derivative_of_the_energy_of_tokens_that_stand_still():
    tokens, h = tp.Particles(clustered(12, 0.3)), 1e-3
    D, rate = smooth(0.4, 3)
    E = {k: heads_energy(tokens, D + k * h * rate) for k in (-2, -1, 1, 2)}
    slope = (8 * (E[1] - E[-1]) - (E[2] - E[-2])) / (12 * h)
    assert heads_power(tokens, D, rate) == pytest.approx(slope, rel=1e-10)


def test_balances_of_scores_whose_exponentials_overflow():
    """What is zero stays zero, what a float holds is right, and what it does not hold says so."""
    crest = tp.Particles([[1.0, 0.0]], space=tp.Sphere())
    D = np.array([np.diag([800.0, 0.0]), np.diag([900.0, 1.0])])
    for mobility in MOBILITIES[:2]:
        assert heads_dissipation(crest, D, mobility=mobility) == 0
    with pytest.raises(OverflowError, match="velocity"):
        heads_dissipation(crest, D, mobility=None)
    assert heads_power(crest, D, 0 * D) == 0
    twice = np.repeat(D[:1], 2, axis=0)
    assert heads_power(crest, twice, [np.diag([1.0, 0.0]), np.diag([-1.0, 0.0])]) == 0
    assert heads_power(crest, D, D) == np.inf
    # Each head adds a constant to all scores: b and G^2 have its exponential as a factor.
    x = np.array([[1.0, 0.0], [0.6, 0.8]])
    tokens, small = tp.Particles(x, space=tp.Sphere()), np.array([[[0.3, 0.2], [0.2, -0.1]]])
    lifted, c = tp.Particles(np.hstack([x, np.ones((2, 1))])), 600.0
    up = np.zeros((1, 3, 3))
    up[:, :2, :2], up[:, 2, 2] = small, c
    turn = np.zeros((1, 3, 3))
    turn[:, :2, :2] = 1.0
    plain = heads_power(tp.Particles(x), small, turn[:, :2, :2])
    assert np.log(heads_power(lifted, up, turn)) == pytest.approx(np.log(plain) + c, rel=1e-12)
    silent = tp.Particles(np.vstack([x, [[0.0, -1.0]]]), [0.5, 0.5, 0.0], space=tp.Sphere())
    assert heads_dissipation(silent, small) == pytest.approx(
        heads_dissipation(tokens, small), rel=1e-14
    )
    assert heads_power(silent, small, small) == pytest.approx(
        heads_power(tokens, small, small), rel=1e-14
    )


def test_a_case_that_ends_leaves_the_balance_of_the_others_alone():
    D = np.array([0.5 * np.eye(2), np.eye(2)])
    ascent = tp.MultiHead([tp.Unnormalized(np.eye(2), M, M) for M in D])
    starts = tp.Particles([[[0.1, 0.0], [0.0, 0.1]], [[2.0, 1.0], [1.0, 2.0]]])
    times = np.linspace(0, 1, 33)

    def balance(measure):
        path = tp.flow(measure, ascent, times)
        return heads_balance(path, lambda t: D, lambda t: 0 * D, ascent, None)

    both, alone = balance(starts), balance(starts[0])
    for found, wanted in zip(both, alone, strict=True):
        assert found[:, 0] == pytest.approx(wanted, rel=1e-7, abs=1e-12)
        assert np.isnan(found[-1, 1])


# --- two opposed heads ---------------------------------------------------------------------------


def opposed(a, b):
    S = np.diag([1.0, -1.0])
    return np.array([a * S, -b * S])


def on_circle(theta):
    return tp.Particles([[np.cos(theta), np.sin(theta)]], space=tp.Sphere())


def test_the_averaged_token_climbs_and_the_reweighted_one_does_not():
    D, times = opposed(2.0, 1.0), np.linspace(0, 3, 61)
    path = tp.flow(on_circle(0.3), averaged(D), times)
    theta = np.arctan2(path.points[:, 0, 1], path.points[:, 0, 0])
    assert np.abs(theta - head_descent.opposed_angle(2, 1, 0.3, times)).max() <= 1e-9
    E = np.array([heads_energy(path[i], D) for i in range(len(path))])
    assert np.abs(E - head_descent.opposed_energy(2, 1, theta)).max() <= 1e-12
    valley = head_descent.opposed_valley(2, 1)
    crossing = np.log(np.tan(valley) / np.tan(0.3))
    found = [E[0], head_descent.opposed_energy(2, 1, valley), crossing,
             head_descent.opposed_energy(2, 1, np.pi / 2), theta[-1]]  # fmt: skip
    wanted = [1.412141, 0.472470, 1.408624, 0.713404, 1.411217]
    assert found == pytest.approx(wanted, abs=5e-7)
    assert (np.diff(E)[times[1:] < crossing] < 0).all()
    assert (np.diff(E)[times[:-1] > crossing] > 0).all()
    down = tp.flow(on_circle(0.3), tp.HeadDescent(D), np.linspace(0, 40, 81))
    E = np.array([heads_energy(down[i], D) for i in range(len(down))])
    assert (np.diff(E) <= 1e-13).all()
    end = down.points[-1, 0]
    assert np.arctan2(end[1], end[0]) == pytest.approx(valley, abs=1e-8)


def test_the_valley_is_the_smallest_energy_or_there_is_none():
    angles = np.linspace(0, np.pi / 2, 100001)
    for a, b in ((2.0, 1.0), (1.0, 3.0), (0.1, 0.05), (3.0, 2.9)):
        valley = head_descent.opposed_valley(a, b)
        lowest = angles[np.argmin(head_descent.opposed_energy(a, b, angles))]
        if abs(np.log(a / b)) < a + b:
            assert valley == pytest.approx(lowest, abs=2e-5)
        else:
            assert valley is None
            assert lowest in (0, np.pi / 2)


def test_angles_and_bounds_at_the_ends_of_the_floats():
    with pytest.raises(ValueError, match=r"^time: its axes must match those of start"):
        head_descent.opposed_angle(2, 1, [0.1, 0.2], [1.0, 2.0, 3.0])
    assert head_descent.opposed_angle(2, 1, [[0.1], [0.2]], [1.0, 2.0, 3.0]).shape == (2, 3)
    assert head_descent.opposed_energy(1e4, 1, 0.0) == np.inf
    assert np.isfinite(head_descent.opposed_energy(2, 1, 1e308))
    assert head_descent.dissipation_bound(0.5, 1000.0, 0.0) == 0.5
    small = head_descent.dissipation_bound(0.0, 800.0, 1e-300)
    assert np.log(2 * small) == pytest.approx(800 - 300 * np.log(10), rel=1e-12)
    assert head_descent.dissipation_bound(0.0, 1000.0, 1.0) == np.inf


def test_a_limit_of_the_averaged_flow_is_not_stationary():
    D = np.array([np.diag([2.0, 0.0]), [[0.0, 1.0], [1.0, 0.0]]])
    start = on_circle(-0.6)
    end = tp.flow(start, averaged(D), np.linspace(0, 60, 31)).final
    assert np.abs(end.points[0]) == pytest.approx([0.382683, 0.923880], abs=1e-6)
    assert np.abs(end.velocities(averaged(D)(end))).max() <= 1e-8
    gradient = end.velocities(tp.HeadDescent(D, None)(end))
    assert np.linalg.norm(gradient) == pytest.approx(0.299541, abs=1e-6)
    assert heads_energy(end, D) == pytest.approx(0.458342, abs=1e-6)
    lowest = min(heads_energy(on_circle(t), D) for t in np.linspace(0, np.pi, 2001))
    assert lowest == pytest.approx(0.437341, abs=1e-6)


# --- limits in time, and phases ------------------------------------------------------------------


def squares_on(start, scores, times):
    """G^2 of the averaged heads at times, whose first is 0."""
    path = tp.flow(start, lambda t: averaged(scores(t)), times, rtol=1e-9)
    return np.array(
        [
            heads_dissipation(path[i], scores(t), averaged(scores(t)))
            for i, t in enumerate(path.times)
        ]
    )


B = np.array([[0, 0, 1.0], [0, 0, 1.0], [1.0, 1.0, 0]])


@pytest.mark.parametrize("kind", ["integrable", "slow", "none"])
def test_what_integrability_of_the_variation_decides(kind):
    factor = {"integrable": lambda t: np.exp(-t), "slow": lambda t: np.sin(t) / (1 + t),
              "none": np.sin}[kind]  # fmt: skip
    start = tp.Particles(clustered(40, 0.05), space=tp.Sphere())

    def scores(t):
        return np.diag([1.0, 0.0, -2.0])[None] + factor(t) * B

    if kind == "integrable":
        times = np.linspace(0, 20, 41)
        G = squares_on(start, scores, times)
        assert G[-1] < 1e-16
        rate = np.polyfit(times[20:31], np.log(G[20:31]), 1)[0]
        assert rate == pytest.approx(-2, abs=0.1)
        path = tp.flow(start, lambda t: tp.HeadDescent(scores(t)), np.linspace(0, 20, 401))
        total = heads_balance(path, scores, lambda t: -np.exp(-t) * B[None]).dissipation[-1]
        bound = head_descent.dissipation_bound(
            heads_energy(start, scores(0)), 2 + np.sqrt(2), np.sqrt(2)
        )
        assert total < bound
    elif kind == "slow":
        G = squares_on(start, scores, np.concatenate([[0.0], np.linspace(151, 161, 41)]))[1:]
        assert 1.4e-6 < G[20:].max() < 1.7e-6
        assert G.max() < 156**-2
    else:
        G = squares_on(start, scores, np.concatenate([[0.0], np.linspace(20, 40, 81)]))[1:]
        assert 2e-5 < G.min() < 3e-4
        assert 2e-2 < G.max() < 8e-2


def oscillating(t, phases, lag=1):
    """Weights with dD/dt = T(t + phase) - D from T, or with no lag T itself."""

    def target(tau, lag):
        e1, e2 = np.exp(1j * tau) / (1 + 1j * lag), np.exp(2j * tau) / (1 + 2j * lag)
        T = np.zeros((len(tau), 3, 3))
        T[:, 0, 0], T[:, 1, 1] = 2 + 1.5 * e1.real, 2 + 1.5 * e1.imag
        T[:, 2, 2] = 2 + 1.5 * (e1 * np.exp(1j * np.pi / 4)).real
        T[:, 0, 1] = T[:, 1, 0] = e2.imag
        T[:, 0, 2] = T[:, 2, 0] = e1.imag
        T[:, 1, 2] = T[:, 2, 1] = e2.real
        return T

    return target(t + phases, lag) + np.exp(-t) * (target(phases, 0) - target(phases, lag)) * lag


def test_the_weights_follow_their_target():
    phases, t, h = np.array([0.0, 1.0]), 0.7, 1e-3
    D = {k: oscillating(t + k * h, phases) for k in (-2, -1, 1, 2)}
    slope = (8 * (D[1] - D[-1]) - (D[2] - D[-2])) / (12 * h)
    wanted = oscillating(t, phases, lag=0) - oscillating(t, phases)
    assert np.abs(slope - wanted).max() <= 1e-10


def test_phases_decide():
    """One head has the slope of any number in phase; with spread phases it collapses."""
    grid = np.linspace(0, 20, 101)
    start = tp.Particles(clustered(60, 0.05), space=tp.Sphere())

    def late(H, phased):
        phases = 2 * np.pi * np.arange(H) / H if phased else np.zeros(H)
        G = squares_on(start, lambda t: oscillating(t, phases), grid)[50:]
        return np.trapezoid(G, grid[50:]) / 10

    one = late(1, True)
    assert one == pytest.approx(0.3975, abs=0.0005)
    assert late(4, False) == pytest.approx(one, rel=1e-6)
    assert late(2, True) == pytest.approx(0.139, abs=0.002)
    for H, wanted in ((3, 3.6e-3), (4, 4.6e-4), (5, 7e-5)):  # they depend on the start
        assert wanted / 3 < late(H, True) < 3 * wanted


@pytest.mark.parametrize("width", [0.05, 0.1])
def test_the_field_of_spread_phases_is_its_mean_up_to_an_exponential(width):
    """The bound of the proposition, with its constants, and the observed fall."""
    x = clustered(30, 0.3)
    tokens = tp.Particles(x, space=tp.Sphere())
    strip = np.linspace(0, 2 * np.pi, 721)[:, None] + 1j * width * np.array([-1, 0, 1])
    e1, e2 = np.exp(1j * strip), np.exp(2j * strip)
    back1, back2 = np.exp(-1j * strip), np.exp(-2j * strip)
    c, s, c2, s2 = (e1 + back1) / 2, (e1 - back1) / 2j, (e2 + back2) / 2, (e2 - back2) / 2j
    turn = np.exp(1j * np.pi / 4)
    late = (e1 * turn + back1 / turn) / 2
    D = np.moveaxis(
        np.array([[2 + 1.5 * c, s2, s], [s2, 2 + 1.5 * s, c2], [s, c2, 2 + 1.5 * late]]),
        (0, 1), (-2, -1),
    )  # fmt: skip
    assert np.linalg.norm(D.imag, 2, axis=(-2, -1)).max() <= np.pi / 3
    M = np.linalg.norm(D, 2, axis=(-2, -1)).max()

    def field(H, shift):
        phases = shift + 2 * np.pi * np.arange(H) / H
        return tokens.velocities(averaged(oscillating(0.0, phases, lag=0))(tokens))

    mean, errors = field(64, 0.0), []
    for H in (2, 4, 8, 16):
        gaps = [np.linalg.norm(field(H, shift) - mean, axis=1).max() for shift in (0.0, 0.3)]
        errors.append(max(gaps))
        assert errors[-1] <= 4 * M / np.expm1(width * H)
    assert errors[-1] < 1e-5 * errors[0]


# --- random heads --------------------------------------------------------------------------------


def test_transitions_are_exact_and_each_head_has_its_own_seed():
    times = np.array([0.0, 0.3, 1.0])
    D = ornstein_uhlenbeck_heads(20000, 2, times, seed=3)
    S = D - np.eye(2)
    assert np.array_equal(D, np.swapaxes(D, -2, -1))
    for i, t in enumerate(times):
        assert np.abs(S[i].mean(axis=0)).max() < 4 * 20000**-0.5
        entries = S[i][:, [0, 0, 1], [0, 1, 1]]
        wanted = np.diag([1, 0.5, 1])
        assert np.abs(np.cov(entries.T) - wanted).max() < 0.045
        for j in range(i):
            lag = (S[i] * S[j]).mean(axis=0)
            decay = np.exp(-(t - times[j])) * np.array([[1, 0.5], [0.5, 1]])
            assert np.abs(lag - decay).max() < 0.045
    few = ornstein_uhlenbeck_heads(3, 2, times, seed=3)
    assert np.array_equal(few, D[:, :3])
    assert np.array_equal(ornstein_uhlenbeck_heads(3, 2, times[:2], seed=3), few[:2])
    fixed = ornstein_uhlenbeck_heads(2, 2, [0.0, 1e-12], seed=0, start=np.eye(2))
    assert np.abs(fixed - np.eye(2)).max() < 1e-5


def test_constants_of_the_law_against_draws_and_another_quadrature():
    law = head_descent.ornstein_uhlenbeck_law()
    rng = np.random.default_rng(6)
    S, T = symmetric(rng, 200000, 3, 3), symmetric(rng, 200000, 3, 3)

    def pull(S):
        D = np.eye(3) + S
        Dx = D[..., 0]
        r = np.linalg.norm(Dx, axis=1)
        m = ((1 / np.tanh(r) - 1 / r) / r)[:, None] * np.einsum("nab,nb->na", D, Dx)
        return m[:, 1:], np.sinh(r) / r, Dx[:, 0] / r, r

    first, Z, cosine, r = pull(S)
    for level in (0.3, 0.7, 1.0):
        other = pull(level * S + np.sqrt(1 - level**2) * T)[0]
        products = (first * other).sum(axis=1)
        k = np.arange(1, len(law.chaos) + 1)
        error = products.std() / np.sqrt(len(products))
        assert abs(products.mean() - (law.chaos * level**k).sum()) < 3.5 * error
    for found, draws in (
        (law.inverse, 1 / Z),
        (law.rates[0], 3 * (1 - 3 * (1 / np.tanh(r) - 1 / r) / r) * (3 * cosine**2 - 1)),
    ):  # i_2 / i_0 = 1 - 3 i_1 / (r i_0), and i_1 / i_0 = coth r - 1 / r
        assert abs(draws.mean() - found) < 3.5 * draws.std() / np.sqrt(len(draws))
    # The same by trapezoid sums over the plane, which share no nodes.
    xi, s = np.linspace(-9, 9, 601)[:, None], np.linspace(1e-9, 7, 1201)[None, :]
    simpson = np.append(np.tile([2.0, 4.0], 600), 1.0)
    simpson[0] = 1.0
    weight = np.exp(-(xi**2) / 2 - s**2) * s * simpson
    weight /= weight.sum()
    p = 1 + xi
    r = np.hypot(p, s)
    h = (1 / np.tanh(r) - 1 / r) / r
    square = (weight * h**2 * s**2 * ((1 + p) ** 2 + 1.5)).sum()
    assert square == pytest.approx(law.chaos.sum(), abs=1e-7)
    assert (weight * r / np.sinh(r)).sum() == pytest.approx(law.inverse, abs=1e-7)
    assert law.frozen == pytest.approx(0.6497, abs=5e-5)
    assert law.moving == pytest.approx((0.4975, 0.4982), abs=5e-5)
    assert law.chaos[:4] == pytest.approx([0.27797, 0.15916, 0.00356, 0.00075], abs=5e-6)
    assert law.rates[:2] == pytest.approx([0.38654, 0.0446], abs=5e-5)


def test_rates_are_positive_and_beyond_the_first_below_the_bound_of_their_moments():
    """By polar coordinates of Dx, in which the rate is an integral of positive coefficients."""
    rates = head_descent.ornstein_uhlenbeck_law(30).rates
    node, weight = np.polynomial.legendre.leggauss(200)
    r, c = 7 * (node[:, None] + 1), node[None, :]
    W = weight[:, None] * weight * r**2 * np.exp(-(r**2) + (r * c) ** 2 / 2 + r * c)
    W /= W.sum()
    moments = []
    for i, found in enumerate(rates):
        degree = 2 * (i + 1)
        bessel = special.spherical_in(degree, r) / special.spherical_in(0, r)
        part = W * bessel * special.eval_legendre(degree, c)
        assert found == pytest.approx(degree * (degree + 1) * part.sum(), rel=1e-7)
        odd = np.prod(np.arange(1.0, 2 * degree + 2, 2))
        moments.append(degree * (degree + 1) * (W * r**degree).sum() / odd)
    assert moments[1] == pytest.approx(64 / 189, rel=1e-10)
    assert (np.diff(moments) < 0).all()
    assert (rates > 0).all()
    assert (rates <= moments).all()
    assert moments[1] < rates[0]


def test_the_second_chaos_of_degree_four_against_a_projection_of_draws():
    """By draws of the moments, and the share 16/35 of degree 4 by a projection of (x.Sx)^2."""
    law, fourth = head_descent.ornstein_uhlenbeck_law(), head_descent._chaos()[1]
    assert 0 < fourth < law.chaos[1]
    rng = np.random.default_rng(7)
    S = symmetric(rng, 400000, 3, 3)
    # The coefficient of (x.Sx)^2 in the second chaos at x = e_1, from moments of log Z.
    Dx = np.eye(3)[0] + S[..., 0]
    r = np.linalg.norm(Dx, axis=1)
    F = np.log(np.sinh(r) / r)
    a = F * (S[:, 0, 0] ** 2 - 1)
    b = F * (1 - S[:, 1, 0] ** 2 - S[:, 2, 0] ** 2)
    draws = a / 2 + b
    root = np.sqrt(fourth * 35 / 320)
    assert abs(abs(draws.mean()) - root) < 3.5 * draws.std() / np.sqrt(len(draws))
    # E f(x)^2 = 16/35 for the part f of degree 4 of (x.Sx)^2 - 1: its kernel is 2 rho^4.
    node, weight = np.polynomial.legendre.leggauss(12)
    part = 9 * (weight * node**4 * np.polynomial.legendre.Legendre.basis(4)(node)).sum()
    assert part == pytest.approx(16 / 35, rel=1e-12)


# --- the stored runs -----------------------------------------------------------------------------


def test_stored_runs_have_the_constant_and_are_made_again():
    """Many heads: H G^2 within 3.5 errors of the law and 2 per cent, which the steps add."""
    law, heads = head_descent.ornstein_uhlenbeck_law(), runs.LAW["heads"]
    means = np.array([H * STORED[f"law, {H}"].mean() for H in heads])
    errors = np.array([H * STORED[f"law, {H}"].std(ddof=1) for H in heads]) / runs.REPLICAS**0.5
    middle, many = sum(law.moving) / 2, np.array(heads) >= 16
    assert (np.abs(means - middle) < 3.5 * errors + 0.02 * middle)[many].all()
    assert (means[many] < law.frozen - 3.5 * errors[many]).all()
    slope = np.polyfit(np.log(heads)[many], np.log(means / heads)[many], 1)[0]
    assert slope == pytest.approx(-1, abs=0.1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "REPLICAS", 1)
        again = runs.squares(runs.spiral(runs.LAW["tokens"]), 8, 40, runs.LAW["step"], 1)
    np.testing.assert_allclose(again[:, 0], STORED["first, 8"][:4], rtol=1e-9)


def test_the_balance_without_the_weights_motion_is_that_of_one_head_only():
    """The tokens' own share of the balance: zero up to the step for one head, not for more."""
    for H, least, most in ((1, 0.0, 0.02), (10, 0.25, 0.6), (30, 0.3, 0.6)):
        change, squares = STORED[f"balance, {H}"].T
        rest = np.abs(change + squares) / squares
        assert least <= rest.min()
        assert rest.max() <= most
    np.testing.assert_allclose(runs.balance(1, 0), STORED["balance, 1"][0], rtol=1e-9)


def test_exponent_of_the_figure_of_random_heads():
    late = [STORED[f"figure, {H}"][25:].mean() for H in runs.FIGURE["heads"]]
    slope = np.polyfit(np.log(runs.FIGURE["heads"]), np.log(late), 1)[0]
    assert slope == pytest.approx(-1, abs=0.12)
