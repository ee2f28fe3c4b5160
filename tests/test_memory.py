"""What a flow needs beside what it returns: a fixed number of states."""

import tracemalloc

import numpy as np
import pytest

import transpde as tp


@pytest.mark.parametrize("speed", [0.001, 0.3])
def test_records_cost_once_what_they_hold(speed):
    """Slow tokens: the first step passes all recorded times but the first."""
    tokens = tp.Particles(np.random.default_rng(0).normal(size=(40_000, 2)))
    head = tp.Linear(np.eye(2), np.eye(2), -speed * np.eye(2))
    tracemalloc.start()
    path = tp.flow(tokens, head, 1.0, rtol=1e-6, atol=1e-6)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert path.states.shape == (129, 80_000)
    assert most - path.states.nbytes < 90 * path.states[0].nbytes
