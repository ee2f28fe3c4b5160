"""Attention at low temperature on the circle and the sphere: python tools/frontier_temperature.py

Four experiments of the chapter on low temperature, each a few flows of weighted tokens: space-time
densities, best and escape times, what leaks from the poles of the first axis (nodes graded towards
them), and the label error on the sphere where value and product agree. Writes temperature.npz and
temperature.json to book/frontier/data, or the folder given as argument; the chapter reads them and
recomputes a part. Some ten minutes on one core.
"""

import numpy as np

import transpde as tp
from transpde.records import FigureData

TOKENS = 400
SHOWN, BINS, COLUMNS, LATEST = (16, 128, 1024), 180, 141, 3.5  # of the densities, in t/log(beta)
BETAS = (16, 32, 64, 128, 256, 512)
PLANE = (1.0, 0.5, 0.1, 1.0)  # v1, v2, a1, a2
LEAKS = {"strong": (1.0, 0.8, 0.5, 1.0), "weak": (1.5, 1.0, 0.3, 1.0)}
LEAK_BETAS = (64, 256, 512)
AGREE, AGREE_BETAS, AGREE_LAST = (1.0, 1.0, 0.2), (4, 8, 16, 32, 64), 7.0
HOW = {"rtol": 1e-7, "atol": 1e-9}


def circle(angles):
    """Points of the unit circle."""
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def head(parameters, beta):
    """Softmax with V = diag(v1, v2), A = beta diag(a1, a2)."""
    v1, v2, a1, a2 = parameters
    return tp.Softmax(beta * np.diag([a1, a2]), np.eye(2), np.diag([v1, v2]))


def tilted(theta):
    """The density 1 + cos(theta - pi/3)/2, without its factor."""
    return 1 + 0.5 * np.cos(theta - np.pi / 3)


def full(n=TOKENS):
    """Angles and weights of the tilted density at n equal angles."""
    theta = (np.arange(n) + 0.5) * 2 * np.pi / n - np.pi
    return theta, tilted(theta) / tilted(theta).sum()


def arc(width=1.2, n=TOKENS):
    """Angles and weights of the density 1 + .3 sin(theta + .4) within a distance of 0."""
    theta = width * (2 * (np.arange(n) + 0.5) / n - 1)
    weights = 1 + 0.3 * np.sin(theta + 0.4)
    return theta, weights / weights.sum()


def graded(depth=1e-5):
    """Angles and weights of the tilted density, Gauss nodes graded to the poles of e_1."""
    octaves = np.pi / 8 * 2.0 ** -np.arange(np.ceil(np.log2(np.pi / 8 / depth)), -1, -1)
    z, w = np.polynomial.legendre.leggauss(6)
    edges = np.concatenate([[0.0], octaves, np.linspace(np.pi / 8, np.pi / 2, 9)[1:]])
    half = np.diff(edges)[:, None] / 2
    nodes, weights = (edges[:-1, None] + half * (1 + z)).ravel(), (half * w).ravel()
    theta = np.concatenate([nodes, -nodes, np.pi - nodes, nodes - np.pi])
    weights = np.tile(weights, 4) * tilted(theta) / (2 * np.pi)
    return theta, weights / weights.sum()


def moved(start, parameters, beta, times):
    """The points (T, n, 2) at some times."""
    theta, weights = start
    cloud = tp.Particles(circle(theta), weights, space=tp.Sphere())
    return tp.flow(cloud, head(parameters, beta), times, **HOW).points


def shares(start, parameters, beta, times):
    """The integrals of x_1^2."""
    return moved(start, parameters, beta, times)[..., 0] ** 2 @ start[1]


def panel(start, beta, columns=slice(None)):
    """Masses (T, BINS) of equal arcs from -pi/2 on, and the integrals of x_1^2."""
    times = np.linspace(0.0, LATEST * np.log(beta), COLUMNS)[columns]
    points, (theta, weights) = moved(start, PLANE, beta, times), start
    edges = np.linspace(-np.pi / 2, 3 * np.pi / 2, BINS + 1)
    turn = np.ptp(theta) > 6  # a whole circle: its mass between the last token and the first
    above = np.append(0.0, np.cumsum(weights)[:-1]) + weights / 2
    masses, angles = [], np.unwrap(np.arctan2(points[..., 1], points[..., 0]), axis=0)
    for angle in angles:  # followed in time, so in the order of the tokens
        found, level = angle, above
        if turn:
            found = np.concatenate([angle + 2 * np.pi * k for k in range(-2, 3)])
            level = np.concatenate([above + k for k in range(-2, 3)])
        masses.append(np.diff(np.interp(edges, found, level)))
    return np.array(masses), points[..., 0] ** 2 @ weights


def turning_points(times, row):
    """Time and value of the least share, by a parabola in its logarithm, and the time of 1/2."""
    k = int(row.argmin())
    near = slice(k - 3, k + 4)
    bend, slope, low = np.polyfit(times[near] - times[k], np.log(row[near]), 2)
    escape = np.interp(0.5, row[k:], times[k:]) if row[-1] > 0.5 else np.nan
    return times[k] - slope / (2 * bend), np.exp(low - slope**2 / (4 * bend)), escape


def table(beta, start=None, parameters=PLANE):
    """Times and the integrals of x_1^2, fine about the least one and about one half."""
    v1, v2, a1, a2 = parameters
    best = a2 / (2 * (v2 * a2 - v1 * a1))
    latest = (best + 0.5 / (v1 - v2) + 0.4) * np.log(beta) + 1 + 1.5 / (v1 - v2)
    times = np.linspace(0.0, latest, 241)
    return times, shares(start or full(), parameters, beta, times)


def sphere_nodes():
    """Points (800, 3) and weights of the density 1 + x_1/2 + .3 x_2 x_3 on the sphere."""
    u, w = np.polynomial.legendre.leggauss(20)
    phi = 2 * np.pi * (np.arange(40) + 0.5) / 40
    s = np.sqrt(1 - u**2)
    flat = [np.outer(s, np.cos(phi)), np.outer(s, np.sin(phi)), np.outer(u, np.ones(40))]
    x = np.stack(flat, axis=-1)
    x = x.reshape(-1, 3)
    weights = np.repeat(w, 40) * (1 + 0.5 * x[:, 0] + 0.3 * x[:, 1] * x[:, 2])
    return tp.Sphere().retract(x), weights / weights.sum()


def agree(beta):
    """Label errors at 71 times to AGREE_LAST, V = diag(1, 1, .2) and A = I."""
    x, weights = sphere_nodes()
    limit = np.column_stack([x[:, :2], np.zeros(len(x))])
    limit /= np.linalg.norm(limit, axis=1, keepdims=True)
    attention = tp.Softmax(beta * np.eye(3), np.eye(3), np.diag(AGREE))
    cloud = tp.Particles(x, weights, space=tp.Sphere())
    times = np.linspace(0.0, AGREE_LAST, 71)
    path = tp.flow(cloud, attention, times, rtol=1e-6, atol=1e-8)
    return np.sqrt(((path.points - limit) ** 2).sum(axis=-1) @ weights)


def data(name):
    """All experiments, and how they were made."""
    arrays, numbers = {}, {}
    for kind, start in (("circle", full()), ("arc", arc())):
        for beta in SHOWN:
            masses, arrays[f"share, {kind}, {beta}"] = panel(start, beta)
            level = np.clip(np.log10(masses * BINS / (2 * np.pi) + 1e-12), -4, 2)
            arrays[f"{kind}, {beta}"] = np.round((level + 4) * 40).astype(np.uint8)
            print(kind, beta, flush=True)
    for beta in BETAS:
        arrays[f"times, {beta}"], arrays[f"shares, {beta}"] = found = table(beta)
        numbers[f"plane, {beta}"] = list(turning_points(*found))
        print(beta, numbers[f"plane, {beta}"], flush=True)
    for beta in LEAK_BETAS:
        numbers[f"plane, {beta}, graded"] = list(turning_points(*table(beta, graded())))
        print(beta, "graded", numbers[f"plane, {beta}, graded"], flush=True)
    for kind, parameters in LEAKS.items():
        for beta in LEAK_BETAS:
            for nodes, start in (("graded", graded()), ("equal", full())):
                found = turning_points(*table(beta, start, parameters))
                numbers[f"{kind}, {beta}, {nodes}"] = list(found)
                print(kind, beta, nodes, found, beta * found[1], flush=True)
    for beta in AGREE_BETAS:
        arrays[f"agree, {beta}"] = agree(beta)
        print("agree", beta, arrays[f"agree, {beta}"].min(), flush=True)
    parameters = {
        "plane": PLANE, "leaks": LEAKS, "betas": BETAS, "leak betas": LEAK_BETAS,
        "shown": SHOWN, "latest": LATEST, "agree": AGREE, "agree betas": AGREE_BETAS,
    }  # fmt: skip
    horizon = "times of each case, in multiples of the log of the inverse temperature"
    return FigureData(arrays, numbers, parameters, None, HOW, horizon)


if __name__ == "__main__":
    from stored_runs import keep

    keep("temperature", "Attention at low temperature on the circle and the sphere", data)
