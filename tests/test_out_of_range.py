"""Numbers beyond floats: a right result, or an error that says so; never a silent one."""

import warnings

import numpy as np
import pytest
from table import ROWS

import transpde as tp
from transpde.exercises.judge import judged
from transpde.theory import freezing, small_tokens

POINTS = np.array([[0.5, 0.0], [0.0, 1.0], [-1.0, 0.3]])
PLACES = [0.0, 1.0, 2.0]


def loud(function):
    """A result, or None for an `OverflowError`; a warning is a failure."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return function()
        except OverflowError:
            return None


@pytest.mark.parametrize("size", [1e100, 1e152, 1e154, 1e160, 1e200, 1e300])
@pytest.mark.parametrize("name", [name for name in ROWS if "feed-forward" not in name])
def test_a_field_of_huge_tokens_is_right_or_raises(name, size):
    """Right: that of tokens a million times smaller, where scores are as decided already."""
    if name == "sinkhorn":
        return  # its potentials of far tokens are a matter of many digits, tested elsewhere
    row = ROWS[name]
    attention = row.make(np.eye(2), np.eye(2), np.eye(2))

    def field(s):
        return attention(tp.Particles(s * POINTS, positions=PLACES))(s * POINTS, PLACES)

    found = loud(lambda: field(size))
    if found is None:
        return
    assert np.isfinite(found).all()
    power = 3 if "linear" in name else 1
    small = field(1e6) / 1e6**power
    np.testing.assert_allclose(
        found / size**power if power == 1 else found,
        small * (size**power if power > 1 else 1),
        rtol=1e-12,
        atol=1e-12,
    )


@pytest.mark.parametrize("name", ["softmax", "l2", "linear", "unnormalized", "masked softmax"])
def test_scores_beyond_floats_raise(name):
    attention = ROWS[name].make(np.eye(2), np.eye(2), np.eye(2))
    tokens = tp.Particles(1e200 * POINTS, positions=PLACES)
    with pytest.raises(OverflowError, match=r"field: a velocity .* Use smaller tokens"):
        attention(tokens)(tokens.points, PLACES)
    with pytest.raises(OverflowError, match=r"matrix: an entry .* Use smaller tokens"):
        attention.matrix(tokens)
    with pytest.raises((RuntimeError, ValueError), match=r"layers: .* range|measure: too large"):
        tp.layers(tokens, attention, 2, 0.1)
    with pytest.raises(ValueError, match="measure: too large"):
        tp.flow(tokens, attention, 0.1)


def test_statements_on_huge_tokens_raise():
    huge = tp.Particles(1e200 * POINTS)
    for call in (
        lambda: freezing.line_velocity([-1e200, 1e200]),
        lambda: freezing.line_flow([-1e200, 1e200], [0.0, 0.1]),
        lambda: small_tokens.small_token_terms(tp.Softmax(*[np.eye(2)] * 3), huge),
        lambda: huge.covariance,
        lambda: tp.Particles([[3e200], [0.0]]).covariance,
        lambda: tp.AffineField([[1e200]])([1e200]),
    ):
        assert loud(call) is None


def test_a_case_after_its_end_stays_unknown():
    """Not finite, and no overflow: a path holds NaN there."""
    stack = tp.Particles(np.stack([POINTS, POINTS])).unpack(
        np.stack([POINTS.ravel(), np.full(6, np.nan)])
    )
    head = tp.Softmax(*[np.eye(2)] * 3)
    for found in (head(stack)(POINTS), head.matrix(stack), stack.covariance):
        assert np.isfinite(found[0]).all()
        assert np.isnan(found[1]).all()


def test_tokens_without_mass_have_no_part_in_size_growth_and_rate():
    rng = np.random.default_rng(2)
    x, v, w = rng.normal(size=(4, 2)), rng.normal(size=(4, 2)), np.array([0.5, 0.3, 0.2, 0.0])
    measure, far = tp.Particles(x, w), np.where(w[:, None] > 0, x, 1e12)
    some = tp.Particles(x[:3], w[:3])
    moved = tp.Particles(far, w)
    velocity = np.where(w[:, None] > 0, v, -1e20).ravel()
    for name in ("growth", "rate"):
        wanted = getattr(some, name)(v[:3].ravel())
        np.testing.assert_allclose(getattr(measure, name)(v.ravel()), wanted, rtol=1e-14)
        np.testing.assert_allclose(getattr(moved, name)(velocity), wanted, rtol=1e-14)
    # The growth is the derivative of the size.
    h = 1e-6
    ahead, behind = (tp.Particles(x + s * h * v, w).log_size for s in (1, -1))
    np.testing.assert_allclose(measure.growth(v.ravel()), (ahead - behind) / (2 * h), rtol=1e-8)


def test_a_reader_who_returns_masked_entries_hears_so():
    for masked in (np.ma.masked_array([1.0, 2.0], True), np.ma.masked_array(1.0, True)):
        said = judged(lambda x, m=masked: m, [(np.ones(2),)], lambda x: x, {})
        assert "masked" in said
