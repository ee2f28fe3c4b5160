"""The table of all attentions: the laws of tests/test_attention.py run over its rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from problems import reference_velocity

import transpde as tp

EPSILON, BIAS = 0.7, -0.4


@dataclass(frozen=True)
class Row:
    """An attention: how to make it, its definition in many digits, and the laws it obeys."""

    make: Callable[..., tp.Attention]  # from Q, K, V
    reference: Callable[..., np.ndarray]  # from (Q, K, V), points, weights, x
    stochastic: bool = False  # rows of its matrix sum to one
    gaussian: bool = False  # it keeps Gaussians Gaussian
    masked: bool = False
    heads: int = 1
    head: type[tp.Attention] | None = None  # of one head: its class, where `make` is not it
    values: Callable[..., tuple[np.ndarray, ...]] | None = None  # of the heads; V, or V and V^T
    scaled: bool = True  # tokens in other units, query and key in the inverse ones: one field

    def __post_init__(self) -> None:
        if isinstance(self.make, type):
            object.__setattr__(self, "head", self.make)


def _reference(kind: str, **options: Any) -> Callable[..., np.ndarray]:
    return lambda parameters, points, weights, x: reference_velocity(
        kind, parameters, points, weights, x, **options
    )


def _two_heads(Q: Any, K: Any, V: Any) -> tp.MultiHead:
    return tp.MultiHead([tp.Softmax(Q, K, V), tp.L2(K, Q, V.T)])


def _two_references(parameters: Any, points: Any, weights: Any, x: Any) -> np.ndarray:
    Q, K, V = parameters
    return reference_velocity("softmax", (Q, K, V), points, weights, x) + reference_velocity(
        "l2", (K, Q, V.T), points, weights, x
    )


def _scores(Q: Any, K: Any, V: Any) -> np.ndarray:
    """Two symmetric matrices, which turn with the axes."""
    A = np.matrix_transpose(K) @ Q
    both = np.broadcast_arrays(*((M + np.matrix_transpose(M)) / 2 for M in (A, np.asarray(V))))
    return np.stack(both, axis=-3)


def _descent_reference(mobility: str | None) -> Callable[..., np.ndarray]:
    """Minus the gradient of the energy times the mobility, from unnormalised heads."""

    def velocity(parameters: Any, points: Any, weights: Any, x: Any) -> np.ndarray:
        d, D = len(x), _scores(*parameters)
        tokens = np.column_stack([points, np.ones(len(points))])  # the last column gives Z
        ones = [np.pad(M, (0, 1)) for M in (np.eye(d), *D)]
        values = [np.pad(M, (0, 1), constant_values=0.0) + np.diag([0.0] * d + [1.0]) for M in D]
        both = [
            reference_velocity("unnormalized", (ones[0], ones[i + 1], values[i]), tokens, weights,
                               np.append(x, 0.0))
            for i in range(2)
        ]  # fmt: skip
        pull, Z = sum(both)[:d] / 2, np.array([one[d] for one in both])
        factor = {"harmonic": (1 / Z).mean(), "arithmetic": 1 / Z.mean(), None: 1.0}[mobility]
        return -factor * pull

    return velocity


def _descent(mobility: str | None) -> Row:
    return Row(
        lambda Q, K, V: tp.HeadDescent(_scores(Q, K, V), mobility),
        _descent_reference(mobility),
        heads=2,
        values=lambda Q, K, V: tuple(-D for D in _scores(Q, K, V)),
        scaled=False,
    )


ROWS = {
    "softmax": Row(tp.Softmax, _reference("softmax"), stochastic=True, gaussian=True),
    "l2": Row(tp.L2, _reference("l2"), stochastic=True, gaussian=True),
    "sinkhorn": Row(
        lambda Q, K, V: tp.Sinkhorn(Q, K, V, EPSILON),
        _reference("sinkhorn", epsilon=EPSILON),
        stochastic=True,
        gaussian=True,
        head=tp.Sinkhorn,
    ),
    "sigmoid": Row(
        lambda Q, K, V: tp.Sigmoid(Q, K, V, BIAS),
        _reference("sigmoid", bias=BIAS),
        head=tp.Sigmoid,
    ),
    "linear": Row(tp.Linear, _reference("linear"), gaussian=True),
    "unnormalized": Row(tp.Unnormalized, _reference("unnormalized")),
    "multi-head": Row(_two_heads, _two_references, stochastic=True, gaussian=True, heads=2),
    "harmonic descent": _descent("harmonic"),
    "arithmetic descent": _descent("arithmetic"),
    "plain descent": _descent(None),
    "with feed-forward": Row(
        lambda Q, K, V: tp.Softmax(Q, K, V) + tp.AffineField(Q.T @ Q, V[0]),
        lambda p, points, weights, x: (
            reference_velocity("softmax", p, points, weights, x) + p[0].T @ p[0] @ x + p[2][0]
        ),
        stochastic=True,
        gaussian=True,
        scaled=False,
    ),
    **{
        f"masked {name}": Row(
            lambda Q, K, V, head=head: tp.Masked(head(Q, K, V)),
            _reference(kind, **options),
            stochastic=kind in ("softmax", "l2"),
            masked=True,
        )
        for name, kind, head, options in (
            ("softmax", "softmax", tp.Softmax, {}),
            ("l2", "l2", tp.L2, {}),
            ("sigmoid", "sigmoid", lambda Q, K, V: tp.Sigmoid(Q, K, V, BIAS), {"bias": BIAS}),
            ("linear", "linear", tp.Linear, {}),
            ("unnormalized", "unnormalized", tp.Unnormalized, {}),
        )
    },
    "masked multi-head": Row(
        lambda Q, K, V: tp.Masked(_two_heads(Q, K, V)),
        _two_references,
        stochastic=True,
        masked=True,
        heads=2,
    ),
    "sum of masked heads": Row(
        lambda Q, K, V: tp.Masked(tp.Softmax(Q, K, V)) + tp.Masked(tp.L2(K, Q, V.T)),
        _two_references,
        stochastic=True,
        masked=True,
        heads=2,
    ),
}
GAUSSIAN = [name for name, row in ROWS.items() if row.gaussian]
HEADS = {name: row.head for name, row in ROWS.items() if row.head}
