"""Right and wrong answers to the exercises on the attention zoo."""

import numpy as np

from transpde.exercises import zoo as check


def rows(matrix):
    return matrix / matrix.sum(axis=1, keepdims=True)


def rate(x, Q, K, v):
    return 2 * v * (Q @ x) @ (K @ x)


RIGHT = {
    check.mean_velocity: lambda P, w, x, V: V @ (w @ P @ x),
    check.shifted_matrix: lambda P, x, Q, K, a: rows(P * np.exp(x @ K.T @ Q @ a)),
    check.blowup_time: lambda x, Q, K, v: 1 / rate(x, Q, K, v) if rate(x, Q, K, v) > 0 else np.inf,
}

WRONG = [
    (check.mean_velocity, lambda P, w, x, V: V @ (w @ x), "only if columns sum"),
    (check.mean_velocity, lambda P, w, x, V: w @ P @ x, "the value matrix is missing"),
    (check.mean_velocity, lambda P, w, x, V: w @ P @ x @ V, "not its transpose"),
    (check.mean_velocity, lambda P, w, x, V: V @ (w @ P.T @ x), "the matrix is transposed"),
    (check.mean_velocity, lambda P, w, x, V: V @ (P @ x).mean(axis=0), "average with w"),
    (check.mean_velocity, lambda P, w, x, V: V @ (w @ (P * w) @ x), "are in P already"),
    (check.mean_velocity, lambda P, w, x, V: P @ x @ V.T, "velocities of all tokens"),
    (check.mean_velocity, lambda P, w, x, V: -V @ (w @ P @ x), "the largest error of an entry"),
    (check.shifted_matrix, lambda P, x, Q, K, a: P, "its columns are tilted"),
    (
        check.shifted_matrix,
        lambda P, x, Q, K, a: P * np.exp(x @ K.T @ Q @ a),
        "divide each row by its sum",
    ),
    (
        check.shifted_matrix,
        lambda P, x, Q, K, a: rows(P * np.exp(x @ Q.T @ K @ a)),
        "Q and K are exchanged",
    ),
    (
        check.shifted_matrix,
        lambda P, x, Q, K, a: rows(P * np.exp(x @ K.T @ Q @ a)[:, None]),
        "not unchanged by a shift",  # a factor of a whole row cancels
    ),
    (
        check.shifted_matrix,
        lambda P, x, Q, K, a: rows(P * np.exp(-x @ K.T @ Q @ a)),
        "the sign of the tilt",
    ),
    (
        check.shifted_matrix,
        lambda P, x, Q, K, a: rows(P * np.exp(2 * x @ K.T @ Q @ a)),
        "no factor 2",
    ),
    (
        check.shifted_matrix,
        lambda P, x, Q, K, a: rows((P * np.exp(x @ K.T @ Q @ a)).T),
        "the largest error of an entry",
    ),
    (check.blowup_time, lambda x, Q, K, v: 1 / rate(x, Q, K, v), "nothing explodes where"),
    (check.blowup_time, lambda x, Q, K, v: 2 / rate(x, Q, K, v), "a factor 2 is lost, and so"),
    (
        check.blowup_time,
        lambda x, Q, K, v: 2 / rate(x, Q, K, v) if rate(x, Q, K, v) > 0 else np.inf,
        "u = <Qx, Kx> is quadratic",
    ),
    (
        check.blowup_time,
        lambda x, Q, K, v: 1 / rate(x, Q, K, v) if v > 0 and rate(x, Q, K, v) > 0 else np.inf,
        "only their product counts",
    ),
    (
        check.blowup_time,
        lambda x, Q, K, v: 1 / rate(x, Q, K, 1) if rate(x, Q, K, 1) > 0 else np.inf,
        "the value v is missing",
    ),
    (
        check.blowup_time,
        lambda x, Q, K, v: 1 / (2 * v * x @ x) if v > 0 else np.inf,
        "not the squared norm",
    ),
    (
        check.blowup_time,
        lambda x, Q, K, v: 1 / rate(x, Q, K, v) if rate(x, Q, K, v) > 0 else 0.0,
        "the time is inf, not 0",
    ),
]
