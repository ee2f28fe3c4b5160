"""What all tests share: pictures are drawn without a screen, and none outlives its test."""

import os
import sys

import pytest

os.environ["MPLBACKEND"] = "Agg"


@pytest.fixture(autouse=True)
def no_figure_left():
    yield
    if "matplotlib.pyplot" in sys.modules:  # most tests draw nothing, and do without its import
        sys.modules["matplotlib.pyplot"].close("all")
