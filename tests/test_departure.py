"""Attentions that leave the Gaussians, mixtures, and tokens that are nearly Gaussian."""

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.special import expit
from scipy.stats import norm

import transpde as tp
from transpde.theory.departure import cumulant_growth, kurtosis_rate, mixture_velocity

LINE = tp.Gaussian([0.0], factor=[[1.0]])
STACK = tp.Gaussian([[0.0]], factor=[[[1.0]]])
KINDS = [tp.Softmax, tp.L2, tp.Linear, tp.Sigmoid, tp.Unnormalized]


def on_the_line(kind, a, v, **options):
    return kind([[a]], [[1.0]], [[v]], **options)


def kurtosis(mu):
    y = mu.points - mu.mean
    squares = np.einsum("ni,ij,nj->n", y, np.linalg.inv(mu.covariance), y)
    d = mu.dimension
    return mu.weights @ squares**2 / (d * (d + 2)) - 1


def mixture(rng, d=2, J=3, size=0.4):
    return tp.Gaussian(rng.normal(size=(J, d)), factor=size * rng.normal(size=(J, d, d)))


def quadrature(components, weights, nodes=40):
    rules = [components[j].quadrature(nodes) for j in range(len(weights))]
    x = np.concatenate([rule.points for rule in rules])
    return tp.Particles(
        x, np.concatenate([w * r.weights for w, r in zip(weights, rules, strict=True)])
    )


# --- mixtures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_field_of_a_mixture_agrees_with_quadrature(kind, seed):
    rng = np.random.default_rng(seed)
    components, weights = mixture(rng), np.array([0.2, 0.5, 0.3])
    Q, K, V = 0.6 * rng.normal(size=(3, 2, 2))
    options = {"bias": -0.3} if kind is tp.Sigmoid else {}
    head, x = kind(Q, K, V, **options), rng.normal(size=(7, 2))
    found = mixture_velocity(head, components, weights, x)
    tokens = head(quadrature(components, weights))(x)
    np.testing.assert_allclose(found, tokens, atol=1e-12 * np.abs(tokens).max())
    one = mixture_velocity(head, components, weights, x[0])
    np.testing.assert_allclose(one, found[0], rtol=1e-13)
    assert mixture_velocity(head, components, weights, x[:6].reshape(2, 3, 2)).shape == (2, 3, 2)


@pytest.mark.parametrize("kind", KINDS[:3])
def test_a_mixture_of_one_is_a_gaussian_of_any_rank(kind):
    rng = np.random.default_rng(4)
    thin = tp.Gaussian(rng.normal(size=3), factor=rng.normal(size=(3, 1)))
    head, x = kind(*rng.normal(size=(3, 3, 3))), rng.normal(size=(5, 3))
    one = tp.Gaussian(thin.mean[None], factor=thin.factor[None])
    np.testing.assert_allclose(mixture_velocity(head, one, [1.0], x), head(thin)(x), rtol=1e-11)


def test_equal_components_are_tokens_of_mass():
    rng = np.random.default_rng(5)
    centres, weights = rng.normal(size=(4, 2)), np.array([0.1, 0.2, 0.3, 0.4])
    X, x = rng.normal(size=(2, 2)), rng.normal(size=(6, 2))
    Q, K, V = rng.normal(size=(3, 2, 2))
    head = tp.Softmax(Q, K, V)
    found = mixture_velocity(head, tp.Gaussian(centres, factor=[X] * 4), weights, x)
    tokens = head(tp.Particles(centres, weights))(x) + x @ (V @ X @ X.T @ K.T @ Q).T
    np.testing.assert_allclose(found, tokens, atol=1e-13)


@pytest.mark.parametrize("a", [0.3, 2.0, 9.0])
def test_sigmoid_of_wide_laws_agrees_with_adaptive_integrals(a):
    m, s, b = 0.7, 1.3, -0.4
    head = on_the_line(tp.Sigmoid, a, 1.0, bias=b)
    one = tp.Gaussian([[m]], factor=[[[s]]])
    for x in (-1.5, 0.0, 0.4, 2.0):

        def integrand(z, x=x):
            y = m + s * z
            return expit(a * x * y + b) * y * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)

        exact = quad(integrand, -12, 12, points=[-m / s], limit=400, epsabs=1e-13)[0]
        assert mixture_velocity(head, one, [1.0], [x])[0] == pytest.approx(exact, abs=1e-11)


def test_a_component_of_weight_zero_does_not_count():
    pair = tp.Gaussian([[0.0], [5.0]], factor=[[[1.0]], [[2.0]]])
    head = on_the_line(tp.Softmax, 1.0, 1.0)
    assert mixture_velocity(head, pair, [1.0, 0.0], [[0.5]]) == pytest.approx(0.5)


@pytest.mark.parametrize(("s", "stays"), [(0.5, False), (1.0, True), (2.0, False)])
def test_a_symmetric_pair_leaves_the_mixtures_of_two(s, stays):
    # m and s follow from two moments; the sixth then tells. Its defect is of order t unless
    # |a| s = 1, where the pair is left at order t^2 only.
    a, v, m = 1.0, 0.8, 0.6
    pair = tp.Gaussian([[m], [-m]], factor=[[[np.sqrt(s)]]] * 2)
    defects = []
    for t in (2e-3, 1e-3):
        mu = tp.flow(
            quadrature(pair, [0.5, 0.5], 30), on_the_line(tp.Softmax, a, v), t, rtol=1e-12,
            atol=1e-14,
        ).final  # fmt: skip
        second, fourth, sixth = (mu.weights @ mu.points[:, 0] ** k for k in (2, 4, 6))
        square = np.sqrt((3 * second**2 - fourth) / 2)
        rest = second - square
        fitted = square**3 + 15 * square**2 * rest + 45 * square * rest**2 + 15 * rest**3
        defects.append((sixth - fitted) / t)
    if stays:
        assert defects[1] / defects[0] == pytest.approx(0.5, abs=0.05)
    else:
        assert abs(defects[1]) > 0.05
        assert defects[1] / defects[0] == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("share", "centres", "variances", "a", "stays"),
    [
        (0.5, (0.6, -0.6), (1.5, 1.5), 1.0, False),
        (0.3, (1.0, -0.4), (1.2, 0.5), 1.0, False),
        (0.4, (2.0, -1.0), (2.0, 0.5), 1.0, False),  # a^2 s_1 s_2 = 1 is not enough
        (0.6, (0.2, 0.2), (1.0, 2.0), 0.7, False),
        (0.5, (0.9, -0.3), (1.0, 1.0), 1.0, False),
        (0.3, (0.6, -0.6), (1.0, 1.0), 1.0, True),
        (0.5, (0.6, -0.6), (1.0, 1.0), -1.0, True),
    ],
)
def test_a_pair_moves_among_pairs_at_single_instants_only(share, centres, variances, a, stays):
    # The flux of the softmax field, against those of all changes of share, centres and variances.
    v, x = 0.7, np.linspace(-9, 9, 1201)
    widths = np.sqrt(variances)
    pair = tp.Gaussian([[m] for m in centres], factor=[[[w]] for w in widths])
    weights = np.array([share, 1 - share])
    bells = [norm.pdf(x, m, w) for m, w in zip(centres, widths, strict=True)]
    field = mixture_velocity(on_the_line(tp.Softmax, a, v), pair, weights, x[:, None])[:, 0]
    flux = (weights @ bells) * field
    steps = [norm.cdf(x, m, w) for m, w in zip(centres, widths, strict=True)]
    moves = [bell * (x - m) for bell, m in zip(bells, centres, strict=True)]
    changes = np.stack([steps[0] - steps[1], *bells, *moves], axis=1)
    found = np.linalg.lstsq(changes, flux)[0]
    rest = np.linalg.norm(changes @ found - flux) / np.linalg.norm(flux)
    if not stays:
        assert rest > 3e-4
        return
    assert rest < 1e-13
    # At such an instant variances grow by 2 v a s^2: it is over at once.
    rates = 2 * np.array(variances) * found[3:] / weights
    assert rates == pytest.approx(2 * v * a * np.array(variances) ** 2, rel=1e-9)


# --- attentions that leave the Gaussians ---------------------------------------------------------


@pytest.mark.parametrize("kind", [tp.Sigmoid, tp.Unnormalized])
def test_kurtosis_starts_at_its_rate(kind):
    # Richardson's extrapolation of the flow of quadrature tokens, in the plane and with a mean.
    rng = np.random.default_rng(1)
    Q, K, V = 0.5 * rng.normal(size=(3, 2, 2))
    start = tp.Gaussian([0.3, -0.2], factor=[[0.8, 0.0], [0.2, 0.6]])
    head = kind(Q, K, V)
    h = 1e-4
    path = tp.flow(start.quadrature(24), head, [0.0, h, 2 * h], rtol=1e-11, atol=1e-13)
    first, second = (kurtosis(mu) for mu in list(path)[1:])
    slope = (4 * first - second) / (2 * h)
    assert abs(slope) > 1e-5
    assert kurtosis_rate(head, start) == pytest.approx(slope, rel=1e-3)


def test_kurtosis_rate_on_the_line_by_adaptive_integrals():
    a, v, b = 0.9, -1.2, 0.5

    def normal(f):
        return quad(lambda z: f(z) * np.exp(-z * z / 2) / np.sqrt(2 * np.pi), -11, 11, limit=300)[
            0
        ]

    def field(x):
        return v * normal(lambda y: expit(a * x * y + b) * y)

    sigmoid = 4 / 3 * normal(lambda z: (z * z - 3) * z * field(z))
    head = on_the_line(tp.Sigmoid, a, v, bias=b)
    assert kurtosis_rate(head, LINE) == pytest.approx(sigmoid, rel=1e-6)
    grow = a / 2  # of unnormalised attention, where the integral is elementary
    p = 1 - grow**2
    exact = 4 / 3 * v * grow * (3 * p**-2.5 - 3 * p**-1.5)
    found = kurtosis_rate(on_the_line(tp.Unnormalized, grow, v), LINE)
    assert found == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("kind", KINDS[:3])
def test_affine_fields_have_no_rate(kind):
    rng = np.random.default_rng(3)
    head = kind(*rng.normal(size=(3, 2, 2)))
    assert abs(kurtosis_rate(head, tp.Gaussian([0.3, 0.1], factor=np.eye(2)), 20)) < 1e-12


def test_where_the_covariance_rests_a_law_may_stay_gaussian():
    # Sigmoid, a quarter turn of a round law: polar quadrature turns on circles, not rigidly.
    radius, weight = np.polynomial.laguerre.laggauss(12)
    angle = 2 * np.pi * np.arange(48) / 48
    r = np.sqrt(2 * radius)[:, None] * np.ones(48)
    x = np.stack([r * np.cos(angle), r * np.sin(angle)], axis=-1).reshape(-1, 2)
    start = tp.Particles(x, np.repeat(weight / weight.sum() / 48, 48))
    J = np.array([[0.0, -1.0], [1.0, 0.0]])
    head = tp.Sigmoid(0.5 * J, np.eye(2), np.eye(2))
    end = tp.flow(start, head, 1.0, rtol=1e-9).final
    np.testing.assert_allclose(np.linalg.norm(end.points, axis=1), r.ravel(), rtol=1e-5)
    turned = np.angle((end.points @ [1, 1j]) / (x @ [1, 1j])).reshape(12, 48)
    assert np.ptp(turned, axis=1).max() < 1e-4
    assert np.ptp(turned.mean(axis=1)) > 0.05
    assert abs(kurtosis_rate(head, tp.Gaussian([0.0, 0.0], factor=np.eye(2)))) < 1e-12


@pytest.mark.parametrize("kind", [tp.Sigmoid, tp.Unnormalized])
def test_the_covariance_starts_with_the_derivative_of_the_weight(kind):
    rng = np.random.default_rng(6)
    Q, K, V = 0.5 * rng.normal(size=(3, 2, 2))
    rule = tp.Gaussian([0.0, 0.0], factor=[[0.8, 0.0], [0.2, 0.6]]).quadrature(20)
    y, w, A = rule.points, rule.weights, K.T @ Q
    scores = y @ A.T @ y.T
    slope = np.exp(scores) if kind is tp.Unnormalized else expit(scores) * expit(-scores)
    M = np.einsum("i,j,ij,ja,jb->ab", w, w, slope, y, y)
    L = V @ M @ A @ rule.covariance
    G = kind(Q, K, V)(rule)(y)
    moved = np.einsum("i,ia,ib->ab", w, G, y)
    np.testing.assert_allclose(moved + moved.T, L + L.T, atol=1e-10)


# --- nearly Gaussian -----------------------------------------------------------------------------


def test_a_lipschitz_change_of_density_moves_the_field_by_a_bounded_amount():
    # On a fine rule of the line, far beyond the points where the field is read.
    y = np.linspace(-40, 40, 8001)
    m, s, a, v, delta = 0.3, 1.5, 0.7, -1.2, 0.25
    base = -((y - m) ** 2) / (2 * s)
    head, x = on_the_line(tp.Softmax, a, v), np.linspace(-15, 15, 31)[:, None]
    gaussian = v * (m + s * a * x)
    reached = []
    for h in (delta * y, delta * np.abs(y - 1), delta * np.sin(y), 0.1 * np.log(np.cosh(2 * y))):
        log_w = base + h
        w = np.exp(log_w - log_w.max())
        gap = np.abs(head(tp.Particles(y[:, None], w / w.sum()))(x) - gaussian).max()
        reached.append(gap / (delta * abs(v) * s))
    assert max(reached) < 1 + 1e-9
    assert reached[0] == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(("a", "v"), [(0.5, 1.0), (-0.5, 1.0), (0.8, -1.0), (-0.5, -1.0)])
@pytest.mark.parametrize("order", [3, 4])
def test_small_cumulants_grow_by_their_factor(a, v, order):
    head = on_the_line(tp.Softmax, a, v)
    t = np.linspace(0, 0.4 / (2 * abs(a * v)), 4)
    z, w = np.polynomial.hermite_e.hermegauss(50)
    w = w / w.sum()
    shift = z**2 - 1 if order == 3 else z**3 - 3 * z
    ends = []
    for delta in (1e-5, -1e-5):
        start = tp.Particles((z + delta * shift)[:, None], w)
        found = []
        for mu in tp.flow(start, head, t, rtol=1e-11, atol=1e-13):
            y = mu.points[:, 0] - mu.mean
            s = w @ y**2
            found.append(w @ y**order / s ** (order / 2) - 3 * (order == 4))
        ends.append(np.array(found))
    odd = ends[0] - ends[1]
    law = cumulant_growth(head, 1.0, order, t)
    np.testing.assert_allclose(odd / odd[0], law, rtol=1e-4)


def test_small_third_cumulants_of_the_plane_follow_their_equation():
    rng = np.random.default_rng(8)
    Q, K = 0.4 * rng.normal(size=(2, 2, 2))
    V, X0, A = np.array([[-1.0, 0.3], [-0.2, -0.8]]), np.array([[0.9, 0.0], [0.3, 0.7]]), K.T @ Q
    c, end = rng.normal(size=(2, 2, 2)), 0.8
    c = sum(c.transpose(p) for p in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1),
                                      (2, 1, 0))) / 6  # fmt: skip
    rule = tp.Gaussian([0.0, 0.0], factor=np.eye(2)).quadrature(16)
    z, w = rule.points, rule.weights
    # x = X (z + delta (c : zz - trace) / 2) has the third cumulant delta * 3 c in z.
    shift = (np.einsum("abc,nb,nc->na", c, z, z) - np.einsum("abb->a", c)) / 2
    third = []
    for delta in (1e-5, -1e-5):
        start = tp.Particles((z + delta * shift) @ X0.T, w)
        mu = tp.flow(start, tp.Softmax(Q, K, V), end, rtol=1e-11, atol=1e-13).final
        y = mu.points - mu.mean
        third.append(np.einsum("n,na,nb,nc->abc", w, y, y, y))
    found = (third[0] - third[1]) / 2e-5

    def rates(_, state):
        X, T = state[:4].reshape(2, 2), state[4:].reshape(2, 2, 2)
        G, turn = X.T @ A @ X, np.linalg.inv(X) @ V @ X
        bent = np.einsum("ae,ebc,bf,cg->afg", turn, T, G, G)  # one leg turned, two bent
        moved = bent + bent.transpose(1, 0, 2) + bent.transpose(1, 2, 0)
        return np.concatenate([(V @ X @ X.T @ A @ X).ravel(), moved.ravel()])

    state = np.concatenate([X0.ravel(), 3 * c.ravel()])
    last = solve_ivp(rates, (0, end), state, method="LSODA", rtol=1e-10, atol=1e-12).y[:, -1]
    X, T = last[:4].reshape(2, 2), last[4:].reshape(2, 2, 2)
    law = np.einsum("ai,bj,ck,ijk->abc", X, X, X, T)
    np.testing.assert_allclose(found, law, atol=1e-4 * np.abs(law).max())


# --- input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: mixture_velocity(on_the_line(tp.Sinkhorn, 1.0, 1.0), LINE, [1.0], [0.0]),
         TypeError, "head: must be softmax"),
        (lambda: mixture_velocity(on_the_line(tp.Softmax, 1.0, 1.0), LINE, [1.0], [0.0]),
         ValueError, "components: must be a stack"),
        (lambda: mixture_velocity(on_the_line(tp.Softmax, 1.0, 1.0), STACK,
                                  [0.5], [0.0]),
         ValueError, "weights: must sum to one"),
        (lambda: mixture_velocity(on_the_line(tp.Softmax, 1.0, 1.0), STACK,
                                  [1.0], [0.0, 1.0]),
         ValueError, "points"),
        (lambda: kurtosis_rate(on_the_line(tp.Unnormalized, 1.0, 1.0), LINE),
         ValueError, "must be below 1"),
        (lambda: kurtosis_rate(on_the_line(tp.Sigmoid, 1.0, 1.0), tp.Gaussian([0], factor=[[0]])),
         ValueError, "singular"),
        (lambda: cumulant_growth(on_the_line(tp.L2, 1.0, 1.0), 1.0, 3, 0.1), TypeError, "softmax"),
        (lambda: cumulant_growth(on_the_line(tp.Softmax, 1.0, 1.0), 1.0, 2, 0.1),
         ValueError, "order: must be an integer of at least 3"),
        (lambda: cumulant_growth(on_the_line(tp.Softmax, 1.0, 1.0), 0.0, 3, 0.1),
         ValueError, "start: must be positive"),
    ],
)  # fmt: skip
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_nothing_grows_after_the_blow_up():
    found = cumulant_growth(on_the_line(tp.Softmax, 1.0, 1.0), 1.0, 3, [0.25, 0.5, 0.6])
    assert found[0] == pytest.approx(np.exp(1.5))
    assert np.isnan(found[1:]).all()
