"""Filters and layers of the dual filter, against paths, rational numbers and conditional laws."""

import itertools
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from transpde.filtering import HiddenMarkov, LinearGaussian
from transpde.theory import inference


def random_chain(seed, k=3, m=2, spread=0.5, emission=1.0, forget=1.0):
    """A random model, and the generator after it."""
    rng = np.random.default_rng(seed)
    N = rng.dirichlet(np.full(k, spread), size=k)
    C = rng.dirichlet(np.full(m, emission), size=k)
    N = (1 - forget) * np.eye(k) + forget * N
    return HiddenMarkov(N, C, np.full(k, 1 / k)), rng


def case(seed, n, **how):
    model, rng = random_chain(seed, **how)
    return model, model.sample(n, rng)[1]


def variation(a, b):
    return np.abs(a - b).sum(axis=-1) / 2


def iterated(model, observations, count, **how):
    """Beliefs after 0..count layers."""
    found = [model.start(observations)]
    for _ in range(count):
        found.append(model.dual_layer(found[-1], observations, **how)[0])
    return np.array(found)


def rational(array):
    return [[Fraction(float(x)) for x in row] for row in array]


def rational_chain(model):
    """Transition, emission and prior as fractions whose rows sum to one exactly."""
    rows = [rational(model.transition), rational(model.emission), rational([model.prior])]
    found = [[[x / sum(row) for x in row] for row in one] for one in rows]
    return found[0], found[1], found[2][0]


def rational_layer(model, rho, observations):
    """The layer by its definition: every position and test function by itself, in fractions."""
    N, C, prior = rational_chain(model)
    k, found = len(prior), [prior]
    for T in range(1, len(observations) + 1):
        row = []
        for state in range(k):
            y, total = [Fraction(int(i == state)) for i in range(k)], Fraction(0)
            for t in reversed(range(T)):
                p = [C[x][observations[t]] for x in range(k)]
                f = [sum(a * b for a, b in zip(N[x], y, strict=True)) for x in range(k)]

                def mean(g, rho=rho[t]):
                    return sum(a * b for a, b in zip(rho, g, strict=True))

                both = [a * b for a, b in zip(f, p, strict=True)]
                h = (mean(both) - mean(f) * mean(p)) / (mean(p) * (1 - mean(p)))
                y, total = [a - b * h for a, b in zip(f, p, strict=True)], total + h
            row.append(sum(a * b for a, b in zip(prior, y, strict=True)) + total)
        found.append(row)
    return found


class Precise:
    """A chain in many digits, and its layers as linear filters with frozen gains."""

    def __init__(self, model, observations):
        def laws(rows):
            exact = [[mpmath.mpf(float(x)) for x in row] for row in rows]
            return [[x / sum(row) for x in row] for row in exact]

        self.N, C = laws(model.transition), laws(model.emission)
        self.prior = laws([model.prior])[0]
        self.p = [[row[z] for row in C] for z in observations]
        self.exact = [self.prior]
        for p in self.p:
            seen = [a * b for a, b in zip(self.exact[-1], p, strict=True)]
            self.exact.append(self.pushed([x / sum(seen) for x in seen]))

    def pushed(self, row):
        return [sum(a * b[j] for a, b in zip(row, self.N, strict=True)) for j in range(len(row))]

    def layer(self, rho):
        found = [self.prior]
        for p, before in zip(self.p, rho, strict=False):
            mean = sum(a * b for a, b in zip(before, p, strict=True))
            missed = 1 - sum(a * b for a, b in zip(found[-1], p, strict=True))
            gains = [a * (b - mean) / (mean * (1 - mean)) for a, b in zip(before, p, strict=True)]
            found.append(
                self.pushed([a + missed * b for a, b in zip(found[-1], gains, strict=True)])
            )
        return found

    def error(self, rho):
        rows = zip(rho, self.exact, strict=True)
        return float(max(sum(abs(a - b) for a, b in zip(*one, strict=True)) for one in rows) / 2)


# --- hidden Markov models ------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_filter_by_all_hidden_paths(seed):
    model, observations = case(seed, 5, m=3)
    N, C, prior = rational_chain(model)
    for t in range(6):
        law = [Fraction(0)] * 3
        for path in itertools.product(range(3), repeat=t + 1):
            weight = prior[path[0]]
            for s in range(t):
                weight *= C[path[s]][observations[s]] * N[path[s]][path[s + 1]]
            law[path[-1]] += weight
        exact = np.array([float(x / sum(law)) for x in law])
        assert np.abs(model.filter(observations)[t] - exact).max() < 1e-15


@pytest.mark.parametrize("centred", [True, False])
def test_layer_by_its_definition_in_fractions(centred):
    model, observations = case(1, 4, m=3)
    rho = np.random.default_rng(2).dirichlet(np.ones(3), size=5)
    exact = [[x / sum(row) for x in row] for row in rational(rho)]
    wanted = np.array(rational_layer(model, exact, observations), dtype=float)
    found, weights = model.dual_layer(rho, observations, centred=centred)
    assert np.abs(found - wanted).max() < 1e-14
    assert (weights[np.triu_indices(5, 0, 4)] == 0).all()
    assert weights.shape == (5, 4, 3)


def test_two_exact_layers_in_fractions_extend_the_prefix():
    model, observations = case(3, 4)
    rho = [[Fraction(1, 3)] * 3 for _ in range(5)]
    exact = [rational_chain(model)[2]]
    N, C, _ = rational_chain(model)
    for z in observations:
        seen = [a * C[x][z] for x, a in enumerate(exact[-1])]
        law = [a / sum(seen) for a in seen]
        exact.append([sum(law[i] * N[i][j] for i in range(3)) for j in range(3)])
    for layer in range(1, 3):
        rho = rational_layer(model, rho, observations)
        assert rho[: layer + 1] == exact[: layer + 1]
        assert rho[layer + 1 :] != exact[layer + 1 :]


@pytest.mark.parametrize("seed", range(5))
def test_error_after_a_layer_is_the_formula(seed):
    model, observations = case(seed, 20, k=4, m=3)
    rng, exact = np.random.default_rng(seed), model.filter(observations)
    assert np.abs(model.dual_layer(exact, observations)[0] - exact).max() < 1e-14
    rho = 0.5 * rng.dirichlet(np.ones(4), size=21) + 0.5 * exact
    rho += 0.02 * (noise := rng.normal(size=rho.shape)) - 0.02 * noise.mean(axis=-1)[:, None]
    found, _ = model.dual_layer(rho, observations)
    wanted = inference.layer_errors(model, rho, observations)
    assert np.abs(found - exact - wanted).max() < 1e-13
    assert np.abs(wanted).max() > 1e-3


def test_only_the_fixed_point_stays():
    """From anywhere, n + 1 layers end at the filter: the first puts position 0 right."""
    model, observations = case(4, 12)
    rho = np.random.default_rng(0).dirichlet(np.ones(3), size=13)
    for _ in range(13):
        rho, _ = model.dual_layer(rho, observations)
    assert variation(rho, model.filter(observations)).max() < 1e-14


@pytest.mark.parametrize("project", [False, True])
@pytest.mark.parametrize("forget", [1.0, 0.5, 0.2, 0.05])
def test_exactness_moves_as_a_light_cone(forget, project):
    model, observations = case(0, 60, k=6, forget=forget)
    runs = iterated(model, observations, 60, project=project)
    errors = variation(runs, model.filter(observations))
    assert max(errors[k, : k + 1].max() for k in range(61)) < 1e-12


def test_what_is_not_known_reaches_later_positions_only():
    model, observations = case(0, 10)
    rho = model.filter(observations)
    rho[6] = np.nan
    found, weights = model.dual_layer(rho, observations)
    assert np.isfinite(found[:7]).all()
    assert np.isnan(found[7:]).all()
    assert np.isfinite(weights[:7]).all()


def test_layers_of_a_chain_that_forgets():
    """The dossier's table: largest total variation after 0..9 layers, and the mean factor."""
    model, observations = case(0, 40, k=6)
    errors = variation(iterated(model, observations, 15), model.filter(observations)).max(axis=1)
    wanted = [
        0.278,
        5.71e-2,
        6.17e-3,
        1.06e-3,
        9.92e-5,
        1.90e-5,
        2.25e-6,
        3.97e-7,
        3.26e-8,
        5.79e-9,
    ]
    np.testing.assert_allclose(errors[:10], wanted, rtol=5e-3)
    assert (errors[12] / errors[2]) ** 0.1 == pytest.approx(0.140, abs=1e-3)
    assert errors[15] < 1e-13


def test_a_chain_that_does_not_forget_in_forty_digits():
    """Layers diverge before they are exact, by as much as in exact arithmetic."""
    model, observations = case(0, 60, k=6, forget=0.2)
    errors = variation(iterated(model, observations, 60), model.filter(observations)).max(axis=1)
    with mpmath.workdps(40):
        chain = Precise(model, observations)
        rho = [chain.prior] * 61
        for layer in range(1, 21):
            rho = chain.layer(rho)
            if layer in (5, 10, 20):
                tolerance = 1e-10 if layer == 5 else 1e-4
                assert errors[layer] == pytest.approx(chain.error(rho), rel=tolerance)
    assert errors[5] == pytest.approx(2.9, abs=0.01)
    assert errors[10] > 1e6
    assert errors[60] < 1e-14
    projected = iterated(model, observations, 60, project=True)
    errors = variation(projected, model.filter(observations)).max(axis=1)
    assert errors[[10, 20]] == pytest.approx([0.19, 0.25], abs=0.006)
    assert errors[60] < 1e-14


def test_contraction_is_never_violated():
    rng, used, largest = np.random.default_rng(5), 0, 0.0
    for seed in range(200):
        k = int(rng.integers(2, 5))
        N = 0.7 / k + 0.3 * rng.dirichlet(np.ones(k), size=k)
        C = 0.25 + 0.5 * rng.dirichlet(np.ones(2), size=k)
        model = HiddenMarkov(N, C, rng.dirichlet(np.ones(k)))
        q = inference.layer_contraction(model)
        observations = model.sample(12, seed)[1]
        exact, rho = model.filter(observations), rng.dirichlet(np.ones(k), size=13)
        found, _ = model.dual_layer(rho, observations)
        clipped, _ = model.dual_layer(rho, observations, project=True)
        before, after = variation(rho, exact).max(), variation(found, exact)
        assert (variation(clipped, exact) <= after + 1e-15).all()
        if q is not None:
            used, largest = used + 1, max(largest, after.max() / (q * before))
    assert used > 100
    assert 0.01 < largest < 1


def test_factor_of_two_states_is_that_of_layers():
    for q, e in ((0.3, 0.3), (0.2, 0.3), (0.1, 0.3), (0.05, 0.3), (0.08, 0.1)):
        N, C = [[1 - q, q], [q, 1 - q]], [[1 - e, e], [e, 1 - e]]
        model = HiddenMarkov(N, C, [0.5, 0.5])
        long = np.zeros(400, dtype=int)
        model = HiddenMarkov(N, C, model.filter(long)[-1])  # at its fixed point
        exact, far = model.filter(long), 1e-6
        for sign in (1, -1):
            moved = exact + sign * far * np.array([1.0, -1.0])
            errors = model.dual_layer(moved, long)[0] - exact
            found = errors[-1, 0] / (sign * far)
            assert found == pytest.approx(inference.two_state_factor(q, e), rel=1e-3)


def test_factors_and_critical_flips_of_the_dossier():
    wanted = {0.3: -0.0867, 0.2: -0.3114, 0.1: -1.1285, 0.05: -2.8325}
    for q, J in wanted.items():
        assert inference.two_state_factor(q, 0.3) == pytest.approx(J, abs=5e-5)
    for e, q in ((0.3, 0.10826), (0.2, 0.10652)):
        assert inference.critical_flip(e) == pytest.approx(q, abs=5e-6)


@pytest.mark.parametrize("e", [0.02, 0.1, 0.3, 0.45, 0.49])
def test_factor_grows_as_flips_become_rare(e):
    """So there is one critical flip probability; observed on a grid."""
    factors = [inference.two_state_factor(q, e) for q in np.geomspace(1e-4, 0.499, 200)]
    assert (np.diff(factors) > 0).all()
    assert factors[-1] < 0


@pytest.mark.parametrize(("ratio", "diverges"), [(0.8, True), (1.25, False)])
def test_layers_diverge_below_the_critical_flip(ratio, diverges):
    q, e = ratio * inference.critical_flip(0.3), 0.3
    model = HiddenMarkov([[1 - q, q], [q, 1 - q]], [[1 - e, e], [e, 1 - e]], [0.5, 0.5])
    long = np.zeros(200, dtype=int)
    exact = model.filter(long)
    rho = exact + 1e-7 * np.array([1.0, -1.0])
    for _ in range(12):
        rho, _ = model.dual_layer(rho, long)
    assert (variation(rho, exact)[-1] > 1e-7) == diverges


def test_stacks_are_their_sequences():
    model, rng = random_chain(2, m=4)
    several = np.array([[model.sample(9, rng)[1] for _ in range(3)] for _ in range(2)])
    rho = rng.dirichlet(np.ones(3), size=(2, 3, 10))
    exact, (found, weights) = model.filter(several), model.dual_layer(rho, several)
    passed = model.dual_filter(several, 4, "signed")
    assert found.shape == (2, 3, 10, 3)
    assert weights.shape == (2, 3, 10, 9, 3)
    for i in np.ndindex(2, 3):
        assert np.abs(exact[i] - model.filter(several[i])).max() < 1e-15
        one, taken = model.dual_layer(rho[i], several[i])
        assert np.abs(found[i] - one).max() < 1e-14
        assert np.abs(weights[i] - taken).max() < 1e-14
        assert np.abs(passed[i] - model.dual_filter(several[i], 4, "signed")).max() < 1e-14


def test_sample_has_the_laws_of_the_model():
    model, _ = random_chain(0, m=3)
    states, seen = model.sample(20_000, 1)
    for x in range(3):
        after = np.bincount(states[1:][states[:-1] == x], minlength=3)
        symbols = np.bincount(seen[states[:-1] == x], minlength=3)
        for counts, law in ((after, model.transition[x]), (symbols, model.emission[x])):
            error = np.sqrt(law * (1 - law) / counts.sum())
            assert (np.abs(counts / counts.sum() - law) < 4 * error + 1e-12).all()


def test_an_excluded_symbol_is_refused_and_a_certain_one_tells_nothing():
    model = HiddenMarkov([[1.0, 0.0], [0.5, 0.5]], [[1.0, 0.0], [0.3, 0.7]], [1.0, 0.0])
    with pytest.raises(ValueError, match="position 0 has probability zero"):
        model.filter([1, 0])
    exact = model.filter([0, 0])
    assert (exact == [1.0, 0.0]).all()
    assert np.abs(model.dual_layer(exact, [0, 0])[0] - exact).max() == 0


@pytest.mark.parametrize("seed", range(8))
def test_a_symbol_that_is_certain_but_for_rounding_says_nothing(seed):
    """Beliefs on states in which it is certain have sums that are a rounding off one."""
    rng = np.random.default_rng(seed)
    N = rng.dirichlet(np.ones(6), size=6)
    C = np.array([[1.0, 0.0]] * 3 + [[0.3, 0.7]] * 3)
    model = HiddenMarkov(N, C, np.full(6, 1 / 6))
    rho = np.zeros((6, 6))
    rho[:, :3] = rng.dirichlet(np.ones(3), size=6)
    rho[0] = model.prior
    found, weights = model.dual_layer(rho, [0] * 5)
    exact = model.filter([0])[1]
    assert (weights[:, 1:] == 0).all()
    for t in range(1, 6):  # after the first symbol, whose gain is right, the chain only moves
        assert np.abs(found[t] - exact @ np.linalg.matrix_power(N, t - 1)).max() < 1e-15


def test_beliefs_that_meet_certainty_by_accident_give_no_number():
    model = HiddenMarkov([[0.9, 0.1], [0.3, 0.7]], [[0.75, 0.25], [0.5, 0.5]], [0.5, 0.5])
    for row in ([2.0, -1.0], [-2.0, 3.0]):  # the symbol has probability one, and zero
        rho = model.start([0, 0])
        rho[1] = row
        found, _ = model.dual_layer(rho, [0, 0])
        assert np.isfinite(found[:2]).all()
        assert not np.isfinite(found[2]).any()
        with pytest.raises(ValueError, match="a probability other than 0 and 1"):
            inference.layer_errors(model, rho, [0, 0])


def test_excluded_sequences_are_refused_by_layers_too():
    model = HiddenMarkov([[0.9, 0.1], [0.1, 0.9]], [[1.0, 0.0], [1.0, 0.0]], [0.5, 0.5])
    rho = model.start([0, 1])
    for call in (
        lambda: model.dual_layer(rho, [0, 1]),
        lambda: model.dual_filter([[0, 0], [0, 1]]),
        lambda: model.dual_filter([0, 1], form="signed"),
        lambda: inference.mass_growth(model, [0, 1]),
    ):
        with pytest.raises(ValueError, match="position 1 has probability zero"):
            call()


@pytest.mark.parametrize("seed", range(5))
def test_formula_and_cone_hold_whatever_lies_ahead(seed):
    """Beliefs of mass one with large entries of both signs, ahead of an exact prefix."""
    model, observations = case(seed, 12, k=4, m=3)
    exact, rng = model.filter(observations), np.random.default_rng(seed)
    rho = 10 * rng.normal(size=exact.shape)
    rho += (1 - rho.sum(axis=-1, keepdims=True)) / 4
    rho[:6] = exact[:6]
    found, _ = model.dual_layer(rho, observations)
    assert np.abs(found[:7] - exact[:7]).max() < 1e-14
    wanted = inference.layer_errors(model, rho, observations)
    assert np.abs(found - exact - wanted).max() < 1e-9 * np.abs(wanted).max()
    assert np.abs(wanted[7:]).max() > 0.1


def test_symbols_that_are_floats_are_said_to_be_no_integers():
    model, _ = random_chain(0)
    with pytest.raises(ValueError, match="must be an array of integers; got entries of"):
        model.filter([0.0, 1.0])


# --- rounding ------------------------------------------------------------------------------------


def rounding_case():
    return case(0, 300, m=7, emission=0.5)


def test_signed_form_loses_all_digits_and_a_subtraction_cures_it():
    """The dossier's numbers: within a factor three of 2e-12, 4e-7, 2e-2, 0.5."""
    model, observations = rounding_case()
    exact = model.filter(observations)

    def errors(form, centred):
        found = model.dual_filter(observations, 10, form, centred=centred)
        return np.abs(found - exact).max(axis=-1)

    lost = errors("signed", False)
    for t, wanted in ((10, 2e-12), (20, 4e-7), (30, 2e-2), (50, 0.5)):
        assert 1 / 3 < lost[t] / wanted < 3
    assert errors("signed", True).max() < 3e-14
    assert errors("covariance", False)[:51].max() < 1e-15


def precise_signed(model, observations, window, slip, centred=False):
    """The signed form in many digits, from a prior with a slip of its mass."""
    chain = Precise(model, observations)
    k, beliefs = len(chain.prior), [[x * (1 + slip) for x in chain.prior]]
    for T in range(1, len(observations) + 1):
        low, row = max(0, T - window), []
        for state in range(k):
            y, total = [mpmath.mpf(i == state) for i in range(k)], mpmath.mpf(0)
            for t in reversed(range(low, T)):
                rho, c = beliefs[t], [2 * x - 1 for x in chain.p[t]]
                f = [sum(a * b for a, b in zip(line, y, strict=True)) for line in chain.N]
                mean = sum(a * b for a, b in zip(rho, c, strict=True))
                less = sum(a * b for a, b in zip(rho, f, strict=True)) if centred else 0
                top = sum(a * (b - less) * (x - mean) for a, b, x in zip(rho, f, c, strict=True))
                u = -top / (1 - mean**2)
                y, total = [a + b * u for a, b in zip(f, c, strict=True)], total - u
            row.append(sum(a * b for a, b in zip(beliefs[low], y, strict=True)) + total)
        beliefs.append(row)
    return chain, beliefs


def test_signed_form_is_the_filter_in_exact_arithmetic():
    model, observations = case(1, 25, m=7, emission=0.5)
    with mpmath.workdps(60):
        chain, beliefs = precise_signed(model, observations, 6, mpmath.mpf(0))
        assert chain.error(beliefs) < 1e-40


@pytest.mark.parametrize("window", [4, 30])
def test_slips_of_mass_grow_as_the_recursion(window):
    model, observations = case(1, 25, m=7, emission=0.5)
    with mpmath.workdps(60):
        slip = mpmath.mpf(10) ** -30
        _, beliefs = precise_signed(model, observations, window, slip)
        grown = np.array([float((sum(row) - 1) / slip) for row in beliefs])
        _, cured = precise_signed(model, observations, window, slip, centred=True)
        kept = np.array([float((sum(row) - 1) / slip) for row in cured])
    wanted = inference.mass_growth(model, observations, window)
    np.testing.assert_allclose(grown, wanted, rtol=1e-12)
    assert wanted.max() > 1e3
    starts = np.arange(1, 26) <= window  # of windows: later ones start from a cured belief
    assert np.abs(kept[1:][starts] - 1).max() < 1e-12


def test_slips_in_floats_grow_as_the_recursion():
    model, observations = case(1, 10, m=7, emission=0.5)
    slipped = HiddenMarkov(model.transition, model.emission, model.prior * (1 + 5e-10))
    found = slipped.dual_filter(observations, form="signed", centred=False).sum(axis=-1) - 1
    np.testing.assert_allclose(
        found / 5e-10, inference.mass_growth(model, observations), rtol=5e-4
    )


def test_slips_between_layers_grow_as_binomials_unless_centred():
    """A layer that is not centred sums the slips of all earlier positions, with the other sign."""
    model, observations = case(0, 40, k=6)
    exact = model.filter(observations)
    for centred in (False, True):
        rho, slip = exact * (1 + 1e-9), 1e-9
        rho[0] = exact[0]
        for layer in range(1, 4):
            rho, _ = model.dual_layer(rho, observations, centred=centred)
            grown = (rho.sum(axis=-1) - 1)[1:] / slip
            wanted = [(-1) ** layer * math.comb(T - 1, layer) for T in range(1, 41)]
            wanted = np.zeros(40) if centred else np.array(wanted)
            assert np.abs(grown - wanted).max() < 1e-3 * max(1, np.abs(wanted).max())
    late = variation(iterated(model, observations, 15, centred=False)[-1], exact).max()
    assert late > 1e-8


# --- linear-Gaussian models ----------------------------------------------------------------------

TRANSITION = np.array([[0.9, 0.3, 0.0], [0.0, 0.7, 0.2], [0.1, 0.0, 0.8]])


def kalman(scale=1.0):
    I3 = np.eye(3)
    return LinearGaussian(scale * TRANSITION, [[1.0, 0, 0]], 0.2 * I3, [[1.0]], [0.0] * 3, I3)


def random_gaussian(seed, d=3, m=2):
    rng = np.random.default_rng(seed)
    roots = [rng.normal(size=(n, n)) for n in (d, m, d)]
    noises = [root @ root.T + 0.1 * np.eye(len(root)) for root in roots]
    F, H = rng.normal(size=(d, d)) / 2, rng.normal(size=(m, d))
    return LinearGaussian(F, H, noises[0], noises[1], rng.normal(size=d), noises[2])


@pytest.mark.parametrize("seed", range(3))
def test_kalman_is_conditioning_of_all_at_once(seed):
    model, n = random_gaussian(seed), 5
    d, m = 3, 2
    _, z = model.sample(n, seed)
    means, covariances = model.filter(z)
    # States and observations are linear in the first state and all noises.
    F, H = model.transition, model.observation
    size = d + n * (d + m)
    states, seen = [np.eye(d, size)], []
    noise = np.zeros((size, size))
    noise[:d, :d] = model.covariance
    for t in range(n):
        at = d + t * (d + m)
        noise[at : at + d, at : at + d] = model.process_noise
        noise[at + d : at + d + m, at + d : at + d + m] = model.observation_noise
        seen.append(H @ states[t] + np.eye(size)[at + d : at + d + m])
        states.append(F @ states[t] + np.eye(size)[at : at + d])
    centre = np.zeros(size)
    centre[:d] = model.mean
    for t in range(n + 1):
        x, y = states[t], np.vstack([np.zeros((0, size)), *seen[:t]])
        gain = np.linalg.solve(y @ noise @ y.T, y @ noise @ x.T).T if t else np.zeros((d, 0))
        residual = np.concatenate([np.zeros(0), *z[:t]]) - y @ centre
        assert np.abs(x @ centre + gain @ residual - means[t]).max() < 1e-11
        rest = (x - gain @ y) @ noise @ x.T
        assert np.abs(rest - covariances[t]).max() < 1e-11


@pytest.mark.parametrize("seed", range(3))
def test_layer_of_gaussians_is_the_backward_pass(seed):
    """With y_t = F'y + H'u, u = -L'y from y_T = e: the mean at T is m_0 y_0 - sum of u z."""
    model, n = random_gaussian(seed), 6
    _, z = model.sample(n, seed)
    rng = np.random.default_rng(seed)
    P = np.array([(a := rng.normal(size=(3, 3))) @ a.T for _ in range(n + 1)])
    (means, covariances), weights = model.dual_layer((np.zeros((n + 1, 3)), P), z)
    L, F, H = model.gain(P), model.transition, model.observation
    for T in range(n + 1):
        y, total, cost = np.eye(3), np.zeros(3), np.zeros((3, 3))
        for t in reversed(range(T)):
            u = -L[t].T @ y
            assert np.abs(weights[T, t] + u.T).max() < 1e-12
            cost += y.T @ model.process_noise @ y + u.T @ model.observation_noise @ u
            y, total = F.T @ y + H.T @ u, total - z[t] @ u
        assert np.abs(means[T] - model.mean @ y - total).max() < 1e-12
        wanted = y.T @ model.covariance @ y + cost
        assert np.abs(covariances[T] - wanted).max() < 1e-10 * max(1, np.abs(wanted).max())


def newton_run(scale, count=9):
    model = kalman(scale)
    _, z = model.sample(40, 0)
    exact, beliefs, found = model.filter(z), model.start(z), []
    for _ in range(count):
        found.append(beliefs)
        beliefs, _ = model.dual_layer(beliefs, z)
    errors = [np.linalg.norm(P - exact[1], 2, axis=(-2, -1)).max() for _, P in found]
    return model, exact, found, np.array(errors)


@pytest.mark.parametrize(
    ("scale", "wanted"),
    [
        (1.0, [0.687, 7.98e-2, 1.00e-4, 2.80e-9]),
        (1.25, [3.10, 646, 5.07, 0.688, 3.35e-2, 9.05e-5, 5.95e-10]),
    ],
)
def test_layers_of_gaussians_are_newton_steps(scale, wanted):
    model, exact, found, errors = newton_run(scale)
    np.testing.assert_allclose(errors[: len(wanted)], wanted, rtol=5e-3)
    assert errors[len(wanted)] < 1e-13
    assert np.abs(found[-1][0] - exact[0]).max() < 1e-12 * max(1, np.abs(exact[0]).max())
    for before, after in itertools.pairwise(found):
        step = inference.newton_errors(model, before[1])
        size = np.abs(after[1]).max()
        assert np.abs(after[1] - exact[1] - step).max() < 1e-13 * size
        assert np.linalg.eigvalsh(step).min() > -1e-13 * size  # at least the exact covariance
    for before, after in itertools.pairwise(found[1:]):
        falls = np.linalg.eigvalsh(before[1] - after[1]).min()
        assert falls > -1e-12 * np.abs(before[1]).max()  # monotone from the first layer on


def test_newton_steps_are_quadratic():
    model = kalman()
    _, z = model.sample(30, 0)
    means, exact = model.filter(z)
    bump = np.eye(3) + 0.3
    sizes = []
    for small in (1e-2, 1e-3, 1e-4):
        (_, P), _ = model.dual_layer((means, exact + small * bump), z)
        sizes.append(np.abs(P - exact).max() / small**2)
    assert sizes == pytest.approx([sizes[2]] * 3, rel=0.1)
    assert sizes[2] > 0.01


def test_prefix_of_gaussians_is_exact():
    _, exact, found, _ = newton_run(1.25, count=7)
    for k, (means, P) in enumerate(found):
        assert np.abs(P[: k + 1] - exact[1][: k + 1]).max() < 1e-12
        assert np.abs(means[: k + 1] - exact[0][: k + 1]).max() < 1e-12


def test_gain_identity():
    model, other = random_gaussian(1), random_gaussian(2).covariance
    F, H, R = model.transition, model.observation, model.observation_noise
    exact = model.covariance
    D, best = other - exact, model.gain(exact)
    wanted = (F - best @ H) @ D @ H.T @ np.linalg.inv(H @ other @ H.T + R)
    assert np.abs(model.gain(other) - best - wanted).max() < 1e-13


def test_stacks_of_observations_share_covariances():
    model = random_gaussian(0)
    z = np.array([model.sample(7, seed)[1] for seed in range(4)])
    means, P = model.filter(z)
    (after, Q), weights = model.dual_layer(model.start(z), z)
    assert means.shape == after.shape == (4, 8, 3)
    assert P.shape == Q.shape == (8, 3, 3)
    for i in range(4):
        assert np.abs(model.filter(z[i])[0] - means[i]).max() < 1e-14
        (one, _), taken = model.dual_layer(model.start(z[i]), z[i])
        assert np.abs(one - after[i]).max() < 1e-13
        assert np.abs(taken - weights).max() == 0


def test_gaussian_samples_have_the_laws_of_the_model():
    model = random_gaussian(3)
    rng = np.random.default_rng(0)
    drawn = [model.sample(2, rng) for _ in range(4000)]
    states, seen = np.array([x for x, _ in drawn]), np.array([z for _, z in drawn])
    F, H = model.transition, model.observation
    for residual, law in (
        (states[:, 0] - model.mean, model.covariance),
        (states[:, 1] - states[:, 0] @ F.T, model.process_noise),
        (seen[:, 1] - states[:, 1] @ H.T, model.observation_noise),
    ):
        error = np.sqrt((law**2 + np.outer(np.diag(law), np.diag(law))) / 4000)
        assert (np.abs(residual.T @ residual / 4000 - law) < 4.5 * error).all()


def test_an_explosion_beyond_floats_is_said():
    with pytest.raises(OverflowError, match="leaves the range"):
        LinearGaussian([[1e200]], [[1e-200]], [[1.0]], [[1.0]], [1.0], [[1.0]]).filter(
            np.ones((4, 1))
        )


def test_noise_that_is_lost_in_rounding_is_refused():
    """Two observations of the same: R decides between them, and one plus R is one in floats."""
    twice, I2 = [[1.0, 0.0], [1.0, 0.0]], np.eye(2)
    z, lost = np.ones((2, 2)), LinearGaussian(I2, twice, I2, 1e-17 * I2, [0.0, 0.0], I2)
    for call in (lambda: lost.filter(z), lambda: lost.dual_layer(lost.start(z), z),
                 lambda: lost.gain(I2)):  # fmt: skip
        with pytest.raises(ValueError, match="observation_noise: must not be lost in rounding"):
            call()
    kept = LinearGaussian(I2, twice, I2, 1e-6 * I2, [0.0, 0.0], I2)
    assert np.abs(kept.gain(I2)[0] - 1 / (2 + 1e-6)).max() < 1e-9
    units = LinearGaussian(I2, I2 * [1.0, 1e-9], I2, np.diag([1.0, 1e-18]), [0.0, 0.0], I2)
    np.testing.assert_allclose(units.gain(I2), [[0.5, 0.0], [0.0, 0.5e9]], rtol=1e-15)


def test_covariances_beyond_floats_are_named():
    model = LinearGaussian([[1.0]], [[1e5]], [[0.2]], [[1.0]], [0.0], [[1.0]])
    with pytest.raises(OverflowError, match="covariances: a belief leaves"):
        model.gain([[1e306]])
    with pytest.raises(OverflowError, match="covariances: a belief leaves"):
        inference.newton_errors(model, np.full((3, 1, 1), 1e306))
    rare = HiddenMarkov([[0.5, 0.5]] * 2, [[1e-200, 1 - 1e-200]] * 2, [0.5, 0.5])
    with pytest.raises(OverflowError, match="observations: what becomes of errors"):
        inference.mass_growth(rare, [0, 0, 0])
