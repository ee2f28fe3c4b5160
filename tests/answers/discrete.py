"""Right and wrong answers to the exercises on clusters of tokens."""

import numpy as np

from transpde.exercises import discrete as check


def frame(z, Q, K, t, power=2, back=1.0):
    weights = np.exp(np.exp(power * t) * np.einsum("ia,ka,kb,jb->ij", z, Q, K, z))
    return weights / weights.sum(axis=1)[:, None] @ z - back * z


def unnormalised(z, Q, K, t):
    return np.exp(np.exp(2 * t) * z @ Q.T @ K @ z.T) @ z - z


def vector(V, choose=np.argmax):
    values, vectors = np.linalg.eig(V)
    found = vectors[:, choose(values.real)].real
    return found / found[np.argmax(np.abs(found))]


def unit(V):
    psi = vector(V.T)
    return psi / np.sqrt(psi @ psi)


RIGHT = {check.frame: frame, check.coordinate: lambda V: vector(V.T)}

WRONG = [
    (check.frame, lambda z, Q, K, t: 0 * z, "the velocity is not zero"),
    (check.frame, lambda z, Q, K, t: frame(z, Q, K, t, back=0.0), "subtract z"),
    (check.frame, lambda z, Q, K, t: frame(z, Q, K, t, power=1), "carry its square"),
    (check.frame, lambda z, Q, K, t: frame(z, Q, K, t, power=0), "not of z"),
    (check.frame, lambda z, Q, K, t: frame(z, K, Q, t), "query and key are exchanged"),
    (check.frame, unnormalised, "must sum to one"),
    (check.frame, lambda z, Q, K, t: z, "the largest error"),
    (check.coordinate, vector, "this is the right eigenvector"),
    (check.coordinate, lambda V: vector(V.T, lambda x: abs(x).argmax()), "with its sign"),
    (check.coordinate, unit, "its scale is not"),
    (check.coordinate, lambda V: -vector(V.T), "change the sign"),
    (check.coordinate, lambda V: V[0], "no eigenvector"),
    (check.coordinate, lambda V: vector(V.T, np.argmin), "the largest error"),
]
