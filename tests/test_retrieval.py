"""Lost in the middle: closed forms against integral equations, quadrature and direct counts."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import expm

from transpde.theory import retrieval

ORDERS = np.arange(1, 21)


def setting(beta=1.0, words=8):
    return retrieval.gain(beta, ORDERS), retrieval.codeword_weights(words, ORDERS)


# --- gains ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.2, 1.0, 4.0])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_gain_is_a_mode_of_the_second_derivative(beta, n):
    """-w'' is sum of 2 m^2 I_m cos(m phi); the trapezoid rule is exact to rounding."""
    phi = 2 * np.pi * np.arange(256) / 256
    bend = (beta * np.cos(phi) - (beta * np.sin(phi)) ** 2) * np.exp(beta * np.cos(phi))
    wanted = (bend * np.cos(n * phi)).mean()
    size = np.abs(bend).mean()
    assert abs(retrieval.gain(beta, n) - wanted) <= 1e-14 * size
    partition = np.exp(beta * np.cos(phi)).mean()
    assert abs(retrieval.gain(beta, n, normalised=True) - wanted / partition) <= 1e-13 * size


@pytest.mark.parametrize(("n", "printed"), [(1, -0.172237), (2, 0.476208), (3, 1.321855)])
def test_second_gain_is_that_of_two_tokens(n, printed):
    """The second token sees the first alone: its angle obeys phi' = w'(phi), from uniform."""
    for beta in (1.0, 0.3, 2.5):
        phi = 2 * np.pi * np.arange(512) / 512
        wave = np.exp(beta * np.cos(phi))
        slope = -beta * np.sin(phi) * wave
        bend = (-beta * np.cos(phi) + (beta * np.sin(phi)) ** 2) * wave
        second = -(n**2) * np.cos(n * phi) * slope**2 - n * np.sin(n * phi) * slope * bend
        assert retrieval.second_gain(beta, n) == pytest.approx(second.mean(), rel=1e-11)
    assert retrieval.second_gain(1.0, n) == pytest.approx(printed, abs=1e-6)


def test_largest_gains_are_the_printed_ones():
    for beta, largest in ((0.5, 0.257894), (1.0, 0.565159), (2.0, 2.755794), (3.0, 8.980850)):
        assert retrieval.gain(beta, ORDERS).max() == pytest.approx(largest, abs=1e-6)
    assert retrieval.gain(1.0, 2) == pytest.approx(0.542991, abs=1e-6)


# --- the closed form -----------------------------------------------------------------------------


def test_path_sum_is_its_series():
    for c, y in ((0.7, 3.0), (-2.5, 4.0), (6.0, 0.0), (1e-9, 50.0), (3.0, 40.0)):
        terms = [c ** (m + 1) * y**m / (math.factorial(m) * math.factorial(m + 1))
                 for m in range(80)]  # fmt: skip
        wanted = math.fsum(terms)
        assert abs(retrieval.path_sum(c, y) - wanted) <= 1e-14 * max(np.abs(terms))


def integral_equation(a, t, source, kernel, count=160):
    """g(t, .) at Legendre nodes of [source, 1] in log position, by no more than its equation.

    d g/dt = a (k(s, source) + int k(s, r) g(r) dr), g = 0 at t = 0, solved by an exponential.
    """
    nodes, _ = np.polynomial.legendre.leggauss(count)
    length = -np.log(source)
    s = source * np.exp(length * (nodes + 1) / 2)
    V = np.polynomial.legendre.legvander(nodes, count - 1)
    integrals = [np.polynomial.legendre.legint(row, lbnd=-1) for row in np.eye(count)]
    upper = np.polynomial.legendre.legvander(nodes, count) @ np.array(integrals).T
    rule = np.linalg.solve(V.T, upper.T).T  # row i: int from the source to s_i, nodes
    K = kernel(s[:, None], s[None]) * rule * s * length / 2
    block = np.zeros((count + 1, count + 1))
    block[:count, :count], block[:count, count] = a * K, a * kernel(s, source)
    found = expm(t * block)[:count, count]
    return float(np.polynomial.legendre.legval(1.0, np.linalg.solve(V, found)))


def alibi(discount):
    if discount == 0:
        return lambda s, r: 1 / s + 0 * r
    return lambda s, r: discount * np.exp(discount * r) / np.expm1(discount * s)


@pytest.mark.parametrize(("a", "t"), [(0.565159104, 1.0), (2.5, 2.0), (-1.0, 6.0)])
@pytest.mark.parametrize("discount", [0.0, 1.0, 6.0])
def test_correlation_solves_the_integral_equation(discount, a, t):
    for source in (0.05, 0.5, 0.95):
        wanted = integral_equation(a, t, source, alibi(discount))
        found = retrieval.correlation(a, t, discount, source)
        assert found == pytest.approx(wanted, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_every_factorising_discount_has_the_closed_form(gamma):
    """A = s^gamma: k = gamma r^(gamma - 1) / s^gamma and Y = gamma log(1 / source)."""
    for source in (0.1, 0.6):
        wanted = integral_equation(
            1.3, 1.5, source, lambda s, r: gamma * r ** (gamma - 1) / s**gamma
        )
        k, y = gamma * source ** (gamma - 1), -gamma * np.log(source)
        assert k * retrieval.path_sum(1.3 * 1.5, y) == pytest.approx(wanted, rel=1e-10)


def test_printed_values_of_the_closed_form():
    a, sources = retrieval.gain(1.0, 1), [0.05, 0.5, 0.95]
    with_it = retrieval.correlation(a, 1.0, 1.0, sources)
    assert np.abs(with_it - [0.823202, 0.705886, 0.869907]).max() <= 1e-6
    assert (
        np.abs(retrieval.correlation(a, 1.0, 0.0, sources) - [1.199340, 0.683324, 0.573390]).max()
        <= 1e-6
    )
    sources = [0.125, 0.25, 0.5, 0.75]
    away = retrieval.correlation(-a, 6.0, 1.0, sources)
    assert np.abs(away - [0.2254, 0.3286, -0.1448, -1.7856]).max() <= 1e-4
    for zero in (0.4588, 0.0446):
        sides = retrieval.correlation(-a, 6.0, 1.0, [zero - 1e-4, zero + 1e-4])
        assert sides[0] * sides[1] < 0


@pytest.mark.parametrize("discount", [0.0, 1.0, 30.0])
def test_memory_of_all_sources_is_an_exponential(discount):
    """K maps constants to themselves: the integral of g over the source is e^{at} - 1."""
    a, t = 0.8, 1.7

    def integrand(x):  # source = x^8: the singularity of a logarithm becomes smooth
        return retrieval.correlation(a, t, discount, x**8) * 8 * x**7

    total = quad(integrand, 0, 1, epsabs=1e-12, epsrel=1e-12, limit=400)[0]
    assert total == pytest.approx(np.expm1(a * t), rel=1e-9)


def test_position_scales_what_is_between():
    """For the token at s without discount everything scales; with it, ends agree at 1."""
    found = retrieval.correlation(1.2, 1.0, 0.0, 0.2, position=0.5)
    assert found == pytest.approx(2 * retrieval.correlation(1.2, 1.0, 0.0, 0.4), rel=1e-13)
    half = retrieval.correlation(1.2, 1.0, 3.0, 0.2, position=0.5)
    assert half == pytest.approx(2 * retrieval.correlation(1.2, 1.0, 1.5, 0.4), rel=1e-13)


# --- rollout -------------------------------------------------------------------------------------


@pytest.mark.parametrize("discount", [0.0, 1.0, 4.0])
def test_rollout_tends_to_the_closed_form_like_one_over_n(discount):
    a = retrieval.gain(1.0, 1)
    gaps = []
    for n in (100, 200, 400):
        C = retrieval.rollout(a, 1.0, retrieval.discount_weights(n, discount))
        source = np.array([0.25, 0.5, 0.75])
        found = n * C[-1, (n * source).astype(int) - 1]
        gaps.append(np.abs(found - retrieval.correlation(a, 1.0, discount, source)).max())
    assert np.abs(np.log2(np.divide(gaps[:-1], gaps[1:])) - 1).max() < 0.05


def test_rollout_is_the_sum_over_paths_and_adds_heads_in_the_exponent():
    W = np.array([retrieval.discount_weights(12, d) for d in (0.25, 8.0)])
    a, t = np.array([0.9, -0.6]), 1.3
    G, term, total = t * (a[0] * W[0] + a[1] * W[1]), np.eye(12), np.eye(12)
    for m in range(1, 12):  # strictly lower triangular: the twelfth power is zero
        term = term @ G / m
        total += term
    assert np.abs(retrieval.rollout(a, t, W) - total).max() <= 1e-14
    alone = [retrieval.rollout(one, t, w)[-1, 0] for one, w in zip(a, W, strict=True)]
    assert abs(total[-1, 0] - sum(alone)) > 0.02  # and not outside of it


def test_two_heads_of_the_page():
    a, n = retrieval.gain(1.0, 1), 64
    W = np.array([retrieval.discount_weights(n, d) for d in (0.25, 8.0)])
    joint = n * retrieval.rollout([a, -a], 1.0, W)[-1, n // 2 - 1]
    apart = n * sum(
        retrieval.rollout(s * a, 1.0, w)[-1, n // 2 - 1] for s, w in zip((1, -1), W, strict=True)
    )
    assert joint == pytest.approx(0.36984, abs=1e-5)
    assert apart == pytest.approx(0.68496, abs=1e-5)
    limit = sum(retrieval.correlation(s * a, 1.0, d, 0.5) for s, d in ((1, 0.25), (-1, 8.0)))
    assert limit == pytest.approx(0.67494, abs=1e-5)


# --- the shape -----------------------------------------------------------------------------------


def counted(gains, t, discount, shares, count=4001):
    """Interior extrema of the score by its values alone, on a grid in Y."""
    span = np.expm1(discount)
    y = (discount + 60) * np.linspace(0, 1, count)[1:] ** 3
    source = np.log1p(span * np.exp(-y)) / discount
    S = retrieval.profile(gains, t, discount, source[source > 0], shares)
    rises = np.sign(np.diff(S))
    turns = np.flatnonzero(rises[1:] * rises[:-1] < 0)
    return (rises[turns] < 0).sum(), (rises[turns] > 0).sum()


def test_critical_points_are_those_of_the_values():
    for beta, discount, words in ((0.2, 0.5, 4), (1.0, 1.0, 8), (3.0, 3.0, 32), (10.0, 8.0, 8)):
        gains, shares = setting(beta, words)
        limit = retrieval.critical_time(gains, discount, shares)
        for t in (0.2 * limit, 0.9 * limit, 1.1 * limit):
            found = retrieval.critical_points(gains, t, discount, shares)
            assert (len(found.minima), len(found.maxima)) == counted(gains, t, discount, shares)
    one = retrieval.critical_points([1.0], 2.0, 3.0)
    assert counted([1.0], 2.0, 3.0, None) == (len(one.minima), len(one.maxima)) == (1, 1)
    none = retrieval.critical_points([1.0], 2.0, 0.0)
    assert none.minima.size == none.maxima.size == 0


@pytest.mark.parametrize("words", [4, 32])
def test_shape_theorem_counts(words):
    """Slope below log 4: one minimum before the critical time, then none."""
    for beta in (0.2, 1.0, 3.0, 10.0):
        gains, shares = setting(beta, words)
        for discount in (0.5, 1.38, 2.0, 10.0):
            limit = retrieval.critical_time(gains, discount, shares)
            for share in (0.1, 0.5, 0.9, 0.999, 1.001, 1.1, 2.0):
                t = share * limit
                found = retrieval.critical_points(gains, t, discount, shares)
                if discount < np.log(4):
                    assert [len(one) for one in found] == [share < 1, 0]
                if t * gains.max() <= 1.5:  # whatever the slope
                    assert len(found.minima) + len(found.maxima) <= 1
                if share < 1:  # observed for every slope
                    assert [len(one) for one in found] == [1, 0]


def test_recency_ends_at_the_critical_time():
    """The slope of the score at the end changes sign there, by differences."""
    for beta, printed in ((0.5, 5.911579), (1.0, 2.457489), (2.0, 0.600716), (3.0, 0.174018)):
        gains, shares = setting(beta)
        limit = retrieval.critical_time(gains, 1.0, shares)
        assert limit == pytest.approx(printed, abs=1e-6)
        for factor, sign in ((0.99, 1), (1.01, -1)):
            ends = retrieval.profile(gains, factor * limit, 1.0, [1 - 1e-6, 1.0], shares)
            assert np.sign(ends[1] - ends[0]) == sign
        announced = min(3 - 3**0.5, 2 * (1 - np.exp(-1))) / gains.max()
        assert 0.05 < 1 - announced / limit < 0.25


def test_log_four_is_sharp_for_one_mode():
    """Above it a bump near the end stays when recency has ended; below it none appears."""
    for discount, bump in ((1.3, False), (1.5, True), (3.0, True)):
        limit = retrieval.critical_time([1.0], discount)
        found = retrieval.critical_points([1.0], 1.0005 * limit, discount)
        assert (len(found.maxima) == 1) == bump
    for c, minima, maxima in ((1.9, [0.2964], []), (2.0, [0.3226], [0.9378]), (2.4, [], [])):
        found = retrieval.critical_points([1.0], c, 3.0)
        for one, wanted in zip(found, (minima, maxima), strict=True):
            assert one.shape == (len(wanted),)
            assert np.abs(one - wanted).max(initial=0) < 2e-4
    two = retrieval.critical_points([1.0], 2.3, 3.0)
    assert len(two.minima) == len(two.maxima) == 1


def test_primacy_is_slower_than_every_power():
    """S over e^(2 sqrt(c log 1/s)) varies like a power of log: its local order in s tends to 0."""
    s = np.array([1e-3, 1e-6, 1e-12, 1e-24])
    S = retrieval.profile([1.0], 1.0, 1.0, np.concatenate([s, 2 * s])).reshape(2, -1)
    orders = np.log2(S[0] / S[1])
    assert (orders > 0).all()
    assert (np.diff(orders) < 0).all()
    predicted = 1 / np.sqrt(-np.log(s))
    assert np.abs(orders / predicted - 1)[-1] < 0.15


@pytest.mark.parametrize("discount", [1e-9, 1.0, 600.0])
def test_minima_at_little_depth_are_those_of_the_first_two_terms(discount):
    """Two terms of psi make 1/(1 + p e^y) = c / 2, that is e^(discount source) = 1 + c/(2 - c)."""
    for c in (1e-12, 1e-50, 1e-290):
        c *= min(discount, 1.0)
        minima, maxima = retrieval.critical_points([1.0], c, discount)
        assert minima == pytest.approx([np.log1p(c / (2 - c)) / discount], rel=1e-9)
        assert maxima.size == 0


def test_minima_stay_inside_up_to_the_critical_time():
    gains, shares = setting()
    limit = retrieval.critical_time(gains, 1.0, shares)
    for below in (1e-6, 1e-10, 1e-13, 1e-15):
        minima, maxima = retrieval.critical_points(gains, limit * (1 - below), 1.0, shares)
        assert minima.shape == (1,)
        assert maxima.shape == (0,)
        assert 1 - 10 * np.sqrt(below) < minima[0] < 1


def test_a_vanishing_discount_is_none():
    sources = np.array([1e-300, 1e-3, 0.7, 1.0])
    none = retrieval.correlation(1.3, 1.0, 0.0, sources)
    for discount in (1e-17, 1e-300, 1e-323):
        found = retrieval.correlation(1.3, 1.0, discount, sources)
        assert np.abs(found / none - 1).max() <= 1e-12


def test_critical_time_scales_with_the_gains():
    gains, shares = setting()
    for scale in (1e-200, 1e200):
        found = retrieval.critical_time(scale * gains, 1.0, shares / 1e150) * scale
        assert found == pytest.approx(retrieval.critical_time(gains, 1.0, shares), rel=1e-13)


def test_minima_walk_as_printed():
    gains, shares = setting()
    places = [0.06253, 0.12515, 0.25928, 0.41833, 0.63292, 0.75383, 0.92747]
    for t, wanted in zip((0.25, 0.5, 1, 1.5, 2, 2.2, 2.4), places, strict=True):
        found = retrieval.critical_points(gains, float(t), 1.0, shares).minima
        assert found == pytest.approx([wanted], abs=1e-5)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="source: must be at most the position"):
        retrieval.correlation(1.0, 1.0, 1.0, 0.8, position=0.5)
    with pytest.raises(ValueError, match="gains: must be positive"):
        retrieval.critical_points([-1.0], 1.0, 1.0)
    with pytest.raises(ValueError, match="weights: its number of heads"):
        retrieval.rollout([1.0, 2.0], 1.0, np.zeros((3, 3)))
    with pytest.raises(ValueError, match="order: must be integers"):
        retrieval.gain(1.0, 1.5)
    with pytest.raises(ValueError, match=r"gain: its axes must match .* got \(2,\)"):
        retrieval.correlation([1.0, 2.0], 1.0, 1.0, [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="strength: its axes must match"):
        retrieval.path_sum([1.0, 2.0], [0.1, 0.2, 0.3])
    with pytest.raises(OverflowError, match="Take less"):
        retrieval.critical_points([1.0], 1e6, 1.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: retrieval.path_sum(1e6, 1e6),
        lambda: retrieval.correlation(1e6, 1e6, 1.0, 0.5),
        lambda: retrieval.profile([1e6], 1e6, 1.0, 0.5),
        lambda: retrieval.rollout(1.0, 1e3, np.ones((2, 2))),
        lambda: retrieval.rollout(1e200, 1e200, np.eye(2)),
        lambda: retrieval.second_gain(500.0, 1),
        lambda: retrieval.critical_time([1e-308], 3.0),
    ],
)
def test_what_no_float_holds_is_an_error(call):
    with pytest.raises(OverflowError, match="no float holds the result"):
        call()
