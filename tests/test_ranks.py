"""The rank of a limit by the decay of eigenvalues: exact solutions, and what is undecided."""

import numpy as np
import pytest
from problems import orthogonal

import transpde as tp
from transpde import theory
from transpde.spectra import decide_decay, decide_rank

TIMES = np.append(0.0, np.geomspace(1.0, 1e6, 13))


def law(*eigenvalues, times=TIMES, **options):
    """Decide from eigenvalues given as functions of depth."""
    logs = np.log(np.stack([f(times) for f in eigenvalues], axis=-1))
    return decide_decay(times, logs, **options)


def exact_path(times, covariances):
    """The trajectory of a Gaussian whose covariance (T, d, d) is known."""
    gaussians = tp.Gaussian.from_covariance(np.zeros(covariances.shape[:2]), covariances)
    final = gaussians[-1]
    return tp.Trajectory(times, gaussians.pack(), "time", times[-1], np.inf, final, None)


@pytest.mark.parametrize("head", [tp.Softmax, tp.L2, tp.Sinkhorn])
def test_rank_of_the_flow_is_dimension_minus_rank_of_query(head):
    rng = np.random.default_rng(0)
    for d, k in ((4, 3), (5, 2)):
        Q = rng.normal(size=(k, d))
        X = np.array([orthogonal(rng, d) * rng.uniform(0.5, 2, size=d) for _ in range(3)])
        stack = tp.Gaussian(np.zeros((3, d)), factor=X)
        found = decide_rank(tp.flow(stack, head(Q, -Q, np.eye(d)), TIMES, rtol=1e-8))
        assert found.decided.all()
        np.testing.assert_array_equal(found.rank, d - k)
        assert found.stays[:, : d - k].all()
        assert found.vanishes[:, d - k :].all()


def test_rank_of_closed_forms_is_that_of_their_limits():
    rng = np.random.default_rng(1)
    for d in (3, 5, 8):
        for k in range(1, d + 1):
            Q, X = rng.normal(size=(k, d)), 3 * orthogonal(rng, d)
            attention, start = tp.Softmax(Q, -Q, np.eye(d)), tp.Gaussian(np.zeros(d), factor=X)
            closed = theory.closed_form_covariance(attention, start, TIMES)
            found = decide_rank(exact_path(TIMES, closed))
            limit = theory.limit_covariance(attention, start)
            assert found.decided
            assert found.rank == d - k == np.linalg.matrix_rank(limit, tol=1e-8)


def test_query_of_full_rank_collapses_to_zero():
    start = tp.Gaussian([0.0, 0.0], factor=[[1.0, 0.5], [0.0, 2.0]])
    Q = np.array([[1.0, 0.3], [0.0, 0.7]])
    found = decide_rank(tp.flow(start, tp.Softmax(Q, -Q, np.array([[2.0, 1], [1, 2]])), TIMES))
    assert (found.rank, found.at_most) == (0, 0)
    np.testing.assert_allclose(found.slopes, 1.0, atol=1e-3)


def test_other_values_change_the_limit_but_not_its_rank():
    Q, V = np.array([[1.0, 0.0]]), np.array([[2.0, 1.9], [1.9, 2.0]])
    start = tp.Gaussian.from_covariance([0.0, 0.0], [[1.0, 2.0], [2.0, 5.0]])
    path = tp.flow(start, tp.Softmax(Q, -Q, V), TIMES)
    found = decide_rank(path)
    assert found.rank == 1
    assert path.final.covariance[1, 1] == pytest.approx(1.9438, abs=1e-4)
    assert found.slopes[-1, 1] > 1.5  # its variance along Q vanishes as 1/t^2


def test_exponential_decay_vanishes():
    found = law(lambda t: 1 + 0 * t, lambda t: np.exp(-np.minimum(t / 1e4, 500.0) - 1e-3 * t**0.5))
    assert found.rank == 1
    assert found.slopes[-1, 1] > 10


def test_zero_eigenvalues_have_vanished():
    Q = np.array([[1.0, 0.0, 0.0]])
    flat = tp.Gaussian(np.zeros(3), factor=[[1.0, 0.2], [0.0, 1.0], [0.0, 0.5]])
    for factor in (flat.factor, flat.factor @ [[1.0, 0.0, 0.6], [0.0, 1.0, 0.8]]):
        path = tp.flow(
            tp.Gaussian(np.zeros(3), factor=factor), tp.Softmax(Q, -Q, np.eye(3)), TIMES
        )
        found = decide_rank(path)
        assert found.rank == 1
        assert np.isnan(found.slopes[:, 2]).all()
        assert np.isneginf(found.log_eigenvalues[:, 2]).all()
    point = tp.Gaussian(np.zeros(2), factor=np.zeros((2, 2)))
    assert decide_rank(tp.flow(point, tp.Softmax(*[np.eye(2)] * 3), TIMES)).rank == 0


UNDECIDED = {
    "square root": lambda t: (1 + t) ** -0.5,
    "logarithm": lambda t: 1 / np.log(10 + t),
    "slow drift": lambda t: (1 + t) ** -0.02,
    "growth": lambda t: 1 + t,
    "slow growth": lambda t: (1 + t) ** 0.05,
    "early stop": lambda t: 1 / (1 + t / 1e6),
    "a decay that only begins": lambda t: 1 / (1 + t / 1e10),
    "a small limit in sight": lambda t: 1e-8 + 1 / (1 + t),
    "a last jump": lambda t: np.where(t < 9e5, 1.0, 0.5),
    "a pause": lambda t: np.where(t < 4e5, 1 / (1 + t), 1 / 4e5),
}


@pytest.mark.parametrize("kind", UNDECIDED)
def test_what_is_undecided(kind):
    found = law(lambda t: 2 + 1 / (1 + t), UNDECIDED[kind])
    assert not found.decided
    assert (found.rank, found.at_least, found.at_most) == (-1, 1, 2)
    np.testing.assert_array_equal(found.stays, [True, False])
    assert not found.vanishes.any()


def test_an_end_too_early_is_undecided_and_a_later_one_decides():
    Q, value = np.array([[1e-3, 0.0]]), np.eye(2)
    start = tp.Gaussian(np.zeros(2), factor=np.eye(2))
    attention = tp.Softmax(Q, -Q, value)
    for end, rank in ((1e4, -1), (1e6, -1), (1e8, 1), (1e10, 1)):
        times = np.append(0.0, np.geomspace(end / 1e4, end, 9))
        assert decide_rank(tp.flow(start, attention, times)).rank == rank, end


def test_decays_that_the_model_cannot_tell_from_limits():
    """Stated in the docstring: a decay that begins long after the end, a limit that small."""
    assert law(lambda t: 1 / (1 + t / 1e14)).rank == 1
    assert law(lambda t: 1e-14 + 1 / (1 + t)).rank == 0


def test_decided_and_wrong_where_two_changes_meet():
    """Stated in the docstring: the decay to zero begins ten times later."""
    P = np.array([[1e4, np.sqrt(0.9e4)], [np.sqrt(0.9e4), 1.0]])
    start = tp.Gaussian.from_covariance([0.0, 0.0], np.linalg.inv(P))
    head = tp.Softmax(Q := np.diag([1.0, np.sqrt(1 / 2e7)]), -Q, np.eye(2))
    np.testing.assert_array_equal(theory.limit_covariance(head, start), 0)
    wrong = decide_rank(tp.flow(start, head, TIMES, rtol=1e-10))
    later = decide_rank(tp.flow(start, head, np.append(0.0, np.geomspace(1, 1e10, 21))))
    assert (wrong.rank, later.rank) == (1, 0)


def test_decided_and_wrong_above_a_limit_after_a_fast_decay():
    """Stated in the docstring: half of the last value remains, or a ninth."""
    assert law(lambda t: 1e-12 + (1 + t) ** -2.0).rank == 0
    assert law(lambda t: 1e-12 + (1 + t) ** -2.0, times=TIMES * 100).rank == 1
    assert law(lambda t: 1e-6 + 1 / (1 + t)).rank == -1  # after 1/t it is seen


def test_faster_and_slower_approaches_of_a_limit():
    assert law(lambda t: 1 - 0.5 / (1 + t)).rank == 1  # from below
    assert law(lambda t: 1 + np.exp(-t)).rank == 1
    assert law(lambda t: 1 + (1 + t) ** -0.5).rank == 1  # its slope falls threefold a decade
    assert law(lambda t: 1 + (1 + t) ** -0.1).rank == -1
    assert law(lambda t: np.log(10 + t) / (1 + t)).rank == 0


def test_a_stack_holds_decided_undecided_and_ended_cases():
    A, start = np.eye(2), tp.Gaussian(np.zeros((3, 2)), factor=np.tile(np.eye(2), (3, 1, 1)))
    query = np.array([-np.eye(2), np.diag([-1e-5, 0.0]), np.eye(2)])  # the last blows up
    path = tp.flow(start, tp.Softmax(query, A, A), TIMES)
    found = decide_rank(path)
    np.testing.assert_array_equal(found.rank, [0, -1, -1])
    np.testing.assert_array_equal(found.decided, [True, False, False])
    np.testing.assert_array_equal(found.at_most, [0, 2, 2])
    assert np.isnan(found.slopes[:, 2]).all()


def test_eigenvalues_and_slopes_are_those_of_the_covariance():
    Q = np.array([[1.0, -0.5, 0.2]])
    start = tp.Gaussian(np.zeros(3), factor=np.random.default_rng(3).normal(size=(3, 3)))
    path = tp.flow(start, tp.Softmax(Q, -Q, np.eye(3)), TIMES)
    found = decide_rank(path)
    np.testing.assert_allclose(found.depths, [1e4, 1e5, 1e6])
    values = np.linalg.eigvalsh(path.covariances[[9, 11, 13]])[:, ::-1]
    np.testing.assert_allclose(np.exp(found.log_eigenvalues), values, rtol=1e-8)
    np.testing.assert_allclose(found.slopes[:, 2], [1.0, 1.0], atol=1e-3)
    assert not found.slopes.flags.writeable


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 1.0}, "window: must be more than 1"),
        ({"slack": 0.5}, "slack: must be less than 1/2"),
        ({"noise": 0.0}, "noise: must be a positive finite number"),
        ({"window": 1e4}, "needs recorded times near its last one"),
        ({"times": np.array([0.0, 1.0])}, "Record geometric times"),
        ({"times": np.array([1.0, 2.0])}, "must start at 0"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        law(lambda t: 1 / (1 + t), **options)


def test_bad_paths():
    tokens = tp.flow(tp.Particles([[1.0]]), tp.Softmax([[1.0]], [[1.0]], [[1.0]]), 1.0)
    with pytest.raises(TypeError, match="path: must be the trajectory of a Gaussian"):
        decide_rank(tokens)
    with pytest.raises(TypeError, match="got ndarray"):
        decide_rank(np.eye(2))
    with pytest.raises(ValueError, match=r"log_eigenvalues: must have shape \(14, ..., d\)"):
        decide_decay(TIMES, np.zeros(14))
