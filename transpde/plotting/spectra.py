"""Spectra: random heads against the dimension or their law, eigenvalues along depth."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from transpde.checks import (
    Array,
    finite_array,
    mapping,
    plain_array,
    positive_array,
    real_array,
    same_size,
)
from transpde.plotting.styles import (
    GREY,
    STYLES,
    axes_on,
    color_of,
    drawing,
    each,
    row_of_axes,
    seed_rows,
)
from transpde.spectra.limit_rank import decay_slopes

__all__ = ["plot_decay", "plot_dimensions", "plot_spectrum"]

STAYS, VANISHES = STYLES["Softmax"]["color"], "0.45"


@drawing(samples=mapping)
def plot_dimensions(
    dimensions: ArrayLike,
    samples: dict[str, Any],
    *,
    looks: dict[str, dict[str, Any]],
    laws: ArrayLike = (),
    ax: Axes | None = None,
    ylabel: str = "",
) -> Axes:
    """Draw a number of random heads against the dimension: dots for draws, lines for means.

    Args:
        dimensions: positive numbers (N,), the ticks of the logarithmic axis.
        samples: values (S, N) by name, a row a draw; dots of several names stand side by side.
        looks: colour, line style and label of each name, for `ax.plot`.
        laws: predictions, each a number or an array (N,), drawn as broad grey lines.
        ax: axes to draw on.
        ylabel: what the numbers are.

    Raises:
        ValueError: dimensions that are not positive, a name without a look, shapes that do not
            agree, entries that are not finite.

    Example:
        >>> looks = {"a": {"color": "k", "label": "a"}}
        >>> ax = plot_dimensions([2, 4], {"a": [[1, 2]]}, looks=looks)  # doctest: +SKIP
    """
    d = positive_array("dimensions", dimensions)
    drawn = each("samples", samples, lambda name, rows: seed_rows(name, rows, d, "dimensions"))
    heights = [_height(law, d) for law in _listed("laws", laws)]
    if bare := sorted(set(samples) - set(looks)):
        raise ValueError(f"looks: must have a look for every name; none for {bare}.")
    each("looks", looks, _check_look)
    ax = axes_on(ax)
    for i, (name, rows) in enumerate(drawn.items()):
        x = d * 1.07 ** (i - (len(samples) - 1) / 2)
        color = looks[name]["color"]
        ax.plot(x, rows.T, ".", markersize=3, alpha=0.5, color=color, label="_draws")
        ax.plot(x, rows.mean(axis=0), linewidth=2, **looks[name])
    for height in heights:
        ax.plot(d, height, color=GREY, linewidth=5, alpha=0.4, zorder=0, label="_law")
    ax.set_xscale("log", base=2)
    ax.set_xticks(list(d), [f"{n:g}" for n in d])
    ax.minorticks_off()
    ax.set(xlabel="dimension $d$", ylabel=ylabel)
    ax.legend(frameon=False)
    return ax


def _listed(name: str, values: Any) -> Any:
    return values if isinstance(values, tuple | list) else list(real_array(name, values, "n"))


def _check_look(name: str, look: Any) -> None:
    color_of(name, mapping(name, look).get("color"))


def _height(law: Any, d: Array) -> Array:
    """Return a prediction at each dimension."""
    height = np.atleast_1d(finite_array("laws", law, "..."))
    if height.shape not in ((1,), d.shape):
        raise ValueError(f"laws: each must be a number or an array {d.shape}; got {height.shape}.")
    return np.broadcast_to(height, d.shape)


@drawing()
def plot_spectrum(
    eigenvalues: ArrayLike,
    law: ArrayLike,
    *,
    color: Any,
    label: str,
    ax: Axes | None = None,
    bins: int = 30,
) -> Axes:
    """Draw eigenvalues of a random matrix as a histogram under the density of their limit law.

    Args:
        eigenvalues: shape (N,).
        law: points and the density there, a pair of arrays (M,).
        color: of bars and curve.
        label: for the legend.
        ax: axes to draw on.
        bins: the number of bars.

    Raises:
        ValueError: entries that are not finite, lengths that differ.

    Example:
        >>> law = ([-1.0, 1.0], [0.5, 0.5])
        >>> ax = plot_spectrum([0.1, 0.2], law, color="k", label="a")  # doctest: +SKIP
    """
    values = finite_array("eigenvalues", eigenvalues, "N")
    if not isinstance(law, tuple | list) or len(law) != 2:
        raise ValueError(f"law: must be a pair of arrays; got {law!r}.")
    x, height = finite_array("law[0]", law[0], "M"), finite_array("law[1]", law[1], "M")
    same_size("law[0]", len(x), "law[1]", len(height), "length")
    ax = axes_on(ax)
    look: dict[str, Any] = {"histtype": "stepfilled", "alpha": 0.25, "color": color}
    ax.hist(values, bins, density=True, **look)
    ax.plot(x, height, color=color, label=label)
    ax.set(xlabel="eigenvalue", ylabel="density")
    ax.legend(frameon=False)
    return ax


@drawing()
def plot_decay(times: ArrayLike, eigenvalues: ArrayLike, stays: ArrayLike) -> Array:
    r"""Draw eigenvalues along depth, and beside them their slopes $-d\log\lambda/d\log t$.

    Args:
        times: positive depths (T,).
        eigenvalues: positive, shape (T, d).
        stays: which tend to a positive number (d,): blue, solid; the others grey, dashed.

    Returns:
        The two axes, on a new figure.

    Raises:
        ValueError: lengths that differ, entries that are not positive.

    Example:
        >>> axes = plot_decay(times, eigenvalues, found.stays)  # doctest: +SKIP
    """
    t, values = positive_array("times", times), positive_array("eigenvalues", eigenvalues, "T d")
    same_size("eigenvalues", len(values), "times", len(t), "length")
    known = plain_array("stays", stays, "b")
    if known.ndim != 1:
        raise ValueError(f"stays: must have shape (d); got shape {known.shape}.")
    same_size("stays", len(known), "eigenvalues", values.shape[1], "number of columns")
    left, right = (axes_on(ax) for ax in row_of_axes(2, 4.5, 3.4))
    slopes = decay_slopes(t, np.log(values))
    middle = np.sqrt(t[1:] * t[:-1])
    for i, stay in enumerate(known):
        look: dict[str, Any] = {"color": STAYS if stay else VANISHES, "linewidth": 1.4}
        look["linestyle"] = "-" if stay else "--"
        left.loglog(t, values[:, i], **look)
        right.semilogx(middle, slopes[:, i], **look)
    for level in (0.0, 1.0):
        right.axhline(level, color=GREY, linewidth=0.8, zorder=0)
    left.set(xlabel="depth $t$", ylabel="eigenvalue")
    right.set(xlabel="depth $t$", ylabel=r"slope $-d\log\lambda\,/\,d\log t$")
    return np.array([left, right])
