"""Run layers that infer where it takes long: python tools/frontier_inference.py [FOLDER]

Layers of chains that forget and of one that does not, in two hundred digits; how many layers ten
chains need; growth rates of layers along typical observations; what the signed form loses on many
random models. Writes inference.npz and inference.json to book/frontier/data, or another folder;
the chapter reads them and makes some again. Some three minutes on one core.
"""

import mpmath
import numpy as np

from transpde.filtering import HiddenMarkov
from transpde.records import FigureData

DIGITS = 200
PRECISE = {"states": 6, "length": 60, "layers": 60, "forget": (1.0, 0.5, 0.2)}
COUNTS = {
    "forget": (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    "seeds": 12, "length": 80, "tolerance": 1e-6,
}  # fmt: skip
RATES = {
    "flips": (0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2, 0.3), "error": 0.3, "length": 400,
    "layers": 12, "burn": 4, "seeds": 6,
}  # fmt: skip
ROUNDING = {"models": 64, "states": 3, "symbols": 7, "window": 10, "steps": (10, 20, 30, 50, 100)}


def chain(seed, states=6, symbols=2, emission=1.0, forget=1.0):
    """A random model, a part of whose transitions is to stay, and the generator after it."""
    rng = np.random.default_rng(seed)
    N = rng.dirichlet(np.full(states, 0.5), size=states)
    C = rng.dirichlet(np.full(symbols, emission), size=states)
    N = (1 - forget) * np.eye(states) + forget * N
    return HiddenMarkov(N, C, np.full(states, 1 / states)), rng


def variation(a, b):
    """Total variation of rows."""
    return np.abs(a - b).sum(axis=-1) / 2


def precise_errors(model, observations, layers):
    """Total variation after each layer, by the forward form of a layer, in many digits."""
    with mpmath.workdps(DIGITS):

        def laws(rows):
            exact = [[mpmath.mpf(float(x)) for x in row] for row in rows]
            return [[x / sum(row) for x in row] for row in exact]

        N, C, prior = laws(model.transition), laws(model.emission), laws([model.prior])[0]
        k = range(len(prior))
        p = [[row[z] for row in C] for z in observations]

        def pushed(row):
            return [sum(row[i] * N[i][j] for i in k) for j in k]

        exact = [prior]
        for one in p:
            seen = [a * b for a, b in zip(exact[-1], one, strict=True)]
            exact.append(pushed([x / sum(seen) for x in seen]))
        rho, found = [prior] * len(exact), []
        for _ in range(layers + 1):
            gap = [sum(abs(a - b) for a, b in zip(*x, strict=True)) / 2
                   for x in zip(rho, exact, strict=True)]  # fmt: skip
            found.append([float(mpmath.log10(x)) if x > 0 else -np.inf for x in gap])
            new = [prior]
            for one, before in zip(p, rho, strict=False):
                mean = sum(before[i] * one[i] for i in k)
                missed = 1 - sum(new[-1][i] * one[i] for i in k)
                rate = missed / (mean * (1 - mean))
                new.append(pushed([
                    new[-1][i] + rate * before[i] * (one[i] - mean) for i in k
                ]))  # fmt: skip
            rho = new
    return np.maximum(np.array(found), -DIGITS)


def layers_needed(forget, seed):
    """The first layer after which all positions are exact to the tolerance, and remain so."""
    model, rng = chain(seed, forget=forget)
    _, z = model.sample(COUNTS["length"], rng)
    exact, rho, late = model.filter(z), model.start(z), 0
    for layer in range(COUNTS["length"] + 1):
        if not variation(rho, exact).max() < COUNTS["tolerance"]:  # NaN, too, is late
            late = layer + 1
        rho, _ = model.dual_layer(rho, z)
    return late


def growth_rate(flip, seed, constant=False):
    """The mean log growth per layer of a small error, along a sequence of observations.

    Errors drift to later positions; few layers on many positions leave the end no part in it.
    """
    e, n = RATES["error"], RATES["length"]
    model = HiddenMarkov(
        [[1 - flip, flip], [flip, 1 - flip]], [[1 - e, e], [e, 1 - e]], [0.5, 0.5]
    )
    z = np.zeros(n, dtype=int) if constant else model.sample(n, seed)[1]
    exact, error, total = model.filter(z), np.ones(n + 1), 0.0
    error[0] = 0.0
    for layer in range(RATES["layers"]):
        error /= np.abs(error).max()
        moved = exact + 1e-7 * error[:, None] * np.array([1.0, -1.0])
        error = (model.dual_layer(moved, z)[0] - exact)[:, 0] / 1e-7
        if layer >= RATES["burn"]:
            total += np.log(np.abs(error).max())
    return total / (RATES["layers"] - RATES["burn"])


def lost(seed):
    """Errors of the signed form at some steps, and the largest of the centred one."""
    how = {"states": ROUNDING["states"], "symbols": ROUNDING["symbols"], "emission": 0.5}
    model, rng = chain(seed, **how)
    _, z = model.sample(ROUNDING["steps"][-1], rng)
    exact, found = model.filter(z), []
    for centred in (False, True):
        beliefs = model.dual_filter(z, ROUNDING["window"], "signed", centred=centred)
        found.append(np.abs(beliefs - exact).max(axis=-1))
    return [*found[0][list(ROUNDING["steps"])], found[1].max()]


def data(name="inference"):
    """All runs."""
    arrays = {}
    for forget in PRECISE["forget"]:
        model, rng = chain(0, forget=forget)
        _, z = model.sample(PRECISE["length"], rng)
        found = precise_errors(model, z, PRECISE["layers"])
        arrays[f"precise, {forget}"] = found.astype(np.float32)
        print("precise", forget, flush=True)
    counts = [[layers_needed(a, s) for s in range(COUNTS["seeds"])] for a in COUNTS["forget"]]
    arrays["layers needed"] = np.array(counts)
    print("counts", counts, flush=True)
    rates = [[growth_rate(q, s) for s in range(RATES["seeds"])] for q in RATES["flips"]]
    arrays["rates"] = np.array(rates)
    arrays["rates, constant"] = np.array(
        [growth_rate(q, 0, constant=True) for q in RATES["flips"]]
    )
    print("rates", rates, arrays["rates, constant"], flush=True)
    arrays["lost"] = np.array([lost(seed) for seed in range(ROUNDING["models"])])
    parameters = {
        "digits": DIGITS, "precise": PRECISE, "counts": COUNTS, "rates": RATES,
        "rounding": ROUNDING,
    }  # fmt: skip
    return FigureData(arrays, {}, parameters, 0, {"scheme": "layers"}, "the number of layers")


if __name__ == "__main__":
    from stored_runs import keep

    keep("inference", "Layers that infer, where exactness or statistics take long.", data)
