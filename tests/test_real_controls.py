"""Controls of what is said of a published model: random weights, Gaussian starts, closed laws."""

import numpy as np
import pytest
from loading import ROOT, load_tool

import transpde as tp
from transpde import models
from transpde.records import load
from transpde.theory import real

sweep = load_tool("real_heads")


def spread(points):
    return np.sqrt(((points - points.mean(0)) ** 2).sum(1).mean())


@pytest.mark.parametrize("scale", [0.02, 0.06])
def test_random_heads_have_the_spread_of_random_matrices(minilm, scale):
    """The mean of squares is scale^4 |x|^2 tr Cov(x), whatever the number of rows."""
    fresh = minilm.randomised(scale, seed=0)
    path = fresh(sweep.ids_of(minilm, "harbour", 128))
    found, formula = [], []
    for l, x in enumerate(path.points[:-1]):
        spreads = models.score_spread(fresh.attention(l), fresh.measure(l, x))
        found.append((spreads**2).mean())
        formula.append(scale**4 * (x**2).sum(1).mean() * np.trace(np.cov(x.T, bias=True)))
    assert np.sqrt(found) == pytest.approx(np.sqrt(formula), rel=0.05)


def test_random_heads_of_the_size_of_bert_are_affine(minilm):
    fresh = minilm.randomised(0.02, seed=0)
    table = models.head_table(fresh, fresh(sweep.ids_of(minilm, "harbour", 128)))
    assert table.share.min() > 0.98
    assert np.median(table.law) > 0.985
    assert table.spread.max() < 0.2


def test_larger_random_weights_bend_the_first_heads_and_align_tokens(minilm):
    fresh = minilm.randomised(0.06, seed=0)
    path = fresh(sweep.ids_of(minilm, "harbour", 128))
    table = models.head_table(fresh, path)
    assert table.spread[0].mean() > 1 > 0.2 > table.spread[5].mean()
    assert np.median(table.share[0]) < 0.7 < 0.99 < np.median(table.share[3])
    assert models.mean_cosine(path.points[5]) > 0.97
    assert table.spread.max() < 2


def test_a_gaussian_start_does_not_follow_the_text(minilm):
    """Bures distances in units of the text's spread, by a formula with one nuclear norm."""

    def apart(x, y):
        gap, (a, b) = x.mean(0) - y.mean(0), (z - z.mean(0) for z in (x, y))
        overlap = np.linalg.svd(a @ b.T, compute_uv=False).sum() / len(x)
        return np.sqrt(gap @ gap + spread(x) ** 2 + spread(y) ** 2 - 2 * overlap)

    text = minilm(sweep.ids_of(minilm, "harbour", 512)).points
    cloud = tp.Particles(text[0])
    starts = [minilm(start=models.twin(cloud, s).points).points for s in range(2)]
    units = spread(text[0]), spread(text[-1])
    found = [[apart(text[i], starts[0][i]) / units[i] for i in (0, -1)]]
    found += [[apart(starts[0][i], starts[1][i]) / units[i] for i in (0, -1)]]
    assert np.ravel(found) == pytest.approx([0.26, 0.91, 0.36, 0.31], abs=0.01)


def test_the_closed_law_gets_the_level_of_the_twins():
    """Below a spread of 1.5; it has no fitted number, and the more tokens the better it is."""
    data = load("heads", ROOT / "book" / "real" / "data").arrays
    errors = []
    for j, n in enumerate(sweep.LENGTHS):
        keys = ("spread", "slope_share", "twin_share")
        sigma, rho, twins = (data[key][:5, j].astype(float).ravel() for key in keys)
        low = sigma < 1.5
        law = [real.affine_law(s, r, n) for s, r in zip(sigma[low], rho[low], strict=True)]
        errors.append(np.abs(law - twins[low]).mean())
    assert errors == pytest.approx([0.109, 0.083, 0.050, 0.036], abs=2e-3)
