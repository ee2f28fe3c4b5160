"""Copies, by pickle, joblib or deepcopy, are equal to what they copy, and read-only as it is."""

import copy
import pickle

import joblib
import numpy as np
import pytest
from calls import (
    ANTI,
    CIRCLE,
    EVEN_LAW,
    GAUSSIAN,
    GAUSSIAN_PATH,
    GRID,
    GRID_PATH,
    HEAD,
    I2,
    LAYERS,
    PLACED,
    PLANE,
    TOKEN_PATH,
    TOKENS,
)
from table import HEADS

import transpde as tp
from transpde import spectra
from transpde.ensembles import random_head, sweep


def by_joblib(thing, folder):
    joblib.dump(thing, folder / "thing")
    return joblib.load(folder / "thing")


WAYS = {
    "pickle": lambda thing, folder: pickle.loads(pickle.dumps(thing)),
    "pickle, old": lambda thing, folder: pickle.loads(pickle.dumps(thing, protocol=2)),
    "joblib": by_joblib,
    "deepcopy": lambda thing, folder: copy.deepcopy(thing),
}
SPHERE = tp.Sphere(normal=[0.0, 0.0, 1.0])
ON_SPHERE = tp.Particles(
    SPHERE.retract(np.array([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0]])), space=SPHERE
)
STACK = tp.Gaussian(np.zeros((2, 2)), factor=np.stack([I2, 2 * I2]))
JUMPS = tp.Schedule([HEAD, tp.Softmax(I2, I2, 2 * I2)], jumps=[0.05])
THINGS = {
    "particles": TOKENS,
    "positions": PLACED,
    "sphere": ON_SPHERE,
    "cloud of a stack": tp.Particles(np.zeros((3, 2, 1)))[1],
    "gaussian": GAUSSIAN,
    "stack": STACK,
    "grid": GRID,
    "plane": PLANE,
    "circle": CIRCLE,
    "axial": EVEN_LAW,
    "on a circle": HEAD(CIRCLE),
    "on an axis": HEAD(EVEN_LAW),
    "flow of a circle": tp.flow(CIRCLE, HEAD, 0.1),
    "flow of an axial": tp.flow(EVEN_LAW, HEAD, 0.1),
    "affine": tp.AffineField(I2),
    "affine, as asked": HEAD(GAUSSIAN),
    "affine sum": HEAD(GAUSSIAN) + HEAD(GAUSSIAN),
    "two heads": tp.MultiHead([HEAD, HEAD])(TOKENS),
    "descent": tp.HeadDescent([I2, ANTI]),
    "descent of tokens": tp.HeadDescent([I2, ANTI])(TOKENS),
    "descent of a circle": tp.HeadDescent([I2, ANTI])(CIRCLE),
    "mask": tp.Masked(HEAD)(PLACED),
    "with positions": tp.Masked(HEAD),
    "feed-forward": HEAD + tp.AffineField(I2),
    "on a grid": HEAD(PLANE),
    "schedule": JUMPS,
    "flow of tokens": TOKEN_PATH,
    "flow of a gaussian": GAUSSIAN_PATH,
    "flow of a grid": GRID_PATH,
    "flow of a stack": tp.flow(STACK, HEAD, 0.1),
    "a case of it": tp.flow(STACK, HEAD, 0.1).case(1),
    "flow with jumps": tp.flow(TOKENS, JUMPS, 0.1),
    "layers": LAYERS,
    "layers of a sinkhorn head": tp.layers(TOKENS, tp.Sinkhorn(I2, I2, ANTI), 2, 0.1),
    "limit rank": spectra.decide_rank(GAUSSIAN_PATH),
    "parameters": random_head(2, seed=0),
    **{f"{name} head": make(I2, I2, ANTI) for name, make in HEADS.items()},
    **{f"field of a {name} head": make(I2, I2, ANTI)(TOKENS) for name, make in HEADS.items()},
}


def arrays(thing, seen):
    """All arrays inside of a thing, in the order of its attributes."""
    if id(thing) in seen:
        return []
    seen[id(thing)] = thing  # kept, or a number may come again
    if isinstance(thing, np.ndarray):
        return [thing]
    if not isinstance(thing, tuple | list):
        thing = list(getattr(thing, "__dict__", {}).values())
    return [array for one in thing for array in arrays(one, seen)]


def use(thing):
    """Numbers that a thing gives where it is used."""
    x = [[0.3, -0.2], [1.0, 2.0]]
    if isinstance(thing, tp.Trajectory):
        return thing(0.03).pack()
    if isinstance(thing, tp.Schedule):
        return thing(0.05).value
    if isinstance(thing, tp.Masked):
        return thing(PLACED)(x, [0.0, 1.5])
    if isinstance(thing, tp.Attention):
        return thing(TOKENS)(x)
    if isinstance(thing, tp.Measure):
        return thing.pack()
    return thing(x, [0.0, 1.5]) if callable(thing) else 0.0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", THINGS)
def test_a_copy_is_equal_and_read_only(name, way, tmp_path):
    thing = THINGS[name]
    use(thing)  # so that what is made when asked for is there
    found = WAYS[way](thing, tmp_path)
    assert type(found) is type(thing)
    # A Sinkhorn head begins its iterations anew, where the original starts from its last ones.
    off = 1e-9 if "sinkhorn" in name else 0.0
    np.testing.assert_allclose(use(found), use(thing), rtol=off, atol=off)
    for one in (thing, found):
        held = arrays(one, {})
        assert held
        assert not [array for array in held if array.flags.writeable]


def test_a_copy_of_a_field_moves_its_gaussian_as_the_field_does():
    """Thin and long: the product of the linear part with the factor would be rounding alone."""
    gaussian = tp.Gaussian([0.0, 0.0], factor=[[1.0], [0.0]], log_scale=60.0)
    head = tp.Softmax(-I2, I2, I2)
    field = head(gaussian)
    one, other = pickle.loads(pickle.dumps((gaussian, field)))
    for wanted, found in zip(
        field.moves(gaussian.mean, gaussian.factor), other.moves(one.mean, one.factor), strict=True
    ):
        np.testing.assert_array_equal(found, wanted)


def path_of(scale):
    return tp.flow(tp.Gaussian([0.0, 0.0], factor=scale * I2), HEAD, 0.1)


def test_paths_come_back_from_other_processes():
    for scale, path in zip([0.5, 1.0], sweep(path_of, [0.5, 1.0], jobs=2), strict=True):
        assert np.array_equal(path(0.05).factor, path_of(scale)(0.05).factor)
        with pytest.raises(ValueError, match="read-only"):
            path.final.mean[0] = 5.0
