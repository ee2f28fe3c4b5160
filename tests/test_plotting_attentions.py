"""Drawings of attentions: the artists carry the numbers, panels on one scale."""

import matplotlib as mpl
import numpy as np
import pytest

import transpde as tp
from transpde import plotting

EYE = np.eye(2)
ZOO = {
    "softmax": tp.Softmax(EYE, EYE, EYE),
    "linear": tp.Linear(EYE, EYE, EYE),
    "two heads": tp.MultiHead([tp.Softmax(EYE, EYE, EYE), tp.Softmax(EYE, -EYE, EYE)]),
    "masked": tp.Masked(tp.Softmax(EYE, EYE, EYE)),
    "unnormalised": tp.Unnormalized(EYE, EYE, EYE),
}
TOKENS = tp.Particles(np.random.default_rng(0).normal(size=(5, 2)), positions=np.arange(5) / 4)


def tokens(n=7, d=2, weights=None):
    return tp.Particles(np.random.default_rng(0).normal(size=(n, d)), weights)


def test_field_arrows_are_the_velocities():
    field = tp.AffineField([[0.0, 1.0], [-1.0, 0.0]])
    ax = plotting.plot_field(field, xlim=(-1, 1), ylim=(0, 1), count=3)
    arrows = ax.collections[0]
    np.testing.assert_allclose(np.column_stack([arrows.U, arrows.V]), field(arrows.get_offsets()))
    assert len(arrows.U) == 9
    with pytest.raises(ValueError, match=r"xlim: must be \(low, high\)"):
        plotting.plot_field(field, xlim=(1.0, 1.0))
    with pytest.raises(ValueError, match="field's velocities: must have the shape of the points"):
        plotting.plot_field(lambda x: x[:, 0])


def test_attention_matrix_image():
    matrix = tp.Softmax(EYE, EYE, EYE).matrix(tokens())
    ax = plotting.plot_attention_matrix(matrix, colorbar=True)
    image = ax.images[0]
    np.testing.assert_array_equal(image.get_array(), matrix)
    assert image.get_clim() == (0.0, matrix.max())
    assert len(ax.figure.axes) == 2


@pytest.mark.parametrize("n", [1, 3, 12])
def test_tokens_are_numbered_from_one_to_n(n):
    ax = plotting.plot_attention_matrix(np.eye(n))
    for ticks in (ax.get_xticks(), ax.get_yticks()):
        assert (ticks[0], ticks[-1]) == (1, n)
        np.testing.assert_array_equal(ticks, ticks.round())
    rows, columns = ax.get_ylim(), ax.get_xlim()
    assert (rows, columns) == ((n + 0.5, 0.5), (0.5, n + 0.5))
    assert ax.images[0].get_extent() == [0.5, n + 0.5, n + 0.5, 0.5]


def test_attention_matrix_with_signs_is_symmetric_about_white():
    image = plotting.plot_attention_matrix([[1.0, -2.0], [0.0, 1.0]]).images[0]
    assert image.get_clim() == (-2.0, 2.0)
    assert image.get_cmap().name == "PuOr"


def test_attention_matrix_errors():
    with pytest.raises(ValueError, match=r"Choose a head first: matrix\[0\]"):
        plotting.plot_attention_matrix(np.ones((2, 3, 3)))
    with pytest.raises(ValueError, match="number of columns must be that of its rows, 2; got 3"):
        plotting.plot_attention_matrix(np.ones((2, 3)))


def test_matrices_share_one_scale():
    axes = plotting.plot_attention_matrices(ZOO, TOKENS, columns=3)
    images = [ax.images[0] for ax in axes]
    for image, head in zip(images, ZOO.values(), strict=True):
        matrix = head.matrix(TOKENS)
        wanted = matrix.mean(axis=0) if matrix.ndim == 3 else matrix
        np.testing.assert_array_equal(image.get_array(), wanted)
    high = max(np.abs(image.get_array()).max() for image in images)
    assert {image.get_clim() for image in images} == {(-high, high)}
    assert [ax.get_title() for ax in axes] == list(ZOO)
    least = min(image.get_array().min() for image in images)
    assert -high < least < 0
    assert axes[0].figure.axes[-1].get_ylim() == (least, high)
    assert len(axes[0].figure.axes) == 7  # six places, of which one is empty, and a colour bar


def test_matrices_of_one_sign_start_at_zero_and_take_a_limit():
    heads = {name: ZOO[name] for name in ("softmax", "masked")}
    axes = plotting.plot_attention_matrices(heads, TOKENS, limit=0.25)
    assert {ax.images[0].get_clim() for ax in axes} == {(0.0, 0.25)}
    assert axes[0].figure.axes[-1]._colorbar.extend == "max"
    linear = {"linear": ZOO["linear"]}
    bar = plotting.plot_attention_matrices(linear, TOKENS, limit=0.01)[0].figure.axes[-1]
    assert bar._colorbar.extend == "both"


def test_fields_show_direction_and_speed():
    axes = plotting.plot_attention_fields(ZOO, TOKENS, position=0.5, count=4)
    meshes = [ax.collections[0] for ax in axes]
    assert len({mesh.get_clim() for mesh in meshes}) == 1
    for ax, (name, head) in zip(axes, ZOO.items(), strict=True):
        mesh, arrows = ax.collections[:2]
        points = np.asarray(mesh.get_coordinates()).reshape(-1, 2)
        positions = {"positions": np.full(len(points), 0.5)} if name == "masked" else {}
        speed = np.linalg.norm(head(TOKENS)(points, **positions), axis=1)
        np.testing.assert_allclose(mesh.get_array().ravel(), speed, rtol=1e-12)
        np.testing.assert_allclose(np.hypot(arrows.U, arrows.V), 1.0, rtol=1e-12)
    assert meshes[0].get_clim()[1] == max(mesh.get_array().max() for mesh in meshes)


def test_tokens_after_the_position_are_open():
    (ax,) = plotting.plot_attention_fields(
        {"masked": ZOO["masked"]}, TOKENS, position=0.5, limit=1
    )
    alpha = ax.collections[2].get_facecolors()[:, 3]
    np.testing.assert_array_equal(alpha, [1, 1, 1, 0, 0])
    assert ax.collections[0].get_clim() == (0.0, 1.0)


def test_flows_have_the_colours_of_their_attentions():
    heads = {name: ZOO[name] for name in ("softmax", "masked")}
    paths = {name: tp.flow(TOKENS, head, [0.0, 0.1]) for name, head in heads.items()}
    axes = plotting.plot_attention_flows(paths, heads)
    for ax, (name, head) in zip(axes, heads.items(), strict=True):
        ends = ax.collections[2]
        np.testing.assert_array_equal(ends.get_offsets(), paths[name].final.points)
        colour = mpl.colors.to_rgba(plotting.attention_style(head)["color"])
        assert tuple(ends.get_facecolors()[0]) == colour
    assert axes[0].get_xlim() == axes[1].get_xlim()


def test_panel_errors():
    with pytest.raises(ValueError, match="attentions: must hold at least one entry"):
        plotting.plot_attention_matrices({}, TOKENS)
    with pytest.raises(ValueError, match="position: a masked field needs one"):
        plotting.plot_attention_fields(ZOO, TOKENS)
    with pytest.raises(TypeError, match=r"attentions\['x'\]: must be Attention"):
        plotting.plot_attention_fields({"x": 1}, TOKENS)
    with pytest.raises(ValueError, match="limit: must be a positive"):
        plotting.plot_attention_matrices(ZOO, TOKENS, limit=0.0)
    path = tp.flow(TOKENS, ZOO["softmax"], [0.0, 0.1])
    with pytest.raises(ValueError, match=r"every name of trajectories; \['b'\] missing"):
        plotting.plot_attention_flows({"b": path}, {"a": ZOO["softmax"]})
