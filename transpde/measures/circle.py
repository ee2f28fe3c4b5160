r"""Densities on the circle, by their values at equal angles or, what is the same, Fourier modes.

A field with velocity v along the circle moves a density by $\dot\rho = -\partial_\theta(\rho v)$.
Products are formed from the modes below a third of the number of angles, so none of their modes is
taken for another one (the 2/3 rule). A density that attention has made too steep for its angles is
an error of the flow, not a number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln

from transpde.checks import (
    Array,
    finite_array,
    frozen,
    generator,
    number,
    positive_integer,
    same_size,
)
from transpde.fields import VelocityField, evaluated, quiet
from transpde.measures.axial import order_of
from transpde.measures.base import CUT_OFF, MASS_TOLERANCE, SphereLaw, density_values, unit_mass
from transpde.measures.particles import Particles

__all__ = ["Circle"]

FEWEST = 8  # angles
STEEP = 1e-6  # the largest mode at the cut-off, over the mass, of a density that is resolved
EDGE = 0.3  # of the number of angles: modes beyond count as those at the cut-off


@dataclass(frozen=True, eq=False, repr=False)
class Circle(SphereLaw):
    r"""A density $\rho(\theta)\,d\theta$ on the unit circle, by values at n equal angles.

    The angles are $\theta_j = 2\pi j/n$, from the first axis. It moves under `Softmax` and
    `Unnormalized` heads with any parameters, sums of these, and fields that are added. `flow`
    raises when the density gets too steep for its angles; a head whose weights are too narrow for
    them is refused.

    Args:
        density: values (n,), non-negative, n at least 8; their mean times 2 pi must be one to
            within 1e-9.

    Raises:
        ValueError: entries that are not finite, fewer than 8, a negative density, a mass other
            than one.

    Source: `orszag1971elimination`.

    Example:
        >>> import numpy as np, transpde as tp
        >>> theta = 2 * np.pi * np.arange(16) / 16
        >>> tp.Circle((1 + np.sin(theta)) / (2 * np.pi)).mean.round(12)
        array([-0. ,  0.5])
    """

    density: Array

    @quiet
    def __init__(self, density: Any) -> None:
        rho = finite_array("density", density, "n")
        if len(rho) < FEWEST:
            raise ValueError(f"density: must have at least {FEWEST} values; got {len(rho)}.")
        if rho.min() < 0:
            raise ValueError(
                f"density: must be non-negative; got {rho.min()} at index {rho.argmin()}."
            )
        mass = 2 * np.pi * rho.mean()
        what = "its integral over the angle, the mean of the values times 2 pi,"
        unit_mass("density", what, mass, MASS_TOLERANCE, "Divide by it first.")
        self._set(rho)

    def _set(self, density: Array) -> None:
        object.__setattr__(self, "density", frozen(density[...]))

    def __repr__(self) -> str:
        """Return the number of angles."""
        return f"Circle(density at {len(self.density)} angles)"

    @classmethod
    @quiet
    def from_density(cls, function: Callable[[Array], Any], n: int) -> Circle:
        """Return the values of a density at n equal angles.

        Args:
            function: the density with respect to the angle, a function of angles (n,) in
                [0, 2 pi) with values (n,). The sum over the angles must give its mass, one, to
                within 1e-6; the values are then divided by it.
            n: the number of angles, at least 8.

        Raises:
            ValueError: a negative density, a mass that is not one, fewer than 8 angles.

        Example:
            >>> import numpy as np, transpde as tp
            >>> tp.Circle.from_density(lambda t: (1 + 0.5 * np.cos(t)) / (2 * np.pi), 64)
            Circle(density at 64 angles)
        """
        n = number("n", n, f"an integer of at least {FEWEST}", lambda x: x >= FEWEST, whole=True,
                   most=1 << 24)  # fmt: skip
        values = density_values(function, equal_angles(n), "its angles")
        mass = float(2 * np.pi * values.mean())
        advice = "Divide the density by it; a steep one needs more angles."
        unit_mass("function", "its integral over the angle", mass, CUT_OFF, advice)
        return cls(values / mass)

    # --- the measure -------------------------------------------------------------------------

    @property
    def dimension(self) -> int:
        """The dimension of the plane around the circle, 2."""
        return 2

    @property
    def angles(self) -> Array:
        """The angles, shape (n,)."""
        return equal_angles(len(self.density))

    @property
    def masses(self) -> Array:
        """The mass that each angle stands for, shape (n,)."""
        return np.asarray(self.density * (2 * np.pi / len(self.density)))

    @property
    def points(self) -> Array:
        """The points of the circle at the angles, shape (n, 2)."""
        return np.stack([np.cos(self.angles), np.sin(self.angles)], axis=1)

    @property
    def modes(self) -> Array:
        r"""The modes $\int\rho\,e^{-ik\theta}d\theta$ for k = 0, ..., n/2, complex."""
        return np.asarray(np.fft.rfft(self.masses))

    @property
    def particles(self) -> Particles:
        """Weighted tokens at the angles; a negative value that rounding leaves counts as zero."""
        w = np.maximum(self.masses, 0.0)
        return Particles(self.space.retract(self.points), w / w.sum(), space=self.space)

    @property
    @quiet
    def mean(self) -> Array:
        """The mean, shape (2,)."""
        return self.masses @ self.points

    @property
    @quiet
    def covariance(self) -> Array:
        """The covariance, shape (2, 2)."""
        x = self.points - self.mean
        return (x.T * self.masses) @ x

    @quiet
    def distance_to_dirac(self, point: Any, p: float = 2) -> float:
        r"""Return $W_p(\mu, \delta_x) = (\int|x - y|^p\,d\mu(y))^{1/p}$, in chords $|x-y|$.

        Args:
            point: x, shape (2,), on the circle.
            p: at least 1.

        Raises:
            ValueError: a point off the circle; p below one.
        """
        x, p = finite_array("point", point, "d"), order_of("p", p)
        same_size("point", len(x), "the measure", 2, "dimension")
        self.space.check("point", x[None])
        angle, n = np.arctan2(x[1], x[0]), len(self.density)
        if p % 2 == 0 and p < n:  # a sum over the angles is the integral
            halves = np.abs(np.sin((self.angles - angle) / 2))
            return 2 * float(max(self.masses @ halves**p, 0.0) ** (1 / p))
        k = np.arange(n // 2 + 1)
        ratios = (k[:-1] - p / 2) / (k[1:] + p / 2)  # of the modes of |sin(theta / 2)|^p
        first = np.exp(gammaln(p + 1) - 2 * gammaln(p / 2 + 1) - p * np.log(2))
        sizes = first * np.append(1.0, 2 * np.cumprod(ratios))
        total = float((sizes * self.modes * np.exp(1j * k * angle)).real.sum())
        return 2 * float(max(total, 0.0) ** (1 / p))

    @quiet
    def sample(self, n: int, seed: int | np.random.Generator) -> Particles:
        """Return `n` independent draws as particles of equal weight, uniform between angles."""
        n, rng = positive_integer("n", n), generator("seed", seed)
        w = self.particles.weights
        chosen = rng.choice(len(w), size=n, p=w / w.sum())
        theta = self.angles[chosen] + rng.uniform(-0.5, 0.5, size=n) * 2 * np.pi / len(w)
        points = np.stack([np.cos(theta), np.sin(theta)], axis=1)
        return Particles(self.space.retract(points), space=self.space)

    def field_of(self, head: Any, how: Any) -> VelocityField:
        """Return the field that a head makes of a density on the circle, without a check."""
        return head._circle_field(self)

    def check_for(self, head: Any) -> None:
        """Raise unless a head has a field for a density on the circle."""
        head._check_circle(self)

    # --- its coordinates, and how a field moves them -----------------------------------------

    def pack(self) -> Array:
        """Return the values as one vector."""
        return self.density

    def unpack(self, state: Array) -> Circle:
        """Return the density with the values in `state`, without a check."""
        circle = object.__new__(Circle)
        circle._set(state)
        return circle

    def speeds(self, field: VelocityField) -> Array:
        """Return the velocities along the circle at the angles, shape (n,)."""
        at_angles = getattr(field, "at_angles", None)
        x = self.points
        values = evaluated(field, x, None) if at_angles is None else at_angles()
        return x[:, 0] * values[:, 1] - x[:, 1] * values[:, 0]

    def advect(self, field: VelocityField) -> Array:
        """Return the time derivative of the values under a velocity field."""
        n = len(self.density)
        k = np.arange(n // 2 + 1)
        low = 3 * k < n  # strictly: the square of the mode n/3 would be taken for it
        rho, v = (
            np.fft.irfft(np.fft.rfft(f) * low, n) for f in (self.density, self.speeds(field))
        )
        return np.fft.irfft(-1j * k * low * np.fft.rfft(rho * v), n)

    def push(self, field: VelocityField, step: float) -> Circle:
        """Raise `TypeError`: a residual layer does not map equal angles to equal angles."""
        raise TypeError(
            "measure: a residual layer does not send a Circle to a Circle. Use `flow`, or apply "
            "the layers to its tokens, circle.particles, or to draws, circle.sample(n, seed)."
        )

    def verify(self, times: Array, states: Array) -> None:
        """Raise `RuntimeError` where a density (T, n) has become too steep for its angles."""
        n = states.shape[-1]
        modes = np.abs(np.fft.rfft(states, axis=-1))
        high = modes[:, int(EDGE * n) :].max(axis=-1) * 2 * np.pi / n
        steep = high > STEEP
        if steep.any():
            i = int(np.argmax(steep))
            raise RuntimeError(
                f"flow: the density has become too steep for {n} angles by time {times[i]:.6g}: "
                f"its highest modes are {high[i]:.2g} of the mass, and must stay below "
                f"{STEEP:.0e}. Take more angles or a shorter time, or move tokens of it: "
                "circle.particles."
            )

    def rate(self, velocity: Array) -> Array:
        """Return the mass that changes place per time."""
        return np.asarray(np.abs(velocity).mean() * np.pi)


def equal_angles(n: int) -> Array:
    """Return the angles 2 pi j / n."""
    return np.asarray(2 * np.pi * np.arange(n) / n)
