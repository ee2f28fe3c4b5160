r"""Hidden Markov models: the filter, and the layer of the dual filter in two forms.

A chain $x_0, x_1, \dots$ on k states is seen through symbols, $z_{t+1}$ being drawn from the row
$x_t$ of the emission. The belief $\pi_t$ is the law of $x_t$ given $z_1, \dots, z_t$.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from transpde.checks import (
    Array,
    Unchanging,
    choice,
    finite_array,
    flag,
    generator,
    plain_array,
    positive_integer,
    probability_weights,
    real_array,
    same_size,
)
from transpde.fields import quiet, silent

__all__ = ["HiddenMarkov"]

FORMS = ("covariance", "signed")
# Where layers diverge beliefs may leave floats: they are inf or NaN then, and say so themselves.


@dataclass(frozen=True, repr=False, eq=False)
class HiddenMarkov(Unchanging):
    r"""A chain on k states that is seen through m symbols.

    Args:
        transition: N, shape (k, k), rows of sum one: the law of the next state.
        emission: C, shape (k, m), rows of sum one: the law of the symbol.
        prior: the law of the first state, shape (k,).

    Raises:
        ValueError: negative entries, rows that do not sum to one, shapes that do not fit.

    Source: `kudre2026inference` announces the layers; form and statements are ours.

    Example:
        >>> import numpy as np
        >>> from transpde.filtering import HiddenMarkov
        >>> model = HiddenMarkov([[0.9, 0.1], [0.1, 0.9]], [[0.7, 0.3], [0.3, 0.7]], [0.5, 0.5])
        >>> exact = model.filter([0, 0, 1])
        >>> beliefs = model.start([0, 0, 1])
        >>> for _ in range(3):
        ...     beliefs, weights = model.dual_layer(beliefs, [0, 0, 1])
        >>> bool(np.abs(beliefs - exact).max() < 1e-15)
        True
    """

    transition: Any
    emission: Any
    prior: Any

    @quiet
    def __post_init__(self) -> None:
        prior = finite_array("prior", self.prior, "k")
        for name, shape in (("transition", "k k"), ("emission", "k m")):
            rows = finite_array(name, getattr(self, name), shape)
            same_size(name, rows.shape[0], "prior", len(prior), "number of rows")
            probability_weights(name, rows, rows.shape[1])
            object.__setattr__(self, name, rows)
        same_size(
            "transition", self.transition.shape[1], "its rows", len(prior), "number of columns"
        )
        object.__setattr__(self, "prior", probability_weights("prior", prior, len(prior)))

    @property
    def states(self) -> int:
        """The number of states, k."""
        return len(self.prior)

    def sample(self, length: int, seed: int | np.random.Generator) -> tuple[Array, Array]:
        """Return a path of states and the symbols seen along it.

        Args:
            length: n, the number of symbols.
            seed: an integer of at least 0, several, or a generator.

        Returns:
            The states x_0..x_n, shape (n + 1,), and the symbols z_1..z_n, shape (n,).

        Raises:
            ValueError: a length below one, a bad seed.
        """
        n, rng = positive_integer("length", length), generator("seed", seed)
        k, m = self.emission.shape
        x, z = np.empty(n + 1, dtype=int), np.empty(n, dtype=int)
        x[0] = rng.choice(k, p=self.prior)
        for t in range(n):
            z[t] = rng.choice(m, p=self.emission[x[t]])
            x[t + 1] = rng.choice(k, p=self.transition[x[t]])
        return x, z

    @quiet
    def filter(self, observations: Any) -> Array:
        """Return the exact beliefs, by the forward recursion.

        Args:
            observations: symbols 0..m-1, shape (..., n).

        Returns:
            Shape (..., n + 1, k); rows sum to one.

        Raises:
            ValueError: symbols out of range, or that the model excludes.
        """
        return self._exact(self.likelihoods(observations))

    def _exact(self, likelihoods: Array) -> Array:
        *stack, n, k = likelihoods.shape
        beliefs = np.empty((*stack, n + 1, k))
        beliefs[..., 0, :] = self.prior
        for t in range(n):
            seen = beliefs[..., t, :] * likelihoods[..., t, :]
            total = seen.sum(axis=-1, keepdims=True)
            if (total <= 0).any():
                raise ValueError(
                    f"observations: the symbol at position {t} has probability zero given those "
                    "before it. Check the emission, or leave the sequence out."
                )
            beliefs[..., t + 1, :] = seen / total @ self.transition
        return beliefs

    def start(self, observations: Any) -> Array:
        """Return the prior at position 0 and uniform beliefs at all others, (..., n + 1, k)."""
        *stack, n = _symbols(observations, self.emission.shape[1]).shape
        beliefs = np.full((*stack, n + 1, self.states), 1 / self.states)
        beliefs[..., 0, :] = self.prior
        return beliefs

    @silent
    def dual_layer(
        self, beliefs: Any, observations: Any, project: bool = False, centred: bool = True
    ) -> tuple[Array, Array]:
        r"""Return the beliefs after one layer, and what each position took from each other.

        With $p_t(x)=C_{x,z_{t+1}}$, for each position T and test function F, backwards from
        $y_T=F$: $f_t=Ny_{t+1}$, $h_t=\mathrm{Cov}_{\rho_t}(f_t,p_t)/(\rho_t(p_t)(1-\rho_t(p_t)))$,
        $y_t=f_t-p_th_t$; the new belief is $\rho_T^+(F)=\pi_0(y_0)+\sum_{t<T}h_t$.

        Args:
            beliefs: rho, shape (..., n + 1, k), any numbers: a layer may give negative ones, and
                NaN where layers diverge or beliefs exclude the symbol, which reaches later
                positions only. The new belief at position 0 is always the prior.
            observations: symbols 0..m-1, shape (..., n).
            project: clip negative entries of the result, and divide by its sum.
            centred: take the plain mean over states off test functions before the covariance. It
                changes nothing for beliefs of mass one; without it a slip of their mass, by
                rounding, grows from layer to layer.

        Returns:
            The beliefs, (..., n + 1, k), and weights h, (..., n + 1, n, k), of which entry
            (T, t, i) is what the probability of state i at T takes from t, zero for t >= T.

        Raises:
            ValueError: symbols out of range, or that the model excludes; beliefs of another shape.
            TypeError: a `project` or `centred` that is no truth value.
        """
        likelihoods = self._possible(observations)
        rho = _beliefs(beliefs, likelihoods.shape, self.states)
        project, centred = flag("project", project), flag("centred", centred)
        *stack, n, k = likelihoods.shape
        y = np.broadcast_to(np.eye(k), (*stack, n + 1, k, k)).copy()  # position, state, test
        weights = np.zeros((*stack, n + 1, n, k))
        for t in reversed(range(n)):
            later = (..., slice(t + 1, None), slice(None), slice(None))
            f, p = self.transition @ y[later], likelihoods[..., t, None, :]
            h = _covariance_rule(rho[..., t, None, :], p, f, centred)
            y[later] = f - p[..., None] * h[..., None, :]
            weights[..., t + 1 :, t, :] = h
        found = _mean(self.prior, y) + weights.sum(axis=-2)
        return (_projected(found) if project else found), weights

    @silent
    def dual_filter(
        self,
        observations: Any,
        window: int | None = None,
        form: str = "covariance",
        centred: bool = True,
    ) -> Array:
        r"""Return beliefs by the dual recursion, position after position.

        The belief at T comes from a backward pass over the beliefs found at the last positions:
        exact in exact arithmetic, and in floats a matter of the form. "covariance" is that of
        `dual_layer`; "signed" has $c=2p-1$, $u=-\rho(f(c-\rho(c)))/(1-\rho(c)^2)$, $y=f+cu$ and
        the belief $\pi(y)-\sum u$, as a public code for earlier papers has it.

        Args:
            observations: symbols 0..m-1, shape (..., n).
            window: how many positions a pass goes back; all of them when left out.
            form: "covariance" or "signed"; the latter gives NaN after a symbol whose probability
                is below rounding in all states, since c is -1 there.
            centred: take the plain mean over states off test functions before u; without it the
                signed form lets errors of mass grow.

        Returns:
            Shape (..., n + 1, k).

        Raises:
            ValueError: symbols out of range, or that the model excludes; a window below one, an
                unknown form.
            TypeError: a `centred` that is no truth value.
        """
        likelihoods = self._possible(observations)
        *stack, n, k = likelihoods.shape
        signed = choice("form", form, FORMS) == "signed"
        back = n if window is None else positive_integer("window", window)
        centred = flag("centred", centred)
        beliefs = np.empty((*stack, n + 1, k))
        beliefs[..., 0, :] = self.prior
        for T in range(1, n + 1):
            low = max(0, T - back)
            y, total = np.broadcast_to(np.eye(k), (*stack, k, k)), np.zeros((*stack, k))
            for t in reversed(range(low, T)):
                p, rho, f = likelihoods[..., t, :], beliefs[..., t, :], self.transition @ y
                if signed:
                    p = 2 * p - 1
                    h = _signed_rule(rho, p, f, centred)
                else:
                    h = _covariance_rule(rho, p, f, centred)
                y, total = f - p[..., None] * h[..., None, :], total + h
            beliefs[..., T, :] = _mean(beliefs[..., low, :], y) + total
        return beliefs

    def likelihoods(self, observations: Any) -> Array:
        """Return p_t(x), the probability of the symbol in each state, shape (..., n, k).

        Raises:
            ValueError: symbols that are no integers of 0..m-1.
        """
        return np.asarray(self.emission.T[_symbols(observations, self.emission.shape[1])])

    def _possible(self, observations: Any) -> Array:
        """Return the likelihoods of symbols that the model does not exclude, or raise."""
        likelihoods = self.likelihoods(observations)
        self._exact(likelihoods)
        return likelihoods


def _symbols(observations: Any, count: int) -> Array:
    """Return symbols (..., n), or raise unless they are integers of 0..count-1."""
    symbols = plain_array("observations", observations, "iu")
    if symbols.ndim == 0 or symbols.size == 0:
        raise ValueError(
            f"observations: must have shape (..., n), n at least 1; got shape {symbols.shape}."
        )
    if symbols.min() < 0 or symbols.max() >= count:
        worst = symbols.min() if symbols.min() < 0 else symbols.max()
        raise ValueError(
            f"observations: must be symbols from 0 to {count - 1}, one for each column of the "
            f"emission; got {worst}."
        )
    return symbols


def _beliefs(value: Any, shape: tuple[int, ...], states: int) -> Array:
    """Return beliefs that fit likelihoods of a shape, or raise."""
    rho = real_array("beliefs", value, "... T k")
    *stack, n, _ = shape
    if rho.shape != (*stack, n + 1, states):
        raise ValueError(
            f"beliefs: must have shape {(*stack, n + 1, states)}, one row for each position from "
            f"0 to n; got {rho.shape}."
        )
    return rho


def _covariance_rule(rho: Array, p: Array, f: Array, centred: bool) -> Array:
    """Return Cov(f, p)/(rho(p)(1 - rho(p))) for test functions f (..., k, tests)."""
    mean, missed = ((rho * one).sum(axis=-1)[..., None] for one in (p, 1 - p))
    f = _free_of_constants(f) if centred else f
    found = (_mean(rho * p, f) - mean * _mean(rho, f)) / (mean * missed)
    return np.where(_certain(rho, p), 0.0, found)


def _signed_rule(rho: Array, c: Array, f: Array, centred: bool) -> Array:
    """Return -u, where u is that of the form in c = 2p - 1, for f (..., k, tests)."""
    mean = (rho * c).sum(axis=-1)[..., None]
    f = _free_of_constants(f) if centred else f
    found = _mean(rho * (c - mean), f) / (1 - mean**2)
    return np.where(_certain(rho, c), 0.0, found)


def _certain(rho: Array, p: Array) -> Array:
    """Return whether p is one wherever rho is not zero: such a symbol says nothing.

    The mean of p will not do: it is a rounding off one there, or one by accident elsewhere.
    """
    return np.asarray((rho * (1 - p) == 0).all(axis=-1)[..., None])


def _free_of_constants(f: Array) -> Array:
    """Return test functions (..., k, tests) less their plain means over states."""
    return np.asarray(f - f.mean(axis=-2, keepdims=True))


def _mean(rho: Array, f: Array) -> Array:
    return np.asarray((rho[..., None, :] @ f)[..., 0, :])


def _projected(beliefs: Array) -> Array:
    """Return the positive parts, of sum one."""
    positive = np.maximum(beliefs, 0.0)
    return np.asarray(positive / positive.sum(axis=-1, keepdims=True))
