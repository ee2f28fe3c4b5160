"""Run one token in many draws of its context: python tools/frontier_context.py [FOLDER]

Test tokens in draws of a normal context, moving and frozen, sharp L2 attention in dimensions 4 and
8, and the distance between two clouds. Writes context.npz and context.json to book/frontier/data,
or another folder; the chapter reads them and recomputes the first draws of each case. Some ten
minutes on one core.
"""

import numpy as np

import transpde as tp
from transpde.records import FigureData
from transpde.theory import context

LINE = tp.Gaussian([0.0], factor=[[1.0]])
FUNNEL = {"score": 0.2, "time": 1.0, "label": 1.0, "sizes": (16, 64, 256, 1024), "draws": 40}
# score, depth, label, whether the context stays, and how many draws of each number of tokens
CASES = {
    "inner": (0.2, 1.0, 1.0, False, {100: 2000, 200: 400, 400: 200}),
    "centre": (0.2, 1.0, 0.0, False, {100: 1000}),
    "near": (0.4, 0.5, 0.5, False, {50: 2000, 200: 500, 800: 60}),
    "beyond": (1.2, 0.25, 0.5, False, {50: 2000, 200: 500, 800: 60}),
    "far": (0.4, 1.0, 0.5, False, {50: 2000, 200: 500, 800: 60}),
    "beyond, frozen": (1.2, 0.25, 0.5, True, {50: 300, 200: 300, 800: 300}),
    "far, frozen": (0.4, 1.0, 0.5, True, {50: 300, 200: 300, 800: 300}),
}
SHARPNESS, DIMENSIONS = (0.0, 0.25, 0.5, 0.75, 1.0), (4, 8)
SIZES = (100, 316, 1000, 3162, 10000)
CLOUDS, PAIRS = (32, 64, 128, 256, 512), 8
KEPT = 20  # draws of a case that are stored one by one


def head(score):
    """Softmax on the line, K = V = 1."""
    return tp.Softmax([[score]], [[1.0]], [[1.0]])


def errors(name, n, draws):
    """The first errors of a case, at the last depth."""
    score, time, label, frozen, _ = CASES[name]
    how = {"draws": draws, "seed": n, "frozen": frozen}
    return context.context_errors(head(score), LINE, [label], [0.0, time], n, **how)[-1, :, 0]


def funnel(n, draws):
    """Paths of errors (21, draws) on the way."""
    times = np.linspace(0.0, FUNNEL["time"], 21)
    how = {"draws": draws, "seed": n}
    at = [FUNNEL["label"]]
    return context.context_errors(head(FUNNEL["score"]), LINE, at, times, n, **how)[..., 0]


def sharp(d, n, draws):
    """Squares at 0, a column a sharpness and a last one for the nearest token, of some draws."""
    rng, found = np.random.default_rng([d, n]), np.empty((draws, len(SHARPNESS) + 1))
    for row in found:
        tokens = tp.Particles(rng.normal(size=(n, d)))
        for j, gamma in enumerate(SHARPNESS):
            root = n ** (gamma / d) * np.eye(d)
            row[j] = (tp.L2(root, root, np.eye(d))(tokens)(np.zeros((1, d))) ** 2).sum()
        row[-1] = (tokens.points**2).sum(axis=1).min()
    return found


def clouds(d, n, pairs):
    """W_2 between two clouds, of some pairs."""
    rng = np.random.default_rng([d, n])
    both = rng.normal(size=(pairs, 2, n, d))
    return np.array([tp.wasserstein(tp.Particles(a), tp.Particles(b), 2) for a, b in both])


def data(name="context"):
    """All runs."""
    arrays, numbers = {}, {}
    for case, (*_, sizes) in CASES.items():
        for n, draws in sizes.items():
            found = errors(case, n, draws)
            squares = n * found**2
            numbers[f"{case}, {n}"] = {
                "draws": draws, "mean": squares.mean(), "error": squares.std() / draws**0.5,
                "median": float(np.median(np.abs(found))),
            }  # fmt: skip
            arrays[f"{case}, {n}"] = found[:KEPT]
            print(case, n, squares.mean(), squares.std() / draws**0.5, flush=True)
    for n in FUNNEL["sizes"]:
        arrays[f"funnel, {n}"] = funnel(n, FUNNEL["draws"]).astype(np.float32)
        print("funnel", n, flush=True)
    for d in DIMENSIONS:
        squares = np.array([sharp(d, n, 400) for n in SIZES])
        arrays[f"sharp, {d}"] = squares.mean(axis=1)
        arrays[f"sharp errors, {d}"] = squares.std(axis=1) / 20
        arrays[f"sharp first, {d}"] = squares[:, :KEPT].astype(np.float32)
        arrays[f"clouds, {d}"] = np.array([clouds(d, n, PAIRS) for n in CLOUDS])
        print("sharp, clouds", d, flush=True)
    parameters = {
        "funnel": FUNNEL, "cases": CASES, "sharpness": SHARPNESS, "sizes": SIZES,
        "clouds": CLOUDS, "kept": KEPT,
    }  # fmt: skip
    scheme = {"rtol": context.RTOL, "atol": context.ATOL}
    return FigureData(arrays, numbers, parameters, 0, scheme, "the depth of each case")


if __name__ == "__main__":
    from stored_runs import keep

    keep("context", "One token in draws of its context.", data)
