"""Wasserstein distances against closed forms, POT and the axioms."""

import itertools

import mpmath
import numpy as np
import ot
import pytest
from problems import orthogonal
from scipy.linalg import sqrtm
from scipy.optimize import linear_sum_assignment

import transpde as tp


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
        tp.Gaussian(rng.normal(size=(50, 3)), rng.normal(size=(50, 3, r))) for r in (1, 2, 3)
    )
    d = tp.wasserstein
    assert d(mu, nu).shape == (50,)
    assert np.allclose(d(mu, nu), d(nu, mu), rtol=1e-13)
    assert (d(mu, xi) <= d(mu, nu) + d(nu, xi) + 1e-12).all()
    assert d(mu, mu).max() <= 1e-14
    moved = tp.Gaussian(mu.mean + np.array([3.0, 0.0, 4.0]), mu.factor)
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


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda g, c: tp.wasserstein(g, g, p=1), ValueError, "p: must be 2 for Gaussians"),
        (lambda g, c: tp.wasserstein(c, c, p=0.5), ValueError, "p: must be at least 1; got 0.5"),
        (lambda g, c: tp.wasserstein(c, c, p=np.nan), ValueError, "p: must be a positive finite"),
        (
            lambda g, c: tp.wasserstein(g, c),
            TypeError,
            "nu: must be of the same kind as mu, Gauss",
        ),
        (
            lambda g, c: tp.wasserstein(c, tp.Particles([[1.0]])),
            ValueError,
            "nu: its dimension must be that of mu, 2; got 1",
        ),
        (
            lambda g, c: tp.wasserstein(*[tp.Particles(np.ones((8000, 2)))] * 2),
            ValueError,
            "at most 5e.07 pairs of tokens fit; got 8000 and 8000, .* 3.2 GB. Subsample both",
        ),
        (
            lambda g, c: tp.wasserstein(
                *[tp.Particles(np.diag([1e-3, x])) for x in (1, 2)], p=1e4
            ),
            ValueError,
            "p: so large, 10000, that powers of the smallest distances",
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
    gaussian, cloud = tp.Gaussian([0.0, 0.0], np.eye(2)), tp.Particles([[0.0, 1.0]])
    with pytest.raises(error, match=message):
        call(gaussian, cloud)
