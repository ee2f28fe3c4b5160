"""The flow of planar covariances on its own clock: against the fields, the flow, and LSODA."""

import numpy as np
import pytest
from scipy import integrate

import transpde as tp
from transpde import figures
from transpde.disc import disc_coordinates
from transpde.figures import frontispiece, recipes
from transpde.figures.covariance_paths import (
    OnClock,
    by_arc_length,
    clock_ticks,
    planar_paths,
)


# Each figure: its problem, its attention, and where on the clock the comparison ends: before LSODA
# itself, which carries thin and large covariances by direction and size alone, is off by 1e-6.
def _heads(number):
    return lambda recipe: recipes.multi_head(recipe, number)


FIGURES = {
    "trad_neg_def_V": (recipes.zero, recipes.softmax, 12.0),
    "L2_neg_def_V": (recipes.zero, recipes.l2, 12.0),
    "MH_neg_def_V": (recipes.zero, _heads(2), 9.0),
    "sink_convergence": (recipes.zero, recipes.sinkhorn, 12.0),
    "trad_rank_1": (recipes.line, recipes.softmax, 8.0),
    "L2_rank_1": (recipes.line, recipes.l2, 8.0),
    "MH_rank_1": (recipes.line, _heads(2), 5.0),
    "trad_mixed_3d": (recipes.two_lines, recipes.softmax, 9.0),
    "L2_mixed_3d": (recipes.two_lines, recipes.l2, 9.0),
    "trad_explosion": (recipes.explosion, recipes.softmax, 4.0),
    "MH_explosion": (recipes.explosion, _heads(2), 4.0),
    "L2_divergence": (recipes.explosion, recipes.l2, 7.0),
    "sink_divergence": (recipes.explosion, recipes.sinkhorn, 6.0),
    "trad_both_V": (recipes.both, recipes.softmax, 12.0),
    "L2_both": (recipes.both, recipes.l2, 12.0),
    "MH_both": (recipes.both, _heads(1), 12.0),
    "MH_both, two heads": (recipes.both, _heads(2), 14.0),
}


def _linear_part(kind, recipe, S):
    """B of an attention, written from its definition in the scripts."""
    Q, K, V = recipe.query, recipe.key, recipe.value
    A = K.T @ Q
    if kind == "softmax":
        return V @ S @ A / np.sqrt(2)
    if kind == "l2":
        return V @ np.linalg.solve(np.eye(2) + 2 * S @ K.T @ K, 2 * S @ A / np.sqrt(2))
    if kind == "sinkhorn":
        values, axes = np.linalg.eigh(S)
        root = axes @ np.diag(np.sqrt(np.maximum(values, 0.0))) @ axes.T
        U, a, _ = np.linalg.svd(root @ A @ root)
        return V @ root @ U @ np.diag(2 / (1 + np.sqrt(1 + 4 * a**2))) @ U.T @ root @ A
    heads = {"one": 1, "two": 2}[kind]
    k, B = 2 // heads, np.zeros((2, 2))
    for h in range(heads):
        own = slice(h * k, (h + 1) * k)
        if len(Q[own]):
            B[own] += V[own] @ S @ K[own].T @ Q[own] / np.sqrt(k)
    return B


KINDS = {recipes.softmax: "softmax", recipes.l2: "l2", recipes.sinkhorn: "sinkhorn"}


def _kind(name, attend):
    if attend in KINDS:
        return KINDS[attend]
    return "one" if name == "MH_both" else "two"


@pytest.mark.parametrize("name", FIGURES)
def test_paths_of_every_figure_agree_with_lsoda(name):
    problem, attend, end = FIGURES[name]
    recipe, kind = problem(), _kind(name, attend)
    places = np.linspace(0.0, end, 7)
    paths = planar_paths(attend(recipe), recipe.starts, places)

    def rate(_, state):
        p, q, log_size = state
        D = np.array([[1 + p, q], [q, 1 - p]]) / 2
        BD = _linear_part(kind, recipe, np.exp(log_size) * D) @ D
        growth = 2 * np.trace(BD)
        moved = BD + BD.T - growth * D
        return moved[0, 0] - moved[1, 1], 2 * moved[0, 1], growth

    for case in (1, len(recipe.starts) - 4):
        S0, times = recipe.starts[case], paths.times[:, case]
        first = [S0[0, 0] - S0[1, 1], 2 * S0[0, 1], np.log(np.trace(S0))]
        exact = integrate.solve_ivp(
            rate, (0.0, times[-1]), first, "LSODA", t_eval=times, rtol=1e-12, atol=1e-12
        ).y
        np.testing.assert_allclose(paths.points[:, case], exact[:2].T, atol=1e-6, rtol=0)
        # Near a blow-up a time that is off by one part in 1e12 changes the size by more.
        found, shown = paths.log_sizes[:, case], exact[2] < 8
        np.testing.assert_allclose(found[shown], exact[2][shown], atol=1e-6, rtol=0)


def _lsoda(S0, A, times):
    """Covariances under softmax with V = I, in three entries."""

    def rate(_, entries):
        S = entries[[0, 1, 1, 2]].reshape(2, 2)
        R = S @ A @ S
        return (R + R.T)[[0, 0, 1], [0, 1, 1]]

    first, span = S0[[0, 0, 1], [0, 1, 1]], (0.0, times[-1])
    run = integrate.solve_ivp(rate, span, first, "LSODA", t_eval=times, rtol=1e-12, atol=1e-14)
    return run.y[[0, 1, 1, 2]].T.reshape(-1, 2, 2)


def test_ellipses_of_the_frontispiece_agree_with_lsoda():
    data = figures.data("frontispiece")
    flat, wild = data.parameters["query_left"], data.parameters
    sides = {
        "clustering": (-flat.T @ flat, lambda row: frontispiece.DEPTHS),
        "blow_up": (
            wild["key"].T @ wild["query"],
            lambda row: frontispiece.SHARES * data.arrays["blowup_times"][row],
        ),
    }
    for side, (A, times) in sides.items():
        S = data.arrays[side]
        for row in (0, 3):
            exact = _lsoda(S[0, row], A / np.sqrt(2), times(row))
            np.testing.assert_allclose(S[:, row], exact, atol=1e-6, rtol=0)


def test_rays_that_are_drawn_agree_with_lsoda():
    data, recipe = figures.data("trad_explosion"), recipes.explosion()
    A = recipe.key.T @ recipe.query / np.sqrt(2)
    for case in (5, 600, 1100):
        times = data.arrays["times"][:5] * data.arrays["blowup_times"][case]
        exact = _lsoda(recipe.starts[case], A, times)
        points = disc_coordinates(exact)
        np.testing.assert_allclose(data.arrays["paths"][:5, case], points, atol=1e-6, rtol=0)


@pytest.mark.parametrize("attend", [recipes.softmax, recipes.l2, recipes.sinkhorn, _heads(2)])
def test_closed_forms_in_the_plane_are_those_of_the_attentions(attend):
    attention = attend(recipes.both())
    G = np.random.default_rng(0).normal(size=(20, 2, 2))
    S = G @ np.swapaxes(G, 1, 2) * np.geomspace(1e-6, 1e6, 20)[:, None, None]
    entries = np.stack([S[:, 0, 0], S[:, 0, 1], S[:, 1, 1]])
    found = OnClock(attention).linear(entries, np.linalg.det(S)).T.reshape(-1, 2, 2)
    B = attention(tp.Gaussian.from_covariance(np.zeros(2), S)).linear
    size = np.linalg.norm(B, axis=(1, 2))
    assert (np.linalg.norm(found - B, axis=(1, 2)) / size).max() < 1e-9


@pytest.mark.parametrize("attend", [recipes.softmax, recipes.l2, recipes.sinkhorn, _heads(2)])
def test_clock_changes_the_pace_alone(attend):
    """The paths go through the states of the flow in time, at the times that they tell."""
    recipe = recipes.explosion()
    starts, attention = recipe.starts[::97], attend(recipe)
    found = planar_paths(attention, starts, np.array([0.0, 0.5, 1.5]))
    assert (np.diff(found.times, axis=0) > 0).all()
    for case, start in enumerate(starts):
        gaussian = tp.Gaussian.from_covariance(np.zeros(2), start)
        path = tp.flow(gaussian, attention, found.times[:, case])
        np.testing.assert_allclose(found.log_sizes[:, case], path.log_sizes, atol=1e-7)
        points = disc_coordinates(path.directions)
        np.testing.assert_allclose(found.points[:, case], points, atol=1e-7)


@pytest.mark.parametrize("attend", [recipes.softmax, recipes.l2, recipes.sinkhorn, _heads(2)])
def test_pace_of_the_clock_is_its_definition(attend):
    """ds = (|B| + 1 / (1 + t)) dt, and log(1 + t) in the place of the mean."""
    recipe = recipes.both()
    attention, t = attend(recipe), np.linspace(0.0, 3.0, 7)
    X = np.random.default_rng(1).normal(size=(7, 2, 2))
    mean = np.stack([np.log1p(t), 0 * t], axis=-1)
    clocked = OnClock(attention)(tp.Gaussian(mean, factor=X))
    B = attention(tp.Gaussian(np.zeros((7, 2)), factor=X)).linear
    pace = np.linalg.norm(B, axis=(1, 2)) + 1 / (1 + t)
    np.testing.assert_allclose(clocked.linear, B / pace[:, None, None], rtol=1e-11, atol=1e-13)
    drift = clocked(mean[:, None])[:, 0]
    np.testing.assert_allclose(drift[:, 0], 1 / (1 + t) / pace, rtol=1e-11)
    np.testing.assert_allclose(drift[:, 1], 0.0, atol=1e-13)
    start = np.array([[0.5, 0.2], [0.2, 0.3]])[None]
    moves = OnClock(attention).of_gaussians(False)
    _, turn = moves(mean, X, np.zeros((7, 2)))
    np.testing.assert_allclose(turn, clocked.linear @ X, rtol=1e-11, atol=1e-13)
    s = np.linspace(0.0, 2.0, 201)
    found = planar_paths(attention, start, s)
    B = attention(tp.Gaussian.from_covariance(np.zeros(2), found.covariances[:, 0])).linear
    pace = np.linalg.norm(B, axis=(1, 2)) + 1 / (1 + found.times[:, 0])
    along = integrate.cumulative_simpson(pace, x=found.times[:, 0], initial=0.0)
    np.testing.assert_allclose(along, s, atol=1e-6)


def test_determinant_is_kept_as_a_coordinate_of_its_own():
    recipe = recipes.two_lines()
    paths = planar_paths(recipes.softmax(recipe), recipe.starts, np.linspace(0.0, 6.0, 4))
    det = np.linalg.slogdet(paths.covariances)[1]
    np.testing.assert_allclose(paths.log_dets, det, atol=1e-5)
    S = paths.covariances[-1]
    values = np.linalg.eigvalsh(S)
    np.testing.assert_allclose(paths.eigenvalue_ratios, values[:, 0] / values[:, 1], rtol=1e-5)
    np.testing.assert_allclose(paths.norms, np.linalg.norm(S, axis=(1, 2)))


def test_blowup_times_are_those_of_the_closed_form():
    recipe = recipes.explosion()
    paths = planar_paths(recipes.softmax(recipe), recipe.starts, np.array([0.0, 60.0]))
    A = recipe.key.T @ recipe.query / np.sqrt(2)
    X = recipe.gaussians.factor
    exact = 1 / np.linalg.eigvalsh(np.swapaxes(X, 1, 2) @ (A + A.T) @ X)[:, -1]
    np.testing.assert_allclose(paths.blowup_times, exact, rtol=1e-8)


def test_clock_is_dense_at_the_start():
    places = clock_ticks(10.0, 4)
    np.testing.assert_allclose(places, [0.0, 0.625, 2.5, 5.625, 10.0])


def test_evenly_spaced_points_keep_ends_and_length():
    t = np.linspace(0.0, 1.0, 400) ** 3
    circle = np.stack([np.cos(t), np.sin(t)], axis=-1)[:, None]
    chosen = by_arc_length(circle, 5)
    angles = np.arctan2(chosen[:, 0, 1], chosen[:, 0, 0])
    np.testing.assert_allclose(angles, np.linspace(0.0, 1.0, 5), atol=1e-5)


def test_sinkhorn_of_another_epsilon_is_refused():
    r = recipes.zero()
    with pytest.raises(ValueError, match="epsilon = 1; got 2"):
        planar_paths(tp.Sinkhorn(r.query, r.key, r.value, 2.0), r.starts, np.array([0.0, 1.0]))


def test_starts_of_rank_one_are_refused():
    with pytest.raises(ValueError, match="starts: must have a positive determinant"):
        planar_paths(recipes.softmax(recipes.zero()), np.diag([1.0, 0.0])[None], [0.0, 1.0])


def test_the_clock_of_a_figure_needs_no_other():
    """A flow that is told nothing of it puts its own clock on top, to the same ends."""

    class Untold(OnClock):
        steady = False

    recipe = recipes.both()
    starts, places = recipe.gaussians[::80], np.array([0.0, 3.0, 12.0])
    ends = [
        tp.flow(starts, kind(recipes.softmax(recipe)), places).final for kind in (OnClock, Untold)
    ]
    assert OnClock.steady
    assert not tp.Softmax.steady
    np.testing.assert_allclose(ends[0].log_size, ends[1].log_size, atol=1e-7)
    np.testing.assert_allclose(ends[0].mean, ends[1].mean, atol=1e-7)
