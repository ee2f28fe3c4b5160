"""The histograms of ranks: the split along ker Q, its stiff flow, the counts, the drawing."""

import contract
import numpy as np
import pytest
import yaml
from matplotlib.figure import Figure
from scipy import integrate as scipy_integrate
from scipy import linalg

import transpde as tp
from transpde import figures, theory
from transpde.figures import limit_ranks as ranks
from transpde.figures import projected_euler
from transpde.figures.kernel_split import split

# --- the split along the kernel of Q -------------------------------------------------------------


def random_split(seed, d, m, kind="Softmax", runs=3):
    Q, V, X = ranks.random_pairs(d, m, runs, seed)
    V = V / np.linalg.norm(V, axis=(1, 2), keepdims=True) + 0.3 * np.eye(d)
    return Q, V, X, ranks.kernel_split(kind, Q, V, X)


@pytest.mark.parametrize("kind", ["Softmax", "L2"])
def test_split_flow_is_that_of_the_whole_covariance(kind):
    for d, m in ((4, 2), (3, 3)):
        Q, V, X, problem = random_split(d, d, m, kind)
        times = np.append(0.0, np.geomspace(0.1, 10.0, 3))
        found = problem.covariances(problem.flow(times, 1e-9))
        stack = tp.Gaussian(np.zeros((3, d)), factor=X)
        path = tp.flow(stack, ranks.attention(kind, Q, V), times, rtol=1e-9)
        size = np.abs(path.covariances).max(axis=(-2, -1), keepdims=True)
        np.testing.assert_allclose(found / size, path.covariances / size, atol=3e-7)


def test_split_holds_the_part_that_does_not_move():
    """F F^T is the limit for V = I, and q F = 0."""
    Q, V, X, problem = random_split(5, 5, 2)
    fixed = problem.covariances(0 * problem.seen)
    attention = ranks.attention("Softmax", Q, np.broadcast_to(np.eye(5), V.shape))
    limit = theory.limit_covariance(attention, tp.Gaussian(np.zeros((3, 5)), factor=X))
    np.testing.assert_allclose(fixed, limit, atol=1e-10)
    assert np.abs(Q @ fixed).max() < 1e-10


def test_split_flow_has_the_closed_form_of_the_identity():
    Q, V, X, _ = random_split(6, 5, 2)
    value = np.broadcast_to(np.eye(5), V.shape)
    times = np.append(0.0, np.geomspace(1.0, 1e6, 4))
    problem = ranks.kernel_split("Softmax", Q, value, X)
    found = problem.covariances(problem.flow(times, 1e-9))
    for case in range(3):
        attention = ranks.attention("Softmax", Q[case], value[case])
        exact = theory.closed_form_covariance(
            attention, tp.Gaussian(np.zeros(5), factor=X[case]), times
        )
        np.testing.assert_allclose(found[:, case], exact, atol=1e-7 * np.abs(exact).max())


def exact_one_query(q, V, S, tau):
    """Return Sigma and t where the clock with dtau = (q z) dt shows tau, for one query q.

    With z(tau) = exp(-V tau) S q the covariance is S - (z(0) z(0)^T - z z^T) / (q z(0)).
    """
    z0 = S @ q

    def seen(s):
        return q @ linalg.expm(-V * s) @ z0

    t, _ = scipy_integrate.quad(lambda s: q @ z0 / seen(s) ** 2, 0, tau, epsabs=0, epsrel=1e-12)
    z = linalg.expm(-V * tau) @ z0
    return S - (np.outer(z0, z0) - np.outer(z, z)) / (q @ z0), t


def test_one_query_has_an_exact_solution_for_every_value():
    Q, V, X, _ = random_split(7, 4, 1)
    for case in range(3):
        q = Q[case, 0] / 4**0.25
        for tau in (0.2,):
            exact, t = exact_one_query(q, V[case], X[case] @ X[case].T, tau)
            alone = ranks.kernel_split("Softmax", Q[[case]], V[[case]], X[[case]])
            found = alone.covariances(alone.flow(np.array([0.0, t]), 1e-10)[-1])[0]
            np.testing.assert_allclose(found, exact, atol=1e-8 * np.abs(exact).max())


def test_example_of_the_chapter_has_another_limit_by_the_exact_solution():
    """q z vanishes at a finite clock: the limit is S - (z0 z0^T - z z^T)/(q z0) there."""
    q, V = np.array([1.0, 0.0]), np.array([[2.0, 1.9], [1.9, 2.0]])
    S = np.array([[1.0, 2.0], [2.0, 5.0]])
    slow, fast = 0.1, 3.9  # V has the eigenvectors (1, -1) and (1, 1)
    tau = np.log(3) / (fast - slow)  # (q z) = 1.5 exp(-fast tau) - 0.5 exp(-slow tau) = 0
    z = linalg.expm(-V * tau) @ S @ q
    limit = S - (np.outer(S @ q, S @ q) - np.outer(z, z)) / (q @ S @ q)
    np.testing.assert_allclose(q @ limit, 0, atol=1e-14)
    assert limit[1, 1] == pytest.approx(1.9438, abs=5e-5)
    head = tp.Softmax(q[None, None], -q[None, None], V[None])
    problem = split(head, np.linalg.cholesky(S)[None])
    path = problem.flow(np.array([0.0, 1e8]), 1e-9)
    np.testing.assert_allclose(problem.covariances(path[-1])[0], limit, atol=1e-7)


def test_eigenvalues_keep_their_digits_over_thirty_decades():
    _, _, _, problem = random_split(9, 5, 2)
    np.testing.assert_allclose(
        np.exp(problem.log_eigenvalues(problem.seen)),
        np.linalg.eigvalsh(problem.covariances(problem.seen))[:, ::-1],
        rtol=1e-9,
    )
    small = problem.seen.copy()
    small[:, :2] *= [1e-6, 1e-15]
    logs = problem.log_eigenvalues(small)
    size = np.linalg.det(problem.free) ** 2 * np.linalg.det(small[:, :2]) ** 2
    np.testing.assert_allclose(logs.sum(axis=1), np.log(size), rtol=1e-7)
    assert (np.diff(logs, axis=1) < 0).all()
    assert logs[:, -1].max() < -60


@pytest.mark.parametrize("name", ["histograms_trad", "histograms_L2"])
@pytest.mark.parametrize("dimension", [3, 4, 5])
def test_lsoda_agrees_on_a_sample_of_runs(name, dimension):
    """On the covariance itself, by equations written here."""
    kind, cases, times = ranks.KINDS[name], [0, 41], np.array([0.0, 1.0, 30.0])
    Q, V, X = (part[cases] for part in ranks.script_pairs(name, "random", dimension))
    problem = ranks.kernel_split(kind, Q, V, X)
    found = problem.covariances(problem.flow(times, 1e-8))
    for i in range(len(cases)):
        A = -Q[i].T @ Q[i] / dimension**0.5

        def speed(_, flat, A=A, q=Q[i], value=V[i]):
            S = flat.reshape(dimension, dimension)
            response = A
            if kind == "L2":
                response = np.linalg.solve(np.eye(dimension) + 2 * S @ q.T @ q, 2 * S @ A)
                B = value @ response
            else:
                B = value @ S @ response
            return (B @ S + S @ B.T).ravel()

        S0 = (X[i] @ X[i].T).ravel()
        exact = scipy_integrate.solve_ivp(
            speed, (0, times[-1]), S0, method="LSODA", t_eval=times, rtol=1e-12, atol=1e-14
        ).y.T.reshape(-1, dimension, dimension)
        np.testing.assert_allclose(found[:, i], exact, atol=1e-6 * np.abs(exact[0]).max(), rtol=0)


# --- the figures ---------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["histograms_trad", "histograms_L2"])
def made(request, figure_data):
    return request.param, figure_data(request.param)


def test_starts_and_weights_are_the_first_draws_of_the_scripts():
    Q, V, X = ranks.script_pairs("histograms_L2", "random", 4)
    draws = np.random.RandomState(40)
    draws.normal(size=(100, 1, 3))
    np.testing.assert_array_equal(Q[0], draws.normal(size=(2, 4)))
    draws = np.random.RandomState(27)
    draws.normal(size=(100, 3, 3))
    G = draws.normal(size=(4, 4))
    np.testing.assert_allclose(V[0], G.T @ G, rtol=1e-14)
    np.testing.assert_array_equal(X[0], np.random.RandomState(41).normal(size=(4, 4)))
    assert (ranks.script_pairs("histograms_trad", "identity", 5)[1] == np.eye(5)).all()


def test_every_run_is_reported_and_every_decided_rank_is_predicted(made):
    name, found = made
    held = found.arrays["ranks"]
    assert held.shape == (2, 3, 100)
    for column, d in enumerate((3, 4, 5)):
        assert set(np.unique(held[:, column])) <= {-1, d - d // 2}
    assert (held[0] >= 0).all()
    undecided = np.array(found.numbers["undecided"])
    np.testing.assert_array_equal(undecided, (held < 0).sum(axis=-1))
    assert np.array_equal(undecided[1], [4, 7, 6] if name == "histograms_trad" else [4, 6, 4])
    assert np.array(found.numbers["counts"]).sum() + undecided.sum() == 600


@pytest.mark.parametrize("name", ["histograms_trad", "histograms_L2"])
def test_ranks_do_not_depend_on_the_tolerance(name):
    problem = ranks.kernel_split(ranks.KINDS[name], *ranks.script_pairs(name, "random", 3))
    coarse, fine = (ranks.decide(problem, rtol) for rtol in (1e-6, 1e-9))
    np.testing.assert_array_equal(coarse.ranks, fine.ranks)
    np.testing.assert_array_equal(coarse.horizons, fine.horizons)


def test_bounds_of_undecided_runs_hold_the_prediction(made):
    _, found = made
    for (low, high), d in zip(found.numbers["undecided_bounds"], (3, 4, 5) * 2, strict=True):
        assert low <= d - d // 2 <= high


def test_numbers_that_the_page_prints(made):
    name, found = made
    numbers = found.numbers
    assert numbers["runs"] == 600
    assert numbers["predicted"] == [2, 2, 3]
    assert max(numbers["distance_from_closed_limit"]) < 1e-3
    assert numbers["lyapunov_rises"] == 0
    assert numbers["smallest_that_stays"] < 1e-5
    for i, row in enumerate(ranks.SCRIPT_COUNTS[name]):
        for held, script in zip(found.arrays["script_counts"][i], row, strict=True):
            np.testing.assert_array_equal(held, [*script, *[0] * (6 - len(script))])


def test_exact_limits_above_the_threshold_are_nearly_the_counts_of_the_script():
    """For L2 and V = I the script converges well: its counts are those of sizes, not of ranks."""
    for d, script in zip((3, 4, 5), ranks.SCRIPT_COUNTS["histograms_L2"][0], strict=True):
        problem = ranks.kernel_split("L2", *ranks.script_pairs("histograms_L2", "identity", d))
        exact = ranks._above(problem)[: len(script)]
        assert sum(exact) == 100
        assert np.abs(np.subtract(exact, script)).sum() <= 2


def test_limit_rank_for_other_numbers_of_rows():
    for d in (4, 6):
        for m in range(1, d):
            Q, V, X = ranks.random_pairs(d, m, 3, seed=m)
            found = ranks.decide(
                ranks.kernel_split("L2", Q, np.broadcast_to(np.eye(d), V.shape), X), 1e-5
            )
            np.testing.assert_array_equal(found.ranks, d - m)
    found = ranks.decide(ranks.kernel_split("Softmax", *ranks.random_pairs(5, 4, 5, seed=0)), 1e-5)
    assert ((found.at_least <= 1) & (found.at_most >= 1)).all()
    assert (found.ranks == 1).sum() >= 3


def test_drawing_has_all_counts(made):
    name, found = made
    figure = figures.draw(name, found, Figure())
    assert len(figure.axes) == 6
    for i, ax in enumerate(figure.axes):
        d, heights = (
            (3, 4, 5)[i % 3],
            [bar.get_height() for bar in ax.patches if bar.get_width() < 0.9],
        )
        script = found.arrays["script_counts"][i // 3, i % 3]
        held = found.arrays["ranks"][i // 3, i % 3]
        ours = [(held == rank).sum() for rank in range(d + 1)]
        theirs = script[: d + 1]
        assert heights == [*ours, *theirs, (held < 0).sum()]


def test_counts_of_the_script_are_those_of_the_ledger_of_the_peer():
    peer = yaml.safe_load((contract.ROOT / "book" / "peer.yml").read_text(encoding="utf-8"))
    for name, (identity, random) in ranks.SCRIPT_COUNTS.items():
        assert peer["figures"][name]["counts"] == {"identity": identity, "random": random}
        for value in ranks.VALUES:
            assert (
                tuple(peer["figures"][name]["step"][value]) == projected_euler.STEPS[name, value]
            )


# --- the scripts' scheme -------------------------------------------------------------------------


def test_projected_euler_is_of_order_one_where_it_stays_in_the_cone():
    Q, V, X, problem = random_split(3, 3, 1, "L2")
    exact = problem.covariances(problem.flow(np.array([0.0, 0.2]), 1e-10)[-1])
    errors = []
    for steps in (100, 200):
        found = projected_euler.projected_steps(
            "L2", Q, V, X @ np.swapaxes(X, 1, 2), 0.2 / steps, steps
        )
        assert not found.clipped.any()
        assert not found.diverged.any()
        errors.append(np.abs(found.covariances - exact).max())
    assert errors[0] / errors[1] == pytest.approx(2.0, rel=0.1)


def test_projected_euler_loses_ranks_and_diverges_where_the_flow_does_not():
    for name, value, d, left, lost in (
        ("histograms_trad", "random", 4, 95, 60),
        ("histograms_L2", "random", 5, 85, 85),
    ):
        found = projected_euler.projected_runs(name, value, d)
        assert found["left_the_cone"] >= left
        assert found["lost_rank"] >= lost
        assert (found["diverged"] > 20) == (name == "histograms_trad")
    calm = projected_euler.projected_runs("histograms_L2", "identity", 3)
    assert calm["left_the_cone"] == calm["lost_rank"] == calm["diverged"] == 0
    assert calm["relative_error"] < 1e-3
