"""What the theory says of a model on one text: a line for each layer, a dot for each head."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import pdist

from transpde.checks import Array, outlined
from transpde.fields import quiet
from transpde.models.lifting import score_spread
from transpde.models.measuring import WHOLE, affine_share, same_path, twin_table
from transpde.models.model import Model, TokenPath
from transpde.theory import real

__all__ = ["Survey", "survey"]

HEAD = """\
        spread of scores      affine share    diameter of tokens
layer   least median  most    heads  twins    before   after  bound
"""


@outlined
class Survey(NamedTuple):
    r"""What `survey` finds; `print` shows a table with a line for each layer.

    Attributes:
        tokens: their number n.
        spread: $\sigma$ of each head, shape (L, H), see `score_spread`.
        share: leave-one-out $R^2$ of the best affine map of its queries, shape (L, H): one where
            the map is exact, negative where it is worse than the mean output. NaN of a head that
            gives all tokens the same; the table has medians of the others. Behind a causal mask
            tokens average over different pasts, which no map of the query sees: compare with
            `twin_share`, not with one.
        twin_share: the same for its Gaussian twin, shape (L, H), see `twin_table`.
        before: the diameter of the tokens that the heads of a layer see, shape (L,).
        after: the diameter of what they give, without skip connection, shape (L,).
        bound: the bound of `after` by `transpde.theory.real.collapse_bound`, shape (L,); NaN
            behind a causal mask, where there is none.
    """

    tokens: int
    spread: Array
    share: Array
    twin_share: Array
    before: Array
    after: Array
    bound: Array

    def __str__(self) -> str:
        """Return the table."""
        rows = []
        for l, spread in enumerate(self.spread):
            least, median, most = np.quantile(spread, [0.0, 0.5, 1.0])
            shares = _median(self.share[l]), _median(self.twin_share[l])
            bound = "-" if np.isnan(self.bound[l]) else f"{self.bound[l]:.4g}"
            rows.append(
                f"{l:5d}{least:8.2f} {median:6.2f} {most:5.1f} {shares[0]:8.2f} {shares[1]:6.2f} "
                f"{self.before[l]:9.4g} {self.after[l]:7.3g} {bound:>6s}"
            )
        return HEAD + "\n".join(rows)


def _median(shares: Array) -> float:
    """Return the median over the heads that have a share."""
    there = shares[~np.isnan(shares)]
    return float(np.median(there)) if there.size else np.nan


@quiet
def survey(model: Model, path: TokenPath) -> Survey:
    """Return what the theory says of all heads of a model on the tokens of a text.

    How much the scores of each head spread, how nearly affine it is beside its Gaussian twin, and
    how far the heads of a layer alone bring the tokens together. `plotting.plot_heads` draws it.

    Args:
        model: see `read`.
        path: `model(tokens)`, of at least k + 3 tokens, where a head has k dimensions.

    Raises:
        TypeError: no model, no path.
        ValueError: too few tokens, a path of another model, of other layers or of a model with
            parts left out.

    Source: ours (chapters on seventy-two heads and on collapse).
    """
    same_path(model, path)
    n, k = path.points.shape[1], model.dimension // model.heads
    if n < k + 3:
        raise ValueError(
            f"path: must be of at least {k + 3} tokens, three more than a head has dimensions; "
            f"got {n}. Give a longer text."
        )
    heads, layers = [], []
    for l in range(model.depth):
        measure, attention = model.measure(l, path.points[l]), model.attention(l)
        made = model.projections(l, measure)
        shares = map(affine_share, made.queries, made.outputs)
        heads.append((score_spread(attention, measure), list(shares)))
        given, _, _, out = model.layer(l, path.points[l])
        if not np.allclose(out, path.points[l + 1], rtol=1e-6, atol=1e-9):
            raise ValueError(WHOLE.format(f"one whose tokens after layer {l} are others"))
        before, after = (pdist(x).max() for x in (measure.points, given))
        bound = np.nan if path.causal else real.collapse_bound(attention, before, lifted=True)
        layers.append((before, after, bound))
    spread, share = np.moveaxis(np.array(heads), 1, 0)
    return Survey(n, spread, share, twin_table(model, path)[0], *np.array(layers).T)
