"""The causal circle by Fourier modes: against tokens in the plane, differences and quadrature."""

import numpy as np
import pytest

import transpde as tp
from transpde.causal_circle import CausalCircle, retrieval_correlations
from transpde.theory import retrieval

CASES = [
    (kind, *numbers)
    for kind in (tp.Unnormalized, tp.Softmax)
    for numbers in ((1.0, 1.0, 1.0), (3.0, 0.0, -1.0), (0.5, 8.0, 2.0), (5.0, 600.0, 1.0))
] + [(tp.Unnormalized, 20.0, 3.0, 1.0)]


def on_the_circle(angles):
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def tokens_of(theta):
    s = np.arange(1, theta.shape[-1] + 1) / theta.shape[-1]
    return tp.Particles(on_the_circle(theta), positions=s, space=tp.Sphere())


def masked(kind, beta, discount, gain):
    root = np.sqrt(beta) * np.eye(2)
    return tp.Masked(kind(root, root, gain * beta * np.eye(2)), discount, strict=True)


@pytest.mark.parametrize(("kind", "beta", "discount", "gain"), CASES)
def test_the_field_is_that_of_a_masked_head(kind, beta, discount, gain):
    theta = np.random.default_rng(0).uniform(0, 2 * np.pi, (3, 40))
    circle = CausalCircle(beta, discount, gain, kind is tp.Softmax)
    cloud = tokens_of(theta)
    v = cloud.velocities(masked(kind, beta, discount, gain)(cloud))
    along = (v * on_the_circle(theta + np.pi / 2)).sum(axis=-1)
    scale = max(1.0, np.abs(along).max())
    assert np.abs(along - circle.field(theta)).max() <= 1e-10 * scale
    assert (circle.field(theta)[:, 0] == 0).all()


def test_the_path_is_the_flow_of_a_masked_head():
    theta = np.random.default_rng(1).uniform(0, 2 * np.pi, 12)
    flow = tp.flow(tokens_of(theta), masked(tp.Unnormalized, 1.0, 2.0, 1.0), [0.0, 1.5],
                   rtol=1e-11, atol=1e-11)  # fmt: skip
    end = CausalCircle(1.0, 2.0).path(theta, 1.5, 200)[-1]
    assert np.abs(on_the_circle(end) - flow.points[-1]).max() <= 1e-9


@pytest.mark.parametrize("normalised", [False, True])
def test_several_heads_add_up(normalised):
    theta = np.random.default_rng(2).uniform(0, 2 * np.pi, (2, 9))
    p = np.random.default_rng(3).normal(size=(2, 9))
    both = CausalCircle([1.0, 2.0], [0.25, 8.0], [1.0, -0.4], normalised)
    one, other = CausalCircle(1.0, 0.25, 1.0, normalised), CausalCircle(2.0, 8.0, -0.4, normalised)
    assert np.abs(both.field(theta) - one.field(theta) - other.field(theta)).max() <= 1e-13
    parts = one.adjoint(theta, p) + other.adjoint(theta, p)
    assert np.abs(both.adjoint(theta, p) - parts).max() <= 1e-13
    assert both.weights(9).shape == (2, 9, 9)
    assert np.abs(both.weights(9)[1] - retrieval.discount_weights(9, 8.0)).max() == 0


@pytest.mark.parametrize(("kind", "beta", "discount", "gain"), CASES)
def test_the_adjoint_is_the_transposed_derivative(kind, beta, discount, gain):
    """Central differences at two steps, with their error of order two taken out."""
    rng = np.random.default_rng(5)
    theta = rng.uniform(0, 2 * np.pi, (4, 15))
    p, direction = rng.normal(size=(2, 4, 15))
    circle = CausalCircle(beta, discount, gain, kind is tp.Softmax)

    def slope(e):
        change = circle.field(theta + e * direction) - circle.field(theta - e * direction)
        return (change * p).sum(axis=-1) / (2 * e)

    e = 1e-3 / np.sqrt(beta)
    wanted = (4 * slope(e / 2) - slope(e)) / 3
    found = (circle.adjoint(theta, p) * direction).sum(axis=-1)
    assert np.abs(found - wanted).max() <= 1e-8 * max(1.0, np.abs(wanted).max())


@pytest.mark.parametrize("normalised", [False, True])
def test_sensitivities_by_differences_and_their_order(normalised):
    theta = np.random.default_rng(6).uniform(0, 2 * np.pi, 12)
    circle = CausalCircle(1.0, 1.0, 1.0, normalised)
    end, fine = circle.sensitivity(theta, 1.0, 64)
    pushed = theta + 1e-5 * np.array([np.eye(12), -np.eye(12)])  # one token at a time
    ends = circle.path(pushed, 1.0, 128)[-1, ..., -1]
    assert np.abs(fine - (ends[0] - ends[1]) / 2e-5).max() <= 1e-9
    assert end[0] == theta[0]
    errors = [np.abs(circle.sensitivity(theta, 1.0, s)[1] - fine).max() for s in (4, 8, 16)]
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert (orders > 3.7).all()
    assert (orders < 4.6).all()


def torus(n, count):
    """Starts of n tokens on a grid, the first at 0: quadrature by rotation invariance."""
    grid = 2 * np.pi * np.arange(count) / count
    rest = np.stack(np.meshgrid(*[grid] * (n - 1), indexing="ij"), axis=-1).reshape(-1, n - 1)
    return np.concatenate([np.zeros((len(rest), 1)), rest], axis=1)


@pytest.mark.parametrize("normalised", [False, True])
def test_integration_by_parts_is_exact(normalised):
    """Both means over all starts of three tokens, by a spectrally accurate rule."""
    start = torus(3, 64)
    end, p = CausalCircle(1.0, 1.0, 1.0, normalised).sensitivity(start, 1.0, 24)
    for n in (1, 2, 3):
        for k in (0, 1):
            cosines = np.cos(n * (end[:, 2] - start[:, k]))
            assert cosines.mean() == pytest.approx((p[:, k] * cosines).mean(), abs=1e-6)
            assert abs(cosines.mean()) > 0.01


@pytest.mark.parametrize("n", [1, 2, 3])
def test_correlations_start_as_stated_at_every_number_of_tokens(n):
    """C = a w t + (a^2 W^2 + c w^2) t^2 / 2 + O(t^3), three tokens, by quadrature."""
    circle, a, c = CausalCircle(1.0, 2.0), retrieval.gain(1.0, n), retrieval.second_gain(1.0, n)
    W, start = circle.weights(3), torus(3, 64)
    law = a * W, (a * W) @ (a * W) + c * W**2
    remainders = []
    for t in (0.04, 0.02):
        end = circle.path(start, t, 8)[-1]
        found = np.array([np.cos(n * (end[:, 2] - start[:, k])).mean() for k in (0, 1)])
        remainders.append(np.abs(found - law[0][2, :2] * t - law[1][2, :2] * t**2 / 2).max())
    assert 7 < remainders[0] / remainders[1] < 9
    assert remainders[0] < 1e-4 * n**3


@pytest.mark.parametrize("normalised", [False, True])
def test_means_over_replicas_are_those_of_quadrature(normalised):
    circle, start = CausalCircle(1.0, 1.0, 1.0, normalised), torus(3, 48)
    end = circle.path(start, 1.0, 12)[-1]
    for control in (False, True):
        found = retrieval_correlations(
            circle, 3, 1.0, orders=(1, 2), replicas=4000, seed=7, control=control
        )
        for i, n in enumerate((1, 2)):
            exact = [np.cos(n * (end[:, 2] - start[:, k])).mean() for k in (0, 1)]
            assert (np.abs(found.mean[i] - exact) <= 3.5 * found.error[i] + 1e-5).all()
            assert (found.error < 0.02).all()


def test_the_control_variate_helps_and_the_first_replicas_are_the_same():
    circle = CausalCircle(1.0, 1.0, modes=8)
    one = {"orders": (1,), "replicas": 400, "seed": 3}
    with_it = retrieval_correlations(circle, 64, 1.0, **one)
    without = retrieval_correlations(circle, 64, 1.0, control=False, **one)
    ratio = (without.error / with_it.error)[0] ** 2
    assert (ratio[[59, 31, 7]] > [8, 4, 1.5]).all()
    deep = [
        retrieval_correlations(circle, 64, 6.0, control=c, steps=12, **one) for c in (False, True)
    ]
    assert (deep[1].error <= 1.01 * deep[0].error).all()  # a fitted coefficient cannot hurt
    again = retrieval_correlations(CausalCircle(1.0, 1.0, modes=8), 64, 1.0, **one)
    assert (again.mean == with_it.mean).all()


def test_a_control_that_does_not_vary_is_left_out():
    how = {"replicas": 50, "seed": 0}
    for rest in (CausalCircle(1.0, gain=0.0), CausalCircle([1.0, 1.0], gain=[1.0, -1.0])):
        found = retrieval_correlations(rest, 5, 1.0, **how)
        assert (found.mean == 0).all()
        assert (found.error == 0).all()
    steep = CausalCircle(1.0, 600.0)  # the weights of early tokens, squared, underflow
    found, plain = (
        retrieval_correlations(steep, 16, 1.0, control=c, **how) for c in (True, False)
    )
    assert (found.mean[0, :4] == plain.mean[0, :4]).all()
    assert found.error[0, 4] < plain.error[0, -1]


def test_what_no_float_holds_is_an_error():
    big, theta = CausalCircle(1.0, gain=1e308), [0.0, 1.0, 2.5]
    for call in (
        lambda: CausalCircle([1.0, 1.0], gain=[1e308, 1e308]).field(theta),
        lambda: big.adjoint(theta, [1e10, 1e10, 1e10]),
    ):
        with pytest.raises(OverflowError, match="no float holds the result"):
            call()


@pytest.mark.parametrize(("normalised", "gain"), [(False, 1.0), (True, 1.0), (False, -1.0)])
def test_particles_follow_the_rollout_up_to_one_over_n(normalised, gain):
    """Sources in the last three quarters; the gap times n is bounded, and of the stated size."""
    n = 64
    circle = CausalCircle(1.0, 1.0, gain, normalised, modes=8)
    found = retrieval_correlations(circle, n, 1.0, orders=(1, 2), replicas=600, seed=11)
    for i, order in enumerate((1, 2)):
        a = gain * retrieval.gain(1.0, order, normalised)
        law = retrieval.rollout(a, 1.0, circle.weights(n))[-1, :-1]
        gap = n * (found.mean[i] - law)[n // 4 - 1 :]
        allowed = 3.5 * n * found.error[i, n // 4 - 1 :] + 2 * order / n
        assert (np.abs(gap) <= allowed).all()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="discount: must be at least 0"):
        CausalCircle(1.0, -0.1)
    with pytest.raises(ValueError, match="beta: must be positive and at most 500"):
        CausalCircle(1e-320)
    with pytest.raises(ValueError, match=r"beta: must be at most 5 .* Use Masked"):
        CausalCircle(20.0, normalised=True)
    with pytest.raises(ValueError, match="gain: its length"):
        CausalCircle([1.0, 2.0], 0.0, [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="n: must be an integer of at least 2"):
        retrieval_correlations(CausalCircle(1.0), 1, 1.0, replicas=9, seed=0)
    with pytest.raises(ValueError, match="covector: must have the shape"):
        CausalCircle(1.0).adjoint([0.0, 1.0], [1.0])


def test_steps_beyond_the_stable_ones_are_refused():
    circle = CausalCircle(1.0)
    start = np.linspace(0.0, 3.0, 6)
    with pytest.raises(ValueError, match="steps: must be at least 977800 for a time of 1e"):
        circle.path(start, 1e6, 4)
    big = CausalCircle(1.0, gain=1e308)
    for call in (
        lambda: big.path(start, 1e3, 2),
        lambda: big.sensitivity(start, 1e3),
        lambda: retrieval_correlations(CausalCircle(300.0), 5, 1.0, replicas=8, seed=0),
    ):
        with pytest.raises(ValueError, match="steps: must be at least 1000000000000000 for"):
            call()
    few = int(np.ceil(20 * np.e / 2.78))
    assert np.abs(circle.path(start, 20.0, few)).max() < np.pi
    end = circle.path(start, 20.0, 2 * few)[-1]
    assert np.abs(end - circle.path(start, 20.0, 50 * few)[-1]).max() < 1e-2
