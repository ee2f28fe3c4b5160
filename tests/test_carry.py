"""Test tokens carried by a path, and the paths of the cases of a stack."""

import numpy as np
import pytest
from problems import head_parameters
from scipy import integrate, linalg
from table import ROWS

import transpde as tp

EYE = np.eye(2)


def symmetric_heads(rng, *stack, size=0.4):
    A = rng.normal(size=(*stack, 2, 2))
    A = size * (A + A.mT) / 2
    return A, tp.Softmax(EYE, A, EYE)


def affine_flow(start, A, x, t):
    """With V = I and A symmetric: x -> M (x - m) + e^t M m, M = (I - 2t Sigma A)^(-1/2)."""
    M = linalg.fractional_matrix_power(EYE - 2 * t * start.covariance @ A, -0.5).real
    return (x + np.expm1(t) * start.mean) @ M.T


def clouds(rng, row, stack=(), space=None, n=5, d=3):
    space = tp.Euclidean() if space is None else space
    x = space.retract(rng.normal(size=(*stack, n, d)))
    return tp.Particles(x, positions=np.arange(n) if row.masked else None, space=space)


# --- exact flows ---------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [None, "DOP853", "Rodas5P", "LSODA"])
def test_tokens_in_a_gaussian_follow_its_affine_flow(method):
    rng = np.random.default_rng(0)
    A, head = symmetric_heads(rng)
    start, x = tp.Gaussian([1.0, -0.5], factor=0.8 * EYE + 0.3), rng.normal(size=(7, 2))
    path = tp.flow(start, head, [0.0, 0.1, 0.5], method=method)
    found = path.carry(x)
    assert found.shape == (3, 7, 2)
    assert np.array_equal(found[0], x)
    for t, points in zip(path.times, found, strict=True):
        assert np.abs(points - affine_flow(start, A, x, t)).max() <= 1e-7
    if method is None:
        assert np.abs(found[-1] - affine_flow(start, A, x, 0.5)).max() <= 1e-9


def test_each_case_of_a_stack_carries_its_own_tokens():
    rng = np.random.default_rng(1)
    A, head = symmetric_heads(rng, 3)
    starts = tp.Gaussian(rng.normal(size=(3, 2)), factor=0.5 * rng.normal(size=(3, 2, 2)))
    path = tp.flow(starts, head, [0.0, 0.3])
    shared, each = rng.normal(size=(4, 2)), rng.normal(size=(3, 4, 2))
    for x in (shared, each):
        found = path.carry(x)
        assert found.shape == (2, 3, 4, 2)
        for i in range(3):
            wanted = affine_flow(starts[i], A[i], x if x.ndim == 2 else x[i], 0.3)
            assert np.abs(found[-1, i] - wanted).max() <= 1e-9


def test_tokens_are_carried_up_to_a_blow_up_and_then_are_not():
    start = tp.Gaussian(np.zeros((2, 1)), factor=[[[1.0]], [[0.5]]])
    times = np.array([0.0, 0.4, 0.499999, 0.6, 1.9])
    one = tp.Softmax([[1.0]], [[1.0]], [[1.0]])  # explodes at 1 / (2 variance): 0.5 and 2
    path = tp.flow(start, one, times)
    found = path.carry([[3.0]])[..., 0, 0]
    assert list(path.stop) == ["blow-up", "time"]
    assert np.isnan(found[3:, 0]).all()
    assert found[:3, 0] == pytest.approx(3 / np.sqrt(1 - 2 * times[:3]), rel=1e-5)
    assert found[:, 1] == pytest.approx(3 / np.sqrt(1 - times / 2), rel=1e-8)
    alone = tp.flow(start[1], one, np.inf)
    end = alone.carry([[3.0]])[:-2, 0, 0]
    assert len(alone) > 20
    size = np.sqrt(1 - alone.times[:-2] / 2)
    assert np.abs(end * size / 3 - 1)[size > 1e-3].max() <= 1e-5
    several = tp.flow(start, one, np.inf)
    assert several.carry([[3.0]]).tolist() == [[[[3.0]], [[3.0]]]]


def test_tokens_in_a_cloud_agree_with_lsoda_and_do_not_act():
    rng = np.random.default_rng(2)
    parameters, x, y = head_parameters(rng, 2), rng.normal(size=(5, 2)), rng.normal(size=(3, 2))
    head = tp.Softmax(*parameters)
    path = tp.flow(tp.Particles(x), head, [0.0, 0.5, 1.0])

    def derivative(_, flat):
        z = flat.reshape(8, 2)
        return head(tp.Particles(z[:5]))(z).ravel()

    start = np.vstack([x, y]).ravel()
    done = integrate.solve_ivp(derivative, (0, 1), start, "LSODA", rtol=1e-11, atol=1e-12)
    assert np.abs(path.carry(y)[-1] - done.y[10:, -1].reshape(3, 2)).max() <= 1e-8
    assert np.abs(path.carry(y[:1])[-1] - path.carry(y)[-1, :1]).max() <= 1e-9


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("stack", [(), (2,)])
def test_carried_tokens_of_a_path_are_the_path(name, stack):
    rng = np.random.default_rng(3)
    row, attention = ROWS[name], ROWS[name].make(*head_parameters(rng, 3, size=0.5))
    for space in (tp.Euclidean(), tp.Sphere(1.5, [1.0, 1.0, 0.0])):
        tokens = clouds(rng, row, stack, space)
        for path in (
            tp.flow(tokens, attention, [0.0, 0.1, 0.3]),
            tp.layers(tokens, attention, 3, 0.05),
        ):
            found = path.carry(tokens.points, tokens.positions)
            size = np.abs(path.points).max()
            assert np.abs(found - path.points).max() <= 1e-8 * size
            space.check("found", found[-1])


@pytest.mark.parametrize("kind", ["flow", "layers"])
def test_a_path_carried_on_is_carried_further(kind):
    rng = np.random.default_rng(4)
    _, head = symmetric_heads(rng)
    x = rng.normal(size=(4, 2))
    for start in (
        tp.Particles(rng.normal(size=(6, 2))),
        tp.Gaussian([0.3, 0.1], factor=0.6 * EYE),
    ):
        if kind == "flow":
            first = tp.flow(start, head, 0.3)
            second, whole = tp.flow(first.final, head, 0.4), tp.flow(start, head, 0.7)
        else:
            first = tp.layers(start, head, 3, 0.1)
            second, whole = tp.layers(first.final, head, 4, 0.1), tp.layers(start, head, 7, 0.1)
        late = second.carry(first.carry(x)[-1])[-1]
        assert np.abs(late - whole.carry(x)[-1]).max() <= 1e-8


def test_tokens_follow_parameters_in_time_and_their_jumps():
    line = np.eye(1)
    mean = lambda v: tp.Softmax(0 * line, line, v * line)  # noqa: E731
    start, x = tp.Gaussian([1.0], factor=[[1.0]]), [[0.0], [5.0]]
    jump = tp.flow(start, tp.Schedule([mean(1.0), mean(-2.0)], jumps=[0.5]), 1.0)
    wanted = np.exp(0.5) * (1 + np.expm1(-1.0)) - 1  # what the mean gains
    assert jump.carry(x)[-1].ravel() == pytest.approx([wanted, 5 + wanted], abs=1e-8)
    smooth = tp.flow(start, lambda t: mean(np.cos(t)), 1.0)
    assert smooth.carry(x)[-1, 0, 0] == pytest.approx(np.expm1(np.sin(1.0)), abs=1e-8)


def test_layers_carry_by_their_layers():
    rng = np.random.default_rng(5)
    heads = [tp.Softmax(*head_parameters(rng, 2)) for _ in range(3)]
    x = rng.normal(size=(4, 2))
    for start in (
        tp.Particles(rng.normal(size=(5, 2))),
        tp.Gaussian([0.3, 0.1], factor=0.6 * EYE),
    ):
        path, y = tp.layers(start, heads, 3, 0.2), x
        found = path.carry(x)
        for i, head in enumerate(heads):
            y = y + 0.2 * head(path[i])(y)
            assert found[i + 1] == pytest.approx(y, rel=1e-12)


@pytest.mark.parametrize("d", [1, 2])
def test_tokens_in_a_grid_follow_those_in_its_gaussian(d):
    start = tp.Gaussian(0.3 * np.ones(d), factor=0.8 * np.eye(d))
    A = np.diag([-0.6, 0.2][:d])
    head, x = tp.Softmax(np.eye(d), A, np.eye(d)), np.linspace(-1, 1, 3 * d).reshape(3, d)
    exact, gaps = tp.flow(start, head, [0.0, 0.5]).carry(x)[-1], []
    for n in (40, 80) if d == 2 else (80, 160, 320):
        grid = tp.Grid.from_gaussian([np.linspace(-6.0, 6.0, n + 1)] * d, start)
        path = tp.flow(grid, head, [0.0, 0.5])
        gaps.append(np.abs(path.carry(x)[-1] - exact).max())
    assert gaps[-1] <= (2e-3 if d == 2 else 1e-4)
    assert np.diff(np.log2(gaps)).max() <= -1.7


# --- cases of a stack ----------------------------------------------------------------------------


def same(left, right):
    return np.array_equal(np.asarray(left), np.asarray(right), equal_nan=left.dtype.kind == "f")


def test_the_path_of_a_case_is_that_of_the_case():
    rng = np.random.default_rng(6)
    A, head = symmetric_heads(rng, 2, 2)
    starts = tp.Gaussian(rng.normal(size=(2, 2, 2)), factor=rng.normal(size=(2, 2, 2, 2)))
    tokens = tp.Particles(rng.normal(size=(2, 2, 5, 2)))
    x = rng.normal(size=(3, 2))
    for start in (starts, tokens):
        path = tp.flow(start, head, [0.0, 0.1, 0.25, 3.0] if start is starts else [0.0, 0.2])
        for index in ((0, 1), (1, 0)):
            alone = tp.flow(start[index], tp.Softmax(EYE, A[index], EYE), path.times)
            case = path.case(index)
            assert type(case.stop) is str
            assert case.stop == alone.stop
            assert case.end == pytest.approx(alone.end, rel=1e-9)
            assert case.blowup_time == pytest.approx(alone.blowup_time, rel=1e-9)
            assert case.states == pytest.approx(alone.states, rel=1e-7, abs=1e-9, nan_ok=True)
            t = min(0.17, 0.9 * case.end)
            assert case(t).mean == pytest.approx(alone(t).mean, abs=1e-8)
            assert case.carry(x) == pytest.approx(alone.carry(x), rel=1e-6, abs=1e-8, nan_ok=True)
            assert case.carry(x) == pytest.approx(
                path.carry(x)[:, *index], rel=1e-6, abs=1e-8, nan_ok=True
            )


@pytest.mark.parametrize("index", [0, slice(1, None), np.array([True, False, True]), [2, 0]])
def test_a_path_is_indexed_like_its_stack(index):
    start = tp.Gaussian(np.zeros((3, 1)), factor=[[[1.0]], [[0.5]], [[0.1]]])
    path = tp.flow(start, tp.Softmax([[1.0]], [[1.0]], [[1.0]]), [0.0, 0.4, 1.0])
    case = path.case(index)
    assert case.final.stack == np.zeros(3)[index].shape
    for name in ("stop", "end", "blowup_time"):
        assert same(np.asarray(getattr(case, name)), getattr(path, name)[index])
    assert same(case.means, path.means[:, index])
    assert same(case.covariances, path.covariances[:, index])
    assert np.allclose(case(0.2).covariance, path(0.2).covariance[index], rtol=1e-9)
    layered = tp.layers(start, lambda t: tp.Softmax([[1.0]], [[1.0]], [[1.0]]), 3, 0.1)
    assert same(layered.case(index).means, layered.means[:, index])
    assert np.array_equal(layered.case(index)(0.15).covariance, layered(0.15).covariance[index])


def test_cases_keep_parameters_in_time():
    V = np.array([1.0, -1.0])[:, None, None]
    schedule = tp.Schedule([tp.Linear([[0.0]], [[0.0]], s * V) + tp.AffineField(s * V)
                            for s in (1.0, 0.5)], jumps=[0.5])  # fmt: skip
    path = tp.flow(tp.Particles(np.ones((2, 1, 1))), schedule, 1.0)
    assert path.points[-1].ravel() == pytest.approx(np.exp([0.75, -0.75]), rel=1e-9)
    assert path.case(1)(0.9).points[0, 0] == pytest.approx(np.exp(-0.7), rel=1e-9)
    assert path.case(1).carry([[2.0]])[-1, 0, 0] == pytest.approx(2 * np.exp(-0.75), rel=1e-9)


# --- bad input -----------------------------------------------------------------------------------

HEAD = tp.Softmax(EYE, EYE, EYE)
CLOUD = tp.Particles([[1.0, 0.0], [0.6, 0.8]], positions=[0.0, 1.0], space=tp.Sphere())
ONE, MANY = (
    tp.flow(tp.Gaussian(m, factor=EYE), HEAD, 0.1) for m in (np.zeros(2), np.zeros((3, 2)))
)


@pytest.mark.parametrize(
    "make", [lambda a: tp.flow(CLOUD, a, 0.1), lambda a: tp.layers(CLOUD, a, 2, 0.1)]
)
@pytest.mark.parametrize(
    ("positions", "points", "message"),
    [
        (None, EYE, "positions: a masked field is field.x, positions., .*; got none"),
        ([0.0, -1.0], EYE, "positions: there must be mass at or before each position; got -1.0"),
        ([0.0], EYE, "positions: its length must be that of points, 2; got 1"),
        ([0.0, 1.0], 2 * EYE, "points: tokens on the sphere must have norm 1; got"),
    ],
)
def test_bad_tokens_behind_a_mask_and_on_a_sphere(make, positions, points, message):
    with pytest.raises(ValueError, match=message):
        make(tp.Masked(HEAD)).carry(points, positions)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: ONE.carry([[1.0]]),
            ValueError,
            "points: its dimension must be that of the",
        ),
        (lambda: ONE.carry([1.0, 2.0]), ValueError, "points: must have shape"),
        (lambda: ONE.carry([[np.nan, 2.0]]), ValueError, "points: every entry must be finite"),
        (
            lambda: MANY.carry(np.ones((2, 1, 2))),
            ValueError,
            r"points: its leading axes must match those of the path, \(3,\); got \(2,\)",
        ),
        (lambda: ONE.case(0), TypeError, "a path of a single measure has no cases"),
        (lambda: MANY.case(3), IndexError, "out of bounds"),
        (lambda: MANY.case((0, 1)), IndexError, "too many indices"),
        (lambda: MANY.case([]), ValueError, "index: must choose at least one case"),
        (lambda: MANY.case(slice(0, 0)), ValueError, "index: must choose at least one case"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
