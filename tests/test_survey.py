"""What is said of a model on a text, against the definitions."""

import numpy as np
import pytest
import tiny_models as tiny
from matplotlib import pyplot as plt

from transpde import models, plotting

IDS = np.random.default_rng(3).integers(0, tiny.WORDS, 16)


@pytest.fixture(scope="module", params=list(tiny.IDS))
def found(request, tmp_path_factory):
    model = models.read(tiny.write(request.param, tmp_path_factory.mktemp(request.param)))
    path = model(IDS)
    return model, path, models.survey(model, path)


def least_squares_share(queries, outputs):
    """Leave-one-out, each fit made again without the token that it predicts."""
    rest, ones = ~np.eye(len(queries), dtype=bool), np.ones((len(queries), 1))
    q = np.hstack([ones, queries])
    fits = [np.linalg.lstsq(q[keep], outputs[keep])[0] for keep in rest]
    gaps = outputs - np.array([one @ fit for one, fit in zip(q, fits, strict=True)])
    return 1 - (gaps**2).sum() / ((outputs - outputs.mean(axis=0)) ** 2).sum()


def test_heads_are_measured_by_their_definitions(found):
    model, path, survey = found
    assert survey.tokens == len(IDS)
    for l in range(model.depth):
        made = model.projections(l, path.points[l])
        for h in range(model.heads):
            seen = made.weights[h] > 0
            scores = made.queries[h] @ made.keys[h].T
            spreads = [row[who].std() for row, who in zip(scores, seen, strict=True)]
            assert survey.spread[l, h] == pytest.approx(np.sqrt(np.mean(np.square(spreads))))
            share = least_squares_share(made.queries[h], made.outputs[h])
            assert survey.share[l, h] == pytest.approx(share, rel=1e-8)
    np.testing.assert_array_equal(survey.twin_share, models.twin_table(model, path)[0])


def test_the_bound_bounds_what_heads_alone_give(found):
    model, path, survey = found
    for l in range(model.depth):
        given = model.layer(l, path.points[l]).attention
        gaps = np.linalg.norm(given[:, None] - given, axis=-1)
        assert survey.after[l] == pytest.approx(gaps.max())
        if path.causal:
            assert np.isnan(survey.bound[l])
        else:
            assert survey.after[l] <= survey.bound[l]
            gaps = np.linalg.norm(path.points[l][:, None] - path.points[l], axis=-1)
            assert survey.before[l] == pytest.approx(gaps.max())


def test_the_table_has_a_line_for_each_layer(found):
    model, _, survey = found
    lines = str(survey).splitlines()
    assert len({len(line) for line in lines[1:]}) == 1  # columns stand below their names
    assert len(lines) == 2 + model.depth
    for l, line in enumerate(lines[2:]):
        layer, least, median, most, share = line.split()[:5]
        assert int(layer) == l
        assert float(least) == pytest.approx(survey.spread[l].min(), abs=0.006)
        assert float(median) == pytest.approx(np.median(survey.spread[l]), abs=0.006)
        assert float(most) == pytest.approx(survey.spread[l].max(), abs=0.06)
        assert float(share) == pytest.approx(np.median(survey.share[l]), abs=0.006)


def test_too_short_a_text_is_refused(found):
    model, _, _ = found
    with pytest.raises(ValueError, match=r"path: must be of at least 9 tokens.*got 8"):
        models.survey(model, model(IDS[:8]))


def test_a_path_of_other_layers_or_of_another_model_is_refused(found, tmp_path):
    model, path, _ = found
    wrong = {
        "tokens 2 times": model(IDS, layers=[0]),
        "tokens 4 times": model(IDS, layers=[0, 1, 1]),
        "after layer 0 are others": model(IDS, layers=[1, 0]),
        "after layer 1 are others": model(IDS, layers=[0, 0]),
        "are others": model(IDS, feed_forward=False),
    }
    for match, other in wrong.items():
        with pytest.raises(ValueError, match=f"path: must come from model.tokens.*{match}"):
            models.survey(model, other)
    kind = {"bert": "gpt2", "gpt2": "bert"}[model.layout.kind]
    for other in (model.randomised(0.3, 0), models.read(tiny.write(kind, tmp_path))):
        with pytest.raises(ValueError, match="path: must come from"):
            models.survey(other, path)


def test_columns_are_parted_however_wide_their_numbers(found):
    _, _, survey = found
    wide = survey._replace(share=survey.share - 1e7, twin_share=survey.twin_share - 1e7,
                           before=survey.before * 1e120, after=survey.after * 1e120)  # fmt: skip
    assert all(len(line.split()) == 9 for line in str(wide).splitlines()[2:])


def test_heads_and_twins_are_drawn(found):
    _, _, survey = found
    ax = plotting.plot_heads(survey, ax=plt.figure().add_subplot())
    twins, heads, first, last = ax.lines[:4]
    for line, shares in ((heads, survey.share), (twins, survey.twin_share)):
        np.testing.assert_array_equal(line.get_xdata(), survey.spread.ravel())
        np.testing.assert_array_equal(line.get_ydata(), shares.ravel().clip(-1))
    assert last.get_xdata()[0] == pytest.approx(np.sqrt(2 * np.log(len(IDS))))
    assert first.get_xdata()[0] == pytest.approx(last.get_xdata()[0] / 2)
    assert [text.get_text() for text in ax.get_legend().get_texts()][:2] == [
        "Gaussian twins", "heads",
    ]  # fmt: skip
