"""What is shown of a thing, its kind, shapes and space; of a module, its public names."""

import importlib

import numpy as np
import pytest
from test_arguments import public_modules

import transpde as tp


@pytest.mark.parametrize(
    ("thing", "text"),
    [
        (
            tp.Particles(np.eye(3), positions=[0, 1, 2], space=tp.Sphere()),
            "Particles(points (3, 3), positions (3,), space Sphere(radius=1))",
        ),
        (
            tp.Gaussian([0.0, 0.0], factor=np.eye(2)),
            "Gaussian(mean (2,), factor (2, 2), log_scales (2,), in_axes False)",
        ),
        (tp.Grid([0.0, 1.0, 3.0], [0.5, 0.25]), "Grid(density (2,) on [0, 3])"),
        (tp.Circle(np.full(16, 0.5 / np.pi)), "Circle(density at 16 angles)"),
        (tp.Axial([1.0, 2.0], [0.5, 0.5], 3), "Axial(2 nodes on the sphere of dimension 2)"),
        (
            tp.Sigmoid(np.eye(2), np.eye(2), np.eye(2), 1.0),
            "Sigmoid(query (2, 2), key (2, 2), value (2, 2), bias 1.0)",
        ),
        (
            tp.Masked(tp.Softmax([[1.0]], [[1.0]], [[1.0]])),
            "Masked(head Softmax(query (1, 1), key (1, 1), value (1, 1)))",
        ),
    ],
)
def test_the_text_says_kind_shapes_and_space(thing, text):
    assert repr(thing) == text


@pytest.mark.parametrize("room", sorted(public_modules()))
def test_a_module_shows_its_public_names_alone(room):
    module = importlib.import_module(f"transpde.{room}".rstrip("."))
    assert dir(module) == sorted(module.__all__)
