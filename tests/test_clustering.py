"""Limits and ranks of covariances, rays at rest, hulls of rescaled tokens."""

import numpy as np
import pytest
from scipy import linalg, optimize
from scipy.spatial import ConvexHull
from table import HEADS

import transpde as tp
from transpde import theory
from transpde.disc import isotropic_directions
from transpde.theory.clustering import clusters, rescaled
from transpde.theory.stationary import (
    dividing_curve,
    least_departure,
    observed_rates,
    ray_rates,
    self_similar,
)

KINDS = ["softmax", "l2", "sinkhorn"]
SLOPE = {"softmax": 1.0, "l2": 2.0, "sinkhorn": 1.0}  # f'(0), at epsilon = 1


def positive(rng, d):
    G = rng.normal(size=(d, d))
    return G @ G.T + 0.2 * np.eye(d)


# --- K = -Q --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_leading_constant_of_the_decay_to_the_limit(kind):
    rng = np.random.default_rng(0)
    Q, X = rng.normal(size=(5, 2, 4)), rng.normal(size=(5, 4, 4))
    start, head = (
        tp.Gaussian(np.zeros((5, 4)), factor=X),
        HEADS[kind](Q, -Q, np.tile(np.eye(4), (5, 1, 1))),
    )
    end = tp.flow(start, head, [0.0, 1e5], rtol=1e-9).covariances[-1]
    for i in range(5):
        Y = Q[i] @ X[i]
        lost = X[i] @ np.linalg.pinv(Y.T @ Y, hermitian=True, rcond=1e-10) @ X[i].T
        gap = 1e5 * (
            end[i] - theory.limit_covariance(HEADS[kind](Q[i], -Q[i], np.eye(4)), start[i])
        )
        np.testing.assert_allclose(gap * 2 * SLOPE[kind], lost, atol=1e-3 * np.abs(lost).max())


@pytest.mark.parametrize("kind", KINDS)
def test_precision_off_the_queries_is_conserved_for_every_value(kind):
    rng = np.random.default_rng(1)
    Q, V, X = rng.normal(size=(2, 4)), rng.normal(size=(4, 4)), rng.normal(size=(4, 4))
    path = tp.flow(
        tp.Gaussian(np.zeros(4), factor=X), HEADS[kind](Q, -Q, 0.05 * V), [0.0, 0.3, 0.6]
    )
    N = linalg.null_space(Q)
    kept = [N.T @ np.linalg.inv(S) @ N for S in path.covariances]
    np.testing.assert_allclose(kept[1:], [kept[0]] * 2, rtol=1e-8, atol=1e-9)
    assert np.abs(path.covariances[2] - path.covariances[0]).max() > 0.01


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 2])
def test_positive_value_keeps_the_rank_of_the_limit(kind, k):
    rng = np.random.default_rng([2, k])
    Q, V, X = rng.normal(size=(k, 3)), positive(rng, 3), rng.normal(size=(3, 3))
    times = np.append(0, np.geomspace(1e-3, 1e5, 50))
    S = tp.flow(
        tp.Gaussian(np.zeros(3), factor=X), HEADS[kind](Q, -Q, V), times, rtol=1e-8
    ).covariances
    N, late = linalg.null_space(Q), S[-1]
    values = np.linalg.eigvalsh(late)
    assert values[k - 1] < 1e-4 * values[-1] < 0.1 * values[k]
    assert np.linalg.norm(Q @ late) < 1e-3 * np.linalg.norm(late)
    least = N @ np.linalg.inv(N.T @ np.linalg.inv(S[0]) @ N) @ N.T
    assert np.linalg.eigvalsh(late - least)[0] > -1e-7
    length = sum(np.linalg.norm(step, "nuc") for step in np.diff(S, axis=0))
    energy = [np.trace(np.linalg.solve(V, one)) for one in S]
    assert (np.diff(energy) <= 1e-9).all()
    assert 0.1 < length <= np.linalg.norm(V, 2) * (energy[0] - energy[-1]) * (1 + 1e-6)


def plane_excess(a, rho, v, w):
    """What V = [[v, w], [w, v]] leaves beyond the limit of V = I, for Q = (1 0)."""
    if rho <= 1:
        return 0.0
    return a * (rho**2 - 1) * ((rho - 1) / (rho + 1)) ** (v / w)


@pytest.mark.parametrize("kind", KINDS)
def test_exact_limit_in_the_plane_with_a_positive_value(kind):
    Q, V = np.array([[1.0, 0.0]]), np.array([[2.0, 1.9], [1.9, 2.0]])
    start = tp.Gaussian.from_covariance([0.0, 0.0], [[1.0, 2.0], [2.0, 5.0]])
    S = tp.flow(start, HEADS[kind](Q, -Q, V), [0.0, 1e6, 2e6], rtol=1e-11).covariances
    kappa = 3 ** (-1 / 19)
    assert plane_excess(1.0, 2.0, 2.0, 1.9) == pytest.approx(kappa, rel=1e-14)
    assert 2 * S[2][1, 1] - S[1][1, 1] == pytest.approx(1 + kappa, abs=1e-9)
    # The variance that the queries see falls as t^-2.
    assert S[1][0, 0] * (SLOPE[kind] * 1e6) ** 2 == pytest.approx(1 / (kappa * 1.9**2), rel=1e-3)


def test_limits_in_the_plane_are_those_of_the_formula():
    rng = np.random.default_rng(5)
    w = rng.uniform(0.3, 1.0, 30)
    v = w + rng.uniform(0.3, 2.0, 30)
    V = np.stack([np.stack([v, w], -1), np.stack([w, v], -1)], axis=-2)
    a, rho, D = rng.uniform(0.5, 2, 30), rng.uniform(-3, 3, 30), rng.uniform(0.1, 1, 30)
    S0 = np.stack([np.stack([a, a * rho], -1), np.stack([a * rho, a * rho**2 + D], -1)], axis=-2)
    Q = np.tile([[1.0, 0.0]], (30, 1, 1))
    start = tp.Gaussian.from_covariance(np.zeros((30, 2)), S0)
    end = tp.flow(start, tp.Softmax(Q, -Q, V), [0.0, 1e4], rtol=1e-9).final.covariance
    right = [one + plane_excess(*case) for one, *case in zip(D, a, rho, v, w, strict=True)]
    np.testing.assert_allclose(end[:, 1, 1], right, atol=5e-3)
    assert (rho > 1).sum() > 5
    seen = end[:, 0, 0]  # falls as t^-2 beyond the line, as 1/t before it
    assert 20 * seen[rho > 1.5].max() < seen[rho < 0.5].min()


def test_one_query_gives_one_curve_for_three_heads():
    rng = np.random.default_rng(3)
    Q, V, X = rng.normal(size=(1, 3)), positive(rng, 3), rng.normal(size=(3, 3))
    start = tp.Gaussian(np.zeros(3), factor=X)
    path = tp.flow(start, tp.Softmax(Q, -Q, V), 5.0)
    for kind in ("l2", "sinkhorn"):
        other = tp.flow(start, HEADS[kind](Q, -Q, V), 2.0).final.covariance
        seen = (Q @ other @ Q.T).item()
        left = [(Q @ S @ Q.T).item() - seen for S in path.covariances]
        j = int(np.argmax(np.array(left) < 0))
        assert j > 0
        t = optimize.brentq(
            lambda t, seen=seen: (Q @ path(t).covariance @ Q.T).item() - seen,
            *path.times[j - 1 : j + 1],
            xtol=1e-13,
        )
        np.testing.assert_allclose(path(t).covariance, other, rtol=1e-7, atol=1e-8)


# --- rays ----------------------------------------------------------------------------------------


def random_rays():
    """Return A, V and both isotropic directions of A, (B, 2, 2) each."""
    A, V = np.random.default_rng(0).normal(size=(2, 60, 2, 2))
    mixed = np.linalg.det(A + A.mT) < -0.1
    return A[mixed], V[mixed], isotropic_directions(A[mixed])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("line", [0, 1])
def test_ray_rates_are_those_of_the_flow(kind, line):
    A, V, u = random_rays()
    assert len(A) > 30
    eyes = np.tile(np.eye(2), (len(A), 1, 1))
    heads = HEADS[kind](A, eyes, V)
    predicted = ray_rates(heads, 3 * u[:, line])
    np.testing.assert_allclose(
        observed_rates(heads, u[:, line]), predicted, rtol=2e-3, atol=2e-3 * np.abs(V).max()
    )
    alone = [ray_rates(HEADS[kind](A[i], np.eye(2), V[i]), u[i, line]) for i in range(len(A))]
    np.testing.assert_allclose(predicted, alone, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_ray_rates_by_the_size_of_the_covariance(kind):
    """By differences of the right-hand side, at sizes and an epsilon other than one."""
    A, V, u = (column[0] for column in random_rays())
    Q, K = A, np.eye(2)
    head = tp.Sinkhorn(Q, K, V, epsilon=0.3) if kind == "sinkhorn" else HEADS[kind](Q, K, V)
    for s in (0.4, 3.0):
        n, h = np.array([-u[0, 1], u[0, 0]]), 1e-6

        def speed(X):
            Sigma, B = X @ X.T, head(tp.Gaussian([0.0, 0.0], factor=X)).linear
            return B @ Sigma + Sigma @ B.T

        turned = np.sqrt(s) * (u[0] + h / s * n)[:, None]
        thick = np.stack([np.sqrt(s) * u[0], np.sqrt(h) * n], axis=1)
        found = [u[0] @ speed(turned) @ n / h, n @ speed(thick) @ n / h]
        np.testing.assert_allclose(found, ray_rates(head, u[0], s), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("values", [(1, 2, 3), (1, 2, -1), (2, 0, -1), (1, 1, -1, -3)])
def test_descent_finds_rest_up_to_the_bound(values):
    rng = np.random.default_rng(6)
    U = np.linalg.qr(rng.normal(size=(len(values), len(values))))[0]
    C, eye = (U * np.array(values, dtype=float)) @ U.T, np.eye(len(values))
    bound = theory.stationary_rank_bound(tp.Softmax((C + C.T) / 4, eye, eye))
    low = [least_departure((C + C.T) / 2, r, seed=0) for r in range(1, len(values) + 1)]
    assert [one < 1e-8 for one in low] == [r <= bound for r in range(1, len(values) + 1)]
    assert min(low[bound:]) > 1e-2


def test_bad_rays_are_told():
    head = tp.Softmax(np.diag([1.0, -1.0]), np.eye(2), np.eye(2))
    for rates in (ray_rates, observed_rates):
        with pytest.raises(ValueError, match=r"u'Au = 0"):
            rates(head, [1.0, 0.0])
    still = tp.Softmax(np.zeros((2, 2)), np.eye(2), np.eye(2))  # A = 0: every direction
    np.testing.assert_array_equal(ray_rates(still, [1.0, 0.0]), 0)
    assert least_departure(5 * np.eye(2), 1, seed=0) == pytest.approx(1)  # relative to the form
    with pytest.raises(ValueError, match=r"rank: must be at most the dimension, 2; got 3"):
        least_departure(np.eye(2), 3, seed=0)
    with pytest.raises(ValueError, match=r"form's norm"):
        least_departure(np.zeros((2, 2)), 1, seed=0)
    with pytest.raises(ValueError, match=r"direction's length"):
        ray_rates(head, [0.0, 0.0])
    with pytest.raises(ValueError, match=r"direction: .*dimension"):
        ray_rates(head, [1.0, 0.0, 0.0])
    with pytest.raises(ValueError, match=r"size: "):
        ray_rates(head, [1.0, 1.0], size=0.0)
    with pytest.raises(TypeError, match=r"head: must be softmax"):
        ray_rates(tp.Linear(head.query, head.key, head.value), [1.0, 1.0])
    with pytest.raises(ValueError, match=r"head: .*dimension"):
        ray_rates(tp.Softmax(np.eye(3), np.eye(3), np.eye(3)), [1.0, 1.0])


def test_basins_of_rank_one_starts_end_at_eigenvectors_of_the_value():
    A, V = np.diag([1.0, -1.0]), np.array([[-0.6, 0.3], [0.1, 0.7]])
    W = np.linalg.eig(V)[1].real  # NumPy 2.5 gives complex numbers
    ends = np.sort(np.arctan2(W[1], W[0]) % np.pi)
    angles = np.concatenate([ends + 0.01, ends - 0.01])
    X = np.stack([np.cos(angles), np.sin(angles)], axis=-1)[..., None]
    start = tp.Gaussian(np.zeros((4, 2)), factor=X)
    path = tp.flow(start, tp.Softmax(A, np.eye(2), V), np.inf, stationary=1e-6)
    final = np.arctan2(path.final.factor[:, 1, 0], path.final.factor[:, 0, 0]) % np.pi
    line = np.abs(final[:, None] - np.array([0.25, 0.75]) * np.pi).argmin(axis=1)
    np.testing.assert_allclose(final, np.array([0.25, 0.75])[line] * np.pi, atol=1e-4)
    assert (line[:2] != line[2:]).all()  # the two sides of each end fall to different lines


TWO_LINES = tp.Softmax(
    np.array([[0.676, 1.521], [-0.512, 1.150]]),
    np.array([[-0.591, -0.769], [-0.335, 0.093]]),
    np.array([[-0.349, 0.984], [0.581, 0.070]]),
)


def test_a_self_similar_covariance_keeps_its_direction():
    S, rates = self_similar(TWO_LINES, np.diag([0.4, 0.6]))
    velocity = TWO_LINES(tp.Gaussian.from_covariance([0.0, 0.0], S)).linear @ S
    velocity += velocity.T
    kappa = -np.trace(velocity)
    np.testing.assert_allclose(velocity, -kappa * S, atol=1e-10)
    assert kappa > 0
    assert rates[0] < 0 < rates[1]
    end = tp.flow(tp.Gaussian.from_covariance([0.0, 0.0], S), TWO_LINES, 2.0, rtol=1e-12).final
    np.testing.assert_allclose(end.covariance, S / (1 + 2 * kappa), rtol=1e-7)
    with pytest.raises(ValueError, match=r"guess: no self-similar covariance"):
        self_similar(tp.Softmax(np.diag([1.0, -1.0]), np.eye(2), np.eye(2)), np.diag([0.9, 0.1]))
    with pytest.raises(TypeError, match=r"head: must be softmax; got L2"):
        self_similar(tp.L2(TWO_LINES.query, TWO_LINES.key, TWO_LINES.value), np.eye(2))


def test_a_self_similar_covariance_needs_a_positive_determinant():
    """Of random pairs with two attracting lines, those with det(VA) < 0 have none inside."""
    A, V, u = random_rays()
    eyes, found = np.tile(np.eye(2), (len(A), 1, 1)), {True: [], False: []}
    rates = np.array([ray_rates(tp.Softmax(A, eyes, V), u[:, i]) for i in (0, 1)])
    for i in np.flatnonzero((rates < 0).all(axis=(0, 2))):
        head, hits = tp.Softmax(A[i], np.eye(2), V[i]), []
        for x, y in np.random.default_rng(0).uniform(-0.6, 0.6, size=(20, 2)):
            try:
                hits.append(self_similar(head, np.array([[1 + x, y], [y, 1 - x]]))[0])
            except ValueError:
                continue
        found[bool(np.linalg.det(V[i] @ A[i]) > 0)].append(len(hits))
    assert len(found[True]) > 5
    assert min(found[True]) > 0
    assert len(found[False]) > 1
    assert max(found[False]) == 0


def test_bad_guesses_are_told():
    head = tp.Softmax(np.diag([1.0, -1.0]), np.eye(2), np.diag([-1.0, 1.0]))
    with pytest.raises(ValueError, match=r"guess's trace"):
        self_similar(head, np.diag([1.0, -1.0]))
    stack = tp.Softmax(*np.tile(np.eye(2), (3, 4, 1, 1)))
    with pytest.raises(ValueError, match=r"head: must have no leading axes"):
        self_similar(stack, np.eye(2))


def test_the_dividing_curve_divides():
    curve = dividing_curve(TWO_LINES, np.diag([0.4, 0.6]))
    lines = isotropic_directions(TWO_LINES.key.T @ TWO_LINES.query)
    for u in lines:
        assert (ray_rates(TWO_LINES, u) < 0).all()
    ends = np.linalg.eig(TWO_LINES.value)[1].real.T
    top = [np.linalg.eigh(curve[i])[1][:, -1] for i in (0, -1)]
    np.testing.assert_allclose(np.abs(ends @ np.transpose(top)).max(axis=0), 1, atol=2e-3)
    inner = curve[np.linalg.eigvalsh(curve)[:, 0] > 0.05][::5]
    assert len(inner) > 8
    fates = []
    for side in (-0.02, 0.02):
        moved = inner + side * np.diag([1.0, -1.0])  # across the curve, in u
        start = tp.Gaussian.from_covariance(np.zeros((len(inner), 2)), moved)
        last = tp.flow(start, TWO_LINES, np.inf, stationary=1e-3, rtol=1e-7).final.direction
        on = np.einsum("li,nij,lj->nl", lines, last, lines)
        assert on.max(axis=1).min() > 0.999
        fates.append(on.argmax(axis=1))
    assert len({*fates[0]}) == len({*fates[1]}) == 1
    assert fates[0][0] != fates[1][0]


# --- tokens --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_hulls_of_rescaled_tokens_are_nested(seed):
    rng = np.random.default_rng(seed)
    Q, K = rng.normal(size=(2, 2, 2))
    tokens = tp.Particles(rng.normal(size=(20, 2)))
    path = tp.flow(tokens, rescaled(tp.Softmax(Q, K, np.eye(2))), [0.0, 0.5, 1.0, 2.0], rtol=1e-8)
    plain = tp.flow(tokens, tp.Softmax(Q, K, np.eye(2)), [0.0, 0.5], rtol=1e-10).final.points
    np.testing.assert_allclose(path.points[1], np.exp(-0.5) * plain, atol=1e-6)
    for before, after in zip(path.points[:-1], path.points[1:], strict=True):
        sides = ConvexHull(before).equations
        assert (after @ sides[:, :2].T + sides[:, 2]).max() < 1e-7
        assert ConvexHull(after).volume < ConvexHull(before).volume


@pytest.mark.parametrize("kind", KINDS)
def test_the_moving_frame_undoes_the_value(kind):
    rng = np.random.default_rng(7)
    Q, K, V = 0.5 * rng.normal(size=(3, 2, 2))
    tokens, head = tp.Particles(rng.normal(size=(6, 2))), HEADS[kind](Q, K, V)
    plain = tp.flow(tokens, head, 1.0).final.points
    moved = tp.flow(tokens, rescaled(head), 1.0).final.points
    np.testing.assert_allclose(moved @ linalg.expm(V).T, plain, rtol=1e-7, atol=1e-8)
    with pytest.raises(TypeError, match=r"head: must be softmax"):
        rescaled(tp.Linear(Q, K, V))
    with pytest.raises(ValueError, match=r"head: must have no leading axes"):
        rescaled(HEADS[kind](Q, K, np.tile(V, (3, 1, 1))))


def test_groups_are_chains_of_neighbours():
    found = clusters([[0.0, 0.0], [5.0, 0.0], [0.9, 0.0], [1.8, 0.0]], 1.0)
    assert sorted(np.bincount(found).tolist()) == [1, 3]
    assert found[0] == found[2] == found[3]
    assert clusters([2.0], 1.0).tolist() == [0]
    with pytest.raises(ValueError, match=r"distance: "):
        clusters([1.0, 2.0], 0.0)


@pytest.mark.parametrize("seed", range(5))
def test_tokens_gather_at_corners_and_on_few_parallel_lines(seed):
    form, V = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[1.0, 0.4], [0.0, -0.6]])
    tokens = tp.Particles(np.random.default_rng(seed).uniform(-3, 3, size=(24, 2)))
    ends = []
    for value in (np.eye(2), V):
        head = rescaled(tp.Softmax(form, np.eye(2), value))
        ends.append(tp.flow(tokens, head, [0.0, 6.0], rtol=1e-5).final.points)
    at, corners = clusters(ends[0], 0.1), ConvexHull(ends[0]).vertices
    near = np.abs(ends[0][:, None] - ends[0][corners]).max(axis=-1).min(axis=1) < 0.1
    assert near.mean() > 0.9
    assert 2 <= at.max() + 1 <= 6
    along = np.sort(ends[1] @ [1.0, 0.25])
    lines = clusters(along, 0.3)
    assert lines.max() + 1 <= 3
    assert max(np.ptp(along[lines == i]) for i in range(lines.max() + 1)) < 0.2 * np.ptp(along)


@pytest.mark.parametrize("log_scale", [800.0, 2000.0])
def test_a_limit_beyond_floats_is_refused(log_scale):
    Q = np.array([[1.0, 0.0]])
    start = tp.Gaussian([0.0, 0.0], factor=np.eye(2), log_scale=log_scale)
    with pytest.raises(ValueError, match="gaussian: must have a limit within the range of floats"):
        theory.limit_covariance(tp.Softmax(Q, -Q, np.eye(2)), start)
