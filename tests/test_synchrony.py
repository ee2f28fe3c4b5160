"""Pairs of tokens under common noise: closed forms, densities and means by independent routes."""

import numpy as np
import pytest
from scipy.integrate import quad

import transpde as tp
from transpde.noise import ArcCosine, CommonNoise, FromActivation, LinearKernel, RandomFeatures
from transpde.theory import synchrony

TANH = (np.tanh, lambda z: np.cosh(z) ** -2)


def tanh(d, gain=1.0, bias=0.0):
    g = float(gain)
    return FromActivation(
        lambda z: np.tanh(g * z), lambda z: g * np.cosh(g * z) ** -2, d, bias, bias
    )


def hermite(k):
    """He_k / sqrt(k!) and its derivative at unit variance: d = 1 / (1 - bias^2)."""
    roots = np.polynomial.hermite_e.HermiteE.basis(k) / np.sqrt(np.prod(np.arange(1.0, k + 1)))
    return roots, roots.deriv()


def pairs(count, d, angle):
    x = np.zeros((count, 2, d))
    x[:, 0, 0], x[:, 1, 0], x[:, 1, 1] = 1.0, np.cos(angle), np.sin(angle)
    return tp.Particles(x, space=tp.Sphere())


def gaps(points):
    return ((points[:, 0] - points[:, 1]) ** 2).sum(axis=-1) / 2


# --- drift and noise of a pair -------------------------------------------------------------------


@pytest.mark.parametrize("d", [2, 3, 7])
def test_motion_of_a_pair_is_that_of_one_small_layer(d):
    """First and second moments of a step, by a field of exact covariance."""
    kernel, angle, h = RandomFeatures(1.2), 1.1, 1e-4
    noise, count = CommonNoise(kernel, 8), 400_000
    head = tp.Softmax(0.7 * np.eye(d), np.eye(d), -0.6 * np.eye(d))
    start = pairs(1, d, angle)
    turned = start.push(head(start), h).points
    drift = (2 * np.arcsin(np.linalg.norm(turned[0, 0] - turned[0, 1]) / 2) - angle) / h
    # Odd draws cancel in the mean of the field and its negative.
    stack = pairs(count, d, angle)
    G = noise.draw(stack.points, seed=d)
    ends = []
    for sign in (1, -1):
        y = start.space.retract(stack.points + sign * np.sqrt(h) * G)
        ends.append(2 * np.arcsin(np.linalg.norm(y[:, 0] - y[:, 1], axis=-1) / 2) - angle)
    first, second = (ends[0] + ends[1]) / 2 / h, (ends[0] ** 2 + ends[1] ** 2) / 2 / h
    motion = synchrony.pair_drift(kernel, d, angle, -0.6, 0.7)
    alone = synchrony.pair_drift(kernel, d, angle)
    for sample, value in ((first, alone.drift), (second, motion.variance)):
        assert abs(sample.mean() - value) < 3.5 * sample.std() / count**0.5 + 5e-3
    assert motion.drift - alone.drift == pytest.approx(drift, rel=1e-3)


def test_an_angle_is_a_martingale_in_the_plane_and_for_linear_fields():
    theta = np.linspace(0.01, 3.1, 50)
    assert np.abs(synchrony.pair_drift(RandomFeatures(2.0), 2, theta).drift).max() == 0
    assert np.abs(synchrony.pair_drift(LinearKernel(0.7), 9, theta).drift).max() < 1e-13
    assert np.abs(synchrony.pair_drift(LinearKernel(0.7, 0.1), 9, theta).drift).min() > 1e-3


# --- exponents -----------------------------------------------------------------------------------


def test_exponents_are_those_of_a_close_pair():
    for kernel, d in ((ArcCosine(7, 0.3, 0.1), 7), (tanh(5), 5), (RandomFeatures(1.1), 4)):
        motion = synchrony.pair_drift(kernel, d, 1e-5)
        drift, variance = motion.drift / 1e-5, motion.variance / 1e-10
        assert synchrony.lyapunov(kernel, d) == pytest.approx(drift - variance / 2, abs=1e-4)
        assert kernel.at_one + kernel.slope == pytest.approx(variance, rel=1e-4)
        found = synchrony.moment_exponent(kernel, d, 2.0)
        assert synchrony.energy_exponent(kernel, d) == pytest.approx(found, abs=1e-14)


@pytest.mark.parametrize("d", [2, 3, 4, 5, 8])
def test_each_hermite_mode_has_an_exponent(d):
    bias = np.sqrt(1 - 1 / d)
    for k in range(6):
        kernel = FromActivation(*hermite(k), d, bias) if k else LinearKernel(1e-300, 1.0)
        wanted = ((d - 3) * k / d - (d - 1)) / 2
        assert synchrony.lyapunov(kernel, d) == pytest.approx(wanted, abs=1e-9)


def test_every_activation_synchronises_in_the_plane_and_on_the_sphere():
    for d in (2, 3):
        for gain in (0.5, 2.0, 3.0):
            assert synchrony.lyapunov(tanh(d, gain), d) < 0
        assert synchrony.lyapunov(RandomFeatures(30.0), d) < 0


def test_regimes_of_random_features():
    for d in (4, 5, 8, 20):
        first, second = (d - 3) / (d - 1), (d - 1) / (d - 3)
        for edge, exponent in ((first, synchrony.energy_exponent), (second, synchrony.lyapunov)):
            below, above = (exponent(RandomFeatures((edge * c) ** 0.5), d) for c in (0.999, 1.001))
            assert below < 0 < above
    assert synchrony.energy_exponent(RandomFeatures(1e-3), 3) > 0  # not for d = 3


def test_attention_near_consensus_shifts_the_exponent():
    d, n, v = 3, 5, -0.7
    x = np.random.default_rng(0).normal(size=(n, d)) * 1e-6 + np.eye(d)[0]
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    head = tp.Softmax([[1.0, 2, 0], [0, -3, 1], [1, 1, 1]], np.eye(d), v * np.eye(d))
    cloud = tp.Particles(x, space=tp.Sphere())
    velocity = cloud.velocities(head(cloud))
    apart = x - x.mean(axis=0)
    assert np.abs(velocity[:, 1:] + v * apart[:, 1:]).max() < 1e-4 * np.abs(apart).max()
    assert synchrony.lyapunov(LinearKernel(), d, v) == synchrony.lyapunov(LinearKernel(), d) - v


@pytest.mark.parametrize(
    ("d", "wanted"), [(5, 6.2444), (16, 3.7318), (64, 3.9653), (128, 4.3878), (768, 6.2250)]
)
def test_critical_gain_of_tanh(d, wanted):
    low, high = (synchrony.lyapunov(tanh(d, wanted + e), d) for e in (-1e-4, 1e-4))
    assert low < 0 < high


def test_exponents_in_layers_tend_to_the_theory_and_need_a_width():
    noise = CommonNoise(RandomFeatures(0.7), 8)
    rates = synchrony.layer_exponents(noise, 3, 0.01, 200, replicas=400, seed=1)
    assert abs(rates.mean() - synchrony.lyapunov(noise.kernel, 3)) < 3.5 * rates.std() / 20 + 0.02
    with pytest.raises(ValueError, match="finite width"):
        synchrony.layer_exponents(CommonNoise(noise.kernel), 3, 0.01, 20, replicas=2, seed=1)


# --- stationary pairs ----------------------------------------------------------------------------


def test_stationary_density_under_repulsion():
    kernel, d = ArcCosine(16, 0.2, 0.2), 16
    theta = (np.arange(4000) + 0.5) * np.pi / 4000
    p = synchrony.pair_density(kernel, d, theta, value=-1.0)
    assert p.sum() * np.pi / 4000 == pytest.approx(1, abs=1e-6)
    assert (p * np.cos(theta)).sum() * np.pi / 4000 == pytest.approx(0.39797, abs=1e-5)
    # The flux b p - (q p)' / 2 of a stationary density vanishes.
    motion = synchrony.pair_drift(kernel, d, theta, value=-1.0)
    flux = motion.drift * p - np.gradient(motion.variance * p, theta) / 2
    assert np.abs(flux[5:-5]).max() < 1e-4 * np.abs(motion.drift * p).max()
    assert synchrony.pair_density(kernel, d, theta) is None


@pytest.mark.parametrize("odd", [False, True])
def test_stationary_density_of_chaos_by_plain_quadrature(odd):
    d = 6
    kernel = tanh(d, 7.0) if odd else RandomFeatures(1.8)
    theta = np.linspace(0.3, 2.8, 9)
    p = synchrony.pair_density(kernel, d, theta)

    def rate(t):
        motion = synchrony.pair_drift(kernel, d, t)
        return 2 * motion.drift / motion.variance

    for k in range(8):
        inside = quad(rate, theta[k], theta[k + 1], epsabs=1e-10)[0]
        q = synchrony.pair_drift(kernel, d, theta[k : k + 2]).variance
        assert np.log(p[k + 1] * q[1] / p[k] / q[0]) == pytest.approx(inside, abs=1e-6)
    s = np.arange(-30, 12, 0.1)
    fine = 2 * np.arctan(np.exp(s))
    inside = synchrony.pair_density(kernel, d, fine) * np.sin(fine)
    if odd:  # one half of all is on each side
        assert inside[s < -0.01].sum() * 0.1 + inside[300] * 0.05 == pytest.approx(0.5, abs=2e-4)
    else:
        assert inside.sum() * 0.1 == pytest.approx(1, abs=2e-4)


# --- mean energies -------------------------------------------------------------------------------


def test_mean_energy_grows_before_it_decays():
    kernel, times = ArcCosine(4), [0.0, 8.0, 24.0, 48.0, 128.0]
    found = synchrony.mean_energy(kernel, 4, 1e-3, times)
    assert np.abs(found / [1e-3, 0.004969, 0.009289, 0.005427, 3.154e-4] - 1).max() < 5e-4
    bound = np.exp(-24 / 32) * 1e-3**0.25
    quarter = synchrony.mean_energy(kernel, 4, 1e-3, times[:3], order=0.25)[-1]
    assert quarter <= bound
    assert round(quarter, 4) == 0.0814
    assert round(bound, 4) == 0.0840


@pytest.mark.parametrize("time", [3000.0, 1e9, 1e200])
def test_mean_energy_refuses_what_it_cannot_hold(time):
    for kernel in (ArcCosine(4), RandomFeatures(0.1), LinearKernel(1e5)):
        with pytest.raises(ValueError, match="times"):
            synchrony.mean_energy(kernel, 4, 1e-3, [0.0, time])


def test_mean_energy_of_constant_noise_is_exact():
    """A constant field leaves r = 1 - rho the drift -(d-1) kappa r + kappa r (2 - r)."""
    d, c = 5, 0.8
    kernel = LinearKernel(1e-12, c)
    rng, start = np.random.default_rng(0), np.array([1e-3, 0.4, 2.0])
    found = synchrony.mean_energy(kernel, d, start, [0.0, 0.05])
    h, r = 1e-3, np.broadcast_to(start, (200_000, 3)).copy()
    for _ in range(50):
        motion = synchrony._rates(kernel, d, np.clip(r, 1e-300, 2.0))
        step = r * motion[0] * h + r * np.sqrt(motion[1] * h) * rng.normal(size=r.shape)
        r = np.clip(r + step, 1e-300, 2.0)
    error = r.std(axis=0) / len(r) ** 0.5
    assert (np.abs(r.mean(axis=0) - found[1]) < 3.5 * error + 3e-3 * found[1]).all()


def test_mean_energy_against_layers():
    kernel, d = ArcCosine(4), 4
    start = pairs(4000, d, 2.0)
    path = tp.layers(start, None, 100, 0.02, noise=CommonNoise(kernel, 32), seed=2)
    r = gaps(path.final.points)
    exact = synchrony.mean_energy(kernel, d, 1 - np.cos(2.0), [0.0, 2.0])[1]
    assert abs(r.mean() - exact) < 3.5 * r.std() / 4000**0.5 + 0.002


@pytest.mark.parametrize("d", [4, 5, 16, 64])
def test_relu_contracts_by_one_over_8d(d):
    assert synchrony.contraction_rate(ArcCosine(d), d, 0.25) == pytest.approx(1 / (8 * d), 1e-5)
    assert synchrony.energy_exponent(ArcCosine(d), d) == pytest.approx(1 / d, rel=1e-12)


def test_inequality_behind_relu_in_dimension_four():
    theta = np.linspace(1e-3, np.pi, 2001)
    r, j = 1 - np.cos(theta), (np.sin(theta) - theta * np.cos(theta)) / (2 * np.pi)
    assert (j * (12 + 2 * r + 2 * r**2) - r**3 > -1e-12).all()
    assert (j - r**2 / 8 > -1e-12).all()


def test_rates_below_dimension_four_are_not_those_of_close_pairs():
    three = synchrony.contraction_rate(ArcCosine(3), 3, 0.25)
    two = synchrony.contraction_rate(ArcCosine(2), 2, 0.25)
    assert round(three, 4) == 0.0415  # 0.0417 near consensus
    assert two == pytest.approx(1 / 32, abs=1e-6)


@pytest.mark.parametrize("s2", [0.1, 0.4, 0.8, 1.6])
def test_random_features_contract_as_close_pairs_do(s2):
    kernel = RandomFeatures(s2**0.5)
    order = min(1.0, -synchrony.lyapunov(kernel, 5) / (2 * (1 + s2)))
    rate = synchrony.contraction_rate(kernel, 5, order)
    assert rate == pytest.approx(-synchrony.moment_exponent(kernel, 5, 2 * order), abs=1e-3)


@pytest.mark.parametrize("order", [0.1, 0.5, 1.0])
def test_means_fall_at_least_at_the_rate(order):
    for kernel, d in ((ArcCosine(6), 6), (RandomFeatures(0.5), 5), (tanh(4, 1.0, 0.3), 4)):
        rate = synchrony.contraction_rate(kernel, d, order)
        times, start = np.array([0.0, 1.0, 5.0]), np.array([0.01, 0.5, 2.0])
        means = synchrony.mean_energy(kernel, d, start, times, order)
        bound = np.exp(-rate * times)[:, None] * start**order
        assert (means <= bound * (1 + 2e-3)).all()


# --- who joins whom ------------------------------------------------------------------------------


def test_linear_noise_joins_with_a_linear_probability():
    angles = np.array([0.01, 0.5, 1.0, 2.0, 3.1])
    for d in (2, 4, 9):
        found = [synchrony.joining_probability(LinearKernel(0.6), d, t) for t in angles]
        assert np.abs(found - (1 - angles / np.pi)).max() < 1e-7


def test_tanh_joins_by_its_scale_function():
    kernel, d = tanh(4), 4
    assert synchrony.joining_probability(kernel, d, 1.0) == pytest.approx(0.67788, abs=1e-5)
    assert synchrony.joining_probability(kernel, d, np.pi / 2) == pytest.approx(0.5, abs=1e-9)

    def slope(t):
        motion = synchrony.pair_drift(kernel, d, t)
        return 2 * motion.drift / motion.variance

    def scale(t):
        return np.exp(-quad(slope, 1.0, t, epsabs=1e-11)[0])

    found = [synchrony.joining_probability(kernel, d, t) for t in (0.9, 1.0, 1.2)]
    first, second = (quad(scale, *ends)[0] for ends in ((0.9, 1.0), (1.0, 1.2)))
    assert (found[0] - found[1]) / (found[1] - found[2]) == pytest.approx(first / second, rel=1e-5)


@pytest.mark.parametrize("gain", [3.0, 3.7])
def test_what_is_beyond_the_nodes_is_counted(gain, monkeypatch):
    """Close to the edge scale and density have long tails."""
    kernel, angle = tanh(16, gain), 0.3
    found = synchrony.joining_probability(kernel, 16, angle)
    density = synchrony.pair_density(tanh(16, 3.8), 16, angle)
    monkeypatch.setattr(synchrony, "REACH", 120.0)
    monkeypatch.setattr(synchrony, "CELLS", 12000)
    assert synchrony.joining_probability(kernel, 16, angle) == pytest.approx(found, rel=1e-7)
    assert synchrony.pair_density(tanh(16, 3.8), 16, angle) == pytest.approx(density, rel=1e-6)


def test_joining_is_certain_or_impossible_where_nothing_absorbs():
    assert synchrony.joining_probability(ArcCosine(4), 4, 3.0) == 1.0
    assert synchrony.joining_probability(RandomFeatures(3.0), 5, 0.1) == 0.0


def test_linear_layers_cut_by_a_great_circle():
    """Signs of the cosine: one minus the angle over pi of the pairs have joined."""
    start = pairs(3000, 3, 1.0)
    path = tp.layers(start, None, 120, 0.05, noise=CommonNoise(LinearKernel()), seed=0)
    cosine = 1 - gaps(path.final.points)
    assert np.median(np.abs(cosine)) > 0.99
    share = (cosine > 0).mean()
    assert abs(share - (1 - 1 / np.pi)) < 3.5 * np.sqrt(share * (1 - share) / 3000)


# --- the far end of odd kernels, ends of angles, huge numbers ------------------------------------


@pytest.mark.parametrize(
    ("kernel", "d", "value", "beta"),
    [(LinearKernel(), 4, -2.0, 1.0), (tanh(4), 4, -1.0, 1.0), (tanh(16, 6.0), 16, -3.0, 0.0)],
)
def test_repulsion_of_odd_noise_makes_tokens_opposite(kernel, d, value, beta):
    """Close tokens part, opposite ones attract: there is no stationary density."""
    assert synchrony.lyapunov(kernel, d, value) > 0
    assert synchrony.pair_density(kernel, d, [1.0, 2.0], value, beta) is None
    x = pairs(40, d, 3.1)
    head = tp.Softmax(beta * np.eye(d), np.eye(d), value * np.eye(d))
    end = tp.layers(x, head, 1000, 0.02, noise=CommonNoise(kernel, 8), seed=0).final.points
    assert (2 - gaps(end) < 1e-3).mean() > 0.7


@pytest.mark.parametrize("value", [-0.6, 0.0, 0.3])
def test_stationary_density_of_odd_noise_has_two_ends_of_its_own(value):
    """Its integral is one, with attention that treats the ends differently."""
    kernel, d, beta = tanh(16, 6.0), 16, 0.2
    s = np.arange(-36, 30, 0.02)
    theta = 2 * np.arctan(np.exp(s))
    density = synchrony.pair_density(kernel, d, theta, value, beta) * np.sin(theta)
    assert density.sum() * 0.02 == pytest.approx(1, abs=1e-6)


def test_the_parabola_beside_two_lambda():
    """The mean energy grows faster than that of a typical pair, and not always than its angle."""
    for kernel, d in ((ArcCosine(7, 0.3, 0.1), 7), (tanh(5), 5), (RandomFeatures(0.1), 128)):
        gap = synchrony.energy_exponent(kernel, d) - 2 * synchrony.lyapunov(kernel, d)
        assert gap == pytest.approx(2 * (kernel.at_one + kernel.slope), rel=1e-10)
    wide = RandomFeatures(0.1), 128
    assert synchrony.energy_exponent(*wide) < synchrony.lyapunov(*wide)


@pytest.mark.parametrize("short", [1e-12, 1e-9, 1e-5, 0.1])
def test_motion_under_odd_noise_is_symmetric_to_the_last_digits(short):
    """Near opposite tokens a difference of kernels would be rounding."""
    for kernel, d in ((LinearKernel(0.7), 4), (tanh(9, 6.0), 9)):
        close, opposite = (synchrony.pair_drift(kernel, d, a) for a in (short, np.pi - short))
        tolerance = 1e-12 + 1e-15 / short
        assert opposite.variance == pytest.approx(close.variance, rel=4 * tolerance)
        assert opposite.drift == pytest.approx(-close.drift, rel=4 * tolerance, abs=1e-13 * short)


def test_in_the_plane_an_angle_is_folded_where_tokens_are_opposite():
    """Its mean is constant before, as it has no drift, and falls after."""
    kernel, h = RandomFeatures(1.0), 0.02
    start = pairs(4000, 2, 3.0)
    path = tp.layers(start, None, 200, h, noise=CommonNoise(kernel, 16), seed=3)
    angle = 2 * np.arcsin(np.minimum(np.sqrt(gaps(path.final.points) / 2), 1.0))
    assert angle.mean() < 2.9 - 3.5 * angle.std() / 4000**0.5


@pytest.mark.parametrize("angle", [1e-300, 1e-30, 1e-17, 1e-10])
def test_probabilities_at_tiny_angles_are_powers(angle):
    linear = synchrony.joining_probability(LinearKernel(), 4, angle)
    assert 1 - 1e-9 < linear <= 1
    kernel = tanh(16, 3.7)
    exponent = -2 * synchrony.lyapunov(kernel, 16) / (kernel.at_one + kernel.slope)
    apart = [1 - synchrony.joining_probability(kernel, 16, a) for a in (angle, 1e-12)]
    assert apart[0] / apart[1] == pytest.approx((angle / 1e-12) ** exponent, rel=1e-5)


def test_density_at_tiny_angles_is_a_power():
    kernel, d = RandomFeatures(1.8), 6
    exponent = 2 * synchrony.lyapunov(kernel, d) / (1 + kernel.slope) - 1
    p = synchrony.pair_density(kernel, d, np.array([1e-60, 1e-12]))
    assert p[0] / p[1] == pytest.approx(1e-48**exponent, rel=1e-6)


@pytest.mark.parametrize(
    "call",
    [
        lambda: RandomFeatures(1e160),
        lambda: LinearKernel(1.7e308),
        lambda: ArcCosine(3, 1e160),
        lambda: synchrony.moment_exponent(RandomFeatures(), 5, 1e160),
        lambda: synchrony.pair_drift(RandomFeatures(), 5, 1.0, -1e308),
    ],
)
def test_numbers_whose_squares_are_no_floats_are_named(call):
    with pytest.raises(ValueError, match="1e100; got"):
        call()


def test_tokens_beyond_floats_raise():
    far = 1e200 * np.eye(3)
    for kernel in (LinearKernel(), ArcCosine(3)):
        with pytest.raises(OverflowError, match="noise: the field"):
            CommonNoise(kernel).draw(far, seed=0)
    with pytest.raises(OverflowError, match="noise: the field"):
        CommonNoise(LinearKernel(), 4).step(tp.Particles(1e160 * np.eye(3)), 1e300, seed=0)
