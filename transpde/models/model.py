"""A Transformer in numpy: its forward pass, and its heads as attentions on measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy.special import softmax

from transpde.attention import Attention, Masked, MultiHead, Softmax
from transpde.checks import (
    Array,
    Unchanging,
    finite_array,
    flag,
    frozen,
    function,
    generator,
    index_below,
    mapping,
    outlined,
    plain_array,
    positive_number,
    same_shape,
    same_size,
    text,
)
from transpde.fields import in_floats
from transpde.measures import Particles
from transpde.models.blocks import Block, Layout, Norm
from transpde.models.lifting import lift

__all__ = ["Layer", "Model", "Projections", "TokenPath"]

Edit = Callable[[int, Array, Array], Array]


@outlined
class Projections(NamedTuple):
    r"""What the heads of a layer make of its tokens, before their output matrices.

    Attributes:
        queries: $q = (W_qx + b_q)/\sqrt k$, shape (H, n, k).
        keys: $\kappa = W_kx$, shape (H, n, k); a bias would cancel.
        values: $v = W_vx + b_v$, shape (H, n, k).
        causal: whether a token sees only itself and those before it.
    """

    queries: Array
    keys: Array
    values: Array
    causal: bool

    @property
    def weights(self) -> Array:
        """The attention matrices P, shape (H, n, n), rows sum to one."""
        scores = self.queries @ self.keys.mT
        if self.causal:
            scores = np.where(np.tri(scores.shape[-1], dtype=bool), scores, -np.inf)
        return softmax(scores, axis=-1)

    @property
    def outputs(self) -> Array:
        """What each head gives to each token, P v, shape (H, n, k)."""
        return self.weights @ self.values


@outlined
class Layer(NamedTuple):
    """The parts of a layer at given tokens, each of shape (n, d).

    Attributes:
        attention: what all heads together give, with the bias of the output.
        middle: the tokens between the two halves of the layer.
        feed_forward: what the feed-forward part gives.
        out: the tokens after the layer.
    """

    attention: Array
    middle: Array
    feed_forward: Array
    out: Array


def _measure(points: Array, causal: bool) -> Particles:
    """Return tokens as a measure, behind a causal mask with positions 0 to n - 1."""
    return Particles(points, positions=np.arange(len(points), dtype=float) if causal else None)


@dataclass(frozen=True, eq=False)
class TokenPath(Unchanging):
    """Tokens layer by layer: what a model returns.

    Attributes:
        points: tokens after 0, 1, ... layers, shape (L + 1, n, d).
        output: what the model gives out, shape (n, d): the last tokens, of a GPT-2 after its last
            layer norm.
        causal: whether tokens have positions, 0 to n - 1.
    """

    points: Array
    output: Array
    causal: bool

    def __repr__(self) -> str:
        """Return a line with the shape."""
        return f"TokenPath(points of shape {self.points.shape})"

    def __call__(self, layer: int) -> Particles:
        """Return the tokens after `layer` layers as a measure, with positions if causal."""
        layer = index_below("layer", layer, len(self.points))
        return _measure(self.points[layer], self.causal)

    @property
    def final(self) -> Particles:
        """The tokens after the last layer as a measure."""
        return self(len(self.points) - 1)

    @property
    def embedding(self) -> Array:
        """The mean of the output over all tokens, divided by its length, shape (d,)."""
        mean = self.output.mean(axis=0)
        return mean / np.linalg.norm(mean)


@dataclass(frozen=True, eq=False)
class Model(Unchanging):
    """A Transformer read by `read`: `model(tokens)` is a path of its tokens, layer by layer.

    Attributes:
        layout: its kind and sizes.
        weights: its numbers by the names of the file, read-only.
        tokenizer: what makes ids of a text, or None.

    Example:
        >>> from transpde import models
        >>> models.Model.__name__
        'Model'
    """

    layout: Layout
    weights: Mapping[str, Array]
    tokenizer: Any = None

    def __repr__(self) -> str:
        """Return a line with kind and sizes."""
        a = self.layout
        return f"Model({a.kind}: {a.depth} layers, {a.heads} heads, d = {a.dimension})"

    @property
    def depth(self) -> int:
        """The number L of layers."""
        return self.layout.depth

    @property
    def heads(self) -> int:
        """The number H of heads of each layer."""
        return self.layout.heads

    @property
    def dimension(self) -> int:
        """The dimension d of the tokens."""
        return self.layout.dimension

    @property
    def most(self) -> int:
        """The largest number of tokens."""
        return len(self.weights[self.layout.POSITIONS])

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The parameters of the layers, d x d and so on, without copies."""
        return tuple(self.layout.block(self.weights, l) for l in range(self.depth))

    def encode(self, text_: str) -> Array:
        """Return the ids of a text, those of [CLS] and [SEP] included for a BERT, shape (n,).

        Raises:
            TypeError: no text.
            ValueError: a model that was read without a tokenizer.
        """
        text("text", text_)
        if self.tokenizer is None:
            raise ValueError(
                "text: needs the folder's tokenizer.json, and there is none. With transformers, "
                "AutoTokenizer.from_pretrained(NAME).save_pretrained(FOLDER) writes it; read the "
                "folder again, or give the ids of tokens."
            )
        return frozen(np.array(self.tokenizer.encode(text_).ids, dtype=np.int64))

    def embed(self, tokens: Any) -> Array:
        """Return the tokens before the first layer, shape (n, d), of ids (n,).

        Raises:
            ValueError: ids that are no integers or not in the vocabulary, more than the positions.
        """
        return self.layout.embed(self.weights, self._ids(tokens))

    def _ids(self, tokens: Any) -> Array:
        if isinstance(tokens, str):
            raise ValueError("tokens: must be ids; got a text. Make them with model.encode(text).")
        ids = plain_array("tokens", tokens, "iu")
        if ids.ndim != 1 or not ids.size:
            raise ValueError(
                f"tokens: must be ids of at least one token, of shape (n,); got shape {ids.shape}."
            )
        self._count("tokens", len(ids))
        size = len(self.weights[self.layout.WORDS])
        wrong = ids[(ids < 0) | (ids >= size)]
        if wrong.size:
            raise ValueError(
                f"tokens: must be ids from 0 to {size - 1}; got {wrong[0]}. "
                "Make them with model.encode(text) of this model."
            )
        return ids

    def _count(self, name: str, n: int) -> None:
        if n > self.most:
            raise ValueError(
                f"{name}: must be at most {self.most} tokens, the positions that the model knows; "
                f"got {n}. Cut them: models.cut(ids, n) keeps the last one, ids[:n] does not."
            )

    def _points(self, name: str, points: Any) -> Array:
        x = finite_array(name, points, "n d")
        same_size(name, x.shape[1], "the model", self.dimension, "dimension")
        return x

    def _layer(self, layer: Any, name: str = "layer") -> int:
        return index_below(name, layer, self.depth)

    def _layers(self, layers: Any) -> list[int]:
        if layers is None:
            return list(range(self.depth))
        if (
            not isinstance(layers, Sequence | np.ndarray)
            or isinstance(layers, str)
            or not len(layers)
        ):
            raise ValueError(f"layers: must be a sequence of at least one layer; got {layers!r}.")
        return [self._layer(l, "layers") for l in layers]

    def __call__(
        self,
        tokens: Any = None,
        start: Any = None,
        *,
        layers: Sequence[int] | None = None,
        skip: bool = True,
        feed_forward: bool = True,
        norm: bool = True,
        attention: bool = True,
        edit: Edit | None = None,
    ) -> TokenPath:
        """Return the path of tokens through the layers.

        Args:
            tokens: ids, shape (n,), see `encode`.
            start: tokens (n, d) before the first layer instead of `tokens`.
            layers: which layers, in turn; all by default. `[3] * 60` repeats one.
            skip: keep the residual connections; without, both halves of a layer drop them.
            feed_forward: keep the feed-forward parts, and the layer norms that belong to them.
            norm: keep the layer norms.
            attention: keep the attention, with the bias of its output.
            edit: changes what heads give: `edit(layer, queries, outputs)` returns new outputs;
                all three arrays of shape (H, n, k), see `Projections`.

        Raises:
            TypeError: a switch that is no truth value, an `edit` that is no function.
            ValueError: neither or both of tokens and start, ids that the model does not know, more
                tokens than positions, a layer that there is not, outputs of another shape, neither
                skip nor attention: nothing would be left.
        """
        if (tokens is None) == (start is None):
            raise ValueError("tokens: give either tokens or start; got both or neither.")
        x = self.embed(tokens) if start is None else self._points("start", start)
        switches = {"skip": skip, "feed_forward": feed_forward, "norm": norm}
        switches |= {"attention": attention}
        path = [x]
        for l in self._layers(layers):
            path.append(self.layer(l, path[-1], edit=edit, **switches).out)
        output = self.layout.finish(self.weights, path[-1]) if norm else path[-1]
        return TokenPath(frozen(np.array(path)), frozen(output), self.layout.causal)

    @in_floats
    def layer(
        self,
        layer: int,
        points: Any,
        *,
        skip: bool = True,
        feed_forward: bool = True,
        norm: bool = True,
        attention: bool = True,
        edit: Edit | None = None,
    ) -> Layer:
        """Return the parts of one layer at tokens (n, d); switches and errors as of a call."""
        layer, x = self._layer(layer), self._points("points", points)
        block = self.blocks[layer]
        keep = flag("skip", skip)
        if not (flag("attention", attention) or keep):
            raise ValueError("attention: must be True without skip; got False: nothing is left.")
        first, second = (self._norm(one, norm) for one in (block.norm1, block.norm2))
        pre = self.layout.pre_norm
        own = x if keep else 0.0
        given = np.zeros_like(x)
        if attention:
            given = self._attend(layer, first(x) if pre else x, edit)
        middle = own + given if pre else first(own + given)
        if not flag("feed_forward", feed_forward):
            return Layer(given, middle, np.zeros_like(x), middle)
        fed = block.feed(second(middle) if pre else middle)
        out = fed + middle if keep else fed
        return Layer(given, middle, fed, out if pre else second(out))

    def _norm(self, norm: Norm, wanted: Any) -> Callable[[Array], Array]:
        if not flag("norm", wanted):
            return lambda x: x
        return lambda x: norm(x, self.layout.epsilon)

    def _attend(self, layer: int, seen: Array, edit: Edit | None) -> Array:
        block, made = self.blocks[layer], self._project(layer, seen)
        outputs = made.outputs
        if edit is not None:
            outputs = finite_array(
                "edit", function("edit", edit)(layer, made.queries, outputs), "h n k"
            )
            same_shape("edit's outputs", outputs.shape, "the queries", made.queries.shape)
        joined = outputs.swapaxes(0, 1).reshape(seen.shape[0], -1)
        return joined @ block.output.T + block.output_bias

    def _project(self, layer: int, seen: Array) -> Projections:
        b, H = self.blocks[layer], self.heads

        def cut(rows: Array) -> Array:
            return rows.reshape(len(rows), H, -1).swapaxes(0, 1)

        queries = cut(seen @ b.query.T + b.query_bias) / np.sqrt(self.dimension // H)
        keys, values = cut(seen @ b.key.T), cut(seen @ b.value.T + b.value_bias)
        return Projections(queries, keys, values, self.layout.causal)

    def _seen(self, layer: int, points: Any, name: str = "points") -> Array:
        x, first = self._points(name, points), self.blocks[layer].norm1
        return first(x, self.layout.epsilon) if self.layout.pre_norm else x

    def projections(self, layer: int, tokens: Any) -> Projections:
        """Return queries, keys and values of the heads of a layer.

        Args:
            layer: from 0.
            tokens: tokens (n, d) before the layer, or a measure of lifted ones, see `measure`.

        Raises:
            ValueError: a layer that there is not, another dimension.
        """
        layer = self._layer(layer)
        if isinstance(tokens, Particles):
            same_size("tokens", tokens.dimension, "a head", self.dimension + 1, "dimension")
            return self._project(layer, tokens.points[:, :-1])
        return self._project(layer, self._seen(layer, tokens, "tokens"))

    def measure(self, layer: int, points: Any) -> Particles:
        """Return the measure in dimension d + 1 on which the heads of a layer act.

        They are the lifted tokens (n, d): of a GPT-2 after the layer norm that stands before its
        heads, and with positions 0 to n - 1.
        """
        layer = self._layer(layer)
        return _measure(lift(self._seen(layer, points)), self.layout.causal)

    def head(self, layer: int, head: int) -> Attention:
        r"""Return a head as softmax attention in dimension d + 1, causal ones behind a mask.

        $\hat Q = [W_q\ b_q]/\sqrt k$, $\hat K = [W_k\ 0]$ (a bias would cancel),
        $\hat V = \begin{pmatrix} W_OW_v & W_Ob_v\\ 0 & 0\end{pmatrix}$ on lifted tokens $(x, 1)$.
        """
        b, k = self.blocks[self._layer(layer)], self.dimension // self.heads
        h = index_below("head", head, self.heads)
        own = slice(h * k, (h + 1) * k)
        value = np.zeros((self.dimension + 1, self.dimension + 1))
        value[:-1] = b.output[:, own] @ np.column_stack([b.value[own], b.value_bias[own]])
        one = Softmax(
            query=np.column_stack([b.query[own], b.query_bias[own]]) / np.sqrt(k),
            key=np.column_stack([b.key[own], np.zeros(k)]),
            value=value,
        )
        return Masked(one) if self.layout.causal else one

    def attention(self, layer: int) -> MultiHead:
        """Return the heads of a layer, see `head`; its attention is their sum and `bias`.

        `model.attention(l)(model.measure(l, x))` is their field on lifted tokens.
        """
        return MultiHead([self.head(layer, h) for h in range(self.heads)])

    def bias(self, layer: int) -> Array:
        """Return the constant that the attention of a layer adds to all tokens, shape (d,)."""
        return self.blocks[self._layer(layer)].output_bias

    def with_weights(self, changes: Mapping[str, Any]) -> Model:
        """Return the model with some of its weights changed.

        Args:
            changes: new arrays by the names that `weights` has.

        Raises:
            TypeError: no dictionary.
            ValueError: a name that is none of the model's, another shape.
        """
        weights = dict(self.weights)
        for name, value in mapping("changes", changes).items():
            if name not in weights:
                raise ValueError(
                    f"changes: must be names of weights; got {name!r}. See model.weights."
                )
            new = finite_array(f"changes[{name!r}]", value, "...")
            same_shape(f"changes[{name!r}]", new.shape, "these weights", weights[name].shape)
            weights[name] = frozen(new.astype(weights[name].dtype))
        return replace(self, weights=weights)

    def randomised(self, scale: float, seed: int | np.random.Generator) -> Model:
        """Return a model of this shape as before training: a control for what is learned.

        Matrices get independent normal entries, in the order of their names; biases are zero and
        gains one.

        Args:
            scale: the standard deviation of the entries; BERT starts from 0.02.
            seed: an integer or a generator.

        Raises:
            ValueError: a scale that is not positive, a seed that is none.
        """
        scale, rng = positive_number("scale", scale), generator("seed", seed)
        new = {}
        for name in sorted(self.weights):
            old = self.weights[name]
            if old.ndim == 2:
                new[name] = scale * rng.standard_normal(old.shape)
            else:
                new[name] = np.full(old.shape, float(self.layout.is_gain(name)))
        return self.with_weights(new)
