"""Gaussians as a flow sees them: scales, shares, tolerances, speeds, cases that have ended."""

import numpy as np
import pytest

import transpde as tp
from transpde.fields import Motion

E2 = np.eye(2)


def scaled(factor, logs, mean=None, *, in_axes=False):
    """A Gaussian with a scale for each column."""
    X, s = np.array(factor, float), np.array(logs, float)
    m = np.zeros(X.shape[:-1]) if mean is None else np.array(mean, float)
    return tp.Gaussian.trusted(m, X, s, in_axes)


def several_scales(rng, r=3):
    """A stack of four Gaussians of the space, a scale for each of r columns."""
    return scaled(rng.normal(size=(4, 3, r)), rng.normal(size=(4, r)), rng.normal(size=(4, 3)))


# --- size, direction, coordinates ----------------------------------------------------------------


@pytest.mark.parametrize("r", [1, 2, 3, 5])
def test_all_that_is_read_from_columns_with_scales_of_their_own(r):
    gaussian = several_scales(np.random.default_rng(r), r)
    X = gaussian.factor * np.exp(gaussian.log_scales / 2)[:, None, :]
    S = X @ X.transpose(0, 2, 1)
    trace = np.trace(S, axis1=1, axis2=2)
    assert np.abs(gaussian.scaled_factor - X).max() == 0
    assert np.abs(gaussian.covariance - S).max() <= 1e-14
    assert np.abs(gaussian.log_size - np.log(trace)).max() <= 1e-14
    assert np.abs(gaussian.direction - S / trace[:, None, None]).max() <= 1e-15
    unit = gaussian.normalised()
    assert unit.factor.shape == (4, 3, min(r, 3))
    assert gaussian[0].normalised().factor.shape == (3, min(r, 3))
    assert np.abs(np.linalg.norm(unit.factor, axis=(1, 2)) - 1).max() <= 1e-14
    assert np.abs(unit.log_scales - np.log(trace)[:, None]).max() <= 1e-14
    axes = gaussian.principal()
    for same in (unit, axes, gaussian.prepared()):
        assert np.array_equal(same.mean, gaussian.mean)
        assert np.abs(same.covariance - S).max() <= 1e-13
    assert axes.in_axes
    assert not unit.in_axes


def test_columns_far_apart_and_columns_of_length_zero():
    far = scaled([[3e-200, 0.0, 0.0], [4e-200, 0.0, 1.0]], [2000.0, 5000.0, -3000.0])
    assert far.log_size == pytest.approx(2000 + 2 * np.log(5e-200), rel=1e-15)
    assert np.abs(far.direction - [[0.36, 0.48], [0.48, 0.64]]).max() <= 1e-15
    assert np.isfinite(far.normalised().pack()).all()
    # The scale of a column of length zero says nothing, however large it is.
    point = scaled([[0.0], [0.0]], [9000.0], [1.0, 2.0])
    assert point.log_size == -np.inf
    assert not point.direction.any()
    assert not point.normalised().log_scales.any()
    assert point.relative_speed(point.advect(tp.AffineField(E2))) == 0


def test_coordinates_stand_in_the_order_mean_factor_scales():
    gaussian = scaled([[1.0, 2.0], [3.0, 4.0]], [5.0, 6.0], [7.0, 8.0])
    assert gaussian.pack().tolist() == [7, 8, 1, 2, 3, 4, 5, 6]
    again = gaussian.unpack(np.arange(16.0).reshape(2, 8))
    assert again.mean.tolist() == [[0, 1], [8, 9]]
    assert again.factor[1].tolist() == [[10, 11], [12, 13]]
    assert again.log_scales.tolist() == [[6, 7], [14, 15]]
    assert not again.in_axes
    marked = again.marked(True)
    assert marked.in_axes
    assert marked[1].in_axes
    assert np.array_equal(marked[0].pack(), again.pack()[0])


@pytest.mark.parametrize(("share", "rank"), [(4e-16, 1), (5e-16, 2)])
def test_rank_of_a_covariance_counts_eigenvalues_beyond_rounding(share, rank):
    for size in (1e-200, 1.0, 1e200):
        gaussian = tp.Gaussian.from_covariance([0.0, 0.0], size * np.diag([share, 1.0]))
        assert gaussian.factor.shape == (2, rank)
        many = np.broadcast_to(size * np.diag([share, 1.0]), (1, 50, 2, 2))
        assert tp.Gaussian.from_covariance([0.0, 0.0], many).factor.shape == (1, 50, 2, rank)
    mixed = tp.Gaussian.from_covariance(np.zeros(2), [np.diag([share, 1.0]), np.diag([0.0, 1.0])])
    assert mixed.factor.shape == (2, 2, rank)
    assert np.count_nonzero(mixed[1].factor) == 1


def test_only_running_cases_of_a_stack_can_overflow():
    ended = scaled(np.array([E2, E2]), [[0.0, 1.0], [np.nan, np.nan]])
    assert np.isfinite(ended.covariance[0]).all()
    assert np.isnan(ended.covariance[1, 0, 0])
    with pytest.raises(OverflowError, match="use `direction`"):
        _ = scaled(np.array([E2, E2]), [[0.0, 1.0], [0.0, 1500.0]]).covariance
    assert scaled(E2, [0.0, 1500.0]).scaled_factor[1, 1] == np.inf


# --- principal axes ------------------------------------------------------------------------------


def test_cases_that_ended_have_no_axes_and_disturb_no_other():
    rng = np.random.default_rng(0)
    stack = several_scales(rng)
    X, s, m = (np.array(part) for part in (stack.factor, stack.log_scales, stack.mean))
    X[1, 0, 2], s[2, 1], m[3, 0] = np.nan, np.nan, np.nan
    for way in (lambda g: g.principal(), lambda g: g.prepared()):
        axes = way(scaled(X, s, m))
        assert np.array_equal(axes.factor[0], way(stack[0]).factor)
        assert np.array_equal(axes.log_scales[0], way(stack[0]).log_scales)
        assert np.isnan(axes.log_scales[1:]).all()
        assert np.array_equal(axes.mean, m, equal_nan=True)
        assert axes.in_axes
    none = scaled(np.full((1, 3, 2), np.nan), np.zeros((1, 2))).prepared()
    assert np.isnan(none.pack()).any()
    with pytest.raises(ValueError, match="no case has finite coordinates"):
        tp.flow(none, tp.Softmax(*[np.eye(3)] * 3), 1.0)


def test_a_flow_begins_in_the_coordinates_that_its_covariance_wants():
    plain, thin = (
        tp.Gaussian([0.0, 0.0], factor=E2),
        tp.Gaussian([0.0, 0.0], factor=np.diag([1.0, 1e-9])),
    )
    both = tp.Gaussian(np.zeros((2, 2)), factor=[E2, np.diag([1.0, 1e-9])])
    assert [g.prepared().in_axes for g in (plain, thin, both)] == [False, True, True]
    assert both.needs_principal_axes().tolist() == [False, True]
    assert plain.needs_principal_axes().shape == ()
    apart = scaled(E2, [0.0, -1.0])
    assert apart.prepared().in_axes
    # One column has a direction that nothing can hide.
    line = tp.Gaussian(np.zeros((3, 2)), factor=np.ones((3, 2, 1)))
    assert line.needs_principal_axes().tolist() == [False] * 3
    assert not line.prepared().in_axes
    # In its axes a Gaussian is crooked when they lean, not when they are thin.
    assert not scaled(E2, [0.0, -80.0], in_axes=True).needs_principal_axes()
    assert scaled([[1.0, 0.95], [0.0, 0.3]], [0.0, -8.0], in_axes=True).needs_principal_axes()


# --- what a flow asks ----------------------------------------------------------------------------


def test_tolerances_of_short_columns():
    """e^((largest - s) / 2), at most `most`, for the entries and the scale of each column."""
    stack = scaled(np.array([E2, E2]), [[4.0, 0.0], [-1.0, 5.0]], in_axes=True)
    e2, e3 = np.exp(2.0), np.exp(3.0)
    wanted = [[1, 1, 1, e2, 1, e2, 1, e2], [1, 1, e3, 1, e3, 1, e3, 1]]
    assert np.abs(stack.tolerance_scale(100.0) - wanted).max() <= 1e-13
    assert np.abs(stack.tolerance_scale(10.0) - np.minimum(wanted, 10.0)).max() <= 1e-13
    assert stack.tolerance_scale(1.0).tolist() == np.ones((2, 8)).tolist()
    assert scaled(E2, [4.0, 0.0]).tolerance_scale(100.0) == 1.0
    assert tp.Particles([[1.0]]).tolerance_scale(100.0) == 1.0


def test_shares_of_columns_weigh_growth_and_rate():
    """Lengths 3 : 1 squared, growing at rates 2 and 6: trace 3/4 * 2 + 1/4 * 6."""
    field = tp.AffineField(np.diag([1.0, 3.0]))
    for shift in (0.0, 3000.0, -3000.0):
        axes = scaled(E2, [np.log(3.0) + shift, shift], in_axes=True)
        velocity = axes.advect(field)
        assert velocity[-2:].tolist() == [2, 6]
        assert axes.growth(velocity) == pytest.approx(3.0, rel=1e-12)
        assert axes.rate(velocity) == pytest.approx(np.sqrt(3 / 4 + 9 / 4), rel=1e-12)
        speed = 2 * np.sqrt((3**2 + 3**2) / (3**2 + 1))  # diag(3, 1) moves by diag(6, 6)
        assert axes.relative_speed(velocity) == pytest.approx(speed, rel=1e-12)


def test_a_column_of_length_zero_has_no_share_in_the_growth():
    axes = scaled([[1.0, 0.0], [0.0, 0.0]], [0.0, 50.0], in_axes=True)
    field = tp.AffineField(np.diag([3.0, 7.0]))
    velocity = axes.advect(field)
    assert axes.growth(velocity) == 6.0
    assert axes.rate(velocity) == 3.0
    point = scaled(np.zeros((2, 2)), [0.0, 0.0], in_axes=True)
    assert point.growth(point.advect(field)) == point.rate(velocity) == 0.0


def test_rate_of_columns_with_one_scale_is_that_of_the_factor():
    rng = np.random.default_rng(2)
    X, B = rng.normal(size=(5, 3, 2)), rng.normal(size=(5, 3, 3))
    gaussian, field = tp.Gaussian(rng.normal(size=3), factor=X, log_scale=7.0), tp.AffineField(B)
    ratio = np.linalg.norm(B @ X, axis=(1, 2)) / np.linalg.norm(X, axis=(1, 2))
    assert np.abs(gaussian.rate(gaussian.advect(field)) / ratio - 1).max() <= 1e-14
    S = gaussian.covariance
    trace = 2 * np.trace(B @ S, axis1=1, axis2=2) / np.trace(S, axis1=1, axis2=2)
    assert np.abs(gaussian.growth(gaussian.advect(field)) - trace).max() <= 1e-14


def test_relative_speed_of_columns_with_scales_of_their_own():
    rng = np.random.default_rng(3)
    gaussian, B = several_scales(rng), rng.normal(size=(4, 3, 3))
    field = tp.AffineField(B, rng.normal(size=3))
    S = gaussian.covariance
    moved = B @ S + S @ B.transpose(0, 2, 1)
    wanted = np.linalg.norm(moved, axis=(1, 2)) / np.linalg.norm(S, axis=(1, 2))
    for same in (gaussian, gaussian.normalised(), gaussian.principal()):
        assert np.abs(same.relative_speed(same.advect(field)) / wanted - 1).max() <= 1e-13


def test_push_and_growth_stay_in_range():
    """A thousand layers x -> 2x of a covariance that no float holds."""
    current, field = scaled(E2, [800.0, -800.0]), tp.AffineField(E2)
    for _ in range(1000):
        current = current.push(field, 1.0)
    assert current.log_scales == pytest.approx(
        np.array([800.0, -800.0]) + 2000 * np.log(2.0), rel=1e-12
    )
    assert np.array_equal(current.factor, E2)


# --- what a field knows of the Gaussian that made it ---------------------------------------------


def test_sums_of_fields_keep_what_each_knows():
    m, X = np.array([1.0, -1.0]), np.array([[1.0], [2.0]])
    known = [
        tp.AffineField.trusted(
            k * E2, np.full(2, k), Motion(m, X, k * m, k * X, lambda k=k: 0.1 * k)
        )
        for k in (2.0, 3.0)
    ]
    plain = tp.AffineField([[0.0, 1.0], [-1.0, 0.0]], [1.0, 2.0])
    for fields in (known, known[::-1]):
        total = fields[0] + plain + fields[1]
        drift, turn = total.moves(m, X)
        assert np.array_equal(drift, 5 * m + plain(m))
        assert np.array_equal(turn, 5 * X + plain.linear @ X)
        assert total.motion.left() == pytest.approx(0.3)
        assert np.array_equal(total.linear, 5 * E2 + plain.linear)
        assert np.array_equal(total.offset, [6.0, 7.0])
        # Of other means and factors nothing is known: equal ones too, which is safe.
        assert np.array_equal(total.moves(m.copy(), X)[0], total(m))
        assert np.array_equal(total.moves(m, 2 * X)[1], total.linear @ (2 * X))
    assert (plain + plain).motion is None
    assert (plain + known[0]).motion.left() == pytest.approx(0.2)
    assert Motion(m, X, m, X).left() == 1.0


def test_what_is_left_of_the_sum_that_drives_a_softmax_field():
    """The size of TX, X in columns over the longest, to that of T = D^2 Y^T A."""
    rng = np.random.default_rng(11)
    gaussian, (Q, K) = several_scales(rng, 2), rng.normal(size=(2, 4, 2, 3))
    Q[3] = 0.0  # nothing drives it, and nothing is left
    for size in (0.0, -900.0):  # of scores too small for their squares
        left = tp.Softmax(np.exp(size / 2) * Q, K, np.eye(3))(gaussian).motion.left()
        for i in range(4):
            Y, s = gaussian.factor[i], gaussian.log_scales[i]
            T = np.exp(s)[:, None] * (Y.T @ K[i].T @ Q[i])
            TX = T @ Y * np.exp((s - s.max()) / 2)
            wanted = np.linalg.norm(TX) / np.linalg.norm(T) if i < 3 else 0.0
            assert left[i] == pytest.approx(wanted, rel=1e-12)
    assert tp.L2(Q, K, np.eye(3))(gaussian).motion.left() == 1.0


def test_heads_of_chosen_cases():
    rng = np.random.default_rng(12)
    Q, K, V = rng.normal(size=(2, 3, 2, 4)), rng.normal(size=(1, 3, 2, 4)), rng.normal(size=(4, 4))
    chosen = tp.L2(Q, K, V).select((2, 3), np.array([5, 0]))
    assert np.array_equal(chosen.query, [Q[1, 2], Q[0, 0]])
    assert np.array_equal(chosen.key, [K[0, 2], K[0, 0]])
    assert np.array_equal(chosen.value, V)


@pytest.mark.parametrize("unnamed", [(np.eye(2),), (np.eye(2), 0.0), ()])
def test_a_matrix_without_a_name_is_no_factor(unnamed):
    with pytest.raises(TypeError, match=r"factor: must be given by its name.*from_covariance"):
        tp.Gaussian([0.0, 0.0], *unnamed)
