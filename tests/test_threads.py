"""BLAS held to one thread by several threads of Python: all of it ends as it was."""

import itertools
import os
import threading
from contextlib import ExitStack
from functools import partial

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import transpde as tp
from transpde.kernels import one_blas_thread


def counts():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


class Elsewhere:
    """A thread that does one thing after another, each when it is told to."""

    def __init__(self):
        self.told, self.done, self.task = threading.Event(), threading.Event(), None
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        while True:
            self.told.wait()
            self.told.clear()
            if self.task is None:
                return
            self.found = self.task()
            self.done.set()

    def do(self, task):
        self.task = task
        self.done.clear()
        self.told.set()
        assert self.done.wait(10)
        return self.found

    def end(self):
        self.task = None
        self.told.set()
        self.thread.join(10)


class Here:
    """The same for the thread of the test."""

    def do(self, task):
        return task()

    def end(self):
        pass


def run_once(task):
    thread = threading.Thread(target=task)
    thread.start()
    thread.join(10)


@pytest.fixture
def workers():
    limits = []

    def two():  # in a thread that ends: afterwards nobody is in control
        limits.append(threadpool_limits(2, user_api="blas"))

    run_once(two)
    several = [Here(), Elsewhere(), Elsewhere()]
    yield several
    for one in several:
        one.end()
    run_once(limits[0].restore_original_limits)


@pytest.mark.parametrize("starts", list(itertools.permutations(range(3))), ids=str)
def test_whoever_ends_last_gives_all_threads_back(workers, starts):
    for ends in itertools.permutations(range(3)):
        before, holds = counts(), {k: one_blas_thread() for k in range(3)}
        for k in starts:
            workers[k].do(holds[k].__enter__)
            assert counts() == {1}
        for left, k in zip((2, 1, 0), ends, strict=True):
            workers[k].do(partial(holds[k].__exit__, None, None, None))
            assert counts() == ({1} if left else before), (ends, left)


def test_a_hold_within_a_hold_counts(workers):
    with one_blas_thread():
        with one_blas_thread():
            assert counts() == {1}
        assert counts() == {1}
    assert counts() == {2}


@pytest.mark.parametrize("caller", [0, 1])
def test_after_a_call_any_thread_sets_its_own_limits(workers, caller):
    tokens = tp.Particles(np.random.default_rng(0).normal(size=(3000, 2)))
    head = tp.Softmax(np.eye(2), np.eye(2), np.eye(2))
    workers[caller].do(lambda: head(tokens)(tokens.points))
    for one in workers:
        with ExitStack() as stack:
            one.do(lambda stack=stack: stack.enter_context(threadpool_limits(1)))
            assert counts() == {1}
            one.do(stack.close)
        assert counts() == {2}


def test_limits_of_another_thread_do_not_widen_a_hold(workers):
    """And are there again after it."""
    with ExitStack() as stack:
        workers[1].do(lambda: stack.enter_context(threadpool_limits(2)))
        with one_blas_thread():
            assert counts() == {1}
        assert counts() == {2}
        workers[1].do(stack.close)
    assert counts() == {2}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_is_not_held_by_threads_it_does_not_have(workers):
    hold = one_blas_thread()
    workers[1].do(hold.__enter__)
    child = os.fork()
    if child == 0:
        os._exit(0 if counts() == {2} else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert counts() == {1}
    workers[1].do(lambda: hold.__exit__(None, None, None))
    assert counts() == {2}
