"""Digests of arrays, and pictures for the pages."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transpde.records import digest

# --- digests -------------------------------------------------------------------------------------


def test_digest_is_stable():
    assert digest([1.0, 2.0]) == "8a0f50e8bef6"


def test_digest_ignores_noise_of_machines():
    rng = np.random.default_rng(0)
    values = rng.normal(size=2000)
    noisy = values + 1e-13 * rng.uniform(-1, 1, size=2000)
    assert digest(noisy) == digest(values)


def test_digest_ignores_noise_at_the_middle_of_two_roundings():
    values = np.append(np.arange(0.5e-6, 1e-4, 1e-6), 1.0)
    for noise in (1e-13, -1e-13):
        assert digest(values + noise) == digest(values)


def test_digest_has_one_zero_and_one_nan():
    assert digest([0.0, -1e-9, 1.0]) == digest([-0.0, 0.0, 1.0])
    other_nan = np.array([0x7FF8000000000001], dtype=np.uint64).view(float)[0]
    assert digest([1.0, np.nan]) == digest([1.0, -other_nan])
    assert digest([1.0, np.nan]) != digest([1.0, np.inf])
    assert digest([1.0, -np.inf]) != digest([1.0, np.inf])


@settings(max_examples=25)
@given(st.integers(0, 5), st.floats(2e-6, 1e-2))
def test_digest_sees_what_is_larger(place, change):
    values = np.array([0.3, -1.0, 0.5, 0.0, 0.25, 1.0])
    changed = values.copy()
    changed[place] += change
    assert digest(changed) != digest(values)


@pytest.mark.parametrize("noise", [1e-13, 1e-11])
def test_digest_of_many_entries_ignores_noise(noise):
    """In 100 clouds of 20,000 entries, where some entry lies within the noise of a border."""
    rng = np.random.default_rng(1)
    for _ in range(100):
        values = rng.normal(size=(10_000, 2))
        noisy = values + noise * rng.uniform(-1, 1, size=values.shape)
        assert digest(noisy, digits=4) == digest(values, digits=4)


@settings(max_examples=25)
@given(st.integers(0, 999), st.floats(2e-3, 1.0), st.sampled_from([np.nan, np.inf, 7.0]))
def test_digest_of_many_entries_sees_one(place, change, odd):
    values = np.sin(np.arange(1000.0))
    values[500] = odd
    changed = values.copy()
    changed[place] += change
    if place != 500:
        assert digest(changed) != digest(values)
    swapped = values.copy()
    swapped[[0, 500]] = swapped[[500, 0]]
    assert digest(swapped) != digest(values)


def test_digest_of_many_entries_sees_where_and_what_is_not_finite():
    values = np.zeros(100)
    digests = set()
    for place, odd in [(3, np.nan), (4, np.nan), (3, np.inf), (3, -np.inf), (3, 0.0)]:
        values[:] = 1.0
        values[place] = odd
        digests.add(digest(values))
    assert len(digests) == 5


def test_digest_sees_shape_size_order_and_split():
    values = np.arange(1.0, 7.0)
    others = [values.reshape(2, 3), 2 * values, values[::-1], values[:5]]
    digests = {digest(other) for other in [values, *others]}
    assert len(digests | {digest(values[:3], values[3:])}) == 6
    assert digest(np.zeros(2)) != digest(np.zeros(3))


def test_digest_does_not_see_type_or_memory_order():
    values = np.arange(6).reshape(2, 3)
    assert digest(values) == digest(np.asfortranarray(values.astype(float)))
    assert len(digest(np.zeros(0), 1.0)) == 12


def test_digest_with_fewer_digits():
    assert digest([1.0, 0.5], digits=3) == digest([1.0, 0.5 + 1e-4], digits=3)
    with pytest.raises(ValueError, match="digits: must be at most 9"):
        digest(1.0, digits=12)
