"""Pure states on the sphere: spectrum, stability, the leader, the cone, mixed states."""

import mpmath
import numpy as np
import pytest
from loading import ROOT, load_tool

import transpde as tp
from transpde import theory
from transpde.records.record import load

RNG = np.random.default_rng


def head_of(V, beta):
    return tp.Softmax(beta * V, np.eye(len(V)), V)


def turned(values, rng):
    """A symmetric matrix of these eigenvalues, and its eigenvectors as columns."""
    U = np.linalg.qr(rng.normal(size=(len(values), len(values))))[0]
    return (U * values) @ U.T, U


def velocities(head, points, weights):
    cloud = tp.Particles(points, weights=weights, space=tp.Sphere())
    return cloud.velocities(head(cloud))


def tangent_frames(x):
    """An orthonormal basis of the tangent space at each token, (n, d-1, d)."""
    return np.array([np.linalg.svd(one[None, :])[2][1:] for one in x])


def jacobian(head, x, weights, step=1e-3):
    """Derivative of the tangential field of the package at an equilibrium, by differences.

    The error of the differences at h, h/2, h/4 is removed to order six.
    """
    n, d = x.shape
    frames = tangent_frames(x)
    moves = np.zeros((n, d - 1, n, d))
    moves[np.arange(n)[:, None], np.arange(d - 1), np.arange(n)[:, None]] = frames
    moves = moves.reshape(-1, n, d)

    def differences(h):
        sides = []
        for sign in (1, -1):
            points = x + sign * h * moves
            points /= np.linalg.norm(points, axis=-1, keepdims=True)
            v = velocities(head, points, weights)
            sides.append(np.einsum("nad,mnd->nam", frames, v).reshape(n * (d - 1), -1))
        return (sides[0] - sides[1]) / (2 * h)

    one, two, four = (differences(step / k) for k in (1, 2, 4))
    first, second = (4 * two - one) / 3, (4 * four - two) / 3
    return (16 * second - first) / 15


def random_state(seed):
    """Eigenvalues, mode, signs, weights, temperature, drawn at random; n <= 6, d <= 4."""
    rng = RNG(seed)
    n, d = rng.integers(2, 7), rng.integers(2, 5)
    weights = rng.dirichlet(3 * np.ones(n))
    signs = rng.choice([-1.0, 1.0], size=n)
    values = rng.normal(size=d) * rng.choice([0.5, 1.0, 2.0])
    return values, int(rng.integers(d)), signs, weights, float(rng.uniform(0.2, 1.5))


def measured_spectrum(values, mode, signs, weights, beta, seed):
    V, U = turned(values, RNG(seed + 10_000))
    return np.linalg.eigvals(jacobian(head_of(V, beta), signs[:, None] * U[:, mode], weights))


# --- the energy ----------------------------------------------------------------------------------


def test_the_energy_rises_at_the_rate_of_the_squared_velocities():
    """Along a computed flow, the derivative by a polynomial through close times."""
    rng, beta = RNG(0), 1.3
    V, _ = turned(rng.normal(size=3), rng)
    head, w = head_of(V, beta), rng.dirichlet(np.ones(5))
    points = rng.normal(size=(5, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    start = tp.Particles(points, weights=w, space=tp.Sphere())
    times = np.linspace(0, 1.6, 801)
    path = tp.flow(start, head, times, rtol=1e-12, atol=1e-13)
    kernel = np.exp(beta * path.points @ V @ path.points.mT)
    energy = np.einsum("i,tij,j->t", w, kernel, w) / (2 * beta)
    h = times[1]
    rate = (energy[:-4] - 8 * energy[1:-3] + 8 * energy[3:-1] - energy[4:]) / (12 * h)
    v = np.array([velocities(head, x, w) for x in path.points[2:-2]])
    Z = kernel[2:-2] @ w
    predicted = np.einsum("i,ti,tid->t", w, Z, v**2)
    np.testing.assert_allclose(rate, predicted, rtol=0, atol=1e-9)
    assert (np.diff(energy) > 0).all()
    assert energy[-1] - energy[0] > 0.03


def test_at_an_equilibrium_that_is_not_pure_the_spectrum_is_real():
    q = theory.mixed_states([2.0, -3.0], [1, 1], 1.5)[2]
    p = np.sqrt(1 - q * q)
    x = np.array([[1.0, 0.0], [q, p], [q, -p]])
    head = head_of(np.diag([2.0, -3.0]), 1.5)
    found = np.linalg.eigvals(jacobian(head, x, np.full(3, 1 / 3)))
    assert np.abs(np.imag(found)).max() < 1e-9


# --- spectrum and stability ----------------------------------------------------------------------


def test_spectrum_and_stability_of_random_pure_states():
    """400 states: the formula against differences of the field; the rule against the signs."""
    stable = 0
    for seed in range(400):
        values, mode, signs, weights, beta = random_state(seed)
        found = measured_spectrum(values, mode, signs, weights, beta, seed)
        assert np.abs(found.imag).max() < 1e-8
        formula = theory.pure_state_spectrum(values, mode, signs, weights, beta)
        np.testing.assert_allclose(np.sort(found.real), np.sort(formula.ravel()), atol=1e-8)
        rule = theory.pure_state_is_stable(values, mode, signs, weights, beta)
        assert rule == (found.real.max() < 0), seed
        stable += rule
    assert 30 < stable < 200


def test_rule_and_spectrum_agree_where_stable_states_are_common():
    """2,000 states near the threshold, by the two functions alone."""
    rng, counts = RNG(1), np.zeros(2, dtype=int)
    for _ in range(2_000):
        n, d = rng.integers(2, 7), rng.integers(2, 5)
        sign, signs = rng.choice([-1.0, 1.0]), rng.choice([-1.0, 1.0], size=n)
        w = rng.dirichlet(np.ones(n) * rng.choice([1.0, 10.0]))
        values = np.append(sign, rng.uniform(-1.2, 0.9, size=d - 1))
        args = (values, 0, signs, w, float(rng.uniform(0.05, 2)))
        top = theory.pure_state_spectrum(*args).max()
        counts[int(theory.pure_state_is_stable(*args))] += 1
        assert abs(top) < 1e-12 or theory.pure_state_is_stable(*args) == (top < 0)
    assert counts.min() > 300


@pytest.mark.parametrize("seed", range(40))
def test_spectrum_for_another_form_in_the_same_basis(seed):
    values, mode, signs, weights, beta = random_state(seed)
    rng = RNG(seed + 500)
    a = rng.normal(size=len(values))
    V, U = turned(values, RNG(seed))
    A = (U * a) @ U.T
    head = tp.Softmax(beta * A, np.eye(len(V)), V)
    found = np.linalg.eigvals(jacobian(head, signs[:, None] * U[:, mode], weights))
    formula = theory.pure_state_spectrum(values, mode, signs, weights, beta, score=a[mode])
    np.testing.assert_allclose(np.sort(found.real), np.sort(formula.ravel()), atol=1e-8)


def test_determinant_of_a_block_factors():
    for seed in range(100):
        values, mode, _, weights, beta = random_state(seed)
        signs = np.append(1.0, -np.ones(len(weights) - 1))
        p, r = values[mode], max(weights[0], 1 - weights[0]) / min(weights[0], 1 - weights[0])
        c = np.exp(2 * beta * p)
        plus, minus = r * c / (r * c + 1), c / (c + r)
        s, q = plus + minus - 1, (2 * plus - 1) * (2 * minus - 1)
        rows = theory.pure_state_spectrum(values, mode, signs, weights, beta)
        inside = (-p * (2 * plus - 1), -p * (2 * minus - 1))
        alone = inside[int(weights[0] > 0.5)]  # that of the group of n - 1 tokens
        for k, row in zip(np.delete(values, mode), rows, strict=True):
            rest = list(row)
            for _ in range(len(signs) - 2):
                rest.pop(int(np.argmin(np.abs(np.array(rest) - alone))))
            assert np.prod(rest) == pytest.approx((k - p) * (s * k - q * p), abs=1e-10)


@pytest.mark.parametrize("beta", [0.3, 1.0, 2.0])
def test_tanh_law_by_bisection(beta):
    """The second eigenvalue at which a balanced split of two tokens loses stability."""
    x, low, high = np.array([[1.0, 0.0], [-1.0, 0.0]]), 0.0, 1.0
    while high - low > 1e-11:
        middle = (low + high) / 2
        head = head_of(np.diag([1.0, middle]), beta)
        top = np.linalg.eigvals(jacobian(head, x, np.full(2, 0.5))).real.max()
        low, high = (middle, high) if top < 0 else (low, middle)
    assert low == pytest.approx(np.tanh(beta), abs=1e-9)
    assert theory.split_threshold(beta) == pytest.approx(np.tanh(beta), abs=1e-15)


def test_threshold_is_exact_for_extreme_strengths_and_ratios():
    for b, r in ((1e-9, 1.0), (1e-5, 1 + 1e-5), (0.5, np.exp(1)), (3.0, 40.0), (400.0, 1e10)):
        with mpmath.workdps(400):
            B, L = 2 * mpmath.mpf(b), mpmath.log(mpmath.mpf(r))
            exact = (mpmath.cosh(B) - mpmath.cosh(L)) / mpmath.sinh(B)
        exact, tolerance = float(exact), {"rel": 1e-12, "abs": 1e-10 if r == 1 + 1e-5 else 1e-14}
        assert theory.split_threshold(b, r) == pytest.approx(exact, **tolerance)
        assert theory.split_threshold(b, 1 / r) == pytest.approx(exact, rel=1e-9, abs=1e-10)


def test_splits_of_equal_tokens_follow_the_rule():
    for n in range(2, 9):
        for b in (0.15, 0.4, 0.8, 1.5, 2.5):
            for m in (-3.0, -0.9, 0.0, 0.3, 0.9):
                splits = theory.stable_splits(n, b, m)
                for k in range(1, n):
                    signs = np.append(np.ones(n - k), -np.ones(k))
                    assert splits[k - 1] == theory.pure_state_is_stable([1, m], 0, signs, beta=b)
    assert list(np.flatnonzero(theory.stable_splits(12, 0.8, 0.3)) + 1) == list(range(3, 10))


def test_a_lone_minority_needs_no_bound_on_the_ratio():
    edge = np.log(3) / 2
    signs = np.array([1.0, 1.0, 1.0, -1.0])
    lone = theory.pure_state_spectrum([1, -3], 0, signs, beta=edge / 2).max()
    assert lone == pytest.approx(-0.490, abs=5e-4)
    pair = np.repeat(signs, 2)
    for factor, sign in ((0.9, 1), (1.1, -1)):
        top = theory.pure_state_spectrum([1, -3], 0, pair, beta=factor * edge).max()
        assert top == pytest.approx(sign * 0.0549, abs=5e-5)


@pytest.mark.parametrize("n", [3, 5, 7])
def test_an_odd_number_of_tokens_needs_a_strength(n):
    """Polarisation on the most negative mode, the halves as equal as they can be."""
    signs = np.append(np.ones((n + 1) // 2), -np.ones(n // 2))
    edge = np.log((n + 1) / (n - 1)) / 2 / 4
    for factor, stable in ((0.999, False), (1.001, True)):
        found = theory.pure_state_is_stable([-0.4, -4.0], 1, signs, beta=factor * edge)
        assert found is stable
    assert n != 3 or edge == pytest.approx(0.08664, abs=5e-6)


# --- the leader ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(30))
def test_leader_thresholds_are_where_the_spectrum_changes_sign(seed):
    rng = RNG(seed)
    values = -rng.uniform(0.2, 4, size=rng.integers(2, 5))
    beta, others = float(rng.uniform(0.05, 0.8)), int(rng.integers(1, 5))
    strong, weak = theory.leader_thresholds(values, beta)
    assert min(strong, weak) > 0.5
    signs = np.append(1.0, -np.ones(others))
    for W, mode, side in ((strong, values.argmin(), 1), (weak, values.argmax(), -1)):
        for step in (-1e-6, 1e-6):
            w = np.append(W + step, np.full(others, (1 - W - step) / others))
            top = theory.pure_state_spectrum(values, int(mode), signs, w, beta).max()
            assert (top < 0) == (side * step < 0)


def test_a_strong_leader_selects_the_other_end():
    """Flows of three tokens: the mode on which they end, by the weight of the first."""
    strong, weak = theory.leader_thresholds([-1.0, -5.0], 0.05)
    assert (strong, weak) == (pytest.approx(0.66115, abs=5e-6), pytest.approx(0.72465, abs=5e-6))
    head, starts = head_of(np.diag([-1.0, -5.0]), 0.05), RNG(0).uniform(0, 2 * np.pi, (20, 3))
    x = np.stack([np.cos(starts), np.sin(starts)], axis=-1)
    shares = {}
    for W in (0.6, 0.65, 0.69, 0.9):
        w = np.array([W, (1 - W) / 2, (1 - W) / 2])
        cloud = tp.Particles(x, weights=w, space=tp.Sphere())
        end = np.abs(tp.flow(cloud, head, [0, 120.0], rtol=1e-4).points[-1])
        shares[W] = tuple((end[..., k] > 0.99).all(axis=1).mean() for k in (0, 1))
    assert shares == {0.6: (0, 1), 0.65: (0, 1), 0.69: (0, 0), 0.9: (1, 0)}


# --- the cone ------------------------------------------------------------------------------------


def cone_case(seed):
    """A head, tokens in the half sphere of its dominant eigenvector, masked in two of five."""
    rng = RNG(seed)
    n, d = rng.integers(2, 7), rng.integers(2, 5)
    values = np.append(1.0, rng.uniform(-0.9, 0.9, size=d - 1))
    V, U = turned(values, rng)
    Q, K = rng.normal(size=(2, d, d)) * rng.choice([0.3, 1.0, 3.0])
    coordinates = rng.normal(size=(n, d))
    coordinates[:, 0] = np.abs(coordinates[:, 0]) + 0.1
    coordinates /= np.linalg.norm(coordinates, axis=1, keepdims=True)

    def head(t):
        c, s = np.cos(t), np.sin(t)
        one = tp.Softmax(c * Q + s * K, K, V)
        return tp.Masked(one) if seed % 5 < 2 else one

    places = np.arange(n, dtype=float) if seed % 5 < 2 else None
    weights = rng.dirichlet(np.ones(n))
    start = tp.Particles(coordinates @ U.T, weights, places, tp.Sphere())
    return values, coordinates, U, head if seed % 2 else head(0.0), start


def test_cone_bound_holds_for_every_attention():
    """60 cases: masked or not, with parameters that depend on depth or not."""
    closest = 0.0
    for seed in range(60):
        values, coordinates, U, head, start = cone_case(seed)
        times = np.linspace(0, 6, 25)
        path = tp.flow(start, head, times, rtol=1e-9)
        y = path.points @ U
        ratios = (np.abs(y[..., 1:]) / y[..., :1]).max(axis=1)
        bound = theory.cone_bound(values, coordinates, times)
        np.testing.assert_allclose(bound[0], ratios[0], rtol=1e-12)
        closest = max(closest, (ratios[1:] / bound[1:]).max())
        assert (ratios <= bound * (1 + 1e-8)).all(), seed
    assert 0.9 < closest < 1


def test_cone_bound_is_none_where_nothing_decides():
    x = [[1.0, 2.0], [2.0, 1.0]]
    assert theory.cone_bound([1.0, -1.0], x, 1.0) is None
    assert theory.cone_bound([0.5, 0.7], x, 1.0) is None
    assert theory.cone_bound([1.0, 0.5], [[0.0, 1.0], [1.0, 0.0]], 1.0) is None
    assert theory.cone_bound([1.0, 0.5], x, np.zeros((2, 3))).shape == (2, 3, 1)


@pytest.mark.parametrize("M", [1.1, 1.5, 3.0])
def test_beyond_the_hypothesis_tokens_in_the_cone_can_rest(M):
    """An equilibrium with q > 0 for V = diag(1, -M) at low temperature, and none for M < 1."""
    q = theory.mixed_states([1.0, -M], [1, 1], 40.0).max()
    assert 0 < q < 1
    x = np.array([[1.0, 0.0], [q, np.sqrt(1 - q * q)], [q, -np.sqrt(1 - q * q)]])
    w = np.full(3, 1 / 3)
    assert np.abs(velocities(head_of(np.diag([1.0, -M]), 40.0), x, w)).max() < 1e-9
    assert (theory.mixed_states([1.0, -0.99], [1, 1], 40.0) <= 0).all()


# --- mixed states --------------------------------------------------------------------------------

PRINTED = {
    (2.0, -3.0, 1.5, 1, 1): (-0.90652, 0.0239051913, 0.80075),
    (-0.4, -4.0, 0.03, 1, 1): (-0.2341172382,),
    (-0.4, -4.0, 0.03, 1, 2): (-0.1141124228,),
}


@pytest.mark.parametrize("case", PRINTED)
def test_mixed_states_are_at_rest(case):
    a, other, beta, m, k = case
    roots = theory.mixed_states([a, other], [m, k], beta)
    digits = [1e-10 if abs(q) < 0.5 else 5e-6 for q in PRINTED[case]]
    assert len(roots) == len(digits)
    assert (np.abs(roots - PRINTED[case]) <= digits).all()
    for q in roots:
        p = np.sqrt(1 - q * q)
        x = np.array([[1.0, 0.0]] * m + [[q, p]] * k + [[q, -p]] * k)
        v = velocities(head_of(np.diag([a, other]), beta), x, np.full(len(x), 1 / len(x)))
        assert np.abs(v).max() < 1e-10


# --- the stored experiments ----------------------------------------------------------------------

STORED = load("selection", ROOT / "book" / "frontier" / "data").arrays
sweep = load_tool("frontier_selection")


def test_no_stored_start_ends_in_an_unstable_split():
    fewer = STORED["staircase"]
    b, m = (one.ravel() for one in np.meshgrid(sweep.STRENGTHS, sweep.SHARES, indexing="ij"))
    stable = theory.stable_splits(sweep.TOKENS, b, m)
    seen = np.stack([(fewer == k).any(axis=1) for k in range(1, 5)], axis=-1)
    assert not (seen & ~stable[:, :4]).any()
    assert 2000 < (fewer > 0).sum() < 2400


def test_stored_shares_are_those_that_the_chapter_needs():
    assert STORED["cone"].mean(axis=1) == pytest.approx([1, 0.53, 0.40], abs=0.05)
    assert (STORED["leader"] == np.array([[1], [1], [2], [0]])).all()
    none, still_none, some, all_ = STORED["odd"].mean(axis=1)
    assert (none, still_none, all_) == (0, 0, 1)
    assert some == pytest.approx(0.12, abs=0.05)
    assert STORED["peer_hot"].mean() == 0
    assert STORED["peer_cold"].mean() == pytest.approx(0.818, abs=3 * 0.02)


def test_stored_ends_are_found_again():
    """Cells of the staircase and starts of the others, drawn with a seed."""
    cells = RNG(11).choice(182, size=2, replace=False)
    assert (sweep.staircase(cells) == STORED["staircase"][cells]).all()
    starts = RNG(12).choice(200, size=4, replace=False)
    for name in ("leader", "cone", "odd"):
        assert (getattr(sweep, name)(starts) == STORED[name][:, starts]).all()


@pytest.mark.parametrize(
    ("M", "wanted"), [(1.1, 7.78113224e-19), (1.5, 1.75130215e-26), (3.0, 3.83382404e-53)]
)
def test_small_roots_of_mixed_states_keep_their_digits(M, wanted):
    roots = theory.mixed_states([1.0, -M], [1, 1], 40)
    assert np.count_nonzero(roots > 0) == 2
    # to first order, and the other term of the bracket is e^(-2 beta M) times as large
    assert roots[roots > 0][0] == pytest.approx(np.exp(-40 * M) / (M - 1), rel=1e-10, abs=0)
    assert roots[roots > 0][0] == pytest.approx(wanted, rel=1e-8, abs=0)


def test_mixed_states_beyond_floats_and_of_no_force():
    assert (theory.mixed_states([1.0, -3.0], [1, 1], 400)[1:-1] == 0).all()
    with pytest.raises(ValueError, match="must not both be 0"):
        theory.mixed_states([0.0, 0.0], [1, 1])


@pytest.mark.parametrize(
    ("values", "beta"),
    [([-1e-9, -1.0], 1.0), ([-1e-15, -1e-3], 1.0), ([-1.0, -1.0001], 1e-8), ([-1e-8, -3.0], 20.0)],
)
def test_thresholds_of_a_leader_for_eigenvalues_of_different_size(values, beta):
    weak, strong = (mpmath.mpf(-one) for one in values)
    found = theory.leader_thresholds(values, beta)
    with mpmath.workdps(60):
        for own, other, W in ((strong, weak, found[0]), (weak, strong, found[1])):
            b = mpmath.mpf(beta) * own
            log_r = mpmath.acosh(mpmath.cosh(2 * b) + other / own * mpmath.sinh(2 * b))
            assert abs(W * (1 + mpmath.exp(-log_r)) - 1) < 1e-15
