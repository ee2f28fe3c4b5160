"""Which tokens each target sees, tiles of rows, and threads that take them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache
from threading import Lock
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
import threadpoolctl

from transpde.checks import Array

__all__ = [
    "CausalOrder",
    "across",
    "box",
    "in_threads",
    "narrow_blas",
    "one_blas_thread",
    "row_tiles",
    "slices",
    "token_blocks",
]

ROWS, FEWEST = 512, 20  # targets of a tile
CHUNKS = 8  # of targets or tokens
TOKENS = 2048  # of a block whose terms fit in a cache
# Nanoseconds from which it pays to tell BLAS that one thread is enough, and from which threads win
# more than they cost; more than a few only wait for memory.
WORTH_LIMITS, WORTH_THREADS, MOST_THREADS = 1e6, 5e6, 8

T = TypeVar("T")


class CausalOrder(NamedTuple):
    """An order of targets and tokens in which target i sees the first `counts[i]` tokens.

    The counts do not decrease.
    """

    targets: Any
    tokens: Any
    counts: Array
    whole: bool

    @classmethod
    def all(cls, m: int, n: int) -> Self:
        """Every target sees every token."""
        return cls(slice(None), slice(None), np.full(m, n), True)

    @classmethod
    def at_or_before(cls, positions: Array, places: Array) -> Self:
        """Every target sees the tokens at or before its own position."""
        tokens = np.argsort(places, kind="stable")
        counts = np.searchsorted(places[tokens], positions, side="right")
        targets = np.argsort(counts, kind="stable")
        return cls(targets, tokens, counts[targets], False)

    def part(self, some: slice) -> CausalOrder:
        """Return the order of the targets among a slice of the ordered tokens."""
        counts = np.clip(self.counts - some.start, 0, some.stop - some.start)
        return CausalOrder(self.targets, self.tokens, counts, self.whole)

    def running(self, choose: np.ufunc, values: Array) -> Array:
        """Return for each target the largest or least value among the tokens that it sees."""
        if self.whole:
            return np.array([choose.reduce(column) for column in np.atleast_2d(values.T)])
        return np.asarray(choose.accumulate(values, axis=0)[self.counts - 1])


def box(points: Array) -> tuple[Array, Array]:
    """Return the middle and the half-sides of the box around points (n, d)."""
    # Column by column: a reduction along the first axis of a thin array is far slower.
    low = np.array([column.min() for column in points.T])
    high = np.array([column.max() for column in points.T])
    return (high + low) / 2, (high - low) / 2


def across(points: Array, centre: Array) -> Array:
    """Return points (n, d) from a centre, an axis a row: thin arrays are slow row by row."""
    return np.subtract(points.T, centre[:, None], order="C")


def row_tiles(m: int, work: float) -> list[slice]:
    """Return slices of m rows of about one length, which is at most `ROWS`.

    Where so many nanoseconds of work are worth several threads, they are enough for these, and of
    at least `FEWEST` rows.
    """
    shared = min(MOST_THREADS, m // FEWEST) if work >= WORTH_THREADS else 1
    return slices(0, m, -(-m // max(-(-m // ROWS), shared, 1)) or 1)


def token_blocks(n: int) -> list[slice]:
    """Return slices of at most `TOKENS` of n tokens."""
    return slices(0, n, TOKENS)


def chunks(n: int, least: int) -> list[slice]:
    """Return slices of targets or tokens, for threads: as many whatever the number of these.

    Sums over them are added in order, so that a result does not depend on that number.
    """
    return slices(0, n, max(least, -(-n // CHUNKS)))


def slices(start: int, stop: int, size: int) -> list[slice]:
    """Return slices of at most that size from start to stop."""
    return [slice(first, min(first + size, stop)) for first in range(start, stop, size)]


def in_threads(
    task: Callable[[T], Any], parts: Sequence[T] | Iterable[T], work: float
) -> list[Any]:
    """Return task(part) for each part, in order, from several threads where the work is large.

    BLAS is held to one thread meanwhile: the matrices are small, and two kinds of threads would
    wait for each other.

    Args:
        task: what is done.
        parts: what it is done with.
        work: how long it takes in all, in nanoseconds.
    """
    parts = list(parts)
    if work < WORTH_LIMITS:
        return [task(part) for part in parts]
    workers = min(_processors(), MOST_THREADS, len(parts))
    with one_blas_thread():
        if work < WORTH_THREADS or workers < 2:
            return [task(part) for part in parts]
        left, found = enumerate(parts), [None] * len(parts)

        def share() -> None:
            try:
                for i, part in left:  # each part goes to one thread
                    found[i] = task(part)
            except BaseException:  # an interrupt, too: nothing more is begun
                for _ in left:
                    pass
                raise

        with ThreadPoolExecutor(workers - 1) as pool:
            # In a copy of the context: what numpy is set to do with overflow holds there too.
            helpers = [pool.submit(copy_context().run, share) for _ in range(workers - 1)]
            share()
            for helper in helpers:
                helper.result()
        return found


class _Narrow:
    """How many callers hold BLAS to one thread: the first narrows it, the last gives it back.

    OpenBLAS has one number of threads for the whole process. threadpoolctl lets one Python thread
    at a time change it, the first that did, until that one ends; and what another asks for is
    dropped in silence. Here the thread that gives back may not be the one that narrowed, and
    afterwards the number is free for all: each change begins and ends with nobody in control.
    """

    def __init__(self) -> None:
        self.lock, self.holders = Lock(), 0
        self.limiter: Any = None

    def take(self) -> None:
        with self.lock:
            if not self.holders:
                _free()
                self.limiter = _pools().limit(limits=1, user_api="blas")
            self.holders += 1

    def give_back(self) -> None:
        with self.lock:
            self.holders = max(0, self.holders - 1)  # one from before a fork is no longer counted
            if not self.holders:
                self._restore()

    def after_fork(self) -> None:
        """Forget the callers of the parent: their threads do not run in the child."""
        self.lock, self.holders = Lock(), 0
        self._restore()

    def _restore(self) -> None:
        limiter, self.limiter = self.limiter, None
        if limiter is not None:
            _free()
            limiter.restore_original_limits()
            _free()


def _free() -> None:
    """Let any thread change the number of threads of BLAS; older threadpoolctl always does."""
    if hasattr(threadpoolctl.OpenBLASController, "clear_controlling_thread"):
        threadpoolctl.OpenBLASController.clear_controlling_thread(force=True)


_narrow = _Narrow()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_narrow.after_fork)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread, also where several threads ask for it at overlapping times."""
    _narrow.take()
    try:
        yield
    finally:
        _narrow.give_back()


def _processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def narrow_blas() -> bool:
    """Return whether BLAS multiplies by few columns at once faster than by one after another.

    OpenBLAS has kernels for small matrices where the processor has AVX-512, and only there.
    """
    kinds = {pool.get("architecture") for pool in _pools().info()}
    return bool(kinds & {"SkylakeX", "Cooperlake", "SapphireRapids"})


@cache
def _pools() -> Any:
    return threadpoolctl.ThreadpoolController()
