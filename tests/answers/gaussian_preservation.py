"""Right and wrong answers to the exercises on Gaussian preservation."""

import numpy as np

from transpde.exercises import gaussian_preservation as check

inv, eye = np.linalg.inv, np.eye(3)


def spectrum(X, A):
    return np.linalg.eigvalsh(X.T @ (A + A.T) @ X)


def top(X, A):
    return spectrum(X, A)[-1]


RIGHT = {
    check.softmax_linear: lambda Q, K, V, Sigma: V @ Sigma @ K.T @ Q,
    check.l2_linear: lambda Q, K, V, Sigma: (
        2 * V @ inv(eye + 2 * Sigma @ K.T @ K) @ Sigma @ K.T @ Q
    ),
    check.blowup_time: lambda X, A: 1 / top(X, A) if top(X, A) > 0 else np.inf,
}

WRONG = [
    (check.softmax_linear, lambda Q, K, V, S: np.zeros((3, 3)), "the field is not zero"),
    (
        check.softmax_linear,
        lambda Q, K, V, S: V @ S @ Q.T @ K,
        "A and its transpose are exchanged",
    ),
    (check.softmax_linear, lambda Q, K, V, S: S @ V @ K.T @ Q, "the covariance stands between"),
    (check.softmax_linear, lambda Q, K, V, S: S @ K.T @ Q, "the value matrix is missing"),
    (check.softmax_linear, lambda Q, K, V, S: V @ K.T @ Q, "the covariance is missing"),
    (
        check.softmax_linear,
        lambda Q, K, V, S: 2 * V @ S @ K.T @ Q,
        "the largest error of an entry",
    ),
    (
        check.softmax_linear,
        lambda Q, K, V, S: S[0],
        r"the shape must be \(3, 3\); yours is \(3,\)",
    ),
    (check.softmax_linear, lambda Q, K, V, S: None, "your function returned nothing"),
    (check.softmax_linear, lambda Q, K, V, S: "B", "your function returned str, not real numbers"),
    (check.softmax_linear, lambda Q, K, V, S: V @ S @ K.T @ Q + 1j, "returned complex numbers"),
    (check.softmax_linear, lambda Q, K, V, S: complex(0, np.inf), "returned complex numbers"),
    (check.softmax_linear, lambda Q, K, V, S: (V @ S @ K.T @ Q).T, "this is the transpose"),
    (check.softmax_linear, lambda Q, K, V, S: -V @ S @ K.T @ Q, "the sign is wrong"),
    (
        check.softmax_linear,
        lambda Q, K, V, S: V @ S @ K.T @ Q / np.sqrt(len(K)),
        "no factor 1/sqrt",
    ),
    (
        check.softmax_linear,
        lambda Q, K, V, S: (V @ S @ K.T @ Q).astype("float32"),
        "compute in double precision",
    ),
    (check.softmax_linear, lambda Q, K, V, S: exit(), "your function raised SystemExit"),
    (check.softmax_linear, lambda Q, K: Q, "your function raised TypeError"),
    (check.l2_linear, lambda Q, K, V, S: V @ S @ K.T @ Q, "this is the softmax head"),
    (
        check.l2_linear,
        lambda Q, K, V, S: V @ inv(eye + 2 * S @ K.T @ K) @ S @ K.T @ Q,
        "a factor 2 is missing",
    ),
    (
        check.l2_linear,
        lambda Q, K, V, S: 2 * V @ inv(eye + S @ K.T @ K) @ S @ K.T @ Q,
        "inside the inverse the factor 2",
    ),
    (
        check.l2_linear,
        lambda Q, K, V, S: 2 * V @ inv(eye + 2 * S @ K @ K.T) @ S @ K.T @ Q,
        "key-transpose times key is needed",
    ),
    (
        check.l2_linear,
        lambda Q, K, V, S: 2 * V @ (eye + 2 * S @ K.T @ K) @ S @ K.T @ Q,
        "the inverse is missing",
    ),
    (
        check.l2_linear,
        lambda Q, K, V, S: 2 * V @ inv(inv(S) + 2 * K.T @ K) @ K.T @ Q,
        "raised LinAlgError|the largest error",
    ),
    (
        check.l2_linear,
        lambda Q, K, V, S: 2 * V @ S @ inv(eye + 2 * S @ K.T @ K) @ K.T @ Q,
        "the wrong side of Sigma",
    ),
    (
        check.blowup_time,
        lambda X, A: 1 / abs(spectrum(X, A)).max() if top(X, A) > 0 else np.inf,
        "not the largest modulus",
    ),
    (
        check.blowup_time,
        lambda X, A: 1 / top(X, A) if spectrum(X, A).sum() > 0 else np.inf,
        "the trace does not decide",
    ),
    (check.blowup_time, lambda X, A: 1 / top(X, A) if top(X, A) > 0 else 0.0, "the time is inf"),
    (check.blowup_time, lambda X, A: np.inf, "an entry is infinite where"),
    (check.blowup_time, lambda X, A: 1 / top(X, A), "nothing blows up when"),
    (
        check.blowup_time,
        lambda X, A: 1 / t if (t := np.linalg.eigvalsh(A + A.T)[-1]) > 0 else np.inf,
        "the start is missing",
    ),
    (
        check.blowup_time,
        lambda X, A: 1 / np.linalg.eigvalsh(A + A.T)[-1],
        "and so is the case without an explosion",
    ),
    (
        check.blowup_time,
        lambda X, A: 2 / top(X, A) if top(X, A) > 0 else np.inf,
        "a factor 2 is lost",
    ),
    (check.blowup_time, lambda X, A: top(X, A), "the time is one over the eigenvalue"),
    (check.blowup_time, lambda X, A: X, r"the shape must be \(\); yours is \(3, 3\)"),
    (check.blowup_time, lambda X, A: np.nan, "your function returned nan"),
]
