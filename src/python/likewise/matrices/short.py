"""Transforms with short entries, by lattice reduction.

Where B has the cyclic vector e, a transform X is determined by x = X e: it takes B^k e to A^k x, so that with the
Krylov matrices ``X = K_A(x) K_B^-1``. The x for which X is an integer matrix form a lattice. A random column c and a
random row r make of the condition on X one congruence ``h x = 0 (mod D)``, with ``h = r (y_0 + y_1 A + y_2 A^2 + ...)``
and ``K_B^-1 c = y / D``, which almost always describes that lattice. Its shortest vectors (LLL) give matrices of one or
two digits, where any other x gives hundreds.
"""

from __future__ import annotations

import random
from typing import TypeVar

from .engines import PRIME, Engine

M = TypeVar("M")

LARGEST = 20  # 25 ms; the time grows faster than n^5


def short_bases(engine: Engine[M], a: M, b: M, n: int, draw: random.Random) -> tuple[M, M] | None:
    """The rows x, Ax, ... and e, Be, ... for a short x; None where e is not cyclic, or nothing short was found."""
    if n > LARGEST or engine.reduce([[1]]) is None:
        return None
    of_b = engine.krylov(b, [1] + [0] * (n - 1), n)
    if engine.rank_modulo(of_b, PRIME) < n:
        return None
    column = engine.matrix([[draw.randint(-9, 9)] for _ in range(n)])
    y, modulus = engine.solve(engine.transpose(of_b), column)
    modulus = abs(modulus)
    powers = engine.krylov(engine.transpose(a), draw.choices(range(-9, 10), k=n), n)
    h = [x % modulus for x in engine.rows(engine.multiply(engine.transpose(y), powers))[0]]
    # Of the lattice of (x, w z) with z = h x + k D, the vectors with z = 0: a heavy w makes them the short ones.
    weight = 1 << (n + modulus.bit_length() // n + 8)
    rows = [[int(i == j) for j in range(n)] + [weight * h[i]] for i in range(n)]
    reduced = engine.reduce([*rows, [0] * n + [weight * modulus]])
    for row in reduced or []:
        if row[n] == 0 and any(row):
            of_a = engine.krylov(a, row[:n], n)
            if engine.rank_modulo(of_a, PRIME) == n:
                return of_a, of_b
    return None
