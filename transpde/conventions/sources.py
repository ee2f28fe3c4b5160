"""What the sources compute, each in its own symbols: numpy alone, nothing of this package's.

Tokens X are rows, as in the sources. A parameter set is a mapping of names to arrays: `W_Q, W_K,
W_V` (H, d, k) and `W_O` (H k, d) act on rows from the right; `Q, K` (k, d) and `V` (d, d) act on
columns from the left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from transpde.checks import Array

__all__ = [
    "causal_head",
    "clusters",
    "doubly_stochastic",
    "gradient_flow_sign",
    "l2_heads",
    "layer_norm",
    "no_skip_layers",
    "residual_layers",
    "rms_norm",
    "scaled_heads",
    "scaled_matrix",
    "script_l2",
    "script_softmax",
    "sigmoid_sum",
    "sphere",
    "sphere_unnormalised",
]

Parameters = Mapping[str, Any]


def softmax(scores: Array) -> Array:
    """Return the row-wise softmax of scores of moderate size."""
    weights = np.exp(scores)
    return weights / weights.sum(axis=1, keepdims=True)


def scaled_heads(X: Array, p: Parameters) -> Array:
    r"""Concatenated heads $\mathrm{softmax}(Q_hK_h^\top/\sqrt k)V_h$, times $W^O$."""
    k = p["W_Q"].shape[-1]
    heads = [
        softmax(X @ W_Q @ (X @ W_K).T / np.sqrt(k)) @ X @ W_V
        for W_Q, W_K, W_V in zip(p["W_Q"], p["W_K"], p["W_V"], strict=True)
    ]
    return np.concatenate(heads, axis=1) @ p["W_O"]


def causal_head(X: Array, p: Parameters) -> Array:
    """One scaled head whose scores of later tokens are minus infinity."""
    scores = X @ p["Q"].T @ (X @ p["K"].T).T / np.sqrt(len(p["Q"]))
    later = np.triu(np.ones_like(scores, dtype=bool), 1)
    return softmax(np.where(later, -np.inf, scores)) @ X @ p["V"].T


def scaled_matrix(X: Array, p: Parameters) -> Array:
    r"""Weights $\mathrm{softmax}_j(x_i^\top A^\top x_j)$ with $A = K^\top Q/\sqrt k$."""
    A = p["K"].T @ p["Q"] / np.sqrt(len(p["Q"]))
    return softmax(X @ A.T @ X.T) @ X @ p["V"].T


def l2_heads(X: Array, p: Parameters) -> Array:
    r"""Heads of weights $e^{-|x_iW - x_jW|^2/\sqrt k}$, values $X A_h W^V_h$, times $W^O$."""
    k = p["W_Q"].shape[-1]
    heads = []
    for W, W_V in zip(p["W_Q"], p["W_V"], strict=True):
        apart = ((X @ W)[:, None] - (X @ W)[None]) ** 2
        A_h = W @ W.T / np.sqrt(k)
        heads.append(softmax(-apart.sum(axis=2) / np.sqrt(k)) @ X @ A_h @ W_V)
    return np.concatenate(heads, axis=1) @ p["W_O"]


def doubly_stochastic(X: Array, p: Parameters) -> Array:
    """Sinkhorn's iteration on exp(score): rows and columns divided by their sums in turn."""
    plan = np.exp((X @ p["Q"].T) @ (X @ p["K"].T).T)
    for _ in range(500):
        plan = plan / plan.sum(axis=1, keepdims=True)
        plan = plan / plan.sum(axis=0, keepdims=True)
    return plan @ X @ p["V"].T


def gradient_flow_sign(X: Array, p: Parameters) -> Array:
    r"""The same with $W_V = -W_K^\top W_Q$, under which it can be a gradient flow."""
    return -doubly_stochastic(X, {**p, "V": p["K"].T @ p["Q"]})


def sigmoid_sum(X: Array, p: Parameters) -> Array:
    r"""Sums $\sum_j\sigma(q_i\cdot k_j/\sqrt k + b)\,v_j$ over n tokens, with $b = -\log n$."""
    scores = (X @ p["Q"].T) @ (X @ p["K"].T).T / np.sqrt(len(p["Q"]))
    return 1 / (1 + np.exp(np.log(len(X)) - scores)) @ X @ p["V"].T


def clusters(Z: Array, p: Parameters) -> Array:
    r"""Rescaled tokens $z = e^{-tV}x$: $\dot z_i = \sum_j P_{ij}V(z_j - z_i)$."""
    X = Z @ p["e^tV"].T
    P = softmax((X @ p["Q"].T) @ (X @ p["K"].T).T)
    return np.einsum("ij,ijd->id", P, Z[None] - Z[:, None]) @ p["V"].T


def sphere(X: Array, p: Parameters) -> Array:
    r"""Projected to the tangent space: weights $e^{\beta\langle Qx_i,Kx_j\rangle}$ over sums."""
    P = softmax(p["beta"] * (X @ p["Q"].T) @ (X @ p["K"].T).T)
    return _tangential(P @ X @ p["V"].T, X)


def sphere_unnormalised(X: Array, p: Parameters) -> Array:
    r"""The same with weights $e^{\beta\langle x_i,x_j\rangle}/n$, never divided by a sum."""
    return _tangential(np.exp(p["beta"] * X @ X.T) @ X / len(X), X)


def _tangential(velocity: Array, X: Array) -> Array:
    return velocity - (velocity * X).sum(axis=1, keepdims=True) * X


def residual_layers(X: Array, p: Parameters) -> Array:
    r"""Three layers $X\leftarrow X + \mathrm{softmax}(\cdot)XV^\top$, without a step."""
    for _ in range(3):
        X = X + scaled_matrix(X, p)
    return X


def no_skip_layers(X: Array, p: Parameters) -> Array:
    r"""Three layers $X\leftarrow\mathrm{softmax}(\cdot)XV^\top$: no skip connection."""
    for _ in range(3):
        X = scaled_matrix(X, p)
    return X


def rms_norm(X: Array, p: Parameters) -> Array:
    r"""The derivative at h = 0 of $\mathrm{RMSNorm}(X + hf(X))$, for $|x_i|^2 = d$.

    The derivative is the imaginary part of the value at a tiny imaginary h: exact to rounding.
    """
    tiny = 1e-30
    Y = X + 1j * tiny * scaled_matrix(X, p)
    size: Any = np.sqrt((Y**2).mean(axis=1, keepdims=True))
    return np.asarray((Y / size).imag / tiny)


def layer_norm(X: Array, p: Parameters) -> Array:
    """The same for layer normalisation, which also subtracts the mean of the coordinates."""
    tiny = 1e-30
    Y = X + 1j * tiny * scaled_matrix(X, p)
    Y = Y - Y.mean(axis=1, keepdims=True)
    size: Any = np.sqrt((Y**2).mean(axis=1, keepdims=True))
    return np.asarray((Y / size).imag / tiny)


def script_softmax(X: Array, p: Parameters) -> Array:
    r"""$\dot\Sigma$ with $A = K^\top Q/\sqrt d$, for $\Sigma = X^\top X$."""
    S, d = X.T @ X, X.shape[1]
    rate = p["V"] @ S @ (p["K"].T @ p["Q"] / np.sqrt(d)) @ S
    return rate + rate.T


def script_l2(X: Array, p: Parameters) -> Array:
    r"""$\dot\Sigma$ where $K^\top Q$ is divided by $\sqrt d$ and $K^\top K$ is not."""
    S, d = X.T @ X, X.shape[1]
    damping = np.linalg.inv(np.eye(d) + 2 * p["K"].T @ p["K"] @ S)
    rate = 2 * p["V"] @ S @ damping @ (p["K"].T @ p["Q"] / np.sqrt(d)) @ S
    return rate + rate.T
