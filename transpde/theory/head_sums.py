"""An attention as a sum of heads, and the affine feed-forward terms added up."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from transpde.attention import Attention, Head, Linear, Masked, MultiHead, Softmax, WithFeedForward
from transpde.checks import Array, finite_array, finite_cases, same_size
from transpde.fields import AffineField
from transpde.measures import Gaussian

__all__ = [
    "HeadSum",
    "depths",
    "head_sum",
    "matched",
    "one_case",
    "scalar_softmax",
    "scalar_value",
    "top",
]

ROUNDING = 8 * np.finfo(float).eps  # times the dimension: a relative eigenvalue that counts as 0


class HeadSum(NamedTuple):
    """The heads of an attention, masked or not, and its feed-forward part Wx + b."""

    heads: tuple[Attention, ...]
    linear: Array
    offset: Array


def head_sum(attention: Any) -> HeadSum | None:
    """Return the heads and affine terms of an attention, None for one that is no sum of heads."""
    if not isinstance(attention, Attention):
        raise TypeError(f"attention: must be an attention; got {type(attention).__name__}.")
    d = attention.dimension
    none = HeadSum((attention,), np.zeros((d, d)), np.zeros(d))
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


def depths(time: Any) -> Array:
    """Return times as floats of at least 0, or raise `ValueError`."""
    t = finite_array("time", time, "...")
    if t.min() < 0:
        raise ValueError(f"time: must be at least 0; got {t.min()}.")
    return t


def matched(attention: Any, gaussian: Any) -> HeadSum | None:
    """Return the parts of an attention after a check that they fit a Gaussian."""
    if not isinstance(gaussian, Gaussian):
        raise TypeError(f"gaussian: must be a Gaussian; got {type(gaussian).__name__}.")
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


def scalar_softmax(parts: HeadSum | None, gaussian: Gaussian | None = None) -> Array | None:
    r"""Return $\sum_h c_h A_h$ if each head is softmax with value $c_h I$.

    Then $\Gamma(x) = m' + \Sigma A x + Wx$: all heads together are one head with V = I. A linear
    head counts as softmax on a Gaussian whose mean is zero and stays so.
    """
    if parts is None:
        return None
    kinds: tuple[type, ...] = (Softmax,)
    if gaussian is not None and not gaussian.mean.any() and not parts.offset.any():
        kinds = (Softmax, Linear)
    A: Array = np.zeros(())
    for head in parts.heads:
        if not isinstance(head, Head) or not isinstance(head, kinds):
            return None
        c = scalar_value(head)
        if c is None:
            return None
        A = A + c[..., None, None] * head.key.mT @ head.query
    return A


def top(symmetric: Array) -> Array:
    """Return the largest eigenvalues, 0 where they are zero within rounding."""
    values = np.linalg.eigvalsh(symmetric)
    floor = ROUNDING * values.shape[-1] * np.abs(values).max(axis=-1)
    return np.where(np.abs(values[..., -1]) > floor, values[..., -1], 0.0)
