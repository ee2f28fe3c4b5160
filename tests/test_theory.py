"""Statements on Gaussian data as functions: against flows, other routes, and exact cases."""

import itertools
from dataclasses import replace

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import head_parameters
from scipy import linalg, optimize

import transpde as tp
from transpde import theory

HEADS = {"softmax": tp.Softmax, "l2": tp.L2, "sinkhorn": tp.Sinkhorn}


def gaussian(rng, d=3, r=None, mean=True, stack=()):
    r = d if r is None else r
    return tp.Gaussian(mean * rng.normal(size=(*stack, d)), factor=rng.normal(size=(*stack, d, r)))


def close(actual, desired, tolerance):
    np.testing.assert_allclose(actual, desired, rtol=tolerance, atol=tolerance)


def grown(Q, K, V, size=1.0):
    return size * Q, size * K, V


# --- blow-up -------------------------------------------------------------------------------------


@pytest.mark.parametrize("r", [1, 3])
@pytest.mark.parametrize("c", [1.0, -0.6])
def test_blowup_time_of_a_stack_is_that_of_its_flow(r, c):
    rng = np.random.default_rng(0)
    start = gaussian(rng, 3, r, stack=(2, 10))
    attention = tp.Softmax(*rng.normal(size=(2, 2, 10, 3, 3)), c * np.eye(3))
    times = theory.blowup_time(attention, start)
    path = tp.flow(start, attention, 5.0, rtol=1e-12)
    early = times < 5
    assert early.sum() > 3
    close(path.blowup_time[early] / times[early], 1.0, 1e-8)
    assert np.isinf(path.blowup_time[~early]).all()
    one = tp.Softmax(attention.query[0, 3], attention.key[0, 3], attention.value)
    assert theory.blowup_time(one, start[0, 3]) == pytest.approx(times[0, 3], rel=1e-12)
    huge = tp.Gaussian(start.mean, factor=start.factor, log_scale=600.0)
    logs = np.log(theory.blowup_time(attention, huge)[early])
    close(logs + 600, np.log(times[early]), 1e-10)


def test_heads_with_scalar_values_are_one_head():
    rng = np.random.default_rng(1)
    start = gaussian(rng)
    heads = [tp.Softmax(*rng.normal(size=(2, 3, 3)), c * np.eye(3)) for c in (1.0, -0.5, 2.0)]
    attention = tp.MultiHead([*heads[:2], tp.MultiHead([heads[2]])])
    time = theory.blowup_time(attention, start)
    centred = tp.Gaussian(np.zeros(3), factor=start.factor)
    assert tp.flow(centred, attention, np.inf).blowup_time == pytest.approx(time, rel=1e-8)
    path = tp.flow(start, attention, [0, time / 3, time / 2], rtol=1e-12)
    exact = theory.closed_form_covariance(attention, start, path.times)
    np.testing.assert_allclose(path.covariances, exact, rtol=1e-8, atol=1e-9)


def feed_forward_cases():
    """Cases that blow up, some after the smallest eigenvalue of P has turned back."""
    rng = np.random.default_rng(2)
    for number in range(18):
        d = 1 + number % 3
        Q, K, W = rng.normal(size=(3, d, d))
        W = (0.2, 1.0, 3.0)[number % 3] * W - (0.0, 0.5)[number % 2] * np.eye(d)
        start = tp.Gaussian(
            rng.normal(size=d), factor=rng.normal(size=(d, max(1, d - number % 2)))
        )
        attention = tp.Softmax(Q, K, np.eye(d)) + tp.AffineField(W, rng.normal(size=d))
        yield attention, start, K.T @ Q, W


def test_blowup_with_feed_forward_is_that_of_the_flow():
    blown = 0
    for attention, start, _, _ in feed_forward_cases():
        time = theory.blowup_time(attention, start)
        if time is None or time == np.inf:
            continue
        blown += 1
        path = tp.flow(start, attention, time * np.array([0, 0.4, 0.8, 1.5]), rtol=1e-12)
        assert path.blowup_time == pytest.approx(time, rel=1e-8)
        exact = theory.closed_form_covariance(attention, start, path.times[:3])
        size = np.abs(exact).max(axis=(1, 2), keepdims=True)
        close(path.covariances[:3] / size, exact / size, 1e-8)
        with pytest.raises(ValueError, match="before the blow-up"):
            theory.closed_form_covariance(attention, start, 1.01 * time)
    assert blown >= 8


def test_feed_forward_agrees_with_the_affine_law_of_the_precision():
    """P' = -PW - W^T P - C as one linear system, its first singular time by a fine scan."""
    seen = 0
    for attention, start, A, W in feed_forward_cases():
        d = len(W)
        if start.factor.shape[1] < d:
            continue
        law = np.zeros((d * d + 1, d * d + 1))
        law[:-1, :-1] = -np.kron(np.eye(d), W.T) - np.kron(W.T, np.eye(d))
        law[:-1, -1] = -(A + A.T).ravel()
        first = np.append(np.linalg.inv(start.covariance).ravel(), 1.0)

        def precision(t, law=law, first=first, d=d):
            return (linalg.expm(law * t) @ first)[:-1].reshape(d, d)

        def lowest(t, precision=precision):
            P = precision(t)
            return np.linalg.eigvalsh(P + P.T)[0]

        time = theory.blowup_time(attention, start)
        if time is None or time == np.inf:
            continue
        seen += 1
        grid = np.linspace(0, time, 400, endpoint=False)
        assert min(lowest(t) for t in grid) > 0
        root = optimize.brentq(lowest, 0.999 * time, 1.001 * time, xtol=1e-14, rtol=1e-14)
        assert root == pytest.approx(time, rel=1e-10)
        exact = theory.closed_form_covariance(attention, start, time / 2)
        close(exact @ precision(time / 2), np.eye(d), 1e-9)
    assert seen >= 4


def test_stable_feed_forward_prevents_blowup_up_to_a_threshold():
    """On the line s' = 2 a s^2 - 2 w s: blow-up iff a s0 > w, at log(1 + w/(a s0 - w)) / (2w)."""
    w = 0.7
    for start, a in ((1.0, 0.7 * (1 - 1e-6)), (1.0, 0.5), (5.0, -1.0)):
        attention = tp.Softmax([[a]], [[1.0]], [[1.0]]) + tp.AffineField([[-w]])
        assert (
            theory.blowup_time(attention, tp.Gaussian([0.0], factor=[[np.sqrt(start)]])) == np.inf
        )
    for start, a in ((1.0, 0.7 * (1 + 1e-6)), (4.0, 1.0), (1e6, 3.0)):
        attention = tp.Softmax([[a]], [[1.0]], [[1.0]]) + tp.AffineField([[-w]])
        exact = np.log1p(w / (a * start - w)) / (2 * w)
        time = theory.blowup_time(attention, tp.Gaussian([1.0], factor=[[np.sqrt(start)]]))
        assert time == pytest.approx(exact, rel=1e-9)
    U, R = np.linalg.qr(np.random.default_rng(20).normal(size=(2, 3, 3)))[0]  # three lines, turned
    a, start = np.array([0.5, 0.7, -2.0]), np.array([0.9, 2.0, 3.0])
    for size in (0.4999, 0.5001):
        head = tp.Softmax((U * a * size) @ U.T, np.eye(3), np.eye(3))
        time = theory.blowup_time(
            head + tp.AffineField(-w * np.eye(3)),
            tp.Gaussian([1, 2, 3], factor=(U * np.sqrt(start)) @ R),
        )
        exact = np.log1p(w / (1.4 * size - w)) / (2 * w) if size > 0.5 else np.inf
        assert time == pytest.approx(exact, rel=1e-9)
    turning = tp.Softmax(np.diag([1e-3, -9.0]), np.eye(2), np.eye(2))
    undecided = turning + tp.AffineField([[0.0, 30.0], [-30.0, 0.0]])
    assert theory.blowup_time(undecided, tp.Gaussian([0.0, 0.0], factor=np.eye(2))) is None


@pytest.mark.parametrize("w", [-0.7, 0.4])
def test_closed_form_with_feed_forward_is_that_of_each_line(w):
    """Far from its start, and next to its end."""
    line = tp.Softmax([[0.3]], [[1.0]], [[1.0]]) + tp.AffineField([[w]])
    U = np.linalg.qr(np.random.default_rng(21).normal(size=(2, 2)))[0]
    plane = tp.Softmax(0.3 * np.eye(2), np.eye(2), np.eye(2)) + tp.AffineField(w * np.eye(2))
    for sizes in ([2.0, 1.0], [9.0, 1.0]):
        start = tp.Gaussian([0.0, 0.0], factor=U * np.sqrt(sizes))
        end = theory.blowup_time(plane, start)
        for t in (8.0, 20.0) if end == np.inf else end * np.array([1 - 1e-4, 1 - 1e-7]):
            exact = [theory.variance(line, s, t) for s in sizes]
            got = np.diag(U.T @ theory.closed_form_covariance(plane, start, t) @ U)
            np.testing.assert_allclose(got, exact, rtol=1e-6)


def test_stack_with_feed_forward_is_case_by_case():
    rng = np.random.default_rng(3)
    start, W = gaussian(rng, 2, stack=(4,)), rng.normal(size=(4, 2, 2))
    head = tp.Softmax(*rng.normal(size=(2, 4, 2, 2)), np.eye(2))
    together = theory.blowup_time(head + tp.AffineField(W), start)
    covariances = theory.closed_form_covariance(head + tp.AffineField(W), start, 0.05)
    for i in range(4):
        one = tp.Softmax(head.query[i], head.key[i], np.eye(2)) + tp.AffineField(W[i])
        alone = theory.blowup_time(one, start[i])
        assert np.isnan(together[i]) if alone is None else together[i] == alone
        if alone is None or alone > 0.05:
            close(covariances[i], theory.closed_form_covariance(one, start[i], 0.05), 1e-13)
        else:
            assert np.isnan(covariances[i]).all()
    shared = theory.blowup_time(head + tp.AffineField(W[0]), start)
    assert np.array_equal(shared[0], together[0], equal_nan=True)
    one = tp.Softmax(head.query[3], head.key[3], np.eye(2)) + tp.AffineField(W[0])
    alone = theory.blowup_time(one, start[3])
    assert np.isnan(shared[3]) if alone is None else shared[3] == alone


def test_rank_deficient_l2_blows_up_at_its_exact_time():
    a, b, c = 1.5, 0.8, 2.0
    start = tp.Gaussian.from_covariance([1.0, -1.0], [[a, b], [b, c]])
    head = tp.L2([[0.0, 1.0]], [[1.0, 0.0]], np.diag([0.0, 1.0]))
    assert theory.blowup_time(head, start) == pytest.approx((1 + 2 * a) / (2 * b), rel=1e-12)
    assert tp.flow(start, head, np.inf).blowup_time == pytest.approx(
        (1 + 2 * a) / (2 * b), rel=1e-8
    )
    mirrored = tp.Gaussian.from_covariance([0.0, 0.0], [[a, -b], [-b, c]])
    assert theory.blowup_time(head, mirrored) == np.inf
    assert tp.flow(mirrored, head, 5.0).stop == "time"
    rng = np.random.default_rng(4)  # in dimension 3: beta(t) = beta_0 / (1 - t/t*)
    head = tp.L2([[0.0, 1.3, 0.0]], [[0.6, 0.0, 0.0]], [[0, 0, 0], [0, 1.7, 0], [0.4, 0, 0.2]])
    for sign in (1.0, -1.0):
        start = tp.Gaussian(rng.normal(size=3), factor=rng.normal(size=(3, 3)))
        if start.covariance[0, 1] * sign < 0:
            start = tp.Gaussian(start.mean, factor=start.factor * [[-1.0], [1.0], [1.0]])
        time = theory.blowup_time(head, start)
        assert (time == np.inf) == (sign < 0)
        path = tp.flow(start, head, np.array([0, 0.3, 0.9]) * min(time, 2.0), rtol=1e-12)
        slope = -np.diff(1 / path.covariances[:, 0, 1]) / np.diff(path.times)
        rate = slope * start.covariance[0, 1]
        close(rate, 1 / time if sign > 0 else rate[0], 1e-8)
        assert rate[0] * sign > 0
    turned = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    inexact = tp.L2([turned[0]], [turned[1]], np.outer(turned[0], turned[0]))
    b, a = turned[0] @ start.covariance @ turned[1], turned[1] @ start.covariance @ turned[1]
    ends = [
        theory.blowup_time(head, start) for head in (inexact, replace(inexact, key=-turned[1:2]))
    ]
    assert min(ends) == pytest.approx(
        (1 / 2 + a) / abs(b), rel=1e-12
    )  # V^T k = 0 but for rounding
    assert max(ends) == np.inf
    leaning = tp.L2([[0.0, 1.0]], [[1.0, 0.0]], [[0.5, 0.0], [0.1, 1.0]])
    assert theory.blowup_time(leaning, tp.Gaussian([0, 0], factor=np.eye(2))) is None


def test_no_blowup_where_it_is_proved():
    """And the flows of these go on, far past the blow-up time of softmax."""
    rng = np.random.default_rng(5)
    Q, K, V = rng.normal(size=(3, 3, 3))
    positive = V @ V.T + np.eye(3)
    skew = Q - Q.T - K @ K.T
    start, one_key = gaussian(rng), K[:1]
    proved = [
        tp.Sinkhorn(Q, K, V),
        tp.L2(Q, K, V),
        tp.L2(Q[:1], one_key, 2 * np.eye(3)),
        tp.L2(Q[:1], one_key, -np.eye(3)),
        tp.Softmax(skew, np.eye(3), positive),
        tp.Softmax(-skew, np.eye(3), -positive),
        tp.MultiHead([tp.L2(Q, K, V), tp.Sinkhorn(K, Q, V)]) + tp.AffineField(0.1 * V),
    ]
    for attention in proved:
        assert theory.blowup_time(attention, start) == np.inf
        assert tp.flow(start, attention, 2.0, rtol=1e-6).stop == "time"
    centred = tp.Gaussian(np.zeros(3), factor=start.factor)
    assert theory.blowup_time(tp.Linear(skew, np.eye(3), positive), centred) == np.inf
    assert theory.blowup_time(tp.Softmax(K, -K, np.eye(3)), start) == np.inf  # 0 within rounding
    assert theory.blowup_time(
        tp.Softmax(Q, K, np.eye(3)), tp.Gaussian([0, 0, 0], factor=[[0]] * 3)
    ) == (np.inf)


def test_no_statement_decides_outside_of_the_lyapunov_function():
    rng = np.random.default_rng(17)
    Q, K, V = rng.normal(size=(3, 3, 3))
    positive, skew, eye = V @ V.T + np.eye(3), Q - Q.T - K @ K.T, np.eye(3)
    start = gaussian(rng)
    centred = tp.Gaussian(np.zeros(3), factor=start.factor)
    head, linear = tp.Softmax(skew, eye, positive), tp.Linear(skew, eye, positive)
    assert theory.blowup_time(head, start) == theory.blowup_time(linear, centred) == np.inf
    assert theory.blowup_time(tp.Softmax(skew, eye, positive + np.eye(3, k=1)), start) is None
    for other in (tp.MultiHead([head, tp.Softmax(Q, K, V)]), head + tp.AffineField(eye)):
        assert theory.blowup_time(other, start) is None
    assert theory.blowup_time(linear, start) is None
    assert theory.blowup_time(linear + tp.AffineField(0 * eye, [1.0, 0.0, 0.0]), centred) is None
    for thin in (np.diag([1e-14, 1e-12, 1e3]), np.diag([1e3, 1e-12, 1e-14])):  # 0 within rounding
        assert theory.blowup_time(tp.Softmax(skew, eye, thin), start) is None
        assert theory.blowup_time(tp.Softmax(-skew, eye, -thin), start) is None


def test_linear_attention_is_softmax_on_centred_data_alone():
    rng = np.random.default_rng(6)
    Q, K, _ = rng.normal(size=(3, 2, 2))
    start = gaussian(rng, 2, mean=False)
    linear, softmax = tp.Linear(Q, K, np.eye(2)), tp.Softmax(Q, K, np.eye(2))
    time = theory.blowup_time(linear, start)
    assert time == theory.blowup_time(softmax, start)
    assert tp.flow(start, linear, np.inf).blowup_time == pytest.approx(time, rel=1e-8)
    moved = tp.Gaussian([1.0, 0.0], factor=start.factor)
    assert theory.blowup_time(linear, moved) is None
    assert theory.blowup_time(linear + tp.AffineField(np.eye(2), [1.0, 0.0]), start) is None
    assert theory.closed_form_covariance(linear, moved, 0.1) is None


# --- rounding ------------------------------------------------------------------------------------

SEEDS = st.integers(0, 2**32 - 1)


def resting(rng, d):
    """A symmetric form, and a basis of a totally isotropic space, both with rounding."""
    U = np.linalg.qr(rng.normal(size=(d, d)))[0]
    values = rng.uniform(0.3, 3.0, size=d) * np.where(np.arange(d) % 2, -1, 1)
    A = (U * values) @ U.T
    return A, isotropic(values, U)


@settings(max_examples=150)
@given(SEEDS, st.integers(2, 6), st.floats(-200, 200))
def test_a_covariance_at_rest_is_its_own_limit(seed, d, log_size):
    """Totally isotropic ranges, found in floating point: no blow-up, no growth, no motion."""
    rng = np.random.default_rng(seed)
    A, N = resting(rng, d)
    X = N @ rng.normal(size=(N.shape[1], rng.integers(1, 4)))
    start, I = tp.Gaussian(rng.normal(size=d), factor=X, log_scale=log_size), np.eye(d)
    head = tp.Softmax(A + rng.normal() * (np.eye(d, k=1) - np.eye(d, k=-1)), I, I)
    assert theory.blowup_time(head, start) == np.inf
    assert theory.growth_bound(head, start) == 0
    S = X @ X.T * np.exp(log_size)
    for t in (1.0, 1e10):
        still = theory.closed_form_covariance(head, start, t * np.exp(-log_size))
        np.testing.assert_allclose(still, S, rtol=1e-9, atol=1e-9 * np.abs(S).max())
    np.testing.assert_allclose(
        theory.limit_covariance(head, start), S, rtol=1e-9, atol=1e-9 * np.abs(S).max()
    )


@settings(max_examples=150)
@given(SEEDS, st.integers(2, 6), st.sampled_from([tp.Softmax, tp.L2, tp.Sinkhorn]))
def test_a_covariance_that_the_queries_do_not_see_is_its_own_limit(seed, d, kind):
    rng = np.random.default_rng(seed)
    Q = rng.normal(size=(rng.integers(1, d), d)) * 10.0 ** rng.uniform(-150, 150)
    N = linalg.null_space(Q)
    X = N @ rng.normal(size=(N.shape[1], rng.integers(1, N.shape[1] + 1)))
    start, head = tp.Gaussian(np.zeros(d), factor=X), kind(Q, -Q, 0.7 * np.eye(d))
    close(theory.limit_covariance(head, start), X @ X.T, 1e-8)
    assert theory.blowup_time(head, start) == np.inf
    seen = tp.Gaussian(np.zeros(d), factor=np.column_stack([X, Q[0] / np.abs(Q[0]).max()]))
    limit = theory.limit_covariance(head, seen)
    assert np.linalg.matrix_rank(limit, 1e-9) == np.linalg.matrix_rank(X)


def test_the_limit_of_an_integer_covariance_in_the_kernel_is_exact():
    Q, S = np.ones((1, 3)), 3 * np.eye(3) - 1
    for kind in HEADS.values():
        start = tp.Gaussian.from_covariance(np.zeros(3), S)
        close(theory.limit_covariance(kind(Q, -Q, np.eye(3)), start), S, 1e-12)


@settings(max_examples=60)
@given(SEEDS, st.integers(2, 4), st.floats(0, 60))
def test_blowup_time_of_columns_far_apart_in_many_digits(seed, d, spread):
    """The eigenvalue that explodes may be tiny beside the others."""
    rng = np.random.default_rng(seed)
    G = rng.normal(size=(d, d))
    X = rng.normal(size=(d, d)) * np.exp(-spread * np.arange(d))
    time = theory.blowup_time(
        tp.Softmax(G, np.eye(d), np.eye(d)), tp.Gaussian(np.zeros(d), factor=X)
    )
    with mpmath.workdps(300):
        X_, C = mpmath.matrix(X.tolist()), mpmath.matrix(G.tolist())
        top = max(mpmath.eigsy(X_.T * (C + C.T) * X_, eigvals_only=True))
        exact = float(1 / top) if top > 0 else np.inf
    assert time == pytest.approx(exact, rel=1e-9)


@settings(max_examples=60)
@given(SEEDS, st.floats(-300, 300), st.floats(-300, 300), st.sampled_from(["I", "one key"]))
def test_blowup_time_of_products_beyond_floats(seed, log_query, log_key, kind):
    """Scores of any size, on a Gaussian of the inverse size: the time is that of sizes one."""
    rng = np.random.default_rng(seed)
    Q, K, X = rng.normal(size=(3, 2, 2))
    V = np.eye(2)
    if kind == "one key":
        rows = np.stack([K[0], Q[0]])
        Q, K, V = Q[:1], K[:1], np.linalg.solve(rows, [[0.5], [1.0]] * rows)
    one = theory.blowup_time(tp.Softmax(Q, K, V), tp.Gaussian([0, 0], factor=X))
    scale = np.log(10.0) * (log_query + log_key)
    large = tp.Softmax(Q * 10.0**log_query, K * 10.0**log_key, V)
    time = theory.blowup_time(large, tp.Gaussian([0, 0], factor=X, log_scale=-scale))
    assert time == pytest.approx(one, rel=1e-9)


@settings(max_examples=40)
@given(SEEDS, st.integers(1, 3), st.floats(0, 5), st.integers(1, 3))
def test_closed_form_with_feed_forward_keeps_its_digits_at_depth(seed, d, log_time, r):
    """Against the same formula in two hundred digits, where growth of e^{Wt} costs nothing."""
    rng = np.random.default_rng(seed)
    W, B = rng.normal(size=(2, d, d))
    A, X, t = -B @ B.T / 2, rng.normal(size=(d, r)), float(np.exp(log_time))
    head = tp.Softmax(A, np.eye(d), np.eye(d)) + tp.AffineField(W)
    found = theory.closed_form_covariance(head, tp.Gaussian(np.zeros(d), factor=X), t)
    with mpmath.workdps(400):
        W_, C, X_ = (mpmath.matrix(M.tolist()) for M in (W, A + A.T, X))
        block = mpmath.zeros(2 * d, 2 * d)
        block[:d, :d], block[:d, d:], block[d:, d:] = -W_.T, C, W_
        moved = mpmath.expm(block * t)
        Phi = moved[d:, d:]
        Y = Phi * X_
        S = Y * (mpmath.eye(r) - X_.T * (Phi.T * moved[:d, d:]) * X_) ** -1 * Y.T
        exact = np.array(S.tolist(), dtype=float)
    np.testing.assert_allclose(found, exact, rtol=1e-9, atol=1e-9 * np.abs(exact).max())


def test_variance_with_feed_forward_keeps_its_digits_at_depth():
    head = tp.Softmax([[-1.0]], [[1.0]], [[1.0]]) + tp.AffineField([[1.0]])
    np.testing.assert_array_equal(theory.variance(head, 1.0, [0, 1, 400.0, 1e6]), 1.0)
    for w, a in itertools.product((-2.0, 1e-9, 0.5), (-1.3, 0.2)):
        head = tp.Softmax([[a]], [[1.0]], [[1.0]]) + tp.AffineField([[w]])
        for t in (0.1, 1.0, 30.0, 300.0):
            with mpmath.workdps(400):
                grown = mpmath.exp(2 * mpmath.mpf(w) * t)
                left = 1 - mpmath.mpf(a) * 0.7 * (grown - 1) / w
                exact = float(0.7 * grown / left) if left > 0 else np.nan
            assert theory.variance(head, 0.7, t) == pytest.approx(exact, rel=1e-9, nan_ok=True)


# --- closed form ---------------------------------------------------------------------------------


@pytest.mark.parametrize("r", [1, 2, 3])
def test_closed_form_is_the_covariance_of_the_flow(r):
    rng = np.random.default_rng(7)
    start = gaussian(rng, 3, r)
    Q, K = rng.normal(size=(2, 3, 3))
    both = [tp.Softmax(Q, K, c * np.eye(3)) for c in (-0.8, 0.8)]  # one of them blows up
    attention = min(both, key=lambda head: theory.blowup_time(head, start))
    end = theory.blowup_time(attention, start)
    assert np.isfinite(end)
    path = tp.flow(start, attention, end * np.array([0, 0.3, 0.7, 0.95]), rtol=1e-12)
    exact = theory.closed_form_covariance(attention, start, path.times)
    size = np.abs(exact).max(axis=(1, 2), keepdims=True)
    close(path.covariances / size, exact / size, 1e-8)
    assert theory.closed_form_covariance(attention, start, 0.1 * end).shape == (3, 3)
    with pytest.raises(ValueError, match=f"is at {end:.10g}"[:-1]):
        theory.closed_form_covariance(attention, start, 1.001 * end)


def test_closed_form_of_a_stack_is_nan_after_a_blowup():
    rng = np.random.default_rng(8)
    start = gaussian(rng, 2, stack=(12,))
    attention = tp.Softmax(np.diag([1.0, -1.0]), np.eye(2), np.eye(2))
    ends = theory.blowup_time(attention, start)
    t = np.median(ends)
    covariances = theory.closed_form_covariance(attention, start, [0.0, t])
    assert covariances.shape == (2, 12, 2, 2)
    close(covariances[0], start.covariance, 1e-14)
    assert (np.isnan(covariances[1]).all(axis=(1, 2)) == (ends <= t)).all()
    assert np.isnan(covariances[1]).any()
    assert not np.isnan(covariances[1]).all()


def test_closed_form_of_a_stack_of_sizes_far_apart_is_case_by_case():
    sizes, X = np.array([1e-10, 1.0, 1e5]), np.array([[2.0, 0.0], [1.0, 1.0]])
    start = tp.Gaussian(np.zeros((3, 2)), factor=sizes[:, None, None] * X)
    head = tp.Softmax(np.diag([-0.1, -1.0]), np.eye(2), np.eye(2))
    for case, time in enumerate(0.5 / sizes**2):
        exact = np.linalg.inv(np.linalg.inv(X @ X.T) + np.diag([0.1, 1.0]))
        together = theory.closed_form_covariance(head, start, time)
        close(together[case] / sizes[case] ** 2, exact, 1e-12)


def test_no_closed_form_elsewhere():
    rng = np.random.default_rng(9)
    start, (Q, K, V) = gaussian(rng), head_parameters(rng, 3)
    eye, masked = np.eye(3), tp.Masked(tp.Softmax(Q, K, np.eye(3)))
    others = [tp.Softmax(Q, K, V), tp.L2(Q, K, eye), tp.Sinkhorn(Q, K, eye), masked,
              tp.Sigmoid(Q, K, eye), tp.Unnormalized(Q, K, eye), tp.Linear(Q, K, eye),
              tp.MultiHead([tp.Softmax(Q, K, eye), tp.L2(Q, K, eye)])]  # fmt: skip
    for other in others:
        assert theory.closed_form_covariance(other, start, 0.1) is None
    for other in (others[0], *others[3:]):
        assert theory.blowup_time(other, start) is None
        assert theory.limit_covariance(other, start) is None
    for other in (others[0], others[1], *others[3:]):
        assert theory.stationary_rank_bound(other) is None
    for other in (others[0], *others[3:]):
        assert theory.growth_bound(other) is None


def test_no_statement_for_masks_and_fields_that_are_not_affine():
    rng = np.random.default_rng(19)
    one, many, line = gaussian(rng, 2), gaussian(rng, 2, stack=(3,)), np.eye(1)
    softmax, short = tp.Softmax(*[np.eye(2)] * 3), tp.Softmax(line, line, line)
    for wrap in (tp.Masked, lambda h: h + np.tanh, lambda h: tp.MultiHead([h, h + np.tanh]),
                 lambda h: (h + np.tanh) + tp.AffineField(h.value)):  # fmt: skip
        other = wrap(softmax)
        for statement in (theory.blowup_time, theory.limit_covariance, theory.growth_bound):
            assert statement(other, one) is None
        assert np.isnan(theory.blowup_time(other, many)).all()
        assert theory.closed_form_covariance(other, many, 0.1) is None
        assert theory.stationary_rank_bound(other) is None
        assert theory.variance(wrap(short), 1.0, 1.0) is None
        if wrap is not tp.Masked:
            assert theory.lipschitz_bounds(other, 1.0) == (None, None)
            assert theory.support_radius(other, 1.0, 1.0) is None
            assert theory.stability_bound(other, 1.0, 1.0) is None


# --- limits and ranks ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize(("d", "k", "r"), [(2, 1, 2), (4, 2, 4), (4, 2, 3), (3, 3, 2)])
def test_covariance_comes_to_its_limit_like_one_over_time(kind, d, k, r):
    rng = np.random.default_rng(10)
    start, Q = gaussian(rng, d, r, mean=False), rng.normal(size=(k, d))
    attention = HEADS[kind](Q, -Q, 0.5 * np.eye(d))
    limit = theory.limit_covariance(attention, start)
    path = tp.flow(start, attention, [0, 1e3, 2e3, 4e3, 8e3], rtol=1e-12, atol=1e-15)
    S = path.covariances
    scaled = [np.linalg.norm(S[i] - limit) * path.times[i] for i in (3, 4)]
    assert 0 < scaled[0] < 100
    assert scaled[1] == pytest.approx(scaled[0], rel=0.01)  # exactly the order 1/t
    # Richardson's extrapolation in powers of 1/t; L2 has log(t)/t^2 after 1/t.
    table = [2 * S[2] - S[1], 2 * S[3] - S[2], 2 * S[4] - S[3]]
    best = (4 * table[2] - table[1]) / 3
    assert np.abs(best - limit).max() < (1e-5 if kind == "l2" else 1e-8) * np.abs(S[0]).max()
    rank = np.linalg.matrix_rank(limit, tol=1e-9, hermitian=True)
    assert rank == max(r - k, 0)


def test_limit_is_what_the_conserved_precision_leaves():
    rng = np.random.default_rng(11)
    start, Q = gaussian(rng, 4, stack=(5,)), rng.normal(size=(5, 2, 4))
    limits = theory.limit_covariance(tp.Sinkhorn(Q, -Q, np.eye(4), epsilon=0.3), start)
    for i in range(5):
        N = linalg.null_space(Q[i])
        P = np.linalg.inv(start[i].covariance)
        close(limits[i], N @ np.linalg.inv(N.T @ P @ N) @ N.T, 1e-9)
    C = np.diag([0.0, -1.0, -2.0, -3.0])  # softmax has a limit wherever it does not blow up
    head = tp.Softmax(C + 5 * (np.eye(4, k=1) - np.eye(4, k=-1)), np.eye(4), np.eye(4))
    late = theory.closed_form_covariance(head, start[0], 1e13)
    close(late, theory.limit_covariance(head, start[0]), 1e-10)
    assert theory.limit_covariance(tp.Softmax(Q[0], Q[0], np.eye(4)), start[0]) is None
    assert theory.limit_covariance(tp.Softmax(Q[0], -Q[0], -np.eye(4)), start[0]) is None
    pushed = head + tp.AffineField(-np.eye(4))
    assert theory.limit_covariance(pushed, start[0]) is None


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_limit_of_columns_far_apart(k, order):
    """Three columns, e^100 from one to the next, in any order, against 300 digits."""
    rng = np.random.default_rng(23)
    X, Q = rng.normal(size=(3, 3)) * np.exp([100.0, 0.0, -100.0]), rng.normal(size=(k, 3))
    a, b, c = Q[0]
    kernel = [[-b, -c], [a, 0.0], [0.0, a]] if k == 1 else np.cross(*Q)[:, None].tolist()
    with mpmath.workdps(300):
        N, inverse = mpmath.matrix(kernel), mpmath.matrix(X.tolist()) ** -1
        exact = N * (N.T * inverse.T * inverse * N) ** -1 * N.T
        exact = np.array(exact.tolist(), dtype=float)
    start, I = tp.Gaussian(np.zeros(3), factor=X[:, order]), np.eye(3)
    for attention in (tp.L2(Q, -Q, I), tp.Softmax(-Q.T @ Q, I, I)):
        limit = theory.limit_covariance(attention, start)
        assert np.abs(limit - exact).max() <= 1e-12 * np.abs(exact).max()


def isotropic(values, U):
    """A basis of a totally isotropic space of the largest dimension."""
    zero, plus, minus = (np.flatnonzero(chosen) for chosen in
                         (values == 0, values > 0, values < 0))  # fmt: skip
    pairs = zip(plus, minus, strict=False)
    mixed = [U[:, i] / np.sqrt(values[i]) + U[:, j] / np.sqrt(-values[j]) for i, j in pairs]
    return np.column_stack([U[:, zero], *mixed])


@pytest.mark.parametrize("kind", ["softmax", "sinkhorn"])
@pytest.mark.parametrize("values", [(3, 1, -1, -2), (2, 1, 1, -1), (0, 1, 2, -1), (0, 0, -1, -2)])
def test_rank_bound_is_reached_and_not_passed(kind, values):
    rng, values = np.random.default_rng(12), np.array(values, dtype=float)
    U = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    A = (U * values) @ U.T / 2 + (S := rng.normal(size=(4, 4))) - S.T
    K = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    attention = HEADS[kind](K @ A, K, -2.0 * np.eye(4))
    bound = theory.stationary_rank_bound(attention)
    X = isotropic(values, U)
    assert X.shape[1] == bound
    velocity = attention(tp.Gaussian(np.zeros(4), factor=X)).linear @ (X @ X.T)
    close(velocity + velocity.T, 0 * A, 1e-12)
    low = [least_departure(A + A.T, r) for r in (bound, bound + 1)]
    assert low[0] < 1e-8 < 1e-2 < low[1]


def least_departure(C, r):
    """The least norm of X^T C X over orthonormal X of r columns that a minimiser finds."""

    def departure(x):
        X = np.linalg.qr(x.reshape(-1, r))[0]
        return np.sum((X.T @ C @ X) ** 2)

    rng = np.random.default_rng(13)
    starts = rng.normal(size=(4, 4 * r))
    return min(optimize.minimize(departure, x, tol=1e-14).fun for x in starts)


@pytest.mark.parametrize("kind", ["softmax", "sinkhorn"])
def test_rank_bound_of_a_stack_is_case_by_case(kind):
    rng = np.random.default_rng(18)
    Q, K = rng.normal(size=(2, 9, 2, 2))
    V = np.eye(2) * np.array([1.0, -2.0, 0.5])[:, None, None]
    bounds = theory.stationary_rank_bound(HEADS[kind](Q, K, np.tile(V, (3, 1, 1))))
    alone = [theory.stationary_rank_bound(HEADS[kind](*one)) for one in zip(Q, K, V, strict=False)]
    assert bounds[:3].tolist() == alone
    assert set(bounds.tolist()) == {0, 1}


def test_rank_bound_fails_for_l2():
    K = np.diag([1.0, 2.0])
    A = np.array([[0.0, 1.5], [-4.5, 0.0]])
    Q = np.linalg.solve(K.T, A)
    stationary = tp.Gaussian([0.0, 0.0], factor=np.eye(2))
    B = tp.L2(Q, K, np.eye(2))(stationary).linear
    close(B + B.T, np.zeros((2, 2)), 1e-15)
    assert theory.stationary_rank_bound(tp.L2(Q, K, np.eye(2))) is None
    assert theory.stationary_rank_bound(tp.Softmax(Q, K, np.eye(2))) == 1
    B = tp.Softmax(Q, K, np.eye(2))(stationary).linear
    assert np.abs(B + B.T).max() > 1
    stack = tp.Softmax(np.array([Q, np.linalg.inv(K), 0 * K]), K, np.eye(2))
    assert theory.stationary_rank_bound(stack).tolist() == [1, 0, 2]
    assert theory.stationary_rank_bound(tp.Sinkhorn(Q, K, 0 * K)) is None


# --- growth --------------------------------------------------------------------------------------


def test_growth_bound_holds_and_is_reached():
    rng, times = np.random.default_rng(14), np.linspace(0, 1.5, 4)
    for number in range(8):
        start, (Q, K, V) = gaussian(rng), rng.normal(size=(3, 3, 3))
        skew = Q - Q.T - K @ K.T
        heads = [tp.Sinkhorn(Q, K, V), tp.L2(Q, K, V), tp.Softmax(skew, np.eye(3), np.eye(3))]
        assert theory.growth_bound(heads[2]) == 0.0
        attention = [*heads, tp.MultiHead(heads), heads[2] + tp.AffineField(V)][number % 5]
        rate = theory.growth_bound(attention)
        sizes = tp.flow(start, attention, times, rtol=1e-8)
        norms = [np.linalg.norm(sizes.directions[i], 2) for i in range(4)]
        logs = sizes.log_sizes + np.log(norms)
        assert (logs - logs[0] <= rate * times + 1e-6).all()
    large = tp.Gaussian([0.0], factor=[[1e6]])
    for head in (tp.Sinkhorn([[1.0]], [[2.0]], [[0.7]]), tp.L2([[1.0]], [[2.0]], [[0.7]])):
        path = tp.flow(large, head, 1.0)
        rate = theory.growth_bound(head)
        assert (path.log_sizes[-1] - path.log_sizes[0]) / rate == pytest.approx(1, abs=1e-6)


def test_growth_bound_may_use_the_range_of_the_covariance():
    head = tp.Softmax(np.diag([1.0, -1.0]), np.eye(2), np.eye(2))
    flat, other = (tp.Gaussian([0.0, 0.0], factor=X) for X in ([[0.0], [1.0]], [[1.0], [0.0]]))
    assert theory.growth_bound(head) is None
    assert theory.growth_bound(head, other) is None
    assert theory.growth_bound(head, flat) == 0.0
    assert theory.growth_bound(tp.Linear(*np.array([[[1.0]], [[-1.0]], [[1.0]]])),
                               tp.Gaussian([0.0], factor=[[1.0]])) == 0.0  # fmt: skip
    turning, W = tp.Softmax([[0.0, 1.0], [-1.0, 0.0]], np.eye(2), np.eye(2)), 3.0 * np.eye(2)
    assert theory.growth_bound(turning, other) == 0.0
    assert theory.growth_bound(turning + tp.AffineField(W), other) == 6.0
    assert theory.growth_bound(tp.Sinkhorn(W, W, W), other) == 6.0
    assert theory.growth_bound(tp.Softmax(W, W, [[1.0, 0.0], [0.0, 2.0]]), flat) is None
    assert theory.growth_bound(tp.L2([[1.0, 0.0]], [[0.0, 1.0]], np.eye(2))) is None
    assert theory.growth_bound(tp.L2(np.eye(2), np.diag([1.0, 1e-17]), np.eye(2))) is None


# --- the line ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", HEADS)
def test_variance_is_that_of_the_flow(kind):
    rng = np.random.default_rng(15)
    for _ in range(12):
        (q, k, v), s0 = rng.normal(size=(3, 1, 1)), np.exp(2 * rng.normal())
        attention = HEADS[kind](q, k, v)
        start = tp.Gaussian(rng.normal(size=1), factor=[[np.sqrt(s0)]])
        times = np.linspace(0, min(2.0, 0.9 * theory.blowup_time(attention, start)), 5)
        path = tp.flow(start, attention, times, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(
            path.covariances[:, 0, 0], theory.variance(attention, s0, times), rtol=1e-9
        )


@pytest.mark.parametrize("kind", HEADS)
def test_variance_depends_on_products_of_query_and_key_alone(kind):
    """With two rows, K^T Q = 0.35 and K^T K = 1.25."""
    two = HEADS[kind]([[0.5], [-0.3]], [[1.0], [0.5]], [[0.9]])
    path = tp.flow(tp.Gaussian([0.3], factor=[[1.2]]), two, [0.0, 0.7, 1.5], rtol=1e-12)
    np.testing.assert_allclose(
        path.covariances[:, 0, 0], theory.variance(two, 1.44, path.times), rtol=1e-9
    )


@pytest.mark.parametrize("va", [1.0, -1.0])
@pytest.mark.parametrize("s0", [1e-3, 0.4, 30.0, 1e8])
def test_variance_of_l2_in_many_digits(va, s0):
    one = mpmath.mpf(1)
    for k, t in ((0.3, 0.1), (1.0, 3.0), (2.5, 40.0)):
        s = theory.variance(tp.L2([[va / k]], [[k]], [[1.0]]), s0, t)
        with mpmath.workdps(40):
            q = mpmath.mpf(va / k)
            level = [-1 / y + 2 * mpmath.mpf(k) ** 2 * mpmath.log(y) for y in (s0 * one, s * one)]
            left = level[1] - level[0] - 4 * q * k * mpmath.mpf(t)
            relative_error = left / (1 / (s * one) + 2 * mpmath.mpf(k) ** 2)
        assert abs(float(relative_error)) < 1e-12 * max(1, 1 / (2 * k**2 * s))


@pytest.mark.parametrize("a", [1.3, -0.4])
@pytest.mark.parametrize("v", [0.7, -1.1])
@pytest.mark.parametrize("s0", [1e-4, 0.5, 1e5])
def test_variance_of_sinkhorn_takes_its_time(a, v, s0):
    """The time from s0 to s is the integral of ds over the velocity, here by quadrature."""
    epsilon = 0.6
    head = tp.Sinkhorn([[a]], [[1.0]], [[v]], epsilon)
    for t in (0.01, 1.0, 20.0):
        s = theory.variance(head, s0, t)
        with mpmath.workdps(30):
            a_, v_, e = (mpmath.mpf(x) for x in (a, v, epsilon))

            def slowness(y, a_=a_, v_=v_, e=e):  # in y = log s, free of cancellation
                z = 2 * a_ * mpmath.exp(y)
                return (e + mpmath.sqrt(e**2 + z**2)) / (2 * v_ * z)

            ends = mpmath.linspace(mpmath.log(s0), mpmath.log(mpmath.mpf(s)), 9)
            elapsed = mpmath.quad(slowness, ends)
            tolerance = 1e-12 * max(abs(slowness(ends[0])), abs(slowness(ends[-1])), t)
        assert abs(float(elapsed) - t) < float(tolerance)


def test_variance_of_softmax_with_feed_forward_and_after_its_blowup():
    head = tp.Softmax([[1.0]], [[1.0]], [[1.0]])
    assert theory.variance(head, 1.0, [0.0, 0.5, 0.6]).tolist()[:2] == [1.0, np.inf]
    assert np.isnan(theory.variance(head, 1.0, 0.6))
    two = tp.MultiHead([head, tp.Softmax([[0.5]], [[-1.0]], [[3.0]])]) + tp.AffineField([[0.4]])
    path = tp.flow(tp.Gaussian([0.0], factor=[[2.0]]), two, [0, 0.5, 2.0], rtol=1e-12)
    np.testing.assert_allclose(
        path.covariances[:, 0, 0], theory.variance(two, 4.0, path.times), rtol=1e-9
    )
    assert theory.variance(head, [0.0, 1.0], [[0.0], [0.25]]).tolist() == [[0, 1], [0, 2]]


@pytest.mark.parametrize("kind", ["l2", "sinkhorn"])
def test_variance_keeps_its_range_without_a_warning(kind):
    head = HEADS[kind]([[1.0]], [[1.0]], [[1.0]])
    back = HEADS[kind]([[1.0]], [[1.0]], [[-1.0]])
    starts = 10.0 ** np.arange(-250, 251, 50)
    assert (theory.variance(head, starts, 1.0) > 0).all()
    np.testing.assert_allclose(theory.variance(head, starts, 1e-12), starts, rtol=1e-6 + 1e-10)
    assert theory.variance(head, 1.0, 1e4) == np.inf
    assert 0 < theory.variance(back, 1.0, 1e4) < 1e-3
    late = theory.variance(back, starts, 1e3)
    assert (np.diff(late) >= 0).all()
    assert late[-1] > 0


def test_no_variance_elsewhere():
    one = [[1.0]], [[1.0]], [[1.0]]
    softmax = tp.Softmax(*one)
    sums = tp.MultiHead([softmax, tp.L2(*one)]), tp.L2(*one) + tp.AffineField([[1.0]])
    for other in (tp.Linear(*one), tp.Sigmoid(*one), tp.Masked(softmax), *sums):
        assert theory.variance(other, 1.0, 0.1) is None
    assert theory.variance(tp.L2([[1.0]], [[0.0]], [[1.0]]), 2.0, 5.0) == 2.0


def test_bad_input_is_told():
    rng = np.random.default_rng(16)
    head = tp.Softmax(*rng.normal(size=(2, 3, 3)), np.eye(3))
    with pytest.raises(ValueError, match="gaussian: its dimension"):
        theory.blowup_time(head, tp.Gaussian([0.0], factor=[[1.0]]))
    with pytest.raises(TypeError, match="gaussian: must be a Gaussian"):
        theory.limit_covariance(head, tp.Particles([[0.0, 0.0, 0.0]]))
    with pytest.raises(ValueError, match="attention: must be of dimension 1"):
        theory.variance(head, 1.0, 1.0)
    with pytest.raises(TypeError, match="attention: must be an attention"):
        theory.variance("l2", 1.0, 1.0)
    with pytest.raises(ValueError, match="start: must be non-negative"):
        theory.variance(tp.Softmax([[1.0]], [[1.0]], [[1.0]]), [2.0, -1.0], 1.0)
    with pytest.raises(ValueError, match="no leading axes"):
        theory.growth_bound(tp.Sinkhorn(np.ones((2, 1, 1)), [[1.0]], [[1.0]]))
    with pytest.raises(ValueError, match="no leading axes"):
        theory.variance(tp.Softmax(np.ones((2, 1, 1)), [[1.0]], [[1.0]]), 1.0, 1.0)
    with pytest.raises(ValueError, match="query: its leading axes"):
        theory.blowup_time(tp.Softmax(np.ones((2, 1, 1)), [[1.0]], [[1.0]]),
                           tp.Gaussian([0.0], factor=[[1.0]]))  # fmt: skip


@pytest.mark.parametrize("size", [1e-160, 1e-100, 1e100, 1e160])
def test_blowup_with_feed_forward_is_undecided_out_of_range(size):
    attention = tp.Softmax(np.eye(2), np.eye(2), np.eye(2)) + tp.AffineField(np.eye(2))
    assert theory.blowup_time(attention, tp.Gaussian([0.0, 0.0], factor=size * np.eye(2))) is None
    assert theory.blowup_time(attention, tp.Gaussian([0.0, 0.0], factor=0 * np.eye(2))) == np.inf


def test_blowup_with_feed_forward_of_small_and_large_covariances():
    """Isotropic, A = W = I: 1/s obeys p' = -2p - 2, so t* = log(1 + 1/s0) / 2."""
    attention = tp.Softmax(np.eye(2), np.eye(2), np.eye(2)) + tp.AffineField(np.eye(2))
    for size in (1e-20, 1e-3, 1.0, 1e20):
        exact = np.log1p(1 / size**2) / 2
        gaussian = tp.Gaussian([0.0, 0.0], factor=size * np.eye(2))
        assert theory.blowup_time(attention, gaussian) == pytest.approx(exact, rel=1e-8)
