"""Wasserstein distances against closed forms, POT and the axioms."""

import itertools
from fractions import Fraction

import mpmath
import numpy as np
import ot
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from problems import orthogonal
from scipy.linalg import sqrtm
from scipy.optimize import linear_sum_assignment

import transpde as tp
from transpde.distances import clouds


def test_bures_of_full_rank_agrees_with_matrix_roots():
    rng = np.random.default_rng(0)
    for d in (1, 2, 5):
        X, Y = rng.normal(size=(2, d, d))
        S, T = X @ X.T, Y @ Y.T
        root = sqrtm(S)
        classical = np.trace(S + T - 2 * np.real(sqrtm(root @ T @ root)))
        assert tp.bures(X, Y) == pytest.approx(np.sqrt(classical), rel=1e-7)


@pytest.mark.parametrize("ranks", list(itertools.product([1, 2, 3], [1, 2, 3])))
def test_bures_of_any_rank(ranks):
    """Against X^T Y's nuclear norm in 40 digits; invariant under rotations of the factors."""
    rng = np.random.default_rng(ranks)
    X, Y = (rng.normal(size=(3, r)) for r in ranks)
    with mpmath.workdps(40):
        product = mpmath.matrix(X.tolist()).T * mpmath.matrix(Y.tolist())
        nuclear = sum(mpmath.svd_r(product, compute_uv=False))
        squares = sum(mpmath.mpf(float(x)) ** 2 for x in [*X.ravel(), *Y.ravel()])
        exact = float(mpmath.sqrt(squares - 2 * nuclear))
    assert tp.bures(X, Y) == pytest.approx(exact, rel=1e-13)
    turned = X @ orthogonal(rng, ranks[0])
    assert tp.bures(turned, Y) == pytest.approx(exact, rel=1e-13)


@pytest.mark.parametrize("gap", [1e-3, 1e-8, 1e-12])
def test_bures_of_nearly_equal_covariances_keeps_its_digits(gap):
    X = np.array([[2.0, 0.0], [0.0, 1.0]])
    Y = X + np.diag([gap, -gap])
    assert tp.bures(X, Y) == pytest.approx(np.sqrt(2) * gap, rel=1e-3)
    assert tp.bures(X, X) <= 1e-15


def test_points_have_no_distance_in_shape():
    assert tp.bures(np.zeros((2, 1)), np.zeros((2, 3))) == 0.0
    assert tp.bures(np.zeros((4, 2, 1)), np.zeros((2, 3))).tolist() == [0.0] * 4
    same = [tp.Particles([[1.0, 2.0]] * n) for n in (1, 3)]
    assert tp.wasserstein(*same) == 0.0


def test_gaussian_distance_axioms_over_stacks():
    rng = np.random.default_rng(1)
    mu, nu, xi = (
        tp.Gaussian(rng.normal(size=(50, 3)), factor=rng.normal(size=(50, 3, r)))
        for r in (1, 2, 3)
    )
    d = tp.wasserstein
    assert d(mu, nu).shape == (50,)
    assert np.allclose(d(mu, nu), d(nu, mu), rtol=1e-13)
    assert (d(mu, xi) <= d(mu, nu) + d(nu, xi) + 1e-12).all()
    assert d(mu, mu).max() <= 1e-14
    moved = tp.Gaussian(mu.mean + np.array([3.0, 0.0, 4.0]), factor=mu.factor)
    assert np.allclose(d(mu, moved), 5.0)


@pytest.mark.parametrize("p", [1, 2, 3.5])
@pytest.mark.parametrize("d", [1, 3])
def test_clouds_agree_with_the_assignment_problem(p, d):
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 40, d))
    cost = np.linalg.norm(x[:, None] - y, axis=-1) ** p
    exact = cost[linear_sum_assignment(cost)].mean() ** (1 / p)
    assert tp.wasserstein(tp.Particles(x), tp.Particles(y), p) == pytest.approx(exact, rel=1e-12)


def test_weighted_clouds_on_a_line():
    rng = np.random.default_rng(3)
    x, y, a, b = rng.random((4, 30))
    a, b = a / a.sum(), b / b.sum()
    exact = ot.wasserstein_1d(x, y, a, b, p=2) ** 0.5
    mu, nu = tp.Particles(x[:, None], a), tp.Particles(y[:, None], b)
    assert tp.wasserstein(mu, nu) == pytest.approx(exact, rel=1e-10)
    assert tp.wasserstein(mu, mu) <= 1e-12
    assert tp.wasserstein(tp.Particles([[1.0]]), tp.Particles([[1.0]])) == 0.0


@pytest.mark.parametrize("p", [1, 1.5, 2, 3.5])
def test_clouds_on_a_line_agree_with_the_linear_program(p):
    """Weights of all sizes, ties, a token of weight zero; POT solves the same problem."""
    rng = np.random.default_rng(5)
    for _ in range(40):
        n, m = rng.integers(1, 30, size=2)
        x, y = np.round(rng.normal(size=n), 1), np.round(3 * rng.normal(size=m), 1)
        a, b = rng.gamma(0.3, size=n) + 1e-3, rng.gamma(2.0, size=m)
        a[rng.integers(n)] *= n == 1 or 0.0
        a, b = a / a.sum() if a.sum() else np.full(n, 1 / n), b / b.sum()
        exact = ot.emd2(a, b, np.abs(x[:, None] - y) ** p) ** (1 / p)
        mu, nu = tp.Particles(x[:, None], a), tp.Particles(y[:, None], b)
        assert tp.wasserstein(mu, nu, p) == pytest.approx(exact, rel=1e-9, abs=1e-12)
        # The same numbers on a line in the plane go through the linear program of the package.
        plane = [tp.Particles(c.points * [[0.6, 0.8]], c.weights) for c in (mu, nu)]
        assert tp.wasserstein(*plane, p) == pytest.approx(exact, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("p", [1, 2, 7.5])
def test_a_million_tokens_on_a_line(p):
    rng = np.random.default_rng(6)
    x, shift = rng.normal(size=(1_000_000, 1)), 1e-3
    mu, moved = tp.Particles(x), tp.Particles(x[rng.permutation(len(x))] + shift)
    assert tp.wasserstein(mu, moved, p) == pytest.approx(shift, rel=1e-11)
    assert tp.wasserstein(mu, tp.Particles(x[::-1]), p) == 0.0


@pytest.mark.parametrize("decimals", [1, 16])
def test_rounding_in_weights_is_no_distance(decimals):
    """The same measure, in another order or with split tokens, is at distance 0 on a line."""
    rng = np.random.default_rng(7)
    x, a = np.round(rng.normal(size=(5000, 1)), decimals), rng.dirichlet(np.ones(5000))
    order = rng.permutation(5000)
    assert tp.wasserstein(tp.Particles(x, a), tp.Particles(x[order], a[order])) == 0.0
    share = rng.random(5000)
    split = np.concatenate([share * a, (1 - share) * a])
    assert tp.wasserstein(tp.Particles(x, a), tp.Particles(np.tile(x, (2, 1)), split)) == 0.0


@pytest.mark.parametrize("size", [1e-300, 1e-120, 1e120, 1e300])
@pytest.mark.parametrize("p", [1, 2.5, 40])
def test_units_do_not_matter_on_a_line(size, p):
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=(2, 12, 1))
    base = tp.wasserstein(tp.Particles(x), tp.Particles(y[:7]), p)
    scaled = tp.wasserstein(tp.Particles(size * x), tp.Particles(size * y[:7]), p)
    assert scaled / size == pytest.approx(base, rel=1e-12)


def test_units_do_not_matter():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(2, 10, 2))
    base = tp.wasserstein(tp.Particles(x), tp.Particles(y))
    for size in (1e-120, 1e120):
        scaled = tp.wasserstein(tp.Particles(size * x), tp.Particles(size * y))
        assert scaled / size == pytest.approx(base, rel=1e-12)


# --- sizes and masses of any difference, against rational arithmetic -----------------------------


def power(x, y, p):
    """|x - y|^p as a fraction, from forty digits."""
    with mpmath.workdps(40):
        gaps = (mpmath.mpf(float(s)) - mpmath.mpf(float(t)) for s, t in zip(x, y, strict=True))
        found = mpmath.sqrt(sum(gap**2 for gap in gaps)) ** p
        if not found:
            return Fraction(0)
        digits, exponent = found.man_exp
        return Fraction(int(digits)) * Fraction(2) ** int(exponent)


def least_cost(cost, left, right):
    """The cost of the best plan by successive shortest paths; fractions, so without rounding."""
    n, m = len(left), len(right)
    left, right = list(left), list(right)
    flow = {(i, j): Fraction(0) for i in range(n) for j in range(m)}
    while any(left):
        distance, last = {("x", i): Fraction(0) for i in range(n) if left[i]}, {}
        for _ in range(n + m):
            for (i, j), carried in flow.items():
                for u, v, length, open_ in (
                    (("x", i), ("y", j), cost[i][j], True),
                    (("y", j), ("x", i), -cost[i][j], carried > 0),
                ):
                    if open_ and u in distance:
                        there = distance[u] + length
                        if v not in distance or there < distance[v]:
                            distance[v], last[v] = there, u
        end = min((("y", j) for j in range(m) if right[j]), key=distance.__getitem__)
        path, v = [], end
        while v in last:
            path.append((last[v], v))
            v = last[v]
        backwards = [flow[w[1], u[1]] for u, w in path if u[0] == "y"]
        amount = min(left[v[1]], right[end[1]], *backwards)
        for u, w in path:
            flow[(u[1], w[1]) if u[0] == "x" else (w[1], u[1])] += (
                amount if u[0] == "x" else -amount
            )
        left[v[1]] -= amount
        right[end[1]] -= amount
    return sum(carried * cost[i][j] for (i, j), carried in flow.items())


def exact_distance(mu, nu, p):
    """W_p of two clouds whose weights, as fractions, are divided by their sums."""
    weights = [[Fraction(float(w)) for w in m.weights] for m in (mu, nu)]
    weights = [[w / sum(some) for w in some] for some in weights]
    total = least_cost([[power(x, y, p) for y in nu.points] for x in mu.points], *weights)
    with mpmath.workdps(40):
        ratio = mpmath.mpf(total.numerator) / mpmath.mpf(total.denominator)
        return float(ratio ** (1 / mpmath.mpf(p)))


def clouds_of_all_sizes(seed, kind, log_size):
    """Two clouds of the plane; weights are multiples of 2^-40 and sum to one without rounding."""
    rng, size = np.random.default_rng(seed), 10.0**log_size
    n, m = rng.integers(2, 7, size=2)
    x, y = rng.normal(size=(n, 2)), rng.normal(size=(m, 2))
    weights = [np.full(k, 1 / k) for k in (n, m)]
    if kind in ("far tokens", "far weighted tokens"):
        x[-1], y[-1] = [0.5, size], [0.25, size]
    if kind == "scales":
        x, y = (c * size ** rng.uniform(-0.5, 0.5, size=(len(c), 1)) for c in (x, y))
    if kind in ("weights", "far weighted tokens"):
        draws = [np.floor(2.0 ** rng.uniform(2, 36, size=k)) for k in (n - 1, m - 1)]
        weights = [np.append(w, 2.0**40 - w.sum()) / 2.0**40 for w in draws]
    return tp.Particles(x, weights[0]), tp.Particles(y, weights[1])


@settings(max_examples=80)
@example(0, "far tokens", 8.0, 2)
@example(0, "far tokens", 4.0, 4)
@example(0, "far tokens", 2.0, 8)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["far tokens", "far weighted tokens", "scales", "weights"]),
    st.floats(0, 12),
    st.sampled_from([1, 1.5, 2, 4, 8, 20]),
)
def test_no_cost_drowns_in_a_larger_one(seed, kind, log_size, p):
    mu, nu = clouds_of_all_sizes(seed, kind, log_size)
    assert tp.wasserstein(mu, nu, p) == pytest.approx(exact_distance(mu, nu, p), rel=1e-9)


def test_a_far_token_beside_its_like():
    """Six tokens, of which one is at distance 10^8, against all 720 assignments."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 2)), rng.normal(size=(6, 2))
    x[-1], y[-1] = [0.5, 1e8], [0.25, 1e8]
    squares = ((x[:, None] - y) ** 2).sum(axis=-1)
    orders = itertools.permutations(range(6))
    exact = min(squares[np.arange(6), list(order)].mean() for order in orders) ** 0.5
    assert tp.wasserstein(tp.Particles(x), tp.Particles(y)) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("p", [80, 1e4])
def test_the_largest_distance_of_all_has_no_part_in_large_powers(p):
    """Powers of what the plan uses are zero beside those of the far pairs."""
    mu, nu = (tp.Particles([[1e-3, 0.0], [0.0, 1e6 + x]]) for x in (1.0, 2.0))
    assert tp.wasserstein(mu, nu, p) == pytest.approx(0.5 ** (1 / p), rel=1e-12)


@pytest.mark.parametrize("far", [1e3, 1e8])
def test_rounding_in_weights_moves_no_mass_between_far_clouds(far):
    """Halves at two places, whose weights sum to a half up to rounding."""
    rng = np.random.default_rng(9)
    a, b = (rng.dirichlet(np.ones(k), size=2).ravel() / 2 for k in (30, 40))
    x, y = rng.normal(size=(60, 2)), rng.normal(size=(80, 2))
    x[30:] += far
    y[40:] += far
    mu, nu = tp.Particles(x, a / a.sum()), tp.Particles(y, b / b.sum())
    halves = []
    for some in ((slice(30), slice(40)), (slice(30, None), slice(40, None))):
        pairs = zip((mu, nu), some, strict=True)
        parts = [tp.Particles(c.points[s], 2 * c.weights[s]) for c, s in pairs]
        halves.append(tp.wasserstein(*parts))
    exact = np.sqrt(np.mean(np.square(halves)))
    assert tp.wasserstein(mu, nu) == pytest.approx(exact, rel=1e-7 if far > 1e3 else 1e-9)


def test_no_proof_is_no_number(monkeypatch):
    """A plan that is not the best has prices that cannot prove it."""
    solved = ot.emd

    def spread(a, b, costs, **options):
        return a[:, None] * b / b.sum(), solved(a, b, costs, **options)[1]

    monkeypatch.setattr(ot, "emd", spread)
    rng = np.random.default_rng(10)
    mu, nu = (tp.Particles(rng.normal(size=(5, 2))) for _ in range(2))
    with pytest.raises(RuntimeError, match=r"no plan could be proved .* may cost \d.* more"):
        tp.wasserstein(mu, nu)


def monotone(mu, nu, p):
    """W_p on the line: the monotone coupling in fractions, its mean power in forty digits."""
    sides = []
    for m in (mu, nu):
        order = np.argsort(m.points[:, 0], kind="stable")
        masses = [Fraction(float(w)) for w in m.weights[order]]
        sides.append(([w / sum(masses) for w in masses], m.points[order, 0]))
    (a, x), (b, y) = sides
    with mpmath.workdps(40):
        i, j, total, order = 0, 0, mpmath.mpf(0), mpmath.mpf(p)
        while i < len(a) and j < len(b):
            moved = min(a[i], b[j])
            gap = abs(mpmath.mpf(float(x[i])) - mpmath.mpf(float(y[j])))
            total += mpmath.mpf(moved.numerator) / moved.denominator * gap**order
            a[i], b[j] = a[i] - moved, b[j] - moved
            i, j = i + (a[i] == 0), j + (b[j] == 0)
        return float(total ** (1 / order))


@settings(max_examples=200)
@given(
    st.integers(0, 10**6),
    st.sampled_from([1, 1.5, 2, 8, 80]),
    st.floats(0, 60),
    st.sampled_from(["any", "the same", "small far out"]),
)
@example(15444, 80, 10.5, "the same")
def test_masses_of_any_size_count_on_the_line(seed, p, decades, kind):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 12, size=2)
    a, b = (10.0 ** -rng.uniform(0, decades, size=k) for k in (n, m))
    x, y = (rng.normal(size=k) * 10.0 ** rng.uniform(-3, 3, size=k) for k in (n, m))
    if kind == "small far out":
        a, x = np.sort(a)[::-1], np.sort(np.abs(x))
    if kind == "the same":  # all levels agree, but for rounding, which may count with large p
        order = rng.permutation(n)
        x, a, b, y = np.sort(x), a, a[order], np.sort(rng.normal(size=n))[order]
    mu, nu = tp.Particles(x[:, None], a / a.sum()), tp.Particles(y[:, None], b / b.sum())
    meant = tp.Particles(y[:, None], mu.weights[order]) if kind == "the same" else nu
    assert tp.wasserstein(mu, nu, p) == pytest.approx(monotone(mu, meant, p), rel=1e-12)


def test_the_tails_of_a_quadrature_rule_decide_for_a_large_order():
    """From N(0, 1) to N(0, 4) every point moves by itself: W_p^p is the rule's sum of |x|^p."""
    rule = tp.Gaussian(mean=[0.0], factor=[[1.0]]).quadrature(120)
    double = tp.Particles(2 * rule.points, rule.weights)
    with mpmath.workdps(40):
        masses = [mpmath.mpf(float(w)) for w in rule.weights]
        powers = [mpmath.mpf(float(x)) ** 80 for x in rule.points[:, 0]]
        exact = float((mpmath.fdot(masses, powers) / sum(masses)) ** (1 / mpmath.mpf(80)))
    assert tp.wasserstein(rule, double, 80) == pytest.approx(exact, rel=1e-13)


def test_a_token_between_two_halves_counts():
    """Its mass, 10^-20, is far below rounding of the halves, and what it moves is not."""
    mu = tp.Particles([[0.0], [1e10], [2e10]], [0.5, 1e-20, 0.5])
    nu = tp.Particles([[0.0], [2e10]])
    assert tp.wasserstein(mu, nu) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("p", [2, 80])
def test_cells_of_small_mass_count_for_a_large_order(p):
    """Shares 1e-30 and one of two densities, each constant on two cells, moved by one and two."""
    low = 1e-30
    mu = tp.Grid([0.0, 1.0, 2.0], [low, 1.0])
    nu = tp.Grid([-1e3, -999.0, 2.0, 3.0], [low, 0.0, 1.0])
    with mpmath.workdps(40):
        share = mpmath.mpf(low) / (1 + mpmath.mpf(low))
        exact = float((share * mpmath.mpf(1000) ** p + (1 - share)) ** (1 / mpmath.mpf(p)))
    assert tp.wasserstein(mu, nu, p) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("p", [1, 2, 3.5, 80, 300])
@pytest.mark.parametrize("rise", [0.0, 1e-9, 1e-4, 1e-3, 0.1, 1.0, 3.0])
def test_a_density_against_one_of_another_width(p, rise):
    """Between uniform laws of widths 1 and 1 + rise the gap runs along a line: one integral."""
    mu, nu = tp.Grid([0.0, 1.0], [1.0]), tp.Grid([-1.0, rise], [1 / (1 + rise)])
    with mpmath.workdps(60):
        r, q = mpmath.mpf(nu.edges[0][1]), mpmath.mpf(p)
        antiderivative = [mpmath.sign(g) * abs(g) ** (q + 1) for g in (mpmath.mpf(1), 1 - r)]
        exact = (antiderivative[0] - antiderivative[1]) / ((q + 1) * r) if r else mpmath.mpf(1)
        exact = float(exact ** (1 / q))
    assert tp.wasserstein(mu, nu, p) == pytest.approx(exact, rel=1e-12)


# --- sizes near the ends of the range ------------------------------------------------------------


@pytest.mark.filterwarnings("error")
@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(-300, 300), st.integers(1, 4), st.integers(1, 4))
def test_gaussians_of_any_size(seed, power, r, s):
    """A power of two in the units comes out of the distance, to the bit."""
    rng, size = np.random.default_rng(seed), np.ldexp(1.0, power * 3)
    means, factors = rng.normal(size=(2, 3)), [rng.normal(size=(3, k)) for k in (r, s)]
    base, scaled = (
        [tp.Gaussian(mean=c * m, factor=c * X) for m, X in zip(means, factors, strict=True)]
        for c in (1.0, size)
    )
    assert tp.wasserstein(*scaled) == size * tp.wasserstein(*base)
    assert tp.bures(size * factors[0], size * factors[1]) == size * tp.bures(*factors)


def test_each_case_of_a_stack_has_its_own_size():
    eye, sizes = np.eye(2), np.array([1.0, 1e-170, 1e200])[:, None, None]
    found = tp.bures(sizes * eye, 3 * sizes * eye)
    assert found == pytest.approx(2 * np.sqrt(2) * sizes.ravel(), rel=1e-14)
    means = sizes[:, 0] * [3.0, 4.0]
    stack = tp.Gaussian(mean=means, factor=np.zeros((2, 1)))
    origin = tp.Gaussian(mean=[0.0, 0.0], factor=np.zeros((2, 1)))
    assert tp.wasserstein(stack, origin) == pytest.approx(5 * sizes.ravel(), rel=1e-14)


def test_a_length_out_of_range_beside_its_scale():
    """exp(s / 2) is no number, and the length 10^-300 exp(800) is."""
    mu = tp.Gaussian(mean=[0.0], factor=[[1e-300]], log_scale=1600.0)
    nu = tp.Gaussian(mean=[0.0], factor=[[0.0]])
    exact = float(mpmath.exp(800) * mpmath.mpf("1e-300"))
    assert tp.wasserstein(mu, nu) == pytest.approx(exact, rel=1e-12)


def test_close_tokens_beside_far_ones_keep_their_distance():
    """Squares of 10^-170 underflow; tokens on a line of the plane go through both solvers."""
    x, y = np.array([[1e-170, 0.0], [1.0, 0.0]]), np.array([[4e-170, 0.0], [1.0, 0.0]])
    for p in (1, 2, 3):
        exact = 3e-170 * 0.5 ** (1 / p)
        assert tp.wasserstein(tp.Particles(x), tp.Particles(y), p) == pytest.approx(exact)
        line = [tp.Particles(c[:, :1]) for c in (x, y)]
        assert tp.wasserstein(*line, p) == pytest.approx(exact)


@pytest.mark.parametrize(("n", "m"), [(6, 4), (3, 3), (7, 1)])
def test_flows_between_equal_weights_are_whole_numbers(n, m):
    masses = clouds._masses(np.full(n, 1 / n), np.full(m, 1 / m))
    for mass in masses:
        assert (mass == np.round(mass)).all()
        assert mass.sum() == n * m / np.gcd(n, m)
    uneven = np.full(n, 1 / n), np.arange(1.0, m + 2) / sum(range(m + 2))
    assert clouds._masses(*uneven)[1] is uneven[1]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda g, c: tp.wasserstein(g, g, p=1), ValueError, "p: must be 2 for Gaussians"),
        (
            lambda g, c: tp.wasserstein(c, c, p=0.5),
            ValueError,
            "p: must be a finite number of at least 1; got 0.5",
        ),
        (
            lambda g, c: tp.wasserstein(c, c, p=np.nan),
            ValueError,
            "p: must be a finite number of at least 1",
        ),
        (
            lambda g, c: tp.wasserstein(g, c),
            TypeError,
            "nu: must be of the same kind as mu, Gauss",
        ),
        (
            lambda g, c: tp.wasserstein(c, g),
            TypeError,
            "nu: must be of the same kind as mu, Particles; got Gaussian. Sample the Gaussian",
        ),
        (
            lambda g, c: tp.wasserstein(c, tp.Particles([[1.0]])),
            ValueError,
            "nu: its dimension must be that of mu, 2; got 1",
        ),
        (
            lambda g, c: tp.wasserstein(*[tp.Particles(np.ones((8000, 2)))] * 2),
            ValueError,
            "at most 5e.07 pairs of tokens fit; got 8000 and 8000, .* 4.61 GB. Subsample both",
        ),
        (lambda g, c: tp.wasserstein([0.0], c), TypeError, "mu: must be a measure; got list"),
        (
            lambda g, c: tp.bures(np.ones((2, 3, 1)), np.ones((4, 3, 1))),
            ValueError,
            r"Y: its leading axes must match those of X, \(2,\); got \(4,\)",
        ),
        (lambda g, c: tp.bures(np.eye(2), np.eye(3)), ValueError, "Y: its number of rows must"),
        (lambda g, c: tp.bures([[np.nan]], [[1.0]]), ValueError, "X: every entry must be finite"),
    ],
)
def test_bad_input(call, error, message):
    gaussian, cloud = tp.Gaussian([0.0, 0.0], factor=np.eye(2)), tp.Particles([[0.0, 1.0]])
    with pytest.raises(error, match=message):
        call(gaussian, cloud)
