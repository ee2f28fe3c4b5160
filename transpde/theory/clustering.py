r"""Tokens in the frame that moves with the value matrix: $z_i = e^{-tV}x_i$.

For V = I this is the rescaling $e^{-t}x_i$, under which tokens that run away may converge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.linalg import expm

from transpde.attention import L2, Attention, Sinkhorn, Softmax
from transpde.checks import Array, finite_array, listing, of_kind, positive_number
from transpde.fields import AffineField, quiet
from transpde.theory.head_sums import one_case

__all__ = ["clusters", "rescaled"]


@quiet
def rescaled(head: Softmax | L2 | Sinkhorn) -> Callable[[float], Attention]:
    r"""Return the attention, changing with depth, that moves $z_i = e^{-tV}x_i$.

    As V commutes with $e^{-tV}$, $\dot z_i = V\sum_j P_{ij}z_j - Vz_i$: the same head with query
    $Qe^{tV}$ and key $Ke^{tV}$, and a feed-forward part $-V$. At V = I scores grow like $e^{2t}$.

    Args:
        head: a softmax, L2 or Sinkhorn head.

    Returns:
        A callable t -> attention, for `flow`.

    Raises:
        TypeError: another attention.
        ValueError: a head with leading axes.

    Source: `geshkovski2023emergence`.

    Example:
        >>> import numpy as np, transpde as tp
        >>> from transpde.theory.clustering import rescaled
        >>> head = tp.Softmax(np.eye(2), np.eye(2), np.eye(2))
        >>> path = tp.flow(tp.Particles([[1.0, 0.0], [-1.0, 0.0]]), rescaled(head), 9.0)
        >>> path.final.points[0].round(2) + 0.0
        array([0.95, 0.  ])
    """
    of_kind("head", head, (Softmax, L2, Sinkhorn), "softmax, L2 or Sinkhorn")
    one_case("head", head.query, head.key, head.value)
    back = AffineField(-head.value)

    def at(t: float) -> Attention:
        growth = expm(t * head.value)
        return replace(head, query=head.query @ growth, key=head.key @ growth) + back

    return at


@quiet
def clusters(points: ArrayLike, distance: float) -> Array:
    """Return the group of each token, where neighbours within a distance share one.

    Args:
        points: tokens (n, d), or (n,) on the line.
        distance: positive; tokens joined by steps of at most this length are one group.

    Returns:
        Integers from 0, shape (n,).

    Raises:
        ValueError: entries that are not finite, a distance that is not positive.

    Source: ours (chapter on clusters of tokens).

    Example:
        >>> from transpde.theory.clustering import clusters
        >>> sorted(clusters([0.0, 1.0, 0.1], 0.2).tolist())
        [0, 0, 1]
    """
    array = finite_array("points", points, "...")
    if array.ndim not in (1, 2):
        raise ValueError(f"points: must have shape (n, d) or (n,); got shape {array.shape}.")
    array = array.reshape(len(array), -1)
    step = positive_number("distance", distance)
    if len(array) == 1:
        return np.zeros(1, dtype=int)
    return np.asarray(fcluster(linkage(array), step, "distance") - 1, dtype=int)


__dir__ = listing(__all__)
