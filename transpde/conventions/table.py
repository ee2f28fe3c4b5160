"""The table: a row a convention, with the change of variables that leads to ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import expm

from transpde.attention import (
    L2,
    Attention,
    Masked,
    MultiHead,
    Sigmoid,
    Sinkhorn,
    Softmax,
    Unnormalized,
)
from transpde.checks import Array, brief, generator
from transpde.conventions import sources
from transpde.conventions.sources import Parameters
from transpde.fields import AffineField
from transpde.flow import layers
from transpde.measures import Gaussian, Particles
from transpde.spaces import Sphere

__all__ = ["TABLE", "Convention"]

Draw = tuple[Array, Parameters]


def _velocity(X: Array, attention: Attention, p: Parameters) -> Array:
    """Return the velocities of tokens of equal weight."""
    return attention(Particles(X))(X)


@dataclass(frozen=True, eq=False)
class Convention:
    """A row: what a source computes, and the attention of this package that computes the same.

    Attributes:
        name: what is different.
        source: a key of `book/references.bib`.
        change: our parameters from the source's, in words of formulas.
        theirs: the source's own definition, a function of tokens (n, d) and parameters.
        translate: the source's parameters to an attention.
        ours: what is computed with that attention; velocities of tokens unless said otherwise.
        place: moves drawn tokens to where the source has them.

    Example:
        >>> from transpde.conventions import TABLE
        >>> TABLE["scaled heads"].gap(seed=0) < 1e-13
        True
    """

    name: str
    source: str
    change: str
    theirs: Callable[[Array, Parameters], Array]
    translate: Callable[[Parameters], Attention]
    ours: Callable[[Array, Attention, Parameters], Array] = _velocity
    place: Callable[[Array], Array] = np.asarray

    def __repr__(self) -> str:
        """Return what it holds, arrays by their shapes."""
        return brief(self, {"name": self.name, "source": self.source})

    def drawn(self, seed: int | np.random.Generator) -> Draw:
        """Return tokens (6, 4) and parameters: two heads of size 2, and one head."""
        rng = generator("seed", seed)
        n, d, k, heads = 6, 4, 2, 2
        W_Q, W_K, W_V = 0.6 * rng.normal(size=(3, heads, d, k))
        Q, K = 0.6 * rng.normal(size=(2, k, d))
        V, t = 0.5 * rng.normal(size=(d, d)), 0.7
        p = {
            **{"W_Q": W_Q, "W_K": W_K, "W_V": W_V, "W_O": rng.normal(size=(heads * k, d))},
            **{"Q": Q, "K": K, "V": V, "e^tV": expm(t * V), "beta": 1.5, "n": n, "h": 0.25},
        }
        return self.place(rng.normal(size=(n, d))), p

    def gap(self, seed: int | np.random.Generator) -> float:
        """Return the largest difference of the two, over the largest entry of the source's."""
        X, p = self.drawn(seed)
        theirs = self.theirs(X, p)
        return float(
            np.abs(self.ours(X, self.translate(p), p) - theirs).max() / np.abs(theirs).max()
        )


# --- changes of variables ----------------------------------------------------------------------


def _blocks(p: Parameters) -> list[Any]:
    """Return W_Q, W_K, W_V and the rows of W_O of each head."""
    heads = len(p["W_Q"])
    return list(zip(p["W_Q"], p["W_K"], p["W_V"], np.split(p["W_O"], heads), strict=True))


def _scaled_heads(p: Parameters) -> Attention:
    root = np.sqrt(p["W_Q"].shape[-1])
    return MultiHead([Softmax(q.T / root, k.T, (v @ o).T) for q, k, v, o in _blocks(p)])


def _scaled(p: Parameters, value: Any = None) -> Softmax:
    return Softmax(p["Q"] / np.sqrt(len(p["Q"])), p["K"], p["V"] if value is None else value)


def _l2_heads(p: Parameters) -> Attention:
    root = np.sqrt(p["W_Q"].shape[-1])
    return MultiHead([
        L2(q.T / root**0.5, q.T / root**0.5, (q @ q.T / root @ v @ o).T)
        for q, _, v, o in _blocks(p)
    ])  # fmt: skip


def _sigmoid(p: Parameters) -> Attention:
    n = p["n"]
    return Sigmoid(p["Q"] / np.sqrt(len(p["Q"])), p["K"], n * p["V"], bias=-np.log(n))


def _rescaled(p: Parameters) -> Attention:
    grown = p["e^tV"]
    return Softmax(p["Q"] @ grown, p["K"] @ grown, p["V"]) + AffineField(-p["V"])


def _on_radius(p: Parameters, value: Array) -> Attention:
    d = len(value)
    return Softmax(d * p["Q"] / np.sqrt(len(p["Q"])), p["K"], value)


def _centred(p: Parameters) -> Array:
    d = len(p["V"])
    return np.asarray((np.eye(d) - 1 / d) @ p["V"])


def _with_positions(X: Array, attention: Attention, p: Parameters) -> Array:
    tokens = Particles(X, positions=np.arange(len(X)))
    return tokens.velocities(attention(tokens))


def _three_layers(step: float) -> Callable[[Array, Attention, Parameters], Array]:
    return lambda X, attention, p: layers(Particles(X), attention, 3, step).final.points


def _on_the_sphere(X: Array, attention: Attention, p: Parameters) -> Array:
    tokens = Particles(X, space=Sphere())
    return tokens.velocities(attention(tokens))


def _radius_velocity(X: Array, attention: Attention, p: Parameters) -> Array:
    root = np.sqrt(X.shape[1])
    return root * _on_the_sphere(X / root, attention, p)


def _covariance_rate(X: Array, attention: Attention, p: Parameters) -> Array:
    gaussian = Gaussian(np.zeros(X.shape[1]), factor=X.T)
    field = attention(gaussian)
    rate = field.moves(gaussian.mean, gaussian.factor)[1] @ X  # type: ignore[attr-defined]
    return np.asarray(rate + rate.T)


def _unit(X: Array) -> Array:
    return np.asarray(X / np.linalg.norm(X, axis=1, keepdims=True))


def _radius(X: Array) -> Array:
    return np.sqrt(X.shape[1]) * _unit(X)


def _layer_normed(X: Array) -> Array:
    return _radius(X - X.mean(axis=1, keepdims=True))


ROWS = (
    Convention(
        "scaled heads", "vaswani2017attention",
        "Q = W_Q'/sqrt(k), K = W_K', V = (W_V W_O)'",
        sources.scaled_heads, _scaled_heads,
    ),
    Convention(
        "causal mask", "vaswani2017attention", "positions 1, ..., n; Q/sqrt(k)",
        sources.causal_head, lambda p: Masked(_scaled(p)), _with_positions,
    ),
    Convention(
        "scaled matrix", "castin2024smooth", "Q/sqrt(k)", sources.scaled_matrix, _scaled,
    ),
    Convention(
        "tied L2 heads", "kim2021lipschitz",
        "Q = K = W'/k^(1/4), V = (W W' W_V W_O)'/sqrt(k)",
        sources.l2_heads, _l2_heads,
    ),
    Convention(
        "doubly stochastic", "sander2022sinkformers", "epsilon = 1",
        sources.doubly_stochastic, lambda p: Sinkhorn(p["Q"], p["K"], p["V"]),
    ),
    Convention(
        "gradient-flow sign", "sander2022sinkformers", "epsilon = 1, V = -K'Q",
        sources.gradient_flow_sign, lambda p: Sinkhorn(p["Q"], p["K"], -p["K"].T @ p["Q"]),
    ),
    Convention(
        "sum of sigmoids", "ramapuram2025sigmoid", "Q/sqrt(k), n V, b = -log n",
        sources.sigmoid_sum, _sigmoid,
    ),
    Convention(
        "rescaled tokens", "geshkovski2023emergence",
        "Q exp(tV), K exp(tV), feed-forward -V",
        sources.clusters, _rescaled,
    ),
    Convention(
        "sphere, beta", "geshkovski2025mathematical", "beta Q, on the sphere", sources.sphere,
        lambda p: Softmax(p["beta"] * p["Q"], p["K"], p["V"]), _on_the_sphere, _unit,
    ),
    Convention(
        "sphere, no sum", "geshkovski2025mathematical", "Q = beta I, K = V = I, on the sphere",
        sources.sphere_unnormalised,
        lambda p: Unnormalized(p["beta"] * np.eye(4), np.eye(4), np.eye(4)),
        _on_the_sphere, _unit,
    ),
    Convention(
        "step one", "lu2019understanding", "step h, V/h; here h = 1/4",
        sources.residual_layers, lambda p: _scaled(p, p["V"] / p["h"]), _three_layers(0.25),
    ),
    Convention(
        "no residual", "dong2021attention", "step 1, feed-forward -I",
        sources.no_skip_layers, lambda p: _scaled(p) + AffineField(-np.eye(4)), _three_layers(1.0),
    ),
    Convention(
        "RMS norm", "zhang2019root", "x = sqrt(d) u, d Q/sqrt(k), on the sphere",
        sources.rms_norm, lambda p: _on_radius(p, p["V"]), _radius_velocity, _radius,
    ),
    Convention(
        "layer norm", "ba2016layer", "the same with (I - 11'/d) V",
        sources.layer_norm, lambda p: _on_radius(p, _centred(p)), _radius_velocity, _layer_normed,
    ),
    Convention(
        "scripts, softmax", "castin2025unified", "Q/sqrt(d)",
        sources.script_softmax,
        lambda p: Softmax(p["Q"] / np.sqrt(len(p["V"])), p["K"], p["V"]), _covariance_rate,
    ),
    Convention(
        "scripts, L2", "castin2025unified", "Q/sqrt(d), K as it is",
        sources.script_l2,
        lambda p: L2(p["Q"] / np.sqrt(len(p["V"])), p["K"], p["V"]), _covariance_rate,
    ),
)  # fmt: skip
TABLE = {row.name: row for row in ROWS}
