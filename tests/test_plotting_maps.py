"""Maps of the disc are checked by the data of their artists."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from transpde import disc, plotting


def test_map_holds_the_values_and_the_line_of_zero():
    S = disc.disc_covariances(9, 25)
    values = S[..., 0, 0] - S[..., 1, 1] - 0.3  # zero on the line u = 0.3
    ax = plotting.plot_disc_map(S, values, limit=0.5)
    mesh, line = ax.collections
    np.testing.assert_array_equal(np.ravel(mesh.get_array()), values.ravel())
    assert mesh.get_clim() == (-0.5, 0.5)
    vertices = np.concatenate([path.vertices for path in line.get_paths()])
    assert len(vertices) > 5
    assert np.abs(vertices[:, 0] - 0.3).max() < 1e-12
    assert ax.get_xlabel().startswith("$u =")


def test_map_of_one_sign_has_no_line_and_its_own_scale():
    S = disc.disc_covariances(4, 9)
    ax = plotting.plot_disc_map(S, -S[..., 0, 0], ax=plt.figure().add_subplot())
    (mesh,) = ax.collections
    assert mesh.get_clim() == pytest.approx((-0.99, 0.99))


def test_bad_input():
    S = disc.disc_covariances(4, 9)
    with pytest.raises(
        ValueError, match="values: its number of rings must be that of covariances"
    ):
        plotting.plot_disc_map(S, np.zeros((3, 9)))
    with pytest.raises(
        ValueError, match="values: its number of rings must be that of covariances"
    ):
        plotting.plot_disc_map(S, np.zeros((9, 4)))
    with pytest.raises(ValueError, match=r"covariances: must have shape \(R, S, 2, 2\)"):
        plotting.plot_disc_map(S[0], np.zeros((3, 3)))
    with pytest.raises(ValueError, match="values: every entry must be finite"):
        plotting.plot_disc_map(S, np.full((4, 9), np.nan))
