"""Covariance dynamics: the statements of that chapter against flows and independent routes."""

import mpmath
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy import linalg
from scipy.integrate import solve_ivp

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
@pytest.mark.parametrize("kind", [tp.Softmax, tp.L2])
def test_one_key_time_is_an_integral(a, b, c, delta, kind):
    """The time is that of the clock sigma, by quadrature in thirty digits; b < 0 turns first."""
    with mpmath.workdps(30):
        mean, kappa = mpmath.mpf(a) * c, 1 - mpmath.mpf(b) ** 2 / (mpmath.mpf(a) * c)

        def slowness(x):  # y = x^n, smooth in x
            n = 1 / (1 - mpmath.mpf(delta))
            y = x**n
            root = mpmath.sqrt(mean * abs(1 - kappa * y ** (2 * delta)))
            damped = (y**delta + 2 * a * y**-delta) / 2 if kind is tp.L2 else y**delta
            return n * y / x * damped / root

        turn = (1 / kappa) ** ((1 - mpmath.mpf(delta)) / (2 * mpmath.mpf(delta)))
        total = mpmath.quad(slowness, [0, 0.25, 0.5, 1])
        if b < 0:
            total += 2 * mpmath.quad(slowness, mpmath.linspace(1, turn, 5))
    head = kind(*PLANE, np.diag([delta, 1.0]))
    start = tp.Gaussian.from_covariance([1.0, -2.0], [[a, b], [b, c]])
    if kind is tp.Softmax:  # key and query may be exchanged
        mirrored = tp.Gaussian.from_covariance([0.0, 0.0], [[c, b], [b, a]])
        other = tp.Softmax(*PLANE, np.diag([1.0, delta]))
        assert theory.blowup_time(other, mirrored) == pytest.approx(float(total), rel=1e-10)
    assert theory.blowup_time(head, start) == pytest.approx(float(total), rel=1e-10)


def test_one_key_of_rank_one_has_an_elementary_time():
    """And a negative correlation of rank one never blows up."""
    a, c = 1.5, 0.6
    b = np.sqrt(a * c)
    for delta in (0.2, 0.7):
        head = tp.L2(*PLANE, np.diag([delta, 1.0]))
        exact = (1 / (1 + delta) + 2 * a / (1 - delta)) / (2 * b)
        line = tp.Gaussian([0.0, 0.0], factor=[[np.sqrt(a)], [np.sqrt(c)]])
        assert theory.blowup_time(head, line) == pytest.approx(exact, rel=1e-12)
        mirrored = tp.Gaussian([0.0, 0.0], factor=[[-np.sqrt(a)], [np.sqrt(c)]])
        assert theory.blowup_time(head, mirrored) == np.inf
        assert tp.flow(mirrored, head, 3 * exact, rtol=1e-6).stop == "time"


def test_one_key_in_three_dimensions_and_other_units():
    """V^T k = delta k and V^T q = vq are all that is used of V."""
    rng = np.random.default_rng(0)
    k, q = [[0.0, 0.6, 0.0]], [[1.3, 0.0, 0.0]]
    V = [[2.0, 0.0, 0.0], [0.0, 0.5, 0.0], [0.7, -0.4, 0.3]]
    start = tp.Gaussian(rng.normal(size=3), factor=rng.normal(size=(3, 3)))
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
        assert theory.blowup_time(head, tp.Gaussian([0.0, 0.0], factor=np.eye(2))) is None


def test_one_key_time_of_signs_and_units_of_the_eigenvalues():
    """The field keeps under V, Q -> -V, -Q; equal eigenvalues count as such in any units."""
    start = tp.Gaussian.from_covariance([1.0, 3.0], [[1.0, -0.5], [-0.5, 1.0]])
    for V in (np.diag([-0.5, -1.0]), np.diag([0.0, -1.0])):
        time = theory.blowup_time(tp.L2(*PLANE, V), start)
        assert tp.flow(start, tp.L2(*PLANE, V), np.inf).blowup_time == pytest.approx(time, 1e-8)
        opposite = tp.L2([[0.0, -1.0]], [[1.0, 0.0]], -V)
        assert theory.blowup_time(opposite, start) == pytest.approx(time, 1e-12)
    space = tp.Gaussian([0.0, 0.0, 0.0], factor=np.eye(3) + 0.2)
    for k, q, c in np.random.default_rng(4).uniform(0.1, 2.0, size=(50, 3)):
        equal = tp.L2([[0.0, q, 0.0]], [[k, 0.0, 0.0]], np.diag([c, c, 5.0]))
        assert theory.blowup_time(equal, space) == np.inf
        less = tp.L2([[0.0, q, 0.0]], [[k, 0.0, 0.0]], np.diag([c / 3, c, 5.0]))
        assert np.isfinite(theory.blowup_time(less, space))


@pytest.mark.parametrize("delta", [0.0, 0.5])
@pytest.mark.parametrize("log_size", [-700.0, -400.0, 0.0, 400.0, 3000.0])
def test_one_key_time_at_every_size(log_size, delta):
    head = tp.L2(*PLANE, np.diag([delta, 1.0]))
    start = tp.Gaussian([0.0, 0.0], factor=[[1.0, 0.0], [1.0, 1.0]], log_scale=log_size)
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


SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=200)
@given(SEEDS, st.integers(2, 6), st.sampled_from([tp.Softmax, tp.L2]))
def test_one_key_time_of_a_value_made_from_its_eigenvectors(seed, d, kind):
    r"""$V^\top = S\operatorname{diag}S^{-1}$ up to rounding; in the frame of S it is diagonal."""
    rng = np.random.default_rng(seed)
    S, X = rng.normal(size=(2, d, d))
    assume(np.linalg.cond(S) < 100)
    mixed = S[:, 0] @ X @ X.T @ S[:, 1]
    assume(abs(mixed) > 0.1 * np.linalg.norm(S[:, 0] @ X) * np.linalg.norm(S[:, 1] @ X))
    k, q, I = S[:, :1].T, np.sign(mixed) * S[:, 1:2].T, np.eye(d)
    start = tp.Gaussian(np.zeros(d), factor=X)
    for small in (rng.uniform(0.05, 0.9), 0.0, 1.3):
        values = np.append(small, rng.uniform(1.0, 2.0, size=d - 1))
        values[1] = 1.3
        V = (S * values @ np.linalg.inv(S)).T
        plain = kind(np.sign(mixed) * I[1:2], I[:1], np.diag(values))
        exact = theory.blowup_time(plain, tp.Gaussian(np.zeros(d), factor=S.T @ X))
        assert (exact == np.inf) == (kind is tp.L2 and small == 1.3)
        assert theory.blowup_time(kind(q, k, V), start) == pytest.approx(exact, rel=1e-10)
        leaning = V + 1e-6 * np.linalg.norm(V) * rng.normal(size=(d, d))
        assert theory.blowup_time(kind(q, k, leaning), start) is None


@settings(max_examples=40)
@given(SEEDS, st.integers(1, 5), st.floats(-2, 2))
def test_one_key_moves_three_heads_along_one_curve(seed, d, size):
    r"""Softmax, L2 and Sinkhorn with any V: B = phi V Sigma k q^T, with three numbers phi."""
    rng = np.random.default_rng(seed)
    k, q = 10.0**size * rng.normal(size=(2, 1, d))
    V, X, epsilon = rng.normal(size=(d, d)), rng.normal(size=(d, rng.integers(1, d + 1))), 0.7
    a, c = (float(np.sum((row @ X) ** 2)) for row in (k, q))
    factors = [1.0, 2 / (1 + 2 * a), 2 / (epsilon + np.sqrt(epsilon**2 + 4 * a * c))]
    heads = [tp.Softmax(q, k, V), tp.L2(q, k, V), tp.Sinkhorn(q, k, V, epsilon=epsilon)]
    velocity = V @ X @ X.T @ k.T @ q @ X
    for head, factor in zip(heads, factors, strict=True):
        moved = head(tp.Gaussian(np.zeros(d), factor=X)).linear @ X
        np.testing.assert_allclose(
            moved, factor * velocity, atol=1e-12 * factor * np.abs(velocity).max()
        )


def covariance_by_lsoda(head, X, times):
    """The covariance of L2 by an integrator that shares no code with the package."""
    K, Q, V, d = head.key, head.query, head.value, len(X)

    def velocity(_, y):
        S = y.reshape(d, d)
        inner = np.linalg.inv(np.eye(len(K)) + 2 * K @ S @ K.T)
        F = 2 * V @ S @ K.T @ inner @ Q @ S
        return (F + F.T).ravel()

    options = {"method": "LSODA", "rtol": 1e-12, "atol": 1e-13, "t_eval": times}
    return solve_ivp(velocity, [0, max(times)], (X @ X.T).ravel(), **options).y.T.reshape(-1, d, d)


@settings(max_examples=30)
@given(SEEDS, st.integers(1, 5), st.sampled_from([1.0, -0.7]))
def test_one_key_with_identity_value_has_its_covariance_in_closed_form(seed, d, c):
    rng = np.random.default_rng(seed)
    X, times = rng.normal(size=(d, rng.integers(1, d + 1))), [0.1, 0.5, 1.0]
    head = tp.L2(*rng.normal(size=(2, 1, d)), c * np.eye(d))
    exact = theory.closed_form_covariance(head, tp.Gaussian(rng.normal(size=d), factor=X), times)
    ode = covariance_by_lsoda(head, X, times)
    size = np.abs(ode).max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(exact / size, ode / size, atol=2e-9)


@settings(max_examples=40)
@example(180145, 0.0, 2.0, 1)
@example(180145, 0.0, 3.0, 1)
@given(SEEDS, st.floats(-40, 40), st.floats(-12, 3), st.sampled_from([1, -1]))
def test_one_key_clock_in_many_digits(seed, log_size, log_time, sign):
    """In the plane, rows nearly parallel or opposite too, against fifty digits beyond the size."""
    rng = np.random.default_rng(seed)
    X = np.exp(log_size / 2) * rng.normal(size=(2, 2))
    k = rng.normal(size=2)
    q = sign * k * rng.uniform(0.2, 2) + 10.0 ** rng.uniform(-9, 0) * rng.normal(size=2)
    t = np.exp(log_time)
    exact = theory.closed_form_covariance(
        tp.L2([q], [k], np.eye(2)), tp.Gaussian([0, 0], factor=X), t
    )
    # The clock s is at most 2t|g|/|h|, and 1 - e^(-s) wants as many digits as s has tens.
    most = 2 * t * np.linalg.norm(X.T @ q) / np.linalg.norm(X.T @ k)
    with mpmath.workdps(60 + int(most / 2)):
        X_, k_, q_ = mpmath.matrix(X.tolist()), mpmath.matrix(k), mpmath.matrix(q)
        h, g = X_.T * k_, X_.T * q_
        a, c, b = mpmath.norm(h), mpmath.norm(g), (h.T * g)[0]
        up, down = b + a * c, a * c - b
        late = lambda s: (1 - mpmath.exp(-s)) / up  # noqa: E731
        clock = lambda s: late(s) + a / c * (s + mpmath.log(1 + late(s) * down)) - 2 * t  # noqa: E731
        low, high = mpmath.mpf(0), 2 * t * c / a
        for _ in range(180):
            mid = (low + high) / 2
            low, high = (mid, high) if clock(mid) < 0 else (low, mid)
        C = mpmath.eye(2) - late(low) * (h * g.T + g * h.T)
        S = X_ * C**-1 * X_.T
        expected = np.array(S.tolist(), dtype=float)
    np.testing.assert_allclose(exact, expected, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("seed", range(5))
def test_one_key_with_identity_value_grows_at_the_conserved_ratio(seed):
    r"""$q^\top\Sigma q/k^\top\Sigma k$ is conserved; its root, twice, is bound and late rate."""
    rng = np.random.default_rng(seed)
    k, q = rng.normal(size=(2, 1, 3))
    head, start = (
        tp.L2(q, k, -0.6 * np.eye(3)),
        tp.Gaussian(np.zeros(3), factor=rng.normal(size=(3, 3))),
    )
    g = theory.growth_bound(head, start)
    path = tp.flow(start, head, np.array([0, 1.0, 20.0, 30.0]) / g, rtol=1e-11)
    S = path.directions
    ratios = np.einsum("i,tij,j->t", q[0], S, q[0]) / np.einsum("i,tij,j->t", k[0], S, k[0])
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-8)
    norms = np.log(np.linalg.norm(S, 2, axis=(1, 2))) + path.log_sizes
    assert (norms - norms[0] <= g * path.times + 1e-9).all()
    late = (norms[-1] - norms[-2]) / (path.times[-1] - path.times[-2])
    assert late == pytest.approx(g, rel=1e-6)
    assert theory.closed_form_covariance(head, start, path.times[-1]) == pytest.approx(
        path.final.covariance, rel=1e-7
    )


# --- softmax that climbs -------------------------------------------------------------------------


def climbing(rng, d, n):
    """A symmetric, of rank n, and M positive definite."""
    U = np.linalg.qr(rng.normal(size=(d, d)))[0][:, :n]
    G = rng.normal(size=(d, d))
    return U * rng.choice([-1, 1], n) * rng.uniform(0.3, 2, n) @ U.T, G @ G.T + 0.1 * np.eye(d)


@settings(max_examples=20)
@given(SEEDS, st.integers(1, 4), st.floats(-100, 100))
def test_ascent_blows_up_before_its_bound_and_descent_never(seed, d, log_size):
    rng = np.random.default_rng(seed)
    n, r = rng.integers(1, d + 1, size=2)
    A, M = climbing(rng, d, n)
    start = tp.Gaussian(np.zeros(d), factor=rng.normal(size=(d, r)), log_scale=log_size)
    head = tp.Softmax(A, np.eye(d), M @ A)
    bound, X = theory.blowup_bound(head, start), start.factor
    plain = np.trace(np.linalg.solve(M, X @ X.T)) / 2 / np.linalg.norm(X.T @ A @ X) ** 2
    scaled = np.exp(np.log(bound) + log_size)
    assert scaled <= plain * (1 + 1e-6)
    if n == d:
        assert scaled == pytest.approx(plain, rel=1e-6)
    time = tp.flow(start, head, np.inf).blowup_time
    assert time <= bound * (1 + 1e-8)
    assert theory.blowup_time(tp.Softmax(A, np.eye(d), -M @ A), start) == np.inf


def test_the_bound_of_ascent_is_reached():
    """Where M^{-1} X and M A X G are parallel: on the line, and for M = A^{-1}, Sigma = A^{-1}."""
    line = tp.Softmax([[-1.5]], [[2.0]], [[-0.7]])
    start = tp.Gaussian([0.0], factor=[[0.4]])
    assert theory.blowup_bound(line, start) == theory.blowup_time(line, start)
    A = np.diag([1.0, 3.0])
    start = tp.Gaussian.from_covariance([0.0, 0.0], np.diag([1 / 1.0, 1 / 3.0]))
    head = tp.Softmax(A, np.eye(2), np.diag([2.0, 1.0]) @ A + 0.0)
    time = tp.flow(start, head, np.inf).blowup_time
    assert 0.5 * theory.blowup_bound(head, start) < time < theory.blowup_bound(head, start)


def test_descent_loses_what_it_descends_on():
    r"""V = -MA: $\|X^\top AX\|_F^2 \le 1/(1/E_0 + 4t/N_0)$."""
    rng = np.random.default_rng(11)
    for d in (2, 3, 4):
        A, M = climbing(rng, d, d)
        X = rng.normal(size=(d, d))
        path = tp.flow(
            tp.Gaussian(np.zeros(d), factor=X),
            tp.Softmax(A, np.eye(d), -M @ A),
            [0, 0.1, 1.0, 10, 100],
        )
        E = np.array([np.trace(A @ S @ A @ S) for S in path.covariances])
        N = np.array([np.trace(np.linalg.solve(M, S)) for S in path.covariances])
        assert (np.diff(N) < 0).all()
        assert ((1 + 1e-6) / (1 / E[0] + 4 * path.times / N[0]) >= E).all()


def test_ascent_wants_its_signs_and_rests_on_isotropic_starts():
    A, M, eye = np.diag([1.0, -1.0]), np.array([[2.0, 0.5], [0.5, 1.0]]), np.eye(2)
    start, u = tp.Gaussian([0.0, 0.0], factor=eye), np.array([[1.0], [1.0]]) / np.sqrt(2)
    rest = tp.Gaussian([0.0, 0.0], factor=u)
    for sign in (1, -1):
        assert theory.blowup_time(tp.Softmax(A, eye, sign * M @ A), rest) == np.inf
    assert theory.blowup_time(tp.Softmax(A, eye, M @ A), start) is None
    assert theory.blowup_bound(tp.Softmax(A, eye, -M @ A), start) == np.inf
    for V in (M, M @ A + 1e-6 * np.eye(2, k=1), np.diag([1.0, -1.0]) @ M @ A):
        assert theory.blowup_bound(tp.Softmax(A, eye, V), start) is None
    assert theory.blowup_bound(tp.Softmax(A + 1e-6 * np.eye(2, k=1), eye, M @ A), start) is None
    assert theory.blowup_bound(tp.L2(A, eye, M @ A), start) == np.inf  # K is injective
    stack = tp.Gaussian(np.zeros((2, 2)), factor=np.stack([eye, 2 * eye]))
    both = theory.blowup_bound(tp.Softmax(A, eye, M @ A), stack)
    np.testing.assert_allclose(both[0] / both[1], 4, rtol=1e-12)


# --- L2 with identity value ----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_l2_with_identity_value_keeps_the_precision_on_the_kernel(seed):
    r"""$\|\dot P\|\le4\|K\|\|Q\|$, and P is conserved on ker K."""
    rng = np.random.default_rng(seed)
    d, k = 3, 1 + seed % 2
    Q, K = rng.normal(size=(2, k, d))
    start = tp.Gaussian(rng.normal(size=d), factor=rng.normal(size=(d, d)))
    path = tp.flow(start, tp.L2(Q, K, np.eye(d)), np.linspace(0, 1, 9), rtol=1e-10)
    P, N = np.linalg.inv(path.covariances), linalg.null_space(K)
    kept = np.swapaxes(N, 0, 1) @ P @ N
    np.testing.assert_allclose(kept, np.broadcast_to(kept[0], kept.shape), rtol=1e-6, atol=1e-7)
    moved = np.linalg.norm(np.diff(P, axis=0), 2, axis=(1, 2)) / np.diff(path.times)
    assert (moved <= 4 * np.linalg.norm(K, 2) * np.linalg.norm(Q, 2) * (1 + 1e-9)).all()


@settings(max_examples=25)
@given(SEEDS, st.integers(1, 2), st.integers(3, 5), st.booleans(), st.sampled_from([1.0, -0.6]))
def test_l2_with_identity_value_grows_below_its_bounds(seed, k, d, tied, c):
    """Independent rows: a rate. Queries that share rows with keys: degree 3/2."""
    rng = np.random.default_rng(seed)
    Q, K = 0.5 * rng.normal(size=(2, k, d))
    if tied:
        Q[0] = K[0] + K[-1]
    head, X = tp.L2(Q, K, c * np.eye(d)), rng.normal(size=(d, d))
    start, times = tp.Gaussian(rng.normal(size=d), factor=X), [0.25, 1.0, 2.0]
    rate = theory.growth_bound(head, start)
    assert (rate is None) == (k == 2 and (tied or 2 * k > d))
    grown = np.log(np.linalg.norm(covariance_by_lsoda(head, X, times), 2, axis=(1, 2)))
    grown = grown - 2 * np.log(np.linalg.norm(X, 2))
    assert (grown <= theory.log_growth_bound(head, start, times) + 1e-9).all()
    assert theory.log_growth_bound(head, start, 0.0) == 0


@pytest.mark.parametrize("seed", range(4))
def test_l2_with_identity_value_keeps_conditional_covariances(seed):
    """Of Qx given Kx and of Kx given Qx, where all rows together are independent."""
    rng = np.random.default_rng(seed)
    Q, K = rng.normal(size=(2, 2, 5))
    ode = covariance_by_lsoda(tp.L2(Q, K, np.eye(5)), rng.normal(size=(5, 5)), [0.01, 0.1, 0.3])
    T = np.vstack([K, Q])
    P = np.linalg.inv(T @ ode @ T.T)
    for block in (slice(0, 2), slice(2, 4)):
        kept = P[:, block, block]
        np.testing.assert_allclose(kept, kept[:1].repeat(3, 0), rtol=1e-5, atol=1e-6)


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
    fields = [
        head(tp.Gaussian(np.zeros(d), factor=X, log_scale=size)).linear
        for size in (200.0, 1e3, 3e3, 1e5)
    ]
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
    first, large, alone, moderate = [
        head(tp.Gaussian(np.zeros(3), factor=U, log_scale=s)).linear for s in scales
    ]
    np.testing.assert_allclose(large, first, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(alone, moderate, rtol=1e-9, atol=1e-12)


def test_sinkhorn_growth_keeps_its_rate_beyond_floats():
    """Once its direction has settled, the rate is constant, at 1e600 as at 1e60."""
    Q, K = np.array([[1.0, 0.3], [-0.4, 0.8]]), np.array([[0.9, -0.5], [0.2, 0.8]])
    head = tp.Sinkhorn(Q, K, [[0.6, -0.3], [0.5, 0.4]])
    path = tp.flow(
        tp.Gaussian([0.0, 0.0], factor=np.eye(2)), head, [0, 100.0, 400.0, 700.0, 1000.0]
    )
    rates = np.diff(path.log_sizes[1:]) / 300
    np.testing.assert_allclose(rates, rates[0], rtol=1e-8)
    np.testing.assert_allclose(path.directions[2:], path.directions[1:2].repeat(3, 0), atol=1e-8)


# --- softmax with identity value -----------------------------------------------------------------


@pytest.mark.parametrize("trace", [0.0, 1.0, -2.6])
def test_directions_in_the_plane_move_on_lines_through_the_pole(trace):
    """Three points of a path and the pole are on one line; without a trace, all paths parallel."""
    rng = np.random.default_rng(8)
    C = np.diag([trace / 2 + 1, trace / 2 - 1]) + 0.4 * np.array([[0.0, 1.0], [1.0, 0.0]])
    start = tp.Gaussian(np.zeros((10, 2)), factor=rng.normal(size=(10, 2, 2)))
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
    limit = tp.flow(tp.Gaussian(np.zeros(3), factor=X), head, np.inf).final.direction
    np.testing.assert_allclose(limit, np.outer(u, u) / (u @ u), atol=1e-6)
    assert u @ C @ u > 0
    aim = np.linalg.eigh(C)[1] @ [0.3, 0.4, 1.0]
    assert aim @ C @ aim > 0
    beside = 0.1 * linalg.null_space((C @ aim)[None])
    start = tp.Gaussian(np.zeros(3), factor=np.column_stack([aim, beside]))
    limit = tp.flow(start, head, np.inf).final.direction
    np.testing.assert_allclose(limit, np.outer(aim, aim) / (aim @ aim), atol=1e-6)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_the_mean_explodes_like_a_standard_deviation(seed, rank, symmetric):
    """Over the root of the trace it has the limit of the proof, in which only p is integrated."""
    rng = np.random.default_rng(seed)
    A, X, m = rng.normal(size=(3, 3)), rng.normal(size=(3, rank)), rng.normal(size=3)
    A = A + A.T if symmetric else A
    G = X.T @ A @ X
    values, Z = np.linalg.eigh(G + G.T)
    end, J, source = 1 / values[-1], Z.T @ (G - G.T) @ Z / 2, Z.T @ X.T @ A @ m

    def velocity(r, p):  # r is the root of the time that is left
        others = (1 - (end - r * r) * values[:-1]) ** -0.5
        weights = r * np.outer(*[np.append(others, 0.0)] * 2)
        weights[:-1, -1] = weights[-1, :-1] = others / np.sqrt(values[-1])
        return -2 * ((weights * J) @ p + np.append(r * others, values[-1] ** -0.5) * source)

    options = {"rtol": 1e-11, "atol": 1e-12}
    aim = solve_ivp(velocity, [np.sqrt(end), 0.0], np.zeros(rank), **options).y[-1, -1]
    head, u = tp.Softmax(A, np.eye(3), np.eye(3)), X @ Z[:, -1]
    path = tp.flow(
        tp.Gaussian(m, factor=X), head, end * (1 - np.array([1, 1e-6, 1e-8])), rtol=1e-11
    )
    shares = path.means / np.exp(path.log_sizes / 2)[:, None]
    exact = np.exp(end) * aim * u / np.linalg.norm(u)
    errors = np.abs(shares[1:] - exact).max(axis=1)
    assert errors[1] < 1e-3 * (1 + np.abs(exact).max())
    assert errors[1] < 0.2 * errors[0]  # of order the root of what is left


# --- the Lyapunov function -----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_the_lyapunov_function_falls_for_softmax_and_sinkhorn_and_not_for_l2(seed):
    rng = np.random.default_rng(seed)
    G, Y, Z = rng.normal(size=(3, 3, 3))
    A, V = Z - Z.T - 0.3 * Y @ Y.T, G @ G.T + 0.1 * np.eye(3)
    start = tp.Gaussian(np.zeros(3), factor=rng.normal(size=(3, 3)))
    for kind in (tp.Softmax, tp.Sinkhorn):
        covariances = tp.flow(start, kind(A, np.eye(3), V), np.linspace(0, 1, 9)).covariances
        levels = np.trace(np.linalg.solve(V, covariances), axis1=-2, axis2=-1)
        assert (np.diff(levels) < 1e-9 * levels[0]).all()
    keys, turn = np.diag([2.0, 0.3]), np.array([[0.0, 1.0], [-1.0, 0.0]])
    head = tp.L2(np.linalg.solve(keys, turn), keys, np.eye(2))
    path = tp.flow(
        tp.Gaussian([0.0, 0.0], factor=np.diag([2.0, 0.5 + 0.1 * seed])), head, [0, 4.0, 8.0]
    )
    assert path.log_sizes[-1] > path.log_sizes[0] + 1


@pytest.mark.parametrize("seed", range(3))
def test_l2_with_identity_value_has_another_lyapunov_function(seed):
    r"""With $A+A^\top\preceq0$, tr(K Sigma K^T) falls; for skew A all its eigenvalues stay."""
    rng = np.random.default_rng(seed)
    K, Y, Z = rng.normal(size=(3, 3, 3))
    start = tp.Gaussian(rng.normal(size=3), factor=rng.normal(size=(3, 3)))
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
