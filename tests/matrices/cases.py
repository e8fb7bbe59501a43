"""Matrices with a known structure, and random changes of basis."""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

Rows = list[list[int]]


def jordan(size: int, eigenvalue: Any = 0) -> Rows:
    return [[eigenvalue if i == j else int(j == i + 1) for j in range(size)] for i in range(size)]


def companion(*coefficients: int) -> Rows:
    """Of a monic polynomial, highest degree first."""
    n = len(coefficients) - 1
    rows = [[int(i == j + 1) for j in range(n)] for i in range(n)]
    for i in range(n):
        rows[i][n - 1] = -coefficients[n - i]
    return rows


def diagonal(*blocks: Rows) -> Rows:
    n = sum(map(len, blocks))
    rows = [[0] * n for _ in range(n)]
    first = 0
    for block in blocks:
        for i, row in enumerate(block):
            rows[first + i][first : first + len(block)] = row
        first += len(block)
    return rows


def product(a: Sequence[Sequence[Any]], b: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [[sum(x * y for x, y in zip(row, column, strict=True)) for column in zip(*b, strict=True)] for row in a]


def unimodular(n: int, draw: random.Random, steps: int | None = None) -> tuple[Rows, Rows]:
    """A random integer matrix of determinant 1 and its inverse."""
    p, q = ([[int(i == j) for j in range(n)] for i in range(n)] for _ in range(2))
    for _ in range(steps if steps is not None else 2 * n if n > 1 else 0):
        i, j = draw.sample(range(n), 2)
        c = draw.choice((-1, 1))
        for row in p:
            row[j] += c * row[i]
        q[i] = [x - c * y for x, y in zip(q[i], q[j], strict=True)]
    return p, q


def disguised(a: Rows, seed: int) -> Rows:
    """P^-1 A P for a random unimodular P."""
    p, q = unimodular(len(a), random.Random(seed))
    return product(product(q, a), p)


def fractions(rows: Any) -> np.ndarray:
    n = len(rows)
    found = np.empty((n, n), dtype=object)
    for i in range(n):
        for j in range(n):
            x = rows[i][j]
            found[i, j] = Fraction(x.item() if isinstance(x, np.generic) else x)  # int64 would overflow inside
    return found


def determinant(rows: Any) -> Fraction:
    rows = [[Fraction(x) for x in row] for row in rows]
    found = Fraction(1)
    for column in range(len(rows)):
        at = next((i for i in range(column, len(rows)) if rows[i][column]), None)
        if at is None:
            return Fraction(0)
        if at != column:
            rows[column], rows[at], found = rows[at], rows[column], -found
        found *= rows[column][column]
        for i in range(column + 1, len(rows)):
            factor = rows[i][column] / rows[column][column]
            rows[i] = [x - factor * y for x, y in zip(rows[i], rows[column], strict=True)]
    return found


def takes(a: Any, p: Any, b: Any) -> bool:
    """Whether P^-1 A P = B, exactly."""
    a, p, b = fractions(a), fractions(p), fractions(b)
    return bool((a.dot(p) == p.dot(b)).all()) and determinant(p) != 0


def conditioned(n: int, kappa: float, rng: np.random.Generator) -> np.ndarray:
    """A random real matrix with a given condition number."""
    u, v = (np.linalg.qr(rng.normal(size=(n, n)))[0] for _ in range(2))
    return (u * np.logspace(0, np.log10(kappa), n)) @ v
