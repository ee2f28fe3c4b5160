"""The proximal step for any potential, its normaliser by Gauss-Hermite nodes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import logsumexp, roots_hermitenorm

from transpde.attention import Attention
from transpde.attention.normalised import L2
from transpde.checks import (
    Array,
    finite_array,
    finite_number,
    function,
    generator,
    positive_integer,
    positive_number,
    same_size,
)
from transpde.fields import VelocityField, held, quiet
from transpde.kernels import Evaluation
from transpde.kernels.blocks import slices
from transpde.measures import Measure, Particles
from transpde.sampling.proximal import definite, free_tokens, root
from transpde.sampling.tilted import Tilted, probed, probes

__all__ = ["ProximalSampler"]

MOST_NODES = 100_000  # of all dimensions together
AT_ONCE = 1 << 20  # points at which a potential is evaluated in one call
ROUNDS = 10_000  # proposals of a token, at most
STEP, SLACK = 1e-5, 1e-4  # of a difference quotient, and its relative error


@dataclass(frozen=True, eq=False, repr=False)
class ProximalSampler(Attention):
    r"""The sampler of $\pi\propto e^{-U/\beta}$ whose score is an attention head.

    Its velocity is $-\frac12M\nabla U(x) + (x - \sum_jP_j(x)y_j)/2T$: an L2 head of the tokens
    reweighted by one over $Z(y) = \mathbb E\,e^{-U(y + \sqrt{2\beta T}M^{1/2}\xi)/2\beta}$, with a
    normal $\xi$, and a feed-forward term. Z is computed by Gauss-Hermite nodes. It acts on
    particles and stacks of clouds.

    Args:
        potential: U, a function of points (..., n, d) with values (..., n).
        gradient: of U, a function of points (..., n, d) with values of the same shape.
        dimension: d.
        time: T > 0, the time of the step.
        temperature: $\beta > 0$.
        preconditioner: M, symmetric and positive definite (d, d); the identity when left out.
        nodes: nodes in each dimension, at most 100,000 in all.

    Raises:
        TypeError: no functions; a measure that is not Particles.
        ValueError: functions with values of another shape, a gradient that is not that of the
            potential at six points, a potential or gradient that is no number where tokens come, a
            time or temperature that is not positive, a preconditioner that is not positive
            definite, too many nodes.
        OverflowError: a token at which log Z is not finite.

    Source: `tan2025preconditioned`, from whose abstract and the code of `tan2023noise` the kernel
    is; the nodes are ours (chapter on attention as a sampler).

    Example:
        >>> import numpy as np, transpde as tp
        >>> U, dU = lambda x: (x**4).sum(-1) / 4, lambda x: x**3
        >>> sampler = tp.sampling.ProximalSampler(U, dU, dimension=1, time=0.1)
        >>> cloud = tp.Particles(np.linspace(-2, 2, 9)[:, None])
        >>> tp.layers(cloud, sampler, 400, 0.05).final.points.shape
        (9, 1)
    """

    potential: Any
    gradient: Any
    time: float
    temperature: float
    preconditioner: Array
    nodes: int

    @quiet
    def __init__(
        self,
        potential: Any,
        gradient: Any,
        dimension: int,
        time: float,
        temperature: float = 1.0,
        preconditioner: Any = None,
        nodes: int = 8,
    ) -> None:
        d, count = positive_integer("dimension", dimension), positive_integer("nodes", nodes)
        if count > MOST_NODES or count**d > MOST_NODES:
            raise ValueError(
                f"nodes: must be at most {int(MOST_NODES ** (1 / d) + 1e-9)} in dimension {d}, "
                f"{MOST_NODES} in all; got {nodes}."
            )
        M = np.eye(d) if preconditioner is None else preconditioner
        vars(self).update(
            potential=potential,
            gradient=gradient,
            time=positive_number("time", time),
            temperature=positive_number("temperature", temperature),
            preconditioner=definite(finite_array("preconditioner", M, "d d"), d),
            nodes=count,
        )
        probed("potential", potential, d, vector=False)
        _check_gradient(potential, gradient, d)
        self._log_normaliser(probes(d))  # the potential is a number at the nodes, too

    @property
    def dimension(self) -> int:
        """The dimension d of the tokens."""
        return len(self.preconditioner)

    @cached_property
    def _spread(self) -> Array:
        """What takes a standard normal vector to one of the kernel without a potential."""
        return np.asarray(np.sqrt(2 * self.temperature * self.time) * root(self.preconditioner))

    @cached_property
    def _shifts(self) -> tuple[Array, Array]:
        """The places of the nodes from a token (q, d), and the logs of their weights (q,)."""
        x, w = roots_hermitenorm(self.nodes)
        with np.errstate(divide="ignore"):  # of many nodes the outer ones weigh nothing
            log_w = np.log(w / w.sum())
        axes = np.meshgrid(*[x] * self.dimension, indexing="ij")
        logs = np.meshgrid(*[log_w] * self.dimension, indexing="ij")
        places = np.stack([axis.ravel() for axis in axes], axis=-1)
        return places @ self._spread, np.sum([log.ravel() for log in logs], axis=0)

    def _log_terms(self, points: Array) -> tuple[Array, Array]:
        """Return places (..., n, q, d) and the log weights of the kernel there, not normalised."""
        shifts, logs = self._shifts
        places = points[..., :, None, :] + shifts
        flat = places.reshape(*points.shape[:-2], -1, self.dimension)
        values = np.asarray(self.potential(flat))
        if values.shape != flat.shape[:-1] or (np.isnan(values) & _finite(flat)).any():
            values = np.where(np.isinf(values), 0.0, values)
            raise _not_known("potential", "number", values, flat)
        return places, logs - values.reshape(places.shape[:-1]) / (2 * self.temperature)

    @quiet
    def log_normaliser(self, points: Any) -> Array:
        """Return log Z at points (..., n, d), shape (..., n).

        Raises:
            ValueError: points of another dimension, or that are not finite.
        """
        y = finite_array("points", points, "... n d")
        same_size("points", y.shape[-1], "the sampler", self.dimension, "dimension")
        return self._log_normaliser(y)

    def _log_normaliser(self, points: Array) -> Array:
        size = max(1, AT_ONCE // (points.size * len(self._shifts[1]) // points.shape[-2] + 1))
        parts = [
            logsumexp(self._log_terms(points[..., rows, :])[1], axis=-1)
            for rows in slices(0, points.shape[-2], size)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)

    @cached_property
    def _parts(self) -> Attention:
        """The head of reweighted tokens and the feed-forward term."""
        both = np.linalg.inv(root(self.preconditioner))
        both = both / (2 * np.sqrt(self.temperature * self.time))
        head = L2(both, both, -np.eye(self.dimension) / (2 * self.time))
        return Tilted(head, self._tilt) + self._drift

    def _tilt(self, points: Array) -> Array:
        return -self._log_normaliser(points)

    def _drift(self, points: Array) -> Array:
        slope = np.asarray(self.gradient(points))
        if slope.shape != points.shape or not np.isfinite(slope[_finite(points)]).all():
            raise _not_known(
                "gradient", "finite velocity of the shape of the point", slope, points
            )
        return np.asarray(points / (2 * self.time) - slope @ self.preconditioner / 2)

    def field(self, measure: Measure, how: Evaluation) -> VelocityField:
        """Return the velocity field of tokens, without a check."""
        return self._parts.field(measure, how)

    def _check_kind(self, measure: Measure) -> None:
        self._parts._check_kind(measure)

    def _matrix(self, measure: Particles) -> Array:
        return self._parts._matrix(measure)

    def select(self, stack: tuple[int, ...], index: Array) -> ProximalSampler:
        """Return itself: all cases of a stack share it."""
        return self

    @quiet
    def mean_after(self, measure: Particles, observable: Any) -> Any:
        """Return the mean of a function over the law of the tokens after one draw of the kernel.

        Args:
            measure: Particles, or a stack of clouds.
            observable: a function of points (..., n, d) with values (..., n).

        Returns:
            A number, or an array with the axes of the stack, by the nodes of the sampler.

        Raises:
            TypeError: a measure that is not Particles, no function.
            ValueError: tokens on a sphere, another dimension, values of another shape or NaN.
            OverflowError: a token at which Z is zero to all digits.
        """
        free_tokens(measure)
        self.check(measure)
        probed("observable", observable, self.dimension, vector=False)
        carried = measure.weights > 0
        points = measure.points
        places, logs = self._log_terms(np.where(carried[..., None], points, points[carried][0]))
        flat = places.reshape(*measure.stack, -1, self.dimension)
        values = np.reshape(observable(flat), logs.shape)
        total = logsumexp(logs, axis=-1, keepdims=True)
        held(total[carried], "potential: the mass of the kernel at a token")
        with np.errstate(invalid="ignore"):  # a place without mass may have any value
            products = np.exp(logs - total) * values
        terms = np.where(np.isneginf(logs), 0.0, products).sum(axis=-1)
        if not np.isfinite(terms[carried]).all():
            raise _not_known("observable", "finite number", values.reshape(flat.shape[:-1]), flat)
        return np.where(carried, terms * measure.weights, 0.0).sum(axis=-1)[()]

    @quiet
    def random_layer(
        self, measure: Particles, lowest: float, seed: int | np.random.Generator
    ) -> Particles:
        """Return tokens after one draw of the kernel, by rejection, which is exact.

        Args:
            measure: Particles, or a stack of clouds.
            lowest: a number that the potential is nowhere below; the larger the faster.
            seed: an integer of at least 0, several, or a generator.

        Raises:
            TypeError: a measure that is not Particles.
            ValueError: tokens on a sphere, a bad seed, another dimension, a potential that falls
                below `lowest` or is NaN somewhere.
            RuntimeError: a token for which 10,000 proposals are all rejected.
        """
        free_tokens(measure)
        self.check(measure)
        least = finite_number("lowest", lowest)
        rng, start = generator("seed", seed), measure.points.reshape(-1, self.dimension)
        found, left = start.copy(), np.arange(len(start))
        for _ in range(ROUNDS):
            drawn = start[left] + rng.normal(size=(len(left), self.dimension)) @ self._spread
            excess = np.asarray(self.potential(drawn)) - least
            if np.isnan(excess).any():
                excess = np.where(np.isinf(excess), 0.0, excess)
                raise _not_known("potential", "number", excess, drawn)
            if (excess < 0).any():
                raise ValueError(
                    "lowest: the potential must be nowhere below it; got "
                    f"{excess.min() + least:.6g} at {drawn[excess.argmin()].round(4).tolist()}."
                )
            kept = rng.exponential(size=len(left)) > excess / (2 * self.temperature)
            found[left[kept]], left = drawn[kept], left[~kept]
            if not len(left):
                return measure.at(found.reshape(measure.points.shape))
        raise RuntimeError(
            f"random_layer: {len(left)} tokens of {len(start)} found no place in {ROUNDS} "
            "proposals, as their potential is far above `lowest`. Run the sampler first, or "
            "take a larger `lowest`."
        )


def _finite(points: Array) -> Array:
    return np.asarray(np.isfinite(points).all(axis=-1))


def _not_known(name: str, wanted: str, found: Array, points: Array) -> ValueError:
    """Return the error of a function that fails at a point of a run."""
    each = found if found.ndim == points.ndim else found[..., None]
    if each.shape[:-1] == points.shape[:-1] and not np.isfinite(each).all():
        wrong = _finite(points) & ~_finite(each)
        got = f"{found[wrong][0]} at {points[wrong][0].round(4).tolist()}"
    else:
        got = f"shape {found.shape} for points of shape {points.shape}"
    return ValueError(f"{name}: must give a {wanted} wherever tokens come; got {got}.")


def _check_gradient(potential: Any, gradient: Any, dimension: int) -> None:
    """Raise unless the gradient is that of the potential at a few points."""
    function("gradient", gradient)
    found, points = probed("gradient", gradient, dimension, vector=True), probes(dimension)
    level = np.asarray(potential(points))
    precision = np.finfo(level.dtype).eps if level.dtype.kind == "f" else np.finfo(float).eps
    slopes = np.stack(
        [
            (potential(points + STEP * axis) - potential(points - STEP * axis)) / (2 * STEP)
            for axis in np.eye(dimension)
        ],
        axis=-1,
    )
    gap, rounding = np.abs(slopes - found), 16 * precision * np.abs(level).max() / STEP
    if not (gap <= SLACK * max(np.abs(slopes).max(), np.abs(found).max()) + rounding).all():
        where = np.unravel_index(gap.argmax(), gap.shape)
        raise ValueError(
            "gradient: must be the gradient of the potential; got "
            f"{found[where]:.6g} for coordinate {where[-1]} at "
            f"{points[where[:-1]].round(3).tolist()}, where the potential rises by "
            f"{slopes[where]:.6g}."
        )
