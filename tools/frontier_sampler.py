"""Run the sampler on the double banana: python tools/frontier_sampler.py [FOLDER]

The sampler without noise and Langevin steps, and what both give for the mean of the potential.
Writes sampler.npz and sampler.json to book/frontier/data, or another folder; the chapter reads
them and makes some again. Half a minute on one core.
"""

import numpy as np

import transpde as tp
from transpde.records import FigureData
from transpde.sampling import ProximalSampler

BANANA = {"time": 0.05, "step": 0.01, "tokens": 200, "layers": 3000, "seed": 3, "early": 60}
LANGEVIN = {"step": 0.01, "tokens": 4000, "steps": 4000, "from": 1000, "seed": 0, "early": 60}
CLOUDS = {"tokens": 200, "clouds": 20}  # of Langevin's, to see the scatter of one cloud
GRID = {"reach": 7.0, "points": 1401}


def potential(x):
    """The double banana of the authors' code."""
    r = np.sqrt((x**2).sum(axis=-1))
    return 2 * (r - 3) ** 2 - np.logaddexp(-2 * (x[..., 0] - 3) ** 2, -2 * (x[..., 0] + 3) ** 2)


def gradient(x):
    """The gradient of the double banana."""
    found = 4 * (1 - 3 / np.sqrt((x**2).sum(axis=-1, keepdims=True))) * x
    found[..., 0] += 4 * x[..., 0] - 12 * np.tanh(12 * x[..., 0])
    return found


def sampler(nodes=8):
    return ProximalSampler(potential, gradient, 2, BANANA["time"], nodes=nodes)


def beads(layers):
    """Tokens of the sampler after some layers."""
    start = np.random.default_rng(BANANA["seed"]).normal(size=(BANANA["tokens"], 2))
    return tp.layers(tp.Particles(start), sampler(), layers, BANANA["step"])


def langevin(steps, tokens=LANGEVIN["tokens"], seed=LANGEVIN["seed"]):
    """Tokens of Langevin steps, and the mean of the potential at each step."""
    rng, h, means = np.random.default_rng(seed), LANGEVIN["step"], []
    x = rng.normal(size=(tokens, 2))
    for _ in range(steps):
        x = x - h * gradient(x) + np.sqrt(2 * h) * rng.normal(size=x.shape)
        means.append(potential(x).mean())
    return x, np.array(means)


def truth():
    """The mean of the potential under its Gibbs law, on a grid."""
    line = np.linspace(-GRID["reach"], GRID["reach"], GRID["points"])
    u = potential(np.stack(np.meshgrid(line, line), axis=-1))
    w = np.exp(-u)
    return float((w * u).sum() / w.sum())


def data(name="sampler"):
    """All runs."""
    path = beads(BANANA["layers"])
    end = path.final
    draws = [sampler(16).random_layer(end, -1e-6, seed) for seed in range(40)]
    scatter = [potential(one.points).mean() for one in draws]
    x, means = langevin(LANGEVIN["steps"])
    few = CLOUDS["tokens"]
    parts = [potential(x[k : k + few]).mean() for k in range(0, len(x), few)][: CLOUDS["clouds"]]
    numbers = {
        "truth": truth(),
        "beads": float(potential(end.points).mean()),
        "after": float(sampler(16).mean_after(end, potential)),
        "draws": {"mean": float(np.mean(scatter)), "spread": float(np.std(scatter))},
        "langevin": float(means[LANGEVIN["from"] :].mean()),
        "cloud": {"mean": float(np.mean(parts)), "spread": float(np.std(parts))},
        "speed": float(np.abs(sampler()(end)(end.points)).max()),
    }
    arrays = {
        "beads": end.points,
        "early": path.points[BANANA["early"]],
        "langevin": x[:few].astype(np.float32),
        "means": means[: LANGEVIN["early"]],
    }
    parameters = {"banana": BANANA, "langevin": LANGEVIN, "clouds": CLOUDS, "grid": GRID}
    return FigureData(arrays, numbers, parameters, 0, {"scheme": "layers"}, "3000 layers")


if __name__ == "__main__":
    from stored_runs import keep

    keep("sampler", "The sampler without noise on the double banana.", data)
