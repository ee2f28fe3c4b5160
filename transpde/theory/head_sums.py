"""An attention as a sum of heads, and the affine feed-forward terms added up."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from transpde.attention import Attention, Head, Linear, Masked, MultiHead, Softmax, WithFeedForward
from transpde.checks import Array, finite_cases, of_kind, same_size
from transpde.fields import AffineField
from transpde.measures import Gaussian

__all__ = [
    "HeadSum",
    "Scores",
    "Seen",
    "gram",
    "head_sum",
    "matched",
    "one_case",
    "scalar_value",
    "scores",
    "scores_of",
    "seen",
    "top",
    "widths_of",
]

ROUNDING = 8 * np.finfo(float).eps  # times the dimension: a relative eigenvalue that counts as 0


class HeadSum(NamedTuple):
    """The heads of an attention, masked or not, and its feed-forward part Wx + b."""

    heads: tuple[Attention, ...]
    linear: Array
    offset: Array

    @property
    def alone(self) -> Any:
        """The head of a sum of one, without Wx; None for another."""
        return self.heads[0] if len(self.heads) == 1 and not self.linear.any() else None


def head_sum(attention: Any) -> HeadSum | None:
    """Return the heads and affine terms of an attention, None for one that is no sum of heads.

    A mask with a discount, or a strict one, counts as none: the statements are on plain masks.
    """
    of_kind("attention", attention, Attention, "an attention")
    d = attention.dimension
    none = HeadSum((attention,), np.zeros((d, d)), np.zeros(d))
    if isinstance(attention, Masked) and not attention.plain:
        return None
    if isinstance(attention, Masked) and attention._sum is not None:
        return head_sum(attention._sum)
    if isinstance(attention, Head | Masked):
        return none
    if isinstance(attention, WithFeedForward):
        inner, W = head_sum(attention.attention), attention.feed_forward
        if not isinstance(W, AffineField):
            return None
        return inner and HeadSum(inner.heads, inner.linear + W.linear, inner.offset + W.offset)
    if not isinstance(attention, MultiHead):
        return None
    several = [head_sum(head) for head in attention.heads]
    known = [parts for parts in several if parts is not None]
    if len(known) < len(several):
        return None
    heads = tuple(head for parts in known for head in parts.heads)
    linear = sum((parts.linear for parts in known), none.linear)
    return HeadSum(heads, linear, sum((parts.offset for parts in known), none.offset))


def spectral_norm(matrix: Array) -> float:
    """Return the largest singular value."""
    return float(np.linalg.norm(matrix, 2))


def matched(attention: Any, gaussian: Any) -> HeadSum | None:
    """Return the parts of an attention after a check that they fit a Gaussian."""
    of_kind("gaussian", gaussian, Gaussian, "a Gaussian")
    parts = head_sum(attention)
    finite_cases("gaussian", gaussian)
    same_size("gaussian", gaussian.dimension, "the attention", attention.dimension, "dimension")
    for head in () if parts is None else parts.heads:
        if isinstance(head, Head):
            head.matches(gaussian.stack)
    return parts


def one_case(name: str, *matrices: Array) -> None:
    """Raise `ValueError` if matrices (d, d) have leading axes."""
    if max(matrix.ndim for matrix in matrices) > 2:
        raise ValueError(
            f"{name}: must have no leading axes here; got parameters of shapes "
            f"{', '.join(str(matrix.shape) for matrix in matrices)}. Take one case of the stack."
        )


def scalar_value(head: Head) -> Array | None:
    """Return c of shape (...) if the value matrix is c I, to the last bit, in every case."""
    V = head.value
    c = V[..., 0, 0]
    return c if (c[..., None, None] * np.eye(V.shape[-1]) == V).all() else None


class Scores(NamedTuple):
    r"""The matrix $\sum_hc_hA_h$ of softmax heads with values $c_hI$, as rounding leaves it.

    `form` and `noise` are to be multiplied by $2^{\text{exponent}}$, so that no product of query
    and key is lost below or above all floats; `noise` is the sum of the absolute values of all
    terms: times rounding it bounds the error of each entry.
    """

    form: Array
    noise: Array
    exponent: Array

    @property
    def matrix(self) -> Array:
        """The matrix itself."""
        with np.errstate(over="ignore"):
            return np.asarray(np.ldexp(self.form, self.exponent[..., None, None]))


def scores(parts: HeadSum | None, gaussian: Gaussian | None = None) -> Scores | None:
    r"""Return $\sum_h c_h A_h$ if each head is softmax with value $c_h I$.

    Then $\Gamma(x) = m' + \Sigma A x + Wx$: all heads together are one head with V = I. A linear
    head counts as softmax on a Gaussian whose mean is zero and stays so.
    """
    if parts is None:
        return None
    kinds: tuple[type, ...] = (Softmax,)
    if gaussian is not None and not gaussian.mean.any() and not parts.offset.any():
        kinds = (Softmax, Linear)
    found = []
    for head in parts.heads:
        if not isinstance(head, Head) or not isinstance(head, kinds):
            return None
        c = scalar_value(head)
        if c is None:
            return None
        found.append(scores_of(head, c))
    exponent = np.asarray(found[0].exponent)
    for one in found[1:]:
        exponent = np.maximum(exponent, one.exponent)
    shifts = [(one.exponent - exponent)[..., None, None] for one in found]
    form, noise = np.zeros(()), np.zeros(())
    for one, shift in zip(found, shifts, strict=True):
        form, noise = form + np.ldexp(one.form, shift), noise + np.ldexp(one.noise, shift)
    return Scores(form, noise, exponent)


def scores_of(head: Head, c: Array | float = 1.0) -> Scores:
    """Return the matrix cA of one head."""
    (K, k), (Q, q) = (_mantissas(M, (-2, -1)) for M in (head.key, head.query))
    v, exponent = _mantissas(np.asarray(c, dtype=float), ())
    total = k + q + exponent
    if not (K.any() and Q.any() and v.any()):
        total = np.where((v != 0) & K.any(axis=(-2, -1)) & Q.any(axis=(-2, -1)), total, -(10**6))
    v = v[..., None, None]
    return Scores(v * (K.mT @ Q), np.abs(v) * (np.abs(K).mT @ np.abs(Q)), np.asarray(total))


def _mantissas(array: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Return arrays over a power of two near their largest entry, and its exponents."""
    exponent = np.frexp(np.abs(array).max(axis=axes) if axes else array)[1]
    return np.ldexp(array, -exponent[(..., *[None] * len(axes))]), exponent


class Seen(NamedTuple):
    r"""A quadratic form on a Gaussian, in its principal axes, each over what rounding does to it.

    With the axes $Y$ and widths $\nu_i \ge 1$, `form` is $Y^\top CY$ over $\nu_i\nu_j$. Its
    entries are uncertain by `floor`, whatever the columns from which the axes were computed.
    """

    axes: Gaussian
    widths: Array
    form: Array
    floor: Array

    @property
    def grows(self) -> Array:
        """Whether the form is positive somewhere, beyond rounding."""
        return np.asarray(np.linalg.eigvalsh(self.form)[..., -1] > self.floor)


def widths_of(gaussian: Gaussian, axes: Gaussian) -> Array:
    """Return by what the rounding of the columns of a factor is multiplied in principal axes.

    An axis that is a difference of nearly parallel columns has lost digits; one that is short
    because its column is has not.
    """
    columns = gaussian.factor
    sizes = np.abs(columns).max(axis=-2, keepdims=True)
    columns = columns / np.where(sizes > 0, sizes, 1.0)
    lengths = np.linalg.norm(columns, axis=-2, keepdims=True)
    columns = columns / np.where(lengths > 0, lengths, 1.0)
    parts = np.linalg.pinv(columns, rcond=np.finfo(float).eps) @ axes.factor
    return np.asarray(np.maximum(np.abs(parts).sum(axis=-2), 1.0))


def seen(found: Scores, gaussian: Gaussian) -> Seen:
    r"""Return $A + A^\top$ of `scores` as a Gaussian sees it."""
    axes = gaussian.principal()
    widths = widths_of(gaussian, axes)
    form = gram(axes.factor, found.form) / widths[..., :, None] / widths[..., None, :]
    noise = np.linalg.norm(found.noise, axis=(-2, -1))
    return Seen(axes, widths, form, 2 * ROUNDING * gaussian.dimension * noise)


def gram(X: Array, A: Array) -> Array:
    r"""Return $X^\top(A + A^\top)X$."""
    G = X.mT @ A @ X
    return np.asarray(G + G.mT)


def top(symmetric: Array, size: Array | float = 0.0) -> Array:
    """Return the largest eigenvalues, 0 where they are zero within rounding of terms of a size."""
    values = np.linalg.eigvalsh(symmetric)
    largest = np.maximum(np.abs(values).max(axis=-1), size)
    floor = ROUNDING * values.shape[-1] * largest
    return np.where(np.abs(values[..., -1]) > floor, values[..., -1], 0.0)
