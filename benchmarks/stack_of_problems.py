"""A stack of 300 problems in one call against LSODA case by case: time and agreement.

Every problem has its own query, key, value and initial covariance (d = 5, K = -Q of rank 2), and
runs to t = 1e6. Run `python benchmarks/stack_of_problems.py`, with `--value identity`, `near`
(spectrum of V in [0.8, 1.25]), `wide` ([0.5, 2]) or `random` (G^T G, stiff), with `--attention l2`
or `--method Radau` for other settings.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import threadpoolctl
from scipy.integrate import solve_ivp

import transpde as tp

CASES, DIMENSION, RANK, HORIZON = 300, 5, 2, 1e6
HEADS = {"softmax": tp.Softmax, "l2": tp.L2}
SPREADS = {"identity": 1.0, "near": 1.25, "wide": 2.0}


def problems(cases=CASES, value="random", seed=0):
    """Queries (cases, 2, 5), values and covariances (cases, 5, 5)."""
    rng = np.random.default_rng(seed)
    Q = rng.normal(size=(cases, RANK, DIMENSION))
    G, H = rng.normal(size=(2, cases, DIMENSION, DIMENSION))
    return Q, values(value, G, rng), H @ np.swapaxes(H, 1, 2)


def values(law, G, rng):
    """V = I, or in random axes with a spectrum log-uniform in [1/s, s], or V = G^T G."""
    if law == "random":
        return np.swapaxes(G, 1, 2) @ G
    spread = np.log(SPREADS[law])
    spectrum = np.exp(rng.uniform(-spread, spread, G.shape[:-1]))
    axes = np.linalg.qr(G)[0]
    return axes * spectrum[:, None, :] @ np.swapaxes(axes, 1, 2)


def in_one_call(kind, Q, V, Sigma, **options):
    """Covariances (cases, 5, 5) at the horizon, from one flow of the whole stack."""
    stack = tp.Gaussian.from_covariance(np.zeros(Q.shape[:1] + V.shape[-1:]), Sigma)
    path = tp.flow(stack, HEADS[kind](Q, -Q, V), [0.0, HORIZON], **options)
    assert (path.stop == "time").all()
    return path.final.covariance


def one_by_one(kind, Q, V, Sigma, rtol=1e-10):
    """Covariances at the horizon, from one LSODA integration of the covariance a problem."""
    ends = [covariance_by_lsoda(kind, *problem, rtol) for problem in zip(Q, V, Sigma, strict=True)]
    return np.array(ends)


def covariance_by_lsoda(kind, Q, V, Sigma, rtol=1e-10):
    A, d = -Q.T @ Q, len(V)

    def derivative(_, flat):
        S = flat.reshape(d, d)
        response = S @ A
        if kind == "l2":  # V (inv(S) + 2 K^T K)^{-1} 2 A, with no inverse of S
            response = 2 * np.linalg.solve(np.eye(d) - 2 * S @ A, response)
        B = V @ response @ S
        return (B + B.T).ravel()

    atol = 1e-14 * np.trace(Sigma)
    done = solve_ivp(derivative, (0, HORIZON), Sigma.ravel(), method="LSODA", rtol=rtol, atol=atol)
    if not done.success:
        raise RuntimeError(done.message)
    return done.y[:, -1].reshape(d, d)


def relative_differences(stack, single):
    """The largest entry of each difference relative to the largest entry of the matrix."""
    return np.abs(stack - single).max(axis=(1, 2)) / np.abs(single).max(axis=(1, 2))


def cpu_seconds(function, *arguments, **options):
    start = time.process_time()
    result = function(*arguments, **options)
    return time.process_time() - start, result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attention", choices=HEADS, default="softmax")
    parser.add_argument("--value", choices=[*SPREADS, "random"], default="near")
    parser.add_argument("--method", default="DOP853")
    parser.add_argument("--rtol", type=float, default=1e-6)
    parser.add_argument("--cases", type=int, default=CASES)
    given = parser.parse_args()
    with threadpoolctl.threadpool_limits(1):
        data = problems(given.cases, given.value)
        stacked, fast = cpu_seconds(
            in_one_call, given.attention, *data, method=given.method, rtol=given.rtol
        )
        single, slow = cpu_seconds(one_by_one, given.attention, *data)
    difference = relative_differences(fast, slow).max()
    print(f"{given.cases} problems, {given.attention}, V {given.value}, t = {HORIZON:g}")
    print(f"one call, {given.method}: {stacked:8.2f} s of one CPU")
    print(f"one by one, LSODA: {single:8.2f} s of one CPU, ratio {single / stacked:.1f}")
    print(f"largest relative difference: {difference:.1e}")


if __name__ == "__main__":
    main()
