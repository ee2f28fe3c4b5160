r"""Linear-Gaussian models: Kalman's filter, and the layer that is one Newton step towards it.

States $x_{t+1}=Fx_t+w_t$ are seen through $z_{t+1}=Hx_t+v_t$. The belief at t is the law of $x_t$
given $z_1, \dots, z_t$: a mean and a covariance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from transpde.checks import (
    Array,
    Unchanging,
    case_axes,
    covariance_matrix,
    definite_matrix,
    finite_array,
    generator,
    positive_integer,
    same_size,
)
from transpde.fields import held, quiet, silent

__all__ = ["LinearGaussian"]

SIZES = {"transition": "d d", "observation": "m d", "mean": "d"}


@dataclass(frozen=True, repr=False, eq=False)
class LinearGaussian(Unchanging):
    r"""A linear model with Gaussian noise.

    Args:
        transition: F, shape (d, d).
        observation: H, shape (m, d).
        process_noise: covariance of w, shape (d, d), positive semidefinite.
        observation_noise: covariance of v, shape (m, m), positive definite.
        mean: of the first state, shape (d,).
        covariance: of the first state, shape (d, d), positive semidefinite.

    Raises:
        ValueError: shapes that do not fit; covariances that are not symmetric, or not positive.

    Source: the filter is Kalman's; the layer is our reading of `kudre2026inference`.

    Example:
        >>> from transpde.filtering import LinearGaussian
        >>> model = LinearGaussian([[0.9]], [[1.0]], [[0.2]], [[1.0]], [0.0], [[1.0]])
        >>> means, covariances = model.filter([[0.5], [1.0]])
        >>> covariances.round(3).ravel().tolist()
        [1.0, 0.605, 0.505]
    """

    transition: Any
    observation: Any
    process_noise: Any
    observation_noise: Any
    mean: Any
    covariance: Any

    @quiet
    def __post_init__(self) -> None:
        found = {name: finite_array(name, getattr(self, name), s) for name, s in SIZES.items()}
        found["process_noise"] = covariance_matrix("process_noise", self.process_noise, "d d")
        found["observation_noise"] = definite_matrix("observation_noise", self.observation_noise)
        found["covariance"] = covariance_matrix("covariance", self.covariance, "d d")
        d, m = len(found["mean"]), len(found["observation"])
        for name in ("transition", "process_noise", "covariance"):
            same_size(name, found[name].shape[0], "mean", d, "number of rows")
        for name in ("transition", "observation"):
            same_size(name, found[name].shape[1], "mean", d, "number of columns")
        same_size(
            "observation_noise", found["observation_noise"].shape[0], "observation", m,
            "number of rows",
        )  # fmt: skip
        vars(self).update(found)

    @quiet
    def sample(self, length: int, seed: int | np.random.Generator) -> tuple[Array, Array]:
        """Return a path of states, shape (n + 1, d), and what is seen along it, shape (n, m).

        Args:
            length: n, the number of observations.
            seed: an integer of at least 0, several, or a generator.

        Raises:
            ValueError: a length below one, a bad seed.
        """
        n, rng = positive_integer("length", length), generator("seed", seed)
        roots = [_root(s) for s in (self.covariance, self.process_noise, self.observation_noise)]
        d, m = len(self.mean), len(self.observation)
        x, z = np.empty((n + 1, d)), np.empty((n, m))
        x[0] = self.mean + roots[0] @ rng.normal(size=d)
        for t in range(n):
            z[t] = self.observation @ x[t] + roots[2] @ rng.normal(size=m)
            x[t + 1] = self.transition @ x[t] + roots[1] @ rng.normal(size=d)
        return x, z

    @quiet
    def gain(self, covariances: Any) -> Array:
        r"""Return $L(P)=FPH^\top(HPH^\top+R)^{-1}$, shape (..., d, m).

        Args:
            covariances: P, shape (..., d, d).

        Raises:
            ValueError: matrices that are no covariances of the model's dimension, or beside which
                the observation noise is lost in rounding.
            OverflowError: what is seen leaves the range of floating point numbers.
        """
        P = covariance_matrix("covariances", covariances)
        same_size("covariances", P.shape[-1], "mean", len(self.mean), "dimension")
        return self._gain(P, "covariances")

    @silent
    def _gain(self, P: Array, name: str = "observations") -> Array:
        H = self.observation
        seen = _held(H @ P @ H.T + self.observation_noise, name)
        # In units in which the variances are one: then only correlations make it singular.
        units = np.sqrt(np.diagonal(seen, axis1=-2, axis2=-1))[..., None]
        correlations = seen / (units * units.mT)
        least = np.linalg.eigvalsh(correlations).min()
        if least < 1e-13:
            raise ValueError(
                "observation_noise: must not be lost in rounding beside the covariance of what "
                f"is seen; got correlations with an eigenvalue of {least:.1e}. Use a larger "
                "noise, or leave out observations that say the same."
            )
        found = np.linalg.solve(correlations, H @ P @ self.transition.T / units)
        return _held((found / units).mT, name)

    @silent
    def filter(self, observations: Any) -> tuple[Array, Array]:
        """Return means and covariances of the exact beliefs, by Kalman's recursion.

        Args:
            observations: shape (..., n, m).

        Returns:
            Means (..., n + 1, d) and covariances (n + 1, d, d), which no observation changes.

        Raises:
            ValueError: observations of another size, or not finite; observation noise that is
                lost in rounding beside the covariance of what is seen.
            OverflowError: means or covariances leave the range of floating point numbers.
        """
        z = self._seen(observations)
        P = np.empty((z.shape[-2] + 1, *self.covariance.shape))
        P[0] = self.covariance
        for t in range(len(P) - 1):
            P[t + 1] = self._closed(self._gain(P[t]), P[t])
        return _held(self._means(self._gain(P[:-1]), z)), _held(P)

    @quiet
    def dual_layer(
        self, beliefs: tuple[Any, Any], observations: Any
    ) -> tuple[tuple[Array, Array], Array]:
        r"""Return the beliefs after one layer, and what each position took from each other.

        The gains come from the covariances given; the new beliefs are means of the linear filter
        with these gains, and the covariances of its errors:
        $P^+_{t+1}=(F-L_tH)P^+_t(F-L_tH)^\top+Q+L_tRL_t^\top$.

        Args:
            beliefs: means (..., n + 1, d), of which only the shape is read, and covariances
                (n + 1, d, d).
            observations: shape (..., n, m).

        Returns:
            Means and covariances as given, and weights (n + 1, n, d, m) whose entry (T, t) is the
            matrix by which the mean at T takes from $z_{t+1}$; zero for t >= T.

        Raises:
            TypeError: beliefs that are no pair.
            ValueError: observations or beliefs of another size, matrices that are no covariances,
                or beside which the observation noise is lost in rounding.
            OverflowError: means or covariances leave the range of floating point numbers.
        """
        z = self._seen(observations)
        P = self._given(beliefs, z)
        L = self._gain(P[:-1])
        found = np.empty(P.shape)
        found[0] = self.covariance
        loop = self.transition - L @ self.observation
        n, (d, m) = len(L), L.shape[1:]
        weights = np.zeros((n + 1, n, d, m))
        for t in range(n):
            found[t + 1] = self._closed(L[t], found[t])
            weights[t + 1, :t] = loop[t] @ weights[t, :t]
            weights[t + 1, t] = L[t]
        return (_held(self._means(L, z)), _held(found)), weights

    def start(self, observations: Any) -> tuple[Array, Array]:
        """Return the first belief at every position: means (..., n + 1, d) and covariances."""
        z = self._seen(observations)
        *stack, n, _ = z.shape
        means = np.broadcast_to(self.mean, (*stack, n + 1, len(self.mean)))
        covariances = np.broadcast_to(self.covariance, (n + 1, *self.covariance.shape))
        return means.copy(), covariances.copy()

    def _closed(self, L: Array, P: Array) -> Array:
        """Return the next covariance of the error of a filter with the gain L."""
        loop = self.transition - L @ self.observation
        found = loop @ P @ loop.T + self.process_noise + L @ self.observation_noise @ L.T
        return np.asarray((found + found.T) / 2)

    def _means(self, L: Array, z: Array) -> Array:
        """Return means of the filter with gains L."""
        *stack, n, _ = z.shape
        means = np.empty((*stack, n + 1, len(self.mean)))
        means[..., 0, :] = self.mean
        for t in range(n):
            before = means[..., t, :]
            surprise = z[..., t, :] - before @ self.observation.T
            means[..., t + 1, :] = before @ self.transition.T + surprise @ L[t].T
        return means

    def _seen(self, observations: Any) -> Array:
        z = finite_array("observations", observations, "... n m")
        same_size("observations", z.shape[-1], "observation", len(self.observation), "last axis")
        return z

    def _given(self, beliefs: Any, z: Array) -> Array:
        """Return the covariances of beliefs that fit observations, or raise."""
        if not isinstance(beliefs, tuple | list) or len(beliefs) != 2:
            raise TypeError(
                "beliefs: must be a pair, means and covariances, as `start` gives; got "
                f"{type(beliefs).__name__}."
            )
        *stack, n, _ = z.shape
        means = finite_array("beliefs", beliefs[0], "... T d")
        case_axes("beliefs", means, 2, "observations", tuple(stack))
        P = covariance_matrix("beliefs", beliefs[1], "T d d")
        for array in (means, P):
            same_size("beliefs", array.shape[-1], "mean", len(self.mean), "dimension")
        for length in (means.shape[-2], P.shape[0]):
            same_size("beliefs", length, "positions 0 to n", n + 1, "length")
        return P


def _held(values: Array, name: str = "observations") -> Array:
    advice = "Use a shorter sequence, smaller covariances, or a transition of smaller norm."
    return held(values, f"{name}: a belief", "", advice)


def _root(covariance: Array) -> Array:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))
