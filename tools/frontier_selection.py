"""Where tokens on the sphere end, by thousands of starts: python tools/frontier_selection.py

Five experiments of the chapter on spectral selection, each a few stacks of `tp.Particles` on the
unit sphere moved by `tp.flow`. Writes selection.npz and selection.json to book/frontier/data, or
the folder given as argument; the chapter reads them and recomputes a drawn part. Some minutes on
one core.
"""

import numpy as np

import transpde as tp
from transpde.records import FigureData

STRENGTHS, SHARES = np.linspace(0.15, 2.5, 14), np.linspace(-0.9, 0.9, 13)
SEEDS = {"staircase": 0, "leader": 1, "cone": 5, "odd": 2, "peer": 3}
TOKENS, STARTS = 8, 24  # of each cell of the staircase
POLARISED, CLOSE = 0.9999, 0.999
WEIGHTS = (0.6, 0.65, 0.69, 0.9)  # of the leader
CONES = ((-0.9, 6.0), (-1.1, 6.0), (-1.5, 3.0))  # lower eigenvalue and inverse temperature
ODD = (0.03, 0.08, 0.0875, 0.15)  # inverse temperatures
PEER = (2, 3, 4, 5, 8, 20)  # numbers of tokens


def circle(angles):
    """Points of the unit circle."""
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def ends(points, values, beta, time, weights=None, rtol=1e-5):
    """Where a stack of clouds ends under V = diag(values): one for all, or a case."""
    V = np.asarray(values)[..., None] * np.eye(points.shape[-1])
    if V.ndim > 2:
        V = np.broadcast_to(V, (len(points), *V.shape[-2:]))
        beta = np.broadcast_to(beta, len(points))[:, None, None]
    head = tp.Softmax(beta * V, np.broadcast_to(np.eye(V.shape[-1]), V.shape), V)
    cloud = tp.Particles(points, weights=weights, space=tp.Sphere())
    return tp.flow(cloud, head, [0, time], rtol=rtol, atol=rtol / 100).points[-1]


def on_axis(points, axis, level):
    """Whether all tokens of a cloud are at the ends of an axis."""
    return (np.abs(points[..., axis]) > level).all(axis=-1)


def staircase_starts():
    """Strength, share and starts (cells, STARTS, TOKENS, 2) of all cells, in their order."""
    b, m = (one.ravel() for one in np.meshgrid(STRENGTHS, SHARES, indexing="ij"))
    rng = np.random.default_rng(SEEDS["staircase"])
    return b, m, circle(rng.uniform(-np.pi, np.pi, (len(b), STARTS, TOKENS)))


def staircase(cells=slice(None)):
    """Tokens on the smaller side where a start polarises, -1 elsewhere, (cells, STARTS)."""
    b, m, x = (one[cells] for one in staircase_starts())
    values = np.column_stack([np.ones_like(m), m]).repeat(STARTS, axis=0)
    end = ends(x.reshape(-1, TOKENS, 2), values, b.repeat(STARTS), 40.0)
    above = (end[..., 0] > 0).sum(axis=1)
    fewer = np.minimum(above, TOKENS - above)
    return np.where(on_axis(end, 0, POLARISED), fewer, -1).reshape(-1, STARTS).astype(np.int8)


def leader(starts=slice(300)):
    """On which mode three tokens end, 0 or 1, or 2 for neither, for each weight of the first."""
    rng, found = np.random.default_rng(SEEDS["leader"]), []
    x = circle(rng.uniform(-np.pi, np.pi, (300, 3)))[starts]
    for W in WEIGHTS:
        w = np.array([W, (1 - W) / 2, (1 - W) / 2])
        end = ends(x, [-1.0, -5.0], 0.05, 120.0, weights=w)
        found.append(np.select([on_axis(end, k, 0.99) for k in (0, 1)], [0, 1], 2))
    return np.array(found, dtype=np.int8)


def cone(starts=slice(400)):
    """Which of the starts in the half circle reach the dominant direction, for each of CONES."""
    rng = np.random.default_rng(SEEDS["cone"])
    x = circle(rng.uniform(-np.pi / 2, np.pi / 2, (400, 3)))[starts]
    made = (ends(x, [1.0, m], beta, 100.0) for m, beta in CONES)
    return np.array([(end[..., 0] > CLOSE).all(axis=1) for end in made])


def odd(starts=slice(200)):
    """Which starts of three tokens polarise on the most negative mode, for each of ODD."""
    x = circle(np.random.default_rng(SEEDS["odd"]).uniform(-np.pi, np.pi, (200, 3)))[starts]
    return np.array([on_axis(ends(x, [-0.4, -4.0], b, 400.0), 1, CLOSE) for b in ODD])


def peer(beta, starts=slice(64)):
    """Which starts polarise, with both signs, for each number of tokens: a third party's run."""
    rng, found = np.random.default_rng(SEEDS["peer"]), []
    for n in PEER:
        x = rng.normal(size=(64, n, 4))
        x = (x / np.linalg.norm(x, axis=-1, keepdims=True))[starts]
        end = ends(x, [3.0, 2.0, 1.0, 0.4], beta, 50.0)
        mixed = np.ptp(np.sign(end[..., 0]), axis=1) > 0
        found.append(on_axis(end, 0, CLOSE) & mixed)
    return np.array(found)


def data(name):
    """All experiments, and how they were made."""
    arrays = {
        "staircase": staircase(), "leader": leader(), "cone": cone(), "odd": odd(),
        "peer_hot": peer(0.03), "peer_cold": peer(8.0),
    }  # fmt: skip
    numbers = {"polarised": int((arrays["staircase"] > 0).sum()), "of": arrays["staircase"].size}
    parameters = {"strengths": STRENGTHS, "shares": SHARES, "weights": WEIGHTS, "seeds": SEEDS}
    scheme = {"method": "auto", "rtol": 1e-5, "atol": 1e-7, "levels": [POLARISED, CLOSE]}
    horizon = {"staircase": 40, "leader": 120, "cone": 100, "odd": 400, "peer": 50}
    return FigureData(arrays, numbers, parameters, SEEDS["staircase"], scheme, horizon)


if __name__ == "__main__":
    from stored_runs import keep

    keep("selection", "Where tokens on the sphere end under symmetric attention", data)
