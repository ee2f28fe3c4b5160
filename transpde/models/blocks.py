"""The kinds of models that can be read: sizes, names of weights, and where layer norms stand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.special import erf

from transpde.checks import Array, positive_integer, positive_number

__all__ = ["ACTIVATIONS", "Bert", "Block", "Gpt2", "Layout", "Norm"]

Weights = Mapping[str, Array]


def _gelu(x: Array) -> Array:
    return 0.5 * x * (1.0 + erf(x / np.sqrt(2.0)))


def _gelu_tanh(x: Array) -> Array:
    return 0.5 * x * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3)))


def _relu(x: Array) -> Array:
    return np.maximum(x, 0.0)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": _gelu,
    "gelu_new": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh,
    "relu": _relu,
}


@dataclass(frozen=True, eq=False)
class Norm:
    """Layer norm: each token centred, divided by its standard deviation, then gain and bias."""

    gain: Array
    bias: Array

    def __call__(self, x: Array, epsilon: float) -> Array:
        """Return the norm of tokens (n, d)."""
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = (centred**2).mean(axis=-1, keepdims=True)
        return centred / np.sqrt(variance + epsilon) * self.gain + self.bias


@dataclass(frozen=True, eq=False)
class Block:
    """The parameters of a layer: matrices act on columns, W x; heads are blocks of k rows."""

    query: Array
    query_bias: Array
    key: Array
    value: Array
    value_bias: Array
    output: Array
    output_bias: Array
    inner: Array
    inner_bias: Array
    outer: Array
    outer_bias: Array
    norm1: Norm
    norm2: Norm
    activation: Callable[[Array], Array]

    def feed(self, x: Array) -> Array:
        """Return what the feed-forward part makes of tokens (n, d)."""
        inner = self.activation(x @ self.inner.T + self.inner_bias)
        return inner @ self.outer.T + self.outer_bias


@dataclass(frozen=True)
class Layout(ABC):
    """A kind of model with its sizes; names of weights are those of the file without a prefix."""

    depth: int
    heads: int
    dimension: int
    inner: int
    epsilon: float
    activation: str

    kind = ""
    pre_norm = False
    causal = False
    WORDS = POSITIONS = ""
    TABLES: ClassVar[tuple[str, ...]] = ()  # rows of which make the first tokens
    NORMS: ClassVar[tuple[str, ...]] = ()  # of a layer: how the names of its layer norms end
    NORM = ""  # of none: the name of its layer norm
    OUT = 0  # the axis of a matrix along which its outputs are
    LAYER = ""  # how the names of a layer's weights begin, before its number
    PREFIX = ""  # of checkpoints that have a task's own weights, too
    # endings of names in older files, and what they are now
    OLD: ClassVar[tuple[tuple[str, str], ...]] = ()
    CONSTANTS: ClassVar[tuple[str, ...]] = ()  # endings of what files hold beside weights

    @classmethod
    @abstractmethod
    def from_config(cls, config: Mapping[str, Any]) -> Layout:
        """Return the layout that a config.json describes."""

    @abstractmethod
    def matrices(self) -> dict[str, tuple[int, int]]:
        """Return the shapes of the matrices of a layer; each has a bias for its outputs."""

    def shapes(self) -> dict[str, tuple[int | None, ...]]:
        """Return what weights there must be, with shapes; None is any length."""
        found: dict[str, tuple[int | None, ...]]
        found, norms = dict.fromkeys(self.TABLES, (None, self.dimension)), [self.NORM]
        for at in (f"{self.LAYER}{l}." for l in range(self.depth)):
            norms += [at + name for name in self.NORMS]
            for name, shape in self.matrices().items():
                found |= {f"{at}{name}.weight": shape, f"{at}{name}.bias": (shape[self.OUT],)}
        parts = [f"{name}.{part}" for name in norms for part in ("weight", "bias")]
        return found | dict.fromkeys(parts, (self.dimension,))

    @abstractmethod
    def block(self, weights: Weights, layer: int) -> Block:
        """Return the parameters of a layer."""

    def norm(self, weights: Weights, x: Array) -> Array:
        """Return tokens after the layer norm that belongs to no layer."""
        return Norm(weights[f"{self.NORM}.weight"], weights[f"{self.NORM}.bias"])(x, self.epsilon)

    def embed(self, weights: Weights, ids: Array) -> Array:
        """Return the tokens before the first layer."""
        return weights[self.WORDS][ids].astype(float) + weights[self.POSITIONS][: len(ids)]

    def finish(self, weights: Weights, x: Array) -> Array:
        """Return what the model gives out of its last tokens."""
        return x

    def is_gain(self, name: str) -> bool:
        """Return whether a weight is the gain of a layer norm."""
        return name.endswith(tuple(f"{norm}.weight" for norm in (self.NORM, *self.NORMS)))

    def layer(self, name: str) -> int:
        """Return the layer of a weight, -1 of one that belongs to none."""
        number = name.removeprefix(self.LAYER).partition(".")[0]
        return int(number) if name.startswith(self.LAYER) and number.isdecimal() else -1


class Bert(Layout):
    """BERT: every token sees all; a layer norm after each half of a layer."""

    kind = "bert"
    WORDS = "embeddings.word_embeddings.weight"
    POSITIONS = "embeddings.position_embeddings.weight"
    TYPES = "embeddings.token_type_embeddings.weight"
    TABLES = (WORDS, POSITIONS, TYPES)
    NORMS = ("attention.output.LayerNorm", "output.LayerNorm")
    NORM = "embeddings.LayerNorm"
    LAYER = "encoder.layer."
    PREFIX = "bert."
    OLD = ((".gamma", ".weight"), (".beta", ".bias"))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Bert:
        """Return the layout that a config.json describes."""
        names = ("num_hidden_layers", "num_attention_heads", "hidden_size", "intermediate_size")
        sizes = [positive_integer(name, config[name]) for name in names]
        epsilon = positive_number("layer_norm_eps", config.get("layer_norm_eps", 1e-12))
        depth, heads, d, inner = sizes
        return cls(depth, heads, d, inner, epsilon, config.get("hidden_act", "gelu"))

    def matrices(self) -> dict[str, tuple[int, int]]:
        """Return the shapes of the matrices of a layer; each has a bias for its outputs."""
        d, m = self.dimension, self.inner
        parts = ("self.query", "self.key", "self.value", "output.dense")
        found = {f"attention.{part}": (d, d) for part in parts}
        return found | {"intermediate.dense": (m, d), "output.dense": (d, m)}

    def block(self, weights: Weights, layer: int) -> Block:
        """Return the parameters of a layer."""
        at = f"{self.LAYER}{layer}."

        def both(name: str) -> tuple[Array, Array]:
            return weights[f"{at}{name}.weight"], weights[f"{at}{name}.bias"]

        key, _ = both("attention.self.key")  # its bias cancels in softmax
        first, second = (Norm(*both(name)) for name in self.NORMS)
        return Block(
            *both("attention.self.query"), key, *both("attention.self.value"),
            *both("attention.output.dense"), *both("intermediate.dense"), *both("output.dense"),
            first, second, ACTIVATIONS[self.activation],
        )  # fmt: skip

    def embed(self, weights: Weights, ids: Array) -> Array:
        """Return the tokens before the first layer."""
        return self.norm(weights, super().embed(weights, ids) + weights[self.TYPES][0])


class Gpt2(Layout):
    """GPT-2: a token sees those before it; a layer norm before each half, and one at the end."""

    kind = "gpt2"
    pre_norm = True
    causal = True
    WORDS = "wte.weight"
    POSITIONS = "wpe.weight"
    TABLES = (WORDS, POSITIONS)
    NORMS = ("ln_1", "ln_2")
    NORM = "ln_f"
    OUT = 1
    LAYER = "h."
    PREFIX = "transformer."
    CONSTANTS = (".attn.bias", ".attn.masked_bias")  # the mask

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Gpt2:
        """Return the layout that a config.json describes."""
        names = ("n_layer", "n_head", "n_embd")
        sizes = [positive_integer(name, config[name]) for name in names]
        sizes.append(positive_integer("n_inner", config.get("n_inner") or 4 * sizes[-1]))
        epsilon = positive_number("layer_norm_epsilon", config.get("layer_norm_epsilon", 1e-5))
        depth, heads, d, inner = sizes
        return cls(depth, heads, d, inner, epsilon, config.get("activation_function", "gelu_new"))

    def matrices(self) -> dict[str, tuple[int, int]]:
        """Return the shapes of the matrices of a layer; each has a bias for its outputs."""
        d, m = self.dimension, self.inner
        attention = {"attn.c_attn": (d, 3 * d), "attn.c_proj": (d, d)}
        return attention | {"mlp.c_fc": (d, m), "mlp.c_proj": (m, d)}

    def block(self, weights: Weights, layer: int) -> Block:
        """Return the parameters of a layer; the file's matrices act on rows, so transposed."""
        at = f"{self.LAYER}{layer}."

        def both(name: str) -> tuple[Array, Array]:
            return weights[f"{at}{name}.weight"].T, weights[f"{at}{name}.bias"]

        W, b = both("attn.c_attn")
        (Q, K, V), (q, _, v) = np.split(W, 3), np.split(b, 3)  # a bias of keys cancels in softmax
        first, second = (Norm(*both(name)) for name in self.NORMS)
        return Block(
            Q, q, K, V, v, *both("attn.c_proj"), *both("mlp.c_fc"), *both("mlp.c_proj"),
            first, second, ACTIVATIONS[self.activation],
        )  # fmt: skip

    def finish(self, weights: Weights, x: Array) -> Array:
        """Return the last tokens after one more layer norm."""
        return self.norm(weights, x)
