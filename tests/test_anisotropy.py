"""Measures of anisotropy, and the statements of the chapter on its evolution."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import sqrtm

import transpde as tp
from transpde import theory
from transpde.ensembles import case_seed, random_gaussians, random_head, random_matrix
from transpde.spectra import (
    effective_rank,
    log_condition_number,
    log_spectrum,
    participation_ratio,
)
from transpde.theory.random_heads import (
    score_density,
    score_edge,
    typical_blowup_time,
    typical_ranks,
)

MEASURES = (effective_rank, participation_ratio, log_condition_number)
GOLDEN = (1 + np.sqrt(5)) / 2


def round_start(d, cases):
    return tp.Gaussian(np.zeros((cases, d)), factor=np.broadcast_to(np.eye(d), (cases, d, d)))


# --- the measures --------------------------------------------------------------------------------


def test_known_spectra():
    p = np.array([0.5, 0.25, 0.25])
    Sigma = np.diag(7 * p)
    assert effective_rank(Sigma) == pytest.approx(2**1.5, rel=1e-14)
    assert participation_ratio(Sigma) == pytest.approx(8 / 3, rel=1e-14)
    assert log_condition_number(Sigma) == pytest.approx(np.log(2), rel=1e-14)
    for measure in MEASURES[:2]:
        assert measure(np.eye(5)) == pytest.approx(5, rel=1e-14)
        assert measure(np.diag([3.0, 0.0])) == 1


def test_order_of_the_ranks_and_invariance_under_scale_and_rotation():
    for rank in (1, 2, 4):
        gaussians = random_gaussians(4, rank, seed=rank, cases=30)
        ranks = effective_rank(gaussians)
        ratio = participation_ratio(gaussians)
        assert (ratio >= 1 - 1e-12).all()
        assert (ratio <= ranks + 1e-12).all()
        assert (ranks <= rank + 1e-12).all()
        U = random_matrix(4, 4, seed=9, law="orthogonal")
        turned = tp.Gaussian(gaussians.mean, factor=1e-3 * U @ gaussians.factor)
        for measure in MEASURES:
            np.testing.assert_allclose(measure(turned), measure(gaussians), rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(
                measure(gaussians.covariance), measure(gaussians), rtol=1e-6, atol=1e-9
            )


def test_graded_scales_keep_their_digits():
    scales = np.array([-3000.0, 2.0, 2000.0])
    graded = tp.Gaussian.trusted(np.zeros(3), np.eye(3), scales)
    np.testing.assert_allclose(log_spectrum(graded), scales[::-1], rtol=1e-14)
    assert log_condition_number(graded) == pytest.approx(5000, rel=1e-14)
    assert effective_rank(graded) == 1
    huge = tp.Gaussian(np.zeros(3), factor=np.diag([1.0, 2.0, 2.0]), log_scale=5000.0)
    assert participation_ratio(huge) == pytest.approx(81 / 33, rel=1e-13)


def test_zeros_do_not_count_and_a_point_has_no_shape():
    thin = tp.Gaussian(np.zeros(3), factor=[[1.0], [2.0], [2.0]])
    assert log_spectrum(thin) == pytest.approx([np.log(9)])
    assert [measure(thin) for measure in MEASURES] == pytest.approx([1, 1, 0], abs=1e-14)
    assert log_spectrum(np.diag([1.0, 0.0])).tolist() == [0, -np.inf]
    assert log_condition_number(np.diag([4.0, 2.0, 0.0])) == pytest.approx(np.log(2))
    for measure in MEASURES:
        assert np.isnan(measure(np.zeros((2, 2))))
        assert np.isnan(measure(tp.Gaussian(np.zeros(2), factor=np.zeros((2, 2)))))


def test_cases_after_their_own_end_are_nan():
    Q = np.array([np.diag([1.0, -1.0]), np.diag([0.1, -0.1])])
    I = np.broadcast_to(np.eye(2), (2, 2, 2))
    path = tp.flow(round_start(2, 2), tp.Softmax(Q, I, I), [0.0, 0.4, 0.8])
    for measure in MEASURES:
        values = measure(path.directions)
        assert np.isnan(values).tolist() == [[False, False], [False, False], [True, False]]
    assert effective_rank(path.directions)[0].tolist() == pytest.approx([2, 2])


@pytest.mark.parametrize("measure", MEASURES)
def test_what_is_no_covariance_is_refused(measure):
    with pytest.raises(ValueError, match="covariance"):
        measure([[1.0, 2.0], [0.0, 1.0]])
    with pytest.raises(ValueError, match="covariance"):
        measure([[1.0, np.nan], [np.nan, 1.0]])
    with pytest.raises(ValueError, match="covariance"):
        measure(np.diag([1.0, -1.0]))


# --- the first instants --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [tp.Softmax, tp.L2, tp.Sinkhorn])
def test_first_instants(kind):
    drawn = random_head(5, scale=5**-0.5, value_scale=5**-0.5, seed=1, cases=6)
    start = round_start(5, 6)
    B = kind(*drawn)._affine_field(start).linear
    ell = np.linalg.eigvalsh(B + np.swapaxes(B, 1, 2))
    errors = []
    for t in (4e-3, 1e-3):
        final = tp.flow(start, kind(*drawn), [0.0, t], rtol=1e-12, atol=1e-14).final
        found = (
            log_condition_number(final) / t,
            2 * np.log(5 / effective_rank(final)) / t**2,
            np.log(5 / participation_ratio(final)) / t**2,
        )
        exact = (ell[:, -1] - ell[:, 0], ell.var(axis=1), ell.var(axis=1))
        errors.append([np.abs(f / e - 1).max() for f, e in zip(found, exact, strict=True)])
    # The next order is one more power of the depth.
    orders = np.log(np.divide(*errors)) / np.log(4)
    np.testing.assert_allclose(orders, 1, atol=0.1)


def test_variance_for_random_values():
    rng = np.random.default_rng(0)
    for d in (2, 3, 6):
        Y = rng.normal(size=(d, d))
        V = random_matrix(d, d, seed=d, scale=d**-0.5, cases=20_000)
        B = V @ Y
        variances = np.linalg.eigvalsh(B + np.swapaxes(B, 1, 2)).var(axis=1)
        exact = 2 * (1 - 1 / d) * (1 + 2 / d) * (Y**2).sum() / d
        error = variances.std() / np.sqrt(len(V))
        assert abs(variances.mean() - exact) < 4 * error < 0.1 * exact


def test_share_of_l2_is_a_third():
    shares = []
    for n in (100, 400):
        K = random_matrix(n, n, seed=n, scale=n**-0.5)
        w = np.linalg.eigvalsh(K.T @ K)
        shares.append(4 * (w / (1 + 2 * w) ** 2).mean())
    assert abs(shares[0] - 1 / 3) < 0.01
    assert abs(shares[1] - 1 / 3) < 0.003


# --- softmax with identity value -----------------------------------------------------------------


def test_spectrum_at_every_depth():
    Q, K, V = random_head(4, value="identity", scale=0.5, seed=3)
    A, s = K.T @ Q, 0.8
    lam, U = np.linalg.eigh(A + A.T)
    t = np.linspace(0, 0.99, 12) / (s**2 * lam[-1])
    path = tp.flow(tp.Gaussian(np.ones(4), factor=s * np.eye(4)), tp.Softmax(Q, K, V), t)
    for time, Sigma in zip(t, path.covariances, strict=True):
        exact = (U * (s**2 / (1 - s**2 * time * lam))) @ U.T
        np.testing.assert_allclose(Sigma, exact, rtol=1e-7, atol=1e-8)
    assert (np.diff(effective_rank(path.directions)) < 0).all()
    assert (np.diff(participation_ratio(path.directions)) < 0).all()
    assert (np.diff(log_condition_number(path.directions)) > 0).all()


@pytest.mark.parametrize("multiplicity", [1, 2])
def test_ranks_at_the_explosion_are_the_multiplicity(multiplicity):
    Q = np.diag([1.0] * multiplicity + [0.5, -1.0])
    d = len(Q)
    start, head = tp.Gaussian(np.zeros(d), factor=np.eye(d)), tp.Softmax(Q, np.eye(d), np.eye(d))
    end = theory.blowup_time(head, start)
    Sigma = theory.closed_form_covariance(head, start, end * (1 - 1e-9))
    assert effective_rank(Sigma) == pytest.approx(multiplicity, abs=1e-6)
    assert participation_ratio(Sigma) == pytest.approx(multiplicity, abs=1e-6)


# --- typical heads -------------------------------------------------------------------------------


def test_edges_in_closed_form():
    assert score_edge() == pytest.approx(GOLDEN**2.5, rel=1e-14)
    for c in (0.5, 1.0, 3.0):
        assert score_edge(c, np.inf) == pytest.approx(np.sqrt(8 * c), rel=1e-14)
        G = np.linspace(0.01, 1.73, 400_001)
        assert score_edge(c, 3) == pytest.approx((1 / G + 2 * c * G / (1 - G**2 / 3)).min())
        # heads are one stacked head
        assert score_edge(c, 4) == pytest.approx(score_edge(4 * c) / 2, rel=1e-13)


@pytest.mark.parametrize("heads", [1, 2, np.inf])
@pytest.mark.parametrize("c", [0.5, 1.0, 2.0])
def test_density_has_the_moments_of_its_free_cumulants(c, heads):
    edge = score_edge(c, heads)
    s, w = np.polynomial.legendre.leggauss(400)
    x = edge * np.sin(np.pi / 2 * s)
    if c == 0.5 and heads == 1:  # a root singularity at 0
        x, w = edge * np.sin(np.pi / 2 * s**3), 3 * s**2 * w
        jacobian = np.cos(np.pi / 2 * s**3)
    else:
        jacobian = np.cos(np.pi / 2 * s)
    weights = score_density(x, c, heads) * w * jacobian * edge * np.pi / 2
    assert weights.sum() == pytest.approx(1, abs=3e-5)
    assert weights @ x**2 == pytest.approx(2 * c, rel=1e-5)
    # m4 = kappa4 + 2 kappa2^2 with kappa2 = 2c, kappa4 = 2c/H
    assert weights @ x**4 == pytest.approx(2 * c / heads + 8 * c**2, rel=1e-5)
    assert (score_density([1.01 * edge, -1.01 * edge, 9.0], c, heads) == 0).all()


@pytest.mark.parametrize(("c", "heads"), [(1.0, 1), (0.5, 2), (1.0, 4)])
def test_random_heads_are_typical(c, heads):
    n = 400
    k = round(c * n)
    tops, ranks = [], []
    t = 0.8 * typical_blowup_time(c, heads)
    for i in range(5):
        drawn = [
            random_head(n, k, value="identity", scale=n**-0.5, seed=case_seed(case_seed(1, i), h))
            for h in range(heads)
        ]
        A = sum(K.T @ Q for Q, K, _ in drawn) / np.sqrt(heads)
        lam = np.linalg.eigvalsh(A + A.T)
        Sigma = np.diag(1 / (1 - t * lam))
        tops.append(lam[-1])
        ranks.append([effective_rank(Sigma) / n, participation_ratio(Sigma) / n])
        middle = (np.abs(lam) < 1).mean()
        x = np.linspace(-1, 1, 2001)
        assert middle == pytest.approx(np.trapezoid(score_density(x, c, heads), x), abs=0.01)
    assert np.mean(tops) == pytest.approx(score_edge(c, heads), rel=0.03)
    np.testing.assert_allclose(np.mean(ranks, axis=0), typical_ranks(t, c, heads), rtol=0.02)


def test_the_edge_of_thin_heads():
    n, t = 600, 0.8
    for c in (0.1, 0.3):
        k, E = round(c * n), score_edge(c)
        G = np.linspace(0.01, 0.99, 400_001)
        assert pytest.approx((1 / G + 2 * c * G / (1 - G**2)).min()) == E
        lam = []
        for i in range(5):
            Q, K, _ = random_head(n, k, value="identity", scale=n**-0.5, seed=case_seed(2, i))
            lam.append(np.linalg.eigvalsh(K.T @ Q + Q.T @ K))
        assert np.mean(np.max(lam, axis=1)) == pytest.approx(E, rel=0.03)
        # the participation ratio of the theorem, where the law has an atom at 0
        G = G[: np.argmin(1 / G + 2 * c * G / (1 - G**2))]
        G = np.interp(-E / t, -(1 / G + 2 * c * G / (1 - G**2)), G)
        limit = 1 - G**2 * 2 * c * (1 + G**2) / (1 - G**2) ** 2
        found = [participation_ratio(np.diag(1 / (1 - t / E * row))) / n for row in lam]
        assert np.mean(found) == pytest.approx(limit, rel=0.02)


def test_typical_ranks_in_closed_form():
    for x in (0.0, 0.3, 0.9, 0.999, 1.0):
        erank, ratio = typical_ranks(x / np.sqrt(8), heads=np.inf)
        sigma = np.sqrt(max(1 - x**2, 0.0))
        assert ratio == pytest.approx(2 * sigma / (1 + sigma), rel=1e-9, abs=1e-7)
        assert ratio <= erank + 1e-12
    assert erank == pytest.approx(1 / np.e, abs=1e-6)
    assert typical_ranks(0.0) == (pytest.approx(1), 1)


def test_numbers_out_of_range_are_refused():
    for refuses in (score_density, typical_ranks):
        with pytest.raises(ValueError, match="heads"):
            refuses(0.0, 0.2)
    with pytest.raises(ValueError, match="heads"):
        score_edge(1.0, 0.5)
    with pytest.raises(ValueError, match="ratio"):
        score_edge(-1.0)
    for time in (0.31, np.nan, "a", None, [0.1], True):
        with pytest.raises(ValueError, match="time"):
            typical_ranks(time)


# --- L2, Sinkhorn, the mean, the breathing head --------------------------------------------------


def test_l2_becomes_round_again_from_a_round_start():
    q, k = np.array([3.0, 1.0]), np.array([3.0, 0.1])
    head = tp.L2(np.diag(q), np.diag(k), np.eye(2))
    t = np.linspace(0, 3.2, 321)
    path = tp.flow(tp.Gaussian([0.0, 0.0], factor=np.eye(2)), head, t, rtol=1e-10)
    # -1/s + 2 k^2 log s + 1 = 4 q k t along each axis
    s = np.array([np.diag(mu.covariance) for mu in path])
    exact = 4 * q * k * t[:, None]
    np.testing.assert_allclose(1 - 1 / s + 2 * k**2 * np.log(s), exact, rtol=1e-6, atol=1e-7)
    ranks = effective_rank(path.directions)
    low = ranks[:250].argmin()
    assert ranks[low] < 1.4
    assert ranks[low:].max() > 1.99
    assert ranks[-1] < 1.4
    order = s[1:, 0] > s[1:, 1]
    assert order[0]
    assert not order[-1]


def test_sinkhorn_grows_at_most_at_the_rate_of_its_value():
    for seed in range(4):
        Q, K, _ = random_head(3, seed=seed)
        start = random_gaussians(3, rank=2 + seed % 2, mean_scale=1.0, seed=seed)
        v, t = (-0.7, 1.3)[seed % 2], np.linspace(0, 2, 6)
        path = tp.flow(start, tp.Sinkhorn(Q, K, v * np.eye(3), epsilon=0.3), t)
        first = log_condition_number(start)
        for time, mu in zip(t, path, strict=True):
            assert log_condition_number(mu) <= first + 4 * abs(v) * time + 1e-8
            for sign in (1, -1):
                gap = sign * (np.exp(sign * 2 * abs(v) * time) * start.covariance - mu.covariance)
                assert np.linalg.eigvalsh(gap)[0] >= -1e-8 * np.trace(mu.covariance)


def test_the_bound_is_nearly_reached_and_fails_for_a_value_that_turns():
    I, plane = np.eye(2), tp.Gaussian([0.0, 0.0], factor=np.eye(2))
    strong = tp.Sinkhorn(50 * np.diag([1.0, -1.0]), I, I)
    end = tp.flow(plane, strong, [0.0, 3.0], rtol=1e-8).final
    assert 0.8 < log_condition_number(end) / 12 < 1
    turning = tp.Sinkhorn(I[::-1], I, np.array([[1.0, 1.0], [-1.0, 1.0]]))
    end = tp.flow(plane, turning, [0.0, 3.0], rtol=1e-8).final
    assert log_condition_number(end) > 1.4 * 12 * np.sqrt(2)


def test_the_mean_is_a_passenger_but_for_linear_attention():
    drawn = random_head(3, scale=0.5, value_scale=0.5, seed=3)
    for kind in (tp.Softmax, tp.L2, tp.Sinkhorn, tp.Linear):
        ends = [
            tp.flow(tp.Gaussian(m, factor=np.eye(3)), kind(*drawn), [0.0, 0.3]).final.direction
            for m in (np.zeros(3), np.array([1.0, -2.0, 0.5]))
        ]
        gap = np.abs(ends[0] - ends[1]).max()
        assert gap < 1e-9 if kind is not tp.Linear else gap > 0.01


def test_the_breathing_head():
    A, J = np.array([[1.5, 0.4], [0.4, 0.6]]), np.array([[0.0, -1.0], [1.0, 0.0]])
    X = np.array([[1.0, 0.2], [0.0, 0.7]])
    omega = np.sqrt(np.linalg.det(A)) * np.trace(A @ X @ X.T)
    values, U = np.linalg.eigh(A)
    root = (U * np.sqrt(values)) @ U.T
    t = np.linspace(0, 2 * np.pi / omega, 9)
    path = tp.flow(tp.Gaussian([1.0, 0.0], factor=X), tp.Softmax(A, np.eye(2), J @ A), t)
    for time, Sigma in zip(t, path.covariances, strict=True):
        c, s = np.cos(omega * time), np.sin(omega * time)
        factor = np.linalg.solve(root, np.array([[c, -s], [s, c]]) @ root @ X)
        np.testing.assert_allclose(Sigma, factor @ factor.T, rtol=1e-7, atol=1e-8)
    omega = np.sqrt(np.linalg.det(A)) * np.trace(A)
    half = np.array([0.0, np.pi / omega / 2, np.pi / omega])
    path = tp.flow(
        tp.Gaussian([0.0, 0.0], factor=np.eye(2)), tp.Softmax(A, np.eye(2), J @ A), half
    )
    assert log_condition_number(path[1]) == pytest.approx(2 * log_condition_number(A), rel=1e-8)
    assert log_condition_number(path[2]) == pytest.approx(0, abs=1e-8)


# --- what Sinkhorn attention loses and gives back ------------------------------------------------


def flow_of_shapes(A, X, t):
    d = len(A)
    head = tp.Sinkhorn(A, np.eye(d), np.eye(d))
    return tp.flow(tp.Gaussian(np.zeros(d), factor=X), head, t, rtol=1e-11, atol=1e-13)


def clock_of_softmax(P, P0, M):
    """The theta of P = x (P0 - theta M), and what is left over of P, relative."""
    basis = np.stack([P0.ravel(), M.ravel()], axis=1)
    (x, y), *_ = np.linalg.lstsq(basis, P.ravel(), rcond=None)
    return -y / x, np.abs(basis @ [x, y] - P.ravel()).max() / np.abs(P).max()


@pytest.mark.parametrize("seed", range(6))
def test_in_the_plane_sinkhorn_follows_the_path_of_softmax(seed):
    rng = np.random.default_rng(seed)
    A, X = 3 * rng.normal(size=(2, 2)), rng.normal(size=(2, 2))
    path = flow_of_shapes(A, X, np.linspace(0, 2, 9))
    P = np.linalg.inv(path.covariances)
    found = np.array([clock_of_softmax(p, P[0], A + A.T) for p in P[1:]])
    assert found[:, 1].max() < 1e-9
    assert (np.diff(found[:, 0]) > 0).all()
    end = theory.blowup_time(tp.Softmax(A, np.eye(2), np.eye(2)), path[0])
    assert 0 < found[0, 0] < found[-1, 0] < end
    shapes = flow_of_shapes(A, np.eye(2), np.linspace(0, 2, 41)).directions
    assert (np.diff(effective_rank(shapes)) < 1e-12).all()
    assert (np.diff(log_condition_number(shapes)) > -1e-12).all()


@pytest.mark.parametrize("d", [3, 5])
def test_with_rank_one_sinkhorn_follows_the_path_of_softmax(d):
    rng = np.random.default_rng(d)
    A, X = np.outer(*rng.normal(size=(2, d))), rng.normal(size=(d, d))
    path = flow_of_shapes(A, X, np.linspace(0, 2, 5))
    clock = [clock_of_softmax(np.linalg.inv(S), np.linalg.inv(X @ X.T), A + A.T)[0]
             for S in path.covariances]  # fmt: skip
    head = tp.Softmax(A, np.eye(d), np.eye(d))
    softmax = theory.closed_form_covariance(head, path[0], np.abs(clock))
    np.testing.assert_allclose(path.covariances, softmax, rtol=1e-7, atol=1e-9)


def needle_and_disc(delta, a, N):
    c = delta - 1
    A = np.diag([a, 0.0, 0.0])
    A[1, 1:] = N * c, N * np.sqrt(1 - c**2)
    return A


def test_sinkhorn_gives_back_a_direction_in_closed_form():
    # An axis and a plane: the limit of a strong plane is reached at order one in 1 / N.
    delta, a, t = 0.01, 0.15, np.linspace(0, 3, 7)
    s = theory.variance(tp.Sinkhorn([[a]], [[1.0]], [[1.0]]), 1.0, t)
    plane = 1 + delta / 2 * np.expm1(2 * t)
    limit = np.sort(np.stack([s, plane, plane * np.exp(-2 * t)], axis=1), axis=1)
    gaps = []
    for N in (1e4, 1e5):
        path = flow_of_shapes(needle_and_disc(delta, a, N), np.eye(3), t)
        gaps.append(np.abs(np.linalg.eigvalsh(path.covariances) / limit - 1).max())
    assert gaps[-1] < 1e-3
    assert gaps[1] / gaps[0] == pytest.approx(0.1, rel=0.1)


def test_sinkhorn_makes_a_needle_and_then_two_equal_axes():
    # The axis and the plane by scalar equations and another solver, N finite.
    delta, a, N = 1e-4, 0.08, 1e7

    def f(sigma):
        return 2 * sigma / (1 + np.sqrt(1 + 4 * sigma**2))

    def rates(_, y):
        s, lam = np.exp(y)
        theta = (1 - 1 / lam) / delta
        w = delta / 2 * lam + (1 - delta / 2) / (1 + theta * (2 - delta))
        return [2 * f(a * s), delta * lam * f(N * w) / w]

    t = np.linspace(0, 6.5, 261)
    options = {"method": "LSODA", "rtol": 1e-11, "atol": 1e-13, "t_eval": t}
    s, lam = np.exp(solve_ivp(rates, (0, 6.5), [0.0, 0.0], **options).y)
    nu = 1 / (1 + (1 - 1 / lam) / delta * (2 - delta))
    ratio = (s + lam + nu) ** 2 / (s**2 + lam**2 + nu**2)
    low = np.argmin(ratio[:240])
    assert ratio[low] < 1.71
    assert ratio[low:].max() > 2 - 1e-3
    head = tp.Sinkhorn(needle_and_disc(delta, a, N), np.eye(3), np.eye(3))
    path = tp.flow(round_start(3, 1)[0], head, t[::20], rtol=1e-8)
    np.testing.assert_allclose(participation_ratio(path.directions), ratio[::20], rtol=1e-6)


def test_sinkhorn_gives_back_a_direction_with_entries_of_order_one():
    # By the equation of the covariance, with matrix roots and another solver.
    A = np.array([[0.0, -0.6, 0.6], [0.9, 0.4, 0.2], [-1.3, -0.7, 0.1]])

    def rates(_, y):
        Sigma = y.reshape(3, 3)
        R = np.real(sqrtm(Sigma))
        G = R @ A @ R
        C = 2 * np.linalg.solve(np.eye(3) + np.real(sqrtm(np.eye(3) + 4 * G @ G.T)), G)
        return (R @ (C + C.T) @ R).ravel()

    t = [0.0, 4.5, 6.0]
    options = {"method": "LSODA", "rtol": 1e-10, "atol": 1e-12, "t_eval": t}
    Sigma = solve_ivp(rates, (0, 6), np.eye(3).ravel(), **options).y.T.reshape(-1, 3, 3)
    ratio = np.trace(Sigma, axis1=1, axis2=2) ** 2 / (Sigma**2).sum(axis=(1, 2))
    assert ratio == pytest.approx([3, 2.16316, 2.28643], abs=1e-5)
    shapes = flow_of_shapes(A, np.eye(3), t).directions
    np.testing.assert_allclose(participation_ratio(shapes), ratio, rtol=1e-7)
    assert np.diff(effective_rank(shapes[1:]))[0] > 0.05
    falls = log_condition_number(flow_of_shapes(A, np.eye(3), [0.0, 5.0, 6.0]).directions)
    assert falls[2] < falls[1] - 0.05
