r"""Causal attention on the circle by Fourier modes: field, adjoint, sensitivities, correlations.

With $u_j = e^{i\theta_j}$ and prefix means $c_{jm} = \sum_{k<j}w_{jk}u_k^m$ the velocity is
$$\dot\theta_j = \sum_{k<j}w_{jk}\,w_\beta'(\theta_j - \theta_k)
= -2\sum_{m\ge1}mI_m(\beta)\operatorname{Im}\big(u_j^m\,\overline{c_{jm}}\big),$$
so that cumulative sums give all velocities in time n times the number of modes. The weights are
those of `transpde.Masked(head, discount, strict=True)` at positions j/n.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ive

from transpde.checks import (
    LEAST,
    Array,
    Unchanging,
    finite_array,
    flag,
    generator,
    listing,
    of_kind,
    outlined,
    positive_integer,
    positive_number,
    same_shape,
    same_size,
    whole_array,
)
from transpde.fields import in_floats
from transpde.kernels.blocks import slices
from transpde.theory import retrieval
from transpde.theory.retrieval import LARGEST, STEEPEST, discount_weights

__all__ = ["CausalCircle", "Correlations", "retrieval_correlations"]

STABLE = 2.78  # the largest step times slope at which Runge-Kutta of order four is stable
WIDEST = 5.0  # beta of softmax: of the partition function e^(2 beta) roundings are left
SMALL, MOST = 1e-14, 4000  # of a mode that is left out, relative to the largest; modes at most
Speed = Callable[[Array], Array]
TOGETHER = 20_000  # complex numbers of a chunk of replicas: they stay in the cache


class _Head(NamedTuple):
    """Coefficients of the modes, weights of the keys, gain."""

    force: Array  # w' is the real part of the sum of these times e^(im phi)
    partition: Array | None  # so is w, less its mean, for a softmax head
    mean: float
    keys: Array
    gain: float


@outlined
class Correlations(NamedTuple):
    """Means over replicas and their standard errors, shape (orders, n - 1)."""

    mean: Array
    error: Array


@dataclass(frozen=True, eq=False, repr=False)
class CausalCircle(Unchanging):
    r"""Heads with Q = K = $\sqrt\beta I$, V = $c\beta I$ on the circle, behind a strict mask.

    Args:
        beta: $\beta$, positive; one number, or one a head.
        discount: $\lambda\ge0$ over the whole sequence, one number or one a head.
        gain: c, negative for a head that repels; one number or one a head.
        normalised: softmax weights, for $\beta$ up to 5; else those of unnormalised attention.
        modes: how many Fourier modes; None takes all that a float sees. Eight give 1e-6 at
            $\beta = 1$.

    Raises:
        ValueError: numbers out of range, lengths that do not match.

    Source: `duerinckx2026kinetic`.

    Example:
        >>> import numpy as np
        >>> from transpde.causal_circle import CausalCircle
        >>> CausalCircle(1.0).field([0.0, np.pi / 2]).round(6)  # -sin e^cos at pi / 2
        array([ 0., -1.])
    """

    beta: Any
    discount: Any = 0.0
    gain: Any = 1.0
    normalised: bool = False
    modes: int | None = None

    def __post_init__(self) -> None:
        found = {}
        for name, least, most, wanted in (
            ("beta", LEAST, LARGEST, f"positive and at most {LARGEST:g}"),
            ("discount", 0.0, STEEPEST, f"at least 0 and at most {STEEPEST:g}"),
            ("gain", -np.inf, np.inf, "finite"),
        ):
            values = np.atleast_1d(finite_array(name, getattr(self, name), "..."))
            if values.ndim > 1 or (values < least).any() or (values > most).any():
                raise ValueError(
                    f"{name}: must be {wanted}, one number or one a head; "
                    f"got {getattr(self, name)!r}."
                )
            found[name] = values
        heads = next((len(v) for v in found.values() if len(v) > 1), 1)
        for name, values in found.items():
            if len(values) > 1:
                same_size(name, len(values), "the other parameters", heads, "length")
            object.__setattr__(self, name, np.broadcast_to(values, heads))
        object.__setattr__(self, "normalised", flag("normalised", self.normalised))
        if self.normalised and self.beta.max() > WIDEST:
            raise ValueError(
                f"beta: must be at most {WIDEST:g} for softmax weights, whose sums modes cannot "
                f"resolve beyond; got {self.beta.max():g}. Use Masked(Softmax(...))."
            )
        if self.modes is not None:
            object.__setattr__(self, "modes", positive_integer("modes", self.modes))

    @cached_property
    def _modes(self) -> tuple[tuple[Array, Array | None, float], ...]:
        """Coefficients of the force and of the partition function, and its mean, of each head."""
        made = []
        for beta in self.beta:
            m = np.arange(1, (self.modes or MOST) + 1)
            bessel = ive(m, beta)
            if self.modes is None:
                few = m**2 * bessel > SMALL * (m**2 * bessel).max()
                m, bessel = m[few], bessel[few]
            # a softmax head is the same with all scores less beta
            size = 1.0 if self.normalised else np.exp(beta)
            partition = 2 * size * bessel if self.normalised else None
            made.append((2j * size * m * bessel, partition, size * ive(0, beta)))
        return tuple(made)

    def _heads(self, n: int) -> list[_Head]:
        places = (np.arange(1, n + 1) - n) / n
        return [
            _Head(*modes, np.exp(discount * places), gain)
            for modes, discount, gain in zip(self._modes, self.discount, self.gain, strict=True)
        ]

    def weights(self, n: int) -> Array:
        """Return the weights w about uniform tokens, (n, n), for several heads (h, n, n).

        Args:
            n: the number of tokens.

        Raises:
            ValueError: n that is no positive integer.
        """
        n = positive_integer("n", n)
        found = np.array([discount_weights(n, float(one)) for one in self.discount])
        return found if len(found) > 1 else found[0]

    @in_floats
    def field(self, angles: Any) -> Array:
        """Return the velocities of tokens at angles (..., n), shape (..., n).

        Raises:
            ValueError: angles that are not finite.
            OverflowError: velocities that no float holds.
        """
        return self._field(finite_array("angles", angles, "... n"))

    def _field(self, theta: Array) -> Array:
        found = np.zeros_like(theta)
        for head in self._heads(theta.shape[-1]):
            sums = _Sums(theta, head)
            force = sums.at(head.force)
            if head.partition is not None:
                force /= head.mean + sums.at(head.partition)
            force[..., 0] = 0.0
            found += head.gain * force
        return found

    @in_floats
    def adjoint(self, angles: Any, covector: Any) -> Array:
        r"""Return $(\partial F)^\top p$, the transposed derivative of the velocities F.

        Args:
            angles: shape (..., n).
            covector: p, of the same shape.

        Raises:
            ValueError: entries that are not finite, shapes that differ.
            OverflowError: velocities that no float holds.
        """
        theta = finite_array("angles", angles, "... n")
        p = finite_array("covector", covector, "... n")
        same_shape("covector", p.shape, "the angles", theta.shape)
        return self._adjoint(theta, p)

    def _adjoint(self, theta: Array, p: Array) -> Array:
        found = np.zeros_like(theta)
        for head in self._heads(theta.shape[-1]):
            sums, q = _Sums(theta, head), head.gain * p
            q[..., 0] = 0.0
            if head.partition is not None:
                Z = head.mean + sums.at(head.partition)
                Z[..., 0] = 1.0
                q /= Z
                found -= sums.back(head.partition, q * sums.at(head.force) / Z)
            found += sums.back(head.force, q)
        return found

    @in_floats
    def path(self, angles: Any, time: float, steps: int) -> Array:
        """Return the angles at equal depths from 0 to the time, by Runge-Kutta of order four.

        Args:
            angles: at depth 0, shape (..., n).
            time: the depth at the end, positive.
            steps: how many steps.

        Returns:
            Shape (steps + 1, ..., n).

        Raises:
            ValueError: angles that are not finite, a time or steps that are not positive, steps
                so few that the method is unstable.
            OverflowError: angles that no float holds.
        """
        theta, steps = finite_array("angles", angles, "... n"), positive_integer("steps", steps)
        h, found = self._step(time, steps), [theta]
        for _ in range(steps):
            found.append(_runge_kutta(self._field, self._field, self._field, found[-1], h))
        return np.array(found)

    def _step(self, time: Any, steps: int) -> float:
        """Return the step, unless tokens that attract each other make it unstable."""
        t = positive_number("time", time)
        # of the velocity of a token in its own angle; the other derivatives are below the diagonal
        slopes = (
            np.abs(self.gain)
            * self.beta
            * (1 + self.beta if self.normalised else np.exp(self.beta))
        )
        least = np.ceil(min(t * slopes.sum() / STABLE, 1e15))
        if steps < least:
            raise ValueError(
                f"steps: must be at least {least:.0f} for a time of {t:g}, since with fewer the "
                f"method is unstable; got {steps}."
            )
        return t / steps

    @in_floats
    def sensitivity(self, angles: Any, time: float, steps: int = 4) -> tuple[Array, Array]:
        r"""Return the angles at a depth, and $\partial\theta_n(t)/\partial\theta_k(0)$ for all k.

        One path with 2 `steps` steps, and along it the adjoint equation
        $\dot p = -(\partial F)^\top p$ from the last token's unit vector back, with `steps`.

        Args:
            angles: at depth 0, shape (..., n).
            time: the depth t, positive.
            steps: of the adjoint.

        Returns:
            Both of shape (..., n), with errors of order four in the step.

        Raises:
            ValueError: angles that are not finite, a time or steps that are not positive, steps
                so few that the method is unstable.
            OverflowError: angles that no float holds.
        """
        steps = positive_integer("steps", steps)
        h = self._step(time, steps)
        path = self.path(angles, time, 2 * steps)
        p = np.zeros_like(path[0])
        p[..., -1] = 1.0
        for i in range(2 * steps, 0, -2):
            late, middle, early = (partial(self._adjoint, path[i - k]) for k in range(3))
            p = _runge_kutta(late, middle, early, p, h)
        return path[-1], p


class _Sums:
    """Powers of the tokens and their prefix means, modes on the first axis."""

    def __init__(self, theta: Array, head: _Head) -> None:
        u, modes = np.exp(1j * theta), len(head.force)
        self.powers = np.empty((modes, *theta.shape), dtype=complex)
        self.powers[0] = u
        for m in range(1, modes):
            np.multiply(self.powers[m - 1], u, out=self.powers[m])
        self.keys = head.keys
        self.totals = np.append(1.0, np.cumsum(head.keys)[:-1])
        self.means = np.zeros_like(self.powers)
        np.cumsum(self.powers[..., :-1] * head.keys[:-1], axis=-1, out=self.means[..., 1:])
        self.means /= self.totals

    def at(self, alpha: Array) -> Array:
        r"""Return $\sum_{k<j}w_{jk}f(\theta_j-\theta_k)$, f the real part of the modes alpha."""
        products = self.powers * self.means.conj()
        return np.asarray(np.tensordot(alpha, products, axes=1).real)

    def back(self, alpha: Array, q: Array) -> Array:
        """Return the derivative of the sum of q_j times `at` in all angles."""
        turned = 1j * np.arange(1, len(alpha) + 1) * alpha
        after = np.zeros_like(self.powers)
        part = (self.powers * (q / self.totals))[..., :0:-1]
        after[..., -2::-1] = np.cumsum(part, axis=-1)
        seen = np.tensordot(turned, after * self.powers.conj(), axes=1).real
        return np.asarray(q * self.at(turned) - self.keys * seen)


def _runge_kutta(first: Speed, middle: Speed, last: Speed, x: Array, h: float) -> Array:
    """Return x after a step of order four, from the speeds at its ends and in its middle."""
    a = first(x)
    b = middle(x + h / 2 * a)
    c = middle(x + h / 2 * b)
    return x + h / 6 * (a + 2 * b + 2 * c + last(x + h * c))


@in_floats
def retrieval_correlations(
    circle: CausalCircle,
    n: int,
    time: float,
    *,
    orders: Any = (1,),
    replicas: int,
    seed: int | np.random.Generator,
    steps: int = 4,
    control: bool = True,
) -> Correlations:
    r"""Return $E\cos m(\theta_n(t) - \theta_k(0))$ for k < n, from independent uniform starts.

    By integration by parts in $\theta_k(0)$ it is the mean of
    $\frac{\partial\theta_n(t)}{\partial\theta_k(0)}\cos m(\theta_n(t) - \theta_k(0))$, whose noise
    is smaller by a factor of order n; one adjoint solve gives all k. The control variate is the
    same to first order in t, of known mean, times a coefficient that is fitted for each k.

    Args:
        circle: the heads.
        n: the number of tokens, at least 2.
        time: the depth t, positive.
        orders: the m, integers of at least 1, shape (o,).
        replicas: how many starts, at least 8.
        seed: of the starts.
        steps: of the adjoint.
        control: whether the control variate is used.

    Returns:
        `Correlations(mean, error)`, each (o, n - 1); column k - 1 is that of token k.

    Raises:
        ValueError: numbers out of range.
        TypeError: a circle that is none, a control that is no truth value.
        OverflowError: sensitivities that no float holds.

    Source: ours (chapter on lost in the middle).

    Example:
        >>> from transpde.causal_circle import CausalCircle, retrieval_correlations
        >>> found = retrieval_correlations(CausalCircle(1.0), 3, 0.5, replicas=100, seed=0)
        >>> found.mean.shape
        (1, 2)
    """
    of_kind("circle", circle, CausalCircle, "a CausalCircle")
    n, t = positive_integer("n", n, 2), positive_number("time", time)
    m = np.atleast_1d(whole_array("orders", orders, 1))
    if m.ndim > 1:
        raise ValueError(f"orders: must be numbers (o,); got shape {m.shape}.")
    count, control = positive_integer("replicas", replicas, 8), flag("control", control)
    starts = generator("seed", seed).uniform(0, 2 * np.pi, size=(count, n))
    values, controls = np.empty((2, count, len(m), n - 1))
    most = max(len(head.force) for head in circle._heads(n))
    for rows in slices(0, count, max(1, TOGETHER // (n * most))):
        theta = starts[rows]
        end, p = circle.sensitivity(theta, t, steps)
        values[rows] = p[:, None, :-1] * _cosines(m, end[:, -1:] - theta[:, :-1])
        if control:
            controls[rows] = _first_order(circle, t, m, theta)
    if control:
        centred = controls - controls.mean(axis=0)
        spread, shared = (centred**2).mean(axis=0), (centred * values).mean(axis=0)
        # no control where it does not vary: heads that cancel, weights that underflow
        fitted = np.divide(shared, spread, out=np.zeros_like(shared), where=spread > LEAST)
        values -= fitted * (controls - _first_mean(circle, t, m, n))
    error = values.std(axis=0, ddof=1 + control) / np.sqrt(count)
    return Correlations(values.mean(axis=0), error)


def _cosines(m: Array, angle: Array) -> Array:
    return np.cos(m[:, None] * angle[:, None, :])


def _first_order(circle: CausalCircle, t: float, m: Array, theta: Array) -> Array:
    """Return the estimator to first order in the depth, shape (replicas, orders, n - 1)."""
    angle = theta[:, -1:] - theta[:, :-1]
    slope = np.zeros_like(angle)
    for head, beta in zip(circle._heads(theta.shape[-1]), circle.beta, strict=True):
        bend = (beta * np.cos(angle) - (beta * np.sin(angle)) ** 2) * np.exp(
            beta * (np.cos(angle) - circle.normalised)
        )
        share = head.keys[:-1] / head.keys[:-1].sum()
        slope += head.gain * t * share * bend / (head.mean if circle.normalised else 1.0)
    return slope[:, None, :] * _cosines(m, angle)


def _first_mean(circle: CausalCircle, t: float, m: Array, n: int) -> Array:
    """Return the exact mean of `_first_order`, shape (orders, n - 1)."""
    total = np.zeros((len(m), n - 1))
    for head, beta in zip(circle._heads(n), circle.beta, strict=True):
        share = head.keys[:-1] / head.keys[:-1].sum()
        gains = np.asarray(retrieval.gain(float(beta), m, circle.normalised))
        total += head.gain * t * gains[:, None] * share
    return total


__dir__ = listing(__all__)
