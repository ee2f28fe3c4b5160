"""The pages of the reproduction: the scripts' rule run again, the peer's text, the overview."""

import copy
import re

import book_source as source
import contract
import numpy as np
import pytest
import yaml
from matplotlib import pyplot as plt

import transpde as tp
from transpde import figures
from transpde.figures import recipes, side_by_side
from transpde.figures.covariance_paths import velocity
from transpde.figures.peer import summary
from transpde.figures.projected_euler import euler_path, euler_until

BOOK = contract.ROOT / "book"
PEER = yaml.safe_load((BOOK / "peer.yml").read_text(encoding="utf-8"))
PAGES = sorted((BOOK / "reproduction").glob("*.ipynb"))

# Those that take longer (L2_divergence, L2_both, MH_both) are run by their pages.
RUNS = {
    "trad_neg_def_V": (recipes.zero, recipes.softmax),
    "L2_neg_def_V": (recipes.zero, recipes.l2),
    "MH_neg_def_V": (recipes.zero, lambda recipe: recipes.multi_head(recipe, 2)),
    "sink_convergence": (recipes.zero, recipes.sinkhorn),
    "trad_rank_1": (recipes.line, recipes.softmax),
    "L2_rank_1": (recipes.line, recipes.l2),
    "MH_rank_1": (recipes.line, lambda recipe: recipes.multi_head(recipe, 2)),
    "trad_explosion": (recipes.explosion, recipes.softmax),
    "MH_explosion": (recipes.explosion, lambda recipe: recipes.multi_head(recipe, 2)),
    "sink_divergence": (recipes.explosion, recipes.sinkhorn),
    "trad_both_V": (recipes.both, recipes.softmax),
}

# --- the rule of the scripts ---------------------------------------------------------------------


@pytest.mark.parametrize("name", RUNS)
def test_rule_makes_the_steps_of_the_script(name):
    make, attend = RUNS[name]
    recipe, peer = make(), PEER["figures"][name]
    run = euler_until(attend(recipe), recipe.starts, **peer["rule"])
    assert run.steps.sum() == peer["euler_steps"]
    assert run.clipped < 0.01 * peer["euler_steps"]
    assert run.count("converged") == peer["converged"]
    assert run.count("diverged") == peer["blown_up"]
    assert run.count("unfinished") == peer["unfinished"]
    if "norm_at_stop" in peer:
        norms = [run.norms.min(), run.norms.max(), run.norms.mean()]
        np.testing.assert_allclose(norms, peer["norm_at_stop"], atol=5.1e-5)


def test_second_head_of_a_single_row_changes_nothing():
    recipe = recipes.line()
    second = recipe.key[1:2].T @ recipe.query[1:2]
    np.testing.assert_array_equal(second, np.zeros((2, 2)))
    first = np.outer([1.0, 0.0], [1.0, 0.0])
    alone = tp.Softmax(recipe.query, recipe.key, first @ recipe.value)
    entries = recipe.starts[:, [0, 0, 1], [0, 1, 1]].T
    two = velocity(recipes.multi_head(recipe, 2))(entries)
    np.testing.assert_allclose(two, velocity(alone)(entries), rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize("attend", [recipes.softmax, recipes.l2, recipes.sinkhorn])
def test_velocity_is_that_of_the_attention(attend):
    recipe = recipes.both()
    attention, S = attend(recipe), 3 * recipe.starts[::40]
    B = attention(tp.Gaussian.from_covariance(np.zeros(2), S)).linear
    wanted = B @ S + S @ B.mT
    entries = (slice(None), [0, 0, 1], [0, 1, 1])
    found = velocity(attention)(S[entries].T)
    np.testing.assert_allclose(found, wanted[entries].T, rtol=1e-10, atol=1e-12)


def test_euler_is_of_order_one():
    recipe = recipes.two_lines()
    attention = recipes.l2(recipe)
    exact = tp.flow(recipe.gaussians, attention, 1.0, rtol=1e-11, atol=1e-13).final.covariance
    errors = [
        np.abs(euler_path(attention, recipe.starts, 1 / n, n)[-1] - exact).max()
        for n in (100, 200, 400)
    ]
    np.testing.assert_allclose(np.log2(np.divide(errors[:-1], errors[1:])), 1.0, atol=0.05)


def test_step_out_of_the_cone_is_projected():
    head = tp.Softmax(np.eye(2), -np.eye(2), np.eye(2))
    S = np.diag([0.9, 0.1])[None]
    after = euler_path(head, S, 1.0, 1)[1, 0]  # 0.9 - 2 * 0.81 is negative
    np.testing.assert_allclose(after, np.diag([1e-14, 0.1 - 0.02]), atol=1e-16)
    assert euler_until(head, S, step=1.0, tolerance=1e-3, steps=5).clipped == 1


def test_rule_keeps_the_last_state_within_its_bounds():
    head = tp.Softmax(np.eye(1, 2), np.eye(1, 2), np.eye(2))
    S = np.stack([np.diag([1.0, 1.0]), np.diag([1e-6, 1.0])])
    run = euler_until(head, S, step=0.1, tolerance=1e-9, largest=1.9, steps=3)
    assert run.reasons.tolist() == ["diverged", "converged"]
    assert run.steps.tolist() == [1, 1]
    np.testing.assert_array_equal(run.covariances, S)
    unfinished = euler_until(head, S[:1], step=1e-3, tolerance=1e-9, steps=3)
    assert unfinished.reasons.tolist() == ["unfinished"]
    np.testing.assert_allclose(unfinished.traces, 1 + 1.002**3, rtol=1e-5)


def test_stopped_gives_angles_and_ratios():
    run = euler_until(
        tp.Softmax(np.eye(2), -np.eye(2), np.eye(2)),
        np.array([[[1.0, 0.0], [0.0, 4.0]], [[2.0, 1.0], [1.0, 2.0]]]),
        step=1.0,
        tolerance=1e9,
    )
    np.testing.assert_allclose(run.angles, [90.0, 45.0])
    np.testing.assert_allclose(run.ratios, [0.25, 1 / 3])
    np.testing.assert_allclose(run.norms, [17**0.5, 10**0.5])


@pytest.mark.parametrize("kind", ["softmax", "l2"])
def test_the_path_of_the_rule_runs_from_the_start_to_its_stop_along_the_exact_curve(kind):
    """With one row an Euler step errs in time only: the inverse moves by a multiple of qq^T."""
    recipe, rule = recipes.line(), {"step": 0.5, "tolerance": 1e-4}
    attention = getattr(recipes, kind)(recipe)
    run = euler_until(attention, recipe.starts, **rule)
    np.testing.assert_array_equal(run.path[0], recipe.starts)
    np.testing.assert_array_equal(run.path[-1], run.covariances)
    np.testing.assert_array_equal(run.path[:20], euler_path(attention, recipe.starts, 0.5, 19))
    q = recipe.query[0]
    p = np.array([-q[1], q[0]])
    moved = np.linalg.inv(run.path) - np.linalg.inv(recipe.starts)
    off = np.stack([moved @ p @ p, moved @ p @ q])
    assert np.abs(off).max() < 1e-9 * np.abs(moved).max()
    assert len(run.path) < 400


def test_the_redrawing_has_the_ends_of_the_rule_and_the_frame_of_the_figure():
    recipe = recipes.line()
    data = figures.data("trad_rank_1")
    run = euler_until(
        recipes.softmax(recipe), recipe.starts, **PEER["figures"]["trad_rank_1"]["rule"]
    )
    drawn = side_by_side.by_rule(data, run)
    assert drawn.arrays.keys() == data.arrays.keys()
    assert drawn.arrays["covariances"].shape == data.arrays["covariances"].shape
    np.testing.assert_allclose(drawn.arrays["covariances"][[0, -1]], run.path[[0, -1]], atol=1e-12)
    gaps = np.linalg.norm(
        drawn.arrays["covariances"][-1] - data.arrays["covariances"][-1], axis=(1, 2)
    )
    assert gaps.min() > 1e-3  # the tolerance stops it beside the limit
    few = euler_until(recipes.softmax(recipe), recipe.starts[:3], step=0.5, tolerance=1e-4)
    with pytest.raises(ValueError, match="must have the 100 starts of the figure; got 3"):
        side_by_side.by_rule(data, few)


def test_two_heads_that_the_script_does_not_run_are_not_redrawn():
    recipe = recipes.both()
    data = figures.data("MH_both")
    run = euler_until(recipes.multi_head(recipe, 1), recipe.starts, step=0.002, tolerance=9.0)
    drawn = side_by_side.by_rule(data, run)
    assert set(data.arrays) - set(drawn.arrays) == {"points_two_heads"}
    figure = side_by_side.beside("MH_both", data, run)
    titles = [part.get_suptitle() for part in figure.subfigs]
    assert titles == list(side_by_side.TITLES)
    plt.close(figure)


# --- what a page prints --------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in PEER["figures"] if "histograms" not in n])
def test_summary_holds_every_number_of_the_script_and_no_other(name):
    entry = PEER["figures"][name]
    text = re.sub(r"\s+", " ", summary(entry))
    assert entry["shows"] in text
    for key, value in entry.items():
        if key in ("shows", "cpu_seconds", "defect", "exact") or value == 0:
            continue
        if key in entry.get("exact", ()):
            assert f"{key.replace('_', ' ')}:" not in text
            continue
        numbers = value.values() if isinstance(value, dict) else np.atleast_1d(value)
        for number in numbers:
            shown = f"{number:g}" if key == "rule" else str(number)
            assert shown in text, key


# --- the pages together --------------------------------------------------------------------------


OVERVIEW = (BOOK / "reproduction" / "index.md").read_text(encoding="utf-8")
LEDGER = contract.claims.load(BOOK / "claims.yml")


def pages():
    return {f"book/reproduction/{path.stem}": copy.deepcopy(contract.read(path)) for path in PAGES}


def test_ledger_peer_and_pages_have_the_same_figures_and_verdicts():
    assert contract.verdict_problems(LEDGER, set(PEER["figures"]), pages()) == []


def change(name, **entries):
    def spoil(rows, book):
        next(row for row in rows if row["figure"] == name).update(entries)

    return spoil


def rewrite(old, new):
    def spoil(rows, book):
        cells = [cell for page in book.values() for cell in page.cells if old in cell.source]
        assert cells
        for cell in cells:
            cell.source = cell.source.replace(old, new)

    return spoil


SPOILT = {
    "verdict in the ledger": (
        change("L2_both", verdict="corrected"),
        r"`L2_both`: corrected in the ledger, \['discrepancy'\] on book/reproduction/both",
    ),
    "verdict on a page": (
        rewrite("**Verdict: discrepancy.**\nThe script counts", "**Verdict: reproduced.**\nThe"),
        r"`L2_both`: discrepancy in the ledger, \['reproduced'\]",
    ),
    "two verdicts on a page": (
        rewrite("The script counts six", "**Verdict: corrected.**\nThe script counts six"),
        r"`L2_both`: discrepancy in the ledger, \['discrepancy', 'corrected'\]",
    ),
    "no row": (lambda rows, book: rows.remove(rows[-1]), "`histograms_L2` has 0 rows"),
    "two rows": (lambda rows, book: rows.append(rows[-1]), "`histograms_L2` has 2 rows"),
    "unknown figure": (change("MH_both", figure="MH_all"), "`MH_all` is not in peer.yml"),
    "no section": (rewrite("Figure `MH_both`", "Figure"), "`MH_both` is on no page"),
    "unknown section": (
        rewrite("Figure `MH_both`", "Figure `MH_all`"),
        "`MH_all` is not in peer.yml",
    ),
    "other page": (
        change("MH_both", chapter="book/reproduction/zero"),
        "`MH_both`: on book/reproduction/both, in the ledger on book/reproduction/zero",
    ),
    "other picture": (change("MH_both", anchor="fig-l2-both"), "is named fig-l2-both"),
    "number": (
        change("trad_both_V", statement="Softmax: 590 starts converge. Tolerance: 1234."),
        "`trad_both_V`: 590 of the ledger is printed by no cell",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_verdict_out_of_step_is_caught(name):
    spoil, message = SPOILT[name]
    rows, book = [dict(row) for row in LEDGER if row.get("figure")], pages()
    spoil(rows, book)
    problems = contract.verdict_problems(rows, set(PEER["figures"]), book)
    assert any(re.search(message, problem) for problem in problems), problems


def test_overview_and_errata_are_made_from_the_ledger():
    """The overview says no verdict itself; the errata list every one but "reproduced"."""
    assert [(b.argument, b.options) for b in source.directives(OVERVIEW, "verdicts")] == [("", {})]
    assert not source.table_rows(OVERVIEW)
    errata = (BOOK / "errata.md").read_text(encoding="utf-8")
    listed = [b.options.get("verdict") for b in source.directives(errata, "claims")]
    assert sorted(listed) == sorted({*contract.claims.VERDICTS} - {"reproduced"})
    for verdict in contract.claims.VERDICTS:
        assert f"- *{verdict.capitalize()}*: " in OVERVIEW


def test_overview_counts_the_figures():
    plane = [name for name in PEER["figures"] if not name.startswith("histograms_")]
    assert len(plane) == PEER["total"]["figures"] == len(PEER["figures"]) - 2
    assert f"{len(plane)} in the plane, and two histograms of ranks" in OVERVIEW
    assert [row["figure"] for row in LEDGER if row.get("figure")] == list(PEER["figures"])


def test_overview_names_the_version_and_says_what_is_not_known():
    source = PEER["source"]
    assert f"<{source['repository']}> at commit `{source['commit']}`" in OVERVIEW
    assert f"of {source['date'].day} {source['date']:%B %Y}" in OVERVIEW
    assert "not known whether the printed figures came from this version" in OVERVIEW


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_page_says_what_is_not_known_and_no_comparison_fails(path):
    page = contract.read(path)
    prose = "\n".join(cell.source for cell in page.cells if cell.cell_type == "markdown")
    assert "not known whether the printed figures came from this version" in prose
    shown = "\n".join(contract.printed(cell) for _, cell in contract.code_cells(page))
    if path.stem != "ranks":
        assert "False" not in shown
        sections = contract.reproduced(page)
        assert shown.count("as many steps as the script: True") == len(sections)
