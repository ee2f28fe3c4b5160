r"""Covariances of the plane: a cone, and over their trace the unit disc.

$\Sigma = \begin{pmatrix} a & c\\ c & b\end{pmatrix}$ has the coordinates
$(u, w, v) = (a - b,\; 2c,\; a + b)$. It is positive semidefinite iff $v \ge \sqrt{u^2 + w^2}$: a
cone, whose wall holds the rank one matrices. At trace one the cone is cut in a unit disc.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from transpde.checks import (
    Array,
    finite_array,
    known_covariances,
    listing,
    positive_integer,
    positive_number,
    same_size,
)
from transpde.fields import quiet
from transpde.measures import Gaussian

__all__ = [
    "axis_angles",
    "cone_coordinates",
    "covariances_at",
    "disc_coordinates",
    "disc_covariances",
    "disc_gaussians",
    "disc_places",
    "isotropic_directions",
    "plane_coordinates",
    "symmetric_coordinates",
    "unit_trace_matrices",
]


def symmetric_coordinates(matrices: Array) -> Array:
    """Return (u, w, v), shape (..., 3), of any symmetric matrices (..., 2, 2)."""
    a, b, c = matrices[..., 0, 0], matrices[..., 1, 1], matrices[..., 0, 1]
    return np.stack([a - b, 2 * c, a + b], axis=-1)


def axis_angles(points: Array) -> Array:
    """Return the directions of the longer axes at points (u, w), in degrees from 0 to 180."""
    return np.asarray(np.degrees(np.arctan2(points[..., 1], points[..., 0])) / 2 % 180)


def unit_trace_matrices(points: Array) -> Array:
    """Return the symmetric matrices of trace one at any points (u, w), shape (..., 2)."""
    u, w = points[..., 0], points[..., 1]
    rows = [np.stack([1 + u, w], axis=-1), np.stack([w, 1 - u], axis=-1)]
    return np.stack(rows, axis=-2) / 2


@quiet
def cone_coordinates(covariances: ArrayLike) -> Array:
    r"""Return the coordinates $(u, w, v) = (a - b, 2c, a + b)$ of covariances of the plane.

    Args:
        covariances: shape (..., 2, 2); NaN is kept.

    Returns:
        Array (..., 3), in the units of the covariances.

    Raises:
        ValueError: matrices that are not 2 x 2, symmetric and positive semidefinite.

    Example:
        >>> from transpde.disc import cone_coordinates
        >>> cone_coordinates([[3.0, 0.5], [0.5, 1.0]])
        array([2., 1., 4.])
    """
    return plane_coordinates("covariances", covariances)


def plane_coordinates(name: str, covariances: ArrayLike) -> Array:
    """Return (u, w, v), shape (..., 3), of covariances of the plane under the name of a caller."""
    Sigma = known_covariances(name, covariances)
    same_size(name, Sigma.shape[-1], "the plane", 2, "dimension")
    return symmetric_coordinates(Sigma)


@quiet
def disc_coordinates(covariances: ArrayLike) -> Array:
    r"""Return $(u, w)/v$, the place of $\Sigma/\operatorname{tr}\Sigma$ in the unit disc.

    Args:
        covariances: shape (..., 2, 2), of any positive trace; NaN is kept.

    Returns:
        The origin for an isotropic matrix, norm 1 for rank one; shape (..., 2).

    Raises:
        ValueError: matrices that are not 2 x 2, symmetric and positive semidefinite, or zero.

    Example:
        >>> from transpde.disc import disc_coordinates
        >>> disc_coordinates([[4.0, 0.0], [0.0, 0.0]])
        array([1., 0.])
    """
    return disc_places("covariances", covariances)


def disc_places(name: str, covariances: ArrayLike) -> Array:
    """Return (u, w)/v, shape (..., 2), of covariances of the plane under the name of a caller."""
    uwv = plane_coordinates(name, covariances)
    if (uwv[..., 2] == 0).any():
        raise ValueError(f"{name}: a zero matrix has no direction; got a trace of 0.")
    return uwv[..., :2] / uwv[..., 2:]


@quiet
def covariances_at(points: ArrayLike) -> Array:
    r"""Return the covariances of trace one at points of the unit disc.

    Args:
        points: coordinates $(u, w) = (\Sigma_{11} - \Sigma_{22}, 2\Sigma_{12})$, shape (..., 2).

    Returns:
        Array (..., 2, 2).

    Raises:
        ValueError: points outside the disc.

    Example:
        >>> from transpde.disc import covariances_at
        >>> covariances_at([0.0, 0.5])
        array([[0.5 , 0.25],
               [0.25, 0.5 ]])
    """
    uw = finite_array("points", points, "... 2")
    radius = np.hypot(uw[..., 0], uw[..., 1])
    if np.any(radius > 1 + 1e-12):
        raise ValueError(f"points: must be in the unit disc; got a norm of {radius.max():.6g}.")
    return unit_trace_matrices(uw)


@quiet
def disc_covariances(rings: int, rays: int, radius: float = 0.98) -> Array:
    r"""Return covariances of trace one on rings and rays of the disc, the first ray twice.

    Args:
        rings: from the centre to the radius, at least 2.
        rays: directions in a full turn, at least 2.
        radius: of the last ring, below one: there the covariances have rank one.

    Returns:
        Array (rings, rays, 2, 2).

    Raises:
        ValueError: too few rings or rays, a radius outside of (0, 1).

    Example:
        >>> from transpde.disc import disc_covariances
        >>> disc_covariances(3, 5, radius=0.5)[2, 0]
        array([[0.75, 0.  ],
               [0.  , 0.25]])
    """
    rings, rays = positive_integer("rings", rings, 2), positive_integer("rays", rays, 2)
    if positive_number("radius", radius) >= 1:
        raise ValueError(f"radius: must be below 1; got {radius}.")
    r, angle = np.meshgrid(
        np.linspace(0, radius, rings), np.linspace(0, 2 * np.pi, rays), indexing="ij"
    )
    return covariances_at(np.stack([r * np.cos(angle), r * np.sin(angle)], axis=-1))


@quiet
def disc_gaussians(side: int, *, inside: float = 0.97) -> Gaussian:
    r"""Return the centred Gaussians of trace one whose $(u, w)$ lie on a square grid in the disc.

    Args:
        side: points of the grid along each axis, from -1 to 1.
        inside: the radius up to which they are kept.

    Raises:
        ValueError: a side that is not an integer >= 1, a radius that is not positive or more than
            1, no point of the grid within the radius.

    Example:
        >>> from transpde.disc import disc_gaussians
        >>> disc_gaussians(9).stack
        (45,)
    """
    axis = np.linspace(-1.0, 1.0, positive_integer("side", side))
    if positive_number("inside", inside) > 1:
        raise ValueError(f"inside: must be at most 1, the radius of the disc; got {inside}.")
    u, w = (grid.ravel() for grid in np.meshgrid(axis, axis))
    u, w = u[u**2 + w**2 < inside**2], w[u**2 + w**2 < inside**2]
    if not u.size:
        raise ValueError(
            f"side: no point of the grid lies in the disc; got {side}. Take 3 or more."
        )
    S = covariances_at(np.stack([u, w], axis=-1))
    return Gaussian.from_covariance(np.zeros((len(S), 2)), S)


@quiet
def isotropic_directions(form: ArrayLike) -> Array:
    r"""Return the two unit vectors u of the plane with $u^\top Au = 0$, up to sign.

    Args:
        form: A, shape (..., 2, 2), such as $K^\top Q$.

    Returns:
        Shape (..., 2, 2), a row a vector, by their angles in $(0, \pi]$.

    Raises:
        ValueError: another shape; a symmetric part that is not indefinite.

    Source: ours (chapter on two lines and their basins).

    Example:
        >>> import numpy as np
        >>> from transpde.disc import isotropic_directions
        >>> isotropic_directions(np.diag([1.0, -1.0])).round(3)
        array([[ 0.707,  0.707],
               [-0.707,  0.707]])
    """
    A = finite_array("form", form, "... d d")
    same_size("form", A.shape[-1], "the plane", 2, "dimension")
    values, U = np.linalg.eigh((A + A.mT) / 2)
    if not ((values[..., 0] < 0) & (values[..., 1] > 0)).all():
        raise ValueError(
            f"form: must have a symmetric part with eigenvalues of both signs; got {values}."
        )
    low, high = values[..., :1], values[..., 1:]
    a, b = np.sqrt(high) * U[..., 0], np.sqrt(-low) * U[..., 1]
    pair = np.stack([a + b, a - b], axis=-2) / np.sqrt(high - low)[..., None]
    pair = pair * np.where(pair[..., 1:] < 0, -1.0, 1.0)
    order = np.argsort(np.arctan2(pair[..., 1], pair[..., 0]), axis=-1, kind="stable")
    return np.take_along_axis(pair, order[..., None], axis=-2)


__dir__ = listing(__all__)
