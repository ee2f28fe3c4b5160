"""A random field drawn at the tokens: the same for all tokens, new in each layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from transpde.checks import (
    Array,
    Unchanging,
    finite_array,
    generator,
    of_kind,
    positive_integer,
    positive_number,
    same_size,
)
from transpde.fields import held
from transpde.measures import Particles
from transpde.noise.kernels import NoiseKernel

__all__ = ["CommonNoise"]

INDEFINITE = 1e-6  # a negative eigenvalue of a Gram matrix, over the largest, that is no rounding


@dataclass(frozen=True, repr=False, eq=False)
class CommonNoise(Unchanging):
    r"""A random field $x\mapsto G(x)\in\mathbb R^d$ of covariance $\kappa(x, y)I$.

    Of infinite width it is Gaussian: a root of the Gram matrix at all tokens, times normal draws.
    Rounding then hides differences of tokens closer than 1e-7. Of width m it is a network with
    random weights, which has the same covariance for every m, at any number of tokens, and
    resolves differences of close ones.

    Args:
        kernel: a kernel of `transpde.noise`.
        width: m, of the hidden layer; infinite when left out.

    Raises:
        TypeError: something that is no kernel; a width for a kernel that is none of a network.
        ValueError: a width that is no positive integer.

    Source: `agazzi2026synchronization`; the draws at tokens are ours.

    Example:
        >>> import numpy as np
        >>> from transpde.noise import CommonNoise, RandomFeatures
        >>> noise = CommonNoise(RandomFeatures(1.0))
        >>> G = noise.draw(np.broadcast_to(np.eye(3), (20000, 3, 3)), seed=0)
        >>> round(float((G[:, 0] * G[:, 1]).mean() / np.exp(-1.0)), 1)
        1.0
    """

    kernel: NoiseKernel
    width: int | None = None

    def __post_init__(self) -> None:
        of_kind("kernel", self.kernel, NoiseKernel, "a kernel of transpde.noise")
        if self.width is not None:
            object.__setattr__(self, "width", positive_integer("width", self.width))
            self.kernel.network(np.random.default_rng(0), (), 1, 1)  # or it has none

    def check(self, dimension: int) -> None:
        """Raise unless the kernel is for tokens of this dimension."""
        if self.kernel.dimension is not None:
            same_size("noise", self.kernel.dimension, "measure", dimension, "dimension")

    def draw(self, points: Any, seed: int | np.random.Generator) -> Array:
        """Return one draw of the field at points (..., n, d), a new one for each case of a stack.

        Args:
            points: shape (..., n, d).
            seed: an integer of at least 0, several, or a generator.

        Raises:
            ValueError: other shapes, a bad seed; a kernel of another dimension, or that is not
                positive definite at these points.
            OverflowError: the field leaves the range of floating point numbers.
        """
        x = finite_array("points", points, "... n d")
        self.check(x.shape[-1])
        with np.errstate(over="ignore", invalid="ignore"):
            return _held(self.at(x, self.drawn(generator("seed", seed), x.shape)))

    def drawn(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
        """Return the normal draws for points of a shape, each with the leading axes."""
        stack, d = shape[:-2], shape[-1]
        if self.width is None:
            return (rng.normal(size=shape),)
        first = self.kernel.network(rng, stack, self.width, d)
        return *first, rng.normal(size=(*stack, self.width, d)), rng.normal(size=(*stack, 1, d))

    def at(self, points: Array, drawn: Any) -> Array:
        """Return the field at points (..., n, d) of these draws."""
        if self.width is None:
            return _root(self.kernel.gram(points)) @ drawn[0]
        *first, W, last = drawn
        hidden = self.kernel.hidden(points, first) / np.sqrt(self.width)
        return np.asarray(hidden @ W + self.kernel.output_bias * last)

    def pushed(self, particles: Particles, drawn: Any, step: float) -> Particles:
        r"""Return tokens after $x\mapsto x + \sqrt h\,G(x)$, put back in their space."""
        moved = particles.points + np.sqrt(step) * self.at(particles.points, drawn)
        return particles.at(particles.space.retract(moved))

    def step(self, particles: Any, step: float, seed: int | np.random.Generator) -> Particles:
        r"""Return tokens after one layer of noise, $x\mapsto x + \sqrt h\,G(x)$.

        Args:
            particles: tokens, or a stack of clouds, each with a draw of its own.
            step: h, positive.
            seed: an integer of at least 0, several, or a generator.

        Raises:
            TypeError: a measure that is no particles.
            ValueError: a step that is not positive, and what `draw` raises.
            OverflowError: tokens leave the range of floating point numbers.
        """
        of_kind("particles", particles, Particles)
        h = positive_number("step", step)
        self.check(particles.dimension)
        drawn = self.drawn(generator("seed", seed), particles.points.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            moved = self.pushed(particles, drawn, h)
        _held(moved.points)
        return moved


def _held(values: Array) -> Array:
    """Return values, or raise where one is beyond floats."""
    advice = "Use smaller tokens or a smaller step."
    return held(values, "noise: the field, or a token moved by it,", "", advice)


def _root(gram: Array) -> Array:
    """Return the symmetric roots of Gram matrices (..., n, n)."""
    _held(gram)
    values, vectors = np.linalg.eigh((gram + gram.mT) / 2)
    if (values[..., 0] < -INDEFINITE * np.abs(values).max(axis=-1)).any():
        raise ValueError(
            "kernel: must be positive definite; got a Gram matrix of tokens with an eigenvalue of "
            f"{values.min():.3g}."
        )
    return (vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]) @ vectors.mT
