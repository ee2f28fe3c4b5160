r"""Seeded draws of parameters and starts, and sweeps over many cases.

A draw is a function of its seed and its law alone. Case i of an ensemble is seeded by
`case_seed(seed, i)`: neither the number of cases nor what was drawn before has a part in it.
Query, key, value, factors and tokens are drawn from streams of their own, so that one seed serves
parameters and starts, and another law for the value leaves query and key as they were.
"""

from __future__ import annotations

import pickle
import traceback
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from transpde.checks import (
    Array,
    choice,
    flag,
    frozen,
    increasing_times,
    listing,
    non_negative_number,
    number,
    of_kind,
    outlined,
    plain_array,
    positive_integer,
    positive_number,
    same_size,
    symmetric_matrix,
)
from transpde.kernels import one_blas_thread
from transpde.measures import Gaussian, Particles
from transpde.progress import bar

__all__ = [
    "Failure",
    "Parameters",
    "SweepError",
    "case_seed",
    "ornstein_uhlenbeck_heads",
    "random_gaussians",
    "random_head",
    "random_matrix",
    "random_tokens",
    "sweep",
]

Seed = int | np.random.SeedSequence

# Each draw of a case has a stream of its own, numbered far above the cases. A new kind of draw is
# added at the end, so that the old ones stay what they are.
STREAMS = (
    "query", "key", "value", "score", "factor", "mean", "direction", "radius", "matrix", "path",
)  # fmt: skip
FIRST_STREAM = 1 << 31


@outlined
class Parameters(NamedTuple):
    """Query, key and value of a head, in the order that every head takes them."""

    query: Array
    key: Array
    value: Array

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how pickle makes them again, read-only as they are."""
        return _parameters_again, tuple(self)


def _parameters_again(*matrices: Array) -> Parameters:
    return Parameters(*map(frozen, matrices))


# --- seeds ---------------------------------------------------------------------------------------


def case_seed(seed: Seed, case: int) -> np.random.SeedSequence:
    """Return the seed of one case of an ensemble, the same for any number of cases.

    It is `numpy.random.SeedSequence(seed).spawn(n)[case]` for every n > case. Seeds of cases have
    cases of their own: that of head h of two heads is `case_seed(seed, h)`.

    Args:
        seed: an integer >= 0, or the seed of a case.
        case: an integer >= 0.

    Raises:
        ValueError: a seed or case that is neither.

    Source: `numpy.random.SeedSequence`.

    Example:
        >>> import numpy as np
        >>> from transpde.ensembles import case_seed
        >>> np.random.default_rng(case_seed(7, 2)).integers(100, size=3)
        array([39, 63, 78])
    """
    root = _sequence(seed)
    i = positive_integer("case", case, 0)
    return np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, i))


def _sequence(seed: Any) -> np.random.SeedSequence:
    if isinstance(seed, np.random.SeedSequence):
        return seed
    known = "an integer of at least 0 or a numpy SeedSequence"
    return np.random.SeedSequence(
        number("seed", seed, known, lambda n: n >= 0, whole=True, most=np.inf)
    )


def _stream(seed: Seed, name: str) -> np.random.Generator:
    return np.random.default_rng(case_seed(seed, FIRST_STREAM + STREAMS.index(name)))


def _each(cases: int | None, seed: Seed, draw: Callable[[Seed], Array]) -> Array:
    """Return one draw, or a stack of draws, each from the seed of its case."""
    if cases is None:
        return frozen(draw(_sequence(seed)))
    n = positive_integer("cases", cases)
    return frozen(np.array([draw(case_seed(seed, i)) for i in range(n)]))


# --- matrices and heads --------------------------------------------------------------------------


def random_matrix(
    rows: int,
    columns: int,
    *,
    seed: Seed,
    law: str = "gaussian",
    scale: float = 1.0,
    cases: int | None = None,
) -> Array:
    r"""Return a random matrix (rows, columns), or a stack (cases, rows, columns).

    With G a matrix of independent standard Gaussian entries and s the scale the laws are

    - ``"gaussian"``: $sG$;
    - ``"uniform"``: independent entries, uniform on $[0, s)$;
    - ``"spectral"``: $sG/\|G\|$, of spectral norm s;
    - ``"orthogonal"``: s times a Haar matrix of orthonormal rows or columns, whichever are fewer;
    - ``"symmetric"``: $s(G + G^\top)/2$;
    - ``"positive"``: $sG^\top G$, symmetric positive definite;
    - ``"identity"``: $sI$.

    Args:
        rows: an integer >= 1.
        columns: an integer >= 1; that of rows for the last three laws.
        seed: an integer >= 0, or the seed of a case.
        law: one of the names above.
        scale: s, positive.
        cases: the number of matrices of a stack; one matrix without the axis when left out.

    Raises:
        ValueError: an unknown law, a shape it does not have, bad numbers.

    Source: ours; Haar matrices by `mezzadri2007generate`.

    Example:
        >>> from transpde.ensembles import random_matrix
        >>> U = random_matrix(2, 3, seed=1, law="orthogonal")
        >>> (U @ U.T).round(12) + 0.0
        array([[1., 0.],
               [0., 1.]])
    """
    draw = _law("law", law, rows, columns, scale)
    return _each(cases, seed, lambda one: draw(_stream(one, "matrix")))


LAWS: dict[str, Callable[[np.random.Generator, int, int], Array]] = {
    "gaussian": lambda rng, m, n: rng.normal(size=(m, n)),
    "uniform": lambda rng, m, n: rng.random(size=(m, n)),
    "spectral": lambda rng, m, n: _of_norm_one(rng.normal(size=(m, n))),
    "orthogonal": lambda rng, m, n: _haar(rng, m, n),
    "symmetric": lambda rng, m, n: _symmetric_part(rng.normal(size=(m, n))),
    "positive": lambda rng, m, n: _gram(rng.normal(size=(m, n))),
    "identity": lambda rng, m, n: np.eye(m),
}
SQUARE_LAWS = ("symmetric", "positive", "identity")


def _law(
    name: str, law: Any, rows: int, columns: int, scale: Any
) -> Callable[[np.random.Generator], Array]:
    """Return the draw of a law for matrices of one shape."""
    m, n = positive_integer("rows", rows), positive_integer("columns", columns)
    s = positive_number("scale", scale)
    choice(name, law, LAWS)
    if law in SQUARE_LAWS and m != n:
        raise ValueError(f"{name}: {law!r} is for square matrices; got shape ({m}, {n}).")
    return lambda rng: s * LAWS[law](rng, m, n)


def _of_norm_one(G: Array) -> Array:
    return G / np.linalg.norm(G, 2)


def _haar(rng: np.random.Generator, m: int, n: int) -> Array:
    # The signs of R's diagonal are the solver's choice: fixed, the law is Haar's.
    Q, R = np.linalg.qr(rng.normal(size=(max(m, n), min(m, n))))
    Q = Q * np.where(np.diag(R) < 0, -1.0, 1.0)
    return Q if m >= n else Q.T


def _symmetric_part(G: Array) -> Array:
    return (G + G.T) / 2


def _gram(G: Array) -> Array:
    return G.T @ G


def random_head(
    d: int,
    k: int | None = None,
    *,
    seed: Seed,
    law: str = "gaussian",
    key: str = "free",
    value: str = "gaussian",
    signature: tuple[int, int] | None = None,
    scale: float = 1.0,
    value_scale: float = 1.0,
    cases: int | None = None,
) -> Parameters:
    r"""Return random query, key and value of a head, or of a stack of heads.

    `law` is that of the query, and of the key if it is free; `value` that of the value: the names
    are those of `random_matrix`. The key is

    - ``"free"``: independent of the query, of the same law;
    - ``"equal"``: K = Q, so that $A = Q^\top Q$ is positive semidefinite;
    - ``"opposite"``: K = -Q, so that $A = -Q^\top Q$ is negative semidefinite.

    With `signature` (p, q) the symmetric part of $A = K^\top Q$ has p positive and q negative
    eigenvalues, of size $s(1 + u)/2$ with u uniform on $[0, 1)$, in Haar axes, and its
    antisymmetric part is $s(G - G^\top)/2$; then Q = I and $K = A^\top$.

    Args:
        d: the dimension of the tokens.
        k: the dimension of queries and keys; d when left out.
        seed: an integer >= 0, or the seed of a case; `case_seed(seed, h)` for head h of several.
        law: the law of query and key.
        key: how the key depends on the query.
        value: the law of the value, (d, d).
        signature: numbers of positive and negative eigenvalues of $A + A^\top$, at most d
            together.
        scale: the scale s of the query and the key's law, or of A with a signature.
        value_scale: the scale of the value's law.
        cases: the number of heads of a stack; one head without the axis when left out.

    Returns:
        `Parameters` (query, key, value), of shapes (k, d), (k, d) and (d, d), with a leading axis
        for a stack.

    Raises:
        ValueError: an unknown law, a shape it does not have, a signature together with k other
            than d or with a key, bad numbers.

    Source: ours (chapter on reproduction).

    Example:
        >>> import transpde as tp
        >>> from transpde.ensembles import random_gaussians, random_head
        >>> drawn = random_head(4, 2, key="opposite", value="positive", seed=0, cases=3)
        >>> starts = random_gaussians(4, seed=0, cases=3)
        >>> tp.flow(starts, tp.Softmax(*drawn), time=1.0).covariances.shape
        (129, 3, 4, 4)
    """
    d = positive_integer("d", d)
    k = d if k is None else positive_integer("k", k)
    V = _law("value", value, d, d, positive_number("value_scale", value_scale))
    choice("key", key, ("free", "equal", "opposite"))
    if signature is None:
        Q, K = _each_query_and_key(d, k, law, key, scale, cases, seed)
    else:
        if k != d or key != "free":
            raise ValueError(
                "signature: needs k = d and no `key`, since it makes the key; "
                f"got k = {k} and key = {key!r}."
            )
        choice("law", law, LAWS)
        counts = _signature(signature, d)
        s = positive_number("scale", scale)
        A = _each(cases, seed, lambda one: s * _of_signature(_stream(one, "score"), *counts, d))
        Q, K = np.broadcast_to(np.eye(d), A.shape), np.swapaxes(A, -2, -1)
    return Parameters(Q, K, _each(cases, seed, lambda one: V(_stream(one, "value"))))


def _each_query_and_key(
    d: int, k: int, law: str, key: str, scale: float, cases: int | None, seed: Seed
) -> tuple[Array, Array]:
    draw = _law("law", law, k, d, scale)
    Q = _each(cases, seed, lambda one: draw(_stream(one, "query")))
    if key == "free":
        return Q, _each(cases, seed, lambda one: draw(_stream(one, "key")))
    return Q, frozen(Q.copy() if key == "equal" else -Q)


def _signature(signature: Any, d: int) -> tuple[int, int]:
    counts = plain_array("signature", signature)
    whole = counts.shape == (2,) and counts.dtype.kind in "iu" and counts.min() >= 0
    if not whole or counts.sum() > d:
        raise ValueError(
            "signature: must be two integers >= 0, numbers of positive and of negative "
            f"eigenvalues, at most {d} together; got {signature!r}."
        )
    return int(counts[0]), int(counts[1])


def _of_signature(rng: np.random.Generator, positive: int, negative: int, d: int) -> Array:
    U, G, sizes = _haar(rng, d, d), rng.normal(size=(d, d)), (1 + rng.random(d)) / 2
    signs = np.repeat([1.0, -1.0, 0.0], [positive, negative, d - positive - negative])
    return (U * (signs * sizes)) @ U.T + (G - G.T) / 2


def ornstein_uhlenbeck_heads(
    heads: int, d: int, times: Any, *, seed: Seed, start: Any = None
) -> Array:
    r"""Return scores of heads that follow independent Ornstein--Uhlenbeck processes.

    $dD = (I - D)\,dt + \sqrt2\,dW$ with W a symmetric Brownian motion, of variance t on and t/2
    off the diagonal, by its exact transitions between the times. Its stationary law is
    $D = I + S$, S symmetric Gaussian of variance 1 on and 1/2 off the diagonal. The paths have no
    integrable variation and no derivative: they are for `layers`, not for an adaptive step.

    Args:
        heads: their number.
        d: the dimension of the tokens.
        times: increasing times from 0, (T,).
        seed: an integer >= 0, or the seed of a case; head h has the seed `case_seed(seed, h)`.
        start: the scores at time 0, (d, d) or (heads, d, d), symmetric; draws of the stationary
            law when left out.

    Returns:
        Array (T, heads, d, d).

    Raises:
        ValueError: numbers out of range, times that do not increase from 0, a start that is not
            symmetric or of another shape.

    Source: `massucco2026transformers`; by exact transitions ours.

    Example:
        >>> from transpde.ensembles import ornstein_uhlenbeck_heads
        >>> ornstein_uhlenbeck_heads(5, 2, [0.0, 0.1, 0.2], seed=0).shape
        (3, 5, 2, 2)
    """
    H, d = positive_integer("heads", heads), positive_integer("d", d)
    t = increasing_times("times", times)
    G = np.stack(
        [_stream(case_seed(seed, h), "path").normal(size=(len(t), d, d)) for h in range(H)], axis=1
    )
    S, decay = (G + G.mT) / 2, np.exp(-np.diff(t))
    spread = np.sqrt(-np.expm1(-2 * np.diff(t)))
    D = np.empty_like(S)
    D[0] = S[0] if start is None else _start(start, H, d) - np.eye(d)
    for k in range(len(t) - 1):
        D[k + 1] = decay[k] * D[k] + spread[k] * S[k + 1]
    return frozen(np.eye(d) + D)


def _start(start: Any, heads: int, d: int) -> Array:
    D = symmetric_matrix("start", start)
    same_size("start", D.shape[-1], "d", d, "dimension")
    if D.shape[:-2] not in ((), (heads,)):
        raise ValueError(
            f"start: must have shape ({d}, {d}) or ({heads}, {d}, {d}); got {D.shape}."
        )
    return D


# --- starts --------------------------------------------------------------------------------------


def random_gaussians(
    d: int,
    rank: int | None = None,
    *,
    seed: Seed,
    scale: float = 1.0,
    mean_scale: float = 0.0,
    trace: float | None = None,
    cases: int | None = None,
) -> Gaussian:
    r"""Return a random Gaussian, or a stack of them: $\Sigma = s^2GG^\top$, G Gaussian (d, rank).

    The covariance has the Wishart law, and exactly the given rank. The mean has independent
    Gaussian entries.

    Args:
        d: the dimension.
        rank: the number of columns of the factor; d when left out.
        seed: an integer >= 0, or the seed of a case.
        scale: s, positive.
        mean_scale: the standard deviation of the mean's entries, at least 0.
        trace: if given, each covariance is divided by its trace and multiplied by this number.
        cases: the number of Gaussians of a stack; one Gaussian when left out.

    Raises:
        ValueError: numbers out of range.

    Source: ours (chapter on reproduction).

    Example:
        >>> from transpde.ensembles import random_gaussians
        >>> starts = random_gaussians(3, rank=2, seed=0, trace=1.0, cases=5)
        >>> starts.covariance.trace(axis1=1, axis2=2)
        array([1., 1., 1., 1., 1.])
    """
    d = positive_integer("d", d)
    rank = d if rank is None else positive_integer("rank", rank)
    draw = _law("law", "gaussian", d, rank, scale)
    X = _each(cases, seed, lambda one: draw(_stream(one, "factor")))
    if trace is not None:
        size = np.sqrt((X**2).sum(axis=(-2, -1), keepdims=True))
        X = X / size * np.sqrt(positive_number("trace", trace))
    spread = non_negative_number("mean_scale", mean_scale)
    m = _each(cases, seed, lambda one: spread * _stream(one, "mean").normal(size=d))
    return Gaussian(m, factor=X)


def random_tokens(
    n: int, d: int, *, seed: Seed, law: str = "ball", scale: float = 1.0
) -> Particles:
    """Return n independent tokens of equal weight.

    The laws are ``"ball"``, uniform in the ball of radius `scale`; ``"sphere"``, uniform on its
    surface; ``"gaussian"``, of independent entries with standard deviation `scale`. The first
    tokens are the same for every n.

    Args:
        n: the number of tokens.
        d: the dimension.
        seed: an integer >= 0, or the seed of a case.
        law: one of the names above.
        scale: the radius or the standard deviation.

    Raises:
        ValueError: an unknown law, numbers out of range.

    Source: ours.

    Example:
        >>> from transpde.ensembles import random_tokens
        >>> tokens = random_tokens(1000, 3, seed=0, scale=2.0)
        >>> bool((tokens.points**2).sum(axis=1).max() < 4)
        True
    """
    n, d, s = positive_integer("n", n), positive_integer("d", d), positive_number("scale", scale)
    choice("law", law, ("ball", "sphere", "gaussian"))
    x = _stream(seed, "direction").normal(size=(n, d))
    if law != "gaussian":
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
    if law == "ball":
        x = x * _stream(seed, "radius").random((n, 1)) ** (1 / d)
    return Particles(s * x)


# --- sweeps --------------------------------------------------------------------------------------


class Failure(NamedTuple):
    """What stands in the results of a sweep for a case that failed."""

    case: int
    seed: np.random.SeedSequence | None
    error: Exception
    traceback: str


class SweepError(RuntimeError):
    """The first case of a sweep that failed, with the results before it.

    Attributes:
        failure: the case, its seed, its error and the text of its traceback.
        results: the results of the cases before it, in order.
    """

    def __init__(self, failure: Failure, results: list[Any]) -> None:
        seed = "" if failure.seed is None else f", seed {_seed_text(failure.seed)}"
        super().__init__(
            f"sweep: case {failure.case}{seed} failed with {type(failure.error).__name__}: "
            f"{failure.error}. The {len(results)} results before it are in `results` of this "
            'error; on_error="keep" goes on past a failure.'
        )
        self.failure, self.results = failure, results

    def __reduce__(self) -> tuple[Any, ...]:
        """Tell pickle how to make the error again; that of an exception has a text alone."""
        return SweepError, (self.failure, self.results)


def _seed_text(seed: np.random.SeedSequence) -> str:
    return f"SeedSequence({seed.entropy}, spawn_key={seed.spawn_key})"


def sweep(
    function: Callable[..., Any],
    cases: Iterable[Any],
    *,
    seed: Seed | None = None,
    jobs: int | None = None,
    on_error: str = "raise",
    progress: bool = False,
) -> list[Any]:
    """Return the values of a function at many cases, in their order.

    The work is joblib's: its own switch sends it to another back-end, for instance a cluster,
    ``with joblib.parallel_config(backend="dask"): sweep(...)``. Each case runs on one thread of
    the linear algebra, so that results are the same to the bit however many cases run at a time.

    Args:
        function: case -> result, or with a seed (case, seed of the case) -> result. In several
            processes it and its results travel by pickle; it must not depend on earlier calls.
        cases: what the function is called with.
        seed: if given, case i also gets `case_seed(seed, i)`.
        jobs: how many cases run at a time, -1 for one a core; when left out, one, or what the
            surrounding `joblib.parallel_config` says.
        on_error: "raise" a `SweepError` at the first case that fails, or "keep" going with a
            `Failure` in its place.
        progress: show a progress bar.

    Raises:
        SweepError: a case failed; it holds the case's index, seed and error, and all results
            before it.
        ValueError: another on_error, a bad seed or number of jobs.
        TypeError: something that cannot be called.
        ImportError: joblib, or tqdm for the bar, is not installed.

    Source: ours.

    Example:
        >>> from transpde.ensembles import random_head, sweep
        >>> def trace(d, seed):
        ...     return random_head(d, value="identity", seed=seed).value.trace()
        >>> [float(value) for value in sweep(trace, [1, 2, 3], seed=0)]
        [1.0, 2.0, 3.0]
    """
    if not callable(function):
        raise TypeError(f"function: must be callable; got {type(function).__name__}.")
    choice("on_error", on_error, ("raise", "keep"))
    of_kind("cases", cases, Iterable, "several cases")
    if isinstance(cases, str | bytes):
        raise TypeError(f"cases: must be several cases, not one text; got {cases!r}.")
    if jobs is not None:
        jobs = _number_of_jobs(jobs)
    calls = list(_calls(cases, seed))
    results: list[Any] = []
    # One thread for back-ends whose workers are threads of this process, too.
    with one_blas_thread(), bar(flag("progress", progress), "sweep", len(calls)) as show:
        values = _values(function, calls, jobs)
        try:
            for result in values:
                if isinstance(result, Failure) and on_error == "raise":
                    raise SweepError(result, results) from result.error
                results.append(result)
                show(len(results) / len(calls))
        finally:
            with warnings.catch_warnings():  # of results that were ready and are not used
                warnings.simplefilter("ignore", UserWarning)
                values.close()  # stops the cases that still run
    return results


def _number_of_jobs(jobs: Any) -> int:
    known = "a positive integer or -1 for one a core"
    return number("jobs", jobs, known, lambda n: n == -1 or n > 0, whole=True)


def _calls(cases: Iterable[Any], seed: Seed | None) -> Iterator[tuple[Any, ...]]:
    for i, case in enumerate(cases):
        yield i, case, None if seed is None else case_seed(seed, i)


def _values(
    function: Callable[..., Any], calls: list[tuple[Any, ...]], jobs: int | None
) -> Generator[Any, None, None]:
    try:
        from joblib import Parallel, delayed
    except ImportError as error:
        raise ImportError("sweep needs joblib: pip install transpde[ensembles]") from error
    parallel = Parallel(n_jobs=jobs, return_as="generator")
    return parallel(delayed(_value)(function, *call) for call in calls)


def _value(function: Callable[..., Any], i: int, case: Any, seed: Any) -> Any:
    """Return the value of one case, or its failure, where it runs."""
    try:
        with one_blas_thread():
            return function(case) if seed is None else function(case, seed)
    except Exception as error:
        text = traceback.format_exc()  # before the traceback, which no pickle carries, is dropped
        return Failure(i, seed, _portable(error), text)


def _portable(error: Exception) -> Exception:
    """Return the error if pickle can carry it, else one with its text."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error.with_traceback(None)


__dir__ = listing(__all__)
