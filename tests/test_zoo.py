"""Flows of all attentions: agreement of routes, limits, blow-up, stacks, the sphere."""

import numpy as np
import pytest
from problems import (
    head_parameters,
    identity_value_blowup_time,
    identity_value_covariance,
    orthogonal,
)
from scipy import integrate, special
from table import GAUSSIAN, HEADS, ROWS

import transpde as tp

# --- Gaussians and the particles of their quadrature ---------------------------------------------


@pytest.mark.parametrize("name", GAUSSIAN)
@pytest.mark.parametrize(("d", "rank", "nodes"), [(1, 1, 40), (2, 2, 12), (2, 1, 40), (3, 1, 40)])
def test_a_gaussian_and_its_quadrature_particles_flow_alike(name, d, rank, nodes):
    rng = np.random.default_rng([d, rank])
    Q, K, V = head_parameters(rng, d, size=0.8)
    factor = rng.normal(size=(d, rank))
    start = tp.Gaussian(0.2 * rng.normal(size=d), factor=0.35 * factor / np.linalg.norm(factor, 2))
    attention = ROWS[name].make(Q, K, V)
    exact = tp.flow(start, attention, [0.0, 0.5, 1.0])
    tokens = tp.flow(start.quadrature(nodes), attention, [0.0, 0.5, 1.0])
    for i in (1, 2):
        assert np.abs(exact[i].mean - tokens[i].mean).max() <= 1e-8
        assert np.abs(exact[i].covariance - tokens[i].covariance).max() <= 1e-8
    assert np.abs(exact[2].covariance - start.covariance).max() >= 1e-5


def departure(tokens):
    """Third cumulant and excess kurtosis of the tokens along each axis, standardised."""
    z = (tokens.points - tokens.mean) / np.sqrt(np.diag(tokens.covariance))
    return np.array([tokens.weights @ z**3, tokens.weights @ z**4 - 3])


@pytest.mark.parametrize(("d", "nodes"), [(1, 40), (2, 12)])
def test_sigmoid_leaves_the_gaussians_and_softmax_does_not(d, nodes):
    rng = np.random.default_rng(d)
    Q, K, V = head_parameters(rng, d)
    tokens = tp.Gaussian(np.full(d, 0.5), factor=0.5 * np.eye(d)).quadrature(nodes)
    found = {
        name: np.abs(departure(tp.flow(tokens, ROWS[name].make(Q, K, V), 1.0).final)).max(axis=1)
        for name in ("softmax", "sigmoid")
    }
    for name, (third, fourth) in found.items():
        print(f"d = {d}, {name}: third cumulant {third:.1e}, excess kurtosis {fourth:.1e}")
    noise = found["softmax"].max()
    assert noise <= 1e-5
    assert (found["sigmoid"] > max(100 * noise, 1e-4)).all()


# --- limits --------------------------------------------------------------------------------------

IDENTITY = {
    "softmax": lambda Q, d: tp.Softmax(Q, -Q, np.eye(d)),
    "l2": lambda Q, d: tp.L2(Q, -Q, np.eye(d)),
    "sinkhorn": lambda Q, d: tp.Sinkhorn(Q, -Q, np.eye(d)),
}


@pytest.mark.parametrize("name", IDENTITY)
@pytest.mark.parametrize(
    ("d", "k", "rank"), [(2, 1, 2), (4, 2, 4), (5, 2, 5), (4, 2, 3), (5, 1, 2)]
)
def test_opposite_key_and_query_have_one_limit_for_three_attentions(name, d, k, rank):
    """V = I, K = -Q: the limit is X P X^T, P the projector on ker(QX), and the error is ~1/t."""
    rng = np.random.default_rng([d, k, rank])
    Q = rng.normal(size=(k, d))
    X = orthogonal(rng, d)[:, :rank] @ np.diag(rng.uniform(0.7, 1.4, rank)) @ orthogonal(rng, rank)
    limit = X @ (np.eye(rank) - np.linalg.pinv(Q @ X) @ (Q @ X)) @ X.T
    if rank == d:
        N = np.linalg.svd(Q)[2][k:].T
        closed = N @ np.linalg.inv(N.T @ np.linalg.inv(X @ X.T) @ N) @ N.T
        assert np.abs(limit - closed).max() <= 1e-12
    times = np.concatenate([[0.0], np.logspace(2, 5, 10)])
    path = tp.flow(tp.Gaussian(np.zeros(d), factor=X), IDENTITY[name](Q, d), times)
    errors = np.linalg.norm(path.covariances[1:] - limit, axis=(1, 2))
    order = -np.polyfit(np.log(times[1:]), np.log(errors), 1)[0]
    print(
        f"{name}, d = {d}, rank Q = {k}, rank X = {rank}: order {order:.4f}, last {errors[-1]:.1e}"
    )
    assert abs(order - 1) <= 0.05
    assert errors[-1] <= 1e-4


# --- 200 random cases ----------------------------------------------------------------------------


def random_stack(seed, d, cases, condition=None):
    """Q, K, V with |V| <= 2 and factors; K of bounded condition number where asked for."""
    rng = np.random.default_rng([seed, d])
    Q, K, V = rng.normal(size=(3, cases, d, d))
    V *= 2 * rng.random((cases, 1, 1)) / np.linalg.norm(V, 2, axis=(1, 2))[:, None, None]
    if condition is not None:
        U, s, Wt = np.linalg.svd(K)
        K = U * np.maximum(s, s[:, :1] / condition)[:, None, :] @ Wt
    return Q, K, V, tp.Gaussian(np.zeros((cases, d)), factor=rng.normal(size=(cases, d, d)))


# Of growth by e^3000 only the outcome is wanted, so the tolerances are loose. A covariance that
# comes to rest with a long axis makes Sinkhorn attention stiff: LSODA.
@pytest.mark.parametrize(
    ("d", "seed", "time", "method", "rtol"),
    [(2, seed, 50.0, "LSODA", 1e-3) for seed in (0, 10)]
    + [(3, 0, 2.0, "DOP853", 1e-8), (4, 0, 2.0, "DOP853", 1e-8)],
)
def test_no_blow_up_of_sinkhorn(d, seed, time, method, rtol):
    Q, K, V, starts = random_stack(seed, d, 67)
    path = tp.flow(starts, tp.Sinkhorn(Q, K, V), [0.0, time / 2, time], method=method, rtol=rtol)
    assert set(path.stop) == {"time"}
    growth = path.log_sizes[1:] - path.log_sizes[0]
    bound = 2 * np.linalg.norm(V, 2, axis=(1, 2)) * path.times[1:, None] + np.log(d)
    print(f"d = {d}, to t = {time}: largest growth of log tr {growth.max():.0f}")
    assert (growth <= bound + 0.1).all()


@pytest.mark.parametrize("d", [2, 3, 4])
def test_no_blow_up_of_l2_with_injective_key(d):
    Q, K, V, starts = random_stack(1, d, 67, condition=30)
    path = tp.flow(starts, tp.L2(Q, K, V), [0.0, 25.0, 50.0], rtol=1e-4)
    assert set(path.stop) == {"time"}
    inverse = np.linalg.norm(np.linalg.inv(np.swapaxes(K, 1, 2) @ K), 2, axis=(1, 2))
    score = np.linalg.norm(np.swapaxes(K, 1, 2) @ Q, 2, axis=(1, 2))
    rate = 2 * np.linalg.norm(V, 2, axis=(1, 2)) * inverse * score
    growth = path.log_sizes[1:] - path.log_sizes[0]
    print(f"d = {d}: largest growth of log tr {growth.max():.0f}")
    assert (growth <= rate * path.times[1:, None] + np.log(d) + 0.1).all()


@pytest.mark.parametrize("d", [2, 3, 4])
def test_softmax_blows_up_when_its_closed_form_says_so_and_only_then(d):
    Q, K, _, starts = random_stack(2, d, 67)
    Q[::3] = -K[::3] + 0.03 * Q[::3]  # some that do not blow up, or late
    exact = np.array([
        identity_value_blowup_time(X, k.T @ q) for X, q, k in zip(starts.factor, Q, K, strict=True)
    ])  # fmt: skip
    path = tp.flow(starts, tp.Softmax(Q, K, np.eye(d)), [0.0, 25.0, 50.0])
    blown = exact <= 50
    assert 10 <= blown.sum() < 67
    assert np.array_equal(path.stop == "blow-up", blown)
    assert np.abs(path.blowup_time[blown] / exact[blown] - 1).max() <= 1e-8
    assert (path.stop[~blown] == "time").all()


# --- blow-up of particles ------------------------------------------------------------------------


@pytest.mark.parametrize(("x", "a", "v"), [(1.0, 1.0, 1.0), (0.3, 2.0, 0.5), (-2.0, 0.7, 1.3)])
def test_linear_attention_of_one_token_blows_up_in_time(x, a, v):
    path = tp.flow(tp.Particles([[x]]), tp.Linear([[a]], [[1.0]], [[v]]), 1e3)
    assert path.stop == "blow-up"
    assert path.blowup_time == pytest.approx(1 / (2 * v * a * x**2), rel=1e-8)
    early = 0.9 * path.blowup_time
    assert path(early).points[0, 0] == pytest.approx(x / np.sqrt(1 - 0.9), rel=1e-8)


@pytest.mark.parametrize(("x", "a", "v"), [(1.0, 1.0, 1.0), (0.3, 2.0, 0.5), (-0.8, 0.7, 1.3)])
def test_unnormalised_attention_of_one_token_blows_up_in_time(x, a, v):
    """dx/dt = v x exp(a x^2): t* is the integral of 1/(dx/dt), exponential integral E1."""
    path = tp.flow(tp.Particles([[x]]), tp.Unnormalized([[a]], [[1.0]], [[v]]), 1e3)
    exact = integrate.quad(
        lambda y: np.exp(-a * y**2) / (v * y), abs(x), np.inf, epsabs=0, epsrel=1e-12
    )[0]
    assert exact == pytest.approx(special.exp1(a * x**2) / (2 * v), rel=1e-10)
    assert path.stop == "blow-up"
    assert path.blowup_time == pytest.approx(exact, rel=1e-8)


def test_tokens_that_are_attracted_do_not_blow_up():
    path = tp.flow(tp.Particles([[1.0], [-0.5]]), tp.Linear([[1.0]], [[1.0]], [[-1.0]]), 1e3)
    assert path.stop == "time"
    # x' = -m x with m the second moment, m' = -2 m^2.
    assert path.final.points[0, 0] == pytest.approx(1 / np.sqrt(1 + 2 * 0.625e3), rel=1e-8)


# --- stacks --------------------------------------------------------------------------------------


def stack_of_parameters(seed, cases, d):
    rng = np.random.default_rng(seed)
    parameters = [head_parameters(rng, d) for _ in range(cases)]
    Q, K, V = (np.array(M) for M in zip(*parameters, strict=True))
    return (
        Q,
        K,
        V,
        tp.Gaussian(rng.normal(size=(cases, d)), factor=0.5 * rng.normal(size=(cases, d, d))),
    )


@pytest.mark.parametrize("name", ["softmax", "l2", "sinkhorn", "multi-head"])
def test_a_stack_with_parameters_in_time_is_its_cases(name):
    Q, K, V, starts = stack_of_parameters(0, 4, 2)
    values = V, np.swapaxes(V, 1, 2)
    times = [0.0, 0.3, 0.6]

    def make(q, k, v):
        if name == "multi-head":
            return tp.MultiHead([tp.Softmax(q, k, v), tp.L2(k, q, v)])
        return ROWS[name].make(q, k, v)

    path = tp.flow(starts, lambda t: make(Q, K, np.cos(3 * t) * values[0]), times)
    for i in range(4):
        single = tp.flow(
            starts[i], lambda t, i=i: make(Q[i], K[i], np.cos(3 * t) * values[0][i]), times
        )
        assert np.abs(single.means - path.means[:, i]).max() <= 1e-9
        assert np.abs(single.covariances - path.covariances[:, i]).max() <= 1e-9
        assert single.stop == path.stop[i]
        assert np.abs(single(0.45).covariance - path(0.45).covariance[i]).max() <= 1e-9


def test_heads_on_a_stack_are_its_cases():
    Q, K, V, starts = stack_of_parameters(1, 5, 3)

    def make(q, k, v):
        return tp.MultiHead([tp.Softmax(q, k, v), tp.L2(k, q, v), tp.Sinkhorn(q, k, -v, 0.5)])

    path = tp.flow(starts, make(Q, K, V), 1.0)
    for i in range(5):
        single = tp.flow(starts[i], make(Q[i], K[i], V[i]), 1.0)
        assert single.stop == path.stop[i]
        assert single.end == pytest.approx(path.end[i], rel=1e-8)
        early = path.times < 0.9 * single.end
        gap = np.abs(single.covariances[early] - path.covariances[early, i]).max()
        assert gap <= 1e-8 * np.abs(single.covariances[early]).max()


def test_the_measure_between_records_is_as_exact_as_at_records():
    Q, K, V, starts = stack_of_parameters(2, 4, 2)
    rng = np.random.default_rng(3)
    tokens = tp.Particles(rng.normal(size=(7, 2)), rng.dirichlet(np.ones(7)))
    for attention in (tp.L2(Q, K, V), tp.Sinkhorn(Q, K, V)):
        path = tp.flow(starts, attention, 1.0)
        for t in (0.1234, 0.5001, 0.98):
            exact = tp.flow(starts, attention, t).final
            assert np.abs(path(t).mean - exact.mean).max() <= 1e-9
            assert np.abs(path(t).covariance - exact.covariance).max() <= 1e-9
    for name, row in ROWS.items():
        if not row.masked:
            attention = row.make(Q[0], K[0], V[0])
            path = tp.flow(tokens, attention, 0.1)
            exact = tp.flow(tokens, attention, 0.0777).final.points
            assert np.abs(path(0.0777).points - exact).max() <= 1e-9, name


# 300 cases are the benchmark's (benchmarks/stack_of_problems.py); LSODA runs on 20 of them.
@pytest.mark.parametrize("name", ["softmax", "l2"])
def test_a_stack_of_300_problems_agrees_with_lsoda(name):
    """K = -Q of rank 2, V = I, d = 5, to t = 1e6, in one call; softmax against its closed form."""
    rng = np.random.default_rng(0)
    Q, H = rng.normal(size=(300, 2, 5)), rng.normal(size=(300, 5, 5))
    path = tp.flow(
        tp.Gaussian(np.zeros((300, 5)), factor=H),
        HEADS[name](Q, -Q, np.eye(5)),
        [0.0, 1e6],
        rtol=1e-8,
    )
    assert set(path.stop) == {"time"}
    ends, gaps = path.final.covariance, []
    for i in rng.choice(300, size=20, replace=False):
        A, start = -Q[i].T @ Q[i], H[i] @ H[i].T

        def derivative(_, flat, A=A):
            S = flat.reshape(5, 5)
            B = S @ A if name == "softmax" else 2 * np.linalg.solve(np.eye(5) - 2 * S @ A, S @ A)
            return (B @ S + S @ B.T).ravel()

        size = np.trace(start)
        done = integrate.solve_ivp(
            derivative, (0, 1e6), start.ravel(), "LSODA", rtol=1e-11, atol=1e-15 * size
        )
        single = done.y[:, -1].reshape(5, 5)
        gaps.append(np.abs(ends[i] - single).max() / np.abs(single).max())
    print(f"{name}: largest relative difference from LSODA {max(gaps):.1e}")
    assert max(gaps) <= 1e-6
    if name == "softmax":
        exact = np.array([
            identity_value_covariance(h, -q.T @ q, 1e6) for h, q in zip(H, Q, strict=True)
        ])  # fmt: skip
        size = np.abs(exact).max(axis=(1, 2))
        assert (np.abs(ends - exact).max(axis=(1, 2)) <= 1e-6 * size).all()


# --- the sphere ----------------------------------------------------------------------------------


def on_sphere(rng, n, d, s=None):
    x = rng.normal(size=(n, d))
    return tp.Particles(x / np.linalg.norm(x, axis=1)[:, None], None, s, tp.Sphere())


def unit_error(points):
    return np.abs(np.linalg.norm(points, axis=-1) - 1).max()


@pytest.mark.parametrize("d", [2, 3, 5])
def test_flow_on_the_sphere_agrees_with_lsoda(d):
    rng = np.random.default_rng(d)
    Q, K, V = head_parameters(rng, d, size=1.5)
    tokens = on_sphere(rng, 8, d)

    def derivative(_, flat):
        y = flat.reshape(8, d)
        weights = np.exp(y @ Q.T @ K @ y.T)
        v = weights @ y @ V.T / weights.sum(axis=1)[:, None]
        return (v - (v * y).sum(axis=1)[:, None] * y).ravel()

    times = np.linspace(0, 5, 11)
    path = tp.flow(tokens, tp.Softmax(Q, K, V), times)
    done = integrate.solve_ivp(
        derivative, (0, 5), tokens.pack(), "LSODA", t_eval=times, rtol=1e-12, atol=1e-13
    )
    assert np.abs(done.y.T.reshape(11, 8, d) - path.points).max() <= 1e-8
    assert unit_error(path.points) <= 1e-15
    assert unit_error(path.final.points) <= 1e-15
    assert max(unit_error(path(t).points) for t in (0.01, 0.7, 3.3, 5.0)) <= 1e-15


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if not row.masked])
def test_layers_on_the_sphere_stay_on_it_and_converge_to_the_flow(name):
    rng = np.random.default_rng(4)
    attention = ROWS[name].make(*head_parameters(rng, 3))
    tokens = on_sphere(rng, 6, 3)
    exact = tp.flow(tokens, attention, 1.0).final.points
    errors = []
    for depth in (50, 100, 200):
        path = tp.layers(tokens, attention, depth, 1 / depth)
        assert unit_error(path.points) <= 1e-15
        assert unit_error(path(0.505).points) <= 1e-15
        errors.append(np.abs(path.final.points - exact).max())
    assert np.abs(np.diff(np.log2(errors)) + 1).max() <= 0.1


@pytest.mark.parametrize("name", ["softmax", "l2", "sinkhorn"])
def test_tokens_in_a_half_space_cluster_to_one_point(name):
    rng = np.random.default_rng(5)
    x = on_sphere(rng, 12, 3).points
    x = x * np.sign(x[:, :1])
    tokens = tp.Particles(x, space=tp.Sphere())
    path = tp.flow(tokens, ROWS[name].make(np.eye(3), np.eye(3), np.eye(3)), 200.0)
    end = path.final.points
    spread = [np.abs(points - points[0]).max() for points in (x, end)]
    assert spread[0] > 1
    assert spread[1] <= 1e-8
    assert end[0, 0] > 0


def test_an_attention_on_the_sphere_may_depend_on_time_and_wants_units():
    rng = np.random.default_rng(6)
    tokens, head = on_sphere(rng, 5, 3), tp.Softmax(*head_parameters(rng, 3))
    fixed = tp.flow(tokens, head, 1.0)
    called = tp.flow(tokens, lambda t: head, 1.0)
    assert np.abs(fixed.final.points - called.final.points).max() <= 1e-8
    assert unit_error(called.final.points) <= 1e-15
    with pytest.raises(ValueError, match="points: tokens on the sphere must have norm 1"):
        tp.Particles(tokens.points * [1.0, 1.0, 1.01], space=tp.Sphere())


def test_a_sphere_puts_its_tokens_there_and_takes_the_tangential_part():
    rng, s = np.random.default_rng(7), np.arange(5)
    tokens, head = on_sphere(rng, 5, 3), tp.Softmax(*head_parameters(rng, 3))
    longer = tokens.unpack(3 * tokens.pack())
    assert head.matrix(longer) == pytest.approx(head.matrix(tokens), rel=1e-12)
    assert head(longer)(tokens.points) == pytest.approx(head(tokens)(tokens.points), rel=1e-12)
    u = head(tokens)(tokens.points)
    wanted = u - (u * tokens.points).sum(axis=1)[:, None] * tokens.points
    assert tokens.velocities(head(tokens)) == pytest.approx(wanted, abs=1e-14)
    causal, placed = tp.Masked(head), tp.Particles(tokens.points, None, s, tp.Sphere())
    u = causal(placed)(tokens.points, s)
    wanted = u - (u * tokens.points).sum(axis=1)[:, None] * tokens.points
    assert placed.velocities(causal(placed)) == pytest.approx(wanted, abs=1e-14)
    with pytest.raises(TypeError, match="unexpected keyword argument 'space'"):
        tp.Gaussian(np.zeros(3), factor=np.eye(3), space=tp.Sphere())


# --- the progress bar ----------------------------------------------------------------------------


@pytest.mark.parametrize("time", [1.0, np.inf])
def test_a_progress_bar_goes_to_stderr_and_changes_nothing(capsys, time):
    attention = tp.Softmax(np.eye(2), np.eye(2), np.eye(2))
    start = tp.Gaussian(
        np.zeros((3, 2)), factor=np.array([1.0, 0.5, 0.4])[:, None, None] * np.eye(2)
    )
    quiet = tp.flow(start, attention, time)
    assert capsys.readouterr() == ("", "")
    shown = tp.flow(start, attention, time, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "flow: 100%" in err
    assert np.array_equal(quiet.states, shown.states, equal_nan=True)
    assert np.array_equal(quiet.end, shown.end)
