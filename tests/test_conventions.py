"""Each convention of the literature, coded from its own definition, is ours after its change."""

import re

import book_source as source
import nbformat
import numpy as np
import pytest
from book_source import ROOT

import transpde as tp
from transpde.conventions import TABLE

# Sinkhorn's iteration stops at a relative marginal error of 1e-12; nothing else is approximate.
TOLERANCE = {"doubly stochastic": 1e-12, "gradient-flow sign": 1e-12}


@pytest.mark.parametrize("name", TABLE)
def test_the_source_and_ours_agree(name):
    gaps = [TABLE[name].gap(seed) for seed in range(10)]
    assert max(gaps) <= TOLERANCE.get(name, 1e-13)


def softmax(p, **changes):
    p = {"query": p["Q"], "key": p["K"], "value": p["V"]} | changes
    return tp.Softmax(p["query"], p["key"], p["value"])


FORGOTTEN = {
    "scaled heads": lambda p: tp.MultiHead([
        tp.Softmax(q.T, k.T, (v @ o).T)
        for q, k, v, o in zip(p["W_Q"], p["W_K"], p["W_V"], np.split(p["W_O"], 2), strict=True)
    ]),  # the root of k
    "causal mask": lambda p: tp.Masked(softmax(p)),
    "scaled matrix": softmax,
    "tied L2 heads": lambda p: tp.MultiHead([
        tp.L2(q.T, q.T, (v @ o).T)
        for q, v, o in zip(p["W_Q"], p["W_V"], np.split(p["W_O"], 2), strict=True)
    ]),
    "doubly stochastic": lambda p: tp.Sinkhorn(p["Q"], p["K"], p["V"], epsilon=2.0),
    "gradient-flow sign": lambda p: tp.Sinkhorn(p["Q"], p["K"], p["K"].T @ p["Q"]),
    "sum of sigmoids": lambda p: tp.Sigmoid(p["Q"], p["K"], p["V"]),
    "rescaled tokens": softmax,
    "sphere, beta": softmax,
    "sphere, no sum": lambda p: tp.Softmax(p["beta"] * np.eye(4), np.eye(4), np.eye(4)),
    "step one": lambda p: TABLE["scaled matrix"].translate(p),
    "no residual": lambda p: TABLE["scaled matrix"].translate(p),
    "RMS norm": lambda p: TABLE["sphere, beta"].translate(p | {"beta": 1.0}),
    "layer norm": lambda p: TABLE["RMS norm"].translate(p),
    "scripts, softmax": softmax,
    "scripts, L2": lambda p: tp.L2(p["Q"] / 4**0.25, p["K"] / 4**0.25, p["V"]),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_without_the_change_of_variables_they_differ(name):
    row = TABLE[name]
    X, p = row.drawn(0)
    theirs = row.theirs(X, p)
    wrong = row.ours(X, FORGOTTEN[name](p), p)
    assert np.abs(wrong - theirs).max() > 1e-2 * np.abs(theirs).max()


@pytest.mark.parametrize("name", [name for name in TABLE if "sphere" in TABLE[name].change])
def test_off_the_sphere_they_differ(name):
    row = TABLE[name]
    X, p = row.drawn(0)
    root, theirs = np.linalg.norm(X[0]), row.theirs(X, p)
    flat = root * row.translate(p)(tp.Particles(X / root))(X / root)
    assert np.abs(flat - theirs).max() > 1e-2 * np.abs(theirs).max()


# --- changes of time -----------------------------------------------------------------------------


def case(seed=0):
    return TABLE["rescaled tokens"].drawn(seed)


@pytest.mark.parametrize("seed", range(3))
def test_rescaled_tokens_are_the_flow_in_other_coordinates(seed):
    """z(t) = exp(-tV) x(t) along the whole flow, with parameters that depend on time."""
    from scipy.linalg import expm

    X, p = case(seed)
    times = [0.0, 0.4, 0.8]
    x = tp.flow(tp.Particles(X), softmax(p), times)
    row = TABLE["rescaled tokens"]
    z = tp.flow(tp.Particles(X), lambda t: row.translate(p | {"e^tV": expm(t * p["V"])}), times)
    for i, t in enumerate(times):
        assert np.abs(z.points[i] - x.points[i] @ expm(-t * p["V"]).T).max() <= 1e-9


@pytest.mark.parametrize("c", [3.0, 0.25, -1.0])
def test_a_factor_of_the_value_is_a_factor_of_time(c):
    X, p = case(1)
    start = tp.Particles(X)
    slow = tp.flow(start, softmax(p), 0.6).final
    if c < 0:  # the opposite sign runs the flow backwards
        back = tp.flow(slow, softmax(p, value=c * p["V"]), 0.6).final
        assert np.abs(back.points - X).max() <= 1e-8
    else:
        fast = tp.flow(start, softmax(p, value=c * p["V"]), 0.6 / c).final
        assert np.abs(fast.points - slow.points).max() <= 1e-9


@pytest.mark.parametrize("name", ["RMS norm", "layer norm"])
def test_normalised_layers_of_small_steps_follow_the_sphere(name):
    """x <- norm(x + h f(x)) tends to the flow on the sphere, after x = sqrt(d) u, at order one."""
    row = TABLE[name]
    X, p = row.drawn(2)
    root = np.sqrt(X.shape[1])
    tokens = tp.Particles(X / root, space=tp.Sphere())
    end = root * tp.flow(tokens, row.translate(p), 1.0).final.points

    def normed(Y):
        Y = Y - Y.mean(axis=1, keepdims=True) if name == "layer norm" else Y
        return Y / np.sqrt((Y**2).mean(axis=1, keepdims=True))

    errors = []
    for depth in (32, 64, 128):
        Y = X
        for _ in range(depth):
            Y = normed(Y + TABLE["scaled matrix"].theirs(Y, p) / depth)
        errors.append(np.abs(Y - end).max())
    assert np.abs(np.diff(np.log2(errors)) + 1).max() <= 0.1


# --- the page ------------------------------------------------------------------------------------


def test_every_source_is_in_the_bibliography():
    keys = set(re.findall(r"@\w+\{(\w+),", (ROOT / "book" / "references.bib").read_text()))
    assert {row.source for row in TABLE.values()} <= keys


def test_the_table_of_the_book_has_the_same_rows():
    book = nbformat.read(ROOT / "book" / "pde" / "zoo.ipynb", as_version=4)
    text = next(c.source for c in book.cells if ":name: tab-conventions" in c.source)
    rows = source.table_rows(text)
    found = [(cells[0], [key for _, key in source.roles(cells[-1])]) for cells in rows]
    assert found == [(row.name, [row.source]) for row in TABLE.values()]
