"""The conditional Wasserstein distance, and Hardy's inequality that masked attention rests on."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

import transpde as tp
from transpde import theory
from transpde.theory import mean_field

ORDERS = (1.5, 2, 3, 4)
distance = tp.conditional_wasserstein


def level_laws(rng, levels, tokens=None):
    """Positions of `levels` levels with one to three tokens each, and the mass of every level."""
    tokens = rng.integers(1, 4, size=levels) if tokens is None else tokens
    mass = rng.gamma(rng.choice([0.2, 1.0, 5.0]), size=levels) + 1e-6
    return np.sort(rng.random(levels)), tokens, mass / mass.sum()


def masked_measure(rng, laws, dimension, size=1.0, shift=None):
    """Random tokens in the ball of radius `size` with the given law of positions, in any order."""
    levels, tokens, mass = laws
    positions = np.repeat(levels, tokens)
    weights = np.concatenate([m * rng.dirichlet(np.ones(k)) for m, k in zip(mass, tokens)])  # noqa: B905
    points = rng.normal(size=(len(positions), dimension))
    points *= (size * rng.random(len(points)) / np.linalg.norm(points, axis=1))[:, None]
    if shift is not None:  # a token stays near the other measure's
        points = shift[np.searchsorted(levels, positions)] + 0.1 * points
    order = rng.permutation(len(positions))
    return tp.Particles(points[order], (weights / weights.sum())[order], positions[order])


def level_distances(mu, nu, p):
    """W_p between the conditionals, level by level, through `wasserstein` alone."""
    levels = np.unique(mu.positions)

    def conditional(measure, s):
        here = measure.positions == s
        return tp.Particles(
            measure.points[here], measure.weights[here] / measure.weights[here].sum()
        )

    return np.array([tp.wasserstein(conditional(mu, s), conditional(nu, s), p) for s in levels])


# --- the distance ------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [1, *ORDERS])
@pytest.mark.parametrize("d", [1, 2])
def test_it_is_the_mean_of_the_distances_of_conditionals(p, d):
    rng = np.random.default_rng([int(2 * p), d])
    laws = level_laws(rng, 6)
    mu, nu = (masked_measure(rng, laws, d) for _ in range(2))
    exact = (laws[2] @ level_distances(mu, nu, p) ** p) ** (1 / p)
    assert distance(mu, nu, p) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("p", [1, *ORDERS])
@pytest.mark.parametrize("d", [1, 2])
def test_axioms_over_random_triples(p, d):
    rng = np.random.default_rng([d, int(10 * p)])
    for _ in range(40):
        laws = level_laws(rng, rng.integers(1, 6))
        mu, nu, xi = (masked_measure(rng, laws, d) for _ in range(3))
        assert distance(mu, nu, p) == pytest.approx(distance(nu, mu, p), rel=1e-13)
        assert distance(mu, xi, p) <= distance(mu, nu, p) + distance(nu, xi, p) + 1e-12
        assert distance(mu, nu, p) > 1e-3
        assert distance(mu, nu, p) >= tp.wasserstein(mu, nu, p) - 1e-9
        order = rng.permutation(len(mu.weights))
        same = tp.Particles(mu.points[order], mu.weights[order], mu.positions[order])
        assert distance(mu, same, p) <= 1e-7 * (d > 1)


def test_an_exchange_between_positions_is_seen_by_it_alone():
    rng = np.random.default_rng(0)
    x, s = rng.normal(size=(5, 2)), np.arange(5.0)
    exchanged = x[[0, 3, 2, 1, 4]]
    mu, nu = tp.Particles(x, positions=s), tp.Particles(exchanged, positions=s)
    assert tp.wasserstein(mu, nu) <= 1e-8
    gap = np.linalg.norm(x[1] - x[3])
    assert distance(mu, nu) == pytest.approx(np.sqrt(2 / 5) * gap, rel=1e-14)
    attention = tp.Masked(tp.Softmax(np.eye(2), np.eye(2), np.eye(2)))
    fields = [attention(measure)([[0.3, 0.1]], [2.0]) for measure in (mu, nu)]
    assert np.abs(fields[0] - fields[1]).max() > 0.1


def test_ties_share_a_level_and_positions_without_mass_are_left_out():
    mu = tp.Particles([[0.0], [1.0], [9.0]], [0.5, 0.5, 0.0], [1.0, 1.0, 0.0])
    nu = tp.Particles([[1.0], [0.0]], positions=[1.0, 1.0])
    assert distance(mu, nu) == 0.0
    moved = tp.Particles([[1.0], [0.0]], positions=[1.0 + 1e-12, 1.0 + 1e-12])
    assert distance(mu, moved) == 0.0


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_laws_of_positions_agree_to_within_rounding_of_the_largest(size):
    x, s = np.array([[0.0], [1.0], [3.0]]), size * np.array([1.0, 2.0, 3.0])
    moved = tp.Particles(x, positions=s * (1 + 2e-10))
    assert tp.conditional_wasserstein(tp.Particles(x, positions=s), moved) == 0.0
    with pytest.raises(ValueError, match="nu: "):
        tp.conditional_wasserstein(
            tp.Particles(x, positions=s), tp.Particles(x, positions=1.01 * s)
        )


@pytest.mark.parametrize("size", [1e-120, 1e120])
def test_units_do_not_matter(size):
    rng = np.random.default_rng(1)
    laws = level_laws(rng, 4)
    mu, nu = (masked_measure(rng, laws, 2) for _ in range(2))
    scaled = [tp.Particles(size * m.points, m.weights, m.positions) for m in (mu, nu)]
    assert distance(*scaled, 3) / size == pytest.approx(distance(mu, nu, 3), rel=1e-12)


@pytest.mark.parametrize(("size", "p"), [(1e8, 2), (1e4, 4), (1e2, 8)])
def test_no_cost_of_a_level_drowns_in_a_larger_one(size, p):
    """Two levels of five tokens, one of each far away, against all assignments within levels."""
    rng = np.random.default_rng(2)
    x, y, s = *rng.normal(size=(2, 10, 2)), np.repeat([0.0, 1.0], 5)
    x[[4, 9]], y[[4, 9]] = [0.5, size], [0.25, size]
    orders = list(itertools.permutations(range(5)))
    costs = np.linalg.norm(x[:, None] - y, axis=-1) ** p
    blocks = costs[:5, :5], costs[5:, 5:]
    least = [min(c[np.arange(5), list(order)].mean() for order in orders) for c in blocks]
    exact = np.mean(least) ** (1 / p)
    found = distance(tp.Particles(x, positions=s), tp.Particles(y, positions=s), p)
    assert found == pytest.approx(exact, rel=1e-12)


TOKENS = tp.Particles([[0.0], [1.0]], positions=[0.0, 1.0])


@pytest.mark.parametrize(
    ("mu", "nu", "p", "error", "message"),
    [
        (
            TOKENS,
            tp.Gaussian([0.0], factor=[[1.0]]),
            2,
            TypeError,
            "nu: must be Particles .*; got Gauss",
        ),
        (
            tp.Gaussian([0.0], factor=[[1.0]]),
            TOKENS,
            2,
            TypeError,
            "mu: must be Particles with pos",
        ),
        ([[0.0]], TOKENS, 2, TypeError, "mu: must be Particles with positions; got list"),
        (TOKENS, tp.Particles([[1.0]]), 2, ValueError, "nu: must have positions; got none. Give"),
        (
            TOKENS,
            tp.Particles([[0.0], [1.0]], positions=[0.0, 2.0]),
            2,
            ValueError,
            "first difference is at level 1: mu has position 1 with mass 0.5, nu has position 2",
        ),
        (
            TOKENS,
            tp.Particles([[0.0], [1.0]], [0.25, 0.75], [0.0, 1.0]),
            2,
            ValueError,
            "at level 0: mu has position 0 with mass 0.5, nu has position 0 with mass 0.25",
        ),
        (
            tp.Particles([[0.0], [1.0], [2.0]], [0.5, 0.5 - 1e-10, 1e-10], [0.0, 1.0, 2.0]),
            TOKENS,
            2,
            ValueError,
            "at level 2: mu has position 2 with mass 1e-10, nu has no more",
        ),
        (
            TOKENS,
            tp.Particles([[0.0, 0.0], [1.0, 0.0]], positions=[0.0, 1.0]),
            2,
            ValueError,
            "nu: its dimension must be that of mu, 1; got 2",
        ),
        (TOKENS, TOKENS, 0.5, ValueError, "p: must be a finite number of at least 1; got 0.5"),
        (TOKENS, TOKENS, np.inf, ValueError, "p: must be a finite number of at least 1; got inf"),
    ],
)
def test_bad_input(mu, nu, p, error, message):
    with pytest.raises(error, match=message):
        distance(mu, nu, p)


# --- Hardy's inequality: (Tf)(s) = mean of f over [0, s] -----------------------------------------


def norm(f, mass, p):
    return ((mass * (f / f.max()) ** p).sum() ** (1 / p)) * f.max()


def averages(f, mass):
    """Tf for theta with the masses of its levels in order."""
    return np.cumsum(mass * f) / np.cumsum(mass)


def atomless_ratio(f, lengths, p):
    """The ratio |Tf| / |f| in L^p(0, 1) for f constant on intervals of the given lengths.

    On an interval from a to b the average is f + c/s, and the integral of its p-th power is taken
    by 40 Gauss-Legendre nodes in log s (the first interval: Tf = f).
    """
    ends = np.cumsum(lengths)
    total = np.cumsum(lengths * f)
    z, w = np.polynomial.legendre.leggauss(40)
    a, b = np.log(ends[:-1]), np.log(ends[1:])
    s = np.exp((a + b)[:, None] / 2 + (b - a)[:, None] / 2 * z)
    mean = f[1:, None] + ((total - f * ends)[1:, None]) / s
    integral = ((b - a)[:, None] / 2 * w * mean**p * s).sum() + lengths[0] * f[0] ** p
    return (integral / (lengths * f**p).sum()) ** (1 / p)


def adversarial(rng, s, p):
    """A non-negative function that is bad for averages: near s^(-1/p), or random, or one peak."""
    kind = rng.integers(4)
    if kind == 0:
        return rng.random(len(s)) ** rng.integers(1, 6)
    if kind == 1:
        return s ** (-1 / p) * np.exp(0.2 * rng.normal(size=len(s)))
    if kind == 2:
        return s ** (-rng.random() / p)
    return np.where(np.arange(len(s)) == rng.integers(len(s)), 1.0, 1e-3)


@pytest.mark.parametrize("p", ORDERS)
def test_hardys_factor_is_never_exceeded_by_distances_of_conditionals(p):
    """300 random pairs of masked measures for each p, 1,200 in all; atoms of all sizes, ties."""
    rng = np.random.default_rng(int(10 * p))
    largest = largest_atomless = 0.0
    for trial in range(300):
        laws = level_laws(rng, rng.integers(2, 12))
        d = 1 + trial % 2
        mu = masked_measure(rng, laws, d)
        # half of the pairs are near each other where many tokens see them, apart at early places
        centre = np.array([mu.points[mu.positions == s].mean(axis=0) for s in laws[0]])
        apart = np.cumsum(laws[2])[:, None] ** (-1 / p) * rng.normal(size=(1, d))
        nu = masked_measure(rng, laws, d, shift=centre + apart if trial % 4 > 1 else None)
        f = level_distances(mu, nu, 1 if trial % 3 else p)
        ratio = norm(averages(f, laws[2]), laws[2], p) / norm(f, laws[2], p)
        largest = max(largest, ratio)
        largest_atomless = max(largest_atomless, atomless_ratio(f, laws[2], p))
    print(f"p = {p}: {largest:.4f} atoms, {largest_atomless:.4f} atomless, of {p / (p - 1):.4f}")
    assert 1 < largest <= p / (p - 1)
    assert 1 < largest_atomless <= p / (p - 1)


@pytest.mark.parametrize("p", ORDERS)
def test_hardys_factor_is_never_exceeded_by_adversarial_functions(p):
    rng = np.random.default_rng(int(10 * p) + 1)
    largest = np.zeros(2)
    for _ in range(500):
        n = rng.integers(2, 200)
        mass = rng.gamma(rng.choice([0.2, 1.0, 10.0]), size=n) + 1e-9
        mass = np.sort(mass)[:: rng.choice([-1, 1])] if rng.random() < 0.5 else mass
        if rng.random() < 0.5:
            mass = np.geomspace(1e-12, 1, n)
        mass /= mass.sum()
        f = adversarial(rng, np.cumsum(mass), p)
        atoms = norm(averages(f, mass), mass, p) / norm(f, mass, p)
        largest = np.maximum(largest, [atoms, atomless_ratio(f, mass, p)])
    print(f"p = {p}: {largest[0]:.4f} atoms, {largest[1]:.4f} atomless, of {p / (p - 1):.4f}")
    assert (largest <= p / (p - 1)).all()
    assert (largest >= 1 + 0.75 / (p - 1)).all()


def test_hardys_factor_is_approached_for_p_2():
    """By f = s^(-a), a -> 1/2, on ever finer levels: with atoms and without."""
    s = np.geomspace(1e-40, 1, 8000)
    lengths, found = np.diff(s, prepend=0.0), {}
    for a in (0.4, 0.45, 0.48, 0.49, 0.499):
        f = s ** (-a)
        atoms = norm(averages(f, lengths), lengths, 2) / norm(f, lengths, 2)
        found[a] = atoms, atomless_ratio(f, lengths, 2)
        print(f"a = {a}: {found[a][0]:.4f} with atoms, {found[a][1]:.4f} without, of 2")
    best = np.max(list(found.values()), axis=0)
    assert (best >= 1.9).all()
    assert (best <= 2).all()
    # Without a cut-off the ratio is 1 / (1 - a) for each a < 1/2.
    assert found[0.4][1] == pytest.approx(1 / 0.6, rel=2e-3)


def test_the_integral_of_an_average_agrees_with_its_closed_form():
    """p = 2: the integral of (f + c/s)^2 is elementary on each interval."""
    rng = np.random.default_rng(2)
    lengths, f = rng.dirichlet(np.ones(30)), rng.random(30)
    b = np.cumsum(lengths)
    a, c = b - lengths, np.cumsum(lengths * f) - b * f
    exact = (f**2 * lengths)[0]
    exact += (f**2 * lengths)[1:].sum()
    exact += (2 * f * c)[1:] @ np.log(b[1:] / a[1:]) + (c**2)[1:] @ (1 / a[1:] - 1 / b[1:])
    assert atomless_ratio(f, lengths, 2) == pytest.approx(
        np.sqrt(exact / (lengths @ f**2)), rel=1e-12
    )


@pytest.mark.parametrize("n", [1, 2, 3, 10, 100, 1000, 10_000])
def test_at_p_1_the_norm_of_n_equal_atoms_is_the_harmonic_number(n):
    harmonic = (
        float(sum(Fraction(1, k) for k in range(1, n + 1)))
        if n <= 1000
        else np.log(n) + np.euler_gamma + 1 / (2 * n) - 1 / (12 * n**2)
    )
    mass = np.full(n, 1 / n)
    attained = averages(np.eye(1, n)[0], mass) @ mass / mass[0]
    assert attained == pytest.approx(harmonic, rel=1e-12)
    # The norm on L^1 is the largest column sum: one column for each place of a single peak.
    column = np.cumsum(1 / np.arange(n, 0, -1))[::-1]
    assert column.max() == pytest.approx(harmonic, rel=1e-12)
    assert abs(attained - np.log(n) - np.euler_gamma) <= 1 / (2 * n)


# --- the consequence for the field of masked attention -------------------------------------------


def softmax_measure_constant(Q, K, V, R):
    """L_mu of a softmax head in W_1 on the ball of radius R: |V| (1 + 2|A|R^2) exp(2|A|R^2)."""
    score = np.linalg.norm(K.T @ Q, 2) * R**2
    return np.linalg.norm(V, 2) * (1 + 2 * score) * np.exp(2 * score)


@pytest.mark.parametrize("p", ORDERS)
def test_field_of_masked_softmax_is_lipschitz_in_the_conditional_distance(p):
    """|Gamma_mu - Gamma_nu| in L^p(theta) <= L_mu p/(p-1) d_p, at the same points x for both."""
    rng = np.random.default_rng(int(10 * p) + 2)
    largest = 0.0
    for trial in range(150):
        laws = level_laws(rng, rng.integers(2, 10))
        R = rng.choice([0.05, 0.3, 1.0])
        mu = masked_measure(rng, laws, 2, R)
        centre = np.array([mu.points[mu.positions == s].mean(axis=0) for s in laws[0]])
        nu = masked_measure(rng, laws, 2, R, shift=0.8 * centre if trial % 2 else None)
        assert np.linalg.norm(nu.points, axis=1).max() <= R
        Q, K, V = rng.normal(size=(3, 2, 2))
        attention = tp.Masked(tp.Softmax(Q, K, V))
        x = rng.normal(size=(len(laws[0]), 2))
        x *= R / np.linalg.norm(x, axis=1)[:, None]
        gap = attention(mu)(x, laws[0]) - attention(nu)(x, laws[0])
        bound = softmax_measure_constant(Q, K, V, R) * p / (p - 1) * distance(mu, nu, p)
        largest = max(largest, norm(np.linalg.norm(gap, axis=1), laws[2], p) / bound)
    print(f"p = {p}: the field's gap reaches {largest:.3f} of its bound")
    assert 0.01 < largest <= 1


def least_constant(alpha, p, count=4001):
    """The smallest L_q (p/(p-q))^(1/q) over a grid of orders q, for |V| = 1."""
    q = np.linspace(1, p, count)[:-1]
    c = np.maximum(1, 2 ** (2 / q - 1))
    return ((1 + c * alpha) * np.exp(2 * alpha / q) * (p / (p - q)) ** (1 / q)).min()


@pytest.mark.parametrize("p", [1.01, *ORDERS, 50.0])
@pytest.mark.parametrize("alpha", [0.0, 0.1, 1.0, 4.0])
def test_least_masked_constant(alpha, p):
    """Within 1e-4 of a grid of orders, and never above the constant with q = 1."""
    head = tp.Masked(tp.Softmax([[alpha]], [[1.0]], [[2.0]]))
    found = mean_field.masked_bounds(head, 1.0, p).in_measure
    assert found == pytest.approx(2 * least_constant(alpha, p), rel=1e-4)
    assert found <= theory.lipschitz_bounds(head, 1.0, p).in_measure * (1 + 1e-12)


def test_masked_bounds_of_other_heads_and_sums():
    one = np.eye(1)
    soft, sig = tp.Masked(tp.Softmax(4 * one, one, one)), tp.Masked(tp.Sigmoid(one, one, one))
    both = mean_field.masked_bounds(tp.MultiHead([soft, sig]), 1.0)
    parts = [mean_field.masked_bounds(head, 1.0) for head in (soft, sig)]
    assert both.in_measure == pytest.approx(sum(part.in_measure for part in parts), rel=1e-12)
    assert parts[1] == theory.lipschitz_bounds(sig, 1.0)
    assert mean_field.masked_bounds(soft, 1.0, np.inf).in_measure == pytest.approx(5.0)
    assert mean_field.masked_bounds(soft, 1.0, 1.0).in_measure is None
    with pytest.raises(TypeError, match="attention: must be made of masked heads"):
        mean_field.masked_bounds(soft.head, 1.0)
    with pytest.raises(ValueError, match="p: must be a number of at least 1"):
        mean_field.masked_bounds(soft, 1.0, 0.5)


@pytest.mark.parametrize("p", ORDERS)
def test_field_of_masked_softmax_obeys_the_least_constant(p):
    """Light grains far away, at early positions: what makes the constant of softmax large."""
    rng, largest = np.random.default_rng(int(10 * p) + 3), 0.0
    for _ in range(150):
        alpha, n = rng.choice([0.5, 2.0, 4.0]), rng.integers(2, 30)
        head = tp.Masked(tp.Softmax([[alpha]], [[1.0]], [[1.0]]))
        mass = np.geomspace(10.0 ** -rng.uniform(0, 6), 1, n)
        mass, s = mass / mass.sum(), np.arange(n)
        grain = 1 / (1 + np.exp(rng.uniform(0, 2 * alpha)))
        f = np.cumsum(mass) ** (-rng.random() / p)
        shift = 0.3 * f / f.max() * rng.choice([0.1, 1.0])
        weights = np.concatenate([mass * (1 - grain), mass * grain])
        clouds = [
            tp.Particles(np.append(np.full(n, -1.0), 1 - z)[:, None], weights, np.append(s, s))
            for z in (0 * shift, shift)
        ]
        fields = [head(z)(np.ones((n, 1)), s)[:, 0] for z in clouds]
        bound = mean_field.masked_bounds(head, 1.0, p).in_measure * distance(*clouds, p)
        largest = max(largest, norm(np.abs(fields[0] - fields[1]), mass, p) / bound)
    print(f"p = {p}: {largest:.3f} of the least constant")
    assert 0.03 < largest <= 1


@pytest.mark.parametrize("p", ORDERS)
def test_without_scores_the_masked_constant_is_sharp(p):
    """A = 0, point masses f e with f = F^(-a): the gap of fields tends to |V| p/(p-1) d_p."""
    V = np.array([[1.0, 2.0], [-0.5, 0.3]])
    _, sizes, W = np.linalg.svd(V)
    F = np.geomspace(10.0 ** (-9 * p), 1, 3000)  # so that all tokens are above rounding
    mass, s = np.diff(F, prepend=0.0), np.arange(3000)
    f = (F / F[0]) ** (-0.98 / p)  # at most 1: supports in the unit disc
    clouds = [tp.Particles(z, mass, s) for z in (np.zeros((3000, 2)), np.outer(f, W[0]))]
    head = tp.Masked(tp.Softmax(np.zeros((1, 2)), np.zeros((1, 2)), V))
    gap = head(clouds[1])(np.zeros((3000, 2)), s)
    ratio = norm(np.linalg.norm(gap, axis=1), mass, p) / norm(f, mass, p)
    constant = mean_field.masked_bounds(head, 1.0, p).in_measure
    assert constant == pytest.approx(sizes[0] * p / (p - 1), rel=1e-12)
    assert 0.85 * constant <= ratio <= constant


def test_plain_distance_cannot_bound_the_field():
    """Two tokens exchanged between positions: W_p of the tokens is 0, the field moves."""
    x, s = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.5]]), np.array([0.0, 0.5, 1.0])
    mu, nu = tp.Particles(x, positions=s), tp.Particles(x[[1, 0, 2]], positions=s)
    assert list(itertools.accumulate([tp.wasserstein(mu, nu, p) for p in ORDERS])) == [0.0] * 4
    attention = tp.Masked(tp.Softmax(np.eye(2), np.eye(2), np.eye(2)))
    gap = attention(mu)([x[2]], [0.0]) - attention(nu)([x[2]], [0.0])
    assert np.linalg.norm(gap) == pytest.approx(np.sqrt(2), rel=1e-14)
