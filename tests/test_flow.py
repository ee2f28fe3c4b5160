"""Flows against exact solutions, against each other, and with bad input."""

import numpy as np
import pytest
from problems import (
    head_parameters,
    identity_value_blowup_time,
    identity_value_covariance,
    l2_variance_one_dimension,
)
from scipy import integrate
from scipy.linalg import expm

import transpde as tp

HEADS = {"softmax": tp.Softmax, "l2": tp.L2}
every_head = pytest.mark.parametrize("kind", HEADS)


def relative(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


# --- exact solutions -----------------------------------------------------------------------------


@pytest.mark.parametrize("d", range(1, 7))
@pytest.mark.parametrize("seed", range(4))
def test_softmax_with_identity_value_near_blowup(d, seed):
    rng = np.random.default_rng([d, seed])
    Q, K, _ = head_parameters(rng, d)
    X = rng.normal(size=(d, max(1, d - seed % 2)))
    end = identity_value_blowup_time(X, K.T @ Q)
    t = 0.9 * end if np.isfinite(end) else 3.0
    path = tp.flow(tp.Gaussian(rng.normal(size=d), factor=X), tp.Softmax(Q, K, np.eye(d)), t)
    Sigma = path.final.covariance
    assert path.stop == "time"
    assert relative(Sigma, identity_value_covariance(X, K.T @ Q, t)) <= 1e-8
    assert np.array_equal(Sigma, Sigma.T)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_blowup_times_of_1200_starts_in_one_call(rank):
    rng = np.random.default_rng(rank)
    Q, K, _ = head_parameters(rng, 3)
    X = rng.normal(size=(1200, 3, rank))
    exact = identity_value_blowup_time(X, K.T @ Q)
    horizon = np.median(exact[np.isfinite(exact)])
    starts = tp.Gaussian(rng.normal(size=(1200, 3)), factor=X)
    path = tp.flow(starts, tp.Softmax(Q, K, np.eye(3)), horizon)
    blown = exact < horizon
    assert 0.2 * 1200 < blown.sum() < 1200
    assert set(path.stop[blown]) == {"blow-up"}
    assert set(path.stop[~blown]) == {"time"}
    assert np.abs(path.blowup_time[blown] / exact[blown] - 1).max() <= 1e-8
    assert np.isinf(path.blowup_time[~blown]).all()
    assert np.array_equal(path.end, np.where(blown, path.blowup_time, horizon))
    assert np.isfinite(path.final.pack()).all()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_blowup_time_does_not_depend_on_units(scale):
    path = tp.flow(
        tp.Gaussian([0.0], factor=[[scale]]), tp.Softmax([[1.0]], [[1.0]], [[1.0]]), np.inf
    )
    assert path.stop == "blow-up"
    assert path.blowup_time == pytest.approx(0.5 / scale**2, rel=1e-8)
    assert path.end == path.blowup_time
    assert np.isfinite(path.covariances).all()


def test_blowup_near_the_threshold():
    """A start whose largest eigenvalue is 1e-6 of the others takes long, and is still exact."""
    A = np.diag([1e-6, -1.0, -2.0])
    path = tp.flow(
        tp.Gaussian(np.zeros(3), factor=np.eye(3)), tp.Softmax(A, np.eye(3), np.eye(3)), np.inf
    )
    assert path.blowup_time == pytest.approx(1 / 2e-6, rel=1e-8)


@pytest.mark.parametrize(("v", "q"), [(1.0, 1.0), (-1.0, 1.0), (0.7, -2.0)])
def test_l2_in_one_dimension(v, q):
    path = tp.flow(tp.Gaussian([0.3], factor=[[1.2]]), tp.L2([[q]], [[0.8]], [[v]]), 2.0)
    exact = l2_variance_one_dimension(1.44, 0.8, q, v, 2.0)
    assert path.final.covariance[0, 0] == pytest.approx(exact, rel=1e-9)


@every_head
def test_zero_query_is_a_linear_flow(kind):
    """With Q = 0 and K = 0 every token moves by V times the mean."""
    rng = np.random.default_rng(0)
    V, m, X = rng.normal(size=(3, 3)), rng.normal(size=3), rng.normal(size=(3, 2))
    zero = np.zeros((1, 3))
    path = tp.flow(tp.Gaussian(m, factor=X), HEADS[kind](zero, zero, V), 1.0)
    assert relative(path.final.mean, expm(V) @ m) <= 1e-9
    assert relative(path.final.covariance, X @ X.T) <= 1e-14


def test_softmax_with_feed_forward_has_an_affine_inverse():
    """V = I with a term Wx: P = inv(Sigma) obeys dP/dt = -PW - W^T P - (A + A^T)."""
    rng = np.random.default_rng(1)
    Q, K, W = head_parameters(rng, 3, size=0.7)
    A, X = K.T @ Q, np.linalg.qr(rng.normal(size=(3, 3)))[0] * [1.0, 0.8, 0.6]
    path = tp.flow(
        tp.Gaussian(np.zeros(3), factor=X), tp.Softmax(Q, K, np.eye(3)) + tp.AffineField(W), 0.5
    )
    identity = np.eye(3)
    law = -np.kron(W.T, identity) - np.kron(identity, W.T)
    system = np.zeros((10, 10))
    system[:9, :9], system[:9, 9] = law, -(A + A.T).ravel()
    P = (expm(0.5 * system) @ [*np.linalg.inv(X @ X.T).ravel(), 1.0])[:9].reshape(3, 3)
    assert relative(path.final.covariance, np.linalg.inv(P)) <= 1e-9


# --- agreement of independent routes -----------------------------------------------------------


@every_head
def test_gaussian_flow_agrees_with_its_quadrature_particles(kind):
    """The closed form (m, X) and the particle system are two codes (moderate scores)."""
    rng = np.random.default_rng(2)
    Q, K, V = head_parameters(rng, 2)
    gaussian = tp.Gaussian([0.3, -0.2], factor=0.6 * rng.normal(size=(2, 2)) / 2)
    attention = HEADS[kind](Q, K, V)
    exact = tp.flow(gaussian, attention, 1.0).final
    tokens = tp.flow(gaussian.quadrature(24), attention, 1.0).final
    assert np.abs(exact.mean - tokens.mean).max() <= 1e-9
    assert np.abs(exact.covariance - tokens.covariance).max() <= 1e-9


@every_head
@pytest.mark.parametrize("make", [lambda g: g, lambda g: g.sample(20, seed=3)])
def test_layers_converge_to_the_flow_at_order_one(kind, make):
    rng = np.random.default_rng(3)
    Q, K, V = head_parameters(rng, 2)
    measure = make(tp.Gaussian([0.5, 0.1], factor=0.5 * np.eye(2)))
    attention = HEADS[kind](Q, K, V)
    limit = tp.flow(measure, attention, 1.0).final
    depths = np.array([40, 80, 160, 320])
    ends = [tp.layers(measure, attention, int(L), 1.0 / L).final for L in depths]
    errors = [tp.wasserstein(end, limit) for end in ends]
    order = -np.polyfit(np.log(depths), np.log(errors), 1)[0]
    assert abs(order - 1) <= 0.1


@every_head
@pytest.mark.parametrize("rank", [1, 2])
def test_rank_and_symmetry_of_every_covariance_are_kept(kind, rank):
    rng = np.random.default_rng(4)
    Q, K, V = head_parameters(rng, 3)
    start = tp.Gaussian(np.zeros(3), factor=rng.normal(size=(3, rank)))
    path = tp.flow(start, HEADS[kind](Q, K, V), 0.5)
    spectra = np.linalg.eigvalsh(path.directions)
    assert np.array_equal(path.covariances, np.swapaxes(path.covariances, -2, -1))
    assert np.abs(spectra[:, : 3 - rank]).max() <= 1e-15
    assert spectra[:, 3 - rank].min() > 1e-3
    stacked = tp.layers(start, HEADS[kind](Q, K, V), depth=20, step=0.05)
    assert (np.linalg.matrix_rank(stacked.covariances, tol=1e-12) == rank).all()


@pytest.mark.parametrize("method", ["RK45", "RK23", "Radau", "BDF", "LSODA"])
def test_other_methods_agree(method):
    rng = np.random.default_rng(5)
    attention = tp.Softmax(*head_parameters(rng, 2))
    stack = tp.Gaussian(rng.normal(size=(3, 2)), factor=0.5 * rng.normal(size=(3, 2, 2)))
    fine = tp.flow(stack, attention, [0.0, 0.4, 1.0])
    other = tp.flow(stack, attention, [0.0, 0.4, 1.0], method=method, rtol=1e-7, atol=1e-9)
    assert np.abs(fine.covariances - other.covariances).max() <= 1e-5


def test_each_case_of_a_stack_is_its_own_flow():
    rng = np.random.default_rng(6)
    parameters = [head_parameters(rng, 2) for _ in range(6)]
    Q, K, V = (np.array(M).reshape(2, 3, 2, 2) for M in zip(*parameters, strict=True))
    stack = tp.Gaussian(rng.normal(size=(2, 3, 2)), factor=rng.normal(size=(2, 3, 2, 2)))
    path = tp.flow(stack, tp.Softmax(Q, K, V), 2.0)
    assert path.covariances.shape == (129, 2, 3, 2, 2)
    assert path.stop.shape == (2, 3)
    assert path.means.shape == (129, 2, 3, 2)
    for i in np.ndindex(2, 3):
        single = tp.flow(stack[i], tp.Softmax(Q[i], K[i], V[i]), 2.0)
        assert single.stop == path.stop[i]
        assert single.end == pytest.approx(path.end[i], rel=1e-8)
        assert np.array_equal(np.isnan(single.means), np.isnan(path.means[(slice(None), *i)]))
        before = path.times < 0.95 * single.end
        gap = path.covariances[(before, *i)] - single.covariances[before]
        assert np.nanmax(np.abs(gap)) <= 1e-7 * np.nanmax(np.abs(single.covariances[before]))


def test_error_control_is_per_case():
    """One hard case among 400 easy ones is as accurate as alone."""
    X = np.full((400, 1, 1), 1e-3)
    X[17] = 1.0
    path = tp.flow(
        tp.Gaussian(np.zeros((400, 1)), factor=X), tp.Softmax([[1.0]], [[1.0]], [[1.0]]), 0.499
    )
    s = path.final.covariance[:, 0, 0]
    exact = X[:, 0, 0] ** 2 / (1 - 2 * X[:, 0, 0] ** 2 * 0.499)
    assert np.abs(s / exact - 1).max() <= 1e-8


# --- the trajectory ----------------------------------------------------------------------------


def test_a_path_is_a_measure_at_any_time():
    rng = np.random.default_rng(7)
    Q, K, _ = head_parameters(rng, 2)
    attention, X = tp.Softmax(Q, K, np.eye(2)), 0.5 * np.eye(2)
    path = tp.flow(tp.Gaussian([1.0, 0.0], factor=X), attention, [0.0, 0.5, 1.0])
    for t in (0.0, 0.123, 0.5, 0.77, 1.0):
        assert relative(path(t).covariance, identity_value_covariance(X, K.T @ Q, t)) <= 1e-9
    assert len(path) == 3
    assert np.array_equal(path[1].mean, path(0.5).mean)
    with pytest.raises(
        ValueError, match=r"t: must be a number of at least 0 and at most the end, 1; got 1.5"
    ):
        path(1.5)
    with pytest.raises(ValueError, match=r"t: must be a number of at least 0"):
        path(-0.1)
    tokens = tp.flow(path[0].sample(5, seed=0), attention, 1.0)
    assert tokens.points.shape == (129, 5, 2)
    again = tp.flow(path[0].sample(5, seed=0), attention, 0.3)
    assert np.abs(tokens(0.3).points - again.final.points).max() <= 1e-9
    with pytest.raises(AttributeError, match="covariances: a flow of particles has `points`"):
        _ = tokens.covariances
    with pytest.raises(AttributeError, match="points: a flow of Gaussians has `means`"):
        _ = path.points


def test_beyond_its_end_a_case_is_nan_and_a_single_path_raises():
    attention = tp.Softmax([[1.0]], [[1.0]], [[1.0]])
    stack = tp.Gaussian([[0.0], [0.0], [0.0]], factor=[[[1.0]], [[0.5]], [[0.1]]])
    path = tp.flow(stack, attention, [0.0, 0.3, 1.0, 4.0])  # ends 0.5, 2, 50
    assert list(path.stop) == ["blow-up", "blow-up", "time"]
    present = ~np.isnan(path.covariances[..., 0, 0])
    assert present.tolist() == [[True] * 3, [True] * 3, [False, True, True], [False, False, True]]
    middle = path(1.5).covariance[:, 0, 0]
    assert np.isnan(middle[0])
    assert middle[1:] == pytest.approx([0.25 / (1 - 0.5 * 1.5), 0.01 / (1 - 0.02 * 1.5)], rel=1e-9)
    single = tp.flow(stack[0], attention, 1.0)
    with pytest.raises(ValueError, match=r"t: must be a number .* at most the end, 0.49999"):
        single(0.6)
    assert single(0.499).covariance[0, 0] == pytest.approx(500, rel=1e-6)


def test_sizes_beyond_floating_point_are_kept_as_logarithms():
    """L2 grows like exp(4 v a / (2 k^2) t): at t = 1000 its variance is far over 1e308."""
    path = tp.flow(tp.Gaussian([0.0], factor=[[1.0]]), tp.L2([[1.0]], [[1.0]], [[1.0]]), 1000.0)
    assert path.stop == "time"
    assert np.isfinite(path.log_sizes).all()
    assert path.log_sizes[-1] == pytest.approx(1999.5, rel=1e-8)  # -1/s + 2 log s = -1 + 4 t
    assert np.isfinite(path.directions).all()
    with pytest.raises(OverflowError, match="use `direction`"):
        _ = path.covariances


def test_parameters_in_time():
    rng = np.random.default_rng(8)
    Q, K, V = head_parameters(rng, 2)

    def attention(t):
        return tp.Softmax(Q, K, np.cos(t) * V)

    tokens = tp.Gaussian([1.0, 0.0], factor=0.5 * np.eye(2)).sample(6, seed=1)
    # A field cos(t) v is the field v run for the time sin(t).
    path, plain = (
        tp.flow(tokens, attention, 1.0),
        tp.flow(tokens, tp.Softmax(Q, K, V), np.sin(1.0)),
    )
    assert np.abs(path.final.points - plain.final.points).max() <= 1e-9
    half = tp.flow(tokens, tp.Softmax(Q, K, V), np.sin(0.503)).final.points
    assert np.abs(path(0.503).points - half).max() <= 1e-9
    gaussian = tp.Gaussian([1.0, 0.0], factor=0.5 * np.eye(2))
    gap = tp.flow(gaussian, attention, 1.0).final.covariance
    gap = gap - tp.flow(gaussian, tp.Softmax(Q, K, V), np.sin(1.0)).final.covariance
    assert np.abs(gap).max() <= 1e-9
    sequence = [attention(0.1 * i) for i in range(5)]
    by_layer = tp.layers(tokens, sequence, depth=5, step=0.1)
    assert np.array_equal(by_layer.points, tp.layers(tokens, attention, depth=5, step=0.1).points)
    between = (by_layer[2].points + by_layer[3].points) / 2
    assert np.abs(by_layer(0.25).points - between).max() <= 1e-15


def test_a_stationary_state_is_an_outcome():
    attention = tp.Softmax([[1.0, 0.0]], [[-1.0, 0.0]], np.eye(2))
    X = np.array([[1.0, 0.0], [0.5, 1.0]])
    path = tp.flow(tp.Gaussian([0.0, 0.0], factor=X), attention, np.inf, stationary=1e-6)
    limit = 1 / np.linalg.inv(X @ X.T)[1, 1]  # N (N^T inv(Sigma_0) N)^{-1} N^T
    assert path.stop == "stationary"
    assert np.isinf(path.blowup_time)
    assert np.abs(path.final.covariance - np.diag([0.0, limit])).max() <= 1e-4
    with pytest.raises(ValueError, match=r"t: must be a number of at least 0 and at most"):
        path(2 * path.end)
    tokens = tp.Particles([[1.0, 0.0], [-1.0, 0.0]])
    settled = tp.flow(tokens, attention + tp.AffineField(-np.eye(2)), 1e3, stationary=1e-3)
    assert settled.stop in ("stationary", "time")


def test_a_point_mass_stays_a_point_mass():
    path = tp.flow(
        tp.Gaussian([1.0, 2.0], factor=np.zeros((2, 1))), tp.Softmax(*[np.eye(2)] * 3), 1.0
    )
    assert np.array_equal(path.final.covariance, np.zeros((2, 2)))
    assert relative(path.final.mean, np.e * np.array([1.0, 2.0])) <= 1e-9


# --- at the edge of floating point numbers ------------------------------------------------------

ONE = tp.Softmax([[1.0]], [[1.0]], [[1.0]])


def test_a_step_that_is_not_a_number_is_no_success():
    path = tp.flow(tp.Particles([[1.0]]), ONE, 360.0)
    assert path.stop == "undecided"
    assert 345 < path.end < 346  # e^345 = 1e150: the largest coordinate whose square is a number
    assert np.array_equal(np.isfinite(path.points).ravel(), path.times <= path.end)
    with pytest.raises(RuntimeError, match=r"leaves the range of floating .* in layer 5"):
        tp.layers(tp.Particles([[1.0]]), ONE, 2000, 1e3)


@pytest.mark.parametrize("size", [1e-140, 1e75, 1e140])
def test_blowup_time_over_the_range_of_floats(size):
    for horizon in (np.inf, 1e300):
        path = tp.flow(tp.Gaussian([0.0], factor=[[size]]), ONE, horizon)
        assert path.stop == "blow-up"
        assert path.blowup_time == pytest.approx(0.5 / size / size, rel=1e-8)


@pytest.mark.parametrize(
    "measure",
    [
        tp.Particles([[1e160, 0.0], [0.0, 1e160]]),
        tp.Gaussian([0.0, 0.0], factor=1e200 * np.eye(2)),
        tp.Gaussian([0.0, 0.0], factor=np.eye(2), log_scale=800.0),
    ],
)
def test_a_first_velocity_out_of_range_is_told(measure):
    with pytest.raises(ValueError, match="measure: too large for this attention"):
        tp.flow(measure, tp.Softmax(np.eye(2), np.eye(2), np.eye(2)), 1.0)


@pytest.mark.parametrize(("v", "end"), [(1.0, 1e13), (1e6, 1e8)])
def test_exponential_growth_is_no_blowup(v, end):
    """L2 with an injective key grows exponentially, for any length of time."""
    path = tp.flow(tp.Gaussian([0.0], factor=[[1.0]]), tp.L2([[1.0]], [[1.0]], [[v]]), [0.0, end])
    assert path.stop == "time"
    assert path.log_sizes[-1] == pytest.approx(2 * v * end, rel=1e-8)


def test_a_blowup_after_long_exponential_growth_is_told():
    """A pulse of softmax after L2 growth for a long time: the pause of the clock is noticed."""
    grown = tp.flow(
        tp.Gaussian([0.0], factor=[[1.0]]), tp.L2([[1.0]], [[1.0]], [[1.0]]), 50.0
    ).final
    path = tp.flow(grown, ONE, 1.0)
    assert path.stop == "blow-up"
    assert path.blowup_time == pytest.approx(0.5 * np.exp(-grown.log_size), rel=1e-8)


@pytest.mark.parametrize("k", [0.1, 1.0, 2.0])
def test_blowup_along_a_direction_in_which_the_attention_vanishes(k):
    """V = diag(1, k): x' = x^3 and y = x^k, so t* = 1/2 while Sigma turns towards A's kernel."""
    attention = tp.Softmax([[1.0, 1.0], [-1.0, 0.0]], np.eye(2), np.diag([1.0, k]))
    path = tp.flow(tp.Gaussian([0.0, 0.0], factor=[[1.0], [1.0]]), attention, 1.0)
    assert path.stop == "blow-up"
    assert path.blowup_time == pytest.approx(0.5, rel=1e-8)


def spinning_blowup_time(A, V):
    """Exact blow-up time from x = e_1: Sigma = s u u^T with s' = 2 s^2 a b and phi' = s a c.

    Here a = u.Au, b = u.Vu and c = u'.Vu, u' = u turned by 90 degrees, all of period pi in the
    angle phi of u. So s gains one factor m a period, and the periods' times are a geometric sum.
    """

    def forms(phi):
        u = np.array([np.cos(phi), np.sin(phi)])
        return u @ A @ u, u @ V @ u, np.array([-u[1], u[0]]) @ V @ u

    def rhs(phi, y):  # logarithm of s, and time
        a, b, c = forms(phi)
        return [2 * b / c, np.exp(-y[0]) / (a * c)]

    end = integrate.solve_ivp(
        rhs, (0.0, np.pi), [0.0, 0.0], method="DOP853", rtol=1e-12, atol=1e-14
    )
    gain, period = end.y[:, -1]
    return period / -np.expm1(-gain)


@pytest.mark.parametrize(("degrees", "stretch"), [(60, 1.5), (40, 1.05), (75, 1.5)])
def test_blowup_of_what_grows_and_shrinks_in_turns(degrees, stretch):
    """A fast turn at great size, with growth of either sign in it, is no end of the flow."""
    A, turn = np.diag([stretch, 2 - stretch]), np.deg2rad(degrees)
    V = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ A
    path = tp.flow(tp.Gaussian([0, 0], factor=[[1], [0]]), tp.Softmax(A, np.eye(2), V), 100.0)
    assert path.stop == "blow-up"
    assert path.blowup_time == pytest.approx(spinning_blowup_time(A, V), rel=1e-8)


@pytest.mark.parametrize("k", [5.0, 50.0])
@pytest.mark.parametrize("time", [1.0, np.inf])
def test_what_rounding_hides_is_told(k, time):
    """The same, but the driving form falls below rounding before the blow-up."""
    attention = tp.Softmax([[1.0, 1.0], [-1.0, 0.0]], np.eye(2), np.diag([1.0, k]))
    path = tp.flow(tp.Gaussian([0.0, 0.0], factor=[[1.0], [1.0]]), attention, time)
    assert path.stop == "undecided"
    assert 0 < path.end < 0.5  # the blow-up time
    if time == 1.0:
        assert np.isfinite(path.log_sizes[path.times <= path.end]).all()


@pytest.mark.parametrize("head", [tp.Softmax, tp.L2])
def test_time_without_end_is_told(head):
    path = tp.flow(tp.Gaussian([0.0], factor=[[1.0]]), head([[1.0]], [[-1.0]], [[1.0]]), np.inf)
    assert path.stop == "growth"
    assert path.growth_power == pytest.approx(-1.0, rel=3e-3)
    assert np.isnan(path.growth_rate)


def test_what_a_flow_returns_cannot_be_changed():
    path = tp.flow(tp.Gaussian([1.0], factor=[[0.1]]), ONE, 1.0)
    network = tp.layers(tp.Particles([[1.0]]), ONE, 2, 0.1)
    arrays = [path.final.mean, path(0.5).factor, path.states, path.times, path.means]
    for array in (*arrays, network.final.points, network(0.15).points, network.states):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0.0


# --- bad input ---------------------------------------------------------------------------------

ATTENTION = tp.Softmax(np.eye(2), np.eye(2), np.eye(2))
GAUSSIAN = tp.Gaussian([0.0, 0.0], factor=np.eye(2))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"time": 0.0}, ValueError, "time: must be a positive number; got 0.0"),
        ({"time": -1.0}, ValueError, "time: must be a positive number; got -1.0"),
        ({"time": np.nan}, ValueError, "time: must be a positive number; got nan"),
        ({"time": "long"}, ValueError, "time: must be a positive number; got 'long'"),
        ({"time": [0.0, 2.0, 1.0]}, ValueError, "time: must be strictly increasing"),
        ({"time": [0.0, 1.0, 1.0]}, ValueError, "time: must be strictly increasing"),
        ({"time": [0.0]}, ValueError, "time: must be strictly increasing with at least two"),
        ({"time": [0.5, 1.0]}, ValueError, "time: an array of times must start at 0; got 0.5"),
        ({"time": [0.0, np.inf]}, ValueError, "time: an array of times must be finite; got inf"),
        ({"rtol": 0.0}, ValueError, "rtol: must be a positive finite number"),
        ({"atol": -1e-3}, ValueError, "atol: must be a positive finite number"),
        ({"stationary": -1.0}, ValueError, "stationary: must be a positive finite number"),
        ({"method": "Euler"}, ValueError, "method: must be one of auto, DOP853, .*; got 'Euler'"),
        ({"measure": [[1.0, 0.0]]}, TypeError, "measure: must be a measure; got list"),
        ({"attention": 3.0}, TypeError, "attention: must be an attention"),
        (
            {"attention": lambda t: t},
            TypeError,
            "attention: must be an attention, .*; got float",
        ),
        ({"measure": tp.Particles([[1.0]])}, ValueError, "measure: its dimension must be that"),
        ({"budget": 0}, ValueError, "budget: must be an integer of at least 1; got 0"),
        ({"budget": 2.5}, ValueError, "budget: must be an integer of at least 1; got 2.5"),
    ],
)
def test_bad_flow(change, error, message):
    good = {"measure": GAUSSIAN, "attention": ATTENTION, "time": 1.0}
    with pytest.raises(error, match=message):
        tp.flow(**{**good, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": 0}, "depth: must be an integer of at least 1; got 0"),
        ({"depth": 2.5}, "depth: must be an integer of at least 1; got 2.5"),
        ({"depth": True}, "depth: must be an integer of at least 1; got True"),
        ({"step": -0.1}, "step: must be a positive finite number; got -0.1"),
        ({"step": np.inf}, "step: must be a positive finite number; got inf"),
        ({"attention": [ATTENTION] * 3}, "a sequence must hold one attention a layer, 2; got 3"),
    ],
)
def test_bad_layers(change, message):
    good = {"measure": GAUSSIAN, "attention": ATTENTION, "depth": 2, "step": 0.1}
    with pytest.raises(ValueError, match=message):
        tp.layers(**{**good, **change})


@pytest.mark.parametrize("attention", [None, 3, [None, None], [lambda t: ATTENTION] * 2, "ab"])
def test_layers_want_attentions(attention):
    with pytest.raises(
        TypeError, match="attention: must be an attention, a Schedule or a callable"
    ):
        tp.layers(GAUSSIAN, attention, 2, 0.1)


@pytest.mark.parametrize("t", [-1, np.nan, "x", None, [0.1]])
def test_a_path_wants_a_time(t):
    stack = tp.Gaussian(np.zeros((2, 2)), factor=np.eye(2))
    for measure in (GAUSSIAN, stack):
        with pytest.raises(ValueError, match="t: must be a number of at least 0"):
            tp.flow(measure, ATTENTION, 0.1)(t)


def test_nothing_given_is_changed():
    X, m, Q = np.eye(2), np.array([1.0, 0.0]), np.eye(2)
    times = np.array([0.0, 0.1])
    copies = [a.copy() for a in (X, m, Q, times)]
    gaussian, attention = tp.Gaussian(m, factor=X), tp.Softmax(Q, Q, Q)
    before = gaussian.pack().copy()
    tp.flow(gaussian, attention, times)
    tp.layers(gaussian, attention, 3, 0.1)
    assert all(np.array_equal(a, b) for a, b in zip((X, m, Q, times), copies, strict=True))
    assert all(a.flags.writeable for a in (X, m, Q, times))
    assert np.array_equal(gaussian.pack(), before)
