"""Covariances whose axes differ by more than a float holds, against many digits."""

import mpmath as mp
import numpy as np
import pytest
from problems import head_parameters, orthogonal
from table import GAUSSIAN, ROWS

import transpde as tp
from transpde import theory
from transpde.measures.axes import lengths, nearly_singular, principal_axes, ratio
from transpde.measures.motion import common_motion, far_from_orthogonal, graded_motion

HEADS = {
    "softmax": lambda Q, K, V: tp.Softmax(Q, K, V),
    "l2": lambda Q, K, V: tp.L2(Q, K, V),
    "sinkhorn": lambda Q, K, V: tp.Sinkhorn(Q, K, V, 0.7),
}


def graded(rng, d, logs):
    """A Gaussian in principal axes of given log scales."""
    Y = orthogonal(rng, d)[:, : len(logs)]
    return tp.Gaussian.trusted(rng.normal(size=d), Y, np.array(logs, float), in_axes=True)


def exact_turning(name, Q, K, V, gaussian):
    """B Y of a head, from its formula with a full covariance, in 250 digits."""
    with mp.workdps(250):
        Q, K, V, Y = (mp.matrix(M.tolist()) for M in (Q, K, V, gaussian.factor))
        D = mp.diag([mp.exp(mp.mpf(float(s)) / 2) for s in gaussian.log_scales])
        X, A = Y * D, K.T * Q
        r = D.rows
        if name == "softmax":
            S = mp.eye(r)
        elif name == "l2":
            H = X.T * K.T
            S = 2 * (mp.eye(r) + 2 * H * H.T) ** -1
        else:
            G, epsilon = X.T * A * X, mp.mpf(0.7)
            values, U = mp.eigsy(epsilon**2 * mp.eye(r) + 4 * G * G.T)
            S = U * mp.diag([2 / (mp.sqrt(e) + epsilon) for e in values]) * U.T
        BY = V * X * S * X.T * A * Y
        return np.array(BY.tolist(), dtype=float)


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("spread", [0.0, 20.0, 60.0, 120.0])
@pytest.mark.parametrize("name", HEADS)
def test_fields_of_graded_covariances_keep_their_digits(name, spread, k):
    rng = np.random.default_rng(int(spread))
    for top in (0.0, spread / 2, spread, 50.0):
        Q, K, V = head_parameters(rng, 3, k)
        gaussian = graded(rng, 3, [top, top - spread / 2, top - spread])
        exact = exact_turning(name, Q, K, V, gaussian)
        _, turning = HEADS[name](Q, K, V)(gaussian).moves(gaussian.mean, gaussian.factor)
        assert np.abs(turning - exact).max() <= 1e-11 * np.abs(exact).max()


def two_columns(rng, d):
    """Gaussians of two columns, round or thin, of one scale or of scales apart, within reach of
    the closed forms and beyond."""
    made = []
    for top in (-200.0, -100.0, 0.0, 40.0, 100.0, 200.0):
        for thin, apart in ((1.0, 0.0), (1e-3, 0.0), (1e-5, 0.0), (1.0, 5.0), (1.0, 60.0)):
            turned = orthogonal(rng, 2) if apart == 0 else np.eye(2)
            X = orthogonal(rng, d)[:, :2] @ np.diag([1.0, thin]) @ turned
            made.append((rng.normal(size=d), X, np.array([top, top - apart])))
    return [np.array(part) for part in zip(*made, strict=True)]


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("name", HEADS)
def test_fields_of_two_columns_keep_their_digits(name, d, k):
    """One by one and many at once."""
    rng = np.random.default_rng(10 * d + k)
    Q, K, V = head_parameters(rng, d, k)
    head = HEADS[name](Q, K, V)
    parts = two_columns(rng, d)
    several = [tp.Gaussian.trusted(*one) for one in zip(*parts, strict=True)]
    stack = tp.Gaussian.trusted(*[np.concatenate([part] * 3) for part in parts])
    together = head(stack).moves(stack.mean, stack.factor)[1][-len(several) :]
    for one, also in zip(several, together, strict=True):
        exact = exact_turning(name, Q, K, V, one)
        thin = np.linalg.svd(one.factor, compute_uv=False).min()
        for turning in (head(one).moves(one.mean, one.factor)[1], also):
            assert np.abs(turning - exact).max() <= 1e-13 / thin * np.abs(exact).max()


@pytest.mark.parametrize("name", GAUSSIAN)
def test_the_axes_of_a_gaussian_do_not_change_its_field(name):
    rng = np.random.default_rng(1)
    Q, K, V = head_parameters(rng, 3)
    attention = ROWS[name].make(Q, K, V)
    gaussian = tp.Gaussian(
        rng.normal(size=3), factor=orthogonal(rng, 3) @ np.diag([1.0, 1e-3, 1e-6])
    )
    x = rng.normal(size=(5, 3))
    first, second = attention(gaussian)(x), attention(gaussian.principal())(x)
    assert np.abs(first - second).max() <= 1e-12 * np.abs(first).max()


@pytest.mark.parametrize("motion", [common_motion, graded_motion])
@pytest.mark.parametrize("r", [1, 2, 3])
def test_both_motions_move_the_covariance_alike(motion, r):
    """X' and s' give B Sigma + Sigma B^T, whatever the columns and their scales."""
    rng = np.random.default_rng(r)
    X, s, B = rng.normal(size=(4, 3, r)), rng.normal(size=(4, r)), rng.normal(size=(4, 3, 3))
    if motion is graded_motion:
        X /= np.linalg.norm(X, axis=1, keepdims=True)
    turning, growth = motion(X, s, B @ X)
    scale = np.exp(s)[:, None, :]
    moved = (turning * scale) @ X.transpose(0, 2, 1) + (X * scale * growth[:, None, :] / 2) @ (
        X.transpose(0, 2, 1)
    )
    Sigma = (X * scale) @ X.transpose(0, 2, 1)
    exact = B @ Sigma
    assert (
        np.abs(moved + moved.transpose(0, 2, 1) - exact - exact.transpose(0, 2, 1)).max() < 1e-13
    )


def test_graded_columns_stay_at_right_angles():
    rng = np.random.default_rng(3)
    Y, B = orthogonal(rng, 4), rng.normal(size=(4, 4))
    turning, _ = graded_motion(Y, np.array([200.0, 100.0, 0.0, -100.0]), B @ Y)
    angles = Y.T @ turning
    assert np.abs(angles + angles.T).max() < 1e-13
    assert np.abs(np.diag(angles)).max() < 1e-13


@pytest.mark.parametrize("spread", [0.0, 5.0, 300.0])
def test_principal_axes_of_leaning_columns(spread):
    """Against the singular values of the factor in many digits, each to its own accuracy."""
    rng = np.random.default_rng(int(spread))
    X, s = rng.normal(size=(3, 3)), np.array([0.0, spread / 2, -spread / 2])
    Y, logs = principal_axes(X, s)
    assert np.abs(Y.T @ Y - np.eye(3)).max() <= 1e-13
    assert (np.diff(logs) <= 0).all()
    with mp.workdps(400):
        scaled = mp.matrix(X.tolist()) * mp.diag([mp.exp(mp.mpf(float(v)) / 2) for v in s])
        exact = sorted((float(mp.log(v)) for v in mp.eigsy(scaled.T * scaled)[0]), reverse=True)
    assert np.abs(logs - exact).max() <= 1e-12 * max(1.0, spread)


def test_exact_rank_is_kept_by_principal_axes():
    rng = np.random.default_rng(5)
    line = rng.normal(size=(3, 1)) @ rng.normal(size=(1, 3))
    Y, _ = principal_axes(line, np.zeros(3))
    assert (np.linalg.norm(Y, axis=0) > 0).sum() == 1


def test_a_graded_start_flows_like_its_parts():
    """Two axes that do not act on each other, one e^200 times the other: each flows alone."""
    Q, V = np.diag([1.0, 0.5]), np.diag([0.3, -0.4])
    factor, logs = np.eye(2), np.array([100.0, -100.0])
    start = tp.Gaussian.trusted(np.zeros(2), factor, logs)
    path = tp.flow(start, tp.L2(Q, np.eye(2), V), 2.0)
    ends = path.final.principal().log_scales
    for i in range(2):
        alone = tp.Gaussian([0.0], factor=[[1.0]], log_scale=logs[i])
        single = tp.flow(alone, tp.L2([[Q[i, i]]], [[1.0]], [[V[i, i]]]), 2.0)
        assert ends[i] == pytest.approx(single.final.log_size, rel=1e-9)


def test_a_flow_in_two_legs_is_one_flow_however_thin_it_gets():
    rng = np.random.default_rng(6)
    Q, K, V = head_parameters(rng, 3)
    start = tp.Gaussian(np.zeros(3), factor=rng.normal(size=(3, 3)))
    for head in (tp.L2(Q, K, 2 * V), tp.Sinkhorn(Q, K, 2 * V)):
        whole = tp.flow(start, head, [0.0, 10.0, 20.0])
        half = tp.flow(whole(10.0), head, 10.0).final
        assert np.abs(half.direction - whole.final.direction).max() <= 1e-8
        assert half.log_size == pytest.approx(whole.final.log_size, rel=1e-8)
        gaps = half.principal().log_scales - whole.final.principal().log_scales
        assert np.abs(gaps).max() <= 1e-4


@pytest.mark.parametrize("time", [160.0, 400.0, 5000.0])
def test_a_short_axis_goes_on_beside_one_of_any_length(time):
    """Sinkhorn with diagonal parameters: one axis grows like e^4t, the other as if alone."""
    attention = tp.Sinkhorn(np.eye(2), np.eye(2), np.diag([2.0, -1.0]))
    path = tp.flow(tp.Gaussian([0.0, 0.0], factor=np.eye(2)), attention, time)
    exact = theory.variance(tp.Sinkhorn([[1.0]], [[1.0]], [[-1.0]]), 1.0, time)
    assert path.final.principal().log_scales[1] == pytest.approx(np.log(exact), rel=1e-7)
    alone = tp.Sinkhorn([[1.0]], [[1.0]], [[-1.0]])(tp.Gaussian([0.0], factor=[[np.sqrt(exact)]]))
    assert attention(path.final)([0.0, 1.0])[1] == pytest.approx(alone([1.0])[0], rel=1e-6)


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("ratio", [1e5, 1e15, 1e17, 1e25])
def test_columns_of_very_different_length_under_one_scale(name, ratio):
    Q = np.array([[0.0, 1.0]])
    thin = tp.Gaussian([0.0, 0.0], factor=np.diag([ratio, 1.0]))
    attention = HEADS[name](Q, -Q, np.eye(2))
    alone = HEADS[name]([[1.0]], [[-1.0]], [[1.0]])
    single = tp.Gaussian([0.0], factor=[[1.0]])
    assert attention(thin)([0.0, 1.0])[1] == pytest.approx(alone(single)([1.0])[0], rel=1e-12)
    end = tp.flow(thin, attention, 1.0).final.covariance
    assert end[1, 1] == pytest.approx(tp.flow(single, alone, 1.0).final.covariance[0, 0], rel=1e-8)
    ends = tp.layers(thin, attention, 300, 0.01).final.covariance
    exact = tp.layers(single, alone, 300, 0.01).final.covariance
    assert ends[1, 1] == pytest.approx(exact[0, 0], rel=1e-10)


def test_many_layers_keep_the_short_axis():
    """L2 with growth along one axis only, against 400 layers in 150 digits."""
    V = np.diag([2.0, -1.0])
    start = tp.Gaussian.from_covariance([0.0, 0.0], [[1.0, 0.5], [0.5, 1.0]])
    path = tp.layers(start, tp.L2(np.eye(2), np.eye(2), V), 400, 0.1)
    with mp.workdps(150):
        Sigma, one = mp.matrix([[1, 0.5], [0.5, 1]]), mp.eye(2)
        for i in range(1, 401):
            B = mp.matrix(V.tolist()) * (one + 2 * Sigma) ** -1 * (2 * Sigma)
            push = one + mp.mpf(0.1) * B
            Sigma = push * Sigma * push.T
            if i % 100 == 0:
                exact = np.array(Sigma.tolist(), dtype=float)
                gap = np.abs(path[i].covariance / exact - 1)
                assert gap[[0, 1], [0, 1]].max() <= 1e-10
                assert gap[0, 1] <= 1e-6


# --- the pieces ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1e-300, 1.0, 1e300])
def test_lengths_of_any_size(size):
    columns = size * np.array([[3.0, 0.0, 1.0], [4.0, 0.0, 0.0]])
    assert lengths(columns) == pytest.approx(size * np.array([5.0, 0.0, 1.0]), rel=1e-15)
    assert lengths(columns, axis=-1) == pytest.approx(size * np.sqrt([10.0, 16.0]), rel=1e-15)
    assert lengths(np.array([columns] * 2)).shape == (2, 3)
    assert ratio(np.array([1.0, 2.0, 0.0]), np.array([4.0, 0.0, 0.0])).tolist() == [0.25, 2, 0]


def test_thin_factors():
    """A short column, or columns that lean on each other, but neither zeros nor exact ranks."""
    line = np.array([[1.0, 1.0], [2.0, 2.0]])
    cases = {
        "round": (np.eye(2), False),
        "short column": (np.diag([1.0, 0.9e-6]), True),
        "not short enough": (np.diag([1.0, 1.1e-6]), False),
        "short first column": (np.diag([0.9e-6, 1.0]), True),
        "no column": (np.diag([1.0, 0.0]), False),
        "leaning columns": (np.array([[1.0, 1.0], [0.0, 1e-7]]), True),
        "leaning hardly": (np.array([[1.0, 1.0], [0.0, 1e-5]]), False),
        "by rounding alone": (np.array([[1.0, 1.0], [0.0, 1e-14]]), True),
        "parallel": (line, False),
        "parallel and short": (line @ np.diag([1.0, 1e-9]), True),
        "point": (np.zeros((2, 2)), False),
        "ended": (np.array([[np.nan, 1.0], [0.0, 1e-9]]), False),
    }
    stack, wanted = (np.array(part) for part in zip(*cases.values(), strict=True))
    for size in (1e-100, 1.0, 1e100):
        assert nearly_singular(size * stack).tolist() == wanted.tolist()
    assert nearly_singular(stack.reshape(3, 4, 2, 2)).shape == (3, 4)
    tall = np.eye(4)[:, :2] * [1.0, 1e-7]
    assert nearly_singular(tall)
    assert not nearly_singular(tall[:, :1])
    assert nearly_singular(np.hstack([np.eye(2), 1e-7 * np.eye(2)]))


def test_leaning_axes():
    def pair(cosine):
        return np.array([[1.0, cosine], [0.0, np.sqrt(1 - cosine**2)]])

    I = np.eye(2)
    cases = [
        (I, (0.0, -9.0), False),
        (pair(0.89), (0.0, -9.0), False),
        (pair(0.91), (0.0, -9.0), True),
        (pair(-0.91), (0.0, -9.0), True),
        (pair(0.91), (0.0, -1499.0), True),
        (pair(0.91), (0.0, -1501.0), False),  # no float can show the second column
        (pair(0.91), (-1501.0, 0.0), True),  # but the wrong order counts
        (I, (0.0, 5.0), False),
        (I, (0.0, 5.1), True),
        (I, (7.0, 7.0), False),
    ]
    Y, s, wanted = (np.array(part) for part in zip(*cases, strict=True))
    assert far_from_orthogonal(Y, s).tolist() == wanted.tolist()
    assert far_from_orthogonal(Y.reshape(2, 5, 2, 2), s.reshape(2, 5, 2)).shape == (2, 5)
    three = np.eye(3)
    assert far_from_orthogonal(three, np.array([0.0, -1.0, 4.5]))
    assert not far_from_orthogonal(three, np.array([0.0, 4.0, 8.0]))


def test_common_motion_of_two_columns():
    """b = <X, BX> / |X|^2: here (1 * 2 + 2 * 3) / 5."""
    X, BX = np.diag([1.0, 2.0]), np.array([[2.0, 5.0], [7.0, 3.0]])
    turning, growth = common_motion(X, np.zeros(2), BX)
    assert np.abs(turning - [[0.4, 5.0], [7.0, -0.2]]).max() <= 1e-15
    assert np.abs(growth - 3.2).max() <= 1e-15
    assert growth.shape == (2,)
    turning, growth = common_motion(np.array([X, 0 * X]), np.zeros((2, 2)), np.array([BX, BX]))
    assert np.array_equal(turning[1], BX)
    assert growth.tolist() == [[3.2, 3.2], [0.0, 0.0]]


def test_graded_motion_of_two_axes():
    """B = (a b; c d) on squared lengths 2 : 1; the share of the turning is (1 - q) / (1 + q^2)."""
    B = np.array([[3.0, 5.0], [7.0, -4.0]])
    turning, growth = graded_motion(np.eye(2), np.array([np.log(2.0), 0.0]), B)
    assert np.abs(turning - [[0.0, 5 - 0.4 * 12], [7 + 0.2 * 12, 0.0]]).max() <= 1e-14
    assert growth.tolist() == [6, -8]
    swapped, _ = graded_motion(np.eye(2), np.array([0.0, np.log(2.0)]), B)
    assert np.abs(swapped - [[0.0, 5 + 0.2 * 12], [7 - 0.4 * 12, 0.0]]).max() <= 1e-14
    alike, _ = graded_motion(np.eye(2), np.array([4.0, 4.0]), B)
    assert alike.tolist() == [[0, 5], [7, 0]]


def test_two_columns_of_a_stack_move_as_each_alone():
    """Lengths alike or apart, either way round, beyond what floats show; a zero, and a NaN."""
    rng = np.random.default_rng(12)
    gaps = np.array(
        [0.0, 1e-9, -1e-9, 0.3, -0.3, 40.0, -40.0, 1450.0, -1450.0, 2e3, -2e3, 1.0, 7.0]
    )
    Y, s = rng.normal(size=(len(gaps), 3, 2)), np.stack([0 * gaps, -gaps], axis=-1)
    Y /= np.linalg.norm(Y, axis=1, keepdims=True)
    Y[-2, :, 1], Y[-1, 0, 0] = 0.0, np.nan
    BY = rng.normal(size=(len(gaps), 3, 3)) @ Y
    turning, growth = graded_motion(Y, s, BY)
    leaning, thin = far_from_orthogonal(Y, s), nearly_singular(Y)
    for i in range(len(gaps)):
        one = graded_motion(Y[i], s[i], BY[i])
        for found, exact in zip((turning[i], growth[i]), one, strict=True):
            np.testing.assert_allclose(found, exact, rtol=1e-12, atol=1e-13)
        assert leaning[i] == far_from_orthogonal(Y[i], s[i])
        assert thin[i] == nearly_singular(Y[i])


def test_graded_motion_of_columns_that_lean_or_vanish():
    rng = np.random.default_rng(8)
    Y, B = rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
    Y[:, 2] = 0.0
    turning, growth = graded_motion(Y, np.array([1.0, 0.0, -1.0]), B @ Y)
    assert np.abs((Y * turning).sum(axis=0)).max() <= 1e-13  # all lengths are kept
    assert growth[2] == 0.0
    assert not turning[:, 2].any()
    one, rate = graded_motion(Y[:, :1], np.zeros(1), B @ Y[:, :1])
    y = Y[:, 0]
    assert rate[0] == pytest.approx(2 * (y @ B @ y) / (y @ y), rel=1e-14)
    assert np.abs(one[:, 0] - (B @ y - rate[0] / 2 * y)).max() <= 1e-15


def test_stretching_turns_leaning_axes_to_right_angles():
    """Each column grows along itself alone: columns turn apart, and Sigma moves as it must."""
    Y = np.array([[1.0, 0.6], [0.0, 0.8]])
    for gap in (0.0, 1.0, 5.0):
        s = np.array([gap, 0.0])
        turning, growth = graded_motion(Y, s, Y * [2.0, -1.0])
        assert Y[:, 0] @ turning[:, 1] + turning[:, 0] @ Y[:, 1] <= 0
        moved = (turning * np.exp(s)) @ Y.T
        moved = moved + moved.T + (Y * growth * np.exp(s)) @ Y.T
        wanted = (Y * [4.0, -2.0] * np.exp(s)) @ Y.T
        assert np.abs(moved - wanted).max() <= 1e-14 * np.exp(gap)


def test_columns_too_short_to_be_seen_rest():
    """From e^-1400 to e^-1500 of the longest a column falls asleep; its growth is always known."""
    rng = np.random.default_rng(9)
    Y, B = orthogonal(rng, 3), rng.normal(size=(3, 3))
    full, growth = graded_motion(Y, np.array([0.0, -200.0, -400.0]), B @ Y)
    for depth, awake in ((-1400.0, 1.0), (-1450.0, 0.5), (-1500.0, 0.0), (-1600.0, 0.0)):
        turning, rate = graded_motion(Y, np.array([0.0, -200.0, depth]), B @ Y)
        assert np.abs(turning - full * [1.0, 1.0, awake]).max() <= 1e-14
        assert np.array_equal(rate, growth)


def test_columns_of_one_scale_have_at_most_as_many_axes_as_the_space():
    rng = np.random.default_rng(10)
    X = rng.normal(size=(2, 3, 5)) * [1.0, 0.5, 1e-3, 2.0, 1.0]
    X[1, :, 3] = 0.0  # a column of length zero is no reason for another scale
    Y, s = principal_axes(X, np.full((2, 5), 8.0))
    assert Y.shape == (2, 3, 3)
    assert s.shape == (2, 3)
    assert np.abs(np.swapaxes(Y, -2, -1) @ Y - np.eye(3)).max() <= 1e-14
    exact = 8 + 2 * np.log(np.linalg.svd(X, compute_uv=False))
    assert np.abs(s - exact).max() <= 1e-12
    apart = principal_axes(X * [1.0, 1.0, 1e-5, 1.0, 1.0], np.zeros((2, 5)))
    assert apart[0].shape == (2, 3, 5)


@pytest.mark.parametrize("scales", [(90.0, 224.0), (-60.0, 70.0), (224.0, 90.0), (10.0, 12.0)])
@pytest.mark.parametrize("kind", [tp.L2, tp.Sinkhorn])
def test_leaning_columns_of_very_different_scales_have_the_field_of_their_axes(kind, scales):
    """Where no closed form turns them apart, they go the general way."""
    rng = np.random.default_rng(4)
    first = np.array([0.76, -0.65])
    X = np.stack([first, first + 1e-9 * np.array([0.8, -0.1])], axis=-1)
    leaning = tp.Gaussian.trusted(np.zeros(2), X, np.array(scales))
    for _ in range(5):
        head = kind(*rng.normal(size=(3, 2, 2)))
        found, wanted = head(leaning).linear, head(leaning.principal()).linear
        assert np.abs(found - wanted).max() <= 1e-10 * np.abs(wanted).max()
