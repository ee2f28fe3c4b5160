"""Drawings of measures along depth are checked by the data of their artists."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb

import transpde as tp
from transpde import plotting

EYE = np.eye(2)
HEAD = tp.Softmax(np.eye(2), np.eye(2), [[0.0, -1.0], [1.0, 0.0]])
TOKENS = tp.Particles([[0.0, 1.0], [1.0, 0.0], [0.5, -1.0]])


def tokens(n=7, d=2, weights=None):
    return tp.Particles(np.random.default_rng(0).normal(size=(n, d)), weights)


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
    start, times = tp.Gaussian([0.0, 0.5], factor=0.5 * EYE), [0.0, 0.1, 0.4]
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
    with pytest.raises(ValueError, match="trajectory of one measure"):
        plotting.plot_flow(stack_path)
    with pytest.raises(ValueError, match=r"dimension 1, 2 or 3; got 4\. Project"):
        plotting.plot_flow(tp.layers(tokens(4, 4), tp.Softmax(*[np.eye(4)] * 3), 1, 0.1))
    with pytest.raises(TypeError, match="trajectory: must be Trajectory"):
        plotting.plot_flow(tokens())


@pytest.mark.parametrize(("depth", "dots"), [(4, 4.0), (32, 2.0), (33, 0.0)])
def test_layers_are_broken_lines_over_the_flow(depth, dots):
    stack, flow = tp.layers(TOKENS, HEAD, depth, 1 / depth), tp.flow(TOKENS, HEAD, 1.0)
    ax = plotting.plot_layers(stack, flow)
    assert len(ax.lines) == 3
    for i, line in enumerate(ax.lines):
        assert np.array_equal(line.get_xydata(), stack.points[:, i])
        assert line.get_markersize() == dots
    paths = ax.collections[0].get_segments()
    assert np.array_equal(paths[1], flow.points[:, 1])
    assert np.array_equal(ax.collections[-1].get_offsets(), stack.final.points)


def net(ax):
    return [line for line in ax.lines if line.get_gid() == "sphere"]


@pytest.mark.parametrize(
    "space", [tp.Sphere(2.0), tp.Sphere(2.0, normal=[1.0, 1.0, 1.0]), tp.Euclidean()]
)
def test_tokens_of_space_are_drawn_on_their_sphere(space):
    points = space.retract(np.random.default_rng(1).normal(size=(4, 3)))
    cloud, head = tp.Particles(points, space=space), tp.Softmax(*[np.eye(3)] * 3)
    path, stack = tp.flow(cloud, head, 0.1), tp.layers(cloud, head, 2, 0.05)
    for draw in (
        lambda: plotting.plot_particles(cloud),
        lambda: plotting.plot_flow(path),
        lambda: plotting.plot_layers(stack, path),  # which draws the sphere once
        lambda: plotting.plot_paths(path.points),
    ):
        plt.figure()
        ax = draw()
        assert ax.name == "3d"
        assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_zlabel()) == ("$x_1$", "$x_2$", "$x_3$")
        assert len({float(np.diff(lim())[0]) for lim in (ax.get_xlim, ax.get_zlim)}) == 1
        for circle in net(ax):
            x = np.array(circle.get_data_3d()).T
            space.check("circle", x)  # its points lie on the sphere of the tokens
    counts = {tp.Sphere(2.0): 12, tp.Euclidean(): 0}
    assert len(net(plotting.plot_layers(stack, path))) == counts.get(space, 1)
    drawn = np.array(plotting.plot_particles(cloud).collections[-1]._offsets3d).T
    np.testing.assert_allclose(drawn, points)
    with pytest.raises(ValueError, match="ax: must be three-dimensional"):
        plotting.plot_particles(cloud, ax=plt.figure().add_subplot())


def test_layers_of_other_tokens():
    stack, flow = tp.layers(TOKENS, HEAD, 2, 0.1), tp.flow(tp.Particles([[1.0, 2.0]]), HEAD, 1.0)
    with pytest.raises(ValueError, match="number of tokens"):
        plotting.plot_layers(stack, flow)
    line = tp.layers(tp.Particles([[1.0]]), tp.Softmax([[1.0]], [[1.0]], [[1.0]]), 2, 0.1)
    with pytest.raises(ValueError, match="dimension"):
        plotting.plot_layers(line)
    gaussian = tp.Gaussian([0.0, 0.0], factor=np.eye(2))
    with pytest.raises(TypeError, match="Particles"):
        plotting.plot_layers(tp.layers(gaussian, HEAD, 2, 0.1))


def test_paths_have_lines_rings_and_dots():
    paths = np.random.default_rng(0).normal(size=(5, 3, 2))
    ax = plotting.plot_paths(paths, color="#D55E00", linestyle="--")
    for i, line in enumerate(ax.lines):
        np.testing.assert_array_equal(np.transpose(line.get_data()), paths[:, i])
        assert (line.get_color(), line.get_linestyle()) == ("#D55E00", "--")
    rings, dots = ax.collections
    np.testing.assert_array_equal(rings.get_offsets(), paths[0])
    np.testing.assert_array_equal(dots.get_offsets(), paths[-1])
    assert len(ax.lines) == 3
    assert ax.get_aspect() == 1.0


def test_ends_can_be_left_out_and_axes_given():
    ax = plt.figure().add_subplot()
    assert plotting.plot_paths(np.zeros((2, 1, 2)), ax=ax, ends=False) is ax
    assert not ax.collections


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (np.zeros((2, 3, 4)), r"paths: must have dimension 2 or 3; got 4\. Project"),
        (np.zeros((2, 2)), "paths: must have shape .T, n, d.; got shape"),
        (np.full((2, 3, 2), np.nan), "paths: every entry must be finite"),
    ],
)
def test_bad_paths(paths, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_paths(paths)


def test_hulls_hold_the_corners_of_each_time():
    square = np.array([[0.0, 0.0], [1, 0], [1, 1], [0, 1], [0.5, 0.5]])
    ax = plotting.plot_hulls(np.stack([square, 0.5 * square]), values=[0.0, 3.0], label="depth")
    outlines = ax.collections[0].get_segments()
    assert [len(one) for one in outlines] == [5, 5]
    assert outlines[1].max() == 0.5
    assert ax.collections[0].get_array().tolist() == [0.0, 3.0]
    assert ax.figure.axes[1].get_ylabel() == "depth"
    with pytest.raises(ValueError, match=r"those of time 0 lie on one line"):
        plotting.plot_hulls([[[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]])
    with pytest.raises(ValueError, match=r"values: .*length"):
        plotting.plot_hulls(np.stack([square, square]), values=[0.0])


def test_tokens_of_a_flow_can_be_drawn():
    path = tp.flow(tp.Particles(np.eye(2)), tp.Softmax(*3 * [np.eye(2)]), [0.0, 0.1])
    with pytest.raises(ValueError, match=r"lie on one line"):
        plotting.plot_hulls(path.points)


# --- stacks and spaces ---------------------------------------------------------------------------

CLOUDS = tp.Particles(np.stack([TOKENS.points, -TOKENS.points]))


def test_a_stack_of_clouds_is_drawn_case_by_case():
    path = tp.flow(CLOUDS, HEAD, 0.2)
    one = plotting.plot_flow(path.case(1))
    alone = plotting.plot_flow(tp.flow(CLOUDS[1], HEAD, 0.2))
    np.testing.assert_allclose(
        one.collections[-1].get_offsets(), alone.collections[-1].get_offsets(), atol=1e-8
    )
    layers = tp.layers(CLOUDS, HEAD, 2, 0.1)
    case = r"shape \(2,\). Choose a case: "
    for draw, message in (
        (lambda: plotting.plot_flow(path), "trajectory: .*" + case + r"trajectory.case\(0\)"),
        (lambda: plotting.plot_layers(layers), "stack: .*" + case + r"stack.case\(0\)"),
        (
            lambda: plotting.plot_layers(layers.case(0), path),
            "flow: .*" + case + r"flow.case\(0\)",
        ),
        (lambda: plotting.plot_particles(CLOUDS), "particles: .*" + case + r"particles\[0\]"),
        (
            lambda: plotting.plot_attention_matrices({"head": HEAD}, CLOUDS),
            "tokens: .*" + case + r"tokens\[0\]",
        ),
        (
            lambda: plotting.plot_attention_fields({"head": HEAD}, CLOUDS),
            "tokens: .*" + case + r"tokens\[0\]",
        ),
        (
            lambda: plotting.plot_snapshots({"a": path}, {"a": path}, styles={"a": HEAD}),
            r"clouds\[.a.\]: .*" + case,
        ),
    ):
        with pytest.raises(ValueError, match=message):
            draw()


def test_measures_in_two_spaces_are_not_drawn_together():
    sphere = tp.Sphere()
    tokens = tp.Particles(sphere.retract(TOKENS.points), space=sphere)
    flat, round_ = (tp.flow(mu, HEAD, 0.1) for mu in (TOKENS, tokens))
    with pytest.raises(ValueError, match=r"flow: must be in the space of stack, Sphere.*Euclid"):
        plotting.plot_layers(tp.layers(tokens, HEAD, 2, 0.1), flat)
    with pytest.raises(ValueError, match=r"trajectories: must be in the space of the first, Eucl"):
        plotting.plot_attention_flows({"a": flat, "b": round_}, {"a": HEAD, "b": HEAD})
    line = tp.Particles([[1.0], [-1.0]], space=sphere)
    grid = tp.Grid([-2.0, 0.0, 2.0], [0.25, 0.25])
    with pytest.raises(ValueError, match=r"clouds: must be in the space of density, Euclidean"):
        plotting.plot_histograms([line], grid, [-2.0, 0.0, 2.0])
