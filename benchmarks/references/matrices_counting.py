"""Similarity by counting solutions (after Byrnes and Gauger 1977), in Fractions: slow and obvious, cost n^6.

A and B are similar if and only if nullity(A, A) + nullity(B, B) = 2 nullity(A, B), where nullity(A, B) is the dimension
of {X: A X = X B}.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction


def nullity(a: Sequence[Sequence[Fraction | int]], b: Sequence[Sequence[Fraction | int]]) -> int:
    """The dimension of {X: A X = X B}, by Gauss elimination of n^2 equations."""
    n, m = len(a), len(b)
    equations = []
    for i in range(n):
        for j in range(m):  # (A X - X B)[i, j] = sum_k A[i, k] X[k, j] - sum_k X[i, k] B[k, j]
            row = [Fraction(0)] * (n * m)
            for k in range(n):
                row[k * m + j] += a[i][k]
            for k in range(m):
                row[i * m + k] -= b[k][j]
            equations.append(row)
    return n * m - rank(equations)


def rank(rows: list[list[Fraction]]) -> int:
    """The rank, by Gauss elimination."""
    rows = [list(row) for row in rows]
    found = 0
    for column in range(len(rows[0]) if rows else 0):
        at = next((i for i in range(found, len(rows)) if rows[i][column]), None)
        if at is None:
            continue
        rows[found], rows[at] = rows[at], rows[found]
        for i in range(found + 1, len(rows)):
            factor = rows[i][column] / rows[found][column]
            if factor:
                rows[i] = [x - factor * y for x, y in zip(rows[i], rows[found], strict=True)]
        found += 1
    return found


def are_similar(a: Sequence[Sequence[Fraction | int]], b: Sequence[Sequence[Fraction | int]]) -> bool:
    """Whether two matrices of one size are similar."""
    return nullity(a, a) + nullity(b, b) == 2 * nullity(a, b)
