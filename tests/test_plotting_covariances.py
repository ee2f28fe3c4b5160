"""Drawings of covariances in the cone and the disc: the artists carry the numbers."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from transpde import disc, plotting

EYE = np.eye(2)


@pytest.fixture
def axes():
    figure, panels = plt.subplots(1, 2)
    yield panels
    plt.close(figure)


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


def test_discs_have_titles_and_paths(axes):
    points = np.array([[[0.1, 0.2]], [[0.5, -0.2]]])
    paths = {"one": disc.covariances_at(points), "two": disc.covariances_at(-points)}
    plotting.plot_discs(paths, axes=axes, size=3.0)
    assert [ax.get_title() for ax in axes] == ["one", "two"]
    (segments,) = axes[1].collections[0].get_segments()
    np.testing.assert_allclose(segments, -points[:, 0])
    with pytest.raises(ValueError, match="axes: its length"):
        plotting.plot_discs(paths, axes=axes[:1])


def test_arc_holds_the_directions_with_a_positive_form(axes):
    C = np.array([[1.0, 0.6], [0.6, -0.4]])
    plotting.plot_arc(C, ax=axes[0])
    arc = axes[0].lines[0].get_xydata()
    angle = np.linspace(0, 2 * np.pi, len(arc)) / 2
    form = np.einsum(
        "ia,ij,ja->a", [np.cos(angle), np.sin(angle)], C, [np.cos(angle), np.sin(angle)]
    )
    np.testing.assert_array_equal(np.isfinite(arc[:, 0]), form > 0)
    with pytest.raises(ValueError, match="matrix"):
        plotting.plot_arc([[1.0, 2.0], [0.0, 1.0]], ax=axes[1])


def test_discs_make_their_own_row_with_arcs():
    path = disc.covariances_at([[[0.1, 0.2]], [[0.5, -0.2]]])
    first, second = plotting.plot_discs({"a": path, "b": path}, arcs={"b": np.diag([1.0, -1.0])})
    assert (len(first.lines), len(second.lines)) == (0, 1)
    assert first.get_ylabel()
    assert not second.get_ylabel()
    plt.close(first.figure)


def test_bad_panels_and_numbers_are_refused(axes):
    path = disc.covariances_at([[[0.1, 0.2]], [[0.5, -0.2]]])
    with pytest.raises(ValueError, match="panels: must hold at least one"):
        plotting.plot_discs({})
    with pytest.raises(ValueError, match="arcs: each must have the title"):
        plotting.plot_discs({"a": path}, axes=axes[:1], arcs={"b": np.eye(2)})
    with pytest.raises(ValueError, match="expected: must hold at least one entry"):
        plotting.plot_agreement([], [], ax=axes[0])
    with pytest.raises(ValueError, match=r"found\[0\]: must be positive; got 0"):
        plotting.plot_agreement([[1.0]], [[0.0]], ax=axes[0])


def test_grids_and_directions_without_a_picture_are_told():
    S = np.stack([disc.disc_gaussians(5).covariance] * 2)
    with pytest.raises(ValueError, match=r"direction's length"):
        plotting.plot_limit_lines({"a": S}, [0.0, 0.0])
    nearly = 1e6 + 1e-9 * np.random.default_rng(0).normal(size=(1, 5, 2))
    with pytest.raises(ValueError, match=r"paths: "):
        plotting.plot_hulls(nearly)


def test_limit_line_lies_on_the_wall_of_each_cone():
    S = np.stack([disc.disc_gaussians(5).covariance] * 2) * np.array([1, 0.5])[:, None, None, None]
    axes = plotting.plot_limit_lines({"a": S, "b": 2 * S}, [2.0, 1.0], height=3.0)
    assert [ax.get_title() for ax in axes] == ["a", "b"]
    for ax in axes:
        u, w, v = np.array(ax.lines[-1].get_data_3d())
        np.testing.assert_allclose(v, [0.0, 3.0])
        np.testing.assert_allclose(np.hypot(u, w), v)
        assert 2 * np.arctan2(1, 2) == pytest.approx(np.arctan2(w[1], u[1]))
        assert ax.lines[-1].get_color() == "black"
    with pytest.raises(ValueError, match=r"direction: .*dimension"):
        plotting.plot_limit_lines({"a": S}, [1.0, 0.0, 0.0])


def test_starts_carry_their_numbers_and_marks():
    starts = disc.disc_gaussians(5)
    numbers = np.arange(float(len(starts.covariance)))
    curve = np.array([np.diag([0.2, 0.8]), np.diag([0.7, 0.3])])
    ax = plotting.plot_starts(
        starts, numbers, stars=[[1.0, 0.0]], squares=[[0.0, 1.0]], boundary=curve, label="number"
    )
    np.testing.assert_array_equal(ax.collections[-1].get_array(), numbers)
    np.testing.assert_allclose(
        ax.collections[-1].get_offsets(), disc.disc_coordinates(starts.covariance)
    )
    line, star, square = ax.lines
    np.testing.assert_allclose(line.get_xydata(), [[-0.6, 0], [0.4, 0]], atol=1e-15)
    np.testing.assert_allclose(star.get_xydata(), [[1, 0]], atol=1e-15)
    np.testing.assert_allclose(square.get_xydata(), [[-1, 0]], atol=1e-15)
    assert ax.figure.axes[1].get_ylabel() == "number"


def test_starts_without_marks_draw_nothing_outside_the_disc():
    starts = disc.disc_gaussians(9)
    ax = plotting.plot_starts(starts, np.arange(float(len(starts.covariance))))
    ax.figure.draw_without_rendering()
    frame, drawn = ax.get_position().transformed(ax.figure.transFigure), ax.get_tightbbox()
    corner = ax.figure.dpi * 0.02  # of an artist without data, which would widen every layout
    assert min(drawn.x0, drawn.y0) > corner
    assert frame.x0 - drawn.x0 < frame.width / 2


def test_map_holds_the_values_and_the_line_of_zero():
    S = disc.disc_covariances(9, 25)
    values = S[..., 0, 0] - S[..., 1, 1] - 0.3  # zero on the line u = 0.3
    ax = plotting.plot_disc_map(S, values, limit=0.5)
    mesh, line = ax.collections
    np.testing.assert_array_equal(np.ravel(mesh.get_array()), values.ravel())
    assert mesh.get_clim() == (-0.5, 0.5)
    vertices = np.concatenate([path.vertices for path in line.get_paths()])
    assert len(vertices) > 5
    assert np.abs(vertices[:, 0] - 0.3).max() < 1e-12
    assert ax.get_xlabel().startswith("$u =")


def test_map_of_one_sign_has_no_line_and_its_own_scale():
    S = disc.disc_covariances(4, 9)
    ax = plotting.plot_disc_map(S, -S[..., 0, 0], ax=plt.figure().add_subplot())
    (mesh,) = ax.collections
    assert mesh.get_clim() == pytest.approx((-0.99, 0.99))


def test_bad_input():
    S = disc.disc_covariances(4, 9)
    with pytest.raises(
        ValueError, match="values: its number of rings must be that of covariances"
    ):
        plotting.plot_disc_map(S, np.zeros((3, 9)))
    with pytest.raises(
        ValueError, match="values: its number of rings must be that of covariances"
    ):
        plotting.plot_disc_map(S, np.zeros((9, 4)))
    with pytest.raises(ValueError, match=r"covariances: must have shape \(R, S, 2, 2\)"):
        plotting.plot_disc_map(S[0], np.zeros((3, 3)))
    with pytest.raises(ValueError, match="values: every entry must be finite"):
        plotting.plot_disc_map(S, np.full((4, 9), np.nan))
