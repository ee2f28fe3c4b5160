"""One gradient of a network of heads, by hand and by autograd: `make bench`.

Sequences of six tokens of the plane go through a network of softmax heads; the gradient is that of
a mean square error by all scores, values and tokens. Ours and the peer run by turns in one process
on one thread. The peer has the same products as ours, each a few large ones, without the shift of
scores that keeps ours in range: of the forms we tried it is autograd's fastest ("plain" is the
usual one, by einsum). A ratio is the peer's median over ours.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from attention import by_turns, record

import transpde as tp
from transpde.training import Heads

FLOOR = 1.8
CASES = {
    "16 layers, 16 heads, 96 tokens": (16, 16, 16, "flat"),
    "16 layers, 16 heads, 96 tokens, plain": (16, 16, 16, "plain"),
    "64 layers, 8 heads, 96 tokens": (64, 8, 16, "flat"),
    "16 layers, 16 heads, 960 tokens": (16, 16, 160, "flat"),
}


def flat(np, A, V, x):
    """The last tokens: heads and tokens share one axis of each product."""
    (L, H, d, _), (B, n, _) = A.shape, x.shape
    for r in range(L):
        q = np.dot(np.reshape(x, (-1, d)), np.reshape(A[r], (-1, d)).T)
        E = np.exp(np.matmul(x, np.swapaxes(np.reshape(q, (B, -1, d)), 1, 2)))
        P = E / np.sum(E, axis=1, keepdims=True)
        M = np.reshape(np.matmul(np.swapaxes(P, 1, 2), x), (B * n, -1))
        out = np.dot(M, np.reshape(np.swapaxes(V[r], 1, 2), (-1, d)))
        x = x + np.reshape(out, (B, n, d)) / (L * H)
    return x


def plain(np, A, V, x):
    """The last tokens, as one would write them."""
    L, H = A.shape[:2]
    for r in range(L):
        queries = np.einsum("hce,bne->bhnc", A[r], x)
        E = np.exp(np.matmul(queries, np.swapaxes(x, 1, 2)[:, None]))
        means = np.matmul(E / np.sum(E, axis=-1, keepdims=True), x[:, None])
        x = x + np.einsum("hac,bhnc->bna", V[r], means) / (L * H)
    return x


def compared(L, H, B, form):
    """Return a row of the table."""
    import autograd
    import autograd.numpy

    heads = Heads.uniform(L, H, 2, 1.2, seed=0)
    x, target = np.random.default_rng(0).normal(size=(2, B, 6, 2))
    measure, last = tp.Particles(x), {"flat": flat, "plain": plain}[form]

    def loss(A, V, x):
        square = (last(autograd.numpy, A, V, x) - target) ** 2
        return autograd.numpy.sum(square) / (12 * B)

    gradient = autograd.grad(loss, argnum=(0, 1, 2))
    A, V = np.array(heads.score), np.array(heads.value)

    def ours():
        found = heads.backpropagate(measure, lambda y: (y - target) / (6 * B))
        return found.score, found.value, found.points[0]

    (mine, theirs), (found, other) = by_turns(ours, lambda: gradient(A, V, x))
    return {
        "peer": f"autograd, {form}",
        "ours_seconds": mine,
        "peer_seconds": theirs,
        "ratio": theirs / mine,
        "floor": FLOOR,
        "difference": max(
            float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(found, other, strict=True)
        ),
    }


def table(found):
    """Return the page of the results."""
    on = found["machine"]
    lines = [
        "# One gradient of a network of heads, side by side", "",
        f"`make bench` on {on['date']}: {on['processor']}, one thread, Python {on['python']},",
        f"numpy {on['versions']['numpy']}, autograd {on['versions']['autograd']}. Float64.",
        "Seconds are medians of runs by turns; the difference is relative to the largest entry.",
        "",
        "| case | against | ours | peer | ratio | at least | reached | difference |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, row in found["cases"].items():
        reached = "yes" if row["ratio"] >= row["floor"] else "**no**"
        lines.append(
            f"| {name} | {row['peer']} | {row['ours_seconds']:.3g} s | "
            f"{row['peer_seconds']:.3g} s | {row['ratio']:.3g}x | {row['floor']:.3g}x | "
            f"{reached} | {row['difference']:.1e} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    cases = {name: partial(compared, *case) for name, case in CASES.items()}
    record(__doc__, cases, table, 1, ["autograd"])
