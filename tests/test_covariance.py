"""Covariance dynamics: the statements of that chapter against flows and independent routes."""

import mpmath
import numpy as np
import pytest
from scipy import linalg

import transpde as tp
from transpde import disc, theory

PLANE = [[0.0, 1.0]], [[1.0, 0.0]]  # query and key of the plane's example


def one_key_stack(deltas, a, b, c):
    """Heads with one key, V = diag(delta, 1), and starts [[a, b], [b, c]]."""
    V = np.zeros((len(deltas), 2, 2))
    V[:, 0, 0], V[:, 1, 1] = deltas, 1.0
    starts = np.broadcast_to([[a, b], [b, c]], V.shape)
    return tp.L2(*PLANE, V), tp.Gaussian.from_covariance(np.zeros((len(deltas), 2)), starts)


# --- L2 with one key -----------------------------------------------------------------------------


@pytest.mark.parametrize("b", [0.5, -0.5, 0.0, 1.0])
def test_one_key_blows_up_at_the_time_of_the_formula(b):
    head, start = one_key_stack([0.05, 0.3, 0.6, 0.9], 1.0, b, 1.0)
    times = theory.blowup_time(head, start)
    np.testing.assert_allclose(tp.flow(start, head, np.inf).blowup_time, times, rtol=1e-9)


@pytest.mark.parametrize(("a", "b", "c"), [(1.3, 0.4, 0.7), (0.2, -0.1, 3.0)])
@pytest.mark.parametrize("delta", [1e-3, 0.4, 0.99])
def test_one_key_time_is_an_integral(a, b, c, delta):
    """The time is that of the clock sigma, by quadrature in thirty digits; b < 0 turns first."""
    with mpmath.workdps(30):
        mean, kappa = mpmath.mpf(a) * c, 1 - mpmath.mpf(b) ** 2 / (mpmath.mpf(a) * c)

        def slowness(x):  # y = x^n, smooth in x
            n = 1 / (1 - mpmath.mpf(delta))
            y = x**n
            root = mpmath.sqrt(mean * abs(1 - kappa * y ** (2 * delta)))
            return n * y / x * (y**delta + 2 * a * y**-delta) / (2 * root)

        turn = (1 / kappa) ** ((1 - mpmath.mpf(delta)) / (2 * mpmath.mpf(delta)))
        total = mpmath.quad(slowness, [0, 0.25, 0.5, 1])
        if b < 0:
            total += 2 * mpmath.quad(slowness, mpmath.linspace(1, turn, 5))
    head = tp.L2(*PLANE, np.diag([delta, 1.0]))
    start = tp.Gaussian.from_covariance([1.0, -2.0], [[a, b], [b, c]])
    assert theory.blowup_time(head, start) == pytest.approx(float(total), rel=1e-10)


def test_one_key_of_rank_one_has_an_elementary_time():
    """And a negative correlation of rank one never blows up."""
    a, c = 1.5, 0.6
    b = np.sqrt(a * c)
    for delta in (0.2, 0.7):
        head = tp.L2(*PLANE, np.diag([delta, 1.0]))
        exact = (1 / (1 + delta) + 2 * a / (1 - delta)) / (2 * b)
        line = tp.Gaussian([0.0, 0.0], [[np.sqrt(a)], [np.sqrt(c)]])
        assert theory.blowup_time(head, line) == pytest.approx(exact, rel=1e-12)
        mirrored = tp.Gaussian([0.0, 0.0], [[-np.sqrt(a)], [np.sqrt(c)]])
        assert theory.blowup_time(head, mirrored) == np.inf
        assert tp.flow(mirrored, head, 3 * exact, rtol=1e-6).stop == "time"


def test_one_key_in_three_dimensions_and_other_units():
    """V^T k = delta k and V^T q = vq are all that is used of V."""
    rng = np.random.default_rng(0)
    k, q = [[0.0, 0.6, 0.0]], [[1.3, 0.0, 0.0]]
    V = [[2.0, 0.0, 0.0], [0.0, 0.5, 0.0], [0.7, -0.4, 0.3]]
    start = tp.Gaussian(rng.normal(size=3), rng.normal(size=(3, 3)))
    time = theory.blowup_time(tp.L2(q, k, V), start)
    assert tp.flow(start, tp.L2(q, k, V), np.inf).blowup_time == pytest.approx(time, rel=1e-8)


def test_one_key_does_not_blow_up_from_delta_one_on():
    head, start = one_key_stack([1.0, 1.5], 1.0, 0.5, 1.0)
    assert (theory.blowup_time(head, start) == np.inf).all()
    path = tp.flow(start, head, [0.0, 5.0, 20.0], rtol=1e-6)
    assert (path.stop == "time").all()
    flat = tp.Gaussian.from_covariance([0.0, 0.0], np.diag([0.0, 1.0]))
    assert theory.blowup_time(tp.L2(*PLANE, np.diag([0.5, 1.0])), flat) == np.inf
    for delta, v in ((-0.5, 1.0), (0.5, -1.0)):  # no statement
        head = tp.L2(*PLANE, np.diag([delta, v]))
        assert theory.blowup_time(head, tp.Gaussian([0.0, 0.0], np.eye(2))) is None


def test_one_key_time_of_signs_and_units_of_the_eigenvalues():
    """The field keeps under V, Q -> -V, -Q; equal eigenvalues count as such in any units."""
    start = tp.Gaussian.from_covariance([1.0, 3.0], [[1.0, -0.5], [-0.5, 1.0]])
    for V in (np.diag([-0.5, -1.0]), np.diag([0.0, -1.0])):
        time = theory.blowup_time(tp.L2(*PLANE, V), start)
        assert tp.flow(start, tp.L2(*PLANE, V), np.inf).blowup_time == pytest.approx(time, 1e-8)
        opposite = tp.L2([[0.0, -1.0]], [[1.0, 0.0]], -V)
        assert theory.blowup_time(opposite, start) == pytest.approx(time, 1e-12)
    space = tp.Gaussian([0.0, 0.0, 0.0], np.eye(3) + 0.2)
    for k, q, c in np.random.default_rng(4).uniform(0.1, 2.0, size=(50, 3)):
        equal = tp.L2([[0.0, q, 0.0]], [[k, 0.0, 0.0]], np.diag([c, c, 5.0]))
        assert theory.blowup_time(equal, space) == np.inf
        less = tp.L2([[0.0, q, 0.0]], [[k, 0.0, 0.0]], np.diag([c / 3, c, 5.0]))
        assert np.isfinite(theory.blowup_time(less, space))


@pytest.mark.parametrize("delta", [0.0, 0.5])
@pytest.mark.parametrize("log_size", [-700.0, -400.0, 0.0, 400.0, 3000.0])
def test_one_key_time_at_every_size(log_size, delta):
    head = tp.L2(*PLANE, np.diag([delta, 1.0]))
    start = tp.Gaussian([0.0, 0.0], [[1.0, 0.0], [1.0, 1.0]], log_size)
    time = theory.blowup_time(head, start)
    assert tp.flow(start, head, np.inf).blowup_time == pytest.approx(time, rel=1e-9)


@pytest.mark.parametrize("delta", [1e-4, 1e-3])
def test_one_key_time_of_a_small_eigenvalue(delta):
    """Near zero the time is that of delta = 0, which is elementary, up to order delta."""
    head = tp.L2(*PLANE, np.diag([delta, 1.0]))
    start = tp.Gaussian.from_covariance([0.0, 0.0], [[1.0, 0.5], [0.5, 1.0]])
    assert theory.blowup_time(head, start) == pytest.approx(3.0, rel=5 * delta)
    away = tp.Gaussian.from_covariance([0.0, 0.0], [[1.0, -0.97], [-0.97, 1.0]])
    assert theory.blowup_time(head, away) == np.inf  # about e^(1/delta): beyond all floats


# --- L2 with identity value ----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_l2_with_identity_value_keeps_the_precision_on_the_kernel(seed):
    r"""$\|\dot P\|\le4\|K\|\|Q\|$, and P is conserved on ker K."""
    rng = np.random.default_rng(seed)
    d, k = 3, 1 + seed % 2
    Q, K = rng.normal(size=(2, k, d))
    start = tp.Gaussian(rng.normal(size=d), rng.normal(size=(d, d)))
    path = tp.flow(start, tp.L2(Q, K, np.eye(d)), np.linspace(0, 1, 9), rtol=1e-10)
    P, N = np.linalg.inv(path.covariances), linalg.null_space(K)
    kept = np.swapaxes(N, 0, 1) @ P @ N
    np.testing.assert_allclose(kept, np.broadcast_to(kept[0], kept.shape), rtol=1e-6, atol=1e-7)
    moved = np.linalg.norm(np.diff(P, axis=0), 2, axis=(1, 2)) / np.diff(path.times)
    assert (moved <= 4 * np.linalg.norm(K, 2) * np.linalg.norm(Q, 2) * (1 + 1e-9)).all()


# --- fields of very large Gaussians --------------------------------------------------------------


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("kind", ["sinkhorn", "l2", "thin l2"])
def test_the_field_of_a_large_gaussian_depends_on_its_shape_alone(kind, d):
    """Under a common factor of all lengths nothing changes any more, at any size."""
    rng = np.random.default_rng(d)
    Q, K, V = rng.normal(size=(3, d, d))
    X = rng.normal(size=(d, d)) * np.exp(np.arange(d))
    head = tp.Sinkhorn(Q, K, V) if kind == "sinkhorn" else tp.L2(Q, K, V)
    if kind == "thin l2":
        head = tp.L2(Q[:1], K[:1], V)
    fields = [head(tp.Gaussian(np.zeros(d), X, size)).linear for size in (200.0, 1e3, 3e3, 1e5)]
    for other in fields[1:]:
        np.testing.assert_allclose(
            other, fields[0], rtol=1e-9, atol=1e-9 * np.abs(fields[0]).max()
        )


@pytest.mark.parametrize("kind", [tp.Sinkhorn, tp.L2])
def test_a_long_axis_has_only_its_direction_beside_moderate_ones(kind):
    rng = np.random.default_rng(5)
    head = kind(*rng.normal(size=(3, 3, 3)))
    U = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    scales = [np.array([size, size - 0.7, 0.3]) for size in (250.0, 2e3)]
    scales += [np.array([2e3, 0.3, -0.9]), np.array([250.0, 0.3, -0.9])]
    first, large, alone, moderate = [head(tp.Gaussian(np.zeros(3), U, s)).linear for s in scales]
    np.testing.assert_allclose(large, first, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(alone, moderate, rtol=1e-9, atol=1e-12)


def test_sinkhorn_growth_keeps_its_rate_beyond_floats():
    """Once its direction has settled, the rate is constant, at 1e600 as at 1e60."""
    Q, K = np.array([[1.0, 0.3], [-0.4, 0.8]]), np.array([[0.9, -0.5], [0.2, 0.8]])
    head = tp.Sinkhorn(Q, K, [[0.6, -0.3], [0.5, 0.4]])
    path = tp.flow(tp.Gaussian([0.0, 0.0], np.eye(2)), head, [0, 100.0, 400.0, 700.0, 1000.0])
    rates = np.diff(path.log_sizes[1:]) / 300
    np.testing.assert_allclose(rates, rates[0], rtol=1e-8)
    np.testing.assert_allclose(path.directions[2:], path.directions[1:2].repeat(3, 0), atol=1e-8)


# --- softmax with identity value -----------------------------------------------------------------


@pytest.mark.parametrize("trace", [0.0, 1.0, -2.6])
def test_directions_in_the_plane_move_on_lines_through_the_pole(trace):
    """Three points of a path and the pole are on one line; without a trace, all paths parallel."""
    rng = np.random.default_rng(8)
    C = np.diag([trace / 2 + 1, trace / 2 - 1]) + 0.4 * np.array([[0.0, 1.0], [1.0, 0.0]])
    start = tp.Gaussian(np.zeros((10, 2)), rng.normal(size=(10, 2, 2)))
    skew = np.array([[0.0, 0.7], [-0.7, 0.0]])
    head = tp.Softmax(C / 2 + skew, np.eye(2), np.eye(2))
    life = np.minimum(theory.blowup_time(head, start), 10.0)
    own = tp.Softmax(C / 2 + skew, np.eye(2), life[:, None, None] * np.eye(2))
    directions = tp.flow(start, own, [0.0, 0.3, 0.6, 0.99]).directions
    u, w = directions[..., 0, 0] - directions[..., 1, 1], 2 * directions[..., 0, 1]
    mirrored = np.array([C[1, 1] - C[0, 0], -2 * C[0, 1]])
    if trace == 0:
        along = np.repeat(mirrored[:, None], 10, axis=1)
    else:
        along = (mirrored / trace)[:, None] - [u[0], w[0]]
    bent = (u - u[0]) * along[1] - (w - w[0]) * along[0]
    assert np.abs(bent).max() < 1e-8
    assert np.abs(u[-1] - u[0]).min() > 1e-3


@pytest.mark.parametrize("seed", range(5))
def test_explosions_end_in_the_leading_eigenspace(seed):
    rng = np.random.default_rng(seed)
    C = np.diag([1.0, 0.4, -1.5]) + 0.2 * (lambda G: G + G.T)(rng.normal(size=(3, 3)))
    head, X = tp.Softmax(C / 2, np.eye(3), np.eye(3)), rng.normal(size=(3, 3))
    u = X @ np.linalg.eigh(X.T @ C @ X)[1][:, -1]
    limit = tp.flow(tp.Gaussian(np.zeros(3), X), head, np.inf).final.direction
    np.testing.assert_allclose(limit, np.outer(u, u) / (u @ u), atol=1e-6)
    assert u @ C @ u > 0
    aim = np.linalg.eigh(C)[1] @ [0.3, 0.4, 1.0]
    assert aim @ C @ aim > 0
    beside = 0.1 * linalg.null_space((C @ aim)[None])
    start = tp.Gaussian(np.zeros(3), np.column_stack([aim, beside]))
    limit = tp.flow(start, head, np.inf).final.direction
    np.testing.assert_allclose(limit, np.outer(aim, aim) / (aim @ aim), atol=1e-6)


# --- the Lyapunov function -----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_the_lyapunov_function_falls_for_softmax_and_sinkhorn_and_not_for_l2(seed):
    rng = np.random.default_rng(seed)
    G, Y, Z = rng.normal(size=(3, 3, 3))
    A, V = Z - Z.T - 0.3 * Y @ Y.T, G @ G.T + 0.1 * np.eye(3)
    start = tp.Gaussian(np.zeros(3), rng.normal(size=(3, 3)))
    for kind in (tp.Softmax, tp.Sinkhorn):
        covariances = tp.flow(start, kind(A, np.eye(3), V), np.linspace(0, 1, 9)).covariances
        levels = np.trace(np.linalg.solve(V, covariances), axis1=-2, axis2=-1)
        assert (np.diff(levels) < 1e-9 * levels[0]).all()
    keys, turn = np.diag([2.0, 0.3]), np.array([[0.0, 1.0], [-1.0, 0.0]])
    head = tp.L2(np.linalg.solve(keys, turn), keys, np.eye(2))
    path = tp.flow(tp.Gaussian([0.0, 0.0], np.diag([2.0, 0.5 + 0.1 * seed])), head, [0, 4.0, 8.0])
    assert path.log_sizes[-1] > path.log_sizes[0] + 1


@pytest.mark.parametrize("seed", range(3))
def test_l2_with_identity_value_has_another_lyapunov_function(seed):
    r"""With $A+A^\top\preceq0$, tr(K Sigma K^T) falls; for skew A all its eigenvalues stay."""
    rng = np.random.default_rng(seed)
    K, Y, Z = rng.normal(size=(3, 3, 3))
    start = tp.Gaussian(rng.normal(size=3), rng.normal(size=(3, 3)))
    for A in (Z - Z.T, Z - Z.T - 0.3 * Y @ Y.T):
        head = tp.L2(np.linalg.solve(K.T, A), K, np.eye(3))
        seen = K @ tp.flow(start, head, np.linspace(0, 3, 9)).covariances @ K.T
        levels, traces = np.linalg.eigvalsh(seen), np.trace(seen, axis1=-2, axis2=-1)
        assert (np.diff(traces) < 1e-8 * traces[0]).all()
        if (A == -A.T).all():
            np.testing.assert_allclose(levels, levels[:1].repeat(9, 0), atol=1e-7 * traces[0])


def test_some_paths_of_the_cone_shrink_first_and_the_trace_tells_at_the_start():
    """Of the explorer's eight starts: the trace is convex in depth, so its first slope decides."""
    starts = disc.covariances_at(0.7 * np.exp(1j * np.arange(8) * np.pi / 4)[:, None].view(float))
    for c, ended in ((0.25, 1), (0.5, 3), (1.0, 5)):
        C = np.diag([c, -0.5])
        slopes = np.trace(starts @ C @ starts, axis1=1, axis2=2)
        assert 0 < (slopes < 0).sum() < 8
        X = np.linalg.cholesky(starts)
        ends = 1 / np.linalg.eigvalsh(X.swapaxes(1, 2) @ C @ X)[:, -1]
        assert (ends < 5).sum() == ended
        gaussians = tp.Gaussian.from_covariance(np.zeros((8, 2)), starts)
        path = tp.flow(gaussians, tp.Softmax(C / 2, np.eye(2), np.eye(2)), 5.0, rtol=1e-6)
        assert np.isfinite(path.blowup_time).sum() == ended
