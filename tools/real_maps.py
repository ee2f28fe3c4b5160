"""Controls on the published model that take minutes: python tools/real_maps.py [FOLDER [NAME]]

maps: spread, share and Gaussian law of heads with random weights, at 512 tokens; the share that 4
and 16 Gaussians explain, on the clusters of each head's keys; one affine map a head for all texts,
in the place of heads, on sentences.
axes: where one layer repeated leads, under changes of gains, values and biases.
whole: at 512 tokens, errors of tokens where maps stand in the place of heads, for four texts, and
what becomes of a Gaussian start, beside other controls.

Writes NAME.npz and NAME.json, for all three, to book/real/data or another folder; the chapters
read them and compute a part again. Some ten minutes on one core. Needs the weights: make weights.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import real_heads as sweep
from scipy.cluster.vq import kmeans2
from scipy.special import softmax

import transpde as tp
from transpde import models
from transpde.records.record import FigureData, write
from transpde.theory import real

SCALES = (0.02, 0.06, 0.08)
CLUSTERS = (4, 16)
STARTS = ("harbour", "python", "random")
PASSES = 40
PIECE = 14  # ids of a piece of text, between [CLS] and [SEP]
BEST = (12, 24, 36, 48)
KINDS = ("affine", "stein", "constant", "zero")
SIZE = (1, 1)
ROUNDING = 1e-9  # tokens closer than this are one point
rng = np.random.default_rng


# --- random weights, mixtures -------------------------------------------------------------------


def random_heads(model, n=512):
    """Spread, share and law by scale, layer and head, and mean cosines of tokens by scale."""
    found = {"spread": [], "share": [], "law": [], "cosine": []}
    for scale in SCALES:
        fresh = model.randomised(scale, seed=0)
        path = fresh(sweep.ids_of(fresh, "harbour", n))
        table = models.head_table(fresh, path)
        for key in ("spread", "share", "law"):
            found[key].append(getattr(table, key))
        found["cosine"].append([models.mean_cosine(x) for x in path.points])
    return {f"random_{key}": np.array(value) for key, value in found.items()}


def mixture_outputs(q, keys, values, count):
    """What a head gives if the tokens of each cluster of its keys are replaced by a Gaussian."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an empty cluster, which has no weight
        labels = kmeans2(keys, count, seed=rng(0))[1]
    logs, means = [], []
    for label in np.unique(labels):
        own = labels == label
        centre, spread = keys[own].mean(axis=0), keys[own] - keys[own].mean(axis=0)
        scores = q @ spread.T
        quadratic = (scores**2).mean(axis=1)
        logs.append(np.log(own.sum()) + q @ centre + quadratic / 2)
        means.append(values[own].mean(axis=0) + scores @ values[own] / own.sum())
    shares = softmax(np.array(logs), axis=0)
    return np.einsum("cq,cqk->qk", shares, np.array(means))


def mixtures(model, name, n=512):
    """The share explained by 4 and by 16 Gaussians, each (6, 12)."""
    path, found = model(sweep.ids_of(model, name, n)), np.empty((2, model.depth, model.heads))
    for l in range(model.depth):
        made = model.projections(l, path.points[l])
        for h, (q, keys, values, o) in enumerate(zip(*made[:3], made.outputs, strict=True)):
            for i, count in enumerate(CLUSTERS):
                law = mixture_outputs(q, keys, values, count)
                found[i, l, h] = real.explained_share(o, law)
    return found


# --- one layer repeated -------------------------------------------------------------------------


def part(layer, kind, of="attention.output.LayerNorm"):
    return f"encoder.layer.{layer}.{of}.{kind}"


def gains(change):
    return lambda model, l: {part(l, "weight"): change(model.weights[part(l, "weight")].copy())}


def biases(change):
    return lambda model, l: {part(l, "bias"): change(model.weights[part(l, "bias")])}


def values(change):
    of = "attention.output.dense"
    names = "weight", "bias"
    return lambda model, l: {part(l, k, of): change(model.weights[part(l, k, of)]) for k in names}


def level(g):
    g[g.argmax()] = np.median(g)
    return g


def turned(M):
    return np.linalg.qr(rng(0).normal(size=(len(M), len(M))))[0] @ M


def permuted(seed):
    return lambda M: rng(seed).permutation(M, axis=0)


CHANGES = {
    "as trained": lambda model, l: {},
    **{f"gains permuted, seed {s}": gains(permuted(s)) for s in range(4)},
    "largest gain levelled": gains(level),
    "gains at their mean": gains(lambda g: np.full_like(g, g.mean())),
    "V rows permuted": values(permuted(0)),
    "V rotated": values(turned),
    "V sign changed": values(lambda M: -M),
    "no bias": biases(np.zeros_like),
    "bias permuted": biases(permuted(0)),
    "no bias, no attention": biases(np.zeros_like),
}


def value_vector(model, layer):
    """The top eigenvector of the sum of the heads' value matrices, of length one."""
    block = model.blocks[layer]
    sizes, vectors = np.linalg.eig(block.output @ block.value)
    return vectors[:, np.abs(sizes).argmax()]


def led(model, name, layer, start):
    """Where a layer leads: coordinate (-1: one point), entry, share, cosine, place, overlap, u."""
    other = model.with_weights(CHANGES[name](model, layer))
    parts = {"feed_forward": False, "attention": not name.endswith("no attention")}
    end = other(start=start, layers=[layer] * PASSES, **parts).points[-1]
    _, sizes, axes = np.linalg.svd(end - end.mean(axis=0), full_matrices=False)
    u, share = axes[0], sizes[0] ** 2 / (sizes**2).sum()
    at = np.abs(u).argmax()
    place = (other.blocks[layer].norm1.gain > other.blocks[layer].norm1.gain[at]).sum()
    plain = name in ("as trained", "gains at their mean")
    overlap = np.abs(u @ value_vector(other, layer)) if plain else np.nan
    point = np.ptp(end, axis=0).max() < ROUNDING
    cosine = models.mean_cosine(end)
    return -1 if point else at, np.abs(u[at]), share, cosine, 1 + place, overlap, u


def axes(model):
    """All changes, inputs and layers, each (13, 3, 6); the directions of the model as it is."""
    starts = [model.embed(sweep.ids_of(model, name, 128)) for name in STARTS]
    rows = [led(model, name, l, x) for name in CHANGES for x in starts for l in range(model.depth)]
    shape = len(CHANGES), len(STARTS), model.depth
    *columns, directions = zip(*rows, strict=True)
    keys = "coordinate", "entry", "share", "cosine", "place", "overlap"
    found = {
        f"axis_{key}": np.array(c).reshape(shape) for key, c in zip(keys, columns, strict=True)
    }
    for key in ("axis_coordinate", "axis_place"):
        found[key] = found[key].astype(np.int16)
    return found | {"axis": np.array(directions).reshape(*shape, -1)[0]}


# --- whole models at 512 tokens -----------------------------------------------------------------


def width(x):
    """The spread of tokens: root mean square distance to their mean."""
    return np.sqrt(((x - x.mean(axis=0)) ** 2).sum(axis=1).mean())


def own_maps(model, text):
    """Error of the tokens in units of their spread, their mean cosine and that of the sentence.

    The heads of spread below two are replaced by maps of this text, and last all heads: (5, 3).
    """
    ids = sweep.ids_of(model, text, 512)
    path = model(ids)
    layers = range(model.depth)
    spread = [
        models.score_spread(model.attention(l), model.measure(l, path.points[l])) for l in layers
    ]
    below, found = np.array(spread) < 2, []
    for chosen, by in [*((below, by) for by in KINDS), (np.ones_like(below), "affine")]:
        new = model(ids, edit=models.replacement(model, path, chosen, by))
        x, y = path.output, new.output
        cosine = ((x * y).sum(axis=1) / (row_norms(x) * row_norms(y))).mean()
        error = np.sqrt(((x - y) ** 2).sum(axis=1).mean()) / width(x)
        found.append((error, cosine, new.embedding @ path.embedding))
    return found


def steps(model):
    """By layer: |attention| / |x|, |feed-forward| / |y|, cosines of the norm and of the layer."""
    path, rows = model(sweep.ids_of(model, "harbour", 512)), []
    for l, x in enumerate(path.points[:-1]):
        part = model.layer(l, x)
        pairs = (part.attention, x), (part.feed_forward, part.middle)
        lengths = [(row_norms(a) / row_norms(b)).mean() for a, b in pairs]
        ends = (x + part.attention, part.middle), (x, part.out)
        turns = [(a * b).sum(axis=1) / (row_norms(a) * row_norms(b)) for a, b in ends]
        rows.append([*lengths, *(cosine.mean() for cosine in turns)])
    return rows


def row_norms(x):
    return np.linalg.norm(x, axis=1)


def kurtosis(x):
    """Median over 200 random directions; 3 for normal tokens."""
    u = (x - x.mean(axis=0)) @ rng(0).normal(size=(x.shape[1], 200))
    return np.median((u**4).mean(axis=0) / (u**2).mean(axis=0) ** 2)


def apart(x, y):
    """Bures distance of two clouds."""
    return tp.wasserstein(*(tp.Gaussian.from_particles(tp.Particles(z)) for z in (x, y)))


def through_depth(model):
    """Kurtosis by layer of two texts; distances and mean cosines, first and last, of controls."""
    x = {name: model(sweep.ids_of(model, name, 512)).points for name in ("harbour", "python")}
    text, cloud = x["harbour"], tp.Particles(x["harbour"][0])
    one, two = (models.twin(cloud, seed).points for seed in range(2))
    kept = one.copy()
    kept[[0, -1]] = text[0][[0, -1]]  # [CLS] and [SEP]
    others = {
        "Gaussian start": model(start=one).points,
        "with [CLS] and [SEP]": model(start=kept).points,
        "shuffled": model(sweep.ids_of(model, "shuffled", 512)).points,
        "bread": model(sweep.ids_of(model, "bread", 512)).points,
    }
    pairs = [(text, y) for y in others.values()] + [
        (others["Gaussian start"], model(start=two).points)
    ]
    far = [[apart(a[i], b[i]) / width(text[i]) for i in (0, -1)] for a, b in pairs]
    cosines = [models.mean_cosine(y[-1]) for y in (text, *others.values())]
    names = [*others, "two Gaussian starts"]
    return [[kurtosis(z) for z in y] for y in x.values()], far, cosines, names


# --- one map for all texts ----------------------------------------------------------------------


def pieces(model):
    """Five texts in pieces of 16 tokens."""
    cut = []
    for name in sweep.TEXTS:
        ids = model.encode((sweep.ROOT / f"book/real/texts/{name}.txt").read_text("utf-8"))[1:-1]
        for i in range(0, len(ids) - PIECE + 1, PIECE):
            cut.append(np.concatenate([[sweep.CLS], ids[i : i + PIECE], [sweep.SEP]]))
    return cut


def pooled_maps(model):
    """For each head the affine map of all pieces, its mean output, and its share in sample."""
    tokens = [model(ids).points for ids in pieces(model)]
    slopes, offsets, shares = [], [], []
    for l in range(model.depth):
        made = [model.projections(l, points[l]) for points in tokens]
        q = np.concatenate([one.queries for one in made], axis=1)
        o = np.concatenate([one.outputs for one in made], axis=1)
        for one, out in zip(q, o, strict=True):
            shares.append(real.affine_share(one, out, leave_one_out=False))
            centred = one - one.mean(axis=0)
            B = np.linalg.lstsq(centred, out - out.mean(axis=0), rcond=None)[0].T
            slopes.append(B)
            offsets.append((out.mean(axis=0) - B @ one.mean(axis=0), out.mean(axis=0)))
    return np.array(slopes), np.array(offsets), np.array(shares)


def edits(model, slopes, offsets, chosen, by):
    """The edit that puts maps of one kind in the place of the chosen heads."""
    H = model.heads

    def edit(layer, queries, outputs):
        new = outputs.copy()
        for h in range(H):
            i = layer * H + h
            if i in chosen:
                line = queries[h] @ slopes[i].T + offsets[i, 0]
                new[h] = {"affine": line, "constant": offsets[i, 1], "zero": 0.0}[by]
        return new

    return edit


def sentences():
    text = (sweep.ROOT / "book/real/texts/sentences.txt").read_text("utf-8")
    return [line for line in text.splitlines() if line.strip()]


def nearest(E):
    return (E @ E.T - 2 * np.eye(len(E))).argmax(axis=1)


def cases(model):
    """The pooled shares (6, 12), and for each case its heads, cosine, same nearest, same topic."""
    slopes, offsets, shares = pooled_maps(model)
    ids = [model.encode(line) for line in sentences()]
    order, topic = np.argsort(-shares, kind="stable"), np.arange(len(ids)) // 5

    def embedded(edit=None, ids=ids):
        return np.array([model(one, edit=edit).embedding for one in ids])

    intact, found, names = embedded(), [], []

    def add(name, count, E):
        near = nearest(E)
        same, right = (near == nearest(intact)).sum(), (topic[near] == topic).sum()
        found.append((count, (E * intact).sum(axis=1).mean(), same, right))
        names.append(name)

    add("intact", 0, intact)
    for by, counts in (("affine", BEST), ("constant", BEST), ("zero", BEST[:1])):
        for count in counts:
            chosen = set(order[:count])
            add(by, count, embedded(edits(model, slopes, offsets, chosen, by)))
    worst = set(order[-BEST[0] :])
    add("affine, worst", BEST[0], embedded(edits(model, slopes, offsets, worst, "affine")))
    mixed = [" ".join(rng(i).permutation(line.split())) for i, line in enumerate(sentences())]
    add("words shuffled", 0, embedded(ids=[model.encode(line) for line in mixed]))
    mixed = [np.r_[one[0], rng(i).permutation(one[1:-1]), one[-1]] for i, one in enumerate(ids)]
    add("ids shuffled", 0, embedded(ids=mixed))
    changes = [CHANGES["gains at their mean"](model, l) for l in range(model.depth)]
    even = model.with_weights({key: value for one in changes for key, value in one.items()})
    add("gains at their mean", 0, np.array([even(one).embedding for one in ids]))
    return shares.reshape(model.depth, model.heads), np.array(found), names


def data(name):
    """Everything, to four decimals."""
    model = models.read(models.folder("all-MiniLM-L6-v2"))
    if name == "axes":
        arrays = axes(model)
        parameters = {"changes": tuple(CHANGES), "starts": STARTS, "passes": PASSES}
    elif name == "whole":
        texts = [text for text in sweep.TEXTS if text != "glossary"]
        arrays = {"own_maps": np.array([own_maps(model, text) for text in texts])}
        arrays["steps"] = np.array(steps(model))
        *columns, names = through_depth(model)
        keys = "kurtosis", "apart", "cosines"
        arrays |= {key: np.array(column) for key, column in zip(keys, columns, strict=True)}
        parameters = {"texts": texts, "kinds": KINDS, "controls": names}
    else:
        arrays = random_heads(model)
        arrays["mixture"] = np.array([mixtures(model, text) for text in sweep.TEXTS])
        arrays["pooled"], arrays["one_map"], names = cases(model)
        parameters = {"scales": SCALES, "clusters": CLUSTERS, "texts": sweep.TEXTS, "cases": names}
    for key, value in arrays.items():
        if value.dtype != np.int16:
            arrays[key] = value.round(4).astype(np.float32)
    scheme = {"model": "all-MiniLM-L6-v2", "precision": "double", "stored": "four decimals"}
    return FigureData(arrays, {}, parameters, seed=0, scheme=scheme)


def draw(name, data, figure):
    """Nothing: the chapters draw."""


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if sys.argv[1:] else sweep.ROOT / "book" / "real" / "data"
    for name in sys.argv[2:] or ("maps", "axes", "whole"):
        about = __doc__.splitlines()[0].partition(":")[0]
        manifest = write(name, about, sys.modules[__name__], folder, [], overwrite=True)[-1]
        kept = json.loads(manifest.read_text("utf-8"))
        del kept["platform"]
        manifest.write_text(json.dumps(kept, indent=2) + "\n", "utf-8")
