"""Random networks and trained ones: python tools/frontier_training.py [FOLDER]

Final tokens of networks of drawn heads against their predicted law; block AdamW over seeds,
depths and numbers of heads; smaller and larger epsilon; scalings that do not work; a deck of heads
trained against its limit. Writes training.npz and training.json to book/frontier/data, or another
folder; the chapter reads them and makes some again. Some six minutes on one core.
"""

import numpy as np

import transpde as tp
from transpde.records import FigureData
from transpde.theory import depth as theory
from transpde.training import AdamW, Heads, run_deck, train, two_clusters

WIDTH, STEPS = 1.5**0.5, 30
RULE = AdamW(rate=0.05, decay=0.1, epsilon=0.01)
SIZES = {4: 12, 8: 10, 16: 8, 32: 4}  # L = H, and how many seeds
MONTE_CARLO = {32: 40_000, 128: 15_000}  # depth at four heads, and how many networks
CLOUD = 2000  # networks of depth 128 whose tokens are counted in ellipses
SWEEP = {"fixed": 8, "depths": (4, 8, 16, 32, 64), "heads": (2, 4, 8, 16, 32, 64), "seeds": 8,
         "sets": 4}  # fmt: skip
MANY = {"depths": (4, 16, 64), "heads": 8, "first": 200, "seeds": 28}
SMOOTH = {"1e-08": (0, 100), "0.001": (0,), "0.1": (0,)}  # epsilon, and first seeds
EPSILONS = {"values": ("1e-08", "0.001", "0.01", "0.1"), "seeds": 16}
FROZEN = {4: 8, 8: 8, 16: 4, 32: 2}
DECK = {"steps": 10, "depth": 512, "sizes": {4: 48, 8: 32, 16: 16, 32: 8}}
PATHS = {"sizes": (2, 4, 16, 32), "seeds": 8, "rate": 0.1, "steps": 200}


def deck_of_three():
    """Scores, values and tokens of the first experiment."""
    rng = np.random.default_rng(0)
    A, V = rng.uniform(-1.5, 1.5, (3, 2, 2)), rng.uniform(-1, 2, (3, 2, 2))
    return A, V, rng.normal(size=(6, 2))


def heads_of(A, V):
    return [tp.Softmax(a, np.eye(2), v) for a, v in zip(A, V, strict=True)]


def trained(heads, rule=RULE, steps=STEPS, **how):
    """A training on the two clusters: the final tokens, scaled adjoints and losses."""
    measure, target = two_clusters(16, 6, seed=0)
    run = train(heads, measure, target, rule, steps, **how)
    found = run.heads.backpropagate(measure, lambda y: y - target)  # 96 times those of the loss
    return run.heads.run(measure)[-1], found.points[0], run.losses


def over_seeds(L, H, first, count, rule=RULE, **how):
    runs = [
        trained(Heads.uniform(L, H, 2, WIDTH, s), rule, **how) for s in range(first, first + count)
    ]
    return [np.array(one) for one in zip(*runs, strict=True)]


def spread(values):
    """The deviation over seeds, summed over coordinates, in mean square over tokens."""
    return float(np.sqrt(values.var(axis=0, ddof=1).sum(axis=-1).mean()))


def slope(sizes, values):
    return float(np.polyfit(np.log(list(sizes)), np.log(values), 1)[0])


def fall(sizes, runs):
    """Deviations over seeds, their slope in the size, and its jackknife error over seeds."""
    values, square = [spread(one) for one in runs], 0.0
    x = np.log(list(sizes)) - np.log(list(sizes)).mean()
    for weight, one in zip(x / (x**2).sum(), runs, strict=True):
        less = [np.log(spread(np.delete(one, s, axis=0))) for s in range(len(one))]
        square += weight**2 * (len(one) - 1) * np.var(less)
    return {"values": values, "slope": slope(sizes, values), "error": float(np.sqrt(square))}


def random_networks(arrays, numbers):
    A, V, x = deck_of_three()
    deck, start = heads_of(A, V), tp.Particles(x)
    limit = theory.depth_fluctuation(deck, start)
    for L, count in MONTE_CARLO.items():
        ends = run_deck(deck, start, L, 4, count, seed=[L, 4])
        square = 4 * L * ((ends - ends.mean(axis=0)) ** 2).sum(axis=-1).mean(axis=-1)
        numbers[f"variance, {L}"] = {
            "mean": float(square.mean() * count / (count - 1)),
            "error": float(square.std() / count**0.5),
        }
    ends = run_deck(deck, start, 128, 4, CLOUD, seed=[0, 128])
    off = ends - theory.depth_fluctuation(deck, start, 128).mean
    blocks = limit.covariance.reshape(6, 2, 6, 2)[np.arange(6), :, np.arange(6)] / 512
    inside = np.einsum("rni,nij,rnj->rn", off, np.linalg.inv(blocks), off) < -2 * np.log(0.05)
    numbers["inside"] = inside.mean(axis=0).tolist()
    arrays["cloud"] = ends[:300].astype(np.float32)
    print("networks", numbers, flush=True)


def sizes_and_seeds(arrays, numbers):
    """The main table, sweeps in one direction, and many seeds."""
    tokens, adjoints, losses = zip(
        *(over_seeds(n, n, 0, count) for n, count in SIZES.items()), strict=True
    )
    falls = {"tokens": fall(SIZES, tokens), "adjoints": fall(SIZES, adjoints)}
    numbers["adamw"] = {
        **{name: one["values"] for name, one in falls.items()},
        "loss": [float(one[:, -1].mean()) for one in losses],
        "errors": {name: one["error"] for name, one in falls.items()},
    }
    k, seeds = SWEEP["fixed"], SWEEP["seeds"]
    numbers["sweeps"] = {}
    for name in ("depths", "heads"):
        shapes = [(n, k) if name == "depths" else (k, n) for n in SWEEP[name]]
        runs = [over_seeds(*shape, 0, seeds * SWEEP["sets"])[0] for shape in shapes]
        sets = [[one[s : s + seeds] for one in runs] for s in range(0, len(runs[0]), seeds)]
        numbers[name] = fall(SWEEP[name], sets[0])["values"]
        numbers["sweeps"][name] = fall(SWEEP[name], runs)
        numbers["sweeps"][name]["sets"] = [fall(SWEEP[name], one)["slope"] for one in sets]
    many = (MANY["heads"], MANY["first"], MANY["seeds"])
    one = fall(MANY["depths"], [over_seeds(L, *many)[0] for L in MANY["depths"]])
    numbers["many"], numbers["many, error"] = one["values"], one["error"]
    print("adamw", numbers["adamw"], numbers["sweeps"], numbers["many"], flush=True)


def dropped(arrays, numbers):
    """Other epsilons, raw gradients, another residual factor."""
    for epsilon, firsts in SMOOTH.items():
        rule = AdamW(RULE.rate, RULE.decay, float(epsilon))
        for first in firsts:
            at = [spread(over_seeds(n, n, first, c, rule)[0]) for n, c in SIZES.items()]
            numbers[f"epsilon {epsilon}, {first}"] = at
            print("epsilon", epsilon, slope(SIZES, at), flush=True)
    numbers["smooth"] = {}
    for epsilon in EPSILONS["values"]:
        rule = AdamW(RULE.rate, RULE.decay, float(epsilon))
        runs = [over_seeds(n, n, 0, EPSILONS["seeds"], rule)[0] for n in SIZES]
        numbers["smooth"][epsilon] = fall(SIZES, runs)
    raw = AdamW(RULE.rate, 0.0, 1e-3)
    numbers["raw"] = [
        float(over_seeds(n, n, 0, c, raw, scaled=False)[2][:, -1].mean())
        for n, c in FROZEN.items()
    ]
    measure, _ = two_clusters(16, 6, seed=0)
    for power in ("half", "one"):
        numbers[f"displacement, {power}"] = []
        for n in SIZES:
            moved = []
            for s in range(10):
                heads = Heads.uniform(n, n, 2, WIDTH, s)
                heads = Heads(heads.score, heads.value * (n if power == "half" else 1))
                off = heads.run(measure)[-1] - measure.points
                moved.append(np.sqrt((off**2).sum(axis=-1).mean()))
            numbers[f"displacement, {power}"].append(float(np.mean(moved)))


def deck_training(arrays, numbers):
    """Networks of drawn heads against the training of their mean field."""
    A, V, _ = deck_of_three()
    K = DECK["steps"]

    def ideal(L):
        wide = [np.broadcast_to(M, (L, *M.shape)) for M in (A, V)]
        return trained(Heads(*wide), steps=K)[:2]

    fine, coarse = (np.array(ideal(L)) for L in (DECK["depth"], DECK["depth"] // 2))
    limit = 2 * fine - coarse
    numbers["deck"] = []
    for n, count in DECK["sizes"].items():
        errors = []
        for s in range(count):
            k = np.random.default_rng([n, s]).integers(3, size=(n, n))
            errors.append(
                ((np.array(trained(Heads(A[k], V[k]), steps=K)[:2]) - limit) ** 2).sum(-1)
            )
        bias = ((np.array(ideal(n)) - limit) ** 2).sum(axis=-1).mean(axis=(-1, -2))
        squares = np.mean(errors, axis=(2, 3))  # of each network, for tokens and adjoints
        error = np.sqrt(squares.mean(axis=0))
        numbers["deck"].append({
            "error": error.tolist(), "bias": np.sqrt(bias).tolist(),
            "spread": (squares.std(axis=0, ddof=1) / count**0.5 / (2 * error)).tolist(),
        })  # fmt: skip
    arrays["deck limit"] = limit
    print("deck", numbers["deck"], flush=True)


def paths(arrays, numbers):
    """One sequence through trained networks, and fans of loss curves."""
    rule = AdamW(PATHS["rate"], RULE.decay, RULE.epsilon)
    measure, target = two_clusters(16, 6, seed=0)
    for n in PATHS["sizes"]:
        fan = []
        for s in range(PATHS["seeds"]):
            run = train(Heads.uniform(n, n, 2, WIDTH, s), measure, target, rule, PATHS["steps"])
            fan.append(run.losses)
            if s == 0:
                arrays[f"path, {n}"] = run.heads.run(measure).astype(np.float32)
        arrays[f"losses, {n}"] = np.array(fan).astype(np.float32)
    print("paths", flush=True)


def data(name="training"):
    """All runs."""
    arrays, numbers = {}, {}
    for part in (random_networks, sizes_and_seeds, dropped, deck_training, paths):
        part(arrays, numbers)
    parameters = {
        "width": WIDTH, "steps": STEPS, "rate": RULE.rate, "decay": RULE.decay,
        "epsilon": RULE.epsilon, "sizes": list(SIZES.items()),
        "monte_carlo": list(MONTE_CARLO.items()), "cloud": CLOUD, "sweep": SWEEP, "many": MANY,
        "smooth": SMOOTH, "epsilons": EPSILONS, "frozen": list(FROZEN.items()),
        "deck": {**DECK, "sizes": list(DECK["sizes"].items())}, "paths": PATHS,
    }  # fmt: skip
    return FigureData(arrays, numbers, parameters, 0, {"scheme": "layers"}, "the depth of each")


if __name__ == "__main__":
    from stored_runs import keep

    keep("training", "Random networks and trained ones.", data)
