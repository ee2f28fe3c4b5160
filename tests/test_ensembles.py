"""Draws follow their laws and depend on seeds alone; sweeps are the same wherever they run."""

import os
import pickle
import subprocess
import sys
import time

import joblib
import numpy as np
import pytest
from distributed import Client, LocalCluster
from scipy.stats import kstest
from threadpoolctl import threadpool_info, threadpool_limits

import transpde as tp
from transpde.ensembles import (
    Failure,
    SweepError,
    case_seed,
    random_gaussians,
    random_head,
    random_matrix,
    random_tokens,
    sweep,
)

LAWS = ["gaussian", "uniform", "spectral", "orthogonal", "symmetric", "positive", "identity"]


def score(head):
    return np.swapaxes(head.key, -2, -1) @ head.query


# --- seeds ---------------------------------------------------------------------------------------


def test_case_seeds_are_those_that_numpy_spawns():
    spawned = np.random.SeedSequence(7).spawn(5)
    for i, seed in enumerate(spawned):
        assert (case_seed(7, i).generate_state(4) == seed.generate_state(4)).all()
        nested = seed.spawn(3)[2]
        assert (case_seed(case_seed(7, i), 2).generate_state(4) == nested.generate_state(4)).all()


@pytest.mark.parametrize("law", LAWS)
def test_a_case_does_not_depend_on_the_number_of_cases(law):
    draws = [random_matrix(3, 3, seed=5, law=law, cases=n) for n in (2, 6)]
    assert (draws[0] == draws[1][:2]).all()
    alone = random_matrix(3, 3, seed=case_seed(5, 1), law=law)
    assert (draws[0][1] == alone).all()
    assert law == "identity" or (draws[1][0] != draws[1][1]).any()


def test_cases_of_heads_and_starts_do_not_depend_on_their_number():
    for options in ({"k": 2, "key": "opposite"}, {"signature": (1, 2)}, {"value": "positive"}):
        few, many = (random_head(3, seed=1, cases=n, **options) for n in (2, 5))
        alone = random_head(3, seed=case_seed(1, 1), **options)
        for a, b, c in zip(few, many, alone, strict=True):
            assert (a == b[:2]).all()
            assert (a[1] == c).all()
    few, many = (random_gaussians(3, 2, seed=1, mean_scale=1, cases=n) for n in (2, 5))
    alone = random_gaussians(3, 2, seed=case_seed(1, 1), mean_scale=1)
    assert (few.pack() == many.pack()[:2]).all()
    assert (few.pack()[1] == alone.pack()).all()
    few, many = (random_tokens(n, 3, seed=1).points for n in (4, 9))
    assert (few == many[:4]).all()


def test_draws_are_the_same_to_the_bit_for_ever():
    """Stored once: a change of a stream or of the order of draws would change every ensemble."""
    head = random_head(2, 1, seed=0)
    drawn = [*head.query[0], head.key[0, 0], head.value[0, 0]]
    drawn += [random_gaussians(1, seed=0).factor[0, 0], random_tokens(1, 1, seed=0).points[0, 0]]
    drawn += [random_matrix(1, 1, seed=case_seed(0, 3))[0, 0]]
    assert [float(x).hex() for x in drawn] == [
        "0x1.f36ba68bce3b7p+0",
        "0x1.97e68a06f12a0p+1",
        "-0x1.872efa2f942dep-1",
        "0x1.6b193a220339ap-2",
        "-0x1.c23d3a729ed9ep-2",
        "-0x1.5e2ae65ef9060p-4",
        "0x1.24fbc7d10b1cap-3",
    ]


def test_one_seed_gives_unrelated_streams():
    """Query, key, value, factor, mean, tokens, matrix of one seed share no number."""
    n = 4000
    head, start = random_head(1, n, seed=2), random_gaussians(n, 1, seed=2, mean_scale=1.0)
    draws = [head.query, head.key, start.factor, start.mean, random_matrix(1, n, seed=2)]
    draws += [random_tokens(n, 1, seed=2, law="gaussian").points, random_head(1, n, seed=3).query]
    draws += [random_head(1, n, seed=case_seed(2, i)).query for i in range(4)]
    correlation = np.corrcoef(np.array([np.ravel(x) for x in draws]))
    off = correlation[~np.eye(len(draws), dtype=bool)]
    assert np.abs(off).max() < 5 / np.sqrt(n)


def test_another_law_for_the_value_keeps_query_and_key():
    heads = [random_head(4, 2, seed=1, value=law) for law in ("gaussian", "positive", "identity")]
    for head in heads[1:]:
        assert (head.query == heads[0].query).all()
        assert (head.key == heads[0].key).all()


# --- laws ----------------------------------------------------------------------------------------


def test_entries_follow_their_laws():
    gaussian = random_matrix(40, 50, seed=3, scale=2.0)
    assert kstest(gaussian.ravel() / 2, "norm").pvalue > 1e-3
    uniform = random_matrix(40, 50, seed=3, law="uniform", scale=2.0)
    assert kstest(uniform.ravel() / 2, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("shape", [(2, 5), (5, 2), (4, 4)])
def test_norms(shape):
    spectral = random_matrix(*shape, seed=4, law="spectral", scale=3.0, cases=20)
    assert np.allclose(np.linalg.norm(spectral, 2, axis=(-2, -1)), 3.0, rtol=1e-14)
    values = np.linalg.svd(random_matrix(*shape, seed=4, law="orthogonal", scale=3.0, cases=20))[1]
    assert np.allclose(values, 3.0, rtol=1e-14)


def test_orthogonal_matrices_are_haar():
    """E tr U = 0, E (tr U)^2 = 1, E (tr U)^4 = 3 (d = 3), which QR without signs does not have."""
    U = random_matrix(3, 3, seed=5, law="orthogonal", cases=4000)
    traces = np.trace(U, axis1=1, axis2=2)
    for power, exact in ((1, 0.0), (2, 1.0), (4, 3.0)):
        sample = traces**power
        assert abs(sample.mean() - exact) < 4 * sample.std() / np.sqrt(len(sample))
    assert abs((np.linalg.det(U) > 0).mean() - 0.5) < 4 * 0.5 / np.sqrt(len(U))


def test_symmetric_and_positive():
    S = random_matrix(4, 4, seed=6, law="symmetric", cases=50)
    assert (np.swapaxes(S, 1, 2) == S).all()
    P = random_matrix(4, 4, seed=6, law="positive", scale=0.5, cases=2000)
    assert np.linalg.eigvalsh(P).min() > 0
    assert np.allclose(P, np.swapaxes(P, 1, 2), rtol=1e-14)
    error = P.std(axis=0) / np.sqrt(len(P))
    assert (np.abs(P.mean(axis=0) - 0.5 * 4 * np.eye(4)) < 4.5 * error).all()


@pytest.mark.parametrize("d", [3, 4, 5, 8, 16])
def test_heads_of_the_rank_histograms(d):
    """K = -Q with Q of floor(d/2) rows: A is negative semidefinite, of the rank of Q."""
    head = random_head(d, d // 2, seed=7, key="opposite", value="positive", cases=30)
    assert [x.shape for x in head] == [(30, d // 2, d)] * 2 + [(30, d, d)]
    values = np.linalg.eigvalsh(score(head))
    assert ((values < -1e-10).sum(axis=1) == d // 2).all()
    assert values.max() < 1e-12
    equal = random_head(d, d // 2, seed=7, key="equal", cases=30)
    assert np.allclose(score(equal), -score(head))


@pytest.mark.parametrize("signature", [(0, 0), (2, 0), (1, 1), (2, 3), (0, 5)])
def test_signature(signature):
    head = random_head(5, seed=8, signature=signature, scale=2.0, cases=40)
    A = score(head)
    values = np.linalg.eigvalsh(A + np.swapaxes(A, -2, -1))
    p, q = signature
    assert ((values > 1e-12).sum(axis=1) == p).all()
    assert ((values < -1e-12).sum(axis=1) == q).all()
    sizes = np.abs(values)[np.abs(values) > 1e-12]
    assert all(2 - 1e-12 < size < 4 + 1e-12 for size in sizes)
    assert (np.linalg.norm(A - np.swapaxes(A, -2, -1), axis=(-2, -1)) > 0.1).all()


def test_gaussian_starts():
    thin = random_gaussians(4, 2, seed=9, trace=3.0, cases=50)
    assert (np.linalg.matrix_rank(thin.covariance) == 2).all()
    assert np.allclose(np.trace(thin.covariance, axis1=1, axis2=2), 3.0, rtol=1e-14)
    assert (thin.mean == 0).all()
    wishart = random_gaussians(3, 3, seed=9, scale=2.0, mean_scale=0.5, cases=3000)
    S = wishart.covariance
    error = S.std(axis=0) / np.sqrt(len(S))
    assert (np.abs(S.mean(axis=0) - 4 * 3 * np.eye(3)) < 4.5 * error).all()
    assert kstest(wishart.mean.ravel() / 0.5, "norm").pvalue > 1e-3


@pytest.mark.parametrize("d", [1, 2, 5])
def test_tokens_follow_their_laws(d):
    ball, sphere, gaussian = (
        random_tokens(2000, d, seed=10, law=law, scale=3.0).points
        for law in ("ball", "sphere", "gaussian")
    )
    radius = np.linalg.norm(ball, axis=1) / 3
    assert kstest(radius**d, "uniform").pvalue > 1e-3
    assert np.allclose(np.linalg.norm(sphere, axis=1), 3.0, rtol=1e-14)
    assert np.abs(sphere.mean(axis=0)).max() < 4.5 * 3 / np.sqrt(2000 * d)
    assert kstest(gaussian.ravel() / 3, "norm").pvalue > 1e-3


def test_an_ensemble_obeys_the_law_of_the_flow():
    """V positive, K = -Q: tr(V^-1 S) never grows, for each of two heads with their own seeds."""
    starts = random_gaussians(3, seed=11, trace=1.0, cases=20)
    for h in range(2):
        head = random_head(
            3, 1, seed=case_seed(11, h), key="opposite", value="positive", cases=20
        )  # fmt: skip
        path = tp.flow(starts, tp.Softmax(*head), time=np.linspace(0, 1, 9))
        size = np.trace(np.linalg.inv(head.value) @ path.covariances, axis1=-2, axis2=-1)
        assert (np.diff(size, axis=0) <= 1e-9 * size[:-1]).all()


# --- sweeps --------------------------------------------------------------------------------------


def blowup(case, seed):
    """The blow-up time of a random softmax flow: something with linear algebra in it."""
    head = random_head(case, seed=seed, value="identity", key="equal")
    start = random_gaussians(case, seed=seed)
    return tp.flow(start, tp.Softmax(*head), time=np.inf).blowup_time


def late_if_early(case):
    time.sleep(0.01 * (8 - case))
    return case


def workplace(case):
    threads = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    return os.getpid(), max(threads, default=1)


def odd_fails(case, seed=None):
    if case % 2:
        raise KeyError(f"odd {case}")
    return case


class Unportable(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first}, {second}")


def fails_strangely(case):
    raise Unportable("a", "b")


SIZES = [2, 3, 4, 2, 3, 4]


@pytest.fixture(scope="module")
def serial():
    return sweep(blowup, SIZES, seed=12)


def test_sweep_gives_case_and_seed_in_order(serial):
    assert serial == [blowup(d, case_seed(12, i)) for i, d in enumerate(SIZES)]
    assert serial[:2] == sweep(blowup, SIZES[:2], seed=12)
    assert len(set(serial)) == len(SIZES)
    assert np.isfinite(serial).all()


def test_sweep_is_the_same_to_the_bit_in_threads(serial):
    with joblib.parallel_config(backend="threading", n_jobs=3):
        assert sweep(blowup, SIZES, seed=12) == serial
        assert sweep(late_if_early, range(8)) == list(range(8))


def test_sweep_is_the_same_to_the_bit_in_processes(serial):
    assert sweep(blowup, SIZES, seed=12, jobs=2) == serial
    where = sweep(workplace, range(4), jobs=2)
    assert os.getpid() not in {process for process, _ in where}
    assert {threads for _, threads in where} == {1}
    with pytest.raises(SweepError, match=r"case 1 failed with KeyError: 'odd 1'") as caught:
        sweep(odd_fails, range(4), jobs=2)
    assert caught.value.results == [0]
    strange = sweep(fails_strangely, [0], jobs=2, on_error="keep")[0]
    assert str(strange.error) == "Unportable: a, b"


def fails_late(case):
    time.sleep(0.05)
    if case == 0:
        time.sleep(0.2)
        raise KeyError("late")
    return case


def test_a_failure_says_nothing_of_the_cases_that_were_ready():
    """joblib warns of results that it made for nothing; here the error says all."""
    with pytest.raises(SweepError, match="case 0 failed with KeyError: 'late'"):
        sweep(fails_late, range(40), jobs=2)


def test_sweep_is_the_same_to_the_bit_on_a_dask_cluster(serial):
    """By joblib's switch alone: the call is that of the serial sweep."""
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster), joblib.parallel_config(backend="dask"):
        assert sweep(blowup, SIZES, seed=12) == serial
        where = sweep(workplace, range(6))
        kept = sweep(odd_fails, range(4), seed=1, on_error="keep")
    assert os.getpid() not in {process for process, _ in where}
    assert [kept[0], kept[2]] == [0, 2]
    assert (kept[3].case, kept[3].seed.spawn_key) == (3, (3,))


def test_a_failure_carries_case_seed_and_the_results_before_it():
    message = r"case 3, seed SeedSequence\(5, spawn_key=\(3,\)\) failed with KeyError: 'odd 3'"
    with pytest.raises(SweepError, match=message) as caught:
        sweep(odd_fails, [0, 2, 4, 3, 6, 5], seed=5)
    assert caught.value.results == [0, 2, 4]
    assert isinstance(caught.value.__cause__, KeyError)
    assert "odd_fails" in caught.value.failure.traceback
    assert caught.value.failure.seed.spawn_key == (3,)


def test_a_failed_sweep_travels_by_pickle():
    with pytest.raises(SweepError) as caught:
        sweep(odd_fails, [0, 2, 3], seed=5)
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.results == [0, 2]
    assert again.failure.case == 2
    assert again.failure.seed.spawn_key == (2,)
    assert repr(again.failure.error) == "KeyError('odd 3')"


def test_jobs_may_be_an_integer_of_numpy():
    assert sweep(abs, [-1, 2], jobs=np.int64(2)) == sweep(abs, [-1, 2], jobs=-1) == [1, 2]


def test_a_sweep_can_go_on_past_failures():
    results = sweep(odd_fails, range(5), on_error="keep")
    assert [r for r in results if not isinstance(r, Failure)] == [0, 2, 4]
    assert [r.case for r in results if isinstance(r, Failure)] == [1, 3]
    assert results[1].seed is None
    assert repr(results[1].error) == "KeyError('odd 1')"


def test_a_sweep_stops_at_the_first_failure():
    seen = []

    def note(case):
        seen.append(case)
        return odd_fails(case)

    with pytest.raises(SweepError):
        sweep(note, range(10))
    assert seen == [0, 1]


def test_threads_of_the_linear_algebra_are_put_back():
    with threadpool_limits(limits=2):
        before = workplace(0)
        assert before[1] == 2
        assert sweep(workplace, [0])[0][1] == 1
        assert workplace(0) == before


def test_progress_bar(capsys):
    assert sweep(late_if_early, range(3, 8), progress=True) == [3, 4, 5, 6, 7]
    shown = capsys.readouterr()
    assert "5/5" in shown.err
    assert not shown.out
    sweep(late_if_early, [8])
    assert capsys.readouterr() == ("", "")


def test_the_module_brings_no_optional_library():
    code = "import sys, transpde.ensembles, transpde.energy; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "transpde.ensembles" in done.stdout.split()
    assert not {"joblib", "tqdm", "dask", "matplotlib"} & set(done.stdout.split())


@pytest.mark.parametrize(("module", "progress"), [("joblib", False), ("tqdm.auto", True)])
def test_a_missing_library_is_named(monkeypatch, module, progress):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install transpde\[ensembles\]"):
        sweep(late_if_early, [8], progress=progress)


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: case_seed(-1, 0), ValueError, "seed: must be an integer of at least 0 or a"),
        (lambda: case_seed(1.5, 0), ValueError, "seed: must be an integer"),
        (lambda: case_seed(1, -1), ValueError, "case: must be an integer of at least 0; got -1"),
        (lambda: random_matrix(2, 2, seed=None), ValueError, "seed: must be an integer"),
        (lambda: random_matrix(2, 3, seed=0, law="cauchy"), ValueError, "law: must be one of gau"),
        (
            lambda: random_matrix(2, 3, seed=0, law="positive"),
            ValueError,
            r"law: 'positive' is for square matrices; got shape \(2, 3\)",
        ),
        (lambda: random_matrix(2, 3, seed=0, scale=0), ValueError, "scale: must be a positive"),
        (lambda: random_matrix(2, 3, seed=0, cases=0), ValueError, "cases: must be an integer of"),
        (lambda: random_head(0, seed=0), ValueError, "d: must be an integer of at least 1"),
        (lambda: random_head(2, 0, seed=0), ValueError, "k: must be an integer of at least 1"),
        (lambda: random_head(2, seed=0, key="same"), ValueError, "key: must be one of free, eq"),
        (lambda: random_head(2, seed=0, value="big"), ValueError, "value: must be one of gauss"),
        (lambda: random_head(2, seed=0, value_scale=-1), ValueError, "value_scale: must be a pos"),
        (
            lambda: random_head(3, seed=0, signature=(2, 2)),
            ValueError,
            r"signature: must be two integers >= 0, .* at most 3 together; got \(2, 2\)",
        ),
        (
            lambda: random_head(3, 2, seed=0, signature=(1, 1)),
            ValueError,
            "signature: needs k = d and no `key`, .* got k = 2 and key = 'free'",
        ),
        (lambda: random_gaussians(2, 0, seed=0), ValueError, "rank: must be an integer of at lea"),
        (lambda: random_gaussians(2, seed=0, trace=0), ValueError, "trace: must be a positive"),
        (
            lambda: random_gaussians(2, seed=0, mean_scale=-1),
            ValueError,
            "mean_scale: must be a finite number of at least 0; got -1",
        ),
        (lambda: random_tokens(2, 2, seed=0, law="cube"), ValueError, "law: must be one of ball"),
        (lambda: sweep(3, [1]), TypeError, "function: must be callable; got int"),
        (
            lambda: sweep(len, [1], on_error="skip"),
            ValueError,
            "on_error: must be one of raise, k",
        ),
        *(
            (
                lambda jobs=jobs: sweep(len, [1], jobs=jobs),
                ValueError,
                "jobs: must be a positive integer or -1",
            )
            for jobs in (0, -2, -100, True, 2.0)
        ),
        (lambda: sweep(len, [[1]], seed=-3), ValueError, "seed: must be an integer of at least"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
