"""Softmax sums in four dimensions and more, and behind a discount: within tolerance, or exact."""

import numpy as np
import pytest
from clouds import ball, drawn_clouds, drawn_positions, relative_difference, turned
from hypothesis import example, given, settings
from hypothesis import strategies as st

import transpde as tp
from transpde.kernels import Evaluation, TokenSum, expanded, fast, separable

SHAPES = ("ball", "clusters", "flat", "outlier", "repeated", "tail", "shifted")


def cloud(shape, n, d, radius, seed):
    rng = np.random.default_rng(seed)
    x = ball(rng, n, d, radius)
    match shape:
        case "clusters":
            x = x[rng.integers(3, size=n)] + 0.05 * x
        case "flat":  # axes of very different lengths, turned
            x = x * 10.0 ** -rng.integers(12, size=d) @ np.linalg.qr(rng.normal(size=(d, d)))[0]
        case "outlier":
            x = 0.1 * x
            x[n // 3] = 3 * radius
        case "repeated":
            x = x[rng.integers(5, size=n)]
        case "tail":
            x = rng.standard_t(2, size=(n, d))
            x *= radius / np.abs(x).max()
        case "shifted":
            x += rng.normal(size=d) * 10
    return x


def heads(d, seed):
    rng = np.random.default_rng([seed, 1])
    Q, K = rng.normal(size=(2, d, d)) / d**0.5
    V = turned(d)
    return [tp.Softmax(np.eye(d), np.eye(d), V), tp.Softmax(Q, K, V), tp.L2(Q, K, V)]


def forbid_exact_sums(monkeypatch, most=500):
    allowed = TokenSum.mean
    monkeypatch.setattr(
        TokenSum, "mean", lambda self, x, *rest, **how: allowed(self, x[:most], *rest, **how)
    )


clouds = drawn_clouds(SHAPES, [400, 1000], (4, 6), 2.5)


@settings(max_examples=40)
@given(clouds, st.sampled_from([1e-4, 1e-6, 1e-8, 1e-11]), st.integers(0, 2))
def test_sums_in_more_dimensions_keep_their_tolerance_or_are_exact(drawn, tol, kind):
    x, rng = cloud(**drawn), np.random.default_rng(drawn["seed"])
    weights = rng.random(len(x)) * (rng.random(len(x)) < 0.7)
    tokens = tp.Particles(x, weights / weights.sum())
    head = heads(drawn["d"], drawn["seed"])[kind]
    exact = head(tokens, method="exact")(x)
    assert relative_difference(head(tokens, method="interpolated", tol=tol)(x), exact) <= tol


@settings(max_examples=40)
@example({"shape": "ball", "n": 1000, "d": 4, "radius": 1.0, "seed": 0}, 1e-8, "places", 1e4, True)
@example({"shape": "ball", "n": 1000, "d": 5, "radius": 2.0, "seed": 0}, 1e-6, "ties", 1e4, False)
@given(
    drawn_clouds(SHAPES, [300, 1000], (1, 5), 2.5),
    st.sampled_from([1e-4, 1e-8, 1e-10]),
    st.sampled_from(["places", "ties", "mixed"]),
    st.sampled_from([1e-6, 1.0, 30.0, 500.0, 1e4, 1e5]),
    st.booleans(),
)
def test_discounted_sums_keep_their_tolerance_or_are_exact(drawn, tol, places, discount, strict):
    x, n = cloud(**drawn), drawn["n"]
    rng = np.random.default_rng(drawn["seed"])
    positions = drawn_positions(rng, n)[places]
    weights = rng.random(n) * (rng.random(n) < 0.7)
    weights[positions.argmin()] = 1.0
    tokens = tp.Particles(x, weights / weights.sum(), positions)
    for head in heads(drawn["d"], drawn["seed"]):
        masked = tp.Masked(head, discount, strict)
        exact = masked(tokens, method="exact")(x, positions)
        found = masked(tokens, method="interpolated", tol=tol)(x, positions)
        assert relative_difference(found, exact) <= tol + 2e-16 * discount  # the scores' rounding


@pytest.mark.parametrize("discount", [0.0, 40.0, 1e4, 9e4])
def test_long_discounted_sequences_agree_with_extended_precision(discount, monkeypatch):
    """No exponential of the discount is formed, and none of the sums is exact."""
    n = 20_000
    x, s = cloud("ball", n, 2, 1.5, 0), np.arange(n) / n
    rows = np.unique(np.r_[0, 1, 200, 255, 256, 257, np.geomspace(2, n - 1, 40).astype(int)])
    exact, y = [], x.astype(np.longdouble)
    for i in rows:
        score = y[: i + 1] @ y[i] - discount * (s[i] - s[: i + 1].astype(np.longdouble))
        w = np.exp(score - score.max())
        exact.append(w @ y[: i + 1] / w.sum())
    forbid_exact_sums(monkeypatch)
    head = tp.Masked(tp.Softmax(np.eye(2), np.eye(2), np.eye(2)), discount)
    found = head(tp.Particles(x, positions=s), tol=1e-9)(x, s)
    assert relative_difference(found[rows], np.array(exact, dtype=float)) <= 1e-9


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize(("d", "radius", "tol"), [(4, 1.0, 1e-6), (4, 1.0, 1e-8), (5, 1.0, 1e-4)])
def test_fast_sums_are_used_in_more_dimensions(d, radius, tol, kind, monkeypatch):
    """Without a fall-back, and rows far from those that were checked keep the tolerance."""
    x, head = cloud("ball", 6000, d, radius, 3), heads(d, 3)[kind]
    rows = slice(1000, 1400)
    exact = head(tp.Particles(x), method="exact")(x[rows])
    forbid_exact_sums(monkeypatch)
    found = head(tp.Particles(x), tol=tol)(x)
    assert 0 < relative_difference(found[rows], exact) <= tol


def test_only_long_axes_count(monkeypatch):
    """In sixteen dimensions with three long axes sums are those of three, not exact ones."""
    rng = np.random.default_rng(2)
    x = np.column_stack([cloud("ball", 5000, 3, 1.5, 2), 1e-7 * rng.normal(size=(5000, 13))])
    x = x @ np.linalg.qr(rng.normal(size=(16, 16)))[0]
    tokens, head = tp.Particles(x), heads(16, 2)[0]
    exact = head(tokens, method="exact")(x[:300])
    forbid_exact_sums(monkeypatch)
    assert relative_difference(head(tokens)(x)[:300], exact) <= 1e-10


def test_an_expansion_that_is_too_rough_leads_to_exact_sums(monkeypatch):
    x = cloud("ball", 2500, 4, 1.5, 0)
    tokens = tp.Particles(x, positions=np.arange(2500.0))
    rough = []

    def halves(radii, tol):
        rough.append(separable.halves(radii, 0.3))
        return rough[-1]

    monkeypatch.setattr(fast, "halves", halves)
    for head in (heads(4, 0)[0], tp.Masked(heads(4, 0)[0], 1e-3)):
        where = (x, tokens.positions) if isinstance(head, tp.Masked) else (x,)
        exact = head(tokens, method="exact")(*where)
        assert np.array_equal(head(tokens, method="interpolated")(*where), exact)
    assert len(rough) == 2 * fast.TRIES


def test_too_many_terms_are_refused_and_too_dear_ones_not_taken(monkeypatch):
    x = cloud("ball", 2100, 5, 3.0, 0)
    sums = heads(5, 0)[0].token_sum(tp.Particles(x))
    for name in ("means_and_shares", "causal_means"):
        monkeypatch.setattr(fast, name, None)  # may not be called
    assert fast.fast_mean(sums, x, x, None, Evaluation("interpolated", 1e-10)) is None
    assert fast.fast_mean(sums, x, x, None, Evaluation("auto", 1e-4)) is None
    order = (np.arange(2100.0), np.arange(2100.0))
    assert fast.fast_mean(sums, x, x, order, Evaluation("auto", 1e-4)) is None
    wide = cloud("ball", 2100, 20, 1e-9, 0)  # to turn them to axes is not cheap
    assert fast.fast_mean(
        heads(20, 0)[0].token_sum(tp.Particles(wide)), wide, wide, None, Evaluation()
    ) is None  # fmt: skip


def test_stacks_are_summed_case_by_case():
    x = np.stack([cloud(shape, 2100, 4, 0.7, k) for k, shape in enumerate(["ball", "flat"])])
    s = np.arange(2100) / 2100
    for head, where in (
        (heads(4, 0)[2], ()),
        (tp.Masked(heads(4, 0)[1], 300.0), (np.broadcast_to(s, (2, 2100)),)),
    ):
        stack = tp.Particles(x, positions=s)
        found = head(stack, method="interpolated", tol=1e-8)(x, *where)
        for k in range(2):
            alone = head(stack[k], method="exact")(x[k], *(one[k] for one in where))
            assert 0 < relative_difference(found[k], alone) <= 1e-8


def test_sums_do_not_depend_on_the_number_of_threads(monkeypatch):
    x = cloud("ball", 9000, 4, 1.0, 0)
    t = expanded.scaled(x, x).t
    terms = separable.halves(expanded.scaled(x, x).radii, 1e-8)
    found = []
    for processors in (1, 3):
        monkeypatch.setattr("transpde.kernels.blocks._processors", lambda p=processors: p)
        found.append(expanded.means_and_shares(t, t, np.zeros(9000), x, terms)[0])
    assert np.array_equal(*found)
