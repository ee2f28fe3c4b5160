"""Run one cluster and two on spheres: python tools/frontier_clustering.py [FOLDER]

Distances to the cluster of eleven data, a datum without symmetry, and the inverse temperature from
which the cosine density keeps a second cluster. Writes clustering.npz and clustering.json to
book/frontier/data, or another folder; the chapter reads them and makes two of the rates and two of
the masses again. Some fifteen minutes on one core.
"""

import numpy as np

import transpde as tp
from transpde.records import FigureData

HEADS = {False: tp.Unnormalized, True: tp.Softmax}
# dimension, inverse temperature, softmax or not, order of the density at the source, last time
CASES = {
    "circle, 0": (2, 0.0, False, 0.0, 30.0),
    "circle, 0.5": (2, 0.5, False, 0.0, 30.0),
    "circle, 1": (2, 1.0, False, 0.0, 40.0),
    "circle, softmax": (2, 0.5, True, 0.0, 30.0),
    "infinite, 0": (2, 0.0, False, -0.4, 35.0),
    "infinite, 0.3": (2, 0.3, False, -0.4, 40.0),
    "zero, 0.5": (2, 0.5, False, 2.0, 25.0),
    "sphere, 0.5": (3, 0.5, False, 0.0, 25.0),
    "sphere, 1": (3, 1.0, False, 0.0, 30.0),
    "d = 5, softmax": (5, 1.0, True, 0.0, 20.0),
    "d = 10, 0.5": (10, 0.5, False, 0.0, 12.0),
}
INFINITE_MASS = 0.7846237831082253  # of eta^-.4 (1 - .9 cos eta) on (0, pi), over pi
ORDERS = (1, 2)  # of the distances
LATE = 16  # times in the later half, which give the rate
# where the second cluster is looked for: softmax or not, a bracket, how often it is halved
BRACKETS = {"unnormalised": (False, 1.70, 1.84, 4), "softmax": (True, 3.40, 3.72, 4)}
MASSES = {
    "unnormalised": (1.82, 1.9, 2.0, 2.25, 2.5, 3.0, 4.0),
    "softmax": (3.6, 3.8, 4.0, 5.0, 6.0, 8.0),
}
LONGEST = 240.0  # after which a case is left undecided
STEP = 20.0
BULK = 0.5  # beyond this angle from the antipode's opposite a token is in the first cluster
NARROW = 1e-3
LOPSIDED = {"beta": 0.5, "time": 18.0, "depth": 1e-6, "nodes": 8, "guess": 2.95}
LEAKS = np.arange(8.0, 15.0)  # times between which the leak is measured
PICTURE = np.linspace(0.0, 10.0, 61)


def head(beta, d, normalised):
    """Attention of scores beta times the inner product."""
    return HEADS[normalised](beta * np.eye(d), np.eye(d), np.eye(d))


def cosine(d, depth):
    """The density 1 + u / 2, with less at the antipode."""
    return tp.Axial.from_density(lambda eta: 1 - 0.5 * np.cos(eta), d, depth)


def datum(case):
    """The datum of a case, graded as deep as its time asks for."""
    d, _, _, order, time = CASES[case]
    if order < 0:
        return tp.Axial.from_density(
            lambda eta: eta**order * (1 - 0.9 * np.cos(eta)) / INFINITE_MASS, d, 1e-18
        )
    if order > 0:
        return tp.Axial.from_density(lambda eta: 1 - np.cos(eta), d, 1e-12)
    return cosine(d, np.exp(-1.1 * time))


def distances(case, last=None):
    """Times, and logs of W_1 and W_2 to the cluster (2, times), of a case."""
    d, beta, normalised, _, time = CASES[case]
    time = last or time
    early, late = np.linspace(0, time / 2, LATE)[:-1], np.linspace(time / 2, time, LATE)
    times = np.concatenate([early, late])
    path = tp.flow(datum(case), head(beta, d, normalised), times, rtol=1e-8)
    pole = np.eye(d)[0]
    logs = [[np.log(m.distance_to_dirac(pole, p)) for m in path] for p in ORDERS]
    return times, np.array(logs)


def rates(times, logs):
    """The rates of decay in the later half, for both distances."""
    return np.array([-np.polyfit(times[-LATE:], row[-LATE:], 1)[0] for row in logs])


# --- two clusters --------------------------------------------------------------------------------


def second_cluster(beta, normalised, start=None):
    """The mass of the second cluster of the cosine density; nan while it is not decided.

    Decided are two clusters when all mass is near one of the poles, and one cluster when so little
    is left outside of the first one that it cannot hold.
    """
    law, time = start or cosine(2, 1e-12), 0.0
    attention = head(beta, 2, normalised)
    while time < LONGEST:
        law = tp.flow(law, attention, [0.0, STEP], rtol=1e-8).final
        time += STEP
        eta, m = law.angles, law.masses
        outside, near = m[eta < np.pi - BULK].sum(), m[eta < NARROW].sum()
        if outside / (1 - outside) < np.exp(-2 * beta):
            return 0.0, time
        if outside - near < 1e-12:
            return near, time
    return np.nan, time


def bracket(name):
    """A bracket of the inverse temperature from which there is a second cluster, and its runs."""
    normalised, low, high, halvings = BRACKETS[name]
    runs = []
    for _ in range(halvings):
        middle = round((low + high) / 2, 6)
        mass, time = second_cluster(middle, normalised)
        runs.append((middle, mass, time))
        low, high = (low, middle) if mass > 0 else (middle, high)
        print(name, *runs[-1], flush=True)
    return np.array([low, high]), np.array(runs)


def graded_law(nodes, depth=1e-12):
    """The cosine density on the circle with another number of Gauss nodes an octave."""
    octaves = int(np.ceil(np.log2(np.pi / 2 / depth)))
    near = np.pi / 2 * 2.0 ** -np.arange(octaves, -1, -1)
    edges = np.concatenate([[0.0], near, np.linspace(np.pi / 2, np.pi, 5)[1:]])
    eta, widths = gauss(edges, nodes)
    masses = widths * (1 - 0.5 * np.cos(eta)) / np.pi
    return tp.Axial(eta, masses / masses.sum(), 2)


def gauss(edges, nodes):
    """Gauss nodes and weights on panels."""
    z, w = np.polynomial.legendre.leggauss(nodes)
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (1 + z)).ravel(), (half * w).ravel()


# --- no symmetry ---------------------------------------------------------------------------------


def lopsided_density(theta):
    """The density of a datum without symmetry, 2 pi times."""
    return 1 + 0.5 * np.cos(theta) + 0.3 * np.sin(2 * theta)


def lopsided(source, depth=LOPSIDED["depth"], nodes=LOPSIDED["nodes"]):
    """Weighted tokens of it, graded towards a guess of the source on either side."""
    octaves = int(np.ceil(np.log2(np.pi / 4 / depth)))
    halves = np.pi / 4 * 2.0 ** -np.arange(octaves, -1, -1)
    y, w = gauss(np.concatenate([[0.0], halves, np.pi * np.array([0.5, 0.75, 1])]), nodes)
    theta = source + np.concatenate([y, -y])
    weights = np.concatenate([w, w]) * lopsided_density(theta)
    points = tp.Sphere().retract(on_circle(theta))
    return tp.Particles(points, weights / weights.sum(), space=tp.Sphere())


def on_circle(theta):
    """Points of the circle."""
    return np.stack([np.cos(theta), np.sin(theta)], axis=-1)


def behind(path, starts):
    """Angles from the antipode of the final mean, of test tokens at the times of a path."""
    x = path.final.mean
    ends = path.carry(on_circle(starts))
    turn = np.stack([-x, [x[1], -x[0]]])  # the antipode and the direction along the circle there
    return np.arctan2(ends @ turn[1], ends @ turn[0])


def source_of(path, low, high, steps=4, starts=33):
    """The start that ends at the antipode: brackets in brackets, by test tokens."""
    for _ in range(steps):
        at = np.linspace(low, high, starts)
        i = int(np.flatnonzero(np.diff(np.sign(behind(path, at)[-1])) > 0)[0])
        low, high = at[i], at[i + 1]
    return (low + high) / 2


def without_symmetry(normalised, times, **how):
    """The path of the datum, its source, and its sink."""
    guess = LOPSIDED["guess"]
    for _ in range(2):  # grade again about a better guess
        path = tp.flow(lopsided(guess, **how), head(LOPSIDED["beta"], 2, normalised), times,
                       rtol=1e-8)  # fmt: skip
        guess = source_of(path, guess - 0.05, guess + 0.05)
    x = path.final.mean
    return path, guess, float(np.arctan2(x[1], x[0]))


def leak(path, source):
    """The log of the length of the arc of starts within .1 of the antipode, at times LEAKS."""
    offsets = np.geomspace(1e-7, 0.3, 121)
    ends = np.abs(behind(path, source + np.concatenate([offsets, -offsets])))
    lengths = [
        sum(np.exp(np.interp(np.log(0.1), np.log(side), np.log(offsets)))
            for side in np.split(ends[np.searchsorted(path.times, time)], 2))
        for time in LEAKS
    ]  # fmt: skip
    return np.log(lengths)


def picture(source):
    """Starts, and the angles of their test tokens at times PICTURE, for the space-time picture."""
    far = np.linspace(0.02, np.pi, 50)
    near = np.geomspace(1e-5, 0.018, 20)
    offsets = np.concatenate([-far[::-1], -near[::-1], near, far])
    path = tp.flow(lopsided(source, 1e-4, 6), head(LOPSIDED["beta"], 2, False), PICTURE, rtol=1e-7)
    ends = path.carry(on_circle(source + offsets))
    angles = np.unwrap(np.arctan2(ends[..., 1], ends[..., 0]), axis=0)
    first = np.round((source + offsets - angles[0]) / (2 * np.pi)) * 2 * np.pi
    return offsets, (angles + first).astype(np.float32)


def data(name="clustering"):
    """All runs."""
    arrays, numbers = {}, {}
    for case in CASES:
        times, logs = distances(case)
        arrays[f"distances, {case}"] = np.vstack([times, logs]).astype(np.float64)
        numbers[case] = dict(zip(("W1", "W2"), rates(times, logs).tolist(), strict=True))
        print(case, numbers[case], flush=True)
    times = np.concatenate([[0.0], LEAKS, [LOPSIDED["time"]]])
    for kind, normalised in (("unnormalised", False), ("softmax", True)):
        path, source, sink = without_symmetry(normalised, times)
        logs = leak(path, source)
        arrays[f"leak, {kind}"] = logs
        rate = -np.polyfit(LEAKS[2:], logs[2:], 1)[0]
        numbers[f"no symmetry, {kind}"] = {"source": source, "sink": sink, "leak": rate}
        print(kind, source, sink, rate, flush=True)
        if not normalised:
            arrays["picture, starts"], arrays["picture, angles"] = picture(source)
    for kind, (normalised, *_) in BRACKETS.items():
        masses = np.array([second_cluster(b, normalised)[0] for b in MASSES[kind]])
        arrays[f"masses, {kind}"] = np.stack([MASSES[kind], masses])
        print(kind, masses, flush=True)
    for nodes in (6, 12, 24):
        cases = ((1.82, False), (2.0, False), (4.0, True))
        found = [second_cluster(b, n, graded_law(nodes))[0] for b, n in cases]
        arrays[f"masses, {nodes} nodes"] = np.array(found)
        print(nodes, "nodes", found, flush=True)
    for kind in BRACKETS:
        arrays[f"bracket, {kind}"], arrays[f"runs, {kind}"] = bracket(kind)
    parameters = {
        "cases": CASES, "brackets": BRACKETS, "longest": LONGEST, "no symmetry": LOPSIDED,
    }  # fmt: skip
    return FigureData(arrays, numbers, parameters, 0, {"rtol": 1e-8}, "the time of each case")


if __name__ == "__main__":
    from stored_runs import keep

    keep("clustering", "One cluster and two, on spheres.", data)
