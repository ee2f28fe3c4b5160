"""Axes in which tokens are drawn: of the line, the plane or, with the sphere, of space."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from transpde.checks import Array
from transpde.plotting.styles import GREY, axes_3d, axes_on, plane_axes
from transpde.spaces import EUCLIDEAN, Space, Sphere

__all__ = ["drawable", "in_space", "token_axes"]

MERIDIANS, POINTS = 13, 49  # lines of the net on a sphere, and points of each
NET = "sphere"  # the name by which a net that is already drawn is found


def drawable(name: str, dimension: int, allowed: tuple[int, ...] = (1, 2, 3)) -> None:
    """Raise `ValueError` for tokens of a dimension that is not drawn, and say how to project."""
    if dimension in allowed:
        return
    *first, last = (str(d) for d in allowed)
    wanted = f"{', '.join(first)} or {last}" if first else last
    advice = (
        f" Project the tokens first: points @ W with W of shape ({dimension}, {last}), such as "
        "some coordinates or the leading right singular vectors of the centred points."
        if dimension > allowed[-1]
        else ""
    )
    raise ValueError(f"{name}: must have dimension {wanted}; got {dimension}.{advice}")


def token_axes(ax: Any, dimension: int, space: Space = EUCLIDEAN) -> Any:
    """Return axes for tokens: those of the plane, or of space with the sphere that holds them."""
    if dimension < 3:
        return axes_on(ax)
    ax = axes_3d(ax)
    if isinstance(space, Sphere) and not any(one.get_gid() == NET for one in ax.lines):
        _draw_net(ax, space)
    return ax


def in_space(ax: Axes, dimension: int, *, box: bool = False) -> None:
    """Give all axes one scale and their names, where they have none."""
    if dimension < 3:
        plane_axes(ax, box=box)
        return
    solid: Any = ax
    limits = np.array([solid.get_xlim(), solid.get_ylim(), solid.get_zlim()])
    half = np.diff(limits).max() / 2
    for axis, middle in zip("xyz", limits.mean(axis=1), strict=True):
        getattr(solid, f"set_{axis}lim")(middle - half, middle + half)
    solid.set_box_aspect((1, 1, 1))
    for i, axis in enumerate("xyz", start=1):
        if not getattr(solid, f"get_{axis}label")():
            getattr(solid, f"set_{axis}label")(f"$x_{i}$")


def _draw_net(ax: Any, sphere: Sphere) -> None:
    """Draw meridians and parallels of a sphere, or the circle that its normal leaves."""
    turn = np.linspace(0.0, 2 * np.pi, POINTS)
    if sphere.normal is not None:
        basis = np.linalg.svd(np.array([sphere.normal]))[2][1:]
        circles = [np.cos(turn)[:, None] * basis[0] + np.sin(turn)[:, None] * basis[1]]
    else:
        circles = _net(turn)
    for circle in circles:
        ax.plot(*(sphere.radius * circle).T, color=GREY, linewidth=0.4, alpha=0.6, gid=NET)


def _net(turn: Array) -> list[Array]:
    heights = np.sin(np.linspace(-np.pi / 2, np.pi / 2, MERIDIANS // 2 + 2)[1:-1])
    flat = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    parallels = [
        np.column_stack([np.sqrt(1 - z**2) * flat, np.full(len(turn), z)]) for z in heights
    ]
    around = np.linspace(0.0, np.pi, MERIDIANS // 2, endpoint=False)
    return parallels + [
        np.column_stack([flat[:, :1] * [np.cos(a), np.sin(a)], flat[:, 1]]) for a in around
    ]
