"""Integer matrices and polynomials in Python alone: fraction-free elimination, and the modular charpoly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul
from typing import Literal

from . import factoring
from .engines import Polynomial, Rows, primes

Matrix = Rows


class PythonEngine:
    """The engine ``"python"``: integers of any length, no dependency."""

    name: Literal["python"] = "python"

    def matrix(self, rows: Rows) -> Matrix:
        return rows

    def rows(self, a: Matrix) -> Rows:
        return a

    def multiply(self, a: Matrix, b: Matrix) -> Matrix:
        columns = list(zip(*b, strict=True))
        return [[sum(map(mul, row, column)) for column in columns] for row in a]

    def transpose(self, a: Matrix) -> Matrix:
        return [list(column) for column in zip(*a, strict=True)]

    def stack(self, blocks: Sequence[Matrix]) -> Matrix:
        return [row for block in blocks for row in block]

    def krylov(self, a: Matrix, v: list[int], n: int) -> Matrix:
        found = [v]
        for _ in range(n - 1):
            v = [sum(map(mul, row, v)) for row in a]
            found.append(v)
        return found

    def evaluate(self, p: Polynomial, a: Matrix) -> Matrix:
        n = len(a)
        found = [[p[0] if i == j else 0 for j in range(n)] for i in range(n)]
        for c in p[1:]:
            found = self.multiply(found, a)
            for i in range(n):
                found[i][i] += c
        return found

    def solve(self, a: Matrix, b: Matrix) -> tuple[Matrix, int]:
        """Fraction-free elimination of [A | B], then back substitution."""
        n = len(a)
        rows, pivots, _ = _eliminate([left + right for left, right in zip(a, b, strict=True)], n)
        if len(pivots) < n:
            raise ZeroDivisionError("a singular matrix")
        return _back_substitute(rows, pivots, list(range(n, len(rows[0]))))

    def kernel(self, a: Matrix) -> Rows:
        n = len(a[0])
        rows, pivots, _ = _eliminate([list(row) for row in a], n)
        free = [j for j in range(n) if j not in pivots]
        solution, determinant = _back_substitute(rows, pivots, free)
        found: Rows = []
        for k, column in enumerate(free):
            v = [0] * n
            v[column] = -determinant
            for pivot, values in zip(pivots, solution, strict=True):
                v[pivot] = values[k]
            content = math.gcd(*v)
            found.append([x // content for x in v])
        return found

    def reduce(self, rows: Rows) -> Rows | None:
        return None  # without floats that correct themselves it would take longer than all else

    def determinant(self, a: Matrix) -> int:
        rows, pivots, sign = _eliminate([list(row) for row in a], len(a))
        return sign * rows[-1][-1] if len(pivots) == len(a) else 0

    def rank(self, a: Matrix) -> int:
        return len(_eliminate([list(row) for row in a], len(a[0]))[1])

    def rank_modulo(self, a: Matrix, prime: int) -> int:
        rows = [[x % prime for x in row] for row in a]
        rank = 0
        for column in range(len(rows[0])):
            at = next((i for i in range(rank, len(rows)) if rows[i][column]), None)
            if at is None:
                continue
            rows[rank], rows[at] = rows[at], rows[rank]
            inverse = pow(rows[rank][column], -1, prime)
            tail = rows[rank][column:]
            for i in range(rank + 1, len(rows)):
                if c := rows[i][column]:
                    c = c * inverse % prime
                    rows[i][column:] = [(x - c * y) % prime for x, y in zip(rows[i][column:], tail, strict=True)]
            rank += 1
            if rank == len(rows):
                break
        return rank

    def charpoly(self, a: Matrix) -> Polynomial:
        """Modulo as many primes of 61 bits as a bound of the coefficients asks for, put together (CRT)."""
        bound = _charpoly_bound(a)
        modulus, found = 1, [0] * (len(a) + 1)
        for prime in primes():
            residues = self.charpoly_modulo(a, prime)
            inverse = pow(modulus, -1, prime)
            found = [c + modulus * ((r - c) * inverse % prime) for c, r in zip(found, residues, strict=True)]
            modulus *= prime
            if modulus > 2 * bound:
                break
        return tuple(c - modulus if 2 * c > modulus else c for c in found)

    def charpoly_modulo(self, a: Matrix, prime: int) -> Polynomial:
        """Hessenberg's form by row and column operations, then the recurrence over its leading minors."""
        n = len(a)
        h = _hessenberg([[x % prime for x in row] for row in a], prime)
        minors = [[1]]  # lowest degree first
        for k in range(n):
            below, diagonal = minors[k], h[k][k]
            found = [0, *below]
            for i, c in enumerate(below):
                found[i] -= diagonal * c
            product = 1
            for i in range(k - 1, -1, -1):
                product = product * h[i + 1][i] % prime
                if not product:
                    break
                if c := h[i][k] * product % prime:
                    for j, x in enumerate(minors[i]):
                        found[j] -= c * x
            minors.append([x % prime for x in found])
        return tuple(reversed(minors[n]))

    def is_squarefree(self, p: Polynomial) -> bool:
        return factoring.is_squarefree(p)

    def gcd(self, p: Polynomial, q: Polynomial) -> Polynomial:
        return factoring.gcd(p, q)

    def factor(self, p: Polynomial) -> list[tuple[Polynomial, int]]:
        return factoring.factor(p)


def _eliminate(rows: Rows, n_columns: int) -> tuple[Rows, list[int], int]:
    """Fraction-free elimination (Bareiss 1968) in the first columns: rows, pivot columns, sign of the permutation.

    Every entry stays a minor of the matrix, so that the divisions leave no remainder.
    """
    pivots: list[int] = []
    previous, sign = 1, 1
    for column in range(n_columns):
        top = len(pivots)
        if top == len(rows):
            break
        candidates = [i for i in range(top, len(rows)) if rows[i][column]]
        if not candidates:
            continue
        at = min(candidates, key=lambda i: abs(rows[i][column]))
        if at != top:
            rows[top], rows[at], sign = rows[at], rows[top], -sign
        head = rows[top]
        pivot, tail = head[column], head[column + 1 :]
        for i in range(top + 1, len(rows)):
            row = rows[i]
            c = row[column]
            if c:
                rest = [(pivot * x - c * y) // previous for x, y in zip(row[column + 1 :], tail, strict=True)]
            else:
                rest = [pivot * x // previous for x in row[column + 1 :]]
            rows[i] = [0] * (column + 1) + rest
        pivots.append(column)
        previous = pivot
    return rows, pivots, sign


def _back_substitute(rows: Rows, pivots: list[int], columns: list[int]) -> tuple[Rows, int]:
    """X and d with U X = d C, of eliminated rows with the pivot columns U and the right-hand sides C.

    By Cramer's rule X has integers where d is the last pivot, the determinant up to its sign.
    """
    determinant = rows[len(pivots) - 1][pivots[-1]] if pivots else 1
    found: Rows = [[]] * len(pivots)
    for i in range(len(pivots) - 1, -1, -1):
        row = rows[i]
        values = [determinant * row[j] for j in columns]
        for j in range(i + 1, len(pivots)):
            if c := row[pivots[j]]:
                values = [x - c * y for x, y in zip(values, found[j], strict=True)]
        pivot = row[pivots[i]]
        found[i] = [x // pivot for x in values]
    return found, determinant


def _hessenberg(h: Rows, prime: int) -> Rows:
    n = len(h)
    for column in range(n - 2):
        top = column + 1
        at = next((i for i in range(top, n) if h[i][column]), None)
        if at is None:
            continue
        if at != top:
            h[at], h[top] = h[top], h[at]
            for row in h:
                row[at], row[top] = row[top], row[at]
        inverse = pow(h[top][column], -1, prime)
        tail = h[top][column:]
        factors = [h[i][column] * inverse % prime for i in range(top + 1, n)]
        for i, c in enumerate(factors, top + 1):
            if c:
                h[i][column:] = [(x - c * y) % prime for x, y in zip(h[i][column:], tail, strict=True)]
        if any(factors):
            for row in h:
                row[top] = (row[top] + sum(map(mul, factors, row[top + 1 :]))) % prime
    return h


def _charpoly_bound(a: Matrix) -> int:
    """No coefficient is larger: it is a sum of C(n, k) principal minors, each bounded by Hadamard's inequality."""

    def bound(rows: Rows) -> int:
        squares = sorted((sum(x * x for x in row) for row in rows), reverse=True)
        largest, product = 1, 1
        for k, square in enumerate(squares, 1):
            product *= square
            largest = max(largest, math.comb(len(rows), k) ** 2 * product)
        return math.isqrt(largest) + 1

    return min(bound(a), bound([list(column) for column in zip(*a, strict=True)]))
