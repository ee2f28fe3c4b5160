"""The stored particle runs on lost in the middle: made again in part, and against the rollout."""

import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import transpde as tp
from transpde.causal_circle import CausalCircle
from transpde.records import load
from transpde.theory import retrieval

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import frontier_retrieval as runs  # noqa: E402

STORED = load("retrieval", ROOT / "book" / "frontier" / "data")


def law(case, order):
    """The rollout of a case, n times the last row."""
    n, time, *_ = runs.CASES[case]
    circle = runs.circle(case)
    gains = [
        c * retrieval.gain(float(b), order, circle.normalised)
        for b, c in zip(circle.beta, circle.gain, strict=True)
    ]
    return n * retrieval.rollout(gains, time, circle.weights(n))[-1, :-1]


def of(case, order=1):
    return (np.atleast_2d(STORED.arrays[key])[order - 1] for key in (case, f"{case}, error"))


@pytest.mark.parametrize("case", runs.CASES)
def test_first_replicas_of_the_stored_runs_are_made_again(case):
    n = runs.CASES[case][0]
    found = n * runs.correlations(case, runs.FIRST).mean
    assert np.abs(found - STORED.arrays[f"{case}, first"]).max() <= 1e-9
    mean, error = STORED.arrays[case], STORED.arrays[f"{case}, error"]
    few = np.sqrt(runs.CASES[case][4] / runs.FIRST) * error  # the error of a hundred replicas
    assert (np.abs(found - mean) <= 5 * few).mean() > 0.97


def test_windows_are_made_again_and_a_dense_sum_is_the_circle():
    n, seen, time, steps, _ = runs.WINDOWS["window 8"]
    W = runs.window_weights(n, seen)
    found = n * runs.dense_correlations(W, time, steps, runs.FIRST).mean
    assert np.abs(found - STORED.arrays["window 8, first"]).max() <= 1e-9
    # with the weights of a discount, pair by pair, the tangent carried forward: the same numbers
    dense = runs.dense_correlations(retrieval.discount_weights(16, 1.0), 1.0, 16, 50)
    circle = CausalCircle(1.0, 1.0)
    start = np.random.default_rng(runs.SEED).uniform(0, 2 * np.pi, size=(50, 16))
    end, p = circle.sensitivity(start, 1.0, 16)
    wanted = (p[:, :-1] * np.cos(end[:, -1:] - start[:, :-1])).mean(axis=0)
    assert np.abs(dense.mean - wanted).max() <= 1e-6


# Of slope one. A head of slope eight has weights of an eighth: there the gap is not 1/n.
@pytest.mark.parametrize("case", ["32 tokens", "64 tokens", "128 tokens", "softmax", "repulsive"])
@pytest.mark.parametrize("order", [1, 2])
def test_particles_follow_the_rollout_at_depth_one(case, order):
    """The stated criterion: 3.5 standard errors and 2 m/n, in the last three quarters."""
    n = runs.CASES[case][0]
    mean, error = of(case, order)
    gap = np.abs(mean - law(case, order))[n // 4 - 1 :]
    assert (gap <= 3.5 * error[n // 4 - 1 :] + 2 * order / n).all()


@pytest.mark.parametrize(("order", "coefficient"), [(1, -0.95), (2, -1.9)])
def test_the_gap_is_first_order_in_the_number_of_tokens(order, coefficient):
    for n in (32, 64, 128):
        mean, _ = of(f"{n} tokens", order)
        gap = n * (mean - law(f"{n} tokens", order))
        assert gap[n // 4 - 1 :].mean() == pytest.approx(coefficient, abs=0.15)


def test_printed_values_of_particles():
    places = [7, 31, 59]
    for case, order, printed, within in (
        ("64 tokens", 1, [0.716, 0.701, 0.861], [0.03, 0.02, 0.02]),
        ("64 tokens", 2, [0.627, 0.645, 0.817], [0.03, 0.02, 0.02]),
        ("softmax", 1, [0.517, 0.538, 0.691], [0.03, 0.02, 0.02]),
        ("repulsive", 1, [-0.154, -0.414, -0.831], [0.03, 0.02, 0.02]),
    ):
        mean, _ = of(case, order)
        assert (np.abs(mean[places] - printed) <= within).all()
    mean, error = of("repulsive, deep")
    for k, printed, other in (
        (8, 0.199, 0.025), (16, 0.371, 0.016), (32, -0.147, 0.030), (48, -1.75, 0.07),
    ):  # fmt: skip
        assert abs(mean[k - 1] - printed) <= 3.5 * np.hypot(error[k - 1], other)
    assert law("repulsive, deep", 1)[[7, 15, 31, 47]] == pytest.approx(
        [0.2297, 0.3638, -0.1222, -1.8673], abs=1e-4
    )


def test_two_heads_side_with_the_exponential_of_the_sum():
    mean, error = (one[31] for one in of("two heads"))
    joint, apart = law("two heads", 1)[31], 0.68496
    assert abs(mean - joint) <= 3.5 * error + 2 / 64
    assert abs(mean - apart) > 50 * error


def test_depth_and_early_tokens_leave_the_rollout():
    for case, ratio in (("64 tokens", 0.98), ("depth 2", 0.87), ("depth 4", 0.39)):
        mean, error = (one[31] for one in of(case))
        roll = law(case, 1)[31]
        assert abs(mean / roll - ratio) <= 3.5 * error / roll + 0.02
    gaps = [law(f"{n} tokens", 2)[1] - next(of(f"{n} tokens", 2))[1] for n in (32, 64, 128)]
    assert min(gaps) > 0.2  # of the second token: it does not close


def test_windows_are_off_by_the_order_of_a_weight():
    for case, (n, seen, time, *_) in runs.WINDOWS.items():
        mean, error = STORED.arrays[case], STORED.arrays[f"{case}, error"]
        a = retrieval.gain(1.0, 1)
        roll = n * retrieval.rollout(a, time, runs.window_weights(n, seen))[-1, :-1]
        late = slice(n // 2 - 1, None)
        assert (np.abs(mean / roll - 1) <= 1 / seen + 3.5 * error / roll)[late].all()


def test_four_heads_make_two_wells_in_one_residual_stream():
    """Slopes 1, 3, 6, 12, gains at most one: minimum, maximum, minimum at small depth."""
    slopes, n = np.array([1.0, 3.0, 6.0, 12.0]), 240
    zeros = np.array([0.25, 0.5, 0.75])
    rows = slopes**2 * np.exp(slopes * zeros[:, None]) / np.expm1(slopes)
    c = np.linalg.svd(rows)[2][-1]
    c *= -np.sign(c[0]) / np.abs(c).max()
    W = np.array([retrieval.discount_weights(n, s) for s in slopes])
    for t in (0.01, 0.1, 0.3):
        S = sum(
            retrieval.codeword_weights(8, m)
            * retrieval.rollout(c * retrieval.gain(1.0, m), t, W)[-1, :-1]
            for m in range(1, 13)
        )
        sign = np.sign(np.diff(S))
        turns = np.flatnonzero(sign[1:] != sign[:-1]) + 1
        assert sign[turns].tolist() == [1, -1, 1]
        assert np.abs((turns + 1) / n - zeros).max() < 0.3 * t + 0.01


def test_the_authors_particles_end_on_the_first_token():
    with (ROOT / "book" / "peer.yml").open(encoding="utf-8") as file:
        run = yaml.safe_load(file)["retrieval"]["particles"]
    noise = np.random.default_rng(run["seed"]).normal(size=64)
    theta = (np.repeat(np.pi * np.linspace(0.1, 1.9, 4), 16) + run["spread"] * noise) % (2 * np.pi)
    path = CausalCircle(1.0, 1.0).path(theta, 10.0, 400)
    order = np.abs(np.exp(1j * path).mean(axis=1))[[0, 40, 80, 200, 400]]
    assert np.abs(order - [0.180175, 0.347798, 0.516194, 0.734121, 1.0]).max() <= 1e-6
    assert (path[:, 0] == theta[0]).all()
    assert theta[0] == pytest.approx(0.396754, abs=1e-6)
    points = np.stack([np.cos(theta), np.sin(theta)], axis=1)
    cloud = tp.Particles(points, positions=np.arange(1, 65) / 64, space=tp.Sphere())
    head = tp.Masked(tp.Unnormalized(*[np.eye(2)] * 3), 1.0, strict=True)
    ends = tp.flow(cloud, head, [0.0, 2.0]).points[-1]
    assert np.linalg.norm(ends.mean(axis=0)) == pytest.approx(order[2], abs=1e-5)


def test_the_authors_double_well_is_a_sum_of_profiles():
    with (ROOT / "book" / "peer.yml").open(encoding="utf-8") as file:
        well = yaml.safe_load(file)["retrieval"]["double_well"]
    m = np.arange(1, 21)
    shares, x = retrieval.codeword_weights(8, m), np.linspace(0.05, 0.95, 9001)
    total = sum(
        c * retrieval.profile(retrieval.gain(b, m), well["depth"], s, x, shares)
        for c, b, s in well["heads"]
    )
    sign = np.sign(np.diff(total))
    turns = np.flatnonzero(sign[1:] != sign[:-1]) + 1
    assert x[turns] == pytest.approx([0.1298, 0.3640, 0.7953], abs=1e-3)
    assert sign[turns].tolist() == [1, -1, 1]
