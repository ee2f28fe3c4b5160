r"""The small pictures of the book's cover: `cover_size` and `cover_sample`.

- `cover_size`: the trace of one covariance along depth. With $A + A^\top\succ 0$ it explodes under
  softmax at a finite depth, and under L2 and Sinkhorn attention it only grows; with $K=-Q$ it
  shrinks.
- `cover_sample`: the velocity of a typical token of a softmax head among n normal tokens, against
  that of their limit: they agree up to a tilt of about $\sqrt{2\log n}$.

`python tools/cover.py` writes them to where the cover finds them, with the frontispiece and a
third, which shows numbers that are stored with the book.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import transpde as tp
from transpde import theory
from transpde.figures import recipes
from transpde.records import FigureData
from transpde.theory import freezing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["SIZE", "data", "draw"]

SIZE = (2.4, 2.1)  # as large as a card of the cover is wide
LETTERS = 8
RTOL = 1e-9
GROWING = ("Softmax", "L2", "Sinkhorn")
FAR = 3.0  # times the blow-up time: where the other paths end
LEFT = 1e-3  # of the time to the blow-up: there the path of softmax ends in the picture
COUNTS = (2, 4, 8)  # decimal digits of n
DRAWS = 200
SEED = 7


def data(name: str) -> FigureData:
    """Compute what a picture shows."""
    return {"cover_size": _size, "cover_sample": _sample}[name]()


def _size() -> FigureData:
    """Compute the traces of one start under four heads."""
    recipe = recipes.explosion()
    Q, K, V = recipe.query, recipe.key, recipe.value
    start = tp.Gaussian.from_covariance(np.zeros(2), recipe.starts[len(recipe.starts) // 2])
    end = float(theory.blowup_time(tp.Softmax(Q, K, V), start))
    times = {
        kind: np.linspace(0.0, FAR * end, 81)
        if kind != "Softmax"
        else end * np.append(1 - np.geomspace(1.0, LEFT, 80), 1 - LEFT / 2)
        for kind in GROWING
    }
    heads = {kind: getattr(tp, kind)(Q, K, V) for kind in GROWING}
    paths = {kind: tp.flow(start, heads[kind], times[kind], rtol=RTOL) for kind in GROWING}
    times["shrinking"] = times["L2"]
    paths["shrinking"] = tp.flow(start, tp.Softmax(Q, -Q, V), times["L2"], rtol=RTOL)
    traces = {key: np.trace(path.covariances, axis1=-2, axis2=-1) for key, path in paths.items()}
    return FigureData(
        arrays={key: np.stack([times[key], traces[key]]) for key in paths},
        numbers={
            "blowup_time": end,
            "last_traces": [traces[key][-1] for key in ("L2", "Sinkhorn", "shrinking")],
        },
        parameters={"query": Q, "key": K, "value": V},
        seed=recipe.seed,
        scheme={"method": "the flow's own", "rtol": RTOL},
        horizon=f"t = {FAR * end:.3g}",
    )


def _sample() -> FigureData:
    """Compute the median velocity of a typical token, for each n."""
    tilts = np.linspace(0.0, 8.0, 81)
    rows = [
        np.median(
            freezing.tilted_means(np.log(10.0**digits), tilts, draws=DRAWS, seed=SEED), axis=0
        )
        for digits in COUNTS
    ]
    departures = [freezing.departure_tilt(row, tilts, 0.1) for row in rows]
    return FigureData(
        arrays={"tilts": tilts, "means": np.array(rows)},
        numbers={"departure": departures},
        parameters={"digits_of_n": list(COUNTS), "draws": DRAWS},
        seed=SEED,
        scheme={"method": "Poisson counts in bins"},
        horizon="one velocity, no flow",
    )


def draw(name: str, data: FigureData, figure: Figure) -> None:
    """Draw a picture: few words, each beside its curve."""
    ax = figure.add_subplot()
    ax.spines[["top", "right"]].set_visible(False)
    drawn: dict[str, Any] = {"cover_size": _draw_size, "cover_sample": _draw_sample}
    drawn[name](ax, data)
    ax.tick_params(labelsize=LETTERS)
    for text in (ax.xaxis.label, ax.yaxis.label, *ax.texts):
        text.set_fontsize(LETTERS)


def _draw_size(ax: Axes, data: FigureData) -> None:
    from transpde.plotting import attention_style

    end = data.numbers["blowup_time"]
    look: dict[str, Any] = {"linewidth": 1.4}
    for kind in GROWING:
        style = attention_style(kind)
        ax.semilogy(*data.arrays[kind], **style, **look)
    style = attention_style("Softmax") | {"linestyle": ":"}
    ax.semilogy(*data.arrays["shrinking"], **style, **look)
    ax.axvline(end, color="0.6", linewidth=0.8, linestyle="--", zorder=0)
    blue = attention_style("Softmax")["color"]
    ax.text(1.05 * end, 450, "softmax\nexplodes", color=blue)
    for key, factor, words in (
        ("Sinkhorn", 1.4, "Sinkhorn grows"),
        ("L2", 0.2, "L2 grows"),
        ("shrinking", 0.35, "softmax with $K=-Q$ shrinks"),
    ):
        t, trace = data.arrays[key][:, -1]
        colour = (attention_style(key) if key in GROWING else style)["color"]
        ax.text(t, trace * factor, words, color=colour, ha="right")
    ax.set(xlabel="depth $t$", ylabel=r"size of the cloud, $\mathrm{tr}\,\Sigma_t$")
    ax.set_ylim(0.05, 2000)


def _draw_sample(ax: Axes, data: FigureData) -> None:
    from matplotlib import colormaps

    tilts = data.arrays["tilts"]
    ax.plot(tilts, tilts, color="0.6", linewidth=3.5, zorder=0)
    ax.text(6.3, 6.6, "the limit", color="0.45", ha="right")
    for place, (digits, row) in enumerate(zip(COUNTS, data.arrays["means"], strict=True)):
        colour = colormaps["viridis"](0.15 + 0.3 * place)
        ax.plot(tilts, row, color=colour, linewidth=1.4)
        ax.text(tilts[-1], row[-1] + 0.15, f"$n = 10^{digits}$", color=colour, ha="right")
    ax.set(xlabel="how sharply a token attends", ylabel="its velocity", ylim=(0, 8))
