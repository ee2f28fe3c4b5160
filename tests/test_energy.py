"""Energies: closed forms against quadrature, gradients against differences, and the identities."""

import mpmath
import numpy as np
import pytest
from problems import orthogonal
from scipy.linalg import sqrtm
from scipy.special import logsumexp

import transpde as tp
from transpde.energy import (
    bures_geodesic,
    bures_gradient,
    energy_residual,
    gradient_defect,
    interaction_dissipation,
    interaction_energy,
    sinkhorn_dissipation,
    sinkhorn_energy,
    twisted_dissipation,
    twisted_energy,
    wasserstein_gradient,
)

EPSILON = 0.7


def symmetric(rng, d, size):
    """A random symmetric matrix of spectral norm `size`, with eigenvalues of both signs."""
    values = np.linspace(-1.0, 0.8, d) if d > 1 else np.array([1.0])
    U = orthogonal(rng, d)
    return size * (U * values) @ U.T


def definite(rng, d):
    U = orthogonal(rng, d)
    return (U * np.linspace(0.3, 2.0, d)) @ U.T


def thin_gaussian(rng, d, r, size=0.7, shift=0.5):
    X = rng.normal(size=(d, r))
    return tp.Gaussian(shift * rng.normal(size=d), factor=size * X / np.linalg.norm(X, 2))


def cloud(rng, n=9, d=3):
    w = rng.random(n) + 0.2
    return tp.Particles(rng.normal(size=(n, d)), w / w.sum())


def head(kind, A, V, **options):
    return kind(np.eye(len(A)), A, V, **options)


CASES = [(1, 1), (2, 2), (3, 1), (3, 2), (2, 3)]  # dimension and columns of the factor


# --- closed forms --------------------------------------------------------------------------------


@pytest.mark.parametrize(("d", "r"), CASES)
def test_gaussian_closed_forms_agree_with_quadrature(d, r):
    """The particle formulas on a Gauss-Hermite rule: another route to the same integrals."""
    rng = np.random.default_rng([d, r])
    gaussian, A = thin_gaussian(rng, d, r), symmetric(rng, d, 0.9)
    rule = gaussian.quadrature({1: 60, 2: 24, 3: 12}[r])
    tight = 1e-11 if r < 3 else 1e-6
    for function in (interaction_energy, interaction_dissipation, twisted_energy):
        assert function(gaussian, A) == pytest.approx(function(rule, A), rel=tight)
    for function in (sinkhorn_energy, sinkhorn_dissipation):
        exact, discrete = (function(measure, A, EPSILON) for measure in (gaussian, rule))
        assert exact == pytest.approx(discrete, rel=max(tight, 1e-10))
    M = definite(rng, d)
    exact, discrete = (twisted_dissipation(measure, A, M) for measure in (gaussian, rule))
    assert exact == pytest.approx(discrete, rel=1e-12)


@pytest.mark.parametrize("sign", [-1, 1])
def test_interaction_energy_is_finite_up_to_the_threshold(sign):
    """Finite iff the norm of S^1/2 A S^1/2 is below 1, and then like (1 - norm^2)^-1/2."""
    rng = np.random.default_rng(2)
    X, A = rng.normal(size=(3, 2)), sign * symmetric(rng, 3, 1.0)
    root = np.real(sqrtm(X @ X.T + 1e-30 * np.eye(3)))
    X = X / np.sqrt(np.linalg.norm(root @ A @ root, 2))
    below, above = (tp.Gaussian(np.zeros(3), factor=np.sqrt(s) * X) for s in (1 - 1e-9, 1 + 1e-9))
    energy = interaction_energy(below, A)
    product = np.linalg.eigvals(X @ X.T @ A)
    small = np.prod(np.sort(1 - np.real(product) ** 2)[1:])  # all factors but the critical one
    assert energy == pytest.approx(0.5 / np.sqrt(2e-9 * small), rel=1e-6)
    assert interaction_energy(above, A) == interaction_dissipation(above, A) == np.inf
    assert np.isfinite(interaction_dissipation(below, A))


def test_sinkhorn_energy_is_its_definition():
    """Against plain Sinkhorn iterations and -1/2 sum of kappa log(kappa / kappa_0)."""
    rng = np.random.default_rng(3)
    mu, A = cloud(rng), symmetric(rng, 3, 0.6)
    s, log_w = mu.points @ A @ mu.points.T / EPSILON, np.log(mu.weights)
    f = g = np.zeros(len(log_w))
    for _ in range(3000):
        f = -logsumexp(s + g + log_w, axis=1)
        g = -logsumexp(s + f[:, None] + log_w[:, None], axis=0)
    kappa = np.exp(s + f[:, None] + g)
    assert np.abs(mu.weights @ kappa - 1).max() < 1e-13
    exact = -0.5 * mu.weights @ (kappa * (np.log(kappa) - s)) @ mu.weights
    assert sinkhorn_energy(mu, A, EPSILON) == pytest.approx(exact, rel=1e-11)
    padded = tp.Particles(np.vstack([mu.points, [[9.0] * 3]]), [*mu.weights, 0.0])
    assert sinkhorn_energy(padded, A, EPSILON) == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize("log_scale", [0.0, 300.0, 400.0, 700.0, 720.0, 5000.0])
def test_sinkhorn_energy_of_variances_of_any_size(log_scale):
    """g = a e^s / epsilon and q = 2g^2 / (1 + sqrt(1 + 4g^2)), inf where a float ends."""
    stack = tp.Gaussian(np.zeros((3, 1)), factor=[[[1.0]], [[2.0]], [[0.0]]], log_scale=log_scale)
    with mpmath.workdps(40):
        g = [mpmath.exp(log_scale) * x**2 * 3 / mpmath.mpf("0.5") for x in (1, 2, 0)]
        q = [2 * v**2 / (1 + mpmath.sqrt(1 + 4 * v**2)) for v in g]
        exact = [(v - mpmath.log(1 + v) / 2) / 2 for v in q]
    assert sinkhorn_energy(stack, [[-3.0]], 0.5) == pytest.approx(
        np.array(exact, dtype=float), rel=1e-12
    )


def test_stacks_are_their_cases():
    rng = np.random.default_rng(4)
    X = 0.4 * rng.normal(size=(5, 3, 2))
    stack = tp.Gaussian(rng.normal(size=(5, 3)), factor=X, log_scale=rng.normal(size=5))
    one, each = symmetric(rng, 3, 0.5), np.array([symmetric(rng, 3, 0.5) for _ in range(5)])
    functions = [
        interaction_energy, interaction_dissipation, twisted_energy, twisted_dissipation,
        sinkhorn_energy, sinkhorn_dissipation,
    ]  # fmt: skip
    for function in functions:
        for A in (one, each):
            scores = np.broadcast_to(A, (5, 3, 3))
            alone = [function(stack[i], scores[i]) for i in range(5)]
            assert function(stack, A) == pytest.approx(np.array(alone), rel=1e-12)
            assert isinstance(alone[0], float)


def test_stacks_of_particles_are_their_cases():
    rng = np.random.default_rng(44)
    w = rng.random((2, 3, 6)) + 0.2
    w[1, 0, 2] = 0.0
    w /= w.sum(axis=-1, keepdims=True)
    for space in (tp.Euclidean(), tp.Sphere(1.2)):
        x = space.retract(rng.normal(size=(2, 3, 6, 3)))
        stack = tp.Particles(x, w, space=space)
        one, M = symmetric(rng, 3, 0.5), definite(rng, 3)
        each = np.array([symmetric(rng, 3, 0.5) for _ in range(6)]).reshape(2, 3, 3, 3)
        functions = [
            interaction_energy, interaction_dissipation, twisted_energy,
            lambda mu, A: twisted_dissipation(mu, A, M),  # noqa: B023
            lambda mu, A: interaction_dissipation(mu, A, normalised=False),
            sinkhorn_energy, sinkhorn_dissipation,
        ]  # fmt: skip
        for function in functions:
            for A in (one, each):
                scores = np.broadcast_to(A, (2, 3, 3, 3))
                alone = [function(stack[i], scores[i]) for i in np.ndindex(2, 3)]
                found = function(stack, A)
                assert found.shape == (2, 3)
                assert found.ravel() == pytest.approx(np.array(alone), rel=1e-10)
                assert isinstance(alone[0], float)
        fields = bures_gradient(stack, each)
        for i in np.ndindex(2, 3):
            assert fields(x)[i] == pytest.approx(bures_gradient(stack[i], each[i])(x[i]))


@pytest.mark.parametrize("space", [tp.Euclidean(), tp.Sphere()])
def test_gradients_and_defects_of_a_stack_are_those_of_its_cases(space):
    rng = np.random.default_rng(45)
    stack = tp.Particles(space.retract(rng.normal(size=(3, 4, 2))), space=space)
    A = np.array([symmetric(rng, 2, 0.5) for _ in range(3)])
    found = wasserstein_gradient(stack, lambda mu: interaction_energy(mu, A))
    attention = tp.Softmax(*rng.normal(size=(3, 3, 2, 2)) / 2)
    defects = gradient_defect(stack, attention)
    assert defects.shape == (3,)
    for i in range(3):
        alone = wasserstein_gradient(stack[i], lambda mu, i=i: interaction_energy(mu, A[i]))
        assert found[i] == pytest.approx(alone, abs=1e-10)
        velocity = stack[i].velocities(head(tp.Unnormalized, A[i], A[i])(stack[i]))
        assert alone == pytest.approx(velocity, abs=1e-9)
        one = gradient_defect(stack[i], attention.select((3,), np.array(i)))
        assert defects[i] == pytest.approx(one, rel=1e-7)
    assert gradient_defect(stack, tp.Linear(np.eye(2), A, 0 * A)).tolist() == [0.0] * 3
    with pytest.raises(ValueError, match=r"energy: must be one number a case, shape \(3,\)"):
        wasserstein_gradient(stack, lambda mu: 1.0)


# --- the gradient is the gradient ----------------------------------------------------------------


def derivative(function, h=2e-3):
    """The derivative at 0 by central differences of order 8."""
    weights = np.array([4 / 5, -1 / 5, 4 / 105, -1 / 280])
    return sum(w * (function(k * h) - function(-k * h)) for k, w in enumerate(weights, 1)) / h


def pulls(mu, A):
    """Each energy of particles with the field that its attention claims as gradient."""
    x, identity = mu.points, np.eye(len(A))
    Z = np.exp(x @ A @ x.T) @ mu.weights
    return {
        "unnormalised": (
            lambda nu: interaction_energy(nu, A), head(tp.Unnormalized, A, A)(mu)(x)
        ),
        "softmax": (
            lambda nu: interaction_energy(nu, A), Z[:, None] * head(tp.Softmax, A, A)(mu)(x)
        ),
        "sinkhorn": (
            lambda nu: sinkhorn_energy(nu, A, EPSILON),
            -tp.Sinkhorn(identity, A, -A, EPSILON)(mu)(x) / EPSILON,
        ),
        "twisted": (
            lambda nu: twisted_energy(nu, A), bures_gradient(mu, -A @ mu.covariance @ A / 2)(x)
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["unnormalised", "softmax", "sinkhorn", "twisted"])
@pytest.mark.parametrize("seed", range(3))
def test_particle_gradients_agree_with_differences(name, seed):
    rng = np.random.default_rng([5, seed])
    mu, A = cloud(rng), symmetric(rng, 3, 0.4)
    energy, gradient = pulls(mu, A)[name]
    for _ in range(3):
        v = rng.normal(size=mu.points.shape)
        slope = derivative(lambda h, v=v: energy(mu.at(mu.points + h * v)))
        inner = mu.weights @ (gradient * v).sum(axis=1)
        size = np.sqrt(mu.weights @ (gradient**2).sum(axis=1))
        assert slope == pytest.approx(inner, abs=1e-8 * size)


@pytest.mark.parametrize(("d", "r"), CASES)
def test_gaussian_gradients_agree_with_differences(d, r):
    """Along any affine field; the gradient of the interaction is Z times the softmax field."""
    rng = np.random.default_rng([6, d, r])
    mu, A, M = thin_gaussian(rng, d, r), symmetric(rng, d, 0.5), definite(rng, d)
    m, X = mu.mean, mu.factor
    field = tp.AffineField(rng.normal(size=(d, d)), rng.normal(size=d))

    def slope(energy):
        return derivative(lambda h: energy(mu.push(field, h)))

    def inner(gradient, metric=1.0):
        """The integral of the product of two affine fields."""
        return field(m) @ metric @ gradient(m) + np.sum(
            (field.linear @ X) * (metric @ gradient.linear @ X)
        )

    I = np.eye(d)
    sinkhorn = tp.Sinkhorn(I, A, A / EPSILON, EPSILON)(mu)
    exact = slope(lambda nu: sinkhorn_energy(nu, A, EPSILON))
    assert exact == pytest.approx(inner(sinkhorn, I), rel=1e-8)

    twisted = bures_gradient(mu, -A @ mu.covariance @ A / 2, mobility=M)
    exact = slope(lambda nu: twisted_energy(nu, A))
    assert exact == pytest.approx(inner(twisted, np.linalg.inv(M)), rel=1e-8)

    rule = mu.quadrature({1: 60, 2: 24, 3: 16}[r])
    x, softmax = rule.points, head(tp.Softmax, A, A)(mu)
    Z = np.exp(x @ A @ m + 0.5 * ((x @ A @ X) ** 2).sum(axis=1))
    product = rule.weights @ (Z * (softmax(x) * field(x)).sum(axis=1))
    assert slope(lambda nu: interaction_energy(nu, A)) == pytest.approx(product, rel=1e-8)


def test_twisted_flow_is_softmax_of_value_MA():
    """Minus the twisted gradient is the centred softmax field, and it dissipates as stated."""
    rng = np.random.default_rng(7)
    mu, A, M = thin_gaussian(rng, 3, 2), symmetric(rng, 3, 1.0), definite(rng, 3)
    descent = bures_gradient(mu, -A @ mu.covariance @ A / 2, mobility=M)
    softmax = head(tp.Softmax, A, M @ A)(mu)
    assert np.allclose(softmax.linear, -descent.linear, rtol=1e-13, atol=1e-15)
    assert np.allclose(descent(mu.mean), 0, atol=1e-15)
    v = softmax.linear @ mu.factor
    norm = np.sum(v * (np.linalg.inv(M) @ v))
    assert twisted_dissipation(mu, A, M) == pytest.approx(norm, rel=1e-12)


# --- the identities along flows ------------------------------------------------------------------


def interaction(A, sign, **options):
    return (
        lambda mu: interaction_energy(mu, A),
        lambda mu: sign * interaction_dissipation(mu, A, **options),
    )


def sinkhorn(A):
    return (
        lambda mu: sinkhorn_energy(mu, A, EPSILON),
        lambda mu: -sinkhorn_dissipation(mu, A, EPSILON),
    )


def identities():
    """Start, attention, time, energy and rate: one for each statement of the module."""
    rng = np.random.default_rng(8)
    tokens, gaussian = cloud(rng), thin_gaussian(rng, 3, 2, size=0.6)
    A, M = symmetric(rng, 3, 0.4), definite(rng, 3)
    twist = (lambda mu: twisted_energy(mu, A), lambda mu: -twisted_dissipation(mu, A, M))
    bures = (lambda mu: twisted_energy(mu, A), lambda mu: -twisted_dissipation(mu, A))
    stack = tp.Gaussian(rng.normal(size=(4, 3)), factor=0.3 * rng.normal(size=(4, 3, 2)))
    ball = tp.Particles(tp.Sphere().retract(tokens.points), tokens.weights, space=tp.Sphere())
    balls = tp.Particles(np.stack([ball.points, -ball.points[::-1]]), space=tp.Sphere())
    soft, sink, raw = tp.Softmax, tp.Sinkhorn, tp.Unnormalized
    up, down = interaction(A, 1), interaction(A, -1)
    raw_up, raw_down = (interaction(A, sign, normalised=False) for sign in (1, -1))
    return {
        "softmax, particles, V = A": (tokens, head(soft, A, A), 0.5, *up),
        "softmax, particles, V = -A": (tokens, head(soft, A, -A), 2.0, *down),
        "softmax, Gaussian, V = A": (gaussian, head(soft, A, A), 0.5, *up),
        "softmax, Gaussian, V = -A": (gaussian, head(soft, A, -A), 2.0, *down),
        "softmax, stack, V = -A": (stack, head(soft, A, -A), 1.0, *down),
        "twisted, M": (gaussian, head(soft, A, M @ A), 3.0, *twist),
        "twisted, identity": (gaussian, head(soft, A, A), 3.0, *bures),
        "Sinkhorn, particles": (tokens, head(sink, A, -A, epsilon=EPSILON), 2.0, *sinkhorn(A)),
        "Sinkhorn, Gaussian": (gaussian, head(sink, A, -A, epsilon=EPSILON), 3.0, *sinkhorn(A)),
        "unnormalised, V = A": (tokens, head(raw, A, A), 0.1, *raw_up),
        "unnormalised, V = -A": (tokens, head(raw, A, -A), 1.0, *raw_down),
        "softmax on the sphere": (ball, head(soft, A, A), 2.0, *up),
        "softmax, stack on the sphere": (balls, head(soft, A, -A), 2.0, *down),
        "unnormalised on the sphere": (balls, head(raw, A, A), 2.0, *raw_up),
        "Sinkhorn on the sphere": (balls, head(sink, A, -A, epsilon=EPSILON), 2.0, *sinkhorn(A)),
    }


IDENTITIES = identities()


@pytest.mark.parametrize("name", IDENTITIES)
def test_energy_identity_along_the_flow(name):
    start, attention, time, energy, rate = IDENTITIES[name]
    path = tp.flow(start, attention, time)
    residual = energy_residual(path, energy, rate)
    assert np.max(residual) <= 1e-9, residual
    change = np.subtract(energy(path.final), energy(start))
    assert (np.abs(change) > 1e-2 * np.abs(energy(start))).all()  # something happened
    assert (np.sign(change) == np.sign(rate(start))).all()


@pytest.mark.parametrize("name", IDENTITIES)
def test_another_value_breaks_the_identity(name):
    """Negative control: the same energy and rate along the flow of a slightly turned value."""
    start, attention, time, energy, rate = IDENTITIES[name]
    a = 0.1
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    wrong = type(attention)(attention.query, attention.key, turn @ attention.value)
    if isinstance(attention, tp.Sinkhorn):
        wrong = tp.Sinkhorn(wrong.query, wrong.key, wrong.value, EPSILON)
    assert np.min(energy_residual(tp.flow(start, wrong, time), energy, rate)) > 2e-3


def test_sinkhorn_energy_needs_its_epsilon():
    start, _, time, energy, rate = IDENTITIES["Sinkhorn, Gaussian"]
    attention = IDENTITIES["Sinkhorn, Gaussian"][1]
    wrong = tp.Sinkhorn(attention.query, attention.key, attention.value, 2 * EPSILON)
    assert energy_residual(tp.flow(start, wrong, time), energy, rate) > 1e-3


def test_softmax_is_no_wasserstein_flow_of_the_interaction():
    """Without the mobility 1/Z, or with the sign turned, the balance fails."""
    start, attention, time, energy, _ = IDENTITIES["softmax, particles, V = A"]
    A = attention.key
    path = tp.flow(start, attention, time)
    plain = interaction(A, 1, normalised=False)[1]
    assert energy_residual(path, energy, plain) > 0.1
    assert energy_residual(path, energy, interaction(A, -1)[1]) > 0.5


def test_the_residual_sees_one_part_in_a_million():
    start, attention, time, energy, rate = IDENTITIES["twisted, M"]
    path = tp.flow(start, attention, time)
    scaled = energy_residual(path, energy, lambda mu: (1 + 1e-6) * rate(mu))
    assert scaled == pytest.approx(1e-6, rel=0.02)


# --- geodesics -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ranks", [(3, 3), (3, 1), (1, 3), (2, 2), (1, 1), (2, 5)])
def test_geodesic_has_constant_speed(ranks):
    rng = np.random.default_rng(ranks)
    start, end = (thin_gaussian(rng, 3, r, size=2.0) for r in ranks)
    whole = tp.wasserstein(start, end)
    s = np.array([0.0, 0.15, 0.5, 0.8, 1.0])
    path = bures_geodesic(start, end, s)
    assert path.stack == (5,)
    for i in range(5):
        for j in range(5):
            gap = tp.wasserstein(path[i], path[j])
            assert gap == pytest.approx(abs(s[i] - s[j]) * whole, abs=1e-12)
    for point, target in ((path[0], start), (path[4], end)):
        assert np.allclose(point.covariance, target.covariance, atol=1e-14)
        assert np.allclose(point.mean, target.mean, atol=1e-15)


def test_geodesic_of_full_rank_is_that_of_the_optimal_map():
    """X_s X_s^T = (1 - s + s T) S (1 - s + s T), T the optimal map by matrix roots."""
    rng = np.random.default_rng(9)
    start, end = (thin_gaussian(rng, 3, 3, size=1.5) for _ in range(2))
    S, root = start.covariance, np.real(sqrtm(start.covariance))
    T = np.linalg.solve(root, np.real(sqrtm(root @ end.covariance @ root))) @ np.linalg.inv(root)
    for s in (0.25, 0.6):
        step = (1 - s) * np.eye(3) + s * T
        assert np.allclose(bures_geodesic(start, end, s).covariance, step @ S @ step, rtol=1e-9)


def test_geodesic_of_stacks():
    rng = np.random.default_rng(10)
    start, end = (
        tp.Gaussian(rng.normal(size=(4, 2)), factor=rng.normal(size=(4, 2, r))) for r in (1, 2)
    )
    path = bures_geodesic(start, end, [0.2, 0.9, 1.0])
    assert path.stack == (3, 4)
    alone = bures_geodesic(start[2], end[2], 0.9)
    assert np.allclose(path[1, 2].covariance, alone.covariance, rtol=1e-13, atol=1e-15)


# --- bad input -----------------------------------------------------------------------------------

SKEW = [[0.0, 1.0], [0.0, 0.0]]
I = np.eye(2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda g, c: interaction_energy(g, SKEW), ValueError, "score: must be symmetric; got a"),
        (lambda g, c: sinkhorn_energy(c, SKEW), ValueError, "score: must be symmetric; got a"),
        (lambda g, c: twisted_energy(g, np.eye(3)), ValueError, "score: its dimension must be"),
        (
            lambda g, c: interaction_energy(g, np.zeros((4, 2, 2))),
            ValueError,
            r"score: its leading axes must match those of the measure, \(\); got \(4,\)",
        ),
        (lambda g, c: sinkhorn_energy(g, I, -1), ValueError, "epsilon: must be a positive finite"),
        (lambda g, c: sinkhorn_dissipation(g, I, 0), ValueError, "epsilon: must be a positive"),
        (lambda g, c: twisted_dissipation(g, I, -I), ValueError, "mobility: must be positive def"),
        (lambda g, c: bures_gradient(g, SKEW), ValueError, "gradient: must be symmetric"),
        (lambda g, c: bures_gradient(g, I, np.eye(3)), ValueError, "mobility: its dimension must"),
        (
            lambda g, c: interaction_energy("tokens", I),
            TypeError,
            "measure: must be Particles or a Gaussian; got str",
        ),
        (
            lambda g, c: interaction_dissipation(g, I, normalised=False),
            TypeError,
            "Unnormalized attention does not keep a Gaussian Gaussian. Sample it first",
        ),
        (lambda g, c: bures_geodesic(g, c, 0.5), TypeError, "other: must be a Gaussian; got Part"),
        (lambda g, c: bures_geodesic(g, g, 1.5), ValueError, r"s: must be in \[0, 1\]; got 1.5"),
        (
            lambda g, c: bures_geodesic(g, tp.Gaussian([0.0], factor=[[1.0]]), 0.5),
            ValueError,
            "other: its dimension must be that of gaussian, 2; got 1",
        ),
        (
            lambda g, c: energy_residual(tp.layers(c, tp.Softmax(I, I, I), 3, 0.1), len, len),
            ValueError,
            "path: must have at least 16 recorded times; got 4",
        ),
        (
            lambda g, c: energy_residual(tp.flow(c, tp.Softmax(I, I, I), 1), abs_zero, abs_zero),
            ValueError,
            "energy: must change along the path",
        ),
    ],
)
def test_bad_input(call, error, message):
    gaussian, tokens = tp.Gaussian([0.0, 0.0], factor=I), tp.Particles([[0.0, 1.0], [2.0, 0.0]])
    with pytest.raises(error, match=message):
        call(gaussian, tokens)


def abs_zero(measure):
    return 0.0
