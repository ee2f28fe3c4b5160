"""Stacks of clouds: over the whole table a stack is its cases, whatever their order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import head_parameters
from table import GAUSSIAN, ROWS

import transpde as tp
from transpde import kernels
from transpde.kernels import Evaluation, sums
from transpde.stepping import integration
from transpde.stepping.equation import Equation
from transpde.stepping.explicit import Explicit

every_row = pytest.mark.parametrize("name", ROWS)
ONE_PARAMETER_SET = (
    "multi-head",
    "with feed-forward",
    "masked multi-head",
    "sum of masked heads",
)  # their rows read single matrices


def parameters_of(rng, axes, d, name):
    """Query, key and value with leading axes; of two rows without, as they are built from one."""
    if name in ONE_PARAMETER_SET:
        return head_parameters(rng, d)
    count = int(np.prod(axes))
    drawn = [head_parameters(rng, d) for _ in range(count)]
    return tuple(np.array(M).reshape(*axes, d, d) for M in zip(*drawn, strict=True))


def case_of(parameters, stack, index):
    """The parameters of one case: axes of length 1 are shared."""
    chosen = []
    for M in parameters:
        axes = M.shape[:-2]
        chosen.append(M[tuple(i if a > 1 else 0 for i, a in zip(index, axes, strict=True))]
                      if axes else M)  # fmt: skip
    return chosen


def clouds(rng, stack, n, d, masked=True, each=True, zeros=False):
    """Tokens whose weights and positions are drawn for each case or shared."""
    axes = stack if each else ()
    weights = rng.random((*axes, n)) + 0.1
    if zeros:
        weights[..., n // 2] = 0.0
    weights /= weights.sum(axis=-1, keepdims=True)
    positions = rng.integers(0, 4, (*axes, n)).astype(float)
    positions[..., 0] = 0.0
    return tp.Particles(rng.normal(size=(*stack, n, d)), weights, positions if masked else None)


@every_row
@settings(max_examples=15)
@given(data=st.data())
def test_a_stack_is_its_cases(name, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32), "seed"))
    stack = data.draw(st.sampled_from([(1,), (3,), (2, 2)]), "stack")
    axes = data.draw(st.sampled_from([(), (1,) * len(stack), stack]), "axes of the parameters")
    n, d = data.draw(st.integers(1, 6), "n"), data.draw(st.integers(1, 3), "d")
    row, each = ROWS[name], data.draw(st.booleans(), "weights and positions of each case")
    tokens = clouds(rng, stack, n, d, row.masked, each, n > 2 and data.draw(st.booleans(), "0"))
    parameters = parameters_of(rng, axes, d, name)
    attention = row.make(*parameters)
    v, P = tokens.velocities(attention(tokens)), attention.matrix(tokens)
    heads = (2,) if row.heads == 2 else ()
    assert P.shape == (*heads, *stack, n, n)
    for number, i in enumerate(np.ndindex(stack)):
        alone = row.make(*case_of(parameters, stack, i))
        wanted = tokens[i].velocities(alone(tokens[i]))
        size = np.abs(wanted).max() + 1
        assert np.abs(v[i] - wanted).max() <= 1e-10 * size
        gap = np.abs(P[(slice(None),) * len(heads) + i] - alone.matrix(tokens[i])).max()
        assert gap <= 1e-10 * (1 + np.abs(P).max())
        chosen = attention.select(stack, np.array([number]))
        picked = tokens.select(np.array([number]))
        assert np.abs(picked.velocities(chosen(picked))[0] - wanted).max() <= 1e-10 * size


@every_row
def test_results_do_not_depend_on_the_order_of_cases(name):
    rng, order = np.random.default_rng(1), np.array([3, 0, 4, 1, 2])
    row = ROWS[name]
    tokens = clouds(rng, (5,), 6, 3, row.masked)
    attention = row.make(*parameters_of(rng, (5,), 3, name))
    v = tokens.velocities(attention(tokens))
    mixed = tokens[order]
    found = mixed.velocities(attention.select((5,), order)(mixed))
    assert np.array_equal(found, v[order])


@every_row
def test_a_stack_in_chunks_one_by_one_and_at_once_agree(name, monkeypatch):
    rng = np.random.default_rng(2)
    row = ROWS[name]
    tokens = clouds(rng, (4, 3), 6, 2, row.masked, zeros=True)
    attention = row.make(*parameters_of(rng, (4, 3), 2, name))
    v = tokens.velocities(attention(tokens))
    for small in (36 * 5, 36, 0):
        monkeypatch.setattr(sums, "SMALL", small)
        assert np.abs(tokens.velocities(attention(tokens)) - v).max() <= 1e-12


@pytest.mark.parametrize("stack", [(), (3,)])
@pytest.mark.parametrize("zeros", [False, True])
@every_row
def test_the_map_that_a_flow_evaluates_is_the_field(name, zeros, stack):
    rng, row = np.random.default_rng(5), ROWS[name]
    drawn = clouds(rng, stack, 6, 3, row.masked, zeros=zeros)
    x = drawn.points / np.linalg.norm(drawn.points, axis=-1, keepdims=True)
    on_sphere = tp.Particles(x, drawn.weights, drawn.positions, tp.Sphere())
    attention = row.make(*parameters_of(rng, stack, 3, name))
    for tokens in (drawn, on_sphere):
        elsewhere = tokens.at(tokens.space.retract(tokens.points[..., ::-1] + 0.1))
        found = tokens.mover(attention, kernels.EXACT)(elsewhere.pack())
        v = elsewhere.advect(attention.field(elsewhere, kernels.EXACT))
        assert np.abs(found - v).max() <= 1e-13 * np.abs(v).max()


@pytest.mark.parametrize("lightest", [None, 0.0, 1e-300, 1e-31, 1e-29])
@pytest.mark.parametrize("size", [1e-170, 1e-3, 8.0, 40.0, 1e3, 1e170])
@pytest.mark.parametrize("axes", [(), (40,)])
def test_the_map_that_a_flow_of_a_stack_evaluates_knows_its_range(size, axes, lightest):
    """No largest score comes off where sums are in range, and 40 clouds are more than a tile."""
    rng = np.random.default_rng(7)
    tokens = clouds(rng, (40,), 32, 3, masked=False)
    if lightest is not None:
        weights = tokens.weights.copy()
        weights[3, 0], weights[3, 1] = lightest, weights[3, :2].sum() - lightest
        tokens = tp.Particles(tokens.points, weights)
    attention = tp.Softmax(*parameters_of(rng, axes, 3, "softmax"))
    for here in (tokens.at(size * tokens.points), tokens.at(tokens.points + size)):
        with np.errstate(all="ignore"):  # as in a flow
            found = here.mover(attention, kernels.EXACT)(here.pack())
            v = here.advect(attention.field(here, kernels.EXACT))
        assert np.array_equal(np.isfinite(found), np.isfinite(v))
        held = np.isfinite(v)
        # Scores of that size are known to their last digits only.
        loose = 1e-13 * (1 + np.minimum(size, 1e3) ** 2)
        assert np.abs(found - v)[held].max(initial=0.0) <= loose * np.abs(v[held]).max(initial=1.0)


@pytest.mark.parametrize("own", [(), ("query",), ("key", "value"), ("query", "key", "value")])
@pytest.mark.parametrize("d", [2, 4, 5])
@pytest.mark.parametrize("radius", [1.0, 2.0])
def test_many_tokens_move_by_heads_that_share_some_matrices(own, d, radius):
    """So many that the order of their coordinates in memory changes on the way."""
    rng, names = np.random.default_rng(13), ("query", "key", "value")
    x = rng.normal(size=(40, 32, d))
    x *= radius / np.linalg.norm(x, axis=-1, keepdims=True)
    tokens = tp.Particles(x, space=tp.Sphere(radius))
    shapes = {name: ((40,) if name in own else ()) + (d, d) for name in names}
    attention = tp.Softmax(**{name: rng.normal(size=shapes[name]) / d for name in names})
    found = tokens.mover(attention, kernels.EXACT)(tokens.pack())
    v = tokens.advect(attention.field(tokens, kernels.EXACT))
    assert np.abs(found - v).max() <= 1e-13 * np.abs(v).max()
    again = tokens.unpack(1.5 * tokens.pack())
    assert np.abs(again.points - x).max() <= 4e-15 * radius


def test_one_sharp_cloud_of_a_stack_changes_no_other():
    rng = np.random.default_rng(12)
    tokens = clouds(rng, (70,), 32, 3, masked=False)
    attention = tp.Softmax(*parameters_of(rng, (70,), 3, "softmax"))
    x = tokens.points.copy()
    x[65] *= 40.0
    sharp = tokens.at(x)
    before, after = tokens.mover(attention, kernels.EXACT), sharp.mover(attention, kernels.EXACT)
    others = np.arange(70) != 65
    for _ in range(2):  # at first it is found to be sharp, then that is known
        with np.errstate(all="ignore"):
            found = after(sharp.pack())
        assert np.abs(found - before(tokens.pack()))[others].max() < 1e-12
        picked, chosen = sharp[65:66], attention.select((70,), np.array([65]))
        alone = picked.advect(chosen.field(picked, kernels.EXACT))
        assert np.abs(found[65] - alone[0]).max() < 1e-9 * np.abs(alone).max()


@pytest.mark.parametrize("measure", [
    tp.Particles(np.linspace(-1.0, 1.0, 24).reshape(12, 2)),
    tp.Particles(np.linspace(-1.0, 1.0, 48).reshape(2, 12, 2)),
    tp.Gaussian(np.zeros(3), factor=np.eye(3)),
])  # fmt: skip
def test_a_case_larger_than_a_group_is_stepped_alone(measure, monkeypatch):
    d = measure.dimension
    head = tp.Softmax(np.eye(d), np.eye(d), -np.eye(d))
    whole = tp.flow(measure, head, [0.0, 0.1])
    monkeypatch.setattr(integration, "GROUP", 5)
    parts = tp.flow(measure, head, [0.0, 0.1])
    assert np.abs(whole.final.pack() - parts.final.pack()).max() < 1e-14


@pytest.mark.parametrize("name", ["softmax", "l2", "sinkhorn", "sigmoid", "masked softmax"])
def test_a_stack_is_stepped_in_groups(name, monkeypatch):
    rng, row = np.random.default_rng(9), ROWS[name]
    tokens = clouds(rng, (7,), 5, 2, row.masked)
    attention = row.make(*parameters_of(rng, (), 2, name))
    whole = tp.flow(tokens, attention, [0.0, 0.3, 1.0], rtol=1e-9)
    monkeypatch.setattr(integration, "GROUP", 25)  # three or two clouds of 11 numbers
    parts = tp.flow(tokens, attention, [0.0, 0.3, 1.0], rtol=1e-9)
    assert np.abs(whole.points - parts.points).max() < 1e-9


def test_a_flow_to_one_time_needs_no_polynomial(monkeypatch):
    def never(step):
        raise AssertionError("the state at the last time is the end of the last step")

    monkeypatch.setattr(Explicit, "interpolant", never)
    tokens = clouds(np.random.default_rng(10), (3,), 5, 2, masked=False)
    path = tp.flow(tokens, tp.Softmax(np.eye(2), np.eye(2), -np.eye(2)), [0.0, 1.0])
    assert np.isfinite(path.points).all()
    assert (path.final.points == path.points[-1]).all()


@pytest.mark.parametrize("in_axes", [False, True])
@pytest.mark.parametrize("stack", [(), (3,), (70,)])
@pytest.mark.parametrize("d", [2, 3, 4])
@pytest.mark.parametrize("name", [name for name in GAUSSIAN if name != "linear"])
def test_the_map_that_a_flow_of_gaussians_evaluates_is_the_field(name, d, stack, in_axes):
    rng, row = np.random.default_rng(6), ROWS[name]
    drawn = tp.Gaussian(rng.normal(size=(*stack, d)), factor=rng.normal(size=(*stack, d, d)))
    gaussian = drawn.principal() if in_axes else drawn
    gaussian = gaussian.unpack(gaussian.pack()).marked(in_axes)
    for axes in {(), stack}:
        attention = row.make(*parameters_of(rng, axes, d, name))
        found = gaussian.mover(attention, kernels.EXACT)(gaussian.pack())
        v = gaussian.advect(attention.field(gaussian, kernels.EXACT))
        assert np.array_equal(found, v)


@pytest.mark.parametrize("zeros", [False, True])
@every_row
def test_one_cloud_may_stand_for_several_cases(name, zeros):
    """As it does where a stiff step takes differences: at many places at once."""
    rng, row = np.random.default_rng(8), ROWS[name]
    tokens = clouds(rng, (), 4, 2, row.masked, zeros=zeros)
    attention = row.make(*parameters_of(rng, (), 2, name))
    law = Equation(tokens, tp.Schedule(attention), kernels.EXACT, 1.0, 1)
    one, several = np.zeros(1, dtype=int), np.zeros(3, dtype=int)
    z = np.append(tokens.pack(), 0.0) + 0.01 * rng.normal(size=(3, 9))
    together = law.derivative(z, law.cases(several, False, np.zeros(3, dtype=bool)))
    single = law.cases(one, False, np.zeros(1, dtype=bool))
    alone = np.concatenate([law.derivative(state[None], single) for state in z])
    assert np.abs(together - alone).max() <= 1e-13 * np.abs(alone).max()
    slope = law.derivative(z[:1], single)
    J = law.jacobian(z[:1], slope, single)[0]
    nudge = 1e-6 * rng.normal(size=9)
    sides = [law.derivative(z[:1] + sign * nudge, single)[0] for sign in (1, -1)]
    assert np.abs(J @ nudge - (sides[0] - sides[1]) / 2).max() <= 1e-6 * np.abs(J @ nudge).max()


def test_a_head_of_its_own_kind_flows_by_its_own_weights():
    class Uniform(tp.Softmax):
        def token_sum(self, measure, how=kernels.EXACT):
            softmax = super().token_sum(measure, how)
            return sums.SoftmaxSum(0 * self.query, None, softmax.keys, measure.log_weights)

    eye = np.eye(2)
    tokens = tp.Particles(np.random.default_rng(6).normal(size=(5, 2)))
    path = tp.flow(tokens, Uniform(eye, eye, eye), time=[0.0, 1.0], rtol=1e-10)
    assert np.allclose(path.final.points, tokens.points + (np.e - 1) * tokens.mean, atol=1e-8)


@pytest.mark.parametrize("size", [1.0, 30.0])
@pytest.mark.parametrize("kind", [tp.Softmax, tp.L2])
def test_sums_of_many_clouds_are_those_of_each(kind, size):
    rng = np.random.default_rng(7)
    points = size * rng.normal(size=(40, 32, 3))  # with scores up to 10 and up to 10,000
    head = kind(*head_parameters(rng, 3))
    together = tp.Particles(points).velocities(head(tp.Particles(points)))
    alone = [tp.Particles(x).velocities(head(tp.Particles(x))) for x in points]
    assert np.abs(together - alone).max() <= 1e-13 * size**3


@pytest.mark.parametrize("masked", [False, True])
def test_large_clouds_of_a_stack_take_the_fast_sums(masked):
    rng = np.random.default_rng(3)
    tokens = clouds(rng, (2,), 2100, 1, masked)
    head = tp.Softmax(*[0.5 * np.ones((2, 1, 1))] * 3)
    attention = tp.Masked(head) if masked else head
    fast, exact = (
        tokens.velocities(attention(tokens, method=m)) for m in ("interpolated", "exact")
    )
    assert 0 < np.abs(fast - exact).max() <= 1e-9


@every_row
def test_fields_of_a_stack_at_other_points(name):
    rng, stack = np.random.default_rng(4), (2, 3)
    row = ROWS[name]
    tokens = clouds(rng, stack, 5, 2, row.masked)
    field = row.make(*parameters_of(rng, (), 2, name))(tokens)
    x, each = rng.normal(size=(4, 2)), rng.normal(size=(*stack, 4, 2))
    s = np.array([0.0, 1.0, 2.0, 5.0])
    shared = field(x, s)
    assert shared.shape == (*stack, 4, 2)
    assert field(x[0], 3.0).shape == (*stack, 2)
    assert np.allclose(field(np.broadcast_to(x, (*stack, 4, 2)), s), shared, rtol=1e-12)
    alone = row.make(*parameters_of(np.random.default_rng(4), (), 2, name))
    assert field(each, np.broadcast_to(s, (*stack, 4))).shape == each.shape
    assert alone.dimension == 2
    if name != "linear":  # whose affine fields broadcast
        with pytest.raises(ValueError, match=r"(x|points): its leading axes|broadcast"):
            field(rng.normal(size=(5, 4, 2)), s)


def test_a_stack_has_the_statistics_of_its_cases():
    rng = np.random.default_rng(5)
    tokens = clouds(rng, (2, 3), 5, 2)
    velocity = rng.normal(size=(2, 3, 10))
    back = tokens.unpack(tokens.pack())
    assert np.array_equal(back.points, tokens.points)
    assert tokens.mean.shape == (2, 3, 2)
    for i in np.ndindex(2, 3):
        one = tokens[i]
        assert one.mean == pytest.approx(tokens.mean[i], rel=1e-14)
        assert one.covariance == pytest.approx(tokens.covariance[i], rel=1e-13)
        assert one.origin == pytest.approx(tokens.origin[i])
        for what in ("rate", "growth", "relative_speed"):
            wanted = getattr(one, what)(velocity[i])
            assert getattr(tokens, what)(velocity)[i] == pytest.approx(wanted, rel=1e-13)
    later = tokens.unpack(np.stack([tokens.pack(), 2 * tokens.pack()]))
    assert later.stack == (2, 2, 3)
    assert np.array_equal(later[1, 0, 2].weights, tokens[0, 2].weights)
    assert np.array_equal(later[1, 0, 2].positions, tokens[0, 2].positions)
    assert tokens.select(np.array([5, 0])).stack == (2,)
    assert np.array_equal(tokens.select(np.array(5)).points, tokens[1, 2].points)


def test_push_and_advect_of_a_stack_are_those_of_its_cases():
    rng = np.random.default_rng(6)
    tokens, attention = clouds(rng, (3,), 5, 2), tp.L2(*head_parameters(rng, 2))
    field = attention(tokens)
    pushed, velocity = tokens.push(field, 0.3), tokens.advect(field)
    for i in range(3):
        one = attention(tokens[i])
        assert np.allclose(pushed[i].points, tokens[i].push(one, 0.3).points, atol=1e-13)
        assert np.allclose(velocity[i], tokens[i].advect(one), atol=1e-13)


# --- what Sinkhorn solves remember ---------------------------------------------------------------


def test_memory_keeps_heads_and_clouds_apart(monkeypatch):
    rng = np.random.default_rng(7)
    heads = [tp.Sinkhorn(*head_parameters(rng, 2)) for _ in range(2)]
    both, how = tp.MultiHead(heads), Evaluation().remembering()
    starts = []
    original = kernels.sinkhorn.potential

    def noted(sums, x, w, start, *rest):
        starts.append(start.copy())
        return original(sums, x, w, start, *rest)

    monkeypatch.setattr("transpde.attention.normalised.potential", noted)
    tokens = tp.Particles(rng.normal(size=(6, 2)))
    plain = both(tokens)(tokens.points)
    for _ in range(2):
        found = both.field(tokens, how).values(tokens.points)
        assert np.abs(found - plain).max() <= 1e-10
    assert not np.array_equal(starts[4], starts[5])  # each head from its own
    assert [bool(start.any()) for start in starts[2:]] == [False, False, True, True]
    other = tp.Particles(rng.normal(size=(4, 2)))  # of another size: from nothing
    assert np.allclose(both.field(other, how).values(other.points), both(other)(other.points))
    assert not starts[6].any()
    several = tp.Particles(rng.normal(size=(3, 4, 2)))
    for _ in range(2):
        found = both.field(several, how).values(several.points)
    assert np.allclose(found, both(several)(several.points), rtol=1e-9)
    assert not Evaluation().remembering().memory.recall(heads[0], (6,)).any()
    assert Evaluation() == how


# --- a field of any kind is added ----------------------------------------------------------------


def test_any_field_is_added_to_an_attention():
    rng = np.random.default_rng(8)
    head = tp.Softmax(*head_parameters(rng, 2))
    for tokens in (clouds(rng, (), 5, 2), clouds(rng, (3,), 5, 2)):
        x = tokens.points
        for both in (head + np.tanh, (lambda y: np.tanh(y)) + head):
            assert np.allclose(both(tokens)(x), head(tokens)(x) + np.tanh(x), rtol=1e-14)
            assert np.array_equal(both.matrix(tokens), head.matrix(tokens))
            assert both.select((3,), np.array([1])).feed_forward is both.feed_forward
    one = clouds(rng, (), 5, 2)
    assert (head + np.tanh)(one)(one.points[0]) == pytest.approx(
        head(one)(one.points[0]) + np.tanh(one.points[0])
    )
    masked = tp.Masked(head) + np.tanh
    assert np.allclose(
        one.velocities(masked(one)), one.velocities(masked.attention(one)) + np.tanh(one.points)
    )
    grid = tp.Grid(np.linspace(-1, 1, 5), np.full(4, 0.5))
    line = tp.Softmax([[1.0]], [[1.0]], [[1.0]])
    assert np.allclose((line + np.tanh)(grid)([[0.3]]), line(grid)([[0.3]]) + np.tanh(0.3))


# --- distances -----------------------------------------------------------------------------------


def test_distances_of_stacks_are_those_of_their_cases():
    rng = np.random.default_rng(9)
    mu, nu = (clouds(rng, (2, 2), 4, 2, each=False) for _ in range(2))
    nu = tp.Particles(nu.points, mu.weights, mu.positions)
    for distance in (tp.wasserstein, tp.conditional_wasserstein):
        found = distance(mu, nu)
        assert found.shape == (2, 2)
        assert distance(mu[0, 0], nu).shape == (2, 2)
        for i in np.ndindex(2, 2):
            assert found[i] == pytest.approx(distance(mu[i], nu[i]), rel=1e-12)


# --- speed, by turns with the bare sum, with room for a busy machine -----------------------------


def bare(x, Q, K, V):
    """The velocities of tokens under softmax in plain numpy."""
    s = (x @ Q.T) @ (x @ K.T).T
    p = np.exp(s - s.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return (p @ x) @ V.T


def right_hand_side(tokens, attention):
    how, state = Evaluation(), tokens.pack()

    def value():
        measure = tokens.unpack(state)
        return measure.advect(attention.field(measure, how))

    return value


def test_small_clouds_are_summed_as_plainly_as_they_are_written():
    rng = np.random.default_rng(10)
    parameters, x = head_parameters(rng, 2), rng.normal(size=(10, 2))
    ours = right_hand_side(tp.Particles(x), tp.Softmax(*parameters))
    assert ours().reshape(x.shape) == pytest.approx(bare(x, *parameters), abs=1e-14)
    parameters, x = head_parameters(rng, 3), rng.normal(size=(1000, 8, 3))
    ours = right_hand_side(tp.Particles(x), tp.Softmax(*parameters))
    wanted = np.array([bare(case, *parameters) for case in x])
    assert ours().reshape(x.shape) == pytest.approx(wanted, abs=1e-13)


# --- bad input -----------------------------------------------------------------------------------

EYE = [np.eye(2)] * 3
STACK = tp.Particles(np.arange(12.0).reshape(3, 2, 2), positions=[0.0, 1.0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: tp.Particles(np.ones((3, 2, 1)), np.full((2, 2), 0.5)),
            ValueError,
            r"weights: its leading axes must match those of points, \(3,\); got \(2,\)",
        ),
        (
            lambda: tp.Particles(np.ones((2, 1)), np.full((2, 2), 0.5)),
            ValueError,
            r"weights: its leading axes must match those of points, \(\); got \(2,\)",
        ),
        (
            lambda: tp.Particles(np.ones((2, 2, 1)), [[0.5, 0.5], [0.5, 0.6]]),
            ValueError,
            "weights: must sum to one; got a sum of 1.1",
        ),
        (
            lambda: tp.Particles(np.ones((2, 2, 1)), [[0.5, 0.5], [1.5, -0.5]]),
            ValueError,
            r"weights: must be non-negative; got -0.5 at index \(1, 1\)",
        ),
        (
            lambda: tp.Particles(np.ones((3, 2, 1)), positions=np.ones((2, 2))),
            ValueError,
            r"positions: its leading axes must match those of points, \(3,\); got \(2,\)",
        ),
        (lambda: STACK.sample(3, seed=0), ValueError, "sample needs a single cloud; got a stack"),
        (lambda: STACK[0][0], TypeError, "a single cloud has no cases"),
        (lambda: STACK[np.zeros(3, bool)], ValueError, "case: must choose at least one case"),
        (
            lambda: tp.Softmax(np.ones((2, 2, 2)), *EYE[1:])(STACK),
            ValueError,
            r"query: its leading axes must match those of the measure, \(3,\); got \(2,\)",
        ),
        (
            lambda: tp.Masked(tp.Softmax(*EYE[:2], np.ones((2, 2, 2))))(STACK),
            ValueError,
            r"value: its leading axes must match those of the measure, \(3,\); got \(2,\)",
        ),
        (
            lambda: tp.Masked(tp.Softmax(*EYE))(STACK)(np.ones((2, 2)), np.ones((2, 2))),
            ValueError,
            r"positions: its leading axes must match those of the measure, \(3,\); got \(2,\)",
        ),
        (
            lambda: tp.Masked(tp.Softmax(*EYE))(STACK)(np.ones((2, 2)), np.ones(3)),
            ValueError,
            "positions: its length must be that of x, 2; got 3",
        ),
        (
            lambda: tp.Masked(tp.Softmax(*EYE))(STACK)(np.ones(2), -1.0),
            ValueError,
            (
                "positions: there must be mass at or before each position; got -1.0, and the "
                "first token of positive weight is at 0.0"
            ),
        ),
        (lambda: tp.Softmax(*EYE) + 3.0, TypeError, "other: "),
        (
            lambda: (tp.Softmax(*EYE) + np.tanh)(tp.Gaussian([0.0, 0.0], factor=np.eye(2))),
            TypeError,
            "measure: only an affine feed-forward part keeps a Gaussian Gaussian; got ufunc. Give",
        ),
        (
            lambda: (tp.Softmax(*EYE) + (lambda x: x[..., :1]))(STACK)([[1.0, 2.0]]),
            ValueError,
            r"field: its values must have the shape of the points .* \(1, 2\); got \(1, 1\)",
        ),
        (
            lambda: tp.wasserstein(STACK, tp.Particles(np.ones((2, 2, 2)))),
            ValueError,
            r"nu: its leading axes must match those of mu, \(3,\); got \(2,\)",
        ),
        (
            lambda: tp.wasserstein(STACK[0], tp.Particles(np.eye(2), space=tp.Sphere())),
            ValueError,
            r"nu: must be in the space of mu, Euclidean\(\); got Sphere",
        ),
        (lambda: tp.Gaussian.from_particles(np.eye(2)), TypeError, "particles: must be Particles"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
