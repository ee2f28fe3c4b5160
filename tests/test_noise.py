"""Common noise: kernels against integrals and networks, layers against their limit."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import roots_genlaguerre

import transpde as tp
from transpde.convergence import fitted_order
from transpde.noise import ArcCosine, CommonNoise, FromActivation, LinearKernel, RandomFeatures
from transpde.noise.kernels import NoiseKernel
from transpde.theory import synchrony

TANH = (np.tanh, lambda z: np.cosh(z) ** -2)
KERNELS = {
    "relu": ArcCosine(3, 0.3, 0.2),
    "relu without biases": ArcCosine(3),
    "linear": LinearKernel(0.5, 0.1),
    "cosines": RandomFeatures(1.3),
    "tanh": FromActivation(*TANH, 3, 0.3, 0.2),
}
RHO = np.array([-1.0, -0.7, -0.1, 0.4, 0.9, 0.999, 1.0])


def sphere(shape, seed):
    x = np.random.default_rng(seed).normal(size=shape)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def cloud(shape, seed):
    return tp.Particles(sphere(shape, seed), space=tp.Sphere())


# --- kernels -------------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [0.0, 0.4])
def test_arc_cosine_is_the_mean_of_two_relus(bias):
    """In polar coordinates of two independent normal inputs."""
    kernel = ArcCosine(5, bias, 0.3)
    v = 1 / 5 + bias**2
    for rho in RHO:
        phi = np.arccos((rho / 5 + bias**2) / v)
        inside = quad(lambda a, phi=phi: np.cos(a) * np.cos(a - phi), phi - np.pi / 2, np.pi / 2)[
            0
        ]
        assert kernel(rho) == pytest.approx(v * inside / np.pi + 0.09, abs=1e-13)


def test_sine_has_a_closed_kernel():
    kernel = FromActivation(np.sin, np.cos, 4, 0.5, 0.2)
    covariance, v = RHO / 4 + 0.25, 0.5
    assert np.abs(kernel(RHO) - np.exp(-v) * np.sinh(covariance) - 0.04).max() < 1e-14
    assert kernel.slope == pytest.approx(np.exp(-v) * np.cosh(v) / 4, rel=1e-14)


@pytest.mark.parametrize("name", KERNELS)
def test_a_chord_is_a_difference_and_tends_to_the_slope(name):
    kernel = KERNELS[name]
    gap = np.array([2.0, 1.3, 0.1, 1e-3])
    difference = (kernel.at_one - kernel(1 - gap)) / gap
    assert np.abs(kernel.secant(gap) / difference - 1).max() < 1e-11
    close = kernel.secant(np.geomspace(1e-30, 1e-8, 23))
    assert np.abs(close / kernel.slope - 1).max() < 1e-4
    assert (np.diff(close) <= 1e-7 * kernel.slope).all() or name == "linear"


def test_chords_of_an_activation_by_coefficients_and_by_integrals():
    kernel, gap = KERNELS["tanh"], np.geomspace(1e-6, 2, 20)
    assert np.abs(kernel._by_integrals(gap) / kernel.secant(gap) - 1).max() < 1e-9
    assert kernel.secant(np.array([1e-300]))[0] == pytest.approx(kernel.slope, rel=1e-12)


def test_the_chord_of_relu_keeps_its_small_part():
    gap = np.geomspace(1e-12, 1e-3, 30)
    theta = 2 * np.arcsin(np.sqrt(gap / 2))
    lost = (0.5 - 3 * ArcCosine(3).secant(gap)) * 2 * np.pi
    assert np.abs(lost / (2 * theta / 3) - 1)[gap > 1e-8].max() < 1e-3


@pytest.mark.parametrize("name", KERNELS)
def test_networks_of_every_width_and_fields_have_the_covariance(name):
    kernel, x = KERNELS[name], sphere((4, 3), 0)
    gram = kernel(np.clip(x @ x.T, -1, 1))
    assert np.abs(kernel.gram(x) - gram).max() < 1e-12
    for noise in (CommonNoise(kernel, 1), CommonNoise(kernel, 8), CommonNoise(kernel)):
        G = noise.draw(np.broadcast_to(x, (20000, 4, 3)), seed=1)
        products = np.einsum("rid,rje->rijde", G, G).reshape(20000, -1)
        wanted = np.einsum("ij,de->ijde", gram, np.eye(3)).ravel()
        error = products.std(axis=0) / 20000**0.5
        assert (np.abs(products.mean(axis=0) - wanted) < 4.5 * error + 1e-12).all()  # 144 means


def test_kernels_beyond_the_sphere_are_those_of_their_networks():
    x = np.random.default_rng(3).normal(size=(3, 3))
    for kernel in KERNELS.values():
        G = CommonNoise(kernel, 4).draw(np.broadcast_to(x, (40000, 3, 3)), seed=2)
        products = np.einsum("rid,rjd->rij", G, G) / 3
        error = products.std(axis=0) / 200
        assert (np.abs(products.mean(axis=0) - kernel.gram(x)) < 3.5 * error).all()


def test_odd_kernels_are_known():
    odd = {name for name, kernel in KERNELS.items() if kernel.odd}
    assert odd == set()
    assert LinearKernel().odd
    assert FromActivation(*TANH, 4).odd
    assert not ArcCosine(4).odd


# --- layers --------------------------------------------------------------------------------------


def test_one_token_is_a_walk_whose_mean_is_known_at_every_step():
    r"""$\mathbb E\langle x_k, x_0\rangle = c(h)^k$ by isotropy, with the weak order 1."""
    d, T, kappa = 3, 1.0, 0.5  # in d = 4 its error is of order 2
    g, mass = np.polynomial.hermite_e.hermegauss(60)
    half, chi = roots_genlaguerre(60, (d - 1) / 2 - 1)  # of half a chi-square

    def c(h):
        along = 1 + np.sqrt(h * kappa) * g[:, None]
        cosine = along / np.sqrt(along**2 + 2 * h * kappa * half)
        return mass @ cosine @ chi / (mass.sum() * chi.sum())

    exact, steps = np.exp(-(d - 1) * kappa * T / 2), np.array([0.2, 0.1, 0.05, 0.025])
    walk = np.array([c(h) ** round(T / h) for h in steps])
    assert fitted_order(1 / steps, np.abs(walk - exact)) == pytest.approx(-1, abs=0.1)
    start = tp.Particles(np.broadcast_to(np.eye(3)[:1], (40000, 1, 3)), space=tp.Sphere())
    for h, mean in zip(steps[:2], walk[:2], strict=True):
        noise = CommonNoise(LinearKernel(kappa))
        end = tp.layers(start, None, round(T / h), h, noise=noise, seed=5).final.points[:, 0, 0]
        assert abs(end.mean() - mean) < 3.5 * end.std() / 200


def test_weak_order_of_pairs_against_the_backward_equation():
    kernel, T, r = RandomFeatures(1.0), 1.0, 0.5
    exact = synchrony.mean_energy(kernel, 4, r, [0.0, T])[1]
    x = np.array([[1.0, 0, 0, 0], [1 - r, np.sqrt(1 - (1 - r) ** 2), 0, 0]])
    pairs = tp.Particles(np.broadcast_to(x, (40000, 2, 4)), space=tp.Sphere())
    found = []
    for depth in (5, 10, 20):
        noise = CommonNoise(kernel, 6)
        end = tp.layers(pairs, None, depth, T / depth, noise=noise, seed=depth).final.points
        gap = ((end[:, 0] - end[:, 1]) ** 2).sum(axis=1) / 2
        found.append((gap.mean() - exact, gap.std() / len(gap) ** 0.5))
    errors, noise = np.array(found).T
    # Extrapolated by order 1 the mean is that of the limit; by order 1/2 or 0 it is not.
    assert abs(2 * errors[2] - errors[1]) < 3.5 * np.hypot(2 * noise[2], noise[1])
    assert abs(errors[0]) > 8 * noise[0]
    assert abs(errors[0] - 2 * errors[1]) < 3.5 * np.hypot(noise[0], 2 * noise[1])


class Matrices(LinearKernel):
    """G(x) = Bx + b with B itself as the second layer: sums of draws are draws."""

    def network(self, rng, stack, width, d):
        return ()

    def hidden(self, points, drawn):
        return np.sqrt(self.scale * points.shape[-1]) * points


def test_strong_order_is_one_half():
    noise, rng = CommonNoise(Matrices(1 / 3, 0.25), 3), np.random.default_rng(7)
    start = tp.Particles(sphere((300, 4, 3), 1), space=tp.Sphere())
    depths, gaps = np.array([8, 16, 32, 64, 128]), []
    for depth in depths:
        coarse = fine = start
        for _ in range(depth):
            parts = [noise.drawn(rng, start.points.shape) for _ in range(16)]
            for drawn in parts:
                fine = noise.pushed(fine, drawn, 1 / (16 * depth))
            total = tuple(np.sum(one, axis=0) / 4 for one in zip(*parts, strict=True))
            coarse = noise.pushed(coarse, total, 1 / depth)
        square = ((coarse.points - fine.points) ** 2).sum(axis=-1).mean()
        gaps.append(np.sqrt(square))
    assert fitted_order(depths, gaps) == pytest.approx(-0.5, abs=0.08)


def test_a_seed_fixes_every_draw_and_cases_differ():
    stack, noise = cloud((3, 5, 3), 0), CommonNoise(ArcCosine(3))
    head = tp.Softmax(np.eye(3), np.eye(3), np.eye(3))
    path = tp.layers(stack, head, 8, 0.1, noise=noise, seed=4)
    again = tp.layers(stack, head, 8, 0.1, noise=noise, seed=np.random.default_rng(4))
    other = tp.layers(stack, head, 8, 0.1, noise=noise, seed=5)
    assert (path.points == again.points).all()
    assert np.abs(path.points[1:] - other.points[1:]).max() > 0.01
    same = tp.Particles(np.broadcast_to(stack.points[0], (2, 5, 3)), space=tp.Sphere())
    two = tp.layers(same, head, 8, 0.1, noise=noise, seed=4).points
    assert np.abs(two[1:, 0] - two[1:, 1]).max() > 0.01
    assert np.abs(np.linalg.norm(path.points, axis=-1) - 1).max() < 1e-12
    steps = np.diff(path.points, axis=0)
    assert (np.abs(steps).max(axis=(1, 2, 3)) > 1e-3).all()  # a fresh draw in each layer
    assert np.abs(steps[0] - steps[1]).max() > 0.01


def test_layers_are_attention_and_then_the_noise_of_their_own_keys():
    start, noise = cloud((5, 3), 0), CommonNoise(RandomFeatures(1.0), 6)
    head = tp.Softmax(np.eye(3), np.eye(3), np.eye(3))
    path = tp.layers(start, head, 3, 0.1, noise=noise, seed=9)
    keys = np.random.default_rng(9).integers(1 << 62, size=2).tolist()
    x = start
    for i in range(3):
        x = noise.step(x.push(head(x), 0.1), 0.1, [*keys, i])
        assert np.abs(x.points - path.points[i + 1]).max() < 1e-14
    still = tp.layers(start, None, 1, 0.1, noise=noise, seed=9).final
    assert np.abs(still.points - noise.step(start, 0.1, [*keys, 0]).points).max() < 1e-14


def test_paths_with_noise_go_on_and_carry():
    stack = cloud((3, 5, 3), 0)
    wide = tp.layers(stack, None, 8, 0.1, noise=CommonNoise(ArcCosine(3), 16), seed=1)
    one = wide.case(2)
    assert np.abs(one(0.35).points - wide(0.35).points[2]).max() < 1e-14
    test = sphere((3, 2, 3), 8)
    carried = wide.carry(np.concatenate([stack.points[:, :1], test], axis=1))
    assert np.abs(carried[:, :, 0] - wide.points[:, :, 0]).max() < 1e-14
    infinite = tp.layers(stack, None, 8, 0.1, noise=CommonNoise(ArcCosine(3)), seed=1)
    with pytest.raises(ValueError, match="finite width"):
        infinite.carry(test)


def test_noise_in_all_of_space_moves_by_the_field_alone():
    x = np.random.default_rng(0).normal(size=(4, 2))
    noise = CommonNoise(RandomFeatures(1.0), 5)
    moved = noise.step(tp.Particles(x), 0.25, seed=3).points
    assert np.abs(moved - x - 0.5 * noise.draw(x, seed=3)).max() < 1e-15


# --- what is refused -----------------------------------------------------------------------------


class Indefinite(NoiseKernel):
    at_one, slope = 1.0, -1.0

    def secant(self, gap):
        return -np.ones_like(gap)


def relu(z):
    return np.maximum(z, 0)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: tp.layers(x, None, 2, 0.1, noise=CommonNoise(ArcCosine(3))), ValueError,
         "seed: a noise needs a seed"),
        (lambda x: tp.layers(x, tp.Linear(*np.zeros((3, 3, 3))), 2, 0.1, seed=1), ValueError,
         "seed: is that of a noise"),
        (lambda x: tp.layers(x, None, 2, 0.1), TypeError, "attention"),
        (lambda x: tp.layers(x, None, 2, -0.1, noise=CommonNoise(ArcCosine(3)), seed=1),
         ValueError, "step: must be a positive"),
        (lambda x: tp.layers(x, None, 2, 0.1, noise=CommonNoise(ArcCosine(4)), seed=1),
         ValueError, "noise: its dimension"),
        (lambda x: tp.layers(tp.Gaussian([0.0], factor=[[1.0]]), None, 2, 0.1,
                             noise=CommonNoise(LinearKernel()), seed=1), TypeError, "measure"),
        (lambda x: tp.layers(x, None, 2, 0.1, noise=CommonNoise(Indefinite()), seed=1),
         ValueError, "kernel: must be positive definite"),
        (lambda x: CommonNoise(RandomFeatures(1.0)).step(x, 0.0, seed=1), ValueError, "step"),
        (lambda x: CommonNoise(Indefinite(), 3), TypeError, "width"),
        (lambda x: Indefinite().gram(2 * x.points), ValueError, "unit sphere"),
        (lambda x: FromActivation(relu, lambda z: (z > 0) * 1.0, 4), ValueError, "ArcCosine"),
        (lambda x: FromActivation(np.tanh, np.cos, 4), ValueError, "derivative"),
        (lambda x: FromActivation(np.cos, np.cos, 4), ValueError, "derivative"),
        (lambda x: FromActivation(lambda z: 0 * z, lambda z: 0 * z, 4), ValueError, "not zero"),
        (lambda x: FromActivation(lambda z: np.sin(20 * z), lambda z: 20 * np.cos(20 * z),
                                  3).gram(x.points), ValueError, "Give a width"),
        (lambda x: RandomFeatures(1.0)(1.5), ValueError, "rho"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, error, text):
    with pytest.raises(error, match=text):
        call(cloud((3, 3), 0))
