"""Measures: moments, coordinates, sampling, quadrature, fields, bad input."""

import numpy as np
import pytest
from scipy import stats

import transpde as tp

GAUSSIAN = tp.Gaussian([1.0, -1.0], factor=[[2.0, 0.0], [1.0, 0.5]])
STACK = tp.Gaussian(
    np.ones((3, 2)), factor=np.arange(12.0).reshape(3, 2, 2), log_scale=[0.0, 1.0, -1.0]
)
TOKENS = tp.Particles([[0.0, 1.0], [2.0, 3.0], [4.0, -1.0]], [0.5, 0.25, 0.25])


@pytest.mark.parametrize("measure", [GAUSSIAN, STACK, TOKENS])
def test_unpack_inverts_pack_and_normalising_changes_nothing(measure):
    again = measure.unpack(measure.pack())
    assert np.array_equal(again.pack(), measure.pack())
    assert np.allclose(measure.prepared().covariance, measure.covariance, rtol=1e-14)
    assert np.array_equal(measure.prepared().mean, measure.mean)


def test_moments_of_particles():
    assert np.array_equal(TOKENS.mean, [1.5, 1.0])
    expected = np.cov(TOKENS.points.T, aweights=TOKENS.weights, bias=True)
    assert np.allclose(TOKENS.covariance, expected, rtol=1e-15)
    assert np.array_equal(tp.Particles([[1.0], [2.0]]).weights, [0.5, 0.5])


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_from_covariance_keeps_the_covariance_and_its_rank(rank):
    X = np.random.default_rng(rank).normal(size=(4, 3, rank))
    gaussian = tp.Gaussian.from_covariance(np.zeros(3), X @ np.swapaxes(X, -2, -1))
    assert gaussian.factor.shape == (4, 3, rank)
    assert np.abs(gaussian.covariance - X @ np.swapaxes(X, -2, -1)).max() <= 1e-13
    zero = tp.Gaussian.from_covariance([0.0, 0.0], np.zeros((2, 2)))
    assert zero.factor.shape == (2, 1)
    assert np.array_equal(zero.direction, np.zeros((2, 2)))
    assert zero.log_size == -np.inf


def test_from_covariance_of_zeros_and_of_a_stack_of_several_ranks():
    S = np.array([np.diag([2.0, 3.0, 0.0]), np.ones((3, 3)), np.zeros((3, 3)), 1e-200 * np.eye(3)])
    gaussian = tp.Gaussian.from_covariance(np.zeros(3), S[:3])
    assert gaussian.factor.shape == (3, 3, 2)
    assert np.allclose(gaussian.covariance, S[:3], rtol=0, atol=1e-14)
    small = tp.Gaussian.from_covariance(np.zeros(3), S[3])
    assert np.allclose(small.covariance, S[3], rtol=1e-14, atol=0)


@pytest.mark.parametrize("X", [[[1.0], [2.0]], [[1.0, 0.5, 0.0], [2.0, 0.0, 1.0]]])
def test_draws_of_any_number_of_columns(X):
    gaussian = tp.Gaussian([3.0, -1.0], factor=X, log_scale=2.0)
    draws = gaussian.sample(20_000, seed=5)
    assert draws.points.shape == (20_000, 2)
    assert np.allclose(draws.mean, gaussian.mean, atol=0.2)
    assert np.allclose(draws.covariance, gaussian.covariance, rtol=0.05)
    rule = gaussian.quadrature(4)
    assert len(rule.points) == 4 ** len(X[0])
    assert np.allclose(rule.covariance, gaussian.covariance, rtol=1e-13)


def test_direction_and_size():
    assert np.trace(STACK.direction, axis1=-2, axis2=-1) == pytest.approx(np.ones(3))
    trace = np.trace(STACK.covariance, axis1=-2, axis2=-1)
    assert STACK.log_size == pytest.approx(np.log(trace))
    huge = tp.Gaussian([0.0], factor=[[1.0]], log_scale=2000.0)
    assert huge.log_size == 2000.0
    with pytest.raises(OverflowError, match="covariance: larger than a floating point number"):
        _ = huge.covariance


@pytest.mark.parametrize("size", [1e-200, 1e-160, 1.0, 1e160, 1e200])
def test_direction_and_size_of_factors_of_any_size(size):
    gaussian = tp.Gaussian([0.0, 0.0], factor=size * np.array([[1.0], [1.0]]))
    assert np.abs(gaussian.direction - 0.5).max() <= 1e-15
    assert gaussian.log_size == pytest.approx(2 * np.log(size) + np.log(2), rel=1e-14)
    head = tp.L2(*[np.eye(2)] * 3)
    by_scale = tp.Gaussian([0.0, 0.0], factor=[[1.0], [1.0]], log_scale=2 * np.log(size))
    gap = head(gaussian).linear - head(by_scale).linear
    assert np.abs(gap).max() <= 1e-12 * np.abs(head(by_scale).linear).max()


def test_covariances_near_the_largest_float_are_kept():
    S = 1e308 * np.ones((2, 2))
    gaussian = tp.Gaussian.from_covariance([0.0, 0.0], S)
    assert gaussian.factor.shape == (2, 1)
    assert np.abs(gaussian.covariance / 1e308 - 1).max() <= 1e-14


def test_quadrature_is_exact_on_polynomials():
    rule = GAUSSIAN.quadrature(5)
    assert rule.points.shape == (25, 2)
    assert np.allclose(rule.mean, GAUSSIAN.mean, atol=1e-14)
    assert np.allclose(rule.covariance, GAUSSIAN.covariance, atol=1e-13)
    x = rule.points - rule.mean
    S = GAUSSIAN.covariance
    fourth = rule.weights @ (x[:, 0] ** 2 * x[:, 1] ** 2)
    assert fourth == pytest.approx(S[0, 0] * S[1, 1] + 2 * S[0, 1] ** 2, rel=1e-12)  # Isserlis


def test_samples_follow_the_measure_and_the_seed():
    draws = GAUSSIAN.sample(4000, seed=1)
    white = np.linalg.solve(GAUSSIAN.factor, (draws.points - GAUSSIAN.mean).T)
    assert min(stats.kstest(row, "norm").pvalue for row in white) > 0.01
    assert np.array_equal(draws.points, GAUSSIAN.sample(4000, seed=1).points)
    assert not np.array_equal(draws.points, GAUSSIAN.sample(4000, seed=2).points)
    again = TOKENS.sample(4000, seed=3)
    assert np.isin(again.points[:, 0], TOKENS.points[:, 0]).all()
    assert np.abs(again.mean - TOKENS.mean).max() < 0.15


def test_push_is_the_image_by_the_field():
    field = tp.AffineField([[0.0, 1.0], [-1.0, 0.5]], [1.0, 2.0])
    M = np.eye(2) + 0.1 * field.linear
    pushed = GAUSSIAN.push(field, 0.1)
    assert np.allclose(pushed.mean, M @ GAUSSIAN.mean + 0.1 * field.offset, atol=1e-15)
    assert np.allclose(pushed.covariance, M @ GAUSSIAN.covariance @ M.T, atol=1e-14)
    assert np.allclose(TOKENS.push(field, 0.1).points, TOKENS.points + 0.1 * field(TOKENS.points))


@pytest.mark.parametrize("measure", [GAUSSIAN, STACK, TOKENS])
def test_advect_is_the_derivative_of_the_push(measure):
    field = tp.AffineField([[0.3, 1.0], [-1.0, 0.5]], [1.0, 2.0])
    h = 1e-6
    ahead = measure.unpack(measure.pack() + h * measure.advect(field))
    pushed = measure.push(field, h)
    size = np.abs(pushed.covariance).max()
    assert np.abs(ahead.mean - pushed.mean).max() <= 1e-14 * size
    assert np.abs(ahead.covariance - pushed.covariance).max() <= 10 * h**2 * size
    if isinstance(measure, tp.Gaussian):  # growth and speed are those of the covariance
        S, BS = measure.covariance, field.linear @ measure.covariance
        rate = BS + np.swapaxes(BS, -2, -1)
        trace = np.trace(rate, axis1=-2, axis2=-1) / np.trace(S, axis1=-2, axis2=-1)
        assert np.allclose(measure.growth(measure.advect(field)), trace, rtol=1e-12)
        ratio = np.linalg.norm(rate, axis=(-2, -1)) / np.linalg.norm(S, axis=(-2, -1))
        assert np.allclose(measure.relative_speed(measure.advect(field)), ratio, rtol=1e-12)


def test_relative_speed_of_a_covariance_with_zeros():
    gaussian = tp.Gaussian([0.0, 0.0], factor=np.diag([2.0, 1.0]))
    field = tp.AffineField(np.diag([1.0, -1.0]))  # sends diag(4, 1) to diag(8, -2)
    assert gaussian.relative_speed(gaussian.advect(field)) == pytest.approx(2.0, rel=1e-14)
    growth = gaussian.growth(gaussian.advect(field))
    assert growth == pytest.approx(6 / 5, rel=1e-14)


def test_a_gaussian_wants_an_affine_field():
    with pytest.raises(TypeError, match="advect: only an affine field keeps a Gaussian Gaussian"):
        GAUSSIAN.advect(np.sin)


def test_affine_fields_add_and_apply():
    f = tp.AffineField([[1.0, 2.0], [3.0, 4.0]], [1.0, -1.0])
    g = tp.AffineField(np.eye(2), [0.5, 2.0])
    x = np.array([[1.0, 0.0], [0.5, 2.0]])
    assert np.array_equal((f + g)(x), f(x) + g(x))
    assert np.array_equal(f([1.0, 0.0]), [2.0, 2.0])
    assert tp.AffineField(np.ones((5, 2, 2)))(x).shape == (5, 2, 2)
    with pytest.raises(ValueError, match="x: its dimension must be that of the field, 2; got 3"):
        f([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="offset: its dimension must be that of linear, 2; got 3"):
        tp.AffineField(np.eye(2), np.ones(3))
    with pytest.raises(ValueError, match="linear: its number of columns must be that of its rows"):
        tp.AffineField(np.ones((2, 3)))
    with pytest.raises(TypeError):
        f + 1
    with pytest.raises(ValueError, match="other: its dimension must be that of the field, 2; got"):
        f + tp.AffineField(np.eye(3))


def test_choosing_fields_of_a_stack():
    rng = np.random.default_rng(4)
    B, c, x = rng.normal(size=(2, 3, 4, 4)), rng.normal(size=(2, 3, 4)), rng.normal(size=4)
    index = np.array([4, 0])  # of the flattened stack
    for linear, offset in ((B, c), (B, c[0, 0]), (B[0, 0], c)):
        chosen = tp.AffineField(linear, offset).select((2, 3), index)
        assert chosen.linear.shape == (2, 4, 4)
        wanted = tp.AffineField(linear, offset)(x)
        assert np.allclose(chosen(x), [wanted[1, 1], wanted[0, 0]], rtol=1e-15)
    both = tp.AffineField(B) + tp.AffineField(B[0, 0], c)
    for total in (both, tp.AffineField(B[0, 0], c) + tp.AffineField(B)):
        assert np.allclose(total(x), B @ x + B[0, 0] @ x + c, rtol=1e-12)
    shared = tp.AffineField(B[0, 0], c[0, 0])
    assert np.array_equal(shared.select((2, 3), index)(x), shared(x))


def test_choosing_cases_of_a_stack():
    assert np.array_equal(STACK[1].factor, STACK.factor[1])
    assert STACK[:2].stack == (2,)
    with pytest.raises(TypeError, match="a single Gaussian has no cases"):
        GAUSSIAN[0]
    for task in (lambda: STACK.sample(3, seed=0), lambda: STACK.quadrature(3)):
        with pytest.raises(
            ValueError, match=r"needs a single Gaussian; got a stack of shape \(3,\)"
        ):
            task()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tp.Particles([[np.nan]]), r"points: every entry must be finite; got nan"),
        (
            lambda: tp.Particles([1.0, 2.0]),
            r"points: must have shape \(\.\.\., n, d\); got shape \(2,\)",
        ),
        (lambda: tp.Particles(np.ones((0, 2))), "points: must have at least one entry"),
        (lambda: tp.Particles([["a"]]), "points: must be an array of real numbers"),
        (
            lambda: tp.Particles([[1.0], [2.0]], [0.7, 0.7]),
            "weights: must sum to one; got a sum of 1.4",
        ),
        (
            lambda: tp.Particles([[1.0], [2.0]], [1.5, -0.5]),
            "weights: must be non-negative; got -0.5",
        ),
        (
            lambda: tp.Particles([[1.0], [2.0]], [1.0]),
            "weights: its length must be that of points, 2",
        ),
        (lambda: tp.Particles([[1.0]], [np.inf]), "weights: every entry must be finite"),
        (lambda: tp.Gaussian([0.0, np.inf], factor=np.eye(2)), "mean: every entry must be finite"),
        (
            lambda: tp.Gaussian([0.0], factor=np.eye(2)),
            "factor: its number of rows must be that of mean, 1",
        ),
        (
            lambda: tp.Gaussian([0.0, 0.0], factor=[1.0, 2.0]),
            r"factor: must have shape \(\.\.\., d, r\)",
        ),
        (
            lambda: tp.Gaussian(np.zeros((3, 2)), factor=np.ones((4, 2, 2))),
            "factor: its leading axes must match",
        ),
        (
            lambda: tp.Gaussian([0.0], factor=[[1.0]], log_scale=np.nan),
            "log_scale: every entry must be finite",
        ),
        (
            lambda: tp.Gaussian.from_covariance([0.0, 0.0], [[1.0, 0.5], [0.4, 1.0]]),
            "covariance: must be symmetric; got a difference of 0.0999",
        ),
        (
            lambda: tp.Gaussian.from_covariance([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]]),
            "covariance: must be positive semidefinite; got an eigenvalue of -1",
        ),
        (
            lambda: tp.Gaussian.from_covariance([0.0, 0.0], np.ones((2, 3))),
            "covariance: its number of columns must be that of its rows, 2; got 3",
        ),
        (lambda: GAUSSIAN.sample(0, seed=1), "n: must be an integer of at least 1; got 0"),
        (
            lambda: tp.Gaussian([0.0], factor=[[1.0]]).quadrature(301),
            "nodes: must be at most 300, with at most",
        ),
        (
            lambda: tp.Gaussian(np.zeros(8), factor=np.eye(8)).quadrature(20),
            "got 20 to the power of 8",
        ),
        (
            lambda: GAUSSIAN.sample(2, seed="x"),
            "seed: must be an integer of at least 0",
        ),
        (lambda: GAUSSIAN.sample(2, seed=-1), "seed: must be an integer of at least 0"),
        (lambda: GAUSSIAN.sample(2, seed=None), "seed: must be an integer .*; got None"),
        (lambda: STACK[np.zeros(3, dtype=bool)], "case: must choose at least one case"),
        (
            lambda: tp.Particles(np.ma.masked_array([[1.0]], [[True]])),
            "points: must hold no masked entries",
        ),
        (lambda: tp.AffineField(np.ones((3, 2, 2)), np.ones((4, 2))), "offset: its leading axes"),
        (lambda: tp.AffineField(np.eye(2))(1.0), "x: must have shape .*; got a single number"),
        (lambda: tp.AffineField(np.eye(2))("ab"), "x: must be an array of real numbers"),
        (lambda: GAUSSIAN.quadrature(2.0), "nodes: must be an integer of at least 1; got 2.0"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_measures_are_immutable_copies():
    points = np.ones((2, 2))
    tokens = tp.Particles(points)
    points[0, 0] = 5
    assert tokens.points[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        tokens.points[0, 0] = 5
    with pytest.raises(AttributeError):
        tokens.points = points
    with pytest.raises(ValueError, match="read-only"):
        GAUSSIAN.factor[0, 0] = 1
