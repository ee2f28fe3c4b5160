"""Run noisy layers on the sphere: python tools/frontier_noise.py [FOLDER]

Exponents of close pairs, growth of the mean energy, stationary pairs, joining, strong errors, the
paper's first figure and its grid of activations. Writes common_noise.npz and common_noise.json to
book/frontier/data, or another folder; the chapter reads them and makes some again. Some ten
minutes on one core.
"""

import numpy as np
from scipy.special import expit

import transpde as tp
from transpde.noise import ArcCosine, CommonNoise, FromActivation, LinearKernel, RandomFeatures
from transpde.records import FigureData
from transpde.theory import synchrony

DEEP = {"dimension": 16, "bias": 0.2, "width": 64}  # of the exponents and the stationary pair
VALUES, REPLICAS, STEP, DEPTH = (0.0, -0.48125, -0.75, 0.5), 40, 0.02, 1000
COARSE = {0.1: 1000, 0.05: 600}  # steps and replicas without attention
GROWTH = {"dimension": 4, "start": 1e-3, "step": 0.02, "pairs": 20_000, "times": (8.0, 24.0)}
STATIONARY = {"steps": (0.05, 0.025), "pairs": 4000, "times": (12.5, 25.0)}
JOINED = {2: (0.05, 160, 12_000), 4: (0.02, 1000, 20_000)}  # d: step, depth, pairs
STRONG = {"depths": (8, 16, 32, 64, 128), "replicas": 300, "finer": 16}
EDGE = {"dimensions": (4, 6, 8, 12), "ratios": (0.6, 0.85, 1.15, 1.5), "replicas": 64}
FIGURE = {"tokens": 64, "dimension": 4, "layers": 2000, "time": 20.0, "width": 2048, "seed": 3}
SEEDS = {"relu": 14, "tanh": 6, "width": 256, "layers": 1000}
GRID = {"tokens": 64, "layers": 150, "time": 5.0, "width": 256, "seeds": 4}


def silu_slope(z):
    return expit(z) * (1 + z * expit(-z))


ACTIVATIONS = {
    "Sigmoid": (expit, lambda z: expit(z) * expit(-z)),
    "Tanh": (np.tanh, lambda z: np.cosh(z) ** -2),
    "SiLU": (lambda z: z * expit(z), silu_slope),
}


def kernel_of(name, d, bias):
    """The kernel of a row of the paper's table, both biases of one deviation."""
    if name == "ReLU":
        return ArcCosine(d, bias, bias)
    return FromActivation(*ACTIVATIONS[name], d, bias, bias)


def head(d, value, beta=1.0):
    return tp.Softmax(beta * np.eye(d), np.eye(d), value * np.eye(d))


def uniform(shape, seed):
    x = np.random.default_rng(seed).normal(size=shape)
    return tp.Particles(x / np.linalg.norm(x, axis=-1, keepdims=True), space=tp.Sphere())


def pairs(count, d, r):
    """Pairs of one gap r = 1 - cos."""
    x = np.zeros((count, 2, d))
    x[:, :, 0] = 1.0, 1 - r
    x[:, 1, 1] = np.sqrt(r * (2 - r))
    return tp.Particles(x, space=tp.Sphere())


def gaps(points):
    return ((points[..., 0, :] - points[..., 1, :]) ** 2).sum(axis=-1) / 2


def deep_noise(width=DEEP["width"]):
    d = DEEP["dimension"]
    return CommonNoise(ArcCosine(d, DEEP["bias"], DEEP["bias"]), width)


def exponents(value, h, depth, replicas, seed):
    """Measured exponents of close pairs under noise and attention."""
    d = DEEP["dimension"]
    how = {"replicas": replicas, "seed": seed}
    attention = head(d, value) if value else None
    return synchrony.layer_exponents(deep_noise(), d, h, depth, attention=attention, **how)


def edge_exponents(d, ratio):
    """Of random features on either side of the edge of chaos."""
    noise = CommonNoise(RandomFeatures(np.sqrt(ratio * (d - 1) / (d - 3))), 32)
    how = {"replicas": EDGE["replicas"], "seed": [d, round(100 * ratio)]}
    return synchrony.layer_exponents(noise, d, 0.01, 600, **how)


def grown(pair_count, depth, seed):
    """Gaps of close pairs under ReLU noise after some layers."""
    d, noise = GROWTH["dimension"], CommonNoise(ArcCosine(GROWTH["dimension"]), 16)
    start = pairs(pair_count, d, GROWTH["start"])
    rng, marks, found = np.random.default_rng(seed), [], []
    for time in GROWTH["times"]:
        marks.append(round(time / GROWTH["step"]))
    for i in range(1, depth + 1):
        start = noise.step(start, GROWTH["step"], rng)
        if i in marks:
            found.append(gaps(start.points))
    return np.array(found)


def stationary(pair_count, h, first, last, seed):
    """Means over some times of the cosines of pairs under noise and repulsion."""
    d, noise = DEEP["dimension"], deep_noise(None)
    repulsion, x = head(d, -1.0), uniform((pair_count, 2, d), seed)
    rng, total, count = np.random.default_rng([seed, 1]), 0.0, 0
    for i in range(round(last / h)):
        x = noise.step(x.push(repulsion(x), h), h, rng)
        if (i + 1) * h > first:
            total, count = total + 1 - gaps(x.points), count + 1
    return total / count


def joined(d, h, depth, count, seed):
    """The share of pairs at the angle 1 that a linear field has joined."""
    noise, x, rng = CommonNoise(LinearKernel(), 8), pairs(count, d, 1 - np.cos(1.0)), None
    rng = np.random.default_rng(seed)
    for _ in range(depth):
        x = noise.step(x, h, rng)
    return float((gaps(x.points) < 1).mean())


class Matrices(LinearKernel):
    """A linear field whose matrix is the second layer, so that sums of draws are draws."""

    def network(self, rng, stack, width, d):
        """Return nothing: there is no first layer."""
        return ()

    def hidden(self, points, drawn):
        """Return the points."""
        return np.sqrt(self.scale * points.shape[-1]) * points


def strong_errors(depth, replicas, seed, heun=False):
    """Distances of layers from layers of a sixteenth of the step on the same noise."""
    noise, rng = CommonNoise(Matrices(1 / 3, 0.25), 3), np.random.default_rng(seed)
    coarse = fine = uniform((replicas, 4, 3), 1)
    finer, space = STRONG["finer"], tp.Sphere()
    for _ in range(depth):
        parts = [noise.drawn(rng, coarse.points.shape) for _ in range(finer)]
        for drawn in parts:
            fine = noise.pushed(fine, drawn, 1 / (finer * depth))
        total = tuple(np.sum(one, axis=0) / np.sqrt(finer) for one in zip(*parts, strict=True))
        if heun:
            h, x = 1 / depth, coarse.points
            start = space.tangent(x, noise.at(x, total))
            y = space.retract(x + np.sqrt(h) * start)
            end = space.tangent(y, noise.at(y, total))
            coarse = coarse.at(space.retract(x + np.sqrt(h) * (start + end) / 2))
        else:
            coarse = noise.pushed(coarse, total, 1 / depth)
    return np.sqrt(((coarse.points - fine.points) ** 2).sum(axis=-1).mean(axis=-1))


def figure_run(name, width, depth, seed, recorded):
    """Tokens of the paper's first figure at some layers."""
    d, time = FIGURE["dimension"], FIGURE["time"]
    noise = CommonNoise(kernel_of(name, d, 0.0), width)
    start = uniform((FIGURE["tokens"], d), [seed, 0])
    path = tp.layers(start, None, depth, time / depth, noise=noise, seed=[seed, 1])
    return path.points[list(recorded)]


def mean_cosine(points):
    """The mean over pairs, and of absolute values."""
    n = points.shape[-2]
    gram = points @ points.mT
    return (gram.sum((-2, -1)) - n) / (n * (n - 1)), (np.abs(gram).sum((-2, -1)) - n) / (n**2 - n)


def grid_run(name, d, bias, value, seed):
    """The mean and the least cosine at the end of a run of the paper's grid."""
    noise = CommonNoise(kernel_of(name, d, bias), GRID["width"])
    start = uniform((GRID["tokens"], d), [seed, d])
    h = GRID["time"] / GRID["layers"]
    how = {"noise": noise, "seed": [seed, d, 1]}
    x = tp.layers(start, head(d, value) if value else None, GRID["layers"], h, **how).final.points
    return float(mean_cosine(x)[0]), float((x @ x.T).min())


ROWS = [
    (name, d, bias)
    for name in ("ReLU", "Sigmoid", "Tanh", "SiLU") for d in (5, 64, 128) for bias in (0.0, 0.1)
]  # fmt: skip


def with_error(samples):
    samples = np.asarray(samples)
    return {"mean": float(samples.mean()), "error": float(samples.std() / len(samples) ** 0.5)}


def pair_runs(arrays, numbers):
    """Exponents, growth, stationary pairs, joining."""
    for k, value in enumerate(VALUES):
        found = exponents(value, STEP, DEPTH, REPLICAS, k)
        arrays[f"exponents, {value}"] = found
        numbers[f"exponent, {value}"] = with_error(found)
    for h, replicas in COARSE.items():
        found = exponents(0.0, h, round(20 / h), replicas, [9, replicas])
        numbers[f"exponent, step {h}"] = with_error(found)
    for d in EDGE["dimensions"]:
        for ratio in EDGE["ratios"]:
            numbers[f"edge, {d}, {ratio}"] = with_error(edge_exponents(d, ratio))
    print("exponents", numbers, flush=True)
    for seed in (0, 1):
        depth = round(GROWTH["times"][-1] / GROWTH["step"])
        for time, r in zip(GROWTH["times"], grown(GROWTH["pairs"], depth, seed), strict=True):
            numbers[f"grown, {time:g}, {seed}"] = {**with_error(r), "median": float(np.median(r))}
    for h in STATIONARY["steps"]:
        found = stationary(STATIONARY["pairs"], h, *STATIONARY["times"], 0)
        numbers[f"stationary, {h}"] = with_error(found)
    for d, (h, depth, count) in JOINED.items():
        share = joined(d, h, depth, count, d)
        error = float(np.sqrt(share * (1 - share) / count))
        numbers[f"joined, {d}"] = {"mean": share, "error": error}
    print("pairs", flush=True)


def data(name="common_noise"):
    """All runs."""
    arrays, numbers = {}, {}
    pair_runs(arrays, numbers)
    for scheme in (False, True):
        found = [strong_errors(n, STRONG["replicas"], n, scheme) for n in STRONG["depths"]]
        arrays["strong, heun" if scheme else "strong"] = np.array(found)
    for name in ("ReLU", "Tanh"):
        recorded = (0, 400, 800, 2000)
        run = figure_run(name, FIGURE["width"], FIGURE["layers"], FIGURE["seed"], recorded)
        arrays[f"figure, {name}"] = run.astype(np.float32)
        count, n = SEEDS[name.lower()], SEEDS["layers"]
        runs = [figure_run(name, SEEDS["width"], n, s, (400, 1000)) for s in range(count)]
        arrays[f"seeds, {name}"] = np.array([mean_cosine(one) for one in runs])
        print("figure", name, flush=True)
    shape = (len(ROWS), 3, GRID["seeds"], 2)
    arrays["grid"] = np.array([
        [[grid_run(*row, value, seed) for seed in range(GRID["seeds"])]
         for value in (1.0, 0.0, -1.0)] for row in ROWS
    ]).reshape(shape)  # fmt: skip
    parameters = {
        "deep": DEEP, "values": VALUES, "replicas": REPLICAS, "step": STEP, "depth": DEPTH,
        "coarse": list(COARSE.items()), "growth": GROWTH, "stationary": STATIONARY,
        "joined": list(JOINED.items()), "strong": STRONG, "edge": EDGE, "figure": FIGURE,
        "seeds": SEEDS, "grid": GRID, "rows": ROWS,
    }  # fmt: skip
    return FigureData(arrays, numbers, parameters, 0, {"scheme": "layers"}, "the depth of each")


if __name__ == "__main__":
    from stored_runs import keep

    keep("common_noise", "Noisy layers on the sphere.", data)
