"""Measure all heads of the published model on all texts: python tools/real_heads.py [FOLDER]

Seven inputs (five texts, one shuffled, one of random ids), four lengths, 72 heads: each number of
`transpde.models.head_table`, and affine share and shrinkage of the Gaussian twins. Writes
heads.npz and heads.json to book/real/data, or another folder; the chapters read them and recompute
a part. Some ten minutes on one core. Needs the weights: make weights.
"""

import json
import platform
import sys
import time
from pathlib import Path

import numpy as np

from transpde import models
from transpde.models.reading import FETCHED
from transpde.records import digest

ROOT = Path(__file__).resolve().parents[1]
TEXTS = ("harbour", "bread", "glossary", "licence", "python")
INPUTS = (*TEXTS, "shuffled", "random")
LENGTHS = (64, 128, 256, 512)
SEEDS = (0, 100)
CLS, SEP, FIRST, LAST = 101, 102, 1996, 29612  # ids: of the ends, and of whole words


def ids_of(model, name, n):
    """The n ids of an input: a text cut, that of the harbour in another order, or random ones."""
    rng = np.random.default_rng(0)
    if name == "random":
        return np.concatenate([[CLS], rng.integers(FIRST, LAST, n - 2), [SEP]])
    text = "harbour" if name == "shuffled" else name
    whole = (ROOT / "book" / "real" / "texts" / f"{text}.txt").read_text(encoding="utf-8")
    ids = models.cut(model.encode(whole), n)
    if name == "shuffled":
        ids = np.concatenate([ids[:1], rng.permutation(ids[1:-1]), ids[-1:]])
    return ids


def measured(model, name, n):
    """All numbers of one input at one length, each (6, 12)."""
    path = model(ids_of(model, name, n))
    table = models.head_table(model, path)._asdict()
    table["twin_share"], table["twin_shrinkage"] = models.twin_table(model, path, SEEDS)
    return table


def arrays(model):
    """The numbers of all inputs and lengths, each (7, 4, 6, 12), to four decimals."""
    found = {}
    for name in INPUTS:
        for n in LENGTHS:
            for key, value in measured(model, name, n).items():
                found.setdefault(key, []).append(value)
    shape = (len(INPUTS), len(LENGTHS), model.depth, model.heads)
    stacked = {key: np.array(value).reshape(shape) for key, value in found.items()}
    kept = {key: value.round(4).astype(np.float32) for key, value in stacked.items()}
    kept["heaviest"] = stacked["heaviest"].astype(np.int16)
    return kept


def main(folder):
    start = time.perf_counter()
    model = models.read(models.folder(FETCHED))
    data = arrays(model)
    manifest = {
        "name": "heads", "numbers": {}, "horizon": None, "seed": SEEDS[0],
        "parameters": {"inputs": INPUTS, "lengths": LENGTHS, "twin_seeds": SEEDS},
        "scheme": {"model": FETCHED, "precision": "double", "stored": "four decimals"},
        "command": "python tools/real_heads.py",
        "digests": {key: digest(value) for key, value in data.items()},
        "python": platform.python_version(), "numpy": np.__version__,
        "seconds": round(time.perf_counter() - start),
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "heads.npz", **data)
    (folder / "heads.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "book" / "real" / "data")
