"""Clouds that hypothesis draws for sums over tokens, and how far two results are apart."""

import numpy as np
from hypothesis import strategies as st


def drawn_clouds(shapes, sizes, dimensions, largest):
    """The arguments of a cloud: its shape, number of tokens, dimension, radius and seed."""
    return st.fixed_dictionaries(
        {
            "shape": st.sampled_from(shapes),
            "n": st.sampled_from(sizes),
            "d": st.integers(*dimensions),
            "radius": st.floats(1e-3, largest),
            "seed": st.integers(0, 10**6),
        }
    )


def ball(rng, n, d, radius):
    """Uniform tokens (n, d) of a ball."""
    x = rng.normal(size=(n, d))
    x *= radius * rng.random((n, 1)) ** (1 / d) / np.linalg.norm(x, axis=1, keepdims=True)
    return x


def drawn_positions(rng, n):
    """Positions in a sequence: in order, in order with ties, mixed."""
    return {
        "places": np.arange(n) / n,
        "ties": np.sort(rng.integers(7, size=n) / 7),
        "mixed": rng.random(n),
    }


def turned(d):
    """A value matrix after which errors relative to the largest sum are the same as before it."""
    return -2.0 * np.eye(d)[::-1]


def relative_difference(found, exact):
    return np.abs(found - exact).max() / np.abs(exact).max()
