"""Heads on a reweighted measure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from transpde.attention.base import Attention
from transpde.attention.heads import TokenField
from transpde.attention.normalised import L2, Softmax
from transpde.checks import Array, function, of_kind
from transpde.fields import VelocityField, out_of_range
from transpde.kernels import EXACT, Evaluation, SoftmaxSum
from transpde.measures import Measure, Particles

__all__ = ["Tilted", "probed"]


@dataclass(frozen=True, eq=False, repr=False)
class Tilted(Attention):
    r"""A softmax or L2 head of the measure $e^{\ell(y)}\mu(dy)$ in place of $\mu$.

    The total mass cancels, and so does a constant in $\ell$. Weights that no float holds do no
    harm: only their logarithms are used.

    Args:
        attention: a `Softmax` or `L2` head.
        log_weight: $\ell$, a function of points (..., n, d) with values (..., n).

    Raises:
        TypeError: another attention; a measure that is not Particles.
        ValueError: a function whose values are not finite numbers, one a point.

    Source: ours (chapter on attention as a sampler).

    Example:
        >>> import transpde as tp
        >>> mean = tp.Softmax([[0.0]], [[0.0]], [[1.0]])
        >>> tilted = tp.sampling.Tilted(mean, lambda y: y[..., 0])
        >>> tilted.matrix(tp.Particles([[0.0], [1.0]])).round(4)
        array([[0.2689, 0.7311],
               [0.2689, 0.7311]])
    """

    attention: Softmax | L2
    log_weight: Any

    _tokens_only = (
        "measure: a head with weights of its own acts on Particles; got {kind}. Sample it first: "
        "measure.sample(n, seed)."
    )

    def __post_init__(self) -> None:
        of_kind("attention", self.attention, (Softmax, L2), "a Softmax or L2 head")
        probed("log_weight", self.log_weight, self.attention.dimension, vector=False)

    @property
    def dimension(self) -> int:
        """The dimension d of the tokens."""
        return self.attention.dimension

    def field(self, measure: Measure, how: Evaluation) -> VelocityField:
        """Return the field of the reweighted tokens, without a check."""
        return measure.field_of(self, how)

    def _token_field(self, measure: Particles, how: Evaluation) -> VelocityField:
        return TokenField(self.attention, measure, self._sum(measure, how), how)

    def _sum(self, measure: Particles, how: Evaluation = EXACT) -> SoftmaxSum:
        sums: Any = self.attention.token_sum(measure, how)
        tilt = np.asarray(self.log_weight(measure.points), dtype=float)
        carried = measure.weights > 0
        known = np.isfinite(measure.points).all(axis=-1)
        if tilt.shape != carried.shape or not np.isfinite(tilt[carried & known]).all():
            raise out_of_range("log_weight: its value at a token")
        return replace(sums, bias=np.where(carried, sums.bias + tilt, -np.inf))

    def _matrix(self, measure: Particles) -> Array:
        return self._sum(measure).matrix(measure.points)

    def _check_kind(self, measure: Measure) -> None:
        self.attention.matches(measure.stack)
        measure.check_for(self)

    def select(self, stack: tuple[int, ...], index: Array) -> Tilted:
        """Return the head of the chosen cases of a stack."""
        head = self.attention.select(stack, index)
        return self if head is self.attention else Tilted(head, self.log_weight)


def probed(name: str, given: Any, dimension: int, *, vector: bool) -> Array:
    """Return what a function of points gives at six points, two clouds of three, or raise.

    Raises:
        TypeError: no function.
        ValueError: values that are not finite numbers, one a point or one a coordinate.
    """
    function(name, given)
    points = probes(dimension)
    wanted = points.shape if vector else points.shape[:-1]
    what = (
        "a velocity for each point (..., n, d)" if vector else "a number for each point (..., n)"
    )
    try:
        found = np.asarray(given(points))
        fits = found.shape == wanted and found.dtype.kind in "iuf" and np.isfinite(found).all()
        got = f"shape {found.shape}" if found.shape != wanted else f"{found.ravel()[0]!r}"
    except (TypeError, ValueError, IndexError) as error:
        fits, got = False, f"an error, {error}"
    if not fits:
        raise ValueError(
            f"{name}: must give {what}, finite, for points of shape {points.shape}; got {got}. "
            "Sum over the last axis, axis=-1, so that it takes any leading axes."
        )
    return found.astype(float)


def probes(dimension: int) -> Array:
    """Return points (2, 3, d) in no special place."""
    steps = np.arange(1.0, 6 * dimension + 1).reshape(2, 3, dimension)
    return np.asarray(np.sin(2.1 * steps) + 0.3)
