"""Drawings are checked by the data of their artists."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb

import transpde as tp
from transpde import attention as attentions
from transpde import disc, plotting
from transpde.plotting.measures import outline

EYE = np.eye(2)


@pytest.fixture(scope="module")
def gaussian_path():
    start = tp.Gaussian([0.5, -0.5], [[1.0, 0.2], [0.3, 0.8]])
    return tp.flow(start, tp.Softmax(EYE, -EYE, EYE), 1.0)


@pytest.fixture(scope="module")
def stack_path():
    """Two blow-ups at different times, NaN after each, and one case without any."""
    start = tp.Gaussian(np.zeros((3, 2)), np.array([1.0, 0.7, 0.1])[:, None, None] * EYE)
    return tp.flow(start, tp.Softmax(EYE, EYE, EYE), np.linspace(0.0, 2.0, 21))


def tokens(n=7, d=2, weights=None):
    return tp.Particles(np.random.default_rng(0).normal(size=(n, d)), weights)


# --- colours ---------------------------------------------------------------------------------


def test_every_attention_has_a_style():
    book = {
        "Softmax",
        "L2",
        "Sinkhorn",
        "Sigmoid",
        "Linear",
        "Unnormalized",
        "MultiHead",
        "Masked",
    }
    assert set(plotting.STYLES) == book
    public = {n for n in attentions.__all__ if isinstance(getattr(attentions, n), type)}
    looks = [plotting.attention_style(getattr(attentions, name)) for name in public]
    assert all(look.keys() == {"color", "linestyle", "label"} for look in looks)


def test_an_attention_of_a_reader_is_dotted_in_ink_under_its_name():
    class Cauchy(tp.Softmax):
        pass

    look = plotting.attention_style(Cauchy(EYE, EYE, EYE))
    assert look["label"] == "cauchy"
    assert look["color"] not in {style["color"] for style in plotting.STYLES.values()}


def test_styles_differ_in_colour_and_in_line():
    for key in ("color", "linestyle", "label"):
        assert len({str(style[key]) for style in plotting.STYLES.values()}) == 8


def test_attention_style_takes_instance_class_and_name():
    head = tp.L2(EYE, EYE, EYE)
    wanted = plotting.attention_style("L2")
    assert plotting.attention_style(head) == plotting.attention_style(tp.L2) == wanted
    assert plotting.attention_style(head + tp.AffineField(EYE)) == wanted
    wanted["color"] = "red"
    assert plotting.STYLES["L2"]["color"] != "red"
    with pytest.raises(ValueError, match="must be one of Softmax, L2"):
        plotting.attention_style("cosine")


# --- tokens, fields, flows -------------------------------------------------------------------


def test_particles_have_area_proportional_to_weight():
    cloud = tokens(4, weights=[0.1, 0.2, 0.3, 0.4])
    dots = plotting.plot_particles(cloud, size=10.0).collections[0]
    np.testing.assert_allclose(dots.get_sizes(), 40.0 * cloud.weights)
    np.testing.assert_array_equal(dots.get_offsets(), cloud.points)


def test_particles_of_the_line_stand_on_it():
    ax = plotting.plot_particles(tokens(5, 1))
    assert (ax.collections[0].get_offsets()[:, 1] == 0).all()
    assert not ax.yaxis.get_visible()


def test_wrong_dimension_or_kind():
    with pytest.raises(ValueError, match="particles: must have dimension 1 or 2; got 3"):
        plotting.plot_particles(tokens(5, 3))
    with pytest.raises(TypeError, match="particles: must be Particles; got Gaussian"):
        plotting.plot_particles(tp.Gaussian([0.0, 0.0], EYE))
    with pytest.raises(ValueError, match="gaussian: its dimension must be that of the plane, 2"):
        plotting.plot_ellipse(tp.Gaussian(np.zeros(3), np.eye(3)))


def test_without_axes_the_current_ones_are_used():
    _, (left, right) = plt.subplots(1, 2)
    plt.sca(right)
    assert plotting.plot_particles(tokens()) is right
    assert plotting.plot_particles(tokens(), ax=left) is left


def test_no_global_style_is_changed(gaussian_path):
    before = dict(plt.rcParams)
    plotting.plot_flow(gaussian_path)
    plotting.plot_disc(gaussian_path.directions, ax=plt.figure().add_subplot())
    plotting.plot_cone(gaussian_path.covariances, ax=plt.figure().add_subplot(projection="3d"))
    assert dict(plt.rcParams) == before


def test_flow_of_tokens_has_paths_starts_and_ends():
    path = tp.flow(tokens(), tp.Softmax(EYE, EYE, 0.3 * EYE), 1.0)
    lines, starts, ends = plotting.plot_flow(path).collections
    np.testing.assert_array_equal(lines.get_segments()[3], path.points[:, 3])
    np.testing.assert_array_equal(starts.get_offsets(), path.points[0])
    np.testing.assert_array_equal(ends.get_offsets(), path.final.points)


def test_flow_on_the_line_is_drawn_against_time():
    path = tp.flow(tokens(3, 1), tp.Softmax([[1.0]], [[1.0]], [[0.3]]), 1.0)
    ax = plotting.plot_flow(path)
    segment = ax.collections[0].get_segments()[1]
    np.testing.assert_array_equal(segment, np.column_stack([path.times, path.points[:, 1, 0]]))
    assert ax.get_xlabel() == "depth $t$"


def test_flow_of_a_gaussian_has_ellipses_and_the_mean(gaussian_path):
    ax = plotting.plot_flow(gaussian_path, shown=5)
    ellipses = ax.collections[0]
    np.testing.assert_allclose(ellipses.get_array(), [0.0, 0.25, 0.5, 0.75, 1.0])
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), gaussian_path.means)


def test_snapshots_have_a_row_a_name_and_a_panel_a_time():
    start, times = tp.Gaussian([0.0, 0.5], 0.5 * EYE), [0.0, 0.1, 0.4]
    heads = {"softmax": tp.Softmax(EYE, EYE, -EYE), "l2": tp.L2(EYE, EYE, -EYE)}
    clouds = {n: tp.flow(start.sample(7, seed=1), h, times) for n, h in heads.items()}
    ellipses = {n: tp.flow(start, h, times) for n, h in heads.items()}
    axes = plotting.plot_snapshots(clouds, ellipses, styles=heads)
    assert axes.shape == (2, 3)
    drawn = axes[1, 2].collections[0]
    np.testing.assert_array_equal(drawn.get_offsets(), clouds["l2"].points[2])
    color = plotting.attention_style(heads["l2"])["color"]
    assert to_rgb(drawn.get_facecolor()[0, :3]) == to_rgb(color)
    expected = plt.figure().add_subplot()
    plotting.plot_ellipse(ellipses["l2"][2], ax=expected)
    np.testing.assert_allclose(axes[1, 2].lines[0].get_xydata(), expected.lines[0].get_xydata())
    assert [ax.get_title() for ax in axes[0]] == [f"softmax, depth {t:g}" for t in times]
    with pytest.raises(ValueError, match="ellipses: must have the names of clouds"):
        plotting.plot_snapshots(clouds, {"l2": ellipses["l2"]}, styles=heads)
    other = ellipses | {"l2": tp.flow(start, heads["l2"], 1.0)}
    with pytest.raises(ValueError, match="ellipses: the times of 'l2' must be those of its cloud"):
        plotting.plot_snapshots(clouds, other, styles=heads)


def test_flow_errors(stack_path):
    with pytest.raises(ValueError, match="trajectory of one Gaussian"):
        plotting.plot_flow(stack_path)
    with pytest.raises(ValueError, match="dimension 1 or 2; got 3"):
        plotting.plot_flow(tp.layers(tokens(4, 3), tp.Softmax(*[np.eye(3)] * 3), 1, 0.1))
    with pytest.raises(TypeError, match="trajectory: must be Trajectory"):
        plotting.plot_flow(tokens())


def test_field_arrows_are_the_velocities():
    field = tp.AffineField([[0.0, 1.0], [-1.0, 0.0]])
    ax = plotting.plot_field(field, xlim=(-1, 1), ylim=(0, 1), count=3)
    arrows = ax.collections[0]
    np.testing.assert_allclose(np.column_stack([arrows.U, arrows.V]), field(arrows.get_offsets()))
    assert len(arrows.U) == 9
    with pytest.raises(ValueError, match=r"xlim: must be \(low, high\)"):
        plotting.plot_field(field, xlim=(1.0, 1.0))
    with pytest.raises(ValueError, match="field: must return one velocity a point"):
        plotting.plot_field(lambda x: x[:, 0])


# --- ellipses --------------------------------------------------------------------------------

ENTRIES = st.floats(-2.0, 2.0)


@settings(max_examples=25, deadline=None)
@given(st.lists(ENTRIES, min_size=6, max_size=6), st.floats(0.5, 3.0))
def test_ellipse_satisfies_its_equation(numbers, level):
    X = np.reshape(numbers[:4], (2, 2)) + 5 * EYE
    points = outline(tp.Gaussian(numbers[4:], X), level)
    inside = np.linalg.solve(X, (points - numbers[4:]).T)
    np.testing.assert_allclose(np.linalg.norm(inside, axis=0), level, rtol=1e-12)


def test_ellipse_counts_the_scale_and_the_levels():
    gaussian = tp.Gaussian([1.0, 2.0], [[2.0, 0.0], [1.0, 1.0]], log_scale=np.log(4.0))
    ax = plotting.plot_ellipse(gaussian, levels=(1.0, 3.0), fill=0.2)
    for line, level in zip(ax.lines, (1.0, 3.0), strict=True):
        centred = line.get_xydata() - gaussian.mean
        form = (centred * np.linalg.solve(gaussian.covariance, centred.T).T).sum(axis=1)
        np.testing.assert_allclose(form, level**2, rtol=1e-12)
    assert len(ax.patches) == 2


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_rank_one_is_a_segment(columns):
    X = np.outer([3.0, 4.0], np.ones(columns) / np.sqrt(columns))
    segment = plotting.plot_ellipse(tp.Gaussian([1.0, 1.0], X)).lines[0].get_xydata()
    ends = segment[np.argsort(segment[:, 0])]
    np.testing.assert_allclose(ends, [[-5.0, -7.0], [7.0, 9.0]], rtol=1e-12)


def test_a_wide_factor_has_the_ellipse_of_its_covariance():
    gaussian = tp.Gaussian([0.0, 0.0], [[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]])
    points = outline(gaussian, 2.0)
    form = (points * np.linalg.solve(gaussian.covariance, points.T).T).sum(axis=1)
    np.testing.assert_allclose(form, 4.0, rtol=1e-12)


@pytest.mark.parametrize("factor", [EYE, [[3.0], [-4.0]], [[0.0], [-2.0]]])
def test_ellipse_has_no_sign_and_no_first_axis(factor):
    """A circle has every axis, an axis two signs: rounding shall not choose what is drawn."""
    X = np.asarray(factor, dtype=float)
    drawn = outline(tp.Gaussian([1.0, 2.0], X), 2.0)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    same = [-X, X @ (turn if X.shape == (2, 2) else -1.0 * np.eye(1)), X * (1 + 1e-15)]
    for other in same:
        points = outline(tp.Gaussian([1.0, 2.0], other), 2.0)
        np.testing.assert_allclose(points, drawn, rtol=0, atol=1e-13)


def test_rank_zero_is_a_dot():
    line = plotting.plot_ellipse(tp.Gaussian([1.0, 2.0], [[0.0], [0.0]])).lines[0]
    np.testing.assert_array_equal(line.get_xydata(), [[1.0, 2.0]])
    assert line.get_marker() == "."


def test_ellipse_errors():
    single = tp.Gaussian([0.0, 0.0], EYE)
    with pytest.raises(ValueError, match="Use plot_ellipses"):
        plotting.plot_ellipse(tp.Gaussian(np.zeros((2, 2)), EYE))
    with pytest.raises(ValueError, match="levels: must be a positive finite number"):
        plotting.plot_ellipse(single, levels=(0.0,))
    with pytest.raises(ValueError, match="too large to be drawn"):
        plotting.plot_ellipse(tp.Gaussian([0.0, 0.0], EYE, log_scale=2000.0))
    with pytest.raises(ValueError, match="values: its length must be that of gaussians, 1"):
        plotting.plot_ellipses(single, values=[1.0, 2.0])


def test_ellipses_of_a_stack_a_list_and_a_trajectory(gaussian_path):
    means = np.arange(6.0).reshape(3, 2)
    stack = tp.Gaussian(means, [EYE, [[1.0, 0.0], [1.0, 0.0]], 0 * EYE])
    ax = plotting.plot_ellipses(stack, values=[5.0, 6.0, 7.0])
    np.testing.assert_array_equal(ax.collections[0].get_array(), [5.0, 6.0, 7.0])
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[4.0, 5.0]])
    drawn = plotting.plot_ellipses([stack[0], stack[1]]).collections[-1]
    np.testing.assert_array_equal(drawn.get_array(), [0.0, 1.0])
    drawn = plotting.plot_ellipses(gaussian_path).collections[-1]
    np.testing.assert_array_equal(drawn.get_array(), gaussian_path.times)


def test_ellipses_leave_out_what_has_ended(stack_path):
    with pytest.raises(ValueError, match="trajectory of one Gaussian"):
        plotting.plot_ellipses(stack_path)
    at_one = plotting.plot_ellipses(stack_path(0.75)).collections[0]
    np.testing.assert_array_equal(at_one.get_array(), [1.0, 2.0])


# --- cone and disc ---------------------------------------------------------------------------


def test_disc_has_paths_and_ends(stack_path):
    values = [3.0, 2.0, 1.0]
    ax = plotting.plot_disc(stack_path.directions, values=values)
    rays, ends = ax.collections
    np.testing.assert_array_equal(rays.get_array(), values)
    np.testing.assert_array_equal(ends.get_array(), values)
    np.testing.assert_allclose(ends.get_offsets(), 0.0, atol=1e-12)  # isotropic to the end
    assert ax.patches[0].get_radius() == 1.0
    assert {text.get_text() for text in ax.texts} == {"rank one", "isotropic"}
    assert ax.get_aspect() == 1.0


def test_disc_colours_by_initial_w_and_ends_at_the_last_finite_point():
    u, w = np.array([0.0, 0.1, 0.2]), np.array([0.5, 0.3, 0.1])
    rows = [np.stack([1 + u, w], -1), np.stack([w, 1 - u], -1)]
    path = np.stack(rows, axis=-2) * np.array([1.0, 5.0, 1e9])[:, None, None]
    path = np.concatenate([path, np.full((1, 2, 2), np.nan)])
    rays, ends = plotting.plot_disc(path).collections
    np.testing.assert_array_equal(rays.get_array(), [0.5])
    np.testing.assert_allclose(ends.get_offsets(), [[0.2, 0.1]], rtol=1e-12)


def test_cone_has_curves_ends_and_labels(stack_path):
    ax = plotting.plot_cone(stack_path.covariances[:8], height=2.0)
    curves = [line for line in ax.lines if len(line.get_data_3d()[0]) == 8]
    wanted = disc.cone_coordinates(stack_path.covariances[:8])
    for i, line in enumerate(curves):
        np.testing.assert_allclose(np.transpose(line.get_data_3d()), wanted[:, i])
    assert len(curves) == 3
    assert "Sigma_{12}" in ax.get_ylabel()
    assert ax.get_zlim()[1] >= 2.0
    assert plotting.plot_cone(stack_path.covariances[:3, 0]) is ax


def test_cone_and_disc_errors():
    with pytest.raises(ValueError, match="dimension must be that of the plane, 2; got 3"):
        plotting.plot_disc(np.eye(3)[None])
    with pytest.raises(ValueError, match=r"must have shape \(T, \.\.\., 2, 2\)"):
        plotting.plot_disc(EYE)
    with pytest.raises(ValueError, match="must be positive semidefinite"):
        plotting.plot_cone(-EYE[None])
    with pytest.raises(ValueError, match="must be symmetric"):
        plotting.plot_cone([[[1.0, 1.0], [0.0, 1.0]]])
    with pytest.raises(ValueError, match="zero matrix has no direction"):
        plotting.plot_disc(np.zeros((1, 2, 2)))
    with pytest.raises(
        ValueError, match="values: its number of paths must be that of directions, 1; got 2"
    ):
        plotting.plot_disc(EYE[None], values=[1.0, 2.0])
    with pytest.raises(ValueError, match="ax: must be three-dimensional"):
        plotting.plot_cone(EYE[None], ax=plt.figure().add_subplot())


# --- matrices and errors ---------------------------------------------------------------------


def test_attention_matrix_image():
    matrix = tp.Softmax(EYE, EYE, EYE).matrix(tokens())
    ax = plotting.plot_attention_matrix(matrix, colorbar=True)
    image = ax.images[0]
    np.testing.assert_array_equal(image.get_array(), matrix)
    assert image.get_clim() == (0.0, matrix.max())
    assert len(ax.figure.axes) == 2


def test_attention_matrix_with_signs_is_symmetric_about_white():
    image = plotting.plot_attention_matrix([[1.0, -2.0], [0.0, 1.0]]).images[0]
    assert image.get_clim() == (-2.0, 2.0)
    assert image.get_cmap().name == "PuOr"


def test_attention_matrix_errors():
    with pytest.raises(ValueError, match=r"Choose a head first: matrix\[0\]"):
        plotting.plot_attention_matrix(np.ones((2, 3, 3)))
    with pytest.raises(ValueError, match="number of columns must be that of its rows, 2; got 3"):
        plotting.plot_attention_matrix(np.ones((2, 3)))


@pytest.mark.parametrize("order", [2.0, 1.0, -0.5])
def test_convergence_fits_and_draws_the_slope(order):
    x = np.array([4.0, 1.0, 2.0, 8.0])
    errors = 0.3 * x**order
    ax = plotting.plot_convergence(x, errors, order=order, **plotting.attention_style("L2"))
    text = ax.get_legend().get_texts()[0].get_text()
    assert text == f"L2: order {order:.2f}".replace("-", "−")
    assert ax.lines[0].get_color() == plotting.STYLES["L2"]["color"]
    (a, b, corner) = np.log(ax.patches[0].get_xy()[:3])
    assert (b - a)[1] / (b - a)[0] == pytest.approx(order)
    assert corner[1] == min(a[1], b[1])
    assert np.exp(a[1]) < 0.3 * np.exp(a[0]) ** order  # under the data


def test_convergence_errors():
    with pytest.raises(ValueError, match="errors: must be positive; got 0"):
        plotting.plot_convergence([1.0, 2.0], [0.0, 1.0])
    with pytest.raises(ValueError, match="errors: its length must be that of x, 2; got 1"):
        plotting.plot_convergence([1.0, 2.0], [1.0])


# --- import ----------------------------------------------------------------------------------


def test_matplotlib_stays_out_until_asked_for_and_its_absence_is_explained():
    code = (
        "import sys, transpde, transpde.figures\n"
        "assert not any(m.startswith('matplotlib') for m in sys.modules)\n"
        "sys.modules['matplotlib'] = None\n"
        "import transpde.plotting\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1] == (
        "ImportError: transpde.plotting needs matplotlib: pip install transpde[plot]"
    )


# --- the plane -------------------------------------------------------------------------------


def test_the_plane_has_named_axes_of_one_scale():
    cloud, line = tokens(), plt.figure().add_subplot()
    line.set_xlabel("mine")
    drawings = {
        "particles": plotting.plot_particles(cloud, ax=line),
        "paths": plotting.plot_paths(cloud.points[None], ax=plt.figure().add_subplot()),
        "ellipse": plotting.plot_ellipse(
            tp.Gaussian([0.0, 0.0], EYE), ax=plt.figure().add_subplot()
        ),
        "density": plotting.plot_density(
            tp.Grid([[0.0, 1.0], [0.0, 2.0]], [[0.5]]), ax=plt.figure().add_subplot()
        ),
    }
    for name, ax in drawings.items():
        assert ax.get_aspect() == 1.0
        assert ax.get_xlabel() == ("mine" if name == "particles" else "$x_1$")
        assert ax.get_ylabel() == "$x_2$"


def test_shared_panels_name_the_outer_axes():
    _, axes = plt.subplots(2, 2, sharex=True, sharey=True)
    for ax in axes.flat:
        plotting.plot_particles(tokens(), ax=ax)
    assert [ax.get_xlabel() for ax in axes.flat] == ["", "", "$x_1$", "$x_1$"]
    assert [ax.get_ylabel() for ax in axes.flat] == ["$x_2$", "", "$x_2$", ""]
    _, row = plt.subplots(1, 2, sharey=True)
    for ax in row:
        plotting.plot_particles(tokens(), ax=ax)
    assert [(ax.get_xlabel(), ax.get_ylabel()) for ax in row] == [
        ("$x_1$", "$x_2$"),
        ("$x_1$", ""),
    ]
