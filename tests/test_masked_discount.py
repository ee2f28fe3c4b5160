"""Masks with a discount and strict ones: against the definition, along flows, and refusals."""

import numpy as np
import pytest

import transpde as tp
from transpde import models, theory
from transpde.theory import mean_field, retrieval

HEADS = {
    "softmax": lambda Q, K, V: tp.Softmax(Q, K, V),
    "l2": lambda Q, K, V: tp.L2(Q, K, V),
    "sigmoid": lambda Q, K, V: tp.Sigmoid(Q, K, V, 0.3),
    "linear": lambda Q, K, V: tp.Linear(Q, K, V),
    "unnormalized": lambda Q, K, V: tp.Unnormalized(Q, K, V),
}
SCORES = {
    "softmax": lambda q, k: np.exp(q @ k),
    "l2": lambda q, k: np.exp(-((q - k) ** 2).sum()),
    "sigmoid": lambda q, k: 1 / (1 + np.exp(-q @ k - 0.3)),
    "linear": lambda q, k: q @ k,
    "unnormalized": lambda q, k: np.exp(q @ k),
}


def by_definition(name, parameters, cloud, discount, strict):
    """Velocities, one token at a time: the discount comes off the score of what is behind."""
    (Q, K, V), x, s, w = parameters, cloud.points, cloud.positions, cloud.weights
    found = np.zeros_like(x)
    for i in range(len(x)):
        seen = [j for j in range(len(x)) if (s[j] < s[i] if strict else s[j] <= s[i])]
        if not seen:
            continue
        last = max(s[j] for j in seen)  # s[i] makes a factor that cancels, and may underflow
        key = np.array([w[j] * np.exp(-discount * (last - s[j])) for j in seen])
        score = np.array([SCORES[name](Q @ x[i], K @ x[j]) for j in seen])
        total = key @ score if name in ("softmax", "l2") else key.sum()
        found[i] = V @ ((key * score) @ x[seen]) / total
    return found


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", HEADS)
def test_discount_and_strict_order_are_the_definition(name, strict):
    rng = np.random.default_rng(4)
    parameters = rng.normal(size=(3, 3, 3)) / 2
    w = rng.random(9)
    s = np.array([0.5, 0.1, 0.9, 0.1, 0.3, 0.5, 1.7, -0.2, 0.0])  # in no order, some equal
    cloud = tp.Particles(rng.normal(size=(9, 3)), w / w.sum(), s)
    for discount in (0.0, 2.3, 40.0):
        attention = tp.Masked(HEADS[name](*parameters), discount=discount, strict=strict)
        wanted = by_definition(name, parameters, cloud, discount, strict)
        found = attention(cloud)(cloud.points, s)
        assert np.abs(found - wanted).max() <= 1e-12 * np.abs(wanted).max()
        by_matrix = attention.matrix(cloud) @ cloud.points @ attention.head.value.T
        assert np.abs(by_matrix - wanted).max() <= 1e-12 * np.abs(wanted).max()


def test_heads_of_a_sum_and_stacks_keep_discount_and_order():
    rng = np.random.default_rng(0)
    heads = [tp.Softmax(*rng.normal(size=(3, 2, 2))), tp.Unnormalized(*rng.normal(size=(3, 2, 2)))]
    s = np.arange(6) / 6
    clouds = tp.Particles(rng.normal(size=(3, 6, 2)), positions=s)
    both = tp.Masked(tp.MultiHead(heads), discount=1.5, strict=True)
    one_by_one = [tp.Masked(head, 1.5, True)(clouds)(clouds.points, s) for head in heads]
    found = both(clouds)(clouds.points, np.broadcast_to(s, (3, 6)))
    assert np.abs(found - sum(one_by_one)).max() <= 1e-13
    assert both.matrix(clouds).shape == (2, 3, 6, 6)
    for i in range(3):
        assert np.abs(both(clouds[i])(clouds[i].points, s) - found[i]).max() <= 1e-12
    chosen = tp.Masked(heads[0], 1.5, True).select((3,), np.array([1]))
    assert (chosen.discount, chosen.strict) == (1.5, True)


@pytest.mark.parametrize("strict", [False, True])
def test_large_clouds_are_summed_as_small_ones_are(strict):
    rng = np.random.default_rng(1)
    n = 3000
    angle = rng.uniform(0, 2 * np.pi, n)
    cloud = tp.Particles(
        np.stack([np.cos(angle), np.sin(angle)], axis=1), positions=np.arange(1, n + 1) / n
    )
    rows = np.array([0, 1, 7, 500, n - 1])
    for kind in (tp.Softmax, tp.Unnormalized):
        attention = tp.Masked(kind(np.eye(2), np.eye(2), np.eye(2)), 5.0, strict)
        matrix = attention.matrix(cloud)
        for method in ("exact", "interpolated"):
            found = attention(cloud, method=method, tol=1e-10)(cloud.points, cloud.positions)
            assert np.abs(found[rows] - matrix[rows] @ cloud.points).max() <= 1e-9


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", ["softmax", "l2"])
def test_a_discount_may_be_steeper_than_any_weight(name, strict):
    """A discount of 10^4 over the sequence: its exponential is no number, quotients of it are."""
    rng = np.random.default_rng(6)
    parameters, n = rng.normal(size=(3, 2, 2)) / 2, 60
    s = np.sort(rng.integers(n // 2, size=n) / (n // 2 - 1))
    cloud = tp.Particles(rng.normal(size=(n, 2)), positions=s)
    for discount in (5e2, 1e4, 1e5):
        attention = tp.Masked(HEADS[name](*parameters), discount, strict)
        wanted = by_definition(name, parameters, cloud, discount, strict)
        for found in (
            attention(cloud)(cloud.points, s),
            attention.matrix(cloud) @ cloud.points @ attention.head.value.T,
            attention(cloud, method="interpolated", tol=1e-9)(cloud.points, s),
        ):
            assert np.abs(found - wanted).max() <= (1e-9 + 1e-15 * discount) * np.abs(wanted).max()


def test_weights_without_scores_are_those_of_the_closed_form():
    n, discount = 30, 3.0
    cloud = tp.Particles(np.ones((n, 1)), positions=np.arange(1, n + 1) / n)
    head = tp.Unnormalized([[0.0]], [[0.0]], [[1.0]])
    found = tp.Masked(head, discount, strict=True).matrix(cloud)
    assert np.abs(found - retrieval.discount_weights(n, discount)).max() <= 1e-15


def test_the_first_token_of_a_strict_mask_rests_on_the_sphere():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(8, 3))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    cloud = tp.Particles(x, positions=np.arange(8), space=tp.Sphere())
    head = tp.Unnormalized(np.eye(3), np.eye(3), np.eye(3))
    path = tp.flow(cloud, tp.Masked(head, 0.3, strict=True), [0.0, 20.0]).points
    assert np.abs(path[-1, 0] - x[0]).max() == 0
    assert (path[-1] @ x[0]).min() > 1 - 1e-6  # and all gather there


def test_the_span_of_positions_is_that_of_each_case():
    """Cases of a stack may stand far from each other: only differences within one count."""
    head, x = tp.Softmax([[1.0]], [[1.0]], [[1.0]]), np.array([[0.0], [1.0], [-2.0]])
    s = np.array([0.0, 0.5, 1.0])
    stack = tp.Particles(np.stack([x, x]), positions=np.stack([s, s + 4096]))
    found = tp.Masked(head, 1.0).matrix(stack)
    alone = tp.Masked(head, 1.0).matrix(tp.Particles(x, positions=s))
    assert np.abs(found - alone).max() <= 1e-14


def test_the_text_says_what_is_not_plain():
    head = tp.Softmax([[1.0]], [[1.0]], [[1.0]])
    assert "discount" not in repr(tp.Masked(head))
    assert repr(tp.Masked(head, 0.5, strict=True)).endswith(", discount 0.5, strict True)")


def test_what_does_not_fit_is_refused():
    head = tp.Softmax([[1.0]], [[1.0]], [[1.0]])
    placed = tp.Particles([[0.0], [1.0]], positions=[0.0, 10.0])
    with pytest.raises(ValueError, match="discount: must be a finite number of at least 0"):
        tp.Masked(head, discount=-0.5)
    with pytest.raises(ValueError, match="discount: must be at most 60, 600 over the span"):
        tp.Masked(tp.Unnormalized([[1.0]], [[1.0]], [[1.0]]), discount=61.0)(placed)
    with pytest.raises(ValueError, match="discount: must be at most 60, 600 over the span"):
        tp.Masked(tp.MultiHead([head, tp.Linear([[1.0]], [[1.0]], [[1.0]])]), 61.0)(placed)
    with pytest.raises(ValueError, match=r"must be at most 1e\+04, 100000 over the span"):
        tp.Masked(head, discount=2e5)(placed)
    with pytest.raises(ValueError, match="needs tokens with positions"):
        tp.Masked(head, strict=True)(tp.Particles([[0.0]]))


@pytest.mark.parametrize("more", [{"discount": 1.0}, {"strict": True}])
def test_statements_on_plain_masks_decide_nothing_on_others(more):
    head = tp.Masked(tp.Softmax([[1.0]], [[1.0]], [[1.0]]), **more)
    assert theory.lipschitz_bounds(head, 1.0) == theory.LipschitzBounds(None, None)
    assert mean_field.twin_bound(head, 1.0, 1.0) is None
    with pytest.raises(ValueError, match="no discount"):
        mean_field.masked_limit(head, lambda s, u: s + u, 1.0)
    with pytest.raises(TypeError, match="without discount"):
        mean_field.masked_bounds(head, 1.0)
    with pytest.raises(ValueError, match="no discount"):
        models.score_spread(head, tp.Particles([[0.0], [1.0]], positions=[0.0, 1.0]))
