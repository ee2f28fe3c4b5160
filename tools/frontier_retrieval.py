"""Run causal particles on the circle: python tools/frontier_retrieval.py [FOLDER]

Correlations of the last token with all others from uniform starts, by integration by parts: three
numbers of tokens, softmax, a head that repels, two heads, growing depth, and a window, which is
summed pair by pair. Writes retrieval.npz and retrieval.json to
book/frontier/data, or another folder; the chapter reads them and makes the first replicas of each
case again. Some five minutes on one core.
"""

import numpy as np

from transpde.causal_circle import CausalCircle, Correlations, retrieval_correlations
from transpde.records import FigureData

MODES, FIRST, SEED = 8, 100, 2026
# tokens, depth, orders, steps of the adjoint, replicas; then beta, discount, gain, softmax
CASES = {
    "32 tokens": (32, 1.0, 2, 4, 16000, (1.0, 1.0, 1.0, False)),
    "64 tokens": (64, 1.0, 8, 4, 16000, (1.0, 1.0, 1.0, False)),
    "128 tokens": (128, 1.0, 2, 4, 16000, (1.0, 1.0, 1.0, False)),
    "depth 0.5": (64, 0.5, 8, 4, 3000, (1.0, 1.0, 1.0, False)),
    "depth 2": (64, 2.0, 8, 6, 3000, (1.0, 1.0, 1.0, False)),
    "depth 4": (64, 4.0, 2, 12, 3000, (1.0, 1.0, 1.0, False)),
    "softmax": (64, 1.0, 2, 4, 6000, (1.0, 1.0, 1.0, True)),
    "repulsive": (64, 1.0, 2, 4, 6000, (1.0, 1.0, -1.0, False)),
    "repulsive, deep": (64, 6.0, 2, 12, 6000, (1.0, 1.0, -1.0, False)),
    "two heads": (64, 1.0, 2, 4, 6000, ([1.0, 1.0], [0.25, 8.0], [1.0, -1.0], False)),
}
# windows: tokens, how many each sees, depth, steps, replicas
WINDOWS = {"window 8": (32, 8, 1.0, 10, 6000), "window 16": (64, 16, 1.0, 10, 2000)}


def circle(name):
    """The heads of a case."""
    return CausalCircle(*CASES[name][5], modes=MODES)


def correlations(name, replicas):
    """Correlations of a case from its first replicas."""
    n, time, orders, steps, *_ = CASES[name]
    how = {"orders": np.arange(1, orders + 1), "steps": steps, "seed": SEED}
    return retrieval_correlations(circle(name), n, time, replicas=replicas, **how)


def window_weights(n, seen):
    """Each token sees the last ones before it, evenly."""
    W = np.tril(np.ones((n, n)), -1) - np.tril(np.ones((n, n)), -1 - seen)
    return W / np.maximum(W.sum(axis=1, keepdims=True), 1.0)


def _pairs(W, theta):
    """Velocities for beta = 1 and their derivative, pair by pair."""
    angle = theta[:, :, None] - theta[:, None, :]
    wave = W * np.exp(np.cos(angle))
    bend = wave * (np.sin(angle) ** 2 - np.cos(angle))
    slope = -bend
    slope[:, range(len(W)), range(len(W))] = bend.sum(axis=2)
    return -(wave * np.sin(angle)).sum(axis=2), slope


def dense_correlations(W, time, steps, replicas):
    """The correlation of order one for any weights, with the tangent carried forward."""
    n = len(W)
    start = np.random.default_rng(SEED).uniform(0, 2 * np.pi, size=(replicas, n))
    values = []
    for theta in np.array_split(start, max(1, replicas // 100)):
        x, J, h = theta, np.broadcast_to(np.eye(n), (len(theta), n, n)), time / steps

        def rates(x, J):
            F, A = _pairs(W, x)
            return F, A @ J

        for _ in range(steps):
            a = rates(x, J)
            b = rates(x + h / 2 * a[0], J + h / 2 * a[1])
            c = rates(x + h / 2 * b[0], J + h / 2 * b[1])
            d = rates(x + h * c[0], J + h * c[1])
            x, J = (
                y + h / 6 * (p + 2 * q + 2 * r + s)
                for y, p, q, r, s in zip((x, J), a, b, c, d, strict=True)
            )
        values.append(J[:, -1, :-1] * np.cos(x[:, -1:] - theta[:, :-1]))
    values = np.concatenate(values)
    return Correlations(values.mean(axis=0), values.std(axis=0, ddof=1) / replicas**0.5)


def data(name="retrieval"):
    """All runs; correlations times the number of tokens."""
    arrays = {}
    for case, (n, _, _, _, replicas, _) in CASES.items():
        found, first = correlations(case, replicas), correlations(case, FIRST)
        arrays[case], arrays[f"{case}, error"] = n * found.mean, n * found.error
        arrays[f"{case}, first"] = n * first.mean
        print(case, arrays[case][0, [n // 8 - 1, n // 2 - 1, 15 * n // 16 - 1]], flush=True)
    for case, (n, seen, time, steps, replicas) in WINDOWS.items():
        W = window_weights(n, seen)
        found = dense_correlations(W, time, steps, replicas)
        arrays[case], arrays[f"{case}, error"] = n * found.mean, n * found.error
        arrays[f"{case}, first"] = n * dense_correlations(W, time, steps, FIRST).mean
        print(case, arrays[case][[3 * n // 8, 5 * n // 8]], flush=True)
    parameters = {"cases": CASES, "windows": WINDOWS, "first": FIRST, "modes": MODES}
    scheme = {"method": "Runge-Kutta of order four, forward and adjoint"}
    return FigureData(arrays, {}, parameters, SEED, scheme, "the depth of each case")


if __name__ == "__main__":
    from stored_runs import keep

    keep("retrieval", "Correlations of causal particles on the circle.", data)
