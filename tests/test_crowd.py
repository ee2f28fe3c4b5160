"""Heads as particles: the loss, its derivatives, flow, stalls and divisions, by other routes."""

import itertools

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import transpde as tp
from transpde.crowd import (
    Crowd,
    Regression,
    descend,
    find_stall,
    find_stalls,
    head_flow,
    random_crowd,
    split_head,
)
from transpde.gradients import pullback
from transpde.theory import crowd as theory
from transpde.training import Heads


def problem(sequences=24, tokens=5, d=2, seed=0):
    """The problem of the chapter for the numbers given by default."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(sequences, tokens, d))
    return X, Crowd(rng.normal(size=(3, d, d)), rng.normal(size=(3, d, d)))


X, TEACHER = problem()
TASK = Regression.taught(X, TEACHER)
START = TASK.loss(Crowd(np.zeros((1, 2, 2)), np.zeros((1, 2, 2))))
STALL = find_stalls(TASK, 1, [100], scale=START)[0]


def plain_output(tokens, A, V, w):
    """All sequences, from the definition, without a shift of the scores."""
    found = np.zeros_like(tokens)
    for Ai, Vi, wi in zip(A, V, w, strict=True):
        P = np.exp(np.einsum("bja,ac,bic->bij", tokens, Ai, tokens))
        found += wi * ((P / P.sum(axis=2, keepdims=True)) @ tokens) @ Vi.T
    return found


def plain_loss(u, w, tokens, target):
    """F of heads as vectors, own numpy."""
    d = tokens.shape[-1]
    A, V = (one.reshape(-1, d, d) for one in np.split(u.reshape(len(w), -1), 2, axis=1))
    return 0.5 * ((plain_output(tokens, A, V, w) - target) ** 2).sum(axis=-1).mean()


def differences(f, u, h=1e-3):
    """Derivatives by central differences of sixth order."""
    found = []
    for e in np.eye(u.size).reshape(-1, *u.shape):
        steps = [(f(u + k * h * e) - f(u - k * h * e)) / (2 * h * k) for k in (1, 2, 3)]
        found.append(1.5 * steps[0] - 0.6 * steps[1] + 0.1 * steps[2])
    return np.array(found)


CASES = [(24, 5, 2, 3), (3, 4, 3, 2), (5, 2, 1, 4), (1, 1, 2, 1)]


@pytest.mark.parametrize(("sequences", "tokens", "d", "m"), CASES)
def test_loss_and_gradient_are_those_of_the_definition(sequences, tokens, d, m):
    x, teacher = problem(sequences, tokens, d, 1)
    task, crowd = Regression.taught(x, teacher), random_crowd(m, d, 2)
    crowd = Crowd(crowd.scores, crowd.values, np.linspace(0.2, 1.0, m))
    u, w = crowd.parameters(), crowd.masses
    assert task.loss(crowd) == pytest.approx(plain_loss(u, w, x, task.target), rel=1e-13)
    slopes = differences(lambda v: plain_loss(v, w, x, task.target), u).reshape(u.shape)
    found = w[:, None] * task.gradient(crowd)
    assert np.abs(found - slopes).max() <= 1e-9 * np.abs(slopes).max()


@pytest.mark.parametrize(("sequences", "tokens", "d", "m"), CASES)
def test_hessians_are_those_of_differences(sequences, tokens, d, m):
    x, teacher = problem(sequences, tokens, d, 1)
    task, crowd = Regression.taught(x, teacher), random_crowd(m, d, 2)
    u, p = crowd.parameters(), 2 * d * d
    joint = differences(lambda v: (task.gradient(crowd.moved(v)) / m).ravel(), u)
    found = task.joint_hessian(crowd)
    assert np.abs(found - joint).max() < 1e-9 * np.abs(joint).max()
    frozen = Regression(x, task.target)  # the first variation of this law, at other heads
    rho = (task.output(crowd) - task.target) / (sequences * tokens)

    def variation(v):
        return plain_linear(frozen, v, rho)

    for i in range(m):
        at = differences(lambda v: differences(variation, v, 6e-3), u[i], 6e-3)
        assert np.abs(task.hessian(crowd)[i] - at).max() < 1e-6 * np.abs(at).max() + 1e-9
        assert not task.hessian(crowd)[i, p // 2 :, p // 2 :].any()


def plain_linear(task, u, rho):
    """The first variation at one head: its output against the residual."""
    d = task.tokens.shape[-1]
    A, V = u[: d * d].reshape(1, d, d), u[d * d :].reshape(1, d, d)
    return (rho * plain_output(task.tokens, A, V, [1.0])).sum()


def test_outputs_are_those_of_the_heads_of_the_package():
    crowd = random_crowd(3, 2, 4)
    stack = tp.Particles(X)
    heads = [
        tp.Softmax(A, np.eye(2), w * V)
        for A, V, w in zip(crowd.scores, crowd.values, crowd.masses, strict=True)
    ]
    assert np.abs(TASK.output(crowd) - sum(h(stack)(X) for h in heads)).max() < 1e-14


def test_gradients_are_those_of_the_pullbacks_of_heads():
    crowd = Crowd(random_crowd(3, 2, 4).scores, random_crowd(3, 2, 5).values, [0.5, 0.2, 0.9])
    rho = (TASK.output(crowd) - TASK.target) / X[..., 0].size
    stack, found = tp.Particles(X), TASK.gradient(crowd).reshape(3, 2, 2, 2)
    for A, V, (score, value) in zip(crowd.scores, crowd.values, found, strict=True):
        back = pullback(tp.Softmax(A, np.eye(2), V), stack, rho)
        assert np.abs(back.query - score).max() < 1e-14
        assert np.abs(back.value - value).max() < 1e-14
    layer = Heads(crowd.scores[None], 3 * (crowd.masses[:, None, None] * crowd.values)[None])
    back = layer.pullback(stack, rho)
    assert np.abs(back.score - crowd.masses[:, None, None] * found[:, 0]).max() < 1e-14
    assert np.abs(3 * back.value - found[:, 1]).max() < 1e-14


def test_the_first_variation_is_linear_in_values():
    crowd, probe = random_crowd(2, 2, 1), random_crowd(5, 2, 2)
    rho = (TASK.output(crowd) - TASK.target) / X[..., 0].size
    g = TASK.first_variation(crowd, probe.scores)
    for i, (V, u) in enumerate(zip(probe.values, probe.parameters(), strict=True)):
        assert (V * g[i]).sum() == pytest.approx(plain_linear(TASK, u, rho), rel=1e-12)
    assert TASK.first_variation(crowd, probe.scores[0]).shape == (2, 2)


# --- optimality ----------------------------------------------------------------------------------


def test_the_bound_holds_at_every_finite_stall_and_is_an_identity_at_the_teacher():
    probes = np.concatenate(
        [s * np.random.default_rng(0).normal(size=(4000, 2, 2)) for s in (3.0, 300.0)]
    )
    size = np.linalg.norm(TEACHER.values, axis=(-2, -1)).mean()
    for m, s in itertools.product((1, 2), (100, 101, 113)):
        stall = find_stalls(TASK, m, [s], scale=START)[0]
        assert stall.finished
        slope = np.linalg.norm(TASK.first_variation(stall.crowd, probes), axis=(-2, -1)).max()
        assert stall.loss < theory.optimality_bound(slope, size)
        at = TASK.first_variation(stall.crowd, TEACHER.scores)
        exact = -0.5 * (TEACHER.values * at).sum(axis=(-2, -1)).mean()
        assert stall.loss == pytest.approx(exact, rel=1e-8)
    assert theory.optimality_bound(2.0, 3.0, fits=False) == 6.0


def test_a_teacher_that_does_not_fit_bounds_the_excess():
    rng = np.random.default_rng(5)
    task = Regression(X, TASK.target + 0.1 * rng.normal(size=X.shape))
    stall = find_stalls(task, 1, [100])[0]
    slope = np.linalg.norm(task.first_variation(stall.crowd, TEACHER.scores), axis=(-2, -1)).max()
    size = np.linalg.norm(TEACHER.values, axis=(-2, -1)).mean()
    bound = theory.optimality_bound(slope, size, fits=False)
    assert 0 < stall.loss - task.loss(TEACHER) < bound


def test_a_sleeping_head_wakes_at_its_rate():
    A0 = TEACHER.scores[0]
    g = TASK.first_variation(STALL.crowd, A0)
    mass = 0.1
    crowd = Crowd(
        np.concatenate([STALL.crowd.scores, A0[None]]),
        np.concatenate([STALL.crowd.values, np.zeros((1, 2, 2))]), [1.0, mass],
    )  # fmt: skip
    rate = theory.waking_rate(g, mass)
    h = 0.05
    run = solve_ivp(
        lambda _, u: -TASK.gradient(crowd.moved(u.reshape(2, 8))).ravel(), (0, 4 * h),
        crowd.parameters().ravel(), method="DOP853", rtol=1e-12, atol=1e-13,
        t_eval=h * np.arange(5),
    )  # fmt: skip
    F = [TASK.loss(crowd.moved(u.reshape(2, 8))) for u in run.y.T]
    slope = np.dot([-25, 48, -36, 16, -3], F) / (12 * h)
    assert slope == pytest.approx(-rate, rel=1e-5)
    weighted = (crowd.masses[:, None] * TASK.gradient(crowd) ** 2).sum()
    assert weighted == pytest.approx(rate, rel=1e-6)


# --- division ------------------------------------------------------------------------------------


def test_every_finite_stall_has_a_negative_eigenvalue_and_its_null_vector():
    for m in (1, 2):
        for stall in find_stalls(TASK, m, [100, 101, 103, 110, 113], scale=START):
            assert stall.finished
            assert not stall.runaway
            for u, H in zip(stall.crowd.parameters(), TASK.hessian(stall.crowd), strict=True):
                assert np.linalg.eigvalsh(H)[0] < -1e-3
                null = np.append(np.zeros(4), u[4:])
                assert np.linalg.norm(H @ null) < 1e-7
                signs = theory.block_inertia(H[:4, :4], H[:4, 4:], tolerance=1e-6)
                found = np.linalg.eigvalsh(H)
                least = 1e-7 * np.abs(found).max()
                counted = ((found < -least).sum(), (np.abs(found) <= least).sum())
                assert signs[:2] == counted


@pytest.mark.parametrize("rank", range(4))
def test_signs_of_eigenvalues_of_a_block_matrix(rank):
    rng = np.random.default_rng(rank)
    a = rng.normal(size=(4, 4))
    a, b = a + a.T, rng.normal(size=(4, rank)) @ rng.normal(size=(rank, 5))
    found = np.linalg.eigvalsh(np.block([[a, b], [b.T, np.zeros((5, 5))]]))
    counts = (found < -1e-10).sum(), (np.abs(found) <= 1e-10).sum(), (found > 1e-10).sum()
    assert theory.block_inertia(a, b) == counts
    assert min(counts[0], counts[2]) >= rank


def test_a_division_changes_the_loss_as_it_should():
    errors = []
    for size in (2e-2, 1e-2):
        split = split_head(TASK, STALL.crowd, size)
        change = TASK.loss(split.crowd) - STALL.loss
        exact = theory.split_change(split.eigenvalue, 1.0, size)
        errors.append(change / exact - 1)
    assert abs(errors[1]) < 3e-4
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.02)  # the rest is of fourth order


def test_only_the_head_of_the_largest_gain_divides():
    crowd = find_stalls(TASK, 2, [101], scale=START)[0].crowd
    uneven = Crowd(crowd.scores, crowd.values * [[[1.0]], [[0.1]]], [0.5, 5.0])
    split = split_head(TASK, uneven)
    least = np.linalg.eigvalsh(TASK.hessian(uneven))[:, 0] * uneven.masses
    assert split.head == least.argmin()
    assert sorted(split.crowd.masses) == sorted(
        [uneven.masses[1 - split.head], *[uneven.masses[split.head] / 2] * 2]
    )
    assert split_head(TASK, TEACHER) is None


def test_a_crowd_that_fits_to_rounding_does_not_divide():
    """Whatever the order of its heads, and however they share the teacher's."""
    A, V = TEACHER.scores, TEACHER.values
    huge = 1e4 * np.ones((1, 2, 2))
    for crowd in (
        Crowd(A[::-1], V[::-1]),
        Crowd(A[[0, 0, 1, 2]], V[[0, 0, 1, 2]], np.array([1, 1, 2, 2]) / 6),
        Crowd(A[[0, 1, 2, 2]], [2 * V[0], 2 * V[1], V[2], 3 * V[2]], np.array([2, 2, 1, 1]) / 12),
        Crowd(A[[0, 1, 2, 0, 0]], np.concatenate([V, huge, -huge]), [1 / 3] * 3 + [1.0] * 2),
    ):  # fmt: skip
        assert TASK.loss(crowd) < 1e-20
        assert split_head(TASK, crowd) is None
    near = TEACHER.moved(TEACHER.parameters() + 1e-6)  # far above rounding
    assert split_head(TASK, near).eigenvalue < 0


def test_two_divisions_find_the_teacher():
    stall, losses = STALL, [STALL.loss / START]
    for _ in range(2):
        split = split_head(TASK, stall.crowd)
        stall = find_stall(TASK, split.crowd, scale=START, tolerance=1e-12)
        losses.append(stall.loss / START)
    assert losses[0] == pytest.approx(0.09327, abs=5e-6)
    assert losses[1] == pytest.approx(0.04771, abs=5e-6)
    assert losses[2] < 1e-19
    crowd = stall.crowd
    order = [np.abs(crowd.scores - A).max(axis=(1, 2)).argmin() for A in TEACHER.scores]
    assert sorted(order) == [0, 1, 2]
    assert np.abs(crowd.scores[order] - TEACHER.scores).max() < 1e-8
    values = 3 * crowd.masses[:, None, None] * crowd.values
    assert np.abs(values[order] - TEACHER.values).max() < 1e-8
    assert sorted(crowd.masses) == [0.25, 0.25, 0.5]


# --- flows ---------------------------------------------------------------------------------------


def test_the_flow_is_that_of_another_solver_and_of_own_steps():
    crowd = Crowd(random_crowd(3, 2, 7).scores, random_crowd(3, 2, 8).values, [0.5, 0.3, 0.2])
    times = np.linspace(0, 20, 5)
    path = head_flow(TASK, crowd, times, rtol=1e-10, atol=1e-12)
    assert path.finished

    def speed(_, u):
        F = differences(lambda v: plain_loss(v, crowd.masses, X[:4], TASK.target[:4]), u, 1e-2)
        return (-F.reshape(3, 8) / crowd.masses[:, None]).ravel()

    small = Regression(X[:4], TASK.target[:4])
    own = solve_ivp(speed, (0, 0.5), crowd.parameters().ravel(), rtol=1e-8, atol=1e-10)
    end = head_flow(small, crowd, [0.0, 0.5], rtol=1e-10, atol=1e-12).final.parameters()
    assert np.abs(end.ravel() - own.y[:, -1]).max() < 1e-7
    run = solve_ivp(
        lambda _, u: -TASK.gradient(crowd.moved(u.reshape(3, 8))).ravel(), (0, 20),
        crowd.parameters().ravel(), method="DOP853", rtol=1e-11, atol=1e-12, t_eval=times,
    )  # fmt: skip
    assert np.abs(path.parameters.reshape(5, -1) - run.y.T).max() < 1e-8
    assert path.losses[0] == pytest.approx(TASK.loss(crowd), rel=1e-14)
    assert (np.diff(path.losses) < 0).all()
    assert path.scores.shape == path.values.shape == (5, 3, 2, 2)


def test_descent_is_the_flow_to_first_order():
    crowd = random_crowd(2, 2, 3)
    exact = head_flow(TASK, crowd, [0.0, 4.0], rtol=1e-10, atol=1e-12).final.parameters()
    errors = [
        np.abs(descend(TASK, crowd, 4 / n, n).final.parameters() - exact).max() for n in (64, 128)
    ]
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.05)


def test_runs_that_do_not_finish_say_so():
    crowd = random_crowd(2, 2, 3)
    path = head_flow(TASK, crowd, np.linspace(0, 1e4, 101), budget=300)
    assert not path.finished
    assert "300" in path.message
    assert 1 <= len(path.times) == len(path.losses) < 101
    wild = descend(TASK, crowd, 1e200, 5)
    assert not wild.finished
    assert len(wild.losses) < 6
    short = descend(TASK, crowd, 1.0, 5, below=1e-12)
    assert not short.finished
    assert len(short.times) == 6
    last = descend(TASK, crowd, 1.0, 5, below=short.losses[-1])  # by the very last step
    assert last.finished
    assert len(last.times) == 6
    assert "wanted" in last.message
    assert not find_stall(TASK, crowd, iterations=2).finished


def test_identical_heads_stay_identical_and_learn_as_one():
    one = random_crowd(1, 2, 100)
    many = Crowd(np.repeat(one.scores, 8, axis=0), np.repeat(one.values, 8, axis=0))
    path = descend(TASK, many, 1.0, 800)
    assert np.ptp(path.parameters, axis=1).max() == 0
    assert path.losses[-1] / START == pytest.approx(0.0933, abs=5e-5)
    alone = descend(TASK, one, 1.0, 800)
    assert np.abs(alone.parameters[:, 0] - path.parameters[:, 0]).max() < 1e-9


def test_a_crowd_leaves_a_stall_at_the_rate_of_its_deviations():
    H = TASK.hessian(STALL.crowd)[0]
    rate = -np.linalg.eigvalsh(H)[0]
    assert np.linalg.eigvalsh(TASK.joint_hessian(STALL.crowd))[0] > 6.4e-3
    v = np.linalg.eigh(H)[1][:, 0]
    crowd = Crowd(np.repeat(STALL.crowd.scores, 2, 0), np.repeat(STALL.crowd.values, 2, 0))
    start = crowd.moved(crowd.parameters() + 1e-5 * np.array([v, -v]))
    path = head_flow(TASK, start, [0.0, 50.0, 100.0], rtol=1e-11, atol=1e-14)
    gap = np.linalg.norm(path.parameters[:, 0] - path.parameters[:, 1], axis=-1)
    assert np.log(gap[2] / gap[1]) / 50 == pytest.approx(rate, rel=1e-5)
    pushed = crowd.moved(crowd.parameters() + 1e-5 * v)  # the mean, with the one-head Hessian
    path = head_flow(TASK, pushed, [0.0, 50.0], rtol=1e-11, atol=1e-14)
    away = np.linalg.norm(path.parameters[:, 0] - crowd.parameters()[0], axis=-1)
    assert away[1] < 0.9 * away[0]


def test_escape_takes_as_long_a_decade_as_predicted():
    lam = np.linalg.eigvalsh(TASK.hessian(STALL.crowd))[0, 0]
    r = np.random.default_rng(0).normal(size=(8, 8))
    r -= r.mean(axis=0)
    still = Crowd(np.zeros((8, 2, 2)), np.zeros((8, 2, 2)))
    counts = []
    for delta in (1e-2, 1e-3):
        start = still.moved(STALL.crowd.parameters() + delta * r)
        path = descend(TASK, start, 1.0, 800, below=STALL.loss / 2)
        assert path.finished
        counts.append(len(path.times) - 1)
    assert abs(counts[0] - 273) <= 1
    predicted = theory.escape_time(lam, step=1.0)
    assert predicted == pytest.approx(117.4, abs=0.05)
    assert counts[1] - counts[0] == pytest.approx(predicted, rel=0.04)
    assert theory.escape_time(-0.5, 4.0) == pytest.approx(4 * np.log(2))


def test_a_derivative_of_a_head_is_a_limit_of_two_with_values_that_grow():
    """On two tokens of a line, where heads are hyperbolic tangents."""
    x, y = 0.7, -0.4
    A, B = 0.9, 1.3
    pair = Regression([[[x], [y]]], np.zeros((1, 2, 1)))
    z, s = x * (x - y) / 2, (x - y) / 2
    exact = B * s * z / np.cosh(A * z) ** 2
    errors = []
    for h in (1e-2, 5e-3):
        dipole = Crowd([[[A + h * B]], [[A]]], [[[1 / h]], [[-1 / h]]], [1.0, 1.0])
        errors.append(pair.output(dipole)[0, 0, 0] - exact)
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.02)
    # Where a head tends to its limit like exp(-b s), its derivative does so like s exp(-b s).
    tails = []
    for t in (8.0, 16.0):
        far = Regression([[[t * x], [t * x - (x - y)]]], np.zeros((1, 2, 1)))
        mean = [far.output(Crowd([[[A + k]]], [[[1.0]]]))[0, 0, 0] for k in (1e-4, -1e-4, 0.0)]
        short = t * x - mean[2]
        tails.append((mean[0] - mean[1]) / 2e-4 / short)
    assert tails[1] / tails[0] == pytest.approx(2, rel=0.02)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_a_derivative_of_a_head_is_no_sum_of_some(n):
    """On n tokens alone, for any n > 1: derivatives add their dimensions to those of heads."""
    x = np.random.default_rng(n).normal(size=(60, n, 2))
    scores, values = random_crowd(4, 2, 9).scores, np.eye(4).reshape(4, 2, 2)
    B, h = random_crowd(1, 2, 11).scores[0], 1e-3

    def head(S, E):
        return plain_output(x, S[None], E[None], [1.0]).ravel()

    def slope(S, E):
        near, wide = (head(S + k * B, E) - head(S - k * B, E) for k in (h, 2 * h))
        return (8 * near - wide) / (12 * h)

    for S in (scores[0], 0 * B):
        columns = [head(A, E) for A in (S, *scores[1:]) for E in values]
        columns += [slope(S, E) for E in values]
        singular = np.linalg.svd(np.array(columns), compute_uv=False)
        assert singular[-1] > 1e-4 * singular[0]


def test_heads_are_independent_on_three_tokens_and_not_on_two():
    """Sums of heads vanish for one combination on two tokens, and for none on n > 2 alone."""
    A = random_crowd(1, 2, 9).scores[0]
    ranks = {}
    for n in (2, 3, 4, 5):
        x = np.random.default_rng(n).normal(size=(30, n, 2))
        columns = [
            plain_output(x, S[None], E[None], [1.0]).ravel()
            for S in (A, -A, 0 * A, A.T) for E in np.eye(4).reshape(4, 2, 2)
        ]  # fmt: skip
        singular = np.linalg.svd(np.array(columns), compute_uv=False)
        ranks[n] = (singular > 1e-10 * singular[0]).sum()
    assert ranks == {2: 12, 3: 16, 4: 16, 5: 16}
    # On the chapter's own sequences: no other three heads near the teacher's fit.
    assert np.linalg.eigvalsh(TASK.joint_hessian(TEACHER))[0] > 1e-3
    task = Regression(x[:, :2], 0 * x[:, :2])
    V = random_crowd(1, 2, 10).values[0]
    crowd = Crowd([A, -A, 0 * A], [V, V, -2 * V], [1.0, 1.0, 1.0])
    assert np.abs(task.output(crowd)).max() < 1e-14
    assert np.abs(Regression(x, 0 * x).output(crowd)).max() > 0.1


def test_where_a_bad_law_has_no_heads_is_almost_everything():
    """At a stall the first variation is zero at its heads, and at no random score matrix."""
    for count in (1, 2):
        stall = find_stalls(TASK, count, [100], scale=START)[0]
        assert np.abs(TASK.first_variation(stall.crowd, stall.crowd.scores)).max() < 1e-8
        probes = 3 * np.random.default_rng(count).normal(size=(4000, 2, 2))
        g = np.linalg.norm(TASK.first_variation(stall.crowd, probes), axis=(-2, -1))
        assert g.min() > 1e-5
    best = find_stalls(TASK, 4, [100], scale=START)[0]
    assert np.linalg.norm(TASK.first_variation(best.crowd, probes), axis=(-2, -1)).max() < 1e-5


# --- bad input -----------------------------------------------------------------------------------


def test_heads_and_losses_that_do_not_fit():
    two = np.ones((2, 2, 2))
    for arguments, message in (
        ((two, np.ones((3, 2, 2))), "values"),
        ((two, np.ones((2, 3, 3))), "values"),
        ((np.ones((2, 2, 3)), two), "scores"),
        ((two, two, [1.0]), "masses"),
        ((two, two, [1.0, 0.0]), "masses: must be positive"),
    ):
        with pytest.raises(ValueError, match=message):
            Crowd(*arguments)
    with pytest.raises(ValueError, match="target"):
        Regression(X, X[:3])
    with pytest.raises(ValueError, match="crowd: its dimension"):
        TASK.loss(random_crowd(1, 3, 0))
    with pytest.raises(OverflowError, match="range"):
        TASK.gradient(Crowd(two * 1e308, two))
    with pytest.raises(ValueError, match="size: must be large enough"):
        split_head(TASK, STALL.crowd, 1e-20)
    with pytest.raises(ValueError, match="first_variation: its number of columns"):
        theory.waking_rate(np.ones((2, 3)), 1.0)
    drawing = np.random.default_rng(0)
    before = drawing.bit_generator.state
    for bad in (-1.0, np.nan, "x"):
        with pytest.raises(ValueError, match="scale"):
            random_crowd(2, 2, drawing, bad)
    assert drawing.bit_generator.state == before
    with pytest.raises(ValueError, match="seeds"):
        find_stalls(TASK, 1, [])
    with pytest.raises(ValueError, match="eigenvalue: must be a negative"):
        theory.escape_time(0.1)
