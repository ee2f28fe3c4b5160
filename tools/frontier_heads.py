"""Run Ornstein-Uhlenbeck heads on the sphere: python tools/frontier_heads.py [FOLDER]

Averaged softmax heads whose scores follow Ornstein-Uhlenbeck processes, as residual layers: the
mean of G^2 for seven numbers of heads from a uniform start, the series of the authors' figure for
three, and the balance of energy between the changes of the weights. Writes heads.npz and
heads.json to book/frontier/data, or another folder; the chapter reads them and makes a part again.
Some ten minutes on one core.
"""

import numpy as np

import transpde as tp
from transpde.energy import heads_dissipation, heads_energy
from transpde.ensembles import case_seed, ornstein_uhlenbeck_heads
from transpde.records import FigureData

LAW = {"heads": (1, 2, 4, 8, 16, 32, 64), "tokens": 40, "step": 0.04, "depth": 1250, "from": 250}
FIGURE = {"heads": (1, 10, 100), "tokens": 40, "step": 0.04, "depth": 500, "spread": 0.05}
BALANCE = {"heads": (1, 10, 30), "tokens": 40, "step": 0.04, "depth": 300, "seeds": 4}
REPLICAS, EVERY, PIECE = 16, 10, 100  # paths at once; layers between records; layers of a piece


def spiral(n):
    """Nearly uniform tokens on the sphere."""
    i = np.arange(n)
    z, phi = 1 - (2 * i + 1) / n, i * np.pi * (3 - np.sqrt(5))
    s = np.sqrt(1 - z**2)
    return np.stack([s * np.cos(phi), s * np.sin(phi), z], axis=1)


def clusters(n, spread):
    """Tokens near the corners of an octahedron, as in the authors' runs, by our own draws."""
    rng = np.random.default_rng(42)
    x = np.vstack([np.eye(3), -np.eye(3)])[rng.choice(6, n)] + spread * rng.normal(size=(n, 3))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def averaged(D):
    """The mean of softmax heads with scores D (..., h, 3, 3); their values are -D / h."""
    H, eye = D.shape[-3], np.broadcast_to(np.eye(3), (*D.shape[:-3], 3, 3))
    heads = (D[..., h, :, :] for h in range(H))
    return tp.MultiHead([tp.Softmax(eye, one, -one / H) for one in heads])


def paths(H, depth, step, replicas):
    """Scores (depth + 1, replicas, H, 3, 3); each path has a seed of its own."""
    times = step * np.arange(depth + 1)
    seeds = [case_seed(H, r) for r in range(replicas)]
    return np.stack([ornstein_uhlenbeck_heads(H, 3, times, seed=s) for s in seeds], axis=1)


def squares(x, H, depth, step, replicas=REPLICAS):
    """G^2 (depth / EVERY, replicas) before every tenth layer, from tokens x."""
    D, found = paths(H, depth, step, replicas), []
    cloud = tp.Particles(np.broadcast_to(x, (replicas, *x.shape)), space=tp.Sphere())
    for first in range(0, depth, PIECE):
        rows = slice(first, min(first + PIECE, depth))
        layers = [averaged(one) for one in D[rows]]
        run = tp.layers(cloud, layers, len(layers), step)
        for k in range(0, len(layers), EVERY):
            found.append(heads_dissipation(run[k], D[first + k], layers[k]))
        cloud = run.final
    return np.array(found)


def balance(H, seed):
    """The change of energy by the motion of tokens alone, and the integral of G^2."""
    depth, h, space = BALANCE["depth"], BALANCE["step"], tp.Sphere()
    change = total = 0.0
    cloud = tp.Particles(clusters(BALANCE["tokens"], 0.05), space=space)
    for D in ornstein_uhlenbeck_heads(H, 3, h * np.arange(depth), seed=seed):
        head = averaged(D)
        v = cloud.velocities(head(cloud))  # Heun's step, with the weights of its beginning
        ahead = tp.Particles(space.retract(cloud.points + h * v), space=space)
        v = (v + ahead.velocities(head(ahead))) / 2
        moved = tp.Particles(space.retract(cloud.points + h * v), space=space)
        change += heads_energy(moved, D) - heads_energy(cloud, D)
        total += h / 2 * sum(heads_dissipation(one, D, head) for one in (cloud, moved))
        cloud = moved
    return change, total


def data(name="heads"):
    """All runs."""
    arrays, numbers = {}, {}
    first = LAW["from"] // EVERY
    for H in LAW["heads"]:
        found = squares(spiral(LAW["tokens"]), H, LAW["depth"], LAW["step"])
        means = found[first:].mean(axis=0)
        numbers[f"law, {H}"] = {"mean": means.mean(), "error": means.std(ddof=1) / REPLICAS**0.5}
        arrays[f"law, {H}"] = means
        arrays[f"first, {H}"] = found[:20, 0]
        print("law", H, H * means.mean(), H * means.std(ddof=1) / REPLICAS**0.5, flush=True)
    start = clusters(FIGURE["tokens"], FIGURE["spread"])
    for H in FIGURE["heads"]:
        found = squares(start, H, FIGURE["depth"], FIGURE["step"], 10)
        late = found[len(found) // 2 :].mean(axis=0)
        numbers[f"figure, {H}"] = {"mean": late.mean(), "spread": late.std(ddof=1)}
        arrays[f"figure, {H}"] = found.mean(axis=1)
        print("figure", H, late.mean(), late.std(ddof=1), flush=True)
    for H in BALANCE["heads"]:
        both = np.array([balance(H, seed) for seed in range(BALANCE["seeds"])])
        arrays[f"balance, {H}"] = both
        print("balance", H, both.sum(axis=1), both[:, 1], flush=True)
    parameters = {
        "law": LAW, "figure": FIGURE, "balance": BALANCE, "replicas": REPLICAS, "every": EVERY,
    }  # fmt: skip
    scheme = {"law": "layers", "figure": "layers", "balance": "Heun"}
    return FigureData(arrays, numbers, parameters, 0, scheme, "the depth of each run")


if __name__ == "__main__":
    from stored_runs import keep

    keep("heads", "Ornstein-Uhlenbeck heads on the sphere.", data)
