"""Parts of the book's statements, each against its definition or a case worked by hand."""

import mpmath
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq

import transpde as tp
from transpde import theory
from transpde.theory import (
    ascent,
    freezing,
    mean_field,
    one_key,
    real,
    small_tokens,
    stability,
    stationary,
)
from transpde.theory.compact import radius_at
from transpde.theory.head_sums import head_sum

EYE = np.eye(2)


def head_of(A, V):
    return tp.Softmax(query=A, key=np.eye(len(A)), value=V)


# --- V = MA with M positive definite -------------------------------------------------------------


def test_ascent_wants_a_symmetric_product():
    A, turned = np.diag([1.0, 2.0]), np.array([[1.0, 0.4], [-0.4, 2.0]])
    assert ascent.direction(head_of(A, A)) == 1
    assert ascent.direction(head_of(A, -A)) == -1
    assert ascent.direction(head_of(A, turned)) == 0  # AV is not symmetric
    assert ascent.direction(head_of(EYE, np.array([[1.0, 0.1], [0.1, 1.0]]))) == 1


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("small", [1.0, 1e-7, 1e-14])
def test_the_sign_of_a_product_does_not_depend_on_its_units(sign, small):
    units = np.diag([1.0, small])
    V = units @ np.array([[1.0, 0.9], [0.9, 1.0]]) @ units  # definite, in units of its own
    assert ascent.direction(head_of(EYE, sign * V)) == sign


def test_a_product_without_diagonal_has_no_sign():
    assert ascent.direction(head_of(EYE, np.array([[0.0, 1.0], [1.0, 0.0]]))) == 0
    assert ascent.direction(head_of(EYE, np.diag([1.0, -1.0]))) == 0


# --- sums of heads -------------------------------------------------------------------------------


def test_affine_terms_of_a_sum_add():
    rng = np.random.default_rng(0)
    W, b = rng.normal(size=(3, 2, 2)), rng.normal(size=(3, 2))
    heads = [head_of(rng.normal(size=(2, 2)), EYE) for _ in range(3)]
    parts = [h + tp.AffineField(*affine) for h, *affine in zip(heads, W, b, strict=True)]
    found = head_sum(tp.MultiHead(parts))
    assert found.heads == tuple(heads)
    assert np.allclose(found.linear, W.sum(axis=0), rtol=1e-15)
    assert np.allclose(found.offset, b.sum(axis=0), rtol=1e-15)


def test_a_support_that_leaves_all_floats_is_infinite_and_no_nan():
    growing = head_of(EYE, 3 * EYE)
    assert theory.support_radius(growing, 1.0, 1e5) == np.inf
    pushed = growing + tp.AffineField(np.zeros((2, 2)), [1.0, 0.0])
    assert theory.support_radius(pushed, 1.0, 1e5) == np.inf


# --- rates of growth of L2 heads with V = cI ----------------------------------------------------


@pytest.mark.parametrize("c", [0.5, -2.0])
def test_the_rate_of_keys_apart_from_queries_in_closed_form(c):
    # K = (2I 0), Q = (0 3I): the precision is diag(1/4, 1/4, 1/9, 1/9), so that its root is 1/6,
    # kappa = 6, sigma = 2, and the rate 2 |c| 6 / 4 (1 + 4) = 15 |c|.
    K, Q = (np.hstack(pair) for pair in ((2 * EYE, 0 * EYE), (0 * EYE, 3 * EYE)))
    gaussian = tp.Gaussian(np.zeros(4), factor=np.eye(4))
    found = theory.growth_bound(tp.L2(query=Q, key=K, value=c * np.eye(4)), gaussian)
    assert found == pytest.approx(15 * abs(c), rel=1e-12)


def test_keys_and_queries_that_share_directions_have_no_rate():
    rng = np.random.default_rng(0)
    gaussian = tp.Gaussian(np.zeros(4), factor=np.eye(4))
    K, Q = rng.normal(size=(2, 3, 4))  # six rows in four dimensions
    assert theory.growth_bound(tp.L2(Q, K, np.eye(4)), gaussian) is None
    K, Q = rng.normal(size=(2, 2, 4))
    Q[1] = K[0]
    assert theory.growth_bound(tp.L2(Q, K, np.eye(4)), gaussian) is None


# --- mean field ----------------------------------------------------------------------------------


def test_twins_have_no_bound_where_no_rate_is_known():
    head = head_of(0.3 * EYE, EYE)
    mixed = tp.MultiHead([tp.Masked(head), head])
    assert theory.support_radius(mixed, 1.0, 1.0) is not None
    assert mean_field.twin_bound(mixed, radius=1.0, time=1.0) is None


@pytest.mark.parametrize("p", [1.5, 3.0, 8.0])
def test_masked_bounds_are_least_over_all_orders_below(p):
    alpha, v = 2.5, 1.7
    head = tp.Masked(head_of(alpha * EYE, v * EYE))
    q = np.linspace(1.0, p, 200_001)[:-1]
    c = np.maximum(1.0, 2 ** (2 / q - 1))
    factors = (1 + c * alpha) * np.exp(2 * alpha / q) * (p / (p - q)) ** (1 / q)
    found = mean_field.masked_bounds(head, radius=1.0, p=p).in_measure
    assert found == pytest.approx(v * factors.min(), rel=1e-6)


@pytest.mark.parametrize("p", [1.5, 4.0])
def test_masked_bounds_of_other_heads_are_those_of_the_plain_ones(p):
    head = tp.Masked(tp.L2(0.4 * EYE, 0.3 * EYE, EYE))
    known = theory.lipschitz_bounds(head, radius=0.7, p=p)
    assert mean_field.masked_bounds(head, radius=0.7, p=p) == known


# --- samples -------------------------------------------------------------------------------------


def test_velocities_on_the_line_are_exact_relative_to_how_they_differ():
    x = 1000 + np.linspace(-1.0, 1.0, 4000) ** 3
    found = freezing.line_velocity(x, tol=1e-6)
    head = tp.Softmax([[1.0]], [[1.0]], [[1.0]])
    exact = head(tp.Particles(x[:, None]))(x[:, None])[:, 0]
    assert np.abs(found - exact).max() <= 1e-6 * np.abs(exact - 1000).max()


# --- one key and one query -----------------------------------------------------------------------


@pytest.mark.parametrize("damped", [False, True])
@pytest.mark.parametrize("ratio", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("angle", [0.0, 0.4, 1.2, 2.0, 2.9])
def test_elementary_times_are_their_integrals(angle, ratio, damped):
    # Hypergeometric functions of the share of the query beside the key, |k| = 0.7, |q| = 1.3.
    k, q = np.array([0.7, 0.0]), 1.3 * np.array([np.cos(angle), np.sin(angle)])
    found = one_key._elementary_times(k, q, ratio, damped)
    a, c, kappa = 0.7, 1.3, mpmath.sin(angle) ** 2
    wanted = []
    for p, unit in ((1 + ratio, 1 / (a * c)), (1 - ratio, a / c))[: 1 + damped]:
        B = p / (2 * ratio)

        def part(z, B=B, p=p):
            return mpmath.hyp2f1(0.5, B, B + 1, z) / p

        if np.cos(angle) >= 0:
            value = part(kappa)
        else:
            value = 2 * part(1) * kappa ** (-p / (2 * ratio)) - part(kappa)
        wanted.append(float(value * unit))
    assert found == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.2, 2.0, 2.9])
@pytest.mark.parametrize("t", [1e-3, 0.4, 3.0])
def test_the_closed_covariance_of_one_key_solves_its_formula(angle, t):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3, 3))
    key = np.linalg.solve(X.T, [0.8, 0.0, 0.0])
    query = np.linalg.solve(X.T, 1.7 * np.array([np.cos(angle), np.sin(angle), 0.0]))
    found = one_key.covariance(X, key, query, t)
    h, g = X.T @ key, X.T @ query
    cross = np.outer(h, g) + np.outer(g, h)
    low, high = h @ g - 0.8 * 1.7, h @ g + 0.8 * 1.7

    def late(theta):
        logs = np.log1p(-theta * low) - np.log1p(-theta * high)
        return theta + 0.8 / 1.7 * logs - 2 * t

    if high < 1e-12:
        return
    theta = brentq(late, 0.0, (1 - 1e-15) / high, xtol=1e-16, rtol=1e-15)
    wanted = X @ np.linalg.inv(np.eye(3) - theta * cross) @ X.T
    assert np.allclose(found, wanted, rtol=1e-7, atol=1e-7 * np.abs(wanted).max())


# --- the limit of masked tokens ------------------------------------------------------------------


def test_the_limit_of_masked_tokens_has_the_digits_that_are_wanted():
    mean = tp.Masked(tp.Softmax([[0.0]], [[0.0]], [[1.0]]))
    x = mean_field.masked_limit(mean, lambda s, u: s + 0 * u, 1.0, tol=1e-11)
    s = np.linspace(0.0, 1.0, 9)
    assert np.abs(x(s, 0.3 + 0 * s) - s * np.exp(0.5)).max() <= 1e-11
    plane = tp.Masked(head_of(EYE, EYE))
    with pytest.raises(ValueError, match="attention: must be one head on the line"):
        mean_field.masked_limit(plane, lambda s, u: s + 0 * u, 1.0)


# --- what is decided up to rounding --------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_scores_that_never_help_are_known_up_to_rounding(seed):
    K = np.random.default_rng(seed).normal(size=(1, 3))
    head = tp.Softmax(query=-K, key=K, value=1.7 * np.eye(3))  # A = -K^T K, of rank one
    assert theory.growth_bound(head) == 0.0


@pytest.mark.parametrize("seed", range(20))
def test_scores_that_cancel_but_for_rounding_are_none(seed):
    rng = np.random.default_rng(seed)
    k, q, a, b = rng.normal(size=3), rng.normal(size=3), *rng.normal(size=(2, 2))
    K, Q = np.outer([*a, 1.0], k), np.outer([*b, -(a @ b)], q)  # K^T Q is 0 but for rounding
    assert theory.growth_bound(tp.Softmax(query=Q, key=K, value=1.7 * np.eye(3))) == 0.0


def test_no_vector_is_an_eigenvector_of_value_zero():
    assert one_key.eigenvalue(np.eye(2), np.zeros(2)) == (0.0, 0.0)


def test_one_key_has_a_blowup_time_where_both_rows_are_eigenvectors_alone():
    gaussian = tp.Gaussian(np.zeros(3), factor=np.diag([1.0, 1.0, 2.0]))
    row, other, turned = np.array([[1.0, 0, 0]]), np.array([[0, 1.0, 0]]), np.array([[1.0, 1, 0]])
    V = np.diag([1.0, 2.0, 3.0])
    assert theory.blowup_time(tp.Softmax(row, row, V), gaussian) == pytest.approx(0.5, rel=1e-12)
    assert theory.blowup_time(tp.Softmax(other, other, V), gaussian) == pytest.approx(0.25)
    for query, key in ((row, turned), (turned, row), (turned, turned)):
        assert theory.blowup_time(tp.Softmax(query, key, V), gaussian) is None


@pytest.mark.parametrize("c", [0.5, -2.0])
def test_the_rate_of_one_key_is_a_ratio_of_lengths(c):
    gaussian = tp.Gaussian([0.0, 0.0], factor=np.diag([1.0, 3.0]))
    head = tp.L2(query=[[0.0, 1.0]], key=[[2.0, 0.0]], value=c * EYE)  # |X q| = 3, |X k| = 2
    assert theory.growth_bound(head, gaussian) == pytest.approx(2 * abs(c) * 3 / 2, rel=1e-12)


@pytest.mark.parametrize("bad", [1.0, 0.0, -0.1, np.nan])
def test_tolerances_of_samples_lie_strictly_between_zero_and_one(bad):
    with pytest.raises(ValueError, match="tolerance: must be a number between 0 and 1"):
        freezing.cut_tilt(5.0, bad)


def test_only_values_of_one_sign_against_the_scores_exclude_a_blowup():
    gaussian = tp.Gaussian([0.0, 0.0], factor=np.diag([1.0, 2.0]))
    values, apart = -np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[0.3, 1.0], [-1.0, 0.2]])
    assert theory.blowup_bound(head_of(apart, values), gaussian) == np.inf
    assert theory.blowup_bound(head_of(-apart, -values), gaussian) == np.inf
    assert theory.blowup_bound(head_of(-0.2 * EYE, values), gaussian) != np.inf
    assert theory.blowup_bound(head_of(EYE, np.diag([-1.0, 2.0])), gaussian) != np.inf


@pytest.mark.parametrize("v", [0.5, -2.0])
def test_the_rate_of_l2_with_an_invertible_key_in_closed_form(v):
    # 2 |v| |K^T Q| over the square of the least singular value of K.
    head = tp.L2(query=np.diag([1.0, 0.5]), key=np.diag([2.0, 3.0]), value=v * EYE)
    assert theory.growth_bound(head) == pytest.approx(2 * abs(v) * 2.0 / 2.0**2, rel=1e-12)


@pytest.mark.parametrize("kind", [tp.Softmax, tp.L2, tp.Sinkhorn])
def test_the_terms_of_small_tokens_are_all_but_the_fourth_order(kind):
    rng = np.random.default_rng(0)
    K, Q, x = rng.normal(size=(2, 2)), rng.normal(size=(2, 2)), rng.normal(size=(6, 2))
    head = kind(Q, K, EYE)

    def error(size):
        tokens = tp.Particles(size * x)
        constant, rest = small_tokens.small_token_terms(head, tokens)
        return np.abs(head(tokens)(size * x) - constant - rest).max()

    assert np.log2(error(0.02) / error(0.01)) > 3.8


def test_the_explained_share_is_one_minus_a_ratio_at_any_size():
    o, p = np.array([[0.0], [2e-3]]), np.array([[0.0], [1e-3]])
    assert real.explained_share(o, p) == pytest.approx(0.5, rel=1e-12)
    for bad in (p[:1], np.hstack([p, p])):
        with pytest.raises(ValueError, match="predicted: its number of"):
            real.explained_share(o, bad)
    with pytest.raises(ValueError, match="outputs: must not be all equal"):
        real.explained_share(o[:1], p[:1])


def test_the_covariance_of_one_key_starts_at_its_velocity():
    rng = np.random.default_rng(3)
    X, key, query, t = rng.normal(size=(3, 3)), rng.normal(size=3), rng.normal(size=3), 1e-8
    h, g = X.T @ key, X.T @ query
    velocity = 2 / (1 + 2 * h @ h) * X @ (np.outer(h, g) + np.outer(g, h)) @ X.T
    found = (one_key.covariance(X, key, query, t) - X @ X.T) / t
    assert np.allclose(found, velocity, rtol=1e-5, atol=1e-5 * np.abs(velocity).max())


def test_tokens_that_no_key_sees_do_not_grow():
    gaussian = tp.Gaussian(np.zeros(3), factor=np.eye(3))
    head = tp.L2(query=np.eye(2, 3), key=np.zeros((2, 3)), value=np.eye(3))
    assert theory.log_growth_bound(head, gaussian, [0.0, 2.0]).tolist() == [0.0, 0.0]


# --- stability -----------------------------------------------------------------------------------


@pytest.mark.parametrize("g", [0.0, 0.3, 1.7])
@pytest.mark.parametrize("b", [0.0, 0.8])
@pytest.mark.parametrize("t", [0.2, 2.0, 5.0])
def test_the_integral_of_the_squared_radius(g, b, t):
    found = stability._integral_of_square((g, b), 1.3, np.array([t]))[0]
    wanted = quad(lambda s: radius_at((g, b), 1.3, np.asarray(s)) ** 2, 0, t, epsrel=1e-12)[0]
    assert found == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize("make", [tp.Masked, lambda h: tp.Sinkhorn(h.query, h.key, h.value)])
def test_orders_of_masked_and_sinkhorn_heads_are_not_bounded(make):
    head = make(head_of(0.5 * EYE, EYE))
    found = theory.order_bounds(head, 1.0, np.inf)
    assert found.in_measure is None
    assert found.in_space == theory.lipschitz_bounds(head, 1.0).in_space


def test_masked_heads_are_stable_with_the_factor_of_hardy():
    head = tp.Masked(head_of(0.2 * EYE, 0.5 * EYE))
    bounds = theory.lipschitz_bounds(head, radius=1.0, p=2.0)
    found = theory.stability_bound(head, radius=1.0, time=1e-6, p=2.0)
    assert np.log(found) == pytest.approx(1e-6 * (bounds.in_space + bounds.in_measure), rel=1e-4)


def test_no_self_similar_covariance_is_found_where_there_is_none():
    first = tp.Softmax(EYE, EYE, np.diag([-1.0, 1.0]))  # det(VA) < 0
    other = tp.Softmax(np.diag([-1.0, -0.5]), EYE, np.diag([-1.0, 2.0]))
    for head, guess in ((first, np.diag([0.6, 0.4])), (other, 0.5 * EYE)):
        with pytest.raises(ValueError, match="guess: no self-similar covariance"):
            stationary.self_similar(head, guess)
