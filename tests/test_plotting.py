"""Drawings: their styles, their axes, and what they never touch."""

import subprocess
import sys

import numpy as np
import pytest
from matplotlib import pyplot as plt

import transpde as tp
from transpde import attention as attentions
from transpde import plotting

EYE = np.eye(2)


def tokens(n=7, d=2, weights=None):
    return tp.Particles(np.random.default_rng(0).normal(size=(n, d)), weights)


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


def test_the_plane_has_named_axes_of_one_scale():
    cloud, line = tokens(), plt.figure().add_subplot()
    line.set_xlabel("mine")
    drawings = {
        "particles": plotting.plot_particles(cloud, ax=line),
        "paths": plotting.plot_paths(cloud.points[None], ax=plt.figure().add_subplot()),
        "ellipse": plotting.plot_ellipse(
            tp.Gaussian([0.0, 0.0], factor=EYE), ax=plt.figure().add_subplot()
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


def test_wrong_dimension_or_kind():
    with pytest.raises(ValueError, match=r"particles: .* 1, 2 or 3; got 4\. Project"):
        plotting.plot_particles(tokens(5, 4))
    with pytest.raises(TypeError, match="particles: must be Particles; got Gaussian"):
        plotting.plot_particles(tp.Gaussian([0.0, 0.0], factor=EYE))
    with pytest.raises(ValueError, match="gaussian: its dimension must be that of the plane, 2"):
        plotting.plot_ellipse(tp.Gaussian(np.zeros(3), factor=np.eye(3)))
