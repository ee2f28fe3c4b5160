r"""One step of Rodas5P for a stack of stiff equations, each case with a step size of its own.

A Rosenbrock method of eight stages and order five, L-stable: one linear system a stage, all with
one matrix; the last stage estimates the error. Source of the coefficients:
`steinebach2023rodas5p`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from transpde.checks import Array
from transpde.stepping.dense import Polynomial

__all__ = ["Implicit"]

GAMMA = 0.21193756319429014
SIXTH = (-7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256,
         0.030198172008377946)  # fmt: skip
STAGES = (
    (),
    (3.0,),
    (2.849394379747939, 0.45842242204463923),
    (-6.954028509809101, 2.489845061869568, -10.358996098473584),
    (2.8029986275628964, 0.5072464736228206, -0.3988312541770524, -0.04721187230404641),
    SIXTH,
    (*SIXTH, 1.0),
    (*SIXTH, 1.0, 1.0),
)
MIXED = (
    (),
    (-14.155112264123755,),
    (-17.97296035885952, -2.859693295451294),
    (147.12150275711716, -1.41221402718213, 71.68940251302358),
    (165.43517024871676, -0.4592823456491126, 42.90938336958603, -5.961986721573306),
    (24.854864614690072, -3.0009227002832186, 47.4931110020768, 5.5814197821558125,
     -0.6610691825249471),
    (30.91273214028599, -3.1208243349937974, 77.79954646070892, 34.28646028294783,
     -19.097331116725623, -28.087943162872662),
    (37.80277123390563, -3.2571969029072276, 112.26918849496327, 66.9347231244047,
     -40.06618937091002, -54.66780262877968, -9.48861652309627),
)  # fmt: skip
DENSE = np.array([
    (25.948786856663858, -2.5579724845846235, 10.433815404888879, -2.3679251022685204,
     0.524948541321073, 1.1241088310450404, 0.4272876194431874, -0.17202221070155493),
    (-9.91568850695171, -0.9689944594115154, 3.0438037242978453, -24.495224566215796,
     20.176138334709044, 15.98066361424651, -6.789040303419874, -6.710236069923372),
    (11.419903575922262, 2.8879645146136994, 72.92137995996029, 80.12511834622643,
     -52.072871366152654, -59.78993625266729, -0.15582684282751913, 4.883087185713722),
])  # fmt: skip


class Implicit:
    """A method of order 5 with an error estimate of order 4 and an interpolant of order 4.

    Args:
        derivative: states (b, M) -> their derivatives (b, M).
        z: states (b, M).
        slope: the derivatives there.
        h: steps (b,).
        J: the derivative of the derivative there, (b, M, M).
    """

    order = 5

    def __init__(
        self, derivative: Callable[[Array], Array], z: Array, slope: Array, h: Array, J: Array
    ) -> None:
        self.z, h = z, h[:, None]
        eye = np.eye(z.shape[1])
        finite = np.asarray(np.isfinite(J).all(axis=(1, 2), keepdims=True))
        inverse = _inverse(eye / (GAMMA * h)[..., None] - np.where(finite, J, 0.0))
        self.u = np.empty((8, *z.shape))
        for i in range(8):
            point = z + _combined(STAGES[i], self.u)
            value = slope if i == 0 else derivative(point)
            right = value + _combined(MIXED[i], self.u) / h
            self.u[i] = (inverse @ right[..., None])[..., 0]
        self.new = point + self.u[7]
        self.new[~finite[:, 0, 0]] = np.nan
        self.slope = derivative(self.new)

    def error(self, scale: Array) -> Array:
        """Return the largest error of each case over the scale (b, M) of its coordinates."""
        return np.asarray(np.abs(self.u[7] / scale).max(axis=1))

    def interpolant(self) -> Any:
        """Return the polynomial on the step."""
        parts = np.empty((4, *self.z.shape))
        parts[0] = self.new - self.z
        parts[1:] = (DENSE @ self.u.reshape(8, -1)).reshape(3, *self.z.shape)
        return Polynomial(self.z, parts, "x1xx")


def _combined(weights: tuple[float, ...], stages: Array) -> Any:
    if not weights:
        return 0.0
    k = len(weights)
    return (np.array(weights) @ stages[:k].reshape(k, -1)).reshape(stages.shape[1:])


def _inverse(matrices: Array) -> Array:
    """Return the inverses, NaN for a stack in which one has none: its step is tried shorter."""
    try:
        return np.linalg.inv(matrices)
    except np.linalg.LinAlgError:
        return np.full(matrices.shape, np.nan)
