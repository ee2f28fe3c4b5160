"""What all tests share: pictures are drawn without a screen, and none outlives its test."""

import os
import pickle
import sys
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from loading import load_tool

os.environ["MPLBACKEND"] = "Agg"

# On a machine with more to do an example may take any time.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def no_figure_left():
    yield
    if "matplotlib.pyplot" in sys.modules:  # most tests draw nothing, and do without its import
        sys.modules["matplotlib.pyplot"].close("all")


def pytest_collection_modifyitems(items):
    """Mark the tests that need published weights: -m "not weights" leaves them out."""
    for item in items:
        if "minilm" in getattr(item, "fixturenames", ()):
            item.add_marker("weights")


def need_weights(held):
    """Skip a test without published weights; in CI they must be there."""
    if not held:
        advice = "needs published weights; fetch them: make weights"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(advice)


@pytest.fixture(scope="session")
def minilm():
    """The published model of the part on a real Transformer."""
    from transpde import models

    tool = load_tool("weights")
    need_weights(tool.held())
    return models.read(models.folder(tool.NAME))


@pytest.fixture(scope="session")
def figure_data(tmp_path_factory):
    """The data of a figure by name, computed once for all modules and workers of this run."""
    from transpde import figures

    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "figure-data"
    folder.mkdir(exist_ok=True)

    @cache
    def data(name):
        held = folder / name
        if not held.exists():
            begun = own / f"{name}.begun"  # another worker must not read half of it
            begun.write_bytes(pickle.dumps(figures.data(name)))
            begun.replace(held)
        return pickle.loads(held.read_bytes())

    return data


@pytest.fixture(scope="session")
def gaussian_path():
    """The flow of one Gaussian of the plane."""
    import transpde as tp

    start = tp.Gaussian([0.5, -0.5], factor=[[1.0, 0.2], [0.3, 0.8]])
    return tp.flow(start, tp.Softmax(np.eye(2), -np.eye(2), np.eye(2)), 1.0)


@pytest.fixture(scope="session")
def stack_path():
    """Two blow-ups at different times, NaN after each, and one case without any."""
    import transpde as tp

    eye = np.eye(2)
    start = tp.Gaussian(np.zeros((3, 2)), factor=np.array([1.0, 0.7, 0.1])[:, None, None] * eye)
    return tp.flow(start, tp.Softmax(eye, eye, eye), np.linspace(0.0, 2.0, 21))
