"""Stepping a stack: clocks and ends of its cases, and parameters in time."""

import numpy as np
import pytest
from problems import head_parameters
from scipy import integrate, linalg
from table import GAUSSIAN, ROWS

import transpde as tp
from transpde.ensembles import random_gaussians, random_head

EYE = np.eye(2)

# --- a stack is its cases ------------------------------------------------------------------------


def heads(name, cases, d=2):
    drawn = [head_parameters(np.random.default_rng(60 + i), d) for i in range(cases)]
    return ROWS[name].make(*(np.array(M) for M in zip(*drawn, strict=True)))


STACKABLE = [name for name in GAUSSIAN if ROWS[name].head is not None]


@pytest.mark.parametrize("name", STACKABLE)
def test_a_stack_of_gaussians_with_a_head_each_is_its_cases_in_any_order(name):
    starts, attention = random_gaussians(2, seed=4, scale=0.7, cases=6), heads(name, 6)
    times = np.linspace(0.0, 2.0, 9)
    path = tp.flow(starts, attention, times)
    order = np.array([3, 5, 0, 2, 1, 4])
    turned = tp.flow(starts[order], attention.select((6,), order), times)
    assert np.array_equal(turned.stop, path.stop[order])
    for i in range(6):
        alone = tp.flow(starts[i], attention.select((6,), np.array(i)), times)
        assert alone.stop == path.stop[i] == turned.stop[np.flatnonzero(order == i)[0]]
        assert path.end[i] == pytest.approx(alone.end, rel=1e-9)
        for t in range(len(times)):
            here = path[t].pack()[i]
            if np.isfinite(here).all():
                wanted = alone[t].direction
                assert np.abs(path[t].direction[i] - wanted).max() <= 1e-9
                assert np.abs(turned[t].direction[order == i] - wanted).max() <= 1e-9


@pytest.mark.parametrize("space", [tp.Euclidean(), tp.Sphere()])
@pytest.mark.parametrize("name", ROWS)
def test_a_stack_of_clouds_is_its_cases(name, space):
    rng = np.random.default_rng(7)
    x = rng.normal(size=(3, 5, 2))
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    x = x if space == tp.Sphere() else x * [[[0.3]], [[1.0]], [[0.6]]]
    w = rng.random((3, 5)) + 0.2
    clouds = tp.Particles(x, w / w.sum(axis=-1, keepdims=True), np.arange(5.0), space)
    attention = ROWS[name].make(*head_parameters(rng, 2))
    path = tp.flow(clouds, attention, [0.0, 0.3, 0.7])
    assert path.points.shape == (3, 3, 5, 2)
    for i in range(3):
        alone = tp.flow(clouds[i], attention, [0.0, 0.3, 0.7])
        assert path.stop[i] == alone.stop
        size = np.nanmax(np.abs(alone.points))
        assert np.nanmax(np.abs(path.points[:, i] - alone.points)) <= 1e-9 * size


def test_a_case_that_ends_does_not_disturb_the_others():
    head = tp.Softmax(EYE, EYE, EYE)
    sizes = np.array([0.1, 5.0, 0.2])[:, None, None]
    path = tp.flow(tp.Gaussian(np.zeros((3, 2)), factor=sizes * EYE), head, 1.0)
    pair = tp.flow(tp.Gaussian(np.zeros((2, 2)), factor=sizes[::2] * EYE), head, 1.0)
    assert path.stop.tolist() == ["time", "blow-up", "time"]
    assert np.abs(path.states[:, ::2] - pair.states).max() <= 1e-13


# --- ends ----------------------------------------------------------------------------------------


def test_a_spent_budget_returns_what_was_reached():
    path = tp.flow(tp.Gaussian([0.0, 0.0], factor=EYE), tp.L2(EYE, EYE, -EYE), 50.0, budget=3)
    assert path.stop == "undecided"
    assert 0 < path.end < 50
    reached = path.times <= path.end
    assert np.isfinite(path.log_sizes[reached]).all()
    assert np.isnan(path.log_sizes[~reached]).all()
    whole = tp.flow(tp.Gaussian([0.0, 0.0], factor=EYE), tp.L2(EYE, EYE, -EYE), 50.0)
    assert np.allclose(path.log_sizes[reached], whole.log_sizes[reached], rtol=1e-9)


@pytest.mark.parametrize("v", [0.3, 2.0])
def test_exponential_growth_ends_with_its_rate(v):
    path = tp.flow(tp.Gaussian([0.0], factor=[[1.0]]), tp.L2([[1.0]], [[1.0]], [[v]]), np.inf)
    assert path.stop == "growth"
    assert path.growth_rate == pytest.approx(2 * v, rel=1e-2)
    assert np.isnan(path.growth_power)


def test_a_convergent_flow_without_end_is_stationary():
    head = tp.Softmax([[1.0, 0.0]], [[-1.0, 0.0]], EYE)
    path = tp.flow(tp.Gaussian([0.0, 0.0], factor=[[1.0, 0.0], [0.5, 1.0]]), head, np.inf)
    assert path.stop == "stationary"


@pytest.mark.parametrize("name", ["softmax", "l2", "sinkhorn", "linear"])
@pytest.mark.parametrize("time", [np.inf, 5.0])
def test_random_heads_always_end(name, time):
    """Where they blow up, at the time that LSODA finds on a route of its own."""
    for d, seed in ((2, 0), (2, 5), (3, 1), (3, 3), (5, 2)):
        start = random_gaussians(d, seed=100 + seed)
        head = ROWS[name].make(*random_head(d, seed=seed))
        path = tp.flow(start, head, time, budget=1500)
        assert path.stop in ("time", "blow-up", "stationary", "growth", "undecided")
        if path.stop == "blow-up":
            known = tp.flow(start, head, 2 * path.blowup_time, method="LSODA", budget=20_000)
            assert path.blowup_time == pytest.approx(known.blowup_time, rel=1e-6)


def test_growth_is_seen_before_rounding_hides_it():
    """One axis grows beside another, of which it takes an ever smaller part: scipy's Radau."""
    start, (Q, K, V) = random_gaussians(3, seed=110), random_head(3, seed=10)

    def moved(_, x):
        X = x.reshape(3, 3)
        return (V @ X @ (X.T @ K.T @ Q @ X)).ravel()

    known = integrate.solve_ivp(
        moved, (0, 2.0), start.factor.ravel(), "Radau", [1.8, 2.0], rtol=1e-9, atol=1e-12
    )
    sizes = np.log((known.y**2).sum(axis=0))
    for name in ("softmax", "linear"):
        path = tp.flow(start, ROWS[name].make(Q, K, V), np.inf)
        assert path.stop == "growth"
        assert path.growth_rate == pytest.approx((sizes[1] - sizes[0]) / 0.2, rel=1e-3)


def test_a_limit_approached_at_a_power_of_time_is_stationary():
    start, head = random_gaussians(3, seed=113), tp.L2(*random_head(3, seed=13))
    path = tp.flow(start, head, np.inf)
    assert path.stop == "stationary"
    later = tp.flow(start, head, [0.0, 1e4 * path.end]).covariances[-1]
    assert np.linalg.norm(path.final.covariance - later) <= 1e-3 * np.linalg.norm(later)


@pytest.mark.parametrize("drift", [0.03, 0.01, 0.003])
def test_directions_that_shrink_out_of_sight_come_back(drift):
    """A mean that moves on turns their decay into growth: by up to 444 e-folds and back."""
    e = np.eye(3)
    A = np.zeros((3, 3))
    A[:2, :2] = [[-2, 0.1], [-0.1, -2]]
    heads = [
        tp.Linear(np.outer(e[2], e[i]), np.outer(e[2], e[2]), np.outer(e[i], e[2])) for i in (0, 1)
    ]
    attention = heads[0] + heads[1] + tp.AffineField(A, drift * e[2])
    end = np.sqrt(3) / drift
    path = tp.flow(tp.Gaussian(np.zeros(3), factor=np.diag([1, 0.3, 1])), attention, [0, end])
    turn = linalg.expm(0.1 * end * np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 0]]))
    exact = turn @ np.diag([1, 0.09, 1]) @ turn.T
    assert path.final.covariance == pytest.approx(exact, abs=2e-6)


def affine_pair(rates, turn=0.0, head=1.0):
    """Softmax, times a number, and a field with given rates along two axes."""
    R = linalg.expm(turn * np.array([[0, -1], [1, 0]]))
    field = tp.AffineField(R @ np.diag(rates) @ R.T, [0.0, 0.0])
    return tp.Softmax(EYE, EYE, head * EYE) + field


@pytest.mark.parametrize("later", [20.2, 20.45, 21.0])
def test_a_case_may_turn_stiff_where_its_parameters_jump(later):
    """The step that decides it may be the one that crosses the jump."""
    parts = [
        tp.Softmax(EYE, EYE, -EYE) + tp.AffineField([[0, 0.1], [-0.1, -rate]], [1.0, 1.0])
        for rate in (1.0, 300.0, 1.0)
    ]
    start, schedule = tp.Gaussian([0.5, 1.0], factor=[[1.0], [0.2]]), [20.0, later]
    paths = [
        tp.flow(start, tp.Schedule(parts, jumps=schedule), [0, 40.0], method=method)
        for method in ("auto", "DOP853")
    ]
    assert paths[0].final.mean == pytest.approx(paths[1].final.mean, abs=1e-9)
    assert paths[0].final.covariance == pytest.approx(paths[1].final.covariance, abs=1e-9)


@pytest.mark.parametrize("size", [1.0, 2.0])
def test_a_fast_decay_beside_a_slow_one_is_no_limit(size):
    path = tp.flow(
        tp.Gaussian([0.0, 0.0], factor=size * EYE), affine_pair([-1, -1e-6], head=0.0), np.inf
    )
    assert path.stop == "growth"
    assert path.growth_rate == pytest.approx(-2e-6, rel=1e-6)


def test_a_slow_growth_beside_a_fast_decay_is_no_limit():
    path = tp.flow(tp.Gaussian([0.0, 0.0], factor=0.01 * EYE), affine_pair([0, -100]), np.inf)
    assert path.blowup_time == pytest.approx(5000, rel=1e-9)


@pytest.mark.parametrize("size", [1e-7, 1e-3])
def test_a_blow_up_of_a_stiff_case_is_found_to_the_last_digits(size):
    """Beside a large rate the size grows like 1 / (t* - t); the same time by LSODA."""
    start = tp.Gaussian([0.0, 0.0], factor=np.sqrt(size) * np.array([[1, 0.5], [-0.3, 1]]))
    attention = affine_pair([0, -1000], 0.3)
    path = tp.flow(start, attention, [0, 1e3 / size])
    known = tp.flow(start, attention, [0, 1e3 / size], method="LSODA")
    assert path.stop == "blow-up"
    assert path.blowup_time == pytest.approx(known.blowup_time, rel=1e-6)


@pytest.mark.parametrize("rate", [1e3, 1e6])
@pytest.mark.parametrize("rtol", [1e-10, 1e-4])
def test_a_fast_mode_follows_a_force_in_time(rate, rtol):
    """Between the steps as well, for two cases and for one, whose last step ends at the end."""
    zero = np.zeros((1, 1))
    times = np.array([0.0, 4.01, 7.3, 8.0])

    def attention(t):
        return tp.Softmax(zero, zero, zero) + tp.AffineField([[-rate]], [rate * np.cos(t)])

    exact = (rate**2 * np.cos(times) + rate * np.sin(times)) / (rate**2 + 1)
    for start in ([0.5], [[0.5], [1.0]]):
        mean = np.array(start)
        path = tp.flow(
            tp.Gaussian(mean, factor=np.ones((*mean.shape, 1))), attention, times, rtol=rtol
        )
        assert np.all(path.stop == "time")
        for k in (1, 2, 3):
            found = path[k].mean.ravel()
            assert found == pytest.approx(np.full(len(found), exact[k]), abs=max(1e-6, 10 * rtol))


@pytest.mark.parametrize(
    ("factor", "rates", "head", "size"),
    [([1, 1e-6], [-1, 0], 0, 2 * np.log(1e-6)), ([1e-7, 5e-8], [1, 1], -1, np.log(2))],
)
def test_growth_of_sixteen_e_folds_is_no_verdict_where_rounding_hides_nothing(
    factor, rates, head, size
):
    start = tp.Gaussian([0.0, 0.0], factor=np.diag(factor))
    path = tp.flow(start, affine_pair(rates, head=head), np.inf)
    assert path.stop == "stationary"
    assert path.final.log_size == pytest.approx(size, abs=1e-6)


def test_no_growth_is_measured_across_a_jump():
    start = tp.Gaussian([0.0, 0.0], factor=EYE)
    parts = [affine_pair([rate, rate], head=0.0) for rate in (1, -1)]
    for jump in (10.0, 44.721, 80.0):
        path = tp.flow(start, tp.Schedule(parts, jumps=[jump]), np.inf)
        assert path.stop == "growth"
        assert path.growth_rate == pytest.approx(-2, rel=1e-6)


def test_a_stiff_flow_is_found_to_be_stiff():
    """The Sinkhorn flow of a long axis: rates of a thousand beside rates of one."""
    A = np.diag([-2.0, -1.0])
    head = tp.Sinkhorn(EYE, A, np.diag([1.0, 300.0]))
    times = np.linspace(0.0, 20.0, 5)
    start = tp.Gaussian([0.0, 0.0], factor=[[3.0, 0.0], [1.0, 2.0]])
    path, known = (tp.flow(start, head, times, method=m) for m in ("auto", "LSODA"))
    assert np.abs(path.covariances - known.covariances).max() <= 1e-7


# --- parameters in time --------------------------------------------------------------------------


def test_jumps_are_stepped_to_exactly():
    """x' = v x with v of either sign: e^(0.3 - 0.7 + 0.2), whatever the steps are."""
    pieces = [tp.Softmax([[0.0]], [[0.0]], [[v]]) for v in (1.0, -2.0, 0.5)]
    schedule = tp.Schedule(pieces, jumps=[0.3, 0.65])
    path = tp.flow(tp.Particles([[1.0]]), schedule, [0.0, 0.3, 0.5, 1.05])
    wanted = np.exp([0.0, 0.3, 0.3 - 0.4, 0.3 - 0.7 + 0.2])
    assert path.points.ravel() == pytest.approx(wanted, rel=1e-11)
    by_call = tp.Schedule(lambda t: pieces[int(t >= 0.3) + int(t >= 0.65)], jumps=[0.3, 0.65])
    again = tp.flow(tp.Particles([[1.0]]), by_call, [0.0, 0.3, 0.5, 1.05])
    assert np.array_equal(again.points, path.points)
    legs = path(0.5)
    assert legs.points.item() == pytest.approx(wanted[2], rel=1e-11)


@pytest.mark.parametrize("method", ["auto", "Rodas5P"])
def test_jumps_of_a_stack_on_its_way_to_a_blowup(method):
    """V jumps from -1/2 to 1: a pause of the growth, for each case in its own measure."""
    pieces = [tp.Softmax([[1.0]], [[1.0]], [[v]]) for v in (1.0, -0.5, 1.0)]
    schedule = tp.Schedule(pieces, jumps=[0.2, 0.4])
    s = np.array([1.0, 1.6])
    path = tp.flow(tp.Gaussian(np.zeros((2, 1)), factor=np.sqrt(s)[:, None, None]), schedule, 3.0,
                   method=method)  # fmt: skip
    # 1/s falls by 2 v t: blow-up where 1/s - 0.4 + 0.2 - 2 (t - 0.4) = 0
    assert path.blowup_time == pytest.approx(0.4 + (1 / s - 0.2) / 2, rel=1e-8)


@pytest.mark.parametrize("measure", [
    tp.Gaussian(np.zeros((4, 2)), factor=np.arange(1, 5)[:, None, None] * 0.2 * EYE),
    tp.Particles(np.random.default_rng(0).normal(size=(4, 3, 2))),
    tp.Gaussian([0.0, 0.0], factor=EYE),
])  # fmt: skip
def test_the_attention_is_asked_for_times_of_the_flow_alone(measure):
    asked = []

    def attention(t):
        asked.append(t)
        return tp.Softmax(EYE, EYE, np.cos(t) * EYE)

    path = tp.flow(measure, attention, 1.7, rtol=1e-6)
    assert min(asked) == 0.0
    assert max(asked) <= 1.7
    cases = np.ndindex(measure.stack) if measure.stack else []
    for i in cases:
        alone = tp.flow(measure[i], attention, 1.7, rtol=1e-9)
        if alone.stop == "time":
            assert np.allclose(path.final[i].pack(), alone.final.pack(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda a: tp.Schedule([a, a], jumps=[0.0]), ValueError, "jumps: must be positive and"),
        (lambda a: tp.Schedule([a] * 3, jumps=[2.0, 1.0]), ValueError, "strictly increasing"),
        (lambda a: tp.Schedule([a] * 2, jumps=[np.nan]), ValueError, "jumps: every entry must"),
        (lambda a: tp.Schedule([a], jumps=[1.0]), ValueError, "one attention more than there are"),
        (lambda a: tp.Schedule(a, jumps=[1.0]), ValueError, "jumps: one attention has none"),
        (lambda a: tp.Schedule(3.0), TypeError, "attention: must be an attention, a Schedule"),
        (lambda a: tp.Schedule([a, 3.0], jumps=[1.0]), TypeError, "attention: must be an"),
        (lambda a: tp.Schedule(tp.AffineField(EYE)), TypeError, "attention: must be an"),
    ],
)
def test_bad_schedules(make, error, message):
    with pytest.raises(error, match=message):
        make(tp.Softmax(EYE, EYE, EYE))


# --- verdicts ------------------------------------------------------------------------------------


def test_nothing_is_final_before_a_declared_jump():
    rest, grow, fall = (tp.Softmax([[1.0]], [[1.0]], [[v]]) for v in (0.0, 1.0, -1.0))
    start = tp.Gaussian([0.0], factor=[[1.0]])
    path = tp.flow(start, tp.Schedule([rest, grow], jumps=[50.0]), np.inf)
    assert path.stop == "blow-up"
    assert path.blowup_time == pytest.approx(50.5, rel=1e-8)
    path = tp.flow(start, tp.Schedule([fall, grow], jumps=[1e9]), np.inf)
    assert path.stop == "blow-up"  # s(1e9) = 1 / (1 + 2e9), so 1e9 + 1 / (2 s)
    assert path.blowup_time == pytest.approx(2e9 + 0.5, rel=1e-7)
    assert (np.diff(path.times) > 0).all()
    before = path.times <= 1e9
    exact = 1 / (1 + 2 * path.times[before])
    assert np.exp(path.log_sizes[before]) == pytest.approx(exact, rel=1e-8)
    assert path.times[before][-1] == 1e9
    pieces = [tp.Softmax([[0.0]], [[0.0]], [[v]]) for v in (0.0, 1.0)]
    schedule = tp.Schedule(pieces, jumps=[0.5])
    path = tp.flow(tp.Particles([[1.0]]), schedule, 1.0, stationary=1e-6)
    assert path.stop == "time"
    assert path.final.points.item() == pytest.approx(np.exp(0.5), rel=1e-10)


@pytest.mark.parametrize("jump", [1e-300, 1e-17, 1e-16, 1e-10])
def test_a_jump_next_to_the_start(jump):
    pieces = [tp.Softmax([[0.0]], [[0.0]], [[v]]) for v in (1.0, -1.0)]
    path = tp.flow(tp.Particles([[1.0]]), tp.Schedule(pieces, jumps=[jump]), 1.0)
    assert path.stop == "time"
    assert path.final.points.item() == pytest.approx(np.exp(-1.0), rel=1e-9)


def test_what_decays_to_a_small_limit_is_no_steady_power():
    """s' = -2 s^2 + 2 b s: like 1/t for a while, then to b."""
    fall = tp.Softmax([[1.0]], [[1.0]], [[-1.0]]) + tp.AffineField([[1e-5]])
    path = tp.flow(tp.Gaussian([0.0], factor=[[1.0]]), fall, np.inf)
    assert path.stop == "stationary"
    assert path.final.covariance.item() == pytest.approx(1e-5, rel=1e-6)


def test_a_case_without_finite_coordinates_is_undecided():
    head = tp.Linear([[1.0]], [[1.0]], [[1.0]])
    ended = tp.flow(tp.Particles([[[1.0]], [[0.1]], [[2.0]]]), head, 1.0)[-1]
    path = tp.flow(ended, head, 0.1)
    assert path.stop.tolist() == ["undecided", "time", "undecided"]
    with pytest.raises(
        ValueError, match=r"no case has finite coordinates; nothing flows\. Choose"
    ):
        tp.flow(ended[0], head, 0.1)


def test_an_attention_that_misfits_later_is_refused():
    plane, line = tp.Softmax(EYE, EYE, EYE), tp.Softmax([[1.0]], [[1.0]], [[1.0]])
    tokens = tp.Particles([[1.0, 0.0], [0.0, 1.0]])
    for later in (tp.Schedule([plane, line], jumps=[0.5]), lambda t: line if t > 0.5 else plane):
        with pytest.raises(ValueError, match="measure: its dimension must be that"):
            tp.flow(tokens, later, 1.0)
    with pytest.raises(ValueError, match="needs tokens with positions"):
        tp.flow(tokens, tp.Schedule([plane, tp.Masked(plane)], jumps=[0.5]), 1.0)
    with pytest.raises(TypeError, match="attention: must be an attention, a Schedule"):
        tp.flow(tokens, [plane], 1.0)
